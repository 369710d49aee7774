//! Directives that the process looks at for every event: copies out of the configuration's lock. [`crate::apply`]
//! writes them; commands have theirs in [`commands::settings::Settings`].

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::config::value::OutputLimit;

/// Clients that one round of the periodic work is meant for; with more of them, `dynamic-hz` makes rounds more frequent.
const CLIENTS_A_ROUND: usize = 200;
/// Most rounds in a second.
const HZ_MAX: u64 = 500;

/// See the file's head. Each field is named after its directive.
#[derive(Default)]
pub struct Live {
    /// In seconds.
    pub tcp_keepalive: AtomicU64,
    /// Whether only clients of this machine are served while there is no password.
    pub protected_mode: AtomicBool,
    /// In bytes.
    pub client_query_buffer_limit: AtomicUsize,
    /// For normal clients, replicas and subscribers.
    pub client_output_buffer_limit: [OutputLimits; 3],
    /// 1 to 10.
    pub active_expire_effort: AtomicU64,
    /// Connections that are accepted before clients are served again.
    pub max_new_connections_per_cycle: AtomicUsize,
    /// As configured.
    pub hz: AtomicU64,
    /// Whether more clients mean more rounds.
    pub dynamic_hz: AtomicBool,
    /// What `hz` comes to.
    period_ms: AtomicI64,
}

/// One class of `client-output-buffer-limit`; see [`OutputLimit`]. The three are read one by one, so for a moment after
/// a change a client may be held to a mixture of old and new.
#[derive(Default)]
pub struct OutputLimits {
    hard_bytes: AtomicU64,
    soft_bytes: AtomicU64,
    soft_seconds: AtomicU32,
}

impl OutputLimits {
    /// Sets all three.
    pub fn set(&self, limit: OutputLimit) {
        self.hard_bytes.store(limit.hard_bytes, Relaxed);
        self.soft_bytes.store(limit.soft_bytes, Relaxed);
        self.soft_seconds.store(limit.soft_seconds.unsigned_abs(), Relaxed);
    }

    /// Whether so much waiting output is too much, at once or for too long. `soft_since_ms` is the caller's note of
    /// when the soft limit was first exceeded; `now_ms` is asked only when it matters.
    #[inline]
    pub fn is_over(&self, pending: usize, soft_since_ms: &mut Option<i64>, now_ms: impl Fn() -> i64) -> bool {
        let pending = pending as u64;
        let (hard, soft) = (self.hard_bytes.load(Relaxed), self.soft_bytes.load(Relaxed));
        if hard != 0 && pending >= hard {
            return true;
        }
        if soft == 0 || pending < soft {
            *soft_since_ms = None;
            return false;
        }
        let now_ms = now_ms();
        let since = *soft_since_ms.get_or_insert(now_ms);
        now_ms - since > i64::from(self.soft_seconds.load(Relaxed)) * 1000
    }
}

impl Live {
    /// Milliseconds between two rounds of what is done `hz` times a second.
    pub fn period_ms(&self) -> i64 {
        self.period_ms.load(Relaxed).max(1)
    }

    /// Fits the period to the number of clients; called once a round, and when `hz` changes.
    pub fn fit_period(&self, clients: usize) {
        let mut hz = self.hz.load(Relaxed).clamp(1, HZ_MAX);
        while self.dynamic_hz.load(Relaxed) && hz < HZ_MAX && clients as u64 / hz > CLIENTS_A_ROUND as u64 {
            hz = (hz * 2).min(HZ_MAX);
        }
        self.period_ms.store(1000 / hz as i64, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_clients_make_rounds_more_frequent() {
        let live = Live::default();
        live.hz.store(10, Relaxed);
        let period = |clients| {
            live.fit_period(clients);
            live.period_ms()
        };
        assert_eq!([0, 2009, 2010, 4020, 1_000_000].map(period), [100, 100, 100, 100, 100]);
        live.dynamic_hz.store(true, Relaxed);
        assert_eq!([0, 2009, 2010, 4020, 1_000_000].map(period), [100, 100, 50, 25, 2]);
    }

    #[test]
    fn output_is_limited_at_once_or_after_a_while() {
        let limits = OutputLimits::default();
        let mut since = None;
        assert!(!limits.is_over(usize::MAX, &mut since, || 0), "no limit");
        limits.set(OutputLimit { hard_bytes: 100, soft_bytes: 50, soft_seconds: 2 });
        assert!(limits.is_over(100, &mut since, || 0));
        for (pending, now_ms, expected) in [(99, 0, false), (50, 2000, false), (50, 2001, true), (49, 9000, false)] {
            assert_eq!(limits.is_over(pending, &mut since, || now_ms), expected, "{pending} at {now_ms}");
        }
        assert!(!limits.is_over(50, &mut since, || 9000), "the while begins anew");
    }
}
