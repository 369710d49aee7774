//! What a command has done, as others will hear of it.
//!
//! A handler returns an [`Effect`]: what goes into the log. Which keys it changed, and the events that fire for them, it
//! notes in [`crate::keys::Keys`] while it works. Nothing is propagated as a side effect.

use bitflags::bitflags;

use crate::args::OwnedArgs;
use crate::blocking::Block;

/// What goes into the log for one command.
#[must_use]
#[derive(Debug)]
pub enum Effect {
    /// Nothing has changed.
    None,
    /// The command as it came has the same effect wherever it runs.
    AsIs,
    /// These commands have the same effect wherever they run.
    Rewritten(Vec<OwnedArgs>),
    /// Nothing has changed, and the client waits.
    Block(Box<Block>),
}

impl Effect {
    /// One command instead of the one that came.
    pub fn rewritten<A: AsRef<[u8]>>(args: impl IntoIterator<Item = A>) -> Self {
        Self::Rewritten(vec![args.into_iter().collect()])
    }

    /// Drops it. Nearly all are nothing to be dropped, which spares a call.
    #[inline]
    pub(crate) fn forget(self) {
        match self {
            Self::None | Self::AsIs => std::mem::forget(self),
            Self::Rewritten(_) | Self::Block(_) => drop(self),
        }
    }

    /// The command as it came if something has changed.
    pub fn as_is_if(changed: bool) -> Self {
        if changed { Self::AsIs } else { Self::None }
    }
}

bitflags! {
    /// Classes of keyspace events, and the letters of `notify-keyspace-events` that choose them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Class: u32 {
        /// `K`: publish in the key's channel.
        const KEYSPACE = 1 << 0;
        /// `E`: publish in the event's channel.
        const KEYEVENT = 1 << 1;
        /// `g`
        const GENERIC = 1 << 2;
        /// `$`
        const STRING = 1 << 3;
        /// `l`
        const LIST = 1 << 4;
        /// `s`
        const SET = 1 << 5;
        /// `h`
        const HASH = 1 << 6;
        /// `z`
        const ZSET = 1 << 7;
        /// `x`
        const EXPIRED = 1 << 8;
        /// `e`
        const EVICTED = 1 << 9;
        /// `t`
        const STREAM = 1 << 10;
        /// `m`
        const KEY_MISS = 1 << 11;
        /// `d`
        const MODULE = 1 << 12;
        /// `n`
        const NEW = 1 << 13;
    }
}

/// A key that a command has changed, and the event that says how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key's database.
    pub db: u32,
    /// The key.
    pub key: Box<[u8]>,
    /// The event's class.
    pub class: Class,
    /// The event's name; empty when the key has changed without an event.
    pub event: &'static str,
    /// Whether the key's value has changed, so that whoever watches it must know.
    pub modified: bool,
}
