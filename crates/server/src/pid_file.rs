//! The file that tells the process's number while it runs.

use std::fs;
use std::path::PathBuf;

use crate::config::error::system_text;
use crate::config::{Config, keys};
use crate::log::Log;

/// Where a server in the background leaves its number when nothing else was said.
const DEFAULT: &str = "/var/run/redis.pid";

/// The path of the file, absolute, so that it is found again at the end wherever the process stands then.
pub struct PidFile(Option<PathBuf>);

impl PidFile {
    /// Writes the file, if one is wanted. A server without it is better than none, so a failure is logged.
    pub fn write(config: &Config, background: bool, log: &Log) -> Self {
        let path = config.get(keys::PIDFILE).or_else(|| background.then(|| PathBuf::from(DEFAULT)));
        let path = path.map(|path| std::path::absolute(&path).unwrap_or(path));
        let path = path.filter(|path| match fs::write(path, format!("{}\n", std::process::id())) {
            Ok(()) => true,
            Err(error) => {
                log.warning(&format!("Failed to write PID file {}: {}", path.display(), system_text(&error)));
                false
            }
        });
        Self(path)
    }

    /// Removes what was written.
    pub fn remove(&self, log: &Log) {
        let Some(path) = &self.0 else { return };
        log.notice("Removing the pid file.");
        if let Err(error) = fs::remove_file(path) {
            log.warning(&format!("Removing the pid file {}: {}", path.display(), system_text(&error)));
        }
    }
}
