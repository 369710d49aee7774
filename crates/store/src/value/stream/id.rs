//! The ids of stream entries.

use std::fmt;

/// The id of a stream entry: when it came, and its place among those of the same millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Milliseconds since the epoch, by the clock of whoever chose the id.
    pub ms: u64,
    /// Sequence number within the millisecond.
    pub seq: u64,
}

/// What `XADD` was told about the id of a new entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewId {
    /// `*`: the present time, or just above the last id if that is later.
    Auto,
    /// `ms-*`: this millisecond, and the next free sequence number in it.
    AutoSeq(u64),
    /// `ms-seq`.
    Exact(StreamId),
}

impl StreamId {
    /// The smallest id, `0-0`; no entry can have it.
    pub const MIN: Self = Self { ms: 0, seq: 0 };
    /// The largest id.
    pub const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    /// An id of its two parts.
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// Reads `ms-seq`, or `ms` alone with `missing_seq` for the rest.
    pub fn parse(bytes: &[u8], missing_seq: u64) -> Option<Self> {
        match split(bytes)? {
            (ms, None) => Some(Self { ms: parse_u64(ms)?, seq: missing_seq }),
            (ms, Some(seq)) => Some(Self { ms: parse_u64(ms)?, seq: parse_u64(seq)? }),
        }
    }

    /// The next larger id; `None` after [`StreamId::MAX`].
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => self.ms.checked_add(1).map(|ms| Self { ms, seq: 0 }),
        }
    }

    /// The next smaller id; `None` before [`StreamId::MIN`].
    pub fn prev(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => self.ms.checked_sub(1).map(|ms| Self { ms, seq: u64::MAX }),
        }
    }

    /// As 128 bits big-endian, so that byte order is id order; the form in which dumps hold ids.
    pub fn to_be_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }

    /// The opposite of [`StreamId::to_be_bytes`].
    pub fn from_be_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_be_bytes(bytes);
        Self { ms: (both >> 64) as u64, seq: both as u64 }
    }
}

impl NewId {
    /// Reads `*`, `ms-*`, `ms-seq` or `ms`, which means `ms-0`.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        match split(bytes)? {
            (b"*", None) => Some(Self::Auto),
            (ms, Some(b"*")) => parse_u64(ms).map(Self::AutoSeq),
            _ => StreamId::parse(bytes, 0).map(Self::Exact),
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// The parts before and after the first dash.
fn split(bytes: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    // What Redis has room for; nothing longer can be two numbers written sensibly.
    const LEN_MAX: usize = 127;
    if bytes.len() > LEN_MAX {
        return None;
    }
    match bytes.iter().position(|byte| *byte == b'-') {
        Some(dash) => Some((&bytes[..dash], Some(&bytes[dash + 1..]))),
        None => Some((bytes, None)),
    }
}

fn parse_u64(bytes: &[u8]) -> Option<u64> {
    // Redis falls back on `strtoull` here, which lets blanks, a plus sign and leading zeros through.
    let unsigned = bytes.trim_ascii_start();
    let digits = unsigned.strip_prefix(b"+").unwrap_or(unsigned);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
