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
    // It tries again meanwhile, and then it may be loading for a moment.
    let mut answer = |line: &str| loop {
        match text(&mut client, line) {
            loading if loading.starts_with("-LOADING") => thread::sleep(Duration::from_millis(20)),
            answer => return answer,
        }
    };
    assert_eq!(answer("PING"), "PONG", "{}", replica.name());
    assert_eq!(answer("SET a 1"), "-READONLY You can't write against a read only replica.");
    let lines = info(&mut client);
    assert_eq!((&lines["role"][..], &lines["master_link_status"][..]), ("slave", "down"), "{}", replica.name());
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
fn a_primary_that_ends_in_the_middle_of_a_copy_does_not_complete_it() {
    for program in both() {
        // What is left of the copy races with the end of the process.
        for round in 0..3 {
            let (first, second, replica) = (start(&program, &[]), start(&program, &[]), start(&program, &[]));
            let mut of_second = second.connect().unwrap();
            assert_eq!(text(&mut of_second, "DEBUG POPULATE 10 key 10"), "OK");
            assert_eq!(text(&mut of_second, "CONFIG SET rdb-key-save-delay 1000000"), "OK");
            assert_eq!(text(&mut first.connect().unwrap(), "SET a b"), "OK");
            follow(&replica, first.address());
            until_up(&replica);
            assert_same(&first, &replica);
            follow(&replica, second.address());
            until_told(&replica, &format!("Connecting to MASTER {}", second.address()));
            until_told(&replica, "receiving streamed RDB from master with EOF to disk");
            thread::sleep(Duration::from_millis(100));
            // It answers nothing.
            let _ = of_second.call(&["SHUTDOWN", "NOSAVE"]);
            follow(&replica, first.address());
            until_up(&replica);
            assert_same(&first, &replica);
            let (full, partial) = (stat(&first, "sync_full"), stat(&first, "sync_partial_ok"));
            assert_eq!((full, partial), (1, 1), "{}, round {round}:\n{}", program.name, replica.log());
        }
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
        // Ours comes to its name when it is on the disk, which the replica does not wait for.
        until("nothing is left of the attempts", || {
            let files = std::fs::read_dir(replica.folder()).unwrap().flatten();
            files.map(|file| file.file_name()).all(|name| name == "server.log" || name == "dump.rdb")
        });
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

#[test]
fn a_replica_without_room_that_looks_after_itself_passes_over_what_needs_memory() {
    for program in both() {
        let primary = start(&program, &[]);
        let replica = start(&program, &["--replica-ignore-maxmemory", "no"]);
        let (mut client, mut theirs) = (primary.connect().unwrap(), replica.connect().unwrap());
        call(&mut client, "RPUSH list a b c d e");
        call(&mut client, "SET base 1");
        follow(&replica, primary.address());
        until_up(&replica);
        assert_same(&primary, &replica);
        assert_eq!(text(&mut theirs, "CONFIG SET maxmemory 100kb"), "OK");
        assert_eq!(text(&mut theirs, "CONFIG RESETSTAT"), "OK");
        for line in ["SET a 1", "DEL base", "INCR b", "LPOP list", "EXPIRE list 1000", "RPUSH list x"] {
            call(&mut client, line);
        }
        // A transaction of which a part needs memory is left out as a whole, another one is not.
        for line in ["MULTI", "LPOP list", "SET c 1", "SELECT 1", "EXEC", "DEL none", "SELECT 0"] {
            call(&mut client, line);
        }
        for line in ["MULTI", "LPOP list", "LPOP list", "EXEC"] {
            call(&mut client, line);
        }
        let offset = |server: &Server| info(&mut server.connect().unwrap())["master_repl_offset"].clone();
        until("all is counted as applied", || offset(&primary) == offset(&replica));
        let name = &program.name;
        assert!(is_up(&replica), "{name}: {}", replica.log());
        assert_eq!(text(&mut theirs, "EXISTS a b c base"), "0", "{name}");
        assert_eq!(text(&mut theirs, "LINDEX list 0"), "d", "{name}");
        assert_eq!(text(&mut theirs, "LLEN list"), "2", "{name}");
        assert_eq!(text(&mut theirs, "PERSIST list"), "-READONLY You can't write against a read only replica.");
        let errors = section(&mut theirs, "errorstats");
        let counts = ["errorstat_OOM", "errorstat_EXECABORT"].map(|code| errors.get(code).map(String::as_str));
        assert_eq!(counts, [Some("count=4"), Some("count=1")], "{name}");
        assert_eq!(stat(&replica, "unexpected_error_replies"), 5, "{name}");
        let commands = section(&mut theirs, "commandstats");
        assert!(commands["cmdstat_set"].contains("calls=0,") && commands["cmdstat_set"].contains("rejected_calls=2"));
        let told = "This replica is sending an error to its master: '-OOM command not allowed when used memory > \
                    'maxmemory'.' after processing the command";
        let log = replica.log();
        let times = |command: &str| log.matches(&format!("{told} '{command}'")).count();
        assert_eq!(["set", "incr", "rpush", "lpop"].map(times), [2, 1, 1, 0], "{name}: {log}");
        let aborted =
            "'-EXECABORT Transaction discarded because of previous errors.' after processing the command 'exec'";
        assert_eq!(log.matches(aborted).count(), 1, "{name}: {log}");
        // With room again it follows as before, and so does the database that is selected.
        assert_eq!(text(&mut theirs, "CONFIG SET maxmemory 0"), "OK");
        call(&mut client, "SET after 1");
        until("it is applied", || text(&mut theirs, "GET after") == "1");
    }
}

#[test]
fn a_replica_that_cannot_save_stops_at_the_next_write_unless_it_is_told_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    for program in both() {
        let primary = start(&program, &[]);
        fill_beyond_limit(&primary);
        let program = program.ignoring_file_limits(folder.path()).unwrap();
        let mut replica = start(&program, &["--replica-ignore-disk-write-errors", "yes"]);
        follow(&replica, primary.address());
        until_up(&replica);
        replica.limit_files(Some(FILE_BYTES_MAX)).unwrap();
        let mut theirs = replica.connect().unwrap();
        call(&mut theirs, "BGSAVE");
        until_told(&replica, "Background saving error");
        let failed = |theirs: &mut testkit::Client| section(theirs, "persistence")["rdb_last_bgsave_status"] == "err";
        until("it is known", || failed(&mut theirs));
        // Nobody relies on saves, so nothing is made of it.
        let mut client = primary.connect().unwrap();
        call(&mut client, "SET a 1");
        until("it is applied", || text(&mut theirs, "GET a") == "1");
        let line = "Replica is applying a command even though it is unable to write to disk.";
        assert!(!replica.log().contains(line), "{}", replica.log());
        theirs.call(&["CONFIG", "SET", "save", "3600 1000000"]).unwrap();
        call(&mut client, "SET a 2");
        until_told(&replica, line);
        until("it is applied", || text(&mut theirs, "GET a") == "2");
        assert_eq!(text(&mut theirs, "CONFIG SET replica-ignore-disk-write-errors no"), "OK");
        call(&mut client, "SET a 3");
        until_told(&replica, "Replica was unable to write command to disk.");
        until("the process is gone", || replica.ended().unwrap().is_some());
    }
}

#[test]
fn an_error_in_the_stream_ends_a_replica_that_is_told_so() {
    for program in both() {
        let mut replica = start(&program, &["--propagation-error-behavior", "panic-on-replicas"]);
        follow(&replica, liar(b"+CONTINUE\r\n*1\r\n$4\r\nEVIL\r\n".to_vec()));
        until_told(&replica, "panicked sending an error to its master after processing the command");
        until("the process is gone", || replica.ended().unwrap().is_some());
        // Where clients may write, the two are not alike anyhow.
        let replica = start(
            &program,
            &["--propagation-error-behavior", "panic", "--replica-read-only", "no", "--loglevel", "notice"],
        );
        follow(&replica, liar(b"+CONTINUE\r\n*1\r\n$4\r\nEVIL\r\n".to_vec()));
        until_told(&replica, "This replica is sending an error to its master: 'unknown command 'EVIL'");
        assert_eq!(text(&mut replica.connect().unwrap(), "PING"), "PONG");
    }
}

#[test]
fn a_lost_link_is_tried_again_at_once_but_not_without_end() {
    for program in both() {
        let (primary, replica) = (start(&program, &[]), start(&program, &[]));
        follow(&replica, primary.address());
        until_up(&replica);
        let mut client = primary.connect().unwrap();
        // Once may be chance: who tries only each second might just be about to.
        for _ in 0..3 {
            let continued = stat(&primary, "sync_partial_ok");
            let begin = std::time::Instant::now();
            // Right after a copy, its connection may be there as well.
            assert_ne!(text(&mut client, "CLIENT KILL TYPE replica"), "0");
            until("it is back", || stat(&primary, "sync_partial_ok") > continued);
            assert!(begin.elapsed() < Duration::from_millis(900), "{}: {:?}", program.name, begin.elapsed());
            until_up(&replica);
        }
        let lost = replica.log();
        let line = lost.lines().find(|line| line.contains("Connection with master lost.")).unwrap();
        assert!(line.contains(" * "), "{}: {line}", program.name);
    }
    // Redis would be kept busy by this.
    let Some(ours) = subject() else { return };
    let replica = start(&ours, &[]);
    follow(&replica, fleeting());
    thread::sleep(Duration::from_secs(3));
    let tried = replica.log().matches("Trying a partial resynchronization").count();
    assert!((4..=8).contains(&tried), "{tried}: {}", replica.log());
}

/// A primary that accepts each replica, and lets it go at once.
fn fleeting() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = vec![0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut request) {
                let request = String::from_utf8_lossy(&request[..length]);
                let answers = "+PONG\r\n".repeat(request.matches("PING").count())
                    + &"+OK\r\n".repeat(request.matches("REPLCONF").count())
                    + &"+CONTINUE\r\n".repeat(request.matches("PSYNC").count());
                if stream.write_all(answers.as_bytes()).is_err() || request.contains("PSYNC") {
                    break;
                }
            }
        }
    });
    address
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
