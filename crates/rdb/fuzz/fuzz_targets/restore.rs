//! A payload's value, without the version and checksum that would stop the fuzzer at the door: it is refused, or it makes
//! a value that dumps and restores, and that reads and changes like any other. What reads to the end, skips to the end.
//!
//! The first byte chooses the limits and the changes; the rest is the value's type and the value.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rdb::payload;
use rdb::read::Reader;
use rdb::value::{self, Type};
use store::entry::Entry;
use store::value::Limits;
use store_fuzz::{seeds, values};

fuzz_target!(
    init: seeds::write(rdb_fuzz::values().flat_map(|value| [0, 1].map(|choice| [&[choice], &*value].concat()))),
    |input: &[u8]| {
        let [choice, value @ ..] = input else { return };
        let limits = values::limits(choice & 1 == 1);
        let mut reader = Reader::new(value, 0);
        let Ok(value_type) = Type::read(&mut reader) else { return };
        let mut skipped = reader.clone();
        let Ok(mut entry) = value::read(value_type, &mut reader, b"key", None, &limits) else { return };
        value::skip(value_type, &mut skipped).expect("what reads, skips");
        assert_eq!(skipped.offset(), reader.offset());
        let again = restored(&entry, &limits);
        // Once through the codec a value may change its form: a listpack of integers comes back as a set of integers.
        // After that it stays.
        assert_eq!(payload::dump(&again).len(), payload::dump(&restored(&again, &limits)).len());
        values::exercise(&mut entry, &limits, (*choice).into());
    }
);

fn restored(entry: &Entry, limits: &Limits) -> Entry {
    let payload = payload::dump(entry);
    let verified = payload::verify(&payload).expect("its checksum is right");
    payload::restore(verified, b"key", None, limits).expect("what we dump, restores")
}
