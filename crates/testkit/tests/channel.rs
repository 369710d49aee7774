//! Full copies over a channel of their own (`repl-rdb-channel`), as Redis 8 has them: the copy comes over a second
//! connection, and the stream over the first at the same time.

mod replication;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use replication::*;
use testkit::{Client, Program, Proxy, Server};

fn stock() -> Option<Program> {
    testkit::found(Program::reference("redis-8.0.2"), "redis-8.0.2")
}

/// Primaries and replicas that can do this, at least one of them ours.
fn pairs(subject: &Program) -> Vec<[Program; 2]> {
    let ours = || subject.clone();
    let stock = stock();
    let with_stock = stock.into_iter().flat_map(|stock| [[ours(), stock.clone()], [stock, ours()]]);
    with_stock.chain([[ours(), ours()]]).collect()
}

/// A primary with data of every type, which takes some seconds to be copied.
fn slow_primary(program: &Program, more: &[&str]) -> Server {
    let primary = start(program, &[&["--repl-rdb-channel", "yes"], more].concat());
    fill(&primary);
    let mut client = primary.connect().unwrap();
    call(&mut client, "DEBUG POPULATE 3000 filler 100");
    call(&mut client, "CONFIG SET rdb-key-save-delay 500");
    primary
}

fn at_full_speed(primary: &Server) {
    call(&mut primary.connect().unwrap(), "CONFIG SET rdb-key-save-delay 0");
}

/// Ids of the clients with these flags.
fn clients(server: &Server, flags: &str) -> Vec<String> {
    let list = text(&mut server.connect().unwrap(), "CLIENT LIST");
    let (flags, id) =
        (format!(" flags={flags} "), |line: &str| line.split(' ').next().unwrap()["id=".len()..].to_owned());
    list.lines().filter(|line| line.contains(&flags)).map(id).collect()
}

fn kill(server: &Server, id: &str) {
    assert_eq!(text(&mut server.connect().unwrap(), &format!("CLIENT KILL ID {id}")), "1");
}

/// Whether it loads a copy.
fn is_loading(replica: &Server) -> bool {
    let info = section(&mut replica.connect().unwrap(), "persistence");
    ["loading", "async_loading"].iter().any(|what| info.get(*what).map(String::as_str) == Some("1"))
}

/// What the primary says of its only replica.
fn state(primary: &Server) -> String {
    let info = info(&mut primary.connect().unwrap());
    let line = info.get("slave0").cloned().unwrap_or_default();
    line.split(',').find_map(|part| part.strip_prefix("state=")).unwrap_or_default().to_owned()
}

/// Has writers write while something happens.
fn under_writers<R>(primary: &Server, act: impl FnOnce() -> R) -> R {
    let goes_on = AtomicBool::new(true);
    thread::scope(|scope| {
        let _stop = Stop(&goes_on);
        for seed in [3, 5] {
            let (address, goes_on) = (primary.address(), &goes_on);
            scope.spawn(move || write(address, seed, || goes_on.load(SeqCst)));
        }
        act()
    })
}

#[test]
fn the_copy_comes_over_a_channel_of_its_own_and_the_stream_beside_it() {
    let Some(subject) = subject() else { return };
    for [theirs, ours] in pairs(&subject) {
        let primary = slow_primary(&theirs, &["--repl-backlog-size", "16kb"]);
        let proxy = Proxy::start(primary.address()).unwrap();
        let replica = start(&ours, &["--repl-rdb-channel", "yes"]);
        under_writers(&primary, || {
            follow(&replica, proxy.address());
            until("both channels are there", || state(&primary) == "send_bulk_and_stream");
            let mut client = primary.connect().unwrap();
            assert_eq!(info(&mut client)["connected_slaves"], "1");
            assert_eq!((clients(&primary, "S").len(), clients(&primary, "SC").len()), (1, 1));
            assert!(text(&mut client, "ROLE").contains("[]"), "it is not online yet");
            // More than the primary keeps: all of it is with the replica already, so none is kept for it here.
            let value = "v".repeat(50_000);
            for at in 0..300 {
                call(&mut client, &format!("SET large:{at} {value}"));
            }
            let what = format!("{} has sent the stream to {}", theirs.name, ours.name);
            until(&what, || {
                let kept: u64 = kept_of_stream(&mut client);
                kept < 7 << 20
            });
            assert_eq!(state(&primary), "send_bulk_and_stream", "the copy was over before anything was seen");
            at_full_speed(&primary);
            until_up(&replica);
        });
        assert_same(&primary, &replica);
        until("it is online", || state(&primary) == "online");
        until("one connection is left", || (clients(&primary, "S").len(), clients(&primary, "SC").len()) == (1, 0));
        let log = primary.log();
        assert!(log.contains("is capable of rdb channel synchronization"), "{log}");
        assert!(log.contains("Starting BGSAVE for SYNC with target: replicas sockets (rdb-channel)"), "{log}");
        assert_eq!(stat(&primary, "sync_full"), 1, "{log}");
        // After that, nothing is special about it.
        let continued = stat(&primary, "sync_partial_ok");
        proxy.cut();
        call(&mut primary.connect().unwrap(), "SET after 1");
        until("it comes back", || stat(&primary, "sync_partial_ok") > continued);
        until_up(&replica);
        assert_same(&primary, &replica);
        assert_eq!(stat(&primary, "sync_full"), 1, "{}", primary.log());
    }
}

#[test]
fn whichever_connection_breaks_the_replica_gets_there() {
    let Some(subject) = subject() else { return };
    for [theirs, ours] in pairs(&subject) {
        for broken in ["S", "SC", "both"] {
            let primary = slow_primary(&theirs, &[]);
            let proxy = Proxy::start(primary.address()).unwrap();
            let replica = start(&ours, &["--repl-rdb-channel", "yes", "--repl-timeout", "10"]);
            under_writers(&primary, || {
                follow(&replica, proxy.address());
                until("both channels are there", || state(&primary) == "send_bulk_and_stream");
                let (main, made) = (clients(&primary, "S")[0].clone(), proxy.made());
                match broken {
                    "both" => proxy.cut(),
                    flags => kill(&primary, &clients(&primary, flags)[0]),
                }
                until("the first attempt is over", || !clients(&primary, "S").contains(&main));
                until("there is another", || proxy.made() > made);
                at_full_speed(&primary);
                until_up(&replica);
            });
            assert_same(&primary, &replica);
            until("it is online", || state(&primary) == "online");
            until("nothing is left over", || clients(&primary, "SC").is_empty());
        }
    }
}

#[test]
fn where_either_side_does_not_want_a_channel_there_is_none() {
    let Some(subject) = subject() else { return };
    let reference = |name| testkit::found(Program::reference(name), name);
    let cases: [(&[&str], Option<Program>, &[&str]); 6] = [
        (&["--repl-rdb-channel", "no"], reference("redis-8.0.2"), &["--repl-rdb-channel", "yes"]),
        (&["--repl-diskless-sync", "no"], reference("redis-8.0.2"), &["--repl-rdb-channel", "yes"]),
        (&[], reference("redis-8.0.2"), &["--repl-rdb-channel", "no"]),
        (&[], reference("redis-7.0.15"), &[]),
        (&["--repl-rdb-channel", "no"], Some(subject.clone()), &[]),
        (&[], Some(subject.clone()), &["--repl-rdb-channel", "no"]),
    ];
    for (ours, program, theirs) in cases {
        let Some(program) = program else { continue };
        let primary = start(&subject, ours);
        fill(&primary);
        let replica = start(&program, theirs);
        follow(&replica, primary.address());
        until_up(&replica);
        assert_same(&primary, &replica);
        let log = primary.log();
        assert!(!log.contains("rdb-channel") && !log.contains("rdb channel"), "{ours:?} {theirs:?}: {log}");
        assert_eq!(stat(&primary, "sync_full"), 1);
    }
}

#[test]
fn the_two_connections_speak_as_those_of_redis() {
    let Some(subject) = subject() else { return };
    for program in [subject].into_iter().chain(stock()) {
        let primary = slow_primary(&program, &[]);
        let raw = |client: &mut Client| {
            String::from_utf8_lossy(&client.read_raw(Duration::from_millis(1500)).unwrap_or_default()).into_owned()
        };
        let mut main = primary.connect().unwrap();
        assert_eq!(text(&mut main, "REPLCONF capa eof capa psync2 capa rdb-channel-repl"), "OK");
        main.send(&["PSYNC", "?", "-1"]).unwrap();
        let answer = raw(&mut main);
        let id = answer.strip_prefix("+RDBCHANNELSYNC ").and_then(|id| id.strip_suffix("\r\n"));
        let id = id.unwrap_or_else(|| panic!("{}: {answer:?}", program.name)).to_owned();
        assert_eq!(clients(&primary, "S"), std::slice::from_ref(&id));
        assert_eq!(state(&primary), "wait_bgsave");
        assert_eq!(raw(&mut main), "", "what comes next is the stream, so no newline may stand before it");
        let mut channel = primary.connect().unwrap();
        let unknown = "-ERR Unrecognized RDB client id: 999999";
        assert_eq!(text(&mut channel, "REPLCONF main-ch-client-id 999999"), unknown);
        let introduction = format!("REPLCONF capa eof rdb-only 1 rdb-channel 1 main-ch-client-id {id}");
        assert_eq!(text(&mut channel, &introduction), "OK");
        channel.send(&["PSYNC", "?", "-1"]).unwrap();
        until("the copy begins", || state(&primary) == "send_bulk_and_stream");
        // It is taken, and nobody else can have it.
        let late = text(&mut primary.connect().unwrap(), &format!("REPLCONF main-ch-client-id {id}"));
        assert_eq!(late, format!("-ERR Unrecognized RDB client id: {id}"));
        call(&mut primary.connect().unwrap(), "SET while 1");
        let stream = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$5\r\nwhile\r\n$1\r\n1\r\n";
        assert_eq!(raw(&mut main), stream);
        assert_eq!(state(&primary), "send_bulk_and_stream");
        at_full_speed(&primary);
        let mut copy = String::new();
        until("the copy is there", || {
            copy += &raw(&mut channel);
            let mark = copy.split("$EOF:").nth(1).and_then(|rest| rest.get(..40));
            mark.is_some_and(|mark| copy.ends_with(mark))
        });
        assert!(copy.starts_with("+FULLRESYNC "), "{}", &copy[..60]);
        assert!(!copy.contains("while"), "the copy holds what came behind its cut");
        drop(channel);
        main.send(&["REPLCONF", "ACK", "0"]).unwrap();
        until("it is online", || state(&primary) == "online");
    }
}

#[test]
fn a_replica_keeps_no_more_of_the_stream_than_it_is_told() {
    let Some(subject) = subject() else { return };
    let primary = slow_primary(&subject, &[]);
    let limit = ["--replica-full-sync-buffer-limit", "2mb", "--client-output-buffer-limit", "replica 100mb 0 0"];
    let replica = start(&subject, &limit);
    follow(&replica, primary.address());
    until("both channels are there", || state(&primary) == "send_bulk_and_stream");
    let (mut client, mut of_replica) = (primary.connect().unwrap(), replica.connect().unwrap());
    let kept = |client: &mut Client, what: &str| -> u64 {
        info(client)[&format!("replica_full_sync_buffer_{what}")].parse().unwrap()
    };
    let value = "v".repeat(50_000);
    let reached =
        |replica: &Server| replica.log().contains("Replication buffer limit has been reached (2097152 bytes)");
    let mut at = 0;
    until("the limit is reached", || {
        call(&mut client, &format!("SET large:{at} {value}"));
        at += 1;
        reached(&replica)
    });
    let size = kept(&mut of_replica, "size");
    assert!((2 << 20..=3 << 20).contains(&size), "{size}");
    assert_eq!(section(&mut of_replica, "memory")["mem_replica_full_sync_buffer"], size.to_string());
    // What does not fit waits at the primary and is not lost.
    (0..100).for_each(|at| _ = call(&mut client, &format!("SET later:{at} {value}")));
    at_full_speed(&primary);
    until_up(&replica);
    assert_same(&primary, &replica);
    assert_eq!((kept(&mut of_replica, "size"), kept(&mut of_replica, "peak")), (0, size));
    assert_eq!(stat(&primary, "sync_full"), 1);
}

#[test]
fn a_replica_that_takes_no_more_of_the_stream_is_dropped_by_the_limit_and_comes_back() {
    let Some(subject) = subject() else { return };
    for theirs in [Some(subject.clone()), stock()].into_iter().flatten() {
        let limits = ["--client-output-buffer-limit", "replica 100k 0 0", "--repl-backlog-size", "1mb"];
        let primary = start(&theirs, &[&limits[..], &["--repl-rdb-channel", "yes"]].concat());
        fill(&primary);
        // It keeps a little of what comes while it loads, and leaves the rest to the primary.
        let replica = start(&subject, &["--replica-full-sync-buffer-limit", "1mb", "--key-load-delay", "10000"]);
        follow(&replica, primary.address());
        until("the copy is loaded", || is_loading(&replica));
        let mut client = primary.connect().unwrap();
        let value = "v".repeat(1_000_000);
        (0..30).for_each(|at| _ = call(&mut client, &format!("SET large:{at} {value}")));
        until("it is dropped", || primary.log().contains("for overcoming of output buffer limits."));
        call(&mut replica.connect().unwrap(), "CONFIG SET key-load-delay 0");
        until_up(&replica);
        call(&mut client, "SET after 1");
        assert_same(&primary, &replica);
    }
}

#[test]
fn a_copy_that_is_here_as_a_whole_is_used_though_the_stream_has_broken() {
    let Some(subject) = subject() else { return };
    let primaries = [subject.clone()].into_iter().chain(stock());
    for (program, how) in primaries.flat_map(|program| ["disabled", "swapdb"].map(|how| (program.clone(), how))) {
        let primary = start(&program, &["--repl-rdb-channel", "yes", "--repl-backlog-size", "10mb"]);
        fill(&primary);
        let replica = start(&subject, &["--key-load-delay", "1000", "--repl-diskless-load", how]);
        follow(&replica, primary.address());
        until("the copy is loaded", || is_loading(&replica));
        // Straight from the socket it may still be on its way, though it is here in the end.
        until("the copy is sent", || primary.log().contains("RDB transfer completed"));
        for id in clients(&primary, "S") {
            kill(&primary, &id);
        }
        call(&mut primary.connect().unwrap(), "SET after 1");
        until("the replica has seen that", || replica.log().contains("Main channel error"));
        call(&mut replica.connect().unwrap(), "CONFIG SET key-load-delay 0");
        until_up(&replica);
        assert_same(&primary, &replica);
        let counts = ["sync_full", "sync_partial_ok"].map(|name| stat(&primary, name));
        assert_eq!(counts, [1, 1], "{}\n{}", primary.log(), replica.log());
    }
}

#[test]
fn a_copy_that_breaks_off_leaves_the_old_data_and_comes_again() {
    let Some(subject) = subject() else { return };
    for program in [Some(subject.clone()), stock()].into_iter().flatten() {
        let primary = slow_primary(&program, &[]);
        let replica = start(&subject, &["--repl-rdb-channel", "yes", "--repl-diskless-load", "swapdb"]);
        call(&mut replica.connect().unwrap(), "SET old 1");
        follow(&replica, primary.address());
        until("the copy is loaded", || is_loading(&replica));
        for id in clients(&primary, "S") {
            kill(&primary, &id);
        }
        let line = "Failed trying to load the MASTER synchronization DB from socket, check server logs.";
        until("the load is given up", || replica.log().contains(line));
        assert!(replica.log().contains("Aborting rdb channel sync while loading the RDB."), "{}", replica.log());
        at_full_speed(&primary);
        until_up(&replica);
        assert_same(&primary, &replica);
        assert_eq!(stat(&primary, "sync_partial_ok"), 0);
        assert!(stat(&primary, "sync_full") > 1);
    }
}
