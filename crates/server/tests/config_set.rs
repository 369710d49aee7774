//! CONFIG SET on the wire: what it changes is in effect, and what fails leaves no trace.

mod common;

use std::fs;
use std::net::TcpListener;
use std::process::Stdio;

use common::{Running, Scratch, Served, ask, ask_words, assert_has, connect, free_port, until};
use rustix::process::Signal;

#[test]
fn a_hook_that_fails_takes_everything_back() {
    let served = Served::start(&["--oom-score-adj-values", "5", "6", "7"]);
    let mut client = served.client();
    let score = || fs::read_to_string(format!("/proc/{}/oom_score_adj", served.running.pid())).unwrap();
    let before = (score(), ask(&mut client, "CONFIG GET *"));
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let answer = ask(&mut client, &format!("CONFIG SET timeout 17 oom-score-adj yes port {port} hz 33"));
    let expected = "ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port.";
    assert_has(&answer, expected);
    assert_eq!((score(), ask(&mut client, "CONFIG GET *")), before);
    assert_has(&served.log(), "Possibly related to new port setting. Restoring previous settings.");
    assert_eq!(ask(&mut served.client(), "PING"), "PONG", "the old port is served");
    // The score is not always 0 to begin with.
    let base: i32 = before.0.trim().parse().unwrap();
    assert_eq!(ask(&mut client, "CONFIG SET oom-score-adj yes"), "OK");
    assert_eq!(score().trim(), (base + 5).to_string());
    assert_eq!(ask(&mut client, "CONFIG SET oom-score-adj no"), "OK");
    assert_eq!(score(), before.0);
    drop(taken);
}

#[test]
fn a_value_that_is_refused_changes_nothing() {
    let served = Served::start(&[]);
    let mut client = served.client();
    for (line, expected) in [
        ("timeout 5 hz ten", "ERR CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed"),
        ("timeout 5 nosuch 1", "ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'"),
        ("timeout 5 daemonize yes", "(possibly related to argument 'daemonize') - can't set immutable config"),
        ("timeout 5 dir /", "(possibly related to argument 'dir') - can't set protected config"),
        ("timeout 5 timeout 6", "duplicate parameter"),
        ("timeout 5 replica-announce-ip", "ERR syntax error"),
    ] {
        assert_has(&ask(&mut client, &format!("CONFIG SET {line}")), expected);
        assert_eq!(ask(&mut client, "CONFIG GET timeout"), "timeout 0", "{line}");
    }
}

#[test]
fn the_port_moves() {
    let served = Served::start(&[]);
    let mut client = served.client();
    let port = free_port();
    assert_eq!(ask(&mut client, &format!("CONFIG SET port {port}")), "OK");
    let mut moved = connect(port).expect("the new port is served");
    assert!(connect(served.port).is_none(), "the old one is not");
    assert_eq!(ask(&mut client, "PING"), "PONG", "those who are there stay");
    assert_eq!(ask(&mut moved, "CONFIG SET port 0"), "OK");
    assert!(connect(port).is_none());
    assert_eq!(ask(&mut moved, &format!("CONFIG SET port {port}")), "OK");
    assert!(connect(port).is_some());
}

#[test]
fn addresses_that_exclude_each_other_follow_each_other() {
    let served = Served::start(&[]);
    let mut client = served.client();
    for bind in ["*", "127.0.0.1", "127.0.0.1 127.0.0.2", "* -::*", "127.0.0.1"] {
        assert_eq!(ask_words(&mut client, &["CONFIG", "SET", "bind", bind]), "OK", "{bind}");
        assert!(connect(served.port).is_some(), "{bind}");
    }
    // The old socket has to make room for the wildcard, which then fails for the other address: it goes on.
    let answer = ask_words(&mut client, &["CONFIG", "SET", "bind", "* 192.0.2.1"]);
    assert_has(&answer, "(possibly related to argument 'bind') - Failed to bind to specified addresses.");
    assert!(connect(served.port).is_some());
    assert_eq!(ask(&mut client, "CONFIG GET bind"), "bind 127.0.0.1");
    assert_eq!(ask_words(&mut client, &["CONFIG", "SET", "bind", ""]), "OK");
    assert!(connect(served.port).is_none());
    assert_eq!(ask_words(&mut client, &["CONFIG", "SET", "bind", "127.0.0.1"]), "OK");
    assert!(connect(served.port).is_some());
}

#[test]
fn what_a_rewrite_has_written_starts_the_same_server() {
    let scratch = Scratch::new();
    let file = scratch.write("brindle.conf", "# mine\ntimeout 10\nrename-command echo \"\"\nsave 900 1\n");
    let mut served = Served::start_in(scratch, &[&file]);
    let mut client = served.client();
    let settings = [
        ("timeout", "20"),
        ("save", ""),
        ("client-output-buffer-limit", "normal 1048576 0 0"),
        ("shutdown-on-sigterm", "nosave now"),
        ("tls-ciphers", "two words"),
    ];
    for (name, value) in settings {
        assert_eq!(ask_words(&mut client, &["CONFIG", "SET", name, value]), "OK", "{name}");
    }
    let all = ask(&mut client, "CONFIG GET *");
    assert_eq!(ask(&mut client, "CONFIG REWRITE"), "OK");
    served.stop();
    let text = served.scratch.read("brindle.conf");
    assert!(text.starts_with("# mine\ntimeout 20\nrename-command echo \"\"\n"), "{text}");
    // The file now holds the port and the address as well.
    let mut again = Running::spawn(&served.scratch, &[&file], Stdio::null(), &[]);
    until("the server answers again", || connect(served.port).is_some());
    assert_eq!(ask(&mut served.client(), "CONFIG GET *"), all);
    assert_has(&ask(&mut served.client(), "ECHO hello"), "ERR unknown command");
    again.signal(Signal::TERM);
    assert_eq!(again.wait().code(), Some(0));
}

#[test]
fn a_rewrite_without_a_file_is_refused() {
    let served = Served::start(&[]);
    assert_eq!(ask(&mut served.client(), "CONFIG REWRITE"), "ERR The server is running without a config file");
}

#[test]
fn conversion_limits_and_the_largest_string_change_at_once() {
    let served = Served::start(&["--io-threads", "2"]);
    let (mut one, mut other) = (served.client(), served.client());
    assert_eq!(ask(&mut one, "CONFIG SET proto-max-bulk-len 1mb"), "OK");
    assert_has(&ask(&mut other, "SETRANGE k 1048576 x"), "exceeds maximum allowed size (proto-max-bulk-len)");
    assert_eq!(ask(&mut one, "CONFIG SET list-max-listpack-size 2"), "OK");
    assert_eq!(ask(&mut other, "RPUSH l a b c"), "3");
    assert_eq!(ask(&mut other, "OBJECT ENCODING l"), "quicklist");
}

#[test]
fn clients_beyond_the_limit_are_refused() {
    let served = Served::start(&["--maxclients", "2"]);
    let (mut one, mut two) = (served.client(), None);
    until("the start's own connections are gone", || {
        two = connect(served.port);
        two.as_mut().is_some_and(|client| ask(client, "PING") == "PONG")
    });
    let mut three = testkit::Client::connect(([127, 0, 0, 1], served.port).into()).unwrap();
    assert_eq!(ask(&mut three, "PING"), "ERR max number of clients reached");
    assert_eq!(ask(&mut one, "CONFIG SET maxclients 3"), "OK");
    assert_eq!(ask(&mut served.client(), "PING"), "PONG");
    let answer = ask(&mut one, "CONFIG SET maxclients 4000000000");
    assert_has(&answer, "The operating system is not able to handle the specified number of clients, try with ");
    assert_eq!(ask(&mut one, "CONFIG GET maxclients"), "maxclients 3");
}

#[test]
fn buffers_have_the_limits_that_are_set() {
    let served = Served::start(&[]);
    let (mut one, mut greedy, mut endless) = (served.client(), served.client(), served.client());
    let value = "x".repeat(100_000);
    assert_eq!(ask_words(&mut one, &["SET", "k", &value]), "OK");
    assert_eq!(ask_words(&mut one, &["CONFIG", "SET", "client-output-buffer-limit", "normal 4mb 0 0"]), "OK");
    for _ in 0..1000 {
        // It may be closed already.
        let _ = greedy.send(&["GET", "k"]);
    }
    until("the greedy client is closed", || served.log().contains("overcoming of output buffer limits"));
    assert_eq!(ask(&mut one, "CONFIG SET client-query-buffer-limit 1mb"), "OK");
    let _ = endless.send_raw(b"*2\r\n$4\r\nECHO\r\n$100000000\r\n");
    let _ = endless.send_raw(&vec![b'x'; 2 << 20]);
    until("the endless one too", || served.log().contains("Closing client that reached max query buffer"));
    assert_eq!(ask(&mut one, "PING"), "PONG");
}

#[test]
fn a_password_asks_newcomers_only() {
    let served = Served::start(&[]);
    let mut old = served.client();
    assert_eq!(ask(&mut old, "CONFIG SET requirepass secret"), "OK");
    assert_eq!(ask(&mut old, "PING"), "PONG");
    assert_has(&ask(&mut served.client(), "PING"), "NOAUTH");
    assert_eq!(ask_words(&mut old, &["CONFIG", "SET", "requirepass", ""]), "OK");
    assert_eq!(ask(&mut served.client(), "PING"), "PONG");
}

#[test]
fn settings_without_effect_are_logged_and_dangerous_ones_refused() {
    let served = Served::start(&[]);
    let mut client = served.client();
    assert_eq!(ask(&mut client, "CONFIG SET slowlog-max-len 7"), "OK");
    assert_has(&served.log(), "WARNING: the setting of 'slowlog-max-len' has no effect: the slow log is still to come");
    assert_has(
        &ask(&mut client, "CONFIG SET appendonly yes"),
        "'appendonly' cannot be set to this: the append-only file",
    );
}

#[test]
fn every_value_can_be_set_again() {
    let served = Served::start(&["--enable-protected-configs", "yes"]);
    let mut client = served.client();
    let reply = client.call(&["CONFIG", "GET", "*"]).unwrap();
    let pairs = testkit::reply::pairs(&reply);
    assert!(pairs.len() > 200, "{}", pairs.len());
    for (name, value) in pairs {
        let (name, value) = (testkit::reply::name(name), testkit::reply::name(value));
        let answer = ask_words(&mut client, &["CONFIG", "SET", &name, &value]);
        assert!(answer == "OK" || answer.contains("can't set immutable config"), "{name}: {answer}");
    }
}
