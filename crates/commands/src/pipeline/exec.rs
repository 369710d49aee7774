//! EXEC: all queued commands under one guard, or none of them.
//!
//! The plan is the union of the commands' plans plus all watched keys, at least shared. Whether a watched key has
//! changed or expired is judged with those guards held; otherwise two transactions that each watch what the other writes
//! could both pass (write skew).

use std::sync::atomic::Ordering::Relaxed;

use store::gate::Section;
use store::guard::{Guard, Plan};
use store::hash::hash_bytes;
use store::keyspace::Keyspace;
use store::stripe::Mode;

use super::{call, plan, run, settle, tell};
use crate::args::OwnedArgs;
use crate::call::Call;
use crate::env::Env;
use crate::error::{EXEC_ABORT, Result};
use crate::keys::Keys;
use crate::reply::Reply;
use crate::session::{Queued, Session};
use crate::table::Command;

pub(super) fn exec(env: &mut Env, section: &Section<'_>, session: &mut Session, command: Command, out: &mut Reply) {
    let Some(multi) = session.end() else { return };
    let started = env.host.ticks_ns();
    let result = if multi.aborted { Err(EXEC_ABORT) } else { transact(env, section, session, &multi.queue, out) };
    let stats = &env.stats.commands[command.index as usize];
    if let Err(error) = result {
        stats.failed.add(1);
        env.count_error(error.code());
        out.error(&error);
    }
    crate::transactions::unwatch_all(&*env.host, session);
    stats.ran(env.host.ticks_ns() - started, env.settings.latency_tracking.load(Relaxed));
    env.stats.processed.add(1);
}

fn transact(
    env: &mut Env,
    section: &Section<'_>,
    session: &mut Session,
    queue: &[Queued],
    out: &mut Reply,
) -> Result<()> {
    let keyspace = env.keyspace;
    let guard = lock_all(keyspace, section, session, queue);
    if session.is_dirty() || a_watched_key_expired(env, &guard, session) {
        out.null_array();
        return Ok(());
    }
    out.array(queue.len());
    let Some(first) = queue.first() else { return Ok(()) };
    if section.is_exclusive() {
        drop(guard);
        one_by_one(env, section, session, queue, out);
        return Ok(());
    }
    let mut call = call(env, section, guard, session, first.command, first.args.args(), out);
    let (mut record, mut all) = (Vec::new(), Vec::with_capacity(queue.len()));
    for queued in queue {
        call.spec = queued.command.spec;
        call.args = queued.args.args();
        call.keys.db = call.session.db;
        let done = run(&mut call, queued.command);
        done.record(call.keys.db, call.args, &mut record);
        all.push(done);
    }
    let Call { keys, env, .. } = call;
    append(env, record);
    all.iter().for_each(|done| tell(env, &done.notes));
    drop(keys);
    all.into_iter().for_each(|done| settle(env, section, done.notes, None));
    Ok(())
}

/// Under the exclusive gate nobody else is here; and commands that walk the keyspace lock stripes themselves. So each
/// command takes its own guard.
fn one_by_one(env: &mut Env, section: &Section<'_>, session: &mut Session, queue: &[Queued], out: &mut Reply) {
    let keyspace = env.keyspace;
    let mut record = Vec::new();
    for queued in queue {
        let args = queued.args.args();
        let guard = plan::lock(keyspace, section, queued.command, args, session.db);
        let mut call = call(env, section, guard, session, queued.command, args, out);
        let db = call.keys.db;
        let done = run(&mut call, queued.command);
        done.record(db, args, &mut record);
        let Call { keys, env, .. } = call;
        tell(env, &done.notes);
        drop(keys);
        settle(env, section, done.notes, Some(&mut record));
    }
    append(env, record);
}

/// One command needs no wrapping; several are wrapped so that they are applied together.
pub(super) fn append(env: &Env, mut record: Vec<(u32, OwnedArgs)>) {
    if let [(first, _), .., (last, _)] = record[..] {
        // In the databases of their neighbours, so that no SELECT is needed for them.
        record.insert(0, (first, ["MULTI"].into_iter().collect()));
        record.push((last, ["EXEC"].into_iter().collect()));
    }
    if !record.is_empty() && env.host.log_is_on() {
        env.host.append(&record);
    }
}

fn lock_all<'s>(keyspace: &'s Keyspace, section: &'s Section<'_>, session: &Session, queue: &[Queued]) -> Guard<'s> {
    let mut plan = Plan::default();
    let mut db = session.db;
    for queued in queue {
        let args = queued.args.args();
        plan::add(&mut plan, queued.command.spec, args, db);
        db = crate::connection::selects(queued.command, args, keyspace).unwrap_or(db);
    }
    for watched in &session.watched {
        plan.add(watched.db, hash_bytes(&watched.key), Mode::Shared);
    }
    keyspace.lock(section, &mut plan)
}

fn a_watched_key_expired(env: &Env, guard: &Guard<'_>, session: &Session) -> bool {
    session
        .watched
        .iter()
        .any(|watched| !watched.expired && Keys::has_expired(guard, watched.db, &watched.key, env.now_ms))
}
