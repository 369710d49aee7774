//! The life of one command: admit, plan, lock, run, log, tell, unlock.
//!
//! The order is the promise. Effects are appended to the log, and watchers and subscribers hear of changes, while the
//! guard is still held; so whoever sees a change later than another client sees it later everywhere. Values are freed
//! after the guard is gone.

mod admit;
mod apply;
mod evict;
mod exec;
mod fields;
pub mod migration;
mod plan;
mod prepare;
mod waiters;
#[cfg(test)]
mod walked_tests;

use std::sync::atomic::Ordering::{Relaxed, Release};

use store::gate::Section;
use store::guard::{Guard, Key, Live};
use store::keyspace::{Expired, Keyspace};
use store::stripe::Mode;

pub use apply::{Unit, apply};
pub use evict::{Room, make_room};
pub use plan::keys_of;
pub use prepare::{Lookahead, Prepared};
pub use waiters::serve_everywhere;

use crate::args::Args;
use crate::blocking::Block;
use crate::call::Call;
use crate::client::{Client, ClientFlags};
use crate::effect::{Change, Class, Effect};
use crate::env::Env;
use crate::error::Error;
use crate::keys::{Keys, Notes};
use crate::record::Record;
use crate::reply::{Mark, Reply};
use crate::session::Session;
use crate::spec::Flags;
use crate::table::Command;
use admit::Admission;
use waiters::Outcome;

/// What the connection does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on with the next command.
    Next,
    /// Nothing has happened yet: come back with the same command when woken. The clients are paused, or a walk has to do
    /// with a large value first.
    Postponed,
}

/// The gate as a worker holds it: shared from command to command, let go for one that wants to be alone.
pub struct GateHold<'k> {
    keyspace: &'k Keyspace,
    section: Option<Section<'k>>,
}

impl<'k> GateHold<'k> {
    /// Holds nothing yet.
    pub fn new(keyspace: &'k Keyspace) -> Self {
        Self { keyspace, section: None }
    }

    /// The section, entered if it is not held; `entered` is called then.
    pub fn shared(&mut self, entered: impl FnOnce()) -> &Section<'k> {
        self.section.get_or_insert_with(|| {
            let section = self.keyspace.gate().enter();
            entered();
            section
        })
    }

    /// Lets go. A worker does so after a bounded number of commands, and before it waits for anything.
    pub fn end(&mut self) {
        self.section = None;
    }
}

/// Executes one command. `now_ms` reads the clock; it is called once for each section.
pub fn execute(
    env: &mut Env,
    gate: &mut GateHold<'_>,
    now_ms: &dyn Fn() -> i64,
    session: &mut Session,
    prepared: &Prepared<'_>,
    out: &mut Reply,
) -> Flow {
    let command = match admit::find(env, session, prepared.named, prepared.args) {
        Ok(command) => command,
        Err(error) => {
            let before = out.mark();
            refuse(env, session, None, &error, out);
            return after(session, out, before);
        }
    };
    let flow = execute_found(env, gate, now_ms, session, command, prepared, out);
    // Release: whoever has CLIENT LIST show it sees what the command has done, as where there is one thread.
    session.client.last_command.store(command.index, Release);
    flow
}

fn execute_found(
    env: &mut Env,
    gate: &mut GateHold<'_>,
    now_ms: &dyn Fn() -> i64,
    session: &mut Session,
    command: Command,
    prepared: &Prepared<'_>,
    out: &mut Reply,
) -> Flow {
    let args = prepared.args;
    let before = out.mark();
    let admission = loop {
        let section = gate.shared(|| env.begin_section(now_ms()));
        match admit::admit(env, section, session, command, args) {
            Admission::Again => gate.end(),
            admission => break admission,
        }
    };
    match admission {
        Admission::Run | Admission::Again => {}
        Admission::Queued => {
            out.simple("QUEUED");
            return after(session, out, before);
        }
        Admission::Postponed => return Flow::Postponed,
        Admission::Refused(error) => {
            refuse(env, session, Some(command), &error, out);
            return after(session, out, before);
        }
    }
    let flow = if plan::wants_to_be_alone(command, args, session) {
        alone(env, gate, now_ms, |env, section| in_section(env, section, now_ms, session, command, prepared, out))
    } else {
        let section = gate.shared(|| ());
        in_section(env, section, now_ms, session, command, prepared, out)
    };
    if flow == Flow::Postponed {
        return flow;
    }
    // What it has answered has met CLIENT REPLY already, piece by piece.
    session.reply_mode.advance();
    Flow::Next
}

/// Runs something with the gate to itself, and frees afterwards what it has detached.
fn alone<R>(
    env: &mut Env,
    gate: &mut GateHold<'_>,
    now_ms: &dyn Fn() -> i64,
    run: impl FnOnce(&mut Env, &Section<'_>) -> R,
) -> R {
    gate.end();
    let keyspace = env.keyspace;
    let section = keyspace.gate().enter_alone();
    env.begin_section(now_ms());
    let result = run(env, &section);
    drop(section);
    for (database, sync) in env.detached.drain(..) {
        env.host.free_database(database, sync);
    }
    if let Some(waiter) = env.awaits_freed.take() {
        env.host.await_event(&waiter);
    }
    result
}

fn in_section(
    env: &mut Env,
    section: &Section<'_>,
    now_ms: &dyn Fn() -> i64,
    session: &mut Session,
    command: Command,
    &Prepared { args, first, .. }: &Prepared<'_>,
    out: &mut Reply,
) -> Flow {
    if command.spec.flags.contains(Flags::EXEC) && session.multi.is_some() {
        return exec::exec(env, section, now_ms, session, command, out);
    }
    let keyspace = env.keyspace;
    let hash = first.map(|key| key.hash);
    let guard = plan::lock(env.host, keyspace, section, command, args, hash, session.db);
    if keyspace.is_walked() && plan::must_wait(keyspace, &guard, &[(command.spec, args, session.db)]) {
        return Flow::Postponed;
    }
    let mut call = call(env, section, guard, session, command, args, out);
    call.keys.know(first);
    let effect = run(&mut call, command);
    let leaves_nothing = call.keys.notes.rest.is_none()
        && !section.is_exclusive()
        && match effect {
            Effect::None => true,
            Effect::AsIs | Effect::Rewritten(_) => !call.env.host.log_is_on(),
            Effect::Block(_) => false,
        };
    if !leaves_nothing {
        conclude(call, section, command, effect);
    } else {
        effect.forget();
        call.keys.release();
    }
    Flow::Next
}

/// What follows when somebody waits, has asked for events or has left something behind, or there is something for the log.
#[inline(never)]
fn conclude(mut call: Call<'_>, section: &Section<'_>, command: Command, effect: Effect) {
    let (db, args) = (call.keys.db, call.args);
    let mut done = Done::take(&mut call, effect);
    if let Some(block) = done.take_block() {
        waiters::park(&mut call, command, block);
    }
    tell(call.env, &done.notes);
    let Call { keys, env, session, .. } = call;
    finish(env, section, keys, [Ran { db, args, done }], Source::Client(&session.client));
    if section.is_exclusive() {
        serve_everywhere(env, section);
    }
}

/// A command that has run, and was told of, under a guard that is still held.
struct Ran<'a> {
    db: u32,
    args: Args<'a>,
    done: Done,
}

/// Where commands come from, and with that what goes into the log.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// From a client: their effects.
    Client(&'a Client),
    /// From the primary: these bytes, after which a database is selected.
    Primary(&'a [u8], u32),
    /// From nobody: the effects of eviction.
    Eviction,
}

/// Ends what ran under one guard: serves those who wait for what has changed, logs what ran as one record and what was
/// served behind it, and settles when the guard is gone.
fn finish<'a, R>(env: &mut Env, section: &Section<'_>, mut keys: Keys<'_>, ran: R, source: Source<'_>)
where
    R: AsRef<[Ran<'a>]> + IntoIterator<Item = Ran<'a>>,
{
    let Outcome { answered, late } = waiters::serve_all(env, &mut keys, ran.as_ref().iter().map(|ran| &ran.done.notes));
    match source {
        Source::Client(_) | Source::Eviction if env.host.log_is_on() => {
            let mut record = env.new_record();
            ran.as_ref().iter().for_each(|ran| ran.done.record(ran.db, ran.args, &mut record));
            let end = env.append(record);
            if let (Some(end), Source::Client(client)) = (end, source) {
                client.write_offset.store(end, Relaxed);
            }
            waiters::log(env, &answered);
        }
        Source::Client(_) | Source::Eviction => {}
        // On a replica nobody waits who changes anything, so there is no effect of theirs.
        Source::Primary(raw, db) => env.host.append_applied(raw, db),
    }
    answered.iter().for_each(|answered| tell(env, &answered.done.notes));
    drop(keys);
    ran.into_iter().for_each(|ran| settle(env, section, ran.done.notes, None));
    answered.into_iter().for_each(|answered| settle(env, section, answered.done.notes, None));
    waiters::serve_late(env, section, late);
}

#[inline]
fn call<'a>(
    env: &'a mut Env,
    section: &'a Section<'a>,
    guard: Guard<'a>,
    session: &'a mut Session,
    command: Command,
    args: Args<'a>,
    out: &'a mut Reply,
) -> Call<'a> {
    let touches = touches(session);
    let observed = env.host.hears_of_keys();
    let mut keys = Keys::new(guard, session.db, env.now_ms, env.access(), touches, observed);
    if session.applies {
        keys.let_nothing_expire();
    }
    Call { spec: command.spec, args, keys, out, session, env, section }
}

/// Whether reads count as accesses: not if the client has said CLIENT NO-TOUCH.
#[inline]
fn touches(session: &Session) -> bool {
    !session.client.flags().contains(ClientFlags::NO_TOUCH)
}

/// What a command has done.
struct Done {
    effect: Effect,
    notes: Notes,
}

impl Done {
    /// What the command has done that has just run.
    fn take(call: &mut Call<'_>, effect: Effect) -> Self {
        Self { effect, notes: std::mem::take(&mut call.keys.notes) }
    }

    /// The wish to wait, if the command has returned one; what it has done before remains as its effect.
    fn take_block(&mut self) -> Option<Block> {
        if !matches!(self.effect, Effect::Block(_)) {
            return None;
        }
        let Effect::Block(mut block) = std::mem::replace(&mut self.effect, Effect::None) else { return None };
        if !block.before.is_empty() {
            self.effect = Effect::Rewritten(std::mem::take(&mut block.before));
        }
        Some(*block)
    }

    /// The command's part of the log: first the keys that it found expired, then its effect.
    fn record(&self, db: u32, args: Args<'_>, record: &mut Record) {
        let expired = self.notes.rest.iter().flat_map(|rest| &rest.expired);
        expired.for_each(|(db, key)| record_removal(*db, key, record));
        let fields = self.notes.rest.iter().flat_map(|rest| &rest.expired_fields);
        fields.for_each(|of| fields::record_removals(of.db, &of.key, &of.fields, record));
        match &self.effect {
            Effect::None | Effect::Block(_) => {}
            Effect::AsIs => record.push(db, args.from(0)),
            Effect::Rewritten(commands) => commands.iter().for_each(|it| record.push(db, it.args().from(0))),
        }
    }
}

/// Runs one command and counts it; its guard stays, and so do the notes in its keys.
#[inline(always)]
fn run(call: &mut Call<'_>, command: Command) -> Effect {
    let before = call.out.mark();
    // After CLIENT KILL of itself in a transaction a client hears no more, though the rest is executed.
    let deaf = call.session.close;
    let result = (command.spec.handler)(call);
    let lap_ns = call.env.lap_ns();
    let (env, notes) = (&*call.env, &call.keys.notes);
    let stats = &env.stats.commands[command.index as usize];
    let pushed = command.spec.flags.contains(Flags::PUSHES) && result.is_ok();
    let effect = result.unwrap_or_else(|error| {
        call.out.rewind(before);
        call.out.error(&error);
        stats.failed.add(1);
        env.count_error(error.code());
        if call.session.applies {
            env.host.failed_from_primary(command.spec.full_name, &error);
        }
        Effect::None
    });
    if deaf {
        call.out.rewind(before);
    }
    if !pushed {
        silence(call.session, call.out, before);
    }
    stats.ran(lap_ns, env.settings.latency_tracking.load(Relaxed));
    env.stats.command_nanos.add(lap_ns);
    env.stats.processed.add(1);
    env.stats.hits.add(notes.hits);
    env.stats.misses.add(notes.misses);
    env.stats.dirty.add(notes.dirty);
    call.session.client.commands.add(1);
    effect
}

/// Lets others know of changes, while the guard is held.
fn tell(env: &Env, notes: &Notes) {
    let Some(rest) = &notes.rest else { return };
    for (db, key) in &rest.expired {
        expired(env, *db, key);
    }
    for of in &rest.expired_fields {
        env.stats.expired_fields.add(of.fields.len() as u64);
    }
    for change in &rest.changes {
        env.host.key_changed(change);
    }
}

/// What is left to do when the guard is gone: free values, and remove the expired keys that reads have met. The removals
/// go into the log at once, or into `record` if there is one: that of a transaction in which SWAPDB may have given the
/// databases other numbers.
fn settle(env: &mut Env, section: &Section<'_>, notes: Notes, mut record: Option<&mut Record>) {
    let Some(rest) = notes.rest else { return };
    if !rest.garbage.is_empty() {
        env.host.free(rest.garbage.into_vec());
    }
    for (db, key) in rest.hidden {
        reap(env, section, db, &key, record.as_deref_mut());
    }
    for hidden in rest.hidden_fields {
        fields::reap(env, section, &hidden, record.as_deref_mut());
    }
}

/// Removes a key that a read has found expired, if it still is.
fn reap(env: &mut Env, section: &Section<'_>, db: u32, key: &[u8], record: Option<&mut Record>) {
    if !env.host.expiry_is_paused() {
        remove_if_expired(env, section, db, key, record);
    }
}

/// Whether a key still has a time at which it expires, once it was removed if that is over: what a replica does with those
/// that its own clients have made.
pub fn expire_key(env: &mut Env, section: &Section<'_>, db: u32, key: &[u8]) -> bool {
    remove_if_expired(env, section, db, key, None)
}

/// Removes a key if it has expired, and logs that (in `record` if there is one); says whether it is still to expire.
fn remove_if_expired(env: &mut Env, section: &Section<'_>, db: u32, key: &[u8], record: Option<&mut Record>) -> bool {
    let keyspace = env.keyspace;
    let key = Key::new(key);
    let mut guard = keyspace.lock_one(section, db, key.hash, Mode::Exclusive);
    let gone = match guard.live_mut(db, key, env.now_ms) {
        Live::Missing => return false,
        Live::Present(entry) => return entry.expiry().is_some(),
        Live::Expired(entry) => entry,
    };
    key_gone(env, db, key.bytes, record);
    drop(guard);
    env.host.free(vec![gone]);
    false
}

/// Removes up to `max` expired keys and fields of a stripe, logs and announces them; returns how many.
pub fn expire_stripe(env: &mut Env, section: &Section<'_>, db: u32, stripe: usize, max: usize) -> usize {
    if env.host.expiry_is_paused() {
        return 0;
    }
    let keyspace = env.keyspace;
    let (removed, gone) = keyspace.expire_stripe(section, db, stripe, env.now_ms, max, |what| match what {
        Expired::Key(entry) => key_gone(env, db, entry.key(), None),
        Expired::Fields { key, fields, emptied } => fields::gone(env, db, key, fields, emptied, None),
    });
    if !gone.is_empty() {
        env.host.free(gone);
    }
    removed
}

/// Logs (in `record` if there is one), counts and announces an expired key that was removed; called under its guard.
fn key_gone(env: &mut Env, db: u32, key: &[u8], record: Option<&mut Record>) {
    record_in(env, record, |record| record_removal(db, key, record));
    expired(env, db, key);
}

/// Records something in the record given, or else in one of its own that is appended at once.
fn record_in(env: &mut Env, record: Option<&mut Record>, write: impl FnOnce(&mut Record)) {
    if !env.host.log_is_on() {
        return;
    }
    match record {
        Some(record) => write(record),
        None => {
            let mut own = env.new_record();
            write(&mut own);
            env.append(own);
        }
    }
}

/// Counts and announces an expired key that was removed; called under its guard.
fn expired(env: &Env, db: u32, key: &[u8]) {
    env.stats.expired.add(1);
    if env.host.observes_keys() {
        env.host.key_changed(&Change { db, key: key.into(), class: Class::EXPIRED, event: "expired", modified: true });
    }
}

/// How the removal of an expired key stands in the log.
fn record_removal(db: u32, key: &[u8], record: &mut Record) {
    record.push(db, [&b"DEL"[..], key]);
}

/// Answers a command that does not run at all. An EXEC that is refused ends its transaction.
fn refuse(env: &Env, session: &mut Session, command: Option<Command>, error: &Error, out: &mut Reply) {
    let is_exec = command.is_some_and(|command| command.spec.flags.contains(Flags::EXEC));
    let abort = is_exec.then(|| {
        let reason = error.0.strip_prefix("ERR ").unwrap_or(&error.0);
        session.end();
        crate::transactions::unwatch_all(env.host, session);
        Error::new(format!("EXECABORT Transaction discarded because of: {reason}"))
    });
    if let Some(multi) = &mut session.multi {
        multi.aborted = true;
    }
    if let Some(command) = command {
        env.stats.commands[command.index as usize].rejected.add(1);
    }
    let error = abort.as_ref().unwrap_or(error);
    env.count_error(error.code());
    out.error(error);
}

/// Ends a command that does not run, or not yet.
#[inline]
fn after(session: &mut Session, out: &mut Reply, before: Mark) -> Flow {
    silence(session, out, before);
    session.reply_mode.advance();
    Flow::Next
}

/// Honours CLIENT REPLY: takes back what was answered since the mark. It is done piece by piece, since a transaction may
/// hold a CLIENT REPLY itself.
#[inline]
fn silence(session: &Session, out: &mut Reply, before: Mark) {
    if session.reply_mode.is_silent() {
        out.rewind(before);
    }
}
