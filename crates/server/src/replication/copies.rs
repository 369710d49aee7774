//! Full copies for replicas: who waits for one, and how it is made.
//!
//! One copy is made at a time, for all who wait for the same kind of it. It begins with a cut under the exclusive gate: at
//! that instant the log gives its offset and is pinned there. Then a thread of its own walks the keyspace and writes what
//! it finds, straight to the replicas' connections (`repl-diskless-sync`; [`super::outgoing`]), or into the server's file,
//! which is sent when it is complete. The stream follows from the pin.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use commands::settings::Stop;
use parking_lot::Mutex;
use persistence::save::{Preamble, save};
use persistence::snapshot_file::{self, FileError, Step};
use rdb::file::{Contents, FileWriter, LastUse};
use rdb::write::Sink;
use replication::id::{Position, ReplicationId};
use replication::ring::{NO_DB, Reader};
use store::walk::Walk;

use super::outgoing::{Blocks, Outgoing};
use super::primary::{Phase, Replica};
use super::replica::Resume;
use super::stop_if_asked;
use crate::config::keys;
use crate::net::feeder::Order;
use crate::persistence::snapshot::{self, Delay};
use crate::persistence::{changes, is_volatile};
use crate::server::Server;
use crate::{background, clock};

/// Keys between two looks whether anybody still waits for a copy.
const KEYS_UNASKED: u64 = 256;

/// See the file's head.
#[derive(Default)]
pub struct Copies {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Arc<Replica>>,
    /// When the first of them came, in milliseconds since 1970.
    since_ms: i64,
    running: Option<Running>,
}

/// The copy that is being made.
struct Running {
    members: Vec<Arc<Replica>>,
    /// What those need who come later and want the same; nothing if it is too late for them.
    open: Option<Cut>,
}

/// Where the stream goes on behind a copy.
#[derive(Clone)]
struct Cut {
    id: ReplicationId,
    reader: Reader,
}

impl Cut {
    /// Where a replica can go on that keeps the copy, after a restart.
    fn place(&self, db: u32) -> Resume {
        Resume { position: Position { id: self.id, offset: self.reader.position() }, db }
    }
}

/// What kind of copy some replicas want.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    /// Straight to their connections.
    direct: bool,
    without_data: bool,
    /// Over connections of their own.
    channel: bool,
}

impl Kind {
    fn of(server: &Server, replica: &Replica) -> Self {
        let without_data = replica.facts.without_data;
        Self {
            direct: replica.facts.eof
                && (without_data || replica.facts.rdb_channel || server.config.get(keys::REPL_DISKLESS_SYNC)),
            without_data,
            channel: replica.facts.rdb_channel,
        }
    }
}

impl Copies {
    /// A replica needs a copy.
    pub fn want(&self, server: &Arc<Server>, replica: &Arc<Replica>) {
        let mut queue = self.queue.lock();
        let kind = Kind::of(server, replica);
        if let Some(Running { members, open: Some(cut) }) = &mut queue.running
            && !kind.direct
        {
            // Its file is still being written, and the stream is pinned at its cut.
            server.log.notice("Waiting for end of BGSAVE for SYNC");
            begin_stream(server, replica, cut);
            server.replication.feeders.post(replica.feeder, Order::Greet(replica.client.id, greeting(replica, cut)));
            members.push(replica.clone());
            return;
        }
        if queue.running.is_some() {
            server.log.notice("Current BGSAVE has socket target. Waiting for next BGSAVE for SYNC");
        } else if kind.direct && server.config.get(keys::REPL_DISKLESS_SYNC_DELAY) > 0 {
            server.log.notice("Delay next BGSAVE for diskless SYNC");
        }
        if queue.waiting.is_empty() {
            queue.since_ms = clock::now_ms();
        }
        queue.waiting.push(replica.clone());
        drop(queue);
        self.start_if_due(server);
    }

    /// A replica is gone.
    pub fn leave(&self, replica: &Arc<Replica>) {
        let mut queue = self.queue.lock();
        let others = |other: &Arc<Replica>| !Arc::ptr_eq(other, replica);
        queue.waiting.retain(others);
        if let Some(running) = &mut queue.running {
            running.members.retain(others);
        }
    }

    /// Whether a copy is being made.
    pub fn is_making(&self) -> bool {
        self.queue.lock().running.is_some()
    }

    /// Whether nobody is left whom the copy that is being made is for.
    fn is_abandoned(&self) -> bool {
        self.queue.lock().running.as_ref().is_none_or(|running| running.members.is_empty())
    }

    /// Begins a copy if somebody waits for one, none is being made, and others were given time to come as well.
    pub fn start_if_due(&self, server: &Arc<Server>) {
        let mut queue = self.queue.lock();
        let Some(first) = queue.waiting.first().filter(|_| queue.running.is_none()) else { return };
        let kind = Kind::of(server, first);
        if kind.direct && !is_worth_it(server, &queue) {
            return;
        }
        let (members, rest) =
            std::mem::take(&mut queue.waiting).into_iter().partition(|replica| Kind::of(server, replica) == kind);
        queue.waiting = rest;
        queue.since_ms = clock::now_ms();
        queue.running = Some(Running { members, open: None });
        drop(queue);
        let theirs = server.clone();
        if let Err(error) =
            background::spawn("repl-copy", move || theirs.replication.primary.copies.make(&theirs, kind))
        {
            server.log.warning(&format!("Can't save in background: {error}"));
            self.end(server, false);
        }
    }

    /// Makes the copy that `running` is for.
    fn make(&self, server: &Arc<Server>, kind: Kind) {
        let target = if kind.direct { "replicas sockets" } else { "disk" };
        let channel = if kind.channel { " (rdb-channel)" } else { "" };
        server.log.notice(&format!("Starting BGSAVE for SYNC with target: {target}{channel}"));
        let Some((cut, mut data)) = self.cut(server, kind) else { return self.end(server, false) };
        let is_made = if kind.direct {
            let made = self.make_direct(server, cut, &mut data);
            match &made {
                Ok(()) => server.log.notice("Background RDB transfer terminated with success"),
                Err(error) => server.log.warning(&format!("Background transfer error: {error}")),
            }
            made.is_ok()
        } else {
            let made = self.make_file(server, &mut data);
            match &made {
                Ok(()) => server.log.notice("Background saving terminated with success"),
                // That says nothing about the disk.
                Err(FileError { error, .. }) if error.kind() == io::ErrorKind::Interrupted => {
                    server.log.notice(&format!("Background saving was ended before its time: {error}"));
                }
                Err(error) => snapshot::note_failure(server, error),
            }
            made.is_ok()
        };
        if !is_made {
            // There is no child, but these are the words that people look for.
            server.log.warning("SYNC failed. BGSAVE child returned an error");
        }
        drop(data);
        self.end(server, is_made);
    }

    /// The instant that the copy is of. Greets the replicas.
    fn cut(&self, server: &Server, kind: Kind) -> Option<(Cut, Data)> {
        let state = &server.replication;
        let alone = server.keyspace.gate().enter_alone();
        let ring = state.stream.ring()?;
        if !state.is_replica() {
            // Whoever begins here knows of no database that is selected. On a replica the log is the primary's, and the copy
            // says which.
            ring.forget_database();
        }
        let cut = Cut { id: state.history().id, reader: ring.reader(ring.tail())? };
        // A replica does not say which versions it reads, and 7.0 is to read this too; so two times of a consumer that older
        // files do not tell apart are told as one.
        let contents = snapshot::contents(server, &alone, false);
        let walk = (!kind.without_data).then(|| server.keyspace.cut(&alone));
        let (number, changes) = (server.persistence.next_cut(), changes(server));
        let db = Some(ring.database()).filter(|db| *db != NO_DB).unwrap_or(0);
        drop(alone);
        let facts = snapshot::facts(server, Some(cut.place(db)));
        let data = Data { walk, number, changes, contents, facts, is_file: !kind.direct };
        let mut queue = self.queue.lock();
        let running = queue.running.as_mut()?;
        if !kind.direct {
            for replica in &running.members {
                begin_stream(server, replica, &cut);
                state.feeders.post(replica.feeder, Order::Greet(replica.client.id, greeting(replica, &cut)));
            }
            running.open = Some(cut.clone());
        }
        Some((cut, data))
    }

    /// Sends the copy while it is made.
    fn make_direct(&self, server: &Server, cut: Cut, data: &mut Data) -> io::Result<()> {
        let feeders = &server.replication.feeders;
        let folder = snapshot::folder(server);
        let mark = ReplicationId::from_random(std::array::from_fn(|_| fastrand::u8(..)));
        let outgoing = {
            // Under the queue's lock, so that whoever leaves now leaves the copy as well.
            let queue = self.queue.lock();
            let members = queue.running.as_ref().map_or(&[][..], |running| &running.members);
            let outgoing = Arc::new(Outgoing::new(members.iter().map(|replica| replica.client.id), &folder));
            for replica in members {
                begin_stream(server, replica, &cut);
                let mut hello = greeting(replica, &cut);
                hello.extend_from_slice(format!("$EOF:{mark}\r\n").as_bytes());
                feeders.post(replica.feeder, Order::Greet(replica.client.id, hello));
                let order = Order::Begin {
                    client: replica.client.id,
                    copy: outgoing.clone(),
                    stream: stream_behind(replica, &cut),
                    mark: Some(mark),
                };
                feeders.post(replica.feeder, order);
            }
            outgoing
        };
        // From here on only those keep the stream who will need it.
        drop(cut);
        let tell = || feeders.ring();
        stop_if_asked(server, Stop::AfterCut);
        let hurries = || snapshot::hurries(server);
        let written = snapshot::stand_back(server, || {
            let mut blocks = Blocks::new(&outgoing, &tell, &hurries);
            data.write(server, &mut blocks).and_then(|()| io::Write::flush(&mut blocks))
        });
        outgoing.end(written.is_ok());
        feeders.look();
        written
    }

    /// Writes the copy into the server's file, which counts as a save, and sends that.
    fn make_file(&self, server: &Server, data: &mut Data) -> Result<(), FileError> {
        let path = snapshot::path(server);
        let temporary = path.with_file_name(format!("temp-repl-{}.rdb", std::process::id()));
        let incremental = server.config.get(keys::RDB_SAVE_INCREMENTAL_FSYNC);
        let (number, changes) = (data.number, data.changes);
        snapshot_file::write(&temporary, incremental, |out| snapshot::stand_back(server, || data.write(server, out)))?;
        // Opened before it gets its name: under that name there may be another save's file a moment later. It stays
        // readable whatever becomes of its name.
        let unreadable = |error| FileError { step: Step::Open, path: temporary.clone(), error };
        let file = File::open(&temporary).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        if data.walk.is_none() {
            // A file without the data must not take the place of one with it.
            snapshot_file::discard(&temporary);
        } else if server.config.get(keys::RDB_DEL_SYNC_FILES) && is_volatile(server) {
            server.log.notice("Removing the RDB file used to feed replicas in a persistence-less instance");
            snapshot_file::discard(&temporary);
        } else {
            let is_newest = snapshot::place(server, number, &temporary, &path)?;
            if is_newest {
                snapshot::note_success(server, changes);
            }
        }
        let mut queue = self.queue.lock();
        let Some(running) = &mut queue.running else { return Ok(()) };
        let Some(cut) = running.open.take() else { return Ok(()) };
        let copy = Arc::new(Outgoing::of_file(running.members.iter().map(|replica| replica.client.id), file, length));
        let feeders = &server.replication.feeders;
        for replica in &running.members {
            replica.set_phase(Phase::SendBulk);
            feeders.post(replica.feeder, Order::Greet(replica.client.id, format!("${length}\r\n").into_bytes()));
            let stream = stream_behind(replica, &cut);
            let order = Order::Begin { client: replica.client.id, copy: copy.clone(), stream, mark: None };
            feeders.post(replica.feeder, order);
        }
        Ok(())
    }

    /// The copy is made, or has failed; then its replicas are let go.
    fn end(&self, server: &Arc<Server>, made: bool) {
        let running = self.queue.lock().running.take();
        if !made {
            for replica in running.iter().flat_map(|running| &running.members) {
                replica.client.killed.store(true, Relaxed);
            }
            server.replication.feeders.look();
        }
        self.start_if_due(server);
    }
}

/// Whether the wait for more replicas is over.
fn is_worth_it(server: &Server, queue: &Queue) -> bool {
    let delay_ms = server.config.get(keys::REPL_DISKLESS_SYNC_DELAY) as i64 * 1000;
    let enough = server.config.get(keys::REPL_DISKLESS_SYNC_MAX_REPLICAS);
    clock::now_ms() - queue.since_ms >= delay_ms || (enough > 0 && queue.waiting.len() >= enough)
}

/// A replica that has its copy over a connection of its own gets the stream over the other one from the cut on.
fn begin_stream(server: &Server, channel: &Replica, cut: &Cut) {
    if !channel.facts.rdb_channel {
        return;
    }
    let main = channel.facts.main_channel.and_then(|main| server.replication.primary.of_client(main));
    let Some(main) = main.filter(|main| main.phase() == Phase::WaitChannel) else {
        server.log.warning(&format!(
            "Starting to deliver RDB to replica {} but it has no associated main channel",
            channel.name()
        ));
        return;
    };
    main.set_phase(Phase::BulkAndStream);
    server.replication.feeders.post(main.feeder, Order::Stream(main.client.id, cut.reader.clone()));
    server.log.notice(&format!("Starting to deliver RDB and replication stream to replica: {}", main.name()));
}

/// The stream that follows a copy on its connection, if any does.
fn stream_behind(replica: &Replica, cut: &Cut) -> Option<Reader> {
    (!replica.facts.rdb_only).then(|| cut.reader.clone())
}

/// What a replica is told before its copy.
fn greeting(replica: &Replica, cut: &Cut) -> Vec<u8> {
    if replica.is_old {
        return Vec::new();
    }
    format!("+FULLRESYNC {} {}\r\n", cut.id, cut.reader.position()).into_bytes()
}

/// What goes into a copy.
struct Data {
    /// See [`crate::persistence::Persistence::next_cut`].
    number: u64,
    /// See [`changes`].
    changes: u64,
    /// Nothing if no data is wanted.
    walk: Option<Walk>,
    contents: Contents,
    facts: Vec<(&'static str, Vec<u8>)>,
    /// It goes into the server's file.
    is_file: bool,
}

impl Data {
    fn write(&mut self, server: &Server, out: &mut dyn io::Write) -> io::Result<()> {
        let (compress, checksum) = (server.config.get(keys::RDBCOMPRESSION), server.config.get(keys::RDBCHECKSUM));
        let Some(walk) = &mut self.walk else {
            let mut sink = Whole(Vec::new());
            let mut file = FileWriter::new(self.contents, compress, checksum, &mut sink);
            self.facts.iter().for_each(|(name, value)| file.aux(name, value));
            file.end();
            return out.write_all(&sink.0);
        };
        // As in Redis, a file that takes the place of a save as well is completed, though nobody may wait for it any more.
        let is_save_too = self.is_file && !server.config.get(keys::SAVE).is_empty();
        let is_abandoned = || !is_save_too && server.replication.primary.copies.is_abandoned();
        let last_use = |_: &_| LastUse::Unknown;
        let preamble = Preamble { contents: self.contents, aux: &self.facts, compress, checksum, last_use: &last_use };
        let (mut delay, mut keys) = (Delay::default(), 0_u64);
        let key = || {
            let ends = || server.ending.has_begun();
            delay.pass(&server.live.rdb_key_save_delay, || ends() || is_abandoned());
            keys += 1;
            // A replica that found the copy complete would give up for it what it has of another primary.
            if ends() || (keys.is_multiple_of(KEYS_UNASKED) && is_abandoned()) {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        let saved = save(walk, &preamble, out, key).map(drop);
        // To bring a file to the disk can take longer than to write it.
        let saved = saved.and_then(|()| match self.is_file && is_abandoned() {
            true => Err(io::ErrorKind::Interrupted.into()),
            false => Ok(()),
        });
        saved.map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted if server.ending.has_begun() => io::Error::new(error.kind(), "the server ends"),
            io::ErrorKind::Interrupted => io::Error::new(error.kind(), "nobody waits for it any more"),
            _ => error,
        })
    }
}

/// A file without data, which is short.
struct Whole(Vec<u8>);

impl Sink for Whole {
    fn take(&mut self, bytes: &[u8]) -> bool {
        self.0.extend_from_slice(bytes);
        true
    }
}
