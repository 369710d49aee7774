//! A value that came from untrusted bytes is read in every direction and changed at random places beside a model of
//! standard containers. Whatever bytes it was made of, it has to behave as one that commands have made.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use store::entry::Entry;
use store::value::Limits;
use store::value::hash::{EXPIRY_MAX, ExpiryCondition, Hash, OldExpiry};
use store::value::list::{Direction, List, Search, Side};
use store::value::set::Set;
use store::value::stream::{ClaimOptions, Keep, NewId, References, Stream, StreamId, Trim};
use store::value::zset::{AddFlags, Added, SortedSet};

/// Changes a value goes through.
const CHANGES: usize = 12;
/// What is larger than this is walked but not changed: models are slow, and small values have all the forms.
const ELEMENTS_MAX: usize = 2_000;
/// All fields and times count as not expired.
const NEVER: u64 = 0;

/// Limits as the server has them by default, or so small that a handful of elements leaves the small forms.
#[must_use]
pub fn limits(small: bool) -> Limits {
    if !small {
        return Limits::default();
    }
    Limits {
        hash_max_listpack_entries: 2,
        list_max_listpack_size: 2,
        set_max_intset_entries: 2,
        set_max_listpack_entries: 2,
        zset_max_listpack_entries: 2,
        stream_node_max_entries: 2,
        ..Limits::default()
    }
}

/// Reads and changes the value of an entry; `seed` chooses the changes.
///
/// # Panics
/// When it is not what the model says.
pub fn exercise(entry: &mut Entry, limits: &Limits, seed: u64) {
    let rng = &mut Rng::with_seed(seed);
    if let Some(value) = entry.get_mut::<List>() {
        list(value, limits, rng);
    } else if let Some(value) = entry.get_mut::<Set>() {
        set(value, limits, rng);
    } else if let Some(value) = entry.get_mut::<SortedSet>() {
        zset(value, limits, rng);
    } else if let Some(value) = entry.get_mut::<Hash>() {
        hash(value, limits, rng);
    } else if let Some(value) = entry.get_mut::<Stream>() {
        stream(value, limits, rng);
    } else {
        let string = entry.as_str().expect("every other type was asked for");
        assert_eq!(string.bytes().len(), string.len());
    }
    assert!(entry.memory_bytes() > 0);
}

/// Whether nothing is left that a dump could hold: a command would have deleted such a key. Streams stay without entries.
#[must_use]
pub fn is_empty(entry: &Entry) -> bool {
    entry.get::<List>().is_some_and(List::is_empty)
        || entry.get::<Set>().is_some_and(Set::is_empty)
        || entry.get::<SortedSet>().is_some_and(SortedSet::is_empty)
        || entry.get::<Hash>().is_some_and(Hash::is_empty)
}

/// An element that is new, or one of those there are, or beside the limits of the encodings.
fn element(rng: &mut Rng, known: &[Vec<u8>]) -> Vec<u8> {
    match rng.u8(..6) {
        0 => rng.i64(..).to_string().into_bytes(),
        1 => rng.i8(..).to_string().into_bytes(),
        2 => vec![b'x'; *rng.choice(&[0, 1, 63, 64, 65, 127, 128, 4095, 4096, 9000]).expect("some")],
        _ => rng.choice(known).cloned().unwrap_or_else(|| b"new".to_vec()),
    }
}

fn list(list: &mut List, limits: &Limits, rng: &mut Rng) {
    let content = |list: &List| -> Vec<Vec<u8>> { list.iter().map(|item| item.to_vec()).collect() };
    let mut model = content(list);
    let mut backward: Vec<_> =
        list.iter_from(model.len().wrapping_sub(1), Direction::Backward).map(|item| item.to_vec()).collect();
    backward.reverse();
    assert_eq!((&backward, list.len()), (&model, model.len()));
    if model.len() > ELEMENTS_MAX {
        return;
    }
    for _ in 0..CHANGES {
        let new = element(rng, &model);
        let at = rng.usize(..model.len().max(1));
        match rng.u8(..9) {
            0 => {
                list.push_all(Side::Left, [&*new], limits);
                model.insert(0, new);
            }
            1 => {
                list.push_all(Side::Right, [&*new], limits);
                model.push(new);
            }
            2 => assert_eq!(list.pop(Side::Left, limits), (!model.is_empty()).then(|| model.remove(0))),
            3 => assert_eq!(list.pop(Side::Right, limits), model.pop()),
            4 => {
                let found = list.set(at as i64, &new, limits);
                assert_eq!(found, !model.is_empty());
                if found {
                    model[at] = new;
                }
            }
            5 => {
                let pivot = element(rng, &model);
                let place = model.iter().position(|element| *element == pivot);
                assert_eq!(list.insert(Side::Right, &pivot, &new, limits), place.is_some());
                if let Some(place) = place {
                    model.insert(place + 1, new);
                }
            }
            6 => {
                let before = model.len();
                model.retain(|element| *element != new);
                assert_eq!(list.remove(0, &new, limits), before - model.len());
            }
            7 => {
                list.remove_range(at, 2, limits);
                model.drain(at..(at + 2).min(model.len()));
            }
            _ => {
                let stop = model.len().saturating_sub(2) as i64;
                list.trim(1, stop, limits);
                model.truncate(stop as usize + 1);
                model.drain(..1.min(model.len()));
            }
        }
        assert_eq!((content(list), list.len()), (model.clone(), model.len()));
        let wanted = element(rng, &model);
        let places: Vec<usize> = (0..model.len()).filter(|at| model[*at] == wanted).collect();
        assert_eq!(list.positions(&wanted, Search { rank: 1, count: 0, maxlen: 0 }), places);
    }
}

fn set(set: &mut Set, limits: &Limits, rng: &mut Rng) {
    let content = |set: &Set| -> BTreeSet<Vec<u8>> { set.iter().map(|item| item.to_vec()).collect() };
    let mut model = content(set);
    assert_eq!(set.len(), model.len(), "no member twice");
    assert!(model.iter().all(|member| set.contains(member)));
    if model.len() > ELEMENTS_MAX {
        return;
    }
    for _ in 0..CHANGES {
        let known: Vec<_> = model.iter().cloned().collect();
        let member = element(rng, &known);
        match rng.u8(..5) {
            0 | 1 => assert_eq!(set.add(&member, limits), model.insert(member)),
            2 => assert_eq!(set.remove(&member), model.remove(&member)),
            3 => {
                let popped = set.pop(rng);
                assert_eq!(popped.is_some(), !model.is_empty());
                assert!(popped.is_none_or(|member| model.remove(&member)));
            }
            _ => {
                let picked = set.random_distinct(rng.usize(..4), rng);
                assert!(picked.iter().all(|member| model.contains(&member.to_vec())));
            }
        }
        assert_eq!((content(set), set.len()), (model.clone(), model.len()));
        let mut seen = BTreeSet::new();
        let mut cursor = 0;
        loop {
            cursor = set.scan(cursor, 10, |member| seen.extend([member.to_vec()]));
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(seen, model);
    }
}

fn zset(zset: &mut SortedSet, limits: &Limits, rng: &mut Rng) {
    let content = |zset: &SortedSet| -> Vec<(Vec<u8>, f64)> {
        zset.iter().map(|(member, score)| (member.to_vec(), score)).collect()
    };
    let mut model: BTreeMap<Vec<u8>, f64> = content(zset).into_iter().collect();
    sorted(&content(zset), &model, zset.len());
    if model.len() > ELEMENTS_MAX {
        return;
    }
    for _ in 0..CHANGES {
        let known: Vec<_> = model.keys().cloned().collect();
        let member = element(rng, &known);
        let score = *rng.choice(&[0.0, -0.0, 1.5, 1e300, f64::INFINITY, f64::NEG_INFINITY, -3.0]).expect("some");
        match rng.u8(..6) {
            0..3 => {
                let added = zset.add(&member, score, AddFlags::empty(), limits);
                match model.get(&member) {
                    None => assert_eq!(added, Added::New(score)),
                    Some(old) if *old == score => assert!(matches!(added, Added::Same(_))),
                    Some(_) => assert_eq!(added, Added::Updated(score)),
                }
                model.insert(member, score);
            }
            3 => assert_eq!(zset.remove(&member), model.remove(&member)),
            4 => {
                let first = content(zset).first().cloned();
                assert_eq!(zset.pop_min(), first);
                first.map(|(member, _)| model.remove(&member));
            }
            _ => {
                let all = content(zset);
                let at = rng.usize(..=all.len());
                for (member, _) in all.iter().skip(at).take(2) {
                    model.remove(member);
                }
                zset.remove_range(at..at + 2);
            }
        }
        let all = content(zset);
        sorted(&all, &model, zset.len());
        if !all.is_empty() {
            let at = rng.usize(..all.len());
            assert_eq!(zset.rank(&all[at].0), Some((at, all[at].1)));
        }
    }
}

fn sorted(content: &[(Vec<u8>, f64)], model: &BTreeMap<Vec<u8>, f64>, len: usize) {
    assert_eq!((content.len(), len), (model.len(), model.len()), "no member twice");
    assert!(content.iter().all(|(member, score)| model.get(member) == Some(score)));
    let ascending =
        |(left, low): &(Vec<u8>, f64), (right, high): &(Vec<u8>, f64)| low < high || (low == high && left < right);
    assert!(content.is_sorted_by(ascending), "{content:?}");
}

/// A field's value and when it expires.
type FieldModel = (Vec<u8>, Option<u64>);

fn hash(hash: &mut Hash, limits: &Limits, rng: &mut Rng) {
    let content = |hash: &Hash| -> BTreeMap<Vec<u8>, FieldModel> {
        hash.iter(NEVER).map(|entry| (entry.field.to_vec(), (entry.value.to_vec(), entry.expiry))).collect()
    };
    let mut model = content(hash);
    assert_eq!(hash.len(), model.len(), "no field twice");
    if model.len() > ELEMENTS_MAX {
        return;
    }
    for _ in 0..CHANGES {
        let known: Vec<_> = model.keys().cloned().collect();
        let (field, value) = (element(rng, &known), element(rng, &known));
        match rng.u8(..8) {
            0..3 => {
                let is_new = hash.set(&field, &value, OldExpiry::Clear, limits);
                assert_eq!(is_new, model.insert(field, (value, None)).is_none());
            }
            3 => assert_eq!(hash.remove(&field), model.remove(&field).is_some()),
            4 | 5 => {
                let at = *rng.choice(&[1, 5, 1 << 40, EXPIRY_MAX]).expect("some");
                hash.set_expiry(&field, at, ExpiryCondition::Always, NEVER);
                if let Some(model) = model.get_mut(&field) {
                    model.1 = Some(at);
                }
            }
            6 => {
                hash.persist(&field, NEVER);
                if let Some(model) = model.get_mut(&field) {
                    model.1 = None;
                }
            }
            _ => {
                let removed = hash.remove_expired(6, 1);
                removed.iter().for_each(|field| assert!(model.remove(field).is_some_and(|(_, at)| at < Some(6))));
            }
        }
        assert_eq!((content(hash), hash.len()), (model.clone(), model.len()));
        assert!(
            model.iter().all(|(field, (value, _))| hash.get(field, NEVER).is_some_and(|item| item.eq_bytes(value)))
        );
        assert_eq!(hash.next_expiry(), model.values().filter_map(|(_, expiry)| *expiry).min());
    }
}

/// An entry's id, and its fields and values one after the other.
type EntryModel = (StreamId, Vec<Vec<u8>>);

fn stream(stream: &mut Stream, limits: &Limits, rng: &mut Rng) {
    let content = |stream: &Stream| -> Vec<EntryModel> {
        let fields = |entry: store::value::stream::Entry<'_>| {
            entry.fields().flat_map(|(field, value)| [field.to_vec(), value.to_vec()]).collect()
        };
        stream.range(StreamId::MIN, StreamId::MAX).map(|entry| (entry.id(), fields(entry))).collect()
    };
    let mut model = content(stream);
    let mut backward: Vec<_> = stream.range_rev(StreamId::MIN, StreamId::MAX).map(|entry| entry.id()).collect();
    backward.reverse();
    assert!(backward.is_sorted() && backward.iter().eq(model.iter().map(|(id, _)| id)));
    if model.len() > ELEMENTS_MAX {
        return;
    }
    // Entries that came in deleted may have any id, and one that is large ends a trim by id early, as it does in Redis.
    let is_ordered = stream.nodes().all(|(_, node)| node.get(1).is_some_and(|deleted| deleted.as_int() == Some(0)));
    let known = vec![b"field".to_vec(), b"7".to_vec()];
    for now_ms in 0..CHANGES as u64 {
        let some_id = rng.choice(&model).map_or(StreamId::new(3, 3), |(id, _)| *id);
        match rng.u8(..6) {
            0 | 1 => {
                let fields = [element(rng, &known), element(rng, &known)];
                if let Ok(id) = stream.append(NewId::Auto, [(&*fields[0], &*fields[1])], now_ms, limits) {
                    model.push((id, fields.to_vec()));
                }
            }
            2 => {
                let references = *rng.choice(&[References::Keep, References::Delete]).expect("some");
                stream.delete_with(some_id, references);
                model.retain(|(id, _)| *id != some_id);
            }
            3 => {
                stream.trim(&Trim { keep: Keep::From(some_id), approximate: false, limit: 0 });
                let first = if is_ordered { some_id } else { content(stream).first().map_or(some_id, |(id, _)| *id) };
                model.retain(|(id, _)| *id >= first.min(some_id));
            }
            4 => {
                let keep = rng.usize(..=model.len());
                stream.trim(&Trim { keep: Keep::Newest(keep as u64), approximate: false, limit: 0 });
                model.drain(..model.len() - keep);
            }
            _ => groups(stream, some_id, now_ms, rng),
        }
        assert_eq!((content(stream), stream.len()), (model.clone(), model.len() as u64));
        assert!(model.iter().all(|(id, _)| stream.get(*id).is_some_and(|entry| entry.id() == *id)));
        assert_eq!(stream.last().map(|entry| entry.id()), model.last().map(|(id, _)| *id));
    }
}

/// What consumer groups do; afterwards each pending entry is in one consumer's list, and in no other.
fn groups(stream: &mut Stream, some_id: StreamId, now_ms: u64, rng: &mut Rng) {
    stream.create_group(b"new", StreamId::MIN, None);
    let names: Vec<Vec<u8>> = stream.groups().map(|(name, _)| name.to_vec()).collect();
    for name in names {
        match rng.u8(..5) {
            0 => drop(stream.deliver(&name, b"carol", 2, false, now_ms)),
            1 => drop(stream.redeliver(&name, b"carol", StreamId::MIN, 2, now_ms)),
            2 => drop(stream.acknowledge(&name, &[some_id])),
            3 => {
                let options = ClaimOptions { force: true, ..ClaimOptions::default() };
                stream.claim(&name, b"dave", &[some_id], &options, now_ms);
                stream.auto_claim(&name, b"erin", StreamId::MIN, 2, &options, now_ms);
            }
            _ => drop(stream.delete_consumer(&name, b"carol")),
        }
        let group = stream.group(&name).expect("it was not destroyed");
        stream.lag(group);
        let mut pending: Vec<StreamId> = group.consumers().flat_map(|consumer| consumer.pending_ids()).collect();
        pending.sort_unstable();
        let all: Vec<StreamId> = group.pending(StreamId::MIN, StreamId::MAX).map(|pending| pending.id).collect();
        assert_eq!((&pending, all.len()), (&all, group.pending_len()));
    }
}
