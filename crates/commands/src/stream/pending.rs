//! XPENDING: what a group has handed out and not got acknowledged.

use store::value::stream::{Group, Pending, Stream, StreamId};

use super::{ids, no_group, reply_each, reply_id};
use crate::call::Call;
use crate::effect::Effect;
use crate::error::{Result, SYNTAX};
use crate::reply::Reply;

/// Which entries to list; without this, XPENDING sums up.
struct Filter<'a> {
    min_idle_ms: u64,
    first: StreamId,
    last: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    fn parse(call: &Call<'a>) -> Result<Option<Self>> {
        let len = call.args.len();
        if len == 3 {
            return Ok(None);
        }
        if !(6..=9).contains(&len) {
            return Err(SYNTAX);
        }
        let (mut min_idle_ms, mut at) = (0, 3);
        if call.args.is(3, "IDLE") {
            min_idle_ms = call.int(4)?;
            if len < 8 {
                return Err(SYNTAX);
            }
            at = 5;
        }
        let count = call.int(at + 2)?;
        Ok(Some(Self {
            min_idle_ms: u64::try_from(min_idle_ms).unwrap_or(0),
            first: ids::start(call.arg(at))?,
            last: ids::end(call.arg(at + 1))?,
            count: usize::try_from(count).unwrap_or(0),
            consumer: call.args.opt(at + 3),
        }))
    }
}

pub(super) fn xpending(call: &mut Call<'_>) -> Result<Effect> {
    let filter = Filter::parse(call)?;
    let (key, name, now_ms) = (call.arg(1), call.arg(2), call.keys.now_ms as u64);
    let group = call.keys.value::<Stream>(key)?.and_then(|stream| stream.group(name));
    let group = group.ok_or_else(|| no_group(key, name))?;
    match filter {
        None => summary(call.out, group),
        Some(filter) => match filter.consumer {
            None => list(call.out, group.pending(filter.first, filter.last), &filter, now_ms),
            Some(consumer) => {
                list(call.out, group.pending_of(consumer, filter.first, filter.last), &filter, now_ms);
            }
        },
    }
    Ok(Effect::None)
}

fn summary(out: &mut Reply, group: &Group) {
    out.array(4);
    out.len(group.pending_len());
    let Some((first, last)) = group.pending_bounds() else {
        out.null();
        out.null();
        out.null_array();
        return;
    };
    reply_id(out, first);
    reply_id(out, last);
    let busy = group.consumers().filter(|consumer| consumer.pending_len() > 0);
    reply_each(out, busy, |out, consumer| {
        out.array(2);
        out.bulk(consumer.name());
        out.bulk_int(consumer.pending_len() as i64);
    });
}

fn list<'g>(out: &mut Reply, pending: impl Iterator<Item = Pending<'g>>, filter: &Filter<'_>, now_ms: u64) {
    let idle_enough = pending.filter(|pending| pending.idle_ms(now_ms) >= filter.min_idle_ms);
    reply_each(out, idle_enough.take(filter.count), |out, pending| {
        out.array(4);
        reply_id(out, pending.id);
        out.bulk(pending.consumer);
        out.int(pending.idle_ms(now_ms) as i64);
        out.int(pending.delivery_count as i64);
    });
}
