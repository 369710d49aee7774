//! Connections that MIGRATE keeps for a while: who moves many keys does so in many calls.

use parking_lot::Mutex;

use super::link::Link;

/// Connections kept at most.
const KEPT_MAX: usize = 64;
/// How long one is kept without being used, in milliseconds.
const KEPT_MS: i64 = 10_000;

/// See the file's head.
#[derive(Default)]
pub struct Sockets(Mutex<Vec<(i64, Link)>>);

impl Sockets {
    /// A connection to a target, if one is kept; it is the caller's until it is given back.
    pub(super) fn take(&self, host: &[u8], port: u16) -> Option<Link> {
        let mut kept = self.0.lock();
        let at = kept.iter().rposition(|(_, link)| link.host == host && link.port == port)?;
        Some(kept.remove(at).1)
    }

    /// Keeps a connection; the one that was not used for the longest time makes room for it.
    pub(super) fn keep(&self, link: Link, now_ms: i64) {
        let mut kept = self.0.lock();
        if kept.len() == KEPT_MAX {
            kept.remove(0);
        }
        kept.push((now_ms, link));
    }

    /// Closes what was not used for long.
    pub fn close_idle(&self, now_ms: i64) {
        self.0.lock().retain(|(used_ms, _)| now_ms - used_ms <= KEPT_MS);
    }

    /// `migrate_cached_sockets`.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }
}
