//! `disable-thp`: whether the kernel may give this process transparent huge pages.
//!
//! The allocator asks for them, and lookups in a large keyspace are some hundredths of a microsecond quicker with them. But the
//! kernel clears 2 MiB at once while a client waits: a fraction of a millisecond at best, and several where a virtual machine
//! has to ask its host for them. Redis refuses them because they are copied whole after a fork, and so do we unless told
//! otherwise.

use crate::log::Log;

/// Refuses them, to all threads there are and will be (PR_SET_THP_DISABLE in prctl(2)).
#[cfg(target_os = "linux")]
pub fn refuse(log: &Log) {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        log.warning(&format!("Unable to disable transparent huge pages for this process: {error}"));
    }
}

/// Only Linux has them.
#[cfg(not(target_os = "linux"))]
pub fn refuse(_log: &Log) {}
