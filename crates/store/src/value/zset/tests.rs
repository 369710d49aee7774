use super::*;
use crate::value::thin::tests::without_leaks;
use std::collections::BTreeMap;

/// The model: a vector that is sorted again after each change.
#[derive(Default)]
struct Model(Vec<(Vec<u8>, f64)>);

impl Model {
    fn score(&self, member: &[u8]) -> Option<f64> {
        self.0.iter().find(|(m, _)| m == member).map(|(_, score)| *score)
    }
    fn set(&mut self, member: &[u8], score: f64) {
        self.0.retain(|(m, _)| m != member);
        self.0.push((member.to_vec(), score));
        self.0.sort_by(|a, b| a.1.partial_cmp(&b.1).unwrap().then_with(|| a.0.cmp(&b.0)));
    }
    fn add(&mut self, member: &[u8], score: f64, flags: AddFlags) -> Added {
        let has = |flag| flags.contains(flag);
        match self.score(member) {
            _ if score.is_nan() => Added::NotANumber,
            None if has(AddFlags::XX) => Added::Refused,
            None => {
                self.set(member, score);
                Added::New(score)
            }
            Some(_) if has(AddFlags::NX) => Added::Refused,
            Some(current) => {
                let score = if has(AddFlags::INCR) { current + score } else { score };
                if score.is_nan() {
                    Added::NotANumber
                } else if (has(AddFlags::GT) && score <= current) || (has(AddFlags::LT) && score >= current) {
                    Added::Refused
                } else if score == current {
                    Added::Same(score)
                } else {
                    self.set(member, score);
                    Added::Updated(score)
                }
            }
        }
    }
}

fn owned((member, score): (Item<'_>, f64)) -> (Vec<u8>, f64) {
    (member.to_vec(), score)
}

fn check_all(set: &SortedSet, model: &Model) {
    assert_eq!(set.len(), model.0.len());
    assert_eq!(set.iter().map(owned).collect::<Vec<_>>(), model.0);
    assert!(set.iter().rev().map(owned).eq(model.0.iter().rev().cloned()));
    if let Some(listpack) = set.as_listpack() {
        let again = SortedSet::from_listpack(listpack.clone()).expect("our own bytes are valid");
        assert!(again.iter().map(owned).eq(model.0.iter().cloned()));
    }
    if let View::Large(general) = set.0.view() {
        assert_eq!(general.members.len(), general.order.len());
        assert!(general.order.range(0..usize::MAX).all(|entry| entry.score == entry.item.score()));
    }
}

/// What a range contains, in other words than the code's.
fn is_within(range: &ScoreRange, score: f64) -> bool {
    let above = if range.min_exclusive { score > range.min } else { score >= range.min };
    let below = if range.max_exclusive { score < range.max } else { score <= range.max };
    assert_eq!(range.contains(score), above && below);
    above && below
}

fn is_within_lex(range: &LexRange<'_>, member: &[u8]) -> bool {
    let above = match range.min {
        LexBound::Lowest => true,
        LexBound::Highest => false,
        LexBound::Inclusive(min) => member >= min,
        LexBound::Exclusive(min) => member > min,
    };
    let below = match range.max {
        LexBound::Lowest => false,
        LexBound::Highest => true,
        LexBound::Inclusive(max) => member <= max,
        LexBound::Exclusive(max) => member < max,
    };
    assert_eq!(range.contains(member), above && below);
    above && below
}

fn check_ranges(set: &SortedSet, model: &Model, rng: &mut Rng) {
    let edge = |rng: &mut Rng| match rng.u8(..6) {
        0 => f64::NEG_INFINITY,
        1 => f64::INFINITY,
        _ => f64::from(rng.i8(-12..12)) / 2.0,
    };
    let range = ScoreRange { min: edge(rng), max: edge(rng), min_exclusive: rng.bool(), max_exclusive: rng.bool() };
    let within: Vec<_> = model.0.iter().filter(|(_, score)| is_within(&range, *score)).cloned().collect();
    let ranks = set.ranks_by_score(&range);
    assert_eq!(ranks.len(), within.len(), "{range:?} of {set:?}");
    assert_eq!(set.range(ranks.clone()).map(owned).collect::<Vec<_>>(), within);
    assert!(set.range(ranks).rev().map(owned).eq(within.into_iter().rev()));
    let (from, to) = (rng.usize(..model.0.len() + 3), rng.usize(..model.0.len() + 3));
    let by_rank: Vec<_> = model.0.iter().skip(from).take(to.saturating_sub(from)).cloned().collect();
    assert_eq!(set.range(from..to).map(owned).collect::<Vec<_>>(), by_rank);
    assert_eq!(set.range(from..to).len(), by_rank.len());
}

const FLAGS: [AddFlags; 9] = [
    AddFlags::empty(),
    AddFlags::NX,
    AddFlags::XX,
    AddFlags::GT,
    AddFlags::LT,
    AddFlags::INCR,
    AddFlags::XX.union(AddFlags::GT),
    AddFlags::INCR.union(AddFlags::LT),
    AddFlags::INCR.union(AddFlags::NX),
];

#[test]
fn behaves_as_the_model_in_both_forms() {
    for seed in 0..40 {
        without_leaks(|| {
            let mut rng = Rng::with_seed(seed);
            let limits =
                Limits { zset_max_listpack_entries: [0, 8, 64, 1000][(seed % 4) as usize], ..Limits::default() };
            let (mut set, mut model) = (SortedSet::with_hint(1, 1, &limits), Model::default());
            for _ in 0..500 {
                let member = match rng.u8(..10) {
                    0 => rng.i64(..).to_string(),
                    1 => "m".repeat(rng.usize(..80)),
                    _ => format!("{}", rng.u8(..120)),
                };
                let member = member.as_bytes();
                match rng.u8(..12) {
                    0..=6 => {
                        let score = match rng.u8(..20) {
                            0 => f64::NAN,
                            1 => f64::INFINITY,
                            2 => f64::NEG_INFINITY,
                            3 => f64::from_bits(rng.u64(..)),
                            _ => f64::from(rng.i8(-12..12)) / 2.0,
                        };
                        let flags = FLAGS[rng.usize(..FLAGS.len())];
                        let (got, want) = (set.add(member, score, flags, &limits), model.add(member, score, flags));
                        assert_eq!(got, want, "{score} {flags:?}");
                    }
                    7 => {
                        let score = model.score(member);
                        model.0.retain(|(m, _)| m != member);
                        assert_eq!(set.remove(member), score);
                    }
                    8 => {
                        let last = rng.bool();
                        let want = match model.0.len() {
                            0 => None,
                            len => Some(model.0.remove(if last { len - 1 } else { 0 })),
                        };
                        assert_eq!(if last { set.pop_max() } else { set.pop_min() }, want);
                    }
                    9 if rng.u8(..8) == 0 => {
                        let (from, count) = (rng.usize(..model.0.len() + 2), rng.usize(..12));
                        let to = (from + count).min(model.0.len());
                        let from_in = from.min(to);
                        model.0.drain(from_in..to);
                        assert_eq!(set.remove_range(from..from + count), to - from_in);
                    }
                    _ => check_ranges(&set, &model, &mut rng),
                }
                let rank = model.0.iter().position(|(m, _)| m == member);
                assert_eq!(set.rank(member).map(|(rank, _)| rank), rank);
                assert_eq!(set.score(member), model.score(member));
            }
            check_all(&set, &model);
            let copy = set.clone();
            drop(set);
            check_all(&copy, &model);
        });
    }
}

fn bound(word: &[u8], pick: u8) -> LexBound<'_> {
    match pick {
        0 => LexBound::Lowest,
        1 => LexBound::Highest,
        2 | 3 => LexBound::Inclusive(word),
        _ => LexBound::Exclusive(word),
    }
}

#[test]
fn lex_ranges_are_those_of_a_sorted_map() {
    for limit in [0, 1000] {
        let limits = Limits { zset_max_listpack_entries: limit, ..Limits::default() };
        let mut rng = Rng::with_seed(limit as u64);
        let (mut set, mut model) = (SortedSet::with_hint(1, 1, &limits), BTreeMap::new());
        let word = |rng: &mut Rng| (0..rng.usize(1..4)).map(|_| rng.u8(b'a'..b'd')).collect::<Vec<u8>>();
        for _ in 0..300 {
            let member = word(&mut rng);
            set.add(&member, 7.0, AddFlags::empty(), &limits);
            model.insert(member, ());
        }
        for _ in 0..500 {
            let (a, b) = (word(&mut rng), word(&mut rng));
            let range = LexRange { min: bound(&a, rng.u8(..6)), max: bound(&b, rng.u8(..6)) };
            let want: Vec<_> = model.keys().filter(|member| is_within_lex(&range, member)).cloned().collect();
            let got: Vec<_> = set.range(set.ranks_by_lex(&range)).map(|(member, _)| member.to_vec()).collect();
            assert_eq!(got, want, "{range:?}");
        }
    }
}

#[test]
fn conversions_follow_the_limits() {
    let limits = Limits { zset_max_listpack_entries: 3, zset_max_listpack_value: 5, ..Limits::default() };
    let filled = |members: &[&str]| {
        let mut set = SortedSet::new();
        for member in members {
            set.add(member.as_bytes(), 1.0, AddFlags::empty(), &limits);
        }
        set
    };
    assert_eq!(filled(&["a", "b", "fives"]).encoding(), Encoding::Listpack);
    assert_eq!(filled(&["a", "b", "c", "d"]).encoding(), Encoding::Skiplist);
    assert_eq!(filled(&["sixsix"]).encoding(), Encoding::Skiplist);
    assert_eq!(SortedSet::with_hint(4, 1, &limits).encoding(), Encoding::Skiplist);
    assert_eq!(SortedSet::with_hint(3, 6, &limits).encoding(), Encoding::Skiplist);
    assert_eq!(SortedSet::with_hint(3, 5, &limits).encoding(), Encoding::Listpack);
    let mut set = filled(&["a", "b", "c", "d"]);
    set.pack_if_small(&limits);
    assert_eq!(set.encoding(), Encoding::Skiplist);
    set.remove(b"d");
    set.pack_if_small(&limits);
    assert_eq!((set.encoding(), set.len()), (Encoding::Listpack, 3));
    set.prepare(3, &limits);
    assert_eq!(set.encoding(), Encoding::Listpack);
    set.prepare(4, &limits);
    assert_eq!(set.encoding(), Encoding::Skiplist);
}

/// What Redis 8.0.2 does with `ZADD key -0 a 1 <long>`, and with the two members the other way round.
#[test]
fn the_first_member_decides_on_the_form() {
    let (limits, long) = (Limits::default(), [b'x'; 65]);
    for (members, score, encoding) in
        [([&b"a"[..], &long], 0.0_f64, Encoding::Listpack), ([&long[..], b"a"], -0.0, Encoding::Skiplist)]
    {
        let [first, later] = members;
        let mut set = SortedSet::starting_with((-0.0, first), [(-0.0, later)].into_iter(), &limits);
        assert_eq!((set.encoding(), set.len()), (encoding, 1));
        set.add(later, -0.0, AddFlags::default(), &limits);
        assert_eq!((set.encoding(), set.score(b"a").map(f64::to_bits)), (Encoding::Skiplist, Some(score.to_bits())));
    }
}

#[test]
fn the_small_form_has_redis_s_bytes() {
    let mut set = SortedSet::new();
    for (member, score) in [("b", 1.5), ("a", -0.0), ("7", 3.0)] {
        set.add(member.as_bytes(), score, AddFlags::empty(), &Limits::default());
    }
    // 24 bytes, 6 elements; "a" 0, "b" "1.5", 7 3; the end.
    let bytes = set.as_listpack().unwrap().as_bytes();
    assert_eq!(bytes, b"\x18\0\0\0\x06\0\x81a\x02\0\x01\x81b\x02\x831.5\x04\x07\x01\x03\x01\xff");
    assert!(set.score(b"a").is_some_and(f64::is_sign_positive), "the listpack has an integer in place of -0");
}

#[test]
fn hostile_listpacks_are_refused() {
    let check = |items: &[&str], valid| {
        let mut listpack = Listpack::new();
        items.iter().for_each(|item| listpack.push_back(item.as_bytes()));
        assert_eq!(SortedSet::from_listpack(listpack).is_some(), valid, "{items:?}");
    };
    check(&[], true);
    check(&["a", "1", "b", "1", "a2", "1.5"], true);
    check(&["a"], false);
    check(&["a", "1", "b"], false);
    check(&["a", "x"], false);
    check(&["a", "nan"], false);
    check(&["a", ""], false);
    check(&["a", "2", "b", "1"], false);
    check(&["b", "1", "a", "1"], false);
    check(&["a", "1", "a", "2"], false);
}

#[test]
fn scans_and_samples_reach_every_member() {
    for limit in [0, 1000] {
        let limits = Limits { zset_max_listpack_entries: limit, ..Limits::default() };
        let mut set = SortedSet::with_hint(1, 1, &limits);
        for i in 0..500 {
            set.add(format!("m{i}").as_bytes(), f64::from(i), AddFlags::empty(), &limits);
        }
        let (mut cursor, mut seen) = (0, BTreeMap::new());
        loop {
            cursor = set.scan(cursor, 10, |member, score| {
                seen.insert(member.to_vec(), score as i64);
            });
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(seen.len(), 500);
        assert_eq!(seen[&b"m42"[..]], 42);
        let mut rng = Rng::with_seed(1);
        for count in [0, 1, 10, 100, 300, 499, 500, 900] {
            let mut picked: Vec<_> =
                set.random_distinct(count, &mut rng).into_iter().map(|(member, _)| member.to_vec()).collect();
            picked.sort();
            picked.dedup();
            assert_eq!(picked.len(), count.min(500));
        }
        let mut times = vec![0u32; 500];
        (0..50_000).for_each(|_| times[set.random(&mut rng).unwrap().1 as usize] += 1);
        assert!(times.iter().all(|times| (40..=180).contains(times)), "{times:?}");
    }
    assert!(SortedSet::new().random(&mut Rng::new()).is_none());
}

#[test]
fn damaged_dumps_never_panic() {
    let limits = Limits::default();
    let mut rng = Rng::with_seed(77);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut set = SortedSet::new();
        for _ in 0..rng.usize(1..6) {
            set.add(&[rng.u8(b'a'..b'f')], f64::from(rng.i8(..)) / 4.0, AddFlags::empty(), &limits);
        }
        let mut bytes = set.as_listpack().unwrap().as_bytes().to_vec();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(..bytes.len());
            bytes[at] = rng.u8(..);
        }
        let Some(mut set) = Listpack::from_bytes(&bytes).ok().and_then(SortedSet::from_listpack) else { continue };
        accepted += 1;
        set.add(b"c", 0.5, AddFlags::INCR, &limits);
        set.ranks_by_score(&ScoreRange { min: -1.0, max: 1.0, min_exclusive: true, max_exclusive: false });
        let len = set.len();
        set.prepare(usize::MAX, &limits);
        assert_eq!((set.encoding(), set.len()), (Encoding::Skiplist, len));
        while set.pop_max().is_some() {}
    }
    assert!(accepted > 100, "{accepted}");
}
