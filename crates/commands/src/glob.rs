//! Redis's glob: the pattern language of KEYS, SCAN MATCH, PSUBSCRIBE and CONFIG GET.
//!
//! `*` is any run of bytes, `?` any one byte, `[abc]`, `[a-z]` and `[^...]` a class, and a backslash takes the next
//! byte as itself. Pattern and text are bytes, and no byte is special besides these.
//!
//! A failed match need only ever be retried at the latest star: once the piece between two stars has been found as
//! early as it occurs, finding it later cannot help what follows. One saved position therefore replaces recursion,
//! and the time is bounded by pattern length times text length.
//! (The same argument: Krauss, "Matching Wildcards: An Empty String Algorithm", 2014.)
//!
//! Redis answers some corners in ways that one would not guess. Each is kept, since clients can see it:
//! - an empty text matches only the empty pattern, so `*` does not match it;
//! - a class without its `]` ends with the pattern, and `[^` alone is any byte;
//! - a range may stand backwards, and compares bytes as signed numbers, so `[\x01-\xff]` is -1 to 1;
//! - when case is ignored, the ends of a range are put in order before they are lowered, so that `[Z-a]` is empty,
//!   and a byte behind a backslash inside a class keeps its case;
//! - a pattern that gets to its 1001st star with something behind it does not match.

/// How many stars a match may pass, the last one not counted when nothing follows it.
///
/// Redis bounds its recursion so. Nothing recurses here, yet the answer must be the same.
const STARS_MAX: usize = 1000;

/// Whether `pattern` matches the whole of `text`; `nocase` ignores the case of ASCII letters.
pub fn matches(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    let mut stars = 0;
    // Where to go on when the piece after the latest star fails: behind that star, one byte further in the text.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += leading_stars(&pattern[p..]);
            if p == pattern.len() {
                return true;
            }
            stars += 1;
            if stars > STARS_MAX {
                return false;
            }
            retry = Some((p, t));
        } else if let Some(length) = match_one(&pattern[p..], text[t], nocase) {
            p += length;
            t += 1;
        } else if let Some((after_star, start)) = retry {
            (p, t) = (after_star, start + 1);
            retry = Some((p, t));
        } else {
            return false;
        }
        if t == text.len() {
            p += leading_stars(&pattern[p..]);
            if p == pattern.len() {
                return true;
            }
            // Text is used up: a later start would only leave less of it for the same piece.
            return false;
        }
    }
    false
}

fn leading_stars(pattern: &[u8]) -> usize {
    pattern.iter().take_while(|&&byte| byte == b'*').count()
}

/// The length of the first element of `pattern`, which is no star, if it matches `byte`.
fn match_one(pattern: &[u8], byte: u8, nocase: bool) -> Option<usize> {
    match *pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', ref class @ ..] => match_class(class, byte, nocase).map(|length| length + 1),
        [b'\\', literal, ..] => same(literal, byte, nocase).then_some(2),
        [literal, ..] => same(literal, byte, nocase).then_some(1),
    }
}

/// The length of `class` up to and with its `]`, if it holds `byte`. The opening bracket is left out.
fn match_class(class: &[u8], byte: u8, nocase: bool) -> Option<usize> {
    let negated = class.first() == Some(&b'^');
    let mut rest = if negated { &class[1..] } else { class };
    let mut found = false;
    loop {
        rest = match *rest {
            [] => break,
            [b'\\', literal, ref tail @ ..] => {
                found |= literal == byte;
                tail
            }
            [b']', ref tail @ ..] => {
                rest = tail;
                break;
            }
            [first, b'-', last, ref tail @ ..] => {
                found |= in_range(first, last, byte, nocase);
                tail
            }
            [literal, ref tail @ ..] => {
                found |= same(literal, byte, nocase);
                tail
            }
        };
    }
    (found != negated).then_some(class.len() - rest.len())
}

fn same(a: u8, b: u8, nocase: bool) -> bool {
    a == b || (nocase && a.eq_ignore_ascii_case(&b))
}

fn in_range(first: u8, last: u8, byte: u8, nocase: bool) -> bool {
    let lower = |byte: i8| if nocase { byte.cast_unsigned().to_ascii_lowercase().cast_signed() } else { byte };
    let (first, last) = (first.cast_signed(), last.cast_signed());
    let ends = lower(first.min(last))..=lower(first.max(last));
    ends.contains(&lower(byte.cast_signed()))
}

#[cfg(test)]
mod tests;
