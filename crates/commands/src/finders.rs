//! Where the keys are in commands whose key specifications cannot tell; for [`crate::spec::Spec::finder`].

use crate::args::Args;
use crate::spec::FoundKey;

/// SET: an overwrite, unless GET asks for the old value, or a comparison looks at it.
pub fn set(args: Args<'_>) -> Vec<FoundKey> {
    let has = |words: &[&str]| (3..args.len()).any(|at| words.iter().any(|word| args.is(at, word)));
    let flags: &[&str] = match () {
        () if has(&["get"]) => &["RW", "access", "update"],
        () if has(&["ifeq", "ifne", "ifdeq", "ifdne"]) => &["RW", "update"],
        () => &["OW", "update"],
    };
    vec![FoundKey { at: 1, flags }]
}

/// BITFIELD: a read if it only has GET.
pub fn bitfield(args: Args<'_>) -> Vec<FoundKey> {
    let mut at = 2;
    while at < args.len() {
        let rest = args.len() - at - 1;
        at += match () {
            () if args.is(at, "get") && rest >= 2 => 3,
            () if args.is(at, "overflow") && rest >= 1 => 2,
            () => return vec![FoundKey { at: 1, flags: &["RW", "access", "update"] }],
        };
    }
    vec![FoundKey { at: 1, flags: &["RO", "access"] }]
}

/// SORT: its key, and that of its last STORE. Keys that GET and BY lead to cannot be known.
pub fn sort(args: Args<'_>) -> Vec<FoundKey> {
    let mut store = None;
    let mut at = 2;
    while at < args.len() {
        at += match () {
            () if args.is(at, "limit") => 2,
            () if args.is(at, "get") || args.is(at, "by") => 1,
            () if args.is(at, "store") && at + 1 < args.len() => {
                store = Some(FoundKey { at: at + 1, flags: &["OW", "update"] });
                0
            }
            () => 0,
        } + 1;
    }
    sort_ro(args).into_iter().chain(store).collect()
}

/// SORT_RO: its key.
pub fn sort_ro(_: Args<'_>) -> Vec<FoundKey> {
    vec![FoundKey { at: 1, flags: &["RO", "access"] }]
}
