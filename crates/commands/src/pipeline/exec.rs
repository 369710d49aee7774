//! EXEC: all queued commands under one guard, or none of them.
//!
//! The plan is the union of the commands' plans plus all watched keys, at least shared. Whether a watched key has
//! changed or expired is judged with those guards held; otherwise two transactions that each watch what the other writes
//! could both pass (write skew).

use std::sync::atomic::Ordering::Relaxed;

use store::gate::Section;
use store::guard::Guard;
use store::hash::hash_bytes;
use store::keyspace::Keyspace;

use super::{Done, Flow, Ran, Source, call, finish, plan, run, settle, silence, tell, touches, waiters};
use crate::args::Args;
use crate::blocking::WaitQueues;
use crate::call::Call;
use crate::env::Env;
use crate::error::{EXEC_ABORT, Result};
use crate::keys::Keys;
use crate::record::Record;
use crate::reply::Reply;
use crate::session::{Queued, Session};
use crate::spec::Spec;
use crate::table::Command;

#[inline(never)]
pub(super) fn exec(
    env: &mut Env,
    section: &Section<'_>,
    now_ms: &dyn Fn() -> i64,
    session: &mut Session,
    command: Command,
    out: &mut Reply,
) -> Flow {
    let Some(multi) = session.end() else { return Flow::Next };
    let started = env.host.ticks_ns();
    let before = out.mark();
    session.in_exec = true;
    let result =
        if multi.aborted { Err(EXEC_ABORT) } else { transact(env, section, now_ms, session, &multi.queue, out) };
    session.in_exec = false;
    if let Ok(Flow::Postponed) = result {
        session.reopen(multi);
        return Flow::Postponed;
    }
    let stats = &env.stats.commands[command.index as usize];
    if let Err(error) = result {
        stats.failed.add(1);
        env.count_error(error.code());
        out.error(&error);
        silence(session, out, before);
    }
    crate::transactions::unwatch_all(env.host, session);
    stats.ran(env.host.ticks_ns() - started, env.settings.latency_tracking.load(Relaxed));
    env.stats.processed.add(1);
    Flow::Next
}

fn transact(
    env: &mut Env,
    section: &Section<'_>,
    now_ms: &dyn Fn() -> i64,
    session: &mut Session,
    queue: &[Queued],
    out: &mut Reply,
) -> Result<Flow> {
    let keyspace = env.keyspace;
    let commands: Vec<_> = queue.iter().map(|queued| (queued.command, queued.args.args())).collect();
    let guard = lock_all(env.host.waiters(), keyspace, section, session, &commands);
    if session.is_dirty() || a_watched_key_expired(env, &guard, session) {
        let before = out.mark();
        out.null_array();
        silence(session, out, before);
        return Ok(Flow::Next);
    }
    if keyspace.is_walked() && plan::must_wait(keyspace, &guard, &wishes(&commands, session.db, keyspace)) {
        return Ok(Flow::Postponed);
    }
    let before = out.mark();
    out.array(queue.len());
    silence(session, out, before);
    let Some(&(first, args)) = commands.first() else { return Ok(Flow::Next) };
    if section.is_exclusive() {
        drop(guard);
        let record = one_by_one(env, section, session, &commands, out);
        if let Some(end) = env.append(record) {
            session.client.write_offset.store(end, Relaxed);
        }
        read_clock_for_waiters(env, now_ms);
        waiters::serve_everywhere(env, section);
        return Ok(Flow::Next);
    }
    let mut call = call(env, section, guard, session, first, args, out);
    let ran = run_each(&mut call, &commands);
    let Call { mut keys, env, session, .. } = call;
    read_clock_for_waiters(env, now_ms);
    keys.set_now(env.now_ms);
    finish(env, section, keys, ran, Source::Client(&session.client));
    Ok(Flow::Next)
}

/// Runs commands one after the other under the same guard.
pub(super) fn run_each<'a>(call: &mut Call<'a>, commands: &[(Command, Args<'a>)]) -> Vec<Ran<'a>> {
    let mut all = Vec::with_capacity(commands.len());
    for &(command, args) in commands {
        call.spec = command.spec;
        call.args = args;
        call.keys.db = call.session.db;
        call.keys.set_touches(touches(call.session));
        let db = call.keys.db;
        let done = run_at_once(call, command);
        // Told at once, so that events and what the transaction publishes itself come in the order of its commands.
        tell(call.env, &done.notes);
        all.push(Ran { db, args, done });
    }
    all
}

/// Runs a command that may not wait: inside a transaction, one that finds nothing says so at once.
fn run_at_once(call: &mut Call<'_>, command: Command) -> Done {
    let effect = run(call, command);
    let mut done = Done::take(call, effect);
    if done.take_block().is_some() {
        let blocking = command.spec.blocking.expect("only commands that may block ask for it");
        blocking.nothing.write(call.out);
    }
    done
}

/// Under the exclusive gate nobody else is here; and commands that walk the keyspace lock stripes themselves. So each
/// command takes its own guard. Returns what is to be logged.
pub(super) fn one_by_one(
    env: &mut Env,
    section: &Section<'_>,
    session: &mut Session,
    commands: &[(Command, Args<'_>)],
    out: &mut Reply,
) -> Record {
    let keyspace = env.keyspace;
    let mut record = env.new_record();
    for &(command, args) in commands {
        let guard = plan::lock(env.host, keyspace, section, command, args, None, session.db);
        let mut call = call(env, section, guard, session, command, args, out);
        let db = call.keys.db;
        let done = run_at_once(&mut call, command);
        if call.env.host.log_is_on() {
            done.record(db, args, &mut record);
        }
        let Call { keys, env, .. } = call;
        tell(env, &done.notes);
        drop(keys);
        settle(env, section, done.notes, Some(&mut record));
    }
    record
}

/// The commands of a transaction share one instant, but what it leaves for those who wait is looked at when it is over:
/// a value that has expired while a long transaction went on is for nobody.
fn read_clock_for_waiters(env: &mut Env, now_ms: &dyn Fn() -> i64) {
    if !env.host.waiters().is_empty() {
        env.now_ms = env.now_ms.max(now_ms());
    }
}

/// Locks the keys of commands that run together, each in the database that is selected when it does, and the watched
/// keys.
pub(super) fn lock_all<'s>(
    queues: &WaitQueues,
    keyspace: &'s Keyspace,
    section: &'s Section<'_>,
    session: &Session,
    commands: &[(Command, Args<'_>)],
) -> Guard<'s> {
    let wishes = wishes(commands, session.db, keyspace);
    let watched: Vec<_> = session.watched.iter().map(|watched| (watched.db, hash_bytes(&watched.key))).collect();
    plan::lock_all(queues, keyspace, section, &wishes, &watched)
}

/// The commands, each with the database that it will be run in.
fn wishes<'a>(commands: &[(Command, Args<'a>)], db: u32, keyspace: &Keyspace) -> Vec<(&'static Spec, Args<'a>, u32)> {
    let mut wishes = Vec::with_capacity(commands.len());
    let mut db = db;
    for &(command, args) in commands {
        wishes.push((command.spec, args, db));
        db = crate::connection::selects(command, args, keyspace).unwrap_or(db);
    }
    wishes
}

fn a_watched_key_expired(env: &Env, guard: &Guard<'_>, session: &Session) -> bool {
    session
        .watched
        .iter()
        .any(|watched| !watched.expired && Keys::has_expired(guard, watched.db, &watched.key, env.now_ms))
}
