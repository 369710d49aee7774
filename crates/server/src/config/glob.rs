//! Redis's glob matching, for the patterns of CONFIG GET.

/// Whether `text` matches `pattern`, letters taken alike in both cases: `*`, `?`, `[a-z]`, `[^a]` and `\` before
/// a literal. A class that is not closed ends with the pattern.
///
/// A star is tried from the last one only: what an earlier star could take, a later one can as well. So the work
/// is bounded by the product of both lengths.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern_at, mut text_at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match pattern.get(pattern_at) {
            Some(b'*') => {
                retry = Some((pattern_at + 1, text_at));
                pattern_at += 1;
                continue;
            }
            Some(_) if text_at < text.len() => {
                let (matched, next) = step(pattern, pattern_at, text[text_at].to_ascii_lowercase());
                if matched {
                    (pattern_at, text_at) = (next, text_at + 1);
                    continue;
                }
            }
            None if text_at == text.len() => return true,
            _ => {}
        }
        let Some((after_star, taken)) = retry else { return false };
        if taken == text.len() {
            return false;
        }
        retry = Some((after_star, taken + 1));
        (pattern_at, text_at) = (after_star, taken + 1);
    }
}

/// Whether the element of `pattern` at `at` takes `byte`, and where the next element stands.
fn step(pattern: &[u8], at: usize, byte: u8) -> (bool, usize) {
    match pattern[at] {
        b'?' => (true, at + 1),
        b'[' => class(pattern, at + 1, byte),
        b'\\' if at + 1 < pattern.len() => (pattern[at + 1].to_ascii_lowercase() == byte, at + 2),
        literal => (literal.to_ascii_lowercase() == byte, at + 1),
    }
}

/// As [`step`], for a class whose content starts at `at`.
fn class(pattern: &[u8], mut at: usize, byte: u8) -> (bool, usize) {
    let negated = pattern.get(at) == Some(&b'^');
    at += usize::from(negated);
    let mut found = false;
    loop {
        match pattern[at.min(pattern.len())..] {
            [] => return (found != negated, pattern.len()),
            [b']', ..] => return (found != negated, at + 1),
            [b'\\', literal, ..] => {
                found |= literal.to_ascii_lowercase() == byte;
                at += 2;
            }
            [low, b'-', high, ..] => {
                let ends = [low.to_ascii_lowercase(), high.to_ascii_lowercase()];
                found |= (ends[0].min(ends[1])..=ends[0].max(ends[1])).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= literal.to_ascii_lowercase() == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_in_redis() {
        let check = |pattern: &str, text: &str, expected| {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        };
        check("*", "", true);
        check("max*", "maxmemory", true);
        check("*max*policy", "maxmemory-policy", true);
        check("MAX*", "maxmemory", true);
        check("?z", "hz", true);
        check("?", "", false);
        check("h[a-z]", "hz", true);
        check("h[^z]", "hz", false);
        check("h[yz", "hz", true);
        check("h\\*", "hz", false);
        check("*a*b*c", "xaybzc", true);
        check("*a*b*c", "xaybz", false);
        check("port", "ports", false);
        check(&"*a".repeat(40), &"a".repeat(200), true);
        check(&format!("{}b", "*a".repeat(40)), &"a".repeat(200), false);
    }
}
