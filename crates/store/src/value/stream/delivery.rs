//! What consumer groups do: hand entries out, take acknowledgements, pass on what others left lying.
//!
//! Commands answer from the results here: a delivery names the range that was handed out, claims name their ids, and
//! the entries are then read from the stream.

use super::group::{ConsumerId, Nack};
use super::{Counters, Direction, Entries, Group, Nodes, Stream, StreamId};

/// Entries handed out by [`Stream::deliver`]: exactly those that the stream has between the two ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The first of them.
    pub first: StreamId,
    /// The last of them.
    pub last: StreamId,
    /// How many there are.
    pub count: usize,
}

/// The options of `XCLAIM`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClaimOptions {
    /// Milliseconds since the last delivery below which an entry stays where it is.
    pub min_idle_ms: u64,
    /// What to note as the time of delivery; now if `None` or in the future.
    pub delivery_time: Option<u64>,
    /// What to note as the number of deliveries; one more than before if `None`.
    pub retry_count: Option<u64>,
    /// Whether to take entries that are not pending, too.
    pub force: bool,
    /// Whether only ids are wanted; the number of deliveries then stays.
    pub just_id: bool,
    /// What to raise the group's last id to.
    pub last_id: StreamId,
}

/// An id that a claim changed something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Which.
    pub id: StreamId,
    /// Where it is now.
    pub claim: Claim,
}

/// Where a claimed entry is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// With the consumer that claimed it.
    Moved,
    /// Nowhere: the stream no longer has it, so it is no longer pending either.
    Gone,
}

/// What `XAUTOCLAIM` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoClaim {
    /// Where to go on; `0-0` after the last pending entry.
    pub next: StreamId,
    /// The ids it changed, in order.
    pub claimed: Vec<Claimed>,
}

/// How many pending entries `XAUTOCLAIM` looks at for each one it may claim.
const ATTEMPTS_PER_CLAIM: usize = 10;

impl Stream {
    /// Creates a group that has read up to `last_id`; false if there is one of that name.
    pub fn create_group(&mut self, name: &[u8], last_id: StreamId, entries_read: Option<u64>) -> bool {
        if self.groups.contains_key(name) {
            return false;
        }
        self.groups.insert(name.into(), Group::new(last_id, entries_read));
        true
    }

    /// Sets where a group has read to; false if there is none of that name.
    pub fn set_group_id(&mut self, name: &[u8], last_id: StreamId, entries_read: Option<u64>) -> bool {
        self.groups.get_mut(name).is_some_and(|group| {
            group.last_id = last_id;
            group.entries_read = entries_read;
            true
        })
    }

    /// Removes a group with its consumers and all that is pending; false if there is none of that name.
    pub fn destroy_group(&mut self, name: &[u8]) -> bool {
        self.groups.remove(name).is_some()
    }

    /// The group of that name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// The groups with their names, in the order of these.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, group))
    }

    /// How many entries the group has still to read; `None` if deletions make that unknowable.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        self.counters.lag(group.last_id, group.entries_read)
    }

    /// Creates a consumer: whether it did not exist before, or `None` if there is no such group.
    pub fn create_consumer(&mut self, group: &[u8], name: &[u8], now_ms: u64) -> Option<bool> {
        let group = self.groups.get_mut(group)?;
        Some(group.consumers.find(name).is_none() && group.consumers.touch(name, now_ms).1)
    }

    /// Notes that a consumer asked for something, and creates it if it does not exist, which the result tells. `None`
    /// if there is no such group.
    pub fn touch_consumer(&mut self, group: &[u8], name: &[u8], now_ms: u64) -> Option<bool> {
        Some(self.groups.get_mut(group)?.consumers.touch(name, now_ms).1)
    }

    /// Removes a consumer and all that is pending for it, and tells how much that was. The outer `None` is for a group,
    /// the inner one for a consumer that does not exist.
    pub fn delete_consumer(&mut self, group: &[u8], name: &[u8]) -> Option<Option<usize>> {
        Some(self.groups.get_mut(group)?.remove_consumer(name))
    }

    /// Hands up to `count` entries (0: all) that the group has not read to `consumer`, as pending unless `no_ack`.
    /// `None` if there is nothing new, or no such group.
    pub fn deliver(
        &mut self,
        group: &[u8],
        consumer: &[u8],
        count: usize,
        no_ack: bool,
        now_ms: u64,
    ) -> Option<Delivery> {
        let group = self.groups.get_mut(group)?;
        let (consumer, _) = group.consumers.touch(consumer, now_ms);
        let max = if count == 0 { usize::MAX } else { count };
        let mut delivery: Option<Delivery> = None;
        let entries = Entries::new(&self.nodes, group.last_id.next()?, StreamId::MAX, Direction::Forward);
        for id in entries.take(max).map(|entry| entry.id()) {
            group.read(id, &self.counters);
            if !no_ack {
                group.assign(id, consumer, now_ms);
                group.consumers.get_mut(consumer).active_time = Some(now_ms);
            }
            let delivery = delivery.get_or_insert(Delivery { first: id, last: id, count: 0 });
            delivery.last = id;
            delivery.count += 1;
        }
        delivery
    }

    /// Hands up to `count` entries (0: all) after `id` that are pending for `consumer` to it again. Each comes with
    /// whether the stream still has it; only then it counts as one more delivery.
    pub fn redeliver(
        &mut self,
        group: &[u8],
        consumer: &[u8],
        after: StreamId,
        count: usize,
        now_ms: u64,
    ) -> Vec<(StreamId, bool)> {
        let (Some(group), Some(first)) = (self.groups.get_mut(group), after.next()) else { return Vec::new() };
        let (consumer, _) = group.consumers.touch(consumer, now_ms);
        let max = if count == 0 { usize::MAX } else { count };
        let ids = group.consumers.get(consumer).pending.range(first..).take(max);
        let delivered: Vec<_> = ids.map(|id| (*id, exists(&self.nodes, *id))).collect();
        for (id, _) in delivered.iter().filter(|(_, exists)| *exists) {
            if let Some(nack) = group.pending.get_mut(id) {
                nack.delivery_time = now_ms;
                nack.delivery_count = nack.delivery_count.saturating_add(1);
            }
        }
        delivered
    }

    /// Takes the entries `ids` off the group's lists and tells how many were pending.
    pub fn acknowledge(&mut self, group: &[u8], ids: &[StreamId]) -> usize {
        let Some(group) = self.groups.get_mut(group) else { return 0 };
        ids.iter().filter(|id| group.acknowledge(**id)).count()
    }

    /// Gives the pending entries `ids` to `consumer`. `None` if there is no such group.
    pub fn claim(
        &mut self,
        group: &[u8],
        consumer: &[u8],
        ids: &[StreamId],
        options: &ClaimOptions,
        now_ms: u64,
    ) -> Option<Vec<Claimed>> {
        let group = self.groups.get_mut(group)?;
        group.last_id = group.last_id.max(options.last_id);
        let (consumer, _) = group.consumers.touch(consumer, now_ms);
        let claims = ids.iter().filter_map(|id| group.claim(*id, consumer, exists(&self.nodes, *id), options, now_ms));
        Some(claims.collect())
    }

    /// Gives pending entries from `start` on to `consumer`, until `count` were claimed or found gone, or ten times as
    /// many looked at. `None` if there is no such group.
    pub fn auto_claim(
        &mut self,
        group: &[u8],
        consumer: &[u8],
        start: StreamId,
        count: usize,
        options: &ClaimOptions,
        now_ms: u64,
    ) -> Option<AutoClaim> {
        let group = self.groups.get_mut(group)?;
        let (consumer, _) = group.consumers.touch(consumer, now_ms);
        let mut claimed = Vec::new();
        let mut attempts = count.saturating_mul(ATTEMPTS_PER_CLAIM);
        let mut next = group.pending_from(start);
        while let Some(id) = next
            && claimed.len() < count
            && attempts > 0
        {
            claimed.extend(group.claim(id, consumer, exists(&self.nodes, id), options, now_ms));
            attempts -= 1;
            next = id.next().and_then(|after| group.pending_from(after));
        }
        Some(AutoClaim { next: next.unwrap_or(StreamId::MIN), claimed })
    }
}

impl Group {
    /// Moves on to `id`, which was just read, and keeps count if that is possible.
    fn read(&mut self, id: StreamId, counters: &Counters) {
        let counted = self
            .entries_read
            .filter(|_| self.last_id >= counters.first_id && !counters.has_tombstone_from(self.last_id));
        if let Some(read) = counted {
            self.entries_read = Some(read.saturating_add(1));
        } else if counters.entries_added > 0 {
            self.entries_read = counters.entries_up_to(id);
        }
        self.last_id = id;
    }

    /// Gives the entry `id` to `consumer` if the options let it; the result is what changed.
    fn claim(
        &mut self,
        id: StreamId,
        consumer: ConsumerId,
        exists: bool,
        options: &ClaimOptions,
        now_ms: u64,
    ) -> Option<Claimed> {
        if !exists {
            return self.acknowledge(id).then_some(Claimed { id, claim: Claim::Gone });
        }
        let before = self.pending.get(&id).copied();
        if before.is_none() && !options.force {
            return None;
        }
        if before.is_some_and(|nack| now_ms.saturating_sub(nack.delivery_time) < options.min_idle_ms) {
            return None;
        }
        // An entry taken by force counts as delivered once before, as in Redis.
        let delivered = before.map_or(1, |nack| nack.delivery_count);
        let once_more = if options.just_id { delivered } else { delivered.saturating_add(1) };
        self.assign(id, consumer, now_ms);
        self.pending.insert(
            id,
            Nack {
                consumer,
                delivery_time: options.delivery_time.unwrap_or(now_ms).min(now_ms),
                delivery_count: options.retry_count.unwrap_or(once_more),
            },
        );
        self.consumers.get_mut(consumer).active_time = Some(now_ms);
        Some(Claimed { id, claim: Claim::Moved })
    }

    /// The first pending entry from `id` on.
    fn pending_from(&self, id: StreamId) -> Option<StreamId> {
        self.pending.range(id..).next().map(|(id, _)| *id)
    }
}

fn exists(nodes: &Nodes, id: StreamId) -> bool {
    Entries::new(nodes, id, id, Direction::Forward).next().is_some()
}
