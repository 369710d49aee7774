//! What the benchmarks share: the whole command pipeline over an in-memory transport, without sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use commands::args::Args;
use commands::blocking::{WaitQueues, Waiter};
use commands::client::Client;
use commands::effect::Change;
use commands::env::Env;
use commands::error::{Error, Result};
use commands::eviction::Exceeded;
use commands::failover::Failover;
use commands::host::{Crash, Ended, Host, Pause, Shutdown};
use commands::info::Section;
use commands::memory::Memory;
use commands::pipeline::{self, GateHold, Lookahead};
use commands::pubsub::channels::Channels;
use commands::record::Record;
use commands::replication::{Followed, Role};
use commands::reply::Reply;
use commands::session::Session;
use commands::settings::Settings;
use commands::standing::Standing;
use commands::stats::Stats;
use fastrand::Rng;
use resp_parser::{Batch, Limits, RequestParser};
use store::database::Database;
use store::entry::Entry;
use store::keyspace::Keyspace;

/// A process around the commands that does nothing; not even time passes, so that instructions can be compared.
pub struct NoHost {
    waiters: WaitQueues,
    channels: Channels,
    exceeded: Exceeded,
}

impl Host for NoHost {
    fn ticks_ns(&self) -> u64 {
        0
    }
    fn count_error(&self, _: &str) {}
    fn pause(&self) -> Pause {
        Pause::No
    }
    fn expiry_is_paused(&self) -> bool {
        false
    }
    fn observes_keys(&self) -> bool {
        false
    }
    fn key_changed(&self, _: &Change) {}
    fn log_is_on(&self) -> bool {
        false
    }
    fn standing(&self) -> Standing {
        Standing::empty()
    }
    fn append(&self, _: &Record) -> u64 {
        0
    }
    fn append_applied(&self, _: &[u8], _: u32) {}
    fn free(&self, garbage: Vec<Entry>) {
        drop(garbage);
    }
    fn free_database(&self, _: Arc<Database>, _: bool) {}

    fn watch(&self, _: u32, _: &[u8], _: &Arc<Client>, _: bool) {}

    fn watched_keys(&self, _: u32) -> Vec<Box<[u8]>> {
        Vec::new()
    }

    fn waiters(&self) -> &WaitQueues {
        &self.waiters
    }
    fn migrate(&self, _waiter: Arc<Waiter>, _migration: commands::migrate::Migration) {}

    fn deliver(&self, _: &Arc<Waiter>, _: Reply) {}
    fn config_get(&self, _: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        Vec::new()
    }
    fn config_set(&self, _: &Client, _: &[(&[u8], &[u8])]) -> Result<()> {
        Ok(())
    }
    fn config_rewrite(&self, _: bool) -> Result<()> {
        Ok(())
    }
    fn reset_stats(&self) {}
    fn shut_down(&self, _: Shutdown, _: &store::gate::Section<'_>) -> Result<Ended> {
        Ok(Ended::Now)
    }
    fn abort_shutdown(&self) -> Result<()> {
        Ok(())
    }
    fn unix_us(&self) -> i64 {
        0
    }
    fn info(&self, _: Section, _: &mut String) {}
    fn stats(&self) -> Vec<Arc<Stats>> {
        Vec::new()
    }
    fn error_counts(&self) -> Vec<(String, u64)> {
        Vec::new()
    }
    fn memory(&self) -> Memory {
        Memory::default()
    }
    fn purge_memory(&self) {}
    fn allocator_report(&self) -> String {
        String::new()
    }
    fn last_save_s(&self) -> i64 {
        0
    }
    fn is_saving(&self) -> bool {
        false
    }
    fn save(&self, _: &store::gate::Section<'_>) -> Result<()> {
        Ok(())
    }
    fn begin_save(&self, _: &store::gate::Section<'_>) {}
    fn schedule_save(&self) {}
    fn flushed_all(&self, _: &store::gate::Section<'_>) -> bool {
        false
    }
    fn load(&self, _: &store::gate::Section<'_>, _: bool) -> Result<()> {
        Ok(())
    }
    fn may_debug(&self, _: &Client) -> bool {
        false
    }
    fn set_active_expiry(&self, _: bool) {}
    fn sleep(&self, _: Duration) {}
    fn log_warning(&self, _: &str) {}
    fn failed_from_primary(&self, _: &str, _: &Error) {}
    fn change_replication_id(&self) {}
    fn replicate_from(&self, _: &Client, _: Option<(&[u8], u16)>) -> Result<Followed> {
        Ok(Followed::Done)
    }
    fn is_failing_over(&self) -> bool {
        false
    }
    fn fail_over(&self, _: Failover) -> Result<()> {
        Ok(())
    }
    fn abort_failover(&self) -> Result<()> {
        Ok(())
    }
    fn take_over(&self, _: &Client, _: &[u8]) -> Result<()> {
        Ok(())
    }
    fn role(&self) -> Role {
        Role::Primary { offset: 0, replicas: Vec::new() }
    }
    fn may_sync(&self) -> Result<()> {
        Ok(())
    }
    fn awaits_rdb_channel(&self, _: u64) -> bool {
        false
    }
    fn acknowledged(&self, _: u64) -> usize {
        0
    }
    fn await_event(&self, _: &Arc<Waiter>) {}
    fn channels(&self) -> &Channels {
        &self.channels
    }
    fn ring(&self, _: usize) {}
    fn used_memory(&self) -> u64 {
        0
    }
    fn counted_memory(&self) -> u64 {
        0
    }
    fn may_evict(&self) -> bool {
        false
    }
    fn frees_in_background(&self) -> bool {
        false
    }
    fn exceeded(&self) -> &Exceeded {
        &self.exceeded
    }
    fn evict_in_background(&self) {}
    fn crash(&self, _: Crash) {}
    fn unwatch(&self, _: u32, _: &[u8], _: &Arc<Client>) {}

    fn clients(&self) -> Vec<Arc<Client>> {
        Vec::new()
    }

    fn client(&self, _: u64) -> Option<Arc<Client>> {
        None
    }

    fn kill(&self, _: &Client) {}

    fn suspect(&self, _: &Client) {}

    fn pause_clients(&self, _: i64, _: Pause) {}

    fn unpause_clients(&self) {}

    fn pause_ends_ms(&self) -> Option<i64> {
        None
    }
}

/// One client's way through parser and pipeline, from bytes to bytes.
pub struct Transport {
    env: Env,
    session: Session,
    parser: RequestParser,
    batch: Batch,
    limits: Limits,
    now_ms: AtomicI64,
    /// What came back.
    pub out: Reply,
}

impl Transport {
    /// A client of a keyspace.
    pub fn new(keyspace: &'static Keyspace) -> Self {
        let host = Box::leak(Box::new(NoHost {
            waiters: WaitQueues::default(),
            channels: Channels::new(1),
            exceeded: Exceeded::default(),
        }));
        let env =
            Env::new(host, keyspace, Arc::new(Settings::default()), Arc::new(Stats::default()), Rng::with_seed(1));
        Self {
            env,
            session: Session::new(Arc::new(Client::default()), true),
            parser: RequestParser::default(),
            batch: Batch::new(),
            limits: Limits::new(512 << 20, true),
            now_ms: AtomicI64::new(1_700_000_000_000),
            out: Reply::default(),
        }
    }

    /// Executes all requests in `bytes`, which are complete; the output is thrown away.
    pub fn execute(&mut self, bytes: &[u8]) {
        self.batch.clear();
        self.parser.parse(bytes, &self.limits, usize::MAX, &mut self.batch).expect("valid requests");
        self.parser.discard(self.parser.consumed());
        let now = || self.now_ms.load(Relaxed);
        let mut gate = GateHold::new(self.env.keyspace);
        let mut commands = Lookahead::new(self.batch.iter().map(|c| Args::new(c.base(bytes), c.args)), None);
        while let Some(prepared) = commands.next(&mut self.env, &mut gate, &now, self.session.db) {
            pipeline::execute(&mut self.env, &mut gate, &now, &mut self.session, prepared, &mut self.out);
        }
        self.out.advance(self.out.pending_bytes());
    }
}

/// A request's bytes.
pub fn request<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut bytes = Vec::new();
    resp_parser::encode_request(args, &mut bytes);
    bytes
}

/// An empty keyspace that lives as long as the process.
pub fn keyspace() -> &'static Keyspace {
    Box::leak(Box::new(Keyspace::new(16, 16384)))
}
