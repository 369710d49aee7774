//! A stream out of the parts of a dump, none of which is trusted.

use std::fmt;

use super::group::Nack;
use super::node::{Node, is_sound};
use super::{Counters, Entries, Group, Nodes, Stream, StreamId};
use crate::value::list::Direction;
use crate::value::listpack::{Corrupt, Listpack};

/// All of a stream, as RDB types 15, 19 and 21 hold it.
#[derive(Clone, Debug, Default)]
pub struct StreamParts {
    /// The nodes: key and listpack.
    pub nodes: Vec<(StreamId, Vec<u8>)>,
    /// Number of entries.
    pub length: u64,
    /// The largest id ever added or set.
    pub last_id: StreamId,
    /// What type 15 does not have; made up as Redis does if it is `None`.
    pub counters: Option<CountersParts>,
    /// The consumer groups.
    pub groups: Vec<GroupParts>,
}

/// What types 19 and 21 say about a stream beyond type 15.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountersParts {
    /// The id of the first entry.
    pub first_id: StreamId,
    /// The largest id ever deleted.
    pub max_deleted_id: StreamId,
    /// Number of entries ever added.
    pub entries_added: u64,
}

/// A consumer group in parts.
#[derive(Clone, Debug, Default)]
pub struct GroupParts {
    /// Its name.
    pub name: Vec<u8>,
    /// The last entry delivered.
    pub last_id: StreamId,
    /// How many entries it has read, if that is known. Not looked at, but made up, if the stream has no counters.
    pub entries_read: Option<u64>,
    /// All pending entries.
    pub pending: Vec<PendingParts>,
    /// The consumers.
    pub consumers: Vec<ConsumerParts>,
}

/// A pending entry in parts.
#[derive(Clone, Copy, Debug, Default)]
pub struct PendingParts {
    /// The entry.
    pub id: StreamId,
    /// When it was delivered last, in milliseconds since the epoch.
    pub delivery_time: u64,
    /// How often it was delivered.
    pub delivery_count: u64,
}

/// A consumer in parts.
#[derive(Clone, Debug, Default)]
pub struct ConsumerParts {
    /// Its name.
    pub name: Vec<u8>,
    /// When it last asked for anything, in milliseconds since the epoch.
    pub seen_time: u64,
    /// When it last was given anything; types below 21 do not say, and the time it was seen is taken.
    pub active_time: Option<u64>,
    /// The ids of the entries pending for it.
    pub pending: Vec<StreamId>,
}

/// Why parts make no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamCorrupt {
    /// The node of this key is no listpack.
    Listpack(StreamId, Corrupt),
    /// The node of this key has not the layout of a node.
    Node(StreamId),
    /// Two nodes have this key.
    DoubleNode(StreamId),
    /// This entry does not come after the one before it, or comes after the last id.
    Order(StreamId),
    /// The nodes do not have as many entries as the stream claims.
    Length,
    /// Two groups have one name.
    DoubleGroup,
    /// Two consumers of a group have one name.
    DoubleConsumer,
    /// This entry is pending twice in a group, or for no consumer or for two, or for a consumer but not in the group.
    Pending(StreamId),
}

impl Stream {
    /// Puts a stream together, after checking every part.
    pub fn from_parts(parts: StreamParts) -> Result<Self, StreamCorrupt> {
        let nodes = check_nodes(parts.nodes)?;
        check_order(&nodes, parts.length, parts.last_id)?;
        let counters = parts.counters.unwrap_or(CountersParts {
            first_id: Entries::new(&nodes, StreamId::MIN, StreamId::MAX, Direction::Forward)
                .next()
                .map_or(StreamId::MIN, |entry| entry.id()),
            max_deleted_id: StreamId::MIN,
            entries_added: parts.length,
        });
        let mut stream = Self {
            nodes,
            counters: Counters {
                length: parts.length,
                last_id: parts.last_id,
                first_id: counters.first_id,
                max_deleted_id: counters.max_deleted_id,
                entries_added: counters.entries_added,
            },
            ..Self::default()
        };
        for mut group in parts.groups {
            if parts.counters.is_none() {
                group.entries_read = stream.counters.entries_up_to(group.last_id);
            }
            let name = std::mem::take(&mut group.name).into_boxed_slice();
            if stream.groups.insert(name, restore_group(&group)?).is_some() {
                return Err(StreamCorrupt::DoubleGroup);
            }
        }
        Ok(stream)
    }
}

fn check_nodes(parts: Vec<(StreamId, Vec<u8>)>) -> Result<Nodes, StreamCorrupt> {
    let mut nodes = Nodes::default();
    for (master, bytes) in parts {
        let pack = Listpack::from_bytes(&bytes).map_err(|corrupt| StreamCorrupt::Listpack(master, corrupt))?;
        if !is_sound(&pack) {
            return Err(StreamCorrupt::Node(master));
        }
        if !nodes.insert(master, pack) {
            return Err(StreamCorrupt::DoubleNode(master));
        }
    }
    Ok(nodes)
}

/// Only live entries count: the ids of deleted ones may lie above the last id, after an `XSETID` between.
fn check_order(nodes: &Nodes, length: u64, last_id: StreamId) -> Result<(), StreamCorrupt> {
    let mut before = None;
    let mut seen = 0;
    for (master, pack) in nodes.iter() {
        for entry in (Node { master, pack }).walk(false).filter(|entry| !entry.deleted) {
            let id = entry.id();
            if before.is_some_and(|before| id <= before) || id < master || id > last_id {
                return Err(StreamCorrupt::Order(id));
            }
            before = Some(id);
            seen += 1;
        }
    }
    if seen == length { Ok(()) } else { Err(StreamCorrupt::Length) }
}

fn restore_group(parts: &GroupParts) -> Result<Group, StreamCorrupt> {
    let mut group = Group::new(parts.last_id, parts.entries_read);
    // Who has each entry comes with the consumers; until then an entry is not in the group's list.
    let mut unowned = std::collections::BTreeMap::new();
    for pending in &parts.pending {
        if unowned.insert(pending.id, *pending).is_some() {
            return Err(StreamCorrupt::Pending(pending.id));
        }
    }
    for consumer in &parts.consumers {
        let (owner, created) = group.consumers.touch(&consumer.name, consumer.seen_time);
        if !created {
            return Err(StreamCorrupt::DoubleConsumer);
        }
        group.consumers.get_mut(owner).active_time = consumer.active_time;
        for id in &consumer.pending {
            let pending = unowned.remove(id).ok_or(StreamCorrupt::Pending(*id))?;
            group.assign(*id, owner, pending.delivery_time);
            let PendingParts { delivery_time, delivery_count, .. } = pending;
            group.pending.insert(*id, Nack { consumer: owner, delivery_time, delivery_count });
        }
    }
    match unowned.first_key_value() {
        Some((id, _)) => Err(StreamCorrupt::Pending(*id)),
        None => Ok(group),
    }
}

impl fmt::Display for StreamCorrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listpack(master, corrupt) => write!(f, "stream node {master}: {corrupt}"),
            Self::Node(master) => write!(f, "stream node {master} has not the layout of one"),
            Self::DoubleNode(master) => write!(f, "two stream nodes with the key {master}"),
            Self::Order(id) => write!(f, "stream entry {id} is out of order"),
            Self::Length => write!(f, "stream length is not the number of its entries"),
            Self::DoubleGroup => write!(f, "two consumer groups of one name"),
            Self::DoubleConsumer => write!(f, "two consumers of one name in a group"),
            Self::Pending(id) => write!(f, "pending entry {id} without exactly one consumer"),
        }
    }
}

impl std::error::Error for StreamCorrupt {}
