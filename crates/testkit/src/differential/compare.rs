//! When two replies to one command are the same.
//!
//! They are compared byte for byte, except where Redis documents that order or chance is free, or where a reply tells
//! of time or of the process. `RULES` is the whole list of these exceptions; a command that it does not name is exact.
//! Errors are exact under every rule.

use resp_parser::Reply;

use crate::reply::{integer, is_error, items, pairs, text};
use crate::words::Words;

/// How far two clocks' readings may lie apart: the servers run the same command one after the other, on a busy machine.
const NEAR_MS: i64 = 2500;
/// The same in seconds, for commands that round.
const NEAR_S: i64 = 3;
/// Integers above this in a reply under [`Rule::Times`] are milliseconds since 1970.
const UNIX_MS_MIN: i64 = 100_000_000_000;

/// How the replies of a command are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Byte for byte.
    Exact,
    /// As multisets of their elements.
    Unordered,
    /// As multisets of their pairs.
    UnorderedPairs,
    /// The same types and lengths all the way down.
    Shape,
    /// The same type.
    Type,
    /// Integers above zero may differ by this much.
    Near(i64),
    /// Exact but for unix times, fields named idle or inactive, and the third of four in a list of pending entries.
    Times,
    /// Maps, exact but for these fields.
    Except(&'static [&'static str]),
    /// A cursor and some elements: whatever a SCAN step returned.
    Scan,
}

/// The exceptions. A name stands for its subcommands too.
const RULES: &[(Rule, &[&str])] = &[
    (
        Rule::Unordered,
        &[
            "SMEMBERS",
            "SINTER",
            "SUNION",
            "SDIFF",
            "HKEYS",
            "HVALS",
            "KEYS",
            "PUBSUB CHANNELS",
            "PUBSUB SHARDCHANNELS",
            "COMMAND LIST",
            "ACL CAT",
            "ACL USERS",
        ],
    ),
    (Rule::UnorderedPairs, &["HGETALL"]),
    // Chance.
    (Rule::Shape, &["SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER", "SPOP", "RANDOMKEY"]),
    // The moment.
    (Rule::Near(NEAR_S), &["TTL", "HTTL", "EXPIRETIME", "HEXPIRETIME", "OBJECT IDLETIME"]),
    (Rule::Near(NEAR_MS), &["PTTL", "HPTTL", "PEXPIRETIME", "HPEXPIRETIME"]),
    (Rule::Times, &["XPENDING", "XINFO"]),
    (Rule::Type, &["TIME", "LASTSAVE"]),
    // The process: its memory, its clients, its build.
    (Rule::Except(&["id"]), &["HELLO"]),
    (
        Rule::Type,
        &[
            "CLIENT ID",
            "CLIENT INFO",
            "CLIENT LIST",
            "INFO",
            "MEMORY",
            "LOLWUT",
            "DEBUG",
            "SLOWLOG",
            "LATENCY",
            "ROLE",
            "COMMAND COUNT",
            "COMMAND DOCS",
            "COMMAND INFO",
            "COMMAND",
            "CONFIG GET",
            "ACL GENPASS",
            "ACL LOG",
        ],
    ),
    // Another encoding of the same value is as good: a test of its own restores each server's payloads at the other.
    (Rule::Type, &["DUMP"]),
    (Rule::Scan, &["SCAN", "SSCAN", "HSCAN", "ZSCAN"]),
];

/// The rule for a command.
#[must_use]
pub fn rule(command: &Words) -> Rule {
    let first = upper(command.first());
    let both = format!("{first} {}", upper(command.get(1)));
    let has = |token: &str| command.iter().skip(1).any(|word| word.eq_ignore_ascii_case(token.as_bytes()));
    match first.as_str() {
        // Unsorted results come as the index yields them; ANY takes whichever it meets first.
        "GEOSEARCH" | "GEORADIUS" | "GEORADIUS_RO" | "GEORADIUSBYMEMBER" | "GEORADIUSBYMEMBER_RO" => {
            if has("ANY") {
                Rule::Type
            } else if has("ASC") || has("DESC") || has("COUNT") {
                Rule::Exact
            } else {
                Rule::Unordered
            }
        }
        // Without sorting, a set's elements come in its own order.
        "SORT" | "SORT_RO" if has("nosort") => {
            if has("LIMIT") || has("GET") {
                Rule::Type
            } else {
                Rule::Unordered
            }
        }
        "XADD" if has("*") => Rule::Shape,
        _ => RULES
            .iter()
            .find(|(_, names)| names.iter().any(|name| *name == both || *name == first))
            .map_or(Rule::Exact, |(rule, _)| *rule),
    }
}

fn upper(word: Option<&Vec<u8>>) -> String {
    word.map(|word| String::from_utf8_lossy(word).to_uppercase()).unwrap_or_default()
}

/// Whether both replies are the same under `rule`.
#[must_use]
pub fn same(rule: Rule, left: &Reply, right: &Reply) -> bool {
    if left == right {
        return true;
    }
    if is_error(left) || is_error(right) {
        return false;
    }
    match rule {
        Rule::Exact => false,
        Rule::Unordered => variant(left) == variant(right) && sorted(items(left)) == sorted(items(right)),
        Rule::UnorderedPairs => variant(left) == variant(right) && sorted_pairs(left) == sorted_pairs(right),
        Rule::Shape => same_shape(left, right),
        Rule::Type => variant(left) == variant(right),
        Rule::Near(tolerance) => same_but(left, right, &|left, right, _| near(left, right, tolerance)),
        Rule::Times => same_but(left, right, &|left, right, place| time(left, right, place)),
        Rule::Except(fields) => same_fields(left, right, fields),
        Rule::Scan => matches!(
            (items(left), items(right)),
            ([Reply::Bulk(_), Reply::Array(_)], [Reply::Bulk(_), Reply::Array(_)])
        ),
    }
}

/// A number for the reply's type, all nulls being different.
fn variant(reply: &Reply) -> std::mem::Discriminant<Reply> {
    std::mem::discriminant(reply)
}

fn encoded(reply: &Reply) -> Vec<u8> {
    let mut bytes = Vec::new();
    reply.encode(&mut bytes);
    bytes
}

fn sorted(replies: &[Reply]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = replies.iter().map(encoded).collect();
    all.sort_unstable();
    all
}

fn sorted_pairs(reply: &Reply) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all: Vec<_> = pairs(reply).into_iter().map(|(key, value)| (encoded(key), encoded(value))).collect();
    all.sort_unstable();
    all
}

fn same_shape(left: &Reply, right: &Reply) -> bool {
    let (inner_left, inner_right) = (children(left), children(right));
    variant(left) == variant(right)
        && inner_left.len() == inner_right.len()
        && inner_left.iter().zip(&inner_right).all(|((left, _), (right, _))| same_shape(left, right))
}

/// Where an element stands: its index and the length of what holds it, and the name before it (of a field).
#[derive(Clone, Copy)]
struct Place<'r> {
    index: usize,
    len: usize,
    name: Option<&'r [u8]>,
}

const TOP: Place<'static> = Place { index: 0, len: 1, name: None };

/// The elements of any aggregate, each with its place. A map's keys and values follow each other as in RESP2.
fn children(reply: &Reply) -> Vec<(&Reply, Place<'_>)> {
    let flat: Vec<&Reply> = match reply {
        Reply::Map(pairs) => pairs.iter().flat_map(|(key, value)| [key, value]).collect(),
        other => items(other).iter().collect(),
    };
    let len = flat.len();
    let place = |index: usize| Place { index, len, name: index.checked_sub(1).and_then(|before| text(flat[before])) };
    (0..len).map(|index| (flat[index], place(index))).collect()
}

/// Exact, but two integers are the same when `integers` says so.
fn same_but(left: &Reply, right: &Reply, integers: &dyn Fn(i64, i64, Place<'_>) -> bool) -> bool {
    fn walk(left: &Reply, right: &Reply, place: Place<'_>, integers: &dyn Fn(i64, i64, Place<'_>) -> bool) -> bool {
        if let (Some(left), Some(right)) = (integer(left), integer(right)) {
            return integers(left, right, place);
        }
        let (inner_left, inner_right) = (children(left), children(right));
        if inner_left.is_empty() && inner_right.is_empty() {
            return left == right;
        }
        variant(left) == variant(right)
            && inner_left.len() == inner_right.len()
            && inner_left
                .iter()
                .zip(&inner_right)
                .all(|((left, place), (right, _))| walk(left, right, *place, integers))
    }
    walk(left, right, TOP, integers)
}

fn near(left: i64, right: i64, tolerance: i64) -> bool {
    left == right || (left >= 0 && right >= 0 && left.abs_diff(right) <= tolerance.unsigned_abs())
}

fn time(left: i64, right: i64, place: Place<'_>) -> bool {
    let idle_field = matches!(place.name, Some(b"idle" | b"inactive" | b"seen-time" | b"active-time"));
    let pending_idle = place.len == 4 && place.index == 2;
    let unix_ms = left.min(right) > UNIX_MS_MIN;
    left == right || ((idle_field || pending_idle || unix_ms) && near(left, right, NEAR_MS))
}

fn same_fields(left: &Reply, right: &Reply, except: &[&str]) -> bool {
    let (left_pairs, right_pairs) = (pairs(left), pairs(right));
    variant(left) == variant(right)
        && left_pairs.len() == right_pairs.len()
        && left_pairs.iter().zip(&right_pairs).all(|((name, left), (other, right))| {
            let free = text(name).is_some_and(|name| except.iter().any(|free| free.as_bytes() == name));
            name == other && (left == right || free && variant(left) == variant(right))
        })
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
