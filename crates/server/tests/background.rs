//! Copies and saves stand back for requests, and come to their end all the same.

#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use common::{Served, ask, until};
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

const SCHED_OTHER: i32 = 0;
const SCHED_IDLE: i32 = 5;

fn start(keys: usize) -> Served {
    let settings = ["--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0", "--save", ""];
    let served = Served::start(&settings);
    assert_eq!(ask(&mut served.client(), &format!("DEBUG POPULATE {keys} key 100")), "OK");
    served
}

/// The ids of its threads, or of those of one name.
fn threads(served: &Served, name: Option<&str>) -> Vec<String> {
    let folder = format!("/proc/{}/task", served.running.pid());
    let ids = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_wanted = |id: &String| {
        name.is_none_or(|name| fs::read_to_string(format!("{folder}/{id}/comm")).is_ok_and(|its| its.trim() == name))
    };
    ids.filter(is_wanted).collect()
}

/// How the thread of that name is scheduled, if it is there.
fn policy(served: &Served, name: &str) -> Option<i32> {
    let id = threads(served, Some(name)).pop()?;
    let stat = fs::read_to_string(format!("/proc/{}/task/{id}/stat", served.running.pid())).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(38)?.parse().ok()
}

/// Whether this process, and so a server that it starts, may go from SCHED_IDLE back to where it was.
fn has_way_back() -> bool {
    let there_and_back = || rustix::process::nice(5).and_then(|_| rustix::process::nice(-5)).is_ok();
    thread::spawn(there_and_back).join().unwrap()
}

/// Asks for a save.
fn save(served: &Served) {
    assert_eq!(ask(&mut served.client(), "BGSAVE"), "Background saving started");
}

fn is_saved(served: &Served) -> bool {
    ask(&mut served.client(), "INFO persistence").contains("rdb_bgsave_in_progress:0")
}

/// Takes a full copy, as a replica does, and ends when it is here.
fn copy(served: &Served) -> thread::JoinHandle<()> {
    let mut socket = TcpStream::connect(("127.0.0.1", served.port)).unwrap();
    thread::spawn(move || {
        let (mut all, mut buffer) = (Vec::new(), [0; 65536]);
        socket.write_all(b"REPLCONF capa eof capa psync2\r\n").unwrap();
        socket.read_exact(&mut buffer[..5]).unwrap();
        socket.write_all(b"PSYNC ? -1\r\n").unwrap();
        loop {
            let length = socket.read(&mut buffer).unwrap();
            assert!(length > 0, "the copy broke off");
            all.extend_from_slice(&buffer[..length]);
            let Some(at) = all.windows(5).take(1000).position(|five| five == b"$EOF:") else { continue };
            let mark = all[at + 5..].get(..40).unwrap_or_default();
            if mark.len() == 40 && all.len() > at + 100 && all.ends_with(mark) {
                return;
            }
        }
    })
}

#[test]
fn while_nobody_else_wants_the_core_they_stand_back() {
    let served = start(2000);
    ask(&mut served.client(), "CONFIG SET rdb-key-save-delay 500");
    let expected = if has_way_back() { SCHED_IDLE } else { SCHED_OTHER };
    // On a busy machine they may stand back for part of the time only.
    save(&served);
    until("the save stands back", || policy(&served, "snapshot") == Some(expected));
    until("the save ends", || is_saved(&served));
    until("nothing of it stays", || policy(&served, "snapshot") == Some(SCHED_OTHER));

    let copying = copy(&served);
    until("the copy stands back", || policy(&served, "repl-copy") == Some(expected));
    copying.join().unwrap();
}

/// At what a thread that stands back gets of a full core this would take minutes.
#[test]
fn on_a_full_core_they_come_to_their_end() {
    let served = start(100_000);
    let cores = sched_getaffinity(None).unwrap();
    let mut core = CpuSet::new();
    core.set((0..CpuSet::MAX_CPU).find(|core| cores.is_set(*core)).expect("there is a core"));
    for id in threads(&served, None) {
        // Threads that begin later are on the same core as those which begin them.
        sched_setaffinity(Pid::from_raw(id.parse().unwrap()), &core).unwrap();
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let end = End(&over);
        for _ in 0..2 {
            scope.spawn(|| {
                sched_setaffinity(None, &core).unwrap();
                while !over.load(Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        save(&served);
        let seen = policies(&served, "snapshot", || is_saved(&served));
        assert!(seen.contains(&SCHED_OTHER), "{seen:?}");

        let copying = copy(&served);
        let seen = policies(&served, "repl-copy", || copying.is_finished());
        assert!(seen.contains(&SCHED_OTHER), "{seen:?}");
        copying.join().unwrap();
        drop(end);
    });
}

/// How a thread is scheduled while something goes on.
fn policies(served: &Served, name: &str, is_over: impl Fn() -> bool) -> Vec<i32> {
    let mut seen = Vec::new();
    until(&format!("{name} ends"), || {
        seen.extend(policy(served, name));
        thread::sleep(Duration::from_millis(2));
        is_over()
    });
    seen
}

/// Ends what fills the core, whatever becomes of the test.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
