//! Feeders: the threads that send copies and the stream to replicas.
//!
//! A small pool, started with the first replica. Each has its own poll and looks after its replicas' connections; all of
//! them read the one ring, each replica with a cursor of its own, so memory does not grow with their number. What is
//! published is lent out by the ring and written as it lies there.
//!
//! **Sleeping.** A feeder that has nothing to send says so, looks once more, and sleeps; whoever has appended looks
//! whether a feeder sleeps, and wakes it. Between the two steps of each stands a sequentially consistent fence, so one of
//! them sees the other. A feeder that is awake is not woken, so the cost for writers is a load.

mod hearing;
mod link;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*, fence};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use std::time::Duration;

use commands::session::Session;
use mio::{Events, Poll, Token, Waker};
use replication::id::ReplicationId;
use replication::ring::Reader;
use slab::Slab;

use super::inbox::Socket;
use super::mailbox::Mailbox;
use crate::clock;
use crate::config::keys;
use crate::replication::outgoing::Outgoing;
use crate::replication::pacing;
use crate::replication::primary::Start;
use crate::server::Server;
use link::{Ended, Link};

/// One feeder for so many workers,
const WORKERS_A_FEEDER: usize = 4;
/// but no more than this.
const FEEDERS_MAX: usize = 4;
/// From one look at limits and timeouts to the next.
const TEND: Duration = Duration::from_millis(100);
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
        /// Stands where the stream goes on, if it is to follow here.
        stream: Option<Reader>,
        /// Stands behind the copy. The stream then waits for an acknowledgement: a replica cannot see the mark if anything
        /// follows.
        mark: Option<ReplicationId>,
    },
    /// Send the stream; its copy goes over another connection.
    Stream(u64, Reader),
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
                link.stirred(event);
            }
            for order in self.handle.mailbox.drain() {
                self.obey(&server, order);
            }
            let now_ms = clock::now_ms();
            server.replication.pace(&server, now_ms);
            self.paces = server.replication.pacing.is_on();
            if let Some(ring) = server.replication.stream.ring() {
                ring.prepare();
            }
            server.replication.spill.look(&server);
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
                    link.greet(&bytes);
                }
            }
            Order::Begin { client, copy, stream, mark } => match self.link(client) {
                Some(link) => link.begin(copy, stream, mark),
                None => copy.leave(client),
            },
            Order::Stream(client, reader) => {
                if let Some(link) = self.link(client) {
                    link.stream(reader);
                }
            }
        }
    }

    fn link(&mut self, client: u64) -> Option<&mut Link> {
        self.links.iter_mut().map(|(_, link)| link).find(|link| link.client() == client)
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
        let waits = matches!(start, Start::Copy);
        slot.insert(Link::new(socket, session, replica.clone(), rest, start));
        if waits {
            server.replication.primary.copies.want(server, &replica);
        }
    }

    fn close(&mut self, server: &Server, key: usize, ended: Ended) {
        let link = self.links.remove(key);
        if let Ended::Because(reason) = ended {
            server.log.warning(&reason);
        }
        link.end(server, self.poll.registry());
    }
}
