//! INFO: which sections are asked for, and those that the commands' own counters and the keyspace fill. The sections
//! about the process come from the host.

mod commandstats;
mod keysizes;
mod keyspace;
mod memory;

use bitflags::bitflags;

use crate::call::Call;
use crate::effect::Effect;
use crate::error::Result;
use crate::spec::flag::*;
use crate::spec::{Arg, Group, Spec};

bitflags! {
    /// INFO's sections, in the order in which they are printed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Section: u32 {
        /// The program, the process and what it listens on.
        const SERVER = 1 << 0;
        /// Connections, and what they wait for.
        const CLIENTS = 1 << 1;
        /// Where the memory goes.
        const MEMORY = 1 << 2;
        /// Loading, snapshots, the append-only file.
        const PERSISTENCE = 1 << 3;
        /// The workers.
        const THREADS = 1 << 4;
        /// Counters.
        const STATS = 1 << 5;
        /// The role, and the history of the data.
        const REPLICATION = 1 << 6;
        /// Time used.
        const CPU = 1 << 7;
        /// There are none.
        const MODULES = 1 << 8;
        /// Calls of each command.
        const COMMANDSTATS = 1 << 9;
        /// Error replies by code.
        const ERRORSTATS = 1 << 10;
        /// How long each command took, by percentiles.
        const LATENCYSTATS = 1 << 11;
        /// Whether this is a node of a cluster.
        const CLUSTER = 1 << 12;
        /// Keys in each database.
        const KEYSPACE = 1 << 13;
        /// Values of each size in each database.
        const KEYSIZES = 1 << 14;
        /// What only tests look at; printed when it is named, and only then.
        const DEBUG = 1 << 15;
    }
}

impl Section {
    /// What INFO without arguments prints.
    const DEFAULT: Self = Self::SERVER
        .union(Self::CLIENTS)
        .union(Self::MEMORY)
        .union(Self::PERSISTENCE)
        .union(Self::THREADS)
        .union(Self::STATS)
        .union(Self::REPLICATION)
        .union(Self::CPU)
        .union(Self::MODULES)
        .union(Self::ERRORSTATS)
        .union(Self::CLUSTER)
        .union(Self::KEYSPACE)
        .union(Self::KEYSIZES);
    /// What `all` and `everything` print: these differ only in what modules would add.
    const ALL: Self = Self::DEFAULT.union(Self::COMMANDSTATS).union(Self::LATENCYSTATS);

    /// The sections that an argument names, in any case; none if it names nothing.
    fn named(name: &[u8]) -> Self {
        match name.to_ascii_lowercase().as_slice() {
            b"default" => Self::DEFAULT,
            b"all" | b"everything" => Self::ALL,
            b"server" => Self::SERVER,
            b"clients" => Self::CLIENTS,
            b"memory" => Self::MEMORY,
            b"persistence" => Self::PERSISTENCE,
            b"threads" => Self::THREADS,
            b"stats" => Self::STATS,
            b"replication" => Self::REPLICATION,
            b"cpu" => Self::CPU,
            b"modules" | b"module_list" => Self::MODULES,
            b"commandstats" => Self::COMMANDSTATS,
            b"errorstats" => Self::ERRORSTATS,
            b"latencystats" => Self::LATENCYSTATS,
            b"cluster" => Self::CLUSTER,
            b"keyspace" => Self::KEYSPACE,
            b"keysizes" => Self::KEYSIZES,
            b"debug" => Self::DEBUG,
            _ => Self::empty(),
        }
    }
}

/// Appends lines to a text, each ended by CRLF: a format string and its arguments a line.
#[macro_export]
macro_rules! info_lines {
    ($out:expr; $($format:literal $(, $value:expr)*;)*) => {{
        use std::fmt::Write;
        let out: &mut String = $out;
        // Writing to a string does not fail.
        $(
            let _ = write!(out, $format $(, $value)*);
            out.push_str("\r\n");
        )*
    }};
}

fn info(call: &mut Call<'_>) -> Result<Effect> {
    let sections = match call.args.len() {
        1 => Section::DEFAULT,
        _ => call.args.from(1).map(Section::named).fold(Section::empty(), Section::union),
    };
    let mut text = String::new();
    for section in sections.iter() {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        match section {
            Section::MEMORY => memory::write(call, &mut text),
            Section::COMMANDSTATS => commandstats::commands(call, &mut text),
            Section::ERRORSTATS => commandstats::errors(call, &mut text),
            Section::LATENCYSTATS => commandstats::latencies(call, &mut text),
            Section::KEYSIZES => keysizes::write(call, &mut text),
            Section::KEYSPACE => keyspace::write(call, &mut text),
            section => call.env.host.info(section, &mut text),
        }
    }
    call.out.verbatim("txt", text.as_bytes());
    Ok(Effect::None)
}

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[Spec::new("info", -1, LOADING | STALE | SPANNING, Group::Server, info)
    .docs("Tells how the server is doing.", "1.0.0", "O(1)")
    .categories(&["@dangerous"])
    .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
    .args(&[Arg::string("section").multiple().optional()])];
