//! A DUMP payload: a value's type, the value, the RDB version (u16) and the CRC-64 of all that, both little-endian.

use store::entry::Entry;
use store::value::Limits;

use crate::crc64::crc64;
use crate::error::Result;
use crate::read::Reader;
use crate::value::{self, Type};
use crate::write::Writer;

/// The newest version of RDB that is read: that of Redis 7.4 to 8.0.
pub const VERSION_MAX: u16 = 12;

const VERSION_BYTES: usize = 2;
const CHECKSUM_BYTES: usize = 8;

/// The payload of an entry's value. Its version is the lowest that can hold the value, so that older servers take it.
pub fn dump(entry: &Entry) -> Vec<u8> {
    let value_type = value::type_of(entry);
    let mut writer = Writer::new(true);
    writer.byte(value_type.number());
    value::write(entry, value_type, &mut writer);
    writer.raw(&value_type.version().to_le_bytes());
    let checksum = crc64(writer.bytes());
    writer.raw(&checksum.to_le_bytes());
    writer.take()
}

/// The part of a payload before its version and checksum, if these are right.
pub fn verify(payload: &[u8]) -> Option<&[u8]> {
    let (checked, checksum) = payload.split_last_chunk::<CHECKSUM_BYTES>()?;
    verify_version(payload).filter(|_| u64::from_le_bytes(*checksum) == crc64(checked))
}

/// The same, whatever the checksum: for tests that want to see what damaged values do.
pub fn verify_version(payload: &[u8]) -> Option<&[u8]> {
    let (checked, _) = payload.split_last_chunk::<CHECKSUM_BYTES>()?;
    let (value, version) = checked.split_last_chunk::<VERSION_BYTES>()?;
    (u16::from_le_bytes(*version) <= VERSION_MAX).then_some(value)
}

/// Whether a verified payload holds something packed, that is more than strings one after the other, so that its inside has
/// to be looked through before it is believed.
pub fn is_packed(verified: &[u8]) -> bool {
    let plain = [Type::String, Type::List, Type::Set, Type::ZsetText, Type::Hash, Type::Zset];
    Type::read(&mut Reader::new(verified, 0)).is_ok_and(|value_type| !plain.contains(&value_type))
}

/// The entry that a verified payload holds, under a key. What follows the value is ignored, as in Redis.
pub fn restore(verified: &[u8], key: &[u8], expiry: Option<i64>, limits: &Limits) -> Result<Entry> {
    let mut reader = Reader::new(verified, 0);
    let value_type = Type::read(&mut reader)?;
    value::read(value_type, &mut reader, key, expiry, limits)
}
