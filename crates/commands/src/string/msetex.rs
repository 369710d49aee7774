//! MSETEX, of Redis 8.4: MSET with one condition and one expiry for all keys.

use crate::args::Args;
use crate::call::Call;
use crate::effect::{Class, Effect};
use crate::error::{Error, Result};
use crate::number;
use crate::spec::flag::*;
use crate::spec::{Arg, ArgKind, Group, KeySpec, Spec};

use super::{Condition, SetOptions, Ttl, log_of_set};

/// Where the first key stands.
const FIRST: usize = 2;

fn msetex(call: &mut Call<'_>) -> Result<Effect> {
    let args = call.args;
    let pairs = pairs(args)?;
    let options = SetOptions::parse(call, FIRST + 2 * pairs, false)?;
    let keys = move || args.from(FIRST).step_by(2).take(pairs);
    // All keys are looked at, so that the expired ones among them are gone whatever comes of the condition.
    let present = keys().filter(|key| call.keys.write(key).is_some()).count();
    let fits = match options.condition {
        Condition::IfMissing => present == 0,
        Condition::IfPresent => present == pairs,
        Condition::Always | Condition::If(_) => true,
    };
    call.out.flag(fits);
    if !fits {
        return Ok(Effect::None);
    }
    if let Ttl::At(deadline) = options.ttl
        && deadline <= call.keys.judged_ms()
    {
        return Ok(delete_all(call, keys()));
    }
    let values = args.from(FIRST + 1).step_by(2);
    let commands = keys().zip(values).map(|(key, value)| {
        super::put_string(&mut call.keys, key, value, options.ttl);
        log_of_set(key, value, options.ttl)
    });
    // One SET a key, which every version of Redis understands.
    Ok(Effect::Rewritten(commands.collect()))
}

/// How many pairs of a key and a value there are.
fn pairs(args: Args<'_>) -> Result<usize> {
    let count = number::parse_i64(args.get(1)).and_then(|count| i32::try_from(count).ok()).filter(|count| *count > 0);
    let count = count.ok_or_else(|| Error::new("ERR invalid numkeys value"))? as usize;
    if count > (args.len() - FIRST) / 2 {
        return Err(Error::new("ERR wrong number of key-value pairs"));
    }
    Ok(count)
}

/// What an expiry that is over already does: the keys are gone.
fn delete_all<'k>(call: &mut Call<'_>, keys: impl Iterator<Item = &'k [u8]>) -> Effect {
    let mut gone = vec![&b"DEL"[..]];
    for key in keys {
        if call.keys.delete(key) {
            call.keys.changed(key, Class::GENERIC, "del");
            gone.push(key);
        }
    }
    if gone.len() == 1 { Effect::None } else { Effect::rewritten(gone) }
}

/// The row.
pub(crate) static COMMANDS: &[Spec] = &[Spec::new("msetex", -4, WRITE | DENYOOM | MOVABLEKEYS, Group::String, msetex)
    .docs(
        "Sets several strings at once, with a condition and an expiry for all of them.",
        "8.4.0",
        "O(N) where N is the number of keys to set.",
    )
    .keys(&[KeySpec::counted_pairs(1, &["OW", "update"])])
    .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
    .args(&[
        Arg::integer("numkeys"),
        Arg::block("data", &[Arg::key("key"), Arg::string("value")]).multiple(),
        Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")]).optional(),
        Arg::one_of(
            "expiration",
            &[
                Arg::integer("seconds").token("EX"),
                Arg::integer("milliseconds").token("PX"),
                Arg::new("unix-time-seconds", ArgKind::UnixTime).token("EXAT"),
                Arg::new("unix-time-milliseconds", ArgKind::UnixTime).token("PXAT"),
                Arg::word("keepttl", "KEEPTTL"),
            ],
        )
        .optional(),
    ])];

#[cfg(test)]
mod tests;
