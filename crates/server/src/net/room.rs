//! How much memory a connection keeps for its replies while none waits.
//!
//! A buffer grows as a reply needs it and is cut to its room when the reply has gone. The room adapts as Redis's reply
//! buffer does, whose size CLIENT LIST tells: it is halved while less than half of it is used, and doubled when all of
//! it is. What waits beyond the room counts against `client-output-buffer-limit`.

use std::sync::atomic::Ordering::Relaxed;

use commands::settings::Settings;
use commands::stats::Stats;

/// Room of a new connection, and the most there is.
const ROOM_BYTES_MAX: usize = 16 * 1024;
/// The least.
const ROOM_BYTES_MIN: usize = 1024;

/// See the file's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReplyRoom {
    /// Bytes that are kept.
    pub(super) bytes: usize,
    /// Most bytes of it that were used lately.
    pub(super) peak: usize,
    peak_reset_ms: i64,
}

impl ReplyRoom {
    pub(super) fn new(now_ms: i64) -> Self {
        Self { bytes: ROOM_BYTES_MAX, peak: ROOM_BYTES_MAX, peak_reset_ms: now_ms }
    }

    /// Notes how much waits.
    #[inline]
    pub(super) fn note(&mut self, pending: usize) {
        self.peak = self.peak.max(pending.min(self.bytes));
    }

    /// Adapts, and counts if that changes something; `pending` bytes wait now.
    pub(super) fn tend(&mut self, pending: usize, now_ms: i64, settings: &Settings, stats: &Stats) {
        if !settings.reply_buffer_resizing.load(Relaxed) {
            return;
        }
        if self.bytes / 2 >= ROOM_BYTES_MIN && self.peak < self.bytes / 2 {
            self.bytes = ROOM_BYTES_MIN.max(self.peak + 1);
            stats.room_shrinks.add(1);
        } else if self.bytes < ROOM_BYTES_MAX && self.peak == self.bytes {
            self.bytes = ROOM_BYTES_MAX.min(self.bytes * 2);
            stats.room_expands.add(1);
        }
        let reset_ms = settings.reply_buffer_peak_reset_ms.load(Relaxed);
        if reset_ms >= 0 && now_ms - self.peak_reset_ms >= reset_ms {
            self.peak = pending.min(self.bytes);
            self.peak_reset_ms = now_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_room_shrinks_to_its_least_and_used_room_grows_to_its_most() {
        let (settings, stats) = (Settings::default(), Stats::default());
        let mut room = ReplyRoom::new(0);
        room.tend(0, 4999, &settings, &stats);
        assert_eq!(room, ReplyRoom::new(0), "the peak is not forgotten yet");
        room.tend(0, 5000, &settings, &stats);
        room.tend(0, 5100, &settings, &stats);
        assert_eq!((room.bytes, room.peak), (ROOM_BYTES_MIN, 0));
        settings.reply_buffer_peak_reset_ms.store(-1, Relaxed);
        for _ in 0..10 {
            room.note(1 << 20);
            room.tend(0, 9_999_999, &settings, &stats);
        }
        assert_eq!(room.bytes, ROOM_BYTES_MAX);
        assert_eq!((stats.room_shrinks.get(), stats.room_expands.get()), (1, 4));
        settings.reply_buffer_resizing.store(false, Relaxed);
        room.peak = 0;
        room.tend(0, 99_999_999, &settings, &stats);
        assert_eq!(room.bytes, ROOM_BYTES_MAX);
    }
}
