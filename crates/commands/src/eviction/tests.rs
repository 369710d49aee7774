use std::sync::atomic::AtomicU64;

use super::*;
use crate::settings::Settings;

fn keys(pool: &mut Pool) -> Vec<String> {
    std::iter::from_fn(|| pool.best())
        .map(|candidate| format!("{}:{}", candidate.score, String::from_utf8_lossy(&candidate.key)))
        .collect()
}

#[test]
fn the_pool_keeps_the_best_and_gives_the_very_best_first() {
    let mut pool = Pool::default();
    for n in [5, 1, 9, 3] {
        pool.offer(n, 0, n.to_string().as_bytes());
    }
    assert_eq!(keys(&mut pool), ["9:9", "5:5", "3:3", "1:1"]);
    for n in (0..100).rev().chain(50..200) {
        pool.offer(n, 0, n.to_string().as_bytes());
    }
    let expected: Vec<String> = (184..200).rev().map(|n| format!("{n}:{n}")).collect();
    assert_eq!(keys(&mut pool), expected);
}

#[test]
fn the_pool_takes_no_candidate_twice() {
    let mut pool = Pool::default();
    for (score, db, key) in [(1, 0, "a"), (1, 0, "b"), (1, 0, "a"), (1, 1, "a"), (2, 0, "a")] {
        pool.offer(score, db, key.as_bytes());
    }
    // With a new score a key may stand there once more: the old place is found to be wrong when it is looked at.
    assert_eq!(keys(&mut pool).len(), 4);
}

#[test]
fn a_pool_used_again_mixes_nothing_up() {
    let mut pool = Pool::default();
    let mut model: Vec<(u64, u32, Vec<u8>)> = Vec::new();
    let mut rng = fastrand::Rng::with_seed(3);
    for _ in 0..5000 {
        if rng.u8(..4) > 0 {
            let offered = (rng.u64(..1000), rng.u32(..2), vec![b'x'; rng.usize(..3000)]);
            pool.offer(offered.0, offered.1, &offered.2);
            let worst = model.iter().map(|(score, ..)| *score).min();
            if !model.contains(&offered) && (model.len() < POOL_MAX || worst.is_some_and(|worst| worst < offered.0)) {
                model.push(offered);
            }
            if model.len() > POOL_MAX {
                let worst = model.iter().map(|(score, ..)| *score).min().unwrap();
                // Which of two equally bad ones goes is left open, so the model looks.
                let kept = |held: &(u64, u32, Vec<u8>)| {
                    pool.candidates.iter().any(|it| (it.score, it.db, &it.key) == (held.0, held.1, &held.2))
                };
                let gone = model.iter().position(|held| held.0 == worst && !kept(held)).expect("one of the worst goes");
                model.remove(gone);
            }
        } else if let Some(best) = pool.best() {
            let at = model.iter().position(|held| (held.0, held.1, &held.2) == (best.score, best.db, &best.key));
            let taken = model.remove(at.expect("it was offered"));
            assert!(model.iter().all(|held| held.0 <= taken.0));
            pool.recycle(best);
        }
        assert_eq!(pool.candidates.len(), model.len());
    }
}

#[test]
fn scores_follow_the_policy() {
    let settings = Settings::default();
    let (forever, soon, late) =
        (Entry::int(b"k", 1, None), Entry::int(b"k", 1, Some(1000)), Entry::int(b"k", 1, Some(2000)));
    let score = |policy, word: u32, entry: &Entry| {
        settings.set_policy(policy);
        entry.set_access(word);
        policy.score(entry, &Access::at(100_000_000, &settings, || 7))
    };
    // Seconds of the clock; then minutes and counter.
    let (old, new) = (10, 90_000);
    let minutes = 100_000_000 / 60_000;
    let (seldom, often) = (minutes << 8 | 5, minutes << 8 | 200);
    assert!(score(Policy::AllkeysLru, old, &forever) > score(Policy::AllkeysLru, new, &forever));
    assert!(score(Policy::AllkeysLfu, seldom, &forever) > score(Policy::AllkeysLfu, often, &forever));
    assert_eq!(score(Policy::AllkeysLfu, (minutes - 1) << 8 | 6, &forever), Some(250), "decayed");
    assert!(score(Policy::VolatileTtl, 0, &soon) > score(Policy::VolatileTtl, 0, &late));
    assert_eq!(score(Policy::AllkeysRandom, old, &soon), score(Policy::AllkeysRandom, new, &late));
    for policy in Policy::ALL.map(|(_, policy)| policy) {
        assert_eq!(score(policy, old, &forever).is_none(), policy.is_volatile(), "{policy:?}");
        assert!(score(policy, old, &soon).is_some());
        assert_eq!(Policy::from_u8(policy as u8), policy);
    }
}

#[test]
fn databases_are_drawn_by_what_they_hold() {
    let mut evictor = Evictor::default();
    let mut rng = fastrand::Rng::with_seed(1);
    let looks = AtomicU64::new(0);
    let mut drawn = [0; 4];
    for _ in 0..10_000 {
        let weights = [(0, 10), (1, 0), (3, 30)].into_iter().inspect(|_| {
            looks.fetch_add(1, Relaxed);
        });
        drawn[evictor.draw_database(&mut rng, weights).unwrap() as usize] += 1;
    }
    assert_eq!((drawn[1], drawn[2]), (0, 0));
    assert!((2200..2800).contains(&drawn[0]), "{drawn:?}");
    assert!(looks.load(Relaxed) < 200, "the weights are not looked at for each draw");
    // A database that was found empty is looked at again.
    assert!(!evictor.drew_afresh());
    assert_eq!(evictor.draw_database(&mut rng, [(2, 1)].into_iter()), Some(2));
    assert!(evictor.drew_afresh());
    assert_eq!(evictor.draw_database(&mut rng, [(0, 0)].into_iter()), None);
    assert_eq!(evictor.draw_database(&mut rng, [(1, 5)].into_iter()), Some(1), "none is no lasting answer");
}

#[test]
fn the_time_beyond_the_limit_is_summed() {
    let exceeded = Exceeded::default();
    let unasked = || unreachable!("nothing has changed");
    exceeded.note(false, unasked);
    exceeded.note(true, || 100);
    exceeded.note(true, unasked);
    assert_eq!((exceeded.current_ns(150), exceeded.total_ns(150)), (50, 50));
    exceeded.note(false, || 160);
    assert_eq!((exceeded.current_ns(200), exceeded.total_ns(200)), (0, 60));
    exceeded.note(true, || 300);
    assert_eq!(exceeded.total_ns(301), 61);
    exceeded.reset();
    assert_eq!(exceeded.total_ns(301), 1);
}
