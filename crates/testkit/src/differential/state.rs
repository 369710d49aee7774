//! What both servers hold after a sequence: which keys, and of each TYPE, PTTL, OBJECT ENCODING and DEBUG DIGEST-VALUE,
//! and of a hash the expiry of each field, which no digest covers. And INFO's histograms of their sizes; where these
//! differ, ours must be true: Redis 8.0.2 itself forgets some changes (PFDEBUG TODENSE, SPOP of all members).

use std::collections::BTreeMap;
use std::io;

use resp_parser::Reply;

use super::compare::{Rule, rule, same};
use super::pair::{Difference, Pair, agree};
use crate::reply::{integer, is_error, items, show, text};
use crate::words::Words;

/// The databases that sequences use: what the pools name.
const DATABASES: [&str; 3] = ["0", "1", "9"];

/// What is asked about each key.
const QUESTIONS: [&[&str]; 4] = [&["TYPE"], &["PTTL"], &["OBJECT", "ENCODING"], &["DEBUG", "DIGEST-VALUE"]];

/// Compares both servers' keyspaces and names the first difference.
///
/// # Errors
/// When a server cannot be reached.
pub(super) fn compare(pair: &mut Pair<'_>, before: &[(Words, bool)], step: usize) -> io::Result<Option<Difference>> {
    for database in DATABASES {
        let keys = match names(pair, database, step)? {
            Ok(keys) => keys,
            Err(difference) => return Ok(Some(difference)),
        };
        let questions: Vec<Words> =
            keys.iter().flat_map(|key| QUESTIONS.map(|question| about(question, key))).collect();
        if questions.is_empty() {
            continue;
        }
        let reference = pair.reference.admin_batch(&questions)?;
        let subject = pair.subject.admin_batch(&questions)?;
        for (question, (left, right)) in questions.iter().zip(reference.iter().zip(&subject)) {
            // What a digest is compared by elsewhere does not count: here it is the state.
            let agree =
                if is_digest(question) { same(Rule::Exact, left, right) } else { agree(question, before, left, right) };
            if !agree {
                return Ok(Some(difference(step, database, question, left, right)));
            }
        }
        if let Some(difference) = compare_fields(pair, database, &keys, step)? {
            return Ok(Some(difference));
        }
    }
    pair.reference.admin(&["SELECT", "0"])?;
    pair.subject.admin(&["SELECT", "0"])?;
    compare_sizes(pair, step)
}

/// What asks for a value's length, and how INFO names the type that answers, in its order.
const LENGTHS: [(&str, &str); 5] = [
    ("STRLEN", "strings_sizes"),
    ("LLEN", "lists_items"),
    ("SCARD", "sets_items"),
    ("ZCARD", "zsets_items"),
    ("HLEN", "hashes_items"),
];

/// The histograms of sizes, and where these differ ours beside the lengths of our values. They count what has expired until
/// it is removed, so this looks only where nothing expires.
fn compare_sizes(pair: &mut Pair<'_>, step: usize) -> io::Result<Option<Difference>> {
    let question = vec![b"INFO".to_vec(), b"keysizes".to_vec()];
    let questions = [question.clone(), vec![b"INFO".to_vec(), b"keyspace".to_vec()]];
    let (left, right) = (pair.reference.admin_batch(&questions)?, pair.subject.admin_batch(&questions)?);
    if same(Rule::Exact, &left[0], &right[0]) || expires(&left[1]) || expires(&right[1]) {
        return Ok(None);
    }
    let (subject, counted) = (&mut pair.subject, &right[0]);
    let mut expected = String::from("# Keysizes\r\n");
    for database in DATABASES {
        subject.admin(&["SELECT", database])?;
        let keys = subject.admin(&["KEYS", "*"])?;
        for (command, name) in LENGTHS {
            let questions: Vec<Words> =
                items(&keys).iter().filter_map(text).map(|key| about(&[command], key)).collect();
            let lengths = subject.admin_batch(&questions)?;
            let mut bins: BTreeMap<u64, usize> = BTreeMap::new();
            for length in lengths.iter().filter_map(integer).filter(|&length| length > 0 || command == "STRLEN") {
                *bins.entry(length.checked_ilog2().map_or(0, |power| 1 << power)).or_default() += 1;
            }
            if !bins.is_empty() {
                let bins: Vec<String> = bins.iter().map(|(size, count)| format!("{}={count}", human(*size))).collect();
                expected += &format!("db{database}_distrib_{name}:{}\r\n", bins.join(","));
            }
        }
    }
    subject.admin(&["SELECT", "0"])?;
    let expected = Reply::Bulk(expected.into_bytes());
    if text(counted) == text(&expected) {
        return Ok(None);
    }
    Ok(Some(difference(step, "any", &question, &expected, counted)))
}

/// A power of two as INFO writes it.
fn human(size: u64) -> String {
    match size {
        0..1024 => size.to_string(),
        1024..0x10_0000 => format!("{}K", size >> 10),
        _ => format!("{}M", size >> 20),
    }
}

/// Whether INFO's section `keyspace` tells of keys or fields that expire.
fn expires(keyspace: &Reply) -> bool {
    let keyspace = text(keyspace).map(String::from_utf8_lossy).unwrap_or_default();
    let mut counts = keyspace
        .split([',', ':', '\r'])
        .filter_map(|field| field.strip_prefix("expires=").or_else(|| field.strip_prefix("subexpiry=")));
    counts.any(|count| count != "0")
}

/// The expiry of every field of every hash that has one. Fields that have just expired may be listed by one server
/// only, so each is asked for by name.
fn compare_fields(
    pair: &mut Pair<'_>,
    database: &str,
    keys: &[Vec<u8>],
    step: usize,
) -> io::Result<Option<Difference>> {
    let listed: Vec<Words> = keys.iter().map(|key| about(&["HKEYS"], key)).collect();
    let fields = pair.reference.admin_batch(&listed)?;
    let questions: Vec<Words> = keys
        .iter()
        .zip(&fields)
        .filter(|(_, fields)| !items(fields).is_empty())
        .map(|(key, fields)| {
            let names: Vec<Vec<u8>> = items(fields).iter().filter_map(text).map(<[u8]>::to_vec).collect();
            let mut question = about(&["HPTTL"], key);
            question.extend([b"FIELDS".to_vec(), names.len().to_string().into_bytes()]);
            question.extend(names);
            question
        })
        .collect();
    let reference = pair.reference.admin_batch(&questions)?;
    let volatile: Vec<usize> = (0..questions.len())
        .filter(|&index| items(&reference[index]).iter().any(|ttl| integer(ttl).is_some_and(|ttl| ttl >= 0)))
        .collect();
    let asked: Vec<Words> = volatile.iter().map(|&index| questions[index].clone()).collect();
    let subject = pair.subject.admin_batch(&asked)?;
    Ok(volatile
        .iter()
        .zip(&subject)
        .find(|(index, right)| !same(rule(&questions[**index]), &reference[**index], right))
        .map(|(index, right)| difference(step, database, &questions[*index], &reference[*index], right)))
}

type Names = Result<Vec<Vec<u8>>, Difference>;

/// The names of a database's keys, the same on both sides, in order. DBSIZE on each tells lingering ones.
fn names(pair: &mut Pair<'_>, database: &str, step: usize) -> io::Result<Names> {
    let questions: [Words; 2] =
        [vec![b"SELECT".to_vec(), database.as_bytes().to_vec()], vec![b"KEYS".to_vec(), b"*".to_vec()]];
    let left = pair.reference.admin_batch(&questions)?;
    let right = pair.subject.admin_batch(&questions)?;
    if !same(Rule::Unordered, &left[1], &right[1]) || is_error(&left[1]) {
        return Ok(Err(difference(step, database, &questions[1], &sorted(&left[1]), &sorted(&right[1]))));
    }
    Ok(Ok(items(&sorted(&left[1])).iter().filter_map(text).map(<[u8]>::to_vec).collect()))
}

fn sorted(reply: &Reply) -> Reply {
    let Reply::Array(names) = reply else { return reply.clone() };
    let mut names = names.clone();
    names.sort_by(|left, right| text(left).cmp(&text(right)));
    Reply::Array(names)
}

fn about(question: &[&str], key: &[u8]) -> Words {
    question.iter().map(|word| word.as_bytes().to_vec()).chain([key.to_vec()]).collect()
}

fn is_digest(question: &Words) -> bool {
    question[0] == b"DEBUG"
}

fn difference(step: usize, database: &str, question: &Words, left: &Reply, right: &Reply) -> Difference {
    let question_text = crate::words::join(question);
    let name = String::from_utf8_lossy(&question[0]).into_owned();
    Difference {
        step,
        what: format!("afterwards, in database {database}: {question_text}"),
        signature: format!("state {name} | {} | {}", text_head(left), text_head(right)),
        reference: show(left),
        subject: show(right),
    }
}

fn text_head(reply: &Reply) -> String {
    // Digests and times tell nothing about the cause.
    let shown = show(reply);
    if shown.len() > 60 { String::new() } else { shown.chars().filter(char::is_ascii_alphabetic).take(20).collect() }
}
