//! FAILOVER: hands the role of the primary over to a replica.
//!
//! Under the exclusive gate every write is stopped, so the offset stands still. As soon as a replica has acknowledged that
//! offset, it has everything that any client was told of. Then this process becomes its replica, and says so by
//! `PSYNC <id> <offset> FAILOVER`, at which the other makes itself the primary and goes on where both are. Only when it has
//! agreed do writes go on here, to be refused then; if it refuses, this process takes the role back.
//!
//! The state changes under the exclusive gate only. Each step is taken by whoever sees that it is due: the feeder that has
//! read an acknowledgement, the periodic work, or the link to the target.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use commands::client::Client;
use commands::error::{Error, Result};
use commands::failover::Failover as Wanted;
use parking_lot::Mutex;

use super::State;
use super::primary::{Phase, Replica};
use super::replica::{Primary, Term};
use crate::clock;
use crate::server::Server;

/// Letters of a foreign id that the log repeats.
const ECHO_BYTES_MAX: usize = 64;

/// How far a failover is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// There is none.
    None,
    /// Writes wait until a replica has everything.
    Waiting,
    /// This process follows the target already, which has not agreed yet.
    InProgress,
}

/// See the file's head.
pub struct Failover {
    stage: AtomicU8,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    /// None until one is named or found.
    target: Option<Primary>,
    /// When the wait ends, in milliseconds since 1970.
    until_ms: Option<i64>,
    /// The target becomes the primary then all the same.
    force: bool,
}

impl Default for Failover {
    fn default() -> Self {
        Self { stage: AtomicU8::new(Stage::None as u8), plan: Mutex::default() }
    }
}

impl Failover {
    /// How far it is.
    pub fn stage(&self) -> Stage {
        const STAGES: [Stage; 3] = [Stage::None, Stage::Waiting, Stage::InProgress];
        STAGES[usize::from(self.stage.load(Relaxed))]
    }

    /// Whether nothing may change because of it.
    #[inline]
    pub fn holds_writes(&self) -> bool {
        self.stage.load(Relaxed) != Stage::None as u8
    }

    /// What INFO says.
    pub fn name(&self) -> &'static str {
        match self.stage() {
            Stage::None => "no-failover",
            Stage::Waiting => "waiting-for-sync",
            Stage::InProgress => "failover-in-progress",
        }
    }

    fn set(&self, stage: Stage) {
        self.stage.store(stage as u8, Relaxed);
    }
}

impl State {
    /// FAILOVER. Called under the exclusive gate.
    ///
    /// # Errors
    /// It cannot be had like this.
    pub fn fail_over(&self, server: &Server, wanted: Wanted) -> Result<()> {
        let refused = |text: &'static str| Err(Error::new(text));
        let Wanted { target, timeout_ms, force } = wanted;
        if self.failover.holds_writes() {
            return refused("ERR FAILOVER already in progress.");
        }
        if self.is_replica() {
            return refused("ERR FAILOVER is not valid when server is a replica.");
        }
        if self.primary.count() == 0 {
            return refused("ERR FAILOVER requires connected replicas.");
        }
        if force && (timeout_ms.is_none() || target.is_none()) {
            return refused("ERR FAILOVER with force option requires both a timeout and target HOST and IP.");
        }
        let target = match target {
            None => {
                server.log.notice("FAILOVER requested to any replica.");
                None
            }
            Some((host, port)) => {
                let Some(replica) = self.replica_at(&host, port) else {
                    return refused("ERR FAILOVER target HOST and PORT is not a replica.");
                };
                if replica.phase() != Phase::Online {
                    return refused("ERR FAILOVER target replica is not online.");
                }
                server.log.notice(&format!("FAILOVER requested to {host}:{port}."));
                Some(Primary { host, port: replica.facts.port })
            }
        };
        // Nothing moves the offset from here on, so this is the moment to hurry the replicas' acknowledgements.
        self.ask_replicas(server);
        let until_ms = timeout_ms.map(|timeout_ms| clock::now_ms().saturating_add(timeout_ms));
        *self.failover.plan.lock() = Plan { target, until_ms, force };
        self.failover.set(Stage::Waiting);
        // Whoever has acknowledged everything already says it no second time.
        server.ending.hurry();
        Ok(())
    }

    /// FAILOVER ABORT. Called under the exclusive gate.
    ///
    /// # Errors
    /// There is none.
    pub fn abort_failover(&self, server: &Server) -> Result<()> {
        if !self.failover.holds_writes() {
            return Err(Error::new("ERR No failover in progress."));
        }
        self.give_failover_up(server, "Failover manually aborted");
        Ok(())
    }

    /// Takes the next step if it is due: a replica has everything, or the time is over.
    pub fn advance_failover(&self, server: &Server) {
        if self.failover.stage() != Stage::Waiting || !(self.failover_is_late() || self.caught_up().is_some()) {
            return;
        }
        let _alone = server.keyspace.gate().enter_alone();
        if self.failover.stage() != Stage::Waiting {
            return;
        }
        if self.failover_is_late() {
            let forced = self.failover.plan.lock().force;
            if !forced {
                return self.give_failover_up(server, "Replica never caught up before timeout");
            }
            self.follow_target(server, |target| format!("FAILOVER to {target} time out exceeded, failing over."));
            return;
        }
        if let Some(replica) = self.caught_up() {
            let found = || Primary { host: replica.ip().to_owned(), port: replica.facts.port };
            self.failover.plan.lock().target.get_or_insert_with(found);
            self.follow_target(server, |target| format!("Failover target {target} is synced, failing over."));
        }
    }

    fn failover_is_late(&self) -> bool {
        self.failover.plan.lock().until_ms.is_some_and(|until_ms| clock::now_ms() >= until_ms)
    }

    /// The replica that has everything and may become the primary.
    fn caught_up(&self) -> Option<Arc<Replica>> {
        let offset = self.offset();
        let target = self.failover.plan.lock().target.clone();
        let has_all = |replica: &Arc<Replica>| replica.phase() == Phase::Online && replica.acked() == offset;
        match target {
            Some(Primary { host, port }) => self.replica_at(&host, i64::from(port)).filter(has_all),
            // A replica that has told no port cannot be reached.
            None => self.primary.replicas().into_iter().find(|replica| has_all(replica) && replica.facts.port != 0),
        }
    }

    fn replica_at(&self, host: &str, port: i64) -> Option<Arc<Replica>> {
        let is_there = |it: &Arc<Replica>| it.ip().eq_ignore_ascii_case(host) && i64::from(it.facts.port) == port;
        self.primary.replicas().into_iter().find(is_there)
    }

    fn follow_target(&self, server: &Server, line: impl FnOnce(&str) -> String) {
        let Some(target) = self.failover.plan.lock().target.clone() else { return };
        server.log.notice(&line(&format!("{}:{}", target.host, target.port)));
        self.failover.set(Stage::InProgress);
        self.follow_as_former_primary(server, target);
    }

    /// Everything is as before, if need be with a new id. Called under the exclusive gate.
    fn give_failover_up(&self, server: &Server, reason: &str) {
        let target = match &self.failover.plan.lock().target {
            Some(Primary { host, port }) => format!("{host}:{port}"),
            None => "any replica".to_owned(),
        };
        server.log.notice(&format!("FAILOVER to {target} aborted: {reason}"));
        if self.failover.stage() == Stage::InProgress {
            self.follow_nobody(server);
        }
        self.end_failover(server);
    }

    /// Lets those go on who wait. Called under the exclusive gate.
    fn end_failover(&self, server: &Server) {
        *self.failover.plan.lock() = Plan::default();
        self.failover.set(Stage::None);
        server.wake_postponed();
    }

    /// `PSYNC <id> <offset> FAILOVER`: our primary makes us the primary. Called under the exclusive gate.
    ///
    /// # Errors
    /// It does not, or is not ours.
    pub fn take_over(&self, server: &Server, client: &Client, id: &[u8]) -> Result<()> {
        let shown = id[..id.len().min(ECHO_BYTES_MAX)].escape_ascii();
        server.log.notice(&format!("Failover request received for replid {shown}."));
        if !self.is_replica() {
            return Err(Error::new("ERR PSYNC FAILOVER can't be sent to a master."));
        }
        if !id.eq_ignore_ascii_case(self.history().id.as_str().as_bytes()) {
            return Err(Error::new("ERR PSYNC FAILOVER replid must match my replid."));
        }
        self.follow_nobody(server);
        let line = client.line(clock::now_ms(), None);
        server.log.notice(&format!("MASTER MODE enabled (failover request from '{line}')"));
        Ok(())
    }
}

impl Term {
    /// Whether the other side is asked to become the primary.
    pub(super) fn fails_over(&self) -> bool {
        self.server.replication.failover.stage() == Stage::InProgress
    }

    /// The other side has agreed to that.
    pub(super) fn failover_done(&self) {
        let _alone = self.server.keyspace.gate().enter_alone();
        if self.is_current() {
            self.server.replication.end_failover(&self.server);
        }
    }

    /// The other side does not: the role comes back, and this link is over.
    pub(super) fn failover_refused(&self, reason: &str) {
        let _alone = self.server.keyspace.gate().enter_alone();
        if self.is_current() && self.fails_over() {
            self.server.replication.give_failover_up(&self.server, reason);
        }
    }
}
