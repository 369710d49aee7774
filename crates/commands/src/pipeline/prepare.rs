//! Looking ahead in a pipelined batch: what the commands are and where their keys lie, before the first of them runs.
//!
//! A lookup in a large keyspace waits for memory three times: for the stripe, its bucket, and the entry. For a group of
//! commands these waits overlap when each step is hinted for all of them before the next. The stripe's address follows
//! from the hash; for the others the stripe is looked at under a shared try-lock, one at a time and dropped before the
//! next, so no hint waits and none reads memory that somebody changes.

use store::gate::Section;
use store::guard::Key;
use store::keyspace::Keyspace;

use crate::args::Args;
use crate::spec::{Begin, Find, Spec};
use crate::table::{self, Command};

/// Commands that are looked at together.
pub const GROUP: usize = 16;

/// A command that has been looked up.
#[derive(Clone, Copy)]
pub struct Prepared<'a> {
    /// Its arguments.
    pub args: Args<'a>,
    /// The command that the first argument names.
    pub(super) named: Option<Command>,
    /// Its first key, hashed.
    pub(super) first: Option<Key<'a>>,
}

impl<'a> Prepared<'a> {
    /// Looks a command up, and hashes its first key if `ahead` of a prefetch.
    #[inline]
    pub fn new(args: Args<'a>, ahead: bool) -> Self {
        let named = table::lookup(args.get(0));
        let key = named.filter(|_| ahead).and_then(|command| first_key(command.spec, args));
        Self { args, named, first: key.map(Key::new) }
    }
}

/// The first key, where it stands at a fixed place.
#[inline]
fn first_key<'a>(spec: &Spec, args: Args<'a>) -> Option<&'a [u8]> {
    match spec.keys.first()? {
        key if matches!(key.find, Find::Unknown) => None,
        key => match key.begin {
            Begin::Index(index) => args.opt(index),
            Begin::Keyword(..) | Begin::Unknown => None,
        },
    }
}

/// Brings what the group's first keys need near.
#[inline]
pub fn prefetch(keyspace: &Keyspace, section: &Section<'_>, db: u32, group: &[Prepared<'_>]) {
    let Some(database) = keyspace.database(section, db) else { return };
    let hashes = || group.iter().filter_map(|prepared| prepared.first.map(|key| key.hash));
    hashes().for_each(|hash| database.prefetch_stripe(hash));
    hashes().for_each(|hash| database.prefetch_bucket(hash));
    hashes().for_each(|hash| database.prefetch_entry(hash));
}
