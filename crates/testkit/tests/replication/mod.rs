//! What the tests of replication share: servers with debugging on, data of every type, and waiting until two agree.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use testkit::{Client, Program, Reply, Server};

/// The servers that are primaries and replicas of ours.
pub const REFERENCES: [&str; 3] = ["redis-7.0.15", "redis-8.0.2", "valkey-8.1"];

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Our server, or None with a printed line.
pub fn subject() -> Option<Program> {
    testkit::found(Program::subject(), "brindle-server")
}

/// Those of the references that are there.
pub fn references() -> Vec<Program> {
    REFERENCES.iter().filter_map(|name| testkit::found(Program::reference(name), name)).collect()
}

/// Starts a server whose digest can be asked for.
pub fn start(program: &Program, arguments: &[&str]) -> Server {
    let mut all = vec!["--enable-debug-command", "yes"];
    // Redis's default of five seconds is made for full copies that are shared.
    all.extend(["--repl-diskless-sync-delay", "0"]);
    all.extend(arguments);
    Server::start(program, &all).unwrap()
}

pub fn call(client: &mut Client, line: &str) -> Reply {
    client.call(&line.split(' ').collect::<Vec<_>>()).unwrap()
}

/// A reply's text, errors with their minus.
pub fn text(client: &mut Client, line: &str) -> String {
    match call(client, line) {
        Reply::Bulk(text) | Reply::Simple(text) => String::from_utf8_lossy(&text).into_owned(),
        Reply::Error(text) => format!("-{}", String::from_utf8_lossy(&text)),
        Reply::Integer(number) => number.to_string(),
        Reply::NullBulk => "(nil)".into(),
        other => format!("{other:?}"),
    }
}

/// `INFO replication` as a map.
pub fn info(client: &mut Client) -> HashMap<String, String> {
    section(client, "replication")
}

pub fn section(client: &mut Client, section: &str) -> HashMap<String, String> {
    let lines = text(client, &format!("INFO {section}"));
    lines.lines().filter_map(|line| line.split_once(':')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

/// A number of `INFO stats`.
pub fn stat(server: &Server, name: &str) -> u64 {
    section(&mut server.connect().unwrap(), "stats")[name].parse().unwrap()
}

/// Bytes of the stream that a server has, in memory and, as only ours does, in files.
pub fn kept_of_stream(client: &mut Client) -> u64 {
    let memory = section(client, "memory");
    let bytes = |field| memory.get(field).map_or(0, |bytes| bytes.parse::<u64>().unwrap());
    bytes("mem_total_replication_buffers") + bytes("repl_spilled_bytes")
}

/// Ends the writers that look at it, also when the test fails.
pub struct Stop<'a>(pub &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(false, SeqCst);
    }
}

#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Makes a server follow an address.
pub fn follow(replica: &Server, primary: SocketAddr) {
    let mut client = replica.connect().unwrap();
    let line = format!("REPLICAOF {} {}", primary.ip(), primary.port());
    assert_eq!(text(&mut client, &line), "OK");
}

pub fn is_up(replica: &Server) -> bool {
    info(&mut replica.connect().unwrap()).get("master_link_status").map(String::as_str) == Some("up")
}

#[track_caller]
pub fn until_up(replica: &Server) {
    let begin = Instant::now();
    while !is_up(replica) {
        assert!(begin.elapsed() < PATIENCE, "the link does not come up:\n{}", replica.log());
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until a replica has applied all that its primary has sent, and asserts that they hold the same.
#[track_caller]
pub fn assert_same(primary: &Server, replica: &Server) {
    let (mut ours, mut theirs) = (primary.connect().unwrap(), replica.connect().unwrap());
    let offset = |client: &mut Client| info(client)["master_repl_offset"].clone();
    let mut digests = Default::default();
    // Keys that expire and pings move the offset, and do so between the two digests when these take long. Then only
    // digests that differ ask for another look.
    until("the offsets agree", || {
        let begin = offset(&mut ours);
        let agree = |ours: &mut Client, theirs: &mut Client| begin == offset(theirs) && begin == offset(ours);
        if !agree(&mut ours, &mut theirs) {
            return false;
        }
        digests = (text(&mut ours, "DEBUG DIGEST"), text(&mut theirs, "DEBUG DIGEST"));
        digests.0 == digests.1 || agree(&mut ours, &mut theirs)
    });
    if digests.0 != digests.1 {
        let different = differences(&mut ours, &mut theirs);
        panic!("different: {different:?}\nprimary:\n{}\nreplica:\n{}", primary.log(), replica.log());
    }
    assert_ne!(digests.0, "0".repeat(40), "nothing was compared");
}

/// Which keys differ, with what either side has.
fn differences(ours: &mut Client, theirs: &mut Client) -> Vec<String> {
    let mut different = Vec::new();
    for db in 0..16 {
        let mut keys = BTreeSet::new();
        for client in [&mut *ours, &mut *theirs] {
            call(client, &format!("SELECT {db}"));
            let found = call(client, "KEYS *");
            keys.extend(testkit::reply::items(&found).iter().filter_map(testkit::reply::text).map(<[u8]>::to_vec));
        }
        for key in keys {
            let mut look = |command: &[&[u8]]| {
                let words: Vec<&[u8]> = command.iter().copied().chain([&key[..]]).collect();
                let shown = |client: &mut Client| testkit::reply::show(&client.call(&words).unwrap());
                (shown(ours), shown(theirs))
            };
            let values = look(&[b"DEBUG", b"DIGEST-VALUE"]);
            let expiry = look(&[b"PEXPIRETIME"]);
            if values.0 != values.1 || expiry.0 != expiry.1 {
                let (dumps, kinds) = (look(&[b"DUMP"]), look(&[b"OBJECT", b"ENCODING"]));
                let key = String::from_utf8_lossy(&key);
                different.push(format!("{db} {key}: {values:?} {expiry:?} {kinds:?} {dumps:.300?}"));
            }
            if different.len() >= 10 {
                return different;
            }
        }
    }
    different
}

/// Fills a server with every type in every encoding, expiring keys, and several databases.
pub fn fill(server: &Server) {
    let mut client = server.connect().unwrap();
    let mut requests: Vec<Vec<String>> = Vec::new();
    let mut add = |line: &str| requests.push(line.split(' ').map(str::to_owned).collect());
    add("SET int 12345");
    add("SET text hello");
    add(&format!("SET long {}", "x".repeat(100_000)));
    add("SET goes v PX 4000000000000");
    add("HSET small f1 v1 f2 v2 n 77");
    add("RPUSH list a b c 1 2 3");
    add("SADD ints 1 2 3 40000 5000000000");
    add("SADD words a b c");
    // No large fractions: Redis 7.0 has other digits of them in its digest.
    add("ZADD scores 1.5 a -inf b 3 c");
    add("XADD stream 1-1 f v g w");
    add("XADD stream 1-2 f v");
    add("XGROUP CREATE stream group 0");
    add("XREADGROUP GROUP group me COUNT 1 STREAMS stream >");
    add("PFADD hll a b c d");
    add("SETBIT bits 10000 1");
    add("GEOADD geo 13.36 38.11 Palermo");
    for at in 0..2000 {
        add(&format!("RPUSH biglist {}", "e".repeat(at % 50)));
        add(&format!("HSET bighash field:{at} {at}"));
        add(&format!("SADD bigset member:{at}"));
        add(&format!("ZADD bigzset {at} member:{at}"));
        add(&format!("SET key:{at} {at}"));
        add(&format!("XADD bigstream {}-0 at {at}", at + 1));
    }
    add("SELECT 3");
    add("SET three 3");
    add("SELECT 15");
    add("RPUSH l 1");
    for reply in client.pipeline(&requests).unwrap() {
        assert!(!matches!(reply, Reply::Error(_)), "{reply:?}");
    }
}

/// Which database a writer writes to.
pub fn database(seed: u64) -> u64 {
    seed % 4
}

/// Writes for as long as `goes_on` says, from a client of its own: every type, transactions, and keys that expire.
pub fn write(address: SocketAddr, seed: u64, goes_on: impl Fn() -> bool) -> u64 {
    let mut client = Client::connect(address).unwrap();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    call(&mut client, &format!("SELECT {}", database(seed)));
    let mut written = 0;
    while goes_on() {
        let mut batch: Vec<Vec<String>> = Vec::new();
        for _ in 0..20 {
            let (key, n) = (random(200), random(1000));
            let line = match random(16) {
                0 => format!("SET s:{key} {n}"),
                1 => format!("SET s:{key} {n} PX {}", 1 + random(300)),
                2 => format!("INCRBYFLOAT f:{key} 0.5"),
                3 => format!("APPEND t:{key} {n}"),
                4 => format!("LPUSH l:{key} {n}"),
                5 => format!("RPOP l:{key}"),
                6 => format!("HSET h:{key} f{n} {n}"),
                7 => format!("HINCRBY h:{key} n 1"),
                8 => format!("SADD e:{key} {n}"),
                9 => format!("SPOP e:{key}"),
                10 => format!("ZADD z:{key} {n} m{}", n % 50),
                11 => format!("ZPOPMIN z:{key}"),
                12 => format!("XADD x:{key} MAXLEN 50 * f {n}"),
                13 => format!("PEXPIRE l:{key} {}", 100 + random(500)),
                14 => format!("RENAME t:{key} t:{}", random(200)),
                _ => format!("DEL h:{key} z:{key}"),
            };
            let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
            if random(8) == 0 {
                batch.push(words("MULTI"));
                batch.push(words(&line));
                batch.push(words(&format!("INCR pair:a:{seed}")));
                batch.push(words(&format!("INCR pair:b:{seed}")));
                batch.push(words("EXEC"));
            } else {
                batch.push(words(&line));
            }
        }
        if client.pipeline(&batch).is_err() {
            break;
        }
        written += batch.len() as u64;
        // A debug build on a busy machine has to keep up with a release build of somebody else's.
        thread::sleep(Duration::from_millis(4));
    }
    written
}
