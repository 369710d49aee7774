//! Our server as the primary of real Redis and Valkey: copies, streams from several threads, broken links,
//! acknowledgements, and tools that speak as replicas do.

mod replication;

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use replication::*;
use testkit::{Client, Program, Proxy, Reply, Server};

/// Starts a replica of every kind there is, ours among them, that follows an address.
fn replicas_of(address: std::net::SocketAddr) -> Vec<Server> {
    let programs = references().into_iter().chain(subject());
    let servers: Vec<Server> = programs.map(|program| start(&program, &["--save", ""])).collect();
    servers.iter().for_each(|server| follow(server, address));
    servers
}

#[test]
fn a_first_copy_holds_every_type_however_it_goes() {
    let Some(subject) = subject() else { return };
    for diskless in ["yes", "no"] {
        let primary = start(&subject, &["--repl-diskless-sync", diskless, "--io-threads", "2"]);
        fill(&primary);
        let replicas = replicas_of(primary.address());
        for replica in &replicas {
            until_up(replica);
            assert_same(&primary, replica);
        }
        assert_eq!(stat(&primary, "sync_full"), replicas.len() as u64);
        let lines = info(&mut primary.connect().unwrap());
        assert_eq!(lines["connected_slaves"], replicas.len().to_string());
        for index in 0..replicas.len() {
            let line = &lines[&format!("slave{index}")];
            assert!(line.starts_with("ip=127.0.0.1,port=") && line.contains(",state=online,offset="), "{line}");
        }
    }
}

#[test]
fn writes_of_several_threads_reach_all_and_broken_links_are_gone_on_with() {
    let Some(subject) = subject() else { return };
    let primary = start(&subject, &["--repl-backlog-size", "64mb", "--io-threads", "2"]);
    fill(&primary);
    let proxy = Proxy::start(primary.address()).unwrap();
    let goes_on = AtomicBool::new(true);
    let replicas = thread::scope(|scope| {
        let _stop = Stop(&goes_on);
        for seed in 1..=4 {
            let (goes_on, address) = (&goes_on, primary.address());
            scope.spawn(move || write(address, seed, || goes_on.load(SeqCst)));
        }
        // They join while the writers write.
        let replicas = replicas_of(proxy.address());
        replicas.iter().for_each(until_up);
        // Who was a primary before asks whether its own history is known here.
        let refused = stat(&primary, "sync_partial_err");
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(300));
            let before = stat(&primary, "sync_partial_ok");
            proxy.cut();
            until("all have gone on", || stat(&primary, "sync_partial_ok") >= before + replicas.len() as u64);
        }
        assert_eq!(stat(&primary, "sync_partial_err"), refused);
        replicas
    });
    for replica in &replicas {
        until_up(replica);
        assert_same(&primary, replica);
    }
    assert_eq!(stat(&primary, "sync_full"), replicas.len() as u64, "{}", primary.log());
}

#[test]
fn a_backlog_that_is_too_short_means_a_full_copy() {
    let Some(subject) = subject() else { return };
    let primary = start(&subject, &["--repl-backlog-size", "16kb"]);
    let proxy = Proxy::start(primary.address()).unwrap();
    for reference in references() {
        let replica = start(&reference, &[]);
        follow(&replica, proxy.address());
        until_up(&replica);
        let mut client = primary.connect().unwrap();
        call(&mut client, "SET first 1");
        assert_eq!(text(&mut client, "WAIT 1 20000"), "1");
        let (full, refused) = (stat(&primary, "sync_full"), stat(&primary, "sync_partial_err"));
        proxy.refuse(true);
        proxy.cut();
        // Redis 8 cannot go on with a link that breaks while it frees what a FLUSHALL of the stream has taken out.
        until("the link is cut", || info(&mut client)["connected_slaves"] == "0");
        call(&mut client, "FLUSHALL");
        fill(&primary);
        proxy.refuse(false);
        until("a second copy", || stat(&primary, "sync_full") > full);
        until_up(&replica);
        assert_same(&primary, &replica);
        assert_eq!(stat(&primary, "sync_partial_err"), refused + 1, "{}\n{}", primary.log(), replica.log());
    }
}

#[test]
fn wait_counts_what_has_arrived() {
    let Some(subject) = subject() else { return };
    let primary = start(&subject, &["--io-threads", "2"]);
    let proxies: Vec<Proxy> = (0..2).map(|_| Proxy::start(primary.address()).unwrap()).collect();
    let program = references().pop().unwrap_or(subject);
    let replicas: Vec<Server> = proxies.iter().map(|_| start(&program, &[])).collect();
    for (replica, proxy) in replicas.iter().zip(&proxies) {
        follow(replica, proxy.address());
        until_up(replica);
    }
    let mut client = primary.connect().unwrap();
    for n in 0..50 {
        call(&mut client, &format!("SET a {n}"));
        // Both, at once: a second is how long an acknowledgement would take that nobody has asked for.
        assert_eq!(text(&mut client, "WAIT 2 20000"), "2");
        let mut replica = replicas[n % 2].connect().unwrap();
        assert_eq!(text(&mut replica, "GET a"), n.to_string());
    }
    proxies[1].stall(true);
    call(&mut client, "SET a last");
    assert_eq!(text(&mut client, "WAIT 2 300"), "1");
    assert_eq!(text(&mut client, "WAIT 1 20000"), "1");
    // Others need not wait for what they have not written.
    assert_eq!(text(&mut primary.connect().unwrap(), "WAIT 2 20000"), "2");
    let waiting = primary.address();
    thread::scope(|scope| {
        let late = scope.spawn(move || {
            let mut client = Client::connect(waiting).unwrap();
            call(&mut client, "SET b 1");
            text(&mut client, "WAIT 2 0")
        });
        thread::sleep(Duration::from_millis(200));
        proxies[1].stall(false);
        assert_eq!(late.join().unwrap(), "2");
    });
}

#[test]
fn too_few_replicas_mean_no_writes() {
    let Some(subject) = subject() else { return };
    let primary = start(&subject, &["--min-replicas-to-write", "1", "--min-replicas-max-lag", "2"]);
    let proxy = Proxy::start(primary.address()).unwrap();
    let mut client = primary.connect().unwrap();
    let set = |client: &mut Client| text(client, "SET a 1");
    const REFUSAL: &str = "-NOREPLICAS Not enough good replicas to write.";
    until("writes are refused", || set(&mut client) == REFUSAL);
    assert_eq!(text(&mut client, "GET a"), "(nil)");
    let replica = start(&references().pop().unwrap_or(subject), &[]);
    follow(&replica, proxy.address());
    until("writes are taken", || set(&mut client) == "OK");
    proxy.stall(true);
    until("writes are refused again", || set(&mut client) == REFUSAL);
    assert_eq!(info(&mut client)["min_slaves_good_slaves"], "0");
    proxy.stall(false);
    until("writes are taken again", || set(&mut client) == "OK");
    // A limit that is changed counts at once.
    assert_eq!(text(&mut client, "CONFIG SET min-replicas-to-write 2"), "OK");
    assert_eq!(set(&mut client), REFUSAL);
    assert_eq!(text(&mut client, "CONFIG SET min-replicas-to-write 1"), "OK");
    assert_eq!(set(&mut client), "OK");
}

#[test]
fn the_second_id_is_good_up_to_the_promotion() {
    let Some(subject) = subject() else { return };
    for reference in references() {
        let old = start(&subject, &[]);
        let (ours, theirs) = (start(&subject, &[]), start(&reference, &[]));
        for replica in [&ours, &theirs] {
            follow(replica, old.address());
            until_up(replica);
        }
        fill(&old);
        assert_same(&old, &ours);
        assert_same(&old, &theirs);
        let mut client = ours.connect().unwrap();
        drop(old);
        assert_eq!(text(&mut client, "REPLICAOF NO ONE"), "OK");
        call(&mut client, "SELECT 5");
        call(&mut client, "SET new 1");
        follow(&theirs, ours.address());
        until_up(&theirs);
        assert_same(&ours, &theirs);
        assert_eq!((stat(&ours, "sync_full"), stat(&ours, "sync_partial_ok")), (0, 1), "{}", ours.log());
    }
}

#[test]
fn a_chain_passes_everything_on() {
    let Some(subject) = subject() else { return };
    for reference in references() {
        let first = start(&reference, &[]);
        let second = start(&subject, &["--io-threads", "2"]);
        let third = start(&reference, &[]);
        follow(&second, first.address());
        until_up(&second);
        follow(&third, second.address());
        until_up(&third);
        let goes_on = AtomicBool::new(true);
        thread::scope(|scope| {
            let _stop = Stop(&goes_on);
            for seed in 1..=2 {
                let (goes_on, address) = (&goes_on, first.address());
                scope.spawn(move || write(address, seed, || goes_on.load(SeqCst)));
            }
            thread::sleep(Duration::from_millis(500));
            call(&mut second.connect().unwrap(), "CLIENT KILL TYPE replica");
            thread::sleep(Duration::from_millis(500));
            goes_on.store(false, SeqCst);
        });
        until_up(&third);
        assert_same(&first, &second);
        assert_same(&first, &third);
        let ids = [&first, &second, &third].map(|it| info(&mut it.connect().unwrap())["master_replid"].clone());
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!((stat(&second, "sync_full"), stat(&second, "sync_partial_ok")), (1, 1), "{}", second.log());
    }
}

#[test]
fn a_slow_replica_of_a_shared_copy_holds_back_nobody() {
    let Some(subject) = subject() else { return };
    // What fills the values would be packed to next to nothing.
    let together = ["--repl-diskless-sync-delay", "30", "--repl-diskless-sync-max-replicas", "2"];
    let primary = start(&subject, &[&together[..], &["--rdbcompression", "no"]].concat());
    let mut client = primary.connect().unwrap();
    // More than memory keeps for the slow one: what it has not taken goes by way of a file.
    assert_eq!(text(&mut client, "DEBUG POPULATE 20000 key 2000"), "OK");
    let slow_link = Proxy::start(primary.address()).unwrap();
    // For much longer than the other takes on a busy machine.
    slow_link.throttle(1 << 20);
    let (fast, slow) = (start(&subject, &[]), start(&subject, &[]));
    follow(&slow, slow_link.address());
    follow(&fast, primary.address());
    until_up(&fast);
    assert!(!is_up(&slow), "the link was not slow");
    slow_link.throttle(1 << 30);
    until_up(&slow);
    assert_same(&primary, &fast);
    assert_same(&primary, &slow);
    assert_eq!(primary.log().matches("Starting BGSAVE for SYNC").count(), 1);
}

#[test]
fn a_replica_that_takes_nothing_is_let_go() {
    let Some(subject) = subject() else { return };
    let limits = "replica 1mb 0 0";
    let primary = start(&subject, &["--repl-backlog-size", "16kb"]);
    let mut client = primary.connect().unwrap();
    let set: Vec<&str> = ["CONFIG", "SET", "client-output-buffer-limit", limits].to_vec();
    client.call(&set).unwrap();
    let proxy = Proxy::start(primary.address()).unwrap();
    let replica = start(&references().pop().unwrap_or(subject), &[]);
    follow(&replica, proxy.address());
    until_up(&replica);
    proxy.stall(true);
    let value = "x".repeat(100_000);
    until("the replica is let go", || {
        call(&mut client, &format!("SET a {value}"));
        info(&mut client)["connected_slaves"] == "0"
    });
    proxy.stall(false);
    proxy.cut();
    until_up(&replica);
    assert_same(&primary, &replica);
}

#[test]
fn tools_that_speak_as_replicas_are_served() {
    let Some(subject) = subject() else { return };
    let Some(reference) = testkit::found(Program::reference("redis-8.0.2"), "redis-8.0.2") else { return };
    let primary = start(&subject, &[]);
    fill(&primary);
    let cli = testkit::process::references_folder().join("redis-8.0.2/redis-cli");
    let port = primary.address().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump.rdb");
    let status = Command::new(&cli).args(["-p", &port, "--rdb", path.to_str().unwrap()]).output().unwrap();
    assert!(status.status.success(), "{status:?}");
    let copy = start(&reference, &["--dir", folder.path().to_str().unwrap(), "--dbfilename", "dump.rdb"]);
    let digest = |server: &Server| text(&mut server.connect().unwrap(), "DEBUG DIGEST");
    assert_eq!(digest(&primary), digest(&copy));
    let path = folder.path().join("functions.rdb");
    let status = Command::new(&cli).args(["-p", &port, "--functions-rdb", path.to_str().unwrap()]).output().unwrap();
    assert!(status.status.success(), "{status:?}");
    assert!(std::fs::metadata(&path).unwrap().len() < 500);
    until("they are gone", || info(&mut primary.connect().unwrap())["connected_slaves"] == "0");
}

#[test]
fn redis_cli_follows_the_stream() {
    let Some(subject) = subject() else { return };
    let Some(reference) = testkit::found(Program::reference("redis-8.0.2"), "redis-8.0.2") else { return };
    let cli = testkit::process::references_folder().join("redis-8.0.2/redis-cli");
    for program in [reference, subject] {
        let primary = start(&program, &[]);
        fill(&primary);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stream.csv");
        let port = primary.address().port().to_string();
        let mut tool = Command::new(&cli)
            .args(["-p", &port, "--replica"])
            .stdout(std::fs::File::create(&path).unwrap())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let printed = || std::fs::read_to_string(&path).unwrap_or_default();
        let mut client = primary.connect().unwrap();
        let mut written = 0;
        // It prints what comes after its copy; each value once, in order, and random choices as they were made.
        until("the stream comes", || {
            written += 1;
            call(&mut client, &format!("SET streamed {written}"));
            printed().contains("\"SET\",\"streamed\",")
        });
        call(&mut client, "SADD pool only");
        call(&mut client, "SPOP pool");
        call(&mut client, "SET expires 1 EX 1000");
        let ends = |text: &str| text.contains("\"SREM\",\"pool\",\"only\"") || text.contains("\"DEL\",\"pool\"");
        until("what follows is printed", || ends(&printed()) && printed().contains("\"expires\",\"1\",\"PXAT\""));
        let numbers = |text: &str| {
            let values = text.lines().filter_map(|line| line.strip_prefix("\"SET\",\"streamed\",\""));
            values.filter_map(|rest| rest.trim_end_matches('"').parse::<u64>().ok()).collect::<Vec<_>>()
        };
        let seen = numbers(&printed());
        assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1) && seen.last() == Some(&written), "{seen:?}");
        tool.kill().unwrap();
        tool.wait().unwrap();
        until("it is gone", || info(&mut primary.connect().unwrap())["connected_slaves"] == "0");
    }
}

#[test]
fn a_replica_that_asks_for_anything_else_is_cut_off() {
    let Some(subject) = subject() else { return };
    let primary = start(&subject, &[]);
    let mut client = primary.connect().unwrap();
    client.send(&["PSYNC", "?", "-1"]).unwrap();
    let begin = client.read_raw(Duration::from_millis(500)).unwrap();
    assert!(begin.starts_with(b"+FULLRESYNC ") || begin.starts_with(b"\n"), "{}", begin.escape_ascii());
    client.send(&["REPLCONF", "ACK", "0"]).unwrap();
    client.send(&["GET", "a"]).unwrap();
    until("it is cut off", || info(&mut primary.connect().unwrap())["connected_slaves"] == "0");
    let logged = |text: &str| until(text, || primary.log().contains(text));
    logged("Replica generated a reply to command 'get', disconnecting it: id=");
    logged("'Replica can't interact with the keyspace' after processing the command 'get'");
    // What it asks for is told by its full name.
    client = primary.connect().unwrap();
    client.send(&["SYNC"]).unwrap();
    client.send(&["XINFO", "HELP"]).unwrap();
    logged("Replica generated a reply to command 'xinfo|help', disconnecting it: id=");
    client = primary.connect().unwrap();
    assert_eq!(text(&mut client, "PSYNC ? x"), "-ERR value is not an integer or out of range");
    logged("Replica 127.0.0.1:<unknown-replica-port> asks for synchronization but with a wrong offset");
    assert_eq!(text(&mut client, "PING"), "PONG");
}

#[test]
fn a_smaller_backlog_is_smaller_at_once() {
    let Some(subject) = subject() else { return };
    let primary = start(&subject, &["--repl-backlog-size", "1mb"]);
    let replica = start(&subject, &[]);
    follow(&replica, primary.address());
    until_up(&replica);
    let mut client = primary.connect().unwrap();
    let value = "v".repeat(200_000);
    assert_eq!(client.call(&["SET", "a", &value]).unwrap(), Reply::Simple(b"OK".to_vec()));
    // What a replica has not read yet is kept for it.
    assert_eq!(text(&mut client, "WAIT 1 20000"), "1");
    let asked = [vec!["CONFIG", "SET", "repl-backlog-size", "20000"], vec!["INFO", "replication"]];
    let said = client.pipeline(&asked).unwrap();
    let Reply::Bulk(lines) = &said[1] else { panic!("{said:?}") };
    let lines = String::from_utf8_lossy(lines);
    assert!(lines.contains("repl_backlog_histlen:20000\r\n"), "{lines}");
}

#[test]
fn a_copy_that_none_waits_for_ends_unless_it_is_a_save_too() {
    let Some(subject) = subject() else { return };
    for save in ["", "3600 1000"] {
        let arguments = ["--repl-diskless-sync", "no", "--save", save, "--rdb-key-save-delay", "20000"];
        let primary = start(&subject, &arguments);
        let mut client = primary.connect().unwrap();
        assert_eq!(text(&mut client, "DEBUG POPULATE 2000"), "OK");
        let is_saving = || section(&mut primary.connect().unwrap(), "persistence")["rdb_bgsave_in_progress"] == "1";
        let mut replica = primary.connect().unwrap();
        replica.send(&["SYNC"]).unwrap();
        until("the copy has begun", is_saving);
        drop(replica);
        until("its replica is gone", || info(&mut client)["connected_slaves"] == "0");
        if save.is_empty() {
            until("it has ended", || !is_saving());
            assert!(primary.log().contains("nobody waits for it any more"), "{}", primary.log());
            continue;
        }
        thread::sleep(Duration::from_millis(300));
        assert!(is_saving());
        assert_eq!(text(&mut client, "CONFIG SET rdb-key-save-delay 0"), "OK");
        until("it is complete", || !is_saving());
        assert!(primary.log().contains("Background saving terminated with success"), "{}", primary.log());
    }
}

#[test]
fn the_end_waits_for_replicas() {
    let Some(subject) = subject() else { return };
    let mut primary = start(&subject, &["--io-threads", "2", "--save", ""]);
    let proxy = Proxy::start(primary.address()).unwrap();
    let replica = start(&references().pop().unwrap_or(subject), &[]);
    follow(&replica, proxy.address());
    until_up(&replica);
    let mut client = primary.connect().unwrap();
    assert_eq!(text(&mut client, "SET a 1"), "OK");
    assert_eq!(text(&mut client, "WAIT 1 20000"), "1");
    proxy.stall(true);
    assert_eq!(text(&mut client, "SET a 2"), "OK");
    let mut asking = primary.connect().unwrap();
    asking.send(&["SHUTDOWN"]).unwrap();
    until("it waits", || primary.log().contains("Waiting for replicas before shutting down."));
    assert_eq!(text(&mut client, "GET a"), "2");
    let left_ms: u64 = section(&mut client, "server")["shutdown_in_milliseconds"].parse().unwrap();
    assert!((1..=10_000).contains(&left_ms), "{left_ms}");
    // A replica is no client of those that are counted.
    let clients = section(&mut client, "clients");
    assert_eq!((&*clients["connected_clients"], &*clients["blocked_clients"]), ("2", "1"));
    assert_eq!(text(&mut client, "SHUTDOWN ABORT"), "OK");
    assert!(!section(&mut client, "server").contains_key("shutdown_in_milliseconds"));
    assert!(matches!(asking.receive().unwrap(), Reply::Error(_)));
    assert_eq!(text(&mut client, "SET a 3"), "OK");
    client.send(&["SHUTDOWN"]).unwrap();
    until("it waits again", || primary.log().matches("Waiting for replicas").count() == 2);
    assert!(primary.ended().unwrap().is_none());
    proxy.stall(false);
    until("it has ended", || primary.ended().unwrap().is_some());
    assert!(primary.log().contains("1 of 1 replicas are in sync when shutting down."), "{}", primary.log());
    assert_eq!(text(&mut replica.connect().unwrap(), "GET a"), "3");
}

/// What comes and goes writes the list of replicas, which INFO reads.
#[test]
fn info_answers_while_replicas_come_and_go() {
    const COMINGS: usize = 1_000;
    let Some(subject) = subject() else { return };
    let options = ["--save", "", "--io-threads", "2", "--min-replicas-to-write", "1", "--min-replicas-max-lag", "10"];
    let primary = start(&subject, &options);
    // The first makes the history that the others ask to go on with.
    let first = start(&subject, &["--save", ""]);
    follow(&first, primary.address());
    until_up(&first);
    let id = info(&mut primary.connect().unwrap())["master_replid"].clone();
    let comings = AtomicBool::new(true);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut reader = primary.connect().unwrap();
                while comings.load(SeqCst) {
                    assert!(info(&mut reader).contains_key("slave0"));
                }
            });
        }
        let stop = Stop(&comings);
        let come = |_| {
            for _ in 0..COMINGS {
                let mut replica = primary.connect().unwrap();
                let answer = replica.call(&["PSYNC", &id, "1"]).unwrap();
                assert!(matches!(&answer, Reply::Simple(text) if text.starts_with(b"CONTINUE")), "{answer:?}");
            }
        };
        let others: Vec<_> = (0..2).map(|number| scope.spawn(move || come(number))).collect();
        others.into_iter().for_each(|other| other.join().unwrap());
        drop(stop);
    });
}
