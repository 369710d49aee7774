use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

use crate::testing::{Server, TestClient};

/// The names in a SCAN reply, and the next cursor.
fn page(reply: &str) -> (String, Vec<String>) {
    let lines: Vec<&str> = reply.split("\r\n").collect();
    assert_eq!(lines[0], "*2", "{reply}");
    let count: usize = lines[3].strip_prefix('*').unwrap().parse().unwrap();
    let names = lines[4..].chunks(2).filter(|pair| pair.len() == 2).map(|pair| pair[1].to_string()).collect::<Vec<_>>();
    assert_eq!(names.len(), count, "{reply}");
    (lines[2].into(), names)
}

fn scan_all(client: &mut TestClient, options: &str) -> Vec<String> {
    let (mut cursor, mut all) = (String::from("0"), Vec::new());
    loop {
        let (next, names) = page(&client.run(format!("SCAN {cursor} {options}").trim_end()));
        assert!(next.parse::<u64>().unwrap() < 1 << 63);
        all.extend(names);
        if next == "0" {
            return all;
        }
        cursor = next;
    }
}

#[test]
fn scan_returns_every_key() {
    let server = Server::new();
    let mut client = server.client();
    client.check("SCAN 0", "*2\r\n$1\r\n0\r\n*0\r\n");
    for n in 0..1000 {
        client.run(&format!("SET key:{n} x"));
    }
    let expected: BTreeSet<String> = (0..1000).map(|n| format!("key:{n}")).collect();
    for options in ["", "COUNT 1", "COUNT 7 MATCH *", "COUNT 9223372036854775807", "MATCH key:* TYPE STRING"] {
        let found = scan_all(&mut client, options);
        assert_eq!((found.len(), found.into_iter().collect()), (1000, expected.clone()), "{options}");
    }
    let tens: BTreeSet<String> = scan_all(&mut client, "MATCH key:?0").into_iter().collect();
    assert_eq!(tens, (1..10).map(|n| format!("key:{n}0")).collect());
    assert_eq!(scan_all(&mut client, "TYPE hash COUNT 100").len(), 0);
    assert_eq!(scan_all(&mut client, "TYPE nosuch COUNT 100").len(), 0);
    assert_eq!(scan_all(&mut client, "MATCH nosuch MATCH key:17"), ["key:17"]);
}

#[test]
fn scan_refuses_what_redis_refuses() {
    let server = Server::new();
    let mut client = server.client();
    for (line, reply) in [
        ("SCAN x", "-ERR invalid cursor\r\n"),
        ("SCAN -1", "-ERR invalid cursor\r\n"),
        ("SCAN 99999999999999999999", "-ERR invalid cursor\r\n"),
        ("SCAN 0 COUNT", "-ERR syntax error\r\n"),
        ("SCAN 0 COUNT 0", "-ERR syntax error\r\n"),
        ("SCAN 0 COUNT -5", "-ERR syntax error\r\n"),
        ("SCAN 0 COUNT x", "-ERR value is not an integer or out of range\r\n"),
        ("SCAN 0 TYPE string FOO", "-ERR syntax error\r\n"),
        ("SCAN 0 NOVALUES", "-ERR NOVALUES option can only be used in HSCAN\r\n"),
        ("SCAN 18446744073709551615", "*2\r\n$1\r\n0\r\n*0\r\n"),
    ] {
        client.check(line, reply);
    }
}

#[test]
fn scan_hides_expired_keys_and_removes_those_it_matches() {
    let server = Server::new();
    let mut client = server.client();
    for n in 0..50 {
        client.run(&format!("SET live:{n} x"));
        client.run(&format!("SET dead:{n} x PX 10"));
    }
    server.advance_ms(10);
    server.forget();
    assert_eq!(scan_all(&mut client, "MATCH live:*").len(), 50);
    assert_eq!((server.entries(0), server.log().len()), (100, 0));
    // Those of another type go as well.
    assert_eq!(scan_all(&mut client, "MATCH dead:1* TYPE hash").len(), 0);
    assert_eq!((server.entries(0), server.log().len()), (89, 11));
    assert_eq!(scan_all(&mut client, "").len(), 50);
    assert_eq!((server.entries(0), server.log().len(), server.events().len()), (50, 39, 50));
}

#[test]
fn keys_lists_what_matches() {
    let server = Server::new();
    let mut client = server.client();
    client.check("KEYS *", "*0\r\n");
    client.all(&["SET one 1", "SET two 2", "SET gone 3 PX 10", r#"SET "" empty"#, "SET o*e 4"]);
    server.advance_ms(10);
    server.log();
    let mut check = |pattern: &str, expected: &[&str]| {
        let reply = client.run(&format!("KEYS {pattern}"));
        let mut lines = reply.split("\r\n");
        assert_eq!(lines.next().unwrap(), format!("*{}", expected.len()), "{pattern}");
        let found: BTreeSet<&str> = lines.skip(1).step_by(2).collect();
        assert_eq!(found, expected.iter().copied().collect(), "{pattern}");
    };
    check("*", &["", "one", "two", "o*e"]);
    check("**", &["one", "two", "o*e"]);
    check("o*", &["one", "o*e"]);
    check(r"o\*e", &["o*e"]);
    check("[ot][nw]?", &["one", "two"]);
    check("one", &["one"]);
    check("ONE", &[]);
    check("gone", &[]);
    check(r#""""#, &[""]);
    assert_eq!((server.log().len(), server.entries(0)), (0, 5), "KEYS removes nothing");
}

#[test]
fn randomkey_finds_what_lives() {
    let server = Server::new();
    let mut client = server.client();
    client.check("RANDOMKEY", "$-1\r\n");
    for n in 0..500 {
        client.run(&format!("SET dead:{n} x PX 10"));
    }
    client.all(&["SET a 1"]);
    server.advance_ms(10);
    client.check("RANDOMKEY", "$1\r\na\r\n");
    client.all(&["DEL a"]);
    client.check("RANDOMKEY", "$-1\r\n");
    assert!(server.entries(0) < 500, "the expired keys that were drawn are gone");
    client.resp3();
    client.check("RANDOMKEY", "_\r\n");
    client.all(&["FLUSHALL", "SET a 1", "SET b 1", "SET c 1"]);
    let drawn: BTreeSet<String> = (0..200).map(|_| client.run("RANDOMKEY")).collect();
    assert_eq!(drawn.len(), 3);
}

#[test]
fn walks_see_their_own_database_and_a_whole_transaction() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1 PX 10", "SELECT 1", "SET b 2", "SET c 3"]);
    client.check("DBSIZE", ":2\r\n");
    client.all(&["SELECT 0"]);
    client.check("DBSIZE", ":1\r\n");
    client.all(&["SELECT 3"]);
    client.check("DBSIZE", ":0\r\n");
    client.check("KEYS *", "*0\r\n");
    client.all(&["SELECT 0"]);
    server.advance_ms(10);
    server.log();
    client.all(&["MULTI", "SET d 4", "KEYS *", "SCAN 0", "DBSIZE", "SELECT 1", "DEL b", "KEYS *"]);
    let reply = "*7\r\n+OK\r\n*1\r\n$1\r\nd\r\n*2\r\n$1\r\n0\r\n*1\r\n$1\r\nd\r\n:1\r\n+OK\r\n:1\r\n*1\r\n$1\r\nc\r\n";
    client.check("EXEC", reply);
    assert_eq!(server.log(), ["0 MULTI", "0 SET d 4", "0 DEL a", "1 DEL b", "1 EXEC"]);
}

#[test]
fn randomkey_answers_an_expired_key_while_none_may_be_removed() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET old x PX 1", "SELECT 1", "SET other x PX 1"]);
    server.advance_ms(2);
    server.host.expiry_is_paused.store(true, Relaxed);
    client.check("RANDOMKEY", "$5\r\nother\r\n");
    client.run("SET live x");
    client.check("RANDOMKEY", "$4\r\nlive\r\n");
    server.host.expiry_is_paused.store(false, Relaxed);
    client.all(&["SELECT 0"]);
    client.check("RANDOMKEY", "$-1\r\n");
}

#[test]
fn keys_stops_when_the_client_is_going_to_be_closed() {
    let server = Server::new();
    let mut client = server.client();
    for n in 0..100 {
        client.run(&format!("SET key:{n} x"));
    }
    let whole = client.run("KEYS *").len();
    client.out.set_limit(Some(100), 10_000);
    assert!(client.run("KEYS *").len() < 150, "the room does not count, for the length was filled in later");
    client.out.set_limit(Some(100), 10_000);
    client.run("PING");
    assert!(!client.out.is_over_limit());
    client.out.set_limit(None, 0);
    assert_eq!(client.run("KEYS *").len(), whole);
}
