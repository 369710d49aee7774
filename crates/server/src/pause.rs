//! CLIENT PAUSE: whether commands wait, which, and how long.
//!
//! One word holds the end (milliseconds since 1970) and, in its lowest two bits, what waits; 0 is no pause, which is all
//! that most commands ever read of it. It is set under the exclusive gate, so every command runs wholly before a pause
//! or waits for its end. That it is over is a matter of the clock; whoever first notices clears the word and has to wake
//! those who wait.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use commands::host::Pause;

/// Latest end that fits, some 70 million years from now.
const UNTIL_MS_MAX: i64 = i64::MAX >> 2;

/// See the file's head.
#[derive(Default)]
pub struct Pausing {
    word: AtomicU64,
}

impl Pausing {
    /// Whether there is a pause, as far as anybody has looked.
    #[inline]
    pub fn is_off(&self) -> bool {
        self.word.load(Relaxed) == 0
    }

    /// What waits at this time.
    pub fn at(&self, now_ms: i64) -> Pause {
        match unpack(self.word.load(Acquire)) {
            Some((until_ms, pause)) if now_ms < until_ms => pause,
            _ => Pause::No,
        }
    }

    /// When the pause ends, if there is one.
    pub fn ends_ms(&self) -> Option<i64> {
        unpack(self.word.load(Acquire)).map(|(until_ms, _)| until_ms)
    }

    /// Pauses. What goes on already becomes stricter or longer, not weaker or shorter. Called under the exclusive gate.
    pub fn set(&self, until_ms: i64, pause: Pause, now_ms: i64) {
        let (mut until_ms, mut pause) = (until_ms.min(UNTIL_MS_MAX), pause);
        if let Some((old_until_ms, old_pause)) = unpack(self.word.load(Acquire)).filter(|(until, _)| now_ms < *until) {
            until_ms = until_ms.max(old_until_ms);
            pause = if old_pause == Pause::All { old_pause } else { pause };
        }
        let word = if until_ms > now_ms { pack(until_ms, pause) } else { 0 };
        // Pairs with the loads above: who sees the pause by this word alone sees all of it. The gate orders the rest.
        self.word.store(word, Release);
    }

    /// Ends the pause. Called under the exclusive gate.
    pub fn clear(&self) {
        self.word.store(0, Release);
    }

    /// Clears a pause whose time is over; true for the one caller that did so.
    pub fn clear_if_over(&self, now_ms: i64) -> bool {
        let word = self.word.load(Acquire);
        let is_over = unpack(word).is_some_and(|(until_ms, _)| until_ms <= now_ms);
        // Fails if somebody pauses again at this moment, under the gate; then nothing is over.
        is_over && self.word.compare_exchange(word, 0, AcqRel, Relaxed).is_ok()
    }
}

fn pack(until_ms: i64, pause: Pause) -> u64 {
    let kind = match pause {
        Pause::No => return 0,
        Pause::Writes => 1,
        Pause::All => 2,
    };
    (until_ms as u64) << 2 | kind
}

fn unpack(word: u64) -> Option<(i64, Pause)> {
    let pause = match word & 3 {
        0 => return None,
        1 => Pause::Writes,
        _ => Pause::All,
    };
    Some(((word >> 2) as i64, pause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_becomes_stricter_and_longer_only() {
        let pausing = Pausing::default();
        pausing.set(100, Pause::All, 0);
        pausing.set(20, Pause::Writes, 0);
        assert_eq!((pausing.at(99), pausing.at(100)), (Pause::All, Pause::No));
        pausing.set(200, Pause::Writes, 50);
        assert_eq!((pausing.at(199), pausing.ends_ms()), (Pause::All, Some(200)));
        pausing.set(300, Pause::Writes, 200);
        assert_eq!(pausing.at(250), Pause::Writes, "what is over has no say");
        pausing.clear();
        assert!(pausing.is_off());
    }

    #[test]
    fn only_one_ends_a_pause_and_only_when_it_is_over() {
        let pausing = Pausing::default();
        pausing.set(100, Pause::Writes, 0);
        assert!(!pausing.clear_if_over(99));
        assert!(pausing.clear_if_over(100));
        assert!(!pausing.clear_if_over(100));
    }

    #[test]
    fn the_ends_of_the_range_are_kept() {
        let pausing = Pausing::default();
        pausing.set(i64::MAX, Pause::All, 0);
        assert_eq!(pausing.at(i64::MAX / 8), Pause::All);
        pausing.clear();
        pausing.set(5, Pause::All, 5);
        assert!(pausing.is_off(), "a pause of no time is none");
    }
}
