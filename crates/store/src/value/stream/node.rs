//! One node of a stream: a listpack of entries whose ids and fields are told relative to the first of them.
//!
//! The layout is Redis's, so dumps move nodes as they are. A node opens with its master entry:
//!
//! ```text
//! live-count  deleted-count  field-count  field ... field  0
//! ```
//!
//! and every entry follows as one of
//!
//! ```text
//! flags  ms-delta  seq-delta  value ... value  element-count                              (fields as in the master)
//! flags  ms-delta  seq-delta  field-count  field value ... field value  element-count     (fields of its own)
//! ```
//!
//! The deltas are to the node's key, wrapping at 64 bits. The count of elements at the end (itself left out) lets a
//! reader walk backwards, and the 0 of the master entry stops it. A deleted entry stays and is flagged; a node whose
//! last live entry goes is dropped whole.

use super::StreamId;
use crate::value::listpack::{Item, Listpack, Position};

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// Flags and the two deltas.
const FIXED_ELEMENTS: i64 = 3;

/// A node in the hand of a reader.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    /// What the entries' deltas are added to.
    pub(super) master: StreamId,
    pub(super) pack: &'a Listpack,
}

/// What a node's master entry says.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) live: u64,
    pub(super) deleted: u64,
    fields: usize,
    /// The first field; the closing zero if there is none.
    first_field: Position,
    /// The flags of the first entry.
    pub(super) first_entry: Option<Position>,
}

/// One entry of a stream.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    id: StreamId,
    pack: &'a Listpack,
    /// Where the flags are.
    pub(super) flags_at: Position,
    pub(super) deleted: bool,
    /// The first field in the master entry, if the fields are told there.
    shared_fields: Option<Position>,
    /// The first value, or the first field of its own; the closing count if there is neither.
    content: Position,
    fields: usize,
}

impl<'a> Entry<'a> {
    /// The entry's id.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Number of field and value pairs.
    pub fn len(&self) -> usize {
        self.fields
    }

    /// Whether there is no field; no client can add such an entry.
    pub fn is_empty(&self) -> bool {
        self.fields == 0
    }

    /// The fields and their values, in the order they were given.
    pub fn fields(&self) -> Fields<'a> {
        Fields { pack: self.pack, field: self.shared_fields, next: Some(self.content), remaining: self.fields }
    }

    /// Where the entry after this one begins.
    pub(super) fn following(&self) -> Option<Position> {
        let own = if self.shared_fields.is_some() { self.fields } else { self.fields * 2 };
        // The elements of the content, and the closing count.
        (0..=own).try_fold(self.content, |position, _| self.pack.next(position))
    }
}

impl std::fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.id)?;
        f.debug_map().entries(self.fields()).finish()
    }
}

/// The pairs of an [`Entry`].
#[derive(Clone)]
pub struct Fields<'a> {
    pack: &'a Listpack,
    /// The next field in the master entry, if the fields are told there.
    field: Option<Position>,
    /// The next value, or the next field of its own.
    next: Option<Position>,
    remaining: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Item<'a>, Item<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        let (field, value) = match self.field {
            Some(shared) => {
                self.field = self.pack.next(shared);
                (shared, self.next?)
            }
            None => (self.next?, self.pack.next(self.next?)?),
        };
        self.next = self.pack.next(value);
        Some((self.pack.at(field), self.pack.at(value)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for Fields<'_> {}

impl<'a> Node<'a> {
    pub(super) fn header(self) -> Header {
        let pack = self.pack;
        let live = pack.first().expect("a node has a master entry");
        let deleted = after(pack, live);
        let fields_at = after(pack, deleted);
        let fields = int_at(pack, fields_at) as usize;
        let first_field = after(pack, fields_at);
        let closing = (0..fields).fold(first_field, |position, _| after(pack, position));
        Header {
            live: int_at(pack, live) as u64,
            deleted: int_at(pack, deleted) as u64,
            fields,
            first_field,
            first_entry: pack.next(closing),
        }
    }

    /// The entry whose flags are at `flags_at`.
    pub(super) fn entry(self, header: &Header, flags_at: Position) -> Entry<'a> {
        let pack = self.pack;
        let flags = int_at(pack, flags_at);
        let ms_at = after(pack, flags_at);
        let seq_at = after(pack, ms_at);
        let id = StreamId {
            ms: self.master.ms.wrapping_add(int_at(pack, ms_at) as u64),
            seq: self.master.seq.wrapping_add(int_at(pack, seq_at) as u64),
        };
        let rest = after(pack, seq_at);
        let deleted = flags & DELETED != 0;
        if flags & SAME_FIELDS != 0 {
            let shared_fields = Some(header.first_field);
            Entry { id, pack, flags_at, deleted, shared_fields, content: rest, fields: header.fields }
        } else {
            let fields = int_at(pack, rest) as usize;
            Entry { id, pack, flags_at, deleted, shared_fields: None, content: after(pack, rest), fields }
        }
    }

    /// Where the entry before the one at `flags_at` begins, or the last one if that is `None`.
    pub(super) fn preceding(self, flags_at: Option<Position>) -> Option<Position> {
        let closing = match flags_at {
            Some(flags_at) => self.pack.prev(flags_at),
            None => self.pack.last(),
        }?;
        match int_at(self.pack, closing) {
            0 => None,
            elements => (0..elements).try_fold(closing, |position, _| self.pack.prev(position)),
        }
    }

    /// The id of the last entry, deleted or not.
    pub(super) fn last_id(self) -> Option<StreamId> {
        let header = self.header();
        self.preceding(None).map(|flags_at| self.entry(&header, flags_at).id)
    }

    /// All entries, the deleted ones too.
    pub(super) fn walk(self, backward: bool) -> Walk<'a> {
        let header = self.header();
        let next = if backward { self.preceding(None) } else { header.first_entry };
        Walk { node: self, header, next, backward }
    }

    /// The live entry `id`.
    pub(super) fn find(self, id: StreamId) -> Option<Entry<'a>> {
        self.walk(false).find(|entry| entry.id == id && !entry.deleted)
    }
}

/// The entries of one node in one direction, the deleted ones too.
#[derive(Clone)]
pub(super) struct Walk<'a> {
    node: Node<'a>,
    header: Header,
    /// The flags of the next entry.
    next: Option<Position>,
    backward: bool,
}

impl<'a> Iterator for Walk<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let entry = self.node.entry(&self.header, self.next?);
        self.next = if self.backward { self.node.preceding(Some(entry.flags_at)) } else { entry.following() };
        Some(entry)
    }
}

/// A new node with the master entry that suits an entry of these fields, no entry yet, and room for `room` bytes.
pub(super) fn create<'f>(fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone, room: usize) -> Listpack {
    let mut pack = Listpack::with_capacity(room);
    pack.push_back_int(0);
    pack.push_back_int(0);
    pack.push_back_int(fields.clone().count() as i64);
    for (field, _) in fields {
        pack.push_back(field);
    }
    pack.push_back_int(0);
    pack
}

/// Adds the entry `id` to the node with the key `master`.
pub(super) fn append<'f>(
    pack: &mut Listpack,
    master: StreamId,
    id: StreamId,
    fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
) {
    let header = Node { master, pack }.header();
    let count = fields.clone().count();
    let same = count == header.fields
        && pack.iter_from(header.first_field).zip(fields.clone()).all(|((_, own), (field, _))| own.eq_bytes(field));
    pack.replace_item(first(pack), Item::Int(header.live as i64 + 1));
    pack.push_back_int(if same { SAME_FIELDS } else { 0 });
    pack.push_back_int(id.ms.wrapping_sub(master.ms) as i64);
    pack.push_back_int(id.seq.wrapping_sub(master.seq) as i64);
    if !same {
        pack.push_back_int(count as i64);
    }
    for (field, value) in fields {
        if !same {
            pack.push_back(field);
        }
        pack.push_back(value);
    }
    pack.push_back_int(elements(same, count as i64));
}

/// Flags the live entry at `flags_at` as deleted; [`count_deleted`] is owed.
pub(super) fn flag_deleted(pack: &mut Listpack, flags_at: Position) {
    let flags = int_at(pack, flags_at);
    pack.replace_item(flags_at, Item::Int(flags | DELETED));
}

/// Moves `entries` from the count of the live ones to that of the deleted ones. Positions of entries may shift.
pub(super) fn count_deleted(pack: &mut Listpack, entries: u64) {
    for (index, change) in [(0, -(entries as i64)), (1, entries as i64)] {
        let position = pack.seek(index).expect("a node has a master entry");
        let count = int_at(pack, position);
        pack.replace_item(position, Item::Int(count + change));
    }
}

/// Whether `pack` has the layout of a node; nothing in it is trusted. Beyond what the readers above rely on this holds
/// the counts of the master entry against the flags.
pub(super) fn is_sound(pack: &Listpack) -> bool {
    Checker { pack, at: pack.first() }.node().is_some()
}

struct Checker<'a> {
    pack: &'a Listpack,
    at: Option<Position>,
}

impl Checker<'_> {
    fn node(&mut self) -> Option<()> {
        let live = self.count()?;
        let deleted = self.count()?;
        let fields = self.count()?;
        self.skip(fields)?;
        (self.int()? == 0).then_some(())?;
        let mut seen = [0, 0];
        while self.at.is_some() {
            let is_deleted = self.entry(fields)?;
            seen[usize::from(is_deleted)] += 1;
        }
        (seen == [live, deleted]).then_some(())
    }

    /// Checks an entry, and tells whether it is deleted.
    fn entry(&mut self, shared_fields: i64) -> Option<bool> {
        let flags = self.int()?;
        self.int()?;
        self.int()?;
        let same = flags & SAME_FIELDS != 0;
        let fields = if same { shared_fields } else { self.count()? };
        self.skip(if same { fields } else { fields.checked_mul(2)? })?;
        (self.int()? == elements(same, fields)).then_some(flags & DELETED != 0)
    }

    fn int(&mut self) -> Option<i64> {
        let at = self.at?;
        self.at = self.pack.next(at);
        self.pack.at(at).as_int()
    }

    fn count(&mut self) -> Option<i64> {
        self.int().filter(|count| *count >= 0)
    }

    fn skip(&mut self, count: i64) -> Option<()> {
        // A claimed count ends with the listpack, long before it can become a long loop.
        for _ in 0..count {
            self.at = self.pack.next(self.at?);
        }
        Some(())
    }
}

/// The number that closes an entry.
fn elements(same_fields: bool, fields: i64) -> i64 {
    FIXED_ELEMENTS + if same_fields { fields } else { fields * 2 + 1 }
}

fn first(pack: &Listpack) -> Position {
    pack.first().expect("a node has a master entry")
}

fn after(pack: &Listpack, position: Position) -> Position {
    pack.next(position).expect("a node was checked when it came in")
}

fn int_at(pack: &Listpack, position: Position) -> i64 {
    pack.at(position).as_int().expect("a node was checked when it came in")
}
