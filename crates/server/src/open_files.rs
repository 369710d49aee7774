//! Descriptors: each client takes one, and the system grants a process only so many.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::log::Log;

/// Descriptors that are not clients': listeners, polls, wakers, files, replication, and some air.
const RESERVED: u64 = 128;

/// Asks the system for as many descriptors as `maxclients` clients need, and returns how many clients it lets us have.
pub fn admit(maxclients: usize, log: &Log) -> usize {
    let needed = maxclients as u64 + RESERVED;
    let old = getrlimit(Resource::Nofile);
    // No limit is more than any number.
    let granted = |limit: Rlimit| limit.current.unwrap_or(u64::MAX);
    if granted(old) >= needed {
        return maxclients;
    }
    // Only a privileged process may raise the upper bound; the others get what lies below it.
    let bounds = [old.maximum.map(|maximum| maximum.max(needed)), old.maximum];
    for maximum in bounds {
        let current = Some(maximum.map_or(needed, |maximum| maximum.min(needed)));
        if setrlimit(Resource::Nofile, Rlimit { current, maximum }).is_ok() {
            break;
        }
    }
    let granted = granted(getrlimit(Resource::Nofile));
    if granted >= needed {
        log.notice(&format!(
            "Increased maximum number of open files to {needed} (it was originally set to {}).",
            old.current.unwrap_or(u64::MAX)
        ));
        return maxclients;
    }
    let fewer = granted.saturating_sub(RESERVED).max(1) as usize;
    log.warning(&format!("You requested maxclients of {maxclients} requiring at least {needed} max file descriptors."));
    log.warning(&format!(
        "Current maximum open files is {granted}. maxclients has been reduced to {fewer} to compensate for low ulimit. \
         If you need higher maxclients increase 'ulimit -n'."
    ));
    fewer
}
