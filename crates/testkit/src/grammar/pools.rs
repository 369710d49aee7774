//! Values that meet each other. Keys have few names, by type, so that commands find data; members, fields, ids and
//! numbers come from small sets with the hard cases among them: empty, binary, long, at the limits of integers and
//! doubles. Nothing depends on the clock: a relative expiry lies far ahead or is refused, and no two in a sequence are
//! alike, or GT and LT would be decided by the millisecond in which each server ran.

use super::{Argument, Command, Kind};

type Pool = &'static [&'static str];

const STRINGS: Pool = &["string:1", "string:2", "string:3", "int:1", "float:1"];
const NUMBERS: Pool = &["int:1", "int:2", "int:3"];
const FLOATS: Pool = &["float:1", "float:2", "int:1"];
const LISTS: Pool = &["list:1", "list:2", "list:3"];
const SETS: Pool = &["set:1", "set:2", "set:3"];
const HASHES: Pool = &["hash:1", "hash:2", "hash:3"];
const ZSETS: Pool = &["zset:1", "zset:2", "zset:3"];
const STREAMS: Pool = &["stream:1", "stream:2"];
const GEOS: Pool = &["geo:1", "geo:2"];
const HLLS: Pool = &["hll:1", "hll:2", "hll:3"];
const BITS: Pool = &["bits:1", "bits:2", "string:1"];
const MISSING: Pool = &["none:1", "none:2", "", "none:{a}"];
const ANY: Pool = &[
    "string:1", "string:2", "int:1", "float:1", "list:1", "list:2", "set:1", "set:2", "hash:1", "hash:2", "zset:1",
    "zset:2", "stream:1", "hll:1", "bits:1",
];
const SORTABLE: Pool = &["list:n", "set:n", "zset:1", "list:1", "set:1"];

const TEXTS: Pool =
    &["hello", "world", "10", "-3", "3.14", "a", "b", "foo bar", "9223372036854775807", "0", "007", " 1"];
const MEMBERS: Pool = &["a", "b", "c", "d", "e", "f", "g", "1", "2", "3", "-7", "100", "3.5", "foo bar"];
const FIELDS: Pool = &["f1", "f2", "f3", "f4", "f5", "n"];
const HARD_BINARY: [&[u8]; 5] = [
    b"",
    b"\x00\xff\r\n\x80",
    b"\xc3\xa9\xe2\x82\xac",
    b"a-text-longer-than-sixty-four-bytes-that-no-packed-form-will-hold-without-converting",
    b"embstr-limit-44-bytes-exactly-so-this-is-it-",
];

const SMALL: Pool = &["0", "1", "2", "3", "4", "5", "7", "10", "-1", "-2", "-3"];
const LIMITS: Pool = &[
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551616",
    "4294967296",
    "2147483648",
    "-2147483649",
    "abc",
    "",
    "1.5",
    "+1",
    " 1",
    "01",
    "-0",
];
const COUNTS: Pool = &["1", "2", "3", "5", "10", "100"];
const DOUBLES: Pool = &[
    "0",
    "1",
    "-1",
    "2",
    "2.5",
    "3",
    "-2.5",
    "10",
    "0.1",
    "3.0000000000000004",
    "1e3",
    "100",
    "1000000",
    "1e17",
    "1e21",
];
const HARD_DOUBLES: Pool = &[
    "inf",
    "-inf",
    "+inf",
    "nan",
    "-0",
    "1e308",
    "-1e308",
    "5e-324",
    "1e309",
    "0x10",
    "abc",
    "",
    "1.7976931348623157e308",
    "12345678901234567890.123456789",
    "infinity",
    "1e400",
    "-nan",
];
const PATTERNS: Pool =
    &["*", "?", "a*", "string:*", "*:1", "[a-c]*", "[^a]*", "h?ll*", "f[1-3]", "\\*", "", "*[", "l*:*"];

/// One of several words.
pub(super) fn choose(random: &mut fastrand::Rng, pool: &[&'static str]) -> &'static str {
    pool[random.usize(..pool.len())]
}

/// One of several byte strings.
fn choose_bytes<'p, B: AsRef<[u8]>>(random: &mut fastrand::Rng, pool: &'p [B]) -> &'p [u8] {
    pool[random.usize(..pool.len())].as_ref()
}

/// What one sequence counts up so that no two values are alike.
#[derive(Debug)]
pub(super) struct Counters {
    stream_ms: u64,
    expiry: u64,
    payloads: Vec<Vec<u8>>,
}

impl Counters {
    pub(super) fn new(payloads: Vec<Vec<u8>>) -> Self {
        Self { stream_ms: 10, expiry: 0, payloads }
    }

    /// A step to add to relative expiries: distinct within the sequence by at least 20 seconds.
    fn expiry_s(&mut self, random: &mut fastrand::Rng) -> u64 {
        self.expiry += 1;
        100 + 20 * (self.expiry + 400 * random.u64(..50))
    }
}

/// A value for `argument` of `command`.
pub(super) fn value(
    random: &mut fastrand::Rng,
    counters: &mut Counters,
    command: &Command,
    argument: &Argument,
) -> Vec<u8> {
    match argument.kind {
        Kind::Key => key(random, command, &argument.name).as_bytes().to_vec(),
        Kind::Integer => integer(random, counters, command, &argument.name),
        Kind::Double => double(random, command, &argument.name),
        Kind::Pattern => pattern(random, &argument.name).as_bytes().to_vec(),
        Kind::UnixTime => unix_time(random, counters, &argument.name),
        _ => text(random, counters, command, &argument.name),
    }
}

fn key(random: &mut fastrand::Rng, command: &Command, argument: &str) -> &'static str {
    let wrong_type = random.u8(..100) < 3;
    let missing = random.u8(..100) < 4;
    let pool = match (command.group.as_str(), command.name.as_str(), argument) {
        _ if missing => MISSING,
        // Other sorted sets have different scores, and then a range of members is not defined.
        (_, name, _) if wrong_type && name.contains("LEX") => LISTS,
        (_, "ZRANGE" | "ZRANGESTORE", _) if wrong_type => LISTS,
        _ if wrong_type => ANY,
        (_, "INCR" | "DECR" | "INCRBY" | "DECRBY", _) => NUMBERS,
        (_, "INCRBYFLOAT", _) => FLOATS,
        (_, "SORT" | "SORT_RO", "key") => SORTABLE,
        (_, "SORT", _) => LISTS,
        (_, "GEORADIUS" | "GEORADIUSBYMEMBER" | "GEOSEARCHSTORE", name) if name != "key" && name != "source" => ZSETS,
        ("string", ..) => STRINGS,
        ("bitmap", ..) => BITS,
        ("hyperloglog", ..) => HLLS,
        ("list", ..) => LISTS,
        ("set", ..) => SETS,
        ("hash", ..) => HASHES,
        ("sorted-set", ..) => ZSETS,
        ("stream", ..) => STREAMS,
        ("geo", ..) => GEOS,
        _ => ANY,
    };
    choose(random, pool)
}

fn integer(random: &mut fastrand::Rng, counters: &mut Counters, command: &Command, argument: &str) -> Vec<u8> {
    let hard = random.u8(..100);
    let text = match argument {
        "seconds" | "milliseconds" | "ttl" if command.group == "stream" => choose(random, &["1", "2"]),
        "seconds" if hard >= 8 => return counters.expiry_s(random).to_string().into_bytes(),
        "milliseconds" if hard >= 8 => return (1000 * counters.expiry_s(random)).to_string().into_bytes(),
        "ttl" if hard >= 8 => choose(random, &["0", "5000000", "0"]),
        // Small positive ones would run out in the middle of a sequence.
        "seconds" | "milliseconds" | "ttl" => {
            choose(random, &["0", "-1", "9223372036854775807", "abc", "-100", "1.5", ""])
        }
        "timeout" => choose(random, &["1", "2"]),
        // Far enough for growth, and beyond the limit for the error; what lies between costs memory only.
        "offset" if command.group == "bitmap" && command.name.starts_with("BITFIELD") => {
            choose(random, &["0", "#0", "#1", "7", "8", "13", "100", "#3", "-1", "4294967296"])
        }
        "offset" if matches!(command.name.as_str(), "SETBIT" | "GETBIT") => {
            if hard < 5 {
                choose(random, &["4294967296", "-1", "abc"])
            } else {
                choose(random, &["0", "1", "7", "8", "100", "1000"])
            }
        }
        "offset" if command.name == "SETRANGE" => {
            if hard < 5 {
                choose(random, &["536870912", "-1", "abc"])
            } else {
                choose(random, &["0", "1", "5", "30"])
            }
        }
        "bit" => choose(random, if hard < 5 { &["2", "-1"] } else { &["0", "1"] }),
        "value" if command.name == "SETBIT" => choose(random, if hard < 5 { &["2", "abc"] } else { &["0", "1"] }),
        "cursor" if hard >= 10 => "0",
        // One beyond 64 bits leaves an error number behind in the reference, at which its next SORT stumbles.
        "cursor" => choose(random, &["abc", "-1", "18446744073709551615"]),
        "db" | "destination-db" | "index" | "index1" | "index2" if command.group != "list" => {
            choose(random, if hard < 6 { &["16", "-1", "abc"] } else { &["0", "1", "0", "9"] })
        }
        "protover" => choose(random, &["2", "3", "3", "4", "abc"]),
        "client-id" => choose(random, &["99999999", "0", "-1", "abc"]),
        "numreplicas" | "numlocal" => "0",
        "count" | "limit" | "num-matches" | "len" | "min-match-len" if hard >= 8 => choose(random, COUNTS),
        "rank" if hard >= 8 => choose(random, &["1", "2", "-1", "-2"]),
        "ms" | "min-idle-time" => choose(random, &["0", "100000"]),
        "entriesread" | "entries-added" => choose(random, &["1000", "3", "1000", "-1"]),
        "increment" | "decrement" | "value" if hard < 15 => choose(random, LIMITS),
        _ if hard < 4 => choose(random, LIMITS),
        _ => choose(random, SMALL),
    };
    text.as_bytes().to_vec()
}

fn double(random: &mut fastrand::Rng, command: &Command, argument: &str) -> Vec<u8> {
    let hard = random.u8(..100) < 8;
    match argument {
        "timeout" if hard => choose(random, &["-1", "abc", "1e400"]).as_bytes().to_vec(),
        "timeout" => choose(random, &["0.001", "0.002"]).as_bytes().to_vec(),
        "longitude" | "latitude" if hard => {
            choose(random, &["181", "-86", "abc", "180", "-180", "85"]).as_bytes().to_vec()
        }
        // Distinct places near each other, so that distances do not tie and searches find some.
        "longitude" => format!("{:.6}", 13.0 + random.f64() * 4.0).into_bytes(),
        "latitude" => format!("{:.6}", 37.0 + random.f64() * 2.0).into_bytes(),
        "radius" | "width" | "height" if hard => choose(random, &["-1", "0", "abc"]).as_bytes().to_vec(),
        "radius" | "width" | "height" => choose(random, &["50", "100", "200.5", "1000", "30000"]).as_bytes().to_vec(),
        "min" | "max" if command.group == "sorted-set" => score_bound(random).to_vec(),
        _ if hard => choose(random, HARD_DOUBLES).as_bytes().to_vec(),
        _ => choose(random, DOUBLES).as_bytes().to_vec(),
    }
}

/// A bound of a range of scores.
pub(super) fn score_bound(random: &mut fastrand::Rng) -> &'static [u8] {
    const GOOD: Pool = &["-inf", "+inf", "0", "1", "(1", "2", "(2.5", "3", "10", "-1", "(-inf", "inf", "1e17"];
    let hard = random.u8(..100) < 5;
    choose(random, if hard { &["abc", "(", "nan", ""] } else { GOOD }).as_bytes()
}

/// A bound of a range of members.
pub(super) fn lex_bound(random: &mut fastrand::Rng) -> &'static [u8] {
    const GOOD: Pool = &["-", "+", "[a", "(a", "[c", "(d", "[", "(", "[f", "[\u{e9}"];
    let hard = random.u8(..100) < 5;
    choose(random, if hard { &["a", ""] } else { GOOD }).as_bytes()
}

fn pattern(random: &mut fastrand::Rng, argument: &str) -> &'static str {
    match argument {
        "by-pattern" => choose(random, &["nosort", "w_*", "h_*->w", "w_*", "none_*"]),
        "get-pattern" => choose(random, &["#", "w_*", "h_*->w", "none_*"]),
        _ => choose(random, PATTERNS),
    }
}

fn unix_time(random: &mut fastrand::Rng, counters: &mut Counters, argument: &str) -> Vec<u8> {
    if random.u8(..100) < 10 {
        return choose(random, &["1", "0", "-1", "9223372036854775807", "abc"]).as_bytes().to_vec();
    }
    // The year 2100 and later.
    let seconds = 4_102_444_800 + counters.expiry_s(random);
    let time = if argument.contains("milliseconds") { 1000 * seconds } else { seconds };
    time.to_string().into_bytes()
}

fn text(random: &mut fastrand::Rng, counters: &mut Counters, command: &Command, argument: &str) -> Vec<u8> {
    let hard = random.u8(..100);
    let stream = command.group == "stream";
    let pool: Pool = match argument {
        "serialized-value" if hard >= 10 && !counters.payloads.is_empty() => {
            return choose_bytes(random, &counters.payloads).to_vec();
        }
        "id" if command.name == "XADD" && hard >= 15 => {
            counters.stream_ms += 1;
            let sequence = choose(random, &["1", "5", "*"]);
            return format!("{}-{sequence}", counters.stream_ms).into_bytes();
        }
        "id" if command.name == "XREADGROUP" => &[">", ">", ">", "0", "3-0"],
        "id" if command.name == "XREAD" => &["0", "$", "3-0", "0-1", "+", "abc"],
        "threshold" => &["0", "1", "3", "5", "10", "4-1", "-1"],
        "min-idle-time" => &["0", "0", "0", "0", "100000", "-1"],
        "start" if stream => &["-", "0", "3", "(2-1", "4-1", "5-0"],
        "end" if stream => &["+", "3", "(4-1", "9999", "5-1"],
        "last-id" => &["9999-0", "99999-1", "999999", "9999-1", "3-3", "abc"],
        "lastid" | "max-deleted-id" => &["5-1", "3-3", "0-0", "1", "abc"],
        "id" if stream && hard >= 10 => &["1-1", "2-1", "2-2", "3-3", "4-1", "5-1", "0-0", "7", "11-1", "12-5"],
        "id" if stream => &["1-1", "2-1", "2-2", "3-3", "4-1", "5-1", "0-0", "7", "abc", "18446744073709551615-1"],
        "group" => &["g1", "g1", "g1", "g1", "g2", "g2", "g3"],
        "consumer" => &["alice", "bob", "alice"],
        "min" | "max" | "start" | "stop" if command.group == "sorted-set" && command.name.contains("LEX") => {
            return lex_bound(random).to_vec();
        }
        "start" | "stop" | "min" | "max" if command.group == "sorted-set" => SMALL,
        "encoding" => &["u8", "i8", "u4", "i16", "u63", "i64", "i5", "u64", "i65", "x8"],
        "type" => &["string", "list", "set", "zset", "hash", "stream", "nonsense"],
        "subcommand" => &["GETREG", "DECODE", "ENCODING", "TODENSE", "NONSENSE"],
        "libname" | "libver" | "connection-name" | "clientname" => &["name", "1.2.3", "other", "with space", ""],
        "section" => &["server", "clients", "memory", "stats", "replication", "cpu", "keyspace", "nonsense"],
        "channel" | "shardchannel" => &["news", "sport", "news.art"],
        "username" => &["default", "nobody"],
        _ if hard < 10 => return choose_bytes(random, &HARD_BINARY).to_vec(),
        "field" => FIELDS,
        "member" | "member1" | "member2" | "element" | "pivot" => MEMBERS,
        _ => TEXTS,
    };
    choose(random, pool).as_bytes().to_vec()
}

/// What a sequence of a family begins with.
pub(super) fn seeds(family: &str) -> Vec<&'static str> {
    const STRING: Pool = &[
        "SET string:1 hello",
        "SET string:2 10",
        "SET string:3 a-text-longer-than-forty-four-bytes-which-is-raw-encoded",
        "SET int:1 10",
        "SET int:2 -5",
        "SET int:3 9223372036854775800",
        "SET float:1 3.5",
        "SET float:2 1e10",
    ];
    const LIST: Pool = &["RPUSH list:1 a b c a 1 2", "RPUSH list:2 c d e f g a b 3.5", "RPUSH list:3 a"];
    const SET: Pool = &["SADD set:1 a b c d", "SADD set:2 1 2 3 100", "SADD set:3 a b 1 2"];
    const HASH: Pool = &["HSET hash:1 f1 v1 f2 v2 f3 3 n 10", "HSET hash:2 f1 1 f5 x n 3.5", "HSET hash:3 f4 a"];
    const ZSET: Pool = &[
        "ZADD zset:1 1 a 2 b 2.5 c 3 d",
        "ZADD zset:2 0 a 0 b 0 c 0 d 0 e",
        "ZADD zset:3 inf a -inf b 1e17 c",
        "ZADD lex:1 0 a 0 b 0 c 0 d 0 e 0 f",
        "ZADD lex:2 0 a 0 c 0 \"\" 0 foo",
        "ZADD lex:3 0 d",
    ];
    const STREAM: Pool = &[
        "XADD stream:1 1-1 f1 a",
        "XADD stream:1 2-1 f1 b f2 c",
        "XADD stream:1 2-2 f1 b f2 c",
        "XADD stream:1 3-3 n 1",
        "XADD stream:1 4-1 f1 a",
        "XADD stream:2 5-1 x y",
        "XGROUP CREATE stream:1 g1 0",
        "XGROUP CREATE stream:1 g2 $",
        "XGROUP CREATE stream:2 g1 0",
        "XREADGROUP GROUP g1 alice COUNT 3 STREAMS stream:1 >",
        "XREADGROUP GROUP g1 bob COUNT 1 STREAMS stream:1 >",
    ];
    const GEO: Pool = &[
        "GEOADD geo:1 13.361389 38.115556 a 15.087269 37.502669 b 14.2 37.6 c 13.5 37.3 d",
        "GEOADD geo:2 15.1 37.9 a 16.8 38.2 e 13.9 38.9 f",
    ];
    const HLL: Pool = &["PFADD hll:1 a b c d e f g", "PFADD hll:2 1 2 3 a b", "PFADD hll:3 x"];
    const BIT: Pool = &["SET bits:1 foobar", "SETBIT bits:2 100 1", "SET string:1 \"\\xff\\xf0\\x00\""];
    const SORT: Pool = &[
        "RPUSH list:n 3 1 2 10",
        "SADD set:n 5 4 6",
        "MSET w_1 3 w_2 2 w_3 1 w_10 0 w_a z w_b y",
        "HSET h_1 w 5",
        "HSET h_2 w 4",
        "HSET h_3 w 6",
    ];
    let own: &[Pool] = match family {
        "string" | "transactions" => &[STRING, LIST],
        "bitmap" => &[BIT],
        "list" => &[LIST],
        "set" => &[SET],
        "hash" => &[HASH],
        "sorted-set" => &[ZSET, SET],
        "stream" => &[STREAM],
        "geo" => &[GEO],
        "hyperloglog" => &[HLL],
        _ => &[STRING, LIST, SET, HASH, ZSET, STREAM, HLL, SORT],
    };
    // One of each other type, so that a wrong type is there to be met.
    const OTHERS: Pool = &["SET string:1 x", "RPUSH list:1 x", "SADD set:1 a"];
    own.iter().copied().flatten().chain(OTHERS.iter().filter(|_| own.len() < 3)).copied().collect()
}
