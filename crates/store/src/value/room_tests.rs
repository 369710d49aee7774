use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread;

use super::*;

/// A large form that tells how many of it there are.
struct Counted(Arc<AtomicUsize>, u64);

impl Counted {
    fn new(live: &Arc<AtomicUsize>, value: u64) -> Self {
        live.fetch_add(1, Ordering::Relaxed);
        Self(live.clone(), value)
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new(&self.0, self.1)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

type Value = Compact<Room, Counted>;

fn filled(bytes: &[u8], mark: u8) -> Room {
    let mut room = Room::new(bytes.len(), mark);
    room.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
    room
}

#[test]
fn a_room_keeps_what_fits_and_is_zero_beyond() {
    let mut rng = fastrand::Rng::with_seed(5);
    for mark in 0..7 {
        let mut room = Room::new(0, mark);
        let mut model: Vec<u8> = Vec::new();
        for _ in 0..if cfg!(miri) { 5 } else { 200 } {
            let bytes = [rng.usize(..40), rng.usize(..400), rng.usize(..if cfg!(miri) { 1000 } else { 10_000 })]
                [rng.usize(..3)];
            room.fit(bytes);
            model.resize(bytes.min(model.len()), 0);
            assert!(room.size() >= bytes && room.memory_bytes() == block_for(bytes));
            assert_eq!((room.mark(), &room.bytes()[..model.len()]), (mark, &*model));
            rng.fill(room.bytes_mut());
            model = room.bytes().to_vec();
            let copy = room.clone();
            assert_eq!((copy.mark(), copy.bytes()), (mark, room.bytes()));
        }
        let before = room.size();
        room.bytes_mut().fill(0xff);
        room.fit(before + 5000);
        assert!(room.bytes()[before..].iter().all(|byte| *byte == 0), "what it grows by is 0");
        room.set_mark(6 - mark);
        assert_eq!((room.mark(), &room.bytes()[..before]), (6 - mark, &*vec![0xff; before]));
    }
}

#[test]
fn a_room_fills_its_block() {
    for bytes in (0..20_000).step_by(if cfg!(miri) { 97 } else { 1 }) {
        let block = block_for(bytes);
        assert!(block >= HEAD + bytes && block.is_multiple_of(16));
        assert!(block < HEAD + bytes + 16 || block <= (HEAD + bytes) * 5 / 4, "{bytes} bytes in a block of {block}");
    }
    assert_eq!([8, 9, 120, 121, 248, 249, 8184].map(block_for), [16, 32, 128, 160, 256, 320, 8192]);
    assert_eq!(Room::new(8184, 0).memory_bytes(), 8192);
}

#[test]
fn owners_keep_what_they_were_given() {
    let live = Arc::default();
    let mut rng = fastrand::Rng::with_seed(9);
    // Each owner with what it is to hold.
    let mut owners: Vec<(Value, u64)> = Vec::new();
    for step in 0..if cfg!(miri) { 300 } else { 20_000 } {
        if owners.len() < 20 && rng.bool() {
            let value = if rng.bool() {
                Value::large(Counted::new(&live, step))
            } else {
                Value::small(filled(&step.to_le_bytes(), 3))
            };
            owners.push((value, step));
        }
        if owners.is_empty() {
            continue;
        }
        let at = rng.usize(..owners.len());
        match rng.u8(..4) {
            0 => drop(owners.swap_remove(at)),
            1 => owners.push((owners[at].0.share(), owners[at].1)),
            2 => owners.push(owners[at].clone()),
            _ => {
                match owners[at].0.view_mut() {
                    View::Small(room) => {
                        room.fit(8 + rng.usize(..100));
                        room.bytes_mut()[..8].copy_from_slice(&step.to_le_bytes());
                    }
                    View::Large(value) => value.1 = step,
                }
                owners[at].1 = step;
            }
        }
        for (value, expected) in &owners {
            match value.view() {
                View::Small(room) => {
                    assert_eq!((room.mark(), &room.bytes()[..8]), (3, &expected.to_le_bytes()[..]));
                    assert_eq!(value.block_bytes(), room.memory_bytes());
                }
                View::Large(value) => assert_eq!(value.1, *expected),
            }
        }
    }
    drop(owners);
    assert_eq!(live.load(Ordering::Relaxed), 0, "large values leaked");
}

#[test]
fn the_only_owner_changes_in_place() {
    let mut value = Value::small(filled(b"12345678", 0));
    let at = |value: &Value| value.0.addr();
    let before = at(&value);
    let View::Small(_) = value.view_mut() else { panic!() };
    assert_eq!(at(&value), before);
    let other = value.share();
    let View::Small(room) = value.view_mut() else { panic!() };
    room.bytes_mut()[0] = b'!';
    assert!(at(&value) != before && at(&other) == before);
    drop(value);
    let View::Small(room) = other.view() else { panic!() };
    assert_eq!(&room.bytes()[..8], b"12345678");
}

/// Owners on several threads, each of which changes what it has and lets it go: to be run under miri and sanitizers too.
#[test]
fn owners_on_other_threads_do_not_see_each_other() {
    let live = Arc::default();
    for round in 0..if cfg!(miri) { 4 } else { 200 } {
        let values = [Value::small(filled(b"original", 0)), Value::large(Counted::new(&live, 7))];
        thread::scope(|scope| {
            for thread in 0..3 {
                let shares: Vec<Value> = values.iter().map(Value::share).collect();
                scope.spawn(move || {
                    for mut value in shares {
                        match value.view_mut() {
                            View::Small(room) => {
                                assert_eq!(&room.bytes()[..8], b"original");
                                room.fit(round + 8);
                                room.bytes_mut().fill(thread);
                            }
                            View::Large(counted) => {
                                assert_eq!(counted.1, 7);
                                counted.1 = u64::from(thread);
                            }
                        }
                    }
                });
            }
            drop(values);
        });
    }
    assert_eq!(live.load(Ordering::Relaxed), 0, "large values leaked, or were freed twice");
}
