//! Publish and subscribe, and the events of keys that are published on top of it.
//!
//! [`Channels`] knows who listens and fixes the order of messages; a worker's [`Mailbox`] holds what was published for
//! its clients; [`Subscriptions`] is a client's side. A message is handed out in two ways: by the worker, at the end of
//! each tick, to everybody it is for; and by [`catch_up`] to a subscriber that executes commands of its own, so that its
//! messages stand where they belong between its replies. A message that a client causes itself follows the reply, and
//! inside a transaction the whole reply of EXEC.

pub mod channels;
pub mod mailbox;
pub mod subscriptions;

use std::sync::atomic::Ordering::Relaxed;

use crate::call::Call;
use crate::effect::{Change, Class, Effect};
use crate::error::{Error, Result};
use crate::help;
use crate::host::Host;
use crate::reply::Reply;
use crate::session::Session;
use crate::spec::flag::*;
use crate::spec::{Arg, ArgKind, Group, KeySpec, Spec};
use channels::{Channels, Kind, Sent};

/// Publishes a message, wakes the workers whose clients it is for, and says how many receive it.
fn publish_to(host: &dyn Host, kind: Kind, channel: &[u8], payload: &[u8]) -> usize {
    let Sent { receivers, workers } = host.channels().publish(kind, channel, payload);
    workers.into_iter().for_each(|worker| host.ring(worker));
    receivers
}

/// Publishes the event of a changed key, if its class is one of those that are `wanted` and anybody might hear it.
/// Called under the key's guard, so that events of a key come in the order of its changes.
pub fn notify(host: &dyn Host, wanted: Class, change: &Change) {
    let Change { db, key, class, event, .. } = change;
    if event.is_empty() || !wanted.contains(*class) || !host.channels().hears_events() {
        return;
    }
    let tell = |how, subject: &[u8], message: &[u8]| {
        let channel = [format!("__{how}@{db}__:").as_bytes(), subject].concat();
        publish_to(host, Kind::Channel, &channel, message);
    };
    if wanted.contains(Class::KEYSPACE) {
        tell("keyspace", key, event.as_bytes());
    }
    if wanted.contains(Class::KEYEVENT) {
        tell("keyevent", event.as_bytes(), key);
    }
}

/// Writes what was published for this client so far and is not handed to it yet. To be called before and after each of
/// its commands; it costs a look at a number when there is nothing.
#[inline]
pub fn catch_up(channels: &Channels, session: &mut Session, out: &mut Reply) {
    if let Some(subscriptions) = &mut session.subscriptions {
        subscriptions.late.drain(..).for_each(|message| out.append_push(&message));
        let fresh = subscriptions.fresh(channels.mailbox(session.client.worker), session.client.id);
        fresh.iter().for_each(|message| out.append_push(message));
    }
}

/// The same in the middle of a command. Inside a transaction the messages wait until its reply is complete.
fn catch_up_within(call: &mut Call<'_>) {
    let channels = call.env.host.channels();
    if !call.session.in_exec {
        return catch_up(channels, call.session, call.out);
    }
    if let Some(subscriptions) = &mut call.session.subscriptions {
        let fresh = subscriptions.fresh(channels.mailbox(call.session.client.worker), call.session.client.id);
        subscriptions.late.extend(fresh);
    }
}

/// Ends all subscriptions of a client that goes.
pub fn leave_all(channels: &Channels, session: &mut Session) {
    if let Some(subscriptions) = &mut session.subscriptions {
        subscriptions.clear(channels, &session.client);
    }
}

/// What RESET does to subscriptions: messages that came before it are still handed out.
pub(crate) fn reset(call: &mut Call<'_>) {
    leave_all(call.env.host.channels(), call.session);
    catch_up_within(call);
}

/// Whether the client may only run the few commands of a subscriber: RESP2 could not tell their replies from messages.
pub(crate) fn is_restricted(session: &Session) -> bool {
    session.subscriptions.as_ref().is_some_and(|subscriptions| subscriptions.is_active())
        && session.client.resp.load(Relaxed) == 2
}

/// SUBSCRIBE and its like: one confirmation for each name.
fn enter(call: &mut Call<'_>, kind: Kind, word: &str) -> Result<Effect> {
    let Session { client, subscriptions, .. } = &mut *call.session;
    let subscriptions = subscriptions.get_or_insert_default();
    for name in call.args.from(1) {
        subscriptions.add(call.env.host.channels(), client, kind, name);
        confirm(call.out, word, Some(name), subscriptions.count(kind));
    }
    Ok(Effect::None)
}

/// UNSUBSCRIBE and its like: one confirmation for each name, also for those that the client did not listen to. Without
/// names all are left, and if there are none, that is confirmed once.
fn leave(call: &mut Call<'_>, kind: Kind, word: &str) -> Result<Effect> {
    let all;
    let names: Vec<&[u8]> = if call.args.len() > 1 {
        call.args.from(1).collect()
    } else {
        all = call.session.subscriptions.as_ref().map_or_else(Vec::new, |mine| mine.names(kind));
        all.iter().map(|name| &**name).collect()
    };
    for name in &names {
        let Session { client, subscriptions, .. } = &mut *call.session;
        if let Some(subscriptions) = subscriptions {
            subscriptions.remove(call.env.host.channels(), client, kind, name);
        }
        // What was published until then was meant for this client too, and comes before the confirmation.
        catch_up_within(call);
        confirm_leave(call, kind, word, Some(name));
    }
    if names.is_empty() {
        confirm_leave(call, kind, word, None);
    }
    Ok(Effect::None)
}

fn confirm_leave(call: &mut Call<'_>, kind: Kind, word: &str, name: Option<&[u8]>) {
    let left = call.session.subscriptions.as_ref().map_or(0, |mine| mine.count(kind));
    confirm(call.out, word, name, left);
}

fn confirm(out: &mut Reply, word: &str, name: Option<&[u8]>, count: usize) {
    out.push(3);
    out.bulk(word.as_bytes());
    match name {
        Some(name) => out.bulk(name),
        None => out.null(),
    }
    out.len(count);
}

fn subscribe(call: &mut Call<'_>) -> Result<Effect> {
    enter(call, Kind::Channel, "subscribe")
}

fn psubscribe(call: &mut Call<'_>) -> Result<Effect> {
    enter(call, Kind::Pattern, "psubscribe")
}

fn ssubscribe(call: &mut Call<'_>) -> Result<Effect> {
    enter(call, Kind::Shard, "ssubscribe")
}

fn unsubscribe(call: &mut Call<'_>) -> Result<Effect> {
    leave(call, Kind::Channel, "unsubscribe")
}

fn punsubscribe(call: &mut Call<'_>) -> Result<Effect> {
    leave(call, Kind::Pattern, "punsubscribe")
}

fn sunsubscribe(call: &mut Call<'_>) -> Result<Effect> {
    leave(call, Kind::Shard, "sunsubscribe")
}

/// Messages are propagated, so that subscribers of replicas hear them, although nothing has changed.
fn publish_in(call: &mut Call<'_>, kind: Kind) -> Result<Effect> {
    let receivers = publish_to(call.env.host, kind, call.arg(1), call.arg(2));
    call.out.len(receivers);
    Ok(Effect::AsIs)
}

fn publish(call: &mut Call<'_>) -> Result<Effect> {
    publish_in(call, Kind::Channel)
}

fn spublish(call: &mut Call<'_>) -> Result<Effect> {
    publish_in(call, Kind::Shard)
}

/// The container itself; its arity asks for a subcommand, so this is never reached with too few arguments.
fn pubsub(call: &mut Call<'_>) -> Result<Effect> {
    Err(call.wrong_arity())
}

fn names(call: &mut Call<'_>, kind: Kind) -> Result<Effect> {
    if call.args.len() > 3 {
        let given = String::from_utf8_lossy(call.arg(1));
        return Err(Error::new(format!(
            "ERR unknown subcommand or wrong number of arguments for '{given}'. Try PUBSUB HELP."
        )));
    }
    call.out.bulks(call.env.host.channels().names(kind, call.args.opt(2)));
    Ok(Effect::None)
}

fn counts(call: &mut Call<'_>, kind: Kind) -> Result<Effect> {
    let channels = call.args.from(2);
    call.out.array(channels.len() * 2);
    for channel in channels {
        call.out.bulk(channel);
        call.out.len(call.env.host.channels().subscribers(kind, channel));
    }
    Ok(Effect::None)
}

fn pubsub_channels(call: &mut Call<'_>) -> Result<Effect> {
    names(call, Kind::Channel)
}

fn pubsub_shardchannels(call: &mut Call<'_>) -> Result<Effect> {
    names(call, Kind::Shard)
}

fn pubsub_numsub(call: &mut Call<'_>) -> Result<Effect> {
    counts(call, Kind::Channel)
}

fn pubsub_shardnumsub(call: &mut Call<'_>) -> Result<Effect> {
    counts(call, Kind::Shard)
}

fn pubsub_numpat(call: &mut Call<'_>) -> Result<Effect> {
    call.out.len(call.env.host.channels().pattern_count());
    Ok(Effect::None)
}

fn pubsub_help(call: &mut Call<'_>) -> Result<Effect> {
    help::answer(
        call,
        &[
            "CHANNELS [<pattern>]",
            "    List the channels that have subscribers, as far as they match the pattern.",
            "NUMPAT",
            "    Count the patterns that have subscribers.",
            "NUMSUB [<channel> ...]",
            "    Count the subscribers of each channel that is named,",
            "    without those that hear it by a pattern.",
            "SHARDCHANNELS [<pattern>]",
            "    List the shard channels that have subscribers, as far as they match the pattern.",
            "SHARDNUMSUB [<shardchannel> ...]",
            "    Count the subscribers of each shard channel that is named.",
        ],
    );
    Ok(Effect::None)
}

/// Flags of all commands by which a client enters or leaves.
const LISTENER: u32 = PUBSUB | NOSCRIPT | LOADING | STALE | LISTENING | PUSHES;
/// Flags of the rest.
const ASKER: u32 = PUBSUB | LOADING | STALE;

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("subscribe", -2, LISTENER, Group::PubSub, subscribe)
        .docs("Begins to listen to channels.", "2.0.0", "O(N) where N is the number of channels to subscribe to.")
        .args(&[Arg::string("channel").multiple()]),
    Spec::new("psubscribe", -2, LISTENER, Group::PubSub, psubscribe)
        .docs(
            "Begins to listen to all channels that match patterns.",
            "2.0.0",
            "O(N) where N is the number of patterns to subscribe to.",
        )
        .args(&[Arg::new("pattern", ArgKind::Pattern).multiple()]),
    Spec::new("ssubscribe", -2, LISTENER, Group::PubSub, ssubscribe)
        .docs(
            "Begins to listen to shard channels.",
            "7.0.0",
            "O(N) where N is the number of shard channels to subscribe to.",
        )
        .keys(&[KeySpec::range(1, -1, 1, &["not_key"])])
        .args(&[Arg::string("shardchannel").multiple()]),
    Spec::new("unsubscribe", -1, LISTENER, Group::PubSub, unsubscribe)
        .docs(
            "Ceases to listen to channels, or to all of them.",
            "2.0.0",
            "O(N) where N is the number of channels to unsubscribe.",
        )
        .args(&[Arg::string("channel").multiple().optional()]),
    Spec::new("punsubscribe", -1, LISTENER, Group::PubSub, punsubscribe)
        .docs(
            "Ceases to listen by patterns, or by any of them.",
            "2.0.0",
            "O(N) where N is the number of patterns to unsubscribe.",
        )
        .args(&[Arg::new("pattern", ArgKind::Pattern).multiple().optional()]),
    Spec::new("sunsubscribe", -1, LISTENER, Group::PubSub, sunsubscribe)
        .docs(
            "Ceases to listen to shard channels, or to all of them.",
            "7.0.0",
            "O(N) where N is the number of shard channels to unsubscribe.",
        )
        .keys(&[KeySpec::range(1, -1, 1, &["not_key"])])
        .args(&[Arg::string("shardchannel").multiple().optional()]),
    Spec::new("publish", 3, ASKER | FAST | MAY_REPLICATE, Group::PubSub, publish)
        .docs(
            "Sends a message to all who listen to a channel.",
            "2.0.0",
            "O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total number of \
             subscribed patterns (by any client).",
        )
        .args(&[Arg::string("channel"), Arg::string("message")]),
    Spec::new("spublish", 3, ASKER | FAST | MAY_REPLICATE, Group::PubSub, spublish)
        .docs(
            "Sends a message to all who listen to a shard channel.",
            "7.0.0",
            "O(N) where N is the number of clients subscribed to the receiving shard channel.",
        )
        .keys(&[KeySpec::one(1, &["not_key"])])
        .args(&[Arg::string("shardchannel"), Arg::string("message")]),
    Spec::new("pubsub", -2, NONE, Group::PubSub, pubsub)
        .docs("Tells who listens to what.", "2.8.0", "Depends on subcommand.")
        .subcommands(&[
            Spec::new("numpat", 2, ASKER, Group::PubSub, pubsub_numpat).full_name("pubsub|numpat").docs(
                "Counts the patterns that clients listen by.",
                "2.8.0",
                "O(1)",
            ),
            Spec::new("help", 2, LOADING | STALE, Group::PubSub, pubsub_help).full_name("pubsub|help").docs(
                "Explains the subcommands.",
                "6.2.0",
                "O(1)",
            ),
            Spec::new("numsub", -2, ASKER, Group::PubSub, pubsub_numsub)
                .full_name("pubsub|numsub")
                .docs(
                    "Counts the subscribers of channels.",
                    "2.8.0",
                    "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
                )
                .args(&[Arg::string("channel").multiple().optional()]),
            Spec::new("shardnumsub", -2, ASKER, Group::PubSub, pubsub_shardnumsub)
                .full_name("pubsub|shardnumsub")
                .docs(
                    "Counts the subscribers of shard channels.",
                    "7.0.0",
                    "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
                )
                .args(&[Arg::string("shardchannel").multiple().optional()]),
            Spec::new("channels", -2, ASKER, Group::PubSub, pubsub_channels)
                .full_name("pubsub|channels")
                .docs(
                    "Lists the channels that anybody listens to.",
                    "2.8.0",
                    "O(N) where N is the number of active channels, and assuming constant time pattern matching \
                     (relatively short channels and patterns)",
                )
                .args(&[Arg::new("pattern", ArgKind::Pattern).optional()]),
            Spec::new("shardchannels", -2, ASKER, Group::PubSub, pubsub_shardchannels)
                .full_name("pubsub|shardchannels")
                .docs(
                    "Lists the shard channels that anybody listens to.",
                    "7.0.0",
                    "O(N) where N is the number of active shard channels, and assuming constant time pattern matching \
                     (relatively short shard channels).",
                )
                .args(&[Arg::new("pattern", ArgKind::Pattern).optional()]),
        ]),
];

#[cfg(test)]
mod tests;
