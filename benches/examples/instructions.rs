//! A fixed amount of work for `valgrind --tool=callgrind --toggle-collect='*measured*'`: `instructions COMMAND ROUNDS
//! [KEYS]` executes so many batches of [`BATCH`] commands; with one key, what a long value costs. `COMMAND+new` finds no key
//! there, so that each command creates one.

use benches::workload::{VALUE, command as one};
use benches::{Transport, keyspace, request};
use fastrand::Rng;

/// Keys that there are of each kind, if nothing else is said.
const KEYS: usize = 10_000;
/// Batches over existing keys, which are executed again and again.
const BATCHES: usize = 64;
/// Commands of a pipeline.
const BATCH: usize = 128;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (command, rounds) = (args[1].as_str(), args[2].parse::<usize>().expect("a number of rounds"));
    let keys = args.get(3).map_or(KEYS, |keys| keys.parse().expect("a number of keys"));
    let mut transport = Transport::new(keyspace());
    for key in 0..keys {
        transport.execute(&request(&["SET", &format!("key:{key:012}"), VALUE]));
        transport.execute(&request(&["SET", &format!("int:{key:012}"), "1"]));
    }
    let mut rng = Rng::with_seed(1);
    let (command, new) = command.strip_suffix("+new").map_or((command, false), |command| (command, true));
    let mut given = keys;
    let batches: Vec<Vec<u8>> = (0..if new { rounds } else { rounds.min(BATCHES) })
        .map(|_| {
            let mut key = |rng: &mut Rng| {
                given += usize::from(new);
                if new { given } else { rng.usize(0..keys) }
            };
            (0..BATCH).flat_map(|_| one(command, key(&mut rng), keys, &mut rng)).collect()
        })
        .collect();
    if !new {
        // Each key is there before it is counted.
        batches.iter().for_each(|batch| transport.execute(batch));
    }
    measured(&mut transport, &batches, rounds);
}

/// What is counted.
#[inline(never)]
fn measured(transport: &mut Transport, batches: &[Vec<u8>], rounds: usize) {
    for round in 0..rounds {
        transport.execute(&batches[round % batches.len()]);
    }
}
