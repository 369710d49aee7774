//! How many clients the system lets us have: `maxclients` against the limit of open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{Asker, Config, keys};
use crate::log::Log;

/// Open files that are no clients: listeners, logs, data files.
const RESERVED: u64 = 32;
/// An event loop has a poll and a waker; [`RESERVED`] has room for so many loops.
const FILES_A_WORKER: u64 = 2;
const WORKERS_WITHIN_RESERVED: u64 = 8;

/// Open files that so many clients and workers need.
fn needed(clients: u64, workers: usize) -> u64 {
    clients.saturating_add(reserved(workers))
}

fn reserved(workers: usize) -> u64 {
    RESERVED + FILES_A_WORKER * (workers as u64).saturating_sub(WORKERS_WITHIN_RESERVED)
}

/// Raises the limit of open files for so many clients as far as the system allows, and returns how many there can be.
pub fn make_room(clients: u64, workers: usize) -> u64 {
    let needed = needed(clients, workers);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // No number means no limit.
    if current.is_none_or(|current| current >= needed) {
        return clients;
    }
    let beyond = Rlimit { current: Some(needed), maximum: maximum.map(|maximum| maximum.max(needed)) };
    let within = Rlimit { current: Some(maximum.map_or(needed, |maximum| maximum.min(needed))), maximum };
    let raised = [beyond, within].into_iter().any(|limit| setrlimit(Resource::Nofile, limit).is_ok());
    let current = if raised { getrlimit(Resource::Nofile).current } else { current };
    current.map_or(clients, |current| clients.min(current.saturating_sub(reserved(workers))))
}

/// At the start: brings `maxclients` down to what the system allows, and says so.
///
/// # Errors
/// Not even one client is possible.
pub fn fit(config: &Config, log: &Log) -> Result<(), String> {
    let workers = config.get(keys::IO_THREADS);
    let wanted = config.get(keys::MAXCLIENTS) as u64;
    let possible = make_room(wanted, workers);
    if possible >= wanted {
        return Ok(());
    }
    let (needed, limit) = (needed(wanted, workers), possible + reserved(workers));
    if possible == 0 {
        let message = format!(
            "Your current 'ulimit -n' of {limit} is not enough for the server to start. Please increase your open file \
             limit to at least {needed}. Exiting."
        );
        log.warning(&message);
        return Err(message);
    }
    log.warning(&format!("You requested maxclients of {wanted} requiring at least {needed} max file descriptors."));
    log.warning(&format!("Server can't set maximum open files to {needed}."));
    log.warning(&format!(
        "Current maximum open files is {limit}. maxclients has been reduced to {possible} to compensate for low \
         ulimit. If you need higher maxclients increase 'ulimit -n'."
    ));
    let pair = (b"maxclients".as_slice(), possible.to_string());
    config
        .set(&[(pair.0, pair.1.as_bytes())], Asker::default(), &mut |_, _| Ok(()))
        .map(drop)
        .map_err(|error| error.to_string())
}
