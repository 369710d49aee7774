//! Ids as clients write them. Redis reads the two numbers as loosely as C does: see [`number::parse_u64`].

use store::value::stream::{NewId, StreamId};

use crate::error::{Error, Result};
use crate::number;

/// Longer than this, Redis does not even try.
const LEN_MAX: usize = 127;

fn invalid() -> Error {
    Error::new("ERR Invalid stream ID specified as stream command argument")
}

/// `ms-seq`, or `ms` with `missing_seq` for the rest.
pub(super) fn strict(text: &[u8], missing_seq: u64) -> Result<StreamId> {
    parse(text, missing_seq).ok_or_else(invalid)
}

/// `ms-seq`, `ms`, or one of `-` and `+` for the smallest and the largest id.
pub(super) fn lenient(text: &[u8], missing_seq: u64) -> Result<StreamId> {
    match text {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => strict(text, missing_seq),
    }
}

/// Several complete ids.
pub(super) fn all<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Result<Vec<StreamId>> {
    texts.map(|text| strict(text, 0)).collect()
}

/// The id of an entry to add: `*`, `ms-*`, `ms-seq` or `ms`.
pub(super) fn new(text: &[u8]) -> Result<NewId> {
    if text == b"*" {
        return Ok(NewId::Auto);
    }
    match text.strip_suffix(b"-*").filter(|ms| ms.len() + 2 <= LEN_MAX && !ms.contains(&b'-')) {
        Some(ms) => number::parse_u64(ms).map(NewId::AutoSeq).ok_or_else(invalid),
        None => strict(text, 0).map(NewId::Exact),
    }
}

/// The lower end of a range; `(` in front excludes it.
pub(super) fn start(text: &[u8]) -> Result<StreamId> {
    match exclusive(text) {
        Some(text) => strict(text, 0)?.next().ok_or_else(|| Error::new("ERR invalid start ID for the interval")),
        None => lenient(text, 0),
    }
}

/// The upper end of a range; `(` in front excludes it.
pub(super) fn end(text: &[u8]) -> Result<StreamId> {
    match exclusive(text) {
        Some(text) => strict(text, u64::MAX)?.prev().ok_or_else(|| Error::new("ERR invalid end ID for the interval")),
        None => lenient(text, u64::MAX),
    }
}

fn exclusive(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"(").filter(|rest| !rest.is_empty())
}

fn parse(text: &[u8], missing_seq: u64) -> Option<StreamId> {
    if text.len() > LEN_MAX || matches!(text, b"-" | b"+") {
        return None;
    }
    match text.iter().position(|byte| *byte == b'-') {
        Some(dash) => Some(StreamId::new(number::parse_u64(&text[..dash])?, number::parse_u64(&text[dash + 1..])?)),
        None => Some(StreamId::new(number::parse_u64(text)?, missing_seq)),
    }
}

/// An id as text, without an allocation.
pub(super) struct IdText {
    bytes: [u8; Self::LEN_MAX],
    len: usize,
}

impl IdText {
    /// Two numbers of twenty digits, and the dash.
    const LEN_MAX: usize = 41;

    pub(super) fn new(id: StreamId) -> Self {
        let mut text = Self { bytes: [0; Self::LEN_MAX], len: 0 };
        text.push(itoa::Buffer::new().format(id.ms).as_bytes());
        text.push(b"-");
        text.push(itoa::Buffer::new().format(id.seq).as_bytes());
        text
    }

    fn push(&mut self, part: &[u8]) {
        self.bytes[self.len..][..part.len()].copy_from_slice(part);
        self.len += part.len();
    }
}

impl AsRef<[u8]> for IdText {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64, seq: u64) -> StreamId {
        StreamId::new(ms, seq)
    }

    #[test]
    fn ids_are_read_as_redis_reads_them() {
        let check = |text: &str, expected: Option<StreamId>| {
            assert_eq!(strict(text.as_bytes(), 7).ok(), expected, "{text:?}");
        };
        check("1-2", Some(id(1, 2)));
        check("1", Some(id(1, 7)));
        check(" +1-+02", Some(id(1, 2)));
        check("18446744073709551615-18446744073709551615", Some(StreamId::MAX));
        check("18446744073709551616", None);
        for text in ["", "-", "+", "1-", "-1", "1-2-3", "1-*", "*", "a", "1-a", "1--1"] {
            check(text, None);
        }
        check(&format!("1-{:0126}", 2), None);
        check(&format!("1-{:0125}", 2), Some(id(1, 2)));
    }

    #[test]
    fn new_ids_may_leave_parts_to_the_server() {
        assert_eq!(new(b"*").unwrap(), NewId::Auto);
        assert_eq!(new(b"5-*").unwrap(), NewId::AutoSeq(5));
        assert_eq!(new(b"5").unwrap(), NewId::Exact(id(5, 0)));
        for text in [&b"*-*"[..], b"-*", b"5-**", b"5-1-*", b"-", b"+"] {
            assert!(new(text).is_err(), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn ends_of_ranges_may_be_excluded() {
        assert_eq!(start(b"(1-2").unwrap(), id(1, 3));
        assert_eq!(end(b"(1-0").unwrap(), id(0, u64::MAX));
        assert_eq!(end(b"1").unwrap(), id(1, u64::MAX));
        assert_eq!(
            start(b"(18446744073709551615-18446744073709551615").unwrap_err().0,
            "ERR invalid start ID for the interval"
        );
        assert_eq!(end(b"(0-0").unwrap_err().0, "ERR invalid end ID for the interval");
        assert!(start(b"(").is_err() && start(b"(-").is_err() && start(b"((1").is_err());
    }

    #[test]
    fn texts_hold_the_largest_id() {
        assert_eq!(IdText::new(StreamId::MAX).as_ref(), StreamId::MAX.to_string().as_bytes());
        assert_eq!(IdText::new(StreamId::MIN).as_ref(), b"0-0");
    }
}
