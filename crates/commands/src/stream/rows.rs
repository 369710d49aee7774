//! The family's rows.

use super::add::{xadd, xsetid, xtrim};
use super::claim::{xautoclaim, xclaim};
use super::delete::{xack, xackdel, xdel, xdelex};
use super::group::{
    xgroup, xgroup_create, xgroup_createconsumer, xgroup_delconsumer, xgroup_destroy, xgroup_help, xgroup_setid,
};
use super::info::{xinfo, xinfo_consumers, xinfo_groups, xinfo_help, xinfo_stream};
use super::pending::xpending;
use super::range::{xlen, xrange, xrevrange};
use super::read::{WAIT, WAIT_IN_GROUP, plan_xreadgroup, xread, xreadgroup};
use crate::spec::common::FIELD_VALUES;
use crate::spec::flag::*;
use crate::spec::{Arg, ArgKind, Begin, Find, Group, KeySpec, Spec};

/// What happens to what groups still know of a deleted entry.
const REFERENCES: Arg = Arg::one_of(
    "condition",
    &[Arg::word("keepref", "KEEPREF"), Arg::word("delref", "DELREF"), Arg::word("acked", "ACKED")],
)
.optional();
/// The ids, with their number.
const IDS: Arg = Arg::block("ids", &[Arg::integer("numids"), Arg::string("id").multiple()]).token("IDS");
const STRATEGY: Arg =
    Arg::one_of("strategy", &[Arg::word("maxlen", "MAXLEN"), Arg::word("minid", "MINID").since("6.2.0")]);
const OPERATOR: Arg = Arg::one_of("operator", &[Arg::word("equal", "="), Arg::word("approximately", "~")]).optional();
const STREAMS: Arg =
    Arg::block("streams", &[Arg::key("key").multiple(), Arg::string("id").multiple()]).token("STREAMS");
const ID_SELECTOR: Arg = Arg::one_of("id-selector", &[Arg::string("id"), Arg::word("new-id", "$")]);

/// See the file's head.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("xack", -4, WRITE | FAST, Group::Stream, xack)
        .docs("Removes entries from the list of those that a consumer group has not acknowledged.", "5.0.0", "O(1) for each message ID processed.")
        .keys(&[KeySpec::one(1, &["RW", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::string("group"),
            Arg::string("id").multiple(),
        ]),
    Spec::new("xadd", -5, WRITE | DENYOOM | FAST, Group::Stream, xadd)
        .docs("Adds an entry at the end of a stream, and creates the stream unless told not to.", "5.0.0", "O(1) when adding a new entry, O(N) when trimming where N being the number of entries evicted.")
        .keys(&[KeySpec::one(1, &["RW", "update"]).notes("UPDATE instead of INSERT because of the optional trimming feature")])
        .tips(&["nondeterministic_output"])
        .args(&[
            Arg::key("key"),
            Arg::word("nomkstream", "NOMKSTREAM").optional().since("6.2.0"),
            Arg::block("trim", &[
                STRATEGY,
                OPERATOR,
                Arg::string("threshold"),
                Arg::integer("count").token("LIMIT").optional().since("6.2.0"),
            ]).optional(),
            Arg::one_of("id-selector", &[
                Arg::word("auto-id", "*"),
                Arg::string("id"),
            ]),
            FIELD_VALUES,
        ]),
    Spec::new("xautoclaim", -6, WRITE | FAST, Group::Stream, xautoclaim)
        .docs("Gives entries that have been pending for too long to another consumer, in the order of their ids.", "6.2.0", "O(1) if COUNT is small.")
        .keys(&[KeySpec::one(1, &["RW", "delete"])])
        .tips(&["nondeterministic_output"])
        .args(&[
            Arg::key("key"),
            Arg::string("group"),
            Arg::string("consumer"),
            Arg::string("min-idle-time"),
            Arg::string("start"),
            Arg::integer("count").token("COUNT").optional(),
            Arg::word("justid", "JUSTID").optional(),
        ]),
    Spec::new("xclaim", -6, WRITE | FAST, Group::Stream, xclaim)
        .docs("Gives named pending entries to another consumer.", "5.0.0", "O(log N) with N being the number of messages in the PEL of the consumer group.")
        .keys(&[KeySpec::one(1, &["RW", "update"])])
        .tips(&["nondeterministic_output"])
        .args(&[
            Arg::key("key"),
            Arg::string("group"),
            Arg::string("consumer"),
            Arg::string("min-idle-time"),
            Arg::string("id").multiple(),
            Arg::integer("ms").token("IDLE").optional(),
            Arg::new("unix-time-milliseconds", ArgKind::UnixTime).token("TIME").optional(),
            Arg::integer("count").token("RETRYCOUNT").optional(),
            Arg::word("force", "FORCE").optional(),
            Arg::word("justid", "JUSTID").optional(),
            Arg::string("lastid").token("LASTID").optional(),
        ]),
    Spec::new("xdel", -3, WRITE | FAST, Group::Stream, xdel)
        .docs("Deletes entries by their ids.", "5.0.0", "O(1) for each single item to delete in the stream, regardless of the stream size.")
        .keys(&[KeySpec::one(1, &["RW", "delete"])])
        .args(&[
            Arg::key("key"),
            Arg::string("id").multiple(),
        ]),
    Spec::new("xgroup", -2, NONE, Group::Stream, xgroup)
        .docs("Manages consumer groups.", "5.0.0", "Depends on subcommand.")
        .subcommands(&[
            Spec::new("createconsumer", 5, WRITE | DENYOOM, Group::Stream, xgroup_createconsumer)
                .full_name("xgroup|createconsumer")
                .docs("Creates a consumer in a group.", "6.2.0", "O(1)")
                .keys(&[KeySpec::one(2, &["RW", "insert"])])
                .args(&[
                    Arg::key("key"),
                    Arg::string("group"),
                    Arg::string("consumer"),
                ]),
            Spec::new("create", -5, WRITE | DENYOOM, Group::Stream, xgroup_create)
                .full_name("xgroup|create")
                .docs("Creates a consumer group.", "5.0.0", "O(1)")
                .keys(&[KeySpec::one(2, &["RW", "insert"])])
                .args(&[
                    Arg::key("key"),
                    Arg::string("group"),
                    ID_SELECTOR,
                    Arg::word("mkstream", "MKSTREAM").optional(),
                    Arg::integer("entriesread").token("ENTRIESREAD").display("entries-read").optional(),
                ]),
            Spec::new("setid", -5, WRITE, Group::Stream, xgroup_setid)
                .full_name("xgroup|setid")
                .docs("Sets the id after which a consumer group reads on.", "5.0.0", "O(1)")
                .keys(&[KeySpec::one(2, &["RW", "update"])])
                .args(&[
                    Arg::key("key"),
                    Arg::string("group"),
                    ID_SELECTOR,
                    Arg::integer("entriesread").token("ENTRIESREAD").display("entries-read").optional(),
                ]),
            Spec::new("delconsumer", 5, WRITE, Group::Stream, xgroup_delconsumer)
                .full_name("xgroup|delconsumer")
                .docs("Removes a consumer from a group, with what is pending for it.", "5.0.0", "O(1)")
                .keys(&[KeySpec::one(2, &["RW", "delete"])])
                .args(&[
                    Arg::key("key"),
                    Arg::string("group"),
                    Arg::string("consumer"),
                ]),
            Spec::new("help", 2, LOADING | STALE, Group::Stream, xgroup_help)
                .full_name("xgroup|help")
                .docs("Describes the subcommands.", "5.0.0", "O(1)"),
            Spec::new("destroy", 4, WRITE, Group::Stream, xgroup_destroy)
                .full_name("xgroup|destroy")
                .docs("Removes a consumer group.", "5.0.0", "O(N) where N is the number of entries in the group's pending entries list (PEL).")
                .keys(&[KeySpec::one(2, &["RW", "delete"])])
                .args(&[
                    Arg::key("key"),
                    Arg::string("group"),
                ]),
        ]),
    Spec::new("xinfo", -2, NONE, Group::Stream, xinfo)
        .docs("Tells about streams, groups and consumers.", "5.0.0", "Depends on subcommand.")
        .subcommands(&[
            Spec::new("stream", -3, READONLY, Group::Stream, xinfo_stream)
                .full_name("xinfo|stream")
                .docs("Tells about a stream.", "5.0.0", "O(1)")
                .keys(&[KeySpec::one(2, &["RO", "access"])])
                .args(&[
                    Arg::key("key"),
                    Arg::block("full-block", &[
                        Arg::word("full", "FULL"),
                        Arg::integer("count").token("COUNT").optional(),
                    ]).optional(),
                ]),
            Spec::new("help", 2, LOADING | STALE, Group::Stream, xinfo_help)
                .full_name("xinfo|help")
                .docs("Describes the subcommands.", "5.0.0", "O(1)"),
            Spec::new("groups", 3, READONLY, Group::Stream, xinfo_groups)
                .full_name("xinfo|groups")
                .docs("Lists the consumer groups of a stream.", "5.0.0", "O(1)")
                .keys(&[KeySpec::one(2, &["RO", "access"])])
                .args(&[
                    Arg::key("key"),
                ]),
            Spec::new("consumers", 4, READONLY, Group::Stream, xinfo_consumers)
                .full_name("xinfo|consumers")
                .docs("Lists the consumers of a group.", "5.0.0", "O(1)")
                .keys(&[KeySpec::one(2, &["RO", "access"])])
                .tips(&["nondeterministic_output"])
                .args(&[
                    Arg::key("key"),
                    Arg::string("group"),
                ]),
        ]),
    Spec::new("xlen", 2, READONLY | FAST, Group::Stream, xlen)
        .docs("Returns the number of entries.", "5.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RO"])])
        .args(&[
            Arg::key("key"),
        ]),
    Spec::new("xpending", -3, READONLY, Group::Stream, xpending)
        .docs("Tells what a consumer group has handed out and not got acknowledged.", "5.0.0", "O(N) with N being the number of elements returned, so asking for a small fixed number of entries per call is O(1). O(M), where M is the total number of entries scanned when used with the IDLE filter. When the command returns just the summary and the list of consumers is small, it runs in O(1) time; otherwise, an additional O(N) time for iterating every consumer.")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .tips(&["nondeterministic_output"])
        .args(&[
            Arg::key("key"),
            Arg::string("group"),
            Arg::block("filters", &[
                Arg::integer("min-idle-time").token("IDLE").optional().since("6.2.0"),
                Arg::string("start"),
                Arg::string("end"),
                Arg::integer("count"),
                Arg::string("consumer").optional(),
            ]).optional(),
        ]),
    Spec::new("xrange", -4, READONLY, Group::Stream, xrange)
        .docs("Returns the entries between two ids.", "5.0.0", "O(N) with N being the number of elements being returned. If N is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1).")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::string("start"),
            Arg::string("end"),
            Arg::integer("count").token("COUNT").optional(),
        ]),
    Spec::new("xrevrange", -4, READONLY, Group::Stream, xrevrange)
        .docs("Returns the entries between two ids, the last one first.", "5.0.0", "O(N) with N being the number of elements returned. If N is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1).")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::string("end"),
            Arg::string("start"),
            Arg::integer("count").token("COUNT").optional(),
        ]),
    Spec::new("xread", -4, READONLY | BLOCKING | MOVABLEKEYS, Group::Stream, xread)
        .blocking(&WAIT)
        .docs("Returns entries of several streams after given ids, and may wait for them.", "5.0.0", "")
        .keys(&[KeySpec { begin: Begin::Keyword("STREAMS", 1), find: Find::Range { last: -1, step: 1, limit: 2 }, flags: &["RO", "access"], notes: "" }])
        .args(&[
            Arg::integer("count").token("COUNT").optional(),
            Arg::integer("milliseconds").token("BLOCK").optional(),
            STREAMS,
        ]),
    Spec::new("xreadgroup", -7, WRITE | BLOCKING | MOVABLEKEYS, Group::Stream, xreadgroup)
        .planner(plan_xreadgroup)
        .blocking(&WAIT_IN_GROUP)
        .docs("Returns entries of several streams that are new to a consumer group, or those a consumer has got before; may wait.", "5.0.0", "For each stream mentioned: O(M) with M being the number of elements returned. If M is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1). On the other side when XREADGROUP blocks, XADD will pay the O(N) time in order to serve the N clients blocked on the stream getting new data.")
        .keys(&[KeySpec { begin: Begin::Keyword("STREAMS", 4), find: Find::Range { last: -1, step: 1, limit: 2 }, flags: &["RO", "access"], notes: "" }])
        .args(&[
            Arg::block("group-block", &[
                Arg::string("group"),
                Arg::string("consumer"),
            ]).token("GROUP"),
            Arg::integer("count").token("COUNT").optional(),
            Arg::integer("milliseconds").token("BLOCK").optional(),
            Arg::word("noack", "NOACK").optional(),
            STREAMS,
        ]),
    Spec::new("xsetid", -3, WRITE | DENYOOM | FAST, Group::Stream, xsetid)
        .docs("Sets the last id of a stream, and what it remembers of additions and deletions.", "5.0.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::string("last-id"),
            Arg::integer("entries-added").token("ENTRIESADDED").optional().since("7.0.0"),
            Arg::string("max-deleted-id").token("MAXDELETEDID").optional().since("7.0.0"),
        ]),
    Spec::new("xtrim", -4, WRITE, Group::Stream, xtrim)
        .docs("Removes the oldest entries of a stream.", "5.0.0", "O(N), with N being the number of evicted entries. Constant times are very small however, since entries are organized in macro nodes containing multiple entries that can be released with a single deallocation.")
        .keys(&[KeySpec::one(1, &["RW", "delete"])])
        .tips(&["nondeterministic_output"])
        .args(&[
            Arg::key("key"),
            Arg::block("trim", &[
                STRATEGY,
                OPERATOR,
                Arg::string("threshold"),
                Arg::integer("count").token("LIMIT").optional().since("6.2.0"),
            ]),
        ]),
    Spec::new("xackdel", -6, WRITE | FAST, Group::Stream, xackdel)
        .docs("Acknowledges entries in a consumer group and deletes them, as far as other groups do not need them.", "8.2.0", "O(1) for each message ID processed.")
        .keys(&[KeySpec::one(1, &["RW", "delete", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::string("group"),
            REFERENCES,
            IDS,
        ]),
    Spec::new("xdelex", -5, WRITE | FAST, Group::Stream, xdelex)
        .docs("Deletes entries by their ids, as far as consumer groups do not need them.", "8.2.0", "O(1) for each single item to delete in the stream, regardless of the stream size.")
        .keys(&[KeySpec::one(1, &["RW", "delete"])])
        .args(&[
            Arg::key("key"),
            REFERENCES,
            IDS,
        ]),
];
