//! Sorted sets.

use store::value::Limits;
use store::value::zset::{AddFlags, Added, SortedSet};

use super::{Type, listpack, nonzero_len, old_listpack, packed, twice};
use crate::error::Result;
use crate::read::Reader;
use crate::write::Writer;

pub(super) fn type_of(zset: &SortedSet) -> Type {
    if zset.as_listpack().is_some() { Type::ZsetListpack } else { Type::Zset }
}

pub(super) fn write(zset: &SortedSet, out: &mut Writer<'_>) {
    if let Some(listpack) = zset.as_listpack() {
        out.string(listpack.as_bytes());
        return;
    }
    out.count(zset.len());
    // From the highest to the lowest, as Redis does: whoever loads this then always inserts at the front.
    for (member, score) in zset.iter().rev() {
        out.item(member);
        out.raw(&score.to_le_bytes());
    }
}

pub(super) fn read(value_type: Type, reader: &mut Reader<'_>, limits: &Limits) -> Result<SortedSet> {
    let start = reader.clone();
    let mut zset = match value_type {
        Type::ZsetText => return members(reader, Reader::text_score, limits),
        Type::Zset => return members(reader, Reader::binary_score, limits),
        Type::ZsetZiplist => packed(&start, old_listpack(reader)?, SortedSet::from_listpack)?,
        _ => packed(&start, listpack(reader)?, SortedSet::from_listpack)?,
    };
    zset.prepare(zset.len(), limits);
    Ok(zset)
}

fn members<'a>(
    reader: &mut Reader<'a>,
    score: impl Fn(&mut Reader<'a>) -> Result<f64>,
    limits: &Limits,
) -> Result<SortedSet> {
    let count = nonzero_len(reader)?;
    // In the general form until all is there, as in Redis: the packed one would turn a score of -0 to 0 on its way into a
    // value that ends up too large for it.
    let mut zset = SortedSet::with_hint(usize::MAX, 0, limits);
    for _ in 0..count {
        let start = reader.clone();
        let member = reader.string()?;
        let score = score(reader)?;
        if !matches!(zset.add(&member, score, AddFlags::empty(), limits), Added::New(_)) {
            return Err(twice(&start));
        }
    }
    zset.pack_if_small(limits);
    Ok(zset)
}
