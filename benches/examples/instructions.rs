//! A fixed amount of work for `valgrind --tool=callgrind --toggle-collect='*measured*'`: `instructions COMMAND ROUNDS
//! [KEYS]` executes so many batches of [`BATCH`] commands; with one key, what a long value costs. `COMMAND+new` finds no key
//! there, so that each command creates one.

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
    let value = "x".repeat(64);
    for key in 0..keys {
        transport.execute(&request(&["SET", &format!("key:{key:012}"), &value]));
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
            (0..BATCH).flat_map(|_| one(command, key(&mut rng), keys, &value, &mut rng)).collect()
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

/// One command on the key of this number, of which there are `keys`.
fn one(command: &str, key: usize, keys: usize, value: &str, rng: &mut Rng) -> Vec<u8> {
    let member = format!("member:{:012}", rng.usize(0..KEYS));
    let own = |kind| format!("{kind}:{key:012}");
    match command {
        "GET" => request(&["GET", &own("key")]),
        "SET" => request(&["SET", &own("key"), value]),
        "INCR" => request(&["INCR", &own("int")]),
        "LPUSH" => request(&["LPUSH", &own("list"), value]),
        "SADD" => request(&["SADD", &own("set"), &member]),
        "HSET" => request(&["HSET", &own("hash"), "field:1", value, "field:2", value]),
        "ZADD" => request(&["ZADD", &own("zset"), &(key * 7 % 1000).to_string(), &member]),
        // All members in one value.
        "SADD-one" => request(&["SADD", "set", &own("member")]),
        "HSET-one" => request(&["HSET", "hash", &own("field"), value]),
        "ZADD-one" => request(&["ZADD", "zset", &(key * 7 % 1000).to_string(), &own("member")]),
        "XADD" => request(&["XADD", &own("stream"), "*", "field", value]),
        "MGET" => request(&ten(command, rng, |rng, args| args.push(some_key(rng, keys)))),
        "MSET" => request(&ten(command, rng, |rng, args| args.extend([some_key(rng, keys), value.to_string()]))),
        _ => request(&["PING"]),
    }
}

fn some_key(rng: &mut Rng, keys: usize) -> String {
    format!("key:{:012}", rng.usize(0..keys))
}

/// A command with ten of something.
fn ten(command: &str, rng: &mut Rng, add: impl Fn(&mut Rng, &mut Vec<String>)) -> Vec<String> {
    let mut args = vec![command.to_string()];
    (0..10).for_each(|_| add(rng, &mut args));
    args
}
