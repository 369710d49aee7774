use super::*;
use crate::client::ClientType;
use crate::testing::Server;

#[track_caller]
fn check(client: &mut crate::testing::TestClient, line: &str, expected: &str) {
    assert_eq!(client.run(line).replace("\r\n", " ").trim_end(), expected, "{line}");
}

#[track_caller]
fn hears(client: &mut crate::testing::TestClient, expected: &str) {
    assert_eq!(client.heard().replace("\r\n", " ").trim_end(), expected);
}

#[test]
fn each_name_is_confirmed_with_the_number_of_subscriptions() {
    let mut a = Server::new().client();
    check(&mut a, "SUBSCRIBE x y x", "*3 $9 subscribe $1 x :1 *3 $9 subscribe $1 y :2 *3 $9 subscribe $1 x :2");
    check(&mut a, "PSUBSCRIBE n*", "*3 $10 psubscribe $2 n* :3");
    check(&mut a, "SSUBSCRIBE x", "*3 $10 ssubscribe $1 x :1");
    check(&mut a, "UNSUBSCRIBE none", "*3 $11 unsubscribe $4 none :3");
    check(&mut a, "UNSUBSCRIBE", "*3 $11 unsubscribe $1 x :2 *3 $11 unsubscribe $1 y :1");
    check(&mut a, "UNSUBSCRIBE", "*3 $11 unsubscribe $-1 :1");
    check(&mut a, "PUNSUBSCRIBE", "*3 $12 punsubscribe $2 n* :0");
    check(
        &mut a,
        "GET k",
        "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
                            allowed in this context",
    );
    check(&mut a, "SUNSUBSCRIBE", "*3 $12 sunsubscribe $1 x :0");
    check(&mut a, "GET k", "$-1");
}

#[test]
fn subscribers_of_resp2_may_do_little_and_those_of_resp3_everything() {
    let mut a = Server::new().client();
    check(&mut a, "PING", "+PONG");
    a.run("SUBSCRIBE x");
    check(&mut a, "PING", "*2 $4 pong $0");
    check(&mut a, "PING z", "*2 $4 pong $1 z");
    check(
        &mut a,
        "CONFIG GET x",
        "-ERR Can't execute 'config|get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / \
                                   QUIT / RESET are allowed in this context",
    );
    check(&mut a, "GET", "-ERR wrong number of arguments for 'get' command");
    check(&mut a, "RESET", "+RESET");
    check(&mut a, "PING", "+PONG");
    check(&mut a, "PUBSUB CHANNELS", "*0");
    a.resp3();
    check(&mut a, "SUBSCRIBE x", ">3 $9 subscribe $1 x :1");
    check(&mut a, "GET k", "_");
    check(&mut a, "PING z", "$1 z");
    check(&mut a, "PUNSUBSCRIBE", ">3 $12 punsubscribe _ :1");
}

#[test]
fn a_message_reaches_every_worker_once_and_every_subscription() {
    let server = Server::new();
    let (mut a, mut b, mut c) = (server.client_of(0), server.client_of(1), server.client_of(1));
    a.run("SUBSCRIBE ab");
    a.run("PSUBSCRIBE a* *b");
    b.run("SUBSCRIBE ab");
    b.resp3();
    check(&mut c, "PUBLISH ab hi", ":4");
    check(&mut c, "PUBLISH other hi", ":0");
    check(&mut c, "SPUBLISH ab hi", ":0");
    hears(&mut a, "*3 $7 message $2 ab $2 hi *4 $8 pmessage $2 *b $2 ab $2 hi *4 $8 pmessage $2 a* $2 ab $2 hi");
    hears(&mut b, ">3 $7 message $2 ab $2 hi");
    hears(&mut b, "");
    assert_eq!(*server.host.rung.lock().unwrap(), [0, 1]);
    assert_eq!(server.host.channels.mailbox(1).drain().1.len(), 1);
    check(&mut c, "PUBSUB NUMSUB ab none", "*4 $2 ab :2 $4 none :0");
    check(&mut c, "PUBSUB NUMPAT", ":2");
    check(&mut c, "PUBSUB CHANNELS a?", "*1 $2 ab");
    check(&mut c, "PUBSUB SHARDCHANNELS", "*0");
    check(
        &mut c,
        "PUBSUB CHANNELS a b",
        "-ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try \
                                          PUBSUB HELP.",
    );
}

#[test]
fn shard_channels_are_a_name_space_of_their_own() {
    let server = Server::new();
    let (mut a, mut b) = (server.client(), server.client());
    a.all(&["SSUBSCRIBE x", "PSUBSCRIBE *"]);
    check(&mut b, "PUBLISH x 1", ":1");
    check(&mut b, "SPUBLISH x 2", ":1");
    hears(&mut a, "*4 $8 pmessage $1 * $1 x $1 1 *3 $8 smessage $1 x $1 2");
    check(&mut b, "PUBSUB SHARDNUMSUB x", "*2 $1 x :1");
    check(&mut b, "PUBSUB CHANNELS", "*0");
}

/// The order in which somebody leaves while others publish: what was published before is heard before the confirmation,
/// and what was heard is not heard again after coming back.
#[test]
fn nothing_is_lost_or_doubled_around_leaving() {
    let server = Server::new();
    let (mut a, mut b) = (server.client(), server.client());
    a.all(&["SUBSCRIBE x", "SUBSCRIBE y"]);
    b.all(&["PUBLISH y 1", "PUBLISH x 2"]);
    check(&mut a, "UNSUBSCRIBE x", "*3 $7 message $1 y $1 1 *3 $7 message $1 x $1 2 *3 $11 unsubscribe $1 x :1");
    check(&mut b, "PUBLISH x 3", ":0");
    a.run("SUBSCRIBE x");
    hears(&mut a, "");
    let (first, deliveries) = server.host.channels.mailbox(0).drain();
    let subscriptions = a.session.subscriptions.as_ref().unwrap();
    assert!((first..).zip(&deliveries).all(|(number, _)| !subscriptions.awaits(number)));
    check(&mut b, "PUBLISH x 4", ":1");
    assert!(a.session.subscriptions.as_ref().unwrap().awaits(server.host.channels.mailbox(0).last()));
    hears(&mut a, "*3 $7 message $1 x $1 4");
}

#[test]
fn inside_a_transaction_messages_wait_for_its_reply() {
    let mut a = Server::new().client();
    a.resp3();
    a.all(&["SUBSCRIBE x", "MULTI", "PUBLISH x 1", "UNSUBSCRIBE x", "PUBLISH x 2"]);
    check(&mut a, "EXEC", "*3 :1 >3 $11 unsubscribe $1 x :0 :0");
    hears(&mut a, ">3 $7 message $1 x $1 1");
    hears(&mut a, "");
}

#[test]
fn confirmations_and_messages_pass_a_silent_mode() {
    let mut a = Server::new().client();
    check(&mut a, "CLIENT REPLY OFF", "");
    check(&mut a, "SUBSCRIBE x", "*3 $9 subscribe $1 x :1");
    check(&mut a, "SUBSCRIBE", "");
    check(&mut a, "GET k", "");
    check(&mut a, "PING", "");
    check(&mut a, "UNSUBSCRIBE", "*3 $11 unsubscribe $1 x :0");
    check(&mut a, "CLIENT REPLY ON", "+OK");
    a.all(&["WATCH k", "SET k v", "CLIENT REPLY OFF", "MULTI", "GET k"]);
    check(&mut a, "EXEC", "");
}

#[test]
fn whoever_has_gone_hears_nothing_and_is_not_counted() {
    let server = Server::new();
    let (mut a, mut b) = (server.client(), server.client());
    a.all(&["SUBSCRIBE x", "PSUBSCRIBE *", "SSUBSCRIBE x"]);
    let channels = &server.host.channels;
    assert_eq!((channels.channel_count(), channels.pattern_count(), channels.shard_channel_count()), (1, 1, 1));
    assert!(channels.hears_events());
    assert_eq!(a.session.client.kind(), ClientType::Pubsub);
    leave_all(channels, &mut a.session);
    check(&mut b, "PUBLISH x 1", ":0");
    check(&mut b, "SPUBLISH x 1", ":0");
    assert_eq!((channels.channel_count(), channels.pattern_count(), channels.shard_channel_count()), (0, 0, 0));
    assert!(!channels.hears_events());
    assert_eq!(a.session.client.kind(), ClientType::Normal);
}

#[test]
fn events_are_published_by_class_and_in_the_channels_that_were_chosen() {
    let server = Server::new();
    let (mut a, mut b) = (server.client(), server.client());
    a.run("PSUBSCRIBE __key*");
    check(&mut b, "SET k v", "+OK");
    hears(&mut a, "");
    let publish = |class: Class| server.host.published_events.store(class.bits(), Relaxed);
    publish(Class::KEYSPACE | Class::KEYEVENT | Class::STRING);
    b.all(&["SET k v", "DEL k", "LPUSH l x"]);
    hears(
        &mut a,
        "*4 $8 pmessage $6 __key* $16 __keyspace@0__:k $3 set *4 $8 pmessage $6 __key* $18 __keyevent@0__:set $1 k",
    );
    publish(Class::KEYEVENT | Class::GENERIC | Class::EXPIRED | Class::KEY_MISS | Class::NEW);
    b.all(&["SELECT 1", "SET k v PX 1"]);
    hears(
        &mut a,
        "*4 $8 pmessage $6 __key* $18 __keyevent@1__:new $1 k *4 $8 pmessage $6 __key* $21 __keyevent@1__:expire $1 k",
    );
    server.advance_ms(1);
    b.run("GET k");
    hears(
        &mut a,
        "*4 $8 pmessage $6 __key* $22 __keyevent@1__:keymiss $1 k *4 $8 pmessage $6 __key* $22 __keyevent@1__:expired \
         $1 k",
    );
}
