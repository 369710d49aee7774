//! CLIENT: what clients say of themselves, and what may be asked of, or done to, the others.
//!
//! The subcommands of client-side caching (TRACKING, TRACKINGINFO, CACHING, GETREDIR) come with it.

mod select;

use crate::blocking::{Awaited, End};
use crate::call::Call;
use crate::client::{Client, ClientFlags};
use crate::effect::Effect;
use crate::error::{Error, NOT_INTEGER, Result, SYNTAX};
use crate::host::Pause;
use crate::number;
use crate::spec::flag::*;
use crate::spec::{Arg, Group, Spec};
use select::{Listed, Victims};

const HELP: [&str; 42] = [
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GETNAME",
    "    Show the connection's name.",
    "ID",
    "    Show the connection's number.",
    "INFO",
    "    Describe this connection.",
    "KILL <ip:port>",
    "    Close the connection that comes from an address.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Close all connections to which everything said applies:",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "      They come from this address.",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "      They go to this address of ours.",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      They are of this kind.",
    "    * USER <username>",
    "      They have authenticated as this user.",
    "    * SKIPME (YES|NO)",
    "      Whether to spare the connection that asks; it is spared by default.",
    "    * ID <client-id>",
    "      They have this number.",
    "    * MAXAGE <maxage>",
    "      They are at least so many seconds old.",
    "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB) | ID <client-id> [<client-id> ...]]",
    "    Describe all connections, or those of a kind, or those with these numbers.",
    "NO-EVICT (ON|OFF)",
    "    Whether the connection is spared when connections take too much memory.",
    "NO-TOUCH (ON|OFF)",
    "    Whether what the connection reads is kept out of the keys' usage.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Let all commands, or those that may write, wait for some milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Whether commands are answered; SKIP leaves the next one unanswered.",
    "SETINFO (LIB-NAME|LIB-VER) <value>",
    "    Tell which library the connection is made by.",
    "SETNAME <name>",
    "    Name the connection.",
    "UNBLOCK <client-id> [TIMEOUT|ERROR]",
    "    Let a client that waits for something go on. UNPAUSE does so after PAUSE.",
    "HELP",
];

/// Never reached: a subcommand is either found or refused before.
fn client(_: &mut Call<'_>) -> Result<Effect> {
    Err(SYNTAX)
}

fn client_help(call: &mut Call<'_>) -> Result<Effect> {
    call.out.array(HELP.len() + 1);
    HELP.iter().for_each(|line| call.out.simple(line));
    call.out.simple("    Print this help.");
    Ok(Effect::None)
}

fn client_id(call: &mut Call<'_>) -> Result<Effect> {
    call.out.int(call.session.client.id as i64);
    Ok(Effect::None)
}

fn client_info(call: &mut Call<'_>) -> Result<Effect> {
    let mut text = line(call, &call.session.client);
    text.push('\n');
    call.out.verbatim("txt", text.as_bytes());
    Ok(Effect::None)
}

fn client_list(call: &mut Call<'_>) -> Result<Effect> {
    let host = call.env.host;
    let clients = match Listed::parse(call.args)? {
        Listed::All => host.clients(),
        Listed::Kind(kind) => host.clients().into_iter().filter(|client| client.kind() == kind).collect(),
        Listed::Ids(ids) => ids.into_iter().filter_map(|id| host.client(id)).collect(),
    };
    let mut text = String::new();
    for client in &clients {
        text += &line(call, client);
        text.push('\n');
    }
    call.out.verbatim("txt", text.as_bytes());
    Ok(Effect::None)
}

/// The client that asks is the only one of which we know what it executes.
fn line(call: &Call<'_>, client: &Client) -> String {
    let is_me = client.id == call.session.client.id;
    client.line(call.env.now_ms, is_me.then(|| call.args.byte_len()))
}

fn client_kill(call: &mut Call<'_>) -> Result<Effect> {
    let old_form = call.args.len() == 3;
    let victims = if old_form { Victims::at(call.arg(2)) } else { Victims::parse(call.args)? };
    let (host, now_ms, me) = (call.env.host, call.env.now_ms, call.session.client.id);
    let (mut killed, mut suicide) = (0, false);
    for client in host.clients().iter().filter(|client| victims.include(client, now_ms)) {
        if client.id != me {
            host.kill(client);
        } else if victims.skip_me {
            continue;
        } else {
            suicide = true;
        }
        killed += 1;
    }
    match killed {
        0 if old_form => return Err(Error::new("ERR No such client")),
        _ if old_form => call.out.ok(),
        killed => call.out.int(killed),
    }
    if suicide {
        call.session.close_after_reply();
    }
    Ok(Effect::None)
}

fn client_getname(call: &mut Call<'_>) -> Result<Effect> {
    match call.session.client.names().name {
        name if name.is_empty() => call.out.null(),
        name => call.out.bulk(name.as_bytes()),
    }
    Ok(Effect::None)
}

fn client_setname(call: &mut Call<'_>) -> Result<Effect> {
    check_name(call.arg(2))?;
    call.session.client.set_name(call.arg(2));
    call.out.ok();
    Ok(Effect::None)
}

/// Refuses a client's name that would break the line it is shown in.
pub(crate) fn check_name(name: &[u8]) -> Result<()> {
    const BAD_NAME: &str = "ERR Client names cannot contain spaces, newlines or special characters.";
    if is_shown_well(name) { Ok(()) } else { Err(Error::new(BAD_NAME)) }
}

fn is_shown_well(value: &[u8]) -> bool {
    value.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

fn client_setinfo(call: &mut Call<'_>) -> Result<Effect> {
    let (attribute, value) = (String::from_utf8_lossy(call.arg(2)), call.arg(3));
    let is_name = attribute.eq_ignore_ascii_case("lib-name");
    if !is_name && !attribute.eq_ignore_ascii_case("lib-ver") {
        return Err(Error::new(format!("ERR Unrecognized option '{attribute}'")));
    }
    if !is_shown_well(value) {
        return Err(Error::new(format!("ERR {attribute} cannot contain spaces, newlines or special characters.")));
    }
    let mut names = call.session.client.names.lock().expect("never poisoned");
    let target = if is_name { &mut names.lib_name } else { &mut names.lib_ver };
    *target = String::from_utf8_lossy(value).into_owned();
    call.out.ok();
    Ok(Effect::None)
}

fn client_reply(call: &mut Call<'_>) -> Result<Effect> {
    let mode = &mut call.session.reply_mode;
    if call.args.is(2, "on") {
        (mode.off, mode.skip) = (false, false);
        call.out.ok();
    } else if call.args.is(2, "off") {
        mode.off = true;
    } else if call.args.is(2, "skip") {
        mode.skip_next |= !mode.off;
    } else {
        return Err(SYNTAX);
    }
    Ok(Effect::None)
}

fn client_no_evict(call: &mut Call<'_>) -> Result<Effect> {
    switch(call, ClientFlags::NO_EVICT)
}

fn client_no_touch(call: &mut Call<'_>) -> Result<Effect> {
    switch(call, ClientFlags::NO_TOUCH)
}

fn switch(call: &mut Call<'_>, flag: ClientFlags) -> Result<Effect> {
    let on = call.args.is(2, "on");
    if !on && !call.args.is(2, "off") {
        return Err(SYNTAX);
    }
    call.session.client.set_flags(flag, on);
    call.out.ok();
    Ok(Effect::None)
}

fn client_pause(call: &mut Call<'_>) -> Result<Effect> {
    let pause = match call.args.len() {
        3 => Pause::All,
        4 if call.args.is(3, "write") => Pause::Writes,
        4 if call.args.is(3, "all") => Pause::All,
        4 => return Err(Error::new("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => return Err(too_many(call)),
    };
    let until_ms = match number::parse_i64(call.arg(2)) {
        None => return Err(Error::new("ERR timeout is not an integer or out of range")),
        Some(..0) => return Err(Error::new("ERR timeout is negative")),
        Some(timeout_ms) => {
            timeout_ms.checked_add(call.env.now_ms).ok_or_else(|| Error::new("ERR timeout is out of range"))?
        }
    };
    call.env.host.pause_clients(until_ms, pause);
    call.out.ok();
    Ok(Effect::None)
}

fn client_unpause(call: &mut Call<'_>) -> Result<Effect> {
    call.env.host.unpause_clients();
    call.out.ok();
    Ok(Effect::None)
}

fn client_unblock(call: &mut Call<'_>) -> Result<Effect> {
    let error = match call.args.len() {
        3 => false,
        4 if call.args.is(3, "timeout") => false,
        4 if call.args.is(3, "error") => true,
        4 => return Err(Error::new("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
        _ => return Err(too_many(call)),
    };
    let id = number::parse_i64(call.arg(2)).ok_or(NOT_INTEGER)?;
    let host = call.env.host;
    // A postponed command is none that waits for something, and has no waiter.
    let clients = host.clients();
    let client = clients.iter().find(|client| i64::try_from(client.id) == Ok(id));
    let waiter = client.and_then(|client| client.waiter.lock().expect("never poisoned").clone());
    // What a flush waits for comes by itself, and soon. Redis 8.0.2 ends with a failed assertion here.
    let waiter = waiter.filter(|waiter| waiter.awaited != Some(Awaited::Freed));
    let ended = waiter.filter(|waiter| host.waiters().end(waiter, End::Unblocked));
    if let Some(waiter) = &ended {
        let reply = if error {
            let mut reply = waiter.reply();
            let unblocked = Error::new("UNBLOCKED client unblocked via CLIENT UNBLOCK");
            reply.error(&unblocked);
            // The command that waited has failed, wherever its client is served.
            call.env.stats.commands[waiter.command.index as usize].failed.add(1);
            call.env.count_error(unblocked.code());
            reply
        } else {
            waiter.nothing(host)
        };
        host.deliver(waiter, reply);
    }
    call.out.flag(ended.is_some());
    Ok(Effect::None)
}

/// The error for a subcommand whose optional arguments are too many.
fn too_many(call: &Call<'_>) -> Error {
    let name = call.arg(1);
    let name = String::from_utf8_lossy(&name[..name.len().min(128)]);
    Error::new(format!("ERR unknown subcommand or wrong number of arguments for '{name}'. Try CLIENT HELP."))
}

/// What most subcommands have in common.
const OWN: u32 = NOSCRIPT | LOADING | STALE;
const OTHERS: u32 = ADMIN | OWN;
const ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
const ON_OFF: &[Arg] = &[Arg::one_of("enabled", &[Arg::word("on", "ON"), Arg::word("off", "OFF")])];

const fn sub(
    name: &'static str,
    full_name: &'static str,
    arity: i32,
    flags: u32,
    handler: crate::spec::Handler,
) -> Spec {
    Spec::new(name, arity, flags, Group::Connection, handler).full_name(full_name)
}

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[Spec::new("client", -2, NONE, Group::Connection, client)
    .docs("About clients.", "2.4.0", "Depends on subcommand.")
    .subcommands(&[
        sub("reply", "client|reply", 3, OWN, client_reply)
            .docs("Chooses whether commands are answered.", "3.2.0", "O(1)")
            .args(&[Arg::one_of(
                "action",
                &[Arg::word("on", "ON"), Arg::word("off", "OFF"), Arg::word("skip", "SKIP")],
            )]),
        sub("unblock", "client|unblock", -3, OTHERS, client_unblock)
            .docs(
                "Lets a client that waits in a blocking command go on.",
                "5.0.0",
                "O(log N) where N is the number of client connections",
            )
            .args(&[
                Arg::integer("client-id"),
                Arg::one_of("unblock-type", &[Arg::word("timeout", "TIMEOUT"), Arg::word("error", "ERROR")]).optional(),
            ]),
        sub("list", "client|list", -2, OTHERS, client_list)
            .docs("Describes clients, a line each.", "2.4.0", "O(N) where N is the number of client connections")
            .tips(&["nondeterministic_output"])
            .args(&[
                Arg::one_of(
                    "client-type",
                    &[
                        Arg::word("normal", "NORMAL"),
                        Arg::word("master", "MASTER"),
                        Arg::word("replica", "REPLICA"),
                        Arg::word("pubsub", "PUBSUB"),
                    ],
                )
                .token("TYPE")
                .optional()
                .since("5.0.0"),
                Arg::integer("client-id").token("ID").multiple().optional().since("6.2.0"),
            ]),
        sub("info", "client|info", 2, OWN, client_info)
            .docs("Describes this connection.", "6.2.0", "O(1)")
            .tips(&["nondeterministic_output"]),
        sub("getname", "client|getname", 2, OWN, client_getname).docs("Tells the connection's name.", "2.6.9", "O(1)"),
        sub("no-touch", "client|no-touch", 3, OWN, client_no_touch)
            .docs("Chooses whether reads leave the keys' access times alone.", "7.2.0", "O(1)")
            .args(ON_OFF),
        sub("setname", "client|setname", 3, OWN, client_setname)
            .docs("Names the connection.", "2.6.9", "O(1)")
            .tips(ALL_NODES)
            .args(&[Arg::string("connection-name")]),
        sub("pause", "client|pause", -3, OTHERS | ALONE, client_pause)
            .docs("Lets commands wait for some time.", "3.0.0", "O(1)")
            .args(&[
                Arg::integer("timeout"),
                Arg::one_of("mode", &[Arg::word("write", "WRITE"), Arg::word("all", "ALL")]).optional().since("6.2.0"),
            ]),
        sub("kill", "client|kill", -3, OTHERS, client_kill)
            .docs("Closes connections.", "2.4.0", "O(N) where N is the number of client connections")
            .args(&[Arg::one_of(
                "filter",
                &[
                    Arg::string("old-format").display("ip:port").deprecated_since("2.8.12"),
                    Arg::one_of(
                        "new-format",
                        &[
                            Arg::integer("client-id").token("ID").optional().since("2.8.12"),
                            Arg::one_of(
                                "client-type",
                                &[
                                    Arg::word("normal", "NORMAL"),
                                    Arg::word("master", "MASTER").since("3.2.0"),
                                    Arg::word("slave", "SLAVE"),
                                    Arg::word("replica", "REPLICA").since("5.0.0"),
                                    Arg::word("pubsub", "PUBSUB"),
                                ],
                            )
                            .token("TYPE")
                            .optional()
                            .since("2.8.12"),
                            Arg::string("username").token("USER").optional(),
                            Arg::string("addr").token("ADDR").display("ip:port").optional(),
                            Arg::string("laddr").token("LADDR").display("ip:port").optional().since("6.2.0"),
                            Arg::one_of("skipme", &[Arg::word("yes", "YES"), Arg::word("no", "NO")])
                                .token("SKIPME")
                                .optional(),
                            Arg::integer("maxage").token("MAXAGE").optional().since("7.4.0"),
                        ],
                    )
                    .multiple(),
                ],
            )]),
        sub("unpause", "client|unpause", 2, OTHERS | ALONE, client_unpause).docs(
            "Ends a pause.",
            "6.2.0",
            "O(N) Where N is the number of paused clients",
        ),
        sub("setinfo", "client|setinfo", 4, OWN, client_setinfo)
            .docs("Tells which library the connection is made by.", "7.2.0", "O(1)")
            .tips(ALL_NODES)
            .args(&[Arg::one_of(
                "attr",
                &[Arg::string("libname").token("LIB-NAME"), Arg::string("libver").token("LIB-VER")],
            )]),
        sub("no-evict", "client|no-evict", 3, OTHERS, client_no_evict)
            .docs("Chooses whether the connection may be closed to win memory.", "7.0.0", "O(1)")
            .args(ON_OFF),
        sub("id", "client|id", 2, OWN, client_id).docs("Tells the connection's number.", "5.0.0", "O(1)"),
        sub("help", "client|help", 2, LOADING | STALE, client_help).docs(
            "Tells about the subcommands.",
            "5.0.0",
            "O(1)",
        ),
    ])];

#[cfg(test)]
mod tests;
