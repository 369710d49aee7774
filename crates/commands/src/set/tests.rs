//! Effects and events, as Redis 8.0.2 was seen to propagate them, and the encodings of computed results.

use crate::testing::{Server, TestClient};

#[track_caller]
fn told(server: &Server, client: &mut TestClient, line: &str, log: &[&str], events: &[&str]) {
    server.forget();
    let reply = client.run(line);
    assert!(!reply.starts_with('-'), "{line}: {reply}");
    let owned = |lines: &[&str]| lines.iter().map(|line| format!("0 {line}")).collect::<Vec<_>>();
    let seen: Vec<String> =
        server.events().into_iter().filter(|event| !event.contains(" new ") && !event.contains(" keymiss ")).collect();
    assert_eq!((server.log(), seen), (owned(log), owned(events)), "{line}");
}

#[test]
fn changes_are_told_as_redis_tells_them() {
    let server = Server::new();
    let client = &mut server.client();
    let mut told = |line: &str, log: &[&str], events: &[&str]| told(&server, client, line, log, events);
    told("SADD s 1 2", &["SADD s 1 2"], &["sadd s"]);
    told("SADD s 1", &[], &[]);
    told("SREM s 1 9", &["SREM s 1 9"], &["srem s"]);
    told("SREM s 2", &["SREM s 2"], &["srem s", "del s"]);
    told("SADD a 1 2 3", &["SADD a 1 2 3"], &["sadd a"]);
    told("SADD b 2 3 4", &["SADD b 2 3 4"], &["sadd b"]);
    told("SINTERSTORE d a b", &["SINTERSTORE d a b"], &["sinterstore d"]);
    told("SINTERSTORE d a nokey", &["SINTERSTORE d a nokey"], &["del d"]);
    told("SUNIONSTORE d nokey", &[], &[]);
    told("SUNIONSTORE d a b", &["SUNIONSTORE d a b"], &["sunionstore d"]);
    told("SDIFFSTORE d a b", &["SDIFFSTORE d a b"], &["sdiffstore d"]);
    told("SDIFFSTORE d a a", &["SDIFFSTORE d a a"], &["del d"]);
    told("SMOVE a b 1", &["SMOVE a b 1"], &["srem a", "sadd b"]);
    told("SMOVE a b 2", &["SMOVE a b 2"], &["srem a"]);
    told("SMOVE a a 3", &[], &[]);
    told("SMOVE a new 3", &["SMOVE a new 3"], &["srem a", "del a", "sadd new"]);
}

/// Members in the array of a reply.
fn members(reply: &str) -> Vec<String> {
    reply.split("\r\n").skip(1).filter(|part| !part.is_empty() && !part.starts_with('$')).map(Into::into).collect()
}

#[test]
fn spop_is_logged_as_the_exact_removal() {
    for count in [1, 10, 1990] {
        let server = Server::new();
        let client = &mut server.client();
        let all: Vec<String> = (0..2000).map(|n| format!("m{n}")).collect();
        client.all(&[&format!("SADD s {}", all.join(" "))]);
        server.forget();
        let popped = members(&client.run(&format!("SPOP s {count}")));
        assert_eq!(popped.len(), count);
        let log = server.log();
        let removals: Vec<&String> = log.iter().filter(|line| line.starts_with("0 SREM s ")).collect();
        // Several removals are wrapped in a transaction.
        assert!(removals.len() == log.len() || removals.len() + 2 == log.len(), "{log:?}");
        let removed: Vec<&str> = removals.iter().flat_map(|line| line.split(' ').skip(3)).collect();
        assert_eq!(removed, popped);
        client.check("SCARD s", &format!(":{}\r\n", 2000 - count));
        let still: usize = popped
            .iter()
            .map(|member| client.run(&format!("SISMEMBER s {member}")))
            .filter(|reply| reply == ":1\r\n")
            .count();
        assert_eq!(still, 0);
        client.all(&["SPOP s 5000"]);
        assert_eq!(server.log(), ["0 DEL s"]);
        assert_eq!(server.events().last().unwrap(), "0 del s");
        client.check("SPOP s", "$-1\r\n");
    }
    let server = Server::new();
    let client = &mut server.client();
    client.all(&["SADD s x"]);
    server.forget();
    client.check("SPOP s", "$1\r\nx\r\n");
    assert_eq!((server.log(), server.entries(0)), (vec!["0 SREM s x".into()], 0));
}

#[test]
fn an_expired_set_is_a_missing_one() {
    let server = Server::new();
    let client = &mut server.client();
    client.all(&["SADD a 1 2", "SADD b 2 3", "PEXPIRE b 10"]);
    server.advance_ms(10);
    server.forget();
    client.check("SINTERCARD 2 a b", ":0\r\n");
    assert_eq!(server.log(), ["0 DEL b"]);
    client.all(&["SADD b 2 3", "PEXPIRE b 10"]);
    server.advance_ms(10);
    server.forget();
    client.check("SDIFFSTORE d a b", ":2\r\n");
    assert_eq!(server.log(), ["0 MULTI", "0 DEL b", "0 SDIFFSTORE d a b", "0 EXEC"]);
}
