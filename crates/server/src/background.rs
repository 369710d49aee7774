//! Threads whose work is long and waited for by nobody in particular: copies, saves, and what brings a file to the disk.
//!
//! They run beside event loops that clients do wait for, often on the same core. There the scheduler would give each as much
//! as the other, in slices of milliseconds; so these threads stand back (setpriority(2), which on Linux is by thread). What
//! frees memory does not: it has to keep up with those who fill it.
//!
//! What changes beside a walk takes new memory while the old forms are kept. The kernel would give it in huge pages, each of
//! which it clears at once while a client waits: 2 MiB, a fraction of a millisecond at best, and several where a virtual
//! machine has to ask its host for them. So as long as such a thread runs there are small ones ([`SmallPages`]).

use std::io;
use std::sync::Mutex;
use std::thread::{Builder, JoinHandle};

/// By how much. A thread at this value gets a quarter of a core that an event loop wants as a whole, so that a copy comes to its
/// end, and all of an idle one.
const NICE: i32 = 5;

/// Its lock is held with no other, and over a system call or two.
static ASKED: Mutex<Asked> = Mutex::new(Asked { count: 0, by_us: false });

struct Asked {
    /// How many ask for small pages.
    count: usize,
    /// Huge pages are refused for them; not, if whoever started the process did so.
    by_us: bool,
}

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

/// Keeps the kernel from making huge pages for this process while it lives, or another of its kind.
pub struct SmallPages(());

impl SmallPages {
    /// From now on.
    pub fn begin() -> Self {
        let mut asked = ASKED.lock().expect("never poisoned");
        asked.count += 1;
        if asked.count == 1 {
            asked.by_us = refuse_huge_pages(true);
        }
        Self(())
    }
}

impl Drop for SmallPages {
    fn drop(&mut self) {
        let mut asked = ASKED.lock().expect("never poisoned");
        asked.count -= 1;
        if asked.count == 0 && asked.by_us {
            refuse_huge_pages(false);
        }
    }
}

/// Says whether that changes anything.
#[cfg(target_os = "linux")]
fn refuse_huge_pages(refuse: bool) -> bool {
    let refused = rustix::thread::transparent_huge_pages_are_disabled().unwrap_or(refuse);
    refused != refuse && rustix::thread::disable_transparent_huge_pages(refuse).is_ok()
}

/// Only Linux has them.
#[cfg(not(target_os = "linux"))]
fn refuse_huge_pages(_refuse: bool) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn huge_pages_are_refused_while_one_of_them_runs() {
        let refused = || rustix::thread::transparent_huge_pages_are_disabled().unwrap();
        let before = refused();
        let first = SmallPages::begin();
        let second = SmallPages::begin();
        drop(first);
        assert!(refused());
        drop(second);
        assert_eq!(refused(), before);
    }
}
