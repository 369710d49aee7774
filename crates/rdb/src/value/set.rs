//! Sets.

use store::value::Limits;
use store::value::intset::Intset;
use store::value::set::Set;

use super::{Type, hint, listpack, nonzero_len, packed, twice};
use crate::error::{Problem, Result};
use crate::read::Reader;
use crate::write::Writer;

/// A small set of strings is written as its members: the packed form came with 7.2, and 7.0 is to read what we write.
pub(super) fn type_of(set: &Set) -> Type {
    if set.as_intset().is_some() { Type::SetIntset } else { Type::Set }
}

pub(super) fn write(set: &Set, out: &mut Writer<'_>) {
    if let Some(ints) = set.as_intset() {
        out.string(ints.as_bytes());
        return;
    }
    out.count(set.len());
    set.iter().for_each(|member| out.item(member));
}

pub(super) fn read(value_type: Type, reader: &mut Reader<'_>, limits: &Limits) -> Result<Set> {
    let start = reader.clone();
    let mut set = match value_type {
        Type::Set => return members(reader, limits),
        Type::SetIntset => {
            let ints = Intset::from_bytes(&reader.string()?).map_err(|error| start.error(Problem::Intset(error)))?;
            if ints.is_empty() {
                return Err(start.error(Problem::Empty));
            }
            Set::from_intset(ints)
        }
        _ => packed(&start, listpack(reader)?, Set::from_listpack)?,
    };
    set.prepare(set.len(), limits);
    Ok(set)
}

fn members(reader: &mut Reader<'_>, limits: &Limits) -> Result<Set> {
    let count = nonzero_len(reader)?;
    let mut set = Set::new();
    set.prepare(hint(count), limits);
    for _ in 0..count {
        let start = reader.clone();
        if !set.add(&reader.string()?, limits) {
            return Err(twice(&start));
        }
    }
    Ok(set)
}
