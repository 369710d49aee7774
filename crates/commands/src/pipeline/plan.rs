//! Which stripes a command needs, and how it holds them.

use std::collections::VecDeque;

use store::gate::Section;
use store::guard::{Guard, Key, Plan};
use store::hash::hash_bytes;
use store::keyspace::Keyspace;
use store::stripe::Mode;

use crate::args::Args;
use crate::blocking::WaitQueues;
use crate::host::Host;
use crate::number;
use crate::session::Session;
use crate::spec::{Begin, Find, Flags, KeySpec, Spec};
use crate::table::Command;

/// Whether a command must have the gate to itself: by its nature, by its arguments, or because a transaction holds such
/// a command or one that walks the keyspace.
pub(super) fn wants_to_be_alone(command: Command, args: Args<'_>, session: &Session) -> bool {
    if !command.spec.flags.contains(Flags::EXEC) {
        return is_alone(command.spec, args, Flags::ALONE);
    }
    let mut queue = session.multi.iter().flat_map(|multi| &multi.queue);
    queue.any(|queued| is_alone(queued.command.spec, queued.args.args(), ALONE_IN_EXEC))
}

/// What a command among several must not be, unless they have the gate to themselves.
pub(super) const ALONE_IN_EXEC: Flags = Flags::ALONE.union(Flags::SPANNING);

/// Whether a command is one of those that the flags name, or its arguments make it one that must be alone.
pub(super) fn is_alone(spec: &Spec, args: Args<'_>, flags: Flags) -> bool {
    spec.flags.intersects(flags) || spec.alone_if.is_some_and(|test| test(args))
}

/// Locks a command's keys: exclusively, sources too, if it is a write, so that expired ones can be removed. `hash` is that
/// of its first key, if it is known already.
#[inline]
pub(super) fn lock<'s>(
    host: &dyn Host,
    keyspace: &'s Keyspace,
    section: &'s Section<'_>,
    command: Command,
    args: Args<'_>,
    hash: Option<u64>,
    db: u32,
) -> Guard<'s> {
    let spec = command.spec;
    if spec.flags.contains(Flags::WRITE)
        && let queues = host.waiters()
        && !queues.is_empty()
    {
        return lock_all(queues, keyspace, section, &[(spec, args, db)], &[]);
    }
    if command.is_only_key {
        let hash = hash.unwrap_or_else(|| hash_bytes(args.get(usize::from(command.first_key))));
        return keyspace.lock_one(section, db, hash, mode(spec));
    }
    if spec.keys.is_empty() && spec.planner.is_none() {
        return keyspace.lock_none();
    }
    let mut plan = Plan::default();
    add(&mut plan, spec, args, db);
    keyspace.lock(section, &mut plan)
}

/// Locks the keys of several commands, and what those need who wait for these keys; `also` are further wishes.
pub(super) fn lock_all<'s>(
    queues: &WaitQueues,
    keyspace: &'s Keyspace,
    section: &'s Section<'_>,
    commands: &[(&'static Spec, Args<'_>, u32)],
    also: &[(u32, u64)],
) -> Guard<'s> {
    let wish = |plan: &mut Plan| {
        commands.iter().for_each(|&(spec, args, db)| add(plan, spec, args, db));
        also.iter().for_each(|&(db, hash)| plan.add(db, hash, Mode::Shared));
    };
    lock_with_waiters(queues, keyspace, section, wish, |guard, further| {
        let mut missing = false;
        for &(spec, args, db) in commands {
            let mut keys = VecDeque::new();
            keys_of(spec, args, |index, _| keys.push_back(args.get(index).into()));
            missing |= extend(queues, guard, db, keys, further);
        }
        missing
    })
}

/// Locks keys exclusively, and what those need who wait for them.
pub(super) fn lock_named<'s>(
    queues: &WaitQueues,
    keyspace: &'s Keyspace,
    section: &'s Section<'_>,
    db: u32,
    keys: &[&[u8]],
) -> Guard<'s> {
    let wish = |plan: &mut Plan| keys.iter().for_each(|key| plan.add(db, hash_bytes(key), Mode::Exclusive));
    lock_with_waiters(queues, keyspace, section, wish, |guard, further| {
        let waited = keys.iter().map(|key| Box::from(*key)).collect();
        extend(queues, guard, db, waited, further)
    })
}

/// Locks what is wished for, and what those need who wait for it: `extend` adds that, and says whether it was anything new.
///
/// Each round but the last means that another client has begun to wait meanwhile for a key that was let go again.
fn lock_with_waiters<'s>(
    queues: &WaitQueues,
    keyspace: &'s Keyspace,
    section: &'s Section<'_>,
    wish: impl Fn(&mut Plan),
    extend: impl Fn(&Guard<'_>, &mut Plan) -> bool,
) -> Guard<'s> {
    let mut further = Plan::default();
    loop {
        let mut plan = std::mem::take(&mut further);
        wish(&mut plan);
        let guard = keyspace.lock(section, &mut plan);
        if queues.is_empty() || !extend(&guard, &mut further) {
            return guard;
        }
    }
}

/// Adds to a plan what those need who may be served when these keys change, and says whether that was anything new.
/// Called with the guard of the plan so far: while a key is held exclusively nobody can begin to wait for it, so a guard
/// that needs no extension stays sufficient.
fn extend(queues: &WaitQueues, guard: &Guard<'_>, db: u32, mut keys: VecDeque<Box<[u8]>>, plan: &mut Plan) -> bool {
    let mut seen = keys.clone();
    let mut missing = false;
    while let Some(key) = keys.pop_front() {
        for further in queues.further_keys(db, &key) {
            if seen.contains(&further) {
                continue;
            }
            missing |= !guard.holds(db, hash_bytes(&further));
            plan.add(db, hash_bytes(&further), Mode::Exclusive);
            seen.push_back(further.clone());
            keys.push_back(further);
        }
    }
    missing
}

/// Whether one of the commands would change a large value in place that a walk needs. All of them are asked for, so that the
/// walk goes to all of them next. Those who wait for these keys do not count: what they change besides is copied.
#[cold]
pub(super) fn must_wait(keyspace: &Keyspace, guard: &Guard<'_>, commands: &[(&'static Spec, Args<'_>, u32)]) -> bool {
    let mut wait = false;
    let in_place = |spec: &Spec| spec.flags.contains(Flags::WRITE) && !spec.flags.contains(Flags::WHOLE);
    for &(spec, args, db) in commands.iter().filter(|(spec, ..)| in_place(spec)) {
        keys_of(spec, args, |index, key_spec| {
            // The others are only read, removed or replaced.
            if key_spec.flags.contains(&"RW") {
                wait |= keyspace.must_wait(guard, db, Key::new(args.get(index)));
            }
        });
    }
    wait
}

/// Adds a command's keys to a plan.
pub(super) fn add(plan: &mut Plan, spec: &Spec, args: Args<'_>, db: u32) {
    keys_of(spec, args, |index, key_spec| {
        // The names of shard channels stand where keys do.
        if !key_spec.flags.contains(&"not_key") {
            plan.add(db, hash_bytes(args.get(index)), mode(spec));
        }
    });
    if let Some(planner) = spec.planner {
        planner(args, db, plan);
    }
}

fn mode(spec: &Spec) -> Mode {
    if spec.flags.contains(Flags::WRITE) { Mode::Exclusive } else { Mode::Shared }
}

/// Calls `found` with the index of each key among the arguments, as far as the key specifications can tell, and with the
/// specification. Arguments that make no sense name no keys; the handler will say what is wrong with them.
pub fn keys_of(spec: &Spec, args: Args<'_>, mut found: impl FnMut(usize, &'static KeySpec)) {
    for key_spec in spec.keys {
        if let Some(begin) = begin(key_spec.begin, args) {
            find(key_spec.find, begin, args).for_each(|index| found(index, key_spec));
        }
    }
}

fn begin(begin: Begin, args: Args<'_>) -> Option<usize> {
    match begin {
        Begin::Index(index) => (index < args.len()).then_some(index),
        Begin::Keyword(word, from) if from >= 0 => {
            (from as usize..args.len()).find(|&index| args.is(index, word)).map(|index| index + 1)
        }
        Begin::Keyword(word, from) => {
            let last = args.len().checked_sub(from.unsigned_abs() as usize)?;
            (1..=last).rev().find(|&index| args.is(index, word)).map(|index| index + 1)
        }
        Begin::Unknown => None,
    }
}

fn find(find: Find, begin: usize, args: Args<'_>) -> std::iter::StepBy<std::ops::Range<usize>> {
    let (first, end, step) = match find {
        Find::Range { last, step, limit } => {
            let end = if last >= 0 {
                begin + last as usize + 1
            } else if limit > 1 {
                begin + (args.len() - begin) / limit
            } else {
                (args.len() + 1).saturating_sub(last.unsigned_abs() as usize)
            };
            (begin, end, step)
        }
        Find::KeyNum { index, first, step } => {
            let count = args.opt(begin + index).and_then(number::parse_i64).unwrap_or(0).max(0) as usize;
            let first = begin + first;
            (first, first.saturating_add(count.saturating_mul(step)), step)
        }
        Find::Unknown => (begin, begin, 1),
    };
    (first..end.min(args.len()).max(first)).step_by(step.max(1))
}
