//! A replica that may not apply what comes: in a pause, as Redis does it, and because a replica of its own lags.

mod replication;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use replication::*;
use testkit::{Program, Proxy, Server};

fn number(info: &std::collections::HashMap<String, String>, field: &str) -> u64 {
    info[field].parse().unwrap()
}

#[test]
fn in_a_pause_a_replica_applies_nothing() {
    let Some(subject) = subject() else { return };
    let stock = testkit::found(Program::reference("redis-8.0.2"), "redis-8.0.2");
    for program in [subject.clone()].into_iter().chain(stock) {
        let (primary, replica) = (start(&subject, &["--repl-ping-replica-period", "1000"]), start(&program, &[]));
        follow(&replica, primary.address());
        until_up(&replica);
        let (mut client, mut of_replica) = (primary.connect().unwrap(), replica.connect().unwrap());
        assert_eq!(text(&mut client, "SET a before"), "OK");
        assert_same(&primary, &replica);

        assert_eq!(text(&mut of_replica, "CLIENT PAUSE 1000000 WRITE"), "OK");
        let before = number(&info(&mut of_replica), "slave_repl_offset");
        assert_eq!(text(&mut client, "SET a while"), "OK");
        for line in ["MULTI", "SET b 1", "INCR n", "EXEC"] {
            call(&mut client, line);
        }
        let end = number(&info(&mut client), "master_repl_offset");
        until("it has come", || number(&info(&mut of_replica), "slave_read_repl_offset") == end);
        thread::sleep(Duration::from_millis(300));
        let held = info(&mut of_replica);
        assert_eq!(
            (number(&held, "slave_repl_offset"), &*held["master_link_status"]),
            (before, "up"),
            "{}",
            program.name
        );
        assert_eq!(text(&mut of_replica, "GET a"), "before");
        assert_eq!(text(&mut client, "WAIT 1 500"), "0", "{}", program.name);
        // It says all the time how far it is.
        thread::sleep(Duration::from_millis(1500));
        assert!(info(&mut client)["slave0"].contains("state=online"));
        assert_eq!(text(&mut of_replica, "CLIENT UNPAUSE"), "OK");
        assert_same(&primary, &replica);
        assert_eq!(text(&mut of_replica, "GET a"), "while");

        assert_eq!(text(&mut of_replica, "CLIENT PAUSE 4000 ALL"), "OK");
        assert_eq!(text(&mut client, "SET a last"), "OK");
        assert_eq!(text(&mut client, "WAIT 1 500"), "0", "{}", program.name);
        assert_eq!(text(&mut client, "WAIT 1 60000"), "1", "{}", program.name);
        assert_same(&primary, &replica);
    }
}

/// A primary, a replica with a small limit for replicas of its own, and one of those behind a link.
struct Chain {
    primary: Server,
    middle: Server,
    last: Server,
    link: Proxy,
}

/// Three seconds of what [`Chain::write`] writes: a busy machine lets a link rest for a second now and then.
const LIMIT: u64 = 24 << 20;
/// What the ring has besides: parts of segments, and segments that are kept to be used again.
const SLACK: u64 = 7 << 20;

impl Chain {
    fn start(subject: &Program) -> Self {
        let limit = format!("replica {LIMIT} 0 0");
        let primary = start(subject, &[]);
        let middle = start(subject, &["--repl-backlog-size", "64kb", "--client-output-buffer-limit", &limit]);
        let last = start(subject, &[]);
        follow(&middle, primary.address());
        until_up(&middle);
        let link = Proxy::start(middle.address()).unwrap();
        follow(&last, link.address());
        until_up(&last);
        Self { primary, middle, last, link }
    }

    /// Writes 8 MB a second if the machine can, in values of 20 KB, and gives the most that the log of the replica in the
    /// middle took.
    fn write(&self, mut goes_on: impl FnMut(u64) -> bool) -> u64 {
        let (done, most) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            let (done, most) = (&done, &most);
            scope.spawn(move || {
                let mut client = self.middle.connect().unwrap();
                while !done.load(SeqCst) {
                    most.fetch_max(kept_of_stream(&mut client), SeqCst);
                    thread::sleep(Duration::from_millis(20));
                }
            });
            let (mut client, mut written, value) = (self.primary.connect().unwrap(), 0, "v".repeat(20_000));
            let batch: Vec<Vec<String>> =
                (0..40).map(|at| vec!["SET".into(), format!("key:{at}"), value.clone()]).collect();
            let begin = Instant::now();
            while goes_on(written) {
                client.pipeline(&batch).unwrap();
                written += batch.len() as u64;
                let due = begin + Duration::from_micros(2500 * written);
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            done.store(true, SeqCst);
        });
        most.into_inner()
    }
}

fn full_copies(server: &Server) -> u64 {
    number(&section(&mut server.connect().unwrap(), "stats"), "sync_full")
}

#[test]
fn a_replica_in_the_middle_waits_for_one_that_lags() {
    let Some(subject) = subject() else { return };
    let chain = Chain::start(&subject);
    chain.link.throttle(2_000_000);
    let mut end = None;
    let most = chain.write(|written| {
        assert!(written < 20_000, "nothing lagged:\n{}", chain.middle.log());
        if end.is_none() && chain.middle.log().contains("writers are slowed down") {
            // Nearly what is written: the balance lies so far below the limit that the link may rest for a while.
            chain.link.throttle(7_000_000);
            end = Some(written + 1200);
        }
        end.is_none_or(|end| written < end)
    });
    assert!(most < LIMIT + SLACK, "{most}");
    until("the last one has all", || {
        let offset = |server: &Server| info(&mut server.connect().unwrap())["master_repl_offset"].clone();
        offset(&chain.primary) == offset(&chain.last)
    });
    chain.link.throttle(0);
    assert_same(&chain.primary, &chain.last);
    assert_eq!((full_copies(&chain.primary), full_copies(&chain.middle)), (1, 1), "{}", chain.middle.log());
}

#[test]
fn a_replica_in_the_middle_lets_one_go_that_takes_nothing() {
    let Some(subject) = subject() else { return };
    let chain = Chain::start(&subject);
    chain.link.stall(true);
    let replicas = || info(&mut chain.middle.connect().unwrap())["connected_slaves"].clone();
    // What the system keeps for the link comes first.
    let most = chain.write(|written| {
        assert!(written < 20_000, "it was never let go:\n{}", chain.middle.log());
        replicas() != "0"
    });
    assert!(most < LIMIT + SLACK, "{most}");
    // With nobody to wait for, it has soon caught up.
    assert_same(&chain.primary, &chain.middle);
    chain.link.stall(false);
    chain.link.cut();
    until_up(&chain.last);
    assert_same(&chain.primary, &chain.last);
    assert_eq!(full_copies(&chain.primary), 1);
}
