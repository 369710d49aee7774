//! The commands that are measured, as requests.

use fastrand::Rng;

use crate::request;

/// Members and fields are drawn from so many names.
const MEMBERS: usize = 10_000;

/// A value of 64 bytes, as the workloads beside Redis have them.
pub const VALUE: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

/// One command on the key of this number, of which there are `keys`; PING if there is no such workload.
pub fn command(name: &str, key: usize, keys: usize, rng: &mut Rng) -> Vec<u8> {
    let member = format!("member:{:012}", rng.usize(0..MEMBERS));
    let own = |kind| format!("{kind}:{key:012}");
    match name {
        "GET" => request(&["GET", &own("key")]),
        "SET" => request(&["SET", &own("key"), VALUE]),
        "INCR" => request(&["INCR", &own("int")]),
        "LPUSH" => request(&["LPUSH", &own("list"), VALUE]),
        "SADD" => request(&["SADD", &own("set"), &member]),
        "HSET" => request(&["HSET", &own("hash"), "field:1", VALUE, "field:2", VALUE]),
        "ZADD" => request(&["ZADD", &own("zset"), &(key * 7 % 1000).to_string(), &member]),
        // All members in one value.
        "SADD-one" => request(&["SADD", "set", &own("member")]),
        "HSET-one" => request(&["HSET", "hash", &own("field"), VALUE]),
        "ZADD-one" => request(&["ZADD", "zset", &(key * 7 % 1000).to_string(), &own("member")]),
        "XADD" => request(&["XADD", &own("stream"), "*", "field", VALUE]),
        "MGET" => request(&ten(name, rng, |rng, args| args.push(some_key(rng, keys)))),
        "MSET" => request(&ten(name, rng, |rng, args| args.extend([some_key(rng, keys), VALUE.to_string()]))),
        _ => request(&["PING"]),
    }
}

fn some_key(rng: &mut Rng, keys: usize) -> String {
    format!("key:{:012}", rng.usize(0..keys))
}

/// A command with ten of something.
fn ten(name: &str, rng: &mut Rng, add: impl Fn(&mut Rng, &mut Vec<String>)) -> Vec<String> {
    let mut args = vec![name.to_string()];
    (0..10).for_each(|_| add(rng, &mut args));
    args
}
