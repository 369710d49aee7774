//! The process: what all workers share, and how commands reach it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use ::persistence::load::Duplicates;
use commands::blocking::{Awaited, WaitQueues, Waiter};
use commands::client::{Client, ClientFlags};
use commands::effect::{Change, Class};
use commands::error::{Error, LOADING, Result};
use commands::eviction::Exceeded;
use commands::failover::Failover;
use commands::host::{Crash, Ended, Host, Pause, Shutdown};
use commands::info::Section;
use commands::memory::Memory;
use commands::migrate::Migration;
use commands::pubsub::{self, channels::Channels};
use commands::record::Record;
use commands::replication::{Followed, Role};
use commands::reply::Reply;
use commands::session::Session;
use commands::settings::Settings;
use commands::standing::Standing;
use commands::stats::Stats;
use crossbeam::channel::Sender;
use store::database::Database;
use store::entry::Entry;
use store::gate::Section as Gated;
use store::keyspace::Keyspace;

use crate::config::{Config, keys};
use crate::configuration;
use crate::ending::Ending;
use crate::eviction::Asked;
use crate::lazy_free::LazyFree;
use crate::listening::Listening;
use crate::live::Live;
use crate::log::Log;
use crate::migrate::Migrator;
use crate::net::inbox::{Inbox, Message, Socket};
use crate::oom_score::OomScore;
use crate::pause::Pausing;
use crate::persistence::snapshot::{self, Job};
use crate::persistence::{self, Persistence, loading};
use crate::rates::Counters;
use crate::registry::Registry;
use crate::replication::State;
use crate::replication::replica::Primary;
use crate::supervise::Supervisor;
use crate::vitals::Vitals;
use crate::{alloc, clock, crash, info, log, memory};

/// How others reach a worker, and what they may know of it.
pub struct WorkerHandle {
    /// Where to leave messages.
    pub inbox: Arc<Inbox>,
    /// Connections that it serves, or will soon.
    pub connections: AtomicUsize,
    /// Its counters.
    pub stats: Arc<Stats>,
}

/// See the file's head.
pub struct Server {
    /// The configuration.
    pub config: Config,
    /// The part of it that commands read.
    pub settings: Arc<Settings>,
    /// The part of it that the process looks at all the time.
    pub live: Live,
    /// All data; never freed.
    pub keyspace: &'static Keyspace,
    /// Clients and watches.
    pub registry: Registry,
    /// Clients that wait for keys.
    pub waiters: WaitQueues,
    /// Who listens to what.
    pub channels: Channels,
    /// The workers.
    pub workers: Vec<WorkerHandle>,
    /// The log.
    pub log: Log,
    /// Where it listens.
    pub listening: Listening,
    /// Who has started it.
    pub supervisor: Supervisor,
    /// How readily the kernel ends it.
    pub oom_score: OomScore,
    /// Whether it is about to end.
    pub ending: Ending,
    /// When the process started, in milliseconds since 1970.
    pub started_ms: i64,
    /// Connections accepted so far.
    pub connections_received: AtomicU64,
    /// Connections refused because of `maxclients`.
    pub connections_rejected: AtomicU64,
    /// Clients closed because their input, or output, grew too large.
    pub query_limit_disconnections: AtomicU64,
    /// See above.
    pub output_limit_disconnections: AtomicU64,
    /// What threads other than workers count.
    pub background_stats: Arc<Stats>,
    /// What is counted where the primary's stream is applied.
    pub applier_stats: Arc<Stats>,
    /// Replication.
    pub replication: State,
    /// See [`Host::standing`].
    standing: AtomicU32,
    /// Saving and loading.
    pub persistence: Persistence,
    /// DEBUG SET-ACTIVE-EXPIRE.
    pub active_expiry: AtomicBool,
    /// CLIENT PAUSE.
    pub pausing: Pausing,
    /// How long `maxmemory` has been exceeded.
    pub exceeded: Exceeded,
    /// Whether eviction is to go on in the background.
    pub eviction_asked: Asked,
    /// When [`Self::warn_of`] warned last.
    pub(crate) suspected_ms: AtomicI64,
    /// Frees what takes long.
    pub lazy_free: LazyFree,
    /// Moves keys to other servers.
    pub migrator: Migrator,
    /// What it knows of itself.
    pub vitals: Vitals,
    next_client: AtomicU64,
}

impl Server {
    /// The shared part of a server whose workers are about to start.
    pub fn new(
        config: Config,
        log: Log,
        listening: Listening,
        supervisor: Supervisor,
        workers: Vec<WorkerHandle>,
        jobs: Sender<Job>,
    ) -> Self {
        let keyspace = Keyspace::new(config.get(keys::DATABASES), config.get(keys::KEYSPACE_STRIPES));
        let inboxes: Vec<_> = workers.iter().map(|worker| worker.inbox.clone()).collect();
        keyspace.set_wake(move || inboxes.iter().for_each(|inbox| inbox.post(Message::Retry)));
        let keyspace = Box::leak(Box::new(keyspace));
        Self {
            settings: Arc::default(),
            live: Live::default(),
            keyspace,
            registry: Registry::default(),
            waiters: WaitQueues::default(),
            channels: Channels::new(workers.len()),
            workers,
            log,
            listening,
            supervisor,
            oom_score: OomScore::default(),
            ending: Ending::default(),
            started_ms: clock::now_ms(),
            connections_received: AtomicU64::new(0),
            connections_rejected: AtomicU64::new(0),
            query_limit_disconnections: AtomicU64::new(0),
            output_limit_disconnections: AtomicU64::new(0),
            background_stats: Arc::default(),
            applier_stats: Arc::default(),
            replication: State::default(),
            standing: AtomicU32::new(0),
            persistence: Persistence::new(jobs),
            active_expiry: AtomicBool::new(true),
            pausing: Pausing::default(),
            exceeded: Exceeded::default(),
            eviction_asked: Asked::default(),
            suspected_ms: AtomicI64::new(0),
            lazy_free: LazyFree::default(),
            migrator: Migrator::default(),
            vitals: Vitals::default(),
            next_client: AtomicU64::new(1),
            config,
        }
    }

    /// The counters of all threads.
    pub fn all_stats(&self) -> impl Iterator<Item = &Arc<Stats>> {
        self.workers.iter().map(|worker| &worker.stats).chain([&self.background_stats, &self.applier_stats])
    }

    /// Notes how far the counters are, for rates, and how much memory is used, for its peak.
    pub fn take_samples(&self, now_ns: u64) {
        self.vitals.memory_peak(memory::used(self));
        self.vitals.sampler.sample(now_ns, || {
            let mut counters = Counters::default();
            for stats in self.all_stats() {
                counters.commands += stats.processed.get();
                counters.net_in += stats.net_in.get();
                counters.net_out += stats.net_out.get();
                counters.cycles += stats.loop_cycles.get();
                counters.cycle_nanos += stats.loop_nanos.get();
            }
            counters
        });
    }

    /// The worker with the fewest connections.
    pub fn least_busy_worker(&self) -> usize {
        let busy = |worker: &WorkerHandle| worker.connections.load(Relaxed);
        (0..self.workers.len()).min_by_key(|&index| busy(&self.workers[index])).unwrap_or(0)
    }

    /// Raises or lowers flags of how the process stands. Called under the exclusive gate, unless it is a matter of course
    /// that some commands still run as before.
    pub fn stand(&self, flags: Standing, on: bool) {
        if on {
            self.standing.fetch_or(flags.bits(), Relaxed);
        } else {
            self.standing.fetch_and(!flags.bits(), Relaxed);
        }
    }

    /// Makes everything agree with the role: that of a replica of this primary, or that of a primary.
    pub fn note_role(&self, primary: Option<&Primary>) {
        self.config.note_replica_of(primary.map(|Primary { host, port }| (host.as_bytes(), *port)));
        self.log.set_role(if primary.is_some() { log::Role::Replica } else { log::Role::Primary });
        // The log has the reason if that fails.
        let _ = self.oom_score.set(&self.config, &self.log);
    }

    /// What stands for our primary among the clients. No worker serves it.
    pub fn new_primary_client(&self, (addr, laddr): (String, String)) -> Arc<Client> {
        let now_ms = clock::now_ms();
        Arc::new(Client {
            id: self.next_client.fetch_add(1, Relaxed),
            addr,
            laddr,
            fd: -1,
            slot: usize::MAX,
            created_ms: now_ms,
            last_ms: AtomicI64::new(now_ms),
            ..Client::default()
        })
    }

    /// A session for a connection that a worker has taken on.
    pub fn new_session(&self, socket: &Socket, worker: usize, slot: usize) -> Session {
        let now_ms = clock::now_ms();
        let (addr, laddr, fd, unix) = socket.names(&self.config);
        let client = Client {
            id: self.next_client.fetch_add(1, Relaxed),
            addr,
            laddr,
            fd,
            worker,
            slot,
            created_ms: now_ms,
            last_ms: AtomicI64::new(now_ms),
            ..Client::default()
        };
        client.set_flags(ClientFlags::UNIX_SOCKET, unix);
        let client = Arc::new(client);
        self.registry.add(client.clone());
        Session::new(client, !self.settings.password_needed.load(Relaxed))
    }

    /// Forgets a client whose connection is closed.
    pub fn client_gone(&self, session: &mut Session, worker: usize) {
        pubsub::leave_all(&self.channels, session);
        for watched in &session.watched {
            self.registry.unwatch(watched.db, &watched.key, &session.client);
        }
        self.registry.remove(session.client.id);
        self.workers[worker].connections.fetch_sub(1, Relaxed);
    }

    /// The classes of events that are published.
    fn wanted_events(&self) -> Class {
        Class::from_bits_truncate(self.settings.notify_keyspace_events.load(Relaxed))
    }

    /// Whether a client may send what only authenticated ones may.
    pub fn is_authenticated(&self, session: &Session) -> bool {
        session.authenticated || !self.settings.password_needed.load(Relaxed)
    }
}

impl Host for Server {
    fn ticks_ns(&self) -> u64 {
        clock::ticks_ns()
    }

    fn count_error(&self, code: &str) {
        self.vitals.errors.add(code, |line| self.log.warning(line));
    }

    fn pause(&self) -> Pause {
        match self.paused() {
            Pause::No if self.replication.holds_writes() => Pause::Writes,
            pause => pause,
        }
    }

    fn expiry_is_paused(&self) -> bool {
        // A replica's keys go when its primary says so.
        self.paused() != Pause::No || self.replication.is_replica()
    }

    fn observes_keys(&self) -> bool {
        self.registry.is_watched()
            || (self.wanted_events() != Class::empty() && self.channels.hears_events())
            || self.replication.own_keys.is_on()
    }

    fn key_changed(&self, change: &Change) {
        if change.modified && self.registry.is_watched() {
            self.registry.touch(change.db, &change.key, change.class == Class::EXPIRED);
        }
        self.replication.own_keys.note(change);
        pubsub::notify(self, self.wanted_events(), change);
    }

    fn log_is_on(&self) -> bool {
        self.replication.stream.is_on() && !self.replication.is_replica()
    }

    fn standing(&self) -> Standing {
        Standing::from_bits_retain(self.standing.load(Relaxed))
    }

    fn append(&self, record: &Record) -> u64 {
        self.replication.append(record)
    }

    fn append_applied(&self, raw: &[u8], db: u32) {
        self.replication.applied(raw, db);
    }

    fn free(&self, garbage: Vec<Entry>) {
        self.lazy_free.values(garbage);
    }

    fn free_database(&self, database: Arc<Database>, sync: bool) {
        if sync {
            return drop(database);
        }
        self.lazy_free.database(database);
    }

    fn watch(&self, db: u32, key: &[u8], client: &Arc<Client>, expired: bool) {
        self.registry.watch(db, key, client, expired);
    }

    fn watched_keys(&self, db: u32) -> Vec<Box<[u8]>> {
        self.registry.watched_keys(db)
    }

    fn waiters(&self) -> &WaitQueues {
        &self.waiters
    }

    fn deliver(&self, waiter: &Arc<Waiter>, reply: Reply) {
        let client = &waiter.client;
        let answer = Message::Answer { slot: client.slot, id: client.id, reply: Box::new(reply) };
        self.workers[client.worker].inbox.post(answer);
    }

    fn unwatch(&self, db: u32, key: &[u8], client: &Arc<Client>) {
        self.registry.unwatch(db, key, client);
    }

    fn unix_us(&self) -> i64 {
        clock::unix_us()
    }

    fn info(&self, section: Section, out: &mut String) {
        info::write(self, section, out);
    }

    fn stats(&self) -> Vec<Arc<Stats>> {
        self.all_stats().cloned().collect()
    }

    fn error_counts(&self) -> Vec<(String, u64)> {
        self.vitals.errors.all()
    }

    fn memory(&self) -> Memory {
        memory::memory(self)
    }

    fn used_memory(&self) -> u64 {
        memory::used(self)
    }

    fn counted_memory(&self) -> u64 {
        memory::counted(self)
    }

    fn purge_memory(&self) {
        alloc::purge();
    }

    fn allocator_report(&self) -> String {
        alloc::report()
    }

    fn may_debug(&self, client: &Client) -> bool {
        match self.config.get(keys::ENABLE_DEBUG_COMMAND) {
            "yes" => true,
            "local" => configuration::is_local(client),
            _ => false,
        }
    }

    fn set_active_expiry(&self, on: bool) {
        self.active_expiry.store(on, Relaxed);
    }

    fn crash(&self, how: Crash) {
        crash::on_purpose(how);
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn log_warning(&self, message: &str) {
        self.log.warning(message);
    }

    fn failed_from_primary(&self, command: &str, error: &Error) {
        self.replication.failed_from_primary(self, command, error);
    }

    fn change_replication_id(&self) {
        self.replication.change_id();
    }

    fn replicate_from(&self, client: &Client, primary: Option<(&[u8], u16)>) -> Result<Followed> {
        self.replication.replicate_from(self, client, primary)
    }

    fn is_failing_over(&self) -> bool {
        self.replication.failover.holds_writes()
    }

    fn fail_over(&self, wanted: Failover) -> Result<()> {
        self.replication.fail_over(self, wanted)
    }

    fn abort_failover(&self) -> Result<()> {
        self.replication.abort_failover(self)
    }

    fn take_over(&self, client: &Client, id: &[u8]) -> Result<()> {
        self.replication.take_over(self, client, id)
    }

    fn may_sync(&self) -> Result<()> {
        self.replication.may_sync()
    }

    fn awaits_rdb_channel(&self, client: u64) -> bool {
        self.replication.primary.awaits_rdb_channel(client)
    }

    fn acknowledged(&self, offset: u64) -> usize {
        self.replication.primary.acknowledged(offset)
    }

    fn await_event(&self, waiter: &Arc<Waiter>) {
        match waiter.awaited {
            Some(Awaited::End) => self.ending.await_end(waiter),
            Some(Awaited::Freed) => self.lazy_free.answer_behind(waiter.clone()),
            _ => self.replication.await_replicas(self, waiter),
        }
    }

    fn role(&self) -> Role {
        self.replication.role_of_replica().unwrap_or_else(|| Role::Primary {
            offset: self.replication.offset(),
            replicas: self.replication.primary.online(),
        })
    }

    fn config_get(&self, patterns: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.config.matching(patterns.iter().copied())
    }

    fn config_set(&self, client: &Client, pairs: &[(&[u8], &[u8])]) -> Result<()> {
        configuration::set(self, client, pairs)
    }

    fn config_rewrite(&self, everything: bool) -> Result<()> {
        configuration::rewrite(self, everything)
    }

    fn reset_stats(&self) {
        configuration::reset_stats(self);
    }

    fn shut_down(&self, how: Shutdown, section: &Gated<'_>) -> Result<Ended> {
        self.ending.begin(self, how, section).map_err(|()| Error::new("ERR Errors trying to SHUTDOWN. Check logs."))
    }

    fn abort_shutdown(&self) -> Result<()> {
        if self.ending.abort(self) { Ok(()) } else { Err(Error::new("ERR No shutdown in progress.")) }
    }

    // --- saving and loading

    fn last_save_s(&self) -> i64 {
        self.persistence.last_save_s()
    }

    fn is_saving(&self) -> bool {
        self.persistence.running().is_some()
    }

    fn save(&self, section: &Gated<'_>) -> Result<()> {
        snapshot::save_now(self, section).map_err(|()| Error::new("ERR"))
    }

    fn begin_save(&self, section: &Gated<'_>) {
        snapshot::begin(self, section);
    }

    fn schedule_save(&self) {
        self.persistence.schedule();
    }

    fn flushed_all(&self, section: &Gated<'_>) -> bool {
        persistence::flushed_all(self, section)
    }

    fn load(&self, section: &Gated<'_>, replace: bool) -> Result<()> {
        if self.persistence.loading.is_on() {
            return Err(LOADING);
        }
        let duplicates = if replace { Duplicates::Replace } else { Duplicates::Refuse };
        loading::now(self, section, duplicates)
            .map_err(|()| Error::new("ERR Error trying to load the RDB dump, check server logs."))
    }

    // --- eviction

    fn may_evict(&self) -> bool {
        self.paused() == Pause::No && !self.replication.leaves_eviction_to_primary()
    }

    fn frees_in_background(&self) -> bool {
        self.lazy_free.pending() > 0
    }

    fn exceeded(&self) -> &Exceeded {
        &self.exceeded
    }

    fn evict_in_background(&self) {
        if self.eviction_asked.ask() {
            self.ending.hurry();
        }
    }

    // --- moving keys

    fn migrate(&self, waiter: Arc<Waiter>, migration: Migration) {
        self.migrator.take(waiter, migration);
    }

    // --- publish and subscribe

    fn channels(&self) -> &Channels {
        &self.channels
    }

    fn ring(&self, worker: usize) {
        self.workers[worker].inbox.ring();
    }

    // --- clients

    fn clients(&self) -> Vec<Arc<Client>> {
        let mut clients = self.registry.clients();
        clients.retain(|client| !client.killed.load(Relaxed));
        clients
    }

    fn client(&self, id: u64) -> Option<Arc<Client>> {
        self.registry.client(id).filter(|client| !client.killed.load(Relaxed))
    }

    fn kill(&self, client: &Client) {
        self.kill_client(client);
    }

    fn suspect(&self, client: &Client) {
        self.warn_of(client);
    }

    fn pause_clients(&self, until_ms: i64, pause: Pause) {
        self.pausing.set(until_ms, pause, clock::now_ms());
    }

    fn unpause_clients(&self) {
        self.pausing.clear();
        self.wake_postponed();
    }

    fn pause_ends_ms(&self) -> Option<i64> {
        self.pausing.ends_ms()
    }
}
