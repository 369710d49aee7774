//! Expired fields of hashes: how their removal is logged and announced, and the removal of those that reads have met.

use store::gate::Section;
use store::guard::{DueFields, Key, LiveHash};
use store::stripe::Mode;

use crate::env::Env;
use crate::keys::{HiddenFields, field_expiry_events};
use crate::record::Record;

/// Fields that are removed at once because a read has met them; the rest is left to active expiry.
const REAPED_AT_ONCE_MAX: usize = 256;

/// How the removal of fields stands in the log: one command a field, as Redis has it. The last one removes the key too.
pub(super) fn record_removals(db: u32, key: &[u8], fields: &[Vec<u8>], record: &mut Record) {
    fields.iter().for_each(|field| record.push(db, [&b"HDEL"[..], key, field]));
}

/// Logs (in `record` if there is one), counts and announces removed fields; called under the guard of their key.
pub(super) fn gone(env: &mut Env, db: u32, key: &[u8], fields: &[Vec<u8>], emptied: bool, record: Option<&mut Record>) {
    super::record_in(env, record, |record| record_removals(db, key, fields, record));
    env.stats.expired_fields.add(fields.len() as u64);
    if env.host.observes_keys() {
        field_expiry_events(db, key, emptied).for_each(|change| env.host.key_changed(&change));
    }
}

/// Removes fields that a read has found expired, as far as they still are; without names all such fields of the hash.
pub(super) fn reap(env: &mut Env, section: &Section<'_>, hidden: &HiddenFields, record: Option<&mut Record>) {
    if env.host.expiry_is_paused() {
        return;
    }
    let (keyspace, now_ms) = (env.keyspace, env.now_ms);
    let HiddenFields { db, key, fields } = hidden;
    let looked_up = Key::new(key);
    let mut guard = keyspace.lock_one(section, *db, looked_up.hash, Mode::Exclusive);
    // Active expiry comes for it later.
    if keyspace.must_wait(&guard, *db, looked_up) {
        return;
    }
    let due = fields
        .as_deref()
        .map_or(DueFields::UpTo(REAPED_AT_ONCE_MAX), |fields| DueFields::Named(fields.iter().map(|field| &**field)));
    let (fields, entry) = match guard.live_hash(*db, looked_up, now_ms, due) {
        LiveHash::Emptied(entry, fields) => (fields, Some(entry)),
        LiveHash::Present(_, fields) => (fields, None),
        LiveHash::Expired(entry) => (Vec::new(), Some(entry)),
        LiveHash::Missing | LiveHash::OtherType => return,
    };
    if !fields.is_empty() {
        gone(env, *db, key, &fields, entry.is_some(), record);
    } else if entry.is_some() {
        // The key itself had expired, and this look has taken it out.
        super::key_gone(env, *db, key, record);
    }
    drop(guard);
    if let Some(entry) = entry {
        env.host.free(vec![entry]);
    }
}
