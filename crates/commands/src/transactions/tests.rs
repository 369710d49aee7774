use std::sync::atomic::Ordering::Relaxed;

use crate::testing::Server;

const OOM: &str = "OOM command not allowed when used memory > 'maxmemory'.";

#[test]
fn a_refused_exec_ends_its_transaction_and_says_why() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["WATCH a", "MULTI", "SET a 1"]);
    let refused = "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n";
    client.check("EXEC now", refused);
    client.check("EXEC", "-ERR EXEC without MULTI\r\n");
    assert!(client.session.watched.is_empty());
    client.check("EXEC now", refused);
    client.check("GET a", "$-1\r\n");
}

#[test]
fn without_memory_what_takes_some_is_neither_queued_nor_executed() {
    let server = Server::new();
    let mut client = server.client();
    let full = |full: bool| {
        server.settings.maxmemory.store(1, Relaxed);
        server.host.used_memory.store(1 + u64::from(full), Relaxed);
    };
    full(true);
    client.check("SET a 1", &format!("-{OOM}\r\n"));
    client.check("GET a", "$-1\r\n");
    client.all(&["MULTI", "GET a"]);
    client.check("SET a 1", &format!("-{OOM}\r\n"));
    client.check("EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n");
    client.all(&["MULTI", "DISCARD"]);

    full(false);
    client.all(&["MULTI", "GET a", "PING"]);
    full(true);
    client.check("EXEC", "*2\r\n$-1\r\n+PONG\r\n");
    full(false);
    client.all(&["MULTI", "SET a 1"]);
    full(true);
    client.check("EXEC", &format!("-EXECABORT Transaction discarded because of: {OOM}\r\n"));
    server.settings.maxmemory.store(0, Relaxed);
    client.all(&["SET a 1"]);
}
