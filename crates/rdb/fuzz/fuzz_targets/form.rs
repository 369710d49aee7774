//! One packed form of any age (ziplist, zipmap, listpack, set of integers, nodes of a list) as its bare bytes: the
//! string around it, which a fuzzer would have to keep in step with every change, is put there by this target.
//!
//! The first byte chooses the type, the second limits and changes; the rest is the form.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rdb::payload;
use rdb::read::Reader;
use rdb::value::{self, Type};
use store_fuzz::{seeds, values};

/// The types whose value is one string.
const BARE: [Type; 8] = [
    Type::HashZipmap,
    Type::ListZiplist,
    Type::SetIntset,
    Type::ZsetZiplist,
    Type::HashZiplist,
    Type::HashListpack,
    Type::ZsetListpack,
    Type::SetListpack,
];
/// Those with something before the string: how many nodes, of which kind, or the earliest expiry.
const HEADED: [(Type, &[u8]); 4] = [
    (Type::ListQuicklist, &[1]),
    (Type::ListQuicklist2, &[1, 1]),
    (Type::ListQuicklist2, &[1, 2]),
    (Type::HashListpackExpiries, &[0; 8]),
];

fuzz_target!(
    init: seeds::write(start()),
    |input: &[u8]| {
        let [choice, limits, form @ ..] = input else { return };
        let (seed, limits) = (u64::from(*limits), values::limits(limits & 1 == 1));
        let (value_type, head) = kind(usize::from(*choice));
        let mut value = head.to_vec();
        value.push(0x80);
        value.extend((form.len() as u32).to_be_bytes());
        value.extend_from_slice(form);
        let mut reader = Reader::new(&value, 0);
        let Ok(mut entry) = value::read(value_type, &mut reader, b"key", None, &limits) else { return };
        assert!(reader.rest().is_empty());
        values::exercise(&mut entry, &limits, seed);
        if !values::is_empty(&entry) {
            let payload = payload::dump(&entry);
            let verified = payload::verify(&payload).expect("its checksum is right");
            payload::restore(verified, b"key", None, &limits).expect("what we dump, restores");
        }
    }
);

fn kind(choice: usize) -> (Type, &'static [u8]) {
    let choice = choice % (BARE.len() + HEADED.len());
    BARE.get(choice).map_or_else(|| HEADED[choice - BARE.len()], |bare| (*bare, &[]))
}

/// The strings of the payloads of these types.
fn start() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for value in rdb_fuzz::values() {
        for choice in 0..BARE.len() + HEADED.len() {
            let (value_type, head) = kind(choice);
            let at = 1 + head.len();
            if value[0] == value_type.number() && value.len() > at {
                // What does not read as a string is of another kind of node.
                let form = Reader::new(&value[at..], 0).string();
                seeds.extend(form.into_iter().map(|form| [&[choice as u8, 0], &*form].concat()));
            }
        }
    }
    seeds
}
