//! A string as a reader finds it in its entry.

use std::borrow::Cow;
use std::sync::Arc;

/// A borrowed string value.
#[derive(Clone, Copy, Debug)]
pub enum Str<'a> {
    /// An integer, whose decimal form is the string.
    Int(i64),
    /// Bytes inside the entry.
    Bytes(&'a [u8]),
    /// A large payload; cloning the `Arc` keeps it readable without the lock.
    Shared(&'a Arc<Vec<u8>>),
}

impl<'a> Str<'a> {
    /// Length in bytes of the string.
    pub fn len(&self) -> usize {
        match self {
            Self::Int(int) => itoa::Buffer::new().format(*int).len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Shared(bytes) => bytes.len(),
        }
    }

    /// Whether the string has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes; copied only for an integer.
    pub fn bytes(&self) -> Cow<'a, [u8]> {
        match *self {
            Self::Int(int) => Cow::Owned(itoa::Buffer::new().format(int).as_bytes().to_vec()),
            Self::Bytes(bytes) => Cow::Borrowed(bytes),
            Self::Shared(bytes) => Cow::Borrowed(bytes),
        }
    }

    /// A copy of the bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        self.bytes().into_owned()
    }
}
