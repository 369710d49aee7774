//! A listpack: a sequence of strings and integers in one run of bytes, readable from both ends.
//!
//! The bytes are exactly those of Redis's format of the same name, so DUMP, RESTORE and RDB files move them unchanged:
//! a header (total bytes as 32 bits little-endian, count as 16 bits little-endian), the entries (see `entry.rs`), and
//! the end mark `FF`. A count of 65535 means "not known": who wants it walks.
//!
//! Memory counts here, because small values are the common ones. So a listpack is one word, and since its bytes tell how
//! many they are, nothing stands beside them but the eight bytes of a [`Room`]; that has what a block of the allocator has
//! anyway, and shrinks once half of it is free.

mod entry;
mod item;
#[cfg(test)]
mod tests;

use std::fmt;

use smallvec::SmallVec;

use super::room::Room;

use entry::{END, Entry, backlen, body_size, decode, with_backlen};
pub use item::{Item, canonical_int};

/// A packed sequence of elements in Redis's listpack format. Always well-formed.
#[repr(transparent)]
pub struct Listpack(Room);

/// Where an entry starts. It holds until the listpack changes before or at that entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u32);

/// Why some bytes are no listpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corrupt {
    /// Too short, or the header's size is not the size of the bytes.
    Size,
    /// The end mark is missing, or stands before the end.
    End,
    /// No well-formed entry starts at this offset.
    Entry {
        /// In bytes from the start of the header.
        offset: usize,
    },
    /// The header's count is not the number of entries.
    Count,
}

const HEADER: usize = 6;
/// So many elements are encoded on the stack before their room is allocated.
const ENTRIES_INLINE: usize = 8;
const COUNT_UNKNOWN: usize = u16::MAX as usize;
/// The most capacity that is taken ahead, whatever the node before has: that may be one element of any size. With the head of
/// the room it is a block of 8 KiB, which is what a node of a list may have.
const AHEAD_BYTES_MAX: usize = 8192 - 8;

impl Listpack {
    /// Beyond this many bytes nothing more should be added; Redis draws the same line, far below what the header can tell.
    pub const BYTES_MAX: usize = 1 << 30;

    /// What an empty listpack has in its [`Listpack::as_bytes`].
    pub const EMPTY_BYTES: usize = HEADER + 1;

    /// From so many nodes on a chain takes capacity ahead, see [`Listpack::finish`].
    pub const AHEAD_NODES_MIN: usize = 16;

    /// An empty listpack.
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// An empty listpack with room for `bytes` bytes, header and end mark included. It keeps the room while it grows.
    pub fn with_capacity(bytes: usize) -> Self {
        const EMPTY: [u8; Listpack::EMPTY_BYTES] = [Listpack::EMPTY_BYTES as u8, 0, 0, 0, 0, 0, END];
        let mut room = Room::new(bytes.max(EMPTY.len()), 0);
        room.bytes_mut()[..EMPTY.len()].copy_from_slice(&EMPTY);
        Self(room)
    }

    /// A listpack of these elements, in one allocation.
    pub fn of<'a>(elements: impl IntoIterator<Item = Item<'a>>) -> Self {
        Self::with_room_for(elements, None)
    }

    /// The same with room for `later` elements, which go in without a further allocation.
    pub fn with_room_for<'a, 'l>(
        elements: impl IntoIterator<Item = Item<'a>>,
        later: impl IntoIterator<Item = Item<'l>>,
    ) -> Self {
        let entries: SmallVec<[Entry<'a>; ENTRIES_INLINE]> = elements.into_iter().map(Entry::new).collect();
        let size = size_of_all(&entries);
        let later = later.into_iter().fold(0usize, |sum, item| sum.saturating_add(Entry::new(item).size()));
        let mut listpack = Self::with_capacity(Self::EMPTY_BYTES + size + later.min(Self::BYTES_MAX / 2));
        listpack.insert_entries(listpack.end(), &entries);
        listpack
    }

    /// Takes bytes of unknown origin, after checking every one of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Corrupt> {
        Self::validate(bytes, true)?;
        Ok(Self::copy_of(bytes, 0))
    }

    fn copy_of(bytes: &[u8], mark: u8) -> Self {
        let mut room = Room::new(bytes.len(), mark);
        room.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
        Self(room)
    }

    /// Checks that `bytes` is a listpack: its size and end mark, and if `deep` every entry and the count too.
    pub fn validate(bytes: &[u8], deep: bool) -> Result<(), Corrupt> {
        if bytes.len() < HEADER + 1 || u32::try_from(bytes.len()) != Ok(total_field(bytes)) {
            return Err(Corrupt::Size);
        }
        let end = bytes.len() - 1;
        if bytes[end] != END {
            return Err(Corrupt::End);
        }
        if deep { validate_entries(bytes, end) } else { Ok(()) }
    }

    /// The bytes in Redis's format.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.bytes()[..self.bytes_len()]
    }

    /// The size of [`Listpack::as_bytes`].
    #[inline]
    pub fn bytes_len(&self) -> usize {
        total_field(self.0.bytes()) as usize
    }

    /// Allocated bytes.
    pub fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }

    /// What it lies in, with the mark that its owner has set.
    pub fn room(&self) -> &Room {
        &self.0
    }

    /// Sets the mark of what it lies in.
    pub fn set_mark(&mut self, mark: u8) {
        self.0.set_mark(mark);
    }

    /// How many more bytes of content may be added with [`Listpack::BYTES_MAX`] still kept.
    pub fn fits(&self, more_bytes: usize) -> bool {
        self.bytes_len().saturating_add(more_bytes) <= Self::BYTES_MAX
    }

    /// Number of entries. Constant time below 65535 entries, a walk from there on.
    pub fn len(&self) -> usize {
        match self.count_field() {
            COUNT_UNKNOWN => self.iter().count(),
            count => count,
        }
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.end() == HEADER
    }

    /// The element at `index`; negative indexes count from the end, -1 being the last.
    pub fn get(&self, index: isize) -> Option<Item<'_>> {
        self.seek(index).map(|position| self.at(position))
    }

    /// The position of the entry at `index`; negative indexes count from the end, -1 being the last. Walks from the
    /// nearer end.
    pub fn seek(&self, index: isize) -> Option<Position> {
        let steps = index.unsigned_abs();
        match (self.count_field(), index < 0) {
            (COUNT_UNKNOWN, false) => self.walk_forward(steps),
            (COUNT_UNKNOWN, true) => self.walk_backward(steps - 1),
            (count, from_back) => {
                let at = if from_back { count.checked_sub(steps)? } else { steps };
                if at < count / 2 { self.walk_forward(at) } else { self.walk_backward(count.checked_sub(at + 1)?) }
            }
        }
    }

    /// The element at `position`.
    #[inline]
    pub fn at(&self, position: Position) -> Item<'_> {
        decode(&self.0.bytes()[position.0 as usize..])
    }

    /// The first entry.
    #[inline]
    pub fn first(&self) -> Option<Position> {
        self.entry_at(HEADER)
    }

    /// The last entry.
    #[inline]
    pub fn last(&self) -> Option<Position> {
        self.entry_before(self.end())
    }

    /// The entry after `position`.
    #[inline]
    pub fn next(&self, position: Position) -> Option<Position> {
        self.entry_at(self.after(position))
    }

    /// The entry before `position`.
    #[inline]
    pub fn prev(&self, position: Position) -> Option<Position> {
        self.entry_before(position.0 as usize)
    }

    /// All entries in order, from either end.
    pub fn iter(&self) -> Iter<'_> {
        Iter { listpack: self, front: HEADER, back: self.end() }
    }

    /// The entries from `position` to the end, from either end.
    pub fn iter_from(&self, position: Position) -> Iter<'_> {
        Iter { listpack: self, front: position.0 as usize, back: self.end() }
    }

    /// The entries from the first to the one at `position`, from either end.
    pub fn iter_through(&self, position: Position) -> Iter<'_> {
        Iter { listpack: self, front: HEADER, back: self.after(position) }
    }

    /// The first entry equal to `element`, leaving out `skip` entries after each one compared: with 1, only the fields
    /// of a sequence of field and value pairs are looked at.
    pub fn find(&self, element: &[u8], skip: usize) -> Option<Position> {
        self.find_from(self.first()?, element, skip)
    }

    /// Like [`Listpack::find`], with `from` as the first entry compared.
    pub fn find_from(&self, from: Position, element: &[u8], skip: usize) -> Option<Position> {
        // Which integer `element` is gets asked once, and only if there is an integer to compare it with.
        let mut as_int = None;
        let mut position = from;
        loop {
            let equal = match self.at(position) {
                Item::Bytes(bytes) => bytes == element,
                Item::Int(int) => *as_int.get_or_insert_with(|| canonical_int(element)) == Some(int),
            };
            if equal {
                return Some(position);
            }
            for _ in 0..skip {
                position = self.next(position)?;
            }
            position = self.next(position)?;
        }
    }

    /// The positions of the entries at `indexes`, which ascend (doubles are allowed), in one walk. Ends at the first
    /// index that is out of range.
    pub fn positions(&self, indexes: impl IntoIterator<Item = usize>) -> impl Iterator<Item = Position> {
        let mut here = self.first();
        let mut here_index = 0;
        indexes.into_iter().map_while(move |index| {
            assert!(index >= here_index, "indexes ascend");
            for _ in here_index..index {
                here = self.next(here?);
            }
            here_index = index;
            here
        })
    }

    /// Any entry, all alike in chance; with a `stride` of 2 any first entry of a pair. `None` if there is none.
    pub fn random(&self, stride: usize, rng: &mut fastrand::Rng) -> Option<Position> {
        let groups = self.len() / stride;
        if groups == 0 {
            return None;
        }
        self.seek((rng.usize(..groups) * stride) as isize)
    }

    /// Adds `element` at the end.
    pub fn push_back(&mut self, element: &[u8]) {
        self.push_back_item(Item::Bytes(element));
    }

    /// Adds an integer at the end.
    pub fn push_back_int(&mut self, int: i64) {
        self.push_back_item(Item::Int(int));
    }

    /// Adds `item` at the end.
    pub fn push_back_item(&mut self, item: Item<'_>) {
        self.insert_at(self.end(), item);
    }

    /// Adds `items` at the end, which belong together: cheaper than one by one.
    pub fn push_back_items<const N: usize>(&mut self, items: [Item<'_>; N]) {
        self.insert_entries(self.end(), &items.map(Entry::new));
    }

    /// Adds `element` at the front.
    pub fn push_front(&mut self, element: &[u8]) {
        self.push_front_item(Item::Bytes(element));
    }

    /// Adds `item` at the front.
    pub fn push_front_item(&mut self, item: Item<'_>) {
        self.insert_at(HEADER, item);
    }

    /// Adds `element` before the entry at `position`; the result is where it stands.
    pub fn insert_before(&mut self, position: Position, element: &[u8]) -> Position {
        self.insert_item_before(position, Item::Bytes(element))
    }

    /// Adds `items` before the entry at `position`, which belong together: cheaper than one by one.
    pub fn insert_items_before<const N: usize>(&mut self, position: Position, items: [Item<'_>; N]) {
        self.insert_entries(position.0 as usize, &items.map(Entry::new));
    }

    /// Adds `item` before the entry at `position`; the result is where it stands.
    pub fn insert_item_before(&mut self, position: Position, item: Item<'_>) -> Position {
        self.insert_at(position.0 as usize, item)
    }

    /// Adds `element` after the entry at `position`; the result is where it stands.
    pub fn insert_after(&mut self, position: Position, element: &[u8]) -> Position {
        self.insert_item_after(position, Item::Bytes(element))
    }

    /// Adds `item` after the entry at `position`; the result is where it stands.
    pub fn insert_item_after(&mut self, position: Position, item: Item<'_>) -> Position {
        self.insert_at(self.after(position), item)
    }

    /// Puts `element` in the place of the entry at `position`, which stays its position.
    pub fn replace(&mut self, position: Position, element: &[u8]) {
        self.replace_item(position, Item::Bytes(element));
    }

    /// Puts `item` in the place of the entry at `position`, which stays its position.
    pub fn replace_item(&mut self, position: Position, item: Item<'_>) {
        let at = position.0 as usize;
        let entry = Entry::new(item);
        entry.write(self.splice(at, self.after(position) - at, entry.size()));
    }

    /// Removes the entry at `position`; the result is the entry that followed it.
    pub fn remove(&mut self, position: Position) -> Option<Position> {
        self.remove_entries(position, 1)
    }

    /// Removes up to `count` entries from `position` on; the result is the entry that followed them.
    pub fn remove_entries(&mut self, position: Position, count: usize) -> Option<Position> {
        let at = position.0 as usize;
        let mut to = at;
        let mut removed = 0;
        while removed < count && self.entry_at(to).is_some() {
            to = self.after(Position(to as u32));
            removed += 1;
        }
        self.splice(at, to - at, 0);
        match self.count_field() {
            COUNT_UNKNOWN if self.is_empty() => self.set_count_field(0),
            COUNT_UNKNOWN => {}
            before => self.set_count_field(before - removed),
        }
        self.entry_at(at)
    }

    /// Removes up to `count` entries from `index` on (negative: from the end); an index out of range removes nothing.
    pub fn remove_range(&mut self, index: isize, count: usize) {
        if let Some(position) = self.seek(index) {
            self.remove_entries(position, count);
        }
    }

    /// Appends all entries of `other`.
    pub fn append(&mut self, other: &Self) {
        let at = self.end();
        let entries = &other.0.bytes()[HEADER..other.end()];
        let count = match (self.count_field(), other.count_field()) {
            (COUNT_UNKNOWN, _) | (_, COUNT_UNKNOWN) => COUNT_UNKNOWN,
            (own, more) => (own + more).min(COUNT_UNKNOWN),
        };
        self.splice(at, 0, entries.len()).copy_from_slice(entries);
        self.set_count_field(count);
    }

    /// Cuts the listpack before `position`; the result has the entries from there on.
    pub fn split_off(&mut self, position: Position) -> Self {
        let at = position.0 as usize;
        let moved = self.iter_from(position).count();
        let entries = &self.0.bytes()[at..self.end()];
        let mut tail = Self::with_capacity(HEADER + entries.len() + 1);
        tail.splice(HEADER, 0, entries.len()).copy_from_slice(entries);
        tail.set_count_field(moved.min(COUNT_UNKNOWN));
        self.remove_entries(position, moved);
        tail
    }

    /// Gives free capacity back.
    pub fn shrink_to_fit(&mut self) {
        self.0.fit(self.bytes_len());
    }

    /// Ends a full node of a chain: gives free capacity back, and tells what capacity suits the node after it.
    ///
    /// A node that grows passes through thirty sizes of block, and the allocator keeps a page for each; in a chain of
    /// [`Listpack::AHEAD_NODES_MIN`] nodes it costs little beside the others to have the last size at once.
    pub fn finish(&mut self) -> usize {
        self.shrink_to_fit();
        self.0.size().min(AHEAD_BYTES_MAX)
    }

    /// Offset of the end mark.
    #[inline]
    fn end(&self) -> usize {
        self.bytes_len() - 1
    }

    #[inline]
    fn entry_at(&self, offset: usize) -> Option<Position> {
        (offset < self.end()).then_some(Position(offset as u32))
    }

    #[inline]
    fn entry_before(&self, offset: usize) -> Option<Position> {
        (offset > HEADER).then(|| {
            let body = backlen(&self.0.bytes()[..offset]).expect("an entry ends with its length");
            Position((offset - with_backlen(body)) as u32)
        })
    }

    /// Offset of what follows the entry at `position`.
    #[inline]
    fn after(&self, position: Position) -> usize {
        let at = position.0 as usize;
        at + with_backlen(body_size(&self.0.bytes()[at..]).expect("a position is where an entry starts"))
    }

    fn walk_forward(&self, steps: usize) -> Option<Position> {
        (0..steps).try_fold(self.first()?, |position, _| self.next(position))
    }

    fn walk_backward(&self, steps: usize) -> Option<Position> {
        (0..steps).try_fold(self.last()?, |position, _| self.prev(position))
    }

    fn count_field(&self) -> usize {
        let bytes = self.0.bytes();
        usize::from(u16::from_le_bytes([bytes[4], bytes[5]]))
    }

    fn set_count_field(&mut self, count: usize) {
        self.0.bytes_mut()[4..6].copy_from_slice(&(count as u16).to_le_bytes());
    }

    fn insert_at(&mut self, at: usize, item: Item<'_>) -> Position {
        let entry = Entry::new(item);
        entry.write(self.splice(at, 0, entry.size()));
        // One short of "not known" this step itself makes the count unknown, as in Redis.
        self.set_count_field((self.count_field() + 1).min(COUNT_UNKNOWN));
        Position(at as u32)
    }

    fn insert_entries(&mut self, at: usize, entries: &[Entry<'_>]) {
        let mut rest = self.splice(at, 0, size_of_all(entries));
        for entry in entries {
            let (out, further) = rest.split_at_mut(entry.size());
            entry.write(out);
            rest = further;
        }
        self.set_count_field((self.count_field() + entries.len()).min(COUNT_UNKNOWN));
    }

    /// Makes the `removed` bytes at `at` into `inserted` bytes, which are left to the caller to write, as is the count.
    fn splice(&mut self, at: usize, removed: usize, inserted: usize) -> &mut [u8] {
        if inserted != removed {
            let old_len = self.bytes_len();
            let new_len = old_len - removed + inserted;
            let total = u32::try_from(new_len).expect("callers keep a listpack below BYTES_MAX");
            if new_len > self.0.size() {
                self.0.fit(new_len);
            }
            let bytes = self.0.bytes_mut();
            bytes.copy_within(at + removed..old_len, at + inserted);
            bytes[..4].copy_from_slice(&total.to_le_bytes());
            // Not where it grows: the room may have been taken ahead, see `with_capacity`.
            if inserted < removed && new_len <= self.0.size() / 2 {
                self.0.fit(new_len);
            }
        }
        &mut self.0.bytes_mut()[at..at + inserted]
    }
}

impl Clone for Listpack {
    fn clone(&self) -> Self {
        Self::copy_of(self.as_bytes(), self.0.mark())
    }
}

impl PartialEq for Listpack {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Listpack {}

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Listpack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(_, item)| item)).finish()
    }
}

impl<'a> IntoIterator for &'a Listpack {
    type Item = (Position, Item<'a>);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size => write!(f, "listpack size is not that of its bytes"),
            Self::End => write!(f, "listpack end mark is not where it should be"),
            Self::Entry { offset } => write!(f, "malformed listpack entry at offset {offset}"),
            Self::Count => write!(f, "listpack count is not the number of its entries"),
        }
    }
}

impl std::error::Error for Corrupt {}

/// The entries of a [`Listpack`], each with its position.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    listpack: &'a Listpack,
    /// Offset of the next entry from the front.
    front: usize,
    /// Offset after the next entry from the back; nothing is left once the two meet.
    back: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Position, Item<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        (self.front < self.back).then(|| {
            let position = Position(self.front as u32);
            self.front = self.listpack.after(position);
            (position, self.listpack.at(position))
        })
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        let position = self.listpack.entry_before(self.back)?;
        self.back = position.0 as usize;
        Some((position, self.listpack.at(position)))
    }
}

fn size_of_all(entries: &[Entry<'_>]) -> usize {
    entries.iter().map(Entry::size).sum()
}

fn total_field(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// Walks `bytes` without trusting them; `end` is the offset of the end mark.
fn validate_entries(bytes: &[u8], end: usize) -> Result<(), Corrupt> {
    let mut offset = HEADER;
    let mut count = 0;
    while offset < end {
        if bytes[offset] == END {
            return Err(Corrupt::End);
        }
        let corrupt = Corrupt::Entry { offset };
        let body = body_size(&bytes[offset..end]).ok_or(corrupt)?;
        offset += with_backlen(body);
        if offset > end || backlen(&bytes[..offset]) != Some(body) {
            return Err(corrupt);
        }
        count += 1;
    }
    match usize::from(u16::from_le_bytes([bytes[4], bytes[5]])) {
        COUNT_UNKNOWN => Ok(()),
        told if told == count => Ok(()),
        _ => Err(Corrupt::Count),
    }
}
