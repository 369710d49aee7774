//! The checks of `concurrency.rs` for each type: histories of lists, sums of scores, moves between sets, counters in
//! hashes, ids of streams, and blocking pops whose clients die or lose patience.
//!
//! Runs against Redis 8.0.2, where it must hold, and against the server under test; each check is shown to notice a fault
//! that its clients play in the server's place. `BRINDLE_CONCURRENCY_ROUNDS` says how much (default 300 rounds a client;
//! `BRINDLE_DEPTH=full`: 20,000).

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use testkit::reply::{integer, is_error, items, text};
use testkit::{Client, Program, Reply, Server, found};

const REFERENCE: &str = "redis-8.0.2";
/// More than any machine that judges has cores, so that every worker has several.
const CLIENTS: usize = 12;
/// Nothing more comes when nobody was given anything for so long. How long all of it takes is the machine's affair.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// A fault is played on every so many calls of a client.
const EVERY: usize = 7;

/// What a faulty server would do instead of a command, now and then; nothing if the command is another.
type Fault = fn(&mut Client, &[&str]) -> Option<Reply>;
type Check = fn(&Arena);

struct Arena {
    server: Server,
    fault: Option<Fault>,
}

struct Player {
    client: Client,
    fault: Option<Fault>,
    calls: usize,
}

impl Arena {
    fn new(program: &Program, fault: Option<Fault>) -> Self {
        Self { server: Server::start(program, &[]).expect("the server starts"), fault }
    }

    fn player(&self) -> Player {
        Player { client: self.server.connect().expect("a connection"), fault: self.fault, calls: 0 }
    }

    fn play(&self, count: usize, act: impl Fn(usize, &mut Player) + Sync) {
        thread::scope(|scope| {
            for number in 0..count {
                let act = &act;
                scope.spawn(move || act(number, &mut self.player()));
            }
        });
    }

    /// Players in the foreground, and observers until they are done, also if one of them panics.
    fn observed(&self, observe: impl Fn(&mut Player) + Sync, count: usize, act: impl Fn(usize, &mut Player) + Sync) {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut player = self.player();
                    while !done.load(Ordering::Relaxed) {
                        observe(&mut player);
                    }
                });
            }
            let outcome = catch_unwind(AssertUnwindSafe(|| self.play(count, act)));
            done.store(true, Ordering::Relaxed);
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
    }
}

impl Player {
    fn call(&mut self, command: &str) -> Reply {
        let words: Vec<&str> = command.split(' ').collect();
        self.calls += 1;
        let fault = self.fault.filter(|_| self.calls.is_multiple_of(EVERY));
        let played = fault.and_then(|fault| fault(&mut self.client, &words));
        let reply = played.unwrap_or_else(|| self.client.call(&words).expect("the connection lives"));
        assert!(!is_error(&reply), "{command}: {reply:?}");
        reply
    }

    fn number(&mut self, command: &str) -> i64 {
        let reply = self.call(command);
        integer(&reply).unwrap_or_else(|| decimal(&reply))
    }

    fn texts(&mut self, command: &str) -> Vec<String> {
        items(&self.call(command)).iter().map(owned).collect()
    }
}

fn owned(reply: &Reply) -> String {
    String::from_utf8_lossy(text(reply).expect("a text")).into_owned()
}

fn decimal(reply: &Reply) -> i64 {
    text(reply).map_or(0, |text| std::str::from_utf8(text).expect("ascii").parse().expect("a number"))
}

fn rounds() -> usize {
    let full = std::env::var("BRINDLE_DEPTH").as_deref() == Ok("full");
    let chosen = std::env::var("BRINDLE_CONCURRENCY_ROUNDS").ok();
    chosen.map_or(if full { 20_000 } else { 300 }, |rounds| {
        rounds.parse().expect("BRINDLE_CONCURRENCY_ROUNDS is a number")
    })
}

/// Both servers must pass, and a server with the fault must not.
fn judge(check: Check, fault: Fault) {
    let Some(reference) = found(Program::reference(REFERENCE), REFERENCE) else { return };
    check(&Arena::new(&reference, None));
    let caught = catch_unwind(AssertUnwindSafe(|| check(&Arena::new(&reference, Some(fault)))));
    assert!(caught.is_err(), "the planted fault was not caught");
    let Some(subject) = found(Program::subject(), "brindle-server") else { return };
    check(&Arena::new(&subject, None));
}

#[test]
fn lists_only_grow_at_their_end() {
    judge(check_lists_only_grow_at_their_end, |client, words| {
        (words[0] == "RPUSH").then(|| client.call(&["LPUSH", words[1], words[2]]).expect("a reply"))
    });
}

/// Whoever reads a list that is only appended to sees a beginning of what it is in the end: nothing is lost, doubled or
/// in another order, at any moment.
fn check_lists_only_grow_at_their_end(arena: &Arena) {
    let rounds = rounds();
    let seen = Mutex::new(Vec::new());
    arena.observed(
        |player| {
            let read = player.texts("LRANGE log 0 -1");
            let mut seen = seen.lock().expect("no panic");
            if seen.len() < 200 {
                seen.push(read);
            }
            drop(seen);
            thread::sleep(Duration::from_millis(2));
        },
        CLIENTS,
        |number, player| {
            for round in 0..rounds {
                let before = player.number(&format!("RPUSH log {number}:{round}"));
                assert!(before as usize <= CLIENTS * rounds);
            }
        },
    );
    let end = arena.player().texts("LRANGE log 0 -1");
    assert_eq!(end.len(), CLIENTS * rounds, "lost or doubled");
    assert_eq!(end.iter().collect::<BTreeSet<_>>().len(), end.len(), "doubled");
    for read in seen.into_inner().expect("no panic") {
        assert!(end.starts_with(&read), "a read of {} elements is no beginning of the list", read.len());
    }
}

#[test]
fn scores_keep_their_sum() {
    judge(check_scores_keep_their_sum, |client, words| {
        (words[0] == "ZINCRBY").then(|| {
            let score = decimal(&client.call(&["ZSCORE", words[1], words[3]]).expect("a reply"));
            let sum = score + words[2].parse::<i64>().expect("a number") + 1;
            client.call(&["ZADD", words[1], &sum.to_string(), words[3]]).expect("a reply")
        })
    });
}

/// Points move between members in transactions; whoever adds them up finds them all.
fn check_scores_keep_their_sum(arena: &Arena) {
    let rounds = rounds();
    let total = 8 * 1000;
    let mut setup = arena.player();
    for member in 0..8 {
        setup.client.call(&["ZADD", "points", "1000", &format!("m{member}")]).expect("a reply");
    }
    let sum = |replies: &[Reply]| replies.iter().skip(1).step_by(2).map(decimal).sum::<i64>();
    arena.observed(
        |player| {
            let all = player.call("ZRANGE points 0 -1 WITHSCORES");
            assert_eq!((items(&all).len(), sum(items(&all))), (16, total), "half a transfer was seen");
        },
        CLIENTS,
        |number, player| {
            let mut random = fastrand::Rng::with_seed(number as u64);
            for _ in 0..rounds {
                let (from, to, points) = (random.u8(..8), random.u8(..8), random.u8(1..9));
                player.call("MULTI");
                player.call(&format!("ZINCRBY points -{points} m{from}"));
                player.call(&format!("ZINCRBY points {points} m{to}"));
                player.call("EXEC");
            }
        },
    );
    let all = setup.call("ZRANGE points 0 -1 WITHSCORES");
    assert_eq!(sum(items(&all)), total);
}

#[test]
fn members_move_between_sets_whole() {
    judge(check_members_move_between_sets_whole, |client, words| {
        (words[0] == "SMOVE").then(|| client.call(&["SADD", words[2], words[3]]).expect("a reply"))
    });
}

/// SMOVE among three sets: each member is in one of them, always.
fn check_members_move_between_sets_whole(arena: &Arena) {
    const MEMBERS: i64 = 40;
    let rounds = rounds();
    let mut setup = arena.player();
    for member in 0..MEMBERS {
        setup.client.call(&["SADD", "set:0", &member.to_string()]).expect("a reply");
    }
    arena.observed(
        |player| {
            assert_eq!(player.texts("SUNION set:0 set:1 set:2").len() as i64, MEMBERS, "a member was nowhere");
            for pair in ["SINTERCARD 2 set:0 set:1", "SINTERCARD 2 set:1 set:2", "SINTERCARD 2 set:0 set:2"] {
                assert_eq!(player.number(pair), 0, "a member was in two sets: {pair}");
            }
        },
        CLIENTS,
        |number, player| {
            let mut random = fastrand::Rng::with_seed(number as u64);
            for _ in 0..rounds {
                let (from, step) = (random.u8(..3), random.u8(1..3));
                player.call(&format!("SMOVE set:{from} set:{} {}", (from + step) % 3, random.i64(..MEMBERS)));
            }
        },
    );
    let cards = |player: &mut Player| (0..3).map(|set| player.number(&format!("SCARD set:{set}"))).sum::<i64>();
    assert_eq!(cards(&mut setup), MEMBERS);
}

#[test]
fn hash_counters_are_exact() {
    judge(check_hash_counters_are_exact, |client, words| {
        (words[0] == "HINCRBY").then(|| {
            let value = decimal(&client.call(&["HGET", words[1], words[2]]).expect("a reply")) + 1;
            thread::sleep(Duration::from_micros(200));
            client.call(&["HSET", words[1], words[2], &value.to_string()]).expect("a reply")
        })
    });
}

/// Every increment of a field counts once, no reader sees the sum fall, and of those who create a field one wins.
fn check_hash_counters_are_exact(arena: &Arena) {
    const FIELDS: usize = 20;
    let rounds = rounds();
    let winners = AtomicUsize::new(0);
    let highest = Mutex::new(0);
    arena.observed(
        |player| {
            let floor = *highest.lock().expect("no panic");
            let all = player.call("HVALS counters");
            let sum: i64 = items(&all).iter().map(decimal).sum();
            assert!(sum >= floor, "{sum} after {floor}");
            let mut highest = highest.lock().expect("no panic");
            *highest = sum.max(*highest);
        },
        CLIENTS,
        |_, player| {
            for round in 0..rounds {
                player.call(&format!("HINCRBY counters f{} 1", round % FIELDS));
                let won = player.number(&format!("HSETNX firsts {round} x"));
                winners.fetch_add(won as usize, Ordering::Relaxed);
            }
        },
    );
    let all = arena.player().call("HVALS counters");
    assert_eq!(items(&all).iter().map(decimal).sum::<i64>() as usize, rounds * CLIENTS);
    assert_eq!(winners.into_inner(), rounds, "each field has one creator");
}

#[test]
fn stream_ids_rise_and_groups_deliver_once() {
    judge(check_stream_ids_rise_and_groups_deliver_once, |client, words| {
        (words[0] == "XREADGROUP").then(|| client.call(&["XRANGE", "none", "-", "+"]).expect("a reply")).and_then(
            |_| {
                // The group is set back, so entries come again.
                client.call(&["XGROUP", "SETID", "stream", "group", "0"]).expect("a reply");
                None
            },
        )
    });
}

/// Ids rise for each writer and over all; a group's consumers share the entries among themselves, each to one of them.
fn check_stream_ids_rise_and_groups_deliver_once(arena: &Arena) {
    let rounds = rounds();
    let mut setup = arena.player();
    setup.call("XGROUP CREATE stream group $ MKSTREAM");
    let delivered = Mutex::new(BTreeMap::<String, usize>::new());
    let (writers, readers) = (CLIENTS / 2, CLIENTS / 2);
    // Counted beside the map: to add the map up at every read would take longer than the reads.
    let count = AtomicUsize::new(0);
    let all = rounds * writers;
    arena.play(writers + readers, |number, player| {
        if number < writers {
            let mut last = (0, 0);
            for _ in 0..rounds {
                let id = id(&player.call("XADD stream * f v"));
                assert!(id > last, "{id:?} after {last:?}");
                last = id;
            }
            return;
        }
        let mut progress = (0, Instant::now());
        loop {
            let known = count.load(Ordering::Relaxed);
            if known >= all {
                break;
            }
            if known != progress.0 {
                progress = (known, Instant::now());
            }
            assert!(progress.1.elapsed() < SILENCE_MAX, "entries are missing");
            let read = player.call(&format!("XREADGROUP GROUP group c{number} COUNT 3 BLOCK 20 STREAMS stream >"));
            for stream in items(&read) {
                for entry in items(&items(stream)[1]) {
                    let times = *delivered
                        .lock()
                        .expect("no panic")
                        .entry(owned(&items(entry)[0]))
                        .and_modify(|times| *times += 1)
                        .or_insert(1);
                    assert_eq!(times, 1, "delivered twice");
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    let entries = setup.call("XRANGE stream - +");
    let ids: Vec<_> = items(&entries).iter().map(|entry| id(&items(entry)[0])).collect();
    assert!(ids.is_sorted_by(|left, right| left < right), "ids are not strictly increasing");
    assert_eq!((ids.len(), delivered.into_inner().expect("no panic").len()), (all, all));
}

fn id(reply: &Reply) -> (u64, u64) {
    let id = owned(reply);
    let (time, sequence) = id.split_once('-').expect("an id");
    (time.parse().expect("a number"), sequence.parse().expect("a number"))
}

#[test]
fn blocked_clients_die_without_harm() {
    judge(check_blocked_clients_die_without_harm, |client, words| {
        (words[0] == "BLMOVE").then(|| {
            let element = owned(&client.call(&["LINDEX", words[1], "0"]).expect("a reply").into_bulk());
            client.call(&["RPUSH", words[2], &element]).expect("a reply")
        })
    });
}

/// An element for a fault that finds none.
trait IntoBulk {
    fn into_bulk(self) -> Reply;
}

impl IntoBulk for Reply {
    fn into_bulk(self) -> Reply {
        if text(&self).is_some() { self } else { Reply::Bulk(b"stale".to_vec()) }
    }
}

/// Clients that wait with little patience, and some that leave in the middle of a wait. What BLMOVE has taken is in a list
/// of the taker, whether he has heard of it or not: so each element is in one list in the end, and in one only.
fn check_blocked_clients_die_without_harm(arena: &Arena) {
    let rounds = rounds();
    let (movers, pushers) = (CLIENTS - 4, 4);
    let pushing = AtomicUsize::new(pushers);
    arena.play(movers + pushers, |number, player| {
        if number >= movers {
            for round in 0..rounds {
                player.call(&format!("RPUSH queue {number}:{round}"));
                if round % 16 == 0 {
                    thread::sleep(Duration::from_micros(500));
                }
            }
            pushing.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let mut random = fastrand::Rng::with_seed(number as u64);
        loop {
            let left = player.number("LLEN queue");
            if left == 0 && pushing.load(Ordering::Relaxed) == 0 {
                return;
            }
            if random.u8(..20) == 0 {
                // It leaves while it waits, or while its answer is on its way.
                let mut leaving = arena.player();
                leaving
                    .client
                    .send(&["BLMOVE", "queue", &format!("taken:{number}"), "LEFT", "RIGHT", "0"])
                    .expect("sent");
                thread::sleep(Duration::from_micros(random.u64(..1500)));
            } else {
                player.call(&format!("BLMOVE queue taken:{number} LEFT RIGHT 0.0{}", 1 + random.u8(..9)));
            }
        }
    });
    // Whoever has left must be gone before it is counted.
    let mut referee = arena.player();
    thread::sleep(Duration::from_millis(200));
    let mut all = Vec::new();
    for list in (0..movers).map(|mover| format!("taken:{mover}")).chain(["queue".into()]) {
        all.extend(referee.texts(&format!("LRANGE {list} 0 -1")));
    }
    assert_eq!(all.len(), pushers * rounds, "lost or doubled");
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "doubled");
    let blocked = owned(&referee.call("INFO clients"));
    assert!(blocked.contains("blocked_clients:0"), "{blocked}");
}
