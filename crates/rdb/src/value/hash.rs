//! Hashes, and the expiries of their fields.
//!
//! Types with expiries begin with the earliest of them (0 if there is none). In the one that is a row of fields each
//! has a number first: 0 if it does not expire, else one more than the distance of its expiry from the earliest.

use store::value::Limits;
use store::value::hash::{EXPIRY_MAX, ExpiryCondition, Hash, OldExpiry};

use super::{Type, hint, listpack, nonzero_len, old_listpack, packed, twice};
use crate::error::{Problem, Result};
use crate::read::Reader;
use crate::write::Writer;
use crate::ziplist;

/// All fields are shown at this time, none counts as expired.
const NEVER_EXPIRED: u64 = 0;

pub(super) fn type_of(hash: &Hash) -> Type {
    match (hash.as_listpack().is_some(), hash.next_expiry().is_some()) {
        (true, true) => Type::HashListpackExpiries,
        (false, true) => Type::HashExpiries,
        // A listpack may still have room for expiries, with none in it. It is then written as its fields.
        (true, false) if hash.encoding() == store::value::Encoding::Listpack => Type::HashListpack,
        (_, false) => Type::Hash,
    }
}

pub(super) fn write(hash: &Hash, value_type: Type, out: &mut Writer<'_>) {
    let earliest = hash.next_expiry().unwrap_or(0);
    let has_expiries = matches!(value_type, Type::HashExpiries | Type::HashListpackExpiries);
    if has_expiries {
        out.raw(&earliest.to_le_bytes());
    }
    if let Some(listpack) = hash.as_listpack()
        && value_type != Type::Hash
    {
        out.string(listpack.as_bytes());
        return;
    }
    out.count(hash.len());
    for entry in hash.iter(NEVER_EXPIRED) {
        if has_expiries {
            out.len(entry.expiry.map_or(0, |expiry| expiry - earliest + 1));
        }
        out.item(entry.field);
        out.item(entry.value);
    }
}

pub(super) fn read(value_type: Type, reader: &mut Reader<'_>, limits: &Limits) -> Result<Hash> {
    let start = reader.clone();
    let plain = |listpack| Hash::from_listpack(listpack, false);
    let mut hash = match value_type {
        Type::Hash => return fields(reader, false, limits),
        Type::HashExpiries => return fields(reader, true, limits),
        Type::HashZipmap => return zipmap(reader, limits),
        Type::HashZiplist => packed(&start, old_listpack(reader)?, plain)?,
        Type::HashListpack => packed(&start, listpack(reader)?, plain)?,
        _ => {
            // The earliest expiry is told again by the fields, which stand in its order.
            reader.millis()?;
            let start = reader.clone();
            let hash = packed(&start, listpack(reader)?, |listpack| Hash::from_listpack(listpack, true))?;
            if hash.iter(NEVER_EXPIRED).any(|entry| entry.expiry > Some(EXPIRY_MAX)) {
                return Err(start.error(Problem::Expiry));
            }
            hash
        }
    };
    hash.prepare(hash.len(), 0, limits);
    Ok(hash)
}

fn fields(reader: &mut Reader<'_>, has_expiries: bool, limits: &Limits) -> Result<Hash> {
    let earliest = if has_expiries { reader.millis()? } else { 0 };
    let count = nonzero_len(reader)?;
    let mut hash = Hash::new();
    hash.prepare(hint(count), 0, limits);
    for _ in 0..count {
        let start = reader.clone();
        let distance = if has_expiries { reader.length()? } else { 0 };
        let (field, value) = (reader.string()?, reader.string()?);
        if !hash.set(&field, &value, OldExpiry::Clear, limits) {
            return Err(twice(&start));
        }
        if distance > 0 {
            let expiry = earliest.checked_add_unsigned(distance - 1).and_then(|expiry| u64::try_from(expiry).ok());
            let expiry = expiry.filter(|expiry| (1..=EXPIRY_MAX).contains(expiry));
            let expiry = expiry.ok_or(start.error(Problem::Expiry))?;
            hash.set_expiry(&field, expiry, ExpiryCondition::Always, NEVER_EXPIRED);
        }
    }
    Ok(hash)
}

fn zipmap(reader: &mut Reader<'_>, limits: &Limits) -> Result<Hash> {
    let start = reader.clone();
    let bytes = reader.string()?;
    let fields = ziplist::zipmap_fields(&bytes).ok_or(start.error(Problem::Zipmap))?;
    if fields.is_empty() {
        return Err(start.error(Problem::Empty));
    }
    let mut hash = Hash::new();
    hash.prepare(fields.len(), 0, limits);
    for (field, value) in fields {
        if !hash.set(field, value, OldExpiry::Clear, limits) {
            return Err(twice(&start));
        }
    }
    Ok(hash)
}
