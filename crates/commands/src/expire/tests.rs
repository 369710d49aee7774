use crate::testing::{START_MS, Server, TestClient};

const MAX: i64 = i64::MAX;

#[test]
fn deadlines_of_all_units_are_logged_as_milliseconds() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1"]);
    server.forget();
    for (line, deadline) in [
        ("EXPIRE a 10", START_MS + 10_000),
        ("PEXPIRE a 10", START_MS + 10),
        ("EXPIREAT a 5000", 5_000_000),
        ("PEXPIREAT a 5000001", 5_000_001),
        ("EXPIRE a 9223372036853775", 9_223_372_036_853_775_000 + START_MS),
        ("PEXPIREAT a 9223372036854775807", MAX),
    ] {
        client.check(line, ":1\r\n");
        assert_eq!(server.log(), [format!("0 PEXPIREAT a {deadline}")], "{line}");
        assert_eq!(server.events(), ["0 expire a"], "{line}");
        client.check("PEXPIRETIME a", &format!(":{deadline}\r\n"));
        client.check("PTTL a", &format!(":{}\r\n", deadline - START_MS));
    }
    // Redis rounds up to a second that milliseconds cannot express.
    client.check("EXPIRETIME a", ":9223372036854776\r\n");
    client.check("PERSIST a", ":1\r\n");
    client.check("PERSIST a", ":0\r\n");
    client.check("PERSIST nokey", ":0\r\n");
    assert_eq!((server.log(), server.events()), (vec!["0 PERSIST a".into()], vec!["0 persist a".into()]));
}

#[test]
fn a_deadline_in_the_past_deletes() {
    for line in [
        "EXPIRE a 0",
        "EXPIRE a -1",
        "PEXPIRE a 0",
        "PEXPIRE a -9223372036854775808",
        "EXPIRE a -9223372036854775",
        "EXPIREAT a 1000",
        "EXPIREAT a -1",
        "PEXPIREAT a 1000000",
        "EXPIRE a -1 LT",
    ] {
        let server = Server::new();
        let mut client = server.client();
        client.all(&["SET a 1"]);
        server.forget();
        client.check(line, ":1\r\n");
        assert_eq!((server.log(), server.events()), (vec!["0 DEL a".into()], vec!["0 del a".into()]), "{line}");
        client.check(line, ":0\r\n");
        assert!(server.log().is_empty(), "{line}");
    }
}

#[test]
fn amounts_that_overflow_are_refused() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1"]);
    for (name, amounts) in [
        ("expire", vec![MAX, MAX / 1000, MAX / 1000 + 1, i64::MIN, -(MAX / 1000) - 1]),
        ("pexpire", vec![MAX, MAX - START_MS + 1]),
        ("expireat", vec![MAX, MAX / 1000 + 1, i64::MIN]),
    ] {
        for amount in amounts {
            let error = format!("-ERR invalid expire time in '{name}' command\r\n");
            client.check(&format!("{name} a {amount}"), &error);
            client.check(&format!("{name} nokey {amount}"), &error);
        }
    }
    client.check("PTTL a", ":-1\r\n");
    client.check("PEXPIRE a 9223372036853775807", ":1\r\n");
}

#[test]
fn errors_come_in_the_order_of_redis() {
    let server = Server::new();
    let mut client = server.client();
    let incompatible = "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n";
    for (line, reply) in [
        ("EXPIRE a x FOO", "-ERR Unsupported option FOO\r\n"),
        ("EXPIRE a x NX XX", incompatible),
        ("EXPIRE a 1 NX GT", incompatible),
        ("EXPIRE a 1 LT NX", incompatible),
        ("EXPIRE a 1 GT LT NX", incompatible),
        ("EXPIRE a 1 GT LT", "-ERR GT and LT options at the same time are not compatible\r\n"),
        ("EXPIRE a 1 GT XX LT", "-ERR GT and LT options at the same time are not compatible\r\n"),
        ("EXPIRE a x", "-ERR value is not an integer or out of range\r\n"),
        ("EXPIRE a 1 NX nx", ":0\r\n"),
        ("EXPIRE a", "-ERR wrong number of arguments for 'expire' command\r\n"),
    ] {
        client.check(line, reply);
    }
}

#[test]
fn conditions() {
    // For each condition: may 200 be set where there is nothing, 100, 200, 300?
    const MATRIX: [(&str, [bool; 4]); 7] = [
        ("", [true, true, true, true]),
        ("NX", [true, false, false, false]),
        ("XX", [false, true, true, true]),
        ("GT", [false, true, false, false]),
        ("LT", [true, false, false, true]),
        ("XX GT", [false, true, false, false]),
        ("XX LT", [false, false, false, true]),
    ];
    for (condition, allowed) in MATRIX {
        for (current, allowed) in [None, Some(100), Some(200), Some(300)].into_iter().zip(allowed) {
            check_condition(condition, current, allowed);
        }
    }
}

fn check_condition(condition: &str, current: Option<i64>, allowed: bool) {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1"]);
    if let Some(current) = current {
        client.all(&[&format!("EXPIRE a {current}")]);
    }
    server.log();
    let line = format!("EXPIRE a 200 {condition}").trim_end().to_string();
    client.check(&line, if allowed { ":1\r\n" } else { ":0\r\n" });
    let left = if allowed { 200 } else { current.unwrap_or(-1) };
    client.check("TTL a", &format!(":{left}\r\n"));
    assert_eq!(server.log().len(), usize::from(allowed), "{condition} {current:?}");
}

#[test]
fn what_is_left_is_rounded_to_the_nearest_second() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1"]);
    for (millis, seconds) in [(1, 0), (499, 0), (500, 1), (1499, 1), (1500, 2)] {
        client.all(&[&format!("PEXPIRE a {millis}")]);
        client.check("TTL a", &format!(":{seconds}\r\n"));
        client.check("EXPIRETIME a", &format!(":{}\r\n", 1000 + seconds));
    }
    let ask = |client: &mut TestClient, key: &str, reply: &str| {
        for name in ["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"] {
            client.check(&format!("{name} {key}"), reply);
        }
    };
    client.all(&["PERSIST a", "SET b 1 PX 1"]);
    server.advance_ms(1);
    ask(&mut client, "a", ":-1\r\n");
    ask(&mut client, "b", ":-2\r\n");
}

#[test]
fn an_expired_key_cannot_be_revived() {
    for line in ["PERSIST a", "EXPIRE a 100", "PEXPIREAT a 9999999"] {
        let server = Server::new();
        let mut client = server.client();
        client.all(&["SET a 1 PX 10"]);
        server.advance_ms(10);
        server.log();
        client.check(line, ":0\r\n");
        assert_eq!((server.log(), server.entries(0)), (vec!["0 DEL a".into()], 0), "{line}");
    }
}
