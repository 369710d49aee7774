//! The differential tester: the same sequences go to a reference server and to the one under test.
//!
//! Replies are compared byte for byte but for a table of exceptions (`compare.rs`); after each sequence the keyspaces
//! are compared (`state.rs`). Sequences are written (`sequences/*.txt`, syntax in `steps.rs`) or random, from the
//! reference's own grammar (`random.rs`). A difference is made small (`minimise.rs`) and printed so that it can be
//! pasted into a file of sequences. `campaign.rs` runs all of it under two conditions: the default limits, and limits
//! turned down so that the general forms of every type are met.

mod campaign;
mod compare;
mod deliberate;
mod handling;
mod lane;
mod minimise;
mod pair;
mod random;
mod report;
mod state;
mod steps;

pub use campaign::{Campaign, Condition, DEFAULT_LIMITS, SMALL_LIMITS, Settings};
pub use compare::{Rule, rule, same};
pub use handling::{MOSTLY_REFUSED, NEVER_RANDOM, never_random};
pub use lane::{Answer, Fault, Lane};
pub use minimise::minimise;
pub use pair::{Difference, Outcome, Pair};
pub use random::sequence;
pub use report::{Finding, Report};
pub use steps::{Sequence, Step, parse};
