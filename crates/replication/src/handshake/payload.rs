//! The full copy as it comes over the wire: newlines while the primary prepares it, then `$LENGTH` and so many bytes, or
//! `$EOF:` with a mark of 40 bytes, and bytes until the mark appears.
//!
//! The mark is looked for everywhere and not only at the end of what a read gave, so that a primary may send its stream
//! right behind it. Bytes that may be the beginning of the mark are held back until it is known.

use std::fmt;

use memchr::memmem::Finder;

use super::Shown;
use crate::line::Line;

/// Bytes of a mark.
pub const MARK_LEN: usize = 40;

/// How the end of a copy is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// It has so many bytes.
    Length(u64),
    /// These bytes follow it.
    Mark([u8; MARK_LEN]),
}

/// A part of what came.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// The primary shows that it lives while it prepares the copy.
    KeepAlive,
    /// The copy begins.
    Begins(Framing),
    /// Bytes of the copy.
    Data(&'a [u8]),
    /// It is complete; what follows is the stream.
    End,
}

/// Why no copy comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadError {
    /// The primary says so.
    Aborted(Vec<u8>),
    /// This is no copy.
    BadProtocol(Vec<u8>),
}

/// See the file's head.
#[derive(Debug, Default)]
pub struct Payload {
    state: State,
    /// Bytes that were held back and turned out to be data, while they are handed out.
    released: Vec<u8>,
}

#[derive(Debug)]
enum State {
    Header(Line),
    Counted { left: u64 },
    Marked(Box<Marked>),
    Ended,
}

#[derive(Debug)]
struct Marked {
    mark: Finder<'static>,
    /// Bytes that may be the beginning of the mark: fewer than it has.
    held: Vec<u8>,
}

impl Payload {
    /// Takes bytes from the front of `input` until a part is complete, or there is one to hand out. None means that more is
    /// needed, or that the copy has ended.
    ///
    /// # Errors
    /// [`PayloadError`]: the connection is of no use any more.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Part<'a>>, PayloadError> {
        let Self { state, released } = self;
        match state {
            State::Header(line) => {
                let Some(line) = line.take(input) else { return Ok(None) };
                let part = begin(&line)?;
                if let Part::Begins(framing) = part {
                    *state = State::data(framing);
                }
                Ok(Some(part))
            }
            State::Counted { left: 0 } => {
                *state = State::Ended;
                Ok(Some(Part::End))
            }
            State::Counted { left } => {
                let len = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                let (data, rest) = input.split_at(len);
                *left -= len as u64;
                *input = rest;
                Ok((len > 0).then_some(Part::Data(data)))
            }
            State::Marked(marked) => {
                if !marked.takes_mark(input) {
                    return Ok(marked.data(input, released));
                }
                *state = State::Ended;
                Ok(Some(Part::End))
            }
            State::Ended => Ok(None),
        }
    }

    /// Whether the copy has begun, so that what comes is data.
    pub fn has_begun(&self) -> bool {
        !matches!(self.state, State::Header(_))
    }
}

/// What a line before the copy says.
fn begin(line: &[u8]) -> Result<Part<'static>, PayloadError> {
    match line.split_first() {
        None => Ok(Part::KeepAlive),
        Some((b'-', reason)) => Err(PayloadError::Aborted(reason.to_vec())),
        Some((b'$', announced)) => {
            framing(announced).map(Part::Begins).ok_or_else(|| PayloadError::BadProtocol(line.to_vec()))
        }
        Some(_) => Err(PayloadError::BadProtocol(line.to_vec())),
    }
}

impl State {
    fn data(framing: Framing) -> Self {
        match framing {
            Framing::Length(left) => Self::Counted { left },
            Framing::Mark(mark) => {
                Self::Marked(Box::new(Marked { mark: Finder::new(&mark).into_owned(), held: Vec::new() }))
            }
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self::Header(Line::default())
    }
}

impl Marked {
    /// Whether what is held and what follows begin with the mark; then it is taken.
    fn takes_mark(&mut self, input: &mut &[u8]) -> bool {
        let mark = self.mark.needle();
        let rest = &mark[self.held.len().min(MARK_LEN)..];
        let is_there = mark.starts_with(&self.held) && input.starts_with(rest);
        if is_there {
            *input = &input[rest.len()..];
            self.held.clear();
        }
        is_there
    }

    /// The next bytes that are not, and do not begin, the mark.
    fn data<'a, 'i: 'a>(&mut self, input: &mut &'i [u8], released: &'a mut Vec<u8>) -> Option<Part<'a>> {
        if self.held.is_empty() {
            let len = self.mark.find(input).unwrap_or_else(|| input.len() - self.overlap(input));
            let (data, rest) = input.split_at(len);
            *input = rest;
            if data.is_empty() {
                self.held.extend_from_slice(rest);
                *input = &[];
                return None;
            }
            return Some(Part::Data(data));
        }
        // The mark may begin among the bytes that are held; so many of them are data as cannot be its beginning.
        let held = self.held.len();
        let window = input.len().min(MARK_LEN - 1);
        self.held.extend_from_slice(&input[..window]);
        let len = self.mark.find(&self.held).unwrap_or_else(|| self.held.len() - self.overlap(&self.held)).min(held);
        if len == 0 {
            // All that was held may still be its beginning, and nothing else has come.
            *input = &input[window..];
            return None;
        }
        self.held.truncate(held);
        released.clear();
        released.extend(self.held.drain(..len));
        Some(Part::Data(released))
    }

    /// How many bytes at the end are the beginning of the mark.
    fn overlap(&self, bytes: &[u8]) -> usize {
        let mark = self.mark.needle();
        (1..mark.len().min(bytes.len() + 1)).rev().find(|&len| bytes.ends_with(&mark[..len])).unwrap_or(0)
    }
}

/// What stands behind the `$`.
fn framing(announced: &[u8]) -> Option<Framing> {
    match announced.strip_prefix(b"EOF:") {
        Some(mark) => mark.first_chunk().map(|mark| Framing::Mark(*mark)),
        None => std::str::from_utf8(announced).ok()?.parse().ok().map(Framing::Length),
    }
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aborted(reason) => write!(f, "MASTER aborted replication with an error: {}", Shown(reason)),
            Self::BadProtocol(line) => write!(
                f,
                "Bad protocol from MASTER, the first byte is not '$' (we received '{}'), are you sure the host and port \
                 are right?",
                Shown(line)
            ),
        }
    }
}

impl std::error::Error for PayloadError {}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
