//! One client's connection: its socket, its session, and the bytes on their way in and out.

use std::io::{self, IoSlice, Read, Write};

use commands::reply::Reply;
use commands::session::Session;
use mio::event::Source;
use mio::{Interest, Registry, Token};
use resp_parser::RequestParser;

use super::inbox::Socket;

/// Parts that one writev takes at most.
const SLICES_MAX: usize = 64;
/// A sent reply's buffer keeps at most this much.
const OUT_KEPT_BYTES: usize = 16 * 1024;

/// See the file's head.
pub(super) struct Connection {
    pub(super) socket: Socket,
    pub(super) session: Session,
    pub(super) parser: RequestParser,
    /// Bytes that have come and are not executed yet. Empty for most connections most of the time: then the worker's
    /// own buffer serves.
    pub(super) query: Vec<u8>,
    pub(super) out: Reply,
    /// The socket may have more to read.
    pub(super) readable: bool,
    /// The peer has closed its side.
    pub(super) read_closed: bool,
    /// Close once the output is sent.
    pub(super) closing: bool,
    /// A command waits to be tried again; nothing is read meanwhile.
    pub(super) postponed: bool,
    /// Is in the worker's list of connections to serve.
    pub(super) queued: bool,
    /// Since when the output has been above the soft limit.
    pub(super) soft_since_ms: Option<i64>,
}

/// How a flush ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Everything is sent.
    All,
    /// The socket takes no more for now.
    Blocked,
    /// The connection is broken.
    Broken,
}

impl Connection {
    pub(super) fn new(socket: Socket, session: Session) -> Self {
        Self {
            socket,
            session,
            parser: RequestParser::default(),
            query: Vec::new(),
            out: Reply::default(),
            readable: true,
            read_closed: false,
            closing: false,
            postponed: false,
            queued: false,
            soft_since_ms: None,
        }
    }

    /// Sends as much as the socket takes, and says how many bytes that were.
    pub(super) fn flush(&mut self) -> (Flushed, usize) {
        let mut sent = 0;
        while !self.out.is_sent() {
            let written = match self.out.plain() {
                Some(bytes) => self.socket.write(bytes),
                None => {
                    let mut slices = Vec::with_capacity(SLICES_MAX);
                    self.out.slices(&mut slices, SLICES_MAX);
                    self.socket.write_vectored(&slices)
                }
            };
            match written {
                Ok(n) => {
                    sent += n;
                    self.out.advance(n);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return (Flushed::Blocked, sent),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return (Flushed::Broken, sent),
            }
        }
        self.out.shrink(OUT_KEPT_BYTES);
        (Flushed::All, sent)
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(slices),
            Self::Unix(stream) => stream.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket {
    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }

    /// Asks the poll to report both directions, edge by edge.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.source(), token, Interest::READABLE | Interest::WRITABLE)
    }

    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(self.source())
    }
}
