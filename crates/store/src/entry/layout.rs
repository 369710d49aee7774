//! How an entry lies in its allocation: what its head tells, and where the parts follow from that. The picture of it stands in
//! [`super`].

use std::alloc::Layout;
use std::sync::atomic::AtomicU32;

/// The bits of an entry's tag that tell its [`Kind`]. The others are flags.
pub(super) const KIND: u8 = 0b111;
/// The lengths have a word of their own. Its value is that word's size, which spares the reader a branch.
pub(super) const LONG: u8 = 1 << 3;
/// There is an expiry; twice its size.
pub(super) const HAS_EXPIRY: u8 = 1 << 4;
/// A hash that its stripe has counted among those with fields that expire.
pub(super) const TIMED: u8 = 1 << 5;
/// A string that APPEND or SETRANGE has made: `OBJECT ENCODING` calls it `raw` however short it is.
pub(super) const GROWN: u8 = 1 << 6;
/// There is a word, since this is no inline string; sixteen times its size.
pub(super) const HAS_WORD: u8 = 1 << 7;
/// The longest key, and the longest value, whose length the head tells.
pub(super) const SHORT_MAX: usize = u8::MAX as usize;
/// The word of the access clock holds the value's length in its low bits.
pub(super) const CLOCK_SHIFT: u32 = 8;

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
    /// A [`List`].
    List,
    /// A [`Set`].
    Set,
    /// A [`SortedSet`].
    SortedSet,
    /// A [`Hash`].
    Hash,
    /// A [`Stream`].
    Stream,
}

#[repr(C, align(8))]
pub(super) struct Head {
    /// Kind and flags.
    pub(super) tag: u8,
    /// Without meaning where the lengths have a word of their own.
    pub(super) key_len: u8,
    pub(super) epoch: u16,
    /// The access clock, and in the low byte the length of an inline value, with the same exception.
    pub(super) access: AtomicU32,
}

/// The lengths, where they do not fit into the head.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Lengths {
    pub(super) key: u32,
    pub(super) value: u32,
}

/// What an entry's layout follows from.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) tag: u8,
    pub(super) key_len: usize,
    /// Of an inline value; else 0.
    pub(super) value_len: usize,
}

pub(super) const HEAD: usize = size_of::<Head>();
pub(super) const WORD: usize = 8;

const _: () = {
    assert!(HEAD == WORD && size_of::<Lengths>() == LONG as usize);
    assert!(2 * WORD == HAS_EXPIRY as usize && 16 * WORD == HAS_WORD as usize);
};

impl Kind {
    #[inline]
    pub(super) const fn of(tag: u8) -> Self {
        match tag & KIND {
            0 => Self::Int,
            1 => Self::Inline,
            2 => Self::Shared,
            3 => Self::List,
            4 => Self::Set,
            5 => Self::SortedSet,
            6 => Self::Hash,
            _ => Self::Stream,
        }
    }
}

/// Where the word is.
#[inline]
pub(super) const fn word_at(tag: u8) -> usize {
    HEAD + (tag & LONG) as usize
}

impl Shape {
    #[inline]
    pub(super) const fn key_at(self) -> usize {
        word_at(self.tag) + ((self.tag & HAS_WORD) >> 4) as usize
    }

    /// The expiry, if there is one.
    #[inline]
    pub(super) const fn expiry_at(self) -> usize {
        self.key_at() + self.key_len
    }

    /// The inline value.
    #[inline]
    pub(super) const fn value_at(self) -> usize {
        self.expiry_at() + ((self.tag & HAS_EXPIRY) >> 1) as usize
    }

    #[inline]
    pub(super) const fn size(self) -> usize {
        (self.value_at() + self.value_len).next_multiple_of(WORD)
    }

    #[inline]
    pub(super) fn layout(self) -> Layout {
        Layout::from_size_align(self.size(), WORD).expect("an entry is far smaller than the address space")
    }
}
