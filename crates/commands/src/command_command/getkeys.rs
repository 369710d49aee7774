//! Which arguments of a command are keys, for COMMAND GETKEYS.
//!
//! This is stricter than the lock plan ([`crate::pipeline::keys_of`]): arguments that do not fit a specification are an
//! error here, while the plan locks what it can and leaves the complaint to the handler.

use crate::args::Args;
use crate::number;
use crate::spec::{Begin, Find, FoundKey, KeySpec, Spec};

/// Whether a command may have keys at all.
pub(super) fn may_have_keys(spec: &Spec) -> bool {
    spec.finder.is_some() || spec.keys.iter().any(is_real)
}

/// The keys of a command; none if the arguments make no sense.
pub(super) fn find(spec: &Spec, args: Args<'_>) -> Vec<FoundKey> {
    let varies = spec.keys.iter().any(|key_spec| key_spec.flags.contains(&"variable_flags"));
    let by_specs = if varies { None } else { by_specs(spec.keys, args) };
    by_specs.unwrap_or_else(|| spec.finder.map_or_else(Vec::new, |finder| finder(args)))
}

/// Not an argument that is only there to choose a node.
fn is_real(key_spec: &KeySpec) -> bool {
    !key_spec.flags.contains(&"not_key")
}

/// The keys that the specifications find; nothing if one of them does not fit, or cannot tell all keys.
fn by_specs(key_specs: &[KeySpec], args: Args<'_>) -> Option<Vec<FoundKey>> {
    let mut found = Vec::new();
    for key_spec in key_specs.iter().filter(|key_spec| is_real(key_spec)) {
        let Some(begin) = begin(key_spec.begin, args)? else { continue };
        let (first, last, step) = range(key_spec.find, begin, args)?;
        if last < first || last >= args.len() {
            return None;
        }
        found.extend((first..=last).step_by(step).map(|at| FoundKey { at, flags: key_spec.flags }));
        if key_spec.flags.contains(&"incomplete") {
            return None;
        }
    }
    Some(found)
}

/// Where the search begins; inside, nothing if an optional keyword is not there.
#[allow(clippy::option_option)]
fn begin(begin: Begin, args: Args<'_>) -> Option<Option<usize>> {
    match begin {
        Begin::Index(index) => Some(Some(index)),
        Begin::Keyword(word, from) if from > 0 => {
            let from = from as usize;
            // The last argument is not looked at: nothing could follow.
            Some((from..args.len().max(from + 1) - 1).find(|&at| args.is(at, word)).map(|at| at + 1))
        }
        Begin::Keyword(word, from) => {
            let from = args.len().saturating_sub(from.unsigned_abs() as usize);
            Some((2..=from).rev().find(|&at| args.is(at, word)).map(|at| at + 1))
        }
        Begin::Unknown => None,
    }
}

/// First and last key and the step; nothing if the arguments do not tell.
fn range(find: Find, begin: usize, args: Args<'_>) -> Option<(usize, usize, usize)> {
    match find {
        Find::Range { last, step, limit } => {
            let last = match usize::try_from(last) {
                Ok(last) => begin + last,
                Err(_) if limit > 1 => (begin + args.len().checked_sub(begin)? / limit).checked_sub(1)?,
                Err(_) => args.len().checked_sub(last.unsigned_abs() as usize)?,
            };
            Some((begin, last, step.max(1)))
        }
        Find::KeyNum { index, first, step } => {
            let keys = usize::try_from(number::parse_i64(args.opt(begin + index)?)?).ok()?;
            let first = begin + first;
            let distance = keys.checked_sub(1)?.checked_mul(step.max(1))?;
            Some((first, first.checked_add(distance)?, step.max(1)))
        }
        Find::Unknown => None,
    }
}
