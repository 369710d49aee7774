//! What a worker does for its connections beside serving them: it looks after them several times a second, and sees that
//! none is owed more than its limit.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use commands::stats::Stats;

use super::Worker;
use crate::clock;
use crate::net::connection::Connection;
use crate::server::Server;

/// Connections that are looked after in one round at least; in a second all are.
const TENDED_MIN: usize = 5;

impl Worker {
    /// How long the poll may sleep: until the next round of [`Self::cron`], the end of a pause that is waited for, or of a
    /// client's patience.
    pub(super) fn until_due(&self) -> Duration {
        let cron = self.last_cron_ms + self.server.live.period_ms();
        let pause = if self.postponed > 0 { self.server.pausing.ends_ms() } else { None };
        let wait = self.deadlines.first().map(|&(at, ..)| at);
        let due = [pause, wait].into_iter().flatten().fold(cron, i64::min);
        Duration::from_millis((due - clock::now_ms()).max(0) as u64)
    }

    /// What this worker does several times a second for its own connections.
    pub(super) fn cron(&mut self) {
        let now_ms = self.core.tick_ms;
        if now_ms < self.last_cron_ms + self.server.live.period_ms() {
            return;
        }
        self.last_cron_ms = now_ms;
        self.accepting.append(&mut self.stalled_listeners);
        if !self.server.settings.cron_is_paused.load(Relaxed) {
            self.tend(now_ms);
        }
    }

    /// Looks after some of the connections, so that all have been seen within a second.
    fn tend(&mut self, now_ms: i64) {
        let slots = self.connections.capacity();
        if slots == 0 {
            return;
        }
        let share = (slots * self.server.live.period_ms() as usize).div_ceil(1000);
        let count = share.max(TENDED_MIN).min(slots);
        for at in 0..count {
            let index = (self.tended + at) % slots;
            if let Some(connection) = self.connections.get_mut(index)
                && tend(&self.server, &self.core.env.stats, connection, now_ms)
            {
                self.close(index);
            }
        }
        self.tended = (self.tended + count) % slots;
    }
}

/// Looks after one connection; true if it is to be closed.
fn tend(server: &Server, stats: &Stats, connection: &mut Connection, now_ms: i64) -> bool {
    let client = &connection.session.client;
    let idle_ms = now_ms - client.last_ms.load(Relaxed);
    if server.is_idle_for_too_long(client, idle_ms) {
        server.log.verbose("Closing idle client");
        return true;
    }
    connection.query.tend(idle_ms / 1000, connection.parser.wanted());
    connection.room.tend(connection.out.pending_bytes(), now_ms, &server.settings, stats);
    connection.out.shrink(connection.room.bytes);
    connection.note_query();
    connection.note_output();
    is_over_output_limit(server, connection, now_ms)
}

/// Lets a client's messages out before the end of the tick if they are about to be too much for it, and closes it if its
/// socket does not take them.
pub(super) fn relieve(server: &Server, connection: &mut Connection) {
    let too_much = |connection: &Connection| {
        let max = server.output_bytes_max(&connection.session);
        max.is_some_and(|max| connection.output_list_bytes() > max)
    };
    if too_much(connection) {
        connection.early_bytes += connection.flush().1;
        if too_much(connection) {
            connection.close_for_output(server);
        }
    }
}

/// Whether too much waits, at once or for too long; then it is counted and logged.
pub(super) fn is_over_output_limit(server: &Server, connection: &mut Connection, now_ms: i64) -> bool {
    let bytes = connection.output_list_bytes();
    let over = server.is_over_output_limit(&connection.session, bytes, &mut connection.soft_since_ms, now_ms);
    if over {
        connection.note_output();
        server.note_output_limit(&connection.session);
    }
    over
}
