//! RDB files of the running server: saved, loaded, and everything that can go wrong with that.

mod common;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use common::{BINARY, Running, Scratch, Served, ask, ask_words, assert_has, connect, free_port, run, until};
use rustix::process::Signal;
use testkit::Client;

const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

fn start(arguments: &[&str]) -> Served {
    start_in(Scratch::new(), arguments)
}

fn start_in(scratch: Scratch, arguments: &[&str]) -> Served {
    let served = Served::start_in(scratch, &[&DEBUG, arguments].concat());
    until("the file is loaded", || info(&mut served.client(), "loading") == "0");
    served
}

/// A field of INFO.
fn info(client: &mut Client, field: &str) -> String {
    let text = ask(client, "INFO everything");
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {field} in {text}")).trim().to_owned()
}

fn wait_for_save(client: &mut Client) {
    until("the background save ends", || info(client, "rdb_bgsave_in_progress") == "0");
}

/// Some keys of each type, and so many strings.
fn fill(client: &mut Client, strings: usize) {
    for line in [
        "RPUSH list a b 3",
        "SADD set a b 3",
        "ZADD zset 1 a 2.5 b",
        "HSET hash f v g w",
        "HPEXPIRE hash 100000000 FIELDS 1 f",
        "XADD stream 1-1 f v",
        "XGROUP CREATE stream group 0",
        "XREADGROUP GROUP group alice STREAMS stream >",
        "SET volatile v PX 100000000",
        "SELECT 3",
        "SET other db",
        "SELECT 0",
    ] {
        let reply = ask(client, line);
        assert!(!reply.starts_with("ERR"), "{line}: {reply}");
    }
    assert_eq!(ask(client, &format!("DEBUG POPULATE {strings} key 100")), "OK");
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".rdb")).collect();
    names.sort();
    names
}

#[test]
fn what_is_saved_at_the_end_is_there_at_the_next_start() {
    let mut served = start(&[]);
    let mut client = served.client();
    fill(&mut client, 1000);
    let digest = ask(&mut client, "DEBUG DIGEST");
    assert_eq!(served.stop().code(), Some(0));
    assert_has(&served.log(), "Saving the final RDB snapshot before exiting.");
    let Served { scratch, .. } = served;
    assert_eq!(names(&scratch.path("")), ["dump.rdb"]);
    let mut served = start_in(scratch, &["--save", ""]);
    let mut client = served.client();
    assert_eq!(ask(&mut client, "DEBUG DIGEST"), digest);
    for part in ["Loading RDB produced by version 8.0.2", "Done loading RDB, keys loaded: 1007, keys expired: 0."] {
        assert_has(&served.log(), part);
    }
    assert_has(&served.log(), "DB loaded from disk: ");
    assert_eq!(info(&mut client, "rdb_last_load_keys_loaded"), "1007");
    assert_eq!(info(&mut client, "rdb_changes_since_last_save"), "0");
    // Without save points the end saves nothing.
    assert_eq!(ask(&mut client, "SET new 1"), "OK");
    assert_eq!(served.stop().code(), Some(0));
    let Served { scratch, .. } = served;
    let served = start_in(scratch, &[]);
    assert_eq!(ask(&mut served.client(), "EXISTS new key:1"), "1");
}

#[test]
fn keys_that_expire_meanwhile_are_left_out() {
    let mut served = start(&[]);
    let mut client = served.client();
    for line in ["DEBUG SET-ACTIVE-EXPIRE 0", "SET a 1 PX 30", "SET b 2 PX 100000", "SET c 3"] {
        assert_eq!(ask(&mut client, line), "OK");
    }
    thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(ask(&mut client, "SAVE"), "OK");
    assert_eq!(ask(&mut client, "DEBUG RELOAD NOSAVE"), "OK");
    assert_eq!(ask(&mut client, "DBSIZE"), "2");
    let counts = ["rdb_last_load_keys_loaded", "rdb_last_load_keys_expired"].map(|field| info(&mut client, field));
    assert_eq!(counts, ["2", "1"]);
    assert_eq!(served.stop().code(), Some(0));
}

#[test]
fn figures_follow_what_was_saved() {
    let served = start(&["--save", ""]);
    let mut client = served.client();
    assert_eq!(info(&mut client, "rdb_saves"), "0");
    assert_eq!(ask(&mut client, "MSET a 1 b 2"), "OK");
    assert_eq!(info(&mut client, "rdb_changes_since_last_save"), "2");
    assert_eq!(ask(&mut client, "SAVE"), "OK");
    assert_eq!(info(&mut client, "rdb_changes_since_last_save"), "0");
    // What comes after the cut is not saved by the end of the save.
    assert_eq!(ask(&mut client, "CONFIG SET rdb-key-save-delay 300000"), "OK");
    assert_eq!(ask(&mut client, "BGSAVE"), "Background saving started");
    assert_eq!(ask(&mut client, "BGSAVE"), "ERR Background save already in progress");
    assert_eq!(ask(&mut client, "SAVE"), "ERR Background save already in progress");
    assert_eq!(ask(&mut client, "SET c 3"), "OK");
    assert_eq!(info(&mut client, "current_save_keys_total"), "2");
    assert_eq!(ask(&mut client, "CONFIG SET rdb-key-save-delay 0"), "OK");
    wait_for_save(&mut client);
    assert_eq!(info(&mut client, "rdb_changes_since_last_save"), "1");
    assert_eq!([info(&mut client, "rdb_saves"), info(&mut client, "rdb_last_bgsave_status")], ["2", "ok"]);
    assert_eq!(ask(&mut client, "DEBUG RELOAD NOSAVE"), "OK");
    assert_eq!(ask(&mut client, "DBSIZE"), "2", "the file is of the cut");
    let (last, now) = (ask(&mut client, "LASTSAVE"), ask(&mut client, "TIME"));
    let (last, now): (i64, i64) = (last.parse().unwrap(), now.split(' ').next().unwrap().parse().unwrap());
    assert!((0..10).contains(&(now - last)), "{last} {now}");
}

#[test]
fn save_points_save_and_flushall_saves_nothing_at_once() {
    let served = start(&["--save", "1 2", "--hz", "50"]);
    let mut client = served.client();
    assert_eq!(ask(&mut client, "SET a 1"), "OK");
    thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!(info(&mut client, "rdb_saves"), "0", "one change is not enough");
    assert_eq!(ask(&mut client, "SET a 1"), "OK");
    until("a point saves", || info(&mut client, "rdb_saves") == "1");
    assert_has(&served.log(), "2 changes in 1 seconds. Saving...");
    assert_eq!(ask_words(&mut client, &["CONFIG", "SET", "save", "3600 1"]), "OK");
    assert_eq!(ask(&mut client, "SET b 1"), "OK");
    assert_eq!(ask(&mut client, "FLUSHALL"), "OK");
    assert_eq!(info(&mut client, "rdb_changes_since_last_save"), "0");
    until("the empty state is saved", || info(&mut client, "rdb_saves") == "2");
    assert_eq!(ask(&mut client, "DEBUG RELOAD NOSAVE"), "OK");
    assert_eq!(ask(&mut client, "DBSIZE"), "0");
    assert_eq!(ask_words(&mut client, &["CONFIG", "SET", "save", ""]), "OK");
    assert_eq!(ask(&mut client, "SET b 1"), "OK");
    assert_eq!(ask(&mut client, "FLUSHALL"), "OK");
    assert_eq!(info(&mut client, "rdb_changes_since_last_save"), "2");
}

/// Writers on all workers go on while a save walks; the file is what was there when it began.
#[test]
fn a_save_under_writers_is_the_state_at_its_cut() {
    let served = start(&["--save", "", "--io-threads", "4"]);
    let mut client = served.client();
    fill(&mut client, 3000);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..4 {
            let (mut client, stop) = (served.client(), &stop);
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(writer);
                while !stop.load(Relaxed) {
                    let (key, n) = (rng.u32(..4000), rng.u32(..));
                    let line = match rng.u8(..12) {
                        0 => format!("DEL key:{key}"),
                        1 => format!("RENAME key:{key} key:{n}"),
                        2 => format!("APPEND key:{key} {n}"),
                        3 => format!("RPUSH list:{} {n}", key % 50),
                        4 => format!("LPOP list:{}", key % 50),
                        5 => format!("HSET hash:{} {n} {n}", key % 50),
                        6 => format!("ZADD zset:{} {n} {}", key % 50, n % 1000),
                        7 => format!("SREM set {}", n % 100),
                        8 => format!("SADD set {}", n % 100),
                        9 => format!("PEXPIRE key:{key} 100000000"),
                        10 => format!("XADD stream * f {n}"),
                        _ => format!("SET key:{key} {n}"),
                    };
                    client.call(&line.split(' ').collect::<Vec<_>>()).unwrap();
                }
            });
        }
        let _stops = Stops(&stop);
        for round in 0..4 {
            // Writers wait while the digest and the cut are made of one state.
            assert_eq!(ask(&mut client, "CONFIG SET rdb-key-save-delay 200"), "OK");
            assert_eq!(ask(&mut client, "CLIENT PAUSE 100000 WRITE"), "OK");
            let digest = ask(&mut client, "DEBUG DIGEST");
            assert_eq!(ask(&mut client, "BGSAVE"), "Background saving started");
            assert_eq!(ask(&mut client, "CLIENT UNPAUSE"), "OK");
            thread::sleep(std::time::Duration::from_millis(200));
            assert_ne!(ask(&mut client, "DEBUG DIGEST"), digest, "writers go on");
            assert_eq!(info(&mut client, "rdb_bgsave_in_progress"), "1", "it was over before anybody wrote");
            assert_eq!(ask(&mut client, "CONFIG SET rdb-key-save-delay 0"), "OK");
            wait_for_save(&mut client);
            let second = Scratch::new();
            fs::copy(served.scratch.path("dump.rdb"), second.path("dump.rdb")).unwrap();
            let second = start_in(second, &["--save", ""]);
            assert_eq!(ask(&mut second.client(), "DEBUG DIGEST"), digest, "round {round}");
        }
    });
}

/// Sets a flag when it goes, in a test that fails too.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn a_kill_in_the_middle_of_a_save_leaves_the_old_file() {
    let mut served = start(&["--save", ""]);
    let mut client = served.client();
    fill(&mut client, 100);
    let digest = ask(&mut client, "DEBUG DIGEST");
    assert_eq!(ask(&mut client, "SAVE"), "OK");
    let before = fs::read(served.scratch.path("dump.rdb")).unwrap();
    assert_eq!(ask(&mut client, "FLUSHALL"), "OK");
    fill(&mut client, 2000);
    assert_eq!(ask(&mut client, "CONFIG SET rdb-key-save-delay 1000"), "OK");
    assert_eq!(ask(&mut client, "BGSAVE"), "Background saving started");
    until("the save is in its middle", || {
        info(&mut client, "current_save_keys_processed").parse::<u32>().unwrap() > 20
    });
    served.running.signal(Signal::KILL);
    assert_eq!(served.running.wait().signal(), Some(9));
    assert_eq!(fs::read(served.scratch.path("dump.rdb")).unwrap(), before);
    assert_eq!(names(&served.scratch.path("")).len(), 2, "what was begun is left behind");
    let Served { scratch, .. } = served;
    let served = start_in(scratch, &["--save", ""]);
    assert_eq!(ask(&mut served.client(), "DEBUG DIGEST"), digest);
}

/// `ulimit` stands for a full disk: a write beyond it fails, and the signal that comes with it is ignored.
#[test]
fn a_full_disk_fails_the_save_and_nothing_else() {
    let scratch = Scratch::new();
    let port = free_port().to_string();
    let script = format!(
        "trap '' XFSZ; ulimit -f 64; exec '{BINARY}' --port {port} --bind 127.0.0.1 --logfile log \
                          --save '900 1' --enable-debug-command yes --rdbcompression no"
    );
    let log = || scratch.read("log");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script]).current_dir(scratch.path("")).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = shell.spawn().unwrap();
    let port = port.parse().unwrap();
    until("the server answers", || connect(port).is_some());
    let mut client = connect(port).unwrap();
    assert_eq!(ask(&mut client, "SET small 1"), "OK");
    assert_eq!(ask(&mut client, "SAVE"), "OK");
    let before = fs::read(scratch.path("dump.rdb")).unwrap();
    assert_eq!(ask(&mut client, "DEBUG POPULATE 2000 key 1000"), "OK");
    assert_eq!(ask(&mut client, "BGSAVE"), "Background saving started");
    wait_for_save(&mut client);
    assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "err");
    assert_has(&log(), "Write error while saving DB to the disk");
    assert_eq!(ask(&mut client, "SAVE"), "ERR");
    assert_eq!(
        (fs::read(scratch.path("dump.rdb")).unwrap(), names(&scratch.path(""))),
        (before, vec!["dump.rdb".to_owned()])
    );
    // Writes are refused, unless nobody relies on saves; reads go on.
    assert!(ask(&mut client, "SET a 1").starts_with("MISCONF "));
    assert!(ask(&mut client, "PING").starts_with("MISCONF "));
    assert_eq!(ask(&mut client, "GET small"), "1");
    assert_eq!(ask(&mut client, "CONFIG SET stop-writes-on-bgsave-error no"), "OK");
    assert_eq!(ask(&mut client, "SET a 1"), "OK");
    assert_eq!(ask(&mut client, "CONFIG SET stop-writes-on-bgsave-error yes"), "OK");
    assert!(ask(&mut client, "SET a 1").starts_with("MISCONF "));
    assert_eq!(ask_words(&mut client, &["CONFIG", "SET", "save", ""]), "OK");
    assert_eq!(ask(&mut client, "FLUSHALL"), "OK");
    assert_eq!(ask_words(&mut client, &["CONFIG", "SET", "save", "900 1"]), "OK");
    assert!(ask(&mut client, "SET a 1").starts_with("MISCONF "));
    assert_eq!(ask(&mut client, "BGSAVE"), "Background saving started");
    wait_for_save(&mut client);
    assert_eq!(ask(&mut client, "SET a 1"), "OK");
    assert_eq!(ask(&mut client, "SHUTDOWN"), "<UnexpectedEof>");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_file_that_cannot_be_loaded_stops_the_start() {
    let mut served = start(&["--save", ""]);
    let mut client = served.client();
    fill(&mut client, 100);
    assert_eq!(ask(&mut client, "SAVE"), "OK");
    served.stop();
    let good = fs::read(served.scratch.path("dump.rdb")).unwrap();
    let refused = |bytes: &[u8], reason: &str| {
        let scratch = Scratch::new();
        fs::write(scratch.path("dump.rdb"), bytes).unwrap();
        let port = free_port().to_string();
        let outcome = run(&scratch, &["--port", &port, "--bind", "127.0.0.1"]);
        assert_eq!(outcome.status.code(), Some(1));
        assert_has(&outcome.stdout, reason);
        assert_has(outcome.stdout.lines().last().unwrap(), "Fatal error loading the DB, check server logs. Exiting.");
        assert_eq!(fs::read(scratch.path("dump.rdb")).unwrap(), bytes, "the file stays as it was");
    };
    refused(&good[..good.len() - 20], &format!("data ends too early at offset {}", good.len() - 20));
    refused(b"no such thing", "not the beginning of an RDB file at offset 0");
    refused(&[&good[..good.len() - 8], b"checksum"].concat(), "RDB CRC error: the checksum should be");
    let twice = b"REDIS0003\xfe\0\x00\x01k\x01a\x00\x01k\x01a\xff";
    refused(twice, "duplicated key 'k' in DB 0 at offset 17");
}

#[test]
fn clients_are_told_while_a_file_is_loaded() {
    let mut served = start(&["--save", ""]);
    let mut client = served.client();
    fill(&mut client, 2000);
    assert_eq!(ask(&mut client, "SAVE"), "OK");
    served.stop();
    let Served { scratch, .. } = served;
    let copy = Scratch::new();
    fs::copy(scratch.path("dump.rdb"), copy.path("dump.rdb")).unwrap();
    let port = free_port();
    let port_text = port.to_string();
    let arguments = ["--port", &port_text, "--bind", "127.0.0.1", "--key-load-delay", "20000"];
    let arguments = [&arguments[..], &DEBUG, &["--enable-protected-configs", "yes"]].concat();
    let mut running = Running::spawn(&copy, &arguments, Stdio::null(), &[]);
    let dial = || Client::connect(std::net::SocketAddr::from(([127, 0, 0, 1], port))).ok();
    until("the server listens", || dial().is_some());
    let mut client = dial().unwrap();
    let loading = "LOADING Redis is loading the dataset in memory";
    assert_eq!(ask(&mut client, "GET key:1"), loading);
    assert_eq!(ask(&mut client, "PING"), loading);
    assert_eq!(ask(&mut client, "BGSAVE"), loading);
    assert_eq!(info(&mut client, "loading"), "1");
    assert_ne!(info(&mut client, "loading_total_bytes"), "0");
    assert!(ask(&mut client, "CONFIG SET dir /").starts_with("LOADING "));
    assert_eq!(ask(&mut client, "CONFIG SET key-load-delay 0"), "OK");
    until("it is loaded", || ask(&mut client, "PING") == "PONG");
    assert_eq!((ask(&mut client, "DBSIZE"), info(&mut client, "loading")), ("2006".into(), "0".into()));
    assert_eq!(ask(&mut client, "SHUTDOWN NOSAVE"), "<UnexpectedEof>");
    assert_eq!(running.wait().code(), Some(0));
    // Whoever ends it meanwhile does not overwrite the file with a part of it.
    let before = fs::read(copy.path("dump.rdb")).unwrap();
    let mut running = Running::spawn(&copy, &arguments, Stdio::null(), &[]);
    until("the server listens", || dial().is_some());
    assert_eq!(ask(&mut dial().unwrap(), "SHUTDOWN"), "<UnexpectedEof>");
    assert_eq!(running.wait().code(), Some(0));
    assert!(fs::read(copy.path("dump.rdb")).unwrap() == before, "the file was overwritten");
}

#[test]
fn a_reload_merges_or_refuses_what_is_there() {
    let served = start(&["--save", ""]);
    let mut client = served.client();
    for line in ["SET a file", "SAVE", "SET a memory", "SET b memory"] {
        assert_eq!(ask(&mut client, line), "OK");
    }
    assert!(ask(&mut client, "DEBUG RELOAD NOSAVE NOFLUSH").starts_with("ERR Error trying to load the RDB dump"));
    assert_has(&served.log(), "duplicated key 'a' in DB 0");
    assert_eq!(ask(&mut client, "DEBUG RELOAD NOSAVE NOFLUSH MERGE"), "OK");
    assert_eq!(ask(&mut client, "MGET a b"), "file memory");
    assert_eq!(ask(&mut client, "DEBUG RELOAD NOSAVE"), "OK");
    assert_eq!(ask(&mut client, "MGET a b").trim(), "file");
    fs::remove_file(served.scratch.path("dump.rdb")).unwrap();
    assert!(ask(&mut client, "DEBUG RELOAD NOSAVE").starts_with("ERR Error trying to load the RDB dump"));
}

#[test]
fn the_second_sigint_leaves_no_temporary_file() {
    let mut served = start(&["--save", "900 1", "--rdb-key-save-delay", "100000"]);
    let mut client = served.client();
    fill(&mut client, 100);
    served.running.signal(Signal::INT);
    until("the save has begun", || !names(&served.scratch.path("")).is_empty());
    served.running.signal(Signal::INT);
    assert_eq!(served.running.wait().code(), Some(1));
    assert_eq!(names(&served.scratch.path("")), [""; 0]);
    assert_has(&served.log(), "You insist... exiting now.");
}

#[test]
fn the_end_ends_a_background_save() {
    let mut served = start(&["--save", ""]);
    let mut client = served.client();
    fill(&mut client, 100);
    assert_eq!(ask(&mut client, "CONFIG SET rdb-key-save-delay 10000000"), "OK");
    assert_eq!(ask(&mut client, "BGSAVE"), "Background saving started");
    until("the save has begun", || !names(&served.scratch.path("")).is_empty());
    assert_eq!(ask(&mut client, "SHUTDOWN NOSAVE"), "<UnexpectedEof>");
    assert_eq!(served.running.wait().code(), Some(0));
    assert_eq!(names(&served.scratch.path("")), [""; 0]);
}

/// A background save that began before another save, and ends after it, must not put the older data in the newer's place.
#[test]
fn an_older_save_does_not_overtake_a_newer_one() {
    let served = start(&["--save", ""]);
    let mut client = served.client();
    assert_eq!(ask(&mut client, "DEBUG POPULATE 2000"), "OK");
    assert_eq!(ask(&mut client, "CONFIG SET rdb-key-save-delay 1000"), "OK");
    assert_eq!(ask(&mut client, "BGSAVE"), "Background saving started");
    assert_eq!(ask(&mut client, "FLUSHDB"), "OK");
    assert_eq!(ask(&mut client, "SET new 1"), "OK");
    assert_eq!(ask(&mut client, "DEBUG RELOAD"), "OK");
    assert_eq!(info(&mut client, "rdb_bgsave_in_progress"), "1", "it was over before the other began");
    wait_for_save(&mut client);
    assert_has(&served.log(), "Background saving came too late: a newer file is in place");
    assert_eq!(ask(&mut client, "DEBUG RELOAD NOSAVE"), "OK");
    assert_eq!(ask(&mut client, "DBSIZE"), "1");
    assert_eq!(names(&served.scratch.path("")), ["dump.rdb"]);
}
