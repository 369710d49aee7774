//! The members of one sorted set in order of (score, member), with their ranks.
//!
//! Redis uses a skiplist here: a node and about 1.33 forward pointers, each with a span, for every member. This is a B+-tree
//! that counts (Comer, "The Ubiquitous B-Tree", 1979; the counts make it an order-statistic tree): leaves are arrays of
//! (score, member pointer), inner nodes know how many members lie below each child. A million members cost about 20 MB
//! instead of 35, a search touches a handful of cache lines instead of twenty nodes, and a scan runs over arrays.
//!
//! The scores stand in the leaves, beside the pointers, so a member's bytes are looked at only between equal scores.
//! An inner node parts its children by *floors*: the shortest (score, bytes) that is above all members to the left and
//! not above any to the right. If the scores differ there, the bytes are empty; otherwise they are the shortest prefix that
//! decides (Bayer and Unterauer, "Prefix B-trees", 1977). A floor is a copy, so it may outlive the member it came from.
//!
//! Everything that is asked of a sorted set is asked in ranks: a range by score or by bytes is two partition points, and an
//! offset into it is an addition. The scores are never NaN; -0 and 0 are equal, as in Redis.

use std::cmp::Ordering;
use std::ops::Range;

use crate::value::thin::ScoredMember;

/// Members of a leaf; 64 of 16 bytes are 1 KiB to move at worst.
const LEAF_MAX: usize = 64;
/// A leaf below this many is joined with a neighbour.
const LEAF_MIN: usize = LEAF_MAX / 4;
/// Leaves grow by so many slots, so that few stay empty.
const LEAF_STEP: usize = 8;
const INNER_MAX: usize = 32;
const INNER_MIN: usize = INNER_MAX / 4;

/// The ordered index; see the top of the file.
#[derive(Debug, Default)]
pub(super) struct ScoreIndex {
    root: Node,
    len: usize,
}

/// A member's place in the order. The score is the one the place was made for.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) score: f64,
    pub(super) item: ScoredMember,
}

#[derive(Debug)]
enum Node {
    /// Ascending.
    Leaf(Vec<Entry>),
    /// Ascending; all of the same height; at least two in a root.
    Inner(Vec<Child>),
}

#[derive(Debug)]
struct Child {
    /// At or below every member of `node`, above every member of the child before. Not looked at in a first child.
    floor: Floor,
    /// The members below `node`.
    len: usize,
    node: Node,
}

#[derive(Debug, Default)]
struct Floor {
    score: f64,
    member: Box<[u8]>,
}

/// What to take out.
#[derive(Clone, Copy)]
enum Target<'a> {
    Key(f64, &'a [u8]),
    Rank(usize),
}

impl ScoreIndex {
    /// How many members there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a member that is not there yet.
    pub(super) fn insert(&mut self, score: f64, item: ScoredMember) {
        self.len += 1;
        if let Some(right) = self.root.insert(Entry { score, item }) {
            let left =
                Child { floor: Floor::default(), len: self.len - right.len, node: std::mem::take(&mut self.root) };
            self.root = Node::Inner(vec![left, right]);
        }
    }

    /// Takes out one member.
    pub(super) fn remove(&mut self, score: f64, member: &[u8]) -> Option<Entry> {
        self.take(Target::Key(score, member))
    }

    /// Takes out the member at `rank`.
    pub(super) fn remove_at(&mut self, rank: usize) -> Option<Entry> {
        if rank < self.len { self.take(Target::Rank(rank)) } else { None }
    }

    /// How many members satisfy `before`, which holds for all keys below some point of the order and for none above.
    /// It is also asked about keys that are no members.
    pub(super) fn partition_point(&self, before: impl Fn(f64, &[u8]) -> bool) -> usize {
        let (mut node, mut rank) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(entries) => {
                    return rank + entries.partition_point(|entry| before(entry.score, entry.item.member()));
                }
                Node::Inner(children) => {
                    let at = children[1..].partition_point(|child| before(child.floor.score, &child.floor.member));
                    rank += children[..at].iter().map(|child| child.len).sum::<usize>();
                    node = &children[at].node;
                }
            }
        }
    }

    /// The members at these ranks, in either direction; ranks beyond the end are left out.
    pub(super) fn range(&self, ranks: Range<usize>) -> Walk<'_> {
        let end = ranks.end.min(self.len);
        Walk { index: self, ranks: ranks.start.min(end)..end, front: &[], back: &[] }
    }

    /// Heap bytes of the tree without those of the members and the allocator's own overhead.
    pub(super) fn memory_bytes(&self) -> usize {
        self.root.memory_bytes()
    }

    fn take(&mut self, target: Target<'_>) -> Option<Entry> {
        let entry = self.root.remove(target)?;
        self.len -= 1;
        while let Node::Inner(children) = &mut self.root
            && children.len() == 1
        {
            self.root = children.pop().expect("it has one child").node;
        }
        Some(entry)
    }

    /// The leaf that holds `rank`, and where in it.
    fn leaf_at(&self, mut rank: usize) -> (&[Entry], usize) {
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(entries) => return (entries, rank),
                Node::Inner(children) => {
                    let at = child_at(children, &mut rank);
                    node = &children[at].node;
                }
            }
        }
    }
}

/// Entries by rank, from both ends. A new leaf is found from the root again, which costs little beside its 64 entries.
pub(super) struct Walk<'a> {
    index: &'a ScoreIndex,
    /// Not yet returned.
    ranks: Range<usize>,
    /// From `ranks.start` to the end of its leaf, or empty.
    front: &'a [Entry],
    /// From the start of its leaf up to `ranks.end`, or empty.
    back: &'a [Entry],
}

impl<'a> Iterator for Walk<'a> {
    type Item = &'a Entry;

    fn next(&mut self) -> Option<&'a Entry> {
        let rank = self.ranks.next()?;
        if self.front.is_empty() {
            let (leaf, at) = self.index.leaf_at(rank);
            self.front = &leaf[at..];
        }
        let (entry, rest) = self.front.split_first()?;
        self.front = rest;
        Some(entry)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ranks.size_hint()
    }
}

impl DoubleEndedIterator for Walk<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let rank = self.ranks.next_back()?;
        if self.back.is_empty() {
            let (leaf, at) = self.index.leaf_at(rank);
            self.back = &leaf[..=at];
        }
        let (entry, rest) = self.back.split_last()?;
        self.back = rest;
        Some(entry)
    }
}

impl ExactSizeIterator for Walk<'_> {}

/// The order of a sorted set: by score, then by bytes.
pub(super) fn order(a_score: f64, a: &[u8], b_score: f64, b: &[u8]) -> Ordering {
    debug_assert!(!a_score.is_nan() && !b_score.is_nan());
    a_score.partial_cmp(&b_score).unwrap_or(Ordering::Equal).then_with(|| a.cmp(b))
}

impl Entry {
    fn order(&self, score: f64, member: &[u8]) -> Ordering {
        // The bytes are behind a pointer: only between equal scores are they fetched.
        self.score.partial_cmp(&score).unwrap_or(Ordering::Equal).then_with(|| self.item.member().cmp(member))
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::Leaf(Vec::new())
    }
}

impl Node {
    /// Adds `entry`; returns the new right neighbour if this node had to be split.
    fn insert(&mut self, entry: Entry) -> Option<Child> {
        match self {
            Self::Leaf(entries) => insert_into_leaf(entries, entry),
            Self::Inner(children) => {
                let at = child_for(children, entry.score, entry.item.member());
                children[at].len += 1;
                let right = children[at].node.insert(entry)?;
                children[at].len -= right.len;
                children.insert(at + 1, right);
                if children.len() <= INNER_MAX {
                    return None;
                }
                // As for leaves: insertions in order leave full nodes behind.
                let cut = match at {
                    0 => 1,
                    _ if at + 2 == children.len() => INNER_MAX,
                    _ => children.len() / 2,
                };
                Some(split_inner(children, cut))
            }
        }
    }

    fn remove(&mut self, target: Target<'_>) -> Option<Entry> {
        match self {
            Self::Leaf(entries) => {
                let at = match target {
                    Target::Rank(rank) => rank,
                    Target::Key(score, member) => entries.binary_search_by(|entry| entry.order(score, member)).ok()?,
                };
                let entry = entries.remove(at);
                if entries.capacity() - entries.len() >= 2 * LEAF_STEP {
                    entries.shrink_to(entries.len() + LEAF_STEP / 2);
                }
                Some(entry)
            }
            Self::Inner(children) => {
                let (at, inside) = match target {
                    Target::Key(score, member) => (child_for(children, score, member), target),
                    Target::Rank(mut rank) => (child_at(children, &mut rank), Target::Rank(rank)),
                };
                let entry = children[at].node.remove(inside)?;
                children[at].len -= 1;
                if children[at].node.is_underfull() && children.len() > 1 {
                    join(children, at.saturating_sub(1));
                }
                Some(entry)
            }
        }
    }

    fn is_underfull(&self) -> bool {
        match self {
            Self::Leaf(entries) => entries.len() < LEAF_MIN,
            Self::Inner(children) => children.len() < INNER_MIN,
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.capacity() * size_of::<Entry>(),
            Self::Inner(children) => {
                let below = children.iter().map(|child| child.node.memory_bytes() + child.floor.member.len());
                children.capacity() * size_of::<Child>() + below.sum::<usize>()
            }
        }
    }
}

/// The child that a key belongs to.
fn child_for(children: &[Child], score: f64, member: &[u8]) -> usize {
    children[1..].partition_point(|child| order(child.floor.score, &child.floor.member, score, member).is_le())
}

/// The child that holds `rank`, which becomes the rank inside it.
fn child_at(children: &[Child], rank: &mut usize) -> usize {
    let mut at = 0;
    while *rank >= children[at].len {
        *rank -= children[at].len;
        at += 1;
    }
    at
}

fn insert_into_leaf(entries: &mut Vec<Entry>, entry: Entry) -> Option<Child> {
    let at = entries.partition_point(|other| other.order(entry.score, entry.item.member()).is_lt());
    if entries.len() < LEAF_MAX {
        if entries.len() == entries.capacity() {
            entries.reserve_exact(LEAF_STEP);
        }
        entries.insert(at, entry);
        return None;
    }
    // Insertions in ascending or descending order leave full leaves behind; others leave halves.
    let mut right = match at {
        0 => std::mem::take(entries),
        LEAF_MAX => Vec::new(),
        _ => entries.split_off(LEAF_MAX / 2),
    };
    if at <= entries.len() && at < LEAF_MAX {
        entries.shrink_to(entries.len() + LEAF_STEP);
        entries.insert(at, entry);
    } else {
        entries.shrink_to_fit();
        right.reserve_exact(LEAF_STEP);
        right.insert(at - entries.len(), entry);
    }
    Some(leaf_child(entries, right))
}

/// `right` as the neighbour of `left`.
fn leaf_child(left: &[Entry], right: Vec<Entry>) -> Child {
    let (below, above) = (left.last().expect("a split leaves entries on both sides"), &right[0]);
    let member: &[u8] = if below.score < above.score {
        &[]
    } else {
        let (low, high) = (below.item.member(), above.item.member());
        let shared = low.iter().zip(high).take_while(|(a, b)| a == b).count();
        &high[..=shared]
    };
    let floor = Floor { score: above.score, member: member.into() };
    Child { floor, len: right.len(), node: Node::Leaf(right) }
}

fn split_inner(children: &mut Vec<Child>, cut: usize) -> Child {
    let mut right = children.split_off(cut);
    let floor = std::mem::take(&mut right[0].floor);
    Child { floor, len: right.iter().map(|child| child.len).sum(), node: Node::Inner(right) }
}

/// Joins the children at `left` and `left + 1` into one, or into two halves if one would be too large.
fn join(children: &mut Vec<Child>, left: usize) {
    let right = children.remove(left + 1);
    let child = &mut children[left];
    let again = match (&mut child.node, right.node) {
        (Node::Leaf(entries), Node::Leaf(more)) => {
            entries.reserve_exact(more.len());
            entries.extend(more);
            (entries.len() > LEAF_MAX).then(|| {
                let right = entries.split_off(entries.len() / 2);
                entries.shrink_to(entries.len() + LEAF_STEP / 2);
                leaf_child(entries, right)
            })
        }
        (Node::Inner(inner), Node::Inner(mut more)) => {
            more[0].floor = right.floor;
            inner.extend(more);
            (inner.len() > INNER_MAX).then(|| split_inner(inner, inner.len() / 2))
        }
        _ => unreachable!("children of one node have the same height"),
    };
    child.len += right.len;
    if let Some(again) = again {
        child.len -= again.len;
        children.insert(left + 1, again);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::thin::tests::without_leaks;

    /// Checks every invariant that the fields state; returns the members below `node` and its height.
    fn check_node(node: &Node) -> (usize, usize) {
        match node {
            Node::Leaf(entries) => {
                assert!(entries.len() <= LEAF_MAX);
                (entries.len(), 0)
            }
            Node::Inner(children) => {
                assert!(children.len() <= INNER_MAX && !children.is_empty());
                let below: Vec<_> = children.iter().map(|child| check_node(&child.node)).collect();
                assert!(below.iter().zip(children).all(|(below, child)| below.0 == child.len));
                assert!(below.iter().all(|(_, height)| *height == below[0].1), "all leaves are equally deep");
                (below.iter().map(|(len, _)| len).sum(), below[0].1 + 1)
            }
        }
    }

    fn rank(index: &ScoreIndex, score: f64, member: &[u8]) -> usize {
        index.partition_point(|other_score, other| order(other_score, other, score, member).is_lt())
    }

    fn check_index(index: &ScoreIndex, model: &[(f64, Vec<u8>)]) {
        assert_eq!(check_node(&index.root).0, index.len());
        let held = |entry: &Entry| (entry.score, entry.item.member().to_vec());
        assert!(index.range(0..usize::MAX).map(held).eq(model.iter().cloned()));
        assert!(index.range(0..usize::MAX).rev().map(held).eq(model.iter().rev().cloned()));
    }

    fn member(rng: &mut fastrand::Rng, wide: bool) -> Vec<u8> {
        let tail = format!("{:x}", rng.u32(..if wide { 1 << 20 } else { 900 }));
        let shared = ["", "common prefix ", "common prefix of some length "][rng.usize(..3)];
        [shared.as_bytes(), tail.as_bytes()].concat()
    }

    #[test]
    fn behaves_as_a_sorted_vector_under_random_operations() {
        for seed in 0..12 {
            without_leaks(|| {
                let mut rng = fastrand::Rng::with_seed(seed);
                let scores = [1, 5, 100_000][(seed % 3) as usize];
                let mut index = ScoreIndex::default();
                let mut model: Vec<(f64, Vec<u8>)> = Vec::new();
                // Grows, shrinks to nothing, grows again.
                for (steps, insert_of_8) in [(4000, 7), (6000, 1), (3000, 5)] {
                    for _ in 0..steps {
                        let score = f64::from(rng.i32(-scores..=scores)) / 2.0;
                        let member = member(&mut rng, seed % 2 == 0);
                        if rng.u8(..8) < insert_of_8 {
                            let at = model.partition_point(|(s, m)| order(*s, m, score, &member).is_lt());
                            if model.get(at).is_none_or(|(s, m)| order(*s, m, score, &member).is_gt()) {
                                assert_eq!(rank(&index, score, &member), at);
                                index.insert(score, ScoredMember::pair(score, &member).0);
                                model.insert(at, (score, member));
                            }
                        } else if rng.bool() {
                            let at = rng.usize(..=model.len());
                            let taken = index.remove_at(at).map(|entry| (entry.score, entry.item.member().to_vec()));
                            assert_eq!(taken, (at < model.len()).then(|| model.remove(at)));
                        } else if !model.is_empty() {
                            let at = rng.usize(..model.len());
                            let (score, member) = model.remove(at);
                            assert_eq!(rank(&index, score, &member), at);
                            assert_eq!(
                                index.range(at..at + 1).next().map(|entry| entry.item.member()),
                                Some(&member[..])
                            );
                            assert!(index.remove(score, &member).is_some());
                            assert!(index.remove(score, &member).is_none());
                        }
                        if rng.u8(..) == 0 {
                            check_index(&index, &model);
                        }
                    }
                    check_index(&index, &model);
                }
            });
        }
    }

    #[test]
    fn ordered_insertion_fills_the_leaves() {
        for sign in [1.0, -1.0] {
            let mut index = ScoreIndex::default();
            for i in 0..50_000 {
                index.insert(sign * f64::from(i), ScoredMember::pair(0.0, b"m").0);
            }
            assert_eq!(check_node(&index.root), (50_000, 2));
            assert!(index.memory_bytes() < 50_000 * 19, "{}", index.memory_bytes());
        }
    }

    #[test]
    fn a_range_meets_itself_in_the_middle() {
        let mut index = ScoreIndex::default();
        for i in 0..1000 {
            index.insert(f64::from(i), ScoredMember::pair(0.0, b"m").0);
        }
        let mut rng = fastrand::Rng::with_seed(9);
        for _ in 0..200 {
            let (from, to) = (rng.usize(..1100), rng.usize(..1100));
            let mut walk = index.range(from..to);
            let mut model = (from.min(1000)..to.min(1000)).map(|i| i as f64);
            assert_eq!(walk.len(), model.len());
            for _ in 0..1100 {
                let (got, want) =
                    if rng.bool() { (walk.next(), model.next()) } else { (walk.next_back(), model.next_back()) };
                assert_eq!(got.map(|entry| entry.score), want);
            }
        }
    }
}
