//! Drives a server through the `redis` crate and asserts what it answers.
//!
//!     brindle-clients HOST PORT
//!
//! Every check runs over RESP2 and over RESP3. A line is printed for each, and a last line that counts; the exit
//! status is 1 when one failed. The server is emptied before each check.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use redis::geo::{RadiusOptions, RadiusOrder, Unit};
use redis::streams::{StreamPendingReply, StreamReadOptions};
use redis::{
    Client, Connection, Direction, ExistenceCheck, IntoConnectionInfo, LposOptions, ProtocolVersion, RedisResult,
    ScanOptions, SetExpiry, SetOptions, TypedCommands, Value, ValueComparison, cmd, pipe,
};

/// A connection and a way to open more of its kind.
struct Peer {
    client: Client,
    connection: Connection,
    is_resp3: bool,
}

type Check = fn(&mut Peer) -> RedisResult<()>;

const CHECKS: &[(&str, Check)] = &[
    ("connection", connection),
    ("strings", strings),
    ("binary", binary),
    ("bitmaps and HyperLogLog", bitmaps_and_hyperloglog),
    ("lists", lists),
    ("sets", sets),
    ("hashes", hashes),
    ("sorted sets", sorted_sets),
    ("geo", geo),
    ("streams", streams),
    ("keys and expiry", keys_and_expiry),
    ("scan", scan),
    ("transaction", transaction),
    ("blocking pop", blocking_pop),
    ("publish and subscribe", publish_and_subscribe),
    ("RESP3 types", resp3_types),
    ("lock", lock),
];

/// How long a reply may take; one that never comes fails its check.
const REPLY_TIMEOUT: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(host), Some(port)) = (arguments.next(), arguments.next()) else {
        eprintln!("wanted: HOST PORT");
        return ExitCode::FAILURE;
    };
    let (mut passed, mut failed) = (0, 0);
    for is_resp3 in [false, true] {
        for (name, check) in CHECKS {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let mut peer = Peer::open(&format!("redis://{host}:{port}/"), is_resp3)?;
                peer.connection.flushall()?;
                check(&mut peer)
            }));
            let version = if is_resp3 { 3 } else { 2 };
            match outcome {
                Ok(Ok(())) => {
                    passed += 1;
                    println!("ok {name} (RESP{version})");
                }
                // What was found and wanted stands in the panic's own lines above.
                other => {
                    failed += 1;
                    println!("not ok {name} (RESP{version}): {:?}", other.map_err(|_| "an assertion failed"));
                }
            }
        }
    }
    println!("{passed} checks passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Peer {
    fn open(url: &str, is_resp3: bool) -> RedisResult<Self> {
        let info = url.into_connection_info()?;
        let version = if is_resp3 { ProtocolVersion::RESP3 } else { ProtocolVersion::RESP2 };
        let settings = info.redis_settings().clone().set_protocol(version);
        let client = Client::open(info.set_redis_settings(settings))?;
        let connection = Self::connect(&client)?;
        Ok(Self { client, connection, is_resp3 })
    }

    fn connect(client: &Client) -> RedisResult<Connection> {
        let connection = client.get_connection()?;
        connection.set_read_timeout(Some(REPLY_TIMEOUT))?;
        Ok(connection)
    }

    fn another(&self) -> RedisResult<Connection> {
        Self::connect(&self.client)
    }
}

// --- what the checks share ----------------------------------------------------------------------------------------------

fn eventually(what: &str, mut condition: impl FnMut() -> RedisResult<bool>) -> RedisResult<()> {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition()? {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: RedisResult<T>, text: &str) {
    let error = result.expect_err("it is refused");
    assert!(error.to_string().contains(text), "refused with {error}, wanted {text}");
}

fn blocked_clients(r: &mut Connection) -> RedisResult<bool> {
    let info: String = cmd("INFO").arg("clients").query(r)?;
    Ok(info.contains("blocked_clients:1\r\n"))
}

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

// --- the checks ---------------------------------------------------------------------------------------------------------

fn connection(peer: &mut Peer) -> RedisResult<()> {
    let r = &mut peer.connection;
    assert_eq!(r.ping()?, "PONG");
    assert_eq!(cmd("ECHO").arg("h\u{e9}llo").query::<String>(r)?, "h\u{e9}llo");
    cmd("CLIENT").arg("SETNAME").arg("judge").exec(r)?;
    assert_eq!(r.client_getname()?.as_deref(), Some("judge"));
    let info: String = cmd("CLIENT").arg("INFO").query(r)?;
    let version = if peer.is_resp3 { " resp=3 " } else { " resp=2 " };
    assert!(info.contains(version) && info.contains(" lib-name=redis-rs"), "{info}");
    refused(cmd("NONSENSE").query::<Value>(r), "unknown command 'NONSENSE'");
    Ok(())
}

fn strings(peer: &mut Peer) -> RedisResult<()> {
    let r = &mut peer.connection;
    r.set("k", "v")?;
    assert_eq!(r.get("k")?.as_deref(), Some("v"));
    assert_eq!(r.get("none")?, None);
    let only_new = SetOptions::default().conditional_set(ExistenceCheck::NX);
    assert_eq!(r.set_options("k", "w", only_new)?, None);
    assert_eq!(r.append("k", "xyz")?, 4);
    assert_eq!(r.getrange("k", 1, -2)?, "xy");
    r.mset(&[("a", "1"), ("b", "2")])?;
    assert_eq!(r.mget(&["a", "none", "b"])?, [Some("1".into()), None, Some("2".into())]);
    assert_eq!((r.incr("n", 1)?, r.incr("n", 41)?, r.decr("n", 1)?), (1, 42, 41));
    assert_eq!(cmd("INCRBYFLOAT").arg("n").arg(0.5).query::<f64>(r)?, 41.5);
    assert_eq!(r.get_del("n")?.as_deref(), Some("41.5"));
    refused(r.incr("k", 1), "value is not an integer or out of range");
    Ok(())
}

fn binary(peer: &mut Peer) -> RedisResult<()> {
    let r = &mut peer.connection;
    let key: Vec<u8> = (0..=255).collect();
    let large = key.repeat(8192);
    r.set(&key, &large)?;
    assert_eq!(redis::Commands::get::<_, Vec<u8>>(r, &key)?, large);
    assert_eq!(redis::Commands::keys::<_, Vec<Vec<u8>>>(r, "*")?, [key]);
    Ok(())
}

fn bitmaps_and_hyperloglog(peer: &mut Peer) -> RedisResult<()> {
    let r = &mut peer.connection;
    assert_eq!(
        (r.setbit("bits", 7, true)?, r.setbit("bits", 7, false)?, r.setbit("bits", 9, true)?),
        (false, true, false)
    );
    assert_eq!((r.getbit("bits", 9)?, r.bitcount("bits")?), (true, 1));
    let operations = ["SET", "u8", "0", "200", "OVERFLOW", "FAIL", "INCRBY", "u8", "0", "100"];
    assert_eq!(cmd("BITFIELD").arg("f").arg(&operations).query::<(i64, Option<i64>)>(r)?, (0, None));
    let members: Vec<u32> = (0..1000).collect();
    assert!(r.pfadd("h", &members)?);
    let count = r.pfcount("h")?;
    assert!((980..=1020).contains(&count), "{count}");
    r.pfmerge("m", "h")?;
    assert_eq!(r.pfcount("m")?, count);
    Ok(())
}

fn lists(peer: &mut Peer) -> RedisResult<()> {
    let r = &mut peer.connection;
    assert_eq!((r.rpush("l", &["a", "b", "c"])?, r.lpush("l", "z")?), (3, 4));
    assert_eq!(r.lrange("l", 0, -1)?, texts(&["z", "a", "b", "c"]));
    assert_eq!((r.lindex("l", 1)?, r.lindex("l", 9)?), (Some("a".into()), None));
    assert_eq!(redis::Commands::lpos::<_, _, Option<usize>>(r, "l", "c", LposOptions::default())?, Some(3));
    assert_eq!(r.lmove("l", "m", Direction::Left, Direction::Right)?, "z");
    let popped = r.lmpop(2, &["none", "l"], Direction::Right, 9)?;
    assert_eq!(popped, Some(("l".into(), texts(&["c", "b", "a"]))));
    assert_eq!(redis::Commands::lpop::<_, Option<String>>(r, "l", None)?, None);
    let many: Vec<String> = (0..5000).map(|number| number.to_string()).collect();
    r.rpush("many", &many)?;
    assert_eq!(r.lrange("many", 0, -1)?, many);
    r.set("text", "x")?;
    let error = r.lpush("text", "x").expect_err("a string is no list");
    assert_eq!(error.code(), Some("WRONGTYPE"), "{error}");
    Ok(())
}

fn sets(peer: &mut Peer) -> RedisResult<()> {
    let r = &mut peer.connection;
    assert_eq!((r.sadd("s", &["1", "2", "3"])?, r.sadd("t", &["3", "4"])?), (3, 2));
    assert_eq!(r.smembers("s")?, HashSet::from(["1".into(), "2".into(), "3".into()]));
    assert_eq!((r.sismember("s", "1")?, r.smismember("s", &["1", "9"])?), (true, vec![true, false]));
    assert_eq!(r.sinter(&["s", "t"])?, HashSet::from(["3".into()]));
    assert_eq!((r.smove("s", "t", "1")?, r.srem("s", &["2", "9"])?, r.scard("s")?), (true, 1, 1));
    assert_eq!(redis::Commands::spop::<_, Option<String>>(r, "s")?.as_deref(), Some("3"));
    assert!(!r.exists("s")?);
    let many: Vec<u32> = (0..3000).collect();
    r.sadd("many", &many)?;
    let found: RedisResult<HashSet<u32>> = redis::Commands::sscan::<_, u32>(r, "many")?.collect();
    assert_eq!(found?, many.into_iter().collect());
    Ok(())
}

fn hashes(peer: &mut Peer) -> RedisResult<()> {
    let r = &mut peer.connection;
    r.hset_multiple("h", &[("f", "1"), ("g", "x")])?;
    assert_eq!((r.hget("h", "f")?, r.hget("h", "none")?), (Some("1".into()), None));
    assert_eq!(r.hgetall("h")?, HashMap::from([("f".into(), "1".into()), ("g".into(), "x".into())]));
    assert_eq!(r.hgetall("none")?, HashMap::new());
    assert_eq!((r.hkeys("h")?, r.hlen("h")?, r.hexists("h", "f")?), (texts(&["f", "g"]), 2, true));
    assert_eq!((r.hincr("h", "f", 9)?, r.hincr("h", "f", 0.25)?), (10.0, 10.25));
    let expire =
        |milliseconds: u32, field| cmd("HPEXPIRE").arg("h").arg(milliseconds).arg("FIELDS").arg(1).arg(field).clone();
    assert_eq!(expire(100_000, "f").query::<Vec<i64>>(r)?, [1]);
    assert_eq!(expire(100_000, "none").query::<Vec<i64>>(r)?, [-2]);
    assert_eq!(expire(1, "g").query::<Vec<i64>>(r)?, [1]);
    eventually("the field expires", || Ok(r.hget("h", "g")?.is_none()))?;
    let many: Vec<(String, u32)> = (0..2000).map(|number| (format!("f{number}"), number)).collect();
    r.hset_multiple("many", &many)?;
    let found: RedisResult<HashMap<String, u32>> = redis::Commands::hscan::<_, (String, u32)>(r, "many")?.collect();
    assert_eq!(found?, many.into_iter().collect());
    Ok(())
}

fn sorted_sets(peer: &mut Peer) -> RedisResult<()> {
    let r = &mut peer.connection;
    let items = [(1.0, "a"), (2.5, "b"), (f64::INFINITY, "c")];
    assert_eq!(r.zadd_multiple("z", &items)?, 3);
    assert_eq!((r.zscore("z", "b")?, r.zscore("z", "none")?), (Some(2.5), None));
    let pairs: Vec<(String, f64)> = redis::Commands::zrange_withscores(r, "z", 0, -1)?;
    assert_eq!(pairs, items.map(|(score, name)| (name.to_string(), score)));
    assert_eq!(r.zrangebyscore("z", "(1", "+inf")?, texts(&["b", "c"]));
    assert_eq!((r.zrank("z", "b")?, r.zrevrank("z", "a")?, r.zrank("z", "none")?), (Some(1), Some(2), None));
    assert_eq!((r.zincr("z", "a", 4)?, r.zcount("z", 0, 5)?), (5.0, 2));
    r.zadd("y", "a", 10)?;
    assert_eq!(r.zunionstore("u", &["z", "y"])?, 3);
    assert_eq!(r.zscore("u", "a")?, Some(15.0));
    assert_eq!(redis::Commands::zpopmin::<_, Vec<(String, f64)>>(r, "z", 1)?, [("b".into(), 2.5)]);
    let many: Vec<(u32, u32)> = (0..2000).map(|number| (number, number)).collect();
    r.zadd_multiple("many", &many)?;
    assert_eq!(r.zrangebyscore("many", 1000, 1002)?, texts(&["1000", "1001", "1002"]));
    Ok(())
}

fn geo(peer: &mut Peer) -> RedisResult<()> {
    let r = &mut peer.connection;
    let places = [(13.361389, 38.115556, "Palermo"), (15.087269, 37.502669, "Catania")];
    assert_eq!(cmd("GEOADD").arg("g").arg(&places).query::<usize>(r)?, 2);
    let distance: Option<f64> = redis::Commands::geo_dist(r, "g", "Palermo", "Catania", Unit::Kilometers)?;
    assert_eq!(distance, Some(166.2742));
    let options = RadiusOptions::default().order(RadiusOrder::Asc);
    let near: Vec<String> = redis::Commands::geo_radius(r, "g", 15.0, 37.0, 200.0, Unit::Kilometers, options)?;
    assert_eq!(near, ["Catania", "Palermo"]);
    Ok(())
}

fn streams(peer: &mut Peer) -> RedisResult<()> {
    let mut other = peer.another()?;
    let r = &mut peer.connection;
    assert_eq!(r.xadd("s", "1-1", &[("f", "1")])?.as_deref(), Some("1-1"));
    assert_eq!(r.xadd("s", "2-1", &[("f", "2")])?.as_deref(), Some("2-1"));
    refused(r.xadd("s", "1-1", &[("f", "1")]), "The ID specified in XADD is equal or smaller");
    let range = r.xrange_all("s")?;
    assert_eq!(range.ids.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), ["1-1", "2-1"]);
    assert_eq!(range.ids[0].get::<String>("f").as_deref(), Some("1"));
    r.xgroup_create("s", "crew", "0")?;
    let options = StreamReadOptions::default().group("crew", "anna").count(1);
    let read = r.xread_options(&["s"], &[">"], &options)?.expect("an entry is there");
    assert_eq!((read.keys[0].key.as_str(), read.keys[0].ids[0].id.as_str()), ("s", "1-1"));
    match r.xpending("s", "crew")? {
        StreamPendingReply::Data(pending) => {
            assert_eq!((pending.count, pending.consumers[0].name.as_str()), (1, "anna"))
        }
        other => panic!("wanted one pending entry, found {other:?}"),
    }
    assert_eq!((r.xack("s", "crew", &["1-1"])?, r.xlen("s")?), (1, 2));
    let reader =
        thread::spawn(move || other.xread_options(&["s"], &["$"], &StreamReadOptions::default().block(10_000)));
    eventually("the reader is blocked", || blocked_clients(r))?;
    r.xadd("s", "3-1", &[("f", "3")])?;
    let read = reader.join().expect("the reader ends")?.expect("an entry came");
    assert_eq!(read.keys[0].ids[0].id, "3-1");
    Ok(())
}

fn keys_and_expiry(peer: &mut Peer) -> RedisResult<()> {
    let r = &mut peer.connection;
    r.set_ex("k", "v", 100)?;
    let left: i64 = cmd("TTL").arg("k").query(r)?;
    assert!((98..=100).contains(&left), "{left}");
    assert!(r.persist("k")?);
    assert_eq!(cmd("PTTL").arg("none").query::<i64>(r)?, -2);
    assert_eq!(cmd("TYPE").arg("k").query::<String>(r)?, "string");
    r.rename("k", "l")?;
    assert_eq!(r.del(&["l", "none"])?, 1);
    r.pset_ex("gone", "soon", 1)?;
    eventually("the key expires", || Ok(r.get("gone")?.is_none()))?;
    r.rpush("numbers", &[3, 1, 2])?;
    let dump: Vec<u8> = cmd("DUMP").arg("numbers").query(r)?;
    cmd("RESTORE").arg("copy").arg(0).arg(dump).exec(r)?;
    assert_eq!(r.lrange("copy", 0, -1)?, texts(&["3", "1", "2"]));
    Ok(())
}

fn scan(peer: &mut Peer) -> RedisResult<()> {
    let r = &mut peer.connection;
    let mut batch = pipe();
    for number in 0..5000 {
        batch.set(format!("key:{number}"), number);
    }
    let replies: Vec<String> = batch.query(r)?;
    assert!(replies.len() == 5000 && replies.iter().all(|reply| reply == "OK"));
    r.lpush("list", "x")?;
    let options = ScanOptions::default().with_pattern("key:*").with_count(50);
    let found: RedisResult<HashSet<String>> = redis::Commands::scan_options::<String>(r, options)?.collect();
    assert_eq!(found?.len(), 5000);
    Ok(())
}

fn transaction(peer: &mut Peer) -> RedisResult<()> {
    let mut other = peer.another()?;
    let r = &mut peer.connection;
    let replies: (String, i64) = pipe().atomic().set("a", 1).incr("a", 1).query(r)?;
    assert_eq!(replies, ("OK".into(), 2));
    let mut attempts = 0;
    let replies: (i64, String) = redis::transaction(r, &["a"], |r, batch| {
        let seen: i64 = redis::Commands::get(r, "a")?;
        attempts += 1;
        if attempts == 1 {
            // Somebody else is quicker once, so the first attempt must come to nothing.
            other.set("a", 10)?;
        }
        batch.set("a", seen + 1).ignore().incr("count", 1).get("a").query(r)
    })?;
    assert_eq!((attempts, replies), (2, (1, "11".into())));
    Ok(())
}

fn blocking_pop(peer: &mut Peer) -> RedisResult<()> {
    let mut other = peer.another()?;
    let r = &mut peer.connection;
    assert_eq!(r.blpop("none", 0.01)?, None);
    let waiter = thread::spawn(move || other.blpop(&["first", "second"], 10.0));
    eventually("the client is blocked", || blocked_clients(r))?;
    assert_eq!(r.rpush("second", "x")?, 1);
    assert_eq!(waiter.join().expect("the waiter ends")?, Some(["second".into(), "x".into()]));
    assert!(!r.exists("second")?);
    r.zadd("z", "m", 1.5)?;
    assert_eq!(r.bzpopmin("z", 1.0)?, Some(("z".into(), "m".into(), 1.5)));
    Ok(())
}

fn publish_and_subscribe(peer: &mut Peer) -> RedisResult<()> {
    let mut other = peer.another()?;
    let r = &mut peer.connection;
    {
        let mut listener = other.as_pubsub();
        listener.subscribe("news")?;
        listener.psubscribe("n*")?;
        assert_eq!(r.publish("news", "hello")?, 2);
        let mut heard = Vec::new();
        for _ in 0..2 {
            let message = listener.get_message()?;
            heard.push((
                message.from_pattern(),
                message.get_channel_name().to_string(),
                message.get_payload::<String>()?,
            ));
        }
        assert_eq!(heard, [(false, "news".into(), "hello".into()), (true, "news".into(), "hello".into())]);
        listener.unsubscribe("news")?;
        listener.punsubscribe("n*")?;
    }
    assert_eq!(r.publish("news", "nobody")?, 0);
    assert_eq!(other.get("none")?, None);
    Ok(())
}

/// Shapes that only RESP3 tells apart, before the crate makes them one.
fn resp3_types(peer: &mut Peer) -> RedisResult<()> {
    let is_resp3 = peer.is_resp3;
    let r = &mut peer.connection;
    let text = |word: &str| Value::BulkString(word.as_bytes().to_vec());
    r.hset("h", "f", "v")?;
    r.sadd("s", "a")?;
    r.zadd("z", "m", 1.5)?;
    let map =
        if is_resp3 { Value::Map(vec![(text("f"), text("v"))]) } else { Value::Array(vec![text("f"), text("v")]) };
    assert_eq!(cmd("HGETALL").arg("h").query::<Value>(r)?, map);
    let set = if is_resp3 { Value::Set(vec![text("a")]) } else { Value::Array(vec![text("a")]) };
    assert_eq!(cmd("SMEMBERS").arg("s").query::<Value>(r)?, set);
    let score = if is_resp3 { Value::Double(1.5) } else { text("1.5") };
    assert_eq!(cmd("ZSCORE").arg("z").arg("m").query::<Value>(r)?, score);
    assert_eq!(cmd("GET").arg("none").query::<Value>(r)?, Value::Nil);
    assert_eq!(cmd("BLPOP").arg("none").arg(0.01).query::<Value>(r)?, Value::Nil);
    Ok(())
}

fn lock(peer: &mut Peer) -> RedisResult<()> {
    let r = &mut peer.connection;
    let take = SetOptions::default().conditional_set(ExistenceCheck::NX).with_expiration(SetExpiry::PX(30_000));
    assert_eq!(r.set_options("lock", "token", take.clone())?.as_deref(), Some("OK"));
    assert_eq!(r.set_options("lock", "other", take)?, None);
    if has_delex(r)? {
        assert_eq!(r.del_ex("lock", ValueComparison::ifeq("other"))?, 0);
        assert_eq!(r.del_ex("lock", ValueComparison::ifeq("token"))?, 1);
        assert!(!r.exists("lock")?);
    }
    Ok(())
}

/// DELEX is younger than the reference, which alone may lack it.
fn has_delex(r: &mut Connection) -> RedisResult<bool> {
    let info: String = cmd("INFO").arg("server").query(r)?;
    Ok(info.contains("server_name:brindle"))
}
