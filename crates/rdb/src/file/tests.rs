//! Files written by hand, files of other servers, files through the writer and the splitter, and files that are none.

mod golden;

use fastrand::Rng;
use store::entry::Entry;
use store::value::Limits;

use super::*;
use crate::crc64::crc64;
use crate::error::{Error, Problem, Result};
use crate::payload;
use crate::value::Type;
use crate::value::tests::{payloads, show, small_limits, values};
use crate::write::Sink;

#[derive(Default)]
struct Collected(Vec<u8>);

impl Sink for Collected {
    fn take(&mut self, bytes: &[u8]) -> bool {
        self.0.extend_from_slice(bytes);
        true
    }
}

/// Feeds a file in the given pieces.
fn split<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Item>, Result<()>) {
    let (mut splitter, mut items) = (Splitter::new(true), Vec::new());
    let fed = pieces.into_iter().try_for_each(|piece| splitter.feed(piece, &mut items));
    (items, fed.and_then(|()| splitter.finish()))
}

fn items(file: &[u8]) -> Vec<Item> {
    let (items, result) = split([file]);
    assert_eq!(result, Ok(()));
    items
}

fn error(file: &[u8]) -> Error {
    split([file]).1.expect_err("refused")
}

/// A file of a version: what stands between its header and its end mark.
fn file(version: &str, content: &[u8]) -> Vec<u8> {
    let mut file = [b"REDIS", version.as_bytes(), content, &[opcode::END]].concat();
    if version >= "0005" {
        file.extend(crc64(&file).to_le_bytes());
    }
    file
}

fn aux(name: &str, value: &str) -> Item {
    Item::Aux { name: name.into(), value: value.into() }
}

/// Every opcode once, and both ways to tell an expiry.
fn everything() -> Vec<u8> {
    let parts: [&[u8]; 11] = [
        b"\xfa\x09redis-ver\x057.0.0",
        b"\xfa\x0aredis-bits\xc0\x40",
        b"\xf5\x07library",
        b"\xfe\x00\xfb\x05\x02",
        b"\xf4\x05\x02\x01",
        b"\x00\x01a\x01b",
        b"\xfd\x10\0\0\0\x00\x01e\x01f",
        b"\xfc\x11\0\0\0\0\0\0\0\xf8\x41\x00\x04\x01h\x01\x01f\x01v",
        b"\xf9\x07\x00\x01i\xc0\x05",
        b"\xfe\x40\xff\x02\x01s\x02\x01x\x01y",
        b"\x05\x01z\x01\x01m\0\0\0\0\0\0\xf8\x3f",
    ];
    file("0010", &parts.concat())
}

#[test]
fn every_part_of_a_file_is_found() {
    let found = items(&everything());
    let entry = |at: usize| match &found[at] {
        Item::Entry(entry) => entry,
        other => panic!("an entry, not {other:?}"),
    };
    assert_eq!(found[0], aux("redis-ver", "7.0.0"));
    assert_eq!(found[1], aux("redis-bits", "64"));
    assert_eq!(found[2], Item::Function(b"library".to_vec()));
    assert_eq!((&found[3], &found[4]), (&Item::SelectDb(0), &Item::Resize { keys: 5, volatile: 2 }));
    assert_eq!(found[5], Item::SlotInfo { slot: 5, keys: 2, volatile: 1 });
    assert_eq!((entry(6).value_type, &entry(6).body[..], entry(6).expiry), (Type::String, &b"\x01a\x01b"[..], None));
    assert_eq!((&entry(7).key().unwrap()[..], entry(7).expiry), (&b"e"[..], Some(16_000)));
    assert_eq!((entry(8).expiry, entry(8).idle_secs, entry(8).frequency), (Some(17), Some(256), None));
    assert_eq!((entry(9).expiry, entry(9).idle_secs, entry(9).frequency), (None, None, Some(7)));
    assert_eq!((&found[10], entry(11).db, entry(12).db), (&Item::SelectDb(255), 255, 255));
    assert_eq!(found[13], Item::End(Checksum::Right));
    let shown: Vec<String> =
        [6, 7, 8, 9, 11, 12].iter().map(|&at| show(&entry(at).build(&Limits::default()).unwrap())).collect();
    assert_eq!(shown, ["embstr: b", "embstr: f", "listpack: f=v", "int: 5", "listpack: x y", "listpack: m=1.5"]);
}

#[test]
fn pieces_of_any_size_make_the_same_items() {
    let file = everything();
    let whole = items(&file);
    for size in 1..file.len() {
        assert_eq!(split(file.chunks(size)), (whole.clone(), Ok(())), "pieces of {size} bytes");
    }
}

#[test]
fn cut_anywhere_a_file_is_refused_with_the_offset() {
    let file = everything();
    for end in 0..file.len() {
        let (items, result) = split([&file[..end]]);
        assert_eq!(result, Err(Error { offset: end as u64, problem: Problem::Truncated }));
        assert!(!items.iter().any(|item| matches!(item, Item::End(_))));
    }
}

/// Each payload that other servers have dumped, as the only entry of a file.
#[test]
fn values_of_every_type_are_walked_and_built() {
    for (content, dumped) in payloads() {
        let value = payload::verify(&dumped).expect("version and checksum are right");
        let entry = [b"\xfe\x03", &value[..1], b"\x03key", &value[1..]].concat();
        let file = file("0012", &entry);
        for size in [1, 7, file.len()] {
            let (items, result) = split(file.chunks(size));
            assert_eq!(result, Ok(()), "{content}");
            let [Item::SelectDb(3), Item::Entry(entry), Item::End(Checksum::Right)] = &items[..] else {
                panic!("{content}: {items:?}")
            };
            let built = entry.build(&Limits::default()).unwrap_or_else(|error| panic!("{content}: {error}"));
            assert_eq!((show(&built), built.key()), (content.to_owned(), &b"key"[..]));
        }
        for end in 0..file.len() {
            assert_eq!(split([&file[..end]]).1, Err(Error { offset: end as u64, problem: Problem::Truncated }));
        }
    }
}

#[test]
fn what_is_written_is_read_the_same() {
    for limits in [Limits::default(), small_limits()] {
        for seed in 0..20 {
            let mut rng = Rng::with_seed(seed);
            let entries: Vec<(u32, Entry, LastUse)> = values(&mut rng, &limits)
                .into_iter()
                .enumerate()
                .map(|(at, entry)| {
                    let expiry = rng.bool().then(|| rng.i64(..));
                    let last_use =
                        [LastUse::Unknown, LastUse::Idle(rng.u64(..1 << 24)), LastUse::Frequency(rng.u8(..))];
                    (rng.u32(..4), entry.rekeyed(format!("key {at}").as_bytes(), expiry), last_use[rng.usize(..3)])
                })
                .collect();
            let contents = Contents { field_expiries: true, consumer_times: true };
            let file = write(contents, rng.bool(), &entries);
            let (found, result) = split(file.chunks(rng.usize(1..5000)));
            assert_eq!(result, Ok(()));
            assert_eq!(found[0], aux("ctime", "1234567890"));
            let found = found.iter().filter_map(|item| if let Item::Entry(entry) = item { Some(entry) } else { None });
            let mut count = 0;
            for (found, (db, entry, last_use)) in found.zip(&entries) {
                let built = found.build(&limits).unwrap_or_else(|error| panic!("{}: {error}", show(entry)));
                assert_eq!((found.db, found.expiry, built.expiry()), (*db, entry.expiry(), entry.expiry()));
                let expected = match last_use {
                    LastUse::Unknown => (None, None),
                    LastUse::Idle(secs) => (Some(*secs), None),
                    LastUse::Frequency(frequency) => (None, Some(*frequency)),
                };
                assert_eq!((found.idle_secs, found.frequency), expected);
                assert_eq!(built.key(), entry.key());
                assert_eq!(payload::dump(&built).len(), payload::dump(entry).len(), "{}", show(entry));
                count += 1;
            }
            assert_eq!(count, entries.len());
        }
    }
}

fn write(contents: Contents, compress: bool, entries: &[(u32, Entry, LastUse)]) -> Vec<u8> {
    let mut sink = Collected::default();
    let mut writer = FileWriter::new(contents, compress, true, &mut sink);
    writer.aux("ctime", b"1234567890");
    writer.database(1, 5, 0);
    entries.iter().for_each(|(db, entry, last_use)| writer.entry(*db, entry, *last_use));
    let written = writer.end();
    assert_eq!(sink.0.len() as u64, written);
    sink.0
}

#[test]
fn the_version_is_the_lowest_that_holds_the_contents() {
    let version = |field_expiries, consumer_times| Contents { field_expiries, consumer_times }.version();
    assert_eq!(
        [version(false, false), version(false, true), version(true, false), version(true, true)],
        [10, 11, 12, 12]
    );
    // A stream whose consumer has two times is written as an older type where the version has only that.
    let two_times = payloads().find(|(_, bytes)| bytes[0] == Type::StreamV3.number()).expect("there is one").1;
    let restore = || payload::restore(payload::verify(&two_times).unwrap(), b"s", None, &Limits::default()).unwrap();
    for (consumer_times, expected) in [(true, Type::StreamV3), (false, Type::StreamV2)] {
        let contents = Contents { consumer_times, ..Contents::default() };
        let file = write(contents, true, &[(0, restore(), LastUse::Unknown)]);
        let types: Vec<Type> = items(&file)
            .iter()
            .filter_map(|item| if let Item::Entry(e) = item { Some(e.value_type) } else { None })
            .collect();
        assert_eq!(types, [expected]);
        assert_eq!(&file[5..9], if consumer_times { b"0011" } else { b"0010" });
    }
}

#[test]
fn old_versions_have_no_checksum() {
    assert_eq!(items(&file("0003", b"\xfe\0\x00\x01a\x01b")).last(), Some(&Item::End(Checksum::Absent)));
    let mut none = file("0010", b"");
    none.truncate(none.len() - 8);
    none.extend([0; 8]);
    assert_eq!(items(&none), [Item::End(Checksum::Absent)]);
}

#[test]
fn what_follows_the_end_is_left() {
    let file = everything();
    let (mut splitter, mut items) = (Splitter::new(false), Vec::new());
    splitter.feed(&[&file[..], b"*1\r\n"].concat(), &mut items).unwrap();
    assert!(splitter.has_ended());
    assert_eq!(items.last(), Some(&Item::End(Checksum::Ignored)));
    assert_eq!(&splitter.rest()[..], b"*1\r\n");
    assert_eq!(splitter.offset(), file.len() as u64);
}

#[test]
fn errors_tell_what_and_where() {
    let check = |bytes: &[u8], offset, text: &str| {
        assert_eq!(error(bytes).to_string(), format!("{text} at offset {offset}"));
    };
    check(b"VALKEY080", 0, "not the beginning of an RDB file");
    check(b"REDISabcd", 5, "not the beginning of an RDB file");
    check(b"REDIS0000", 5, "RDB version 0 is not known, only those up to 12");
    check(b"REDIS0013", 5, "RDB version 13 is not known, only those up to 12");
    check(b"REDIS0010\x08", 9, "unknown value type 8");
    check(b"REDIS0010\xfe\x81\0\0\0\x01\0\0\0\0", 9, "database 4294967296 is out of range");
    check(b"REDIS0010\xf6", 9, "functions in a form of previews of Redis 7.0 only");
    let id = module_id("ReJSON-RL", 3);
    check(
        &[&b"REDIS0010\xf7"[..], &id].concat(),
        9,
        "there is data of the module 'ReJSON-RL', and there are no modules here",
    );
    check(
        &[&b"REDIS0010\x07\x03key"[..], &id].concat(),
        9,
        "a value belongs to the module 'ReJSON-RL', and there are no modules here",
    );
    let mut wrong = everything();
    wrong[12] ^= 1;
    assert!(matches!(error(&wrong).problem, Problem::Checksum { .. }));
}

fn module_id(name: &str, version: u64) -> Vec<u8> {
    const CHARACTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let id = name.chars().fold(0, |id, character| id << 6 | CHARACTERS.find(character).expect("allowed") as u64);
    [&[0x81][..], &(id << 10 | version).to_be_bytes()].concat()
}

/// With any bytes changed a file is refused or read; nothing panics, and nothing is read beyond it.
#[test]
fn hostile_files_do_no_harm() {
    let mut rng = Rng::with_seed(3);
    let good = everything();
    for _ in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..rng.usize(1..5) {
            let at = rng.usize(..bytes.len());
            bytes[at] = rng.u8(..);
        }
        let (mut splitter, mut items) = (Splitter::new(false), Vec::new());
        let _ = bytes.chunks(rng.usize(1..60)).try_for_each(|piece| splitter.feed(piece, &mut items));
        for item in items {
            if let Item::Entry(entry) = item {
                let _ = entry.build(&Limits::default());
            }
        }
    }
}

/// An incident this prevents: a value that comes in small pieces is walked from its first byte for each of them. A list of
/// half a million elements in pieces of 100 bytes would then take hours.
#[test]
fn a_large_value_is_walked_once() {
    let mut content = b"\xfe\0\x01\x04list\x80\0\x08\0\0".to_vec();
    (0..0x80000).for_each(|_| content.extend(b"\x03abc"));
    let file = file("0010", &content);
    let (items, result) = split(file.chunks(100));
    assert_eq!((items.len(), result), (3, Ok(())));
}
