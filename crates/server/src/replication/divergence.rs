//! What a replica does when it can no longer be what its primary is: a command of the stream has failed here, or the disk
//! does not take what comes. By default the first is only told, since it may be a trifle, and the second ends the process,
//! since nobody would notice otherwise that nothing is saved any more.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use commands::error::Error;

use super::State;
use crate::clock;
use crate::config::keys;
use crate::crash;
use crate::server::Server;

/// Bytes of an error and of its command that the log repeats.
const ECHO_BYTES_MAX: usize = 128;
/// From one line in the log about the disk to the next.
const DISK_LINES_MS: i64 = 10_000;

/// See the file's head.
#[derive(Default)]
pub struct Divergence {
    /// Commands of primaries that have failed here.
    pub errors: AtomicU64,
    /// When the log was told of the disk.
    told_ms: AtomicI64,
}

impl State {
    /// A command of the primary's stream has failed here. Ends the process if `propagation-error-behavior` wants that.
    pub fn failed_from_primary(&self, server: &Server, command: &str, error: &Error) {
        self.divergence.errors.fetch_add(1, Relaxed);
        let (command, error) = (shown(command), shown(&error.0));
        // As Redis writes it: a code of its own stands there with its minus, the general one not at all.
        let error = error.strip_prefix("ERR ").map_or_else(|| format!("-{error}"), str::to_owned);
        server.log.warning(&format!(
            "== CRITICAL == This replica is sending an error to its master: '{error}' after processing the command \
             '{command}'"
        ));
        // What clients may write to is not like its primary anyhow.
        if server.config.get(keys::PROPAGATION_ERROR_BEHAVIOR) != "ignore" && server.config.get(keys::REPLICA_READ_ONLY)
        {
            stop(
                server,
                &format!(
                    "This replica panicked sending an error to its master after processing the command '{command}'"
                ),
            );
        }
    }

    /// A write of the primary's is about to be applied while saves fail on which one relies. Ends the process unless
    /// `replica-ignore-disk-write-errors` is set.
    pub(super) fn write_without_disk(&self, server: &Server) {
        if !server.config.get(keys::REPLICA_IGNORE_DISK_WRITE_ERRORS) {
            stop(server, "Replica was unable to write command to disk.");
        }
        let now_ms = clock::now_ms();
        if now_ms - self.divergence.told_ms.load(Relaxed) > DISK_LINES_MS {
            self.divergence.told_ms.store(now_ms, Relaxed);
            server.log.warning("Replica is applying a command even though it is unable to write to disk.");
        }
    }
}

/// The line stands in the log even where reports of crashes are off.
fn stop(server: &Server, why: &str) -> ! {
    server.log.warning(why);
    crash::stop(why)
}

/// In one line, but with quotes as they are.
fn shown(text: &str) -> String {
    let bytes = text.as_bytes();
    let shown = bytes[..bytes.len().min(ECHO_BYTES_MAX)].escape_ascii().to_string();
    shown.replace("\\'", "'").replace("\\\"", "\"")
}
