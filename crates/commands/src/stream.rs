//! Streams: what is added, read, handed out, claimed and told. The values are in `store::value::stream`.
//!
//! A group's progress is no change of the stream to those who watch its key, as in Redis: such commands fire their
//! events and count as changes, but neither fail a transaction nor invalidate a cached copy.
//!
//! What replicas and the log get is made in `effects.rs`: exact ids, exact trims, and claims that say when and how often
//! an entry was delivered.

mod add;
mod claim;
mod delete;
mod effects;
mod group;
mod ids;
mod info;
mod pending;
mod range;
mod read;
mod rows;
#[cfg(test)]
mod tests;

use store::value::listpack::Item;
use store::value::stream::{Entry, StreamId};

use crate::error::{Error, Result};
use crate::reply::Reply;

pub(crate) use rows::COMMANDS;

/// An id, as a bulk string.
fn reply_id(out: &mut Reply, id: StreamId) {
    out.bulk(ids::IdText::new(id).as_ref());
}

/// Several ids.
fn reply_ids(out: &mut Reply, ids: impl ExactSizeIterator<Item = StreamId>) {
    out.array(ids.len());
    ids.for_each(|id| reply_id(out, id));
}

/// One entry: its id and its fields with their values.
fn reply_entry(out: &mut Reply, entry: &Entry<'_>) {
    out.array(2);
    reply_id(out, entry.id());
    let fields = entry.fields();
    out.array(fields.len() * 2);
    for (field, value) in fields {
        reply_item(out, field);
        reply_item(out, value);
    }
}

/// Entries, as many as there are.
fn reply_entries<'e>(out: &mut Reply, entries: impl Iterator<Item = Entry<'e>>) {
    reply_each(out, entries, |out, entry| reply_entry(out, &entry));
}

/// An array of what an iterator yields, whose length shows only at its end.
fn reply_each<T>(out: &mut Reply, items: impl Iterator<Item = T>, mut reply: impl FnMut(&mut Reply, T)) {
    let start = out.mark();
    let len = items.map(|item| reply(out, item)).count();
    out.prepend(start, |out| out.array(len));
}

fn reply_item(out: &mut Reply, item: Item<'_>) {
    match item {
        Item::Int(int) => out.bulk_int(int),
        Item::Bytes(bytes) => out.bulk(bytes),
    }
}

/// A `COUNT` that means all if it is 0 or less.
fn count_or_all(count: i64) -> usize {
    usize::try_from(count).ok().filter(|count| *count > 0).unwrap_or(usize::MAX)
}

/// Most claims and reads: the key or the group is missing.
fn no_group(key: &[u8], group: &[u8]) -> Error {
    Error::new(format!("NOGROUP No such key '{}' or consumer group '{}'", text(key), text(group)))
}

/// XGROUP and XINFO: the group is missing.
fn no_such_group(key: &[u8], group: &[u8]) -> Error {
    Error::new(format!("NOGROUP No such consumer group '{}' for key name '{}'", text(group), text(key)))
}

/// A subcommand with arguments that it does not know.
fn subcommand_syntax<T>(container: &str, subcommand: &[u8]) -> Result<T> {
    const ECHO_MAX: usize = 128;
    let echo = text(&subcommand[..subcommand.len().min(ECHO_MAX)]).into_owned();
    let message = format!("ERR unknown subcommand or wrong number of arguments for '{echo}'. Try {container} HELP.");
    Err(Error::new(message))
}

/// A client's bytes in a message; what is not UTF-8 is shown as such.
fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
