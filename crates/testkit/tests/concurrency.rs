//! Many clients on few keys, and what must hold afterwards and all the while.
//!
//! Runs against Redis 8.0.2, where it must hold (one thread, after all), and against the server under test.
//! `BRINDLE_CONCURRENCY_ROUNDS` says how much (default 400 rounds a client; `BRINDLE_DEPTH=full`: 20,000).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use testkit::linearizable::{Action, Operation, Value, linearize};
use testkit::reply::{integer, is_error, items, text};
use testkit::{Client, Program, Reply, Server, found};

/// More than any machine that judges has cores, so that every worker has several.
const CLIENTS: usize = 16;

/// Runs `check` against the reference and against the server under test, each with a server of its own.
fn against_both(check: fn(&Server)) {
    for (program, name) in [(Program::reference("redis-8.0.2"), "redis-8.0.2"), (Program::subject(), "brindle-server")]
    {
        if let Some(program) = found(program, name) {
            check(&Server::start(&program, &[]).expect("the server starts"));
        }
    }
}

fn rounds() -> u64 {
    let full = std::env::var("BRINDLE_DEPTH").as_deref() == Ok("full");
    std::env::var("BRINDLE_CONCURRENCY_ROUNDS").ok().map_or(if full { 20_000 } else { 400 }, |rounds| {
        rounds.parse().expect("BRINDLE_CONCURRENCY_ROUNDS is a number")
    })
}

/// One thread a client, each with a number and a connection.
fn clients(server: &Server, count: usize, act: impl Fn(usize, &mut Client) + Sync) {
    std::thread::scope(|scope| {
        for number in 0..count {
            let act = &act;
            scope.spawn(move || act(number, &mut server.connect().expect("a connection")));
        }
    });
}

fn call(client: &mut Client, command: &str) -> Reply {
    let words: Vec<&str> = command.split(' ').collect();
    let reply = client.call(&words).expect("the connection lives");
    assert!(!is_error(&reply), "{command}: {reply:?}");
    reply
}

fn number(reply: &Reply) -> i64 {
    match (integer(reply), text(reply)) {
        (Some(number), _) => number,
        (None, Some(text)) => std::str::from_utf8(text).expect("ascii").parse().expect("a number"),
        (None, None) => 0,
    }
}

/// INCR loses nothing and repeats nothing: each client sees its replies rise, and the sum is exact. Pipelined and not.
#[test]
fn counters_are_exact() {
    against_both(|server| {
        let rounds = rounds();
        clients(server, CLIENTS, |client_number, client| {
            let mut last = [0; 3];
            for round in 0..rounds {
                let key = (round as usize + client_number) % 3;
                let value = number(&call(client, &format!("INCR counter:{key}")));
                assert!(value > last[key], "INCR answered {value} after {}", last[key]);
                last[key] = value;
                if round % 8 == 0 {
                    let batch: Vec<Vec<String>> =
                        (0..16).map(|_| vec!["INCRBY".into(), "piped".into(), "2".into()]).collect();
                    let replies: Vec<i64> = client.pipeline(&batch).expect("replies").iter().map(number).collect();
                    assert!(replies.is_sorted_by(|left, right| left < right), "{replies:?}");
                }
            }
        });
        let mut client = server.connect().expect("a connection");
        let sum: i64 = (0..3).map(|key| number(&call(&mut client, &format!("GET counter:{key}")))).sum();
        assert_eq!(sum, (rounds * CLIENTS as u64) as i64);
        let piped = number(&call(&mut client, "GET piped"));
        assert_eq!(piped, (rounds.div_ceil(8) * 16 * 2 * CLIENTS as u64) as i64);
    });
}

/// Hash fields, list lengths, set sizes and scores under the same storm.
#[test]
fn collections_lose_nothing() {
    against_both(|server| {
        let rounds = rounds();
        clients(server, CLIENTS, |client_number, client| {
            for round in 0..rounds {
                call(client, "HINCRBY hash field 1");
                call(client, "ZINCRBY scores 1 member");
                call(client, &format!("RPUSH list {client_number}:{round}"));
                call(client, &format!("SADD set {client_number}:{round}"));
                call(client, "APPEND string x");
            }
        });
        let all = (rounds * CLIENTS as u64) as i64;
        let mut client = server.connect().expect("a connection");
        for (question, expected) in [
            ("HGET hash field", all),
            ("ZSCORE scores member", all),
            ("LLEN list", all),
            ("SCARD set", all),
            ("STRLEN string", all),
        ] {
            assert_eq!(number(&call(&mut client, question)), expected, "{question}");
        }
        // Each client's elements stand in the order it pushed them, and none is lost or doubled.
        let list = call(&mut client, "LRANGE list 0 -1");
        let mut next = [0; CLIENTS];
        for element in items(&list) {
            let element = String::from_utf8_lossy(text(element).expect("an element")).into_owned();
            let (pusher, round) = element.split_once(':').expect("client:round");
            let pusher: usize = pusher.parse().expect("a number");
            assert_eq!(round.parse::<u64>().expect("a number"), next[pusher], "of client {pusher}");
            next[pusher] += 1;
        }
    });
}

/// Two counters that every transaction raises together are never seen apart, by MGET nor by another transaction.
#[test]
fn transactions_are_whole() {
    against_both(|server| {
        let rounds = rounds();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut client = server.connect().expect("a connection");
                    while !done.load(Ordering::Relaxed) {
                        let pair = call(&mut client, "MGET left right");
                        assert_eq!(items(&pair)[0], items(&pair)[1], "MGET saw half a transaction");
                        call(&mut client, "MULTI");
                        call(&mut client, "GET right");
                        call(&mut client, "GET left");
                        let pair = call(&mut client, "EXEC");
                        assert_eq!(items(&pair)[0], items(&pair)[1], "EXEC saw half a transaction");
                    }
                });
            }
            clients(server, CLIENTS, |client_number, client| {
                for _ in 0..rounds {
                    let order = if client_number % 2 == 0 { ["left", "right"] } else { ["right", "left"] };
                    call(client, "MULTI");
                    call(client, &format!("INCR {}", order[0]));
                    call(client, &format!("INCR {}", order[1]));
                    let pair = call(client, "EXEC");
                    assert_eq!(items(&pair)[0], items(&pair)[1], "another transaction came in between");
                }
            });
            done.store(true, Ordering::Relaxed);
        });
    });
}

/// MSET is seen whole by MGET, and a renamed pair of keys always exists under exactly one of its names.
#[test]
fn multi_key_commands_are_never_seen_half_done() {
    against_both(|server| {
        let rounds = rounds();
        let mut client = server.connect().expect("a connection");
        call(&mut client, "MSET a 0 b 0 c 0 name:1 value");
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut client = server.connect().expect("a connection");
                    while !done.load(Ordering::Relaxed) {
                        let seen = call(&mut client, "MGET c a b");
                        assert!(items(&seen).iter().all(|value| value == &items(&seen)[0]), "half an MSET: {seen:?}");
                        let there = number(&call(&mut client, "EXISTS name:1 name:2"));
                        assert_eq!(there, 1, "RENAME was seen half done");
                        let names = call(&mut client, "MGET name:1 name:2");
                        let there = items(&names).iter().filter(|name| text(name).is_some()).count();
                        assert_eq!(there, 1, "RENAME was seen half done");
                    }
                });
            }
            clients(server, CLIENTS, |client_number, client| {
                for round in 0..rounds {
                    let value = format!("{client_number}:{round}");
                    call(client, &format!("MSET a {value} b {value} c {value}"));
                    // Only the client that finds the key under the old name moves it.
                    let names = if client_number % 2 == 0 { ["name:1", "name:2"] } else { ["name:2", "name:1"] };
                    let reply = client.call(&["RENAME", names[0], names[1]]).expect("the connection lives");
                    let refused = Reply::Error(b"ERR no such key".to_vec());
                    assert!(reply == Reply::Simple(b"OK".to_vec()) || reply == refused, "{reply:?}");
                }
            });
            done.store(true, Ordering::Relaxed);
        });
    });
}

/// Read, add one, write back under WATCH: every success counts exactly once.
#[test]
fn watch_prevents_lost_updates() {
    against_both(|server| {
        let rounds = rounds() / 4;
        let successes = AtomicU64::new(0);
        clients(server, CLIENTS, |_, client| {
            for _ in 0..rounds {
                call(client, "WATCH counter");
                let value = number(&call(client, "GET counter")) + 1;
                call(client, "MULTI");
                call(client, &format!("SET counter {value}"));
                if matches!(call(client, "EXEC"), Reply::Array(_)) {
                    successes.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let mut client = server.connect().expect("a connection");
        let successes = successes.into_inner();
        assert!(successes > 0, "some transaction must succeed");
        assert_eq!(number(&call(&mut client, "GET counter")) as u64, successes);
    });
}

/// Write skew: two keys of which at least one must stay 1; each client watches both and clears only its own.
#[test]
fn watch_prevents_write_skew() {
    against_both(|server| {
        let rounds = rounds();
        let barrier = std::sync::Barrier::new(2);
        let mut referee = server.connect().expect("a connection");
        call(&mut referee, "MSET skew:0 1 skew:1 1");
        clients(server, 2, |me, client| {
            for round in 0..rounds {
                barrier.wait();
                call(client, "WATCH skew:0 skew:1");
                let both = call(client, "MGET skew:0 skew:1");
                let sum: i64 = items(&both).iter().map(number).sum();
                call(client, "MULTI");
                call(client, &format!("SET skew:{me} {}", i64::from(sum < 2)));
                call(client, "EXEC");
                barrier.wait();
                if me == 0 {
                    let both = call(client, "MGET skew:0 skew:1");
                    let sum: i64 = items(&both).iter().map(number).sum();
                    assert!(sum >= 1, "round {round}: both were cleared, each because the other still stood");
                    call(client, "MSET skew:0 1 skew:1 1");
                }
            }
        });
    });
}

/// Blocking pops deliver each element exactly once.
#[test]
fn blocking_pops_deliver_once() {
    against_both(|server| {
        let rounds = rounds();
        let (poppers, pushers) = (8_usize, 4_u64);
        let seen = std::sync::Mutex::new(std::collections::BTreeMap::<String, u32>::new());
        std::thread::scope(|scope| {
            for _ in 0..poppers {
                scope.spawn(|| {
                    let mut client = server.connect().expect("a connection");
                    loop {
                        let popped = call(&mut client, "BLPOP queue:1 queue:2 0");
                        let element =
                            String::from_utf8_lossy(text(&items(&popped)[1]).expect("an element")).into_owned();
                        if element == "stop" {
                            return;
                        }
                        *seen.lock().expect("no panic").entry(element).or_default() += 1;
                    }
                });
            }
            clients(server, pushers as usize, |pusher, client| {
                for round in 0..rounds {
                    call(client, &format!("RPUSH queue:{} {pusher}:{round}", 1 + round % 2));
                }
            });
            let mut client = server.connect().expect("a connection");
            while number(&call(&mut client, "EXISTS queue:1 queue:2")) > 0 {
                std::thread::yield_now();
            }
            (0..poppers).for_each(|_| drop(call(&mut client, "RPUSH queue:1 stop")));
        });
        let seen = seen.into_inner().expect("no panic");
        assert_eq!(seen.len() as u64, pushers * rounds);
        assert!(seen.values().all(|&times| times == 1), "delivered more than once");
    });
}

/// Registers under GET, SET, GETSET and DEL: the recorded history has an order that explains every reply.
#[test]
fn registers_are_linearizable() {
    const REGISTERS: usize = 4;
    against_both(|server| {
        let rounds = rounds();
        let begin = Instant::now();
        let fresh = AtomicU64::new(1);
        let histories = std::sync::Mutex::new(vec![Vec::new(); REGISTERS]);
        clients(server, CLIENTS / 2, |client_number, client| {
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
                let reply = call(client, &command);
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
    });
}
