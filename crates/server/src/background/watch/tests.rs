//! The judge by figures, and the watch over threads that compute, sleep, and starve.

use std::sync::atomic::AtomicU64;
use std::time::Instant;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::*;
use crate::background::stand_back;

const MS: u64 = 1_000_000;

fn ran(ran_ms: u64, waited_ms: u64) -> Seen {
    Seen { ran_ns: ran_ms * MS, waited_ns: waited_ms * MS, waits_ns: 0 }
}

fn waits(waits_ms: u64) -> Seen {
    Seen { waits_ns: waits_ms * MS, ..Seen::default() }
}

#[track_caller]
fn check(seen: &[Seen], stands_back: bool) {
    let mut judge = Judge::default();
    seen.iter().for_each(|seen| judge.look(*seen, false));
    assert_eq!(judge.stands_back, stands_back, "{judge:?}");
}

#[test]
fn who_gets_a_quarter_stands_back() {
    check(&[], true);
    check(&[ran(5, 0)], true);
    check(&[ran(2, 6)], true);
    check(&[ran(1, 3), ran(3, 9)], true);
    // Too little to tell.
    check(&[ran(0, 4)], true);
}

#[test]
fn who_gets_less_does_not() {
    check(&[ran(1, 4)], false);
    check(&[ran(0, 4), ran(0, 1)], false);
    // Waits whose end is not to be seen.
    check(&[ran(1, 0), waits(5)], false);
    check(&[waits(5)], false);
    // Who waits for something else is not judged.
    check(&[Seen::default(); 100], true);
}

#[test]
fn a_wait_counts_once() {
    let mut judge = Judge { stands_back: false, ..Judge::default() };
    for seen in [waits(30), waits(30)] {
        judge.look(seen, false);
    }
    // Of the 61 ms that the kernel adds now one is new: 38 of 99 are more than a third, but not of 160.
    judge.look(ran(38, 61), false);
    assert_eq!((judge.ran_ns, judge.waited_ns), (38 * MS, 61 * MS));
    judge.look(ran(1, 0), false);
    assert!(judge.stands_back);
}

#[test]
fn back_to_standing_back_takes_a_third_and_a_while() {
    let lifted = ran(0, 5);
    check(&[lifted, ran(99, 0)], false);
    check(&[lifted, ran(100, 0)], true);
    check(&[lifted, ran(34, 66)], true);
    check(&[lifted, ran(33, 67)], false);
    // A full core leaves a quarter at nice 5, for as long as it may take.
    check(&[vec![lifted], vec![ran(25, 75); 50]].concat(), false);
}

#[test]
fn nobody_stands_back_who_hurries() {
    let mut judge = Judge::default();
    judge.look(ran(1, 0), true);
    assert!(!judge.stands_back);
    judge.look(ran(99, 0), false);
    assert!(!judge.stands_back, "that was not long enough to tell");
    judge.look(ran(100, 0), false);
    assert!(judge.stands_back);
}

/// The policies of a thread that works for so long, one a look; none where there is no way back.
fn policies(work: impl FnOnce() + Send, hurries: bool) -> Vec<libc::c_int> {
    let (worker, over) = (&AtomicU64::new(0), &AtomicBool::new(false));
    thread::scope(|scope| {
        let looking = scope.spawn(move || {
            let mut policies = Vec::new();
            while !over.load(Relaxed) {
                thread::sleep(LOOK);
                let id = worker.load(Relaxed);
                if let Ok(stat) = File::open(format!("/proc/self/task/{id}/stat")) {
                    let schedstat = stat.try_clone().unwrap();
                    let figures = Figures { schedstat, stat, ran_ns: 0, waited_ns: 0, at_ns: 0 };
                    policies.extend(figures.state().map(|(_, policy)| policy));
                }
            }
            policies
        });
        let working = scope.spawn(move || {
            let _ = rustix::process::nice(NICE);
            worker.store(gettid().as_raw_nonzero().get() as u64, Relaxed);
            stand_back(&|| hurries, work);
            // Nothing of it stays.
            assert_eq!(Figures::of(gettid()).unwrap().state().unwrap().1, libc::SCHED_OTHER);
        });
        let worked = working.join();
        over.store(true, Relaxed);
        worked.expect("the work has done what it should");
        looking.join().unwrap()
    })
}

/// Whether this process may go up again.
fn has_way_back() -> bool {
    let there_and_back = || rustix::process::nice(NICE).and_then(|_| rustix::process::nice(-NICE)).is_ok();
    thread::spawn(there_and_back).join().unwrap()
}

fn compute(for_ms: u64) {
    let end = Instant::now() + Duration::from_millis(for_ms);
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

#[test]
fn who_waits_for_something_else_stands_back_all_the_time() {
    let policies = policies(|| thread::sleep(Duration::from_millis(200)), false);
    let back = policies.iter().filter(|policy| **policy == libc::SCHED_IDLE).count();
    assert_eq!(back > policies.len() / 2, has_way_back(), "{policies:?}");
}

#[test]
fn who_hurries_is_as_usual() {
    let policies = policies(|| compute(200), true);
    let back = policies.iter().filter(|policy| **policy == libc::SCHED_IDLE).count();
    assert!(back <= policies.len() / 4, "{policies:?}");
}

/// Two threads that compute fill the core that a third would stand back on.
#[test]
fn who_starves_comes_back() {
    let cores = sched_getaffinity(None).unwrap();
    let mut core = CpuSet::new();
    core.set((0..CpuSet::MAX_CPU).find(|core| cores.is_set(*core)).expect("there is a core"));
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                sched_setaffinity(None, &core).unwrap();
                while !over.load(Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let starving = || {
            sched_setaffinity(None, &core).unwrap();
            let begin = processor_ns();
            // Forty milliseconds of a core take twelve seconds and more at the 0.3 % that such a thread gets.
            while processor_ns() - begin < 40 * MS {
                std::hint::spin_loop();
            }
        };
        let began = Instant::now();
        let policies = policies(starving, false);
        let took = began.elapsed();
        over.store(true, Relaxed);
        let usual = policies.iter().filter(|policy| **policy == libc::SCHED_OTHER).count();
        assert!(usual > policies.len() / 2, "{policies:?}");
        assert!(took < Duration::from_secs(8), "{took:?}");
    });
}

fn processor_ns() -> u64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    schedstat.split(' ').next().unwrap().parse().unwrap()
}
