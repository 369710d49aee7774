//! What COMMAND DOCS cannot say: which options exclude each other, which bounds belong to which mode. Most generated
//! commands pass through here, so that most are accepted; the rest go out as the docs alone would have them.

use super::{Argument, pools};
use crate::words::Words;

/// How often a command is chosen among its family, 1 being usual. Those that empty everything are rare, those that
/// build data are common.
pub(super) fn weight(command: &str) -> f64 {
    match command {
        "FLUSHALL" | "FLUSHDB" | "SWAPDB" | "SELECT" | "MOVE" | "RESET" | "XGROUP DESTROY" => 0.2,
        "DEL" | "UNLINK" | "XTRIM" | "SPOP" | "XSETID" | "XGROUP SETID" | "RENAME" | "GETDEL" | "LTRIM" | "BLPOP"
        | "BRPOP" | "BLMPOP" | "BLMOVE" | "BRPOPLPUSH" | "BZPOPMIN" | "BZPOPMAX" | "BZMPOP" | "WAIT" | "WAITAOF" => 0.5,
        "MEMORY MALLOC-STATS" | "MEMORY DOCTOR" | "COMMAND" | "COMMAND DOCS" | "COMMAND INFO" => 0.1,
        "XADD" | "RPUSH" | "LPUSH" | "SADD" | "HSET" | "ZADD" | "GEOADD" | "XREADGROUP" | "XGROUP CREATE" | "MULTI" => {
            3.0
        }
        // A subscriber of RESP2 may do little else, so it should not stay one for long.
        "SUBSCRIBE" | "PSUBSCRIBE" | "SSUBSCRIBE" => 0.6,
        "HEXPIRE" | "UNSUBSCRIBE" | "PUNSUBSCRIBE" | "SUNSUBSCRIBE" | "HPEXPIRE" | "HSETEX" => 2.0,
        _ => 1.0,
    }
}

/// How often an optional argument is taken.
pub(super) fn optional_share(command: &str, argument: &Argument, usual: f64) -> f64 {
    match (command, argument.token.as_deref(), argument.name.as_str()) {
        // A password for a user without one is refused every time.
        ("HELLO", Some("AUTH"), _) => 0.05,
        // Trimmed entries are not there for the others, and a stored search is not answered.
        ("XADD", _, "trim") | ("XADD", Some("NOMKSTREAM"), _) | ("GEORADIUS" | "GEORADIUSBYMEMBER", _, "store") => 0.15,
        ("SORT" | "SORT_RO", Some("ALPHA"), _) => 0.6,
        ("XGROUP CREATE", Some("MKSTREAM"), _) => 0.5,
        ("RESTORE", Some("REPLACE"), _) => 0.8,
        ("RESTORE", Some("IDLETIME" | "FREQ"), _) => 0.1,
        ("XSETID" | "XCLAIM", Some("ENTRIESADDED" | "MAXDELETEDID" | "LASTID" | "RETRYCOUNT"), _) => 0.12,
        _ => usual,
    }
}

/// Choices that may not be taken: an id made from the clock differs between any two servers.
pub(super) fn never_chosen(command: &str, token: Option<&str>) -> bool {
    command == "XADD" && token == Some("*")
}

/// Takes out what two servers may answer differently and which would leave them in different states, and what keeps a
/// server busy for minutes.
pub(super) fn make_deterministic(command: &str, words: &mut Words) {
    match command {
        // Elements that compare equal stay in the order of the set's table.
        "SORT" | "SORT_RO" if has(words, "ALPHA") => remove_option(words, "BY", 2),
        "SORT" if has(words, "nosort") => remove_option(words, "STORE", 2),
        // With repetition allowed, milliards of members would be sent.
        "SRANDMEMBER" | "HRANDFIELD" | "ZRANDMEMBER" => {
            words.iter_mut().skip(2).filter(|word| is_much(word)).for_each(|word| *word = b"-20".to_vec());
        }
        // Added to the present time this overflows in Redis, and the deadline becomes one of long ago that never comes.
        "RESTORE" if words.get(2).is_some_and(|ttl| ttl == b"9223372036854775807") && !has(words, "ABSTTL") => {
            words[2] = b"0".to_vec();
        }
        // A range of members is defined only where all scores are equal, so these keys see nothing else.
        "ZRANGE" if has(words, "BYLEX") => lex_key(words, 1),
        "ZRANGESTORE" if has(words, "BYLEX") => lex_key(words, 2),
        name if name.starts_with('Z') && name.contains("LEX") => lex_key(words, 1),
        // ANY takes whichever the search meets first.
        "GEOSEARCHSTORE" => remove(words, &["ANY"]),
        "GEORADIUS" | "GEORADIUSBYMEMBER" if has(words, "STORE") || has(words, "STOREDIST") => remove(words, &["ANY"]),
        _ => {}
    }
}

/// Makes a combination that is refused into one that is taken.
pub(super) fn repair(command: &str, words: &mut Words, random: &mut fastrand::Rng) {
    match command {
        "ZADD" => zadd(words, random),
        "ZRANGE" | "ZRANGESTORE" => zrange(words, random, usize::from(command == "ZRANGESTORE") + 2),
        "XADD" | "XTRIM" => trim(words),
        "SET" => remove_pair_conflict(words, &["NX"], &["GET"], random),
        "GEORADIUS" | "GEORADIUSBYMEMBER" => geo_store(words),
        "LCS" => lcs(words),
        "BITOP" => bitop_not(words),
        "COPY" => copy(words),
        "BITFIELD" => bitfield(words),
        "HELLO" => hello(words),
        _ => {}
    }
}

/// Whether a count asks for a great many members with repetition; the least number of all is an error.
fn is_much(word: &[u8]) -> bool {
    const REPEATED_MAX: i64 = 1000;
    let count = std::str::from_utf8(word).ok().and_then(|word| word.parse::<i64>().ok());
    count.is_some_and(|count| count != i64::MIN && count < -REPEATED_MAX)
}

fn position(words: &Words, token: &str) -> Option<usize> {
    words.iter().skip(1).position(|word| word.eq_ignore_ascii_case(token.as_bytes())).map(|index| index + 1)
}

fn has(words: &Words, token: &str) -> bool {
    position(words, token).is_some()
}

fn remove(words: &mut Words, tokens: &[&str]) {
    for token in tokens {
        while let Some(index) = position(words, token) {
            words.remove(index);
        }
    }
}

fn lex_key(words: &mut Words, place: usize) {
    if let Some(key) = words.get_mut(place).filter(|key| key.starts_with(b"zset")) {
        key.splice(..4, *b"lex");
    }
}

/// Removes a token with what follows it, `len` words in all, wherever it stands.
fn remove_option(words: &mut Words, token: &str, len: usize) {
    while let Some(index) = position(words, token) {
        words.drain(index..(index + len).min(words.len()));
    }
}

fn remove_pair_conflict(words: &mut Words, first: &[&str], second: &[&str], random: &mut fastrand::Rng) {
    if first.iter().any(|token| has(words, token)) && second.iter().any(|token| has(words, token)) && random.bool() {
        remove(words, second);
    }
}

/// NX goes with neither GT nor LT; INCR takes one pair.
fn zadd(words: &mut Words, random: &mut fastrand::Rng) {
    if random.u8(..8) == 0 && words.len() > 3 {
        let member = words.pop().unwrap_or_default();
        words.splice(1.., [b"lex:1".to_vec(), b"0".to_vec(), member]);
    }
    if has(words, "NX") {
        remove(words, &["GT", "LT"]);
    }
    if let Some(incr) = position(words, "INCR") {
        words.truncate(incr + 3);
    }
}

/// Bounds as the mode wants them; LIMIT only with a mode; no scores with BYLEX; REV swaps the bounds.
fn zrange(words: &mut Words, random: &mut fastrand::Rng, first_bound: usize) {
    let lex = has(words, "BYLEX");
    let score = has(words, "BYSCORE");
    if words.len() < first_bound + 2 {
        return;
    }
    if lex || score {
        let mut bounds: Vec<Vec<u8>> = (0..2)
            .map(|_| if lex { pools::lex_bound(random).to_vec() } else { pools::score_bound(random).to_vec() })
            .collect();
        if random.u8(..3) > 0 {
            bounds = if lex { vec![b"-".to_vec(), b"+".to_vec()] } else { vec![b"-inf".to_vec(), b"2".to_vec()] };
            if has(words, "REV") {
                bounds.reverse();
            }
        }
        words.splice(first_bound..first_bound + 2, bounds);
    } else {
        remove_option(words, "LIMIT", 3);
    }
    if lex {
        remove(words, &["WITHSCORES"]);
    }
}

/// LIMIT goes only with an approximate trim.
fn trim(words: &mut Words) {
    if !has(words, "~") {
        remove_option(words, "LIMIT", 2);
    }
}

/// A stored search answers with a number, so nothing may be asked for beside.
fn geo_store(words: &mut Words) {
    if has(words, "STORE") || has(words, "STOREDIST") {
        remove(words, &["WITHCOORD", "WITHDIST", "WITHHASH"]);
    }
}

/// LEN and IDX exclude each other.
fn lcs(words: &mut Words) {
    if has(words, "LEN") {
        remove(words, &["IDX"]);
    }
}

/// NOT takes one source.
fn bitop_not(words: &mut Words) {
    if has(words, "NOT") {
        words.truncate(4);
    }
}

/// Onto itself only in another database.
fn copy(words: &mut Words) {
    if words.len() > 2 && words[1] == words[2] && !has(words, "DB") {
        words[2].push(b'x');
    }
}

/// A type and a number in every place: what the pools chose for others is often refused.
fn bitfield(words: &mut Words) {
    for word in words.iter_mut().skip(2) {
        match word.as_slice() {
            b"u64" | b"i65" | b"x8" => *word = b"u8".to_vec(),
            b"-1"
            | b"4294967296"
            | b"abc"
            | b""
            | b"1.5"
            | b"+1"
            | b" 1"
            | b"01"
            | b"-0"
            | b"18446744073709551616"
            | b"9223372036854775808" => *word = b"3".to_vec(),
            _ => {}
        }
    }
}

fn hello(words: &mut Words) {
    if let Some(version) = words.get_mut(1)
        && version.as_slice() != b"2"
        && version.as_slice() != b"3"
    {
        *version = b"3".to_vec();
    }
}
