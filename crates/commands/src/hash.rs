//! Hashes: fields with values. Fields that expire by themselves have their own commands in `hash/expiry.rs`, those that
//! get or set values together with expiries are in `hash/together.rs`.
//!
//! A read hides expired fields; one that was asked for such a field leaves a note, by which the pipeline removes it. A
//! write takes those that it names out before it begins ([`crate::keys::Keys::hash_mut`]), with one exception: HDEL counts
//! them like any others, as in Redis.

use std::iter::once;

use store::entry::Entry;
use store::value::hash::{Hash, IncrError, OldExpiry};

use crate::args::OwnedArgs;
use crate::call::Call;
use crate::draw::{Draw, Draws};
use crate::effect::{Class, Effect};
use crate::error::{Error, NAN_OR_INFINITY, NOT_FLOAT, OUT_OF_RANGE, OVERFLOW, Result, SYNTAX, WRONG_TYPE};
use crate::keys::Keys;
use crate::longdouble::LongDouble;
use crate::reply::Reply;
use crate::scan_options::{self, ScanOptions, Walked};
use crate::spec::common::{CONDITION, EXPIRATION, FIELD_VALUES};
use crate::spec::flag::*;
use crate::spec::{Arg, ArgKind, Group, KeySpec, Spec};

mod expiry;
#[cfg(test)]
mod tests;
mod together;

use expiry::{hexpire, hexpireat, hexpiretime, hpersist, hpexpire, hpexpireat, hpexpiretime, hpttl, httl};
use together::{hgetdel, hgetex, hsetex};

/// The limit of HRANDFIELD's count when each field comes with its value.
const PAIRS_MAX: usize = i64::MAX as usize / 2;

/// Applies `change`, which is about `fields`, to the hash under a key, or to a new one, which is kept if anything is in it
/// then.
fn change_or_create<'f, R>(
    keys: &mut Keys<'_>,
    key: &[u8],
    fields: impl Iterator<Item = &'f [u8]>,
    change: impl FnOnce(&mut Hash) -> R,
) -> Result<R> {
    if let Some(mut hash) = keys.hash_mut(key, fields)? {
        return Ok(change(&mut hash));
    }
    let mut hash = Hash::new();
    let result = change(&mut hash);
    if !hash.is_empty() {
        keys.insert(key, Entry::boxed(key, hash, None));
    }
    Ok(result)
}

/// Deletes a key whose hash has been emptied by a change that is counted already.
fn delete_if(emptied: bool, keys: &mut Keys<'_>, key: &[u8]) {
    if emptied {
        keys.delete(key);
        keys.event(key, Class::GENERIC, "del");
    }
}

fn hset(call: &mut Call<'_>) -> Result<Effect> {
    let created = set_all(call)?;
    call.out.len(created);
    Ok(Effect::AsIs)
}

fn hmset(call: &mut Call<'_>) -> Result<Effect> {
    set_all(call)?;
    call.out.ok();
    Ok(Effect::AsIs)
}

/// Sets the fields from argument 2 on and returns how many are new.
fn set_all(call: &mut Call<'_>) -> Result<usize> {
    if !call.args.len().is_multiple_of(2) {
        return Err(call.wrong_arity());
    }
    let (key, args, limits) = (call.arg(1), call.args, &*call.env.limits);
    let pairs = args.pairs(2);
    let count = pairs.len();
    let created = if let Some(mut hash) = call.keys.hash_mut(key, pairs.clone().map(|(field, _)| field))? {
        hash.prepare(count, args.from(2).map(<[u8]>::len).max().unwrap_or(0), limits);
        pairs.filter(|(field, value)| hash.set(field, value, OldExpiry::Clear, limits)).count()
    } else {
        let hash = Hash::of(pairs, limits);
        let created = hash.len();
        call.keys.insert(key, Entry::boxed(key, hash, None));
        created
    };
    call.keys.changed(key, Class::HASH, "hset");
    call.keys.add_dirty(count as u64 - 1);
    Ok(created)
}

fn hsetnx(call: &mut Call<'_>) -> Result<Effect> {
    let (key, field, value, limits) = (call.arg(1), call.arg(2), call.arg(3), &*call.env.limits);
    let now_ms = call.keys.now_for_fields();
    let created = change_or_create(&mut call.keys, key, once(field), |hash| {
        let missing = !hash.contains(field, now_ms);
        if missing {
            hash.prepare(1, field.len().max(value.len()), limits);
            hash.set(field, value, OldExpiry::Clear, limits);
        }
        missing
    })?;
    if created {
        call.keys.changed(key, Class::HASH, "hset");
    }
    call.out.flag(created);
    Ok(Effect::as_is_if(created))
}

fn hget(call: &mut Call<'_>) -> Result<Effect> {
    let field = call.args.get(2);
    look(call, field, |out, found| match found {
        Some(entry) => out.item(entry),
        None => out.null(),
    })
}

fn hexists(call: &mut Call<'_>) -> Result<Effect> {
    let field = call.args.get(2);
    look(call, field, |out, found| out.flag(found.is_some()))
}

fn hstrlen(call: &mut Call<'_>) -> Result<Effect> {
    let field = call.args.get(2);
    look(call, field, |out, found| out.len(found.map_or(0, |value| value.len())))
}

/// Looks a field up and answers with it.
#[inline]
fn look(
    call: &mut Call<'_>,
    field: &[u8],
    answer: impl FnOnce(&mut Reply, Option<store::value::listpack::Item<'_>>),
) -> Result<Effect> {
    let (key, now_ms) = (call.arg(1), call.keys.now_for_fields());
    let hash = call.keys.hash(key)?;
    let found = hash.and_then(|hash| hash.get(field, now_ms));
    let expired = found.is_none() && hash.is_some_and(|hash| hash.has_expired(field, now_ms));
    answer(call.out, found);
    if expired {
        call.keys.hide_fields(key, Some(vec![field.into()]));
    }
    Ok(Effect::None)
}

fn hmget(call: &mut Call<'_>) -> Result<Effect> {
    let (key, fields, now_ms) = (call.arg(1), call.args.from(2), call.keys.now_for_fields());
    let hash = call.keys.hash(key)?;
    call.out.array(fields.len());
    let mut expired = Vec::new();
    for field in fields {
        match hash.and_then(|hash| hash.get(field, now_ms)) {
            Some(value) => call.out.item(value),
            None => {
                call.out.null();
                expired.extend(hash.filter(|hash| hash.has_expired(field, now_ms)).map(|_| Box::from(field)));
            }
        }
    }
    if !expired.is_empty() {
        call.keys.hide_fields(key, Some(expired));
    }
    Ok(Effect::None)
}

fn hlen(call: &mut Call<'_>) -> Result<Effect> {
    let len = call.keys.hash(call.args.get(1))?.map_or(0, Hash::len);
    call.out.len(len);
    Ok(Effect::None)
}

fn hdel(call: &mut Call<'_>) -> Result<Effect> {
    let (key, fields) = (call.arg(1), call.args.from(2));
    let Some(entry) = call.keys.write(key) else {
        call.out.int(0);
        return Ok(Effect::None);
    };
    let mut hash = entry.into_value::<Hash>().ok_or(WRONG_TYPE)?;
    let removed = fields.filter(|field| hash.remove(field)).count();
    let emptied = hash.is_empty();
    drop(hash);
    if removed > 0 {
        call.keys.changed(key, Class::HASH, "hdel");
        call.keys.add_dirty(removed as u64 - 1);
        delete_if(emptied, &mut call.keys, key);
    }
    call.out.len(removed);
    Ok(Effect::as_is_if(removed > 0))
}

fn hgetall(call: &mut Call<'_>) -> Result<Effect> {
    let now_ms = call.keys.now_for_fields();
    let hash = call.keys.hash(call.args.get(1))?;
    call.out.map(hash.map_or(0, |hash| hash.live_len(now_ms)));
    for entry in hash.into_iter().flat_map(|hash| hash.iter(now_ms)) {
        call.out.item(entry.field);
        call.out.item(entry.value);
    }
    Ok(Effect::None)
}

fn hkeys(call: &mut Call<'_>) -> Result<Effect> {
    let now_ms = call.keys.now_for_fields();
    let hash = call.keys.hash(call.args.get(1))?;
    call.out.array(hash.map_or(0, |hash| hash.live_len(now_ms)));
    hash.into_iter().flat_map(|hash| hash.iter(now_ms)).for_each(|entry| call.out.item(entry.field));
    Ok(Effect::None)
}

fn hvals(call: &mut Call<'_>) -> Result<Effect> {
    let now_ms = call.keys.now_for_fields();
    let hash = call.keys.hash(call.args.get(1))?;
    call.out.array(hash.map_or(0, |hash| hash.live_len(now_ms)));
    hash.into_iter().flat_map(|hash| hash.iter(now_ms)).for_each(|entry| call.out.item(entry.value));
    Ok(Effect::None)
}

fn hincrby(call: &mut Call<'_>) -> Result<Effect> {
    let (key, field, amount) = (call.arg(1), call.arg(2), call.int(3)?);
    let (limits, now_ms) = (&*call.env.limits, call.keys.now_for_fields());
    let sum = change_or_create(&mut call.keys, key, once(field), |hash| hash.increment(field, amount, now_ms, limits))?;
    let sum = sum.map_err(|error| match error {
        IncrError::NotAnInteger => Error::new("ERR hash value is not an integer"),
        IncrError::Overflow => OVERFLOW,
    })?;
    call.keys.changed(key, Class::HASH, "hincrby");
    call.out.int(sum);
    Ok(Effect::AsIs)
}

fn hincrbyfloat(call: &mut Call<'_>) -> Result<Effect> {
    let (key, field) = (call.arg(1), call.arg(2));
    let amount = LongDouble::parse(call.arg(3)).ok_or(NOT_FLOAT)?;
    if !amount.is_finite() {
        return Err(Error::new("ERR value is NaN or Infinity"));
    }
    let (limits, now_ms) = (&*call.env.limits, call.keys.now_for_fields());
    let mut text = Vec::with_capacity(40);
    let expiry = change_or_create(&mut call.keys, key, once(field), |hash| {
        let (before, old) = match hash.get(field, now_ms) {
            None => (LongDouble::ZERO, OldExpiry::Clear),
            Some(value) => {
                let value = LongDouble::parse(value.bytes(&mut itoa::Buffer::new()));
                (value.ok_or_else(|| Error::new("ERR hash value is not a float"))?, OldExpiry::Keep)
            }
        };
        let sum = before.add(amount);
        if !sum.is_finite() {
            return Err(NAN_OR_INFINITY);
        }
        sum.write_human(&mut text);
        hash.set(field, &text, old, limits);
        Ok(hash.expiry(field, now_ms))
    })??;
    call.keys.changed(key, Class::HASH, "hincrbyfloat");
    call.out.bulk(&text);
    // Arithmetic differs between machines; what it gave does not. HSET takes the expiry away, so it is set anew.
    let mut effect: Vec<OwnedArgs> = vec![[b"HSET", key, field, &text[..]].into_iter().collect()];
    if let store::value::hash::FieldExpiry::At(at_ms) = expiry {
        let at_ms = at_ms.to_string();
        effect.push([b"HPEXPIREAT", key, at_ms.as_bytes(), b"FIELDS", b"1", field].into_iter().collect());
    }
    Ok(Effect::Rewritten(effect))
}

fn hrandfield(call: &mut Call<'_>) -> Result<Effect> {
    let draw = call.args.opt(2).map(Draw::parse).transpose()?;
    let with_values = call.args.len() > 3;
    if call.args.len() > 4 || (with_values && !call.args.is(3, "WITHVALUES")) {
        return Err(SYNTAX);
    }
    if with_values && draw.is_some_and(|draw| draw.magnitude() > PAIRS_MAX) {
        return Err(OUT_OF_RANGE);
    }
    let (key, now_ms) = (call.arg(1), call.keys.now_for_fields());
    let hash = call.keys.hash(key)?;
    let has_expired = hash.and_then(Hash::next_expiry).is_some_and(|next| next < now_ms);
    let (rng, out) = (&mut call.env.rng, &mut *call.out);
    match draw {
        None => match hash.and_then(|hash| hash.random(now_ms, rng)) {
            Some(entry) => out.item(entry.field),
            None => out.null(),
        },
        Some(Draw::Distinct(count)) => {
            let entries = hash.map_or_else(Vec::new, |hash| hash.random_distinct(count, now_ms, rng));
            out.array(if with_values && !out.resp3() { entries.len() * 2 } else { entries.len() });
            entries.into_iter().for_each(|entry| pair(out, entry, with_values));
        }
        Some(Draw::Repeated(count)) => match hash.filter(|hash| count > 0 && hash.random(now_ms, rng).is_some()) {
            None => out.array(0),
            Some(hash) => {
                let mut draws = Draws::begin(count, 1 + usize::from(with_values), out)?;
                for _ in 0..count {
                    let entry = hash.random(now_ms, rng).expect("one was drawn just now");
                    pair(out, entry, with_values);
                    if !draws.go_on(out)? {
                        break;
                    }
                }
            }
        },
    }
    if has_expired {
        call.keys.hide_fields(key, None);
    }
    Ok(Effect::None)
}

/// Answers with a field, and with its value if that is wanted: in RESP3 as a pair.
fn pair(out: &mut Reply, entry: store::value::hash::Entry<'_>, with_value: bool) {
    if with_value && out.resp3() {
        out.array(2);
    }
    out.item(entry.field);
    if with_value {
        out.item(entry.value);
    }
}

fn hscan(call: &mut Call<'_>) -> Result<Effect> {
    let (cursor, now_ms) = (scan_options::cursor(call.arg(2))?, call.keys.now_for_fields());
    let Some(hash) = call.keys.hash(call.args.get(1))? else {
        scan_options::nothing(call.out);
        return Ok(Effect::None);
    };
    let ScanOptions { pattern, count, no_values, .. } = ScanOptions::parse(call.args, 3, Walked::Fields)?;
    let (head, out) = (call.out.mark(), &mut *call.out);
    let mut found = 0;
    let next = hash.scan(cursor, count, now_ms, |entry| {
        if !pattern.matches_item(entry.field) {
            return;
        }
        out.item(entry.field);
        found += 1;
        if !no_values {
            out.item(entry.value);
            found += 1;
        }
    });
    scan_options::head(out, head, next, found);
    Ok(Effect::None)
}

/// The fields a command of the field expiry family is about.
const FIELDS: Arg = Arg::block("fields", &[Arg::integer("numfields"), Arg::string("field").multiple()]).token("FIELDS");

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("hdel", -3, WRITE | FAST, Group::Hash, hdel)
        .docs("Removes fields of a hash.", "2.0.0", "O(N) where N is the number of fields to be removed.")
        .keys(&[KeySpec::one(1, &["RW", "delete"])])
        .args(&[
            Arg::key("key"),
            Arg::string("field").multiple(),
        ]),
    Spec::new("hexists", 3, READONLY | FAST, Group::Hash, hexists)
        .docs("Tells whether a hash has a field.", "2.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RO"])])
        .args(&[
            Arg::key("key"),
            Arg::string("field"),
        ]),
    Spec::new("hexpire", -6, WRITE | FAST, Group::Hash, hexpire)
        .docs("Lets fields of a hash expire after some seconds.", "7.4.0", "O(N) where N is the number of specified fields")
        .keys(&[KeySpec::one(1, &["RW", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("seconds"),
            CONDITION,
            FIELDS,
        ]),
    Spec::new("hexpireat", -6, WRITE | FAST, Group::Hash, hexpireat)
        .docs("Lets fields of a hash expire at a Unix time in seconds.", "7.4.0", "O(N) where N is the number of specified fields")
        .keys(&[KeySpec::one(1, &["RW", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::new("unix-time-seconds", ArgKind::UnixTime),
            CONDITION,
            FIELDS,
        ]),
    Spec::new("hexpiretime", -5, READONLY | FAST, Group::Hash, hexpiretime)
        .docs("Returns when fields of a hash expire, as Unix times in seconds.", "7.4.0", "O(N) where N is the number of specified fields")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            FIELDS,
        ]),
    Spec::new("hget", 3, READONLY | FAST, Group::Hash, hget)
        .docs("Returns the value of a field.", "2.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::string("field"),
        ]),
    Spec::new("hgetall", 2, READONLY, Group::Hash, hgetall)
        .docs("Returns all fields of a hash with their values.", "2.0.0", "O(N) where N is the size of the hash.")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .tips(&["nondeterministic_output_order"])
        .args(&[
            Arg::key("key"),
        ]),
    Spec::new("hgetdel", -5, WRITE | FAST, Group::Hash, hgetdel)
        .docs("Returns the values of fields and removes the fields.", "8.0.0", "O(N) where N is the number of specified fields")
        .keys(&[KeySpec::one(1, &["RW", "access", "delete"])])
        .args(&[
            Arg::key("key"),
            FIELDS,
        ]),
    Spec::new("hgetex", -5, WRITE | FAST, Group::Hash, hgetex)
        .docs("Returns the values of fields and sets or removes when they expire.", "8.0.0", "O(N) where N is the number of specified fields")
        .keys(&[KeySpec::one(1, &["RW", "access", "update"]).notes("RW and UPDATE because it changes the TTL")])
        .args(&[
            Arg::key("key"),
            EXPIRATION,
            FIELDS,
        ]),
    Spec::new("hincrby", 4, WRITE | DENYOOM | FAST, Group::Hash, hincrby)
        .docs("Adds a number to the integer in a field; a missing field counts as 0.", "2.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "access", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::string("field"),
            Arg::integer("increment"),
        ]),
    Spec::new("hincrbyfloat", 4, WRITE | DENYOOM | FAST, Group::Hash, hincrbyfloat)
        .docs("Adds a number with a fraction to the number in a field; a missing field counts as 0.", "2.6.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "access", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::string("field"),
            Arg::double("increment"),
        ]),
    Spec::new("hkeys", 2, READONLY, Group::Hash, hkeys)
        .docs("Returns the names of all fields of a hash.", "2.0.0", "O(N) where N is the size of the hash.")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .tips(&["nondeterministic_output_order"])
        .args(&[
            Arg::key("key"),
        ]),
    Spec::new("hlen", 2, READONLY | FAST, Group::Hash, hlen)
        .docs("Counts the fields of a hash.", "2.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RO"])])
        .args(&[
            Arg::key("key"),
        ]),
    Spec::new("hmget", -3, READONLY | FAST, Group::Hash, hmget)
        .docs("Returns the values of several fields.", "2.0.0", "O(N) where N is the number of fields being requested.")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::string("field").multiple(),
        ]),
    Spec::new("hmset", -4, WRITE | DENYOOM | FAST, Group::Hash, hmset)
        .docs("Sets several fields of a hash.", "2.0.0", "O(N) where N is the number of fields being set.")
        .deprecated("4.0.0", "`HSET` with multiple field-value pairs")
        .keys(&[KeySpec::one(1, &["RW", "update"])])
        .args(&[
            Arg::key("key"),
            FIELD_VALUES,
        ]),
    Spec::new("hpersist", -5, WRITE | FAST, Group::Hash, hpersist)
        .docs("Takes away when fields of a hash expire.", "7.4.0", "O(N) where N is the number of specified fields")
        .keys(&[KeySpec::one(1, &["RW", "update"])])
        .args(&[
            Arg::key("key"),
            FIELDS,
        ]),
    Spec::new("hpexpire", -6, WRITE | FAST, Group::Hash, hpexpire)
        .docs("Lets fields of a hash expire after some milliseconds.", "7.4.0", "O(N) where N is the number of specified fields")
        .keys(&[KeySpec::one(1, &["RW", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("milliseconds"),
            CONDITION,
            FIELDS,
        ]),
    Spec::new("hpexpireat", -6, WRITE | FAST, Group::Hash, hpexpireat)
        .docs("Lets fields of a hash expire at a Unix time in milliseconds.", "7.4.0", "O(N) where N is the number of specified fields")
        .keys(&[KeySpec::one(1, &["RW", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::new("unix-time-milliseconds", ArgKind::UnixTime),
            CONDITION,
            FIELDS,
        ]),
    Spec::new("hpexpiretime", -5, READONLY | FAST, Group::Hash, hpexpiretime)
        .docs("Returns when fields of a hash expire, as Unix times in milliseconds.", "7.4.0", "O(N) where N is the number of specified fields")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            FIELDS,
        ]),
    Spec::new("hpttl", -5, READONLY | FAST, Group::Hash, hpttl)
        .docs("Returns in how many milliseconds fields of a hash expire.", "7.4.0", "O(N) where N is the number of specified fields")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .tips(&["nondeterministic_output"])
        .args(&[
            Arg::key("key"),
            FIELDS,
        ]),
    Spec::new("hrandfield", -2, READONLY, Group::Hash, hrandfield)
        .docs("Returns fields chosen by chance.", "6.2.0", "O(N) where N is the number of fields returned")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .tips(&["nondeterministic_output"])
        .args(&[
            Arg::key("key"),
            Arg::block("options", &[
                Arg::integer("count"),
                Arg::word("withvalues", "WITHVALUES").optional(),
            ]).optional(),
        ]),
    Spec::new("hscan", -3, READONLY, Group::Hash, hscan)
        .docs("Goes through the fields of a hash step by step.", "2.8.0", "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .tips(&["nondeterministic_output"])
        .args(&[
            Arg::key("key"),
            Arg::integer("cursor"),
            Arg::new("pattern", ArgKind::Pattern).token("MATCH").optional(),
            Arg::integer("count").token("COUNT").optional(),
            Arg::word("novalues", "NOVALUES").optional(),
        ]),
    Spec::new("hset", -4, WRITE | DENYOOM | FAST, Group::Hash, hset)
        .docs("Sets fields of a hash; a missing key starts as the empty hash.", "2.0.0", "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called with multiple field/value pairs.")
        .keys(&[KeySpec::one(1, &["RW", "update"])])
        .args(&[
            Arg::key("key"),
            FIELD_VALUES,
        ]),
    Spec::new("hsetex", -6, WRITE | DENYOOM | FAST, Group::Hash, hsetex)
        .docs("Sets fields of a hash and when they expire.", "8.0.0", "O(N) where N is the number of fields being set.")
        .keys(&[KeySpec::one(1, &["RW", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::one_of("condition", &[
                Arg::word("fnx", "FNX"),
                Arg::word("fxx", "FXX"),
            ]).optional(),
            Arg::one_of("expiration", &[
                Arg::integer("seconds").token("EX"),
                Arg::integer("milliseconds").token("PX"),
                Arg::new("unix-time-seconds", ArgKind::UnixTime).token("EXAT"),
                Arg::new("unix-time-milliseconds", ArgKind::UnixTime).token("PXAT"),
                Arg::word("keepttl", "KEEPTTL"),
            ]).optional(),
            Arg::block("fields", &[
                Arg::integer("numfields"),
                FIELD_VALUES,
            ]).token("FIELDS"),
        ]),
    Spec::new("hsetnx", 4, WRITE | DENYOOM | FAST, Group::Hash, hsetnx)
        .docs("Sets a field of a hash if it is missing.", "2.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "insert"])])
        .args(&[
            Arg::key("key"),
            Arg::string("field"),
            Arg::string("value"),
        ]),
    Spec::new("hstrlen", 3, READONLY | FAST, Group::Hash, hstrlen)
        .docs("Returns the length of a field's value in bytes.", "3.2.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RO"])])
        .args(&[
            Arg::key("key"),
            Arg::string("field"),
        ]),
    Spec::new("httl", -5, READONLY | FAST, Group::Hash, httl)
        .docs("Returns in how many seconds fields of a hash expire.", "7.4.0", "O(N) where N is the number of specified fields")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .tips(&["nondeterministic_output"])
        .args(&[
            Arg::key("key"),
            FIELDS,
        ]),
    Spec::new("hvals", 2, READONLY, Group::Hash, hvals)
        .docs("Returns the values of all fields of a hash.", "2.0.0", "O(N) where N is the size of the hash.")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .tips(&["nondeterministic_output_order"])
        .args(&[
            Arg::key("key"),
        ]),
];
