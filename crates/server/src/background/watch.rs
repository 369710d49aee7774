//! Watches that a thread which stands back gets enough of a core; [`super`] says why and when.
//!
//! **Enough** is told from what the kernel keeps for each thread: how long it ran, and how long it waited for a core. Standing
//! back, a thread gets too little if that is less than the quarter which nice 5 would give it beside one busy loop. At nice 5 it
//! stands back again once it gets more than a third: the others leave it that much though they do not have to, so they will leave
//! it the same when it stands back. A core that is always full leaves it a quarter at most; so there it stays, and nothing is lost
//! to trying.
//!
//! The kernel adds a wait when it is over, and some have no end in sight. So of a thread whose figures stand still it is asked
//! whether it is ready to run: then it waits for a core, and else for something else, which counts neither way.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, Builder, Thread};
use std::time::Duration;

use rustix::thread::{Pid, gettid};

use super::NICE;
use super::policy::Policy;
use crate::{clock, promptness};

/// From one look to the next.
const LOOK: Duration = Duration::from_millis(5);
/// How long the thread ran or waited, in nanoseconds, before that is judged: soon if it may starve, else by and by.
const JUDGED_BACK_NS: u64 = 5_000_000;
const JUDGED_USUAL_NS: u64 = 100_000_000;

/// See [`super::stand_back`].
pub(super) fn watched<T>(hurries: &(dyn Fn() -> bool + Sync), work: impl FnOnce() -> T) -> T {
    let (worker, over) = (gettid(), AtomicBool::new(false));
    thread::scope(|scope| {
        let watch = || watch(worker, hurries, &over);
        // Where there is no thread for that, the work does not stand back.
        let watcher = Builder::new().name("background".into()).spawn_scoped(scope, watch);
        let _end = End { over: &over, watcher: watcher.ok().map(|watcher| watcher.thread().clone()) };
        work()
    })
}

/// Ends the watch.
struct End<'a> {
    over: &'a AtomicBool,
    watcher: Option<Thread>,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        if let Some(watcher) = &self.watcher {
            watcher.unpark();
        }
    }
}

/// Has a thread stand back until it is over, as far as is good for it.
fn watch(worker: Pid, hurries: &dyn Fn() -> bool, over: &AtomicBool) {
    // Whoever watches has little to do, and is as prompt as an event loop. That is a step up from the thread which began this,
    // so it also shows that there is a way back for that one.
    if rustix::process::nice(-NICE).is_err() {
        return;
    }
    promptness::ask();
    let Ok(mut figures) = Figures::of(worker) else { return };
    let mut judge = Judge::default();
    let mut given = Policy::Usual;
    while !over.load(Relaxed) {
        let wanted = if judge.stands_back { Policy::Idle } else { Policy::Usual };
        if wanted != given && wanted.give_to(worker).is_err() {
            break;
        }
        given = wanted;
        thread::park_timeout(LOOK);
        let Ok(seen) = figures.look() else { break };
        // Whoever is stopped may be stopped in the middle of what is asked for here. Him the figures alone bring back.
        judge.look(seen, seen.waits_ns == 0 && hurries());
    }
    // It was the same thread's right a moment ago.
    let _ = Policy::Usual.give_to(worker);
}

/// What has become of a thread since the last look, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    ran_ns: u64,
    /// For a core, until it got one.
    waited_ns: u64,
    /// Time in which it neither ran nor ceased to wait.
    waits_ns: u64,
}

/// Decides whether the thread stands back.
#[derive(Debug)]
struct Judge {
    stands_back: bool,
    ran_ns: u64,
    waited_ns: u64,
    /// The part of `waited_ns` which the kernel is still to add.
    ahead_ns: u64,
}

impl Default for Judge {
    fn default() -> Self {
        Self { stands_back: true, ran_ns: 0, waited_ns: 0, ahead_ns: 0 }
    }
}

impl Judge {
    fn look(&mut self, seen: Seen, hurries: bool) {
        let Seen { ran_ns, waited_ns, waits_ns } = seen;
        self.ran_ns += ran_ns;
        self.waited_ns += waited_ns.saturating_sub(self.ahead_ns) + waits_ns;
        self.ahead_ns = if waits_ns > 0 { self.ahead_ns + waits_ns } else { 0 };
        let wanted_ns = self.ran_ns + self.waited_ns;
        let judged_ns = if self.stands_back { JUDGED_BACK_NS } else { JUDGED_USUAL_NS };
        if !hurries && wanted_ns < judged_ns {
            return;
        }
        let least_ns = wanted_ns / if self.stands_back { 4 } else { 3 };
        self.stands_back = !hurries && self.ran_ns >= least_ns;
        (self.ran_ns, self.waited_ns) = (0, 0);
    }
}

/// What the kernel tells about a thread.
struct Figures {
    schedstat: File,
    stat: File,
    ran_ns: u64,
    waited_ns: u64,
    at_ns: u64,
}

impl Figures {
    /// Of a thread of this process.
    ///
    /// # Errors
    /// The kernel does not tell, or somebody has given the thread a policy that is not for us to change.
    fn of(thread: Pid) -> io::Result<Self> {
        let open = |name: &str| File::open(format!("/proc/self/task/{thread}/{name}"));
        let (schedstat, stat) = (open("schedstat")?, open("stat")?);
        let mut figures = Self { schedstat, stat, ran_ns: 0, waited_ns: 0, at_ns: 0 };
        let (_, policy) = figures.state()?;
        if policy != Policy::Usual.number() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        figures.look()?;
        Ok(figures)
    }

    fn look(&mut self) -> io::Result<Seen> {
        let now_ns = clock::ticks_ns();
        let (ran_ns, waited_ns) = read(&self.schedstat, |text| {
            let mut numbers = text.split(' ').map_while(|number| number.parse().ok());
            Some((numbers.next()?, numbers.next()?))
        })?;
        let mut seen = Seen { ran_ns: ran_ns - self.ran_ns, waited_ns: waited_ns - self.waited_ns, waits_ns: 0 };
        if seen == Seen::default() && self.state()?.0 == 'R' {
            seen.waits_ns = now_ns.saturating_sub(self.at_ns);
        }
        (self.ran_ns, self.waited_ns, self.at_ns) = (ran_ns, waited_ns, now_ns);
        Ok(seen)
    }

    /// Its state, 'R' for one that runs or would like to, and the number of its policy.
    fn state(&self) -> io::Result<(char, libc::c_int)> {
        read(&self.stat, |text| {
            // Behind the name, in which there may be anything: fields 3 and 41 (proc_pid_stat(5)).
            let mut fields = text.rsplit_once(") ")?.1.split(' ');
            Some((fields.next()?.chars().next()?, fields.nth(37)?.parse().ok()?))
        })
    }
}

/// What a short file tells at the moment.
fn read<T>(file: &File, parse: impl FnOnce(&str) -> Option<T>) -> io::Result<T> {
    let mut buffer = [0; 1024];
    let length = file.read_at(&mut buffer, 0)?;
    let told = std::str::from_utf8(&buffer[..length]).ok().and_then(parse);
    told.ok_or_else(|| io::ErrorKind::InvalidData.into())
}
