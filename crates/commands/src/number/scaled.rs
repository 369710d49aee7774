//! A number on its way to a binary format: more bits than the format holds, and one rounding at the end.
//!
//! Doubles and long doubles differ in width and range only, so both are rounded here.

/// The non-negative number `mantissa` * 2^`exponent`, or a little more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scaled {
    pub(crate) mantissa: u128,
    /// Whether the number lies above what the other fields say, by less than one unit of the mantissa.
    /// The mantissa must then have more bits than the format it will be rounded to.
    pub(crate) sticky: bool,
    pub(crate) exponent: i64,
}

/// A binary format: how many bits its mantissa has, and the exponents of the lowest and the highest of them.
pub(crate) struct Format {
    pub(crate) precision: u32,
    pub(crate) exponent_min: i64,
    pub(crate) exponent_max: i64,
}

impl Scaled {
    pub(crate) fn is_zero(&self) -> bool {
        self.mantissa == 0 && !self.sticky
    }

    /// The mantissa and the exponent of the nearest number of `format`, or the even one of two as near.
    /// `None` stands for infinity.
    ///
    /// The mantissa uses all bits of the format unless the exponent is the smallest one, which zero has too.
    pub(crate) fn round(&self, format: &Format) -> Option<(u64, i64)> {
        let bits = 128 - self.mantissa.leading_zeros();
        let surplus = i64::from(bits) - i64::from(format.precision);
        let excess = surplus.max(format.exponent_min.saturating_sub(self.exponent));
        debug_assert!(!self.sticky || excess > 0, "a sticky bit needs a bit below the format's last one");
        let (mut mantissa, mut exponent) = (self.mantissa, self.exponent);
        if excess > 0 {
            mantissa = shift_right_rounding(mantissa, excess, self.sticky);
            exponent += excess;
        } else if mantissa == 0 {
            exponent = format.exponent_min;
        } else {
            mantissa <<= -excess;
            exponent += excess;
        }
        if mantissa >> format.precision != 0 {
            // Rounding up ran through all bits, so what remains is a power of two.
            mantissa >>= 1;
            exponent += 1;
        }
        let highest = exponent + i64::from(format.precision) - 1;
        let infinite = highest > format.exponent_max && mantissa != 0;
        (!infinite).then_some((mantissa as u64, exponent))
    }

    /// The nearest double; infinity when it is out of range.
    pub(crate) fn to_f64(self) -> f64 {
        const DOUBLE: Format = Format { precision: 53, exponent_min: -1074, exponent_max: 1023 };
        const HIDDEN_BIT: u64 = 1 << 52;
        let Some((mantissa, exponent)) = self.round(&DOUBLE) else { return f64::INFINITY };
        // Without its highest bit the number is subnormal, and its exponent field is zero.
        let field = if mantissa & HIDDEN_BIT == 0 { 0 } else { (exponent + 1075) as u64 };
        f64::from_bits(field << 52 | mantissa & (HIDDEN_BIT - 1))
    }
}

/// `value` / 2^`shift` to the nearest integer, ties to even; `sticky` says that the value is a little larger.
pub(crate) fn shift_right_rounding(value: u128, shift: i64, sticky: bool) -> u128 {
    if shift > 128 {
        return 0;
    }
    let quotient = value.checked_shr(shift as u32).unwrap_or(0);
    let half = 1u128 << (shift - 1);
    let rest = value & (half | (half - 1));
    let up = rest > half || (rest == half && (sticky || quotient & 1 == 1));
    quotient + u128::from(up)
}
