//! Moving between stock servers and ours: tools that speak as replicas do, what they leave behind, primaries that load,
//! stop in the middle or send nonsense, and a live migration with writers that go on.

mod replication;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use replication::*;
use testkit::{Client, Proxy, Reply};

/// A tool of a reference.
fn tool(name: &str) -> Option<std::path::PathBuf> {
    let path = testkit::process::references_folder().join("redis-8.0.2").join(name);
    path.is_file().then_some(path)
}

#[test]
fn a_copy_taken_by_a_tool_is_a_file_that_stock_servers_read() {
    let Some(subject) = subject() else { return };
    let (Some(cli), Some(check)) = (tool("redis-cli"), tool("redis-check-rdb")) else {
        println!("skipped: redis-cli or redis-check-rdb is missing");
        return;
    };
    let primary = start(&subject, &[]);
    fill(&primary);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump.rdb");
    let goes_on = AtomicBool::new(true);
    thread::scope(|scope| {
        let address = primary.address();
        let writer = scope.spawn(|| write(primary.address(), 5, || goes_on.load(SeqCst)));
        let port = address.port().to_string();
        let taken = Command::new(cli).args(["-p", &port, "--rdb", path.to_str().unwrap()]).output();
        goes_on.store(false, SeqCst);
        assert!(writer.join().unwrap() > 0);
        assert!(taken.as_ref().unwrap().status.success(), "{taken:?}");
    });
    let checked = Command::new(check).arg(&path).output().unwrap();
    let report = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success() && report.contains("RDB looks OK"), "{report}");
    for reference in references() {
        let folder = folder.path().to_str().unwrap();
        let stock = start(&reference, &["--dir", folder]);
        assert_eq!(text(&mut stock.connect().unwrap(), "GET text"), "hello", "{}", reference.name);
    }
}

/// Writes numbered keys to whoever is the primary, and remembers what was acknowledged.
fn write_where_it_leads(
    to: &[SocketAddr; 2],
    at: &AtomicUsize,
    name: &str,
    goes_on: impl Fn() -> bool,
) -> HashMap<String, u64> {
    let mut acknowledged = HashMap::new();
    let (mut side, mut client) = (usize::MAX, None::<Client>);
    let mut number = 0;
    while goes_on() {
        if side != at.load(SeqCst) || client.is_none() {
            side = at.load(SeqCst);
            client = Client::connect(to[side]).ok();
        }
        let Some(open) = &mut client else { continue };
        number += 1;
        let key = format!("{name}:{}", number % 2000);
        match open.call(&["SET".to_owned(), key.clone(), number.to_string()]) {
            Ok(Reply::Simple(_)) => {
                acknowledged.insert(key, number);
            }
            // It is no primary yet, or not any more, or it is paused.
            Ok(_) => thread::sleep(Duration::from_millis(5)),
            Err(_) => client = None,
        }
    }
    acknowledged
}

#[test]
fn a_live_migration_loses_nothing_either_way() {
    let Some(subject) = subject() else { return };
    for reference in references() {
        for comes in [true, false] {
            let (from, to) = if comes { (&reference, &subject) } else { (&subject, &reference) };
            let (old, new) = (start(from, &[]), start(to, &[]));
            fill(&old);
            let (goes_on, at) = (AtomicBool::new(true), AtomicUsize::new(0));
            let addresses = [old.address(), new.address()];
            let written = thread::scope(|scope| {
                let writers: Vec<_> = ["a", "b", "c"]
                    .into_iter()
                    .map(|name| {
                        let (goes_on, at) = (&goes_on, &at);
                        scope.spawn(move || write_where_it_leads(&addresses, at, name, || goes_on.load(SeqCst)))
                    })
                    .collect();
                thread::sleep(Duration::from_millis(300));
                follow(&new, old.address());
                until_up(&new);
                thread::sleep(Duration::from_millis(300));
                // As one moves: writes wait, the new one has everything, it is promoted, and clients go there.
                let mut at_old = old.connect().unwrap();
                assert_eq!(text(&mut at_old, "CLIENT PAUSE 60000 WRITE"), "OK");
                let end = |server: &testkit::Server| info(&mut server.connect().unwrap())["master_repl_offset"].clone();
                until("the new one has everything", || end(&old) == end(&new));
                assert_eq!(text(&mut new.connect().unwrap(), "REPLICAOF NO ONE"), "OK");
                at.store(1, SeqCst);
                follow(&old, new.address());
                assert_eq!(text(&mut at_old, "CLIENT UNPAUSE"), "OK");
                thread::sleep(Duration::from_millis(500));
                goes_on.store(false, SeqCst);
                writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect::<HashMap<_, _>>()
            });
            assert!(written.len() > 10, "{}: {}", reference.name, written.len());
            let mut client = new.connect().unwrap();
            for (key, value) in written {
                assert_eq!(text(&mut client, &format!("GET {key}")), value.to_string(), "{key}, {}", reference.name);
            }
            until_up(&old);
            assert_same(&new, &old);
            let stats = section(&mut client, "stats");
            assert_eq!(stats["sync_full"], "0", "{} {comes}:\n{}\n{}", reference.name, new.log(), old.log());
        }
    }
}

#[test]
fn a_primary_that_is_loading_is_waited_for() {
    let Some(subject) = subject() else { return };
    for reference in references().into_iter().chain([subject.clone()]) {
        let before = start(&reference, &[]);
        fill(&before);
        assert_eq!(text(&mut before.connect().unwrap(), "SAVE"), "OK");
        // Redis looks after its clients only every so many bytes while it loads.
        let (folder, often) = (before.folder().to_str().unwrap(), "--loading-process-events-interval-bytes");
        let primary = start(&reference, &["--dir", folder, "--key-load-delay", "1500", often, "1024"]);
        let replica = start(&subject, &[]);
        follow(&replica, primary.address());
        until("it is told to wait", || replica.log().contains("LOADING"));
        assert!(!is_up(&replica));
        assert_eq!(text(&mut replica.connect().unwrap(), "PING"), "PONG");
        call(&mut primary.connect().unwrap(), "CONFIG SET key-load-delay 0");
        until_up(&replica);
        assert_same(&primary, &replica);
    }
}

/// A primary of canned answers: each connection gets the next, piece by piece as requests come.
fn canned(answers: Vec<Vec<&'static [u8]>>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (stream, pieces) in listener.incoming().zip(answers.into_iter().cycle()) {
            let Ok(mut stream) = stream else { continue };
            thread::spawn(move || {
                let mut request = [0; 4096];
                for piece in pieces {
                    if !matches!(stream.read(&mut request), Ok(1..)) || stream.write_all(piece).is_err() {
                        return;
                    }
                }
                // What is open stays open for a while, as that of a primary which has stopped.
                thread::sleep(Duration::from_secs(2));
            });
        }
    });
    address
}

#[test]
fn a_primary_that_sends_nonsense_leaves_the_replica_as_it_was() {
    let Some(subject) = subject() else { return };
    const ID: &str = "+FULLRESYNC 0123456789012345678901234567890123456789 100\r\n";
    let full = |rest: &str| -> &'static [u8] { Box::leak((ID.to_owned() + rest).into_bytes().into_boxed_slice()) };
    // A handshake goes: PING, then three REPLCONFs at once, then PSYNC.
    let with = |last: &'static [u8]| vec![&b"+PONG\r\n"[..], b"+OK\r\n+OK\r\n+OK\r\n", last];
    let nonsense: [(&str, &'static [u8]); 9] = [
        ("an answer to PSYNC that is none", b"+WHATEVER\r\n"),
        ("an id that is none", b"+FULLRESYNC xyz abc\r\n"),
        ("a length that is none", full("$abc\r\n")),
        ("a length beyond everything", full("$99999999999999999999\r\n")),
        ("a negative length", full("$-5\r\n")),
        ("a file that is none", full("$9\r\nnonsense!")),
        ("a file of another kind", full("$18\r\nREDIS9999xxxxxxxxx")),
        ("a stream of nothing", full("$EOF:0123456789012345678901234567890123456789\r\nREDIS0011")),
        ("something to go on with that was never begun", b"+CONTINUE\r\n*1\r\n$4\r\nEVIL\r\n"),
    ];
    for how in ["disabled", "swapdb"] {
        for (what, last) in nonsense {
            let replica = start(&subject, &["--repl-diskless-load", how, "--repl-timeout", "5"]);
            let mut client = replica.connect().unwrap();
            call(&mut client, "SET own 1");
            follow(&replica, canned(vec![with(last)]));
            let attempts = || replica.log().matches("MASTER <-> REPLICA sync started").count();
            until(what, || attempts() >= 2);
            assert!(!is_up(&replica), "{what}");
            assert_eq!(text(&mut client, "PING"), "PONG", "{what}");
            assert_eq!(text(&mut client, "REPLICAOF NO ONE"), "OK", "{what}");
            assert_eq!(text(&mut client, "SET own 2"), "OK", "{what}:\n{}", replica.log());
        }
    }
}

#[test]
fn a_stream_that_turns_into_nonsense_ends_the_link_and_nothing_else() {
    let Some(subject) = subject() else { return };
    let Some(reference) = references().pop() else { return };
    let primary = start(&reference, &[]);
    fill(&primary);
    let proxy = Proxy::start(primary.address()).unwrap();
    let replica = start(&subject, &[]);
    follow(&replica, proxy.address());
    until_up(&replica);
    assert_same(&primary, &replica);
    // The link breaks, and whoever answers in the primary's place goes on with nonsense.
    for garbage in [
        &b"+CONTINUE\r\n\x00\xff\xfe garbage\r\n$5\r\n"[..],
        b"+CONTINUE\r\n*-7\r\n*99999999999\r\n",
        b"+CONTINUE\r\n*1\r\n$99999999999\r\n",
    ] {
        let liar = canned(vec![vec![&b"+PONG\r\n"[..], b"+OK\r\n+OK\r\n+OK\r\n", garbage]]);
        proxy.lead_to(liar);
        let made = proxy.made();
        proxy.cut();
        until("the liar was asked", || proxy.made() > made + 1);
        let mut client = replica.connect().unwrap();
        assert_eq!(text(&mut client, "GET text"), "hello", "{}", replica.log());
        proxy.lead_to(primary.address());
        proxy.cut();
        call(&mut primary.connect().unwrap(), "INCR after");
        until_up(&replica);
        assert_same(&primary, &replica);
    }
}
