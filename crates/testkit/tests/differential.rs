//! The server under test beside Redis 8.0.2; and the tester itself, judged on servers whose outcome is known.
//!
//! Environment: `BRINDLE_SERVER`, `BRINDLE_DIFF_FAMILIES`, `BRINDLE_DIFF_COMMANDS`, `BRINDLE_DIFF_SEED`,
//! `BRINDLE_DEPTH=full`. A server that is not there skips the test, unless `CI=true`.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use testkit::differential::{Campaign, DEFAULT_LIMITS, Fault, Report, SMALL_LIMITS, Sequence, Settings, parse};
use testkit::grammar::seeds_of_family;
use testkit::process::target_folder;
use testkit::reply::{items, text};
use testkit::{Program, Reply, Server, Words, found};

const REFERENCE: &str = "redis-8.0.2";
const OLDER: &str = "redis-7.0.15";
/// How many random commands a family gets where only the tester is tested.
const SELF_TEST_COMMANDS: usize = 400;

#[test]
fn brindle_is_as_the_reference() {
    let Some(subject) = found(Program::subject(), "brindle-server") else { return };
    let Some(reference) = found(Program::reference(REFERENCE), REFERENCE) else { return };
    let report = Campaign {
        reference: &reference,
        subject: &subject,
        conditions: &[DEFAULT_LIMITS, SMALL_LIMITS],
        settings: Settings::from_env(),
        written: written(),
        fault: None,
    }
    .run()
    .expect("both servers start");
    println!("{report}");
    // Under the name of its seed, so that runs beside each other keep a report each.
    let reports = target_folder().join("differential");
    std::fs::create_dir_all(&reports).expect("a folder for reports");
    std::fs::write(reports.join(format!("{}.txt", report.seeds.1)), report.to_string()).expect("the report is written");
    assert!(report.is_good(), "see the report above");
}

/// What a server agrees with is itself: everything else would be a fault of the tester or of its rules.
#[test]
fn the_reference_is_as_itself() {
    let Some(reference) = found(Program::reference(REFERENCE), REFERENCE) else { return };
    let mut settings = Settings::from_env();
    if std::env::var_os("BRINDLE_DIFF_COMMANDS").is_none() {
        settings.commands = SELF_TEST_COMMANDS;
    }
    let report = Campaign {
        reference: &reference,
        subject: &reference,
        conditions: &[DEFAULT_LIMITS, SMALL_LIMITS],
        settings,
        written: written(),
        fault: None,
    }
    .run()
    .expect("both servers start");
    println!("{report}");
    assert!(report.is_good(), "see the report above");
}

/// Redis 7.0.15 lacks what came later; the tester finds that, and shows it by short sequences.
#[test]
fn an_older_redis_is_told_apart() {
    let Some(reference) = found(Program::reference(REFERENCE), REFERENCE) else { return };
    let Some(older) = found(Program::reference(OLDER), OLDER) else { return };
    let settings = Settings { families: vec!["set".into(), "sorted-set".into()], commands: 400, fresh_seed: 1 };
    let written = parse("== SPOP COUNT\nSET k v\nSADD s a\nZADD z 1 a\nSADD s b\nZRANK z a WITHSCORE\nGET k\n")
        .expect("sequences");
    let report = Campaign {
        reference: &reference,
        subject: &older,
        conditions: &[DEFAULT_LIMITS],
        settings,
        written,
        fault: None,
    }
    .run()
    .expect("both servers start");
    println!("{report}");
    let finding = report.findings.values().find(|finding| finding.difference.what.to_uppercase().starts_with("ZRANK"));
    let finding = finding.expect("ZRANK WITHSCORE came with 7.2");
    assert!(finding.sequence.steps.len() <= 2, "made small:\n{}", finding.sequence);
}

/// One fault for each kind of comparison, planted into the replies of one side: each is found.
#[test]
fn planted_faults_are_found() {
    let Some(reference) = found(Program::reference(REFERENCE), REFERENCE) else { return };
    let faults: &[(&str, &str, Fault)] = &[
        ("a reply is another", "SET k v\nGET k", |words, reply| only(words, "GET", reply, Reply::Bulk(b"w".to_vec()))),
        ("an error text", "SET k v\nLPUSH k a", |words, reply| {
            only(words, "LPUSH", reply, Reply::Error(b"WRONGTYPE".to_vec()));
        }),
        ("a RESP2 type in RESP3", "HSET h f v\nHGETALL h", |_, reply| {
            if let Reply::Map(pairs) = reply {
                *reply = Reply::Array(pairs.drain(..).flat_map(|(key, value)| [key, value]).collect());
            }
        }),
        ("a member is lost", "SADD s a b c\nSMEMBERS s", |words, reply| {
            if let Reply::Array(items) | Reply::Set(items) = reply
                && words[0] == b"SMEMBERS"
            {
                items.pop();
            }
        }),
        ("a key is lost in SCAN", "MSET a 1 b 2 c 3\nSCAN 0", |words, reply| {
            if let (Reply::Array(parts), b"SCAN") = (reply, words[0].as_slice())
                && let Reply::Array(keys) = &mut parts[1]
            {
                keys.pop();
            }
        }),
        ("SPOP of a stranger", "SADD s a b c\nSPOP s", |words, reply| {
            only(words, "SPOP", reply, Reply::Bulk(b"stranger".to_vec()));
        }),
        ("a time far off", "SET k v EX 1000\nTTL k", |words, reply| only(words, "TTL", reply, Reply::Integer(900))),
        ("what comes after a pause", "SET k v PX 100\n@sleep 150\nEXISTS k", |words, reply| {
            only(words, "EXISTS", reply, Reply::Integer(1));
        }),
        ("what one gets who was blocked", "@b> BLPOP l 0\n@c> BLPOP l 0\nRPUSH l x y\n@b<\n@c<", |words, reply| {
            if let (Reply::Array(parts), b"BLPOP") = (reply, words[0].as_slice()) {
                parts[1] = Reply::Bulk(b"y".to_vec());
            }
        }),
        ("a result inside EXEC", "MULTI\nINCR k\nEXEC", |words, reply| {
            only(words, "EXEC", reply, Reply::Array(vec![Reply::Integer(2)]));
        }),
        ("the state: a lost key", "SET k v", |words, reply| only(words, "KEYS", reply, Reply::Array(Vec::new()))),
        ("the state: TYPE", "SET k v", |words, reply| only(words, "TYPE", reply, Reply::Simple(b"list".to_vec()))),
        ("the state: a lost expiry", "SET k v EX 1000", |words, reply| only(words, "PTTL", reply, Reply::Integer(-1))),
        ("the state: OBJECT ENCODING", "SET k v", |words, reply| {
            only(words, "OBJECT", reply, Reply::Bulk(b"raw".to_vec()));
        }),
        ("the state: a field's expiry", "HSET h f v\nHEXPIRE h 1000 FIELDS 1 f", |words, reply| {
            only(words, "HPTTL", reply, Reply::Array(vec![Reply::Integer(-1)]));
        }),
        ("the state: DEBUG DIGEST-VALUE", "SET k v", |words, reply| {
            if words[0] == b"DEBUG" {
                *reply = Reply::Array(vec![Reply::Simple(vec![b'0'; 40])]);
            }
        }),
    ];
    for (name, sequence, fault) in faults {
        let report = with_fault(&reference, sequence, Some(*fault));
        assert!(!report.findings.is_empty(), "not found: {name}");
        let clean = with_fault(&reference, sequence, None);
        assert!(clean.findings.is_empty(), "found without a fault: {name}\n{clean}");
    }
}

/// On a busy machine a run may be late, and then what it shows is not believed: what had expired is gone on one side only.
/// The same in time is a difference, even if it is never seen again.
#[test]
fn what_a_late_run_shows_does_not_count() {
    fn once(seen: &AtomicBool, words: &Words, reply: &mut Reply, pause: Duration) {
        if words[0] == b"GET" && !seen.swap(true, SeqCst) {
            std::thread::sleep(pause);
            *reply = Reply::NullBulk;
        }
    }
    static LATE: AtomicBool = AtomicBool::new(false);
    static IN_TIME: AtomicBool = AtomicBool::new(false);
    let Some(reference) = found(Program::reference(REFERENCE), REFERENCE) else { return };
    let sequence = "SET other v PX 100\n@sleep 150\nSET k v PX 5000\nGET k";
    let late: Fault = |words, reply| once(&LATE, words, reply, Duration::from_millis(60));
    assert_eq!(with_fault(&reference, sequence, Some(late)).findings.len(), 0);
    assert!(LATE.load(SeqCst));
    let in_time: Fault = |words, reply| once(&IN_TIME, words, reply, Duration::ZERO);
    assert_eq!(with_fault(&reference, sequence, Some(in_time)).findings.len(), 1);
}

/// DUMP of every type and form at one server, RESTORE at the other, in both directions: the digests stay equal. What
/// Redis 7.0.15 dumps is restored too, and it restores ours as far as its format allows.
#[test]
fn payloads_move_between_servers() {
    let Some(subject) = found(Program::subject(), "brindle-server") else { return };
    let Some(reference) = found(Program::reference(REFERENCE), REFERENCE) else { return };
    let Some(older) = found(Program::reference(OLDER), OLDER) else { return };
    let start = |program, arguments| Server::start(program, arguments).expect("the server starts");
    let (default, small) = (DEFAULT_LIMITS.arguments, SMALL_LIMITS.arguments);
    let ours = [start(&subject, default), start(&subject, small)];
    if matches!(ours[0].connect().and_then(|mut client| client.call(&["DUMP", "none"])), Ok(Reply::Error(_))) {
        println!("SKIPPED: our server has no DUMP yet (lacking.txt)");
        return;
    }
    let others = [start(&reference, default), start(&reference, small), start(&older, default)];
    for ours in &ours {
        for other in &others {
            check_payloads(other, ours);
        }
        for other in &others[..2] {
            check_payloads(ours, other);
        }
    }
}

/// The test above, on servers whose outcome is known: Redis 8.0.2 reads 7.0.15, and 7.0.15 refuses the newer version.
#[test]
fn payloads_of_the_references() {
    let Some(reference) = found(Program::reference(REFERENCE), REFERENCE) else { return };
    let Some(older) = found(Program::reference(OLDER), OLDER) else { return };
    let new = Server::start(&reference, DEFAULT_LIMITS.arguments).expect("the server starts");
    let small = Server::start(&reference, SMALL_LIMITS.arguments).expect("the server starts");
    let old = Server::start(&older, DEFAULT_LIMITS.arguments).expect("the server starts");
    check_payloads(&new, &small);
    check_payloads(&small, &new);
    check_payloads(&old, &new);
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check_payloads(&new, &old)));
    assert!(refused.is_err(), "7.0.15 cannot read the version that 8.0.2 writes");
}

fn check_payloads(from: &Server, to: &Server) {
    let mut from_client = from.connect().expect("a connection");
    let mut to_client = to.connect().expect("a connection");
    for client in [&mut from_client, &mut to_client] {
        client.call(&["FLUSHALL"]).expect("a reply");
    }
    // Commands that one of the two does not know yet are simply refused.
    from_client.pipeline(&seeds_of_family("generic")).expect("replies");
    let keys = from_client.call(&["KEYS", "*"]).expect("a reply");
    assert!(items(&keys).len() > 10, "too few keys: {keys:?}");
    for key in items(&keys).iter().filter_map(text) {
        let Reply::Bulk(payload) = from_client.call(&[b"DUMP", key]).expect("a reply") else { panic!("no payload") };
        let restored = to_client.call(&[b"RESTORE".as_slice(), key, b"0", &payload]).expect("a reply");
        let key_text = String::from_utf8_lossy(key);
        assert_eq!(restored, Reply::Simple(b"OK".to_vec()), "{key_text} from {} to {}", from.name(), to.name());
        let digest = [b"DEBUG".as_slice(), b"DIGEST-VALUE", key];
        let digests = (from_client.call(&digest).expect("a reply"), to_client.call(&digest).expect("a reply"));
        assert_eq!(digests.0, digests.1, "{key_text} from {} to {}", from.name(), to.name());
    }
}

/// A grammar whose commands are mostly refused is a finding of its own.
#[test]
fn a_poor_grammar_fails() {
    let mut report = Report::default();
    report.shares.insert("GET".into(), (5, 100));
    assert!(!report.is_good());
    report.shares.insert("GET".into(), (50, 100));
    assert!(report.is_good());
}

fn with_fault(reference: &Program, sequence: &str, fault: Option<Fault>) -> Report {
    let settings = Settings { families: Vec::new(), commands: 0, fresh_seed: 0 };
    let written = parse(&format!("== planted\n{sequence}\n")).expect("a sequence");
    Campaign { reference, subject: reference, conditions: &[DEFAULT_LIMITS], settings, written, fault }
        .run()
        .expect("both servers start")
}

fn only(words: &Words, command: &str, reply: &mut Reply, planted: Reply) {
    if words.first().is_some_and(|name| name == command.as_bytes()) && text(reply) != Some(b"QUEUED") {
        *reply = planted;
    }
}

/// All of `sequences/*.txt`, as far as `BRINDLE_DIFF_FAMILIES` selects them by the file's name.
fn written() -> Vec<Sequence> {
    let families = Settings::from_env().families;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sequences");
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).expect("the folder of sequences").map(|file| file.expect("a file").path()).collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let family = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if !families.contains(&family) {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("a readable file");
        let sequences = parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        all.extend(
            sequences.into_iter().map(|sequence| Sequence { name: format!("{family}: {}", sequence.name), ..sequence }),
        );
    }
    all
}
