//! SPOP and SRANDMEMBER. What SPOP has chosen goes into the log as the removal of exactly those members.

use store::value::set::Set;

use super::delete_if;
use crate::args::OwnedArgs;
use crate::call::Call;
use crate::draw::{Draw, Draws};
use crate::effect::{Class, Effect};
use crate::error::{MUST_BE_POSITIVE, Result, SYNTAX};
use crate::number;

/// Members in one SREM of the log.
const REMOVED_AT_ONCE_MAX: usize = 1024;

pub(super) fn spop(call: &mut Call<'_>) -> Result<Effect> {
    match call.args.len() {
        2 => pop_one(call),
        3 => pop_many(call),
        _ => Err(SYNTAX),
    }
}

fn pop_one(call: &mut Call<'_>) -> Result<Effect> {
    let key = call.arg(1);
    let set = call.keys.value_mut::<Set>(key)?;
    let popped = set.and_then(|mut set| set.pop(&mut call.env.rng).map(|member| (member, set.is_empty())));
    let Some((member, emptied)) = popped else {
        call.out.null();
        return Ok(Effect::None);
    };
    call.out.bulk(&member);
    call.keys.changed(key, Class::SET, "spop");
    delete_if(emptied, &mut call.keys, key);
    Ok(Effect::rewritten([b"SREM", key, &member]))
}

fn pop_many(call: &mut Call<'_>) -> Result<Effect> {
    let key = call.arg(1);
    let count = number::parse_i64(call.arg(2)).and_then(|count| usize::try_from(count).ok()).ok_or(MUST_BE_POSITIVE)?;
    let Some(mut set) = call.keys.value_mut::<Set>(key)?.filter(|_| count > 0) else {
        call.out.set(0);
        return Ok(Effect::None);
    };
    if count >= set.len() {
        let len = set.len();
        call.out.set(len);
        set.iter().for_each(|member| call.out.item(member));
        drop(set);
        call.keys.changed(key, Class::SET, "spop");
        call.keys.add_dirty(len as u64 - 1);
        delete_if(true, &mut call.keys, key);
        return Ok(Effect::rewritten([b"DEL", key]));
    }
    let popped = set.pop_many(count, &mut call.env.rng, &call.env.limits);
    drop(set);
    call.out.set(popped.len());
    popped.iter().for_each(|member| call.out.bulk(member));
    call.keys.changed(key, Class::SET, "spop");
    call.keys.add_dirty(popped.len() as u64 - 1);
    let removal = |members: &[Vec<u8>]| -> OwnedArgs {
        [&b"SREM"[..], key].into_iter().chain(members.iter().map(Vec::as_slice)).collect()
    };
    Ok(Effect::Rewritten(popped.chunks(REMOVED_AT_ONCE_MAX).map(removal).collect()))
}

pub(super) fn srandmember(call: &mut Call<'_>) -> Result<Effect> {
    if call.args.len() > 3 {
        return Err(SYNTAX);
    }
    let draw = call.args.opt(2).map(Draw::parse).transpose()?;
    let set = call.keys.value::<Set>(call.args.get(1))?;
    let rng = &mut call.env.rng;
    match (draw, set) {
        (None, None) => call.out.null(),
        (None, Some(set)) => call.out.item(set.random(rng).expect("a set is never empty")),
        (Some(_), None) => call.out.array(0),
        (Some(Draw::Distinct(count)), Some(set)) => {
            let members = set.random_distinct(count, rng);
            call.out.array(members.len());
            members.into_iter().for_each(|member| call.out.item(member));
        }
        (Some(Draw::Repeated(count)), Some(set)) => {
            let mut draws = Draws::begin(count, 1, call.out)?;
            for _ in 0..count {
                call.out.item(set.random(rng).expect("a set is never empty"));
                if !draws.go_on(call.out)? {
                    break;
                }
            }
        }
    }
    Ok(Effect::None)
}
