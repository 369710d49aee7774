//! A fixed amount of work for `valgrind --tool=callgrind`: `instructions COMMAND ROUNDS`. Two runs with different rounds
//! give the instructions for each command, without the start.

use benches::{Transport, keyspace, request};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (command, rounds) = (args[1].as_str(), args[2].parse::<usize>().expect("a number of rounds"));
    let mut transport = Transport::new(keyspace());
    const KEYS: usize = 10_000;
    let value = "x".repeat(64);
    for key in 0..KEYS {
        transport.execute(&request(&["SET", &format!("key:{key:012}"), &value]));
        transport.execute(&request(&["SET", &format!("int:{key:012}"), "1"]));
    }
    let mut rng = fastrand::Rng::with_seed(1);
    let batches: Vec<Vec<u8>> = (0..64)
        .map(|_| {
            (0..128)
                .flat_map(|_| {
                    let key = rng.usize(0..KEYS);
                    match command {
                        "GET" => request(&["GET", &format!("key:{key:012}")]),
                        "SET" => request(&["SET", &format!("key:{key:012}"), &value]),
                        "INCR" => request(&["INCR", &format!("int:{key:012}")]),
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
