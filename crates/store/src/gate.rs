//! The gate: many short shared sections, and now and then somebody who needs the whole keyspace to stand still.
//!
//! A worker holds a shared [`Section`] for a bounded run of commands (or a background thread for one step of its work).
//! What `admit` reads (role, pause, the database pointers) changes only under an exclusive section. The gate comes
//! first in the lock order: gate, stripes ascending, one registry shard, inbox. It is never entered twice by one thread
//! and never upgraded: an exclusive command first ends its worker's section.

use crossbeam::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};

/// See the file's head.
#[derive(Default)]
pub struct Gate(ShardedLock<()>);

/// Proof that the gate is held.
pub struct Section<'g>(Held<'g>);

// The guards are held for their drop alone.
#[allow(dead_code)]
enum Held<'g> {
    Shared(ShardedLockReadGuard<'g, ()>),
    Exclusive(ShardedLockWriteGuard<'g, ()>),
}

impl Gate {
    /// Enters with others.
    pub fn enter(&self) -> Section<'_> {
        Section(Held::Shared(self.0.read().expect("a panic under the gate aborts the process")))
    }

    /// Enters alone, after all others have left.
    pub fn enter_alone(&self) -> Section<'_> {
        Section(Held::Exclusive(self.0.write().expect("a panic under the gate aborts the process")))
    }
}

impl Section<'_> {
    /// Whether nobody else is inside.
    pub fn is_exclusive(&self) -> bool {
        matches!(self.0, Held::Exclusive(_))
    }
}
