//! Scores as text, as Redis writes them into listpacks, and the arithmetic of weights and aggregates.
//!
//! Integers up to 2^62 are stored as integers, other numbers as [`crate::number::write_f64`] prints them.

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
    ((-BOUND..=BOUND).contains(&score) && score as i64 as f64 == score).then_some(score as i64)
}

/// Reads what [`write_f64`](crate::number::write_f64) wrote; `None` for what is no number, NaN included.
pub(super) fn parse_score(text: &[u8]) -> Option<f64> {
    let score: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (!score.is_nan()).then_some(score)
}

fn zero_if_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(score: f64, text: &str) {
        let mut out = Vec::new();
        crate::number::write_f64(score, &mut out);
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
            crate::number::write_f64(score, &mut out);
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
