//! The expiry of keys: set it, remove it, ask for it.
//!
//! Whatever form a deadline has when it comes, absolute milliseconds are kept and logged, so that a log that is applied
//! later, or elsewhere, ends in the same deadlines.

use crate::args::Args;
use crate::call::Call;
use crate::effect::{Class, Effect};
use crate::error::{Error, Result};
use crate::expiry::{self, Unit};
use crate::spec::common::CONDITION;
use crate::spec::flag::*;
use crate::spec::{Arg, ArgKind, Group, KeySpec, Spec};

/// When EXPIRE and its like set the deadline at all.
#[derive(Clone, Copy, Default)]
struct Condition {
    /// `NX`: only if there is none.
    none_yet: bool,
    /// `XX`: only if there is one.
    exists: bool,
    /// `GT`: only if the new one is later; having none is later than all.
    later: bool,
    /// `LT`: only if the new one is earlier.
    earlier: bool,
}

impl Condition {
    fn parse(args: Args<'_>) -> Result<Self> {
        let mut condition = Self::default();
        for word in args.from(3) {
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            match () {
                () if is(b"NX") => condition.none_yet = true,
                () if is(b"XX") => condition.exists = true,
                () if is(b"GT") => condition.later = true,
                () if is(b"LT") => condition.earlier = true,
                () => return Err(Error::new(format!("ERR Unsupported option {}", String::from_utf8_lossy(word)))),
            }
        }
        if condition.none_yet && (condition.exists || condition.later || condition.earlier) {
            return Err(Error::new("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if condition.later && condition.earlier {
            return Err(Error::new("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(condition)
    }

    fn allows(self, current: Option<i64>, deadline: i64) -> bool {
        let refused = (self.none_yet && current.is_some())
            || (self.exists && current.is_none())
            || (self.later && current.is_none_or(|current| deadline <= current))
            || (self.earlier && current.is_some_and(|current| deadline >= current));
        !refused
    }
}

fn expire(call: &mut Call<'_>) -> Result<Effect> {
    set_deadline(call, Unit::Seconds)
}

fn pexpire(call: &mut Call<'_>) -> Result<Effect> {
    set_deadline(call, Unit::Milliseconds)
}

fn expireat(call: &mut Call<'_>) -> Result<Effect> {
    set_deadline(call, Unit::UnixSeconds)
}

fn pexpireat(call: &mut Call<'_>) -> Result<Effect> {
    set_deadline(call, Unit::UnixMilliseconds)
}

fn set_deadline(call: &mut Call<'_>, unit: Unit) -> Result<Effect> {
    let (key, now_ms, judged_ms) = (call.args.get(1), call.keys.now_ms, call.keys.judged_ms());
    let condition = Condition::parse(call.args)?;
    // Other than with SET, a deadline in the past is no error: it deletes.
    let deadline = unit.to_deadline(call.int(2)?, now_ms);
    let deadline = deadline.ok_or_else(|| Error::expire_time(call.spec.full_name))?;
    let entry = call.keys.write(key).filter(|entry| condition.allows(entry.expiry(), deadline));
    call.out.flag(entry.is_some());
    let Some(mut entry) = entry else { return Ok(Effect::None) };
    if deadline <= judged_ms {
        return Ok(expiry::set_in_the_past(&mut call.keys, key));
    }
    entry.set_expiry(Some(deadline));
    call.keys.changed(key, Class::GENERIC, "expire");
    Ok(Effect::rewritten([b"PEXPIREAT", key, deadline.to_string().as_bytes()]))
}

fn persist(call: &mut Call<'_>) -> Result<Effect> {
    let key = call.args.get(1);
    let entry = call.keys.write(key).filter(|entry| entry.expiry().is_some());
    call.out.flag(entry.is_some());
    let Some(mut entry) = entry else { return Ok(Effect::None) };
    entry.set_expiry(None);
    call.keys.changed(key, Class::GENERIC, "persist");
    Ok(Effect::AsIs)
}

fn ttl(call: &mut Call<'_>) -> Result<Effect> {
    answer(call, |deadline, now_ms| seconds(deadline - now_ms))
}

fn pttl(call: &mut Call<'_>) -> Result<Effect> {
    answer(call, |deadline, now_ms| deadline - now_ms)
}

fn expiretime(call: &mut Call<'_>) -> Result<Effect> {
    answer(call, |deadline, _| seconds(deadline))
}

fn pexpiretime(call: &mut Call<'_>) -> Result<Effect> {
    answer(call, |deadline, _| deadline)
}

/// Answers with what `form` makes of the deadline and the time; -1 if there is no deadline, -2 if there is no key.
fn answer(call: &mut Call<'_>, form: fn(i64, i64) -> i64) -> Result<Effect> {
    let now_ms = call.keys.now_ms;
    let answer = match call.keys.look(call.args.get(1)) {
        None => -2,
        // A key that is seen at all has not expired, so what is left is above 0; but who applies a log sees any key.
        Some(entry) => entry.expiry().map_or(-1, |deadline| form(deadline, now_ms).max(0)),
    };
    call.out.int(answer);
    Ok(Effect::None)
}

/// To the nearest second; the half goes up, also where the sum does not fit a signed number.
fn seconds(millis: i64) -> i64 {
    (millis.max(0).unsigned_abs().wrapping_add(500) / 1000) as i64
}

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("expire", -3, WRITE | FAST | WHOLE, Group::Generic, expire)
        .docs("Lets a key expire after some seconds.", "1.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "update"])])
        .args(&[Arg::key("key"), Arg::integer("seconds"), CONDITION.since("7.0.0")]),
    Spec::new("expireat", -3, WRITE | FAST | WHOLE, Group::Generic, expireat)
        .docs("Lets a key expire at a Unix time in seconds.", "1.2.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "update"])])
        .args(&[Arg::key("key"), Arg::new("unix-time-seconds", ArgKind::UnixTime), CONDITION.since("7.0.0")]),
    Spec::new("expiretime", 2, READONLY | FAST, Group::Generic, expiretime)
        .docs("Returns the Unix time in seconds at which a key expires.", "7.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[Arg::key("key")]),
    Spec::new("persist", 2, WRITE | FAST | WHOLE, Group::Generic, persist)
        .docs("Takes the expiry from a key.", "2.2.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "update"])])
        .args(&[Arg::key("key")]),
    Spec::new("pexpire", -3, WRITE | FAST | WHOLE, Group::Generic, pexpire)
        .docs("Lets a key expire after some milliseconds.", "2.6.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "update"])])
        .args(&[Arg::key("key"), Arg::integer("milliseconds"), CONDITION.since("7.0.0")]),
    Spec::new("pexpireat", -3, WRITE | FAST | WHOLE, Group::Generic, pexpireat)
        .docs("Lets a key expire at a Unix time in milliseconds.", "2.6.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "update"])])
        .args(&[Arg::key("key"), Arg::new("unix-time-milliseconds", ArgKind::UnixTime), CONDITION.since("7.0.0")]),
    Spec::new("pexpiretime", 2, READONLY | FAST, Group::Generic, pexpiretime)
        .docs("Returns the Unix time in milliseconds at which a key expires.", "7.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[Arg::key("key")]),
    Spec::new("pttl", 2, READONLY | FAST, Group::Generic, pttl)
        .docs("Returns the milliseconds until a key expires.", "2.6.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .tips(&["nondeterministic_output"])
        .args(&[Arg::key("key")]),
    Spec::new("ttl", 2, READONLY | FAST, Group::Generic, ttl)
        .docs("Returns the seconds until a key expires.", "1.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .tips(&["nondeterministic_output"])
        .args(&[Arg::key("key")]),
];

#[cfg(test)]
mod tests;
