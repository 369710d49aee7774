//! Transcripts of real primaries, cut at every byte, and answers that no test server gives.

use super::payload::{Framing, Part, Payload};
use super::*;
use crate::id::OFFSET_MAX;
use crate::units::Units;

const TRANSCRIPTS: [(&str, &[u8]); 7] = [
    ("redis-8.0.2 without disk", include_bytes!("../../tests/transcripts/redis-8.0.2-diskless.full")),
    ("redis-8.0.2 by file", include_bytes!("../../tests/transcripts/redis-8.0.2-file.full")),
    ("redis-7.0.15 without disk", include_bytes!("../../tests/transcripts/redis-7.0.15-diskless.full")),
    ("valkey-8.1 without disk", include_bytes!("../../tests/transcripts/valkey-8.1-diskless.full")),
    ("redis-8.0.2 continues", include_bytes!("../../tests/transcripts/redis-8.0.2.continue")),
    ("redis-7.0.15 continues", include_bytes!("../../tests/transcripts/redis-7.0.15.continue")),
    ("valkey-8.1 continues", include_bytes!("../../tests/transcripts/valkey-8.1.continue")),
];

/// The stream that was recorded behind each full copy, up to the offset that the replica acknowledged.
const FULL_STREAM_BYTES: usize = 280;
const CONTINUED_STREAM_BYTES: usize = 31;

fn introduction() -> Introduction {
    Introduction {
        password: Some(b"secret".to_vec()),
        listening_port: 17102,
        ip_address: Some(b"127.0.0.1".to_vec()),
        ..Introduction::default()
    }
}

/// What a whole link has given.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    events: Vec<Event>,
    sent: String,
    copy: Vec<u8>,
    framing: Option<Framing>,
    units: Vec<(Vec<String>, usize)>,
}

/// Plays a link from the connection to the end of the transcript.
fn play(introduction: Introduction, pieces: &[&[u8]]) -> Result<Seen, String> {
    let mut handshake = Handshake::new(introduction);
    let mut payload = None;
    let mut units = Units::default();
    let mut seen = Seen::default();
    for mut piece in pieces.iter().copied() {
        loop {
            seen.sent += &String::from_utf8_lossy(&handshake.output());
            if !handshake.is_over() {
                let Some(event) = handshake.next(&mut piece).map_err(|error| error.to_string())? else { break };
                if matches!(event, Event::Full(_) | Event::FullMalformed | Event::FallenBack { .. }) {
                    payload = Some(Payload::default());
                }
                seen.events.push(event);
            } else if let Some(copy) = &mut payload {
                match copy.next(&mut piece).map_err(|error| error.to_string())? {
                    None => break,
                    Some(Part::KeepAlive) => {}
                    Some(Part::Begins(framing)) => seen.framing = Some(framing),
                    Some(Part::Data(data)) => seen.copy.extend_from_slice(data),
                    Some(Part::End) => payload = None,
                }
            } else {
                units.push(piece);
                break;
            }
        }
        while let Some(unit) = units.next().map_err(|error| format!("{error:?}"))? {
            let words = |command: &crate::units::UnitCommand<'_>| {
                command.words().map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>().join(" ")
            };
            seen.units.push((unit.commands().map(|command| words(&command)).collect(), unit.raw().len()));
        }
    }
    Ok(seen)
}

#[test]
fn recorded_links_are_understood_however_they_are_cut() {
    for (name, transcript) in TRANSCRIPTS {
        let whole = play(introduction(), &[transcript]).unwrap();
        let stream: usize = whole.units.iter().map(|(_, len)| len).sum();
        if name.ends_with("continues") {
            assert!(matches!(whole.events.last(), Some(Event::Continue(Some(_)))), "{name}: {:?}", whole.events);
            assert_eq!((stream, whole.copy.len()), (CONTINUED_STREAM_BYTES, 0), "{name}");
        } else {
            assert!(matches!(whole.events.last(), Some(Event::Full(Position { offset: 0, .. }))), "{name}");
            assert!(whole.copy.starts_with(b"REDIS00"), "{name}");
            assert_eq!(stream, FULL_STREAM_BYTES, "{name}");
            let transaction = whole.units.iter().find(|(words, _)| words.len() > 1).expect("a transaction came");
            assert_eq!(transaction.0.first().map(String::as_str), Some("MULTI"), "{name}");
            assert_eq!(transaction.0.last().map(String::as_str), Some("EXEC"), "{name}");
        }
        assert_eq!(matches!(whole.framing, Some(Framing::Length(_))), name.ends_with("file"), "{name}");
        for cut in 0..=transcript.len() {
            let seen = play(introduction(), &[&transcript[..cut], &transcript[cut..]]).unwrap();
            assert_eq!(seen, whole, "{name} cut at {cut}");
        }
        let bytes: Vec<&[u8]> = transcript.chunks(1).collect();
        assert_eq!(play(introduction(), &bytes).unwrap(), whole, "{name} byte by byte");
    }
}

#[track_caller]
fn check_sent(introduction: Introduction, expected: &[&[&str]]) {
    let seen = play(introduction, &[b"+PONG\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n"]).unwrap();
    let mut bytes = Vec::new();
    expected.iter().for_each(|words| encode_request(words.iter(), &mut bytes));
    assert_eq!(seen.sent, String::from_utf8(bytes).unwrap());
}

#[test]
fn a_replica_says_what_it_was_told_to() {
    let capa = &["REPLCONF", "capa", "eof", "capa", "psync2"][..];
    let port = &["REPLCONF", "listening-port", "17102"][..];
    let plain = Introduction { listening_port: 17102, ..Introduction::default() };
    let id = "4c320be79c57fa3cdf6e0d27ca13bd1c8220a105";
    let position = Some(Position { id: ReplicationId::parse(id.as_bytes()).unwrap(), offset: 280 });
    let seen = play(plain.clone(), &[b"+PONG\r\n+OK\r\n+OK\r\n"]).unwrap();
    assert!(seen.sent.ends_with("$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n"), "{}", seen.sent);
    check_sent(
        introduction(),
        &[&["PING"], &["AUTH", "secret"], port, &["REPLCONF", "ip-address", "127.0.0.1"], capa, &["PSYNC", "?", "-1"]],
    );
    let user = Introduction {
        user: Some(b"repl".to_vec()),
        password: Some(b"p w".to_vec()),
        position,
        failover: true,
        ..plain.clone()
    };
    let seen = play(user, &[b"+PONG\r\n+OK\r\n+OK\r\n+OK\r\n"]).unwrap();
    let mut bytes = Vec::new();
    for words in [&["PING"][..], &["AUTH", "repl", "p w"], port, capa, &["PSYNC", id, "281", "FAILOVER"]] {
        encode_request(words.iter(), &mut bytes);
    }
    assert_eq!(seen.sent, String::from_utf8(bytes).unwrap());
    // A user without a password is not sent at all.
    let user_only = Introduction { user: Some(b"repl".to_vec()), ..plain };
    assert!(!play(user_only, &[b"+PONG\r\n"]).unwrap().sent.contains("AUTH"));
}

fn log(introduction: Introduction, answers: &[u8]) -> Vec<String> {
    match play(introduction, &[answers]) {
        Ok(seen) => seen.events.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error],
    }
}

#[test]
fn what_goes_wrong_is_told_in_redis_s_words() {
    let plain = Introduction { listening_port: 1, ..Introduction::default() };
    let last = |answers: &[u8]| log(plain.clone(), answers).pop().unwrap();
    assert_eq!(last(b"-LOADING x\r\n"), "Error reply to PING from master: '-LOADING x'");
    assert_eq!(last(b"-MISCONF \x1b[2J\r\n"), "Error reply to PING from master: '-MISCONF \\x1b[2J'");
    assert_eq!(last(b"HTTP/1.1 400 Bad Request\r\n"), "Error reply to PING from master: 'HTTP/1.1 400 Bad Request'");
    let alive = "Master replied to PING, replication can continue...";
    for answer in [&b"+PONG\r\n"[..], b"-NOAUTH x\r\n", b"-NOPERM x\r\n", b"-ERR operation not permitted\r\n"] {
        assert_eq!(last(answer), alive);
    }
    assert_eq!(log(introduction(), b"+PONG\r\n-WRONGPASS no\r\n"), ["Unable to AUTH to MASTER: -WRONGPASS no"]);
    assert_eq!(
        log(plain.clone(), b"+PONG\r\n-ERR what\r\n-ERR how\r\n"),
        [
            alive,
            "(Non critical) Master does not understand REPLCONF listening-port: -ERR what",
            "(Non critical) Master does not understand REPLCONF capa: -ERR how",
            "Partial resynchronization not possible (no cached master)",
        ]
    );
    let psync = |answer: &str| last(format!("+PONG\r\n+OK\r\n+OK\r\n\n\r\n\n{answer}\r\n").as_bytes());
    for transient in ["-NOMASTERLINK Can't SYNC while not connected with my master", "-LOADING x"] {
        let line = format!("Master is currently unable to PSYNC but should be in the future: {transient}");
        assert_eq!(psync(transient), line);
    }
    assert_eq!(
        psync("-ERR unknown command"),
        "Master does not support PSYNC or is in error state (reply: -ERR unknown command)"
    );
    assert_eq!(psync("+WHAT"), "Unexpected reply to PSYNC from master: +WHAT");
    let id = "4c320be79c57fa3cdf6e0d27ca13bd1c8220a105";
    // An offset that nobody comes to would make sums overflow, which the fuzzer has found.
    let offset = |offset: u64| format!("+FULLRESYNC {id} {offset}");
    let beyond = [OFFSET_MAX + 1, u64::MAX].map(offset);
    let wrong = ["+FULLRESYNC".to_owned(), "+FULLRESYNC abc 1".into(), format!("+FULLRESYNC {id}")];
    for wrong in wrong.into_iter().chain(beyond) {
        assert_eq!(psync(&wrong), "Master replied with wrong +FULLRESYNC syntax.");
    }
    assert_eq!(psync(&offset(OFFSET_MAX)), format!("Full resync from master: {id}:{OFFSET_MAX}"));
    assert_eq!(psync("+CONTINUE"), "Successful partial resynchronization with master.");
}

#[test]
fn an_old_primary_is_asked_by_sync() {
    let plain = Introduction { listening_port: 1, ..Introduction::default() };
    let text = b"+PONG\r\n-ERR unknown\r\n-ERR unknown\r\n-ERR unknown\r\n\n\n$3\r\nabcPING\r\n\r\nSELECT 0\r\n";
    for cut in 0..=text.len() {
        let seen = play(plain.clone(), &[&text[..cut], &text[cut..]]).unwrap();
        assert!(seen.sent.ends_with("-1\r\nSYNC\r\n"));
        assert_eq!(seen.copy, b"abc");
        let units: Vec<&str> = seen.units.iter().flat_map(|(words, _)| words).map(String::as_str).collect();
        assert_eq!(units, ["PING", "SELECT 0"]);
    }
}

#[test]
fn a_copy_may_come_over_a_channel_of_its_own() {
    // As recorded between two Redis 8.0.2.
    let able = Introduction { listening_port: 7812, rdb_channel: true, ..Introduction::default() };
    let seen =
        play(able.clone(), &[b"+PONG\r\n", b"+OK\r\n+OK\r\n", b"+RDBCHANNELSYNC 9\r\n", b"*1\r\n$4\r\nPING\r\n"])
            .unwrap();
    assert_eq!(seen.events, [Event::Alive, Event::Asked(None), Event::Channel(9)]);
    assert_eq!(seen.units, [(vec!["PING".to_owned()], 14)], "the stream follows on the same connection");
    assert!(seen.sent.contains("*7\r\n$8\r\nREPLCONF\r\n$4\r\ncapa\r\n$3\r\neof\r\n$4\r\ncapa\r\n$6\r\npsync2\r\n$4\r\ncapa\r\n$16\r\nrdb-channel-repl\r\n"));

    let secret = Introduction { password: Some(b"secret".to_vec()), ..able.clone() };
    let mut channel = Handshake::of_channel(secret, 9);
    let sent = |handshake: &mut Handshake| String::from_utf8(handshake.output()).unwrap();
    assert_eq!(
        sent(&mut channel),
        "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*11\r\n$8\r\nREPLCONF\r\n$4\r\ncapa\r\n$3\r\neof\r\n$8\r\nrdb-only\r\n$1\r\n1\r\n\
         $11\r\nrdb-channel\r\n$1\r\n1\r\n$17\r\nmain-ch-client-id\r\n$1\r\n9\r\n$14\r\nlistening-port\r\n$4\r\n7812\r\n"
    );
    assert_eq!(channel.next(&mut &b"+OK\r\n+OK\r\n"[..]), Ok(Some(Event::Asked(None))));
    assert_eq!(sent(&mut channel), "*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n");
    let mut answer = &b"\n+FULLRESYNC a75d11c77fd8321ab5e8e3c63e155a9d07cf2a27 17\r\n$EOF:"[..];
    let Ok(Some(Event::Full(position))) = channel.next(&mut answer) else { panic!("no copy follows") };
    assert_eq!((position.id.as_str(), position.offset), ("a75d11c77fd8321ab5e8e3c63e155a9d07cf2a27", 17));
    assert_eq!(answer, b"$EOF:");
    assert!(channel.is_over());

    let refusals: [(&[u8], &str); 4] = [
        (b"-ERR Unrecognized RDB client id: 9\r\n", "-ERR Unrecognized RDB client id: 9"),
        (b"+OK\r\n+CONTINUE\r\n", "+CONTINUE"),
        (b"+OK\r\n+FULLRESYNC x 1\r\n", "+FULLRESYNC x 1"),
        (b"+OK\r\n+RDBCHANNELSYNC 10\r\n", "+RDBCHANNELSYNC 10"),
    ];
    for (mut answer, reply) in refusals {
        let mut channel = Handshake::of_channel(able.clone(), 9);
        let failure = (0..2).find_map(|_| channel.next(&mut answer).err()).expect(reply);
        assert_eq!(failure, Failure::Channel(reply.as_bytes().to_vec()));
    }
    // Whoever has not said that it can is not led astray.
    let unable = Introduction { listening_port: 1, ..Introduction::default() };
    let seen = play(unable, &[b"+PONG\r\n+OK\r\n+OK\r\n+RDBCHANNELSYNC 9\r\n"]).unwrap();
    assert!(matches!(seen.events.last(), Some(Event::FallenBack { .. })), "{:?}", seen.events);
}
