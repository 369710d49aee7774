//! Threads whose work is long and waited for by nobody in particular: copies, saves, and what brings a file to the disk.
//!
//! They run beside event loops that clients do wait for, often on the same core. There the scheduler would give each as much
//! as the other, in slices of milliseconds; so these threads stand back (setpriority(2), which on Linux is by thread). What
//! frees memory does not: it has to keep up with those who fill it.

use std::io;
use std::thread::{Builder, JoinHandle};

/// By how much. A thread at this value gets a quarter of a core that an event loop wants as a whole, so that a copy comes to its
/// end, and all of an idle one.
const NICE: i32 = 5;

/// Starts such a thread.
///
/// # Errors
/// The system has no thread to give.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.into()).spawn(move || {
        // Refused, it is a thread like any other.
        let _ = rustix::process::setpriority_process(None, NICE);
        work();
    })
}
