//! XREAD and XREADGROUP: entries of several streams, new ones or, for a consumer, those it was given before.
//!
//! Both first resolve every stream's position, where all errors come from, and then serve. What can be served at all is
//! known before the reply begins, so its head needs no correction.

use smallvec::SmallVec;
use store::guard::Plan;
use store::hash::hash_bytes;
use store::stripe::Mode;
use store::value::stream::{Delivery, Stream, StreamId};

use super::effects::{Collected, Owner};
use super::group::note;
use super::{count_or_all, ids, reply_entries, reply_entry, reply_id, text};
use crate::args::{Args, OwnedArgs};
use crate::blocking::{self, Block, Blocking, End, Served};
use crate::call::Call;
use crate::effect::{Class, Effect};
use crate::error::{Error, NOT_INTEGER, Result, SYNTAX};
use crate::number;
use crate::reply::Reply;

/// The options of both commands.
#[derive(Default)]
struct Options<'a> {
    count: usize,
    /// When waiting ends, in milliseconds since 1970; never if there is no end. `None` is not to wait at all.
    block: Option<Option<i64>>,
    group: Option<(&'a [u8], &'a [u8])>,
    no_ack: bool,
    /// The first key, and how many there are.
    streams_at: usize,
    streams: usize,
}

/// Where to read on in one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// After this id.
    After(StreamId),
    /// What the group has not read.
    New,
}

/// The positions of all streams. Few commands name more than a handful.
type Positions = SmallVec<[Position; 8]>;

impl<'a> Options<'a> {
    fn parse(args: Args<'a>, name: &str, now_ms: i64, reads_group: bool) -> Result<Self> {
        let only_group = |option: &str| {
            let message = format!("ERR The {option} option is only supported by XREADGROUP. You called XREAD instead.");
            Err(Error::new(message))
        };
        let mut options = Self { count: usize::MAX, ..Self::default() };
        let mut index = 1;
        while index < args.len() {
            let more = args.len() - index - 1;
            let is = |word| args.is(index, word);
            if is("BLOCK") && more > 0 {
                options.block = Some(deadline(now_ms, args.get(index + 1))?);
                index += 2;
            } else if is("COUNT") && more > 0 {
                options.count = count_or_all(number::parse_i64(args.get(index + 1)).ok_or(NOT_INTEGER)?);
                index += 2;
            } else if is("STREAMS") && more > 0 {
                if !more.is_multiple_of(2) {
                    return Err(unbalanced(name, reads_group));
                }
                (options.streams_at, options.streams) = (index + 1, more / 2);
                break;
            } else if is("GROUP") && more >= 2 {
                if !reads_group {
                    return only_group("GROUP");
                }
                options.group = Some((args.get(index + 1), args.get(index + 2)));
                index += 3;
            } else if is("NOACK") {
                if !reads_group {
                    return only_group("NOACK");
                }
                options.no_ack = true;
                index += 1;
            } else {
                return Err(SYNTAX);
            }
        }
        if options.streams == 0 {
            return Err(SYNTAX);
        }
        Ok(options)
    }

    fn keys(&self, args: Args<'a>) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        args.from(self.streams_at).take(self.streams)
    }

    fn ids(&self, args: Args<'a>) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        args.from(self.streams_at + self.streams)
    }
}

fn unbalanced(name: &str, reads_group: bool) -> Error {
    let what = if reads_group { "ID or '>'" } else { "ID, '+', or '$'" };
    Error::new(format!("ERR Unbalanced '{name}' list of streams: for each stream key an {what} must be specified."))
}

/// BLOCK's argument, in milliseconds.
fn deadline(now_ms: i64, timeout: &[u8]) -> Result<Option<i64>> {
    let error = || Error::new("ERR timeout is not an integer or out of range");
    blocking::deadline_ms(now_ms, number::parse_i64(timeout).ok_or_else(error)?)
}

pub(super) fn xread(call: &mut Call<'_>) -> Result<Effect> {
    let options = Options::parse(call.args, call.spec.full_name, call.keys.now_ms, false)?;
    let mut positions: SmallVec<[StreamId; 8]> = SmallVec::new();
    for (key, id) in options.keys(call.args).zip(options.ids(call.args)) {
        let stream = call.keys.value::<Stream>(key)?;
        positions.push(match id {
            b"$" => stream.map_or(StreamId::MIN, Stream::last_id),
            // Before the last entry, which XDEL may have left below the last id.
            b"+" => stream.and_then(Stream::last).and_then(|entry| entry.id().prev()).unwrap_or(StreamId::MIN),
            b">" => return Err(Error::new(NEW_WITHOUT_GROUP)),
            id => ids::strict(id, 0)?,
        });
    }
    let mut served: SmallVec<[bool; 8]> = SmallVec::new();
    for (key, after) in options.keys(call.args).zip(&positions) {
        let last = call.keys.value::<Stream>(key)?.and_then(Stream::last);
        served.push(last.is_some_and(|last| last.id() > *after));
    }
    let count = served.iter().filter(|served| **served).count();
    if count == 0 {
        // What `$` stands for is settled when the wait begins.
        let head = call.args.from(0).take(options.streams_at + options.streams).map(Vec::from);
        let args = head.chain(positions.iter().map(|id| id.to_string().into_bytes())).collect();
        return Ok(nothing(call, &options, Effect::None, Some(args)));
    }
    call.out.map_of_streams(count);
    for ((key, after), _) in options.keys(call.args).zip(positions).zip(served).filter(|(_, served)| *served) {
        if let Some(stream) = call.keys.peek(key).and_then(|entry| entry.get::<Stream>()) {
            call.out.stream_name(key);
            reply_entries(call.out, stream.after(after).take(options.count));
        }
    }
    Ok(Effect::None)
}

const NEW_WITHOUT_GROUP: &str =
    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.";

pub(super) fn xreadgroup(call: &mut Call<'_>) -> Result<Effect> {
    let options = Options::parse(call.args, call.spec.full_name, call.keys.now_ms, true)?;
    let Some((group, consumer)) = options.group else {
        return Err(Error::new("ERR Missing GROUP option for XREADGROUP"));
    };
    let positions = group_positions(call, &options, group)?;
    let now_ms = call.keys.now_ms as u64;
    let mut effects = Collected::new(call.env);
    let mut servings: SmallVec<[Option<Serving>; 8]> = SmallVec::new();
    for (key, position) in options.keys(call.args).zip(positions) {
        let owner = Owner { key, group, consumer };
        let Some(mut stream) = call.keys.value_mut::<Stream>(key)? else { continue };
        let created = stream.touch_consumer(group, consumer, now_ms) == Some(true);
        let serving = serve(&mut stream, owner, position, &options, now_ms);
        let delivered = matches!(serving, Some(Serving::New(_)));
        if created && (options.no_ack || !delivered) {
            effects.add(|| owner.create());
        }
        if let Some(Serving::New(delivery)) = &serving {
            collect(&mut effects, &stream, owner, delivery, options.no_ack);
        }
        drop(stream);
        servings.push(serving);
        call.keys.add_dirty(u64::from(delivered));
        if created {
            note(call, key, "xgroup-createconsumer");
        }
    }
    let effect = effects.finish();
    let count = servings.iter().flatten().count();
    if count == 0 {
        return Ok(nothing(call, &options, effect, None));
    }
    call.out.map_of_streams(count);
    for (key, serving) in options.keys(call.args).zip(servings) {
        let stream = call.keys.peek(key).and_then(|entry| entry.get::<Stream>());
        if let (Some(serving), Some(stream)) = (serving, stream) {
            call.out.stream_name(key);
            serving.reply(call.out, stream);
        }
    }
    Ok(effect)
}

/// Where the group reads on in each stream; fails unless all are streams with such a group.
fn group_positions(call: &mut Call<'_>, options: &Options<'_>, group: &[u8]) -> Result<Positions> {
    let mut positions = Positions::new();
    for (key, id) in options.keys(call.args).zip(options.ids(call.args)) {
        if call.keys.value::<Stream>(key)?.is_none_or(|stream| stream.group(group).is_none()) {
            return Err(no_group(key, group));
        }
        positions.push(match id {
            b"$" | b"+" => return Err(meaningless(&text(id))),
            b">" => Position::New,
            id => match ids::strict(id, 0)? {
                // The largest id is how Redis notes `>`.
                StreamId::MAX => Position::New,
                id => Position::After(id),
            },
        });
    }
    Ok(positions)
}

fn no_group(key: &[u8], group: &[u8]) -> Error {
    let (key, group) = (text(key), text(group));
    Error::new(format!("NOGROUP No such key '{key}' or consumer group '{group}' in XREADGROUP with GROUP option"))
}

fn meaningless(id: &str) -> Error {
    Error::new(format!(
        "ERR The {id} ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
         specifying a proper ID, or use the > ID to get new messages. The {id} ID would just return an empty result set."
    ))
}

/// What a consumer gets of one stream.
enum Serving {
    /// New entries: those the stream has from the first to the last of the delivery.
    New(Delivery),
    /// Entries it was given before, and whether the stream still has them.
    History(Vec<(StreamId, bool)>),
}

fn serve(
    stream: &mut Stream,
    owner: Owner<'_>,
    position: Position,
    options: &Options<'_>,
    now_ms: u64,
) -> Option<Serving> {
    let Owner { group, consumer, .. } = owner;
    // What was read is 0 for all in the value's own terms.
    let count = if options.count == usize::MAX { 0 } else { options.count };
    match position {
        Position::New => stream.deliver(group, consumer, count, options.no_ack, now_ms).map(Serving::New),
        Position::After(id) => Some(Serving::History(stream.redeliver(group, consumer, id, count, now_ms))),
    }
}

impl Serving {
    fn reply(self, out: &mut Reply, stream: &Stream) {
        match self {
            Self::New(delivery) => {
                out.array(delivery.count);
                stream.range(delivery.first, delivery.last).for_each(|entry| reply_entry(out, &entry));
            }
            Self::History(ids) => {
                out.array(ids.len());
                ids.into_iter().for_each(|(id, _)| match stream.get(id) {
                    Some(entry) => reply_entry(out, &entry),
                    None => {
                        out.array(2);
                        reply_id(out, id);
                        out.null_array();
                    }
                });
            }
        }
    }
}

/// A claim for each entry that is pending now, and where the group stands. History is no effect: replicas need not know
/// how often an entry was looked at.
fn collect(effects: &mut Collected, stream: &Stream, owner: Owner<'_>, delivery: &Delivery, no_ack: bool) {
    let Some(group) = stream.group(owner.group) else { return };
    if !no_ack {
        for entry in stream.range(delivery.first, delivery.last) {
            let id = entry.id();
            for pending in group.pending(id, id) {
                effects.add(|| owner.claim(&pending, id));
            }
        }
    }
    effects.add(|| owner.set_id(group));
}

/// Nothing can be served now. `effect` is what has been done already: the consumer may be new.
fn nothing(call: &mut Call<'_>, options: &Options<'_>, effect: Effect, args: Option<OwnedArgs>) -> Effect {
    let Some(deadline_ms) = options.block else {
        call.out.null_array();
        return effect;
    };
    let before = match effect {
        Effect::Rewritten(commands) => commands,
        Effect::None | Effect::AsIs | Effect::Block(_) => Vec::new(),
    };
    let keys = options.streams_at..options.streams_at + options.streams;
    Effect::Block(Box::new(Block { keys, deadline_ms, args, before, ..Block::default() }))
}

/// How XREAD waits: for entries behind those it knows. That its key goes away does not concern it.
pub(super) const WAIT: Blocking = Blocking::on(serve_xread);

fn serve_xread(serving: &mut blocking::Serving<'_, '_>, key: &[u8]) -> Result<Served> {
    let args = serving.args;
    let options = Options::parse(args, "xread", serving.keys.now_ms, false)?;
    let Some((_, id)) = options.keys(args).zip(options.ids(args)).find(|(name, _)| *name == key) else {
        return Ok(Served::No);
    };
    let after = ids::strict(id, 0)?;
    let stream = serving.keys.peek(key).and_then(|entry| entry.get::<Stream>());
    let Some(stream) = stream.filter(|stream| stream.last().is_some_and(|last| last.id() > after)) else {
        return Ok(Served::No);
    };
    if !serving.waiter.claim(End::Served) {
        return Ok(Served::No);
    }
    serving.out.map_of_streams(1);
    serving.out.stream_name(key);
    reply_entries(serving.out, stream.after(after).take(options.count));
    Ok(Served::Yes(Effect::None))
}

/// How XREADGROUP waits: it is told when its key or its group goes away.
pub(super) const WAIT_IN_GROUP: Blocking = Blocking { on_no_key: true, ..Blocking::on(serve_xreadgroup) };

fn serve_xreadgroup(serving: &mut blocking::Serving<'_, '_>, key: &[u8]) -> Result<Served> {
    let options = Options::parse(serving.args, "xreadgroup", serving.keys.now_ms, true)?;
    let Some((group, consumer)) = options.group else { return Ok(Served::No) };
    let (owner, now_ms) = (Owner { key, group, consumer }, serving.keys.now_ms as u64);
    let stream = serving.keys.value_mut::<Stream>(key)?;
    let Some(mut stream) = stream.filter(|stream| stream.group(group).is_some()) else {
        return Err(no_group(key, group));
    };
    let has_new = stream.group(group).zip(stream.last()).is_some_and(|(group, last)| last.id() > group.last_id());
    if !has_new || !serving.waiter.claim(End::Served) {
        return Ok(Served::No);
    }
    let mut effects = Collected::new(serving.env);
    let created = stream.touch_consumer(group, consumer, now_ms) == Some(true);
    let served = serve(&mut stream, owner, Position::New, &options, now_ms);
    if created && options.no_ack {
        effects.add(|| owner.create());
    }
    if let Some(Serving::New(delivery)) = &served {
        collect(&mut effects, &stream, owner, delivery, options.no_ack);
    }
    serving.out.map_of_streams(1);
    serving.out.stream_name(key);
    match served {
        Some(served) => served.reply(serving.out, &stream),
        None => serving.out.array(0),
    }
    drop(stream);
    if created {
        serving.keys.event(key, Class::STREAM, "xgroup-createconsumer");
    }
    serving.keys.add_dirty(1);
    Ok(Served::Yes(effects.finish()))
}

/// The keys of XREADGROUP: its key specification looks for the word STREAMS alone, which may be a group's name as well.
pub(super) fn plan_xreadgroup(args: Args<'_>, db: u32, plan: &mut Plan) {
    let Some(streams_at) = streams_at(args) else { return };
    let streams = (args.len() - streams_at) / 2;
    args.from(streams_at).take(streams).for_each(|key| plan.add(db, hash_bytes(key), Mode::Exclusive));
}

/// Where the keys begin, by the options before them.
fn streams_at(args: Args<'_>) -> Option<usize> {
    let mut index = 1;
    while index < args.len() {
        index += match args.get(index) {
            word if word.eq_ignore_ascii_case(b"STREAMS") => return Some(index + 1),
            word if word.eq_ignore_ascii_case(b"GROUP") => 3,
            word if word.eq_ignore_ascii_case(b"NOACK") => 1,
            _ => 2,
        };
    }
    None
}

impl Reply {
    /// The head of what was read of so many streams.
    fn map_of_streams(&mut self, streams: usize) {
        if self.resp3() { self.map(streams) } else { self.array(streams) }
    }

    /// A stream's key, before its entries.
    fn stream_name(&mut self, key: &[u8]) {
        if !self.resp3() {
            self.array(2);
        }
        self.bulk(key);
    }
}
