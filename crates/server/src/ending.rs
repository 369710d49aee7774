//! The end of the process: asked for by SHUTDOWN at once, or by a signal, which the periodic work honours a moment
//! later, so that SHUTDOWN ABORT can take it back.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::SeqCst};
use std::time::Duration;

use commands::host::{Pause, Shutdown};
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
    /// It has begun and cannot be taken back.
    begun: AtomicBool,
    over: Mutex<bool>,
    /// The periodic work is to begin its next round now.
    hurry: AtomicBool,
    changed: Condvar,
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

    /// Honours a signal's request, if there is one.
    pub fn honour(&self, server: &Server) {
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

    /// Begins the end. The section is exclusive, and no command runs after it: so what is saved here is all there was.
    ///
    /// # Errors
    /// What is to be done before cannot be done; the log says why.
    pub fn begin(&self, server: &Server, how: Shutdown, section: &Section<'_>) -> Result<(), ()> {
        let log = &server.log;
        log.notice("User requested shutdown...");
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
            server.persistence.remove_temporaries();
            server.workers.iter().for_each(|worker| worker.inbox.post(Message::Stop));
            *self.over.lock() = true;
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Takes a signal's request back; says whether there was one.
    pub fn abort(&self, server: &Server) -> bool {
        let requested = !self.begun.load(SeqCst) && self.requested.swap(NONE, SeqCst) != NONE;
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
