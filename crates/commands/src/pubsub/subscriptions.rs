//! What one client listens to. It belongs to the client's session; the shared record holds the counts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::channels::{Channels, Kind};
use super::mailbox::Mailbox;
use crate::client::{Client, ClientFlags};
use crate::reply::Reply;

type Names = BTreeSet<Box<[u8]>>;

/// See the file's head. Once there, it stays with the session: what it has seen must not be seen again.
#[derive(Default)]
pub struct Subscriptions {
    channels: Names,
    patterns: Names,
    shard_channels: Names,
    /// Number of the latest delivery in the worker's mailbox up to which nothing is to be handed to this client any more.
    pub(super) seen: u64,
    /// Messages that came inside a transaction and wait until its reply is complete.
    pub(super) late: Vec<Arc<Reply>>,
}

impl Subscriptions {
    /// Whether the client listens to anything.
    #[inline]
    pub fn is_active(&self) -> bool {
        !(self.channels.is_empty() && self.patterns.is_empty() && self.shard_channels.is_empty())
    }

    /// Whether a delivery of this number is still to be handed to the client.
    #[inline]
    pub fn awaits(&self, number: u64) -> bool {
        number > self.seen
    }

    /// What lies in the worker's mailbox for this client, which counts as handed out from now on.
    pub(super) fn fresh(&mut self, mailbox: &Mailbox, id: u64) -> Vec<Arc<Reply>> {
        if mailbox.last() == self.seen {
            return Vec::new();
        }
        let (last, deliveries) = mailbox.after(self.seen);
        let first = last + 1 - deliveries.len() as u64;
        self.seen = last;
        let mut fresh = Vec::new();
        for (delivery, number) in deliveries.into_iter().zip(first..).filter(|(it, _)| it.to.contains_key(&id)) {
            let Some(message) = delivery.message else {
                // It was lost, and the worker closes the client when it comes to it; nothing is shown behind the gap.
                self.seen = number - 1;
                break;
            };
            fresh.push(message);
        }
        fresh
    }

    /// The count that confirmations of a kind tell: shard channels are counted on their own.
    pub(super) fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Channel | Kind::Pattern => self.channels.len() + self.patterns.len(),
            Kind::Shard => self.shard_channels.len(),
        }
    }

    /// All names of a kind.
    pub(super) fn names(&self, kind: Kind) -> Vec<Box<[u8]>> {
        let names = match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::Shard => &self.shard_channels,
        };
        names.iter().cloned().collect()
    }

    /// Begins to listen, unless the client does already.
    pub(super) fn add(&mut self, channels: &Channels, client: &Client, kind: Kind, name: &[u8]) {
        if self.names_mut(kind).insert(name.into()) {
            channels.subscribe(kind, name, client);
            self.note(client, kind);
        }
    }

    /// Ceases to listen, if the client did.
    pub(super) fn remove(&mut self, channels: &Channels, client: &Client, kind: Kind, name: &[u8]) {
        if self.names_mut(kind).remove(name) {
            channels.unsubscribe(kind, name, client);
            self.note(client, kind);
        }
    }

    /// Ceases to listen to anything.
    pub(super) fn clear(&mut self, channels: &Channels, client: &Client) {
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            self.names(kind).iter().for_each(|name| self.remove(channels, client, kind, name));
        }
    }

    fn names_mut(&mut self, kind: Kind) -> &mut Names {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shard_channels,
        }
    }

    /// Writes a change into the shared record.
    fn note(&mut self, client: &Client, kind: Kind) {
        let shown: &AtomicU32 = match kind {
            Kind::Channel => &client.subscriptions,
            Kind::Pattern => &client.patterns,
            Kind::Shard => &client.shard_subscriptions,
        };
        shown.store(self.names_mut(kind).len() as u32, Relaxed);
        client.set_flags(ClientFlags::PUBSUB, self.is_active());
    }
}
