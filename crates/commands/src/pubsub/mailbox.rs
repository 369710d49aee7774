//! What was published for the clients of one worker, in order, until that worker hands it out.
//!
//! Deliveries are numbered. A worker takes them all at once, after it has executed what a tick brought; but a subscriber
//! that executes commands meanwhile looks ahead for what is addressed to it ([`Mailbox::after`]) and remembers up to
//! which number it has seen everything, so that the worker passes it over. That is what keeps a client's messages in
//! place between the replies to its own commands.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::reply::Reply;

/// Subscribers of one worker: the client's id, and its slot among the worker's connections.
pub type Members = BTreeMap<u64, usize>;

/// Bytes that wait for one worker at most. A worker that long does not come round to its clients has them closed, as
/// any subscriber is that does not read: better than memory without bound, and better than a gap that nobody notices.
const BYTES_MAX: usize = 1 << 30;

/// One message and whom it is for.
#[derive(Clone)]
pub struct Delivery {
    /// The message, encoded as RESP2 array; `None` if it was lost for want of room, so that the members must be closed.
    pub message: Option<Arc<Reply>>,
    /// Whom it is for.
    pub to: Arc<Members>,
}

/// See the file's head.
#[derive(Default)]
pub struct Mailbox {
    /// The number of the latest delivery; the first has 1.
    last: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// **Invariant.** Its numbers are consecutive and end with `last`.
    deliveries: VecDeque<Delivery>,
    bytes: usize,
}

impl Mailbox {
    /// Leaves a message. Whoever publishes in a channel does so while holding that channel's lock.
    pub(super) fn post(&self, message: &Arc<Reply>, to: &Arc<Members>) {
        let mut waiting = self.lock();
        let bytes = waiting.bytes + message.pending_bytes();
        let message = (bytes <= BYTES_MAX).then(|| message.clone());
        if message.is_some() {
            waiting.bytes = bytes;
        }
        waiting.deliveries.push_back(Delivery { message, to: to.clone() });
        // Release pairs with the acquire in `last`: who reads the number finds the delivery behind the lock.
        self.last.fetch_add(1, Ordering::Release);
    }

    /// The number of the latest delivery, and 0 before the first.
    #[inline]
    pub fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// Copies the deliveries after a number; those that are gone already were handed out.
    pub(super) fn after(&self, seen: u64) -> (u64, Vec<Delivery>) {
        let waiting = self.lock();
        let last = self.last();
        let first = last + 1 - waiting.deliveries.len() as u64;
        let skip = (seen + 1).saturating_sub(first) as usize;
        (last, waiting.deliveries.iter().skip(skip).cloned().collect())
    }

    /// Takes all deliveries, with the number of the first.
    pub fn drain(&self) -> (u64, VecDeque<Delivery>) {
        let mut waiting = self.lock();
        let Waiting { deliveries, .. } = std::mem::take(&mut *waiting);
        (self.last() + 1 - deliveries.len() as u64, deliveries)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("never poisoned")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Arc<Reply> {
        let mut reply = Reply::default();
        reply.bulk_shared(&Arc::new(vec![b'x'; bytes]));
        Arc::new(reply)
    }

    #[test]
    fn deliveries_are_numbered_across_drains() {
        let (mailbox, to) = (Mailbox::default(), Arc::new(Members::new()));
        assert_eq!((mailbox.last(), mailbox.drain().0), (0, 1));
        (0..3).for_each(|_| mailbox.post(&message(1), &to));
        assert_eq!(mailbox.after(0).1.len(), 3);
        assert_eq!(mailbox.after(2).1.len(), 1);
        assert_eq!(mailbox.after(3).1.len(), 0);
        let (first, deliveries) = mailbox.drain();
        assert_eq!((first, deliveries.len(), mailbox.last()), (1, 3, 3));
        mailbox.post(&message(1), &to);
        assert_eq!((mailbox.after(0).0, mailbox.after(0).1.len()), (4, 1));
        assert_eq!(mailbox.drain().0, 4);
    }

    #[test]
    fn what_finds_no_room_is_known_to_be_lost() {
        let (mailbox, to) = (Mailbox::default(), Arc::new(Members::new()));
        let half = message(BYTES_MAX / 2);
        (0..3).for_each(|_| mailbox.post(&half, &to));
        mailbox.post(&message(1), &to);
        let kept: Vec<bool> = mailbox.drain().1.iter().map(|delivery| delivery.message.is_some()).collect();
        assert_eq!(kept, [true, false, false, true], "the heads of the messages count as well");
        mailbox.post(&half, &to);
        assert!(mailbox.drain().1[0].message.is_some(), "there is room again");
    }
}
