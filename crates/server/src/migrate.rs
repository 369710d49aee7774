//! MIGRATE's thread work: values out of the keyspace, over the network, and away.
//!
//! A few threads take what clients have asked for, one after the other. Each goes in batches: copy some values, send
//! them, read the answers, remove what has arrived and is still as it was sent. So memory is bounded by the batch, and no
//! guard is held while the network is waited for. What somebody has written to meanwhile is sent once more; what was
//! deleted meanwhile is deleted at the target too. A key that changes all the time stays here alone in the end, and the
//! client is told.

mod link;
mod sockets;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use commands::blocking::Waiter;
use commands::env::Env;
use commands::error::{Error, Result};
use commands::migrate::Migration;
use commands::pipeline::migration::{self, Fate, Parcel};
use crossbeam::channel::{Receiver, Sender, unbounded};

use crate::clock;
use crate::server::Server;
use crate::workers;
use link::{Broken, Link};
pub use sockets::Sockets;

/// Migrations that go on at once; further ones wait, each with its client.
const THREADS: usize = 4;
/// Bytes of payloads that are sent before their answers are read; a batch has one value at least.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Keys of a batch.
const BATCH_KEYS_MAX: usize = 128;
/// How often a key is sent again because it has changed meanwhile.
const RESENDS_MAX: usize = 8;
/// How long to wait before it is tried again to remove keys, while CLIENT PAUSE forbids it.
const PAUSE_STEP: Duration = Duration::from_millis(20);

struct Job {
    waiter: Arc<Waiter>,
    migration: Migration,
}

/// See the file's head. The queue holds one migration a client at most.
pub struct Migrator {
    jobs: Sender<Job>,
    waiting: Receiver<Job>,
    /// Connections kept for the next migration to the same target.
    pub sockets: Sockets,
}

impl Default for Migrator {
    fn default() -> Self {
        let (jobs, waiting) = unbounded();
        Self { jobs, waiting, sockets: Sockets::default() }
    }
}

impl Migrator {
    /// Hands a migration over; its client waits already.
    pub fn take(&self, waiter: Arc<Waiter>, migration: Migration) {
        // The threads end with the process only.
        let _ = self.jobs.send(Job { waiter, migration });
    }
}

/// Starts the threads.
pub fn start(server: &Arc<Server>) -> std::io::Result<()> {
    for index in 0..THREADS {
        let server = server.clone();
        thread::Builder::new().name(format!("migrate-{index}")).spawn(move || {
            let mut env = workers::background_env(&server);
            for Job { waiter, migration } in &server.migrator.waiting {
                let outcome = Transfer { server: &server, env: &mut env, waiter: &waiter, job: &migration }.run();
                migration::answer(&env, &waiter, outcome);
            }
        })?;
    }
    Ok(())
}

/// One migration under way.
struct Transfer<'a> {
    server: &'a Server,
    env: &'a mut Env,
    waiter: &'a Waiter,
    job: &'a Migration,
}

impl Transfer<'_> {
    fn run(&mut self) -> Result<&'static str> {
        let (mut found, mut refused) = (false, None);
        let mut keys = self.job.keys.iter();
        while let Some(batch) = self.next_batch(&mut keys) {
            found = true;
            // As in Redis, what the target refuses does not keep the others from being moved; the first error counts.
            let error = self.move_batch(batch)?;
            refused = refused.or(error);
        }
        match refused {
            Some(error) => Err(Error::new(format!("ERR Target instance replied with error: {error}"))),
            None if found => Ok("OK"),
            None => Ok("NOKEY"),
        }
    }

    /// The next values to send; none when there is no key left.
    fn next_batch<'k>(&mut self, keys: &mut impl Iterator<Item = &'k Box<[u8]>>) -> Option<Vec<Parcel>> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES_MAX && batch.len() < BATCH_KEYS_MAX {
            let Some(key) = keys.next() else { break };
            if let Some(parcel) = self.pack(key) {
                bytes += parcel.payload.len();
                batch.push(parcel);
            }
        }
        (!batch.is_empty()).then_some(batch)
    }

    fn pack(&mut self, key: &[u8]) -> Option<Parcel> {
        let section = self.server.keyspace.gate().enter();
        self.env.begin_section(clock::now_ms());
        migration::pack(self.env, &section, self.job.db, key)
    }

    /// Moves some keys; inside is the target's first error.
    fn move_batch(&mut self, mut batch: Vec<Parcel>) -> Result<Option<String>> {
        let mut refused = None;
        for attempt in 0..=RESENDS_MAX {
            let sent = self.send(&batch, self.job.replace || attempt > 0);
            let arrived = self.sort_out(batch, sent.answers, &mut refused);
            // What has arrived is removed here even if the connection broke after it.
            let changed = if self.job.copy { Vec::new() } else { self.remove(arrived)? };
            sent.broken.map_or(Ok(()), Err)?;
            if changed.is_empty() {
                return Ok(refused);
            }
            if attempt == RESENDS_MAX {
                self.forget(&changed)?;
                return Err(Error::new("TRYAGAIN A key changed each time it was sent; it was not moved"));
            }
            batch = changed.iter().filter_map(|key| self.pack(key)).collect();
            let gone = changed.into_iter().filter(|key| batch.iter().all(|parcel| parcel.key != *key));
            self.forget(&gone.collect::<Vec<_>>())?;
        }
        unreachable!("the last attempt returns")
    }

    /// The parcels that have arrived; of the others the first error is noted.
    fn sort_out(
        &self,
        batch: Vec<Parcel>,
        answers: Vec<std::result::Result<(), String>>,
        refused: &mut Option<String>,
    ) -> Vec<Parcel> {
        let mut arrived = Vec::new();
        for (parcel, answer) in batch.into_iter().zip(answers) {
            match answer {
                Ok(()) => arrived.push(parcel),
                Err(error) => drop(refused.get_or_insert(error)),
            }
        }
        arrived
    }

    /// Removes what has arrived; returns the keys that are not as they were sent.
    fn remove(&mut self, arrived: Vec<Parcel>) -> Result<Vec<Box<[u8]>>> {
        if arrived.is_empty() {
            return Ok(Vec::new());
        }
        let fates = loop {
            let section = self.server.keyspace.gate().enter();
            self.env.begin_section(clock::now_ms());
            let client = &self.waiter.client;
            if let Some(fates) = migration::remove_sent(self.env, &section, client, self.job.db, &arrived)? {
                break fates;
            }
            drop(section);
            thread::sleep(PAUSE_STEP);
        };
        let changed = arrived.into_iter().zip(fates).filter(|(_, fate)| *fate != Fate::Removed);
        Ok(changed.map(|(parcel, _)| parcel.key).collect())
    }

    /// Sends values and reads the answers.
    fn send(&mut self, parcels: &[Parcel], replace: bool) -> Sent {
        let commands: Vec<_> = parcels.iter().map(|parcel| restore(parcel, replace)).collect();
        if parcels.is_empty() { Sent::default() } else { self.exchange(&commands) }
    }

    /// Deletes keys at the target that are not to be there after all.
    fn forget(&mut self, keys: &[Box<[u8]>]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let command = std::iter::once(b"DEL".to_vec()).chain(keys.iter().map(|key| key.to_vec()));
        let sent = self.exchange(&[command.collect()]);
        sent.broken.map_or(Ok(()), Err)
    }

    /// Sends commands over a connection that was kept, or over a new one: also if the one that was kept breaks before
    /// anything was answered, for the target may have closed it long ago.
    fn exchange(&mut self, commands: &[Vec<Vec<u8>>]) -> Sent {
        let (sockets, job) = (&self.server.migrator.sockets, self.job);
        let mut kept = sockets.take(&job.host, job.port);
        loop {
            let was_kept = kept.is_some();
            let mut link = match kept.take().map_or_else(|| Link::open(job), Ok) {
                Ok(link) => link,
                Err(broken) => return Sent { answers: Vec::new(), broken: Some(broken.error()) },
            };
            let (answers, broken) = link.exchange(job, commands);
            match broken {
                None => sockets.keep(link, clock::now_ms()),
                Some(broken) if was_kept && answers.is_empty() && !broken.timed_out => continue,
                Some(_) => {}
            }
            return Sent { answers, broken: broken.map(Broken::error) };
        }
    }
}

/// What came of sending: the answers that were read, and why not all of them.
#[derive(Default)]
struct Sent {
    answers: Vec<std::result::Result<(), String>>,
    broken: Option<Error>,
}

/// The command that creates a value at the target. It expires at the same instant there, however long it travels.
fn restore(parcel: &Parcel, replace: bool) -> Vec<Vec<u8>> {
    let expiry = parcel.expiry.unwrap_or(0).to_string().into_bytes();
    let mut words = vec![b"RESTORE".to_vec(), parcel.key.to_vec(), expiry, parcel.payload.clone()];
    words.extend(replace.then(|| b"REPLACE".to_vec()));
    words.extend(parcel.expiry.map(|_| b"ABSTTL".to_vec()));
    words
}
