//! Consumer groups: who was given which entry and has not acknowledged it yet.
//!
//! Every pending entry stands in two lists: that of the group, which knows all about it, and that of its consumer. In
//! Redis both hold one shared pointer. Here the group's list names the consumer by a number that stays the same for as
//! long as the consumer lives, and the consumer's list is a set of ids.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::size_of;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::StreamId;

/// A consumer group of a stream.
#[derive(Clone, Debug)]
pub struct Group {
    pub(super) last_id: StreamId,
    pub(super) entries_read: Option<u64>,
    /// Invariant: the id of each entry here is in the set of the consumer that it names, and in no other.
    pub(super) pending: BTreeMap<StreamId, Nack>,
    pub(super) consumers: Consumers,
}

/// A delivered entry that was not acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nack {
    pub(super) consumer: ConsumerId,
    /// When it was delivered last, in milliseconds since the epoch.
    pub(super) delivery_time: u64,
    pub(super) delivery_count: u64,
}

/// Who reads in a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    pub(super) seen_time: u64,
    pub(super) active_time: Option<u64>,
    pub(super) pending: BTreeSet<StreamId>,
}

/// A consumer by the number of its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConsumerId(u32);

/// A pending entry, as `XPENDING` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending<'a> {
    /// The entry, which the stream may no longer have.
    pub id: StreamId,
    /// Who has it.
    pub consumer: &'a [u8],
    /// When it was delivered last, in milliseconds since the epoch.
    pub delivery_time: u64,
    /// How often it was delivered.
    pub delivery_count: u64,
}

impl Pending<'_> {
    /// Milliseconds since the last delivery.
    pub fn idle_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.delivery_time)
    }
}

impl Consumer {
    /// The consumer's name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// When it last asked for anything, in milliseconds since the epoch.
    pub fn seen_time(&self) -> u64 {
        self.seen_time
    }

    /// When it last was given anything, in milliseconds since the epoch; `None` if never.
    pub fn active_time(&self) -> Option<u64> {
        self.active_time
    }

    /// Number of entries it has not acknowledged.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The ids of the entries it has not acknowledged.
    pub fn pending_ids(&self) -> impl DoubleEndedIterator<Item = StreamId> + ExactSizeIterator {
        self.pending.iter().copied()
    }
}

impl Group {
    pub(super) fn new(last_id: StreamId, entries_read: Option<u64>) -> Self {
        Self { last_id, entries_read, pending: BTreeMap::new(), consumers: Consumers::default() }
    }

    /// The last entry delivered.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// How many entries, counted from the stream's first ever, lie up to [`Group::last_id`]; `None` if not known.
    pub fn entries_read(&self) -> Option<u64> {
        self.entries_read
    }

    /// Number of pending entries of all consumers.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The pending entries from `first` to `last`, both included, of all consumers.
    pub fn pending(&self, first: StreamId, last: StreamId) -> impl Iterator<Item = Pending<'_>> {
        self.pending.range(first..).take_while(move |(id, _)| **id <= last).map(|(id, nack)| self.show(*id, nack))
    }

    /// The first and the last pending entry of all consumers.
    pub fn pending_bounds(&self) -> Option<(StreamId, StreamId)> {
        Some((*self.pending.first_key_value()?.0, *self.pending.last_key_value()?.0))
    }

    /// The pending entries from `first` to `last`, both included, of one consumer; none if it does not exist.
    pub fn pending_of(&self, consumer: &[u8], first: StreamId, last: StreamId) -> impl Iterator<Item = Pending<'_>> {
        self.consumer(consumer).into_iter().flat_map(move |consumer| {
            let ids = consumer.pending.range(first..).take_while(move |id| **id <= last);
            ids.filter_map(|id| self.pending.get(id).map(|nack| self.show(*id, nack)))
        })
    }

    /// Number of consumers.
    pub fn consumers_len(&self) -> usize {
        self.consumers.order.len()
    }

    /// The consumers, in the order of their names.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = &Consumer> {
        self.consumers.order.iter().map(|id| self.consumers.get(*id))
    }

    /// The consumer of that name.
    pub fn consumer(&self, name: &[u8]) -> Option<&Consumer> {
        self.consumers.find(name).map(|id| self.consumers.get(id))
    }

    /// Allocated bytes, as near as the trees let us know.
    pub(super) fn memory_bytes(&self) -> usize {
        let nack = size_of::<(StreamId, Nack)>() + size_of::<StreamId>();
        let names: usize = self.consumers().map(|consumer| consumer.name.len()).sum();
        super::tree_bytes(self.pending.len(), nack)
            + self.consumers.slots.capacity() * size_of::<Option<Consumer>>()
            + names
    }

    /// Gives the entry `id` to `consumer`, whoever had it, as delivered for the first time.
    pub(super) fn assign(&mut self, id: StreamId, consumer: ConsumerId, now_ms: u64) {
        let nack = Nack { consumer, delivery_time: now_ms, delivery_count: 1 };
        if let Some(before) = self.pending.insert(id, nack) {
            self.consumers.get_mut(before.consumer).pending.remove(&id);
        }
        self.consumers.get_mut(consumer).pending.insert(id);
    }

    /// Takes the entry `id` off both lists, and tells whether it was there.
    pub(super) fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(nack) = self.pending.remove(&id) else { return false };
        self.consumers.get_mut(nack.consumer).pending.remove(&id);
        true
    }

    /// Removes the consumer and all that is pending for it, and tells how much that was.
    pub(super) fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let consumer = self.consumers.remove(name)?;
        for id in &consumer.pending {
            self.pending.remove(id);
        }
        Some(consumer.pending.len())
    }

    fn show(&self, id: StreamId, nack: &Nack) -> Pending<'_> {
        Pending {
            id,
            consumer: &self.consumers.get(nack.consumer).name,
            delivery_time: nack.delivery_time,
            delivery_count: nack.delivery_count,
        }
    }

    #[cfg(test)]
    pub(super) fn assert_sound(&self) {
        let of_consumers: usize = self.consumers().map(Consumer::pending_len).sum();
        assert_eq!(of_consumers, self.pending.len());
        for (id, nack) in &self.pending {
            assert!(self.consumers.get(nack.consumer).pending.contains(id), "{id} in both lists");
        }
        assert!(self.consumers().is_sorted_by(|a, b| a.name < b.name));
    }
}

/// The consumers of a group: slots that keep their numbers, and the order of the names.
#[derive(Clone, Debug, Default)]
pub(super) struct Consumers {
    slots: Vec<Option<Consumer>>,
    /// The occupied slots, by name.
    order: Vec<ConsumerId>,
}

/// See [`consumer_was_seen`]. Of the process, since a stream does not know where it is kept.
static CONSUMER_SEEN: AtomicBool = AtomicBool::new(false);

/// Whether any stream has had a consumer since the process began. Until then nothing is known about consumers that the
/// newest form of a stream in a file alone could tell, so a file can be of an older version.
pub fn consumer_was_seen() -> bool {
    CONSUMER_SEEN.load(Relaxed)
}

impl Consumers {
    pub(super) fn find(&self, name: &[u8]) -> Option<ConsumerId> {
        self.search(name).ok().map(|at| self.order[at])
    }

    pub(super) fn get(&self, id: ConsumerId) -> &Consumer {
        self.slots[id.0 as usize].as_ref().expect("pending entries go with their consumer")
    }

    pub(super) fn get_mut(&mut self, id: ConsumerId) -> &mut Consumer {
        self.slots[id.0 as usize].as_mut().expect("pending entries go with their consumer")
    }

    /// Notes that the consumer was seen, and creates it if it does not exist, which the second result tells.
    pub(super) fn touch(&mut self, name: &[u8], now_ms: u64) -> (ConsumerId, bool) {
        if !CONSUMER_SEEN.load(Relaxed) {
            CONSUMER_SEEN.store(true, Relaxed);
        }
        match self.search(name) {
            Ok(at) => {
                let id = self.order[at];
                self.get_mut(id).seen_time = now_ms;
                (id, false)
            }
            Err(at) => {
                let consumer =
                    Consumer { name: name.into(), seen_time: now_ms, active_time: None, pending: BTreeSet::new() };
                let id = self.occupy(consumer);
                self.order.insert(at, id);
                (id, true)
            }
        }
    }

    fn occupy(&mut self, consumer: Consumer) -> ConsumerId {
        let free = if self.order.len() < self.slots.len() { self.slots.iter().position(Option::is_none) } else { None };
        let slot = free.unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot] = Some(consumer);
        ConsumerId(u32::try_from(slot).expect("fewer consumers than 2^32"))
    }

    fn remove(&mut self, name: &[u8]) -> Option<Consumer> {
        let at = self.search(name).ok()?;
        let id = self.order.remove(at);
        self.slots[id.0 as usize].take()
    }

    fn search(&self, name: &[u8]) -> Result<usize, usize> {
        self.order.binary_search_by(|id| (*self.get(*id).name).cmp(name))
    }
}
