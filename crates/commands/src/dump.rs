//! DUMP and RESTORE: a value out of the server and into another one, in the form that RDB files hold it.

use std::sync::atomic::Ordering::Relaxed;

use rdb::payload;
use store::entry::Entry;

use crate::args::OwnedArgs;
use crate::call::Call;
use crate::effect::{Class, Effect};
use crate::error::{Error, NOT_INTEGER, Result, SYNTAX};
use crate::expiry;
use crate::number;
use crate::spec::flag::*;
use crate::spec::{Arg, Group, KeySpec, Spec};

fn dump(call: &mut Call<'_>) -> Result<Effect> {
    match call.keys.read(call.args.get(1)) {
        Some(entry) => call.out.bulk(&payload::dump(entry)),
        None => call.out.null(),
    }
    Ok(Effect::None)
}

/// How the restored value's last access is told.
#[derive(Clone, Copy)]
enum Use {
    /// It is used now.
    Now,
    /// So many seconds ago.
    IdleSeconds(u64),
    /// So often, on the scale of OBJECT FREQ.
    Frequency(u8),
}

struct RestoreOptions {
    replace: bool,
    /// Whether the deadline is absolute.
    absolute: bool,
    last_use: Use,
}

impl RestoreOptions {
    fn parse(call: &Call<'_>) -> Result<Self> {
        let mut options = Self { replace: false, absolute: false, last_use: Use::Now };
        let mut index = 4;
        while index < call.args.len() {
            let is = |word| call.args.is(index, word);
            let operand = call.args.opt(index + 1);
            if is("REPLACE") {
                options.replace = true;
            } else if is("ABSTTL") {
                options.absolute = true;
            } else if is("IDLETIME")
                && let Some(operand) = operand
                && !matches!(options.last_use, Use::Frequency(_))
            {
                options.last_use = Use::IdleSeconds(idle_seconds(operand)?);
                index += 1;
            } else if is("FREQ")
                && let Some(operand) = operand
                && !matches!(options.last_use, Use::IdleSeconds(_))
            {
                options.last_use = Use::Frequency(frequency(operand)?);
                index += 1;
            } else {
                return Err(SYNTAX);
            }
            index += 1;
        }
        Ok(options)
    }
}

fn idle_seconds(operand: &[u8]) -> Result<u64> {
    let seconds = number::parse_i64(operand).ok_or(NOT_INTEGER)?;
    u64::try_from(seconds).map_err(|_| Error::new("ERR Invalid IDLETIME value, must be >= 0"))
}

fn frequency(operand: &[u8]) -> Result<u8> {
    let frequency = number::parse_i64(operand).ok_or(NOT_INTEGER)?;
    u8::try_from(frequency).map_err(|_| Error::new("ERR Invalid FREQ value, must be >= 0 and <= 255"))
}

fn restore(call: &mut Call<'_>) -> Result<Effect> {
    let options = RestoreOptions::parse(call)?;
    let (key, now_ms) = (call.arg(1), call.keys.now_ms);
    if call.keys.write(key).is_some() && !options.replace {
        return Err(Error::new("BUSYKEY Target key name already exists."));
    }
    let deadline = match call.int(2)? {
        0 => None,
        ..0 => return Err(Error::new("ERR Invalid TTL value, must be >= 0")),
        deadline if options.absolute => Some(deadline),
        // What lies beyond all time is as good as its end. (In Redis the sum overflows, and the key never expires.)
        millis => Some(now_ms.saturating_add(millis)),
    };
    let entry = decode(call, deadline)?;
    call.out.ok();
    if deadline.is_some_and(|deadline| deadline <= call.keys.judged_ms()) {
        return Ok(expiry::set_in_the_past(&mut call.keys, key));
    }
    entry.set_access(access(call, options.last_use));
    call.keys.delete(key);
    call.keys.settle_in(call.keys.db, key, entry);
    call.keys.changed(key, Class::GENERIC, "restore");
    Ok(match deadline {
        Some(deadline) if !options.absolute => with_deadline(call, deadline),
        _ => Effect::AsIs,
    })
}

fn decode(call: &Call<'_>, deadline: Option<i64>) -> Result<Entry> {
    let wrong = || Error::new("ERR DUMP payload version or checksum are wrong");
    let unchecked = call.env.settings.skip_checksum_validation.load(Relaxed);
    let verify = if unchecked { payload::verify_version } else { payload::verify };
    let value = verify(call.arg(3)).ok_or_else(wrong)?;
    call.env.stats.payloads_checked.add(u64::from(payload::is_packed(value)));
    // Redis has one text for whatever may be wrong inside.
    payload::restore(value, call.arg(1), deadline, &call.env.limits).map_err(|_| Error::new("ERR Bad data format"))
}

/// The access word of a value that was used last as `last_use` tells; what the policy does not keep is left out.
fn access(call: &mut Call<'_>, last_use: Use) -> u32 {
    let clock = call.env.access();
    match last_use {
        Use::Now => clock.fresh(),
        Use::IdleSeconds(seconds) => clock.told(Some(seconds), None),
        Use::Frequency(counter) => clock.told(None, Some(counter)),
    }
}

/// The command with its time to live made absolute.
fn with_deadline(call: &Call<'_>, deadline: i64) -> Effect {
    let deadline = deadline.to_string();
    let mut args = OwnedArgs::default();
    for (index, arg) in call.args.from(0).enumerate() {
        args.push(if index == 2 { deadline.as_bytes() } else { arg });
    }
    args.push(b"ABSTTL");
    Effect::Rewritten(vec![args])
}

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("dump", 2, READONLY, Group::Generic, dump)
        .docs("Returns a value in the form that RESTORE takes.", "2.6.0", "O(1) to access the key and additional O(N*M) to serialize it, where N is the number of Redis objects composing the value and M their average size. For small string values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1).")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .tips(&["nondeterministic_output"])
        .args(&[
            Arg::key("key"),
        ]),
    Spec::new("restore", -4, WRITE | DENYOOM, Group::Generic, restore)
        .docs("Creates a key from what DUMP has returned.", "2.6.0", "O(1) to create the new key and additional O(N*M) to reconstruct the serialized value, where N is the number of Redis objects composing the value and M their average size. For small string values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1). However for sorted set values the complexity is O(N*M*log(N)) because inserting values into sorted sets is O(log(N)).")
        .categories(&["@dangerous"])
        .keys(&[KeySpec::one(1, &["OW", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("ttl"),
            Arg::string("serialized-value"),
            Arg::word("replace", "REPLACE").optional().since("3.0.0"),
            Arg::word("absttl", "ABSTTL").optional().since("5.0.0"),
            Arg::integer("seconds").token("IDLETIME").optional().since("5.0.0"),
            Arg::integer("frequency").token("FREQ").optional().since("5.0.0"),
        ]),
];

#[cfg(test)]
mod tests;
