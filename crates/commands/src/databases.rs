//! Whole databases: FLUSHDB, FLUSHALL, SWAPDB.
//!
//! All three run alone under the gate, and only move pointers there: what a flush has taken out is freed once the gate
//! is left ([`Env::detached`](crate::env::Env)), by another thread. Who has not said ASYNC is answered when that is done, as
//! in Redis, so that the memory is there when the reply is; nobody else waits for it. Where a command may not wait, in a
//! transaction, it frees by itself. Under the gate the watched keys of the databases are gone through as
//! well. Those that have expired are removed first, as a write removes the expired keys it meets; so what remains either
//! exists or does not, and a watcher hears of a change exactly if its key exists before or after.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

use store::guard::{Guard, Key, Live};
use store::stripe::Mode;

use crate::args::OwnedArgs;
use crate::blocking::{Awaited, Block, Blocking};
use crate::call::Call;
use crate::connection::database;
use crate::effect::{Class, Effect};
use crate::error::{Error, Result, SYNTAX};
use crate::number;
use crate::spec::flag::*;
use crate::spec::{Arg, Group, Spec};

fn flushdb(call: &mut Call<'_>) -> Result<Effect> {
    let freeing = parse(call)?;
    let removed = flush(call, call.keys.db, freeing);
    call.keys.add_dirty(removed);
    Ok(answer(call, freeing))
}

fn flushall(call: &mut Call<'_>) -> Result<Effect> {
    let freeing = parse(call)?;
    let removed = (0..call.env.keyspace.database_count()).map(|db| flush(call, db, freeing)).sum();
    if !call.env.host.flushed_all(call.section) {
        call.keys.add_dirty(removed);
    }
    Ok(answer(call, freeing))
}

/// When a reply comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Freeing {
    /// At once, whenever the memory comes back.
    Behind,
    /// When another thread has given the memory back.
    Awaited,
    /// When this thread has.
    Here,
}

fn parse(call: &Call<'_>) -> Result<Freeing> {
    let behind = match call.args.len() {
        1 => call.env.settings.lazyfree_lazy_user_flush.load(Relaxed),
        2 if call.args.is(1, "ASYNC") => true,
        2 if call.args.is(1, "SYNC") => false,
        _ => return Err(SYNTAX),
    };
    Ok(match () {
        // The primary waits for no answer, and the stream is not to stand still.
        () if behind || call.session.applies => Freeing::Behind,
        () if call.session.in_exec => Freeing::Here,
        () => Freeing::Awaited,
    })
}

/// Answers, or has the client wait. It is logged even if nothing was there, as in Redis: whoever applies it may have more.
fn answer(call: &mut Call<'_>, freeing: Freeing) -> Effect {
    let is_awaited = || !call.env.detached.is_empty() || call.env.host.frees_in_background();
    if freeing == Freeing::Awaited && is_awaited() {
        let before = vec![OwnedArgs::copy(call.args)];
        return Effect::Block(Box::new(Block { before, awaited: Some(Awaited::Freed), ..Block::default() }));
    }
    call.out.ok();
    Effect::AsIs
}

/// Empties a database and returns how many keys it had.
fn flush(call: &mut Call<'_>, db: u32, freeing: Freeing) -> u64 {
    for key in call.env.host.watched_keys(db) {
        if is_live(call, db, &key) {
            call.keys.changed_too(db, &key, Class::GENERIC, "");
        }
    }
    let Some(database) = call.env.keyspace.renew(call.section, db) else { return 0 };
    let removed = database.len() as u64;
    call.env.detached.push((database, freeing == Freeing::Here));
    removed
}

fn swapdb(call: &mut Call<'_>) -> Result<Effect> {
    let index = |at, error: &'static str| {
        let index = number::parse_i64(call.args.get(at)).and_then(|index| i32::try_from(index).ok());
        index.ok_or_else(|| Error::new(error))
    };
    let a = index(1, "ERR invalid first DB index")?;
    let b = index(2, "ERR invalid second DB index")?;
    let (a, b) = (database(a, call.env.keyspace)?, database(b, call.env.keyspace)?);
    if a != b {
        let host = call.env.host;
        let watched: BTreeSet<_> = [a, b].into_iter().flat_map(|db| host.watched_keys(db)).collect();
        for key in watched {
            // Both are asked for, since both may hold an expired one.
            let live = [a, b].map(|db| is_live(call, db, &key));
            if live.contains(&true) {
                // Who watches it in one database only is told of the other one's change to no effect.
                [a, b].into_iter().for_each(|db| call.keys.changed_too(db, &key, Class::GENERIC, ""));
            }
        }
        call.env.keyspace.swap(call.section, a, b);
    }
    call.keys.add_dirty(1);
    call.out.ok();
    Ok(Effect::AsIs)
}

/// Whether a key exists in a database; an expired one is taken out. Only under the exclusive gate, where a command may
/// lock beside its plan, because nobody else holds a stripe for long.
fn is_live(call: &mut Call<'_>, db: u32, key: &[u8]) -> bool {
    let keyspace = call.env.keyspace;
    if keyspace.database(call.section, db).is_none() {
        return false;
    }
    let key = Key::new(key);
    let mut guard: Guard<'_> = keyspace.lock_one(call.section, db, key.hash, Mode::Exclusive);
    let expired = match guard.live_mut(db, key, call.keys.now_ms) {
        Live::Present(_) => return true,
        Live::Missing => return false,
        Live::Expired(entry) => entry,
    };
    call.keys.expired(db, key.bytes, expired);
    false
}

const FLUSH_TYPE: Arg =
    Arg::one_of("flush-type", &[Arg::word("async", "ASYNC").since("4.0.0"), Arg::word("sync", "SYNC").since("6.2.0")])
        .optional();

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("flushall", -1, WRITE | ALONE, Group::Server, flushall)
        .docs(
            "Deletes the keys of all databases.",
            "1.0.0",
            "O(N) where N is the total number of keys in all databases",
        )
        .categories(&["@keyspace", "@dangerous"])
        .blocking(&Blocking::ON_PROCESS)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .args(&[FLUSH_TYPE]),
    Spec::new("flushdb", -1, WRITE | ALONE, Group::Server, flushdb)
        .docs(
            "Deletes the keys of the selected database.",
            "1.0.0",
            "O(N) where N is the number of keys in the selected database",
        )
        .categories(&["@keyspace", "@dangerous"])
        .blocking(&Blocking::ON_PROCESS)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .args(&[FLUSH_TYPE]),
    Spec::new("swapdb", 3, WRITE | FAST | ALONE, Group::Server, swapdb)
        .docs(
            "Exchanges two databases.",
            "4.0.0",
            "O(N) where N is the count of clients watching or blocking on keys from both databases.",
        )
        .categories(&["@keyspace", "@dangerous"])
        .args(&[Arg::integer("index1"), Arg::integer("index2")]),
];

#[cfg(test)]
mod tests;
