//! No reference at hand knows these commands as a whole, so every expectation names its source:
//!
//! - **8.4**: `tests/unit/type/string.tcl` of Redis 8.4, by the title of the test;
//! - **page**: the command's page at redis.io;
//! - **valkey**: asked of a running Valkey 8.1, which knows SET IFEQ, or the page of DELIFEQ at valkey.io;
//! - **fake**: the tests of fakeredis for Redis 8.4 and later, which run against a real server too.

use crate::testing::{START_MS, Server, TestClient};

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
const BAD_DIGEST: &str = "-ERR must be exactly 16 hexadecimal characters\r\n";
/// XXH3 of `hello` (fake: `test_digest`).
const HELLO: &str = "9555e8555c62dcfd";

fn client_with(lines: &[&str]) -> (Server, TestClient) {
    let server = Server::new();
    let mut client = server.client();
    client.all(lines);
    server.forget();
    (server, client)
}

#[test]
fn digest_is_xxh3_in_sixteen_digits() {
    let (_, mut client) = client_with(&["SET a hello", r#"SET b """#, "SET c 123", "SET d v8", "RPUSH l x"]);
    // fake: test_digest.
    for (key, digest) in [("a", HELLO), ("b", "2d06800538d394c2"), ("c", "404a763b3f4c8c9a"), ("d", "0cc76dbb41381419")]
    {
        client.check(&format!("DIGEST {key}"), &format!("$16\r\n{digest}\r\n"));
    }
    // 8.4: "DIGEST always returns exactly 16 hex characters with leading zeros".
    client.check(
        "SET z v8lf0c11xh8ymlqztfd3eeq16kfn4sspw7fqmnuuq3k3t75em5wdizgcdw7uc26nnf961u2jkfzkjytls2kwlj7626sd",
        "+OK\r\n",
    );
    client.check("DIGEST z", "$16\r\n00006c38adf31777\r\n");
    // 8.4: "DIGEST against non-existing key", "... against wrong type", "... wrong number of arguments".
    client.check("DIGEST none", "$-1\r\n");
    client.check("DIGEST l", WRONG_TYPE);
    client.check("DIGEST", "-ERR wrong number of arguments for 'digest' command\r\n");
    client.check("DIGEST a b", "-ERR wrong number of arguments for 'digest' command\r\n");
}

#[test]
fn set_compares_with_a_string() {
    let (server, mut client) = client_with(&["SET k hello", "RPUSH l x"]);
    // 8.4: "Extended SET with IFEQ ..." and "... IFNE ..."; valkey for IFEQ.
    client.check("SET k world IFEQ different", "$-1\r\n");
    client.check("SET k world IFNE hello", "$-1\r\n");
    client.check("SET none world IFEQ hello", "$-1\r\n");
    client.check("EXISTS none", ":0\r\n");
    assert!(server.log().is_empty(), "a comparison that fails changes nothing");
    client.check("SET k world IfEq hello", "+OK\r\n");
    client.check("SET k again IFNE hello", "+OK\r\n");
    client.check("SET new world IFNE hello", "+OK\r\n");
    // 8.4 and valkey: against the wrong type.
    for condition in ["IFEQ x", "IFNE x", "IFDEQ x", "IFDNE x", "IFEQ x GET"] {
        client.check(&format!("SET l v {condition}"), WRONG_TYPE);
    }
    // 8.4: "Extended SET with integer-encoded value and IFEQ"; valkey: 010 is not 10.
    client.all(&["SET n 10"]);
    client.check("SET n 11 IFEQ 010", "$-1\r\n");
    client.check("SET n 11 IFEQ 10", "+OK\r\n");
    // 8.4: "Extended SET with empty string and IFNE".
    client.all(&[r#"SET e """#]);
    client.check(r#"SET e x IFNE """#, "$-1\r\n");
    client.check(r#"SET e x IFEQ """#, "+OK\r\n");
}

#[test]
fn set_compares_with_a_digest() {
    let (_, mut client) = client_with(&["SET k hello"]);
    // 8.4: "Extended SET with IFDEQ ...", "... IFDNE ...", "IFDEQ/IFDNE accepts uppercase hex digits".
    client.check("SET k x IFDEQ 9555e8555c62dcfe", "$-1\r\n");
    client.check(&format!("SET k x IFDNE {HELLO}"), "$-1\r\n");
    client.check(&format!("SET k hello IFDEQ {}", HELLO.to_uppercase()), "+OK\r\n");
    client.check("SET k hello IFDNE 9555e8555c62dcfe", "+OK\r\n");
    // 8.4: a missing key; the digest is not even looked at.
    client.check("SET none x IFDEQ 1234567890", "$-1\r\n");
    client.check("SET none x IFDNE 1234567890", "+OK\r\n");
    // 8.4: "IFDEQ/IFDNE reject digest with incorrect format".
    for digest in [&HELLO[1..], "09555e8555c62dcfd", r#""""#] {
        client.check(&format!("SET k x IFDEQ {digest}"), BAD_DIGEST);
        client.check(&format!("SET k x IFDNE {digest}"), BAD_DIGEST);
    }
    client.check("GET k", "$5\r\nhello\r\n");
    // fake: test_delex_digest_only_length_is_validated.
    client.check("SET k x IFDEQ zzzzzzzzzzzzzzzz", "$-1\r\n");
}

#[test]
fn get_answers_whatever_comes_of_the_comparison() {
    let (_, mut client) = client_with(&["SET k hello"]);
    // 8.4: "Extended SET with IFEQ and GET - ..."; valkey.
    client.check("SET k world IFEQ different GET", "$5\r\nhello\r\n");
    client.check("SET k world GET IFEQ hello", "$5\r\nhello\r\n");
    client.check("GET k", "$5\r\nworld\r\n");
    client.check("SET none world IFEQ hello GET", "$-1\r\n");
    client.check("EXISTS none", ":0\r\n");
    client.check("SET none world IFNE hello GET", "$-1\r\n");
    client.check("GET none", "$5\r\nworld\r\n");
}

#[test]
fn conditions_exclude_each_other() {
    let (_, mut client) = client_with(&["SET k v"]);
    // The page of SET gives one choice of all conditions; valkey for those with IFEQ, the doubled one too.
    for options in ["IFEQ v NX", "NX IFEQ v", "XX IFNE v", "IFEQ v IFEQ v", "IFEQ v IFNE w", "IFDEQ v XX", "IFEQ"] {
        client.check(&format!("SET k w {options}"), "-ERR syntax error\r\n");
    }
    client.check("SET k w IFEQ x EX 0", "-ERR invalid expire time in 'set' command\r\n");
    client.check("GET k", "$1\r\nv\r\n");
}

#[test]
fn the_log_holds_a_plain_set() {
    let (server, mut client) = client_with(&["SET k v PX 500"]);
    client.check("SET k w IFEQ v KEEPTTL", "+OK\r\n");
    client.check("SET k x IFNE v PX 100", "+OK\r\n");
    client.check("SET k y IFEQ x GET", "$1\r\nx\r\n");
    client.check("SET k z IFEQ y PXAT 1", "+OK\r\n");
    assert_eq!(server.entries(0), 0);
    let deadline = START_MS + 100;
    assert_eq!(server.log(), ["0 SET k w KEEPTTL", &format!("0 SET k x PXAT {deadline}"), "0 SET k y", "0 DEL k"]);
    assert_eq!(
        server.events(),
        ["0 set k", "0 set k", "0 expire k", "0 set k", "0 del k"],
        "those of SET, as the command's page names no others"
    );
}

#[test]
fn delex_deletes_what_compares() {
    let (server, mut client) = client_with(&["SET k hello", "SET d hello", "RPUSH l x", "SET n -999"]);
    // 8.4: "DELEX basic usage with IFEQ" and so on, "DELEX with non-existing key" (the digest is not looked at).
    for condition in ["IFEQ hello", "IFNE hello", "IFDEQ 1234567890", "IFDNE 1234567890", "FOO x"] {
        client.check(&format!("DELEX none {condition}"), ":0\r\n");
    }
    client.check("DELEX k IFEQ world", ":0\r\n");
    client.check("DELEX k IFNE hello", ":0\r\n");
    client.check(&format!("DELEX k IFDNE {HELLO}"), ":0\r\n");
    client.check("DELEX k IFDEQ 0000000000000000", ":0\r\n");
    assert!(server.log().is_empty() && server.events().is_empty());
    client.check("DELEX k IFEQ hello", ":1\r\n");
    client.check(&format!("DELEX d IFDEQ {}", HELLO.to_uppercase()), ":1\r\n");
    client.check("DELEX n IFEQ -999", ":1\r\n");
    // 8.4: "DELEX basic usage without conditions": any type.
    client.check("DELEX l", ":1\r\n");
    client.check("DELEX l", ":0\r\n");
    // 8.4: "DELEX propagate as DEL command to replica".
    assert_eq!(server.log(), ["0 DEL k", "0 DEL d", "0 DEL n", "0 DEL l"]);
    assert_eq!(server.events(), ["0 del k", "0 del d", "0 del n", "0 del l"]);
}

#[test]
fn delex_refuses_what_makes_no_sense() {
    let (server, mut client) = client_with(&["SET k hello", "RPUSH l x"]);
    // fake and 8.4: the number of arguments before the key, the type before the condition, the condition before the
    // digest.
    for line in ["DELEX", "DELEX k IFEQ", "DELEX none IFEQ", "DELEX k IFEQ hello extra"] {
        client.check(line, "-ERR wrong number of arguments for 'delex' command\r\n");
    }
    for condition in ["IFEQ", "IFDNE", "FOO"] {
        client.check(
            &format!("DELEX l {condition} x"),
            "-ERR Key should be of string type if conditions are specified\r\n",
        );
    }
    client.check("DELEX k FOO hello", "-ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE\r\n");
    client.check(&format!("DELEX k IFDEQ 0{HELLO}"), BAD_DIGEST);
    client.check(r#"DELEX k IFDNE """#, BAD_DIGEST);
    assert!(server.log().is_empty());
}

#[test]
fn delifeq_deletes_an_equal_string() {
    let (server, mut client) = client_with(&["SET k hello", "RPUSH l x"]);
    // valkey: 0 for a missing key and for another value, WRONGTYPE for another type, 1 when deleted.
    client.check("DELIFEQ none hello", ":0\r\n");
    client.check("DELIFEQ k world", ":0\r\n");
    client.check("DELIFEQ l x", WRONG_TYPE);
    client.check("DELIFEQ k hello", ":1\r\n");
    client.check("DELIFEQ k hello", ":0\r\n");
    client.check("DELIFEQ k", "-ERR wrong number of arguments for 'delifeq' command\r\n");
    assert_eq!(server.log(), ["0 DEL k"]);
    assert_eq!(server.events(), ["0 del k"]);
}

#[test]
fn an_expired_key_compares_as_a_missing_one() {
    let (server, mut client) = client_with(&["SET a v PX 10", "SET b v PX 10", "SET c v PX 10"]);
    server.advance_ms(10);
    client.check("SET a w IFEQ v", "$-1\r\n");
    client.check("DELEX b IFEQ v", ":0\r\n");
    client.check("DELIFEQ c v", ":0\r\n");
    assert_eq!(server.log(), ["0 DEL a", "0 DEL b", "0 DEL c"]);
}

#[test]
fn keys_are_told_with_what_happens_to_them() {
    let (_, mut client) = client_with(&[]);
    let keys = |client: &mut TestClient, line: &str| client.run(&format!("COMMAND GETKEYSANDFLAGS {line}"));
    assert_eq!(keys(&mut client, "SET k v IFEQ x"), "*1\r\n*2\r\n$1\r\nk\r\n*2\r\n+RW\r\n+update\r\n");
    assert!(keys(&mut client, "SET k v IFEQ x GET").contains("+access"));
    assert_eq!(keys(&mut client, "SET k v"), "*1\r\n*2\r\n$1\r\nk\r\n*2\r\n+OW\r\n+update\r\n");
}
