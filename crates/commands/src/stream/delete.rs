//! XDEL, XDELEX and XACKDEL, and XACK.
//!
//! XDELEX and XACKDEL are of Redis 8.2. Their options, replies and error texts are those of its documentation
//! (`XDELEX key [KEEPREF | DELREF | ACKED] IDS numids id [id ...]`: -1 no such id, 1 deleted, 2 kept because referenced).

use store::value::stream::{Deletion, References, Stream, StreamId};

use super::ids;
use crate::call::Call;
use crate::effect::{Class, Effect};
use crate::error::{Error, Result, SYNTAX};
use crate::number;

pub(super) fn xdel(call: &mut Call<'_>) -> Result<Effect> {
    let key = call.arg(1);
    let Some(mut stream) = call.keys.value_mut::<Stream>(key)? else {
        call.out.int(0);
        return Ok(Effect::None);
    };
    let deleted = stream.delete(&ids::all(call.args.from(2))?);
    drop(stream);
    call.out.len(deleted);
    note_deleted(call, key, deleted as u64);
    Ok(Effect::as_is_if(deleted > 0))
}

pub(super) fn xack(call: &mut Call<'_>) -> Result<Effect> {
    let (key, group) = (call.arg(1), call.arg(2));
    // The first look is a read, as in Redis: it counts as a hit or a miss.
    let known = call.keys.value::<Stream>(key)?.is_some_and(|stream| stream.group(group).is_some());
    let mut acknowledged = 0;
    if known && let Some(mut stream) = call.keys.value_mut::<Stream>(key)? {
        acknowledged = stream.acknowledge(group, &ids::all(call.args.from(3))?);
    }
    call.keys.add_dirty(acknowledged as u64);
    call.out.len(acknowledged);
    Ok(Effect::as_is_if(acknowledged > 0))
}

/// The options of XDELEX and XACKDEL.
struct Options {
    references: References,
    first_id: usize,
    len: usize,
}

impl Options {
    fn parse(call: &Call<'_>, mut index: usize) -> Result<Self> {
        let (mut references, mut span) = (None, None);
        while index < call.args.len() {
            if references.is_none()
                && let Some(word) = references_word(call.arg(index))
            {
                references = Some(word);
                index += 1;
            } else if call.args.is(index, "IDS") && index + 1 < call.args.len() {
                let first = index + 2;
                let len = number::parse_i64(call.arg(index + 1)).and_then(|len| usize::try_from(len).ok());
                let len = len.filter(|len| *len > 0);
                let len = len.ok_or_else(|| Error::new("ERR Number of IDs must be a positive integer"))?;
                if len > call.args.len() - first {
                    return Err(Error::new("ERR The `numids` parameter must match the number of arguments"));
                }
                span = Some((first, len));
                index = first + len;
            } else {
                return Err(SYNTAX);
            }
        }
        let (first_id, len) = span.ok_or_else(|| Error::new("ERR IDS option is required"))?;
        Ok(Self { references: references.unwrap_or(References::Keep), first_id, len })
    }

    fn ids(&self, call: &Call<'_>) -> Result<Vec<StreamId>> {
        ids::all(call.args.from(self.first_id).take(self.len))
    }
}

fn references_word(word: &[u8]) -> Option<References> {
    const WORDS: [(&[u8], References); 3] =
        [(b"KEEPREF", References::Keep), (b"DELREF", References::Delete), (b"ACKED", References::Acknowledged)];
    WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, references)| *references)
}

pub(super) fn xdelex(call: &mut Call<'_>) -> Result<Effect> {
    let key = call.arg(1);
    let exists = call.keys.value_mut::<Stream>(key)?.is_some();
    let options = Options::parse(call, 2)?;
    if !exists {
        return Ok(none_known(call, options.len));
    }
    let ids = options.ids(call)?;
    let mut stream = call.keys.value_mut::<Stream>(key)?.expect("seen under the same guard");
    let len = stream.len();
    call.out.array(ids.len());
    for id in ids {
        call.out.int(deletion_code(stream.delete_with(id, options.references)));
    }
    let deleted = len - stream.len();
    drop(stream);
    note_deleted(call, key, deleted);
    // With DELREF, references may have gone though there was no entry any more.
    Ok(Effect::as_is_if(deleted > 0 || options.references == References::Delete))
}

pub(super) fn xackdel(call: &mut Call<'_>) -> Result<Effect> {
    let (key, group) = (call.arg(1), call.arg(2));
    let known = call.keys.value_mut::<Stream>(key)?.map(|stream| stream.group(group).is_some());
    let options = Options::parse(call, 3)?;
    if known != Some(true) {
        return Ok(none_known(call, options.len));
    }
    let ids = options.ids(call)?;
    let mut stream = call.keys.value_mut::<Stream>(key)?.expect("seen under the same guard");
    let len = stream.len();
    let mut acknowledged = 0;
    call.out.array(ids.len());
    for id in ids {
        let deletion = stream.acknowledge_and_delete(group, id, options.references);
        acknowledged += u64::from(deletion != Deletion::NoSuchId);
        call.out.int(deletion_code(deletion));
    }
    let deleted = len - stream.len();
    drop(stream);
    note_deleted(call, key, deleted);
    call.keys.add_dirty(acknowledged);
    Ok(Effect::as_is_if(acknowledged > 0))
}

/// The reply where there is no stream, or no group: none of the ids exists.
fn none_known(call: &mut Call<'_>, ids: usize) -> Effect {
    call.out.array(ids);
    (0..ids).for_each(|_| call.out.int(deletion_code(Deletion::NoSuchId)));
    Effect::None
}

fn deletion_code(deletion: Deletion) -> i64 {
    match deletion {
        Deletion::NoSuchId => -1,
        Deletion::Deleted => 1,
        Deletion::Referenced => 2,
    }
}

fn note_deleted(call: &mut Call<'_>, key: &[u8], deleted: u64) {
    if deleted > 0 {
        call.keys.changed(key, Class::STREAM, "xdel");
        call.keys.add_dirty(deleted - 1);
    }
}
