//! The access word of an entry: when it was used last, or how often of late.
//!
//! Redis's two readings of the same bits. Under an LFU policy the word is `minutes u16 | counter u8`: the counter grows
//! with a chance that falls as it grows (so 255 stands for a million uses, with the usual factor), and falls by one for
//! each decay period that has gone by since the minutes were written. Else it is the second of the last use, modulo
//! 2^24. When the policy changes, words are read the other way without being rewritten; both are rough, and use sets
//! them right.
//!
//! The word is written under shared guards too, without a lock: of two uses at the same moment one may be lost, which
//! matters to neither reading.

use std::sync::atomic::Ordering::Relaxed;

use crate::settings::Settings;

/// The clock counts seconds modulo this.
pub const CLOCK_MODULUS: u32 = 1 << 24;
/// Minutes are counted modulo this.
const MINUTES_MODULUS: u32 = 1 << 16;
/// The counter of a new entry: with 0 it would go before it had a chance to be used again.
pub const FREQUENCY_AT_FIRST: u8 = 5;

/// The access clock of a section, and how uses are stamped.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Seconds, as LRU counts them.
    seconds: u32,
    lfu: Option<Lfu>,
}

#[derive(Clone, Copy, Debug)]
struct Lfu {
    minutes: u32,
    /// `lfu-log-factor`.
    log_factor: u32,
    /// `lfu-decay-time`.
    decay_minutes: u32,
    /// Where chance has come to; moves on with each use.
    state: u64,
}

impl Access {
    /// The clock at a time, in milliseconds since 1970, under the policy of the settings. `chance` is drawn when the policy
    /// counts uses, since that is left to chance.
    #[inline]
    pub fn at(now_ms: i64, settings: &Settings, chance: impl FnOnce() -> u64) -> Self {
        let seconds = (now_ms / 1000) as u32 % CLOCK_MODULUS;
        let lfu = settings.policy().is_lfu().then(|| Lfu {
            minutes: (now_ms / 60_000) as u32 % MINUTES_MODULUS,
            log_factor: settings.lfu_log_factor.load(Relaxed),
            decay_minutes: settings.lfu_decay_time.load(Relaxed),
            state: chance(),
        });
        Self { seconds, lfu }
    }

    /// The word of an entry that comes to be now.
    #[inline]
    pub fn fresh(&self) -> u32 {
        match self.lfu {
            None => self.seconds,
            Some(lfu) => lfu.word(FREQUENCY_AT_FIRST),
        }
    }

    /// The word of an entry that is used now; chance moves on with each use.
    #[inline]
    pub fn used(&mut self, word: u32) -> u32 {
        match &mut self.lfu {
            None => self.seconds,
            Some(lfu) => {
                // The step of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
                lfu.state = lfu.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                lfu.used(word)
            }
        }
    }

    /// The word of an entry that comes from elsewhere, where it was used last so many seconds ago, or has this counter.
    /// What the policy does not keep is left out, and then the entry is a new one.
    pub fn told(&self, idle_s: Option<u64>, counter: Option<u8>) -> u32 {
        match self.lfu {
            // The truncation is a remainder modulo 2^32, of which the clock's modulus is a divisor.
            None => self.seconds.wrapping_sub(idle_s.unwrap_or(0) as u32) % CLOCK_MODULUS,
            Some(lfu) => lfu.word(counter.unwrap_or(FREQUENCY_AT_FIRST)),
        }
    }

    /// Seconds since the last use, if this is what the word tells.
    pub fn idle_s(&self, word: u32) -> u32 {
        self.seconds.wrapping_sub(word) % CLOCK_MODULUS
    }

    /// The counter as it has decayed by now; nothing when the policy counts no uses.
    pub fn frequency(&self, word: u32) -> Option<u8> {
        self.lfu.map(|lfu| lfu.decayed(word))
    }
}

impl Lfu {
    fn word(self, counter: u8) -> u32 {
        self.minutes << 8 | u32::from(counter)
    }

    fn decayed(self, word: u32) -> u8 {
        let counter = word as u8;
        let elapsed = self.minutes.wrapping_sub(word >> 8) % MINUTES_MODULUS;
        let periods = elapsed.checked_div(self.decay_minutes).unwrap_or(0);
        counter.saturating_sub(periods.min(u32::from(u8::MAX)) as u8)
    }

    /// A counter of `FREQUENCY_AT_FIRST` or less grows with every use; above it, with the chance 1 in
    /// (distance from there, times the factor, plus 1).
    fn used(self, word: u32) -> u32 {
        let counter = self.decayed(word);
        let above = u64::from(counter.saturating_sub(FREQUENCY_AT_FIRST));
        let odds = above * u64::from(self.log_factor) + 1;
        let grows = odds == 1 || self.chance() <= u64::MAX / odds;
        self.word(counter.saturating_add(grows.into()))
    }

    /// The output of SplitMix64.
    fn chance(self) -> u64 {
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests;
