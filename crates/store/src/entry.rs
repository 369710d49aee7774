//! One key and its value in one allocation, behind one thin pointer.
//!
//! ```text
//! tag u8 | key length u8 | epoch u16 | access u24 and value length u8 | [lengths 2 * u32] | [word] | key | [expiry i64] | [bytes]
//! ```
//!
//! A short string has its bytes at the end; anything else has a word, which is an integer or the pointer to a value. The tag
//! is the kind and some flags, which tell what there is of the parts in brackets.
//!
//! The head is one word, because allocators count in steps of 16 bytes: with one of 16 bytes an integer or the pointer to
//! a value took 48 bytes under a key of 16, and takes 32 with this one. The lengths have a byte each, and a word of their own
//! where one of the two is longer than a byte can tell. The parts that every command looks for come first, so that the tag
//! alone says where they are. An expiry may stand at any address. An entry that gets or loses one moves; it does so inside
//! its slot, which only an exclusive guard can reach.
//!
//! **Invariants.**
//! 1. The allocation's size follows from the tag and the two lengths ([`Shape::size`]).
//! 2. A body word of a boxed kind is one of the owners of its value. Others are walkers that have [`Entry::share`]d it, and
//!    what they were given: so a value with more than one owner is frozen, and whoever wants to change it makes it his own
//!    first ([`Entry::get_mut`]).
//! 3. Everything but the access clock changes only while the entry is reached through an exclusive guard. The word of the
//!    clock is a relaxed atomic, because readers under a shared guard store it too. They leave the length that stands in
//!    it as it is, so it does not matter which of two stores comes last.

#![allow(unsafe_code)]

mod layout;
#[cfg(test)]
mod tests;

use std::alloc::{alloc, dealloc, handle_alloc_error};
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
pub use layout::Kind;
use layout::{
    CLOCK_SHIFT, GROWN, HAS_EXPIRY, HAS_WORD, HEAD, Head, KIND, LONG, Lengths, SHORT_MAX, Shape, TIMED, WORD, word_at,
};

/// Strings from this length on live in a shared buffer, so that a reply can borrow them after the lock is gone.
pub const SHARED_MIN: usize = 16 * 1024;
/// Values of more parts, or of more bytes, are large: who changes one beside a walk waits instead of copying it. Both take
/// some 200 microseconds to copy.
const COPIED_PARTS_MAX: usize = if cfg!(test) { 64 } else { 4096 };
const COPIED_BYTES_MAX: usize = 1 << 20;
/// Redis's limit for the `embstr` encoding.
const EMBSTR_MAX: usize = 44;

/// A value type that lies outside of its entry, in an allocation that has a count of its owners.
///
/// # Safety
/// `KIND` must name this type and no other type may use it.
pub unsafe trait Boxed: Clone {
    /// The kind that stands for this type.
    const KIND: Kind;
    /// What the body of an entry holds: one owner of the value.
    type Owner;

    /// The first owner of a value.
    fn owner(value: Self) -> Self::Owner;
    /// One more owner.
    fn share(owner: &Self::Owner) -> Self::Owner;
    /// The value.
    fn value(owner: &Self::Owner) -> &Self;
    /// The value, to be changed, which its other owners do not see.
    fn value_mut(owner: &mut Self::Owner) -> &mut Self;
}

/// Values that are an owner themselves ([`crate::value::room`]).
macro_rules! boxed {
    ($($type:ident),*) => {$(
        // SAFETY: each kind stands beside the type of its name, and each once.
        unsafe impl Boxed for $type {
            const KIND: Kind = Kind::$type;
            type Owner = Self;

            fn owner(value: Self) -> Self {
                value
            }

            fn share(owner: &Self) -> Self {
                owner.share()
            }

            #[inline]
            fn value(owner: &Self) -> &Self {
                owner
            }

            #[inline]
            fn value_mut(owner: &mut Self) -> &mut Self {
                owner
            }
        }
    )*};
}

boxed!(List, Set, SortedSet, Hash);

// SAFETY: as above.
unsafe impl Boxed for Stream {
    const KIND: Kind = Kind::Stream;
    type Owner = Counted<Self>;

    fn owner(value: Self) -> Counted<Self> {
        Counted::new(value)
    }

    fn share(owner: &Counted<Self>) -> Counted<Self> {
        owner.clone()
    }

    fn value(owner: &Counted<Self>) -> &Self {
        owner
    }

    fn value_mut(owner: &mut Counted<Self>) -> &mut Self {
        Counted::make_mut(owner)
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
        unsafe { entry.at(entry.shape().value_at()).copy_from_nonoverlapping(value.as_ptr(), value.len()) };
        entry
    }

    /// An integer entry.
    pub fn int(key: &[u8], value: i64, expiry: Option<i64>) -> Self {
        let entry = Self::allocate(Kind::Int, 0, key, 0, expiry);
        // SAFETY: an Int has a word.
        unsafe { entry.word().cast::<i64>().write(value) };
        entry
    }

    /// A string entry over a shared buffer.
    pub fn shared(key: &[u8], value: Arc<Vec<u8>>, expiry: Option<i64>) -> Self {
        Self::with_word(Kind::Shared, key, value, expiry)
    }

    /// An entry of one of the boxed types.
    pub fn boxed<T: Boxed>(key: &[u8], value: T, expiry: Option<i64>) -> Self {
        Self::with_word(T::KIND, key, T::owner(value), expiry)
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
        let shape = self.shape();
        // SAFETY: the allocation holds `key_len` bytes at `key_at`.
        unsafe { std::slice::from_raw_parts(self.at(shape.key_at()), shape.key_len) }
    }

    /// When the key expires, in milliseconds since 1970.
    #[inline]
    pub fn expiry(&self) -> Option<i64> {
        if self.head().tag & HAS_EXPIRY == 0 {
            return None;
        }
        // SAFETY: the flag says that there is an expiry.
        Some(unsafe { self.at(self.shape().expiry_at()).cast::<i64>().read_unaligned() })
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
        self.head().tag & TIMED != 0
    }

    /// Notes whether the stripe counts it.
    pub(crate) fn set_timed(&mut self, timed: bool) {
        let tag = &mut self.head_mut().tag;
        *tag = if timed { *tag | TIMED } else { *tag & !TIMED };
    }

    /// What the body holds.
    #[inline]
    pub fn kind(&self) -> Kind {
        Kind::of(self.head().tag)
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
            Kind::Int => Some(Str::Int(unsafe { self.word().cast::<i64>().read() })),
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
            Kind::Int => Some(Bin::of_int(unsafe { self.word().cast::<i64>().read() })),
            Kind::Inline => Some(Bin::of_string(self.shape().value_len)),
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
            Kind::Inline if self.inline().len() <= EMBSTR_MAX && self.head().tag & GROWN == 0 => Encoding::Embstr,
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
        (!matches!(self.kind(), Kind::Int | Kind::Inline)).then(|| unsafe { self.word().cast::<usize>().read() })
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

    /// About how many bytes are allocated for the entry and its value, in a moment whatever it is.
    pub(crate) fn about_memory_bytes(&self) -> usize {
        /// A member, its node and its place in two indexes.
        const MEMBER_BYTES: usize = 64;
        match self.encoding() {
            Encoding::Skiplist => self.parts() * MEMBER_BYTES,
            _ => self.memory_bytes(),
        }
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
                let copy = self.allocate_like(key, expiry);
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
        let mut shared = self.allocate_like(self.key(), self.expiry());
        match self.kind() {
            Kind::Int | Kind::Inline => self.move_value_to(&shared),
            // SAFETY: the kind says what the body is, and the other's is not there yet.
            Kind::Shared => unsafe { shared.word().cast::<Arc<Vec<u8>>>().write(self.arc().clone()) },
            Kind::List => self.share_word::<List>(&shared),
            Kind::Set => self.share_word::<Set>(&shared),
            Kind::SortedSet => self.share_word::<SortedSet>(&shared),
            Kind::Hash => self.share_word::<Hash>(&shared),
            Kind::Stream => self.share_word::<Stream>(&shared),
        }
        shared.set_access(self.access());
        shared.set_epoch(self.epoch());
        shared
    }

    /// The boxed value, if it is of this type.
    #[inline]
    pub fn get<T: Boxed>(&self) -> Option<&T> {
        // SAFETY: the kind says that the body is an owner of a `T`.
        (self.kind() == T::KIND).then(|| T::value(unsafe { &*self.word().cast::<T::Owner>() }))
    }

    /// The boxed value to be changed, if it is of this type. A value that others own too is copied before it changes, so that
    /// they keep what they were given; that takes its time if it is large.
    #[inline]
    pub fn get_mut<T: Boxed>(&mut self) -> Option<&mut T> {
        // SAFETY: as in `get`, and the entry is borrowed exclusively.
        (self.kind() == T::KIND).then(|| T::value_mut(unsafe { &mut *self.word().cast::<T::Owner>() }))
    }

    /// Sets or removes the expiry.
    pub fn set_expiry(&mut self, expiry: Option<i64>) {
        match (self.expiry(), expiry) {
            (None, None) => {}
            // SAFETY: the flag is set, so the word is there.
            (Some(_), Some(at)) => unsafe { self.at(self.shape().expiry_at()).cast::<i64>().write_unaligned(at) },
            _ => {
                let moved = self.allocate_like(self.key(), expiry);
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
        let shape = self.shape();
        let tag = Kind::Inline as u8 | if expiry.is_some() { HAS_EXPIRY } else { 0 };
        let fits = shape.tag & (KIND | HAS_EXPIRY) == tag
            && shape.value_len == value.len()
            && parse_canonical(value).is_none();
        if fits {
            // SAFETY: the value has the same length; the source is not part of this entry, which is borrowed mutably.
            unsafe { self.at(shape.value_at()).copy_from_nonoverlapping(value.as_ptr(), value.len()) };
            self.head_mut().tag &= !GROWN;
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
        // SAFETY: an Int has a word, aligned as one, and the entry is borrowed exclusively.
        (self.kind() == Kind::Int).then(|| unsafe { &mut *self.word().cast::<i64>() })
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
        self.head_mut().tag |= GROWN;
        if self.kind() == Kind::Inline {
            let shape = self.shape();
            // SAFETY: the allocation holds `value_len` bytes at `value_at`, and the entry is borrowed exclusively.
            return Some(unsafe { std::slice::from_raw_parts_mut(self.at(shape.value_at()), shape.value_len) });
        }
        // SAFETY: the body of a Shared entry is an Arc, and the entry is borrowed exclusively.
        let bytes = Arc::make_mut(unsafe { &mut *self.word().cast::<Arc<Vec<u8>>>() });
        if bytes.len() < len {
            bytes.resize(len, 0);
        }
        Some(bytes)
    }

    /// Puts another entry of the same key in this one's place and returns the old one; the access clock and the epoch go
    /// over.
    pub fn replace_with(&mut self, mut new: Self) -> Self {
        debug_assert_eq!(self.key(), new.key());
        new.set_access(self.access());
        new.set_epoch(self.epoch());
        // The mark belongs to the slot until the stripe has booked the change.
        new.set_timed(self.is_timed());
        std::mem::replace(self, new)
    }

    /// The same value under another key, without its expiry; used by RENAME and MOVE. The value itself is not copied
    /// unless it lies inside the entry.
    pub fn rekeyed(self, key: &[u8], expiry: Option<i64>) -> Self {
        let moved = self.allocate_like(key, expiry);
        moved.set_access(self.access());
        self.move_value_to(&moved);
        self.free_allocation();
        std::mem::forget(self);
        moved
    }

    /// The access clock: what LRU and LFU keep, in 24 bits.
    #[inline]
    pub fn access(&self) -> u32 {
        self.head().access.load(Relaxed) >> CLOCK_SHIFT
    }

    /// Stores the access clock, if it differs, so that a hot key's line is not written again and again. Bits above the 24th
    /// are lost.
    #[inline]
    pub fn set_access(&self, clock: u32) {
        let access = &self.head().access;
        let before = access.load(Relaxed);
        let after = clock << CLOCK_SHIFT | u32::from(before as u8);
        if before != after {
            access.store(after, Relaxed);
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
        self.shape().size()
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

    fn with_word<B>(kind: Kind, key: &[u8], body: B, expiry: Option<i64>) -> Self {
        const { assert!(size_of::<B>() == WORD) };
        let entry = Self::allocate(kind, 0, key, 0, expiry);
        // SAFETY: these kinds have one word as their body.
        unsafe { entry.word().cast::<B>().write(body) };
        entry
    }

    /// Room for an entry with its head, expiry and key filled in, and its body not yet.
    fn allocate(kind: Kind, flags: u8, key: &[u8], value_len: usize, expiry: Option<i64>) -> Self {
        let long = key.len() > SHORT_MAX || value_len > SHORT_MAX;
        let tag = kind as u8
            | flags & !(KIND | LONG | HAS_EXPIRY | HAS_WORD)
            | if kind == Kind::Inline { 0 } else { HAS_WORD }
            | if long { LONG } else { 0 }
            | if expiry.is_some() { HAS_EXPIRY } else { 0 };
        let shape = Shape { tag, key_len: key.len(), value_len };
        let layout = shape.layout();
        let (short_key, short_value) = if long { (0, 0) } else { (key.len() as u8, value_len as u32) };
        let head = Head { tag, key_len: short_key, epoch: 0, access: AtomicU32::new(short_value) };
        // SAFETY: the layout has at least the head's size; all writes stay inside it.
        unsafe {
            let Some(at) = NonNull::new(alloc(layout)) else { handle_alloc_error(layout) };
            at.cast::<Head>().write(head);
            if long {
                let key = u32::try_from(key.len()).expect("a key is at most 512 MB");
                at.add(HEAD).cast::<Lengths>().write(Lengths { key, value: value_len as u32 });
            }
            if let Some(expiry) = expiry {
                at.add(shape.expiry_at()).cast::<i64>().write_unaligned(expiry);
            }
            at.add(shape.key_at()).copy_from_nonoverlapping(NonNull::from(key).cast(), key.len());
            Self(at.cast())
        }
    }

    /// Room for an entry of the same kind, flags and value length.
    fn allocate_like(&self, key: &[u8], expiry: Option<i64>) -> Self {
        let shape = self.shape();
        Self::allocate(Kind::of(shape.tag), shape.tag, key, shape.value_len, expiry)
    }

    /// Copies the body (without the key) to an entry of the same kind and value length, which owns it from now on.
    fn move_value_to(&self, other: &Self) {
        let (from, to) = (self.shape(), other.shape());
        // SAFETY: both allocations have the same kind and value length, so the source and the target are inside them.
        unsafe {
            if self.kind() == Kind::Inline {
                other.at(to.value_at()).copy_from_nonoverlapping(self.at(from.value_at()), from.value_len);
            } else {
                other.word().copy_from_nonoverlapping(self.word(), WORD);
            }
        }
    }

    /// Makes an entry of the same kind, whose body is not there yet, one more owner of the value.
    fn share_word<T: Boxed>(&self, other: &Self) {
        // SAFETY: the caller has matched the kind with the type, whose owner is one word.
        unsafe { other.word().cast::<T::Owner>().write(T::share(&*self.word().cast::<T::Owner>())) };
    }

    /// Takes the place of this entry, whose value has been moved to `moved` already.
    fn adopt(&mut self, moved: Self) {
        let epoch = self.epoch();
        moved.set_access(self.access());
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
    fn shape(&self) -> Shape {
        let head = self.head();
        if head.tag & LONG != 0 {
            return self.long_shape();
        }
        // Known here, so that nobody asks once more.
        let tag = head.tag & !LONG;
        Shape { tag, key_len: head.key_len.into(), value_len: usize::from(head.access.load(Relaxed) as u8) }
    }

    #[cold]
    fn long_shape(&self) -> Shape {
        // SAFETY: the flag, which the caller has seen, says that the lengths follow the head.
        let lengths = unsafe { self.at(HEAD).cast::<Lengths>().read() };
        Shape { tag: self.head().tag, key_len: lengths.key as usize, value_len: lengths.value as usize }
    }

    #[inline]
    fn at(&self, offset: usize) -> *mut u8 {
        // SAFETY: callers stay inside the allocation.
        unsafe { self.0.as_ptr().cast::<u8>().add(offset) }
    }

    #[inline]
    fn word(&self) -> *mut u8 {
        self.at(word_at(self.head().tag))
    }

    #[inline]
    fn inline(&self) -> &[u8] {
        let shape = self.shape();
        // SAFETY: the allocation holds `value_len` bytes at `value_at`.
        unsafe { std::slice::from_raw_parts(self.at(shape.value_at()), shape.value_len) }
    }

    fn arc(&self) -> &Arc<Vec<u8>> {
        debug_assert!(self.kind() == Kind::Shared);
        // SAFETY: the body of a Shared entry is an Arc.
        unsafe { &*self.word().cast::<Arc<Vec<u8>>>() }
    }

    fn drop_word<B>(&mut self) {
        // SAFETY: the caller has matched the kind with the type of its body, and drops it once.
        unsafe { self.word().cast::<B>().drop_in_place() };
    }

    fn free_allocation(&self) {
        // SAFETY: allocated with the same layout, by invariant 1.
        unsafe { dealloc(self.0.as_ptr().cast(), self.shape().layout()) };
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        match self.kind() {
            Kind::Int | Kind::Inline => {}
            Kind::Shared => self.drop_word::<Arc<Vec<u8>>>(),
            Kind::List => self.drop_word::<<List as Boxed>::Owner>(),
            Kind::Set => self.drop_word::<<Set as Boxed>::Owner>(),
            Kind::SortedSet => self.drop_word::<<SortedSet as Boxed>::Owner>(),
            Kind::Hash => self.drop_word::<<Hash as Boxed>::Owner>(),
            Kind::Stream => self.drop_word::<<Stream as Boxed>::Owner>(),
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
