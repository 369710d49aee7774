//! Many at once, and much at once: ten thousand clients that wait for one key, replies of a million elements, and counts
//! that nobody can mean. Only our server is asked for the latter: the reference would try to answer.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use testkit::reply::{items, text};
use testkit::{Client, Program, Reply, Server, found};

/// As the goal has it; fewer where the machine does not allow so many open files to the test and to the server.
const WAITING: usize = 10_000;
/// Files that the test and the server need besides.
const FILES_ASIDE: u64 = 200;
/// How long the waiting crowd is looked at.
const QUIET: Duration = Duration::from_secs(3);
/// CPU time of the server meanwhile: its periodic work for so many connections, not a wake-up of each.
const QUIET_CPU_MAX: Duration = Duration::from_millis(300);
/// Resident bytes for each waiting client, the kernel's buffers not counted.
const BYTES_A_CLIENT_MAX: u64 = 8 * 1024;

/// As many connections as the limit on open files allows, after it was raised as far as it goes.
fn crowd() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _ = setrlimit(Resource::Nofile, raised);
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    WAITING.min(files.saturating_sub(FILES_ASIDE) as usize)
}

/// User and system time of a process.
fn cpu_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // Behind the name, which may hold blanks, stands the state; utime and stime are the 12th and 13th after it.
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number")).sum();
    // Linux shows times in hundredths of a second on every architecture.
    Duration::from_millis(ticks * 10)
}

fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

fn peak_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

fn call(client: &mut Client, line: &str) -> Reply {
    client.call(&line.split(' ').collect::<Vec<_>>()).expect("a reply")
}

fn info(client: &mut Client, section: &str, field: &str) -> String {
    let all = call(client, &format!("INFO {section}"));
    let all = String::from_utf8_lossy(text(&all).expect("text")).into_owned();
    let found = all.lines().find_map(|line| line.strip_prefix(field).and_then(|rest| rest.strip_prefix(':')));
    found.expect("the field is there").trim().to_owned()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what} does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn clients_that_wait_cost_nothing() {
    let Some(subject) = found(Program::subject(), "brindle-server") else { return };
    let waiting = crowd();
    let server = Server::start(&subject, &["--maxclients", &(waiting + 100).to_string()]).expect("the server starts");
    let mut client = server.connect().expect("a connection");
    let before = resident_bytes(server.pid());
    let mut crowd = Vec::with_capacity(waiting);
    for number in 0..waiting {
        let mut stream = TcpStream::connect(server.address()).expect("a connection");
        stream.write_all(b"*3\r\n$5\r\nBLPOP\r\n$5\r\nqueue\r\n$1\r\n0\r\n").expect("sent");
        // The queue of connections that wait to be accepted is shorter than the crowd.
        if number % 100 == 99 {
            until("the crowd", || info(&mut client, "clients", "blocked_clients") == (number + 1).to_string());
        }
        crowd.push(stream);
    }
    until("the crowd", || info(&mut client, "clients", "blocked_clients") == waiting.to_string());
    let bytes = (resident_bytes(server.pid()) - before) / waiting as u64;
    let began = cpu_time(server.pid());
    std::thread::sleep(QUIET);
    let cpu = cpu_time(server.pid()).checked_sub(began).expect("time passes");
    println!("{waiting} clients wait: {cpu:?} of CPU time in {QUIET:?}, {bytes} bytes each");
    assert!(cpu <= QUIET_CPU_MAX, "{cpu:?} of CPU time in {QUIET:?} while nothing happens");
    assert!(bytes <= BYTES_A_CLIENT_MAX, "{bytes} bytes a client");
    // Others are served as ever, and one element wakes one client.
    let began = Instant::now();
    (0..100).for_each(|_| assert_eq!(call(&mut client, "PING"), Reply::Simple(b"PONG".to_vec())));
    assert!(began.elapsed() < Duration::from_secs(2), "100 PINGs took {:?}", began.elapsed());
    for served in 1..=5 {
        call(&mut client, "RPUSH queue element");
        until("an answer", || info(&mut client, "clients", "blocked_clients") == (waiting - served).to_string());
    }
    assert_eq!(call(&mut client, "LLEN queue"), Reply::Integer(0));
    drop(crowd);
    until("the end of the crowd", || info(&mut client, "clients", "blocked_clients") == "0");
}

/// A million elements, and a reply of all of them: the list is not copied as a whole beside the reply.
#[test]
fn a_long_list_is_shown_without_doubling_it() {
    let Some(subject) = found(Program::subject(), "brindle-server") else { return };
    let server = Server::start(&subject, &[]).expect("the server starts");
    let mut client = server.connect().expect("a connection");
    const ELEMENTS: usize = 1_000_000;
    let element = "x".repeat(40);
    let push: Vec<&str> = ["RPUSH", "list"].into_iter().chain(std::iter::repeat_n(element.as_str(), 1000)).collect();
    (0..ELEMENTS / 1000).for_each(|_| drop(client.call(&push).expect("a reply")));
    let (held, peak) = (resident_bytes(server.pid()), peak_bytes(server.pid()));
    client.set_timeout(Duration::from_secs(120)).expect("a timeout");
    let reply = call(&mut client, "LRANGE list 0 -1");
    assert_eq!(items(&reply).len(), ELEMENTS);
    assert!(items(&reply).iter().all(|item| text(item) == Some(element.as_bytes())));
    let reply_bytes = (ELEMENTS * (element.len() + 7)) as u64;
    let grown = peak_bytes(server.pid()).saturating_sub(peak.max(held));
    println!("{held} bytes before, {grown} more at the most, for a reply of {reply_bytes}");
    // The reply itself, and what a buffer that doubles leaves behind; a copy of the list on top would be more.
    assert!(grown <= reply_bytes * 5 / 2, "{grown} bytes more than the {held} before, for a reply of {reply_bytes}");
}

/// Counts that would make an answer without an end: they end at the limit on a client's output, or are refused.
#[test]
fn counts_without_end_end() {
    let Some(subject) = found(Program::subject(), "brindle-server") else { return };
    let arguments = ["--client-output-buffer-limit", "normal 1mb 1mb 1"];
    let server = Server::start(&subject, &arguments).expect("the server starts");
    let mut setup = server.connect().expect("a connection");
    let mut closed = 0;
    for line in ["SADD s a b c", "HSET h f v g w", "ZADD z 1 a 2 b", "RPUSH l a b"] {
        call(&mut setup, line);
    }
    for line in [
        "SRANDMEMBER s -9223372036854775808",
        "HRANDFIELD h -9223372036854775808",
        "ZRANDMEMBER z -9223372036854775808",
    ] {
        let reply = call(&mut setup, line);
        assert!(
            matches!(&reply, Reply::Error(error) if error.starts_with(b"ERR value is out of range")),
            "{line}: {reply:?}"
        );
    }
    for line in [
        "SRANDMEMBER s -4611686018427387903",
        "HRANDFIELD h -4611686018427387903",
        "ZRANDMEMBER z -4611686018427387903",
    ] {
        let mut client = server.connect().expect("a connection");
        client.send(&line.split(' ').collect::<Vec<_>>()).expect("sent");
        // It reads nothing until the server has given up.
        closed += 1;
        let begin = Instant::now();
        until("the end of the client", || {
            info(&mut setup, "stats", "client_output_buffer_limit_disconnections") == closed.to_string()
        });
        println!("{line}: closed after {:?}", begin.elapsed());
    }
    assert!(resident_bytes(server.pid()) < 256 * 1024 * 1024, "{} bytes", resident_bytes(server.pid()));
    for line in ["LPOP l 9223372036854775807", "SPOP s 9223372036854775807", "ZPOPMIN z 9223372036854775807"] {
        assert!(!items(&call(&mut setup, line)).is_empty(), "{line}");
    }
}
