use std::sync::atomic::Ordering::Relaxed;

use crate::testing::Server;

#[test]
fn flushes_empty_what_they_name() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1", "SET b 2", "SELECT 1", "SET c 3", "SELECT 0"]);
    let dirty = client.env.stats.dirty.get();
    server.forget();
    client.check("FLUSHDB FOO", "-ERR syntax error\r\n");
    client.check("FLUSHALL SYNC ASYNC", "-ERR syntax error\r\n");
    assert_eq!(server.entries(0), 2);
    client.check("FLUSHDB", "+OK\r\n");
    assert_eq!((server.entries(0), server.entries(1)), (0, 1));
    client.check("FLUSHALL sync", "+OK\r\n");
    assert_eq!(server.entries(1), 0);
    client.check("FLUSHALL ASYNC", "+OK\r\n");
    assert_eq!(server.log(), ["0 FLUSHDB", "0 FLUSHALL sync", "0 FLUSHALL ASYNC"]);
    assert!(server.events().is_empty());
    assert_eq!(client.env.stats.dirty.get(), dirty + 3);
    // One database by FLUSHDB, one by the first FLUSHALL; what they left behind holds nothing.
    assert_eq!(*server.host.freed.lock().unwrap(), [false, false]);
    client.all(&["SET a 1"]);
    client.check("DBSIZE", ":1\r\n");
}

#[test]
fn a_flush_is_answered_when_all_is_freed_unless_it_says_async_or_may_not_wait() {
    // The command, whether `lazyfree-lazy-user-flush` is on, and whether the client waits.
    let cases = [
        ("FLUSHALL", false, true),
        ("FLUSHDB", false, true),
        ("FLUSHALL SYNC", true, true),
        ("FLUSHDB sync", true, true),
        ("FLUSHALL", true, false),
        ("FLUSHDB ASYNC", false, false),
        ("FLUSHALL async", false, false),
    ];
    for (line, lazily, waits) in cases {
        for transaction in [false, true] {
            let server = Server::new();
            let mut client = server.client();
            server.settings.lazyfree_lazy_user_flush.store(lazily, Relaxed);
            client.all(&["SET a 1"]);
            server.forget();
            if transaction {
                client.all(&["MULTI", line]);
                client.check("EXEC", "*1\r\n+OK\r\n");
            } else {
                client.check(line, "+OK\r\n");
                assert_eq!(server.log(), [format!("0 {line}")]);
            }
            // Where it would wait and may not, it frees by itself.
            let here = transaction && waits;
            assert_eq!(*server.host.freed.lock().unwrap(), [here], "{line} {lazily} {transaction}");
            let awaited = u64::from(waits && !transaction);
            assert_eq!(server.host.awaited_freed.load(Relaxed), awaited, "{line} {lazily} {transaction}");
            // Where there is nothing to free, there is nothing to wait for.
            client.check("FLUSHALL", "+OK\r\n");
            assert_eq!(server.host.awaited_freed.load(Relaxed), awaited, "{line} {lazily} {transaction}");
        }
    }
}

#[test]
fn swapdb_exchanges_for_everybody() {
    let server = Server::new();
    let (mut client, mut other) = (server.client(), server.client());
    client.all(&["SET a zero", "SELECT 1", "SET a one PX 100", "SELECT 0"]);
    other.all(&["SELECT 1"]);
    server.log();
    client.check("SWAPDB 0 1", "+OK\r\n");
    client.check("GET a", "$3\r\none\r\n");
    client.check("PTTL a", ":100\r\n");
    other.check("GET a", "$4\r\nzero\r\n");
    client.check("SWAPDB 2 2", "+OK\r\n");
    client.check("SWAPDB 0 3", "+OK\r\n");
    client.check("DBSIZE", ":0\r\n");
    for (line, reply) in [
        ("SWAPDB x 1", "-ERR invalid first DB index\r\n"),
        ("SWAPDB 99999999999 1", "-ERR invalid first DB index\r\n"),
        ("SWAPDB 99 x", "-ERR invalid second DB index\r\n"),
        ("SWAPDB 1 4", "-ERR DB index is out of range\r\n"),
        ("SWAPDB -1 1", "-ERR DB index is out of range\r\n"),
    ] {
        client.check(line, reply);
    }
    assert_eq!(server.log(), ["0 SWAPDB 0 1", "0 SWAPDB 2 2", "0 SWAPDB 0 3"]);
}

#[test]
fn watchers_hear_of_keys_that_were_there() {
    // The keys before, the command, and whether a transaction that watches `a` in database 0 still runs.
    let cases: &[(&[&str], &str, bool)] = &[
        (&["SET a 1"], "FLUSHDB", false),
        (&["SET a 1"], "FLUSHALL", false),
        (&["SET b 1"], "FLUSHALL", true),
        (&["SELECT 1", "SET a 1", "FLUSHDB"], "PING", true),
        (&["SELECT 1", "SET a 1"], "FLUSHDB", true),
        (&["SET a 1"], "SWAPDB 0 1", false),
        (&["SET a 1"], "SWAPDB 1 0", false),
        (&["SET a 1"], "SWAPDB 1 2", true),
        (&["SET a 1"], "SWAPDB 0 0", true),
        (&["SET b 1"], "SWAPDB 0 1", true),
        (&["SELECT 1", "SET a 1"], "SWAPDB 0 1", false),
    ];
    for (before, line, runs) in cases {
        let server = Server::new();
        let (mut client, mut other) = (server.client(), server.client());
        client.all(before);
        other.all(&["WATCH a", "MULTI", "PING"]);
        client.all(&[line]);
        other.check("EXEC", if *runs { "*1\r\n+PONG\r\n" } else { "*-1\r\n" });
    }
}

#[test]
fn stale_keys_are_no_keys() {
    // As above, with all keys expired when the watch begins.
    let cases: &[(&[&str], &str, bool)] = &[
        (&["SET a 1 PX 10"], "FLUSHALL", true),
        (&["SET a 1 PX 10"], "SWAPDB 0 1", true),
        (&["SELECT 1", "SET a 1 PX 10"], "SWAPDB 0 1", true),
        (&["SET a 1 PX 10", "SELECT 1", "SET a 2 PX 10"], "SWAPDB 0 1", true),
        (&["SET a 1 PX 10", "SELECT 1", "SET a 2"], "SWAPDB 0 1", false),
    ];
    for (before, line, runs) in cases {
        let server = Server::new();
        let (mut client, mut other) = (server.client(), server.client());
        client.all(before);
        server.advance_ms(10);
        other.all(&["WATCH a"]);
        client.all(&[line]);
        other.all(&["MULTI", "PING"]);
        other.check("EXEC", if *runs { "*1\r\n+PONG\r\n" } else { "*-1\r\n" });
    }
    // A key that expires while it is watched is a change, even if a flush takes it.
    let server = Server::new();
    let (mut client, mut other) = (server.client(), server.client());
    client.all(&["SET a 1 PX 10"]);
    other.all(&["WATCH a"]);
    server.advance_ms(10);
    server.log();
    client.all(&["FLUSHALL"]);
    assert_eq!(server.log(), ["0 MULTI", "0 DEL a", "0 FLUSHALL", "0 EXEC"]);
    other.all(&["MULTI", "PING"]);
    other.check("EXEC", "*-1\r\n");
}

#[test]
fn a_transaction_may_flush_and_swap() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1", "SELECT 1", "SET b 2 PX 10", "SELECT 0"]);
    server.advance_ms(10);
    server.log();
    client.all(&["WATCH a", "MULTI", "SWAPDB 0 1", "GET b", "SELECT 1", "GET a", "FLUSHDB", "SET c 3"]);
    client.check("EXEC", "*6\r\n+OK\r\n$-1\r\n+OK\r\n$1\r\n1\r\n+OK\r\n+OK\r\n");
    // The removal of `b` stands behind the swap, since it names the database by its new number.
    assert_eq!(server.log(), ["0 MULTI", "0 SWAPDB 0 1", "0 DEL b", "1 FLUSHDB", "1 SET c 3", "1 EXEC"]);
    client.check("DBSIZE", ":1\r\n");
    assert_eq!(*server.host.freed.lock().unwrap(), [true]);
}
