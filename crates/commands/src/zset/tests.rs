//! What the differential tester does not see: effects, events and counts of changes. The expectations were read off Redis
//! 8.0.2's append-only file, its events and its INFO.

use crate::testing::{Server, TestClient};

fn dirty(client: &TestClient) -> u64 {
    client.env.stats.dirty.get()
}

#[test]
fn additions_fire_one_event_and_count_what_they_change() {
    let server = Server::new();
    let mut client = server.client();
    client.check("ZADD z 1 a 2 b 3 c", ":3\r\n");
    client.check("ZADD z CH 5 a 2 b 6 d", ":2\r\n");
    assert_eq!(dirty(&client), 5);
    client.check("ZADD z INCR 1.5 a", "$3\r\n6.5\r\n");
    client.check("ZINCRBY z 2 a", "$3\r\n8.5\r\n");
    assert_eq!(server.events(), ["0 new z", "0 zadd z", "0 zadd z", "0 zincr z", "0 zincr z"]);
    assert_eq!(
        server.log(),
        ["0 ZADD z 1 a 2 b 3 c", "0 ZADD z CH 5 a 2 b 6 d", "0 ZADD z INCR 1.5 a", "0 ZINCRBY z 2 a"]
    );
    client.all(&["ZADD z 2 b", "ZADD z NX 9 a", "ZADD z GT 1 a", "ZINCRBY z 0 a", "ZADD none XX 1 a", "ZREM z x"]);
    client.all(&["ZPOPMIN z 0", "ZREMRANGEBYRANK z 9 9", "ZUNIONSTORE none 1 nor", "ZRANGESTORE none nor 0 1"]);
    assert!(server.log().is_empty());
    assert_eq!(server.events(), ["0 keymiss nor", "0 keymiss nor"]);
    assert_eq!(dirty(&client), 7);
}

#[test]
fn the_last_member_takes_its_key_along() {
    let server = Server::new();
    let mut client = server.client();
    let check = |client: &mut TestClient, line: &str, event: &str| {
        client.all(&["ZADD z 0 a 0 b"]);
        server.forget();
        let before = dirty(client);
        client.all(&[line]);
        assert_eq!(server.events(), [format!("0 {event} z"), "0 del z".into()], "{line}");
        assert_eq!((dirty(client) - before, server.entries(0)), (2, 0), "{line}");
        assert_eq!(server.log(), [format!("0 {line}")]);
    };
    check(&mut client, "ZREM z a none b", "zrem");
    check(&mut client, "ZREMRANGEBYRANK z 0 -1", "zremrangebyrank");
    check(&mut client, "ZREMRANGEBYSCORE z -inf inf", "zremrangebyscore");
    check(&mut client, "ZREMRANGEBYLEX z - +", "zremrangebylex");
    check(&mut client, "ZPOPMIN z 2", "zpopmin");
    check(&mut client, "ZPOPMAX z 9", "zpopmax");
}

#[test]
fn a_choice_among_sorted_sets_is_propagated_as_what_it_chose() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["ZADD z 1 a 2 b 3 c"]);
    server.forget();
    client.check("ZMPOP 2 none z MAX", "*2\r\n$1\r\nz\r\n*1\r\n*2\r\n$1\r\nc\r\n$1\r\n3\r\n");
    client.all(&["ZMPOP 2 none z MIN COUNT 9"]);
    assert_eq!(server.log(), ["0 ZPOPMAX z 1", "0 ZPOPMIN z 2"]);
    assert_eq!(server.events(), ["0 zpopmax z", "0 zpopmin z", "0 del z"]);
    client.check("ZMPOP 2 none z MIN", "*-1\r\n");
}

#[test]
fn results_replace_what_the_destination_held_or_delete_it() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["ZADD z 1 a 2 b", "SADD s b c", "SET d text"]);
    server.forget();
    let check = |client: &mut TestClient, line: &str, reply: &str, event: &str| {
        client.check(line, reply);
        assert_eq!(server.events(), [event], "{line}");
        assert_eq!(server.log(), [format!("0 {line}")]);
    };
    check(&mut client, "ZUNIONSTORE d 2 z s", ":3\r\n", "0 zunionstore d");
    check(&mut client, "ZINTERSTORE d 2 d z WEIGHTS 2 10", ":2\r\n", "0 zinterstore d");
    client.check("ZRANGE d 0 -1 WITHSCORES", "*4\r\n$1\r\na\r\n$2\r\n12\r\n$1\r\nb\r\n$2\r\n26\r\n");
    check(&mut client, "ZDIFFSTORE d 2 z s", ":1\r\n", "0 zdiffstore d");
    check(&mut client, "ZRANGESTORE d z 0 -1", ":2\r\n", "0 zrangestore d");
    check(&mut client, "ZRANGESTORE d z 9 10", ":0\r\n", "0 del d");
}

#[test]
fn a_source_that_has_expired_is_removed_in_the_same_record() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["ZADD z 1 a", "ZADD y 1 b", "PEXPIRE z 10"]);
    server.advance_ms(10);
    server.forget();
    client.check("ZUNIONSTORE d 2 z y", ":1\r\n");
    assert_eq!(server.log(), ["0 MULTI", "0 DEL z", "0 ZUNIONSTORE d 2 z y", "0 EXEC"]);
    assert_eq!(server.entries(0), 2);
}

#[test]
fn a_difference_is_the_same_whichever_way_it_is_found() {
    let server = Server::new();
    let mut client = server.client();
    // One large input against one small, and one small against one large.
    let many = (0..200).map(|n| format!(" {n} m{n}")).collect::<String>();
    client.all(&[&format!("ZADD large{many}"), "ZADD small 1 m1 2 m2 3 x"]);
    client.check("ZDIFF 2 small large", "*1\r\n$1\r\nx\r\n");
    assert!(client.run("ZDIFF 2 large small").starts_with("*198\r\n"));
    assert!(client.run("ZDIFF 4 large small small small").starts_with("*198\r\n"));
    client.check("ZDIFF 3 small large small", "*0\r\n");
}

#[test]
fn places_are_propagated_as_scores() {
    let server = Server::new();
    let mut client = server.client();
    client.check("GEOADD g NX CH 1 1 a 2 2 b", ":2\r\n");
    assert_eq!(server.log(), ["0 ZADD g NX CH 3377822707026402 a 3378191666521995 b"]);
    assert_eq!((server.events(), dirty(&client)), (vec!["0 new g".into(), "0 zadd g".into()], 2));
    client.check("GEOADD g 1 1 a", ":0\r\n");
    client.check("GEORADIUS g 1 1 500 km STORE d", ":2\r\n");
    client.check("GEORADIUS g 1 1 0 km STORE d", ":0\r\n");
    client.check("GEOSEARCHSTORE d g FROMLONLAT 1 1 BYRADIUS 1000 km STOREDIST", ":2\r\n");
    assert_eq!(server.events(), ["0 new d", "0 georadiusstore d", "0 del d", "0 new d", "0 geosearchstore d"]);
    assert_eq!(dirty(&client), 2 + 2 + 1 + 2);
}

#[test]
fn the_last_of_several_keys_to_store_under_counts() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["GEOADD g 1 1 a"]);
    client.check("GEORADIUS g 1 1 5 km STORE x STOREDIST y STORE z", ":1\r\n");
    client.check("EXISTS x y", ":0\r\n");
    client.check("EXISTS z", ":1\r\n");
}

#[test]
fn huge_counts_allocate_nothing() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["ZADD z 1 a"]);
    client.check("ZPOPMIN none 9223372036854775807", "*0\r\n");
    client.check("ZRANDMEMBER z 9223372036854775807", "*1\r\n$1\r\na\r\n");
    client.check("ZRANDMEMBER z -9223372036854775807", "-ERR value is out of range\r\n");
    client.check("ZRANDMEMBER z 9223372036854775807 WITHSCORES", "-ERR value is out of range\r\n");
    client.check("ZUNION 9223372036854775807 z", "-ERR syntax error\r\n");
    client.check("ZMPOP 9223372036854775807 z MIN", "-ERR syntax error\r\n");
    client.check("ZRANGE z -inf inf BYSCORE LIMIT 9223372036854775807 9223372036854775807", "*0\r\n");
    client.check("ZPOPMIN z 9223372036854775807", "*2\r\n$1\r\na\r\n$1\r\n1\r\n");
}

#[test]
fn nothing_added_to_minus_zero_is_zero() {
    let server = Server::new();
    let mut client = server.client();
    let long = "m".repeat(65);
    client.all(&["ZADD z -0 a", &format!("ZADD l -0 {long}")]);
    client.resp3();
    client.check("ZINCRBY z 0 a", ",0\r\n");
    client.check(&format!("ZINCRBY l 0 {long}"), ",0\r\n");
    // The small form keeps it as an integer, the general form does not; and the equal sum is not stored.
    client.check("ZSCORE z a", ",0\r\n");
    client.check(&format!("ZSCORE l {long}"), ",-0\r\n");
}
