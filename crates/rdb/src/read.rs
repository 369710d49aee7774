//! The small parts that files and values are made of, read from bytes that nobody vouches for.

use std::borrow::Cow;

use store::value::stream::StreamId;

use crate::error::{Error, Problem, Result};
use crate::lzf;

/// The longest string that is read. Redis's own limit is `proto-max-bulk-len` where strings are made, which is half a
/// gigabyte unless it is raised; a compressed one could claim eighty times its size.
pub const STRING_LEN_MAX: u64 = u32::MAX as u64;

/// A place in some bytes, and how to go on from it. Nothing is allocated but for bytes that are there.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Offset of `rest` from the beginning of all that is read.
    offset: u64,
}

/// What stands where a length is expected.
enum Length {
    Plain(u64),
    /// A string in a special encoding: an integer or compressed.
    Special(u8),
}

const INT_8: u8 = 0;
const INT_16: u8 = 1;
const INT_32: u8 = 2;
const COMPRESSED: u8 = 3;

impl<'a> Reader<'a> {
    /// Reads `bytes`, which are `offset` bytes into a file.
    pub fn new(bytes: &'a [u8], offset: u64) -> Self {
        Self { rest: bytes, offset }
    }

    /// Bytes read so far, counted from the beginning of the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// An error about what comes next.
    pub fn error(&self, problem: Problem) -> Error {
        Error { offset: self.offset, problem }
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: u64) -> Result<&'a [u8]> {
        let split = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        let (taken, rest) = split.ok_or(self.error(Problem::Truncated))?;
        self.rest = rest;
        self.offset += len;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.take(N as u64)?;
        Ok(bytes.try_into().expect("as many bytes as were asked for"))
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8> {
        self.array().map(|[byte]| byte)
    }

    /// A time in milliseconds since 1970: eight bytes, little-endian.
    pub fn millis(&mut self) -> Result<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// A length, or another number written as one.
    pub fn length(&mut self) -> Result<u64> {
        let start = self.clone();
        match self.prefix()? {
            Length::Plain(len) => Ok(len),
            Length::Special(kind) => Err(start.error(Problem::Length(0xc0 | kind))),
        }
    }

    /// A string, unpacked if it was compressed and printed if it was an integer.
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>> {
        let start = self.clone();
        let integer = |int: i64| Cow::Owned(itoa::Buffer::new().format(int).as_bytes().to_vec());
        match self.prefix()? {
            Length::Plain(len) if len > STRING_LEN_MAX => Err(start.error(Problem::TooLong(len))),
            Length::Plain(len) => self.take(len).map(Cow::Borrowed),
            Length::Special(INT_8) => self.array().map(|bytes| integer(i8::from_le_bytes(bytes).into())),
            Length::Special(INT_16) => self.array().map(|bytes| integer(i16::from_le_bytes(bytes).into())),
            Length::Special(INT_32) => self.array().map(|bytes| integer(i32::from_le_bytes(bytes).into())),
            Length::Special(COMPRESSED) => {
                let (packed_len, len) = (self.length()?, self.length()?);
                if len > STRING_LEN_MAX {
                    return Err(start.error(Problem::TooLong(len)));
                }
                let packed = self.take(packed_len)?;
                let unpacked = lzf::decompress(packed, len as usize).ok_or(start.error(Problem::Compressed))?;
                Ok(Cow::Owned(unpacked))
            }
            Length::Special(kind) => Err(start.error(Problem::Length(0xc0 | kind))),
        }
    }

    /// Goes past what stands before a string's bytes and tells how many these are, packed as they may be.
    pub fn string_prefix(&mut self) -> Result<u64> {
        let start = self.clone();
        Ok(match self.prefix()? {
            Length::Plain(len) => len,
            Length::Special(kind @ (INT_8 | INT_16 | INT_32)) => 1 << kind,
            Length::Special(COMPRESSED) => {
                let packed_len = self.length()?;
                self.length()?;
                packed_len
            }
            Length::Special(kind) => return Err(start.error(Problem::Length(0xc0 | kind))),
        })
    }

    /// Goes past a string without unpacking it.
    pub fn skip_string(&mut self) -> Result<()> {
        let len = self.string_prefix()?;
        self.take(len).map(drop)
    }

    /// A score as types from 4.0 on have it; not NaN.
    pub fn binary_score(&mut self) -> Result<f64> {
        let start = self.clone();
        let score = self.array().map(f64::from_le_bytes)?;
        if score.is_nan() { Err(start.error(Problem::Score)) } else { Ok(score) }
    }

    /// A score as older types have it: as text, behind a byte with its length or one that stands for a special value.
    pub fn text_score(&mut self) -> Result<f64> {
        let start = self.clone();
        match self.byte()? {
            255 => Ok(f64::NEG_INFINITY),
            254 => Ok(f64::INFINITY),
            253 => Err(start.error(Problem::Score)),
            len => {
                let text = self.take(len.into())?;
                let score = std::str::from_utf8(text).ok().and_then(|text| text.trim_start().parse::<f64>().ok());
                score.filter(|score| !score.is_nan()).ok_or(start.error(Problem::Score))
            }
        }
    }

    /// Goes past what stands before a score's text and tells how long that is.
    pub fn text_score_prefix(&mut self) -> Result<u64> {
        Ok(match self.byte()? {
            253..=255 => 0,
            len => len.into(),
        })
    }

    /// A stream id as two numbers.
    pub fn id(&mut self) -> Result<StreamId> {
        Ok(StreamId { ms: self.length()?, seq: self.length()? })
    }

    /// A stream id as sixteen bytes.
    pub fn raw_id(&mut self) -> Result<StreamId> {
        self.array().map(StreamId::from_be_bytes)
    }

    fn prefix(&mut self) -> Result<Length> {
        let start = self.clone();
        let first = self.byte()?;
        let low = first & 0x3f;
        Ok(match (first >> 6, first) {
            (0, _) => Length::Plain(low.into()),
            (1, _) => Length::Plain(u64::from(low) << 8 | u64::from(self.byte()?)),
            (2, 0x80) => Length::Plain(u32::from_be_bytes(self.array()?).into()),
            (2, 0x81) => Length::Plain(u64::from_be_bytes(self.array()?)),
            (3, _) => Length::Special(low),
            _ => return Err(start.error(Problem::Length(first))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_in_all_encodings() {
        let check = |bytes: &[u8], expected: &[u8]| {
            let mut reader = Reader::new(bytes, 100);
            assert_eq!(reader.string().as_deref(), Ok(expected));
            assert!(reader.rest().is_empty());
            assert_eq!(reader.offset(), 100 + bytes.len() as u64);
            for end in 0..bytes.len() {
                let error = Reader::new(&bytes[..end], 100).string().expect_err("cut short");
                assert_eq!(error.problem, Problem::Truncated, "{bytes:?} cut at {end}");
            }
            let mut reader = Reader::new(bytes, 0);
            assert_eq!((reader.skip_string(), reader.rest().len()), (Ok(()), 0));
        };
        check(&[0], b"");
        check(b"\x03abc", b"abc");
        check(b"\x40\x03abc", b"abc");
        check(b"\x80\0\0\0\x03abc", b"abc");
        check(b"\x81\0\0\0\0\0\0\0\x03abc", b"abc");
        check(b"\xc0\x80", b"-128");
        check(b"\xc1\xff\x7f", b"32767");
        check(b"\xc2\0\0\0\x80", b"-2147483648");
        check(b"\xc3\x04\x04\x00\x61\x20\x00", b"aaaa");
    }

    #[test]
    fn hostile_lengths_are_refused_where_they_stand() {
        let check = |bytes: &[u8], problem| {
            assert_eq!(Reader::new(bytes, 7).string(), Err(Error { offset: 7, problem }), "{bytes:?}");
        };
        check(b"\x82", Problem::Length(0x82));
        check(b"\xc4", Problem::Length(0xc4));
        check(b"\x81\xff\xff\xff\xff\xff\xff\xff\xff", Problem::TooLong(u64::MAX));
        check(b"\xc3\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff\0", Problem::TooLong(u64::MAX));
        check(b"\xc3\x01\x80\xff\xff\xff\xff\0", Problem::Compressed);
        assert_eq!(Reader::new(b"\xc0\0", 7).length(), Err(Error { offset: 7, problem: Problem::Length(0xc0) }));
        // The claim is four gigabytes; what is missing is noticed at the string's first byte.
        assert_eq!(
            Reader::new(b"\x80\xff\xff\xff\xff", 7).string(),
            Err(Error { offset: 12, problem: Problem::Truncated })
        );
    }

    #[test]
    fn scores_as_text() {
        let check = |bytes: &[u8], expected| {
            assert_eq!(Reader::new(bytes, 0).text_score().ok(), expected);
            let mut skipped = Reader::new(bytes, 0);
            let text_len = skipped.text_score_prefix().expect("a score");
            assert_eq!(skipped.rest().len() as u64, text_len);
        };
        check(b"\x031.5", Some(1.5));
        check(b"\xff", Some(f64::NEG_INFINITY));
        check(b"\xfe", Some(f64::INFINITY));
        check(b"\xfd", None);
        check(b"\x03nan", None);
        check(b"\x01x", None);
    }
}
