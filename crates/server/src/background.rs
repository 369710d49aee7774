//! Threads whose work is long and waited for by nobody in particular: copies, saves, and what brings a file to the disk.
//!
//! They run beside event loops that clients do wait for, often on the same core. There the scheduler would give each as much
//! as the other, in slices of milliseconds; so these threads stand back (nice(2), which on Linux is by thread). What frees
//! memory does not: it has to keep up with those who fill it.
//!
//! **The long part of a copy or a save stands back further:** it runs under SCHED_IDLE (sched(7)), when nobody else wants the
//! core. What such a thread gets of a busy core at nice 5 is a quarter, but the loop that wakes for a request may find it in
//! the middle of a turn, and turns end with the tick of the kernel's clock, up to 4 ms later. A thread under SCHED_IDLE is
//! interrupted at once by whoever wakes. Longer or shorter turns for it (promptness.rs) were measured too, and changed nothing;
//! nice 19 helped half as much.
//!
//! **But it must not starve.** On a core that is always full it gets 0.3 %, and a copy that never ends is worse than a slow
//! request. So it is watched ([`watch`]) by a thread that is there for just as long, and goes back to nice 5 while it gets less
//! than it would there. It cannot watch itself: it would have to run for that. Nor is that for cron, which looks every 100 ms;
//! the watch looks every 5 ms, because of this:
//!
//! **What such a thread holds, others wait for** behind all who keep its core busy. Whole instants are not spent so: a cut,
//! which has the gate to itself, the giving of names, the end. What is left is short: a stripe while some dozen entries are
//! copied, the queue of old forms, a lock in the kernel. A loop that waits for that sleeps, and leaves its core to the thread
//! that it waits for; only if others fill all cores is nothing left, and then the watch ends it within two looks. To go back to
//! nice 5 for each stripe was left out: two system calls for each of 16384 stripes, against an event that is as rare as
//! it is short. Whoever waits for a large value that is being walked, or for memory that the walk keeps, is not made to wait:
//! the watch asks for that as well.
//!
//! **Back to nice 5 is not for everybody.** From SCHED_IDLE it is a step up, for which a process has to be root, or have
//! CAP_SYS_NICE, or RLIMIT_NICE (`conf/one-primary-many-replicas.md` says how). Without it the threads stay at nice 5 all the
//! time.

#[cfg(target_os = "linux")]
mod policy;
#[cfg(target_os = "linux")]
mod watch;

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
        let _ = rustix::process::nice(NICE);
        work();
    })
}

/// Does the long part of such a thread's work, on the thread that calls, which stands back further meanwhile; see the file's
/// head. Not while `hurries`, which is asked often and from another thread. Nobody may wait for all of the work with a core that
/// he keeps busy.
#[cfg(target_os = "linux")]
pub fn stand_back<T>(hurries: &(dyn Fn() -> bool + Sync), work: impl FnOnce() -> T) -> T {
    watch::watched(hurries, work)
}

/// Only Linux knows how.
#[cfg(not(target_os = "linux"))]
pub fn stand_back<T>(_hurries: &(dyn Fn() -> bool + Sync), work: impl FnOnce() -> T) -> T {
    work()
}
