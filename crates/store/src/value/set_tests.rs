use super::*;
use crate::value::thin::tests::without_leaks;
use std::collections::BTreeSet;

fn all(set: &Set) -> BTreeSet<Vec<u8>> {
    let members: Vec<_> = set.iter().map(|member| member.to_vec()).collect();
    let distinct: BTreeSet<_> = members.iter().cloned().collect();
    assert_eq!(members.len(), distinct.len(), "no member comes twice");
    assert_eq!(set.len(), distinct.len());
    distinct
}

fn of(members: &[&str], limits: &Limits) -> Set {
    let mut set = Set::with_hint(members[0].as_bytes(), 1, limits);
    for member in members {
        set.add(member.as_bytes(), limits);
    }
    set
}

#[test]
fn behaves_as_the_model_in_every_form() {
    for seed in 0..60 {
        without_leaks(|| {
            let mut rng = Rng::with_seed(seed);
            let limits = Limits {
                set_max_intset_entries: [0, 8, 512][(seed % 3) as usize],
                set_max_listpack_entries: [0, 8, 1000][(seed / 3 % 3) as usize],
                ..Limits::default()
            };
            let (mut set, mut model) = (Set::new(), BTreeSet::new());
            for step in 0..600 {
                let member = match rng.u8(..12) {
                    0 if step > 200 => "m".repeat(rng.usize(..80)),
                    1 if step > 150 => format!("{:02}", rng.u8(..20)),
                    2 => rng.i64(..).to_string(),
                    _ => rng.i16(-60..60).to_string(),
                };
                let member = member.into_bytes();
                match rng.u8(..20) {
                    0..=9 => assert_eq!(set.add(&member, &limits), model.insert(member.clone())),
                    10..=15 => assert_eq!(set.remove(&member), model.remove(&member)),
                    16 | 17 => match set.pop(&mut rng) {
                        Some(popped) => assert!(model.remove(&popped)),
                        None => assert!(model.is_empty()),
                    },
                    18 => {
                        let popped = set.pop_many(rng.usize(..30), &mut rng, &limits);
                        assert!(popped.iter().all(|member| model.remove(member)));
                    }
                    _ => assert!(set.random(&mut rng).is_none_or(|picked| model.contains(&picked.to_vec()))),
                }
                assert_eq!(set.contains(&member), model.contains(&member));
                assert_eq!(set.len(), model.len());
            }
            assert_eq!(all(&set), model);
            let copy = set.clone();
            drop(set);
            assert_eq!(all(&copy), model);
            if let Some(listpack) = copy.as_listpack() {
                assert_eq!(all(&Set::from_listpack(listpack.clone()).unwrap()), model);
            }
        });
    }
}

/// Each expectation was read off a Redis 8.0.2 with the same limits.
#[test]
fn conversions_are_those_of_redis_8() {
    let default = Limits::default();
    let check =
        |limits: &Limits, members: &[&str], want| assert_eq!(of(members, limits).encoding(), want, "{members:?}");
    check(&default, &["1", "2", "3"], Encoding::Intset);
    check(&default, &["1", "2", "a"], Encoding::Listpack);
    check(&default, &["1", "01"], Encoding::Listpack);
    check(&default, &["a", &"b".repeat(64)], Encoding::Listpack);
    check(&default, &["a", &"b".repeat(65)], Encoding::Hashtable);
    let few = Limits { set_max_intset_entries: 3, ..default.clone() };
    check(&few, &["1", "2", "3"], Encoding::Intset);
    check(&few, &["1", "2", "3", "4"], Encoding::Hashtable);
    check(&few, &["1", "2", "3", "3"], Encoding::Intset);
    check(&Limits { set_max_intset_entries: 0, ..default.clone() }, &["1"], Encoding::Listpack);
    let short = Limits { set_max_listpack_value: 3, ..default.clone() };
    check(&short, &["1000", "a"], Encoding::Hashtable);
    check(&short, &["-10", "a"], Encoding::Listpack);
    check(&short, &["abc", "1234"], Encoding::Hashtable);
    let two = Limits { set_max_listpack_entries: 2, ..default.clone() };
    check(&two, &["1", "2", "a"], Encoding::Hashtable);
    check(&two, &["a", "1"], Encoding::Listpack);
    check(&two, &["a", "1", "2"], Encoding::Hashtable);
    assert_eq!(Set::with_hint(b"1", 4, &few).encoding(), Encoding::Listpack);
    assert_eq!(Set::with_hint(b"a", 3, &two).encoding(), Encoding::Hashtable);
}

#[test]
fn removal_converts_nothing_and_results_pack() {
    let default = Limits::default();
    let mut set = of(&["1", "a"], &default);
    set.remove(b"a");
    assert_eq!(set.encoding(), Encoding::Listpack, "removal converts nothing");
    set.pack_integers(&default);
    assert_eq!((set.encoding(), set.len()), (Encoding::Intset, 1));
    set.prepare(512, &default);
    assert_eq!(set.encoding(), Encoding::Intset);
    set.prepare(513, &default);
    assert_eq!(set.encoding(), Encoding::Hashtable);
}

#[test]
fn popping_most_members_rebuilds_a_smaller_form() {
    let limits = Limits::default();
    let mut set = Set::new();
    for i in 0..1000 {
        set.add(format!("m{i}").as_bytes(), &limits);
    }
    let before = all(&set);
    assert_eq!(set.encoding(), Encoding::Hashtable);
    let mut popped = set.pop_many(900, &mut Rng::with_seed(1), &limits);
    assert_eq!((set.len(), set.encoding()), (100, Encoding::Listpack));
    popped.extend(set.iter().map(|member| member.to_vec()));
    assert_eq!(popped.into_iter().collect::<BTreeSet<_>>(), before);
}

#[test]
fn samples_are_distinct_and_reach_everyone() {
    let limits = Limits::default();
    for prefix in ["", "a-very-short-prefix-of-members-that-makes-them-longer-than-the-limit-is"] {
        for members in [100usize, 400] {
            let mut set = Set::new();
            for i in 0..members {
                set.add(format!("{prefix}{i}").as_bytes(), &limits);
            }
            let mut rng = Rng::with_seed(4);
            for count in [0, 1, 7, members / 3, members - 1, members, members + 1] {
                let mut seen = BTreeSet::new();
                for _ in 0..300 {
                    let picked: BTreeSet<_> = set.random_distinct(count, &mut rng).iter().map(Item::to_vec).collect();
                    assert_eq!(picked.len(), count.min(members));
                    seen.extend(picked);
                }
                assert!(count <= 7 || seen.len() == members);
            }
            let (mut cursor, mut seen) = (0, BTreeSet::new());
            loop {
                cursor = set.scan(cursor, 10, |member| {
                    seen.insert(member.to_vec());
                });
                if cursor == 0 {
                    break;
                }
            }
            assert_eq!(seen, all(&set));
        }
    }
}

#[test]
fn intersections_cross_all_forms() {
    let limits = Limits::default();
    let large = (0..1000).map(|i| i.to_string()).collect::<Vec<_>>();
    let large = of(&large.iter().map(String::as_str).collect::<Vec<_>>(), &limits);
    let (ints, mixed) = (of(&["5", "7", "2000", "9"], &limits), of(&["5", "x", "9", "8"], &limits));
    let forms = [large.encoding(), ints.encoding(), mixed.encoding()];
    assert_eq!(forms, [Encoding::Hashtable, Encoding::Intset, Encoding::Listpack]);
    let got: BTreeSet<_> = intersection(&[&large, &ints, &mixed]).map(|member| member.to_vec()).collect();
    assert_eq!(got, BTreeSet::from([b"5".to_vec(), b"9".to_vec()]));
    assert_eq!(intersection(&[&large]).count(), 1000);
    assert_eq!(intersection(&[]).count(), 0);
}

#[test]
fn doubled_members_in_a_dump_are_refused() {
    let mut listpack = Listpack::new();
    listpack.push_back(b"7");
    listpack.push_back(b"a");
    assert!(Set::from_listpack(listpack.clone()).is_some());
    listpack.push_back(b"7");
    assert!(Set::from_listpack(listpack).is_none());
}

#[test]
fn damaged_integers_never_panic() {
    let mut rng = Rng::with_seed(79);
    let mut accepted = 0;
    for _ in 0..50_000 {
        let mut ints = Intset::new();
        for _ in 0..rng.usize(..5) {
            ints.add(rng.i64(..) >> (rng.u8(..4) * 16));
        }
        let mut bytes = ints.as_bytes().to_vec();
        let at = rng.usize(..bytes.len());
        bytes[at] = rng.u8(..);
        bytes.truncate(rng.usize(bytes.len() / 2..=bytes.len() * 2));
        let Ok(ints) = Intset::from_bytes(&bytes) else { continue };
        accepted += 1;
        let mut set = Set::from_intset(ints);
        set.add(b"12", &Limits::default());
        set.add(b"word", &Limits::default());
        assert!(set.contains(b"12") && set.remove(b"word"));
        while set.pop(&mut rng).is_some() {}
    }
    assert!(accepted > 100, "{accepted}");
}
