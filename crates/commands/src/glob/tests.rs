mod observed;

use std::time::{Duration, Instant};

use super::*;

fn check(pattern: &[u8], text: &[u8], expected: bool) {
    assert_eq!(matches(pattern, text, false), expected, "{} {}", pattern.escape_ascii(), text.escape_ascii());
}

#[test]
fn answers_what_the_server_answered() {
    for &(pattern, text, nocase, expected) in observed::MATCHES {
        let (p, t) = (pattern.escape_ascii(), text.escape_ascii());
        assert_eq!(matches(pattern, text, nocase), expected, "{p} {t} nocase: {nocase}");
    }
}

#[test]
fn corners() {
    check(b"", b"", true);
    check(b"*", b"", false);
    check(b"*", b"x", true);
    check(b"x**", b"x", true);
    check(b"a*b*c", b"a__b__b__c", true);
    check(b"a*b*c", b"a__b__c__", false);
    check(b"[", b"a", false);
    check(b"[^", b"a", true);
    check(b"[a", b"a", true);
    check(b"[z-a]", b"m", true);
    check(b"[a-", b"-", true);
    check(b"[\\]]", b"]", true);
    check(b"\\", b"\\", true);
    check(b"\\*", b"*", true);
    check(b"\\*", b"x", false);
    check(b"[\x01-\xff]", b"\x00", true);
    check(b"[\x01-\xff]", b"\x80", false);
}

#[test]
fn case_is_ignored_except_behind_a_backslash_in_a_class() {
    assert!(matches(b"MAX*", b"maxmemory", true));
    assert!(matches(b"[A-C]", b"b", true));
    assert!(!matches(b"[\\B]", b"b", true));
    assert!(!matches(b"[Z-a]", b"z", true));
}

#[test]
fn the_number_of_stars_is_bounded_as_in_redis() {
    let text = [b'a'; 3000];
    check(&b"*a".repeat(1000), &text, true);
    check(&b"*a".repeat(1001), &text, false);
    check(&[&b"*a".repeat(1000)[..], b"*"].concat(), &text, true);
    check(&[&b"*a".repeat(1000)[..], b"*b"].concat(), &text, false);
}

/// Recursion that retries every star would outlast the machine here.
#[test]
fn a_hostile_pattern_is_fast() {
    let started = Instant::now();
    let text = vec![b'a'; 100_000];
    check(&[&b"a*".repeat(900)[..], b"b"].concat(), &text, false);
    check(&[b"*", &b"a".repeat(50)[..], b"b"].concat(), &text, false);
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// The definition, tried out: a star takes every length there is. Stars in the middle are few, so it ends.
fn naive(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', pattern @ ..], _) => (0..=text.len()).any(|length| naive(pattern, &text[length..])),
        ([b'?', pattern @ ..], [_, text @ ..]) => naive(pattern, text),
        ([a, pattern @ ..], [b, text @ ..]) => a == b && naive(pattern, text),
        _ => false,
    }
}

#[test]
fn stars_mean_what_their_definition_says() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut matched = 0;
    for _ in 0..20_000 {
        let pattern: Vec<u8> = (0..random.usize(..9)).map(|_| *random.choice(b"aab*?").unwrap()).collect();
        let text: Vec<u8> = (0..random.usize(1..9)).map(|_| *random.choice(b"aab").unwrap()).collect();
        let expected = naive(&pattern, &text);
        check(&pattern, &text, expected);
        matched += usize::from(expected);
    }
    assert!(matched > 1000, "only {matched} matched");
}
