//! What can be done with any key, whatever it holds: delete, rename, copy, move, ask for its type.
//!
//! RENAME and MOVE carry the entry over instead of its contents, so they cost the same for every value; COPY duplicates
//! it. All three take their destination under the same guard as their source; a destination in another database is
//! known to the lock plan through [`plan_destination`].

use store::guard::{Key, Plan};
use store::keyspace::Keyspace;
use store::stripe::Mode;

use crate::args::Args;
use crate::call::Call;
use crate::connection::database_arg;
use crate::effect::{Class, Effect};
use crate::error::{NO_SUCH_KEY, Result, SAME_OBJECT, SYNTAX};
use crate::number;
use crate::spec::flag::*;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// DEL and UNLINK: values are freed after the guard in either case, so the two differ in nothing.
fn del(call: &mut Call<'_>) -> Result<Effect> {
    let mut deleted = 0;
    for key in call.args.from(1) {
        if call.keys.delete(key) {
            call.keys.changed(key, Class::GENERIC, "del");
            deleted += 1;
        }
    }
    call.out.int(deleted);
    Ok(Effect::as_is_if(deleted > 0))
}

fn exists(call: &mut Call<'_>) -> Result<Effect> {
    let found = call.args.from(1).filter(|key| call.keys.look(key).is_some()).count();
    call.out.len(found);
    Ok(Effect::None)
}

fn touch(call: &mut Call<'_>) -> Result<Effect> {
    // TOUCH asks for the access, so it counts even for a client whose other reads do not (CLIENT NO-TOUCH).
    let usual = call.keys.set_touches(true);
    let found = call.args.from(1).filter(|key| call.keys.read(key).is_some()).count();
    call.keys.set_touches(usual);
    call.out.len(found);
    Ok(Effect::None)
}

fn value_type(call: &mut Call<'_>) -> Result<Effect> {
    let name = call.keys.look(call.args.get(1)).map_or("none", |entry| entry.value_type().name());
    call.out.simple(name);
    Ok(Effect::None)
}

fn rename(call: &mut Call<'_>) -> Result<Effect> {
    let renamed = rename_key(call, true)?;
    call.out.ok();
    Ok(Effect::as_is_if(renamed))
}

fn renamenx(call: &mut Call<'_>) -> Result<Effect> {
    let renamed = rename_key(call, false)?;
    call.out.flag(renamed);
    Ok(Effect::as_is_if(renamed))
}

/// Renames the key of argument 1 to that of argument 2, and says whether it did.
fn rename_key(call: &mut Call<'_>, replace: bool) -> Result<bool> {
    let (from, to, db) = (call.args.get(1), call.args.get(2), call.keys.db);
    if call.keys.write(from).is_none() {
        return Err(NO_SUCH_KEY);
    }
    if from == to || (call.keys.write(to).is_some() && !replace) {
        return Ok(false);
    }
    call.keys.delete(to);
    let entry = call.keys.take(from).expect("found above, under the same guard");
    let expiry = entry.expiry();
    call.keys.insert_in(db, to, entry.rekeyed(to, expiry));
    call.keys.changed(from, Class::GENERIC, "rename_from");
    call.keys.changed_too(db, to, Class::GENERIC, "rename_to");
    Ok(true)
}

/// Where a COPY goes.
struct Destination<'a> {
    db: u32,
    key: &'a [u8],
    replace: bool,
}

impl<'a> Destination<'a> {
    fn parse(args: Args<'a>, db: u32, keyspace: &Keyspace) -> Result<Self> {
        let mut destination = Self { db, key: args.get(2), replace: false };
        let mut index = 3;
        while index < args.len() {
            if args.is(index, "REPLACE") {
                destination.replace = true;
            } else if args.is(index, "DB")
                && let Some(db) = args.opt(index + 1)
            {
                destination.db = database_arg(db, keyspace)?;
                index += 1;
            } else {
                return Err(SYNTAX);
            }
            index += 1;
        }
        Ok(destination)
    }
}

fn copy(call: &mut Call<'_>) -> Result<Effect> {
    let (from, db) = (call.args.get(1), call.keys.db);
    let to = Destination::parse(call.args, db, call.env.keyspace)?;
    if (db, from) == (to.db, to.key) {
        return Err(SAME_OBJECT);
    }
    let copied = copy_key(call, from, &to);
    call.out.flag(copied);
    Ok(Effect::as_is_if(copied))
}

fn copy_key(call: &mut Call<'_>, from: &[u8], to: &Destination<'_>) -> bool {
    if call.keys.read(from).is_none() {
        return false;
    }
    if call.keys.write_in(to.db, to.key).is_some() && !to.replace {
        return false;
    }
    call.keys.delete_in(to.db, to.key);
    let source = call.keys.peek(from).expect("found above, under the same guard");
    let copy = source.duplicate(to.key, source.expiry());
    call.keys.insert_in(to.db, to.key, copy);
    call.keys.changed_in(to.db, to.key, Class::GENERIC, "copy_to");
    true
}

fn move_to_database(call: &mut Call<'_>) -> Result<Effect> {
    let (key, from) = (call.args.get(1), call.keys.db);
    let to = database_arg(call.args.get(2), call.env.keyspace)?;
    if from == to {
        return Err(SAME_OBJECT);
    }
    let free = call.keys.write(key).is_some() && call.keys.write_in(to, key).is_none();
    if free && let Some(entry) = call.keys.take(key) {
        call.keys.insert_in(to, key, entry);
        call.keys.changed(key, Class::GENERIC, "move_from");
        call.keys.changed_too(to, key, Class::GENERIC, "move_to");
    }
    call.out.flag(free);
    Ok(Effect::as_is_if(free))
}

/// Plans the destination of `COPY source destination ... DB n`.
fn plan_copy(args: Args<'_>, _: u32, plan: &mut Plan) {
    for index in 3..args.len().saturating_sub(1) {
        if args.is(index, "DB") {
            plan_destination(args.get(index + 1), args.get(2), plan);
        }
    }
}

/// Plans the destination of `MOVE key n`.
fn plan_move(args: Args<'_>, _: u32, plan: &mut Plan) {
    plan_destination(args.get(2), args.get(1), plan);
}

/// An argument that names no database plans nothing; the handler will say what is wrong with it.
fn plan_destination(db: &[u8], key: &[u8], plan: &mut Plan) {
    if let Some(db) = number::parse_i64(db).and_then(|db| u32::try_from(db).ok()) {
        plan.add(db, Key::new(key).hash, Mode::Exclusive);
    }
}

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("copy", -3, WRITE | DENYOOM, Group::Generic, copy)
        .docs("Copies a value to another key, which may be in another database.", "6.2.0", "O(N) worst case for collections, where N is the number of nested items. O(1) for string values.")
        .keys(&[KeySpec::one(1, &["RO", "access"]), KeySpec::one(2, &["OW", "update"])])
        .planner(plan_copy)
        .args(&[
            Arg::key("source"),
            Arg::key("destination").key_spec(1),
            Arg::integer("destination-db").token("DB").optional(),
            Arg::word("replace", "REPLACE").optional(),
        ]),
    Spec::new("del", -2, WRITE, Group::Generic, del)
        .docs("Deletes keys.", "1.0.0", "O(N) where N is the number of keys that will be removed. When a key to remove holds a value other than a string, the individual complexity for this key is O(M) where M is the number of elements in the list, set, sorted set or hash. Removing a single key that holds a string value is O(1).")
        .keys(&[KeySpec::range(1, -1, 1, &["RM", "delete"])])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .args(&[
            Arg::key("key").multiple(),
        ]),
    Spec::new("exists", -2, READONLY | FAST, Group::Generic, exists)
        .docs("Counts how many of the keys exist.", "1.0.0", "O(N) where N is the number of keys to check.")
        .keys(&[KeySpec::range(1, -1, 1, &["RO"])])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .args(&[
            Arg::key("key").multiple(),
        ]),
    Spec::new("move", 3, WRITE | FAST | WHOLE, Group::Generic, move_to_database)
        .docs("Moves a key to another database.", "1.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "access", "update"])])
        .planner(plan_move)
        .args(&[
            Arg::key("key"),
            Arg::integer("db"),
        ]),
    Spec::new("rename", 3, WRITE | WHOLE, Group::Generic, rename)
        .docs("Gives a key another name, replacing what had that name.", "1.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "access", "delete"]), KeySpec::one(2, &["OW", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::key("newkey").key_spec(1),
        ]),
    Spec::new("renamenx", 3, WRITE | FAST | WHOLE, Group::Generic, renamenx)
        .docs("Gives a key another name unless that name is taken.", "1.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "access", "delete"]), KeySpec::one(2, &["OW", "insert"])])
        .args(&[
            Arg::key("key"),
            Arg::key("newkey").key_spec(1),
        ]),
    Spec::new("touch", -2, READONLY | FAST, Group::Generic, touch)
        .docs("Counts how many of the keys exist, and marks these as used just now.", "3.2.1", "O(N) where N is the number of keys that will be touched.")
        .keys(&[KeySpec::range(1, -1, 1, &["RO"])])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .args(&[
            Arg::key("key").multiple(),
        ]),
    Spec::new("type", 2, READONLY | FAST, Group::Generic, value_type)
        .docs("Returns the type of a key's value.", "1.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RO"])])
        .args(&[
            Arg::key("key"),
        ]),
    Spec::new("unlink", -2, WRITE | FAST, Group::Generic, del)
        .docs("Deletes keys and leaves the freeing of their values to others.", "4.0.0", "O(1) for each key removed regardless of its size. Then the command does O(N) work in a different thread in order to reclaim memory, where N is the number of allocations the deleted objects where composed of.")
        .keys(&[KeySpec::range(1, -1, 1, &["RM", "delete"])])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .args(&[
            Arg::key("key").multiple(),
        ]),
];

#[cfg(test)]
mod tests;
