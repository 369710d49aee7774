//! What a replica does with its primary's stream: each unit, a command or a whole MULTI..EXEC, is applied under one guard
//! and stands in our own log as it came. So whoever reads here sees a transaction whole or not at all, and a chain of
//! replicas shares one history with one set of offsets.
//!
//! The primary has decided already: nothing is admitted, nothing is seen as expired, and nothing is answered. There is one
//! exception, a replica that looks after its own limit of memory (`replica-ignore-maxmemory no`). It evicts by itself, and
//! where nothing may go, it passes over what needs memory, as Redis does. It goes on being counted as applied, and whoever
//! follows this replica gets it.

use std::sync::atomic::Ordering::Relaxed;

use smallvec::SmallVec;
use store::keyspace::Keyspace;

use super::evict::{self, Room, make_room};
use super::exec::{lock_all, one_by_one, run_each};
use super::plan::{ALONE_IN_EXEC, is_alone};
use super::{Flow, GateHold, Source, alone, call, finish, waiters};
use crate::args::Args;
use crate::env::Env;
use crate::error::{EXEC_ABORT, Error, OUT_OF_MEMORY};
use crate::reply::Reply;
use crate::session::Session;
use crate::spec::Flags;
use crate::table::{self, Command};

/// A part of the stream that is applied as a whole.
pub struct Unit<'a> {
    /// Its commands, without the MULTI and EXEC around them; none for a PING, say.
    pub commands: &'a [Args<'a>],
    /// All its bytes.
    pub raw: &'a [u8],
    /// Whether MULTI and EXEC were there.
    pub is_transaction: bool,
}

/// Applies a unit. `session` is one that [applies](Session::applies); its answers go to `out`, to be thrown away. Commands
/// that there are not, or that fail, are passed over, since the rest of the stream still counts, and the host is told.
/// Nothing is applied once the session's client is killed: the process follows somebody else, or nobody.
pub fn apply(
    env: &mut Env,
    gate: &mut GateHold<'_>,
    now_ms: &dyn Fn() -> i64,
    session: &mut Session,
    unit: &Unit<'_>,
    out: &mut Reply,
) -> Flow {
    debug_assert!(session.applies);
    let mut commands = known(env, unit.commands, out);
    let lacks_room = lacks_room(env, gate, now_ms);
    gate.shared(|| env.begin_section(now_ms()));
    if is_over(session) {
        return Flow::Next;
    }
    if lacks_room && commands.iter().any(|(command, _)| needs_room(*command)) {
        session.db = db_after(&commands, session.db, env.keyspace);
        refuse_for_want_of_memory(env, unit, &commands, out);
        commands.clear();
    }
    if wants_to_be_alone(&commands) {
        alone(env, gate, now_ms, |env, section| {
            // The gate was free for a moment.
            if is_over(session) {
                return;
            }
            // Nothing of our own goes into a replica's log, so this record is empty.
            let own = one_by_one(env, section, session, &commands, out);
            env.append(own);
            env.host.append_applied(unit.raw, session.db);
            waiters::serve_everywhere(env, section);
        });
        return Flow::Next;
    }
    let section = gate.shared(|| ());
    let keyspace = env.keyspace;
    let db_after = db_after(&commands, session.db, keyspace);
    let guard = lock_all(env.host.waiters(), keyspace, section, session, &commands);
    let Some(&(first, args)) = commands.first() else {
        env.host.append_applied(unit.raw, session.db);
        return Flow::Next;
    };
    let mut call = call(env, section, guard, session, first, args, out);
    let ran = run_each(&mut call, &commands);
    debug_assert_eq!(call.session.db, db_after);
    finish(call.env, section, call.keys, ran, Source::Primary(unit.raw, db_after));
    Flow::Next
}

/// Whether there is too much in memory and nothing that may go, once what may go is gone. Not where the primary sees to it
/// that there is room: then nothing is evicted here.
fn lacks_room(env: &mut Env, gate: &mut GateHold<'_>, now_ms: &dyn Fn() -> i64) -> bool {
    while evict::is_full(env) {
        let section = gate.shared(|| env.begin_section(now_ms()));
        match make_room(env, section) {
            Room::Enough => return false,
            Room::Never => return true,
            // As in Redis the stream does not wait for that.
            Room::NotYet => {
                env.host.evict_in_background();
                return false;
            }
            Room::Again => gate.end(),
        }
    }
    false
}

fn needs_room(command: Command) -> bool {
    command.spec.flags.contains(Flags::DENYOOM)
}

/// A transaction is passed over as a whole if any of it needs memory. As in Redis each such command is told of, and the
/// EXEC. Unlike there the database stays selected that the transaction has selected: what comes next relies on that.
fn refuse_for_want_of_memory(env: &Env, unit: &Unit<'_>, commands: &[(Command, Args<'_>)], out: &mut Reply) {
    for (command, _) in commands.iter().filter(|(command, _)| needs_room(*command)) {
        env.stats.commands[command.index as usize].rejected.add(1);
        refuse(env, command.spec.full_name, &OUT_OF_MEMORY, out);
    }
    if unit.is_transaction {
        refuse(env, "exec", &EXEC_ABORT, out);
    }
}

/// Whether this primary has been given up: then nothing of what it has sent is applied any more. That happens under the
/// exclusive gate, so it is settled while a section lasts.
fn is_over(session: &Session) -> bool {
    session.client.killed.load(Relaxed)
}

type Commands<'a> = SmallVec<[(Command, Args<'a>); 1]>;

fn known<'a>(env: &Env, commands: &[Args<'a>], out: &mut Reply) -> Commands<'a> {
    let mut known = Commands::new();
    for &args in commands {
        let found = table::lookup(args.get(0)).and_then(|command| match args.opt(1) {
            Some(name) if !command.spec.subcommands.is_empty() => table::subcommand(command, name),
            _ => Some(command),
        });
        match found {
            Some(command) if command.spec.arity_fits(args.len()) => known.push((command, args)),
            Some(command) => refuse(env, command.spec.full_name, &Error::arity(command.spec.full_name), out),
            None => {
                let name = String::from_utf8_lossy(args.get(0));
                refuse(env, &name, &Error::new(format!("ERR unknown command '{name}'")), out);
            }
        }
    }
    known
}

fn refuse(env: &Env, command: &str, error: &Error, out: &mut Reply) {
    env.count_error(error.code());
    env.host.failed_from_primary(command, error);
    out.error(error);
}

fn wants_to_be_alone(commands: &[(Command, Args<'_>)]) -> bool {
    let flags = if commands.len() > 1 { ALONE_IN_EXEC } else { Flags::ALONE };
    commands.iter().any(|&(command, args)| is_alone(command.spec, args, flags))
}

fn db_after(commands: &[(Command, Args<'_>)], db: u32, keyspace: &Keyspace) -> u32 {
    let selected = commands.iter().filter_map(|&(command, args)| crate::connection::selects(command, args, keyspace));
    selected.last().unwrap_or(db)
}

#[cfg(test)]
mod tests;
