//! Who has started us: `supervised`. systemd is told when the server is ready and when it ends; upstart waits until the
//! process stops itself.

use std::env;
use std::os::unix::ffi::OsStrExt;

use sd_notify::NotifyState;
use signal_hook::consts::SIGSTOP;
use signal_hook::low_level;

use crate::config::{Config, keys};
use crate::log::Log;

/// A supervisor, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervisor {
    /// Nobody waits for us.
    None,
    /// systemd, with a socket for messages.
    Systemd,
    /// upstart, `expect stop`.
    Upstart,
}

impl Supervisor {
    /// The supervisor that the configuration names and the environment confirms.
    pub fn find(config: &Config, log: &Log) -> Self {
        let has = |name: &str| env::var_os(name).is_some_and(|value| !value.as_bytes().is_empty());
        let missing = |name: &str, variable: &str| {
            log.warning(&format!("{name} supervision requested, but {variable} not found"));
            Self::None
        };
        match config.get(keys::SUPERVISED) {
            "upstart" | "auto" if has("UPSTART_JOB") => Self::Upstart,
            "systemd" | "auto" if has("NOTIFY_SOCKET") => Self::Systemd,
            "upstart" => missing("upstart", "UPSTART_JOB"),
            "systemd" => missing("systemd", "NOTIFY_SOCKET"),
            _ => Self::None,
        }
    }

    /// Called before anything takes long: upstart waits for the process to stop itself.
    pub fn greet(self, log: &Log) {
        match self {
            Self::None => {}
            Self::Systemd => log.notice("supervised by systemd. Please make sure you set appropriate values for TimeoutStartSec and TimeoutStopSec in your service unit."),
            Self::Upstart => {
                log.notice("supervised by upstart, will stop to signal readiness.");
                if let Err(error) = low_level::raise(SIGSTOP) {
                    log.warning(&format!("Stopping for upstart: {error}"));
                }
            }
        }
    }

    /// The server answers from now on.
    pub fn ready(self, log: &Log) {
        self.tell(&[NotifyState::Status("Ready to accept connections"), NotifyState::Ready], log);
    }

    /// The end has begun.
    pub fn stopping(self, log: &Log) {
        self.tell(&[NotifyState::Stopping], log);
    }

    fn tell(self, messages: &[NotifyState<'_>], log: &Log) {
        if self != Self::Systemd {
            return;
        }
        if let Err(error) = sd_notify::notify(messages) {
            log.warning(&format!("Can't send a message to systemd: {error}"));
        }
    }
}
