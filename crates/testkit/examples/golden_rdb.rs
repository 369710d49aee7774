//! Makes the golden RDB files of the crate `rdb` anew: `cargo run -p testkit --example golden_rdb`. Which they are, and what
//! stands in the listings beside them, is told in `crates/rdb/src/file/tests/golden/README.md`.
//!
//! A listing is made of the reference's answers alone. It is asked for twice, each time after the reference has loaded the
//! file: what a second passing by has changed, such as how long a key was not used, is then seen, and the file made again.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use testkit::golden::quote;
use testkit::process::free_port;
use testkit::reply::{error, field, integer, items, name, pairs, show, text};
use testkit::{Client, Program, Reply, Server, words};

/// Each reference, and what it calls its version in a file and in INFO.
const REFERENCES: [(&str, &str, &str); 3] = [
    ("redis-7.0.15", "redis-ver", "redis_version"),
    ("redis-8.0.2", "redis-ver", "redis_version"),
    ("valkey-8.1", "valkey-ver", "valkey_version"),
];
/// How often a file is made until its two listings agree.
const TRIES: usize = 20;
/// What the fuzzer takes at most, a byte less than its own limit: its first byte is no part of the file.
const FILE_BYTES_MAX: usize = 8191;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rdb/src/file/tests/golden");
    let contents = fs::read_to_string(folder.join("contents.txt")).expect("the contents are committed");
    for (reference, version_name, version_field) in REFERENCES {
        let program = Program::reference(reference).expect("scripts/references.sh brings the references");
        for file in files(&contents, reference) {
            let server = Golden::start(&program, &file, (version_name, version_field));
            let (bytes, listing) = server.make();
            let path = |extension: &str| PathBuf::from(format!("{reference}-{}.{extension}", file.name));
            assert!(bytes.len() <= FILE_BYTES_MAX, "{}: {} bytes", path("rdb").display(), bytes.len());
            println!("{}: {} bytes, {} lines", path("rdb").display(), bytes.len(), listing.lines().count());
            fs::write(folder.join(path("rdb")), bytes).expect("the file is written");
            fs::write(folder.join(path("txt")), listing).expect("the listing is written");
        }
    }
}

/// A file to be made.
struct File<'a> {
    name: &'a str,
    arguments: Vec<&'a str>,
    steps: Vec<words::Words>,
}

/// What `contents.txt` says of a reference's files.
fn files<'a>(contents: &'a str, reference: &str) -> Vec<File<'a>> {
    let mut files: Vec<File<'a>> = Vec::new();
    let mut is_ours = true;
    for line in contents.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (names, line) = match line.split_once(": ") {
            Some((names, line)) if names.split(',').all(|name| REFERENCES.iter().any(|known| known.0 == name)) => {
                (names, line)
            }
            _ => (reference, line),
        };
        let is_named = names.split(',').any(|name| name == reference);
        if let Some(head) = line.strip_prefix("file ") {
            is_ours = is_named;
            if is_ours {
                let mut words = head.split_whitespace();
                let name = words.next().expect("a file has a name");
                files.push(File { name, arguments: words.collect(), steps: Vec::new() });
            }
        } else if is_named && is_ours {
            let step = words::split(line.as_bytes()).unwrap_or_else(|| panic!("unbalanced quotes: {line}"));
            files.last_mut().expect("a file's line comes first").steps.push(step);
        }
    }
    files
}

/// A reference that holds what a file is to hold.
struct Golden<'a> {
    server: Server,
    file: &'a File<'a>,
    version: (&'static str, &'static str),
}

impl<'a> Golden<'a> {
    fn start(program: &Program, file: &'a File<'a>, version: (&'static str, &'static str)) -> Self {
        let cluster_port = free_port().expect("a free port").to_string();
        let mut arguments = vec!["--enable-debug-command", "yes", "--appendonly", "no"];
        arguments.extend(&file.arguments);
        if file.arguments.contains(&"--cluster-enabled") {
            arguments.extend(["--cluster-port", &cluster_port]);
        }
        let server = Server::start(program, &arguments).expect("the reference starts");
        Self { server, file, version }
    }

    fn make(&self) -> (Vec<u8>, String) {
        let mut client = self.server.connect().expect("a connection");
        if self.is_cluster() {
            call(&mut client, "CLUSTER ADDSLOTSRANGE 0 16383");
            while !info(&mut client, "CLUSTER INFO", "cluster_state").starts_with("ok") {
                sleep(Duration::from_millis(100));
            }
        }
        for _ in 0..TRIES {
            call(&mut client, "FLUSHALL");
            call(&mut client, "FUNCTION FLUSH");
            self.file.steps.iter().for_each(|step| put(&mut client, step));
            let before = call(&mut client, "DEBUG DIGEST");
            call(&mut client, "DEBUG RELOAD");
            assert_eq!(call(&mut client, "DEBUG DIGEST"), before, "the reference reads what it has written");
            let bytes = fs::read(self.server.folder().join("dump.rdb")).expect("DEBUG RELOAD has saved");
            let listing = self.listing(&mut client);
            call(&mut client, "DEBUG RELOAD NOSAVE");
            if self.listing(&mut client) == listing {
                return (bytes, listing);
            }
        }
        panic!("{}: no two listings agree", self.file.name);
    }

    fn is_cluster(&self) -> bool {
        self.file.arguments.contains(&"--cluster-enabled")
    }

    fn listing(&self, client: &mut Client) -> String {
        let mut listing = String::new();
        let (version_name, version_field) = self.version;
        let version = info(client, "INFO server", version_field);
        writeln!(listing, "aux {version_name} {version}").expect("writing to a string");
        let bits = info(client, "INFO server", "arch_bits");
        writeln!(listing, "aux redis-bits {bits}").expect("writing to a string");
        let libraries = call(client, "FUNCTION LIST WITHCODE");
        let mut functions: Vec<String> =
            items(&libraries).iter().map(|library| quoted(field(library, "library_code"))).collect();
        functions.sort();
        functions.iter().for_each(|code| writeln!(listing, "function {code}").expect("writing to a string"));
        let databases = name(&items(&call(client, "CONFIG GET databases"))[1]);
        let databases = if self.is_cluster() { 1 } else { databases.parse().expect("a number") };
        for db in 0..databases {
            self.database(client, db, &mut listing);
        }
        listing
    }

    fn database(&self, client: &mut Client, db: u32, listing: &mut String) {
        if !self.is_cluster() {
            call(client, &format!("SELECT {db}"));
        }
        let keys = call(client, "KEYS *");
        let mut keys: Vec<Vec<u8>> = items(&keys).iter().filter_map(text).map(<[u8]>::to_vec).collect();
        keys.sort();
        if keys.is_empty() {
            return;
        }
        // Attributes first, and of all keys: to read a value is to use it.
        let attributes: Vec<Attributes> = keys.iter().map(|key| Attributes::of(client, key, self)).collect();
        let volatile = attributes.iter().filter(|of| of.expiry.is_some()).count();
        writeln!(listing, "db {db} keys {} volatile {volatile}", keys.len()).expect("writing to a string");
        if self.is_cluster() {
            let mut slots: Vec<i64> = attributes.iter().filter_map(|of| of.slot).collect();
            slots.sort_unstable();
            slots.dedup();
            for slot in slots {
                let count = call(client, &format!("CLUSTER COUNTKEYSINSLOT {slot}"));
                let here = |of: &&Attributes| of.slot == Some(slot) && of.expiry.is_some();
                let volatile = attributes.iter().filter(here).count();
                let count = integer(&count).expect("a count");
                writeln!(listing, "slot {slot} keys {count} volatile {volatile}").expect("writing to a string");
            }
        }
        for (key, of) in keys.iter().zip(&attributes) {
            write!(listing, "key {} {} {}", quote(key), of.kind, of.encoding).expect("writing to a string");
            for (word, number) in [("expires", of.expiry), ("idle", of.idle), ("frequency", of.frequency)] {
                number.iter().for_each(|number| write!(listing, " {word} {number}").expect("writing to a string"));
            }
            listing.push('\n');
            for line in value(client, key, &of.kind) {
                writeln!(listing, "    {line}").expect("writing to a string");
            }
        }
    }
}

/// What is known of a key beside its value.
struct Attributes {
    kind: String,
    encoding: String,
    expiry: Option<i64>,
    idle: Option<i64>,
    frequency: Option<i64>,
    slot: Option<i64>,
}

impl Attributes {
    fn of(client: &mut Client, key: &[u8], golden: &Golden<'_>) -> Self {
        let mut ask = |question: &str| about(client, question, key, "");
        let policy = golden.file.arguments.join(" ");
        let number = |reply: Reply| integer(&reply).expect("a number");
        Self {
            kind: name(&ask("TYPE")),
            encoding: name(&ask("OBJECT ENCODING")),
            expiry: Some(number(ask("PEXPIRETIME"))).filter(|&expiry| expiry >= 0),
            idle: policy.contains("-lru").then(|| number(ask("OBJECT IDLETIME"))),
            frequency: policy.contains("-lfu").then(|| number(ask("OBJECT FREQ"))),
            slot: golden.is_cluster().then(|| number(ask("CLUSTER KEYSLOT"))),
        }
    }
}

/// One step of `contents.txt`.
fn put(client: &mut Client, step: &[Vec<u8>]) {
    let option = match &step[0][..] {
        b"idle" => "IDLETIME",
        b"frequency" => "FREQ",
        _ => {
            call_words(client, step);
            return;
        }
    };
    let key = &step[1];
    let payload = about(client, "DUMP", key, "");
    let expiry = about(client, "PEXPIRETIME", key, "");
    let expiry = integer(&expiry).expect("a time").max(0).to_string();
    let payload = text(&payload).expect("a payload");
    let restore =
        [&b"RESTORE"[..], key, expiry.as_bytes(), payload, b"REPLACE", b"ABSTTL", option.as_bytes(), &step[2]];
    call_words(client, &restore.map(<[u8]>::to_vec));
}

/// A value, a line for each element.
fn value(client: &mut Client, key: &[u8], kind: &str) -> Vec<String> {
    let texts = |reply: &Reply| items(reply).iter().map(|item| quoted(Some(item))).collect::<Vec<_>>();
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    match kind {
        "string" => vec![quoted(Some(&about(client, "GET", key, "")))],
        "list" => texts(&about(client, "LRANGE", key, "0 -1")),
        "set" => sorted(texts(&about(client, "SMEMBERS", key, ""))),
        "zset" => pairs(&about(client, "ZRANGE", key, "0 -1 WITHSCORES"))
            .into_iter()
            .map(|(member, score)| {
                let score: f64 = name(score).parse().expect("a score");
                format!("{} {score:?}", quoted(Some(member)))
            })
            .collect(),
        "hash" => sorted(
            pairs(&about(client, "HGETALL", key, ""))
                .into_iter()
                .map(|(name, value)| {
                    let expiry = field_expiry(client, key, text(name).expect("a field"));
                    let expiry = expiry.map(|expiry| format!(" expires {expiry}")).unwrap_or_default();
                    format!("{} {}{expiry}", quoted(Some(name)), quoted(Some(value)))
                })
                .collect(),
        ),
        "stream" => stream(&about(client, "XINFO STREAM", key, "FULL COUNT 0")),
        other => panic!("no value is a {other}"),
    }
}

/// None as well where the reference knows no such thing.
fn field_expiry(client: &mut Client, key: &[u8], name: &[u8]) -> Option<i64> {
    let question = [b"HPEXPIRETIME".to_vec(), key.to_vec(), b"FIELDS".to_vec(), b"1".to_vec(), name.to_vec()];
    let answer = client.call(&question).expect("an answer");
    items(&answer).first().and_then(integer).filter(|&expiry| expiry >= 0)
}

fn stream(stream: &Reply) -> Vec<String> {
    let get = |of: &Reply, key: &str| of_reply(field(of, key).unwrap_or_else(|| panic!("no {key}: {}", show(of))));
    let mut lines = vec![format!(
        "length {} last {} first {} deleted {} added {}",
        get(stream, "length"),
        get(stream, "last-generated-id"),
        get(stream, "recorded-first-entry-id"),
        get(stream, "max-deleted-entry-id"),
        get(stream, "entries-added"),
    )];
    let of = |of: &Reply, key: &str| items(field(of, key).unwrap_or_else(|| panic!("no {key}: {}", show(of)))).to_vec();
    for entry in of(stream, "entries") {
        let [id, fields] = items(&entry) else { panic!("an id and fields: {}", show(&entry)) };
        let fields: Vec<String> = items(fields).iter().map(|item| quoted(Some(item))).collect();
        lines.push(format!("entry {} {}", name(id), fields.join(" ")));
    }
    let mut groups = of(stream, "groups");
    groups.sort_by_key(|group| quoted(field(group, "name")));
    for group in groups {
        let (last, read) = (get(&group, "last-delivered-id"), get(&group, "entries-read"));
        lines.push(format!("group {} last {last} read {read}", quoted(field(&group, "name"))));
        for pending in of(&group, "pending") {
            let [id, consumer, time, count] = items(&pending) else { panic!("four facts: {}", show(&pending)) };
            let (id, consumer) = (name(id), quoted(Some(consumer)));
            lines.push(format!("pending {id} {consumer} at {} times {}", of_reply(time), of_reply(count)));
        }
        let mut consumers = of(&group, "consumers");
        consumers.sort_by_key(|consumer| quoted(field(consumer, "name")));
        for consumer in consumers {
            let mut line =
                format!("consumer {} seen {}", quoted(field(&consumer, "name")), get(&consumer, "seen-time"));
            // Redis 7.0 knows one time only.
            if let Some(active) = field(&consumer, "active-time") {
                write!(line, " active {}", of_reply(active)).expect("writing to a string");
            }
            lines.push(line);
        }
    }
    lines
}

/// A number, an id, or that there is none.
fn of_reply(reply: &Reply) -> String {
    match integer(reply) {
        Some(number) => number.to_string(),
        None => text(reply).map_or_else(|| "none".into(), |text| String::from_utf8_lossy(text).into_owned()),
    }
}

fn quoted(reply: Option<&Reply>) -> String {
    quote(reply.and_then(text).expect("a text"))
}

/// One field of a text of `name:value` lines.
fn info(client: &mut Client, question: &str, name: &str) -> String {
    let answer = call(client, question);
    let answer = String::from_utf8_lossy(text(&answer).expect("a text")).into_owned();
    let value = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("{question} tells no {name}")).to_owned()
}

fn about(client: &mut Client, question: &str, key: &[u8], more: &str) -> Reply {
    let mut words: words::Words = question.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    words.push(key.to_vec());
    words.extend(more.split_whitespace().map(|word| word.as_bytes().to_vec()));
    call_words(client, &words)
}

fn call(client: &mut Client, command: &str) -> Reply {
    let words: words::Words = command.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    call_words(client, &words)
}

fn call_words(client: &mut Client, words: &[Vec<u8>]) -> Reply {
    let reply = client.call(words).expect("an answer");
    assert!(error(&reply).is_none(), "{}: {}", words::join(words), show(&reply));
    reply
}
