//! A keyspace, a walk over it, and what is in it.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::ControlFlow;

use persistence::load::{Duplicates, LoadError, Loaded, Rules, load};
use persistence::save::{Preamble, save};
use rdb::file::{Contents, LastUse};
use store::keyspace::Keyspace;
use store::value::Limits;
use store::walk::Walk;

pub fn keyspace() -> Keyspace {
    Keyspace::new(16, 64)
}

/// Loads with three builders and otherwise as a replica does.
pub fn load_all(mut source: impl Read, keyspace: &Keyspace) -> Result<Loaded, LoadError> {
    load_with(&mut source, keyspace, None, Duplicates::Refuse)
}

pub fn load_with(
    source: &mut dyn Read,
    keyspace: &Keyspace,
    expire_before: Option<i64>,
    duplicates: Duplicates,
) -> Result<Loaded, LoadError> {
    let (limits, access) = (Limits::default(), |_, _| 0);
    let rules = Rules {
        threads: 3,
        check: true,
        limits: &limits,
        expire_before,
        expired: &|_, _| {},
        duplicates,
        access: &access,
        section: None,
    };
    load(source, keyspace, &rules, &mut ())
}

pub fn cut(keyspace: &Keyspace) -> Walk {
    keyspace.cut(&keyspace.gate().enter_alone())
}

pub fn contents(keyspace: &Keyspace) -> Contents {
    let section = keyspace.gate().enter();
    let mut databases = (0..keyspace.database_count()).filter_map(|db| keyspace.database(&section, db));
    Contents { field_expiries: databases.any(|database| database.timed_len() > 0), consumer_times: true }
}

/// The keyspace as a file.
pub fn file_of(keyspace: &Keyspace, contents: Contents) -> Vec<u8> {
    let preamble = Preamble {
        contents,
        aux: &[("redis-ver", b"8.0.2".to_vec())],
        compress: true,
        checksum: true,
        last_use: &|_| LastUse::Unknown,
    };
    let mut file = Vec::new();
    let saved = save(&mut cut(keyspace), &preamble, &mut file, || ControlFlow::Continue(())).unwrap();
    assert_eq!(saved.bytes, file.len() as u64);
    file
}

/// Every key with its expiry and its payload. Payloads of sets and hashes differ when their order does; their lengths
/// do not.
pub fn shown(keyspace: &Keyspace) -> BTreeMap<(u32, Vec<u8>), (Option<i64>, usize)> {
    let mut shown = BTreeMap::new();
    for piece in cut(keyspace) {
        for entry in piece.entries() {
            let facts = (entry.expiry(), rdb::payload::dump(entry).len());
            shown.insert((piece.db(), entry.key().to_vec()), facts);
        }
    }
    shown
}
