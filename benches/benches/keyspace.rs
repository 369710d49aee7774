//! The keyspace alone: reads and writes of existing keys under their guards, by one thread and by two, over a million
//! uniform keys and on one hot key.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use benches::keyspace;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fastrand::Rng;
use store::entry::Entry;
use store::guard::Key;
use store::keyspace::Keyspace;
use store::stripe::Mode;

const KEYS: usize = 1_000_000;
/// Commands in one section of the gate, as a worker has them.
const SECTION: usize = 128;

fn name(n: usize) -> Vec<u8> {
    format!("key:{n:012}").into_bytes()
}

fn filled() -> &'static Keyspace {
    let keyspace = keyspace();
    let section = keyspace.gate().enter();
    for n in 0..KEYS {
        let name = name(n);
        let hash = Key::new(&name).hash;
        keyspace.lock_one(&section, 0, hash, Mode::Exclusive).insert(0, hash, Entry::string(&name, &[b'x'; 64], None));
    }
    drop(section);
    keyspace
}

/// One section of commands on keys that `draw` chooses.
fn section(keyspace: &Keyspace, mode: Mode, draw: &mut impl FnMut() -> Vec<u8>) {
    let section = keyspace.gate().enter();
    for _ in 0..SECTION {
        let name = draw();
        let key = Key::new(&name);
        let mut guard = keyspace.lock_one(&section, 0, key.hash, mode);
        match mode {
            Mode::Shared => {
                black_box(guard.get(0, key).is_some());
            }
            Mode::Exclusive => guard.get_mut(0, key).unwrap().set_string(&[b'y'; 64], None),
        }
    }
}

fn bench(criterion: &mut Criterion) {
    let keyspace = filled();
    let mut group = criterion.benchmark_group("keyspace");
    group.throughput(Throughput::Elements(SECTION as u64));
    for (what, mode) in [("read", Mode::Shared), ("write", Mode::Exclusive)] {
        for (keys, span) in [("uniform", KEYS), ("hot", 1)] {
            for others in [0, 1] {
                let done = AtomicBool::new(false);
                thread::scope(|scope| {
                    for seed in 0..others {
                        let done = &done;
                        scope.spawn(move || {
                            let mut rng = Rng::with_seed(seed);
                            while !done.load(Relaxed) {
                                section(keyspace, mode, &mut || name(rng.usize(0..span)));
                            }
                        });
                    }
                    let mut rng = Rng::with_seed(99);
                    group.bench_function(format!("{what}/{keys}/{} threads", others + 1), |bencher| {
                        bencher.iter_custom(|rounds| {
                            let began = Instant::now();
                            for _ in 0..rounds {
                                section(keyspace, mode, &mut || name(rng.usize(0..span)));
                            }
                            began.elapsed()
                        });
                    });
                    done.store(true, Relaxed);
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
