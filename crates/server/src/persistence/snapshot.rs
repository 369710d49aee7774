//! Writing the file: the cut, the walk, and what comes of it.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use commands::REDIS_VERSION;
use commands::access::Access;
use crossbeam::channel::Receiver;
use persistence::save::{Preamble, save};
use persistence::snapshot_file::{self, FileError, Step};
use rdb::file::{Contents, LastUse};
use store::entry::Entry;
use store::gate::Section;
use store::value::stream;
use store::walk::{Pressure, Walk};

use super::{Persistence, changes, stop_or_take_writes};
use crate::config::keys;
use crate::replication::replica::Resume;
use crate::server::Server;
use crate::{background, clock, memory};

/// A sleep that a test has asked for is looked after so often.
const NAP_MAX: Duration = Duration::from_millis(10);
/// The part of what a walk may keep from which on it no longer stands back.
const FORWARD_AT: u64 = 8;

/// What a save begins with: the data of one instant, and the facts of that instant.
pub struct Cut {
    walk: Walk,
    /// Above that of all cuts before.
    number: u64,
    contents: Contents,
    /// What the file tells about itself.
    facts: Vec<(&'static str, Vec<u8>)>,
    /// Changes up to then.
    changes: u64,
    /// Where the file goes: an absolute path, for `dir` may change meanwhile.
    path: PathBuf,
    temporary: PathBuf,
}

/// A background save.
pub struct Job {
    cut: Cut,
    progress: Arc<Progress>,
    /// The changes that counted as saved before, if this save counts as done from its beginning: they count again if it
    /// fails.
    saved_before: Option<u64>,
}

/// How far a save is.
pub struct Progress {
    /// When it began, in milliseconds since 1970.
    pub began_ms: i64,
    /// Keys there are, and keys that are written.
    pub keys: u64,
    /// See above.
    pub done: AtomicU64,
    aborted: AtomicBool,
}

impl Progress {
    fn of(cut: &Cut) -> Self {
        let keys = cut.walk.databases().iter().map(|(_, keys, _)| *keys as u64).sum();
        Self { began_ms: clock::now_ms(), keys, done: AtomicU64::new(0), aborted: AtomicBool::new(false) }
    }

    /// Ends it as soon as may be.
    pub fn abort(&self) {
        self.aborted.store(true, Relaxed);
    }
}

/// Cuts, under the exclusive gate.
pub fn cut(server: &Server, section: &Section<'_>) -> Cut {
    let keyspace = server.keyspace;
    let contents = contents(server, section, stream::consumer_was_seen());
    let path = path(server);
    let temporary = path.with_file_name(format!("temp-{}.rdb", std::process::id()));
    let number = server.persistence.next_cut();
    Cut {
        walk: keyspace.cut(section),
        number,
        contents,
        facts: facts(server, server.replication.place()),
        changes: changes(server),
        path,
        temporary,
    }
}

/// What the data of this instant asks of the format. Called under the exclusive gate.
pub fn contents(server: &Server, section: &Section<'_>, consumer_times: bool) -> Contents {
    let keyspace = server.keyspace;
    let mut databases = (0..keyspace.database_count()).filter_map(|db| keyspace.database(section, db));
    Contents { field_expiries: databases.any(|database| database.timed_len() > 0), consumer_times }
}

/// Whether a walk should be quicker: somebody waits for a large value of it, or it keeps too much of what has changed.
pub fn hurries(server: &Server) -> bool {
    presses(server, 1)
}

/// Does the long part of a walk's work, standing back behind everybody else until it would soon have to hurry.
pub fn stand_back<T>(server: &Server, work: impl FnOnce() -> T) -> T {
    background::stand_back(&|| presses(server, FORWARD_AT), work)
}

/// Whether somebody waits for a walk, or it keeps more than this part of what it may.
fn presses(server: &Server, part: u64) -> bool {
    let Pressure { handed_over, is_awaited } = server.keyspace.walk_pressure();
    let limit = server.config.get(keys::SNAPSHOT_BUFFER_LIMIT);
    is_awaited || (limit > 0 && handed_over > limit / part)
}

/// The file: `dbfilename` in `dir`.
pub fn path(server: &Server) -> PathBuf {
    folder(server).join(OsStr::from_bytes(&server.config.get(keys::DBFILENAME)))
}

/// `dir`.
pub fn folder(server: &Server) -> PathBuf {
    Path::new(OsStr::from_bytes(&server.config.get(keys::DIR))).to_owned()
}

/// Saves while the caller holds the gate. The log says what went wrong.
pub fn save_now(server: &Server, section: &Section<'_>) -> Result<(), ()> {
    let mut cut = cut(server, section);
    let progress = Progress::of(&cut);
    let is_placed = write(server, &mut cut, &progress).map_err(|error| log_failure(server, &error))?;
    assert!(is_placed, "nobody has cut since, for the gate is held");
    note_success(server, cut.changes);
    Ok(())
}

/// Begins a background save, under the exclusive gate.
pub fn begin(server: &Server, section: &Section<'_>) {
    let Persistence { running, scheduled, last_try_s, .. } = &server.persistence;
    let job = job(server, section, None);
    scheduled.store(false, Relaxed);
    last_try_s.store(clock::now_ms() / 1000, Relaxed);
    *running.lock() = Some(job.progress.clone());
    server.log.notice("Background saving started");
    send(server, job);
}

/// Begins a save, under the exclusive gate, that counts as done at once and keeps no other from beginning.
pub fn begin_beside(server: &Server, section: &Section<'_>) {
    let saved_changes = &server.persistence.saved_changes;
    let job = job(server, section, Some(saved_changes.load(Relaxed)));
    saved_changes.store(job.cut.changes, Relaxed);
    send(server, job);
}

fn job(server: &Server, section: &Section<'_>, saved_before: Option<u64>) -> Job {
    let mut cut = cut(server, section);
    // It may run beside one that has the gate to itself.
    cut.temporary.set_file_name(format!("temp-{}-background.rdb", std::process::id()));
    Job { progress: Arc::new(Progress::of(&cut)), cut, saved_before }
}

fn send(server: &Server, job: Job) {
    // The thread ends with the process only.
    let _ = server.persistence.jobs.send(job);
}

/// Starts the thread that writes background saves.
///
/// # Errors
/// The system has no thread to give.
pub fn start(server: Arc<Server>, jobs: Receiver<Job>) -> std::io::Result<()> {
    background::spawn("snapshot", move || {
        for job in jobs {
            run(&server, job);
        }
    })?;
    Ok(())
}

fn run(server: &Server, Job { mut cut, progress, saved_before }: Job) {
    let persistence = &server.persistence;
    let outcome = stand_back(server, || write(server, &mut cut, &progress));
    let took_ms = clock::now_ms() - progress.began_ms;
    persistence.last_took_s.store(took_ms.max(0) / 1000, Relaxed);
    match &outcome {
        Ok(true) => {
            note_success(server, cut.changes);
            server.log.notice("Background saving terminated with success");
        }
        Ok(false) => server.log.notice("Background saving came too late: a newer file is in place"),
        // One that was ended on purpose says nothing about the disk.
        Err(_) if progress.aborted.load(Relaxed) => server.log.notice("Background saving was ended before its time"),
        Err(error) => note_failure(server, error),
    }
    if outcome.is_err()
        && let Some(before) = saved_before
    {
        persistence.saved_changes.fetch_min(before, Relaxed);
    }
    // The walk goes first: whoever sees that no save goes on finds nothing of it any more.
    drop(cut);
    let mut running = persistence.running.lock();
    if running.as_ref().is_some_and(|running| Arc::ptr_eq(running, &progress)) {
        *running = None;
    }
}

/// Notes that the background could not write the file.
pub fn note_failure(server: &Server, error: &FileError) {
    log_failure(server, error);
    server.log.warning("Background saving error");
    server.persistence.has_failed.store(true, Relaxed);
    stop_or_take_writes(server);
}

/// Notes that the file is in its place, with so many [`changes`] in it. If the background could not write it before, it can
/// now.
pub fn note_success(server: &Server, changes_at_cut: u64) {
    server.log.notice("DB saved on disk");
    let persistence = &server.persistence;
    persistence.last_save_s.store(clock::now_ms() / 1000, Relaxed);
    persistence.saves.fetch_add(1, Relaxed);
    // Another save may have seen more, and ended before this one.
    persistence.saved_changes.fetch_max(changes_at_cut, Relaxed);
    persistence.has_failed.store(false, Relaxed);
    stop_or_take_writes(server);
}

/// Writes the file and puts it in its place, unless that of a newer cut is there already: false.
fn write(server: &Server, cut: &mut Cut, progress: &Progress) -> Result<bool, FileError> {
    let config = &server.config;
    let Cut { walk, number, contents, facts, path, temporary, .. } = cut;
    let clock = Access::at(progress.began_ms, &server.settings, || 0);
    let is_told = server.settings.policy().looks_at_use();
    let last_use = |entry: &Entry| match clock.frequency(entry.access()) {
        _ if !is_told => LastUse::Unknown,
        Some(frequency) => LastUse::Frequency(frequency),
        None => LastUse::Idle(clock.idle_s(entry.access()).into()),
    };
    let preamble = Preamble {
        contents: *contents,
        aux: facts,
        compress: config.get(keys::RDBCOMPRESSION),
        checksum: config.get(keys::RDBCHECKSUM),
        last_use: &last_use,
    };
    let mut delay = Delay::default();
    let key = || {
        progress.done.fetch_add(1, Relaxed);
        delay.pass(&server.live.rdb_key_save_delay, || progress.aborted.load(Relaxed));
        if progress.aborted.load(Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    server.persistence.temporary(temporary);
    let incremental_sync = config.get(keys::RDB_SAVE_INCREMENTAL_FSYNC);
    let placed = snapshot_file::write(temporary, incremental_sync, |out| save(walk, &preamble, out, key))
        .and_then(|_| place(server, *number, temporary, path));
    server.persistence.no_temporary(temporary);
    placed
}

/// Puts a file in its place, unless that of a newer cut is there already: then it is gone, and this says false.
///
/// # Errors
/// The file is gone.
pub fn place(server: &Server, number: u64, temporary: &Path, path: &Path) -> Result<bool, FileError> {
    let mut placed = server.persistence.placed.lock();
    if *placed > number {
        snapshot_file::discard(temporary);
        return Ok(false);
    }
    snapshot_file::place(temporary, path)?;
    *placed = number;
    Ok(true)
}

/// The facts about a file that Redis writes too, in its order; `place` is where its data is in the history, if that is of use
/// to anybody.
pub fn facts(server: &Server, place: Option<Resume>) -> Vec<(&'static str, Vec<u8>)> {
    let number = |number: u64| number.to_string().into_bytes();
    let mut facts = vec![
        ("redis-ver", REDIS_VERSION.into()),
        ("redis-bits", number(usize::BITS.into())),
        ("ctime", number(clock::now_ms() as u64 / 1000)),
        ("used-mem", number(memory::used(server))),
    ];
    facts.extend(place.into_iter().flat_map(Resume::facts));
    facts.push(("aof-base", number(0)));
    facts
}

fn log_failure(server: &Server, error: &FileError) {
    let FileError { step, path, error: cause } = error;
    if *step == Step::Write && cause.kind() == ErrorKind::Interrupted {
        return;
    }
    let what = match step {
        Step::Open => "Failed opening the temp RDB file",
        Step::Write | Step::Sync => "Write error while saving DB to the disk",
        Step::Rename => "Error moving temp DB file on the final destination",
        Step::SyncDirectory => "Failed to sync the directory of the RDB file",
    };
    server.log.warning(&format!("{what} ({}): {cause}", path.display()));
}

/// What a test has asked for with `rdb-key-save-delay` and `key-load-delay`: microseconds for each key, or if they are
/// negative, one for each so many keys.
#[derive(Default)]
pub struct Delay {
    keys: u64,
}

impl Delay {
    /// Lets one key's share of time pass, but no more when `is_over`. The delay is looked at again and again, since it may
    /// be lowered while it is waited for.
    pub fn pass(&mut self, delay_us: &AtomicI64, is_over: impl Fn() -> bool) {
        self.keys += 1;
        let asked = || Duration::from_micros(delay_us.load(Relaxed).max(0) as u64);
        match delay_us.load(Relaxed) {
            0 => {}
            ..0 => {
                if self.keys.is_multiple_of(delay_us.load(Relaxed).unsigned_abs().max(1)) {
                    thread::sleep(Duration::from_micros(1));
                }
            }
            _ => {
                let mut passed = Duration::ZERO;
                while passed < asked() && !is_over() {
                    let nap = (asked() - passed).min(NAP_MAX);
                    thread::sleep(nap);
                    passed += nap;
                }
            }
        }
    }
}
