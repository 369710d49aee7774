//! Feeders: the threads that send copies and the stream to replicas.
//!
//! A small pool, started with the first replica. Each has its own poll and looks after its replicas' connections; all of
//! them read the one ring, each replica with a cursor of its own, so memory does not grow with their number. What is
//! published is lent out by the ring and written as it lies there, up to a segment at once.
//!
//! **Sleeping.** A feeder that has nothing to send says so, looks once more, and sleeps; whoever has appended looks
//! whether a feeder sleeps, and wakes it. Between the two steps of each stands a sequentially consistent fence, so one of
//! them sees the other. A feeder that is awake is not woken, so the cost for writers is a load.
//!
//! A replica may say only how far it is. Anything that would be answered ends its connection, as in Redis: an answer
//! would stand in the middle of the stream.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*, fence};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use commands::args::Args;
use commands::number;
use commands::session::Session;
use mio::{Events, Poll, Token, Waker};
use replication::id::ReplicationId;
use replication::ring::Reader;
use resp_parser::{Batch, Limits, RequestParser};
use slab::Slab;

use super::inbox::Socket;
use super::mailbox::Mailbox;
use crate::clock;
use crate::config::keys;
use crate::replication::outgoing::{Outgoing, Taken};
use crate::replication::pacing;
use crate::replication::primary::{Phase, Replica, Start};
use crate::server::Server;

/// One feeder for so many workers,
const WORKERS_A_FEEDER: usize = 4;
/// but no more than this.
const FEEDERS_MAX: usize = 4;
/// Bytes that one replica is sent before the others have their turn.
const TURN_BYTES: usize = 4 << 20;
/// Bytes read from a replica at once. It has little to say.
const READ_BYTES: usize = 4096;
/// A request of a replica that is longer than this is none.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// From one look at limits and timeouts to the next.
const TEND: Duration = Duration::from_millis(100);
/// From one sign of life to the next, for a replica whose copy is being made.
const HEARTBEAT_MS: i64 = 1000;
/// The same while writers are slowed down.
const PACE: Duration = Duration::from_millis(pacing::STEP_MS as u64);
/// How long a feeder without replicas sleeps; it is woken when one comes.
const IDLE: Duration = Duration::from_secs(3600);
const EVENTS_MAX: usize = 256;
const WAKER: Token = Token(usize::MAX);

/// The pool; see the file's head.
#[derive(Default)]
pub struct Feeders {
    handles: OnceLock<Vec<Arc<Handle>>>,
    next: AtomicUsize,
}

struct Handle {
    mailbox: Mailbox<Order>,
    waker: Waker,
    asleep: AtomicBool,
}

/// A connection that has asked for the stream.
pub struct Arrival {
    /// The connection, which is in no poll.
    pub socket: Socket,
    /// Its session, with the request.
    pub session: Session,
    /// Bytes that have come behind the request.
    pub rest: Vec<u8>,
}

/// What a feeder is told. Replicas go by the ids of their clients.
pub enum Order {
    /// Look after this connection.
    Adopt(Box<Arrival>),
    /// Send these bytes first.
    Greet(u64, Vec<u8>),
    /// Send a copy, and then the stream.
    Begin {
        /// The replica.
        client: u64,
        /// The copy.
        copy: Arc<Outgoing>,
        /// Stands where the stream goes on.
        stream: Reader,
        /// Stands behind the copy. The stream then waits for an acknowledgement: a replica cannot see the mark if anything
        /// follows.
        mark: Option<ReplicationId>,
    },
    /// Look whether connections are to be closed, or copies have come to an end.
    Look,
}

impl Feeders {
    /// Hands a connection over.
    pub fn adopt(&self, server: &Arc<Server>, arrival: Arrival) {
        let handles = self.handles.get_or_init(|| start(server));
        let index = self.next.fetch_add(1, Relaxed) % handles.len();
        self.post(index, Order::Adopt(Box::new(arrival)));
    }

    /// Tells one feeder something.
    pub fn post(&self, feeder: usize, order: Order) {
        if let Some(handle) = self.handles.get().and_then(|handles| handles.get(feeder)) {
            handle.mailbox.post(order, || handle.wake());
        }
    }

    /// Has all feeders look after what has changed from outside.
    pub fn look(&self) {
        for feeder in 0..self.handles.get().map_or(0, Vec::len) {
            self.post(feeder, Order::Look);
        }
    }

    /// Something was appended, or put into a copy: wakes the feeders that sleep.
    pub fn ring(&self) {
        let Some(handles) = self.handles.get() else { return };
        // Between the publication and the look at `asleep`; pairs with the fence in `Feeder::wait`.
        fence(SeqCst);
        for handle in handles {
            if handle.asleep.load(Relaxed) && handle.asleep.swap(false, Relaxed) {
                handle.wake();
            }
        }
    }
}

impl Handle {
    fn wake(&self) {
        // Waking fails only when the kernel is out of memory for a counter that exists already.
        let _ = self.waker.wake();
    }
}

fn start(server: &Arc<Server>) -> Vec<Arc<Handle>> {
    let count = (server.workers.len() / WORKERS_A_FEEDER).clamp(1, FEEDERS_MAX);
    let started = (0..count).map(|index| Feeder::start(server, index));
    let handles: Vec<_> = started
        .filter_map(|started| {
            started
                .inspect_err(|error| {
                    server.log.warning(&format!("Starting a thread that sends to replicas: {error}"));
                })
                .ok()
        })
        .collect();
    assert!(!handles.is_empty(), "no thread can be had to send to replicas");
    handles
}

/// One thread of the pool.
struct Feeder {
    index: usize,
    server: Weak<Server>,
    handle: Arc<Handle>,
    poll: Poll,
    links: Slab<Link>,
    /// Writers are slowed down, which wants looking after.
    paces: bool,
}

/// A replica's connection.
struct Link {
    socket: Socket,
    session: Session,
    replica: Arc<Replica>,
    parser: RequestParser,
    input: Vec<u8>,
    /// Goes out before anything else, from `sent` on.
    out: Vec<u8>,
    sent: usize,
    source: Source,
    readable: bool,
    writable: bool,
    /// Since when the socket has taken nothing while there was something to send.
    stuck_since_ms: Option<i64>,
    soft_since_ms: Option<i64>,
    beat_ms: i64,
}

/// Where a link's bytes come from.
enum Source {
    /// Its copy is still to come.
    Nothing,
    Copy {
        copy: Arc<Outgoing>,
        block: Bytes,
        stream: Reader,
        mark: Option<ReplicationId>,
    },
    /// The copy is sent, and the replica has not acknowledged it.
    Await(Reader),
    Stream(Reader),
    /// The copy was all it wanted.
    Done,
}

/// Why a link ends.
enum Ended {
    /// The other side is gone, or is told to go; the log says so already, or need not.
    Quietly,
    Because(String),
}

impl Feeder {
    fn start(server: &Arc<Server>, index: usize) -> io::Result<Arc<Handle>> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let handle = Arc::new(Handle { mailbox: Mailbox::new(), waker, asleep: AtomicBool::new(false) });
        let mut feeder = Self {
            index,
            server: Arc::downgrade(server),
            handle: handle.clone(),
            poll,
            links: Slab::new(),
            paces: false,
        };
        thread::Builder::new().name(format!("feeder-{index}")).spawn(move || feeder.run())?;
        Ok(handle)
    }

    fn run(&mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut tended_ms = 0;
        loop {
            self.wait(&mut events);
            let Some(server) = self.server.upgrade() else { return };
            for event in &events {
                let Some(link) = self.links.get_mut(event.token().0) else { continue };
                link.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
                link.writable |= event.is_writable() || event.is_error();
            }
            for order in self.handle.mailbox.drain() {
                self.obey(&server, order);
            }
            let now_ms = clock::now_ms();
            server.replication.pace(&server, now_ms);
            self.paces = server.replication.pacing.is_on();
            let tends = now_ms - tended_ms >= TEND.as_millis() as i64;
            if tends {
                tended_ms = now_ms;
            }
            for key in self.links.iter().map(|(key, _)| key).collect::<Vec<_>>() {
                let link = &mut self.links[key];
                let turn = link.turn(&server).and_then(|()| if tends { link.tend(&server, now_ms) } else { Ok(()) });
                if let Err(ended) = turn {
                    self.close(&server, key, ended);
                }
            }
        }
    }

    /// Sleeps until there is something to do.
    fn wait(&mut self, events: &mut Events) {
        self.handle.asleep.store(true, Relaxed);
        // Between saying so and looking once more; pairs with the fence in `Feeders::ring`.
        fence(SeqCst);
        let busy = self.links.iter_mut().any(|(_, link)| link.can_go_on());
        let timeout = match busy {
            true => Duration::ZERO,
            // Also when the last replica has just gone: writers wait to hear of that.
            false if self.paces => PACE,
            false if self.links.is_empty() => IDLE,
            false => TEND,
        };
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                panic!("the poll of feeder {} failed: {error}", self.index)
            }
            _ => self.handle.asleep.store(false, Relaxed),
        }
    }

    fn obey(&mut self, server: &Arc<Server>, order: Order) {
        match order {
            Order::Adopt(arrival) => self.adopt(server, *arrival),
            Order::Look => {}
            Order::Greet(client, bytes) => {
                if let Some(link) = self.link(client) {
                    link.out.extend_from_slice(&bytes);
                }
            }
            Order::Begin { client, copy, stream, mark } => match self.link(client) {
                Some(link) => link.source = Source::Copy { copy, block: Bytes::new(), stream, mark },
                None => copy.leave(client),
            },
        }
    }

    fn link(&mut self, client: u64) -> Option<&mut Link> {
        self.links.iter_mut().map(|(_, link)| link).find(|link| link.replica.client.id == client)
    }

    fn adopt(&mut self, server: &Arc<Server>, arrival: Arrival) {
        let Arrival { mut socket, mut session, rest } = arrival;
        let slot = self.links.vacant_entry();
        let facts = session.replica.take().map_or_else(Default::default, |facts| *facts);
        let Some(request) = session.departs.take() else { return };
        if let Err(error) = socket.register(self.poll.registry(), Token(slot.key())) {
            server.log.warning(&format!("Registering a replica's connection: {error}"));
            let worker = session.client.worker;
            server.client_gone(&mut session, worker);
            return;
        }
        if server.config.get(keys::REPL_DISABLE_TCP_NODELAY) {
            socket.delay_small_writes();
        }
        let (replica, start) = server.replication.adopt(server, &session.client, facts, &request, self.index);
        let (out, source) = match start {
            Start::Stream(greeting, reader) => (greeting, Source::Stream(reader)),
            Start::Copy => (Vec::new(), Source::Nothing),
        };
        let waits = matches!(source, Source::Nothing);
        slot.insert(Link {
            socket,
            session,
            replica: replica.clone(),
            parser: RequestParser::default(),
            input: rest,
            out,
            sent: 0,
            source,
            readable: true,
            writable: true,
            stuck_since_ms: None,
            soft_since_ms: None,
            beat_ms: clock::now_ms(),
        });
        if waits {
            server.replication.primary.copies.want(server, &replica);
        }
    }

    fn close(&mut self, server: &Server, key: usize, ended: Ended) {
        let mut link = self.links.remove(key);
        if let Ended::Because(reason) = ended {
            server.log.warning(&reason);
        }
        if let Source::Copy { copy, .. } = &link.source {
            copy.leave(link.replica.client.id);
        }
        // A socket that cannot be taken from the poll leaves it when it is dropped.
        let _ = link.socket.deregister(self.poll.registry());
        let worker = link.session.client.worker;
        server.client_gone(&mut link.session, worker);
        // The cursor goes first: what it has kept can be let go of.
        drop(link.source);
        server.replication.replica_gone(server, &link.replica);
    }
}

impl Link {
    /// Whether there is something to read, or to send to a socket that takes it.
    fn can_go_on(&mut self) -> bool {
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
    fn turn(&mut self, server: &Server) -> Result<(), Ended> {
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
                let n = write(&mut self.socket, chunk, &mut self.writable)?;
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
                let n = write(&mut self.socket, block, &mut self.writable)?;
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
        if self.replica.facts.rdb_only {
            server
                .log
                .notice(&format!("RDB transfer completed, rdb only replica ({name}) should be disconnected asap"));
            self.replica.set_phase(Phase::CopySent);
            self.source = Source::Done;
            return;
        }
        self.source = match mark {
            Some(_) if !self.replica.is_old => {
                server.log.notice(&format!(
                    "Streamed replication with replica {name} (socket), succeeded. Waiting for REPLCONF ACK from replica \
                     to enable streaming"
                ));
                Source::Await(stream)
            }
            _ => Source::Stream(stream),
        };
        self.replica.set_phase(Phase::Online);
        server.log.notice(&format!("Synchronization with replica {name} succeeded"));
        server.replication.judge_replicas(server);
    }

    /// Reads what the replica has to say.
    fn read(&mut self, server: &Server) -> Result<(), Ended> {
        let mut buffer = [0; READ_BYTES];
        while self.readable {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err(Ended::Quietly),
                Ok(n) => {
                    self.input.extend_from_slice(&buffer[..n]);
                    self.session.client.net_in.add(n as u64);
                    self.session.client.last_ms.store(clock::now_ms(), Relaxed);
                    self.readable = n == buffer.len();
                    if self.input.len() > REQUEST_BYTES_MAX {
                        return Err(Ended::Because(format!("Replica {} sends too much.", self.replica.name())));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Ended::Quietly),
            }
        }
        if self.input.is_empty() { Ok(()) } else { self.hear(server) }
    }

    /// Takes in what is complete of what the replica has said.
    fn hear(&mut self, server: &Server) -> Result<(), Ended> {
        let limits = Limits::new(REQUEST_BYTES_MAX as u64, true);
        let mut batch = Batch::new();
        let parsed = self.parser.parse(&self.input, &limits, usize::MAX, &mut batch);
        let mut acknowledged = false;
        for command in batch.iter() {
            match said(Args::new(command.base(&self.input), command.args)) {
                Said::Acknowledged(offset) => {
                    self.replica.acknowledge(offset);
                    acknowledged = true;
                }
                Said::Nothing => {}
                Said::Other(name) => {
                    let name = name.escape_ascii();
                    let replica = self.replica.name();
                    return Err(Ended::Because(format!(
                        "Replica {replica} is disconnected: it sent '{name}', and an answer would stand in the stream."
                    )));
                }
            }
        }
        let used = self.parser.consumed();
        self.parser.discard(used);
        self.input.drain(..used);
        if let Err(error) = parsed {
            return Err(Ended::Because(format!("Protocol error ({error}) from replica {}.", self.replica.name())));
        }
        if acknowledged {
            if let Source::Await(reader) = &self.source {
                self.source = Source::Stream(reader.clone());
            }
            server.replication.answer_waiting(server);
            server.replication.advance_failover(server);
        }
        Ok(())
    }

    /// Looks whether the replica is still worth it, and keeps a waiting one's patience up.
    fn tend(&mut self, server: &Server, now_ms: i64) -> Result<(), Ended> {
        let timeout_ms = server.config.get(keys::REPL_TIMEOUT) as i64 * 1000;
        let name = || self.replica.name();
        if self.replica.phase() == Phase::Online && !self.replica.is_old && self.replica.quiet_ms() > timeout_ms {
            return Err(Ended::Because(format!("Disconnecting timedout replica (streaming sync): {}", name())));
        }
        if self.has_output() && !self.writable {
            let since_ms = *self.stuck_since_ms.get_or_insert(now_ms);
            if now_ms - since_ms > timeout_ms && self.replica.phase() != Phase::Online {
                return Err(Ended::Because(format!(
                    "Disconnecting timedout replica (full sync): {}",
                    self.replica.name()
                )));
            }
        }
        if matches!(self.source, Source::Nothing) && now_ms - self.beat_ms >= HEARTBEAT_MS {
            // A replica takes an empty line between two answers as a sign of life.
            self.beat_ms = now_ms;
            self.out.push(b'\n');
        }
        self.is_within_limits(server, now_ms)
    }

    /// What the ring keeps for this replica counts as its output (`client-output-buffer-limit replica`); what it would
    /// keep anyhow does not, nor does the newest large record.
    fn is_within_limits(&mut self, server: &Server, now_ms: i64) -> Result<(), Ended> {
        let (lag, excused) = match &self.source {
            Source::Copy { stream: reader, .. } | Source::Await(reader) | Source::Stream(reader) => {
                (reader.lag(), server.replication.stream.excused(reader.position()))
            }
            Source::Nothing | Source::Done => (0, 0),
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

/// What a replica has said.
enum Said<'a> {
    Acknowledged(u64),
    /// Something that is not answered.
    Nothing,
    /// Something that would be.
    Other(&'a [u8]),
}

fn said(args: Args<'_>) -> Said<'_> {
    if !args.is(0, "replconf") {
        return Said::Other(args.get(0));
    }
    if args.len() < 3 {
        return Said::Nothing;
    }
    match number::parse_i64(args.get(2)).and_then(|offset| u64::try_from(offset).ok()) {
        Some(offset) if args.is(1, "ack") => Said::Acknowledged(offset),
        _ if args.is(1, "ack") || args.is(1, "getack") => Said::Nothing,
        _ => Said::Other(args.get(0)),
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
