//! LZF, the compression of strings in RDB (Marc Lehmann's LibLZF defines the format; crates for it are unmaintained).
//!
//! A compressed string is a row of two kinds of pieces, told by the first byte `c`:
//! - below 32: `c + 1` bytes follow as they are;
//! - else a copy of earlier output: the upper three bits are its length less two, 7 meaning that the next byte is to be
//!   added; the lower five bits and one further byte are the distance less one.

/// Bytes that one piece may carry as they are.
const LITERAL_MAX: usize = 32;
/// The shortest and longest copy, and the farthest it may reach back.
const COPY_MIN: usize = 3;
const COPY_MAX: usize = 264;
const DISTANCE_MAX: usize = 1 << 13;
/// The most entries of the table in which the compressor remembers where three bytes last stood, as a power of two.
const TABLE_BITS_MAX: u32 = 14;

/// Unpacks; `None` if the bytes are malformed or do not make exactly `len` bytes. A `len` beyond what so many bytes can
/// make at all is refused before anything is allocated.
pub fn decompress(packed: &[u8], len: usize) -> Option<Vec<u8>> {
    // Three bytes make a copy of the longest kind: more than that nothing can claim.
    if len / COPY_MAX > packed.len() / 3 + 1 {
        return None;
    }
    let mut out = Vec::with_capacity(len);
    let mut rest = packed;
    while let [control, tail @ ..] = rest {
        let control = usize::from(*control);
        if control < LITERAL_MAX {
            let (literal, tail) = tail.split_at_checked(control + 1)?;
            out.extend_from_slice(literal);
            rest = tail;
        } else {
            let (extra, tail) = if control >> 5 == 7 { tail.split_first()? } else { (&0, tail) };
            let (low, tail) = tail.split_first()?;
            let count = (control >> 5) + usize::from(*extra) + 2;
            let distance = ((control & 0x1f) << 8 | usize::from(*low)) + 1;
            copy_within(&mut out, distance, count)?;
            rest = tail;
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

/// Appends `count` bytes from `distance` back, which may run into what is being appended.
fn copy_within(out: &mut Vec<u8>, distance: usize, count: usize) -> Option<()> {
    let from = out.len().checked_sub(distance)?;
    if distance >= count {
        out.extend_from_within(from..from + count);
    } else {
        for at in from..from + count {
            out.push(out[at]);
        }
    }
    Some(())
}

/// Packs strings, and keeps its table from one to the next.
#[derive(Default)]
pub struct Compressor {
    /// By a hash of three bytes, one more than the position where they last stood; 0 if not seen yet.
    table: Vec<u32>,
}

impl Compressor {
    /// Appends the packed form of `bytes` to `out`, unless it would be `limit` bytes or more; then `out` stays as it is
    /// and the answer is false.
    pub fn compress(&mut self, bytes: &[u8], limit: usize, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        // Positions are told in 32 bits. Redis gives up on larger strings as well.
        let packed = u32::try_from(bytes.len()).is_ok() && self.pack(bytes, start + limit, out).is_some();
        if !packed {
            out.truncate(start);
        }
        packed
    }

    /// `None` as soon as `out` is `end` bytes long.
    fn pack(&mut self, bytes: &[u8], end: usize, out: &mut Vec<u8>) -> Option<()> {
        // A small string gets a small table, since the table is cleared for each.
        let bits = bytes.len().next_power_of_two().trailing_zeros().clamp(6, TABLE_BITS_MAX);
        self.table.clear();
        self.table.resize(1 << bits, 0);
        let (mut at, mut literal) = (0, 0);
        while let Some(three) = bytes.get(at..at + COPY_MIN) {
            let seen = std::mem::replace(&mut self.table[slot(three, bits)], at as u32 + 1) as usize;
            let distance = at + 1 - seen;
            if seen == 0 || distance > DISTANCE_MAX || bytes[seen - 1..][..COPY_MIN] != *three {
                at += 1;
                continue;
            }
            let count = common(&bytes[seen - 1..], &bytes[at..]);
            put_literal(&bytes[literal..at], out);
            put_copy(count, distance, out);
            if out.len() >= end {
                return None;
            }
            // The last places inside the copy are remembered too, which finds most of what all of them would.
            let next = at + count;
            for inside in next - 2..next {
                if let Some(three) = bytes.get(inside..inside + COPY_MIN) {
                    self.table[slot(three, bits)] = inside as u32 + 1;
                }
            }
            (at, literal) = (next, next);
        }
        put_literal(&bytes[literal..], out);
        (out.len() < end).then_some(())
    }
}

fn slot(three: &[u8], bits: u32) -> usize {
    let key = u32::from_le_bytes([three[0], three[1], three[2], 0]);
    // Fibonacci hashing: the upper bits of the product depend on all of the key.
    (key.wrapping_mul(0x9e37_79b1) >> (32 - bits)) as usize
}

/// How many bytes two slices begin with alike, up to what one piece can copy.
fn common(earlier: &[u8], later: &[u8]) -> usize {
    let len = later.len().min(COPY_MAX);
    let (earlier, later) = (&earlier[..len], &later[..len]);
    let words = earlier.as_chunks::<8>().0.iter().zip(later.as_chunks::<8>().0);
    let same = words.take_while(|(a, b)| a == b).count() * 8;
    same + earlier[same..].iter().zip(&later[same..]).take_while(|(a, b)| a == b).count()
}

fn put_literal(bytes: &[u8], out: &mut Vec<u8>) {
    for piece in bytes.chunks(LITERAL_MAX) {
        out.push(piece.len() as u8 - 1);
        out.extend_from_slice(piece);
    }
}

fn put_copy(count: usize, distance: usize, out: &mut Vec<u8>) {
    let (count, distance) = (count - 2, distance - 1);
    let high = (distance >> 8) as u8;
    if count < 7 {
        out.push((count as u8) << 5 | high);
    } else {
        out.extend([7 << 5 | high, (count - 7) as u8]);
    }
    out.push(distance as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut out = b"before".to_vec();
        assert!(Compressor::default().compress(bytes, usize::MAX / 2, &mut out));
        out.split_off(6)
    }

    #[test]
    fn what_is_packed_unpacks() {
        let mut rng = fastrand::Rng::with_seed(5);
        let mut compressor = Compressor::default();
        for round in 0..3000 {
            let alphabet = [2, 4, 20, 256][round % 4];
            let len = rng.usize(..if round % 100 == 0 { 60_000 } else { 600 });
            let mut bytes: Vec<u8> = (0..len).map(|_| rng.usize(..alphabet) as u8).collect();
            if len > 10 {
                // Repeated stretches, near and far.
                let (from, count) = (rng.usize(..len / 2), rng.usize(..len / 2));
                bytes.extend_from_within(from..from + count);
            }
            let mut out = Vec::new();
            assert!(compressor.compress(&bytes, usize::MAX / 2, &mut out));
            assert_eq!(decompress(&out, bytes.len()).as_deref(), Some(&*bytes));
            assert_eq!(decompress(&out, bytes.len() + 1), None);
            assert!(bytes.is_empty() || decompress(&out, bytes.len() - 1).is_none());
            let limit = rng.usize(..=bytes.len());
            let mut limited = Vec::new();
            assert_eq!(compressor.compress(&bytes, limit, &mut limited), out.len() < limit);
            assert!(limited.is_empty() || limited == out);
        }
    }

    #[test]
    fn zeroes_pack_well() {
        assert_eq!(packed(&[0; 100]), [0, 0, 0xe0, 90, 0]);
        assert!(packed(&[0; 100_000]).len() < 1200);
    }

    #[test]
    fn hostile_bytes_are_refused() {
        let refused = |packed: &[u8], len| assert_eq!(decompress(packed, len), None, "{packed:?}");
        refused(&[5, 1, 2], 6);
        refused(&[0x20], 3);
        refused(&[0x20, 0], 3);
        refused(&[0xe0, 0xff], 264);
        refused(&[0, 1, 0x20, 1], 4);
        refused(&[0, 1, 0x20, 0], usize::MAX);
        refused(&[], 1);
        assert_eq!(decompress(&[0, 1, 0x20, 0], 4), Some(vec![1; 4]));
    }
}
