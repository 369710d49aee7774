//! The floating-point literals that C's `strtod` family takes, told apart and not yet rounded.

use super::scaled::Scaled;

/// A number as it was spelled.
pub(crate) struct Literal<'a> {
    pub(crate) negative: bool,
    pub(crate) magnitude: Magnitude<'a>,
}

/// What stands after the sign.
pub(crate) enum Magnitude<'a> {
    Infinite,
    /// The mantissa keeps the first 31 digits or 32, its sticky bit the rest.
    Hex(Scaled),
    /// The digits `integer`, a point, the digits `fraction`, times 10^`exponent`.
    Decimal {
        integer: &'a [u8],
        fraction: &'a [u8],
        exponent: i64,
    },
}

/// An exponent beyond this is taken for this. No text is long enough for its digits to bring such a number back into
/// the range of any format.
const EXPONENT_MAX: i64 = 1 << 50;

/// Reads the whole of `text` as one literal. A nan is refused, since no command takes one.
pub(crate) fn scan(text: &[u8]) -> Option<Literal<'_>> {
    let (negative, rest) = split_sign(text);
    let magnitude = match rest {
        [b'0', b'x' | b'X', digits @ ..] => scan_hex(digits)?,
        _ if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") => Magnitude::Infinite,
        _ => scan_decimal(rest)?,
    };
    Some(Literal { negative, magnitude })
}

/// Whether a minus stands in front, and what follows the sign, if there is one.
pub(crate) fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text.strip_prefix(b"+").unwrap_or(text)),
    }
}

fn scan_decimal(text: &[u8]) -> Option<Magnitude<'_>> {
    let (integer, fraction, rest) = split_digits(text, u8::is_ascii_digit)?;
    let exponent = scan_exponent(rest, b'e')?;
    Some(Magnitude::Decimal { integer, fraction, exponent })
}

fn scan_hex(text: &[u8]) -> Option<Magnitude<'_>> {
    let (integer, fraction, rest) = split_digits(text, u8::is_ascii_hexdigit)?;
    let mut scaled = Scaled { mantissa: 0, sticky: false, exponent: scan_exponent(rest, b'p')? };
    for (digits, is_fraction) in [(integer, false), (fraction, true)] {
        for &byte in digits {
            let digit = char::from(byte).to_digit(16)?;
            let fits = scaled.mantissa >> 124 == 0;
            if fits {
                scaled.mantissa = scaled.mantissa << 4 | u128::from(digit);
            } else {
                scaled.sticky |= digit != 0;
            }
            scaled.exponent += match (fits, is_fraction) {
                (true, true) => -4,
                (false, false) => 4,
                _ => 0,
            };
        }
    }
    Some(Magnitude::Hex(scaled))
}

/// The digits before the point, those after it, and the rest. There must be a digit on at least one side.
fn split_digits(text: &[u8], is_digit: fn(&u8) -> bool) -> Option<(&[u8], &[u8], &[u8])> {
    let (integer, rest) = split_run(text, is_digit);
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => split_run(rest, is_digit),
        _ => (&rest[..0], rest),
    };
    (!integer.is_empty() || !fraction.is_empty()).then_some((integer, fraction, rest))
}

fn split_run(text: &[u8], is_digit: fn(&u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| is_digit(byte)).count())
}

/// An exponent behind its letter, `mark` in either case; zero when nothing is there.
fn scan_exponent(text: &[u8], mark: u8) -> Option<i64> {
    let [letter, rest @ ..] = text else { return Some(0) };
    if !letter.eq_ignore_ascii_case(&mark) {
        return None;
    }
    let (negative, digits) = split_sign(rest);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let exponent = digits.iter().fold(0, |value: i64, byte| (value * 10 + i64::from(byte - b'0')).min(EXPONENT_MAX));
    Some(if negative { -exponent } else { exponent })
}
