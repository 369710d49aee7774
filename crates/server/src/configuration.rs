//! CONFIG, as the commands reach it: the configuration, its hooks, and the log of what came of it.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;

use commands::client::{Client, ClientFlags};
use commands::error::{Error, Result};

use crate::apply;
use crate::config::{Asker, RewriteError, SetError, index_of};
use crate::server::Server;

/// CONFIG SET.
pub fn set(server: &Server, client: &Client, pairs: &[(&[u8], &[u8])]) -> Result<()> {
    let asker = Asker { local: is_local(client), loading: server.persistence.loading.is_on() };
    let warnings = server.config.set(pairs, asker, &mut |row, _| {
        let (at, name) = index_of(row.name.as_bytes()).expect("a row is found by its name");
        apply::one(server, at).inspect_err(|_| {
            server.log.warning(&format!(
                "Failed applying new configuration. Possibly related to new {name} setting. Restoring previous settings."
            ));
        })
    });
    let warnings = warnings.map_err(|error| match error {
        SetError::Loading => Error::new(error.to_string()),
        error => Error::new(format!("ERR {error}")),
    })?;
    warnings.iter().for_each(|warning| server.log.warning(warning));
    Ok(())
}

/// CONFIG REWRITE; with `everything`, directives that hold their default are written too.
pub fn rewrite(server: &Server, everything: bool) -> Result<()> {
    let rewritten = server.config.rewrite(everything);
    match &rewritten {
        Ok(()) => server.log.notice("CONFIG REWRITE executed with success."),
        Err(RewriteError::NoFile) => {}
        Err(error) => server.log.warning(&format!("CONFIG REWRITE failed: {error}")),
    }
    rewritten.map_err(|error| Error::new(format!("ERR {error}")))
}

/// CONFIG RESETSTAT.
pub fn reset_stats(server: &Server) {
    server.all_stats().for_each(|stats| stats.reset());
    server.vitals.errors.reset();
    server.vitals.sampler.reset();
    server.lazy_free.reset();
    server.exceeded.reset();
    let counters = [
        &server.connections_received,
        &server.connections_rejected,
        &server.query_limit_disconnections,
        &server.output_limit_disconnections,
        &server.replication.divergence.errors,
        &server.replication.primary.sync_full,
        &server.replication.primary.sync_partial_ok,
        &server.replication.primary.sync_partial_err,
        &server.replication.following.bytes_in,
    ];
    counters.into_iter().for_each(|counter| counter.store(0, Relaxed));
}

/// Whether a client is connected from this machine.
pub fn is_local(client: &Client) -> bool {
    let loopback = || client.addr.parse::<SocketAddr>().is_ok_and(|addr| addr.ip().is_loopback());
    client.flags().contains(ClientFlags::UNIX_SOCKET) || loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_this_machine_are_known_by_their_address() {
        let is_local = |addr: &str| is_local(&Client { addr: addr.into(), ..Client::default() });
        assert!(["127.0.0.1:5", "127.9.9.9:5", "[::1]:5"].into_iter().all(is_local));
        assert!(!["10.0.0.1:5", "[2001:db8::1]:5", "?:0", "/tmp/x:0"].into_iter().any(is_local));
        let unix = Client { addr: "/tmp/x:0".into(), ..Client::default() };
        unix.set_flags(ClientFlags::UNIX_SOCKET, true);
        assert!(super::is_local(&unix));
    }
}
