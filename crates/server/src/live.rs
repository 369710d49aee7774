//! Directives that the process looks at for every event: copies out of the configuration's lock. [`crate::apply`]
//! writes them; commands have theirs in [`commands::settings::Settings`].

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};

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
    /// 1 to 10.
    pub active_expire_effort: AtomicU64,
    /// Connections that are accepted before clients are served again.
    pub max_new_connections_per_cycle: AtomicUsize,
    /// As configured.
    pub hz: AtomicU64,
    /// Microseconds for each key that is saved, or loaded; see [`crate::persistence::snapshot::Delay`].
    pub rdb_key_save_delay: AtomicI64,
    /// See above.
    pub key_load_delay: AtomicI64,
    /// Whether more clients mean more rounds.
    pub dynamic_hz: AtomicBool,
    /// What `hz` comes to.
    period_ms: AtomicI64,
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
}
