//! Intersections, unions and differences of sets, answered or stored.
//!
//! Answers have no order that a client may rely on; but what is stored has an encoding that OBJECT ENCODING shows, and
//! that depends on how the result was made. So results to be stored are made in the steps that Redis takes.

use store::entry::Entry;
use store::value::Limits;
use store::value::set::{Set, intersection};

use crate::call::Call;
use crate::effect::{Class, Effect};
use crate::error::{Error, Result, SYNTAX};
use crate::number;

pub(super) fn sinter(call: &mut Call<'_>) -> Result<Effect> {
    let sets = call.keys.values::<Set>(call.args.from(1), false)?;
    let head = call.out.mark();
    let mut found = 0;
    for member in all_present(&sets).iter().flat_map(|sets| intersection(sets)) {
        call.out.item(member);
        found += 1;
    }
    call.out.prepend(head, |out| out.set(found));
    Ok(Effect::None)
}

pub(super) fn sintercard(call: &mut Call<'_>) -> Result<Effect> {
    let args = call.args;
    let numkeys =
        number::parse_i64(args.get(1)).and_then(|count| usize::try_from(count).ok()).filter(|&count| count > 0);
    let numkeys = numkeys.ok_or_else(|| Error::new("ERR numkeys should be greater than 0"))?;
    if numkeys > args.len() - 2 {
        return Err(Error::new("ERR Number of keys can't be greater than number of args"));
    }
    let (mut limit, mut index) = (0, 2 + numkeys);
    while index < args.len() {
        let amount = args.opt(index + 1).filter(|_| args.is(index, "LIMIT")).ok_or(SYNTAX)?;
        let amount = number::parse_i64(amount).and_then(|amount| usize::try_from(amount).ok());
        limit = amount.ok_or_else(|| Error::new("ERR LIMIT can't be negative"))?;
        index += 2;
    }
    let sets = call.keys.values::<Set>(args.from(2).take(numkeys), false)?;
    let most = if limit == 0 { usize::MAX } else { limit };
    let found = all_present(&sets).map_or(0, |sets| intersection(&sets).take(most).count());
    call.out.len(found);
    Ok(Effect::None)
}

pub(super) fn sinterstore(call: &mut Call<'_>) -> Result<Effect> {
    let limits = &*call.env.limits;
    let sets = call.keys.values::<Set>(call.args.from(2), true)?;
    let result = all_present(&sets).map(|sets| {
        let smallest = sets.iter().min_by_key(|set| set.len()).expect("arity asks for a key");
        let mut result = Set::in_form_of(smallest);
        let mut text = itoa::Buffer::new();
        for member in intersection(&sets) {
            result.add(member.bytes(&mut text), limits);
        }
        result.pack_integers(limits);
        result
    });
    store(call, result.unwrap_or_default(), "sinterstore")
}

pub(super) fn sunion(call: &mut Call<'_>) -> Result<Effect> {
    let sets = call.keys.values::<Set>(call.args.from(1), false)?;
    let result = union(&sets, &call.env.limits);
    answer(call, &result)
}

pub(super) fn sunionstore(call: &mut Call<'_>) -> Result<Effect> {
    let sets = call.keys.values::<Set>(call.args.from(2), true)?;
    let result = union(&sets, &call.env.limits);
    store(call, result, "sunionstore")
}

pub(super) fn sdiff(call: &mut Call<'_>) -> Result<Effect> {
    let sets = call.keys.values::<Set>(call.args.from(1), false)?;
    let result = difference(&sets, &call.env.limits);
    answer(call, &result)
}

pub(super) fn sdiffstore(call: &mut Call<'_>) -> Result<Effect> {
    let sets = call.keys.values::<Set>(call.args.from(2), true)?;
    let result = difference(&sets, &call.env.limits);
    store(call, result, "sdiffstore")
}

/// The sets, unless a key is missing, which is an empty set.
fn all_present<'a>(sets: &[Option<&'a Set>]) -> Option<Vec<&'a Set>> {
    sets.iter().copied().collect()
}

fn union(sets: &[Option<&Set>], limits: &Limits) -> Set {
    let mut result = Set::new();
    sets.iter().flatten().for_each(|set| add_all(&mut result, set, limits));
    result
}

/// The members of the first set that no other has.
fn difference(sets: &[Option<&Set>], limits: &Limits) -> Set {
    let mut result = Set::new();
    let [Some(first), others @ ..] = sets else { return result };
    let others: Vec<&Set> = others.iter().copied().flatten().collect();
    if others.iter().any(|other| std::ptr::eq(*other, *first)) {
        return result;
    }
    // Either each member of the first is looked up in the others, or each member of the others is taken out of a copy of
    // the first; the lookups usually end early, hence the half.
    let lookups = first.len() * (others.len() + 1) / 2;
    let removals: usize = first.len() + others.iter().map(|other| other.len()).sum::<usize>();
    if lookups > removals {
        add_all(&mut result, first, limits);
        remove_all(&mut result, &others);
        return result;
    }
    // The largest first: it is the likeliest to have a member.
    let mut others = others;
    others.sort_by_key(|other| std::cmp::Reverse(other.len()));
    let mut text = itoa::Buffer::new();
    for member in first.iter().filter(|member| !others.iter().any(|other| other.contains_item(*member))) {
        result.add(member.bytes(&mut text), limits);
    }
    result
}

fn add_all(result: &mut Set, set: &Set, limits: &Limits) {
    let mut text = itoa::Buffer::new();
    for member in set.iter() {
        result.add(member.bytes(&mut text), limits);
    }
}

fn remove_all(result: &mut Set, others: &[&Set]) {
    let mut text = itoa::Buffer::new();
    for other in others {
        for member in other.iter() {
            result.remove(member.bytes(&mut text));
        }
        if result.is_empty() {
            return;
        }
    }
}

fn answer(call: &mut Call<'_>, result: &Set) -> Result<Effect> {
    call.out.set(result.len());
    result.iter().for_each(|member| call.out.item(member));
    Ok(Effect::None)
}

/// Puts the result in the place of whatever the destination held; an empty one only deletes that.
fn store(call: &mut Call<'_>, result: Set, event: &'static str) -> Result<Effect> {
    let (key, len) = (call.arg(1), result.len());
    call.out.len(len);
    if len > 0 {
        call.keys.put(key, Entry::boxed(key, result, None));
        call.keys.changed(key, Class::SET, event);
    } else if call.keys.delete(key) {
        call.keys.changed(key, Class::GENERIC, "del");
    } else {
        return Ok(Effect::None);
    }
    Ok(Effect::AsIs)
}
