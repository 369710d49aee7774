//! What is known of a command: one row of the table. See [`crate::table`].
//!
//! A row is written as `Spec::new(name, arity, flags, handler)` followed by what else applies. Everything that COMMAND,
//! COMMAND DOCS and COMMAND GETKEYS answer comes from here, and so does what `admit` and the lock plan need; a command's
//! name is compared nowhere else.

pub(crate) mod common;

use bitflags::bitflags;
use store::guard::Plan;

use crate::args::Args;
use crate::blocking::Blocking;
use crate::call::Call;
use crate::effect::Effect;
use crate::error::Result;

/// Runs a command: parse the options into a type, apply one typed operation, answer.
pub type Handler = fn(&mut Call<'_>) -> Result<Effect>;

/// Finds a command's keys where the key specifications cannot: see [`Spec::finder`].
pub type Finder = fn(Args<'_>) -> Vec<FoundKey>;
/// Tells from its arguments whether a command wants the exclusive gate: because its keys depend on data.
pub type AloneIf = fn(Args<'_>) -> bool;

/// Adds the stripes of keys that the key specifications do not name (in other databases, say).
pub type Planner = fn(Args<'_>, u32, &mut Plan);

bitflags! {
    /// Redis's command flags, named as COMMAND INFO prints them in small letters.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// May change data.
        const WRITE = 1 << 0;
        /// Only reads keys.
        const READONLY = 1 << 1;
        /// Refused when memory is used up.
        const DENYOOM = 1 << 2;
        /// For the operator.
        const ADMIN = 1 << 3;
        /// Belongs to publish and subscribe.
        const PUBSUB = 1 << 4;
        /// Not to be called by a script.
        const NOSCRIPT = 1 << 5;
        /// May block its client.
        const BLOCKING = 1 << 6;
        /// Allowed while data is loaded.
        const LOADING = 1 << 7;
        /// Allowed while a replica's data is stale.
        const STALE = 1 << 8;
        /// Not shown to MONITOR.
        const SKIP_MONITOR = 1 << 9;
        /// Not entered in the slow log.
        const SKIP_SLOWLOG = 1 << 10;
        /// Takes constant or logarithmic time.
        const FAST = 1 << 11;
        /// Allowed before authentication.
        const NO_AUTH = 1 << 12;
        /// May be propagated although it is no write.
        const MAY_REPLICATE = 1 << 13;
        /// Its keys may be missing altogether.
        const NO_MANDATORY_KEYS = 1 << 14;
        /// Not allowed while loading in the background.
        const NO_ASYNC_LOADING = 1 << 15;
        /// Not allowed in a transaction.
        const NO_MULTI = 1 << 16;
        /// Its keys stand at places that depend on other arguments.
        const MOVABLEKEYS = 1 << 17;
        /// Allowed while a script or another long holder keeps the server busy.
        const ALLOW_BUSY = 1 << 18;
        /// Acts on the transaction itself instead of being queued by it.
        const SKIP_QUEUE = 1 << 19;
        /// Walks the keyspace instead of naming keys; inside EXEC it wants the exclusive gate.
        const SPANNING = 1 << 20;
        /// Wants the exclusive gate.
        const ALONE = 1 << 21;
        /// Runs the open transaction.
        const EXEC = 1 << 23;
        /// Chooses another database for the commands after it.
        const SELECTS = 1 << 24;
        /// Cluster: honours ASKING by itself.
        const ASKING = 1 << 22;
        /// Only runs where the configuration allows it (`enable-debug-command`).
        const PROTECTED = 1 << 25;
        /// Allowed to a subscriber whatever protocol it speaks.
        const LISTENING = 1 << 26;
        /// Its reply is a push message, which CLIENT REPLY does not hold back.
        const PUSHES = 1 << 27;
        /// Refused like a write when the last save has failed, so that those who watch the server notice.
        const TELLS_OF_TROUBLE = 1 << 28;
        /// Changes no value in place, whatever its key specifications say: it replaces, moves or removes values, or changes
        /// their expiries.
        const WHOLE = 1 << 29;
    }
}

impl Flags {
    /// Names for COMMAND INFO, in the order Redis prints them. Flags of our own have none, and Redis does not tell of
    /// `MAY_REPLICATE`.
    pub const NAMES: [(Self, &'static str); 19] = [
        (Self::WRITE, "write"),
        (Self::READONLY, "readonly"),
        (Self::DENYOOM, "denyoom"),
        (Self::ADMIN, "admin"),
        (Self::PUBSUB, "pubsub"),
        (Self::NOSCRIPT, "noscript"),
        (Self::BLOCKING, "blocking"),
        (Self::LOADING, "loading"),
        (Self::STALE, "stale"),
        (Self::SKIP_MONITOR, "skip_monitor"),
        (Self::SKIP_SLOWLOG, "skip_slowlog"),
        (Self::ASKING, "asking"),
        (Self::FAST, "fast"),
        (Self::NO_AUTH, "no_auth"),
        (Self::NO_MANDATORY_KEYS, "no_mandatory_keys"),
        (Self::NO_ASYNC_LOADING, "no_async_loading"),
        (Self::NO_MULTI, "no_multi"),
        (Self::MOVABLEKEYS, "movablekeys"),
        (Self::ALLOW_BUSY, "allow_busy"),
    ];
}

/// The flags as plain numbers, which can be joined with `|` in a row of the table.
#[allow(missing_docs)]
pub mod flag {
    use super::Flags;

    pub const NONE: u32 = 0;
    pub const WRITE: u32 = Flags::WRITE.bits();
    pub const READONLY: u32 = Flags::READONLY.bits();
    pub const DENYOOM: u32 = Flags::DENYOOM.bits();
    pub const ADMIN: u32 = Flags::ADMIN.bits();
    pub const PUBSUB: u32 = Flags::PUBSUB.bits();
    pub const NOSCRIPT: u32 = Flags::NOSCRIPT.bits();
    pub const BLOCKING: u32 = Flags::BLOCKING.bits();
    pub const LOADING: u32 = Flags::LOADING.bits();
    pub const STALE: u32 = Flags::STALE.bits();
    pub const SKIP_MONITOR: u32 = Flags::SKIP_MONITOR.bits();
    pub const SKIP_SLOWLOG: u32 = Flags::SKIP_SLOWLOG.bits();
    pub const FAST: u32 = Flags::FAST.bits();
    pub const NO_AUTH: u32 = Flags::NO_AUTH.bits();
    pub const MAY_REPLICATE: u32 = Flags::MAY_REPLICATE.bits();
    pub const NO_MANDATORY_KEYS: u32 = Flags::NO_MANDATORY_KEYS.bits();
    pub const NO_ASYNC_LOADING: u32 = Flags::NO_ASYNC_LOADING.bits();
    pub const NO_MULTI: u32 = Flags::NO_MULTI.bits();
    pub const MOVABLEKEYS: u32 = Flags::MOVABLEKEYS.bits();
    pub const ALLOW_BUSY: u32 = Flags::ALLOW_BUSY.bits();
    pub const SKIP_QUEUE: u32 = Flags::SKIP_QUEUE.bits();
    pub const SPANNING: u32 = Flags::SPANNING.bits();
    pub const ALONE: u32 = Flags::ALONE.bits();
    pub const EXEC: u32 = Flags::EXEC.bits();
    pub const SELECTS: u32 = Flags::SELECTS.bits();
    pub const ASKING: u32 = Flags::ASKING.bits();
    pub const PROTECTED: u32 = Flags::PROTECTED.bits();
    pub const LISTENING: u32 = Flags::LISTENING.bits();
    pub const PUSHES: u32 = Flags::PUSHES.bits();
    pub const TELLS_OF_TROUBLE: u32 = Flags::TELLS_OF_TROUBLE.bits();
    pub const WHOLE: u32 = Flags::WHOLE.bits();
}

/// COMMAND DOCS' groups; most are access-control categories as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Group {
    Generic,
    String,
    List,
    Set,
    SortedSet,
    Hash,
    PubSub,
    Transactions,
    Connection,
    Server,
    Scripting,
    HyperLogLog,
    Cluster,
    Sentinel,
    Geo,
    Stream,
    Bitmap,
}

impl Group {
    /// Whether the keys of these commands hold values that lie outside of their entries.
    #[inline]
    pub const fn is_of_containers(self) -> bool {
        matches!(self, Self::List | Self::Set | Self::SortedSet | Self::Hash | Self::Stream | Self::Geo)
    }

    /// The name in COMMAND DOCS.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "sorted-set",
            Self::Hash => "hash",
            Self::PubSub => "pubsub",
            Self::Transactions => "transactions",
            Self::Connection => "connection",
            Self::Server => "server",
            Self::Scripting => "scripting",
            Self::HyperLogLog => "hyperloglog",
            Self::Cluster => "cluster",
            Self::Sentinel => "sentinel",
            Self::Geo => "geo",
            Self::Stream => "stream",
            Self::Bitmap => "bitmap",
        }
    }
}

/// Where a command's keys stand, and what it does with them.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// How the search begins.
    pub begin: Begin,
    /// How it goes on.
    pub find: Find,
    /// Redis's names for what happens with the keys: `RO`, `RW`, `OW` or `RM`, then `access`, `update` and so on.
    pub flags: &'static [&'static str],
    /// A remark for COMMAND INFO, or nothing.
    pub notes: &'static str,
}

/// A key among a command's arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundKey {
    /// Which argument it is.
    pub at: usize,
    /// What happens to it, as in [`KeySpec::flags`].
    pub flags: &'static [&'static str],
}

/// How the search for keys begins.
#[derive(Clone, Copy, Debug)]
pub enum Begin {
    /// At an argument.
    Index(usize),
    /// After a word, looked for from an argument on (from the end backwards if negative).
    Keyword(&'static str, i32),
    /// Not to be known.
    Unknown,
}

/// How the search for keys goes on.
#[derive(Clone, Copy, Debug)]
pub enum Find {
    /// To a last argument, relative to the first (from the end if negative), in steps; `limit` divides what is left.
    Range {
        /// Relative index of the last key.
        last: i32,
        /// Distance between keys.
        step: usize,
        /// 0 or 1: no limit; else only the first part of so many is keys.
        limit: usize,
    },
    /// An argument says how many keys follow.
    KeyNum {
        /// Where the number stands, relative to the beginning.
        index: usize,
        /// Where the first key stands, relative to the beginning.
        first: usize,
        /// Distance between keys.
        step: usize,
    },
    /// Not to be known.
    Unknown,
}

impl KeySpec {
    /// One key at an argument.
    pub const fn one(index: usize, flags: &'static [&'static str]) -> Self {
        Self::range(index, 0, 1, flags)
    }

    /// Keys from an argument to a last one (relative; from the end if negative), in steps.
    pub const fn range(index: usize, last: i32, step: usize, flags: &'static [&'static str]) -> Self {
        Self { begin: Begin::Index(index), find: Find::Range { last, step, limit: 0 }, flags, notes: "" }
    }

    /// As many keys as the argument at `index` says, right behind it.
    pub const fn counted(index: usize, flags: &'static [&'static str]) -> Self {
        Self { begin: Begin::Index(index), find: Find::KeyNum { index: 0, first: 1, step: 1 }, flags, notes: "" }
    }

    /// As many pairs of a key and something else as the argument at `index` says, right behind it.
    pub const fn counted_pairs(index: usize, flags: &'static [&'static str]) -> Self {
        Self { begin: Begin::Index(index), find: Find::KeyNum { index: 0, first: 1, step: 2 }, flags, notes: "" }
    }

    /// Adds a remark.
    pub const fn notes(mut self, notes: &'static str) -> Self {
        self.notes = notes;
        self
    }
}

/// The kinds of arguments in COMMAND DOCS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ArgKind {
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    PureToken,
    OneOf,
    Block,
}

impl ArgKind {
    /// The name in COMMAND DOCS.
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Double => "double",
            Self::Key => "key",
            Self::Pattern => "pattern",
            Self::UnixTime => "unix-time",
            Self::PureToken => "pure-token",
            Self::OneOf => "oneof",
            Self::Block => "block",
        }
    }
}

/// One argument of COMMAND DOCS.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// Its name.
    pub name: &'static str,
    /// What stands there.
    pub kind: ArgKind,
    /// The word before it.
    pub token: Option<&'static str>,
    /// What to show instead of the name.
    pub display: Option<&'static str>,
    /// Which key specification finds it.
    pub key_spec: Option<usize>,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// The word is repeated with it.
    pub multiple_token: bool,
    /// The version that brought it, if later than the command.
    pub since: Option<&'static str>,
    /// The version that deprecated it.
    pub deprecated_since: Option<&'static str>,
    /// The parts of a block, or the alternatives.
    pub args: &'static [Arg],
}

impl Arg {
    /// An argument of a kind.
    pub const fn new(name: &'static str, kind: ArgKind) -> Self {
        Self {
            name,
            kind,
            token: None,
            display: None,
            key_spec: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            since: None,
            deprecated_since: None,
            args: &[],
        }
    }

    /// A key, found by the first key specification.
    pub const fn key(name: &'static str) -> Self {
        Self::new(name, ArgKind::Key).key_spec(0)
    }

    /// A string.
    pub const fn string(name: &'static str) -> Self {
        Self::new(name, ArgKind::String)
    }

    /// An integer.
    pub const fn integer(name: &'static str) -> Self {
        Self::new(name, ArgKind::Integer)
    }

    /// A double.
    pub const fn double(name: &'static str) -> Self {
        Self::new(name, ArgKind::Double)
    }

    /// A word that stands for itself.
    pub const fn word(name: &'static str, token: &'static str) -> Self {
        Self::new(name, ArgKind::PureToken).token(token)
    }

    /// One of several.
    pub const fn one_of(name: &'static str, args: &'static [Self]) -> Self {
        let mut arg = Self::new(name, ArgKind::OneOf);
        arg.args = args;
        arg
    }

    /// Several together.
    pub const fn block(name: &'static str, args: &'static [Self]) -> Self {
        let mut arg = Self::new(name, ArgKind::Block);
        arg.args = args;
        arg
    }

    /// Sets the word before it.
    pub const fn token(mut self, token: &'static str) -> Self {
        self.token = Some(token);
        self
    }

    /// Sets what is shown.
    pub const fn display(mut self, display: &'static str) -> Self {
        self.display = Some(display);
        self
    }

    /// Sets the key specification.
    pub const fn key_spec(mut self, index: usize) -> Self {
        self.key_spec = Some(index);
        self
    }

    /// May be left out.
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// May be repeated.
    pub const fn multiple(mut self) -> Self {
        self.multiple = true;
        self
    }

    /// May be repeated, its word with it.
    pub const fn multiple_token(mut self) -> Self {
        self.multiple = true;
        self.multiple_token = true;
        self
    }

    /// Sets the version that brought it.
    pub const fn since(mut self, version: &'static str) -> Self {
        self.since = Some(version);
        self
    }

    /// Sets the version that deprecated it.
    pub const fn deprecated_since(mut self, version: &'static str) -> Self {
        self.deprecated_since = Some(version);
        self
    }
}

/// One command, or one subcommand of a container.
pub struct Spec {
    /// The name in small letters; a subcommand's own name.
    pub name: &'static str,
    /// The name with that of the container, as errors and statistics give it: `config|get`.
    pub full_name: &'static str,
    /// Number of arguments with the name; at least so many if negative.
    pub arity: i32,
    /// See [`Flags`].
    pub flags: Flags,
    /// What runs it.
    pub handler: Handler,
    /// Access-control categories beyond those that follow from the flags and the group.
    pub categories: &'static [&'static str],
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// See [`Planner`].
    pub planner: Option<Planner>,
    /// Finds the keys for COMMAND GETKEYS when the key specifications are incomplete, when they do not fit the
    /// arguments, or when what happens to a key depends on other arguments (`variable_flags`).
    pub finder: Option<Finder>,
    /// See [`AloneIf`].
    pub alone_if: Option<AloneIf>,
    /// How it waits, if it may block.
    pub blocking: Option<&'static Blocking>,
    /// COMMAND INFO's tips.
    pub tips: &'static [&'static str],
    /// The group in COMMAND DOCS.
    pub group: Group,
    /// One sentence.
    pub summary: &'static str,
    /// The Redis version that brought it.
    pub since: &'static str,
    /// Its cost, in the words of the field.
    pub complexity: &'static str,
    /// Since when it is deprecated and by what it is replaced.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// Whether it is for servers among themselves or for debugging; COMMAND DOCS says so.
    pub system: bool,
    /// Its arguments.
    pub args: &'static [Arg],
    /// The subcommands of a container.
    pub subcommands: &'static [Spec],
}

impl Spec {
    /// A command of a group; `flags` are of [`flag`].
    pub const fn new(name: &'static str, arity: i32, flags: u32, group: Group, handler: Handler) -> Self {
        Self {
            name,
            full_name: name,
            arity,
            flags: Flags::from_bits_retain(flags),
            handler,
            categories: &[],
            keys: &[],
            planner: None,
            finder: None,
            blocking: None,
            alone_if: None,
            tips: &[],
            group,
            summary: "",
            since: "1.0.0",
            complexity: "O(1)",
            deprecated: None,
            system: false,
            args: &[],
            subcommands: &[],
        }
    }

    /// A subcommand; `full_name` is `container|name`.
    pub const fn full_name(mut self, full_name: &'static str) -> Self {
        self.full_name = full_name;
        self
    }

    /// One sentence, the version, the cost.
    pub const fn docs(mut self, summary: &'static str, since: &'static str, complexity: &'static str) -> Self {
        self.summary = summary;
        self.since = since;
        self.complexity = complexity;
        self
    }

    /// Its arguments.
    pub const fn args(mut self, args: &'static [Arg]) -> Self {
        self.args = args;
        self
    }

    /// Where its keys are.
    pub const fn keys(mut self, keys: &'static [KeySpec]) -> Self {
        self.keys = keys;
        self
    }

    /// See [`Planner`].
    pub const fn planner(mut self, planner: Planner) -> Self {
        self.planner = Some(planner);
        self
    }

    /// See [`Spec::finder`].
    pub const fn finder(mut self, finder: Finder) -> Self {
        self.finder = Some(finder);
        self
    }

    /// See [`Spec::system`].
    pub const fn system(mut self) -> Self {
        self.system = true;
        self
    }

    /// See [`AloneIf`].
    pub const fn alone_if(mut self, alone_if: AloneIf) -> Self {
        self.alone_if = Some(alone_if);
        self
    }

    /// How it waits.
    pub const fn blocking(mut self, blocking: &'static Blocking) -> Self {
        self.blocking = Some(blocking);
        self
    }

    /// Tips for proxies and clients.
    pub const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.tips = tips;
        self
    }

    /// Further access-control categories.
    pub const fn categories(mut self, categories: &'static [&'static str]) -> Self {
        self.categories = categories;
        self
    }

    /// Deprecated since a version, and replaced by something.
    pub const fn deprecated(mut self, since: &'static str, replaced_by: &'static str) -> Self {
        self.deprecated = Some((since, replaced_by));
        self
    }

    /// Makes it a container.
    pub const fn subcommands(mut self, subcommands: &'static [Self]) -> Self {
        self.subcommands = subcommands;
        self
    }

    /// Whether the number of arguments is right.
    #[inline]
    pub fn arity_fits(&self, len: usize) -> bool {
        if self.arity >= 0 { len == self.arity as usize } else { len >= self.arity.unsigned_abs() as usize }
    }
}
