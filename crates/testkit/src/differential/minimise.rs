//! Makes a failing sequence small: delta debugging (Zeller and Hildebrandt 2002) over its steps, then over the words of
//! each command.

use std::io;
use std::time::{Duration, Instant};

use super::lane;
use super::pair::{Difference, Pair};
use super::steps::{Sequence, Step};
use crate::client::Protocol;

/// How many times a sequence may be run again to make it smaller.
const RUNS_MAX: usize = 400;
/// How long that may take: a server that does not answer costs seconds each time.
const TIME_MAX: Duration = Duration::from_secs(20);
/// How long a reply may take meanwhile: much that is left out makes one that is waited for never come.
const REPLY_MAX: Duration = Duration::from_secs(1);

/// A smaller sequence with a difference of the same signature, and that difference. None if the difference does not
/// come back when the sequence is run again as it is.
///
/// # Errors
/// When a server cannot be reached.
pub fn minimise(
    pair: &mut Pair<'_>,
    sequence: &Sequence,
    protocol: Protocol,
    difference: &Difference,
) -> io::Result<Option<(Sequence, Difference)>> {
    let mut search = Search { pair, protocol, signature: &difference.signature, runs: 0, begin: Instant::now() };
    let Some(found) = search.fails(sequence)? else { return Ok(None) };
    search.pair.set_patience(REPLY_MAX);
    let mut best = (sequence.clone(), found);
    if best.1.step + 1 < best.0.steps.len() {
        best.0.steps.truncate(best.1.step + 1);
    }
    search.drop_steps(&mut best)?;
    search.drop_words(&mut best)?;
    search.drop_steps(&mut best)?;
    search.pair.set_patience(lane::REPLY_MAX);
    Ok(Some(best))
}

struct Search<'p, 's, 'd> {
    pair: &'p mut Pair<'s>,
    protocol: Protocol,
    signature: &'d str,
    runs: usize,
    begin: Instant,
}

impl Search<'_, '_, '_> {
    fn fails(&mut self, sequence: &Sequence) -> io::Result<Option<Difference>> {
        self.runs += 1;
        let difference = self.pair.run(sequence, self.protocol)?.difference;
        Ok(difference.filter(|difference| difference.signature == self.signature))
    }

    fn may_go_on(&self) -> bool {
        self.runs < RUNS_MAX && self.begin.elapsed() < TIME_MAX
    }

    /// Leaves out ever smaller pieces as long as the difference stays.
    fn drop_steps(&mut self, best: &mut (Sequence, Difference)) -> io::Result<()> {
        let mut piece = best.0.steps.len().div_ceil(2);
        while piece > 0 {
            let mut from = 0;
            while from < best.0.steps.len() && self.may_go_on() {
                let mut smaller = best.0.clone();
                smaller.steps.drain(from..(from + piece).min(smaller.steps.len()));
                match self.fails(&smaller)? {
                    Some(difference) => *best = (smaller, difference),
                    None => from += piece,
                }
            }
            piece = if piece == 1 { 0 } else { piece.div_ceil(2) };
        }
        Ok(())
    }

    /// Leaves out single words of commands.
    fn drop_words(&mut self, best: &mut (Sequence, Difference)) -> io::Result<()> {
        for step in 0..best.0.steps.len() {
            let mut word = 1;
            while let Step::Call(_, words) = &best.0.steps[step]
                && word < words.len()
                && self.may_go_on()
            {
                let mut smaller = best.0.clone();
                if let Step::Call(_, words) = &mut smaller.steps[step] {
                    words.remove(word);
                }
                match self.fails(&smaller)? {
                    Some(difference) => *best = (smaller, difference),
                    None => word += 1,
                }
            }
        }
        Ok(())
    }
}
