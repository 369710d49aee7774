//! The process around the commands: everything about clients, configuration and the machine that a command may ask for
//! or bring about. The server implements it; tests fake it. No method waits for another worker.

use std::sync::Arc;
use std::time::Duration;

use store::database::Database;
use store::entry::Entry;
use store::gate::Section;

use crate::blocking::{WaitQueues, Waiter};
use crate::client::Client;
use crate::effect::Change;
use crate::error::{Error, Result};
use crate::eviction::Exceeded;
use crate::failover::Failover;
use crate::info;
use crate::memory::Memory;
use crate::migrate::Migration;
use crate::pubsub::channels::Channels;
use crate::record::Record;
use crate::replication::{Followed, Role};
use crate::reply::Reply;
use crate::standing::Standing;
use crate::stats::Stats;

/// Which commands CLIENT PAUSE holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// None.
    No,
    /// Those that may change data.
    Writes,
    /// All.
    All,
}

/// How DEBUG makes the process crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// An assertion fails.
    Assertion,
    /// A panic.
    Panic,
    /// The signal SIGSEGV.
    Segfault,
}

/// What came of [`Host::shut_down`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The end has begun.
    Now,
    /// It waits for replicas that lag; who has asked for it waits as well.
    Later,
}

/// How the process is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shutdown {
    /// Save, even without save points.
    pub save: bool,
    /// Do not save.
    pub nosave: bool,
    /// Do not wait for replicas that lag.
    pub now: bool,
    /// End even if something fails.
    pub force: bool,
}

/// See the file's head.
pub trait Host: Send + Sync {
    /// Monotonic time in nanoseconds, for measuring commands.
    fn ticks_ns(&self) -> u64;

    /// Counts an error reply by its code, for INFO's `errorstats`.
    fn count_error(&self, code: &str);

    /// Whether commands are to wait, because of CLIENT PAUSE: all of them, or those that may change data.
    fn pause(&self) -> Pause;

    /// Whether expired keys are to stay for now: CLIENT PAUSE stops every change.
    fn expiry_is_paused(&self) -> bool;

    /// Whether anybody must be told of changed keys (WATCH, events, tracking). Read under the changed key's guard.
    fn observes_keys(&self) -> bool;

    /// Tells whoever watches or has asked for events of a changed key. Called under the key's guard; wakes nobody yet.
    fn key_changed(&self, change: &Change);

    /// How the process stands. Changes only under the exclusive gate.
    fn standing(&self) -> Standing;

    /// Whether neither the standing nor a pause keeps any command back, in one question: each command asks it.
    fn takes_all(&self) -> bool {
        self.standing().is_empty() && self.pause() == Pause::No
    }

    /// Whether anybody waits for keys or must be told of changed ones, in one question: each command asks it, under its
    /// guard.
    fn hears_of_keys(&self) -> bool {
        self.observes_keys() || !self.waiters().is_empty()
    }

    /// Whether effects are logged: somebody reads the log, or its history is kept. Never on a replica, whose log is its
    /// primary's.
    fn log_is_on(&self) -> bool;

    /// Appends one contiguous record of effects, and returns the offset at its end. Called under the guards of all its
    /// keys.
    fn append(&self, record: &Record) -> u64;

    /// Appends what was just applied of the primary's stream, as it came; `db` is selected at its end. Called under the
    /// guards of all its keys.
    fn append_applied(&self, raw: &[u8], db: u32);

    /// Frees values where it does not delay anybody.
    fn free(&self, garbage: Vec<Entry>);

    /// Frees a database that FLUSHDB or FLUSHALL has taken out. Called when the gate is left; `sync` asks that the memory
    /// is back when this returns.
    fn free_database(&self, database: Arc<Database>, sync: bool);

    /// Registers a watched key. Called under the key's guard, so that no change falls between. `expired` says that the
    /// key had expired already: its removal (a change of the class [`crate::effect::Class::EXPIRED`]) is then no change
    /// to this watcher.
    fn watch(&self, db: u32, key: &[u8], client: &Arc<Client>, expired: bool);

    /// The watched keys of a database. Only exact under the exclusive gate, where nobody can add one.
    fn watched_keys(&self, db: u32) -> Vec<Box<[u8]>>;

    /// Who waits for which key.
    fn waiters(&self) -> &WaitQueues;

    /// Sends a claimed waiter's answer to its client. Called under the guard of the key that it was served from.
    fn deliver(&self, waiter: &Arc<Waiter>, reply: Reply);

    /// Ends a watch.
    fn unwatch(&self, db: u32, key: &[u8], client: &Arc<Client>);

    /// Microseconds since 1970, as the machine tells them.
    fn unix_us(&self) -> i64;

    /// Appends a section of INFO, its head included: each line ends in CRLF. Only asked for the sections about the process.
    fn info(&self, section: info::Section, out: &mut String);

    /// The counters of all workers and of the background threads.
    fn stats(&self) -> Vec<Arc<Stats>>;

    /// Error replies by their code, in its order.
    fn error_counts(&self) -> Vec<(String, u64)>;

    /// What is known of the memory.
    fn memory(&self) -> Memory;

    /// Bytes allocated at this moment.
    fn used_memory(&self) -> u64;

    /// Bytes that count against `maxmemory`: what is allocated, without what the log keeps for those who read it (else
    /// eviction would feed itself). Cheap, and behind the truth by no more than some KiB for each thread.
    fn counted_memory(&self) -> u64;

    /// Gives memory that is free back to the machine, as far as the allocator can.
    fn purge_memory(&self);

    /// The allocator's own report.
    fn allocator_report(&self) -> String;

    /// Whether a client may use DEBUG (`enable-debug-command`).
    fn may_debug(&self, client: &Client) -> bool;

    /// Whether expired keys are removed before anybody asks for them (DEBUG SET-ACTIVE-EXPIRE).
    fn set_active_expiry(&self, on: bool);

    /// Crashes, so that the report of a crash can be seen. Only DEBUG asks for it.
    fn crash(&self, how: Crash);

    /// Sleeps. Only DEBUG asks for it, with the gate to itself, so that the whole server stands still.
    fn sleep(&self, duration: Duration);

    /// Writes a line to the server's log, as a warning.
    fn log_warning(&self, message: &str);

    /// A command of the primary's stream has failed here, though it has succeeded there: the two are not alike any more.
    fn failed_from_primary(&self, command: &str, error: &Error);

    /// Takes a new replication id and forgets the second one.
    fn change_replication_id(&self);

    // --- replication

    /// Follows another primary, or none any more. Called under the exclusive gate.
    ///
    /// # Errors
    /// The role cannot change now.
    fn replicate_from(&self, client: &Client, primary: Option<(&[u8], u16)>) -> Result<Followed>;

    /// Whether the role is being handed over.
    fn is_failing_over(&self) -> bool;

    /// Begins to hand the role of the primary over to a replica. Called under the exclusive gate.
    ///
    /// # Errors
    /// It cannot be had like this.
    fn fail_over(&self, wanted: Failover) -> Result<()>;

    /// Keeps the role after all. Called under the exclusive gate.
    ///
    /// # Errors
    /// Nothing of that kind is under way.
    fn abort_failover(&self) -> Result<()>;

    /// The primary, whose history goes by this id, wants to hand its role over to this process. Called under the exclusive
    /// gate.
    ///
    /// # Errors
    /// Why it does not take it.
    fn take_over(&self, client: &Client, id: &[u8]) -> Result<()>;

    /// What the process is to others.
    fn role(&self) -> Role;

    /// Whether a replica can be served from here.
    ///
    /// # Errors
    /// Why not.
    fn may_sync(&self) -> Result<()>;

    /// Whether this client is a replica's that waits for a connection of its own for its copy (`rdb-channel-repl`).
    fn awaits_rdb_channel(&self, client: u64) -> bool;

    /// How many replicas have acknowledged the log up to here.
    fn acknowledged(&self, offset: u64) -> usize;

    /// A client waits for something other than keys from now on: it is answered when that has come. Replicas are asked how
    /// far they are.
    fn await_event(&self, waiter: &Arc<Waiter>);

    // --- the configuration

    /// CONFIG GET: the names and values of the directives that match one of the patterns.
    fn config_get(&self, patterns: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)>;

    /// CONFIG SET: all pairs of a directive and its value, or none.
    ///
    /// # Errors
    /// The first pair that cannot be set, or brought into effect.
    fn config_set(&self, client: &Client, pairs: &[(&[u8], &[u8])]) -> Result<()>;

    /// CONFIG REWRITE; with `everything`, directives that hold their default are written too.
    ///
    /// # Errors
    /// There is no file, or it cannot be replaced.
    fn config_rewrite(&self, everything: bool) -> Result<()>;

    /// CONFIG RESETSTAT.
    fn reset_stats(&self);

    /// SHUTDOWN: begins the end of the process, which lets pending replies out first. The section is exclusive, so that
    /// what is saved is what there was at the end.
    ///
    /// # Errors
    /// What was asked to be done before cannot be done; the server goes on.
    fn shut_down(&self, how: Shutdown, section: &Section<'_>) -> Result<Ended>;

    /// SHUTDOWN ABORT: takes back an end that a signal has asked for and that has not begun.
    ///
    /// # Errors
    /// There is none.
    fn abort_shutdown(&self) -> Result<()>;

    // --- saving and loading; the sections are exclusive

    /// When the data was last saved, in seconds since 1970; when the process started if never.
    fn last_save_s(&self) -> i64;

    /// Whether a background save is going on.
    fn is_saving(&self) -> bool;

    /// Saves the data, and returns when the file is on the disk.
    ///
    /// # Errors
    /// It cannot be written; the log says why, and the old file is as it was.
    fn save(&self, section: &Section<'_>) -> Result<()>;

    /// Begins a background save of the data as it is now. Only called when none is going on.
    fn begin_save(&self, section: &Section<'_>);

    /// Has a background save begin as soon as may be.
    fn schedule_save(&self);

    /// All databases are empty now, so a background save that goes on is for nothing. Says whether this is to count as
    /// saved: with save points the empty state is saved at once.
    fn flushed_all(&self, section: &Section<'_>) -> bool;

    /// DEBUG RELOAD: loads the file into the databases. A key that is there already is replaced, or else an error.
    ///
    /// # Errors
    /// It cannot be loaded, or not to its end; the log says why.
    fn load(&self, section: &Section<'_>, replace: bool) -> Result<()>;

    // --- eviction

    /// Whether keys may be evicted now: not while clients are paused, and not by a replica that leaves it to its primary.
    fn may_evict(&self) -> bool;

    /// Whether values wait to be freed in the background, so that memory is on its way.
    fn frees_in_background(&self) -> bool;

    /// How long the limit has been exceeded.
    fn exceeded(&self) -> &Exceeded;

    /// Has eviction go on in the background, and commands that were postponed tried again when that is done.
    fn evict_in_background(&self);

    // --- moving keys

    /// Moves keys to another server in the background, then answers the client that waits for that.
    fn migrate(&self, waiter: Arc<Waiter>, migration: Migration);

    // --- publish and subscribe

    /// Who listens to which channel.
    fn channels(&self) -> &Channels;

    /// Wakes a worker for what was left in its mailbox.
    fn ring(&self, worker: usize);

    // --- clients

    /// All clients, the oldest first, without those that are killed already.
    fn clients(&self) -> Vec<Arc<Client>>;

    /// The client of an id, unless it is killed already.
    fn client(&self, id: u64) -> Option<Arc<Client>>;

    /// Closes another client's connection: none of its commands runs after this, and no more output is sent.
    fn kill(&self, client: &Client);

    /// Logs, once a minute at most, that somebody seems to send us what a browser was made to send.
    fn suspect(&self, client: &Client);

    /// CLIENT PAUSE until then, in milliseconds since 1970. A pause that is on becomes stricter and longer, never
    /// weaker or shorter. Called under the exclusive gate.
    fn pause_clients(&self, until_ms: i64, pause: Pause);

    /// CLIENT UNPAUSE. Called under the exclusive gate.
    fn unpause_clients(&self);

    /// When the pause ends that is on, in milliseconds since 1970.
    fn pause_ends_ms(&self) -> Option<i64>;
}
