//! What goes wrong around replication, and how it is told: disks that are full, wrong passwords, primaries that load,
//! answer nonsense, or are the replica itself, and replicas without room.
//!
//! Every scene is played with Redis 8.0.2 in the part and then with ours, and the same lines of the log and the same state
//! are expected of both: so it is Redis that says what is right.

mod replication;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use replication::*;
use testkit::{Program, Server};

/// Redis, which decides, and ours.
fn both() -> Vec<Program> {
    let (Some(ours), Some(redis)) = (subject(), testkit::found(Program::reference("redis-8.0.2"), "redis-8.0.2"))
    else {
        return Vec::new();
    };
    vec![redis, ours]
}

#[track_caller]
fn until_told(server: &Server, line: &str) {
    let begin = std::time::Instant::now();
    while !server.log().contains(line) {
        assert!(begin.elapsed() < PATIENCE, "{} does not say '{line}':\n{}", server.name(), server.log());
        thread::sleep(Duration::from_millis(20));
    }
}

/// Nothing hangs: it answers, says that its link is down, and is a primary again as soon as it is told to.
#[track_caller]
fn assert_waiting(replica: &Server) {
    let mut client = replica.connect().unwrap();
    assert_eq!(text(&mut client, "PING"), "PONG", "{}", replica.name());
    let lines = info(&mut client);
    assert_eq!((&lines["role"][..], &lines["master_link_status"][..]), ("slave", "down"), "{}", replica.name());
    assert_eq!(text(&mut client, "SET a 1"), "-READONLY You can't write against a read only replica.");
}

fn promote(replica: &Server) {
    let mut client = replica.connect().unwrap();
    assert_eq!(text(&mut client, "REPLICAOF NO ONE"), "OK");
    assert_eq!(info(&mut client)["role"], "master");
    assert_eq!(text(&mut client, "SET promoted 1"), "OK");
}

/// Values that do not compress, more than [`FILE_BYTES_MAX`] of them.
fn fill_beyond_limit(server: &Server) {
    let mut client = server.connect().unwrap();
    let mut state = 1_u64;
    let mut noise = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()
    };
    for at in 0..200 {
        let value: Vec<u8> = (0..1250).flat_map(|_| noise()).collect();
        client.call(&[b"SET", format!("noise:{at}").as_bytes(), &value]).unwrap();
    }
}

/// Room for a log, and for a part of the copy.
const FILE_BYTES_MAX: u64 = 512 << 10;

#[test]
fn a_primary_whose_disk_is_full_makes_no_copy_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for program in both() {
        let program = program.ignoring_file_limits(folder.path()).unwrap();
        let primary = start(&program, &["--repl-diskless-sync", "no"]);
        fill_beyond_limit(&primary);
        let mut client = primary.connect().unwrap();
        primary.limit_files(Some(FILE_BYTES_MAX)).unwrap();
        let replica = start(&program, &[]);
        call(&mut replica.connect().unwrap(), "SET own 1");
        follow(&replica, primary.address());
        until_told(&primary, "Background saving error");
        until_told(&primary, "SYNC failed. BGSAVE child returned an error");
        assert!(primary.log().contains("File too large"), "{}", primary.log());
        until_told(&replica, "I/O error reading bulk count from MASTER");
        assert_eq!(section(&mut client, "persistence")["rdb_last_bgsave_status"], "err", "{}", program.name);
        assert_waiting(&replica);
        assert_eq!(text(&mut replica.connect().unwrap(), "GET own"), "1", "{}", program.name);
        // Who does not rely on saves may write; who does must know.
        assert_eq!(text(&mut client, "SET a 1"), "OK", "{}", program.name);
        client.call(&["CONFIG", "SET", "save", "3600 1000000"]).unwrap();
        until("writes are refused", || text(&mut client, "SET a 2").starts_with("-MISCONF "));
        // As long as it must, even the PING of a replica is refused.
        until_told(&replica, "Error reply to PING from master: '-MISCONF ");
        client.call(&["CONFIG", "SET", "save", ""]).unwrap();
        // Room is made, and everything comes right by itself.
        primary.limit_files(None).unwrap();
        until_up(&replica);
        assert_same(&primary, &replica);
        assert_eq!(section(&mut client, "persistence")["rdb_last_bgsave_status"], "ok", "{}", program.name);
        assert_eq!(text(&mut client, "SET a 3"), "OK", "{}", program.name);
        assert_same(&primary, &replica);
    }
}

#[test]
fn a_copy_that_nobody_waits_for_any_more_says_nothing_about_the_disk() {
    for program in both() {
        let primary = start(&program, &["--repl-diskless-sync", "no", "--rdb-key-save-delay", "20000"]);
        fill(&primary);
        let replica = start(&program, &[]);
        follow(&replica, primary.address());
        let mut client = primary.connect().unwrap();
        until("the copy is made", || info(&mut client).get("slave0").is_some_and(|line| line.contains("wait_bgsave")));
        let begin = std::time::Instant::now();
        promote(&replica);
        until("it is given up", || {
            let persistence = section(&mut client, "persistence");
            assert_eq!(persistence["rdb_last_bgsave_status"], "ok", "{}", program.name);
            persistence["rdb_bgsave_in_progress"] == "0" && info(&mut client)["connected_slaves"] == "0"
        });
        // Long before it would have been complete.
        assert!(begin.elapsed() < Duration::from_secs(30), "{}:\n{}", program.name, primary.log());
        assert!(!primary.log().contains("Background saving error"), "{}", primary.log());
        call(&mut client, "CONFIG SET rdb-key-save-delay 0");
        follow(&replica, primary.address());
        until_up(&replica);
        assert_same(&primary, &replica);
    }
}

#[test]
fn a_replica_whose_disk_is_full_keeps_what_it_has_and_tries_again() {
    let folder = tempfile::tempdir().unwrap();
    for program in both() {
        let primary = start(&program, &[]);
        fill_beyond_limit(&primary);
        let program = program.ignoring_file_limits(folder.path()).unwrap();
        let replica = start(&program, &["--repl-diskless-load", "disabled"]);
        call(&mut replica.connect().unwrap(), "SET own 1");
        replica.limit_files(Some(FILE_BYTES_MAX)).unwrap();
        follow(&replica, primary.address());
        until_told(
            &replica,
            "Write error or short write writing to the DB dump file needed for MASTER <-> REPLICA synchronization: ",
        );
        assert_waiting(&replica);
        assert_eq!(text(&mut replica.connect().unwrap(), "GET own"), "1", "{}", program.name);
        replica.limit_files(None).unwrap();
        until_up(&replica);
        assert_same(&primary, &replica);
        // Nothing is left of the attempts.
        let files = std::fs::read_dir(replica.folder()).unwrap().flatten();
        let left: Vec<_> = files.map(|file| file.file_name()).filter(|name| name != "server.log").collect();
        assert!(left.iter().all(|name| name == "dump.rdb"), "{}: {left:?}", program.name);
    }
}

#[test]
fn wrong_passwords_are_told_until_they_are_right() {
    for program in both() {
        let primary = start(&program, &["--requirepass", "secret"]);
        let replica = start(&program, &[]);
        follow(&replica, primary.address());
        until_told(&replica, "-NOAUTH Authentication required.");
        assert_waiting(&replica);
        let mut client = replica.connect().unwrap();
        assert_eq!(text(&mut client, "CONFIG SET masterauth wrong"), "OK");
        until_told(
            &replica,
            "Unable to AUTH to MASTER: -WRONGPASS invalid username-password pair or user is disabled.",
        );
        assert_waiting(&replica);
        assert_eq!(text(&mut client, "CONFIG SET masterauth secret"), "OK");
        until_up(&replica);
    }
}

#[test]
fn a_primary_that_loads_is_waited_for() {
    for program in both() {
        let before = start(&program, &[]);
        fill(&before);
        assert_eq!(text(&mut before.connect().unwrap(), "SAVE"), "OK");
        // Redis looks after its clients only every so many bytes while it loads.
        let (folder, often) = (before.folder().to_str().unwrap(), "--loading-process-events-interval-bytes");
        let primary = start(&program, &["--dir", folder, "--key-load-delay", "1500", often, "1024"]);
        let replica = start(&program, &[]);
        follow(&replica, primary.address());
        until_told(&replica, "Error reply to PING from master: '-LOADING Redis is loading the dataset in memory'");
        assert_waiting(&replica);
        call(&mut primary.connect().unwrap(), "CONFIG SET key-load-delay 0");
        until_up(&replica);
        assert_same(&primary, &replica);
    }
}

#[test]
fn a_replica_of_itself_or_in_a_circle_waits_and_hangs_nothing() {
    for program in both() {
        let (one, two) = (start(&program, &[]), start(&program, &[]));
        call(&mut one.connect().unwrap(), "SET a 1");
        follow(&one, one.address());
        let line = "Master is currently unable to PSYNC but should be in the future: -NOMASTERLINK Can't SYNC while not \
                    connected with my master";
        until_told(&one, line);
        assert_waiting(&one);
        // While it waits for itself, it is no primary for others.
        follow(&two, one.address());
        follow(&one, two.address());
        until_told(&two, line);
        assert_waiting(&one);
        assert_waiting(&two);
        let mut client = one.connect().unwrap();
        assert_eq!(text(&mut client, "REPLICAOF NO ONE"), "OK");
        assert_eq!(text(&mut client, "SET b 2"), "OK");
        until_up(&two);
        assert_same(&one, &two);
    }
}

#[test]
fn a_primary_that_answers_nonsense_is_called_so() {
    const FULL: &str = "+FULLRESYNC 0123456789012345678901234567890123456789 100\r\n";
    let no_file = "Failed trying to load the MASTER synchronization DB from disk";
    let scenes: [(String, &str); 5] = [
        ("+WHATEVER\r\n".into(), "Unexpected reply to PSYNC from master: +WHATEVER"),
        ("+FULLRESYNC xyz abc\r\n".into(), "Master replied with wrong +FULLRESYNC syntax."),
        (format!("{FULL}nonsense\r\n"), "Bad protocol from MASTER, the first byte is not '$' (we received 'nonsense')"),
        (format!("{FULL}$9\r\nnonsense!"), no_file),
        (format!("{FULL}$18\r\nREDIS9999xxxxxxxxx"), no_file),
    ];
    for program in both() {
        for (answer, line) in &scenes {
            let replica = start(&program, &["--repl-diskless-load", "disabled", "--repl-timeout", "5"]);
            follow(&replica, liar(answer.clone().into_bytes()));
            until_told(&replica, line);
            assert_waiting(&replica);
            promote(&replica);
        }
        // One that speaks something else altogether.
        let web = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = web.local_addr().unwrap();
        thread::spawn(move || {
            for stream in web.incoming() {
                let _ = stream.and_then(|mut stream| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
            }
        });
        let replica = start(&program, &[]);
        follow(&replica, address);
        until_told(&replica, "Error reply to PING from master: 'HTTP/1.1 400 Bad Request'");
        assert_waiting(&replica);
        promote(&replica);
    }
}

#[test]
fn a_command_that_the_replica_does_not_know_is_told_loudly() {
    for program in both() {
        let replica = start(&program, &[]);
        follow(&replica, liar(b"+CONTINUE\r\n*1\r\n$4\r\nEVIL\r\n".to_vec()));
        until_told(&replica, "== CRITICAL == This replica is sending an error to its master: 'unknown command 'EVIL'");
        // Its acknowledgement is answered, which no primary does; so what comes is no stream.
        until_told(
            &replica,
            "WARNING: Receiving inline protocol from master, master stream corruption? Closing the master",
        );
        assert_eq!(text(&mut replica.connect().unwrap(), "PING"), "PONG");
        promote(&replica);
    }
}

#[test]
fn a_replica_without_room_follows_its_primary_all_the_same() {
    for program in both() {
        let primary = start(&program, &[]);
        let replica = start(&program, &["--maxmemory", "3mb", "--maxmemory-policy", "allkeys-random"]);
        follow(&replica, primary.address());
        until_up(&replica);
        for at in 0..100 {
            call(&mut primary.connect().unwrap(), &format!("SET large:{at} {}", "x".repeat(50_000)));
        }
        assert_same(&primary, &replica);
        let mut client = replica.connect().unwrap();
        assert_eq!(stat(&replica, "evicted_keys"), 0, "{}", program.name);
        assert!(!replica.log().contains("CRITICAL"), "{}", replica.log());
        // It looks after its own limit only if it is told to.
        assert_eq!(text(&mut client, "CONFIG SET replica-ignore-maxmemory no"), "OK");
        call(&mut primary.connect().unwrap(), "SET one more");
        until("it evicts by itself", || stat(&replica, "evicted_keys") > 0);
        assert!(is_up(&replica), "{}", replica.log());
    }
}

/// A primary that greets as one does, and answers PSYNC with these bytes.
fn liar(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), answer) = (stream, answer.clone()) else { continue };
            thread::spawn(move || {
                let mut request = vec![0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut request) {
                    let request = String::from_utf8_lossy(&request[..length]);
                    let mut reply = "+PONG\r\n".repeat(request.matches("PING").count());
                    reply.push_str(&"+OK\r\n".repeat(request.matches("REPLCONF").count()));
                    let mut reply = reply.into_bytes();
                    if request.contains("PSYNC") {
                        reply.extend_from_slice(&answer);
                    }
                    if stream.write_all(&reply).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}
