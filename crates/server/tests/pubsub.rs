//! Publish and subscribe over the wire, with several workers: one order for all, nothing lost, doubled or out of place
//! between replies, and slow subscribers that harm nobody but themselves.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use resp_parser::Reply;
use testkit::client::{Client, Protocol};
use testkit::process::{Program, Server};
use testkit::reply;

/// Far more than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const CHANNELS: usize = 3;
const PUBLISHERS: usize = 4;
/// Messages of one publisher, over all channels.
const MESSAGES: usize = 3000;
/// Messages that a publisher sends at once.
const BATCH: usize = 30;

fn start() -> Server {
    let program = Program { name: "brindle".into(), path: PathBuf::from(env!("CARGO_BIN_EXE_brindle-server")) };
    Server::start(&program, &["--io-threads", "4"]).unwrap()
}

fn client(server: &Server, protocol: Protocol) -> Client {
    let mut client = server.connect().unwrap();
    client.set_timeout(PATIENCE).unwrap();
    client.speak(protocol).unwrap();
    client
}

fn words(reply: &Reply) -> Vec<String> {
    let word = |item: &Reply| reply::integer(item).map_or_else(|| reply::name(item), |number| number.to_string());
    reply::items(reply).iter().map(word).collect()
}

fn call(client: &mut Client, line: &str) -> Reply {
    client.call(&line.split(' ').collect::<Vec<_>>()).unwrap()
}

/// Publishes in all channels by turns, several messages at a time; each message tells who sent it and its number.
fn publish(server: &Server, publisher: usize) {
    let mut client = client(server, Protocol::Resp2);
    let numbers: Vec<usize> = (0..MESSAGES).collect();
    for batch in numbers.chunks(BATCH) {
        let request = |n: &usize| vec!["PUBLISH".to_owned(), format!("c{}", n % CHANNELS), format!("{publisher}:{n}")];
        let requests: Vec<_> = batch.iter().map(request).collect();
        for reply in client.pipeline(&requests).unwrap() {
            assert!(reply::integer(&reply).is_some_and(|receivers| receivers >= 2), "{reply:?}");
        }
    }
}

/// Hears a channel to the end, by its name or by a pattern.
fn hear_all(mut client: Client) -> Vec<String> {
    let all = PUBLISHERS * MESSAGES / CHANNELS;
    (0..all).map(|_| words(&client.receive().unwrap()).pop().unwrap()).collect()
}

/// Comes and goes until told to stop; returns what was heard of the channel between each coming and going.
fn come_and_go(mut client: Client, channel: &str, stop: &AtomicBool) -> Vec<Vec<String>> {
    let mut visits = Vec::new();
    while !stop.load(Relaxed) {
        assert_eq!(words(&call(&mut client, &format!("SUBSCRIBE {channel}"))), ["subscribe", channel, "1"]);
        thread::sleep(Duration::from_micros(300 * (visits.len() as u64 % 5)));
        client.send(&["UNSUBSCRIBE", channel]).unwrap();
        let mut heard = Vec::new();
        loop {
            let mut message = words(&client.receive().unwrap());
            if message[0] == "unsubscribe" {
                break;
            }
            assert_eq!(message[..2], ["message", channel]);
            heard.extend(message.pop());
        }
        visits.push(heard);
    }
    visits
}

#[test]
fn all_who_hear_a_channel_hear_one_order_and_miss_nothing() {
    let server = start();
    let stop = AtomicBool::new(false);
    let mut listeners = Vec::new();
    for channel in 0..CHANNELS {
        for (protocol, how) in [
            (Protocol::Resp2, format!("SUBSCRIBE c{channel}")),
            (Protocol::Resp3, format!("SUBSCRIBE c{channel}")),
            (Protocol::Resp3, format!("PSUBSCRIBE c[{channel}]")),
        ] {
            let mut client = client(&server, protocol);
            call(&mut client, &how);
            listeners.push((channel, client));
        }
    }
    thread::scope(|scope| {
        let heard: Vec<_> =
            listeners.into_iter().map(|(channel, client)| (channel, scope.spawn(move || hear_all(client)))).collect();
        let (server, stop) = (&server, &stop);
        let visitors: Vec<_> = (0..CHANNELS * 2)
            .map(|n| {
                let protocol = if n < CHANNELS { Protocol::Resp2 } else { Protocol::Resp3 };
                let client = client(server, protocol);
                (n % CHANNELS, scope.spawn(move || come_and_go(client, &format!("c{}", n % CHANNELS), stop)))
            })
            .collect();
        let publishers: Vec<_> = (0..PUBLISHERS).map(|n| scope.spawn(move || publish(server, n))).collect();
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        stop.store(true, Relaxed);
        let mut orders: HashMap<usize, Vec<String>> = HashMap::new();
        for (channel, heard) in heard {
            let heard = heard.join().unwrap();
            let order = orders.entry(channel).or_insert_with(|| heard.clone());
            assert_eq!(*order, heard, "two listeners of channel {channel} differ");
        }
        orders.iter().for_each(|(channel, order)| check_order(*channel, order));
        let mut heard_on_visits = 0;
        for (channel, visits) in visitors {
            let visits = visits.join().unwrap();
            heard_on_visits += check_visits(&orders[&channel], &visits);
        }
        assert!(heard_on_visits > 0, "nobody who came and went heard anything");
    });
    let mut asker = client(&server, Protocol::Resp2);
    let left = || words(&call(&mut asker, "PUBSUB CHANNELS"));
    until("those who have gone are forgotten", left, Vec::is_empty);
}

/// Each message once, and those of each publisher in the order it sent them.
fn check_order(channel: usize, order: &[String]) {
    assert_eq!(order.iter().collect::<HashSet<_>>().len(), order.len(), "a message came twice in channel {channel}");
    let mut last: HashMap<&str, usize> = HashMap::new();
    for message in order {
        let (publisher, number) = message.split_once(':').unwrap();
        let number = number.parse().unwrap();
        let before = last.insert(publisher, number);
        assert!(before.is_none_or(|before| before < number), "{message} after {before:?} of the same publisher");
    }
}

/// What was heard on a visit is a piece of the channel's order without a gap, and visits come one after the other.
fn check_visits(order: &[String], visits: &[Vec<String>]) -> usize {
    let places: HashMap<&str, usize> = order.iter().enumerate().map(|(at, message)| (message.as_str(), at)).collect();
    let mut next = 0;
    for visit in visits {
        let Some(first) = visit.first() else { continue };
        let first = places[first.as_str()];
        assert!(first >= next, "a visit heard what an earlier one had heard, or what came before it");
        next = first + visit.len();
        assert_eq!(order[first..next], visit[..], "a visit with a gap");
    }
    visits.iter().map(Vec::len).sum()
}

#[track_caller]
fn until<T: std::fmt::Debug>(what: &str, mut look: impl FnMut() -> T, is_so: impl Fn(&T) -> bool) {
    let began = Instant::now();
    loop {
        let seen = look();
        if is_so(&seen) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}; last seen: {seen:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_message_precedes_the_replies_to_what_was_sent_after_it() {
    let server = start();
    let mut publisher = client(&server, Protocol::Resp2);
    let mut listeners: Vec<Client> = (0..4).map(|_| client(&server, Protocol::Resp3)).collect();
    listeners.iter_mut().for_each(|listener| drop(call(listener, "SUBSCRIBE c")));
    for n in 0..500 {
        assert_eq!(reply::integer(&call(&mut publisher, &format!("PUBLISH c {n}"))), Some(4));
        for listener in &mut listeners {
            let message = call(listener, "PING");
            assert_eq!(words(&message), ["message", "c", &n.to_string()], "{message:?}");
            assert_eq!(reply::name(&listener.receive().unwrap()), "PONG");
        }
    }
}

#[test]
fn what_a_client_causes_itself_follows_the_reply_and_precedes_the_next() {
    let server = start();
    let mut client = client(&server, Protocol::Resp3);
    call(&mut client, "CONFIG SET notify-keyspace-events KA");
    call(&mut client, "PSUBSCRIBE *");
    let requests = ["PUBLISH c x", "PING", "SET k v", "GET k", "MULTI", "DEL k", "PUBLISH c y", "EXEC", "PING"];
    let bytes: String = requests.iter().map(|line| format!("{line}\r\n")).collect();
    client.send_raw(bytes.as_bytes()).unwrap();
    let expected = [
        ":1",
        ">pmessage * c x",
        "PONG",
        "OK",
        ">pmessage * __keyspace@0__:k set",
        "v",
        "OK",
        "QUEUED",
        "QUEUED",
        "*1 1",
        ">pmessage * __keyspace@0__:k del",
        ">pmessage * c y",
        "PONG",
    ];
    let seen: Vec<String> = (0..expected.len()).map(|_| show(&client.receive().unwrap())).collect();
    assert_eq!(seen, expected);
}

fn show(reply: &Reply) -> String {
    match reply {
        Reply::Push(_) => format!(">{}", words(reply).join(" ")),
        Reply::Array(_) => format!("*{}", words(reply).join(" ")),
        Reply::Integer(number) => format!(":{number}"),
        other => reply::name(other),
    }
}

#[test]
fn a_subscriber_that_does_not_read_is_closed_and_the_others_go_on() {
    let server = start();
    let mut asker = client(&server, Protocol::Resp2);
    let set = ["CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0"];
    assert_eq!(reply::name(&asker.call(&set).unwrap()), "OK");
    let mut slow: Vec<Client> = (0..4).map(|_| client(&server, Protocol::Resp2)).collect();
    let mut quick: Vec<Client> = (0..4).map(|_| client(&server, Protocol::Resp3)).collect();
    slow.iter_mut().chain(&mut quick).for_each(|client| drop(call(client, "SUBSCRIBE c")));
    let payload = "x".repeat(100_000);
    let mut receivers = Vec::new();
    // More than any socket holds.
    for n in 0..200 {
        let message = format!("{n}:{payload}");
        receivers.extend(reply::integer(&asker.call(&["PUBLISH", "c", &message]).unwrap()));
        for client in &mut quick {
            assert_eq!(words(&client.receive().unwrap())[2], message);
        }
    }
    assert_eq!((receivers[0], receivers[199]), (8, 4));
    let listed = call(&mut asker, "CLIENT LIST TYPE pubsub");
    assert_eq!(reply::name(&listed).lines().count(), 4);
    for client in &mut slow {
        let heard = std::iter::from_fn(|| client.receive().ok()).count();
        assert!(heard < 200, "nothing was ever too much");
    }
}

#[test]
fn events_of_keys_are_published_where_and_when_they_were_asked_for() {
    let server = start();
    let mut listener = client(&server, Protocol::Resp3);
    let mut writer = client(&server, Protocol::Resp2);
    call(&mut listener, "PSUBSCRIBE __key*");
    call(&mut writer, "SET k unheard");
    call(&mut writer, "CONFIG SET notify-keyspace-events Exgn$m");
    call(&mut writer, "SET new v PX 30");
    let mut hear = || words(&listener.receive().unwrap())[2..].join(" ");
    assert_eq!(hear(), "__keyevent@0__:new new");
    assert_eq!(hear(), "__keyevent@0__:set new");
    assert_eq!(hear(), "__keyevent@0__:expire new");
    // Nobody touches the key, so the server itself finds it expired.
    assert_eq!(hear(), "__keyevent@0__:expired new");
    call(&mut writer, "GET new");
    assert_eq!(hear(), "__keyevent@0__:keymiss new");
    call(&mut writer, "RPUSH list x");
    assert_eq!(hear(), "__keyevent@0__:new list");
    call(&mut writer, "CONFIG SET notify-keyspace-events Kl");
    call(&mut writer, "RPUSH list x");
    assert_eq!(hear(), "__keyspace@0__:list rpush");
}

#[test]
fn info_counts_channels_patterns_and_clients() {
    let server = start();
    let mut listener = client(&server, Protocol::Resp3);
    let mut asker = client(&server, Protocol::Resp2);
    call(&mut listener, "SUBSCRIBE a");
    call(&mut listener, "PSUBSCRIBE b*");
    call(&mut listener, "SSUBSCRIBE c");
    let counts = |asker: &mut Client| -> Vec<String> {
        let info = reply::name(&call(asker, "INFO everything"));
        info.lines().filter(|line| line.starts_with("pubsub")).map(str::to_owned).collect()
    };
    let expected = ["pubsub_clients:1", "pubsub_channels:1", "pubsub_patterns:1", "pubsubshard_channels:1"];
    assert_eq!(counts(&mut asker), expected);
    drop(listener);
    until("the listener is forgotten", || counts(&mut asker), |counts| counts.iter().all(|line| line.ends_with(":0")));
}
