//! The outer frame of each type: what strings, numbers and repetitions a value is made of. This is all that is needed to
//! find where a value ends, and to go on looking when more of its bytes have come.

use super::Type;
use crate::error::{Error, Problem, Result};
use crate::read::Reader;

/// One part of a value.
enum Part {
    String,
    Length,
    /// A score as text, with its own kind of length.
    TextScore,
    /// So many bytes.
    Bytes(u64),
    /// A count, and then these parts so many times.
    Each(&'static [Part]),
}

use Part::{Bytes, Each, Length, String, TextScore};

const TIME: Part = Bytes(8);
const RAW_ID: Part = Bytes(16);
const DOUBLE: Part = Bytes(8);

const PENDING: Part = Each(&[RAW_ID, TIME, Length]);
const IDS: Part = Each(&[RAW_ID]);
const CONSUMERS: Part = Each(&[String, TIME, IDS]);
const CONSUMERS_TWO_TIMES: Part = Each(&[String, TIME, TIME, IDS]);
/// Nodes, then the number of entries and the last id.
const NODES: Part = Each(&[String, String]);

const fn shape(value_type: Type) -> &'static [Part] {
    use Type as T;
    match value_type {
        T::String
        | T::HashZipmap
        | T::ListZiplist
        | T::SetIntset
        | T::ZsetZiplist
        | T::HashZiplist
        | T::HashListpack
        | T::ZsetListpack
        | T::SetListpack => &[String],
        T::List | T::Set | T::ListQuicklist => &[Each(&[String])],
        T::Hash => &[Each(&[String, String])],
        T::ZsetText => &[Each(&[String, TextScore])],
        T::Zset => &[Each(&[String, DOUBLE])],
        T::ListQuicklist2 => &[Each(&[Length, String])],
        T::HashExpiries => &[TIME, Each(&[Length, String, String])],
        T::HashListpackExpiries => &[TIME, String],
        T::StreamV1 => &[NODES, Length, Length, Length, Each(&[String, Length, Length, PENDING, CONSUMERS])],
        T::StreamV2 => &[
            NODES,
            Length,
            Length,
            Length,
            Length,
            Length,
            Length,
            Length,
            Length,
            Each(&[String, Length, Length, Length, PENDING, CONSUMERS]),
        ],
        T::StreamV3 => &[
            NODES,
            Length,
            Length,
            Length,
            Length,
            Length,
            Length,
            Length,
            Length,
            Each(&[String, Length, Length, Length, PENDING, CONSUMERS_TWO_TIMES]),
        ],
    }
}

/// A walk past a value, which may stop where the bytes end and go on when there are more: nothing is looked at twice,
/// however large the value and small the pieces.
#[derive(Debug)]
pub struct Skip {
    /// The repetitions that the walk is inside of, the innermost last.
    frames: Vec<Frame>,
    /// Bytes of the present part that are still to come.
    missing: u64,
}

#[derive(Debug)]
struct Frame {
    parts: &'static [Part],
    at: usize,
    /// How often the parts come, the present time included.
    times: u64,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            String => "String",
            Length => "Length",
            TextScore => "TextScore",
            Bytes(_) => "Bytes",
            Each(_) => "Each",
        })
    }
}

impl Skip {
    /// Before a value of a type.
    pub fn new(value_type: Type) -> Self {
        Self { frames: vec![Frame { parts: shape(value_type), at: 0, times: 1 }], missing: 0 }
    }

    /// Goes as far as there are bytes, which follow those of the last time; says whether the value has ended.
    ///
    /// # Errors
    /// The bytes are not of the type; too few of them are no error.
    pub fn go_on(&mut self, reader: &mut Reader<'_>) -> Result<bool> {
        loop {
            let here = self.missing.min(reader.rest().len() as u64);
            reader.take(here)?;
            self.missing -= here;
            if self.missing > 0 {
                return Ok(false);
            }
            let Some(frame) = self.frames.last_mut() else { return Ok(true) };
            if frame.times == 0 {
                self.frames.pop();
                continue;
            }
            let Some(part) = frame.parts.get(frame.at) else {
                (frame.at, frame.times) = (0, frame.times - 1);
                continue;
            };
            let before = reader.clone();
            let inner = match self.prefix(part, reader) {
                Ok(inner) => inner,
                Err(Error { problem: Problem::Truncated, .. }) => {
                    // What stands before a part's bytes is short: it is read again when it is there as a whole.
                    *reader = before;
                    return Ok(false);
                }
                Err(error) => return Err(error),
            };
            self.frames.last_mut().expect("looked at above").at += 1;
            self.frames.extend(inner);
        }
    }

    /// Reads what tells the size of a part.
    fn prefix(&mut self, part: &Part, reader: &mut Reader<'_>) -> Result<Option<Frame>> {
        match part {
            String => self.missing = reader.string_prefix()?,
            Length => _ = reader.length()?,
            TextScore => self.missing = reader.text_score_prefix()?,
            Bytes(count) => self.missing = *count,
            Each(parts) => return Ok(Some(Frame { parts, at: 0, times: reader.length()? })),
        }
        Ok(None)
    }
}
