//! Words of an inline request, by the quoting rules of Redis's `sdssplitargs`:
//!
//! - white space separates words; a quote may begin anywhere in a word, and its closing quote ends the word;
//! - in double quotes `\xHH`, `\n`, `\r`, `\t`, `\b`, `\a` are escapes, and a backslash before any other byte is that
//!   byte; in single quotes only `\'` is an escape; outside quotes a backslash is a backslash.

use crate::Span;

/// The line has a quote that is not closed, or that is closed before the word's end.
#[derive(Debug)]
pub(crate) struct UnbalancedQuotes;

/// Appends the words of `line` to `bytes` and their positions there to `spans`. The line holds no NUL, which is where
/// Redis's strings end; the parser sees to it.
///
/// On an error, words already found remain; the caller takes them out.
pub(crate) fn split(line: &[u8], bytes: &mut Vec<u8>, spans: &mut Vec<Span>) -> Result<(), UnbalancedQuotes> {
    let mut rest = line;
    loop {
        rest = &rest[rest.iter().take_while(|byte| is_space(**byte)).count()..];
        if rest.is_empty() {
            return Ok(());
        }
        let start = bytes.len();
        rest = word(rest, bytes)?;
        spans.push(Span { start: start as u32, len: (bytes.len() - start) as u32 });
    }
}

/// Appends one word and returns what follows it.
fn word<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        match rest {
            [b'"', quoted @ ..] => return word_end(double_quoted(quoted, out)?),
            [b'\'', quoted @ ..] => return word_end(single_quoted(quoted, out)?),
            // Vertical tab and form feed are skipped before a word but do not end one.
            [] | [b' ' | b'\t' | b'\r' | b'\n', ..] => return Ok(rest),
            [byte, tail @ ..] => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
}

/// What follows a closing quote must be the end of the word.
fn word_end(rest: &[u8]) -> Result<&[u8], UnbalancedQuotes> {
    match rest {
        [byte, ..] if !is_space(*byte) => Err(UnbalancedQuotes),
        _ => Ok(rest),
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        let (byte, tail) = match rest {
            [] => return Err(UnbalancedQuotes),
            [b'"', tail @ ..] => return Ok(tail),
            [b'\\', b'x', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex_value(*high) << 4 | hex_value(*low), tail)
            }
            [b'\\', escaped, tail @ ..] => (unescaped(*escaped), tail),
            [byte, tail @ ..] => (*byte, tail),
        };
        out.push(byte);
        rest = tail;
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        let (byte, tail) = match rest {
            [] => return Err(UnbalancedQuotes),
            [b'\'', tail @ ..] => return Ok(tail),
            [b'\\', b'\'', tail @ ..] => (b'\'', tail),
            [byte, tail @ ..] => (*byte, tail),
        };
        out.push(byte);
        rest = tail;
    }
}

/// White space as C's `isspace` has it in the default locale.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn unescaped(escaped: u8) -> u8 {
    match escaped {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}
