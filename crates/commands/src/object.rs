//! OBJECT: how a value is held.
//!
//! A look through OBJECT counts as a hit or a miss, as in Redis, but is no access: IDLETIME would otherwise always be 0.

use std::sync::atomic::Ordering::Relaxed;

use store::entry::Entry;
use store::value::Str;

use crate::call::Call;
use crate::effect::Effect;
use crate::error::{Error, Result, SYNTAX};
use crate::spec::flag::*;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// Integers below this one are shared objects in Redis, whose count of references is this.
const SHARED_INTEGERS: i64 = 10_000;
const SHARED_REFERENCES: i64 = i32::MAX as i64;

/// What is said about both policies when the wrong one is selected.
const POLICY_NOTE: &str =
    "Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.";

const HELP: [&str; 14] = [
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Name the inner form in which the key's value is held.",
    "FREQ <key>",
    "    Show how often the key was used of late, on a logarithmic scale; needs an",
    "    LFU maxmemory policy.",
    "IDLETIME <key>",
    "    Show how many seconds ago, roughly, the key was last used; needs a",
    "    maxmemory policy other than LFU.",
    "REFCOUNT <key>",
    "    Show how many references to the key's value there are: 1, or the largest",
    "    number for a small integer. For clients that expect it.",
    "HELP",
    "    Print this help.",
];

/// Never reached: a subcommand is either found or refused before.
fn object(_: &mut Call<'_>) -> Result<Effect> {
    Err(SYNTAX)
}

fn object_encoding(call: &mut Call<'_>) -> Result<Effect> {
    match call.keys.inspect(call.args.get(2)) {
        Some(entry) => call.out.bulk(entry.encoding().name().as_bytes()),
        None => call.out.null(),
    }
    Ok(Effect::None)
}

fn object_refcount(call: &mut Call<'_>) -> Result<Effect> {
    let settings = &call.env.settings;
    let shares = settings.maxmemory.load(Relaxed) == 0 || !settings.policy().looks_at_use();
    match call.keys.inspect(call.args.get(2)).map(|entry| references(entry, shares)) {
        Some(references) => call.out.int(references),
        None => call.out.null(),
    }
    Ok(Effect::None)
}

/// Redis shares small integers unless eviction needs an access word for each.
fn references(entry: &Entry, shares: bool) -> i64 {
    match entry.as_str() {
        Some(Str::Int(0..SHARED_INTEGERS)) if shares => SHARED_REFERENCES,
        _ => 1,
    }
}

fn object_idletime(call: &mut Call<'_>) -> Result<Effect> {
    let clock = call.env.access();
    let Some(word) = call.keys.inspect(call.args.get(2)).map(Entry::access) else {
        call.out.null();
        return Ok(Effect::None);
    };
    if call.env.settings.policy().is_lfu() {
        let text = format!("ERR An LFU maxmemory policy is selected, idle time not tracked. {POLICY_NOTE}");
        return Err(Error::new(text));
    }
    call.out.int(clock.idle_s(word).into());
    Ok(Effect::None)
}

fn object_freq(call: &mut Call<'_>) -> Result<Effect> {
    let clock = call.env.access();
    let Some(word) = call.keys.inspect(call.args.get(2)).map(Entry::access) else {
        call.out.null();
        return Ok(Effect::None);
    };
    let Some(frequency) = clock.frequency(word) else {
        let text = format!("ERR An LFU maxmemory policy is not selected, access frequency not tracked. {POLICY_NOTE}");
        return Err(Error::new(text));
    };
    call.out.int(frequency.into());
    Ok(Effect::None)
}

fn object_help(call: &mut Call<'_>) -> Result<Effect> {
    call.out.array(HELP.len());
    HELP.iter().for_each(|line| call.out.simple(line));
    Ok(Effect::None)
}

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[Spec::new("object", -2, NONE, Group::Generic, object)
    .docs("Tells how values are held.", "2.2.3", "Depends on subcommand.")
    .subcommands(&[
        Spec::new("encoding", 3, READONLY, Group::Generic, object_encoding)
            .full_name("object|encoding")
            .docs("Returns the name of the inner form of a value.", "2.2.3", "O(1)")
            .keys(&[KeySpec::one(2, &["RO"])])
            .tips(&["nondeterministic_output"])
            .args(&[Arg::key("key")]),
        Spec::new("freq", 3, READONLY, Group::Generic, object_freq)
            .full_name("object|freq")
            .docs("Returns how often a key is used, on a logarithmic scale.", "4.0.0", "O(1)")
            .keys(&[KeySpec::one(2, &["RO"])])
            .tips(&["nondeterministic_output"])
            .args(&[Arg::key("key")]),
        Spec::new("help", 2, LOADING | STALE, Group::Generic, object_help).full_name("object|help").docs(
            "Describes OBJECT's subcommands.",
            "6.2.0",
            "O(1)",
        ),
        Spec::new("refcount", 3, READONLY, Group::Generic, object_refcount)
            .full_name("object|refcount")
            .docs("Returns the number of references to a value.", "2.2.3", "O(1)")
            .keys(&[KeySpec::one(2, &["RO"])])
            .tips(&["nondeterministic_output"])
            .args(&[Arg::key("key")]),
        Spec::new("idletime", 3, READONLY, Group::Generic, object_idletime)
            .full_name("object|idletime")
            .docs("Returns the seconds since a key was last used.", "2.2.3", "O(1)")
            .keys(&[KeySpec::one(2, &["RO"])])
            .tips(&["nondeterministic_output"])
            .args(&[Arg::key("key")]),
    ])];

#[cfg(test)]
mod tests;
