//! Writing a file into a sink.

use store::entry::Entry;

use super::{MAGIC, opcode};
use crate::value::{self, Type};
use crate::write::{Sink, Writer};

/// What is known about the entries of a file before the first of them is written, as far as it decides about the version.
///
/// The version stands first, and must be the lowest that can hold what follows, for Redis 7.0 reads none above 10. What
/// needs a newer one is rare, so whoever holds the data keeps count of it, and may err to the safe side only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// There are hashes with fields that expire: version 12.
    pub field_expiries: bool,
    /// There may be streams with a consumer that was last seen at another time than it was last given something: version
    /// 11. Without this such a stream is written as version 10 can tell it, as if both had been at one time.
    pub consumer_times: bool,
}

impl Contents {
    /// The lowest version of a file that holds this.
    pub fn version(self) -> u16 {
        let newest =
            |present: bool, value_type: Type| if present { value_type.version() } else { Type::String.version() };
        newest(self.field_expiries, Type::HashExpiries).max(newest(self.consumer_times, Type::StreamV3))
    }
}

/// When a value was last used, or how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastUse {
    /// Nothing is kept of it.
    Unknown,
    /// For so many seconds it has not been used.
    Idle(u64),
    /// The counter of LFU.
    Frequency(u8),
}

/// A file being written: facts first, then entries, then the end.
pub struct FileWriter<'s> {
    out: Writer<'s>,
    version: u16,
    db: Option<u32>,
}

impl<'s> FileWriter<'s> {
    /// Writes the header.
    pub fn new(contents: Contents, compress: bool, checksum: bool, sink: &'s mut dyn Sink) -> Self {
        let (mut out, version) = (Writer::into_sink(compress, checksum, sink), contents.version());
        out.raw(&MAGIC);
        out.raw(format!("{version:04}").as_bytes());
        Self { out, version, db: None }
    }

    /// Writes a fact about the file.
    pub fn aux(&mut self, name: &str, value: &[u8]) {
        self.out.byte(opcode::AUX);
        self.out.string(name.as_bytes());
        self.out.string(value);
    }

    /// Begins a database and tells how much it holds.
    pub fn database(&mut self, db: u32, keys: u64, volatile: u64) {
        self.select(db);
        self.out.byte(opcode::RESIZE);
        self.out.len(keys);
        self.out.len(volatile);
    }

    /// Writes an entry. Those of several databases may come mixed.
    pub fn entry(&mut self, db: u32, entry: &Entry, last_use: LastUse) {
        self.select(db);
        if let Some(expiry) = entry.expiry() {
            self.out.byte(opcode::EXPIRY_MILLIS);
            self.out.millis(expiry);
        }
        match last_use {
            LastUse::Unknown => {}
            LastUse::Idle(secs) => {
                self.out.byte(opcode::IDLE);
                self.out.len(secs);
            }
            LastUse::Frequency(frequency) => {
                self.out.byte(opcode::FREQUENCY);
                self.out.byte(frequency);
            }
        }
        let value_type = match value::type_of(entry) {
            Type::StreamV3 if self.version < Type::StreamV3.version() => Type::StreamV2,
            value_type => value_type,
        };
        self.out.byte(value_type.number());
        self.out.string(entry.key());
        value::write(entry, value_type, &mut self.out);
    }

    /// Whether the sink has given up, so that it is in vain to go on.
    pub fn has_failed(&self) -> bool {
        self.out.has_failed()
    }

    /// How many bytes were written.
    pub fn written(&self) -> u64 {
        self.out.written()
    }

    /// Writes the end mark and the checksum; returns how many bytes the file has.
    pub fn end(mut self) -> u64 {
        self.out.byte(opcode::END);
        let checksum = self.out.checksum();
        self.out.raw(&checksum.to_le_bytes());
        self.out.flush();
        self.out.written()
    }

    fn select(&mut self, db: u32) {
        if self.db.replace(db) != Some(db) {
            self.out.byte(opcode::SELECT_DB);
            self.out.len(db.into());
        }
    }
}
