//! The stream of a primary, cut into what is applied at once: a command, or all of MULTI .. EXEC.
//!
//! A unit comes with the bytes it took on the wire, which a replica hands on to its own replicas as they are, and whose
//! number moves its offset. Blank lines before a unit belong to it, as Redis counts them. A unit is handed out when it is
//! complete, so a link that breaks inside a transaction leaves nothing behind, and the offset stays before it.
//!
//! MULTI, EXEC and DISCARD are told by their names here, for on this wire they are punctuation: they say where a unit
//! ends, whatever they do elsewhere.

use resp_parser::{Batch, CommandSpans, Limits, ProtocolError, RequestParser, Span};

/// Bytes that a unit may claim for one argument. A primary is believed more than a client: its `proto-max-bulk-len` may be
/// larger than ours. The buffer grows by what has come, never by what was claimed.
const BULK_LEN_MAX: u64 = resp_parser::BUFFER_LEN_MAX as u64;
/// Bytes of room that the buffer keeps after a large unit.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// See the file's head.
#[derive(Debug)]
pub struct Units {
    parser: RequestParser,
    limits: Limits,
    /// The commands of the unit at the front, as far as they have come.
    batch: Batch,
    /// The bytes from `start` on are not applied yet.
    buffer: Vec<u8>,
    start: usize,
    /// Whether the unit at the front is a transaction that has not ended.
    open: bool,
    /// Whether the unit at the front was handed out.
    handed: bool,
    /// Whether it is to be handed out again.
    again: bool,
}

/// What is applied at once.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'a> {
    raw: &'a [u8],
    batch: &'a Batch,
}

/// One command of a unit.
#[derive(Clone, Copy, Debug)]
pub struct UnitCommand<'a> {
    raw: &'a [u8],
    spans: CommandSpans<'a>,
}

impl Default for Units {
    fn default() -> Self {
        Self {
            parser: RequestParser::default(),
            limits: Limits::new(BULK_LEN_MAX, true),
            batch: Batch::new(),
            buffer: Vec::new(),
            start: 0,
            open: false,
            handed: false,
            again: false,
        }
    }
}

impl Units {
    /// Adds bytes that have come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.release();
        if self.start > 0 {
            // Nearly always nothing, or a part of one unit, is left to move.
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        if self.buffer.is_empty() {
            self.buffer.shrink_to(KEPT_BYTES_MAX);
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next unit, if it is complete. The one before is done with.
    ///
    /// # Errors
    /// What came is no stream; it gives the same error again.
    #[allow(clippy::should_implement_trait, reason = "what it returns borrows from it, which no iterator's item does")]
    pub fn next(&mut self) -> Result<Option<Unit<'_>>, ProtocolError> {
        self.release();
        while !std::mem::take(&mut self.again) {
            let commands = self.batch.len();
            self.parser.parse(&self.buffer[self.start..], &self.limits, 1, &mut self.batch)?;
            if self.batch.len() == commands {
                return Ok(None);
            }
            let name = self.batch.command(commands).arg(&self.buffer[self.start..], 0);
            self.open = if self.open { !ends(name) } else { name.eq_ignore_ascii_case(b"MULTI") };
            if !self.open {
                break;
            }
        }
        self.handed = true;
        let raw = &self.buffer[self.start..][..self.parser.consumed()];
        Ok(Some(Unit { raw, batch: &self.batch }))
    }

    /// The unit that was handed out last is not done with after all, and is the next one again.
    pub fn put_back(&mut self) {
        self.again = std::mem::take(&mut self.handed);
    }

    /// Bytes that have come and are not part of a unit handed out.
    pub fn waiting(&self) -> usize {
        self.buffer.len() - self.start - if self.handed { self.parser.consumed() } else { 0 }
    }

    /// Lets go of the unit at the front, if it was handed out.
    fn release(&mut self) {
        if !std::mem::take(&mut self.handed) {
            return;
        }
        let len = self.parser.consumed();
        self.batch.clear();
        self.parser.discard(len);
        self.start += len;
    }
}

/// Whether a command of this name ends a transaction.
fn ends(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"EXEC") || name.eq_ignore_ascii_case(b"DISCARD")
}

impl<'a> Unit<'a> {
    /// The bytes it took on the wire.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Its commands: one, or those of a transaction with MULTI and EXEC around them.
    pub fn commands(&self) -> impl ExactSizeIterator<Item = UnitCommand<'a>> + use<'a> {
        let Self { raw, batch } = *self;
        (0..batch.len()).map(move |index| UnitCommand { raw, spans: batch.command(index) })
    }

    /// Whether it is a transaction.
    pub fn is_transaction(&self) -> bool {
        self.batch.len() > 1
    }
}

impl<'a> UnitCommand<'a> {
    /// What its spans point into.
    pub fn base(&self) -> &'a [u8] {
        self.spans.base(self.raw)
    }

    /// Its words, its name first.
    pub fn spans(&self) -> &'a [Span] {
        self.spans.args
    }

    /// Its words.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.spans.iter(self.raw)
    }
}

#[cfg(test)]
mod tests;
