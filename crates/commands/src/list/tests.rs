use crate::testing::{Server, TestClient};

fn dirty(client: &TestClient) -> u64 {
    client.env.stats.dirty.get()
}

#[test]
fn pushes_and_pops_fire_their_events_and_count_their_changes() {
    let server = Server::new();
    let mut client = server.client();
    client.check("RPUSH l a b", ":2\r\n");
    client.check("LPUSH l c", ":3\r\n");
    client.check("LPUSHX none x", ":0\r\n");
    client.check("RPOP l", "$1\r\nb\r\n");
    client.check("LPOP l 9", "*2\r\n$1\r\nc\r\n$1\r\na\r\n");
    assert_eq!(server.events(), ["0 new l", "0 rpush l", "0 lpush l", "0 rpop l", "0 lpop l", "0 del l"]);
    assert_eq!(server.log(), ["0 RPUSH l a b", "0 LPUSH l c", "0 RPOP l", "0 LPOP l 9"]);
    assert_eq!((dirty(&client), server.entries(0)), (6, 0));
}

#[test]
fn a_pop_without_elements_says_what_is_missing() {
    let server = Server::new();
    let mut client = server.client();
    for (resp3, one, many) in [(false, "$-1\r\n", "*-1\r\n"), (true, "_\r\n", "_\r\n")] {
        client.out.set_resp3(resp3);
        client.check("LPOP none", one);
        client.check("LPOP none 0", many);
        client.check("RPOP none 2", many);
        client.check("LMPOP 2 none nor LEFT", many);
        client.check("LMOVE none nor LEFT LEFT", one);
        client.check("LPOS none x", one);
        client.check("LPOS none x COUNT 1", "*0\r\n");
    }
    client.all(&["RPUSH l a"]);
    server.forget();
    client.check("LPOP l 0", "*0\r\n");
    assert!(server.log().is_empty() && server.events().is_empty());
}

#[test]
fn a_choice_among_lists_is_propagated_as_what_it_chose() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["RPUSH l a b c"]);
    server.forget();
    client.check("LMPOP 2 none l RIGHT COUNT 2", "*2\r\n$1\r\nl\r\n*2\r\n$1\r\nc\r\n$1\r\nb\r\n");
    client.check("LMPOP 2 none l LEFT COUNT 100", "*2\r\n$1\r\nl\r\n*1\r\n$1\r\na\r\n");
    assert_eq!(server.log(), ["0 RPOP l 2", "0 LPOP l 1"]);
    assert_eq!(server.events(), ["0 rpop l", "0 lpop l", "0 del l"]);
}

#[test]
fn a_move_is_a_push_then_a_pop_and_one_change() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["RPUSH a 1 2"]);
    server.forget();
    let before = dirty(&client);
    client.check("LMOVE a b LEFT RIGHT", "$1\r\n1\r\n");
    client.check("RPOPLPUSH a b", "$1\r\n2\r\n");
    client.check("LMOVE b b RIGHT LEFT", "$1\r\n1\r\n");
    client.check("LRANGE b 0 -1", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
    let expected = [
        ["0 new b", "0 rpush b", "0 lpop a"].as_slice(),
        &["0 lpush b", "0 rpop a", "0 del a"],
        &["0 lpush b", "0 rpop b"],
    ];
    assert_eq!(server.events(), expected.concat());
    assert_eq!(server.log(), ["0 LMOVE a b LEFT RIGHT", "0 RPOPLPUSH a b", "0 LMOVE b b RIGHT LEFT"]);
    assert_eq!(dirty(&client) - before, 3);
}

#[test]
fn a_move_to_the_wrong_type_changes_nothing() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["RPUSH a 1 2", "SET s x"]);
    server.forget();
    assert!(client.run("LMOVE a s LEFT LEFT").starts_with("-WRONGTYPE"));
    client.check("LMOVE none s LEFT LEFT", "$-1\r\n");
    client.check("LLEN a", ":2\r\n");
    assert!(server.log().is_empty() && server.events().is_empty());
}

#[test]
fn a_trim_that_removes_nothing_is_an_event_for_watchers_but_no_effect() {
    let server = Server::new();
    let (mut client, mut other) = (server.client(), server.client());
    client.all(&["RPUSH l a b c"]);
    server.forget();
    other.all(&["WATCH l", "MULTI"]);
    let before = dirty(&client);
    client.check("LTRIM l 0 -1", "+OK\r\n");
    assert_eq!((server.events(), server.log().len(), dirty(&client) - before), (vec!["0 ltrim l".to_string()], 0, 0));
    other.check("EXEC", "*-1\r\n");
    client.check("LTRIM l 1 0", "+OK\r\n");
    assert_eq!(server.events(), ["0 ltrim l", "0 del l"]);
    assert_eq!((server.log(), dirty(&client) - before), (vec!["0 LTRIM l 1 0".to_string()], 3));
}

#[test]
fn what_changes_nothing_has_no_effect() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["RPUSH l a b"]);
    server.forget();
    client.check("LREM l 0 x", ":0\r\n");
    client.check("LINSERT l BEFORE x y", ":-1\r\n");
    client.check("LINSERT none BEFORE x y", ":0\r\n");
    client.check("LSET l 2 x", "-ERR index out of range\r\n");
    client.check("LSET none 2 x", "-ERR no such key\r\n");
    client.check("LSET l 4294967296 A", "+OK\r\n");
    assert_eq!(server.log(), ["0 LSET l 4294967296 A"]);
    client.check("LINDEX l 0", "$1\r\nA\r\n");
    assert_eq!(server.events(), ["0 lset l"]);
}

#[test]
fn large_elements_and_long_lists_move_as_small_ones_do() {
    let server = Server::new();
    let mut client = server.client();
    let large = "x".repeat(20_000);
    client.all(&[&format!("RPUSH l a {large} b {large}")]);
    client.check("OBJECT ENCODING l", "$9\r\nquicklist\r\n");
    client.check("LMOVE l m RIGHT LEFT", &format!("$20000\r\n{large}\r\n"));
    client.check("LPOS l b", ":2\r\n");
    client.check("RPOP l 2", &format!("*2\r\n$1\r\nb\r\n$20000\r\n{large}\r\n"));
    client.check("LLEN l", ":1\r\n");
    client.check("OBJECT ENCODING l", "$8\r\nlistpack\r\n");
}

#[test]
fn a_wait_that_is_over_answers_a_null_array_but_a_transaction_does_not_wait() {
    let server = Server::new();
    let mut client = server.client();
    for line in ["BLMOVE a b LEFT RIGHT 1", "BRPOPLPUSH a b 1", "BLPOP a 1", "BLMPOP 1 1 a LEFT"] {
        assert_eq!(client.run(line), "");
        let waiter = client.session.blocked.take().expect("it waits");
        assert_eq!(waiter.nothing(server.host).plain(), Some(&b"*-1\r\n"[..]), "{line}");
    }
    let mut client = server.client();
    client.all(&["MULTI", "BLMOVE a b LEFT RIGHT 1", "BLPOP a 1"]);
    client.check("EXEC", "*2\r\n$-1\r\n*-1\r\n");
}
