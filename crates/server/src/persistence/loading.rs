//! Loading the file: at the start, while clients are answered that they must wait, and for DEBUG RELOAD.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use commands::access::Access;
use commands::record::Record;
use commands::standing::Standing;
use persistence::load::{Duplicates, LoadError, Loaded, Observer, Rules, load};
use store::gate::Section;

use super::snapshot::{self, Delay};
use crate::clock;
use crate::config::keys;
use crate::server::Server;

/// How far a load is, and what the last one brought.
#[derive(Default)]
pub struct Loading {
    on: AtomicBool,
    /// When it began, in seconds since 1970.
    pub began_s: AtomicI64,
    /// Bytes of the file, and those that were read.
    pub total_bytes: AtomicU64,
    /// See above.
    pub read_bytes: AtomicU64,
    /// Memory in use when the file was written, as it tells.
    pub used_memory: AtomicU64,
    /// Keys of the last load that is over.
    pub keys_loaded: AtomicU64,
    /// Keys that it left out because they had expired.
    pub keys_expired: AtomicU64,
}

impl Loading {
    /// Whether data is being loaded.
    pub fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }

    /// A load of so many bytes begins.
    pub fn begin(&self, total_bytes: u64) {
        self.began_s.store(clock::now_ms() / 1000, Relaxed);
        self.total_bytes.store(total_bytes, Relaxed);
        self.read_bytes.store(0, Relaxed);
        self.used_memory.store(0, Relaxed);
        self.on.store(true, Relaxed);
    }

    /// It is over; `loaded` tells what it brought, unless it failed.
    pub fn end(&self, loaded: Option<&Loaded>) {
        if let Some(loaded) = loaded {
            self.keys_loaded.store(loaded.keys, Relaxed);
            self.keys_expired.store(loaded.expired, Relaxed);
        }
        self.on.store(false, Relaxed);
    }
}

/// Looks for the file before the workers start. If it is there, clients are answered LOADING from their first command on,
/// until [`at_start`] is done with it.
///
/// # Errors
/// It is there and cannot be opened.
pub fn prepare(server: &Server) -> Result<Option<File>, String> {
    let path = snapshot::path(server);
    match File::open(&path) {
        Ok(file) => {
            server.persistence.loading.begin(file_bytes(&file));
            server.stand(Standing::LOADING, true);
            Ok(Some(file))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            server.log.warning(&format!("Opening {}: {error}", path.display()));
            server.log.warning("Fatal error loading the DB, check server logs. Exiting.");
            Err(format!("Opening {}: {error}", path.display()))
        }
    }
}

/// Loads the file in a thread of its own, lets clients in, and calls `ready`. A file that cannot be loaded ends the process:
/// to go on without it would mean to overwrite it with next to nothing.
///
/// # Errors
/// The system has no thread to give.
pub fn at_start(server: Arc<Server>, mut file: File, ready: impl FnOnce(&Server) + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("loader".into()).spawn(move || {
        let began_ns = clock::ticks_ns();
        match load_file(&server, &mut file, None, Duplicates::Refuse) {
            Ok(loaded) => {
                let section = server.keyspace.gate().enter_alone();
                server.persistence.loading.end(Some(&loaded));
                server.stand(Standing::LOADING, false);
                drop(section);
                let took = Duration::from_nanos(clock::ticks_ns() - began_ns);
                server.log.notice(&format!("DB loaded from disk: {:.3} seconds", took.as_secs_f64()));
                ready(&server);
            }
            // The end has begun meanwhile, and does not wait for us.
            Err(LoadError::Ended) => {}
            Err(_) => {
                server.log.warning("Fatal error loading the DB, check server logs. Exiting.");
                std::process::exit(1);
            }
        }
    })?;
    Ok(())
}

/// Loads the file for DEBUG RELOAD, under the gate that the caller holds. The log says what went wrong.
pub fn now(server: &Server, section: &Section<'_>, duplicates: Duplicates) -> Result<(), ()> {
    let path = snapshot::path(server);
    let mut file = File::open(&path).map_err(|error| {
        server.log.warning(&format!("Opening {}: {error}", path.display()));
    })?;
    server.persistence.loading.begin(file_bytes(&file));
    let loaded = load_file(server, &mut file, Some(section), duplicates);
    server.persistence.loading.end(loaded.as_ref().ok());
    loaded.map_err(drop)?;
    server.log.warning("DB reloaded by DEBUG RELOAD");
    Ok(())
}

fn load_file(
    server: &Server,
    file: &mut File,
    section: Option<&Section<'_>>,
    duplicates: Duplicates,
) -> Result<Loaded, LoadError> {
    let limits = server.settings.limits();
    let now_ms = clock::now_ms();
    let clock = Access::at(now_ms, &server.settings, || 0);
    // Replicas may go on from this file, so they are told of each key that it had and we have not.
    let expired = |db: u32, key: &[u8]| {
        let mut record = Record::default();
        record.push(db, [b"DEL", key]);
        server.replication.append(&record);
    };
    let rules = Rules {
        threads: thread::available_parallelism().map_or(1, usize::from),
        check: server.config.get(keys::RDBCHECKSUM),
        limits: &limits,
        // A replica leaves it to its primary to say that a key is gone.
        expire_before: server.config.get(keys::REPLICAOF).is_none().then_some(now_ms),
        expired: &expired,
        duplicates,
        access: &|idle_s, frequency| clock.told(idle_s, frequency),
        section,
    };
    // Who reloads knows where it is.
    let facts = section.is_none().then(Vec::new);
    let mut watching = Watching { server, delay: Delay::default(), facts };
    let result = load(file, server.keyspace, &rules, &mut watching);
    match &result {
        Ok(loaded) => log_success(server, loaded),
        Err(LoadError::Ended) => {}
        Err(error) => log_failure(server, error),
    }
    result
}

/// Tells the log what a file or a copy has brought.
pub fn log_success(server: &Server, loaded: &Loaded) {
    let log = &server.log;
    if loaded.unchecked {
        log.notice("RDB file was saved with checksum disabled: no check performed.");
    }
    if loaded.functions > 0 {
        log.warning(&format!(
            "The RDB file has {} libraries of functions, which are left out: scripting is still to come.",
            loaded.functions
        ));
    }
    let Loaded { keys, expired, empty, .. } = loaded;
    match empty {
        0 => log.notice(&format!("Done loading RDB, keys loaded: {keys}, keys expired: {expired}.")),
        _ => log.notice(&format!(
            "Done loading RDB, keys loaded: {keys}, keys expired: {expired}, empty keys skipped: {empty}."
        )),
    }
}

fn log_failure(server: &Server, error: &LoadError) {
    let path = snapshot::path(server);
    let checksum =
        matches!(error, LoadError::Malformed(e) if matches!(e.problem, rdb::error::Problem::Checksum { .. }));
    let what = if checksum { "RDB CRC error" } else { "Error while loading the RDB file" };
    server.log.warning(&format!("{what}: {error} ({})", path.display()));
}

fn file_bytes(file: &File) -> u64 {
    // It is only shown.
    file.metadata().map_or(0, |facts| facts.len())
}

/// Notes how far the load is, and slows it down if a test wishes so.
struct Watching<'a> {
    server: &'a Server,
    delay: Delay,
    /// What the file has told of itself, at the start.
    facts: Option<Vec<(Vec<u8>, Vec<u8>)>>,
}

impl Observer for Watching<'_> {
    fn aux(&mut self, name: &[u8], value: &[u8]) {
        let log = &self.server.log;
        if let Some(facts) = &mut self.facts {
            facts.push((name.to_vec(), value.to_vec()));
            // Before the first key comes, since some of them may have expired.
            let _alone = self.server.keyspace.gate().enter_alone();
            self.server.replication.restore(self.server, facts);
        }
        let text = String::from_utf8_lossy(value);
        let number = || text.parse::<i64>().unwrap_or(0);
        match name {
            b"redis-ver" => log.notice(&format!("Loading RDB produced by version {text}")),
            b"ctime" => log.notice(&format!("RDB age {} seconds", (clock::now_ms() / 1000 - number()).max(0))),
            b"used-mem" => {
                let bytes = number().max(0) as u64;
                log.notice(&format!("RDB memory usage when created {:.2} Mb", bytes as f64 / (1024.0 * 1024.0)));
                self.server.persistence.loading.used_memory.store(bytes, Relaxed);
            }
            b"aof-base" if number() != 0 => log.notice("RDB is base AOF"),
            _ => {}
        }
    }

    fn read(&mut self, bytes: u64) {
        self.server.persistence.loading.read_bytes.store(bytes, Relaxed);
    }

    fn key(&mut self) -> ControlFlow<()> {
        let ending = || self.server.ending.has_begun();
        self.delay.pass(&self.server.live.key_load_delay, ending);
        if ending() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
