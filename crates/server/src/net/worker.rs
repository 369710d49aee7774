//! One event loop. A tick is staged: poll; read every ready socket once; parse in place; execute; one write a
//! connection. Commands run in sections of the gate that end after [`SECTION_COMMANDS_MAX`] commands or
//! [`SECTION_NS_MAX`], between two commands. No worker waits for another.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use commands::args::Args;
use commands::env::Env;
use commands::pipeline::{self, Flow, GROUP, GateHold, Prepared};
use commands::session::Session;
use mio::event::Event;
use mio::net::{TcpListener, UnixListener};
use mio::{Events, Interest, Poll, Token, Waker};
use resp_parser::{Batch, Limits};
use slab::Slab;
use smallvec::SmallVec;
use store::keyspace::Keyspace;

use super::connection::{Connection, Flushed};
use super::inbox::{Inbox, Message, Socket};
use crate::clock;
use crate::server::Server;

/// Commands in one section of the gate.
const SECTION_COMMANDS_MAX: usize = 128;
/// Nanoseconds after which a section ends.
const SECTION_NS_MAX: u64 = 1_000_000;
/// Commands that are parsed before the first of them runs.
const BATCH_COMMANDS_MAX: usize = 128;
/// Bytes read from a socket at once.
const READ_BYTES: usize = 32 * 1024;
/// A read into a large argument asks for at most this much at once: memory follows what has come, not what is claimed.
const READ_BYTES_MAX: usize = 1024 * 1024;
/// A connection's own buffer is given back when it is empty and larger than this.
const QUERY_KEPT_BYTES: usize = 4 * 1024;
/// Events taken from the poll at once.
const EVENTS_MAX: usize = 1024;

const WAKER: Token = Token(usize::MAX);
/// Listeners have the tokens from here on upwards.
const LISTENERS: usize = usize::MAX / 2;

/// A listening socket of either kind.
pub enum Listener {
    /// Over TCP.
    Tcp(TcpListener),
    /// Over a Unix socket.
    Unix(UnixListener),
}

/// See the file's head.
pub struct Worker {
    index: usize,
    server: Arc<Server>,
    keyspace: &'static Keyspace,
    poll: Poll,
    inbox: Arc<Inbox>,
    listeners: Vec<Listener>,
    connections: Slab<Connection>,
    /// Connections with something to read or to execute.
    ready: Vec<usize>,
    /// Connections with output to send, or to be closed.
    dirty: Vec<usize>,
    core: Core,
    buffer: Vec<u8>,
    last_cron_ms: i64,
    running: bool,
}

/// What executing needs, apart from the connections.
struct Core {
    env: Env,
    batch: Batch,
    section_commands: usize,
    section_began_ns: u64,
}

impl Worker {
    /// A worker and the inbox by which others reach it.
    pub fn new(index: usize) -> io::Result<(Poll, Arc<Inbox>)> {
        let _ = index;
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        Ok((poll, Arc::new(Inbox::new(waker))))
    }

    /// Puts a worker together; the first one gets the listeners.
    pub fn with(
        index: usize,
        server: Arc<Server>,
        poll: Poll,
        env: Env,
        mut listeners: Vec<Listener>,
    ) -> io::Result<Self> {
        for (at, listener) in listeners.iter_mut().enumerate() {
            let token = Token(LISTENERS + at);
            match listener {
                Listener::Tcp(listener) => poll.registry().register(listener, token, Interest::READABLE)?,
                Listener::Unix(listener) => poll.registry().register(listener, token, Interest::READABLE)?,
            }
        }
        Ok(Self {
            index,
            keyspace: server.keyspace,
            inbox: server.workers[index].inbox.clone(),
            server,
            poll,
            listeners,
            connections: Slab::new(),
            ready: Vec::new(),
            dirty: Vec::new(),
            core: Core { env, batch: Batch::new(), section_commands: 0, section_began_ns: 0 },
            buffer: vec![0; READ_BYTES],
            last_cron_ms: clock::now_ms(),
            running: true,
        })
    }

    /// Runs until told to stop.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while self.running {
            let timeout = if self.ready.is_empty() { self.until_cron() } else { Duration::ZERO };
            match self.poll.poll(&mut events, Some(timeout)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => panic!("the poll of worker {} failed: {error}", self.index),
            }
            let began_ns = clock::ticks_ns();
            let commands_before = self.core.env.stats.processed.get();
            events.iter().for_each(|event| self.take(event));
            self.serve_ready();
            self.flush_dirty();
            self.cron();
            self.note_turn(began_ns, commands_before);
        }
        for (_, mut connection) in std::mem::take(&mut self.connections) {
            connection.flush();
            self.server.client_gone(&connection.session, self.index);
        }
    }

    /// Counts one turn of the loop, without the time it waited.
    fn note_turn(&self, began_ns: u64, commands_before: u64) {
        let stats = &self.core.env.stats;
        let nanos = clock::ticks_ns() - began_ns;
        stats.loop_cycles.add(1);
        stats.loop_nanos.add(nanos);
        stats.loop_nanos_max.raise(nanos);
        stats.loop_commands_max.raise(stats.processed.get().saturating_sub(commands_before));
    }

    fn take(&mut self, event: &Event) {
        match event.token() {
            WAKER => self.read_inbox(),
            Token(token) if token >= LISTENERS => self.accept(token - LISTENERS),
            Token(index) => {
                let Some(connection) = self.connections.get_mut(index) else { return };
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    connection.readable = true;
                    connection.read_closed |= event.is_read_closed();
                    self.make_ready(index);
                }
                if event.is_writable() {
                    self.make_dirty(index);
                }
            }
        }
    }

    fn read_inbox(&mut self) {
        for message in self.inbox.drain() {
            match message {
                Message::Adopt(socket) => self.adopt(socket),
                Message::Close(id) => {
                    let found = self.connections.iter().find(|(_, connection)| connection.session.client.id == id);
                    if let Some((index, _)) = found {
                        self.close(index);
                    }
                }
                Message::Answer(..) => {}
                Message::Retry => {
                    let postponed: Vec<usize> =
                        self.connections.iter().filter(|(_, c)| c.postponed).map(|(index, _)| index).collect();
                    for index in postponed {
                        self.connections[index].postponed = false;
                        self.make_ready(index);
                    }
                }
                Message::Stop => self.running = false,
            }
        }
    }

    fn accept(&mut self, listener: usize) {
        // Edge by edge: take all that wait.
        loop {
            let accepted = match &self.listeners[listener] {
                Listener::Tcp(listener) => listener.accept().map(|(stream, _)| Socket::Tcp(stream)),
                Listener::Unix(listener) => listener.accept().map(|(stream, _)| Socket::Unix(stream)),
            };
            match accepted {
                Ok(socket) => {
                    if let Some(socket) = self.server.welcome(socket) {
                        let target = self.server.least_busy_worker();
                        self.server.workers[target].connections.fetch_add(1, Relaxed);
                        if target == self.index {
                            self.adopt(socket);
                        } else {
                            self.server.workers[target].inbox.post(Message::Adopt(socket));
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.server.log.warning(&format!("Accepting client connection: {error}"));
                    return;
                }
            }
        }
    }

    fn adopt(&mut self, mut socket: Socket) {
        let slot = self.connections.vacant_entry();
        let index = slot.key();
        if let Err(error) = socket.register(self.poll.registry(), Token(index)) {
            self.server.workers[self.index].connections.fetch_sub(1, Relaxed);
            self.server.log.warning(&format!("Registering client connection: {error}"));
            return;
        }
        let session: Session = self.server.new_session(&socket, self.index);
        slot.insert(Connection::new(socket, session));
        self.make_ready(index);
    }

    fn make_ready(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        if !connection.queued && !connection.postponed {
            connection.queued = true;
            self.ready.push(index);
        }
    }

    fn make_dirty(&mut self, index: usize) {
        self.dirty.push(index);
    }

    fn serve_ready(&mut self) {
        let mut gate = GateHold::new(self.keyspace);
        self.core.section_commands = 0;
        self.core.section_began_ns = clock::ticks_ns();
        for index in std::mem::take(&mut self.ready) {
            let Some(connection) = self.connections.get_mut(index) else { continue };
            connection.queued = false;
            serve(&mut self.core, &mut gate, &self.server, connection, &mut self.buffer);
            self.dirty.push(index);
            if connection.readable && !connection.closing {
                self.make_ready(index);
            }
        }
    }

    fn flush_dirty(&mut self) {
        for index in std::mem::take(&mut self.dirty) {
            let Some(connection) = self.connections.get_mut(index) else { continue };
            let (flushed, sent) = connection.flush();
            let client = &connection.session.client;
            client.net_out.add(sent as u64);
            self.core.env.stats.net_out.add(sent as u64);
            self.core.env.stats.writes.add(u64::from(sent > 0));
            let over = self.server.is_over_output_limit(connection.out.pending_bytes(), &mut connection.soft_since_ms);
            if over {
                self.server.note_output_limit(&connection.session);
            }
            client.reply_pending.store(connection.out.pending_bytes(), Relaxed);
            if over || flushed == Flushed::Broken || (connection.closing && flushed == Flushed::All) {
                self.close(index);
            }
        }
    }

    fn close(&mut self, index: usize) {
        let mut connection = self.connections.remove(index);
        // A socket that cannot be taken from the poll leaves it when it is dropped.
        let _ = connection.socket.deregister(self.poll.registry());
        self.server.client_gone(&connection.session, self.index);
    }

    fn until_cron(&self) -> Duration {
        let due = self.last_cron_ms + self.server.cron_period_ms();
        Duration::from_millis((due - clock::now_ms()).max(0) as u64)
    }

    /// What this worker does several times a second for its own connections.
    fn cron(&mut self) {
        let now_ms = clock::now_ms();
        if now_ms < self.last_cron_ms + self.server.cron_period_ms() {
            return;
        }
        self.last_cron_ms = now_ms;
        let timeout_ms = self.server.settings.timeout.load(Relaxed) as i64 * 1000;
        let late = |connection: &Connection| {
            let client = &connection.session.client;
            client.killed.load(Relaxed)
                || (timeout_ms > 0 && !connection.postponed && now_ms - client.last_ms.load(Relaxed) > timeout_ms)
        };
        let late: Vec<usize> = self.connections.iter().filter(|(_, c)| late(c)).map(|(index, _)| index).collect();
        late.into_iter().for_each(|index| self.close(index));
    }
}

/// Reads a connection once and executes what is complete.
fn serve(core: &mut Core, gate: &mut GateHold<'_>, server: &Server, connection: &mut Connection, buffer: &mut [u8]) {
    if connection.closing || connection.postponed {
        return;
    }
    // What was postponed comes first; only when nothing waits is the socket read again.
    if !connection.query.is_empty() {
        execute_own(core, gate, server, connection);
        if connection.closing || connection.postponed {
            return;
        }
    }
    if !connection.readable {
        return;
    }
    let outcome = if connection.query.is_empty() {
        let outcome = read(&mut connection.socket, buffer);
        if let Ok(n @ 1..) = outcome {
            let bytes = &buffer[..n];
            note_read(core, connection, n);
            let used = execute(core, gate, server, connection, bytes);
            connection.query.extend_from_slice(&bytes[used..]);
        }
        outcome.map(|n| (n, n == buffer.len()))
    } else {
        let have = connection.query.len();
        let room = connection.parser.wanted().clamp(READ_BYTES, READ_BYTES_MAX);
        connection.query.resize(have + room, 0);
        let outcome = read(&mut connection.socket, &mut connection.query[have..]);
        connection.query.truncate(have + *outcome.as_ref().unwrap_or(&0));
        if let Ok(n @ 1..) = outcome {
            note_read(core, connection, n);
            execute_own(core, gate, server, connection);
        }
        outcome.map(|n| (n, n == room))
    };
    match outcome {
        Ok((0, _)) => {
            connection.closing = true;
            connection.readable = false;
        }
        // A short read means that the socket is drained; but a FIN may have come with the same edge.
        Ok((_, full)) => connection.readable = full || connection.read_closed,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => connection.readable = false,
        Err(_) => {
            connection.closing = true;
            connection.readable = false;
        }
    }
    if connection.query.len() > server.query_buffer_limit() {
        server.note_query_limit(&connection.session, connection.query.len());
        connection.closing = true;
    }
    let client = &connection.session.client;
    client.query_buffer.store(connection.query.len(), Relaxed);
    client.query_buffer_free.store(connection.query.capacity() - connection.query.len(), Relaxed);
}

fn read(socket: &mut Socket, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn note_read(core: &Core, connection: &Connection, n: usize) {
    core.env.stats.net_in.add(n as u64);
    core.env.stats.reads.add(1);
    connection.session.client.net_in.add(n as u64);
}

/// Executes from the connection's own buffer.
fn execute_own(core: &mut Core, gate: &mut GateHold<'_>, server: &Server, connection: &mut Connection) {
    let mut query = std::mem::take(&mut connection.query);
    let used = execute(core, gate, server, connection, &query);
    query.drain(..used);
    if query.is_empty() && query.capacity() > QUERY_KEPT_BYTES {
        query = Vec::new();
    }
    connection.query = query;
}

/// Executes what is complete in `bytes`, which begin where the connection's parser began, and returns how many of them
/// are done with; the parser is told.
fn execute(
    core: &mut Core,
    gate: &mut GateHold<'_>,
    server: &Server,
    connection: &mut Connection,
    bytes: &[u8],
) -> usize {
    let Connection { session, parser, out, closing, postponed, .. } = connection;
    core.env.start_lap();
    loop {
        let authenticated = server.is_authenticated(session);
        let limits = Limits::new(server.settings.proto_max_bulk_len.load(Relaxed), authenticated);
        // A password lifts limits for what follows it, so nothing is parsed ahead of it.
        let max = if authenticated { BATCH_COMMANDS_MAX } else { 1 };
        let mut batch = std::mem::take(&mut core.batch);
        batch.clear();
        let parsed = parser.parse(bytes, &limits, max, &mut batch);
        let mut stopped_at = None;
        let mut commands = batch.iter();
        'batch: while commands.len() > 0 {
            let group: SmallVec<[_; GROUP]> = commands.by_ref().take(GROUP).collect();
            let ahead = group.len() > 1;
            let args = group.iter().map(|command| Args::new(command.base(bytes), command.args));
            let prepared: SmallVec<[_; GROUP]> = args.map(|args| Prepared::new(args, ahead)).collect();
            if ahead {
                let section = gate.shared(|| core.env.begin_section(clock::now_ms()));
                pipeline::prefetch(core.env.keyspace, section, session.db, &prepared);
            }
            for (command, prepared) in group.iter().zip(prepared) {
                if session.close || session.client.killed.load(Relaxed) {
                    break 'batch;
                }
                let flow = pipeline::execute(&mut core.env, gate, &clock::now_ms, session, prepared, out);
                if flow == Flow::Postponed {
                    stopped_at = Some(command.start);
                    break 'batch;
                }
                core.section_commands += 1;
                let spent_ns = core.env.last_lap_ns().saturating_sub(core.section_began_ns);
                if core.section_commands >= SECTION_COMMANDS_MAX || spent_ns > SECTION_NS_MAX {
                    core.section_commands = 0;
                    core.section_began_ns = core.env.last_lap_ns();
                    gate.end();
                }
            }
        }
        session.client.last_ms.store(core.env.now_ms, Relaxed);
        let complete = batch.len();
        drop(commands);
        core.batch = batch;
        if let Some(start) = stopped_at {
            *postponed = true;
            *parser = resp_parser::RequestParser::default();
            gate.end();
            return start;
        }
        if session.close || session.client.killed.load(Relaxed) {
            *closing = true;
        }
        if *closing {
            return bytes.len();
        }
        if let Err(error) = parsed {
            server.note_protocol_error(session, &error);
            out.error(&commands::error::Error::new(String::from_utf8_lossy(&error.wire())));
            *closing = true;
            return bytes.len();
        }
        if complete < max {
            let used = parser.consumed();
            parser.discard(used);
            return used;
        }
    }
}
