//! The thread that talks to a primary: it connects, introduces this process, takes a full copy over if it must, and then
//! applies the stream until something ends it. It tries at once, at the start and when a link is lost, and then once a
//! second, until it is told to end.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use replication::handshake::{Event, Handshake, Introduction};
use replication::id::Position;

use super::apply::Applier;
use super::channel;
use super::copy;
use super::own_keys::OwnKeys;
use super::replica::{LinkState, Resume, Term};
use super::wire::{Filled, Wire};
use crate::clock;
use crate::config::error::system_text;
use crate::config::keys;

/// The least time from one attempt to the next, unless what was lost had come further than a handshake: then it is tried
/// again at once, as the primary's backlog may be short,
const PERIOD: Duration = Duration::from_secs(1);
/// but not more often than this until a link has held for that long, so that nobody is kept busy by a primary that lets go
/// of each.
const AT_ONCE_MAX: u32 = 4;
/// The least time from one attempt to the next while writes wait for it.
const URGENT_PERIOD: Duration = Duration::from_millis(100);
/// How long a read waits before it is looked whether there is still a point in it.
const LOOK: Duration = Duration::from_millis(500);

/// Why an attempt has ended.
pub(super) enum Ended {
    /// For this reason, which stands in the log then.
    Failed(String),
    /// The connection that brought the stream is gone, which happens.
    Lost,
    /// The log has the reason already, or the link was told to end.
    Quietly,
    /// The other side was to become the primary, and does not.
    Refused {
        /// What has happened, if the log does not have it yet.
        reason: Option<String>,
        /// What that means for the failover.
        verdict: &'static str,
    },
}

/// The verdict on a target that answers anything else than a copy or the stream.
const REJECTED: &str = "Failover target rejected psync request";

impl From<String> for Ended {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

/// See the file's head.
pub(super) fn run(term: &Term) {
    OwnKeys::leave_out_this_thread();
    let log = &term.server.log;
    let Term { primary, .. } = term;
    let mut what = ("Connecting", "");
    let mut at_once = AT_ONCE_MAX;
    while term.is_current() {
        let began_ns = clock::ticks_ns();
        log.notice(&format!("{} to MASTER {}:{}{}", what.0, primary.host, primary.port, what.1));
        let ended = attempt(term);
        if !term.is_current() {
            return;
        }
        match ended {
            Err(Ended::Failed(reason)) => log.warning(&reason),
            Err(Ended::Lost) => log.notice("Connection with master lost."),
            Err(Ended::Refused { reason, verdict }) => {
                reason.iter().for_each(|reason| log.warning(reason));
                return term.failover_refused(verdict);
            }
            Ok(()) | Err(Ended::Quietly) => {}
        }
        let came_to = term.disconnected();
        what = match came_to {
            LinkState::Connected => ("Reconnecting", ""),
            LinkState::Transfer => ("Reconnecting", " after failure"),
            _ => ("Connecting", ""),
        };
        let spent = Duration::from_nanos(clock::ticks_ns().saturating_sub(began_ns));
        if spent >= PERIOD {
            at_once = AT_ONCE_MAX;
        }
        let period = if term.fails_over() { URGENT_PERIOD } else { PERIOD };
        let pause = match came_to {
            LinkState::Connected | LinkState::Transfer if at_once > 0 => {
                at_once -= 1;
                Duration::ZERO
            }
            _ => period.saturating_sub(spent),
        };
        if !term.wait(pause) {
            return;
        }
    }
}

/// How long the primary may be quiet.
pub(super) fn patience(term: &Term) -> Duration {
    Duration::from_secs(term.server.config.get(keys::REPL_TIMEOUT))
}

fn attempt(term: &Term) -> Result<(), Ended> {
    let log = &term.server.log;
    term.set_state(LinkState::Connecting);
    log.notice("MASTER <-> REPLICA sync started");
    let failed = |error: &io::Error| match error.kind() {
        io::ErrorKind::TimedOut => "Timeout connecting to the MASTER...".to_owned(),
        _ => format!("Error condition on socket for SYNC: {}", system_text(error)),
    };
    let mut wire = connect(term).map_err(|error| failed(&error))?;
    let handle = wire.handle().map_err(|error| failed(&error))?;
    if !term.connected(handle) {
        return Err(Ended::Quietly);
    }
    log.notice("Non blocking connect for SYNC fired the event.");
    term.set_state(LinkState::Handshake);
    let (resume, agreed) = shake_hands(term, &mut wire)?;
    if term.fails_over() {
        term.failover_done();
    }
    let applier = match agreed {
        Event::Continue(id) => {
            log.notice("MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.");
            let resume = resume.ok_or_else(|| "Master continues what was never begun.".to_owned())?;
            Applier::go_on(term, wire.names(), resume, id)?
        }
        Event::Channel(client) => return channel::run(term, wire, client),
        Event::Full(position) => take_over(term, &mut wire, Some(position))?,
        _ => take_over(term, &mut wire, None)?,
    };
    applier.run(&mut wire)
}

/// A new connection to the primary.
pub(super) fn connect(term: &Term) -> io::Result<Wire> {
    let (host, port) = (&term.primary.host, term.primary.port);
    let from = term.server.config.get(keys::BIND_SOURCE_ADDR);
    let from = from.and_then(|from| String::from_utf8_lossy(&from).parse::<IpAddr>().ok());
    Wire::connect(host, port, from, patience(term))
}

fn take_over<'t>(term: &'t Term, wire: &mut Wire, position: Option<Position>) -> Result<Applier<'t>, Ended> {
    let vital = wire.handle().map_err(|error| format!("Can't share the connection to MASTER: {error}"))?;
    let main = copy::Main { names: wire.names(), vital };
    copy::take_over(term, wire, position, main)
}

/// What this process says of itself.
pub(super) fn introduction(term: &Term) -> Introduction {
    let config = &term.server.config;
    let announced = config.get(keys::REPLICA_ANNOUNCE_PORT);
    Introduction {
        user: config.get(keys::MASTERUSER),
        password: config.get(keys::MASTERAUTH),
        listening_port: if announced == 0 { config.get(keys::PORT) } else { announced },
        ip_address: config.get(keys::REPLICA_ANNOUNCE_IP),
        position: term.resume().map(|resume| resume.position),
        failover: term.fails_over(),
        rdb_channel: config.get(keys::REPL_RDB_CHANNEL),
    }
}

/// Agrees with the primary on what follows; returns what was offered to go on from, and the last event.
fn shake_hands(term: &Term, wire: &mut Wire) -> Result<(Option<Resume>, Event), Ended> {
    let log = &term.server.log;
    let resume = term.resume();
    let fails_over = term.fails_over();
    let mut handshake = Handshake::new(introduction(term));
    let mut asked = false;
    // A failover's target has one try, once it was asked.
    let failed = |asked, reason: String| match fails_over && asked {
        true => Ended::Refused { reason: Some(reason), verdict: REJECTED },
        false => Ended::Failed(reason),
    };
    loop {
        let mut bytes = wire.bytes();
        let event = handshake.next(&mut bytes);
        let rest = bytes.len();
        wire.keep(rest);
        let output = handshake.output();
        let asks = matches!(event, Ok(Some(Event::Asked(_))));
        if !output.is_empty() {
            wire.send(&output, patience(term)).map_err(|error| {
                let reason = format!("Sending command to master in replication handshake: {}", system_text(&error));
                match fails_over && asks {
                    true => Ended::Refused { reason: Some(reason), verdict: "Write error to failover target" },
                    false => Ended::Failed(reason),
                }
            })?;
        }
        asked |= asks;
        match event {
            Ok(Some(event)) => {
                match &event {
                    Event::FullMalformed => log.warning(&event.to_string()),
                    Event::FallenBack { reply } if !reply.starts_with(b"-ERR") => log.warning(&event.to_string()),
                    _ => log.notice(&event.to_string()),
                }
                if handshake.is_over() {
                    if let Event::FallenBack { .. } = event {
                        if fails_over {
                            return Err(Ended::Refused { reason: None, verdict: REJECTED });
                        }
                        log.notice("Retrying with SYNC...");
                    }
                    return Ok((resume, event));
                }
            }
            Ok(None) => {
                let filled = await_bytes(term, wire, "Timeout connecting to the MASTER...")?;
                if let Err(reason) = filled {
                    log.warning(&format!("Failed to read response from the server: {reason}"));
                    let reason = match asked {
                        true => "Master did not reply to PSYNC, will try later",
                        false => "Master did not respond to command during SYNC handshake",
                    };
                    return Err(failed(asked, reason.into()));
                }
            }
            Err(failure) => return Err(failed(asked, failure.to_string())),
        }
    }
}

/// Waits until bytes have come, or the connection has ended, for which the inner error is the reason.
///
/// # Errors
/// The primary was quiet for too long: `timeout` is the line for the log; or the link is to end.
pub(super) fn await_bytes(term: &Term, wire: &mut Wire, timeout: &str) -> Result<Result<usize, String>, Ended> {
    let began_ns = clock::ticks_ns();
    loop {
        let filled = wire.fill(LOOK);
        if !term.is_current() {
            return Err(Ended::Quietly);
        }
        match filled {
            Ok(Filled::Bytes(len)) => {
                term.heard(len);
                return Ok(Ok(len));
            }
            Ok(Filled::Closed) => return Ok(Err("connection lost".into())),
            Ok(Filled::Nothing) if clock::ticks_ns() - began_ns > patience(term).as_nanos() as u64 => {
                return Err(Ended::Failed(timeout.to_owned()));
            }
            Ok(Filled::Nothing) => {}
            Err(error) => return Ok(Err(system_text(&error))),
        }
    }
}
