//! What takes members out of sorted sets: the operation behind ZPOPMIN, ZPOPMAX, ZMPOP and their blocking relatives.
//!
//! It knows keys and a reply, but no command and no client. So a command runs it for its own client, and whoever serves a
//! blocked client runs it for that one.

use std::ops::Range;

use store::value::zset::SortedSet;

use super::delete_if;
use crate::args::Args;
use crate::call::Call;
use crate::effect::{Class, Effect};
use crate::error::{Error, MUST_BE_POSITIVE, Result, SYNTAX};
use crate::keys::Keys;
use crate::number;
use crate::reply::Reply;

/// An end of a sorted set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The lowest scores.
    Min,
    /// The highest scores.
    Max,
}

impl End {
    fn parse(word: &[u8]) -> Result<Self> {
        if word.eq_ignore_ascii_case(b"MIN") {
            Ok(Self::Min)
        } else if word.eq_ignore_ascii_case(b"MAX") {
            Ok(Self::Max)
        } else {
            Err(SYNTAX)
        }
    }

    fn popped(self) -> &'static str {
        match self {
            Self::Min => "zpopmin",
            Self::Max => "zpopmax",
        }
    }
}

/// What is to be taken from a sorted set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pop {
    /// The end to take from.
    pub(crate) end: End,
    /// Members at most.
    pub(crate) count: usize,
}

impl Pop {
    /// Takes members out of the sorted set under `key`. Answers what `head` answers for their number, then each member and
    /// its score, outermost first, as a pair of its own if `paired`. Returns that number; `None` without an answer if the key
    /// is missing.
    pub(crate) fn take(
        self,
        keys: &mut Keys<'_>,
        key: &[u8],
        paired: bool,
        out: &mut Reply,
        head: impl FnOnce(&mut Reply, usize),
    ) -> Result<Option<usize>> {
        let Some(mut zset) = keys.value_mut::<SortedSet>(key)? else { return Ok(None) };
        let taken = self.count.min(zset.len());
        head(out, taken);
        if taken == 0 {
            return Ok(Some(0));
        }
        let mut show = |(member, score)| {
            if paired {
                out.array(2);
            }
            out.item(member);
            out.double(score);
        };
        let ranks = match self.end {
            End::Min => 0..taken,
            End::Max => zset.len() - taken..zset.len(),
        };
        let members = zset.range(ranks.clone());
        match self.end {
            End::Min => members.for_each(&mut show),
            End::Max => members.rev().for_each(&mut show),
        }
        zset.remove_range(ranks);
        let emptied = zset.is_empty();
        drop(zset);
        keys.changed(key, Class::ZSET, self.end.popped());
        keys.add_dirty(taken as u64 - 1);
        delete_if(emptied, keys, key);
        Ok(Some(taken))
    }

    /// Takes from the first of several keys that is there, and answers with the key and an array of pairs. Returns the key
    /// and their number; `None` without an answer if all are missing.
    pub(crate) fn take_first<'k>(
        self,
        keys: &mut Keys<'_>,
        candidates: impl IntoIterator<Item = &'k [u8]>,
        out: &mut Reply,
    ) -> Result<Option<(&'k [u8], usize)>> {
        for key in candidates {
            let head = |out: &mut Reply, taken| {
                out.array(2);
                out.bulk(key);
                out.array(taken);
            };
            if let Some(taken) = self.take(keys, key, true, out, head)? {
                return Ok(Some((key, taken)));
            }
        }
        Ok(None)
    }

    /// The effect of taking so many members from one key, wherever the choice of the key was made.
    pub(crate) fn took(self, key: &[u8], taken: usize) -> Effect {
        let name: &[u8] = if self.end == End::Min { b"ZPOPMIN" } else { b"ZPOPMAX" };
        Effect::rewritten([name, key, taken.to_string().as_bytes()])
    }
}

/// ZMPOP's arguments from the number of keys on; BZMPOP has the same behind its timeout.
pub(crate) struct MultiPop {
    /// Where the keys are among the arguments.
    pub(crate) keys: Range<usize>,
    /// What is to be taken from the first of them.
    pub(crate) pop: Pop,
}

impl MultiPop {
    /// Reads the arguments from the number of keys at `at` on.
    pub(crate) fn parse(args: Args<'_>, at: usize) -> Result<Self> {
        let numkeys = positive(args.get(at), "ERR numkeys should be greater than 0")?;
        let keys = at + 1..(at + 1).saturating_add(numkeys);
        let end = End::parse(args.opt(keys.end).ok_or(SYNTAX)?)?;
        let (mut count, mut index) = (None, keys.end + 1);
        while index < args.len() {
            if count.is_some() || !args.is(index, "COUNT") {
                return Err(SYNTAX);
            }
            count = Some(positive(args.opt(index + 1).ok_or(SYNTAX)?, "ERR count should be greater than 0")?);
            index += 2;
        }
        Ok(Self { keys, pop: Pop { end, count: count.unwrap_or(1) } })
    }
}

fn positive(text: &[u8], otherwise: &'static str) -> Result<usize> {
    let count = number::parse_i64(text).and_then(|count| usize::try_from(count).ok()).filter(|&count| count > 0);
    count.ok_or_else(|| Error::new(otherwise))
}

pub(super) fn zpopmin(call: &mut Call<'_>) -> Result<Effect> {
    pop(call, End::Min)
}

pub(super) fn zpopmax(call: &mut Call<'_>) -> Result<Effect> {
    pop(call, End::Max)
}

fn pop(call: &mut Call<'_>, end: End) -> Result<Effect> {
    let count = match call.args.len() {
        2 => None,
        3 => {
            let count = number::parse_i64(call.arg(2)).and_then(|count| usize::try_from(count).ok());
            Some(count.ok_or(MUST_BE_POSITIVE)?)
        }
        _ => return Err(SYNTAX),
    };
    // One member without a count is flat in RESP3 as well.
    let paired = call.out.resp3() && count.is_some();
    let pop = Pop { end, count: count.unwrap_or(1) };
    let head = |out: &mut Reply, taken: usize| out.array(if paired { taken } else { 2 * taken });
    let taken = pop.take(&mut call.keys, call.args.get(1), paired, call.out, head)?;
    if taken.is_none() {
        call.out.array(0);
    }
    Ok(Effect::as_is_if(taken.is_some_and(|taken| taken > 0)))
}

pub(super) fn zmpop(call: &mut Call<'_>) -> Result<Effect> {
    let MultiPop { keys, pop } = MultiPop::parse(call.args, 1)?;
    let candidates = call.args.from(keys.start).take(keys.len());
    match pop.take_first(&mut call.keys, candidates, call.out)? {
        Some((key, taken)) => Ok(pop.took(key, taken)),
        None => {
            call.out.null_array();
            Ok(Effect::None)
        }
    }
}
