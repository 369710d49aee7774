//! The value types. Each is a plain structure: no clock, no RESP, no locks; whoever holds one exclusively may change it.
//! Limits and randomness come in as arguments, so that a test can hold them still.

mod limits;
pub mod list;
pub mod listpack;
pub mod stream;

pub use limits::Limits;

/// The name of a value's inner form, as `OBJECT ENCODING` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A string that is a 64-bit signed integer.
    Int,
    /// A short string, stored in its entry.
    Embstr,
    /// Any other string.
    Raw,
    /// One packed sequence of elements.
    Listpack,
    /// A packed sequence of hash fields, some of which expire.
    ListpackEx,
    /// A chain of packed sequences.
    Quicklist,
    /// A sorted array of integers of one width.
    Intset,
    /// A hash table.
    Hashtable,
    /// An ordered index by score beside a hash table.
    Skiplist,
    /// Packed runs of stream entries in an ordered index.
    Stream,
}

impl Encoding {
    /// Redis's name for this form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Embstr => "embstr",
            Self::Raw => "raw",
            Self::Listpack => "listpack",
            Self::ListpackEx => "listpackex",
            Self::Quicklist => "quicklist",
            Self::Intset => "intset",
            Self::Hashtable => "hashtable",
            Self::Skiplist => "skiplist",
            Self::Stream => "stream",
        }
    }
}
