//! How often each error was answered, by its code.
//!
//! A code is counted under a shared lock once it is known, so workers that answer the same errors do not wait for each
//! other. Scripts can make up codes, so their number is limited: beyond [`CODES_MAX`], Redis forgets them all, says so
//! under a code of its own, and counts nothing more until CONFIG RESETSTAT.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::RwLock;

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
    /// Counts an error; `warn` writes to the log if that was one too many.
    pub fn add(&self, code: &str, warn: impl Fn(&str)) {
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
            warn(&format!(
                "Errorstats stopped adding new errors: there are {CODES_MAX} different ones, which may come from scripts \
                 that make them up. CONFIG RESETSTAT makes them count again."
            ));
            warn(&format!("Current errors code list: {}", codes.join(", ")));
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
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn too_many_codes_stop_the_counting_until_it_is_reset() {
        let lines = RefCell::new(Vec::new());
        let warn = |line: &str| lines.borrow_mut().push(line.to_owned());
        let counts = ErrorCounts::default();
        (0..CODES_MAX).for_each(|code| counts.add(&format!("CODE{code}"), warn));
        counts.add("CODE7", warn);
        assert_eq!(counts.all().len(), CODES_MAX);
        assert!(counts.all().contains(&("CODE7".into(), 2)));
        counts.add("ONE_TOO_MANY", warn);
        counts.add("CODE7", warn);
        assert_eq!(counts.all(), [(DISABLED.into(), 1)]);
        assert_eq!(lines.borrow().len(), 2);
        assert!(lines.borrow()[1].starts_with("Current errors code list: CODE0, CODE1, CODE10, "));
        counts.reset();
        counts.add("ERR", warn);
        assert_eq!(counts.all(), [("ERR".into(), 1)]);
    }
}
