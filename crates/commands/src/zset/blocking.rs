//! The sorted set commands that wait: BZPOPMIN, BZPOPMAX, BZMPOP.
//!
//! Each tries what its relative does at once; if there is nothing, its client is parked. Whoever adds a member later
//! serves it with the same operation, from the key that has changed.

use store::value::zset::SortedSet;

use super::WHERE;
use super::take::{End, MultiPop, Pop};
use crate::blocking::{Block, Blocking, Served, Serving, deadline};
use crate::call::Call;
use crate::effect::Effect;
use crate::error::Result;
use crate::reply::Reply;
use crate::spec::flag::*;
use crate::spec::{Arg, Group, KeySpec, Spec};

const POP_MIN: Blocking = Blocking::on(serve_min);
const POP_MAX: Blocking = Blocking::on(serve_max);
const MULTI_POP: Blocking = Blocking::on(serve_multi_pop);

fn bzpopmin(call: &mut Call<'_>) -> Result<Effect> {
    pop(call, End::Min)
}

fn bzpopmax(call: &mut Call<'_>) -> Result<Effect> {
    pop(call, End::Max)
}

fn pop(call: &mut Call<'_>, end: End) -> Result<Effect> {
    let last = call.args.len() - 1;
    let deadline_ms = deadline(call, call.arg(last))?;
    let pop = Pop { end, count: 1 };
    for key in call.args.from(1).take(last - 1) {
        if pop.take(&mut call.keys, key, false, call.out, |out, _| name(out, key))?.is_some() {
            return Ok(pop.took(key, 1));
        }
    }
    Ok(Block::effect(1..last, deadline_ms))
}

/// BZPOPMIN and BZPOPMAX answer with the key before the member and its score.
fn name(out: &mut Reply, key: &[u8]) {
    out.array(3);
    out.bulk(key);
}

fn serve_min(serving: &mut Serving<'_, '_>, key: &[u8]) -> Result<Served> {
    serve_pop(serving, key, End::Min)
}

fn serve_max(serving: &mut Serving<'_, '_>, key: &[u8]) -> Result<Served> {
    serve_pop(serving, key, End::Max)
}

fn serve_pop(serving: &mut Serving<'_, '_>, key: &[u8], end: End) -> Result<Served> {
    if !serving.claim_from::<SortedSet>(key) {
        return Ok(Served::No);
    }
    let pop = Pop { end, count: 1 };
    pop.take(serving.keys, key, false, serving.out, |out, _| name(out, key))?;
    Ok(Served::Yes(pop.took(key, 1)))
}

fn bzmpop(call: &mut Call<'_>) -> Result<Effect> {
    let MultiPop { keys, pop } = MultiPop::parse(call.args, 2)?;
    let deadline_ms = deadline(call, call.arg(1))?;
    let candidates = call.args.from(keys.start).take(keys.len());
    match pop.take_first(&mut call.keys, candidates, call.out)? {
        Some((key, taken)) => Ok(pop.took(key, taken)),
        None => Ok(Block::effect(keys, deadline_ms)),
    }
}

fn serve_multi_pop(serving: &mut Serving<'_, '_>, key: &[u8]) -> Result<Served> {
    let MultiPop { pop, .. } = MultiPop::parse(serving.args, 2)?;
    if !serving.claim_from::<SortedSet>(key) {
        return Ok(Served::No);
    }
    let taken = pop.take_first(serving.keys, [key], serving.out)?;
    Ok(Served::Yes(taken.map_or(Effect::None, |(key, taken)| pop.took(key, taken))))
}

/// The rows of these commands.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("bzpopmin", -3, WRITE | BLOCKING | FAST, Group::SortedSet, bzpopmin)
        .docs("Takes the member with the lowest score of the first sorted set that has one, waiting for it if need be.", "5.0.0", "O(log(N)) with N being the number of elements in the sorted set.")
        .blocking(&POP_MIN)
        .keys(&[KeySpec::range(1, -2, 1, &["RW", "access", "delete"])])
        .args(&[
            Arg::key("key").multiple(),
            Arg::double("timeout"),
        ]),
    Spec::new("bzpopmax", -3, WRITE | BLOCKING | FAST, Group::SortedSet, bzpopmax)
        .docs("Takes the member with the highest score of the first sorted set that has one, waiting for it if need be.", "5.0.0", "O(log(N)) with N being the number of elements in the sorted set.")
        .blocking(&POP_MAX)
        .keys(&[KeySpec::range(1, -2, 1, &["RW", "access", "delete"])])
        .args(&[
            Arg::key("key").multiple(),
            Arg::double("timeout"),
        ]),
    Spec::new("bzmpop", -5, WRITE | BLOCKING | MOVABLEKEYS, Group::SortedSet, bzmpop)
        .docs("Takes members from the first sorted set that has some, waiting for them if need be.", "7.0.0", "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the number of elements popped.")
        .blocking(&MULTI_POP)
        .keys(&[KeySpec::counted(2, &["RW", "access", "delete"])])
        .args(&[
            Arg::double("timeout"),
            Arg::integer("numkeys"),
            Arg::key("key").multiple(),
            WHERE,
            Arg::integer("count").token("COUNT").optional(),
        ]),
];
