//! A line into words and back: the quoting of `redis.conf`, which `redis-cli` and inline commands share.
//!
//! Words are parted by blanks. Double quotes know `\n \r \t \b \a`, `\xHH` and a backslash before anything else;
//! single quotes know only `\'`. A closing quote must be followed by a blank or the end.

/// Splits `line`; `None` where quotes are unbalanced or a closing quote is glued to more text.
pub fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        let start = rest.iter().position(|&byte| !is_blank(byte));
        let Some(start) = start else { return Some(words) };
        let (word, after) = next_word(&rest[start..])?;
        words.push(word);
        rest = after;
    }
}

/// `text` in double quotes, so that [`split`] gives it back unchanged.
pub fn quote(text: &[u8]) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for &byte in text {
        match byte {
            b'\\' => quoted.push_str("\\\\"),
            b'"' => quoted.push_str("\\\""),
            b'\n' => quoted.push_str("\\n"),
            b'\r' => quoted.push_str("\\r"),
            b'\t' => quoted.push_str("\\t"),
            0x07 => quoted.push_str("\\a"),
            0x08 => quoted.push_str("\\b"),
            b' '..=b'~' => quoted.push(char::from(byte)),
            _ => quoted.push_str(&format!("\\x{byte:02x}")),
        }
    }
    quoted.push('"');
    quoted
}

/// What C's `isspace` holds for a blank.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The word at the start of `text`, which is no blank, and what follows it.
fn next_word(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    let mut rest = text;
    loop {
        // Only these four end a bare word; a form feed, for one, is a letter in the middle of a word.
        rest = match rest {
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Some((word, rest)),
            [b'"', rest @ ..] => return double_quoted(word, rest),
            [b'\'', rest @ ..] => return single_quoted(word, rest),
            [byte, rest @ ..] => {
                word.push(*byte);
                rest
            }
        }
    }
}

fn double_quoted(mut word: Vec<u8>, mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    loop {
        rest = match rest {
            [] => return None,
            [b'"', rest @ ..] => return closed(word, rest),
            [b'\\', b'x', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                word.push(hex(*high) << 4 | hex(*low));
                rest
            }
            [b'\\', escaped, rest @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                rest
            }
            [byte, rest @ ..] => {
                word.push(*byte);
                rest
            }
        }
    }
}

fn single_quoted(mut word: Vec<u8>, mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    loop {
        rest = match rest {
            [] => return None,
            [b'\'', rest @ ..] => return closed(word, rest),
            [b'\\', b'\'', rest @ ..] => {
                word.push(b'\'');
                rest
            }
            [byte, rest @ ..] => {
                word.push(*byte);
                rest
            }
        }
    }
}

fn closed(word: Vec<u8>, rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let parted = rest.first().is_none_or(|&byte| is_blank(byte));
    parted.then_some((word, rest))
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.to_ascii_lowercase() - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[&str]) {
        let words = split(line.as_bytes()).unwrap_or_else(|| panic!("{line} is refused"));
        assert_eq!(words, expected.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>(), "{line}");
    }

    #[test]
    fn quoting_is_that_of_redis_conf() {
        check("", &[]);
        check("  \t ", &[]);
        check("port 6379", &["port", "6379"]);
        check("a  b\tc\r", &["a", "b", "c"]);
        check(r#"save """#, &["save", ""]);
        check("logfile ''", &["logfile", ""]);
        check(r#"x "a b" 'c d'"#, &["x", "a b", "c d"]);
        check(r#""\x41\n\t\q\\\"" "#, &["A\n\tq\\\""]);
        check(r#"'it\'s \n'"#, &["it's \\n"]);
        check(r#"ab"c d""#, &["abc d"]);
        check(r#""\x4g""#, &["x4g"]);
    }

    #[test]
    fn unbalanced_quotes_are_refused() {
        for line in ["\"", "'", "a \"b", "\"a\"b", "'a'b", "\"a\\"] {
            assert_eq!(split(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn what_is_quoted_is_split_again_unchanged() {
        let text: Vec<u8> = (0..=255).collect();
        assert_eq!(split(quote(&text).as_bytes()), Some(vec![text]));
        assert_eq!(quote(b"a\x01\"b"), r#""a\x01\"b""#);
    }
}
