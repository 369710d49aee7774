//! The primary's side: the replicas that there are, how far each is, and what follows from that.
//!
//! A replica's connection belongs to a feeder thread ([`crate::net::feeder`]) from its PSYNC on. What others may know of it
//! stands in a [`Replica`], in atomics. Those who need a full copy queue up in [`super::copies`].
//!
//! **Two channels.** A replica that can (`rdb-channel-repl`, as Redis 8) gets its copy over a second connection, the RDB
//! channel, and over the first one, the main channel, the stream from the cut on at the same time. So nothing has to be
//! kept for it here while the copy lasts: it keeps what it cannot apply yet by itself. Each channel is a [`Replica`]; only
//! the main one counts as such, and is online when the copy is sent, or when it acknowledges anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed};

use commands::blocking::{Awaited, End, Waiter};
use commands::client::{Client, ClientFlags};
use commands::error::{Error, Result};
use commands::host::{Host, Pause};
use commands::replicas::{ReplicaFacts, SyncRequest};
use commands::replication::ReplicaInfo;
use commands::standing::Standing;
use parking_lot::{Mutex, RwLock};
use replication::history::{Decision, Reason, Request};
use replication::ring::Reader;

use super::State;
use super::copies::Copies;
use super::pacing::Lag;
use super::replica::LinkState;
use crate::clock;
use crate::config::keys;
use crate::server::Server;

const SECOND_MS: i64 = 1000;

/// How far a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Its main channel is there, and the one for its copy is not, or has not got anything yet.
    WaitChannel,
    /// Its copy has not begun, or is being made; or, straight from the keyspace, being sent.
    WaitBgsave,
    /// This is its main channel, and has the stream, while the copy is sent over the other.
    BulkAndStream,
    /// Its copy is sent from a file.
    SendBulk,
    /// It has the stream, or is about to.
    Online,
    /// It wanted the copy only, and has it.
    CopySent,
}

/// See the file's head.
pub struct Replica {
    /// Its client.
    pub client: Arc<Client>,
    /// What it has said of itself.
    pub facts: ReplicaFacts,
    /// SYNC: it acknowledges nothing.
    pub is_old: bool,
    /// Which feeder has its connection.
    pub feeder: usize,
    /// How far behind it is.
    pub lag: Lag,
    phase: AtomicU8,
    /// Up to where it has acknowledged.
    acked: AtomicU64,
    /// Up to where it has the stream on its disk, if it tells (`FACK`). Redis shows it nowhere; WAITAOF will ask for it.
    on_disk: AtomicU64,
    /// When it was last heard of, in milliseconds since 1970.
    heard_ms: AtomicI64,
}

impl Replica {
    fn new(client: Arc<Client>, facts: ReplicaFacts, is_old: bool, feeder: usize) -> Self {
        let heard_ms = AtomicI64::new(clock::now_ms());
        let phase = AtomicU8::new(Phase::WaitBgsave as u8);
        Self {
            client,
            facts,
            is_old,
            feeder,
            phase,
            lag: Lag::default(),
            acked: AtomicU64::new(0),
            on_disk: AtomicU64::new(0),
            heard_ms,
        }
    }

    /// How far it is.
    pub fn phase(&self) -> Phase {
        const PHASES: [Phase; 6] = [
            Phase::WaitChannel,
            Phase::WaitBgsave,
            Phase::BulkAndStream,
            Phase::SendBulk,
            Phase::Online,
            Phase::CopySent,
        ];
        PHASES[usize::from(self.phase.load(Relaxed))]
    }

    /// Notes how far it is.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
        self.heard_ms.store(clock::now_ms(), Relaxed);
    }

    /// It has acknowledged: so much is applied, and so much on its disk, if it tells.
    pub fn acknowledge(&self, applied: u64, on_disk: Option<u64>) {
        self.acked.fetch_max(applied, Relaxed);
        self.on_disk.fetch_max(on_disk.unwrap_or(0), Relaxed);
    }

    /// It has said anything at all; while it loads, an empty line a second.
    pub fn heard(&self) {
        self.heard_ms.store(clock::now_ms(), Relaxed);
    }

    /// Up to where it has acknowledged.
    pub fn acked(&self) -> u64 {
        self.acked.load(Relaxed)
    }

    /// Milliseconds since it was heard of.
    pub fn quiet_ms(&self) -> i64 {
        (clock::now_ms() - self.heard_ms.load(Relaxed)).max(0)
    }

    /// Whether it is one still: from the moment that its connection is told to close, nobody counts on it any more, though
    /// its feeder comes to close it only a little later.
    fn is_there(&self) -> bool {
        !self.client.killed.load(Relaxed)
    }

    /// How far it is, in the words of INFO, and for how many seconds nothing was heard of it.
    fn state_and_lag_s(&self) -> (&'static str, i64) {
        match self.phase() {
            Phase::WaitChannel | Phase::WaitBgsave => ("wait_bgsave", 0),
            Phase::BulkAndStream => ("send_bulk_and_stream", 0),
            Phase::SendBulk => ("send_bulk", 0),
            Phase::Online | Phase::CopySent => ("online", self.quiet_ms() / SECOND_MS),
        }
    }

    /// The address that it announces, or that it comes from.
    pub fn ip(&self) -> &str {
        self.facts.ip(&self.client.addr)
    }

    /// What the log calls it.
    pub fn name(&self) -> String {
        self.facts.name(&self.client.addr)
    }
}

/// How a replica begins.
pub enum Start {
    /// With these bytes, and then the stream.
    Stream(Vec<u8>, Reader),
    /// With a copy, once it is made.
    Copy,
    /// With these bytes, and then with the stream, once the copy is made that goes over another connection.
    Channel(Vec<u8>),
}

/// See the file's head.
#[derive(Default)]
pub struct Primary {
    replicas: RwLock<Vec<Arc<Replica>>>,
    /// Clients in WAIT.
    waiting: Mutex<Vec<Arc<Waiter>>>,
    /// Full copies.
    pub copies: Copies,
    /// Full copies that were begun, and requests to go on that were granted or refused.
    pub sync_full: AtomicU64,
    /// See above.
    pub sync_partial_ok: AtomicU64,
    /// See above.
    pub sync_partial_err: AtomicU64,
    /// Bytes sent to replicas.
    pub bytes_out: AtomicU64,
    last_second_ms: AtomicI64,
    pinged_ms: AtomicI64,
    /// Since when there has been no replica, in milliseconds since 1970.
    alone_since_ms: AtomicI64,
    few_replicas: AtomicBool,
}

impl Primary {
    /// All replicas, in the order they came.
    pub fn replicas(&self) -> Vec<Arc<Replica>> {
        self.replicas.read().iter().filter(|it| it.is_there()).cloned().collect()
    }

    /// How many connections of replicas there are, those included that are about to be closed.
    pub fn count(&self) -> usize {
        count(&self.replicas.read())
    }

    /// Whether this client is the main channel of a replica that still needs one for its copy.
    pub fn awaits_rdb_channel(&self, client: u64) -> bool {
        self.of_client(client).is_some_and(|replica| replica.phase() == Phase::WaitChannel)
    }

    /// The replica of a client.
    pub(super) fn of_client(&self, client: u64) -> Option<Arc<Replica>> {
        self.replicas.read().iter().find(|replica| replica.client.id == client).cloned()
    }

    /// Those that ROLE tells of.
    pub fn online(&self) -> Vec<ReplicaInfo> {
        let replicas = self.replicas();
        let online = replicas.iter().filter(|replica| replica.phase() == Phase::Online);
        online
            .map(|replica| ReplicaInfo {
                ip: replica.ip().to_owned(),
                port: replica.facts.port,
                offset: replica.acked.load(Relaxed),
            })
            .collect()
    }

    /// How many replicas have acknowledged the log up to here.
    pub fn acknowledged(&self, offset: u64) -> usize {
        let has = |it: &&Arc<Replica>| it.is_there() && it.phase() == Phase::Online && it.acked() >= offset;
        self.replicas.read().iter().filter(has).count()
    }

    /// Appends the lines of INFO from `connected_slaves` on.
    pub fn info(&self, server: &Server, out: &mut String) {
        use std::fmt::Write;
        let replicas = self.replicas();
        let mut lines = format!("connected_slaves:{}\r\n", count(&replicas));
        if server.config.get(keys::MIN_REPLICAS_TO_WRITE) > 0 && server.config.get(keys::MIN_REPLICAS_MAX_LAG) > 0 {
            let _ = write!(lines, "min_slaves_good_slaves:{}\r\n", good(&replicas, server));
        }
        let told = replicas.iter().filter(|replica| counts(&replicas, replica));
        for (index, replica) in told.enumerate() {
            let (state, lag) = replica.state_and_lag_s();
            let (ip, port, offset) = (replica.ip(), replica.facts.port, replica.acked.load(Relaxed));
            // Writing to a string cannot fail.
            let _ = write!(lines, "slave{index}:ip={ip},port={port},state={state},offset={offset},lag={lag}\r\n");
        }
        out.push_str(&lines);
    }
}

/// How many they are. One with two channels counts once, and one that wanted a copy only until it has it.
fn count(replicas: &[Arc<Replica>]) -> usize {
    replicas.iter().filter(|replica| counts(replicas, replica)).count()
}

/// How many are online and were heard of lately enough.
fn good(replicas: &[Arc<Replica>], server: &Server) -> usize {
    let lag_ms = server.config.get(keys::MIN_REPLICAS_MAX_LAG) as i64 * SECOND_MS;
    let is_good = |it: &&Arc<Replica>| {
        it.is_there() && it.phase() == Phase::Online && it.quiet_ms() / SECOND_MS * SECOND_MS <= lag_ms
    };
    replicas.iter().filter(is_good).count()
}

/// Whether this is a replica by itself: not if it is but the second channel of another, or has the copy that it wanted.
fn counts(replicas: &[Arc<Replica>], replica: &Replica) -> bool {
    let main = replica.facts.main_channel;
    let has_main = || main.is_some_and(|main| replicas.iter().any(|other| other.client.id == main));
    replica.phase() != Phase::CopySent && !has_main()
}

/// Whether full copies go over a connection of their own, to those who can take them so.
fn offers_channel(server: &Server) -> bool {
    server.config.get(keys::REPL_RDB_CHANNEL) && server.config.get(keys::REPL_DISKLESS_SYNC)
}

impl State {
    /// Whether a replica can be served from here: not while our own primary is away, or the role is being handed over.
    ///
    /// # Errors
    /// That it cannot.
    pub fn may_sync(&self) -> Result<()> {
        if self.failover.holds_writes() {
            return Err(Error::new("NOMASTERLINK Can't SYNC while failing over"));
        }
        if self.is_replica() && self.following.state() != LinkState::Connected {
            return Err(Error::new("NOMASTERLINK Can't SYNC while not connected with my master"));
        }
        Ok(())
    }

    /// A connection has become a replica's: decides how it begins.
    pub fn adopt(
        &self,
        server: &Arc<Server>,
        client: &Arc<Client>,
        facts: ReplicaFacts,
        request: &SyncRequest,
        feeder: usize,
    ) -> (Arc<Replica>, Start) {
        let replica = Arc::new(Replica::new(client.clone(), facts, *request == SyncRequest::Sync, feeder));
        server.log.notice(&format!("Replica {} asks for synchronization", replica.name()));
        client.set_flags(ClientFlags::REPLICA, true);
        let section = server.keyspace.gate().enter();
        if let Some((greeting, reader)) = self.go_on(server, &replica, request) {
            replica.set_phase(Phase::Online);
            self.primary.replicas.write().push(replica.clone());
            drop(section);
            self.primary.sync_partial_ok.fetch_add(1, Relaxed);
            self.judge_replicas(server);
            return (replica, Start::Stream(greeting, reader));
        }
        drop(section);
        if *request != SyncRequest::Sync && replica.facts.takes_channel && offers_channel(server) {
            replica.set_phase(Phase::WaitChannel);
            self.primary.replicas.write().push(replica.clone());
            self.switch_on(server);
            server.log.notice(&format!(
                "Replica {} is capable of rdb channel synchronization, and partial sync isn't possible. Full sync will \
                 continue with dedicated rdb channel.",
                replica.name()
            ));
            let greeting = format!("+RDBCHANNELSYNC {}\r\n", client.id);
            return (replica, Start::Channel(greeting.into_bytes()));
        }
        self.primary.sync_full.fetch_add(1, Relaxed);
        self.primary.replicas.write().push(replica.clone());
        self.switch_on(server);
        (replica, Start::Copy)
    }

    /// Lets a replica go on where it was, if ids and backlog allow it. Called in a section.
    fn go_on(&self, server: &Server, replica: &Replica, request: &SyncRequest) -> Option<(Vec<u8>, Reader)> {
        let SyncRequest::Psync(id, offset) = request else { return None };
        let history = self.history();
        let ring = self.stream.ring();
        let backlog = ring.as_ref().map(|ring| {
            ring.trim();
            (ring.first_offset(), ring.tail())
        });
        let decision = history.decide(Request { id, offset: *offset }, backlog);
        // Between the look and the pin the backlog may have gone on.
        let reader = match decision {
            Decision::Continue(from) => ring.as_ref().and_then(|ring| ring.reader(from)),
            Decision::Full(_) => None,
        };
        if let Some(reader) = reader {
            server.log.notice(&format!(
                "Partial resynchronization request from {} accepted. Sending {} bytes of backlog starting from offset \
                 {offset}.",
                replica.name(),
                reader.lag()
            ));
            let greeting = match replica.facts.psync2 {
                true => format!("+CONTINUE {}\r\n", history.id),
                false => "+CONTINUE\r\n".to_owned(),
            };
            return Some((greeting.into_bytes(), reader));
        }
        let reason = match decision {
            Decision::Full(reason) => reason,
            Decision::Continue(_) => Reason::OutOfBacklog,
        };
        if reason.is_refusal() {
            self.primary.sync_partial_err.fetch_add(1, Relaxed);
        }
        self.log_refusal(server, replica, Request { id, offset: *offset }, reason);
        None
    }

    fn log_refusal(&self, server: &Server, replica: &Replica, request: Request<'_>, reason: Reason) {
        let history = self.history();
        let (name, offset) = (replica.name(), request.offset);
        server.log.notice(&match reason {
            Reason::Asked => {
                let channel = if replica.facts.rdb_channel { " (rdb-channel)" } else { "" };
                format!("Full resync requested by replica {name}{channel}")
            }
            Reason::OtherHistory => format!(
                "Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '{}', my replication \
                 IDs are '{}' and '{}')",
                String::from_utf8_lossy(request.id),
                history.id,
                history.second_id
            ),
            Reason::BeyondSecond => format!(
                "Partial resynchronization not accepted: Requested offset for second ID was {offset}, but I can reply up \
                 to {}",
                history.second_offset
            ),
            Reason::NoBacklog | Reason::OutOfBacklog => format!(
                "Unable to partial resync with replica {name} for lack of backlog (Replica request was: {offset})."
            ),
        });
        if reason == Reason::OutOfBacklog && offset > self.stream.offset() as i64 + 1 {
            server.log.warning(&format!(
                "Warning: replica {name} tried to PSYNC with an offset that is greater than the master replication offset."
            ));
        }
    }

    /// Switches the log on if it is off: with a new id, because nobody can share a history that was not kept.
    fn switch_on(&self, server: &Server) {
        if self.stream.is_on() {
            return;
        }
        let room = self.stream.room();
        let _alone = server.keyspace.gate().enter_alone();
        if !self.stream.is_on() {
            self.change_id();
            self.stream.begin(room, self.stream.offset(), server.config.get(keys::REPL_BACKLOG_SIZE));
            let ids = self.history();
            server.log.notice(&format!(
                "Replication backlog created, my new replication IDs are '{}' and '{}'",
                ids.id, ids.second_id
            ));
        }
    }

    /// A replica's connection has ended.
    pub fn replica_gone(&self, server: &Server, replica: &Arc<Replica>) {
        self.primary.replicas.write().retain(|other| !Arc::ptr_eq(other, replica));
        self.primary.copies.leave(replica);
        self.primary.alone_since_ms.store(clock::now_ms(), Relaxed);
        if replica.facts.rdb_channel {
            server.log.notice(&format!("Connection with replica (rdbchannel) {} lost.", replica.name()));
            self.give_main_channel_up(replica);
        } else if !replica.facts.rdb_only {
            server.log.notice(&format!("Connection with replica {} lost.", replica.name()));
        }
        self.judge_replicas(server);
    }

    /// The stream is of no use to a replica without the copy that it stands behind.
    fn give_main_channel_up(&self, channel: &Replica) {
        if channel.phase() == Phase::CopySent {
            return;
        }
        let main = channel.facts.main_channel.and_then(|main| self.primary.of_client(main));
        if let Some(main) = main.filter(|main| main.phase() == Phase::BulkAndStream) {
            main.client.killed.store(true, Relaxed);
            self.feeders.look();
        }
    }

    /// A connection that is for a copy only has it: so the replica has it whose main channel is another.
    pub fn copy_is_sent(&self, server: &Server, channel: &Replica) {
        if let Some(main) = channel.facts.main_channel.and_then(|main| self.primary.of_client(main)) {
            self.put_online(server, &main);
        }
    }

    /// A replica with two channels has its copy.
    pub fn put_online(&self, server: &Server, main: &Replica) {
        if main.phase() == Phase::BulkAndStream {
            main.set_phase(Phase::Online);
            server.log.notice(&format!("Synchronization with replica {} succeeded", main.name()));
            self.judge_replicas(server);
        }
    }

    /// Cuts all replicas off, so that they come back and hear of the new id.
    pub(super) fn drop_replicas(&self) {
        for replica in self.primary.replicas() {
            replica.client.killed.store(true, Relaxed);
        }
        self.feeders.look();
    }

    // --- acknowledgements

    /// A client is in WAIT from now on.
    pub fn await_replicas(&self, server: &Server, waiter: &Arc<Waiter>) {
        self.primary.waiting.lock().push(waiter.clone());
        self.ask_replicas(server);
        // What was acknowledged before this one stood in the list counts as well.
        self.answer_waiting(server);
    }

    /// Answers those in WAIT for whom enough has been acknowledged.
    pub fn answer_waiting(&self, server: &Server) {
        let mut ready = Vec::new();
        self.primary.waiting.lock().retain(|waiter| {
            let awaited = waiter.awaited.filter(|_| waiter.is_waiting());
            let Some(Awaited::Replicas { offset, count }) = awaited else { return false };
            let there = self.primary.acknowledged(offset);
            if there >= count {
                ready.push((waiter.clone(), there));
            }
            there < count
        });
        for (waiter, there) in ready {
            if server.waiters.end(&waiter, End::Served) {
                let mut reply = waiter.reply();
                reply.int(there as i64);
                server.deliver(&waiter, reply);
            }
        }
    }

    /// Asks all replicas how far they are, unless nothing is to move the offset now.
    pub(super) fn ask_replicas(&self, server: &Server) {
        if !self.is_replica() && server.paused() == Pause::No {
            self.stream.ask();
            self.tell_feeders();
        }
    }

    /// Whether all replicas have acknowledged up to here.
    pub fn all_have(&self, offset: u64) -> bool {
        let has = |it: &Arc<Replica>| !it.is_there() || it.facts.rdb_only || it.acked() >= offset;
        self.primary.replicas.read().iter().all(has)
    }

    /// Asks for acknowledgements one last time, and says which offset they have to reach.
    pub fn last_call(&self, server: &Server) -> u64 {
        let offset = self.offset();
        self.ask_replicas(server);
        offset
    }

    /// Tells the log how far the replicas are when the process ends.
    pub fn log_lagging(&self, server: &Server, offset: u64) {
        let replicas = self.primary.replicas();
        let lagging: Vec<_> = replicas.iter().filter(|replica| replica.acked.load(Relaxed) < offset).collect();
        for replica in &lagging {
            let (state, lag) = replica.state_and_lag_s();
            let behind = offset - replica.acked.load(Relaxed);
            server.log.notice(&format!(
                "Lagging replica {} reported offset {behind} behind master, lag={lag}, state={state}.",
                replica.name()
            ));
        }
        if !replicas.is_empty() {
            let in_sync = replicas.len() - lagging.len();
            server.log.notice(&format!("{in_sync} of {} replicas are in sync when shutting down.", replicas.len()));
        }
    }

    /// Refuses writes, or takes them again, by the number of good replicas (`min-replicas-to-write`).
    pub fn judge_replicas(&self, server: &Server) {
        if self.primary.few_replicas.load(Relaxed) != self.has_few(server) {
            let _alone = server.keyspace.gate().enter_alone();
            self.judge_replicas_alone(server);
        }
    }

    /// The same, for one who has the gate: the role has changed, or the limits have.
    pub fn judge_replicas_alone(&self, server: &Server) {
        let few = self.has_few(server);
        self.primary.few_replicas.store(few, Relaxed);
        server.stand(Standing::FEW_REPLICAS, few);
    }

    fn has_few(&self, server: &Server) -> bool {
        let wanted = server.config.get(keys::MIN_REPLICAS_TO_WRITE);
        let lag = server.config.get(keys::MIN_REPLICAS_MAX_LAG);
        wanted > 0 && lag > 0 && !self.is_replica() && good(&self.primary.replicas.read(), server) < wanted
    }

    // --- every now and then

    /// What the main thread does for replicas, several times a second.
    pub fn tick(&self, server: &Arc<Server>) {
        let now_ms = clock::now_ms();
        self.advance_failover(server);
        self.primary.copies.start_if_due(server);
        if now_ms - self.primary.last_second_ms.load(Relaxed) < SECOND_MS {
            return;
        }
        self.primary.last_second_ms.store(now_ms, Relaxed);
        self.stream.trim(server.config.get(keys::REPL_BACKLOG_SIZE));
        self.ping_if_due(server, now_ms);
        self.switch_off_if_due(server, now_ms);
        self.judge_replicas(server);
    }

    fn ping_if_due(&self, server: &Server, now_ms: i64) {
        const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
        let period_ms = server.config.get(keys::REPL_PING_REPLICA_PERIOD) as i64 * SECOND_MS;
        if now_ms - self.primary.pinged_ms.load(Relaxed) < period_ms {
            return;
        }
        self.primary.pinged_ms.store(now_ms, Relaxed);
        if self.is_replica() || self.primary.count() == 0 {
            return;
        }
        let section = server.keyspace.gate().enter();
        // A replica's log is its primary's. Roles change, and pauses begin, outside of sections only.
        if !self.is_replica() && server.paused() == Pause::No {
            self.stream.append_notice(PING);
        }
        drop(section);
        self.tell_feeders();
    }

    /// The time without replicas, after which the log ends, begins now: there is a log that none has asked for yet.
    pub(super) fn be_alone_from_now(&self) {
        self.primary.alone_since_ms.store(clock::now_ms(), Relaxed);
    }

    /// Ends the log when nobody has asked for it for `repl-backlog-ttl`.
    fn switch_off_if_due(&self, server: &Server, now_ms: i64) {
        let ttl_secs = server.config.get(keys::REPL_BACKLOG_TTL) as i64;
        let alone_ms = now_ms - self.primary.alone_since_ms.load(Relaxed);
        let is_due = || {
            ttl_secs > 0
                && self.stream.is_on()
                && !self.is_replica()
                && self.primary.count() == 0
                && alone_ms > ttl_secs.saturating_mul(SECOND_MS)
        };
        if !is_due() {
            return;
        }
        let _alone = server.keyspace.gate().enter_alone();
        if is_due() {
            self.change_id();
            self.stream.end();
            server
                .log
                .notice(&format!("Replication backlog freed after {ttl_secs} seconds without connected replicas."));
        }
    }

    /// Lets the feeders know that there is something to send.
    pub fn tell_feeders(&self) {
        if super::stream::take_news() {
            self.feeders.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_never_goes_back() {
        let replica = Replica::new(Arc::default(), ReplicaFacts::default(), false, 0);
        let told = |replica: &Replica| (replica.acked(), replica.on_disk.load(Relaxed));
        replica.acknowledge(10, None);
        assert_eq!(told(&replica), (10, 0));
        replica.acknowledge(20, Some(15));
        assert_eq!(told(&replica), (20, 15));
        replica.acknowledge(18, None);
        replica.acknowledge(18, Some(12));
        assert_eq!(told(&replica), (20, 15));
    }
}
