//! Streams: the nodes, the counters, then each consumer group with what is pending in it, and for whom.

use store::value::stream::{
    ConsumerParts, CountersParts, Group, GroupParts, PendingParts, Stream, StreamId, StreamParts,
};

use super::{Type, repeat};
use crate::error::{Problem, Result};
use crate::read::Reader;
use crate::write::Writer;

/// Stands for "not known" among numbers of entries read, and for "never" among times.
const NONE: i64 = -1;

/// The newest type tells one thing more than the one before: when a consumer was last given something. Where that is
/// when it was last seen, the older type says the same, for it is read so.
pub(super) fn type_of(stream: &Stream) -> Type {
    let consumers = stream.groups().flat_map(|(_, group)| group.consumers());
    let has_two_times = consumers.into_iter().any(|consumer| consumer.active_time() != Some(consumer.seen_time()));
    if has_two_times { Type::StreamV3 } else { Type::StreamV2 }
}

pub(super) fn write(stream: &Stream, value_type: Type, out: &mut Writer<'_>) {
    out.count(stream.nodes().len());
    for (master, listpack) in stream.nodes() {
        out.string(&master.to_be_bytes());
        out.string(listpack.as_bytes());
    }
    out.len(stream.len());
    out.id(stream.last_id());
    out.id(stream.first_id());
    out.id(stream.max_deleted_id());
    out.len(stream.entries_added());
    out.count(stream.groups().len());
    for (name, group) in stream.groups() {
        out.string(name);
        write_group(group, value_type, out);
    }
}

fn write_group(group: &Group, value_type: Type, out: &mut Writer<'_>) {
    out.id(group.last_id());
    out.len(group.entries_read().unwrap_or(NONE as u64));
    out.count(group.pending_len());
    for pending in group.pending(StreamId::MIN, StreamId::MAX) {
        out.raw(&pending.id.to_be_bytes());
        out.raw(&pending.delivery_time.to_le_bytes());
        out.len(pending.delivery_count);
    }
    out.count(group.consumers().len());
    for consumer in group.consumers() {
        out.string(consumer.name());
        out.raw(&consumer.seen_time().to_le_bytes());
        if value_type == Type::StreamV3 {
            out.raw(&consumer.active_time().unwrap_or(NONE as u64).to_le_bytes());
        }
        out.count(consumer.pending_len());
        consumer.pending_ids().for_each(|id| out.raw(&id.to_be_bytes()));
    }
}

pub(super) fn read(value_type: Type, reader: &mut Reader<'_>) -> Result<Stream> {
    let start = reader.clone();
    let has_counters = value_type != Type::StreamV1;
    let mut parts = StreamParts::default();
    repeat(reader, |reader| {
        parts.nodes.push(node(reader)?);
        Ok(())
    })?;
    parts.length = reader.length()?;
    parts.last_id = reader.id()?;
    if has_counters {
        let (first_id, max_deleted_id, entries_added) = (reader.id()?, reader.id()?, reader.length()?);
        parts.counters = Some(CountersParts { first_id, max_deleted_id, entries_added });
    }
    repeat(reader, |reader| {
        parts.groups.push(group(value_type, reader)?);
        Ok(())
    })?;
    Stream::from_parts(parts).map_err(|corrupt| start.error(Problem::Stream(corrupt)))
}

fn node(reader: &mut Reader<'_>) -> Result<(StreamId, Vec<u8>)> {
    let start = reader.clone();
    let id = <[u8; 16]>::try_from(&*reader.string()?).map_err(|_| start.error(Problem::StreamId))?;
    Ok((StreamId::from_be_bytes(id), reader.string()?.into_owned()))
}

fn group(value_type: Type, reader: &mut Reader<'_>) -> Result<GroupParts> {
    let mut group = GroupParts { name: reader.string()?.into_owned(), last_id: reader.id()?, ..Default::default() };
    if value_type != Type::StreamV1 {
        group.entries_read = known(reader.length()? as i64);
    }
    repeat(reader, |reader| {
        let (id, delivery_time) = (reader.raw_id()?, time(reader)?);
        group.pending.push(PendingParts { id, delivery_time, delivery_count: reader.length()? });
        Ok(())
    })?;
    repeat(reader, |reader| {
        group.consumers.push(consumer(value_type, reader)?);
        Ok(())
    })?;
    Ok(group)
}

fn consumer(value_type: Type, reader: &mut Reader<'_>) -> Result<ConsumerParts> {
    let (name, seen_time) = (reader.string()?.into_owned(), time(reader)?);
    let active_time = if value_type == Type::StreamV3 { known(reader.millis()?) } else { Some(seen_time) };
    let mut consumer = ConsumerParts { name, seen_time, active_time, pending: Vec::new() };
    repeat(reader, |reader| {
        consumer.pending.push(reader.raw_id()?);
        Ok(())
    })?;
    Ok(consumer)
}

/// A time of the past; whoever wrote one before 1970 had a broken clock.
fn time(reader: &mut Reader<'_>) -> Result<u64> {
    Ok(u64::try_from(reader.millis()?).unwrap_or(0))
}

fn known(number: i64) -> Option<u64> {
    u64::try_from(number).ok()
}
