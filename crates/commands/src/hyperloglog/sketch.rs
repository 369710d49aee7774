//! The bytes of a HyperLogLog, in Redis's layout.
//!
//! ```text
//! "HYLL"  encoding (1 byte)  0 0 0  count (8 bytes, little endian)  registers
//! ```
//!
//! The count is the one of the last PFCOUNT; the highest bit of its last byte says that it no longer holds.
//!
//! *Dense*, there are 16384 registers of six bits, the first one lowest: three bytes hold four. *Sparse*, there are runs:
//!
//! ```text
//! 00llllll            l + 1 registers of 0
//! 01llllll llllllll   the same with fourteen bits for the length
//! 1vvvvvll            l + 1 registers of v + 1
//! ```
//!
//! Redis changes runs in place, and joins neighbours only near the change. What it makes of the same commands in the same
//! order is reproduced here byte for byte, or digests of two servers would differ.
//!
//! The bytes may be any string that a client has set: nothing in them is trusted.

use smallvec::SmallVec;

use super::estimate::{Histogram, VALUES};
use super::hash::{Place, REGISTERS};

const MAGIC: &[u8; 4] = b"HYLL";
const ENCODING_AT: usize = 4;
const COUNT_AT: usize = 8;
const HEADER_LEN: usize = 16;
const DENSE_LEN: usize = HEADER_LEN + REGISTERS * 6 / 8;
/// In the last byte of the count.
const COUNT_STALE: u8 = 1 << 7;

const SHORT_ZEROES_MAX: usize = 64;
const SPARSE_VALUE_MAX: u8 = 32;
const VALUES_MAX: usize = 4;
/// So many runs are looked at after a change, beginning before it, for neighbours to join.
const JOINED_RUNS_MAX: usize = 5;

/// Runs that do not make 16384 registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Corrupt;

/// How the registers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Dense = 0,
    Sparse = 1,
}

impl Encoding {
    /// That of a string, if it can be a HyperLogLog. Sparse runs are not looked at.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HEADER_LEN || !bytes.starts_with(MAGIC) {
            return None;
        }
        match bytes[ENCODING_AT] {
            0 => (bytes.len() == DENSE_LEN).then_some(Self::Dense),
            1 => Some(Self::Sparse),
            _ => None,
        }
    }

    /// What PFDEBUG calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Sparse => "sparse",
        }
    }
}

/// A HyperLogLog that has seen nothing.
pub(super) fn empty() -> Vec<u8> {
    let mut bytes = header(Encoding::Sparse);
    Run { value: 0, len: REGISTERS }.write(&mut bytes);
    bytes
}

fn header(encoding: Encoding) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_LEN];
    bytes[..MAGIC.len()].copy_from_slice(MAGIC);
    bytes[ENCODING_AT] = encoding as u8;
    bytes
}

/// The count that is kept, if it still holds.
pub(super) fn known_count(bytes: &[u8]) -> Option<u64> {
    let count: [u8; 8] = bytes.get(COUNT_AT..HEADER_LEN)?.try_into().ok()?;
    (count[7] & COUNT_STALE == 0).then_some(u64::from_le_bytes(count))
}

/// Keeps a count.
pub(super) fn know_count(bytes: &mut [u8], count: u64) {
    bytes[COUNT_AT..HEADER_LEN].copy_from_slice(&count.to_le_bytes());
}

/// Notes that the count no longer holds.
pub(super) fn forget_count(bytes: &mut [u8]) {
    bytes[HEADER_LEN - 1] |= COUNT_STALE;
}

/// Raises a register, and tells whether it was lower. A sparse sketch that cannot hold the value, or would have more
/// than `sparse_bytes_max` bytes, becomes dense.
pub(super) fn raise(bytes: &mut Vec<u8>, place: Place, sparse_bytes_max: usize) -> Result<bool, Corrupt> {
    if Encoding::of(bytes) == Some(Encoding::Dense) {
        return Ok(raise_dense(bytes, place));
    }
    match raise_sparse(bytes, place, sparse_bytes_max)? {
        Raised::Yes => Ok(true),
        Raised::No => Ok(false),
        Raised::NoRoom => {
            make_dense(bytes)?;
            Ok(raise_dense(bytes, place))
        }
    }
}

/// The same for a sketch that is dense.
pub(super) fn raise_dense(bytes: &mut [u8], place: Place) -> bool {
    let (group, shift) = (&mut bytes[HEADER_LEN + place.index / 4 * 3..][..3], place.index % 4 * 6);
    let word = u32::from_le_bytes([group[0], group[1], group[2], 0]);
    let before = word >> shift & 63;
    if before >= u32::from(place.value) {
        return false;
    }
    let word = word & !(63 << shift) | u32::from(place.value) << shift;
    group.copy_from_slice(&word.to_le_bytes()[..3]);
    true
}

/// Makes a sketch dense; its count stays as it is.
pub(super) fn make_dense(bytes: &mut Vec<u8>) -> Result<(), Corrupt> {
    if Encoding::of(bytes) == Some(Encoding::Dense) {
        return Ok(());
    }
    let mut registers = Registers::new();
    registers.merge(bytes)?;
    let mut dense = header(Encoding::Dense);
    // What stands between the encoding and the count is nothing to us, and is kept.
    dense[ENCODING_AT + 1..].copy_from_slice(&bytes[ENCODING_AT + 1..HEADER_LEN]);
    dense.resize(DENSE_LEN, 0);
    registers.write_dense(&mut dense);
    *bytes = dense;
    Ok(())
}

/// How many registers have each value.
pub(super) fn histogram(bytes: &[u8]) -> Result<Histogram, Corrupt> {
    let mut histogram = [0; VALUES];
    for_each_run(bytes, |_, run| histogram[usize::from(run.value)] += run.len as u32)?;
    Ok(histogram)
}

/// The runs of a sparse sketch as PFDEBUG DECODE shows them.
pub(super) fn decode(bytes: &[u8]) -> String {
    let mut words = Vec::new();
    let mut at = HEADER_LEN;
    while at < bytes.len() {
        let (run, width) = Run::read(bytes, at);
        words.push(match (run.value, width) {
            (0, 1) => format!("z:{}", run.len),
            (0, _) => format!("Z:{}", run.len),
            _ => format!("v:{},{}", run.value, run.len),
        });
        at += width;
    }
    words.join(" ")
}

/// All registers, each in a byte.
pub(super) struct Registers(Box<[u8; REGISTERS]>);

impl Registers {
    /// All at 0.
    pub(super) fn new() -> Self {
        Self(Box::new([0; REGISTERS]))
    }

    /// Raises each register to that of a sketch.
    pub(super) fn merge(&mut self, bytes: &[u8]) -> Result<(), Corrupt> {
        for_each_run(bytes, |first, run| {
            for register in &mut self.0[first..first + run.len] {
                *register = run.value.max(*register);
            }
        })
    }

    /// How many have each value.
    pub(super) fn histogram(&self) -> Histogram {
        let mut histogram = [0; VALUES];
        self.0.iter().for_each(|value| histogram[usize::from(*value)] += 1);
        histogram
    }

    /// The values in order.
    pub(super) fn values(&self) -> &[u8] {
        &self.0[..]
    }

    /// Those above 0.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        let places = self.0.iter().enumerate().map(|(index, value)| Place { index, value: *value });
        places.filter(|place| place.value > 0)
    }

    /// Writes them over those of a dense sketch.
    pub(super) fn write_dense(&self, bytes: &mut [u8]) {
        let groups = bytes[HEADER_LEN..].as_chunks_mut::<3>().0;
        for (group, registers) in groups.iter_mut().zip(self.0.as_chunks::<4>().0) {
            let word = registers.iter().rev().fold(0, |word, value| word << 6 | u32::from(*value));
            group.copy_from_slice(&word.to_le_bytes()[..3]);
        }
    }
}

/// Calls `found` with the runs of a sketch and the index of the first register of each. Of a dense one, each register is
/// a run. Fails, possibly after some calls, if the runs do not make up all registers; none reaches beyond them.
fn for_each_run(bytes: &[u8], mut found: impl FnMut(usize, Run)) -> Result<(), Corrupt> {
    if Encoding::of(bytes) == Some(Encoding::Dense) {
        for (at, group) in bytes[HEADER_LEN..].as_chunks::<3>().0.iter().enumerate() {
            let word = u32::from_le_bytes([group[0], group[1], group[2], 0]);
            (0..4).for_each(|of| found(at * 4 + of, Run { value: (word >> (of * 6) & 63) as u8, len: 1 }));
        }
        return Ok(());
    }
    let (mut at, mut first) = (HEADER_LEN, 0);
    while at < bytes.len() {
        let (run, width) = Run::read(bytes, at);
        if first + run.len > REGISTERS {
            return Err(Corrupt);
        }
        found(first, run);
        at += width;
        first += run.len;
    }
    if first == REGISTERS { Ok(()) } else { Err(Corrupt) }
}

/// Neighbouring registers of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    value: u8,
    len: usize,
}

impl Run {
    /// The run at an offset, and how many bytes it takes. A long run whose second byte is missing counts as if that was
    /// 0, which stands behind every string in Redis.
    fn read(bytes: &[u8], at: usize) -> (Self, usize) {
        let byte = bytes[at];
        let low = usize::from(byte & 63);
        if byte & 0x80 != 0 {
            return (Self { value: (byte >> 2 & 31) + 1, len: usize::from(byte & 3) + 1 }, 1);
        }
        if byte & 0x40 != 0 {
            let next = bytes.get(at + 1).copied().unwrap_or(0);
            return (Self { value: 0, len: (low << 8 | usize::from(next)) + 1 }, 2);
        }
        (Self { value: 0, len: low + 1 }, 1)
    }

    /// Appends the run; nothing if it is empty.
    fn write(self, out: &mut impl Extend<u8>) {
        let Some(less) = self.len.checked_sub(1) else { return };
        if self.value > 0 {
            out.extend([0x80 | (self.value - 1) << 2 | less as u8]);
        } else if self.len <= SHORT_ZEROES_MAX {
            out.extend([less as u8]);
        } else {
            out.extend([0x40 | (less >> 8) as u8, less as u8]);
        }
    }
}

/// What raising a register of a sparse sketch came to.
enum Raised {
    Yes,
    /// It is high enough.
    No,
    /// The sketch has to become dense for it; nothing was changed.
    NoRoom,
}

fn raise_sparse(bytes: &mut Vec<u8>, place: Place, bytes_max: usize) -> Result<Raised, Corrupt> {
    if place.value > SPARSE_VALUE_MAX {
        return Ok(Raised::NoRoom);
    }
    // The run that holds the register, and the one before it.
    let (mut before, mut at, mut first) = (HEADER_LEN, HEADER_LEN, 0);
    let (run, width) = loop {
        if at >= bytes.len() {
            return Err(Corrupt);
        }
        let (run, width) = Run::read(bytes, at);
        if place.index < first + run.len {
            break (run, width);
        }
        before = at;
        at += width;
        first += run.len;
    };
    if run.value >= place.value {
        return Ok(Raised::No);
    }
    // Two long runs of zeroes at most, and the register between them.
    let mut parts: SmallVec<[u8; 5]> = SmallVec::new();
    Run { len: place.index - first, ..run }.write(&mut parts);
    Run { value: place.value, len: 1 }.write(&mut parts);
    Run { len: first + run.len - 1 - place.index, ..run }.write(&mut parts);
    if parts.len() > width && bytes.len() + parts.len() - width > bytes_max {
        return Ok(Raised::NoRoom);
    }
    // The second byte of a long run may be missing at the end: Redis counts it as replaced all the same.
    let (end, len) = (bytes.len().min(at + width), bytes.len() + parts.len() - width);
    bytes.splice(at..end, parts);
    bytes.truncate(len);
    join_runs(bytes, before);
    forget_count(bytes);
    Ok(Raised::Yes)
}

/// Joins neighbouring runs of the same value above 0 from an offset on, as far as Redis looks.
fn join_runs(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOINED_RUNS_MAX {
        if at >= bytes.len() {
            return;
        }
        let (run, width) = Run::read(bytes, at);
        if run.value > 0 && at + 1 < bytes.len() {
            let (next, _) = Run::read(bytes, at + 1);
            if next.value == run.value && run.len + next.len <= VALUES_MAX {
                bytes.remove(at);
                bytes[at] += run.len as u8;
                // The joined run may go together with the one after it.
                continue;
            }
        }
        at += width;
    }
}
