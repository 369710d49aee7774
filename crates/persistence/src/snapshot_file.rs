//! A file that takes the place of another as a whole or not at all: written beside it, synced, renamed, and its directory
//! synced. Whenever the machine stops, one of the two is there, complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// With `rdb-save-incremental-fsync` the file is synced whenever so many bytes were written, so that the disk gets its
/// work in portions.
const SYNC_BYTES: u64 = 4 << 20;

/// Why a file was not written, and what was tried.
#[derive(Debug, thiserror::Error)]
#[error("{step} {path}: {error}", path = path.display())]
pub struct FileError {
    /// What was tried.
    pub step: Step,
    /// With which file.
    pub path: PathBuf,
    /// What the system says.
    pub error: io::Error,
}

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The temporary file is opened.
    Open,
    /// It is written.
    Write,
    /// It is synced.
    Sync,
    /// It is given its name.
    Rename,
    /// The directory is synced.
    SyncDirectory,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "Opening",
            Self::Write => "Writing",
            Self::Sync => "Syncing",
            Self::Rename => "Moving the temporary file to",
            Self::SyncDirectory => "Syncing the directory of",
        })
    }
}

/// Writes a file under `temporary`, and has it on the disk when this returns.
///
/// # Errors
/// The file is gone.
pub fn write<R>(
    temporary: &Path,
    incremental_sync: bool,
    write: impl FnOnce(&mut dyn Write) -> io::Result<R>,
) -> Result<R, FileError> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(temporary);
    let file = file.map_err(failed(Step::Open, temporary))?;
    let mut out = Portions { file: &file, unsynced: 0, incremental_sync };
    let written = write(&mut out).map_err(failed(Step::Write, temporary));
    let lasts = |result| file.sync_all().map(|()| result).map_err(failed(Step::Sync, temporary));
    written.and_then(lasts).inspect_err(|_| discard(temporary))
}

/// Puts what [`write`] has written in the place of `path`, which is in the same directory.
///
/// # Errors
/// Unless it is the last step that fails, the old file is as it was, and the temporary one is gone.
pub fn place(temporary: &Path, path: &Path) -> Result<(), FileError> {
    fs::rename(temporary, path).map_err(failed(Step::Rename, path)).inspect_err(|_| discard(temporary))?;
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = File::open(directory).and_then(|directory| directory.sync_all());
    directory.map_err(failed(Step::SyncDirectory, path))
}

/// Removes a temporary file. If even that fails, there is no more to be said than was said already.
pub fn discard(temporary: &Path) {
    let _ = fs::remove_file(temporary);
}

fn failed(step: Step, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |error| FileError { step, path, error }
}

struct Portions<'a> {
    file: &'a File,
    unsynced: u64,
    incremental_sync: bool,
}

impl Write for Portions<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.unsynced += count as u64;
        if self.incremental_sync && self.unsynced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
