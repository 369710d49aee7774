//! Values from other servers, values through the codec and back, and bytes that nobody has written.

use std::fmt::Write;

use fastrand::Rng;
use store::value::stream::{NewId, StreamId};

use super::*;
use crate::payload;

/// `content | hex` a line; see the file's head.
const PAYLOADS: &str = include_str!("tests/payloads.txt");

/// Fields are shown whether they have expired or not.
const NEVER: u64 = 0;

pub(crate) fn payloads() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let lines = PAYLOADS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let (content, hex) = line.rsplit_once(" | ").expect("content and bytes");
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
        (content, (0..hex.len()).step_by(2).map(byte).collect())
    })
}

fn restore(payload: &[u8], limits: &Limits) -> Result<Entry> {
    let value = payload::verify(payload).expect("version and checksum are right");
    payload::restore(value, b"key", None, limits)
}

/// Encoding and content of a value, with sets and general hashes in order.
pub(crate) fn show(entry: &Entry) -> String {
    let text = |bytes: &[u8]| match bytes.len() {
        0..1000 => bytes.escape_ascii().to_string(),
        len => format!("{len} bytes like {}", bytes[..3].escape_ascii()),
    };
    let item = |item: store::value::listpack::Item<'_>| text(&item.to_vec());
    let mut parts: Vec<String> = Vec::new();
    if let Some(list) = entry.get::<List>() {
        parts.extend(list.iter().map(item));
    } else if let Some(set) = entry.get::<Set>() {
        parts.extend(set.iter().map(item));
        parts.sort();
    } else if let Some(zset) = entry.get::<SortedSet>() {
        parts.extend(zset.iter().map(|(member, score)| format!("{}={score}", item(member))));
    } else if let Some(hash) = entry.get::<Hash>() {
        parts.extend(hash.iter(NEVER).map(|entry| {
            let expiry = entry.expiry.map(|expiry| format!("@{expiry}")).unwrap_or_default();
            format!("{}={}{expiry}", item(entry.field), item(entry.value))
        }));
        parts.sort();
    } else if let Some(stream) = entry.get::<Stream>() {
        parts.push(show_stream(stream));
    } else {
        parts.push(text(&entry.as_str().expect("a string").bytes()));
    }
    format!("{}: {}", entry.encoding().name(), parts.join(" "))
}

fn show_stream(stream: &Stream) -> String {
    let (last, first, deleted) = (stream.last_id(), stream.first_id(), stream.max_deleted_id());
    let mut text = format!("{} last {last} first {first} deleted {deleted} added", stream.len());
    write!(text, " {}", stream.entries_added()).expect("writing to a string");
    for entry in stream.range(StreamId::MIN, StreamId::MAX) {
        write!(text, " [{entry:?}]").expect("writing to a string");
    }
    for (name, group) in stream.groups() {
        let (name, last, read) = (name.escape_ascii(), group.last_id(), group.entries_read());
        write!(text, " group {name} at {last} read {read:?}").expect("writing to a string");
        for pending in group.pending(StreamId::MIN, StreamId::MAX) {
            let (id, count, time) = (pending.id, pending.delivery_count, pending.delivery_time);
            write!(text, " {id}*{count}@{time}->{}", pending.consumer.escape_ascii()).expect("writing to a string");
        }
        for consumer in group.consumers() {
            let (name, seen, active) = (consumer.name().escape_ascii(), consumer.seen_time(), consumer.active_time());
            write!(text, " {name} seen {seen} active {active:?}").expect("writing to a string");
        }
    }
    text
}

#[test]
fn what_other_servers_wrote_is_read() {
    let limits = Limits::default();
    for (content, payload) in payloads() {
        let entry = restore(&payload, &limits).unwrap_or_else(|error| panic!("{content}: {error}"));
        assert_eq!(show(&entry), content);
    }
}

#[test]
fn every_type_is_read_once_at_least() {
    let mut missing = Type::ALL.to_vec();
    for (_, payload) in payloads() {
        missing.retain(|value_type| value_type.number() != payload[0]);
    }
    assert_eq!(missing, []);
}

#[test]
fn skipping_ends_where_reading_ends() {
    for (content, payload) in payloads() {
        let value = payload::verify(&payload).expect("version and checksum are right");
        let mut reader = Reader::new(value, 0);
        let value_type = Type::read(&mut reader).expect("a type");
        skip(value_type, &mut reader).unwrap_or_else(|error| panic!("{content}: {error}"));
        assert!(reader.rest().is_empty(), "{content}: {} left", reader.rest().len());
        for end in 1..value.len() {
            let cut = skip(value_type, &mut Reader::new(&value[1..end], 0));
            assert!(cut.is_err_and(|error| error.problem == Problem::Truncated), "{content} cut at {end}");
        }
    }
}

#[test]
fn what_we_write_is_read_the_same() {
    for limits in [Limits::default(), small_limits()] {
        for seed in 0..40 {
            let mut rng = Rng::with_seed(seed);
            for entry in values(&mut rng, &limits) {
                let payload = payload::dump(&entry);
                let again = restore(&payload, &limits).unwrap_or_else(|error| panic!("{}: {error}", show(&entry)));
                // A hash whose fields have lost their expiries, or a listpack of integers left of a mixed set, comes
                // back in its plain form.
                let content = |entry: &Entry| show(entry).split_once(": ").map(|(_, content)| content.to_owned());
                assert_eq!(content(&again), content(&entry));
                assert_eq!(payload::dump(&again).len(), payload.len(), "{}", show(&entry));
            }
        }
    }
}

/// The design promises that Redis 7.0 reads what we write unless a value has what 7.0 does not know.
#[test]
fn the_version_is_the_lowest_that_holds_the_value() {
    let limits = Limits::default();
    let version = |entry: &Entry| {
        let payload = payload::dump(entry);
        u16::from_le_bytes([payload[payload.len() - 10], payload[payload.len() - 9]])
    };
    let mut hash = Hash::new();
    hash.set(b"f", b"v", store::value::hash::OldExpiry::Clear, &limits);
    assert_eq!(version(&Entry::boxed(b"k", hash.clone(), None)), 10);
    hash.set_expiry(b"f", 5000, store::value::hash::ExpiryCondition::Always, 0);
    assert_eq!(version(&Entry::boxed(b"k", hash.clone(), None)), 12);
    hash.persist(b"f", 0);
    assert_eq!(version(&Entry::boxed(b"k", hash, None)), 10);
    let mut set = Set::new();
    set.add(b"text", &limits);
    assert_eq!(version(&Entry::boxed(b"k", set, None)), 10);
    let mut stream = Stream::new();
    stream.append(NewId::Exact(StreamId::new(1, 1)), [(&b"f"[..], &b"v"[..])], 0, &limits).expect("added");
    stream.create_group(b"g", StreamId::MIN, None);
    stream.deliver(b"g", b"c", 0, false, 77);
    assert_eq!(version(&Entry::boxed(b"k", stream.clone(), None)), 10, "seen and active at one time");
    stream.touch_consumer(b"g", b"c", 78);
    assert_eq!(version(&Entry::boxed(b"k", stream, None)), 11);
}

/// Cut anywhere, or with any byte changed, bytes are refused or make some value; they never panic.
#[test]
fn hostile_bytes_are_refused_or_make_a_value() {
    let limits = Limits::default();
    let mut rng = Rng::with_seed(8);
    for (content, payload) in payloads() {
        let value = payload::verify(&payload).expect("version and checksum are right");
        for end in 0..value.len() {
            assert!(payload::restore(&value[..end], b"key", None, &limits).is_err(), "{content} cut at {end}");
        }
        for _ in 0..if value.len() < 200 { 3000 } else { 300 } {
            let mut bytes = value.to_vec();
            for _ in 0..rng.usize(1..4) {
                let at = rng.usize(..bytes.len());
                bytes[at] = if rng.bool() { rng.u8(..) } else { bytes[at] ^ (1 << rng.u8(..8)) };
            }
            if let Ok(entry) = payload::restore(&bytes, b"key", None, &limits) {
                show(&entry);
                payload::dump(&entry);
            }
        }
    }
}

#[test]
fn errors_tell_what_and_where() {
    let limits = Limits::default();
    let check = |bytes: &[u8], offset, problem| {
        let error = payload::restore(bytes, b"key", None, &limits).err();
        assert_eq!(error, Some(Error { offset, problem }), "{bytes:?}");
    };
    check(b"", 0, Problem::Truncated);
    check(b"\x06\0", 0, Problem::Module(6));
    check(b"\x07\0", 0, Problem::Module(7));
    check(b"\x08\0", 0, Problem::Type(8));
    check(b"\x16\0", 0, Problem::Preview(22));
    check(b"\x17\0", 0, Problem::Preview(23));
    check(b"\x02\0", 1, Problem::Empty);
    check(b"\x02\x02\x01a\x01a", 4, Problem::Twice);
    check(b"\x12\x01\x05\x01a", 2, Problem::Container(5));
    check(b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x7f", 4, Problem::Score);
    check(b"\x0a\x01a", 1, Problem::Ziplist);
    check(b"\x09\x01a", 1, Problem::Zipmap);
    check(b"\x0f\x01\x01a\x01b", 2, Problem::StreamId);
    // A count of 2^63 elements ends where the bytes end.
    check(b"\x01\x81\x80\0\0\0\0\0\0\0\x01a", 12, Problem::Truncated);
}

pub(crate) fn small_limits() -> Limits {
    Limits {
        hash_max_listpack_entries: 4,
        list_max_listpack_size: 4,
        set_max_intset_entries: 4,
        set_max_listpack_entries: 4,
        zset_max_listpack_entries: 4,
        stream_node_max_entries: 5,
        ..Limits::default()
    }
}

/// A value of each kind.
pub(crate) fn values(rng: &mut Rng, limits: &Limits) -> Vec<Entry> {
    let count = [1, 3, 20, 200, 700][rng.usize(..5)];
    let (mut list, mut set, mut ints) = (List::new(), Set::new(), Set::new());
    let (mut zset, mut hash, mut stream) = (SortedSet::new(), Hash::new(), Stream::new());
    for index in 0..count {
        let word = word(rng);
        list.push_all(store::value::list::Side::Right, [&word[..]], limits);
        set.add(&word, limits);
        ints.add(rng.i64(-40_000..40_000).to_string().as_bytes(), limits);
        let score = [f64::INFINITY, rng.f64(), rng.i32(..).into(), -0.0][rng.usize(..4)];
        zset.add(&word, score, store::value::zset::AddFlags::empty(), limits);
        hash.set(&word, &self::word(rng), store::value::hash::OldExpiry::Clear, limits);
        if rng.u8(..4) == 0 {
            hash.set_expiry(&word, rng.u64(1..1 << 46), store::value::hash::ExpiryCondition::Always, NEVER);
        }
        let id = StreamId::new(index / 3, index % 3 + 1);
        stream.append(NewId::Exact(id), [(&word[..], &b"v"[..])], 0, limits).expect("ids ascend");
    }
    stream.delete(&[StreamId::new(0, 2), StreamId::new(1, 1)]);
    stream.create_group(b"g", StreamId::MIN, None);
    stream.deliver(b"g", b"a", 2, false, 1000);
    stream.deliver(b"g", b"b", 5, false, 2000);
    stream.touch_consumer(b"g", b"b", 3000);
    let long = word(rng).repeat(rng.usize(..9000));
    let big = list.len();
    list.push(store::value::list::Side::Left, store::value::listpack::Item::Bytes(&vec![b'z'; big * 100]), limits);
    vec![
        Entry::string(b"k", &word(rng), None),
        Entry::string(b"k", &long, None),
        Entry::boxed(b"k", list, None),
        Entry::boxed(b"k", set, None),
        Entry::boxed(b"k", ints, None),
        Entry::boxed(b"k", zset, None),
        Entry::boxed(b"k", hash, None),
        Entry::boxed(b"k", stream, None),
    ]
}

fn word(rng: &mut Rng) -> Vec<u8> {
    match rng.usize(..5) {
        0 => rng.i64(..).to_string().into_bytes(),
        1 => rng.i32(-200..200).to_string().into_bytes(),
        2 => vec![b'a' + rng.u8(..26); rng.usize(..90)],
        3 => (0..rng.usize(..12)).map(|_| rng.u8(..)).collect(),
        _ => format!("word{}", rng.u16(..)).into_bytes(),
    }
}
