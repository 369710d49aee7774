//! What DEBUG does besides digests, which have tests of their own.

use super::switch;
use crate::testing::Server;

#[test]
fn switches_are_numbers() {
    for (text, on) in
        [("0", false), ("1", true), ("-1", true), ("10", true), ("00", false), ("yes", false), ("", false)]
    {
        assert_eq!(switch(text.as_bytes()), on, "{text}");
    }
}

#[test]
fn populate_keeps_what_is_there_and_is_not_logged() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET key:1 kept", "WATCH key:2", "DEBUG POPULATE 3 key 9", "MULTI", "PING"]);
    client.check("EXEC", "*-1\r\n");
    client.check("GET key:1", "$4\r\nkept\r\n");
    client.check("GET key:2", "$9\r\nvalue:2\0\0\r\n");
    client.check("DBSIZE", ":3\r\n");
    client.check("DEBUG POPULATE 99999999999", "-ERR OOM in dictTryExpand\r\n");
    client.check("DEBUG POPULATE -1", "-ERR value is out of range, must be positive\r\n");
    client.check(
        "DEBUG POPULATE 1 a 9223372036854775807",
        "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n",
    );
    assert_eq!(server.log(), ["0 SET key:1 kept"]);
}

#[test]
fn replies_of_every_type() {
    let server = Server::new();
    let mut client = server.client();
    client.check("DEBUG PROTOCOL push", "-ERR RESP2 is not supported by this command\r\n");
    client.check("DEBUG PROTOCOL null", "$-1\r\n");
    client.check("DEBUG PROTOCOL attrib", "$39\r\nSome real reply following the attribute\r\n");
    client.check("DEBUG ERROR CODE", "-CODE\r\n");
    client.resp3();
    client.check("DEBUG PROTOCOL map", "%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n");
    client.check("DEBUG PROTOCOL double", ",3.141\r\n");
    client.check("DEBUG PROTOCOL verbatim", "=29\r\ntxt:This is a verbatim\nstring\r\n");
    client.check(
        "DEBUG PROTOCOL attrib",
        "|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n$39\r\nSome real reply following the attribute\r\n",
    );
    client.check(
        "DEBUG PROTOCOL push",
        ">2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n$40\r\nSome real reply following the push reply\r\n",
    );
}

#[test]
fn objects_show_their_form() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET s x", "DEBUG QUICKLIST-PACKED-THRESHOLD 5", "RPUSH l a bbbbbbbb c"]);
    let reply = client.run("DEBUG OBJECT s");
    assert!(
        reply.contains(" refcount:1 encoding:embstr lru:") && reply.ends_with(" lru_seconds_idle:0\r\n"),
        "{reply}"
    );
    client.check("DEBUG OBJECT nosuch", "-ERR no such key\r\n");
    client.check(
        "DEBUG NOSUCH",
        "-ERR unknown subcommand or wrong number of arguments for 'NOSUCH'. Try DEBUG HELP.\r\n",
    );
    client.check(
        "DEBUG QUICKLIST-PACKED-THRESHOLD 5gb",
        "-ERR argument must be a memory value bigger than 1 and smaller than 4gb\r\n",
    );
}

#[test]
fn what_a_value_is_made_of() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["HSET packed f v", "SADD table member-that-is-no-integer", "SET string s"]);
    client.check("DEBUG LISTPACK packed", "+Listpack structure printed on stdout\r\n");
    client.check("DEBUG LISTPACK string", "-ERR Not a listpack encoded object.\r\n");
    client.check("DEBUG LISTPACK none", "-ERR no such key\r\n");
    let no_table = "-ERR The value stored at the specified key is not represented using an hash table\r\n";
    client.check("DEBUG HTSTATS-KEY packed", no_table);
    let long = format!("HSET table2 f {}", "x".repeat(100));
    client.all(&[&long]);
    client.check(
        "DEBUG HTSTATS-KEY table2",
        "$61\r\nHash table 0 stats (main hash table):\n number of elements: 1\n\r\n",
    );
}

#[test]
fn a_wrong_checksum_may_be_let_through() {
    let server = Server::new();
    let mut client = server.client();
    // A string of one byte, format 10, and a checksum that is wrong.
    let restore = |key: &'static str| [&b"RESTORE"[..], key.as_bytes(), b"0", b"\x00\x01x\x0a\x00wrongsum"];
    assert_eq!(client.run_args(restore("a")), "-ERR DUMP payload version or checksum are wrong\r\n");
    client.check("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1", "+OK\r\n");
    assert_eq!(client.run_args(restore("a")), "+OK\r\n");
    client.check("GET a", "$1\r\nx\r\n");
    client.check("DEBUG SET-SKIP-CHECKSUM-VALIDATION 0", "+OK\r\n");
    assert_eq!(client.run_args(restore("b")), "-ERR DUMP payload version or checksum are wrong\r\n");
}

#[test]
fn patterns_at_random() {
    Server::new().client().check("DEBUG STRINGMATCH-TEST", "+Apparently Redis did not crash: test passed\r\n");
}
