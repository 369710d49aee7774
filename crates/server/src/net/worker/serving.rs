//! What a worker does for one connection that is ready: it reads once, parses in place and executes what is complete.
//!
//! Commands run in sections of the gate that end after [`SECTION_COMMANDS_MAX`] commands or [`SECTION_NS_MAX`], between two
//! commands.

use std::io::{self, Read};
use std::sync::atomic::Ordering::Relaxed;

use commands::args::Args;
use commands::env::Env;
use commands::pipeline::{self, Flow, GateHold, Lookahead};
use commands::pubsub;
use resp_parser::{Batch, Limits};

use crate::clock;
use crate::net::connection::{Closing, Connection};
use crate::net::inbox::Socket;
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

/// Reads a connection once and executes what is complete.
pub(super) fn serve(
    core: &mut Core,
    gate: &mut GateHold<'_>,
    server: &Server,
    connection: &mut Connection,
    buffer: &mut [u8],
) {
    if connection.is_closing() || connection.waits() {
        return;
    }
    // What was postponed comes first; only when nothing waits is the socket read again.
    if connection.query.len() > 0 {
        execute_own(core, gate, server, connection);
        if connection.is_closing() || connection.waits() {
            return;
        }
    }
    if !connection.readable {
        return;
    }
    let outcome = if connection.query.is_own() {
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
        outcome.map(|n| (n, n == asked))
    } else {
        let outcome = read(&mut connection.socket, buffer);
        if let Ok(n @ 1..) = outcome {
            let bytes = &buffer[..n];
            note_read(core, connection, n);
            if core.is_only {
                let client = &connection.session.client;
                client.query_buffer.store(n, Relaxed);
                client.query_buffer_free.store(buffer.len() - n, Relaxed);
            }
            if is_within_query_limit(server, connection, bytes) {
                let used = execute(core, gate, server, connection, bytes);
                connection.query.keep(&bytes[used..], connection.parser.wanted());
            } else {
                connection.close(Closing::Now);
            }
        }
        outcome.map(|n| (n, n == buffer.len()))
    };
    match outcome {
        Ok((0, _)) => {
            connection.close(Closing::AfterReply);
            connection.readable = false;
        }
        // A short read means that the socket is drained; but a FIN may have come with the same edge.
        Ok((_, full)) => connection.readable = full || connection.read_closed,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => connection.readable = false,
        Err(_) => {
            connection.close(Closing::AfterReply);
            connection.readable = false;
        }
    }
    connection.note_query();
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

fn read(socket: &mut Socket, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn note_read(core: &Core, connection: &Connection, n: usize) {
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
    let used = execute(core, gate, server, connection, query.filled());
    query.consume(used);
    connection.query = query;
}

/// Executes what is complete in `bytes`, which begin where the connection's parser began, and returns how many of them
/// are done with; the parser is told.
fn execute(
    core: &mut Core,
    gate: &mut GateHold<'_>,
    server: &Server,
    connection: &mut Connection,
    bytes: &[u8],
) -> usize {
    let Connection { session, parser, out, closing, postponed, room, .. } = connection;
    core.env.start_lap();
    loop {
        out.set_limit(server.output_bytes_max(session), room.bytes);
        let authenticated = server.is_authenticated(session);
        let limits = Limits::new(server.settings.proto_max_bulk_len.load(Relaxed), authenticated);
        // A password lifts limits for what follows it, so nothing is parsed ahead of it.
        let max = if authenticated { BATCH_COMMANDS_MAX } else { 1 };
        let mut batch = std::mem::take(&mut core.batch);
        batch.clear();
        let parsed = parser.parse(bytes, &limits, max, &mut batch);
        let mut stopped_at = None;
        let args = batch.iter().map(|command| Args::new(command.base(bytes), command.args));
        let mut commands = Lookahead::new(args);
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
        let complete = batch.len();
        drop(commands);
        core.batch = batch;
        if let Some(start) = stopped_at {
            // What follows the command on which the client waits is parsed again when it goes on.
            *postponed = session.blocked.is_none() && session.departs.is_none();
            *parser = resp_parser::RequestParser::default();
            gate.end();
            return start;
        }
        if out.is_over_limit() && !session.client.killed.load(Relaxed) {
            connection.close_for_output(server);
            return bytes.len();
        }
        if session.client.killed.load(Relaxed) {
            *closing = Closing::Now;
        } else if session.close {
            *closing = Closing::AfterReply;
        }
        if *closing != Closing::No {
            return bytes.len();
        }
        if let Err(error) = parsed {
            server.note_protocol_error(session, &error, &bytes[parser.consumed()..]);
            out.error(&commands::error::Error::new(String::from_utf8_lossy(&error.wire())));
            *closing = Closing::AfterReply;
            session.close_after_reply();
            return bytes.len();
        }
        if complete < max {
            let used = parser.consumed();
            parser.discard(used);
            return used;
        }
    }
}
