//! What goes back to a client: RESP2 or RESP3, written straight into the connection's output.
//!
//! Payloads of [`SHARED_MIN`] bytes and more are not copied: the output notes where they stand between its own bytes
//! and keeps them alive until they are written.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use store::entry::SHARED_MIN;
use store::value::Str;
use store::value::listpack::Item;

use crate::error::Error;
use crate::number;

/// Most bytes of a header and the line end behind a bulk string.
const HEADER_MAX: usize = 32;

/// Elements from which on an array is long; see [`Reply::make_room`].
const LONG: usize = 4096;

/// A connection's output, in the order it will be sent.
#[derive(Default)]
pub struct Reply {
    bytes: Vec<u8>,
    /// Bytes of `bytes` that are sent already.
    sent: usize,
    /// Payloads by reference: each stands before the byte at `at` (counted from the start of `bytes`).
    shared: VecDeque<Shared>,
    /// Bytes of `shared` in all.
    shared_bytes: usize,
    /// See [`Self::is_over_limit`].
    limit_bytes: Option<usize>,
    /// What may wait besides; see [`Self::begin_unbounded`].
    room_bytes: usize,
    resp3: bool,
}

struct Shared {
    at: usize,
    sent: usize,
    payload: Arc<Vec<u8>>,
}

/// A point in the output, to which it can be taken back.
#[derive(Clone, Copy)]
pub struct Mark {
    bytes: usize,
    shared: usize,
}

impl Reply {
    /// Whether maps, sets, doubles and the like are sent as such (RESP3).
    #[inline]
    pub fn resp3(&self) -> bool {
        self.resp3
    }

    /// Chooses the protocol version for what follows.
    pub fn set_resp3(&mut self, resp3: bool) {
        self.resp3 = resp3;
    }

    /// `+text`.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.bytes.extend_from_slice(b"+OK\r\n");
    }

    /// `-CODE text`.
    pub fn error(&mut self, error: &Error) {
        self.line(b'-', error.0.as_bytes());
    }

    /// An integer.
    #[inline]
    pub fn int(&mut self, int: i64) {
        self.header(b':', int);
    }

    /// A count.
    #[inline]
    pub fn len(&mut self, len: usize) {
        self.int(len as i64);
    }

    /// 1 or 0.
    pub fn flag(&mut self, flag: bool) {
        self.int(i64::from(flag));
    }

    /// A true or false value: `#t` in RESP3, 1 in RESP2.
    pub fn boolean(&mut self, value: bool) {
        if self.resp3 {
            self.bytes.extend_from_slice(if value { b"#t\r\n" } else { b"#f\r\n" });
        } else {
            self.flag(value);
        }
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.bytes.reserve(bytes.len() + HEADER_MAX);
        self.header(b'$', bytes.len() as i64);
        self.bytes.extend_from_slice(bytes);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// A bulk string of an integer's decimal form.
    pub fn bulk_int(&mut self, int: i64) {
        self.bulk(itoa::Buffer::new().format(int).as_bytes());
    }

    /// A bulk string whose large payload is not copied.
    pub fn bulk_shared(&mut self, payload: &Arc<Vec<u8>>) {
        if payload.len() < SHARED_MIN {
            return self.bulk(payload);
        }
        self.header(b'$', payload.len() as i64);
        self.shared.push_back(Shared { at: self.bytes.len(), sent: 0, payload: payload.clone() });
        self.shared_bytes += payload.len();
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// A string value.
    #[inline]
    pub fn string(&mut self, value: Str<'_>) {
        match value {
            Str::Int(int) => self.bulk_int(int),
            Str::Bytes(bytes) => self.bulk(bytes),
            Str::Shared(payload) => self.bulk_shared(payload),
        }
    }

    /// An element of a packed value.
    #[inline]
    pub fn item(&mut self, item: Item<'_>) {
        match item {
            Item::Int(int) => self.bulk_int(int),
            Item::Bytes(bytes) => self.bulk(bytes),
        }
    }

    /// Makes room for these elements and no more. An output that grows step by step needs up to three times its bytes at
    /// the end, so a long array asks for its memory at once.
    pub fn make_room<'i>(&mut self, items: impl ExactSizeIterator<Item = Item<'i>>) {
        if items.len() >= LONG {
            let bytes: usize = items.map(|item| item.len() + HEADER_MAX).sum();
            self.bytes.reserve_exact(bytes);
        }
    }

    /// A double: `,` in RESP3, a bulk string in RESP2.
    pub fn double(&mut self, value: f64) {
        let mut text = Vec::with_capacity(32);
        number::write_f64(value, &mut text);
        if self.resp3 { self.line(b',', &text) } else { self.bulk(&text) }
    }

    /// A large number as text: `(` in RESP3, a bulk string in RESP2.
    pub fn big_number(&mut self, text: &str) {
        if self.resp3 { self.line(b'(', text.as_bytes()) } else { self.bulk(text.as_bytes()) }
    }

    /// Text for people: a verbatim string in RESP3 (`format` has three letters), a bulk string in RESP2.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        if self.resp3 {
            self.header(b'=', text.len() as i64 + 4);
            self.bytes.extend_from_slice(format.as_bytes());
            self.bytes.push(b':');
            self.bytes.extend_from_slice(text);
            self.bytes.extend_from_slice(b"\r\n");
        } else {
            self.bulk(text);
        }
    }

    /// Nothing, where a string might be.
    #[inline]
    pub fn null(&mut self) {
        self.bytes.extend_from_slice(if self.resp3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// Nothing, where an array might be.
    pub fn null_array(&mut self) {
        self.bytes.extend_from_slice(if self.resp3 { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// The head of an array of so many replies.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len as i64);
    }

    /// The head of a map of so many pairs; a flat array in RESP2.
    pub fn map(&mut self, pairs: usize) {
        if self.resp3 { self.header(b'%', pairs as i64) } else { self.array(pairs * 2) }
    }

    /// The head of a set; an array in RESP2.
    pub fn set(&mut self, len: usize) {
        self.header(if self.resp3 { b'~' } else { b'*' }, len as i64);
    }

    /// The head of a push message; an array in RESP2.
    pub fn push(&mut self, len: usize) {
        self.header(if self.resp3 { b'>' } else { b'*' }, len as i64);
    }

    /// An array of bulk strings.
    pub fn bulks<A: AsRef<[u8]>>(&mut self, items: impl IntoIterator<Item = A, IntoIter: ExactSizeIterator>) {
        let items = items.into_iter();
        self.array(items.len());
        items.for_each(|item| self.bulk(item.as_ref()));
    }

    /// Puts what `write` writes in front of what came after the mark: the head of an array whose length is known only
    /// when its elements are written. Nothing after the mark may have been sent.
    pub fn prepend(&mut self, at: Mark, write: impl FnOnce(&mut Self)) {
        let end = self.mark();
        write(self);
        debug_assert_eq!(self.shared.len(), end.shared, "a head has no large payloads");
        let head_len = self.bytes.len() - end.bytes;
        // In place, so that a large reply is never held twice.
        self.bytes[at.bytes..].rotate_right(head_len);
        self.shared.range_mut(at.shared..).for_each(|shared| shared.at += head_len);
    }

    /// All of another output that nothing of was sent yet.
    pub fn append(&mut self, other: &Self) {
        debug_assert_eq!(other.sent, 0);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        for shared in &other.shared {
            let payload = shared.payload.clone();
            self.shared_bytes += payload.len();
            self.shared.push_back(Shared { at: start + shared.at, sent: 0, payload });
        }
    }

    /// The same for a message that was encoded as an array: RESP3 has a type of its own for it.
    pub fn append_push(&mut self, message: &Self) {
        let start = self.bytes.len();
        self.append(message);
        if self.resp3 {
            self.bytes[start] = b'>';
        }
    }

    /// Bytes that are RESP already.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Where the output stands.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), shared: self.shared.len() }
    }

    /// Takes back everything after the mark; nothing of it may have been sent.
    pub fn rewind(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        for gone in self.shared.drain(mark.shared..) {
            self.shared_bytes -= gone.payload.len();
        }
    }

    /// Whether all was sent.
    #[inline]
    pub fn is_sent(&self) -> bool {
        self.sent == self.bytes.len() && self.shared.is_empty()
    }

    /// Bytes still to be sent, those by reference included.
    pub fn pending_bytes(&self) -> usize {
        self.bytes.len() - self.sent + self.shared_bytes
    }

    /// Sets how many bytes may wait beyond the connection's room; none is no limit.
    pub fn set_limit(&mut self, limit_bytes: Option<usize>, room_bytes: usize) {
        self.limit_bytes = limit_bytes;
        self.room_bytes = room_bytes;
    }

    /// From now on all that waits counts against the limit. Redis keeps no answer in the client's own room once it has
    /// left out a length to be filled in later.
    pub fn begin_unbounded(&mut self) -> Mark {
        self.room_bytes = 0;
        self.mark()
    }

    /// Whether what is answered ends at a limit of no more than so many bytes, whatever a command goes on to say.
    pub fn ends_within(&self, bytes: usize) -> bool {
        self.limit_bytes.is_some_and(|limit| limit <= bytes)
    }

    /// Whether so much waits that the client is going to be closed without an answer. A command that may answer without
    /// bound asks this now and then, and stops.
    #[inline]
    pub fn is_over_limit(&self) -> bool {
        self.limit_bytes.is_some_and(|limit| self.pending_bytes() > limit + self.room_bytes)
    }

    /// The output's own buffer, in bytes allocated.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Number of payloads by reference.
    pub fn shared_len(&self) -> usize {
        self.shared.len()
    }

    /// Fills `slices` with what comes next, in order.
    pub fn slices<'a>(&'a self, slices: &mut Vec<IoSlice<'a>>, max: usize) {
        let mut from = self.sent;
        for shared in &self.shared {
            if slices.len() + 2 > max {
                return;
            }
            if shared.at > from {
                slices.push(IoSlice::new(&self.bytes[from..shared.at]));
                from = shared.at;
            }
            slices.push(IoSlice::new(&shared.payload[shared.sent..]));
        }
        if self.bytes.len() > from {
            slices.push(IoSlice::new(&self.bytes[from..]));
        }
    }

    /// The bytes to send, if nothing is by reference.
    #[inline]
    pub fn plain(&self) -> Option<&[u8]> {
        self.shared.is_empty().then(|| &self.bytes[self.sent..])
    }

    /// Notes that the next `n` bytes are sent.
    pub fn advance(&mut self, mut n: usize) {
        while n > 0 {
            let until = self.shared.front().map_or(self.bytes.len(), |shared| shared.at);
            let own = n.min(until - self.sent);
            self.sent += own;
            n -= own;
            let Some(shared) = self.shared.front_mut().filter(|_| n > 0) else { break };
            let part = n.min(shared.payload.len() - shared.sent);
            shared.sent += part;
            n -= part;
            self.shared_bytes -= part;
            if shared.sent == shared.payload.len() {
                self.shared.pop_front();
            }
        }
        debug_assert_eq!(n, 0, "more was sent than there was");
        if self.is_sent() {
            self.bytes.clear();
            self.sent = 0;
        }
    }

    /// Gives memory back when a large reply has gone, keeping `keep` bytes.
    pub fn shrink(&mut self, keep: usize) {
        if self.is_sent() {
            self.bytes.shrink_to(keep);
        }
    }

    #[inline(always)]
    fn header(&mut self, kind: u8, n: i64) {
        // Nearly all headers have one or two digits; arrays of a fixed length are copied without a call.
        match n {
            0..10 => self.bytes.extend_from_slice(&[kind, b'0' + n as u8, b'\r', b'\n']),
            10..100 => {
                let digits = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
                self.bytes.extend_from_slice(&[kind, digits[0], digits[1], b'\r', b'\n']);
            }
            _ => self.long_header(kind, n),
        }
    }

    #[inline(never)]
    fn long_header(&mut self, kind: u8, n: i64) {
        self.line(kind, itoa::Buffer::new().format(n).as_bytes());
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(text);
        self.bytes.extend_from_slice(b"\r\n");
    }
}
