//! Replies out of a stream that arrives in pieces.
//!
//! The decoder is a loop over *elements*, not a recursion over values: an element is a line, a bulk string or the
//! header of an aggregate. A header pushes an open aggregate on a stack; a finished value goes into the innermost open
//! aggregate, which, when it is full, is a finished value itself. So when bytes run out the whole state is the stack,
//! at most one bulk header whose body is still to come, and how far the current line has been searched; no byte is
//! understood twice. A recursive decoder would have to start again from the frame's first byte, which makes a large
//! reply over a slow link quadratic.
//!
//! Memory follows the bytes that have arrived, never the lengths they claim.

use std::fmt;

use memchr::memchr;

use crate::{Reply, decimal::parse_i64};

/// Aggregates inside aggregates: how deep a reply may be. The deepest reply of Redis itself (COMMAND DOCS) needs about
/// ten levels; a value of this depth can be dropped, compared and encoded recursively on any thread's stack.
pub const REPLY_DEPTH_MAX: usize = 128;

/// Bytes a line may have. Bulk headers need 22; statuses and errors are prose, and scripts may make them long.
pub const LINE_LEN_MAX: usize = 1 << 20;

/// Bytes a bulk string may have. Redis's default is 512 MB, but `proto-max-bulk-len` can be raised.
pub const BULK_LEN_MAX: i64 = 1 << 32;

/// Elements (of a map: pairs) an aggregate may have.
pub const AGGREGATE_LEN_MAX: i64 = 1 << 32;

/// Elements for which an aggregate reserves room before they have arrived.
const RESERVED_ITEMS_MAX: usize = 32;

/// Decodes replies from bytes as they arrive.
///
/// Bytes go in with [`feed`](Self::feed), replies come out of [`next`](Self::next). The decoder buffers what it has
/// not decoded; a caller that fears the peer bounds how much it feeds for one reply.
#[derive(Debug, Default)]
pub struct ReplyDecoder {
    /// Bytes from `pos` on are not yet understood.
    buffer: Vec<u8>,
    pos: usize,
    /// No line feed stands in `buffer[pos..pos + searched]`.
    searched: usize,
    /// A bulk header that has been read and whose body has not.
    bulk: Option<BulkHeader>,
    /// Aggregates not yet full, outermost first.
    open: Vec<Aggregate>,
    /// After an error the stream has no known frame boundary any more, so the error stays.
    failed: Option<ReplyError>,
}

/// Why bytes are not a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyError {
    /// The first byte of an element is no marker of RESP2 or RESP3.
    UnknownMarker(u8),
    /// A line ends in LF without CR, or a bulk string is not followed by CR LF.
    BadLineEnd,
    /// A line is longer than [`LINE_LEN_MAX`].
    LineTooLong,
    /// The length of a bulk string or aggregate is no number in its range; holds the marker.
    BadLength(u8),
    /// The text of a number, boolean, null or verbatim string does not fit its type; holds the marker.
    BadText(u8),
    /// Aggregates nest deeper than [`REPLY_DEPTH_MAX`].
    TooDeep,
}

impl ReplyDecoder {
    /// A decoder at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes that arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        // Moving the undecoded rest is worth it only when what is dropped outweighs what is moved.
        if self.pos > self.buffer.len() / 2 {
            self.buffer.drain(..self.pos);
            self.pos = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete reply, or `None` when more bytes are needed. After an error, the same error for ever.
    ///
    /// # Errors
    /// [`ReplyError`] when the bytes are not RESP.
    #[expect(clippy::should_implement_trait, reason = "an iterator's None means the end; here it means: feed me")]
    pub fn next(&mut self) -> Result<Option<Reply>, ReplyError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = self.next_reply();
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        result
    }

    /// The bytes fed and not yet understood. When [`next`](Self::next) has just returned a reply they are all that
    /// followed it, for streams that change their format behind a reply, as replication does.
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.pos..]
    }

    fn next_reply(&mut self) -> Result<Option<Reply>, ReplyError> {
        while let Some(element) = self.next_element()? {
            let mut done = match element {
                Element::Value(value) => value,
                Element::Header(shape, len) => {
                    if self.open.len() == REPLY_DEPTH_MAX {
                        return Err(ReplyError::TooDeep);
                    }
                    let aggregate = Aggregate::new(shape, len);
                    if aggregate.missing > 0 {
                        self.open.push(aggregate);
                        continue;
                    }
                    aggregate.finish()
                }
            };
            loop {
                let Some(parent) = self.open.last_mut() else {
                    return Ok(Some(done));
                };
                parent.add(done);
                if parent.missing > 0 {
                    break;
                }
                done = self.open.pop().expect("the parent was just there").finish();
            }
        }
        Ok(None)
    }

    fn next_element(&mut self) -> Result<Option<Element>, ReplyError> {
        if let Some(header) = self.bulk {
            return self.bulk_body(header);
        }
        // The marker is judged before the line is complete: garbage fails at its first byte.
        match self.buffer.get(self.pos) {
            None => return Ok(None),
            Some(marker) if !MARKERS.contains(marker) => return Err(ReplyError::UnknownMarker(*marker)),
            Some(_) => {}
        }
        let Some(line_len) = self.line()? else {
            return Ok(None);
        };
        let line = &self.buffer[self.pos..self.pos + line_len];
        let (marker, text) = (line[0], &line[1..]);
        let element = match marker {
            b'$' | b'=' | b'!' => {
                let least = if marker == b'=' { VERBATIM_PREFIX_LEN as i64 } else { 0 };
                match length(marker, text, least, BULK_LEN_MAX) {
                    Err(_) if marker == b'$' && text == b"-1" => Element::Value(Reply::NullBulk),
                    len => {
                        let header = BulkHeader { marker, len: len? };
                        self.bulk = Some(header);
                        self.pos += line_len + LINE_END_LEN;
                        return self.bulk_body(header);
                    }
                }
            }
            b'*' if text == b"-1" => Element::Value(Reply::NullArray),
            b'*' | b'%' | b'~' | b'>' | b'|' => {
                Element::Header(Shape::of(marker), length(marker, text, 0, AGGREGATE_LEN_MAX)?)
            }
            _ => Element::Value(line_value(marker, text)?),
        };
        self.pos += line_len + LINE_END_LEN;
        Ok(Some(element))
    }

    /// The length of the line at `pos` without its CR LF, or `None` while it is incomplete.
    fn line(&mut self) -> Result<Option<usize>, ReplyError> {
        let unread = &self.buffer[self.pos..];
        let Some(found) = memchr(b'\n', &unread[self.searched..]) else {
            self.searched = unread.len();
            return if self.searched > LINE_LEN_MAX { Err(ReplyError::LineTooLong) } else { Ok(None) };
        };
        let line_feed = self.searched + found;
        self.searched = 0;
        if line_feed > LINE_LEN_MAX {
            return Err(ReplyError::LineTooLong);
        }
        // The line has at least its marker, which is no CR, so a CR before the LF belongs to the line's end.
        if unread[line_feed - 1] != b'\r' {
            return Err(ReplyError::BadLineEnd);
        }
        Ok(Some(line_feed - 1))
    }

    fn bulk_body(&mut self, header: BulkHeader) -> Result<Option<Element>, ReplyError> {
        let unread = &self.buffer[self.pos..];
        let Some(rest) = unread.get(header.len..).filter(|rest| rest.len() >= LINE_END_LEN) else {
            return Ok(None);
        };
        if !rest.starts_with(b"\r\n") {
            return Err(ReplyError::BadLineEnd);
        }
        let body = &unread[..header.len];
        let value = match header.marker {
            b'$' => Reply::Bulk(body.to_vec()),
            b'!' => Reply::BulkError(body.to_vec()),
            _ => verbatim(body)?,
        };
        self.pos += header.len + LINE_END_LEN;
        self.bulk = None;
        Ok(Some(Element::Value(value)))
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplyError::UnknownMarker(byte) => write!(f, "'{}' begins no reply", byte.escape_ascii()),
            ReplyError::BadLineEnd => write!(f, "CR LF missing at the end of a line or bulk string"),
            ReplyError::LineTooLong => write!(f, "line longer than {LINE_LEN_MAX} bytes"),
            ReplyError::BadLength(marker) => write!(f, "invalid length after '{}'", marker.escape_ascii()),
            ReplyError::BadText(marker) => write!(f, "invalid text after '{}'", marker.escape_ascii()),
            ReplyError::TooDeep => write!(f, "reply nested deeper than {REPLY_DEPTH_MAX} levels"),
        }
    }
}

impl std::error::Error for ReplyError {}

const MARKERS: &[u8] = b"+-:$*_%~>,#(=!|";
const LINE_END_LEN: usize = 2;
/// Three letters and a colon.
const VERBATIM_PREFIX_LEN: usize = 4;

enum Element {
    Value(Reply),
    Header(Shape, usize),
}

#[derive(Clone, Copy, Debug)]
struct BulkHeader {
    marker: u8,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Array,
    Map,
    Set,
    Push,
    /// Its pairs, and behind them the reply they are about.
    Attribute,
}

impl Shape {
    fn of(marker: u8) -> Shape {
        match marker {
            b'%' => Shape::Map,
            b'~' => Shape::Set,
            b'>' => Shape::Push,
            b'|' => Shape::Attribute,
            _ => Shape::Array,
        }
    }
}

#[derive(Debug)]
struct Aggregate {
    shape: Shape,
    /// Keys and values of pairs alternate.
    items: Vec<Reply>,
    missing: usize,
}

impl Aggregate {
    fn new(shape: Shape, len: usize) -> Self {
        // `len` is at most AGGREGATE_LEN_MAX, so doubling it cannot overflow.
        let missing = match shape {
            Shape::Array | Shape::Set | Shape::Push => len,
            Shape::Map => 2 * len,
            Shape::Attribute => 2 * len + 1,
        };
        Aggregate { shape, items: Vec::with_capacity(missing.min(RESERVED_ITEMS_MAX)), missing }
    }

    fn add(&mut self, item: Reply) {
        self.items.push(item);
        self.missing -= 1;
    }

    fn finish(mut self) -> Reply {
        match self.shape {
            Shape::Array => Reply::Array(self.items),
            Shape::Set => Reply::Set(self.items),
            Shape::Push => Reply::Push(self.items),
            Shape::Map => Reply::Map(pairs(self.items)),
            Shape::Attribute => {
                let about = self.items.pop().expect("an attribute is full only with the reply behind it");
                Reply::Attribute(pairs(self.items), Box::new(about))
            }
        }
    }
}

fn pairs(items: Vec<Reply>) -> Vec<(Reply, Reply)> {
    let mut pairs = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        pairs.push((key, value));
    }
    pairs
}

fn length(marker: u8, text: &[u8], least: i64, most: i64) -> Result<usize, ReplyError> {
    parse_i64(text)
        .filter(|len| (least..=most).contains(len))
        .and_then(|len| usize::try_from(len).ok())
        .ok_or(ReplyError::BadLength(marker))
}

fn line_value(marker: u8, text: &[u8]) -> Result<Reply, ReplyError> {
    let value = match marker {
        b'+' => Some(Reply::Simple(text.to_vec())),
        b'-' => Some(Reply::Error(text.to_vec())),
        b':' => parse_i64(text).map(Reply::Integer),
        b'_' => text.is_empty().then_some(Reply::Null),
        b',' => is_double(text).then(|| Reply::Double(text.to_vec())),
        b'#' => match text {
            b"t" => Some(Reply::Boolean(true)),
            b"f" => Some(Reply::Boolean(false)),
            _ => None,
        },
        b'(' => is_big_number(text).then(|| Reply::BigNumber(text.to_vec())),
        _ => unreachable!("bulk and aggregate markers have been dealt with, others refused"),
    };
    value.ok_or(ReplyError::BadText(marker))
}

fn is_double(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<f64>().is_ok())
}

fn is_big_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

fn verbatim(body: &[u8]) -> Result<Reply, ReplyError> {
    match body {
        [a, b, c, b':', text @ ..] => Ok(Reply::Verbatim { format: [*a, *b, *c], text: text.to_vec() }),
        _ => Err(ReplyError::BadText(b'=')),
    }
}
