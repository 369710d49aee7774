use super::*;
use crate::eviction::Policy;

const MINUTE_MS: i64 = 60_000;

fn lru(now_ms: i64) -> Access {
    Access::at(now_ms, &Settings::default(), || unreachable!("the last use is not left to chance"))
}

fn lfu(now_ms: i64, log_factor: u32, decay_minutes: u32, seed: u64) -> Access {
    let settings = Settings::default();
    settings.set_policy(Policy::AllkeysLfu);
    settings.lfu_log_factor.store(log_factor, Relaxed);
    settings.lfu_decay_time.store(decay_minutes, Relaxed);
    Access::at(now_ms, &settings, || seed)
}

#[test]
fn the_clock_goes_round() {
    let before = lru(((1 << 24) - 1) * 1000).fresh();
    assert_eq!(before, (1 << 24) - 1);
    let mut after = lru(((1 << 24) + 2) * 1000 + 999);
    assert_eq!((after.fresh(), after.used(77)), (2, 2));
    assert_eq!((after.idle_s(before), after.idle_s(2), after.idle_s(3)), (3, 0, (1 << 24) - 1));
    assert_eq!(after.told(Some(3), Some(1)), before);
    assert_eq!((after.told(None, Some(1)), after.frequency(1)), (2, None));
}

#[test]
fn counters_decay_with_time_and_no_further_than_to_0() {
    let word = lfu(0, 10, 1, 1).told(None, Some(20));
    let at = |minutes: i64, decay| lfu(minutes * MINUTE_MS, 10, decay, 1).frequency(word).unwrap();
    assert_eq!([0, 1, 19, 20, 21, 65_535].map(|minutes| at(minutes, 1)), [20, 19, 1, 0, 0, 0]);
    assert_eq!([0, 1, 6, 7, 20, 139, 140].map(|minutes| at(minutes, 7)), [20, 20, 20, 19, 18, 1, 0]);
    assert_eq!(at(1000, 0), 20, "0 is never");
    assert_eq!(at(65_536 + 3, 1), 17, "minutes go round after 45 days");
    let late = lfu(65_530 * MINUTE_MS, 10, 1, 1).told(None, Some(20));
    assert_eq!(lfu(65_540 * MINUTE_MS, 10, 1, 1).frequency(late), Some(10), "across the end of the clock");
}

#[test]
fn a_use_lets_the_counter_decay_and_then_counts() {
    let word = lfu(0, 10, 1, 1).told(None, Some(9));
    let mut later = lfu(6 * MINUTE_MS, 10, 1, 1);
    let word = later.used(word);
    assert_eq!((word >> 8, word as u8), (6, 4), "9, 6 minutes later 3, and up to 5 every use counts");
    assert_eq!(later.frequency(word), Some(4));
    assert_eq!(later.fresh() as u8, FREQUENCY_AT_FIRST);
    assert_eq!((later.told(Some(5), None), later.told(Some(5), Some(255))), (later.fresh(), 6 << 8 | 255));
}

#[test]
fn the_counter_ends_at_255() {
    let mut access = lfu(0, 0, 1, 1);
    let word = (0..1000).fold(access.fresh(), |word, _| access.used(word));
    assert_eq!(word as u8, 255);
}

/// The table in Redis's documentation of `lfu-log-factor` (and in its redis.conf): counters after so many uses. They are
/// averages there; a run of ours must come near.
#[test]
fn the_counter_grows_as_redis_says() {
    for (factor, uses, expected) in [
        (0, 100, 104..=105),
        (0, 1000, 255..=255),
        (1, 100, 14..=22),
        (1, 1000, 43..=55),
        (1, 100_000, 255..=255),
        (10, 100, 8..=12),
        (10, 1000, 15..=22),
        (10, 100_000, 132..=152),
        (10, 1_000_000, 255..=255),
        (100, 100, 6..=10),
        (100, 1000, 8..=13),
        (100, 100_000, 43..=55),
        (100, 1_000_000, 135..=151),
    ] {
        let mut sum = 0;
        let runs = if uses > 10_000 { 2 } else { 20 };
        for seed in 0..runs {
            let mut access = lfu(0, factor, 1, seed * 77);
            sum += u64::from((0..uses).fold(access.fresh(), |word, _| access.used(word)) as u8);
        }
        let average = sum / runs;
        assert!(expected.contains(&average), "factor {factor}, {uses} uses: {average}");
    }
}
