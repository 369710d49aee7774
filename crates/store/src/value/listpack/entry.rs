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

/// An entry about to be written: its head, and its string bytes if it has any.
pub(super) struct Entry<'a> {
    /// Encoding byte and length or integer; the first `head_len` bytes count.
    head: [u8; 9],
    head_len: usize,
    data: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The shortest encoding of `item`; bytes that are the decimal form of an integer become that integer.
    pub(super) fn new(item: Item<'a>) -> Self {
        match item {
            Item::Int(int) => Self::of_int(int),
            Item::Bytes(bytes) => super::canonical_int(bytes).map_or_else(|| Self::of_bytes(bytes), Self::of_int),
        }
    }

    fn of_int(int: i64) -> Self {
        let le = int.to_le_bytes();
        match int {
            0..=127 => Self::with_head(&[le[0]], &[]),
            -4096..=4095 => Self::with_head(&[0xC0 | (le[1] & 0x1F), le[0]], &[]),
            -0x8000..=0x7FFF => Self::with_head(&[INT_16, le[0], le[1]], &[]),
            -0x80_0000..=0x7F_FFFF => Self::with_head(&[INT_24, le[0], le[1], le[2]], &[]),
            -0x8000_0000..=0x7FFF_FFFF => Self::with_head(&[INT_32, le[0], le[1], le[2], le[3]], &[]),
            _ => Self::with_head(&[INT_64, le[0], le[1], le[2], le[3], le[4], le[5], le[6], le[7]], &[]),
        }
    }

    fn of_bytes(bytes: &'a [u8]) -> Self {
        let le = bytes.len().to_le_bytes();
        match bytes.len() {
            0..STRING_6_BIT => Self::with_head(&[0x80 | le[0]], bytes),
            STRING_6_BIT..STRING_12_BIT => Self::with_head(&[0xE0 | le[1], le[0]], bytes),
            _ => Self::with_head(&[STRING_32_BIT, le[0], le[1], le[2], le[3]], bytes),
        }
    }

    fn with_head(head: &[u8], data: &'a [u8]) -> Self {
        let mut padded = [0; 9];
        padded[..head.len()].copy_from_slice(head);
        Self { head: padded, head_len: head.len(), data }
    }

    /// Bytes of the whole entry, backlen included.
    #[inline]
    pub(super) fn size(&self) -> usize {
        with_backlen(self.head_len + self.data.len())
    }

    /// Writes the entry over `out`, which is exactly `size` bytes.
    pub(super) fn write(&self, out: &mut [u8]) {
        let body = self.head_len + self.data.len();
        // Nearly every head is one byte, for which a copy of any length would be a call.
        out[0] = self.head[0];
        if self.head_len > 1 {
            out[1..self.head_len].copy_from_slice(&self.head[1..self.head_len]);
        }
        out[self.head_len..body].copy_from_slice(self.data);
        if let [only] = &mut out[body..] {
            *only = body as u8;
            return;
        }
        let mut rest = body;
        let (first, later) = out[body..].split_first_mut().expect("a backlen has at least one byte");
        for byte in later.iter_mut().rev() {
            *byte = (rest & 0x7F) as u8 | 0x80;
            rest >>= 7;
        }
        *first = rest as u8;
    }
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
