//! The 80-bit numbers of INCRBYFLOAT and HINCRBYFLOAT.
//!
//! Redis computes these commands, and the timeouts of blocking ones, in C's `long double`. On the processors it mostly
//! runs on that is the x87 format: 64 bits of mantissa and exponents to 2^16383. Clients see it: 0.1 + 0.2 is 0.3, and
//! 2^64 - 1 can be counted to. Rust has no such type, so here it is in software, as far as those commands need it:
//! reading, adding, and writing seventeen places.
//!
//! Every operation is exact until one rounding at its end, to nearest with ties to even, as in the hardware and in
//! the C library. Numbers of everyday size fit in 128-bit integers throughout; only texts of more than nineteen digits
//! or large exponents, and results of more than 38 digits, take big integers.
//!
//! [`TEXT_BYTES_MAX`] bounds the work: the slowest text takes some hundreds of microseconds.

use num_bigint::BigUint;

use crate::number::literal::{self, Magnitude};
use crate::number::scaled::{Format, Scaled, shift_right_rounding};
use crate::number::write_int;

/// The longest text that is taken for a number. Redis copies it to a buffer of 5 KiB, NUL included.
pub const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;

/// The x87 format. Its smallest normal number is 2^-16382, whose 64th bit is worth 2^-16445.
const FORMAT: Format = Format { precision: 64, exponent_min: -16445, exponent_max: 16383 };

/// A number of the x87 extended format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongDouble {
    negative: bool,
    class: Class,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// `mantissa` * 2^`exponent`, as [`Scaled::round`] leaves them: the highest bit of the mantissa is set unless the
    /// exponent is the smallest one.
    Finite {
        mantissa: u64,
        exponent: i64,
    },
    Infinite,
    NotANumber,
}

impl LongDouble {
    /// Zero, the value of a key that does not exist.
    pub const ZERO: Self =
        Self { negative: false, class: Class::Finite { mantissa: 0, exponent: FORMAT.exponent_min } };

    /// Parses a number in decimal, hexadecimal (`0x1.8p3`) or an infinity, in any case and with any sign.
    ///
    /// Refused are an empty text and one longer than [`TEXT_BYTES_MAX`], white space, anything left over, nan, and
    /// what the format cannot hold: a finite number that would become infinite, or one other than zero that would
    /// become zero.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let literal = literal::scan(text)?;
        let scaled = match literal.magnitude {
            Magnitude::Infinite => return Some(Self { negative: literal.negative, class: Class::Infinite }),
            Magnitude::Hex(scaled) => scaled,
            Magnitude::Decimal { integer, fraction, exponent } => scale_decimal(integer, fraction, exponent)?,
        };
        let value = Self::round(literal.negative, &scaled);
        (value.is_finite() && value.is_zero() == scaled.is_zero()).then_some(value)
    }

    /// The sum, rounded to nearest even. Infinities of opposite signs give a nan, which is not finite either.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "an operator would hide that this rounds to 64 bits")]
    pub fn add(self, other: Self) -> Self {
        match (self.class, other.class) {
            (Class::Finite { .. }, Class::Finite { .. }) => self.add_finite(other),
            (Class::NotANumber, _) | (_, Class::NotANumber) => Self { negative: false, class: Class::NotANumber },
            (Class::Infinite, Class::Infinite) if self.negative != other.negative => {
                Self { negative: false, class: Class::NotANumber }
            }
            (Class::Infinite, _) => self,
            (_, Class::Infinite) => other,
        }
    }

    /// The product with a small integer, rounded to nearest even: seconds to milliseconds.
    #[must_use]
    pub fn times(self, factor: u32) -> Self {
        let Class::Finite { mantissa, exponent } = self.class else { return self };
        let mantissa = u128::from(mantissa) * u128::from(factor);
        Self::round(self.negative, &Scaled { mantissa, sticky: false, exponent })
    }

    /// The smallest integer that is not less; what an `i64` cannot hold becomes its nearest end, and a nan zero.
    pub fn ceil(self) -> i64 {
        let (mantissa, exponent) = match self.class {
            Class::Finite { mantissa, exponent } => (mantissa, exponent),
            Class::Infinite => (u64::MAX, FORMAT.exponent_max),
            Class::NotANumber => return 0,
        };
        // What has more than 64 bits before the point saturates as 64 set bits do; what has none is cut to zero.
        let floor = match exponent {
            1.. => u64::MAX,
            -63..=0 => mantissa >> -exponent,
            _ => 0,
        };
        let exact = match exponent {
            0.. => true,
            -63..0 => floor << -exponent == mantissa,
            _ => mantissa == 0,
        };
        if self.negative {
            0i64.saturating_sub_unsigned(floor)
        } else {
            0i64.saturating_add_unsigned(floor.saturating_add(u64::from(!exact)))
        }
    }

    /// Whether this is neither infinite nor a nan.
    pub fn is_finite(self) -> bool {
        matches!(self.class, Class::Finite { .. })
    }

    /// Appends the number rounded to seventeen places after the point, without trailing zeros and never with an
    /// exponent. What rounds to zero has no sign.
    ///
    /// At most 4933 digits stand before the point.
    pub fn write_human(self, out: &mut Vec<u8>) {
        match self.class {
            Class::Finite { mantissa, exponent } => self.write_finite(mantissa, exponent, out),
            Class::Infinite => out.extend_from_slice(if self.negative { b"-inf" } else { b"inf" }),
            Class::NotANumber => out.extend_from_slice(b"nan"),
        }
    }

    fn is_zero(self) -> bool {
        matches!(self.class, Class::Finite { mantissa: 0, .. })
    }

    fn round(negative: bool, scaled: &Scaled) -> Self {
        let class = match scaled.round(&FORMAT) {
            Some((mantissa, exponent)) => Class::Finite { mantissa, exponent },
            None => Class::Infinite,
        };
        Self { negative, class }
    }

    fn add_finite(self, other: Self) -> Self {
        let (Class::Finite { exponent: a, .. }, Class::Finite { exponent: b, .. }) = (self.class, other.class) else {
            unreachable!("both are finite")
        };
        let (large, small) = if a >= b { (self, other) } else { (other, self) };
        let exponent = a.max(b) - LARGE_SHIFT;
        let (large_bits, _) = large.shifted_to(exponent);
        let (small_bits, sticky) = small.shifted_to(exponent);
        if large.negative == small.negative {
            return Self::round(large.negative, &Scaled { mantissa: large_bits + small_bits, sticky, exponent });
        }
        // Taking away the lost bits too leaves a little more than taking away one whole unit.
        let small_bits = small_bits + u128::from(sticky);
        let negative = if large_bits >= small_bits { large.negative } else { small.negative };
        let mantissa = large_bits.abs_diff(small_bits);
        // Numbers that cancel give the positive zero.
        let negative = negative && mantissa != 0;
        Self::round(negative, &Scaled { mantissa, sticky, exponent })
    }

    /// The mantissa as a multiple of 2^`exponent`, cut, and whether bits other than zero were cut off.
    fn shifted_to(self, exponent: i64) -> (u128, bool) {
        let Class::Finite { mantissa, exponent: own } = self.class else { unreachable!("finite") };
        let mantissa = u128::from(mantissa);
        match own - exponent {
            up @ 0.. => (mantissa << up, false),
            down @ -63..0 => (mantissa >> -down, mantissa << (128 + down) != 0),
            _ => (0, mantissa != 0),
        }
    }

    fn write_finite(self, mantissa: u64, exponent: i64, out: &mut Vec<u8>) {
        if exponent > 0 {
            if self.negative {
                out.push(b'-');
            }
            write_large(mantissa, exponent, out);
            return;
        }
        let places = -exponent;
        let mut integer = mantissa.checked_shr(places as u32).unwrap_or(0);
        let fraction = mantissa - integer.checked_shl(places as u32).unwrap_or(0);
        // 64 bits times 10^17 are less than 2^121.
        let mut fraction = match places {
            0 => 0,
            _ => shift_right_rounding(u128::from(fraction) * u128::from(PLACES_UNIT), places, false) as u64,
        };
        if fraction == PLACES_UNIT {
            integer += 1;
            fraction = 0;
        }
        if self.negative && (integer, fraction) != (0, 0) {
            out.push(b'-');
        }
        write_int(integer, out);
        if fraction != 0 {
            write_places(fraction, out);
        }
    }
}

impl From<i64> for LongDouble {
    /// Exact: every `i64` has at most 64 bits.
    fn from(int: i64) -> Self {
        let scaled = Scaled { mantissa: int.unsigned_abs().into(), sticky: false, exponent: 0 };
        Self::round(int < 0, &scaled)
    }
}

/// How far the larger of two summands is shifted up: its 64 bits and a carry then fill 128 bits.
const LARGE_SHIFT: i64 = 63;

/// The places after the point that are written, and the unit of the last one.
const PLACES: usize = 17;
const PLACES_UNIT: u64 = 10u64.pow(PLACES as u32);

/// Appends a point and `fraction` / 10^17 without trailing zeros.
fn write_places(mut fraction: u64, out: &mut Vec<u8>) {
    let mut places = PLACES;
    while fraction.is_multiple_of(10) {
        fraction /= 10;
        places -= 1;
    }
    out.push(b'.');
    let start = out.len();
    out.resize(start + places, b'0');
    for place in out[start..].iter_mut().rev() {
        *place = b'0' + (fraction % 10) as u8;
        fraction /= 10;
    }
}

/// Appends the integer `mantissa` * 2^`exponent`.
fn write_large(mantissa: u64, exponent: i64, out: &mut Vec<u8>) {
    if exponent <= 64 {
        write_int(u128::from(mantissa) << exponent, out);
    } else {
        let digits = (BigUint::from(mantissa) << exponent).to_string();
        out.extend_from_slice(digits.as_bytes());
    }
}

/// The value of a decimal literal, with at least 65 bits if it is not exact. `None` if it is far out of range.
fn scale_decimal(integer: &[u8], fraction: &[u8], exponent: i64) -> Option<Scaled> {
    // Redis's own long form of a small number ends in zeros, and texts may begin with them; neither should cost.
    let zeros = |digits: &mut dyn Iterator<Item = &u8>| digits.take_while(|&&digit| digit == b'0').count();
    let fraction = &fraction[..fraction.len() - zeros(&mut fraction.iter().rev())];
    let integer = &integer[zeros(&mut integer.iter())..];
    let exponent = exponent - fraction.len() as i64;
    let digits = || integer.iter().chain(fraction);
    let count = (integer.len() + fraction.len()) as i64;
    let leading_zeros = zeros(&mut digits()) as i64;
    if leading_zeros == count {
        return Some(Scaled { mantissa: 0, sticky: false, exponent: 0 });
    }

    // The number lies between 10^(top - 1) and 10^top. Long doubles end below 10^4933, and what is less than
    // 10^-4951 would become zero.
    let top = count - leading_zeros + exponent;
    if !(-4950..=4933).contains(&top) {
        return None;
    }
    if count - leading_zeros <= 19 && (-27..=27).contains(&exponent) {
        let value = digits().fold(0, |value: u64, digit| value * 10 + u64::from(digit - b'0'));
        return Some(scale_short(value, exponent as i32));
    }
    let digits: Vec<u8> = digits().copied().collect();
    Some(scale_long(&BigUint::parse_bytes(&digits, 10)?, exponent))
}

/// `value` * 10^`exponent` for a value other than zero and an exponent within 27 of zero: 5^27 has 63 bits.
fn scale_short(value: u64, exponent: i32) -> Scaled {
    let power = 5u128.pow(exponent.unsigned_abs());
    if exponent >= 0 {
        return Scaled { mantissa: u128::from(value) * power, sticky: false, exponent: exponent.into() };
    }
    // The dividend has 128 bits, the divisor at most 63, so the quotient has 65 or more.
    let shift = u128::from(value).leading_zeros();
    let dividend = u128::from(value) << shift;
    Scaled {
        mantissa: dividend / power,
        sticky: dividend % power != 0,
        exponent: i64::from(exponent) - i64::from(shift),
    }
}

/// `value` * 10^`exponent` for any value other than zero.
fn scale_long(value: &BigUint, exponent: i64) -> Scaled {
    let power = BigUint::from(5u32).pow(exponent.unsigned_abs() as u32);
    if exponent >= 0 {
        return cut(&(value * power), exponent, false);
    }
    // Enough bits that the quotient has at least 65.
    let shift = (power.bits() + 66).saturating_sub(value.bits());
    let dividend = value << shift;
    let quotient = &dividend / &power;
    let sticky = &quotient * &power != dividend;
    cut(&quotient, exponent - shift as i64, sticky)
}

/// The highest 128 bits of `value` * 2^`exponent`; the rest becomes the sticky bit.
fn cut(value: &BigUint, exponent: i64, sticky: bool) -> Scaled {
    let surplus = value.bits().saturating_sub(128);
    let sticky = sticky || value.trailing_zeros().is_some_and(|zeros| zeros < surplus);
    let highest = (value >> surplus).iter_u64_digits().rev().fold(0, |bits, digit| bits << 64 | u128::from(digit));
    Scaled { mantissa: highest, sticky, exponent: exponent + surplus as i64 }
}

#[cfg(test)]
mod tests;
