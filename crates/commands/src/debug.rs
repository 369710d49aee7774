//! DEBUG: what tests need and nobody else should. It has the gate to itself, so that whatever it does happens at one
//! instant for everybody, and SLEEP stops the whole server.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use fastrand::Rng;
use store::entry::Entry;
use store::guard::{Key, Live, Plan};
use store::hash::hash_bytes;
use store::stripe::Mode;
use store::value::hash::Hash;
use store::value::list::{List, NodeRef};
use store::value::set::Set;
use store::value::zset::SortedSet;
use store::value::{Encoding, Limits};

use crate::args::{Args, OwnedArgs};
use crate::call::Call;
use crate::digest::Digest;
use crate::effect::{Change, Class, Effect};
use crate::error::{Error, MUST_BE_POSITIVE, NO_SUCH_KEY, NOT_INTEGER, Result};
use crate::host::Crash;
use crate::settings::{REPLY_BUFFER_PEAK_RESET_MS, Stop};
use crate::spec::flag::*;
use crate::spec::{Group, Spec};
use crate::{glob, number};

/// POPULATE creates at most so many keys at once.
const POPULATE_MAX: i64 = 1 << 32;

fn debug(call: &mut Call<'_>) -> Result<Effect> {
    let name = call.arg(1).to_ascii_lowercase();
    match (name.as_slice(), call.args.len()) {
        (b"assert", 2) => call.env.host.crash(Crash::Assertion),
        (b"change-repl-id", 2) => call.env.host.change_replication_id(),
        (b"config-rewrite-force-all", 2) => call.env.host.config_rewrite(true)?,
        (b"digest", 2) => return digest(call),
        (b"digest-value", _) => return digest_value(call),
        (b"error", 3) => return error(call),
        (b"help", 2) => return help(call),
        (b"htstats", 3 | 4) => return htstats(call),
        (b"htstats-key", 3 | 4) => return htstats_key(call),
        (b"listpack", 3) => return listpack(call),
        (b"log", 3) => {
            let message = String::from_utf8_lossy(call.arg(2));
            call.env.host.log_warning(&format!("DEBUG LOG: {message}"));
        }
        (b"object", 3) => return object(call),
        (b"replicate", 3..) => {
            call.out.ok();
            return Ok(Effect::Rewritten(vec![OwnedArgs::copy(call.args.tail(2))]));
        }
        (b"panic", 2) => call.env.host.crash(Crash::Panic),
        (b"pause-cron", 3) => call.env.settings.cron_is_paused.store(switch(call.arg(2)), Relaxed),
        (b"populate", 3..=5) => return populate(call),
        (b"protocol", 3) => return protocol(call),
        (b"quicklist-packed-threshold", 3) => packed_threshold(call)?,
        (b"reload", _) => reload(call)?,
        (b"repl-pause", 3) => {
            let steps = &call.env.settings.repl_pause;
            match &*call.arg(2).to_ascii_lowercase() {
                b"clear" => steps.store(0, Relaxed),
                b"after-fork" => _ = steps.fetch_or(Stop::AfterCut as u8, Relaxed),
                b"before-rdb-channel" => _ = steps.fetch_or(Stop::BeforeRdbChannel as u8, Relaxed),
                b"on-streaming-repl-buf" => _ = steps.fetch_or(Stop::OnStreaming as u8, Relaxed),
                _ => return Err(unknown(call)),
            }
        }
        (b"replybuffer", 4) => reply_buffer(call)?,
        (b"segfault", 2) => call.env.host.crash(Crash::Segfault),
        (b"set-skip-checksum-validation", 3) => {
            call.env.settings.skip_checksum_validation.store(switch(call.arg(2)), Relaxed);
        }
        (b"stringmatch-test", 2) => {
            match_at_random(&mut call.env.rng);
            call.out.simple("Apparently Redis did not crash: test passed");
            return Ok(Effect::None);
        }
        (b"set-active-expire", 3) => call.env.host.set_active_expiry(switch(call.arg(2))),
        (b"sleep", 3) => sleep(call),
        _ => return Err(unknown(call)),
    }
    call.out.ok();
    Ok(Effect::None)
}

/// Whether a text begins with a number other than 0.
fn switch(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    digits.iter().take_while(|byte| byte.is_ascii_digit()).any(|digit| *digit != b'0')
}

fn unknown(call: &Call<'_>) -> Error {
    const ECHO_MAX: usize = 128;
    let name = call.arg(1);
    let name = String::from_utf8_lossy(&name[..name.len().min(ECHO_MAX)]);
    Error::new(format!("ERR unknown subcommand or wrong number of arguments for '{name}'. Try DEBUG HELP."))
}

/// Saves, empties all databases, and loads; each step but the last can be left out.
fn reload(call: &mut Call<'_>) -> Result<()> {
    let (mut save, mut flush, mut merge) = (true, true, false);
    for option in call.args.from(2) {
        match option.to_ascii_lowercase().as_slice() {
            b"nosave" => save = false,
            b"noflush" => flush = false,
            b"merge" => merge = true,
            _ => return Err(Error::new("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")),
        }
    }
    if save {
        call.env.host.save(call.section)?;
    }
    if flush {
        let keyspace = call.env.keyspace;
        let databases = (0..keyspace.database_count()).filter_map(|db| keyspace.detach(call.section, db));
        call.env.detached.extend(databases.map(|database| (database, false)));
    }
    call.env.host.load(call.section, merge)
}

fn sleep(call: &Call<'_>) {
    let seconds = number::parse_f64(call.arg(2)).unwrap_or(0.0);
    call.env.host.sleep(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO));
}

/// How the room that is kept for replies follows what they need.
fn reply_buffer(call: &Call<'_>) -> Result<()> {
    let settings = &call.env.settings;
    let value = call.arg(3);
    match call.arg(2).to_ascii_lowercase().as_slice() {
        b"peak-reset-time" => {
            let millis = match value.to_ascii_lowercase().as_slice() {
                b"never" => -1,
                b"reset" => REPLY_BUFFER_PEAK_RESET_MS,
                _ => number::parse_i64(value).ok_or(NOT_INTEGER)?,
            };
            settings.reply_buffer_peak_reset_ms.store(millis, Relaxed);
        }
        b"resizing" => settings.reply_buffer_resizing.store(switch(value), Relaxed),
        _ => return Err(unknown(call)),
    }
    Ok(())
}

/// From how many bytes on an element of a list gets a node of its own; 0 is the normal state.
fn packed_threshold(call: &Call<'_>) -> Result<()> {
    /// Somewhat below 4 GiB.
    const THRESHOLD_MAX: u64 = (1 << 32) - (1 << 20);
    let bytes = number::parse_memory(call.arg(2)).filter(|bytes| *bytes <= THRESHOLD_MAX);
    let bytes = bytes
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(|| Error::new("ERR argument must be a memory value bigger than 1 and smaller than 4gb"))?;
    call.env.settings.set_limits(|limits| limits.list_packed_threshold = bytes);
    Ok(())
}

/// A whole reply of the client's own making, which is not counted as an error.
fn error(call: &mut Call<'_>) -> Result<Effect> {
    let text: Vec<u8> = call.arg(2).iter().map(|byte| if b"\r\n".contains(byte) { b' ' } else { *byte }).collect();
    call.out.raw(b"-");
    call.out.raw(&text);
    call.out.raw(b"\r\n");
    Ok(Effect::None)
}

fn digest(call: &mut Call<'_>) -> Result<Effect> {
    let keyspace = call.env.keyspace;
    let mut all = Digest::default();
    for db in 0..keyspace.database_count() {
        if keyspace.database(call.section, db).is_none_or(store::database::Database::is_empty) {
            continue;
        }
        all.mix(&db.to_be_bytes());
        keyspace.walk(call.section, db, |entry| {
            let mut one = Digest::default();
            one.mix(entry.key());
            one.mix_value(entry);
            all.add_digest(one);
            true
        });
    }
    call.out.simple(&all.hex());
    Ok(Effect::None)
}

fn digest_value(call: &mut Call<'_>) -> Result<Effect> {
    call.out.array(call.args.len() - 2);
    for key in call.args.from(2) {
        let mut digest = Digest::default();
        if let Some(entry) = call.keys.raw(key) {
            digest.mix_value(entry);
        }
        call.out.simple(&digest.hex());
    }
    Ok(Effect::None)
}

/// Redis's line, without `serializedlength`.
fn object(call: &mut Call<'_>) -> Result<Effect> {
    let clock = call.env.access();
    let entry = call.keys.raw(call.arg(2)).ok_or(NO_SUCH_KEY)?;
    let (encoding, word) = (entry.encoding().name(), entry.access());
    let idle = clock.idle_s(word);
    let at = entry.key().as_ptr();
    let list = entry.get::<List>().filter(|_| entry.encoding() == Encoding::Quicklist);
    let nodes = list.map_or_else(String::new, |list| nodes(list, &call.env.limits));
    call.out
        .simple(&format!("Value at:{at:p} refcount:1 encoding:{encoding} lru:{word} lru_seconds_idle:{idle}{nodes}"));
    Ok(Effect::None)
}

/// What DEBUG OBJECT adds for a quicklist. `ql_compressed` is what the configuration asks for.
fn nodes(list: &List, limits: &Limits) -> String {
    let (mut count, mut bytes) = (0, 0);
    for node in list.nodes() {
        count += 1;
        bytes += match node {
            NodeRef::Packed(listpack) => listpack.bytes_len(),
            NodeRef::Plain(element) => element.len(),
        };
    }
    let average = list.len() as f64 / f64::from(count);
    let (max, compressed) = (limits.list_max_listpack_size, u8::from(limits.list_compress_depth != 0));
    format!(
        " ql_nodes:{count} ql_avg_node:{average:.2} ql_listpack_max:{max} ql_compressed:{compressed} \
         ql_uncompressed_size:{bytes}"
    )
}

/// Redis's lines, as far as they apply: no second table is ever being moved to, and expiries stand in the entries.
fn htstats(call: &mut Call<'_>) -> Result<Effect> {
    let db = number::parse_i64(call.arg(2)).ok_or(NOT_INTEGER)?;
    let keyspace = &call.env.keyspace;
    let db = u32::try_from(db).ok().filter(|db| *db < keyspace.database_count());
    let db = db.ok_or_else(|| Error::new("ERR Out of range database"))?;
    let (keys, volatile) =
        keyspace.database(call.section, db).map_or((0, 0), |database| (database.len(), database.volatile_len()));
    let (_, slots) = keyspace.table_size(call.section, db);
    let text =
        format!("[Dictionary HT]\n{}[Expires HT]\n{}", table_lines(keys, Some(slots)), table_lines(volatile, None));
    call.out.verbatim("txt", text.as_bytes());
    Ok(Effect::None)
}

/// What is known of a table of so many elements.
fn table_lines(count: usize, slots: Option<usize>) -> String {
    match count {
        0 => "No stats available for empty dictionaries\n".to_string(),
        count => {
            let size = slots.map_or_else(String::new, |slots| format!(" table size: {slots}\n"));
            format!("Hash table 0 stats (main hash table):\n{size} number of elements: {count}\n")
        }
    }
}

/// The same for one value.
fn htstats_key(call: &mut Call<'_>) -> Result<Effect> {
    let entry = call.keys.raw(call.arg(2)).ok_or(NO_SUCH_KEY)?;
    if !matches!(entry.encoding(), Encoding::Hashtable | Encoding::Skiplist) {
        return Err(Error::new("ERR The value stored at the specified key is not represented using an hash table"));
    }
    // In these forms each element is a part.
    let text = table_lines(entry.parts(), None);
    call.out.verbatim("txt", text.as_bytes());
    Ok(Effect::None)
}

/// Writes what a listpack holds where the log goes, which is standard output unless somebody has changed that.
fn listpack(call: &mut Call<'_>) -> Result<Effect> {
    let entry = call.keys.raw(call.arg(2)).ok_or(NO_SUCH_KEY)?;
    let listpack = match (entry.get::<List>(), entry.get::<Set>(), entry.get::<SortedSet>(), entry.get::<Hash>()) {
        (Some(list), ..) if entry.encoding() == Encoding::Listpack => list.nodes().find_map(|node| match node {
            NodeRef::Packed(listpack) => Some(listpack),
            NodeRef::Plain(_) => None,
        }),
        (_, Some(set), ..) => set.as_listpack(),
        (_, _, Some(zset), _) => zset.as_listpack(),
        (.., Some(hash)) => hash.as_listpack(),
        _ => None,
    };
    let listpack = listpack.ok_or_else(|| Error::new("ERR Not a listpack encoded object."))?;
    let mut text = format!("{} bytes, {} elements", listpack.bytes_len(), listpack.len());
    for (_, item) in listpack {
        text += &format!("\n{}", item.bytes(&mut itoa::Buffer::new()).escape_ascii());
    }
    call.env.host.log_warning(&format!("DEBUG LISTPACK: {text}"));
    call.out.simple("Listpack structure printed on stdout");
    Ok(Effect::None)
}

/// Matches patterns at random, of the bytes that mean something in one, so that a bad one shows itself.
fn match_at_random(rng: &mut Rng) {
    const PATTERNS: usize = 100_000;
    const LEN_MAX: usize = 32;
    const BYTES: &[u8] = b"*?[]^-\\ab\x00\xff";
    let mut random = || -> Vec<u8> { (0..rng.usize(..LEN_MAX)).map(|_| BYTES[rng.usize(..BYTES.len())]).collect() };
    for _ in 0..PATTERNS {
        std::hint::black_box(glob::matches(&random(), &random(), false));
    }
}

/// Creates keys that are missing. They are not propagated; each takes a guard of its own, since no plan knows them.
fn populate(call: &mut Call<'_>) -> Result<Effect> {
    let positive = |arg: &[u8]| number::parse_i64(arg).filter(|number| *number >= 0).ok_or(MUST_BE_POSITIVE);
    let keys = positive(call.arg(2))?;
    if keys > POPULATE_MAX {
        return Err(Error::new("ERR OOM in dictTryExpand"));
    }
    let prefix = call.args.opt(3).unwrap_or(b"key");
    let size = call.args.opt(4).map_or(Ok(0), positive)?;
    let size = usize::try_from(size).ok().filter(|size| *size as u64 <= call.env.string_len_max());
    let size = size.ok_or(crate::error::STRING_TOO_LONG)?;
    let keyspace = call.env.keyspace;
    let (mut key, mut value) = (Vec::new(), Vec::new());
    for index in 0..keys {
        key.clear();
        key.extend_from_slice(prefix);
        key.extend_from_slice(format!(":{index}").as_bytes());
        value.clear();
        value.extend_from_slice(format!("value:{index}").as_bytes());
        if size > 0 {
            value.resize(size, 0);
        }
        let (db, hash) = (call.keys.db, hash_bytes(&key));
        let mut guard = keyspace.lock_one(call.section, db, hash, Mode::Exclusive);
        if let Live::Present(_) = guard.live_mut(db, Key::new(&key), call.env.now_ms) {
            continue;
        }
        guard.insert(db, hash, Entry::string(&key, &value, None));
        if call.env.host.observes_keys() {
            let key = key.as_slice().into();
            call.env.host.key_changed(&Change { db, key, class: Class::GENERIC, event: "", modified: true });
        }
    }
    call.out.ok();
    Ok(Effect::None)
}

fn protocol(call: &mut Call<'_>) -> Result<Effect> {
    let kind = call.arg(2).to_ascii_lowercase();
    let out = &mut *call.out;
    match kind.as_slice() {
        b"string" => out.bulk(b"Hello World"),
        b"integer" => out.int(12345),
        #[allow(clippy::approx_constant, reason = "Redis answers this number")]
        b"double" => out.double(3.141),
        b"bignum" => out.big_number("1234567999999999999999999999999999999"),
        b"null" => out.null(),
        b"array" => {
            out.array(3);
            (0..3).for_each(|int| out.int(int));
        }
        b"set" => {
            out.set(3);
            (0..3).for_each(|int| out.int(int));
        }
        b"map" => {
            out.map(3);
            for int in 0..3 {
                out.int(int);
                out.boolean(int == 1);
            }
        }
        b"attrib" => {
            if out.resp3() {
                out.raw(b"|1\r\n");
                out.bulk(b"key-popularity");
                out.array(2);
                out.bulk(b"key:123");
                out.int(90);
            }
            out.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            if !out.resp3() {
                return Err(Error::new("ERR RESP2 is not supported by this command"));
            }
            out.push(2);
            out.bulk(b"server-cpu-usage");
            out.int(42);
            out.bulk(b"Some real reply following the push reply");
        }
        b"true" => out.boolean(true),
        b"false" => out.boolean(false),
        b"verbatim" => out.verbatim("txt", b"This is a verbatim\nstring"),
        _ => {
            return Err(Error::new(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(Effect::None)
}

fn help(call: &mut Call<'_>) -> Result<Effect> {
    crate::help::answer(
        call,
        &[
            "ASSERT",
            "    End as if an assertion had failed, with a crash report.",
            "CHANGE-REPL-ID",
            "    Take a new replication id.",
            "CONFIG-REWRITE-FORCE-ALL",
            "    Write the configuration into its file, with every directive that holds its default.",
            "DIGEST",
            "    A fingerprint of all data.",
            "DIGEST-VALUE <key> [<key> ...]",
            "    A fingerprint of each key's value.",
            "ERROR <string>",
            "    Answer this error.",
            "HTSTATS <dbid> [full]",
            "    The size of a database's tables.",
            "HTSTATS-KEY <key> [full]",
            "    The same for a value that is a table.",
            "LISTPACK <key>",
            "    Write to the log what a listpack holds.",
            "LOG <message>",
            "    Write a line to the server's log.",
            "OBJECT <key>",
            "    How a value is stored.",
            "PANIC",
            "    End by a panic, with a crash report.",
            "PAUSE-CRON <0|1>",
            "    Stop what is done several times a second, or go on with it.",
            "POPULATE <count> [<prefix>] [<size>]",
            "    Create strings that are not propagated.",
            "PROTOCOL <type>",
            "    Answer a reply of this type: string, integer, double, bignum, null, array, set, map, attrib, push,",
            "    verbatim, true or false.",
            "QUICKLIST-PACKED-THRESHOLD <size>",
            "    From how many bytes on an element of a list gets a node of its own; 0 is the normal state.",
            "REPLICATE <command> [<argument> ...]",
            "    Send the command to the replicas as it is, without executing it.",
            "REPL-PAUSE <clear|after-fork|before-rdb-channel|on-streaming-repl-buf>",
            "    Stop the process (SIGSTOP) at a step of replication: after a copy was cut, before a copy is asked for",
            "    over a channel of its own, and while what was kept during such a copy is applied.",
            "RELOAD [NOSAVE] [NOFLUSH] [MERGE]",
            "    Save, empty all databases and load; without saving, without emptying, or with keys that are there",
            "    replaced by those that are loaded.",
            "REPLYBUFFER PEAK-RESET-TIME <milliseconds|NEVER|RESET>",
            "    How long the room for replies stays as large as it was needed.",
            "REPLYBUFFER RESIZING <0|1>",
            "    Whether that room follows what is needed.",
            "SEGFAULT",
            "    End by the signal SIGSEGV, with a crash report.",
            "SET-ACTIVE-EXPIRE <0|1>",
            "    Whether expired keys are removed before anybody asks for them.",
            "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
            "    Whether RESTORE and loading take what has a wrong checksum.",
            "SLEEP <seconds>",
            "    Stop the whole server for a while.",
            "STRINGMATCH-TEST",
            "    Match many random patterns.",
        ],
    );
    Ok(Effect::None)
}

/// The keys that subcommands look at; they are no keys to COMMAND GETKEYS, as in Redis.
fn plan(args: Args<'_>, db: u32, plan: &mut Plan) {
    if ["object", "digest-value", "htstats-key", "listpack"].iter().any(|name| args.is(1, name)) {
        args.from(2).for_each(|key| plan.add(db, hash_bytes(key), Mode::Shared));
    }
}

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] =
    &[Spec::new("debug", -2, ADMIN | NOSCRIPT | LOADING | STALE | PROTECTED | ALONE, Group::Server, debug)
        .docs("Leads to what tests need.", "1.0.0", "Depends on subcommand.")
        .planner(plan)
        .system()];

#[cfg(test)]
mod tests;
