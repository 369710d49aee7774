//! Bytes that have come from a client and are not executed yet.
//!
//! Most connections most of the time have none: then a read goes into the worker's own buffer, and what is complete is
//! executed from there. Only when a command comes in pieces its connection gets a buffer of its own, which it keeps for
//! a while, since whoever sends large commands will send more of them. Redis does the same, and its sizes are told by
//! CLIENT LIST, so they are kept here: [`Query::tend`] is called about once a second.

use super::worker::READ_BYTES;

/// A buffer grows ahead of what has come by at most this much, or by what it holds already, whatever length a client
/// claims: so memory follows what was sent.
const AHEAD_BYTES_MAX: usize = 1024 * 1024;
/// A read is not worth its system call if there is less room than this.
const ROOM_BYTES_MIN: usize = 16 * 1024;
/// Room that is not worth taking away.
const WASTE_BYTES: usize = 4 * 1024;
/// Seconds without a sign of the client after which its buffer is cut.
const IDLE_SECS: i64 = 2;

/// See the file's head.
#[derive(Default)]
pub(super) struct Query {
    /// **Invariant.** All of it is initialised; the first `filled` bytes are the client's.
    bytes: Vec<u8>,
    filled: usize,
    /// Most bytes at once since [`Self::tend`].
    peak: usize,
}

impl Query {
    /// Whether the connection has a buffer of its own.
    #[inline]
    pub(super) fn is_own(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Bytes that wait.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.filled
    }

    /// Room behind them.
    pub(super) fn free(&self) -> usize {
        self.bytes.len() - self.filled
    }

    /// The bytes that wait.
    pub(super) fn filled(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// Takes over what the worker's buffer could not hold on to; `wanted` bytes of the command are still to come.
    pub(super) fn keep(&mut self, rest: &[u8], wanted: usize) {
        debug_assert_eq!(self.filled, 0, "a connection with a buffer of its own reads into it");
        if rest.is_empty() {
            return;
        }
        self.make_room(rest.len() + wanted.min(AHEAD_BYTES_MAX));
        self.bytes[..rest.len()].copy_from_slice(rest);
        self.fill(rest.len());
    }

    /// Room for the next read.
    pub(super) fn room(&mut self, wanted: usize) -> &mut [u8] {
        self.make_room(wanted);
        &mut self.bytes[self.filled..]
    }

    /// Room for `wanted` bytes, as far as that is safe. A whole buffer has [`READ_BYTES`] at least.
    fn make_room(&mut self, wanted: usize) {
        let ahead_max = self.filled.max(AHEAD_BYTES_MAX + READ_BYTES);
        let needed = wanted.clamp(ROOM_BYTES_MIN, ahead_max);
        if self.free() >= needed {
            return;
        }
        let len = (self.filled + needed).max(READ_BYTES);
        // Fresh zeroed memory costs nothing until it is used; growing would touch all of it.
        let mut bytes = vec![0; len];
        bytes[..self.filled].copy_from_slice(self.filled());
        self.bytes = bytes;
    }

    /// Notes that a read has brought so many bytes.
    pub(super) fn fill(&mut self, n: usize) {
        self.filled += n;
        self.peak = self.peak.max(self.filled);
    }

    /// Forgets the first bytes.
    pub(super) fn consume(&mut self, n: usize) {
        self.bytes.copy_within(n..self.filled, 0);
        self.filled -= n;
    }

    /// Gives back what is not used: everything, when the client is idle and nothing waits; else what goes beyond the
    /// recent peak, when that is at most half of it. `wanted` bytes of an unfinished command are still to come.
    pub(super) fn tend(&mut self, idle_secs: i64, wanted: usize) {
        let expected = self.filled + wanted.min(AHEAD_BYTES_MAX);
        if self.free() > WASTE_BYTES {
            if idle_secs > IDLE_SECS {
                self.resize(self.filled);
            } else if self.bytes.len() > READ_BYTES && self.bytes.len() / 2 > self.peak {
                // Not to nothing, though nothing may have come since: who is not idle keeps a buffer of its own.
                self.resize(self.peak.max(expected).max(1));
            }
        }
        self.peak = if self.is_own() { expected } else { 0 };
    }

    fn resize(&mut self, len: usize) {
        self.bytes.resize(len, 0);
        self.bytes.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_a_command_gets_a_buffer_and_keeps_it() {
        let mut query = Query::default();
        query.keep(b"*3\r\n$3\r\nset", 100);
        assert_eq!((query.len(), query.len() + query.free()), (11, READ_BYTES));
        query.room(100)[..2].copy_from_slice(b"\r\n");
        query.fill(2);
        assert_eq!(query.filled(), b"*3\r\n$3\r\nset\r\n");
        query.consume(4);
        assert_eq!(query.filled(), b"$3\r\nset\r\n");
        query.consume(9);
        assert!(query.is_own() && query.len() == 0);
        query.tend(2, 0);
        assert!(query.is_own(), "not idle for long enough");
        query.tend(3, 0);
        assert!(!query.is_own());
    }

    #[test]
    fn room_follows_what_has_come_and_not_what_is_claimed() {
        let mut query = Query::default();
        query.keep(b"x", usize::MAX / 2);
        assert_eq!(query.free(), AHEAD_BYTES_MAX);
        let ahead_max = AHEAD_BYTES_MAX + READ_BYTES;
        let mut whole = 1;
        for _ in 0..10 {
            let n = query.room(usize::MAX / 2).len();
            query.fill(n);
            whole += n;
            assert!(query.room(usize::MAX / 2).len() <= whole.max(ahead_max), "after {whole} bytes");
        }
    }

    #[test]
    fn a_buffer_shrinks_to_its_recent_peak() {
        let mut query = Query::default();
        query.keep(b"x", 400_000);
        assert!(query.free() >= 400_000);
        query.tend(0, 0);
        assert_eq!(query.len() + query.free(), 1, "nothing more was expected");
        query.keep_nothing();
        query.room(400_000);
        query.fill(300_000);
        query.consume(300_000);
        query.tend(0, 0);
        assert!(query.free() >= 300_000, "the peak was just there");
        query.fill(100);
        query.consume(100);
        query.tend(0, 0);
        assert_eq!(query.free(), 100);
        query.room(400_000);
        query.tend(0, 0);
        query.tend(1, 0);
        assert!(query.is_own() && query.free() < 100, "nothing has come in between, but it is not idle");
        query.room(0);
        query.fill(10);
        query.tend(9, 0);
        assert_eq!((query.len(), query.free()), (10, 0));
    }

    impl Query {
        fn keep_nothing(&mut self) {
            *self = Self::default();
        }
    }
}
