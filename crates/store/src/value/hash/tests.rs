use super::*;
use crate::value::thin::tests::without_leaks;
use std::collections::BTreeMap;

/// Field to value and expiry.
type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

fn live(model: &Model, now: u64) -> Model {
    model
        .iter()
        .filter(|(_, (_, expiry))| expiry.is_none_or(|at| at >= now))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

fn contents(hash: &Hash, now: u64) -> Model {
    let entries: Vec<_> = hash.iter(now).collect();
    let map: Model = (entries.iter()).map(|e| (e.field.to_vec(), (e.value.to_vec(), e.expiry))).collect();
    assert_eq!(entries.len(), map.len(), "no field comes twice");
    map
}

fn check_all(hash: &Hash, model: &Model, now: u64) {
    assert_eq!(contents(hash, 0), *model);
    assert_eq!(contents(hash, now), live(model, now));
    assert_eq!((hash.len(), hash.live_len(now)), (model.len(), live(model, now).len()));
    assert_eq!(hash.next_expiry(), model.values().filter_map(|(_, expiry)| *expiry).min());
    if let Some(listpack) = hash.as_listpack() {
        let timed = hash.encoding() == Encoding::ListpackEx;
        let again = Hash::from_listpack(listpack.clone(), timed).expect("our own bytes are valid");
        assert_eq!(contents(&again, 0), *model);
    }
}

const CONDITIONS: [ExpiryCondition; 5] = [
    ExpiryCondition::Always,
    ExpiryCondition::Absent,
    ExpiryCondition::Present,
    ExpiryCondition::Later,
    ExpiryCondition::Earlier,
];

fn set_expiry_in(model: &mut Model, field: &[u8], at: u64, condition: ExpiryCondition, now: u64) -> ExpirySet {
    let Some((_, expiry)) = live(model, now).get(field).cloned() else { return ExpirySet::NoField };
    let refused = match condition {
        ExpiryCondition::Always => false,
        ExpiryCondition::Absent => expiry.is_some(),
        ExpiryCondition::Present => expiry.is_none(),
        ExpiryCondition::Later => at <= expiry.unwrap_or(u64::MAX),
        ExpiryCondition::Earlier => at >= expiry.unwrap_or(u64::MAX),
    };
    if refused {
        ExpirySet::Refused
    } else if at <= now {
        model.remove(field);
        ExpirySet::Removed
    } else {
        model.get_mut(field).unwrap().1 = Some(at);
        ExpirySet::Set
    }
}

#[test]
fn behaves_as_the_model_in_every_form() {
    for seed in 0..60 {
        without_leaks(|| {
            let mut rng = Rng::with_seed(seed);
            let limits = Limits { hash_max_listpack_entries: [0, 10, 1000][(seed % 3) as usize], ..Limits::default() };
            let expiring = seed % 2 == 0;
            let (mut hash, mut model, mut now) = (Hash::new(), Model::new(), 1000);
            for _ in 0..700 {
                let field = match rng.u8(..20) {
                    0 => "f".repeat(rng.usize(..300)),
                    _ => rng.u8(..80).to_string(),
                };
                let field = field.as_bytes();
                match rng.u8(..20) {
                    0..=6 => {
                        let value = match rng.u8(..10) {
                            0 => "v".repeat(rng.usize(..80)),
                            _ => rng.i32(-100..100).to_string(),
                        };
                        let keep = rng.bool();
                        let old = if keep { OldExpiry::Keep } else { OldExpiry::Clear };
                        let new = hash.set(field, value.as_bytes(), old, &limits);
                        assert_eq!(new, !model.contains_key(field));
                        let entry = model.entry(field.to_vec()).or_default();
                        *entry = (value.into_bytes(), entry.1.filter(|_| keep));
                    }
                    7..=9 => assert_eq!(hash.remove(field), model.remove(field).is_some()),
                    10..=13 if expiring => {
                        let (at, condition) = (now - 20 + rng.u64(..100), CONDITIONS[rng.usize(..5)]);
                        let got = hash.set_expiry(field, at, condition, now);
                        assert_eq!(got, set_expiry_in(&mut model, field, at, condition, now), "{condition:?}");
                    }
                    14 if expiring => {
                        let before = hash.persist(field, now);
                        let want = match live(&model, now).get(field) {
                            None => FieldExpiry::NoField,
                            Some((_, None)) => FieldExpiry::Never,
                            Some((_, Some(at))) => {
                                model.get_mut(field).unwrap().1 = None;
                                FieldExpiry::At(*at)
                            }
                        };
                        assert_eq!(before, want);
                    }
                    15 => {
                        now += rng.u64(..10);
                        if rng.bool() {
                            let limit = rng.usize(..4);
                            let names = hash.remove_expired(now, limit);
                            let due = model.len() - live(&model, now).len();
                            assert_eq!(names.len(), due.min(limit));
                            let removed: Vec<_> =
                                names.iter().map(|name| model.remove(name).unwrap().1.unwrap()).collect();
                            assert!(removed.is_sorted() && removed.iter().all(|at| *at < now));
                        }
                    }
                    16 => {
                        let got = hash.increment(field, 7, now, &limits);
                        let visible = live(&model, now);
                        let current = visible
                            .get(field)
                            .map_or(Some(0), |(value, _)| std::str::from_utf8(value).unwrap().parse::<i64>().ok());
                        assert_eq!(got, current.map(|int| int + 7).ok_or(IncrError::NotAnInteger));
                        if let Ok(sum) = got {
                            let expiry = visible.get(field).and_then(|(_, expiry)| *expiry);
                            model.insert(field.to_vec(), (sum.to_string().into_bytes(), expiry));
                        }
                    }
                    _ => match hash.random(now, &mut rng) {
                        Some(entry) => {
                            assert_eq!(live(&model, now)[&entry.field.to_vec()].0, entry.value.to_vec());
                        }
                        None => assert!(live(&model, now).is_empty()),
                    },
                }
                let want = live(&model, now).get(field).cloned();
                assert_eq!(
                    hash.get(field, now).map(|value| value.to_vec()),
                    want.as_ref().map(|(value, _)| value.clone())
                );
                let expiry = match want {
                    None => FieldExpiry::NoField,
                    Some((_, expiry)) => expiry.map_or(FieldExpiry::Never, FieldExpiry::At),
                };
                assert_eq!(hash.expiry(field, now), expiry);
            }
            check_all(&hash, &model, now);
            let copy = hash.clone();
            drop(hash);
            check_all(&copy, &model, now);
        });
    }
}

fn fields(hash: &Hash) -> Vec<String> {
    hash.iter(0).map(|entry| String::from_utf8(entry.field.to_vec()).unwrap()).collect()
}

/// The steps and orders were read off a Redis 8.0.2 (HKEYS after each).
#[test]
fn timed_fields_stand_where_redis_8_has_them() {
    let limits = Limits::default();
    let mut hash = Hash::new();
    for field in ["a", "b", "c", "d"] {
        hash.set(field.as_bytes(), b"1", OldExpiry::Clear, &limits);
    }
    let at = 4_000_000_000_000;
    for field in ["a", "b", "c"] {
        assert_eq!(hash.set_expiry(field.as_bytes(), at, ExpiryCondition::Always, 5), ExpirySet::Set);
    }
    assert_eq!(fields(&hash), ["c", "b", "a", "d"]);
    hash.set_expiry(b"a", at, ExpiryCondition::Always, 5);
    assert_eq!(fields(&hash), ["a", "c", "b", "d"]);
    assert_eq!(hash.increment(b"b", 5, 5, &limits), Ok(6));
    assert_eq!(fields(&hash), ["a", "c", "b", "d"]);
    hash.set(b"c", b"2", OldExpiry::Clear, &limits);
    assert_eq!(fields(&hash), ["a", "b", "d", "c"]);
    assert_eq!(hash.persist(b"a", 5), FieldExpiry::At(at));
    assert_eq!(fields(&hash), ["b", "d", "c", "a"]);
    hash.persist(b"b", 5);
    assert_eq!((hash.encoding(), hash.next_expiry()), (Encoding::ListpackEx, None));
}

#[test]
fn conversions_are_those_of_redis_8() {
    let limits = Limits { hash_max_listpack_entries: 2, hash_max_listpack_value: 5, ..Limits::default() };
    let filled = |fields: &[(&str, &str)]| {
        let mut hash = Hash::new();
        for (field, value) in fields {
            hash.set(field.as_bytes(), value.as_bytes(), OldExpiry::Clear, &limits);
        }
        hash
    };
    assert_eq!(filled(&[("a", "12345"), ("b", ""), ("a", "1")]).encoding(), Encoding::Listpack);
    assert_eq!(filled(&[("a", "1"), ("b", "1"), ("c", "1")]).encoding(), Encoding::Hashtable);
    assert_eq!(filled(&[("a", "123456")]).encoding(), Encoding::Hashtable);
    assert_eq!(filled(&[("sixsix", "1")]).encoding(), Encoding::Hashtable);
    let mut hash = filled(&[("a", "1")]);
    hash.prepare(2, 5, &limits);
    assert_eq!(hash.encoding(), Encoding::Listpack);
    // A missing field gives room for expiries too.
    assert_eq!(hash.set_expiry(b"none", 10, ExpiryCondition::Always, 5), ExpirySet::NoField);
    assert_eq!(hash.encoding(), Encoding::ListpackEx);
    hash.set_expiry(b"a", 10, ExpiryCondition::Always, 5);
    hash.prepare(3, 1, &limits);
    assert_eq!((hash.encoding(), hash.next_expiry()), (Encoding::Hashtable, Some(10)));
    assert_eq!(hash.remove_expired(10, 9), [b""; 0], "a field lives through the millisecond of its expiry");
    assert_eq!(hash.remove_expired(11, 9), [b"a"]);
}

#[test]
fn increments_stop_at_64_bits() {
    let mut hash = Hash::new();
    let limits = Limits::default();
    hash.set(b"n", b"9223372036854775806", OldExpiry::Clear, &limits);
    assert_eq!(hash.increment(b"n", 1, 0, &limits), Ok(i64::MAX));
    assert_eq!(hash.increment(b"n", 1, 0, &limits), Err(IncrError::Overflow));
    hash.set(b"n", b"+1", OldExpiry::Clear, &limits);
    assert_eq!(hash.increment(b"n", 1, 0, &limits), Err(IncrError::NotAnInteger));
    assert_eq!(hash.get(b"n", 0).map(|value| value.to_vec()), Some(b"+1".to_vec()));
}

#[test]
fn hostile_listpacks_are_refused() {
    let check = |items: &[&str], timed, valid| {
        let mut listpack = Listpack::new();
        items.iter().for_each(|item| listpack.push_back(item.as_bytes()));
        assert_eq!(Hash::from_listpack(listpack, timed).is_some(), valid, "{items:?}");
    };
    check(&["a", "1", "b", "1"], false, true);
    check(&["a", "1", "b"], false, false);
    check(&["a", "1", "a", "2"], false, false);
    check(&["a", "1", "7", "b", "1", "7", "c", "1", "0"], true, true);
    check(&["a", "1", "0", "b", "1", "0"], true, true);
    check(&["a", "1", "7", "b", "1"], true, false);
    check(&["a", "1", "7", "b", "1", "6"], true, false);
    check(&["a", "1", "0", "b", "1", "6"], true, false);
    check(&["a", "1", "-1"], true, false);
    check(&["a", "1", "x"], true, false);
    check(&["a", "1", "1", "a", "1", "2"], true, false);
}

#[test]
fn samples_and_scans_hide_what_has_expired() {
    for limit in [0, 1000] {
        let limits = Limits { hash_max_listpack_entries: limit, ..Limits::default() };
        let mut hash = Hash::new();
        for i in 0..400 {
            let field = i.to_string();
            hash.set(field.as_bytes(), b"v", OldExpiry::Clear, &limits);
            if i >= 40 {
                hash.set_expiry(field.as_bytes(), 100 + i % 2, ExpiryCondition::Always, 5);
            }
        }
        let mut rng = Rng::with_seed(8);
        for (now, alive) in [(5, 400), (101, 220), (102, 40)] {
            for count in [0, 1, 30, 60, 219, 400, 1000] {
                let picked = hash.random_distinct(count, now, &mut rng);
                assert!(picked.iter().all(|entry| !entry.is_expired(now)));
                let names: HashSet<_> = picked.iter().map(|entry| entry.field.to_vec()).collect();
                assert_eq!((picked.len(), names.len()), (count.min(alive), count.min(alive)));
            }
            let (mut cursor, mut seen) = (0, HashSet::new());
            loop {
                cursor = hash.scan(cursor, 10, now, |entry| {
                    seen.insert(entry.field.to_vec());
                });
                if cursor == 0 {
                    break;
                }
            }
            assert_eq!(seen.len(), alive);
        }
        assert!(hash.set_expiry(b"0", 50, ExpiryCondition::Always, 0) == ExpirySet::Set);
        (1..40).for_each(|i| assert!(hash.remove(i.to_string().as_bytes())));
        assert!(hash.random(200, &mut rng).is_none());
    }
}

#[test]
fn damaged_dumps_never_panic() {
    let limits = Limits::default();
    let mut rng = Rng::with_seed(78);
    let mut accepted = 0;
    for round in 0..20_000 {
        let mut hash = Hash::new();
        for _ in 0..rng.usize(1..6) {
            let field = [rng.u8(b'a'..b'f')];
            hash.set(&field, b"value", OldExpiry::Clear, &limits);
            if round % 2 == 0 {
                hash.set_expiry(&field, rng.u64(1..100), ExpiryCondition::Always, 0);
            }
        }
        let timed = hash.encoding() == Encoding::ListpackEx;
        let mut bytes = hash.as_listpack().unwrap().as_bytes().to_vec();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(..bytes.len());
            bytes[at] = rng.u8(..);
        }
        let Some(mut hash) = Listpack::from_bytes(&bytes).ok().and_then(|lp| Hash::from_listpack(lp, timed)) else {
            continue;
        };
        accepted += 1;
        hash.set_expiry(b"c", 50, ExpiryCondition::Always, 10);
        hash.set(b"d", b"longer value", OldExpiry::Keep, &limits);
        hash.random(60, &mut rng);
        let next = hash.next_expiry();
        hash.prepare(usize::MAX, 0, &limits);
        assert_eq!((hash.encoding(), hash.next_expiry()), (Encoding::Hashtable, next));
        let names = hash.remove_expired(u64::MAX, usize::MAX);
        assert_eq!(hash.next_expiry(), None, "{names:?}");
    }
    assert!(accepted > 100, "{accepted}");
}

/// A hash that comes to be at once is the one that its fields would make one by one, with bytes in the same order.
#[test]
fn fields_at_once_are_fields_one_by_one() {
    let mut rng = Rng::with_seed(17);
    let limits = Limits { hash_max_listpack_entries: 6, hash_max_listpack_value: 20, ..Limits::default() };
    let mut twice = 0;
    for _ in 0..2000 {
        let lengths = 0..if rng.u8(..) < 20 { 30 } else { 20 };
        let text = |rng: &mut Rng, names: u8| {
            let name = rng.u8(0..names);
            if rng.bool() { name.to_string().into_bytes() } else { vec![b'a' + name % 26; rng.usize(lengths.clone())] }
        };
        let pairs: Vec<_> = (0..rng.usize(1..9)).map(|_| (text(&mut rng, 40), text(&mut rng, 200))).collect();
        let pairs = || pairs.iter().map(|(field, value)| (&field[..], &value[..]));
        let at_once = Hash::of(pairs(), &limits);
        let mut one_by_one = Hash::new();
        let longest = pairs().map(|(field, value)| field.len().max(value.len())).max().unwrap();
        one_by_one.prepare(pairs().len(), longest, &limits);
        let created = pairs().filter(|(field, value)| one_by_one.set(field, value, OldExpiry::Clear, &limits)).count();
        twice += usize::from(created < pairs().len());
        assert_eq!((at_once.len(), at_once.encoding()), (created, one_by_one.encoding()));
        assert_eq!(at_once.as_listpack(), one_by_one.as_listpack());
        assert_eq!(contents(&at_once, 0), contents(&one_by_one, 0));
    }
    assert!(twice > 100, "only {twice} times a field came twice");
}
