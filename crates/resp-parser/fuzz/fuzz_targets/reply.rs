//! A stream of replies in one piece and the same stream in pieces: same replies, same error. What was decoded encodes
//! to the bytes it came from.
//!
//! The first byte is the size of the pieces; the rest is the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use resp_parser::{Reply, ReplyDecoder, ReplyError};

fn run<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Reply>, Option<ReplyError>) {
    let mut decoder = ReplyDecoder::new();
    let mut replies = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        loop {
            match decoder.next() {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(error) => return (replies, Some(error)),
            }
        }
    }
    (replies, None)
}

fuzz_target!(|input: &[u8]| {
    let [size, stream @ ..] = input else { return };
    let whole = run(std::iter::once(stream));
    assert_eq!(run(stream.chunks(1 + usize::from(*size))), whole);
    let mut encoded = Vec::new();
    for reply in &whole.0 {
        reply.encode(&mut encoded);
    }
    assert!(stream.starts_with(&encoded));
});
