//! XGROUP: consumer groups and their consumers.

use store::entry::Entry;
use store::guard::ValueMut;
use store::value::stream::{Stream, StreamId};

use super::{ids, no_such_group, subcommand_syntax};
use crate::call::Call;
use crate::effect::{Class, Effect};
use crate::error::{Error, Result, SYNTAX};

const HELP: [&str; 17] = [
    "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CREATE <key> <groupname> <id|$> [option]",
    "    Make a new group that begins to read after the id. Options are:",
    "    * MKSTREAM",
    "      Make an empty stream too if the key is missing.",
    "    * ENTRIESREAD entries_read",
    "      How many entries the group is taken to have read, for its lag.",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Make a new consumer in the group.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Take a consumer out of the group, with all that is pending for it.",
    "DESTROY <key> <groupname>",
    "    Remove the group with its consumers.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Let the group go on after another id, and set its count of entries.",
    "HELP",
    "    Print this help.",
];

/// What CREATE and SETID may have behind the id.
#[derive(Default)]
struct Options {
    mkstream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(call: &Call<'_>, takes_mkstream: bool) -> Result<Self> {
        let (mut options, mut index) = (Self::default(), 5);
        while index < call.args.len() {
            if takes_mkstream && call.args.is(index, "MKSTREAM") {
                options.mkstream = true;
                index += 1;
            } else if call.args.is(index, "ENTRIESREAD") && index + 1 < call.args.len() {
                options.entries_read = match call.int(index + 1)? {
                    -1 => None,
                    read => Some(
                        u64::try_from(read)
                            .map_err(|_| Error::new("ERR value for ENTRIESREAD must be positive or -1"))?,
                    ),
                };
                index += 2;
            } else {
                return subcommand_syntax("XGROUP", call.arg(1));
            }
        }
        Ok(options)
    }
}

/// Never reached: a subcommand is either found or refused before.
pub(super) fn xgroup(_: &mut Call<'_>) -> Result<Effect> {
    Err(SYNTAX)
}

pub(super) fn xgroup_create(call: &mut Call<'_>) -> Result<Effect> {
    let options = Options::parse(call, true)?;
    let (key, name) = (call.arg(2), call.arg(3));
    let last_id = call.keys.value_mut::<Stream>(key)?.map(|stream| stream.last_id());
    if last_id.is_none() && !options.mkstream {
        return Err(key_required());
    }
    // More words than CREATE has, some of them twice.
    if call.args.len() > 8 {
        return subcommand_syntax("XGROUP", call.arg(1));
    }
    let id = match call.arg(4) {
        b"$" => last_id.unwrap_or(StreamId::MIN),
        text => ids::strict(text, 0)?,
    };
    let stream = call.keys.value_mut::<Stream>(key)?;
    match stream.map(|mut stream| stream.create_group(name, id, options.entries_read)) {
        Some(true) => note(call, key, "xgroup-create"),
        Some(false) => return Err(Error::new("BUSYGROUP Consumer Group name already exists")),
        None => {
            let mut stream = Stream::new();
            stream.create_group(name, id, options.entries_read);
            call.keys.insert(key, Entry::boxed(key, stream, None));
            call.keys.changed(key, Class::STREAM, "xgroup-create");
        }
    }
    call.out.ok();
    Ok(Effect::AsIs)
}

pub(super) fn xgroup_setid(call: &mut Call<'_>) -> Result<Effect> {
    let options = Options::parse(call, false)?;
    let (key, name) = (call.arg(2), call.arg(3));
    let last_id = stream_with_group(call)?.last_id();
    if !matches!(call.args.len(), 5 | 7) {
        return subcommand_syntax("XGROUP", call.arg(1));
    }
    let id = match call.arg(4) {
        b"$" => last_id,
        text => ids::lenient(text, 0)?,
    };
    stream_with_group(call)?.set_group_id(name, id, options.entries_read);
    call.out.ok();
    note(call, key, "xgroup-setid");
    Ok(Effect::AsIs)
}

pub(super) fn xgroup_destroy(call: &mut Call<'_>) -> Result<Effect> {
    let (key, name) = (call.arg(2), call.arg(3));
    let destroyed = call.keys.value_mut::<Stream>(key)?.ok_or_else(key_required)?.destroy_group(name);
    call.out.flag(destroyed);
    if destroyed {
        note(call, key, "xgroup-destroy");
        // Who waits in this group is told that it is gone, though the stream is as it was for those who watch it.
        call.keys.ready(key);
    }
    Ok(Effect::as_is_if(destroyed))
}

pub(super) fn xgroup_createconsumer(call: &mut Call<'_>) -> Result<Effect> {
    let (key, group, name, now_ms) = (call.arg(2), call.arg(3), call.arg(4), call.keys.now_ms as u64);
    let created = stream_with_group(call)?.create_consumer(group, name, now_ms) == Some(true);
    call.out.flag(created);
    if created {
        note(call, key, "xgroup-createconsumer");
    }
    Ok(Effect::as_is_if(created))
}

pub(super) fn xgroup_delconsumer(call: &mut Call<'_>) -> Result<Effect> {
    let (key, group, name) = (call.arg(2), call.arg(3), call.arg(4));
    let pending = stream_with_group(call)?.delete_consumer(group, name).flatten();
    call.out.len(pending.unwrap_or(0));
    if pending.is_some() {
        note(call, key, "xgroup-delconsumer");
    }
    Ok(Effect::as_is_if(pending.is_some()))
}

pub(super) fn xgroup_help(call: &mut Call<'_>) -> Result<Effect> {
    call.out.array(HELP.len());
    HELP.iter().for_each(|line| call.out.simple(line));
    Ok(Effect::None)
}

/// Notes a change that leaves the stream itself as it was.
pub(super) fn note(call: &mut Call<'_>, key: &[u8], event: &'static str) {
    call.keys.event(key, Class::STREAM, event);
    call.keys.add_dirty(1);
}

fn stream_with_group<'k>(call: &'k mut Call<'_>) -> Result<ValueMut<'k, Stream>> {
    let (key, group) = (call.arg(2), call.arg(3));
    let stream = call.keys.value_mut::<Stream>(key)?.ok_or_else(key_required)?;
    if stream.group(group).is_none() {
        return Err(no_such_group(key, group));
    }
    Ok(stream)
}

fn key_required() -> Error {
    Error::new(
        "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM \
         option to create an empty stream automatically.",
    )
}
