//! Walks beside all kinds of changes, compared with deep copies made at their cuts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use fastrand::Rng;

use super::*;
use crate::entry::{Kind, SHARED_MIN};
use crate::guard::{DueFields, Live, LiveHash, Plan};
use crate::hash::hash_bytes;
use crate::stripe::Mode;
use crate::value::Limits;
use crate::value::hash::{ExpiryCondition, Hash, OldExpiry};
use crate::value::list::{List, Side};
use crate::value::set::Set;
use crate::value::stream::{NewId, Stream};
use crate::value::zset::{AddFlags, SortedSet};

const DATABASES: usize = 3;
/// Few, so that the same ones are changed again and again, by all writers.
const KEYS: usize = 24;

/// Every key, with everything that a snapshot has of it.
type State = BTreeMap<(u32, Vec<u8>), String>;

/// What a snapshot has of an entry, in full.
fn content(entry: &Entry) -> String {
    let value = match entry.kind() {
        Kind::Int | Kind::Inline | Kind::Shared => {
            let bytes = entry.as_str().unwrap().to_vec();
            format!("{} bytes, {:x}", bytes.len(), hash_bytes(&bytes))
        }
        Kind::List => {
            let list = entry.get::<List>().unwrap();
            format!("{:?}", list.iter().map(|item| item.to_vec()).collect::<Vec<_>>())
        }
        Kind::Set => {
            let mut members: Vec<_> = entry.get::<Set>().unwrap().iter().map(|item| item.to_vec()).collect();
            members.sort();
            format!("{members:?}")
        }
        Kind::SortedSet => {
            let zset = entry.get::<SortedSet>().unwrap();
            format!("{:?}", zset.iter().map(|(member, score)| (member.to_vec(), score)).collect::<Vec<_>>())
        }
        Kind::Hash => {
            let fields = entry.get::<Hash>().unwrap().iter(0);
            let mut fields: Vec<_> = fields.map(|it| (it.field.to_vec(), it.value.to_vec(), it.expiry)).collect();
            fields.sort();
            format!("{fields:?}")
        }
        Kind::Stream => {
            let stream = entry.get::<Stream>().unwrap();
            let nodes: Vec<_> = stream.nodes().map(|(id, node)| (id, node.as_bytes().to_vec())).collect();
            format!("{:?} {} {nodes:?}", stream.last_id(), stream.len())
        }
    };
    format!("{:?} {:?} {value}", entry.kind(), entry.expiry())
}

fn state(keyspace: &Keyspace, section: &Section<'_>) -> State {
    let mut state = State::new();
    for db in 0..DATABASES as u32 {
        keyspace.walk(section, db, |entry| {
            state.insert((db, entry.key().to_vec()), content(entry));
            true
        });
    }
    state
}

/// Small, so that values take all their forms.
fn limits() -> Limits {
    Limits {
        hash_max_listpack_entries: 8,
        set_max_listpack_entries: 8,
        set_max_intset_entries: 8,
        zset_max_listpack_entries: 8,
        list_max_listpack_size: 8,
        stream_node_max_entries: 4,
        ..Limits::default()
    }
}

/// A value of any type.
fn any_entry(key: &[u8], now_ms: i64, rng: &mut Rng) -> Entry {
    let limits = limits();
    let expiry = rng.bool().then(|| now_ms + rng.i64(0..60));
    let len = if rng.u8(..6) == 0 { rng.usize(60..200) } else { rng.usize(1..12) };
    let words: Vec<Vec<u8>> = (0..len).map(|_| rng.u16(..400).to_string().into_bytes()).collect();
    match rng.u8(..8) {
        0 => Entry::int(key, rng.i64(..), expiry),
        1 => Entry::string(key, &words[0], expiry),
        2 => Entry::string(key, &vec![rng.u8(..); SHARED_MIN + len], expiry),
        3 => Entry::boxed(key, List::from_elements(words.iter().map(Vec::as_slice), &limits), expiry),
        4 => {
            let mut set = Set::new();
            words.iter().for_each(|word| _ = set.add(word, &limits));
            Entry::boxed(key, set, expiry)
        }
        5 => {
            let mut zset = SortedSet::new();
            words.iter().for_each(|word| _ = zset.add(word, rng.f64(), AddFlags::empty(), &limits));
            Entry::boxed(key, zset, expiry)
        }
        6 => {
            let mut hash = Hash::new();
            for word in &words {
                hash.set(word, b"v", OldExpiry::Clear, &limits);
                if rng.bool() {
                    hash.set_expiry(word, now_ms as u64 + rng.u64(1..60), ExpiryCondition::Always, 0);
                }
            }
            Entry::boxed(key, hash, expiry)
        }
        _ => {
            let mut stream = Stream::new();
            append(&mut stream, len, now_ms, &limits);
            Entry::boxed(key, stream, expiry)
        }
    }
}

fn append(stream: &mut Stream, entries: usize, now_ms: i64, limits: &Limits) {
    for _ in 0..entries {
        stream.append(NewId::Auto, [(&b"field"[..], &b"value"[..])], now_ms as u64, limits).unwrap();
    }
}

/// Changes what a key holds in place, if it holds anything.
fn change_in_place(guard: &mut Guard<'_>, db: u32, key: Key<'_>, now_ms: i64, rng: &mut Rng) {
    let limits = limits();
    let word = rng.u16(..400).to_string().into_bytes();
    let Live::Present(mut entry) = guard.live_mut(db, key, now_ms) else { return };
    match (entry.kind(), rng.u8(..4)) {
        (_, 0) => entry.set_expiry(rng.bool().then(|| now_ms + rng.i64(0..60))),
        (Kind::Int | Kind::Inline | Kind::Shared, 1) => entry.set_int(rng.i64(..)),
        (Kind::Int | Kind::Inline | Kind::Shared, 2) => entry.set_string(&word, None),
        (Kind::Int | Kind::Inline | Kind::Shared, _) => {
            let len = entry.as_str().unwrap().len() + rng.usize(..3);
            entry.string_mut(len.max(1)).unwrap()[0] = rng.u8(..);
        }
        (Kind::List, _) => {
            let mut list = entry.into_value::<List>().unwrap();
            list.push_all(Side::Left, [&*word], &limits);
            if rng.bool() {
                list.pop(Side::Right, &limits);
            }
        }
        (Kind::Set, _) => {
            let mut set = entry.into_value::<Set>().unwrap();
            if !set.remove(&word) {
                set.add(&word, &limits);
            }
        }
        (Kind::SortedSet, _) => {
            entry.into_value::<SortedSet>().unwrap().add(&word, rng.f64(), AddFlags::empty(), &limits);
        }
        (Kind::Stream, _) => append(&mut entry.into_value::<Stream>().unwrap(), 1, now_ms, &limits),
        (Kind::Hash, _) => {
            if let LiveHash::Present(mut hash, _) = guard.live_hash(db, key, now_ms, DueFields::up_to(rng.usize(..4))) {
                hash.set(&word, b"w", OldExpiry::Clear, &limits);
                hash.set_expiry(&word, now_ms as u64 + 9, ExpiryCondition::Always, 0);
            }
        }
    }
}

fn name(rng: &mut Rng) -> Vec<u8> {
    format!("key:{}", rng.usize(..KEYS)).into_bytes()
}

/// One write of any kind, as commands and the background do them.
fn write(keyspace: &Keyspace, now_ms: i64, rng: &mut Rng) {
    match rng.u8(..40) {
        0 => {
            let section = keyspace.gate().enter_alone();
            let gone = keyspace.detach(&section, rng.u32(..DATABASES as u32));
            drop(section);
            drop(gone);
            return;
        }
        1 => return keyspace.swap(&keyspace.gate().enter_alone(), rng.u32(..3), rng.u32(..3)),
        2..8 => {
            let (section, db) = (keyspace.gate().enter(), rng.u32(..3));
            if let Some(stripe) = keyspace.next_due(&section, db, 0, now_ms) {
                keyspace.expire_stripe(&section, db, stripe, now_ms, rng.usize(..6), |_| {});
            }
            return;
        }
        _ => {}
    }
    let section = keyspace.gate().enter();
    let (a, b) = ((rng.u32(..3), name(rng)), (rng.u32(..3), name(rng)));
    let (a, b) = ((a.0, Key::new(&a.1)), (b.0, Key::new(&b.1)));
    let mut plan = Plan::default();
    plan.add(a.0, a.1.hash, Mode::Exclusive);
    plan.add(b.0, b.1.hash, Mode::Exclusive);
    let mut guard = keyspace.lock(&section, &mut plan);
    match rng.u8(..10) {
        0..2 => drop(guard.remove(a.0, a.1)),
        2..4 => match guard.get_mut(a.0, a.1) {
            Some(mut entry) => drop(entry.replace_with(any_entry(a.1.bytes, now_ms, rng))),
            None => guard.insert(a.0, a.1.hash, any_entry(a.1.bytes, now_ms, rng)),
        },
        // As RENAME, MOVE and both together.
        4..6 => {
            if (a.0, a.1.bytes) != (b.0, b.1.bytes)
                && let Some(entry) = guard.remove(a.0, a.1)
            {
                let old = guard.remove(b.0, b.1);
                let expiry = entry.expiry();
                guard.insert(b.0, b.1.hash, entry.rekeyed(b.1.bytes, expiry));
                drop(guard);
                drop(old);
            }
        }
        _ => change_in_place(&mut guard, a.0, a.1, now_ms, rng),
    }
}

/// A walk that goes on, and what it is to find.
struct Going {
    walk: Walk,
    expected: State,
    found: State,
    /// Pieces that were not dropped yet, and what they held when they came.
    kept: Vec<(Piece, Vec<String>)>,
}

impl Going {
    fn new(keyspace: &Keyspace) -> Self {
        let section = keyspace.gate().enter_alone();
        let expected = state(keyspace, &section);
        let walk = keyspace.cut(&section);
        let keys: usize = walk.databases().iter().map(|&(_, keys, _)| keys).sum();
        assert_eq!(keys, expected.len());
        Self { walk, expected, found: State::new(), kept: Vec::new() }
    }

    /// One piece; whether it was not the last.
    fn step(&mut self, rng: &mut Rng) -> bool {
        let Some(piece) = self.walk.next() else { return false };
        let contents: Vec<_> = piece.entries().iter().map(content).collect();
        for (entry, content) in piece.entries().iter().zip(&contents) {
            let twice = self.found.insert((piece.db(), entry.key().to_vec()), content.clone());
            assert!(twice.is_none(), "a key came twice");
        }
        if rng.bool() {
            self.kept.push((piece, contents));
        }
        if self.kept.len() > 4 {
            self.check_kept();
        }
        true
    }

    fn check_kept(&mut self) {
        for (piece, contents) in self.kept.drain(..) {
            assert!(piece.entries().iter().map(content).eq(contents), "what a walker holds was changed");
        }
    }

    fn end(mut self) {
        assert!(self.walk.is_complete());
        self.check_kept();
        let differ = |(key, content): (&(u32, Vec<u8>), &String)| {
            let other = self.found.get(key);
            (other != Some(content)).then(|| format!("{key:?}: {content}, and not {other:?}"))
        };
        let missing: Vec<_> = self.expected.iter().filter_map(differ).collect();
        assert!(missing.is_empty(), "the snapshot is not the state at its cut: {missing:#?}");
        let surplus: Vec<_> = self.found.keys().filter(|key| !self.expected.contains_key(*key)).collect();
        assert!(surplus.is_empty(), "keys that there were not: {surplus:?}");
    }
}

#[test]
fn every_walk_finds_the_state_at_its_cut() {
    for seed in 0..120 {
        let mut rng = Rng::with_seed(seed);
        let keyspace = Keyspace::new(DATABASES, 1 << rng.u32(..4));
        let (mut now_ms, mut going) = (1000, Vec::<Going>::new());
        for _ in 0..600 {
            now_ms += rng.i64(0..3);
            match rng.u8(..30) {
                0 if going.len() < 3 => going.push(Going::new(&keyspace)),
                1..8 if !going.is_empty() => {
                    let at = rng.usize(..going.len());
                    if !going[at].step(&mut rng) {
                        going.remove(at).end();
                    }
                }
                8 if going.len() == 3 && rng.u8(..4) == 0 => drop(going.remove(rng.usize(..3))),
                _ => write(&keyspace, now_ms, &mut rng),
            }
        }
        for mut going in going {
            while going.step(&mut rng) {}
            going.end();
        }
        assert!(!keyspace.is_walked(), "a walk or a value is left over");
    }
}

/// Counts a walker down, also if it has panicked: else the writers would go on for ever.
struct End<'a>(&'a AtomicUsize);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[test]
fn walks_beside_writers_on_other_threads() {
    const WRITERS: u64 = 3;
    const WALKS: usize = 50;
    let keyspace = Keyspace::new(DATABASES, 8);
    let walkers = AtomicUsize::new(2);
    thread::scope(|scope| {
        for seed in 0..WRITERS {
            let (keyspace, walkers) = (&keyspace, &walkers);
            scope.spawn(move || {
                let (mut rng, mut now_ms) = (Rng::with_seed(seed), 1000);
                while walkers.load(SeqCst) > 0 {
                    now_ms += rng.i64(0..3);
                    write(keyspace, now_ms, &mut rng);
                }
            });
        }
        for seed in 0..2 {
            let (keyspace, walkers) = (&keyspace, &walkers);
            scope.spawn(move || {
                let _end = End(walkers);
                let mut rng = Rng::with_seed(100 + seed);
                for _ in 0..WALKS {
                    let mut going = Going::new(keyspace);
                    while going.step(&mut rng) {
                        if rng.bool() {
                            thread::yield_now();
                        }
                    }
                    going.end();
                }
            });
        }
    });
    assert!(!keyspace.is_walked());
}

/// A keyspace with one entry, and how often those who wait were woken.
struct One {
    keyspace: Keyspace,
    woken: Arc<AtomicUsize>,
}

impl One {
    fn new(entry: Entry) -> Self {
        let (keyspace, woken) = (Keyspace::new(1, 4), Arc::new(AtomicUsize::new(0)));
        let bell = woken.clone();
        keyspace.set_wake(move || _ = bell.fetch_add(1, SeqCst));
        let one = Self { keyspace, woken };
        one.with(|guard| guard.insert(0, hash_bytes(b"k"), entry));
        one
    }

    fn with<R>(&self, f: impl FnOnce(&mut Guard<'_>) -> R) -> R {
        let section = self.keyspace.gate().enter();
        let mut guard = self.keyspace.lock_one(&section, 0, hash_bytes(b"k"), Mode::Exclusive);
        f(&mut guard)
    }

    fn must_wait(&self) -> bool {
        self.with(|guard| self.keyspace.must_wait(guard, 0, Key::new(b"k")))
    }

    fn cut(&self) -> Walk {
        self.keyspace.cut(&self.keyspace.gate().enter_alone())
    }

    fn woken(&self) -> usize {
        self.woken.swap(0, SeqCst)
    }
}

fn large_list() -> Entry {
    Entry::boxed(b"k", List::from_elements(vec![&b"element"[..]; 1000], &limits()), None)
}

#[test]
fn a_large_value_is_waited_for_until_it_is_let_go() {
    let one = One::new(large_list());
    assert!(!one.must_wait(), "nobody walks");
    let mut walk = one.cut();
    assert!(one.must_wait(), "it is still to be walked");
    assert_eq!(one.woken(), 0);
    let piece = walk.next().unwrap();
    one.woken();
    assert!(one.must_wait(), "the walker holds it");
    assert_eq!(one.woken(), 0);
    drop(piece);
    assert_eq!(one.woken(), 1);
    assert!(!one.must_wait());
    assert!(walk.next().is_none());
    drop(walk);
    assert_eq!(one.woken(), 0, "nobody waits");
}

#[test]
fn who_waits_is_woken_when_the_walk_or_the_value_goes() {
    let one = One::new(large_list());
    let walk = one.cut();
    assert!(one.must_wait());
    drop(walk);
    assert_eq!((one.woken(), one.must_wait()), (1, false));

    let mut walk = one.cut();
    assert!(one.must_wait());
    drop(one.with(|guard| guard.remove(0, Key::new(b"k"))));
    let handed_over = walk.next().unwrap();
    assert_eq!(handed_over.entries().len(), 1);
    drop(handed_over);
    assert!(one.woken() > 0);

    // Held by a piece that outlives its walk.
    let one = One::new(large_list());
    let mut walk = one.cut();
    let piece = walk.next().unwrap();
    drop(walk);
    assert!(one.must_wait());
    one.woken();
    drop(piece);
    assert_eq!((one.woken(), one.must_wait()), (1, false));
}

/// Whoever is woken finds the value free.
#[test]
fn a_value_is_let_go_before_others_are_woken() {
    let value = Arc::new(vec![b'x'; 2 << 20]);
    let owners = Arc::new(AtomicUsize::new(0));
    let keyspace = Keyspace::new(1, 1);
    let (seen, counted) = (owners.clone(), value.clone());
    keyspace.set_wake(move || seen.store(Arc::strong_count(&counted), SeqCst));
    let section = keyspace.gate().enter();
    let mut guard = keyspace.lock_one(&section, 0, hash_bytes(b"k"), Mode::Exclusive);
    guard.insert(0, hash_bytes(b"k"), Entry::shared(b"k", value.clone(), None));
    drop(guard);
    drop(section);
    let mut walk = keyspace.cut(&keyspace.gate().enter_alone());
    let piece = walk.next().unwrap();
    let section = keyspace.gate().enter();
    let guard = keyspace.lock_one(&section, 0, hash_bytes(b"k"), Mode::Exclusive);
    assert!(keyspace.must_wait(&guard, 0, Key::new(b"k")));
    drop(guard);
    let before = Arc::strong_count(&value);
    drop(piece);
    assert_eq!(owners.load(SeqCst), before - 1);
}

#[test]
fn what_somebody_waits_for_is_walked_next() {
    let keyspace = Keyspace::new(2, 64);
    let names: Vec<Vec<u8>> = (0..500).map(|n| format!("k{n}").into_bytes()).collect();
    let with = |name: &[u8], db, f: &mut dyn FnMut(&mut Guard<'_>, Key<'_>)| {
        let (section, key) = (keyspace.gate().enter(), Key::new(name));
        f(&mut keyspace.lock_one(&section, db, key.hash, Mode::Exclusive), key);
    };
    for name in &names {
        with(name, 0, &mut |guard, key| guard.insert(0, key.hash, Entry::string(name, b"v", None)));
    }
    with(b"k", 1, &mut |guard, key| guard.insert(1, key.hash, large_list()));
    let mut walk = keyspace.cut(&keyspace.gate().enter_alone());
    walk.next().unwrap();
    with(b"k", 1, &mut |guard, key| assert!(keyspace.must_wait(guard, 1, key)));
    let first_of_the_other = walk.position(|piece| piece.db() == 1).unwrap();
    assert!(first_of_the_other <= 1, "{first_of_the_other}");
}

#[test]
fn a_value_that_others_share_is_not_waited_for() {
    let long = vec![b'x'; 2 << 20];
    let one = One::new(Entry::string(b"k", &long, None));
    let copy = one.with(|guard| guard.get(0, Key::new(b"k")).unwrap().duplicate(b"other", None));
    let walk = one.cut();
    assert!(one.must_wait(), "a long string counts as large");
    drop(walk);
    assert!(!one.must_wait());
    assert_eq!(copy.as_str().unwrap().len(), long.len());
    // A small one is copied at once.
    let one = One::new(Entry::boxed(b"k", List::from_elements([&b"a"[..]], &limits()), None));
    let _walk = one.cut();
    assert!(!one.must_wait());
}

/// An entry that nobody touches belongs to every walk, however many cuts there have been; and walks that go on meanwhile
/// stay what they are, or fail.
#[test]
fn epochs_come_round() {
    let one = One::new(Entry::string(b"k", b"old", None));
    let mut slow: Option<(Walk, u32)> = None;
    let mut rng = Rng::with_seed(1);
    let mut failed = 0;
    for cut in 0..200_000_u32 {
        let mut walk = one.cut();
        // Every so often walks are not walked to their end for a long time.
        let walked = cut % 60_000 < 30_000;
        if walked {
            assert_eq!(walk.by_ref().map(|piece| piece.entries().len()).sum::<usize>(), 1, "cut {cut}");
            assert!(walk.is_complete());
        }
        drop(walk);
        match slow.take() {
            None => slow = Some((one.cut(), cut)),
            Some((mut walk, since)) if rng.u16(..10_000) == 0 => {
                let found = walk.by_ref().map(|piece| piece.entries().len()).sum::<usize>();
                assert_eq!(found == 1, walk.is_complete(), "since {since}, at {cut}");
                failed += u32::from(found == 0);
            }
            going => slow = going,
        }
    }
    assert!(failed > 0, "no walk was slow enough");
}

#[test]
fn expired_fields_of_a_large_hash_wait_for_the_walk() {
    let mut hash = Hash::new();
    for n in 0..500 {
        let field = format!("field{n}").into_bytes();
        hash.set(&field, b"v", OldExpiry::Clear, &limits());
        hash.set_expiry(&field, 10 + n / 250 * 1000, ExpiryCondition::Always, 0);
    }
    let one = One::new(Entry::boxed(b"k", hash, None));
    let expire = || {
        let section = one.keyspace.gate().enter();
        let stripe = one.keyspace.next_due(&section, 0, 0, 100).expect("there are expired fields");
        one.keyspace.expire_stripe(&section, 0, stripe, 100, 1000, |_| {}).0
    };
    let mut walk = one.cut();
    assert_eq!(expire(), 0, "the hash would be copied");
    let piece = walk.next().unwrap();
    assert_eq!(expire(), 0, "the hash is held");
    assert_eq!(piece.entries()[0].get::<Hash>().unwrap().len(), 500);
    drop(piece);
    assert_eq!(expire(), 250);
}

/// The walker holds a stripe for its entries only, and others go on while a piece is in hand.
#[test]
fn a_piece_in_hand_holds_nothing() {
    let one = One::new(Entry::string(b"k", b"old", None));
    let mut walk = one.cut();
    let piece = walk.next().unwrap();
    one.with(|guard| guard.get_mut(0, Key::new(b"k")).unwrap().set_string(b"new", None));
    assert_eq!(piece.entries()[0].as_str().unwrap().to_vec(), b"old");
    let section = one.keyspace.gate().enter_alone();
    drop(one.keyspace.detach(&section, 0));
    drop(section);
    assert!(walk.next().is_none());
}

#[test]
fn nothing_is_handed_over_without_a_walk() {
    let done = AtomicBool::new(false);
    let one = One::new(Entry::string(b"k", b"v", None));
    let walk = one.cut();
    drop(walk);
    one.with(|guard| {
        let held = guard.entry_in(0, Key::new(b"k")).unwrap();
        assert!(!held.0.walks().on.load(Relaxed));
        done.store(true, SeqCst);
    });
    assert!(done.load(SeqCst));
}

/// What is kept for a walk is counted while it is kept, and is let go of as it is walked.
#[test]
fn what_is_handed_over_is_counted() {
    const KEYS: usize = 5 * GIVEN_ENTRIES_MAX;
    let one = One::new(Entry::string(b"k", b"v", None));
    let name = |at: usize| format!("key:{at}");
    let put = |entry: Entry| {
        let section = one.keyspace.gate().enter();
        let hash = hash_bytes(entry.key());
        let mut guard = one.keyspace.lock_one(&section, 0, hash, Mode::Exclusive);
        guard.remove(0, Key::new(entry.key()));
        guard.insert(0, hash, entry);
    };
    let overwrite = |value: &[u8]| (0..KEYS).for_each(|at| put(Entry::string(name(at).as_bytes(), value, None)));
    let pressure = || one.keyspace.walk_pressure();
    overwrite(&[b'a'; 1000]);
    let mut walk = one.cut();
    assert_eq!(pressure(), Pressure { handed_over: 0, is_awaited: false });
    overwrite(b"b");
    let all = pressure().handed_over;
    assert!((KEYS as u64 * 1000..KEYS as u64 * 1200).contains(&all), "{all}");
    overwrite(b"c");
    assert_eq!(pressure().handed_over, all, "what is newer than the cut is kept for nobody");
    let (mut found, mut least_left) = (0, all);
    for piece in &mut walk {
        found += piece
            .entries()
            .iter()
            .filter(|entry| entry.as_str().is_some_and(|text| text.to_vec().len() == 1000))
            .count();
        drop(piece);
        let left = pressure().handed_over;
        assert!(left <= least_left && least_left - left <= GIVEN_ENTRIES_MAX as u64 * 1200, "{least_left} {left}");
        least_left = left;
    }
    assert_eq!((found, least_left), (KEYS, 0));
    drop(walk);
    // A walk that ends early lets go of all.
    let walk = one.cut();
    overwrite(b"d");
    assert!(pressure().handed_over > 0);
    drop(walk);
    assert_eq!(pressure().handed_over, 0);
}
