//! The few facts of the process that directives touch, behind a trait so that tests can hold them still.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

/// The process a configuration belongs to.
pub trait Surroundings: Send + Sync {
    /// Makes `directory` the working directory.
    ///
    /// # Errors
    /// What the system says.
    fn enter(&self, directory: &Path) -> io::Result<()>;

    /// The working directory.
    ///
    /// # Errors
    /// What the system says, for one when it was removed.
    fn directory(&self) -> io::Result<PathBuf>;

    /// Opens the log file at `path` for appending, creating it, and closes it again.
    ///
    /// # Errors
    /// What the system says.
    fn try_log_file(&self, path: &Path) -> io::Result<()>;
}

/// The real process.
#[derive(Clone, Copy, Debug)]
pub struct Process;

impl Surroundings for Process {
    fn enter(&self, directory: &Path) -> io::Result<()> {
        std::env::set_current_dir(directory)
    }

    fn directory(&self) -> io::Result<PathBuf> {
        std::env::current_dir()
    }

    fn try_log_file(&self, path: &Path) -> io::Result<()> {
        OpenOptions::new().append(true).create(true).open(path).map(drop)
    }
}
