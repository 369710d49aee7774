//! The connection itself: who is there, which database, which protocol.

use std::sync::atomic::Ordering::Relaxed;

use store::keyspace::Keyspace;

use crate::args::Args;
use crate::call::Call;
use crate::client::ClientFlags;
use crate::client_commands::check_name;
use crate::effect::Effect;
use crate::error::{DB_OUT_OF_RANGE, Error, NOT_INTEGER, Result, SYNTAX, WRONG_PASS};
use crate::number;
use crate::pubsub;
use crate::session::ReplyMode;
use crate::spec::flag::*;
use crate::spec::{Arg, Flags, Group, Spec};
use crate::table::Command;

/// The version of Redis that we answer as.
pub const REDIS_VERSION: &str = "8.0.2";
/// The only user until there are access-control lists.
const DEFAULT_USER: &[u8] = b"default";

fn ping(call: &mut Call<'_>) -> Result<Effect> {
    match call.args.len() {
        1 | 2 if pubsub::is_restricted(call.session) => {
            call.out.array(2);
            call.out.bulk(b"pong");
            call.out.bulk(call.args.opt(1).unwrap_or_default());
        }
        1 => call.out.simple("PONG"),
        2 => call.out.bulk(call.args.get(1)),
        _ => return Err(call.wrong_arity()),
    }
    Ok(Effect::None)
}

fn echo(call: &mut Call<'_>) -> Result<Effect> {
    call.out.bulk(call.args.get(1));
    Ok(Effect::None)
}

fn select(call: &mut Call<'_>) -> Result<Effect> {
    let db = database_arg(call.arg(1), call.env.keyspace)?;
    call.session.select(db);
    // Here, so that the first key there is as light as any other.
    call.env.keyspace.provide(call.section, db);
    call.out.ok();
    Ok(Effect::None)
}

fn quit(call: &mut Call<'_>) -> Result<Effect> {
    call.session.close_after_reply();
    call.out.ok();
    Ok(Effect::None)
}

fn auth(call: &mut Call<'_>) -> Result<Effect> {
    let (user, password) = match call.args.len() {
        2 if !call.env.settings.password_needed.load(Relaxed) => {
            return Err(Error::new(
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?",
            ));
        }
        2 => (DEFAULT_USER, call.arg(1)),
        3 => (call.arg(1), call.arg(2)),
        _ => return Err(SYNTAX),
    };
    authenticate(call, user, password)?;
    call.out.ok();
    Ok(Effect::None)
}

/// A wrong password leaves the client what it was before.
fn authenticate(call: &mut Call<'_>, user: &[u8], password: &[u8]) -> Result<()> {
    let settings = &call.env.settings;
    let fits = !settings.password_needed.load(Relaxed) || settings.password_is(password);
    if user != DEFAULT_USER || !fits {
        return Err(WRONG_PASS);
    }
    call.session.set_authenticated(true);
    Ok(())
}

/// What HELLO was asked for.
#[derive(Default)]
struct Greeting<'a> {
    resp3: Option<bool>,
    credentials: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

impl<'a> Greeting<'a> {
    fn parse(args: Args<'a>) -> Result<Self> {
        let mut greeting = Self::default();
        if let Some(version) = args.opt(1) {
            let version = number::parse_i64(version)
                .ok_or_else(|| Error::new("ERR Protocol version is not an integer or out of range"))?;
            if !(2..=3).contains(&version) {
                return Err(Error::new("NOPROTO unsupported protocol version"));
            }
            greeting.resp3 = Some(version == 3);
        }
        let mut at = 2;
        while at < args.len() {
            let more = args.len() - 1 - at;
            if args.is(at, "auth") && more >= 2 {
                greeting.credentials = Some((args.get(at + 1), args.get(at + 2)));
                at += 3;
            } else if args.is(at, "setname") && more >= 1 {
                let name = args.get(at + 1);
                check_name(name)?;
                greeting.name = Some(name);
                at += 2;
            } else {
                let option = String::from_utf8_lossy(args.get(at));
                return Err(Error::new(format!("ERR Syntax error in HELLO option '{option}'")));
            }
        }
        Ok(greeting)
    }
}

fn hello(call: &mut Call<'_>) -> Result<Effect> {
    let greeting = Greeting::parse(call.args)?;
    if let Some((user, password)) = greeting.credentials {
        authenticate(call, user, password)?;
    }
    if !call.session.authenticated {
        return Err(Error::new(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
             <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the \
             same time",
        ));
    }
    if let Some(name) = greeting.name {
        call.session.client.set_name(name);
    }
    if let Some(resp3) = greeting.resp3 {
        speak(call, resp3);
    }
    let out = &mut *call.out;
    out.map(7);
    out.bulk(b"server");
    out.bulk(b"redis");
    out.bulk(b"version");
    out.bulk(REDIS_VERSION.as_bytes());
    out.bulk(b"proto");
    out.int(if out.resp3() { 3 } else { 2 });
    out.bulk(b"id");
    out.int(call.session.client.id as i64);
    out.bulk(b"mode");
    out.bulk(b"standalone");
    out.bulk(b"role");
    out.bulk(b"master");
    out.bulk(b"modules");
    out.array(0);
    Ok(Effect::None)
}

/// Chooses the protocol version.
fn speak(call: &mut Call<'_>, resp3: bool) {
    call.out.set_resp3(resp3);
    call.session.client.resp.store(if resp3 { 3 } else { 2 }, Relaxed);
}

/// Makes the session what it was when the client came; only its library's name stays.
fn reset(call: &mut Call<'_>) -> Result<Effect> {
    let flags = call.session.client.flags();
    if flags.intersects(ClientFlags::REPLICA | ClientFlags::MASTER) && !flags.contains(ClientFlags::MONITOR) {
        return Err(Error::new("ERR can only reset normal client connections"));
    }
    pubsub::reset(call);
    call.session.select(0);
    speak(call, false);
    let open_to_all = !call.env.settings.password_needed.load(Relaxed);
    call.session.set_authenticated(open_to_all);
    call.session.end();
    crate::transactions::unwatch_all(call.env.host, call.session);
    call.session.client.set_name(b"");
    call.session.reply_mode = ReplyMode { skip: call.session.reply_mode.skip, ..ReplyMode::default() };
    let lasting = ClientFlags::READONLY | ClientFlags::NO_TOUCH | ClientFlags::NO_EVICT;
    call.session.client.set_flags(lasting, false);
    call.out.simple("RESET");
    Ok(Effect::None)
}

/// An argument that names a database.
pub fn database_arg(arg: &[u8], keyspace: &Keyspace) -> Result<u32> {
    let db = number::parse_i64(arg).ok_or(NOT_INTEGER)?;
    let db = i32::try_from(db).map_err(|_| Error::not_between(i32::MIN.into(), i32::MAX.into()))?;
    database(db, keyspace)
}

/// The database of a number.
pub(crate) fn database(db: i32, keyspace: &Keyspace) -> Result<u32> {
    u32::try_from(db).ok().filter(|&db| db < keyspace.database_count()).ok_or(DB_OUT_OF_RANGE)
}

/// The database that is selected once this command has run, if it selects one: a transaction's plan follows its SELECTs.
pub(crate) fn selects(command: Command, args: Args<'_>, keyspace: &Keyspace) -> Option<u32> {
    let is_select = command.spec.flags.contains(Flags::SELECTS);
    is_select.then(|| database_arg(args.opt(1)?, keyspace).ok()).flatten()
}

/// Commands that a client may send before it has said who it is.
const ANYONE: u32 = NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY;

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("ping", -1, FAST | LISTENING | TELLS_OF_TROUBLE, Group::Connection, ping)
        .docs("Answers PONG, or what it was given.", "1.0.0", "O(1)")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .args(&[Arg::string("message").optional()]),
    Spec::new("echo", 2, LOADING | STALE | FAST, Group::Connection, echo)
        .docs("Answers what it was given.", "1.0.0", "O(1)")
        .args(&[Arg::string("message")]),
    Spec::new("select", 2, LOADING | STALE | FAST | SELECTS, Group::Connection, select)
        .docs("Chooses the database.", "1.0.0", "O(1)")
        .args(&[Arg::integer("index")]),
    Spec::new("auth", -2, ANYONE, Group::Connection, auth)
        .docs("Says who the client is.", "1.0.0", "O(N) where N is the number of passwords defined for the user")
        .args(&[Arg::string("username").optional().since("6.0.0"), Arg::string("password")]),
    Spec::new("hello", -1, ANYONE, Group::Connection, hello)
        .docs("Chooses the protocol version, and tells what server this is.", "6.0.0", "O(1)")
        .args(&[Arg::block(
            "arguments",
            &[
                Arg::integer("protover"),
                Arg::block("auth", &[Arg::string("username"), Arg::string("password")]).token("AUTH").optional(),
                Arg::string("clientname").token("SETNAME").optional(),
            ],
        )
        .optional()]),
    Spec::new("reset", 1, ANYONE | SKIP_QUEUE | LISTENING, Group::Connection, reset).docs(
        "Makes the connection as good as new.",
        "6.2.0",
        "O(1)",
    ),
    Spec::new("quit", -1, ANYONE | SKIP_QUEUE | LISTENING, Group::Connection, quit)
        .docs("Closes the connection.", "1.0.0", "O(1)")
        .deprecated("7.2.0", "just closing the connection"),
];
