//! What clients send: requests, found in place and never copied.
//!
//! The parser owns no bytes. It is given the connection's buffer again at each pass and remembers how far it
//! understood it: at most a count of missing arguments, the spans of those that have come, the length of the bulk it
//! waits for, and how far it has searched for a line's end. So a request that arrives in a thousand pieces costs what
//! it costs in one.
//!
//! # Where a line ends
//! Redis's rules, which are observable and which its own test suite relies on:
//! - a count or length line ends at a CR, and the byte behind it is skipped unseen; so are the two bytes behind a bulk;
//! - an inline request ends at an LF, and one CR before it does not belong to it;
//! - Redis searches both as C strings, so a NUL hides every line end behind it: the line grows until it is too big;
//! - a line is too big when its end is not among its first 65,537 bytes. Redis looks only after a read, so there it
//!   depends on the size of the pieces whether a longer inline request passes; here it never does.
//!
//! # Speed
//! Nearly every count and length has few digits, and then value and line end are found by looking at each byte once,
//! in a window whose size is known. Everything else (longer numbers, errors, incomplete lines) takes the strict path
//! behind it. A match on one or two digits was 10 % slower, and 70 % for values of a thousand bytes; a loop over
//! complete arguments apart from the loop that resumes gained nothing. `benches/benches/parser.rs` has the numbers.

use std::mem;

use memchr::memchr2;

use crate::decimal::parse_i64;
use crate::inline;
use crate::{Batch, ProtocolError, Span};

/// Bytes of a connection's buffer that are looked at: positions are 32 bits wide. A bulk whose length says that it
/// would end beyond is refused with [`ProtocolError::InvalidBulkLength`]. Callers bound their buffers far below
/// (`client-query-buffer-limit`).
pub const BUFFER_LEN_MAX: usize = u32::MAX as usize;
/// Arguments a request may have.
pub const MULTIBULK_LEN_MAX: i64 = i32::MAX as i64;
/// The default of `proto-max-bulk-len`.
pub const PROTO_MAX_BULK_LEN: u64 = 512 << 20;
/// Bytes before the end of a line: of an inline request, a count or a length.
pub const INLINE_LEN_MAX: usize = 64 << 10;
/// Arguments a request may have before authentication.
pub const UNAUTHENTICATED_MULTIBULK_LEN_MAX: i64 = 10;
/// Bytes an argument may have before authentication.
pub const UNAUTHENTICATED_BULK_LEN_MAX: u64 = 16 << 10;

/// What a connection may send. Lengths above the first three are errors; before authentication the lower constants
/// named here hold as well, and have error texts of their own.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Arguments a request may have: [`MULTIBULK_LEN_MAX`], or less.
    pub multibulk_len_max: i64,
    /// Bytes an argument may have: `proto-max-bulk-len`.
    pub bulk_len_max: u64,
    /// Bytes before the end of a line: [`INLINE_LEN_MAX`].
    pub inline_len_max: usize,
    /// Whether the client has authenticated, or need not. While it is false, parse one command at a time: the next
    /// one may already be judged by the limits that an AUTH before it lifts.
    pub authenticated: bool,
}

/// Finds the requests in a connection's buffer. One for each connection; its memory follows the arguments that have
/// arrived, never the counts and lengths that are claimed.
#[derive(Debug, Default)]
pub struct RequestParser {
    /// Bytes before it are understood. Equals `consumed` between commands, when `missing` is 0.
    pos: usize,
    /// Complete commands and skipped empty ones reach up to here; the command in progress begins here.
    consumed: usize,
    /// No line end (and no NUL) stands in the first `searched` bytes at `pos`.
    searched: usize,
    /// Arguments of the multibulk in progress that have not come.
    missing: usize,
    /// The length of the bulk at `pos`, when its header has been understood.
    bulk_len: Option<usize>,
    /// Arguments of the multibulk in progress that have come, when a pass ended within it.
    pending: Vec<Span>,
    /// Bytes that were missing from the bulk in progress when the last pass ended.
    wanted: usize,
}

impl Limits {
    /// The limits of a client, given `proto-max-bulk-len`.
    pub const fn new(proto_max_bulk_len: u64, authenticated: bool) -> Self {
        Limits {
            multibulk_len_max: MULTIBULK_LEN_MAX,
            bulk_len_max: proto_max_bulk_len,
            inline_len_max: INLINE_LEN_MAX,
            authenticated,
        }
    }

    /// The argument count, judged.
    fn multibulk_len(&self, text: &[u8]) -> Result<usize, ProtocolError> {
        let len = parse_i64(text).ok_or(ProtocolError::InvalidMultibulkLength)?;
        // A caller may have put the lower limit into the field itself; the higher one still decides which error.
        if len > MULTIBULK_LEN_MAX || self.authenticated && len > self.multibulk_len_max {
            return Err(ProtocolError::InvalidMultibulkLength);
        }
        if len > self.multibulk_len_allowed() {
            return Err(ProtocolError::UnauthenticatedMultibulkLength);
        }
        // Redis takes any negative count for an empty request.
        Ok(usize::try_from(len).unwrap_or(0))
    }

    /// The bulk length, judged.
    fn bulk_len(&self, text: &[u8]) -> Result<usize, ProtocolError> {
        let len = parse_i64(text).and_then(|len| u64::try_from(len).ok()).ok_or(ProtocolError::InvalidBulkLength)?;
        // proto-max-bulk-len is never below a megabyte, so a field this low was lowered for a client that has not
        // authenticated; which error is due is then decided by the default.
        let lowered = !self.authenticated && self.bulk_len_max <= UNAUTHENTICATED_BULK_LEN_MAX;
        let most = if lowered { PROTO_MAX_BULK_LEN } else { self.bulk_len_max };
        if len > most {
            return Err(ProtocolError::InvalidBulkLength);
        }
        if len > self.bulk_len_allowed() {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        usize::try_from(len).map_err(|_| ProtocolError::InvalidBulkLength)
    }

    fn multibulk_len_allowed(&self) -> i64 {
        if self.authenticated {
            self.multibulk_len_max
        } else {
            self.multibulk_len_max.min(UNAUTHENTICATED_MULTIBULK_LEN_MAX)
        }
    }

    fn bulk_len_allowed(&self) -> u64 {
        if self.authenticated { self.bulk_len_max } else { self.bulk_len_max.min(UNAUTHENTICATED_BULK_LEN_MAX) }
    }
}

impl RequestParser {
    /// Parses from where it stopped and appends at most `max` complete commands to `batch`.
    ///
    /// `buf` begins where it began at the last pass (less what was [`discard`](Self::discard)ed) and may have grown at
    /// its end. Empty commands (`*0`, `*-1`, blank lines) are consumed silently. When fewer than `max` commands were
    /// appended, the rest of `buf` is incomplete.
    ///
    /// # Errors
    /// [`ProtocolError`] when the bytes behind the last complete command are no request. The complete ones are in
    /// `batch` and are to be executed; then the error is sent and the connection closed. Parsing again gives the error
    /// again.
    pub fn parse(&mut self, buf: &[u8], limits: &Limits, max: usize, batch: &mut Batch) -> Result<(), ProtocolError> {
        let buf = &buf[..buf.len().min(BUFFER_LEN_MAX)];
        let full = batch.len().saturating_add(max);
        self.wanted = 0;
        while batch.len() < full {
            let complete = if self.missing > 0 {
                self.resume_multibulk(buf, limits, batch)?
            } else {
                match buf.get(self.pos) {
                    None => false,
                    Some(b'*') => self.multibulk(buf, limits, batch)?,
                    Some(_) => self.inline(buf, limits, batch)?,
                }
            };
            if !complete {
                break;
            }
        }
        Ok(())
    }

    /// Bytes up to which complete commands, and skipped empty ones, reach: the caller may drop that prefix.
    pub fn consumed(&self) -> usize {
        self.consumed
    }

    /// Told that the first `n` bytes of the buffer were dropped: all positions move down. Those in a [`Batch`] do not,
    /// so it is cleared first.
    ///
    /// # Panics
    /// If `n` is above [`consumed`](Self::consumed).
    pub fn discard(&mut self, n: usize) {
        assert!(n <= self.consumed, "discarding {n} bytes of {} consumed", self.consumed);
        if n == 0 {
            return;
        }
        self.pos -= n;
        self.consumed -= n;
        // This happens once a command, for while one is in progress `consumed` does not move.
        for span in &mut self.pending {
            span.start -= n as u32;
        }
    }

    /// Bytes still missing from the argument in progress, its CR LF included; 0 when its length has not come, or no
    /// argument is in progress. It is the client's claim: good for sizing a read, not for allocating.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// Arguments that have come of a request in progress.
    pub fn pending_args(&self) -> usize {
        self.pending.len()
    }

    /// Bytes of the arguments that have come of a request in progress. Adds them up: for CLIENT LIST, not for a loop.
    pub fn pending_args_bytes(&self) -> usize {
        self.pending.iter().map(|span| span.len as usize).sum()
    }

    /// A request that begins with `*`. False when it is incomplete.
    fn multibulk(&mut self, buf: &[u8], limits: &Limits, batch: &mut Batch) -> Result<bool, ProtocolError> {
        let rest = &buf[self.pos..];
        match short_number(rest) {
            Some((len, line_len)) if len as i64 <= limits.multibulk_len_allowed() => {
                self.missing = len;
                self.advance(line_len);
            }
            _ => {
                let Some(cr) = self.line_end(rest, b'\r', limits, ProtocolError::TooBigMbulkCount)? else {
                    return Ok(false);
                };
                self.missing = limits.multibulk_len(&rest[1..cr])?;
                self.advance(cr + LINE_END_LEN);
            }
        }
        if self.missing == 0 {
            self.consumed = self.pos;
            return Ok(true);
        }
        // Nearly always the whole request is here, and its spans go where they stay. If it is not, they move out, so
        // that a batch holds complete commands only and can serve another connection next.
        let first_arg = batch.args_mut().len();
        let complete = self.arguments(buf, limits, batch.args_mut());
        if let Ok(true) = complete {
            batch.push_command(first_arg, self.consumed, self.pos, false);
            self.consumed = self.pos;
        } else {
            self.pending.extend(batch.args_mut().drain(first_arg..));
        }
        complete
    }

    /// The rest of a request of which an earlier pass saw the beginning. Its spans gather in `pending` until the last,
    /// so that a million arguments in hundreds of pieces are not moved back and forth at each.
    fn resume_multibulk(&mut self, buf: &[u8], limits: &Limits, batch: &mut Batch) -> Result<bool, ProtocolError> {
        let mut pending = mem::take(&mut self.pending);
        let complete = self.arguments(buf, limits, &mut pending);
        if let Ok(true) = complete {
            let first_arg = batch.args_mut().len();
            batch.args_mut().append(&mut pending);
            batch.push_command(first_arg, self.consumed, self.pos, false);
            self.consumed = self.pos;
            pending.shrink_to(KEPT_PENDING_MAX);
        }
        self.pending = pending;
        complete
    }

    /// Appends the missing arguments to `args`. False when they have not all come.
    #[inline]
    fn arguments(&mut self, buf: &[u8], limits: &Limits, args: &mut Vec<Span>) -> Result<bool, ProtocolError> {
        self.plain_arguments(buf, limits, args);
        if self.missing == 0 { Ok(true) } else { self.further_arguments(buf, limits, args) }
    }

    /// The short way: arguments with short headers that are here to their last byte, with all positions in registers. Stops
    /// before the first that is not so, and leaves it as it was.
    #[inline]
    fn plain_arguments(&mut self, buf: &[u8], limits: &Limits, args: &mut Vec<Span>) {
        if self.bulk_len.is_some() {
            return;
        }
        let len_max = limits.bulk_len_allowed();
        let (mut pos, mut missing) = (self.pos, self.missing);
        while missing > 0 {
            let rest = &buf[pos..];
            let Some((len, line_len)) = short_number(rest) else { break };
            let start = pos + line_len;
            let next = start + len + LINE_END_LEN;
            if rest[0] != b'$' || len as u64 > len_max || next > buf.len() {
                break;
            }
            args.push(Span { start: start as u32, len: len as u32 });
            pos = next;
            missing -= 1;
        }
        if pos != self.pos {
            self.searched = 0;
        }
        (self.pos, self.missing) = (pos, missing);
    }

    /// The way for all others.
    fn further_arguments(&mut self, buf: &[u8], limits: &Limits, args: &mut Vec<Span>) -> Result<bool, ProtocolError> {
        while self.missing > 0 {
            let len = match self.bulk_len.take() {
                Some(len) => len,
                None => match self.bulk_header(buf, limits)? {
                    Some(len) => len,
                    None => return Ok(false),
                },
            };
            let end = self.pos + len;
            if end + LINE_END_LEN > buf.len() {
                self.bulk_len = Some(len);
                self.wanted = end + LINE_END_LEN - buf.len();
                return Ok(false);
            }
            args.push(Span { start: self.pos as u32, len: len as u32 });
            self.pos = end + LINE_END_LEN;
            self.missing -= 1;
        }
        Ok(true)
    }

    /// The length of the bulk whose header stands at `pos`, which then stands behind the header.
    #[inline]
    fn bulk_header(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        let rest = &buf[self.pos..];
        if let [b'$', ..] = rest
            && let Some((len, line_len)) = short_number(rest)
            && len as u64 <= limits.bulk_len_allowed()
        {
            self.advance(line_len);
            return Ok(Some(len));
        }
        self.long_bulk_header(rest, limits)
    }

    #[cold]
    fn long_bulk_header(&mut self, rest: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        let Some(cr) = self.line_end(rest, b'\r', limits, ProtocolError::TooBigBulkCount)? else {
            return Ok(None);
        };
        if rest[0] != b'$' {
            return Err(ProtocolError::ExpectedDollar(rest[0]));
        }
        let len = limits.bulk_len(&rest[1..cr])?;
        let line_len = cr + LINE_END_LEN;
        if len > BUFFER_LEN_MAX.saturating_sub(self.pos + line_len + LINE_END_LEN) {
            return Err(ProtocolError::InvalidBulkLength);
        }
        self.advance(line_len);
        Ok(Some(len))
    }

    /// A request that does not begin with `*`. False when it is incomplete.
    fn inline(&mut self, buf: &[u8], limits: &Limits, batch: &mut Batch) -> Result<bool, ProtocolError> {
        let rest = &buf[self.pos..];
        let Some(lf) = self.line_end(rest, b'\n', limits, ProtocolError::TooBigInline)? else {
            return Ok(false);
        };
        let line = &rest[..lf];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (unescaped, args) = batch.unescaped_mut();
        let (first_byte, first_arg) = (unescaped.len(), args.len());
        if inline::split(line, unescaped, args).is_err() {
            unescaped.truncate(first_byte);
            args.truncate(first_arg);
            return Err(ProtocolError::UnbalancedQuotes);
        }
        self.advance(lf + 1);
        if args.len() > first_arg {
            batch.push_command(first_arg, self.consumed, self.pos, true);
        }
        self.consumed = self.pos;
        Ok(true)
    }

    /// Steps over a line that has been understood.
    #[inline]
    fn advance(&mut self, line_len: usize) {
        self.pos += line_len;
        self.searched = 0;
    }

    /// Where `end` stands in `rest`, the bytes at `pos`; for a CR the byte behind it has come, too. `None` when it has
    /// not come yet, `too_big` when it never may.
    fn line_end(
        &mut self,
        rest: &[u8],
        end: u8,
        limits: &Limits,
        too_big: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        let window = &rest[..rest.len().min(limits.inline_len_max.saturating_add(1))];
        let found = memchr2(end, 0, &window[self.searched.min(window.len())..]).map(|at| self.searched + at);
        self.searched = found.unwrap_or(window.len());
        match found {
            Some(at) if rest[at] == end => Ok((end == b'\n' || at + LINE_END_LEN <= rest.len()).then_some(at)),
            _ if rest.len() > limits.inline_len_max => Err(too_big),
            _ => Ok(None),
        }
    }
}

/// CR LF; where Redis skips it unseen, any two bytes.
const LINE_END_LEN: usize = 2;
/// Spans for which a parser keeps room between requests that come in pieces: half a kilobyte a connection.
const KEPT_PENDING_MAX: usize = 64;

/// A number of at most four digits behind a marker, and the length of its line; `None` when the line looks otherwise, is
/// incomplete, or has a leading zero.
#[inline]
fn short_number(rest: &[u8]) -> Option<(usize, usize)> {
    const DIGITS_MAX: usize = 4;
    // With the window's size known the loop is unrolled and nothing is checked twice. The last line of a buffer may be
    // shorter than the window; the strict path reads that one.
    let line: &[u8; 1 + DIGITS_MAX + LINE_END_LEN] = rest.first_chunk()?;
    let mut number = 0;
    for at in 1..DIGITS_MAX + LINE_END_LEN {
        if line[at] == b'\r' {
            let canonical = at == 2 || at > 2 && line[1] != b'0';
            return canonical.then_some((number, at + LINE_END_LEN));
        }
        let digit = line[at].wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + usize::from(digit);
    }
    None
}
