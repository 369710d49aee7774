use std::collections::BTreeSet;

use super::*;
use crate::testing::{Server, TestClient};

const BYTES_A_KEY: u64 = 100;
const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";

/// A server on which each key takes a hundred bytes and nothing else does, with room for so many keys.
fn server(policy: Policy, keys: u64) -> (Server, TestClient) {
    let server = Server::new();
    server.settings.set_policy(policy);
    server.settings.maxmemory.store(keys * BYTES_A_KEY, Relaxed);
    server.host.bytes_a_key.store(BYTES_A_KEY, Relaxed);
    server.settings.maxmemory_samples.store(64, Relaxed);
    // The clock of the tests stands for a nanosecond at each look.
    server.settings.eviction_limit_ns.store(u64::MAX, Relaxed);
    let client = server.client();
    (server, client)
}

fn names(client: &mut TestClient) -> BTreeSet<String> {
    client.run("KEYS *").lines().filter(|line| line.starts_with('k')).map(str::to_string).collect()
}

#[test]
fn the_key_that_was_idle_longest_goes() {
    let (server, mut client) = server(Policy::AllkeysLru, 10);
    for n in 0..11 {
        client.all(&[&format!("SET k{n} v"), "GET k0"]);
        server.advance_ms(1000);
    }
    // Eleven keys are one too many, which the next command finds.
    let mut left = names(&mut client);
    assert!(!left.contains("k1") && left.contains("k0"), "{left:?}");
    server.advance_ms(1000);
    client.all(&["GET k2", "SET k11 v", "GET k2"]);
    left = names(&mut client);
    assert!(!left.contains("k3") && left.contains("k2"), "{left:?}");
    assert_eq!(left.len(), 10);
}

#[test]
fn a_candidate_that_is_used_meanwhile_is_spared() {
    let (server, mut client) = server(Policy::AllkeysLru, 100);
    for n in 0..8 {
        client.all(&[&format!("SET k{n} v")]);
        server.advance_ms(1000);
    }
    // All eight stand in the pool now.
    server.settings.maxmemory.store(7 * BYTES_A_KEY, Relaxed);
    client.all(&["PING"]);
    for n in 1..7 {
        client.all(&[&format!("GET k{n}")]);
    }
    server.settings.maxmemory.store(6 * BYTES_A_KEY, Relaxed);
    client.all(&["PING"]);
    assert!(!names(&mut client).contains("k7"), "it is the only one that was not used again");
}

#[test]
fn the_key_that_is_seldom_used_goes() {
    let (server, mut client) = server(Policy::AllkeysLfu, 100);
    client.all(&["SET k0 v", "SET k1 v", "SET k2 v"]);
    for _ in 0..20 {
        client.all(&["GET k0", "GET k2"]);
    }
    server.settings.maxmemory.store(2 * BYTES_A_KEY, Relaxed);
    client.all(&["PING"]);
    assert_eq!(names(&mut client), ["k0", "k2"].map(str::to_string).into());
    // Idle, every key comes down to 0 in time.
    server.advance_ms(60_000 * 255);
    client.check("OBJECT FREQ k0", ":0\r\n");
    client.all(&["GET k2"]);
    server.settings.maxmemory.store(BYTES_A_KEY, Relaxed);
    client.all(&["PING"]);
    assert_eq!(names(&mut client), ["k2"].map(str::to_string).into());
}

#[test]
fn the_key_that_expires_next_goes_and_only_keys_that_do() {
    let (server, mut client) = server(Policy::VolatileTtl, 100);
    client.all(&["SET k0 v", "SET k1 v EX 100", "SET k2 v EX 50", "SET k3 v EX 150"]);
    for (room, left) in [(3, &["k0", "k1", "k3"][..]), (2, &["k0", "k3"]), (1, &["k0"]), (0, &["k0"])] {
        server.settings.maxmemory.store(room * BYTES_A_KEY + 1, Relaxed);
        client.all(&["PING"]);
        assert_eq!(names(&mut client), left.iter().copied().map(str::to_string).collect(), "{room}");
    }
    client.check("SET k4 v", OOM);
    client.check("DEL k0", ":1\r\n");
    client.all(&["SET k4 v"]);
}

#[test]
fn every_policy_keeps_the_limit_in_every_database() {
    for policy in (0..7).map(Policy::from_u8) {
        let (server, mut client) = server(policy, 50);
        server.settings.maxmemory_samples.store(5, Relaxed);
        for n in 0..300 {
            let expiry = if n % 2 == 0 { "" } else { " EX 100" };
            let volatile = if policy.is_volatile() { " EX 100" } else { expiry };
            client.all(&[&format!("SELECT {}", n % 3), &format!("SET k{n} v{volatile}")]);
            assert!((0..3).map(|db| server.entries(db)).sum::<usize>() <= 51, "{policy:?}");
        }
        for db in 0..3 {
            assert!(server.entries(db) > 0, "{policy:?}: {db} is picked out");
        }
        assert_eq!(client.env.stats.evicted.get(), 249, "{policy:?}");
    }
}

#[test]
fn what_is_evicted_is_logged_and_told() {
    let (server, mut client) = server(Policy::AllkeysRandom, 1);
    let mut watcher = server.client();
    client.all(&["SET k0 v"]);
    watcher.all(&["WATCH k0", "MULTI", "PING"]);
    server.forget();
    server.settings.maxmemory.store(1, Relaxed);
    client.all(&["PING"]);
    assert_eq!((server.log(), server.events()), (vec!["0 DEL k0".into()], vec!["0 evicted k0".into()]));
    watcher.check("EXEC", "*-1\r\n");
    assert_eq!(client.env.stats.dirty.get(), 1, "only the SET is a change of the client's");

    server.settings.maxmemory.store(0, Relaxed);
    client.all(&["SET k1 v"]);
    server.forget();
    server.settings.lazyfree_lazy_eviction.store(true, Relaxed);
    server.settings.maxmemory.store(1, Relaxed);
    client.all(&["GET k1"]);
    assert_eq!(server.log(), ["0 UNLINK k1"]);
}

#[test]
fn who_waits_for_a_stream_is_told_that_it_is_gone() {
    let (server, mut client) = server(Policy::AllkeysLru, 10);
    let mut waiter = server.client();
    client.all(&["XGROUP CREATE s g $ MKSTREAM"]);
    waiter.run("XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
    server.settings.maxmemory.store(1, Relaxed);
    client.all(&["PING"]);
    let delivered = server.host.delivered.lock().unwrap();
    assert!(delivered[0].1.starts_with("-NOGROUP") || delivered[0].1.starts_with("-UNBLOCKED"), "{delivered:?}");
}

#[test]
fn nothing_is_evicted_when_it_must_not_be() {
    let (server, mut client) = server(Policy::AllkeysLru, 10);
    client.all(&["SET k0 v", "SET k1 v"]);
    server.settings.maxmemory.store(1, Relaxed);
    server.host.may_evict.store(false, Relaxed);
    // A replica takes what its primary sends, and a paused server keeps what it has.
    client.all(&["SET k2 v", "GET k0"]);
    assert_eq!(names(&mut client).len(), 3);
    server.host.may_evict.store(true, Relaxed);
    server.settings.set_policy(Policy::NoEviction);
    client.check("SET k3 v", OOM);
    client.all(&["GET k0"]);
    assert_eq!(names(&mut client).len(), 3);
    server.settings.set_policy(Policy::VolatileLru);
    client.check("SET k3 v", OOM);
    assert_eq!(names(&mut client).len(), 3);
}

#[test]
fn a_transaction_makes_room_before_it_starts_and_not_again() {
    let (server, mut client) = server(Policy::AllkeysLru, 2);
    client.all(&["SET k0 v", "SET k1 v", "MULTI", "SET k2 v", "SET k3 v", "SET k4 v", "GET k0"]);
    server.advance_ms(1000);
    client.all(&["EXEC"]);
    assert_eq!(server.entries(0), 5);
    client.all(&["PING"]);
    assert_eq!(server.entries(0), 2);
}

#[test]
fn a_command_waits_no_longer_than_it_may_and_writers_wait_for_the_background() {
    let (server, mut client) = server(Policy::AllkeysLru, 1000);
    for n in 0..1000 {
        client.all(&[&format!("SET k{n} v")]);
    }
    server.settings.maxmemory.store(100 * BYTES_A_KEY, Relaxed);
    server.settings.eviction_limit_ns.store(0, Relaxed);
    client.all(&["GET k0"]);
    assert_eq!(server.entries(0), 1000 - PARTS_UNTIMED);
    assert_eq!(server.host.asked_to_evict.load(Relaxed), 1);
    // Far too much is in use, so whoever wants more waits.
    assert!(client.is_postponed("SET k1000 v"));
    client.all(&["DEL none"]);
    server.settings.eviction_limit_ns.store(u64::MAX, Relaxed);
    client.all(&["SET k1000 v"]);
    assert!(server.entries(0) <= 101);
    // A little too much is no reason to wait.
    server.settings.eviction_limit_ns.store(0, Relaxed);
    server.settings.maxmemory.store(server.entries(0) as u64 * BYTES_A_KEY - BYTES_A_KEY / 2, Relaxed);
    client.all(&["SET k1001 v"]);
}

#[test]
fn what_the_background_frees_is_waited_for() {
    let (server, mut client) = server(Policy::AllkeysLfu, 10);
    let members: String =
        (0..300).map(|n| format!(" m{n}-long-enough-for-a-table-of-its-own-in-every-configuration")).collect();
    client.all(&[&format!("SADD k0{members}"), "SET k1 v", "SET k2 v"]);
    server.settings.lazyfree_lazy_eviction.store(true, Relaxed);
    server.host.frees_in_background.store(true, Relaxed);
    client.all(&["GET k1", "GET k2", "GET k1", "GET k2"]);
    // The set goes first, and nothing after it while its memory is on its way.
    server.settings.maxmemory.store(1, Relaxed);
    client.all(&["PING", "PING"]);
    assert_eq!(names(&mut client), ["k1", "k2"].map(str::to_string).into());
    server.host.frees_in_background.store(false, Relaxed);
    client.all(&["PING"]);
    assert!(names(&mut client).is_empty());
}
