//! Deadlines as commands name them: relative or absolute, in seconds or milliseconds; inside, always absolute
//! milliseconds, because that is the same wherever and whenever the effect is applied.

use crate::effect::{Class, Effect};
use crate::error::{Error, NOT_INTEGER, Result};
use crate::keys::Keys;
use crate::number;
use crate::spec::Spec;

/// How an expiry is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds from now: `EX`.
    Seconds,
    /// Milliseconds from now: `PX`.
    Milliseconds,
    /// Seconds since 1970: `EXAT`.
    UnixSeconds,
    /// Milliseconds since 1970: `PXAT`.
    UnixMilliseconds,
}

impl Unit {
    /// The unit that an option word stands for.
    pub fn option(word: &[u8]) -> Option<Self> {
        const WORDS: [(&[u8], Unit); 4] = [
            (b"EX", Unit::Seconds),
            (b"PX", Unit::Milliseconds),
            (b"EXAT", Unit::UnixSeconds),
            (b"PXAT", Unit::UnixMilliseconds),
        ];
        WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, unit)| *unit)
    }

    /// The deadline in milliseconds since 1970, if it can be expressed.
    pub fn to_deadline(self, amount: i64, now_ms: i64) -> Option<i64> {
        match self {
            Self::Seconds => amount.checked_mul(1000)?.checked_add(now_ms),
            Self::Milliseconds => amount.checked_add(now_ms),
            Self::UnixSeconds => amount.checked_mul(1000),
            Self::UnixMilliseconds => Some(amount),
        }
    }
}

/// The deadline for options such as SET's, where amounts of 0 and below are errors.
pub fn deadline(spec: &Spec, now_ms: i64, unit: Unit, amount: &[u8]) -> Result<i64> {
    let amount = number::parse_i64(amount).ok_or(NOT_INTEGER)?;
    let invalid = || Error::expire_time(spec.full_name);
    if amount <= 0 {
        return Err(invalid());
    }
    unit.to_deadline(amount, now_ms).ok_or_else(invalid)
}

/// What a deadline that is over already does: the key is gone.
pub fn set_in_the_past(keys: &mut Keys<'_>, key: &[u8]) -> Effect {
    if !keys.delete(key) {
        return Effect::None;
    }
    keys.changed(key, Class::GENERIC, "del");
    Effect::rewritten([b"DEL", key])
}
