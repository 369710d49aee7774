//! The small parts that files and values are made of, written.

use store::value::listpack::Item;
use store::value::stream::StreamId;

use crate::lzf::Compressor;

/// Redis compresses no string that is shorter; nor is less than this many bytes of gain worth it.
const COMPRESS_MIN: usize = 21;
const GAIN_MIN: usize = 4;
/// The longest decimal form of a 32-bit integer, and with it the longest string that is written as one.
const INT_DIGITS_MAX: usize = 11;

/// Bytes being written.
pub struct Writer {
    out: Vec<u8>,
    /// Absent if strings are not to be compressed (`rdbcompression no`).
    compressor: Option<Compressor>,
}

impl Writer {
    /// Nothing written yet; `compress` is the directive `rdbcompression`.
    pub fn new(compress: bool) -> Self {
        Self { out: Vec::new(), compressor: compress.then(Compressor::default) }
    }

    /// What was written since it was last taken.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// What was written.
    pub fn bytes(&self) -> &[u8] {
        &self.out
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// One byte.
    pub fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    /// A time in milliseconds since 1970.
    pub fn millis(&mut self, millis: i64) {
        self.raw(&millis.to_le_bytes());
    }

    /// A length, or another number in the form of one.
    pub fn len(&mut self, len: u64) {
        match len {
            0..0x40 => self.byte(len as u8),
            0x40..0x4000 => self.raw(&(len as u16 | 0x4000).to_be_bytes()),
            0x4000..=0xffff_ffff => {
                self.byte(0x80);
                self.raw(&(len as u32).to_be_bytes());
            }
            _ => {
                self.byte(0x81);
                self.raw(&len.to_be_bytes());
            }
        }
    }

    /// The length of something in memory.
    pub fn count(&mut self, count: usize) {
        self.len(count as u64);
    }

    /// A string in the shortest form.
    pub fn string(&mut self, bytes: &[u8]) {
        if bytes.len() <= INT_DIGITS_MAX
            && let Item::Int(int) = Item::parse(bytes)
            && self.small_int(int)
        {
            return;
        }
        if bytes.len() < COMPRESS_MIN || !self.compressed(bytes) {
            self.count(bytes.len());
            self.raw(bytes);
        }
    }

    /// A string that is an integer.
    pub fn int(&mut self, int: i64) {
        if !self.small_int(int) {
            let text = itoa::Buffer::new().format(int).to_owned();
            self.count(text.len());
            self.raw(text.as_bytes());
        }
    }

    /// An element of a packed form.
    pub fn item(&mut self, item: Item<'_>) {
        match item {
            Item::Int(int) => self.int(int),
            Item::Bytes(bytes) => self.string(bytes),
        }
    }

    /// A stream id as two numbers.
    pub fn id(&mut self, id: StreamId) {
        self.len(id.ms);
        self.len(id.seq);
    }

    /// Writes an integer of up to 32 bits as such.
    fn small_int(&mut self, int: i64) -> bool {
        if let Ok(int) = i8::try_from(int) {
            self.byte(0xc0);
            self.raw(&int.to_le_bytes());
        } else if let Ok(int) = i16::try_from(int) {
            self.byte(0xc1);
            self.raw(&int.to_le_bytes());
        } else if let Ok(int) = i32::try_from(int) {
            self.byte(0xc2);
            self.raw(&int.to_le_bytes());
        } else {
            return false;
        }
        true
    }

    fn compressed(&mut self, bytes: &[u8]) -> bool {
        let Some(compressor) = &mut self.compressor else { return false };
        let mut packed = Vec::new();
        let is_worth_it = compressor.compress(bytes, bytes.len() - GAIN_MIN, &mut packed);
        if is_worth_it {
            self.byte(0xc3);
            self.count(packed.len());
            self.count(bytes.len());
            self.raw(&packed);
        }
        is_worth_it
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::Reader;

    #[test]
    fn lengths_take_as_few_bytes_as_they_can() {
        for (len, bytes) in
            [(0, 1), (63, 1), (64, 2), (16_383, 2), (16_384, 5), (u32::MAX.into(), 5), (1 << 32, 9), (u64::MAX, 9)]
        {
            let mut writer = Writer::new(true);
            writer.len(len);
            assert_eq!(writer.bytes().len(), bytes, "{len}");
            assert_eq!(Reader::new(writer.bytes(), 0).length(), Ok(len));
        }
    }

    #[test]
    fn strings_take_the_form_redis_gives_them() {
        let check = |string: &[u8], len: usize| {
            let mut writer = Writer::new(true);
            writer.string(string);
            assert_eq!(writer.bytes().len(), len, "{string:?}");
            assert_eq!(Reader::new(writer.bytes(), 0).string().as_deref(), Ok(string));
        };
        check(b"", 1);
        check(b"-1", 2);
        check(b"128", 3);
        check(b"-32769", 5);
        check(b"2147483648", 11);
        check(b"007", 4);
        check(&[b'a'; 20], 21);
        check(&[b'a'; 21], 3 + 5);
        check(&[b'a'; 100], 4 + 5);
        let mut plain = Writer::new(false);
        plain.string(&[b'a'; 21]);
        assert_eq!(plain.take().len(), 22);
    }
}
