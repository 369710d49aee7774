//! CONFIG GET and CONFIG SET.

use super::super::{Asker, SetError, keys};
use super::{Scratch, config, paired, set, set_by, value};

#[test]
fn a_failed_set_says_why_in_redis_words() {
    let config = config(&[]);
    let check = |pairs: &[&str], expected: &str| assert_eq!(set(&config, pairs), expected, "{pairs:?}");
    check(&["nope", "1"], "ERR Unknown option or number of arguments for CONFIG SET - 'nope'");
    check(&["port", "x", "nope", "1"], "ERR Unknown option or number of arguments for CONFIG SET - 'nope'");
    let failed =
        |name: &str, reason: &str| format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}");
    check(&["DAEMONIZE", "yes"], &failed("DAEMONIZE", "can't set immutable config"));
    check(&["dir", "/"], &failed("dir", "can't set protected config"));
    check(&["hz", "1", "HZ", "2"], &failed("HZ", "duplicate parameter"));
    check(&["HZ", "x"], &failed("hz", "argument couldn't be parsed into an integer"));
    check(&["slave-priority", "x"], &failed("slave-priority", "argument couldn't be parsed into an integer"));
    check(
        &["active-expire-effort", "11"],
        &failed("active-expire-effort", "argument must be between 1 and 10 inclusive"),
    );
    check(&["maxclients", "0"], &failed("maxclients", "argument must be between 1 and 4294967295 inclusive"));
    check(&["save", "1 2  3 4"], &failed("save", "Invalid save parameters"));
    check(&["keyspace-stripes", "1024"], &failed("keyspace-stripes", "can't set immutable config"));
}

#[test]
fn all_pairs_are_set_or_none() {
    let config = config(&[]);
    assert_eq!(
        set(&config, &["maxmemory", "1gb", "maxmemory-clients", "200%"]).split(" - ").last(),
        Some("percentage argument must be less or equal to 100")
    );
    assert_eq!(value(&config, "maxmemory"), "0");
    assert_eq!(set(&config, &["maxmemory", "1gb", "hz", "20"]), "OK");
    assert_eq!((config.get(keys::MAXMEMORY), config.get(keys::HZ)), (1 << 30, 20));
}

#[test]
fn a_failing_hook_brings_the_old_values_back() {
    let scratch = Scratch::new();
    scratch.file("sub/x", "");
    let config = scratch.load(&["--enable-protected-configs", "yes"]).unwrap().config;
    let mut seen = Vec::new();
    let pairs = ["dir", "sub", "maxmemory", "1gb", "port", "7777", "hz", "20"];
    let outcome = config.set(&paired(&pairs), Asker::default(), &mut |row, new| {
        let printed = String::from_utf8(row.kind.print(new)).unwrap();
        // A hook sees what it is to bring into effect.
        assert_eq!(value(&config, row.name), printed);
        seen.push(format!("{} {printed}", row.name));
        if printed == "7777" { Err("Unable to listen on this port. Check server logs.".into()) } else { Ok(()) }
    });
    let error = outcome.unwrap_err().to_string();
    assert_eq!(
        error,
        "CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs."
    );
    let here = scratch.0.to_str().unwrap();
    assert_eq!(
        seen,
        [
            &format!("dir {here}/sub"),
            "maxmemory 1073741824",
            "port 7777",
            &format!("dir {here}"),
            "maxmemory 0",
            "port 6379"
        ]
    );
    assert_eq!([value(&config, "maxmemory"), value(&config, "hz"), value(&config, "dir")], ["0", "10", here]);
}

#[test]
fn what_was_noted_meanwhile_outlives_a_failed_change() {
    let config = config(&[]);
    let outcome = config.set(&paired(&["hz", "20"]), Asker::default(), &mut |_, _| {
        config.note_replica_of(Some((b"somewhere", 7000)));
        Err("No.".into())
    });
    assert!(outcome.is_err());
    assert_eq!([value(&config, "hz"), value(&config, "replicaof")], ["10", "somewhere 7000"]);
}

#[test]
fn hooks_hear_only_of_changes() {
    let config = config(&[]);
    let mut heard = Vec::new();
    let pairs =
        ["hz", "10", "timeout", "5", "cluster-replica-validity-factor", "7", "cluster-slave-validity-factor", "8"];
    let outcome = config.set(&paired(&pairs), Asker::default(), &mut |row, _| {
        heard.push(row.name);
        Ok(())
    });
    assert_eq!(outcome.map(|warnings| warnings.len()), Ok(2));
    assert_eq!(heard, ["timeout", "cluster-replica-validity-factor"]);
    assert_eq!(value(&config, "cluster-slave-validity-factor"), "8");
}

#[test]
fn some_directives_ask_who_sets_them_and_when() {
    let local = config(&["--enable-protected-configs", "local"]);
    assert_eq!(set_by(&local, &["dbfilename", "x.rdb"], Asker { local: true, loading: false }), "OK");
    let refused = set_by(&local, &["dbfilename", "y.rdb"], Asker { local: false, loading: false });
    assert!(refused.ends_with("can't set protected config"), "{refused}");
    let loading = Asker { local: true, loading: true };
    assert_eq!(local.set(&paired(&["dir", "/"]), loading, &mut |_, _| Ok(())), Err(SetError::Loading));
    assert_eq!(set_by(&local, &["loglevel", "debug"], loading), "OK");
}

#[test]
fn values_are_printed_as_redis_prints_them() {
    let config = config(&[]);
    let check = |name: &str, text: &str, printed: &str| {
        assert_eq!(set(&config, &[name, text]), "OK", "{name} {text}");
        assert_eq!(value(&config, name), printed, "{name} {text}");
    };
    check("maxmemory", "1Gb", "1073741824");
    check("maxmemory-clients", "5%", "5%");
    check(
        "client-output-buffer-limit",
        "replica 10mb 2k 3",
        "normal 0 0 0 slave 10485760 2000 3 pubsub 33554432 8388608 60",
    );
    check("oom-score-adj", "relative", "yes");
    check("shutdown-on-sigint", "force default save", "save force");
    check("notify-keyspace-events", "mAEK", "AKEm");
    check("notify-keyspace-events", "elK$", "$leK");
    check("latency-tracking-info-percentiles", "50.123456789 99.90 100", "50.123457 99.9 100");
    check("bind", "", "");
    check("hz", "0", "1");
    check("save", "", "");
    check("loglevel", "DEBUG", "debug");
}

#[test]
fn get_finds_by_name_and_pattern() {
    let config = config(&[]);
    let names = |patterns: &[&str]| -> Vec<String> {
        let found = config.matching(patterns.iter().map(|pattern| pattern.as_bytes()));
        found.into_iter().map(|(name, _)| String::from_utf8(name).unwrap()).collect()
    };
    assert_eq!(names(&["MaxMemory", "maxmemory"]), ["MaxMemory"]);
    assert_eq!(
        names(&["maxmemory", "MAXMEMORY*y", "nope", "*of"]),
        ["maxmemory", "maxmemory-policy", "maxmemory-eviction-tenacity", "replicaof", "slaveof"]
    );
    assert_eq!(names(&["key-load-delay"]), ["key-load-delay"]);
    assert_eq!(names(&["key-load-*"]), Vec::<String>::new());
    assert_eq!(names(&["[sr]*-priority"]), ["replica-priority", "slave-priority"]);
}
