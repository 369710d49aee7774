//! What one walk and the writers of one database tell each other: which stripes are done, and what was handed over.
//!
//! All of it happens under a stripe's lock (the writer holds it exclusively, the walker at least shared), so a stripe
//! is seen either before the walker's visit or after it: a writer that finds it not done hands the old form over, and
//! the walker, who comes later, finds the entry stamped and passes it by; a writer that finds it done has nothing to
//! give. So the done marks need no ordering of their own.
//!
//! A stripe that was found empty is not visited and never marked. That is sound, because nothing old can come into
//! it; but a writer may have emptied it just now, and what it handed over must be here when the walker looks for the
//! last time. It is: the writer hands over *before* it clears the stripe's bit in the map of occupied ones, both
//! under the queue's lock or after it, and the walker reads the bit before it takes that lock. Were the walker first
//! at the lock, its reading of the bit would have happened before the bit was cleared. The model below goes through
//! all of it; it finds the lost entry when the two steps of the writer are exchanged, and when the mark is set after
//! the stripe's lock is let go.

#[cfg(all(test, loom))]
use loom::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};
#[cfg(not(all(test, loom)))]
use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

/// See the file's head. `G` is what is handed over.
pub(crate) struct Part<G> {
    /// The epoch that began with the cut: entries that were stamped before it belong to the walk.
    cut: u16,
    /// One bit for each stripe. A bit is set with the stripe's lock held, and never cleared.
    done: Box<[AtomicU64]>,
    /// Old forms of what has changed since the cut.
    given: Mutex<Vec<G>>,
    /// Stripes in which somebody waits for a large value to be walked.
    urgent: Mutex<Vec<usize>>,
    /// Whether there may be any. Set after the stripe is in `urgent`; seeing it late costs only time.
    is_urgent: AtomicBool,
}

impl<G> Part<G> {
    pub(crate) fn new(cut: u16, stripes: usize) -> Self {
        Self {
            cut,
            done: (0..stripes.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            given: Mutex::new(Vec::new()),
            urgent: Mutex::new(Vec::new()),
            is_urgent: AtomicBool::new(false),
        }
    }

    /// Whether an entry of this epoch belongs to the walk, wherever it is.
    #[inline]
    pub(crate) fn is_of(&self, epoch: u16) -> bool {
        is_older(epoch, self.cut)
    }

    /// Whether the walker is still to come for an entry of this epoch. The stripe is held.
    pub(crate) fn awaits(&self, stripe: usize, epoch: u16) -> bool {
        self.is_of(epoch) && !self.is_done(stripe)
    }

    /// The stripe is held, or nothing is decided by the answer.
    pub(crate) fn is_done(&self, stripe: usize) -> bool {
        self.done[stripe / 64].load(Relaxed) & (1 << (stripe % 64)) != 0
    }

    /// Only the walker calls this, with the stripe held.
    pub(crate) fn mark_done(&self, stripe: usize) {
        self.done[stripe / 64].fetch_or(1 << (stripe % 64), Relaxed);
    }

    /// Takes an old form. The writer holds its stripe exclusively, and has found that the walk awaits it.
    pub(crate) fn give(&self, old: G) {
        self.given.lock().expect("never poisoned").push(old);
    }

    /// All old forms that were given since the last call.
    pub(crate) fn take_given(&self) -> Vec<G> {
        std::mem::take(&mut *self.given.lock().expect("never poisoned"))
    }

    /// Makes a stripe the next to be walked.
    pub(crate) fn urge(&self, stripe: usize) {
        let mut urgent = self.urgent.lock().expect("never poisoned");
        if !urgent.contains(&stripe) {
            urgent.push(stripe);
        }
        self.is_urgent.store(true, Relaxed);
    }

    /// A stripe that somebody waits for; it may be done by now.
    pub(crate) fn next_urgent(&self) -> Option<usize> {
        if !self.is_urgent.load(Relaxed) {
            return None;
        }
        let mut urgent = self.urgent.lock().expect("never poisoned");
        let next = urgent.pop();
        self.is_urgent.store(!urgent.is_empty(), Relaxed);
        next
    }
}

/// Whether an epoch comes before another. They are serial numbers: right while no two are 2^15 apart.
#[inline]
pub(crate) const fn is_older(epoch: u16, than: u16) -> bool {
    (epoch.wrapping_sub(than) as i16) < 0
}

#[cfg(all(test, loom))]
mod model {
    use loom::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use loom::sync::{Arc, Mutex, RwLock};
    use loom::thread;

    use super::Part;

    const CUT: u16 = 5;

    /// A database of one stripe with one entry, as the real one is made: a lock, an epoch beside the value, and a bit
    /// that tells without the lock whether the stripe is occupied.
    struct Model {
        stripe: RwLock<Option<(u16, char)>>,
        occupied: AtomicBool,
        part: Part<char>,
    }

    impl Model {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                stripe: RwLock::new(Some((CUT - 1, 'a'))),
                occupied: AtomicBool::new(true),
                part: Part::new(CUT, 1),
            })
        }

        fn hand_over(&self, entry: (u16, char)) {
            if self.part.awaits(0, entry.0) {
                self.part.give(entry.1);
            }
        }

        fn change(&self, to: char) {
            let mut stripe = self.stripe.write().unwrap();
            if let Some(entry) = &mut *stripe {
                self.hand_over(*entry);
                *entry = (CUT, to);
            }
        }

        fn remove(&self) {
            let mut stripe = self.stripe.write().unwrap();
            if let Some(entry) = stripe.take() {
                self.hand_over(entry);
                self.occupied.store(false, Relaxed);
            }
        }

        fn insert(&self, value: char) {
            let mut stripe = self.stripe.write().unwrap();
            if stripe.is_none() {
                self.occupied.store(true, Relaxed);
                *stripe = Some((CUT, value));
            }
        }

        /// What the walk brings together.
        fn walk(&self) -> Vec<char> {
            let mut found = self.part.take_given();
            if self.occupied.load(Relaxed) {
                let stripe = self.stripe.read().unwrap();
                found.extend(stripe.filter(|entry| self.part.is_of(entry.0)).map(|entry| entry.1));
                self.part.mark_done(0);
                drop(stripe);
            }
            found.extend(self.part.take_given());
            found
        }
    }

    fn check(writers: Vec<fn(&Model)>) {
        loom::model(move || {
            let model = Model::new();
            let threads: Vec<_> = writers
                .iter()
                .map(|&writer| {
                    let model = model.clone();
                    thread::spawn(move || writer(&model))
                })
                .collect();
            let found = model.walk();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(found, ['a'], "the walk is not the state at its cut");
            assert!(model.part.take_given().is_empty(), "something was handed over after the walk");
        });
    }

    #[test]
    fn a_walk_beside_a_change_and_a_removal() {
        check(vec![|model| model.change('b'), Model::remove]);
    }

    #[test]
    fn a_walk_beside_a_removal_and_a_new_entry() {
        check(vec![
            |model| {
                model.remove();
                model.insert('c');
            },
            |model| model.change('d'),
        ]);
    }

    /// Somebody who waits for a stripe is heard before the walk ends or is told that it is done.
    #[test]
    fn urging_is_heard() {
        loom::model(|| {
            let (model, told) = (Model::new(), Arc::new(Mutex::new(false)));
            let writer = {
                let (model, told) = (model.clone(), told.clone());
                thread::spawn(move || {
                    let stripe = model.stripe.write().unwrap();
                    if model.part.awaits(0, CUT - 1) {
                        model.part.urge(0);
                        *told.lock().unwrap() = true;
                    }
                    drop(stripe);
                })
            };
            let stripe = model.stripe.read().unwrap();
            model.part.mark_done(0);
            drop(stripe);
            // From here on nobody urges any more, and who has done so is seen.
            let urged = *told.lock().unwrap();
            assert_eq!(model.part.next_urgent().is_some(), urged);
            writer.join().unwrap();
        });
    }
}
