//! XRANGE, XREVRANGE and XLEN.

use store::value::stream::Stream;

use super::{count_or_all, ids, reply_entries};
use crate::call::Call;
use crate::effect::Effect;
use crate::error::{Result, SYNTAX};

pub(super) fn xlen(call: &mut Call<'_>) -> Result<Effect> {
    let len = call.keys.value::<Stream>(call.args.get(1))?.map_or(0, Stream::len);
    call.out.int(len as i64);
    Ok(Effect::None)
}

pub(super) fn xrange(call: &mut Call<'_>) -> Result<Effect> {
    range(call, false)
}

pub(super) fn xrevrange(call: &mut Call<'_>) -> Result<Effect> {
    range(call, true)
}

fn range(call: &mut Call<'_>, reverse: bool) -> Result<Effect> {
    let (start, end) = if reverse { (call.arg(3), call.arg(2)) } else { (call.arg(2), call.arg(3)) };
    let (first, last) = (ids::start(start)?, ids::end(end)?);
    let mut count = None;
    let mut index = 4;
    while index < call.args.len() {
        if !call.args.is(index, "COUNT") || index + 1 == call.args.len() {
            return Err(SYNTAX);
        }
        count = Some(call.int(index + 1)?);
        index += 2;
    }
    let Some(stream) = call.keys.value::<Stream>(call.args.get(1))? else {
        call.out.array(0);
        return Ok(Effect::None);
    };
    // -1 was Redis's own word for no COUNT; whatever else is below 1 asks for nothing.
    let count = match count {
        None => usize::MAX,
        Some(..=0) => {
            call.out.null_array();
            return Ok(Effect::None);
        }
        Some(count) => count_or_all(count),
    };
    if reverse {
        reply_entries(call.out, stream.range_rev(first, last).take(count));
    } else {
        reply_entries(call.out, stream.range(first, last).take(count));
    }
    Ok(Effect::None)
}
