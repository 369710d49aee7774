//! The end of the process: asked for by SHUTDOWN at once, or by a signal, which the periodic work honours a moment
//! later, so that SHUTDOWN ABORT can take it back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::SeqCst};
use std::time::Duration;

use commands::blocking::{End, Waiter};
use commands::error::Error;
use commands::host::{Ended, Host, Pause, Shutdown};
use parking_lot::{Condvar, Mutex};
use signal_hook::consts::SIGINT;
use store::gate::Section;

use crate::clock;
use crate::config::keys::{self, ShutdownOptions};
use crate::net::inbox::Message;
use crate::persistence::snapshot;
use crate::server::Server;

/// No signal.
const NONE: i32 = 0;

/// How far the end has come.
#[derive(Default)]
pub struct Ending {
    /// The signal that has asked for the end.
    requested: AtomicI32,
    /// It waits for replicas that lag.
    waiting: Mutex<Option<Waiting>>,
    /// Meanwhile nothing changes, so that they can catch up.
    holds_writes: AtomicBool,
    /// Clients that have asked for it and wait as well.
    asking: Mutex<Vec<Arc<Waiter>>>,
    /// It has begun and cannot be taken back.
    begun: AtomicBool,
    over: Mutex<bool>,
    /// The periodic work is to begin its next round now.
    hurry: AtomicBool,
    changed: Condvar,
}

/// An end that waits.
struct Waiting {
    how: Shutdown,
    /// The offset that replicas are to reach,
    offset: u64,
    /// and how long they are waited for, in milliseconds since 1970.
    until_ms: i64,
}

impl Ending {
    /// A signal asks for the end. Who sends SIGINT a second time does not want to wait.
    pub fn request(&self, server: &Server, signal: i32) {
        let asked_before = self.requested.swap(signal, SeqCst) != NONE;
        if signal == SIGINT && (asked_before || self.begun.load(SeqCst)) {
            server.log.warning("You insist... exiting now.");
            server.persistence.remove_temporaries();
            std::process::exit(1);
        }
        let name = if signal == SIGINT { "SIGINT" } else { "SIGTERM" };
        server.log.warning(&format!("Received {name} scheduling shutdown..."));
    }

    /// Honours a signal's request, if there is one, and goes on when replicas have been waited for.
    pub fn honour(&self, server: &Server) {
        if self.holds_writes() {
            return self.go_on(server);
        }
        let key = match self.requested.load(SeqCst) {
            NONE => return,
            SIGINT => keys::SHUTDOWN_ON_SIGINT,
            _ => keys::SHUTDOWN_ON_SIGTERM,
        };
        let ShutdownOptions { save, nosave, now, force } = server.config.get(key);
        let section = server.keyspace.gate().enter_alone();
        if self.begin(server, Shutdown { save, nosave, now, force }, &section).is_err() {
            server.log.warning("Errors trying to shut down the server. Check the logs for more information.");
            self.requested.store(NONE, SeqCst);
        }
    }

    /// Whether the end has begun.
    pub fn has_begun(&self) -> bool {
        self.begun.load(SeqCst)
    }

    /// Whether nothing is to change because the end waits for replicas. Changes under the exclusive gate.
    pub fn holds_writes(&self) -> bool {
        self.holds_writes.load(SeqCst)
    }

    /// How long the end will still wait for replicas, in milliseconds; nothing if it does not.
    pub fn left_ms(&self) -> Option<i64> {
        self.waiting.lock().as_ref().map(|waiting| waiting.until_ms - clock::now_ms())
    }

    /// A client has asked for the end, and waits for it.
    pub fn await_end(&self, waiter: &Arc<Waiter>) {
        self.asking.lock().push(waiter.clone());
    }

    /// Begins the end, or waits for replicas first (`shutdown-timeout`). The section is exclusive.
    ///
    /// # Errors
    /// What is to be done before cannot be done; the log says why.
    pub fn begin(&self, server: &Server, how: Shutdown, section: &Section<'_>) -> Result<Ended, ()> {
        server.log.notice("User requested shutdown...");
        let (timeout_secs, state) = (server.config.get(keys::SHUTDOWN_TIMEOUT), &server.replication);
        if !how.now && !self.holds_writes() && timeout_secs > 0 && !state.all_have(state.offset()) {
            let offset = state.last_call(server);
            let until_ms = clock::now_ms() + timeout_secs as i64 * 1000;
            *self.waiting.lock() = Some(Waiting { how, offset, until_ms });
            self.holds_writes.store(true, SeqCst);
            server.log.notice("Waiting for replicas before shutting down.");
            return Ok(Ended::Later);
        }
        if !how.now && self.holds_writes() {
            return Ok(Ended::Later);
        }
        self.finish(server, how, section).map(|()| Ended::Now)
    }

    /// Ends, if the replicas have caught up or have had their time.
    fn go_on(&self, server: &Server) {
        let is_due =
            |waiting: &Waiting| server.replication.all_have(waiting.offset) || clock::now_ms() >= waiting.until_ms;
        let Some(Waiting { how, offset, .. }) = self.waiting.lock().take_if(|waiting| is_due(waiting)) else { return };
        server.replication.log_lagging(server, offset);
        let section = server.keyspace.gate().enter_alone();
        if self.finish(server, how, &section).is_err() {
            server.log.warning("Errors trying to shut down the server. Check the logs for more information.");
            self.requested.store(NONE, SeqCst);
            self.give_up(server);
        }
    }

    /// It does not come: writes go on, and whoever has asked is told.
    fn give_up(&self, server: &Server) {
        self.holds_writes.store(false, SeqCst);
        for waiter in self.asking.lock().drain(..) {
            if server.waiters.end(&waiter, End::Served) {
                let mut reply = waiter.reply();
                reply.error(&Error::new("ERR Errors trying to SHUTDOWN. Check logs."));
                server.deliver(&waiter, reply);
            }
        }
        server.wake_postponed();
    }

    /// Begins the end. The section is exclusive, and no command runs after it: so what is saved here is all there was.
    fn finish(&self, server: &Server, how: Shutdown, section: &Section<'_>) -> Result<(), ()> {
        let log = &server.log;
        server.persistence.abort();
        // What is loaded by half would take the whole file's place.
        let may_save = !server.persistence.loading.is_on();
        if may_save && (how.save || !(how.nosave || server.config.get(keys::SAVE).is_empty())) {
            log.notice("Saving the final RDB snapshot before exiting.");
            if snapshot::save_now(server, section).is_err() {
                if !how.force {
                    log.warning("Error trying to save the DB, can't exit.");
                    return Err(());
                }
                log.warning("Ending all the same, as FORCE asks; what was not saved before is lost.");
            }
        }
        if !self.begun.swap(true, SeqCst) {
            // Nothing that would be answered and then lost runs any more.
            server.pausing.set(i64::MAX, Pause::All, clock::now_ms());
            server.supervisor.stopping(log);
            // A file that is newer than the one in place is what the next start is to find.
            server.persistence.await_files();
            server.persistence.remove_temporaries();
            server.workers.iter().for_each(|worker| worker.inbox.post(Message::Stop));
            *self.over.lock() = true;
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Takes a signal's request back; says whether there was one.
    pub fn abort(&self, server: &Server) -> bool {
        if self.begun.load(SeqCst) {
            return false;
        }
        let waited = self.waiting.lock().take().is_some();
        let requested = self.requested.swap(NONE, SeqCst) != NONE || waited;
        if waited {
            self.give_up(server);
        }
        if requested {
            server.log.notice("Shutdown manually aborted.");
        }
        requested
    }

    /// Has the next round of the periodic work begin now.
    pub fn hurry(&self) {
        // Under the lock, or it might fall between the look at `hurry` and the wait.
        let _over = self.over.lock();
        self.hurry.store(true, SeqCst);
        self.changed.notify_all();
    }

    /// Waits for the end for at most so long, and says whether it has begun.
    pub fn within(&self, millis: u64) -> bool {
        let mut over = self.over.lock();
        if !*over && !self.hurry.load(SeqCst) {
            self.changed.wait_for(&mut over, Duration::from_millis(millis));
        }
        self.hurry.store(false, SeqCst);
        *over
    }
}
