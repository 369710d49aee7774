//! How a replica introduces itself and asks for the stream, as Redis 8.0 does, without a socket.
//!
//! It sends PING and waits; then AUTH (with a password), `REPLCONF listening-port`, `REPLCONF ip-address` (when it
//! announces one) and `REPLCONF capa` in one go, since a primary answers in order; then PSYNC. What a primary does not
//! understand of REPLCONF is passed over, and one that does not know PSYNC is asked by SYNC. The answer to PSYNC decides
//! what follows on the connection: a full copy ([`payload`]), or the stream itself ([`crate::units`]).
//!
//! A replica that can take a full copy over a second connection, the RDB channel of Redis 8, announces that, and is told the
//! id of its client where the primary wants it so. The second connection then [introduces itself](Handshake::of_channel)
//! with that id, and gets the copy.
//!
//! Bytes go in by [`Handshake::next`], which takes from the front of what it is given and leaves alone what follows the
//! last answer; bytes to send come out of [`Handshake::output`]. Events and failures print themselves as Redis logs them.

pub mod payload;

use std::collections::VecDeque;
use std::fmt;

use resp_parser::encode_request;

use crate::id::{Position, ReplicationId};
use crate::line::Line;

/// What a replica says of itself.
#[derive(Clone, Debug, Default)]
pub struct Introduction {
    /// `masteruser`; only sent with a password.
    pub user: Option<Vec<u8>>,
    /// `masterauth`.
    pub password: Option<Vec<u8>>,
    /// The port at which it serves, or announces to.
    pub listening_port: u16,
    /// `replica-announce-ip`.
    pub ip_address: Option<Vec<u8>>,
    /// How far it has come, if it has something to continue from.
    pub position: Option<Position>,
    /// The primary that asks is failing over to the other side.
    pub failover: bool,
    /// `repl-rdb-channel`: a full copy may come over a connection of its own.
    pub rdb_channel: bool,
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The primary has answered PING.
    Alive,
    /// The primary does not know an option of REPLCONF and goes without it.
    NotUnderstood {
        /// The option.
        option: &'static str,
        /// What it has answered.
        reply: Vec<u8>,
    },
    /// PSYNC was sent, from this position or for a full copy.
    Asked(Option<Position>),
    /// The primary refuses PSYNC, and, unless it was to take over the role, was asked by SYNC: a full copy follows, or an
    /// error. Such a primary tells no position, so a broken link cannot be continued, and it wants no acknowledgements.
    FallenBack {
        /// What it has answered.
        reply: Vec<u8>,
    },
    /// A full copy follows, and then the stream from this position.
    Full(Position),
    /// A full copy is to be asked for over another connection, as belonging to this client; the stream follows here.
    Channel(u64),
    /// A full copy follows, though the answer makes no sense otherwise.
    FullMalformed,
    /// The stream goes on from where it was asked for; with an id if the primary's history goes by this one now.
    Continue(Option<ReplicationId>),
}

/// Why nothing becomes of this attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// PING was answered by an error other than the want of a password.
    Ping(Vec<u8>),
    /// The password is wrong.
    Auth(Vec<u8>),
    /// The primary is loading, or has lost its own primary.
    TryLater(Vec<u8>),
    /// The channel for the copy is refused.
    Channel(Vec<u8>),
}

/// See the file's head.
#[derive(Debug)]
pub struct Handshake {
    introduction: Introduction,
    output: Vec<u8>,
    line: Line,
    /// Answers that are due, in their order.
    due: VecDeque<Answer>,
    /// PSYNC was sent.
    asked: bool,
    /// The copy only is wanted, as belonging to this client.
    main_channel: Option<u64>,
}

/// What an answer is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Ping,
    Auth,
    Option(&'static str),
    /// All that the channel for a copy says of itself.
    Channel,
    Psync,
}

impl Handshake {
    /// An attempt whose connection has just been made.
    pub fn new(introduction: Introduction) -> Self {
        let mut handshake = Self::silent(introduction, None);
        handshake.send(&[b"PING"]);
        handshake.due.push_back(Answer::Ping);
        handshake
    }

    /// A second connection, for the copy that [`Event::Channel`] has announced with the id of a client.
    pub fn of_channel(introduction: Introduction, main_channel: u64) -> Self {
        let port = introduction.listening_port.to_string();
        let id = main_channel.to_string();
        // Whatever was there before, all of it is wanted here.
        let introduction = Introduction { position: None, failover: false, ..introduction };
        let mut handshake = Self::silent(introduction, Some(main_channel));
        handshake.authenticate();
        let words = ["REPLCONF", "capa", "eof", "rdb-only", "1", "rdb-channel", "1", "main-ch-client-id", &id];
        let words: Vec<&[u8]> = words.into_iter().chain(["listening-port", &port]).map(str::as_bytes).collect();
        handshake.send(&words);
        handshake.due.push_back(Answer::Channel);
        handshake
    }

    fn silent(introduction: Introduction, main_channel: Option<u64>) -> Self {
        let (output, line, due) = (Vec::new(), Line::default(), VecDeque::new());
        Self { introduction, output, line, due, asked: false, main_channel }
    }

    /// Takes what is to be sent now.
    pub fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Whether the answer to PSYNC has come, so that the next bytes belong to what it announced.
    pub fn is_over(&self) -> bool {
        self.asked && self.due.is_empty()
    }

    /// Takes bytes from the front of `input` until something has happened. None means that more is needed, or that the
    /// handshake is over.
    ///
    /// # Errors
    /// [`Failure`]: the connection is of no use any more.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Failure> {
        // Each turn takes a line, so the input bounds them.
        while let Some(&answer) = self.due.front() {
            let Some(reply) = self.line.take(input) else { return Ok(None) };
            // A primary that takes its time over PSYNC sends newlines to show that it lives.
            if answer == Answer::Psync && reply.is_empty() {
                continue;
            }
            self.due.pop_front();
            if let Some(event) = self.answered(answer, reply)? {
                return Ok(Some(event));
            }
        }
        Ok(if self.asked { None } else { Some(self.ask()) })
    }

    fn answered(&mut self, answer: Answer, reply: Vec<u8>) -> Result<Option<Event>, Failure> {
        let refused = reply.first() == Some(&b'-');
        match answer {
            Answer::Ping if is_alive(&reply) => {
                self.introduce();
                Ok(Some(Event::Alive))
            }
            Answer::Ping => Err(Failure::Ping(reply)),
            Answer::Auth if refused => Err(Failure::Auth(reply)),
            Answer::Channel if refused => Err(Failure::Channel(reply)),
            Answer::Option(option) if refused => Ok(Some(Event::NotUnderstood { option, reply })),
            Answer::Auth | Answer::Channel | Answer::Option(_) => Ok(None),
            Answer::Psync => self.decided(reply).map(Some),
        }
    }

    fn introduce(&mut self) {
        self.authenticate();
        let Introduction { listening_port, ip_address, rdb_channel, .. } = self.introduction.clone();
        self.option("listening-port", listening_port.to_string().as_bytes());
        if let Some(ip) = ip_address {
            self.option("ip-address", &ip);
        }
        let mut words: Vec<&[u8]> = vec![b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"];
        if rdb_channel {
            words.extend([&b"capa"[..], b"rdb-channel-repl"]);
        }
        self.send(&words);
        self.due.push_back(Answer::Option("capa"));
    }

    fn authenticate(&mut self) {
        let Introduction { user, password, .. } = self.introduction.clone();
        if let Some(password) = password {
            let words: Vec<&[u8]> =
                [Some(&b"AUTH"[..]), user.as_deref(), Some(&password)].into_iter().flatten().collect();
            self.send(&words);
            self.due.push_back(Answer::Auth);
        }
    }

    fn option(&mut self, option: &'static str, value: &[u8]) {
        self.send(&[b"REPLCONF", option.as_bytes(), value]);
        self.due.push_back(Answer::Option(option));
    }

    fn ask(&mut self) -> Event {
        self.asked = true;
        let position = self.introduction.position;
        let id = position.map_or_else(|| "?".into(), |position| position.id.to_string());
        let next = position.map_or_else(|| "-1".into(), |position| (position.offset + 1).to_string());
        let mut words: Vec<&[u8]> = vec![b"PSYNC", id.as_bytes(), next.as_bytes()];
        if self.introduction.failover {
            words.push(b"FAILOVER");
        }
        self.send(&words);
        self.due.push_back(Answer::Psync);
        Event::Asked(position)
    }

    fn decided(&mut self, reply: Vec<u8>) -> Result<Event, Failure> {
        let full = reply.strip_prefix(b"+FULLRESYNC").map(full_resync);
        match (full, self.main_channel) {
            (Some(Some(position)), _) => return Ok(Event::Full(position)),
            (_, Some(_)) => return Err(Failure::Channel(reply)),
            (Some(None), None) => return Ok(Event::FullMalformed),
            (None, None) => {}
        }
        // Whoever was not told that we can do this is not believed.
        let channel = reply.strip_prefix(b"+RDBCHANNELSYNC ").filter(|_| self.introduction.rdb_channel);
        if let Some(id) = channel.and_then(|id| std::str::from_utf8(id).ok()?.parse().ok()) {
            return Ok(Event::Channel(id));
        }
        if let Some(rest) = reply.strip_prefix(b"+CONTINUE") {
            return Ok(Event::Continue(rest.strip_prefix(b" ").and_then(ReplicationId::parse)));
        }
        if reply.starts_with(b"-NOMASTERLINK") || reply.starts_with(b"-LOADING") {
            return Err(Failure::TryLater(reply));
        }
        // Whoever refuses to become the primary is not asked for its data.
        if !self.introduction.failover {
            // An inline request, which even the oldest understand.
            self.output.extend_from_slice(b"SYNC\r\n");
        }
        Ok(Event::FallenBack { reply })
    }

    fn send(&mut self, words: &[&[u8]]) {
        encode_request(words, &mut self.output);
    }
}

/// Whether this answer to PING shows a server that will talk, be it after a password. The last is how servers before 2.8
/// ask for one.
fn is_alive(reply: &[u8]) -> bool {
    let wants_password: [&[u8]; 3] = [b"-NOAUTH", b"-NOPERM", b"-ERR operation not permitted"];
    reply.first() == Some(&b'+') || wants_password.iter().any(|start| reply.starts_with(start))
}

/// The position in ` ID OFFSET`.
fn full_resync(rest: &[u8]) -> Option<Position> {
    let mut words = rest.strip_prefix(b" ")?.split(|&byte| byte == b' ');
    let id = ReplicationId::parse(words.next()?)?;
    let offset = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    Position::told(id, offset)
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alive => f.write_str("Master replied to PING, replication can continue..."),
            Self::NotUnderstood { option, reply } => {
                write!(f, "(Non critical) Master does not understand REPLCONF {option}: {}", Shown(reply))
            }
            Self::Asked(Some(Position { id, offset })) => {
                write!(f, "Trying a partial resynchronization (request {id}:{}).", offset + 1)
            }
            Self::Asked(None) => f.write_str("Partial resynchronization not possible (no cached master)"),
            Self::FallenBack { reply } if reply.starts_with(b"-ERR") => {
                write!(f, "Master does not support PSYNC or is in error state (reply: {})", Shown(reply))
            }
            Self::FallenBack { reply } => write!(f, "Unexpected reply to PSYNC from master: {}", Shown(reply)),
            Self::Full(Position { id, offset }) => write!(f, "Full resync from master: {id}:{offset}"),
            Self::Channel(_) => f.write_str("PSYNC is not possible, initialize RDB channel."),
            Self::FullMalformed => f.write_str("Master replied with wrong +FULLRESYNC syntax."),
            Self::Continue(_) => f.write_str("Successful partial resynchronization with master."),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ping(reply) => write!(f, "Error reply to PING from master: '{}'", Shown(reply)),
            Self::Auth(reply) => write!(f, "Unable to AUTH to MASTER: {}", Shown(reply)),
            Self::Channel(reply) => write!(f, "rdb channel sync failed with error: {}", Shown(reply)),
            Self::TryLater(reply) => {
                write!(f, "Master is currently unable to PSYNC but should be in the future: {}", Shown(reply))
            }
        }
    }
}

impl std::error::Error for Failure {}

/// A primary's answer, as a log can take it: whoever is on the other side must not write lines of our log.
pub(crate) struct Shown<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| match byte {
            b' '..=b'~' => fmt::Write::write_char(f, char::from(byte)),
            _ => write!(f, "\\x{byte:02x}"),
        })
    }
}

#[cfg(test)]
mod tests;
