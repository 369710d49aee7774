//! The ends of a range of members, as commands are given them: by rank, by score or by bytes.

use std::ops::Range;

use store::value::zset::{LexBound, LexRange, ScoreRange, SortedSet};

use crate::error::{Error, NOT_INTEGER, Result};
use crate::number;

/// What a range counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Rank,
    Score,
    Lex,
}

/// Which members a range has, whatever the direction it is walked in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bounds<'a> {
    /// From one rank to another; negative ones count from the last member.
    Rank(i64, i64),
    Score(ScoreRange),
    Lex(LexRange<'a>),
}

impl<'a> Bounds<'a> {
    /// Reads the lower and the upper end.
    pub(super) fn parse(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Self> {
        match by {
            By::Rank => {
                let rank = |text| number::parse_i64(text).ok_or(NOT_INTEGER);
                Ok(Self::Rank(rank(min)?, rank(max)?))
            }
            By::Score => score_range(min, max).map(Self::Score),
            By::Lex => lex_range(min, max).map(Self::Lex),
        }
    }

    /// The ranks of the members. Where ranks are given, they are counted from the end if `reverse`.
    pub(super) fn ranks(&self, zset: &SortedSet, reverse: bool) -> Range<usize> {
        match self {
            Self::Rank(start, stop) => {
                let ranks = within(*start, *stop, zset.len());
                if reverse { zset.len() - ranks.end..zset.len() - ranks.start } else { ranks }
            }
            Self::Score(range) => zset.ranks_by_score(range),
            Self::Lex(range) => zset.ranks_by_lex(range),
        }
    }
}

/// The part of `0..len` from `start` to `stop` inclusive.
fn within(start: i64, stop: i64, len: usize) -> Range<usize> {
    let from_end = |rank: i64| if rank < 0 { rank.saturating_add(len as i64).max(-1) } else { rank };
    let start = from_end(start).max(0) as usize;
    // The member after the last; a `stop` before the first member leaves nothing.
    let end = (from_end(stop).saturating_add(1) as usize).min(len);
    if start < end { start..end } else { 0..0 }
}

/// Reads a range of scores: numbers, those behind a `(` excluded.
pub(super) fn score_range(min: &[u8], max: &[u8]) -> Result<ScoreRange> {
    let bound = |text: &[u8]| {
        let (exclusive, number) = match text {
            [b'(', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        number::parse_bound(number).map(|score| (score, exclusive))
    };
    let range = bound(min).zip(bound(max)).map(|((min, min_exclusive), (max, max_exclusive))| ScoreRange {
        min,
        max,
        min_exclusive,
        max_exclusive,
    });
    range.ok_or_else(|| Error::new("ERR min or max is not a float"))
}

/// Reads a range of members: `-`, `+`, `[member` or `(member`.
pub(super) fn lex_range<'a>(min: &'a [u8], max: &'a [u8]) -> Result<LexRange<'a>> {
    let bound = |text: &'a [u8]| match text {
        // Behind a NUL Redis sees nothing.
        [b'-'] | [b'-', 0, ..] => Some(LexBound::Lowest),
        [b'+'] | [b'+', 0, ..] => Some(LexBound::Highest),
        [b'[', member @ ..] => Some(LexBound::Inclusive(member)),
        [b'(', member @ ..] => Some(LexBound::Exclusive(member)),
        _ => None,
    };
    let range = bound(min).zip(bound(max)).map(|(min, max)| LexRange { min, max });
    range.ok_or_else(|| Error::new("ERR min or max not valid string range item"))
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn ranks_count_from_either_end() {
        let check = |start, stop, expected| assert_eq!(within(start, stop, 5), expected, "{start} {stop}");
        check(0, -1, 0..5);
        check(1, 2, 1..3);
        check(-2, -1, 3..5);
        check(-100, 100, 0..5);
        check(i64::MIN, i64::MAX, 0..5);
        check(-100, -6, 0..0);
        check(0, -6, 0..0);
        check(3, 2, 0..0);
        check(5, 9, 0..0);
        check(i64::MAX, i64::MAX, 0..0);
        check(0, i64::MIN, 0..0);
        assert_eq!(within(0, -1, 0), 0..0);
    }
}
