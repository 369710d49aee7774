//! The copy as it comes from the primary, as bytes to be read.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use replication::handshake::payload::{Framing, Part, Payload};

use crate::clock;
use crate::replication::link::{Ended, await_bytes};
use crate::replication::replica::Term;
use crate::replication::wire::Wire;
use crate::server::Server;

/// From one sign of life to the next.
const BEAT_NS: u64 = 1_000_000_000;
/// From one look whether the link is to end to the next.
const LOOK_NS: u64 = 20_000_000;

const TIMEOUT: &str = "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' \
                       parameter in redis.conf to a larger value.";

/// See the file's head.
pub(super) struct Source<'t, 'w> {
    term: &'t Term,
    wire: &'w mut Wire,
    /// Where the primary looks for signs of life.
    vital: TcpStream,
    payload: Payload,
    /// The piece that came last, and how much of it was read.
    piece: Vec<u8>,
    read: usize,
    ended: bool,
    /// Why a reader has got an error.
    failed: Option<Ended>,
}

/// What was found at the front of the bytes.
enum Found {
    /// Nothing complete.
    Nothing,
    KeepAlive,
    Begins(Framing),
    /// A piece, which was copied out.
    Piece,
    End,
}

impl<'t, 'w> Source<'t, 'w> {
    pub(super) fn new(term: &'t Term, wire: &'w mut Wire, vital: TcpStream) -> Self {
        Self { term, wire, vital, payload: Payload::default(), piece: Vec::new(), read: 0, ended: false, failed: None }
    }

    pub(super) fn server(&self) -> Arc<Server> {
        self.term.server.clone()
    }

    /// Waits until the copy begins; `to` says in the log where it goes.
    pub(super) fn begin(&mut self, to: &str) -> Result<Framing, Ended> {
        loop {
            match self.look()? {
                Found::KeepAlive => {}
                Found::Begins(framing) => {
                    let transfer = self.term.transfer();
                    let what = match framing {
                        Framing::Mark(_) => "streamed RDB from master with EOF".to_owned(),
                        Framing::Length(len) => format!("{len} bytes from master"),
                    };
                    if let Framing::Length(len) = framing {
                        transfer.total_bytes.store(len as i64, Relaxed);
                    } else {
                        transfer.total_bytes.store(0, Relaxed);
                    }
                    self.term.server.log.notice(&format!("MASTER <-> REPLICA sync: receiving {what} {to}"));
                    return Ok(framing);
                }
                Found::Nothing => self.more("I/O error reading bulk count from MASTER")?,
                Found::Piece | Found::End => return Err(Ended::Quietly),
            }
        }
    }

    /// The next piece; None at the end of the copy.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, Ended> {
        let got = self.read < self.piece.len() || self.advance()?;
        Ok(got.then(|| {
            let from = std::mem::replace(&mut self.read, self.piece.len());
            &self.piece[from..]
        }))
    }

    /// What a failure to load comes to: that, unless there was an error before, or the link is to end.
    pub(super) fn ended(&mut self, failure: &str) -> Ended {
        match self.failed.take() {
            Some(ended @ (Ended::Quietly | Ended::Lost | Ended::Refused { .. })) => ended,
            _ if !self.term.is_current() => Ended::Quietly,
            Some(Ended::Failed(reason)) => {
                self.term.server.log.warning(&reason);
                Ended::Failed(failure.to_owned())
            }
            None => Ended::Failed(failure.to_owned()),
        }
    }

    /// Somebody who keeps the primary patient while a copy is loaded.
    pub(super) fn vital(&self) -> Vital<'t> {
        Vital::new(self.term, self.vital.try_clone().ok())
    }

    /// Gets the next piece; false at the end.
    fn advance(&mut self) -> Result<bool, Ended> {
        while !self.ended {
            match self.look()? {
                Found::Piece => return Ok(true),
                Found::End => self.ended = true,
                Found::Nothing => self.more("I/O error trying to sync with MASTER")?,
                Found::KeepAlive | Found::Begins(_) => {}
            }
        }
        Ok(false)
    }

    fn look(&mut self) -> Result<Found, Ended> {
        let Self { wire, payload, piece, read, .. } = self;
        let mut bytes = wire.bytes();
        let found = match payload.next(&mut bytes) {
            Err(error) => return Err(Ended::Failed(error.to_string())),
            Ok(None) => Found::Nothing,
            Ok(Some(Part::KeepAlive)) => Found::KeepAlive,
            Ok(Some(Part::Begins(framing))) => Found::Begins(framing),
            Ok(Some(Part::End)) => Found::End,
            Ok(Some(Part::Data(data))) => {
                piece.clear();
                piece.extend_from_slice(data);
                *read = 0;
                Found::Piece
            }
        };
        let rest = bytes.len();
        wire.keep(rest);
        if let Found::Piece = found {
            self.term.transfer().read_bytes.fetch_add(self.piece.len() as i64, Relaxed);
        }
        Ok(found)
    }

    fn more(&mut self, what: &str) -> Result<(), Ended> {
        let came = await_bytes(self.term, self.wire, TIMEOUT)?;
        came.map(drop).map_err(|reason| Ended::Failed(format!("{what}: {reason}")))
    }
}

impl Read for Source<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.piece.len() {
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(ended) => {
                    self.failed = Some(ended);
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
            }
        }
        let len = (&self.piece[self.read..]).read(buffer)?;
        self.read += len;
        Ok(len)
    }
}

/// Shows the primary that this process lives while it loads, by a newline a second, and notices that the link is to end.
pub(super) struct Vital<'t> {
    term: &'t Term,
    socket: Option<TcpStream>,
    next_beat_ns: u64,
    next_look_ns: u64,
    over: bool,
}

impl<'t> Vital<'t> {
    fn new(term: &'t Term, socket: Option<TcpStream>) -> Self {
        Self { term, socket, next_beat_ns: 0, next_look_ns: 0, over: false }
    }

    /// Does both when it is time to; says whether the link is to end.
    pub(super) fn beat(&mut self) -> bool {
        let now_ns = clock::ticks_ns();
        if now_ns < self.next_look_ns {
            return self.over;
        }
        self.next_look_ns = now_ns + LOOK_NS;
        self.over = self.is_over();
        if now_ns >= self.next_beat_ns
            && let Some(socket) = &mut self.socket
        {
            self.next_beat_ns = now_ns + BEAT_NS;
            // Whether the connection still holds will show when the copy is read, or the stream.
            let _ = socket.write(b"\n");
        }
        self.over
    }

    pub(super) fn is_over(&self) -> bool {
        !self.term.is_current()
    }
}
