//! Random commands from the argument trees.

use super::pools::{self, Counters};
use super::{Argument, Command, Grammar, Kind, repair};
use crate::words::Words;

/// An optional argument is taken this often.
const OPTIONAL_SHARE: f64 = 0.3;
/// A count that says how many arguments follow is wrong this often.
const WRONG_COUNT_SHARE: f64 = 0.03;
/// A command is left as the docs alone would have it this often, wrong combinations included.
const UNREPAIRED_SHARE: f64 = 0.12;
/// A command loses its last argument or gains one this often: wrong arity, and options cut short.
const WRONG_ARITY_SHARE: f64 = 0.02;
/// The same where disorder is wanted.
const UNREPAIRED_DISORDER_SHARE: f64 = 0.5;
/// How often an option stands in a disordered command: mostly once.
const DISORDER_TIMES: [usize; 6] = [0, 0, 1, 1, 1, 2];
/// How many repetitions an argument may have.
const REPEAT_MAX: usize = 4;

/// Makes random commands; the same seed makes the same ones.
#[derive(Debug)]
pub struct Generator<'g> {
    grammar: &'g Grammar,
    random: fastrand::Rng,
    counters: Counters,
    disorder: bool,
}

impl<'g> Generator<'g> {
    /// A generator for one sequence. `payloads` are DUMPs for RESTORE to choose from.
    #[must_use]
    pub fn new(grammar: &'g Grammar, seed: u64, payloads: &[Vec<u8>]) -> Self {
        Self {
            grammar,
            random: fastrand::Rng::with_seed(seed),
            counters: Counters::new(payloads.to_vec()),
            disorder: false,
        }
    }

    /// From here on most options of a command are there, in any order, some twice, and half of the combinations that the
    /// server refuses stay.
    #[must_use]
    pub fn disordered(self) -> Self {
        Self { disorder: true, ..self }
    }

    /// The source of chance, for choices that belong to the same sequence.
    pub fn random(&mut self) -> &mut fastrand::Rng {
        &mut self.random
    }

    /// One of `commands`, each as often as its weight says.
    ///
    /// # Panics
    /// When `commands` is empty.
    pub fn choose(&mut self, commands: &[&'g Command]) -> &'g Command {
        let total: f64 = commands.iter().map(|command| repair::weight(&command.name)).sum();
        let mut point = self.random.f64() * total;
        for command in commands {
            point -= repair::weight(&command.name);
            if point < 0.0 {
                return command;
            }
        }
        commands.last().expect("a family has commands")
    }

    /// A random form of `command`.
    pub fn command(&mut self, command: &Command) -> Words {
        let mut words: Words = command.name.split(' ').map(|word| self.case(word)).collect();
        let name_len = words.len();
        if command.name.starts_with("COMMAND GETKEYS") {
            words.extend(self.any());
            return words;
        }
        self.list(command, &command.arguments, &mut words, None);
        let unrepaired_share = if self.disorder { UNREPAIRED_DISORDER_SHARE } else { UNREPAIRED_SHARE };
        if self.random.f64() >= unrepaired_share {
            repair::repair(&command.name, &mut words, &mut self.random);
        }
        if self.random.f64() < WRONG_ARITY_SHARE {
            if self.random.bool() && words.len() > name_len {
                words.pop();
            } else {
                words.push(b"extra".to_vec());
            }
        }
        repair::make_deterministic(&command.name, &mut words);
        words
    }

    /// A random form of any command of the grammar.
    fn any(&mut self) -> Words {
        let grammar = self.grammar;
        let chosen = grammar.commands.values().nth(self.random.usize(..grammar.commands.len()));
        chosen
            .filter(|chosen| !chosen.name.starts_with("COMMAND"))
            .map(|chosen| self.command(chosen))
            .unwrap_or_default()
    }

    /// Commands that give a sequence of `family` something to work on.
    pub fn prelude(&mut self, family: &str) -> Vec<Words> {
        let mut all: Vec<Words> = Vec::new();
        for line in pools::seeds(family) {
            if self.random.f64() < 0.8 {
                all.push(crate::words::split(line.as_bytes()).expect("the seeds are well quoted"));
            }
        }
        all
    }

    /// Writes one list of arguments. `count` is what a numkeys or numfields before it said; it is handed on to blocks.
    fn list(&mut self, command: &Command, arguments: &[Argument], words: &mut Words, mut count: Option<usize>) {
        // `STREAMS key [key ...] id [id ...]`: two repeated arguments side by side go in step.
        let in_step = arguments.iter().filter(|argument| argument.multiple && !argument.multiple_token).count() > 1;
        if in_step && count.is_none() {
            count = Some(self.random.usize(1..=2));
        }
        for run in arguments.chunk_by(|left, right| is_option(left) && is_option(right)) {
            if self.disorder && is_option(&run[0]) {
                self.mixed(command, run, words, count);
            } else {
                count = self.ordered(command, run, words, count);
            }
        }
    }

    /// Options that stand side by side, in any order, and each as often as chance has it.
    fn mixed(&mut self, command: &Command, options: &[Argument], words: &mut Words, count: Option<usize>) {
        let mut chosen: Vec<Words> = Vec::new();
        for option in options {
            for _ in 0..DISORDER_TIMES[self.random.usize(..DISORDER_TIMES.len())] {
                let mut one = Words::new();
                self.argument(command, option, &mut one, count);
                chosen.push(one);
            }
        }
        self.random.shuffle(&mut chosen);
        words.extend(chosen.into_iter().flatten());
    }

    /// Arguments as the docs have them; returns the count that is in force behind them.
    fn ordered(
        &mut self,
        command: &Command,
        arguments: &[Argument],
        words: &mut Words,
        mut count: Option<usize>,
    ) -> Option<usize> {
        for argument in arguments {
            if argument.optional && self.random.f64() >= repair::optional_share(&command.name, argument, OPTIONAL_SHARE)
            {
                continue;
            }
            if matches!(argument.name.as_str(), "numkeys" | "numfields") {
                count = Some(self.count(argument, words));
            } else {
                self.argument(command, argument, words, count);
            }
        }
        count
    }

    fn count(&mut self, argument: &Argument, words: &mut Words) -> usize {
        words.extend(argument.token.iter().map(|token| token.clone().into_bytes()));
        let count = self.random.usize(1..=3);
        let said = if self.random.f64() < WRONG_COUNT_SHARE {
            pools::choose(&mut self.random, &["0", "-1", "4", "abc", "9223372036854775807"]).to_owned()
        } else {
            count.to_string()
        };
        words.push(said.into_bytes());
        count
    }

    fn argument(&mut self, command: &Command, argument: &Argument, words: &mut Words, count: Option<usize>) {
        let times = match count {
            _ if !argument.multiple => 1,
            Some(count) if !argument.optional || argument.name == "weight" || argument.kind == Kind::Key => count,
            _ => self.random.usize(1..=REPEAT_MAX),
        };
        for turn in 0..times {
            if let Some(token) = argument.token.as_deref().filter(|_| turn == 0 || argument.multiple_token) {
                let token = self.case(token);
                words.push(token);
            }
            self.value(command, argument, words, count);
        }
    }

    fn value(&mut self, command: &Command, argument: &Argument, words: &mut Words, count: Option<usize>) {
        match argument.kind {
            Kind::PureToken => {}
            Kind::Block => self.list(command, &argument.arguments, words, count),
            Kind::OneOf => {
                let choices: Vec<&Argument> = argument
                    .arguments
                    .iter()
                    .filter(|choice| !repair::never_chosen(&command.name, choice.token.as_deref()))
                    .collect();
                let choice = choices[self.random.usize(..choices.len())];
                self.argument(command, choice, words, count);
            }
            _ => words.push(pools::value(&mut self.random, &mut self.counters, command, argument)),
        }
    }

    /// A name or a token in capitals, sometimes in small letters: Redis does not care, and neither may we.
    fn case(&mut self, word: &str) -> Vec<u8> {
        if self.random.u8(..8) == 0 { word.to_lowercase().into_bytes() } else { word.as_bytes().to_vec() }
    }
}

/// Whether an argument may be left out and begins with a word, so that its place does not say what it is.
fn is_option(argument: &Argument) -> bool {
    argument.optional && has_word(argument)
}

fn has_word(argument: &Argument) -> bool {
    argument.token.is_some()
        || match argument.kind {
            Kind::OneOf => argument.arguments.iter().all(has_word),
            Kind::Block => argument.arguments.first().is_some_and(has_word),
            _ => false,
        }
}

/// The commands that fill the keys a family works on, for those who want all of them.
#[must_use]
pub fn seeds_of_family(family: &str) -> Vec<Words> {
    pools::seeds(family)
        .iter()
        .map(|line| crate::words::split(line.as_bytes()).expect("the seeds are well quoted"))
        .collect()
}
