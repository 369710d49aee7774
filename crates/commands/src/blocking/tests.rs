//! Waiting and being served, with several clients of one server in memory.

use crate::host::Host;
use crate::testing::{Server, TestClient};

/// The answers that have been sent to clients that waited.
fn delivered(server: &Server) -> Vec<(u64, String)> {
    std::mem::take(&mut *server.host.delivered.lock().unwrap())
}

fn waits(client: &mut TestClient, line: &str) {
    client.check(line, "");
    assert!(client.session.blocked.is_some(), "{line} does not wait");
}

#[test]
fn first_come_first_served() {
    let server = Server::new();
    let (mut a, mut b, mut c) = (server.client(), server.client(), server.client());
    waits(&mut a, "BLPOP x y 0");
    waits(&mut b, "BRPOP y 0");
    server.forget();
    c.check("RPUSH y 1 2 3", ":3\r\n");
    assert_eq!(
        delivered(&server),
        [(1, "*2\r\n$1\r\ny\r\n$1\r\n1\r\n".into()), (2, "*2\r\n$1\r\ny\r\n$1\r\n3\r\n".into()),]
    );
    assert_eq!(server.log(), ["0 RPUSH y 1 2 3", "0 LPOP y", "0 RPOP y"]);
    c.check("LRANGE y 0 -1", "*1\r\n$1\r\n2\r\n");
    assert!(server.host.waiters().is_empty(), "somebody is still in a queue");
}

#[test]
fn a_chain_of_moves_is_followed_to_its_end() {
    let server = Server::new();
    let (mut a, mut b, mut c, mut d) = (server.client(), server.client(), server.client(), server.client());
    waits(&mut a, "BLMOVE one two LEFT RIGHT 0");
    waits(&mut b, "BRPOPLPUSH two three 0");
    waits(&mut c, "BLPOP three 0");
    d.check("RPUSH one v", ":1\r\n");
    let answers: Vec<u64> = delivered(&server).into_iter().map(|(client, _)| client).collect();
    assert_eq!(answers, [1, 2, 3]);
    d.check("EXISTS one two three", ":0\r\n");
}

#[test]
fn a_transaction_is_looked_at_when_it_is_over() {
    let server = Server::new();
    let (mut a, mut b) = (server.client(), server.client());
    waits(&mut a, "BLPOP x 0");
    b.all(&["MULTI", "RPUSH x 1", "DEL x", "RPUSH x 2", "EXEC"]);
    assert_eq!(delivered(&server), [(1, "*2\r\n$1\r\nx\r\n$1\r\n2\r\n".into())]);
    waits(&mut b, "BLPOP x 0");
}

#[test]
fn inside_a_transaction_nobody_waits() {
    let server = Server::new();
    let mut a = server.client();
    a.all(&["MULTI", "BLPOP x 0", "BZPOPMIN z 0", "XREAD BLOCK 0 STREAMS s $"]);
    a.check("EXEC", "*3\r\n*-1\r\n*-1\r\n*-1\r\n");
    assert!(a.session.blocked.is_none());
}

#[test]
fn a_key_of_another_type_is_not_served() {
    let server = Server::new();
    let (mut a, mut b, mut c) = (server.client(), server.client(), server.client());
    waits(&mut a, "BLPOP k 0");
    waits(&mut b, "BZPOPMAX k 0");
    c.check("ZADD k 1 low 2 high", ":2\r\n");
    assert_eq!(delivered(&server), [(2, "*3\r\n$1\r\nk\r\n$4\r\nhigh\r\n$1\r\n2\r\n".into())]);
    c.all(&["DEL k", "RPUSH other e"]);
    c.check("RENAME other k", "+OK\r\n");
    assert_eq!(delivered(&server), [(1, "*2\r\n$1\r\nk\r\n$1\r\ne\r\n".into())]);
}

#[test]
fn swapped_databases_serve_who_waits_in_them() {
    let server = Server::new();
    let (mut a, mut b) = (server.client(), server.client());
    waits(&mut a, "BLMPOP 0 2 x y LEFT");
    b.all(&["SELECT 1", "RPUSH y 1", "SWAPDB 0 1"]);
    assert_eq!(delivered(&server), [(1, "*2\r\n$1\r\ny\r\n*1\r\n$1\r\n1\r\n".into())]);
}

#[test]
fn a_reader_of_a_group_learns_that_its_stream_is_gone() {
    let server = Server::new();
    let (mut a, mut b, mut c) = (server.client(), server.client(), server.client());
    c.all(&["XADD s 1-0 f v", "XGROUP CREATE s g $"]);
    waits(&mut a, "XREADGROUP GROUP g me BLOCK 0 STREAMS s >");
    waits(&mut b, "XREAD BLOCK 0 STREAMS s $");
    c.check("DEL s", ":1\r\n");
    let answers = delivered(&server);
    assert_eq!(answers.len(), 1);
    assert!(answers[0].1.starts_with("-NOGROUP"), "{answers:?}");
    c.check("XADD s 2-0 f v", "$3\r\n2-0\r\n");
    assert_eq!(delivered(&server).len(), 1);
}

#[test]
fn what_expires_while_a_transaction_goes_on_is_for_nobody() {
    let server = Server::new();
    let (mut a, mut b) = (server.client(), server.client());
    waits(&mut a, "BLPOP x 0");
    b.all(&["MULTI", "RPUSH x 1", "PEXPIRE x 100", "DEBUG SLEEP 0.2", "EXEC"]);
    assert!(delivered(&server).is_empty());
    b.all(&["RPUSH x 2"]);
    assert_eq!(delivered(&server), [(1, "*2\r\n$1\r\nx\r\n$1\r\n2\r\n".into())]);
}

#[test]
fn who_waits_in_a_group_is_told_of_its_end_and_who_watches_the_stream_is_not() {
    let server = Server::new();
    let (mut a, mut b, mut c) = (server.client(), server.client(), server.client());
    b.all(&["XGROUP CREATE s g $ MKSTREAM", "WATCH s", "MULTI", "PING"]);
    waits(&mut a, "XREADGROUP GROUP g alice BLOCK 0 STREAMS s >");
    c.check("XGROUP DESTROY s g", ":1\r\n");
    let answers = delivered(&server);
    assert!(matches!(&answers[..], [(1, text)] if text.starts_with("-NOGROUP ")), "{answers:?}");
    let index = c.env.stats.commands.iter().filter(|command| command.failed.get() == 1).count();
    assert_eq!(index, 1, "the failure is not counted");
    b.check("EXEC", "*1\r\n+PONG\r\n");
}
