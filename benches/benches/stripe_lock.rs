//! Does a writer of a hot key starve? Every thread but one reads the same key as fast as it can; one writes it, at a
//! leisurely pace, and times each write. The stripes of the keyspace stand beside DashMap's shards.
//!
//! `cargo bench -p benches --bench stripe_lock`

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use store::entry::Entry;
use store::guard::Key;
use store::keyspace::Keyspace;
use store::stripe::Mode;

const WRITES: usize = 2_000;
const PAUSE: Duration = Duration::from_micros(200);
const KEY: &[u8] = b"hot";

fn main() {
    println!("| readers | lock | reads/s | write p50 us | p99 us | max us |");
    println!("|---|---|---|---|---|---|");
    for readers in [1, 2, 4, 8] {
        let map: DashMap<Vec<u8>, u64> = DashMap::with_shard_amount(2);
        map.insert(KEY.to_vec(), 0);
        let read = || {
            black_box(map.get(KEY).map(|value| *value));
        };
        report(readers, "DashMap 6", run(readers, read, || *map.get_mut(KEY).unwrap() += 1));

        let keyspace = Keyspace::new(1, 2);
        let key = Key::new(KEY);
        keyspace.lock_one(&keyspace.gate().enter(), 0, key.hash, Mode::Exclusive).insert(
            0,
            key.hash,
            Entry::int(KEY, 0, None),
        );
        let read = || {
            let section = keyspace.gate().enter();
            black_box(keyspace.lock_one(&section, 0, key.hash, Mode::Shared).get(0, key).is_some());
        };
        let write = || {
            let section = keyspace.gate().enter();
            keyspace.lock_one(&section, 0, key.hash, Mode::Exclusive).get_mut(0, key).unwrap().set_int(1);
        };
        report(readers, "stripe", run(readers, read, write));
    }
}

/// Sorted times of all writes, and the reads per second meanwhile.
fn run(readers: usize, read: impl Fn() + Sync, write: impl Fn()) -> (Vec<Duration>, f64) {
    let (done, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    let (times, seconds) = thread::scope(|scope| {
        for _ in 0..readers {
            scope.spawn(|| {
                let mut count = 0;
                while !done.load(Relaxed) {
                    read();
                    count += 1;
                }
                reads.fetch_add(count, Relaxed);
            });
        }
        let began = Instant::now();
        let mut times: Vec<Duration> = (0..WRITES)
            .map(|_| {
                thread::sleep(PAUSE);
                let began = Instant::now();
                write();
                began.elapsed()
            })
            .collect();
        let seconds = began.elapsed().as_secs_f64();
        done.store(true, Relaxed);
        times.sort_unstable();
        (times, seconds)
    });
    (times, reads.load(Relaxed) as f64 / seconds)
}

fn report(readers: usize, lock: &str, (times, reads): (Vec<Duration>, f64)) {
    let us = |at: usize| times[at.min(times.len() - 1)].as_secs_f64() * 1e6;
    println!(
        "| {readers} | {lock} | {reads:.0} | {:.1} | {:.1} | {:.0} |",
        us(WRITES / 2),
        us(WRITES * 99 / 100),
        us(WRITES)
    );
}
