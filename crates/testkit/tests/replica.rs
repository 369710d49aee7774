//! Our server as a replica of real Redis and Valkey: first copies, streams, broken links, promotion.

mod replication;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use replication::*;
use testkit::{Proxy, Reply, Server};

#[test]
fn a_first_copy_holds_every_type_however_it_comes() {
    let Some(subject) = subject() else { return };
    for reference in references() {
        for (primary_side, replica_side) in
            [("yes", "disabled"), ("no", "disabled"), ("yes", "swapdb"), ("no", "on-empty-db")]
        {
            let primary = start(&reference, &["--repl-diskless-sync", primary_side]);
            fill(&primary);
            let replica = start(&subject, &["--repl-diskless-load", replica_side]);
            if replica_side != "on-empty-db" {
                // What was there before goes.
                call(&mut replica.connect().unwrap(), "SET old 1");
            }
            follow(&replica, primary.address());
            until_up(&replica);
            assert_same(&primary, &replica);
            let mut client = replica.connect().unwrap();
            assert_eq!(text(&mut client, "EXISTS old"), "0", "{}", reference.name);
            assert_eq!(text(&mut client, "SET a 1"), "-READONLY You can't write against a read only replica.");
            let sent = section(&mut primary.connect().unwrap(), "stats")["sync_full"].clone();
            assert_eq!(sent, "1", "{}", reference.name);
        }
    }
}

#[test]
fn a_stream_under_load_keeps_both_alike_and_transactions_whole() {
    let Some(subject) = subject() else { return };
    for reference in references() {
        let primary = start(&reference, &[]);
        let replica = start(&subject, &["--io-threads", "2"]);
        let goes_on = AtomicBool::new(true);
        thread::scope(|scope| {
            for seed in 1..=4 {
                let goes_on = &goes_on;
                let address = primary.address();
                scope.spawn(move || write(address, seed, || goes_on.load(SeqCst)));
            }
            // Joins while the writers write.
            thread::sleep(Duration::from_millis(300));
            follow(&replica, primary.address());
            until_up(&replica);
            let mut client = replica.connect().unwrap();
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_secs(3) {
                for seed in 1..=4 {
                    call(&mut client, &format!("SELECT {}", database(seed)));
                    let pair = call(&mut client, &format!("MGET pair:a:{seed} pair:b:{seed}"));
                    let Reply::Array(pair) = pair else { panic!("{pair:?}") };
                    assert_eq!(pair[0], pair[1], "a transaction was seen half done");
                }
            }
            goes_on.store(false, SeqCst);
        });
        assert_same(&primary, &replica);
        assert!(!replica.log().contains("CRITICAL"), "{}", replica.log());
    }
}

#[test]
fn a_broken_link_is_gone_on_with() {
    let Some(subject) = subject() else { return };
    for reference in references() {
        let primary = start(&reference, &["--repl-backlog-size", "100mb"]);
        fill(&primary);
        let proxy = Proxy::start(primary.address()).unwrap();
        let replica = start(&subject, &[]);
        follow(&replica, proxy.address());
        until_up(&replica);
        let logs = || format!("{}:\n{}\nreplica:\n{}", reference.name, primary.log(), replica.log());
        assert_eq!(stat(&primary, "sync_full"), 1, "before any cut, {}", logs());
        let goes_on = AtomicBool::new(true);
        let address = primary.address();
        thread::scope(|scope| {
            let writer = scope.spawn(|| write(address, 7, || goes_on.load(SeqCst)));
            for round in 0..4 {
                // In pieces of a few bytes, so that the cut falls inside a command or a transaction.
                proxy.split(if round % 2 == 0 { 101 } else { usize::MAX });
                thread::sleep(Duration::from_millis(300));
                let made = proxy.made();
                proxy.cut();
                until("the link is made anew", || proxy.made() > made);
                until_up(&replica);
            }
            proxy.split(usize::MAX);
            goes_on.store(false, SeqCst);
            assert!(writer.join().unwrap() > 0);
        });
        assert_same(&primary, &replica);
        assert_eq!(stat(&primary, "sync_full"), 1, "{}", logs());
        assert!(stat(&primary, "sync_partial_ok") >= 4, "{}", logs());
    }
}

#[test]
fn clients_can_break_the_link_too() {
    let Some(subject) = subject() else { return };
    let Some(reference) = references().pop() else { return };
    let primary = start(&reference, &[]);
    fill(&primary);
    let replica = start(&subject, &[]);
    follow(&replica, primary.address());
    until_up(&replica);
    let mut client = replica.connect().unwrap();
    assert!(text(&mut client, "CLIENT LIST TYPE master").contains(" flags=M "));
    assert_eq!(text(&mut client, "CLIENT KILL TYPE master"), "1");
    let mut at_primary = primary.connect().unwrap();
    until("the link is made anew", || section(&mut at_primary, "stats")["sync_partial_ok"] == "1");
    until_up(&replica);
    call(&mut at_primary, "SET after kill");
    assert_same(&primary, &replica);
}

#[test]
fn promotion_keeps_the_data_and_the_history() {
    let Some(subject) = subject() else { return };
    for reference in references() {
        let primary = start(&reference, &[]);
        fill(&primary);
        let replica = start(&subject, &[]);
        follow(&replica, primary.address());
        until_up(&replica);
        call(&mut primary.connect().unwrap(), "SET a 1");
        assert_same(&primary, &replica);
        let mut client = replica.connect().unwrap();
        let before = info(&mut client);
        assert_eq!(text(&mut client, "REPLICAOF NO ONE"), "OK");
        let after = info(&mut client);
        assert_eq!(after["role"], "master");
        assert_eq!(after["master_replid2"], before["master_replid"]);
        assert_ne!(after["master_replid"], before["master_replid"]);
        let offset: u64 = before["master_repl_offset"].parse().unwrap();
        assert_eq!(after["second_repl_offset"], (offset + 1).to_string());
        assert_eq!(text(&mut client, "GET a"), "1");
        assert_eq!(text(&mut client, "SET a 2"), "OK");
        // Nothing of the old primary comes any more.
        call(&mut primary.connect().unwrap(), "SET a 3");
        thread::sleep(Duration::from_millis(300));
        assert_eq!(text(&mut client, "GET a"), "2");
    }
}

#[test]
fn another_primary_takes_the_place_of_one_under_load() {
    let Some(subject) = subject() else { return };
    let Some(reference) = references().pop() else { return };
    let primaries = [start(&reference, &[]), start(&reference, &[])];
    fill(&primaries[0]);
    call(&mut primaries[1].connect().unwrap(), "SET only here");
    let replica = start(&subject, &[]);
    let goes_on = AtomicBool::new(true);
    thread::scope(|scope| {
        for primary in &primaries {
            let (address, goes_on) = (primary.address(), &goes_on);
            scope.spawn(move || write(address, 3, || goes_on.load(SeqCst)));
        }
        for round in 0..6 {
            follow(&replica, primaries[round % 2].address());
            if round % 3 != 2 {
                until_up(&replica);
            }
        }
        goes_on.store(false, SeqCst);
    });
    until_up(&replica);
    assert_same(&primaries[1], &replica);
}

#[test]
fn what_has_expired_is_hidden_but_stays_until_the_primary_says_so() {
    let Some(subject) = subject() else { return };
    let Some(reference) = references().pop() else { return };
    let primary = start(&reference, &[]);
    let proxy = Proxy::start(primary.address()).unwrap();
    let replica = start(&subject, &[]);
    follow(&replica, proxy.address());
    until_up(&replica);
    let mut at_primary = primary.connect().unwrap();
    call(&mut at_primary, "SET gone 1 PX 3000");
    call(&mut at_primary, "SET there 1");
    assert_same(&primary, &replica);
    proxy.stall(true);
    thread::sleep(Duration::from_millis(3500));
    let mut client = replica.connect().unwrap();
    assert_eq!(text(&mut client, "GET gone"), "(nil)");
    assert_eq!(text(&mut client, "EXISTS gone"), "0");
    assert_eq!(text(&mut client, "DBSIZE"), "2");
    proxy.stall(false);
    until("the primary's deletion comes", || text(&mut client, "DBSIZE") == "1");
    assert_same(&primary, &replica);
}

#[test]
fn those_who_wait_are_told_that_the_server_is_a_replica_now() {
    let Some(subject) = subject() else { return };
    let Some(reference) = references().pop() else { return };
    let primary = start(&reference, &[]);
    let replica = start(&subject, &[]);
    let mut waiting = replica.connect().unwrap();
    waiting.send(&["BLPOP", "list", "0"]).unwrap();
    until("it waits", || section(&mut replica.connect().unwrap(), "clients")["blocked_clients"] == "1");
    follow(&replica, primary.address());
    let Reply::Error(error) = waiting.receive().unwrap() else { panic!("no error") };
    assert!(error.starts_with(b"UNBLOCKED force unblock from blocking operation, instance state changed"));
    assert!(waiting.call(&["PING"]).is_err(), "the connection is closed");
}

#[test]
fn a_replica_without_its_primary_serves_what_it_has_or_not_as_it_is_told() {
    let Some(subject) = subject() else { return };
    let Some(reference) = references().pop() else { return };
    let primary = start(&reference, &[]);
    fill(&primary);
    let proxy = Proxy::start(primary.address()).unwrap();
    let replica = start(&subject, &[]);
    follow(&replica, proxy.address());
    until_up(&replica);
    proxy.refuse(true);
    proxy.cut();
    until("the link is down", || !is_up(&replica));
    let mut client = replica.connect().unwrap();
    assert_eq!(text(&mut client, "GET text"), "hello");
    assert_eq!(text(&mut client, "CONFIG SET replica-serve-stale-data no"), "OK");
    let down = "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    assert_eq!(text(&mut client, "GET text"), down);
    assert!(info(&mut client)["master_link_down_since_seconds"].parse::<i64>().unwrap() >= 0);
    // A failing attempt a second: none is left out, and there is no storm.
    let failures = || replica.log().matches("MASTER <-> REPLICA sync started").count();
    let before = failures();
    thread::sleep(Duration::from_secs(4));
    let attempts = failures() - before;
    assert!((2..=6).contains(&attempts), "{attempts} attempts in 4 seconds:\n{}", replica.log());
    proxy.refuse(false);
    until("stale no more", || text(&mut client, "GET text") == "hello");
    until_up(&replica);
    assert_same(&primary, &replica);
}

/// The files in a server's folder but for its log, those that are not complete as `temp`.
fn files(server: &Server) -> Vec<String> {
    let names = std::fs::read_dir(server.folder()).unwrap().flatten().map(|file| file.file_name());
    let names = names.map(|name| name.into_string().unwrap()).filter(|name| name != "server.log");
    let mut names: Vec<_> = names.map(|name| if name.starts_with("temp-") { "temp".into() } else { name }).collect();
    names.sort();
    names
}

/// The incident: with others at the same disk, it took seconds until a copy of a megabyte was on it, and the copy was not
/// loaded before.
#[test]
fn a_disk_that_stands_still_keeps_no_replica_from_its_copy() {
    let Some(subject) = subject() else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(slow) = subject.on_a_still_disk(folder.path()).unwrap() else {
        println!("no C compiler, no still disk: skipped");
        return;
    };
    let still = folder.path().join("still");
    for channel in ["yes", "no"] {
        let primary = start(&subject, &["--repl-rdb-channel", channel]);
        fill(&primary);
        std::fs::write(&still, "").unwrap();
        let mut replica =
            start(&slow, &["--repl-diskless-load", "disabled", "--repl-rdb-channel", channel, "--dbfilename", "kept"]);
        std::fs::write(replica.folder().join("kept"), "older").unwrap();
        follow(&replica, primary.address());
        until_up(&replica);
        assert_same(&primary, &replica);
        // Until the copy is safe, what was there is.
        assert_eq!(files(&replica), ["kept", "temp"]);
        assert_eq!(std::fs::read(replica.folder().join("kept")).unwrap(), b"older");
        if channel == "yes" {
            std::fs::remove_file(&still).unwrap();
            until("the copy is in its place", || files(&replica) == ["kept"]);
        } else {
            // The end of the process waits for it.
            replica.connect().unwrap().send(&["SHUTDOWN", "NOSAVE"]).unwrap();
            until("it is about to end", || replica.log().contains("User requested shutdown"));
            std::thread::sleep(Duration::from_millis(300));
            assert!(replica.ended().unwrap().is_none(), "it did not wait:\n{}", replica.log());
            std::fs::remove_file(&still).unwrap();
            until("it ends", || replica.ended().unwrap().is_some());
            assert_eq!(files(&replica), ["kept"]);
        }
        let kept = std::fs::read(replica.folder().join("kept")).unwrap();
        assert!(kept.starts_with(b"REDIS00"), "the copy did not take the place of the older file");
        let again =
            Server::start(&subject, &["--dir", replica.folder().to_str().unwrap(), "--dbfilename", "kept"]).unwrap();
        let (mut ours, mut theirs) = (again.connect().unwrap(), primary.connect().unwrap());
        let size = text(&mut theirs, "DBSIZE");
        until("the copy is loaded again", || text(&mut ours, "DBSIZE") == size);
    }
}

#[test]
fn a_copy_that_cannot_be_kept_is_served_all_the_same() {
    let Some(subject) = subject() else { return };
    let primary = start(&subject, &[]);
    fill(&primary);
    let replica = start(&subject, &["--repl-diskless-load", "disabled", "--dbfilename", "taken"]);
    std::fs::create_dir(replica.folder().join("taken")).unwrap();
    follow(&replica, primary.address());
    until_up(&replica);
    assert_same(&primary, &replica);
    let line = "Failed trying to rename the temp DB into taken in MASTER <-> REPLICA synchronization: Is a directory";
    until("the log tells of it", || replica.log().contains(line));
    until("nothing is left", || files(&replica) == ["taken"]);
    assert_eq!(stat(&primary, "sync_full"), 1);
}

#[test]
fn a_copy_that_is_not_to_be_kept_is_not() {
    let Some(subject) = subject() else { return };
    let primary = start(&subject, &[]);
    fill(&primary);
    let replica = start(&subject, &["--repl-diskless-load", "disabled", "--rdb-del-sync-files", "yes"]);
    follow(&replica, primary.address());
    until_up(&replica);
    assert_same(&primary, &replica);
    until("nothing is left", || files(&replica).is_empty());
    assert!(replica.log().contains("Removing the RDB file obtained from the master"), "{}", replica.log());
}

#[test]
fn a_copy_that_breaks_off_or_is_no_copy_leaves_nothing_behind() {
    let Some(subject) = subject() else { return };
    let Some(reference) = references().pop() else { return };
    let primary = start(&reference, &[]);
    fill(&primary);
    for how in ["disabled", "swapdb"] {
        let proxy = Proxy::start(primary.address()).unwrap();
        let replica = start(&subject, &["--repl-diskless-load", how]);
        let mut client = replica.connect().unwrap();
        call(&mut client, "SET own 1");
        proxy.throttle(100_000);
        proxy.split(2000);
        follow(&replica, proxy.address());
        until("the copy comes", || info(&mut client).get("master_sync_in_progress").map(String::as_str) == Some("1"));
        until("some of it is there", || {
            info(&mut client).get("master_sync_read_bytes").is_some_and(|read| read != "0")
        });
        proxy.refuse(true);
        proxy.cut();
        until("it has ended", || info(&mut client)["master_sync_in_progress"] == "0");
        // In Redis's words, by which its tools know a copy that came to an end too early.
        assert_eq!(replica.log().contains("Internal error in RDB"), how == "swapdb", "{how}:\n{}", replica.log());
        // Neither way has touched the old data yet: the one has not loaded, the other loads beside it.
        assert_eq!(text(&mut client, "DBSIZE"), "1", "{how}:\n{}", replica.log());
        let left = std::fs::read_dir(replica.folder()).unwrap().flatten();
        assert_eq!(left.filter(|file| file.file_name().to_string_lossy().starts_with("temp-")).count(), 0);
        proxy.throttle(0);
        proxy.split(usize::MAX);
        proxy.refuse(false);
        until_up(&replica);
        assert_same(&primary, &replica);
    }
}

#[test]
fn a_chain_of_stock_ours_and_stock_shares_one_history() {
    let Some(subject) = subject() else { return };
    for reference in references() {
        let first = start(&reference, &["--repl-backlog-size", "100mb", "--repl-ping-replica-period", "3600"]);
        fill(&first);
        let middle = start(&subject, &["--repl-backlog-size", "100mb"]);
        let last = start(&reference, &[]);
        let (upper, lower) = (Proxy::start(first.address()).unwrap(), Proxy::start(middle.address()).unwrap());
        follow(&middle, upper.address());
        until_up(&middle);
        follow(&last, lower.address());
        until_up(&last);
        let goes_on = AtomicBool::new(true);
        thread::scope(|scope| {
            for seed in 1..=2 {
                let (address, goes_on) = (first.address(), &goes_on);
                scope.spawn(move || write(address, seed, || goes_on.load(SeqCst)));
            }
            for round in 0..4 {
                thread::sleep(Duration::from_millis(300));
                // Each link breaks in turn, and what passes is cut anywhere.
                let (proxy, replica) = if round % 2 == 0 { (&upper, &middle) } else { (&lower, &last) };
                proxy.split(101);
                thread::sleep(Duration::from_millis(100));
                let made = proxy.made();
                proxy.cut();
                proxy.split(usize::MAX);
                until("the link is made anew", || proxy.made() > made);
                until_up(replica);
            }
            goes_on.store(false, SeqCst);
        });
        assert_same(&first, &middle);
        assert_same(&middle, &last);
        let ids = [&first, &middle, &last].map(|server| info(&mut server.connect().unwrap())["master_replid"].clone());
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        for (server, name) in [(&first, "the first"), (&middle, "the middle")] {
            let stats = section(&mut server.connect().unwrap(), "stats");
            assert_eq!(stats["sync_full"], "1", "{name} before {}:\n{}", reference.name, middle.log());
            assert_eq!(stats["sync_partial_ok"], "2", "{name} before {}", reference.name);
        }
        // Not even an expired key changes the first from here on, nor a PING its offset.
        assert_eq!(text(&mut first.connect().unwrap(), "CLIENT PAUSE 60000 WRITE"), "OK");
        assert_same(&first, &middle);
        // The middle is promoted, and the end goes on with it under the second id.
        assert_eq!(text(&mut middle.connect().unwrap(), "REPLICAOF NO ONE"), "OK");
        until("the end goes on", || section(&mut middle.connect().unwrap(), "stats")["sync_partial_ok"] == "3");
        until_up(&last);
        assert_eq!(text(&mut middle.connect().unwrap(), "SET promoted 1"), "OK");
        assert_same(&middle, &last);
        // The old primary comes below the new one. It has nothing that the other has not, so it goes on as well.
        follow(&first, middle.address());
        assert_eq!(text(&mut first.connect().unwrap(), "CLIENT UNPAUSE"), "OK");
        until_up(&first);
        assert_same(&middle, &first);
        assert_eq!(section(&mut middle.connect().unwrap(), "stats")["sync_full"], "1", "{}", first.log());
    }
}

#[test]
fn a_replica_without_a_folder_for_the_copy_says_so_and_tries_again() {
    let Some(subject) = subject() else { return };
    let primary = start(&subject, &[]);
    fill(&primary);
    let replica = start(&subject, &["--enable-protected-configs", "yes"]);
    let folder = tempfile::tempdir().unwrap();
    let mut client = replica.connect().unwrap();
    assert_eq!(text(&mut client, &format!("CONFIG SET dir {}", folder.path().display())), "OK");
    drop(folder);
    follow(&replica, primary.address());
    let line = "Opening the temp file needed for MASTER <-> REPLICA synchronization: No such file or directory";
    until("it tells of the file", || replica.log().matches(line).count() >= 2);
    call(&mut client, "CONFIG SET repl-diskless-load swapdb");
    until_up(&replica);
    assert_same(&primary, &replica);
}

#[test]
fn what_clients_write_to_a_replica_expires_there() {
    let Some(subject) = subject() else { return };
    let Some(reference) = references().pop() else { return };
    let primary = start(&reference, &[]);
    let replica = start(&subject, &["--replica-read-only", "no"]);
    follow(&replica, primary.address());
    until_up(&replica);
    let mut client = replica.connect().unwrap();
    call(&mut primary.connect().unwrap(), "SET theirs 1 PX 100000");
    until("the primary's key is there", || text(&mut client, "DBSIZE") == "1");
    assert_eq!(text(&mut client, "SET ours 1 PX 300"), "OK");
    assert_eq!(text(&mut client, "SET stays 1"), "OK");
    until("it looks after one", || section(&mut client, "stats")["slave_expires_tracked_keys"] == "1");
    until("it goes by itself", || text(&mut client, "DBSIZE") == "2");
    until("it looks after none", || section(&mut client, "stats")["slave_expires_tracked_keys"] == "0");
    assert_eq!(text(&mut client, "EXISTS theirs stays"), "2");
}
