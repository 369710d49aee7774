//! A whole file, in pieces of a size that the first byte chooses: it is refused, or its entries are built or refused.
//! However it is cut up, the same comes of it. Checksums are not looked at, for they would stop the fuzzer at the door.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rdb::error::Result;
use rdb::file::{Contents, FileWriter, Item, LastUse, Splitter};
use rdb::payload;
use rdb::write::Sink;
use store::value::Limits;
use store_fuzz::{seeds, values};

fn split<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Item>, Result<()>) {
    let (mut splitter, mut items) = (Splitter::new(false), Vec::new());
    let mut pieces = pieces;
    let fed = pieces.try_for_each(|piece| splitter.feed(piece, &mut items));
    (items, fed.and_then(|()| splitter.finish()))
}

fuzz_target!(
    init: seeds::write(start()),
    |input: &[u8]| {
        let [size, file @ ..] = input else { return };
        let limits = values::limits(size & 1 == 1);
        let whole = split([file].into_iter());
        let pieces = split(file.chunks(usize::from(*size) + 1));
        assert_eq!(whole, pieces);
        for item in whole.0 {
            if let Item::Entry(entry) = item
                && let Ok(mut built) = entry.build(&limits)
            {
                assert!(entry.key().is_ok_and(|key| built.key() == &*key));
                values::exercise(&mut built, &limits, (*size).into());
            }
        }
    }
);

/// Collects what is written.
struct Bytes(Vec<u8>);

impl Sink for Bytes {
    fn take(&mut self, bytes: &[u8]) -> bool {
        self.0.extend_from_slice(bytes);
        true
    }
}

/// A file with every kind of part, one for each value, and those of other servers.
fn start() -> Vec<Vec<u8>> {
    let limits = Limits::default();
    let contents = Contents { field_expiries: true, consumer_times: true };
    let entries: Vec<_> = rdb_fuzz::values()
        .zip(0_u64..)
        .filter_map(|(value, number)| {
            let expiry = (number % 3 == 0).then_some(1_000_000 + number as i64);
            payload::restore(&value, format!("key {number}").as_bytes(), expiry, &limits).ok()
        })
        .collect();
    let file = |from: usize, to: usize| {
        let mut bytes = Bytes(vec![7]);
        let mut writer = FileWriter::new(contents, true, true, &mut bytes);
        writer.aux("redis-ver", b"8.0.2");
        writer.database(0, entries.len() as u64, 3);
        for (entry, number) in entries[from..to].iter().zip(0_u32..) {
            let last_use = [LastUse::Unknown, LastUse::Idle(77), LastUse::Frequency(9)][number as usize % 3];
            writer.entry(number % 3, entry, last_use);
        }
        writer.end();
        bytes.0
    };
    let mut seeds: Vec<_> = (0..entries.len()).map(|at| file(at, at + 1)).collect();
    seeds.push(file(0, entries.len()));
    seeds.push(file(0, 0));
    // The parts that we do not write: seconds, a slot of a cluster, a function.
    seeds.push(b"\x03REDIS0011\xfd\x01\0\0\0\0\x03key\x05value\xf4\x01\x02\0\xf5\x04code\xff\0\0\0\0\0\0\0\0".to_vec());
    // In pieces of 8 bytes, under small limits.
    seeds.extend(rdb_fuzz::files().map(|file| [b"\x07", file].concat()));
    seeds
}
