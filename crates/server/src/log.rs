//! Log lines as Redis writes them, `pid:role date level message`, to standard output or a file, and to syslog as well.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use chrono::{DateTime, Local};

use crate::clock;
use crate::config::{Config, keys};
use crate::daemon::Syslog;

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

/// What the process is, as the second word of each line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// Not a server yet.
    Starting = b'C',
    /// A primary.
    Primary = b'M',
    /// A replica.
    Replica = b'S',
}

/// The process's log; clones write to the same. A line is written in one piece, so lines of several threads do not mix.
/// The file is opened for each line, so that it may be moved away at any time.
#[derive(Clone)]
pub struct Log(Arc<Inner>);

struct Inner {
    level: AtomicU8,
    role: AtomicU8,
    /// Absolute, so that the log stays where it is when `dir` changes; `None` is standard output.
    file: Option<PathBuf>,
    syslog: Option<Syslog>,
}

impl Log {
    /// The log that the configuration asks for.
    pub fn new(config: &Config) -> Self {
        let facility = config.get(keys::SYSLOG_FACILITY);
        let syslog = config.get(keys::SYSLOG_ENABLED).then(|| Syslog::open(&config.get(keys::SYSLOG_IDENT), facility));
        Self(Arc::new(Inner {
            level: AtomicU8::new(Level::named(config.get(keys::LOGLEVEL)) as u8),
            role: AtomicU8::new(Role::Starting as u8),
            file: config.get(keys::LOGFILE).map(|path| std::path::absolute(&path).unwrap_or(path)),
            syslog,
        }))
    }

    /// Whether lines go to standard output and nowhere else.
    pub fn is_stdout_only(&self) -> bool {
        self.0.file.is_none() && self.0.syslog.is_none()
    }

    /// Changes which lines are written.
    pub fn set_level(&self, level: Level) {
        self.0.level.store(level as u8, Relaxed);
    }

    /// Changes what the process is called.
    pub fn set_role(&self, role: Role) {
        self.0.role.store(role as u8, Relaxed);
    }

    /// Whether verbose lines are written: for those that take some work.
    pub fn is_verbose(&self) -> bool {
        self.0.level.load(Relaxed) <= Level::Verbose as u8
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
        if (level as u8) < self.0.level.load(Relaxed) {
            return;
        }
        let now = DateTime::from_timestamp_micros(clock::unix_us()).unwrap_or_default().with_timezone(&Local);
        let role = char::from(self.0.role.load(Relaxed));
        let (pid, sign) = (std::process::id(), level.sign());
        self.write(&format!("{pid}:{role} {} {sign} {message}\n", now.format("%d %b %Y %H:%M:%S%.3f")));
        if let Some(syslog) = &self.0.syslog {
            syslog.write(level, message);
        }
    }

    /// Writes text without a head, unless nothing at all is to be logged.
    pub fn raw(&self, text: &str) {
        if self.0.level.load(Relaxed) != Level::Nothing as u8 {
            self.write(&format!("{text}\n"));
        }
    }

    fn write(&self, text: &str) {
        // There is nowhere to report that a log line cannot be written.
        let _ = match &self.0.file {
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
