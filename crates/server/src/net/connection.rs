//! One client's connection: its socket, its session, and the bytes on their way in and out.

use std::io::{self, IoSlice, Read, Write};
use std::sync::atomic::Ordering::Relaxed;

use commands::reply::Reply;
use commands::session::Session;
use mio::event::Source;
use mio::{Interest, Registry, Token};
use resp_parser::RequestParser;

use super::inbox::Socket;
use super::query::Query;
use super::room::ReplyRoom;
use crate::server::Server;

/// CLIENT LIST counts what waits beyond the room in pieces of this size.
const LIST_NODE_BYTES: usize = 16 * 1024;
/// Parts that one writev takes at most.
const SLICES_MAX: usize = 64;

/// See the file's head.
pub(super) struct Connection {
    pub(super) socket: Socket,
    pub(super) session: Session,
    pub(super) parser: RequestParser,
    pub(super) query: Query,
    pub(super) out: Reply,
    pub(super) room: ReplyRoom,
    /// The socket may have more to read.
    pub(super) readable: bool,
    /// The peer has closed its side.
    pub(super) read_closed: bool,
    pub(super) closing: Closing,
    /// A command waits to be tried again; nothing is read meanwhile.
    pub(super) postponed: bool,
    /// Is in the worker's list of connections to serve.
    pub(super) queued: bool,
    /// Stands in the worker's list of connections to flush because of what was published.
    pub(super) told: bool,
    /// Bytes that were sent before the end of the tick and are not counted yet.
    pub(super) early_bytes: usize,
    /// Since when the output has been above the soft limit.
    pub(super) soft_since_ms: Option<i64>,
}

/// Whether a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Closing {
    /// It does.
    No,
    /// It is closed once the output is sent, and nothing more is read.
    AfterReply,
    /// It is closed, and no more output is sent.
    Now,
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
    pub(super) fn new(socket: Socket, session: Session, now_ms: i64) -> Self {
        Self {
            socket,
            session,
            parser: RequestParser::default(),
            query: Query::default(),
            out: Reply::default(),
            room: ReplyRoom::new(now_ms),
            readable: true,
            read_closed: false,
            closing: Closing::No,
            postponed: false,
            queued: false,
            told: false,
            early_bytes: 0,
            soft_since_ms: None,
        }
    }

    /// Whether no further command runs for now.
    pub(super) fn waits(&self) -> bool {
        self.postponed || self.session.blocked.is_some() || self.session.departs.is_some()
    }

    /// Whether nothing more is executed.
    pub(super) fn is_closing(&self) -> bool {
        self.closing != Closing::No
    }

    /// Closes soon, or sooner.
    pub(super) fn close(&mut self, how: Closing) {
        self.closing = self.closing.max(how);
    }

    /// Closes now, for output that the client does not read fast enough; it is counted and logged.
    pub(super) fn close_for_output(&mut self, server: &Server) {
        self.note_output();
        server.note_output_limit(&self.session);
        self.close(Closing::Now);
    }

    /// Output that waits beyond the room, in bytes.
    pub(super) fn output_list_bytes(&self) -> usize {
        self.out.pending_bytes().saturating_sub(self.room.bytes)
    }

    /// Writes into the shared record what CLIENT LIST shows of the output.
    pub(super) fn note_output(&self) {
        let (client, beyond) = (&self.session.client, self.output_list_bytes());
        client.reply_pending.store(self.out.pending_bytes() - beyond, Relaxed);
        client.reply_list_bytes.store(beyond, Relaxed);
        client.reply_list_len.store(beyond.div_ceil(LIST_NODE_BYTES), Relaxed);
        client.reply_buffer.store(self.room.bytes, Relaxed);
        client.reply_buffer_peak.store(self.room.peak, Relaxed);
    }

    /// Writes into the shared record what CLIENT LIST shows of the input.
    pub(super) fn note_query(&self) {
        let client = &self.session.client;
        client.query_buffer.store(self.query.len(), Relaxed);
        client.query_buffer_free.store(self.query.free(), Relaxed);
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
        self.out.shrink(self.room.bytes);
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
