//! What walks ask of others: large values that walkers hold, and who waits for them; and how much they keep of what has
//! changed.
//!
//! A small value that a walker holds is simply copied by the first writer that changes it. Copying a large one would
//! stall its stripe, so the command is postponed instead, before it has changed anything, and tried again when the
//! walker has let go. Nothing depends on that for correctness: whoever does change a frozen value copies it.
//!
//! Lost wake-ups. A writer asks, under the value's stripe, whether the value is held, and in the same step leaves
//! word that somebody waits. A walker lets go (it drops its owner's share first) and in the same step picks that word
//! up. Both steps are under one lock, a leaf, so either the writer finds the value free, or the walker finds the
//! word. A value that is still to be walked is awaited in the same way: the word is left while the walk is in the
//! database's list, and picked up when its stripe is done or the walk has left the list.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};

/// See the file's head. One for each keyspace.
#[derive(Default)]
pub(crate) struct Frozen {
    state: Mutex<State>,
    /// Walks that go on, and values that are held: while it is 0 there is nothing to ask for. It rises from 0 under the
    /// exclusive gate only, so whoever is inside a section sees it.
    busy: AtomicUsize,
    /// Bytes of old forms that were handed over and not dropped yet.
    handed_over: AtomicU64,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
struct State {
    /// The addresses of the values, one for each walker that holds them. There are few.
    held: Vec<usize>,
    /// Whether somebody waits.
    awaited: bool,
}

impl Frozen {
    pub(crate) fn set_wake(&self, wake: Box<dyn Fn() + Send + Sync>) {
        assert!(self.wake.set(wake).is_ok(), "there is one way to wake those who wait");
    }

    #[inline]
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Relaxed) != 0
    }

    pub(crate) fn walk_begins(&self) {
        self.busy.fetch_add(1, Relaxed);
    }

    pub(crate) fn walk_ends(&self) {
        self.busy.fetch_sub(1, Relaxed);
    }

    /// Whether the value is held; then somebody waits from now on.
    pub(crate) fn await_value(&self, address: usize) -> bool {
        let mut state = self.state.lock().expect("never poisoned");
        let held = state.held.contains(&address);
        state.awaited |= held;
        held
    }

    /// Somebody waits, for something that is still to be walked.
    pub(crate) fn await_walk(&self) {
        self.state.lock().expect("never poisoned").awaited = true;
    }

    /// Whether somebody waits. Whoever asks this looks after walkers, so he does not wait for one that has stopped in the middle
    /// of this: it is as if nobody waited yet.
    pub(crate) fn is_awaited(&self) -> bool {
        self.state.try_lock().is_ok_and(|state| state.awaited)
    }

    pub(crate) fn handed_over(&self) -> u64 {
        self.handed_over.load(Relaxed)
    }

    /// Wakes those who wait, if there is anybody: whatever they wait for may have come about. Called without any lock.
    pub(crate) fn wake_if_awaited(&self) {
        let awaited = std::mem::take(&mut self.state.lock().expect("never poisoned").awaited);
        if awaited && let Some(wake) = self.wake.get() {
            wake();
        }
    }
}

/// That old forms were handed over, for as long as they are kept.
pub(crate) struct HandedOver {
    frozen: Arc<Frozen>,
    bytes: u64,
}

impl HandedOver {
    pub(crate) fn new(frozen: &Arc<Frozen>, bytes: usize) -> Self {
        frozen.handed_over.fetch_add(bytes as u64, Relaxed);
        Self { frozen: frozen.clone(), bytes: bytes as u64 }
    }

    /// Keeps for as long what another keeps.
    pub(crate) fn join(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for HandedOver {
    fn drop(&mut self) {
        self.frozen.handed_over.fetch_sub(self.bytes, Relaxed);
    }
}

/// That a walker holds a large value. It goes after the walker's share of the value.
pub(crate) struct Hold {
    frozen: Arc<Frozen>,
    address: usize,
}

impl Hold {
    /// Called with the value's stripe held.
    pub(crate) fn new(frozen: &Arc<Frozen>, address: usize) -> Self {
        frozen.busy.fetch_add(1, Relaxed);
        frozen.state.lock().expect("never poisoned").held.push(address);
        Self { frozen: frozen.clone(), address }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.frozen.state.lock().expect("never poisoned");
        let at = state.held.iter().position(|&held| held == self.address).expect("held until now");
        state.held.swap_remove(at);
        drop(state);
        self.frozen.busy.fetch_sub(1, Relaxed);
        self.frozen.wake_if_awaited();
    }
}
