//! The keyspace alone and under threads.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use super::*;
use crate::guard::{DueFields, LiveHash};
use crate::guard::{Key, Plan};
use crate::sizes::{BINS, TYPES};
use crate::value::hash::{ExpiryCondition, OldExpiry};
use crate::value::list::{List, Side};
use crate::value::listpack::Item;

fn set(keyspace: &Keyspace, db: u32, key: &[u8], value: &[u8], expiry: Option<i64>) {
    let section = keyspace.gate().enter();
    let key = Key::new(key);
    let mut guard = keyspace.lock_one(&section, db, key.hash, Mode::Exclusive);
    if let Some(mut entry) = guard.get_mut(db, key) {
        entry.set_string(value, expiry);
        return;
    }
    guard.insert(db, key.hash, Entry::string(key.bytes, value, expiry));
}

fn value(keyspace: &Keyspace, db: u32, key: &[u8]) -> Option<Vec<u8>> {
    let section = keyspace.gate().enter();
    let key = Key::new(key);
    let guard = keyspace.lock_one(&section, db, key.hash, Mode::Shared);
    guard.get(db, key).map(|entry| entry.as_str().unwrap().to_vec())
}

#[test]
fn counts_follow_what_happens() {
    let keyspace = Keyspace::new(16, 64);
    for n in 0..1000 {
        set(&keyspace, 0, format!("k{n}").as_bytes(), b"v", (n % 2 == 0).then_some(n));
    }
    set(&keyspace, 3, b"other", b"v", None);
    let section = keyspace.gate().enter();
    let database = keyspace.database(&section, 0).unwrap();
    assert_eq!((database.len(), database.volatile_len()), (1000, 500));
    let (mut expired, mut from) = (0, 0);
    while let Some(stripe) = keyspace.next_due(&section, 0, from, 499) {
        expired += keyspace.expire_stripe(&section, 0, stripe, 499, usize::MAX, |_| {}).1.len();
        from = stripe + 1;
    }
    assert_eq!((expired, database.len(), database.volatile_len()), (250, 750, 250));
    assert_eq!(keyspace.next_due(&section, 0, 0, 499), None);
    let key = Key::new(b"k500");
    let mut guard = keyspace.lock_one(&section, 0, key.hash, Mode::Exclusive);
    guard.get_mut(0, key).unwrap().set_expiry(None);
    assert_eq!(database.volatile_len(), 249);
    guard.remove(0, key).unwrap();
    assert_eq!(database.len(), 749);
    drop(guard);
    drop(section);
    let alone = keyspace.gate().enter_alone();
    keyspace.swap(&alone, 0, 3);
    assert_eq!(keyspace.detach(&alone, 3).unwrap().len(), 749);
    drop(alone);
    assert_eq!(value(&keyspace, 0, b"other"), Some(b"v".to_vec()));
}

#[test]
fn a_scan_returns_everything_despite_growth() {
    for (stripes, keys) in [(1, 3), (1, 500), (64, 50), (64, 5000), (1024, 5000)] {
        let keyspace = Keyspace::new(1, stripes);
        let name = |n: usize| format!("key:{n}").into_bytes();
        (0..keys).for_each(|n| set(&keyspace, 0, &name(n), b"", None));
        let (mut cursor, mut seen, mut extra) = (0, BTreeSet::new(), 1_000_000);
        loop {
            let section = keyspace.gate().enter();
            cursor = keyspace.scan(&section, 0, cursor, 10, |entry| {
                seen.insert(entry.key().to_vec());
            });
            drop(section);
            assert!(cursor < 1 << 63);
            if cursor == 0 {
                break;
            }
            for _ in 0..5 {
                set(&keyspace, 0, &name(extra), b"", None);
                extra += 1;
            }
        }
        assert!((0..keys).all(|n| seen.contains(&name(n))), "{stripes} stripes, {keys} keys");
    }
}

#[test]
fn random_finds_the_only_key_and_many() {
    let keyspace = Keyspace::new(1, 1024);
    let mut rng = Rng::with_seed(1);
    let section = keyspace.gate().enter();
    assert_eq!(keyspace.random(&section, 0, &mut rng, |_| ()), None);
    drop(section);
    set(&keyspace, 0, b"only", b"", None);
    let section = keyspace.gate().enter();
    assert_eq!(keyspace.random(&section, 0, &mut rng, |entry| entry.key().to_vec()), Some(b"only".to_vec()));
    drop(section);
    (0..20_000).for_each(|n| set(&keyspace, 0, format!("k{n}").as_bytes(), b"", None));
    let section = keyspace.gate().enter();
    let seen: BTreeSet<Vec<u8>> =
        (0..2000).filter_map(|_| keyspace.random(&section, 0, &mut rng, |entry| entry.key().to_vec())).collect();
    assert!(seen.len() > 1800, "{}", seen.len());
}

/// Several threads move amounts between keys under guards of many stripes, in random order, while others read all of
/// them under one guard: the sum never changes, and nobody waits for ever.
#[test]
fn guards_of_many_stripes_keep_a_sum() {
    const KEYS: u64 = 8;
    let keyspace = Keyspace::new(2, 4);
    let names: Vec<Vec<u8>> = (0..KEYS).map(|n| format!("account:{n}").into_bytes()).collect();
    names.iter().for_each(|name| set(&keyspace, 1, name, b"100", None));
    let done = AtomicBool::new(false);
    let amount = |guard: &Guard<'_>, key: Key<'_>| match guard.get(1, key).unwrap().as_str() {
        Some(crate::value::Str::Int(amount)) => amount,
        other => panic!("{other:?}"),
    };
    thread::scope(|scope| {
        for seed in 0..3 {
            let (keyspace, names, done) = (&keyspace, &names, &done);
            scope.spawn(move || {
                let mut rng = Rng::with_seed(seed);
                for _ in 0..20_000 {
                    let (from, to) = (rng.usize(0..names.len()), rng.usize(0..names.len()));
                    let (from, to) = (Key::new(&names[from]), Key::new(&names[to]));
                    let section = keyspace.gate().enter();
                    let mut plan = Plan::default();
                    plan.add(1, from.hash, Mode::Exclusive);
                    plan.add(1, to.hash, Mode::Exclusive);
                    let mut guard = keyspace.lock(&section, &mut plan);
                    let taken = amount(&guard, from);
                    guard.get_mut(1, from).unwrap().set_int(taken - 1);
                    let given = amount(&guard, to);
                    guard.get_mut(1, to).unwrap().set_int(given + 1);
                }
                done.store(true, Relaxed);
            });
        }
        scope.spawn(|| {
            while !done.load(Relaxed) {
                let section = keyspace.gate().enter();
                let mut plan = Plan::default();
                names.iter().for_each(|name| plan.add(1, Key::new(name).hash, Mode::Shared));
                let guard = keyspace.lock(&section, &mut plan);
                let sum: i64 = names.iter().map(|name| amount(&guard, Key::new(name))).sum();
                assert_eq!(sum, 100 * KEYS as i64);
            }
        });
    });
}

/// Counts and bounds of the stripes against what lies in them, after every step of a random walk over keys and fields
/// that expire.
#[test]
fn what_expires_is_booked() {
    let keyspace = Keyspace::new(1, 4);
    let section = keyspace.gate().enter();
    let database = keyspace.database(&section, 0).unwrap();
    let mut rng = Rng::with_seed(11);
    let limits = crate::value::Limits { hash_max_listpack_entries: 3, ..Default::default() };
    for now in 1..6000i64 {
        let (name, field) = (format!("k{}", rng.u8(..12)), [b'a' + rng.u8(..6)]);
        let key = Key::new(name.as_bytes());
        let mut guard = keyspace.lock_one(&section, 0, key.hash, Mode::Exclusive);
        let at = now + rng.i64(..40);
        match rng.u8(..12) {
            0 => drop(guard.remove(0, key)),
            deed @ 1..4 => {
                if let Some(mut entry) = guard.get_mut(0, key) {
                    let expiry = rng.bool().then_some(at);
                    match deed {
                        1 => entry.set_expiry(expiry),
                        2 => drop(entry.replace_with(Entry::string(key.bytes, b"v", expiry))),
                        _ => {
                            let copy = entry.duplicate(key.bytes, expiry);
                            entry.replace_with(copy);
                        }
                    }
                }
            }
            deed => {
                let create = match guard.live_hash(0, key, now, DueFields::up_to(1)) {
                    LiveHash::Present(mut hash, _) => {
                        match deed {
                            4 => _ = hash.persist(&field, 0),
                            5 => _ = hash.remove(&field),
                            _ => {
                                hash.set(&field, b"v", OldExpiry::Keep, &limits);
                                hash.set_expiry(&field, at as u64 + 1, ExpiryCondition::Always, now as u64);
                            }
                        }
                        false
                    }
                    LiveHash::OtherType => false,
                    LiveHash::Missing | LiveHash::Expired(_) | LiveHash::Emptied(..) => true,
                };
                if create {
                    let mut hash = Hash::new();
                    hash.set(&field, b"v", OldExpiry::Clear, &limits);
                    hash.set_expiry(&field, at as u64 + 1, ExpiryCondition::Always, 0);
                    guard.insert(0, key.hash, Entry::boxed(key.bytes, hash, None));
                }
            }
        }
        drop(guard);
        if rng.u8(..8) == 0
            && let Some(stripe) = keyspace.next_due(&section, 0, 0, now)
        {
            let max = rng.usize(..3);
            let (removed, _) = keyspace.expire_stripe(&section, 0, stripe, now, max, |_| {});
            assert!(removed <= max);
        }
        let (mut volatile, mut timed) = (0, 0);
        keyspace.walk(&section, 0, |entry| {
            volatile += usize::from(entry.expiry().is_some());
            timed += usize::from(entry.fields_due().is_some());
            assert_eq!(entry.is_timed(), entry.fields_due().is_some());
            if let Some(due) = entry.due() {
                let stripe = database.stripe_of(entry_hash(entry));
                assert_eq!(database.next_due(stripe, due), Some(stripe), "a bound above what is due");
            }
            true
        });
        assert_eq!((database.volatile_len(), database.timed_len()), (volatile, timed));
        if volatile + timed == 0 {
            assert_eq!(keyspace.next_due(&section, 0, 0, i64::MAX - 1), None);
        }
    }
}

/// The histograms of sizes against what lies in the database, after every step of a random walk over all types.
#[test]
fn sizes_are_booked() {
    let keyspace = Keyspace::new(1, 4);
    let section = keyspace.gate().enter();
    let database = keyspace.database(&section, 0).unwrap();
    let mut rng = Rng::with_seed(12);
    let limits = crate::value::Limits::default();
    for now in 1..6000i64 {
        let name = format!("k{}", rng.u8(..6));
        let key = Key::new(name.as_bytes());
        let mut guard = keyspace.lock_one(&section, 0, key.hash, Mode::Exclusive);
        let longest = 1 << rng.u8(..16);
        let text = vec![b'x'; rng.usize(..longest)];
        let expiry = rng.bool().then_some(now + rng.i64(1..20));
        let deed = rng.u8(..14);
        if guard.get(0, key).is_none() {
            let fresh = match rng.u8(..4) {
                0 => Entry::boxed(key.bytes, List::default(), None),
                1 => Entry::boxed(key.bytes, Hash::default(), None),
                2 => Entry::int(key.bytes, rng.i64(..) >> rng.u8(..60), None),
                _ => Entry::string(key.bytes, &text, expiry),
            };
            guard.insert(0, key.hash, fresh);
        }
        match deed {
            0 => drop(guard.remove(0, key)),
            1 => drop(guard.get_mut(0, key).unwrap().replace_with(Entry::string(key.bytes, &text, expiry))),
            2 => guard.get_mut(0, key).unwrap().set_expiry(expiry),
            3 => guard.get_mut(0, key).unwrap().set_int(rng.i64(..) >> rng.u8(..60)),
            4 => guard.get_mut(0, key).unwrap().set_string(&text, expiry),
            5 => _ = guard.get_mut(0, key).unwrap().string_mut(text.len()).map(|bytes| bytes.len()),
            _ => {
                if let Some(mut list) = guard.get_mut(0, key).unwrap().into_value::<List>() {
                    (0..rng.u8(..6)).for_each(|_| list.push(Side::Right, Item::Int(now), &limits));
                    (0..rng.u8(..6)).for_each(|_| drop(list.pop(Side::Left, &limits)));
                }
                if let LiveHash::Present(mut hash, _) = guard.live_hash(0, key, now, DueFields::up_to(2)) {
                    let field = [b'a' + rng.u8(..9)];
                    hash.set(&field, b"v", OldExpiry::Keep, &limits);
                    hash.set_expiry(&field, now as u64 + rng.u64(..20), ExpiryCondition::Always, now as u64);
                }
            }
        }
        drop(guard);
        if rng.u8(..8) == 0
            && let Some(stripe) = keyspace.next_due(&section, 0, 0, now)
        {
            keyspace.expire_stripe(&section, 0, stripe, now, rng.usize(..3), |_| {});
        }
        let mut expected = [[0; BINS]; TYPES.len()];
        keyspace.walk(&section, 0, |entry| {
            let len = match entry.as_str() {
                Some(text) => text.len(),
                None => entry.get().map_or_else(|| entry.get::<Hash>().unwrap().len(), List::len),
            };
            let place = TYPES.iter().position(|counted| *counted == entry.value_type()).unwrap();
            if len > 0 || place == 0 {
                expected[place][len.checked_ilog2().map_or(0, |power| power as usize + 1)] += 1;
            }
            true
        });
        assert_eq!(TYPES.map(|value_type| database.sizes().of(value_type)), expected, "after deed {deed}");
    }
}
