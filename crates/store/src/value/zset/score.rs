//! Scores as text, as Redis writes them into listpacks, and the arithmetic of weights and aggregates.
//!
//! Integers up to 2^62 are stored as integers; other numbers by their shortest digits that read back as the same number,
//! without an exponent while that is short. Where exactly the exponent begins is what Redis 8.0 was seen to answer. About one
//! fraction in a thousand differs from Redis's text in its last digits, since Redis's printer does not always find the
//! shortest ones; both read back as the same score. Replies are printed elsewhere, from the number.

/// What ZUNION and ZINTER do with the scores of one member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregate {
    /// Their sum; infinities of both signs give 0.
    #[default]
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

impl Aggregate {
    /// The score of a member that has `a` so far and meets `b`.
    pub fn combine(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Sum => zero_if_nan(a + b),
            Self::Min if b < a => b,
            Self::Max if b > a => b,
            Self::Min | Self::Max => a,
        }
    }
}

/// A score times its input's weight; 0 where that is no number, as for infinity times 0.
pub fn weighted(score: f64, weight: f64) -> f64 {
    zero_if_nan(score * weight)
}

/// The integer that Redis stores and prints in place of this score, if there is one. -0 becomes 0.
pub(super) fn integral(score: f64) -> Option<i64> {
    // Redis's bounds: half of the 64-bit range, rounded to a double.
    const BOUND: f64 = (1i64 << 62) as f64;
    ((-BOUND..=BOUND).contains(&score) && score.trunc() == score).then_some(score as i64)
}

/// Appends the text of `score`.
pub(super) fn write_score(score: f64, out: &mut Vec<u8>) {
    if score.is_nan() {
        out.extend_from_slice(b"nan");
    } else if score.is_infinite() {
        out.extend_from_slice(if score > 0.0 { b"inf" } else { b"-inf" });
    } else if score == 0.0 {
        out.extend_from_slice(if score.is_sign_negative() { b"-0" } else { b"0" });
    } else if let Some(int) = integral(score) {
        out.extend_from_slice(itoa::Buffer::new().format(int).as_bytes());
    } else {
        write_fraction(score, out);
    }
}

/// Reads what [`write_score`] wrote; `None` for what is no number, NaN included.
pub(super) fn parse_score(text: &[u8]) -> Option<f64> {
    let score: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (!score.is_nan()).then_some(score)
}

fn zero_if_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// `score` is finite, not 0, and no integer up to 2^62.
fn write_fraction(score: f64, out: &mut Vec<u8>) {
    if score < 0.0 {
        out.push(b'-');
    }
    let (digits, exponent) = shortest_digits(score.abs());
    // The value is 0.DIGITS times 10^point.
    let point = digits.len() as i32 + exponent;
    let scientific = (point - 1).unsigned_abs() as usize;
    if exponent >= 0 && scientific < digits.len() + 7 {
        out.extend_from_slice(&digits);
        out.resize(out.len() + exponent as usize, b'0');
    } else if exponent < 0 && (exponent > -7 || scientific < 4) {
        if point <= 0 {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + point.unsigned_abs() as usize, b'0');
            out.extend_from_slice(&digits);
        } else {
            let (whole, fraction) = digits.split_at(point as usize);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
    } else {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(if point > 0 { b"e+" } else { b"e-" });
        out.extend_from_slice(itoa::Buffer::new().format(scientific).as_bytes());
    }
}

/// The fewest digits that read back as `score`, which is positive, without zeros at either end, and the power of ten that
/// the number they form is to be multiplied with.
fn shortest_digits(score: f64) -> (Vec<u8>, i32) {
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(score);
    let (mantissa, mut exponent) = match text.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().expect("ryu prints an exponent in digits")),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    exponent -= fraction.len() as i32;
    let mut digits = [whole.as_bytes(), fraction.as_bytes()].concat();
    while digits.last() == Some(&b'0') {
        digits.pop();
        exponent += 1;
    }
    let leading = digits.iter().take_while(|digit| **digit == b'0').count();
    digits.drain(..leading);
    (digits, exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(score: f64, text: &str) {
        let mut out = Vec::new();
        write_score(score, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), text);
        assert_eq!(parse_score(&out), Some(score));
    }

    #[test]
    fn prints_what_redis_8_prints() {
        check(0.0, "0");
        check(-0.0, "-0");
        check(3.0, "3");
        check(-17.25, "-17.25");
        check(1.5, "1.5");
        check(0.1, "0.1");
        check(1e-5, "0.00001");
        check(1e-7, "1e-7");
        check(0.000_123_45, "1.2345e-4");
        check(12_345_678.9, "12345678.9");
        check(123_456_789_012.5, "123456789012.5");
        check(0.300_000_000_000_000_04, "0.30000000000000004");
        check(1e17, "100000000000000000");
        check(1e20, "1e+20");
        check(1e300, "1e+300");
        check(4_611_686_018_427_387_904.0, "4611686018427387904");
        check(4_611_686_018_427_388_928.0, "4611686018427389000");
        check(9_223_372_036_854_775_807.0, "9223372036854776000");
        check(1_234_567_890_123_456_789_012.0, "1234567890123456800000");
        check(1_234_567_891_234_567_890.0, "1234567891234567936");
        check(92_233_720_368_540_000_000.0, "92233720368540000000");
        check(922_337_203_685_400_000_000.0, "9.223372036854e+20");
        check(123_456.789_012_3, "1.234567890123e+5");
        check(0.010_000_000_001, "0.010000000001");
        check(0.001_234_567_8, "0.0012345678");
        check(0.000_123_456_78, "1.2345678e-4");
        check(0.000_001_2, "1.2e-6");
        check(0.000_001, "0.000001");
        check(-1e25, "-1e+25");
        check(f64::MAX, "1.7976931348623157e+308");
        check(5e-324, "5e-324");
        check(f64::INFINITY, "inf");
        check(f64::NEG_INFINITY, "-inf");
    }

    #[test]
    fn every_score_reads_back() {
        let mut rng = fastrand::Rng::with_seed(11);
        for _ in 0..200_000 {
            let score = f64::from_bits(rng.u64(..));
            let mut out = Vec::new();
            write_score(score, &mut out);
            let back = if score.is_nan() { None } else { Some(score) };
            assert_eq!(parse_score(&out), back, "{}", out.escape_ascii());
        }
    }

    #[test]
    fn aggregates_never_give_nan() {
        let inf = f64::INFINITY;
        assert_eq!(Aggregate::Sum.combine(inf, -inf), 0.0);
        assert_eq!((Aggregate::Min.combine(1.0, 2.0), Aggregate::Max.combine(1.0, 2.0)), (1.0, 2.0));
        assert_eq!((Aggregate::Min.combine(2.0, -inf), Aggregate::Max.combine(2.0, inf)), (-inf, inf));
        assert_eq!((weighted(inf, 0.0), weighted(2.0, -1.5)), (0.0, -3.0));
    }
}
