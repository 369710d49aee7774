//! Eviction in the background: for what one command may not wait for, and for a limit that CONFIG SET has lowered. As in
//! Redis it goes on without a pause until the limit is kept or nothing may go any more.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use commands::env::Env;
use commands::pipeline::{self, Room};

use crate::clock;
use crate::server::Server;

/// How long to wait for what the thread that frees has still to do.
const WAIT: Duration = Duration::from_millis(1);

/// Whether somebody has asked for eviction, and may be waiting for it.
#[derive(Default)]
pub struct Asked(AtomicBool);

impl Asked {
    /// Asks; true if nobody had.
    pub fn ask(&self) -> bool {
        // Most who ask find that somebody has, so they only read.
        !self.0.load(SeqCst) && !self.0.swap(true, SeqCst)
    }
}

/// Evicts for the rest of a period at most, so that the other periodic work has its turn; says whether there is more to
/// do. Who was postponed is woken when there is not.
pub fn round(server: &Server, env: &mut Env) -> bool {
    // Taken before the look at memory: who asks from now on is heard in the next round.
    let asked = server.eviction_asked.0.swap(false, SeqCst);
    let until_ns = clock::ticks_ns() + server.live.period_ms() as u64 * 1_000_000;
    loop {
        // A section of its own for each step, so that whoever wants the gate for himself does not wait for all of it.
        let room = {
            let section = server.keyspace.gate().enter();
            env.begin_section(clock::now_ms());
            pipeline::make_room(env, &section)
        };
        match room {
            Room::Enough | Room::Never => break,
            Room::NotYet if server.lazy_free.pending() > 0 => thread::sleep(WAIT),
            Room::NotYet | Room::Again => {}
        }
        if clock::ticks_ns() > until_ns {
            // Those who have asked still wait.
            server.eviction_asked.0.fetch_or(asked, SeqCst);
            return true;
        }
    }
    if asked {
        server.wake_postponed();
    }
    false
}
