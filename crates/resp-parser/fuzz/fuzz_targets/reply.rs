//! A stream of replies in one piece and the same stream in pieces: same replies, same error. What was decoded encodes
//! to the bytes it came from.
//!
//! The first byte is the size of the pieces; the rest is the stream.

#![no_main]

mod seeds;

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

/// Replies of every type of both protocols, nested ones, and wrong ones.
const STREAMS: [&[u8]; 14] = [
    b"+OK\r\n-ERR no\r\n:-9223372036854775808\r\n",
    b"$5\r\nhello\r\n$0\r\n\r\n$-1\r\n*-1\r\n_\r\n",
    b"*2\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n",
    b"%1\r\n+k\r\n~2\r\n:1\r\n:2\r\n",
    b">2\r\n+message\r\n$1\r\nx\r\n",
    b"#t\r\n#f\r\n,1.5\r\n,inf\r\n,-inf\r\n,nan\r\n",
    b"(12345678901234567890123\r\n=7\r\ntxt:abc\r\n!3\r\nERR\r\n",
    b"|1\r\n+ttl\r\n:3\r\n+OK\r\n",
    b"*2147483647\r\n",
    b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
    b"$9223372036854775807\r\n",
    b":12x\r\n",
    b"$3\r\nabcd\r\n",
    b"?\r\n",
];

fuzz_target!(
    init: seeds::write(STREAMS.iter().flat_map(|stream| [0, 2, 255].map(|size| [&[size], *stream].concat()))),
    |input: &[u8]| {
        let [size, stream @ ..] = input else { return };
        let whole = run(std::iter::once(stream));
        assert_eq!(run(stream.chunks(1 + usize::from(*size))), whole);
        let mut encoded = Vec::new();
        for reply in &whole.0 {
            reply.encode(&mut encoded);
        }
        assert!(stream.starts_with(&encoded));
    }
);
