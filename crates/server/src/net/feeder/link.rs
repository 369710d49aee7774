//! One replica's connection: what goes out, and in which order.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use commands::session::Session;
use mio::Registry;
use mio::event::Event;
use replication::id::ReplicationId;
use replication::ring::Reader;
use resp_parser::RequestParser;

use crate::clock;
use crate::config::keys;
use crate::net::inbox::Socket;
use crate::replication::outgoing::{Outgoing, Taken};
use crate::replication::primary::{Phase, Replica, Start};
use crate::server::Server;

/// Bytes that one replica is sent before the others have their turn. Most of them stand at the same place of the stream, and
/// so much of it stays in a core's cache until all of them have been sent it.
const TURN_BYTES: usize = 64 * 1024;
/// From one sign of life to the next, for a replica whose copy is being made.
const HEARTBEAT_MS: i64 = 1000;

/// A replica's connection.
pub(super) struct Link {
    pub(super) socket: Socket,
    pub(super) session: Session,
    pub(super) replica: Arc<Replica>,
    pub(super) parser: RequestParser,
    pub(super) input: Vec<u8>,
    /// Goes out before anything else, from `sent` on.
    out: Vec<u8>,
    sent: usize,
    pub(super) source: Source,
    pub(super) readable: bool,
    writable: bool,
    /// Since when the socket has taken nothing while there was something to send.
    stuck_since_ms: Option<i64>,
    soft_since_ms: Option<i64>,
    beat_ms: i64,
}

/// Where a link's bytes come from.
pub(super) enum Source {
    /// Its copy is still to come.
    Nothing,
    Copy {
        copy: Arc<Outgoing>,
        block: Bytes,
        stream: Option<Reader>,
        mark: Option<ReplicationId>,
    },
    /// The copy is sent, and the replica has not acknowledged it.
    Await(Reader),
    Stream(Reader),
    /// The copy was all it wanted.
    Done,
}

/// Why a link ends.
pub(super) enum Ended {
    /// The other side is gone, or is told to go; the log says so already, or need not.
    Quietly,
    Because(String),
}

impl Link {
    /// A connection that is in its poll already; `input` has come behind its request.
    pub(super) fn new(socket: Socket, session: Session, replica: Arc<Replica>, input: Vec<u8>, start: Start) -> Self {
        let (out, source) = match start {
            Start::Stream(greeting, reader) => (greeting, Source::Stream(reader)),
            Start::Copy => (Vec::new(), Source::Nothing),
            Start::Channel(greeting) => (greeting, Source::Nothing),
        };
        Self {
            socket,
            session,
            replica,
            parser: RequestParser::default(),
            input,
            out,
            sent: 0,
            source,
            readable: true,
            writable: true,
            stuck_since_ms: None,
            soft_since_ms: None,
            beat_ms: clock::now_ms(),
        }
    }

    /// The id of its client.
    pub(super) fn client(&self) -> u64 {
        self.replica.client.id
    }

    /// The poll says that something has happened.
    pub(super) fn stirred(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_error();
    }

    /// Sends these bytes before anything else.
    pub(super) fn greet(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Sends a copy from now on, and then the stream.
    pub(super) fn begin(&mut self, copy: Arc<Outgoing>, stream: Option<Reader>, mark: Option<ReplicationId>) {
        self.source = Source::Copy { copy, block: Bytes::new(), stream, mark };
    }

    /// Sends the stream from now on.
    pub(super) fn stream(&mut self, reader: Reader) {
        self.source = Source::Stream(reader);
    }

    /// It is over.
    pub(super) fn end(mut self, server: &Server, registry: &Registry) {
        if let Source::Copy { copy, .. } = &self.source {
            copy.leave(self.client());
        }
        // A socket that cannot be taken from the poll leaves it when it is dropped.
        let _ = self.socket.deregister(registry);
        let worker = self.session.client.worker;
        server.client_gone(&mut self.session, worker);
        // The cursor goes first: what it has kept can be let go of.
        drop(self.source);
        server.replication.replica_gone(server, &self.replica);
    }

    /// Whether there is something to read, or to send to a socket that takes it.
    pub(super) fn can_go_on(&mut self) -> bool {
        if self.readable || self.session.client.killed.load(Relaxed) {
            return true;
        }
        self.writable && self.has_output()
    }

    fn has_output(&mut self) -> bool {
        if self.sent < self.out.len() {
            return true;
        }
        match &mut self.source {
            Source::Nothing | Source::Await(_) | Source::Done => false,
            Source::Copy { copy, block, .. } => !block.is_empty() || copy.has_news(self.replica.client.id),
            Source::Stream(reader) => !reader.chunk().is_empty(),
        }
    }

    /// Reads, and sends as much as may go at once.
    pub(super) fn turn(&mut self, server: &Server) -> Result<(), Ended> {
        if self.session.client.killed.load(Relaxed) {
            return Err(Ended::Quietly);
        }
        self.read(server)?;
        let mut sent = 0;
        while self.writable && sent < TURN_BYTES {
            match self.send(server)? {
                0 => break,
                n => sent += n,
            }
        }
        if sent > 0 {
            self.stuck_since_ms = None;
            self.session.client.net_out.add(sent as u64);
            self.session.client.last_ms.store(clock::now_ms(), Relaxed);
            server.replication.primary.bytes_out.fetch_add(sent as u64, Relaxed);
        }
        Ok(())
    }

    /// Sends the next bytes; 0 if there are none, or the socket takes no more.
    fn send(&mut self, server: &Server) -> Result<usize, Ended> {
        if self.sent < self.out.len() {
            let n = write(&mut self.socket, &self.out[self.sent..], &mut self.writable)?;
            self.sent += n;
            if self.sent == self.out.len() {
                self.out.clear();
                self.sent = 0;
            }
            return Ok(n);
        }
        match &mut self.source {
            Source::Nothing | Source::Await(_) | Source::Done => Ok(0),
            Source::Stream(reader) => {
                let chunk = reader.chunk();
                if chunk.is_empty() {
                    return Ok(0);
                }
                let n = write(&mut self.socket, &chunk[..chunk.len().min(TURN_BYTES)], &mut self.writable)?;
                reader.advance(n);
                Ok(n)
            }
            Source::Copy { copy, block, .. } => {
                if block.is_empty() {
                    match copy.take(self.replica.client.id) {
                        Taken::Bytes(bytes) => *block = bytes,
                        Taken::NotYet => return Ok(0),
                        Taken::Failed => return Err(Ended::Quietly),
                        Taken::End => {
                            self.copy_is_sent(server);
                            return self.send(server);
                        }
                    }
                }
                let n = write(&mut self.socket, &block[..block.len().min(TURN_BYTES)], &mut self.writable)?;
                *block = block.slice(n..);
                Ok(n)
            }
        }
    }

    fn copy_is_sent(&mut self, server: &Server) {
        let Source::Copy { copy, stream, mark, .. } = std::mem::replace(&mut self.source, Source::Nothing) else {
            return;
        };
        copy.leave(self.replica.client.id);
        let name = self.replica.name();
        if let Some(mark) = mark {
            self.out.extend_from_slice(mark.as_str().as_bytes());
        }
        let Some(stream) = stream else {
            server
                .log
                .notice(&format!("RDB transfer completed, rdb only replica ({name}) should be disconnected asap"));
            self.replica.set_phase(Phase::CopySent);
            self.source = Source::Done;
            server.replication.copy_is_sent(server, &self.replica);
            return;
        };
        self.source = match mark {
            // Also one that came by SYNC: who knows of marks acknowledges them.
            Some(_) => {
                server.log.notice(&format!(
                    "Streamed replication with replica {name} (socket), succeeded. Waiting for REPLCONF ACK from replica \
                     to enable streaming"
                ));
                Source::Await(stream)
            }
            None => Source::Stream(stream),
        };
        self.replica.set_phase(Phase::Online);
        server.log.notice(&format!("Synchronization with replica {name} succeeded"));
        server.replication.judge_replicas(server);
    }

    /// Looks whether the replica is still worth it, and keeps a waiting one's patience up.
    pub(super) fn tend(&mut self, server: &Server, now_ms: i64) -> Result<(), Ended> {
        let timeout_ms = server.config.get(keys::REPL_TIMEOUT) as i64 * 1000;
        let name = || self.replica.name();
        if matches!(self.source, Source::Done) && self.replica.quiet_ms() > timeout_ms {
            // It has all that it wanted, and should have gone.
            return Err(Ended::Quietly);
        }
        if self.replica.phase() == Phase::Online && !self.replica.is_old && self.replica.quiet_ms() > timeout_ms {
            return Err(Ended::Because(format!("Disconnecting timedout replica (streaming sync): {}", name())));
        }
        if self.has_output() && !self.writable {
            let since_ms = *self.stuck_since_ms.get_or_insert(now_ms);
            let has_stream = matches!(self.replica.phase(), Phase::Online | Phase::BulkAndStream);
            if now_ms - since_ms > timeout_ms && !has_stream {
                return Err(Ended::Because(format!(
                    "Disconnecting timedout replica (full sync): {}",
                    self.replica.name()
                )));
            }
        }
        // A replica takes an empty line between two answers as a sign of life; where the stream comes next, it is none.
        let awaits_answer = matches!(self.source, Source::Nothing) && self.replica.phase() == Phase::WaitBgsave;
        if awaits_answer && now_ms - self.beat_ms >= HEARTBEAT_MS {
            self.beat_ms = now_ms;
            self.out.push(b'\n');
        }
        self.is_within_limits(server, now_ms)
    }

    /// What the ring keeps for this replica counts as its output (`client-output-buffer-limit replica`); what it would
    /// keep anyhow does not, nor does the newest large record.
    fn is_within_limits(&mut self, server: &Server, now_ms: i64) -> Result<(), Ended> {
        let (lag, excused) = match &self.source {
            Source::Copy { stream: Some(reader), .. } | Source::Await(reader) | Source::Stream(reader) => {
                (reader.lag(), server.replication.stream.excused(reader.position()))
            }
            Source::Nothing | Source::Copy { stream: None, .. } | Source::Done => (0, 0),
        };
        self.session.client.reply_list_bytes.store(lag as usize, Relaxed);
        let lag = lag.saturating_sub(excused);
        self.replica.lag.bytes.store(lag, Relaxed);
        let counted = if lag <= server.config.get(keys::REPL_BACKLOG_SIZE) { 0 } else { lag as usize };
        if server.is_over_output_limit(&self.session, counted, &mut self.soft_since_ms, now_ms) {
            server.note_output_limit(&self.session);
            return Err(Ended::Quietly);
        }
        Ok(())
    }
}

/// Writes as much as the socket takes.
fn write(socket: &mut Socket, bytes: &[u8], writable: &mut bool) -> Result<usize, Ended> {
    loop {
        match socket.write(bytes) {
            Ok(n) => return Ok(n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                *writable = false;
                return Ok(0);
            }
            Err(_) => return Err(Ended::Quietly),
        }
    }
}
