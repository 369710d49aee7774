//! How large the values of a database are: for each type a histogram of lengths by powers of two, as `INFO keysizes` prints
//! it.
//!
//! A walk at the time of the question would stall whoever asks often, so every change of a length is booked when it happens,
//! under the exclusive guard of the value's stripe ([`crate::guard::EntryMut`], [`crate::guard::ValueMut`]). That costs the
//! fast paths next to nothing: most changes stay inside their [`Bin`], which takes a comparison; the others take two
//! additions to counters that belong to the thread, as in [`crate::counter`].
//!
//! **Invariant.** While no stripe is held exclusively, each bin's sum is the number of the database's entries whose
//! [`crate::entry::Entry::size_bin`] it is.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use crossbeam::utils::CachePadded;

use crate::counter;
use crate::value::ValueType;

/// The bins of one type: the first is for what is empty, bin `n` for lengths from 2^(n-1) up to below 2^n.
pub const BINS: usize = 49;

/// The types that are counted, in Redis's order; streams are not.
pub const TYPES: [ValueType; 5] =
    [ValueType::String, ValueType::List, ValueType::Set, ValueType::SortedSet, ValueType::Hash];

/// A type and a bin of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bin(u16);

impl Bin {
    /// The bin of a string of so many bytes.
    #[inline]
    pub(crate) fn of_string(len: usize) -> Self {
        Self::new(0, len)
    }

    /// The bin of an integer, by the length of its decimal form, which is not worked out for this.
    #[inline]
    pub(crate) fn of_int(value: i64) -> Self {
        // The least numbers of 2, 4, 8 and 16 characters; a sign is one of them.
        let reaches = |first: i64| u16::from(if value < 0 { value <= first } else { value >= first });
        Self(if value < 0 {
            2 + reaches(-100) + reaches(-1_000_000) + reaches(-100_000_000_000_000)
        } else {
            1 + reaches(10) + reaches(1000) + reaches(10_000_000) + reaches(1_000_000_000_000_000)
        })
    }

    /// Whether two integers are surely in the same bin: a quick look for counters, which change by little. Of the blocks of
    /// eight numbers from 0 on, only the second has two bins; 1000, 10^7 and 10^15 are multiples of eight.
    #[inline]
    pub(crate) fn is_shared(left: i64, right: i64) -> bool {
        let block = left >> 3;
        block == right >> 3 && block >= 0 && block != 1
    }

    /// The bin of a container of so many elements; `None` for an empty one, which is on its way in or out, and for types
    /// that are not counted.
    #[inline]
    pub(crate) fn of_container(value_type: ValueType, len: usize) -> Option<Self> {
        let position = position(value_type)?;
        (len != 0).then(|| Self::new(position, len))
    }

    #[inline]
    fn new(position: usize, len: usize) -> Self {
        let bin = (usize::BITS - len.leading_zeros()) as usize;
        Self((position * BINS + bin.min(BINS - 1)) as u16)
    }
}

/// The counters of one thread.
type Part = [AtomicI64; TYPES.len() * BINS];

/// See the file's head.
pub struct Sizes(Box<[CachePadded<Part>]>);

impl Default for Sizes {
    fn default() -> Self {
        Self((0..counter::SLOTS).map(|_| CachePadded::new([const { AtomicI64::new(0) }; TYPES.len() * BINS])).collect())
    }
}

impl Sizes {
    /// Books that a value has gone from one bin to another; `None` is outside.
    #[inline]
    pub(crate) fn moved(&self, before: Option<Bin>, after: Option<Bin>) {
        if before != after {
            self.book(before, after);
        }
    }

    /// Off the fast paths' way, which seldom come here.
    fn book(&self, before: Option<Bin>, after: Option<Bin>) {
        let slot = counter::slot();
        let part = &self.0[slot];
        if let Some(bin) = before {
            counter::add(&part[usize::from(bin.0)], slot, -1);
        }
        if let Some(bin) = after {
            counter::add(&part[usize::from(bin.0)], slot, 1);
        }
    }

    /// How many values each bin of a type holds; all 0 for a type that is not counted.
    pub fn of(&self, value_type: ValueType) -> [u64; BINS] {
        let Some(position) = position(value_type) else { return [0; BINS] };
        std::array::from_fn(|bin| {
            let sum: i64 = self.0.iter().map(|part| part[position * BINS + bin].load(Relaxed)).sum();
            // Below 0 for a moment, where one thread's part was read before and another's after a change.
            sum.max(0).unsigned_abs()
        })
    }
}

/// A type's place in [`TYPES`].
#[inline]
fn position(value_type: ValueType) -> Option<usize> {
    match value_type {
        ValueType::String => Some(0),
        ValueType::List => Some(1),
        ValueType::Set => Some(2),
        ValueType::SortedSet => Some(3),
        ValueType::Hash => Some(4),
        ValueType::Stream => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_its_place() {
        for (place, value_type) in TYPES.into_iter().enumerate() {
            assert_eq!(position(value_type), Some(place));
        }
    }

    #[test]
    fn an_integer_is_as_long_as_its_digits() {
        let check = |value: i64| assert_eq!(Bin::of_int(value), Bin::of_string(value.to_string().len()), "{value}");
        for power in 0..19 {
            for value in [10_i64.pow(power) - 1, 10_i64.pow(power), 10_i64.pow(power) + 1] {
                check(value);
                check(-value);
            }
        }
        [i64::MIN, i64::MAX].into_iter().for_each(check);
    }

    #[test]
    fn a_quick_look_is_right() {
        let starts = (1..19).flat_map(|power| [10_i64.pow(power), -(10_i64.pow(power))]);
        for start in starts.chain([0, i64::MIN + 30, i64::MAX - 30]) {
            for (left, right) in
                (start - 20..start + 20).flat_map(|left| (left - 9..left).map(move |right| (left, right)))
            {
                if Bin::is_shared(left, right) {
                    assert_eq!(Bin::of_int(left), Bin::of_int(right), "{left} {right}");
                }
            }
        }
        assert!(Bin::is_shared(7, 6) && Bin::is_shared(1_000_001, 1_000_002) && !Bin::is_shared(9, 10));
    }

    #[test]
    fn bins_are_powers_of_two() {
        let bin = |len| usize::from(Bin::of_string(len).0);
        assert_eq!([0, 1, 2, 3, 4, 7, 8].map(bin), [0, 1, 2, 2, 3, 3, 4]);
        assert_eq!(bin(usize::MAX), BINS - 1);
        assert_eq!(Bin::of_container(ValueType::List, 0), None);
        assert_eq!(Bin::of_container(ValueType::Stream, 7), None);
        assert_eq!(Bin::of_container(ValueType::Hash, 1).map(|bin| usize::from(bin.0)), Some(4 * BINS + 1));
    }
}
