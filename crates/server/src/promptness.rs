//! Threads that somebody waits for: they ask the scheduler for short slices.
//!
//! Since Linux 6.12 a thread may say how long its turns are, which is also how soon it gets one: one that wakes with a short
//! turn before it does not wait for the long turn of another to end (the slices of EEVDF, sched_setattr(2)). An event loop
//! has little to do at a time and is waited for; a copy beside it on the same core, or another process, is not. Older
//! kernels take the same call and keep to turns of their own length.
//!
//! Those who send the stream to replicas do not ask: beside a busy event loop on one core they would interrupt it for each
//! record, instead of sending many at once.

// The system call has no safe wrapper.
#![allow(unsafe_code)]

/// The shortest turn that the kernel gives.
#[cfg(target_os = "linux")]
const SLICE_NS: u64 = 100_000;

/// Asks for it, for the thread that calls, and says whether that was granted. Refused, it is a thread like any other.
#[cfg(target_os = "linux")]
pub fn ask() -> bool {
    // SAFETY: plain numbers, of which all zeroes are some.
    let mut wanted: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = size_of_val(&wanted) as libc::c_uint;
    // SAFETY: the kernel writes at most `size` bytes to a place of that size; 0 is the thread that calls, and no flags.
    let known = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut wanted, size, 0) };
    // Whoever has been given another policy from outside knows better.
    if known != 0 || wanted.sched_policy != libc::SCHED_OTHER as u32 {
        return false;
    }
    wanted.sched_runtime = SLICE_NS;
    // SAFETY: the kernel reads as many bytes as the first field says, which is the size of the struct.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const wanted, 0) == 0 }
}

/// Only Linux can be asked.
#[cfg(not(target_os = "linux"))]
pub fn ask() -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    /// `/proc` tells the slice since the kernel heeds it.
    #[test]
    fn the_slice_is_what_was_asked_for() {
        if !super::ask() {
            return;
        }
        let told = std::fs::read_to_string("/proc/thread-self/sched").unwrap_or_default();
        let Some(line) = told.lines().find(|line| line.starts_with("se.slice")) else { return };
        assert!(line.ends_with(" 100000") || !heeds_slices(), "{line}");
    }

    fn heeds_slices() -> bool {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
        (numbers.next(), numbers.next()) >= (Some(6), Some(12))
    }
}
