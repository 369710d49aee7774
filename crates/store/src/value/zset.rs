//! The sorted set: distinct members in order of (score, member).
//!
//! Small ones are a listpack. General ones are a hash table by member beside an index by (score, member); each member has
//! one allocation, which the two own together (`thin.rs`). `OBJECT ENCODING` calls the general form `skiplist`, as ever.
//!
//! A range of any kind is first turned into ranks, two searches of O(log n), and then walked in either direction. Hence an
//! offset costs nothing, and counting is a subtraction.

mod index;
mod packed;
mod range;
mod score;

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use fastrand::Rng;

use self::index::{Entry, ScoreIndex, Walk};
use self::packed::Pairs;
pub use self::range::{LexBound, LexRange, ScoreRange};
pub use self::score::{Aggregate, weighted};
use super::listpack::{Item, Listpack};
use super::room::{Compact, View};
use super::thin::ScoredMember;
use super::{Encoding, Limits};
use crate::dict::Dict;
use crate::hash::hash_bytes;

bitflags::bitflags! {
    /// The options of ZADD that decide what is done; the command refuses those that contradict each other.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AddFlags: u8 {
        /// Only add new members.
        const NX = 1;
        /// Only update members that are there.
        const XX = 2;
        /// Update only to a greater score.
        const GT = 4;
        /// Update only to a lesser score.
        const LT = 8;
        /// Add to the score instead of setting it.
        const INCR = 16;
    }
}

/// What [`SortedSet::add`] did; the scores are those the member has now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Added {
    /// The member is new.
    New(f64),
    /// The member has another score than before.
    Updated(f64),
    /// The member has this score already.
    Same(f64),
    /// A condition (NX, XX, GT, LT) forbade the change.
    Refused,
    /// The score would not be a number.
    NotANumber,
}

/// A sorted set; see the top of the file.
#[derive(Clone)]
#[repr(transparent)]
pub struct SortedSet(Compact<Listpack, General>);

/// Invariant: `members` and `order` own the two halves of the same items, and the index has each item at its own score.
#[derive(Default)]
struct General {
    members: Dict<ScoredMember>,
    order: ScoreIndex,
}

impl Default for SortedSet {
    fn default() -> Self {
        Self::new()
    }
}

impl SortedSet {
    /// An empty sorted set in its small form.
    pub fn new() -> Self {
        Self(Compact::small(Listpack::new()))
    }

    /// An empty sorted set that will soon hold `members` members, of which one has `member_bytes` bytes: in the small form if
    /// that is within the limits.
    pub fn with_hint(members: usize, member_bytes: usize, limits: &Limits) -> Self {
        if are_packed(members, member_bytes, limits) { Self::new() } else { Self(Compact::large(General::default())) }
    }

    /// A sorted set of one member, with room for `later` ones. As in Redis the first one decides on the form with the number of
    /// all: a later one that is too long finds the small form, in which a score of -0 is 0, and turns that into the general
    /// one.
    pub fn starting_with<'a, I>(first: (f64, &'a [u8]), later: I, limits: &Limits) -> Self
    where
        I: ExactSizeIterator<Item = (f64, &'a [u8])> + Clone,
    {
        let (score, member) = first;
        let longest = later.clone().map(|(_, member)| member.len()).max().unwrap_or(0).max(member.len());
        if are_packed(1 + later.len(), longest, limits) && longest <= Listpack::BYTES_MAX / 2 {
            return Self(Compact::small(packed::starting_with(first, later)));
        }
        let mut set = Self::with_hint(1 + later.len(), member.len(), limits);
        set.insert_new(member, score, limits);
        set
    }

    /// Takes over a small form from a dump; `None` if it is not one: odd in number, out of order, a member twice, or a score
    /// that is no number.
    pub fn from_listpack(listpack: Listpack) -> Option<Self> {
        packed::is_valid(&listpack).then_some(Self(Compact::small(listpack)))
    }

    /// The small form, as it is dumped.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match self.0.view() {
            View::Small(listpack) => Some(listpack),
            View::Large(_) => None,
        }
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        match self.0.view() {
            View::Small(listpack) => listpack.len() / 2,
            View::Large(general) => general.order.len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of the present form.
    pub fn encoding(&self) -> Encoding {
        match self.0.view() {
            View::Small(_) => Encoding::Listpack,
            View::Large(_) => Encoding::Skiplist,
        }
    }

    /// Heap bytes, members included, without the allocator's own overhead. Walks all members of the general form.
    pub fn memory_bytes(&self) -> usize {
        match self.0.view() {
            View::Small(listpack) => listpack.memory_bytes(),
            View::Large(general) => {
                let members: usize = general.members.iter().map(ScoredMember::memory_bytes).sum();
                self.0.block_bytes() + general.members.memory_bytes() + general.order.memory_bytes() + members
            }
        }
    }

    /// Adds `member`, or changes its score, as ZADD and ZINCRBY do.
    pub fn add(&mut self, member: &[u8], score: f64, flags: AddFlags, limits: &Limits) -> Added {
        if score.is_nan() {
            return Added::NotANumber;
        }
        let Some(current) = self.score(member) else {
            if flags.contains(AddFlags::XX) {
                return Added::Refused;
            }
            self.insert_new(member, score, limits);
            return Added::New(score);
        };
        if flags.contains(AddFlags::NX) {
            return Added::Refused;
        }
        let score = if flags.contains(AddFlags::INCR) { current + score } else { score };
        if score.is_nan() {
            return Added::NotANumber;
        }
        if (flags.contains(AddFlags::GT) && score <= current) || (flags.contains(AddFlags::LT) && score >= current) {
            return Added::Refused;
        }
        if score == current {
            // The sum itself: 0 added to -0 is 0, which equals what is stored.
            return Added::Same(score);
        }
        self.update(member, score);
        Added::Updated(score)
    }

    /// Removes `member`; its score, if it was there.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self.0.view_mut() {
            View::Small(listpack) => {
                let (position, score) = packed::find(listpack, member)?;
                listpack.remove_entries(position, 2);
                Some(score)
            }
            View::Large(general) => general.remove(member),
        }
    }

    /// The score of `member`.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self.0.view() {
            View::Small(listpack) => packed::find(listpack, member).map(|(_, score)| score),
            View::Large(general) => general.find(member).map(ScoredMember::score),
        }
    }

    /// How many members stand before `member`, and its score. O(log n).
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let score = self.score(member)?;
        Some((
            self.partition_point(|other_score, other| index::order(other_score, other, score, member).is_lt()),
            score,
        ))
    }

    /// The ranks of the members whose score is in `range`. O(log n).
    pub fn ranks_by_score(&self, range: &ScoreRange) -> Range<usize> {
        let start = self.partition_point(|score, _| range.is_above(score));
        start..self.partition_point(|score, _| range.reaches(score)).max(start)
    }

    /// The ranks of the members in `range`; meaningful where all scores are equal. O(log n).
    ///
    /// With mixed scores the answer is nobody's promise, but what Redis always answers then, this does: nothing, unless the
    /// last member is not below the range and the first not above it; and in the small form, the run that begins at the
    /// first member not below the range.
    pub fn ranks_by_lex(&self, range: &LexRange<'_>) -> Range<usize> {
        let reaches = |(member, _): &(Item<'_>, f64)| range.reaches(member.bytes(&mut itoa::Buffer::new()));
        let is_above = |(member, _): &(Item<'_>, f64)| range.is_above(member.bytes(&mut itoa::Buffer::new()));
        if !self.iter().next().is_some_and(|first| reaches(&first))
            || self.iter().next_back().is_none_or(|last| is_above(&last))
        {
            return 0..0;
        }
        let start = self.partition_point(|_, member| range.is_above(member));
        let end = match self.0.view() {
            View::Small(_) => start + self.range(start..usize::MAX).take_while(reaches).count(),
            View::Large(general) => general.order.partition_point(|_, member| range.reaches(member)),
        };
        start..end.max(start)
    }

    /// The members and scores at these ranks, ascending, or descending with `rev()`; ranks beyond the end are left out.
    pub fn range(&self, ranks: Range<usize>) -> Members<'_> {
        Members(match self.0.view() {
            View::Small(listpack) => MembersOf::Packed(Pairs::new(listpack, ranks)),
            View::Large(general) => MembersOf::General(general.order.range(ranks)),
        })
    }

    /// All members and scores, ascending.
    pub fn iter(&self) -> Members<'_> {
        self.range(0..usize::MAX)
    }

    /// Removes the members at these ranks and tells how many there were.
    pub fn remove_range(&mut self, ranks: Range<usize>) -> usize {
        let end = ranks.end.min(self.len());
        let count = end.saturating_sub(ranks.start);
        match self.0.view_mut() {
            View::Small(listpack) => listpack.remove_range(2 * ranks.start.min(end) as isize, 2 * count),
            View::Large(general) => (0..count).for_each(|_| drop(general.remove_at(ranks.start))),
        }
        count
    }

    /// Removes and returns the first member.
    pub fn pop_min(&mut self) -> Option<(Vec<u8>, f64)> {
        self.pop_at(0)
    }

    /// Removes and returns the last member.
    pub fn pop_max(&mut self) -> Option<(Vec<u8>, f64)> {
        self.pop_at(self.len().checked_sub(1)?)
    }

    /// A member picked evenly. O(log n).
    pub fn random(&self, rng: &mut Rng) -> Option<(Item<'_>, f64)> {
        let rank = (!self.is_empty()).then(|| rng.usize(..self.len()))?;
        self.range(rank..rank + 1).next()
    }

    /// `count` different members picked evenly, or all if there are no more, in no particular order.
    pub fn random_distinct(&self, count: usize, rng: &mut Rng) -> Vec<(Item<'_>, f64)> {
        let len = self.len();
        if count >= len {
            return self.iter().collect();
        }
        if self.as_listpack().is_some() || count > len / 4 {
            // Selection sampling (Knuth, TAOCP 3.4.2, algorithm S): one walk, each member with the chance that is left.
            let mut wanted = count;
            return (self.iter().enumerate())
                .filter(|(seen, _)| {
                    let take = rng.usize(..len - seen) < wanted;
                    wanted -= usize::from(take);
                    take
                })
                .map(|(_, pair)| pair)
                .collect();
        }
        let mut ranks = HashSet::with_capacity(count);
        while ranks.len() < count {
            ranks.insert(rng.usize(..len));
        }
        ranks.into_iter().filter_map(|rank| self.range(rank..rank + 1).next()).collect()
    }

    /// One step of ZSCAN: visits about `count` members, all at once in the small form; returns the next cursor, 0 at the end.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Item<'_>, f64)) -> u64 {
        match self.0.view() {
            View::Small(_) => {
                self.iter().for_each(|(member, score)| visit(member, score));
                0
            }
            View::Large(general) => {
                general.members.scan(cursor, count, |item| visit(Item::Bytes(item.member()), item.score()))
            }
        }
    }

    /// Turns to the general form if `members` members, which a command is about to add, are beyond the limit.
    pub fn prepare(&mut self, members: usize, limits: &Limits) {
        if members > limits.zset_max_listpack_entries {
            self.unpack();
        }
    }

    /// Turns a freshly computed result back into the small form if it is within the limits.
    pub fn pack_if_small(&mut self, limits: &Limits) {
        let View::Large(general) = self.0.view() else { return };
        let longest = || general.members.iter().map(|item| item.member().len()).max().unwrap_or(0);
        if self.len() > limits.zset_max_listpack_entries || longest() > limits.zset_max_listpack_value {
            return;
        }
        let mut listpack = Listpack::new();
        for entry in general.order.range(0..usize::MAX) {
            packed::push_back(&mut listpack, entry.score, entry.item.member());
        }
        self.0 = Compact::small(listpack);
    }

    /// One more owner of the same members; whoever changes his sorted set first makes it his own.
    pub(crate) fn share(&self) -> Self {
        Self(self.0.share())
    }

    /// How many members, from the first on, satisfy `before`.
    fn partition_point(&self, before: impl Fn(f64, &[u8]) -> bool) -> usize {
        match self.0.view() {
            View::Small(listpack) => Pairs::new(listpack, 0..usize::MAX)
                .take_while(|(member, score)| before(*score, member.bytes(&mut itoa::Buffer::new())))
                .count(),
            View::Large(general) => general.order.partition_point(before),
        }
    }

    fn insert_new(&mut self, member: &[u8], score: f64, limits: &Limits) {
        if let View::Small(listpack) = self.0.view()
            && (listpack.len() / 2 + 1 > limits.zset_max_listpack_entries
                || member.len() > limits.zset_max_listpack_value
                || !listpack.fits(member.len()))
        {
            self.unpack();
        }
        match self.0.view_mut() {
            View::Small(listpack) => packed::insert(listpack, score, member),
            View::Large(general) => general.insert(score, member),
        }
    }

    /// Gives a member that is there another score.
    fn update(&mut self, member: &[u8], score: f64) {
        match self.0.view_mut() {
            View::Small(listpack) => {
                let (position, _) = packed::find(listpack, member).expect("the member is there");
                listpack.remove_entries(position, 2);
                packed::insert(listpack, score, member);
            }
            View::Large(general) => general.update(score, member),
        }
    }

    fn pop_at(&mut self, rank: usize) -> Option<(Vec<u8>, f64)> {
        match self.0.view_mut() {
            View::Small(listpack) => {
                let (member, score) = Pairs::new(listpack, rank..rank + 1).next()?;
                let popped = (member.to_vec(), score);
                listpack.remove_range(2 * rank as isize, 2);
                Some(popped)
            }
            View::Large(general) => general.remove_at(rank).map(|entry| (entry.item.member().to_vec(), entry.score)),
        }
    }

    fn unpack(&mut self) {
        if let View::Small(listpack) = self.0.view() {
            let mut general = General::default();
            for (member, score) in Pairs::new(listpack, 0..usize::MAX) {
                general.insert(score, member.bytes(&mut itoa::Buffer::new()));
            }
            self.0 = Compact::large(general);
        }
    }
}

impl fmt::Debug for SortedSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Members and scores by rank, from both ends.
pub struct Members<'a>(MembersOf<'a>);

enum MembersOf<'a> {
    Packed(Pairs<'a>),
    General(Walk<'a>),
}

impl<'a> Iterator for Members<'a> {
    type Item = (Item<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            MembersOf::Packed(pairs) => pairs.next(),
            MembersOf::General(walk) => walk.next().map(pair),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            MembersOf::Packed(pairs) => pairs.size_hint(),
            MembersOf::General(walk) => walk.size_hint(),
        }
    }
}

impl DoubleEndedIterator for Members<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            MembersOf::Packed(pairs) => pairs.next_back(),
            MembersOf::General(walk) => walk.next_back().map(pair),
        }
    }
}

impl ExactSizeIterator for Members<'_> {}

impl General {
    fn find(&self, member: &[u8]) -> Option<&ScoredMember> {
        self.members.find(hash_bytes(member), |item| item.member() == member)
    }

    fn insert(&mut self, score: f64, member: &[u8]) {
        let (by_member, by_score) = ScoredMember::pair(score, member);
        self.members.insert_unique(hash_bytes(member), by_member, rehash);
        self.order.insert(score, by_score);
    }

    fn update(&mut self, score: f64, member: &[u8]) {
        let item = self.find(member).expect("the member is there");
        let before = item.score();
        item.set_score(score);
        let entry = self.order.remove(before, member).expect("the index has every member");
        self.order.insert(score, entry.item);
    }

    fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let item = self.members.remove(hash_bytes(member), |item| item.member() == member, rehash)?;
        let entry = self.order.remove(item.score(), member).expect("the index has every member");
        debug_assert!(entry.item.same(&item));
        Some(entry.score)
    }

    fn remove_at(&mut self, rank: usize) -> Option<Entry> {
        let entry = self.order.remove_at(rank)?;
        let hash = hash_bytes(entry.item.member());
        let removed = self.members.remove(hash, |item| item.same(&entry.item), rehash);
        assert!(removed.is_some(), "the table has every member");
        Some(entry)
    }
}

impl Clone for General {
    fn clone(&self) -> Self {
        let mut copy = Self::default();
        for entry in self.order.range(0..usize::MAX) {
            copy.insert(entry.score, entry.item.member());
        }
        copy
    }
}

/// Whether so many members, the longest of which has so many bytes, are few and short enough for the small form.
fn are_packed(members: usize, longest: usize, limits: &Limits) -> bool {
    members <= limits.zset_max_listpack_entries && longest <= limits.zset_max_listpack_value
}

fn pair(entry: &Entry) -> (Item<'_>, f64) {
    (Item::Bytes(entry.item.member()), entry.score)
}

fn rehash(item: &ScoredMember) -> u64 {
    hash_bytes(item.member())
}

#[cfg(test)]
mod tests;
