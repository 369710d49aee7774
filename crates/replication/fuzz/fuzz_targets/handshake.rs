//! All that a primary may say, in one piece and in pieces: its answers, the copy that they announce, and the stream behind
//! it. Same events, same requests of ours, same copy, same units, same errors; and whatever it says, a line of our log stays
//! one line of printable letters.
//!
//! The first byte chooses what we say of ourselves, the second the size of the pieces; the rest is what the primary says.

#![no_main]

mod seeds;

use libfuzzer_sys::fuzz_target;
use replication::handshake::payload::{Part, Payload};
use replication::handshake::{Event, Handshake, Introduction};
use replication::id::{Position, ReplicationId};
use replication::units::Units;

/// What has come of it.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    events: Vec<Event>,
    /// What we have sent.
    sent: Vec<u8>,
    /// Parts of the copy that are no data, and its data.
    parts: Vec<String>,
    copy: Vec<u8>,
    /// The words of each unit of the stream, behind whether it is a transaction.
    units: Vec<(bool, Vec<Vec<Vec<u8>>>)>,
    /// The bytes of all units.
    raw: Vec<u8>,
    error: Option<String>,
}

/// How far the conversation is.
enum Stage {
    Handshake,
    Copy,
    Stream,
    /// Nothing more is taken from this connection.
    Over,
}

struct Replica {
    handshake: Handshake,
    payload: Payload,
    units: Units,
    stage: Stage,
    outcome: Outcome,
}

impl Replica {
    fn new(choice: u8) -> Self {
        let has = |bit: u8| choice & (1 << bit) != 0;
        let id = ReplicationId::parse(&[b'a'; 40]).expect("40 letters");
        let introduction = Introduction {
            user: has(0).then(|| b"user".to_vec()),
            password: has(1).then(|| b"secret".to_vec()),
            listening_port: 6379,
            ip_address: has(2).then(|| b"10.0.0.1".to_vec()),
            position: has(3).then_some(Position { id, offset: 1000 }),
            failover: has(4),
            rdb_channel: has(5),
        };
        let handshake = if has(6) { Handshake::of_channel(introduction, 17) } else { Handshake::new(introduction) };
        Self {
            handshake,
            payload: Payload::default(),
            units: Units::default(),
            stage: Stage::Handshake,
            outcome: Outcome::default(),
        }
    }

    /// Takes in a piece of what the primary says.
    fn hear(&mut self, mut piece: &[u8]) {
        while self.outcome.error.is_none() {
            let goes_on = match self.stage {
                Stage::Handshake => self.shake_hands(&mut piece),
                Stage::Copy => self.take_copy(&mut piece),
                Stage::Stream => self.follow(std::mem::take(&mut piece)),
                Stage::Over => false,
            };
            if !goes_on {
                return;
            }
        }
    }

    fn shake_hands(&mut self, piece: &mut &[u8]) -> bool {
        let event = self.handshake.next(piece);
        self.outcome.sent.extend(self.handshake.output());
        match event {
            Err(failure) => self.fail(&failure),
            Ok(None) => {
                assert!(piece.is_empty() && !self.handshake.is_over(), "it stops in the middle");
                return false;
            }
            Ok(Some(event)) => {
                assert_printable(&event.to_string());
                if let Event::Full(position) = event {
                    self.outcome.sent.extend(ask_again(position));
                }
                self.stage = match event {
                    _ if !self.handshake.is_over() => Stage::Handshake,
                    Event::Full(_) | Event::FallenBack { .. } | Event::FullMalformed => Stage::Copy,
                    Event::Continue(_) => Stage::Stream,
                    _ => Stage::Over,
                };
                self.outcome.events.push(event);
            }
        }
        true
    }

    fn take_copy(&mut self, piece: &mut &[u8]) -> bool {
        match self.payload.next(piece) {
            Err(error) => self.fail(&error),
            Ok(None) => {
                assert!(piece.is_empty(), "it stops in the middle");
                return false;
            }
            Ok(Some(Part::Data(data))) => {
                assert!(!data.is_empty());
                self.outcome.copy.extend_from_slice(data);
            }
            Ok(Some(Part::End)) => self.stage = Stage::Stream,
            Ok(Some(part)) => self.outcome.parts.push(format!("{part:?}")),
        }
        true
    }

    /// Takes units from the stream. Each second one is put back, to be the next one again.
    fn follow(&mut self, piece: &[u8]) -> bool {
        self.units.push(piece);
        loop {
            let waited = self.units.waiting();
            let (raw, unit) = match self.units.next() {
                Err(error) => {
                    self.fail(&error);
                    return false;
                }
                Ok(None) => {
                    assert_eq!(self.units.waiting(), waited);
                    return false;
                }
                Ok(Some(unit)) => {
                    let words = unit.commands().map(|command| command.words().map(<[u8]>::to_vec).collect()).collect();
                    (unit.raw().to_vec(), (unit.is_transaction(), words))
                }
            };
            assert_eq!(self.units.waiting() + raw.len(), waited);
            if self.outcome.units.len() % 2 == 1 {
                self.units.put_back();
                assert_eq!(self.units.waiting(), waited);
                let again = self.units.next().expect("it was there").expect("and is");
                assert_eq!(again.raw(), raw);
            }
            self.outcome.raw.extend(raw);
            self.outcome.units.push(unit);
        }
    }

    fn fail(&mut self, error: &dyn std::fmt::Display) {
        let error = error.to_string();
        assert_printable(&error);
        self.outcome.error = Some(error);
    }
}

/// What a link sends that goes on later from where this one begins, and a little further.
fn ask_again(position: Position) -> Vec<u8> {
    let position = Position { offset: position.offset + 1_000_000, ..position };
    let mut handshake = Handshake::new(Introduction { position: Some(position), ..Introduction::default() });
    let mut answers = &b"+PONG\r\n+OK\r\n+OK\r\n"[..];
    while let Some(event) = handshake.next(&mut answers).expect("nothing is refused") {
        assert_printable(&event.to_string());
    }
    handshake.output()
}

fn assert_printable(line: &str) {
    assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line:?}");
}

fn run<'a>(choice: u8, pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut replica = Replica::new(choice);
    replica.outcome.sent.extend(replica.handshake.output());
    pieces.for_each(|piece| replica.hear(piece));
    replica.outcome
}

const MARK: &str = "0123456789012345678901234567890123456789";
const ID: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// What primaries say, of every kind and every age, and what they had better not say.
fn conversations() -> Vec<String> {
    let stream = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n\
                  *1\r\n$4\r\nEXEC\r\n\n*1\r\n$4\r\nPING\r\n";
    let told = "+PONG\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n";
    let full = format!("+FULLRESYNC {ID} 1000\r\n");
    let decisions = [
        format!("{full}\n\n$4\r\nREDI{stream}"),
        format!("{full}$EOF:{MARK}\r\nREDIS00123456{MARK}{stream}"),
        format!("{full}-ERR no\r\n"),
        format!("{full}$18446744073709551615\r\nx"),
        format!("+FULLRESYNC {ID} 18446744073709551615\r\n$0\r\n{stream}"),
        format!("+FULLRESYNC {ID}\r\n$0\r\n"),
        "+RDBCHANNELSYNC 17\r\n".to_owned(),
        format!("+CONTINUE {ID}\r\n{stream}"),
        format!("+CONTINUE\r\n{stream}"),
        "-NOMASTERLINK Can't SYNC\r\n".to_owned(),
        format!("-ERR unknown command 'PSYNC'\r\n$0\r\n{stream}"),
        "+WHATEVER\r\n$1\r\nx".to_owned(),
    ];
    // With more or fewer answers before, the same stands in the place of another.
    let whole = decisions.iter().flat_map(|decision| [5, 12, 17, 22, 27].map(|end| told[..end].to_owned() + decision));
    let refusals =
        ["-NOAUTH x\r\n", "-LOADING x\r\n", "HTTP/1.1 400\r\n\x1b\x07", "+PONG\r\n-ERR unknown\r\n-WRONGPASS x\r\n"];
    whole.chain(refusals.map(str::to_owned)).collect()
}

fuzz_target!(
    init: seeds::write(conversations().iter().enumerate().flat_map(|(number, text)| {
        [0, 2 + 8, 4 + 32, 16, 64].map(|choice| [&[choice, number as u8], text.as_bytes()].concat())
    })),
    |input: &[u8]| {
        let [choice, size, said @ ..] = input else { return };
        let whole = run(*choice, std::iter::once(said));
        assert_eq!(run(*choice, said.chunks(1 + usize::from(*size))), whole);
        // What was applied stands on the wire as it was handed on.
        assert!(whole.raw.is_empty() || said.windows(whole.raw.len()).any(|window| window == whole.raw));
    }
);
