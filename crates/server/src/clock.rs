//! The only place where the clock is read.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use quanta::Clock;

static LATEST_MS: AtomicI64 = AtomicI64::new(0);
static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::new);

/// Milliseconds since 1970. It never runs behind what any thread has been given before, so that two workers cannot
/// disagree about what has expired.
pub fn now_ms() -> i64 {
    let now = unix_us() / 1000;
    let latest = LATEST_MS.load(Ordering::Relaxed);
    if now <= latest { latest } else { LATEST_MS.fetch_max(now, Ordering::Relaxed).max(now) }
}

/// Microseconds since 1970, as the machine tells them.
pub fn unix_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Monotonic nanoseconds, from a counter that costs a few nanoseconds to read.
pub fn ticks_ns() -> u64 {
    CLOCK.delta_as_nanos(0, CLOCK.raw())
}
