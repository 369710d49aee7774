//! The framing of a full copy beside a model that has all of it at once: the data ends where the mark first stands in it,
//! or where its length says, however the bytes come in pieces, and not a byte behind it is touched.
//!
//! The mark's bytes are few, so that the data is full of its beginnings. The first byte is the size of the pieces, the
//! second tells length or mark, the third is the mark's period; the rest is data, of which each byte counts as one of four.

#![no_main]

mod seeds;

use libfuzzer_sys::fuzz_target;
use replication::handshake::payload::{Framing, MARK_LEN, Part, Payload};

/// A byte of data or mark.
fn letter(byte: u8) -> u8 {
    b'a' + byte % 4
}

/// A mark that repeats a few letters, so that it is found in parts all over the data.
fn mark(period: u8) -> [u8; MARK_LEN] {
    let period = 1 + usize::from(period % 7);
    std::array::from_fn(|at| letter((at % period) as u8 + u8::from(at == MARK_LEN - 1)))
}

/// What stands before the end of the copy, and behind it; nothing if it has no end.
fn model(framing: Framing, sent: &[u8]) -> Option<(&[u8], &[u8])> {
    match framing {
        Framing::Length(length) => sent.split_at_checked(usize::try_from(length).ok()?),
        Framing::Mark(mark) => {
            let at = sent.windows(MARK_LEN).position(|window| window == mark)?;
            Some((&sent[..at], &sent[at + MARK_LEN..]))
        }
    }
}

fuzz_target!(
    init: seeds::write((0..6).flat_map(|period| [0, 1, 38, 40].map(|size| {
        // The mark, after a part of itself, and something behind it.
        let mark = mark(period).map(|letter| letter - b'a');
        [&[size, period | 1, period], &mark[..17], &mark, &[1, 2, 3]].concat()
    }))),
    |input: &[u8]| {
        let [size, kind, period, data @ ..] = input else { return };
        let sent: Vec<u8> = data.iter().map(|byte| letter(*byte)).collect();
        let framing = match kind & 1 {
            0 => Framing::Length(u64::from(*kind) * 8),
            _ => Framing::Mark(mark(*period)),
        };
        let header = match framing {
            Framing::Length(length) => format!("\n${length}\r\n").into_bytes(),
            Framing::Mark(mark) => [b"\n$EOF:", &mark[..], b"\r\n"].concat(),
        };
        let all = [&header[..], &sent].concat();
        let (mut payload, mut copy, mut behind, mut ended) = (Payload::default(), Vec::new(), Vec::new(), false);
        let mut begun = None;
        for mut piece in all.chunks(1 + usize::from(*size)) {
            while let Some(part) = payload.next(&mut piece).expect("it is announced well") {
                match part {
                    Part::KeepAlive => assert!(begun.is_none()),
                    Part::Begins(framing) => begun = Some(framing),
                    Part::Data(data) => {
                        assert!(!data.is_empty() && !ended);
                        copy.extend_from_slice(data);
                    }
                    Part::End => ended = true,
                }
            }
            behind.extend_from_slice(piece);
            assert!(ended || piece.is_empty(), "it stops in the middle");
        }
        assert_eq!(begun, Some(framing));
        match model(framing, &sent) {
            Some((data, rest)) => {
                assert!(ended);
                assert_eq!((&copy[..], &behind[..]), (data, rest));
            }
            None => {
                // What may be the beginning of the mark is held back, and nothing else.
                assert!(!ended && sent.starts_with(&copy) && sent.len() - copy.len() < MARK_LEN);
                let held = &sent[copy.len()..];
                assert!(matches!(framing, Framing::Mark(mark) if mark.starts_with(held)) || held.is_empty());
            }
        }
    }
);
