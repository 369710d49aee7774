//! All commands, and how one is found by its name.
//!
//! Nearly all names are at most two words of memory long, so a lookup folds them to small letters in two registers and
//! compares numbers, in one line of memory. A map holds the names that are longer.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::spec::{Begin, Find, KeySpec, Spec};

/// The families' tables, in no particular order.
static FAMILIES: &[&[Spec]] = &[
    crate::bitmap::COMMANDS,
    crate::client_commands::COMMANDS,
    crate::command_command::COMMANDS,
    crate::config_command::COMMANDS,
    crate::connection::COMMANDS,
    crate::databases::COMMANDS,
    crate::debug::COMMANDS,
    crate::dump::COMMANDS,
    crate::expire::COMMANDS,
    crate::failover::COMMANDS,
    crate::generic::COMMANDS,
    crate::geo::COMMANDS,
    crate::hash::COMMANDS,
    crate::hyperloglog::COMMANDS,
    crate::info::COMMANDS,
    crate::list::COMMANDS,
    crate::list::blocking::COMMANDS,
    crate::memory::COMMANDS,
    crate::migrate::COMMANDS,
    crate::object::COMMANDS,
    crate::pubsub::COMMANDS,
    crate::replicas::COMMANDS,
    crate::replication::COMMANDS,
    crate::save::COMMANDS,
    crate::server_commands::COMMANDS,
    crate::set::COMMANDS,
    crate::shutdown::COMMANDS,
    crate::sort::COMMANDS,
    crate::stream::COMMANDS,
    crate::string::COMMANDS,
    crate::string::compare::COMMANDS,
    crate::string::msetex::COMMANDS,
    crate::transactions::COMMANDS,
    crate::walk::COMMANDS,
    crate::zset::COMMANDS,
    crate::zset::blocking::COMMANDS,
];

/// A command of the table, or a subcommand: its row and its position, by which statistics are kept.
#[derive(Clone, Copy)]
pub struct Command {
    /// The row.
    pub spec: &'static Spec,
    /// Its position among all commands and subcommands.
    pub index: u16,
    /// Where its first key stands, if that is a fixed place; else 0, where its name is.
    pub(crate) first_key: u8,
    /// Whether this key is its only one.
    pub(crate) is_only_key: bool,
}

impl Command {
    fn new(spec: &'static Spec, index: u16) -> Self {
        let first_key = match spec.keys.first() {
            Some(KeySpec { begin: Begin::Index(at), find: Find::Range { .. }, .. }) => *at as u8,
            _ => 0,
        };
        let one = matches!(spec.keys, [KeySpec { find: Find::Range { last: 0, .. }, .. }]) && spec.planner.is_none();
        Self { spec, index, first_key, is_only_key: one && first_key != 0 }
    }
}

/// The command of a name, in any case; subcommands are found by [`subcommand`].
#[inline]
pub fn lookup(name: &[u8]) -> Option<Command> {
    let table = table();
    let Some(folded) = Folded::new(name) else { return table.long(name) };
    let mut at = folded.hash();
    loop {
        // The number of slots is a power of two.
        let Slot { name, command } = &table.slots[at & (table.slots.len() - 1)];
        if *name == folded {
            return *command;
        }
        (*command)?;
        at += 1;
    }
}

/// A container's subcommand of a name, in any case.
pub fn subcommand(container: Command, name: &[u8]) -> Option<Command> {
    let at = container.spec.subcommands.iter().position(|sub| name.eq_ignore_ascii_case(sub.name.as_bytes()))?;
    // Subcommands follow their container in the numbering.
    Some(Command::new(&container.spec.subcommands[at], container.index + 1 + at as u16))
}

/// All commands, containers before their subcommands, which are not listed.
pub fn commands() -> impl Iterator<Item = Command> {
    table().commands.iter().copied()
}

/// All commands and subcommands by their position.
pub fn all() -> impl Iterator<Item = Command> {
    commands().flat_map(|command| {
        let subs = command.spec.subcommands.iter().zip(command.index + 1..);
        std::iter::once(command).chain(subs.map(|(spec, index)| Command::new(spec, index)))
    })
}

/// The row at a position.
pub fn by_index(index: u16) -> Option<&'static Spec> {
    let commands = &table().commands;
    let at = commands.partition_point(|command| command.index <= index).checked_sub(1)?;
    let command = commands[at];
    match index - command.index {
        0 => Some(command.spec),
        sub => command.spec.subcommands.get(usize::from(sub) - 1),
    }
}

/// Number of commands and subcommands.
pub fn len() -> usize {
    table().len
}

/// Why a command cannot be renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenameError {
    /// There is no command of the old name.
    Unknown,
    /// There is a command of the new name.
    Taken,
}

/// Gives commands other names, one pair of an old name and a new one after the other; an empty new name takes the
/// command away. To be called once, before anybody looks a command up.
///
/// # Errors
/// The position of the first pair that cannot be honoured, and why.
///
/// # Panics
/// When the table is in use already.
pub fn rename(pairs: &[(&[u8], &[u8])]) -> Result<(), (usize, RenameError)> {
    let fresh = TABLE.set(Table::new(renamed(pairs)?)).is_ok();
    assert!(fresh, "commands are renamed before the first of them is looked up");
    Ok(())
}

/// Rows, each with its name in small letters.
type Rows = Vec<(Vec<u8>, &'static Spec)>;

/// All rows under their final names.
fn renamed(pairs: &[(&[u8], &[u8])]) -> Result<Rows, (usize, RenameError)> {
    let rows = FAMILIES.iter().copied().flatten();
    let mut rows: Vec<_> = rows.map(|spec| (spec.name.as_bytes().to_vec(), spec)).collect();
    for (at, &(from, to)) in pairs.iter().enumerate() {
        let find = |name: &[u8]| rows.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
        let from = find(from).ok_or((at, RenameError::Unknown))?;
        if to.is_empty() {
            rows.remove(from);
        } else if find(to).is_some() {
            return Err((at, RenameError::Taken));
        } else {
            rows[from].0 = to.to_ascii_lowercase();
        }
    }
    Ok(rows)
}

struct Table {
    commands: Vec<Command>,
    slots: Vec<Slot>,
    /// The commands whose names do not fit in [`Folded`].
    long: HashMap<Vec<u8>, Command>,
    len: usize,
}

/// A command where its name leads to, or in the next place that was free.
#[derive(Clone, Copy)]
struct Slot {
    name: Folded,
    command: Option<Command>,
}

static TABLE: OnceLock<Table> = OnceLock::new();

#[inline]
fn table() -> &'static Table {
    TABLE.get_or_init(|| Table::new(renamed(&[]).expect("nothing is renamed")))
}

impl Table {
    fn new(rows: Rows) -> Self {
        let mut slots = vec![Slot { name: Folded::NONE, command: None }; (rows.len() * 4).next_power_of_two()];
        let (mut commands, mut long, mut len) = (Vec::new(), HashMap::new(), 0);
        for (name, spec) in rows {
            let command = Command::new(spec, len as u16);
            commands.push(command);
            len += 1 + spec.subcommands.len();
            let Some(name) = Folded::new(&name) else {
                long.insert(name, command);
                continue;
            };
            let mut at = name.hash() & (slots.len() - 1);
            while slots[at].command.is_some() {
                at = (at + 1) & (slots.len() - 1);
            }
            slots[at] = Slot { name, command: Some(command) };
        }
        Self { commands, slots, long, len }
    }

    #[cold]
    fn long(&self, name: &[u8]) -> Option<Command> {
        let could_be = !name.is_empty() && self.long.keys().any(|long| long.len() == name.len());
        could_be.then(|| self.long.get(&name.to_ascii_lowercase()).copied()).flatten()
    }
}

/// A name of up to [`NAME_MAX`] bytes in small letters. The length tells names apart that end with zeroes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Folded {
    words: [u64; 2],
    len: usize,
}

const NAME_MAX: usize = 16;

impl Folded {
    /// The name of nothing.
    const NONE: Self = Self { words: [0; 2], len: 0 };

    #[inline]
    fn new(name: &[u8]) -> Option<Self> {
        if name.is_empty() || name.len() > NAME_MAX {
            return None;
        }
        Some(Self { words: fold(name), len: name.len() })
    }

    #[inline]
    fn hash(&self) -> usize {
        let mixed = (self.words[0] ^ self.words[1]).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 40) as usize ^ self.len
    }
}

/// Up to sixteen bytes in small letters, padded with zeroes, the first lowest. Words that overlap in the middle cost less
/// than the call that a copy of unknown length is.
#[inline]
fn fold(bytes: &[u8]) -> [u64; 2] {
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => {
            // What of the last word is not part of the first.
            let further = u64::from_le_bytes(*last).checked_shr(8 * (NAME_MAX - bytes.len()) as u32).unwrap_or(0);
            [small(u64::from_le_bytes(*first)), small(further)]
        }
        _ => [small(word(bytes)), 0],
    }
}

/// Fewer than eight bytes as a number.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => {
            let last = u64::from(u32::from_le_bytes(*last)) << (8 * (bytes.len() - 4));
            u64::from(u32::from_le_bytes(*first)) | last
        }
        _ => match *bytes {
            [a, b, c] => u64::from(u32::from_le_bytes([a, b, c, 0])),
            [a, b] => u64::from(u16::from_le_bytes([a, b])),
            [a] => u64::from(a),
            _ => 0,
        },
    }
}

/// Eight bytes at once, in small letters.
#[inline]
const fn small(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * EACH;
    // Adding to seven bits sets the eighth from `A` on, or from behind `Z` on, and carries into no other byte.
    let low = word & !HIGH;
    let from_a = low + (0x80 - b'A' as u64) * EACH;
    let behind_z = low + (0x80 - b'Z' as u64 - 1) * EACH;
    word | (from_a & !behind_z & !word & HIGH) >> 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded_as_the_library_does() {
        let bytes: Vec<u8> = (0..=255).collect();
        for len in 0..=16 {
            for name in bytes.windows(len.max(1)).map(|name| &name[..len]) {
                let mut expected = [0; 16];
                expected[..len].copy_from_slice(name);
                expected.make_ascii_lowercase();
                assert_eq!(fold(name).map(u64::to_le_bytes).concat(), expected, "{name:?}");
            }
        }
    }

    #[test]
    fn every_command_is_found_by_its_name_in_any_case() {
        for command in commands() {
            for name in [command.spec.name.to_string(), command.spec.name.to_uppercase()] {
                assert!(std::ptr::eq(lookup(name.as_bytes()).unwrap().spec, command.spec), "{name}");
            }
            for sub in command.spec.subcommands {
                assert!(std::ptr::eq(subcommand(command, sub.name.as_bytes()).unwrap().spec, sub));
                assert_eq!(sub.full_name, format!("{}|{}", command.spec.name, sub.name));
            }
        }
        for name in [&b""[..], b"nosuch", b"get ", b"gett", &[b'x'; 1000]] {
            assert!(lookup(name).is_none());
        }
    }

    #[test]
    fn commands_go_by_their_new_names_only() {
        let long = [b'x'; 40];
        let rows = renamed(&[(b"GET", b"Fetch"), (b"set", b""), (b"ping", &long), (b"echo", b"get")]).unwrap();
        let of = |name: &[u8]| rows.iter().find(|(known, _)| known == name).map(|(_, spec)| spec.name);
        assert_eq!([of(b"fetch"), of(b"get"), of(b"set"), of(&long)], [Some("get"), Some("echo"), None, Some("ping")]);
        let table = Table::new(rows.clone());
        assert_eq!(table.long(&[b'X'; 40]).unwrap().spec.name, "ping");
        assert!(table.long(&[b'x'; 41]).is_none());
        assert_eq!(table.commands.len(), rows.len());
    }

    #[test]
    fn bad_renames_are_told_by_their_position() {
        assert_eq!(renamed(&[(b"get", b"fetch"), (b"nosuch", b"x")]).err(), Some((1, RenameError::Unknown)));
        assert_eq!(renamed(&[(b"get", b"fetch"), (b"get", b"x")]).err(), Some((1, RenameError::Unknown)));
        assert_eq!(renamed(&[(b"get", b"SET")]).err(), Some((0, RenameError::Taken)));
    }

    #[test]
    fn positions_are_distinct() {
        let positions: Vec<usize> = all().map(|command| command.index.into()).collect();
        assert_eq!(positions, (0..len()).collect::<Vec<_>>());
        assert!(all().all(|command| std::ptr::eq(by_index(command.index).unwrap(), command.spec)));
        assert!(by_index(len() as u16).is_none() && by_index(u16::MAX).is_none());
    }

    #[test]
    fn every_row_is_documented() {
        for command in all() {
            assert!(!command.spec.summary.is_empty(), "{}", command.spec.full_name);
        }
    }
}
