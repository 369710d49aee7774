//! The small form of a sorted set: a listpack of member, score, member, score ..., ascending by (score, member).

use std::ops::Range;

use super::index::order;
use super::score::{integral, parse_score};
use crate::number::write_f64;
use crate::value::listpack::{Item, Iter, Listpack, Position};

/// Members and scores by rank, from both ends.
pub(super) struct Pairs<'a> {
    items: Iter<'a>,
    left: usize,
}

impl<'a> Pairs<'a> {
    pub(super) fn new(listpack: &'a Listpack, ranks: Range<usize>) -> Self {
        let len = listpack.len() / 2;
        let end = ranks.end.min(len);
        let start = ranks.start.min(end);
        let mut items = listpack.iter();
        if start > 0 {
            items.nth(2 * start - 1);
        }
        if end < len {
            items.nth_back(2 * (len - end) - 1);
        }
        Self { items, left: end - start }
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Item<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (_, member) = self.items.next()?;
        let (_, score) = self.items.next()?;
        Some((member, score_of(score)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Pairs<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (_, score) = self.items.next_back()?;
        let (_, member) = self.items.next_back()?;
        Some((member, score_of(score)))
    }
}

/// Where `member` stands, and its score.
pub(super) fn find(listpack: &Listpack, member: &[u8]) -> Option<(Position, f64)> {
    let position = listpack.find(member, 1)?;
    let score = listpack.next(position).expect("a score follows each member");
    Some((position, score_of(listpack.at(score))))
}

/// Adds a member that is not there yet.
pub(super) fn insert(listpack: &mut Listpack, score: f64, member: &[u8]) {
    match first_after(listpack, score, member) {
        Some(position) => {
            listpack.insert_items_before(position, [Item::Bytes(member), stored(score, &mut Vec::new())]);
        }
        None => push_back(listpack, score, member),
    }
}

/// Adds a member above all others.
pub(super) fn push_back(listpack: &mut Listpack, score: f64, member: &[u8]) {
    listpack.push_back_items([Item::Bytes(member), stored(score, &mut Vec::new())]);
}

/// A listpack of one member with room for `later` ones; not for their scores that are no integers, whose text is not known yet.
pub(super) fn starting_with<'l>(
    (score, member): (f64, &[u8]),
    later: impl Iterator<Item = (f64, &'l [u8])>,
) -> Listpack {
    let later = later.flat_map(|(score, member)| [Some(Item::Bytes(member)), integral(score).map(Item::Int)]);
    Listpack::with_room_for([Item::Bytes(member), stored(score, &mut Vec::new())], later.flatten())
}

/// Checks what a dump may have got wrong: pairs, scores that are numbers, strict order, no member twice.
pub(super) fn is_valid(listpack: &Listpack) -> bool {
    let mut members = std::collections::HashSet::new();
    let mut items = listpack.iter();
    let mut last: Option<(f64, Vec<u8>)> = None;
    while let Some((_, member)) = items.next() {
        let Some(score) = items.next().and_then(|(_, score)| checked_score(score)) else { return false };
        let member = member.to_vec();
        let ascends = last.is_none_or(|(last_score, last)| order(last_score, &last, score, &member).is_lt());
        if !ascends || !members.insert(member.clone()) {
            return false;
        }
        last = Some((score, member));
    }
    true
}

/// The first member above (score, member).
fn first_after(listpack: &Listpack, score: f64, member: &[u8]) -> Option<Position> {
    let mut position = listpack.first();
    while let Some(at) = position {
        let score_at = listpack.next(at).expect("a score follows each member");
        let other_score = score_of(listpack.at(score_at));
        if other_score > score || (other_score == score && listpack.at(at).bytes(&mut itoa::Buffer::new()) > member) {
            return Some(at);
        }
        position = listpack.next(score_at);
    }
    None
}

/// A score as Redis stores it: an integer if it is one, else text.
fn stored(score: f64, text: &mut Vec<u8>) -> Item<'_> {
    integral(score).map_or_else(
        || {
            write_f64(score, text);
            Item::Bytes(text)
        },
        Item::Int,
    )
}

fn score_of(item: Item<'_>) -> f64 {
    checked_score(item).expect("scores are checked when they come in")
}

fn checked_score(item: Item<'_>) -> Option<f64> {
    match item {
        Item::Int(int) => Some(int as f64),
        Item::Bytes(text) => parse_score(text),
    }
}
