//! Streams are cut at every byte, and by chance.

use resp_parser::encode_request;

use super::*;

fn stream(commands: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    commands.iter().for_each(|command| encode_request(command.split(' '), &mut bytes));
    bytes
}

/// The units of a stream that comes in pieces: their commands, parted by semicolons, and their length.
fn units(pieces: &[&[u8]]) -> Vec<(String, usize)> {
    let mut units = Units::default();
    let mut seen = Vec::new();
    for piece in pieces {
        units.push(piece);
        while let Some(unit) = units.next().unwrap() {
            let command = |command: UnitCommand<'_>| {
                command.words().map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>().join(" ")
            };
            seen.push((unit.commands().map(command).collect::<Vec<_>>().join(";"), unit.raw().len()));
        }
    }
    seen
}

#[test]
fn transactions_come_whole_and_lengths_add_up() {
    let commands = ["SELECT 0", "SET a 1", "MULTI", "INCR n", "SELECT 3", "SET x y", "exec", "PING", "Multi", "EXEC"];
    let mut bytes = stream(&commands[..2]);
    bytes.extend_from_slice(b"\r\n\n");
    bytes.extend(stream(&commands[2..]));
    bytes.extend_from_slice(b"PING\r\nSET q \"a b\"\r\n");
    let expected = [
        ("SELECT 0", stream(&commands[..1]).len()),
        ("SET a 1", stream(&commands[1..2]).len()),
        ("MULTI;INCR n;SELECT 3;SET x y;exec", stream(&commands[2..7]).len() + 3),
        ("PING", stream(&["PING"]).len()),
        ("Multi;EXEC", stream(&commands[8..]).len()),
        ("PING", 6),
        ("SET q a b", 13),
    ]
    .map(|(unit, len)| (unit.to_owned(), len));
    for cut in 0..=bytes.len() {
        assert_eq!(units(&[&bytes[..cut], &bytes[cut..]]), expected, "cut at {cut}");
    }
    assert_eq!(units(&bytes.chunks(1).collect::<Vec<_>>()), expected);
    assert_eq!(expected.iter().map(|(_, len)| len).sum::<usize>(), bytes.len());
}

#[test]
fn an_open_transaction_is_no_unit() {
    let bytes = stream(&["SET a 1", "MULTI", "SET b 1"]);
    assert_eq!(units(&[&bytes]).len(), 1);
    let mut units = Units::default();
    units.push(&bytes);
    units.next().unwrap().unwrap();
    assert_eq!(units.waiting(), bytes.len() - stream(&["SET a 1"]).len());
    assert!(units.next().unwrap().is_none());
    units.push(&stream(&["DISCARD", "PING"]));
    assert_eq!(units.next().unwrap().unwrap().commands().len(), 3);
    assert_eq!(units.next().unwrap().unwrap().commands().len(), 1);
    assert_eq!(units.waiting(), 0);
}

#[test]
fn large_transactions_come_in_many_pieces() {
    let mut commands = vec!["MULTI"];
    commands.extend(["LPUSH list 0123456789"; 20_000]);
    commands.push("EXEC");
    let bytes = stream(&commands);
    let seen = units(&bytes.chunks(1000).collect::<Vec<_>>());
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].1, bytes.len());
}

#[test]
fn nonsense_is_an_error_that_stays() {
    let mut units = Units::default();
    units.push(&stream(&["SET a 1"]));
    units.push(b"*1\r\n!\r\n");
    assert!(units.next().unwrap().is_some());
    assert!(units.next().is_err());
    assert!(units.next().is_err());
}

#[test]
fn what_was_put_back_comes_again_whatever_has_come_meanwhile() {
    let bytes = stream(&["SET a 1", "MULTI", "INCR n", "EXEC", "PING", "SET b 2"]);
    for cut in 0..bytes.len() {
        let (mut units, mut seen, mut rest) = (Units::default(), Vec::new(), Some(&bytes[cut..]));
        units.push(&bytes[..cut]);
        let mut waiting = cut;
        loop {
            let Some(unit) = units.next().unwrap() else {
                let Some(more) = rest.take() else { break };
                units.push(more);
                waiting += more.len();
                continue;
            };
            let raw = unit.raw().to_vec();
            units.put_back();
            assert_eq!(units.waiting(), waiting);
            if let Some(more) = rest.take() {
                units.push(more);
                waiting += more.len();
            }
            let again = units.next().unwrap().expect("it is there");
            assert_eq!(again.raw(), raw);
            seen.extend_from_slice(&raw);
            waiting -= raw.len();
            assert_eq!(units.waiting(), waiting);
        }
        assert_eq!(seen, bytes);
    }
}
