//! `oom-score-adj`: how readily the kernel ends this process when memory runs out.

use std::fs;

use parking_lot::Mutex;

use crate::config::error::system_text;
use crate::config::{Config, keys};
use crate::log::Log;

const FILE: &str = "/proc/self/oom_score_adj";
const RANGE: std::ops::RangeInclusive<i32> = -1000..=1000;

/// What the score was before we touched it; `None` while it is untouched.
#[derive(Default)]
pub struct OomScore(Mutex<Option<i32>>);

impl OomScore {
    /// Sets the score that the configuration asks for, or the one from before.
    ///
    /// # Errors
    /// The text for CONFIG SET; the log has the reason.
    pub fn set(&self, config: &Config, log: &Log) -> Result<(), String> {
        let mut base = self.0.lock();
        let written = match config.get(keys::OOM_SCORE_ADJ) {
            "no" => base.take().map_or(Ok(()), write),
            how => {
                let before = *base.get_or_insert_with(read);
                let [primary, replica, _] = config.get(keys::OOM_SCORE_ADJ_VALUES);
                let value = if config.get(keys::REPLICAOF).is_some() { replica } else { primary };
                write(if how == "absolute" { value } else { before.saturating_add(value) })
            }
        };
        written.map_err(|error| {
            log.warning(&format!("Unable to write oom_score_adj: {}", system_text(&error)));
            "Failed to set current oom_score_adj. Check server logs.".into()
        })
    }
}

/// A machine without such scores counts as one where it is 0; writing will tell.
fn read() -> i32 {
    fs::read_to_string(FILE).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn write(score: i32) -> std::io::Result<()> {
    fs::write(FILE, format!("{}\n", score.clamp(*RANGE.start(), *RANGE.end())))
}
