//! Strings as arrays of bits: bit 0 is the highest bit of the first byte.
//!
//! The loops go over 64-bit words or over whole slices in step, which compilers turn into vector instructions; what is
//! left at the ends is masked.

/// How many bits are set.
pub(super) fn count(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words: u64 = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    words + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// How many bits are set between two bits, both included.
///
/// # Panics
/// If `first` is above `last`, or `last` is not in `bytes`.
pub(super) fn count_between(bytes: &[u8], first: usize, last: usize) -> u64 {
    assert!(first <= last, "an empty range of bits is not counted");
    let bytes = &bytes[first / 8..=last / 8];
    let before = bytes[0] & !(0xff >> (first % 8));
    let after = bytes[bytes.len() - 1] & !(0xff << (7 - last % 8)) as u8;
    count(bytes) - u64::from(before.count_ones()) - u64::from(after.count_ones())
}

/// The first bit of this value between two bits, both included.
///
/// # Panics
/// If `first` is above `last`, or `last` is not in `bytes`.
pub(super) fn find(bytes: &[u8], bit: bool, first: usize, last: usize) -> Option<usize> {
    assert!(first <= last, "nothing is looked for in an empty range of bits");
    // Bytes without a bit of the value; where a byte differs, the highest different bit is the one.
    let without = if bit { 0u8 } else { 0xff };
    let head = (bytes[first / 8] ^ without) & (0xff >> (first % 8));
    let (at, differing) = if head != 0 {
        (first / 8, head)
    } else {
        let start = first / 8 + 1;
        let rest = &bytes[start..=last / 8];
        let (words, _) = rest.as_chunks::<8>();
        let same = words.iter().take_while(|word| **word == [without; 8]).count() * 8;
        let at = start + same + rest[same..].iter().position(|byte| *byte != without)?;
        (at, bytes[at] ^ without)
    };
    Some(at * 8 + differing.leading_zeros() as usize).filter(|found| *found <= last)
}

/// What BITOP does with its sources; `X` is the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    And,
    Or,
    Xor,
    Not,
    /// In X and in none of the others.
    Diff,
    /// In one of the others and not in X.
    Diff1,
    /// In X and in one of the others.
    AndOr,
    /// In exactly one.
    One,
}

/// The result of an [`Operation`] on the sources so far. Shorter sources count as filled up with zeroes.
pub(super) struct Combination {
    operation: Operation,
    sources: usize,
    /// What all sources make together; for the operations that treat X apart, what the others have in one of them.
    bits: Vec<u8>,
    /// X where it is apart; bits that more than one source has, for `One`.
    second: Vec<u8>,
}

impl Combination {
    pub(super) fn new(operation: Operation) -> Self {
        Self { operation, sources: 0, bits: Vec::new(), second: Vec::new() }
    }

    /// Takes the next source into account.
    pub(super) fn add(&mut self, source: &[u8]) {
        use Operation::{And, AndOr, Diff, Diff1, Not, One, Or, Xor};
        let is_first = self.sources == 0;
        self.sources += 1;
        if is_first && matches!(self.operation, Diff | Diff1 | AndOr) {
            self.second = source.to_vec();
            return;
        }
        grow(&mut self.bits, source.len());
        match self.operation {
            And if !is_first => {
                apply(&mut self.bits, source, |bits, source| bits & source);
                self.bits[source.len()..].fill(0);
            }
            Xor => apply(&mut self.bits, source, |bits, source| bits ^ source),
            One => {
                grow(&mut self.second, source.len());
                for ((bits, twice), source) in self.bits.iter_mut().zip(&mut self.second).zip(source) {
                    *twice |= *bits & source;
                    *bits |= source;
                }
            }
            And | Or | Not | Diff | Diff1 | AndOr => apply(&mut self.bits, source, |bits, source| bits | source),
        }
    }

    /// The result, as long as the longest source.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let len = self.bits.len().max(self.second.len());
        grow(&mut self.bits, len);
        grow(&mut self.second, len);
        match self.operation {
            Operation::Not => self.bits.iter_mut().for_each(|bits| *bits = !*bits),
            Operation::Diff => apply(&mut self.bits, &self.second, |others, x| x & !others),
            Operation::Diff1 => apply(&mut self.bits, &self.second, |others, x| others & !x),
            Operation::AndOr => apply(&mut self.bits, &self.second, |others, x| others & x),
            Operation::One => apply(&mut self.bits, &self.second, |bits, twice| bits & !twice),
            Operation::And | Operation::Or | Operation::Xor => {}
        }
        self.bits
    }
}

fn grow(bits: &mut Vec<u8>, len: usize) {
    if bits.len() < len {
        bits.resize(len, 0);
    }
}

fn apply(bits: &mut [u8], source: &[u8], operation: impl Fn(u8, u8) -> u8) {
    bits.iter_mut().zip(source).for_each(|(bits, source)| *bits = operation(*bits, *source));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bit(bytes: &[u8], at: usize) -> bool {
        bytes.get(at / 8).is_some_and(|byte| byte & (0x80 >> (at % 8)) != 0)
    }

    fn random_bytes(rng: &mut fastrand::Rng, len: usize) -> Vec<u8> {
        // Long runs of one value are what the word loops are about.
        let fill = [0, 0xff, rng.u8(..)][rng.usize(..3)];
        (0..len).map(|_| if rng.u8(..8) == 0 { rng.u8(..) } else { fill }).collect()
    }

    #[test]
    fn ranges_are_counted_and_searched_as_bit_by_bit() {
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..3000 {
            let len = rng.usize(1..60);
            let bytes = random_bytes(&mut rng, len);
            let first = rng.usize(..bytes.len() * 8);
            let last = rng.usize(first..bytes.len() * 8);
            let ones = (first..=last).filter(|at| bit(&bytes, *at)).count() as u64;
            assert_eq!(count_between(&bytes, first, last), ones);
            for wanted in [false, true] {
                let found = (first..=last).find(|at| bit(&bytes, *at) == wanted);
                assert_eq!(find(&bytes, wanted, first, last), found, "{wanted} {first}..={last} in {bytes:?}");
            }
        }
    }

    /// AND to NOT by the reference's results (the differential tests look at those); DIFF, DIFF1, ANDOR and ONE by the
    /// definitions of Redis 8.2's documentation of BITOP: X and not (Y1 or Y2 ...), not X and (Y1 or Y2 ...), X and
    /// (Y1 or Y2 ...), exactly one.
    #[test]
    fn operations_are_those_of_single_bits() {
        use Operation::{And, AndOr, Diff, Diff1, Not, One, Or, Xor};
        let mut rng = fastrand::Rng::with_seed(4);
        for round in 0..2000 {
            let operation = [And, Or, Xor, Not, Diff, Diff1, AndOr, One][round % 8];
            let count = if operation == Not { 1 } else { rng.usize(1..5) };
            let sources: Vec<_> = (0..count)
                .map(|_| {
                    let len = rng.usize(..20);
                    random_bytes(&mut rng, len)
                })
                .collect();
            let mut combination = Combination::new(operation);
            sources.iter().for_each(|source| combination.add(source));
            let result = combination.finish();
            assert_eq!(result.len(), sources.iter().map(Vec::len).max().unwrap_or(0));
            for at in 0..result.len() * 8 {
                let of = |source: &Vec<u8>| bit(source, at);
                let (x, others) = (of(&sources[0]), sources[1..].iter().any(of));
                let set = sources.iter().filter(|source| of(source)).count();
                let expected = match operation {
                    And => set == count,
                    Or => set > 0,
                    Xor => set % 2 == 1,
                    Not => set == 0,
                    Diff => x && !others,
                    Diff1 => !x && others,
                    AndOr => x && others,
                    One => set == 1,
                };
                assert_eq!(bit(&result, at), expected, "{operation:?} bit {at} of {sources:?}");
            }
        }
    }
}
