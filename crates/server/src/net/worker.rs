//! One event loop. A tick is staged: poll; read every ready socket once; parse in place; execute; one write a
//! connection. No worker waits for another. What is done for one connection is in `worker/serving.rs`, what is done now and
//! then for all of them in `worker/housekeeping.rs`.

mod housekeeping;
mod intake;
mod serving;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use commands::blocking::{Awaited, End, Waiter};
use commands::client::ClientFlags;
use commands::env::Env;
use commands::pipeline::{GateHold, Lookahead};
use commands::reply::Reply;
use commands::session::Session;
use mio::event::Event;
use mio::{Events, Poll, Token, Waker};
use resp_parser::Batch;
use slab::Slab;
use store::keyspace::Keyspace;

use self::housekeeping::{is_over_output_limit, relieve};
use self::intake::Intake;
use self::serving::{Core, serve};
use super::connection::{Closing, Connection, Flushed};
use super::feeder::Arrival;
use super::inbox::{Inbox, Message, Socket};
use super::listener::Listener;
use crate::clock;
use crate::replication::stream;
use crate::server::Server;

/// Bytes read from a socket at once.
pub(super) const READ_BYTES: usize = 32 * 1024;
/// Events taken from the poll at once. They fill a block of 16 KiB, which is what a buffer for replies has: so both lie in
/// one page of the allocator, which has half a MiB for blocks of this size.
const EVENTS_MAX: usize = 1365;

const WAKER: Token = Token(usize::MAX);
/// Listeners have the tokens from here on upwards.
const LISTENERS: usize = usize::MAX / 2;

/// What a worker needs to be reached before it runs.
pub struct Seat(Poll);

/// See the file's head.
pub struct Worker {
    index: usize,
    server: Arc<Server>,
    keyspace: &'static Keyspace,
    poll: Poll,
    inbox: Arc<Inbox>,
    listeners: Slab<Listener>,
    /// Listeners, by token, at which more connections may wait.
    accepting: Vec<usize>,
    connections: Slab<Connection>,
    /// The number of the latest delivery in the mailbox that was handed out.
    delivered: u64,
    /// How many of them are postponed.
    postponed: usize,
    /// When clients of this worker have waited long enough: the time, the waiter's ticket, the slot.
    deadlines: BTreeSet<(i64, u64, usize)>,
    /// The slot from which on connections are looked after next.
    tended: usize,
    /// Listeners with connections that could not be accepted for want of descriptors or memory.
    stalled_listeners: Vec<usize>,
    /// Connections with something to read or to execute.
    ready: Vec<usize>,
    /// Connections with output to send, or to be closed.
    dirty: Vec<usize>,
    core: Core,
    last_cron_ms: i64,
    running: bool,
}

impl Worker {
    /// A seat for a worker, and the inbox by which others reach it.
    pub fn seat() -> io::Result<(Seat, Arc<Inbox>)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        Ok((Seat(poll), Arc::new(Inbox::new(waker))))
    }

    /// Puts a worker together; the first one gets the listeners.
    pub fn with(
        index: usize,
        server: Arc<Server>,
        Seat(poll): Seat,
        env: Env,
        listeners: Vec<Listener>,
    ) -> io::Result<Self> {
        let is_only = server.workers.len() == 1;
        let mut worker = Self {
            index,
            keyspace: server.keyspace,
            inbox: server.workers[index].inbox.clone(),
            server,
            poll,
            listeners: Slab::new(),
            accepting: Vec::new(),
            connections: Slab::new(),
            delivered: 0,
            postponed: 0,
            deadlines: BTreeSet::new(),
            tended: 0,
            stalled_listeners: Vec::new(),
            ready: Vec::new(),
            dirty: Vec::new(),
            core: Core {
                env,
                batch: Batch::new(),
                section_commands: 0,
                section_began_ns: 0,
                tick_ms: clock::now_ms(),
                is_only,
            },
            last_cron_ms: clock::now_ms(),
            running: true,
        };
        listeners.into_iter().try_for_each(|listener| worker.listen(listener))?;
        Ok(worker)
    }

    /// Runs until told to stop.
    pub fn run(mut self) {
        // What it has appended is told of once a turn.
        stream::tell_later();
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut intake = Intake::new();
        while self.running {
            let timeout =
                if self.ready.is_empty() && self.accepting.is_empty() { self.until_due() } else { Duration::ZERO };
            match self.poll.poll(&mut events, Some(timeout)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => panic!("the poll of worker {} failed: {error}", self.index),
            }
            let began_ns = clock::ticks_ns();
            let commands_before = self.core.env.stats.processed.get();
            self.core.tick_ms = clock::now_ms();
            self.server.end_pause_if_over(self.core.tick_ms);
            events.iter().for_each(|event| self.take(event));
            self.accept_more();
            self.end_waits();
            self.serve_ready(&mut intake);
            self.server.replication.tell_feeders();
            self.deliver_published();
            self.flush_dirty();
            self.cron();
            self.note_turn(began_ns, commands_before);
        }
        for (_, mut connection) in std::mem::take(&mut self.connections) {
            connection.flush();
            self.server.client_gone(&mut connection.session, self.index);
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
            Token(token) if token >= LISTENERS => self.accepting.push(token - LISTENERS),
            Token(index) => {
                let Some(connection) = self.connections.get_mut(index) else { return };
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    connection.readable = true;
                    connection.read_closed |= event.is_read_closed();
                    self.make_ready(index);
                }
                // A client that has gone does not wait for anything.
                if event.is_writable() || (event.is_read_closed() && self.connections[index].waits()) {
                    self.make_dirty(index);
                }
            }
        }
    }

    fn read_inbox(&mut self) {
        for message in self.inbox.drain() {
            match message {
                Message::Adopt(socket) => self.adopt(socket),
                Message::Answer { slot, id, reply } => _ = self.answer(slot, id, &reply),
                Message::Dismiss { slot, id, reply } => {
                    if let Some(waiter) = self.answer(slot, id, &reply) {
                        self.connections[slot].close(Closing::AfterReply);
                        self.count_dismissal(&waiter);
                    }
                }
                Message::Close { slot, id } => {
                    let is_there = |connection: &Connection| connection.session.client.id == id;
                    if self.connections.get(slot).is_some_and(is_there) {
                        self.close(slot);
                    }
                }
                Message::Listen { open, close } => self.change_listeners(open, &close),
                Message::Retry => self.retry(),
                Message::Stop => self.running = false,
            }
        }
    }

    fn retry(&mut self) {
        if self.postponed == 0 {
            return;
        }
        let postponed: Vec<usize> =
            self.connections.iter().filter(|(_, c)| c.postponed).map(|(index, _)| index).collect();
        for index in postponed {
            self.set_postponed(index, false);
            self.make_ready(index);
        }
    }

    /// Gives a blocked client the answer that somebody has for it, and returns what it waited with; None if it is gone.
    fn answer(&mut self, slot: usize, id: u64, reply: &Reply) -> Option<Arc<Waiter>> {
        let is_there = |connection: &Connection| connection.session.client.id == id;
        let waiter = self.connections.get(slot).is_some_and(is_there).then(|| self.end_wait(slot)).flatten()?;
        if !waiter.is_silent {
            self.connections[slot].out.append(reply);
        }
        self.make_ready(slot);
        self.make_dirty(slot);
        Some(waiter)
    }

    /// The command has failed that has waited, unless what it waits for will come.
    fn count_dismissal(&self, waiter: &Waiter) {
        if waiter.awaited == Some(Awaited::Freed) {
            return;
        }
        let stats = &self.core.env.stats;
        stats.commands[waiter.command.index as usize].failed.add(1);
        stats.error_replies.add(1);
        self.server.vitals.errors.add("UNBLOCKED", |line| self.server.log.warning(line));
    }

    /// Answers those who have waited long enough.
    fn end_waits(&mut self) {
        while let Some(&(at, _, slot)) = self.deadlines.first()
            && at <= self.core.tick_ms
        {
            self.deadlines.pop_first();
            let Some(waiter) = self.connections.get(slot).and_then(|c| c.session.blocked.clone()) else { continue };
            // If somebody else has claimed it, the answer is on its way.
            if self.server.waiters.end(&waiter, End::TimedOut) {
                self.answer(slot, waiter.client.id, &waiter.nothing(&*self.server));
            }
        }
    }

    /// Lets a client go on that has waited.
    fn end_wait(&mut self, slot: usize) -> Option<Arc<Waiter>> {
        let waiter = self.connections[slot].session.blocked.take()?;
        waiter.deadline_ms.map(|at| self.deadlines.remove(&(at, waiter.ticket, slot)));
        waiter.client.set_flags(ClientFlags::BLOCKED, false);
        *waiter.client.waiter.lock().expect("never poisoned") = None;
        Some(waiter)
    }

    /// Keeps count of postponed connections, and marks them for CLIENT LIST and INFO.
    fn set_postponed(&mut self, index: usize, postponed: bool) {
        let connection = &mut self.connections[index];
        connection.postponed = postponed;
        connection.session.client.set_flags(ClientFlags::BLOCKED, postponed);
        if postponed {
            self.postponed += 1;
        } else {
            connection.session.client.argv_bytes.store(0, Relaxed);
            self.postponed -= 1;
        }
    }

    fn listen(&mut self, mut listener: Listener) -> io::Result<()> {
        let slot = self.listeners.vacant_entry();
        listener.register(self.poll.registry(), Token(LISTENERS + slot.key()))?;
        slot.insert(listener);
        Ok(())
    }

    fn change_listeners(&mut self, open: Vec<Listener>, close: &[u64]) {
        let going: Vec<usize> =
            self.listeners.iter().filter(|(_, listener)| close.contains(&listener.id)).map(|(key, _)| key).collect();
        for key in going {
            // A socket that cannot be taken from the poll leaves it when it is dropped.
            let _ = self.listeners.remove(key).deregister(self.poll.registry());
        }
        for listener in open {
            if let Err(error) = self.listen(listener) {
                self.server.log.warning(&format!("Registering a listener: {error}"));
            }
        }
    }

    /// Accepts at each listener that may have connections waiting.
    fn accept_more(&mut self) {
        for key in std::mem::take(&mut self.accepting) {
            if self.accept(key) && !self.accepting.contains(&key) {
                self.accepting.push(key);
            }
        }
    }

    /// Accepts what one round may; says whether more may wait. The poll reports new connections only once.
    fn accept(&mut self, key: usize) -> bool {
        for _ in 0..self.server.live.max_new_connections_per_cycle.load(Relaxed) {
            let Some(listener) = self.listeners.get(key) else { return false };
            match listener.accept() {
                Ok(socket) => self.place(socket),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // One that no longer listens is about to be taken away.
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::InvalidInput) => {
                    return false;
                }
                Err(error) => {
                    self.server.log.warning(&format!("Accepting client connection: {error}"));
                    // The poll reports each connection once only, so this one is asked for again later.
                    self.stalled_listeners.push(key);
                    return false;
                }
            }
        }
        true
    }

    /// Gives a new connection to the worker that has the fewest.
    fn place(&mut self, socket: Socket) {
        let Some(socket) = self.server.welcome(socket) else { return };
        let target = self.server.least_busy_worker();
        self.server.workers[target].connections.fetch_add(1, Relaxed);
        if target == self.index {
            self.adopt(socket);
        } else {
            self.server.workers[target].inbox.post(Message::Adopt(socket));
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
        let session: Session = self.server.new_session(&socket, self.index, index);
        let connection = Connection::new(socket, session, self.core.tick_ms);
        connection.note_output();
        slot.insert(connection);
        self.make_ready(index);
    }

    fn make_ready(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        if !connection.queued && !connection.waits() {
            connection.queued = true;
            self.ready.push(index);
        }
    }

    fn make_dirty(&mut self, index: usize) {
        self.dirty.push(index);
    }

    fn serve_ready(&mut self, intake: &mut Intake) {
        let mut gate = GateHold::new(self.keyspace);
        self.core.section_commands = 0;
        self.core.section_began_ns = clock::ticks_ns();
        let ready = std::mem::take(&mut self.ready);
        let mut rest = &ready[..];
        while !rest.is_empty() {
            let count = intake.read(&self.core, &self.server, &mut self.connections, rest);
            let (round, later) = rest.split_at(count);
            rest = later;
            let mut heads = Lookahead::new(intake.heads(count), None);
            for (at, &index) in round.iter().enumerate() {
                let db = self.connections.get(index).map_or(0, |connection| connection.session.db);
                let head = || heads.next(&mut self.core.env, &mut gate, &clock::now_ms, db).copied();
                let arrival = intake.arrival(at, head);
                let Some(connection) = self.connections.get_mut(index) else { continue };
                connection.queued = false;
                serve(&mut self.core, &mut gate, &self.server, connection, arrival);
                self.served(index);
            }
        }
    }

    /// Sees to what a connection waits for after its turn.
    fn served(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        if connection.session.departs.is_some() {
            return self.depart(index);
        }
        self.dirty.push(index);
        if connection.postponed {
            self.set_postponed(index, true);
        } else if let Some(waiter) = &connection.session.blocked {
            self.deadlines.extend(waiter.deadline_ms.map(|at| (at, waiter.ticket, index)));
        } else if connection.readable && !connection.is_closing() {
            self.make_ready(index);
        }
    }

    /// Hands out what was published for the clients of this worker. Whoever has caught up by itself while it executed
    /// commands is passed over.
    fn deliver_published(&mut self) {
        let server = self.server.clone();
        let mailbox = server.channels.mailbox(self.index);
        if mailbox.last() == self.delivered {
            return;
        }
        let (first, deliveries) = mailbox.drain();
        self.delivered = first + deliveries.len() as u64 - 1;
        for (number, delivery) in (first..).zip(deliveries) {
            for (&id, &slot) in &*delivery.to {
                let Some(connection) = self.connections.get_mut(slot).filter(|c| c.session.client.id == id) else {
                    continue;
                };
                let awaits = connection.session.subscriptions.as_ref().is_some_and(|mine| mine.awaits(number));
                if !awaits || connection.is_closing() || connection.session.client.killed.load(Relaxed) {
                    continue;
                }
                match &delivery.message {
                    Some(message) => connection.out.append_push(message),
                    None => connection.close_for_output(&server),
                }
                relieve(&server, connection);
                if !connection.told {
                    connection.told = true;
                    self.dirty.push(slot);
                }
            }
        }
    }

    fn flush_dirty(&mut self) {
        for index in std::mem::take(&mut self.dirty) {
            let Some(connection) = self.connections.get_mut(index) else { continue };
            connection.told = false;
            let gone = connection.waits() && connection.read_closed;
            if connection.closing == Closing::Now || gone {
                self.close(index);
                continue;
            }
            let waited = connection.session.client.reply_pending.load(Relaxed) != 0;
            connection.room.note(connection.out.pending_bytes());
            let (flushed, sent) = connection.flush();
            let sent = sent + std::mem::take(&mut connection.early_bytes);
            if sent > 0 {
                let client = &connection.session.client;
                client.net_out.add(sent as u64);
                client.last_ms.store(self.core.tick_ms, Relaxed);
                self.core.env.stats.net_out.add(sent as u64);
                self.core.env.stats.writes.add(1);
            }
            let over = flushed == Flushed::Blocked && is_over_output_limit(&self.server, connection, self.core.tick_ms);
            if waited || flushed == Flushed::Blocked {
                connection.note_output();
            }
            let closing = connection.is_closing() && flushed == Flushed::All;
            if over || flushed == Flushed::Broken || closing {
                self.close(index);
            }
        }
    }

    /// Hands a connection that has asked for the stream over to those who send it.
    fn depart(&mut self, index: usize) {
        let mut connection = self.connections.remove(index);
        // A socket that cannot be taken from the poll here cannot be put into another either, which is noticed there.
        let _ = connection.socket.deregister(self.poll.registry());
        let rest = connection.query.filled().to_vec();
        let arrival = Arrival { socket: connection.socket, session: connection.session, rest };
        self.server.replication.feeders.adopt(&self.server, arrival);
    }

    fn close(&mut self, index: usize) {
        if self.connections[index].postponed {
            self.set_postponed(index, false);
        }
        if let Some(waiter) = self.end_wait(index) {
            self.server.waiters.end(&waiter, End::Gone);
        }
        let mut connection = self.connections.remove(index);
        // A socket that cannot be taken from the poll leaves it when it is dropped.
        let _ = connection.socket.deregister(self.poll.registry());
        self.server.client_gone(&mut connection.session, self.index);
    }
}
