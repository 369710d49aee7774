//! One command as a line of text, and back: the quoting that Redis's inline requests and its tools use.
//!
//! Words are parted by white space. `"..."` knows `\n \r \t \b \a \xHH \\ \"`; `'...'` knows only `\'`.

/// A command: its name and arguments as bytes.
pub type Words = Vec<Vec<u8>>;

/// Splits a line into words. None when quotes are unbalanced, or when a closing quote is not followed by white space.
#[must_use]
pub fn split(line: &[u8]) -> Option<Words> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let (word, after) = word(rest)?;
        words.push(word);
        rest = after.trim_ascii_start();
    }
    Some(words)
}

/// Writes a command as one line that [`split`] reads back and that can be pasted into `redis-cli`.
#[must_use]
pub fn join(words: &[Vec<u8>]) -> String {
    words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}

fn word(line: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    let mut rest = line;
    loop {
        match *rest {
            [] => return Some((word, rest)),
            [byte, ..] if byte.is_ascii_whitespace() => return Some((word, rest)),
            [b'"', ref inside @ ..] => rest = double_quoted(inside, &mut word)?,
            [b'\'', ref inside @ ..] => rest = single_quoted(inside, &mut word)?,
            [byte, ref after @ ..] => {
                word.push(byte);
                rest = after;
            }
        }
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match *rest {
            [] => return None,
            [b'"', ref after @ ..] => return closed(after),
            [b'\\', b'x', high, low, ref after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digits = [high, low];
                (u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?, after)
            }
            [b'\\', letter, ref after @ ..] => (unescaped(letter), after),
            [byte, ref after @ ..] => (byte, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match *rest {
            [] => return None,
            [b'\'', ref after @ ..] => return closed(after),
            [b'\\', b'\'', ref after @ ..] => {
                word.push(b'\'');
                rest = after;
            }
            [byte, ref after @ ..] => {
                word.push(byte);
                rest = after;
            }
        }
    }
}

fn closed(after: &[u8]) -> Option<&[u8]> {
    after.first().is_none_or(u8::is_ascii_whitespace).then_some(after)
}

fn unescaped(letter: u8) -> u8 {
    match letter {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn quote(word: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"'\\".contains(byte);
    if !word.is_empty() && word.iter().all(plain) && !matches!(word[0], b'#' | b'@' | b'=') {
        return String::from_utf8_lossy(word).into_owned();
    }
    let mut text = String::from("\"");
    for &byte in word {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b' '..=b'~' => text.push(char::from(byte)),
            other => text.push_str(&format!("\\x{other:02x}")),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<&[&[u8]]>) {
        let expected = expected.map(|words| words.iter().map(|word| word.to_vec()).collect::<Words>());
        assert_eq!(split(line.as_bytes()), expected, "{line}");
    }

    #[test]
    fn words_and_quotes() {
        check("", Some(&[]));
        check("  SET  a\tb ", Some(&[b"SET", b"a", b"b"]));
        check(r#"SET "a b" """#, Some(&[b"SET", b"a b", b""]));
        check(r#""\x00\xfF\n\"\\" '\'"'"#, Some(&[b"\x00\xff\n\"\\", b"'\""]));
        check(r#"a "b"c"#, None);
        check(r#"a "b"#, None);
        check("a 'b", None);
    }

    #[test]
    fn joined_words_split_again() {
        let all: Vec<u8> = (0..=255).collect();
        let words: Words = vec![b"SET".to_vec(), all, Vec::new(), b"#x".to_vec(), b"it's".to_vec()];
        assert_eq!(split(join(&words).as_bytes()), Some(words));
    }
}
