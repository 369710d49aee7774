//! What the main thread does `hz` times a second until the server ends.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use commands::env::Env;

use crate::clock;
use crate::expiry::Expiry;
use crate::server::Server;

/// Runs until the end.
pub fn run(server: &Arc<Server>, env: &mut Env) {
    let mut expiry = Expiry::default();
    while !server.ending.within(server.live.period_ms() as u64) {
        if server.settings.cron_is_paused.load(Relaxed) {
            continue;
        }
        let began_ns = clock::ticks_ns();
        server.ending.honour(server);
        server.live.fit_period(server.registry.len());
        server.take_samples(began_ns);
        expiry.round(server, env);
        server.migrator.sockets.close_idle(clock::now_ms());
        env.stats.cron_nanos.add(clock::ticks_ns() - began_ns);
    }
}
