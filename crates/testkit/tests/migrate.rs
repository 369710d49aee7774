//! MIGRATE over the wire: to and from both Redis versions, errors beside the reference, targets that hang or lie, and
//! writers that do not stop while their key is on its way.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use testkit::grammar::seeds_of_family;
use testkit::reply::{integer, items, show, text};
use testkit::words::split;
use testkit::{Client, Program, Reply, Server, Words, found};

const REFERENCE: &str = "redis-8.0.2";
const OLDER: &str = "redis-7.0.15";
const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];
const TIMEOUT_MS: &str = "5000";

fn start(program: &Program, arguments: &[&str]) -> Server {
    let all: Vec<&str> = DEBUG.into_iter().chain(arguments.iter().copied()).collect();
    Server::start(program, &all).expect("the server starts")
}

fn run(client: &mut Client, line: &str) -> Reply {
    client.call(&split(line.as_bytes()).expect("words")).expect("a reply")
}

fn ok() -> Reply {
    Reply::Simple(b"OK".to_vec())
}

/// `MIGRATE 127.0.0.1 <port of target> <rest>`.
fn migrate(client: &mut Client, target: SocketAddr, rest: &str) -> Reply {
    run(client, &format!("MIGRATE 127.0.0.1 {} {rest}", target.port()))
}

/// The keys of a server, each with its digest and expiry.
fn content(client: &mut Client, keys: &[Vec<u8>]) -> Vec<(Reply, Reply)> {
    let of = |client: &mut Client, words: &[&[u8]]| client.call(words).expect("a reply");
    keys.iter().map(|key| (of(client, &[b"DEBUG", b"DIGEST-VALUE", key]), of(client, &[b"PEXPIRETIME", key]))).collect()
}

fn keys(client: &mut Client) -> Vec<Vec<u8>> {
    items(&run(client, "KEYS *")).iter().filter_map(text).map(Vec::from).collect()
}

#[test]
fn every_type_moves_to_and_from_both_versions() {
    let Some(subject) = found(Program::subject(), "brindle-server") else { return };
    for name in [REFERENCE, OLDER] {
        let Some(other) = found(Program::reference(name), name) else { return };
        let (ours, theirs) = (start(&subject, &[]), start(&other, &[]));
        check_moves(&ours, &theirs);
        check_moves(&theirs, &ours);
        check_moves(&ours, &start(&subject, &[]));
    }
}

/// All keys in one call, with their expiry, and nothing stays behind; a copy stays.
fn check_moves(from: &Server, to: &Server) {
    let (mut here, mut there) = (from.connect().expect("connects"), to.connect().expect("connects"));
    for client in [&mut here, &mut there] {
        run(client, "FLUSHALL");
    }
    // 7.0.15 cannot hold fields that expire, and refuses the commands that make them.
    let families =
        if [from, to].iter().any(|server| server.name() == OLDER) { &["list", "set"][..] } else { &["generic"] };
    for family in families {
        here.pipeline(&seeds_of_family(family)).expect("replies");
    }
    run(&mut here, "SET volatile v PX 1000000");
    run(&mut here, "SET KEYS named");
    let names = keys(&mut here);
    assert!(names.len() > 5, "too few keys: {names:?}");
    let before = content(&mut here, &names);
    let mut words: Words =
        split(format!("MIGRATE 127.0.0.1 {} '' 0 {TIMEOUT_MS}", to.address().port()).as_bytes()).expect("words");
    words.extend([b"COPY".to_vec(), b"KEYS".to_vec()]);
    words.extend(names.iter().cloned());
    let what = format!("{} to {}", from.name(), to.name());
    assert_eq!(here.call(&words).expect("a reply"), ok(), "a copy from {what}");
    assert_eq!(content(&mut here, &names), before, "a copy changes nothing at {what}");
    words[6] = b"REPLACE".to_vec();
    assert_eq!(here.call(&words).expect("a reply"), ok(), "from {what}");
    assert_eq!(keys(&mut here), Vec::<Vec<u8>>::new(), "moved from {what}");
    let after = content(&mut there, &names);
    for ((name, before), after) in names.iter().zip(before).zip(after) {
        let name = String::from_utf8_lossy(name);
        assert_eq!(before.0, after.0, "{name} from {what}");
        let (before, after) = (integer(&before.1).expect("a time"), integer(&after.1).expect("a time"));
        // Redis sends the time that is left, so its keys live a little longer at the target; ours do not.
        let slack = if from.name() == "brindle" { 0 } else { 5000 };
        assert!((before..=before + slack).contains(&after), "{name} expires at {before}, then at {after}: {what}");
    }
}

/// Each line to both; `T` stands for a server that wants a password, `O` for an open one, `P` for a port where nobody is.
const LINES: &str = r"
SET k v
SET l v PX 100000
MIGRATE 127.0.0.1 O
MIGRATE 127.0.0.1 O none 0 1000
MIGRATE 127.0.0.1 O none x 1000
MIGRATE 127.0.0.1 O none 0 x
MIGRATE 127.0.0.1 P k 0 1000
MIGRATE 127.0.0.1 x k 0 1000
MIGRATE 127.0.0.1 O k 99 1000 COPY
MIGRATE 127.0.0.1 O k 0 1000 BOGUS
MIGRATE 127.0.0.1 O k 0 1000 AUTH
MIGRATE 127.0.0.1 O k 0 1000 AUTH2 a
MIGRATE 127.0.0.1 O k 0 1000 KEYS a b
MIGRATE 127.0.0.1 O k x 1000 KEYS a b
MIGRATE 127.0.0.1 O '' 0 1000 KEYS
MIGRATE 127.0.0.1 O '' 0 1000 KEYS none none2
MIGRATE 127.0.0.1 O '' 0 1000
MIGRATE 127.0.0.1 T k 0 1000
MIGRATE 127.0.0.1 T k 0 1000 AUTH wrong
MIGRATE 127.0.0.1 T k 0 1000 COPY AUTH sesame
MIGRATE 127.0.0.1 T k 0 1000 COPY AUTH sesame
MIGRATE 127.0.0.1 T k 0 1000 COPY REPLACE AUTH2 default sesame
MIGRATE 127.0.0.1 O k 0 1000 COPY AUTH x
MIGRATE 127.0.0.1 O k 0 1000 COPY REPLACE COPY REPLACE
MIGRATE 127.0.0.1 O k 0 0 COPY REPLACE
MIGRATE 127.0.0.1 O k 3 -10 COPY REPLACE
MIGRATE 127.0.0.1 O k 0 1000 COPY REPLACE
MIGRATE 127.0.0.1 O '' 0 1000 KEYS k l none
EXISTS k l
MIGRATE 127.0.0.1 O '' 0 1000 REPLACE KEYS k l none
EXISTS k l
MIGRATE 127.0.0.1 O k 0 1000
";

/// The answers of a server whose targets are fresh servers of `target`.
fn answers(program: &Program, target: &Program) -> Vec<Reply> {
    let (server, open, closed) = (start(program, &[]), start(target, &[]), start(target, &["--requirepass", "sesame"]));
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let mut client = server.connect().expect("connects");
    let port = |address: SocketAddr| address.port().to_string();
    let answer = |line: &str| {
        let line = line.replace(" O", &format!(" {}", port(open.address())));
        let line =
            line.replace(" T", &format!(" {}", port(closed.address()))).replace(" P", &format!(" {}", port(nobody)));
        run(&mut client, &line)
    };
    LINES.trim().lines().map(answer).collect()
}

#[test]
fn answers_are_as_in_redis() {
    let Some(subject) = found(Program::subject(), "brindle-server") else { return };
    let Some(reference) = found(Program::reference(REFERENCE), REFERENCE) else { return };
    let (ours, theirs) = (answers(&subject, &reference), answers(&reference, &reference));
    for ((line, ours), theirs) in LINES.trim().lines().zip(ours).zip(theirs) {
        assert_eq!(show(&ours), show(&theirs), "{line}");
    }
}

/// A target that does something else than answer, to the first connections that come.
fn impostor(behave: impl Fn(std::net::TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(behave));
    address
}

#[test]
fn a_target_that_does_not_answer_keeps_nobody_else_waiting() {
    let Some(subject) = found(Program::subject(), "brindle-server") else { return };
    let server = start(&subject, &["--io-threads", "1"]);
    let hole = impostor(|stream| {
        thread::sleep(Duration::from_secs(20));
        drop(stream);
    });
    let (mut mover, mut other) = (server.connect().expect("connects"), server.connect().expect("connects"));
    run(&mut other, "SET k v");
    let begin = Instant::now();
    mover.send(&["MIGRATE", "127.0.0.1", &hole.port().to_string(), "k", "0", "1500"]).expect("sent");
    let mut pings = 0;
    while begin.elapsed() < Duration::from_millis(1000) {
        let asked = Instant::now();
        assert_eq!(run(&mut other, "SET k w"), ok());
        assert!(asked.elapsed() < Duration::from_millis(400), "a write to the key waited for {:?}", asked.elapsed());
        pings += 1;
    }
    assert!(pings > 10);
    // Not to be unblocked: what is under way cannot be taken back.
    let list = run(&mut other, "CLIENT LIST");
    let list = String::from_utf8_lossy(text(&list).expect("text")).into_owned();
    let id = list.lines().find(|line| line.contains("cmd=migrate")).and_then(|line| line.split([' ', '=']).nth(1));
    assert_eq!(run(&mut other, &format!("CLIENT UNBLOCK {}", id.expect("the client is listed"))), Reply::Integer(0));
    let answer = mover.receive().expect("an answer");
    assert_eq!(answer, Reply::Error(b"IOERR error or timeout reading to target instance".to_vec()));
    assert!(begin.elapsed() >= Duration::from_millis(1400), "after {:?}", begin.elapsed());
    assert_eq!(run(&mut other, "GET k"), Reply::Bulk(b"w".to_vec()));
    // Who leaves meanwhile is not missed.
    mover.send(&["MIGRATE", "127.0.0.1", &hole.port().to_string(), "k", "0", "300"]).expect("sent");
    drop(mover);
    thread::sleep(Duration::from_millis(600));
    assert_eq!(run(&mut other, "EXISTS k"), Reply::Integer(1));
}

#[test]
fn a_target_that_lies_loses_nothing() {
    let Some(subject) = found(Program::subject(), "brindle-server") else { return };
    let server = start(&subject, &[]);
    let mut client = server.connect().expect("connects");
    type Lie = fn(std::net::TcpStream);
    let lies: [(&str, Lie); 4] = [
        ("closes at once", drop),
        ("sends what is no reply", |mut stream| drop(stream.write_all(b"hello\r\n"))),
        ("accepts SELECT and closes", |mut stream| {
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(b"+OK\r\n");
        }),
        ("takes one key of two", |mut stream| {
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(b"+OK\r\n+OK\r\n-ERR no\r\n");
            thread::sleep(Duration::from_millis(500));
        }),
    ];
    for (name, lie) in lies {
        run(&mut client, "MSET a 1 b 2");
        let reply = migrate(&mut client, impostor(lie), "'' 0 2000 KEYS a b");
        let left = run(&mut client, "EXISTS a b");
        if name == "takes one key of two" {
            let refused = Reply::Error(b"ERR Target instance replied with error: ERR no".to_vec());
            assert_eq!((reply, left), (refused, Reply::Integer(1)), "{name}");
        } else {
            assert!(matches!(&reply, Reply::Error(error) if error.starts_with(b"IOERR")), "{name}: {reply:?}");
            assert_eq!(left, Reply::Integer(2), "{name}");
        }
    }
}

/// A connection that was kept, and that the target has closed meanwhile, is replaced by a new one.
#[test]
fn a_kept_connection_may_have_died() {
    let Some(subject) = found(Program::subject(), "brindle-server") else { return };
    let Some(reference) = found(Program::reference(REFERENCE), REFERENCE) else { return };
    let (server, target) = (start(&subject, &[]), start(&reference, &[]));
    let (mut client, mut there) = (server.connect().expect("connects"), target.connect().expect("connects"));
    let kept = |client: &mut Client| {
        let info = run(client, "INFO stats");
        let info = String::from_utf8_lossy(text(&info).expect("text")).into_owned();
        info.lines().find_map(|line| line.strip_prefix("migrate_cached_sockets:").map(str::to_owned)).expect("a field")
    };
    for round in 0..3 {
        run(&mut client, "SET k v");
        assert_eq!(migrate(&mut client, target.address(), "k 2 5000 REPLACE"), ok(), "round {round}");
        assert_eq!(kept(&mut client), "1");
        run(&mut there, "CLIENT KILL TYPE normal SKIPME yes");
    }
    // Within some seconds it is closed if nobody uses it.
    let begin = Instant::now();
    while kept(&mut client) != "0" {
        assert!(begin.elapsed() < Duration::from_secs(20), "it is kept for ever");
        thread::sleep(Duration::from_millis(200));
    }
    assert!(begin.elapsed() > Duration::from_secs(5), "it is not kept long enough to be of use");
}

/// Counters that are raised here while they are moved there: not one increment is lost or counted twice. A key that was
/// moved begins again at nothing, so the sum of both servers counts.
#[test]
fn no_write_is_lost_on_the_way() {
    let Some(subject) = found(Program::subject(), "brindle-server") else { return };
    let Some(reference) = found(Program::reference(REFERENCE), REFERENCE) else { return };
    const ROUNDS: usize = 60;
    const WRITERS: usize = 3;
    let (server, target) = (start(&subject, &[]), start(&reference, &[]));
    let (mut client, mut there) = (server.connect().expect("connects"), target.connect().expect("connects"));
    let (mut moved, mut too_often) = (0, 0);
    for round in 0..ROUNDS {
        let done = AtomicBool::new(false);
        let key = format!("counter:{round}");
        run(&mut client, &format!("HSET {key} total 0"));
        let written: i64 = thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|_| {
                    scope.spawn(|| {
                        let mut client = server.connect().expect("connects");
                        let mut written = 0;
                        while !done.load(Ordering::Relaxed) {
                            run(&mut client, &format!("HINCRBY {key} total 1"));
                            written += 1;
                            thread::sleep(Duration::from_micros(300));
                        }
                        written
                    })
                })
                .collect();
            thread::sleep(Duration::from_millis(3));
            let reply = migrate(&mut client, target.address(), &format!("{key} 0 {TIMEOUT_MS}"));
            match &reply {
                Reply::Error(error) if error.starts_with(b"TRYAGAIN") => too_often += 1,
                reply => {
                    assert_eq!(*reply, ok());
                    moved += 1;
                }
            }
            done.store(true, Ordering::Relaxed);
            writers.into_iter().map(|writer| writer.join().expect("a writer")).sum()
        });
        let count = |client: &mut Client| match run(client, &format!("HGET {key} total")) {
            Reply::Bulk(number) => String::from_utf8(number).expect("ascii").parse::<i64>().expect("a number"),
            _ => 0,
        };
        let (here, at_target) = (count(&mut client), count(&mut there));
        assert_eq!(here + at_target, written, "{key}: {here} here, {at_target} there");
    }
    println!("{moved} were moved, {too_often} changed too often");
    assert!(moved > 0, "none was moved");
}
