//! One key and its value in one allocation, behind one thin pointer.
//!
//! ```text
//! kind u8 | flags u8 | epoch u16 | access u32 | key length u32 | value length u32 | [expiry i64] | body
//! ```
//!
//! The body of a short string is the key followed by the value's bytes. Every other body is one word (an integer, or
//! the pointer to a boxed value) followed by the key. The optional expiry stands before the body, so an entry that gets
//! or loses one moves; it does so inside its slot, which only an exclusive guard can reach.
//!
//! **Invariants.**
//! 1. The allocation's size follows from `kind`, `flags` and the two lengths ([`Head::size`]).
//! 2. A body word of a boxed kind is one of the owners of its value. Others are walkers that have [`Entry::share`]d it, and
//!    what they were given: so a value with more than one owner is frozen, and whoever wants to change it makes it his own
//!    first ([`Entry::get_mut`]).
//! 3. Everything but `access` changes only while the entry is reached through an exclusive guard; `access` is a relaxed
//!    atomic, because readers under a shared guard store it too.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use triomphe::Arc as Counted;

use crate::sizes::Bin;
use crate::table::{Word, prefetch};
use crate::value::hash::Hash;
use crate::value::list::List;
use crate::value::set::Set;
use crate::value::stream::Stream;
use crate::value::zset::SortedSet;
use crate::value::{Encoding, Str, ValueType};

/// Strings from this length on live in a shared buffer, so that a reply can borrow them after the lock is gone.
pub const SHARED_MIN: usize = 16 * 1024;
/// Values of more parts, or of more bytes, are large: who changes one beside a walk waits instead of copying it. Both take
/// some 200 microseconds to copy.
const COPIED_PARTS_MAX: usize = if cfg!(test) { 64 } else { 4096 };
const COPIED_BYTES_MAX: usize = 1 << 20;
/// Redis's limit for the `embstr` encoding.
const EMBSTR_MAX: usize = 44;

const HAS_EXPIRY: u8 = 1;
/// A hash that its stripe has counted among those with fields that expire.
const TIMED: u8 = 4;
/// A string that APPEND or SETRANGE has made: `OBJECT ENCODING` calls it `raw` however short it is.
const GROWN: u8 = 2;

/// What the body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A string that is an integer.
    Int,
    /// A string inside the entry.
    Inline,
    /// A string in a shared buffer.
    Shared,
    /// A counted [`List`].
    List,
    /// A counted [`Set`].
    Set,
    /// A counted [`SortedSet`].
    SortedSet,
    /// A counted [`Hash`].
    Hash,
    /// A counted [`Stream`].
    Stream,
}

/// A value type that lies outside of its entry, in an allocation that has a count of its owners.
///
/// # Safety
/// `KIND` must name this type and no other type may use it.
pub unsafe trait Boxed: Clone {
    /// The kind that stands for this type.
    const KIND: Kind;
}

// SAFETY: each kind stands beside its type, and each once.
unsafe impl Boxed for List {
    const KIND: Kind = Kind::List;
}
// SAFETY: as above.
unsafe impl Boxed for Set {
    const KIND: Kind = Kind::Set;
}
// SAFETY: as above.
unsafe impl Boxed for SortedSet {
    const KIND: Kind = Kind::SortedSet;
}
// SAFETY: as above.
unsafe impl Boxed for Hash {
    const KIND: Kind = Kind::Hash;
}
// SAFETY: as above.
unsafe impl Boxed for Stream {
    const KIND: Kind = Kind::Stream;
}

#[repr(C)]
struct Head {
    kind: Kind,
    flags: u8,
    epoch: u16,
    access: AtomicU32,
    key_len: u32,
    value_len: u32,
}

/// What mimalloc and jemalloc hand out for a small value and its count of owners; a word more would take 16 bytes more.
const SMALL_VALUE_MAX: usize = 32;
const _: () = {
    assert!(size_of::<List>() + WORD <= SMALL_VALUE_MAX && size_of::<Set>() + WORD <= SMALL_VALUE_MAX);
    assert!(size_of::<SortedSet>() + WORD <= SMALL_VALUE_MAX && size_of::<Hash>() + WORD <= SMALL_VALUE_MAX);
};

const HEAD: usize = size_of::<Head>();
const WORD: usize = 8;

impl Head {
    fn body_at(&self) -> usize {
        HEAD + if self.flags & HAS_EXPIRY != 0 { WORD } else { 0 }
    }

    fn key_at(&self) -> usize {
        self.body_at() + if self.kind == Kind::Inline { 0 } else { WORD }
    }

    fn value_at(&self) -> usize {
        self.key_at() + self.key_len as usize
    }

    fn size(&self) -> usize {
        (self.value_at() + self.value_len as usize).next_multiple_of(WORD)
    }

    fn layout(&self) -> Layout {
        Layout::from_size_align(self.size(), WORD).expect("an entry is far smaller than the address space")
    }
}

/// An owned entry; see the file's head.
#[repr(transparent)]
pub struct Entry(NonNull<Head>);

// SAFETY: a transparent wrapper of a NonNull.
unsafe impl Word for Entry {}
// SAFETY: the entry owns what it points to, and every value type is Send and Sync.
unsafe impl Send for Entry {}
// SAFETY: shared access changes only the atomic access clock.
unsafe impl Sync for Entry {}

impl Entry {
    /// A string entry: an integer where the bytes are the canonical form of one.
    pub fn string(key: &[u8], value: &[u8], expiry: Option<i64>) -> Self {
        if let Some(int) = parse_canonical(value) {
            return Self::int(key, int, expiry);
        }
        Self::raw_string(key, value, expiry)
    }

    /// A string entry that is not looked at as an integer.
    pub fn raw_string(key: &[u8], value: &[u8], expiry: Option<i64>) -> Self {
        if value.len() >= SHARED_MIN {
            return Self::shared(key, Arc::new(value.to_vec()), expiry);
        }
        let entry = Self::allocate(Kind::Inline, 0, key, value.len(), expiry);
        // SAFETY: the allocation has `value.len()` bytes at `value_at`.
        unsafe { entry.at(entry.head().value_at()).copy_from_nonoverlapping(value.as_ptr(), value.len()) };
        entry
    }

    /// An integer entry.
    pub fn int(key: &[u8], value: i64, expiry: Option<i64>) -> Self {
        let entry = Self::allocate(Kind::Int, 0, key, 0, expiry);
        // SAFETY: an Int's body is one word.
        unsafe { entry.body().cast::<i64>().write(value) };
        entry
    }

    /// A string entry over a shared buffer.
    pub fn shared(key: &[u8], value: Arc<Vec<u8>>, expiry: Option<i64>) -> Self {
        Self::with_body(Kind::Shared, key, value, expiry)
    }

    /// An entry of one of the boxed types.
    pub fn boxed<T: Boxed>(key: &[u8], value: T, expiry: Option<i64>) -> Self {
        Self::with_body(T::KIND, key, Counted::new(value), expiry)
    }

    /// Brings the entry near that somebody is about to look at.
    #[inline]
    pub fn prefetch(&self) {
        prefetch(self.0.as_ptr().cast());
    }

    /// Brings near what the entry leads to, if its value lies outside of it.
    #[inline]
    pub(crate) fn prefetch_value(&self) {
        if let Some(address) = self.value_address() {
            let value = std::ptr::without_provenance::<u8>(address);
            prefetch(value);
            prefetch(value.wrapping_add(64));
        }
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        let head = self.head();
        // SAFETY: the allocation holds `key_len` bytes at `key_at`.
        unsafe { std::slice::from_raw_parts(self.at(head.key_at()), head.key_len as usize) }
    }

    /// When the key expires, in milliseconds since 1970.
    #[inline]
    pub fn expiry(&self) -> Option<i64> {
        // SAFETY: the flag says that the word after the head is the expiry.
        (self.head().flags & HAS_EXPIRY != 0).then(|| unsafe { self.at(HEAD).cast::<i64>().read() })
    }

    /// Whether the key has expired at `now_ms`.
    #[inline]
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expiry().is_some_and(|expiry| expiry <= now_ms)
    }

    /// When something of the entry is first to be removed: the key itself, or a field of a hash, which lives through the
    /// millisecond of its expiry.
    pub(crate) fn due(&self) -> Option<i64> {
        [self.expiry(), self.fields_due()].into_iter().flatten().min()
    }

    /// The same for the fields of a hash alone.
    pub(crate) fn fields_due(&self) -> Option<i64> {
        let next = self.get::<Hash>()?.next_expiry()?;
        // Expiries of fields are below 2^46.
        Some(next as i64 + 1)
    }

    /// Whether the stripe has counted this entry among the hashes with fields that expire.
    pub(crate) fn is_timed(&self) -> bool {
        self.head().flags & TIMED != 0
    }

    /// Notes whether the stripe counts it.
    pub(crate) fn set_timed(&mut self, timed: bool) {
        let flags = &mut self.head_mut().flags;
        *flags = if timed { *flags | TIMED } else { *flags & !TIMED };
    }

    /// What the body holds.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.head().kind
    }

    /// The type that `TYPE` answers.
    pub fn value_type(&self) -> ValueType {
        match self.kind() {
            Kind::Int | Kind::Inline | Kind::Shared => ValueType::String,
            Kind::List => ValueType::List,
            Kind::Set => ValueType::Set,
            Kind::SortedSet => ValueType::SortedSet,
            Kind::Hash => ValueType::Hash,
            Kind::Stream => ValueType::Stream,
        }
    }

    /// The string, if this is one.
    #[inline]
    pub fn as_str(&self) -> Option<Str<'_>> {
        match self.kind() {
            // SAFETY: the kind says what the body is.
            Kind::Int => Some(Str::Int(unsafe { self.body().cast::<i64>().read() })),
            Kind::Inline => Some(Str::Bytes(self.inline())),
            Kind::Shared => Some(Str::Shared(self.arc())),
            _ => None,
        }
    }

    /// How large the value is: a string by its bytes, a container by its elements.
    #[inline]
    pub(crate) fn size_bin(&self) -> Option<Bin> {
        match self.kind() {
            // SAFETY: the kind says what the body is.
            Kind::Int => Some(Bin::of_int(unsafe { self.body().cast::<i64>().read() })),
            Kind::Inline => Some(Bin::of_string(self.head().value_len as usize)),
            Kind::Shared => Some(Bin::of_string(self.arc().len())),
            _ => self.container_bin(),
        }
    }

    /// The same where it is no string. Not inlined, so that strings have a short way.
    #[inline(never)]
    fn container_bin(&self) -> Option<Bin> {
        match self.kind() {
            Kind::List => Bin::of_container(ValueType::List, self.get::<List>()?.len()),
            Kind::Set => Bin::of_container(ValueType::Set, self.get::<Set>()?.len()),
            Kind::SortedSet => Bin::of_container(ValueType::SortedSet, self.get::<SortedSet>()?.len()),
            Kind::Hash => Bin::of_container(ValueType::Hash, self.get::<Hash>()?.len()),
            Kind::Int | Kind::Inline | Kind::Shared | Kind::Stream => None,
        }
    }

    /// The encoding, as `OBJECT ENCODING` names it.
    pub fn encoding(&self) -> Encoding {
        match self.kind() {
            Kind::Int => Encoding::Int,
            Kind::Inline if self.inline().len() <= EMBSTR_MAX && self.head().flags & GROWN == 0 => Encoding::Embstr,
            Kind::Inline | Kind::Shared => Encoding::Raw,
            _ => self.by_type(List::encoding, Set::encoding, SortedSet::encoding, Hash::encoding, Stream::encoding),
        }
    }

    /// How many parts have to be freed one by one when this entry goes; 1 for what is one allocation.
    pub fn parts(&self) -> usize {
        match self.encoding() {
            Encoding::Quicklist | Encoding::Hashtable | Encoding::Skiplist | Encoding::Stream => {
                self.by_type(List::len, Set::len, SortedSet::len, Hash::len, |stream| stream.len() as usize)
            }
            _ => 1,
        }
    }

    /// Where the value is, if it lies outside of the entry: which value it is.
    pub(crate) fn value_address(&self) -> Option<usize> {
        // SAFETY: these kinds have one word as their body, which is a pointer.
        (!matches!(self.kind(), Kind::Int | Kind::Inline)).then(|| unsafe { self.body().cast::<usize>().read() })
    }

    /// The address of the value if it is so large that a copy of it would stall others.
    pub(crate) fn large_value(&self) -> Option<usize> {
        let address = self.value_address()?;
        let large = match self.encoding() {
            // The lengths of its members stand with them, all over the memory: it is judged by their number alone.
            Encoding::Skiplist => self.parts() > COPIED_PARTS_MAX,
            _ => self.parts() > COPIED_PARTS_MAX || self.memory_bytes() > COPIED_BYTES_MAX,
        };
        large.then_some(address)
    }

    /// Bytes allocated for the entry and its value.
    pub fn memory_bytes(&self) -> usize {
        let value = match self.kind() {
            Kind::Int | Kind::Inline => 0,
            Kind::Shared => self.arc().capacity(),
            _ => self.by_type(
                List::memory_bytes,
                Set::memory_bytes,
                SortedSet::memory_bytes,
                Hash::memory_bytes,
                Stream::memory_bytes,
            ),
        };
        self.allocation_bytes() + value
    }

    /// A deep copy of the value under another key.
    pub fn duplicate(&self, key: &[u8], expiry: Option<i64>) -> Self {
        match self.kind() {
            Kind::Int | Kind::Inline => {
                let head = self.head();
                let copy = Self::allocate(head.kind, head.flags, key, head.value_len as usize, expiry);
                self.move_value_to(&copy);
                copy
            }
            // The payload is shared until one of the two changes it.
            Kind::Shared => Self::shared(key, self.arc().clone(), expiry),
            _ => self.by_type(
                |list| Self::boxed(key, list.clone(), expiry),
                |set| Self::boxed(key, set.clone(), expiry),
                |zset| Self::boxed(key, zset.clone(), expiry),
                |hash| Self::boxed(key, hash.clone(), expiry),
                |stream| Self::boxed(key, stream.clone(), expiry),
            ),
        }
    }

    /// The same entry once more, for a walker: its value is not copied but gets one more owner, unless it lies inside the
    /// entry. Epoch and access clock go over.
    pub fn share(&self) -> Self {
        let head = self.head();
        let mut shared = Self::allocate(head.kind, head.flags, self.key(), head.value_len as usize, self.expiry());
        match head.kind {
            Kind::Int | Kind::Inline => self.move_value_to(&shared),
            Kind::Shared => self.share_body::<Arc<Vec<u8>>>(&shared),
            Kind::List => self.share_body::<Counted<List>>(&shared),
            Kind::Set => self.share_body::<Counted<Set>>(&shared),
            Kind::SortedSet => self.share_body::<Counted<SortedSet>>(&shared),
            Kind::Hash => self.share_body::<Counted<Hash>>(&shared),
            Kind::Stream => self.share_body::<Counted<Stream>>(&shared),
        }
        shared.head().access.store(self.access(), Relaxed);
        shared.set_epoch(head.epoch);
        shared
    }

    /// The boxed value, if it is of this type.
    #[inline]
    pub fn get<T: Boxed>(&self) -> Option<&T> {
        // SAFETY: the kind says that the body owns a counted `T`.
        (self.kind() == T::KIND).then(|| unsafe { &**self.body().cast::<Counted<T>>() })
    }

    /// The boxed value to be changed, if it is of this type. A value that others own too is copied first, so that they keep
    /// what they were given; that takes its time if it is large.
    #[inline]
    pub fn get_mut<T: Boxed>(&mut self) -> Option<&mut T> {
        // SAFETY: as in `get`, and the entry is borrowed exclusively.
        (self.kind() == T::KIND).then(|| Counted::make_mut(unsafe { &mut *self.body().cast::<Counted<T>>() }))
    }

    /// Sets or removes the expiry.
    pub fn set_expiry(&mut self, expiry: Option<i64>) {
        match (self.expiry(), expiry) {
            (None, None) => {}
            // SAFETY: the flag is set, so the word is there.
            (Some(_), Some(at)) => unsafe { self.at(HEAD).cast::<i64>().write(at) },
            _ => {
                let head = self.head();
                let moved = Self::allocate(head.kind, head.flags, self.key(), head.value_len as usize, expiry);
                self.move_value_to(&moved);
                self.adopt(moved);
            }
        }
    }

    /// Replaces the value with a string (an integer where it is one), in place where the size allows; the expiry is
    /// set to `expiry`.
    pub fn set_string(&mut self, value: &[u8], expiry: Option<i64>) {
        if !self.overwrite(value, expiry) {
            let new = Self::string(self.key(), value, expiry);
            self.replace_with(new);
        }
    }

    /// The part of [`Self::set_string`] that leaves the length as it is; false, and nothing has changed, where it would not.
    #[inline]
    pub(crate) fn overwrite(&mut self, value: &[u8], expiry: Option<i64>) -> bool {
        let fits = self.kind() == Kind::Inline
            && self.head().value_len as usize == value.len()
            && self.expiry().is_some() == expiry.is_some()
            && parse_canonical(value).is_none();
        if fits {
            // SAFETY: the value has the same length; the source is not part of this entry, which is borrowed mutably.
            unsafe { self.at(self.head().value_at()).copy_from_nonoverlapping(value.as_ptr(), value.len()) };
            self.head_mut().flags &= !GROWN;
            if expiry.is_some() {
                self.set_expiry(expiry);
            }
        }
        fits
    }

    /// Replaces the value with an integer and keeps the expiry.
    pub fn set_int(&mut self, value: i64) {
        match self.int_mut() {
            Some(int) => *int = value,
            None => {
                let new = Self::int(self.key(), value, self.expiry());
                self.replace_with(new);
            }
        }
    }

    /// The integer to be changed, if the string is one.
    #[inline]
    pub(crate) fn int_mut(&mut self) -> Option<&mut i64> {
        // SAFETY: an Int's body is one word, aligned as one, and the entry is borrowed exclusively.
        (self.kind() == Kind::Int).then(|| unsafe { &mut *self.body().cast::<i64>() })
    }

    /// The string's bytes, to be changed, grown to `len` bytes with zeroes if it was shorter. The expiry stays.
    /// `None` if this is no string.
    pub fn string_mut(&mut self, len: usize) -> Option<&mut [u8]> {
        match self.as_str()? {
            Str::Shared(_) => {}
            Str::Bytes(bytes) if bytes.len() >= len => {}
            short => {
                let mut bytes = short.to_vec();
                let new = if len >= SHARED_MIN {
                    // Room to grow, since what has grown once grows again.
                    bytes.reserve(len + len / 2 - bytes.len());
                    bytes.resize(len, 0);
                    Self::shared(self.key(), Arc::new(bytes), self.expiry())
                } else {
                    bytes.resize(len.max(bytes.len()), 0);
                    Self::raw_string(self.key(), &bytes, self.expiry())
                };
                self.replace_with(new);
            }
        }
        self.head_mut().flags |= GROWN;
        if self.kind() == Kind::Inline {
            let head = self.head();
            // SAFETY: the allocation holds `value_len` bytes at `value_at`, and the entry is borrowed exclusively.
            return Some(unsafe { std::slice::from_raw_parts_mut(self.at(head.value_at()), head.value_len as usize) });
        }
        // SAFETY: the body of a Shared entry is an Arc, and the entry is borrowed exclusively.
        let bytes = Arc::make_mut(unsafe { &mut *self.body().cast::<Arc<Vec<u8>>>() });
        if bytes.len() < len {
            bytes.resize(len, 0);
        }
        Some(bytes)
    }

    /// Puts another entry of the same key in this one's place and returns the old one; the access clock and the epoch go
    /// over.
    pub fn replace_with(&mut self, mut new: Self) -> Self {
        debug_assert_eq!(self.key(), new.key());
        new.head().access.store(self.access(), Relaxed);
        new.set_epoch(self.epoch());
        // The mark belongs to the slot until the stripe has booked the change.
        new.set_timed(self.is_timed());
        std::mem::replace(self, new)
    }

    /// The same value under another key, without its expiry; used by RENAME and MOVE. The value itself is not copied
    /// unless it lies inside the entry.
    pub fn rekeyed(self, key: &[u8], expiry: Option<i64>) -> Self {
        let head = self.head();
        let moved = Self::allocate(head.kind, head.flags, key, head.value_len as usize, expiry);
        moved.head().access.store(self.access(), Relaxed);
        self.move_value_to(&moved);
        self.free_allocation();
        std::mem::forget(self);
        moved
    }

    /// The access clock: what LRU and LFU keep.
    #[inline]
    pub fn access(&self) -> u32 {
        self.head().access.load(Relaxed)
    }

    /// Stores the access clock, if it differs, so that a hot key's line is not written again and again.
    #[inline]
    pub fn set_access(&self, clock: u32) {
        let access = &self.head().access;
        if access.load(Relaxed) != clock {
            access.store(clock, Relaxed);
        }
    }

    /// The epoch of the last change.
    pub fn epoch(&self) -> u16 {
        self.head().epoch
    }

    /// Stamps the entry as changed in this epoch.
    #[inline]
    pub fn set_epoch(&mut self, epoch: u16) {
        self.head_mut().epoch = epoch;
    }

    /// Bytes of the entry's own allocation, without a boxed value's.
    pub fn allocation_bytes(&self) -> usize {
        self.head().size()
    }

    fn by_type<R>(
        &self,
        list: impl FnOnce(&List) -> R,
        set: impl FnOnce(&Set) -> R,
        zset: impl FnOnce(&SortedSet) -> R,
        hash: impl FnOnce(&Hash) -> R,
        stream: impl FnOnce(&Stream) -> R,
    ) -> R {
        if let Some(value) = self.get() {
            list(value)
        } else if let Some(value) = self.get() {
            set(value)
        } else if let Some(value) = self.get() {
            zset(value)
        } else if let Some(value) = self.get() {
            hash(value)
        } else {
            stream(self.get().expect("every boxed kind is asked for"))
        }
    }

    fn with_body<B>(kind: Kind, key: &[u8], body: B, expiry: Option<i64>) -> Self {
        const { assert!(size_of::<B>() == WORD) };
        let entry = Self::allocate(kind, 0, key, 0, expiry);
        // SAFETY: these kinds have one word as their body.
        unsafe { entry.body().cast::<B>().write(body) };
        entry
    }

    /// Room for an entry with its head, expiry and key filled in, and its body not yet.
    fn allocate(kind: Kind, flags: u8, key: &[u8], value_len: usize, expiry: Option<i64>) -> Self {
        let head = Head {
            kind,
            flags: (flags & !HAS_EXPIRY) | if expiry.is_some() { HAS_EXPIRY } else { 0 },
            epoch: 0,
            access: AtomicU32::new(0),
            key_len: u32::try_from(key.len()).expect("a key is at most 512 MB"),
            value_len: value_len as u32,
        };
        let (layout, key_at) = (head.layout(), head.key_at());
        // SAFETY: the layout has at least the head's size; all writes stay inside it.
        unsafe {
            let Some(at) = NonNull::new(alloc(layout)) else { handle_alloc_error(layout) };
            at.cast::<Head>().write(head);
            if let Some(expiry) = expiry {
                at.add(HEAD).cast::<i64>().write(expiry);
            }
            at.add(key_at).copy_from_nonoverlapping(NonNull::from(key).cast(), key.len());
            Self(at.cast())
        }
    }

    /// Copies the body (without the key) to an entry of the same kind and value length, which owns it from now on.
    fn move_value_to(&self, other: &Self) {
        let (from, to) = (self.head(), other.head());
        // SAFETY: both allocations have the same kind and value length, so the source and the target are inside them.
        unsafe {
            if from.kind == Kind::Inline {
                other.at(to.value_at()).copy_from_nonoverlapping(self.at(from.value_at()), from.value_len as usize);
            } else {
                other.body().copy_from_nonoverlapping(self.body(), WORD);
            }
        }
    }

    /// Makes an entry of the same kind, whose body is not there yet, one more owner of the value.
    fn share_body<B: Clone>(&self, other: &Self) {
        // SAFETY: the caller has matched the kind with the type of its body, which is one word.
        unsafe { other.body().cast::<B>().write((*self.body().cast::<B>()).clone()) };
    }

    /// Takes the place of this entry, whose value has been moved to `moved` already.
    fn adopt(&mut self, moved: Self) {
        let epoch = self.epoch();
        moved.head().access.store(self.access(), Relaxed);
        self.free_allocation();
        std::mem::forget(std::mem::replace(self, moved));
        self.set_epoch(epoch);
    }

    #[inline]
    fn head(&self) -> &Head {
        // SAFETY: the pointer is valid as long as the entry lives.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    fn head_mut(&mut self) -> &mut Head {
        // SAFETY: as above, and the entry is borrowed exclusively.
        unsafe { self.0.as_mut() }
    }

    #[inline]
    fn at(&self, offset: usize) -> *mut u8 {
        // SAFETY: callers stay inside the allocation.
        unsafe { self.0.as_ptr().cast::<u8>().add(offset) }
    }

    #[inline]
    fn body(&self) -> *mut u8 {
        self.at(self.head().body_at())
    }

    #[inline]
    fn inline(&self) -> &[u8] {
        let head = self.head();
        // SAFETY: the allocation holds `value_len` bytes at `value_at`.
        unsafe { std::slice::from_raw_parts(self.at(head.value_at()), head.value_len as usize) }
    }

    fn arc(&self) -> &Arc<Vec<u8>> {
        debug_assert!(self.kind() == Kind::Shared);
        // SAFETY: the body of a Shared entry is an Arc.
        unsafe { &*self.body().cast::<Arc<Vec<u8>>>() }
    }

    fn drop_body<B>(&mut self) {
        // SAFETY: the caller has matched the kind with the type of its body, and drops it once.
        unsafe { self.body().cast::<B>().drop_in_place() };
    }

    fn free_allocation(&self) {
        // SAFETY: allocated with the same layout, by invariant 1.
        unsafe { dealloc(self.0.as_ptr().cast(), self.head().layout()) };
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        match self.kind() {
            Kind::Int | Kind::Inline => {}
            Kind::Shared => self.drop_body::<Arc<Vec<u8>>>(),
            Kind::List => self.drop_body::<Counted<List>>(),
            Kind::Set => self.drop_body::<Counted<Set>>(),
            Kind::SortedSet => self.drop_body::<Counted<SortedSet>>(),
            Kind::Hash => self.drop_body::<Counted<Hash>>(),
            Kind::Stream => self.drop_body::<Counted<Stream>>(),
        }
        self.free_allocation();
    }
}

/// The integer of which `bytes` is the one decimal form that Redis writes.
pub fn parse_canonical(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, bytes),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut value: u64 = 0;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // Nineteen digits stay below 2^64.
        value = value * 10 + u64::from(digit);
    }
    if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::list::Side;

    fn text(entry: &Entry) -> Vec<u8> {
        entry.as_str().unwrap().to_vec()
    }

    #[test]
    fn strings_take_the_form_that_fits() {
        let check = |value: &[u8], kind, encoding| {
            for expiry in [None, Some(77)] {
                let entry = Entry::string(b"key", value, expiry);
                assert_eq!((entry.kind(), entry.encoding()), (kind, encoding));
                assert_eq!((entry.key(), text(&entry).as_slice(), entry.expiry()), (&b"key"[..], value, expiry));
            }
        };
        check(b"", Kind::Inline, Encoding::Embstr);
        check(b"-9223372036854775808", Kind::Int, Encoding::Int);
        check(b"9223372036854775808", Kind::Inline, Encoding::Embstr);
        check(b"007", Kind::Inline, Encoding::Embstr);
        check(&[b'x'; 44], Kind::Inline, Encoding::Embstr);
        check(&[b'x'; 45], Kind::Inline, Encoding::Raw);
        check(&[b'x'; SHARED_MIN], Kind::Shared, Encoding::Raw);
    }

    #[test]
    fn an_expiry_comes_and_goes() {
        for value in [&b"12"[..], b"some text", &[b'x'; SHARED_MIN + 5]] {
            let mut entry = Entry::string(b"k", value, None);
            entry.set_access(9);
            entry.set_epoch(4);
            for expiry in [None, Some(5), Some(6), None, Some(-1)] {
                entry.set_expiry(expiry);
                assert_eq!((entry.expiry(), text(&entry).as_slice(), entry.key()), (expiry, value, &b"k"[..]));
                assert_eq!((entry.access(), entry.epoch()), (9, 4));
            }
            let entry = entry.rekeyed(b"another key", None);
            assert_eq!((entry.expiry(), text(&entry).as_slice(), entry.key()), (None, value, &b"another key"[..]));
        }
    }

    #[test]
    fn strings_grow_across_all_forms() {
        let mut entry = Entry::string(b"k", b"41", Some(3));
        entry.set_int(42);
        entry.string_mut(4).unwrap()[3] = b'!';
        assert_eq!((text(&entry), entry.encoding()), (b"42\0!".to_vec(), Encoding::Raw));
        let len = SHARED_MIN + 1;
        entry.string_mut(len).unwrap()[len - 1] = b'z';
        assert_eq!((entry.kind(), text(&entry).len(), text(&entry)[len - 1]), (Kind::Shared, len, b'z'));
        let Some(Str::Shared(held)) = entry.as_str() else { panic!() };
        let held = held.clone();
        entry.string_mut(len + 1).unwrap()[0] = b'A';
        assert_eq!((held[0], text(&entry)[0], held.len()), (b'4', b'A', len), "a borrowed payload was changed");
        entry.set_string(b"short", Some(8));
        assert_eq!((text(&entry), entry.expiry()), (b"short".to_vec(), Some(8)));
        entry.set_string(b"shore", Some(9));
        assert_eq!((text(&entry), entry.expiry()), (b"shore".to_vec(), Some(9)));
    }

    #[test]
    fn a_shared_entry_keeps_what_it_was_given() {
        let list = |entry: &Entry| entry.get::<List>().unwrap().iter().map(|item| item.to_vec()).collect::<Vec<_>>();
        let limits = crate::value::Limits::default();
        let mut entry = Entry::boxed(b"k", List::from_elements([&b"a"[..]], &limits), Some(7));
        entry.set_epoch(3);
        entry.set_access(9);
        let shared = entry.share();
        assert_eq!((shared.key(), shared.expiry(), shared.epoch(), shared.access()), (&b"k"[..], Some(7), 3, 9));
        let at = |entry: &Entry| std::ptr::from_ref(entry.get::<List>().unwrap());
        assert_eq!(at(&entry), at(&shared), "the value itself is not copied");
        let before = at(&entry);
        entry.get_mut::<List>().unwrap().push_all(Side::Right, [&b"b"[..]], &limits);
        assert_eq!((list(&entry), list(&shared)), (vec![b"a".to_vec(), b"b".to_vec()], vec![b"a".to_vec()]));
        assert_eq!(at(&shared), before);
        let own = at(&entry);
        entry.get_mut::<List>().unwrap().push_all(Side::Right, [&b"c"[..]], &limits);
        assert_eq!(at(&entry), own, "what is one's own already is not copied again");
        drop(entry);
        assert_eq!(list(&shared), [b"a"]);

        for value in [&b"12"[..], b"text", &[b'x'; SHARED_MIN]] {
            let mut entry = Entry::string(b"k", value, None);
            let shared = entry.share();
            entry.string_mut(value.len()).unwrap()[0] = b'!';
            assert_eq!((text(&shared), text(&entry)[0]), (value.to_vec(), b'!'));
        }
    }

    #[test]
    fn only_canonical_integers_are_integers() {
        for text in ["0", "-1", "9223372036854775807", "-9223372036854775808", "10"] {
            assert_eq!(parse_canonical(text.as_bytes()), text.parse().ok());
        }
        for text in [
            "",
            "-",
            "-0",
            "+1",
            "01",
            " 1",
            "1 ",
            "9223372036854775808",
            "-9223372036854775809",
            "1a",
            "99999999999999999999",
            "18446744073709551616",
        ] {
            assert_eq!(parse_canonical(text.as_bytes()), None, "{text}");
        }
    }
}
