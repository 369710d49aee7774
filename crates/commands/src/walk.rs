//! Commands that look at the keyspace as a whole: KEYS, SCAN, RANDOMKEY, DBSIZE.
//!
//! None of them names a key, so none holds a guard. A walk locks one stripe after the other, and what it sees is a
//! blend of moments unless it runs inside EXEC, where it has the gate to itself. Expired keys are never shown. SCAN and
//! RANDOMKEY leave a note of those they met, by which the pipeline removes them; KEYS, which may meet millions, does not.

use store::guard::Key;
use store::stripe::Mode;
use store::value::ValueType;

use crate::call::Call;
use crate::effect::Effect;
use crate::error::Result;
use crate::scan_options::{self, Pattern, ScanOptions, Walked};
use crate::spec::flag::*;
use crate::spec::{Arg, ArgKind, Group, Spec};

/// Keys that RANDOMKEY draws before it takes the first one that has not expired.
const DRAWS_MAX: usize = 100;

fn keys(call: &mut Call<'_>) -> Result<Effect> {
    let Call { keys, out, env, section, args, .. } = call;
    let (pattern, db, now_ms) = (Pattern::new(args.get(1)), keys.db, keys.now_ms);
    if let Some(name) = pattern.literal() {
        let key = Key::new(name);
        let guard = env.keyspace.lock_one(section, db, key.hash, Mode::Shared);
        let found = guard.get(db, key).is_some_and(|entry| !entry.is_expired(now_ms));
        out.bulks(found.then_some(name));
        return Ok(Effect::None);
    }
    let head = out.begin_unbounded();
    let mut found = 0;
    env.keyspace.walk(section, db, |entry| {
        if pattern.matches(entry.key()) && !entry.is_expired(now_ms) {
            out.bulk(entry.key());
            found += 1;
        }
        !out.is_over_limit()
    });
    out.prepend(head, |out| out.array(found));
    Ok(Effect::None)
}

/// Which types a SCAN wants.
#[derive(Clone, Copy)]
enum Wanted {
    Any,
    Only(ValueType),
    /// A type that there is not: Redis 8.0 takes the word and finds nothing.
    Unknown,
}

impl Wanted {
    fn parse(name: &[u8]) -> Self {
        const TYPES: [ValueType; 6] = [
            ValueType::String,
            ValueType::List,
            ValueType::Set,
            ValueType::SortedSet,
            ValueType::Hash,
            ValueType::Stream,
        ];
        let found = TYPES.into_iter().find(|known| name.eq_ignore_ascii_case(known.name().as_bytes()));
        found.map_or(Self::Unknown, Self::Only)
    }

    fn includes(self, value_type: ValueType) -> bool {
        match self {
            Self::Any => true,
            Self::Only(wanted) => wanted == value_type,
            Self::Unknown => false,
        }
    }
}

fn scan(call: &mut Call<'_>) -> Result<Effect> {
    let cursor = scan_options::cursor(call.arg(1))?;
    let ScanOptions { pattern, count, type_name, .. } = ScanOptions::parse(call.args, 2, Walked::Keyspace)?;
    let wanted = type_name.map_or(Wanted::Any, Wanted::parse);
    let Call { keys, out, env, section, .. } = call;
    let (db, now_ms, head) = (keys.db, keys.now_ms, out.mark());
    let mut found = 0;
    let next = env.keyspace.scan(section, db, cursor, count, |entry| {
        if !pattern.matches(entry.key()) {
            return;
        }
        if entry.is_expired(now_ms) {
            keys.hide(entry.key());
        } else if wanted.includes(entry.value_type()) {
            out.bulk(entry.key());
            found += 1;
        }
    });
    scan_options::head(out, head, next, found);
    Ok(Effect::None)
}

fn randomkey(call: &mut Call<'_>) -> Result<Effect> {
    let Call { keys, out, env, section, .. } = call;
    let (db, now_ms, keyspace) = (keys.db, keys.now_ms, env.keyspace);
    for _ in 0..DRAWS_MAX {
        let drawn = keyspace.random(section, db, &mut env.rng, |entry| {
            let live = !entry.is_expired(now_ms);
            if live {
                out.bulk(entry.key());
            } else {
                keys.hide(entry.key());
            }
            live
        });
        match drawn {
            Some(true) => return Ok(Effect::None),
            Some(false) => {}
            None => break,
        }
    }
    // Nearly all keys have expired, or there are none.
    let mut found = false;
    let mut expired = None;
    keyspace.walk(section, db, |entry| {
        found = !entry.is_expired(now_ms);
        if found {
            out.bulk(entry.key());
        } else if expired.is_none() {
            expired = Some(Box::<[u8]>::from(entry.key()));
        }
        !found
    });
    if !found {
        // While expired keys may not be removed, one of them is an answer: they are all there is.
        match expired.filter(|_| env.host.expiry_is_paused()) {
            Some(key) => out.bulk(&key),
            None => out.null(),
        }
    }
    Ok(Effect::None)
}

fn dbsize(call: &mut Call<'_>) -> Result<Effect> {
    let database = call.env.keyspace.database(call.section, call.keys.db);
    call.out.len(database.map_or(0, store::database::Database::len));
    Ok(Effect::None)
}

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("dbsize", 1, READONLY | FAST | SPANNING, Group::Server, dbsize)
        .docs("Counts the keys of the selected database.", "1.0.0", "O(1)")
        .categories(&["@keyspace"])
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    Spec::new("keys", 2, READONLY | SPANNING, Group::Generic, keys)
        .docs("Lists the keys whose names match a pattern.", "1.0.0", "O(N) with N being the number of keys in the database, under the assumption that the key names in the database and the given pattern have limited length.")
        .categories(&["@dangerous"])
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"])
        .args(&[
            Arg::new("pattern", ArgKind::Pattern),
        ]),
    Spec::new("randomkey", 1, READONLY | SPANNING, Group::Generic, randomkey)
        .docs("Returns some key.", "1.0.0", "O(1)")
        .tips(&["request_policy:all_shards", "response_policy:special", "nondeterministic_output"]),
    Spec::new("scan", -2, READONLY | SPANNING, Group::Generic, scan)
        .docs("Goes through the keys of the database step by step.", "2.8.0", "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.")
        .tips(&["nondeterministic_output", "request_policy:special", "response_policy:special"])
        .args(&[
            Arg::integer("cursor"),
            Arg::new("pattern", ArgKind::Pattern).token("MATCH").optional(),
            Arg::integer("count").token("COUNT").optional(),
            Arg::string("type").token("TYPE").optional().since("6.0.0"),
        ]),
];

#[cfg(test)]
mod tests;
