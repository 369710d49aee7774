//! XINFO: what there is to know about a stream, its groups and their consumers.

use store::value::stream::{Consumer, Entry, Group, Pending, Stream, StreamId};

use super::{count_or_all, no_such_group, reply_each, reply_entries, reply_entry, reply_id, subcommand_syntax};
use crate::call::Call;
use crate::effect::Effect;
use crate::error::{NO_SUCH_KEY, Result, SYNTAX};
use crate::reply::Reply;

const HELP: [&str; 9] = [
    "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CONSUMERS <key> <groupname>",
    "    List the consumers of a group.",
    "GROUPS <key>",
    "    List the groups of a stream.",
    "STREAM <key> [FULL [COUNT <count>]]",
    "    Tell about a stream; with FULL, its entries and groups too.",
    "HELP",
    "    Print this help.",
];

/// Entries shown by FULL if no COUNT says otherwise.
const FULL_COUNT: i64 = 10;

/// Never reached: a subcommand is either found or refused before.
pub(super) fn xinfo(_: &mut Call<'_>) -> Result<Effect> {
    Err(SYNTAX)
}

pub(super) fn xinfo_help(call: &mut Call<'_>) -> Result<Effect> {
    call.out.array(HELP.len());
    HELP.iter().for_each(|line| call.out.simple(line));
    Ok(Effect::None)
}

pub(super) fn xinfo_consumers(call: &mut Call<'_>) -> Result<Effect> {
    let (key, name, now_ms) = (call.arg(2), call.arg(3), call.keys.now_ms as u64);
    let stream = call.keys.value::<Stream>(key)?.ok_or(NO_SUCH_KEY)?;
    let group = stream.group(name).ok_or_else(|| no_such_group(key, name))?;
    let out = &mut *call.out;
    out.array(group.consumers_len());
    for consumer in group.consumers() {
        out.map(4);
        out.bulk(b"name");
        out.bulk(consumer.name());
        pair(out, "pending", consumer.pending_len() as i64);
        pair(out, "idle", now_ms.saturating_sub(consumer.seen_time()) as i64);
        pair(out, "inactive", consumer.active_time().map_or(-1, |time| now_ms.wrapping_sub(time) as i64));
    }
    Ok(Effect::None)
}

pub(super) fn xinfo_groups(call: &mut Call<'_>) -> Result<Effect> {
    let stream = call.keys.value::<Stream>(call.args.get(2))?.ok_or(NO_SUCH_KEY)?;
    let out = &mut *call.out;
    out.array(stream.groups().len());
    for (name, group) in stream.groups() {
        out.map(6);
        out.bulk(b"name");
        out.bulk(name);
        pair(out, "consumers", group.consumers_len() as i64);
        pair(out, "pending", group.pending_len() as i64);
        id_pair(out, "last-delivered-id", group.last_id());
        progress(out, stream, group);
    }
    Ok(Effect::None)
}

pub(super) fn xinfo_stream(call: &mut Call<'_>) -> Result<Effect> {
    // The key comes first, and is looked up before the options are read.
    call.keys.value::<Stream>(call.args.get(2))?.ok_or(NO_SUCH_KEY)?;
    let full = match call.args.len() {
        3 => None,
        4 if call.args.is(3, "FULL") => Some(FULL_COUNT),
        6 if call.args.is(3, "FULL") && call.args.is(4, "COUNT") => {
            Some(call.int(5)?).map(|count| if count < 0 { FULL_COUNT } else { count })
        }
        _ => return subcommand_syntax("XINFO", call.arg(1)),
    };
    let Some(stream) = call.keys.peek(call.args.get(2)).and_then(|entry| entry.get::<Stream>()) else {
        return Err(NO_SUCH_KEY);
    };
    let out = &mut *call.out;
    out.map(if full.is_some() { 9 } else { 10 });
    pair(out, "length", stream.len() as i64);
    pair(out, "radix-tree-keys", stream.nodes().len() as i64);
    pair(out, "radix-tree-nodes", radix_tree_nodes(stream) as i64);
    id_pair(out, "last-generated-id", stream.last_id());
    id_pair(out, "max-deleted-entry-id", stream.max_deleted_id());
    pair(out, "entries-added", stream.entries_added() as i64);
    id_pair(out, "recorded-first-entry-id", stream.first_id());
    match full {
        None => {
            pair(out, "groups", stream.groups().len() as i64);
            entry_pair(out, "first-entry", stream.first());
            entry_pair(out, "last-entry", stream.last());
        }
        Some(count) => reply_full(out, stream, count_or_all(count)),
    }
    Ok(Effect::None)
}

fn reply_full(out: &mut Reply, stream: &Stream, count: usize) {
    out.bulk(b"entries");
    reply_entries(out, stream.range(StreamId::MIN, StreamId::MAX).take(count));
    out.bulk(b"groups");
    out.array(stream.groups().len());
    for (name, group) in stream.groups() {
        out.map(7);
        out.bulk(b"name");
        out.bulk(name);
        id_pair(out, "last-delivered-id", group.last_id());
        progress(out, stream, group);
        pair(out, "pel-count", group.pending_len() as i64);
        out.bulk(b"pending");
        reply_pending(out, group.pending(StreamId::MIN, StreamId::MAX).take(count), true);
        out.bulk(b"consumers");
        out.array(group.consumers_len());
        group.consumers().for_each(|consumer| reply_consumer(out, group, consumer, count));
    }
}

fn reply_consumer(out: &mut Reply, group: &Group, consumer: &Consumer, count: usize) {
    out.map(5);
    out.bulk(b"name");
    out.bulk(consumer.name());
    pair(out, "seen-time", consumer.seen_time() as i64);
    pair(out, "active-time", consumer.active_time().map_or(-1, |time| time as i64));
    pair(out, "pel-count", consumer.pending_len() as i64);
    out.bulk(b"pending");
    let pending = group.pending_of(consumer.name(), StreamId::MIN, StreamId::MAX);
    reply_pending(out, pending.take(count), false);
}

fn reply_pending<'g>(out: &mut Reply, pending: impl Iterator<Item = Pending<'g>>, with_consumer: bool) {
    reply_each(out, pending, |out, pending| {
        out.array(3 + usize::from(with_consumer));
        reply_id(out, pending.id);
        if with_consumer {
            out.bulk(pending.consumer);
        }
        out.int(pending.delivery_time as i64);
        out.int(pending.delivery_count as i64);
    });
}

/// How far a group has come, as far as that is known.
fn progress(out: &mut Reply, stream: &Stream, group: &Group) {
    int_or_null(out, "entries-read", group.entries_read().map(|read| read as i64));
    int_or_null(out, "lag", stream.lag(group));
}

fn pair(out: &mut Reply, name: &str, value: i64) {
    out.bulk(name.as_bytes());
    out.int(value);
}

fn id_pair(out: &mut Reply, name: &str, id: StreamId) {
    out.bulk(name.as_bytes());
    reply_id(out, id);
}

fn int_or_null(out: &mut Reply, name: &str, value: Option<i64>) {
    out.bulk(name.as_bytes());
    match value {
        Some(value) => out.int(value),
        None => out.null(),
    }
}

fn entry_pair(out: &mut Reply, name: &str, entry: Option<Entry<'_>>) {
    out.bulk(name.as_bytes());
    match entry {
        Some(entry) => reply_entry(out, &entry),
        None => out.null(),
    }
}

/// Number of nodes that Redis's radix tree would have for the stream: we keep another tree, but dashboards show this.
///
/// It follows from the keys alone: one node for each key, one for each place where keys part, and one for each stretch
/// of at least a byte between such places. Of a stream too large to look at all keys it is a projection.
fn radix_tree_nodes(stream: &Stream) -> usize {
    /// So many keys are counted out: a hundred thousand entries, in general.
    const EXACT_MAX: usize = 1024;

    let keys = stream.nodes().len();
    let counted = count_radix_nodes(stream.nodes().take(EXACT_MAX).map(|(master, _)| master.to_be_bytes()));
    if keys <= EXACT_MAX { counted } else { (counted as u128 * keys as u128 / EXACT_MAX as u128) as usize }
}

/// The same for sorted and distinct keys of one length.
fn count_radix_nodes<const LEN: usize>(keys: impl Iterator<Item = [u8; LEN]>) -> usize {
    // The depths of the places where keys part, on the way from the root to the last key.
    let mut forks: Vec<usize> = Vec::with_capacity(LEN);
    let mut nodes = 0;
    let mut before: Option<[u8; LEN]> = None;
    // The stretch between a fork, which takes one byte itself, and what hangs below it.
    let stretch = |fork: usize, below: usize| usize::from(below > fork + 1);
    for key in keys {
        nodes += 1;
        if let Some(before) = before {
            let fork = common_prefix(&before, &key);
            let mut below = LEN;
            while let Some(deeper) = forks.pop_if(|depth| *depth > fork) {
                nodes += stretch(deeper, below);
                below = deeper;
            }
            nodes += stretch(fork, below);
            if forks.last() != Some(&fork) {
                nodes += 1;
                forks.push(fork);
            }
        }
        before = Some(key);
    }
    if before.is_none() {
        // The empty root.
        return 1;
    }
    let mut below = LEN;
    while let Some(fork) = forks.pop() {
        nodes += stretch(fork, below);
        below = fork;
    }
    nodes + usize::from(below > 0)
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Observed with Redis 8.0.2, `stream-node-max-entries` 1 and entries of these ids.
    #[test]
    fn radix_nodes_are_counted_as_redis_has_them() {
        let check = |ids: &[(u64, u64)], expected: usize| {
            let keys = ids.iter().map(|(ms, seq)| StreamId::new(*ms, *seq).to_be_bytes());
            assert_eq!(count_radix_nodes(keys), expected, "{ids:?}");
        };
        check(&[], 1);
        check(&[(1, 1)], 2);
        check(&[(1, 1), (1, 2)], 4);
        check(&[(1, 1), (2, 1)], 6);
        check(&[(0, 1), (256, 1)], 6);
        check(&[(0, 1), (1, 0), (1, 1), (256, 0), (256, 1), (256, 256)], 16);
        check(&[0, 1, 2, 3, 4].map(|seq| (1_795_404_026_693, seq)), 7);
        check(&(1..40).map(|n| (n * 1000, n)).collect::<Vec<_>>(), 80);
    }
}
