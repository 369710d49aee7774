//! Pacing: writers are slowed down while a replica lags, so that it is not dropped only to begin again with a full copy.
//!
//! What the log keeps for a replica counts as its output, and `client-output-buffer-limit replica` ends a link that has too
//! much of it. From half of that limit on, writers get a share of the rate that they had before: all of it at half the
//! limit, half of it at the limit, and in between in proportion. So a replica that takes at least half of what is written
//! finds its balance below the limit, and one that takes less is dropped by the limit as ever. Nobody is slowed down for one
//! and the same replica for longer than `repl-pacing-timeout` (by default `repl-timeout`); a replica that is still behind then
//! is left to the limit. Where the limit is off, there is no pacing either, and a replica may lag for as long as memory
//! lasts; where that time is 0, the limit drops a replica as in Redis.
//!
//! On a replica with replicas of its own the one who writes is the applier. It is slowed down alike, and reads no more than
//! it may keep, so that in the end its primary slows down, or drops it.
//!
//! The budget is an offset of the log. A write that finds the log there or beyond is postponed before anything has
//! happened, as in a pause; a feeder moves the budget on every [`STEP_MS`] and has the postponed tried again. So what is
//! written beyond the budget is one section a worker.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::State;
use super::primary::{Phase, Replica};
use crate::config::keys;
use crate::server::Server;

/// From one step of the budget to the next.
pub const STEP_MS: i64 = 10;
/// Steps for which an unused budget is kept, and for which one that was exceeded is paid back.
const KEPT_STEPS: f64 = 20.0;
/// Over how long the rate of writing is averaged, in milliseconds. The larger average counts: the short one knows of load
/// that has just begun, and the long one forgets nothing in a moment's rest.
const RATES_MS: [f64; 2] = [300.0, 4000.0];
/// Bytes a millisecond that writers always have, whatever they had before: 4 MB/s.
const RATE_MIN: f64 = 4000.0;
/// No budget: nobody is slowed down.
const FREE: u64 = u64::MAX;

/// See the file's head.
pub struct Pacing {
    /// The budget, or [`FREE`].
    until: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    stepped_ms: i64,
    tail: u64,
    /// Bytes a millisecond, as they were before writers were slowed down.
    rates: [f64; 2],
}

impl Default for Pacing {
    fn default() -> Self {
        Self { until: AtomicU64::new(FREE), inner: Mutex::default() }
    }
}

/// What pacing knows of one replica.
#[derive(Debug, Default)]
pub struct Lag {
    /// Bytes that the log keeps for it.
    pub bytes: AtomicU64,
    /// For how long writers have been slowed down for it, in milliseconds.
    paced_ms: AtomicI64,
}

impl Pacing {
    /// Whether writers are slowed down.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.until.load(Relaxed) != FREE
    }
}

impl State {
    /// Whether a write is to wait for the next step.
    #[inline]
    pub fn holds_writes(&self) -> bool {
        let until = self.pacing.until.load(Relaxed);
        until != FREE && self.offset() >= until
    }

    /// Moves the budget on, if it is time for that. Feeders call this whenever they are awake.
    pub fn pace(&self, server: &Server, now_ms: i64) {
        let Some(mut inner) = self.pacing.inner.try_lock() else { return };
        let spent_ms = now_ms - inner.stepped_ms;
        if (0..STEP_MS).contains(&spent_ms) {
            return;
        }
        inner.stepped_ms = now_ms;
        let tail = self.offset();
        let written = tail.saturating_sub(std::mem::replace(&mut inner.tail, tail));
        // After a long sleep there was no step in which anything could have been written, nor is there one to pay back.
        let spent_ms = spent_ms.clamp(1, RATES_MS[1] as i64);
        let pressure = self.pressure(server, spent_ms);
        let until = self.pacing.until.load(Relaxed);
        if pressure <= 0.0 {
            if until == FREE {
                for (rate, over_ms) in inner.rates.iter_mut().zip(RATES_MS) {
                    *rate += (written as f64 / spent_ms as f64 - *rate) * (spent_ms as f64 / over_ms).min(1.0);
                }
            } else {
                self.pacing.until.store(FREE, Relaxed);
                server.log.verbose("No replica lags any more, writers go on at their own pace.");
                server.wake_postponed();
            }
            return;
        }
        let rate = inner.rates[0].max(inner.rates[1]).max(RATE_MIN) * (1.0 - pressure / 2.0);
        let kept = (rate * STEP_MS as f64 * KEPT_STEPS) as u64;
        let step = (rate * spent_ms as f64) as u64;
        let next = if until == FREE {
            server.log.notice("A replica lags, writers are slowed down.");
            tail + step
        } else {
            (until + step).clamp(tail.saturating_sub(kept), tail + kept)
        };
        self.pacing.until.store(next, Relaxed);
        if next > tail {
            server.wake_postponed();
        }
    }

    /// How near the replica that lags most is to its limit: 0 is half way, 1 is there. Those count for whom writers have
    /// not been slowed down for too long already.
    fn pressure(&self, server: &Server, spent_ms: i64) -> f64 {
        let (Some(limit), Some(patience_ms)) = (limit(server), patience_ms(server)) else { return 0.0 };
        let near = |replica: &Replica| {
            let half = limit as f64 / 2.0;
            let (lag, near) = (&replica.lag, (replica.lag.bytes.load(Relaxed) as f64 - half) / half);
            if replica.phase() == Phase::CopySent || near <= -0.5 {
                lag.paced_ms.store(0, Relaxed);
                return 0.0;
            }
            if near <= 0.0 {
                return 0.0;
            }
            let paced_ms = lag.paced_ms.fetch_add(spent_ms, Relaxed);
            if paced_ms <= patience_ms && paced_ms + spent_ms > patience_ms {
                server
                    .log
                    .warning(&format!("Replica {} lags still, writers do not wait for it any more.", replica.name()));
            }
            if paced_ms > patience_ms { 0.0 } else { near.min(1.0) }
        };
        self.primary.replicas().iter().map(|replica| near(replica)).fold(0.0, f64::max)
    }
}

/// For how long writers are slowed down for one replica; nothing if they never are.
fn patience_ms(server: &Server) -> Option<i64> {
    let seconds = match server.config.get(keys::REPL_PACING_TIMEOUT) {
        -1 => server.config.get(keys::REPL_TIMEOUT) as i64,
        seconds => seconds,
    };
    (seconds > 0).then_some(seconds * 1000)
}

/// At how many bytes a replica is dropped, at once or after a while; nothing if it never is.
fn limit(server: &Server) -> Option<u64> {
    let limit = &server.settings.output_limits[1];
    let set = |bytes: u64| if bytes == 0 { u64::MAX } else { bytes };
    let bytes = set(limit.hard_bytes.load(Relaxed)).min(set(limit.soft_bytes.load(Relaxed)));
    // What the log keeps anyhow does not count.
    (bytes != u64::MAX).then(|| bytes.max(server.config.get(keys::REPL_BACKLOG_SIZE)))
}
