//! How often something took how long, in buckets that grow with the value: the idea of HdrHistogram, without its code.
//!
//! Values below [`FINE`] have a bucket each. Above, every power of two is cut into [`FINE`]/2 buckets of equal width, so
//! a bucket is at most 1/16 as wide as its values: a percentile read from it is at most 6.25 % too high. One thread
//! records, with plain loads and stores; anybody may read.

use crate::stats::Tally;

/// Buckets that are one nanosecond wide.
const FINE: usize = 32;
const FINE_BITS: u32 = FINE.trailing_zeros();
/// log2 of the first value that is too large to be told from larger ones: about 73 minutes, in nanoseconds.
const VALUE_BITS: u32 = 42;
const BUCKETS: usize = FINE + (VALUE_BITS - FINE_BITS) as usize * FINE / 2;

/// See the file's head. Values are in nanoseconds.
pub struct Histogram([Tally; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Tally::default()))
    }
}

impl Histogram {
    /// Counts a value; only the owning thread may.
    #[inline]
    pub fn record(&self, nanos: u64) {
        self.0[bucket(nanos)].add(1);
    }

    /// Sets all counts to 0.
    pub fn reset(&self) {
        self.0.iter().for_each(|count| count.set(0));
    }
}

/// The counts of several histograms together.
pub struct Sum(Vec<u64>);

impl Sum {
    /// Adds histograms up.
    pub fn of<'h>(histograms: impl IntoIterator<Item = &'h Histogram>) -> Self {
        let mut counts = vec![0; BUCKETS];
        for histogram in histograms {
            counts.iter_mut().zip(&histogram.0).for_each(|(sum, count)| *sum += count.get());
        }
        Self(counts)
    }

    /// Number of values.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The value that so many percent of all values do not exceed, but for the width of its bucket; 0 if there is none.
    pub fn percentile(&self, percent: f64) -> u64 {
        let total = self.total();
        let wanted = ((percent.clamp(0.0, 100.0) / 100.0 * total as f64).round() as u64).max(1);
        let mut seen = 0;
        let reaches = |count: &u64| {
            seen += count;
            seen >= wanted
        };
        self.0.iter().position(reaches).map_or(0, highest)
    }

    /// The occupied buckets: the highest value of each, and how many values are in it.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().enumerate().filter(|(_, count)| **count > 0).map(|(index, count)| (highest(index), *count))
    }
}

#[inline]
fn bucket(nanos: u64) -> usize {
    if nanos < FINE as u64 {
        return nanos as usize;
    }
    let nanos = nanos.min((1 << VALUE_BITS) - 1);
    let power = nanos.ilog2() - FINE_BITS;
    // The highest five bits, of which the first is always set.
    let within = (nanos >> (power + 1)) as usize - FINE / 2;
    FINE + power as usize * FINE / 2 + within
}

/// The highest value of a bucket.
fn highest(bucket: usize) -> u64 {
    if bucket < FINE {
        return bucket as u64;
    }
    let (power, within) = ((bucket - FINE) / (FINE / 2), (bucket - FINE) % (FINE / 2));
    (((within + FINE / 2 + 1) as u64) << (power + 1)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bucket_that_fits_it() {
        let mut last = 0;
        for power in 0..VALUE_BITS {
            for value in [(1_u64 << power) - 1, 1 << power, (1 << power) + (1 << power) / 3] {
                let bucket = bucket(value);
                let top = highest(bucket);
                assert!(top >= value && top <= value + value / 16, "{value} is in a bucket up to {top}");
                assert!(bucket == 0 || highest(bucket - 1) < value, "{value} belongs into a lower bucket");
                last = last.max(bucket);
            }
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert!(last < BUCKETS);
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_values() {
        let (a, b) = (Histogram::default(), Histogram::default());
        (1..=500).for_each(|value| a.record(value * 1000));
        (501..=1000).for_each(|value| b.record(value * 1000));
        let sum = Sum::of([&a, &b]);
        assert_eq!(sum.total(), 1000);
        for (percent, exact) in [(0.0, 1_000), (50.0, 500_000), (99.0, 990_000), (99.9, 999_000), (100.0, 1_000_000)] {
            let read = sum.percentile(percent);
            assert!((exact..=exact + exact / 16).contains(&read), "p{percent} is {read}, not {exact}");
        }
        a.reset();
        assert_eq!(Sum::of([&a]).total(), 0);
        assert_eq!(Sum::of([&a]).percentile(50.0), 0);
    }
}
