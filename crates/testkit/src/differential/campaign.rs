//! A whole run: two conditions side by side, each with its own two servers.

use std::collections::BTreeSet;
use std::io;
use std::time::Instant;

use resp_parser::Reply;

use super::handling::never_random;
use super::lane::{Fault, Lane};
use super::minimise::minimise;
use super::pair::{Difference, Pair};
use super::random;
use super::report::{Finding, Report};
use super::steps::{Sequence, Step};
use crate::client::Protocol;
use crate::grammar::{Command, Grammar, seeds_of_family};
use crate::process::{Program, Server};
use crate::reply::{items, name};
use crate::words::Words;

/// The groups of COMMAND DOCS that random sequences are made of.
const FAMILIES: [&str; 13] = [
    "string",
    "generic",
    "list",
    "set",
    "hash",
    "sorted-set",
    "stream",
    "bitmap",
    "hyperloglog",
    "geo",
    "connection",
    "transactions",
    "pubsub",
];
/// The group whose commands are about the server; fewer of them say as much.
const SERVER_FAMILY: &str = "server";
/// The seed of one half of the random sequences in every run.
const FIXED_SEED: u64 = 20_250_802;
/// How many random commands a family gets, by depth.
const COMMANDS_NORMAL: usize = 5_000;
const COMMANDS_FULL: usize = 100_000;
/// How many different differences are made small; the rest is only counted.
const MINIMISED_MAX: usize = 40;
/// How many times the server under test is started again after it ended in the middle.
const RESTARTS_MAX: usize = 10;
/// After so many sequences that met a command without an answer the run is given up: each costs its patience.
const SILENT_MAX: usize = 10;

/// How both servers are started.
#[derive(Debug, Clone, Copy)]
pub struct Condition {
    /// For reports.
    pub name: &'static str,
    /// Arguments for both.
    pub arguments: &'static [&'static str],
}

/// The defaults of Redis.
pub const DEFAULT_LIMITS: Condition =
    Condition { name: "default limits", arguments: &["--enable-debug-command", "yes"] };

/// Limits turned down, so that a handful of elements leaves the small form.
pub const SMALL_LIMITS: Condition = Condition {
    name: "small limits",
    arguments: &[
        "--enable-debug-command",
        "yes",
        "--list-max-listpack-size",
        "4",
        "--list-compress-depth",
        "1",
        "--set-max-intset-entries",
        "3",
        "--set-max-listpack-entries",
        "3",
        "--set-max-listpack-value",
        "8",
        "--hash-max-listpack-entries",
        "3",
        "--hash-max-listpack-value",
        "8",
        "--zset-max-listpack-entries",
        "3",
        "--zset-max-listpack-value",
        "8",
        "--stream-node-max-entries",
        "3",
        "--hll-sparse-max-bytes",
        "30",
    ],
};

/// How much, and of what.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Groups of COMMAND DOCS.
    pub families: Vec<String>,
    /// Random commands a family, over all conditions and protocols.
    pub commands: usize,
    /// The seed of the half that is new in each run.
    pub fresh_seed: u64,
}

impl Settings {
    /// From `BRINDLE_DIFF_FAMILIES` (comma-separated groups), `BRINDLE_DIFF_COMMANDS`, `BRINDLE_DEPTH=full` and
    /// `BRINDLE_DIFF_SEED`.
    ///
    /// # Panics
    /// When a number is none.
    #[must_use]
    pub fn from_env() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let number = |name: &str| {
            variable(name).map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
        };
        let full = variable("BRINDLE_DEPTH").as_deref() == Some("full");
        let families = variable("BRINDLE_DIFF_FAMILIES").map_or_else(
            || FAMILIES.iter().chain([&SERVER_FAMILY]).map(ToString::to_string).collect(),
            |list| list.split(',').map(|family| family.trim().replace('_', "-")).collect(),
        );
        Self {
            families,
            commands: number("BRINDLE_DIFF_COMMANDS")
                .map_or(if full { COMMANDS_FULL } else { COMMANDS_NORMAL }, |commands| commands as usize),
            fresh_seed: number("BRINDLE_DIFF_SEED").unwrap_or_else(|| fastrand::u64(..)),
        }
    }
}

/// What runs against what.
#[derive(Debug)]
pub struct Campaign<'c> {
    /// Decides.
    pub reference: &'c Program,
    /// Is judged.
    pub subject: &'c Program,
    /// Each gets an equal part of the random commands, and all written sequences.
    pub conditions: &'c [Condition],
    /// How much.
    pub settings: Settings,
    /// Written sequences.
    pub written: Vec<Sequence>,
    /// A fault planted into the subject's replies, to see it found.
    pub fault: Option<Fault>,
}

impl Campaign<'_> {
    /// Runs everything, the conditions in parallel.
    ///
    /// # Errors
    /// When a server does not start, or the reference ends.
    pub fn run(&self) -> io::Result<Report> {
        let parts: Vec<io::Result<Report>> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                self.conditions.iter().map(|condition| scope.spawn(|| self.condition(*condition))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a condition's thread panicked")).collect()
        });
        let mut report = Report { seeds: (FIXED_SEED, self.settings.fresh_seed), ..Report::default() };
        for part in parts {
            report.merge(part?);
        }
        Ok(report)
    }

    fn condition(&self, condition: Condition) -> io::Result<Report> {
        let begin = Instant::now();
        let reference = Server::start(self.reference, condition.arguments)?;
        let mut work = Work::new(&reference, condition.name)?;
        for start in 0..=RESTARTS_MAX {
            let mut subject = Server::start(self.subject, condition.arguments)?;
            let mut pair = Pair { reference: Lane::new(&reference)?, subject: Lane::new(&subject)? };
            if let Some(fault) = self.fault {
                pair.subject.set_fault(fault);
            }
            match work.go_on(&mut pair, self) {
                Ok(()) => break,
                Err(error) => {
                    drop(pair);
                    let ended = subject.ended()?.map_or_else(|| "runs".into(), |status| format!("ended ({status})"));
                    let log = subject.log();
                    let tail: Vec<&str> = log.lines().rev().take(15).collect();
                    let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n    ");
                    let last = work.last.as_ref().map(ToString::to_string).unwrap_or_default();
                    work.report
                        .troubles
                        .push(format!("{error}; our server {ended}; after\n{last}\nits log:\n    {tail}"));
                    if start == RESTARTS_MAX {
                        work.report.troubles.push("too many restarts".into());
                    }
                }
            }
        }
        work.report.elapsed = begin.elapsed();
        Ok(work.report)
    }
}

/// The progress of one condition; it outlives a restart of the server under test.
struct Work {
    condition: &'static str,
    grammar: Grammar,
    payloads: Vec<Vec<u8>>,
    report: Report,
    /// The number of the next sequence: written ones first (in both protocols), then random ones by family.
    next: usize,
    last: Option<Sequence>,
    /// How many sequences met a command without an answer.
    silent: usize,
}

impl Work {
    fn new(reference: &Server, condition: &'static str) -> io::Result<Self> {
        let mut client = reference.connect()?;
        let grammar = Grammar::read(&mut client)?;
        let payloads = payloads(reference)?;
        Ok(Self { condition, grammar, payloads, report: Report::default(), next: 0, last: None, silent: 0 })
    }

    fn go_on(&mut self, pair: &mut Pair<'_>, campaign: &Campaign<'_>) -> io::Result<()> {
        let known: BTreeSet<String> = items(&pair.subject.admin(&["COMMAND", "LIST"])?)
            .iter()
            .map(|command| name(command).to_uppercase().replace('|', " "))
            .collect();
        let mut grammar = self.grammar.clone();
        grammar.commands.retain(|name, _| known.contains(name));
        let payloads = self.payloads.clone();
        let mut number = 0;
        let mut left_out_steps = 0;
        for sequence in &campaign.written {
            let (sequence, left_out) = known_steps(sequence, &self.grammar, &known);
            left_out_steps += left_out;
            for protocol in [Protocol::Resp2, Protocol::Resp3] {
                if self.is_due(&mut number) {
                    self.one(pair, &sequence, protocol, None)?;
                }
            }
        }
        self.report.left_out = left_out_steps;
        for family in &campaign.settings.families {
            let commands = family_commands(&grammar, family);
            if commands.is_empty() {
                continue;
            }
            let share = if family == SERVER_FAMILY { 5 } else { 1 };
            let part = campaign.settings.commands / campaign.conditions.len() / share;
            for index in 0..part.div_ceil(random::COMMANDS_PER_SEQUENCE) as u64 {
                if !self.is_due(&mut number) {
                    continue;
                }
                let base = if index.is_multiple_of(2) { FIXED_SEED } else { campaign.settings.fresh_seed };
                let protocol = if index / 2 % 2 == 0 { Protocol::Resp2 } else { Protocol::Resp3 };
                let seed =
                    fastrand::Rng::with_seed(base ^ (index << 20) ^ u64::from(self.condition.len() as u32)).u64(..);
                let sequence = random::sequence(&grammar, family, &commands, seed, &payloads);
                self.one(pair, &sequence, protocol, Some(&grammar))?;
            }
        }
        if self.silent > SILENT_MAX {
            self.report.troubles.push(format!("given up: {SILENT_MAX} sequences met a command without an answer"));
        }
        Ok(())
    }

    /// Counts sequences, so that after a restart those that have run are passed over.
    fn is_due(&mut self, number: &mut usize) -> bool {
        *number += 1;
        let due = *number > self.next && self.silent <= SILENT_MAX;
        if due {
            self.next = *number - 1;
        }
        due
    }

    fn one(
        &mut self,
        pair: &mut Pair<'_>,
        sequence: &Sequence,
        protocol: Protocol,
        random: Option<&Grammar>,
    ) -> io::Result<()> {
        // Counted before it runs: one that ends a server is not run again after the restart.
        self.next += 1;
        self.last = Some(sequence.clone());
        let begin = Instant::now();
        let outcome = pair.run(sequence, protocol)?;
        self.report.sequences += 1;
        self.report.slowest.push((begin.elapsed(), sequence.name.clone()));
        self.silent += usize::from(outcome.is_silent);
        if let Some(grammar) = random {
            self.report.commands += outcome.accepted.len();
            for (words, accepted) in &outcome.accepted {
                let share = self.report.shares.entry(full_name(grammar, words)).or_default();
                share.0 += usize::from(*accepted);
                share.1 += 1;
            }
        }
        match outcome.difference {
            Some(difference) => self.found(pair, sequence, protocol, difference),
            None => Ok(()),
        }
    }

    fn found(
        &mut self,
        pair: &mut Pair<'_>,
        sequence: &Sequence,
        protocol: Protocol,
        difference: Difference,
    ) -> io::Result<()> {
        if let Some(known) = self.report.findings.get_mut(&difference.signature) {
            known.count += 1;
            return Ok(());
        }
        let signature = difference.signature.clone();
        let mut finding = Finding {
            sequence: sequence.clone(),
            difference,
            protocol,
            condition: self.condition,
            count: 1,
            note: "; not made small",
        };
        finding.sequence.steps.truncate(finding.difference.step + 1);
        // It is noted before it is made small: if the server ends meanwhile, the finding stays.
        self.report.findings.insert(signature.clone(), finding.clone());
        if self.report.findings.len() <= MINIMISED_MAX {
            match minimise(pair, sequence, protocol, &finding.difference)? {
                Some((sequence, difference)) => {
                    (finding.sequence, finding.difference, finding.note) = (sequence, difference, "");
                }
                None => finding.note = "; UNSTEADY: it did not come back when the sequence was run again",
            }
            self.report.findings.insert(signature, finding);
        }
        Ok(())
    }
}

/// The sequence without the commands that the reference has and the subject has not: the surface test holds the list of
/// those. Says how many were left out.
fn known_steps(sequence: &Sequence, reference: &Grammar, known: &BTreeSet<String>) -> (Sequence, usize) {
    let lacks = |words: &Words| {
        let name = full_name(reference, words);
        // A subcommand that nobody has still needs its container.
        let container = reference
            .commands
            .range(format!("{name} ")..)
            .next()
            .is_some_and(|(next, _)| next.starts_with(&format!("{name} ")));
        (container || reference.commands.contains_key(&name)) && !known.contains(&name)
    };
    let mut unsent = BTreeSet::new();
    let mut kept = Sequence { steps: Vec::new(), ..sequence.clone() };
    for step in &sequence.steps {
        let keep = match step {
            Step::Call(connection, words) | Step::Mute(connection, words) | Step::Send(connection, words) => {
                let lacks = lacks(words);
                if lacks {
                    unsent.insert(*connection);
                }
                !lacks
            }
            // What was to be received may have been caused by a step that is left out.
            Step::Receive(connection) => !unsent.contains(connection),
            Step::Sleep(_) => true,
        };
        if keep {
            kept.steps.push(step.clone());
        }
    }
    let left_out = sequence.steps.len() - kept.steps.len();
    (kept, left_out)
}

fn family_commands<'g>(grammar: &'g Grammar, family: &'g str) -> Vec<&'g Command> {
    let groups: &[&str] = if family == "transactions" { &["transactions", "string", "list"] } else { &[family] };
    grammar
        .commands
        .values()
        .filter(|command| groups.contains(&command.group.as_str()))
        .filter(|command| !never_random(&command.name))
        .filter(|command| family != "transactions" || !command.name.starts_with('B'))
        .collect()
}

/// The command's name in the grammar: two words where the first is a container.
fn full_name(grammar: &Grammar, words: &Words) -> String {
    let upper =
        |index: usize| words.get(index).map(|word| String::from_utf8_lossy(word).to_uppercase()).unwrap_or_default();
    let both = format!("{} {}", upper(0), upper(1));
    if grammar.commands.contains_key(&both) { both } else { upper(0) }
}

/// DUMPs of values of every type, for RESTORE.
fn payloads(reference: &Server) -> io::Result<Vec<Vec<u8>>> {
    let mut client = reference.connect()?;
    client.pipeline(&seeds_of_family("generic"))?;
    let keys = client.call(&["KEYS", "*"])?;
    let mut payloads = Vec::new();
    for key in items(&keys) {
        if let Reply::Bulk(payload) = client.call(&["DUMP", &name(key)])? {
            payloads.push(payload);
        }
    }
    client.call(&["FLUSHALL"])?;
    payloads.sort_unstable();
    Ok(payloads)
}
