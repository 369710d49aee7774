//! From registers to a number: the estimator of Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog
//! sketches" (2017), algorithm 6 with the functions sigma and tau of its equations 13 and 18. It needs only how many
//! registers have each value.

use super::hash::REGISTERS;

/// How many registers have each value.
pub(super) type Histogram = [u32; VALUES];

/// Values that a register of six bits may have.
pub(super) const VALUES: usize = 64;
/// The largest value that a hash can give, less one: the bits that do not choose the register.
const Q: usize = 50;

/// About how many different elements were added.
pub(super) fn cardinality(histogram: &Histogram) -> u64 {
    /// 1 / (2 ln 2), with the digits that Redis has.
    #[allow(clippy::excessive_precision, reason = "the same digits as in Redis, so that all sums are the same")]
    const ALPHA_INFINITY: f64 = 0.721_347_520_444_481_703_680;

    const TOO_LARGE: u64 = 1 << 63;

    let registers = REGISTERS as f64;
    let mut sum = registers * tau((registers - f64::from(histogram[Q + 1])) / registers);
    for count in histogram[1..=Q].iter().rev() {
        sum = (sum + f64::from(*count)) * 0.5;
    }
    sum += registers * sigma(f64::from(histogram[0]) / registers);
    let estimate = (ALPHA_INFINITY * registers * registers / sum).round();
    // No elements raise the registers so far, but a client may write them: then it is what C makes of a number too large.
    if estimate < TOO_LARGE as f64 { estimate as u64 } else { TOO_LARGE }
}

/// Corrects for empty registers.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if before == z {
            return z;
        }
    }
}

/// Corrects for full registers.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if before == z {
            return z / 3.0;
        }
    }
}
