//! INFO and MEMORY STATS beside the reference: the same names in the same order, and numbers that are true.

use std::time::{Duration, Instant};

use testkit::reply::{items, name, pairs, text};
use testkit::{Client, Program, Server, found};

const REFERENCE: &str = "redis-8.0.2";
/// Fields of ours that Redis does not have.
const OURS: [&str; 3] = ["server_name", "brindle_version", "repl_spilled_bytes"];
/// Fields of the reference that we do not have, by their beginnings: its module.
const LACKING: [&str; 2] = ["module", "io_thread_"];

fn servers() -> Option<(Server, Server)> {
    let subject = found(Program::subject(), "brindle-server")?;
    let reference = found(Program::reference(REFERENCE), REFERENCE)?;
    let arguments = ["--enable-debug-command", "yes"];
    Some((
        Server::start(&subject, &arguments).expect("our server starts"),
        Server::start(&reference, &arguments).expect("the reference starts"),
    ))
}

fn call(client: &mut Client, command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    let reply = client.call(&words).expect("a reply");
    text(&reply).map_or_else(|| panic!("{command}: {reply:?}"), |text| String::from_utf8_lossy(text).into_owned())
}

/// The names of INFO's fields and its section heads, in their order.
fn names(info: &str) -> Vec<String> {
    let lacking = |name: &&str| LACKING.iter().any(|beginning| name.starts_with(beginning));
    let lines = info.lines().map(|line| line.split(':').next().unwrap_or_default());
    lines.filter(|name| !name.is_empty() && !lacking(name) && !OURS.contains(name)).map(str::to_owned).collect()
}

fn field(client: &mut Client, section: &str, name: &str) -> String {
    let info = call(client, &format!("INFO {section}"));
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {info}")).to_owned()
}

fn number(client: &mut Client, section: &str, name: &str) -> u64 {
    field(client, section, name).parse().expect("a number")
}

#[test]
fn all_fields_are_there_in_order() {
    let Some((subject, reference)) = servers() else { return };
    let (mut ours, mut theirs) = (subject.connect().expect("connects"), reference.connect().expect("connects"));
    for client in [&mut ours, &mut theirs] {
        for command in ["SET a 1", "SET b 2 EX 100", "GET a", "NOSUCH", "SET", "INCR a", "COMMAND COUNT"] {
            client.call(&command.split(' ').collect::<Vec<_>>()).expect("a reply");
        }
    }
    let sections = ["server", "clients", "memory", "persistence", "stats", "replication", "cpu", "debug", "nosuch"];
    for section in sections.into_iter().chain(["cluster", "keyspace", "errorstats", "cpu server", "default", "ALL"]) {
        let command = format!("INFO {section}");
        let (ours, theirs) = (names(&call(&mut ours, &command)), names(&call(&mut theirs, &command)));
        // Statistics of commands come in no order.
        let fixed = |names: &[String]| -> Vec<String> {
            names
                .iter()
                .filter(|name| !name.starts_with("cmdstat_") && !name.starts_with("latency_"))
                .cloned()
                .collect()
        };
        assert_eq!(fixed(&ours), fixed(&theirs), "{command}");
        let both = |names: &[String]| names.iter().filter(|name| name.contains("_set")).count();
        assert_eq!(both(&ours), both(&theirs), "{command}");
    }
}

#[test]
fn memory_stats_has_all_fields() {
    let Some((subject, reference)) = servers() else { return };
    let names = |server: &Server| -> Vec<String> {
        let mut client = server.connect().expect("connects");
        call(&mut client, "DEBUG POPULATE 100");
        let reply = client.call(&["MEMORY", "STATS"]).expect("a reply");
        let of_map = |(key, value): (_, _)| {
            let inner = items(value).iter().step_by(2).map(name).collect::<Vec<_>>().join(" ");
            format!("{} {inner}", name(key))
        };
        pairs(&reply).into_iter().map(of_map).collect()
    };
    assert_eq!(names(&subject), names(&reference));
}

#[test]
fn numbers_follow_what_happens() {
    let Some((subject, _)) = servers() else { return };
    let mut client = subject.connect().expect("connects");
    let memory = number(&mut client, "memory", "used_memory");
    call(&mut client, "DEBUG POPULATE 10000 key 1000");
    let grown = number(&mut client, "memory", "used_memory") - memory;
    assert!((10_000_000..20_000_000).contains(&grown), "ten million bytes of values took {grown}");
    assert!(number(&mut client, "memory", "used_memory_peak") >= memory + grown);
    assert!(number(&mut client, "memory", "used_memory_rss") >= grown);
    assert_eq!(field(&mut client, "keyspace", "db0"), "keys=10000,expires=0,avg_ttl=0,subexpiry=0");
    call(&mut client, "SET volatile x PX 100000");
    let volatile = field(&mut client, "keyspace", "db0");
    assert!(volatile.starts_with("keys=10001,expires=1,avg_ttl="), "{volatile}");

    let commands = number(&mut client, "stats", "total_commands_processed");
    let hits = number(&mut client, "stats", "keyspace_hits");
    for _ in 0..10 {
        call(&mut client, "GET key:1");
    }
    assert_eq!(number(&mut client, "stats", "keyspace_hits"), hits + 10);
    assert_eq!(number(&mut client, "stats", "total_commands_processed"), commands + 13);
    let get = field(&mut client, "commandstats", "cmdstat_get");
    assert!(get.starts_with("calls=10,usec=") && get.ends_with(",rejected_calls=0,failed_calls=0"), "{get}");
    client.call(&["GET"]).expect("an error");
    client.call(&["INCR", "volatile"]).expect("an error");
    assert!(field(&mut client, "commandstats", "cmdstat_get").ends_with(",rejected_calls=1,failed_calls=0"));
    assert!(field(&mut client, "commandstats", "cmdstat_incr").ends_with(",rejected_calls=0,failed_calls=1"));
    assert_eq!(field(&mut client, "errorstats", "errorstat_ERR"), "count=2");

    client.set_timeout(Duration::from_secs(5)).expect("a timeout");
    call(&mut client, "DEBUG SLEEP 0.05");
    let slept = field(&mut client, "latencystats", "latency_percentiles_usec_debug");
    let most: f64 = slept.rsplit('=').next().and_then(|value| value.parse().ok()).expect("a number");
    assert!((50_000.0..2_000_000.0).contains(&most), "{slept}");
    assert!(number(&mut client, "debug", "eventloop_duration_max") >= 50_000);
}

/// These look into stripes that the transaction's own commands lock.
#[test]
fn a_transaction_may_ask_for_everything() {
    let Some((subject, _)) = servers() else { return };
    let mut client = subject.connect().expect("connects");
    client.set_timeout(Duration::from_secs(10)).expect("a timeout");
    let commands = ["SET a 1", "SET b 2", "INFO everything", "MEMORY STATS", "MEMORY DOCTOR", "DEBUG DIGEST", "DEL a"];
    client.call(&["MULTI"]).expect("a reply");
    for command in commands {
        assert_eq!(call(&mut client, command), "QUEUED");
    }
    let reply = client.call(&["EXEC"]).expect("a reply");
    assert_eq!(items(&reply).len(), commands.len(), "{reply:?}");
}

#[test]
fn debug_needs_permission() {
    let Some(subject) = found(Program::subject(), "brindle-server") else { return };
    for (value, allowed) in [("no", false), ("local", true), ("yes", true)] {
        let server = Server::start(&subject, &["--enable-debug-command", value]).expect("our server starts");
        let mut client = server.connect().expect("connects");
        let reply = client.call(&["DEBUG", "SET-ACTIVE-EXPIRE", "1"]).expect("a reply");
        assert_eq!(testkit::reply::is_error(&reply), !allowed, "{value}: {reply:?}");
        if !allowed {
            let stats = field(&mut client, "commandstats", "cmdstat_debug");
            assert!(stats.starts_with("calls=0,") && stats.ends_with("rejected_calls=1,failed_calls=0"), "{stats}");
        }
    }
}

/// The sum of a few such times is more than 64 bits can tell: it once ended a server built with overflow checks.
#[test]
fn expiries_may_be_as_late_as_a_number_tells() {
    let Some((subject, _reference)) = servers() else { return };
    let mut client = subject.connect().expect("connects");
    for key in ["a", "b", "c"] {
        client.call(&["SET", key, "1"]).expect("a reply");
        client.call(&["PEXPIREAT", key, &i64::MAX.to_string()]).expect("a reply");
    }
    let database = field(&mut client, "keyspace", "db0");
    let average = database.split("avg_ttl=").nth(1).and_then(|rest| rest.split(',').next()).expect("an average");
    assert!(average.parse::<i64>().is_ok_and(|average| average > 0), "{database}");
}

/// Waits until a field is what is asked for.
fn await_field(client: &mut Client, section: &str, name: &str, holds: impl Fn(f64) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds(field(client, section, name).parse().expect("a number")) {
        assert!(Instant::now() < deadline, "{name} stays {}", field(client, section, name));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn counters_of_the_background_follow() {
    let Some((subject, _reference)) = servers() else { return };
    let mut client = subject.connect().expect("connects");
    for key in 0..200 {
        client.call(&["SET", &key.to_string(), "1", "PX", "1"]).expect("a reply");
    }
    await_field(&mut client, "stats", "expired_keys", |count| count == 200.0);
    await_field(&mut client, "stats", "expired_stale_perc", |percent| percent > 0.0 && percent <= 100.0);

    client.call(&["RPUSH", "list", "a", "b"]).expect("a reply");
    client.call(&["SET", "string", "a"]).expect("a reply");
    for key in ["list", "string"] {
        let reply = client.call(&["DUMP", key]).expect("a reply");
        let payload = text(&reply).expect("a payload").to_vec();
        client.call(&[b"RESTORE", format!("copy-{key}").as_bytes(), b"0", payload.as_slice()]).expect("a reply");
    }
    assert_eq!(number(&mut client, "stats", "dump_payload_sanitizations"), 1, "a string has no inside");

    let idle = subject.connect().expect("connects");
    client.call(&["DEBUG", "REPLYBUFFER", "PEAK-RESET-TIME", "50"]).expect("a reply");
    await_field(&mut client, "stats", "reply_buffer_shrinks", |count| count >= 1.0);
    client.call(&["DEBUG", "REPLYBUFFER", "PEAK-RESET-TIME", "NEVER"]).expect("a reply");
    let value = "x".repeat(16 * 1024);
    client.call(&["SET", "large", &value]).expect("a reply");
    let deadline = Instant::now() + Duration::from_secs(20);
    while number(&mut client, "stats", "reply_buffer_expands") == 0 {
        assert!(Instant::now() < deadline, "the room never grew");
        client.call(&["GET", "large"]).expect("a reply");
    }
    drop(idle);

    client.call(&["CONFIG", "RESETSTAT"]).expect("a reply");
    for name in ["expired_time_cap_reached_count", "dump_payload_sanitizations"] {
        assert_eq!(number(&mut client, "stats", name), 0, "{name}");
    }
}
