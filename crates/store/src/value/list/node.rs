//! One link of a quicklist, and how large it may grow.

use std::mem::size_of;

use crate::value::listpack::{self, Item, Listpack};

/// What one node, or a whole list in its small form, may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeLimit {
    size: NodeSize,
    /// Bytes from which an element gets a node of its own, whatever the size allows; 0 leaves it to the size.
    packed_threshold: usize,
}

/// What `list-max-listpack-size` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NodeSize {
    /// So many elements, within [`BYTES_WHEN_COUNTING`].
    Elements(usize),
    /// So many bytes of listpack.
    Bytes(usize),
}

/// What keeps nodes counted in elements from growing without bound.
const BYTES_WHEN_COUNTING: usize = 8192;
/// An element of so many bytes goes into no listpack, whatever the threshold says: a listpack may have 1 GiB.
const ELEMENT_BYTES_MAX: usize = 1 << 29;
/// What Redis allows for the head and backlen of an element not yet encoded.
const ENTRY_OVERHEAD: usize = 8;
/// Header and end mark, which two listpacks have twice and their union once.
const LISTPACK_OVERHEAD: usize = 7;

impl NodeLimit {
    pub(super) fn new(list_max_listpack_size: i64, packed_threshold: usize) -> Self {
        let size = match usize::try_from(list_max_listpack_size) {
            Ok(elements) => NodeSize::Elements(elements.max(1)),
            Err(_) => NodeSize::Bytes(4096 << (list_max_listpack_size.max(-5).unsigned_abs() - 1)),
        };
        Self { size, packed_threshold }
    }

    /// Whether a listpack of this size is too large.
    pub(super) fn exceeded(self, bytes: usize, elements: usize) -> bool {
        match self.size {
            NodeSize::Elements(max) => bytes > BYTES_WHEN_COUNTING || elements > max,
            NodeSize::Bytes(max) => bytes > max,
        }
    }

    /// Whether a listpack of this size is so far below the limit that a shrinking list may become small again.
    pub(super) fn half_kept(self, bytes: usize, elements: usize) -> bool {
        match self.size {
            NodeSize::Elements(max) => elements <= max / 2,
            NodeSize::Bytes(max) => bytes <= max / 2,
        }
    }

    /// Whether a listpack of this size may be a whole list in its small form. Unlike [`NodeLimit::exceeded`] Redis does
    /// not look at the bytes here when elements are counted.
    pub(super) fn kept(self, bytes: usize, elements: usize) -> bool {
        match self.size {
            NodeSize::Elements(max) => elements <= max,
            NodeSize::Bytes(max) => bytes <= max,
        }
    }

    /// Whether an element of `len` bytes gets a node of its own, outside any listpack.
    pub(super) fn is_large(self, len: usize) -> bool {
        if self.packed_threshold != 0 {
            return len >= self.packed_threshold.min(ELEMENT_BYTES_MAX);
        }
        match self.size {
            NodeSize::Elements(_) => len > BYTES_WHEN_COUNTING,
            NodeSize::Bytes(max) => len > max,
        }
    }
}

/// One node: never empty while it stands in a chain. Two words.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Node {
    Packed {
        /// Number of elements, kept beside the listpack so that finding an index need not touch it.
        count: u32,
        listpack: Listpack,
    },
    /// One element too large for a listpack. Boxed once more, since such nodes are rare and large anyway.
    Plain(Box<Box<[u8]>>),
}

const _: () = assert!(size_of::<Node>() == 16);

/// What a node holds, as a dump writes it.
#[derive(Clone, Copy, Debug)]
pub enum NodeRef<'a> {
    /// A listpack of elements.
    Packed(&'a Listpack),
    /// One element by itself, too large for a listpack.
    Plain(&'a [u8]),
}

impl Node {
    pub(super) fn packed(listpack: Listpack) -> Self {
        Self::Packed { count: u32::try_from(listpack.len()).expect("below 2^30 bytes"), listpack }
    }

    pub(super) fn plain(element: Box<[u8]>) -> Self {
        Self::Plain(Box::new(element))
    }

    /// A node of one element, with room for a listpack of `room` bytes if it becomes one.
    pub(super) fn of_one(item: Item<'_>, limit: NodeLimit, room: usize) -> Self {
        match item {
            Item::Bytes(bytes) if limit.is_large(bytes.len()) => Self::plain(bytes.into()),
            item => {
                let mut listpack = Listpack::with_capacity(room);
                listpack.push_back_item(item);
                Self::Packed { count: 1, listpack }
            }
        }
    }

    pub(super) fn count(&self) -> usize {
        match self {
            Self::Packed { count, .. } => *count as usize,
            Self::Plain(_) => 1,
        }
    }

    pub(super) fn view(&self) -> NodeRef<'_> {
        match self {
            Self::Packed { listpack, .. } => NodeRef::Packed(listpack),
            Self::Plain(element) => NodeRef::Plain(element),
        }
    }

    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// The listpack; `None` for a plain node.
    pub(super) fn listpack(&self) -> Option<&Listpack> {
        match self {
            Self::Packed { listpack, .. } => Some(listpack),
            Self::Plain(_) => None,
        }
    }

    /// The same, to be changed; the count must stay.
    pub(super) fn listpack_mut(&mut self) -> Option<&mut Listpack> {
        match self {
            Self::Packed { listpack, .. } => Some(listpack),
            Self::Plain(_) => None,
        }
    }

    /// The single element of a plain node.
    pub(super) fn into_plain(self) -> Option<Box<[u8]>> {
        match self {
            Self::Packed { .. } => None,
            Self::Plain(element) => Some(*element),
        }
    }

    /// The element at `index`.
    pub(super) fn get(&self, index: usize) -> Option<Item<'_>> {
        match self {
            Self::Packed { listpack, .. } => listpack.get(index as isize),
            Self::Plain(element) => (index == 0).then_some(Item::Bytes(element)),
        }
    }

    /// Whether `item` may be added to the listpack of this node.
    pub(super) fn allows(&self, item: Item<'_>, limit: NodeLimit) -> bool {
        let len = item.len();
        self.listpack().is_some_and(|listpack| {
            !limit.is_large(len) && !limit.exceeded(listpack.bytes_len() + len + ENTRY_OVERHEAD, self.count() + 1)
        })
    }

    /// Whether the listpacks of two nodes may become one.
    pub(super) fn allows_merge(&self, other: &Self, limit: NodeLimit) -> bool {
        let (Some(own), Some(others)) = (self.listpack(), other.listpack()) else { return false };
        let bytes = own.bytes_len() + others.bytes_len() - LISTPACK_OVERHEAD;
        !limit.exceeded(bytes, self.count() + other.count())
    }

    /// Adds an element that [`Node::allows`] before the one at `index`, or at the end.
    pub(super) fn insert(&mut self, index: usize, item: Item<'_>) {
        let (count, listpack) = self.parts_mut();
        match listpack.seek(index as isize) {
            Some(position) => {
                listpack.insert_item_before(position, item);
            }
            None => listpack.push_back_item(item),
        }
        *count += 1;
    }

    /// Puts `item` in the place of the element at `index` of a packed node.
    pub(super) fn replace(&mut self, index: usize, item: Item<'_>) {
        let (_, listpack) = self.parts_mut();
        let position = listpack.seek(index as isize).expect("the index is within the node");
        listpack.replace_item(position, item);
    }

    /// Removes `count` elements from `index` on of a packed node. A node that loses all is for the caller to take away.
    pub(super) fn remove(&mut self, index: usize, removed: usize) {
        let (count, listpack) = self.parts_mut();
        listpack.remove_range(index as isize, removed);
        *count -= removed as u32;
    }

    /// Removes up to `max` entries equal to `element`, from the tail if `backward`, and tells how many. A node that loses
    /// all is an empty listpack then, for the caller to take away.
    pub(super) fn remove_equal(&mut self, element: &[u8], max: usize, backward: bool) -> usize {
        match self {
            Self::Packed { count, listpack } => {
                let removed = remove_equal(listpack, element, max, backward);
                *count -= removed as u32;
                removed
            }
            Self::Plain(own) if max > 0 && ***own == *element => {
                *self = Self::packed(Listpack::new());
                1
            }
            Self::Plain(_) => 0,
        }
    }

    /// Cuts a packed node before `index`; the result has the elements from there on.
    pub(super) fn split_off(&mut self, index: usize) -> Self {
        let (count, listpack) = self.parts_mut();
        let position = listpack.seek(index as isize).expect("the index is within the node");
        let tail = listpack.split_off(position);
        let moved = *count - index as u32;
        *count -= moved;
        Self::Packed { count: moved, listpack: tail }
    }

    /// Takes the elements of `other`, also packed, to its end.
    pub(super) fn append(&mut self, other: &Self) {
        let others = other.listpack().expect("only packed nodes merge");
        let (count, listpack) = self.parts_mut();
        listpack.append(others);
        *count += other.count() as u32;
    }

    pub(super) fn iter(&self) -> NodeIter<'_> {
        match self {
            Self::Packed { listpack, .. } => NodeIter::Packed(listpack.iter()),
            Self::Plain(element) => NodeIter::Plain(Some(element)),
        }
    }

    /// The elements from `index` on.
    pub(super) fn iter_from(&self, index: usize) -> NodeIter<'_> {
        match self {
            Self::Packed { listpack, .. } => NodeIter::packed_from(listpack, index),
            Self::Plain(element) => NodeIter::Plain(Some(element)),
        }
    }

    /// The elements up to the one at `index`.
    pub(super) fn iter_through(&self, index: usize) -> NodeIter<'_> {
        match self {
            Self::Packed { listpack, .. } => NodeIter::packed_through(listpack, index),
            Self::Plain(element) => NodeIter::Plain(Some(element)),
        }
    }

    /// Allocated bytes, without the node's own place in the chain.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Packed { listpack, .. } => listpack.memory_bytes(),
            Self::Plain(element) => element.len() * size_of::<u8>(),
        }
    }

    fn parts_mut(&mut self) -> (&mut u32, &mut Listpack) {
        match self {
            Self::Packed { count, listpack } => (count, listpack),
            Self::Plain(_) => unreachable!("callers ask only packed nodes"),
        }
    }
}

/// Removes up to `max` entries equal to `element`, from the end if `backward`, and tells how many.
pub(super) fn remove_equal(listpack: &mut Listpack, element: &[u8], max: usize, backward: bool) -> usize {
    let mut removed = 0;
    let mut next = if backward { listpack.last() } else { listpack.find(element, 0) };
    while let Some(position) = next
        && removed < max
    {
        let matches = listpack.at(position).eq_bytes(element);
        next = match (backward, matches) {
            (true, true) => {
                let before = listpack.prev(position);
                listpack.remove(position);
                before
            }
            (true, false) => listpack.prev(position),
            (false, _) => listpack.remove(position).and_then(|after| listpack.find_from(after, element, 0)),
        };
        removed += usize::from(matches);
    }
    removed
}

/// The elements of one node, from either end.
#[derive(Clone, Debug)]
pub(super) enum NodeIter<'a> {
    Packed(listpack::Iter<'a>),
    Plain(Option<&'a [u8]>),
}

impl<'a> NodeIter<'a> {
    /// The entries of `listpack` from `index` on; none if it is out of range.
    pub(super) fn packed_from(listpack: &'a Listpack, index: usize) -> Self {
        listpack.seek(index as isize).map_or(Self::Plain(None), |from| Self::Packed(listpack.iter_from(from)))
    }

    /// The entries of `listpack` up to `index`; none if it is out of range.
    pub(super) fn packed_through(listpack: &'a Listpack, index: usize) -> Self {
        listpack.seek(index as isize).map_or(Self::Plain(None), |last| Self::Packed(listpack.iter_through(last)))
    }
}

impl<'a> Iterator for NodeIter<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        match self {
            Self::Packed(iter) => iter.next().map(|(_, item)| item),
            Self::Plain(element) => element.take().map(Item::Bytes),
        }
    }
}

impl DoubleEndedIterator for NodeIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Self::Packed(iter) => iter.next_back().map(|(_, item)| item),
            Self::Plain(element) => element.take().map(Item::Bytes),
        }
    }
}
