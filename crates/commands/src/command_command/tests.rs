//! Finding keys, and the old-style range. The shapes of the replies are judged against the reference.

use super::getkeys;
use crate::args::OwnedArgs;
use crate::call::Call;
use crate::effect::Effect;
use crate::error::Result;
use crate::spec::flag::NONE;
use crate::spec::{Begin, Find, Group, KeySpec, Spec};

fn never(_: &mut Call<'_>) -> Result<Effect> {
    Ok(Effect::None)
}

const RO: &[&str] = &["RO", "access"];

static COUNTED: &[KeySpec] = &[KeySpec::one(1, &["OW", "update"]), KeySpec::counted(2, RO)];
static PAIRS: &[KeySpec] = &[KeySpec::range(1, -1, 2, RO)];
static STREAMS: &[KeySpec] = &[KeySpec {
    begin: Begin::Keyword("STREAMS", 1),
    find: Find::Range { last: -1, step: 1, limit: 2 },
    flags: RO,
    notes: "",
}];
static FROM_THE_END: &[KeySpec] = &[KeySpec {
    begin: Begin::Keyword("KEYS", -2),
    find: Find::Range { last: -1, step: 1, limit: 0 },
    flags: RO,
    notes: "",
}];
static NOT_A_KEY: &[KeySpec] = &[KeySpec::one(1, &["not_key"])];
static UNKNOWN: &[KeySpec] =
    &[KeySpec::one(1, RO), KeySpec { begin: Begin::Unknown, find: Find::Unknown, flags: RO, notes: "" }];

/// The keys' places in a command, given as words.
fn check(keys: &'static [KeySpec], command: &str, expected: &[usize]) {
    let spec = Spec::new("x", -1, NONE, Group::Generic, never).keys(keys);
    let args: OwnedArgs = command.split(' ').collect();
    let found: Vec<usize> = getkeys::find(&spec, args.args()).iter().map(|key| key.at).collect();
    assert_eq!(found, expected, "{command}");
}

#[test]
fn specifications_find_keys() {
    check(COUNTED, "zunionstore to 2 a b weights 1 2", &[1, 3, 4]);
    check(PAIRS, "mset a 1 b 2", &[1, 3]);
    check(STREAMS, "xread count 2 streams a b 0 0", &[4, 5]);
    check(STREAMS, "xread count 2", &[]);
    check(FROM_THE_END, "migrate h p x 0 9 keys a b", &[7, 8]);
}

#[test]
fn what_does_not_fit_has_no_keys() {
    check(COUNTED, "zunionstore to 0", &[]);
    check(COUNTED, "zunionstore to 3 a b", &[]);
    check(COUNTED, "zunionstore to 9223372036854775807 a", &[]);
    check(COUNTED, "zunionstore to -1 a", &[]);
    check(COUNTED, "zunionstore to", &[]);
    check(NOT_A_KEY, "publish channel message", &[]);
    check(UNKNOWN, "sort a", &[]);
}

#[test]
fn finders_go_by_the_other_arguments() {
    let flags = |finder: crate::spec::Finder, command: &str| -> Vec<(usize, &str)> {
        let args: OwnedArgs = command.split(' ').collect();
        finder(args.args()).iter().map(|key| (key.at, key.flags[0])).collect()
    };
    use crate::finders::{bitfield, set, sort};
    assert_eq!(flags(set, "set k v ex 1"), [(1, "OW")]);
    assert_eq!(flags(set, "set k v ex 1 GET"), [(1, "RW")]);
    assert_eq!(flags(set, "set get get"), [(1, "OW")]);
    assert_eq!(flags(bitfield, "bitfield k get u8 0 overflow sat get u8 1"), [(1, "RO")]);
    assert_eq!(flags(bitfield, "bitfield k get u8 0 set u8 0 1"), [(1, "RW")]);
    assert_eq!(flags(bitfield, "bitfield k nonsense"), [(1, "RW")]);
    assert_eq!(flags(sort, "sort k by store get store store a store b"), [(1, "RO"), (9, "OW")]);
    assert_eq!(flags(sort, "sort k store"), [(1, "RO")]);
}
