//! What a server says of its commands: COMMAND INFO (arity, flags, key positions, ACL categories, tips) and COMMAND
//! DOCS (the argument tree), in a form that two servers' can be compared line by line.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use resp_parser::Reply;

use crate::client::Client;
use crate::reply::{field, integer, items, name, pairs, text};

/// The facts about one command or subcommand, each as a text; equal texts are equal facts.
pub type Facts = BTreeMap<&'static str, String>;

/// All commands, by name in capitals, subcommands behind a space.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Surface {
    /// The facts about each.
    pub commands: BTreeMap<String, Facts>,
}

impl Surface {
    /// Reads it. Modules' commands are left out.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn read(client: &mut Client) -> io::Result<Self> {
        let mut surface = Self::default();
        for info in items(&client.call(&["COMMAND"])?) {
            surface.add_info(info);
        }
        for (name, doc) in pairs(&client.call(&["COMMAND", "DOCS"])?) {
            surface.add_doc(&upper(name), doc);
        }
        Ok(surface)
    }

    /// The names that `other` has and this one has not.
    #[must_use]
    pub fn lacking(&self, other: &Self) -> BTreeSet<String> {
        other.commands.keys().filter(|name| !self.commands.contains_key(*name)).cloned().collect()
    }

    /// One line for each fact that differs, for the commands that both have.
    #[must_use]
    pub fn differences(&self, subject: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (command, reference) in &self.commands {
            let Some(ours) = subject.commands.get(command) else { continue };
            let facts: BTreeSet<&&str> = reference.keys().chain(ours.keys()).collect();
            for fact in facts {
                let none = String::from("(none)");
                let (theirs, ours) = (reference.get(*fact).unwrap_or(&none), ours.get(*fact).unwrap_or(&none));
                if theirs != ours {
                    lines.push(format!("{command}: {fact}\n    reference: {theirs}\n    ours:      {ours}"));
                }
            }
        }
        lines
    }

    fn add_info(&mut self, info: &Reply) {
        let parts = items(info);
        let part = |index: usize| parts.get(index).unwrap_or(&Reply::Null);
        let flags = sorted(part(2));
        if flags.split(' ').any(|flag| flag == "module") {
            return;
        }
        let number = |index: usize| integer(part(index)).map(|number| number.to_string()).unwrap_or_default();
        let specs: Vec<String> = items(part(8)).iter().map(key_spec).collect();
        let facts = Facts::from([
            ("arity", number(1)),
            ("flags", flags),
            ("first key, last key, step", [number(3), number(4), number(5)].join(" ")),
            ("ACL categories", sorted(part(6))),
            ("tips", sorted(part(7))),
            ("key specifications", specs.join(" ; ")),
        ]);
        self.commands.insert(upper(part(0)), facts);
        items(part(9)).iter().for_each(|subcommand| self.add_info(subcommand));
    }

    /// The summary and the complexity are prose, which we write in our own words.
    fn add_doc(&mut self, command: &str, doc: &Reply) {
        let Some(facts) = self.commands.get_mut(command) else { return };
        for (fact, key) in [
            ("group", "group"),
            ("since", "since"),
            ("deprecated since", "deprecated_since"),
            ("replaced by", "replaced_by"),
        ] {
            facts.insert(fact, field(doc, key).map(name).unwrap_or_default());
        }
        facts.insert("doc flags", field(doc, "doc_flags").map(sorted).unwrap_or_default());
        facts.insert("arguments", field(doc, "arguments").map(arguments).unwrap_or_default());
        for (name, doc) in field(doc, "subcommands").map(pairs).unwrap_or_default() {
            self.add_doc(&upper(name), doc);
        }
    }
}

fn upper(reply: &Reply) -> String {
    name(reply).to_uppercase().replace('|', " ")
}

fn sorted(reply: &Reply) -> String {
    let mut all: Vec<String> = items(reply).iter().map(name).collect();
    all.sort_unstable();
    all.join(" ")
}

/// A key specification's fields by name, flags sorted; the notes are prose.
fn key_spec(spec: &Reply) -> String {
    let mut parts: Vec<String> = pairs(spec)
        .into_iter()
        .filter(|(key, _)| text(key) != Some(b"notes"))
        .map(|(key, value)| {
            let value = if text(key) == Some(b"flags") { sorted(value) } else { flat(value) };
            format!("{}={value}", name(key))
        })
        .collect();
    parts.sort_unstable();
    parts.join(" ")
}

fn flat(reply: &Reply) -> String {
    match reply {
        Reply::Integer(number) => number.to_string(),
        Reply::Map(_) | Reply::Array(_) => {
            let parts: Vec<String> =
                pairs(reply).into_iter().map(|(key, value)| format!("{}:{}", name(key), flat(value))).collect();
            format!("({})", parts.join(" "))
        }
        other => name(other),
    }
}

/// From this version on arguments are newer than the reference, 8.0.2; those that say so are not compared.
const NEWER: &str = "8.2.0";

/// An argument list on one line: `[NX:pure-token]` and so on, every field that is not prose.
fn arguments(reply: &Reply) -> String {
    let is_newer = |argument: &&Reply| field(argument, "since").map(name).is_some_and(|since| *since >= *NEWER);
    items(reply).iter().filter(|argument| !is_newer(argument)).map(argument).collect::<Vec<_>>().join(" ")
}

fn argument(reply: &Reply) -> String {
    let mut text = pairs(reply)
        .into_iter()
        .filter(|(key, _)| !matches!(crate::reply::text(key), Some(b"summary" | b"arguments" | b"flags")))
        .map(|(key, value)| format!("{}={}", name(key), flat(value)))
        .collect::<Vec<_>>();
    text.sort_unstable();
    if let Some(flags) = field(reply, "flags") {
        text.push(format!("flags={}", sorted(flags)));
    }
    if let Some(inner) = field(reply, "arguments") {
        text.push(arguments(inner));
    }
    format!("{{{}}}", text.join(" "))
}
