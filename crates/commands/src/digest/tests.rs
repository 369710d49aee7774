//! Digests of each type, as a Redis 8.0.2 server answered them. The digest of a type does not depend on its form, so
//! each value is judged in its packed form and in its general one.

use store::entry::{Boxed, Entry};
use store::value::Limits;
use store::value::hash::{ExpiryCondition, Hash, OldExpiry};
use store::value::list::List;
use store::value::set::Set;
use store::value::stream::{NewId, Stream};
use store::value::zset::{AddFlags, SortedSet};

use super::Digest;
use crate::testing::Server;

fn check(entry: &Entry, expected: &str) {
    let mut digest = Digest::default();
    digest.mix_value(entry);
    assert_eq!(digest.hex(), expected, "{:?}", entry.encoding());
}

/// Redis's limits, and limits that let nothing be packed.
fn both(check: impl Fn(&Limits)) {
    check(&Limits::default());
    check(&Limits {
        hash_max_listpack_entries: 0,
        list_max_listpack_size: 1,
        set_max_intset_entries: 0,
        set_max_listpack_entries: 0,
        zset_max_listpack_entries: 0,
        ..Limits::default()
    });
}

fn entry<T: Boxed>(value: T) -> Entry {
    Entry::boxed(b"k", value, None)
}

#[test]
fn strings() {
    check(&Entry::string(b"k", b"hello", None), "36b23a1456b2dce2c3ed252c456761301dba8060");
    check(&Entry::string(b"k", b"12345", None), "e1cf90774e995ae03de66e8109dc5cb9d9c2dc83");
    check(&Entry::string(b"k", b"x", Some(1)), "0745672cb1bf060476eedeb8a28f5ffe1ff5a2be");
}

#[test]
fn lists() {
    both(|limits| {
        let elements: [&[u8]; 4] = [b"a", b"1", b"b", b"a"];
        check(&entry(List::from_elements(elements, limits)), "ada243a2afbbaee3f4542005e5adb5a281161634");
    });
}

#[test]
fn sets() {
    both(|limits| {
        for (members, expected) in [
            (["3", "1", "2"], "2a462a3f51a1db89738ebbeef0c47ce1bbc85246"),
            (["x", "y", "7"], "a6afcc473373536adb071da403abcb70a693d104"),
        ] {
            let mut set = Set::with_hint(members[0].as_bytes(), members.len(), limits);
            members.iter().for_each(|member| assert!(set.add(member.as_bytes(), limits)));
            check(&entry(set), expected);
        }
    });
}

#[test]
fn sorted_sets() {
    let members =
        [("a", 1.0), ("b", 1.5), ("c", f64::INFINITY), ("d", f64::NEG_INFINITY), ("e", 1e17), ("f", 0.1), ("4", 3.0)];
    let check_with = |zero: f64, limits: &Limits, expected: &str| {
        let mut zset = SortedSet::with_hint(members.len() + 1, 1, limits);
        for (member, score) in members.into_iter().chain([("g", zero)]) {
            zset.add(member.as_bytes(), score, AddFlags::empty(), limits);
        }
        check(&entry(zset), expected);
    };
    both(|limits| check_with(0.0, limits, "71cf85dfb576de48d305eb5b06892e9a91b594ab"));
    // The packed form knows no negative zero, there as here.
    check_with(-0.0, &Limits::default(), "71cf85dfb576de48d305eb5b06892e9a91b594ab");
    let general = Limits { zset_max_listpack_entries: 0, ..Limits::default() };
    check_with(-0.0, &general, "37d3e7b743b20ef913d6167b0032edff09c19e17");
}

#[test]
fn hashes() {
    both(|limits| {
        let mut hash = Hash::new();
        hash.set(b"f", b"v", OldExpiry::Clear, limits);
        hash.set(b"1", b"2", OldExpiry::Clear, limits);
        check(&entry(hash), "78186da816517abac4ec4b92f608dd6059a76ae9");
        let mut hash = Hash::new();
        hash.set(b"f", b"v", OldExpiry::Clear, limits);
        hash.set(b"g", b"w", OldExpiry::Clear, limits);
        hash.set_expiry(b"f", 1000, ExpiryCondition::Always, 0);
        check(&entry(hash), "355879033a5e790f0e021f3025ccea7312d9d282");
    });
}

#[test]
fn streams() {
    let mut stream = Stream::new();
    let limits = Limits::default();
    let fields: [(&[u8], &[u8]); 2] = [(b"f", b"v"), (b"2", b"3")];
    stream.append(NewId::parse(b"1-1").unwrap(), fields, 0, &limits).unwrap();
    stream.append(NewId::parse(b"2-0").unwrap(), [(&b"f"[..], &b"w"[..])], 0, &limits).unwrap();
    check(&entry(stream), "08c2414ed9ae9af6911a9b38f6ef839bf31119ea");
}

#[test]
fn whole_databases() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET s hello", "SET i 12345", "RPUSH l a 1 b a", "SET e x EX 100000", "SELECT 3", "SET other 1"]);
    client.check("DEBUG DIGEST", "+04fc743493c5894f56db4d451a0287b49a9b4d90\r\n");
    client.all(&["FLUSHALL", "SELECT 0"]);
    client.check("DEBUG DIGEST", "+0000000000000000000000000000000000000000\r\n");
    client.all(&["DEBUG POPULATE 3", "DEBUG POPULATE 2 p 4", "DEBUG POPULATE 3"]);
    client.check("DEBUG DIGEST", "+bdd909ebf5136cb872b6b339f250c65897465ea6\r\n");
    client.check("DEBUG DIGEST-VALUE nosuch", "*1\r\n+0000000000000000000000000000000000000000\r\n");
}
