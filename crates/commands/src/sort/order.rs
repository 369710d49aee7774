//! In which order the elements come: their weights, and how two are compared.

use std::cmp::Ordering;
use std::ops::Range;

use store::value::Str;
use store::value::listpack::Item;

use super::until_nul;

/// Texts one behind the other, in one allocation.
#[derive(Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    /// Where each text ends.
    ends: Vec<usize>,
}

impl Texts {
    pub(super) fn with_capacity(len: usize) -> Self {
        Self { bytes: Vec::new(), ends: Vec::with_capacity(len) }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
    }

    pub(super) fn push_item(&mut self, item: Item<'_>) {
        item.write_to(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    pub(super) fn push_str(&mut self, text: Str<'_>) {
        self.push(&text.bytes());
    }

    pub(super) fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        (0..self.len()).map(|index| self.get(index))
    }
}

/// By what the elements are ordered. Weights have the elements' indexes.
pub(super) enum Weights {
    /// They stay as they came.
    AsTheyCame,
    /// By numbers; elements of the same weight by their bytes.
    Numbers(Vec<f64>),
    /// By their own bytes.
    Elements,
    /// By other texts, the missing ones first; elements of the same weight stay as they came.
    Texts {
        /// The texts; empty where there is none.
        texts: Texts,
        /// Whether there is one.
        present: Vec<bool>,
    },
}

/// How two elements are compared.
pub(super) struct Order<'a> {
    pub(super) elements: &'a Texts,
    pub(super) weights: &'a Weights,
    pub(super) descending: bool,
    /// Texts are compared by all their bytes, as for STORE; else up to their first NUL, which is what the C locale's
    /// collation sees.
    pub(super) binary: bool,
}

impl Order<'_> {
    /// The indexes of the elements that stand in `window` after sorting. Only as many are sorted as the window needs.
    pub(super) fn sorted(&self, window: Range<usize>) -> Vec<usize> {
        let mut indexes: Vec<usize> = (0..self.elements.len()).collect();
        // The index at last makes all elements distinct, so that no step needs to be stable.
        let compare = |a: &usize, b: &usize| self.compare(*a, *b).then(a.cmp(b));
        if !matches!(self.weights, Weights::AsTheyCame) {
            if window.end < indexes.len() {
                indexes.select_nth_unstable_by(window.end, compare);
            }
            indexes[..window.end].sort_unstable_by(compare);
        }
        indexes.truncate(window.end);
        indexes.drain(..window.start);
        indexes
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        let order = match self.weights {
            Weights::AsTheyCame => return Ordering::Equal,
            Weights::Numbers(numbers) => {
                let by_number = numbers[a].partial_cmp(&numbers[b]).expect("no weight is nan");
                by_number.then_with(|| self.elements.get(a).cmp(self.elements.get(b)))
            }
            Weights::Elements => self.compare_texts(self.elements.get(a), self.elements.get(b)),
            Weights::Texts { texts, present } => match (present[a], present[b]) {
                (true, true) => self.compare_texts(texts.get(a), texts.get(b)),
                (a, b) => a.cmp(&b),
            },
        };
        if self.descending { order.reverse() } else { order }
    }

    fn compare_texts(&self, a: &[u8], b: &[u8]) -> Ordering {
        if self.binary { a.cmp(b) } else { until_nul(a).cmp(until_nul(b)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every window of a sorted sequence is what sorting all of it and cutting gives.
    #[test]
    fn a_window_is_a_part_of_the_whole() {
        let mut rng = fastrand::Rng::with_seed(5);
        for len in 0..24 {
            let mut elements = Texts::default();
            let numbers = (0..len).map(|_| f64::from(rng.u8(0..4))).collect::<Vec<_>>();
            (0..len).for_each(|_| elements.push(&[rng.u8(b'a'..=b'c')]));
            let mut naive: Vec<usize> = (0..len).collect();
            naive
                .sort_by(|a, b| (numbers[*b], elements.get(*b)).partial_cmp(&(numbers[*a], elements.get(*a))).unwrap());
            let weights = Weights::Numbers(numbers);
            let order = Order { elements: &elements, weights: &weights, descending: true, binary: false };
            for start in 0..=len {
                for end in start..=len {
                    assert_eq!(order.sorted(start..end), naive[start..end], "{start}..{end} of {len}");
                }
            }
        }
    }

    #[test]
    fn missing_texts_come_first_and_collation_ends_at_a_nul() {
        let mut elements = Texts::default();
        [b"a", b"b", b"c", b"d"].iter().for_each(|element| elements.push(*element));
        let mut texts = Texts::default();
        [&b"x\0z"[..], b"", b"x\0y", b""].iter().for_each(|text| texts.push(text));
        let weights = Weights::Texts { texts, present: vec![true, false, true, true] };
        let mut order = Order { elements: &elements, weights: &weights, descending: false, binary: false };
        assert_eq!(order.sorted(0..4), [1, 3, 0, 2]);
        order.binary = true;
        assert_eq!(order.sorted(0..4), [1, 3, 2, 0]);
    }
}
