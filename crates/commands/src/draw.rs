//! The counts of SRANDMEMBER, HRANDFIELD and ZRANDMEMBER: how many, and whether one element may come twice.
//!
//! A negative count asks for so many elements however few there are, and may be as large as 2^63 - 1. Nothing is
//! allocated by it, but the reply grows with it; Redis goes on until memory or the client's output limit
//! runs out. Here the reply has a bound of its own, and a count that exceeds it is out of range; under an output limit
//! within that bound the client is closed by it, as in Redis.

use crate::error::{Error, NOT_INTEGER, OUT_OF_RANGE, Result};
use crate::number;
use crate::reply::Reply;

/// Most bytes of a reply in which elements repeat.
const REPEATED_BYTES_MAX: usize = 512 << 20;
/// Bytes of the shortest element in a reply: `$0`, two line ends.
const ELEMENT_BYTES_MIN: usize = 6;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Draw {
    /// So many different elements, or all.
    Distinct(usize),
    /// So many, each drawn from all.
    Repeated(usize),
}

impl Draw {
    /// Reads the count.
    pub(crate) fn parse(arg: &[u8]) -> Result<Self> {
        let count = number::parse_i64(arg).ok_or(NOT_INTEGER)?;
        if count == i64::MIN {
            return Err(Error::not_between(-i64::MAX, i64::MAX));
        }
        let magnitude = count.unsigned_abs() as usize;
        Ok(if count < 0 { Self::Repeated(magnitude) } else { Self::Distinct(magnitude) })
    }

    /// The count without its sign.
    pub(crate) fn magnitude(self) -> usize {
        let (Self::Distinct(count) | Self::Repeated(count)) = self;
        count
    }
}

/// Keeps a reply of repeated elements within its bound.
pub(crate) struct Draws {
    most: usize,
}

impl Draws {
    /// Begins an array of `count` elements, each of `parts` strings, unless it cannot stay within the bound.
    pub(crate) fn begin(count: usize, parts: usize, out: &mut Reply) -> Result<Self> {
        let too_many = count.saturating_mul(parts * ELEMENT_BYTES_MIN) > REPEATED_BYTES_MAX;
        if too_many && !out.ends_within(REPEATED_BYTES_MAX) {
            return Err(OUT_OF_RANGE);
        }
        let most = out.pending_bytes() + REPEATED_BYTES_MAX;
        out.array(if out.resp3() { count } else { count.saturating_mul(parts) });
        Ok(Self { most })
    }

    /// Called after each element: whether there may be more. There may not once the client is to be closed.
    pub(crate) fn go_on(&mut self, out: &Reply) -> Result<bool> {
        match out.is_over_limit() {
            true => Ok(false),
            false if out.pending_bytes() > self.most => Err(OUT_OF_RANGE),
            false => Ok(true),
        }
    }
}
