//! What a command answers when it cannot do what was asked: the text on the wire, code first, without `-` and CRLF.
//!
//! Texts that several commands share stand here, once. A text that belongs to one command stands beside it.

use std::borrow::Cow;

/// An error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(pub Cow<'static, str>);

/// The result of a command or a part of it.
pub type Result<T> = std::result::Result<T, Error>;

macro_rules! texts {
    ($($name:ident = $text:literal;)*) => {
        $(#[doc = $text] pub const $name: Error = Error(Cow::Borrowed($text));)*
    };
}

texts! {
    WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
    SYNTAX = "ERR syntax error";
    NO_SUCH_KEY = "ERR no such key";
    NOT_INTEGER = "ERR value is not an integer or out of range";
    NOT_FLOAT = "ERR value is not a valid float";
    OUT_OF_RANGE = "ERR value is out of range";
    MUST_BE_POSITIVE = "ERR value is out of range, must be positive";
    INDEX_OUT_OF_RANGE = "ERR index out of range";
    OVERFLOW = "ERR increment or decrement would overflow";
    NAN_OR_INFINITY = "ERR increment would produce NaN or Infinity";
    STRING_TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    OFFSET_OUT_OF_RANGE = "ERR offset is out of range";
    DB_OUT_OF_RANGE = "ERR DB index is out of range";
    SAME_OBJECT = "ERR source and destination objects are the same";
    NO_AUTH = "NOAUTH Authentication required.";
    WRONG_PASS = "WRONGPASS invalid username-password pair or user is disabled.";
    OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'.";
    EXEC_ABORT = "EXECABORT Transaction discarded because of previous errors.";
    DEBUG_NOT_ALLOWED = "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.";
    LOADING = "LOADING Redis is loading the dataset in memory";
    READ_ONLY = "READONLY You can't write against a read only replica.";
    MASTER_DOWN = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    NOT_ENOUGH_REPLICAS = "NOREPLICAS Not enough good replicas to write.";
    DISK_ERROR = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";
}

impl Error {
    /// An error whose text is made for the occasion. Line breaks become spaces, so that it stays one line.
    pub fn new(text: impl Into<String>) -> Self {
        let text: String = text.into();
        if text.contains(['\r', '\n']) {
            return Self(Cow::Owned(text.replace(['\r', '\n'], " ")));
        }
        Self(Cow::Owned(text))
    }

    /// `ERR wrong number of arguments` for a command's full name.
    pub fn arity(name: &str) -> Self {
        Self::new(format!("ERR wrong number of arguments for '{name}' command"))
    }

    /// `ERR invalid expire time`, which names the command.
    pub fn expire_time(name: &str) -> Self {
        Self::new(format!("ERR invalid expire time in '{name}' command"))
    }

    /// `ERR value is out of range` with the bounds that an integer argument has.
    pub fn not_between(min: i64, max: i64) -> Self {
        // "must between" is how Redis has it.
        Self::new(format!("ERR value is out of range, value must between {min} and {max}"))
    }

    /// The first word, by which INFO's `errorstats` counts; `ERR` if the first word is the only one or too long.
    pub fn code(&self) -> &str {
        /// Longest word that is counted by itself.
        const CODE_MAX: usize = 30;
        match self.0.split_once(' ') {
            Some((code, _)) if code.len() <= CODE_MAX => code,
            _ => "ERR",
        }
    }
}
