//! Parking clients that wait, and serving them.
//!
//! After a command (or a whole EXEC) has changed keys that somebody waits for, its waiters are served under the same
//! guard, in the order they came, from the state that the whole command has left. What is served may change further keys
//! (BLMOVE), so this goes on until nothing is ready. Each effect is logged behind its cause.
//!
//! A waiter that changes a further key can only be served if that key's stripe is held too. So before a command runs,
//! its plan is extended by the further keys of those who wait for its keys; see `plan.rs`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use store::gate::Section;

use crate::blocking::{Awaited, Block, Served, Serving, Waiter};
use crate::call::Call;
use crate::client::ClientFlags;
use crate::effect::Effect;
use crate::env::Env;
use crate::keys::{Keys, Notes};
use crate::table::Command;

use super::{Done, plan};

/// Parks the client of a command that found nothing; its guard is held.
pub(super) fn park(call: &mut Call<'_>, command: Command, mut block: Block) {
    let queues = call.env.host.waiters();
    let waiter = Arc::new(Waiter::new(call, command, &mut block, queues.next_ticket()));
    call.session.client.set_flags(ClientFlags::BLOCKED, true);
    call.session.blocked = Some(waiter.clone());
    if let Some(migration) = block.migration {
        // What is under way cannot be taken back, so CLIENT UNBLOCK does not find this one.
        return call.env.host.migrate(waiter, migration);
    }
    *call.session.client.waiter.lock().expect("never poisoned") = Some(waiter.clone());
    if block.awaited == Some(Awaited::Freed) {
        // What it waits for is handed over when the gate is left.
        call.env.awaits_freed = Some(waiter);
        return;
    }
    queues.add(&waiter);
    if waiter.awaited.is_some() {
        call.env.host.await_event(&waiter);
    }
}

/// Serves everybody who waits for one of the keys that were changed.
pub(super) fn serve_all<'n>(
    env: &mut Env,
    keys: &mut Keys<'_>,
    changed: impl IntoIterator<Item = &'n Notes>,
) -> Outcome {
    if env.host.waiters().is_empty() {
        return Outcome::default();
    }
    serve_ready(env, keys, changed.into_iter().flat_map(modified).collect())
}

/// Serves everybody who waits for any key, when databases may have changed as a whole. The gate is held alone, and no
/// guard.
pub fn serve_everywhere(env: &mut Env, section: &Section<'_>) {
    debug_assert!(section.is_exclusive());
    if env.host.waiters().is_empty() {
        return;
    }
    for db in 0..env.keyspace.database_count() {
        for key in env.host.waiters().keys(db) {
            serve_key(env, section, db, key);
        }
    }
}

/// Serves who waits for one key, under a guard of its own.
fn serve_key(env: &mut Env, section: &Section<'_>, db: u32, key: Box<[u8]>) {
    let keyspace = env.keyspace;
    let guard = plan::lock_named(env.host.waiters(), keyspace, section, db, &[&key]);
    let mut keys = Keys::new(guard, db, env.now_ms, env.access(), true, true);
    let Outcome { answered, .. } = serve_ready(env, &mut keys, [(db, key)].into());
    log(env, &answered);
    answered.iter().for_each(|answered| super::tell(env, &answered.done.notes));
    drop(keys);
    answered.into_iter().for_each(|answered| super::settle(env, section, answered.done.notes, None));
}

/// Logs what was served, behind its cause: each waiter's part is a record of its own, as in Redis. Their guard is held.
pub(super) fn log(env: &mut Env, answered: &[Answered]) {
    if !env.host.log_is_on() {
        return;
    }
    for Answered { done, waiter } in answered {
        let mut record = env.new_record();
        done.record(waiter.db, waiter.args.args(), &mut record);
        if let Some(end) = env.append(record) {
            waiter.client.write_offset.store(end, Relaxed);
        }
    }
}

/// Who was served, and who could not be yet.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) answered: Vec<Answered>,
    /// Keys whose waiters change further keys that are not held: MOVE and COPY reach into databases where the plan does
    /// not look ahead. They are served under a guard of their own; see [`serve_late`].
    pub(super) late: Vec<(u32, Box<[u8]>)>,
}

/// Serves those who had to be left when the guard was held; it is gone now.
pub(super) fn serve_late(env: &mut Env, section: &Section<'_>, late: Vec<(u32, Box<[u8]>)>) {
    for (db, key) in late {
        serve_key(env, section, db, key);
    }
}

fn serve_ready(env: &mut Env, keys: &mut Keys<'_>, mut ready: VecDeque<(u32, Box<[u8]>)>) -> Outcome {
    let mut outcome = Outcome::default();
    while let Some((db, key)) = ready.pop_front() {
        let mut after = 0;
        while let Some(waiter) = env.host.waiters().next(db, &key, after) {
            after = waiter.ticket;
            keys.db = db;
            if keys.is_missing(&key) && env.host.waiters().on_no_key() == 0 {
                break;
            }
            if waiter.further().is_some_and(|further| !keys.holds(further)) {
                outcome.late.push((db, key));
                break;
            }
            if let Some(served) = serve(env, keys, &waiter, &key) {
                ready.extend(modified(&served.done.notes));
                outcome.answered.push(served);
            }
        }
    }
    outcome
}

fn modified(notes: &Notes) -> impl Iterator<Item = (u32, Box<[u8]>)> {
    let rest = notes.rest.iter();
    let changes = rest.clone().flat_map(|rest| &rest.changes).filter(|change| change.modified);
    changes.map(|change| (change.db, change.key.clone())).chain(rest.flat_map(|rest| rest.ready.iter().cloned()))
}

/// A waiter that was served, for the log.
pub(super) struct Answered {
    pub(super) done: Done,
    pub(super) waiter: Arc<Waiter>,
}

fn serve(env: &mut Env, keys: &mut Keys<'_>, waiter: &Arc<Waiter>, key: &[u8]) -> Option<Answered> {
    if !waiter.is_waiting() {
        return None;
    }
    let mut out = waiter.reply();
    let mut serving = Serving { args: waiter.args.args(), keys, out: &mut out, env, waiter };
    let effect = match (waiter.blocking().serve)(&mut serving, key) {
        Ok(Served::Yes(effect)) => effect,
        Ok(Served::No) => return None,
        Err(error) => {
            if waiter.is_waiting() && !serving.claim() {
                return None;
            }
            out = waiter.reply();
            out.error(&error);
            // The command itself was counted when it began to wait.
            env.stats.commands[waiter.command.index as usize].failed.add(1);
            env.count_error(error.code());
            Effect::None
        }
    };
    let notes = std::mem::take(&mut keys.notes);
    env.stats.dirty.add(notes.dirty);
    env.host.waiters().remove(waiter);
    env.host.deliver(waiter, out);
    Some(Answered { done: Done { effect, notes }, waiter: waiter.clone() })
}
