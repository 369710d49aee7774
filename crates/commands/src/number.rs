//! Numbers as text, read and written byte for byte as Redis 8.0.2 does.
//!
//! Redis reads numbers by four rules, and which one a command uses can be seen from outside:
//! - [`parse_i64`]: one spelling for each integer, so that what was parsed can be written back unchanged;
//! - [`parse_u64`]: C's `strtoull` with its white space, signs and wrap-around (SCAN cursors, stream identifiers);
//! - [`parse_f64`]: a C double, hexadecimal ones included, that must fit (scores, increments, coordinates);
//! - [`parse_bound`]: an end of a score range, which may overflow to infinity but not be hexadecimal.
//!
//! The fifth kind, the 80-bit numbers of INCRBYFLOAT, has its own module, [`crate::longdouble`].

mod grisu;
pub(crate) mod literal;
pub(crate) mod scaled;

use literal::Magnitude;

/// The integer of which the bytes are the one canonical form: no space, no `+`, no leading zero, no `-0`.
pub use store::entry::parse_canonical as parse_i64;

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

/// Appends `value` as Redis prints a double: a score, or a RESP3 double.
///
/// Integers up to 2^62 are written as such. Other numbers get few digits that read back as the same double, with an
/// exponent (`1e+21`, `1.5e-7`) where [`grisu`] ends in one. The rest is `inf`, `-inf`, `nan` and `-0`.
pub fn write_f64(value: f64, out: &mut Vec<u8>) {
    /// Beyond this, Redis does not ask whether the value is an integer.
    const INTEGER_MAX: f64 = (1u64 << 62) as f64;

    if value != 0.0 && value.abs() <= INTEGER_MAX && value == (value as i64) as f64 {
        write_int(value as i64, out);
    } else {
        write_shortest(value, out);
    }
}

/// Appends `value` in the few digits that read back as the same double, integers not excepted (`1e+17`).
pub fn write_shortest(value: f64, out: &mut Vec<u8>) {
    if value.is_nan() {
        out.extend_from_slice(b"nan");
    } else if value.is_infinite() {
        out.extend_from_slice(if value < 0.0 { b"-inf" } else { b"inf" });
    } else if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else {
        if value < 0.0 {
            out.push(b'-');
        }
        let digits = grisu::shortest(value.abs());
        write_digits(digits.as_slice(), digits.exponent, out);
    }
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

/// Lays out the positive number `digits` * 10^`exponent`.
///
/// The rules are Redis's, and uneven: an exponent appears for integers from eight trailing zeros on, and for fractions
/// of seven places or more unless the number lies between a thousandth and ten thousand.
fn write_digits(digits: &[u8], exponent: i32, out: &mut Vec<u8>) {
    let count = digits.len() as i32;
    let leading = exponent + count - 1;
    if (0..8).contains(&exponent) {
        out.extend_from_slice(digits);
        out.resize(out.len() + exponent as usize, b'0');
    } else if exponent < 0 && (exponent > -7 || leading.abs() < 4) {
        if leading < 0 {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + (-leading - 1) as usize, b'0');
            out.extend_from_slice(digits);
        } else {
            let (integer, fraction) = digits.split_at((leading + 1) as usize);
            out.extend_from_slice(integer);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
    } else {
        out.push(digits[0]);
        if count > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(if leading < 0 { b"e-" } else { b"e+" });
        write_int(leading.unsigned_abs(), out);
    }
}

/// Appends an integer in base ten.
pub fn write_int(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A decimal number, `inf`, `infinity` or `nan`: what C and Rust spell alike. It is rounded correctly by both.
fn parse_decimal(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
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
