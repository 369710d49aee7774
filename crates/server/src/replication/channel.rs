//! A full copy over a connection of its own, as Redis 8 does it: the primary has answered PSYNC with the id of our client,
//! with which a second connection asks for the copy. The stream comes over the first meanwhile ([`super::beside`]).

use std::thread;

use commands::settings::Stop;
use replication::handshake::{Event, Handshake};
use replication::id::Position;

use super::beside::Beside;
use super::copy;
use super::link::{self, Ended};
use super::replica::Term;
use super::stop_if_asked;
use super::wire::Wire;

/// Ends the thread that reads the stream, however the copy ends.
struct Ends<'a>(&'a Beside<'a>);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Takes the copy over that belongs to this client of the primary, and then applies the stream until the link ends.
pub(super) fn run(term: &Term, mut main: Wire, client: u64) -> Result<(), Ended> {
    let log = &term.server.log;
    let connected = link::connect(term);
    let mut wire =
        connected.map_err(|error| format!("Error condition on socket for rdb channel replication: {error}"))?;
    let handle = |wire: &Wire| wire.handle().map_err(|error| format!("Can't share the connection to MASTER: {error}"));
    let (channel, vital) = (handle(&wire)?, handle(&main)?);
    if !term.connected(handle(&wire)?) {
        return Err(Ended::Quietly);
    }
    let position = shake_hands(term, &mut wire, client)?;
    log.notice("Starting to receive RDB and replication stream in parallel.");
    let beside = Beside::new(term);
    let names = main.names();
    let taken = thread::scope(|scope| {
        let (beside, main) = (&beside, &mut main);
        scope.spawn(move || beside.read(main, Some(&channel)));
        let _ends = Ends(beside);
        copy::take_over(term, &mut wire, Some(position), copy::Main { names, vital })
    });
    wire.close();
    let mut applier = taken?;
    applier.catch_up(&mut main, &beside)?;
    applier.run(&mut main)
}

fn shake_hands(term: &Term, wire: &mut Wire, client: u64) -> Result<Position, Ended> {
    let mut handshake = Handshake::of_channel(link::introduction(term), client);
    loop {
        let mut bytes = wire.bytes();
        let event = handshake.next(&mut bytes).map_err(|failure| failure.to_string())?;
        let rest = bytes.len();
        wire.keep(rest);
        if let Some(Event::Asked(_)) = event {
            stop_if_asked(&term.server, Stop::BeforeRdbChannel);
        }
        let output = handshake.output();
        if !output.is_empty() {
            let lost = |error| format!("Error sending command to master in rdb channel handshake: {error}");
            wire.send(&output, link::patience(term)).map_err(lost)?;
        }
        match event {
            Some(Event::Full(position)) => return Ok(position),
            Some(_) => {}
            None => {
                let came = link::await_bytes(term, wire, "Timeout connecting to the MASTER...")?;
                came.map_err(|reason| format!("Master did not respond during rdb channel handshake: {reason}"))?;
            }
        }
    }
}
