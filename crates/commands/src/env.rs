//! A worker's surroundings, as its commands see them: the keyspace, the settings, the time, chance and counters.

use std::sync::Arc;

use fastrand::Rng;
use store::database::Database;
use store::keyspace::Keyspace;
use store::value::Limits;

use crate::access::Access;
use crate::blocking::Waiter;
use crate::eviction::Evictor;
use crate::host::Host;
use crate::record::Record;
use crate::settings::Settings;
use crate::stats::Stats;

/// See the file's head. Each worker has its own.
pub struct Env {
    /// The process around the commands, which lives as long as they do.
    pub host: &'static dyn Host,
    /// All data. It lives as long as the process, so that no command has to count references.
    pub keyspace: &'static Keyspace,
    /// Directives that commands read.
    pub settings: Arc<Settings>,
    /// This worker's counters.
    pub stats: Arc<Stats>,
    /// Chance.
    pub rng: Rng,
    /// The time of the current section, in milliseconds since 1970; it never runs behind another worker's.
    pub now_ms: i64,
    /// The conversion limits, as of `limits_generation`.
    pub limits: Arc<Limits>,
    limits_generation: u64,
    /// When the last command ended, in [`Host::ticks_ns`].
    last_ns: u64,
    /// Databases that were taken out under the exclusive gate, and whether they are to be freed before the reply is
    /// sent. They wait here because nothing is freed under the gate.
    pub(crate) detached: Vec<(Arc<Database>, bool)>,
    /// Who waits until they are freed.
    pub(crate) awaits_freed: Option<Arc<Waiter>>,
    /// What this worker knows of keys that may go.
    pub(crate) evictor: Evictor,
    /// Room for the next record.
    record: Record,
}

impl Env {
    /// Surroundings for one worker.
    pub fn new(
        host: &'static dyn Host,
        keyspace: &'static Keyspace,
        settings: Arc<Settings>,
        stats: Arc<Stats>,
        rng: Rng,
    ) -> Self {
        let limits = settings.limits();
        let limits_generation = settings.generation();
        Self {
            host,
            keyspace,
            settings,
            stats,
            rng,
            now_ms: 0,
            limits,
            limits_generation,
            last_ns: 0,
            detached: Vec::new(),
            awaits_freed: None,
            evictor: Evictor::default(),
            record: Record::default(),
        }
    }

    /// Starts the stop-watch by which commands are measured: the end of one command is the beginning of the next, so each
    /// reads the clock once. Called at the beginning of a section, and after anything that takes time in between.
    pub fn start_lap(&mut self) {
        self.last_ns = self.host.ticks_ns();
    }

    /// Nanoseconds since the last lap, and the beginning of a new one.
    pub(crate) fn lap_ns(&mut self) -> u64 {
        let now = self.host.ticks_ns();
        now.saturating_sub(std::mem::replace(&mut self.last_ns, now))
    }

    /// When the last command ended, in [`Host::ticks_ns`].
    pub fn last_lap_ns(&self) -> u64 {
        self.last_ns
    }

    /// Called at the beginning of each section: sets the time and takes over what CONFIG SET has changed.
    pub fn begin_section(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        self.start_lap();
        let generation = self.settings.generation();
        if generation != self.limits_generation {
            self.limits = self.settings.limits();
            self.limits_generation = generation;
        }
    }

    /// Most bytes that a string may have.
    pub(crate) fn string_len_max(&self) -> u64 {
        self.settings.proto_max_bulk_len.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Counts an error reply by its code.
    pub(crate) fn count_error(&self, code: &str) {
        self.stats.error_replies.add(1);
        self.host.count_error(code);
    }

    /// An empty record, to be given back with [`Self::append`].
    pub(crate) fn new_record(&mut self) -> Record {
        std::mem::take(&mut self.record)
    }

    /// Appends a record to the log, if there is anything in it, and returns the offset at its end.
    pub(crate) fn append(&mut self, mut record: Record) -> Option<u64> {
        let end = (!record.is_empty()).then(|| self.host.append(&record));
        record.clear();
        self.record = record;
        end
    }

    /// The access clock of this section.
    pub(crate) fn access(&mut self) -> Access {
        Access::at(self.now_ms, &self.settings, || self.rng.u64(..))
    }
}
