//! Writing the entries of a walk as an RDB file, to wherever bytes can go.

use std::io::{self, Write};
use std::ops::ControlFlow;

use rdb::file::{Contents, FileWriter, LastUse};
use rdb::write::Sink;
use store::entry::Entry;
use store::walk::Walk;

/// What is written, apart from the entries.
pub struct Preamble<'a> {
    /// What the entries may be; see [`Contents`].
    pub contents: Contents,
    /// Facts about the file, in their order.
    pub aux: &'a [(&'a str, Vec<u8>)],
    /// `rdbcompression`.
    pub compress: bool,
    /// `rdbchecksum`.
    pub checksum: bool,
    /// What is told about the last use of an entry.
    pub last_use: &'a dyn Fn(&Entry) -> LastUse,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Keys.
    pub keys: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Writes a whole file of what a walk brings. `key` is called before each key and says whether to go on; if not, the error
/// is of the kind [`io::ErrorKind::Interrupted`].
///
/// A value goes out in pieces, so even a huge one never lies in memory in its encoded form.
///
/// # Errors
/// The first that `out` returns; noticed no later than at the end of the value that it concerns.
pub fn save(
    walk: &mut Walk,
    preamble: &Preamble<'_>,
    out: &mut dyn Write,
    mut key: impl FnMut() -> ControlFlow<()>,
) -> io::Result<Saved> {
    let mut sink = Latch { out, error: None };
    let mut ended = false;
    let saved = {
        let mut file = FileWriter::new(preamble.contents, preamble.compress, preamble.checksum, &mut sink);
        for (name, value) in preamble.aux {
            file.aux(name, value);
        }
        let mut keys = 0;
        let sizes = walk.databases().to_vec();
        let mut announced = vec![false; sizes.len()];
        'pieces: for piece in &mut *walk {
            announce(&mut file, &sizes, &mut announced, piece.db());
            for entry in piece.entries() {
                if key().is_break() {
                    ended = true;
                    break 'pieces;
                }
                file.entry(piece.db(), entry, (preamble.last_use)(entry));
                keys += 1;
            }
            if file.has_failed() {
                break;
            }
        }
        Saved { keys, bytes: file.end() }
    };
    match sink.error {
        Some(error) => Err(error),
        None if ended => Err(io::ErrorKind::Interrupted.into()),
        None if !walk.is_complete() => Err(io::Error::other("the snapshot was overtaken by too many others")),
        None => Ok(saved),
    }
}

/// Tells the size of a database before its first entry.
fn announce(file: &mut FileWriter<'_>, databases: &[(u32, usize, usize)], announced: &mut [bool], db: u32) {
    let Some(at) = databases.iter().position(|(known, ..)| *known == db) else { return };
    if !std::mem::replace(&mut announced[at], true) {
        let (_, keys, volatile) = databases[at];
        file.database(db, keys as u64, volatile as u64);
    }
}

/// Remembers the first error and lets everything after it go by.
struct Latch<'a> {
    out: &'a mut dyn Write,
    error: Option<io::Error>,
}

impl Sink for Latch<'_> {
    fn take(&mut self, bytes: &[u8]) -> bool {
        if self.error.is_none() {
            self.error = self.out.write_all(bytes).err();
        }
        self.error.is_none()
    }
}
