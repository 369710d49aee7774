//! Random sequences of one family.

use super::handling::{Handling, handling};
use super::steps::{Sequence, Step};
use crate::grammar::{Command, Generator, Grammar};
use crate::words::Words;

/// How many random commands a sequence holds after its prelude: enough for states to build up, few enough that one is
/// made small quickly.
pub(super) const COMMANDS_PER_SEQUENCE: usize = 40;
/// How often some commands are wrapped in a transaction.
const TRANSACTION_SHARE: f64 = 0.02;
/// How often the family `transactions` takes a command that is not of its own group.
const OTHER_SHARE: f64 = 0.6;

/// The sequence of `family` for `seed`, made from `commands` (those of the family that both servers have).
#[must_use]
pub fn sequence(grammar: &Grammar, family: &str, commands: &[&Command], seed: u64, payloads: &[Vec<u8>]) -> Sequence {
    let mut generator = Generator::new(grammar, seed, payloads);
    let mut steps: Vec<Words> = generator.prelude(family);
    let end = steps.len() + COMMANDS_PER_SEQUENCE;
    while steps.len() < end {
        // Not for pub/sub: the PING that ends what a command caused would be queued.
        if family != "pubsub" && generator.random().f64() < TRANSACTION_SHARE {
            transaction(&mut generator, commands, &mut steps);
        } else {
            let command = pick(&mut generator, family, commands);
            steps.push(generator.command(command));
        }
    }
    Sequence {
        name: format!("{family}, seed {seed}"),
        alone: family == "pubsub",
        steps: steps.into_iter().map(|words| Step::Call('a', words)).collect(),
    }
}

fn pick<'g>(generator: &mut Generator<'g>, family: &str, commands: &[&'g Command]) -> &'g Command {
    if family == "transactions" {
        let own = generator.random().f64() >= OTHER_SHARE;
        let part: Vec<&Command> = commands.iter().filter(|command| (command.group == family) == own).copied().collect();
        if !part.is_empty() {
            return generator.choose(&part);
        }
    }
    generator.choose(commands)
}

/// MULTI, a few commands whose results two servers share even without help, EXEC.
fn transaction<'g>(generator: &mut Generator<'g>, commands: &[&'g Command], steps: &mut Vec<Words>) {
    steps.push(vec![b"MULTI".to_vec()]);
    for _ in 0..generator.random().usize(1..=4) {
        let command = generator.choose(commands);
        let words = generator.command(command);
        if handling(&words) == Handling::Plain {
            steps.push(words);
        }
    }
    steps.push(vec![b"EXEC".to_vec()]);
}
