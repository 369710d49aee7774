//! The one hash function of the process: keys and members alike.
//!
//! The seed is drawn once for each process, so that nobody outside can prepare keys that collide. `foldhash`'s quality
//! variant mixes every input bit into every output bit, which the tables here need: they take the stripe from the
//! highest bits, the place inside a stripe from those below, and the tag from the lowest.

use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;

use foldhash::quality::RandomState;

static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// The hash of a key or member; the same bytes give the same hash for the life of the process, and no longer.
#[inline]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hasher = STATE.build_hasher();
    hasher.write(bytes);
    hasher.finish()
}
