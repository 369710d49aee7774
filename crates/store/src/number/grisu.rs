//! The digits of a double, by Grisu2.
//!
//! Source: Florian Loitsch, "Printing Floating-Point Numbers Quickly and Accurately with Integers", PLDI 2010.
//!
//! Why not Ryu or one of its successors, which a crate would bring: those always find the shortest digits, and the
//! closest of them. Grisu2 writes a digit more, or not the closest, for about four random doubles in a thousand
//! (254 of 60,000 asked of a server). Redis prints by Grisu2, so its bytes need not only the method but the same
//! choices where the paper leaves them open: which of the cached powers is taken (so that the scaled exponent lies in
//! -60..=-32), and how the last digit moves towards the value.
//!
//! The idea: the doubles beside `value` bound an interval in which every number reads back as `value`. Its ends are
//! multiplied by a cached power of ten so that their integer part fits in 32 bits. The digits of the upper end are then
//! produced one by one until what is left of it is smaller than the interval.

/// Decimal digits and the power of ten of the last one.
pub(super) struct Digits {
    /// Only the first `count` are used. Seventeen suffice for any double.
    text: [u8; 20],
    count: usize,
    pub(super) exponent: i32,
}

impl Digits {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.text[..self.count]
    }

    fn push(&mut self, digit: u64) {
        self.text[self.count] = b'0' + digit as u8;
        self.count += 1;
    }
}

/// Digits that read back as `value`, which must be positive and finite.
pub(super) fn shortest(value: f64) -> Digits {
    debug_assert!(value > 0.0 && value.is_finite());
    let (mantissa, exponent) = decompose(value);
    let middle = Float { mantissa, exponent }.normalized();
    let upper = Float { mantissa: (mantissa << 1) + 1, exponent: exponent - 1 }.normalized();
    // Below a power of two the doubles stand twice as close.
    let step = if mantissa == HIDDEN_BIT { 2 } else { 1 };
    let lower = ((mantissa << step) - 1) << (exponent - step - upper.exponent);

    let (power, power_exponent) = cached_power(upper.exponent);
    let upper_exponent = upper.exponent + power.exponent + 64;
    // The products may be off by one unit, so the interval shrinks by one at each end.
    let upper = multiply(upper.mantissa, power.mantissa) - 1;
    let lower = multiply(lower, power.mantissa) + 1;
    let middle = multiply(middle.mantissa, power.mantissa);
    let interval = Interval { upper, width: upper - lower, to_value: upper - middle, point: (-upper_exponent) as u32 };
    interval.digits(-power_exponent)
}

const HIDDEN_BIT: u64 = 1 << 52;

/// `mantissa` * 2^`exponent`.
struct Float {
    mantissa: u64,
    exponent: i32,
}

impl Float {
    /// The same number with the highest bit of the mantissa set.
    fn normalized(self) -> Float {
        let shift = self.mantissa.leading_zeros();
        Float { mantissa: self.mantissa << shift, exponent: self.exponent - shift as i32 }
    }
}

fn decompose(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let fraction = bits & (HIDDEN_BIT - 1);
    match (bits >> 52) as i32 {
        0 => (fraction, -1074),
        field => (fraction | HIDDEN_BIT, field - 1075),
    }
}

/// The upper half of a product, rounded to the nearest.
fn multiply(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b) + (1 << 63)) >> 64) as u64
}

/// The numbers that read back as the value, in fixed point: `point` is the number of bits after the point, 32 to 60.
struct Interval {
    upper: u64,
    width: u64,
    /// How far below `upper` the value itself lies.
    to_value: u64,
    point: u32,
}

impl Interval {
    /// Produces digits of `upper` until the rest of it lies within the interval. `exponent` is the power of ten that
    /// undoes the scaling.
    fn digits(&self, exponent: i32) -> Digits {
        let mut digits = Digits { text: [0; 20], count: 0, exponent };
        let fraction_mask = (1u64 << self.point) - 1;
        let mut integer = (self.upper >> self.point) as u32;
        let mut fraction = self.upper & fraction_mask;

        // At least one digit stands before the point: the upper end has its highest bit or the next one set, and at
        // most 60 bits are fraction.
        let places = integer.ilog10();
        let mut unit = 10u32.pow(places);
        for place in (0..=places).rev() {
            digits.push(u64::from(integer / unit));
            integer %= unit;
            let rest = (u64::from(integer) << self.point) + fraction;
            if rest <= self.width {
                digits.exponent += place as i32;
                approach(&mut digits, self.width, rest, u64::from(unit) << self.point, self.to_value);
                return digits;
            }
            unit /= 10;
        }

        let (mut width, mut to_value) = (self.width, self.to_value);
        loop {
            fraction *= 10;
            width = width.wrapping_mul(10);
            to_value = to_value.wrapping_mul(10);
            digits.push(fraction >> self.point);
            digits.exponent -= 1;
            fraction &= fraction_mask;
            if fraction < width {
                approach(&mut digits, width, fraction, 1 << self.point, to_value);
                return digits;
            }
        }
    }
}

/// Lowers the last digit while that brings the number nearer to the value and keeps it inside the interval.
///
/// `rest` is how far the digits lie below the upper end, `unit` what the last digit is worth, `to_value` how far below
/// the upper end the value lies.
fn approach(digits: &mut Digits, width: u64, mut rest: u64, unit: u64, to_value: u64) {
    while rest < to_value && width - rest >= unit {
        let next = rest + unit;
        if next >= to_value && to_value - rest <= next - to_value {
            return;
        }
        digits.text[digits.count - 1] -= 1;
        rest = next;
    }
}

/// A power of ten that brings a number with this binary exponent into the range for [`Interval`]; with its exponent
/// of two (that of its last bit) and of ten.
fn cached_power(exponent: i32) -> (Float, i32) {
    const LOG10_OF_2: f64 = std::f64::consts::LOG10_2;
    // An estimate from below by the table's own span; the loop corrects it by a step at most.
    let estimate = (-f64::from(exponent + POWERS.len() as i32) * LOG10_OF_2) as i32;
    let mut index = ((estimate - FIRST_POWER) / POWER_STEP) as usize;
    loop {
        let power = FIRST_POWER + index as i32 * POWER_STEP;
        let power_exponent = exponent_of_two(power);
        match exponent + power_exponent + 64 {
            ..-60 => index += 1,
            -60..=-32 => return (Float { mantissa: POWERS[index], exponent: power_exponent }, power),
            _ => index -= 1,
        }
    }
}

/// The exponent of the last of 64 bits of 10^`power`: floor(power * log2(10)) - 63, exact for every power here.
fn exponent_of_two(power: i32) -> i32 {
    ((power * 217_706) >> 16) - 63
}

const FIRST_POWER: i32 = -348;
const POWER_STEP: i32 = 8;

/// 10^-348, 10^-340 and so on to 10^340: the highest 64 bits of each, rounded to the nearest. Computed with exact
/// fractions; a test computes them again.
#[rustfmt::skip]
const POWERS: [u64; 87] = [
    0xfa8fd5a0081c0288, 0xbaaee17fa23ebf76, 0x8b16fb203055ac76, 0xcf42894a5dce35ea, 0x9a6bb0aa55653b2d,
    0xe61acf033d1a45df, 0xab70fe17c79ac6ca, 0xff77b1fcbebcdc4f, 0xbe5691ef416bd60c, 0x8dd01fad907ffc3c,
    0xd3515c2831559a83, 0x9d71ac8fada6c9b5, 0xea9c227723ee8bcb, 0xaecc49914078536d, 0x823c12795db6ce57,
    0xc21094364dfb5637, 0x9096ea6f3848984f, 0xd77485cb25823ac7, 0xa086cfcd97bf97f4, 0xef340a98172aace5,
    0xb23867fb2a35b28e, 0x84c8d4dfd2c63f3b, 0xc5dd44271ad3cdba, 0x936b9fcebb25c996, 0xdbac6c247d62a584,
    0xa3ab66580d5fdaf6, 0xf3e2f893dec3f126, 0xb5b5ada8aaff80b8, 0x87625f056c7c4a8b, 0xc9bcff6034c13053,
    0x964e858c91ba2655, 0xdff9772470297ebd, 0xa6dfbd9fb8e5b88f, 0xf8a95fcf88747d94, 0xb94470938fa89bcf,
    0x8a08f0f8bf0f156b, 0xcdb02555653131b6, 0x993fe2c6d07b7fac, 0xe45c10c42a2b3b06, 0xaa242499697392d3,
    0xfd87b5f28300ca0e, 0xbce5086492111aeb, 0x8cbccc096f5088cc, 0xd1b71758e219652c, 0x9c40000000000000,
    0xe8d4a51000000000, 0xad78ebc5ac620000, 0x813f3978f8940984, 0xc097ce7bc90715b3, 0x8f7e32ce7bea5c70,
    0xd5d238a4abe98068, 0x9f4f2726179a2245, 0xed63a231d4c4fb27, 0xb0de65388cc8ada8, 0x83c7088e1aab65db,
    0xc45d1df942711d9a, 0x924d692ca61be758, 0xda01ee641a708dea, 0xa26da3999aef774a, 0xf209787bb47d6b85,
    0xb454e4a179dd1877, 0x865b86925b9bc5c2, 0xc83553c5c8965d3d, 0x952ab45cfa97a0b3, 0xde469fbd99a05fe3,
    0xa59bc234db398c25, 0xf6c69a72a3989f5c, 0xb7dcbf5354e9bece, 0x88fcf317f22241e2, 0xcc20ce9bd35c78a5,
    0x98165af37b2153df, 0xe2a0b5dc971f303a, 0xa8d9d1535ce3b396, 0xfb9b7cd9a4a7443c, 0xbb764c4ca7a44410,
    0x8bab8eefb6409c1a, 0xd01fef10a657842c, 0x9b10a4e5e9913129, 0xe7109bfba19c0c9d, 0xac2820d9623bf429,
    0x80444b5e7aa7cf85, 0xbf21e44003acdd2d, 0x8e679c2f5e44ff8f, 0xd433179d9c8cb841, 0x9e19db92b4e31ba9,
    0xeb96bf6ebadf77d9, 0xaf87023b9bf0ee6b,
];

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;

    use super::*;

    #[test]
    fn cached_powers_are_exact_to_the_last_bit() {
        for (index, &mantissa) in POWERS.iter().enumerate() {
            let power = FIRST_POWER + index as i32 * POWER_STEP;
            let ten = BigUint::from(10u32).pow(power.unsigned_abs());
            let exponent = exponent_of_two(power);
            // Twice the mantissa is compared, so that the rounding to the nearest needs no fractions.
            let (numerator, denominator) = if power < 0 { (1u32.into(), ten) } else { (ten, BigUint::from(1u32)) };
            let doubled = if exponent > 0 {
                numerator * 2u32 / (denominator << exponent)
            } else {
                (numerator << (1 - exponent)) / denominator
            };
            assert_eq!((doubled + 1u32) / 2u32, BigUint::from(mantissa), "10^{power}");
            assert!(mantissa >> 63 == 1);
        }
    }

    #[test]
    fn digits_read_back_as_the_value() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut longest = 0;
        for _ in 0..200_000 {
            let value = f64::from_bits(random.u64(1..f64::INFINITY.to_bits()));
            let digits = shortest(value);
            let text = std::str::from_utf8(digits.as_slice()).unwrap();
            assert_eq!(format!("{text}e{}", digits.exponent).parse(), Ok(value));
            longest = longest.max(text.len());
        }
        assert_eq!(longest, 17);
    }
}
