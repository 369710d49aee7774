//! Is a recorded history of a register linearizable?
//!
//! A history is a set of operations, each with the moments of its call and of its return. It is linearizable if every
//! operation can be given one instant between the two so that, in the order of these instants, a plain variable would
//! have returned the same values. A property of all registers is a property of each (Herlihy and Wing 1990, locality),
//! so each register's history is checked alone.
//!
//! The search is that of Wing and Gong (1993): the first operation of a valid order must have been called before any
//! other returned; try each such candidate, undo it when it leads nowhere. With Lowe's addition (2017), pairs of (set
//! of placed operations, value) that were seen to fail are not tried again. Operations are sorted by their call, so a
//! set of placed ones is a full prefix and a few beyond it, as many as there were clients.

use std::collections::HashSet;

/// The value of a register; None means that the key does not exist.
pub type Value = Option<u64>;

/// What one operation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It saw this value.
    Read(Value),
    /// It set this value.
    Write(Value),
    /// It set the second value and was told that the first stood there before (GETSET).
    Swap(Value, Value),
    /// It would have set this value, but the outcome is unknown (connection lost): it may have happened, or not.
    MaybeWrite(Value),
}

/// One operation of a history. Times are of one clock for all clients, in any unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Taken before the request was sent.
    pub called: u64,
    /// Taken after the reply was read.
    pub returned: u64,
    /// What it did.
    pub action: Action,
}

/// Checks the history of one register that held `first` before it. Returns an order of the operations (indices into
/// `history`) that explains every reply, or None when there is none.
#[must_use]
pub fn linearize(first: Value, history: &[Operation]) -> Option<Vec<usize>> {
    let mut by_call: Vec<usize> = (0..history.len()).collect();
    by_call.sort_by_key(|&index| history[index].called);
    let operations: Vec<Operation> = by_call.iter().map(|&index| history[index]).collect();
    let order = search(first, &operations)?;
    Some(order.into_iter().map(|place| by_call[place]).collect())
}

/// Which operations are placed: all before `prefix`, and those in `beyond` (ascending, each above `prefix`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Placed {
    prefix: usize,
    beyond: Vec<usize>,
    value: Value,
}

impl Placed {
    fn with(&self, index: usize, value: Value) -> Self {
        let mut next = Self { prefix: self.prefix, beyond: self.beyond.clone(), value };
        if let Err(place) = next.beyond.binary_search(&index) {
            next.beyond.insert(place, index);
        }
        let run = next.beyond.iter().enumerate().take_while(|&(i, &placed)| placed == next.prefix + i).count();
        next.beyond.drain(..run);
        next.prefix += run;
        next
    }

    /// The operations that may come next: not placed, and called before any other that is not placed returned.
    fn candidates(&self, operations: &[Operation]) -> Vec<usize> {
        let mut first_return = u64::MAX;
        let mut candidates = Vec::new();
        for (index, operation) in operations.iter().enumerate().skip(self.prefix) {
            if operation.called > first_return {
                break;
            }
            if self.beyond.binary_search(&index).is_err() {
                first_return = first_return.min(operation.returned);
                candidates.push(index);
            }
        }
        candidates
    }
}

/// One level of the search: a state, and the steps from it that are still to be tried.
struct Level {
    placed: Placed,
    steps: Vec<(usize, Value)>,
}

fn search(first: Value, operations: &[Operation]) -> Option<Vec<usize>> {
    let start = Placed { prefix: 0, beyond: Vec::new(), value: first };
    let mut seen = HashSet::from([start.clone()]);
    let mut order = Vec::new();
    let mut levels = vec![Level { steps: steps(&start, operations), placed: start }];
    while let Some(level) = levels.last_mut() {
        if level.placed.prefix == operations.len() {
            return Some(order);
        }
        let Some((index, value)) = level.steps.pop() else {
            levels.pop();
            order.pop();
            continue;
        };
        let placed = level.placed.with(index, value);
        if seen.insert(placed.clone()) {
            order.push(index);
            levels.push(Level { steps: steps(&placed, operations), placed });
        }
    }
    None
}

/// Every candidate with the value that it would leave, as far as its reply agrees with the value it would meet.
fn steps(placed: &Placed, operations: &[Operation]) -> Vec<(usize, Value)> {
    let mut steps = Vec::new();
    // The last one is tried first: reads that fit cost nothing, so they are put last.
    for index in placed.candidates(operations) {
        match operations[index].action {
            Action::Write(value) => steps.push((index, value)),
            Action::Swap(before, after) if before == placed.value => steps.push((index, after)),
            Action::MaybeWrite(value) => steps.extend([(index, placed.value), (index, value)]),
            Action::Read(_) | Action::Swap(..) => {}
        }
    }
    for index in placed.candidates(operations) {
        if operations[index].action == Action::Read(placed.value) {
            steps.push((index, placed.value));
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(history: &[(u64, u64, Action)], expected: bool) {
        let operations: Vec<Operation> =
            history.iter().map(|&(called, returned, action)| Operation { called, returned, action }).collect();
        let order = linearize(None, &operations);
        assert_eq!(order.is_some(), expected, "{history:?}");
        if let Some(mut order) = order {
            order.sort_unstable();
            assert_eq!(order, (0..operations.len()).collect::<Vec<_>>(), "every operation has a place");
        }
    }

    use Action::{MaybeWrite, Read, Swap, Write};

    #[test]
    fn histories_that_a_variable_explains() {
        check(&[], true);
        check(&[(0, 1, Write(Some(1))), (2, 3, Read(Some(1)))], true);
        // A read that overlaps a write may see the old value or the new one.
        check(&[(0, 9, Write(Some(1))), (1, 2, Read(None)), (3, 4, Read(Some(1)))], true);
        check(&[(0, 5, Write(Some(1))), (0, 5, Write(Some(2))), (6, 7, Read(Some(1)))], true);
        check(&[(0, 5, Swap(None, Some(1))), (0, 5, Swap(Some(1), Some(2))), (6, 7, Read(Some(2)))], true);
        // A write without an answer may happen late, or never.
        check(&[(0, 99, MaybeWrite(Some(1))), (1, 2, Read(None)), (3, 4, Read(Some(1)))], true);
        check(&[(0, 99, MaybeWrite(Some(1))), (1, 2, Read(None)), (3, 4, Read(None))], true);
    }

    #[test]
    fn histories_that_no_variable_explains() {
        // A stale read after the write returned.
        check(&[(0, 1, Write(Some(1))), (2, 3, Read(None))], false);
        // The new value seen, and the old one after it, though the write is still under way.
        check(&[(0, 9, Write(Some(1))), (1, 2, Read(Some(1))), (3, 4, Read(None))], false);
        // A lost update: two swaps were told the same predecessor.
        check(&[(0, 5, Swap(None, Some(1))), (0, 5, Swap(None, Some(2)))], false);
        // Two readers disagree about the order of two writes.
        check(&[(0, 1, Write(Some(1))), (0, 1, Write(Some(2))), (2, 3, Read(Some(1))), (4, 5, Read(Some(2)))], false);
        // A value that nobody wrote.
        check(&[(0, 1, Write(Some(1))), (0, 1, Read(Some(7)))], false);
    }

    /// A true history of a variable with overlapping operations is accepted; the same with one reply changed is not.
    #[test]
    fn long_history_and_one_wrong_reply_in_it() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut value = None;
        let mut history = Vec::new();
        for instant in 0..4000_u64 {
            let action = match random.u8(..3) {
                0 => Read(value),
                1 => Write(Some(instant)),
                _ => Swap(value, Some(instant)),
            };
            if let Write(next) | Swap(_, next) = action {
                value = next;
            }
            let (early, late) = (random.u64(..60), random.u64(..60));
            history.push(Operation {
                called: 1000 + instant * 10 - early,
                returned: 1000 + instant * 10 + late,
                action,
            });
        }
        assert!(linearize(None, &history).is_some());
        let read = history.iter().rposition(|operation| matches!(operation.action, Read(Some(_)))).unwrap();
        history[read].action = Read(Some(3));
        assert!(linearize(None, &history).is_none());
    }
}
