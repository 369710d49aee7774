//! Log lines as Redis writes them: `pid:role date level message`, to standard output or a file.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use chrono::{DateTime, Local};
use parking_lot::RwLock;

use crate::clock;

/// How much a line matters, and the sign that stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// `.`
    Debug,
    /// `-`
    Verbose,
    /// `*`
    Notice,
    /// `#`
    Warning,
    /// Nothing at all.
    Nothing,
}

impl Level {
    /// The level of a `loglevel` name.
    pub fn named(name: &str) -> Self {
        match name {
            "debug" => Self::Debug,
            "verbose" => Self::Verbose,
            "warning" => Self::Warning,
            "nothing" => Self::Nothing,
            _ => Self::Notice,
        }
    }

    const fn sign(self) -> char {
        match self {
            Self::Debug => '.',
            Self::Verbose => '-',
            Self::Notice => '*',
            Self::Warning | Self::Nothing => '#',
        }
    }
}

/// The process's log. A line is written in one piece, so lines of several threads do not mix. The file is opened for
/// each line, so that it may be moved away at any time.
pub struct Log {
    level: AtomicU8,
    file: RwLock<Option<PathBuf>>,
}

impl Log {
    /// A log to a file, or to standard output.
    pub fn new(level: Level, file: Option<PathBuf>) -> Self {
        Self { level: AtomicU8::new(level as u8), file: RwLock::new(file) }
    }

    /// Changes which lines are written.
    pub fn set_level(&self, level: Level) {
        self.level.store(level as u8, Relaxed);
    }

    /// Whether verbose lines are written: for those that take some work.
    pub fn is_verbose(&self) -> bool {
        self.level.load(Relaxed) <= Level::Verbose as u8
    }

    /// For whoever has to find out what happened in between.
    pub fn verbose(&self, message: &str) {
        self.line(Level::Verbose, message);
    }

    /// For everybody.
    pub fn notice(&self, message: &str) {
        self.line(Level::Notice, message);
    }

    /// For whoever has to do something.
    pub fn warning(&self, message: &str) {
        self.line(Level::Warning, message);
    }

    /// Writes a line if the level asks for it.
    pub fn line(&self, level: Level, message: &str) {
        if (level as u8) < self.level.load(Relaxed) {
            return;
        }
        let now = DateTime::from_timestamp_micros(clock::unix_us()).unwrap_or_default().with_timezone(&Local);
        let line =
            format!("{}:M {} {} {message}\n", std::process::id(), now.format("%d %b %Y %H:%M:%S%.3f"), level.sign());
        self.write(&line);
    }

    /// Writes text without a head.
    pub fn raw(&self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    fn write(&self, text: &str) {
        // There is nowhere to report that a log line cannot be written.
        let _ = match &*self.file.read() {
            Some(path) => OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .and_then(|mut file| file.write_all(text.as_bytes())),
            None => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
            }
        };
    }
}
