//! SET IFEQ beside Valkey 8.1, the one reference that knows it. What Redis 8.4 has beyond it has no reference here: the
//! model tests beside the commands name the source of each of their expectations.

use testkit::reply::show;
use testkit::words::{join, split};
use testkit::{Program, Reply, Server, Words, found};

const REFERENCE: &str = "valkey-8.1";

/// Strings, integers, empty and binary ones, other types, expiry, GET, and options that exclude each other.
const LINES: &str = r#"
SET k v IFEQ x
EXISTS k
SET k v
SET k w IFEQ x
GET k
SET k w IFEQ v
GET k
SET k w ifeq w
SET k x IFEQ w GET
SET k y IFEQ none GET
SET k y GET IFEQ x
SET none z IFEQ v GET
EXISTS none
SET k 10
SET k 11 IFEQ 010
SET k 11 IFEQ 10 EX 100
TTL k
SET k 12 IFEQ 11 KEEPTTL
TTL k
SET k 13 IFEQ 12
TTL k
OBJECT ENCODING k
SET e ""
SET e x IFEQ ""
SET b "\x00\xff\r\n"
SET b y IFEQ "\x00\xff\r\n"
GET b
SET k v IFEQ 13 PXAT 4102444800000
PEXPIRETIME k
SET k w IFEQ v EXAT 1
EXISTS k
RPUSH l a
SET l x IFEQ a
SET l x IFEQ a GET
TYPE l
SET k v
SET k w IFEQ v NX
SET k w NX IFEQ v
SET k w IFEQ v XX
SET k w IFEQ v IFEQ v
SET k w IFEQ
SET k w IFEQ v EX
SET k w IFEQ v EX 0
SET k w IFEQ x EX -1
SET k w IFEQ v EX 10 PX 5
SET k w IFEQ v EX 10 KEEPTTL
SET k w EX 10 IFEQ v
TTL k
"#;

fn lines() -> Vec<Words> {
    LINES.trim().lines().map(|line| split(line.as_bytes()).expect("words")).collect()
}

fn answers(program: &Program) -> Vec<Reply> {
    let server = Server::start(program, &[]).expect("the server starts");
    let mut client = server.connect().expect("a connection");
    lines().iter().map(|words| client.call(words).expect("a reply")).collect()
}

#[test]
fn set_ifeq_is_as_in_valkey() {
    let Some(subject) = found(Program::subject(), "brindle-server") else { return };
    let Some(reference) = found(Program::reference(REFERENCE), REFERENCE) else { return };
    let (ours, theirs) = (answers(&subject), answers(&reference));
    for ((words, ours), theirs) in lines().iter().zip(ours).zip(theirs) {
        assert_eq!(show(&ours), show(&theirs), "{}", join(words));
    }
}
