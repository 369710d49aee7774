//! The connection itself: who is there, which database, which protocol.

use store::keyspace::Keyspace;

use crate::args::Args;
use crate::call::Call;
use crate::effect::Effect;
use crate::error::{DB_OUT_OF_RANGE, Error, NOT_INTEGER, Result};
use crate::number;
use crate::spec::flag::*;
use crate::spec::{Arg, Flags, Group, Spec};
use crate::table::Command;

fn ping(call: &mut Call<'_>) -> Result<Effect> {
    match call.args.len() {
        1 => call.out.simple("PONG"),
        2 => call.out.bulk(call.args.get(1)),
        _ => return Err(call.wrong_arity()),
    }
    Ok(Effect::None)
}

fn echo(call: &mut Call<'_>) -> Result<Effect> {
    call.out.bulk(call.args.get(1));
    Ok(Effect::None)
}

fn select(call: &mut Call<'_>) -> Result<Effect> {
    let db = database_arg(call.arg(1), call.env.keyspace)?;
    call.session.select(db);
    call.out.ok();
    Ok(Effect::None)
}

fn quit(call: &mut Call<'_>) -> Result<Effect> {
    call.session.close = true;
    call.out.ok();
    Ok(Effect::None)
}

/// An argument that names a database.
pub fn database_arg(arg: &[u8], keyspace: &Keyspace) -> Result<u32> {
    let db = number::parse_i64(arg).ok_or(NOT_INTEGER)?;
    let db = i32::try_from(db).map_err(|_| Error::not_between(i32::MIN.into(), i32::MAX.into()))?;
    database(db, keyspace)
}

/// The database of a number.
pub(crate) fn database(db: i32, keyspace: &Keyspace) -> Result<u32> {
    u32::try_from(db).ok().filter(|&db| db < keyspace.database_count()).ok_or(DB_OUT_OF_RANGE)
}

/// The database that is selected once this command has run, if it selects one: a transaction's plan follows its SELECTs.
pub(crate) fn selects(command: Command, args: Args<'_>, keyspace: &Keyspace) -> Option<u32> {
    let is_select = command.spec.flags.contains(Flags::SELECTS);
    is_select.then(|| database_arg(args.opt(1)?, keyspace).ok()).flatten()
}

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("ping", -1, FAST, Group::Connection, ping)
        .docs("Answers PONG, or what it was given.", "1.0.0", "O(1)")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .args(&[Arg::string("message").optional()]),
    Spec::new("echo", 2, LOADING | STALE | FAST, Group::Connection, echo)
        .docs("Answers what it was given.", "1.0.0", "O(1)")
        .args(&[Arg::string("message")]),
    Spec::new("select", 2, LOADING | STALE | FAST | SELECTS, Group::Connection, select)
        .docs("Chooses the database.", "1.0.0", "O(1)")
        .args(&[Arg::integer("index")]),
    Spec::new("quit", -1, NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY, Group::Connection, quit)
        .docs("Closes the connection.", "1.0.0", "O(1)")
        .deprecated("7.2.0", "just closing the connection"),
];
