//! A server that does nothing: `responder PORT` answers each parsed request with `+OK` on a loop shaped like a worker's
//! (poll, read each ready socket once, parse in place, one write a connection).
//!
//! What it costs a request is what the system calls and the parser cost, which no command can be cheaper than: the floor
//! that ratios to other servers are to be read beside. `scripts/compare.sh --peer 'floor=.../responder {port}'` puts it
//! into the tables.

use std::io::{self, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use resp_parser::{Batch, Limits, RequestParser};

const LISTENER: Token = Token(usize::MAX);
/// As large as a worker's.
const READ_BYTES: usize = 32 * 1024;
/// Commands that are parsed at once, as in a worker.
const BATCH_COMMANDS_MAX: usize = 128;
const EVENTS_MAX: usize = 1024;

struct Connection {
    socket: TcpStream,
    parser: RequestParser,
    /// The beginning of a command that has not all come.
    rest: Vec<u8>,
    /// Replies that have not been sent.
    out: Vec<u8>,
}

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse::<u16>().ok()).expect("responder PORT");
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(([127, 0, 0, 1], port).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(EVENTS_MAX);
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let (mut batch, mut buffer) = (Batch::new(), vec![0; READ_BYTES]);
    let mut ready = Vec::new();
    loop {
        let timeout = (!ready.is_empty()).then_some(std::time::Duration::ZERO);
        poll.poll(&mut events, timeout)?;
        for event in &events {
            match event.token() {
                LISTENER => accept(&poll, &listener, &mut connections)?,
                Token(at) => ready.push(at),
            }
        }
        let served = std::mem::take(&mut ready);
        for &at in &served {
            let Some(connection) = &mut connections[at] else { continue };
            match serve(connection, &mut batch, &mut buffer) {
                // There may be more, of which the poll tells nothing.
                Ok(true) => ready.push(at),
                Ok(false) => {}
                Err(_) => connections[at] = None,
            }
        }
        for &at in &served {
            if let Some(connection) = &mut connections[at]
                && flush(connection).is_err()
            {
                connections[at] = None;
            }
        }
    }
}

fn accept(poll: &Poll, listener: &TcpListener, connections: &mut Vec<Option<Connection>>) -> io::Result<()> {
    while let Ok((mut socket, _)) = listener.accept() {
        socket.set_nodelay(true)?;
        let (token, interest) = (Token(connections.len()), Interest::READABLE | Interest::WRITABLE);
        poll.registry().register(&mut socket, token, interest)?;
        let connection = Connection { socket, parser: RequestParser::default(), rest: Vec::new(), out: Vec::new() };
        connections.push(Some(connection));
    }
    Ok(())
}

/// Reads once and answers what is complete; says whether more may be there to read.
fn serve(connection: &mut Connection, batch: &mut Batch, buffer: &mut [u8]) -> io::Result<bool> {
    let n = match connection.socket.read(buffer) {
        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(n) => n,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
        Err(error) => return Err(error),
    };
    let full = n == buffer.len();
    if connection.rest.is_empty() {
        let used = answer(&mut connection.parser, &buffer[..n], batch, &mut connection.out)?;
        connection.rest.extend_from_slice(&buffer[used..n]);
    } else {
        connection.rest.extend_from_slice(&buffer[..n]);
        let used = answer(&mut connection.parser, &connection.rest, batch, &mut connection.out)?;
        connection.rest.drain(..used);
    }
    Ok(full)
}

/// Answers the commands that are complete in `bytes`, and returns how many bytes they were.
fn answer(parser: &mut RequestParser, bytes: &[u8], batch: &mut Batch, out: &mut Vec<u8>) -> io::Result<usize> {
    let limits = Limits::new(512 << 20, true);
    loop {
        batch.clear();
        parser.parse(bytes, &limits, BATCH_COMMANDS_MAX, batch).map_err(|_| io::ErrorKind::InvalidData)?;
        for command in batch.iter() {
            // Whoever measures asks for a sign of life and for a version; nothing else is looked at.
            out.extend_from_slice(match command.arg(bytes, 0) {
                b"PING" => b"+PONG\r\n",
                b"INFO" => b"$19\r\nredis_version:floor\r\n",
                _ => b"+OK\r\n",
            });
        }
        if batch.len() < BATCH_COMMANDS_MAX {
            let used = parser.consumed();
            parser.discard(used);
            return Ok(used);
        }
    }
}

/// Sends what has gathered; what the socket does not take waits for its next event.
fn flush(connection: &mut Connection) -> io::Result<()> {
    if connection.out.is_empty() {
        return Ok(());
    }
    match connection.socket.write(&connection.out) {
        Ok(n) => _ = connection.out.drain(..n),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
