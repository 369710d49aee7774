//! The replica's side: whom this process follows, and how that goes.
//!
//! REPLICAOF changes it under the exclusive gate and returns at once. Each primary gets a thread of its own, the *link*,
//! which tries and tries again until it is told to end; so a primary that does not answer delays no other. A link is over
//! when the client that stands for its primary is killed, which happens under the exclusive gate too: from that moment
//! nothing that it has received is applied. CLIENT KILL breaks it as well, and then it begins anew with a new client.

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use commands::blocking::{Awaited, End};
use commands::client::Client;
use commands::error::{Error, Result};
use commands::replication::{Followed, Role};
use commands::standing::Standing;
use parking_lot::{Condvar, Mutex};
use replication::id::Position;

use super::beside::Kept;
use super::{State, link};
use crate::config::keys;
use crate::net::inbox::Message;
use crate::server::Server;
use crate::{clock, promptness};

/// What those are told who wait for a key when their server becomes a replica.
const UNBLOCKED: &str = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";

/// How far a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LinkState {
    /// There is none: the process is a primary.
    None,
    /// The next attempt is due.
    Connect,
    /// The connection is being made.
    Connecting,
    /// Both sides introduce themselves.
    Handshake,
    /// A full copy comes.
    Transfer,
    /// The stream comes.
    Connected,
}

/// A primary's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Primary {
    /// A name or an address, as it was given.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Where a link can go on after it was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// How far this process is.
    pub position: Position,
    /// The database that is selected there.
    pub db: u32,
}

/// See the file's head.
pub struct Following {
    on: AtomicBool,
    /// `replica-ignore-maxmemory`.
    ignores_maxmemory: AtomicBool,
    state: AtomicU8,
    inner: Mutex<Inner>,
    /// Rung when a link is to end, or to try again.
    bell: Condvar,
    /// Bytes of the stream that have come, applied or not.
    read_offset: AtomicU64,
    last_io_ms: AtomicI64,
    /// When the link was lost, in milliseconds since 1970; 0 if it never was.
    down_since_ms: AtomicI64,
    /// The full copy that comes.
    pub transfer: Transfer,
    /// The stream that waits for it.
    pub kept: Kept,
    /// Bytes that primaries have sent.
    pub bytes_in: AtomicU64,
}

#[derive(Default)]
struct Inner {
    primary: Option<Primary>,
    /// Which link is the right one; it changes with each REPLICAOF.
    term: u64,
    /// What PSYNC can ask for.
    resume: Option<Resume>,
    /// The connections of the link, to be broken from outside.
    sockets: Vec<TcpStream>,
    /// Stands for the primary among the clients, while the stream comes.
    client: Option<Arc<Client>>,
    /// Whether the primary has told an offset, so that a broken link can be gone on with.
    resumable: bool,
    /// Where the data is that was loaded at the start.
    restored: Option<Resume>,
}

/// What INFO says of a full copy.
pub struct Transfer {
    /// -1 before it is known, 0 when the primary does not know it.
    pub total_bytes: AtomicI64,
    /// So far.
    pub read_bytes: AtomicI64,
}

impl Default for Following {
    fn default() -> Self {
        Self {
            on: AtomicBool::new(false),
            ignores_maxmemory: AtomicBool::new(true),
            state: AtomicU8::new(LinkState::None as u8),
            inner: Mutex::default(),
            bell: Condvar::new(),
            read_offset: AtomicU64::new(0),
            last_io_ms: AtomicI64::new(0),
            down_since_ms: AtomicI64::new(0),
            bytes_in: AtomicU64::new(0),
            kept: Kept::default(),
            transfer: Transfer { total_bytes: AtomicI64::new(-1), read_bytes: AtomicI64::new(0) },
        }
    }
}

impl Following {
    /// Whether a primary is followed. Changes under the exclusive gate.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }

    /// How far the link is.
    pub fn state(&self) -> LinkState {
        const STATES: [LinkState; 6] = [
            LinkState::None,
            LinkState::Connect,
            LinkState::Connecting,
            LinkState::Handshake,
            LinkState::Transfer,
            LinkState::Connected,
        ];
        STATES[usize::from(self.state.load(Relaxed))]
    }

    /// Whom it follows.
    pub fn primary(&self) -> Option<Primary> {
        self.inner.lock().primary.clone()
    }

    /// Bytes of the stream that have come; `applied` if no link reads at the moment.
    pub fn read_offset(&self, applied: u64) -> u64 {
        if self.state() == LinkState::Connected { self.read_offset.load(Relaxed).max(applied) } else { applied }
    }

    /// The primary has been heard of.
    pub(super) fn heard(&self) {
        self.last_io_ms.store(clock::now_ms(), Relaxed);
    }

    /// Seconds since the primary was heard of.
    pub fn quiet_secs(&self) -> i64 {
        (clock::now_ms() - self.last_io_ms.load(Relaxed)).max(0) / 1000
    }

    /// Seconds since the link was lost; -1 if it never was there.
    pub fn down_secs(&self) -> i64 {
        match self.down_since_ms.load(Relaxed) {
            0 => -1,
            since_ms => (clock::now_ms() - since_ms).max(0) / 1000,
        }
    }

    pub(super) fn note_read(&self, offset: u64) {
        self.read_offset.store(offset, Relaxed);
    }

    /// Where a process with this data could go on: at `now` while the stream comes, else where it has stopped.
    pub(super) fn place(&self, now: Position) -> Option<Resume> {
        let inner = self.inner.lock();
        if self.state() != LinkState::Connected {
            return inner.resume;
        }
        let db = inner.client.as_ref().map_or(0, |client| client.db.load(Relaxed));
        inner.resumable.then_some(Resume { position: now, db })
    }

    /// The data is that of a file which says where it is.
    pub(super) fn restored(&self, resume: Resume) {
        self.inner.lock().restored = Some(resume);
    }

    /// Breaks the link's connection; it will try again.
    pub fn cut(&self) {
        let inner = self.inner.lock();
        inner.break_off();
        self.bell.notify_all();
    }
}

impl Inner {
    fn break_off(&self) {
        if let Some(client) = &self.client {
            client.killed.store(true, Relaxed);
        }
        for socket in &self.sockets {
            // It may be broken already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// What a link may do with the state it belongs to. All of it fails quietly once another link is the right one.
pub(super) struct Term {
    pub(super) server: Arc<Server>,
    pub(super) primary: Primary,
    term: u64,
}

impl Term {
    fn following(&self) -> &Following {
        &self.server.replication.following
    }

    /// Whether this link is still the right one. Settled while a section lasts.
    pub(super) fn is_current(&self) -> bool {
        self.following().inner.lock().term == self.term
    }

    /// Notes how far the link is.
    pub(super) fn set_state(&self, state: LinkState) {
        let inner = self.following().inner.lock();
        if inner.term == self.term {
            self.following().state.store(state as u8, Relaxed);
        }
    }

    /// Lends a connection to those who may have to break it; false if this link is to end.
    pub(super) fn connected(&self, socket: TcpStream) -> bool {
        let mut inner = self.following().inner.lock();
        let is_current = inner.term == self.term;
        if is_current {
            inner.sockets.push(socket);
        }
        is_current
    }

    /// The stream comes from now on: makes the client that stands for the primary known. Called under the exclusive gate;
    /// false if this link is to end.
    pub(super) fn stream_begins(&self, client: &Arc<Client>, offset: u64, resumable: bool) -> bool {
        let following = self.following();
        let mut inner = following.inner.lock();
        if inner.term != self.term {
            return false;
        }
        inner.client = Some(client.clone());
        inner.resumable = resumable;
        following.read_offset.store(offset, Relaxed);
        following.down_since_ms.store(0, Relaxed);
        following.state.store(LinkState::Connected as u8, Relaxed);
        following.heard();
        drop(inner);
        self.server.replication.refresh_standing(&self.server);
        true
    }

    /// What was received can no longer be gone on with: a full copy takes its place.
    pub(super) fn forget_resume(&self) {
        let mut inner = self.following().inner.lock();
        if inner.term == self.term && inner.resume.take().is_some() {
            self.server.log.notice("Discarding previously cached master state.");
        }
    }

    /// The attempt is over; says how far it had come.
    pub(super) fn disconnected(&self) -> LinkState {
        let server = &self.server;
        let _alone = server.keyspace.gate().enter_alone();
        let following = self.following();
        let mut inner = following.inner.lock();
        if inner.term != self.term {
            return LinkState::None;
        }
        let state = following.state();
        if state == LinkState::Connected {
            server.replication.keep_resume(server, &mut inner);
        }
        inner.sockets.clear();
        inner.client = None;
        following.state.store(LinkState::Connect as u8, Relaxed);
        drop(inner);
        server.replication.refresh_standing(server);
        state
    }

    /// What the primary has sent made no sense: the next link is not to go on behind it.
    pub(super) fn give_up_resume(&self) {
        let mut inner = self.following().inner.lock();
        inner.resumable &= inner.term != self.term;
    }

    /// What PSYNC can ask for.
    pub(super) fn resume(&self) -> Option<Resume> {
        self.following().inner.lock().resume
    }

    /// A full copy is about to come.
    pub(super) fn begin_transfer(&self) {
        let transfer = self.transfer();
        transfer.total_bytes.store(-1, Relaxed);
        transfer.read_bytes.store(0, Relaxed);
        self.set_state(LinkState::Transfer);
    }

    /// How the full copy goes.
    pub(super) fn transfer(&self) -> &Transfer {
        &self.following().transfer
    }

    /// The primary has sent so many bytes.
    pub(super) fn heard(&self, bytes: usize) {
        self.following().heard();
        self.following().bytes_in.fetch_add(bytes as u64, Relaxed);
    }

    /// Waits, unless the link is to end, which it says.
    pub(super) fn wait(&self, duration: Duration) -> bool {
        let mut inner = self.following().inner.lock();
        if inner.term == self.term && !duration.is_zero() {
            self.following().bell.wait_for(&mut inner, duration);
        }
        inner.term == self.term
    }
}

impl State {
    /// REPLICAOF. Called under the exclusive gate.
    ///
    /// # Errors
    /// The role cannot change now.
    pub fn replicate_from(&self, server: &Server, client: &Client, primary: Option<(&[u8], u16)>) -> Result<Followed> {
        let primary = match primary {
            None => None,
            Some((host, port)) => {
                let host = std::str::from_utf8(host).map_err(|_| Error::new("ERR Invalid master host"))?;
                Some(Primary { host: host.to_owned(), port })
            }
        };
        let line = || client.line(clock::now_ms(), None);
        match primary {
            None => {
                if self.follow_nobody(server) {
                    server.log.notice(&format!("MASTER MODE enabled (user request from '{}')", line()));
                }
            }
            Some(primary) if self.follows(&primary) => {
                server.log.notice(
                    "REPLICAOF would result into synchronization with the master we are already connected with. No \
                     operation performed.",
                );
                return Ok(Followed::Already);
            }
            Some(primary) => {
                let Primary { host, port } = primary.clone();
                if self.is_replica() {
                    self.follow(server, primary, None);
                } else {
                    self.follow_as_former_primary(server, primary);
                }
                server.log.notice(&format!("REPLICAOF {host}:{port} enabled (user request from '{}')", line()));
            }
        }
        Ok(Followed::Done)
    }

    fn follows(&self, primary: &Primary) -> bool {
        let followed = self.following.primary();
        followed.is_some_and(|it| it.host.eq_ignore_ascii_case(&primary.host) && it.port == primary.port)
    }

    /// Follows a primary, having been one itself. Called under the exclusive gate.
    pub(super) fn follow_as_former_primary(&self, server: &Server, primary: Primary) {
        // Whoever was our replica may be the primary now; it begins with a SELECT then.
        self.follow(server, primary, Some(Resume { position: self.position(), db: 0 }));
    }

    /// Follows a primary from now on. `own` is where a process is that followed nobody before. Called under the exclusive
    /// gate.
    fn follow(&self, server: &Server, primary: Primary, own: Option<Resume>) {
        let mut inner = self.following.inner.lock();
        inner.break_off();
        if self.following.state() == LinkState::Connected {
            self.keep_resume(server, &mut inner);
        }
        if own.is_some() {
            server.log.notice(
                "Before turning into a replica, using my own master parameters to synthesize a cached master: I may be \
                 able to synchronize with the new master with just a partial transfer.",
            );
        }
        let resume = own.or(inner.resume);
        *inner = Inner { primary: Some(primary.clone()), term: inner.term + 1, resume, ..Inner::default() };
        let term = inner.term;
        self.following.state.store(LinkState::Connect as u8, Relaxed);
        self.following.on.store(true, Relaxed);
        self.following.bell.notify_all();
        drop(inner);
        server.note_role(Some(&primary));
        self.refresh_standing(server);
        unblock_all(server);
        self.start_link(primary, term);
    }

    /// Follows nobody any more; says whether it did before. Called under the exclusive gate.
    pub(super) fn follow_nobody(&self, server: &Server) -> bool {
        let mut inner = self.following.inner.lock();
        if inner.primary.is_none() {
            return false;
        }
        inner.break_off();
        *inner = Inner { term: inner.term + 1, ..Inner::default() };
        self.following.state.store(LinkState::None as u8, Relaxed);
        self.following.on.store(false, Relaxed);
        self.following.down_since_ms.store(0, Relaxed);
        self.following.bell.notify_all();
        drop(inner);
        self.shift_id();
        server.note_role(None);
        self.refresh_standing(server);
        true
    }

    /// Follows the primary that the configuration names, at the start.
    pub fn follow_configured(&self, server: &Server) {
        let Some((host, port)) = server.config.get(keys::REPLICAOF) else { return };
        let _alone = server.keyspace.gate().enter_alone();
        let primary = Primary { host: String::from_utf8_lossy(&host).into_owned(), port };
        let restored = self.following.inner.lock().restored.take();
        self.follow(server, primary, restored);
    }

    /// The stream is over: what was applied of it is where the next link can go on.
    fn keep_resume(&self, server: &Server, inner: &mut Inner) {
        server.log.notice("Caching the disconnected master state.");
        let db = inner.client.as_ref().map_or(0, |client| client.db.load(Relaxed));
        inner.resume = inner.resumable.then(|| Resume { position: self.position(), db });
        self.following.down_since_ms.store(clock::now_ms(), Relaxed);
    }

    fn start_link(&self, primary: Primary, term: u64) {
        let Some(server) = self.server.get().and_then(std::sync::Weak::upgrade) else { return };
        let log = server.log.clone();
        let thread = std::thread::Builder::new().name("replica-link".into());
        if let Err(error) = thread.spawn(move || {
            promptness::ask();
            link::run(&Term { server, primary, term });
        }) {
            log.warning(&format!("Unable to start the thread that connects to the MASTER: {error}"));
        }
    }

    /// Lets follow from role, link and configuration what clients may do.
    pub fn refresh_standing(&self, server: &Server) {
        let (follows, state) = (self.following.is_on(), self.following.state());
        let stale = follows && state != LinkState::Connected && !server.config.get(keys::REPLICA_SERVE_STALE_DATA);
        server.stand(Standing::READ_ONLY, follows && server.config.get(keys::REPLICA_READ_ONLY));
        server.stand(Standing::STALE, stale);
        self.judge_replicas_alone(server);
        self.own_keys.set_on(follows && !server.config.get(keys::REPLICA_READ_ONLY));
        self.following.ignores_maxmemory.store(server.config.get(keys::REPLICA_IGNORE_MAXMEMORY), Relaxed);
    }

    /// Whether the primary sees to it that this process has room (`replica-ignore-maxmemory`).
    pub fn leaves_eviction_to_primary(&self) -> bool {
        self.following.is_on() && self.following.ignores_maxmemory.load(Relaxed)
    }

    /// ROLE of a replica.
    pub fn role_of_replica(&self) -> Option<Role> {
        let Primary { host, port } = self.following.primary()?;
        let state = match self.following.state() {
            LinkState::None => "none",
            LinkState::Connect => "connect",
            LinkState::Connecting => "connecting",
            LinkState::Handshake => "handshake",
            LinkState::Transfer => "sync",
            LinkState::Connected => "connected",
        };
        let offset = if state == "connected" { self.offset() as i64 } else { -1 };
        Some(Role::Replica { host, port, state, offset })
    }
}

/// Answers all who wait for a key, for here it will not come any more, and closes their connections, as they may be meant
/// for a primary.
fn unblock_all(server: &Server) {
    for client in server.registry.clients() {
        let Some(waiter) = client.waiter.lock().expect("never poisoned").clone() else { continue };
        if server.waiters.end(&waiter, End::Unblocked) {
            let mut reply = waiter.reply();
            match waiter.awaited {
                // That comes in any case.
                Some(Awaited::Freed) => reply.ok(),
                _ => reply.error(&Error::new(UNBLOCKED)),
            }
            let dismissal = Message::Dismiss { slot: client.slot, id: client.id, reply: Box::new(reply) };
            server.workers[client.worker].inbox.post(dismissal);
        }
    }
}
