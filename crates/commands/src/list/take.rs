//! What takes elements out of lists: the operations behind LPOP, RPOP, LMPOP, LMOVE and their blocking relatives.
//!
//! They know keys, limits and a reply, but no command and no client. So a command runs them for its own client, and
//! whoever serves a blocked client runs them for that one.

use store::value::Limits;
use store::value::list::{Direction, Elements, List, Side};
use store::value::listpack::Item;

use crate::effect::Class;
use crate::error::{Result, SYNTAX};
use crate::keys::Keys;
use crate::reply::Reply;

/// The side that a word names.
pub(crate) fn side(word: &[u8]) -> Result<Side> {
    if word.eq_ignore_ascii_case(b"LEFT") {
        Ok(Side::Left)
    } else if word.eq_ignore_ascii_case(b"RIGHT") {
        Ok(Side::Right)
    } else {
        Err(SYNTAX)
    }
}

/// What is to be taken from a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pop {
    /// The end to take from.
    pub(crate) side: Side,
    /// Elements at most.
    pub(crate) count: usize,
}

impl Pop {
    /// Takes elements out of the list under `key` and answers with each of them, outermost first, after what `head`
    /// answers for their number. Returns that number; `None` without an answer if the key is missing.
    pub(crate) fn take(
        self,
        keys: &mut Keys<'_>,
        key: &[u8],
        limits: &Limits,
        out: &mut Reply,
        head: impl FnOnce(&mut Reply, usize),
    ) -> Result<Option<usize>> {
        let Some(mut list) = keys.value_mut::<List>(key)? else { return Ok(None) };
        let taken = self.count.min(list.len());
        head(out, taken);
        outermost(&list, self.side).take(taken).for_each(|element| out.item(element));
        if taken > 0 {
            let first = if self.side == Side::Left { 0 } else { list.len() - taken };
            list.remove_range(first, taken, limits);
            let emptied = list.is_empty();
            drop(list);
            keys.changed(key, Class::LIST, popped(self.side));
            keys.add_dirty(taken as u64 - 1);
            if emptied {
                remove(keys, key);
            }
        }
        Ok(Some(taken))
    }

    /// Takes from the first of several keys that is there, and answers with the key and an array of the elements.
    /// Returns the key and their number; `None` without an answer if all are missing.
    pub(crate) fn take_first<'k>(
        self,
        keys: &mut Keys<'_>,
        candidates: impl IntoIterator<Item = &'k [u8]>,
        limits: &Limits,
        out: &mut Reply,
    ) -> Result<Option<(&'k [u8], usize)>> {
        for key in candidates {
            let head = |out: &mut Reply, taken| {
                out.array(2);
                out.bulk(key);
                out.array(taken);
            };
            if let Some(taken) = self.take(keys, key, limits, out, head)? {
                return Ok(Some((key, taken)));
            }
        }
        Ok(None)
    }
}

/// From which end of one list to which end of another an element goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    /// The source's end.
    pub(crate) from: Side,
    /// The destination's end.
    pub(crate) to: Side,
}

impl Move {
    /// Moves one element and answers with it; false without an answer if the source is missing.
    pub(crate) fn apply(
        self,
        keys: &mut Keys<'_>,
        source: &[u8],
        destination: &[u8],
        limits: &Limits,
        out: &mut Reply,
    ) -> Result<bool> {
        let Some(mut list) = keys.value_mut::<List>(source)? else { return Ok(false) };
        let (element, emptied) = if source == destination {
            let element = list.rotate(self.from, self.to, limits);
            drop(list);
            (element, false)
        } else {
            drop(list);
            // Both types are judged before anything changes, the source's first.
            keys.value_mut::<List>(destination)?;
            let Some(mut list) = keys.value_mut::<List>(source)? else { return Ok(false) };
            let element = list.pop(self.from, limits);
            let emptied = list.is_empty();
            drop(list);
            if let Some(element) = &element {
                keys.value_or_new::<List>(destination)?.push(self.to, Item::parse(element), limits);
            }
            (element, emptied)
        };
        let element = element.expect("a list under a key has elements");
        out.bulk(&element);
        keys.changed(destination, Class::LIST, pushed(self.to));
        keys.changed_too(keys.db, source, Class::LIST, popped(self.from));
        if emptied {
            remove(keys, source);
        }
        Ok(true)
    }
}

/// Removes a list that a counted change has emptied.
pub(super) fn remove(keys: &mut Keys<'_>, key: &[u8]) {
    keys.delete(key);
    keys.event(key, Class::GENERIC, "del");
}

/// The event of adding at a side.
pub(super) fn pushed(side: Side) -> &'static str {
    match side {
        Side::Left => "lpush",
        Side::Right => "rpush",
    }
}

fn popped(side: Side) -> &'static str {
    match side {
        Side::Left => "lpop",
        Side::Right => "rpop",
    }
}

/// The elements from an end inwards.
fn outermost(list: &List, side: Side) -> Elements<'_> {
    match side {
        Side::Left => list.iter(),
        Side::Right => list.iter_from(list.len().saturating_sub(1), Direction::Backward),
    }
}
