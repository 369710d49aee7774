//! Sets: members one by one. What combines several sets is in `set/algebra.rs`, what chance chooses in `set/chance.rs`.

use store::entry::Entry;
use store::value::set::Set;

use crate::call::Call;
use crate::effect::{Class, Effect};
use crate::error::{Result, WRONG_TYPE};
use crate::keys::Keys;
use crate::scan_options::{self, ScanOptions, Walked};
use crate::spec::flag::*;
use crate::spec::{Arg, ArgKind, Group, KeySpec, Spec};

mod algebra;
mod chance;
#[cfg(test)]
mod tests;

use algebra::{sdiff, sdiffstore, sinter, sintercard, sinterstore, sunion, sunionstore};
use chance::{spop, srandmember};

fn sadd(call: &mut Call<'_>) -> Result<Effect> {
    let (key, members, limits) = (call.arg(1), call.args.from(2), &call.env.limits);
    let count = members.len();
    let added = match call.keys.write(key) {
        Some(entry) => {
            let mut set = entry.into_value::<Set>().ok_or(WRONG_TYPE)?;
            set.prepare(count, limits);
            members.filter(|member| set.add(member, limits)).count()
        }
        None => {
            let mut set = Set::with_hint(call.args.get(2), count, limits);
            let added = members.filter(|member| set.add(member, limits)).count();
            call.keys.insert(key, Entry::boxed(key, set, None));
            added
        }
    };
    if added > 0 {
        call.keys.changed(key, Class::SET, "sadd");
        call.keys.add_dirty(added as u64 - 1);
    }
    call.out.len(added);
    Ok(Effect::as_is_if(added > 0))
}

fn srem(call: &mut Call<'_>) -> Result<Effect> {
    let (key, members) = (call.arg(1), call.args.from(2));
    let Some(mut set) = call.keys.value_mut::<Set>(key)? else {
        call.out.int(0);
        return Ok(Effect::None);
    };
    let removed = members.filter(|member| set.remove(member)).count();
    let emptied = set.is_empty();
    drop(set);
    if removed > 0 {
        call.keys.changed(key, Class::SET, "srem");
        call.keys.add_dirty(removed as u64 - 1);
        delete_if(emptied, &mut call.keys, key);
    }
    call.out.len(removed);
    Ok(Effect::as_is_if(removed > 0))
}

/// Deletes a key whose set has been emptied by a change that is counted already.
fn delete_if(emptied: bool, keys: &mut Keys<'_>, key: &[u8]) {
    if emptied {
        keys.delete(key);
        keys.event(key, Class::GENERIC, "del");
    }
}

fn smove(call: &mut Call<'_>) -> Result<Effect> {
    let (from, to, member) = (call.arg(1), call.arg(2), call.arg(3));
    let source_is_set = call.keys.write(from).map(|entry| entry.get::<Set>().is_some());
    let target_is_set = call.keys.write(to).is_none_or(|entry| entry.get::<Set>().is_some());
    if source_is_set == Some(false) || (source_is_set.is_some() && !target_is_set) {
        return Err(WRONG_TYPE);
    }
    let Some(mut source) = call.keys.value_mut::<Set>(from)? else {
        call.out.int(0);
        return Ok(Effect::None);
    };
    if from == to || !source.contains(member) {
        call.out.flag(source.contains(member));
        return Ok(Effect::None);
    }
    source.remove(member);
    let emptied = source.is_empty();
    drop(source);
    call.keys.changed(from, Class::SET, "srem");
    delete_if(emptied, &mut call.keys, from);
    let limits = &call.env.limits;
    let added = if let Some(mut target) = call.keys.value_mut::<Set>(to)? {
        target.add(member, limits)
    } else {
        let mut target = Set::with_hint(member, 1, limits);
        target.add(member, limits);
        call.keys.insert(to, Entry::boxed(to, target, None));
        true
    };
    if added {
        call.keys.changed(to, Class::SET, "sadd");
    }
    call.out.int(1);
    Ok(Effect::AsIs)
}

fn scard(call: &mut Call<'_>) -> Result<Effect> {
    let len = call.keys.value::<Set>(call.args.get(1))?.map_or(0, Set::len);
    call.out.len(len);
    Ok(Effect::None)
}

fn sismember(call: &mut Call<'_>) -> Result<Effect> {
    let member = call.arg(2);
    let found = call.keys.value::<Set>(call.args.get(1))?.is_some_and(|set| set.contains(member));
    call.out.flag(found);
    Ok(Effect::None)
}

fn smismember(call: &mut Call<'_>) -> Result<Effect> {
    let members = call.args.from(2);
    let set = call.keys.value::<Set>(call.args.get(1))?;
    call.out.array(members.len());
    members.for_each(|member| call.out.flag(set.is_some_and(|set| set.contains(member))));
    Ok(Effect::None)
}

fn smembers(call: &mut Call<'_>) -> Result<Effect> {
    let set = call.keys.value::<Set>(call.args.get(1))?;
    call.out.set(set.map_or(0, Set::len));
    set.into_iter().flat_map(Set::iter).for_each(|member| call.out.item(member));
    Ok(Effect::None)
}

fn sscan(call: &mut Call<'_>) -> Result<Effect> {
    let cursor = scan_options::cursor(call.arg(2))?;
    let Some(set) = call.keys.value::<Set>(call.args.get(1))? else {
        scan_options::nothing(call.out);
        return Ok(Effect::None);
    };
    let ScanOptions { pattern, count, .. } = ScanOptions::parse(call.args, 3, Walked::Members)?;
    let (head, out) = (call.out.mark(), &mut *call.out);
    let mut found = 0;
    let next = set.scan(cursor, count, |member| {
        if pattern.matches_item(member) {
            out.item(member);
            found += 1;
        }
    });
    scan_options::head(out, head, next, found);
    Ok(Effect::None)
}

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("sadd", -3, WRITE | DENYOOM | FAST, Group::Set, sadd)
        .docs("Adds members to a set; a missing key starts as the empty set.", "1.0.0", "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.")
        .keys(&[KeySpec::one(1, &["RW", "insert"])])
        .args(&[
            Arg::key("key"),
            Arg::string("member").multiple(),
        ]),
    Spec::new("scard", 2, READONLY | FAST, Group::Set, scard)
        .docs("Counts the members of a set.", "1.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RO"])])
        .args(&[
            Arg::key("key"),
        ]),
    Spec::new("sdiff", -2, READONLY, Group::Set, sdiff)
        .docs("Returns the members of the first set that no other set has.", "1.0.0", "O(N) where N is the total number of elements in all given sets.")
        .keys(&[KeySpec::range(1, -1, 1, &["RO", "access"])])
        .tips(&["nondeterministic_output_order"])
        .args(&[
            Arg::key("key").multiple(),
        ]),
    Spec::new("sdiffstore", -3, WRITE | DENYOOM, Group::Set, sdiffstore)
        .docs("Stores the members of the first set that no other set has.", "1.0.0", "O(N) where N is the total number of elements in all given sets.")
        .keys(&[KeySpec::one(1, &["OW", "update"]), KeySpec::range(2, -1, 1, &["RO", "access"])])
        .args(&[
            Arg::key("destination"),
            Arg::key("key").key_spec(1).multiple(),
        ]),
    Spec::new("sinter", -2, READONLY, Group::Set, sinter)
        .docs("Returns the members that all sets have.", "1.0.0", "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.")
        .keys(&[KeySpec::range(1, -1, 1, &["RO", "access"])])
        .tips(&["nondeterministic_output_order"])
        .args(&[
            Arg::key("key").multiple(),
        ]),
    Spec::new("sintercard", -3, READONLY | MOVABLEKEYS, Group::Set, sintercard)
        .docs("Counts the members that all sets have, up to a limit.", "7.0.0", "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.")
        .keys(&[KeySpec::counted(1, &["RO", "access"])])
        .args(&[
            Arg::integer("numkeys"),
            Arg::key("key").multiple(),
            Arg::integer("limit").token("LIMIT").optional(),
        ]),
    Spec::new("sinterstore", -3, WRITE | DENYOOM, Group::Set, sinterstore)
        .docs("Stores the members that all sets have.", "1.0.0", "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.")
        .keys(&[KeySpec::one(1, &["OW", "update"]), KeySpec::range(2, -1, 1, &["RO", "access"])])
        .args(&[
            Arg::key("destination"),
            Arg::key("key").key_spec(1).multiple(),
        ]),
    Spec::new("sismember", 3, READONLY | FAST, Group::Set, sismember)
        .docs("Tells whether a set has a member.", "1.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RO"])])
        .args(&[
            Arg::key("key"),
            Arg::string("member"),
        ]),
    Spec::new("smembers", 2, READONLY, Group::Set, smembers)
        .docs("Returns all members of a set.", "1.0.0", "O(N) where N is the set cardinality.")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .tips(&["nondeterministic_output_order"])
        .args(&[
            Arg::key("key"),
        ]),
    Spec::new("smismember", -3, READONLY | FAST, Group::Set, smismember)
        .docs("Tells for each of several members whether a set has it.", "6.2.0", "O(N) where N is the number of elements being checked for membership")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::string("member").multiple(),
        ]),
    Spec::new("smove", 4, WRITE | FAST, Group::Set, smove)
        .docs("Moves a member from one set to another.", "1.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "access", "delete"]), KeySpec::one(2, &["RW", "insert"])])
        .args(&[
            Arg::key("source"),
            Arg::key("destination").key_spec(1),
            Arg::string("member"),
        ]),
    Spec::new("spop", -2, WRITE | FAST, Group::Set, spop)
        .docs("Removes members chosen by chance, and returns them.", "1.0.0", "Without the count argument O(1), otherwise O(N) where N is the value of the passed count.")
        .keys(&[KeySpec::one(1, &["RW", "access", "delete"])])
        .tips(&["nondeterministic_output"])
        .args(&[
            Arg::key("key"),
            Arg::integer("count").optional().since("3.2.0"),
        ]),
    Spec::new("srandmember", -2, READONLY, Group::Set, srandmember)
        .docs("Returns members chosen by chance.", "1.0.0", "Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed count.")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .tips(&["nondeterministic_output"])
        .args(&[
            Arg::key("key"),
            Arg::integer("count").optional().since("2.6.0"),
        ]),
    Spec::new("srem", -3, WRITE | FAST, Group::Set, srem)
        .docs("Removes members of a set.", "1.0.0", "O(N) where N is the number of members to be removed.")
        .keys(&[KeySpec::one(1, &["RW", "delete"])])
        .args(&[
            Arg::key("key"),
            Arg::string("member").multiple(),
        ]),
    Spec::new("sscan", -3, READONLY, Group::Set, sscan)
        .docs("Goes through the members of a set step by step.", "2.8.0", "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .tips(&["nondeterministic_output"])
        .args(&[
            Arg::key("key"),
            Arg::integer("cursor"),
            Arg::new("pattern", ArgKind::Pattern).token("MATCH").optional(),
            Arg::integer("count").token("COUNT").optional(),
        ]),
    Spec::new("sunion", -2, READONLY, Group::Set, sunion)
        .docs("Returns the members that any of the sets has.", "1.0.0", "O(N) where N is the total number of elements in all given sets.")
        .keys(&[KeySpec::range(1, -1, 1, &["RO", "access"])])
        .tips(&["nondeterministic_output_order"])
        .args(&[
            Arg::key("key").multiple(),
        ]),
    Spec::new("sunionstore", -3, WRITE | DENYOOM, Group::Set, sunionstore)
        .docs("Stores the members that any of the sets has.", "1.0.0", "O(N) where N is the total number of elements in all given sets.")
        .keys(&[KeySpec::one(1, &["OW", "update"]), KeySpec::range(2, -1, 1, &["RO", "access"])])
        .args(&[
            Arg::key("destination"),
            Arg::key("key").key_spec(1).multiple(),
        ]),
];
