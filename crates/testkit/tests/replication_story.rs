//! The story of one primary and its replicas, step by step, as a user lives it: configuration files, REPLICAOF, restarts in
//! any order, a primary that dies, a chain. `scripts/replication-demo.sh` plays it on fixed ports and prints each step.

mod replication;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use replication::*;
use testkit::{Client, Program, Server};

/// A server with a configuration file, a folder and a port that outlive its runs.
struct Node {
    program: Program,
    folder: tempfile::TempDir,
    port: u16,
    running: Option<Server>,
}

impl Node {
    /// A place for a server; `lines` stand in its configuration file.
    fn new(program: &Program, lines: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("brindle-story-").tempdir().unwrap();
        let port = testkit::process::free_port().unwrap();
        let node = Self { program: program.clone(), folder, port, running: None };
        node.configure(lines);
        node
    }

    fn configure(&self, lines: &[&str]) {
        let own = [
            format!("port {}", self.port),
            "bind 127.0.0.1".into(),
            format!("dir {}", self.folder.path().display()),
            "enable-debug-command yes".into(),
            "repl-diskless-sync-delay 0".into(),
            // Points that no test reaches: they have the end save.
            "save 3600 100000000".into(),
        ];
        let lines = own.iter().map(String::as_str).chain(lines.iter().copied());
        fs::write(self.file(), lines.map(|line| line.to_owned() + "\n").collect::<String>()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("server.conf")
    }

    fn start(&mut self) {
        self.running = Some(Server::start_from_file(&self.program, &self.file(), self.port).unwrap());
    }

    fn server(&self) -> &Server {
        self.running.as_ref().expect("it runs")
    }

    fn client(&self) -> Client {
        self.server().connect().unwrap()
    }

    fn say(&self, line: &str) -> String {
        text(&mut self.client(), line)
    }

    fn info(&self, field: &str) -> String {
        info(&mut self.client()).get(field).cloned().unwrap_or_default()
    }

    fn stat(&self, field: &str) -> u64 {
        section(&mut self.client(), "stats")[field].parse().unwrap()
    }

    /// SIGTERM.
    fn stop(&mut self) {
        self.running.take().expect("it runs").stop().unwrap();
    }

    /// SIGKILL.
    fn kill(&mut self) {
        self.running.take().expect("it runs").kill().unwrap();
    }

    fn follow(&self, primary: &Node) {
        assert_eq!(self.say(&format!("REPLICAOF 127.0.0.1 {}", primary.port)), "OK");
    }

    #[track_caller]
    fn until_up(&self) {
        until_up(self.server());
    }

    fn log_says(&self, words: &str) -> bool {
        self.server().log().contains(words)
    }
}

#[track_caller]
fn assert_alike(nodes: &[&Node]) {
    for pair in nodes.windows(2) {
        assert_same(pair[0].server(), pair[1].server());
    }
}

#[test]
fn the_story_holds() {
    let Some(subject) = subject() else { return };
    let (mut first, mut second, mut third) =
        (Node::new(&subject, &[]), Node::new(&subject, &[]), Node::new(&subject, &[]));

    // 1. Two servers, both primaries.
    first.start();
    second.start();
    for node in [&first, &second] {
        assert_eq!((node.info("role"), node.info("connected_slaves")), ("master".into(), "0".into()));
    }
    fill(first.server());

    // 2. One follows the other.
    second.follow(&first);
    second.until_up();
    assert_eq!(second.info("role"), "slave");
    assert_eq!((second.info("master_host"), second.info("master_port")), ("127.0.0.1".into(), first.port.to_string()));
    let listed = format!("ip=127.0.0.1,port={},state=online,offset=", second.port);
    until("the primary lists it", || first.info("slave0").starts_with(&listed));

    // 3. The copy is complete, writes appear, offsets are equal, and a cut is made good by the difference.
    assert_eq!(first.say("SET after copy"), "OK");
    assert_alike(&[&first, &second]);
    assert_eq!(second.say("GET after"), "copy");
    let (full, partial) = (first.stat("sync_full"), first.stat("sync_partial_ok"));
    assert_eq!(second.say("CLIENT KILL TYPE master"), "1");
    assert_eq!(first.say("SET after cut"), "OK");
    until("an incremental copy", || first.stat("sync_partial_ok") > partial);
    second.until_up();
    assert_alike(&[&first, &second]);
    assert_eq!(first.stat("sync_full"), full);

    // 4. A replica takes no writes.
    assert_eq!(second.say("SET a 1"), "-READONLY You can't write against a read only replica.");

    // 5. Promotion.
    assert_eq!(second.say("REPLICAOF NO ONE"), "OK");
    assert_eq!((second.info("role"), second.say("GET after")), ("master".into(), "cut".into()));
    assert_eq!(second.say("SET own 1"), "OK");

    // 6. A third joins with data of its own, and gets everything.
    third.start();
    assert_eq!(third.say("SET old data"), "OK");
    third.follow(&first);
    third.until_up();
    assert_eq!(first.say("SET third 1"), "OK");
    assert_alike(&[&first, &third]);
    assert_eq!(third.say("EXISTS old"), "0");

    // 7. The same from configuration files, in any order, under the old name too.
    let lines = [format!("replicaof 127.0.0.1 {}", first.port), format!("slaveof 127.0.0.1 {}", first.port)];
    second.configure(&[&lines[0]]);
    third.configure(&[&lines[1], "slave-read-only yes", "slave-priority 50"]);
    for order in [[2, 0, 1], [1, 2, 0], [0, 1, 2]] {
        for node in [&mut third, &mut first, &mut second] {
            node.stop();
        }
        for index in order {
            [&mut first, &mut second, &mut third][index].start();
        }
        second.until_up();
        third.until_up();
        assert_eq!(first.say(&format!("SET order {}", order[0])), "OK");
        assert_alike(&[&first, &second]);
        assert_alike(&[&first, &third]);
        assert_eq!(third.say("GET text"), "hello");
    }
    assert_eq!(third.info("slave_priority"), "50");

    // 8. The primary dies and comes back.
    first.stop();
    until("the replica notices", || second.info("master_link_status") == "down");
    assert_eq!(second.say("GET text"), "hello");
    let refused =
        |node: &Node| node.server().log().matches("Error condition on socket for SYNC: Connection refused").count();
    let before = refused(&second);
    thread::sleep(Duration::from_secs(3));
    let attempts = refused(&second) - before;
    assert!((2..=4).contains(&attempts), "{attempts} attempts in 3 seconds");
    first.start();
    second.until_up();
    third.until_up();
    assert_alike(&[&first, &second]);

    // 9. A chain: the same ids and offsets everywhere.
    third.follow(&second);
    third.until_up();
    assert_eq!(first.say("SET down chain"), "OK");
    assert_alike(&[&first, &second, &third]);
    assert_eq!(first.info("master_replid"), third.info("master_replid"));
    // The middle ends in peace and comes back from its file; the end goes on with it, without a copy.
    let full = second.stat("sync_full");
    assert!(full <= 1);
    second.stop();
    until("the end notices", || third.info("master_link_status") == "down");
    assert_eq!(first.say("SET while away"), "OK");
    second.start();
    second.until_up();
    third.until_up();
    assert_alike(&[&first, &second, &third]);
    assert_eq!(third.say("GET while"), "away");
    assert!(second.log_says("Trying a partial resynchronization"), "{}", second.server().log());
    assert_eq!(second.stat("sync_full"), 0, "{}\n{}", second.server().log(), third.server().log());
    // It ends in war: a full copy, and nothing hangs.
    first.say("SET before war");
    assert_alike(&[&first, &second, &third]);
    second.kill();
    first.say("SET during war");
    second.start();
    second.until_up();
    third.until_up();
    assert_alike(&[&first, &second, &third]);
}
