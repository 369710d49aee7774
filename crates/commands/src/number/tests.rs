mod observed;

use super::*;

fn written(value: f64) -> String {
    let mut out = Vec::new();
    write_f64(value, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn doubles_are_written_as_the_server_wrote_them() {
    for &(bits, expected) in observed::DOUBLES.iter().chain(observed::NOT_SHORTEST) {
        assert_eq!(written(f64::from_bits(bits)), expected, "{bits:#x}");
    }
    assert_eq!(written(f64::NAN), "nan");
}

/// Without such doubles in the table, any crate for shortest digits would pass it.
#[test]
fn the_table_holds_doubles_that_redis_does_not_write_shortest() {
    let digits = |text: &str| {
        let mantissa = text.split('e').next().unwrap_or_default().replace(['-', '.'], "");
        mantissa.trim_matches('0').to_owned()
    };
    for &(bits, text) in observed::NOT_SHORTEST {
        assert_ne!(digits(&format!("{:e}", f64::from_bits(bits))), digits(text), "{text}");
    }
    assert!(observed::NOT_SHORTEST.len() >= 30);
}

#[test]
fn doubles_read_back() {
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..50_000 {
        let value = f64::from_bits(random.u64(..));
        if value.is_nan() {
            continue;
        }
        let text = written(value);
        assert_eq!(parse_f64(text.as_bytes()).map(f64::to_bits), Some(value.to_bits()), "{text}");
    }
}

#[test]
fn texts_are_taken_and_refused_as_the_server_did() {
    for &(text, value, is_bound) in observed::TEXTS {
        assert_eq!(parse_f64(text).map(written).as_deref(), value, "{}", text.escape_ascii());
        assert_eq!(parse_bound(text).is_some(), is_bound, "{}", text.escape_ascii());
    }
}

/// Their values were found by counting: a member with this score, and only that, lay within [text, text].
#[test]
fn bounds_go_to_infinity_and_to_zero() {
    for (text, value) in [
        (&b""[..], 0.0),
        (b"1e400", f64::INFINITY),
        (b"-1e400", f64::NEG_INFINITY),
        (b"1e-400", 0.0),
        (b"5\x00junk", 5.0),
        (b"+5", 5.0),
        (b"-inf", f64::NEG_INFINITY),
    ] {
        assert_eq!(parse_bound(text), Some(value), "{}", text.escape_ascii());
    }
}

#[test]
fn cursors_are_taken_and_refused_as_the_server_did() {
    for &(text, taken) in observed::CURSORS {
        assert_eq!(parse_u64(text).is_some(), taken, "{}", text.escape_ascii());
    }
    assert_eq!(parse_u64(b"\t 07"), Some(7));
    assert_eq!(parse_u64(b"-05"), Some(u64::MAX - 4));
    assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
}

#[test]
fn integers_have_one_spelling() {
    for int in [0, 1, -1, 10, i64::MAX, i64::MIN] {
        assert_eq!(parse_i64(int.to_string().as_bytes()), Some(int));
    }
    for text in ["", "-", "-0", "00", "01", "+1", " 1", "1 ", "9223372036854775808", "-9223372036854775809", "1a"] {
        assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
    }
}

/// Hexadecimal texts of every length and exponent against Rust's reading of the same number in decimal.
#[test]
fn hexadecimal_numbers_are_rounded_once() {
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..20_000 {
        let (mantissa, shift) = (random.u128(..) >> random.u32(..128), random.u32(..300));
        let text = format!("0x{mantissa:x}p{shift}");
        let decimal = num_bigint::BigUint::from(mantissa) << shift;
        assert_eq!(parse_f64(text.as_bytes()), parse_f64(decimal.to_string().as_bytes()), "{text}");
    }
}

#[test]
fn fixed_places() {
    fn check(value: f64, digits: usize, expected: &str) {
        let mut out = Vec::new();
        write_fixed(value, digits, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
    // The kilometre and the metre distances of the manual's Palermo and Catania, as the server answers.
    check(166_274.151_560_396_13, 4, "166274.1516");
    check(166.274_151_560_396_13, 4, "166.2742");
    check(0.0, 4, "0.0000");
    check(-0.0, 4, "0.0000");
    check(-0.000_01, 4, "0.0000");
    check(0.000_06, 4, "0.0001");
    check(0.775, 4, "0.7750");
    check(-12.5, 1, "-12.5");
    // Halves of the last place go to the even neighbour.
    check(0.125, 2, "0.12");
    check(0.375, 2, "0.38");
    check(1.0, 17, "1.00000000000000000");
    check(f64::INFINITY, 4, "-922337203685477.5808");
}

#[test]
fn sizes_take_units_of_both_families() {
    let check = |word: &str, bytes| assert_eq!(parse_memory(word.as_bytes()), bytes, "{word}");
    check("0", Some(0));
    check("1k", Some(1000));
    check("1KB", Some(1024));
    check("1m", Some(1_000_000));
    check("3Mb", Some(3 << 20));
    check("2g", Some(2_000_000_000));
    check("2gB", Some(2 << 30));
    check("12b", Some(12));
    check("", Some(0));
    check("b", Some(0));
    check("-1", None);
    check("1tb", None);
    check("1.5g", None);
    check("99999999999999999999", Some(u64::MAX));
    check(&"9".repeat(128), None);
}

#[test]
fn digits_are_read_as_the_library_reads_them() {
    for text in ["0", "7", "000", "007", "000000123456", "999999999999999", "000000000000001", "0000000000000001"] {
        assert_eq!(parse_f64(text.as_bytes()), text.parse().ok(), "{text}");
    }
    for text in ["", "1 ", " 1", "1x", "12/", "12:"] {
        assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
    }
}
