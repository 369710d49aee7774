//! The invariants of the design that a machine can read off the manifests and sources.
//!
//! Each rule is a function from the repository's files to a list of complaints. One test runs it over the repository
//! and wants none; beside it stands a planted sample that it has to complain about, so a rule that has gone blind
//! fails as well. The permitted names stand in the constants at the top: to widen one is a design change and should
//! read like one in a diff.

#[path = "tidy/source.rs"]
mod source;

use std::fs;

use source::{Source, has_word, lines_naming, lines_naming_std, repository, root};

/// What each crate may depend on: crates of this workspace, then crates from outside. [`UTILITY_CRATES`] come on top.
const DEPENDENCIES: &[(&str, &[&str], &[&str])] = &[
    (
        "server",
        &["commands", "persistence", "replication", "rdb", "store", "resp-parser"],
        // glob: patterns in `include`. chrono: dates in the log. quanta: a monotonic clock that is cheap to read.
        // libmimalloc-sys: giving memory back. nix: times used, page sizes. rustix: limits, sessions. sd-notify: `supervised systemd`. signal-hook: signals. slab: a worker's connections.
        &[
            "mio",
            "crossbeam",
            "mimalloc",
            "bytes",
            "dashmap",
            "chrono",
            "glob",
            "libmimalloc-sys",
            "nix",
            "quanta",
            "rustix",
            "sd-notify",
            "signal-hook",
            "slab",
        ],
    ),
    // num-bigint: the exact decimal digits of a long double. xxhash-rust: DIGEST.
    ("commands", &["store", "resp-parser", "rdb"], &["bytes", "num-bigint", "xxhash-rust"]),
    // crossbeam: a queue from the thread that splits a file to those that build its entries.
    ("persistence", &["store", "resp-parser", "rdb"], &["bytes", "crossbeam"]),
    // memmap2: segments of the log, apart from the allocator's memory. rustix: a file in the place of a segment's memory.
    ("replication", &["resp-parser"], &["crossbeam", "bytes", "memmap2", "rustix"]),
    // crc-fast: the checksum of a payload.
    ("rdb", &["store"], &["bytes", "crc-fast"]),
    ("store", &[], &["dashmap", "bytes", "crossbeam"]),
    ("resp-parser", &[], &["memchr", "bytes"]),
    // It drives processes and judges them, and is never shipped, so outside crates are free to it.
    ("testkit", &["resp-parser"], &[ANY]),
    (
        "benches",
        &["commands", "persistence", "replication", "rdb", "store", "resp-parser", "server"],
        // mio: a server that does nothing, as the floor. mimalloc: what is timed allocates as in the server.
        &["criterion", "clap", "bytes", "dashmap", "crossbeam", "mimalloc", "mio"],
    ),
];

/// Stands for every crate from outside.
const ANY: &str = "*";

/// Small crates that carry no design: any crate may use them.
const UTILITY_CRATES: &[&str] = &[
    "arc-swap",
    "bitflags",
    "fastrand",
    "foldhash",
    "hashbrown",
    "itoa",
    "libc",
    "lock_api",
    "memchr",
    "parking_lot",
    "ryu",
    "sha1",
    "smallvec",
    "socket2",
    "thiserror",
    "triomphe",
    "tracing",
];

/// What tests may use besides.
const TEST_CRATES: &[&str] = &["testkit", "proptest", "loom", "shuttle", "criterion", "num-bigint", "tempfile"];

/// The only files in which `unsafe` may stand.
const UNSAFE_FILES: &[&str] = &[
    "crates/store/src/table.rs",
    "crates/store/src/entry.rs",
    "crates/store/src/stripe.rs",
    // Its model looks at what the lock protects.
    "crates/store/src/bias.rs",
    "crates/store/src/keyspace.rs",
    "crates/store/src/guard.rs",
    "crates/store/src/database.rs",
    // Its tests implement the unsafe trait of table.rs.
    "crates/store/src/dict.rs",
    "crates/store/src/value/room.rs",
    "crates/store/src/value/thin.rs",
    "crates/replication/src/ring/append.rs",
    "crates/replication/src/ring/directory.rs",
    "crates/replication/src/ring/marks.rs",
    "crates/replication/src/ring/reader.rs",
    "crates/replication/src/ring/segment.rs",
    "crates/replication/src/ring/spill.rs",
    "crates/replication/src/ring/trim.rs",
    "crates/server/src/alloc.rs",
    "crates/server/src/background/policy.rs",
    "crates/server/src/daemon.rs",
    "crates/server/src/promptness.rs",
    "crates/server/src/signals.rs",
];

/// How many lines above an unsafe block its SAFETY line may begin: a block may stand in the middle of a statement.
const SAFETY_LINES_MAX: usize = 8;

/// Names that few files may know: the name, and the files or folders (with a slash at the end) that may.
const CONFINED: &[(&str, &[&str])] = &[
    ("dashmap", &["crates/store/src/stripe.rs", "crates/server/src/registry.rs", "crates/server/src/registry/"]),
    ("DashMap", &["crates/store/src/stripe.rs", "crates/server/src/registry.rs", "crates/server/src/registry/"]),
    ("mio", &["crates/server/src/net.rs", "crates/server/src/net/"]),
    ("mimalloc", &["crates/server/src/alloc.rs"]),
];

/// The one file that reads the clock, and the ways to read it.
const CLOCK_FILE: &str = "crates/server/src/clock.rs";
const CLOCK_READS: &[&str] =
    &["SystemTime::now", "Instant::now", ".elapsed()", "clock_gettime", "gettimeofday", "_rdtsc", "rdtsc"];

/// Crates that drive the others from outside; they wait, and so may look at the clock.
const DRIVERS: &[&str] = &["testkit", "benches"];

/// Crates that never see a socket, a thread or the clock.
const PURE_CRATES: &[&str] = &["commands", "store", "replication"];

/// What a lock is called, for the files that must do without.
const LOCKS: &[&str] = &["Mutex", "RwLock", "ShardedLock", "Condvar", "Once", "parking_lot", "lock_api", "spin"];

/// What may lie at the top, besides names that begin with a dot.
const TOP_LEVEL: &[&str] =
    &["Cargo.toml", "Cargo.lock", "LICENSE", "README.md", "benches", "conf", "crates", "scripts", "target"];

/// Marks of unfinished work.
const PLACEHOLDERS: &[&str] = &["todo!", "unimplemented!", "dbg!", "#[ignore"];

// --- the rules ------------------------------------------------------------------------------------------------------

/// Each crate depends on what the design allows it, and on nothing else.
fn dependencies(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for manifest in files.iter().filter(|file| is_member_manifest(&file.path)) {
        let name = manifest.crate_name();
        let Some((_, ours, outside)) = DEPENDENCIES.iter().find(|(known, ..)| *known == name) else {
            complaints.push(format!("{}: the design knows no crate `{name}`", manifest.path));
            continue;
        };
        for dependency in manifest_dependencies(&manifest.text) {
            let wanted = dependency.name.as_str();
            let is_ours = DEPENDENCIES.iter().any(|(known, ..)| *known == wanted);
            let allowed = if dependency.for_tests && TEST_CRATES.contains(&wanted) {
                true
            } else if is_ours {
                ours.contains(&wanted)
            } else {
                outside.contains(&wanted) || outside.contains(&ANY) || UTILITY_CRATES.contains(&wanted)
            };
            if !allowed {
                complaints.push(format!(
                    "{}:{}: `{name}` may not depend on `{wanted}`; the table DEPENDENCIES of tidy.rs says what it may",
                    manifest.path, dependency.line
                ));
            }
        }
    }
    complaints
}

/// A name that is confined to few files stands in no other.
fn confined_names(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, homes) in CONFINED {
        for file in files.iter().filter(|file| is_shipped(file) && !is_home(&file.path, homes)) {
            for line in lines_naming(&file.code(), name) {
                complaints.push(format!("{}:{line}: `{name}` may be named in {} only", file.path, homes.join(", ")));
            }
        }
    }
    complaints
}

/// `commands`, `store` and `replication` see no socket, no thread, no clock.
fn pure_crates(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| is_shipped(file) && PURE_CRATES.contains(&file.crate_name())) {
        let code = file.shipped_code();
        let mut found: Vec<(usize, &str)> = Vec::new();
        for module in ["net", "thread"] {
            found.extend(lines_naming_std(&code, module).into_iter().map(|line| (line, module)));
        }
        for name in ["Instant", "SystemTime", "mio"] {
            found.extend(lines_naming(&code, name).into_iter().map(|line| (line, name)));
        }
        for (line, name) in found {
            complaints.push(format!(
                "{}:{line}: `{name}` in `{}`, which sees no socket, thread or clock; take it as an argument or through `Host`",
                file.path,
                file.crate_name()
            ));
        }
    }
    complaints
}

/// `store` does not know the protocol, `replication` does not know values.
fn blind_crates(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| is_shipped(file)) {
        let code = file.code();
        let (names, why): (&[&str], &str) = match file.crate_name() {
            "store" => {
                (&["resp_parser", "resp", "resp2", "resp3", "Resp", "Resp2", "Resp3", "RESP"], "never sees RESP")
            }
            "replication" => (&["use store", "store::"], "sees bytes and offsets, never a value"),
            _ => continue,
        };
        for name in names {
            for line in lines_naming(&code, name) {
                complaints.push(format!("{}:{line}: `{name}`, but `{}` {why}", file.path, file.crate_name()));
            }
        }
    }
    complaints
}

/// The clock is read in one file; everywhere else the time is an argument.
fn one_clock(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| is_shipped(file) && file.path != CLOCK_FILE) {
        let code = file.shipped_code();
        for name in CLOCK_READS {
            for line in lines_naming(&code, name) {
                complaints.push(format!("{}:{line}: `{name}` reads the clock; only {CLOCK_FILE} may", file.path));
            }
        }
    }
    complaints
}

/// `unsafe` stands in listed files, and every block says why it is sound.
fn unsafe_code(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let code = file.code();
        let text: Vec<&str> = file.text.lines().collect();
        for line in lines_naming(&code, "unsafe") {
            if !UNSAFE_FILES.contains(&file.path.as_str()) {
                complaints.push(format!("{}:{line}: `unsafe` outside the files of UNSAFE_FILES", file.path));
                continue;
            }
            let from_here: String = code.lines().skip(line - 1).take(2).collect::<Vec<_>>().join(" ");
            let opens_block = from_here.split("unsafe").skip(1).any(|behind| {
                let behind = behind.trim_start();
                behind.starts_with('{') || behind.starts_with("impl")
            });
            let above = &text[line.saturating_sub(SAFETY_LINES_MAX + 1)..line];
            if opens_block && !above.iter().any(|line| line.contains("SAFETY:")) {
                complaints.push(format!("{}:{line}: an unsafe block without a `// SAFETY:` line above it", file.path));
            }
        }
    }
    complaints
}

/// The ring of the log is lock-free, so its files name no lock.
fn lock_free_ring(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    let is_ring = |path: &str| path.starts_with("crates/replication/src/ring");
    for file in files.iter().filter(|file| file.is_rust() && is_ring(&file.path)) {
        let code = file.shipped_code();
        for name in LOCKS {
            for line in lines_naming(&code, name) {
                complaints.push(format!("{}:{line}: `{name}`, but the ring takes no lock", file.path));
            }
        }
    }
    complaints
}

/// The top of the repository holds what the design says.
fn top_level(names: &[String]) -> Vec<String> {
    names
        .iter()
        .filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()))
        .map(|name| format!("{name}: not a name for the top of the repository; permitted: {}", TOP_LEVEL.join(" ")))
        .collect()
}

/// Every crate has a README that says what the crate does not know.
fn crate_readmes(files: &[Source]) -> Vec<String> {
    let states_invariant = |text: &str| {
        text.lines().any(|line| (line.starts_with('#') || line.starts_with("**")) && line.contains("Invariant"))
    };
    let mut complaints = Vec::new();
    for manifest in files.iter().filter(|file| is_member_manifest(&file.path) && file.path.starts_with("crates/")) {
        let path = manifest.path.replace("Cargo.toml", "README.md");
        match files.iter().find(|file| file.path == path) {
            None => complaints.push(format!("{path}: missing; it tells purpose, where to start, and an Invariant")),
            Some(readme) if !states_invariant(&readme.text) => {
                complaints.push(format!("{path}: has no section or paragraph called Invariant"));
            }
            Some(_) => {}
        }
    }
    complaints
}

/// The repository tells nothing about the machine that it was written on.
fn machine_paths(files: &[Source]) -> Vec<String> {
    // Put together here, so that this file does not hold them.
    let paths = [concat!("/", "work"), concat!("/", "root", "/"), concat!("/", "home", "/")];
    // `$dir/root/` or `crates/x/work` are other paths; a path from the top follows none of these.
    let goes_on = |c: char| c.is_alphanumeric() || "_-.})>*]/".contains(c);
    let mut complaints = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            for path in paths {
                let found = line.match_indices(path).any(|(start, _)| {
                    let before = line[..start].chars().next_back();
                    let after = line[start + path.len()..].chars().next();
                    let ends =
                        path.ends_with('/') || !after.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '-');
                    ends && !before.is_some_and(goes_on)
                });
                if found {
                    complaints.push(format!("{}:{}: `{path}` is a path of one machine", file.path, index + 1));
                }
            }
        }
    }
    complaints
}

/// Scripts start strict and can be run. `executable` tells whether a file's mode lets it run.
fn scripts(files: &[Source], executable: impl Fn(&str) -> bool) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        let is_script = file.path.starts_with("scripts/") && file.path.ends_with(".sh") || file.path == ".ci/run";
        // What is only ever sourced begins with a note for shellcheck in the place of `#!`.
        if !is_script || file.text.starts_with("# shellcheck shell=") {
            continue;
        }
        if !file.text.starts_with("#!/usr/bin/env bash\n") {
            complaints.push(format!("{}: does not begin with #!/usr/bin/env bash", file.path));
        }
        if !file.text.lines().any(|line| line == "set -euo pipefail") {
            complaints.push(format!("{}: does not start strict (set -euo pipefail)", file.path));
        }
        if !executable(&file.path) {
            complaints.push(format!("{}: is not executable (git update-index --chmod=+x)", file.path));
        }
    }
    complaints
}

/// Nothing is left for later in the code, and no test is switched off.
fn placeholders(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let code = file.code();
        for name in PLACEHOLDERS {
            for line in lines_naming(&code, name) {
                complaints.push(format!("{}:{line}: `{name}`: what is not done is absent", file.path));
            }
        }
    }
    complaints
}

// --- what the rules share ---------------------------------------------------------------------------------------------

/// Rust code that is built into the server, tests inside its files included.
fn is_shipped(file: &Source) -> bool {
    file.is_rust() && file.path.contains("/src/") && !DRIVERS.contains(&file.crate_name())
}

fn is_home(path: &str, homes: &[&str]) -> bool {
    homes.iter().any(|home| path == *home || home.ends_with('/') && path.starts_with(home))
}

/// `crates/NAME/Cargo.toml` or `benches/Cargo.toml`; a fuzz crate inside one is a workspace of its own.
fn is_member_manifest(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts[..], ["crates", _, "Cargo.toml"] | ["benches", "Cargo.toml"])
}

struct Dependency {
    name: String,
    line: usize,
    for_tests: bool,
}

/// Reads the dependency tables of a manifest. It expects the plain form that this workspace uses: one key a line,
/// or a table for each dependency.
fn manifest_dependencies(text: &str) -> Vec<Dependency> {
    let mut found = Vec::new();
    let (mut in_table, mut for_tests) = (false, false);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            let header = header.trim_end_matches(']');
            for_tests =
                header.contains("dev-dependencies") || header.contains("cfg(loom)") || header.contains("cfg(shuttle)");
            in_table = header.ends_with("dependencies");
            // [dependencies.NAME]
            if let Some((_, name)) = header.split_once("dependencies.") {
                found.push(Dependency { name: name.trim_matches('"').into(), line: index + 1, for_tests });
            }
        } else if in_table
            && !line.starts_with('#')
            && let Some((key, _)) = line.split_once('=')
        {
            let name = key.trim().split('.').next().unwrap_or_default().trim_matches('"');
            found.push(Dependency { name: name.into(), line: index + 1, for_tests });
        }
    }
    found
}

fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{} complaints:\n  {}\n", complaints.len(), complaints.join("\n  "));
}

// --- the repository obeys ---------------------------------------------------------------------------------------------

#[test]
fn crates_depend_on_what_the_design_allows() {
    let files = repository();
    assert!(files.iter().filter(|file| is_member_manifest(&file.path)).count() >= DEPENDENCIES.len());
    assert_none(&dependencies(&files));
}

#[test]
fn names_stay_where_they_belong() {
    assert_none(&confined_names(&repository()));
}

#[test]
fn pure_crates_see_no_socket_thread_or_clock() {
    assert_none(&pure_crates(&repository()));
}

#[test]
fn store_sees_no_protocol_and_replication_no_values() {
    assert_none(&blind_crates(&repository()));
}

#[test]
fn the_clock_is_read_in_one_file() {
    assert_none(&one_clock(&repository()));
}

#[test]
fn unsafe_stands_in_listed_files_with_its_reason() {
    assert_none(&unsafe_code(&repository()));
}

#[test]
fn the_ring_names_no_lock() {
    assert_none(&lock_free_ring(&repository()));
}

#[test]
fn the_top_level_holds_permitted_names() {
    let names: Vec<String> = fs::read_dir(root())
        .expect("the root can be read")
        .map(|entry| entry.expect("entries can be read").file_name().to_string_lossy().into_owned())
        .collect();
    assert_none(&top_level(&names));
}

#[test]
fn every_crate_states_its_invariant() {
    assert_none(&crate_readmes(&repository()));
}

#[test]
fn no_path_of_a_machine_is_mentioned() {
    assert_none(&machine_paths(&repository()));
}

#[test]
fn scripts_start_strict_and_can_be_run() {
    let executable = |path: &str| {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(root().join(path)).is_ok_and(|facts| facts.permissions().mode() & 0o111 == 0o111)
    };
    assert_none(&scripts(&repository(), executable));
}

#[test]
fn nothing_is_left_for_later() {
    assert_none(&placeholders(&repository()));
}

// --- each rule can fail -------------------------------------------------------------------------------------------------

/// Runs `rule` over one planted file: it must complain about `bad` and be content with `good`.
fn planted(rule: impl Fn(&[Source]) -> Vec<String>, path: &str, bad: &str, good: &str) {
    let complaints = rule(&[Source::new(path, bad)]);
    assert_eq!(complaints.len(), 1, "{path}: {bad:?} gave {complaints:?}");
    assert!(complaints[0].starts_with(path), "{complaints:?} does not name {path}");
    let complaints = rule(&[Source::new(path, good)]);
    assert!(complaints.is_empty(), "{path}: {good:?} gave {complaints:?}");
}

#[test]
fn a_forbidden_dependency_is_seen() {
    let check = |path: &str, bad: &str, good: &str| planted(dependencies, path, bad, good);
    let store = "crates/store/Cargo.toml";
    check(store, "[dependencies]\nresp-parser.workspace = true", "[dependencies]\nbytes.workspace = true");
    check(store, "[dependencies]\nmio = \"1\"", "[package]\nmio = \"1\"");
    check(store, "[dependencies.mio]\nversion = \"1\"", "[dependencies.bytes]\nversion = \"1\"");
    check(store, "[target.'cfg(unix)'.dependencies]\nmio = \"1\"", "[target.'cfg(loom)'.dependencies]\nloom = \"1\"");
    check(store, "[dependencies]\nproptest = \"1\"", "[dev-dependencies]\nproptest = \"1\"");
    check(
        "crates/rdb/Cargo.toml",
        "[dependencies]\ntestkit.workspace = true",
        "[dev-dependencies]\ntestkit.workspace = true",
    );
    check("crates/replication/Cargo.toml", "[dependencies]\nstore.workspace = true", "[dependencies]\nitoa = \"1\"");
    check("crates/testkit/Cargo.toml", "[dependencies]\nserver.workspace = true", "[dependencies]\ntempfile = \"3\"");
    check("benches/Cargo.toml", "[dependencies]\ntestkit.workspace = true", "[dependencies]\nserver.workspace = true");
    assert_eq!(dependencies(&[Source::new("crates/extra/Cargo.toml", "")]).len(), 1);
}

#[test]
fn a_name_outside_its_home_is_seen() {
    let check = |path: &str, bad: &str, good: &str| planted(confined_names, path, bad, good);
    check("crates/store/src/keyspace.rs", "use dashmap::Map;", "// dashmap has shards\nlet name = \"dashmap\";");
    check("crates/server/src/clients.rs", "let map = DashMap::new();", "let map = MyDashMaps::new();");
    check("crates/server/src/worker.rs", "use mio::Poll;", "use crate::net::Poll;");
    check("crates/server/src/main.rs", "static A: mimalloc::MiMalloc = X;", "mod alloc;");
    let homes = [
        Source::new("crates/store/src/stripe.rs", "use dashmap::DashMap;"),
        Source::new("crates/server/src/registry.rs", "use dashmap::DashMap;"),
        Source::new("crates/server/src/net/poll.rs", "use mio::Poll;"),
        Source::new("crates/server/src/alloc.rs", "use mimalloc::MiMalloc;"),
    ];
    assert_none(&confined_names(&homes));
}

#[test]
fn a_thread_in_a_pure_crate_is_seen() {
    let check = |path: &str, bad: &str, good: &str| planted(pure_crates, path, bad, good);
    let tests = "fn f() {}\n#[cfg(test)]\nmod tests { use std::thread; }";
    check("crates/store/src/keyspace.rs", "std::thread::spawn(f);", tests);
    check("crates/commands/src/lib.rs", "use std::{fmt, net};", "use std::{fmt, mem};");
    check("crates/commands/src/time.rs", "fn f(now: Instant) {}", "fn f(now: Millis) {}");
    check("crates/replication/src/link.rs", "let t: SystemTime = x;", "//! No Instant here.");
    check("crates/replication/src/link.rs", "use mio::Token;", "");
    assert_none(&pure_crates(&[
        Source::new("crates/server/src/worker.rs", "use std::thread;"),
        Source::new("crates/store/src/table_tests.rs", "use std::thread;"),
        Source::new("crates/store/examples/memory.rs", "use std::time::Instant;"),
    ]));
}

#[test]
fn a_crate_that_sees_too_much_is_seen() {
    let check = |path: &str, bad: &str, good: &str| planted(blind_crates, path, bad, good);
    check("crates/store/src/lib.rs", "use resp_parser::Reply;", "//! never sees RESP\nfn respond() {}");
    check("crates/store/src/lib.rs", "fn f(version: Resp3) {}", "fn f(version: Respite) {}");
    check("crates/replication/src/lib.rs", "use store;", "word.store(1, Release);");
    check("crates/replication/src/lib.rs", "store::Value::new();", "restore::now();");
}

#[test]
fn a_second_clock_is_seen() {
    let check = |path: &str, bad: &str, good: &str| planted(one_clock, path, bad, good);
    for read in ["SystemTime::now()", "std::time::Instant::now()", "start.elapsed()", "libc::clock_gettime(a, b)"] {
        check("crates/server/src/worker.rs", &format!("let now = {read};"), "let now = clock.now();");
        assert_none(&one_clock(&[
            Source::new(CLOCK_FILE, read),
            Source::new("crates/testkit/src/process.rs", read),
            Source::new("crates/server/tests/start.rs", read),
        ]));
    }
}

#[test]
fn unsafe_in_the_wrong_place_or_without_reason_is_seen() {
    let check = |path: &str, bad: &str, good: &str| planted(unsafe_code, path, bad, good);
    check("crates/commands/src/lib.rs", "unsafe { f() }", "#![forbid(unsafe_code)]\n// unsafe\nlet a = \"unsafe\";");
    check("crates/commands/src/lib.rs", "unsafe fn f() {}", "fn f() {}");
    let listed = UNSAFE_FILES[0];
    check(listed, "unsafe { f() }", "// SAFETY: f is harmless.\nunsafe { f() }");
    check(listed, "unsafe impl Send for A {}", "// SAFETY: A is an integer.\nunsafe impl Send for A {}");
    check(listed, "let a =\n    unsafe\n    { f() };", "// SAFETY: as above.\nlet a =\n    unsafe { f() };");
    let far = "\n".repeat(SAFETY_LINES_MAX + 1);
    check(listed, &format!("// SAFETY: too far.{far}unsafe {{ f() }}"), "type F = unsafe fn(u8);");
}

#[test]
fn a_lock_in_the_ring_is_seen() {
    let check = |path: &str, bad: &str, good: &str| planted(lock_free_ring, path, bad, good);
    let tests = "#[cfg(test)]\nmod tests { use std::sync::Mutex; }";
    check("crates/replication/src/ring.rs", "use std::sync::Mutex;", tests);
    check("crates/replication/src/ring/segment.rs", "let a: RwLock<u8>;", "// no RwLock here");
    check("crates/replication/src/ring_reader.rs", "use parking_lot::*;", "use crossbeam::utils::CachePadded;");
    assert_none(&lock_free_ring(&[Source::new("crates/replication/src/pool.rs", "use std::sync::Mutex;")]));
}

#[test]
fn a_stranger_at_the_top_is_seen() {
    assert_eq!(top_level(&["notes.txt".into(), "src".into()]).len(), 2);
    assert_none(&top_level(&["README.md".into(), ".ci".into(), "crates".into()]));
}

#[test]
fn a_readme_without_invariant_is_seen() {
    let manifest = Source::new("crates/rdb/Cargo.toml", "");
    let with = |text: &str| crate_readmes(&[manifest.clone(), Source::new("crates/rdb/README.md", text)]);
    assert_eq!(crate_readmes(std::slice::from_ref(&manifest)).len(), 1);
    assert_eq!(with("# rdb\nNo Invariant here.").len(), 1);
    assert_none(&with("# rdb\n\n## Invariant\n\nIt opens no file."));
    assert_none(&with("# rdb\n\n**Invariant:** it opens no file."));
}

#[test]
fn a_path_of_a_machine_is_seen() {
    let check = |bad: &str, good: &str| planted(machine_paths, "scripts/x.sh", bad, good);
    check(concat!("cd /", "work"), "cd \"$dir/work\"");
    check(concat!("cd '/", "work/shared'"), "/workers");
    check(concat!("HOME=/", "root/x"), "$staging/root/usr");
    check(concat!("see /", "home/me"), "see $HOME/me");
}

#[test]
fn a_careless_script_is_seen() {
    let good = "#!/usr/bin/env bash\n# Text.\nset -euo pipefail\n";
    let check = |text: &str, executable: bool| scripts(&[Source::new("scripts/x.sh", text)], |_| executable).len();
    assert_eq!(check(good, true), 0);
    assert_eq!(check(good, false), 1);
    assert_eq!(check("#!/usr/bin/env bash\nset -e\n", true), 1);
    assert_eq!(check("set -euo pipefail\n", true), 1);
    assert_eq!(check("# shellcheck shell=bash\nset -E\n", false), 0);
}

#[test]
fn unfinished_work_is_seen() {
    let check = |bad: &str, good: &str| planted(placeholders, "crates/server/src/x.rs", bad, good);
    check("fn f() { todo!() }", "// A todo! in a comment.");
    check("fn f() { unimplemented!(\"x\") }", "fn f() { implemented!() }");
    check("#[ignore = \"slow\"]\n#[test]\nfn f() {}", "#[test]\nfn f() {}");
    assert!(has_word("#[ignore]", PLACEHOLDERS[3]));
}
