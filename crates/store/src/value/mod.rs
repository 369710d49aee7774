//! The value types. Each is a plain structure: no clock, no RESP, no locks; whoever holds one exclusively may change it.
//! Limits and randomness come in as arguments, so that a test can hold them still.

pub mod hash;
pub mod intset;
mod limits;
pub mod list;
pub mod listpack;
pub mod room;
pub mod set;
pub mod stream;
mod string;
pub mod thin;
pub mod zset;

pub use limits::Limits;
pub use string::Str;

/// The type of a value, as `TYPE` answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// A string or integer.
    String,
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set.
    SortedSet,
    /// A hash.
    Hash,
    /// A stream.
    Stream,
}

impl ValueType {
    /// Redis's name for this type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "zset",
            Self::Hash => "hash",
            Self::Stream => "stream",
        }
    }
}

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
