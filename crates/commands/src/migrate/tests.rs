use crate::blocking::{End, Waiter};
use crate::error::Error;
use crate::host::Host;
use crate::pipeline::migration::{self, Fate, Parcel};
use crate::standing::Standing;
use crate::testing::{START_MS, Server, TestClient};

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Migration;

/// What the client has asked for, and the waiter.
fn handed_over(server: &Server) -> (Arc<Waiter>, Migration) {
    server.host.migrations.lock().unwrap().pop().expect("a migration")
}

fn pack(client: &mut TestClient, key: &str) -> Parcel {
    let section = client.env.keyspace.gate().enter();
    client.env.begin_section(START_MS);
    migration::pack(&client.env, &section, 0, key.as_bytes()).expect("the key is there")
}

fn remove(client: &mut TestClient, parcels: &[Parcel]) -> Result<Option<Vec<Fate>>, Error> {
    let section = client.env.keyspace.gate().enter();
    client.env.begin_section(START_MS);
    let of = client.session.client.clone();
    migration::remove_sent(&mut client.env, &section, &of, 0, parcels)
}

#[test]
fn arguments_become_a_migration() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1", "SET KEYS 2", "SET c 3"]);
    client.check("MIGRATE host 7000 a 3 250", "");
    let (_, plain) = handed_over(&server);
    assert_eq!((plain.host.as_slice(), plain.port, plain.target_db, plain.timeout_ms), (&b"host"[..], 7000, 3, 250));
    assert!(!plain.copy && !plain.replace && plain.auth.is_none());
    assert_eq!(plain.keys, [Box::from(*b"a")]);
    // One of the keys is called KEYS, one is missing; a timeout that makes no sense is a second.
    let mut client = server.client();
    client.check(r#"MIGRATE host x "" 0 -5 copy REPLACE AUTH2 user word KEYS a KEYS none c"#, "");
    let (_, all) = handed_over(&server);
    assert_eq!((all.port, all.timeout_ms, all.copy, all.replace), (0, 1000, true, true));
    assert_eq!(all.auth, Some(vec![b"user".to_vec(), b"word".to_vec()]));
    assert_eq!(all.keys, [Box::from(*b"a"), Box::from(*b"KEYS"), Box::from(*b"c")]);
    assert!(server.host.waiters().is_empty(), "who waits for the network waits for no key");
}

#[test]
fn a_migration_in_a_transaction_is_refused() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1", "MULTI", "MIGRATE host 7000 a 0 100", "MIGRATE host 7000 none 0 100"]);
    let refused = "-ERR MIGRATE is not allowed in a transaction: it waits for another server\r\n";
    client.check("EXEC", &format!("*2\r\n{refused}+NOKEY\r\n"));
    assert!(server.host.migrations.lock().unwrap().is_empty());
}

#[test]
fn what_is_as_it_was_sent_is_removed() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET same 1", "SET changed 1", "SET expires 1 PX 500", "SET gone 1", "RPUSH list a b"]);
    let parcels = ["same", "changed", "expires", "gone", "list"].map(|key| pack(&mut client, key));
    assert_eq!(parcels[2].expiry, Some(START_MS + 500));
    client.all(&["INCR changed", "PEXPIRE expires 700", "DEL gone"]);
    server.forget();
    let fates = remove(&mut client, &parcels).unwrap().unwrap();
    assert_eq!(fates, [Fate::Removed, Fate::Changed, Fate::Changed, Fate::Gone, Fate::Removed]);
    assert_eq!(server.log(), ["0 DEL same list"]);
    assert_eq!(server.events(), ["0 del same", "0 del list"]);
    client.check("EXISTS same changed expires gone list", ":2\r\n");
    // A change to and fro is none.
    client.all(&["SET changed 1"]);
    assert_eq!(remove(&mut client, &parcels[1..2]).unwrap().unwrap(), [Fate::Removed]);
}

#[test]
fn nothing_is_removed_while_it_must_not_be() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1"]);
    let parcels = [pack(&mut client, "a")];
    client.all(&["CLIENT PAUSE 1000 WRITE"]);
    assert_eq!(remove(&mut client, &parcels).unwrap(), None);
    client.all(&["CLIENT UNPAUSE"]);
    server.host.standing.store(Standing::READ_ONLY.bits(), Relaxed);
    assert!(remove(&mut client, &parcels).unwrap_err().0.starts_with("READONLY"));
    server.host.standing.store(0, Relaxed);
    assert_eq!(remove(&mut client, &parcels).unwrap().unwrap(), [Fate::Removed]);
}

#[test]
fn the_client_is_answered_once() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1"]);
    client.check("MIGRATE host 7000 a 0 100", "");
    let (waiter, _) = handed_over(&server);
    let mut other = server.client();
    other.check(&format!("CLIENT UNBLOCK {}", waiter.client.id), ":0\r\n");
    migration::answer(&client.env, &waiter, Err(Error::new("IOERR gone")));
    migration::answer(&client.env, &waiter, Ok("OK"));
    let delivered = std::mem::take(&mut *server.host.delivered.lock().unwrap());
    assert_eq!(delivered, [(waiter.client.id, "-IOERR gone\r\n".to_owned())]);
    assert!(!waiter.claim(End::Gone));
}

#[test]
fn keys_are_found_where_options_may_look_like_them() {
    let server = Server::new();
    let mut client = server.client();
    // As Redis 8.0.2 answers.
    for (options, expected) in [
        ("k 0 1", "*1\r\n$1\r\nk\r\n"),
        ("k 0 1 COPY KEYS a", "-ERR Invalid arguments specified for command\r\n"),
        ("k 0 1 KEYS", "*1\r\n$1\r\nk\r\n"),
        (r#""" 0 1 KEYS a KEYS b"#, "*3\r\n$1\r\na\r\n$4\r\nKEYS\r\n$1\r\nb\r\n"),
        (r#""" 0 1 AUTH KEYS KEYS a"#, "*1\r\n$1\r\na\r\n"),
        (r#""" 0 1 AUTH2 KEYS x KEYS b"#, "*1\r\n$1\r\nb\r\n"),
        (r#""" 0 1 BOGUS KEYS b"#, "*1\r\n$1\r\nb\r\n"),
        (r#""" 0 1 AUTH KEYS b"#, "*1\r\n$0\r\n\r\n"),
        (r#""" 0 1 KEYS"#, "*1\r\n$0\r\n\r\n"),
    ] {
        client.check(&format!("COMMAND GETKEYS MIGRATE h 1 {options}"), expected);
    }
}
