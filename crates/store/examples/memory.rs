//! Prints what one set, sorted set and hash of a million members cost in resident memory and how long common operations
//! take, with the system's allocator: `cargo run --release -p store --example memory [members]` (Linux).

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use fastrand::Rng;
use store::value::Limits;
use store::value::hash::{ExpiryCondition, Hash, OldExpiry};
use store::value::set::Set;
use store::value::zset::{AddFlags, ScoreRange, SortedSet};

fn main() {
    let mut args = std::env::args().skip(1);
    let members: u32 = args.next().map_or(1_000_000, |arg| arg.parse().expect("members: a number"));
    if let Some(row) = args.next() {
        return build(&row, members);
    }
    println!("{members} members of 16 bytes");
    println!("{:28}{:>10}{:>12}{:>12}", "", "RSS MB", "own MB", "ns each");
    // Each value has a process of its own, since an allocator keeps what the one before it freed.
    let program = std::env::current_exe().expect("the program has a path");
    for row in ROWS {
        let status = Command::new(&program).args([&members.to_string(), row]).status().expect("the program starts");
        assert!(status.success());
    }
}

const ROWS: [&str; 6] =
    ["set", "zset, random scores", "zset, ascending scores", "zset, equal scores", "hash", "hash, all fields expire"];

/// Builds the value of one row, prints what it cost, and times some operations on it.
fn build(row: &str, members: u32) {
    let limits = Limits::default();
    let mut rng = Rng::with_seed(1);
    let at = |i: u32| scattered(i, members);
    match row {
        "set" => {
            let set = measure(row, members, Set::new(), Set::memory_bytes, |set, i| {
                set.add(&name(i), &limits);
            });
            time("contains", members, |i| set.contains(&at(i)));
        }
        "hash" => {
            let hash = measure(row, members, Hash::new(), Hash::memory_bytes, |hash, i| {
                hash.set(&name(i), &name(i), OldExpiry::Clear, &limits);
            });
            time("get", members, |i| hash.get(&at(i), 0).is_some());
        }
        "hash, all fields expire" => {
            let mut hash = measure(row, members, Hash::new(), Hash::memory_bytes, |hash, i| {
                hash.set(&name(i), &name(i), OldExpiry::Clear, &limits);
                hash.set_expiry(&name(i), 1 + u64::from(i), ExpiryCondition::Always, 0);
            });
            time("expire one field", members / 2, |i| hash.remove_expired(2 + u64::from(i), 1).len() == 1);
        }
        _ => {
            let mut zset = measure(row, members, SortedSet::new(), SortedSet::memory_bytes, |zset, i| {
                let (member, score) = match row {
                    "zset, random scores" => (name(i), f64::from(rng.u32(..)) / 8.0),
                    "zset, ascending scores" => (name(i), f64::from(i)),
                    _ => (at(i), 0.0),
                };
                zset.add(&member, score, AddFlags::empty(), &limits);
            });
            time_zset(&mut zset, members);
        }
    }
}

fn time_zset(zset: &mut SortedSet, members: u32) {
    let limits = Limits::default();
    let at = |i: u32| scattered(i, members);
    time("score", members, |i| zset.score(&at(i)).is_some());
    time("rank", members, |i| zset.rank(&at(i)).is_some());
    time("count by score", members, |i| {
        let range = ScoreRange { min: f64::from(i), max: f64::from(i) * 2.0, ..ScoreRange::ALL };
        zset.ranks_by_score(&range).start <= members as usize
    });
    let mut walk = zset.iter();
    time("walk", members, |_| walk.next().is_some());
    time("increment", members, |i| {
        zset.add(&at(i), 1000.0, AddFlags::INCR, &limits);
        true
    });
    time("pop the first", members / 2, |_| zset.pop_min().is_some());
    let left = zset.len() as u32;
    let start = Instant::now();
    *zset = SortedSet::new();
    print_time("drop", start.elapsed(), left);
}

/// Member `i` in an order that no cache foresees: a permutation of all members unless their number is a multiple of 7919.
fn scattered(i: u32, members: u32) -> [u8; 16] {
    name((u64::from(i) * 7919 % u64::from(members)) as u32)
}

fn name(i: u32) -> [u8; 16] {
    let mut name = *b"member:000000000";
    let digits = format!("{i:09}");
    name[7..].copy_from_slice(&digits.as_bytes()[digits.len() - 9..]);
    name
}

fn measure<T>(row: &str, members: u32, mut value: T, own: fn(&T) -> usize, mut add: impl FnMut(&mut T, u32)) -> T {
    let (before, start) = (resident_bytes(), Instant::now());
    (0..members).for_each(|i| add(&mut value, i));
    let (took, after) = (start.elapsed(), resident_bytes());
    let mb = |bytes: usize| bytes as f64 / 1e6;
    let ns = took.as_nanos() / u128::from(members);
    println!("{row:28}{:>10.1}{:>12.1}{ns:>12}", mb(after - before), mb(own(&value)));
    value
}

fn time(label: &str, times: u32, mut op: impl FnMut(u32) -> bool) {
    let start = Instant::now();
    for i in 0..times {
        assert!(black_box(op(i)), "{label} {i}");
    }
    print_time(label, start.elapsed(), times);
}

fn print_time(label: &str, took: Duration, times: u32) {
    println!("    {label:24}{:>34}", took.as_nanos() / u128::from(times));
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc is there on Linux");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages");
    pages * 4096
}
