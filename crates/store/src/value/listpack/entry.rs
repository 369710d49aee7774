//! One entry of a listpack: an encoding byte with its payload, then the length of those two written so that it can be
//! read backwards.
//!
//! | first byte    | what follows                                        | meaning                        |
//! |---------------|-----------------------------------------------------|--------------------------------|
//! | `0xxxxxxx`    |                                                     | the integer 0 to 127           |
//! | `10xxxxxx`    | x bytes                                             | a string of up to 63 bytes     |
//! | `110xxxxx`    | 1 byte, the low half of 13 bits, two's complement   | the integer -4096 to 4095      |
//! | `1110xxxx`    | 1 byte, the low half of 12 bits, then so many bytes | a string of up to 4095 bytes   |
//! | `F0`          | 4 bytes little-endian, then so many bytes           | any longer string              |
//! | `F1` to `F4`  | 2, 3, 4, 8 bytes little-endian                      | a 16, 24, 32 or 64 bit integer |
//!
//! The length at the end ("backlen") is big-endian in groups of seven bits; every byte but the first has its top bit
//! set, so that a reader coming from the right knows where to stop.

use super::Item;

/// The byte that stands where the next entry would begin.
pub(super) const END: u8 = 0xFF;

const STRING_12_BIT: usize = 1 << 12;
const STRING_6_BIT: usize = 1 << 6;
const INT_16: u8 = 0xF1;
const INT_24: u8 = 0xF2;
const INT_32: u8 = 0xF3;
const INT_64: u8 = 0xF4;
const STRING_32_BIT: u8 = 0xF0;

/// An entry about to be written: its head, and its string bytes if it has any. Numbers instead of an array of bytes, because a
/// processor waits when what was stored byte by byte is loaded as a whole.
pub(super) struct Entry<'a> {
    /// The encoding byte.
    first: u8,
    /// What follows it of a length or an integer, little-endian.
    rest: u64,
    /// How many bytes of `rest` count.
    rest_len: u8,
    data: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The shortest encoding of `item`; bytes that are the decimal form of an integer become that integer.
    #[inline]
    pub(super) fn new(item: Item<'a>) -> Self {
        match item {
            Item::Int(int) => Self::of_int(int),
            Item::Bytes(bytes) => super::canonical_int(bytes).map_or_else(|| Self::of_bytes(bytes), Self::of_int),
        }
    }

    fn of_int(int: i64) -> Self {
        let (first, rest_len) = match int {
            0..=127 => (int as u8, 0),
            -4096..=4095 => (0xC0 | ((int >> 8) as u8 & 0x1F), 1),
            -0x8000..=0x7FFF => (INT_16, 2),
            -0x80_0000..=0x7F_FFFF => (INT_24, 3),
            -0x8000_0000..=0x7FFF_FFFF => (INT_32, 4),
            _ => (INT_64, 8),
        };
        Self { first, rest: int as u64, rest_len, data: &[] }
    }

    #[inline]
    fn of_bytes(bytes: &'a [u8]) -> Self {
        let len = bytes.len();
        let (first, rest_len) = match len {
            0..STRING_6_BIT => (0x80 | len as u8, 0),
            STRING_6_BIT..STRING_12_BIT => (0xE0 | (len >> 8) as u8, 1),
            _ => (STRING_32_BIT, 4),
        };
        Self { first, rest: len as u64, rest_len, data: bytes }
    }

    /// Bytes of the whole entry, backlen included.
    #[inline]
    pub(super) fn size(&self) -> usize {
        with_backlen(self.body_len())
    }

    /// Writes the entry over `out`, which is exactly `size` bytes.
    pub(super) fn write(&self, out: &mut [u8]) {
        let (body, backlen) = out.split_at_mut(self.body_len());
        let (head, data) = body.split_at_mut(1 + usize::from(self.rest_len));
        head[0] = self.first;
        // Nearly every head is one byte or two, for which a copy of any length would be a call.
        match &mut head[1..] {
            [] => {}
            [byte] => *byte = self.rest as u8,
            rest => rest.copy_from_slice(&self.rest.to_le_bytes()[..usize::from(self.rest_len)]),
        }
        data.copy_from_slice(self.data);
        write_backlen(body.len(), backlen);
    }

    #[inline]
    fn body_len(&self) -> usize {
        1 + usize::from(self.rest_len) + self.data.len()
    }
}

/// Writes the length of a body over `out`, which is exactly as long as [`with_backlen`] says.
#[inline]
fn write_backlen(body: usize, out: &mut [u8]) {
    let (first, later) = out.split_first_mut().expect("a backlen has at least one byte");
    let mut rest = body;
    for byte in later.iter_mut().rev() {
        *byte = (rest & 0x7F) as u8 | 0x80;
        rest >>= 7;
    }
    *first = rest as u8;
}

/// Bytes of the entry that starts `bytes`, without its backlen. `None` where no entry can start (the end mark, an
/// unknown encoding, a head cut short); a result may still reach beyond `bytes`.
#[inline]
pub(super) fn body_size(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    Some(match first {
        0x00..=0x7F => 1,
        0x80..=0xBF => 1 + usize::from(first & 0x3F),
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 2 + (usize::from(first & 0x0F) << 8 | usize::from(*bytes.get(1)?)),
        STRING_32_BIT => 5 + long_string_len(bytes.get(1..5)?),
        INT_16 => 3,
        INT_24 => 4,
        INT_32 => 5,
        INT_64 => 9,
        _ => return None,
    })
}

/// The size of an entry whose body is `body` bytes. The bounds are Redis's, which leaves the largest value of each width
/// unused.
#[inline]
pub(super) const fn with_backlen(body: usize) -> usize {
    body + match body {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// The body size that the backlen at the end of `bytes` tells. `None` if it has more than five bytes.
#[inline]
pub(super) fn backlen(bytes: &[u8]) -> Option<usize> {
    let mut size = 0;
    for (place, byte) in bytes.iter().rev().take(5).enumerate() {
        size |= usize::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(size);
        }
    }
    None
}

/// The value of the entry that starts `bytes`; `bytes` was validated or written here.
#[inline]
pub(super) fn decode(bytes: &[u8]) -> Item<'_> {
    let first = bytes[0];
    match first {
        0x00..=0x7F => Item::Int(i64::from(first)),
        0x80..=0xBF => Item::Bytes(&bytes[1..1 + usize::from(first & 0x3F)]),
        0xC0..=0xDF => {
            let bits = i16::from(first & 0x1F) << 8 | i16::from(bytes[1]);
            // The sign is the 13th bit; moving it to the top and back extends it.
            Item::Int(i64::from(bits << 3 >> 3))
        }
        0xE0..=0xEF => {
            let len = usize::from(first & 0x0F) << 8 | usize::from(bytes[1]);
            Item::Bytes(&bytes[2..2 + len])
        }
        STRING_32_BIT => Item::Bytes(&bytes[5..5 + long_string_len(&bytes[1..5])]),
        INT_16 => Item::Int(little_endian(&bytes[1..3])),
        INT_24 => Item::Int(little_endian(&bytes[1..4])),
        INT_32 => Item::Int(little_endian(&bytes[1..5])),
        INT_64 => Item::Int(little_endian(&bytes[1..9])),
        _ => unreachable!("no listpack entry begins with {first:#x}"),
    }
}

fn long_string_len(bytes: &[u8]) -> usize {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize
}

/// A signed integer of `bytes.len()` bytes.
#[inline]
fn little_endian(bytes: &[u8]) -> i64 {
    let mut le = [0; 8];
    le[..bytes.len()].copy_from_slice(bytes);
    let unused_bits = 64 - 8 * bytes.len();
    i64::from_le_bytes(le) << unused_bits >> unused_bits
}
