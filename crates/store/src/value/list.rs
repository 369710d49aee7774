//! Lists: one listpack while small, a chain of listpacks beyond `list-max-listpack-size`.
//!
//! The two forms change into each other exactly when Redis's do, since `OBJECT ENCODING` shows it. A listpack turns
//! into a chain before the write that would make it too large, judged by the bytes of the new elements without their
//! overhead. A chain turns back when it has one packed node left that is at most half as large as allowed; the half
//! keeps a list at the limit from going back and forth. Building a list in one go (loading, `SORT STORE`) needs no
//! half: what fits becomes a listpack.

mod node;
mod quicklist;
#[cfg(test)]
mod tests;

use std::fmt;

use node::{Node, NodeIter, NodeLimit};
use quicklist::Quicklist;

pub use node::NodeRef;

use crate::value::listpack::{Item, Listpack};
use crate::value::room::{Compact, View};
use crate::value::{Encoding, Limits};

/// A list value.
#[derive(Clone)]
#[repr(transparent)]
pub struct List {
    form: Compact<Listpack, Quicklist>,
}

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The head, where index 0 is.
    Left,
    /// The tail, where index -1 is.
    Right,
}

/// Which way to walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From head to tail.
    Forward,
    /// From tail to head.
    Backward,
}

/// Which matches `LPOS` wants.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// The first match to report, counted from 1; negative: counted from the tail, going backward. Not 0.
    pub rank: i64,
    /// Matches to report; 0 is all.
    pub count: usize,
    /// Elements to compare; 0 is all.
    pub maxlen: usize,
}

/// A node on its way into a list, as a dump brings it.
#[derive(Clone, Debug)]
pub enum NewNode {
    /// A listpack of elements.
    Packed(Listpack),
    /// One element by itself.
    Plain(Vec<u8>),
}

impl List {
    /// An empty list, in the small form.
    pub fn new() -> Self {
        Self { form: Compact::small(Listpack::new()) }
    }

    /// A list of `elements`, in the form that their size asks for.
    pub fn from_elements<'a>(elements: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Self {
        let limit = node_limit(limits);
        let mut chain = Quicklist::new();
        for element in elements {
            chain.push(Side::Right, Item::Bytes(element), limit);
        }
        Self::from_chain(chain, limit)
    }

    /// A list of `elements` that were pushed one after the other at `side`.
    pub fn pushed<'a, I>(side: Side, elements: I, limits: &Limits) -> Self
    where
        I: DoubleEndedIterator<Item = &'a [u8]> + Clone,
    {
        let (bytes, count) = weight_of(elements.clone());
        if node_limit(limits).exceeded(Listpack::EMPTY_BYTES + bytes, count) {
            let mut list = Self::new();
            list.push_all(side, elements, limits);
            return list;
        }
        let items = elements.map(Item::Bytes);
        Self {
            form: Compact::small(match side {
                Side::Left => Listpack::of(items.rev()),
                Side::Right => Listpack::of(items),
            }),
        }
    }

    /// A list of whole nodes, as a dump brings them, in the form that their size asks for. Empty nodes are left out.
    pub fn from_nodes(nodes: impl IntoIterator<Item = NewNode>, limits: &Limits) -> Self {
        let mut chain = Quicklist::new();
        for node in nodes {
            chain.push_node(match node {
                NewNode::Packed(listpack) => Node::packed(listpack),
                NewNode::Plain(element) => Node::plain(element.into_boxed_slice()),
            });
        }
        Self::from_chain(chain, node_limit(limits))
    }

    fn from_chain(chain: Quicklist, limit: NodeLimit) -> Self {
        if chain.len() == 0 {
            return Self::new();
        }
        let mut list = Self { form: Compact::large(chain) };
        list.pack_if(|bytes, elements| limit.kept(bytes, elements));
        list
    }

    /// The nodes as a dump writes them; a list in the small form is one node.
    pub fn nodes(&self) -> impl Iterator<Item = NodeRef<'_>> {
        let (packed, chain) = match self.form.view() {
            View::Small(listpack) => (Some(NodeRef::Packed(listpack)), None),
            View::Large(chain) => (None, Some(chain.nodes().map(Node::view))),
        };
        packed.into_iter().chain(chain.into_iter().flatten())
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self.form.view() {
            View::Small(listpack) => listpack.len(),
            View::Large(chain) => chain.len(),
        }
    }

    /// Whether the list has no element. Such a list is not kept under a key.
    pub fn is_empty(&self) -> bool {
        match self.form.view() {
            View::Small(listpack) => listpack.is_empty(),
            View::Large(chain) => chain.len() == 0,
        }
    }

    /// The name of the present form.
    pub fn encoding(&self) -> Encoding {
        match self.form.view() {
            View::Small(_) => Encoding::Listpack,
            View::Large(_) => Encoding::Quicklist,
        }
    }

    /// Allocated bytes beyond the `List` itself.
    pub fn memory_bytes(&self) -> usize {
        match self.form.view() {
            View::Small(listpack) => listpack.memory_bytes(),
            View::Large(chain) => self.form.block_bytes() + chain.memory_bytes(),
        }
    }

    /// Adds `elements` one after the other at `side`, so that the last one ends up outermost.
    pub fn push_all<'a, I>(&mut self, side: Side, elements: I, limits: &Limits)
    where
        I: IntoIterator<Item = &'a [u8]> + Clone,
    {
        let (bytes, count) = weight_of(elements.clone());
        self.grow(bytes, count, limits);
        for element in elements {
            self.push_unchecked(side, Item::Bytes(element), limits);
        }
    }

    /// Adds one element at `side`. What moves from list to list goes in as [`Item::parse`] makes it: Redis counts no
    /// bytes for a moved integer when it decides about the form.
    pub fn push(&mut self, side: Side, item: Item<'_>, limits: &Limits) {
        self.grow(weight(item), 1, limits);
        self.push_unchecked(side, item, limits);
    }

    /// Removes and returns the element at `side`.
    pub fn pop(&mut self, side: Side, limits: &Limits) -> Option<Vec<u8>> {
        let element = self.pop_unchecked(side);
        self.shrink(limits);
        element
    }

    /// Moves the element at `from` to the other or the same end, and returns it: `LMOVE` of a list onto itself.
    pub fn rotate(&mut self, from: Side, to: Side, limits: &Limits) -> Option<Vec<u8>> {
        let element = self.pop_unchecked(from)?;
        self.push(to, Item::parse(&element), limits);
        self.shrink(limits);
        Some(element)
    }

    /// The element at `side`.
    pub fn peek(&self, side: Side) -> Option<Item<'_>> {
        self.get(if side == Side::Left { 0 } else { -1 })
    }

    /// The element at `index`; negative indexes count from the tail, -1 being the last.
    pub fn get(&self, index: i64) -> Option<Item<'_>> {
        match self.form.view() {
            View::Small(listpack) => listpack.get(isize::try_from(index).ok()?),
            View::Large(chain) => chain.get(resolve(index, chain.len())?),
        }
    }

    /// Puts `element` in the place of the one at `index`; false if there is none. As in Redis the form may change even
    /// then.
    pub fn set(&mut self, index: i64, element: &[u8], limits: &Limits) -> bool {
        self.grow(element.len(), 1, limits);
        let Some(at) = resolve(index, self.len()) else { return false };
        match self.form.view_mut() {
            View::Small(listpack) => {
                if let Some(position) = listpack.seek(at as isize) {
                    listpack.replace(position, element);
                }
            }
            View::Large(chain) => {
                if let Some(place) = chain.place(at) {
                    chain.replace(place, Item::Bytes(element), node_limit(limits));
                }
            }
        }
        self.shrink(limits);
        true
    }

    /// Adds `element` beside the first element equal to `pivot`, on the given side of it; false if there is none. As in
    /// Redis the form may change even then.
    pub fn insert(&mut self, side: Side, pivot: &[u8], element: &[u8], limits: &Limits) -> bool {
        self.grow(element.len(), 1, limits);
        match self.form.view_mut() {
            View::Small(listpack) => {
                let Some(position) = listpack.find(pivot, 0) else { return false };
                match side {
                    Side::Left => listpack.insert_before(position, element),
                    Side::Right => listpack.insert_after(position, element),
                };
            }
            View::Large(chain) => {
                let Some(place) = chain.find(pivot) else { return false };
                let (item, limit) = (Item::Bytes(element), node_limit(limits));
                match side {
                    Side::Left => chain.insert_before(place, item, limit),
                    Side::Right => chain.insert_after(place, item, limit),
                }
            }
        }
        true
    }

    /// Removes elements equal to `element` and tells how many: the first `count` of them, the last `-count`, or all if
    /// it is 0.
    pub fn remove(&mut self, count: i64, element: &[u8], limits: &Limits) -> usize {
        let backward = count < 0;
        let max = if count == 0 { usize::MAX } else { usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX) };
        let removed = match self.form.view_mut() {
            View::Small(listpack) => node::remove_equal(listpack, element, max, backward),
            View::Large(chain) => chain.remove_equal(element, max, backward),
        };
        if removed > 0 {
            self.shrink(limits);
        }
        removed
    }

    /// Removes up to `count` elements from `start` on.
    pub fn remove_range(&mut self, start: usize, count: usize, limits: &Limits) {
        self.remove_range_unchecked(start, count);
        self.shrink(limits);
    }

    /// Keeps the elements from `start` to `stop`, both included and both counted as in [`List::range`], and tells how
    /// many were removed.
    pub fn trim(&mut self, start: i64, stop: i64, limits: &Limits) -> usize {
        let len = self.len();
        let kept = resolve_range(start, stop, len);
        self.remove_range_unchecked(kept.end, len - kept.end);
        self.remove_range_unchecked(0, kept.start);
        self.shrink(limits);
        len - kept.len()
    }

    /// The elements from `start` to `stop`, both included; negative indexes count from the tail, and what lies outside
    /// the list is left out.
    pub fn range(&self, start: i64, stop: i64) -> Elements<'_> {
        let range = resolve_range(start, stop, self.len());
        self.walk(range.start, range.len(), Direction::Forward)
    }

    /// All elements from `index` on in `direction`.
    pub fn iter_from(&self, index: usize, direction: Direction) -> Elements<'_> {
        let len = self.len();
        let remaining = match direction {
            Direction::Forward => len.saturating_sub(index),
            Direction::Backward => index.saturating_add(1).min(len),
        };
        self.walk(index, if index < len { remaining } else { 0 }, direction)
    }

    /// All elements from head to tail.
    pub fn iter(&self) -> Elements<'_> {
        self.iter_from(0, Direction::Forward)
    }

    /// The indexes of the elements equal to `element`, as `LPOS` reports them.
    pub fn positions(&self, element: &[u8], search: Search) -> Vec<usize> {
        let last = self.len().saturating_sub(1);
        let (from, direction) = if search.rank < 0 { (last, Direction::Backward) } else { (0, Direction::Forward) };
        let all_if_zero = |limit: usize| if limit == 0 { usize::MAX } else { limit };
        let skipped = usize::try_from(search.rank.unsigned_abs()).unwrap_or(usize::MAX).saturating_sub(1);
        self.iter_from(from, direction)
            .take(all_if_zero(search.maxlen))
            .enumerate()
            .filter(|(_, item)| item.eq_bytes(element))
            .map(|(step, _)| if direction == Direction::Backward { last - step } else { step })
            .skip(skipped)
            .take(all_if_zero(search.count))
            .collect()
    }

    /// One more owner of the same elements; whoever changes his list first makes it his own.
    pub(crate) fn share(&self) -> Self {
        Self { form: self.form.share() }
    }

    fn walk(&self, index: usize, remaining: usize, direction: Direction) -> Elements<'_> {
        let (node, nodes) = match (self.form.view(), direction) {
            _ if remaining == 0 => (NodeIter::Plain(None), Default::default()),
            (View::Small(listpack), Direction::Forward) => (NodeIter::packed_from(listpack, index), Default::default()),
            (View::Small(listpack), Direction::Backward) => {
                (NodeIter::packed_through(listpack, index), Default::default())
            }
            (View::Large(chain), _) => {
                chain.iters_from(index, direction).unwrap_or((NodeIter::Plain(None), Default::default()))
            }
        };
        Elements { node, nodes, direction, remaining }
    }

    fn push_unchecked(&mut self, side: Side, item: Item<'_>, limits: &Limits) {
        match self.form.view_mut() {
            View::Small(listpack) => push(listpack, side, item),
            View::Large(chain) => chain.push(side, item, node_limit(limits)),
        }
    }

    fn pop_unchecked(&mut self, side: Side) -> Option<Vec<u8>> {
        match self.form.view_mut() {
            View::Small(listpack) => {
                let position = if side == Side::Left { listpack.first() } else { listpack.last() }?;
                let element = listpack.at(position).to_vec();
                listpack.remove(position);
                Some(element)
            }
            View::Large(chain) => chain.pop(side),
        }
    }

    fn remove_range_unchecked(&mut self, start: usize, count: usize) {
        let count = count.min(self.len().saturating_sub(start));
        match self.form.view_mut() {
            View::Small(listpack) => listpack.remove_range(start as isize, count),
            View::Large(chain) => chain.remove_range(start, count),
        }
    }

    /// Turns a listpack into a chain if `bytes` and `elements` more would be too much for it.
    fn grow(&mut self, bytes: usize, elements: usize, limits: &Limits) {
        let View::Small(listpack) = self.form.view() else { return };
        if node_limit(limits).exceeded(listpack.bytes_len() + bytes, listpack.len() + elements) {
            let mut chain = Quicklist::new();
            chain.push_node(Node::packed(listpack.clone()));
            self.form = Compact::large(chain);
        }
    }

    /// Turns a chain into a listpack if it has one node that is at most half as large as allowed.
    fn shrink(&mut self, limits: &Limits) {
        let limit = node_limit(limits);
        self.pack_if(|bytes, elements| limit.half_kept(bytes, elements));
    }

    fn pack_if(&mut self, fits: impl Fn(usize, usize) -> bool) {
        let View::Large(chain) = self.form.view() else { return };
        if let Some(listpack) = chain.only_listpack().filter(|listpack| fits(listpack.bytes_len(), chain.len())) {
            self.form = Compact::small(listpack.clone());
        }
    }
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for &'a List {
    type Item = Item<'a>;
    type IntoIter = Elements<'a>;

    fn into_iter(self) -> Elements<'a> {
        self.iter()
    }
}

/// Elements of a [`List`] in one direction.
#[derive(Clone)]
pub struct Elements<'a> {
    /// What is left of the node in hand.
    node: NodeIter<'a>,
    /// The nodes not begun.
    nodes: std::collections::vec_deque::Iter<'a, Node>,
    direction: Direction,
    remaining: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        self.remaining = self.remaining.checked_sub(1)?;
        loop {
            let item = match self.direction {
                Direction::Forward => self.node.next(),
                Direction::Backward => self.node.next_back(),
            };
            if item.is_some() {
                return item;
            }
            let node = match self.direction {
                Direction::Forward => self.nodes.next(),
                Direction::Backward => self.nodes.next_back(),
            };
            self.node = node?.iter();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for Elements<'_> {}

impl fmt::Debug for Elements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

fn node_limit(limits: &Limits) -> NodeLimit {
    NodeLimit::new(limits.list_max_listpack_size, limits.list_packed_threshold)
}

fn push(listpack: &mut Listpack, side: Side, item: Item<'_>) {
    match side {
        Side::Left => listpack.push_front_item(item),
        Side::Right => listpack.push_back_item(item),
    }
}

/// The bytes that elements count before they are encoded, and how many they are.
fn weight_of<'a>(elements: impl IntoIterator<Item = &'a [u8]>) -> (usize, usize) {
    elements.into_iter().fold((0, 0), |(bytes, count), element| (bytes + element.len(), count + 1))
}

/// The bytes that an element counts before it is encoded.
fn weight(item: Item<'_>) -> usize {
    match item {
        Item::Int(_) => 0,
        Item::Bytes(bytes) => bytes.len(),
    }
}

/// The index from the head that `index` means; `None` outside of the list.
fn resolve(index: i64, len: usize) -> Option<usize> {
    let at =
        if index < 0 { len.checked_add_signed(isize::try_from(index).ok()?)? } else { usize::try_from(index).ok()? };
    (at < len).then_some(at)
}

/// The indexes that `start` to `stop` means, clamped to the list.
fn resolve_range(start: i64, stop: i64, len: usize) -> std::ops::Range<usize> {
    let signed_len = len as i64;
    let from_head = |index: i64| if index < 0 { index.saturating_add(signed_len) } else { index };
    let start = from_head(start).max(0);
    let end = from_head(stop).min(signed_len - 1).saturating_add(1);
    if start >= end { 0..0 } else { start as usize..end as usize }
}
