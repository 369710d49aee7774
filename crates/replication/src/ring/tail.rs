//! The tail's word: where the stream ends, and which database is selected there.
//!
//! The offset's low 48 bits stand in the upper part, the database in the lower 16. An offset grows for ever (and a replica
//! takes its primary's over), so 48 bits cannot hold it; but all offsets alive lie close together, so any of them tells
//! the missing bits: the nearest number with these low bits is meant.

/// No database: the next record that needs one carries a SELECT, whichever it is.
pub const NO_DB: u32 = u32::MAX;

const DATABASE_BITS: u32 = 16;
const OFFSET_BITS: u32 = 64 - DATABASE_BITS;
/// In the word: no database, or one whose index has no room. Records of such a one carry a SELECT each.
const UNKNOWN: u64 = (1 << DATABASE_BITS) - 1;

/// The word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tail(pub(super) u64);

impl Tail {
    pub(super) fn new(offset: u64, database: u32) -> Self {
        Self(offset << DATABASE_BITS | u64::from(database).min(UNKNOWN))
    }

    pub(super) fn with_database(self, database: u32) -> Self {
        Self(self.0 & !UNKNOWN | u64::from(database).min(UNKNOWN))
    }

    pub(super) fn database(self) -> u32 {
        match self.0 & UNKNOWN {
            UNKNOWN => NO_DB,
            known => known as u32,
        }
    }

    /// The offset, given another that is less than 2^47 away.
    pub(super) fn offset_near(self, base: u64) -> u64 {
        let low = self.0 >> DATABASE_BITS;
        // The difference of the low bits as a signed number of 48 bits.
        let difference = (low.wrapping_sub(base) << DATABASE_BITS) as i64 >> DATABASE_BITS;
        const { assert!(OFFSET_BITS == 48) };
        base.wrapping_add_signed(difference)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_completed_from_a_near_one() {
        let check = |offset: u64, base: u64| assert_eq!(Tail::new(offset, 3).offset_near(base), offset, "{base}");
        for base in [0, 1, 1 << 20, (1 << 48) - 1, 1 << 48, (1 << 48) + 7, 5 << 48, (1 << 63) - 1] {
            for distance in [0, 1, 1 << 20, 1 << 40, (1 << 47) - 1] {
                check(base + distance, base);
                if base >= distance {
                    check(base - distance, base);
                }
            }
        }
    }

    #[test]
    fn databases_without_room_are_unknown() {
        let database = |index| Tail::new(77, index).database();
        assert_eq!([0, 15, 65534].map(database), [0, 15, 65534]);
        assert_eq!([65535, 65536, 1 << 30, NO_DB].map(database), [NO_DB; 4]);
        let tail = Tail::new(1 << 50, 3).with_database(9);
        assert_eq!((tail.database(), tail.offset_near(1 << 50)), (9, 1 << 50));
    }
}
