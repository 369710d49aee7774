//! Arguments that rows of several families have. What one family alone repeats is a constant of
//! that family's file.

use super::{Arg, ArgKind};

/// How EXPIRE and HEXPIRE restrict themselves to what has, or has no, earlier or later expiry.
pub(crate) const CONDITION: Arg = Arg::one_of(
    "condition",
    &[Arg::word("nx", "NX"), Arg::word("xx", "XX"), Arg::word("gt", "GT"), Arg::word("lt", "LT")],
)
.optional();

/// The expiry that GETEX and HGETEX set or take away.
pub(crate) const EXPIRATION: Arg = Arg::one_of(
    "expiration",
    &[
        Arg::integer("seconds").token("EX"),
        Arg::integer("milliseconds").token("PX"),
        Arg::new("unix-time-seconds", ArgKind::UnixTime).token("EXAT"),
        Arg::new("unix-time-milliseconds", ArgKind::UnixTime).token("PXAT"),
        Arg::word("persist", "PERSIST"),
    ],
)
.optional();

/// Pairs of a hash or of a stream's entry.
pub(crate) const FIELD_VALUES: Arg = Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple();

pub(crate) const LIMIT: Arg =
    Arg::block("limit", &[Arg::integer("offset"), Arg::integer("count")]).token("LIMIT").optional();

pub(crate) const ORDER: Arg = Arg::one_of("order", &[Arg::word("asc", "ASC"), Arg::word("desc", "DESC")]).optional();
