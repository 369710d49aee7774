//! The general form of a list: a chain of nodes, each a listpack of bounded size or one large element by itself.
//!
//! Redis links its nodes by pointers. Here they stand in a ring of 16-byte entries that carry each node's count, so an
//! index is found by reading along one array, from the nearer end, and pushing and popping stay constant-time. The
//! price is that a node put into the middle moves the entries beside it: a megabyte of them for a quarter of a
//! gigabyte of elements. Where nodes are split and joined follows Redis, for the joining decides when a list that
//! shrinks has one node left and turns into a listpack.

use std::collections::VecDeque;
use std::mem::size_of;

use super::node::{Node, NodeIter, NodeLimit};
use super::{Direction, Side};
use crate::value::listpack::{Item, Listpack};

#[derive(Clone)]
pub(super) struct Quicklist {
    /// No node is empty.
    nodes: VecDeque<Node>,
    /// The sum of the nodes' counts.
    len: usize,
}

/// A place in the chain: which node, and which of its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    node: usize,
    index: usize,
}

impl Quicklist {
    pub(super) fn new() -> Self {
        Self { nodes: VecDeque::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    /// The listpack that is the only node, if it is one.
    pub(super) fn only_listpack(&self) -> Option<&Listpack> {
        if self.nodes.len() == 1 { self.nodes[0].listpack() } else { None }
    }

    /// Adds a node at the tail; an empty one is dropped.
    pub(super) fn push_node(&mut self, node: Node) {
        if node.count() > 0 {
            self.len += node.count();
            self.nodes.push_back(node);
        }
    }

    pub(super) fn push(&mut self, side: Side, item: Item<'_>, limit: NodeLimit) {
        let end = match side {
            Side::Left => self.nodes.front_mut(),
            Side::Right => self.nodes.back_mut(),
        };
        match end {
            Some(node) if node.allows(item, limit) => {
                let index = if side == Side::Left { 0 } else { node.count() };
                node.insert(index, item);
            }
            full => {
                let ahead = full.and_then(Node::listpack_mut).map(Listpack::finish);
                let room = ahead.filter(|_| self.nodes.len() >= Listpack::AHEAD_NODES_MIN).unwrap_or(0);
                let node = Node::of_one(item, limit, room);
                match side {
                    Side::Left => self.nodes.push_front(node),
                    Side::Right => self.nodes.push_back(node),
                }
            }
        }
        self.len += 1;
    }

    pub(super) fn pop(&mut self, side: Side) -> Option<Vec<u8>> {
        let at = match side {
            Side::Left => 0,
            Side::Right => self.nodes.len().checked_sub(1)?,
        };
        let node = self.nodes.get_mut(at)?;
        self.len -= 1;
        if node.count() == 1 {
            let node = self.nodes.remove(at)?;
            let element = node.get(0).filter(|_| !node.is_plain()).map(|item| item.to_vec());
            return element.or_else(|| node.into_plain().map(<[u8]>::into_vec));
        }
        let index = if side == Side::Left { 0 } else { node.count() - 1 };
        let element = node.get(index).map(|item| item.to_vec());
        node.remove(index, 1);
        element
    }

    /// The place of the element at `index`, looked for from the nearer end.
    pub(super) fn place(&self, index: usize) -> Option<Place> {
        if index >= self.len {
            return None;
        }
        if index < self.len / 2 {
            let mut rest = index;
            for (node, counted) in self.nodes.iter().enumerate() {
                if rest < counted.count() {
                    return Some(Place { node, index: rest });
                }
                rest -= counted.count();
            }
        } else {
            let mut end = self.len;
            for (node, counted) in self.nodes.iter().enumerate().rev() {
                end -= counted.count();
                if index >= end {
                    return Some(Place { node, index: index - end });
                }
            }
        }
        unreachable!("the counts of the nodes make up the length")
    }

    pub(super) fn get(&self, index: usize) -> Option<Item<'_>> {
        let place = self.place(index)?;
        self.nodes[place.node].get(place.index)
    }

    /// The first place of `element`, from the head.
    pub(super) fn find(&self, element: &[u8]) -> Option<Place> {
        self.nodes.iter().enumerate().find_map(|(node, body)| {
            body.iter().position(|item| item.eq_bytes(element)).map(|index| Place { node, index })
        })
    }

    /// Iterators that together give the elements from `index` on in `direction`.
    pub(super) fn iters_from(
        &self,
        index: usize,
        direction: Direction,
    ) -> Option<(NodeIter<'_>, std::collections::vec_deque::Iter<'_, Node>)> {
        let place = self.place(index)?;
        let node = &self.nodes[place.node];
        Some(match direction {
            Direction::Forward => (node.iter_from(place.index), self.nodes.range(place.node + 1..)),
            Direction::Backward => (node.iter_through(place.index), self.nodes.range(..place.node)),
        })
    }

    /// Puts `item` in the place of the element at `place`.
    pub(super) fn replace(&mut self, place: Place, item: Item<'_>, limit: NodeLimit) {
        let node = &mut self.nodes[place.node];
        let large = limit.is_large(item.len());
        match (node.is_plain(), large) {
            (false, false) => node.replace(place.index, item),
            (true, true) => *node = Node::of_one(item, limit, 0),
            (true, false) => {
                self.insert_after(place, item, limit);
                self.len -= 1;
                self.nodes.remove(place.node);
            }
            (false, true) => self.replace_by_large(place, item, limit),
        }
    }

    /// A large element leaves its listpack: the node is cut behind it, and the new node goes between.
    fn replace_by_large(&mut self, place: Place, item: Item<'_>, limit: NodeLimit) {
        let node = &mut self.nodes[place.node];
        let rest = (place.index + 1 < node.count()).then(|| node.split_off(place.index + 1));
        node.remove(place.index, 1);
        let emptied = node.count() == 0;
        let at = place.node + 1;
        self.nodes.insert(at, Node::of_one(item, limit, 0));
        if let Some(rest) = rest {
            self.nodes.insert(at + 1, rest);
        }
        if emptied {
            self.nodes.remove(place.node);
        } else {
            self.merge_around(at, limit);
        }
    }

    /// Adds `item` before the element at `place`.
    pub(super) fn insert_before(&mut self, place: Place, item: Item<'_>, limit: NodeLimit) {
        let node = &mut self.nodes[place.node];
        let before = place.node.checked_sub(1);
        if node.allows(item, limit) {
            node.insert(place.index, item);
        } else if place.index > 0 {
            self.split_and_insert(place.node, place.index, item, limit, true);
        } else if let Some(before) = before.filter(|before| self.nodes[*before].allows(item, limit)) {
            let end = self.nodes[before].count();
            self.nodes[before].insert(end, item);
        } else {
            self.nodes.insert(place.node, Node::of_one(item, limit, 0));
        }
        self.len += 1;
    }

    /// Adds `item` after the element at `place`.
    pub(super) fn insert_after(&mut self, place: Place, item: Item<'_>, limit: NodeLimit) {
        let node = &mut self.nodes[place.node];
        let after = place.node + 1;
        if node.allows(item, limit) {
            node.insert(place.index + 1, item);
        } else if place.index + 1 < node.count() {
            self.split_and_insert(place.node, place.index + 1, item, limit, false);
        } else if self.nodes.get(after).is_some_and(|next| next.allows(item, limit)) {
            self.nodes[after].insert(0, item);
        } else {
            self.nodes.insert(after, Node::of_one(item, limit, 0));
        }
        self.len += 1;
    }

    /// Cuts a full node before `index` and adds `item` in the gap: to the half that the pivot is not in, if it is
    /// small enough for a listpack at all.
    fn split_and_insert(&mut self, node: usize, index: usize, item: Item<'_>, limit: NodeLimit, pivot_follows: bool) {
        let mut tail = self.nodes[node].split_off(index);
        if limit.is_large(item.len()) {
            self.nodes.insert(node + 1, Node::of_one(item, limit, 0));
            self.nodes.insert(node + 2, tail);
            return;
        }
        let head = &mut self.nodes[node];
        if pivot_follows {
            head.insert(head.count(), item);
        } else {
            tail.insert(0, item);
        }
        self.nodes.insert(node + 1, tail);
        self.merge_around(if pivot_follows { node + 1 } else { node }, limit);
    }

    /// Joins small neighbours: the two before `center`, the two after it, then `center` with what stands beside it.
    fn merge_around(&mut self, center: usize, limit: NodeLimit) {
        let mut center = center;
        if center >= 2 && self.merge(center - 2, limit) {
            center -= 1;
        }
        self.merge(center + 1, limit);
        if center >= 1 && self.merge(center - 1, limit) {
            center -= 1;
        }
        self.merge(center, limit);
    }

    /// Joins the node at `at` and the next one, if both are there and small enough together.
    fn merge(&mut self, at: usize, limit: NodeLimit) -> bool {
        let (Some(node), Some(next)) = (self.nodes.get(at), self.nodes.get(at + 1)) else { return false };
        if !node.allows_merge(next, limit) {
            return false;
        }
        if let Some(next) = self.nodes.remove(at + 1) {
            self.nodes[at].append(&next);
        }
        true
    }

    /// Removes `count` elements from `start` on; both are within the list.
    pub(super) fn remove_range(&mut self, start: usize, count: usize) {
        let Some(from) = self.place(start).filter(|_| count > 0) else { return };
        let mut rest = count;
        let mut index = from.index;
        let mut node = from.node;
        let mut emptied = None;
        while rest > 0 {
            let body = &mut self.nodes[node];
            let here = rest.min(body.count() - index);
            if here == body.count() {
                emptied.get_or_insert(node..node).end = node + 1;
            } else {
                body.remove(index, here);
            }
            rest -= here;
            index = 0;
            node += 1;
        }
        if let Some(emptied) = emptied {
            self.nodes.drain(emptied);
        }
        self.give_back();
        self.len -= count;
    }

    /// Removes up to `max` elements equal to `element`, from the tail if `backward`, and tells how many.
    pub(super) fn remove_equal(&mut self, element: &[u8], max: usize, backward: bool) -> usize {
        let mut removed = 0;
        let mut some_emptied = false;
        for step in 0..self.nodes.len() {
            if removed == max {
                break;
            }
            let at = if backward { self.nodes.len() - 1 - step } else { step };
            removed += self.nodes[at].remove_equal(element, max - removed, backward);
            some_emptied |= self.nodes[at].count() == 0;
        }
        if some_emptied {
            // All at once: one by one, each removal would move the entries of the others.
            self.nodes.retain(|node| node.count() > 0);
            self.give_back();
        }
        self.len -= removed;
        removed
    }

    /// Allocated bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>() + self.nodes.iter().map(Node::memory_bytes).sum::<usize>()
    }

    /// Shrinks the ring of nodes when most of it is free.
    fn give_back(&mut self) {
        if self.nodes.len() < self.nodes.capacity() / 4 {
            self.nodes.shrink_to(self.nodes.len() * 2);
        }
    }

    #[cfg(test)]
    pub(super) fn assert_sound(&self) {
        assert!(self.nodes.iter().all(|node| node.count() > 0 && node.iter().count() == node.count()));
        assert_eq!(self.nodes.iter().map(Node::count).sum::<usize>(), self.len);
    }
}
