use crate::client::ClientFlags;
use crate::testing::Server;

#[test]
fn keys_are_deleted_counted_and_typed() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1", "SET b 2", "SET c 3"]);
    server.log();
    client.check("EXISTS a a b nokey", ":3\r\n");
    client.check("TOUCH a a nokey", ":2\r\n");
    client.check("TYPE a", "+string\r\n");
    client.check("TYPE nokey", "+none\r\n");
    client.check("DEL nokey", ":0\r\n");
    assert!(server.log().is_empty(), "nothing has changed");
    client.check("DEL a a nokey", ":1\r\n");
    client.check("UNLINK b c", ":2\r\n");
    assert_eq!(server.log(), ["0 DEL a a nokey", "0 UNLINK b c"]);
    let deleted = ["0 keymiss nokey"; 3].into_iter().chain(["0 del a", "0 del b", "0 del c"]);
    assert_eq!(server.events()[6..], deleted.collect::<Vec<_>>());
    assert_eq!((client.env.stats.dirty.get(), client.env.stats.hits.get(), client.env.stats.misses.get()), (6, 6, 3));
}

/// Writes that show what was there, or make something of it, are looks at it as reads are.
#[test]
fn a_write_that_reads_hits_or_misses() {
    for (line, hits, misses) in [
        ("GETDEL a", 1, 0),
        ("GETDEL nokey", 0, 1),
        ("GETEX a", 1, 0),
        ("GETEX nokey EX 10", 0, 1),
        ("GETSET a 2", 1, 0),
        ("SET nokey 2 GET", 0, 1),
        ("SET nokey 2 XX GET", 0, 1),
        ("SET a 2 XX", 0, 0),
        ("SINTERSTORE d s nokey", 1, 1),
        ("SUNIONSTORE d s nokey", 1, 1),
        ("SDIFFSTORE d nokey s", 1, 1),
        ("GETDEL old", 0, 1),
    ] {
        let server = Server::new();
        let mut client = server.client();
        client.all(&["SET a 1", "SADD s x", "SET old 1 PX 10"]);
        server.advance_ms(10);
        server.forget();
        client.all(&[line]);
        assert_eq!((client.env.stats.hits.get(), client.env.stats.misses.get()), (hits, misses), "{line}");
        let missed = server.events().iter().filter(|event| event.contains(" keymiss ")).count();
        assert_eq!(missed as u64, misses, "{line}");
    }
}

#[test]
fn an_expired_key_is_not_deleted_but_expires() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1 PX 10", "SET b 2"]);
    server.advance_ms(10);
    server.forget();
    client.check("DEL a b", ":1\r\n");
    assert_eq!(server.log(), ["0 MULTI", "0 DEL a", "0 DEL a b", "0 EXEC"]);
    assert_eq!(server.events(), ["0 expired a", "0 del b"]);
    assert_eq!(server.entries(0), 0);
}

#[test]
fn reads_hide_expired_keys_and_remove_them_afterwards() {
    for line in ["EXISTS a", "TOUCH a", "TYPE a", "TTL a", "OBJECT ENCODING a", "COPY a b"] {
        let server = Server::new();
        let mut client = server.client();
        client.all(&["SET a 1 PX 10"]);
        server.advance_ms(10);
        server.log();
        client.run(line);
        assert_eq!((server.log(), server.entries(0)), (vec!["0 DEL a".into()], 0), "{line}");
    }
}

#[test]
fn while_expiry_is_paused_expired_keys_are_hidden_and_stay() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1 PX 10"]);
    server.advance_ms(10);
    server.log();
    server.host.expiry_is_paused.store(true, std::sync::atomic::Ordering::Relaxed);
    client.check("EXISTS a", ":0\r\n");
    assert_eq!((server.log().len(), server.entries(0)), (0, 1));
}

#[test]
fn rename_carries_value_and_expiry() {
    let server = Server::new();
    let mut client = server.client();
    let long = "x".repeat(20_000);
    for value in ["12", "text", &long] {
        client.all(&[&format!("SET a {value} PX 500"), "SET b old"]);
        server.forget();
        let dirty = client.env.stats.dirty.get();
        client.check("RENAME a b", "+OK\r\n");
        assert_eq!(server.log(), ["0 RENAME a b"]);
        assert_eq!(server.events(), ["0 new b", "0 rename_from a", "0 rename_to b"]);
        assert_eq!(client.env.stats.dirty.get(), dirty + 1);
        client.check("GET b", &format!("${}\r\n{value}\r\n", value.len()));
        client.check("PTTL b", ":500\r\n");
        client.check("EXISTS a", ":0\r\n");
    }
}

#[test]
fn rename_knows_its_limits() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1", "SET b 2"]);
    server.log();
    client.check("RENAME nokey a", "-ERR no such key\r\n");
    client.check("RENAMENX nokey nokey", "-ERR no such key\r\n");
    client.check("RENAME a a", "+OK\r\n");
    client.check("RENAMENX a a", ":0\r\n");
    client.check("RENAMENX a b", ":0\r\n");
    assert!(server.log().is_empty());
    client.check("RENAMENX a c", ":1\r\n");
    client.check("MGET a b c", "*3\r\n$-1\r\n$1\r\n2\r\n$1\r\n1\r\n");
    assert_eq!(server.log(), ["0 RENAMENX a c"]);
}

#[test]
fn an_expired_destination_is_free() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1", "SET b 2 PX 10", "SET c 3 PX 10"]);
    server.advance_ms(10);
    server.log();
    client.check("RENAMENX a b", ":1\r\n");
    client.check("COPY b c", ":1\r\n");
    client.check("RENAME c b", "+OK\r\n");
    let log = server.log();
    assert_eq!(log[..4], ["0 MULTI", "0 DEL b", "0 RENAMENX a b", "0 EXEC"]);
    assert_eq!(log[4..], ["0 MULTI", "0 DEL c", "0 COPY b c", "0 EXEC", "0 RENAME c b"]);
}

#[test]
fn copies_are_independent() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1 PX 500"]);
    server.forget();
    client.check("COPY a b", ":1\r\n");
    assert_eq!(server.events(), ["0 new b", "0 copy_to b"]);
    client.check("COPY a b", ":0\r\n");
    client.check("COPY nokey b", ":0\r\n");
    client.all(&["INCR b"]);
    client.check("MGET a b", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
    client.check("PTTL b", ":500\r\n");
    client.check("COPY a b REPLACE", ":1\r\n");
    client.check("GET b", "$1\r\n1\r\n");
    client.check("COPY a b DB 1", ":1\r\n");
    client.check("COPY a a DB 1 replace", ":1\r\n");
    client.all(&["SELECT 1"]);
    client.check("MGET a b", "*2\r\n$1\r\n1\r\n$1\r\n1\r\n");
    assert_eq!(
        server.log(),
        ["0 COPY a b", "0 INCR b", "0 COPY a b REPLACE", "0 COPY a b DB 1", "0 COPY a a DB 1 replace"]
    );
}

#[test]
fn a_large_copied_string_is_shared_until_it_changes() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&[&format!("SET a {}", "x".repeat(20_000)), "COPY a b", "SETRANGE b 0 y", "APPEND a z"]);
    client.check("GETRANGE a 0 0", "$1\r\nx\r\n");
    client.check("GETRANGE b 0 0", "$1\r\ny\r\n");
    client.check("STRLEN a", ":20001\r\n");
    client.check("STRLEN b", ":20000\r\n");
}

#[test]
fn copy_and_move_refuse_what_redis_refuses() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1"]);
    let between = "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n";
    for (line, reply) in [
        ("COPY a a", "-ERR source and destination objects are the same\r\n"),
        ("COPY a a DB 0", "-ERR source and destination objects are the same\r\n"),
        ("COPY a b DB", "-ERR syntax error\r\n"),
        ("COPY a b FOO", "-ERR syntax error\r\n"),
        ("COPY a b DB x", "-ERR value is not an integer or out of range\r\n"),
        ("COPY a b DB 4", "-ERR DB index is out of range\r\n"),
        ("COPY a b DB -1", "-ERR DB index is out of range\r\n"),
        ("COPY a b DB 4294967296", between),
        ("COPY a b DB 1 DB 4", "-ERR DB index is out of range\r\n"),
        ("MOVE a 0", "-ERR source and destination objects are the same\r\n"),
        ("MOVE a x", "-ERR value is not an integer or out of range\r\n"),
        ("MOVE a 4", "-ERR DB index is out of range\r\n"),
        ("MOVE a 2147483647", "-ERR DB index is out of range\r\n"),
        ("MOVE a 4294967296", between),
    ] {
        client.check(line, reply);
    }
}

#[test]
fn move_takes_value_and_expiry_to_another_database() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1 PX 500"]);
    server.forget();
    client.check("MOVE nokey 1", ":0\r\n");
    client.check("MOVE a 1", ":1\r\n");
    assert_eq!(server.log(), ["0 MOVE a 1"]);
    assert_eq!(server.events(), ["1 new a", "0 move_from a", "1 move_to a"]);
    assert_eq!((server.entries(0), server.entries(1)), (0, 1));
    client.all(&["SET a 2"]);
    client.check("MOVE a 1", ":0\r\n");
    client.all(&["SELECT 1"]);
    client.check("GET a", "$1\r\n1\r\n");
    client.check("PTTL a", ":500\r\n");
    server.advance_ms(500);
    client.all(&["SELECT 0"]);
    server.log();
    client.check("MOVE a 1", ":1\r\n");
    assert_eq!(server.log(), ["1 MULTI", "1 DEL a", "0 MOVE a 1", "0 EXEC"]);
}

#[test]
fn both_ends_of_a_change_are_watched() {
    for (line, watched) in [
        ("RENAME a b", ["0 a", "0 b"]),
        ("MOVE a 1", ["0 a", "1 a"]),
        ("COPY a b DB 1", ["1 b", "1 b"]),
        ("DEL a", ["0 a", "0 a"]),
        ("EXPIRE a 10", ["0 a", "0 a"]),
    ] {
        for watched in watched {
            let server = Server::new();
            let (mut client, mut other) = (server.client(), server.client());
            client.all(&["SET a 1"]);
            let (db, key) = watched.split_once(' ').unwrap();
            other.all(&[&format!("SELECT {db}"), &format!("WATCH {key}"), "MULTI", "PING"]);
            client.all(&[line]);
            other.check("EXEC", "*-1\r\n");
        }
    }
}

#[test]
fn exec_runs_all_under_one_guard() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1 PX 10", "SET b 2"]);
    server.advance_ms(10);
    server.log();
    client.all(&["MULTI", "COPY b c DB 1", "SELECT 1", "RENAME c d", "MOVE d 0", "SELECT 0", "EXISTS a d", "DEL b"]);
    let reply = "*7\r\n:1\r\n+OK\r\n+OK\r\n:1\r\n+OK\r\n:1\r\n:1\r\n";
    client.check("EXEC", reply);
    let record = ["0 MULTI", "0 COPY b c DB 1", "1 RENAME c d", "1 MOVE d 0", "0 DEL b", "0 EXEC", "0 DEL a"];
    assert_eq!(server.log(), record);
}

#[test]
fn a_watched_key_that_expires_fails_exec_but_a_stale_one_does_not() {
    let server = Server::new();
    let (mut client, mut other) = (server.client(), server.client());
    client.all(&["SET a 1 PX 10", "WATCH a", "MULTI", "PING"]);
    server.advance_ms(10);
    client.check("EXEC", "*-1\r\n");
    // Stale from the beginning: neither its expiry nor its removal is a change.
    client.all(&["WATCH a"]);
    other.check("EXISTS a", ":0\r\n");
    assert_eq!(server.entries(0), 0);
    client.all(&["MULTI", "PING"]);
    client.check("EXEC", "*1\r\n+PONG\r\n");
    // But its return is.
    client.all(&["SET a 1 PX 10"]);
    server.advance_ms(10);
    client.all(&["WATCH a", "MULTI", "PING"]);
    other.all(&["SET a 2"]);
    client.check("EXEC", "*-1\r\n");
}

#[test]
fn touch_counts_even_for_a_client_whose_reads_do_not() {
    let server = Server::new();
    let mut client = server.client();
    client.session.client.set_flags(ClientFlags::NO_TOUCH, true);
    server.advance_ms(50_000);
    client.all(&["SET a 1"]);
    client.check("OBJECT IDLETIME a", ":0\r\n");
    server.advance_ms(5_000);
    client.all(&["GET a", "EXISTS a"]);
    client.check("OBJECT IDLETIME a", ":5\r\n");
    client.all(&["TOUCH a", "GET a"]);
    client.check("OBJECT IDLETIME a", ":0\r\n");
}

#[test]
fn under_another_name_an_entry_begins_anew() {
    let server = Server::new();
    let mut client = server.client();
    for step in ["RENAME a b", "MOVE a 1"] {
        client.all(&["SET a v"]);
        server.advance_ms(5_000);
        client.check("OBJECT IDLETIME a", ":5\r\n");
        client.all(&[step]);
    }
    client.check("OBJECT IDLETIME b", ":5\r\n");
    server.advance_ms(1_000);
    client.all(&["COPY b c", "SELECT 1"]);
    client.check("OBJECT IDLETIME a", ":1\r\n");
}
