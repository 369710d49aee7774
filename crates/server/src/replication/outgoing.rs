//! One full copy on its way to several replicas.
//!
//! The thread that makes the copy puts its bytes here in blocks, and each replica takes them at its own pace. The newest
//! blocks stay in memory; a replica that needs older ones reads them from a file without a name, to which they are written
//! when they leave memory and somebody is still behind. So the pace is that of the fastest replica: the maker waits only
//! while all of them have [`AHEAD_MAX`] before them, and a slow one holds back nobody. Nor does he wait while he is in a
//! hurry, because what he has not walked yet keeps others waiting, or keeps too much in memory; then the file takes it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::spill::nameless_file;

/// How far the maker may be ahead of the fastest replica, in bytes.
const AHEAD_MAX: u64 = 8 << 20;
/// Bytes that stay in memory for replicas that are slower.
const WINDOW_MAX: u64 = AHEAD_MAX;
/// How often a maker who waits looks whether he is in a hurry now.
const LOOK: Duration = Duration::from_millis(10);
/// Bytes that are put or taken at once.
pub const BLOCK_BYTES: usize = 256 << 10;

/// See the file's head.
pub struct Outgoing {
    inner: Mutex<Inner>,
    /// Rung when a replica has taken something, or is gone.
    taken: Condvar,
}

struct Inner {
    window: VecDeque<Bytes>,
    /// The position of the window's first byte, and of the byte behind its last.
    begin: u64,
    end: u64,
    state: State,
    /// What has left the window and is still needed.
    spilled: Option<Spilled>,
    /// The replicas by the ids of their clients, and where each stands.
    readers: Vec<(u64, u64)>,
    /// Where the file for what is spilled goes.
    folder: std::path::PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Going,
    Complete,
    Failed,
}

struct Spilled {
    file: File,
    /// The position of the file's first byte, and of the byte behind its last.
    begin: u64,
    end: u64,
}

/// What a replica finds.
pub enum Taken {
    /// The next bytes.
    Bytes(Bytes),
    /// Nothing yet.
    NotYet,
    /// All is taken.
    End,
    /// There will be no more.
    Failed,
}

impl Outgoing {
    /// For the replicas of these clients, all at the beginning. What slow ones need goes to a file in `folder`.
    pub fn new(clients: impl IntoIterator<Item = u64>, folder: &Path) -> Self {
        let readers = clients.into_iter().map(|client| (client, 0)).collect();
        Self::with(readers, State::Going, None, folder)
    }

    /// A copy that lies in a file already.
    pub fn of_file(clients: impl IntoIterator<Item = u64>, file: File, length: u64) -> Self {
        let readers = clients.into_iter().map(|client| (client, 0)).collect();
        Self::with(readers, State::Complete, Some(Spilled { file, begin: 0, end: length }), Path::new(""))
    }

    fn with(readers: Vec<(u64, u64)>, state: State, spilled: Option<Spilled>, folder: &Path) -> Self {
        let at = spilled.as_ref().map_or(0, |spilled| spilled.end);
        let folder = folder.to_owned();
        Self {
            inner: Mutex::new(Inner { window: VecDeque::new(), begin: at, end: at, state, spilled, readers, folder }),
            taken: Condvar::new(),
        }
    }

    /// Adds a block. Waits while every replica is far behind, unless the maker `hurries`.
    ///
    /// # Errors
    /// No replica is left, or what a slow one needs cannot be written to the file.
    pub fn put(&self, block: Bytes, hurries: impl Fn() -> bool) -> io::Result<()> {
        let mut inner = self.inner.lock();
        while inner.fastest().is_some_and(|fastest| inner.end - fastest > AHEAD_MAX) && !hurries() {
            self.taken.wait_for(&mut inner, LOOK);
        }
        if inner.readers.is_empty() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        inner.end += block.len() as u64;
        inner.window.push_back(block);
        inner.shrink()
    }

    /// No more will come: the copy is complete, or failed.
    pub fn end(&self, complete: bool) {
        self.inner.lock().state = if complete { State::Complete } else { State::Failed };
    }

    /// The next bytes for a replica, which counts them as taken.
    pub fn take(&self, client: u64) -> Taken {
        let mut inner = self.inner.lock();
        let Some(at) = inner.readers.iter().position(|reader| reader.0 == client) else { return Taken::Failed };
        let position = inner.readers[at].1;
        if position == inner.end {
            return match inner.state {
                State::Going => Taken::NotYet,
                State::Complete => Taken::End,
                State::Failed => Taken::Failed,
            };
        }
        let bytes = match inner.read(position) {
            Ok(bytes) => bytes,
            Err(_) => {
                inner.readers.swap_remove(at);
                return Taken::Failed;
            }
        };
        inner.readers[at].1 += bytes.len() as u64;
        drop(inner);
        self.taken.notify_one();
        Taken::Bytes(bytes)
    }

    /// Whether [`Self::take`] would say anything new.
    pub fn has_news(&self, client: u64) -> bool {
        let inner = self.inner.lock();
        let position = inner.readers.iter().find(|reader| reader.0 == client).map(|reader| reader.1);
        position != Some(inner.end) || inner.state != State::Going
    }

    /// A replica is gone.
    pub fn leave(&self, client: u64) {
        self.inner.lock().readers.retain(|reader| reader.0 != client);
        self.taken.notify_one();
    }
}

impl Inner {
    fn fastest(&self) -> Option<u64> {
        self.readers.iter().map(|reader| reader.1).max()
    }

    fn slowest(&self) -> u64 {
        self.readers.iter().map(|reader| reader.1).min().unwrap_or(self.end)
    }

    /// Lets blocks go from memory: at once when all have taken them, by way of the file when it gets too much.
    fn shrink(&mut self) -> io::Result<()> {
        let slowest = self.slowest();
        if self.spilled.as_ref().is_some_and(|spilled| spilled.end <= slowest) {
            self.spilled = None;
        }
        while let Some(first) = self.window.front() {
            let end = self.begin + first.len() as u64;
            if end > slowest {
                if self.end - self.begin <= WINDOW_MAX {
                    return Ok(());
                }
                let spilled = match &mut self.spilled {
                    Some(spilled) => spilled,
                    None => {
                        let file = nameless_file(&self.folder)?;
                        self.spilled.insert(Spilled { file, begin: self.begin, end: self.begin })
                    }
                };
                // The file has no gaps: while it is there, somebody is behind its end, and so behind this block too.
                spilled.file.write_all_at(first, spilled.end - spilled.begin)?;
                spilled.end = end;
            }
            self.begin = end;
            self.window.pop_front();
        }
        Ok(())
    }

    fn read(&self, position: u64) -> io::Result<Bytes> {
        if position < self.begin {
            let spilled = self.spilled.as_ref().ok_or(io::ErrorKind::NotFound)?;
            let length = (self.begin.min(spilled.end) - position).min(BLOCK_BYTES as u64) as usize;
            let mut bytes = vec![0; length];
            spilled.file.read_exact_at(&mut bytes, position - spilled.begin)?;
            return Ok(bytes.into());
        }
        let mut begin = self.begin;
        for block in &self.window {
            let end = begin + block.len() as u64;
            if position < end {
                return Ok(block.slice((position - begin) as usize..));
            }
            begin = end;
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Collects small writes into blocks.
pub struct Blocks<'a> {
    outgoing: &'a Outgoing,
    pending: Vec<u8>,
    /// Called when a block was put.
    put: &'a dyn Fn(),
    /// Asked whether to wait for replicas.
    hurries: &'a dyn Fn() -> bool,
}

impl<'a> Blocks<'a> {
    /// Puts blocks into a copy; `put` is called after each, `hurries` says whether not to wait for anybody.
    pub fn new(outgoing: &'a Outgoing, put: &'a dyn Fn(), hurries: &'a dyn Fn() -> bool) -> Self {
        Self { outgoing, pending: Vec::with_capacity(BLOCK_BYTES), put, hurries }
    }
}

impl Write for Blocks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK_BYTES - self.pending.len());
        self.pending.extend_from_slice(&bytes[..taken]);
        if self.pending.len() == BLOCK_BYTES {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            let block = std::mem::replace(&mut self.pending, Vec::with_capacity(BLOCK_BYTES));
            self.outgoing.put(block.into(), self.hurries)?;
            (self.put)();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(n: usize) -> Bytes {
        let bytes: Vec<u8> = (0..BLOCK_BYTES).map(|at| (at * 7 + n * 13) as u8).collect();
        bytes.into()
    }

    /// Takes all that is there.
    fn drain(outgoing: &Outgoing, client: u64, into: &mut Vec<u8>) -> bool {
        loop {
            match outgoing.take(client) {
                Taken::Bytes(bytes) => into.extend_from_slice(&bytes),
                Taken::NotYet => return false,
                Taken::End => return true,
                Taken::Failed => panic!("the copy failed"),
            }
        }
    }

    #[test]
    fn a_slow_replica_reads_the_same_and_holds_back_nobody() {
        let outgoing = Outgoing::new([1, 2], &std::env::temp_dir());
        let (mut fast, mut slow, mut expected) = (Vec::new(), Vec::new(), Vec::new());
        // More than memory holds, while the second replica takes nothing at first and then a little.
        for n in 0..200 {
            expected.extend_from_slice(&block(n));
            outgoing.put(block(n), || false).unwrap();
            drain(&outgoing, 1, &mut fast);
            if n > 150
                && let Taken::Bytes(bytes) = outgoing.take(2)
            {
                slow.extend_from_slice(&bytes);
            }
        }
        let in_memory: usize = outgoing.inner.lock().window.iter().map(Bytes::len).sum();
        assert!(in_memory as u64 <= WINDOW_MAX, "{in_memory}");
        assert!(outgoing.inner.lock().spilled.is_some());
        outgoing.end(true);
        assert!(drain(&outgoing, 1, &mut fast) && drain(&outgoing, 2, &mut slow));
        assert!(fast == expected && slow == expected);
    }

    #[test]
    fn nobody_left_ends_the_copy() {
        let outgoing = Outgoing::new([1], &std::env::temp_dir());
        outgoing.put(block(0), || false).unwrap();
        outgoing.leave(1);
        assert_eq!(outgoing.put(block(1), || false).unwrap_err().kind(), io::ErrorKind::NotConnected);
        assert!(matches!(outgoing.take(1), Taken::Failed));
    }

    #[test]
    fn a_full_disk_fails_the_copy_only() {
        let outgoing = Outgoing::new([1, 2], Path::new("/nonexistent"));
        let mut fast = Vec::new();
        let failed = (0..200).find_map(|n| {
            let put = outgoing.put(block(n), || false);
            drain(&outgoing, 1, &mut fast);
            put.err()
        });
        assert_eq!(failed.unwrap().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_file_is_read_in_blocks() {
        let mut file = nameless_file(&std::env::temp_dir()).unwrap();
        let bytes = [block(1), block(2)].concat();
        file.write_all(&bytes).unwrap();
        let outgoing = Outgoing::of_file([5], file, bytes.len() as u64);
        let mut read = Vec::new();
        assert!(drain(&outgoing, 5, &mut read));
        assert!(read == bytes);
    }

    #[test]
    fn who_hurries_waits_for_nobody() {
        let outgoing = Outgoing::new([1], &std::env::temp_dir());
        let (mut read, mut expected) = (Vec::new(), Vec::new());
        for n in 0..200 {
            expected.extend_from_slice(&block(n));
            // At first he does not; it comes over him while he waits.
            let asked = std::cell::Cell::new(0);
            let hurries = || asked.replace(asked.get() + 1) > 0;
            outgoing.put(block(n), hurries).unwrap();
        }
        let in_memory: usize = outgoing.inner.lock().window.iter().map(Bytes::len).sum();
        assert!(in_memory as u64 <= WINDOW_MAX, "{in_memory}");
        outgoing.end(true);
        assert!(drain(&outgoing, 1, &mut read));
        assert!(read == expected);
    }

    #[test]
    fn the_maker_waits_for_the_fastest() {
        let outgoing = Outgoing::new([1], &std::env::temp_dir());
        std::thread::scope(|scope| {
            let maker = scope.spawn(|| {
                (0..100).for_each(|n| outgoing.put(block(n), || false).unwrap());
                outgoing.end(true);
            });
            let mut read = Vec::new();
            while !drain(&outgoing, 1, &mut read) {
                let inner = outgoing.inner.lock();
                assert!(inner.end - inner.begin <= AHEAD_MAX + 2 * BLOCK_BYTES as u64);
            }
            maker.join().unwrap();
            assert_eq!(read.len(), 100 * BLOCK_BYTES);
        });
    }
}
