//! Which register an element belongs to, and to what value it raises it.
//!
//! The hash is MurmurHash64A by Austin Appleby with Redis's seed: another one, and the sketches of the two servers could
//! not be merged.

/// Number of registers.
pub(super) const REGISTERS: usize = 1 << 14;

/// A register and a value for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which register.
    pub(super) index: usize,
    /// At least 1.
    pub(super) value: u8,
}

/// Bits of the hash that choose the register.
const INDEX_BITS: u32 = REGISTERS.trailing_zeros();
/// Bits of the hash that are looked at for the first set one.
const VALUE_BITS: u32 = 64 - INDEX_BITS;

/// The place of an element: the low bits of its hash are the register, and the value is the position, from 1, of the
/// lowest set bit of the rest.
pub(super) fn place(element: &[u8]) -> Place {
    let hash = murmur64a(element);
    let rest = hash >> INDEX_BITS | 1 << VALUE_BITS;
    Place { index: hash as usize % REGISTERS, value: rest.trailing_zeros() as u8 + 1 }
}

fn murmur64a(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0xadc8_3b19;
    const MULTIPLIER: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;

    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        let mut mixed = u64::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        mixed ^= mixed >> SHIFT;
        hash = (hash ^ mixed.wrapping_mul(MULTIPLIER)).wrapping_mul(MULTIPLIER);
    }
    if !tail.is_empty() {
        let mut word = [0; 8];
        word[..tail.len()].copy_from_slice(tail);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> SHIFT;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ hash >> SHIFT
}
