//! The keyspace's part in MIGRATE: copies of values, and the removal of those that have arrived.
//!
//! A value is copied under a shared guard and sent without one. When the target has it, the key is locked exclusively and
//! compared with what was sent: only an equal one is removed. The comparison serialises the value once more, which is
//! exact whatever the writers in between have done.

use std::sync::Arc;

use store::gate::Section;
use store::guard::Key;
use store::stripe::Mode;

use crate::args::OwnedArgs;
use crate::blocking::{End, Waiter};
use crate::client::Client;
use crate::effect::{Class, Effect};
use crate::env::Env;
use crate::error::{LOADING, READ_ONLY, Result};
use crate::host::Pause;
use crate::keys::Keys;
use crate::standing::Standing;

use super::{Done, Ran, Source, finish, plan, tell};

/// A value on its way to another server.
pub struct Parcel {
    /// The key.
    pub key: Box<[u8]>,
    /// When it expires, in milliseconds since 1970.
    pub expiry: Option<i64>,
    /// What DUMP returns for it.
    pub payload: Vec<u8>,
}

/// What has become of a key since it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing, and now it is removed.
    Removed,
    /// It is another value, or expires at another time.
    Changed,
    /// It is not there any more.
    Gone,
}

/// A copy of a key's value, if there is one that has not expired.
pub fn pack(env: &Env, section: &Section<'_>, db: u32, key: &[u8]) -> Option<Parcel> {
    let looked_up = Key::new(key);
    let guard = env.keyspace.lock_one(section, db, looked_up.hash, Mode::Shared);
    let entry = guard.get(db, looked_up).filter(|entry| !entry.is_expired(env.now_ms))?;
    Some(Parcel { key: key.into(), expiry: entry.expiry(), payload: rdb::payload::dump(entry) })
}

/// Removes those keys that are as they were sent, for `client`, and says for each what has become of it. Nothing is done,
/// and nothing returned, while writes are paused; then the caller comes again.
///
/// # Errors
/// This server has become a replica, or loads other data.
pub fn remove_sent(
    env: &mut Env,
    section: &Section<'_>,
    client: &Client,
    db: u32,
    parcels: &[Parcel],
) -> Result<Option<Vec<Fate>>> {
    let standing = env.host.standing();
    if standing.contains(Standing::READ_ONLY) {
        return Err(READ_ONLY);
    }
    if standing.intersects(Standing::LOADING | Standing::ASYNC_LOADING) {
        return Err(LOADING);
    }
    if env.host.pause() != Pause::No {
        return Ok(None);
    }
    let keyspace = env.keyspace;
    let names: Vec<&[u8]> = parcels.iter().map(|parcel| &*parcel.key).collect();
    let guard = plan::lock_named(env.host.waiters(), keyspace, section, db, &names);
    let observed = env.host.hears_of_keys();
    let mut keys = Keys::new(guard, db, env.now_ms, env.access(), false, observed);
    let fates: Vec<Fate> = parcels.iter().map(|parcel| fate(&mut keys, parcel)).collect();
    let removed = parcels.iter().zip(&fates).filter(|(_, fate)| **fate == Fate::Removed);
    let mut effect: OwnedArgs = ["DEL"].into_iter().collect();
    removed.for_each(|(parcel, _)| effect.push(&parcel.key));
    let effect = if fates.contains(&Fate::Removed) { Effect::Rewritten(vec![effect]) } else { Effect::None };
    let notes = std::mem::take(&mut keys.notes);
    env.stats.dirty.add(notes.dirty);
    let done = Done { effect, notes };
    tell(env, &done.notes);
    let no_args = OwnedArgs::default();
    finish(env, section, keys, [Ran { db, args: no_args.args(), done }], Source::Client(client));
    Ok(Some(fates))
}

/// Gives the client its answer, unless its connection has ended.
pub fn answer(env: &Env, waiter: &Arc<Waiter>, outcome: Result<&'static str>) {
    if !env.host.waiters().end(waiter, End::Served) {
        return;
    }
    let mut out = waiter.reply();
    match outcome {
        Ok(text) => out.simple(text),
        Err(error) => {
            // The command itself was counted when it began to wait.
            env.stats.commands[waiter.command.index as usize].failed.add(1);
            env.count_error(error.code());
            out.error(&error);
        }
    }
    env.host.deliver(waiter, out);
}

fn fate(keys: &mut Keys<'_>, parcel: &Parcel) -> Fate {
    let is_equal = match keys.write(&parcel.key) {
        None => return Fate::Gone,
        Some(entry) => entry.expiry() == parcel.expiry && rdb::payload::dump(&entry) == parcel.payload,
    };
    if !is_equal {
        return Fate::Changed;
    }
    keys.delete(&parcel.key);
    keys.changed(&parcel.key, Class::GENERIC, "del");
    Fate::Removed
}
