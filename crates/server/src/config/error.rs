//! What may go wrong at the start, in CONFIG SET and in CONFIG REWRITE; the texts are Redis's.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a line of the configuration stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Counted from 1. Arguments of the command line follow the lines of the file and of standard input.
    pub line: usize,
    /// The line without the blanks around it.
    pub text: String,
    /// The file, where it is an included one.
    pub included: Option<PathBuf>,
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration file itself cannot be read.
    #[error("Fatal error, can't open config file '{}': {reason}", path.display())]
    Unreadable {
        /// Its absolute path.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A line cannot be used.
    #[error("\n*** FATAL CONFIG FILE ERROR (Brindle {}) ***\n{origin}\n{reason}", env!("CARGO_PKG_VERSION"))]
    Line {
        /// The line.
        origin: Origin,
        /// What is wrong with it.
        reason: String,
    },
}

impl StartError {
    /// The refusal of the line at `origin`, for checks that others make, such as the names in `rename-command`.
    pub fn line(origin: &Origin, reason: impl Into<String>) -> Self {
        Self::Line { origin: origin.clone(), reason: reason.into() }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Reading the configuration file, at line {}", self.line)?;
        if let Some(path) = &self.included {
            write!(out, " of {}", path.display())?;
        }
        write!(out, "\n>>> '{}'", self.text)
    }
}

/// Why CONFIG SET failed; nothing has changed then. The text lacks only the reply's `ERR ` in front.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// No directive has this name.
    #[error("Unknown option or number of arguments for CONFIG SET - '{0}'")]
    Unknown(String),
    /// One may not be set while a file is loaded: the reply is the one for LOADING, not an `ERR`.
    #[error("LOADING Redis is loading the dataset in memory")]
    Loading,
    /// One cannot be set, or not to this value.
    #[error("CONFIG SET failed (possibly related to argument '{name}') - {reason}")]
    Failed {
        /// The directive.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

/// Why CONFIG REWRITE failed; the file is as it was. The text lacks only the reply's `ERR ` in front.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// The server was started without a file.
    #[error("The server is running without a config file")]
    NoFile,
    /// The file cannot be read or replaced.
    #[error("Rewriting CONFIG file: {}", system_text(.0))]
    Io(#[from] io::Error),
}

/// What `strerror` would say: the standard library's text without the number it adds.
pub fn system_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text[..end].into(),
        None => text,
    }
}
