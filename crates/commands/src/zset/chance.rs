//! ZRANDMEMBER.

use fastrand::Rng;
use store::value::listpack::Item;
use store::value::zset::SortedSet;

use super::{answer, show};
use crate::call::Call;
use crate::draw::{Draw, Draws};
use crate::effect::Effect;
use crate::error::{OUT_OF_RANGE, Result, SYNTAX};

pub(super) fn zrandmember(call: &mut Call<'_>) -> Result<Effect> {
    let draw = call.args.opt(2).map(Draw::parse).transpose()?;
    let with_scores = match call.args.len() {
        2 | 3 => false,
        4 if call.args.is(3, "WITHSCORES") => true,
        _ => return Err(SYNTAX),
    };
    if with_scores && draw.is_some_and(|draw| draw.magnitude() > i64::MAX as usize / 2) {
        return Err(OUT_OF_RANGE);
    }
    let zset = call.keys.value::<SortedSet>(call.args.get(1))?;
    let (out, rng) = (&mut *call.out, &mut call.env.rng);
    match (draw, zset) {
        (None, None) => out.null(),
        (None, Some(zset)) => out.item(one(zset, rng).0),
        (Some(_), None) => out.array(0),
        (Some(Draw::Distinct(count)), Some(zset)) => {
            answer(out, zset.random_distinct(count, rng).into_iter(), with_scores);
        }
        (Some(Draw::Repeated(count)), Some(zset)) => {
            let mut draws = Draws::begin(count, 1 + usize::from(with_scores), out)?;
            for _ in 0..count {
                let (member, score) = one(zset, rng);
                show(out, member, score, with_scores);
                if !draws.go_on(out)? {
                    break;
                }
            }
        }
    }
    Ok(Effect::None)
}

fn one<'a>(zset: &'a SortedSet, rng: &mut Rng) -> (Item<'a>, f64) {
    zset.random(rng).expect("a sorted set under a key has members")
}
