//! Where we differ from the reference on purpose: one line each, with its reason. Nothing else may differ.

use std::collections::BTreeSet;

use resp_parser::Reply;

use crate::reply::{items, name, pairs, text};
use crate::words::Words;

/// Two replies to one command, and what went before.
pub(super) struct Case<'c> {
    /// The command.
    pub(super) command: &'c Words,
    /// The commands of the sequence that were answered before, with whether the reference accepted them.
    pub(super) before: &'c [(Words, bool)],
    /// What the reference answered.
    pub(super) reference: &'c Reply,
    /// What we answered.
    pub(super) subject: &'c Reply,
}

/// A difference that is wanted.
struct Deliberate {
    /// The first words of the command in capitals; `*` is any.
    command: &'static [&'static str],
    /// Whether this pair of replies is the difference that is meant.
    is_meant: fn(&Case<'_>) -> bool,
    /// Why.
    #[expect(dead_code, reason = "read by people")]
    reason: &'static str,
}

/// The table. Empty is best.
const DELIBERATE: &[Deliberate] = &[
    Deliberate {
        command: &["*", "HELP"],
        is_meant: both_are_help,
        reason: "the texts are ours: people read them, programs do not",
    },
    Deliberate {
        command: &["COMMAND", "LIST"],
        is_meant: both_are_names,
        reason: "the reference lists a module's commands, and we some of later versions; the surface test compares names",
    },
    Deliberate {
        command: &["HELLO"],
        is_meant: same_but_for_modules,
        reason: "the reference is built with a module, and we have none",
    },
    Deliberate {
        command: &["OBJECT", "ENCODING"],
        is_meant: sorted_before,
        reason: "SORT, and even SORT_RO, converts a small sorted set for good; here a read changes nothing",
    },
    Deliberate {
        command: &["OBJECT", "REFCOUNT"],
        is_meant: shared_or_not,
        reason: "whether a small integer is shared depends in the reference on the command that made it; here none is",
    },
];

/// Whether the table holds this difference.
#[must_use]
pub(super) fn covers(case: &Case<'_>) -> bool {
    let is_named = |names: &[&str]| {
        names.iter().enumerate().all(|(index, name)| {
            *name == "*" || case.command.get(index).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
        })
    };
    DELIBERATE.iter().any(|entry| is_named(entry.command) && (entry.is_meant)(case))
}

/// Both are lists of statuses that begin with the line about the same command's subcommands.
fn both_are_help(case: &Case<'_>) -> bool {
    let (theirs, ours) = (items(case.reference), items(case.subject));
    let is_text = |lines: &[Reply]| lines.iter().all(|line| matches!(line, Reply::Simple(_)));
    !ours.is_empty() && ours.first() == theirs.first() && is_text(ours) && is_text(theirs)
}

/// Both are arrays, ours of names that stand there once.
fn both_are_names(case: &Case<'_>) -> bool {
    let (Reply::Array(_), Reply::Array(ours)) = (case.reference, case.subject) else { return false };
    let names: BTreeSet<&[u8]> = ours.iter().filter_map(text).collect();
    names.len() == ours.len()
}

fn same_but_for_modules(case: &Case<'_>) -> bool {
    let rest = |reply| -> Vec<(String, Reply)> {
        let fields = pairs(reply).into_iter().map(|(field, value)| (name(field), value.clone()));
        fields.filter(|(field, _)| field != "id" && field != "modules").collect()
    };
    let modules = pairs(case.subject).into_iter().find(|(field, _)| text(field) == Some(b"modules"));
    std::mem::discriminant(case.reference) == std::mem::discriminant(case.subject)
        && modules.is_some_and(|(_, modules)| *modules == Reply::Array(Vec::new()))
        && rest(case.reference) == rest(case.subject)
}

fn sorted_before(case: &Case<'_>) -> bool {
    // The key may be a copy of the one that was sorted.
    let is_sort = |words: &Words| words[0].to_ascii_uppercase().starts_with(b"SORT");
    text(case.reference) == Some(b"skiplist")
        && text(case.subject) == Some(b"listpack")
        && case.before.iter().any(|(words, _)| is_sort(words))
}

/// One reference there, and here the number that stands for a shared object.
fn shared_or_not(case: &Case<'_>) -> bool {
    (case.reference, case.subject) == (&Reply::Integer(1), &Reply::Integer(i64::from(i32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::split;

    fn covered(command: &str, before: &str, reference: &Reply, subject: &Reply) -> bool {
        let words = |line: &str| split(line.as_bytes()).expect("words");
        covers(&Case { command: &words(command), before: &[(words(before), true)], reference, subject })
    }

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(text.into())
    }

    #[test]
    fn only_what_is_meant_is_covered() {
        let help = |lines: &[&str]| Reply::Array(lines.iter().map(|line| Reply::Simple((*line).into())).collect());
        assert!(covered("client help", "PING", &help(&["CLIENT", "a"]), &help(&["CLIENT", "b", "c"])));
        assert!(!covered("CLIENT HELP", "PING", &help(&["CLIENT", "a"]), &help(&["OBJECT", "a"])));
        assert!(!covered("CLIENT HELP", "PING", &help(&["CLIENT", "a"]), &Reply::Array(Vec::new())));
        assert!(!covered("CLIENT ID", "PING", &help(&["CLIENT", "a"]), &help(&["CLIENT", "b"])));
        let (skiplist, listpack) = (bulk("skiplist"), bulk("listpack"));
        assert!(covered("OBJECT ENCODING z", "sort_ro z", &skiplist, &listpack));
        assert!(!covered("OBJECT ENCODING z", "ZADD z 1 a", &skiplist, &listpack));
        assert!(!covered("OBJECT ENCODING z", "SORT z", &listpack, &skiplist));
    }

    #[test]
    fn names_stand_once() {
        let names = |names: &[&str]| Reply::Array(names.iter().map(|name| bulk(name)).collect());
        assert!(covered("COMMAND LIST", "PING", &names(&["get", "vadd"]), &names(&["get"])));
        assert!(!covered("COMMAND LIST", "PING", &names(&["get", "vadd"]), &names(&["get", "get"])));
        assert!(!covered("COMMAND LIST", "PING", &names(&["get"]), &Reply::Array(vec![Reply::Integer(1)])));
    }

    #[test]
    fn a_greeting_may_differ_in_its_modules_only() {
        let hello = |version: &str, id: i64, modules: &[&str]| {
            let modules = modules.iter().map(|name| bulk(name)).collect();
            Reply::Array(vec![
                bulk("version"),
                bulk(version),
                bulk("id"),
                Reply::Integer(id),
                bulk("modules"),
                Reply::Array(modules),
            ])
        };
        let reference = hello("8.0.2", 3, &["vectorset"]);
        assert!(covered("HELLO 2", "PING", &reference, &hello("8.0.2", 4, &[])));
        assert!(!covered("HELLO 2", "PING", &reference, &hello("8.0.3", 4, &[])));
        assert!(!covered("HELLO 2", "PING", &reference, &hello("8.0.2", 4, &["ours"])));
    }
}
