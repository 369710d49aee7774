//! FAILOVER: the role goes over while clients write, between any two of us and real Redis and Valkey; and all the ways in
//! which it does not come to that.

mod replication;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use replication::*;
use testkit::{Client, Program, Proxy, Server};

const WRITERS: u64 = 4;

fn state(server: &Server) -> String {
    info(&mut server.connect().unwrap())["master_failover_state"].clone()
}

fn role(server: &Server) -> String {
    info(&mut server.connect().unwrap())["role"].clone()
}

fn until_online(primary: &Server, replicas: usize) {
    let mut client = primary.connect().unwrap();
    until("all replicas are online", || {
        let lines = info(&mut client);
        (0..replicas).all(|index| lines.get(&format!("slave{index}")).is_some_and(|line| line.contains("state=online")))
    });
}

/// Makes a server with data the primary of another, which then hears no more of it until the link goes on.
fn behind_a_stalled_link(primary: &Server, replica: &Server) -> Proxy {
    fill(primary);
    let proxy = Proxy::start(primary.address()).unwrap();
    follow(replica, proxy.address());
    until_up(replica);
    until_online(primary, 1);
    proxy.stall(true);
    proxy
}

fn to(server: &Server) -> String {
    format!("TO {} {}", server.address().ip(), server.address().port())
}

/// Appends 0, 1, 2 and so on to a list, one after the other, and goes over to the other server when the one refuses to
/// write. Returns how many were acknowledged.
fn count(old: SocketAddr, new: SocketAddr, writer: u64, at_new: &AtomicU64, goes_on: &AtomicBool) -> u64 {
    let mut client = Client::connect(old).unwrap();
    client.set_timeout(PATIENCE).unwrap();
    let (mut acknowledged, mut address) = (0, old);
    while goes_on.load(SeqCst) {
        let answer = text(&mut client, &format!("RPUSH count:{writer} {acknowledged}"));
        if answer.starts_with("-READONLY") {
            address = if address == old { new } else { old };
            client = Client::connect(address).unwrap();
            client.set_timeout(PATIENCE).unwrap();
            continue;
        }
        assert!(!answer.starts_with('-'), "{answer}");
        acknowledged += 1;
        if address == new {
            at_new.fetch_add(1, SeqCst);
        }
    }
    acknowledged
}

#[track_caller]
fn assert_counted(server: &Server, counts: &[u64]) {
    let mut client = server.connect().unwrap();
    for (writer, count) in counts.iter().enumerate() {
        let all: Vec<String> = (0..*count).map(|n| n.to_string()).collect();
        let testkit::Reply::Array(found) = call(&mut client, &format!("LRANGE count:{writer} 0 -1")) else {
            panic!("no list")
        };
        let found: Vec<String> = found
            .iter()
            .map(|item| String::from_utf8_lossy(testkit::reply::text(item).unwrap()).into_owned())
            .collect();
        assert!(found == all, "writer {writer}: {} acknowledged, {} there", all.len(), found.len());
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost() {
    let Some(subject) = subject() else { return };
    let mut pairs = vec![(subject.clone(), subject.clone(), false), (subject.clone(), subject.clone(), true)];
    for reference in references() {
        pairs.push((subject.clone(), reference.clone(), true));
        pairs.push((reference, subject.clone(), true));
    }
    for (old, new, named) in pairs {
        let names = format!("{} to {}", old.name, new.name);
        let old = start(&old, &["--save", "", "--repl-backlog-size", "64mb", "--io-threads", "2"]);
        let new = start(&new, &["--save", "", "--repl-backlog-size", "64mb"]);
        fill(&old);
        follow(&new, old.address());
        until_up(&new);
        // Stays with the old primary, and is served through it afterwards.
        let bystander = named.then(|| start(&subject, &["--save", ""]));
        bystander.iter().for_each(|it| follow(it, old.address()));
        bystander.iter().for_each(until_up);
        until_online(&old, 1 + usize::from(named));
        let copies = stat(&old, "sync_full");
        let (goes_on, at_new) = (AtomicBool::new(true), AtomicU64::new(0));
        let counts: Vec<u64> = thread::scope(|scope| {
            let _stop = Stop(&goes_on);
            let (from, into) = (old.address(), new.address());
            let (goes_on, at_new) = (&goes_on, &at_new);
            let counters: Vec<_> =
                (0..WRITERS).map(|writer| scope.spawn(move || count(from, into, writer, at_new, goes_on))).collect();
            for seed in 1..=2 {
                scope.spawn(move || write(from, seed, || goes_on.load(SeqCst)));
            }
            thread::sleep(Duration::from_millis(300));
            let mut client = old.connect().unwrap();
            let line = if named { format!("FAILOVER {}", to(&new)) } else { "FAILOVER".to_owned() };
            assert_eq!(text(&mut client, &line), "OK", "{names}");
            until("the role goes over", || state(&old) == "no-failover" && role(&old) == "slave");
            assert_eq!(role(&new), "master", "{names}");
            until("clients write to the new primary", || at_new.load(SeqCst) > 200);
            goes_on.store(false, SeqCst);
            counters.into_iter().map(|counter| counter.join().unwrap()).collect()
        });
        until_up(&old);
        assert_same(&new, &old);
        assert_counted(&new, &counts);
        assert_counted(&old, &counts);
        if let Some(bystander) = &bystander {
            until_up(bystander);
            assert_same(&new, bystander);
            assert_eq!(stat(&old, "sync_full"), copies, "{names}: {}", bystander.log());
        }
        assert_eq!((stat(&new, "sync_full"), stat(&new, "sync_partial_ok")), (0, 1), "{names}: {}", old.log());
        assert!(old.log().contains(" is synced, failing over."), "{names}: {}", old.log());
        assert!(new.log().contains(" MODE enabled (failover request from '"), "{names}: {}", new.log());
    }
}

#[test]
fn nothing_moves_the_offset_while_the_target_is_awaited_and_the_wait_can_be_given_up() {
    let Some(subject) = subject() else { return };
    let old = start(&subject, &["--repl-ping-replica-period", "1", "--io-threads", "2"]);
    let new = start(&subject, &[]);
    let proxy = behind_a_stalled_link(&old, &new);
    let mut client = old.connect().unwrap();
    call(&mut client, "SET goes soon PX 300");
    call(&mut client, "SET late 1");
    assert_eq!(text(&mut client, &format!("FAILOVER {}", to(&new))), "OK");
    assert_eq!(state(&old), "waiting-for-sync");
    let offset = || info(&mut old.connect().unwrap())["master_repl_offset"].clone();
    let begin = offset();
    let mut writer = old.connect().unwrap();
    writer.send(&["SET", "late", "2"]).unwrap();
    // Longer than until the next ping, and until the key above has expired.
    assert!(writer.read_raw(Duration::from_millis(2500)).unwrap_or_default().is_empty(), "a write was answered");
    assert_eq!(text(&mut client, "WAIT 1 10"), "0");
    assert_eq!(text(&mut client, "GET goes"), "(nil)");
    assert_eq!(text(&mut client, "GET late"), "1");
    assert_eq!(offset(), begin);
    assert_eq!(text(&mut client, "PSYNC ? -1"), "-NOMASTERLINK Can't SYNC while failing over");
    assert_eq!(text(&mut client, "REPLICAOF NO ONE"), "-ERR REPLICAOF not allowed while failing over.");
    assert_eq!(text(&mut client, "FAILOVER"), "-ERR FAILOVER already in progress.");
    assert_eq!(text(&mut client, "CLIENT UNPAUSE"), "OK");
    assert!(writer.read_raw(Duration::from_millis(300)).unwrap_or_default().is_empty(), "a write was answered");
    assert_eq!(text(&mut client, "FAILOVER ABORT"), "OK");
    assert_eq!((state(&old), role(&old)), ("no-failover".to_owned(), "master".to_owned()));
    writer.set_timeout(PATIENCE).unwrap();
    assert_eq!(testkit::reply::show(&writer.receive().unwrap()), testkit::reply::show(&call(&mut client, "SET a 1")));
    // The same by time.
    assert_eq!(text(&mut client, "FAILOVER TIMEOUT 300"), "OK");
    assert_eq!(state(&old), "waiting-for-sync");
    until("the time is over", || state(&old) == "no-failover");
    assert_eq!(role(&old), "master");
    let log = old.log();
    assert!(log.contains("aborted: Failover manually aborted"), "{log}");
    assert!(log.contains("FAILOVER to any replica aborted: Replica never caught up before timeout"), "{log}");
    proxy.stall(false);
    assert_same(&old, &new);
    assert_eq!(stat(&old, "sync_full"), 1);
}

#[test]
fn the_role_can_be_taken_back_while_the_target_has_not_agreed() {
    let Some(subject) = subject() else { return };
    let (old, new) = (start(&subject, &[]), start(&subject, &[]));
    fill(&old);
    // Only the way to the target leads through it.
    let proxy = Proxy::start(new.address()).unwrap();
    let announced = proxy.address().port();
    assert_eq!(text(&mut new.connect().unwrap(), &format!("CONFIG SET replica-announce-port {announced}")), "OK");
    follow(&new, old.address());
    until_up(&new);
    until_online(&old, 1);
    let before = info(&mut old.connect().unwrap());
    for taken_back in [true, false] {
        proxy.stall(true);
        let mut client = old.connect().unwrap();
        assert_eq!(text(&mut client, &format!("FAILOVER TO 127.0.0.1 {announced}")), "OK");
        until("the target is asked", || state(&old) == "failover-in-progress");
        assert_eq!((role(&old), role(&new)), ("slave".to_owned(), "slave".to_owned()));
        assert!(text(&mut client, "SET a 1").starts_with("-READONLY"));
        if taken_back {
            assert_eq!(text(&mut client, "FAILOVER ABORT"), "OK");
            assert_eq!((state(&old), role(&old)), ("no-failover".to_owned(), "master".to_owned()));
            assert_eq!(text(&mut client, "SET a 2"), "OK");
            let after = info(&mut client);
            assert_ne!(after["master_replid"], before["master_replid"]);
            assert_eq!(after["master_replid2"], before["master_replid"]);
            until_up(&new);
            until_online(&old, 1);
            assert_same(&old, &new);
        } else {
            proxy.stall(false);
            until("the role goes over", || state(&old) == "no-failover" && role(&new) == "master");
            until_up(&old);
            assert_same(&new, &old);
        }
    }
    assert_eq!((stat(&old, "sync_full"), stat(&new, "sync_full")), (1, 0));
}

#[test]
fn a_target_that_is_forced_gives_what_it_has() {
    let Some(subject) = subject() else { return };
    for other in references().into_iter().chain([subject.clone()]) {
        for (old, new) in [(&subject, &other), (&other, &subject)] {
            let (old, new) = (start(old, &["--save", ""]), start(new, &["--save", ""]));
            let _proxy = behind_a_stalled_link(&old, &new);
            let mut client = old.connect().unwrap();
            call(&mut client, "SET late 1");
            assert_eq!(text(&mut client, &format!("FAILOVER {} TIMEOUT 200 FORCE", to(&new))), "OK");
            until("the role goes over", || state(&old) == "no-failover" && role(&new) == "master");
            assert_eq!(role(&old), "slave");
            until_up(&old);
            assert_same(&new, &old);
            assert_eq!(text(&mut client, "GET late"), "(nil)");
            assert!(old.log().contains("time out exceeded, failing over."), "{}", old.log());
        }
    }
}

#[test]
fn a_target_that_refuses_leaves_everything_as_it_was() {
    let Some(subject) = subject() else { return };
    let Some(reference) = references().into_iter().find(|it| it.name == "redis-8.0.2") else { return };
    let old = start(&subject, &["--repl-backlog-size", "64mb", "--io-threads", "2"]);
    let (target, other) = (start(&reference, &["--save", ""]), start(&subject, &[]));
    fill(&old);
    for replica in [&target, &other] {
        follow(replica, old.address());
        until_up(replica);
    }
    until_online(&old, 2);
    assert_eq!(text(&mut target.connect().unwrap(), "ACL SETUSER default -psync"), "OK");
    let goes_on = AtomicBool::new(true);
    thread::scope(|scope| {
        let _stop = Stop(&goes_on);
        for seed in 1..=2 {
            let (goes_on, address) = (&goes_on, old.address());
            scope.spawn(move || write(address, seed, || goes_on.load(SeqCst)));
        }
        assert_eq!(text(&mut old.connect().unwrap(), &format!("FAILOVER {}", to(&target))), "OK");
        until("the target refuses", || old.log().contains("aborted: Failover target rejected psync request"));
        until("the state is as before", || state(&old) == "no-failover");
    });
    assert_eq!((role(&old), role(&target)), ("master".to_owned(), "slave".to_owned()));
    assert_eq!(text(&mut old.connect().unwrap(), "SET after refusal"), "OK");
    for replica in [&target, &other] {
        until_up(replica);
        assert_same(&old, replica);
    }
    assert_eq!((stat(&old, "sync_full"), stat(&old, "sync_partial_ok")), (2, 2), "{}", old.log());
}

/// What a server answers, step by step.
fn dialogue(program: &Program) -> Vec<String> {
    let (primary, replica) = (start(program, &["--save", ""]), start(program, &["--save", ""]));
    let (mut client, mut at_replica) = (primary.connect().unwrap(), replica.connect().unwrap());
    let mut said = Vec::new();
    let nowhere = "x".repeat(40);
    let mut say = |client: &mut Client, line: &str, shown: &str| said.push(format!("{shown}: {}", text(client, line)));
    for line in [
        "FAILOVER ABORT",
        "FAILOVER x",
        "FAILOVER TO a",
        "FAILOVER TO a b",
        "FAILOVER TIMEOUT 0",
        "FAILOVER TIMEOUT x",
        "FAILOVER FORCE",
        "FAILOVER FORCE FORCE",
        "FAILOVER ABORT FORCE",
        "FAILOVER",
    ] {
        say(&mut client, line, line);
    }
    say(&mut client, &format!("PSYNC {nowhere} 1 FAILOVER"), "PSYNC FAILOVER to a primary");
    follow(&replica, primary.address());
    until_up(&replica);
    until_online(&primary, 1);
    let to = to(&replica);
    for line in ["FAILOVER FORCE", "FAILOVER FORCE TIMEOUT 5", "FAILOVER TO invalid 5", "FAILOVER TO 127.0.0.1 70000"] {
        say(&mut client, line, line);
    }
    say(&mut client, &format!("FAILOVER {to} FORCE"), "without a timeout");
    say(&mut at_replica, "FAILOVER", "at a replica");
    say(&mut at_replica, &format!("PSYNC {nowhere} 1 FAILOVER"), "PSYNC FAILOVER with another id");
    say(&mut at_replica, "PING", "the connection lives on");
    said
}

#[test]
fn refusals_are_those_of_redis() {
    let Some(subject) = subject() else { return };
    let Some(reference) = references().into_iter().find(|it| it.name == "redis-8.0.2") else { return };
    assert_eq!(dialogue(&subject), dialogue(&reference));
}
