//! Strings: the family that the others follow. A handler parses its options into a type, applies one operation, answers.

use store::entry::Entry;
use store::value::Str;

use crate::args::{Args, OwnedArgs};
use crate::call::Call;
use crate::effect::{Class, Effect};
use crate::error::{Error, NOT_FLOAT, NOT_INTEGER, Result, STRING_TOO_LONG, SYNTAX, WRONG_TYPE};
use crate::expiry::{self, Unit};
use crate::keys::Keys;
use crate::longdouble::LongDouble;
use crate::number;
use crate::spec::common::EXPIRATION;
use crate::spec::flag::*;
use crate::spec::{Arg, ArgKind, Group, KeySpec, Spec};

pub(crate) mod compare;
mod lcs;
pub(crate) mod msetex;

use compare::Comparison;
use lcs::lcs;

fn get(call: &mut Call<'_>) -> Result<Effect> {
    match call.keys.string(call.args.get(1))? {
        Some(value) => call.out.string(value),
        None => call.out.null(),
    }
    Ok(Effect::None)
}

/// When SET writes at all.
#[derive(Clone, Copy)]
enum Condition<'a> {
    Always,
    IfMissing,
    IfPresent,
    If(Comparison<'a>),
}

/// What SET does with the key's expiry.
#[derive(Clone, Copy)]
enum Ttl {
    Discard,
    Keep,
    At(i64),
}

struct SetOptions<'a> {
    condition: Condition<'a>,
    ttl: Ttl,
    /// Answer with the string before.
    get: bool,
}

impl<'a> SetOptions<'a> {
    /// Reads the options from an argument on. MSETEX has no use for those that look at one string (`on_value`).
    fn parse(call: &Call<'a>, mut index: usize, on_value: bool) -> Result<Self> {
        let mut options = Self { condition: Condition::Always, ttl: Ttl::Discard, get: false };
        let (mut expiration, mut keep) = (None, false);
        while index < call.args.len() {
            let is = |word| call.args.is(index, word);
            if is("NX") && matches!(options.condition, Condition::Always | Condition::IfMissing) {
                options.condition = Condition::IfMissing;
            } else if is("XX") && matches!(options.condition, Condition::Always | Condition::IfPresent) {
                options.condition = Condition::IfPresent;
            } else if is("GET") && on_value {
                options.get = true;
            } else if is("KEEPTTL") && expiration.is_none() {
                keep = true;
            } else if let Some(unit) = Unit::option(call.arg(index))
                && expiration.is_none_or(|(before, _)| before == unit)
                && !keep
                && let Some(amount) = call.args.opt(index + 1)
            {
                expiration = Some((unit, amount));
                index += 1;
            } else if let Some(operand) = call.args.opt(index + 1)
                && let Some(comparison) = Comparison::parse(call.arg(index), operand)
                && matches!(options.condition, Condition::Always)
                && on_value
            {
                options.condition = Condition::If(comparison);
                index += 1;
            } else {
                return Err(SYNTAX);
            }
            index += 1;
        }
        if let Some((unit, amount)) = expiration {
            options.ttl = Ttl::At(expiry::deadline(call.spec, call.keys.now_ms, unit, amount)?);
        } else if keep {
            options.ttl = Ttl::Keep;
        }
        Ok(options)
    }
}

fn set(call: &mut Call<'_>) -> Result<Effect> {
    let options = if call.args.len() == 3 {
        SetOptions { condition: Condition::Always, ttl: Ttl::Discard, get: false }
    } else {
        SetOptions::parse(call, 3, true)?
    };
    apply_set(call, call.args.get(1), call.args.get(2), &options)
}

/// SET and its old relatives; answers for all of them but SETNX.
fn apply_set(call: &mut Call<'_>, key: &[u8], value: &[u8], options: &SetOptions<'_>) -> Result<Effect> {
    let judges = options.get || !matches!(options.condition, Condition::Always);
    let fits = !judges || judge(call, key, options)?;
    if !options.get {
        if fits { call.out.ok() } else { call.out.null() }
    }
    if !fits {
        return Ok(Effect::None);
    }
    if let Ttl::At(deadline) = options.ttl
        && deadline <= call.keys.judged_ms()
    {
        return Ok(expiry::set_in_the_past(&mut call.keys, key));
    }
    put_string(&mut call.keys, key, value, options.ttl);
    Ok(match (options.ttl, options.condition) {
        // What compared once need not compare again where the effect is applied.
        (Ttl::At(_), _) | (_, Condition::If(_)) => Effect::Rewritten(vec![log_of_set(key, value, options.ttl)]),
        _ if options.get => Effect::Rewritten(vec![without_get(call.args)]),
        _ => Effect::AsIs,
    })
}

/// Whether what the key holds lets it be set; answers GET.
fn judge(call: &mut Call<'_>, key: &[u8], options: &SetOptions<'_>) -> Result<bool> {
    let existing = if options.get { call.keys.read_to_write(key) } else { call.keys.write(key) };
    if options.get {
        match existing.as_ref().map(|entry| entry.as_str()) {
            None => call.out.null(),
            Some(None) => return Err(WRONG_TYPE),
            Some(Some(before)) => call.out.string(before),
        }
    }
    match (options.condition, existing) {
        (Condition::Always, _) => Ok(true),
        (Condition::IfMissing, existing) => Ok(existing.is_none()),
        (Condition::IfPresent, existing) => Ok(existing.is_some()),
        (Condition::If(comparison), None) => Ok(comparison.fits_nothing()),
        (Condition::If(comparison), Some(entry)) => comparison.fits(entry.as_str().ok_or(WRONG_TYPE)?),
    }
}

/// Sets a string, whatever the key held before, and notes the change.
fn put_string(keys: &mut Keys<'_>, key: &[u8], value: &[u8], ttl: Ttl) {
    let existing = keys.write(key);
    let expiry = match ttl {
        Ttl::Discard => None,
        Ttl::Keep => existing.as_ref().and_then(|entry| entry.expiry()),
        Ttl::At(deadline) => Some(deadline),
    };
    match existing {
        // A string is overwritten in place where it fits; any other value is put aside, to be freed after the guard.
        Some(mut entry) if entry.as_str().is_some() => entry.set_string(value, expiry),
        _ => keys.put(key, Entry::string(key, value, expiry)),
    }
    keys.changed(key, Class::STRING, "set");
    if let Ttl::At(_) = ttl {
        keys.event(key, Class::GENERIC, "expire");
    }
}

/// The SET that has this effect.
fn log_of_set(key: &[u8], value: &[u8], ttl: Ttl) -> OwnedArgs {
    let mut args: OwnedArgs = [b"SET", key, value].into_iter().collect();
    match ttl {
        Ttl::Discard => {}
        Ttl::Keep => args.push(b"KEEPTTL"),
        Ttl::At(deadline) => {
            args.push(b"PXAT");
            args.push(deadline.to_string().as_bytes());
        }
    }
    args
}

/// The command without its GET, which has no effect where nobody reads the reply.
fn without_get(args: Args<'_>) -> OwnedArgs {
    let keep = |&(index, arg): &(usize, &[u8])| index < 3 || !arg.eq_ignore_ascii_case(b"GET");
    args.from(0).enumerate().filter(keep).map(|(_, arg)| arg).collect()
}

fn setnx(call: &mut Call<'_>) -> Result<Effect> {
    let (key, value) = (call.arg(1), call.arg(2));
    let missing = call.keys.write(key).is_none();
    if missing {
        call.keys.insert(key, Entry::string(key, value, None));
        call.keys.changed(key, Class::STRING, "set");
    }
    call.out.flag(missing);
    Ok(Effect::as_is_if(missing))
}

fn setex(call: &mut Call<'_>) -> Result<Effect> {
    set_with_expiry(call, Unit::Seconds)
}

fn psetex(call: &mut Call<'_>) -> Result<Effect> {
    set_with_expiry(call, Unit::Milliseconds)
}

fn set_with_expiry(call: &mut Call<'_>, unit: Unit) -> Result<Effect> {
    let deadline = expiry::deadline(call.spec, call.keys.now_ms, unit, call.arg(2))?;
    let options = SetOptions { condition: Condition::Always, ttl: Ttl::At(deadline), get: false };
    apply_set(call, call.args.get(1), call.args.get(3), &options)
}

fn getset(call: &mut Call<'_>) -> Result<Effect> {
    let options = SetOptions { condition: Condition::Always, ttl: Ttl::Discard, get: true };
    let (key, value) = (call.arg(1), call.arg(2));
    // The log must not carry GETSET's own form: what it sets is all that matters.
    apply_set(call, key, value, &options).map(|_| Effect::rewritten([b"SET", key, value]))
}

fn getdel(call: &mut Call<'_>) -> Result<Effect> {
    let key = call.arg(1);
    match call.keys.read_to_write(key) {
        None => {
            call.out.null();
            return Ok(Effect::None);
        }
        Some(entry) => call.out.string(entry.as_str().ok_or(WRONG_TYPE)?),
    }
    call.keys.delete(key);
    call.keys.changed(key, Class::GENERIC, "del");
    Ok(Effect::rewritten([b"DEL", key]))
}

/// What GETEX does with the expiry.
enum GetExTtl<'a> {
    Leave,
    Persist,
    At(Unit, &'a [u8]),
}

impl<'a> GetExTtl<'a> {
    /// A unit may be named again, and then the last amount counts; another unit may not follow.
    fn parse(args: Args<'a>) -> Result<Self> {
        let mut ttl = Self::Leave;
        let mut index = 2;
        while index < args.len() {
            let unit = Unit::option(args.get(index));
            ttl = match (&ttl, unit, args.opt(index + 1)) {
                (Self::Leave | Self::Persist, _, _) if args.is(index, "PERSIST") => Self::Persist,
                (Self::Leave, Some(unit), Some(amount)) => Self::At(unit, amount),
                (Self::At(before, _), Some(unit), Some(amount)) if *before == unit => Self::At(unit, amount),
                _ => return Err(SYNTAX),
            };
            index += if matches!(ttl, Self::At(..)) { 2 } else { 1 };
        }
        Ok(ttl)
    }
}

fn getex(call: &mut Call<'_>) -> Result<Effect> {
    let ttl = GetExTtl::parse(call.args)?;
    let (spec, key, now_ms, judged_ms) = (call.spec, call.arg(1), call.keys.now_ms, call.keys.judged_ms());
    let Some(mut entry) = call.keys.read_to_write(key) else {
        call.out.null();
        return Ok(Effect::None);
    };
    let value = entry.as_str().ok_or(WRONG_TYPE)?;
    // The amount is judged only now: without a string even a bad one is not looked at.
    let deadline = match ttl {
        GetExTtl::At(unit, amount) => Some(expiry::deadline(spec, now_ms, unit, amount)?),
        GetExTtl::Leave | GetExTtl::Persist => None,
    };
    call.out.string(value);
    match (deadline, ttl) {
        (Some(deadline), _) if deadline <= judged_ms => Ok(expiry::set_in_the_past(&mut call.keys, key)),
        (Some(deadline), _) => {
            entry.set_expiry(Some(deadline));
            call.keys.changed(key, Class::GENERIC, "expire");
            Ok(Effect::rewritten([b"PEXPIREAT", key, deadline.to_string().as_bytes()]))
        }
        (None, GetExTtl::Persist) if entry.expiry().is_some() => {
            entry.set_expiry(None);
            call.keys.changed(key, Class::GENERIC, "persist");
            Ok(Effect::rewritten([b"PERSIST", key]))
        }
        (None, _) => Ok(Effect::None),
    }
}

fn mget(call: &mut Call<'_>) -> Result<Effect> {
    call.out.array(call.args.len() - 1);
    for key in call.args.from(1) {
        match call.keys.read(key).and_then(Entry::as_str) {
            Some(value) => call.out.string(value),
            None => call.out.null(),
        }
    }
    Ok(Effect::None)
}

fn mset(call: &mut Call<'_>) -> Result<Effect> {
    if call.args.len().is_multiple_of(2) {
        return Err(call.wrong_arity());
    }
    set_all(call);
    call.out.ok();
    Ok(Effect::AsIs)
}

fn msetnx(call: &mut Call<'_>) -> Result<Effect> {
    if call.args.len().is_multiple_of(2) {
        return Err(call.wrong_arity());
    }
    let free = call.args.from(1).step_by(2).all(|key| call.keys.write(key).is_none());
    if free {
        set_all(call);
    }
    call.out.flag(free);
    Ok(Effect::as_is_if(free))
}

fn set_all(call: &mut Call<'_>) {
    let args = call.args;
    for (key, value) in args.from(1).step_by(2).zip(args.from(2).step_by(2)) {
        put_string(&mut call.keys, key, value, Ttl::Discard);
    }
}

fn append(call: &mut Call<'_>) -> Result<Effect> {
    let (key, suffix) = (call.arg(1), call.arg(2));
    let limit = call.env.string_len_max();
    let len = match call.keys.write(key) {
        None => {
            call.keys.insert(key, Entry::string(key, suffix, None));
            suffix.len()
        }
        Some(mut entry) => {
            let before = entry.as_str().ok_or(WRONG_TYPE)?.len();
            let len = before + suffix.len();
            if len as u64 > limit {
                return Err(STRING_TOO_LONG);
            }
            entry.string_mut(len).ok_or(WRONG_TYPE)?[before..].copy_from_slice(suffix);
            len
        }
    };
    call.keys.changed(key, Class::STRING, "append");
    call.out.len(len);
    Ok(Effect::AsIs)
}

fn strlen(call: &mut Call<'_>) -> Result<Effect> {
    let len = call.keys.string(call.args.get(1))?.map_or(0, |value| value.len());
    call.out.len(len);
    Ok(Effect::None)
}

fn setrange(call: &mut Call<'_>) -> Result<Effect> {
    let (key, patch) = (call.arg(1), call.arg(3));
    let offset = usize::try_from(call.int(2)?).map_err(|_| crate::error::OFFSET_OUT_OF_RANGE)?;
    let limit = call.env.string_len_max();
    let too_long = (offset as u64).saturating_add(patch.len() as u64) > limit;
    let end = offset.saturating_add(patch.len());
    let len = match call.keys.write(key) {
        None if patch.is_empty() => 0,
        None if too_long => return Err(STRING_TOO_LONG),
        None => {
            call.keys.insert(key, Entry::raw_string(key, b"", None));
            let mut entry = call.keys.write(key).expect("inserted just now");
            // Grown from nothing, so that its encoding is `raw` as after every SETRANGE.
            entry.string_mut(end).ok_or(WRONG_TYPE)?[offset..].copy_from_slice(patch);
            end
        }
        Some(mut entry) => {
            let before = entry.as_str().ok_or(WRONG_TYPE)?.len();
            if patch.is_empty() {
                call.out.len(before);
                return Ok(Effect::None);
            }
            if too_long {
                return Err(STRING_TOO_LONG);
            }
            entry.string_mut(end).ok_or(WRONG_TYPE)?[offset..end].copy_from_slice(patch);
            before.max(end)
        }
    };
    call.out.len(len);
    if patch.is_empty() {
        return Ok(Effect::None);
    }
    call.keys.changed(key, Class::STRING, "setrange");
    Ok(Effect::AsIs)
}

fn getrange(call: &mut Call<'_>) -> Result<Effect> {
    let (start, end) = (call.int(2)?, call.int(3)?);
    let value = call.keys.string(call.args.get(1))?.unwrap_or(Str::Bytes(b""));
    let bytes = value.bytes();
    call.out.bulk(part(&bytes, start, end));
    Ok(Effect::None)
}

/// The bytes from `start` to `end` inclusive; negative numbers count from the end.
fn part(bytes: &[u8], start: i64, end: i64) -> &[u8] {
    let len = bytes.len() as i64;
    if start < 0 && end < 0 && start > end {
        return b"";
    }
    let from_end = |index: i64| if index < 0 { (len + index).max(0) } else { index };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    if len == 0 || start > end { b"" } else { &bytes[start as usize..=end as usize] }
}

fn incr(call: &mut Call<'_>) -> Result<Effect> {
    add(call, 1)
}

fn decr(call: &mut Call<'_>) -> Result<Effect> {
    add(call, -1)
}

fn incrby(call: &mut Call<'_>) -> Result<Effect> {
    add(call, call.int(2)?)
}

fn decrby(call: &mut Call<'_>) -> Result<Effect> {
    let amount = call.int(2)?.checked_neg().ok_or_else(|| Error::new("ERR decrement would overflow"))?;
    add(call, amount)
}

fn add(call: &mut Call<'_>, amount: i64) -> Result<Effect> {
    let key = call.arg(1);
    let sum = match call.keys.write(key) {
        None => {
            call.keys.insert(key, Entry::int(key, amount, None));
            amount
        }
        Some(mut entry) => {
            let before = integer(entry.as_str().ok_or(WRONG_TYPE)?)?;
            let sum = before.checked_add(amount).ok_or(crate::error::OVERFLOW)?;
            entry.set_int(sum);
            sum
        }
    };
    call.keys.changed(key, Class::STRING, "incrby");
    call.out.int(sum);
    Ok(Effect::AsIs)
}

fn integer(value: Str<'_>) -> Result<i64> {
    match value {
        Str::Int(int) => Ok(int),
        other => number::parse_i64(&other.bytes()).ok_or(NOT_INTEGER),
    }
}

fn incrbyfloat(call: &mut Call<'_>) -> Result<Effect> {
    let key = call.arg(1);
    let existing = call.keys.write(key);
    let before = match &existing {
        None => LongDouble::ZERO,
        Some(entry) => LongDouble::parse(&entry.as_str().ok_or(WRONG_TYPE)?.bytes()).ok_or(NOT_FLOAT)?,
    };
    let amount = LongDouble::parse(call.args.get(2)).ok_or(NOT_FLOAT)?;
    let sum = before.add(amount);
    if !sum.is_finite() {
        return Err(crate::error::NAN_OR_INFINITY);
    }
    let mut text = Vec::with_capacity(40);
    sum.write_human(&mut text);
    match existing {
        Some(mut entry) => {
            let expiry = entry.expiry();
            // Never an integer inside, even if it looks like one.
            entry.replace_with(Entry::raw_string(key, &text, expiry));
        }
        None => call.keys.insert(key, Entry::raw_string(key, &text, None)),
    }
    call.keys.changed(key, Class::STRING, "incrbyfloat");
    call.out.bulk(&text);
    // Arithmetic differs between machines; what it gave does not.
    Ok(Effect::rewritten([b"SET", key, &text[..], b"KEEPTTL"]))
}

const KEY_VALUES: Arg = Arg::block("data", &[Arg::key("key"), Arg::string("value")]).multiple();

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("append", 3, WRITE | DENYOOM | FAST, Group::String, append)
        .docs("Adds bytes to the end of a string; a missing key starts as the empty string.", "2.0.0", "O(1). The amortized time complexity is O(1) assuming the appended value is small and the already present value is of any size, since the dynamic string library used by Redis will double the free space available on every reallocation.")
        .keys(&[KeySpec::one(1, &["RW", "insert"])])
        .args(&[
            Arg::key("key"),
            Arg::string("value"),
        ]),
    Spec::new("decr", 2, WRITE | DENYOOM | FAST, Group::String, decr)
        .docs("Subtracts one from an integer; a missing key counts as 0.", "1.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "access", "update"])])
        .args(&[
            Arg::key("key"),
        ]),
    Spec::new("decrby", 3, WRITE | DENYOOM | FAST, Group::String, decrby)
        .docs("Subtracts a number from an integer; a missing key counts as 0.", "1.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "access", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("decrement"),
        ]),
    Spec::new("get", 2, READONLY | FAST, Group::String, get)
        .docs("Returns a string.", "1.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
        ]),
    Spec::new("getdel", 2, WRITE | FAST | WHOLE, Group::String, getdel)
        .docs("Returns a string and deletes its key.", "6.2.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "access", "delete"])])
        .args(&[
            Arg::key("key"),
        ]),
    Spec::new("getex", -2, WRITE | FAST | WHOLE, Group::String, getex)
        .docs("Returns a string and sets or removes the expiry of its key.", "6.2.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "access", "update"]).notes("RW and UPDATE because it changes the TTL")])
        .args(&[
            Arg::key("key"),
            EXPIRATION,
        ]),
    Spec::new("getrange", 4, READONLY, Group::String, getrange)
        .docs("Returns a part of a string, by first and last byte.", "2.4.0", "O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("start"),
            Arg::integer("end"),
        ]),
    Spec::new("getset", 3, WRITE | DENYOOM | FAST | WHOLE, Group::String, getset)
        .docs("Sets a string and returns the one before.", "1.0.0", "O(1)")
        .deprecated("6.2.0", "`SET` with the `!GET` argument")
        .keys(&[KeySpec::one(1, &["RW", "access", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::string("value"),
        ]),
    Spec::new("incr", 2, WRITE | DENYOOM | FAST, Group::String, incr)
        .docs("Adds one to an integer; a missing key counts as 0.", "1.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "access", "update"])])
        .args(&[
            Arg::key("key"),
        ]),
    Spec::new("incrby", 3, WRITE | DENYOOM | FAST, Group::String, incrby)
        .docs("Adds a number to an integer; a missing key counts as 0.", "1.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "access", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("increment"),
        ]),
    Spec::new("incrbyfloat", 3, WRITE | DENYOOM | FAST, Group::String, incrbyfloat)
        .docs("Adds a number with a fraction to a number; a missing key counts as 0.", "2.6.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "access", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::double("increment"),
        ]),
    Spec::new("lcs", -3, READONLY, Group::String, lcs)
        .docs("Finds the longest common subsequence of two strings.", "7.0.0", "O(N*M) where N and M are the lengths of s1 and s2, respectively")
        .keys(&[KeySpec::range(1, 1, 1, &["RO", "access"])])
        .args(&[
            Arg::key("key1"),
            Arg::key("key2"),
            Arg::word("len", "LEN").optional(),
            Arg::word("idx", "IDX").optional(),
            Arg::integer("min-match-len").token("MINMATCHLEN").optional(),
            Arg::word("withmatchlen", "WITHMATCHLEN").optional(),
        ]),
    Spec::new("mget", -2, READONLY | FAST, Group::String, mget)
        .docs("Returns the strings of several keys.", "1.0.0", "O(N) where N is the number of keys to retrieve.")
        .keys(&[KeySpec::range(1, -1, 1, &["RO", "access"])])
        .tips(&["request_policy:multi_shard"])
        .args(&[
            Arg::key("key").multiple(),
        ]),
    Spec::new("mset", -3, WRITE | DENYOOM, Group::String, mset)
        .docs("Sets several strings at once.", "1.0.1", "O(N) where N is the number of keys to set.")
        .keys(&[KeySpec::range(1, -1, 2, &["OW", "update"])])
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .args(&[
            KEY_VALUES,
        ]),
    Spec::new("msetnx", -3, WRITE | DENYOOM, Group::String, msetnx)
        .docs("Sets several strings at once, but only if none of the keys exists.", "1.0.1", "O(N) where N is the number of keys to set.")
        .keys(&[KeySpec::range(1, -1, 2, &["OW", "insert"])])
        .args(&[
            KEY_VALUES,
        ]),
    Spec::new("psetex", 4, WRITE | DENYOOM, Group::String, psetex)
        .docs("Sets a string that expires after some milliseconds.", "2.6.0", "O(1)")
        .deprecated("2.6.12", "`SET` with the `PX` argument")
        .keys(&[KeySpec::one(1, &["OW", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("milliseconds"),
            Arg::string("value"),
        ]),
    Spec::new("set", -3, WRITE | DENYOOM | WHOLE, Group::String, set)
        .docs("Sets a string, whatever the key held before.", "1.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "access", "update", "variable_flags"]).notes("RW and ACCESS due to the optional `GET` argument")])
        .finder(crate::finders::set)
        .args(&[
            Arg::key("key"),
            Arg::string("value"),
            Arg::one_of("condition", &[
                Arg::word("nx", "NX"),
                Arg::word("xx", "XX"),
                compare::COMPARISONS[0].since("8.4.0"),
                compare::COMPARISONS[1].since("8.4.0"),
                compare::COMPARISONS[2].since("8.4.0"),
                compare::COMPARISONS[3].since("8.4.0"),
            ]).optional().since("2.6.12"),
            Arg::word("get", "GET").optional().since("6.2.0"),
            Arg::one_of("expiration", &[
                Arg::integer("seconds").token("EX").since("2.6.12"),
                Arg::integer("milliseconds").token("PX").since("2.6.12"),
                Arg::new("unix-time-seconds", ArgKind::UnixTime).token("EXAT").since("6.2.0"),
                Arg::new("unix-time-milliseconds", ArgKind::UnixTime).token("PXAT").since("6.2.0"),
                Arg::word("keepttl", "KEEPTTL").since("6.0.0"),
            ]).optional(),
        ]),
    Spec::new("setex", 4, WRITE | DENYOOM, Group::String, setex)
        .docs("Sets a string that expires after some seconds.", "2.0.0", "O(1)")
        .deprecated("2.6.12", "`SET` with the `EX` argument")
        .keys(&[KeySpec::one(1, &["OW", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("seconds"),
            Arg::string("value"),
        ]),
    Spec::new("setnx", 3, WRITE | DENYOOM | FAST, Group::String, setnx)
        .docs("Sets a string if its key does not exist.", "1.0.0", "O(1)")
        .deprecated("2.6.12", "`SET` with the `NX` argument")
        .keys(&[KeySpec::one(1, &["OW", "insert"])])
        .args(&[
            Arg::key("key"),
            Arg::string("value"),
        ]),
    Spec::new("setrange", 4, WRITE | DENYOOM, Group::String, setrange)
        .docs("Overwrites a part of a string from an offset on, padding with zero bytes.", "2.2.0", "O(1), not counting the time taken to copy the new string in place. Usually, this string is very small so the amortized complexity is O(1). Otherwise, complexity is O(M) with M being the length of the value argument.")
        .keys(&[KeySpec::one(1, &["RW", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("offset"),
            Arg::string("value"),
        ]),
    Spec::new("strlen", 2, READONLY | FAST, Group::String, strlen)
        .docs("Returns the length of a string in bytes.", "2.2.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RO"])])
        .args(&[
            Arg::key("key"),
        ]),
    Spec::new("substr", 4, READONLY, Group::String, getrange)
        .docs("Returns a part of a string; an older name of GETRANGE.", "1.0.0", "O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.")
        .deprecated("2.0.0", "`GETRANGE`")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("start"),
            Arg::integer("end"),
        ]),
];

#[cfg(test)]
mod tests;
