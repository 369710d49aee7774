//! Runs one sequence against both servers and finds the first difference.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::time::{Duration, Instant};

use resp_parser::Reply;

use super::compare::{rule, same};
use super::deliberate::{Case, covers};
use super::handling::{Handling, handling};
use super::lane::{Answer, Lane};
use super::state;
use super::steps::{Sequence, Step};
use crate::client::Protocol;
use crate::reply::{is_error, items, name, text};
use crate::words::{Words, join};

/// How many commands are written before their replies are read: small enough never to fill a socket's buffer.
const BATCH_MAX: usize = 32;
/// How many steps an iteration may take.
const ITERATION_MAX: usize = 10_000;
/// A run that has taken longer, pauses apart, was late: then what is near in time by [`rule`] may not have been,
const ON_TIME_MAX: Duration = Duration::from_secs(1);
/// and in a sequence with pauses something may have expired too early. No expiry there is shorter than twice this.
const ON_TIME_WITH_PAUSES_MAX: Duration = Duration::from_millis(50);
/// How many times a sequence is run until it is on time.
const RUNS_MAX: usize = 10;

/// Where two servers differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The step in the sequence; its length when the state afterwards differs.
    pub step: usize,
    /// The command, or `state: KEY COMMAND`.
    pub what: String,
    /// Equal for differences that probably have one cause.
    pub signature: String,
    /// What the reference answered.
    pub reference: String,
    /// What the other server answered.
    pub subject: String,
}

/// What a sequence brought to light.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The first difference.
    pub difference: Option<Difference>,
    /// The commands that were answered, with whether the reference accepted them.
    pub accepted: Vec<(Words, bool)>,
    /// Whether there was no answer to one.
    pub is_silent: bool,
}

/// The reference and the server under test.
#[derive(Debug)]
pub struct Pair<'s> {
    /// Decides.
    pub reference: Lane<'s>,
    /// Is judged.
    pub subject: Lane<'s>,
}

/// What is known of one connection while a sequence runs.
#[derive(Debug, Default)]
struct Transaction {
    open: bool,
    queued: Vec<Words>,
}

struct Running<'p, 's> {
    pair: &'p mut Pair<'s>,
    outcome: Outcome,
    transactions: BTreeMap<char, Transaction>,
    waiting: BTreeMap<char, VecDeque<Words>>,
    slept: Duration,
}

impl Pair<'_> {
    /// Runs `sequence` from two empty servers, compares every reply, then the state. On a busy machine a run may be so
    /// late that the two differ by right; then what it shows does not count, and the sequence is run again.
    ///
    /// # Errors
    /// When a server cannot be reached any more.
    pub fn run(&mut self, sequence: &Sequence, protocol: Protocol) -> io::Result<Outcome> {
        let pauses = sequence.steps.iter().any(|step| matches!(step, Step::Sleep(_)));
        let on_time_max = if pauses { ON_TIME_WITH_PAUSES_MAX } else { ON_TIME_MAX };
        let mut runs = 0;
        loop {
            let (outcome, spent) = self.run_once(sequence, protocol)?;
            runs += 1;
            // If it is never on time, or gets no answer, a difference counts all the same.
            if outcome.difference.is_none() || outcome.is_silent || spent <= on_time_max || runs == RUNS_MAX {
                return Ok(outcome);
            }
        }
    }

    /// The same once, and how long it took but for its pauses.
    fn run_once(&mut self, sequence: &Sequence, protocol: Protocol) -> io::Result<(Outcome, Duration)> {
        self.reference.begin(protocol)?;
        self.subject.begin(protocol)?;
        let mut running = Running {
            pair: self,
            outcome: Outcome::default(),
            transactions: BTreeMap::new(),
            waiting: BTreeMap::new(),
            slept: Duration::ZERO,
        };
        let begin = Instant::now();
        running.steps(sequence);
        let (mut outcome, slept) = (running.outcome, running.slept);
        if outcome.difference.is_none() {
            outcome.difference = state::compare(self, &outcome.accepted, sequence.steps.len())?;
        }
        Ok((outcome, begin.elapsed().saturating_sub(slept)))
    }

    /// See [`Lane::set_patience`].
    pub(super) fn set_patience(&mut self, patience: Duration) {
        self.reference.set_patience(patience);
        self.subject.set_patience(patience);
    }

    fn both(&mut self, mut act: impl FnMut(&mut Lane<'_>) -> Answer) -> (Answer, Answer) {
        (act(&mut self.reference), act(&mut self.subject))
    }
}

impl Running<'_, '_> {
    fn steps(&mut self, sequence: &Sequence) {
        let steps = &sequence.steps;
        let mut at = 0;
        while at < steps.len() && self.outcome.difference.is_none() {
            let batch = if sequence.alone { 0 } else { self.plain_run(&steps[at..]) };
            if batch > 1 {
                self.batch(&steps[at..at + batch], at);
                at += batch;
            } else {
                self.step(&steps[at], at, sequence.alone);
                at += 1;
            }
        }
    }

    /// How many of the next steps can go out in one write.
    fn plain_run(&self, steps: &[Step]) -> usize {
        let on = |step: &Step| match step {
            Step::Call(connection, words) if handling(words) == Handling::Plain => Some(*connection),
            _ => None,
        };
        let first = steps.first().and_then(on);
        steps.iter().take(BATCH_MAX).take_while(|step| first.is_some() && on(step) == first).count()
    }

    fn batch(&mut self, steps: &[Step], at: usize) {
        let commands: Vec<&Words> =
            steps.iter().filter_map(|step| if let Step::Call(_, words) = step { Some(words) } else { None }).collect();
        let connection =
            steps.first().map_or('a', |step| if let Step::Call(connection, _) = step { *connection } else { 'a' });
        let sent = (self.pair.reference.send(connection, &commands), self.pair.subject.send(connection, &commands));
        for (index, command) in commands.iter().enumerate() {
            let (reference, subject) = (
                answer(&mut self.pair.reference, &sent.0, connection, command),
                answer(&mut self.pair.subject, &sent.1, connection, command),
            );
            let lost = !matches!(reference, Answer::Reply(_));
            self.judge(at + index, connection, command, &reference, &subject);
            if lost || self.outcome.difference.is_some() {
                return;
            }
        }
    }

    fn step(&mut self, step: &Step, at: usize, alone: bool) {
        match step {
            Step::Sleep(ms) => {
                let begin = Instant::now();
                std::thread::sleep(Duration::from_millis(*ms));
                self.slept += begin.elapsed();
            }
            Step::Send(connection, command) => {
                self.waiting.entry(*connection).or_default().push_back(command.clone());
                let waiting = self.waiting.iter().filter(|(_, commands)| !commands.is_empty());
                let connections: Vec<char> = waiting.map(|(connection, _)| *connection).collect();
                for lane in [&mut self.pair.reference, &mut self.pair.subject] {
                    let _ = lane.send(*connection, &[command]);
                    lane.settle(&connections);
                }
            }
            Step::Mute(connection, command) => {
                let _ = self.pair.both(|lane| lane.send(*connection, &[command]).err().unwrap_or(Answer::Silence));
            }
            Step::Receive(connection) => {
                let command = self.waiting.entry(*connection).or_default().pop_front().unwrap_or_default();
                let (reference, subject) = self.pair.both(|lane| lane.receive(*connection, &command));
                self.judge(at, *connection, &command, &reference, &subject);
            }
            Step::Call(connection, command) if alone => {
                let (reference, subject) = self.pair.both(|lane| lane.call_alone(*connection, command));
                self.judge(at, *connection, command, &reference, &subject);
            }
            Step::Call(connection, command) => {
                let open = self.transactions.get(connection).is_some_and(|transaction| transaction.open);
                match handling(command) {
                    Handling::Iterate if !open => self.iterate(at, *connection, command),
                    Handling::Pop if !open => self.pop(at, *connection, command),
                    _ => {
                        let (reference, subject) = self.pair.both(|lane| lane.call(*connection, command));
                        self.judge(at, *connection, command, &reference, &subject);
                    }
                }
            }
        }
    }

    /// Notes the reference's answer and compares the two.
    fn judge(&mut self, at: usize, connection: char, command: &Words, reference: &Answer, subject: &Answer) {
        self.outcome.is_silent |= [reference, subject].contains(&&Answer::Silence);
        let transaction = self.transactions.entry(connection).or_default();
        let queued = follow(transaction, command, reference);
        let same = match (reference, subject) {
            (Answer::Reply(left), Answer::Reply(right)) => {
                let before = &self.outcome.accepted;
                match queued.as_deref() {
                    Some(queued) => same_results(queued, before, left, right),
                    None => agree(command, before, left, right),
                }
            }
            (Answer::Several(left), Answer::Several(right)) if handling(command) != Handling::Iterate => {
                same_caused(command, &self.outcome.accepted, left, right)
            }
            (left, right) => left == right,
        };
        if let Answer::Reply(reply) = reference {
            self.outcome.accepted.push((command.clone(), !is_error(reply)));
        } else if let Answer::Several(replies) = reference {
            self.outcome.accepted.push((command.clone(), !replies.first().is_some_and(is_error)));
        }
        if !same {
            self.differ(at, command, &reference.to_string(), &subject.to_string());
        }
    }

    fn differ(&mut self, at: usize, command: &Words, reference: &str, subject: &str) {
        let name = command.first().map(|name| String::from_utf8_lossy(name).to_uppercase()).unwrap_or_default();
        let head = |text: &str| text.chars().take_while(|letter| !letter.is_ascii_digit()).take(30).collect::<String>();
        self.outcome.difference = Some(Difference {
            step: at,
            what: join(command),
            signature: format!("{name} | {} | {}", head(reference), head(subject)),
            reference: reference.to_owned(),
            subject: subject.to_owned(),
        });
    }

    /// A whole SCAN on both; the elements found are compared as sets (SCAN may return one twice).
    fn iterate(&mut self, at: usize, connection: char, command: &Words) {
        let (reference, subject) = self.pair.both(|lane| iteration(lane, connection, command));
        self.judge(at, connection, command, &reference, &subject);
    }

    /// SPOP on both; what one took and the other did not is removed there too.
    fn pop(&mut self, at: usize, connection: char, command: &Words) {
        let members: Words = vec![b"SMEMBERS".to_vec(), command.get(1).cloned().unwrap_or_default()];
        let before = self.pair.both(|lane| lane.call(connection, &members));
        let (reference, subject) = self.pair.both(|lane| lane.call(connection, command));
        let (left, right) = (taken(&reference), taken(&subject));
        let strangers = [(&before.0, &left), (&before.1, &right)].iter().any(|(before, taken)| {
            let known = self::taken(before);
            let distinct: BTreeSet<&Vec<u8>> = taken.iter().collect();
            distinct.len() != taken.len() || taken.iter().any(|member| !known.contains(member))
        });
        if strangers {
            self.differ(at, command, &format!("{reference} of {}", before.0), &format!("{subject} of {}", before.1));
            return;
        }
        self.judge(at, connection, command, &reference, &subject);
        let only = |these: &[Vec<u8>], those: &[Vec<u8>]| -> Words {
            these.iter().filter(|member| !those.contains(member)).cloned().collect()
        };
        let (from_reference, from_subject) = (only(&right, &left), only(&left, &right));
        for (lane, missing) in [(&mut self.pair.reference, from_reference), (&mut self.pair.subject, from_subject)] {
            if !missing.is_empty() {
                let mut removal: Words = vec![b"SREM".to_vec(), members[1].clone()];
                removal.extend(missing);
                lane.call(connection, &removal);
            }
        }
    }
}

/// The reply to a command that was sent, or what came of sending it.
fn answer(lane: &mut Lane<'_>, sent: &Result<(), Answer>, connection: char, command: &Words) -> Answer {
    match sent {
        Ok(()) => lane.receive(connection, command),
        Err(answer) => answer.clone(),
    }
}

/// Keeps the list of queued commands in step with what the reference said. For an EXEC: what it ran.
fn follow(transaction: &mut Transaction, command: &Words, reference: &Answer) -> Option<Vec<Words>> {
    let Answer::Reply(reply) = reference else { return None };
    let said = command.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
    match said.as_slice() {
        b"MULTI" if !is_error(reply) => {
            *transaction = Transaction { open: true, queued: Vec::new() };
            None
        }
        b"EXEC" | b"DISCARD" | b"RESET" => {
            let ended = std::mem::take(transaction);
            (said == b"EXEC" && ended.open && !is_error(reply)).then_some(ended.queued)
        }
        _ => {
            if text(reply) == Some(b"QUEUED") {
                transaction.queued.push(command.clone());
            }
            None
        }
    }
}

/// Whether two replies to a command are the same, or differ on purpose.
pub(super) fn agree(command: &Words, before: &[(Words, bool)], reference: &Reply, subject: &Reply) -> bool {
    same(rule(command), reference, subject) || covers(&Case { command, before, reference, subject })
}

/// The results of an EXEC, each by the rule of its command.
fn same_results(queued: &[Words], before: &[(Words, bool)], left: &Reply, right: &Reply) -> bool {
    match (left, right) {
        (Reply::Array(left), Reply::Array(right)) => {
            left.len() == right.len()
                && left.len() == queued.len()
                && queued
                    .iter()
                    .zip(left.iter().zip(right))
                    .all(|(command, (left, right))| agree(command, before, left, right))
        }
        _ => left == right,
    }
}

/// Everything one command caused. Leaving all channels names them in no order.
fn same_caused(command: &Words, before: &[(Words, bool)], left: &[Reply], right: &[Reply]) -> bool {
    let leaves_all = command.len() == 1 && command[0].to_ascii_uppercase().ends_with(b"UNSUBSCRIBE");
    if leaves_all {
        let names = |replies: &[Reply]| {
            let mut names: Vec<String> =
                replies.iter().map(|reply| items(reply).get(1).map(name).unwrap_or_default()).collect();
            names.sort_unstable();
            names
        };
        return left.len() == right.len() && names(left) == names(right);
    }
    // Several patterns of one client match in no order; but the reply's own place among the messages counts.
    if command[0].eq_ignore_ascii_case(b"PUBLISH") {
        let parts = |replies: &[Reply]| {
            let mut pushes: Vec<Vec<u8>> = Vec::new();
            let mut own = Vec::new();
            for (place, reply) in replies.iter().enumerate() {
                if let Reply::Push(_) = reply {
                    let mut bytes = Vec::new();
                    reply.encode(&mut bytes);
                    pushes.push(bytes);
                } else {
                    own.push((place, reply.clone()));
                }
            }
            pushes.sort_unstable();
            (own, pushes)
        };
        return parts(left) == parts(right);
    }
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| agree(command, before, left, right))
}

fn taken(answer: &Answer) -> Vec<Vec<u8>> {
    match answer {
        Answer::Reply(Reply::Bulk(member)) => vec![member.clone()],
        Answer::Reply(reply) => items(reply).iter().filter_map(text).map(<[u8]>::to_vec).collect(),
        _ => Vec::new(),
    }
}

/// The first reply when it is no step of a scan (an error, a queued command), else cursor 0 and all that was found.
fn iteration(lane: &mut Lane<'_>, connection: char, command: &Words) -> Answer {
    let name = command[0].to_ascii_uppercase();
    let cursor_at = if name == b"SCAN" { 1 } else { 2 };
    let novalues = command.iter().any(|word| word.eq_ignore_ascii_case(b"NOVALUES"));
    let width = if (name == b"HSCAN" && !novalues) || name == b"ZSCAN" { 2 } else { 1 };
    let mut found = BTreeSet::new();
    let mut request = command.clone();
    for _ in 0..ITERATION_MAX {
        let answer = lane.call(connection, &request);
        let Answer::Reply(Reply::Array(parts)) = &answer else { return answer };
        let [Reply::Bulk(cursor), Reply::Array(elements)] = parts.as_slice() else { return answer };
        found.extend(elements.chunks(width).map(|element| {
            let mut bytes = Vec::new();
            element.iter().for_each(|part| part.encode(&mut bytes));
            bytes
        }));
        if cursor == b"0" {
            return Answer::Several(found.into_iter().map(Reply::Bulk).collect());
        }
        request[cursor_at].clone_from(cursor);
    }
    Answer::Garbage(format!("the iteration did not end within {ITERATION_MAX} steps"))
}
