//! Lists.

use store::entry::Entry;
use store::value::list::{List, Search, Side};

use crate::args::Args;
use crate::call::Call;
use crate::effect::{Class, Effect};
use crate::error::{Error, INDEX_OUT_OF_RANGE, MUST_BE_POSITIVE, NO_SUCH_KEY, NOT_INTEGER, Result, SYNTAX};
use crate::number;
use crate::spec::flag::*;
use crate::spec::{Arg, Group, KeySpec, Spec};

pub(crate) mod blocking;
mod take;

#[cfg(test)]
mod tests;

use take::{Move, Pop, pushed, remove, side};

fn lpush(call: &mut Call<'_>) -> Result<Effect> {
    push(call, Side::Left, true)
}

fn rpush(call: &mut Call<'_>) -> Result<Effect> {
    push(call, Side::Right, true)
}

fn lpushx(call: &mut Call<'_>) -> Result<Effect> {
    push(call, Side::Left, false)
}

fn rpushx(call: &mut Call<'_>) -> Result<Effect> {
    push(call, Side::Right, false)
}

fn push(call: &mut Call<'_>, side: Side, create: bool) -> Result<Effect> {
    let (key, elements, limits) = (call.arg(1), call.args.from(2), &call.env.limits);
    let added = elements.len();
    let len = match call.keys.write(key) {
        Some(entry) => {
            let mut list = entry.into_value::<List>().ok_or(crate::error::WRONG_TYPE)?;
            list.push_all(side, elements, limits);
            list.len()
        }
        None if create => {
            call.keys.insert(key, Entry::boxed(key, List::pushed(side, elements, limits), None));
            added
        }
        None => {
            call.out.int(0);
            return Ok(Effect::None);
        }
    };
    call.keys.changed(key, Class::LIST, pushed(side));
    call.keys.add_dirty(added as u64 - 1);
    call.out.len(len);
    Ok(Effect::AsIs)
}

fn lpop(call: &mut Call<'_>) -> Result<Effect> {
    pop(call, Side::Left)
}

fn rpop(call: &mut Call<'_>) -> Result<Effect> {
    pop(call, Side::Right)
}

fn pop(call: &mut Call<'_>, side: Side) -> Result<Effect> {
    let count = match call.args.len() {
        2 => None,
        3 => Some(at_least(0, call.arg(2), MUST_BE_POSITIVE)?),
        _ => return Err(call.wrong_arity()),
    };
    let head = |out: &mut crate::reply::Reply, taken| {
        if count.is_some() {
            out.array(taken);
        }
    };
    let pop = Pop { side, count: count.unwrap_or(1) };
    let taken = pop.take(&mut call.keys, call.args.get(1), &call.env.limits, call.out, head)?;
    match (taken, count) {
        (Some(taken), _) => return Ok(Effect::as_is_if(taken > 0)),
        (None, Some(_)) => call.out.null_array(),
        (None, None) => call.out.null(),
    }
    Ok(Effect::None)
}

/// LMPOP's arguments from the number of keys on; BLMPOP has the same behind its timeout.
struct MultiPop {
    /// Where the keys are among the arguments.
    keys: std::ops::Range<usize>,
    pop: Pop,
}

impl MultiPop {
    fn parse(args: Args<'_>, at: usize) -> Result<Self> {
        let numkeys = at_least(1, args.get(at), Error::new("ERR numkeys should be greater than 0"))?;
        let keys = at + 1..(at + 1).saturating_add(numkeys);
        let side = side(args.opt(keys.end).ok_or(SYNTAX)?)?;
        let options = keys.end + 1;
        let count = match args.len() - options {
            0 => 1,
            2 if args.is(options, "COUNT") => {
                at_least(1, args.get(options + 1), Error::new("ERR count should be greater than 0"))?
            }
            // Redis reads a first count before it finds fault with what follows.
            3.. if args.is(options, "COUNT") => {
                at_least(1, args.get(options + 1), Error::new("ERR count should be greater than 0"))?;
                return Err(SYNTAX);
            }
            _ => return Err(SYNTAX),
        };
        Ok(Self { keys, pop: Pop { side, count } })
    }
}

fn lmpop(call: &mut Call<'_>) -> Result<Effect> {
    let MultiPop { keys, pop } = MultiPop::parse(call.args, 1)?;
    let candidates = call.args.from(keys.start).take(keys.len());
    match pop.take_first(&mut call.keys, candidates, &call.env.limits, call.out)? {
        Some((key, taken)) => Ok(took(pop.side, key, taken)),
        None => {
            call.out.null_array();
            Ok(Effect::None)
        }
    }
}

/// The effect of taking so many elements from one key, wherever the choice of the key was made.
fn took(side: Side, key: &[u8], taken: usize) -> Effect {
    let name: &[u8] = if side == Side::Left { b"LPOP" } else { b"RPOP" };
    Effect::rewritten([name, key, taken.to_string().as_bytes()])
}

fn lmove(call: &mut Call<'_>) -> Result<Effect> {
    let ends = Move { from: side(call.arg(3))?, to: side(call.arg(4))? };
    move_one(call, ends)
}

fn rpoplpush(call: &mut Call<'_>) -> Result<Effect> {
    move_one(call, Move { from: Side::Right, to: Side::Left })
}

fn move_one(call: &mut Call<'_>, ends: Move) -> Result<Effect> {
    let (source, destination) = (call.arg(1), call.arg(2));
    let moved = ends.apply(&mut call.keys, source, destination, &call.env.limits, call.out)?;
    if !moved {
        call.out.null();
    }
    Ok(Effect::as_is_if(moved))
}

fn llen(call: &mut Call<'_>) -> Result<Effect> {
    let len = call.keys.value::<List>(call.args.get(1))?.map_or(0, List::len);
    call.out.len(len);
    Ok(Effect::None)
}

fn lindex(call: &mut Call<'_>) -> Result<Effect> {
    let Some(list) = call.keys.value::<List>(call.args.get(1))? else {
        call.out.null();
        return Ok(Effect::None);
    };
    match list.get(integer(call.args.get(2))?) {
        Some(element) => call.out.item(element),
        None => call.out.null(),
    }
    Ok(Effect::None)
}

fn lrange(call: &mut Call<'_>) -> Result<Effect> {
    let (start, stop) = (call.int(2)?, call.int(3)?);
    let Some(list) = call.keys.value::<List>(call.args.get(1))? else {
        call.out.array(0);
        return Ok(Effect::None);
    };
    let elements = list.range(start, stop);
    call.out.array(elements.len());
    call.out.make_room(list.range(start, stop));
    elements.for_each(|element| call.out.item(element));
    Ok(Effect::None)
}

fn lset(call: &mut Call<'_>) -> Result<Effect> {
    let (key, element) = (call.arg(1), call.arg(3));
    let mut list = call.keys.value_mut::<List>(key)?.ok_or(NO_SUCH_KEY)?;
    // Redis keeps the lower 32 bits of this index, and so do we: which element is replaced must not depend on the server.
    let index = integer(call.args.get(2))? as i32;
    if !list.set(index.into(), element, &call.env.limits) {
        return Err(INDEX_OUT_OF_RANGE);
    }
    drop(list);
    call.keys.changed(key, Class::LIST, "lset");
    call.out.ok();
    Ok(Effect::AsIs)
}

fn linsert(call: &mut Call<'_>) -> Result<Effect> {
    let side = if call.args.is(2, "BEFORE") {
        Side::Left
    } else if call.args.is(2, "AFTER") {
        Side::Right
    } else {
        return Err(SYNTAX);
    };
    let (key, pivot, element) = (call.arg(1), call.arg(3), call.arg(4));
    let Some(mut list) = call.keys.value_mut::<List>(key)? else {
        call.out.int(0);
        return Ok(Effect::None);
    };
    if !list.insert(side, pivot, element, &call.env.limits) {
        call.out.int(-1);
        return Ok(Effect::None);
    }
    call.out.len(list.len());
    drop(list);
    call.keys.changed(key, Class::LIST, "linsert");
    Ok(Effect::AsIs)
}

fn lrem(call: &mut Call<'_>) -> Result<Effect> {
    let (key, count, element) = (call.arg(1), negatable(call.arg(2))?, call.arg(3));
    let Some(mut list) = call.keys.value_mut::<List>(key)? else {
        call.out.int(0);
        return Ok(Effect::None);
    };
    let removed = list.remove(count, element, &call.env.limits);
    let emptied = list.is_empty();
    drop(list);
    call.out.len(removed);
    if removed > 0 {
        call.keys.changed(key, Class::LIST, "lrem");
        call.keys.add_dirty(removed as u64 - 1);
    }
    if emptied {
        remove(&mut call.keys, key);
    }
    Ok(Effect::as_is_if(removed > 0))
}

fn ltrim(call: &mut Call<'_>) -> Result<Effect> {
    let (key, start, stop) = (call.arg(1), call.int(2)?, call.int(3)?);
    call.out.ok();
    let Some(mut list) = call.keys.value_mut::<List>(key)? else { return Ok(Effect::None) };
    let removed = list.trim(start, stop, &call.env.limits);
    let emptied = list.is_empty();
    drop(list);
    // To Redis the key has changed even if all elements have stayed; only then there is nothing to propagate.
    call.keys.changed_too(call.keys.db, key, Class::LIST, "ltrim");
    call.keys.add_dirty(removed as u64);
    if emptied {
        remove(&mut call.keys, key);
    }
    Ok(Effect::as_is_if(removed > 0))
}

/// LPOS's options.
struct Positions {
    search: Search,
    /// Answer with an array, because a count was given.
    several: bool,
}

impl Positions {
    fn parse(args: Args<'_>) -> Result<Self> {
        let mut positions = Self { search: Search { rank: 1, count: 1, maxlen: 0 }, several: false };
        for index in (3..args.len()).step_by(2) {
            let value = args.opt(index + 1).ok_or(SYNTAX)?;
            if args.is(index, "RANK") {
                positions.search.rank = negatable(value)?;
                if positions.search.rank == 0 {
                    return Err(Error::new(RANK_IS_ZERO));
                }
            } else if args.is(index, "COUNT") {
                positions.search.count = at_least(0, value, Error::new("ERR COUNT can't be negative"))?;
                positions.several = true;
            } else if args.is(index, "MAXLEN") {
                positions.search.maxlen = at_least(0, value, Error::new("ERR MAXLEN can't be negative"))?;
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(positions)
    }
}

const RANK_IS_ZERO: &str = "ERR RANK can't be zero: use 1 to start from the first match, \
    2 from the second ... or use negative to start from the end of the list";

fn lpos(call: &mut Call<'_>) -> Result<Effect> {
    let Positions { search, several } = Positions::parse(call.args)?;
    let list = call.keys.value::<List>(call.args.get(1))?;
    let found = list.map(|list| list.positions(call.args.get(2), search)).unwrap_or_default();
    if several {
        call.out.array(found.len());
        found.iter().for_each(|position| call.out.len(*position));
    } else if let Some(position) = found.first() {
        call.out.len(*position);
    } else {
        call.out.null();
    }
    Ok(Effect::None)
}

fn integer(arg: &[u8]) -> Result<i64> {
    number::parse_i64(arg).ok_or(NOT_INTEGER)
}

/// An integer whose negative is one as well.
fn negatable(arg: &[u8]) -> Result<i64> {
    let int = integer(arg)?;
    if int == i64::MIN { Err(Error::not_between(-i64::MAX, i64::MAX)) } else { Ok(int) }
}

/// A count; whatever is wrong with it is answered by `error`.
fn at_least(min: i64, arg: &[u8], error: Error) -> Result<usize> {
    number::parse_i64(arg).filter(|int| *int >= min).map(|int| int as usize).ok_or(error)
}

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("lindex", 3, READONLY, Group::List, lindex)
        .docs("Returns an element by its index.", "1.0.0", "O(N) where N is the number of elements to traverse to get to the element at index. This makes asking for the first or the last element of the list O(1).")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("index"),
        ]),
    Spec::new("linsert", 5, WRITE | DENYOOM, Group::List, linsert)
        .docs("Adds an element before or after the first one that equals another.", "2.2.0", "O(N) where N is the number of elements to traverse before seeing the value pivot. This means that inserting somewhere on the left end on the list (head) can be considered O(1) and inserting somewhere on the right end (tail) is O(N).")
        .keys(&[KeySpec::one(1, &["RW", "insert"])])
        .args(&[
            Arg::key("key"),
            Arg::one_of("where", &[
                Arg::word("before", "BEFORE"),
                Arg::word("after", "AFTER"),
            ]),
            Arg::string("pivot"),
            Arg::string("element"),
        ]),
    Spec::new("llen", 2, READONLY | FAST, Group::List, llen)
        .docs("Returns the number of elements.", "1.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RO"])])
        .args(&[
            Arg::key("key"),
        ]),
    Spec::new("lmove", 5, WRITE | DENYOOM, Group::List, lmove)
        .docs("Moves an element from an end of one list to an end of another, and returns it.", "6.2.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "access", "delete"]), KeySpec::one(2, &["RW", "insert"])])
        .args(&[
            Arg::key("source"),
            Arg::key("destination").key_spec(1),
            Arg::one_of("wherefrom", &[
                Arg::word("left", "LEFT"),
                Arg::word("right", "RIGHT"),
            ]),
            Arg::one_of("whereto", &[
                Arg::word("left", "LEFT"),
                Arg::word("right", "RIGHT"),
            ]),
        ]),
    Spec::new("lmpop", -4, WRITE | MOVABLEKEYS, Group::List, lmpop)
        .docs("Removes and returns elements from the first list of several that is there.", "7.0.0", "O(N+M) where N is the number of provided keys and M is the number of elements returned.")
        .keys(&[KeySpec::counted(1, &["RW", "access", "delete"])])
        .args(&[
            Arg::integer("numkeys"),
            Arg::key("key").multiple(),
            Arg::one_of("where", &[
                Arg::word("left", "LEFT"),
                Arg::word("right", "RIGHT"),
            ]),
            Arg::integer("count").token("COUNT").optional(),
        ]),
    Spec::new("lpop", -2, WRITE | FAST, Group::List, lpop)
        .docs("Removes and returns the first elements.", "1.0.0", "O(N) where N is the number of elements returned")
        .keys(&[KeySpec::one(1, &["RW", "access", "delete"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("count").optional().since("6.2.0"),
        ]),
    Spec::new("lpos", -3, READONLY, Group::List, lpos)
        .docs("Returns the index of an element, or those of several that are equal.", "6.0.6", "O(N) where N is the number of elements in the list, for the average case. When searching for elements near the head or the tail of the list, or when the MAXLEN option is provided, the command may run in constant time.")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::string("element"),
            Arg::integer("rank").token("RANK").optional(),
            Arg::integer("num-matches").token("COUNT").optional(),
            Arg::integer("len").token("MAXLEN").optional(),
        ]),
    Spec::new("lpush", -3, WRITE | DENYOOM | FAST, Group::List, lpush)
        .docs("Adds elements at the head; a missing key becomes a list.", "1.0.0", "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.")
        .keys(&[KeySpec::one(1, &["RW", "insert"])])
        .args(&[
            Arg::key("key"),
            Arg::string("element").multiple(),
        ]),
    Spec::new("lpushx", -3, WRITE | DENYOOM | FAST, Group::List, lpushx)
        .docs("Adds elements at the head of a list that is there.", "2.2.0", "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.")
        .keys(&[KeySpec::one(1, &["RW", "insert"])])
        .args(&[
            Arg::key("key"),
            Arg::string("element").multiple(),
        ]),
    Spec::new("lrange", 4, READONLY, Group::List, lrange)
        .docs("Returns the elements from one index to another.", "1.0.0", "O(S+N) where S is the distance of start offset from HEAD for small lists, from nearest end (HEAD or TAIL) for large lists; and N is the number of elements in the specified range.")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("start"),
            Arg::integer("stop"),
        ]),
    Spec::new("lrem", 4, WRITE, Group::List, lrem)
        .docs("Removes elements that are equal to one, from the head or from the tail.", "1.0.0", "O(N+M) where N is the length of the list and M is the number of elements removed.")
        .keys(&[KeySpec::one(1, &["RW", "delete"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("count"),
            Arg::string("element"),
        ]),
    Spec::new("lset", 4, WRITE | DENYOOM, Group::List, lset)
        .docs("Replaces the element at an index.", "1.0.0", "O(N) where N is the length of the list. Setting either the first or the last element of the list is O(1).")
        .keys(&[KeySpec::one(1, &["RW", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("index"),
            Arg::string("element"),
        ]),
    Spec::new("ltrim", 4, WRITE, Group::List, ltrim)
        .docs("Keeps the elements from one index to another and removes all others.", "1.0.0", "O(N) where N is the number of elements to be removed by the operation.")
        .keys(&[KeySpec::one(1, &["RW", "delete"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("start"),
            Arg::integer("stop"),
        ]),
    Spec::new("rpop", -2, WRITE | FAST, Group::List, rpop)
        .docs("Removes and returns the last elements.", "1.0.0", "O(N) where N is the number of elements returned")
        .keys(&[KeySpec::one(1, &["RW", "access", "delete"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("count").optional().since("6.2.0"),
        ]),
    Spec::new("rpoplpush", 3, WRITE | DENYOOM, Group::List, rpoplpush)
        .docs("Moves the last element of a list to the head of another, and returns it.", "1.2.0", "O(1)")
        .deprecated("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments")
        .keys(&[KeySpec::one(1, &["RW", "access", "delete"]), KeySpec::one(2, &["RW", "insert"])])
        .args(&[
            Arg::key("source"),
            Arg::key("destination").key_spec(1),
        ]),
    Spec::new("rpush", -3, WRITE | DENYOOM | FAST, Group::List, rpush)
        .docs("Adds elements at the tail; a missing key becomes a list.", "1.0.0", "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.")
        .keys(&[KeySpec::one(1, &["RW", "insert"])])
        .args(&[
            Arg::key("key"),
            Arg::string("element").multiple(),
        ]),
    Spec::new("rpushx", -3, WRITE | DENYOOM | FAST, Group::List, rpushx)
        .docs("Adds elements at the tail of a list that is there.", "2.2.0", "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.")
        .keys(&[KeySpec::one(1, &["RW", "insert"])])
        .args(&[
            Arg::key("key"),
            Arg::string("element").multiple(),
        ]),
];
