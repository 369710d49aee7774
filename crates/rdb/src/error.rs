//! Why bytes are not what they should be, and where.

use std::fmt;

use store::value::intset::IntsetError;
use store::value::listpack;
use store::value::stream::StreamCorrupt;

/// The result of reading.
pub type Result<T> = std::result::Result<T, Error>;

/// What is wrong with some bytes, and where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// In bytes from the beginning of what is read; of a packed form, where it begins.
    pub offset: u64,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The bytes end too early.
    Truncated,
    /// A length stands where a special string encoding has to, or the other way round, or it is of an unknown kind.
    Length(u8),
    /// A string is longer than [`crate::read::STRING_LEN_MAX`].
    TooLong(u64),
    /// A compressed string does not unpack to the length it claims.
    Compressed,
    /// There is no value type of this number.
    Type(u8),
    /// The value belongs to a module.
    Module(u8),
    /// The type is one that only previews of Redis 7.4 wrote.
    Preview(u8),
    /// A container has no element; no key holds such a value.
    Empty,
    /// A member or field comes twice.
    Twice,
    /// A score is no number.
    Score,
    /// An expiry of a field is beyond what Redis can tell.
    Expiry,
    /// A quicklist node is of an unknown kind.
    Container(u64),
    /// A ziplist is malformed.
    Ziplist,
    /// A zipmap is malformed.
    Zipmap,
    /// A listpack is malformed.
    Listpack(listpack::Corrupt),
    /// A packed form has the shape of its kind, but not of the type: odd in number, out of order, an element twice.
    Packed,
    /// A set of integers is malformed.
    Intset(IntsetError),
    /// The id in a stream is not 16 bytes long.
    StreamId,
    /// The parts of a stream do not fit together.
    Stream(StreamCorrupt),
    /// What begins here is no RDB file.
    Signature,
    /// The file is of a version that is not known.
    Version(u16),
    /// No server has a database of this number.
    Database(u64),
    /// A value (of type 6 or 7) belongs to the module of this id.
    ModuleValue(u8, u64),
    /// The file has data of the module of this id.
    ModuleData(u64),
    /// Functions in the form that only previews of Redis 7.0 wrote.
    FunctionPreview,
    /// The bytes are not those that were written.
    Checksum {
        /// What the file says.
        expected: u64,
        /// What its bytes come to.
        found: u64,
    },
}

/// The name in a module's id: nine characters of six bits above ten bits of version.
struct ModuleName(u64);

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..9).try_for_each(|place| write!(f, "{}", char::from(CHARACTERS[(self.0 >> (58 - 6 * place)) as usize & 63])))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}", self.problem, self.offset)
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => write!(f, "data ends too early"),
            Self::Length(byte) => write!(f, "unexpected length encoding {byte:#04x}"),
            Self::TooLong(len) => write!(f, "a string of {len} bytes is longer than {}", crate::read::STRING_LEN_MAX),
            Self::Compressed => write!(f, "compressed string does not unpack"),
            Self::Type(number) => write!(f, "unknown value type {number}"),
            Self::Module(number) => write!(f, "value type {number} belongs to a module, and there are no modules here"),
            Self::Preview(number) => write!(f, "value type {number} is of previews of Redis 7.4 only"),
            Self::Empty => write!(f, "a container without elements"),
            Self::Twice => write!(f, "an element that is there twice"),
            Self::Score => write!(f, "a score that is no number"),
            Self::Expiry => write!(f, "a field's expiry is out of range"),
            Self::Container(kind) => write!(f, "unknown kind {kind} of list node"),
            Self::Ziplist => write!(f, "malformed ziplist"),
            Self::Zipmap => write!(f, "malformed zipmap"),
            Self::Listpack(corrupt) => write!(f, "{corrupt}"),
            Self::Packed => write!(f, "packed elements do not make a value of the type"),
            Self::Intset(error) => write!(f, "{error}"),
            Self::StreamId => write!(f, "a stream id is not 16 bytes long"),
            Self::Stream(corrupt) => write!(f, "{corrupt}"),
            Self::Signature => write!(f, "not the beginning of an RDB file"),
            Self::Version(version) => {
                write!(f, "RDB version {version} is not known, only those up to {}", crate::payload::VERSION_MAX)
            }
            Self::Database(db) => write!(f, "database {db} is out of range"),
            Self::ModuleValue(_, id) => {
                write!(f, "a value belongs to the module '{}', and there are no modules here", ModuleName(*id))
            }
            Self::ModuleData(id) => {
                write!(f, "there is data of the module '{}', and there are no modules here", ModuleName(*id))
            }
            Self::FunctionPreview => write!(f, "functions in a form of previews of Redis 7.0 only"),
            Self::Checksum { expected, found } => {
                write!(f, "the checksum should be {expected:016x} and is {found:016x}")
            }
        }
    }
}
