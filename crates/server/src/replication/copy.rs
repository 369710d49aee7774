//! Taking a full copy over: through a file or straight from the socket, into a keyspace of its own, whose databases are
//! then switched in by pointer.
//!
//! Only with `repl-diskless-load swapdb` are the old ones kept until then, and served if they are an older state of the
//! same history; else they go first, so that there is never twice the memory, and clients are told to wait. A copy that
//! breaks off leaves nothing of itself.

mod file;
mod source;

use std::io;
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;

use commands::access::Access;
use commands::host::Host;
use commands::standing::Standing;
use persistence::load::{self, Duplicates, Loaded, Observer, Rules};
use replication::handshake::payload::Framing;
use replication::id::Position;
use store::database::Database;
use store::gate::Section;
use store::guard::Key;
use store::keyspace::Keyspace;
use store::stripe::Mode;

use super::apply::Applier;
use super::link::Ended;
use super::replica::Term;
use super::wire::Wire;
use crate::clock;
use crate::config::error::system_text;
use crate::config::keys;
use crate::persistence::loading::log_success;
use crate::persistence::snapshot::Delay;
use crate::server::Server;
use crate::workers;
use file::TemporaryFile;
use source::{Source, Vital};

/// The fact in a copy that names the database which is selected where the stream goes on.
const STREAM_DB: &str = "repl-stream-db";

/// The connection that brings the stream, which may be another than that of the copy.
pub(super) struct Main {
    /// What both ends are called.
    pub(super) names: (String, String),
    /// Where the primary looks for signs of life.
    pub(super) vital: TcpStream,
}

/// Takes over the copy that the primary has announced, and begins with the stream behind it, from `position` on if the
/// primary has told one.
pub(super) fn take_over<'t>(
    term: &'t Term,
    wire: &mut Wire,
    position: Option<Position>,
    main: Main,
) -> Result<Applier<'t>, Ended> {
    let server = &term.server;
    let how = How::of(server);
    let mut file = match how {
        How::File => Some(TemporaryFile::create(server).map_err(|error| {
            format!("Opening the temp file needed for MASTER <-> REPLICA synchronization: {}", system_text(&error))
        })?),
        How::Direct | How::Beside => None,
    };
    term.begin_transfer();
    let mut source = Source::new(term, wire, main.vital);
    let framing = source.begin(if file.is_some() { "to disk" } else { "to parser" })?;
    if let Some(file) = &mut file {
        receive(&mut source, file)?;
    }
    let is_same_history = position.is_some_and(|position| position.id == server.replication.history().id);
    let total_bytes = match (&file, framing) {
        (Some(file), _) => file.len(),
        (None, Framing::Length(bytes)) => bytes,
        (None, Framing::Mark(_)) => 0,
    };
    let loading = Loading::begin(term, how, is_same_history, total_bytes)?;
    server.log.notice("MASTER <-> REPLICA sync: Loading DB in memory");
    let fresh = server.keyspace.sibling();
    let loaded = match &file {
        Some(file) => load_file(&mut source, file, &fresh),
        None => load_stream(&mut source, framing, &fresh),
    }?;
    drop(source);
    let db = loaded.aux(STREAM_DB).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    let db = db.filter(|db| *db < server.keyspace.database_count()).unwrap_or(0);
    let (applier, number) = loading.finish(main.names, &fresh, db, position)?;
    if let Some(file) = file {
        file.keep(number);
    }
    server.log.notice("MASTER <-> REPLICA sync: Finished with success");
    Ok(applier)
}

/// How a copy is taken over: see `repl-diskless-load`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// By way of a file.
    File,
    /// Straight from the socket; there is nothing that could get lost.
    Direct,
    /// Straight from the socket, while the old data stays.
    Beside,
}

impl How {
    fn of(server: &Server) -> Self {
        let is_empty = || {
            let section = server.keyspace.gate().enter();
            let mut databases = 0..server.keyspace.database_count();
            databases.all(|db| server.keyspace.database(&section, db).is_none_or(Database::is_empty))
        };
        match server.config.get(keys::REPL_DISKLESS_LOAD) {
            "swapdb" => Self::Beside,
            "on-empty-db" if is_empty() => Self::Direct,
            _ => Self::File,
        }
    }
}

// --- through a file

/// Receives the copy into the file.
fn receive(source: &mut Source<'_, '_>, to: &mut TemporaryFile) -> Result<(), Ended> {
    while let Some(bytes) = source.next()? {
        to.write_all(bytes).map_err(|error| {
            format!(
                "Write error or short write writing to the DB dump file needed for MASTER <-> REPLICA synchronization: {}",
                system_text(&error)
            )
        })?;
    }
    Ok(())
}

fn load_file(source: &mut Source<'_, '_>, from: &TemporaryFile, fresh: &Keyspace) -> Result<Loaded, Ended> {
    let server = source.server();
    let mut vital = source.vital();
    let loaded = from
        .rewound()
        .map_err(|error| format!("reading the file failed: {}", system_text(&error)))
        .and_then(|mut file| load_from(&server, &mut file, fresh, &mut vital).map_err(|error| error.to_string()));
    loaded.map_err(|reason| {
        server.log.warning(&format!("Internal error in RDB file received from the master: {reason}"));
        source.ended("Failed trying to load the MASTER synchronization DB from disk, check server logs.")
    })
}

// --- straight from the socket

fn load_stream(source: &mut Source<'_, '_>, framing: Framing, fresh: &Keyspace) -> Result<Loaded, Ended> {
    let server = source.server();
    let mut vital = source.vital();
    let loaded = load_from(&server, source, fresh, &mut vital).map_err(|error| {
        server.log.warning(&format!("Internal error in RDB stream received from the master: {error}"));
        source.ended("Failed trying to load the MASTER synchronization DB from socket, check server logs.")
    })?;
    // Behind the end of the data there must be nothing but the end of the copy.
    match source.next()? {
        None => Ok(loaded),
        Some(_) if matches!(framing, Framing::Mark(_)) => {
            Err(Ended::Failed("Replication stream EOF marker is broken".into()))
        }
        Some(_) => Err(Ended::Failed("The RDB stream received from the master is longer than its data".into())),
    }
}

fn load_from(
    server: &Server,
    from: &mut dyn io::Read,
    fresh: &Keyspace,
    vital: &mut Vital<'_>,
) -> Result<Loaded, load::LoadError> {
    // Chance is for uses; what is loaded is not used.
    let clock = Access::at(clock::now_ms(), &server.settings, || 0);
    let rules = Rules {
        threads: server.workers.len(),
        check: server.config.get(keys::RDBCHECKSUM),
        limits: &server.settings.limits(),
        // The primary says when a key goes.
        expire_before: None,
        expired: &|_, _| {},
        duplicates: Duplicates::Refuse,
        access: &|idle_s, frequency| clock.told(idle_s, frequency),
        section: None,
    };
    let loaded = load::load(from, fresh, &rules, &mut Watching { server, vital, delay: Delay::default() })?;
    log_success(server, &loaded);
    Ok(loaded)
}

/// Notes how far the load is, slows it down if a test wishes so, and keeps the primary patient.
struct Watching<'a, 't> {
    server: &'a Server,
    vital: &'a mut Vital<'t>,
    delay: Delay,
}

impl Observer for Watching<'_, '_> {
    fn read(&mut self, bytes: u64) {
        self.server.persistence.loading.read_bytes.store(bytes, Relaxed);
    }

    fn key(&mut self) -> ControlFlow<()> {
        if self.vital.beat() || self.server.ending.has_begun() {
            return ControlFlow::Break(());
        }
        self.delay.pass(&self.server.live.key_load_delay, || self.vital.is_over() || self.server.ending.has_begun());
        ControlFlow::Continue(())
    }
}

// --- the switch

/// The server while a copy is loaded. When this is dropped without an end, what was there before is served again: the old
/// data, or none.
struct Loading<'t> {
    term: &'t Term,
    how: How,
    /// The copy is what is served now.
    done: bool,
}

impl<'t> Loading<'t> {
    fn begin(term: &'t Term, how: How, is_same_history: bool, total_bytes: u64) -> Result<Self, Ended> {
        let server = &term.server;
        let alone = server.keyspace.gate().enter_alone();
        if !term.is_current() {
            return Err(Ended::Quietly);
        }
        let serves = how == How::Beside && is_same_history;
        server.persistence.abort();
        server.persistence.loading.begin(total_bytes);
        server.stand(if serves { Standing::ASYNC_LOADING } else { Standing::LOADING }, true);
        let mut old = Vec::new();
        if how != How::Beside {
            server.log.notice("MASTER <-> REPLICA sync: Flushing old data");
            touch_watched(server, &alone, None);
            server.replication.end_generation();
            old.extend((0..server.keyspace.database_count()).filter_map(|db| server.keyspace.detach(&alone, db)));
        }
        drop(alone);
        let loading = Self { term, how, done: false };
        if how != How::Beside {
            // From here on there is nothing that a link could go on with.
            loading.attach();
        }
        old.into_iter().for_each(|database| server.lazy_free.database(database));
        Ok(loading)
    }

    /// The data will be the new primary's: what is left of the old history is of no use.
    fn attach(&self) {
        self.term.forget_resume();
    }

    /// The second value is the number of the cut that the data is of.
    fn finish(
        mut self,
        names: (String, String),
        fresh: &Keyspace,
        db: u32,
        position: Option<Position>,
    ) -> Result<(Applier<'t>, u64), Ended> {
        let (term, beside) = (self.term, self.how == How::Beside);
        let server = &term.server;
        if beside {
            self.attach();
            server.log.notice("MASTER <-> REPLICA sync: Swapping active DB with loaded DB");
        }
        let mut env = workers::applier_env(server);
        let (mut old, mut number) = (Vec::new(), 0);
        let applier = Applier::begin(term, names, db, position, |alone| {
            if beside {
                touch_watched(server, alone, Some(fresh));
            }
            old = server.keyspace.install(alone, fresh);
            number = server.persistence.next_cut();
            server.replication.begin_generation(server, position, db);
            server.stand(Standing::LOADING | Standing::ASYNC_LOADING, false);
            server.persistence.loading.end(None);
            env.begin_section(clock::now_ms());
            commands::pipeline::serve_everywhere(&mut env, alone);
            self.done = true;
        });
        old.into_iter().for_each(|database| server.lazy_free.database(database));
        if beside && self.done {
            server.log.notice("MASTER <-> REPLICA sync: Discarding old DB in background");
        }
        Ok((applier?, number))
    }
}

/// Marks those who watch a key that is there, or will be: all data goes, or another takes its place.
fn touch_watched(server: &Server, alone: &Section<'_>, fresh: Option<&Keyspace>) {
    fn has(keyspace: &Keyspace, section: &Section<'_>, db: u32, key: &[u8]) -> bool {
        let key = Key::new(key);
        keyspace.lock_one(section, db, key.hash, Mode::Shared).get(db, key).is_some()
    }
    for db in 0..server.keyspace.database_count() {
        for key in server.watched_keys(db) {
            let will_be = || fresh.is_some_and(|fresh| has(fresh, &fresh.gate().enter(), db, &key));
            if has(server.keyspace, alone, db, &key) || will_be() {
                server.registry.touch(db, &key, false);
            }
        }
    }
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let server = &self.term.server;
        let _alone = server.keyspace.gate().enter_alone();
        server.persistence.loading.end(None);
        server.stand(Standing::LOADING | Standing::ASYNC_LOADING, false);
    }
}
