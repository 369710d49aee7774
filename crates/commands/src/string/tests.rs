use crate::testing::{START_MS, Server};

#[test]
fn getex_judges_its_amount_only_if_there_is_a_string() {
    let server = Server::new();
    let mut client = server.client();
    client.check("GETEX none EX 0", "$-1\r\n");
    client.check("GETEX none EX abc", "$-1\r\n");
    client.check("GETEX none EX", "-ERR syntax error\r\n");
    client.all(&["SADD s x", "SET a 1"]);
    client.check("GETEX s EX 0", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    client.check("GETEX a EX 0", "-ERR invalid expire time in 'getex' command\r\n");
    client.check("GETEX a EX abc", "-ERR value is not an integer or out of range\r\n");
    client.check("PTTL a", ":-1\r\n");
}

#[test]
fn a_unit_may_be_named_again() {
    let server = Server::new();
    let mut client = server.client();
    client.check("SET a 1 EX 10 EX 20", "+OK\r\n");
    client.check("PTTL a", ":20000\r\n");
    client.check("SET a 1 EX 10 PX 20", "-ERR syntax error\r\n");
    client.check("GETEX a PX abc PX 30", "$1\r\n1\r\n");
    client.check("PTTL a", ":30\r\n");
    client.check("GETEX a PERSIST PERSIST", "$1\r\n1\r\n");
    client.check("PTTL a", ":-1\r\n");
    for line in ["GETEX a PX 1 EX 1", "GETEX a PERSIST EX 1", "GETEX a EX 1 PERSIST", "GETEX a NX"] {
        client.check(line, "-ERR syntax error\r\n");
    }
}

#[test]
fn what_incrbyfloat_makes_is_no_integer_inside() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1 PX 500"]);
    client.check("INCRBYFLOAT a 1", "$1\r\n2\r\n");
    client.check("OBJECT ENCODING a", "$6\r\nembstr\r\n");
    client.check("PEXPIRETIME a", &format!(":{}\r\n", START_MS + 500));
    client.check("INCR a", ":3\r\n");
    client.check("OBJECT ENCODING a", "$3\r\nint\r\n");
}

#[test]
fn lcs_looks_at_its_keys_before_its_options() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["RPUSH l x"]);
    client.check("LCS l none extra", "-ERR The specified keys must contain string values\r\n");
    client.check("LCS none none extra", "-ERR syntax error\r\n");
}
