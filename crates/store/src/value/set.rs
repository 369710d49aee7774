//! The set: distinct members in no promised order.
//!
//! Integers alone are an intset, few short members a listpack, anything else a hash table whose members are one word each
//! in the table and one allocation. When each form gives way is decided exactly as in Redis 8.0, because `OBJECT ENCODING`
//! shows it; a set only ever moves towards the hash table, apart from computed results and [`Set::pop_many`].

use std::collections::HashSet;
use std::fmt;

use fastrand::Rng;

use super::intset::{self, Intset};
use super::listpack::{Item, Listpack, canonical_int};
use super::room::{Compact, Room, View};
use super::thin::ThinPair;
use super::{Encoding, Limits};
use crate::dict::Dict;
use crate::hash::hash_bytes;

/// [`Set::pop_many`] that leaves less than one member for so many popped builds a new set of those that stay.
const POP_REBUILD_FACTOR: usize = 5;

/// The largest entry a listpack makes of an integer: a byte of type, eight of value, one of length.
const PACKED_INTEGER_MAX: usize = 10;

/// A set; see the top of the file.
#[derive(Clone)]
#[repr(transparent)]
pub struct Set(Compact<Room, Table>);

/// The members of the general form.
#[derive(Default)]
struct Table(Dict<ThinPair>);

/// The form that a set has.
enum Form<'a> {
    Ints(&'a Intset),
    Packed(&'a Listpack),
    Table(&'a Dict<ThinPair>),
}

/// The form that a set has, to be changed.
enum FormMut<'a> {
    Ints(&'a mut Intset),
    Packed(&'a mut Listpack),
    Table(&'a mut Dict<ThinPair>),
}

/// The marks of rooms with a listpack and with integers.
const PACKED: u8 = 0;
const INTS: u8 = 1;

impl Default for Set {
    fn default() -> Self {
        Self::new()
    }
}

impl Set {
    /// An empty set of integers.
    pub fn new() -> Self {
        Self(ints(Intset::new()))
    }

    /// An empty set in the form for `members` members, of which `first` is one.
    pub fn with_hint(first: &[u8], members: usize, limits: &Limits) -> Self {
        Self(if canonical_int(first).is_some() && members <= limits.set_max_intset_entries {
            ints(Intset::new())
        } else if members <= limits.set_max_listpack_entries {
            let short = Some(first).filter(|first| first.len() <= limits.set_max_listpack_value);
            packed(Listpack::with_room_for(None, short.map(Item::Bytes)))
        } else {
            table(Dict::default())
        })
    }

    /// An empty set in the form of `other`, or packed if that is a hash table: the first form of an intersection whose
    /// smallest input is `other`.
    pub fn in_form_of(other: &Self) -> Self {
        Self(match other.form() {
            Form::Ints(_) => ints(Intset::new()),
            Form::Packed(_) | Form::Table(_) => packed(Listpack::new()),
        })
    }

    /// Takes over integers, as from a dump.
    pub fn from_intset(ints: Intset) -> Self {
        Self(self::ints(ints))
    }

    /// Takes over a listpack, as from a dump; `None` if a member stands in it twice.
    pub fn from_listpack(listpack: Listpack) -> Option<Self> {
        let mut seen = HashSet::new();
        let distinct = listpack.iter().all(|(_, member)| seen.insert(member.to_vec()));
        distinct.then_some(Self(packed(listpack)))
    }

    /// The integers, if the set is in that form.
    pub fn as_intset(&self) -> Option<&Intset> {
        if let Form::Ints(ints) = self.form() { Some(ints) } else { None }
    }

    /// The listpack, if the set is in that form.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        if let Form::Packed(listpack) = self.form() { Some(listpack) } else { None }
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        match self.form() {
            Form::Ints(ints) => ints.len(),
            Form::Packed(listpack) => listpack.len(),
            Form::Table(table) => table.len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of the present form.
    pub fn encoding(&self) -> Encoding {
        match self.form() {
            Form::Ints(_) => Encoding::Intset,
            Form::Packed(_) => Encoding::Listpack,
            Form::Table(_) => Encoding::Hashtable,
        }
    }

    /// Heap bytes, members included, without the allocator's own overhead. Walks all members of a hash table.
    pub fn memory_bytes(&self) -> usize {
        match self.form() {
            Form::Ints(ints) => ints.memory_bytes(),
            Form::Packed(listpack) => listpack.memory_bytes(),
            Form::Table(table) => {
                let members: usize = table.iter().map(ThinPair::memory_bytes).sum();
                self.0.block_bytes() + table.memory_bytes() + members
            }
        }
    }

    /// Whether `member` is in the set.
    pub fn contains(&self, member: &[u8]) -> bool {
        match self.form() {
            Form::Ints(ints) => canonical_int(member).is_some_and(|int| ints.contains(int)),
            Form::Packed(listpack) => listpack.find(member, 0).is_some(),
            Form::Table(table) => table.find(hash_bytes(member), |item| item.first() == member).is_some(),
        }
    }

    /// Whether a member of another set is in this one; integers need no text between two sets of integers.
    pub fn contains_item(&self, member: Item<'_>) -> bool {
        match (self.form(), member) {
            (Form::Ints(ints), Item::Int(int)) => ints.contains(int),
            _ => self.contains(member.bytes(&mut itoa::Buffer::new())),
        }
    }

    /// Adds `member`; false if it was there. Converts to another form where the limits ask for it.
    pub fn add(&mut self, member: &[u8], limits: &Limits) -> bool {
        match self.form_mut() {
            FormMut::Ints(ints) => match canonical_int(member) {
                Some(int) => {
                    let added = ints.add(int);
                    if added && ints.len() > limits.set_max_intset_entries.min(intset::MEMBERS_MAX) {
                        self.become_table();
                    }
                    return added;
                }
                None if fits_packed(ints, member, limits) => self.become_listpack(),
                None => self.become_table(),
            },
            FormMut::Packed(listpack) => {
                if listpack.find(member, 0).is_some() {
                    return false;
                }
                if listpack.len() >= limits.set_max_listpack_entries
                    || member.len() > limits.set_max_listpack_value
                    || !listpack.fits(member.len())
                {
                    self.become_table();
                }
            }
            FormMut::Table(_) => {}
        }
        match self.form_mut() {
            FormMut::Ints(_) => unreachable!("a member that is no integer has converted the set"),
            // Either the member was looked for above, or it is no integer and the set had none but integers.
            FormMut::Packed(listpack) => {
                listpack.push_back(member);
                true
            }
            FormMut::Table(table) => insert(table, member),
        }
    }

    /// Removes `member`; false if it was not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self.form_mut() {
            FormMut::Ints(ints) => canonical_int(member).is_some_and(|int| ints.remove(int)),
            FormMut::Packed(listpack) => match listpack.find(member, 0) {
                Some(position) => {
                    listpack.remove(position);
                    true
                }
                None => false,
            },
            FormMut::Table(table) => table.remove(hash_bytes(member), |item| item.first() == member, rehash).is_some(),
        }
    }

    /// All members: integers ascending, listpacks in order of insertion, tables in no order.
    pub fn iter(&self) -> impl Iterator<Item = Item<'_>> {
        // Two of the three are always empty; this costs neither an allocation nor a virtual call for each member.
        let (ints, listpack, table) = match self.form() {
            Form::Ints(ints) => (Some(ints), None, None),
            Form::Packed(listpack) => (None, Some(listpack), None),
            Form::Table(table) => (None, None, Some(table)),
        };
        let ints = ints.into_iter().flat_map(Intset::iter).map(Item::Int);
        let packed = listpack.into_iter().flat_map(Listpack::iter).map(|(_, member)| member);
        let table = table.into_iter().flat_map(Dict::iter).map(|member| Item::Bytes(member.first()));
        ints.chain(packed).chain(table)
    }

    /// A member picked about evenly.
    pub fn random(&self, rng: &mut Rng) -> Option<Item<'_>> {
        match self.form() {
            Form::Ints(ints) => ints.random(rng).map(Item::Int),
            Form::Packed(listpack) => listpack.random(1, rng).map(|position| listpack.at(position)),
            Form::Table(table) => table.random(rng).map(|member| Item::Bytes(member.first())),
        }
    }

    /// `count` different members picked about evenly, or all if there are no more, in no particular order.
    pub fn random_distinct(&self, count: usize, rng: &mut Rng) -> Vec<Item<'_>> {
        let len = self.len();
        if count >= len {
            return self.iter().collect();
        }
        match self.form() {
            Form::Table(table) if count <= len / 4 => {
                let mut picked: HashSet<&[u8]> = HashSet::with_capacity(count);
                while picked.len() < count {
                    picked.extend(table.random(rng).map(ThinPair::first));
                }
                picked.into_iter().map(Item::Bytes).collect()
            }
            _ => {
                // Selection sampling (Knuth, TAOCP 3.4.2, algorithm S): one walk, each member with the chance that is left.
                let mut wanted = count;
                (self.iter().enumerate())
                    .filter(|(seen, _)| {
                        let take = rng.usize(..len - seen) < wanted;
                        wanted -= usize::from(take);
                        take
                    })
                    .map(|(_, member)| member)
                    .collect()
            }
        }
    }

    /// Removes and returns a member picked about evenly.
    pub fn pop(&mut self, rng: &mut Rng) -> Option<Vec<u8>> {
        let member = self.random(rng)?.to_vec();
        self.remove(&member);
        Some(member)
    }

    /// Removes and returns `count` members picked about evenly, or all. When few stay, they move into a new set, which may
    /// be in a smaller form than this one, as in Redis.
    pub fn pop_many(&mut self, count: usize, rng: &mut Rng, limits: &Limits) -> Vec<Vec<u8>> {
        let Some(stay) = self.len().checked_sub(count).filter(|stay| *stay > 0) else {
            let all = self.iter().map(|member| member.to_vec()).collect();
            *self = Self::new();
            return all;
        };
        if stay.saturating_mul(POP_REBUILD_FACTOR) > count {
            let popped: Vec<_> = self.random_distinct(count, rng).iter().map(Item::to_vec).collect();
            for member in &popped {
                self.remove(member);
            }
            return popped;
        }
        let mut rest = Self(match self.form() {
            Form::Ints(_) => ints(Intset::new()),
            Form::Packed(_) | Form::Table(_) => packed(Listpack::new()),
        });
        for member in self.random_distinct(stay, rng) {
            rest.add(member.bytes(&mut itoa::Buffer::new()), limits);
        }
        let popped =
            (self.iter().filter(|member| !rest.contains_item(*member))).map(|member| member.to_vec()).collect();
        *self = rest;
        popped
    }

    /// One step of SSCAN: visits about `count` members, all at once unless the set is a hash table; returns the next cursor,
    /// 0 at the end.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Item<'_>)) -> u64 {
        match self.form() {
            Form::Ints(_) | Form::Packed(_) => {
                self.iter().for_each(visit);
                0
            }
            Form::Table(table) => table.scan(cursor, count, |member| visit(Item::Bytes(member.first()))),
        }
    }

    /// Turns to a hash table if `members` members, which a command is about to add, are beyond the present form's limit.
    pub fn prepare(&mut self, members: usize, limits: &Limits) {
        let limit = match self.form() {
            Form::Ints(_) => limits.set_max_intset_entries,
            Form::Packed(_) => limits.set_max_listpack_entries,
            Form::Table(_) => return,
        };
        if members > limit {
            self.become_table();
        }
    }

    /// Turns a freshly computed result into a set of integers if all members are integers and the limits allow it.
    pub fn pack_integers(&mut self, limits: &Limits) {
        if matches!(self.form(), Form::Ints(_)) || self.len() > limits.set_max_intset_entries.min(intset::MEMBERS_MAX) {
            return;
        }
        let mut members: Vec<i64> = Vec::new();
        for member in self.iter() {
            let Some(int) = member.as_int() else { return };
            members.push(int);
        }
        // Ascending insertions append.
        members.sort_unstable();
        let mut set = Intset::new();
        for int in members {
            set.add(int);
        }
        self.0 = ints(set);
    }

    /// One more owner of the same members; whoever changes his set first makes it his own.
    pub(crate) fn share(&self) -> Self {
        Self(self.0.share())
    }

    fn form(&self) -> Form<'_> {
        match self.0.view() {
            View::Small(room) if room.mark() == INTS => Form::Ints(room.holds()),
            View::Small(room) => Form::Packed(room.holds()),
            View::Large(table) => Form::Table(&table.0),
        }
    }

    fn form_mut(&mut self) -> FormMut<'_> {
        match self.0.view_mut() {
            View::Small(room) if room.mark() == INTS => FormMut::Ints(room.holds_mut()),
            View::Small(room) => FormMut::Packed(room.holds_mut()),
            View::Large(table) => FormMut::Table(&mut table.0),
        }
    }

    fn become_listpack(&mut self) {
        let mut listpack = Listpack::new();
        for member in self.iter() {
            listpack.push_back_item(member);
        }
        self.0 = packed(listpack);
    }

    fn become_table(&mut self) {
        let mut table = Dict::<ThinPair>::default();
        for member in self.iter() {
            insert_new(&mut table, member.bytes(&mut itoa::Buffer::new()));
        }
        self.0 = self::table(table);
    }
}

/// The members that all of `sets` have: those of the smallest, looked up in the others.
pub fn intersection<'a>(sets: &[&'a Set]) -> impl Iterator<Item = Item<'a>> {
    let mut sets = sets.to_vec();
    sets.sort_by_key(|set| set.len());
    let smallest = sets.first().copied();
    let members = smallest.into_iter().flat_map(Set::iter);
    members.filter(move |member| sets[1..].iter().all(|set| set.contains_item(*member)))
}

impl Clone for Table {
    fn clone(&self) -> Self {
        let mut copy = Dict::default();
        self.0.iter().for_each(|member| insert_new(&mut copy, member.first()));
        Self(copy)
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

fn ints(ints: Intset) -> Compact<Room, Table> {
    let mut room = Room::of(ints);
    room.set_mark(INTS);
    Compact::small(room)
}

fn packed(listpack: Listpack) -> Compact<Room, Table> {
    let mut room = Room::of(listpack);
    room.set_mark(PACKED);
    Compact::small(room)
}

fn table(members: Dict<ThinPair>) -> Compact<Room, Table> {
    Compact::large(Table(members))
}

/// Whether a set of integers may become a listpack to take `member`, judged by its longest possible member.
fn fits_packed(ints: &Intset, member: &[u8], limits: &Limits) -> bool {
    let digits = |int: Option<i64>| int.map_or(0, |int| Item::Int(int).len());
    let longest = member.len().max(digits(ints.min())).max(digits(ints.max()));
    ints.len() < limits.set_max_listpack_entries
        && longest <= limits.set_max_listpack_value
        && ints.len().saturating_mul(PACKED_INTEGER_MAX) + member.len() < Listpack::BYTES_MAX
}

/// Adds `member`; false if it was there.
fn insert(table: &mut Dict<ThinPair>, member: &[u8]) -> bool {
    let hash = hash_bytes(member);
    let absent = table.find(hash, |item| item.first() == member).is_none();
    if absent {
        table.insert_unique(hash, ThinPair::new(member, &[], false), rehash);
    }
    absent
}

fn insert_new(table: &mut Dict<ThinPair>, member: &[u8]) {
    table.insert_unique(hash_bytes(member), ThinPair::new(member, &[], false), rehash);
}

fn rehash(member: &ThinPair) -> u64 {
    hash_bytes(member.first())
}

#[cfg(test)]
#[path = "set_tests.rs"]
mod tests;
