use crate::eviction::Policy;
use crate::testing::Server;

#[test]
fn object_answers_as_redis_does() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET int 9999", "SET large 10000", "SET text abc", "APPEND text d"]);
    client.check("OBJECT ENCODING int", "$3\r\nint\r\n");
    client.check("OBJECT ENCODING text", "$3\r\nraw\r\n");
    client.check("OBJECT REFCOUNT int", ":2147483647\r\n");
    client.check("OBJECT REFCOUNT large", ":1\r\n");
    client.check("OBJECT REFCOUNT text", ":1\r\n");
    for name in ["ENCODING", "FREQ", "IDLETIME", "REFCOUNT"] {
        client.check(&format!("OBJECT {name} nokey"), "$-1\r\n");
    }
    client.resp3();
    client.check("OBJECT ENCODING nokey", "_\r\n");
    client.check("OBJECT FOO int", "-ERR unknown subcommand 'FOO'. Try OBJECT HELP.\r\n");
    client.check("OBJECT FREQ", "-ERR wrong number of arguments for 'object|freq' command\r\n");
    client.check("OBJECT", "-ERR wrong number of arguments for 'object' command\r\n");
    assert!(client.run("OBJECT HELP").starts_with("*14\r\n+OBJECT <subcommand>"));
    assert_eq!((client.env.stats.hits.get(), client.env.stats.misses.get()), (5, 5));
    assert!(!server.events().iter().any(|event| event.contains("keymiss")));
}

#[test]
fn idle_time_and_frequency_need_their_policy() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET a 1"]);
    server.advance_ms(7_000);
    client.check("OBJECT IDLETIME a", ":7\r\n");
    client.all(&["TYPE a", "TTL a", "OBJECT ENCODING a"]);
    client.check("OBJECT IDLETIME a", ":7\r\n");
    client.all(&["GET a"]);
    client.check("OBJECT IDLETIME a", ":0\r\n");
    // The clock has 24 bits; it goes round after half a year.
    server.advance_ms((1 << 24) * 1000 - 1000);
    client.check("OBJECT IDLETIME a", ":16777215\r\n");
    let note = "Please note that when switching between policies at runtime LRU and LFU data will take some time to \
                adjust.\r\n";
    let freq = "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. ";
    client.check("OBJECT FREQ a", &format!("{freq}{note}"));
    server.settings.set_policy(Policy::AllkeysLfu);
    let idle = "-ERR An LFU maxmemory policy is selected, idle time not tracked. ";
    client.check("OBJECT IDLETIME a", &format!("{idle}{note}"));
}
