//! Changes that depend on what a string holds: DELEX, DELIFEQ, and the comparisons that SET shares with them.
//!
//! Redis 8.4 brought `IFEQ`, `IFNE`, `IFDEQ` and `IFDNE`; DELIFEQ is Valkey 9's. Neither is known to the servers that
//! judge us, so [`tests`](self) names the source of each expectation. A comparison with a digest lets a client that has
//! read a large string compare sixteen hexadecimal digits instead of sending all of it back; the digest is XXH3's of
//! 64 bits, as DIGEST returns it.

use store::value::Str;
use xxhash_rust::xxh3::xxh3_64;

use crate::args::Args;
use crate::call::Call;
use crate::effect::{Class, Effect};
use crate::error::{Error, Result, WRONG_TYPE};
use crate::spec::flag::*;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// Digits of a digest.
const DIGEST_LEN: usize = 16;

/// What a string is compared with.
#[derive(Clone, Copy)]
pub(super) enum Comparison<'a> {
    /// It is these bytes.
    Equal(&'a [u8]),
    /// It is anything else.
    NotEqual(&'a [u8]),
    /// It has this digest.
    DigestEqual(&'a [u8]),
    /// It has another one.
    DigestNotEqual(&'a [u8]),
}

impl<'a> Comparison<'a> {
    /// The comparison that a word and the operand behind it stand for.
    pub(super) fn parse(word: &[u8], operand: &'a [u8]) -> Option<Self> {
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        Some(match () {
            () if is(b"IFEQ") => Self::Equal(operand),
            () if is(b"IFNE") => Self::NotEqual(operand),
            () if is(b"IFDEQ") => Self::DigestEqual(operand),
            () if is(b"IFDNE") => Self::DigestNotEqual(operand),
            () => return None,
        })
    }

    /// Whether a string fits. A digest is only looked at when there is a string to compare with.
    pub(super) fn fits(self, value: Str<'_>) -> Result<bool> {
        let bytes = value.bytes();
        Ok(match self {
            Self::Equal(other) => *bytes == *other,
            Self::NotEqual(other) => *bytes != *other,
            Self::DigestEqual(other) => has_digest(&bytes, other)?,
            Self::DigestNotEqual(other) => !has_digest(&bytes, other)?,
        })
    }

    /// Whether a key that does not exist fits: nothing differs from everything.
    pub(super) fn fits_nothing(self) -> bool {
        matches!(self, Self::NotEqual(_) | Self::DigestNotEqual(_))
    }
}

/// Whether bytes have a digest. What is no number has none; only its length is an error, as in Redis.
fn has_digest(bytes: &[u8], digest: &[u8]) -> Result<bool> {
    if digest.len() != DIGEST_LEN {
        return Err(Error::new("ERR must be exactly 16 hexadecimal characters"));
    }
    Ok(hex(xxh3_64(bytes)).as_bytes().eq_ignore_ascii_case(digest))
}

fn hex(digest: u64) -> String {
    format!("{digest:016x}")
}

fn digest(call: &mut Call<'_>) -> Result<Effect> {
    match call.keys.string(call.args.get(1))? {
        Some(value) => call.out.bulk(hex(xxh3_64(&value.bytes())).as_bytes()),
        None => call.out.null(),
    }
    Ok(Effect::None)
}

fn delex(call: &mut Call<'_>) -> Result<Effect> {
    let args = call.args;
    if !matches!(args.len(), 2 | 4) {
        return Err(call.wrong_arity());
    }
    let fits = match call.keys.write(call.args.get(1)) {
        None => false,
        Some(_) if args.len() == 2 => true,
        Some(entry) => {
            let value = entry
                .as_str()
                .ok_or_else(|| Error::new("ERR Key should be of string type if conditions are specified"))?;
            condition(args)?.fits(value)?
        }
    };
    Ok(delete_if(call, fits))
}

fn condition(args: Args<'_>) -> Result<Comparison<'_>> {
    Comparison::parse(args.get(2), args.get(3))
        .ok_or_else(|| Error::new("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"))
}

fn delifeq(call: &mut Call<'_>) -> Result<Effect> {
    let operand = call.arg(2);
    let fits = match call.keys.write(call.args.get(1)) {
        None => false,
        Some(entry) => Comparison::Equal(operand).fits(entry.as_str().ok_or(WRONG_TYPE)?)?,
    };
    Ok(delete_if(call, fits))
}

/// Deletes the key if it fits, and answers whether it did; others hear of a plain DEL.
fn delete_if(call: &mut Call<'_>, fits: bool) -> Effect {
    let key = call.arg(1);
    call.out.flag(fits);
    if !fits {
        return Effect::None;
    }
    call.keys.delete(key);
    call.keys.changed(key, Class::GENERIC, "del");
    Effect::rewritten([b"DEL", key])
}

/// The arguments by which COMMAND DOCS tells of a comparison.
pub(super) const COMPARISONS: [Arg; 4] = [
    Arg::string("ifeq-value").token("IFEQ"),
    Arg::string("ifne-value").token("IFNE"),
    Arg::string("ifdeq-digest").token("IFDEQ"),
    Arg::string("ifdne-digest").token("IFDNE"),
];

/// The rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("delex", -2, WRITE | FAST, Group::String, delex)
        .docs(
            "Deletes a key if its string, or the digest of it, compares as asked.",
            "8.4.0",
            "O(1) for IFEQ and IFNE, O(N) for IFDEQ and IFDNE where N is the length of the string.",
        )
        .keys(&[KeySpec::one(1, &["RW", "delete"])])
        .args(&[Arg::key("key"), Arg::one_of("condition", &COMPARISONS).optional()]),
    Spec::new("delifeq", 3, WRITE | FAST, Group::String, delifeq)
        .docs("Deletes a key if it holds this string.", "9.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RM", "access", "delete"])])
        .args(&[Arg::key("key"), Arg::string("value")]),
    Spec::new("digest", 2, READONLY | FAST, Group::String, digest)
        .docs(
            "Returns the XXH3 digest of a string, as 16 hexadecimal digits.",
            "8.4.0",
            "O(N) where N is the length of the string.",
        )
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[Arg::key("key")]),
];

#[cfg(test)]
mod tests;
