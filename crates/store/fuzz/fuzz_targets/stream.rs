//! A stream out of parts of unknown origin: it is refused, or it can be read, changed, trimmed and handed out like any
//! other, beside a model.
//!
//! The first byte chooses limits and counters, the next two the changes. Then come the last id's two bytes, the number of
//! pending entries, and their ids as two bytes each; the rest is one node's listpack, or two nodes' that are parted by the
//! first byte's value.

#![no_main]

use libfuzzer_sys::fuzz_target;
use store::entry::Entry;
use store::value::stream::{
    ConsumerParts, CountersParts, GroupParts, NewId, PendingParts, Stream, StreamId, StreamParts,
};
use store_fuzz::{seeds, values};

const SMALL_LIMITS: u8 = 1;
const COUNTERS: u8 = 2;
const TWO_NODES: u8 = 4;
const LARGE_COUNTERS: u8 = 8;

fuzz_target!(
    init: seeds::write(start()),
    |input: &[u8]| {
        let [choice, seed @ .., ] = input else { return };
        let Some((seed, rest)) = seed.split_first_chunk::<2>() else { return };
        let Some((parts, length_known)) = parts(*choice, rest) else { return };
        let limits = values::limits(choice & SMALL_LIMITS != 0);
        // The length is the one thing that a fuzzer can hardly guess: it is what the nodes have, or what was claimed.
        let Ok(stream) = built(parts, length_known) else { return };
        values::exercise(&mut Entry::boxed(b"key", stream, None), &limits, u16::from_le_bytes(*seed).into());
    }
);

/// Tries the lengths that a few nodes can have.
fn built(parts: StreamParts, length: u64) -> Result<Stream, ()> {
    let at = |length| Stream::from_parts(StreamParts { length, ..parts.clone() });
    at(length).or_else(|_| (0..20).find_map(|length| at(length).ok()).ok_or(()))
}

fn id(bytes: [u8; 2]) -> StreamId {
    // The largest byte stands for the largest id.
    if bytes == [255; 2] { StreamId::MAX } else { StreamId::new(bytes[0].into(), bytes[1].into()) }
}

fn parts(choice: u8, rest: &[u8]) -> Option<(StreamParts, u64)> {
    let (last_id, rest) = rest.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first()?;
    let mut group = GroupParts { name: b"g".to_vec(), last_id: id(*last_id), ..GroupParts::default() };
    let mut consumer = ConsumerParts { name: b"bob".to_vec(), ..ConsumerParts::default() };
    for _ in 0..count % 8 {
        let (bytes, tail) = rest.split_first_chunk::<2>()?;
        rest = tail;
        group.pending.push(PendingParts { id: id(*bytes), delivery_time: 5, delivery_count: u64::MAX });
        consumer.pending.push(id(*bytes));
    }
    group.consumers.push(consumer);
    let at = if choice & TWO_NODES == 0 { rest.len() } else { usize::from(choice).min(rest.len()) };
    let (first, second) = rest.split_at(at);
    let mut nodes = vec![(StreamId::new(1, 1), first.to_vec())];
    if !second.is_empty() {
        nodes.push((StreamId::new(9, 0), second.to_vec()));
    }
    let added = if choice & LARGE_COUNTERS == 0 { 7 } else { u64::MAX };
    let counters = (choice & COUNTERS != 0).then_some(CountersParts {
        first_id: StreamId::new(1, 1),
        max_deleted_id: StreamId::MIN,
        entries_added: added,
    });
    let length = u64::from(count / 8);
    Some((StreamParts { nodes, length, last_id: id(*last_id), counters, groups: vec![group] }, length))
}

/// Streams with shared and own fields, with a deleted entry, and the stream without entries.
fn start() -> Vec<Vec<u8>> {
    let limits = values::limits(false);
    let mut stream = Stream::new();
    let mut seeds = Vec::new();
    let rows: [&[(&[u8], &[u8])]; 4] =
        [&[(b"a", b"1")], &[(b"a", b"2")], &[(b"b", b"x"), (b"c", b"-70000")], &[(b"a", b"a longer value")]];
    for (seq, fields) in rows.into_iter().enumerate() {
        let id = NewId::Exact(StreamId::new(1, 1 + seq as u64));
        stream.append(id, fields.iter().copied(), 0, &limits).expect("an entry");
        seeds.push(stream.clone());
    }
    stream.delete(&[StreamId::new(1, 2)]);
    seeds.push(stream);
    let node = |stream: &Stream| stream.nodes().next().map(|(_, pack)| pack.as_bytes().to_vec()).unwrap_or_default();
    let head = |choice: u8, stream: &Stream| vec![choice, 3, 1, 1, 9, (stream.len() as u8) << 3 | 2, 1, 1, 1, 2];
    seeds
        .iter()
        .flat_map(|stream| [0, COUNTERS, SMALL_LIMITS, COUNTERS | LARGE_COUNTERS].map(|choice| (choice, stream)))
        .map(|(choice, stream)| [head(choice, stream), node(stream)].concat())
        .collect()
}
