use super::*;
use crate::eviction::Policy;
use crate::testing::{START_MS, Server, TestClient};

/// What `GET` would have to return for RESTORE to take it: payloads are no text, so they go around the harness.
fn payload_of(string: &str) -> Vec<u8> {
    payload::dump(&Entry::string(b"any", string.as_bytes(), None))
}

fn restore(client: &mut TestClient, words: &str, payload: &[u8]) -> String {
    let words: Vec<&[u8]> = words.split(' ').map(|word| if word == "P" { payload } else { word.as_bytes() }).collect();
    client.run_args(words)
}

#[test]
fn refusals_come_in_the_order_of_redis() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET s x"]);
    let good = payload_of("y");
    let mut check = |words: &str, expected: &str| {
        assert_eq!(restore(&mut client, words, &good), format!("-{expected}\r\n"), "{words}");
    };
    check("RESTORE s -1 bad NOPE", "ERR syntax error");
    check("RESTORE s -1 bad IDLETIME", "ERR syntax error");
    check("RESTORE s -1 bad IDLETIME x", "ERR value is not an integer or out of range");
    check("RESTORE s -1 bad IDLETIME -1", "ERR Invalid IDLETIME value, must be >= 0");
    check("RESTORE s -1 bad FREQ 256", "ERR Invalid FREQ value, must be >= 0 and <= 255");
    check("RESTORE s -1 bad FREQ 1 IDLETIME 1", "ERR syntax error");
    check("RESTORE s -1 bad", "BUSYKEY Target key name already exists.");
    check("RESTORE t x bad", "ERR value is not an integer or out of range");
    check("RESTORE t -1 bad", "ERR Invalid TTL value, must be >= 0");
    check("RESTORE t 0 bad", "ERR DUMP payload version or checksum are wrong");
    check("RESTORE t 0 short-but-long-enough", "ERR DUMP payload version or checksum are wrong");
    let mut newer = vec![0, 0, 13, 0];
    newer.extend(rdb::crc64::crc64(&newer).to_le_bytes());
    let version = restore(&mut client, "RESTORE t 0 P", &newer);
    assert_eq!(version, "-ERR DUMP payload version or checksum are wrong\r\n");
    let mut broken = vec![99, 0, 10, 0];
    broken.extend(rdb::crc64::crc64(&broken).to_le_bytes());
    assert_eq!(restore(&mut client, "RESTORE t 0 P", &broken), "-ERR Bad data format\r\n");
    client.check("GET s", "$1\r\nx\r\n");
}

#[test]
fn deadlines_become_absolute() {
    let server = Server::new();
    let mut client = server.client();
    // Three ASCII bytes and a checksum that is no text; the log shows it with replacement characters.
    let payload = payload_of("y");
    let shown = String::from_utf8_lossy(&payload).into_owned();
    let mut run = |words: &str| {
        assert_eq!(restore(&mut client, words, &payload), "+OK\r\n", "{words}");
        (server.log(), server.events())
    };
    let created = |key: &str| vec![format!("0 new {key}"), format!("0 restore {key}")];
    assert_eq!(run("RESTORE a 0 P"), (vec![format!("0 RESTORE a 0 {shown}")], created("a")));
    let at = START_MS + 100;
    assert_eq!(run("RESTORE b 100 P"), (vec![format!("0 RESTORE b {at} {shown} ABSTTL")], created("b")));
    assert_eq!(
        run(&format!("RESTORE b {at} P ABSTTL REPLACE")),
        (vec![format!("0 RESTORE b {at} {shown} ABSTTL REPLACE")], created("b"))
    );
    assert_eq!(run("RESTORE b 5 P ABSTTL REPLACE"), (vec!["0 DEL b".into()], vec!["0 del b".into()]));
    assert_eq!(run("RESTORE b 5 P ABSTTL"), (vec![], vec![]));
    assert_eq!(run("RESTORE b 9223372036854775807 P").1, created("b"));
}

#[test]
fn the_access_clock_is_restored() {
    let server = Server::new();
    let mut client = server.client();
    let payload = payload_of("y");
    let mut check = |words: &str, look: &str, expected: &str| {
        assert_eq!(restore(&mut client, words, &payload), "+OK\r\n", "{words}");
        client.check(look, expected);
    };
    check("RESTORE a 0 P IDLETIME 100", "OBJECT IDLETIME a", ":100\r\n");
    // The clock has 24 bits.
    check("RESTORE a 0 P REPLACE IDLETIME 99999999999", "OBJECT IDLETIME a", ":7792639\r\n");
    check("RESTORE a 0 P REPLACE FREQ 7", "OBJECT IDLETIME a", ":0\r\n");
    server.settings.set_policy(Policy::AllkeysLfu);
    check("RESTORE b 0 P FREQ 7", "OBJECT FREQ b", ":7\r\n");
}
