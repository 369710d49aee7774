//! Drawing a few entries at random, for eviction.
//!
//! A draw is a walk in hash order from a random place on until enough entries are found. Neighbours in hash order have
//! nothing else in common, so they are as good as entries drawn one by one, and they cost one lock and one or two buckets
//! together. Where keys are few, the walk goes on over several stripes; so a key behind a long gap is not drawn much more
//! often than others, as it would be if each were drawn alone.
//!
//! Keys with an expiry have no table of their own. The bounds of the next expiry tell which stripes have any; inside,
//! the walk looks at the entries. Where they are rare that is up to a stripe's length for each, hence [`LOOKS_MAX`].

use fastrand::Rng;
use smallvec::SmallVec;

use crate::entry::Entry;
use crate::gate::Section;
use crate::keyspace::Keyspace;

/// A draw that has found anything ends after so many looks.
const LOOKS_MAX: usize = 512;

impl Keyspace {
    /// Shows `count` entries of a database to `visit`, drawn at random; with `volatile`, of those with an expiry. They are
    /// fewer when there are no more, or when they are too rare; one may be shown twice when there are hardly more. Returns
    /// how many were shown.
    pub fn sample(
        &self,
        section: &Section<'_>,
        db: u32,
        rng: &mut Rng,
        count: usize,
        volatile: bool,
        mut visit: impl FnMut(&Entry),
    ) -> usize {
        let Some(database) = self.database(section, db) else { return 0 };
        let start = rng.u64(..);
        let first = database.stripe_of(start);
        let (mut next, mut wrapped) = (first, false);
        let (mut seen, mut looked) = (0, 0);
        loop {
            let found = if volatile { database.next_volatile(next) } else { database.next_occupied(next) };
            let stripe = match found {
                Some(stripe) if !wrapped || stripe <= first => stripe,
                None if !wrapped => {
                    (next, wrapped) = (0, true);
                    continue;
                }
                _ => return seen,
            };
            database.stripe(stripe).read(|inner| {
                if volatile && inner.volatile == 0 {
                    return;
                }
                let position = if stripe == first && !wrapped { start << database.bits() } else { 0 };
                let mut within = Some(position);
                while let Some(here) = within
                    && seen < count
                    && (seen == 0 || looked < LOOKS_MAX)
                {
                    let mut bucket = SmallVec::<[&Entry; 16]>::new();
                    within = inner.table.scan_bucket(here, |entry| {
                        entry.prefetch();
                        bucket.push(entry);
                    });
                    looked += bucket.len();
                    if volatile {
                        bucket.retain(|entry| entry.expiry().is_some());
                    }
                    // Any of a bucket's entries, not always its first: the last would never be seen.
                    let from = if bucket.len() > count - seen { rng.usize(0..bucket.len()) } else { 0 };
                    let wanted = bucket.len().min(count - seen);
                    (0..wanted).for_each(|at| visit(bucket[(from + at) % bucket.len()]));
                    seen += wanted;
                }
            });
            if seen >= count || (seen > 0 && looked >= LOOKS_MAX) {
                return seen;
            }
            next = stripe + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::guard::Key;
    use crate::stripe::Mode;

    fn keyspace(keys: usize, stripes: usize, expiry: impl Fn(usize) -> Option<i64>) -> Keyspace {
        let keyspace = Keyspace::new(1, stripes);
        let section = keyspace.gate().enter();
        for n in 0..keys {
            let key = n.to_string();
            let hash = Key::new(key.as_bytes()).hash;
            let mut guard = keyspace.lock_one(&section, 0, hash, Mode::Exclusive);
            guard.insert(0, hash, Entry::string(key.as_bytes(), b"v", expiry(n)));
        }
        drop(section);
        keyspace
    }

    fn draws(keyspace: &Keyspace, draws: usize, count: usize, volatile: bool) -> BTreeMap<Vec<u8>, usize> {
        let section = keyspace.gate().enter();
        let (mut rng, mut seen) = (Rng::with_seed(1), BTreeMap::new());
        for _ in 0..draws {
            let found = keyspace.sample(&section, 0, &mut rng, count, volatile, |entry| {
                *seen.entry(entry.key().to_vec()).or_default() += 1;
            });
            assert!(found <= count);
        }
        seen
    }

    #[test]
    fn every_entry_is_drawn_about_as_often() {
        for (keys, stripes, count) in [(5000, 16, 5), (5000, 16, 1), (5000, 1, 3), (300, 4096, 5)] {
            let per_key = 50;
            let seen = draws(&keyspace(keys, stripes, |_| None), keys * per_key / count, count, false);
            assert_eq!(seen.len(), keys, "{keys} keys, {stripes} stripes: none may be out of reach");
            let total: usize = seen.values().sum();
            assert_eq!(total, keys * per_key / count * count);
            // Those in the emptiest buckets, or behind the longest gaps, are drawn more often than the others.
            let often = seen.values().filter(|&&times| times > 5 * per_key).count();
            let rarely = seen.values().filter(|&&times| times < per_key / 5).count();
            assert!(often < keys / 50 && rarely < keys / 20, "{keys} keys, {stripes} stripes: {often}, {rarely}");
        }
    }

    #[test]
    fn only_keys_with_an_expiry_are_drawn_if_asked_for() {
        for (keys, stripes, each) in [(5000, 16, 3), (5000, 16, 5000), (5000, 4096, 1000), (100, 4096, 100), (50, 1, 9)]
        {
            let expiry = |n: usize| n.is_multiple_of(each).then_some(n as i64);
            let seen = draws(&keyspace(keys, stripes, expiry), keys.div_ceil(each) * 8 + 20, 5, true);
            let is_volatile = |key: &Vec<u8>| String::from_utf8_lossy(key).parse::<usize>().unwrap() % each == 0;
            assert!(seen.keys().all(is_volatile));
            assert_eq!(seen.len(), keys.div_ceil(each));
        }
        assert!(draws(&keyspace(1000, 16, |_| None), 10, 5, true).is_empty());
        assert!(draws(&keyspace(0, 16, |_| None), 10, 5, false).is_empty());
    }

    #[test]
    fn a_draw_goes_round_when_there_are_few() {
        for stripes in [1, 16, 4096] {
            let keyspace = keyspace(7, stripes, |_| None);
            let section = keyspace.gate().enter();
            let mut rng = Rng::with_seed(1);
            for _ in 0..200 {
                let mut seen = Vec::new();
                keyspace.sample(&section, 0, &mut rng, 7, false, |entry| seen.push(entry.key().to_vec()));
                seen.sort();
                // The bucket of the start may be met again when the walk comes round to it.
                seen.dedup();
                assert!(seen.len() >= 4, "{seen:?}");
            }
        }
    }
}
