//! Commands that meet large values beside a walk.

use std::sync::atomic::Ordering::Relaxed;

use store::value::list::List;
use store::walk::{Piece, Walk};

use crate::testing::{Server, TestClient};

const LEN: usize = 5000;

/// A server with a large list under `big`, and two clients.
fn server() -> (Server, TestClient, TestClient) {
    let server = Server::new();
    let (mut client, other) = (server.client(), server.client());
    let elements = (0..LEN).map(|n| format!("element{n}"));
    let push = ["RPUSH".to_string(), "big".to_string()].into_iter().chain(elements);
    assert_eq!(client.run_args(push), format!(":{LEN}\r\n"));
    server.forget();
    (server, client, other)
}

fn cut(server: &Server) -> Walk {
    server.keyspace.cut(&server.keyspace.gate().enter_alone())
}

/// Goes on to the piece that has the large list, which is whole.
fn big(walk: &mut Walk) -> Piece {
    let piece = walk.find(|piece| piece.entries()[0].key() == b"big").expect("it was there at the cut");
    assert_eq!(piece.entries()[0].get::<List>().unwrap().len(), LEN);
    piece
}

fn woken(server: &Server) -> bool {
    server.host.woken.swap(0, Relaxed) > 0
}

#[test]
fn changes_of_a_large_value_wait_until_the_walk_has_let_it_go() {
    let (server, mut client, _) = server();
    let mut walk = cut(&server);
    assert!(client.is_postponed("RPUSH big x"));
    client.check("LLEN big", &format!(":{LEN}\r\n"));
    client.check("SET small 1", "+OK\r\n");
    assert!(!woken(&server));
    let piece = big(&mut walk);
    assert!(client.is_postponed("LSET big 0 x"));
    woken(&server);
    drop(piece);
    assert!(woken(&server));
    client.check("RPUSH big x", &format!(":{}\r\n", LEN + 1));
    assert_eq!(server.log(), ["0 SET small 1", "0 RPUSH big x"]);
}

#[test]
fn what_replaces_or_removes_a_large_value_does_not_wait() {
    for line in
        ["DEL big", "SET big 1", "UNLINK big", "SDIFFSTORE big none", "RENAME big other", "MOVE big 1", "EXPIRE big 9"]
    {
        let (server, mut client, _) = server();
        let mut walk = cut(&server);
        client.run(line);
        let piece = big(&mut walk);
        assert_eq!(piece.entries()[0].expiry(), None, "{line}");
    }
}

#[test]
fn a_transaction_waits_as_a_whole_and_stays_open() {
    let (server, mut client, mut other) = server();
    let mut walk = cut(&server);
    client.all(&["WATCH watched", "MULTI", "SET a 1", "RPUSH big x"]);
    assert!(client.is_postponed("EXEC"));
    other.check("EXISTS a", ":0\r\n");
    assert_eq!(client.session.client.queued.load(Relaxed), 2);
    drop(big(&mut walk));
    assert!(woken(&server));
    client.check("EXEC", &format!("*2\r\n+OK\r\n:{}\r\n", LEN + 1));
    assert_eq!(server.log(), ["0 MULTI", "0 SET a 1", "0 RPUSH big x", "0 EXEC"]);

    // What happens to watched keys meanwhile counts.
    let walk = cut(&server);
    client.all(&["WATCH watched", "MULTI", "RPUSH big x"]);
    assert!(client.is_postponed("EXEC"));
    other.all(&["SET watched 1"]);
    client.check("EXEC", "*-1\r\n");
    drop(walk);
}

#[test]
fn who_is_served_does_not_wait() {
    let (server, mut client, mut other) = server();
    client.check("BLMOVE queue big LEFT RIGHT 0", "");
    let mut walk = cut(&server);
    other.check("RPUSH queue x", ":1\r\n");
    assert_eq!(server.host.delivered.lock().unwrap()[..], [(client.session.client.id, "$1\r\nx\r\n".to_string())]);
    other.check("LINDEX big -1", "$1\r\nx\r\n");
    big(&mut walk);
}

#[test]
fn who_waits_for_elements_is_served_by_a_push_that_was_postponed() {
    let (server, mut client, mut other) = server();
    client.check("BLMOVE queue elsewhere LEFT RIGHT 0", "");
    let mut walk = cut(&server);
    // Pushes to the large list under its own name are not what the other waits for; moving from it is.
    assert!(other.is_postponed("LMOVE big queue LEFT LEFT"));
    assert!(server.host.delivered.lock().unwrap().is_empty());
    drop(big(&mut walk));
    other.check("LMOVE big queue LEFT LEFT", "$8\r\nelement0\r\n");
    assert_eq!(server.host.delivered.lock().unwrap().len(), 1);
}

#[test]
fn expired_fields_of_a_large_hash_stay_until_the_walk_is_done() {
    let server = Server::new();
    let mut client = server.client();
    let pairs = (0..LEN).flat_map(|n| [format!("field{n}"), "v".to_string()]);
    client.run_args(["HSET".to_string(), "hash".to_string()].into_iter().chain(pairs));
    client.run("HPEXPIRE hash 10 FIELDS 1 field7");
    server.forget();
    let walk = cut(&server);
    server.advance_ms(20);
    client.check("HGET hash field7", "$-1\r\n");
    assert!(server.log().is_empty());
    assert!(client.is_postponed("HSET hash field8 w"));
    drop(walk);
    client.check("HGET hash field7", "$-1\r\n");
    assert_eq!(server.log(), ["0 HDEL hash field7"]);
}
