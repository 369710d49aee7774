//! Transactions: MULTI queues, EXEC runs all under one guard (see [`crate::pipeline`]), WATCH makes it conditional.

use std::sync::atomic::Ordering::Relaxed;

use crate::call::Call;
use crate::client::ClientFlags;
use crate::effect::Effect;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::session::{Session, Watched};
use crate::spec::flag::*;
use crate::spec::{Arg, Group, KeySpec, Spec};

fn multi(call: &mut Call<'_>) -> Result<Effect> {
    if call.session.multi.is_some() {
        return Err(Error::new("ERR MULTI calls can not be nested"));
    }
    call.session.begin();
    call.out.ok();
    Ok(Effect::None)
}

/// Only reached outside of a transaction; inside, the pipeline runs it.
fn exec(_: &mut Call<'_>) -> Result<Effect> {
    Err(Error::new("ERR EXEC without MULTI"))
}

fn discard(call: &mut Call<'_>) -> Result<Effect> {
    if call.session.end().is_none() {
        return Err(Error::new("ERR DISCARD without MULTI"));
    }
    unwatch_all(call.env.host, call.session);
    call.out.ok();
    Ok(Effect::None)
}

fn watch(call: &mut Call<'_>) -> Result<Effect> {
    if call.session.multi.is_some() {
        return Err(Error::new("ERR WATCH inside MULTI is not allowed"));
    }
    // Registered under the guards of these keys: a change is either over already or will find the watch.
    for key in call.args.from(1) {
        let db = call.session.db;
        if call.session.watched.iter().any(|watched| watched.db == db && *watched.key == *key) {
            continue;
        }
        let expired = call.keys.is_expired(key);
        call.env.host.watch(db, key, &call.session.client, expired);
        call.session.watched.push(Watched { db, key: key.into(), expired });
    }
    call.session.client.watched.store(call.session.watched.len() as u32, Relaxed);
    call.out.ok();
    Ok(Effect::None)
}

fn unwatch(call: &mut Call<'_>) -> Result<Effect> {
    unwatch_all(call.env.host, call.session);
    call.out.ok();
    Ok(Effect::None)
}

/// Forgets all watched keys, and that one of them has changed.
pub fn unwatch_all(host: &dyn Host, session: &mut Session) {
    for watched in session.watched.drain(..) {
        host.unwatch(watched.db, &watched.key, &session.client);
    }
    session.client.watched.store(0, Relaxed);
    session.client.set_flags(ClientFlags::DIRTY_CAS, false);
}

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("multi", 1, NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY | SKIP_QUEUE, Group::Transactions, multi)
        .docs("Opens a transaction: the commands that follow are queued.", "1.2.0", "O(1)"),
    Spec::new("exec", 1, NOSCRIPT | LOADING | STALE | SKIP_SLOWLOG | SKIP_QUEUE | EXEC, Group::Transactions, exec)
        .docs("Runs all queued commands as one.", "1.2.0", "Depends on commands in the transaction"),
    Spec::new("discard", 1, NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY | SKIP_QUEUE, Group::Transactions, discard)
        .docs("Drops all queued commands.", "2.0.0", "O(N), when N is the number of queued commands"),
    Spec::new("watch", -2, NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY | SKIP_QUEUE, Group::Transactions, watch)
        .docs("Makes the next EXEC fail if one of the keys changes before it.", "2.2.0", "O(1) for every key.")
        .keys(&[KeySpec::range(1, -1, 1, &["RO"])])
        .args(&[Arg::key("key").multiple()]),
    Spec::new("unwatch", 1, NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY, Group::Transactions, unwatch).docs(
        "Forgets all watched keys.",
        "2.2.0",
        "O(1)",
    ),
];

#[cfg(test)]
mod tests;
