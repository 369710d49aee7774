//! Many clients on few keys, and what must hold afterwards and all the while.
//!
//! Runs against Redis 8.0.2, where it must hold (one thread, after all), and against the server under test.
//! `BRINDLE_CONCURRENCY_ROUNDS` says how much (default 400 rounds a client; `BRINDLE_DEPTH=full`: 20,000).

#[path = "concurrency/arena.rs"]
mod arena;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use testkit::linearizable::{Action, Operation, Value, linearize};
use testkit::reply::{items, text};
use testkit::{Program, Reply, found};

use arena::{Arena, Done, Fault, number};

const REFERENCE: &str = "redis-8.0.2";
/// More than any machine that judges has cores, so that every worker has several.
const CLIENTS: usize = 16;

type Check = fn(&Arena);

/// Runs `check` against the reference and against the server under test, each with a server of its own. As long as
/// the latter lacks one of the commands in `needs`, that part is skipped with a line that says so; the surface test
/// holds the list of what is lacking.
fn against_both(check: Check, needs: &[&str]) {
    for (program, name) in [(Program::reference(REFERENCE), REFERENCE), (Program::subject(), "brindle-server")] {
        let Some(program) = found(program, name) else { continue };
        let arena = Arena::new(&program, Fault::None);
        match needs.iter().find(|command| !arena.knows(command)) {
            Some(lacking) => println!("SKIPPED: {name} lacks {lacking}"),
            None => check(&arena),
        }
    }
}

fn rounds() -> u64 {
    let full = std::env::var("BRINDLE_DEPTH").as_deref() == Ok("full");
    std::env::var("BRINDLE_CONCURRENCY_ROUNDS").ok().map_or(if full { 20_000 } else { 400 }, |rounds| {
        rounds.parse().expect("BRINDLE_CONCURRENCY_ROUNDS is a number")
    })
}

#[test]
fn counters_are_exact() {
    against_both(check_counters_are_exact, &["INCR", "INCRBY", "GET"]);
}

/// INCR loses nothing and repeats nothing: each client sees its replies rise, and the sum is exact. Pipelined and not.
fn check_counters_are_exact(arena: &Arena) {
    let rounds = rounds();
    arena.play(CLIENTS, |client_number, client| {
        let mut last = [0; 3];
        for round in 0..rounds {
            let key = (round as usize + client_number) % 3;
            let value = number(&client.call(&format!("INCR counter:{key}")));
            assert!(value > last[key], "INCR answered {value} after {}", last[key]);
            last[key] = value;
            if round % 8 == 0 {
                let replies: Vec<i64> = client.pipeline("INCRBY piped 2", 16).iter().map(number).collect();
                assert!(replies.is_sorted_by(|left, right| left < right), "{replies:?}");
            }
        }
    });
    let mut client = arena.player();
    let sum: i64 = (0..3).map(|key| number(&client.call(&format!("GET counter:{key}")))).sum();
    assert_eq!(sum, (rounds * CLIENTS as u64) as i64);
    let piped = number(&client.call("GET piped"));
    assert_eq!(piped, (rounds.div_ceil(8) * 16 * 2 * CLIENTS as u64) as i64);
}

#[test]
fn collections_lose_nothing() {
    against_both(
        check_collections_lose_nothing,
        &["HINCRBY", "HGET", "ZINCRBY", "ZSCORE", "RPUSH", "LLEN", "LRANGE", "SADD", "SCARD", "APPEND", "STRLEN"],
    );
}

/// Hash fields, list lengths, set sizes and scores under the same storm.
fn check_collections_lose_nothing(arena: &Arena) {
    let rounds = rounds();
    arena.play(CLIENTS, |client_number, client| {
        for round in 0..rounds {
            client.call("HINCRBY hash field 1");
            client.call("ZINCRBY scores 1 member");
            client.call(&format!("RPUSH list {client_number}:{round}"));
            client.call(&format!("SADD set {client_number}:{round}"));
            client.call("APPEND string x");
        }
    });
    let all = (rounds * CLIENTS as u64) as i64;
    let mut client = arena.player();
    for (question, expected) in [
        ("HGET hash field", all),
        ("ZSCORE scores member", all),
        ("LLEN list", all),
        ("SCARD set", all),
        ("STRLEN string", all),
    ] {
        assert_eq!(number(&client.call(question)), expected, "{question}");
    }
    // Each client's elements stand in the order it pushed them, and none is lost or doubled.
    let list = client.call("LRANGE list 0 -1");
    let mut next = [0; CLIENTS];
    for element in items(&list) {
        let element = String::from_utf8_lossy(text(element).expect("an element")).into_owned();
        let (pusher, round) = element.split_once(':').expect("client:round");
        let pusher: usize = pusher.parse().expect("a number");
        assert_eq!(round.parse::<u64>().expect("a number"), next[pusher], "of client {pusher}");
        next[pusher] += 1;
    }
}

#[test]
fn transactions_are_whole() {
    against_both(check_transactions_are_whole, &["MULTI", "EXEC", "MGET", "INCR"]);
}

/// Two counters that every transaction raises together are never seen apart, by MGET nor by another transaction.
fn check_transactions_are_whole(arena: &Arena) {
    let rounds = rounds();
    let done = Done::default();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut client = arena.player();
                while !done.is_set() {
                    let pair = client.call("MGET left right");
                    assert_eq!(items(&pair)[0], items(&pair)[1], "MGET saw half a transaction");
                    client.call("MULTI");
                    client.call("GET right");
                    client.call("GET left");
                    let pair = client.call("EXEC");
                    assert_eq!(items(&pair)[0], items(&pair)[1], "EXEC saw half a transaction");
                }
            });
        }
        let _ends_the_readers = done.guard();
        arena.play(CLIENTS, |client_number, client| {
            for _ in 0..rounds {
                let order = if client_number % 2 == 0 { ["left", "right"] } else { ["right", "left"] };
                client.call("MULTI");
                client.call(&format!("INCR {}", order[0]));
                client.call(&format!("INCR {}", order[1]));
                let pair = client.call("EXEC");
                assert_eq!(items(&pair)[0], items(&pair)[1], "another transaction came in between");
            }
        });
    });
}

#[test]
fn multi_key_commands_are_never_seen_half_done() {
    against_both(check_multi_key_commands_are_never_seen_half_done, &["MSET", "MGET", "EXISTS", "RENAME"]);
}

/// MSET is seen whole by MGET, and a renamed pair of keys always exists under exactly one of its names.
fn check_multi_key_commands_are_never_seen_half_done(arena: &Arena) {
    let rounds = rounds();
    let mut client = arena.player();
    client.call("MSET a 0 b 0 c 0 name:1 value");
    let done = Done::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = arena.player();
                while !done.is_set() {
                    let seen = client.call("MGET c a b");
                    assert!(items(&seen).iter().all(|value| value == &items(&seen)[0]), "half an MSET: {seen:?}");
                    let there = number(&client.call("EXISTS name:1 name:2"));
                    assert_eq!(there, 1, "RENAME was seen half done");
                    let names = client.call("MGET name:1 name:2");
                    let there = items(&names).iter().filter(|name| text(name).is_some()).count();
                    assert_eq!(there, 1, "RENAME was seen half done");
                }
            });
        }
        let _ends_the_readers = done.guard();
        arena.play(CLIENTS, |client_number, client| {
            for round in 0..rounds {
                let value = format!("{client_number}:{round}");
                client.call(&format!("MSET a {value} b {value} c {value}"));
                // Only the client that finds the key under the old name moves it.
                let names = if client_number % 2 == 0 { ["name:1", "name:2"] } else { ["name:2", "name:1"] };
                let reply = client.ask(&format!("RENAME {} {}", names[0], names[1]));
                let refused = Reply::Error(b"ERR no such key".to_vec());
                assert!(reply == Reply::Simple(b"OK".to_vec()) || reply == refused, "{reply:?}");
            }
        });
    });
}

#[test]
fn watch_prevents_lost_updates() {
    against_both(check_watch_prevents_lost_updates, &["WATCH", "MULTI", "EXEC"]);
}

/// Read, add one, write back under WATCH: every success counts exactly once.
fn check_watch_prevents_lost_updates(arena: &Arena) {
    let rounds = rounds() / 4;
    let successes = AtomicU64::new(0);
    arena.play(CLIENTS, |_, client| {
        for _ in 0..rounds {
            client.call("WATCH counter");
            let value = number(&client.call("GET counter")) + 1;
            client.call("MULTI");
            client.call(&format!("SET counter {value}"));
            if matches!(client.call("EXEC"), Reply::Array(_)) {
                successes.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let mut client = arena.player();
    let successes = successes.into_inner();
    assert!(successes > 0, "some transaction must succeed");
    assert_eq!(number(&client.call("GET counter")) as u64, successes);
}

#[test]
fn watch_prevents_write_skew() {
    against_both(check_watch_prevents_write_skew, &["WATCH", "MULTI", "EXEC", "MGET"]);
}

/// Write skew: two keys of which at least one must stay 1; each client watches both and clears only its own.
fn check_watch_prevents_write_skew(arena: &Arena) {
    let rounds = rounds();
    let barrier = std::sync::Barrier::new(2);
    // Told afterwards: a panic would leave the other client at the barrier for ever.
    let skewed = AtomicBool::new(false);
    let mut referee = arena.player();
    referee.call("MSET skew:0 1 skew:1 1");
    arena.play(2, |me, client| {
        for _ in 0..rounds {
            barrier.wait();
            client.call("WATCH skew:0 skew:1");
            let both = client.call("MGET skew:0 skew:1");
            let sum: i64 = items(&both).iter().map(number).sum();
            client.call("MULTI");
            client.call(&format!("SET skew:{me} {}", i64::from(sum < 2)));
            client.call("EXEC");
            barrier.wait();
            if me == 0 {
                let both = client.call("MGET skew:0 skew:1");
                let sum: i64 = items(&both).iter().map(number).sum();
                skewed.fetch_or(sum < 1, Ordering::Relaxed);
                client.call("MSET skew:0 1 skew:1 1");
            }
        }
    });
    assert!(!skewed.into_inner(), "both were cleared, each because the other still stood");
}

#[test]
fn blocking_pops_deliver_once() {
    against_both(check_blocking_pops_deliver_once, &["BLPOP", "RPUSH", "EXISTS"]);
}

/// Blocking pops deliver each element exactly once.
fn check_blocking_pops_deliver_once(arena: &Arena) {
    let rounds = rounds();
    let (poppers, pushers) = (8_usize, 4_u64);
    let seen = std::sync::Mutex::new(std::collections::BTreeMap::<String, u32>::new());
    std::thread::scope(|scope| {
        for _ in 0..poppers {
            scope.spawn(|| {
                let mut client = arena.player();
                loop {
                    let popped = client.call("BLPOP queue:1 queue:2 0");
                    let element = String::from_utf8_lossy(text(&items(&popped)[1]).expect("an element")).into_owned();
                    if element == "stop" {
                        return;
                    }
                    *seen.lock().expect("no panic").entry(element).or_default() += 1;
                }
            });
        }
        arena.play(pushers as usize, |pusher, client| {
            for round in 0..rounds {
                client.call(&format!("RPUSH queue:{} {pusher}:{round}", 1 + round % 2));
            }
        });
        let mut client = arena.player();
        while number(&client.call("EXISTS queue:1 queue:2")) > 0 {
            std::thread::yield_now();
        }
        (0..poppers).for_each(|_| drop(client.call("RPUSH queue:1 stop")));
    });
    let seen = seen.into_inner().expect("no panic");
    assert_eq!(seen.len() as u64, pushers * rounds);
    assert!(seen.values().all(|&times| times == 1), "delivered more than once");
}

#[test]
fn registers_are_linearizable() {
    against_both(check_registers_are_linearizable, &["GETSET", "GETDEL", "SET", "GET"]);
}

/// Registers under GET, SET, GETSET and DEL: the recorded history has an order that explains every reply.
fn check_registers_are_linearizable(arena: &Arena) {
    const REGISTERS: usize = 4;
    let rounds = rounds();
    let begin = Instant::now();
    let fresh = AtomicU64::new(1);
    let histories = std::sync::Mutex::new(vec![Vec::new(); REGISTERS]);
    arena.play(CLIENTS / 2, |client_number, client| {
        let mut random = fastrand::Rng::with_seed(client_number as u64);
        let mut mine = vec![Vec::new(); REGISTERS];
        for _ in 0..rounds {
            let register = random.usize(..REGISTERS);
            let value = fresh.fetch_add(1, Ordering::Relaxed);
            let choice = random.u8(..10);
            let command = match choice {
                0..4 => format!("GET register:{register}"),
                4..7 => format!("SET register:{register} {value}"),
                7..9 => format!("GETSET register:{register} {value}"),
                _ => format!("GETDEL register:{register}"),
            };
            let called = begin.elapsed().as_nanos() as u64;
            let reply = client.call(&command);
            let returned = begin.elapsed().as_nanos() as u64;
            let seen: Value = text(&reply).filter(|_| !(4..7).contains(&choice)).map(|_| number(&reply) as u64);
            let action = match choice {
                0..4 => Action::Read(seen),
                4..7 => Action::Write(Some(value)),
                7..9 => Action::Swap(seen, Some(value)),
                _ => Action::Swap(seen, None),
            };
            mine[register].push(Operation { called, returned, action });
        }
        for (history, part) in histories.lock().expect("no panic").iter_mut().zip(mine) {
            history.extend(part);
        }
    });
    for (register, history) in histories.into_inner().expect("no panic").into_iter().enumerate() {
        assert!(linearize(None, &history).is_some(), "register {register}: no order explains {history:?}");
    }
}

/// Each check notices the fault that it is for. The faults are played by the clients: to the check that is the same.
#[test]
fn planted_faults_are_caught() {
    let Some(reference) = found(Program::reference(REFERENCE), REFERENCE) else { return };
    let planted: &[(Fault, Check)] = &[
        (Fault::SplitIncr, check_counters_are_exact),
        (Fault::LostPush, check_collections_lose_nothing),
        (Fault::NoMulti, check_transactions_are_whole),
        (Fault::SplitMset, check_multi_key_commands_are_never_seen_half_done),
        (Fault::SplitRename, check_multi_key_commands_are_never_seen_half_done),
        (Fault::NoWatch, check_watch_prevents_lost_updates),
        (Fault::NoWatch, check_watch_prevents_write_skew),
        (Fault::DoublePop, check_blocking_pops_deliver_once),
        (Fault::StaleRead, check_registers_are_linearizable),
    ];
    for (fault, check) in planted {
        let arena = Arena::new(&reference, *fault);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&arena)));
        assert!(outcome.is_err(), "not caught: {fault:?}");
    }
}
