use std::sync::atomic::Ordering::Relaxed;

use super::select::{Listed, Victims};
use super::*;
use crate::args::OwnedArgs;
use crate::client::ClientType;

fn args(line: &str) -> OwnedArgs {
    line.split(' ').collect()
}

#[test]
fn kill_refuses_what_makes_no_sense() {
    let check = |line: &str, expected: &str| {
        let args = args(line);
        assert_eq!(Victims::parse(args.args()).unwrap_err().0, expected, "{line}");
    };
    check("client kill id 0", "ERR client-id should be greater than 0");
    check("client kill id 99999999999999999999", "ERR client-id should be greater than 0");
    check("client kill maxage x", "ERR maxage is not an integer or out of range");
    check("client kill maxage 0", "ERR maxage should be greater than 0");
    check("client kill type nobody", "ERR Unknown client type 'nobody'");
    check("client kill user nobody", "ERR No such user 'nobody'");
    check("client kill skipme maybe", "ERR syntax error");
    check("client kill id 1 addr", "ERR syntax error");
    check("client kill nonsense 1", "ERR syntax error");
}

#[test]
fn kill_means_those_to_whom_everything_applies() {
    let client = Client {
        id: 7,
        addr: "1.2.3.4:5".into(),
        laddr: "9.9.9.9:6379".into(),
        created_ms: 10_000,
        ..Client::default()
    };
    let check = |line: &str, expected: bool| {
        let args = args(line);
        assert_eq!(Victims::parse(args.args()).unwrap().include(&client, 15_000), expected, "{line}");
    };
    check("client kill skipme yes", true);
    check("client kill id 7", true);
    check("client kill id 8", false);
    check("client kill id 7 addr 1.2.3.4:5 laddr 9.9.9.9:6379 type normal user default maxage 5", true);
    check("client kill id 7 addr 1.2.3.4:6", false);
    check("client kill id 7 laddr 1.2.3.4:5", false);
    check("client kill type pubsub", false);
    check("client kill maxage 6", false);
    check("client kill id 8 id 7", true);
}

#[test]
fn list_knows_types_and_ids() {
    let check = |line: &str, expected: Result<Listed>| {
        let args = args(line);
        assert_eq!(Listed::parse(args.args()), expected, "{line}");
    };
    check("client list", Ok(Listed::All));
    check("client list TYPE Slave", Ok(Listed::Kind(ClientType::Replica)));
    check("client list id 3 -1 4", Ok(Listed::Ids(vec![3, 0, 4])));
    check("client list id", Err(SYNTAX));
    check("client list type normal normal", Err(SYNTAX));
    check("client list user default", Err(SYNTAX));
    check("client list id x", Err(Error::new("ERR Invalid client ID")));
    check("client list type x", Err(Error::new("ERR Unknown client type 'x'")));
}

#[test]
fn a_line_has_all_fields_in_their_order() {
    let client =
        Client { id: 3, addr: "a:1".into(), laddr: "b:2".into(), fd: 9, created_ms: 1000, ..Client::default() };
    client.set_name(b"me");
    client.last_ms.store(4000, Relaxed);
    client.set_flags(ClientFlags::MULTI | ClientFlags::NO_TOUCH, true);
    client.reply_list_bytes.store(5, Relaxed);
    let line = client.line(6000, Some(10));
    let fields: Vec<(&str, &str)> = line.split(' ').map(|field| field.split_once('=').unwrap()).collect();
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names.join(" "),
        "id addr laddr fd name age idle flags db sub psub ssub multi watch qbuf qbuf-free argv-mem multi-mem rbs rbp \
         obl oll omem tot-mem events cmd user redir resp lib-name lib-ver io-thread"
    );
    let value = |name: &str| fields.iter().find(|(known, _)| *known == name).unwrap().1;
    let expected = [("name", "me"), ("age", "5"), ("idle", "2"), ("flags", "xT"), ("argv-mem", "10"), ("omem", "5")];
    expected.iter().for_each(|(name, expected)| assert_eq!(value(name), *expected, "{name}"));
    assert_eq!(value("events"), "rw");
}

#[test]
fn names_are_printable_words() {
    for (name, expected) in [(&b""[..], true), (b"a-b", true), (b"a b", false), (b"a\n", false), (b"\xc3\xa4", false)] {
        assert_eq!(check_name(name).is_ok(), expected, "{name:?}");
    }
}
