//! MIGRATE: moves keys to another server.
//!
//! Redis does this in place: the whole server stands still until the target has answered. Here no worker waits for the
//! network. The command judges its arguments and whether there is anything to move, then its client waits, as one that
//! waits for a key does, and a [`Migration`] is handed to the host, whose own thread copies the values, sends them and
//! removes what has arrived ([`crate::pipeline::migration`]).
//!
//! So others may write to a key while it is on its way. A key is removed only while it is as it was sent; otherwise it is
//! sent again, so no write is lost. Inside a transaction nothing can wait, and MIGRATE is refused.

use store::guard::Plan;
use store::hash::hash_bytes;
use store::stripe::Mode;

use crate::args::Args;
use crate::blocking::{Block, Blocking};
use crate::call::Call;
use crate::effect::Effect;
use crate::error::{Error, Result, SYNTAX};
use crate::number;
use crate::spec::flag::*;
use crate::spec::{Arg, Begin, Find, FoundKey, Group, KeySpec, Spec};

/// How long the target may take to accept or to answer, when nobody says a sensible time.
const TIMEOUT_MS_DEFAULT: u64 = 1000;
/// Where the key stands, or the empty string when KEYS names them.
const KEY: usize = 3;
/// Where options begin.
const OPTIONS: usize = 6;

/// What is to be moved, and whither.
#[derive(Debug)]
pub struct Migration {
    /// The target's name or address.
    pub host: Vec<u8>,
    /// Its port; what is no port is 0, and nobody listens there.
    pub port: u16,
    /// The database there.
    pub target_db: i64,
    /// How long each step over the network may take.
    pub timeout_ms: u64,
    /// Keep the keys here.
    pub copy: bool,
    /// Overwrite keys of the target.
    pub replace: bool,
    /// The arguments of AUTH, if the target wants them.
    pub auth: Option<Vec<Vec<u8>>>,
    /// The database here.
    pub db: u32,
    /// The keys.
    pub keys: Vec<Box<[u8]>>,
}

/// What the options say.
struct Options<'a> {
    copy: bool,
    replace: bool,
    auth: Option<Vec<&'a [u8]>>,
    /// Where the keys begin, if KEYS was given.
    keys_at: Option<usize>,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>) -> Result<Self> {
        let mut options = Self { copy: false, replace: false, auth: None, keys_at: None };
        let mut at = OPTIONS;
        while at < args.len() {
            let is = |word| args.is(at, word);
            let left = args.len() - at - 1;
            at += match () {
                () if is("COPY") => {
                    options.copy = true;
                    1
                }
                () if is("REPLACE") => {
                    options.replace = true;
                    1
                }
                () if is("AUTH") && left >= 1 => {
                    options.auth = Some(vec![args.get(at + 1)]);
                    2
                }
                () if is("AUTH2") && left >= 2 => {
                    options.auth = Some(vec![args.get(at + 1), args.get(at + 2)]);
                    3
                }
                () if is("KEYS") && args.get(KEY).is_empty() => {
                    options.keys_at = Some(at + 1);
                    break;
                }
                () if is("KEYS") => {
                    return Err(Error::new(
                        "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
                    ));
                }
                () => return Err(SYNTAX),
            };
        }
        Ok(options)
    }
}

fn migrate(call: &mut Call<'_>) -> Result<Effect> {
    let args = call.args;
    let options = Options::parse(args)?;
    let timeout_ms = call.int(5)?;
    let target_db = call.int(4)?;
    let (first, end) = options.keys_at.map_or((KEY, KEY + 1), |first| (first, args.len()));
    let keys = (first..end).map(|at| args.get(at));
    let keys: Vec<Box<[u8]>> = keys.filter(|key| call.keys.read(key).is_some()).map(Box::from).collect();
    if keys.is_empty() {
        call.out.simple("NOKEY");
        return Ok(Effect::None);
    }
    if call.session.in_exec {
        return Err(Error::new("ERR MIGRATE is not allowed in a transaction: it waits for another server"));
    }
    let migration = Migration {
        host: args.get(1).into(),
        port: number::parse_i64(args.get(2)).and_then(|port| u16::try_from(port).ok()).unwrap_or(0),
        target_db,
        timeout_ms: u64::try_from(timeout_ms).ok().filter(|ms| *ms > 0).unwrap_or(TIMEOUT_MS_DEFAULT),
        copy: options.copy,
        replace: options.replace,
        auth: options.auth.map(|words| words.into_iter().map(Vec::from).collect()),
        db: call.keys.db,
        keys,
    };
    Ok(Block::on_host(migration))
}

/// The keys, for COMMAND GETKEYS and for the plan: options are skipped without judging them.
fn keys(args: Args<'_>) -> Vec<FoundKey> {
    let mut at = OPTIONS;
    let mut range = KEY..KEY + 1;
    while at < args.len() {
        let is = |word| args.is(at, word);
        at += match () {
            () if is("AUTH") => 2,
            () if is("AUTH2") => 3,
            () if is("KEYS") => {
                if !args.get(KEY).is_empty() {
                    // A key in both places is an error, which names no keys.
                    range = if at + 1 < args.len() { 0..0 } else { range };
                } else if at + 1 < args.len() {
                    range = at + 1..args.len();
                }
                break;
            }
            () => 1,
        };
    }
    range.map(|at| FoundKey { at, flags: &["RW", "access", "delete"] }).collect()
}

/// The key specifications miss keys before one that is called KEYS.
fn plan(args: Args<'_>, db: u32, plan: &mut Plan) {
    keys(args).iter().for_each(|key| plan.add(db, hash_bytes(args.get(key.at)), Mode::Exclusive));
}

/// The row.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("migrate", -6, WRITE | MOVABLEKEYS, Group::Generic, migrate)
        .docs("Moves keys to another server.", "2.6.0", "This command actually executes a DUMP+DEL in the source instance, and a RESTORE in the target instance. See the pages of these commands for time complexity. Also an O(N) data transfer between the two instances is performed.")
        .categories(&["@dangerous"])
        .keys(&[KeySpec::one(KEY, &["RW", "access", "delete"]), KeySpec { begin: Begin::Keyword("KEYS", -2), find: Find::Range { last: -1, step: 1, limit: 0 }, flags: &["RW", "access", "delete", "incomplete"], notes: "" }])
        .finder(keys)
        .planner(plan)
        .blocking(&Blocking::ON_PROCESS)
        .tips(&["nondeterministic_output"])
        .args(&[
            Arg::string("host"),
            Arg::integer("port"),
            Arg::one_of("key-selector", &[
                Arg::key("key"),
                Arg::word("empty-string", ""),
            ]),
            Arg::integer("destination-db"),
            Arg::integer("timeout"),
            Arg::word("copy", "COPY").optional().since("3.0.0"),
            Arg::word("replace", "REPLACE").optional().since("3.0.0"),
            Arg::one_of("authentication", &[
                Arg::string("auth").token("AUTH").display("password").since("4.0.7"),
                Arg::block("auth2", &[
                    Arg::string("username"),
                    Arg::string("password"),
                ]).token("AUTH2").since("6.0.0"),
            ]).optional(),
            Arg::key("keys").key_spec(1).token("KEYS").display("key").multiple().optional().since("3.0.6"),
        ]),
];

#[cfg(test)]
mod tests;
