//! Clients as the wire shows them: many, slow, silent, greedy, killed and paused.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use testkit::client::Client;
use testkit::process::{Program, Server};
use testkit::reply;

/// Far more than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn start(arguments: &[&str]) -> Server {
    let program = Program { name: "brindle".into(), path: PathBuf::from(env!("CARGO_BIN_EXE_brindle-server")) };
    Server::start(&program, arguments).unwrap()
}

fn ask(client: &mut Client, command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    match client.call(&words) {
        Ok(reply) => line(&reply),
        Err(error) => format!("broken: {error}"),
    }
}

/// A reply of one line, without its end.
fn line(reply: &resp_parser::Reply) -> String {
    reply::show(reply).trim_end_matches(r"\r\n").to_owned()
}

fn number(client: &mut Client, command: &str) -> i64 {
    let words: Vec<&str> = command.split(' ').collect();
    let reply = client.call(&words).unwrap();
    let text = reply::text(&reply).map(|text| String::from_utf8_lossy(text).into_owned());
    reply::integer(&reply).or_else(|| text?.parse().ok()).unwrap_or(0)
}

/// CLIENT LIST's lines.
fn listed(client: &mut Client) -> Vec<String> {
    let reply = client.call(&["CLIENT", "LIST"]).unwrap();
    String::from_utf8_lossy(reply::text(&reply).unwrap()).lines().map(str::to_owned).collect()
}

/// Waits until something holds.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Processor time that the server has used so far.
fn cpu(server: &Server) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    // The kernel counts in hundredths of a second on every machine that we know.
    Duration::from_millis(ticks * 10)
}

#[test]
fn a_killed_client_executes_nothing_more() {
    let server = start(&["--io-threads", "2"]);
    let mut killer = server.connect().unwrap();
    for round in 0..20 {
        let mut victim = server.connect().unwrap();
        let id = number(&mut victim, "CLIENT ID");
        victim.send_raw(&b"INCR counter\r\n".repeat(20_000)).unwrap();
        until("the victim has begun", || number(&mut killer, "GET counter") > 0);
        assert_eq!(ask(&mut killer, &format!("CLIENT KILL ID {id}")), ":1", "round {round}");
        let at_once = number(&mut killer, "GET counter");
        assert!(!listed(&mut killer).iter().any(|line| line.starts_with(&format!("id={id} "))));
        thread::sleep(Duration::from_millis(5));
        // One command may have been running when the mark was set.
        assert!(number(&mut killer, "GET counter") <= at_once + 1, "round {round}");
        victim.read_raw(PATIENCE).unwrap();
        assert_eq!(ask(&mut killer, &format!("CLIENT KILL ID {id}")), ":0");
        ask(&mut killer, "DEL counter");
    }
}

#[test]
fn suicide_is_answered_and_ends_the_pipeline() {
    let server = start(&[]);
    let mut client = server.connect().unwrap();
    let id = number(&mut client, "CLIENT ID");
    client.send_raw(format!("SET a 1\r\nCLIENT KILL SKIPME NO ID {id}\r\nSET a 2\r\n").as_bytes()).unwrap();
    assert_eq!(client.read_raw(PATIENCE).unwrap(), b"+OK\r\n:1\r\n");
    assert_eq!(number(&mut server.connect().unwrap(), "GET a"), 1);
}

#[test]
fn quit_and_protocol_errors_end_the_pipeline_too() {
    let server = start(&["--loglevel", "verbose"]);
    let cases: [(&[u8], &[u8]); 3] = [
        (b"SET a 1\r\nQUIT\r\nSET a 2\r\n", b"+OK\r\n+OK\r\n"),
        (b"SET a 1\r\n*1\r\nsecret\r\nSET a 2\r\n", b"+OK\r\n-ERR Protocol error: expected '$', got 's'\r\n"),
        (b"SET a 1\r\nPOST / HTTP/1.1\r\nSET a 2\r\n", b""),
    ];
    for (sent, expected) in cases {
        let mut client = server.connect().unwrap();
        client.send_raw(sent).unwrap();
        let got = client.read_raw(PATIENCE).unwrap();
        assert_eq!(got.escape_ascii().to_string(), expected.escape_ascii().to_string());
        assert_eq!(number(&mut server.connect().unwrap(), "GET a"), 1);
    }
    assert!(server.log().contains("Query buffer during protocol error: '*1..secret..SET a 2..'"), "{}", server.log());
    assert!(server.log().contains("Possible SECURITY ATTACK detected"));
}

#[test]
fn the_log_keeps_secrets_if_told_so() {
    let server = start(&["--loglevel", "verbose", "--hide-user-data-from-log", "yes"]);
    let mut client = server.connect().unwrap();
    client.send_raw(b"*1\r\nsecret\r\n").unwrap();
    client.read_raw(PATIENCE).unwrap();
    assert!(server.log().contains("Query buffer during protocol error: '*redacted*'"), "{}", server.log());
    assert!(!server.log().contains("secret"));
}

#[test]
fn a_pause_stops_writers_until_it_is_ended() {
    const WRITERS: usize = 8;
    const WRITES: usize = 3000;
    let server = start(&["--io-threads", "2"]);
    let mut control = server.connect().unwrap();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let mut client = server.connect().unwrap();
            thread::spawn(move || {
                for count in 1..=WRITES {
                    let reply = client.call(&["INCR", &format!("counter:{writer}")]).unwrap();
                    assert_eq!(reply::integer(&reply), Some(count as i64));
                }
            })
        })
        .collect();
    let sum =
        |control: &mut Client| -> i64 { (0..WRITERS).map(|w| number(control, &format!("GET counter:{w}"))).sum() };
    until("everybody writes", || sum(&mut control) > 100);
    assert_eq!(ask(&mut control, "SET gone 1 PX 1"), "+OK");
    assert_eq!(ask(&mut control, "CLIENT PAUSE 600000 WRITE"), "+OK");
    let paused = sum(&mut control);
    until("all writers wait", || {
        listed(&mut control).iter().filter(|line| line.contains(" flags=b ")).count() == WRITERS
    });
    let before = cpu(&server);
    thread::sleep(Duration::from_millis(500));
    let used = cpu(&server) - before;
    assert!(used <= Duration::from_millis(100), "a paused server burnt {used:?} in half a second");
    assert_eq!(sum(&mut control), paused, "something was written in spite of the pause");
    assert_eq!(ask(&mut control, "GET gone"), ask(&mut control, "GET never"), "it has expired");
    assert_eq!(number(&mut control, "DBSIZE"), WRITERS as i64 + 1, "and still is not deleted");
    assert_eq!(ask(&mut control, "CLIENT UNPAUSE"), "+OK");
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(sum(&mut control), (WRITERS * WRITES) as i64);
    until("the expired key is deleted", || number(&mut control, "DBSIZE") == WRITERS as i64);
}

#[test]
fn a_pause_ends_by_itself_and_keeps_the_order() {
    let server = start(&["--io-threads", "2", "--hz", "1"]);
    let mut clients: Vec<Client> = (0..6).map(|_| server.connect().unwrap()).collect();
    let began = Instant::now();
    assert_eq!(ask(&mut clients[0], "CLIENT PAUSE 300 ALL"), "+OK");
    assert_eq!(clients.len(), 6);
    for client in &mut clients {
        client.send_raw(b"ECHO 1\r\nECHO 2\r\n").unwrap();
        client.send_raw(b"ECHO 3\r\n").unwrap();
    }
    for client in &mut clients {
        let got: Vec<i64> = (0..3).map(|_| client.receive().unwrap()).map(|r| reply_number(&r)).collect();
        assert_eq!(got, [1, 2, 3]);
    }
    let took = began.elapsed();
    // The end does not wait for the next round of cron, which comes once a second here.
    assert!((Duration::from_millis(300)..Duration::from_millis(900)).contains(&took), "{took:?}");
}

fn reply_number(reply: &resp_parser::Reply) -> i64 {
    String::from_utf8_lossy(reply::text(reply).unwrap()).parse().unwrap()
}

#[test]
fn who_leaves_while_paused_is_gone() {
    let server = start(&[]);
    let mut control = server.connect().unwrap();
    let mut guest = server.connect().unwrap();
    assert_eq!(ask(&mut control, "CLIENT PAUSE 600000 WRITE"), "+OK");
    guest.send_raw(b"SET a 1\r\n").unwrap();
    until("the guest waits", || listed(&mut control).iter().any(|line| line.contains(" flags=b ")));
    drop(guest);
    until("the guest is gone", || listed(&mut control).len() == 1);
    let mut victim = server.connect().unwrap();
    victim.send_raw(b"SET a 1\r\n").unwrap();
    until("the victim waits", || listed(&mut control).iter().any(|line| line.contains(" flags=b ")));
    assert_eq!(ask(&mut control, "CLIENT KILL TYPE normal"), ":1");
    assert_eq!(victim.read_raw(PATIENCE).unwrap(), b"");
    assert_eq!(ask(&mut control, "CLIENT UNPAUSE"), "+OK");
    assert_eq!(ask(&mut control, "EXISTS a"), ":0");
}

#[test]
fn who_waits_can_be_unblocked_once() {
    let server = start(&["--io-threads", "2"]);
    let mut control = server.connect().unwrap();
    let mut waiting = server.connect().unwrap();
    let id = number(&mut waiting, "CLIENT ID");
    for (how, expected) in
        [("", "*-1"), (" TIMEOUT", "*-1"), (" ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK")]
    {
        assert_eq!(ask(&mut control, &format!("CLIENT UNBLOCK {id}{how}")), ":0", "it does not wait yet");
        waiting.send_raw(b"BLPOP nothing 0\r\nPING\r\n").unwrap();
        until("it waits", || listed(&mut control).iter().any(|line| line.contains(" flags=b ")));
        assert_eq!(ask(&mut control, &format!("CLIENT UNBLOCK {id}{how}")), ":1");
        assert_eq!(ask(&mut control, &format!("CLIENT UNBLOCK {id}{how}")), ":0");
        assert_eq!(line(&waiting.receive().unwrap()), expected);
        assert_eq!(line(&waiting.receive().unwrap()), "+PONG");
    }
    assert_eq!(ask(&mut control, "RPUSH nothing x"), ":1");
    assert_eq!(ask(&mut control, "LLEN nothing"), ":1", "nobody waits any more");
}

#[test]
fn one_answer_beyond_the_hard_limit_is_not_sent_at_all() {
    let server = start(&["--client-output-buffer-limit", "normal 100000 0 0"]);
    let mut control = server.connect().unwrap();
    control.call(&["SET", "big", &"x".repeat(10_000)]).unwrap();
    let mut greedy = server.connect().unwrap();
    assert_eq!(ask(&mut greedy, "CLIENT SETNAME greedy"), "+OK");
    let mut transaction = b"MULTI\r\nSET begun 1\r\n".to_vec();
    transaction.extend(b"GET big\r\n".repeat(15));
    transaction.extend(b"SET ended 1\r\nEXEC\r\nSET after 1\r\n");
    greedy.send_raw(&transaction).unwrap();
    let got = greedy.read_raw(PATIENCE).unwrap();
    assert!(!got.windows(4).any(|bytes| bytes == b"*17\r"), "the answer of EXEC was sent: {} bytes", got.len());
    assert_eq!(ask(&mut control, "EXISTS begun ended after"), ":2", "the transaction is whole, and the last command");
    let log = server.log();
    let line = log.lines().find(|line| line.contains("scheduled to be closed ASAP")).expect("a line in the log");
    assert!(line.contains("Client id=") && line.contains(" name=greedy "), "{line}");
}

#[test]
fn who_never_reads_is_closed_and_others_are_served() {
    let server = start(&["--io-threads", "2", "--client-output-buffer-limit", "normal 64mb 500kb 1"]);
    let mut control = server.connect().unwrap();
    control.call(&["SET", "big", &"x".repeat(50_000)]).unwrap();
    let mut hoarders: Vec<Client> = (0..4).map(|_| server.connect().unwrap()).collect();
    for (at, hoarder) in hoarders.iter_mut().enumerate() {
        ask(hoarder, &format!("CLIENT SETNAME hoarder{at}"));
        // Half of them ask for more than the hard limit; half for less, but too much for longer than a second, even
        // when the kernel has taken what it can.
        let count = if at % 2 == 0 { 3000 } else { 400 };
        let _ = hoarder.send_raw(&b"GET big\r\n".repeat(count));
    }
    until("all hoarders are closed", || {
        assert_eq!(ask(&mut control, "PING"), "+PONG");
        listed(&mut control).len() == 1
    });
    assert_eq!(server.log().matches("overcoming of output buffer limits").count(), 4);
}

#[test]
fn too_much_input_ends_a_client() {
    let server = start(&["--client-query-buffer-limit", "1mb"]);
    let mut client = server.connect().unwrap();
    let _ = client.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4000000\r\n");
    let _ = client.send_raw(&vec![b'x'; 3_000_000]);
    assert_eq!(client.read_raw(PATIENCE).unwrap(), b"");
    let log = server.log();
    assert!(log.contains("Closing client that reached max query buffer length: id="), "{log}");
    assert!(log.contains(r#"(qbuf initial bytes: "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4000000\r\nxxx"#), "{log}");

    let mut queueing = server.connect().unwrap();
    assert_eq!(ask(&mut queueing, "MULTI"), "+OK");
    let item = "x".repeat(100_000);
    let closed = (0..20).any(|_| queueing.call(&["SET", "a", &item]).is_err());
    assert!(closed, "queued commands count as well");
}

#[test]
fn no_more_clients_than_allowed() {
    let server = start(&["--io-threads", "2", "--maxclients", "10"]);
    let mut clients: Vec<Client> = Vec::new();
    until("the probe of the start is gone", || {
        clients.clear();
        thread::sleep(Duration::from_millis(20));
        clients.extend((0..10).map(|_| server.connect().unwrap()));
        clients.iter_mut().all(|client| ask(client, "PING") == "+PONG")
    });
    let refused = server.connect().unwrap().read_raw(PATIENCE).unwrap();
    assert_eq!(refused, b"-ERR max number of clients reached\r\n");
    clients.pop();
    until("there is a place again", || ask(&mut server.connect().unwrap(), "PING") == "+PONG");
}

#[test]
fn who_is_silent_for_too_long_is_closed() {
    let server = start(&["--timeout", "1", "--loglevel", "verbose"]);
    let (mut silent, mut busy) = (server.connect().unwrap(), server.connect().unwrap());
    let began = Instant::now();
    assert_eq!(ask(&mut silent, "PING"), "+PONG");
    silent.set_timeout(Duration::from_millis(100)).unwrap();
    until("the silent one is closed", || {
        assert_eq!(ask(&mut busy, "PING"), "+PONG");
        matches!(silent.receive(), Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof)
    });
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert!(server.log().contains("Closing idle client"));
}

#[test]
fn slow_senders_cost_nobody_else() {
    let server = start(&["--io-threads", "2"]);
    let mut slow: Vec<Client> = (0..100).map(|_| server.connect().unwrap()).collect();
    let mut quick = server.connect().unwrap();
    let request = b"*3\r\n$3\r\nSET\r\n$4\r\nslow\r\n$5\r\nhello\r\n";
    for byte in request {
        for client in &mut slow {
            client.send_raw(std::slice::from_ref(byte)).unwrap();
        }
        assert_eq!(ask(&mut quick, "PING"), "+PONG");
    }
    for client in &mut slow {
        assert_eq!(line(&client.receive().unwrap()), "+OK");
    }
    // Each holds what it may have sent, not what a claimed length could make of it.
    let claims = b"*3\r\n$3\r\nSET\r\n$4\r\nslow\r\n$500000000\r\nx";
    let mut all_have_come = |len: usize| {
        let waiting = format!(" qbuf={len} ");
        until("all claims have come", || {
            listed(&mut quick).iter().filter(|line| line.contains(&waiting)).count() == 100
        });
    };
    slow.iter_mut().for_each(|client| client.send_raw(claims).unwrap());
    all_have_come(claims.len());
    slow.iter_mut().for_each(|client| client.send_raw(b"x").unwrap());
    all_have_come(claims.len() + 1);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let resident_kib: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(resident_kib < 200 * 1024, "{resident_kib} KiB for a hundred bytes of payload");
}

/// Requests of many connections are read before the first of them runs; here everything waits for one turn of the loop.
#[test]
fn who_come_at_once_are_not_mixed_up() {
    let server = start(&["--io-threads", "1", "--enable-debug-command", "yes"]);
    let mut sleeper = server.connect().unwrap();
    let mut clients: Vec<Client> = (0..90).map(|_| server.connect().unwrap()).collect();
    let ids: Vec<i64> = clients.iter_mut().map(|client| number(client, "CLIENT ID")).collect();
    let large = "v".repeat(20_000);
    let set_large = |own: usize| format!("*3\r\n$3\r\nSET\r\n$6\r\nown:{own:02}\r\n$20000\r\n{large}\r\n");
    sleeper.send(&["DEBUG", "SLEEP", "0.3"]).unwrap();
    thread::sleep(Duration::from_millis(50));
    for (at, client) in clients.iter_mut().enumerate() {
        let request = match at % 9 {
            0 => format!("SET own:{at:02} {at}\r\nGET own:{at:02}\r\n"),
            1 => "\r\n".into(),
            2 => "*2\r\n$3\r\nGET\r\n$6\r\now".into(),
            3 => format!("*2\r\n$3\r\nGET\r\n$6\r\nown:{:02}\r\n", at - 3),
            4 => set_large(at)[..15_000].into(),
            5 => "PING\r\n*1\r\n!\r\nSET wrong 1\r\n".into(),
            6 => format!("SELECT 3\r\nINCR own\r\nECHO {at}\r\n"),
            7 => format!("CLIENT KILL ID {}\r\n", ids[at + 1]),
            _ => "SET killed 1\r\n".into(),
        };
        client.send_raw(request.as_bytes()).unwrap();
    }
    assert_eq!(line(&sleeper.receive().unwrap()), "+OK");
    for (at, client) in clients.iter_mut().enumerate() {
        match at % 9 {
            1 => client.send_raw(format!("ECHO {at:02}\r\n").as_bytes()).unwrap(),
            2 => client.send_raw(format!("n:{:02}\r\n", at - 2).as_bytes()).unwrap(),
            4 => client.send_raw(format!("{}STRLEN own:{at:02}\r\n", &set_large(at)[15_000..]).as_bytes()).unwrap(),
            _ => {}
        }
        let mut line = || client.receive().map_or_else(|_| "closed".into(), |reply| line(&reply));
        let bulk = |value: usize| format!(r"${}\r\n{value}", value.to_string().len());
        match at % 9 {
            0 => assert_eq!([line(), line()], ["+OK".into(), bulk(at)]),
            1 => assert_eq!(line(), format!(r"$2\r\n{at:02}")),
            2 => assert_eq!(line(), bulk(at - 2)),
            3 => assert_eq!(line(), bulk(at - 3)),
            4 => assert_eq!([line(), line()], ["+OK", ":20000"]),
            5 => {
                assert_eq!(line(), "+PONG");
                assert_eq!(line(), r"-ERR Protocol error: expected \'$\', got \'!\'");
                assert_eq!(line(), "closed");
            }
            6 => assert_eq!([line(), line(), line()], ["+OK".into(), format!(":{}", at / 9 + 1), bulk(at)]),
            7 => assert_eq!(line(), ":1"),
            _ => assert_eq!(line(), "closed"),
        }
    }
    assert_eq!(number(&mut sleeper, "EXISTS wrong killed"), 0);
}

/// CLIENT LIST on one thread shows what another has done, not what it is about to do.
#[test]
fn a_command_that_is_shown_has_been_executed() {
    let server = start(&["--io-threads", "2"]);
    // Neighbours are on different threads.
    let (mut one, mut other) = (server.connect().unwrap(), server.connect().unwrap());
    let list = format!("CLIENT LIST ID {}", number(&mut one, "CLIENT ID"));
    for round in 0..2000 {
        one.call(&["SUBSCRIBE", "channel"]).unwrap();
        one.send(&["UNSUBSCRIBE", "channel"]).unwrap();
        let began = Instant::now();
        while !ask(&mut other, &list).contains(" cmd=unsubscribe ") {
            assert!(began.elapsed() < PATIENCE, "it is not shown");
        }
        assert_eq!(ask(&mut other, "PUBLISH channel hello"), ":0", "round {round}");
        one.receive().unwrap();
    }
    // It shows itself all the same, and what it is executed by.
    assert!(ask(&mut other, "CLIENT INFO").contains(" cmd=client|info "));
    assert_eq!([ask(&mut other, "MULTI"), ask(&mut other, "CLIENT INFO")], ["+OK", "+QUEUED"]);
    assert!(ask(&mut other, "EXEC").contains(" cmd=exec "));
}

#[test]
fn a_pipeline_may_be_cut_anywhere() {
    let server = start(&["--io-threads", "2"]);
    let big = "b".repeat(70_000);
    let mut pipeline = b"*1\r\n$8\r\nFLUSHALL\r\n".to_vec();
    pipeline.clear();
    pipeline.extend(b"DEL k n\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\n\r\n$3\r\nab\x00c\r\n\r\n\r\nGET k\r\n");
    pipeline
        .extend(b"MULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\nSET 'a b' \"c\\x41\"\r\nEXEC\r\n*-1\r\n*1\r\n$4\r\nPING\r\n");
    let short = pipeline.len();
    pipeline.extend(format!("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n${}\r\n{big}\r\nSTRLEN big\r\n", big.len()).bytes());
    let expected = b"+OK\r\n$12\r\n\r\n$3\r\nab\x00c\r\n\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n+OK\r\n+PONG\r\n+OK\r\n:70000\r\n";
    let run = |cut: usize, pause: bool| {
        let mut client = server.connect().unwrap();
        client.send_raw(&pipeline[..cut]).unwrap();
        if pause {
            thread::sleep(Duration::from_millis(2));
        }
        client.send_raw(&pipeline[cut..]).unwrap();
        client.send_raw(b"QUIT\r\n").unwrap();
        let got = client.read_raw(PATIENCE).unwrap();
        let got = got.strip_prefix(b":0\r\n").or_else(|| got.strip_prefix(b":2\r\n")).unwrap_or(&got);
        let got = got.strip_suffix(b"+OK\r\n").unwrap_or(got);
        assert_eq!(got.escape_ascii().to_string(), expected.escape_ascii().to_string(), "cut at {cut}");
    };
    (0..short + 60).for_each(|cut| run(cut, true));
    (short..pipeline.len()).step_by(997).for_each(|cut| run(cut, cut % 2 == 0));
}

#[test]
fn thousands_of_idle_clients_cost_little() {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let open = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let open: usize = open.split_whitespace().nth(3).and_then(|soft| soft.parse().ok()).unwrap_or(usize::MAX);
    let count = 9_990.min(open.saturating_sub(300));
    let server = start(&["--io-threads", "2"]);
    let mut control = server.connect().unwrap();
    let mut clients: Vec<Client> = (0..count).map(|_| server.connect().unwrap()).collect();
    until("all are there", || {
        number(&mut control, "CLIENT KILL MAXAGE 100000") == 0 && listed(&mut control).len() == count + 1
    });
    clients.iter_mut().step_by(100).for_each(|client| assert_eq!(ask(client, "PING"), "+PONG"));
    let before = cpu(&server);
    thread::sleep(Duration::from_secs(1));
    let used = cpu(&server) - before;
    assert!(used <= Duration::from_millis(200), "{count} idle clients cost {used:?} a second");
    assert_eq!(number(&mut control, "CLIENT KILL TYPE normal"), count as i64);
    until("all are gone", || listed(&mut control).len() == 1);
    assert!(clients[0].receive().is_err());
}
