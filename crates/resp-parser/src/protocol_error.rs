//! The one place where the texts of protocol errors are written.

use std::fmt;

/// Why a connection's bytes are no request. The connection is answered with [`ProtocolError::wire`] and closed.
///
/// [`Display`](fmt::Display) gives the text without its `ERR Protocol error: ` prefix, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProtocolError {
    /// The line after `*` does not end within the limit for lines.
    TooBigMbulkCount,
    /// The argument count is no number, or above the limit.
    InvalidMultibulkLength,
    /// More arguments than a client may send before it has authenticated.
    UnauthenticatedMultibulkLength,
    /// The line before an argument does not end within the limit for lines.
    TooBigBulkCount,
    /// An argument begins with this byte instead of `$`.
    ExpectedDollar(u8),
    /// An argument's length is no number, negative, or above `proto-max-bulk-len`.
    InvalidBulkLength,
    /// An argument longer than a client may send before it has authenticated.
    UnauthenticatedBulkLength,
    /// An inline request does not end within the limit for lines.
    TooBigInline,
    /// A quote in an inline request is not closed, or is closed in the middle of a word.
    UnbalancedQuotes,
}

impl ProtocolError {
    /// The whole error as Redis sends it, without the leading `-` and the CR LF behind it.
    pub fn wire(&self) -> Vec<u8> {
        let mut out = b"ERR Protocol error: ".to_vec();
        match self {
            ProtocolError::ExpectedDollar(byte) => {
                out.extend_from_slice(b"expected '$', got '");
                out.push(printed(*byte));
                out.push(b'\'');
            }
            other => out.extend_from_slice(other.text().as_bytes()),
        }
        out
    }

    fn text(&self) -> &'static str {
        match self {
            ProtocolError::TooBigMbulkCount => "too big mbulk count string",
            ProtocolError::InvalidMultibulkLength => "invalid multibulk length",
            ProtocolError::UnauthenticatedMultibulkLength => "unauthenticated multibulk length",
            ProtocolError::TooBigBulkCount => "too big bulk count string",
            ProtocolError::ExpectedDollar(_) => "expected '$'",
            ProtocolError::InvalidBulkLength => "invalid bulk length",
            ProtocolError::UnauthenticatedBulkLength => "unauthenticated bulk length",
            ProtocolError::TooBigInline => "too big inline request",
            ProtocolError::UnbalancedQuotes => "unbalanced quotes in request",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())?;
        match self {
            // For a log, on which nobody from outside may play with what terminals obey; the wire has the byte itself.
            ProtocolError::ExpectedDollar(byte) => match printed(*byte) {
                letter @ b' '..=b'~' => write!(f, ", got '{}'", char::from(letter)),
                byte => write!(f, ", got '\\x{byte:02x}'"),
            },
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ProtocolError {}

/// An error is one line, so Redis sends blanks for line ends.
fn printed(byte: u8) -> u8 {
    if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }
}
