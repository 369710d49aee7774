//! Reading from several connections before the first command of any of them runs.
//!
//! Clients that wait for each reply send one command at a time. If each ran as soon as it is read, each would wait for its
//! entry to come from memory. In a *round* the first commands of several connections are looked ahead at, like the commands
//! of a pipeline; and the kernel's code for reading is in the cache when it is used many times in a row. Replies leave at the
//! end of the tick anyhow, so nobody waits longer for it.

use std::io;

use commands::args::Args;
use commands::pipeline::Prepared;
use resp_parser::{Batch, ProtocolError};
use slab::Slab;
use smallvec::SmallVec;

use super::READ_BYTES;
use super::serving::{Arrival, Core, Parsed, note_read, parse, read};
use crate::net::connection::Connection;
use crate::server::Server;

/// Connections of a round, at most.
const ROUND_MAX: usize = 16;
/// Every read may take [`READ_BYTES`], so a round has fewer connections when they have sent much.
const BUFFER_BYTES: usize = 2 * READ_BYTES;
/// What a connection has sent begins at a line of the cache.
const LINE_BYTES: usize = 64;

/// See the file's head. Its memory is bounded by its buffer, since that is all that is parsed.
pub(super) struct Intake {
    buffer: Vec<u8>,
    places: [Place; ROUND_MAX],
}

/// One connection of the round.
#[derive(Default)]
struct Place {
    /// Where in the buffer its bytes begin.
    begin: usize,
    /// How many bytes came. None if it was not read from: it has a buffer of its own, or waits, or is closing.
    outcome: Option<Result<usize, io::ErrorKind>>,
    batch: Batch,
    max: usize,
    error: Option<ProtocolError>,
}

impl Place {
    fn bytes<'a>(&self, buffer: &'a [u8]) -> &'a [u8] {
        match self.outcome {
            Some(Ok(n)) => &buffer[self.begin..self.begin + n],
            _ => &[],
        }
    }
}

impl Intake {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; BUFFER_BYTES], places: Default::default() }
    }

    /// Reads from the first of these connections, as far as there is room, and returns how many they are.
    pub(super) fn read(
        &mut self,
        core: &Core,
        server: &Server,
        connections: &mut Slab<Connection>,
        ready: &[usize],
    ) -> usize {
        let mut end: usize = 0;
        for (at, &index) in ready.iter().take(ROUND_MAX).enumerate() {
            let begin = end.next_multiple_of(LINE_BYTES);
            let Some(room) = self.buffer.get_mut(begin..begin + READ_BYTES) else { return at };
            let place = &mut self.places[at];
            place.begin = begin;
            place.outcome = None;
            place.batch.clear();
            let Some(connection) = connections.get_mut(index) else { continue };
            if connection.is_closing() || connection.waits() || connection.query.is_own() || !connection.readable {
                continue;
            }
            let outcome = read(&mut connection.socket, room);
            place.outcome = Some(outcome);
            if let Ok(n @ 1..) = outcome {
                note_read(core, connection, n);
                (place.max, place.error) = parse(server, connection, &room[..n], &mut place.batch);
                end = begin + n;
            }
        }
        ready.len().min(ROUND_MAX)
    }

    /// The first commands of a round's connections, of those that have one, in their order.
    pub(super) fn heads(&self, round: usize) -> impl ExactSizeIterator<Item = Args<'_>> {
        let with_commands = self.places[..round].iter().filter(|place| !place.batch.is_empty());
        let heads: SmallVec<[Args<'_>; ROUND_MAX]> = with_commands
            .map(|place| {
                let command = place.batch.command(0);
                Args::new(command.base(place.bytes(&self.buffer)), command.args)
            })
            .collect();
        heads.into_iter()
    }

    /// What has come from one of them; `head` gives its first command, if there is one.
    pub(super) fn arrival<'a>(&'a self, at: usize, head: impl FnOnce() -> Option<Prepared<'a>>) -> Option<Arrival<'a>> {
        let place = &self.places[at];
        let head = if place.batch.is_empty() { None } else { head() };
        let parsed = Parsed { batch: &place.batch, error: place.error.as_ref(), max: place.max, head };
        Some(Arrival { outcome: place.outcome?, bytes: place.bytes(&self.buffer), parsed })
    }
}
