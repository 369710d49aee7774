//! The workers' threads: seats first, so that everybody can be reached before the first of them runs.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use commands::env::Env;
use commands::stats::Stats;
use fastrand::Rng;

use crate::net::listener::Listener;
use crate::net::worker::{Seat, Worker};
use crate::promptness;
use crate::server::{Server, WorkerHandle};

/// Seats for so many workers, and how others reach them.
///
/// # Errors
/// An event loop cannot be opened.
pub fn seats(count: usize) -> Result<(Vec<Seat>, Vec<WorkerHandle>), String> {
    let (mut seats, mut handles) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (seat, inbox) = Worker::seat().map_err(|error| format!("Opening an event loop: {error}"))?;
        seats.push(seat);
        handles.push(WorkerHandle { inbox, connections: AtomicUsize::new(0), stats: Arc::new(Stats::default()) });
    }
    Ok((seats, handles))
}

/// Starts a worker in each seat; the first one accepts.
///
/// # Errors
/// A thread or a poll cannot be had.
pub fn start(
    server: &Arc<Server>,
    seats: Vec<Seat>,
    mut listeners: Vec<Listener>,
) -> Result<Vec<JoinHandle<()>>, String> {
    let mut threads = Vec::new();
    for (index, seat) in seats.into_iter().enumerate() {
        let env = env(server, server.workers[index].stats.clone());
        let failed = |error| format!("Starting worker {index}: {error}");
        let worker = Worker::with(index, server.clone(), seat, env, std::mem::take(&mut listeners)).map_err(failed)?;
        let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            promptness::ask();
            worker.run();
        });
        threads.push(thread.map_err(failed)?);
    }
    Ok(threads)
}

/// Surroundings for what runs beside the workers.
pub fn background_env(server: &Arc<Server>) -> Env {
    env(server, server.background_stats.clone())
}

/// Surroundings for what applies the primary's stream.
pub fn applier_env(server: &Arc<Server>) -> Env {
    env(server, server.applier_stats.clone())
}

/// Waits for all workers to end.
///
/// # Errors
/// One has panicked.
pub fn join(threads: Vec<JoinHandle<()>>) -> Result<(), String> {
    // All are waited for, so that the last replies of the others go out.
    let panicked = threads.into_iter().map(|thread| thread.join().is_err()).fold(false, |any, one| any | one);
    if panicked { Err("A worker has panicked".into()) } else { Ok(()) }
}

fn env(server: &Arc<Server>, stats: Arc<Stats>) -> Env {
    /// Kept for good, so that no command has to go through a count of references.
    static HOST: OnceLock<Arc<Server>> = OnceLock::new();
    let host = HOST.get_or_init(|| server.clone());
    debug_assert!(Arc::ptr_eq(host, server), "a process is one server");
    Env::new(&**host, server.keyspace, server.settings.clone(), stats, Rng::new())
}
