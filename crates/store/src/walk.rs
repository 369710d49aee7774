//! Snapshots without fork: the cut, and the walk that brings together what the keyspace was at its cut.
//!
//! **The cut** is an instant under the exclusive gate: a new epoch begins, and the databases that there are get a
//! [`Part`] each, in which the walk and the writers meet. Nothing is copied.
//!
//! **The walk** visits each stripe once, shares the entries that are older than the cut ([`Entry::share`]: small ones
//! are copied, of others an owner's share is taken), and marks the stripe done before it lets go. Entries that were
//! changed since are stamped with a newer epoch, and are passed by: whoever changed or removed one has handed its old
//! form over first, if the stripe was not done. So each key of the snapshot comes exactly once, from the table or
//! from a writer.
//!
//! **Invariants.**
//! 1. Whoever holds a stripe exclusively and changes, replaces or removes an entry of it calls [`Walks::stamp`] or
//!    [`Walks::leaves`] first; [`crate::guard::Guard`] and [`Keyspace::expire_stripe`] are the only ones.
//! 2. An entry that comes into a table is stamped with the present epoch, whatever it was before: RENAME and MOVE are a
//!    removal and a new entry.
//! 3. A database's list of walks grows under the exclusive gate only. So a writer, who is inside a section, sees a
//!    walk from its first change after the cut on, by one relaxed load. The list shrinks at any time; who sees that
//!    late hands over something that nobody takes.
//! 4. Two epochs that are compared are less than 2^15 apart; see *epochs* below.
//!
//! **Lock order.** Gate, stripe, the database's list of walks, then one of the leaves: the queue of old forms, the
//! stripes that are urgent, the values that are held. The walker is outside of the gate and holds one stripe at a
//! time, so it can wait for nobody who waits for it.
//!
//! **Interleavings that were thought about.**
//! - *A change beside the visit of its stripe:* one of them has the lock first; see [`part`].
//! - *A stripe that is emptied while the walker passes:* see [`part`], too.
//! - *FLUSHALL, SWAPDB:* the walk owns its databases, whatever their numbers are now; what is detached does not change
//!   any more, and the walk finishes it.
//! - *An entry moves (RENAME, MOVE) from a stripe that is not done into one that is, or the other way round:* it is
//!   handed over where it leaves and is new where it comes to, so it is neither lost nor met twice.
//! - *Two walks:* each has its own marks; an old form goes to each walk that still awaits it. A change stamps the
//!   entry with the newest epoch, which is above all cuts, so the second change since gives nothing to anybody: to
//!   the older walk it was given at the first.
//! - *A guard that was taken before the cut:* there is none, because the cut has the gate to itself.
//! - *A database that is created after the cut:* it has no part in the walk, and all its entries are newer.
//! - *A walk that is dropped before its end:* it leaves the lists; what was handed over goes with it.
//!
//! **Epochs** are serial numbers of 16 bits, for there is no more room in an entry. An entry that nobody touches
//! would look new again after 2^15 cuts. So a walk whose cut is [`SWEEP_AFTER`] after that of the last sweep *sweeps*
//! as it goes: it holds the stripes exclusively and stamps what is older than all walks that go on as just that old.
//! If walks do not come to their end for so long that it gets urgent ([`SWEEP_AT_ONCE`]), the cut sweeps by itself.
//! And a walk over which so many cuts have gone that its entries would stay too old ([`OVERTAKEN_AFTER`]) fails.
//!
//! **Large values** are not to be copied by a writer who changes them beside a walk: [`Keyspace::must_wait`] tells
//! him that he should come again later, and [`frozen`] who wakes him. A large value comes in a [`Piece`] of its own,
//! so that it is held no longer than it takes to write it out.
//!
//! The alternatives: `fork` stalls with the size of the page tables and doubles memory in the worst case; a second
//! table beside the first (copy on write by stripe) copies what nobody changes.

pub(crate) mod frozen;
pub(crate) mod part;
#[cfg(all(test, not(loom)))]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};

use parking_lot::RwLock;

use crate::database::Database;
use crate::entry::Entry;
use crate::gate::Section;
use crate::guard::{Guard, Key};
use crate::keyspace::Keyspace;
use crate::stripe::Inner;
use frozen::{Frozen, HandedOver, Hold};
use part::{Part, is_older};

/// Cuts after which a walk sweeps. With the two below the largest distance of two epochs stays below 2^15.
const SWEEP_AFTER: u16 = 1 << 14;
/// Cuts after which a cut sweeps by itself.
const SWEEP_AT_ONCE: u16 = SWEEP_AFTER + (1 << 12);
/// Cuts that may go over a walk before it fails.
const OVERTAKEN_AFTER: u16 = 1 << 13;
/// Entries that were handed over come in pieces of so many, so that they go as they are written out.
const GIVEN_ENTRIES_MAX: usize = 64;
const _: () = assert!(SWEEP_AT_ONCE + OVERTAKEN_AFTER < (1 << 15) - 1);

/// A walk over the keyspace as it was at its cut; see the file's head. Dropping it ends it.
pub struct Walk {
    shared: Arc<Shared>,
    registry: Arc<Registry>,
    frozen: Arc<Frozen>,
    sizes: Vec<(u32, usize, usize)>,
    /// What is left to be walked. The first is in hand.
    rest: VecDeque<Rest>,
    /// What is at hand.
    pending: VecDeque<Piece>,
    /// Whether what was handed over has its turn; else the next stripe.
    given_first: bool,
    /// What older entries are stamped with, if this walk sweeps.
    sweep: Option<u16>,
}

/// A database that a walk has not finished.
struct Rest {
    db: u32,
    database: Arc<Database>,
    part: Arc<Part<Given>>,
    next_stripe: usize,
}

/// Some entries of one database, as they were at the cut. Each key of the snapshot is in one piece.
///
/// Writers may wait for a large value until its piece is dropped.
pub struct Piece {
    db: u32,
    entries: Vec<Entry>,
    // Behind the entries, so that their values are let go of first.
    _hold: Option<Hold>,
    _handed_over: Option<HandedOver>,
}

/// An old form that a writer has handed over. A large one is held until its piece is dropped.
pub(crate) struct Given {
    entry: Entry,
    hold: Option<Hold>,
    handed_over: HandedOver,
}

/// What walks cost everybody else at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressure {
    /// Bytes of what has changed since a cut and is kept for a walk.
    pub handed_over: u64,
    /// Whether somebody waits until a large value is walked.
    pub is_awaited: bool,
}

/// What a walk and the keyspace know of each other.
struct Shared {
    cut: u16,
    /// Too many cuts went over it.
    overtaken: AtomicBool,
    /// The walk owns a database until it is finished with it: then one that was detached can go.
    parts: Vec<(Weak<Database>, Arc<Part<Given>>)>,
}

/// The walks of a keyspace.
#[derive(Default)]
pub(crate) struct Registry(Mutex<Registered>);

#[derive(Default)]
struct Registered {
    walks: Vec<Arc<Shared>>,
    /// The cut of the last walk that swept to its end.
    swept: u16,
}

/// The walks that go over a database; see the file's head.
#[derive(Default)]
pub(crate) struct Walks {
    /// Whether there are any.
    on: AtomicBool,
    parts: RwLock<Vec<Arc<Part<Given>>>>,
    frozen: Arc<Frozen>,
}

impl Piece {
    /// The number that the database had at the cut.
    pub fn db(&self) -> u32 {
        self.db
    }

    /// The entries. Some may have expired: they were there at the cut.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

impl Walk {
    /// The databases that are not empty, by the number that they had at the cut: number, keys, and how many of these
    /// have an expiry.
    pub fn databases(&self) -> &[(u32, usize, usize)] {
        &self.sizes
    }

    /// Whether everything was handed out. A walk may end early: when thousands of cuts have gone over it.
    pub fn is_complete(&self) -> bool {
        // Set under the gate's exclusive lock, before any writer goes by the list without this walk; whatever such a
        // writer has left in a stripe was read under that stripe's lock. So the load cannot miss it.
        self.rest.is_empty() && self.pending.is_empty() && !self.shared.overtaken.load(Relaxed)
    }

    fn take_given(&mut self) {
        let Some(rest) = self.rest.front() else { return };
        let (mut small, mut of_small) = (Vec::new(), None::<HandedOver>);
        for Given { entry, hold, handed_over } in rest.part.take_given() {
            if let Some(hold) = hold {
                self.pending.push_back(Piece::large(rest.db, entry, hold, Some(handed_over)));
                continue;
            }
            small.push(entry);
            match &mut of_small {
                Some(of_small) => of_small.join(handed_over),
                None => of_small = Some(handed_over),
            }
            if small.len() == GIVEN_ENTRIES_MAX {
                self.pending.extend(Piece::small(rest.db, std::mem::take(&mut small), of_small.take()));
            }
        }
        self.pending.extend(Piece::small(rest.db, small, of_small));
    }

    /// Walks a stripe that somebody waits for, if there is any; else the next.
    fn walk_stripe(&mut self) {
        let urgent = self.rest.iter().enumerate().find_map(|(at, rest)| Some((at, rest.part.next_urgent()?)));
        if let Some((at, stripe)) = urgent {
            self.visit(at, stripe);
            // Perhaps there was nothing large in it any more.
            self.frozen.wake_if_awaited();
            return;
        }
        let Some(rest) = self.rest.front_mut() else { return };
        if let Some(stripe) = rest.database.next_occupied(rest.next_stripe) {
            rest.next_stripe = stripe + 1;
            self.visit(0, stripe);
            return;
        }
        // Nothing more can be given: every stripe is done, or was empty.
        self.take_given();
        if let Some(rest) = self.rest.pop_front() {
            self.leave(&rest);
        }
    }

    fn visit(&mut self, at: usize, stripe: usize) {
        let Rest { db, database, part, .. } = &self.rest[at];
        if part.is_done(stripe) {
            return;
        }
        let (mut small, mut large) = (Vec::new(), Vec::new());
        let mut share = |entry: &Entry| {
            if !part.is_of(entry.epoch()) {
                return;
            }
            match entry.large_value() {
                Some(address) => large.push(Piece::large(*db, entry.share(), Hold::new(&self.frozen, address), None)),
                None => small.push(entry.share()),
            }
        };
        match self.sweep {
            None => database.stripe(stripe).read(|inner| {
                inner.table.iter().for_each(&mut share);
                part.mark_done(stripe);
            }),
            Some(oldest) => database.stripe(stripe).write(|inner| {
                inner.table.iter().for_each(&mut share);
                part.mark_done(stripe);
                sweep(inner, oldest);
            }),
        }
        self.pending.extend(large);
        self.pending.extend(Piece::small(*db, small, None));
    }

    /// Leaves a database's list.
    fn leave(&self, rest: &Rest) {
        rest.database.walks().remove(&rest.part);
        self.frozen.wake_if_awaited();
    }
}

impl Iterator for Walk {
    type Item = Piece;

    /// The next piece. It takes a stripe's lock for as long as it takes to share its entries.
    fn next(&mut self) -> Option<Piece> {
        loop {
            if self.shared.overtaken.load(Relaxed) {
                return None;
            }
            if let Some(piece) = self.pending.pop_front() {
                return Some(piece);
            }
            if self.rest.is_empty() {
                return None;
            }
            // By turns: so what was handed over does not pile up, and the stripes that are done become more.
            if std::mem::replace(&mut self.given_first, false) {
                self.take_given();
            } else {
                self.given_first = true;
                self.walk_stripe();
            }
        }
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        let complete = self.is_complete();
        self.rest.iter().for_each(|rest| self.leave(rest));
        let mut registered = self.registry.0.lock().expect("never poisoned");
        registered.walks.retain(|walk| !Arc::ptr_eq(walk, &self.shared));
        if complete && self.sweep.is_some() && is_older(registered.swept, self.shared.cut) {
            registered.swept = self.shared.cut;
        }
        drop(registered);
        self.frozen.walk_ends();
    }
}

impl Piece {
    fn small(db: u32, entries: Vec<Entry>, handed_over: Option<HandedOver>) -> Option<Self> {
        (!entries.is_empty()).then_some(Self { db, entries, _hold: None, _handed_over: handed_over })
    }

    fn large(db: u32, entry: Entry, hold: Hold, handed_over: Option<HandedOver>) -> Self {
        Self { db, entries: vec![entry], _hold: Some(hold), _handed_over: handed_over }
    }
}

impl Walks {
    pub(crate) fn new(frozen: Arc<Frozen>) -> Self {
        Self { on: AtomicBool::new(false), parts: RwLock::default(), frozen }
    }

    /// An entry is about to change: stamps it, when its old form is safe. The stripe is held exclusively.
    #[inline]
    pub(crate) fn stamp(&self, stripe: usize, entry: &mut Entry, epoch: u16) {
        self.leaves(stripe, entry, epoch);
        entry.set_epoch(epoch);
    }

    /// An entry is about to leave the stripe, which is held exclusively, or has left its table just now.
    #[inline]
    pub(crate) fn leaves(&self, stripe: usize, entry: &Entry, epoch: u16) {
        // What was changed in the present epoch is newer than every cut.
        if self.on.load(Relaxed) && entry.epoch() != epoch {
            self.hand_over(stripe, entry);
        }
    }

    #[cold]
    fn hand_over(&self, stripe: usize, entry: &Entry) {
        for part in self.parts.read().iter().filter(|part| part.awaits(stripe, entry.epoch())) {
            let hold = entry.large_value().map(|address| Hold::new(&self.frozen, address));
            let handed_over = HandedOver::new(&self.frozen, entry.about_memory_bytes());
            part.give(Given { entry: entry.share(), hold, handed_over });
        }
    }

    /// Whether a large entry is still to be walked; then its stripe is the next, and somebody waits. The stripe is
    /// held.
    fn await_entry(&self, stripe: usize, entry: &Entry) -> bool {
        if !self.on.load(Relaxed) {
            return false;
        }
        let parts = self.parts.read();
        let mut awaiting = parts.iter().filter(|part| part.awaits(stripe, entry.epoch())).peekable();
        if awaiting.peek().is_none() || entry.large_value().is_none() {
            return false;
        }
        awaiting.for_each(|part| part.urge(stripe));
        self.frozen.await_walk();
        true
    }

    fn add(&self, part: Arc<Part<Given>>) {
        let mut parts = self.parts.write();
        parts.push(part);
        self.on.store(true, Relaxed);
    }

    fn remove(&self, part: &Arc<Part<Given>>) {
        let mut parts = self.parts.write();
        parts.retain(|other| !Arc::ptr_eq(other, part));
        self.on.store(!parts.is_empty(), Relaxed);
    }
}

impl Keyspace {
    /// Cuts: the walk that is returned brings together what the keyspace is now. Takes time by the number of
    /// databases, not of keys. No guard that holds a stripe may be around.
    ///
    /// # Panics
    /// When the section is not exclusive.
    pub fn cut(&self, section: &Section<'_>) -> Walk {
        assert!(section.is_exclusive(), "a cut is made under the exclusive gate only");
        let cut = self.epoch().wrapping_add(1);
        self.set_epoch(cut);
        let mut registered = self.registry.0.lock().expect("never poisoned");
        for walk in registered.walks.extract_if(.., |walk| cut.wrapping_sub(walk.cut) > OVERTAKEN_AFTER) {
            walk.overtaken.store(true, Relaxed);
            let alive = walk.parts.iter().filter_map(|(database, part)| Some((database.upgrade()?, part)));
            alive.for_each(|(database, part)| database.walks().remove(part));
        }
        // The list is in the order of the cuts.
        let oldest = registered.walks.first().map_or(cut, |walk| walk.cut).wrapping_sub(1);
        let (mut sizes, mut parts, mut rest) = (Vec::new(), Vec::new(), VecDeque::<Rest>::new());
        for db in 0..self.database_count() {
            let Some(database) = self.database_arc(section, db).filter(|database| !database.is_empty()) else {
                continue;
            };
            sizes.push((db, database.len(), database.volatile_len()));
            let part = Arc::new(Part::new(cut, database.stripe_count()));
            database.walks().add(part.clone());
            parts.push((Arc::downgrade(&database), part.clone()));
            rest.push_back(Rest { db, database, part, next_stripe: 0 });
        }
        let since = cut.wrapping_sub(registered.swept);
        if since >= SWEEP_AT_ONCE {
            sweep_all(rest.iter().map(|rest| &*rest.database), oldest);
            registered.swept = cut;
        }
        let sweep = (SWEEP_AFTER..SWEEP_AT_ONCE).contains(&since).then_some(oldest);
        let shared = Arc::new(Shared { cut, overtaken: AtomicBool::new(false), parts });
        registered.walks.push(shared.clone());
        drop(registered);
        self.frozen.walk_begins();
        // Those who waited for a walk that was overtaken.
        self.frozen.wake_if_awaited();
        Walk {
            shared,
            registry: self.registry.clone(),
            frozen: self.frozen.clone(),
            sizes,
            rest,
            pending: VecDeque::new(),
            given_first: true,
            sweep,
        }
    }

    /// Whether there is any walk that a writer might have to wait for.
    #[inline]
    pub fn is_walked(&self) -> bool {
        self.frozen.is_busy()
    }

    /// Whether a key holds a large value that a walk has in its hands, or is still to come for: then changing it in
    /// place would copy it. Whoever asks, and changes nothing, is woken when it is worth while to ask again. The
    /// key's stripe is held.
    pub fn must_wait(&self, guard: &Guard<'_>, db: u32, key: Key<'_>) -> bool {
        self.is_walked()
            && guard
                .entry_in(db, key)
                .is_some_and(|(database, stripe, entry)| self.must_wait_for(database, stripe, entry))
    }

    /// The same for an entry of a stripe that is held.
    pub(crate) fn must_wait_for(&self, database: &Database, stripe: usize, entry: &Entry) -> bool {
        self.is_walked()
            && (database.walks().await_entry(stripe, entry)
                || entry.value_address().is_some_and(|address| self.frozen.await_value(address)))
    }

    /// What walks cost everybody else at the moment: whoever takes pieces slowly should be quicker if it is much.
    pub fn walk_pressure(&self) -> Pressure {
        Pressure { handed_over: self.frozen.handed_over(), is_awaited: self.frozen.is_awaited() }
    }

    /// What wakes those who were told to wait. It is called by walkers, without any lock; to be set once.
    pub fn set_wake(&self, wake: impl Fn() + Send + Sync + 'static) {
        self.frozen.set_wake(Box::new(wake));
    }
}

/// Stamps what is older than `oldest` as just that old. Nothing is handed over for it: no cut lies between.
fn sweep(inner: &mut Inner, oldest: u16) {
    let stamp = |entry: &mut Entry| {
        if is_older(entry.epoch(), oldest) {
            entry.set_epoch(oldest);
        }
        false
    };
    inner.table.extract_if(stamp, drop);
}

fn sweep_all<'a>(databases: impl Iterator<Item = &'a Database>, oldest: u16) {
    for database in databases {
        let mut next = database.next_occupied(0);
        while let Some(stripe) = next {
            database.stripe(stripe).write(|inner| sweep(inner, oldest));
            next = database.next_occupied(stripe + 1);
        }
    }
}
