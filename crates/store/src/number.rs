//! Doubles as text, byte for byte as Redis 8.0.2 prints them: packed sorted sets and replies need the same.

mod grisu;

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
