//! The nodes of a stream in the order of their master ids.
//!
//! Nearly all come at the end and go at the beginning. An ordered tree that is filled so is half empty; so they stand side by
//! side, in chunks that are filled one after the other. What is found is found by halving twice, and a node in the middle
//! goes by moving some of its chunk, at most [`CHUNK_NODES`] places, so nothing takes longer in a long stream.
//!
//! Invariants: no chunk is empty or has more than [`CHUNK_NODES`] nodes, and master ids ascend, over all chunks.

use std::collections::VecDeque;
use std::mem::size_of;

use super::StreamId;
use crate::value::list::Direction;
use crate::value::listpack::Listpack;

/// Six KiB of places.
const CHUNK_NODES: usize = 256;

/// See the file's head.
#[derive(Clone, Default)]
pub(super) struct Nodes {
    chunks: VecDeque<VecDeque<Placed>>,
    len: usize,
}

#[derive(Clone)]
struct Placed {
    master: StreamId,
    pack: Listpack,
}

/// A chunk, and where in it.
type Place = (usize, usize);

impl Nodes {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes allocated for the places, without the listpacks.
    pub(super) fn memory_bytes(&self) -> usize {
        let places: usize = self.chunks.iter().map(VecDeque::capacity).sum();
        self.chunks.capacity() * size_of::<VecDeque<Placed>>() + places * size_of::<Placed>()
    }

    /// From the first to the last.
    pub(super) fn iter(&self) -> Iter<'_> {
        Iter {
            left: self.len,
            span: Span { nodes: self, at: (self.len > 0).then_some((0, 0)), direction: Direction::Forward },
        }
    }

    /// From the node that an id belongs to, which is the last one that begins at it or before, onwards in a direction.
    /// Forward from the first node if the id comes before all.
    pub(super) fn from(&self, id: StreamId, direction: Direction) -> Span<'_> {
        let at = match direction {
            Direction::Forward if self.len > 0 => Some(self.place(id).unwrap_or((0, 0))),
            _ => self.place(id),
        };
        Span { nodes: self, at, direction }
    }

    /// The node that an id belongs to: the last one that begins at it or before.
    pub(super) fn of(&self, id: StreamId) -> Option<(StreamId, &Listpack)> {
        let (chunk, index) = self.place(id)?;
        let Placed { master, pack } = &self.chunks[chunk][index];
        Some((*master, pack))
    }

    /// The same, to be changed.
    pub(super) fn of_mut(&mut self, id: StreamId) -> Option<(StreamId, &mut Listpack)> {
        let (chunk, index) = self.place(id)?;
        let Placed { master, pack } = &mut self.chunks[chunk][index];
        Some((*master, pack))
    }

    /// The first node.
    pub(super) fn first_mut(&mut self) -> Option<(StreamId, &mut Listpack)> {
        self.chunks.front_mut()?.front_mut().map(|placed| (placed.master, &mut placed.pack))
    }

    /// The last node.
    pub(super) fn last_mut(&mut self) -> Option<(StreamId, &mut Listpack)> {
        self.chunks.back_mut()?.back_mut().map(|placed| (placed.master, &mut placed.pack))
    }

    /// Adds a node. Nothing is added, and false returned, if there is one with this master id.
    pub(super) fn insert(&mut self, master: StreamId, pack: Listpack) -> bool {
        let placed = Placed { master, pack };
        let (chunk, index) = match self.place(master) {
            Some((chunk, index)) if self.chunks[chunk][index].master == master => return false,
            Some((chunk, index)) => (chunk, index + 1),
            None => (0, 0),
        };
        self.len += 1;
        let Some(found) = self.chunks.get_mut(chunk) else {
            self.chunks.push_back(VecDeque::from([placed]));
            return true;
        };
        if found.len() < CHUNK_NODES {
            found.insert(index, placed);
        } else if index == CHUNK_NODES {
            // Where all but the last chunk are full, which is the rule, this is the end.
            self.chunks.insert(chunk + 1, VecDeque::from([placed]));
        } else {
            let mut later = found.split_off(CHUNK_NODES / 2);
            match index.checked_sub(CHUNK_NODES / 2) {
                Some(index) => later.insert(index, placed),
                None => found.insert(index, placed),
            }
            self.chunks.insert(chunk + 1, later);
        }
        true
    }

    /// Takes a node out.
    pub(super) fn remove(&mut self, master: StreamId) {
        let Some((chunk, index)) = self.place(master) else { return };
        if self.chunks[chunk][index].master == master {
            self.chunks[chunk].remove(index);
            self.len -= 1;
            if self.chunks[chunk].is_empty() {
                self.chunks.remove(chunk);
            }
        }
    }

    /// Where the node is that an id belongs to.
    fn place(&self, id: StreamId) -> Option<Place> {
        let begins_before = |placed: &Placed| placed.master <= id;
        let chunk = self.chunks.partition_point(|chunk| begins_before(&chunk[0])).checked_sub(1)?;
        Some((chunk, self.chunks[chunk].partition_point(begins_before) - 1))
    }
}

/// Nodes one after the other, in one direction.
#[derive(Clone)]
pub(super) struct Span<'a> {
    nodes: &'a Nodes,
    /// The next one.
    at: Option<Place>,
    direction: Direction,
}

impl Span<'_> {
    /// Leaves nothing to come.
    pub(super) fn end(&mut self) {
        self.at = None;
    }
}

impl<'a> Iterator for Span<'a> {
    type Item = (StreamId, &'a Listpack);

    fn next(&mut self) -> Option<Self::Item> {
        let (chunk, index) = self.at?;
        let chunks = &self.nodes.chunks;
        self.at = match self.direction {
            Direction::Forward if index + 1 < chunks[chunk].len() => Some((chunk, index + 1)),
            Direction::Forward => (chunk + 1 < chunks.len()).then_some((chunk + 1, 0)),
            Direction::Backward if index > 0 => Some((chunk, index - 1)),
            Direction::Backward => chunk.checked_sub(1).map(|chunk| (chunk, chunks[chunk].len() - 1)),
        };
        let Placed { master, pack } = &chunks[chunk][index];
        Some((*master, pack))
    }
}

/// All nodes from the first to the last.
pub(super) struct Iter<'a> {
    span: Span<'a>,
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (StreamId, &'a Listpack);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.saturating_sub(1);
        self.span.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId { ms, seq: 0 }
    }

    fn pack(of: u64) -> Listpack {
        Listpack::with_capacity(20 + of as usize % 7)
    }

    /// The same as an ordered map, whatever comes and goes and wherever.
    #[test]
    fn it_is_an_ordered_map() {
        let mut rng = fastrand::Rng::with_seed(7);
        for kind in 0..4 {
            let (mut nodes, mut model, mut newest) = (Nodes::default(), BTreeMap::new(), 0);
            for step in 0..6000 {
                let any = id(rng.u64(..10_000));
                match (kind, rng.u8(..10)) {
                    // As streams do: at the end, and off the beginning.
                    (0, 0..7) | (1, 0..5) => {
                        newest += 1 + rng.u64(..3);
                        assert!(nodes.insert(id(newest), pack(newest)));
                        model.insert(id(newest), ());
                    }
                    (0 | 1, _) => {
                        if let Some((first, _)) = nodes.first_mut() {
                            assert_eq!(model.pop_first().map(|(id, ())| id), Some(first));
                            nodes.remove(first);
                        }
                    }
                    (2, 0..8) | (3, 0..4) => assert_eq!(nodes.insert(any, pack(1)), model.insert(any, ()).is_none()),
                    _ => {
                        nodes.remove(any);
                        model.remove(&any);
                    }
                }
                assert_eq!(nodes.len(), model.len());
                assert_eq!(nodes.last_mut().map(|(id, _)| id), model.last_key_value().map(|(id, ())| *id));
                assert_eq!(nodes.of(any).map(|(id, _)| id), model.range(..=any).next_back().map(|(id, ())| *id));
                assert_eq!(nodes.of_mut(any).map(|(id, _)| id), nodes.of(any).map(|(id, _)| id));
                assert!(nodes.chunks.iter().all(|chunk| (1..=CHUNK_NODES).contains(&chunk.len())));
                if step % 500 != 0 {
                    continue;
                }
                let ids = |found: &mut dyn Iterator<Item = (StreamId, &Listpack)>| {
                    found.map(|(id, _)| id).collect::<Vec<_>>()
                };
                assert_eq!(nodes.iter().len(), model.len());
                assert_eq!(ids(&mut nodes.iter()), model.keys().copied().collect::<Vec<_>>());
                let back: Vec<_> = model.range(..=any).rev().map(|(id, ())| *id).collect();
                assert_eq!(ids(&mut nodes.from(any, Direction::Backward)), back);
                let begin = back.first().copied().unwrap_or(any);
                let onwards: Vec<_> = model.range(begin..).map(|(id, ())| *id).collect();
                assert_eq!(ids(&mut nodes.from(any, Direction::Forward)), onwards);
                let mut ended = nodes.from(any, Direction::Forward);
                ended.end();
                assert!(ended.next().is_none());
            }
        }
    }

    /// What they are there for: nodes that come at the end lie side by side.
    #[test]
    fn a_long_stream_has_no_free_places() {
        let mut nodes = Nodes::default();
        assert_eq!(nodes.memory_bytes(), 0);
        (1..=10_000).for_each(|at| assert!(nodes.insert(id(at), pack(at))));
        assert!(nodes.memory_bytes() < 10_000 * size_of::<Placed>() * 21 / 20, "{}", nodes.memory_bytes());
    }
}
