use std::collections::BTreeMap;

use super::*;

const fn id(ms: u64, seq: u64) -> StreamId {
    StreamId::new(ms, seq)
}

/// A stream with one entry for each id, of one field.
fn stream_of(ids: impl IntoIterator<Item = StreamId>, limits: &Limits) -> Stream {
    let mut stream = Stream::new();
    for id in ids {
        stream.append(NewId::Exact(id), [(&b"f"[..], &b"v"[..])], 0, limits).expect("ids ascend");
    }
    stream
}

fn entries_a_node(stream_node_max_entries: usize) -> Limits {
    Limits { stream_node_max_entries, ..Limits::default() }
}

fn ids<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<StreamId> {
    entries.map(|entry| entry.id()).collect()
}

fn all(stream: &Stream) -> Vec<StreamId> {
    ids(stream.range(StreamId::MIN, StreamId::MAX))
}

#[test]
fn ids_are_read_and_printed() {
    let check = |text: &str, expected| assert_eq!(NewId::parse(text.as_bytes()), expected, "{text}");
    check("*", Some(NewId::Auto));
    check("5-*", Some(NewId::AutoSeq(5)));
    check("5", Some(NewId::Exact(id(5, 0))));
    check("5-7", Some(NewId::Exact(id(5, 7))));
    check("18446744073709551615-18446744073709551615", Some(NewId::Exact(StreamId::MAX)));
    for bad in ["", "-", "+", "a", "5-", "-5", "5-a", "*-5", "5-6-7", "18446744073709551616", "1-1 ", &"1".repeat(128)]
    {
        check(bad, None);
    }
    assert_eq!(StreamId::parse(b"3", 9), Some(id(3, 9)));
    assert_eq!(id(3, 9).to_string(), "3-9");
    assert_eq!(StreamId::from_be_bytes(id(3, 9).to_be_bytes()), id(3, 9));
    assert_eq!(id(3, u64::MAX).next(), Some(id(4, 0)));
    assert_eq!(id(4, 0).prev(), Some(id(3, u64::MAX)));
    assert_eq!((StreamId::MAX.next(), StreamId::MIN.prev()), (None, None));
}

#[test]
fn new_ids_only_grow() {
    let limits = Limits::default();
    let mut stream = Stream::new();
    let mut add = |id, now_ms| stream.append(id, [(&b"f"[..], &b"v"[..])], now_ms, &limits);
    assert_eq!(add(NewId::Exact(StreamId::MIN), 0), Err(AddError::Zero));
    assert_eq!(add(NewId::AutoSeq(0), 0), Ok(id(0, 1)));
    assert_eq!(add(NewId::Auto, 100), Ok(id(100, 0)));
    assert_eq!(add(NewId::Auto, 50), Ok(id(100, 1)));
    assert_eq!(add(NewId::AutoSeq(100), 0), Ok(id(100, 2)));
    assert_eq!(add(NewId::AutoSeq(99), 0), Err(AddError::NotGreater));
    assert_eq!(add(NewId::Exact(id(100, 2)), 0), Err(AddError::NotGreater));
    assert_eq!(add(NewId::Exact(id(101, u64::MAX)), 0), Ok(id(101, u64::MAX)));
    assert_eq!(add(NewId::AutoSeq(101), 0), Err(AddError::NotGreater));
    assert_eq!(add(NewId::Auto, 100), Ok(id(102, 0)));
    assert_eq!(add(NewId::Exact(StreamId::MAX), 0), Ok(StreamId::MAX));
    assert_eq!(add(NewId::Auto, 100), Err(AddError::Exhausted));
}

/// The node that `DUMP` of Redis 8.0.2 shows after the same commands.
#[test]
fn node_bytes_are_those_of_redis() {
    let limits = Limits::default();
    let mut stream = Stream::new();
    let mut add = |id, fields: &[(&str, &str)]| {
        let fields = fields.iter().map(|(field, value)| (field.as_bytes(), value.as_bytes()));
        stream.append(NewId::Exact(id), fields, 0, &limits).expect("ids ascend");
    };
    add(id(1000, 5), &[("a", "1"), ("b", "2")]);
    add(id(1001, 0), &[("a", "x"), ("b", "-7")]);
    add(id(1002, 1), &[("c", "y")]);
    stream.delete(&[id(1001, 0)]);
    let nodes: Vec<_> = stream.nodes().map(|(master, pack)| (master, pack.as_bytes().to_vec())).collect();
    assert_eq!(nodes, [(id(1000, 5), GOLDEN_NODE.to_vec())]);
}

const GOLDEN_NODE: &[u8] = &[
    65, 0, 0, 0, 25, 0, // 65 bytes, 25 elements
    2, 1, 1, 1, 2, 1, 129, 97, 2, 129, 98, 2, 0, 1, // two live, one deleted; the fields a and b
    2, 1, 0, 1, 0, 1, 1, 1, 2, 1, 5, 1, // same fields, +0-0: 1 2
    3, 1, 1, 1, 223, 251, 2, 129, 120, 2, 223, 249, 2, 5, 1, // deleted, same fields, +1-(-5): x -7
    0, 1, 2, 1, 223, 252, 2, 1, 1, 129, 99, 2, 129, 121, 2, 6, 1, // one field of its own, +2-(-4): c y
    255,
];

#[test]
fn nodes_end_at_either_limit() {
    let check = |stream_node_max_bytes, stream_node_max_entries, expected| {
        let limits = Limits { stream_node_max_bytes, stream_node_max_entries, ..Limits::default() };
        let stream = stream_of((1..=100).map(|ms| id(ms, 0)), &limits);
        assert_eq!(stream.nodes().len(), expected, "{stream_node_max_bytes} bytes, {stream_node_max_entries} entries");
    };
    check(0, 0, 1);
    check(0, 10, 10);
    check(4096, 100, 1);
    check(1, 0, 100);
}

#[test]
fn approximate_trimming_takes_whole_nodes_within_the_limit() {
    let stream = stream_of((1..=100).map(|ms| id(ms, 0)), &entries_a_node(10));
    let check = |keep, approximate, limit, expected| {
        let mut trimmed = stream.clone();
        assert_eq!(trimmed.trim(&Trim { keep, approximate, limit }), expected, "{keep:?} {approximate} {limit}");
        assert_eq!(trimmed.len(), 100 - expected);
        assert_eq!(all(&trimmed), all(&stream)[expected as usize..]);
        assert_eq!(trimmed.first_id(), trimmed.first().map_or(StreamId::MIN, |entry| entry.id()));
        assert_eq!(trimmed.max_deleted_id(), StreamId::MIN);
    };
    check(Keep::Newest(55), false, 0, 45);
    check(Keep::Newest(55), true, 0, 40);
    check(Keep::Newest(55), true, 25, 20);
    check(Keep::Newest(55), true, 9, 0);
    check(Keep::Newest(0), true, 0, 100);
    check(Keep::Newest(100), false, 0, 0);
    check(Keep::From(id(46, 0)), false, 0, 45);
    check(Keep::From(id(46, 0)), true, 0, 40);
    check(Keep::From(id(41, 0)), true, 0, 40);
    check(Keep::From(StreamId::MAX), true, 30, 30);
    assert_eq!(Trim::default_limit(&Limits::default()), 10_000);
    assert_eq!(Trim::default_limit(&entries_a_node(0)), 10_000);
    assert_eq!(Trim::default_limit(&entries_a_node(50_000)), 1_000_000);
}

#[test]
fn lag_is_told_only_where_it_is_known() {
    let limits = Limits::default();
    let lag = |stream: &Stream| stream.lag(stream.group(b"g").expect("the group is there"));
    let mut stream = stream_of((1..=5).map(|ms| id(ms, 0)), &limits);
    stream.create_group(b"g", StreamId::MIN, None);
    assert_eq!(lag(&stream), Some(5));
    stream.deliver(b"g", b"c", 2, true, 0);
    assert_eq!(stream.group(b"g").and_then(Group::entries_read), Some(2));
    assert_eq!(lag(&stream), Some(3));
    // A hole ahead of the group: nobody knows how many lie before it.
    stream.delete(&[id(4, 0)]);
    assert_eq!(lag(&stream), None);
    stream.deliver(b"g", b"c", 0, true, 0);
    assert_eq!((stream.group(b"g").and_then(Group::entries_read), lag(&stream)), (Some(5), Some(0)));
    stream.set_group_id(b"g", id(2, 0), None);
    assert_eq!(lag(&stream), None);
    stream.set_group_id(b"g", id(2, 0), Some(99));
    stream.trim(&Trim { keep: Keep::Newest(1), approximate: false, limit: 0 });
    assert_eq!(lag(&stream), Some(1));
    stream.trim(&Trim { keep: Keep::Newest(0), approximate: false, limit: 0 });
    assert_eq!(lag(&stream), Some(0));
}

#[test]
fn the_last_id_is_set_within_reason() {
    let mut stream = stream_of((1..=3).map(|ms| id(ms, 0)), &Limits::default());
    stream.delete(&[id(3, 0)]);
    assert_eq!(stream.set_id(id(9, 0), None, Some(id(10, 0))), Err(SetIdError::BelowGivenDeleted));
    assert_eq!(stream.set_id(id(2, 0), None, None), Err(SetIdError::BelowDeleted));
    assert_eq!(stream.set_id(id(9, 0), Some(1), None), Err(SetIdError::AddedBelowLength));
    assert_eq!(stream.set_id(id(9, 0), Some(7), Some(id(8, 0))), Ok(()));
    assert_eq!((stream.last_id(), stream.entries_added(), stream.max_deleted_id()), (id(9, 0), 7, id(8, 0)));
    let mut stream = stream_of((1..=3).map(|ms| id(ms, 0)), &Limits::default());
    assert_eq!(stream.set_id(id(2, 0), None, None), Err(SetIdError::BelowTop));
}

/// Two groups that have read two entries.
fn read_by_two_groups() -> Stream {
    let mut stream = stream_of([id(1, 0), id(2, 0)], &Limits::default());
    for group in [&b"group1"[..], b"group2"] {
        stream.create_group(group, StreamId::MIN, None);
        stream.deliver(group, b"consumer", 0, false, 0);
    }
    stream
}

fn pending_lens(stream: &Stream) -> Vec<usize> {
    stream.groups().map(|(_, group)| group.pending_len()).collect()
}

/// As in "XACKDEL with KEEPREF", "... DELREF ..." and "... ACKED ..." of `unit/type/stream-cgroups` in Redis 8.2.
#[test]
fn acknowledging_and_deleting_follows_the_references() {
    let both = [id(1, 0), id(2, 0)];
    let act = |stream: &mut Stream, group: &[u8], references| {
        both.map(|id| stream.acknowledge_and_delete(group, id, references))
    };

    let mut stream = read_by_two_groups();
    assert_eq!(act(&mut stream, b"group1", References::Delete), [Deletion::Deleted; 2]);
    assert_eq!((stream.len(), pending_lens(&stream)), (0, vec![0, 0]));
    assert_eq!(act(&mut stream, b"group2", References::Delete), [Deletion::NoSuchId; 2]);

    let mut stream = read_by_two_groups();
    assert_eq!(act(&mut stream, b"group1", References::Acknowledged), [Deletion::Referenced; 2]);
    assert_eq!((stream.len(), pending_lens(&stream)), (2, vec![0, 2]));
    assert_eq!(act(&mut stream, b"group2", References::Acknowledged), [Deletion::Deleted; 2]);
    assert_eq!((stream.len(), pending_lens(&stream)), (0, vec![0, 0]));

    let mut stream = read_by_two_groups();
    assert_eq!(act(&mut stream, b"group1", References::Keep), [Deletion::Deleted; 2]);
    assert_eq!((stream.len(), pending_lens(&stream)), (0, vec![0, 2]));
    assert_eq!(act(&mut stream, b"group2", References::Keep), [Deletion::Deleted; 2]);
    assert_eq!(pending_lens(&stream), [0, 0]);
    assert_eq!(act(&mut stream, b"none", References::Keep), [Deletion::NoSuchId; 2]);
}

/// As in "XGROUP DESTROY removes all consumer group references" and "XGROUP DESTROY correctly manage
/// min_cgroup_last_id cache" of the same unit, and the documentation of XDELEX for `DELREF`.
#[test]
fn deleting_follows_the_references() {
    let mut stream = read_by_two_groups();
    assert_eq!(stream.delete_with(id(1, 0), References::Acknowledged), Deletion::Referenced);
    stream.destroy_group(b"group1");
    assert_eq!(stream.delete_with(id(1, 0), References::Acknowledged), Deletion::Referenced);
    stream.destroy_group(b"group2");
    assert_eq!(stream.delete_with(id(1, 0), References::Acknowledged), Deletion::Deleted);
    assert_eq!(stream.delete_with(id(1, 0), References::Acknowledged), Deletion::NoSuchId);

    let mut stream = stream_of((1..=5).map(|ms| id(ms, 0)), &Limits::default());
    stream.create_group(b"group1", id(1, 0), None);
    stream.create_group(b"group2", id(3, 0), None);
    assert_eq!(stream.delete_with(id(1, 0), References::Acknowledged), Deletion::Deleted);
    assert_eq!(stream.delete_with(id(2, 0), References::Acknowledged), Deletion::Referenced);

    let mut stream = read_by_two_groups();
    assert_eq!(stream.delete_with(id(1, 0), References::Keep), Deletion::Deleted);
    assert_eq!(pending_lens(&stream), [2, 2]);
    // The entry is gone already; what the groups still hold of it goes all the same.
    assert_eq!(stream.delete_with(id(1, 0), References::Delete), Deletion::NoSuchId);
    assert_eq!(pending_lens(&stream), [1, 1]);
}

#[test]
fn claims_note_who_when_and_how_often() {
    let mut stream = read_by_two_groups();
    let pending = |stream: &Stream| -> Vec<(u64, Vec<u8>, u64, u64)> {
        let group = stream.group(b"group1").expect("the group is there");
        let pending = group.pending(StreamId::MIN, StreamId::MAX);
        pending.map(|p| (p.id.ms, p.consumer.to_vec(), p.delivery_time, p.delivery_count)).collect()
    };
    let mut claim = |ids: &[StreamId], options: ClaimOptions| {
        let claimed = stream.claim(b"group1", b"other", ids, &options, 100).expect("the group is there");
        (claimed.iter().map(|claimed| claimed.id.ms).collect::<Vec<_>>(), pending(&stream))
    };
    let by = |name: &[u8], time, count| (name.to_vec(), time, count);
    let row = |ms, (name, time, count): (Vec<u8>, u64, u64)| (ms, name, time, count);

    let (claimed, left) = claim(&[id(1, 0)], ClaimOptions { min_idle_ms: 101, ..Default::default() });
    assert_eq!((claimed, left[0].clone()), (vec![], row(1, by(b"consumer", 0, 1))));
    let (claimed, left) = claim(&[id(1, 0)], ClaimOptions { min_idle_ms: 100, ..Default::default() });
    assert_eq!((claimed, left[0].clone()), (vec![1], row(1, by(b"other", 100, 2))));
    let options = ClaimOptions { just_id: true, delivery_time: Some(70), ..Default::default() };
    let (_, left) = claim(&[id(1, 0)], options);
    assert_eq!(left[0], row(1, by(b"other", 70, 2)));
    let options = ClaimOptions { retry_count: Some(9), delivery_time: Some(700), ..Default::default() };
    let (_, left) = claim(&[id(1, 0)], options);
    assert_eq!(left[0], row(1, by(b"other", 100, 9)), "a time to come is now");

    stream.acknowledge(b"group1", &[id(1, 0)]);
    let mut claim = |force| {
        let options = ClaimOptions { force, ..Default::default() };
        stream.claim(b"group1", b"other", &[id(1, 0), id(7, 0)], &options, 100)
    };
    assert_eq!(claim(false), Some(vec![]));
    assert_eq!(claim(true), Some(vec![Claimed { id: id(1, 0), claim: Claim::Moved }]));
    stream.delete(&[id(2, 0)]);
    let gone = stream.auto_claim(b"group1", b"x", StreamId::MIN, 1, &ClaimOptions::default(), 100);
    let moved = Claimed { id: id(1, 0), claim: Claim::Moved };
    assert_eq!(gone, Some(AutoClaim { next: id(2, 0), claimed: vec![moved] }));
    let gone = stream.auto_claim(b"group1", b"x", id(2, 0), 1, &ClaimOptions::default(), 100);
    let lost = Claimed { id: id(2, 0), claim: Claim::Gone };
    assert_eq!(gone, Some(AutoClaim { next: StreamId::MIN, claimed: vec![lost] }));
    assert_eq!(stream.delete_consumer(b"group1", b"x"), Some(Some(1)));
    assert_eq!(pending(&stream), []);
}

#[test]
fn auto_claim_gives_up_after_so_many_attempts() {
    let mut stream = stream_of((1..=50).map(|ms| id(ms, 0)), &Limits::default());
    stream.create_group(b"g", StreamId::MIN, None);
    stream.deliver(b"g", b"c", 0, false, 0);
    let options = ClaimOptions { min_idle_ms: 1000, ..Default::default() };
    let result = stream.auto_claim(b"g", b"d", StreamId::MIN, 2, &options, 10);
    assert_eq!(result, Some(AutoClaim { next: id(21, 0), claimed: vec![] }));
}

type OwnedFields = Vec<(Vec<u8>, Vec<u8>)>;
/// Who has each pending entry, and how often it was delivered.
type PendingModel = BTreeMap<StreamId, (Vec<u8>, u64)>;

/// A stream and one group in plain maps.
#[derive(Default)]
struct Model {
    entries: BTreeMap<StreamId, OwnedFields>,
    added: u64,
    last_id: StreamId,
    /// What the group has read up to, and what is pending in it.
    group: Option<(StreamId, PendingModel)>,
}

#[test]
fn it_behaves_like_a_map() {
    for seed in 0..150 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (stream_node_max_bytes, stream_node_max_entries) =
            *rng.choice(&[(4096, 100), (100, 0), (0, 3), (0, 1), (0, 0), (0, 300)]).expect("not empty");
        let limits = Limits { stream_node_max_bytes, stream_node_max_entries, ..Limits::default() };
        let mut stream = Stream::new();
        let mut model = Model::default();
        for now in 0..250 {
            step(&mut stream, &mut model, &limits, now, &mut rng);
            assert_same(&stream, &model, &mut rng);
        }
    }
}

fn step(stream: &mut Stream, model: &mut Model, limits: &Limits, now: u64, rng: &mut fastrand::Rng) {
    let some = id(rng.u64(..=model.last_id.ms + 1), rng.u64(..3));
    let known = model.entries.keys().nth(rng.usize(..=model.entries.len())).copied().unwrap_or(some);
    let consumer: &[u8] = if rng.bool() { b"alice" } else { b"bob" };
    match rng.u8(..20) {
        0..=8 => {
            let fields = random_fields(rng);
            let pairs = fields.iter().map(|(field, value)| (&field[..], &value[..]));
            let new_id = match rng.u8(..3) {
                0 => NewId::Auto,
                1 => NewId::AutoSeq(model.last_id.ms + rng.u64(..2)),
                _ => NewId::Exact(some),
            };
            if let Ok(id) = stream.append(new_id, pairs, now, limits) {
                assert!(id > model.last_id && (new_id == NewId::Exact(id) || new_id != NewId::Exact(some)));
                model.entries.insert(id, fields);
                model.last_id = id;
                model.added += 1;
            } else {
                assert!(some <= model.last_id || some == StreamId::MIN, "{new_id:?}");
            }
        }
        9..=11 => {
            let deleted = [some, known].map(|id| usize::from(model.entries.remove(&id).is_some()));
            assert_eq!(stream.delete(&[some, known]), deleted[0] + deleted[1]);
        }
        12 => {
            let keep = if rng.bool() { Keep::Newest(rng.u64(..=stream.len() + 1)) } else { Keep::From(known) };
            let before = model.entries.len();
            match keep {
                Keep::Newest(count) => {
                    while model.entries.len() as u64 > count {
                        model.entries.pop_first();
                    }
                }
                Keep::From(id) => model.entries = model.entries.split_off(&id),
            }
            let removed = stream.trim(&Trim { keep, approximate: false, limit: 0 });
            assert_eq!(removed as usize, before - model.entries.len());
        }
        13 => {
            assert_eq!(stream.create_group(b"g", some, None), model.group.is_none());
            model.group.get_or_insert((some, BTreeMap::new()));
        }
        14..=16 => {
            let Some((last_id, pending)) = &mut model.group else { return };
            let count = rng.usize(..5);
            let after = (std::ops::Bound::Excluded(*last_id), std::ops::Bound::Unbounded);
            let max = if count == 0 { usize::MAX } else { count };
            let new: Vec<_> = model.entries.range(after).take(max).map(|(id, _)| *id).collect();
            let delivery = stream.deliver(b"g", consumer, count, false, now);
            assert_eq!(delivery.map_or(vec![], |delivery| ids(stream.range(delivery.first, delivery.last))), new);
            assert_eq!(delivery.map_or(0, |delivery| delivery.count), new.len());
            *last_id = new.last().copied().unwrap_or(*last_id);
            pending.extend(new.into_iter().map(|id| (id, (consumer.to_vec(), 1))));
        }
        17 => {
            let expected = model.group.as_mut().map_or(0, |(_, pending)| usize::from(pending.remove(&known).is_some()));
            assert_eq!(stream.acknowledge(b"g", &[known]), expected);
        }
        18 => {
            let Some((_, pending)) = &mut model.group else { return };
            for (id, exists) in stream.redeliver(b"g", consumer, some, 3, now) {
                let (owner, count) = pending.get_mut(&id).expect("it was pending");
                *count += u64::from(exists);
                assert_eq!((&owner[..], exists), (consumer, model.entries.contains_key(&id)));
            }
        }
        _ => {
            let Some((_, pending)) = &mut model.group else { return };
            let result = stream.auto_claim(b"g", consumer, some, 2, &ClaimOptions::default(), now);
            for claimed in result.expect("the group is there").claimed {
                let before = pending.remove(&claimed.id).expect("it was pending");
                assert_eq!(claimed.claim == Claim::Moved, model.entries.contains_key(&claimed.id));
                if claimed.claim == Claim::Moved {
                    pending.insert(claimed.id, (consumer.to_vec(), before.1 + 1));
                }
            }
        }
    }
}

fn assert_same(stream: &Stream, model: &Model, rng: &mut fastrand::Rng) {
    assert_eq!((stream.len(), stream.entries_added()), (model.entries.len() as u64, model.added));
    assert_eq!(stream.last_id(), model.last_id);
    assert_eq!(stream.first_id(), model.entries.first_key_value().map_or(StreamId::MIN, |(id, _)| *id));
    assert_eq!(all(stream), model.entries.keys().copied().collect::<Vec<_>>());
    let (a, b) = (id(rng.u64(..=model.last_id.ms + 1), rng.u64(..3)), id(rng.u64(..=model.last_id.ms + 1), 1));
    let (first, last) = (a.min(b), a.max(b));
    let expected: Vec<_> = model.entries.range(first..=last).map(|(id, fields)| (*id, fields.clone())).collect();
    let read = |entry: Entry<'_>| {
        assert_eq!(entry.len(), entry.fields().count());
        (entry.id(), entry.fields().map(|(field, value)| (field.to_vec(), value.to_vec())).collect::<Vec<_>>())
    };
    assert!(stream.range(first, last).map(read).eq(expected.iter().cloned()));
    assert!(stream.range_rev(first, last).map(read).eq(expected.iter().rev().cloned()));
    assert_eq!(stream.range(last, first).count(), usize::from(first == last && expected.len() == 1));
    assert_eq!(stream.get(a).map(read).map(|entry| entry.1), model.entries.get(&a).cloned());
    if let Some((last_id, pending)) = &model.group {
        let group = stream.group(b"g").expect("the group is there");
        group.assert_sound();
        assert_eq!(group.last_id(), *last_id);
        let shown =
            group.pending(StreamId::MIN, StreamId::MAX).map(|p| (p.id, (p.consumer.to_vec(), p.delivery_count)));
        assert!(shown.eq(pending.iter().map(|(id, of)| (*id, of.clone()))));
        let of_bob = group.pending_of(b"bob", first, last).map(|p| p.id);
        assert!(of_bob.eq(pending.range(first..=last).filter(|(_, of)| of.0 == b"bob").map(|(id, _)| *id)));
    }
    if rng.u8(..10) == 0 {
        let copy = Stream::from_parts(parts_of(stream)).expect("its own parts make a stream");
        assert_eq!(format!("{:?}", parts_of(&copy)), format!("{:?}", parts_of(stream)));
    }
}

fn random_fields(rng: &mut fastrand::Rng) -> OwnedFields {
    let mut pair = |n| {
        let field = if rng.u8(..5) == 0 { rng.i16(..).to_string() } else { format!("field{n}") };
        let value = if rng.bool() { vec![b'v'; rng.usize(..80)] } else { rng.i32(..).to_string().into_bytes() };
        (field.into_bytes(), value)
    };
    (0..3).map(&mut pair).collect()
}

/// What a dump would hold.
fn parts_of(stream: &Stream) -> StreamParts {
    let group_parts = |(name, group): (&[u8], &Group)| GroupParts {
        name: name.to_vec(),
        last_id: group.last_id(),
        entries_read: group.entries_read(),
        pending: group
            .pending(StreamId::MIN, StreamId::MAX)
            .map(|p| PendingParts { id: p.id, delivery_time: p.delivery_time, delivery_count: p.delivery_count })
            .collect(),
        consumers: group
            .consumers()
            .map(|consumer| ConsumerParts {
                name: consumer.name().to_vec(),
                seen_time: consumer.seen_time(),
                active_time: consumer.active_time(),
                pending: consumer.pending_ids().collect(),
            })
            .collect(),
    };
    StreamParts {
        nodes: stream.nodes().map(|(master, pack)| (master, pack.as_bytes().to_vec())).collect(),
        length: stream.len(),
        last_id: stream.last_id(),
        counters: Some(CountersParts {
            first_id: stream.first_id(),
            max_deleted_id: stream.max_deleted_id(),
            entries_added: stream.entries_added(),
        }),
        groups: stream.groups().map(group_parts).collect(),
    }
}

#[test]
fn type_15_is_filled_in() {
    let mut parts = parts_of(&read_by_two_groups());
    parts.counters = None;
    let stream = Stream::from_parts(parts).expect("well-formed");
    assert_eq!((stream.first_id(), stream.entries_added(), stream.max_deleted_id()), (id(1, 0), 2, StreamId::MIN));
    assert_eq!(stream.group(b"group1").and_then(Group::entries_read), Some(2));
}

/// Before 7.0 XSETID could set the last id below a deleted one, and dumps from then hold what followed. Redis 8.0.2 ends
/// XTRIM MINID at such an entry; a replica must do the same, or it has other entries than its primary.
#[test]
fn a_trim_by_id_ends_at_a_deleted_entry_with_a_larger_one() {
    let limits = Limits::default();
    let mut before = stream_of([id(1, 1), id(5, 5)], &limits);
    before.delete(&[id(5, 5)]);
    let parts = StreamParts { last_id: id(1, 1), counters: None, ..parts_of(&before) };
    let mut stream = Stream::from_parts(parts).expect("well-formed");
    for id in [id(1, 2), id(4, 0)] {
        stream.append(NewId::Exact(id), [(&b"f"[..], &b"v"[..])], 0, &limits).expect("ids ascend");
    }
    assert_eq!(stream.trim(&Trim { keep: Keep::From(id(3, 0)), approximate: false, limit: 0 }), 1);
    assert_eq!((all(&stream), stream.len()), (vec![id(1, 2), id(4, 0)], 2));
    assert_eq!(stream.trim(&Trim { keep: Keep::From(id(4, 1)), approximate: false, limit: 0 }), 2);
    assert_eq!((stream.len(), stream.nodes().count()), (0, 0));
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let check = |change: fn(&mut StreamParts), expected| {
        let mut parts = parts_of(&read_by_two_groups());
        change(&mut parts);
        assert_eq!(Stream::from_parts(parts).map(|stream| stream.len()), Err(expected));
    };
    check(|parts| parts.length = 3, StreamCorrupt::Length);
    check(|parts| parts.last_id = id(1, 9), StreamCorrupt::Order(id(2, 0)));
    check(|parts| parts.nodes.push(parts.nodes[0].clone()), StreamCorrupt::DoubleNode(id(1, 0)));
    check(|parts| parts.nodes.push((id(1, 1), parts.nodes[0].1.clone())), StreamCorrupt::Order(id(1, 1)));
    check(|parts| parts.nodes[0].1 = Listpack::new().as_bytes().to_vec(), StreamCorrupt::Node(id(1, 0)));
    check(|parts| parts.nodes[0].1.clear(), StreamCorrupt::Listpack(id(1, 0), crate::value::listpack::Corrupt::Size));
    check(|parts| parts.groups.push(parts.groups[0].clone()), StreamCorrupt::DoubleGroup);
    check(
        |parts| {
            let consumers = &mut parts.groups[0].consumers;
            consumers.push(ConsumerParts { pending: vec![], ..consumers[0].clone() });
        },
        StreamCorrupt::DoubleConsumer,
    );
    check(|parts| parts.groups[0].consumers.clear(), StreamCorrupt::Pending(id(1, 0)));
    check(|parts| parts.groups[0].consumers[0].pending.push(id(2, 0)), StreamCorrupt::Pending(id(2, 0)));
    check(|parts| parts.groups[0].pending[0].id = id(2, 0), StreamCorrupt::Pending(id(2, 0)));
}

/// A node's elements are changed one by one: what is still accepted can be used without a panic.
#[test]
fn corrupt_nodes_are_refused_or_harmless() {
    let mut stream = read_by_two_groups();
    stream.append(NewId::Exact(id(3, 0)), [(&b"other"[..], &b"1"[..])], 0, &Limits::default()).expect("ids ascend");
    stream.delete(&[id(1, 0)]);
    let parts = parts_of(&stream);
    let good = Listpack::from_bytes(&parts.nodes[0].1).expect("well-formed");
    let (mut refused, mut accepted) = (0, 0);
    for index in 0..good.len() {
        let values: [&[u8]; 9] =
            [b"0", b"1", b"2", b"3", b"4", b"-1", b"9223372036854775807", b"-9223372036854775808", b"x"];
        for value in values {
            let mut bad = good.clone();
            let position = bad.seek(index as isize).expect("within the listpack");
            bad.replace(position, value);
            let mut parts = parts.clone();
            parts.nodes[0].1 = bad.as_bytes().to_vec();
            match Stream::from_parts(parts) {
                Ok(stream) => accepted += usize::from(use_up(stream)),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 100 && accepted > 20, "{refused} refused, {accepted} accepted");
}

/// Redis accepts integers in a wider encoding than needed, and so do we: changing them moves what follows.
#[test]
fn wide_integers_in_a_foreign_node_are_no_trouble() {
    let stream = stream_of((1..=4).map(|ms| id(ms, 0)), &Limits::default());
    let mut parts = parts_of(&stream);
    let narrow = &parts.nodes[0].1;
    let mut wide = vec![0; 6];
    let mut at = 6;
    while narrow[at] != 0xFF {
        if narrow[at] < 0x80 {
            wide.extend([0xF1, narrow[at], 0, 3]);
        } else {
            // The field "f" and the value "v".
            wide.extend(&narrow[at..at + 3]);
            at += 1;
        }
        at += 2;
    }
    wide.push(0xFF);
    let len = wide.len() as u8;
    wide[..6].copy_from_slice(&[len, 0, 0, 0, narrow[4], narrow[5]]);
    parts.nodes[0].1 = wide;

    for kept in 0..=4 {
        let mut stream = Stream::from_parts(parts.clone()).expect("well-formed");
        assert_eq!(stream.trim(&Trim { keep: Keep::Newest(kept), approximate: false, limit: 0 }), 4 - kept);
        assert_eq!(all(&stream), (5 - kept..=4).map(|ms| id(ms, 0)).collect::<Vec<_>>());
        let first = stream.first_id();
        assert_eq!(stream.delete(&[first]), usize::from(kept > 0));
        stream.append(NewId::Auto, [(&b"f"[..], &b"v"[..])], 0, &Limits::default()).expect("ids ascend");
        assert_eq!(Stream::from_parts(parts_of(&stream)).map(|copy| all(&copy)), Ok(all(&stream)));
    }
}

fn use_up(mut stream: Stream) -> bool {
    let forward = all(&stream);
    let mut backward = ids(stream.range_rev(StreamId::MIN, StreamId::MAX));
    backward.reverse();
    assert_eq!(forward, backward);
    for entry in stream.range(StreamId::MIN, StreamId::MAX) {
        assert_eq!(entry.fields().count(), entry.len());
    }
    let _ = stream.append(NewId::Auto, [(&b"f"[..], &b"v"[..])], 0, &Limits::default());
    stream.trim(&Trim { keep: Keep::Newest(1), approximate: false, limit: 0 });
    stream.delete(&all(&stream));
    stream.is_empty()
}

#[test]
fn a_long_stream_has_room_for_its_newest_node_at_once() {
    let limits = entries_a_node(100);
    let mut stream = Stream::new();
    for n in 0..3_000u64 {
        let value = format!("value {n:08}");
        stream.append(NewId::Auto, [(&b"field"[..], value.as_bytes())], n + 1, &limits).expect("ids ascend");
        let rooms: Vec<_> = stream.nodes().map(|(_, pack)| (pack.bytes_len(), pack.memory_bytes())).collect();
        let (newest, full) = rooms.split_last().expect("it has entries");
        // Blocks come in four sizes for each doubling.
        let fits = |(len, room): &(usize, usize)| *room <= 32 + len * 5 / 4;
        assert!(full.iter().all(fits), "{full:?}");
        if full.len() < 16 {
            assert!(fits(newest), "{newest:?} after {} nodes", full.len());
        } else {
            assert_eq!(newest.1, full[full.len() - 1].1, "after {} entries", n + 1);
        }
        let content: usize = rooms.iter().map(|(_, room)| room).sum();
        assert!(stream.memory_bytes() >= content);
    }
    assert_eq!(stream.nodes().len(), 30);
}

#[test]
fn a_million_entries_stay_compact() {
    let limits = Limits::default();
    let mut stream = Stream::new();
    let mut number = itoa::Buffer::new();
    for n in 0..1_000_000u64 {
        let value = number.format(n).as_bytes();
        stream.append(NewId::Auto, [(&b"field"[..], value)], 1_700_000_000_000 + n / 3, &limits).expect("ids ascend");
    }
    assert_eq!(stream.nodes().len(), 10_000);
    // Flags, deltas, value, count: eleven to thirteen bytes an entry, and what the blocks of the nodes have beyond.
    assert!(stream.memory_bytes() < 17_000_000, "{}", stream.memory_bytes());
    let middle = id(1_700_000_000_000 + 166_666, 1);
    let found: Vec<_> = stream.get(middle).expect("it is there").fields().map(|(_, value)| value.as_int()).collect();
    assert_eq!(found, [Some(499_999)]);
    assert_eq!(stream.trim(&Trim { keep: Keep::Newest(500), approximate: true, limit: 0 }), 999_500);
}
