//! Who listens to which channel, and how a message gets to them.
//!
//! A channel's subscribers are kept by worker, as sets that are shared with the messages on their way: publishing hands
//! each concerned worker one reference to the message and one to the set, however many clients listen there. A set is
//! copied when it changes while a message still holds it.
//!
//! **Order.** A message is left in the mailboxes of all concerned workers under its channel's lock. So all who hear a
//! channel, by its name or by a pattern, hear its messages in one order, whoever publishes; and since a publisher is
//! answered after that, what it publishes next comes later everywhere, in other channels too. Messages that two clients
//! publish at the same moment in *different* channels may reach two workers in either order.
//! **Interleavings.** A subscription begins under the lock, before its confirmation is written; messages come through the
//! mailbox, so none precedes the confirmation. It ends under the lock as well, and whatever was left in the mailbox by
//! then is written before that confirmation ([`super::catch_up`]): none is lost, and none follows it.
//! **Lock order.** A lock of this file is a leaf below the stripes; below a channel's come only the patterns' and, last,
//! one mailbox's.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use smallvec::SmallVec;
use store::entry::SHARED_MIN;
use store::hash::hash_bytes;

use super::mailbox::{Mailbox, Members};
use crate::client::Client;
use crate::glob;
use crate::reply::Reply;

const SHARDS: usize = 64;
/// How the channels of keyspace events begin.
const EVENTS: &[u8] = b"__key";

/// What one can subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A channel.
    Channel,
    /// All channels that match a pattern.
    Pattern,
    /// A channel that belongs to a part of a cluster; a name space of its own.
    Shard,
}

/// Whom a message went to.
#[derive(Debug, Default)]
pub struct Sent {
    /// How many clients get it, counting those twice who hear the channel twice.
    pub receivers: usize,
    /// The workers that have to be woken.
    pub workers: SmallVec<[usize; 8]>,
}

/// See the file's head.
pub struct Channels {
    channels: Directory,
    shard_channels: Directory,
    /// A pattern is looked at for each message, so they are few and in one place.
    patterns: RwLock<BTreeMap<Box<[u8]>, Subscribers>>,
    mailboxes: Box<[Mailbox]>,
    /// **Invariant.** Each counter is raised before what it counts can be found.
    pattern_count: AtomicUsize,
    /// Subscriptions that may hear keyspace events.
    event_listeners: AtomicUsize,
}

/// Channels by name, in parts with a lock each.
struct Directory([Mutex<HashMap<Box<[u8]>, Subscribers>>; SHARDS]);

/// Subscribers by worker; a worker without any is not in it.
#[derive(Default)]
struct Subscribers(SmallVec<[(usize, Arc<Members>); 2]>);

impl Channels {
    /// No channels yet, for so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            channels: Directory::default(),
            shard_channels: Directory::default(),
            patterns: RwLock::default(),
            mailboxes: (0..workers).map(|_| Mailbox::default()).collect(),
            pattern_count: AtomicUsize::new(0),
            event_listeners: AtomicUsize::new(0),
        }
    }

    /// What is published for a worker's clients.
    #[inline]
    pub fn mailbox(&self, worker: usize) -> &Mailbox {
        &self.mailboxes[worker]
    }

    /// Whether anybody might hear a keyspace event.
    #[inline]
    pub fn hears_events(&self) -> bool {
        self.event_listeners.load(Ordering::Acquire) != 0
    }

    /// Number of channels that somebody listens to.
    pub fn channel_count(&self) -> usize {
        self.channels.len()
    }

    /// Number of shard channels that somebody listens to.
    pub fn shard_channel_count(&self) -> usize {
        self.shard_channels.len()
    }

    /// Number of patterns that somebody listens to.
    pub fn pattern_count(&self) -> usize {
        self.pattern_count.load(Ordering::Relaxed)
    }

    /// The channels (or shard channels) that somebody listens to, as far as they match.
    ///
    /// # Panics
    /// When asked for patterns, which have no names to be matched.
    pub fn names(&self, kind: Kind, pattern: Option<&[u8]>) -> Vec<Box<[u8]>> {
        let fits = |name: &[u8]| pattern.is_none_or(|pattern| glob::matches(pattern, name, false));
        let mut names = Vec::new();
        for part in &self.directory(kind).0 {
            names.extend(part.lock().expect("never poisoned").keys().filter(|name| fits(name)).cloned());
        }
        names
    }

    /// How many clients listen to a channel (or shard channel) by its name.
    pub fn subscribers(&self, kind: Kind, name: &[u8]) -> usize {
        self.directory(kind).part(name).get(name).map_or(0, Subscribers::len)
    }

    /// Adds a subscription that the client does not have yet.
    pub(super) fn subscribe(&self, kind: Kind, name: &[u8], client: &Client) {
        if may_hear_events(kind, name) {
            self.event_listeners.fetch_add(1, Ordering::AcqRel);
        }
        if kind == Kind::Pattern {
            let mut patterns = self.patterns.write().expect("never poisoned");
            if !patterns.contains_key(name) {
                self.pattern_count.fetch_add(1, Ordering::AcqRel);
            }
            return patterns.entry(name.into()).or_default().add(client);
        }
        self.directory(kind).part(name).entry(name.into()).or_default().add(client);
    }

    /// Takes a subscription away.
    pub(super) fn unsubscribe(&self, kind: Kind, name: &[u8], client: &Client) {
        if kind == Kind::Pattern {
            let mut patterns = self.patterns.write().expect("never poisoned");
            if patterns.get_mut(name).is_some_and(|subscribers| subscribers.remove(client)) {
                patterns.remove(name);
                self.pattern_count.fetch_sub(1, Ordering::AcqRel);
            }
        } else if let Entry::Occupied(mut subscribers) = self.directory(kind).part(name).entry(name.into())
            && subscribers.get_mut().remove(client)
        {
            subscribers.remove();
        }
        if may_hear_events(kind, name) {
            self.event_listeners.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Leaves a message for all who listen to a channel (or shard channel).
    pub(super) fn publish(&self, kind: Kind, channel: &[u8], payload: &[u8]) -> Sent {
        let mut sent = Sent::default();
        let word: &[u8] = if kind == Kind::Shard { b"smessage" } else { b"message" };
        let part = self.directory(kind).part(channel);
        if let Some(subscribers) = part.get(channel) {
            self.send(subscribers, &encode(&[word, channel], payload), &mut sent);
        }
        if kind == Kind::Channel && self.pattern_count.load(Ordering::Acquire) != 0 {
            let patterns = self.patterns.read().expect("never poisoned");
            let concerned = patterns.iter().filter(|(pattern, _)| glob::matches(pattern, channel, false));
            for (pattern, subscribers) in concerned {
                self.send(subscribers, &encode(&[b"pmessage", pattern, channel], payload), &mut sent);
            }
        }
        sent
    }

    fn send(&self, subscribers: &Subscribers, message: &Arc<Reply>, sent: &mut Sent) {
        for (worker, members) in &subscribers.0 {
            self.mailboxes[*worker].post(message, members);
            sent.receivers += members.len();
            if !sent.workers.contains(worker) {
                sent.workers.push(*worker);
            }
        }
    }

    fn directory(&self, kind: Kind) -> &Directory {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Shard => &self.shard_channels,
            Kind::Pattern => panic!("patterns are kept apart"),
        }
    }
}

fn may_hear_events(kind: Kind, name: &[u8]) -> bool {
    kind == Kind::Pattern || (kind == Kind::Channel && name.starts_with(EVENTS))
}

/// A message for both versions of the protocol; [`Reply::append_push`] makes the difference.
fn encode(head: &[&[u8]], payload: &[u8]) -> Arc<Reply> {
    let mut message = Reply::default();
    message.array(head.len() + 1);
    head.iter().for_each(|part| message.bulk(part));
    if payload.len() >= SHARED_MIN {
        message.bulk_shared(&Arc::new(payload.to_vec()));
    } else {
        message.bulk(payload);
    }
    Arc::new(message)
}

impl Default for Directory {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Directory {
    fn part(&self, name: &[u8]) -> MutexGuard<'_, HashMap<Box<[u8]>, Subscribers>> {
        self.0[hash_bytes(name) as usize % SHARDS].lock().expect("never poisoned")
    }

    fn len(&self) -> usize {
        self.0.iter().map(|part| part.lock().expect("never poisoned").len()).sum()
    }
}

impl Subscribers {
    fn len(&self) -> usize {
        self.0.iter().map(|(_, members)| members.len()).sum()
    }

    fn add(&mut self, client: &Client) {
        let at = self.0.iter().position(|(worker, _)| *worker == client.worker).unwrap_or_else(|| {
            self.0.push((client.worker, Arc::default()));
            self.0.len() - 1
        });
        Arc::make_mut(&mut self.0[at].1).insert(client.id, client.slot);
    }

    /// Takes a client out; says whether nobody is left.
    fn remove(&mut self, client: &Client) -> bool {
        if let Some(at) = self.0.iter().position(|(worker, _)| *worker == client.worker) {
            let members = Arc::make_mut(&mut self.0[at].1);
            members.remove(&client.id);
            if members.is_empty() {
                self.0.swap_remove(at);
            }
        }
        self.0.is_empty()
    }
}
