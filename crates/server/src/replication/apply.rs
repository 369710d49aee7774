//! Applying the primary's stream: unit after unit through the pipeline, and an acknowledgement every second.
//!
//! Bytes that are not applied yet count for nothing: a link that breaks goes on behind the last whole unit.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use commands::args::Args;
use commands::env::Env;
use commands::host::{Host, Pause};
use commands::pipeline::{self, GateHold};
use commands::reply::Reply;
use commands::session::Session;
use commands::settings::Stop;
use commands::spec::Flags;
use commands::standing::Standing;
use commands::table;
use replication::id::{Position, ReplicationId};
use replication::units::{Unit, UnitCommand, Units};
use resp_parser::encode_request;
use smallvec::SmallVec;
use store::gate::Section;

use super::beside::Beside;
use super::link::{Ended, patience};
use super::replica::{Resume, Term};
use super::wire::{Filled, Wire};
use super::{is_stop_asked, stop, stop_if_asked};
use crate::clock;
use crate::config::error::system_text;
use crate::server::Server;
use crate::workers;

/// Units in one section of the gate, and nanoseconds after which it ends: those of a worker.
const SECTION_UNITS_MAX: usize = 128;
const SECTION_NS_MAX: u64 = 1_000_000;
/// From one acknowledgement to the next.
const ACK_NS: u64 = 1_000_000_000;
/// Bytes of the stream that wait here while nothing may be applied; more is left to the primary.
const HELD_BYTES_MAX: usize = 16 << 20;
/// From one look whether it may be applied again to the next.
const HELD_LOOK: Duration = Duration::from_millis(10);
/// See [`is_inline`]; the words are Redis's.
const INLINE: &str = "WARNING: Receiving inline protocol from master, master stream corruption? Closing the master connection \
                      and discarding the cached master.";

/// See the file's head.
pub(super) struct Applier<'t> {
    term: &'t Term,
    env: Env,
    session: Session,
    units: Units,
    /// What commands answer, to be thrown away.
    out: Reply,
    /// Whether the primary counts offsets, and so wants acknowledgements.
    acknowledges: bool,
    next_ack_ns: u64,
    /// Whether the next unit may not be applied now.
    is_held: bool,
}

/// What a unit is to the link.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Commands to apply.
    Commands,
    /// The primary asks for an acknowledgement.
    GetAck,
    /// Something else between the two, of no consequence.
    Notice,
}

impl<'t> Applier<'t> {
    /// Goes on where a broken link has stopped; the history may go by another id from there on.
    pub(super) fn go_on(
        term: &'t Term,
        names: (String, String),
        resume: Resume,
        id: Option<ReplicationId>,
    ) -> Result<Self, Ended> {
        let server = &term.server;
        Self::begin(term, names, resume.db, Some(resume.position), |_| {
            if let Some(id) = id.filter(|id| *id != resume.position.id) {
                server.log.notice(&format!("Master replication ID changed to {id}"));
            }
            server.replication.continue_as(server, id.unwrap_or(resume.position.id), resume.db);
        })
    }

    /// Begins with the stream from a position on. `names` are those of both ends; `switch` makes data and history agree with it; it runs under the
    /// exclusive gate, and not at all if the link is to end.
    pub(super) fn begin(
        term: &'t Term,
        names: (String, String),
        db: u32,
        position: Option<Position>,
        switch: impl FnOnce(&Section<'_>),
    ) -> Result<Self, Ended> {
        let server = &term.server;
        let env = workers::applier_env(server);
        let client = server.new_primary_client(names);
        let alone = server.keyspace.gate().enter_alone();
        if !term.is_current() {
            return Err(Ended::Quietly);
        }
        switch(&alone);
        term.stream_begins(&client, server.replication.offset(), position.is_some());
        drop(alone);
        server.registry.add(client.clone());
        let session = Session::of_primary(client, db);
        let units = Units::default();
        let out = Reply::default();
        let acknowledges = position.is_some();
        Ok(Self { term, env, session, units, out, acknowledges, next_ack_ns: clock::ticks_ns(), is_held: false })
    }

    /// Applies what was kept while a copy came over another connection.
    pub(super) fn catch_up(&mut self, wire: &mut Wire, beside: &Beside<'_>) -> Result<(), Ended> {
        let server = self.term.server.clone();
        let freed = |_: &Ended| {
            server.log.warning("Master client was freed while streaming accumulated replication data to db.");
        };
        let bytes = beside.len();
        // Before the line that tells of it: whoever waits for that may take his wish back at once, and still expects a stop.
        let stops = is_stop_asked(&server, Stop::OnStreaming);
        self.log().notice(&format!(
            "MASTER <-> REPLICA sync: Starting to stream replication buffer into the db ({bytes} bytes)."
        ));
        if stops {
            stop(&server);
        }
        // So the primary knows that its copy was taken over.
        self.acknowledge(wire).inspect_err(freed)?;
        while let Some(block) = beside.take() {
            self.units.push(&block);
            stop_if_asked(&server, Stop::OnStreaming);
            self.apply_all(wire).inspect_err(freed)?;
        }
        self.log().notice(&format!(
            "MASTER <-> REPLICA sync: Successfully streamed replication buffer into the db ({bytes} bytes in total)"
        ));
        if beside.is_broken() { Err(Ended::Lost) } else { Ok(()) }
    }

    /// Applies all units that are complete, however long that takes.
    fn apply_all(&mut self, wire: &mut Wire) -> Result<(), Ended> {
        loop {
            self.apply(wire)?;
            if clock::ticks_ns() >= self.next_ack_ns {
                self.acknowledge(wire)?;
            }
            if self.is_over() || self.is_held && !self.term.wait(HELD_LOOK) {
                return Err(Ended::Quietly);
            }
            if !self.is_held {
                return Ok(());
            }
        }
    }

    /// Applies until the link ends.
    pub(super) fn run(mut self, wire: &mut Wire) -> Result<(), Ended> {
        let mut heard_ns = clock::ticks_ns();
        loop {
            let bytes = wire.bytes();
            if !bytes.is_empty() || self.is_held {
                self.units.push(bytes);
                wire.keep(0);
                self.apply(wire)?;
            }
            let now_ns = clock::ticks_ns();
            if now_ns >= self.next_ack_ns {
                self.acknowledge(wire)?;
            }
            let mut wait = Duration::from_nanos(self.next_ack_ns.saturating_sub(now_ns));
            if self.is_held {
                wait = wait.min(HELD_LOOK);
                if self.units.waiting() > HELD_BYTES_MAX {
                    // The rest can wait at the primary, which is not to blame for being quiet.
                    heard_ns = now_ns;
                    if !self.term.wait(wait) || self.is_over() {
                        return Err(Ended::Quietly);
                    }
                    continue;
                }
            }
            let filled = wire.fill(wait);
            if self.is_over() {
                return Err(Ended::Quietly);
            }
            match filled {
                Ok(Filled::Bytes(len)) => {
                    heard_ns = clock::ticks_ns();
                    self.term.heard(len);
                    self.session.client.last_ms.store(clock::now_ms(), Relaxed);
                    self.session.client.net_in.add(len as u64);
                }
                Ok(Filled::Nothing) if clock::ticks_ns() - heard_ns > patience(self.term).as_nanos() as u64 => {
                    return Err(Ended::Failed("MASTER timeout: no data nor PING received...".into()));
                }
                Ok(Filled::Nothing) => {}
                Ok(Filled::Closed) => return Err(Ended::Lost),
                Err(error) => {
                    self.log().verbose(&format!("Reading from client: {}", system_text(&error)));
                    return Err(Ended::Lost);
                }
            }
        }
    }

    /// Applies all units that are complete, unless they are held back, which it notes.
    fn apply(&mut self, wire: &mut Wire) -> Result<(), Ended> {
        let Self { term, env, session, units, out, is_held, .. } = self;
        *is_held = false;
        let server: &Server = &term.server;
        server.replication.following.note_read(server.replication.offset() + units.waiting() as u64);
        let mut gate = GateHold::new(server.keyspace);
        let (mut in_section, mut section_ns) = (0, clock::ticks_ns());
        let mut asked = false;
        loop {
            let unit = match units.next() {
                Ok(Some(unit)) => unit,
                Ok(None) => break,
                Err(error) => {
                    let line = session.client.line(clock::now_ms(), None);
                    term.give_up_resume();
                    return Err(Ended::Failed(format!("Protocol error ({error}) from client: {line}.")));
                }
            };
            if session.client.killed.load(Relaxed) {
                return Err(Ended::Quietly);
            }
            if is_inline(&unit) {
                term.give_up_resume();
                return Err(Ended::Failed(INLINE.into()));
            }
            let kind = kind(&unit);
            // Pauses begin outside of sections only, so this one settles it.
            gate.shared(|| env.begin_section(clock::now_ms()));
            if is_held_back(&unit, server.pause()) {
                units.put_back();
                *is_held = true;
                break;
            }
            if env.host.standing().contains(Standing::SAVE_FAILED) && unit.commands().any(writes) {
                server.replication.write_without_disk(server);
            }
            apply_unit(env, &mut gate, session, &unit, kind, out);
            asked |= kind == Kind::GetAck;
            in_section += 1;
            if in_section >= SECTION_UNITS_MAX
                || clock::ticks_ns() - section_ns > SECTION_NS_MAX
                || kind == Kind::GetAck
            {
                gate.end();
                (in_section, section_ns) = (0, clock::ticks_ns());
            }
        }
        drop(gate);
        if asked { self.acknowledge(wire) } else { Ok(()) }
    }

    /// Tells the primary how far this process is.
    fn acknowledge(&mut self, wire: &mut Wire) -> Result<(), Ended> {
        self.next_ack_ns = clock::ticks_ns() + ACK_NS;
        if !self.acknowledges {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let offset = self.term.server.replication.offset().to_string();
        encode_request(["REPLCONF", "ACK", &offset], &mut bytes);
        if let Err(error) = wire.send(&bytes, patience(self.term)) {
            self.log().verbose(&format!("Error writing to client: {}", system_text(&error)));
            return Err(Ended::Lost);
        }
        self.session.client.net_out.add(bytes.len() as u64);
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.session.client.killed.load(Relaxed) || !self.term.is_current()
    }

    fn log(&self) -> &crate::log::Log {
        &self.term.server.log
    }
}

impl Drop for Applier<'_> {
    fn drop(&mut self) {
        self.term.server.registry.remove(self.session.client.id);
    }
}

fn writes(command: UnitCommand<'_>) -> bool {
    let named = command.words().next().and_then(table::lookup);
    named.is_some_and(|named| named.spec.flags.contains(Flags::WRITE))
}

/// Whether a unit has to wait: CLIENT PAUSE holds for the primary as for clients, and a replica of this process that lags
/// may slow it down as well.
fn is_held_back(unit: &Unit<'_>, pause: Pause) -> bool {
    let may_change = |command: UnitCommand<'_>| {
        let name = command.words().next().and_then(table::lookup);
        name.is_none_or(|name| name.spec.flags.intersects(Flags::WRITE | Flags::MAY_REPLICATE))
    };
    match pause {
        Pause::No => false,
        Pause::Writes => unit.is_transaction() || unit.commands().any(may_change),
        Pause::All => true,
    }
}

/// Whether this is a line of words, which no primary sends: an answer to something else, or the middle of a value. Newlines
/// alone are no commands.
fn is_inline(unit: &Unit<'_>) -> bool {
    let first = unit.raw().iter().find(|byte| !matches!(byte, b'\r' | b'\n'));
    unit.commands().len() > 0 && first != Some(&b'*')
}

fn kind(unit: &Unit<'_>) -> Kind {
    let mut commands = unit.commands();
    let Some(mut words) = commands.next().map(|command| command.words()) else { return Kind::Notice };
    if !words.next().is_some_and(|name| name.eq_ignore_ascii_case(b"REPLCONF")) {
        return Kind::Commands;
    }
    if words.next().is_some_and(|option| option.eq_ignore_ascii_case(b"GETACK")) { Kind::GetAck } else { Kind::Notice }
}

fn apply_unit(
    env: &mut Env,
    gate: &mut GateHold<'_>,
    session: &mut Session,
    unit: &Unit<'_>,
    kind: Kind,
    out: &mut Reply,
) {
    let all = unit.commands().len();
    let inner = if kind != Kind::Commands {
        0..0
    } else if unit.is_transaction() {
        1..all - 1
    } else {
        0..all
    };
    let skipped = inner.start;
    let commands: SmallVec<[Args<'_>; 1]> = unit
        .commands()
        .skip(skipped)
        .take(inner.len())
        .map(|command| Args::new(command.base(), command.spans()))
        .collect();
    let begin = out.mark();
    let applied = pipeline::Unit { commands: &commands, raw: unit.raw(), is_transaction: unit.is_transaction() };
    pipeline::apply(env, gate, &clock::now_ms, session, &applied, out);
    out.rewind(begin);
}
