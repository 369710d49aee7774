//! XADD, XTRIM and XSETID.

use store::entry::Entry;
use store::value::Limits;
use store::value::stream::{AddError, Keep, NewId, SetIdError, Stream, StreamId, Trim};

use super::ids::{self, IdText};
use super::reply_id;
use crate::args::{Args, OwnedArgs};
use crate::call::Call;
use crate::client::ClientFlags;
use crate::effect::{Class, Effect};
use crate::error::{Error, NO_SUCH_KEY, Result, SYNTAX};

/// XADD's options.
struct AddOptions {
    id: NewId,
    id_at: usize,
    no_mkstream: bool,
    trim: Option<TrimOption>,
}

/// `MAXLEN` or `MINID` with what belongs to it.
struct TrimOption {
    trim: Trim,
    threshold_at: usize,
    limit_at: Option<usize>,
}

/// The options of XADD and XTRIM while they are read.
#[derive(Default)]
struct Parser {
    no_mkstream: bool,
    keep: Option<(Keep, usize)>,
    approximate: bool,
    limit: Option<(u64, usize)>,
}

impl Parser {
    /// Reads the option at `index`, if it is one, and returns where the next one is.
    fn option(&mut self, call: &Call<'_>, index: usize) -> Result<Option<usize>> {
        let more = index + 1 < call.args.len();
        if more && call.args.is(index, "MAXLEN") {
            let at = self.threshold(call.args, index)?;
            let count = u64::try_from(call.int(at)?);
            let count = count.map_err(|_| Error::new("ERR The MAXLEN argument must be >= 0."))?;
            self.keep = Some((Keep::Newest(count), at));
            return Ok(Some(at + 1));
        }
        if more && call.args.is(index, "MINID") {
            let at = self.threshold(call.args, index)?;
            self.keep = Some((Keep::From(ids::strict(call.arg(at), 0)?), at));
            return Ok(Some(at + 1));
        }
        if more && call.args.is(index, "LIMIT") {
            let limit = u64::try_from(call.int(index + 1)?);
            self.limit = Some((limit.map_err(|_| Error::new("ERR The LIMIT argument must be >= 0."))?, index));
            return Ok(Some(index + 2));
        }
        Ok(None)
    }

    /// Where the threshold of the strategy at `index` is.
    fn threshold(&mut self, args: Args<'_>, index: usize) -> Result<usize> {
        if self.keep.is_some() {
            let both = "ERR syntax error, MAXLEN and MINID options at the same time are not compatible";
            return Err(Error::new(both));
        }
        let operator =
            (index + 2 < args.len()).then(|| args.get(index + 1)).filter(|word| matches!(*word, b"~" | b"="));
        self.approximate = operator == Some(b"~");
        Ok(index + 1 + usize::from(operator.is_some()))
    }

    fn finish(&self, call: &Call<'_>) -> Result<Option<TrimOption>> {
        let Some((keep, threshold_at)) = self.keep else {
            return match self.limit {
                Some((1.., _)) => {
                    Err(Error::new("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"))
                }
                _ => Ok(None),
            };
        };
        self.limit_without_approximation(call)?;
        let limit = match self.limit {
            _ if obeys(call) => 0,
            Some((limit, _)) => limit,
            None if self.approximate => Trim::default_limit(&call.env.limits),
            None => 0,
        };
        let trim = Trim { keep, approximate: self.approximate, limit };
        Ok(Some(TrimOption { trim, threshold_at, limit_at: self.limit.map(|(_, at)| at) }))
    }

    fn limit_without_approximation(&self, call: &Call<'_>) -> Result<()> {
        if self.limit.is_some() && !self.approximate && !obeys(call) {
            return Err(Error::new("ERR syntax error, LIMIT cannot be used without the special ~ option"));
        }
        Ok(())
    }
}

/// Whether the client is a primary. Redis leaves the LIMIT of an approximate trim in the effect, which is exact, and its
/// replicas overlook it.
fn obeys(call: &Call<'_>) -> bool {
    call.session.client.flags().contains(ClientFlags::MASTER)
}

impl AddOptions {
    fn parse(call: &Call<'_>) -> Result<Self> {
        let (mut parser, mut index) = (Parser::default(), 2);
        let mut id = None;
        while index < call.args.len() {
            if call.arg(index) == b"*" {
                id = Some(NewId::Auto);
                break;
            }
            if let Some(next) = parser.option(call, index)? {
                index = next;
            } else if call.args.is(index, "NOMKSTREAM") {
                parser.no_mkstream = true;
                index += 1;
            } else {
                id = Some(ids::new(call.arg(index))?);
                break;
            }
        }
        let trim = parser.finish(call)?;
        if trim.is_none() {
            // A LIMIT of 0 is found wrong by its operator only.
            parser.limit_without_approximation(call)?;
        }
        let fields = call.args.len().saturating_sub(index + 1);
        let Some(id) = id.filter(|_| fields >= 2 && fields.is_multiple_of(2)) else { return Err(call.wrong_arity()) };
        if id == NewId::Exact(StreamId::MIN) {
            return Err(add_error(AddError::Zero));
        }
        Ok(Self { id, id_at: index, no_mkstream: parser.no_mkstream, trim })
    }
}

pub(super) fn xadd(call: &mut Call<'_>) -> Result<Effect> {
    let options = AddOptions::parse(call)?;
    let (key, args, now_ms) = (call.arg(1), call.args, call.keys.now_ms as u64);
    let limits = &call.env.limits;
    let added = if let Some(mut stream) = call.keys.value_mut::<Stream>(key)? {
        add(&mut stream, &options, args, now_ms, limits)?
    } else if options.no_mkstream {
        call.out.null();
        return Ok(Effect::None);
    } else {
        let mut stream = Stream::new();
        let added = add(&mut stream, &options, args, now_ms, limits)?;
        call.keys.insert(key, Entry::boxed(key, stream, None));
        added
    };
    reply_id(call.out, added.id);
    call.keys.changed(key, Class::STREAM, "xadd");
    if added.trimmed > 0 {
        call.keys.event(key, Class::STREAM, "xtrim");
    }
    let approximate = options.trim.as_ref().is_some_and(|option| option.trim.approximate);
    if !call.env.host.log_is_on() || (matches!(options.id, NewId::Exact(_)) && !approximate) {
        return Ok(Effect::AsIs);
    }
    let trim = options.trim.as_ref().map(|option| (option, added.left));
    Ok(Effect::Rewritten(vec![exact(args, trim, Some((options.id_at, added.id)))]))
}

/// What XADD did.
struct Added {
    id: StreamId,
    trimmed: u64,
    left: Left,
}

/// What describes a stream after an approximate trim, so that an exact one leaves the same.
#[derive(Clone, Copy)]
struct Left {
    len: u64,
    first: StreamId,
}

impl Left {
    fn of(stream: &Stream) -> Self {
        let first = if stream.is_empty() { StreamId::MAX } else { stream.first_id() };
        Self { len: stream.len(), first }
    }
}

fn add(stream: &mut Stream, options: &AddOptions, args: Args<'_>, now_ms: u64, limits: &Limits) -> Result<Added> {
    let first = options.id_at + 1;
    let fields = (first..args.len()).step_by(2).map(|at| (args.get(at), args.get(at + 1)));
    let id = stream.append(options.id, fields, now_ms, limits).map_err(add_error)?;
    let trimmed = options.trim.as_ref().map_or(0, |option| stream.trim(&option.trim));
    Ok(Added { id, trimmed, left: Left::of(stream) })
}

fn add_error(error: AddError) -> Error {
    Error::new(match error {
        AddError::Zero => "ERR The ID specified in XADD must be greater than 0-0",
        AddError::Exhausted => "ERR The stream has exhausted the last possible ID, unable to add more items",
        AddError::NotGreater => "ERR The ID specified in XADD is equal or smaller than the target stream top item",
        AddError::TooLarge => "ERR Elements are too large to be stored",
    })
}

/// The command with an exact trim that leaves the same, without its LIMIT, and with the id that the entry got.
fn exact(args: Args<'_>, trim: Option<(&TrimOption, Left)>, id: Option<(usize, StreamId)>) -> OwnedArgs {
    let mut command = OwnedArgs::default();
    for (index, arg) in args.from(0).enumerate() {
        match (trim, id) {
            (Some((option, left)), _) if index == option.threshold_at && option.trim.approximate => {
                match option.trim.keep {
                    Keep::Newest(_) => command.push(itoa::Buffer::new().format(left.len).as_bytes()),
                    Keep::From(_) => command.push(IdText::new(left.first).as_ref()),
                }
            }
            (Some((option, _)), _) if index + 1 == option.threshold_at && option.trim.approximate => command.push(b"="),
            (Some((TrimOption { limit_at: Some(at), .. }, _)), _) if index == *at || index == at + 1 => {}
            (_, Some((at, id))) if index == at => command.push(IdText::new(id).as_ref()),
            _ => command.push(arg),
        }
    }
    command
}

pub(super) fn xtrim(call: &mut Call<'_>) -> Result<Effect> {
    let (mut parser, mut index) = (Parser::default(), 2);
    while index < call.args.len() {
        index = parser.option(call, index)?.ok_or(SYNTAX)?;
    }
    let required = || Error::new("ERR syntax error, XTRIM must be called with a trimming strategy");
    let option = parser.finish(call)?.ok_or_else(required)?;
    let key = call.arg(1);
    let Some(mut stream) = call.keys.value_mut::<Stream>(key)? else {
        call.out.int(0);
        return Ok(Effect::None);
    };
    let trimmed = stream.trim(&option.trim);
    let left = Left::of(&stream);
    drop(stream);
    call.out.int(trimmed as i64);
    if trimmed == 0 {
        return Ok(Effect::None);
    }
    call.keys.changed(key, Class::STREAM, "xtrim");
    call.keys.add_dirty(trimmed - 1);
    if option.trim.approximate && call.env.host.log_is_on() {
        return Ok(Effect::Rewritten(vec![exact(call.args, Some((&option, left)), None)]));
    }
    Ok(Effect::AsIs)
}

pub(super) fn xsetid(call: &mut Call<'_>) -> Result<Effect> {
    let id = ids::strict(call.arg(2), 0)?;
    let (mut entries_added, mut max_deleted_id) = (None, None);
    let mut index = 3;
    while index < call.args.len() {
        let more = index + 1 < call.args.len();
        if more && call.args.is(index, "ENTRIESADDED") {
            let added = u64::try_from(call.int(index + 1)?);
            entries_added = Some(added.map_err(|_| Error::new("ERR entries_added must be positive"))?);
        } else if more && call.args.is(index, "MAXDELETEDID") {
            let deleted = ids::strict(call.arg(index + 1), 0)?;
            if id < deleted {
                return Err(set_id_error(SetIdError::BelowGivenDeleted));
            }
            max_deleted_id = Some(deleted);
        } else {
            return Err(SYNTAX);
        }
        index += 2;
    }
    let key = call.arg(1);
    let mut stream = call.keys.value_mut::<Stream>(key)?.ok_or(NO_SUCH_KEY)?;
    stream.set_id(id, entries_added, max_deleted_id).map_err(set_id_error)?;
    drop(stream);
    call.out.ok();
    call.keys.event(key, Class::STREAM, "xsetid");
    call.keys.add_dirty(1);
    Ok(Effect::AsIs)
}

fn set_id_error(error: SetIdError) -> Error {
    Error::new(match error {
        SetIdError::BelowGivenDeleted => {
            "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
        }
        SetIdError::BelowDeleted => "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        SetIdError::BelowTop => "ERR The ID specified in XSETID is smaller than the target stream top item",
        SetIdError::AddedBelowLength => {
            "ERR The entries_added specified in XSETID is smaller than the target stream length"
        }
    })
}
