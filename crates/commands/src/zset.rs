//! Sorted sets: members one by one. Ranges are in `zset/range.rs`, what combines several keys in `zset/algebra.rs`, what
//! takes members from an end in `zset/take.rs`.

use smallvec::SmallVec;
use store::entry::Entry;
use store::value::Limits;
use store::value::listpack::Item;
use store::value::zset::{AddFlags, Added, SortedSet};

use crate::args::Args;
use crate::call::Call;
use crate::effect::{Class, Effect};
use crate::error::{Error, NOT_FLOAT, Result, SYNTAX, WRONG_TYPE};
use crate::keys::Keys;
use crate::number;
use crate::reply::Reply;
use crate::spec::common::LIMIT;
use crate::spec::flag::*;
use crate::spec::{Arg, ArgKind, Group, KeySpec, Spec};

mod algebra;
pub(crate) mod blocking;
mod bounds;
mod chance;
mod range;
mod scan;
pub(crate) mod take;

use algebra::{zdiff, zdiffstore, zinter, zintercard, zinterstore, zunion, zunionstore};
use chance::zrandmember;
use range::{
    zcount, zlexcount, zrange, zrangebylex, zrangebyscore, zrangestore, zremrangebylex, zremrangebyrank,
    zremrangebyscore, zrevrange, zrevrangebylex, zrevrangebyscore,
};
use scan::zscan;
use take::{zmpop, zpopmax, zpopmin};

/// Scores of a ZADD that are parsed without an allocation.
const SCORES_INLINE: usize = 4;

/// What ZADD and ZINCRBY are told.
pub(crate) struct Addition<'a> {
    /// What is done with which members.
    pub(crate) flags: AddFlags,
    /// Count changed members too (CH).
    pub(crate) count_changes: bool,
    /// Scores and members.
    pub(crate) pairs: SmallVec<[(f64, &'a [u8]); SCORES_INLINE]>,
}

impl<'a> Addition<'a> {
    fn parse(args: Args<'a>, flags: AddFlags) -> Result<Self> {
        const WORDS: [(&str, AddFlags); 5] = [
            ("NX", AddFlags::NX),
            ("XX", AddFlags::XX),
            ("GT", AddFlags::GT),
            ("LT", AddFlags::LT),
            ("INCR", AddFlags::INCR),
        ];
        let (mut flags, mut count_changes, mut index) = (flags, false, 2);
        // Scores begin with no letter, but for an infinite one.
        while index < args.len() && args.get(index).first().is_some_and(u8::is_ascii_alphabetic) {
            if args.is(index, "CH") {
                count_changes = true;
            } else if let Some((_, flag)) = WORDS.iter().find(|(word, _)| args.is(index, word)) {
                flags |= *flag;
            } else {
                break;
            }
            index += 1;
        }
        let rest = args.len() - index;
        if rest == 0 || !rest.is_multiple_of(2) {
            return Err(SYNTAX);
        }
        if flags.contains(AddFlags::NX | AddFlags::XX) {
            return Err(Error::new("ERR XX and NX options at the same time are not compatible"));
        }
        if (flags & (AddFlags::GT | AddFlags::LT | AddFlags::NX)).bits().count_ones() > 1 {
            return Err(Error::new("ERR GT, LT, and/or NX options at the same time are not compatible"));
        }
        if flags.contains(AddFlags::INCR) && rest > 2 {
            return Err(Error::new("ERR INCR option supports a single increment-element pair"));
        }
        let mut pairs = SmallVec::with_capacity(rest / 2);
        for (score, member) in args.pairs(index) {
            pairs.push((number::parse_f64(score).ok_or(NOT_FLOAT)?, member));
        }
        Ok(Self { flags, count_changes, pairs })
    }

    /// Makes a sorted set of it, where there is none; no condition forbids that.
    fn create(&self, limits: &Limits) -> Result<(SortedSet, Tally)> {
        let (first, later) = self.pairs.split_first().ok_or(SYNTAX)?;
        let mut zset = SortedSet::starting_with(*first, later.iter().copied(), limits);
        let tally = Tally { added: 1, updated: 0, score: Some(first.0) };
        let tally = self.apply(later, &mut zset, tally, limits)?;
        Ok((zset, tally))
    }

    /// Adds some of the members to those that are counted already.
    fn apply(&self, pairs: &[(f64, &[u8])], zset: &mut SortedSet, mut tally: Tally, limits: &Limits) -> Result<Tally> {
        for (score, member) in pairs {
            match zset.add(member, *score, self.flags, limits) {
                Added::New(score) => (tally.added, tally.score) = (tally.added + 1, Some(score)),
                Added::Updated(score) => (tally.updated, tally.score) = (tally.updated + 1, Some(score)),
                Added::Same(score) => tally.score = Some(score),
                Added::Refused => {}
                // Only an increment can do this, and an increment comes alone: nothing has changed.
                Added::NotANumber => return Err(Error::new("ERR resulting score is not a number (NaN)")),
            }
        }
        Ok(tally)
    }
}

/// What became of the members.
#[derive(Default)]
struct Tally {
    added: usize,
    updated: usize,
    /// The score of the last member that was not refused.
    score: Option<f64>,
}

fn zadd(call: &mut Call<'_>) -> Result<Effect> {
    let addition = Addition::parse(call.args, AddFlags::empty())?;
    add(call, &addition).map(Effect::as_is_if)
}

fn zincrby(call: &mut Call<'_>) -> Result<Effect> {
    let addition = Addition::parse(call.args, AddFlags::INCR)?;
    add(call, &addition).map(Effect::as_is_if)
}

/// Adds to the sorted set under the first argument and answers; tells whether anything has changed.
pub(crate) fn add(call: &mut Call<'_>, addition: &Addition<'_>) -> Result<bool> {
    let (key, limits, incr) = (call.arg(1), &*call.env.limits, addition.flags.contains(AddFlags::INCR));
    let tally = match call.keys.write(key) {
        Some(entry) => {
            let mut zset = entry.into_value::<SortedSet>().ok_or(WRONG_TYPE)?;
            zset.prepare(addition.pairs.len(), limits);
            addition.apply(&addition.pairs, &mut zset, Tally::default(), limits)?
        }
        None if addition.flags.contains(AddFlags::XX) => Tally::default(),
        None => {
            let (zset, tally) = addition.create(limits)?;
            call.keys.insert(key, Entry::boxed(key, zset, None));
            tally
        }
    };
    let changes = tally.added + tally.updated;
    if changes > 0 {
        call.keys.changed(key, Class::ZSET, if incr { "zincr" } else { "zadd" });
        call.keys.add_dirty(changes as u64 - 1);
    }
    match tally.score {
        Some(score) if incr => call.out.double(score),
        None if incr => call.out.null(),
        _ => call.out.len(if addition.count_changes { changes } else { tally.added }),
    }
    Ok(changes > 0)
}

fn zrem(call: &mut Call<'_>) -> Result<Effect> {
    let (key, members) = (call.arg(1), call.args.from(2));
    let Some(mut zset) = call.keys.value_mut::<SortedSet>(key)? else {
        call.out.int(0);
        return Ok(Effect::None);
    };
    let removed = members.filter(|member| zset.remove(member).is_some()).count();
    let emptied = zset.is_empty();
    drop(zset);
    if removed > 0 {
        call.keys.changed(key, Class::ZSET, "zrem");
        call.keys.add_dirty(removed as u64 - 1);
        delete_if(emptied, &mut call.keys, key);
    }
    call.out.len(removed);
    Ok(Effect::as_is_if(removed > 0))
}

/// Deletes a key whose sorted set has been emptied by a change that is counted already.
fn delete_if(emptied: bool, keys: &mut Keys<'_>, key: &[u8]) {
    if emptied {
        keys.delete(key);
        keys.event(key, Class::GENERIC, "del");
    }
}

/// Puts a result in the place of whatever the destination held, and answers with its length; an empty one only deletes.
pub(crate) fn store(call: &mut Call<'_>, destination: &[u8], result: SortedSet, event: &'static str) -> Result<Effect> {
    let len = result.len();
    call.out.len(len);
    if len > 0 {
        call.keys.put(destination, Entry::boxed(destination, result, None));
        call.keys.changed(destination, Class::ZSET, event);
    } else if call.keys.delete(destination) {
        call.keys.changed(destination, Class::GENERIC, "del");
    } else {
        return Ok(Effect::None);
    }
    Ok(Effect::AsIs)
}

/// Answers with members, and with their scores if they are wanted: flat in RESP2, as pairs in RESP3.
fn answer<'a>(out: &mut Reply, members: impl ExactSizeIterator<Item = (Item<'a>, f64)>, with_scores: bool) {
    let flat = 1 + usize::from(with_scores && !out.resp3());
    out.array(members.len() * flat);
    members.for_each(|(member, score)| show(out, member, score, with_scores));
}

fn show(out: &mut Reply, member: Item<'_>, score: f64, with_score: bool) {
    if with_score && out.resp3() {
        out.array(2);
    }
    out.item(member);
    if with_score {
        out.double(score);
    }
}

fn zcard(call: &mut Call<'_>) -> Result<Effect> {
    let len = call.keys.value::<SortedSet>(call.args.get(1))?.map_or(0, SortedSet::len);
    call.out.len(len);
    Ok(Effect::None)
}

fn zscore(call: &mut Call<'_>) -> Result<Effect> {
    let member = call.arg(2);
    match call.keys.value::<SortedSet>(call.args.get(1))?.and_then(|zset| zset.score(member)) {
        Some(score) => call.out.double(score),
        None => call.out.null(),
    }
    Ok(Effect::None)
}

fn zmscore(call: &mut Call<'_>) -> Result<Effect> {
    let members = call.args.from(2);
    let zset = call.keys.value::<SortedSet>(call.args.get(1))?;
    call.out.array(members.len());
    for member in members {
        match zset.and_then(|zset| zset.score(member)) {
            Some(score) => call.out.double(score),
            None => call.out.null(),
        }
    }
    Ok(Effect::None)
}

fn zrank(call: &mut Call<'_>) -> Result<Effect> {
    rank(call, false)
}

fn zrevrank(call: &mut Call<'_>) -> Result<Effect> {
    rank(call, true)
}

fn rank(call: &mut Call<'_>, reverse: bool) -> Result<Effect> {
    let with_score = match call.args.len() {
        3 => false,
        4 if call.args.is(3, "WITHSCORE") => true,
        4 => return Err(SYNTAX),
        _ => return Err(call.wrong_arity()),
    };
    let member = call.arg(2);
    let zset = call.keys.value::<SortedSet>(call.args.get(1))?;
    let found = zset.and_then(|zset| {
        let (rank, score) = zset.rank(member)?;
        Some((if reverse { zset.len() - 1 - rank } else { rank }, score))
    });
    match found {
        Some((rank, score)) if with_score => {
            call.out.array(2);
            call.out.len(rank);
            call.out.double(score);
        }
        Some((rank, _)) => call.out.len(rank),
        None if with_score => call.out.null_array(),
        None => call.out.null(),
    }
    Ok(Effect::None)
}

const AGGREGATE: Arg =
    Arg::one_of("aggregate", &[Arg::word("sum", "SUM"), Arg::word("min", "MIN"), Arg::word("max", "MAX")])
        .token("AGGREGATE")
        .optional();
/// Which end ZMPOP and BZMPOP take from.
pub(super) const WHERE: Arg = Arg::one_of("where", &[Arg::word("min", "MIN"), Arg::word("max", "MAX")]);

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("zadd", -4, WRITE | DENYOOM | FAST, Group::SortedSet, zadd)
        .docs("Adds members with their scores, or changes the scores; a missing key starts as the empty sorted set.", "1.2.0", "O(log(N)) for each item added, where N is the number of elements in the sorted set.")
        .keys(&[KeySpec::one(1, &["RW", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::one_of("condition", &[
                Arg::word("nx", "NX"),
                Arg::word("xx", "XX"),
            ]).optional().since("3.0.2"),
            Arg::one_of("comparison", &[
                Arg::word("gt", "GT"),
                Arg::word("lt", "LT"),
            ]).optional().since("6.2.0"),
            Arg::word("change", "CH").optional().since("3.0.2"),
            Arg::word("increment", "INCR").optional().since("3.0.2"),
            Arg::block("data", &[
                Arg::double("score"),
                Arg::string("member"),
            ]).multiple(),
        ]),
    Spec::new("zcard", 2, READONLY | FAST, Group::SortedSet, zcard)
        .docs("Counts the members of a sorted set.", "1.2.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RO"])])
        .args(&[
            Arg::key("key"),
        ]),
    Spec::new("zcount", 4, READONLY | FAST, Group::SortedSet, zcount)
        .docs("Counts the members whose scores lie in a range.", "2.0.0", "O(log(N)) with N being the number of elements in the sorted set.")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::double("min"),
            Arg::double("max"),
        ]),
    Spec::new("zdiff", -3, READONLY | MOVABLEKEYS, Group::SortedSet, zdiff)
        .docs("Returns the members of the first sorted set that no other has.", "6.2.0", "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the first set, and K is the size of the result set.")
        .keys(&[KeySpec::counted(1, &["RO", "access"])])
        .args(&[
            Arg::integer("numkeys"),
            Arg::key("key").multiple(),
            Arg::word("withscores", "WITHSCORES").optional(),
        ]),
    Spec::new("zdiffstore", -4, WRITE | DENYOOM | MOVABLEKEYS, Group::SortedSet, zdiffstore)
        .docs("Stores the members of the first sorted set that no other has.", "6.2.0", "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the first set, and K is the size of the result set.")
        .keys(&[KeySpec::one(1, &["OW", "update"]), KeySpec::counted(2, &["RO", "access"])])
        .args(&[
            Arg::key("destination"),
            Arg::integer("numkeys"),
            Arg::key("key").key_spec(1).multiple(),
        ]),
    Spec::new("zincrby", 4, WRITE | DENYOOM | FAST, Group::SortedSet, zincrby)
        .docs("Adds to a member's score; a missing member starts with none.", "1.2.0", "O(log(N)) where N is the number of elements in the sorted set.")
        .keys(&[KeySpec::one(1, &["RW", "access", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("increment"),
            Arg::string("member"),
        ]),
    Spec::new("zinter", -3, READONLY | MOVABLEKEYS, Group::SortedSet, zinter)
        .docs("Returns the members that all sorted sets have.", "6.2.0", "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M being the number of elements in the resulting sorted set.")
        .keys(&[KeySpec::counted(1, &["RO", "access"])])
        .args(&[
            Arg::integer("numkeys"),
            Arg::key("key").multiple(),
            Arg::integer("weight").token("WEIGHTS").multiple().optional(),
            AGGREGATE,
            Arg::word("withscores", "WITHSCORES").optional(),
        ]),
    Spec::new("zintercard", -3, READONLY | MOVABLEKEYS, Group::SortedSet, zintercard)
        .docs("Counts the members that all sorted sets have, up to a limit.", "7.0.0", "O(N*K) worst case with N being the smallest input sorted set, K being the number of input sorted sets.")
        .keys(&[KeySpec::counted(1, &["RO", "access"])])
        .args(&[
            Arg::integer("numkeys"),
            Arg::key("key").multiple(),
            Arg::integer("limit").token("LIMIT").optional(),
        ]),
    Spec::new("zinterstore", -4, WRITE | DENYOOM | MOVABLEKEYS, Group::SortedSet, zinterstore)
        .docs("Stores the members that all sorted sets have.", "2.0.0", "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M being the number of elements in the resulting sorted set.")
        .keys(&[KeySpec::one(1, &["OW", "update"]), KeySpec::counted(2, &["RO", "access"])])
        .args(&[
            Arg::key("destination"),
            Arg::integer("numkeys"),
            Arg::key("key").key_spec(1).multiple(),
            Arg::integer("weight").token("WEIGHTS").multiple().optional(),
            AGGREGATE,
        ]),
    Spec::new("zlexcount", 4, READONLY | FAST, Group::SortedSet, zlexcount)
        .docs("Counts the members in a range of bytes.", "2.8.9", "O(log(N)) with N being the number of elements in the sorted set.")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::string("min"),
            Arg::string("max"),
        ]),
    Spec::new("zmpop", -4, WRITE | MOVABLEKEYS, Group::SortedSet, zmpop)
        .docs("Removes and returns members from an end of the first sorted set of several that is there.", "7.0.0", "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the number of elements popped.")
        .keys(&[KeySpec::counted(1, &["RW", "access", "delete"])])
        .args(&[
            Arg::integer("numkeys"),
            Arg::key("key").multiple(),
            WHERE,
            Arg::integer("count").token("COUNT").optional(),
        ]),
    Spec::new("zmscore", -3, READONLY | FAST, Group::SortedSet, zmscore)
        .docs("Returns the scores of several members.", "6.2.0", "O(N) where N is the number of members being requested.")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::string("member").multiple(),
        ]),
    Spec::new("zpopmax", -2, WRITE | FAST, Group::SortedSet, zpopmax)
        .docs("Removes and returns the members with the highest scores.", "5.0.0", "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.")
        .keys(&[KeySpec::one(1, &["RW", "access", "delete"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("count").optional(),
        ]),
    Spec::new("zpopmin", -2, WRITE | FAST, Group::SortedSet, zpopmin)
        .docs("Removes and returns the members with the lowest scores.", "5.0.0", "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.")
        .keys(&[KeySpec::one(1, &["RW", "access", "delete"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("count").optional(),
        ]),
    Spec::new("zrandmember", -2, READONLY, Group::SortedSet, zrandmember)
        .docs("Returns members chosen by chance.", "6.2.0", "O(N) where N is the number of members returned")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .tips(&["nondeterministic_output"])
        .args(&[
            Arg::key("key"),
            Arg::block("options", &[
                Arg::integer("count"),
                Arg::word("withscores", "WITHSCORES").optional(),
            ]).optional(),
        ]),
    Spec::new("zrange", -4, READONLY, Group::SortedSet, zrange)
        .docs("Returns the members in a range of ranks, of scores or of bytes.", "1.2.0", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::string("start"),
            Arg::string("stop"),
            Arg::one_of("sortby", &[
                Arg::word("byscore", "BYSCORE"),
                Arg::word("bylex", "BYLEX"),
            ]).optional().since("6.2.0"),
            Arg::word("rev", "REV").optional().since("6.2.0"),
            Arg::block("limit", &[
                Arg::integer("offset"),
                Arg::integer("count"),
            ]).token("LIMIT").optional().since("6.2.0"),
            Arg::word("withscores", "WITHSCORES").optional(),
        ]),
    Spec::new("zrangebylex", -4, READONLY, Group::SortedSet, zrangebylex)
        .docs("Returns the members in a range of bytes.", "2.8.9", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).")
        .deprecated("6.2.0", "`ZRANGE` with the `BYLEX` argument")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::string("min"),
            Arg::string("max"),
            LIMIT,
        ]),
    Spec::new("zrangebyscore", -4, READONLY, Group::SortedSet, zrangebyscore)
        .docs("Returns the members whose scores lie in a range.", "1.0.5", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).")
        .deprecated("6.2.0", "`ZRANGE` with the `BYSCORE` argument")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::double("min"),
            Arg::double("max"),
            Arg::word("withscores", "WITHSCORES").optional().since("2.0.0"),
            LIMIT,
        ]),
    Spec::new("zrangestore", -5, WRITE | DENYOOM, Group::SortedSet, zrangestore)
        .docs("Stores the members in a range of another sorted set.", "6.2.0", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements stored into the destination key.")
        .keys(&[KeySpec::one(1, &["OW", "update"]), KeySpec::one(2, &["RO", "access"])])
        .args(&[
            Arg::key("dst"),
            Arg::key("src").key_spec(1),
            Arg::string("min"),
            Arg::string("max"),
            Arg::one_of("sortby", &[
                Arg::word("byscore", "BYSCORE"),
                Arg::word("bylex", "BYLEX"),
            ]).optional(),
            Arg::word("rev", "REV").optional(),
            LIMIT,
        ]),
    Spec::new("zrank", -3, READONLY | FAST, Group::SortedSet, zrank)
        .docs("Returns a member's rank by ascending scores.", "2.0.0", "O(log(N))")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::string("member"),
            Arg::word("withscore", "WITHSCORE").optional(),
        ]),
    Spec::new("zrem", -3, WRITE | FAST, Group::SortedSet, zrem)
        .docs("Removes members of a sorted set.", "1.2.0", "O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be removed.")
        .keys(&[KeySpec::one(1, &["RW", "delete"])])
        .args(&[
            Arg::key("key"),
            Arg::string("member").multiple(),
        ]),
    Spec::new("zremrangebylex", 4, WRITE, Group::SortedSet, zremrangebylex)
        .docs("Removes the members in a range of bytes.", "2.8.9", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.")
        .keys(&[KeySpec::one(1, &["RW", "delete"])])
        .args(&[
            Arg::key("key"),
            Arg::string("min"),
            Arg::string("max"),
        ]),
    Spec::new("zremrangebyrank", 4, WRITE, Group::SortedSet, zremrangebyrank)
        .docs("Removes the members in a range of ranks.", "2.0.0", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.")
        .keys(&[KeySpec::one(1, &["RW", "delete"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("start"),
            Arg::integer("stop"),
        ]),
    Spec::new("zremrangebyscore", 4, WRITE, Group::SortedSet, zremrangebyscore)
        .docs("Removes the members whose scores lie in a range.", "1.2.0", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.")
        .keys(&[KeySpec::one(1, &["RW", "delete"])])
        .args(&[
            Arg::key("key"),
            Arg::double("min"),
            Arg::double("max"),
        ]),
    Spec::new("zrevrange", -4, READONLY, Group::SortedSet, zrevrange)
        .docs("Returns the members in a range of ranks, counted from the highest score.", "1.2.0", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.")
        .deprecated("6.2.0", "`ZRANGE` with the `REV` argument")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("start"),
            Arg::integer("stop"),
            Arg::word("withscores", "WITHSCORES").optional(),
        ]),
    Spec::new("zrevrangebylex", -4, READONLY, Group::SortedSet, zrevrangebylex)
        .docs("Returns the members in a range of bytes, the last first.", "2.8.9", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).")
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::string("max"),
            Arg::string("min"),
            LIMIT,
        ]),
    Spec::new("zrevrangebyscore", -4, READONLY, Group::SortedSet, zrevrangebyscore)
        .docs("Returns the members whose scores lie in a range, the highest first.", "2.2.0", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).")
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::double("max"),
            Arg::double("min"),
            Arg::word("withscores", "WITHSCORES").optional(),
            LIMIT,
        ]),
    Spec::new("zrevrank", -3, READONLY | FAST, Group::SortedSet, zrevrank)
        .docs("Returns a member's rank by descending scores.", "2.0.0", "O(log(N))")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::string("member"),
            Arg::word("withscore", "WITHSCORE").optional(),
        ]),
    Spec::new("zscan", -3, READONLY, Group::SortedSet, zscan)
        .docs("Goes through the members of a sorted set step by step.", "2.8.0", "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .tips(&["nondeterministic_output"])
        .args(&[
            Arg::key("key"),
            Arg::integer("cursor"),
            Arg::new("pattern", ArgKind::Pattern).token("MATCH").optional(),
            Arg::integer("count").token("COUNT").optional(),
        ]),
    Spec::new("zscore", 3, READONLY | FAST, Group::SortedSet, zscore)
        .docs("Returns a member's score.", "1.2.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::string("member"),
        ]),
    Spec::new("zunion", -3, READONLY | MOVABLEKEYS, Group::SortedSet, zunion)
        .docs("Returns the members that any of the sorted sets has.", "6.2.0", "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set.")
        .keys(&[KeySpec::counted(1, &["RO", "access"])])
        .args(&[
            Arg::integer("numkeys"),
            Arg::key("key").multiple(),
            Arg::integer("weight").token("WEIGHTS").multiple().optional(),
            AGGREGATE,
            Arg::word("withscores", "WITHSCORES").optional(),
        ]),
    Spec::new("zunionstore", -4, WRITE | DENYOOM | MOVABLEKEYS, Group::SortedSet, zunionstore)
        .docs("Stores the members that any of the sorted sets has.", "2.0.0", "O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set.")
        .keys(&[KeySpec::one(1, &["OW", "update"]), KeySpec::counted(2, &["RO", "access"])])
        .args(&[
            Arg::key("destination"),
            Arg::integer("numkeys"),
            Arg::key("key").key_spec(1).multiple(),
            Arg::integer("weight").token("WEIGHTS").multiple().optional(),
            AGGREGATE,
        ]),
];

#[cfg(test)]
mod tests;
