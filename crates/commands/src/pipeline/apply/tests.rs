use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use super::*;
use crate::args::OwnedArgs;
use crate::standing::Standing;
use crate::testing::{START_MS, Server, TestClient};

/// A replica: its own effects are not logged, and nothing expires by itself.
fn replica() -> Server {
    let server = Server::new();
    server.host.is_replica.store(true, Relaxed);
    server.host.expiry_is_paused.store(true, Relaxed);
    server
}

/// Applies a unit of lines, and returns what it answered.
fn apply_lines(primary: &mut TestClient, raw: &str, lines: &[&str]) -> String {
    let owned: Vec<OwnedArgs> = lines.iter().map(|line| line.split(' ').collect()).collect();
    let commands: Vec<Args<'_>> = owned.iter().map(OwnedArgs::args).collect();
    primary.session.applies = true;
    let mut gate = GateHold::new(primary.env.keyspace);
    let now = AtomicI64::new(START_MS + 500);
    let is_transaction = commands.len() > 1;
    let unit = Unit { commands: &commands, raw: raw.as_bytes(), is_transaction };
    let TestClient { env, session, out, .. } = primary;
    assert_eq!(apply(env, &mut gate, &|| now.load(Relaxed), session, &unit, out), Flow::Next);
    drop(gate);
    primary.take_reply()
}

fn applied(server: &Server) -> Vec<(String, u32)> {
    std::mem::take(&mut *server.host.applied.lock().unwrap())
}

#[test]
fn the_log_holds_what_came_and_nothing_of_our_own() {
    let server = replica();
    let (mut primary, mut client) = (server.client(), server.client());
    apply_lines(&mut primary, "one", &["SET a 1"]);
    apply_lines(&mut primary, "two", &["SELECT 2", "SET b 2", "INCR b"]);
    apply_lines(&mut primary, "ping", &[]);
    apply_lines(&mut primary, "three", &["INCR b"]);
    let bytes = |text: &str, db| (text.to_owned(), db);
    assert_eq!(applied(&server), [bytes("one", 0), bytes("two", 2), bytes("ping", 2), bytes("three", 2)]);
    client.check("GET a", "$1\r\n1\r\n");
    client.check("SELECT 2", "+OK\r\n");
    client.check("GET b", "$1\r\n4\r\n");
    assert_eq!(server.log(), Vec::<String>::new());
}

#[test]
fn what_has_expired_stays_until_the_primary_says_so() {
    let server = replica();
    let (mut primary, mut client) = (server.client(), server.client());
    apply_lines(&mut primary, "", &["SET a 1 PXAT 1000100"]);
    server.advance_ms(400);
    client.check("GET a", "$-1\r\n");
    assert_eq!(server.entries(0), 1);
    // It has expired for clients, but not for the primary, which has changed it before it went.
    apply_lines(&mut primary, "", &["INCR a"]);
    apply_lines(&mut primary, "", &["PEXPIREAT a 1000900"]);
    client.check("GET a", "$1\r\n2\r\n");
    apply_lines(&mut primary, "", &["PEXPIREAT a 1000001"]);
    assert_eq!(server.entries(0), 1);
    apply_lines(&mut primary, "", &["DEL a"]);
    assert_eq!(server.entries(0), 0);
    apply_lines(&mut primary, "", &["HSET h f 1", "HPEXPIREAT h 1000001 FIELDS 1 f"]);
    client.check("HGET h f", "$-1\r\n");
    apply_lines(&mut primary, "", &["HPERSIST h FIELDS 1 f"]);
    client.check("HGET h f", "$1\r\n1\r\n");
}

#[test]
fn commands_that_want_to_be_alone_are() {
    let server = replica();
    let mut primary = server.client();
    apply_lines(&mut primary, "", &["SET a 1"]);
    apply_lines(&mut primary, "swap", &["SWAPDB 0 3", "SELECT 3", "INCR a"]);
    assert_eq!(applied(&server).pop(), Some(("swap".to_owned(), 3)));
    assert_eq!((server.entries(0), server.entries(3)), (0, 1));
    apply_lines(&mut primary, "flush", &["FLUSHALL"]);
    assert_eq!(server.entries(3), 0);
    assert_eq!(*server.host.freed.lock().unwrap(), [false]);
}

#[test]
fn a_primary_that_was_given_up_has_no_say() {
    let server = replica();
    let mut primary = server.client();
    apply_lines(&mut primary, "one", &["SET a 1"]);
    primary.session.client.killed.store(true, Relaxed);
    apply_lines(&mut primary, "two", &["SET a 2"]);
    apply_lines(&mut primary, "flush", &["FLUSHALL"]);
    assert_eq!(applied(&server), [("one".to_owned(), 0)]);
    server.client().check("GET a", "$1\r\n1\r\n");
}

#[test]
fn what_fails_does_not_stop_the_rest() {
    let server = replica();
    let (mut primary, mut client) = (server.client(), server.client());
    let errors = apply_lines(&mut primary, "raw", &["NOSUCH a", "GET", "SET a 1"]);
    assert!(
        errors.starts_with("-ERR unknown command 'NOSUCH'\r\n-ERR wrong number of arguments for 'get'"),
        "{errors}"
    );
    client.check("GET a", "$1\r\n1\r\n");
    assert_eq!(applied(&server), [("raw".to_owned(), 0)]);
}

#[test]
fn those_who_wait_on_a_replica_are_served() {
    let server = replica();
    let (mut primary, mut client) = (server.client(), server.client());
    assert_eq!(client.run("XREAD BLOCK 0 STREAMS s $"), "");
    apply_lines(&mut primary, "", &["XADD s 1-1 f v"]);
    assert_eq!(server.host.delivered.lock().unwrap().len(), 1);
}

#[test]
fn the_standing_refuses_clients_but_not_the_primary() {
    let server = replica();
    let (mut primary, mut client) = (server.client(), server.client());
    let stand = |standing: Standing| server.host.standing.store(standing.bits(), Relaxed);
    stand(Standing::READ_ONLY);
    client.check("SET a 1", "-READONLY You can't write against a read only replica.\r\n");
    client.check("GET a", "$-1\r\n");
    client.all(&["MULTI", "GET a"]);
    client.check("SET a 1", "-READONLY You can't write against a read only replica.\r\n");
    client.check("EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n");
    apply_lines(&mut primary, "", &["SET a 1"]);
    stand(Standing::empty());
    client.all(&["MULTI", "GET a"]);
    stand(Standing::STALE);
    client.check(
        "EXEC",
        "-EXECABORT Transaction discarded because of: MASTERDOWN Link with MASTER is down and replica-serve-stale-data is \
         set to 'no'.\r\n",
    );
    client.check("GET a", "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n");
    client.check("PING", "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n");
    stand(Standing::LOADING);
    client.check("GET a", "-LOADING Redis is loading the dataset in memory\r\n");
    client.check("SELECT 0", "+OK\r\n");
    stand(Standing::SAVE_FAILED);
    client.check("GET a", "$1\r\n1\r\n");
    assert!(client.run("PING").starts_with("-MISCONF Redis is configured to save RDB snapshots"));
    stand(Standing::FEW_REPLICAS);
    client.check("SET a 2", "-NOREPLICAS Not enough good replicas to write.\r\n");
    stand(Standing::ASYNC_LOADING);
    client.check("GET a", "$1\r\n1\r\n");
    stand(Standing::empty());
    client.check("SET a 2", "+OK\r\n");
}

#[test]
fn what_needs_memory_is_passed_over_where_there_is_none() {
    let server = replica();
    let (mut primary, mut client) = (server.client(), server.client());
    apply_lines(&mut primary, "", &["RPUSH list a b c d"]);
    apply_lines(&mut primary, "", &["SET base 1"]);
    server.settings.maxmemory.store(100, Relaxed);
    server.host.used_memory.store(200, Relaxed);
    let failed = || std::mem::take(&mut *server.host.failed.lock().unwrap());
    // As long as the primary looks after it, there is room enough.
    server.host.may_evict.store(false, Relaxed);
    apply_lines(&mut primary, "", &["SET base 2"]);
    assert_eq!(failed(), Vec::<String>::new());
    server.host.may_evict.store(true, Relaxed);
    applied(&server);
    const OOM: &str = "OOM command not allowed when used memory > 'maxmemory'.";
    apply_lines(&mut primary, "set", &["SET base 3"]);
    assert_eq!(failed(), [format!("set: {OOM}")]);
    apply_lines(&mut primary, "pop", &["LPOP list"]);
    apply_lines(&mut primary, "pops", &["LPOP list", "DEL none"]);
    assert_eq!(failed(), Vec::<String>::new());
    apply_lines(&mut primary, "mixed", &["LPOP list", "SELECT 2", "SET base 4"]);
    let aborted = "exec: EXECABORT Transaction discarded because of previous errors.".to_owned();
    assert_eq!(failed(), [format!("set: {OOM}"), aborted]);
    // All of it counts, and is handed on; and what comes next is for the database that was selected.
    let bytes = |text: &str, db| (text.to_owned(), db);
    assert_eq!(applied(&server), [bytes("set", 0), bytes("pop", 0), bytes("pops", 0), bytes("mixed", 2)]);
    assert_eq!(primary.session.db, 2);
    client.check("GET base", "$1\r\n2\r\n");
    client.check("LLEN list", ":2\r\n");
}

#[test]
fn what_may_go_makes_room_for_the_stream() {
    let server = replica();
    let mut primary = server.client();
    server.settings.set_policy(crate::eviction::Policy::AllkeysRandom);
    server.host.may_evict.store(true, Relaxed);
    server.settings.maxmemory.store(500, Relaxed);
    server.host.bytes_a_key.store(100, Relaxed);
    server.settings.eviction_limit_ns.store(u64::MAX, Relaxed);
    (0..20).for_each(|n| _ = apply_lines(&mut primary, "", &[&format!("SET k{n} 1")]));
    assert_eq!(server.entries(0), 6, "the last one was let in while the limit was kept");
    assert_eq!(server.host.failed.lock().unwrap().len(), 0);
}
