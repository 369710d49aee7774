//! Numbers as text, read and written byte for byte as Redis 8.0.2 does.
//!
//! Redis reads numbers by four rules, and which one a command uses can be seen from outside:
//! - [`parse_i64`]: one spelling for each integer, so that what was parsed can be written back unchanged;
//! - [`parse_u64`]: C's `strtoull` with its white space, signs and wrap-around (SCAN cursors, stream identifiers);
//! - [`parse_f64`]: a C double, hexadecimal ones included, that must fit (scores, increments, coordinates);
//! - [`parse_bound`]: an end of a score range, which may overflow to infinity but not be hexadecimal.
//!
//! The fifth kind, the 80-bit numbers of INCRBYFLOAT, has its own module, [`crate::longdouble`].

pub(crate) mod literal;
pub(crate) mod scaled;

use literal::Magnitude;

/// The integer of which the bytes are the one canonical form: no space, no `+`, no leading zero, no `-0`.
pub use store::entry::parse_canonical as parse_i64;
pub use store::number::{write_f64, write_int};

/// Parses an unsigned integer as loosely as C's `strtoull` in base ten does.
///
/// White space, a `+` and leading zeros may stand in front, and everything from a NUL on is ignored. A canonical
/// negative integer is refused, but any other spelling of one (`-05`) wraps around, as it does in Redis.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    let text = until_nul(text);
    if let Some(int) = parse_i64(text) {
        return u64::try_from(int).ok();
    }
    let start = text.iter().position(|&byte| !is_c_space(byte))?;
    let (negative, digits) = literal::split_sign(&text[start..]);
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0u64, |value, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })?;
    Some(if negative { value.wrapping_neg() } else { value })
}

/// Parses a double: decimal, hexadecimal (`0x1.8p3`) or infinite, in any case and with any sign.
///
/// Refused are an empty text, white space, anything left over, nan, and what a double cannot hold: a finite number
/// that would become infinite, or one other than zero that would become zero. Never returns nan.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    /// Up to here a double is exact.
    const INT_MAX: u64 = 1 << f64::MANTISSA_DIGITS;
    // Most scores are integers, which take a tenth of the time this way.
    if let Some(int) = parse_digits(text) {
        return Some(int as f64);
    }
    if let Some(int) = parse_i64(text).filter(|int| int.unsigned_abs() <= INT_MAX) {
        return Some(int as f64);
    }
    if let Some(value) = parse_decimal(text) {
        let lost = (value.is_infinite() && !spells_infinity(text)) || (value == 0.0 && has_nonzero_digit(text));
        return (!lost && !value.is_nan()).then_some(value);
    }
    let literal = literal::scan(text)?;
    let Magnitude::Hex(scaled) = literal.magnitude else { return None };
    let value = scaled.to_f64();
    let lost = value.is_infinite() || (value == 0.0 && !scaled.is_zero());
    (!lost).then_some(if literal.negative { -value } else { value })
}

/// A memory size in bytes; a product beyond 64 bits wraps, as in Redis.
pub fn parse_memory(word: &[u8]) -> Option<u64> {
    /// More digits than this are refused, as Redis copies them into a buffer of 128 bytes.
    const DIGITS_MAX: usize = 127;
    let end = word.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(word.len());
    let (digits, unit) = word.split_at(end);
    let unit: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    if digits.len() > DIGITS_MAX {
        return None;
    }
    let add = |value: u64, byte: &u8| value.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
    Some(digits.iter().fold(0, add).wrapping_mul(unit))
}

/// Parses an end of a score range, without the `(` that excludes it. Never returns nan.
///
/// Other than [`parse_f64`], this takes a number too large for infinity and one too small for zero, takes an empty
/// text for zero, ignores everything from a NUL on, and knows no hexadecimal numbers.
pub fn parse_bound(text: &[u8]) -> Option<f64> {
    let text = until_nul(text);
    if text.is_empty() {
        return Some(0.0);
    }
    parse_decimal(text).filter(|value| !value.is_nan())
}

/// Appends `value` with exactly `digits` digits after the point, as GEODIST and WITHDIST print distances (4).
///
/// The value is scaled by a multiplication of doubles and rounded half to even. A result that needs more than 63 bits
/// becomes -2^63, as the processors that Redis runs on have it.
///
/// # Panics
/// If `digits` is not in 1..=17.
pub fn write_fixed(value: f64, digits: usize, out: &mut Vec<u8>) {
    assert!((1..=17).contains(&digits), "{digits} digits after the point");
    let unit = 10u64.pow(digits as u32);
    let scaled = (value * unit as f64).round_ties_even();
    let limit = 2f64.powi(63);
    let scaled = if (-limit..limit).contains(&scaled) { scaled as i64 } else { i64::MIN };
    if scaled < 0 {
        out.push(b'-');
    }
    let magnitude = scaled.unsigned_abs();
    write_int(magnitude / unit, out);
    out.push(b'.');
    let fraction = out.len();
    out.resize(fraction + digits, b'0');
    let mut rest = magnitude % unit;
    for place in out[fraction..].iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// A decimal number, `inf`, `infinity` or `nan`: what C and Rust spell alike. It is rounded correctly by both.
fn parse_decimal(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A number of nothing but digits, zeros in front included, that are so few that a double is exact.
#[inline]
fn parse_digits(text: &[u8]) -> Option<u64> {
    if !(1..=f64::DIGITS as usize).contains(&text.len()) {
        return None;
    }
    text.iter().try_fold(0, |value, &byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9).then(|| value * 10 + u64::from(digit))
    })
}

fn spells_infinity(text: &[u8]) -> bool {
    text.iter().any(|byte| byte.eq_ignore_ascii_case(&b'n'))
}

fn has_nonzero_digit(decimal: &[u8]) -> bool {
    let mut digits = decimal.iter().take_while(|byte| !byte.eq_ignore_ascii_case(&b'e'));
    digits.any(|byte| matches!(byte, b'1'..=b'9'))
}

/// What C sees of a text: it ends at its first NUL.
fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// C's `isspace`, which knows the vertical tab too.
fn is_c_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests;
