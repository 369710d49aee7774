//! Walking over the entries of a stream.

use std::fmt;

use super::StreamId;
use super::node::{Entry, Node, Walk};
use super::nodes::{Nodes, Span};
use crate::value::list::Direction;

/// Entries of a stream between two ids, in one direction; deleted ones are left out.
#[derive(Clone)]
pub struct Entries<'a> {
    nodes: Span<'a>,
    walk: Option<Walk<'a>>,
    first: StreamId,
    last: StreamId,
    direction: Direction,
}

impl<'a> Entries<'a> {
    /// The entries from `first` to `last`, both included; in backward direction the last comes first.
    pub(super) fn new(nodes: &'a Nodes, first: StreamId, last: StreamId, direction: Direction) -> Self {
        let nodes = nodes.from(if direction == Direction::Forward { first } else { last }, direction);
        Self { nodes, walk: None, first, last, direction }
    }

    fn next_node(&mut self) -> Option<Walk<'a>> {
        let (master, pack) = self.nodes.next()?;
        Some(Node { master, pack }.walk(self.direction == Direction::Backward))
    }

    /// Leaves nothing to come.
    fn end(&mut self) {
        self.walk = None;
        self.nodes.end();
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let Some(entry) = self.walk.as_mut().and_then(Iterator::next) else {
                self.walk = Some(self.next_node()?);
                continue;
            };
            // Deleted entries are looked at no further: their ids need not be in order.
            if entry.deleted {
                continue;
            }
            let (before, beyond) = match self.direction {
                Direction::Forward => (entry.id() < self.first, entry.id() > self.last),
                Direction::Backward => (entry.id() > self.last, entry.id() < self.first),
            };
            if beyond {
                self.end();
                return None;
            }
            if !before {
                return Some(entry);
            }
        }
    }
}

impl fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}
