mod observed;

use super::*;

/// What INCRBYFLOAT replies.
fn incremented(value: &[u8], increment: &[u8]) -> String {
    let (Some(value), Some(increment)) = (LongDouble::parse(value), LongDouble::parse(increment)) else {
        return "ERR value is not a valid float".to_owned();
    };
    let sum = value.add(increment);
    if sum.is_finite() { written(sum) } else { "ERR increment would produce NaN or Infinity".to_owned() }
}

fn written(value: LongDouble) -> String {
    let mut out = Vec::new();
    value.write_human(&mut out);
    String::from_utf8(out).unwrap()
}

fn parse(text: &str) -> LongDouble {
    LongDouble::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text} was refused"))
}

#[test]
fn sums_are_those_of_the_server() {
    for &(value, increment, reply) in observed::SUMS {
        let (a, b) = (value.escape_ascii(), increment.escape_ascii());
        assert_eq!(incremented(value, increment), reply, "{a} + {b}");
    }
    let refused = observed::SUMS.iter().filter(|(_, _, reply)| reply.starts_with("ERR")).count();
    assert!(refused > 10 && refused * 2 < observed::SUMS.len());
}

#[test]
fn the_length_of_a_text_is_bounded() {
    let longest = [&b"0".repeat(TEXT_BYTES_MAX - 1)[..], b"1"].concat();
    assert_eq!(LongDouble::parse(&longest), Some(LongDouble::from(1)));
    assert_eq!(LongDouble::parse(&[b"0", &longest[..]].concat()), None);
}

/// Numbers that both ways can take must come out alike, also where digits end just beside a tie.
#[test]
fn short_and_long_decimals_agree() {
    let mut random = fastrand::Rng::with_seed(13);
    for _ in 0..5_000 {
        let value = random.u64(1..) >> random.u32(..64);
        let exponent = random.i32(-27..=27);
        let value = value.max(1);
        let short = LongDouble::round(false, &scale_short(value, exponent));
        let long = LongDouble::round(false, &scale_long(&BigUint::from(value), exponent.into()));
        assert_eq!(short, long, "{value}e{exponent}");
    }
}

/// A tie of two neighbours, and texts that lie a hair beside it.
#[test]
fn decimals_are_rounded_once() {
    let tie = "18446744073709551617";
    assert_eq!(written(parse(tie)), "18446744073709551616");
    assert_eq!(written(parse(&format!("{tie}.{}1", "0".repeat(4000)))), "18446744073709551618");
    assert_eq!(written(parse("18446744073709551616.999999999999999999999")), "18446744073709551616");
    assert_eq!(written(parse("18446744073709551619")), "18446744073709551620");
}

#[test]
fn written_integers_read_back() {
    let mut random = fastrand::Rng::with_seed(17);
    for _ in 0..500 {
        let text = format!("0x{:x}p{}", random.u64(1..), random.u32(..16_320));
        let value = parse(&text);
        assert_eq!(parse(&written(value)), value, "{text}");
    }
}

/// Sums against exact integers, rounded by their decimal form.
#[test]
fn sums_are_rounded_once() {
    let mut random = fastrand::Rng::with_seed(19);
    for _ in 0..5_000 {
        let shift = random.u32(..100);
        let (a, b) = (random.u64(1..), random.u64(1..) >> random.u32(..64));
        let b = b.max(1);
        let (low, high) = (parse(&b.to_string()), parse(&format!("0x{a:x}p{shift}")));
        let (exact_low, exact_high) = (BigUint::from(b), BigUint::from(a) << shift);
        assert_eq!(high.add(low), parse(&(&exact_high + &exact_low).to_string()));
        assert_eq!(low.add(high), high.add(low));
        if exact_high > exact_low {
            let minus = parse(&format!("-{b}"));
            assert_eq!(high.add(minus), parse(&(exact_high - exact_low).to_string()));
        }
    }
}

#[test]
fn integers_convert_exactly() {
    for int in [0, 1, -1, i64::MAX, i64::MIN, 1 << 53 | 1] {
        assert_eq!(written(LongDouble::from(int)), int.to_string());
    }
}

#[test]
fn what_is_not_finite_adds_up() {
    let (up, down, one) = (parse("inf"), parse("-inf"), LongDouble::from(1));
    assert_eq!((up.add(one), one.add(down)), (up, down));
    assert_eq!(written(up.add(down)), "nan");
    assert_eq!(written(one.add(up.add(down))), "nan");
    assert_eq!(one.add(parse("-1")), LongDouble::ZERO);
}

/// Expectations from the same steps in C on x86-64: `ceill(strtold(text) * 1000.0)`.
#[test]
fn seconds_become_milliseconds() {
    for (text, expected) in [
        ("0", 0),
        ("-0", 0),
        ("0.001", 1),
        ("0.0011", 2),
        ("0.1", 100),
        ("1.5", 1500),
        ("1e-4940", 1),
        ("-1e-4940", 0),
        ("-0.0015", -1),
        ("-2", -2000),
        ("9223372036854775.807", i64::MAX),
        ("1e30", i64::MAX),
        ("-1e30", i64::MIN),
        ("inf", i64::MAX),
        ("-inf", i64::MIN),
    ] {
        assert_eq!(parse(text).times(1000).ceil(), expected, "{text}");
    }
}
