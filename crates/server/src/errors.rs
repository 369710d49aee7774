//! How often each error was answered, by its code.
//!
//! A code is counted under a shared lock once it is known, so workers that answer the same errors do not wait for each
//! other. Scripts can make up codes, so their number is limited: beyond [`CODES_MAX`], Redis forgets them all, says so
//! under a code of its own, and counts nothing more until CONFIG RESETSTAT.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::RwLock;

use crate::log::Log;

/// Different codes at most.
const CODES_MAX: usize = 128;
/// The code that says that counting has stopped.
const DISABLED: &str = "ERRORSTATS_DISABLED";

/// See the file's head.
#[derive(Default)]
pub struct ErrorCounts(RwLock<Counts>);

#[derive(Default)]
struct Counts {
    codes: BTreeMap<Box<str>, AtomicU64>,
    stopped: bool,
}

impl ErrorCounts {
    /// Counts an error; the log is told if that was one too many.
    pub fn add(&self, code: &str, log: &Log) {
        {
            let counts = self.0.read();
            if counts.stopped {
                return;
            }
            if let Some(count) = counts.codes.get(code) {
                count.fetch_add(1, Relaxed);
                return;
            }
        }
        let mut counts = self.0.write();
        if counts.stopped {
            return;
        }
        if counts.codes.len() >= CODES_MAX && !counts.codes.contains_key(code) {
            let codes: Vec<&str> = counts.codes.keys().map(AsRef::as_ref).collect();
            log.warning(&format!(
                "Errorstats stopped adding new errors: there are {CODES_MAX} different ones, which may come from scripts \
                 that make them up. CONFIG RESETSTAT makes them count again."
            ));
            log.warning(&format!("Current errors code list: {}", codes.join(", ")));
            counts.codes = BTreeMap::from([(DISABLED.into(), AtomicU64::new(1))]);
            counts.stopped = true;
            return;
        }
        counts.codes.entry(code.into()).or_default().fetch_add(1, Relaxed);
    }

    /// All codes in their order, and how often each was answered.
    pub fn all(&self) -> Vec<(String, u64)> {
        self.0.read().codes.iter().map(|(code, count)| (code.to_string(), count.load(Relaxed))).collect()
    }

    /// Forgets everything.
    pub fn reset(&self) {
        *self.0.write() = Counts::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Level;

    #[test]
    fn too_many_codes_stop_the_counting_until_it_is_reset() {
        let log = Log::new(Level::Nothing, None);
        let counts = ErrorCounts::default();
        (0..CODES_MAX).for_each(|code| counts.add(&format!("CODE{code}"), &log));
        counts.add("CODE7", &log);
        assert_eq!(counts.all().len(), CODES_MAX);
        assert!(counts.all().contains(&("CODE7".into(), 2)));
        counts.add("ONE_TOO_MANY", &log);
        counts.add("CODE7", &log);
        assert_eq!(counts.all(), [(DISABLED.into(), 1)]);
        counts.reset();
        counts.add("ERR", &log);
        assert_eq!(counts.all(), [("ERR".into(), 1)]);
    }
}
