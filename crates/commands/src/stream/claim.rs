//! XCLAIM and XAUTOCLAIM: pending entries change hands.

use store::value::stream::{Claim, ClaimOptions, Claimed, Group, Stream, StreamId};

use super::effects::{Collected, Owner};
use super::group::note;
use super::{ids, no_group, reply_each, reply_entry, reply_id, reply_ids};
use crate::call::Call;
use crate::effect::Effect;
use crate::error::{Error, Result, SYNTAX};
use crate::number;
use crate::reply::Reply;

pub(super) fn xclaim(call: &mut Call<'_>) -> Result<Effect> {
    require_group(call)?;
    let min_idle_ms = int(call, 4, "ERR Invalid min-idle-time argument for XCLAIM")?;
    let ids: Vec<StreamId> = call.args.from(5).map_while(|text| ids::strict(text, 0).ok()).collect();
    let options = claim_options(call, 5 + ids.len(), u64::try_from(min_idle_ms).unwrap_or(0))?;

    let (owner, now_ms) = (owner(call), call.keys.now_ms as u64);
    let mut stream = call.keys.value_mut::<Stream>(owner.key)?.ok_or_else(|| no_group(owner.key, owner.group))?;
    let created = stream.touch_consumer(owner.group, owner.consumer, now_ms) == Some(true);
    let last_id = stream.group(owner.group).map(Group::last_id);
    let claimed = stream.claim(owner.group, owner.consumer, &ids, &options, now_ms).unwrap_or_default();
    let moved = claimed.iter().filter(|claimed| claimed.claim == Claim::Moved);
    reply_claimed(call.out, &stream, moved, options.just_id);

    let mut effects = Collected::new(call.env);
    collect(&mut effects, &stream, owner, &claimed, created, now_ms);
    let raised = last_id.is_some_and(|last_id| options.last_id > last_id) && claimed.is_empty();
    if raised && let Some(group) = stream.group(owner.group) {
        effects.add(|| owner.set_id(group));
    }
    drop(stream);
    count_changes(call, owner.key, created, claimed.len() as u64 + u64::from(raised));
    Ok(effects.finish())
}

pub(super) fn xautoclaim(call: &mut Call<'_>) -> Result<Effect> {
    let (start, count, options) = auto_claim_options(call)?;
    require_group(call)?;

    let (owner, now_ms) = (owner(call), call.keys.now_ms as u64);
    let missing = || no_group(owner.key, owner.group);
    let mut stream = call.keys.value_mut::<Stream>(owner.key)?.ok_or_else(missing)?;
    let created = stream.touch_consumer(owner.group, owner.consumer, now_ms) == Some(true);
    let done = stream.auto_claim(owner.group, owner.consumer, start, count, &options, now_ms).ok_or_else(missing)?;
    call.out.array(3);
    reply_id(call.out, done.next);
    let (moved, gone): (Vec<_>, Vec<_>) = done.claimed.iter().partition(|claimed| claimed.claim == Claim::Moved);
    reply_claimed(call.out, &stream, moved.into_iter(), options.just_id);
    reply_ids(call.out, gone.iter().map(|claimed| claimed.id));

    let mut effects = Collected::new(call.env);
    collect(&mut effects, &stream, owner, &done.claimed, created, now_ms);
    drop(stream);
    count_changes(call, owner.key, created, done.claimed.len() as u64);
    Ok(effects.finish())
}

fn owner<'a>(call: &Call<'a>) -> Owner<'a> {
    Owner { key: call.arg(1), group: call.arg(2), consumer: call.arg(3) }
}

/// Fails unless there is a stream with the group. This look is a read, as in Redis: it counts as a hit or a miss.
fn require_group(call: &mut Call<'_>) -> Result<()> {
    let (key, group) = (call.arg(1), call.arg(2));
    let known = call.keys.value::<Stream>(key)?.is_some_and(|stream| stream.group(group).is_some());
    if known { Ok(()) } else { Err(no_group(key, group)) }
}

/// An argument that must be an integer, with an error text of its own.
fn int(call: &Call<'_>, index: usize, error: &'static str) -> Result<i64> {
    number::parse_i64(call.arg(index)).ok_or_else(|| Error::new(error))
}

/// XCLAIM's options, from the first argument that is no id on.
fn claim_options(call: &Call<'_>, mut index: usize, min_idle_ms: u64) -> Result<ClaimOptions> {
    let mut options = ClaimOptions { min_idle_ms, ..ClaimOptions::default() };
    let mut delivery_time = None;
    while index < call.args.len() {
        let more = index + 1 < call.args.len();
        let is = |word| call.args.is(index, word);
        if is("FORCE") {
            options.force = true;
        } else if is("JUSTID") {
            options.just_id = true;
        } else if is("IDLE") && more {
            let idle = int(call, index + 1, "ERR Invalid IDLE option argument for XCLAIM")?;
            delivery_time = Some(call.keys.now_ms.saturating_sub(idle));
            index += 1;
        } else if is("TIME") && more {
            delivery_time = Some(int(call, index + 1, "ERR Invalid TIME option argument for XCLAIM")?);
            index += 1;
        } else if is("RETRYCOUNT") && more {
            let count = int(call, index + 1, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
            // Below 0 it is as if none was given.
            options.retry_count = u64::try_from(count).ok();
            index += 1;
        } else if is("LASTID") && more {
            options.last_id = ids::strict(call.arg(index + 1), 0)?;
            index += 1;
        } else {
            let option = super::text(call.arg(index));
            return Err(Error::new(format!("ERR Unrecognized XCLAIM option '{option}'")));
        }
        index += 1;
    }
    // A time below 0 is nonsense and stands for now, as one in the future does.
    options.delivery_time = delivery_time.and_then(|time| u64::try_from(time).ok());
    Ok(options)
}

/// XAUTOCLAIM's start, count, and what it has of XCLAIM's options.
fn auto_claim_options(call: &Call<'_>) -> Result<(StreamId, usize, ClaimOptions)> {
    /// Redis's largest COUNT: a sixteenth of the largest integer.
    const COUNT_MAX: i64 = i64::MAX / 16;
    const COUNT_DEFAULT: i64 = 100;
    const COUNT_ERROR: &str = "ERR COUNT must be > 0";

    let min_idle_ms = int(call, 4, "ERR Invalid min-idle-time argument for XAUTOCLAIM")?;
    let start = ids::start(call.arg(5))?;
    let (mut count, mut just_id) = (COUNT_DEFAULT, false);
    let mut index = 6;
    while index < call.args.len() {
        if call.args.is(index, "COUNT") && index + 1 < call.args.len() {
            count = int(call, index + 1, COUNT_ERROR)?;
            if !(1..=COUNT_MAX).contains(&count) {
                return Err(Error::new(COUNT_ERROR));
            }
            index += 1;
        } else if call.args.is(index, "JUSTID") {
            just_id = true;
        } else {
            return Err(SYNTAX);
        }
        index += 1;
    }
    let min_idle_ms = u64::try_from(min_idle_ms).unwrap_or(0);
    Ok((start, count as usize, ClaimOptions { min_idle_ms, just_id, ..ClaimOptions::default() }))
}

fn reply_claimed<'c>(out: &mut Reply, stream: &Stream, moved: impl Iterator<Item = &'c Claimed>, just_id: bool) {
    reply_each(out, moved, |out, claimed| match stream.get(claimed.id) {
        Some(entry) if !just_id => reply_entry(out, &entry),
        _ => reply_id(out, claimed.id),
    });
}

/// What replicas do likewise. The claims create the consumer by the way; without any, that must be said.
fn collect(
    effects: &mut Collected,
    stream: &Stream,
    owner: Owner<'_>,
    claimed: &[Claimed],
    created: bool,
    now_ms: u64,
) {
    let Some(group) = stream.group(owner.group) else { return };
    if created && claimed.is_empty() {
        effects.add(|| owner.create());
    }
    for Claimed { id, claim } in claimed {
        match (claim, group.pending(*id, *id).next()) {
            (Claim::Moved, Some(pending)) => effects.add(|| owner.claim(&pending, group.last_id())),
            _ => effects.add(|| owner.claim_gone(*id, now_ms, group.last_id())),
        }
    }
}

fn count_changes(call: &mut Call<'_>, key: &[u8], created: bool, changes: u64) {
    if created {
        note(call, key, "xgroup-createconsumer");
    }
    call.keys.add_dirty(changes);
}
