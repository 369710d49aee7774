//! Where we differ from the reference on purpose: one line each, with its reason. Nothing else may differ.

use resp_parser::Reply;

use crate::words::Words;

/// A difference that is wanted.
struct Deliberate {
    /// The command's name in capitals.
    command: &'static str,
    /// Whether this pair of replies (the reference's, ours) is the difference that is meant.
    is_meant: fn(&Reply, &Reply) -> bool,
    /// Why.
    #[expect(dead_code, reason = "read by people")]
    reason: &'static str,
}

/// The table. Empty is best.
const DELIBERATE: &[Deliberate] = &[];

/// Whether the table holds the difference between these replies to `command`.
#[must_use]
pub(super) fn covers(command: &Words, reference: &Reply, subject: &Reply) -> bool {
    DELIBERATE.iter().any(|entry| {
        command.first().is_some_and(|name| name.eq_ignore_ascii_case(entry.command.as_bytes()))
            && (entry.is_meant)(reference, subject)
    })
}
