//! All commands, and how one is found by its name.
//!
//! Names are at most a few words of memory long, so a lookup folds the first sixteen bytes to small letters in two
//! registers and compares numbers.

use std::sync::LazyLock;

use crate::spec::Spec;

/// The families' tables, in no particular order.
static FAMILIES: &[&[Spec]] = &[
    crate::client_commands::COMMANDS,
    crate::command_command::COMMANDS,
    crate::connection::COMMANDS,
    crate::databases::COMMANDS,
    crate::debug::COMMANDS,
    crate::expire::COMMANDS,
    crate::generic::COMMANDS,
    crate::info::COMMANDS,
    crate::list::COMMANDS,
    crate::list::blocking::COMMANDS,
    crate::memory::COMMANDS,
    crate::object::COMMANDS,
    crate::server_commands::COMMANDS,
    crate::sort::COMMANDS,
    crate::string::COMMANDS,
    crate::transactions::COMMANDS,
    crate::walk::COMMANDS,
];

/// A command of the table, or a subcommand: its row and its position, by which statistics are kept.
#[derive(Clone, Copy)]
pub struct Command {
    /// The row.
    pub spec: &'static Spec,
    /// Its position among all commands and subcommands.
    pub index: u16,
}

/// The command of a name, in any case; subcommands are found by [`subcommand`].
#[inline]
pub fn lookup(name: &[u8]) -> Option<Command> {
    let folded = Folded::new(name)?;
    let table = &*TABLE;
    let mut slot = folded.hash() & (table.slots.len() - 1);
    loop {
        let index = table.slots[slot]?;
        let (candidate, command) = &table.commands[index as usize];
        if *candidate == folded {
            return Some(*command);
        }
        slot = (slot + 1) & (table.slots.len() - 1);
    }
}

/// A container's subcommand of a name, in any case.
pub fn subcommand(container: Command, name: &[u8]) -> Option<Command> {
    let at = container.spec.subcommands.iter().position(|sub| name.eq_ignore_ascii_case(sub.name.as_bytes()))?;
    // Subcommands follow their container in the numbering.
    Some(Command { spec: &container.spec.subcommands[at], index: container.index + 1 + at as u16 })
}

/// All commands, containers before their subcommands, which are not listed.
pub fn commands() -> impl Iterator<Item = Command> {
    TABLE.commands.iter().map(|(_, command)| *command)
}

/// All commands and subcommands by their position.
pub fn all() -> impl Iterator<Item = Command> {
    commands().flat_map(|command| {
        let subs = command.spec.subcommands.iter().zip(command.index + 1..);
        std::iter::once(command).chain(subs.map(|(spec, index)| Command { spec, index }))
    })
}

/// The row at a position.
pub fn by_index(index: u16) -> Option<&'static Spec> {
    let commands = &TABLE.commands;
    let at = commands.partition_point(|(_, command)| command.index <= index).checked_sub(1)?;
    let (_, command) = commands[at];
    match index - command.index {
        0 => Some(command.spec),
        sub => command.spec.subcommands.get(usize::from(sub) - 1),
    }
}

/// Number of commands and subcommands.
pub fn len() -> usize {
    TABLE.len
}

struct Table {
    commands: Vec<(Folded, Command)>,
    slots: Vec<Option<u16>>,
    len: usize,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let (mut commands, mut len) = (Vec::new(), 0);
    for spec in FAMILIES.iter().copied().flatten() {
        let name = Folded::new(spec.name.as_bytes()).expect("a command has a name of reasonable length");
        commands.push((name, Command { spec, index: len as u16 }));
        len += 1 + spec.subcommands.len();
    }
    let mut slots = vec![None; (commands.len() * 4).next_power_of_two()];
    for (index, (name, _)) in commands.iter().enumerate() {
        let mut slot = name.hash() & (slots.len() - 1);
        while slots[slot].is_some() {
            slot = (slot + 1) & (slots.len() - 1);
        }
        slots[slot] = Some(index as u16);
    }
    Table { commands, slots, len }
});

/// A name in small letters: its first sixteen bytes and its length, which together tell all commands apart.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Folded {
    bytes: u128,
    len: usize,
    /// The rest of a name longer than sixteen bytes, folded by exclusive or.
    rest: u128,
}

const NAME_MAX: usize = 32;

impl Folded {
    #[inline]
    fn new(name: &[u8]) -> Option<Self> {
        if name.is_empty() || name.len() > NAME_MAX {
            return None;
        }
        let (head, tail) = name.split_at(name.len().min(16));
        Some(Self { bytes: fold(head), len: name.len(), rest: fold(tail) })
    }

    #[inline]
    fn hash(&self) -> usize {
        let mixed = (self.bytes as u64 ^ (self.bytes >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 40) as usize ^ self.len
    }
}

/// Up to sixteen bytes in small letters, padded with zeroes.
#[inline]
fn fold(bytes: &[u8]) -> u128 {
    let mut buffer = [0; 16];
    buffer[..bytes.len()].copy_from_slice(bytes);
    buffer.make_ascii_lowercase();
    u128::from_le_bytes(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

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
