//! `conf/brindle.conf` against the table, both ways.

use std::collections::{HashMap, HashSet};

use super::super::{Answer, Kind, ROWS, index_of, keys, row::Effect};
use super::{Scratch, value};

const CONF: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../conf/brindle.conf"));

/// What stands in files but not in the table.
const FILE_ONLY: [&str; 3] = ["include", "rename-command", "user"];

/// A directive of the file.
struct Entry {
    name: &'static str,
    /// Name and value, the `#` in front taken off.
    line: &'static str,
    in_force: bool,
    /// The prose right above the lines it stands with.
    prose: String,
}

fn entries() -> Vec<Entry> {
    let mut entries = Vec::new();
    for block in CONF.split("\n\n") {
        let is_prose = |line: &&str| line.starts_with("# ") || line.starts_with("##") || *line == "#";
        let prose: Vec<_> = block.lines().filter(is_prose).map(|line| line.trim_start_matches(['#', ' '])).collect();
        for line in block.lines().filter(|line| !is_prose(line) && !line.is_empty()) {
            let text = line.trim_start_matches('#');
            let name = text.split(' ').next().unwrap();
            entries.push(Entry { name, line: text, in_force: text == line, prose: prose.join(" ") });
        }
    }
    entries
}

fn rows() -> Vec<Entry> {
    entries().into_iter().filter(|entry| !FILE_ONLY.contains(&entry.name)).collect()
}

#[test]
fn every_directive_stands_there_once_under_its_own_name() {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for entry in rows() {
        let (at, _) = index_of(entry.name.as_bytes()).unwrap_or_else(|| panic!("{} is no directive", entry.name));
        assert_eq!(ROWS[at].name, entry.name, "an alias");
        *counts.entry(entry.name).or_default() += 1;
    }
    for row in ROWS {
        let expected = if matches!(row.kind, Kind::OutputLimits) { 3 } else { 1 };
        assert_eq!(counts.get(row.name), Some(&expected), "{}", row.name);
    }
    let names: HashSet<_> = entries().iter().map(|entry| entry.name).collect();
    assert!(FILE_ONLY.iter().all(|name| names.contains(name)));
}

#[test]
fn every_line_holds_the_default() {
    // The number of cores is no line that a file could state.
    let depends_on_machine = |name: &str| name == ROWS[keys::IO_THREADS.index()].name;
    let scratch = Scratch::new();
    let default = scratch.load(&[]).unwrap().config;
    for entry in rows().iter().filter(|entry| !depends_on_machine(entry.name)) {
        let file = scratch.file("one.conf", entry.line);
        let loaded = scratch.load(&[&file]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(value(&loaded.config, entry.name), value(&default, entry.name), "{}", entry.line);
    }
    let io_threads = rows().into_iter().find(|entry| depends_on_machine(entry.name)).unwrap();
    assert!(!io_threads.in_force);
}

#[test]
fn the_file_starts_a_server_and_changes_nothing() {
    let scratch = Scratch::new();
    let file = scratch.file("brindle.conf", CONF);
    let loaded = scratch.load(&[&file]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let default = scratch.load(&[]).unwrap().config;
    assert_eq!(loaded.config.matching([b"*".as_slice()]), default.matching([b"*".as_slice()]));
}

#[test]
fn the_prose_says_what_the_table_says_of_effects() {
    for entry in rows() {
        let row = &ROWS[index_of(entry.name.as_bytes()).unwrap().0];
        let says = |words: &str| entry.prose.contains(words);
        assert!(!entry.prose.is_empty(), "{} has no prose", row.name);
        let expected = match row.effect {
            Effect::Effective => [false, false, false],
            Effect::Ignored(reason) => {
                assert!(says(reason), "{} does not say: {reason}", row.name);
                [true, false, false]
            }
            Effect::ToCome { at_start: Answer::Refuse, .. } => [false, true, false],
            Effect::ToCome { at_start: Answer::Warn, at_run_time, .. } => {
                assert_eq!(says("CONFIG SET refuses it"), at_run_time == Answer::Refuse, "{}", row.name);
                [false, false, true]
            }
        };
        let said = ["No effect: ", "Still to come (refused): ", "Still to come (warned): "].map(says);
        assert_eq!(said, expected, "{}: {}", row.name, entry.prose);
    }
}

#[test]
fn other_names_are_told() {
    let prose: HashMap<_, _> = rows().into_iter().map(|entry| (entry.name, entry.prose)).collect();
    for row in ROWS {
        let Some(alias) = row.alias else { continue };
        assert!(prose[row.name].contains(alias), "{} is also {alias}", row.name);
    }
}
