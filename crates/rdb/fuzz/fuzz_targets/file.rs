//! A whole file, in pieces of a size that the first byte chooses: it is refused, or its entries are built or refused.
//! However it is cut up, the same comes of it. Checksums are not looked at, for they would stop the fuzzer at the door.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rdb::error::Result;
use rdb::file::{Item, Splitter};
use store::value::Limits;

fn split<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Item>, Result<()>) {
    let (mut splitter, mut items) = (Splitter::new(false), Vec::new());
    let mut pieces = pieces;
    let fed = pieces.try_for_each(|piece| splitter.feed(piece, &mut items));
    (items, fed.and_then(|()| splitter.finish()))
}

fuzz_target!(|input: &[u8]| {
    let [size, file @ ..] = input else { return };
    let whole = split([file].into_iter());
    let pieces = split(file.chunks(usize::from(*size) + 1));
    assert_eq!(whole, pieces);
    for item in whole.0 {
        if let Item::Entry(entry) = item {
            let built = entry.build(&Limits::default());
            assert!(built.is_err() || entry.key().is_ok_and(|key| built.is_ok_and(|built| built.key() == &*key)));
        }
    }
});
