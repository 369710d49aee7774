use crate::testing::Server;

#[test]
fn events_and_log_are_those_of_changes_only() {
    let server = Server::new();
    let mut client = server.client();
    client.check("SETBIT a 7 1", ":0\r\n");
    client.check("SETBIT a 7 1", ":1\r\n");
    client.check("SETBIT a 20 0", ":0\r\n");
    client.check("BITFIELD a GET u8 0", "*1\r\n:1\r\n");
    client.check("BITFIELD a SET u8 0 1", "*1\r\n:1\r\n");
    client.check("BITFIELD a SET u8 0 2", "*1\r\n:1\r\n");
    client.check("BITOP NOT b a", ":3\r\n");
    client.check("BITOP AND b none", ":0\r\n");
    client.check("BITOP AND b none", ":0\r\n");
    assert_eq!(
        server.log(),
        ["0 SETBIT a 7 1", "0 SETBIT a 20 0", "0 BITFIELD a SET u8 0 2", "0 BITOP NOT b a", "0 BITOP AND b none",]
    );
    let events = server.events();
    let expected = [
        "0 new a",
        "0 setbit a",
        "0 setbit a",
        "0 setbit a",
        "0 new b",
        "0 set b",
        "0 keymiss none",
        "0 del b",
        "0 keymiss none",
    ];
    assert_eq!(events, expected);
}

/// A replica sees no key as expired, so a source that the primary did not use must be gone before.
#[test]
fn an_expired_source_is_deleted_before_the_command_in_the_log() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a x PX 10", "SET b y"]);
    server.advance_ms(10);
    server.forget();
    client.check("BITOP OR c a b", ":1\r\n");
    client.check("GET c", "$1\r\ny\r\n");
    assert_eq!(server.log(), ["0 MULTI", "0 DEL a", "0 BITOP OR c a b", "0 EXEC"]);
}

/// Redis creates the key here and tells nobody; its replicas then lack it.
#[test]
fn a_string_that_only_grew_is_logged() {
    let server = Server::new();
    let mut client = server.client();
    client.check("BITFIELD a OVERFLOW FAIL SET u2 0 10", "*1\r\n$-1\r\n");
    client.check("STRLEN a", ":1\r\n");
    assert_eq!(server.log(), ["0 BITFIELD a OVERFLOW FAIL SET u2 0 10"]);
}

/// Redis 8.2's documentation of BITOP has the definitions, its source (`bitopCommand`) the error; 8.0.2 knows none of
/// these operations.
#[test]
fn the_operations_of_redis_8_2() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SETBIT x 0 1", "SETBIT x 1 1", "SETBIT y 1 1", "SETBIT y 2 1", "SETBIT z 2 1", "SETBIT z 9 1"]);
    let mut check = |operation: &str, bits: &str| {
        client.check(&format!("BITOP {operation} d x y z"), ":2\r\n");
        client.check("BITFIELD d GET u3 0 GET u1 9", bits);
    };
    check("DIFF", "*2\r\n:4\r\n:0\r\n");
    check("DIFF1", "*2\r\n:1\r\n:1\r\n");
    check("ANDOR", "*2\r\n:2\r\n:0\r\n");
    check("ONE", "*2\r\n:4\r\n:1\r\n");
    client.check("BITOP diff d x", "-ERR BITOP DIFF must be called with at least two source keys.\r\n");
    client.check("BITOP ONE d x", ":1\r\n");
}

#[test]
fn hostile_numbers_are_refused() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET s foobar"]);
    let offset = "-ERR bit offset is not an integer or out of range\r\n";
    client.check("SETBIT s 9223372036854775807 1", offset);
    client.check("SETBIT s #1 1", offset);
    client.check("BITFIELD s SET i64 #9223372036854775807 1", offset);
    client.check("BITFIELD s GET u8 -1", offset);
    client.check("BITCOUNT s -9223372036854775808 9223372036854775807 BIT", ":26\r\n");
    client.check("BITCOUNT s 9223372036854775807 -9223372036854775808", ":0\r\n");
    client.check("BITPOS s 0 9223372036854775807", ":-1\r\n");
    client.check("BITPOS s 1 -9223372036854775808 -1 BIT", ":1\r\n");
    client.check("BITFIELD s OVERFLOW SAT INCRBY i64 0 9223372036854775807", "*1\r\n:9223372036854775807\r\n");
}
