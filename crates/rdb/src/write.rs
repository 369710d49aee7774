//! The small parts that files and values are made of, written.

use store::value::listpack::Item;
use store::value::stream::StreamId;

use crate::crc64::Crc64;
use crate::lzf::Compressor;

/// Redis compresses no string that is shorter; nor is less than this many bytes of gain worth it.
const COMPRESS_MIN: usize = 21;
const GAIN_MIN: usize = 4;
/// The longest decimal form of a 32-bit integer, and with it the longest string that is written as one.
const INT_DIGITS_MAX: usize = 11;

/// With a sink, what was written goes there in pieces of about so many bytes.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// Takes bytes away from a [`Writer`], so that a value of gigabytes never lies in memory as a whole.
pub trait Sink {
    /// Takes the next bytes; false if it cannot, now or ever. What went wrong is the sink's own to remember. Writing goes
    /// on to the end of the value, in vain, so that the encoders stay free of errors that are not theirs; whoever drives it
    /// asks [`Writer::has_failed`] between values.
    fn take(&mut self, bytes: &[u8]) -> bool;
}

/// Bytes being written: into memory, or through memory into a sink.
pub struct Writer<'s> {
    out: Vec<u8>,
    /// Absent if strings are not to be compressed (`rdbcompression no`).
    compressor: Option<Compressor>,
    drain: Option<Drain<'s>>,
}

/// Where full chunks go, and their checksum.
struct Drain<'s> {
    sink: &'s mut dyn Sink,
    /// Absent with `rdbchecksum no`.
    checksum: Option<Crc64>,
    bytes: u64,
    failed: bool,
}

impl Drain<'_> {
    fn take(&mut self, bytes: &[u8]) {
        if let Some(checksum) = &mut self.checksum {
            checksum.update(bytes);
        }
        self.bytes += bytes.len() as u64;
        self.failed = self.failed || !self.sink.take(bytes);
    }
}

impl<'s> Writer<'s> {
    /// Nothing written yet; `compress` is the directive `rdbcompression`.
    pub fn new(compress: bool) -> Self {
        Self { out: Vec::new(), compressor: compress.then(Compressor::default), drain: None }
    }

    /// A writer whose bytes go to a sink, with their checksum kept if wanted.
    pub fn into_sink(compress: bool, checksum: bool, sink: &'s mut dyn Sink) -> Self {
        let drain = Drain { sink, checksum: checksum.then(Crc64::new), bytes: 0, failed: false };
        Self { drain: Some(drain), out: Vec::with_capacity(2 * CHUNK_BYTES), ..Self::new(compress) }
    }

    /// What was written since it was last taken, and is not in a sink.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// What was written and is not in a sink.
    pub fn bytes(&self) -> &[u8] {
        &self.out
    }

    /// How many bytes were written.
    pub fn written(&self) -> u64 {
        self.drain.as_ref().map_or(0, |drain| drain.bytes) + self.out.len() as u64
    }

    /// Whether the sink has given up.
    pub fn has_failed(&self) -> bool {
        self.drain.as_ref().is_some_and(|drain| drain.failed)
    }

    /// Hands all to the sink, if there is one.
    pub fn flush(&mut self) {
        if let Some(drain) = &mut self.drain
            && !self.out.is_empty()
        {
            drain.take(&self.out);
            self.out.clear();
        }
    }

    /// The checksum of all that was written to the sink; 0 if none is kept.
    pub fn checksum(&mut self) -> u64 {
        self.flush();
        self.drain.as_ref().and_then(|drain| drain.checksum).map_or(0, |checksum| checksum.value())
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        if bytes.len() >= CHUNK_BYTES && self.drain.is_some() {
            // A long string goes past the buffer.
            self.flush();
            let drain = self.drain.as_mut().expect("asked for above");
            bytes.chunks(CHUNK_BYTES).for_each(|chunk| drain.take(chunk));
            return;
        }
        self.out.extend_from_slice(bytes);
        if self.out.len() >= CHUNK_BYTES {
            self.flush();
        }
    }

    /// One byte. It waits for more to fill a chunk.
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

    #[test]
    fn a_sink_gets_the_same_bytes_in_chunks() {
        #[derive(Default)]
        struct Chunks(Vec<Vec<u8>>);
        impl Sink for Chunks {
            fn take(&mut self, bytes: &[u8]) -> bool {
                self.0.push(bytes.to_vec());
                true
            }
        }
        let write = |writer: &mut Writer<'_>| {
            (0..30_000).for_each(|number| writer.string(format!("element {number}").as_bytes()));
            writer.string(&[7; 3 * CHUNK_BYTES + 5]);
            writer.byte(9);
        };
        let mut whole = Writer::new(false);
        write(&mut whole);
        let mut chunks = Chunks::default();
        let mut writer = Writer::into_sink(false, true, &mut chunks);
        write(&mut writer);
        assert_eq!(writer.written(), whole.written());
        assert_eq!(writer.checksum(), crate::crc64::crc64(whole.bytes()));
        assert!(chunks.0.iter().all(|chunk| chunk.len() < 2 * CHUNK_BYTES), "the chunks are small");
        assert!(chunks.0.len() > 5);
        assert_eq!(chunks.0.concat(), whole.take());
    }
}
