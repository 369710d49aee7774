//! Replication as the process does it: what it knows of its own history, and the links to others.
//!
//! - [`State`]: the ids and the offset, which name what this process has;
//! - [`replica`]: whom it follows, and what becomes of that; [`link`] is the thread that talks to the primary, [`copy`]
//!   takes the first copy over, [`apply`] applies the stream behind it; where the copy has a [`channel`] of its own, the
//!   stream is kept [`beside`] it meanwhile;
//! - [`primary`]: who follows it; [`copies`] and [`outgoing`] are the full copies that they are sent, and the feeders
//!   (`net::feeder`) the threads that send; [`pacing`] slows writers down while a replica lags, [`spill`]
//!   moves to files what memory should not hold for it;
//! - [`divergence`]: what a replica does that cannot be what its primary is;
//! - [`failover`]: how the role of the primary goes over to a replica;
//! - [`stream`]: its own end of the log; [`memory`] is how a restarted process knows where it was;
//! - [`info`]: the section of INFO, and ROLE.
//!
//! **Who changes what.** Role, ids and the beginning of a generation change under the exclusive gate only; the offset moves
//! under the guards of what was changed.

mod apply;
pub mod beside;
mod channel;
pub mod copies;
mod copy;
pub mod divergence;
pub mod failover;
pub mod info;
mod link;
mod memory;
pub mod outgoing;
mod own_keys;
pub mod pacing;
pub mod primary;
pub mod replica;
mod spill;
pub mod stream;
mod wire;

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::Weak;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use commands::record::Record;
use commands::settings::Stop;
use parking_lot::Mutex;
use replication::history::History;
use replication::id::{Position, ReplicationId};

use crate::config::keys;
use crate::net::feeder::Feeders;
use crate::server::Server;
use crate::vitals;
use divergence::Divergence;
use failover::Failover;
use own_keys::OwnKeys;
use pacing::Pacing;
use primary::Primary;
use replica::Following;
use spill::Spill;
use stream::Stream;

/// See the file's head.
pub struct State {
    /// The server that this belongs to, for threads that outlive whoever starts them.
    server: OnceLock<Weak<Server>>,
    history: Mutex<History>,
    /// The log.
    pub stream: Stream,
    /// The threads that send it to replicas.
    pub feeders: Feeders,
    /// Slows writers down while a replica lags.
    pub pacing: Pacing,
    /// Moves to files what memory should not hold for it.
    pub spill: Spill,
    /// The primary's side.
    pub primary: Primary,
    /// The replica's side.
    pub following: Following,
    /// How the one side becomes the other.
    pub failover: Failover,
    /// What clients have written to a replica.
    pub own_keys: OwnKeys,
    /// Where a replica is not what its primary is.
    pub divergence: Divergence,
}

impl Default for State {
    fn default() -> Self {
        Self {
            server: OnceLock::new(),
            history: Mutex::new(History::new(new_id())),
            stream: Stream::default(),
            feeders: Feeders::default(),
            pacing: Pacing::default(),
            spill: Spill::default(),
            primary: Primary::default(),
            following: Following::default(),
            failover: Failover::default(),
            own_keys: OwnKeys::default(),
            divergence: Divergence::default(),
        }
    }
}

impl State {
    /// Lets threads that are started from here reach the server.
    pub fn attach(&self, server: &Arc<Server>) {
        // Only the first counts, and there is no other.
        let _ = self.server.set(Arc::downgrade(server));
    }

    /// The ids.
    pub fn history(&self) -> History {
        *self.history.lock()
    }

    /// Bytes of the stream so far.
    pub fn offset(&self) -> u64 {
        self.stream.offset()
    }

    /// How far this process has come in its history.
    pub fn position(&self) -> Position {
        Position { id: self.history().id, offset: self.offset() }
    }

    /// Whether it follows a primary.
    pub fn is_replica(&self) -> bool {
        self.following.is_on()
    }

    /// Appends effects, and says where they end. Called under the guards of what was changed.
    pub fn append(&self, record: &Record) -> u64 {
        let end = self.stream.append(record);
        if stream::must_tell_now() {
            self.feeders.ring();
        }
        end
    }

    /// Bytes of the primary's stream were applied, and `db` is selected behind them. Called under the guards of what they
    /// have changed; there is one applier.
    pub fn applied(&self, raw: &[u8], db: u32) {
        self.stream.append_raw(raw, db);
        if stream::must_tell_now() {
            self.feeders.ring();
        }
    }

    /// A new id, and the old one becomes the second: promotion. Called under the exclusive gate.
    pub fn shift_id(&self) {
        self.history.lock().shift(new_id(), self.offset());
        self.be_alone_from_now();
        // What comes next is this process's own, and knows nothing of what the primary had selected.
        if let Some(ring) = self.stream.ring() {
            ring.forget_database();
        }
        self.drop_replicas();
    }

    /// A new id, and the old one is forgotten. Called under the exclusive gate.
    pub fn change_id(&self) {
        *self.history.lock() = History::new(new_id());
    }

    /// The history goes by this id from here on, as the primary says. Called under the exclusive gate.
    fn continue_as(&self, server: &Server, id: ReplicationId, db: u32) {
        let mut history = self.history.lock();
        if history.id != id {
            history.shift(id, self.offset());
            self.drop_replicas();
        }
        drop(history);
        if !self.stream.is_on() {
            self.begin_stream(server, self.offset(), db);
        }
    }

    /// What this process had is gone, and nothing else is there yet: nobody can continue from here. Called under the
    /// exclusive gate.
    fn end_generation(&self) {
        self.stream.end();
        self.drop_replicas();
    }

    /// What this process has is another history now, at this position: a full copy was taken over. Called under the
    /// exclusive gate.
    fn begin_generation(&self, server: &Server, position: Option<Position>, db: u32) {
        // A primary that tells no position tells no id either.
        let Position { id, offset } = position.unwrap_or_else(|| Position { id: new_id(), offset: 0 });
        *self.history.lock() = History::new(id);
        self.begin_stream(server, offset, db);
        self.drop_replicas();
    }

    /// Begins the log of a replica, where `db` is selected already.
    fn begin_stream(&self, server: &Server, offset: u64, db: u32) {
        self.stream.begin(self.stream.room(), offset, server.config.get(keys::REPL_BACKLOG_SIZE));
        self.stream.append_raw(b"", db);
    }
}

/// Stops the process if DEBUG REPL-PAUSE wants it at this step, until somebody continues it.
fn stop_if_asked(server: &Server, step: Stop) {
    if is_stop_asked(server, step) {
        stop(server);
    }
}

fn is_stop_asked(server: &Server, step: Stop) -> bool {
    server.settings.repl_pause.load(Relaxed) & step as u8 != 0
}

/// Stops the process until somebody continues it.
fn stop(server: &Server) {
    /// For whoever has continued the process to have his way before this thread goes on.
    const AFTERWARDS: Duration = Duration::from_millis(100);
    server.log.notice("Process is about to stop.");
    // There is no more to be done if the system refuses.
    let _ = signal_hook::low_level::raise(signal_hook::consts::SIGSTOP);
    server.log.notice("Process has been continued.");
    std::thread::sleep(AFTERWARDS);
}

fn new_id() -> ReplicationId {
    ReplicationId::parse(vitals::random_id().as_bytes()).expect("a random id has the right form")
}
