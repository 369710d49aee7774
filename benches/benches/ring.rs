//! The ring of the log alone: 1 to 8 threads append records as long as a small SET, 1 to 16 threads read all of them.
//!
//! A round is [`BATCH`] records of each writer; readers touch every byte that they are lent. A writer yields while the
//! slowest reader is [`LAG_MAX`] behind, as pacing would, so the figure is what all together can sustain.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use replication::ring::Ring;

/// Records of each writer in a round.
const BATCH: u64 = 10_000;
const LAG_MAX: u64 = 64 << 20;
const RECORD: &[u8] = b"*3\r\n$3\r\nSET\r\n$16\r\nkey:000000012345\r\n$32\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n";

/// How long `rounds` rounds take.
fn run(writers: usize, readers: usize, rounds: u64) -> Duration {
    let ring = Ring::new(0, 1 << 20);
    let done = AtomicBool::new(false);
    let start = Barrier::new(writers + 1);
    thread::scope(|scope| {
        for _ in 0..readers {
            let mut reader = ring.reader(0).expect("nothing is gone yet");
            let done = &done;
            scope.spawn(move || {
                loop {
                    let over = done.load(Relaxed);
                    let chunk = reader.chunk();
                    let length = chunk.len();
                    black_box(chunk.iter().step_by(64).fold(0, |sum: u8, byte| sum.wrapping_add(*byte)));
                    reader.advance(length);
                    if length == 0 {
                        if over {
                            return;
                        }
                        thread::sleep(Duration::from_micros(50));
                    }
                }
            });
        }
        let writing: Vec<_> = (0..writers)
            .map(|database| {
                let (ring, start) = (&ring, &start);
                scope.spawn(move || {
                    let mut appender = ring.appender();
                    start.wait();
                    for n in 0..rounds * BATCH {
                        let database = database as u32 % 2;
                        appender.append(database, database, &[RECORD]);
                        if n % 1024 == 0 {
                            while ring.lag_max() > LAG_MAX {
                                thread::yield_now();
                            }
                        }
                    }
                })
            })
            .collect();
        start.wait();
        let began = Instant::now();
        writing.into_iter().for_each(|writer| writer.join().expect("a writer"));
        let took = began.elapsed();
        done.store(true, Relaxed);
        took
    })
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    for writers in [1, 2, 4, 8] {
        for readers in [0, 1, 2, 4, 8, 16] {
            group.throughput(Throughput::Elements(BATCH * writers as u64));
            group.bench_function(format!("{writers} writers/{readers} readers"), |bencher| {
                bencher.iter_custom(|rounds| run(writers, readers, rounds));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
