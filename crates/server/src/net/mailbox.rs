//! A queue of messages for one thread that sleeps, and a bell that is rung at most once between two of its rounds.
//!
//! **Invariant.** `rung` is true from the first message after a drain until the next drain begins. So a message is either
//! taken by the drain that follows its push, or whoever left it rings. The lock is a leaf: nothing is taken under it.
//!
//! The interleaving to fear: a message is pushed after the owner has emptied the queue, while `rung` is still set from
//! before, so nobody rings and the message lies there while the owner sleeps. It cannot happen because the owner clears
//! `rung` *before* it takes the queue: a pusher that still finds it set has pushed before the owner locks. The model
//! below goes through all interleavings; with the two steps of [`Mailbox::drain`] exchanged it finds the lost message.

#[cfg(loom)]
use loom::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};
#[cfg(not(loom))]
use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

/// See the file's head.
pub(super) struct Mailbox<T> {
    messages: Mutex<Vec<T>>,
    rung: AtomicBool,
}

impl<T> Mailbox<T> {
    pub(super) fn new() -> Self {
        Self { messages: Mutex::new(Vec::new()), rung: AtomicBool::new(false) }
    }

    /// Leaves a message; `ring` is called unless somebody has rung already.
    pub(super) fn post(&self, message: T, ring: impl FnOnce()) {
        self.messages.lock().expect("never poisoned").push(message);
        self.ring(ring);
    }

    /// Calls `ring` unless somebody has rung already.
    pub(super) fn ring(&self, ring: impl FnOnce()) {
        // Release: what the ring is for, a push say, comes before. Acquire pairs with the release in `drain`.
        if !self.rung.swap(true, Ordering::AcqRel) {
            ring();
        }
    }

    /// Takes all messages.
    pub(super) fn drain(&self) -> Vec<T> {
        self.rung.swap(false, Ordering::AcqRel);
        std::mem::take(&mut *self.messages.lock().expect("never poisoned"))
    }
}

#[cfg(all(test, loom))]
mod model {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::thread;

    use super::Mailbox;

    /// Two threads leave a message each. The owner sleeps until the bell rings, and drains. When all is quiet, no message
    /// may be left over without a ring that nobody has answered.
    #[test]
    fn no_message_is_left_without_a_ring() {
        loom::model(|| {
            let mailbox = Arc::new(Mailbox::new());
            let rings = Arc::new(AtomicUsize::new(0));
            let posters: Vec<_> = (0..2)
                .map(|message| {
                    let (mailbox, rings) = (mailbox.clone(), rings.clone());
                    thread::spawn(move || {
                        mailbox.post(message, || {
                            rings.fetch_add(1, Ordering::SeqCst);
                        });
                    })
                })
                .collect();
            let (mut answered, mut taken) = (0, 0);
            // One round while the others are at work, if the bell has rung by then.
            if rings.load(Ordering::SeqCst) > answered {
                answered += 1;
                taken += mailbox.drain().len();
            }
            posters.into_iter().for_each(|poster| poster.join().unwrap());
            while rings.load(Ordering::SeqCst) > answered {
                answered += 1;
                taken += mailbox.drain().len();
            }
            assert_eq!(taken, 2, "a message is left and nobody rings");
        });
    }
}
