//! The whole pipeline in memory, from the bytes of requests to the bytes of replies: what a command costs one thread, and
//! how much more two threads do on the same keyspace.
//!
//! `cargo bench -p benches --bench pipeline`. Requests are made beforehand, as many as touch more memory than caches hold,
//! and all are executed once before they are timed, so that every key is there. With two threads one is timed while the
//! other goes on; what the other does meanwhile is counted, and the work of both beside that of one is printed last.
//! Each thread has a [`Transport`] of its own, as a worker has; what workers share besides the keyspace (counters, the
//! log) is not in it. The allocator is the server's.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use benches::workload::{VALUE, command};
use benches::{Transport, keyspace, request};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use fastrand::Rng;
use store::keyspace::Keyspace;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KEYS: usize = 1_000_000;
/// Keys that a thread's requests name: with 64 bytes of value each they are more than the caches hold.
const NAMED: usize = 1 << 18;
/// Commands of a pipeline, where nothing else is said.
const BATCH: usize = 16;
/// Workloads, and the pipelines they come in.
const COMMANDS: [(&str, &[usize]); 10] = [
    ("GET", &[1, BATCH, 128]),
    ("SET", &[1, BATCH, 128]),
    ("INCR", &[BATCH]),
    ("LPUSH", &[BATCH]),
    ("SADD", &[BATCH]),
    ("HSET", &[BATCH]),
    ("ZADD", &[BATCH]),
    ("XADD", &[BATCH]),
    ("MGET", &[BATCH]),
    ("MSET", &[BATCH]),
];

/// A client that sends the same batches over and over.
struct Load {
    transport: Transport,
    batches: Vec<Vec<u8>>,
    next: usize,
}

impl Load {
    /// Batches of `size` commands on keys below `span`. Each has been executed once.
    fn new(keyspace: &'static Keyspace, name: &str, size: usize, span: usize, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let commands = if matches!(name, "MGET" | "MSET") { NAMED / 10 } else { NAMED };
        let mut one = || {
            let key = rng.usize(0..span);
            command(name, key, span, &mut rng)
        };
        let batches = (0..commands / size).map(|_| (0..size).flat_map(|_| one()).collect()).collect();
        let mut load = Self { transport: Transport::new(keyspace), batches, next: 0 };
        load.run(load.batches.len() as u64);
        load
    }

    /// Executes so many batches and tells how long it took.
    fn run(&mut self, batches: u64) -> Duration {
        let began = Instant::now();
        (0..batches).for_each(|_| self.step());
        began.elapsed()
    }

    fn step(&mut self) {
        self.transport.execute(&self.batches[self.next]);
        self.next = (self.next + 1) % self.batches.len();
    }
}

/// A million strings and a million integers.
fn filled() -> &'static Keyspace {
    let keyspace = keyspace();
    let mut transport = Transport::new(keyspace);
    for key in 0..KEYS {
        transport.execute(&request(&["SET", &format!("key:{key:012}"), VALUE]));
        transport.execute(&request(&["SET", &format!("int:{key:012}"), "1"]));
    }
    keyspace
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(1));
    group
}

fn one_thread(criterion: &mut Criterion, keyspace: &'static Keyspace) {
    let mut group = group(criterion, "pipeline");
    for (name, sizes) in COMMANDS {
        for &size in sizes {
            let mut load = Load::new(keyspace, name, size, KEYS, 1);
            group.throughput(Throughput::Elements(size as u64));
            group.bench_function(format!("{name}/{size}"), |bencher| bencher.iter_custom(|rounds| load.run(rounds)));
        }
    }
    group.finish();
}

/// Batches that were executed while one thread was timed, by all threads.
#[derive(Default)]
struct Work {
    batches: u64,
    took: Duration,
}

impl Work {
    fn a_second(&self) -> f64 {
        self.batches as f64 / self.took.as_secs_f64()
    }
}

fn threads(criterion: &mut Criterion, keyspace: &'static Keyspace) {
    let mut group = group(criterion, "threads");
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut ratios = Vec::new();
    for name in ["GET", "SET", "INCR"] {
        for (keys, span) in [("uniform", KEYS), ("hot", 1)] {
            let [one, two] = [0, 1].map(|others| beside(&mut group, keyspace, (name, keys, span), others));
            // Nothing was executed if the command line asks for other benchmarks.
            if one.batches > 0 && two.batches > 0 {
                ratios.push(format!(
                    "{name}/{keys}: two threads do {:.2} times the work of one",
                    two.a_second() / one.a_second()
                ));
            }
        }
    }
    group.finish();
    println!("{}", ratios.join("\n"));
}

/// One thread is timed while `others` do the same.
fn beside(
    group: &mut BenchmarkGroup<'_, WallTime>,
    keyspace: &'static Keyspace,
    (name, keys, span): (&str, &str, usize),
    others: u64,
) -> Work {
    let (done, ready, by_others) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let mut work = Work::default();
    thread::scope(|scope| {
        for other in 0..others {
            let (done, ready, by_others) = (&done, &ready, &by_others);
            scope.spawn(move || {
                let mut load = Load::new(keyspace, name, BATCH, span, 2 + other);
                ready.fetch_add(1, Relaxed);
                while !done.load(Relaxed) {
                    load.step();
                    by_others.fetch_add(1, Relaxed);
                }
            });
        }
        let mut load = Load::new(keyspace, name, BATCH, span, 1);
        while ready.load(Relaxed) < others {
            thread::yield_now();
        }
        group.bench_function(format!("{name}/{keys}/{} threads", others + 1), |bencher| {
            bencher.iter_custom(|rounds| {
                let before = by_others.load(Relaxed);
                let took = load.run(rounds);
                work.batches += rounds + by_others.load(Relaxed) - before;
                work.took += took;
                took
            });
        });
        done.store(true, Relaxed);
    });
    work
}

fn bench(criterion: &mut Criterion) {
    let keyspace = filled();
    one_thread(criterion, keyspace);
    threads(criterion, keyspace);
}

criterion_group!(benches, bench);
criterion_main!(benches);
