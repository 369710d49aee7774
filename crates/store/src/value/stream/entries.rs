//! Walking over the entries of a stream.

use std::collections::{BTreeMap, btree_map};
use std::fmt;

use super::node::{Entry, Node, Walk};
use super::{Nodes, StreamId};
use crate::value::list::Direction;
use crate::value::listpack::Listpack;

/// Entries of a stream between two ids, in one direction; deleted ones are left out.
#[derive(Clone)]
pub struct Entries<'a> {
    nodes: btree_map::Range<'a, StreamId, Listpack>,
    walk: Option<Walk<'a>>,
    first: StreamId,
    last: StreamId,
    direction: Direction,
}

impl<'a> Entries<'a> {
    /// The entries from `first` to `last`, both included; in backward direction the last comes first.
    pub(super) fn new(nodes: &'a Nodes, first: StreamId, last: StreamId, direction: Direction) -> Self {
        let nodes = match direction {
            // The node that holds `first` is the last one that begins at it or before.
            Direction::Forward => {
                let from = nodes.range(..=first).next_back().map_or(first, |(master, _)| *master);
                nodes.range(from..)
            }
            Direction::Backward => nodes.range(..=last),
        };
        Self { nodes, walk: None, first, last, direction }
    }

    fn next_node(&mut self) -> Option<Walk<'a>> {
        let (master, pack) = match self.direction {
            Direction::Forward => self.nodes.next(),
            Direction::Backward => self.nodes.next_back(),
        }?;
        Some(Node { master: *master, pack }.walk(self.direction == Direction::Backward))
    }

    /// Leaves nothing to come.
    fn end(&mut self) {
        static EMPTY: Nodes = BTreeMap::new();
        self.walk = None;
        self.nodes = EMPTY.range(..);
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
