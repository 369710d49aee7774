//! What is written while a replica takes nothing goes into files beyond `snapshot-buffer-limit`, as do the old values that a
//! copy has still to send; memory holds no more than it should, and nothing is lost, whatever the disk does.

mod replication;

use std::thread;
use std::time::{Duration, Instant};

use replication::*;
use testkit::{Client, Program, Proxy, Server};

/// Nobody is dropped, nobody is slowed down, and four megabytes go into memory.
const ARGUMENTS: [&str; 4] = ["--client-output-buffer-limit", "replica 0 0 0", "--snapshot-buffer-limit", "12mb"];
const LIMIT: u64 = 12 << 20;
/// What a machine with other work lets pile up before the thread that spills has its turn.
const SLACK: u64 = 24 << 20;

fn memory(client: &mut Client, field: &str) -> u64 {
    section(client, "memory")[field].parse().unwrap()
}

/// A primary whose replica is behind a link that stands still.
struct Stalled {
    primary: Server,
    replica: Server,
    link: Proxy,
}

impl Stalled {
    fn start(subject: &Program) -> Self {
        let (primary, replica) = (start(subject, &ARGUMENTS), start(subject, &[]));
        let link = Proxy::start(primary.address()).unwrap();
        follow(&replica, link.address());
        until_up(&replica);
        link.stall(true);
        Self { primary, replica, link }
    }

    /// Writes megabytes over and over the same few keys; `each` sees the client after each.
    fn write(&self, megabytes: u64, mut each: impl FnMut(&mut Client)) {
        let mut client = self.primary.connect().unwrap();
        for at in 0..megabytes {
            let value = format!("{at}:").repeat((1 << 20) / format!("{at}:").len());
            assert_eq!(text(&mut client, &format!("SET key:{} {value}", at % 16)), "OK");
            each(&mut client);
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn catches_up(&self) {
        self.link.stall(false);
        assert_same(&self.primary, &self.replica);
        assert_eq!(stat(&self.primary, "sync_full"), 1, "{}", self.primary.log());
    }
}

#[test]
fn what_a_replica_does_not_take_goes_into_files() {
    let Some(subject) = subject() else { return };
    let stalled = Stalled::start(&subject);
    let mut most = 0;
    stalled.write(150, |client| most = most.max(memory(client, "mem_total_replication_buffers")));
    assert!(most < LIMIT + SLACK, "{most} bytes in memory");
    let mut client = stalled.primary.connect().unwrap();
    // What the system keeps for the link does not count.
    assert!(memory(&mut client, "repl_spilled_bytes") > 90 << 20, "{}", text(&mut client, "INFO memory"));
    // A second one comes, whose copy and stream have nothing to do with that.
    let other = start(&subject, &[]);
    follow(&other, stalled.primary.address());
    until_up(&other);
    assert_same(&stalled.primary, &other);
    stalled.link.stall(false);
    assert_same(&stalled.primary, &stalled.replica);
    assert_eq!(stat(&stalled.primary, "sync_full"), 2, "{}", stalled.primary.log());
    until("the files are given up", || memory(&mut client, "repl_spilled_bytes") == 0);
    // And once more from the beginning.
    stalled.link.stall(true);
    stalled.write(60, |_| ());
    stalled.link.stall(false);
    assert_same(&stalled.primary, &stalled.replica);
    assert_same(&stalled.primary, &other);
}

#[test]
fn a_replica_that_is_gone_leaves_no_files() {
    let Some(subject) = subject() else { return };
    let stalled = Stalled::start(&subject);
    stalled.write(60, |_| ());
    let mut client = stalled.primary.connect().unwrap();
    until("some of it is in files", || memory(&mut client, "repl_spilled_bytes") > 0);
    drop(stalled.replica);
    stalled.link.cut();
    until("the files are given up", || memory(&mut client, "repl_spilled_bytes") == 0);
    until("the memory is given up", || memory(&mut client, "mem_total_replication_buffers") < 8 << 20);
}

#[test]
fn a_full_disk_leaves_the_stream_in_memory() {
    let Some(subject) = subject() else { return };
    let folder = tempfile::tempdir().unwrap();
    let stalled = Stalled::start(&subject.ignoring_file_limits(folder.path()).unwrap());
    stalled.primary.limit_files(Some(512 << 10)).unwrap();
    stalled.write(60, |_| ());
    let mut client = stalled.primary.connect().unwrap();
    assert_eq!(memory(&mut client, "repl_spilled_bytes"), 0);
    assert!(memory(&mut client, "mem_total_replication_buffers") > 40 << 20);
    let told = stalled.primary.log().matches("cannot be moved to a file and stays in memory: File too large").count();
    assert!((1..10).contains(&told), "told {told} times:\n{}", stalled.primary.log());
    stalled.primary.limit_files(None).unwrap();
    stalled.catches_up();
}

/// Overwrites every key while a copy stands still, and writes to a large value, which must be given out before.
#[test]
fn a_copy_that_nobody_takes_keeps_neither_memory_nor_writers() {
    let Some(subject) = subject() else { return };
    // So that the copy is as large as the data.
    let primary = start(&subject, &[&ARGUMENTS[..], &["--rdbcompression", "no"]].concat());
    let mut client = primary.connect().unwrap();
    let value = |at: usize| format!("{at:08}").repeat(1250);
    let fill = |client: &mut Client| {
        let batch: Vec<_> = (0..8000).map(|at| vec!["SET".into(), format!("key:{at}"), value(at)]).collect();
        batch.chunks(500).for_each(|batch| assert_eq!(client.pipeline(batch).unwrap().len(), batch.len()));
    };
    fill(&mut client);
    let members: Vec<String> = (0..1_000_000).map(|at| format!("member:{at}")).collect();
    for members in members.chunks(1000) {
        call(&mut client, &format!("SADD large {}", members.join(" ")));
    }
    let before = memory(&mut client, "used_memory");
    let (replica, link) = (start(&subject, &[]), Proxy::start(primary.address()).unwrap());
    link.throttle(100_000);
    follow(&replica, link.address());
    until("the copy has begun", || info(&mut client).get("slave0").is_some_and(|it| !it.contains("online")));
    let begin = Instant::now();
    assert_eq!(text(&mut client, "SADD large one-more"), "1");
    let waited = begin.elapsed();
    fill(&mut client);
    let (after, buffers) = (memory(&mut client, "used_memory"), memory(&mut client, "mem_total_replication_buffers"));
    // Without files there would be 80 MB of old values and as many of the stream.
    let more = after.saturating_sub(before);
    assert!(more < 2 * (LIMIT + SLACK), "{more} bytes more, {buffers} of the stream");
    // At the link's pace the value alone would take minutes.
    assert!(waited < Duration::from_secs(20), "a writer waited {waited:?}");
    assert_eq!(info(&mut client)["connected_slaves"], "1");
    link.throttle(0);
    until_up(&replica);
    assert_same(&primary, &replica);
    assert_eq!(stat(&primary, "sync_full"), 1, "{}", primary.log());
}
