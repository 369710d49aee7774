//! A server in memory, for tests of command families: a real keyspace, a clock that stands still until it is moved, and
//! a host that keeps what it is told.
//!
//! ```ignore
//! let server = Server::new();
//! let mut client = server.client();
//! assert_eq!(client.run("SET a 1 PX 100"), "+OK\r\n");
//! server.advance_ms(100);
//! assert_eq!(client.run("GET a"), "$-1\r\n");
//! assert_eq!(server.log(), ["0 SET a 1 PXAT 1000100", "0 DEL a"]);
//! ```

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use fastrand::Rng;
use store::database::Database;
use store::entry::Entry;
use store::keyspace::Keyspace;

use crate::args::OwnedArgs;
use crate::blocking::{Awaited, End, WaitQueues, Waiter};
use crate::client::{Client, ClientFlags};
use crate::effect::{Change, Class};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::eviction::Exceeded;
use crate::failover::Failover;
use crate::host::{Crash, Ended, Host, Pause, Shutdown};
use crate::info::Section;
use crate::memory::Memory;
use crate::migrate::Migration;
use crate::pipeline::{self, Flow, GateHold, Prepared};
use crate::pubsub;
use crate::pubsub::channels::Channels;
use crate::record::Record;
use crate::replication::{Followed, ReplicaInfo, Role};
use crate::reply::Reply;
use crate::session::Session;
use crate::settings::Settings;
use crate::standing::Standing;
use crate::stats::Stats;

/// When a test begins, in milliseconds since 1970.
pub const START_MS: i64 = 1_000_000;
const STRIPES: usize = 64;

/// See the file's head.
pub struct Server {
    pub host: &'static FakeHost,
    pub keyspace: &'static Keyspace,
    pub settings: Arc<Settings>,
    now_ms: Arc<AtomicI64>,
    clients: AtomicU64,
}

impl Server {
    /// An empty server with four databases.
    pub fn new() -> Self {
        // As in a process, neither is ever given back; a test may well lose that little.
        let host: &'static FakeHost = Box::leak(Box::default());
        let keyspace: &'static Keyspace = Box::leak(Box::new(Keyspace::new(4, STRIPES)));
        let _ = host.keyspace.set(keyspace);
        keyspace.set_wake(move || _ = host.woken.fetch_add(1, Relaxed));
        Self { now_ms: host.now_ms.clone(), host, keyspace, settings: Arc::default(), clients: AtomicU64::new(1) }
    }

    /// A new connection, which speaks RESP2.
    pub fn client(&self) -> TestClient {
        self.client_of(0)
    }

    /// A new connection that one of two workers serves.
    pub fn client_of(&self, worker: usize) -> TestClient {
        let id = self.clients.fetch_add(1, Relaxed);
        let (host, stats) = (self.host, Arc::new(Stats::default()));
        let rng = Rng::with_seed(id);
        let client = Arc::new(Client { id, worker, addr: format!("127.0.0.1:{id}"), ..Client::default() });
        host.clients.lock().unwrap().push(client.clone());
        TestClient {
            env: Env::new(host, self.keyspace, self.settings.clone(), stats, rng),
            session: Session::new(client, true),
            out: Reply::default(),
            now_ms: self.now_ms.clone(),
        }
    }

    /// Lets time pass.
    pub fn advance_ms(&self, millis: i64) {
        self.now_ms.fetch_add(millis, Relaxed);
    }

    /// What was logged since this was last asked: the database, then the command.
    pub fn log(&self) -> Vec<String> {
        std::mem::take(&mut *self.host.log.lock().unwrap())
    }

    /// The events since this was last asked: the database, the event, the key.
    pub fn events(&self) -> Vec<String> {
        std::mem::take(&mut *self.host.events.lock().unwrap())
    }

    /// Forgets what was logged and which events there were.
    pub fn forget(&self) {
        self.log();
        self.events();
    }

    /// Entries that lie in a database, expired ones included.
    pub fn entries(&self, db: u32) -> usize {
        let section = self.keyspace.gate().enter();
        self.keyspace.database(&section, db).map_or(0, Database::len)
    }
}

/// A client of a [`Server`].
pub struct TestClient {
    pub env: Env,
    pub session: Session,
    pub out: Reply,
    now_ms: Arc<AtomicI64>,
}

impl TestClient {
    /// Runs a command of words between blanks (`""` is the empty one) and returns the reply.
    ///
    /// # Panics
    /// If the command has to wait.
    pub fn run(&mut self, line: &str) -> String {
        self.run_args(words(line))
    }

    /// Runs a command of any words.
    ///
    /// # Panics
    /// If the command has to wait.
    pub fn run_args<A: AsRef<[u8]>>(&mut self, words: impl IntoIterator<Item = A>) -> String {
        let args: OwnedArgs = words.into_iter().collect();
        assert_eq!(self.execute(&args), Flow::Next, "{args:?} was postponed");
        self.take_reply()
    }

    /// Whether a command has to wait, and has no reply yet.
    pub fn is_postponed(&mut self, line: &str) -> bool {
        self.execute(&words(line).collect()) == Flow::Postponed && self.take_reply().is_empty()
    }

    fn execute(&mut self, args: &OwnedArgs) -> Flow {
        let mut gate = GateHold::new(self.env.keyspace);
        let now_ms = self.now_ms.clone();
        let clock = || now_ms.load(Relaxed);
        let prepared = Prepared::new(args.args(), false);
        let flow = pipeline::execute(&mut self.env, &mut gate, &clock, &mut self.session, &prepared, &mut self.out);
        self.hear_of_what_is_freed();
        flow
    }

    /// Whoever waits for that is answered at once here, if not by name.
    fn hear_of_what_is_freed(&mut self) {
        let is_it = |waiter: &mut Arc<Waiter>| waiter.awaited == Some(Awaited::Freed) && !waiter.is_waiting();
        if let Some(waiter) = self.session.blocked.take_if(is_it) {
            waiter.client.set_flags(ClientFlags::BLOCKED, false);
            self.out.ok();
        }
    }

    /// Runs a command and compares the reply.
    #[track_caller]
    pub fn check(&mut self, line: &str, expected: &str) {
        assert_eq!(self.run(line), expected, "{line}");
    }

    /// Runs commands that are not to fail.
    #[track_caller]
    pub fn all(&mut self, lines: &[&str]) {
        for line in lines {
            let reply = self.run(line);
            assert!(!reply.starts_with('-'), "{line}: {reply}");
        }
    }

    /// What was published for it and not shown yet.
    pub fn heard(&mut self) -> String {
        pubsub::catch_up(self.env.host.channels(), &mut self.session, &mut self.out);
        self.take_reply()
    }

    /// Speaks RESP3 from now on.
    pub fn resp3(&mut self) {
        self.out.set_resp3(true);
        self.session.client.resp.store(3, Relaxed);
    }

    pub fn take_reply(&mut self) -> String {
        let mut slices = Vec::new();
        self.out.slices(&mut slices, usize::MAX);
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.out.advance(bytes.len());
        String::from_utf8(bytes).unwrap()
    }
}

/// What a record says: a line a command, with its database, but for the SELECTs.
fn log_lines(mut bytes: &[u8], mut db: u32) -> Vec<String> {
    let mut lines = Vec::new();
    while !bytes.is_empty() {
        let mut words = Vec::new();
        for _ in 0..take_number(&mut bytes, b'*') {
            let len = take_number(&mut bytes, b'$');
            words.push(String::from_utf8_lossy(&bytes[..len]).into_owned());
            bytes = &bytes[len + 2..];
        }
        match &words[..] {
            [select, number] if select == "SELECT" => db = number.parse().unwrap(),
            _ => lines.push(format!("{db} {}", words.join(" "))),
        }
    }
    lines
}

fn take_number(bytes: &mut &[u8], marker: u8) -> usize {
    assert_eq!(bytes[0], marker);
    let end = bytes.iter().position(|byte| *byte == b'\r').unwrap();
    let number = std::str::from_utf8(&bytes[1..end]).unwrap().parse().unwrap();
    *bytes = &bytes[end + 2..];
    number
}

/// The words of a line; `""` is the empty one.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(' ').map(|word| if word == r#""""# { "" } else { word })
}

/// Keeps what it is told. It logs, and it observes all keys.
pub struct FakeHost {
    pub expiry_is_paused: AtomicBool,
    /// How often somebody has waited for what was to be freed; nobody waits long.
    pub awaited_freed: AtomicU64,
    /// Commands of a primary that have failed, and why.
    pub failed: Mutex<Vec<String>>,
    /// A background save was begun, or is to begin later.
    pub is_saving: AtomicBool,
    /// See above.
    pub begin_save_later: AtomicBool,
    /// What `maxmemory` is compared with.
    pub used_memory: AtomicU64,
    /// Bytes by which each key makes it more.
    pub bytes_a_key: AtomicU64,
    /// Whether keys may be evicted.
    pub may_evict: AtomicBool,
    /// Whether values wait to be freed.
    pub frees_in_background: AtomicBool,
    pub exceeded: Exceeded,
    /// How often the background was asked to evict.
    pub asked_to_evict: AtomicU64,
    /// The keyspace, to count its keys.
    pub keyspace: OnceLock<&'static Keyspace>,
    /// Whether each database that was freed was to be freed at once.
    pub freed: Mutex<Vec<bool>>,
    log: Mutex<Vec<String>>,
    pub standing: AtomicU32,
    pub is_replica: AtomicBool,
    pub primary: Mutex<Option<(String, u16)>>,
    /// The failover that is under way.
    pub failover: Mutex<Option<Failover>>,
    /// What was applied of a primary's stream, and the database that is selected after it.
    pub applied: Mutex<Vec<(String, u32)>>,
    events: Mutex<Vec<String>>,
    watches: Mutex<Vec<Watch>>,
    waiters: WaitQueues,
    pub channels: Channels,
    /// The classes of events that are published.
    pub published_events: AtomicU32,
    /// Workers that were woken.
    pub rung: Mutex<Vec<usize>>,
    /// How often walks have woken postponed clients.
    pub woken: AtomicUsize,
    /// Answers to clients that waited, with their numbers.
    pub delivered: Mutex<Vec<(u64, String)>>,
    clients: Mutex<Vec<Arc<Client>>>,
    /// What MIGRATE has handed over.
    pub migrations: Mutex<Vec<(Arc<Waiter>, Migration)>>,
    /// CLIENT PAUSE as it was asked for last.
    paused: Mutex<Option<(i64, Pause)>>,
    ticks: AtomicU64,
    /// Time, which passes when somebody sleeps or a test asks for it.
    now_ms: Arc<AtomicI64>,
}

struct Watch {
    db: u32,
    key: Box<[u8]>,
    client: Arc<Client>,
    expired: bool,
}

impl Default for FakeHost {
    fn default() -> Self {
        Self {
            expiry_is_paused: AtomicBool::new(false),
            awaited_freed: AtomicU64::new(0),
            failed: Mutex::default(),
            is_saving: AtomicBool::new(false),
            begin_save_later: AtomicBool::new(false),
            used_memory: AtomicU64::new(0),
            bytes_a_key: AtomicU64::new(0),
            may_evict: AtomicBool::new(true),
            frees_in_background: AtomicBool::new(false),
            exceeded: Exceeded::default(),
            asked_to_evict: AtomicU64::new(0),
            keyspace: OnceLock::new(),
            freed: Mutex::default(),
            log: Mutex::default(),
            standing: AtomicU32::new(0),
            is_replica: AtomicBool::new(false),
            primary: Mutex::default(),
            failover: Mutex::default(),
            applied: Mutex::default(),
            events: Mutex::default(),
            watches: Mutex::default(),
            waiters: WaitQueues::default(),
            channels: Channels::new(2),
            published_events: AtomicU32::new(0),
            rung: Mutex::default(),
            woken: AtomicUsize::new(0),
            delivered: Mutex::default(),
            clients: Mutex::default(),
            migrations: Mutex::default(),
            paused: Mutex::default(),
            ticks: AtomicU64::new(0),
            now_ms: Arc::new(AtomicI64::new(START_MS)),
        }
    }
}

impl Host for FakeHost {
    fn ticks_ns(&self) -> u64 {
        self.ticks.fetch_add(1, Relaxed)
    }

    fn count_error(&self, _: &str) {}

    fn pause(&self) -> Pause {
        self.paused.lock().unwrap().map_or(Pause::No, |(_, pause)| pause)
    }

    fn expiry_is_paused(&self) -> bool {
        self.expiry_is_paused.load(Relaxed)
    }

    fn observes_keys(&self) -> bool {
        true
    }

    fn key_changed(&self, change: &Change) {
        let key = String::from_utf8_lossy(&change.key);
        if !change.event.is_empty() {
            self.events.lock().unwrap().push(format!("{} {} {key}", change.db, change.event));
        }
        pubsub::notify(self, Class::from_bits_retain(self.published_events.load(Relaxed)), change);
        if change.modified {
            let expires = change.class == Class::EXPIRED;
            let watches = self.watches.lock().unwrap();
            let concerned = watches.iter().filter(|watch| (watch.db, &watch.key) == (change.db, &change.key));
            concerned
                .filter(|watch| !(expires && watch.expired))
                .for_each(|watch| watch.client.set_flags(ClientFlags::DIRTY_CAS, true));
        }
    }

    fn log_is_on(&self) -> bool {
        !self.is_replica.load(Relaxed)
    }

    fn standing(&self) -> Standing {
        Standing::from_bits_retain(self.standing.load(Relaxed))
    }

    fn append(&self, record: &Record) -> u64 {
        let mut log = self.log.lock().unwrap();
        log.extend(log_lines(&record.parts().concat(), record.first_db()));
        log.len() as u64
    }

    fn append_applied(&self, raw: &[u8], db: u32) {
        self.applied.lock().unwrap().push((String::from_utf8_lossy(raw).into_owned(), db));
    }

    fn free(&self, garbage: Vec<Entry>) {
        drop(garbage);
    }

    fn free_database(&self, database: Arc<Database>, sync: bool) {
        assert_eq!(Arc::strong_count(&database), 1, "somebody else still holds the database");
        self.freed.lock().unwrap().push(sync);
    }

    fn watch(&self, db: u32, key: &[u8], client: &Arc<Client>, expired: bool) {
        self.watches.lock().unwrap().push(Watch { db, key: key.into(), client: client.clone(), expired });
    }

    fn watched_keys(&self, db: u32) -> Vec<Box<[u8]>> {
        let watches = self.watches.lock().unwrap();
        watches.iter().filter(|watch| watch.db == db).map(|watch| watch.key.clone()).collect()
    }

    fn waiters(&self) -> &WaitQueues {
        &self.waiters
    }

    fn deliver(&self, waiter: &Arc<Waiter>, reply: Reply) {
        let text = String::from_utf8_lossy(reply.plain().expect("a short answer")).into_owned();
        self.delivered.lock().unwrap().push((waiter.client.id, text));
    }

    fn unwatch(&self, db: u32, key: &[u8], client: &Arc<Client>) {
        let is_it = |watch: &Watch| watch.db == db && *watch.key == *key && watch.client.id == client.id;
        self.watches.lock().unwrap().retain(|watch| !is_it(watch));
    }

    fn unix_us(&self) -> i64 {
        (self.ticks.fetch_add(1, Relaxed) / 1000) as i64
    }

    fn info(&self, _: Section, _: &mut String) {}

    fn stats(&self) -> Vec<Arc<Stats>> {
        Vec::new()
    }

    fn error_counts(&self) -> Vec<(String, u64)> {
        Vec::new()
    }

    fn config_get(&self, _: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        Vec::new()
    }

    fn config_set(&self, _: &Client, _: &[(&[u8], &[u8])]) -> Result<()> {
        Ok(())
    }

    fn config_rewrite(&self, _everything: bool) -> Result<()> {
        Ok(())
    }

    fn reset_stats(&self) {}

    fn memory(&self) -> Memory {
        Memory::default()
    }

    fn used_memory(&self) -> u64 {
        self.used_memory.load(Relaxed)
    }

    fn counted_memory(&self) -> u64 {
        let bytes_a_key = self.bytes_a_key.load(Relaxed);
        if bytes_a_key == 0 {
            return self.used_memory();
        }
        // The caller holds a section already, which is never entered twice; but nobody wants to be alone here.
        let keyspace = self.keyspace.get().expect("set with the server");
        let section = keyspace.gate().enter();
        let databases = (0..keyspace.database_count()).filter_map(|db| keyspace.database(&section, db));
        self.used_memory() + bytes_a_key * databases.map(|database| database.len() as u64).sum::<u64>()
    }

    fn may_evict(&self) -> bool {
        self.may_evict.load(Relaxed)
    }

    fn frees_in_background(&self) -> bool {
        self.frees_in_background.load(Relaxed)
    }

    fn exceeded(&self) -> &Exceeded {
        &self.exceeded
    }

    fn evict_in_background(&self) {
        self.asked_to_evict.fetch_add(1, Relaxed);
    }

    fn purge_memory(&self) {}

    fn allocator_report(&self) -> String {
        String::new()
    }

    fn last_save_s(&self) -> i64 {
        0
    }

    fn is_saving(&self) -> bool {
        self.is_saving.load(Relaxed)
    }

    fn save(&self, section: &store::gate::Section<'_>) -> Result<()> {
        assert!(section.is_exclusive());
        Ok(())
    }

    fn begin_save(&self, section: &store::gate::Section<'_>) {
        assert!(section.is_exclusive());
        self.is_saving.store(true, Relaxed);
    }

    fn schedule_save(&self) {
        self.begin_save_later.store(true, Relaxed);
    }

    fn flushed_all(&self, _: &store::gate::Section<'_>) -> bool {
        self.is_saving.store(false, Relaxed);
        false
    }

    fn load(&self, _: &store::gate::Section<'_>, _: bool) -> Result<()> {
        Ok(())
    }

    fn may_debug(&self, _: &Client) -> bool {
        true
    }

    fn set_active_expiry(&self, _: bool) {}

    fn crash(&self, how: Crash) {
        panic!("asked for: {how:?}");
    }

    fn sleep(&self, duration: Duration) {
        self.now_ms.fetch_add(duration.as_millis() as i64, Relaxed);
    }

    fn log_warning(&self, _: &str) {}

    fn failed_from_primary(&self, command: &str, error: &Error) {
        self.failed.lock().unwrap().push(format!("{command}: {}", error.0));
    }

    fn change_replication_id(&self) {}

    fn replicate_from(&self, _client: &Client, primary: Option<(&[u8], u16)>) -> Result<Followed> {
        let primary = primary.map(|(host, port)| (String::from_utf8_lossy(host).to_lowercase(), port));
        let already = primary.is_some() && *self.primary.lock().unwrap() == primary;
        *self.primary.lock().unwrap() = primary;
        Ok(if already { Followed::Already } else { Followed::Done })
    }

    fn is_failing_over(&self) -> bool {
        self.failover.lock().unwrap().is_some()
    }

    fn fail_over(&self, wanted: Failover) -> Result<()> {
        *self.failover.lock().unwrap() = Some(wanted);
        Ok(())
    }

    fn abort_failover(&self) -> Result<()> {
        let aborted = self.failover.lock().unwrap().take();
        aborted.map(|_| ()).ok_or(Error::new("ERR No failover in progress."))
    }

    fn take_over(&self, _client: &Client, id: &[u8]) -> Result<()> {
        match id {
            b"mine" => Ok(()),
            _ => Err(Error::new("ERR PSYNC FAILOVER replid must match my replid.")),
        }
    }

    fn role(&self) -> Role {
        let replica = ReplicaInfo { ip: "ip".into(), port: 5, offset: 6 };
        match self.primary.lock().unwrap().clone() {
            None => Role::Primary { offset: 7, replicas: vec![replica] },
            Some((host, port)) => Role::Replica { host, port, state: "connect", offset: -1 },
        }
    }

    fn may_sync(&self) -> Result<()> {
        Ok(())
    }

    fn awaits_rdb_channel(&self, client: u64) -> bool {
        client == 7
    }

    fn acknowledged(&self, _: u64) -> usize {
        0
    }

    fn await_event(&self, waiter: &Arc<Waiter>) {
        if waiter.awaited == Some(Awaited::Freed) {
            self.awaited_freed.fetch_add(1, Relaxed);
            self.waiters.end(waiter, End::Served);
        }
    }

    fn shut_down(&self, _: Shutdown, _: &store::gate::Section<'_>) -> Result<Ended> {
        Ok(Ended::Now)
    }

    fn abort_shutdown(&self) -> Result<()> {
        Ok(())
    }

    fn migrate(&self, waiter: Arc<Waiter>, migration: Migration) {
        self.migrations.lock().unwrap().push((waiter, migration));
    }

    fn channels(&self) -> &Channels {
        &self.channels
    }

    fn ring(&self, worker: usize) {
        self.rung.lock().unwrap().push(worker);
    }

    fn clients(&self) -> Vec<Arc<Client>> {
        self.clients.lock().unwrap().iter().filter(|client| !client.killed.load(Relaxed)).cloned().collect()
    }

    fn client(&self, id: u64) -> Option<Arc<Client>> {
        self.clients().into_iter().find(|client| client.id == id)
    }

    fn kill(&self, client: &Client) {
        client.killed.store(true, Relaxed);
    }

    fn suspect(&self, _: &Client) {}

    fn pause_clients(&self, until_ms: i64, pause: Pause) {
        *self.paused.lock().unwrap() = Some((until_ms, pause));
    }

    fn unpause_clients(&self) {
        *self.paused.lock().unwrap() = None;
    }

    fn pause_ends_ms(&self) -> Option<i64> {
        self.paused.lock().unwrap().map(|(until_ms, _)| until_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_harness_shows_replies_log_and_events() {
        let server = Server::new();
        let mut client = server.client();
        client.check("SET a 1 PX 100", "+OK\r\n");
        client.check("NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: \r\n");
        server.advance_ms(100);
        client.check("GET a", "$-1\r\n");
        client.resp3();
        client.check("GET a", "_\r\n");
        assert_eq!(server.log(), ["0 SET a 1 PXAT 1000100", "0 DEL a"]);
        assert_eq!(server.events(), ["0 new a", "0 set a", "0 expire a", "0 keymiss a", "0 expired a", "0 keymiss a"]);
    }
}
