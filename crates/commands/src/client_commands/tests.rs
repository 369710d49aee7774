use std::sync::atomic::Ordering::Relaxed;

use super::select::{Listed, Victims};
use super::*;
use crate::args::OwnedArgs;
use crate::client::ClientType;
use crate::host::Host;
use crate::testing::{START_MS, Server};

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

#[test]
fn replies_are_left_out_piece_by_piece() {
    let server = Server::new();
    let mut client = server.client();
    client.check("CLIENT REPLY OFF", "");
    client.check("PING", "");
    client.check("NONSENSE", "");
    client.check("CLIENT REPLY SKIP", "");
    client.check("CLIENT REPLY ON", "+OK\r\n");
    client.check("CLIENT REPLY SKIP", "");
    client.check("GET", "");
    client.check("PING", "+PONG\r\n");
    client.check("CLIENT REPLY SKIP", "");
    client.check("CLIENT REPLY SKIP", "");
    client.check("PING", "");
    client.check("PING", "+PONG\r\n");
    client.check("CLIENT REPLY MAYBE", "-ERR syntax error\r\n");
}

#[test]
fn a_transaction_may_choose_its_replies() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["MULTI", "PING", "CLIENT REPLY OFF", "PING", "CLIENT REPLY ON", "CLIENT REPLY SKIP", "PING"]);
    client.check("EXEC", "*6\r\n+PONG\r\n+OK\r\n+PONG\r\n");
    client.check("PING", "");
    client.check("PING", "+PONG\r\n");
}

#[test]
fn suicide_in_a_transaction_is_answered_and_the_rest_is_executed_in_silence() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["MULTI", "SET a 1", "CLIENT KILL SKIPME no", "SET b 2"]);
    client.check("EXEC", "*3\r\n+OK\r\n:1\r\n");
    assert!(client.session.close);
    server.client().check("GET b", "$1\r\n2\r\n");
}

#[test]
fn kill_counts_and_marks() {
    let server = Server::new();
    let (mut me, other, third) = (server.client(), server.client(), server.client());
    me.check("CLIENT KILL ID 2 ADDR 127.0.0.1:3", ":0\r\n");
    me.check("CLIENT KILL 127.0.0.1:2", "+OK\r\n");
    me.check("CLIENT KILL 127.0.0.1:2", "-ERR No such client\r\n");
    assert!(other.session.client.killed.load(Relaxed) && !third.session.client.killed.load(Relaxed));
    me.check("CLIENT KILL TYPE normal", ":1\r\n");
    me.check("CLIENT KILL TYPE normal SKIPME no", ":1\r\n");
    assert!(me.session.close && !me.session.client.killed.load(Relaxed));
}

#[test]
fn a_paused_server_does_not_queue_writes() {
    let server = Server::new();
    let mut client = server.client();
    client.check("CLIENT PAUSE 9223372036854775807", "-ERR timeout is out of range\r\n");
    client.check("CLIENT PAUSE -1", "-ERR timeout is negative\r\n");
    client.check("CLIENT PAUSE x y", "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n");
    client.check("CLIENT PAUSE 100 WRITE", "+OK\r\n");
    assert_eq!(server.host.pause_ends_ms(), Some(START_MS + 100));
    client.all(&["GET a", "MULTI", "GET a", "EXEC"]);
    client.check("SET a", "-ERR wrong number of arguments for 'set' command\r\n");
    assert!(client.is_postponed("SET a 1"));
    client.all(&["MULTI"]);
    assert!(client.is_postponed("SET a 1"));
    client.all(&["GET a", "DISCARD", "CLIENT UNPAUSE", "SET a 1"]);
}

#[test]
fn hello_auth_and_reset() {
    let server = Server::new();
    let mut client = server.client();
    client.check("HELLO 4", "-NOPROTO unsupported protocol version\r\n");
    client
        .check("HELLO 3 SETNAME a\nb", "-ERR Client names cannot contain spaces, newlines or special characters.\r\n");
    client.check("HELLO 3 NOTHING", "-ERR Syntax error in HELLO option 'NOTHING'\r\n");
    client.check("AUTH nobody x", "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    client.check("AUTH default whatever", "+OK\r\n");
    assert!(client.run("HELLO 3 SETNAME me").starts_with("%7\r\n"));
    client.check("CLIENT GETNAME", "$2\r\nme\r\n");
    client.all(&["SELECT 1", "WATCH a", "CLIENT NO-TOUCH on", "MULTI", "GET a"]);
    client.check("RESET", "+RESET\r\n");
    client.check("CLIENT GETNAME", "$-1\r\n");
    assert_eq!((client.session.db, client.session.client.flags().letters().as_str()), (0, "N"));

    server.settings.set_password(b"secret");
    client.check("PING", "+PONG\r\n");
    client.check("RESET", "+RESET\r\n");
    client.check("PING", "-NOAUTH Authentication required.\r\n");
    assert!(client.run("HELLO").starts_with("-NOAUTH HELLO must be called"));
    client.check("AUTH wrong", "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    client.check("AUTH a b c", "-ERR syntax error\r\n");
    client.check("AUTH secret", "+OK\r\n");
    client.check("PING", "+PONG\r\n");
}

#[test]
fn http_is_hung_up_on() {
    let server = Server::new();
    let mut client = server.client();
    client.run("POST / HTTP/1.1");
    assert!(client.session.client.killed.load(Relaxed));
}
