//! How readers of a hot stripe pass its lock by.
//!
//! Who takes a lock shared writes to it, and once more when giving it back. If one key is read by every core, the line of
//! memory with its stripe's lock goes from core to core for each command, and many cores read less than one does. So a lock
//! that readers crowd at becomes *biased*: each thread has a seat of its own, in a line of its own, and a reader of a biased
//! lock only says there which one it holds. Writing costs more then, for a writer ends the bias, and waits until no seat
//! names his lock. It comes back when readers have met there as often again ([`CROWD`]), so a key that is also written pays for
//! little more than the reading of the seats once in a while. After Dice and Kogan, "BRAVO: Biased Locking for Reader-Writer
//! Locks" (USENIX ATC 2019); the crowd in place of their clock is ours.
//!
//! **Invariant.** Nobody holds a lock by a seat while somebody else holds it exclusively. A bias begins only while the lock
//! is held shared, and is over only under the exclusive lock. A reader writes its seat and then looks at the bias; a writer
//! ends the bias and then looks at the seats; a sequentially consistent fence lies between either's two steps, so at least
//! one of them sees the other. What a writer has changed is seen by readers in seats, since they read the bias from somebody
//! who had the lock after him; what a reader has read stays until it left its seat, which is what the writer waits for.
//!
//! **Order.** A seat is no lock of its own: it stands for the one it names, in that one's place. A thread has one seat, and
//! takes further locks the usual way. Who holds a lock both by the seat and by itself may give them back in any order, for
//! both keep writers away as well.

#[cfg(not(all(test, loom)))]
use std::sync::{
    Condvar, Mutex,
    atomic::{AtomicU32, AtomicUsize, Ordering::*, fence},
};

#[cfg(all(test, loom))]
use loom::sync::{
    Condvar, Mutex,
    atomic::{AtomicU32, AtomicUsize, Ordering::*, fence},
};

use crossbeam::utils::CachePadded;

/// A lock is biased when what readers count for it comes to this, some 64 meetings with others at the lock. Each of them has
/// paid for a line that another core had, and a writer who ends the bias pays for one with each thread that has a seat; so
/// this keeps the latter the smaller part, on machines of up to so many cores.
const CROWD: u32 = if cfg!(all(test, loom)) { 2 * AGAIN } else { 64 * AGAIN };
/// What a meeting counts for if the reader's last one was at the same lock, and one at another lock counts against it. So a
/// lock is biased only if about one in so many of all meetings is there: meetings by chance, at any of thousands of locks,
/// never come to anything.
const AGAIN: u32 = 16;
/// How often a writer looks at a seat before it sleeps: for some commands' time.
const SPINS: u32 = if cfg!(all(test, loom)) { 0 } else { 200 };
/// The bias is being ended: nobody takes a seat any more, and somebody may still sit.
const ENDING: u32 = u32::MAX - 1;
/// Readers may sit.
const BIASED: u32 = u32::MAX;

/// Whether readers may pass by a lock: how crowded it has been, or one of the states above.
pub(crate) struct Bias(AtomicU32);

/// Where a thread says which lock it holds: the address of its [`Bias`], or 0.
pub(crate) struct Seat(CachePadded<AtomicUsize>);

impl Bias {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Whether to [`Self::sit`] is worth a try.
    #[inline]
    pub(crate) fn is_biased(&self) -> bool {
        self.0.load(Relaxed) == BIASED
    }

    /// Whether somebody may hold the lock by a seat, which is for a holder to ask: of the lock in either mode, or by a seat.
    #[inline]
    pub(crate) fn may_be_sat(&self) -> bool {
        self.0.load(Relaxed) >= ENDING
    }

    /// Takes the lock shared by the calling thread's seat, if the lock is biased and the seat is free.
    pub(crate) fn sit(&self, seat: &Seat) -> bool {
        if seat.0.load(Relaxed) != 0 {
            return false;
        }
        seat.0.store(self.name(), Relaxed);
        fence(SeqCst);
        if self.0.load(Acquire) == BIASED {
            return true;
        }
        self.leave(seat);
        false
    }

    /// Gives the lock back if the calling thread holds it by its seat, and says whether that was so.
    pub(crate) fn rise(&self, seat: &Seat) -> bool {
        if seat.0.load(Relaxed) != self.name() {
            return false;
        }
        self.leave(seat);
        true
    }

    fn leave(&self, seat: &Seat) {
        seat.0.store(0, Release);
        // Once more the two steps of which the writer sees one: either it is told, or it does not begin to wait.
        fence(SeqCst);
        if self.0.load(Relaxed) == ENDING {
            LOUNGE.wake();
        }
    }

    /// Counts a reader who met others, whose last meeting was here or not. The lock itself is held shared.
    #[cold]
    pub(crate) fn crowded(&self, again: bool) {
        let before = self.0.load(Relaxed);
        if before < ENDING {
            let now = if again { before + AGAIN } else { before.saturating_sub(1) };
            let now = if now < CROWD { now } else { BIASED };
            // Where another reader was quicker, that one counts for both; a bias that has begun is not taken back here.
            let _ = self.0.compare_exchange(before, now, Release, Relaxed);
        }
    }

    /// Nobody takes a seat from now on. A writer says so before he waits for the lock itself: who sits does not wait for the
    /// lock, and would keep the cores from those whom the writer waits for.
    #[cold]
    pub(crate) fn announce_end(&self) {
        // Unless another writer has, or has ended it already.
        let _ = self.0.compare_exchange(BIASED, ENDING, Relaxed, Relaxed);
    }

    /// Ends the bias and waits until nobody holds the lock by one of these seats. The lock itself is held exclusively.
    #[cold]
    pub(crate) fn end(&self, seats: &[Seat]) {
        self.0.store(ENDING, Relaxed);
        fence(SeqCst);
        seats.iter().for_each(|seat| self.wait_for(seat));
        // Before the lock is given back, and by it seen by all who hold it later.
        self.0.store(0, Relaxed);
    }

    /// A reader sits for one command. If that takes longer, it waits for a core, which this one may be.
    fn wait_for(&self, seat: &Seat) {
        let sits = || seat.0.load(Acquire) == self.name();
        for _ in 0..SPINS {
            if !sits() {
                return;
            }
            std::hint::spin_loop();
        }
        LOUNGE.sleep_while(sits);
    }

    /// What seats call the lock.
    pub(crate) fn name(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

/// Where writers sleep until a seat is empty. It is so rarely that all locks share one; and the last in the lock order.
struct Lounge {
    lock: Mutex<()>,
    woken: Condvar,
}

#[cfg(not(all(test, loom)))]
static LOUNGE: Lounge = Lounge { lock: Mutex::new(()), woken: Condvar::new() };
#[cfg(all(test, loom))]
loom::lazy_static! {
    static ref LOUNGE: Lounge = Lounge { lock: Mutex::new(()), woken: Condvar::new() };
}

impl Lounge {
    fn sleep_while(&self, waits: impl Fn() -> bool) {
        let mut lock = self.lock.lock().expect("never poisoned");
        while waits() {
            lock = self.woken.wait(lock).expect("never poisoned");
        }
    }

    #[cold]
    fn wake(&self) {
        // Who has found that he has to wait sleeps by now.
        drop(self.lock.lock());
        self.woken.notify_all();
    }
}

/// The seats of this process's threads.
#[cfg(not(all(test, loom)))]
pub(crate) mod seats {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};

    use crossbeam::utils::CachePadded;

    use super::{Bias, Seat};

    /// Threads that have a seat at the same time. Further ones take locks the usual way.
    const SEATS: usize = 128;

    static ALL: [Seat; SEATS] = [const { Seat(CachePadded::new(AtomicUsize::new(0))) }; SEATS];
    static TAKEN: [AtomicBool; SEATS] = [const { AtomicBool::new(false) }; SEATS];
    /// Nobody ever sat behind so many.
    static USED: AtomicUsize = AtomicUsize::new(0);

    thread_local! {
        static OWN: Own = Own::take();
        /// The lock at which the thread has met others last.
        static MET: Cell<usize> = const { Cell::new(0) };
    }

    /// A thread's seat, which the next thread may have once this one has ended.
    struct Own(Option<usize>);

    impl Own {
        fn take() -> Self {
            let free = |taken: &AtomicBool| taken.compare_exchange(false, true, Acquire, Relaxed).is_ok();
            let at = TAKEN.iter().position(free);
            if let Some(at) = at {
                USED.fetch_max(at + 1, Relaxed);
            }
            Self(at)
        }
    }

    impl Drop for Own {
        fn drop(&mut self) {
            if let Some(at) = self.0 {
                TAKEN[at].store(false, Release);
            }
        }
    }

    /// Whether the calling thread's last meeting with others was at this lock too.
    pub(crate) fn meets_again(lock: &Bias) -> bool {
        MET.replace(lock.name()) == lock.name()
    }

    /// The calling thread's, if it has one.
    #[inline]
    pub(crate) fn own() -> Option<&'static Seat> {
        // Not while the thread ends, when its seat may be somebody else's already.
        OWN.try_with(|own| own.0.map(|at| &ALL[at])).ok().flatten()
    }

    /// All that anybody may sit on. A thread has its seat before it sits for the first time, so of this number
    /// [`super::Bias::end`] sees what it sees of the seats.
    pub(crate) fn all() -> &'static [Seat] {
        &ALL[..USED.load(Relaxed)]
    }
}

/// The models bring seats of their own, and no stripe has any in them.
#[cfg(all(test, loom))]
pub(crate) mod seats {
    use super::{Bias, Seat};

    pub(crate) fn meets_again(_: &Bias) -> bool {
        false
    }

    pub(crate) fn own() -> Option<&'static Seat> {
        None
    }

    pub(crate) fn all() -> &'static [Seat] {
        &[]
    }
}

#[cfg(all(test, loom))]
#[allow(unsafe_code)]
mod model {
    use loom::cell::UnsafeCell;
    use loom::sync::{Arc, RwLock};
    use loom::thread;

    use super::*;

    /// A stripe, as `stripe.rs` has it: a lock, its bias, and what they protect. loom tells of a read beside a change.
    struct Model {
        lock: RwLock<()>,
        bias: Bias,
        seats: [Seat; 2],
        inner: UnsafeCell<u32>,
    }

    // SAFETY: that nobody reads `inner` beside a change is what loom finds out.
    unsafe impl Sync for Model {}
    // SAFETY: as above.
    unsafe impl Send for Model {}

    impl Model {
        /// Reads as the thread of this seat. Whoever finds the lock not biased takes it for crowded.
        fn read(&self, seat: usize) -> u32 {
            let seat = &self.seats[seat];
            if self.bias.is_biased() && self.bias.sit(seat) {
                let seen = self.look();
                assert!(self.bias.may_be_sat() && self.bias.rise(seat));
                return seen;
            }
            let held = self.lock.read().unwrap();
            self.crowd();
            let seen = self.look();
            drop(held);
            seen
        }

        /// What many readers do. The lock is held shared.
        fn crowd(&self) {
            (0..CROWD / AGAIN).for_each(|_| self.bias.crowded(true));
        }

        fn look(&self) -> u32 {
            // SAFETY: see above.
            self.inner.with(|inner| unsafe { *inner })
        }

        fn write(&self) {
            self.bias.announce_end();
            let held = self.lock.write().unwrap();
            if self.bias.may_be_sat() {
                self.bias.end(&self.seats);
            }
            // SAFETY: see above.
            self.inner.with_mut(|inner| unsafe { *inner += 1 });
            drop(held);
        }
    }

    fn check(threads: [fn(&Model); 2], last: u32) {
        let mut bounds = loom::model::Builder::new();
        bounds.preemption_bound = Some(2);
        bounds.check(move || {
            let seats = [const { () }; 2].map(|()| Seat(CachePadded::new(AtomicUsize::new(0))));
            let model = Arc::new(Model { lock: RwLock::new(()), bias: Bias::new(), seats, inner: UnsafeCell::new(0) });
            let threads = threads.map(|run| {
                let model = model.clone();
                thread::spawn(move || run(&model))
            });
            let before = model.read(0);
            assert!(model.read(0) >= before, "what was read is forgotten");
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(model.read(0), last);
        });
    }

    #[test]
    fn readers_beside_a_writer() {
        check([|model| _ = model.read(1), Model::write], 1);
    }

    #[test]
    fn a_reader_beside_writers() {
        check([Model::write, Model::write], 2);
    }

    /// Who has the lock and sits as well gives back the one and then the other, in either order.
    #[test]
    fn held_both_ways() {
        fn both(model: &Model) {
            let held = model.lock.read().unwrap();
            model.crowd();
            let sits = model.bias.sit(&model.seats[1]);
            assert!(!(sits && model.bias.sit(&model.seats[1])), "a seat for two");
            if sits {
                drop(held);
                model.look();
            }
            assert!(model.bias.rise(&model.seats[1]) == sits && !model.bias.rise(&model.seats[1]));
        }
        check([both, Model::write], 1);
        fn other_way_round(model: &Model) {
            let held = model.lock.read().unwrap();
            model.crowd();
            assert!(model.bias.sit(&model.seats[1]) == model.bias.rise(&model.seats[1]));
            model.look();
            drop(held);
        }
        check([other_way_round, Model::write], 1);
    }
}

#[cfg(all(test, not(loom)))]
#[allow(unsafe_code)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;
    use crate::stripe::{Mode, Stripe};

    /// Readers crowd at a stripe whose writer changes two numbers one after the other. They never see the one without the
    /// other, and the bias comes and goes meanwhile.
    #[test]
    fn a_hot_stripe_and_its_writer() {
        let (stripe, done) = (Stripe::new(0), AtomicBool::new(false));
        let changes = if cfg!(debug_assertions) { 2_000 } else { 20_000 };
        let while_biased: usize = thread::scope(|scope| {
            let readers = [(); 3].map(|()| {
                scope.spawn(|| {
                    let (mut last, mut biased) = (0, 0);
                    while !done.load(Relaxed) {
                        stripe.lock(Mode::Shared);
                        biased += usize::from(stripe.is_sat());
                        // SAFETY: held.
                        let inner = unsafe { stripe.inner() };
                        let (volatile, timed) = (inner.volatile, inner.timed);
                        // SAFETY: locked above.
                        unsafe { stripe.unlock(Mode::Shared) };
                        assert!(volatile == timed && timed >= last, "{volatile} and {timed} after {last}");
                        last = timed;
                    }
                    biased
                })
            });
            for change in 1..=changes {
                // Long enough for a crowd.
                thread::sleep(std::time::Duration::from_micros(if change % 8 == 0 { 200 } else { 0 }));
                stripe.write(|inner| {
                    inner.volatile = change;
                    thread::yield_now();
                    inner.timed = change;
                });
            }
            done.store(true, Relaxed);
            readers.map(|reader| reader.join().expect("a reader has failed")).iter().sum()
        });
        assert!(while_biased > 100, "nobody has passed the lock by");
    }

    /// Readers meet now and then at any lock; only where they meet again and again readers pass by.
    #[test]
    fn meetings_by_chance() {
        let bias = Bias::new();
        for _ in 0..10_000 {
            bias.crowded(true);
            (0..2 * AGAIN).for_each(|_| bias.crowded(false));
        }
        assert!(!bias.is_biased());
        for _ in 0..CROWD {
            bias.crowded(true);
            (0..AGAIN / 2).for_each(|_| bias.crowded(false));
        }
        assert!(bias.is_biased());
    }

    /// Threads come and go, more than there are seats, and each of them has one.
    #[test]
    fn seats_are_given_back() {
        for _ in 0..300 {
            assert!(thread::spawn(|| seats::own().is_some()).join().expect("it ends"));
        }
    }
}
