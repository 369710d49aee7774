//! What streams leave in the log, the events they fire, and whom they disturb. Replies are judged by the differential
//! tests.

use fastrand::Rng;

use crate::testing::{START_MS, Server};

/// Runs `setup`, then `line`, and compares what the latter leaves in the log.
#[track_caller]
fn check_log(setup: &[&str], line: &str, expected: &[&str]) {
    let server = Server::new();
    server.settings.set_limits(|limits| limits.stream_node_max_entries = 3);
    let mut client = server.client();
    client.all(setup);
    server.forget();
    let reply = client.run(line);
    assert!(!reply.starts_with('-'), "{line}: {reply}");
    let expected: Vec<String> = expected.iter().map(|line| format!("0 {line}")).collect();
    assert_eq!(server.log(), expected, "{line}");
}

/// The same for the events.
#[track_caller]
fn check_events(setup: &[&str], line: &str, expected: &[&str]) {
    let server = Server::new();
    let mut client = server.client();
    client.all(setup);
    server.forget();
    client.run(line);
    let expected: Vec<String> = expected.iter().map(|event| format!("0 {event}")).collect();
    assert_eq!(server.events(), expected, "{line}");
}

/// Seven entries in three nodes.
const SEVEN: [&str; 7] = [
    "XADD s 1-1 f v",
    "XADD s 2-1 f v",
    "XADD s 3-1 f v",
    "XADD s 4-1 f v",
    "XADD s 5-1 f v",
    "XADD s 6-1 f v",
    "XADD s 7-1 f v",
];
const GROUP: [&str; 4] = ["XADD s 7-1 f v", "XADD s 8-1 f v", "XADD s 9-1 f v", "XGROUP CREATE s g 0"];
const DELIVERED: [&str; 5] = [GROUP[0], GROUP[1], GROUP[2], GROUP[3], "XREADGROUP GROUP g alice STREAMS s >"];

/// The forms are those that Redis 8.0.2 appends to its AOF, but for LIMIT, which says nothing in an exact trim.
#[test]
fn added_ids_and_trims_are_exact_in_the_log() {
    let check = |line, expected| check_log(&SEVEN, line, &[expected]);
    check("XADD s * f v", "XADD s 1000000-0 f v");
    check("XADD s 9-* f v", "XADD s 9-0 f v");
    check("XADD s 9-1 f v", "XADD s 9-1 f v");
    check("xadd s maxlen = 3 9-1 f v", "xadd s maxlen = 3 9-1 f v");
    check("XADD s MAXLEN ~ 1 LIMIT 3 9-* f v", "XADD s MAXLEN = 5 9-0 f v");
    check("XADD s LIMIT 3 MINID ~ 5 9-1 f v", "XADD s MINID = 4-1 9-1 f v");
    check("XADD s MINID ~ 99 9-1 f v", "XADD s MINID = 18446744073709551615-18446744073709551615 9-1 f v");
    check("XTRIM s MAXLEN ~ 2", "XTRIM s MAXLEN = 4");
    check("XTRIM s MINID ~ 5-0 LIMIT 100", "XTRIM s MINID = 4-1");
    check("XTRIM s MAXLEN 2", "XTRIM s MAXLEN 2");
    check_log(&SEVEN, "XTRIM s MAXLEN ~ 6", &[]);
    check_log(&SEVEN, "XADD none NOMKSTREAM * f v", &[]);
    check("XDEL s 1-1 99-1", "XDEL s 1-1 99-1");
    check_log(&SEVEN, "XDEL s 99-1", &[]);
}

#[test]
fn reads_of_groups_are_claims_in_the_log() {
    let read = "XREADGROUP GROUP g alice COUNT 2 STREAMS s >";
    check_log(
        &GROUP,
        read,
        &[
            "MULTI",
            "XCLAIM s g alice 0 7-1 TIME 1000000 RETRYCOUNT 1 FORCE JUSTID LASTID 7-1",
            "XCLAIM s g alice 0 8-1 TIME 1000000 RETRYCOUNT 1 FORCE JUSTID LASTID 8-1",
            "XGROUP SETID s g 8-1 ENTRIESREAD 2",
            "EXEC",
        ],
    );
    check_log(
        &GROUP,
        "XREADGROUP GROUP g bob NOACK COUNT 1 STREAMS s >",
        &["MULTI", "XGROUP CREATECONSUMER s g bob", "XGROUP SETID s g 7-1 ENTRIESREAD 1", "EXEC"],
    );
    check_log(&DELIVERED, "XREADGROUP GROUP g alice STREAMS s 0", &[]);
    check_log(&DELIVERED, "XREADGROUP GROUP g alice STREAMS s >", &[]);
    // Redis forgets to tell of these two, and its replicas do not know the consumer.
    check_log(&DELIVERED, "XREADGROUP GROUP g bob STREAMS s 0", &["XGROUP CREATECONSUMER s g bob"]);
    check_log(&DELIVERED, "XREADGROUP GROUP g bob BLOCK 1 STREAMS s >", &["XGROUP CREATECONSUMER s g bob"]);
    let unknown = [&GROUP[..], &["XGROUP SETID s g 8-0 ENTRIESREAD -1", "XDEL s 8-1"]].concat();
    check_log(
        &unknown,
        "XREADGROUP GROUP g bob NOACK STREAMS s >",
        &["MULTI", "XGROUP CREATECONSUMER s g bob", "XGROUP SETID s g 9-1 ENTRIESREAD 3", "EXEC"],
    );
}

#[test]
fn claims_name_time_count_and_last_id_in_the_log() {
    let check = |line, expected| check_log(&DELIVERED, line, expected);
    check(
        "XCLAIM s g erin 0 8-1 TIME 5 RETRYCOUNT 3",
        &["XCLAIM s g erin 0 8-1 TIME 5 RETRYCOUNT 3 FORCE JUSTID LASTID 9-1"],
    );
    check(
        "XCLAIM s g erin 0 8-1 IDLE 1 JUSTID LASTID 10-0",
        &["XCLAIM s g erin 0 8-1 TIME 999999 RETRYCOUNT 1 FORCE JUSTID LASTID 10-0"],
    );
    check("XCLAIM s g alice 0 77-1 LASTID 10-0", &["XGROUP SETID s g 10-0 ENTRIESREAD 3"]);
    check(
        "XCLAIM s g bob 0 77-1 LASTID 10-0",
        &["MULTI", "XGROUP CREATECONSUMER s g bob", "XGROUP SETID s g 10-0 ENTRIESREAD 3", "EXEC"],
    );
    check("XCLAIM s g bob 0 77-1", &["XGROUP CREATECONSUMER s g bob"]);
    check("XCLAIM s g alice 99999 7-1", &[]);
    check(
        "XAUTOCLAIM s g erin 0 - COUNT 1",
        &["XCLAIM s g erin 0 7-1 TIME 1000000 RETRYCOUNT 2 FORCE JUSTID LASTID 9-1"],
    );
    let gone = [&DELIVERED[..], &["XDEL s 8-1"]].concat();
    check_log(
        &gone,
        "XAUTOCLAIM s g erin 0 8",
        &[
            "MULTI",
            "XCLAIM s g erin 0 8-1 TIME 1000000 RETRYCOUNT 0 FORCE JUSTID LASTID 9-1",
            "XCLAIM s g erin 0 9-1 TIME 1000000 RETRYCOUNT 2 FORCE JUSTID LASTID 9-1",
            "EXEC",
        ],
    );
    check("XACK s g 7-1 99-1", &["XACK s g 7-1 99-1"]);
    check("XACK s g 99-1", &[]);
}

#[test]
fn events_fire_in_redis_order() {
    check_events(&[], "XADD s 1-1 f v", &["new s", "xadd s"]);
    check_events(&SEVEN, "XADD s MAXLEN 2 9-1 f v", &["xadd s", "xtrim s"]);
    check_events(&SEVEN, "XTRIM s MAXLEN 2", &["xtrim s"]);
    check_events(&SEVEN, "XTRIM s MAXLEN 20", &[]);
    check_events(&SEVEN, "XDEL s 1-1 2-1", &["xdel s"]);
    check_events(&SEVEN, "XSETID s 9-1", &["xsetid s"]);
    check_events(&[], "XGROUP CREATE s g $ MKSTREAM", &["new s", "xgroup-create s"]);
    check_events(&GROUP, "XGROUP CREATE s h $", &["xgroup-create s"]);
    check_events(&GROUP, "XGROUP SETID s g 0", &["xgroup-setid s"]);
    check_events(&GROUP, "XGROUP CREATECONSUMER s g bob", &["xgroup-createconsumer s"]);
    check_events(&DELIVERED, "XGROUP DELCONSUMER s g alice", &["xgroup-delconsumer s"]);
    check_events(&DELIVERED, "XGROUP DELCONSUMER s g bob", &[]);
    check_events(&GROUP, "XGROUP DESTROY s g", &["xgroup-destroy s"]);
    check_events(&GROUP, "XREADGROUP GROUP g bob STREAMS s >", &["xgroup-createconsumer s"]);
    check_events(&DELIVERED, "XCLAIM s g bob 0 7-1", &["xgroup-createconsumer s"]);
    check_events(&DELIVERED, "XACK s g 7-1", &[]);
    check_events(&DELIVERED, "XACKDEL s g IDS 1 7-1", &["xdel s"]);
    check_events(&[], "XREAD STREAMS s 0", &["keymiss s", "keymiss s"]);
    for read in ["XLEN s", "XACK s g 1", "XCLAIM s g b 0 1", "XAUTOCLAIM s g b 0 1", "XPENDING s g", "XINFO STREAM s"] {
        check_events(&[], read, &["keymiss s"]);
    }
    for write in ["XDEL s 1", "XTRIM s MAXLEN 1", "XSETID s 1", "XADD s NOMKSTREAM 1 f v", "XGROUP CREATE s g 0"] {
        check_events(&[], write, &[]);
    }
}

/// Observed with Redis 8.0.2: whether a transaction that watches the key still runs.
#[test]
fn groups_do_not_disturb_who_watches_the_stream() {
    let check = |line: &str, runs: bool| {
        let server = Server::new();
        let (mut watcher, mut other) = (server.client(), server.client());
        other.all(&DELIVERED);
        watcher.all(&["WATCH s", "MULTI", "PING"]);
        other.run(line);
        assert_eq!(watcher.run("EXEC"), if runs { "*1\r\n+PONG\r\n" } else { "*-1\r\n" }, "{line}");
    };
    check("XADD s 10-1 f v", false);
    check("XTRIM s MAXLEN 1", false);
    check("XDEL s 7-1", false);
    check("XSETID s 99-1", true);
    check("XGROUP CREATE s h $", true);
    check("XGROUP DESTROY s g", true);
    check("XACK s g 7-1", true);
    check("XCLAIM s g bob 0 7-1", true);
    check("XREADGROUP GROUP g bob STREAMS s >", true);
}

#[test]
fn who_waits_in_a_group_learns_that_it_is_gone() {
    let server = Server::new();
    let (mut reader, mut other) = (server.client(), server.client());
    other.all(&["XGROUP CREATE s g $ MKSTREAM"]);
    assert_eq!(reader.run("XREADGROUP GROUP g alice BLOCK 0 STREAMS s >"), "");
    other.check("XGROUP DESTROY s g", ":1\r\n");
    let delivered = server.host.delivered.lock().unwrap();
    let [(_, text)] = &delivered[..] else { panic!("{delivered:?}") };
    assert!(text.starts_with("-NOGROUP "), "{text}");
}

/// Replies as the documentation of Redis 8.2 tells them: -1 no such id, 1 deleted, 2 still referenced.
#[test]
fn deletions_look_after_references() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&DELIVERED);
    client.check("XDELEX none IDS 2 1-1 2-1", "*2\r\n:-1\r\n:-1\r\n");
    client.check("XDELEX s ACKED IDS 2 7-1 99-1", "*2\r\n:2\r\n:-1\r\n");
    client.check("XDELEX s IDS 1 7-1 KEEPREF", "*1\r\n:1\r\n");
    client.check("XACKDEL s nog IDS 1 8-1", "*1\r\n:-1\r\n");
    client.check("XACKDEL s g ACKED IDS 2 8-1 99-1", "*2\r\n:1\r\n:-1\r\n");
    client.all(&["XGROUP CREATE s h 0"]);
    client.check("XACKDEL s g ACKED IDS 1 9-1", "*1\r\n:2\r\n");
    client.check("XLEN s", ":1\r\n");
    server.forget();
    // The entry 7-1 is gone already, but a place in the group's list is left of it.
    client.check("XDELEX s DELREF IDS 1 7-1", "*1\r\n:-1\r\n");
    client.check("XACK s g 7-1", ":0\r\n");
    assert_eq!(server.log(), ["0 XDELEX s DELREF IDS 1 7-1"]);
    for (line, reply) in [
        ("XDELEX s IDS 0 1-1", "-ERR Number of IDs must be a positive integer\r\n"),
        ("XDELEX s IDS x 1-1", "-ERR Number of IDs must be a positive integer\r\n"),
        ("XDELEX s IDS 2 1-1", "-ERR The `numids` parameter must match the number of arguments\r\n"),
        ("XDELEX s IDS 1 1-1 2-1", "-ERR syntax error\r\n"),
        ("XDELEX s ACKED DELREF IDS 1 1-1", "-ERR syntax error\r\n"),
        ("XDELEX s IDS 1 x", "-ERR Invalid stream ID specified as stream command argument\r\n"),
        ("XACKDEL s g IDS 1", "-ERR wrong number of arguments for 'xackdel' command\r\n"),
    ] {
        client.check(line, reply);
    }
}

/// A group's name may be the word that the keys are looked for by.
#[test]
fn a_group_may_be_called_streams() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["XADD s 1-1 f v", "XGROUP CREATE s STREAMS 0"]);
    let reply = client.run("XREADGROUP COUNT 1 NOACK GROUP STREAMS streams STREAMS s >");
    assert!(reply.starts_with("*1\r\n*2\r\n$1\r\ns\r\n"), "{reply}");
}

/// Whoever applies the log has the same streams, groups and consumers: the clock stands still, so even the times agree.
/// What a consumer was given before is not asked for, since how often it is looked at is no effect.
#[test]
fn the_log_makes_the_same_streams() {
    for seed in 0..40 {
        let mut rng = Rng::with_seed(seed);
        let (server, replica) = (Server::new(), Server::new());
        for server in [&server, &replica] {
            server.settings.set_limits(|limits| limits.stream_node_max_entries = 3);
        }
        let (mut client, mut applier) = (server.client(), replica.client());
        client.all(&["XGROUP CREATE s g 0 MKSTREAM", "XGROUP CREATE s h $"]);
        for _ in 0..300 {
            client.run(&random_command(&mut rng));
        }
        for line in server.log() {
            let line = line.strip_prefix("0 ").expect("database 0");
            if !matches!(line, "MULTI" | "EXEC") {
                applier.all(&[line]);
            }
        }
        let full = client.run("XINFO STREAM s FULL COUNT 0");
        assert!(full.contains(&START_MS.to_string()), "{full}");
        assert_eq!(applier.run("XINFO STREAM s FULL COUNT 0"), full, "seed {seed}");
    }
}

fn random_command(rng: &mut Rng) -> String {
    let group = *rng.choice(&["g", "g", "h"]).unwrap_or(&"g");
    let consumer = *rng.choice(&["alice", "bob", "carol"]).unwrap_or(&"bob");
    let id = format!("{START_MS}-{}", rng.u32(0..60));
    let small = rng.u32(0..8);
    match rng.u32(0..20) {
        0..=5 => "XADD s * f v".into(),
        6 => format!("XADD s MAXLEN ~ {small} LIMIT {} * a 1 b 2", rng.u32(0..5)),
        7 => format!("XTRIM s MINID ~ {id}"),
        8 => format!("XTRIM s MAXLEN {}", small * 4),
        9 | 10 => format!("XDEL s {id}"),
        11..=13 => format!("XREADGROUP GROUP {group} {consumer} COUNT {small} STREAMS s >"),
        14 => format!("XREADGROUP GROUP {group} {consumer} NOACK COUNT 1 STREAMS s >"),
        15 => format!("XCLAIM s {group} {consumer} 0 {id} FORCE LASTID {START_MS}-{small}"),
        16 => format!("XAUTOCLAIM s {group} {consumer} 0 {id} COUNT 2"),
        17 => format!("XACK s {group} {id}"),
        18 => format!("XGROUP SETID s {group} {id} ENTRIESREAD {}", i64::from(small) - 1),
        _ => format!("XGROUP DELCONSUMER s {group} {consumer}"),
    }
}
