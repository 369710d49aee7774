//! A grammar of commands, read at run time from a server's own COMMAND DOCS, and random commands made from it.
//!
//! It is read from the *reference*, never from the server under test: an option that is missing from our table is
//! tried all the same. COMMAND DOCS says how arguments follow each other but not what makes a command succeed, so
//! `pools.rs` holds values that meet each other (keys by type, members, ids), and `repair.rs` the combinations that
//! the docs cannot express.

mod generate;
mod pools;
mod repair;

use std::collections::BTreeMap;
use std::io;

use resp_parser::Reply;

use crate::client::Client;
use crate::reply::{field, items, name, pairs};

pub use generate::{Generator, seeds_of_family};

/// What an argument stands for, as COMMAND DOCS names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A key's name.
    Key,
    /// Any text.
    String,
    /// A 64-bit integer.
    Integer,
    /// A floating-point number.
    Double,
    /// A glob-style pattern.
    Pattern,
    /// Seconds or milliseconds since 1970.
    UnixTime,
    /// Only the token itself.
    PureToken,
    /// Exactly one of the arguments below it.
    OneOf,
    /// All arguments below it, in order.
    Block,
}

/// A node of the argument tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name in the docs: `key`, `seconds`, ...
    pub name: String,
    /// What stands in its place.
    pub kind: Kind,
    /// A word that precedes it.
    pub token: Option<String>,
    /// It may be left out.
    pub optional: bool,
    /// It may be repeated.
    pub multiple: bool,
    /// The token is repeated with it.
    pub multiple_token: bool,
    /// The nodes below a `OneOf` or a `Block`.
    pub arguments: Vec<Argument>,
}

/// A command, or a subcommand of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// In capitals, with the subcommand behind a space: `XGROUP CREATE`.
    pub name: String,
    /// Its group in the docs: `string`, `sorted-set`, ...
    pub group: String,
    /// What follows the name.
    pub arguments: Vec<Argument>,
}

/// All commands that a server documents, its modules' left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grammar {
    /// By name.
    pub commands: BTreeMap<String, Command>,
}

impl Grammar {
    /// Reads it from `client`, in either protocol. Containers (CLIENT, XGROUP ...) appear by their subcommands only.
    ///
    /// # Errors
    /// Those of the connection, and an answer that is not of COMMAND DOCS' shape.
    pub fn read(client: &mut Client) -> io::Result<Self> {
        let docs = client.call(&["COMMAND", "DOCS"])?;
        let mut grammar = Self::default();
        for (name, doc) in pairs(&docs) {
            grammar.add(&reply_name(name), doc)?;
        }
        Ok(grammar)
    }

    fn add(&mut self, command: &str, doc: &Reply) -> io::Result<()> {
        let group = field(doc, "group").map(name).unwrap_or_default();
        if group == "module" {
            return Ok(());
        }
        if let Some(subcommands) = field(doc, "subcommands") {
            for (name, doc) in pairs(subcommands) {
                self.add(&reply_name(name), doc)?;
            }
            return Ok(());
        }
        let arguments = field(doc, "arguments").map(arguments).transpose()?.unwrap_or_default();
        let entry = Command { name: command.to_owned(), group, arguments };
        self.commands.insert(command.to_owned(), entry);
        Ok(())
    }

    /// The commands of one group, by name.
    pub fn group<'g>(&'g self, group: &'g str) -> impl Iterator<Item = &'g Command> {
        self.commands.values().filter(move |command| command.group == group)
    }
}

/// `xgroup|create` as `XGROUP CREATE`.
fn reply_name(reply: &Reply) -> String {
    name(reply).to_uppercase().replace('|', " ")
}

fn arguments(reply: &Reply) -> io::Result<Vec<Argument>> {
    items(reply).iter().map(argument).collect()
}

fn argument(reply: &Reply) -> io::Result<Argument> {
    let text = |key| field(reply, key).map(name);
    let kind = match text("type").unwrap_or_default().as_str() {
        "key" => Kind::Key,
        "string" => Kind::String,
        "integer" => Kind::Integer,
        "double" => Kind::Double,
        "pattern" => Kind::Pattern,
        "unix-time" => Kind::UnixTime,
        "pure-token" => Kind::PureToken,
        "oneof" => Kind::OneOf,
        "block" => Kind::Block,
        other => return Err(io::Error::other(format!("COMMAND DOCS has an argument of type {other:?}"))),
    };
    let flags: Vec<String> =
        field(reply, "flags").map(|flags| items(flags).iter().map(name).collect()).unwrap_or_default();
    let flag = |wanted: &str| flags.iter().any(|flag| flag == wanted);
    Ok(Argument {
        name: text("name").unwrap_or_default(),
        kind,
        token: text("token"),
        optional: flag("optional"),
        multiple: flag("multiple"),
        multiple_token: flag("multiple_token"),
        arguments: field(reply, "arguments").map(arguments).transpose()?.unwrap_or_default(),
    })
}
