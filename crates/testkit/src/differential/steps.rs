//! Sequences as data, and as text: what a difference prints is what `sequences/*.txt` holds.
//!
//! One step a line, words quoted as Redis quotes them (see `words.rs`):
//!
//! ```text
//! == name            a new sequence: both servers are emptied and every connection is new
//! == name: alone     the same, without pipelining and with everything read that a command causes (pub/sub)
//! SET k v            a command on connection a; its reply is compared
//! @b GET k           the same on connection b
//! @b> BLPOP l 0      sent on b, nothing read: it will block
//! @b! CLIENT REPLY OFF   sent on b; no reply will come
//! @b<                the next reply on b is read and compared
//! @sleep 150         both wait 150 ms; what shall expire meanwhile has 100, so that it is still there before
//! # ...              a comment
//! ```

use std::fmt;

use crate::words::{Words, join, split};

/// How long a step may sleep: sequences are many.
const SLEEP_MAX_MS: u64 = 1000;

/// One step of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A command and its reply, on a connection.
    Call(char, Words),
    /// A command whose reply comes later.
    Send(char, Words),
    /// A command that is not answered.
    Mute(char, Words),
    /// A reply that was left out before.
    Receive(char),
    /// A pause in milliseconds.
    Sleep(u64),
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call('a', words) => out.write_str(&join(words)),
            Self::Call(connection, words) => write!(out, "@{connection} {}", join(words)),
            Self::Send(connection, words) => write!(out, "@{connection}> {}", join(words)),
            Self::Mute(connection, words) => write!(out, "@{connection}! {}", join(words)),
            Self::Receive(connection) => write!(out, "@{connection}<"),
            Self::Sleep(ms) => write!(out, "@sleep {ms}"),
        }
    }
}

/// A named list of steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// What it is about, or how it was made.
    pub name: String,
    /// After each command everything that it caused is read, up to the answer of a PING.
    pub alone: bool,
    /// In order.
    pub steps: Vec<Step>,
}

impl fmt::Display for Sequence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "== {}{}", self.name, if self.alone { ": alone" } else { "" })?;
        self.steps.iter().try_for_each(|step| writeln!(out, "{step}"))
    }
}

/// Reads a file of sequences.
///
/// # Errors
/// The number of the first line that is none of the forms above, and the line.
pub fn parse(text: &str) -> Result<Vec<Sequence>, String> {
    let mut sequences: Vec<Sequence> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(title) = line.strip_prefix("== ") {
            let (name, alone) = title.strip_suffix(": alone").map_or((title, false), |name| (name, true));
            sequences.push(Sequence { name: name.to_owned(), alone, steps: Vec::new() });
        } else if !line.is_empty() && !line.starts_with('#') {
            let step = parse_step(line).ok_or_else(|| format!("line {}: {line}", number + 1))?;
            let sequence = sequences.last_mut().ok_or_else(|| format!("line {}: no sequence begun", number + 1))?;
            sequence.steps.push(step);
        }
    }
    Ok(sequences)
}

fn parse_step(line: &str) -> Option<Step> {
    let Some(rest) = line.strip_prefix('@') else {
        return command(line).map(|words| Step::Call('a', words));
    };
    if let Some(ms) = rest.strip_prefix("sleep ") {
        return ms.parse().ok().filter(|ms| *ms <= SLEEP_MAX_MS).map(Step::Sleep);
    }
    let mut letters = rest.chars();
    let connection = letters.next().filter(char::is_ascii_lowercase)?;
    let rest = letters.as_str();
    match rest.chars().next()? {
        '<' if rest.len() == 1 => Some(Step::Receive(connection)),
        '>' => command(&rest[1..]).map(|words| Step::Send(connection, words)),
        '!' => command(&rest[1..]).map(|words| Step::Mute(connection, words)),
        ' ' => command(rest).map(|words| Step::Call(connection, words)),
        _ => None,
    }
}

fn command(text: &str) -> Option<Words> {
    split(text.as_bytes()).filter(|words| !words.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let text = "== one\nSET k \"a b\"\n@b> BLPOP l 0\n@b! PING\n@a RPUSH l \"\\x00\"\n@b<\n@sleep 20\n== two: alone\nPING\n";
        let sequences = parse(text).unwrap();
        assert_eq!(sequences.len(), 2);
        assert!(sequences[1].alone && !sequences[0].alone);
        let again: String = sequences.iter().map(ToString::to_string).collect();
        assert_eq!(parse(&again).unwrap(), sequences);
    }

    #[test]
    fn lines_that_are_no_step() {
        for line in ["@", "@b", "@B GET k", "@b<x", "@sleep 1000000", "@b>", "SET \"k"] {
            assert!(parse(&format!("== s\n{line}\n")).is_err(), "{line}");
        }
        assert!(parse("PING\n").is_err(), "a step needs a sequence");
    }
}
