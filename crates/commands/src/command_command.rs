//! COMMAND: what the table knows of itself.

mod describe;
mod getkeys;

use crate::call::Call;
use crate::categories;
use crate::effect::Effect;
use crate::error::{Error, Result, SYNTAX};
use crate::glob;
use crate::spec::flag::*;
use crate::spec::{Arg, ArgKind, Flags, Group, Spec};
use crate::table::{self, Command};

fn command(call: &mut Call<'_>) -> Result<Effect> {
    call.out.array(table::commands().count());
    table::commands().for_each(|command| describe::info(command.spec, call.out));
    Ok(Effect::None)
}

fn count(call: &mut Call<'_>) -> Result<Effect> {
    call.out.len(table::commands().count());
    Ok(Effect::None)
}

fn info(call: &mut Call<'_>) -> Result<Effect> {
    if call.args.len() == 2 {
        return command(call);
    }
    call.out.array(call.args.len() - 2);
    for name in call.args.from(2) {
        match named(name) {
            Some(command) => describe::info(command.spec, call.out),
            None => call.out.null(),
        }
    }
    Ok(Effect::None)
}

fn docs(call: &mut Call<'_>) -> Result<Effect> {
    let commands: Vec<Command> = match call.args.len() {
        2 => table::commands().collect(),
        _ => call.args.from(2).filter_map(named).collect(),
    };
    call.out.map(commands.len());
    for command in commands {
        call.out.bulk(command.spec.full_name.as_bytes());
        describe::docs(command.spec, call.out);
    }
    Ok(Effect::None)
}

fn list(call: &mut Call<'_>) -> Result<Effect> {
    let filter = match call.args.len() {
        2 => Filter::None,
        5 if call.args.is(2, "filterby") => Filter::parse(call.arg(3), call.arg(4))?,
        _ => return Err(SYNTAX),
    };
    let names: Vec<&str> =
        table::all().filter(|command| filter.admits(command.spec)).map(|command| command.spec.full_name).collect();
    call.out.bulks(names);
    Ok(Effect::None)
}

/// COMMAND LIST's FILTERBY.
enum Filter<'a> {
    None,
    /// There are no modules, so this admits nothing.
    Module,
    Category(String),
    Pattern(&'a [u8]),
}

impl<'a> Filter<'a> {
    fn parse(kind: &[u8], what: &'a [u8]) -> Result<Self> {
        match kind.to_ascii_lowercase().as_slice() {
            b"module" => Ok(Self::Module),
            b"aclcat" => Ok(Self::Category(format!("@{}", String::from_utf8_lossy(what).to_ascii_lowercase()))),
            b"pattern" => Ok(Self::Pattern(what)),
            _ => Err(SYNTAX),
        }
    }

    fn admits(&self, spec: &Spec) -> bool {
        match self {
            Self::None => true,
            Self::Module => false,
            Self::Category(category) => {
                categories::ALL.contains(&category.as_str()) && categories::belongs(spec, category)
            }
            Self::Pattern(pattern) => glob::matches(pattern, spec.full_name.as_bytes(), true),
        }
    }
}

fn getkeys(call: &mut Call<'_>) -> Result<Effect> {
    let keys = keys_of_tail(call)?;
    call.out.array(keys.len());
    keys.iter().for_each(|key| call.out.bulk(call.args.get(key.at + 2)));
    Ok(Effect::None)
}

fn getkeysandflags(call: &mut Call<'_>) -> Result<Effect> {
    let keys = keys_of_tail(call)?;
    call.out.array(keys.len());
    for key in keys {
        call.out.array(2);
        call.out.bulk(call.args.get(key.at + 2));
        describe::statuses(key.flags.iter().copied(), call.out);
    }
    Ok(Effect::None)
}

/// The keys of the command that the arguments from the third on are.
fn keys_of_tail(call: &Call<'_>) -> Result<Vec<crate::spec::FoundKey>> {
    let args = call.args.tail(2);
    let invalid = || Error::new("ERR Invalid command specified");
    let command = table::lookup(args.get(0)).ok_or_else(invalid)?;
    let command = match args.opt(1) {
        Some(name) if !command.spec.subcommands.is_empty() => table::subcommand(command, name).ok_or_else(invalid)?,
        _ => command,
    };
    let spec = command.spec;
    if !getkeys::may_have_keys(spec) {
        return Err(Error::new("ERR The command has no key arguments"));
    }
    if !spec.arity_fits(args.len()) {
        return Err(Error::new("ERR Invalid number of arguments specified for command"));
    }
    let keys = getkeys::find(spec, args);
    if keys.is_empty() && !spec.flags.contains(Flags::NO_MANDATORY_KEYS) {
        return Err(Error::new("ERR Invalid arguments specified for command"));
    }
    Ok(keys)
}

/// A command by its full name, `container|subcommand` included.
fn named(name: &[u8]) -> Option<Command> {
    let mut parts = name.split(|&byte| byte == b'|');
    let command = table::lookup(parts.next()?)?;
    match (parts.next(), parts.next()) {
        (None, _) => Some(command),
        (Some(sub), None) => table::subcommand(command, sub),
        (Some(_), Some(_)) => None,
    }
}

fn help(call: &mut Call<'_>) -> Result<Effect> {
    crate::help::answer(
        call,
        &[
            "(no subcommand)",
            "    Everything that is known of every command.",
            "COUNT",
            "    The number of commands.",
            "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
            "    The names of all commands, or of some.",
            "INFO [<command-name> ...]",
            "    What clients and proxies need to know of commands; of all if none is named.",
            "DOCS [<command-name> ...]",
            "    What people need to know of commands; of all if none is named.",
            "GETKEYS <full-command>",
            "    The keys in a command with all its arguments.",
            "GETKEYSANDFLAGS <full-command>",
            "    The same, and what happens to each key.",
        ],
    );
    Ok(Effect::None)
}

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[Spec::new("command", -1, LOADING | STALE, Group::Server, command)
    .docs("Tells everything about every command.", "2.8.13", "O(N) where N is the total number of Redis commands")
    .categories(&["@connection"])
    .tips(&["nondeterministic_output_order"])
    .subcommands(&[
        Spec::new("count", 2, LOADING | STALE, Group::Server, count)
            .full_name("command|count")
            .docs("Counts the commands.", "2.8.13", "O(1)")
            .categories(&["@connection"]),
        Spec::new("docs", -2, LOADING | STALE, Group::Server, docs)
            .full_name("command|docs")
            .docs("Documents commands for people.", "7.0.0", "O(N) where N is the number of commands to look up")
            .categories(&["@connection"])
            .tips(&["nondeterministic_output_order"])
            .args(&[Arg::string("command-name").multiple().optional()]),
        Spec::new("getkeys", -3, LOADING | STALE, Group::Server, getkeys)
            .full_name("command|getkeys")
            .docs(
                "Finds the keys in a whole command.",
                "2.8.13",
                "O(N) where N is the number of arguments to the command",
            )
            .categories(&["@connection"])
            .args(&[Arg::string("command"), Arg::string("arg").multiple().optional()]),
        Spec::new("getkeysandflags", -3, LOADING | STALE, Group::Server, getkeysandflags)
            .full_name("command|getkeysandflags")
            .docs(
                "Finds the keys in a whole command, and what happens to them.",
                "7.0.0",
                "O(N) where N is the number of arguments to the command",
            )
            .categories(&["@connection"])
            .args(&[Arg::string("command"), Arg::string("arg").multiple().optional()]),
        Spec::new("help", 2, LOADING | STALE, Group::Server, help)
            .full_name("command|help")
            .docs("Explains the subcommands.", "5.0.0", "O(1)")
            .categories(&["@connection"]),
        Spec::new("info", -2, LOADING | STALE, Group::Server, info)
            .full_name("command|info")
            .docs("Describes commands for clients.", "2.8.13", "O(N) where N is the number of commands to look up")
            .categories(&["@connection"])
            .tips(&["nondeterministic_output_order"])
            .args(&[Arg::string("command-name").multiple().optional()]),
        Spec::new("list", -2, LOADING | STALE, Group::Server, list)
            .full_name("command|list")
            .docs("Lists the commands' names.", "7.0.0", "O(N) where N is the total number of Redis commands")
            .categories(&["@connection"])
            .tips(&["nondeterministic_output_order"])
            .args(&[Arg::one_of(
                "filterby",
                &[
                    Arg::string("module-name").token("MODULE"),
                    Arg::string("category").token("ACLCAT"),
                    Arg::new("pattern", ArgKind::Pattern).token("PATTERN"),
                ],
            )
            .token("FILTERBY")
            .optional()]),
    ])];

#[cfg(test)]
mod tests;
