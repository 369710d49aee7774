//! What a replica says on the connection that brings it the stream.
//!
//! It may say only how far it is, and empty lines to show that it lives. Anything that would be answered ends its
//! connection, as in Redis: an answer would stand in the middle of the stream.

use std::io::{self, Read};
use std::sync::atomic::Ordering::Relaxed;

use commands::args::Args;
use commands::number;
use commands::spec::Flags;
use commands::table;
use resp_parser::{Batch, Limits};

use super::link::{Ended, Link, Source};
use crate::clock;
use crate::server::Server;

/// Bytes read from a replica at once. It has little to say.
const READ_BYTES: usize = 4096;
/// A request of a replica that is longer than this is none.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

impl Link {
    /// Reads what the replica has to say.
    pub(super) fn read(&mut self, server: &Server) -> Result<(), Ended> {
        let mut buffer = [0; READ_BYTES];
        while self.readable {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err(Ended::Quietly),
                Ok(n) => {
                    self.input.extend_from_slice(&buffer[..n]);
                    self.session.client.net_in.add(n as u64);
                    self.session.client.last_ms.store(clock::now_ms(), Relaxed);
                    self.replica.heard();
                    self.readable = n == buffer.len();
                    if self.input.len() > REQUEST_BYTES_MAX {
                        return Err(Ended::Because(format!("Replica {} sends too much.", self.replica.name())));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Ended::Quietly),
            }
        }
        if self.input.is_empty() { Ok(()) } else { self.hear(server) }
    }

    /// Takes in what is complete of what the replica has said.
    fn hear(&mut self, server: &Server) -> Result<(), Ended> {
        let limits = Limits::new(REQUEST_BYTES_MAX as u64, true);
        let mut batch = Batch::new();
        let parsed = self.parser.parse(&self.input, &limits, usize::MAX, &mut batch);
        let mut acknowledged = false;
        for command in batch.iter() {
            match said(Args::new(command.base(&self.input), command.args)) {
                Said::Acknowledged(applied, on_disk) => {
                    self.replica.acknowledge(applied, on_disk);
                    acknowledged = true;
                }
                Said::Nothing => {}
                Said::Other => {
                    return Err(self.would_be_answered(server, Args::new(command.base(&self.input), command.args)));
                }
            }
        }
        let used = self.parser.consumed();
        self.parser.discard(used);
        self.input.drain(..used);
        if let Err(error) = parsed {
            return Err(Ended::Because(format!("Protocol error ({error}) from replica {}.", self.replica.name())));
        }
        if acknowledged {
            if let Source::Await(reader) = &self.source {
                self.source = Source::Stream(reader.clone());
            }
            server.replication.put_online(server, &self.replica);
            server.replication.answer_waiting(server);
            server.replication.advance_failover(server);
        }
        Ok(())
    }

    /// The end of a link whose replica has sent a command.
    fn would_be_answered(&self, server: &Server, args: Args<'_>) -> Ended {
        let command = table::lookup(args.get(0)).map(|it| match args.len() {
            1 => it,
            _ => table::subcommand(it, args.get(1)).unwrap_or(it),
        });
        let name = command.map_or("<unknown>", |it| it.spec.full_name);
        if command.is_some_and(|it| it.spec.flags.intersects(Flags::WRITE | Flags::READONLY | Flags::MAY_REPLICATE)) {
            server.log.warning(&format!(
                "== CRITICAL == This master is sending an error to its replica: 'Replica can't interact with the keyspace' \
                 after processing the command '{name}'"
            ));
        }
        let client = self.session.client.line(clock::now_ms(), None);
        Ended::Because(format!("Replica generated a reply to command '{name}', disconnecting it: {client}"))
    }
}

/// What a replica has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// How far it has applied the stream, and if it tells, how far that is on its disk.
    Acknowledged(u64, Option<u64>),
    /// Something that is not answered.
    Nothing,
    /// Something that would be.
    Other,
}

fn said(args: Args<'_>) -> Said {
    if !args.is(0, "replconf") {
        return Said::Other;
    }
    if args.len() < 3 {
        return Said::Nothing;
    }
    let offset = |at: usize| number::parse_i64(args.get(at)).and_then(|offset| u64::try_from(offset).ok());
    match offset(2) {
        Some(applied) if args.is(1, "ack") => {
            let on_disk = (args.len() > 4 && args.is(3, "fack")).then(|| offset(4)).flatten();
            Said::Acknowledged(applied, on_disk)
        }
        _ if args.is(1, "ack") || args.is(1, "getack") => Said::Nothing,
        _ => Said::Other,
    }
}

#[cfg(test)]
mod tests {
    use resp_parser::RequestParser;

    use super::*;

    fn check(line: &str, expected: Said) {
        let (mut batch, mut parser) = (Batch::new(), RequestParser::default());
        let bytes = format!("{line}\r\n").into_bytes();
        parser.parse(&bytes, &Limits::new(1000, true), 1, &mut batch).unwrap();
        let command = batch.command(0);
        assert_eq!(said(Args::new(command.base(&bytes), command.args)), expected, "{line}");
    }

    #[test]
    fn replicas_say_how_far_they_are() {
        check("REPLCONF ACK 17", Said::Acknowledged(17, None));
        check("replconf Ack 17 Fack 12", Said::Acknowledged(17, Some(12)));
        // As in Redis, what follows is passed over where it makes no sense.
        check("REPLCONF ACK 17 FACK", Said::Acknowledged(17, None));
        check("REPLCONF ACK 17 FACK x", Said::Acknowledged(17, None));
        check("REPLCONF ACK 17 other 12", Said::Acknowledged(17, None));
        check("REPLCONF ACK x FACK 12", Said::Nothing);
        check("REPLCONF ACK -1", Said::Nothing);
        check("REPLCONF GETACK *", Said::Nothing);
        check("REPLCONF capa eof", Said::Other);
        check("PING", Said::Other);
    }
}
