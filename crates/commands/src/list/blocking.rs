//! The list commands that wait: BLPOP, BRPOP, BLMPOP, BLMOVE, BRPOPLPUSH.
//!
//! Each tries what its relative does at once; if there is nothing, its client is parked. Whoever pushes later serves it
//! with the same operation, from the key that has changed.

use store::value::list::{List, Side};

use super::take::{Move, Pop, side};
use super::{MultiPop, took};
use crate::args::Args;
use crate::blocking::{Block, Blocking, Nothing, Served, Serving, deadline};
use crate::call::Call;
use crate::effect::Effect;
use crate::error::Result;
use crate::reply::Reply;
use crate::spec::flag::*;
use crate::spec::{Arg, Group, KeySpec, Spec};

const POP_LEFT: Blocking = Blocking::on(serve_left);
const POP_RIGHT: Blocking = Blocking::on(serve_right);
const MULTI_POP: Blocking = Blocking::on(serve_multi_pop);
const MOVE: Blocking = Blocking { serve: serve_move, further: Some(|_| 2), nothing: Nothing::Value, on_no_key: false };

fn blpop(call: &mut Call<'_>) -> Result<Effect> {
    pop(call, Side::Left)
}

fn brpop(call: &mut Call<'_>) -> Result<Effect> {
    pop(call, Side::Right)
}

fn pop(call: &mut Call<'_>, side: Side) -> Result<Effect> {
    let last = call.args.len() - 1;
    let deadline_ms = deadline(call, call.arg(last))?;
    for key in call.args.from(1).take(last - 1) {
        let head = |out: &mut Reply, _| name(out, key);
        let limits = &call.env.limits;
        let pop = Pop { side, count: 1 };
        if pop.take(&mut call.keys, key, limits, call.out, head)?.is_some() {
            return Ok(popped(side, key));
        }
    }
    Ok(Block::effect(1..last, deadline_ms))
}

/// BLPOP and BRPOP answer with the key before the element.
fn name(out: &mut Reply, key: &[u8]) {
    out.array(2);
    out.bulk(key);
}

fn popped(side: Side, key: &[u8]) -> Effect {
    let name: &[u8] = if side == Side::Left { b"LPOP" } else { b"RPOP" };
    Effect::rewritten([name, key])
}

fn serve_left(serving: &mut Serving<'_, '_>, key: &[u8]) -> Result<Served> {
    serve_pop(serving, key, Side::Left)
}

fn serve_right(serving: &mut Serving<'_, '_>, key: &[u8]) -> Result<Served> {
    serve_pop(serving, key, Side::Right)
}

fn serve_pop(serving: &mut Serving<'_, '_>, key: &[u8], side: Side) -> Result<Served> {
    if !serving.claim_from::<List>(key) {
        return Ok(Served::No);
    }
    let limits = serving.env.limits.clone();
    Pop { side, count: 1 }.take(serving.keys, key, &limits, serving.out, |out, _| name(out, key))?;
    Ok(Served::Yes(popped(side, key)))
}

fn blmpop(call: &mut Call<'_>) -> Result<Effect> {
    let MultiPop { keys, pop } = MultiPop::parse(call.args, 2)?;
    let deadline_ms = deadline(call, call.arg(1))?;
    let candidates = call.args.from(keys.start).take(keys.len());
    match pop.take_first(&mut call.keys, candidates, &call.env.limits, call.out)? {
        Some((key, taken)) => Ok(took(pop.side, key, taken)),
        None => Ok(Block::effect(keys, deadline_ms)),
    }
}

fn serve_multi_pop(serving: &mut Serving<'_, '_>, key: &[u8]) -> Result<Served> {
    let MultiPop { pop, .. } = MultiPop::parse(serving.args, 2)?;
    if !serving.claim_from::<List>(key) {
        return Ok(Served::No);
    }
    let limits = serving.env.limits.clone();
    let taken = pop.take_first(serving.keys, [key], &limits, serving.out)?;
    Ok(Served::Yes(taken.map_or(Effect::None, |(key, taken)| took(pop.side, key, taken))))
}

fn blmove(call: &mut Call<'_>) -> Result<Effect> {
    let ends = Move { from: side(call.arg(3))?, to: side(call.arg(4))? };
    move_one(call, ends, 5)
}

fn brpoplpush(call: &mut Call<'_>) -> Result<Effect> {
    move_one(call, Move { from: Side::Right, to: Side::Left }, 3)
}

fn move_one(call: &mut Call<'_>, ends: Move, timeout: usize) -> Result<Effect> {
    let deadline_ms = deadline(call, call.arg(timeout))?;
    let (source, destination) = (call.arg(1), call.arg(2));
    if ends.apply(&mut call.keys, source, destination, &call.env.limits, call.out)? {
        return Ok(moved(call.args, ends));
    }
    Ok(Block::effect(1..2, deadline_ms))
}

/// What the move is without the wait.
fn moved(args: Args<'_>, ends: Move) -> Effect {
    let word = |side: Side| -> &[u8] { if side == Side::Left { b"left" } else { b"right" } };
    if args.len() == 4 {
        return Effect::rewritten([b"RPOPLPUSH", args.get(1), args.get(2)]);
    }
    Effect::rewritten([b"LMOVE", args.get(1), args.get(2), word(ends.from), word(ends.to)])
}

fn serve_move(serving: &mut Serving<'_, '_>, key: &[u8]) -> Result<Served> {
    let args = serving.args;
    let ends = match args.opt(5) {
        Some(_) => Move { from: side(args.get(3))?, to: side(args.get(4))? },
        None => Move { from: Side::Right, to: Side::Left },
    };
    if !serving.claim_from::<List>(key) {
        return Ok(Served::No);
    }
    let limits = serving.env.limits.clone();
    // A destination of another type is the waiter's error; the element stays.
    ends.apply(serving.keys, key, args.get(2), &limits, serving.out)?;
    Ok(Served::Yes(moved(args, ends)))
}

/// The rows of these commands.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("blpop", -3, WRITE | BLOCKING, Group::List, blpop)
        .docs(
            "Takes the first element of the first list that has one, waiting for it if need be.",
            "2.0.0",
            "O(N) where N is the number of provided keys.",
        )
        .blocking(&POP_LEFT)
        .keys(&[KeySpec::range(1, -2, 1, &["RW", "access", "delete"])])
        .args(&[Arg::key("key").multiple(), Arg::double("timeout")]),
    Spec::new("brpop", -3, WRITE | BLOCKING, Group::List, brpop)
        .docs(
            "Takes the last element of the first list that has one, waiting for it if need be.",
            "2.0.0",
            "O(N) where N is the number of provided keys.",
        )
        .blocking(&POP_RIGHT)
        .keys(&[KeySpec::range(1, -2, 1, &["RW", "access", "delete"])])
        .args(&[Arg::key("key").multiple(), Arg::double("timeout")]),
    Spec::new("blmove", 6, WRITE | DENYOOM | BLOCKING, Group::List, blmove)
        .docs("Moves an element from one list to another, waiting for it if need be.", "6.2.0", "O(1)")
        .blocking(&MOVE)
        .keys(&[KeySpec::one(1, &["RW", "access", "delete"]), KeySpec::one(2, &["RW", "insert"])])
        .args(&[
            Arg::key("source"),
            Arg::key("destination").key_spec(1),
            Arg::one_of("wherefrom", &[Arg::word("left", "LEFT"), Arg::word("right", "RIGHT")]),
            Arg::one_of("whereto", &[Arg::word("left", "LEFT"), Arg::word("right", "RIGHT")]),
            Arg::double("timeout"),
        ]),
    Spec::new("blmpop", -5, WRITE | BLOCKING | MOVABLEKEYS, Group::List, blmpop)
        .docs(
            "Takes elements from the first list that has some, waiting for them if need be.",
            "7.0.0",
            "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
        )
        .blocking(&MULTI_POP)
        .keys(&[KeySpec::counted(2, &["RW", "access", "delete"])])
        .args(&[
            Arg::double("timeout"),
            Arg::integer("numkeys"),
            Arg::key("key").multiple(),
            Arg::one_of("where", &[Arg::word("left", "LEFT"), Arg::word("right", "RIGHT")]),
            Arg::integer("count").token("COUNT").optional(),
        ]),
    Spec::new("brpoplpush", 4, WRITE | DENYOOM | BLOCKING, Group::List, brpoplpush)
        .docs("Moves the last element of a list to the front of another, waiting for it if need be.", "2.2.0", "O(1)")
        .blocking(&MOVE)
        .deprecated("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments")
        .keys(&[KeySpec::one(1, &["RW", "access", "delete"]), KeySpec::one(2, &["RW", "insert"])])
        .args(&[Arg::key("source"), Arg::key("destination").key_spec(1), Arg::double("timeout")]),
];
