//! Each rule accepts what it is for and catches a planted fault.

use super::*;
use crate::words::split;

fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.as_bytes().to_vec())
}

fn array(texts: &[&str]) -> Reply {
    Reply::Array(texts.iter().map(|text| bulk(text)).collect())
}

fn numbers(numbers: &[i64]) -> Reply {
    Reply::Array(numbers.iter().map(|&number| Reply::Integer(number)).collect())
}

fn check(command: &str, left: &Reply, right: &Reply, expected: bool) {
    let command = split(command.as_bytes()).unwrap();
    assert_eq!(same(rule(&command), left, right), expected, "{command:?} {left:?} {right:?}");
    assert_eq!(same(rule(&command), right, left), expected, "the other way round: {command:?}");
}

#[test]
fn exact_tells_every_null_and_every_spelling_apart() {
    check("GET k", &bulk("a"), &bulk("a"), true);
    check("GET k", &bulk("a"), &bulk("b"), false);
    check("GET k", &Reply::Null, &Reply::NullBulk, false);
    check("GET k", &Reply::NullArray, &Reply::NullBulk, false);
    check("SET k v", &Reply::Simple(b"OK".to_vec()), &bulk("OK"), false);
    check("ZSCORE k m", &Reply::Double(b"1".to_vec()), &Reply::Double(b"1.0".to_vec()), false);
    check("LRANGE k 0 -1", &array(&["a", "b"]), &array(&["b", "a"]), false);
}

#[test]
fn errors_are_exact_under_every_rule() {
    let error = |text: &str| Reply::Error(text.as_bytes().to_vec());
    for command in ["SMEMBERS k", "HGETALL k", "SRANDMEMBER k", "TTL k", "XINFO STREAM k", "HELLO 9", "INFO", "SCAN 0"]
    {
        check(command, &error("ERR a"), &error("ERR a"), true);
        check(command, &error("ERR a"), &error("ERR b"), false);
        check(command, &error("ERR a"), &array(&[]), false);
    }
}

#[test]
fn unordered() {
    check("SMEMBERS k", &array(&["a", "b"]), &array(&["b", "a"]), true);
    check("smembers k", &array(&["a", "b"]), &array(&["a", "a"]), false);
    check("SMEMBERS k", &array(&["a", "b"]), &array(&["a"]), false);
    check("SMEMBERS k", &array(&["a"]), &Reply::Set(vec![bulk("a")]), false);
    check("HGETALL k", &array(&["f", "1", "g", "2"]), &array(&["g", "2", "f", "1"]), true);
    check("HGETALL k", &array(&["f", "1", "g", "2"]), &array(&["f", "2", "g", "1"]), false);
    let map = Reply::Map(vec![(bulk("f"), bulk("1")), (bulk("g"), bulk("2"))]);
    let turned = Reply::Map(vec![(bulk("g"), bulk("2")), (bulk("f"), bulk("1"))]);
    check("HGETALL k", &map, &turned, true);
    check("HGETALL k", &map, &array(&["f", "1", "g", "2"]), false);
    check("GEOSEARCH k FROMMEMBER a BYRADIUS 1 m", &array(&["a", "b"]), &array(&["b", "a"]), true);
    check("GEOSEARCH k FROMMEMBER a BYRADIUS 1 m ASC", &array(&["a", "b"]), &array(&["b", "a"]), false);
}

#[test]
fn chance_by_shape() {
    check("SRANDMEMBER k 2", &array(&["a", "b"]), &array(&["c", "d"]), true);
    check("SRANDMEMBER k 2", &array(&["a", "b"]), &array(&["c"]), false);
    check("SRANDMEMBER k", &bulk("a"), &Reply::NullBulk, false);
    check("XADD k * f v", &bulk("1-1"), &bulk("2-0"), true);
    check("XADD k 1-1 f v", &bulk("1-1"), &bulk("2-0"), false);
}

#[test]
fn times_within_tolerance() {
    check("TTL k", &Reply::Integer(100), &Reply::Integer(99), true);
    check("TTL k", &Reply::Integer(100), &Reply::Integer(90), false);
    check("TTL k", &Reply::Integer(-1), &Reply::Integer(-2), false);
    check("PTTL k", &Reply::Integer(100_000), &Reply::Integer(99_000), true);
    check("PTTL k", &Reply::Integer(100_000), &Reply::Integer(95_000), false);
    check("HTTL k FIELDS 2 a b", &numbers(&[10, -2]), &numbers(&[9, -2]), true);
    check("HTTL k FIELDS 2 a b", &numbers(&[10, -2]), &numbers(&[9, -1]), false);
    let pending = |idle, count| {
        Reply::Array(vec![Reply::Array(vec![bulk("1-1"), bulk("alice"), Reply::Integer(idle), Reply::Integer(count)])])
    };
    check("XPENDING k g - + 10", &pending(5, 1), &pending(900, 1), true);
    check("XPENDING k g - + 10", &pending(5, 1), &pending(5, 2), false);
    check("XPENDING k g - + 10", &pending(5, 1), &pending(100_005, 1), false);
    let consumer = |pending: i64, idle: i64| {
        Reply::Array(vec![bulk("pending"), Reply::Integer(pending), bulk("idle"), Reply::Integer(idle)])
    };
    check("XINFO CONSUMERS k g", &consumer(1, 3), &consumer(1, 9), true);
    check("XINFO CONSUMERS k g", &consumer(1, 3), &consumer(2, 3), false);
}

#[test]
fn identities() {
    let hello = |id, mode: &str| Reply::Map(vec![(bulk("id"), Reply::Integer(id)), (bulk("mode"), bulk(mode))]);
    check("HELLO 3", &hello(1, "standalone"), &hello(7, "standalone"), true);
    check("HELLO 3", &hello(1, "standalone"), &hello(7, "cluster"), false);
    check("INFO", &bulk("a"), &bulk("b"), true);
    check("INFO", &bulk("a"), &Reply::Integer(1), false);
}
