//! A real Redis 8.0.2 as the judge: names and defaults, error texts, the reading of arguments, rewritten files.
//!
//! Without the reference (`scripts/references.sh` brings it) these tests say so and pass; with `CI=true` they fail.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::super::{Config, Kind, ROWS, index_of};
use super::{Scratch, set};

/// How long the reference may take to start, to stop, or to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Directives whose default differs on purpose, with Redis's one and the reason.
const OTHER_DEFAULTS: [(&str, &str, &str); 1] =
    [("io-threads", "1", "every thread executes commands, so each core gets one")];

/// Directives that are ours alone.
const OURS: [&str; 3] = ["keyspace-stripes", "repl-pacing-timeout", "snapshot-buffer-limit"];

/// The server's wrapper script, or `None` with a word about it.
fn reference() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let server = cache?.join("brindle/references/redis-8.0.2/redis-server");
    if server.exists() {
        return Some(server);
    }
    assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "the reference is missing: {}", server.display());
    println!("skipped: no reference at {}; scripts/references.sh brings it", server.display());
    None
}

/// A running reference.
struct Running {
    server: Child,
    stream: BufReader<TcpStream>,
}

impl Running {
    /// Starts the reference in `scratch`, with `arguments` and a free port.
    fn start(server: &PathBuf, scratch: &Scratch, arguments: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(server);
        command.args(arguments).args(["--port", &port.to_string()]).current_dir(&scratch.0);
        let mut server = command.stdout(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return Self { server, stream: BufReader::new(stream) };
            }
            assert!(server.try_wait().unwrap().is_none(), "the reference does not start with {arguments:?}");
            assert!(Instant::now() < deadline, "the reference does not listen");
            sleep(Duration::from_millis(10));
        }
    }

    /// Sends a command; returns the strings of the reply one after another.
    fn ask(&mut self, words: &[&str]) -> Vec<String> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut reply = Vec::new();
        self.read_reply(&mut reply);
        reply
    }

    fn read_reply(&mut self, reply: &mut Vec<String>) {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let text = line[1..].trim_end();
        match line.as_bytes()[0] {
            b'*' => (0..text.parse().unwrap()).for_each(|_: usize| self.read_reply(reply)),
            b'$' => {
                let mut bytes = vec![0; text.parse::<usize>().unwrap() + 2];
                self.stream.read_exact(&mut bytes).unwrap();
                bytes.truncate(bytes.len() - 2);
                reply.push(String::from_utf8(bytes).unwrap());
            }
            _ => reply.push(text.into()),
        }
    }

    fn all(&mut self) -> BTreeMap<String, String> {
        let reply = self.ask(&["CONFIG", "GET", "*"]);
        reply.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// What CONFIG GET * answers, without the directives that are ours alone.
fn all_of(config: &Config) -> BTreeMap<String, String> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let mut all: BTreeMap<_, _> =
        config.matching([b"*".as_slice()]).into_iter().map(|(name, value)| (text(name), text(value))).collect();
    all.retain(|name, _| !OURS.contains(&name.as_str()));
    all
}

/// Panics with what differs, if anything does.
fn compare(ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>, when: &str) {
    let names: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let different: Vec<_> = names.into_iter().filter(|&name| ours.get(name) != theirs.get(name)).collect();
    let shown = different.iter().map(|&name| format!("{name}: {:?}, in Redis {:?}", ours.get(name), theirs.get(name)));
    assert!(different.is_empty(), "{when}\n{}", shown.collect::<Vec<_>>().join("\n"));
}

#[test]
fn names_and_defaults_are_those_of_redis() {
    let Some(server) = reference() else { return };
    let scratch = Scratch::new();
    let mut theirs = Running::start(&server, &scratch, &[]).all();
    let ours = all_of(&scratch.load(&[]).unwrap().config);
    theirs.insert("port".into(), "6379".into());
    for (name, default, reason) in OTHER_DEFAULTS {
        assert_eq!(theirs[name], default, "{name}, of which we say: {reason}");
        theirs.insert(name.into(), ours[name].clone());
    }
    assert!(OURS.iter().all(|name| index_of(name.as_bytes()).is_some() && !theirs.contains_key(*name)));
    compare(&ours, &theirs, "by default");
}

#[test]
fn hidden_directives_are_those_of_redis() {
    let Some(server) = reference() else { return };
    let scratch = Scratch::new();
    let mut running = Running::start(&server, &scratch, &[]);
    let ours = scratch.load(&[]).unwrap().config;
    for row in ROWS.iter().filter(|row| row.hidden && !OURS.contains(&row.name)) {
        assert_eq!(running.ask(&["CONFIG", "GET", row.name]), [row.name, &super::value(&ours, row.name)]);
    }
}

/// CONFIG SETs one after the other, of which the replies and all values afterwards must be alike.
const SETS: &[&[&str]] = &[
    &["nope", "1"],
    &["port", "x", "nope", "1"],
    &["daemonize", "yes", "nope", "1"],
    &["DAEMONIZE", "yes"],
    &["dir", "/nowhere/at/all"],
    &["HZ", "10", "hz", "11"],
    &["HZ", "x"],
    &["hz", "01"],
    &["hz", " 1"],
    &["hz", "100000"],
    &["hz", "-1"],
    &["hz", "0"],
    &["hz", ""],
    &["slave-priority", "x"],
    &["slave-priority", "3", "replica-priority", "4"],
    &["appendonly", "maybe"],
    &["appendonly", "NO"],
    &["save", "1"],
    &["save", "0 1"],
    &["save", "1 -1"],
    &["save", "1 x"],
    &["save", "1 2  3 4"],
    &["save", "900 1 30 2"],
    &["save", "+5 007"],
    &["save", " "],
    &["save", "1 "],
    &["save", ""],
    &["client-output-buffer-limit", "normal 1 2"],
    &["client-output-buffer-limit", "x 1 2 3"],
    &["client-output-buffer-limit", "master 1 2 3"],
    &["client-output-buffer-limit", "normal a 2 3"],
    &["client-output-buffer-limit", "normal 1 2 -3"],
    &["client-output-buffer-limit", "Replica 10mb 2k 3 normal 1 2 3"],
    &["client-output-buffer-limit", ""],
    &["latency-tracking-info-percentiles", "50 101"],
    &["latency-tracking-info-percentiles", "-1"],
    &["latency-tracking-info-percentiles", "nan"],
    &["latency-tracking-info-percentiles", "x"],
    &["latency-tracking-info-percentiles", "50.123456789 99.90 100"],
    &["latency-tracking-info-percentiles", ""],
    &["oom-score-adj", "maybe"],
    &["oom-score-adj-values", "1 2"],
    &["oom-score-adj-values", "1 2 3000"],
    &["oom-score-adj-values", "1 2 x"],
    &["notify-keyspace-events", "KEAQ"],
    &["notify-keyspace-events", "mAEK"],
    &["notify-keyspace-events", "elK$"],
    &["notify-keyspace-events", "g$lshzxetdn"],
    &["notify-keyspace-events", ""],
    &["shutdown-on-sigint", "save nosave"],
    &["shutdown-on-sigint", "force default save"],
    &["shutdown-on-sigint", "force  save"],
    &["shutdown-on-sigint", ""],
    &["shutdown-on-sigint", "DEFAULT"],
    &["maxmemory", "-1"],
    &["maxmemory", "1gb"],
    &["maxmemory", "1tb"],
    &["maxmemory", "18446744073709551615"],
    &["maxmemory", "99999999999999999999k"],
    &["maxmemory", "0"],
    &["maxmemory", "", "hz", "12"],
    &["maxmemory-clients", "5%"],
    &["maxmemory-clients", "101%"],
    &["maxmemory-clients", "-5%"],
    &["maxmemory-clients", "%"],
    &["maxmemory-clients", "1mb"],
    &["maxmemory-clients", "0"],
    &["maxmemory-policy", "best"],
    &["maxmemory-policy", "AllKeys-LRU"],
    &["maxclients", "0"],
    &["maxclients", "-1"],
    &["maxclients", "4294967296"],
    &["list-max-listpack-size", "99999999999"],
    &["list-max-listpack-size", "-2147483648"],
    &["repl-backlog-size", "0"],
    &["proto-max-bulk-len", "1"],
    &["proto-max-bulk-len", "9223372036854775808"],
    &["client-query-buffer-limit", "10m"],
    &["client-query-buffer-limit", "9223372036854775808"],
    &["hash-max-listpack-value", "-1"],
    &["hash-max-listpack-entries", "-1"],
    &["hash-max-ziplist-entries", "9223372036854775808"],
    &["slowlog-log-slower-than", "-2"],
    &["unixsocketperm", "700"],
    &["dbfilename", "a/b"],
    &["dbfilename", "x.rdb"],
    &["dbfilename", ""],
    &["proc-title-template", "{title}"],
    &["proc-title-template", "{title"],
    &["proc-title-template", "{nope}"],
    &["proc-title-template", " "],
    &["proc-title-template", "{{"],
    &["proc-title-template", "{unixsocket}"],
    &["proc-title-template", "{config-file}"],
    &["proc-title-template", "{port} {tls-port}"],
    &["cluster-announce-hostname", "a_b"],
    &["cluster-announce-hostname", "a-b.c"],
    &["cluster-announce-human-nodename", "a!b"],
    &["cluster-announce-human-nodename", "a b"],
    &["cluster-node-timeout", "-1"],
    &["loglevel", "Warning"],
    &["loglevel", "loud"],
    &["requirepass", ""],
    &["include", "x"],
    &["user", "x"],
    &["bind", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17"],
    &["port", "65536"],
    &["timeout", "7", "timeout", "8"],
    &["timeout", "7", "tcp-keepalive", "x"],
    &["timeout", "7", "tcp-keepalive", "8"],
    &["enable-debug-command", "local"],
    &["replicaof", "no one"],
    &["tcp-backlog", "1"],
    &["lua-time-limit", "1", "busy-reply-threshold", "2"],
    &["loading-process-events-interval-bytes", "1"],
    &["rdb-key-save-delay", "-5"],
    &["io-threads-do-reads", "yes"],
];

#[test]
fn sets_are_answered_as_by_redis() {
    let Some(server) = reference() else { return };
    let scratch = Scratch::new();
    let arguments = ["--enable-protected-configs", "yes", "--save", "", "--io-threads", "1"];
    let mut running = Running::start(&server, &scratch, &arguments);
    let ours = scratch.load(&arguments).unwrap().config;
    let port = running.ask(&["CONFIG", "GET", "port"])[1].clone();
    assert_eq!(set(&ours, &["port", &port]), "OK");
    for pairs in SETS {
        let theirs = running.ask(&[["CONFIG", "SET"].as_slice(), pairs].concat());
        assert_eq!([set(&ours, pairs)].as_slice(), theirs, "{pairs:?}");
        compare(&all_of(&ours), &running.all(), &format!("after {pairs:?}"));
    }
}

/// The texts of refusals name the bounds and the choices, so they show that each row has the right ones.
#[test]
fn bounds_and_choices_are_those_of_redis() {
    let Some(server) = reference() else { return };
    let scratch = Scratch::new();
    let arguments = ["--enable-protected-configs", "yes", "--save", ""];
    let mut running = Running::start(&server, &scratch, &arguments);
    let ours = scratch.load(&arguments).unwrap().config;
    for row in ROWS.iter().filter(|row| !row.immutable && !OURS.contains(&row.name)) {
        let extremes: &[&str] = match row.kind {
            Kind::Number(_) => &["9223372036854775807", "9223372036854775808", "-9223372036854775808", "0", "?"],
            Kind::Choice(..) | Kind::YesNo(_) | Kind::Flags(_) => &["?", ""],
            _ => continue,
        };
        for extreme in extremes {
            let theirs = running.ask(&["CONFIG", "SET", row.name, extreme]);
            let reply = set(&ours, &[row.name, extreme]);
            // What Redis accepts, ours accepts too, unless its effect is still to come.
            if theirs != ["OK"] || !reply.contains("cannot be set to this") {
                assert_eq!([reply].as_slice(), theirs, "{} {extreme}", row.name);
            }
        }
    }
}

#[test]
fn patterns_find_what_they_find_in_redis() {
    let Some(server) = reference() else { return };
    let scratch = Scratch::new();
    let mut running = Running::start(&server, &scratch, &[]);
    let ours = scratch.load(&[]).unwrap().config;
    for patterns in [
        &["*"][..],
        &["MAXMEMORY", "maxmemory", "Max*"],
        &["nope"],
        &["key-load-delay", "key-*"],
        &["*of", "replicaof"],
        &["[a-c]*-[^a]*"],
        &["?ind"],
        &["*-*-*-*-*"],
        &["\\*", "p\\ort*", "[p]ort"],
        &["SLAVE*"],
        &["[^a-y]*", "*[z-w]", "h[z"],
        &["*list[xp]*"],
    ] {
        let reply = running.ask(&[["CONFIG", "GET"].as_slice(), patterns].concat());
        let theirs: BTreeSet<_> = reply.chunks(2).map(|pair| pair[0].clone()).collect();
        let found = ours.matching(patterns.iter().map(|pattern| pattern.as_bytes()));
        let mut names: BTreeSet<_> = found.into_iter().map(|(name, _)| String::from_utf8(name).unwrap()).collect();
        names.retain(|name| !OURS.contains(&name.as_str()));
        assert_eq!(names, theirs, "{patterns:?}");
    }
}

/// Arguments that no server starts with.
const BAD_ARGUMENTS: &[&[&str]] = &[
    &["--invalid"],
    &["--port"],
    &["--port", "6380", "--loglevel"],
    &["--port", "6379", "6380"],
    &["--port", "--loglevel", "verbose"],
    &["--port", "--bla", "--loglevel", "verbose"],
    &["--logfile", "--my--log--file", "--loglevel", "--bla"],
    &["--shutdown-on-sigint"],
    &["--shutdown-on-sigint", "now force", "--shutdown-on-sigterm"],
    &["--shutdown-on-sigint", "save nosave"],
    &["--shutdown-on-sigint", "now \"force"],
    &["--replicaof", "127.0.0.1", "abc"],
    &["--replicaof", "--127.0.0.1", "abc"],
    &["--replicaof", "--127.0.0.1", "--abc"],
    &["--replicaof", "127.0.0.1", "65536"],
    &["--save", "1"],
    &["--save", "10", "x"],
    &["--save", "10 x"],
    &["--maxmemory", "1tb"],
    &["--maxmemory-clients", "200%"],
    &["--io-threads", "129"],
    &["--port", "-1"],
    &["--dir", "/nowhere/at/all"],
    &["--tcp-backlog", "1 2"],
    &["--tcp-backlog", "-1"],
    &["--databases", "0"],
    &["--socket-mark-id", "-1"],
    &["--cluster-port", "65536"],
    &["--supervised", "maybe"],
    &["--syslog-facility", "local8"],
    &["--enable-debug-command", "maybe"],
    &["--unixsocketperm", "999"],
    &["--unixsocketperm", "1777"],
    &["--bind", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17"],
    &["--proc-title-template", "{title"],
    &["--notify-keyspace-events", "Q"],
    &["--hash-max-listpack-entries", "-1"],
    &["--maxclients", "0"],
    &["--client-output-buffer-limit", "normal", "1"],
    &["--client-output-buffer-limit", "gone 1 1 1"],
    &["--oom-score-adj-values", "1"],
    &["--latency-tracking-info-percentiles", "101"],
    &["--appendfilename", ""],
    &["--appendfilename", "a/b"],
    &["--appenddirname", ""],
    &["--appenddirname", "a/b"],
    &["--dbfilename", "a/b"],
    &["--user"],
    &["--loadmodule"],
    &["--include"],
    &["--daemonize \"yes"],
    &["--daemonize", "a\nb\tc\"\\\u{7}\u{e9}"],
    &["-x"],
    &["--port", "1", "-"],
    &["--list-max-ziplist-entries"],
];

#[test]
fn bad_arguments_are_refused_as_by_redis() {
    let Some(server) = reference() else { return };
    for bad in BAD_ARGUMENTS {
        let scratch = Scratch::new();
        let mut command = Command::new(&server);
        command.args(*bad).current_dir(&scratch.0).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // Something for those that read it, and the end for the others.
        let _ = child.stdin.take().unwrap().write_all(b"hz x\n");
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                child.kill().unwrap();
                panic!("the reference starts with {bad:?}");
            }
            sleep(Duration::from_millis(2));
        }
        let mut theirs = String::new();
        child.stderr.take().unwrap().read_to_string(&mut theirs).unwrap();
        let ours = match scratch.load_with(bad, "hz x\n") {
            Ok(_) => panic!("{bad:?} are accepted"),
            Err(error) => format!("{error}\n"),
        };
        let named = concat!("Brindle ", env!("CARGO_PKG_VERSION"));
        assert_eq!(ours, theirs.replace("Redis 8.0.2", named), "{bad:?}");
    }
}

/// Files and arguments after which all values must be alike.
#[test]
fn files_and_arguments_are_read_as_by_redis() {
    let Some(server) = reference() else { return };
    let file = "# comment\n  save 900 1\t\nsave 300 10 60 100\r\nproc-title-template 'it\\'s \\n' \n\nHZ 0\n\
                client-output-buffer-limit pubsub 1mb 2k 3\nmaxmemory-policy \"allkeys\\x2dlfu\"\n\
                shutdown-on-sigterm now  nosave\nsyslog-ident \"a \\\"b\\\" \\t\"\n\
                lua-replicate-commands yes\nslave-priority 7";
    for arguments in [
        &[][..],
        &["--save", "5", "6"],
        &["--save", "5 6 7 8"],
        &["--save"],
        &["--save", "--hz", "2"],
        &["--save", "", "--save", "1", "2"],
        &["--maxmemory 700mb", "--loglevel 'verbose'"],
        &["loglevel", "verbose", "--hz 3"],
        &["--proc-title-template", "--save", "--save", ""],
        &["--shutdown-on-sigint", "nosave", "force", "now", "--shutdown-on-sigterm", "nosave force"],
        &["--syslog-ident", "a\n\"\\", "--timeout", "4"],
        &["--hash-max-listpack-entries", "20", "--hash-max-ziplist-entries", "21"],
        // No save may follow an include: in Redis each one would start anew then, which ours does not copy.
        &["--include", "part*.conf", "--hz", "3"],
        &["--timeout", "9", "--include", "nothing*.conf", "--include", "part2.conf"],
    ] {
        let scratch = Scratch::new();
        scratch.file("part1.conf", "timeout 1\ntcp-keepalive 5\n");
        scratch.file("part2.conf", "timeout 2\n");
        let path = scratch.file("a.conf", file);
        let same = ["--io-threads", "1", "--enable-debug-command", "yes"];
        let arguments = [&[path.as_str()], arguments, &same].concat();
        let theirs = Running::start(&server, &scratch, &arguments).all();
        let mut ours = all_of(&scratch.load(&arguments).unwrap_or_else(|error| panic!("{error}")).config);
        ours.insert("port".into(), theirs["port"].clone());
        compare(&ours, &theirs, &format!("{arguments:?}"));
    }
}

#[test]
fn redis_starts_with_the_files_we_write() {
    let Some(server) = reference() else { return };
    let scratch = Scratch::new();
    let path = scratch.file("a.conf", "# ours\nhz 11\nio-threads 1\n");
    let ours = scratch.load(&[&path, "--notify-keyspace-events", "KEA", "--syslog-ident", "a \"b\""]).unwrap().config;
    for pair in [["save", "900 1 30 2"], ["client-output-buffer-limit", "replica 1mb 2k 3"], ["maxmemory", "3gb"]] {
        assert_eq!(set(&ours, &pair), "OK");
    }
    for everything in [false, true] {
        ours.rewrite(everything).unwrap();
        let written = fs::read_to_string(&path).unwrap();
        let known = |line: &&str| !OURS.iter().any(|name| line.starts_with(name));
        let theirs = scratch.file("b.conf", &written.lines().filter(known).collect::<Vec<_>>().join("\n"));
        let mut values = all_of(&ours);
        let theirs = Running::start(&server, &scratch, &[&theirs]).all();
        values.insert("port".into(), theirs["port"].clone());
        compare(&values, &theirs, &written);
    }
}
