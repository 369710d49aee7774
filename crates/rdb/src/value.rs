//! One value in RDB form: a type number, which says how the value is packed, and the packed value.
//!
//! All types that Redis 2.6 to 8.0 write are read. Of these the ones are written that Redis 7.0 reads (version 10),
//! except where a value holds what only a newer type can tell: the expiry of a hash field (version 12), or a stream's
//! consumer that was last given something at another time than it was last seen (version 11).

mod hash;
mod list;
mod set;
mod shape;
mod stream;
mod zset;

#[cfg(test)]
pub(crate) mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use store::entry::{Entry, SHARED_MIN};
use store::value::hash::Hash;
use store::value::list::List;
use store::value::listpack::Listpack;
use store::value::set::Set;
use store::value::stream::Stream;
use store::value::zset::SortedSet;
use store::value::{Limits, Str};

use crate::error::{Error, Problem, Result};
use crate::read::Reader;
use crate::write::Writer;
use crate::ziplist;

pub use shape::Skip;

macro_rules! types {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        /// How a value is packed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Type {
            $($(#[$doc])* $name = $number,)*
        }

        impl Type {
            /// All types.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

types! {
    /// A string.
    String = 0;
    /// A list as its elements.
    List = 1;
    /// A set as its members.
    Set = 2;
    /// A sorted set as its members, with scores as text.
    ZsetText = 3;
    /// A hash as its fields and values.
    Hash = 4;
    /// A sorted set as its members, with scores as doubles.
    Zset = 5;
    /// A hash as a zipmap (2.4 and before).
    HashZipmap = 9;
    /// A list as one ziplist.
    ListZiplist = 10;
    /// A set of integers.
    SetIntset = 11;
    /// A sorted set as a ziplist.
    ZsetZiplist = 12;
    /// A hash as a ziplist.
    HashZiplist = 13;
    /// A list as ziplists.
    ListQuicklist = 14;
    /// A stream without counters (5.0).
    StreamV1 = 15;
    /// A hash as a listpack.
    HashListpack = 16;
    /// A sorted set as a listpack.
    ZsetListpack = 17;
    /// A list as listpacks and large elements.
    ListQuicklist2 = 18;
    /// A stream with counters (7.0).
    StreamV2 = 19;
    /// A set as a listpack (7.2).
    SetListpack = 20;
    /// A stream whose consumers have two times (7.2).
    StreamV3 = 21;
    /// A hash as its fields, their values and expiries (7.4).
    HashExpiries = 24;
    /// A hash as a listpack of fields, values and expiries (7.4).
    HashListpackExpiries = 25;
}

impl Type {
    /// The type of a number, as it stands in a file.
    pub fn of_number(number: u8) -> std::result::Result<Self, Problem> {
        match number {
            6 | 7 => Err(Problem::Module(number)),
            22 | 23 => Err(Problem::Preview(number)),
            _ => Self::ALL.iter().copied().find(|known| known.number() == number).ok_or(Problem::Type(number)),
        }
    }

    /// Reads a type's number.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let start = reader.clone();
        Self::of_number(reader.byte()?).map_err(|problem| start.error(problem))
    }

    /// Its number in files.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The version of RDB that a file with such a value must have at least, of those that are written at all.
    pub const fn version(self) -> u16 {
        match self {
            Self::SetListpack | Self::StreamV3 => 11,
            Self::HashExpiries | Self::HashListpackExpiries => 12,
            _ => 10,
        }
    }
}

/// The type that an entry's value is written as.
pub fn type_of(entry: &Entry) -> Type {
    if let Some(list) = entry.get::<List>() {
        list::type_of(list)
    } else if let Some(set) = entry.get::<Set>() {
        set::type_of(set)
    } else if let Some(zset) = entry.get::<SortedSet>() {
        zset::type_of(zset)
    } else if let Some(hash) = entry.get::<Hash>() {
        hash::type_of(hash)
    } else if let Some(stream) = entry.get::<Stream>() {
        stream::type_of(stream)
    } else {
        Type::String
    }
}

/// Writes an entry's value as `value_type`, which [`type_of`] has told; the type's number is not written, for in files
/// the key stands between the two.
pub fn write(entry: &Entry, value_type: Type, out: &mut Writer<'_>) {
    if let Some(list) = entry.get::<List>() {
        list::write(list, out);
    } else if let Some(set) = entry.get::<Set>() {
        set::write(set, out);
    } else if let Some(zset) = entry.get::<SortedSet>() {
        zset::write(zset, out);
    } else if let Some(hash) = entry.get::<Hash>() {
        hash::write(hash, value_type, out);
    } else if let Some(stream) = entry.get::<Stream>() {
        stream::write(stream, value_type, out);
    } else {
        match entry.as_str() {
            Some(Str::Int(int)) => out.int(int),
            Some(string) => out.string(&string.bytes()),
            None => unreachable!("every type but the strings was asked for"),
        }
    }
}

/// Reads a value of a type into an entry, in the inner form that the limits ask for. Every byte is checked.
///
/// # Errors
/// See [`Problem`]; a container without elements is one of them, except a stream.
pub fn read(
    value_type: Type,
    reader: &mut Reader<'_>,
    key: &[u8],
    expiry: Option<i64>,
    limits: &Limits,
) -> Result<Entry> {
    use Type as T;
    Ok(match value_type {
        T::String => string(key, reader.string()?, expiry),
        T::List | T::ListZiplist | T::ListQuicklist | T::ListQuicklist2 => {
            Entry::boxed(key, list::read(value_type, reader, limits)?, expiry)
        }
        T::Set | T::SetIntset | T::SetListpack => Entry::boxed(key, set::read(value_type, reader, limits)?, expiry),
        T::ZsetText | T::Zset | T::ZsetZiplist | T::ZsetListpack => {
            Entry::boxed(key, zset::read(value_type, reader, limits)?, expiry)
        }
        T::Hash | T::HashZipmap | T::HashZiplist | T::HashListpack | T::HashExpiries | T::HashListpackExpiries => {
            Entry::boxed(key, hash::read(value_type, reader, limits)?, expiry)
        }
        T::StreamV1 | T::StreamV2 | T::StreamV3 => Entry::boxed(key, stream::read(value_type, reader)?, expiry),
    })
}

/// Goes past a value without building it. Only its outer frame is checked, so this is quick: it lets one thread find
/// where values end and others read them.
pub fn skip(value_type: Type, reader: &mut Reader<'_>) -> Result<()> {
    if Skip::new(value_type).go_on(reader)? { Ok(()) } else { Err(reader.error(Problem::Truncated)) }
}

fn string(key: &[u8], bytes: Cow<'_, [u8]>, expiry: Option<i64>) -> Entry {
    if bytes.len() >= SHARED_MIN {
        // What was unpacked anyway is taken over as it is.
        return Entry::shared(key, Arc::new(bytes.into_owned()), expiry);
    }
    Entry::string(key, &bytes, expiry)
}

/// Reads a count and then so many parts. A count that claims too much ends with the bytes.
fn repeat<'a>(reader: &mut Reader<'a>, mut part: impl FnMut(&mut Reader<'a>) -> Result<()>) -> Result<()> {
    let count = reader.length()?;
    (0..count).try_for_each(|_| part(reader))
}

/// Reads a count that must not be 0.
fn nonzero_len(reader: &mut Reader<'_>) -> Result<u64> {
    let start = reader.clone();
    match reader.length()? {
        0 => Err(start.error(Problem::Empty)),
        len => Ok(len),
    }
}

/// A count as the value types take it: they compare it with their limits, and allocate nothing for it.
fn hint(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Reads a listpack in a string.
fn listpack(reader: &mut Reader<'_>) -> Result<Listpack> {
    let start = reader.clone();
    let bytes = reader.string()?;
    Listpack::from_bytes(&bytes).map_err(|corrupt| start.error(Problem::Listpack(corrupt)))
}

/// Reads a ziplist in a string, as the listpack of the same elements.
fn old_listpack(reader: &mut Reader<'_>) -> Result<Listpack> {
    let start = reader.clone();
    ziplist::to_listpack(&reader.string()?).ok_or(start.error(Problem::Ziplist))
}

/// What a packed form has become, if it has elements and they make a value.
fn packed<T>(start: &Reader<'_>, listpack: Listpack, make: impl FnOnce(Listpack) -> Option<T>) -> Result<T> {
    if listpack.is_empty() {
        return Err(start.error(Problem::Empty));
    }
    make(listpack).ok_or(start.error(Problem::Packed))
}

/// An error about the element that begins at `start`.
fn twice(start: &Reader<'_>) -> Error {
    start.error(Problem::Twice)
}
