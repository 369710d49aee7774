//! A sorted array of distinct integers of one width, in the bytes Redis stores and dumps.
//!
//! Layout, little-endian: width (u32: 2, 4 or 8 bytes an integer), count (u32), then the integers ascending. The width is
//! that of the widest integer ever added; it never narrows. The bytes are kept as they are, so DUMP is a copy and RESTORE a
//! check. A set of this kind is small (`set-max-intset-entries`, 512 by default), which is why moving the tail on each
//! insertion is cheaper than any tree.

use std::cmp::Ordering;
use std::fmt;

use super::room::Room;

const HEADER: usize = 8;

/// The most members an intset may have, whatever the directive says: Redis's bound, from its 32-bit byte counts.
pub const MEMBERS_MAX: usize = 1 << 30;

/// The packed set of integers; see the top of the file for its bytes. One word: the header tells how many bytes there are.
///
/// Invariants: the header is whole; width is 2, 4 or 8; there is room for `HEADER + count * width`; integers ascend strictly.
#[repr(transparent)]
pub struct Intset(Room);

/// Why bytes are not an intset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntsetError {
    /// The header is cut short, or the length is not what the header says.
    Length,
    /// The width is none of 2, 4 and 8.
    Width,
    /// The integers do not ascend strictly.
    Order,
}

impl fmt::Display for IntsetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "intset length does not match its header",
            Self::Width => "intset width is none of 2, 4 and 8",
            Self::Order => "intset members do not ascend",
        })
    }
}

impl std::error::Error for IntsetError {}

impl Default for Intset {
    fn default() -> Self {
        Self::new()
    }
}

impl Intset {
    /// The empty set, at the narrowest width.
    pub fn new() -> Self {
        let mut room = Room::new(HEADER, 0);
        room.bytes_mut()[0] = 2;
        Self(room)
    }

    /// Takes over bytes from a dump after checking all of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IntsetError> {
        let header: &[u8; HEADER] = bytes.first_chunk().ok_or(IntsetError::Length)?;
        let width = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let count = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        if !matches!(width, 2 | 4 | 8) {
            return Err(IntsetError::Width);
        }
        if bytes.len() as u64 != HEADER as u64 + u64::from(width) * u64::from(count) {
            return Err(IntsetError::Length);
        }
        let mut room = Room::new(bytes.len(), 0);
        room.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
        let set = Self(room);
        if set.iter().zip(set.iter().skip(1)).any(|(a, b)| a >= b) {
            return Err(IntsetError::Order);
        }
        Ok(set)
    }

    /// The bytes as Redis dumps them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes()[..self.size()]
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        let [_, _, _, _, count @ ..] = self.bytes().first_chunk::<HEADER>().expect("the header is whole");
        u32::from_le_bytes(*count) as usize
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The member at `index` in ascending order.
    pub fn get(&self, index: usize) -> Option<i64> {
        (index < self.len()).then(|| self.at(index))
    }

    /// The least member.
    pub fn min(&self) -> Option<i64> {
        self.get(0)
    }

    /// The greatest member.
    pub fn max(&self) -> Option<i64> {
        self.len().checked_sub(1).map(|last| self.at(last))
    }

    /// Whether `value` is a member.
    pub fn contains(&self, value: i64) -> bool {
        width_of(value) <= self.width() && self.search(value).is_ok()
    }

    /// Adds `value`; false if it was there. The caller keeps the count below [`MEMBERS_MAX`].
    pub fn add(&mut self, value: i64) -> bool {
        if width_of(value) > self.width() {
            self.widen_and_add(value);
            return true;
        }
        let Err(index) = self.search(value) else { return false };
        let (width, end) = (self.width(), self.size());
        let at = HEADER + index * width;
        if end + width > self.0.size() {
            self.0.fit(end + width);
        }
        let bytes = self.0.bytes_mut();
        bytes.copy_within(at..end, at + width);
        bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        self.set_len(self.len() + 1);
        true
    }

    /// Removes `value`; false if it was not there.
    pub fn remove(&mut self, value: i64) -> bool {
        if width_of(value) > self.width() {
            return false;
        }
        let Ok(index) = self.search(value) else { return false };
        let (width, at, end) = (self.width(), HEADER + index * self.width(), self.size());
        self.0.bytes_mut().copy_within(at + width..end, at);
        self.set_len(self.len() - 1);
        if self.size() <= self.0.size() / 2 {
            self.0.fit(self.size());
        }
        true
    }

    /// A member picked evenly.
    pub fn random(&self, rng: &mut fastrand::Rng) -> Option<i64> {
        (!self.is_empty()).then(|| self.at(rng.usize(..self.len())))
    }

    /// The members, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + Clone + '_ {
        (0..self.len()).map(|index| self.at(index))
    }

    /// Heap bytes, without the allocator's own overhead.
    pub fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// Bytes in use.
    fn size(&self) -> usize {
        HEADER + self.len() * self.width()
    }

    fn width(&self) -> usize {
        usize::from(self.bytes()[0])
    }

    fn at(&self, index: usize) -> i64 {
        let width = self.width();
        let bytes = &self.bytes()[HEADER + index * width..][..width];
        match *bytes {
            [a, b] => i64::from(i16::from_le_bytes([a, b])),
            [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => unreachable!("the width is 2, 4 or 8"),
        }
    }

    /// Where `value` is, or where it belongs.
    fn search(&self, value: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.at(middle).cmp(&value) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    /// A value too wide for the present width lies outside its range, hence before or after all members.
    fn widen_and_add(&mut self, value: i64) {
        let width = width_of(value);
        let len = self.len() + 1;
        let mut room = Room::new(HEADER + len * width, self.0.mark());
        room.bytes_mut()[..4].copy_from_slice(&(width as u32).to_le_bytes());
        let (before, after) = if value < 0 { (Some(value), None) } else { (None, Some(value)) };
        let places = room.bytes_mut()[HEADER..].chunks_exact_mut(width);
        for (place, member) in places.zip(before.into_iter().chain(self.iter()).chain(after)) {
            place.copy_from_slice(&member.to_le_bytes()[..width]);
        }
        self.0 = room;
        self.set_len(len);
    }

    fn set_len(&mut self, len: usize) {
        let count = u32::try_from(len).expect("an intset has fewer than 2^30 members");
        self.0.bytes_mut()[4..HEADER].copy_from_slice(&count.to_le_bytes());
    }
}

impl Clone for Intset {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl PartialEq for Intset {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Intset {}

impl fmt::Debug for Intset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The narrowest width in bytes that holds `value`.
fn width_of(value: i64) -> usize {
    if i16::try_from(value).is_ok() {
        2
    } else if i32::try_from(value).is_ok() {
        4
    } else {
        8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_bytes_are_those_redis_dumps() {
        let mut set = Intset::new();
        for value in [3, -1, 2, 2] {
            set.add(value);
        }
        assert_eq!(set.as_bytes(), [2, 0, 0, 0, 3, 0, 0, 0, 0xff, 0xff, 2, 0, 3, 0]);
        set.add(-40_000);
        assert_eq!(&set.as_bytes()[..12], [4, 0, 0, 0, 4, 0, 0, 0, 0xc0, 0x63, 0xff, 0xff]);
        set.remove(-40_000);
        assert_eq!(set.as_bytes()[0], 4, "the width does not narrow again");
    }

    #[test]
    fn behaves_as_a_sorted_set_of_integers() {
        let edges =
            [i64::MIN, i64::MAX, 32_767, 32_768, -32_768, -32_769, i64::from(i32::MAX), i64::from(i32::MIN) - 1];
        for seed in 0..60 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let (mut set, mut model) = (Intset::new(), BTreeSet::new());
            let spread = [50, 40_000, 3_000_000_000][(seed % 3) as usize];
            for _ in 0..600 {
                let value = if rng.u8(..) < 4 { edges[rng.usize(..edges.len())] } else { rng.i64(-spread..spread) };
                if rng.u8(..3) > 0 {
                    assert_eq!(set.add(value), model.insert(value));
                } else {
                    assert_eq!(set.remove(value), model.remove(&value));
                }
                assert_eq!(set.contains(value), model.contains(&value));
                assert_eq!(set.len(), model.len());
                assert!(set.random(&mut rng).is_none_or(|picked| model.contains(&picked)));
            }
            assert!(set.iter().eq(model.iter().copied()));
            assert!(set.iter().rev().eq(model.iter().rev().copied()));
            assert_eq!((set.min(), set.max()), (model.first().copied(), model.last().copied()));
            assert_eq!(Intset::from_bytes(set.as_bytes()), Ok(set));
        }
    }

    #[test]
    fn hostile_bytes_are_refused() {
        let check = |bytes: &[u8], error| assert_eq!(Intset::from_bytes(bytes), Err(error));
        check(&[], IntsetError::Length);
        check(&[2, 0, 0, 0, 0, 0, 0], IntsetError::Length);
        check(&[3, 0, 0, 0, 0, 0, 0, 0], IntsetError::Width);
        check(&[2, 1, 0, 0, 0, 0, 0, 0], IntsetError::Width);
        check(&[2, 0, 0, 0, 1, 0, 0, 0], IntsetError::Length);
        check(&[8, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], IntsetError::Length);
        check(&[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 1, 0], IntsetError::Order);
        check(&[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0xff, 0xff], IntsetError::Order);
    }
}
