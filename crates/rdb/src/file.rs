//! Whole files: a header, facts about the file, for each database its entries, an end mark and a checksum.
//!
//! ```text
//! "REDIS" version:4 digits
//! (250 name value)*                                     facts: who wrote this, when, from where in the log
//! (254 database [251 keys volatile]
//!     ([252 millis | 253 seconds] [248 idle] [249 frequency] type key value)*)*
//! 255 checksum:8                                        0 stands for "none was computed"; absent below version 5
//! ```
//!
//! Reading is split in two, so that several threads can share it: a [`Splitter`] finds where entries begin and end,
//! which is quick, and [`RawEntry::build`] makes an entry of such bytes, anywhere. Writing is one [`FileWriter`].

mod read;
mod write;

#[cfg(test)]
mod tests;

pub use read::{Checksum, Item, RawEntry, Splitter};
pub use write::{Contents, FileWriter, LastUse};

/// What a file begins with.
const MAGIC: [u8; 5] = *b"REDIS";
const VERSION_DIGITS: usize = 4;
/// Files of older versions end with their end mark.
const CHECKSUM_SINCE: u16 = 5;

/// What stands where else the type of a value does.
mod opcode {
    pub const SLOT_INFO: u8 = 244;
    pub const FUNCTION: u8 = 245;
    pub const FUNCTION_PREVIEW: u8 = 246;
    pub const MODULE_AUX: u8 = 247;
    pub const IDLE: u8 = 248;
    pub const FREQUENCY: u8 = 249;
    pub const AUX: u8 = 250;
    pub const RESIZE: u8 = 251;
    pub const EXPIRY_MILLIS: u8 = 252;
    pub const EXPIRY_SECONDS: u8 = 253;
    pub const SELECT_DB: u8 = 254;
    pub const END: u8 = 255;
}
