//! ZSCAN.

use store::value::Encoding;
use store::value::zset::SortedSet;

use crate::call::Call;
use crate::effect::Effect;
use crate::error::Result;
use crate::number::{write_f64, write_int};
use crate::scan_options::{self, ScanOptions, Walked};

pub(super) fn zscan(call: &mut Call<'_>) -> Result<Effect> {
    let cursor = scan_options::cursor(call.arg(2))?;
    let Some(zset) = call.keys.value::<SortedSet>(call.args.get(1))? else {
        scan_options::nothing(call.out);
        return Ok(Effect::None);
    };
    let ScanOptions { pattern, count, .. } = ScanOptions::parse(call.args, 3, Walked::Members)?;
    let (head, out) = (call.out.mark(), &mut *call.out);
    // Redis shows the text that the small form keeps, but prints the scores of the general form in its own way.
    let write = if zset.encoding() == Encoding::Listpack { write_f64 } else { write_seventeen_digits };
    let (mut found, mut text) = (0, Vec::new());
    let next = zset.scan(cursor, count, |member, score| {
        if pattern.matches_item(member) {
            text.clear();
            write(score, &mut text);
            out.item(member);
            out.bulk(&text);
            found += 2;
        }
    });
    scan_options::head(out, head, next, found);
    Ok(Effect::None)
}

/// Appends a score as C's `%.17g` prints it.
fn write_seventeen_digits(score: f64, out: &mut Vec<u8>) {
    if score == 0.0 || score.is_infinite() {
        return write_f64(score, out);
    }
    let text = format!("{:.16e}", score.abs());
    let (mantissa, exponent) = text.split_once('e').expect("a finite number has an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is an integer");
    let digits: String = mantissa.chars().filter(|&digit| digit != '.').collect();
    let digits = digits.trim_end_matches('0');
    if score < 0.0 {
        out.push(b'-');
    }
    match exponent {
        -4..0 => {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + (-exponent - 1) as usize, b'0');
            out.extend_from_slice(digits.as_bytes());
        }
        0..17 => {
            let whole = exponent as usize + 1;
            out.extend_from_slice(&digits.as_bytes()[..digits.len().min(whole)]);
            out.resize(out.len() + whole.saturating_sub(digits.len()), b'0');
            if digits.len() > whole {
                out.push(b'.');
                out.extend_from_slice(&digits.as_bytes()[whole..]);
            }
        }
        _ => {
            out.extend_from_slice(&digits.as_bytes()[..1]);
            if digits.len() > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits.as_bytes()[1..]);
            }
            out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
            if exponent.abs() < 10 {
                out.push(b'0');
            }
            write_int(exponent.unsigned_abs(), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_the_general_form_have_up_to_seventeen_digits() {
        let check = |score: f64, expected: &str| {
            let mut text = Vec::new();
            write_seventeen_digits(score, &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        };
        check(0.1, "0.10000000000000001");
        check(-3.0, "-3");
        check(0.0, "0");
        check(-0.0, "-0");
        check(1e16, "10000000000000000");
        check(1e17, "1e+17");
        check(12345678901234567.0, "12345678901234568");
        check(123_456_789.125, "123456789.125");
        check(0.0001, "0.0001");
        check(0.00001, "1.0000000000000001e-05");
        check(1e300, "1.0000000000000001e+300");
        check(5e-324, "4.9406564584124654e-324");
        check(f64::INFINITY, "inf");
        check(f64::NEG_INFINITY, "-inf");
        check(1200.0, "1200");
    }
}
