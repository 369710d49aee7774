//! A stream of requests in one piece and the same stream in pieces: same commands, same error, same bytes consumed.
//!
//! The first two bytes choose limits and piece sizes; the rest is the stream.

#![no_main]

mod seeds;

use libfuzzer_sys::fuzz_target;
use resp_parser::{Batch, Limits, ProtocolError, RequestParser};

#[derive(Debug, Default, PartialEq)]
struct Outcome {
    commands: Vec<Vec<Vec<u8>>>,
    error: Option<ProtocolError>,
    consumed: usize,
}

fn run(pieces: impl Iterator<Item = impl AsRef<[u8]>>, limits: &Limits, max: usize) -> Outcome {
    let (mut parser, mut batch, mut buffer) = (RequestParser::default(), Batch::new(), Vec::new());
    let mut outcome = Outcome::default();
    for piece in pieces {
        buffer.extend_from_slice(piece.as_ref());
        while outcome.error.is_none() {
            batch.clear();
            outcome.error = parser.parse(&buffer, limits, max, &mut batch).err();
            for command in batch.iter() {
                assert!(!command.args.is_empty() && command.end <= parser.consumed());
                outcome.commands.push(command.iter(&buffer).map(<[u8]>::to_vec).collect());
            }
            let consumed = parser.consumed();
            buffer.drain(..consumed);
            parser.discard(consumed);
            outcome.consumed += consumed;
            if batch.len() < max {
                break;
            }
        }
    }
    outcome
}

/// Cuts `stream` into pieces of 1 to 32 bytes, by a small generator so that the fuzzer sees stable cuts.
fn pieces(stream: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut state) = (stream, u32::from(seed) + 1);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let len = if seed == 0 { 1 } else { 1 + (state >> 27) as usize };
        let (piece, tail) = rest.split_at(len.min(rest.len()));
        rest = tail;
        Some(piece)
    })
}

/// Requests of both kinds, whole, pipelined and wrong, each under every choice of limits.
const STREAMS: [&[u8]; 12] = [
    b"*1\r\n$4\r\nPING\r\n",
    b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nv\r\nal\r\n*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n",
    b"*0\r\n*-1\r\n\r\n*1\r\n$0\r\n\r\n",
    b"PING\r\nSET a \"x\\x41\\n\" 'it\\'s'\r\n  \r\nGET a\n",
    b"SET a \"open\r\n",
    b"*2\r\n:1\r\n",
    b"*x\r\n",
    b"*2147483648\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$536870913\r\n",
    b"*1\r\n$10000000000000000000\r\n",
    b"*11\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n",
];

fuzz_target!(
    init: seeds::write(STREAMS.iter().flat_map(|stream| (0..16).map(|choice| [&[choice, choice], *stream].concat()))),
    |input: &[u8]| {
        let [choice, seed, stream @ ..] = input else { return };
        let authenticated = choice & 1 == 1;
        let limits = match choice >> 1 & 3 {
            0 => Limits::new(512 << 20, authenticated),
            1 => Limits { inline_len_max: 24, ..Limits::new(512 << 20, authenticated) },
            2 => Limits::new(100, authenticated),
            _ => Limits::new(u64::MAX, authenticated),
        };
        let max = if choice & 8 == 0 { usize::MAX } else { 1 + usize::from(choice >> 4) };
        let whole = run(std::iter::once(stream), &limits, usize::MAX);
        assert_eq!(run(pieces(stream, *seed), &limits, max), whole);
    }
);
