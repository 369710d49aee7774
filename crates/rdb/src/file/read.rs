//! Finding the parts of a file in bytes that come in pieces of any size.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use store::entry::Entry;
use store::value::Limits;

use super::{CHECKSUM_SINCE, MAGIC, VERSION_DIGITS, opcode};
use crate::crc64::Crc64;
use crate::error::{Error, Problem, Result};
use crate::payload::VERSION_MAX;
use crate::read::Reader;
use crate::value::{self, Skip, Type};

/// One part of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A fact about the file.
    Aux {
        /// Its name.
        name: Vec<u8>,
        /// What it is.
        value: Vec<u8>,
    },
    /// The entries that follow are of this database.
    SelectDb(u32),
    /// How much the database holds.
    Resize {
        /// Keys.
        keys: u64,
        /// Keys with an expiry.
        volatile: u64,
    },
    /// The keys that follow are of this slot of a cluster.
    SlotInfo {
        /// The slot.
        slot: u64,
        /// Its keys.
        keys: u64,
        /// Those of them with an expiry.
        volatile: u64,
    },
    /// The source of a library of functions.
    Function(Vec<u8>),
    /// A key and its value.
    Entry(RawEntry),
    /// The end of the file, and what its checksum has told.
    End(Checksum),
}

/// What is known of a file's checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// It is right.
    Right,
    /// The file has none.
    Absent,
    /// It was not to be looked at.
    Ignored,
}

/// A key and its value as they stand in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct RawEntry {
    /// The database.
    pub db: u32,
    /// When it expires, in milliseconds since 1970.
    pub expiry: Option<i64>,
    /// For how many seconds it had not been used.
    pub idle_secs: Option<u64>,
    /// How often it was used of late, as LFU counts that.
    pub frequency: Option<u8>,
    /// How the value is packed.
    pub value_type: Type,
    /// Where in the file `body` begins.
    pub offset: u64,
    /// The key, a string, and the value.
    pub body: Bytes,
}

impl RawEntry {
    /// The key alone.
    ///
    /// # Errors
    /// It does not unpack.
    pub fn key(&self) -> Result<Cow<'_, [u8]>> {
        Reader::new(&self.body, self.offset).string()
    }

    /// Makes the entry. Every byte of the value is checked here.
    ///
    /// # Errors
    /// See [`Problem`]. One of them, [`Problem::Empty`], Redis passes over when it loads a file.
    pub fn build(&self, limits: &Limits) -> Result<Entry> {
        let mut reader = Reader::new(&self.body, self.offset);
        let key = reader.string()?;
        value::read(self.value_type, &mut reader, &key, self.expiry, limits)
    }
}

/// Finds the parts of a file: bytes go in as they come, parts go out as soon as they are complete.
///
/// It holds the bytes of the one part that is not complete; an entry's value is walked once, however small the pieces
/// are in which it comes.
pub struct Splitter {
    /// What was fed and is not part of an item yet.
    buffer: BytesMut,
    /// Where in the file the buffer begins.
    offset: u64,
    state: State,
    version: u16,
    /// Absent if it is not to be checked.
    checksum: Option<Crc64>,
    db: u32,
    attributes: Attributes,
    /// The entry whose value is being walked.
    entry: Option<Begun>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Items,
    Checksum,
    Ended,
}

/// What is said about the next entry.
#[derive(Default)]
struct Attributes {
    expiry: Option<i64>,
    idle_secs: Option<u64>,
    frequency: Option<u8>,
}

struct Begun {
    value_type: Type,
    /// Where the key begins, and how far the walk has got, in bytes from the buffer's beginning.
    start: usize,
    at: usize,
    skip: Skip,
}

impl Splitter {
    /// Before the first byte of a file. Its checksum is computed only if it is to be checked.
    pub fn new(check: bool) -> Self {
        Self {
            buffer: BytesMut::new(),
            offset: 0,
            state: State::Header,
            version: 0,
            checksum: check.then(Crc64::new),
            db: 0,
            attributes: Attributes::default(),
            entry: None,
        }
    }

    /// Takes the next bytes and appends all parts that are complete with them to `items`. What follows the end of the file
    /// stays; see [`Self::rest`].
    ///
    /// # Errors
    /// The bytes are no file; those parts before the error are in `items`. Nothing more comes after one.
    pub fn feed(&mut self, bytes: &[u8], items: &mut Vec<Item>) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        let mut used = 0;
        // Items borrow nothing: entries get their share of the buffer when it is known how much of it is used.
        let mut entries = Vec::new();
        let result = self.parse(&mut used, items, &mut entries);
        self.let_go(used, items, entries);
        result
    }

    /// Whether the end of the file has come.
    pub fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Says that no more bytes will come.
    ///
    /// # Errors
    /// The file has not ended; the offset is where it breaks off.
    pub fn finish(&self) -> Result<()> {
        let end = Error { offset: self.offset + self.buffer.len() as u64, problem: Problem::Truncated };
        if self.has_ended() { Ok(()) } else { Err(end) }
    }

    /// The version in the header; 0 before that was read.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Bytes of the file that belong to complete parts.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// After the end, what was fed beyond it: an append-only file goes on behind its preamble.
    pub fn rest(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }

    fn parse(&mut self, used: &mut usize, items: &mut Vec<Item>, entries: &mut Vec<Placed>) -> Result<()> {
        // The buffer is only read here; it is taken out so that the rest of `self` can be changed.
        let buffer = std::mem::take(&mut self.buffer);
        let result = loop {
            match self.step(&buffer, used, items, entries) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.buffer = buffer;
        result
    }

    /// Reads one part from `used` on and moves `used` past it; false if it is not there as a whole.
    fn step(
        &mut self,
        buffer: &[u8],
        used: &mut usize,
        items: &mut Vec<Item>,
        entries: &mut Vec<Placed>,
    ) -> Result<bool> {
        if self.entry.is_some() {
            return self.go_on(buffer, used, items, entries);
        }
        let mut reader = Reader::new(&buffer[*used..], self.offset + *used as u64);
        let result = match self.state {
            State::Header => self.header(&mut reader),
            State::Items => self.item(&mut reader, *used, items),
            State::Checksum => self.end(&mut reader, buffer, *used, items),
            State::Ended => return Ok(false),
        };
        match result {
            Ok(()) => {
                *used = (reader.offset() - self.offset) as usize;
                Ok(true)
            }
            Err(Error { problem: Problem::Truncated, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn header(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let start = reader.clone();
        if reader.array::<{ MAGIC.len() }>()? != MAGIC {
            return Err(start.error(Problem::Signature));
        }
        let start = reader.clone();
        let digits = reader.array::<VERSION_DIGITS>()?;
        let version = std::str::from_utf8(&digits).ok().and_then(|digits| digits.parse().ok());
        let version = version.ok_or(start.error(Problem::Signature))?;
        if !(1..=VERSION_MAX).contains(&version) {
            return Err(start.error(Problem::Version(version)));
        }
        (self.version, self.state) = (version, State::Items);
        Ok(())
    }

    fn item(&mut self, reader: &mut Reader<'_>, used: usize, items: &mut Vec<Item>) -> Result<()> {
        let start = reader.clone();
        match reader.byte()? {
            opcode::SLOT_INFO => {
                let (slot, keys, volatile) = (reader.length()?, reader.length()?, reader.length()?);
                items.push(Item::SlotInfo { slot, keys, volatile });
            }
            opcode::FUNCTION => items.push(Item::Function(reader.string()?.into_owned())),
            opcode::FUNCTION_PREVIEW => return Err(start.error(Problem::FunctionPreview)),
            opcode::MODULE_AUX => return Err(start.error(Problem::ModuleData(reader.length()?))),
            opcode::IDLE => self.attributes.idle_secs = Some(reader.length()?),
            opcode::FREQUENCY => self.attributes.frequency = Some(reader.byte()?),
            opcode::AUX => {
                let (name, value) = (reader.string()?, reader.string()?);
                items.push(Item::Aux { name: name.into_owned(), value: value.into_owned() });
            }
            opcode::RESIZE => {
                let (keys, volatile) = (reader.length()?, reader.length()?);
                items.push(Item::Resize { keys, volatile });
            }
            opcode::EXPIRY_MILLIS => self.attributes.expiry = Some(reader.millis()?),
            opcode::EXPIRY_SECONDS => {
                let seconds = i32::from_le_bytes(reader.array()?);
                self.attributes.expiry = Some(i64::from(seconds) * 1000);
            }
            opcode::SELECT_DB => {
                let db = reader.length()?;
                self.db = u32::try_from(db).map_err(|_| start.error(Problem::Database(db)))?;
                items.push(Item::SelectDb(self.db));
            }
            opcode::END => {
                self.state = State::Checksum;
            }
            number @ (6 | 7) => {
                reader.skip_string()?;
                return Err(start.error(Problem::ModuleValue(number, reader.length()?)));
            }
            number => {
                let value_type = Type::of_number(number).map_err(|problem| start.error(problem))?;
                // The key is walked at once: most are there as a whole, and a long one is looked at by its length.
                let key = reader.clone();
                reader.skip_string()?;
                let at = |reader: &Reader<'_>| used + (reader.offset() - start.offset()) as usize;
                let begun = Begun { value_type, start: at(&key), at: at(reader), skip: Skip::new(value_type) };
                self.entry = Some(begun);
                // The type's byte and the key stay in the buffer until the entry is complete.
                *reader = start;
            }
        }
        Ok(())
    }

    /// Goes on walking the value of the entry that has begun.
    fn go_on(
        &mut self,
        buffer: &[u8],
        used: &mut usize,
        items: &mut Vec<Item>,
        entries: &mut Vec<Placed>,
    ) -> Result<bool> {
        let entry = self.entry.as_mut().expect("asked for by the caller");
        let mut reader = Reader::new(&buffer[entry.at..], self.offset + entry.at as u64);
        let is_complete = entry.skip.go_on(&mut reader)?;
        entry.at = (reader.offset() - self.offset) as usize;
        if is_complete {
            let Attributes { expiry, idle_secs, frequency } = std::mem::take(&mut self.attributes);
            let (db, value_type, offset) = (self.db, entry.value_type, self.offset + entry.start as u64);
            entries.push(Placed { item: items.len(), start: entry.start, end: entry.at });
            items.push(Item::Entry(RawEntry {
                db,
                expiry,
                idle_secs,
                frequency,
                value_type,
                offset,
                body: Bytes::new(),
            }));
            *used = entry.at;
            self.entry = None;
        }
        Ok(is_complete)
    }

    fn end(&mut self, reader: &mut Reader<'_>, buffer: &[u8], used: usize, items: &mut Vec<Item>) -> Result<()> {
        let start = reader.clone();
        let expected = if self.version >= CHECKSUM_SINCE { u64::from_le_bytes(reader.array()?) } else { 0 };
        let found = match &self.checksum {
            _ if expected == 0 => Checksum::Absent,
            None => Checksum::Ignored,
            Some(checksum) => {
                let mut checksum = *checksum;
                checksum.update(&buffer[..used]);
                if checksum.value() != expected {
                    return Err(start.error(Problem::Checksum { expected, found: checksum.value() }));
                }
                Checksum::Right
            }
        };
        self.state = State::Ended;
        items.push(Item::End(found));
        Ok(())
    }

    /// Lets go of the first `used` bytes; the entries among the items get theirs.
    fn let_go(&mut self, used: usize, items: &mut [Item], entries: Vec<Placed>) {
        if used == 0 {
            return;
        }
        let done = self.buffer.split_to(used).freeze();
        if let Some(checksum) = &mut self.checksum {
            checksum.update(&done);
        }
        self.offset += used as u64;
        if let Some(entry) = &mut self.entry {
            entry.start -= used;
            entry.at -= used;
        }
        for placed in entries {
            if let Some(Item::Entry(entry)) = items.get_mut(placed.item) {
                entry.body = done.slice(placed.start..placed.end);
            }
        }
    }
}

/// Where the bytes of an entry are in the buffer.
struct Placed {
    item: usize,
    start: usize,
    end: usize,
}
