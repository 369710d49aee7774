//! The writing end: reserve, copy, publish.

// The copy goes to a place that the reservation has made the writer's own.
#![allow(unsafe_code)]

use std::sync::Arc;

use super::Ring;
use super::marks::Mark;
use super::primitive::Ordering::*;
use super::tail::{NO_DB, Tail};
use super::trim::WRITER_FREES_MAX;

/// A thread's handle for appending.
#[derive(Debug)]
pub struct Appender {
    ring: Arc<Ring>,
    mark: Mark,
}

impl Appender {
    pub(super) fn new(ring: Arc<Ring>) -> Self {
        // SAFETY: given back when the handle is dropped, which keeps the ring until then.
        let mark = unsafe { ring.appending.claim() };
        Self { ring, mark }
    }

    /// The stream that it appends to.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// Appends one record, contiguous, and says where it ends. `first_db` is the database that it expects to be selected
    /// (a SELECT is put before it unless that is so), `last_db` the one that it leaves selected. With [`NO_DB`] for both
    /// it needs none and changes none.
    pub fn append(&mut self, first_db: u32, last_db: u32, parts: &[&[u8]]) -> u64 {
        self.append_opened(first_db, last_db, b"", parts)
    }

    /// The same, but with an `opening` that stands before the SELECT if there is one: the MULTI of a transaction, which
    /// Redis puts there too.
    pub fn append_opened(&mut self, first_db: u32, last_db: u32, opening: &[u8], parts: &[&[u8]]) -> u64 {
        let bytes = opening.len() + parts.iter().map(|part| part.len()).sum::<usize>();
        self.reserve_and_copy(opening, parts, |tail| {
            let select = (first_db != NO_DB && tail.database() != first_db).then(|| Select::new(first_db));
            let after = if last_db == NO_DB { tail.database() } else { last_db };
            (select, bytes, after)
        })
    }

    /// Appends bytes as they came from a primary, its SELECTs among them, after which `db_after` is selected.
    pub fn append_raw(&mut self, parts: &[&[u8]], db_after: u32) -> u64 {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        self.reserve_and_copy(b"", parts, |_| (None, bytes, db_after))
    }

    /// `plan` says for a tail what is to stand between the opening and the parts, how long these are together, and the
    /// database after them.
    fn reserve_and_copy(
        &mut self,
        opening: &[u8],
        parts: &[&[u8]],
        plan: impl Fn(Tail) -> (Option<Select>, usize, u32),
    ) -> u64 {
        let ring = &*self.ring;
        let base = ring.base.load(Relaxed);
        let mut seen = ring.tail.load(Relaxed);
        // Before the reservation, and at or below where it will begin: see "memory orderings" in ring.rs.
        self.mark.set(Tail(seen).offset_near(base));
        let (begin, select, end) = loop {
            let (select, bytes, database) = plan(Tail(seen));
            let begin = Tail(seen).offset_near(base);
            let end = begin + (select.as_ref().map_or(0, |select| select.bytes().len()) + bytes) as u64;
            match ring.tail.compare_exchange_weak(seen, Tail::new(end, database).0, AcqRel, Relaxed) {
                Ok(_) => break (begin, select, end),
                Err(now) => seen = now,
            }
        };
        let mut at = begin;
        let select = select.as_ref().map(Select::bytes);
        for part in std::iter::once(&opening).chain(&select).chain(parts) {
            // SAFETY: the exchange has made these offsets ours, and the mark keeps them from being published.
            unsafe { ring.segments.write(at, part) };
            at += part.len() as u64;
        }
        debug_assert_eq!(at, end);
        self.mark.clear();
        if ring.segments.number(begin) != ring.segments.number(end) {
            // Once a segment is often enough for both.
            ring.base.store(end, Relaxed);
            ring.trim_some(WRITER_FREES_MAX);
        }
        end
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        self.mark.give_back();
    }
}

/// A SELECT as it stands in the stream.
struct Select {
    bytes: [u8; Self::BYTES_MAX],
    length: usize,
}

impl Select {
    const BYTES_MAX: usize = "*2\r\n$6\r\nSELECT\r\n$10\r\n4294967295\r\n".len();

    fn new(database: u32) -> Self {
        use std::io::Write;
        let mut select = Self { bytes: [0; Self::BYTES_MAX], length: 0 };
        let digits = database.checked_ilog10().unwrap_or(0) + 1;
        let mut rest = &mut select.bytes[..];
        write!(rest, "*2\r\n$6\r\nSELECT\r\n${digits}\r\n{database}\r\n").expect("the longest fits");
        select.length = Self::BYTES_MAX - rest.len();
        select
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
