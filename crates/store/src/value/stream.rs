//! Streams: an append-only log of entries, each a list of field and value pairs under an id that only grows.
//!
//! Entries stand in nodes of up to `stream-node-max-entries`, each one listpack in Redis's own layout (`node.rs`), in
//! the order of the ids of the nodes' first entries (`nodes.rs`), where Redis has a radix tree.
//!
//! Nothing here reads a clock: who calls says what time it is, in milliseconds since the epoch.

mod delivery;
mod entries;
mod group;
mod id;
mod node;
mod nodes;
mod restore;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::mem::size_of;

use node::Node;
use nodes::Nodes;

pub use delivery::{AutoClaim, Claim, ClaimOptions, Claimed, Delivery};
pub use entries::Entries;
pub use group::{Consumer, Group, Pending, consumer_was_seen};
pub use id::{NewId, StreamId};
pub use node::{Entry, Fields};
pub use restore::{ConsumerParts, CountersParts, GroupParts, PendingParts, StreamCorrupt, StreamParts};

use crate::value::list::Direction;
use crate::value::listpack::Listpack;
use crate::value::{Encoding, Limits};

/// A stream value.
#[derive(Clone, Default)]
pub struct Stream {
    nodes: Nodes,
    counters: Counters,
    groups: BTreeMap<Box<[u8]>, Group>,
}

/// What a stream remembers beyond its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counters {
    /// Number of live entries.
    length: u64,
    /// The largest id ever added or set.
    last_id: StreamId,
    /// The first live entry; `0-0` if there is none.
    first_id: StreamId,
    /// The largest id ever deleted, trimming left out.
    max_deleted_id: StreamId,
    /// Number of entries ever added.
    entries_added: u64,
}

/// Why an entry was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddError {
    /// The id asked for is `0-0`.
    Zero,
    /// The largest possible id is taken.
    Exhausted,
    /// The id is not above the last one.
    NotGreater,
    /// The fields and values are more than a node can hold.
    TooLarge,
}

/// What to trim away.
#[derive(Clone, Copy, Debug)]
pub struct Trim {
    /// What is to be left.
    pub keep: Keep,
    /// Whether to remove whole nodes only.
    pub approximate: bool,
    /// Entries to remove at most; 0 is no limit.
    pub limit: u64,
}

/// What trimming leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// So many entries, the newest (`MAXLEN`).
    Newest(u64),
    /// The entries with this id or a larger one (`MINID`).
    From(StreamId),
}

/// What happens to the places of a deleted entry in the groups' lists of pending entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum References {
    /// They stay (`KEEPREF`).
    Keep,
    /// They go too (`DELREF`).
    Delete,
    /// The entry is deleted only if every group has read and acknowledged it (`ACKED`).
    Acknowledged,
}

/// What `XDELEX` and `XACKDEL` did with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// There was none of that id (-1 in the reply).
    NoSuchId,
    /// It is gone (1).
    Deleted,
    /// It is there, because a group still needs it (2).
    Referenced,
}

/// Why `XSETID` was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetIdError {
    /// Smaller than the largest deleted id that was given with it.
    BelowGivenDeleted,
    /// Smaller than the largest deleted id so far.
    BelowDeleted,
    /// Smaller than the last entry.
    BelowTop,
    /// The number of entries added is smaller than the length.
    AddedBelowLength,
}

impl Trim {
    /// The limit of an approximate trim that names none: a hundred nodes' worth.
    pub fn default_limit(limits: &Limits) -> u64 {
        match limits.stream_node_max_entries as u64 {
            0 => 10_000,
            entries => entries.saturating_mul(100).min(1_000_000),
        }
    }
}

impl Stream {
    /// An empty stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of entries.
    pub fn len(&self) -> u64 {
        self.counters.length
    }

    /// Whether there is no entry. Such a stream stays under its key.
    pub fn is_empty(&self) -> bool {
        self.counters.length == 0
    }

    /// The name of the form; streams have one only.
    pub fn encoding(&self) -> Encoding {
        Encoding::Stream
    }

    /// The largest id ever added or set.
    pub fn last_id(&self) -> StreamId {
        self.counters.last_id
    }

    /// The id of the first entry; `0-0` if there is none.
    pub fn first_id(&self) -> StreamId {
        self.counters.first_id
    }

    /// The largest id ever deleted by name.
    pub fn max_deleted_id(&self) -> StreamId {
        self.counters.max_deleted_id
    }

    /// Number of entries ever added.
    pub fn entries_added(&self) -> u64 {
        self.counters.entries_added
    }

    /// The nodes with their keys, as a dump writes them.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (StreamId, &Listpack)> {
        self.nodes.iter()
    }

    /// Allocated bytes beyond the `Stream` itself, as near as the trees let us know.
    pub fn memory_bytes(&self) -> usize {
        let nodes: usize = self.nodes.iter().map(|(_, pack)| pack.memory_bytes()).sum();
        let groups: usize = self.groups.iter().map(|(name, group)| name.len() + group.memory_bytes()).sum();
        nodes + self.nodes.memory_bytes() + groups + tree_bytes(self.groups.len(), size_of::<(Box<[u8]>, Group)>())
    }

    /// Adds an entry and returns its id. `fields` are pairs of a field and its value.
    pub fn append<'f, I>(&mut self, id: NewId, fields: I, now_ms: u64, limits: &Limits) -> Result<StreamId, AddError>
    where
        I: IntoIterator<Item = (&'f [u8], &'f [u8])>,
        I::IntoIter: Clone,
    {
        let id = self.counters.new_id(id, now_ms)?;
        let fields = fields.into_iter();
        let bytes: usize = fields.clone().map(|(field, value)| field.len() + value.len()).sum();
        if bytes > Listpack::BYTES_MAX {
            return Err(AddError::TooLarge);
        }
        match self.nodes.last_mut() {
            Some((master, tail)) if has_room(tail, bytes, limits) => node::append(tail, master, id, fields),
            full => {
                let ahead = full.map(|(_, full)| full.finish());
                let room = ahead.filter(|_| self.nodes.len() >= Listpack::AHEAD_NODES_MIN).unwrap_or(0);
                let mut pack = node::create(fields.clone(), room);
                node::append(&mut pack, id, id, fields);
                self.nodes.insert(id, pack);
            }
        }
        self.counters.added(id);
        Ok(id)
    }

    /// The entry `id`.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        let (master, pack) = self.nodes.of(id)?;
        Node { master, pack }.find(id)
    }

    /// The entries from `first` to `last`, both included.
    pub fn range(&self, first: StreamId, last: StreamId) -> Entries<'_> {
        Entries::new(&self.nodes, first, last, Direction::Forward)
    }

    /// The entries from `last` down to `first`, both included.
    pub fn range_rev(&self, first: StreamId, last: StreamId) -> Entries<'_> {
        Entries::new(&self.nodes, first, last, Direction::Backward)
    }

    /// The entries after `id`.
    pub fn after(&self, id: StreamId) -> impl Iterator<Item = Entry<'_>> {
        id.next().into_iter().flat_map(|first| self.range(first, StreamId::MAX))
    }

    /// The first entry.
    pub fn first(&self) -> Option<Entry<'_>> {
        self.range(StreamId::MIN, StreamId::MAX).next()
    }

    /// The last entry.
    pub fn last(&self) -> Option<Entry<'_>> {
        self.range_rev(StreamId::MIN, StreamId::MAX).next()
    }

    /// Deletes the entries `ids` and tells how many there were.
    pub fn delete(&mut self, ids: &[StreamId]) -> usize {
        let first_id = self.counters.first_id;
        let mut first_deleted = false;
        let mut deleted = 0;
        for id in ids {
            if self.remove(*id) {
                deleted += 1;
                first_deleted |= *id == first_id;
            }
        }
        if first_deleted || self.is_empty() {
            self.find_first_id();
        }
        deleted
    }

    /// Deletes the entry `id` as far as the groups' references allow.
    pub fn delete_with(&mut self, id: StreamId, references: References) -> Deletion {
        if references == References::Delete {
            // Even if the entry is gone: what is left of it in the groups is what this is for.
            self.forget(id);
        }
        if references == References::Acknowledged && self.get(id).is_some() && self.is_referenced(id) {
            return Deletion::Referenced;
        }
        if self.delete(&[id]) > 0 { Deletion::Deleted } else { Deletion::NoSuchId }
    }

    /// Acknowledges the entry `id` in the group and deletes it as far as other references allow. `NoSuchId` if it was
    /// not pending there, or there is no such group.
    pub fn acknowledge_and_delete(&mut self, group: &[u8], id: StreamId, references: References) -> Deletion {
        if !self.groups.get_mut(group).is_some_and(|group| group.acknowledge(id)) {
            return Deletion::NoSuchId;
        }
        match self.delete_with(id, references) {
            Deletion::Referenced => Deletion::Referenced,
            // Whether the entry was still there does not matter: now it is neither there nor pending here.
            Deletion::Deleted | Deletion::NoSuchId => Deletion::Deleted,
        }
    }

    /// Removes old entries and tells how many.
    pub fn trim(&mut self, trim: &Trim) -> u64 {
        let mut removed = 0;
        while let Some((master, pack)) = self.nodes.first_mut() {
            if matches!(trim.keep, Keep::Newest(count) if self.counters.length <= count) {
                break;
            }
            let view = Node { master, pack };
            let live = view.header().live;
            // The limit is on whole nodes' worth of work, whether all of a node will go or not.
            if trim.limit > 0 && removed + live > trim.limit {
                break;
            }
            let all_goes = match trim.keep {
                Keep::Newest(count) => self.counters.length - live >= count,
                Keep::From(id) => view.last_id().unwrap_or(StreamId::MIN) < id,
            };
            if all_goes {
                self.nodes.remove(master);
                self.counters.length -= live;
                removed += live;
                continue;
            }
            if !trim.approximate {
                let within = trim_within(pack, master, trim.keep, self.counters.length);
                self.counters.length -= within;
                removed += within;
            }
            break;
        }
        if removed > 0 {
            self.find_first_id();
        }
        removed
    }

    /// Sets the last id, and the other two if given.
    pub fn set_id(
        &mut self,
        last_id: StreamId,
        entries_added: Option<u64>,
        max_deleted_id: Option<StreamId>,
    ) -> Result<(), SetIdError> {
        if max_deleted_id.is_some_and(|deleted| last_id < deleted) {
            return Err(SetIdError::BelowGivenDeleted);
        }
        if last_id < self.counters.max_deleted_id {
            return Err(SetIdError::BelowDeleted);
        }
        if self.last().is_some_and(|top| last_id < top.id()) {
            return Err(SetIdError::BelowTop);
        }
        if entries_added.is_some_and(|added| added < self.counters.length) {
            return Err(SetIdError::AddedBelowLength);
        }
        self.counters.last_id = last_id;
        self.counters.entries_added = entries_added.unwrap_or(self.counters.entries_added);
        if let Some(deleted) = max_deleted_id.filter(|deleted| *deleted != StreamId::MIN) {
            self.counters.max_deleted_id = deleted;
        }
        Ok(())
    }

    /// Flags the entry `id` as deleted; the first id is left to the caller.
    fn remove(&mut self, id: StreamId) -> bool {
        let Some((master, pack)) = self.nodes.of_mut(id) else { return false };
        let node = Node { master, pack };
        let Some(flags_at) = node.find(id).map(|entry| entry.flags_at) else { return false };
        if node.header().live == 1 {
            self.nodes.remove(master);
        } else {
            node::flag_deleted(pack, flags_at);
            node::count_deleted(pack, 1);
        }
        self.counters.length -= 1;
        self.counters.max_deleted_id = self.counters.max_deleted_id.max(id);
        true
    }

    /// Takes the entry `id` off the lists of all groups.
    fn forget(&mut self, id: StreamId) {
        for group in self.groups.values_mut() {
            group.acknowledge(id);
        }
    }

    /// Whether a group has the entry `id` still to read or to acknowledge.
    fn is_referenced(&self, id: StreamId) -> bool {
        self.groups.values().any(|group| group.last_id < id || group.pending.contains_key(&id))
    }

    fn find_first_id(&mut self) {
        self.counters.first_id = self.first().map_or(StreamId::MIN, |entry| entry.id());
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("counters", &self.counters)
            .field("entries", &self.range(StreamId::MIN, StreamId::MAX))
            .field("groups", &self.groups)
            .finish()
    }
}

impl Counters {
    /// The id that a new entry gets.
    fn new_id(&self, id: NewId, now_ms: u64) -> Result<StreamId, AddError> {
        if id == NewId::Exact(StreamId::MIN) {
            return Err(AddError::Zero);
        }
        if self.last_id == StreamId::MAX {
            return Err(AddError::Exhausted);
        }
        let id = match id {
            NewId::Exact(id) => Some(id),
            NewId::AutoSeq(ms) if ms == self.last_id.ms => {
                self.last_id.seq.checked_add(1).map(|seq| StreamId { ms, seq })
            }
            NewId::AutoSeq(ms) => Some(StreamId { ms, seq: 0 }),
            NewId::Auto if now_ms > self.last_id.ms => Some(StreamId { ms: now_ms, seq: 0 }),
            NewId::Auto => self.last_id.next(),
        };
        id.filter(|id| *id > self.last_id).ok_or(AddError::NotGreater)
    }

    fn added(&mut self, id: StreamId) {
        self.length += 1;
        // Whoever set it by XSETID or a dump may have gone to the limit.
        self.entries_added = self.entries_added.wrapping_add(1);
        self.last_id = id;
        if self.length == 1 {
            self.first_id = id;
        }
    }

    /// Whether an entry was deleted by name at `from` or later. Trimming counts not, for it takes from the front.
    fn has_tombstone_from(&self, from: StreamId) -> bool {
        self.length > 0 && self.max_deleted_id != StreamId::MIN && from <= self.max_deleted_id
    }

    /// How many entries, counted from the first ever, lie up to `id`; `None` where deletions make that unknowable.
    fn entries_up_to(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if self.length == 0 && id <= self.last_id {
            return Some(self.entries_added);
        }
        if id != StreamId::MIN && id < self.max_deleted_id {
            return None;
        }
        if id >= self.last_id {
            return (id == self.last_id).then_some(self.entries_added);
        }
        if self.max_deleted_id != StreamId::MIN && self.max_deleted_id >= self.first_id {
            return None;
        }
        let before_first = self.entries_added.wrapping_sub(self.length);
        match id.cmp(&self.first_id) {
            std::cmp::Ordering::Less => Some(before_first),
            std::cmp::Ordering::Equal => Some(before_first.wrapping_add(1)),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// How many entries a group that has read `entries_read` up to `last_id` is behind; `None` if not known.
    fn lag(&self, last_id: StreamId, entries_read: Option<u64>) -> Option<i64> {
        if self.entries_added == 0 || self.length == 0 {
            return Some(0);
        }
        if last_id < self.first_id && self.max_deleted_id < self.first_id {
            return Some(self.length as i64);
        }
        let read = entries_read.filter(|_| !self.has_tombstone_from(last_id)).or_else(|| self.entries_up_to(last_id));
        // A client may claim to have read more than there is: Redis shows that as it comes, below zero.
        read.map(|read| self.entries_added.wrapping_sub(read) as i64)
    }
}

/// Whether an entry of `bytes` bytes may still go into the node. Redis counts the deleted ones too, and leaves the
/// overhead of the entry out.
fn has_room(pack: &Listpack, bytes: usize, limits: &Limits) -> bool {
    let bytes_max = match limits.stream_node_max_bytes {
        0 => Listpack::BYTES_MAX,
        max => max.min(Listpack::BYTES_MAX),
    };
    let header = Node { master: StreamId::MIN, pack }.header();
    let entries = header.live + header.deleted;
    let entries_max = limits.stream_node_max_entries as u64;
    pack.bytes_len() + bytes < bytes_max && (entries_max == 0 || entries < entries_max)
}

/// Flags the oldest entries of one node as deleted until only what is to be kept is left, and tells how many.
fn trim_within(pack: &mut Listpack, master: StreamId, keep: Keep, length: u64) -> u64 {
    let header = Node { master, pack }.header();
    let mut removed = 0;
    let mut next = header.first_entry;
    while let Some(flags_at) = next {
        let entry = Node { master, pack }.entry(&header, flags_at);
        let done = match keep {
            Keep::Newest(count) => length - removed <= count,
            Keep::From(id) => entry.id() >= id,
        };
        if done {
            break;
        }
        if !entry.deleted {
            node::flag_deleted(pack, flags_at);
            removed += 1;
        }
        // Read again: in a node that came from elsewhere the flags may have changed their width.
        next = Node { master, pack }.entry(&header, flags_at).following();
    }
    node::count_deleted(pack, removed);
    removed
}

/// Bytes of a standard tree of so many entries: its leaves have room for eleven and are seldom full.
fn tree_bytes(entries: usize, entry_bytes: usize) -> usize {
    entries.div_ceil(7) * (11 * entry_bytes + 16)
}
