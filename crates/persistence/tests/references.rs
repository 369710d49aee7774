//! The references as judges: their files are loaded and written anew, and the servers that wrote them load ours and find
//! the data unchanged. Old forms come from the files of the upstream suite. What is not there is named and left out.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{contents, file_of, keyspace, load_all, shown};
use rdb::file::Contents;
use testkit::client::Client;
use testkit::process::{Program, Server, references_folder};
use testkit::reply;

/// Starts a reference with the file named `dump.rdb`, or says that it is not there.
fn start(name: &str) -> Option<Server> {
    let Some(program) = Program::reference(name) else {
        eprintln!("left out: {name} is not there (scripts/references.sh brings it)");
        return None;
    };
    let arguments = ["--enable-debug-command", "yes", "--dbfilename", "dump.rdb", "--appendonly", "no"];
    Some(Server::start(&program, &arguments).expect("the reference starts"))
}

fn ok(client: &mut Client, args: &[&str]) {
    let answer = client.call(args).expect("an answer");
    assert!(!reply::is_error(&answer), "{args:?}: {}", reply::show(&answer));
}

fn digest(client: &mut Client) -> String {
    reply::show(&client.call(&["DEBUG", "DIGEST"]).expect("a digest"))
}

/// Values of every type in every form, some with expiries.
fn fill(client: &mut Client, name: &str) {
    for db in ["0", "9"] {
        ok(client, &["SELECT", db]);
        let mut requests: Vec<Vec<String>> = Vec::new();
        for size in [1, 5, 100, 700] {
            for number in 0..size {
                let (number, member) = (number.to_string(), format!("member {number}"));
                let key = |kind: &str| format!("{kind}:{size}");
                let field_value = format!("{member} and some more of it");
                for args in [
                    &["RPUSH", &key("list"), &number, &member][..],
                    &["SADD", &key("set"), &number, &member],
                    &["SADD", &key("ints"), &number],
                    &["ZADD", &key("zset"), &number, &member, "1e30", "far", "-inf", "first"],
                    &["HSET", &key("hash"), &number, &field_value],
                    &["XADD", &key("stream"), "*", "field", &member, &number, "value"],
                    &["SETEX", &format!("volatile:{size}:{number}"), "100000", &number],
                    &["APPEND", &key("string"), &field_value],
                ] {
                    requests.push(args.iter().map(|&arg| arg.to_owned()).collect());
                }
            }
        }
        let replies = client.pipeline(&requests).expect("answers");
        assert!(replies.iter().all(|answer| !reply::is_error(answer)));
        ok(client, &["RPUSH", "large", &"x".repeat(20_000), &"abc".repeat(9000), "small"]);
        ok(client, &["XGROUP", "CREATE", "stream:100", "group", "0"]);
        ok(client, &["XREADGROUP", "GROUP", "group", "alice", "COUNT", "7", "STREAMS", "stream:100", ">"]);
        ok(client, &["XREADGROUP", "GROUP", "group", "bob", "COUNT", "2", "STREAMS", "stream:100", "0"]);
        ok(client, &["XDEL", "stream:100", "1-1"]);
        ok(client, &["SET", "int", "-1234567"]);
        ok(client, &["SET", "binary", "\u{0}\u{1}\r\n\u{7f}"]);
        ok(client, &["PFADD", "hll", "a", "b", "c"]);
        if name == "redis-8.0.2" {
            for hash in ["hash:5", "hash:700"] {
                ok(client, &["HPEXPIRE", hash, "100000000", "FIELDS", "2", "0", "3"]);
            }
        }
    }
}

/// Fills a server, takes its file through us, and lets it load what we have written.
fn through_us(name: &str) {
    let Some(server) = start(name) else { return };
    let mut client = server.connect().expect("a connection");
    fill(&mut client, name);
    let before = digest(&mut client);
    ok(&mut client, &["SAVE"]);
    let path = server.folder().join("dump.rdb");
    let theirs = fs::read(&path).expect("the reference has saved");
    let keyspace = keyspace();
    let loaded = load_all(&theirs[..], &keyspace).expect("we load it");
    assert!(loaded.keys > 1600, "{name}: {} keys", loaded.keys);
    assert!(loaded.aux("ctime").is_some() && !loaded.unchecked);
    // 7.0 reads no version above 10; what our version 10 leaves out is no part of a digest.
    let contents = if name == "redis-7.0.15" { Contents::default() } else { contents(&keyspace) };
    let ours = file_of(&keyspace, contents);
    fs::write(&path, &ours).expect("a file");
    check(name, &path);
    ok(&mut client, &["DEBUG", "RELOAD", "NOSAVE"]);
    assert_eq!(digest(&mut client), before, "{name} finds other data in our file");
    // Through us once more nothing changes.
    let again = common::keyspace();
    load_all(&ours[..], &again).expect("we load our own");
    assert_eq!(shown(&again), shown(&keyspace));
    // Cut at a hundred places the file is refused, where it is cut.
    for part in 0..100 {
        let end = theirs.len() * part / 100;
        let error = load_all(&theirs[..end], &common::keyspace()).unwrap_err().to_string();
        assert_eq!(error, format!("data ends too early at offset {end}"), "{name}");
    }
}

/// The reference's checker finds nothing wrong.
fn check(name: &str, path: &Path) {
    let checker = if name.starts_with("valkey") { "valkey-check-rdb" } else { "redis-check-rdb" };
    let output = Command::new(references_folder().join(name).join(checker)).arg(path).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("RDB looks OK!"), "{text}");
}

#[test]
fn redis_8_0_and_back() {
    through_us("redis-8.0.2");
}

#[test]
fn redis_7_0_and_back() {
    through_us("redis-7.0.15");
}

#[test]
fn valkey_8_1_and_back() {
    through_us("valkey-8.1");
}

fn assets() -> Option<PathBuf> {
    let path = references_folder().join("sources/redis-8.0.2/tests/assets");
    if !path.is_dir() {
        eprintln!("left out: the files of the upstream suite are not there (scripts/references.sh brings them)");
    }
    path.is_dir().then_some(path)
}

/// Files of old servers: we load them, and Redis 8.0.2 finds the same in them as in what we write of them.
#[test]
fn files_of_old_servers() {
    let Some(assets) = assets() else { return };
    let Some(server) = start("redis-8.0.2") else { return };
    let mut client = server.connect().expect("a connection");
    let path = server.folder().join("dump.rdb");
    for file in ["encodings.rdb", "hash-ziplist.rdb", "hash-zipmap.rdb", "list-quicklist.rdb", "zset-ziplist.rdb"] {
        fs::copy(assets.join(file), &path).expect("a copy");
        ok(&mut client, &["DEBUG", "RELOAD", "NOSAVE"]);
        let before = digest(&mut client);
        let keys = reply::integer(&client.call(&["DBSIZE"]).expect("a number")).expect("a number");
        let keyspace = keyspace();
        let loaded = load_all(fs::File::open(assets.join(file)).expect("it is there"), &keyspace).expect(file);
        assert_eq!(loaded.keys as i64, keys, "{file}");
        assert!(keys > 0, "{file}");
        fs::write(&path, file_of(&keyspace, Contents::default())).expect("a file");
        ok(&mut client, &["DEBUG", "RELOAD", "NOSAVE"]);
        assert_eq!(digest(&mut client), before, "{file}");
    }
}

#[test]
fn files_with_faults() {
    let Some(assets) = assets() else { return };
    let load = |file: &str| load_all(fs::File::open(assets.join(file)).expect("it is there"), &keyspace());
    let empty = load("corrupt_empty_keys.rdb").expect("empty containers are passed over");
    assert_eq!((empty.keys, empty.empty), (0, 9));
    assert!(load("corrupt_ziplist.rdb").is_err());
    assert_eq!(load("scriptbackup.rdb").map(|loaded| loaded.functions).ok(), Some(0));
}
