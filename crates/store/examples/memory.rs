//! Prints what one set, sorted set and hash of a million members cost in resident memory and how long common operations
//! take, with the system's allocator: `cargo run --release -p store --example memory [members]` (Linux).

use std::hint::black_box;
use std::time::Instant;

use fastrand::Rng;
use store::value::Limits;
use store::value::hash::{ExpiryCondition, Hash, OldExpiry};
use store::value::set::Set;
use store::value::zset::{AddFlags, ScoreRange, SortedSet};

fn main() {
    let members: u32 = std::env::args().nth(1).map_or(1_000_000, |arg| arg.parse().expect("members: a number"));
    let limits = Limits::default();
    let mut rng = Rng::with_seed(1);
    println!("{members} members of 16 bytes");
    println!("{:24}{:>10}{:>12}{:>12}", "", "RSS MB", "own MB", "ns each");

    let set = row("set", members, || {
        let mut set = Set::new();
        (0..members).for_each(|i| assert!(set.add(&name(i), &limits)));
        let bytes = set.memory_bytes();
        (set, bytes)
    });
    let random = row("zset, random scores", members, || {
        let mut zset = SortedSet::new();
        for i in 0..members {
            zset.add(&name(i), f64::from(rng.u32(..)) / 8.0, AddFlags::empty(), &limits);
        }
        let bytes = zset.memory_bytes();
        (zset, bytes)
    });
    let ascending = row("zset, ascending scores", members, || {
        let mut zset = SortedSet::new();
        for i in 0..members {
            zset.add(&name(i), f64::from(i), AddFlags::empty(), &limits);
        }
        let bytes = zset.memory_bytes();
        (zset, bytes)
    });
    let equal = row("zset, equal scores", members, || {
        let mut zset = SortedSet::new();
        for i in 0..members {
            zset.add(&name(i.wrapping_mul(2_654_435_761)), 0.0, AddFlags::empty(), &limits);
        }
        let bytes = zset.memory_bytes();
        (zset, bytes)
    });
    let hash = row("hash", members, || {
        let mut hash = Hash::new();
        (0..members).for_each(|i| assert!(hash.set(&name(i), &name(i), OldExpiry::Clear, &limits)));
        let bytes = hash.memory_bytes();
        (hash, bytes)
    });
    let mut volatile = row("hash, fields expire", members, || {
        let mut hash = Hash::new();
        for i in 0..members {
            hash.set(&name(i), &name(i), OldExpiry::Clear, &limits);
            hash.set_expiry(&name(i), 1 + u64::from(i), ExpiryCondition::Always, 0);
        }
        let bytes = hash.memory_bytes();
        (hash, bytes)
    });

    println!();
    let at = |i: u32| name(i.wrapping_mul(2_654_435_761) % members);
    time("set contains", members, |i| set.contains(&at(i)));
    time("zset score", members, |i| random.score(&at(i)).is_some());
    time("zset rank", members, |i| random.rank(&at(i)).is_some());
    time("zset rank, equal scores", members, |i| equal.rank(&name(i.wrapping_mul(2_654_435_761))).is_some());
    time("zset count by score", members, |i| {
        let range = ScoreRange { min: f64::from(i), max: f64::from(i) * 2.0, ..ScoreRange::ALL };
        ascending.ranks_by_score(&range).end > 0
    });
    let mut walk = random.iter();
    time("zset walk", members, |_| walk.next().is_some());
    let mut moving = random.clone();
    time("zset increment", members, |i| {
        moving.add(&at(i), 1000.0, AddFlags::INCR, &limits);
        true
    });
    time("zset pop min", members, |_| moving.pop_min().is_some());
    time("hash get", members, |i| hash.get(&at(i), 0).is_some());
    time("hash expire a field", members / 2, |i| volatile.remove_expired(2 + u64::from(i), 1).len() == 1);
    let start = Instant::now();
    drop(random);
    println!("{:24}{:>34}", "zset drop", start.elapsed().as_nanos() / u128::from(members));
}

fn name(i: u32) -> [u8; 16] {
    let mut name = *b"member:000000000";
    let digits = format!("{i:09}");
    name[7..].copy_from_slice(&digits.as_bytes()[digits.len() - 9..]);
    name
}

/// Builds a value and prints what it cost.
fn row<T>(label: &str, members: u32, build: impl FnOnce() -> (T, usize)) -> T {
    let (before, start) = (resident_bytes(), Instant::now());
    let (value, own_bytes) = build();
    let (took, after) = (start.elapsed(), resident_bytes());
    let mb = |bytes: usize| bytes as f64 / 1e6;
    let ns = took.as_nanos() / u128::from(members);
    println!("{label:24}{:>10.1}{:>12.1}{ns:>12}", mb(after - before), mb(own_bytes));
    value
}

fn time(label: &str, times: u32, mut op: impl FnMut(u32) -> bool) {
    let start = Instant::now();
    for i in 0..times {
        assert!(black_box(op(i)), "{label} {i}");
    }
    println!("{label:24}{:>34}", start.elapsed().as_nanos() / u128::from(times));
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc is there on Linux");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages");
    pages * 4096
}
