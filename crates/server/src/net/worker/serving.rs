//! What a worker does for one connection that is ready: it executes what was read and is complete. What is read for many
//! connections at once is in `intake.rs`; a connection that has a buffer of its own is read from here.
//!
//! Commands run in sections of the gate that end after [`SECTION_COMMANDS_MAX`] commands or [`SECTION_NS_MAX`], between two
//! commands.

use std::io::{self, Read};
use std::sync::atomic::Ordering::Relaxed;

use commands::args::Args;
use commands::env::Env;
use commands::pipeline::{self, Flow, GateHold, Lookahead, Prepared};
use commands::pubsub;
use resp_parser::{Batch, Limits, ProtocolError};

use crate::clock;
use crate::net::connection::{Closing, Connection};
use crate::net::inbox::Socket;
use crate::net::worker::READ_BYTES;
use crate::server::Server;

/// Commands in one section of the gate.
const SECTION_COMMANDS_MAX: usize = 128;
/// Nanoseconds after which a section ends.
const SECTION_NS_MAX: u64 = 1_000_000;
/// Commands that are parsed before the first of them runs.
const BATCH_COMMANDS_MAX: usize = 128;

/// What executing needs, apart from the connections.
pub(super) struct Core {
    pub(super) env: Env,
    pub(super) batch: Batch,
    pub(super) section_commands: usize,
    pub(super) section_began_ns: u64,
    /// The time at which this tick's events came.
    pub(super) tick_ms: i64,
    /// There is one worker only, whose buffer is then shown as that of the client it executes for.
    pub(super) is_only: bool,
}

/// What was read from a connection, and not executed yet.
pub(super) struct Arrival<'a> {
    /// How many bytes came.
    pub(super) outcome: Result<usize, io::ErrorKind>,
    pub(super) bytes: &'a [u8],
    /// The parser's first pass over them.
    pub(super) parsed: Parsed<'a>,
}

/// A pass of the parser over what has come from a client.
#[derive(Clone, Copy)]
pub(super) struct Parsed<'a> {
    pub(super) batch: &'a Batch,
    pub(super) error: Option<&'a ProtocolError>,
    /// How many commands were looked for; if there are as many, another pass may find more.
    pub(super) max: usize,
    /// The first command, if it was looked at already.
    pub(super) head: Option<Prepared<'a>>,
}

/// Executes what has come from a connection. What goes into a buffer of its own, if it has one, is read here.
pub(super) fn serve(
    core: &mut Core,
    gate: &mut GateHold<'_>,
    server: &Server,
    connection: &mut Connection,
    arrival: Option<Arrival<'_>>,
) {
    if connection.is_closing() || connection.waits() {
        return;
    }
    let (outcome, asked) = match arrival {
        Some(arrival) => (serve_arrival(core, gate, server, connection, arrival), READ_BYTES),
        None => match serve_own(core, gate, server, connection) {
            Some(read) => read,
            None => return,
        },
    };
    match outcome {
        Ok(0) => {
            connection.close(Closing::AfterReply);
            connection.readable = false;
        }
        // A short read means that the socket is drained; but a FIN may have come with the same edge.
        Ok(n) => connection.readable = n == asked || connection.read_closed,
        Err(io::ErrorKind::WouldBlock) => connection.readable = false,
        Err(_) => {
            connection.close(Closing::AfterReply);
            connection.readable = false;
        }
    }
    connection.note_query();
}

/// Executes what lies in the worker's buffer, and returns how many bytes were read.
fn serve_arrival(
    core: &mut Core,
    gate: &mut GateHold<'_>,
    server: &Server,
    connection: &mut Connection,
    Arrival { outcome, bytes, parsed }: Arrival<'_>,
) -> Result<usize, io::ErrorKind> {
    if let Ok(n @ 1..) = outcome {
        if core.is_only {
            let client = &connection.session.client;
            client.query_buffer.store(n, Relaxed);
            client.query_buffer_free.store(READ_BYTES - n, Relaxed);
        }
        if is_within_query_limit(server, connection, bytes) {
            let used = execute(core, gate, server, connection, bytes, Some(parsed));
            connection.query.keep(&bytes[used..], connection.parser.wanted());
        } else {
            connection.close(Closing::Now);
        }
    }
    outcome
}

/// Executes what was postponed, and only when nothing waits any more reads into the connection's own buffer and executes
/// that. Returns how many bytes were read, and how many might have been, if it was read.
fn serve_own(
    core: &mut Core,
    gate: &mut GateHold<'_>,
    server: &Server,
    connection: &mut Connection,
) -> Option<(Result<usize, io::ErrorKind>, usize)> {
    if connection.query.len() > 0 {
        execute_own(core, gate, server, connection);
        if connection.is_closing() || connection.waits() {
            return None;
        }
    }
    if !connection.readable {
        return None;
    }
    let room = connection.query.room(connection.parser.wanted());
    let asked = room.len();
    let outcome = read(&mut connection.socket, room);
    if let Ok(n @ 1..) = outcome {
        connection.query.fill(n);
        note_read(core, connection, n);
        if is_within_query_limit(server, connection, connection.query.filled()) {
            execute_own(core, gate, server, connection);
        } else {
            connection.close(Closing::Now);
        }
    }
    Some((outcome, asked))
}

/// Whether the bytes that wait, and those of queued commands, are few enough; if not, it is counted and logged.
fn is_within_query_limit(server: &Server, connection: &Connection, bytes: &[u8]) -> bool {
    let queued = connection.session.multi.as_ref().map_or(0, |multi| multi.bytes);
    let within = bytes.len() + queued <= server.settings.client_query_buffer_limit.load(Relaxed);
    if !within {
        connection.note_query();
        server.note_query_limit(&connection.session, bytes);
    }
    within
}

pub(super) fn read(socket: &mut Socket, buffer: &mut [u8]) -> Result<usize, io::ErrorKind> {
    loop {
        match socket.read(buffer).map_err(|error| error.kind()) {
            Err(io::ErrorKind::Interrupted) => {}
            result => return result,
        }
    }
}

pub(super) fn note_read(core: &Core, connection: &Connection, n: usize) {
    core.env.stats.net_in.add(n as u64);
    core.env.stats.reads.add(1);
    let client = &connection.session.client;
    client.net_in.add(n as u64);
    client.last_ms.store(core.tick_ms, Relaxed);
}

/// Executes from the connection's own buffer.
fn execute_own(core: &mut Core, gate: &mut GateHold<'_>, server: &Server, connection: &mut Connection) {
    connection.note_query();
    let mut query = std::mem::take(&mut connection.query);
    let used = execute(core, gate, server, connection, query.filled(), None);
    query.consume(used);
    connection.query = query;
}

/// Parses on, into an empty batch. Returns how many commands were looked for, and what is wrong behind those that were found.
pub(super) fn parse(
    server: &Server,
    connection: &mut Connection,
    bytes: &[u8],
    batch: &mut Batch,
) -> (usize, Option<ProtocolError>) {
    let authenticated = server.is_authenticated(&connection.session);
    let limits = Limits::new(server.settings.proto_max_bulk_len.load(Relaxed), authenticated);
    // A password lifts limits for what follows it, so nothing is parsed ahead of it.
    let max = if authenticated { BATCH_COMMANDS_MAX } else { 1 };
    (max, connection.parser.parse(bytes, &limits, max, batch).err())
}

/// Executes what is complete in `bytes`, which begin where the connection's parser began, and returns how many of them
/// are done with; the parser is told. The first pass may have been made already.
fn execute(
    core: &mut Core,
    gate: &mut GateHold<'_>,
    server: &Server,
    connection: &mut Connection,
    bytes: &[u8],
    mut parsed: Option<Parsed<'_>>,
) -> usize {
    core.env.start_lap();
    let mut batch = std::mem::take(&mut core.batch);
    let used = loop {
        let error;
        let pass = match parsed.take() {
            Some(parsed) => parsed,
            None => {
                batch.clear();
                let (max, found) = parse(server, connection, bytes, &mut batch);
                error = found;
                Parsed { batch: &batch, error: error.as_ref(), max, head: None }
            }
        };
        if let Some(used) = run(core, gate, server, connection, bytes, pass) {
            break used;
        }
    };
    core.batch = batch;
    used
}

/// Executes the commands of one pass; returns how many bytes are done with unless more may be parsed.
fn run(
    core: &mut Core,
    gate: &mut GateHold<'_>,
    server: &Server,
    connection: &mut Connection,
    bytes: &[u8],
    Parsed { batch, error, max, head }: Parsed<'_>,
) -> Option<usize> {
    let Connection { session, parser, out, closing, postponed, room, .. } = connection;
    out.set_limit(server.output_bytes_max(session), room.bytes);
    let mut stopped_at = None;
    let args = batch.iter().map(|command| Args::new(command.base(bytes), command.args));
    let mut commands = Lookahead::new(args, head);
    while let Some(prepared) = commands.next(&mut core.env, gate, &clock::now_ms, session.db) {
        if session.close || session.client.killed.load(Relaxed) {
            break;
        }
        pubsub::catch_up(&server.channels, session, out);
        let flow = pipeline::execute(&mut core.env, gate, &clock::now_ms, session, prepared, out);
        if flow == Flow::Postponed {
            let command = batch.command(commands.position());
            session.client.argv_bytes.store(Args::new(command.base(bytes), command.args).byte_len(), Relaxed);
            stopped_at = Some(command.start);
            break;
        }
        if session.blocked.is_some() || session.departs.is_some() {
            stopped_at = Some(batch.command(commands.position()).end);
            break;
        }
        if out.is_over_limit() {
            break;
        }
        core.section_commands += 1;
        let spent_ns = core.env.last_lap_ns().saturating_sub(core.section_began_ns);
        if core.section_commands >= SECTION_COMMANDS_MAX || spent_ns > SECTION_NS_MAX {
            core.section_commands = 0;
            core.section_began_ns = core.env.last_lap_ns();
            gate.end();
        }
    }
    if !session.close {
        pubsub::catch_up(&server.channels, session, out);
    }
    if let Some(start) = stopped_at {
        // What follows the command on which the client waits is parsed again when it goes on.
        *postponed = session.blocked.is_none() && session.departs.is_none();
        *parser = resp_parser::RequestParser::default();
        gate.end();
        return Some(start);
    }
    if out.is_over_limit() && !session.client.killed.load(Relaxed) {
        connection.close_for_output(server);
        return Some(bytes.len());
    }
    if session.client.killed.load(Relaxed) {
        *closing = Closing::Now;
    } else if session.close {
        *closing = Closing::AfterReply;
    }
    if *closing != Closing::No {
        return Some(bytes.len());
    }
    if let Some(error) = error {
        server.note_protocol_error(session, error, &bytes[parser.consumed()..]);
        out.error(&commands::error::Error::new(String::from_utf8_lossy(&error.wire())));
        *closing = Closing::AfterReply;
        session.close_after_reply();
        return Some(bytes.len());
    }
    (batch.len() < max).then(|| {
        let used = parser.consumed();
        parser.discard(used);
        used
    })
}
