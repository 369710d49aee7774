//! Files, standard input and arguments.

use super::super::{StartError, keys};
use super::{Scratch, config, value};

fn refused(arguments: &[&str]) -> String {
    match Scratch::new().load(arguments) {
        Ok(_) => panic!("{arguments:?} are accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_bad_line_is_told_with_its_number_and_the_reason() {
    let scratch = Scratch::new();
    let file = scratch.file("a.conf", "# comment\n\nport 7000\n  hz ten \n");
    let error = scratch.load(&[&file]).err().unwrap().to_string();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        error,
        format!(
            "\n*** FATAL CONFIG FILE ERROR (Brindle {version}) ***\n\
             Reading the configuration file, at line 4\n\
             >>> 'hz ten'\n\
             argument couldn't be parsed into an integer"
        )
    );
}

/// The reasons, as Redis 8.0.2 gives them; `reference.rs` compares more.
#[test]
fn each_reason_is_that_of_redis() {
    let check = |arguments: &[&str], line: &str, reason: &str| {
        let error = refused(arguments);
        assert!(error.ends_with(&format!(">>> '{line}'\n{reason}")), "{arguments:?}: {error}");
    };
    check(&["--invalid"], "invalid", "Bad directive or wrong number of arguments");
    check(&["--port"], "port", "wrong number of arguments");
    check(&["--port", "1", "2"], "port \"1\" \"2\"", "wrong number of arguments");
    check(&["--port", "--bla", "--hz", "2"], "port \"--bla\"", "argument couldn't be parsed into an integer");
    check(&["--port", "65536"], "port \"65536\"", "argument must be between 0 and 65535 inclusive");
    check(&["--daemonize", "maybe"], "daemonize \"maybe\"", "argument must be 'yes' or 'no'");
    check(&["--logfile \"a"], "logfile \"a", "Unbalanced quotes in configuration line");
    check(&["--maxmemory", "1tb"], "maxmemory \"1tb\"", "argument must be a memory value");
    check(&["--maxmemory-clients", "x"], "maxmemory-clients \"x\"", "argument must be a memory or percent value");
    check(&["--unixsocketperm", "9"], "unixsocketperm \"9\"", "argument couldn't be parsed as an octal number");
    check(&["--unixsocketperm", "1000"], "unixsocketperm \"1000\"", "argument must be between 0 and 777 inclusive");
    check(&["--save", "1"], "save \"1\"", "Invalid save parameters");
    check(&["--replicaof", "::1", "abc"], "replicaof \"::1\" \"abc\"", "Invalid master port");
    check(&["--replicaof", "::1"], "replicaof \"::1\"", "wrong number of arguments");
    check(&["--dir", "/nowhere/at/all"], "dir \"/nowhere/at/all\"", "No such file or directory");
    check(
        &["--loglevel", "loud"],
        "loglevel \"loud\"",
        "argument(s) must be one of the following: debug, verbose, notice, warning, nothing",
    );
    check(
        &["--sentinel", "monitor", "x"],
        "sentinel \"monitor\" \"x\"",
        "sentinel directive while not in sentinel mode",
    );
    check(&["--keyspace-stripes", "1000"], "keyspace-stripes \"1000\"", "argument must be a power of two");
    // Redis would wait for a module to claim this one.
    check(&["--invalid", "1"], "invalid \"1\"", "Bad directive or wrong number of arguments");
    check(
        &["--logfile", "/nowhere/x.log"],
        "logfile \"/nowhere/x.log\"",
        "Can't open the log file: No such file or directory",
    );
}

#[test]
fn what_does_not_exist_yet_stops_the_start() {
    let check = |arguments: &[&str], words: &str| {
        let error = refused(arguments);
        assert!(error.contains("FATAL CONFIG FILE ERROR") && error.contains(words), "{arguments:?}: {error}");
    };
    check(&["--tls-port", "6380"], "'tls-port' cannot be set to this: TLS is still to come");
    check(&["--aclfile", "users.acl"], "access control lists are still to come");
    check(&["--user", "default", "on"], "access control lists are still to come");
    check(&["--cluster-enabled", "yes"], "cluster mode is still to come");
    check(&["--loadmodule", "x.so"], "modules are not supported");
    check(&["--sentinel"], "Sentinel mode is still to come");
}

#[test]
fn later_words_win() {
    let scratch = Scratch::new();
    let file = scratch.file("a.conf", "port 1\nhz 11\ntimeout 3");
    let loaded = scratch.load_with(&[&file, "-"], "hz 12\ntimeout 4").unwrap();
    assert_eq!([keys::HZ, keys::TIMEOUT].map(|key| loaded.config.get(key)), [12, 4]);
    let loaded = scratch.load_with(&[&file, "--timeout", "5", "-"], "hz 12\ntimeout 4").unwrap();
    assert_eq!([keys::HZ, keys::TIMEOUT].map(|key| loaded.config.get(key)), [12, 5]);
    assert_eq!(loaded.config.get(keys::PORT), 1);
    assert_eq!(loaded.config.file().unwrap().to_str(), Some(file.as_str()));
}

#[test]
fn save_lines_gather_until_taken_back() {
    let scratch = Scratch::new();
    let file = scratch.file("a.conf", "save 900 1\nsave 300 10 60 100\n");
    let check = |arguments: &[&str], points: &str| {
        let arguments: Vec<_> = [file.as_str()].into_iter().chain(arguments.iter().copied()).collect();
        assert_eq!(value(&scratch.load(&arguments).unwrap().config, "save"), points, "{arguments:?}");
    };
    check(&[], "900 1 300 10 60 100");
    check(&["--save", "5 6"], "900 1 300 10 60 100 5 6");
    check(&["--save", ""], "");
    check(&["--save", "--hz", "2"], "");
    check(&["--hz", "2", "--save"], "");
    check(&["--save", "", "--save", "7", "8"], "7 8");
}

#[test]
fn arguments_of_the_tcl_suite_are_read_as_it_expects() {
    let check = |arguments: &[&str], name: &str, expected: &str| {
        assert_eq!(value(&config(arguments), name), expected, "{arguments:?}");
    };
    check(&["--maxmemory 700mb", "--maxmemory-policy volatile-lru"], "maxmemory", "734003200");
    check(&["--maxmemory '700mb'", "--hz 11"], "hz", "11");
    check(&["--proc-title-template", "--my--title"], "proc-title-template", "--my--title");
    check(&["--proc-title-template", "--save", "--save", ""], "proc-title-template", "--save");
    check(&["--shutdown-on-sigint", "nosave force now"], "shutdown-on-sigint", "nosave now force");
    check(&["--shutdown-on-sigint", "nosave", "force"], "shutdown-on-sigint", "nosave force");
    check(
        &["--hash-max-listpack-entries", "20", "--hash-max-ziplist-entries", "21"],
        "hash-max-listpack-entries",
        "21",
    );
    check(&["--hz", "100000"], "hz", "500");
    check(&["--list-max-ziplist-entries", "3"], "hz", "10");
}

#[test]
fn files_include_files() {
    let scratch = Scratch::new();
    scratch.file("conf.d/20.conf", "timeout 20\nhz 20\n");
    scratch.file("conf.d/10.conf", "timeout 10\n");
    scratch.file("conf.d/.hidden.conf", "timeout 99\n");
    scratch.file("conf.d/nothing.txt", "timeout 98\n");
    let file = scratch.file("a.conf", "include conf.d/*.conf\ninclude empty.d/*\nhz 30\n");
    let config = scratch.load(&[&file]).unwrap().config;
    assert_eq!([keys::HZ, keys::TIMEOUT].map(|key| config.get(key)), [30, 20]);
}

#[test]
fn a_bad_line_of_an_included_file_names_it() {
    let scratch = Scratch::new();
    let inner = scratch.file("inner.conf", "\nhz x\n");
    let outer = scratch.file("a.conf", "include inner.conf\n");
    let Err(StartError::Line { origin, reason }) = scratch.load(&[&outer]) else { panic!("it is accepted") };
    assert_eq!((origin.line, origin.included.as_deref()), (2, Some(std::path::Path::new(&inner))));
    assert_eq!(reason, "argument couldn't be parsed into an integer");
    assert!(origin.to_string().starts_with("Reading the configuration file, at line 2 of /"), "{origin}");
}

#[test]
fn files_that_are_missing_or_include_each_other_stop_the_start() {
    let scratch = Scratch::new();
    let error = scratch.load(&["nowhere.conf"]).err().unwrap().to_string();
    let path = scratch.0.join("nowhere.conf");
    assert_eq!(error, format!("Fatal error, can't open config file '{}': No such file or directory", path.display()));

    let error = scratch.load(&["--include", "nowhere.conf"]).err().unwrap().to_string();
    assert!(error.contains(">>> 'include \"nowhere.conf\"'\nFatal error, can't open config file '/"), "{error}");

    let file = scratch.file("a.conf", "include b.conf\n");
    scratch.file("b.conf", "include a.conf\n");
    let error = scratch.load(&[&file]).err().unwrap().to_string();
    assert!(error.ends_with("files include each other more than 16 deep"), "{error}");
}

#[test]
fn the_directory_counts_from_its_line_on() {
    let scratch = Scratch::new();
    scratch.file("sub/here.conf", "hz 77\n");
    let file = scratch.file("a.conf", "dir sub\ninclude here.conf\nlogfile x.log\n");
    let config = scratch.load(&[&file]).unwrap().config;
    assert_eq!(config.get(keys::HZ), 77);
    assert_eq!(value(&config, "dir"), scratch.0.join("sub").to_str().unwrap());
    assert!(scratch.0.join("sub/x.log").exists());
}

#[test]
fn renamed_commands_are_handed_on_with_their_lines() {
    let loaded = Scratch::new().load(&["--rename-command", "FLUSHALL", "", "--hz", "2"]).unwrap();
    let [rename] = loaded.renames.as_slice() else { panic!("{:?}", loaded.renames) };
    assert_eq!((rename.from.as_slice(), rename.to.as_slice()), (b"FLUSHALL".as_slice(), b"".as_slice()));
    let error = StartError::line(&rename.origin, "No such command in rename-command").to_string();
    assert!(error.ends_with(">>> 'rename-command \"FLUSHALL\" \"\"'\nNo such command in rename-command"), "{error}");
}

/// Its units start servers with these; a refusal would abort the unit. Whoever turns one into a refusal finds out here.
#[test]
fn what_the_tcl_suite_sets_at_the_start_is_warned_of_at_most() {
    let scratch = Scratch::new();
    let file = scratch.file(
        "suite.conf",
        "always-show-logo yes\nnotify-keyspace-events KEA\ndaemonize no\npidfile /var/run/redis.pid\nport 6379\n\
         timeout 0\nbind 127.0.0.1\nloglevel verbose\nlogfile ''\ndatabases 16\nlatency-monitor-threshold 1\n\
         repl-diskless-sync-delay 0\nsave 900 1\nrdbcompression no\ndbfilename dump.rdb\ndir ./\n\
         slave-serve-stale-data yes\nappendonly yes\nappendfsync always\nappendfilename appendonly.aof\n\
         auto-aof-rewrite-percentage 0\naof-use-rdb-preamble no\nno-appendfsync-on-rewrite no\nactiverehashing yes\n\
         enable-protected-configs yes\nenable-debug-command yes\nenable-module-command yes\n\
         propagation-error-behavior panic\nshutdown-on-sigterm force\nunixsocket x.sock\nkey-load-delay 50\n\
         loading-process-events-interval-bytes 1024\nuse-exit-on-panic yes\ncrash-memcheck-enabled no\n\
         rename-command flushdb badger\nrequirepass foobar\nmaxclients 10\nio-threads 2\nprotected-mode no\n",
    );
    let loaded = scratch.load(&[&file]).unwrap_or_else(|error| panic!("{error}"));
    let warned = |name: &str| loaded.warnings.iter().any(|warning| warning.contains(&format!("'{name}'")));
    for name in ["appendonly", "latency-monitor-threshold"] {
        assert!(warned(name), "{name}: {:?}", loaded.warnings);
    }
    for name in [
        "notify-keyspace-events",
        "crash-memcheck-enabled",
        "requirepass",
        "dbfilename",
        "save",
        "key-load-delay",
        "slave-serve-stale-data",
    ] {
        assert!(!warned(name), "{name}: {:?}", loaded.warnings);
    }
}
