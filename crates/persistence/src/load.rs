//! Loading a file into a keyspace: the caller's thread reads and splits, several others build and insert.
//!
//! Splitting walks over the frames of values only, so one thread keeps many builders busy. Entries go to them in
//! batches through a short queue; whoever fails first ends it for all.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam::channel::{Receiver, Sender, bounded};
use rdb::error::Problem;
use rdb::file::{Checksum, Item, RawEntry, Splitter};
use store::gate::Section;
use store::guard::Key;
use store::keyspace::Keyspace;
use store::stripe::Mode;
use store::value::Limits;

/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;
/// Entries, and bytes of them, that a builder gets at once.
const BATCH_ENTRIES_MAX: usize = 256;
const BATCH_BYTES_MAX: usize = 128 * 1024;
/// Batches that wait, for each builder.
const QUEUED_BATCHES: usize = 2;

/// How a file is to be loaded.
pub struct Rules<'a> {
    /// Threads that build entries.
    pub threads: usize,
    /// Whether the file's checksum is looked at.
    pub check: bool,
    /// Where packed forms end.
    pub limits: &'a Limits,
    /// Keys that have expired by then, in milliseconds since 1970, are left out: what a primary does. A replica waits for
    /// its primary to say so.
    pub expire_before: Option<i64>,
    /// Is told of each key that is left out so, with its database.
    pub expired: &'a (dyn Fn(u32, &[u8]) + Sync),
    /// What becomes of a key that is there already.
    pub duplicates: Duplicates,
    /// The access clock of an entry with these seconds since its last use, and this frequency.
    pub access: &'a (dyn Fn(Option<u64>, Option<u8>) -> u32 + Sync),
    /// The section that the caller holds exclusively. Without one each batch enters the gate for itself, so that others
    /// get in between.
    pub section: Option<&'a Section<'a>>,
}

/// What becomes of a key that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// The file is refused, as a file that holds a key twice.
    Refuse,
    /// The new entry takes the old one's place.
    Replace,
}

/// Somebody who looks on while a file is loaded.
pub trait Observer {
    /// A fact about the file, at its beginning.
    fn aux(&mut self, _name: &[u8], _value: &[u8]) {}

    /// So many bytes of the file were read so far.
    fn read(&mut self, _bytes: u64) {}

    /// One more key was found; says whether to go on.
    fn key(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Nobody looks on.
impl Observer for () {}

/// What a file held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// The facts about the file.
    pub aux: Vec<(Vec<u8>, Vec<u8>)>,
    /// Keys that are in the keyspace now.
    pub keys: u64,
    /// Keys that were left out because they have expired.
    pub expired: u64,
    /// Keys that were left out because they held nothing: no server should write these, but some did.
    pub empty: u64,
    /// Libraries of functions, which are left out.
    pub functions: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// The file has a checksum that was to be looked at, but none was computed when it was written.
    pub unchecked: bool,
}

impl Loaded {
    /// A fact about the file.
    pub fn aux(&self, name: &str) -> Option<&[u8]> {
        let fact = self.aux.iter().find(|(known, _)| known == name.as_bytes());
        fact.map(|(_, value)| &**value)
    }
}

/// Why a file was not loaded. Offsets are from its beginning.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("reading failed at offset {offset}: {error}")]
    Io {
        /// Where.
        offset: u64,
        /// Why.
        error: io::Error,
    },
    /// It is malformed.
    #[error("{0}")]
    Malformed(#[from] rdb::error::Error),
    /// It has more databases than there are here.
    #[error("database {db} at offset {offset} is out of range, there are {count} databases (directive: databases)")]
    Database {
        /// The database.
        db: u32,
        /// How many there are.
        count: u32,
        /// Where it begins.
        offset: u64,
    },
    /// A key comes twice, or was there before.
    #[error("duplicated key '{key}' in DB {db} at offset {offset}")]
    Duplicate {
        /// The key, with what cannot be printed escaped.
        key: String,
        /// Its database.
        db: u32,
        /// Where in the file it is.
        offset: u64,
    },
    /// The observer has ended it.
    #[error("loading was ended")]
    Ended,
}

/// Loads what `source` holds up to the end mark, but maybe reads beyond it.
///
/// # Errors
/// What was built before is in the keyspace.
pub fn load(
    source: &mut dyn Read,
    keyspace: &Keyspace,
    rules: &Rules<'_>,
    observer: &mut dyn Observer,
) -> Result<Loaded, LoadError> {
    let threads = rules.threads.max(1);
    let builders = Builders { keyspace, rules, failed: Mutex::default(), counts: Counts::default() };
    let (sender, receiver) = bounded(threads * QUEUED_BATCHES);
    let mut loaded = std::thread::scope(|scope| {
        for _ in 0..threads {
            let (builders, receiver) = (&builders, receiver.clone());
            scope.spawn(move || builders.work(&receiver));
        }
        // The builders have the only receivers: when all have failed, sending fails too.
        drop(receiver);
        let loaded = read(source, keyspace.database_count(), rules.check, &sender, observer);
        drop(sender);
        loaded
    });
    // A builder's error is the earlier one: without its error the reader would have gone on.
    if let Some(error) = builders.failed.into_inner().expect("no builder panics") {
        return Err(error);
    }
    if let Ok(loaded) = &mut loaded {
        let Counts { keys, expired, empty } = builders.counts;
        (loaded.keys, loaded.expired, loaded.empty) = (keys.into_inner(), expired.into_inner(), empty.into_inner());
    }
    loaded
}

/// Reads and splits, and hands batches on. Ends early without an error if nobody takes them any more.
fn read(
    source: &mut dyn Read,
    databases: u32,
    check: bool,
    builders: &Sender<Vec<RawEntry>>,
    observer: &mut dyn Observer,
) -> Result<Loaded, LoadError> {
    let (mut splitter, mut items) = (Splitter::new(check), Vec::new());
    let (mut loaded, mut batch, mut batch_bytes) = (Loaded::default(), Vec::new(), 0);
    let mut buffer = vec![0; READ_BYTES];
    while !splitter.has_ended() {
        let count = match source.read(&mut buffer) {
            Ok(0) => return splitter.finish().map(|()| loaded).map_err(LoadError::from),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(LoadError::Io { offset: loaded.bytes, error }),
        };
        let fed = splitter.feed(&buffer[..count], &mut items);
        loaded.bytes += count as u64;
        observer.read(loaded.bytes);
        for item in items.drain(..) {
            match item {
                Item::Aux { name, value } => {
                    observer.aux(&name, &value);
                    loaded.aux.push((name, value));
                }
                Item::Function(_) => loaded.functions += 1,
                Item::SelectDb(db) if db >= databases => {
                    return Err(LoadError::Database { db, count: databases, offset: splitter.offset() });
                }
                Item::SelectDb(_) | Item::Resize { .. } | Item::SlotInfo { .. } => {}
                Item::End(checksum) => loaded.unchecked = check && checksum == Checksum::Absent,
                Item::Entry(entry) => {
                    if observer.key().is_break() {
                        return Err(LoadError::Ended);
                    }
                    batch_bytes += entry.body.len();
                    batch.push(entry);
                    if batch.len() >= BATCH_ENTRIES_MAX || batch_bytes >= BATCH_BYTES_MAX {
                        batch_bytes = 0;
                        if builders.send(std::mem::take(&mut batch)).is_err() {
                            return Ok(loaded);
                        }
                    }
                }
            }
        }
        fed?;
    }
    if !batch.is_empty() {
        // Nobody takes it only if there is an error already.
        let _ = builders.send(batch);
    }
    loaded.bytes = splitter.offset();
    Ok(loaded)
}

/// What the building threads share.
struct Builders<'a> {
    keyspace: &'a Keyspace,
    rules: &'a Rules<'a>,
    /// The first error.
    failed: Mutex<Option<LoadError>>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    keys: AtomicU64,
    expired: AtomicU64,
    empty: AtomicU64,
}

impl Builders<'_> {
    fn work(&self, batches: &Receiver<Vec<RawEntry>>) {
        for batch in batches {
            if let Err(error) = self.build(batch) {
                self.failed.lock().expect("no builder panics").get_or_insert(error);
                return;
            }
        }
    }

    fn build(&self, batch: Vec<RawEntry>) -> Result<(), LoadError> {
        let Self { rules, counts, .. } = self;
        let mut entries = Vec::with_capacity(batch.len());
        for raw in batch {
            if rules.expire_before.is_some_and(|now| raw.expiry.is_some_and(|expiry| expiry < now)) {
                counts.expired.fetch_add(1, Relaxed);
                (rules.expired)(raw.db, &raw.key()?);
                continue;
            }
            match raw.build(rules.limits) {
                Ok(entry) => {
                    entry.set_access((rules.access)(raw.idle_secs, raw.frequency));
                    entries.push((raw.db, raw.offset, entry));
                }
                Err(error) if error.problem == Problem::Empty => _ = counts.empty.fetch_add(1, Relaxed),
                Err(error) => return Err(error.into()),
            }
        }
        counts.keys.fetch_add(entries.len() as u64, Relaxed);
        let own;
        let section = match rules.section {
            Some(section) => section,
            None => {
                own = self.keyspace.gate().enter();
                &own
            }
        };
        entries.into_iter().try_for_each(|(db, offset, entry)| self.insert(section, db, offset, entry))
    }

    fn insert(&self, section: &Section<'_>, db: u32, offset: u64, entry: store::entry::Entry) -> Result<(), LoadError> {
        let hash = Key::new(entry.key()).hash;
        let mut guard = self.keyspace.lock_one(section, db, hash, Mode::Exclusive);
        let key = Key { bytes: entry.key(), hash };
        if guard.get(db, key).is_some() {
            if self.rules.duplicates == Duplicates::Refuse {
                return Err(LoadError::Duplicate { key: entry.key().escape_ascii().to_string(), db, offset });
            }
            let old = guard.remove(db, key);
            guard.insert(db, hash, entry);
            drop(guard);
            drop(old);
            return Ok(());
        }
        guard.insert(db, hash, entry);
        Ok(())
    }
}
