//! What SCAN and its relatives SSCAN, HSCAN and ZSCAN are told: where to go on, and which names to show.

use store::value::listpack::Item;

use crate::args::Args;
use crate::error::{Error, NOT_INTEGER, Result, SYNTAX};
use crate::reply::{Mark, Reply};
use crate::{glob, number};

/// How many entries a step looks at when it is not told.
const COUNT: usize = 10;

/// Which names a walk wants.
pub(crate) enum Pattern<'a> {
    /// All, the empty one too (which no glob but the empty one matches).
    Any,
    /// Those that match.
    Glob(&'a [u8]),
}

impl<'a> Pattern<'a> {
    /// The names that match `glob`.
    pub(crate) fn new(glob: &'a [u8]) -> Self {
        if glob == b"*" { Self::Any } else { Self::Glob(glob) }
    }

    /// Whether a name is wanted.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Glob(glob) => glob::matches(glob, name, false),
        }
    }

    /// The same for an element of a packed value.
    pub(crate) fn matches_item(&self, name: Item<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Glob(_) => self.matches(name.bytes(&mut itoa::Buffer::new())),
        }
    }

    /// The one name that can match, if the pattern has nothing special in it.
    pub(crate) fn literal(&self) -> Option<&'a [u8]> {
        match self {
            Self::Glob(glob) if !glob.iter().any(|byte| b"*?[\\".contains(byte)) => Some(glob),
            _ => None,
        }
    }
}

/// What is walked; not every option suits each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walked {
    /// The keys of a database: has TYPE.
    Keyspace,
    /// The fields of a hash: has NOVALUES.
    Fields,
    /// The members of a set or a sorted set.
    Members,
}

/// The options behind the cursor.
pub(crate) struct ScanOptions<'a> {
    /// MATCH
    pub(crate) pattern: Pattern<'a>,
    /// COUNT, at least 1.
    pub(crate) count: usize,
    /// TYPE
    pub(crate) type_name: Option<&'a [u8]>,
    /// NOVALUES
    pub(crate) no_values: bool,
}

impl<'a> ScanOptions<'a> {
    /// Reads the arguments from `index` on.
    pub(crate) fn parse(args: Args<'a>, mut index: usize, walked: Walked) -> Result<Self> {
        let mut options = Self { pattern: Pattern::Any, count: COUNT, type_name: None, no_values: false };
        while index < args.len() {
            let is = |word| args.is(index, word);
            match args.opt(index + 1) {
                Some(count) if is("COUNT") => {
                    let count = number::parse_i64(count).ok_or(NOT_INTEGER)?;
                    options.count = usize::try_from(count).ok().filter(|&count| count > 0).ok_or(SYNTAX)?;
                }
                Some(pattern) if is("MATCH") => options.pattern = Pattern::new(pattern),
                Some(name) if is("TYPE") && walked == Walked::Keyspace => options.type_name = Some(name),
                _ if is("NOVALUES") => {
                    if walked != Walked::Fields {
                        return Err(Error::new("ERR NOVALUES option can only be used in HSCAN"));
                    }
                    options.no_values = true;
                    index += 1;
                    continue;
                }
                _ => return Err(SYNTAX),
            }
            index += 2;
        }
        Ok(options)
    }
}

/// The cursor that an argument is.
pub(crate) fn cursor(arg: &[u8]) -> Result<u64> {
    number::parse_u64(arg).ok_or_else(|| Error::new("ERR invalid cursor"))
}

/// Answers that there is nothing and that the walk is over.
pub(crate) fn nothing(out: &mut Reply) {
    let mark = out.mark();
    head(out, mark, 0, 0);
}

/// Puts the next cursor and the number of elements in front of what was answered after the mark.
pub(crate) fn head(out: &mut Reply, at: Mark, next: u64, found: usize) {
    out.prepend(at, |out| {
        out.array(2);
        // Cursors are below 2^63.
        out.bulk_int(next as i64);
        out.array(found);
    });
}
