//! As in `compare/tests.rs`, each expectation names its source: **8.4** is `tests/unit/type/string.tcl` of Redis 8.4,
//! **page** the page of MSETEX at redis.io.

use crate::testing::{START_MS, Server};

#[test]
fn all_or_none_are_set() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET old v"]);
    // 8.4: "MSETEX - NX/XX conditions and return values", "- flexible argument parsing".
    client.check("MSETEX 2 a 1 b 2 nx ex 10", ":1\r\n");
    client.check("MSETEX 2 c 1 old 2 EX 10 NX", ":0\r\n");
    client.check("MSETEX 2 c 1 old 2 XX", ":0\r\n");
    client.check("EXISTS c", ":0\r\n");
    client.check("MSETEX 2 a x old y XX PX 7000", ":1\r\n");
    client.check("MGET a b old", "*3\r\n$1\r\nx\r\n$1\r\n2\r\n$1\r\ny\r\n");
    client.check("PTTL old", ":7000\r\n");
    // page: no option is needed, and then an expiry goes as with SET; any type is overwritten.
    client.all(&["RPUSH l x"]);
    client.check("MSETEX 2 a 1 l 2", ":1\r\n");
    client.check("PTTL a", ":-1\r\n");
    client.check("TYPE l", "+string\r\n");
    // The last of equal keys counts, as with MSET.
    client.check("MSETEX 2 a 1 a 2", ":1\r\n");
    client.check("GET a", "$1\r\n2\r\n");
}

#[test]
fn one_expiry_holds_for_all() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET k v PX 100"]);
    // 8.4: "MSETEX - KEEPTTL preserves existing TTL", "- all expiration flags".
    client.check("MSETEX 2 k w n w KEEPTTL", ":1\r\n");
    client.check("PTTL k", ":100\r\n");
    client.check("PTTL n", ":-1\r\n");
    client.check("MSETEX 1 k v EXAT 4102444800", ":1\r\n");
    client.check("PEXPIRETIME k", ":4102444800000\r\n");
    client.check("MSETEX 1 k v PXAT 4102444800001", ":1\r\n");
    client.check("PEXPIRETIME k", ":4102444800001\r\n");
    // What is over already leaves no key; redis/redis pull request 15069 says so of SET, and what it changes in MSETEX.
    client.check("MSETEX 2 k v none v PXAT 1", ":1\r\n");
    client.check("EXISTS k none", ":0\r\n");
}

#[test]
fn errors_leave_everything_as_it_is() {
    let server = Server::new();
    let mut client = server.client();
    // 8.4: "MSETEX - error cases", "- overflow protection in numkeys", "- mutually exclusive flags".
    client.check("MSETEX", "-ERR wrong number of arguments for 'msetex' command\r\n");
    for count in ["key1", "0", "-1", "2147483648", "9223372036854775808"] {
        client.check(&format!("MSETEX {count} val1 ex 10"), "-ERR invalid numkeys value\r\n");
    }
    client.check("MSETEX 2 a 1 b", "-ERR wrong number of key-value pairs\r\n");
    client.check("MSETEX 2147483647 a 1 ex 10", "-ERR wrong number of key-value pairs\r\n");
    for options in [
        "bogus",
        "NX XX",
        "EX 10 PX 5000",
        "EXAT 1 PXAT 1",
        "KEEPTTL EX 10",
        "EX 10 KEEPTTL",
        "EX",
        "GET",
        "IFEQ 1",
        "c 3",
    ] {
        client.check(&format!("MSETEX 2 a 1 b 2 {options}"), "-ERR syntax error\r\n");
    }
    client.check("MSETEX 1 a 1 EX 0", "-ERR invalid expire time in 'msetex' command\r\n");
    client.check("MSETEX 1 a 1 EX x", "-ERR value is not an integer or out of range\r\n");
    assert!(server.log().is_empty() && server.events().is_empty());
    client.check("EXISTS a b", ":0\r\n");
}

#[test]
fn the_log_holds_a_set_for_each_key() {
    let server = Server::new();
    let mut client = server.client();
    client.check("MSETEX 2 a 1 b 2 NX EX 10", ":1\r\n");
    client.check("MSETEX 1 a 2 KEEPTTL", ":1\r\n");
    client.check("MSETEX 3 a 1 b 1 c 1 PXAT 1", ":1\r\n");
    let deadline = START_MS + 10_000;
    assert_eq!(
        server.log(),
        [
            "0 MULTI",
            &format!("0 SET a 1 PXAT {deadline}"),
            &format!("0 SET b 2 PXAT {deadline}"),
            "0 EXEC",
            "0 SET a 2 KEEPTTL",
            "0 DEL a b"
        ]
    );
    // redis/redis pull request 15069: a `set` and an `expire` for each key.
    let events: Vec<String> = server.events().into_iter().filter(|event| !event.starts_with("0 new")).collect();
    let expected = ["0 set a", "0 expire a", "0 set b", "0 expire b", "0 set a", "0 del a", "0 del b"];
    assert_eq!(events, expected);
}

#[test]
fn its_keys_are_found() {
    let server = Server::new();
    let mut client = server.client();
    client.check("COMMAND GETKEYS MSETEX 2 a 1 b 2 EX 10", "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
}
