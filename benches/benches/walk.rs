//! What a walk costs the writers beside it, and how long it holds a stripe: a million keys of 64 bytes, one writer on
//! uniform keys, without a walk, and beside walks that follow each other (each piece is read through, as if it were
//! written out).
//!
//! The holds are judged by the time that the walker takes for a piece, which is an upper bound: on a machine with more to
//! do than cores it holds the time that others had the core, too.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use benches::keyspace;
use fastrand::Rng;
use store::entry::Entry;
use store::guard::Key;
use store::keyspace::Keyspace;
use store::stripe::Mode;

const KEYS: usize = 1_000_000;
/// Commands in one section of the gate, as a worker has them.
const SECTION: usize = 128;
const ROUND: Duration = Duration::from_secs(2);

fn name(n: usize) -> Vec<u8> {
    format!("key:{n:012}").into_bytes()
}

fn fill(keyspace: &Keyspace) {
    let section = keyspace.gate().enter();
    for n in 0..KEYS {
        let name = name(n);
        let hash = Key::new(&name).hash;
        keyspace.lock_one(&section, 0, hash, Mode::Exclusive).insert(0, hash, Entry::string(&name, &[b'x'; 64], None));
    }
}

/// Writes for a while: writes a second, and the longest a write has taken.
fn write(keyspace: &Keyspace) -> (f64, Duration) {
    let (mut rng, mut writes, mut longest) = (Rng::with_seed(1), 0, Duration::ZERO);
    let began = Instant::now();
    while began.elapsed() < ROUND {
        let section = keyspace.gate().enter();
        let before = Instant::now();
        for _ in 0..SECTION {
            let name = name(rng.usize(..KEYS));
            let key = Key::new(&name);
            let mut guard = keyspace.lock_one(&section, 0, key.hash, Mode::Exclusive);
            guard.get_mut(0, key).unwrap().set_string(&[b'y'; 64], None);
        }
        longest = longest.max(before.elapsed());
        writes += SECTION;
    }
    (writes as f64 / began.elapsed().as_secs_f64(), longest)
}

/// What the walks have taken.
#[derive(Default)]
struct Walked {
    walks: usize,
    pieces: usize,
    /// For each piece the time until it was there.
    taken: Vec<Duration>,
}

fn walk_until(keyspace: &Keyspace, done: &AtomicBool) -> Walked {
    let mut walked = Walked::default();
    while !done.load(Relaxed) {
        let mut walk = keyspace.cut(&keyspace.gate().enter_alone());
        let mut keys = 0;
        loop {
            let before = Instant::now();
            let Some(piece) = walk.next() else { break };
            walked.taken.push(before.elapsed());
            keys += piece.entries().len();
            let bytes = piece.entries().iter().map(|entry| entry.as_str().map_or(0, |value| value.len()));
            black_box(bytes.sum::<usize>());
            walked.pieces += 1;
        }
        assert_eq!(keys, KEYS);
        walked.walks += 1;
    }
    walked.taken.sort_unstable();
    walked
}

fn main() {
    let keyspace = keyspace();
    fill(keyspace);
    for round in 0..3 {
        let (alone, longest) = write(keyspace);
        println!(
            "round {round}: without a walk {:.2} M writes a second, 128 of them in at most {longest:?}",
            alone / 1e6
        );
        let done = AtomicBool::new(false);
        let ((beside, longest), walked) = thread::scope(|scope| {
            let walker = scope.spawn(|| walk_until(keyspace, &done));
            let written = write(keyspace);
            done.store(true, Relaxed);
            (written, walker.join().expect("the walker does not fail"))
        });
        let taken = |part: usize| walked.taken[(walked.taken.len() - 1) * part / 1000];
        println!(
            "round {round}: beside {} walks {:.2} M writes a second ({:.0} %), 128 of them in at most {longest:?}; a piece \
             in {:?} (half of them), {:?} (99.9 %), {:?} (all)",
            walked.walks,
            beside / 1e6,
            beside / alone * 100.0,
            taken(500),
            taken(999),
            taken(1000),
        );
    }
}
