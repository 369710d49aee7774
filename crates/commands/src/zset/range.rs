//! ZRANGE and its many older forms, ZRANGESTORE, and the removal of ranges.
//!
//! All of them turn what they are given into ranks first; an offset and a limit then only move the ends.

use std::ops::Range;

use store::value::Encoding;
use store::value::zset::{AddFlags, SortedSet};

use super::bounds::{Bounds, By};
use super::{answer, delete_if, store};
use crate::args::Args;
use crate::call::Call;
use crate::effect::{Class, Effect};
use crate::error::{Error, NOT_INTEGER, Result, SYNTAX};
use crate::number;

pub(super) fn zrange(call: &mut Call<'_>) -> Result<Effect> {
    range(call, Form { by: None, reverse: None })
}

pub(super) fn zrangebyscore(call: &mut Call<'_>) -> Result<Effect> {
    range(call, Form { by: Some(By::Score), reverse: Some(false) })
}

pub(super) fn zrangebylex(call: &mut Call<'_>) -> Result<Effect> {
    range(call, Form { by: Some(By::Lex), reverse: Some(false) })
}

pub(super) fn zrevrange(call: &mut Call<'_>) -> Result<Effect> {
    range(call, Form { by: Some(By::Rank), reverse: Some(true) })
}

pub(super) fn zrevrangebyscore(call: &mut Call<'_>) -> Result<Effect> {
    range(call, Form { by: Some(By::Score), reverse: Some(true) })
}

pub(super) fn zrevrangebylex(call: &mut Call<'_>) -> Result<Effect> {
    range(call, Form { by: Some(By::Lex), reverse: Some(true) })
}

/// What a command's name says already; the rest is said by options.
#[derive(Clone, Copy)]
struct Form {
    by: Option<By>,
    reverse: Option<bool>,
}

/// What is asked of one sorted set.
struct Query<'a> {
    bounds: Bounds<'a>,
    reverse: bool,
    /// Members of the range to pass over; see [`Self::passed_over`] for what a negative number means.
    offset: i64,
    /// Members at most; no limit if it is negative.
    limit: i64,
    with_scores: bool,
}

impl<'a> Query<'a> {
    /// Reads the ends at `at` and behind it, and the options behind these.
    fn parse(args: Args<'a>, at: usize, form: Form, stores: bool) -> Result<Self> {
        let Form { mut by, mut reverse } = form;
        let (mut offset, mut limit, mut with_scores) = (0, -1, false);
        let mut index = at + 2;
        while index < args.len() {
            let is = |word| args.is(index, word);
            if is("WITHSCORES") && !stores {
                with_scores = true;
            } else if is("LIMIT") && index + 2 < args.len() {
                let int = |index| number::parse_i64(args.get(index)).ok_or(NOT_INTEGER);
                (offset, limit) = (int(index + 1)?, int(index + 2)?);
                index += 2;
            } else if is("REV") && reverse.is_none() {
                reverse = Some(true);
            } else if is("BYLEX") && by.is_none() {
                by = Some(By::Lex);
            } else if is("BYSCORE") && by.is_none() {
                by = Some(By::Score);
            } else {
                return Err(SYNTAX);
            }
            index += 1;
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        if limit != -1 && by == By::Rank {
            return Err(Error::new(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if with_scores && by == By::Lex {
            return Err(Error::new("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        let (mut min, mut max) = (args.get(at), args.get(at + 1));
        if reverse && by != By::Rank {
            (min, max) = (max, min);
        }
        Ok(Self { bounds: Bounds::parse(by, min, max)?, reverse, offset, limit, with_scores })
    }

    /// How many of a range's `len` members to pass over; `None` leaves nothing. What a negative offset means depends on
    /// the form, as in Redis 8.0: it counts from the end of the walk in the general one and leaves nothing in the small one.
    fn passed_over(&self, zset: &SortedSet, len: usize) -> Option<usize> {
        match usize::try_from(self.offset) {
            Ok(offset) => Some(offset.min(len)),
            Err(_) if zset.encoding() == Encoding::Listpack => None,
            Err(_) => len.checked_sub(usize::try_from(self.offset.unsigned_abs()).ok()?),
        }
    }

    /// The ranks of the members that are wanted.
    fn ranks(&self, zset: &SortedSet) -> Range<usize> {
        let ranks = self.bounds.ranks(zset, self.reverse);
        let Some(offset) = self.passed_over(zset, ranks.len()) else { return 0..0 };
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let len = limit.min(ranks.len() - offset);
        if self.reverse {
            let end = ranks.end - offset;
            end - len..end
        } else {
            let start = ranks.start + offset;
            start..start + len
        }
    }
}

fn range(call: &mut Call<'_>, form: Form) -> Result<Effect> {
    let query = Query::parse(call.args, 2, form, false)?;
    let Some(zset) = call.keys.value::<SortedSet>(call.args.get(1))? else {
        call.out.array(0);
        return Ok(Effect::None);
    };
    let members = zset.range(query.ranks(zset));
    if query.reverse {
        answer(call.out, members.rev(), query.with_scores);
    } else {
        answer(call.out, members, query.with_scores);
    }
    Ok(Effect::None)
}

pub(super) fn zrangestore(call: &mut Call<'_>) -> Result<Effect> {
    let query = Query::parse(call.args, 3, Form { by: None, reverse: None }, true)?;
    let (destination, source, limits) = (call.arg(1), call.arg(2), &*call.env.limits);
    // First as a write, which takes an expired source out; then as the read that it is.
    call.keys.write(source);
    let mut result = SortedSet::new();
    if let Some(zset) = call.keys.value::<SortedSet>(source)? {
        let ranks = query.ranks(zset);
        // A number of ranks is known beforehand and decides the first form; that of other ranges is not.
        if matches!(query.bounds, Bounds::Rank(..)) {
            result.prepare(ranks.len(), limits);
        }
        let mut text = itoa::Buffer::new();
        for (member, score) in zset.range(ranks) {
            result.add(member.bytes(&mut text), score, AddFlags::empty(), limits);
        }
    }
    store(call, destination, result, "zrangestore")
}

pub(super) fn zremrangebyrank(call: &mut Call<'_>) -> Result<Effect> {
    remove(call, By::Rank, "zremrangebyrank")
}

pub(super) fn zremrangebyscore(call: &mut Call<'_>) -> Result<Effect> {
    remove(call, By::Score, "zremrangebyscore")
}

pub(super) fn zremrangebylex(call: &mut Call<'_>) -> Result<Effect> {
    remove(call, By::Lex, "zremrangebylex")
}

fn remove(call: &mut Call<'_>, by: By, event: &'static str) -> Result<Effect> {
    let (key, bounds) = (call.arg(1), Bounds::parse(by, call.arg(2), call.arg(3))?);
    let Some(mut zset) = call.keys.value_mut::<SortedSet>(key)? else {
        call.out.int(0);
        return Ok(Effect::None);
    };
    let ranks = bounds.ranks(&zset, false);
    let removed = zset.remove_range(ranks);
    let emptied = zset.is_empty();
    drop(zset);
    if removed > 0 {
        call.keys.changed(key, Class::ZSET, event);
        call.keys.add_dirty(removed as u64 - 1);
        delete_if(emptied, &mut call.keys, key);
    }
    call.out.len(removed);
    Ok(Effect::as_is_if(removed > 0))
}

pub(super) fn zcount(call: &mut Call<'_>) -> Result<Effect> {
    count(call, By::Score)
}

pub(super) fn zlexcount(call: &mut Call<'_>) -> Result<Effect> {
    count(call, By::Lex)
}

fn count(call: &mut Call<'_>, by: By) -> Result<Effect> {
    let bounds = Bounds::parse(by, call.arg(2), call.arg(3))?;
    let zset = call.keys.value::<SortedSet>(call.args.get(1))?;
    call.out.len(zset.map_or(0, |zset| bounds.ranks(zset, false).len()));
    Ok(Effect::None)
}
