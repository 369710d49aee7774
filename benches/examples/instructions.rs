//! A fixed amount of work for `valgrind --tool=callgrind`: `instructions COMMAND ROUNDS [KEYS]`. Two runs with different rounds
//! give the instructions for each command, without the start. With one key, what a long value costs.

use benches::{Transport, keyspace, request};
use fastrand::Rng;

/// Keys that there are of each kind, if nothing else is said.
const KEYS: usize = 10_000;

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
    let batches: Vec<Vec<u8>> = (0..64)
        .map(|_| {
            (0..128)
                .flat_map(|_| {
                    let key = rng.usize(0..keys);
                    let member = format!("member:{:012}", rng.usize(0..KEYS));
                    let own = |kind| format!("{kind}:{key:012}");
                    match command {
                        "GET" => request(&["GET", &own("key")]),
                        "SET" => request(&["SET", &own("key"), &value]),
                        "INCR" => request(&["INCR", &own("int")]),
                        "LPUSH" => request(&["LPUSH", &own("list"), &value]),
                        "SADD" => request(&["SADD", &own("set"), &member]),
                        "HSET" => request(&["HSET", &own("hash"), "field:1", &value, "field:2", &value]),
                        "ZADD" => request(&["ZADD", "zset", &(key * 7 % 1000).to_string(), &member]),
                        "XADD" => request(&["XADD", &own("stream"), "*", "field", &value]),
                        "MGET" => request(&ten(command, &mut rng, |rng, args| args.push(some_key(rng, keys)))),
                        "MSET" => request(&ten(command, &mut rng, |rng, args| {
                            args.extend([some_key(rng, keys), value.clone()]);
                        })),
                        _ => request(&["PING"]),
                    }
                })
                .collect()
        })
        .collect();
    for round in 0..rounds {
        transport.execute(&batches[round % batches.len()]);
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
