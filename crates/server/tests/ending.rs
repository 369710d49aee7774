//! How the server ends: SHUTDOWN, signals, supervisors, crashes.

mod common;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use common::{Running, Scratch, Served, ask, assert_has, connect, free_port, send, until};
use rustix::process::Signal;
use testkit::reply::name;

#[test]
fn a_signal_ends_it_and_tidies_up() {
    for (signal, text) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let mut served = Served::start(&["--pidfile", "brindle.pid", "--save", "900", "1"]);
        assert_eq!(served.scratch.read("brindle.pid"), format!("{}\n", served.running.pid()));
        served.running.signal(Signal::HUP);
        served.running.signal(signal);
        assert_eq!(served.running.wait().code(), Some(0));
        assert!(!served.scratch.path("brindle.pid").exists());
        for part in [
            &format!("Received {text} scheduling shutdown..."),
            "User requested shutdown...",
            "Removing the pid file.",
            "Brindle is now ready to exit, bye bye...",
        ] {
            assert_has(&served.log(), part);
        }
    }
}

#[test]
fn shutdown_lets_replies_out_and_answers_nothing() {
    let mut served = Served::start(&["--io-threads", "2"]);
    let mut client = served.client();
    client.send_raw(b"SET a 1\r\nECHO hello\r\nSHUTDOWN NOSAVE\r\nSET a 2\r\n").unwrap();
    assert_eq!([name(&client.receive().unwrap()), name(&client.receive().unwrap())], ["OK", "hello"]);
    assert_eq!(client.read_raw(Duration::from_secs(10)).unwrap(), b"", "no reply, and nothing after it");
    assert_eq!(served.running.wait().code(), Some(0));
}

#[test]
fn what_cannot_be_saved_does_not_end() {
    let mut served = Served::start(&["--shutdown-on-sigterm", "save"]);
    // The file cannot take the place of a directory.
    fs::create_dir(served.scratch.path("dump.rdb")).unwrap();
    let mut client = served.client();
    assert_eq!(ask(&mut client, "SHUTDOWN SAVE"), "ERR Errors trying to SHUTDOWN. Check logs.");
    assert_has(&served.log(), "Error trying to save the DB, can't exit.");
    served.running.signal(Signal::TERM);
    until("the signal is refused", || served.log().contains("Errors trying to shut down the server."));
    assert_eq!(ask(&mut client, "PING"), "PONG");
    // A refused request is no first of two.
    served.running.signal(Signal::TERM);
    until("it is refused again", || served.log().matches("Errors trying to shut down the server.").count() == 2);
    assert_eq!(ask(&mut client, "CONFIG SET shutdown-on-sigterm nosave"), "OK");
    assert_eq!(served.stop().code(), Some(0));

    let mut served = Served::start(&[]);
    fs::create_dir(served.scratch.path("dump.rdb")).unwrap();
    assert_eq!(ask(&mut served.client(), "SHUTDOWN SAVE FORCE"), "<UnexpectedEof>");
    assert_eq!(served.running.wait().code(), Some(0));
}

#[test]
fn a_request_is_taken_back_or_insisted_on() {
    // Once a second the server looks whether it was asked to end: time enough to change one's mind.
    let mut served = Served::start(&["--hz", "1", "--dynamic-hz", "no"]);
    let mut client = served.client();
    assert_eq!(ask(&mut client, "SHUTDOWN ABORT"), "ERR No shutdown in progress.");
    let answer = || {
        served.running.signal(Signal::TERM);
        until("the signal has come", || served.log().contains("Received SIGTERM"));
        ask(&mut client, "SHUTDOWN ABORT")
    };
    assert_eq!({ answer }(), "OK");
    assert_has(&served.log(), "Shutdown manually aborted.");
    assert_eq!(ask(&mut client, "PING"), "PONG");
    served.running.signal(Signal::INT);
    until("the signal has come", || served.log().contains("Received SIGINT"));
    served.running.signal(Signal::INT);
    assert_eq!(served.running.wait().code(), Some(1));
    assert_has(&served.log(), "You insist... exiting now.");
}

/// A process in the background is nobody's child, so a test that fails has to end it by its number.
struct EndedOnFailure(u32);

impl Drop for EndedOnFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            send(self.0, Signal::KILL);
        }
    }
}

#[test]
fn in_the_background_it_writes_its_number_and_ends_by_it() {
    let scratch = Scratch::new();
    let port = free_port();
    let (port_text, pid_file) = (port.to_string(), scratch.text("brindle.pid"));
    let arguments = [
        "--port",
        &port_text,
        "--daemonize",
        "yes",
        "--pidfile",
        &pid_file,
        "--logfile",
        "d.log",
        "--bind",
        "127.0.0.1",
    ];
    let outcome = common::run(&scratch, &arguments);
    assert_eq!(outcome.status.code(), Some(0), "{outcome:?}");
    until("the server answers", || connect(port).is_some());
    let pid: u32 = scratch.read("brindle.pid").trim().parse().unwrap();
    let _end = EndedOnFailure(pid);
    for descriptor in ["0", "1", "2"] {
        let target = fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).unwrap();
        assert_eq!(target.to_str(), Some("/dev/null"));
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let session = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(3).unwrap().to_owned();
    assert_eq!(session, pid.to_string(), "it leads a session of its own");
    send(pid, Signal::TERM);
    until("it has ended", || scratch.read("d.log").contains("bye bye..."));
    assert!(!scratch.path("brindle.pid").exists());
}

#[test]
fn systemd_is_told_of_the_beginning_and_the_end() {
    let scratch = Scratch::new();
    let socket = UnixDatagram::bind(scratch.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let port = free_port().to_string();
    let arguments = ["--port", &port, "--bind", "127.0.0.1", "--supervised", "auto", "--daemonize", "yes"];
    let path = scratch.text("notify");
    let mut running = Running::spawn(&scratch, &arguments, Stdio::null(), &[("NOTIFY_SOCKET", &path)]);
    let next = || {
        let mut buffer = [0; 1024];
        let len = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    };
    assert_has(&next(), "READY=1");
    assert!(connect(port.parse().unwrap()).is_some());
    running.signal(Signal::TERM);
    assert_has(&next(), "STOPPING=1");
    assert_eq!(running.wait().code(), Some(0), "a supervised server stays in the foreground");
}

#[test]
fn a_crash_is_reported_before_it_takes_effect() {
    for (signal, number) in [(Signal::SEGV, 11), (Signal::ABORT, 6)] {
        let mut served = Served::start(&[]);
        served.running.signal(signal);
        assert_eq!(served.running.wait().signal(), Some(number));
        let log = served.log();
        for part in
            [&format!("crashed by signal: {number}"), "STACK TRACE ------", "STACK TRACE DONE", "BUG REPORT END"]
        {
            assert_has(&log, part);
        }
        assert_eq!(log.matches("BUG REPORT START").count(), 1);
    }
    let mut served = Served::start(&[]);
    assert_eq!(ask(&mut served.client(), "CONFIG SET crash-log-enabled no"), "OK");
    served.running.signal(Signal::SEGV);
    assert_eq!(served.running.wait().signal(), Some(11));
    assert!(!served.log().contains("BUG REPORT"));
}
