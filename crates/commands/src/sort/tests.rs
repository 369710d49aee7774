use store::entry::{Boxed, Entry};
use store::guard::Key;
use store::stripe::Mode;
use store::value::Limits;
use store::value::hash::{ExpiryCondition, Hash, OldExpiry};
use store::value::set::Set;
use store::value::zset::{AddFlags, SortedSet};

use crate::testing::{START_MS, Server};

/// Puts a value under a key, whatever commands there are for its type.
fn put<T: Boxed>(server: &Server, key: &str, value: T) {
    let (key, section) = (Key::new(key.as_bytes()), server.keyspace.gate().enter());
    let mut guard = server.keyspace.lock_one(&section, 0, key.hash, Mode::Exclusive);
    guard.insert(0, key.hash, Entry::boxed(key.bytes, value, None));
}

/// The reply of a command as words: an array of bulk strings.
fn array(items: &[&str]) -> String {
    let bulks = items.iter().map(|item| format!("${}\r\n{item}\r\n", item.len()));
    format!("*{}\r\n{}", items.len(), bulks.collect::<String>())
}

#[test]
fn numbers_texts_and_directions() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["RPUSH l 10 9 -1 1e1 2.5"]);
    client.check("SORT l", &array(&["-1", "2.5", "9", "10", "1e1"]));
    client.check("SORT l DESC", &array(&["1e1", "10", "9", "2.5", "-1"]));
    client.check("SORT l ALPHA LIMIT 1 2", &array(&["10", "1e1"]));
    client.check("SORT l LIMIT -5 2", &array(&["-1", "2.5"]));
    client.check("SORT l LIMIT 9 9", "*0\r\n");
    client.check("SORT l LIMIT 9223372036854775807 9223372036854775807", "*0\r\n");
    client.check("SORT l BY nosort LIMIT 1 2", &array(&["9", "-1"]));
    client.check("SORT l BY nosort DESC LIMIT 1 2", &array(&["1e1", "-1"]));
    client.check("SORT none", "*0\r\n");
    client.all(&["RPUSH l x"]);
    client.check("SORT l", "-ERR One or more scores can't be converted into double\r\n");
}

#[test]
fn weights_and_values_of_other_keys() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["RPUSH l 1 2 3", "MSET w1 30 w2 20 w3 10 v1 one v2 two"]);
    client.check("SORT l BY w*", &array(&["3", "2", "1"]));
    client.check("SORT l BY nokey*", &array(&["1", "2", "3"]));
    client.check("SORT_RO l BY w* GET # GET v* LIMIT 0 2", "*4\r\n$1\r\n3\r\n$-1\r\n$1\r\n2\r\n$3\r\ntwo\r\n");
    client.check("SORT_RO l STORE x", "-ERR syntax error\r\n");
    // Of the transaction's keys none is the source's neighbour only: each look takes its own guard.
    client.all(&["MULTI", "SORT l BY w* GET v*", "SET v3 three"]);
    client.check("EXEC", "*2\r\n*3\r\n$-1\r\n$3\r\ntwo\r\n$3\r\none\r\n+OK\r\n");
}

/// The harness has 64 stripes; with 200 weights some lie in the stripes that the command itself holds.
#[test]
fn keys_in_the_commands_own_stripes_do_not_lock_it_up() {
    let server = Server::new();
    let mut client = server.client();
    let elements: Vec<String> = (0..200).map(|int| int.to_string()).collect();
    client.all(&[&format!("RPUSH l {}", elements.join(" "))]);
    elements.iter().for_each(|element| client.all(&[&format!("SET w{element} -{element}")]));
    let descending: Vec<&str> = elements.iter().rev().map(String::as_str).collect();
    client.check("SORT l BY w*", &array(&descending));
    client.check("SORT l BY w* STORE d", ":200\r\n");
    client.check("LRANGE d 0 -1", &array(&descending));
}

#[test]
fn what_depends_on_the_source_alone_is_stored_again_wherever_it_is_applied() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["RPUSH l b a", "SET d x"]);
    server.forget();
    let before = client.env.stats.dirty.get();
    client.check("SORT l ALPHA STORE d", ":2\r\n");
    client.check("SORT l ALPHA GET # STORE l", ":2\r\n");
    client.check("LRANGE l 0 -1", &array(&["a", "b"]));
    client.check("SORT none STORE d", ":0\r\n");
    client.check("SORT none STORE d", ":0\r\n");
    assert_eq!(server.log(), ["0 SORT l ALPHA STORE d", "0 SORT l ALPHA GET # STORE l", "0 SORT none STORE d"]);
    assert_eq!(server.events(), ["0 sortstore d", "0 sortstore l", "0 keymiss none", "0 del d", "0 keymiss none"]);
    assert_eq!(client.env.stats.dirty.get() - before, 5);
}

#[test]
fn what_depends_on_other_keys_is_propagated_as_what_it_stored() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["RPUSH l b a", "SET d x", "SET va 1 PX 10"]);
    server.advance_ms(10);
    server.forget();
    client.check("SORT l ALPHA GET # GET v* STORE d", ":4\r\n");
    // The expired key is hidden from the SORT and removed behind it.
    let stored = ["0 MULTI", "0 DEL d", "0 RPUSH d a  b ", "0 EXEC", "0 DEL va"];
    assert_eq!(server.log(), stored);
    client.check("SORT l BY v* GET v* LIMIT 5 5 STORE d", ":0\r\n");
    assert_eq!(server.log(), ["0 DEL d"]);
    client.check("SORT l BY v* GET v* LIMIT 5 5 STORE d", ":0\r\n");
    assert!(server.log().is_empty());
}

#[test]
fn a_long_result_is_propagated_in_pieces() {
    let server = Server::new();
    let mut client = server.client();
    let elements: Vec<String> = (0..3000).map(|int| int.to_string()).collect();
    client.all(&[&format!("RPUSH l {}", elements.join(" "))]);
    server.forget();
    client.check("SORT l GET # GET none* STORE d LIMIT 0 1500", ":3000\r\n");
    let log = server.log();
    assert_eq!((log.len(), log[0].as_str(), log[4].as_str()), (5, "0 MULTI", "0 EXEC"));
    assert!(log[1..4].iter().all(|push| push.starts_with("0 RPUSH d ")));
    assert_eq!(log[1..4].iter().map(|push| push.split(' ').count() - 3).collect::<Vec<_>>(), [1024, 1024, 952]);
}

#[test]
fn a_source_that_has_expired_is_empty_and_its_removal_comes_first() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["RPUSH l 1", "PEXPIRE l 10", "SET d x"]);
    server.advance_ms(10);
    server.forget();
    client.check("SORT l STORE d", ":0\r\n");
    assert_eq!(server.log(), ["0 MULTI", "0 DEL l", "0 SORT l STORE d", "0 EXEC"]);
    assert_eq!(server.events(), ["0 expired l", "0 keymiss l", "0 del d"]);
}

#[test]
fn a_set_that_is_stored_unsorted_is_sorted_all_the_same() {
    let server = Server::new();
    let mut client = server.client();
    let mut set = Set::new();
    ["b", "c", "a"].iter().for_each(|member| assert!(set.add(member.as_bytes(), &Limits::default())));
    put(&server, "s", set);
    client.check("SORT s BY nosort", &array(&["b", "c", "a"]));
    client.check("SORT s", "-ERR One or more scores can't be converted into double\r\n");
    client.check("SORT s BY nosort STORE d DESC LIMIT 0 2", ":2\r\n");
    client.check("LRANGE d 0 -1", &array(&["c", "b"]));
}

#[test]
fn a_sorted_set_that_is_not_sorted_comes_by_rank() {
    let server = Server::new();
    let mut client = server.client();
    let mut zset = SortedSet::new();
    for (member, score) in [("a", 3.0), ("b", 2.0), ("c", 1.0), ("d", 0.0)] {
        zset.add(member.as_bytes(), score, AddFlags::default(), &Limits::default());
    }
    put(&server, "z", zset);
    client.check("SORT_RO z ALPHA", &array(&["a", "b", "c", "d"]));
    client.check("OBJECT ENCODING z", "$8\r\nlistpack\r\n");
    for _ in 0..2 {
        client.check("SORT z BY nosort", &array(&["d", "c", "b", "a"]));
        client.check("SORT z BY nosort LIMIT 1 2", &array(&["c", "b"]));
        client.check("SORT z BY nosort DESC LIMIT 1 9", &array(&["b", "c", "d"]));
        client.check("SORT z BY nosort DESC LIMIT 9 9", "*0\r\n");
        client.check("OBJECT ENCODING z", "$8\r\nskiplist\r\n");
    }
    assert!(server.log().is_empty());
}

#[test]
fn fields_of_hashes_are_weights_and_values_until_they_expire() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["RPUSH l 1 2 3", "SET h3 x"]);
    for (key, weight) in [("h1", "9"), ("h2", "8")] {
        let mut hash = Hash::new();
        hash.set(b"f", weight.as_bytes(), OldExpiry::Clear, &Limits::default());
        if key == "h1" {
            hash.set_expiry(b"f", (START_MS + 5) as u64, ExpiryCondition::Always, START_MS as u64);
        }
        put(&server, key, hash);
    }
    client.check("SORT l BY h*->f GET h*->f", "*3\r\n$-1\r\n$1\r\n8\r\n$1\r\n9\r\n");
    client.check("SORT l BY h*->nofield DESC", &array(&["3", "2", "1"]));
    client.check("SORT l GET h*", "*3\r\n$-1\r\n$-1\r\n$1\r\nx\r\n");
    // A field lives through the millisecond of its deadline.
    server.advance_ms(6);
    client.check("SORT l BY h*->f GET h*->f", "*3\r\n$-1\r\n$-1\r\n$1\r\n8\r\n");
}
