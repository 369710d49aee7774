//! Files that are written, loaded, cut short and refused.

mod common;

use std::fs;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;

use common::{contents, cut, file_of, keyspace, load_all, load_with, shown};
use persistence::load::{Duplicates, LoadError};
use persistence::save::{Preamble, save};
use persistence::snapshot_file::{FileError, Step, place, write};
use rdb::file::{Contents, LastUse};
use store::entry::Entry;
use store::guard::Key;
use store::keyspace::Keyspace;
use store::stripe::Mode;
use store::value::Limits;
use store::value::set::Set;

fn put(keyspace: &Keyspace, db: u32, entry: Entry) {
    let section = keyspace.gate().enter();
    let hash = Key::new(entry.key()).hash;
    keyspace.lock_one(&section, db, hash, Mode::Exclusive).insert(db, hash, entry);
}

/// Strings, sets, and some with expiries, in three databases.
fn filled(keys: usize) -> Keyspace {
    let (keyspace, limits) = (keyspace(), Limits::default());
    for number in 0..keys {
        let key = format!("key:{number}");
        let expiry = (number % 3 == 0).then_some(1_000_000 + number as i64);
        let entry = if number % 5 == 0 {
            let mut set = Set::new();
            (0..number % 200).for_each(|member| _ = set.add(format!("m{member}").as_bytes(), &limits));
            set.add(b"always", &limits);
            Entry::boxed(key.as_bytes(), set, expiry)
        } else {
            Entry::string(key.as_bytes(), format!("value {number}").repeat(number % 9 + 1).as_bytes(), expiry)
        };
        put(&keyspace, [0, 1, 15][number % 3], entry);
    }
    keyspace
}

#[test]
fn what_is_saved_is_loaded() {
    let keyspace = filled(5000);
    let file = file_of(&keyspace, contents(&keyspace));
    let again = common::keyspace();
    let loaded = load_all(&file[..], &again).unwrap();
    assert_eq!((loaded.keys, loaded.expired, loaded.bytes), (5000, 0, file.len() as u64));
    assert_eq!(loaded.aux("redis-ver"), Some(&b"8.0.2"[..]));
    assert_eq!(shown(&again), shown(&keyspace));
}

/// The golden files of the crate `rdb`, which judges every value in them. Here it is what the loader's threads make of them:
/// as many keys as their servers had, and an error where a file breaks off.
#[test]
fn files_of_other_servers_are_loaded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rdb/src/file/tests/golden");
    let listings = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let listings = listings.filter(|path| path.file_name().is_some_and(|name| name != "contents.txt"));
    let mut files = 0;
    for path in listings.filter(|path| path.extension().is_some_and(|extension| extension == "txt")) {
        let listing = fs::read_to_string(&path).unwrap();
        let databases = listing.lines().filter_map(|line| line.strip_prefix("db ")?.split(' ').nth(2));
        let keys: u64 = databases.map(|keys| keys.parse::<u64>().unwrap()).sum();
        let functions = listing.lines().filter(|line| line.starts_with("function ")).count() as u64;
        let file = fs::read(path.with_extension("rdb")).unwrap();
        let loaded = load_all(&file[..], &Keyspace::new(100, 4)).unwrap();
        assert_eq!((loaded.keys, loaded.expired, loaded.functions), (keys, 0, functions), "{}", path.display());
        assert_eq!(loaded.bytes, file.len() as u64);
        for end in (0..file.len()).step_by(61) {
            let error = load_all(&file[..end], &Keyspace::new(100, 4)).unwrap_err().to_string();
            assert_eq!(error, format!("data ends too early at offset {end}"), "{}", path.display());
        }
        files += 1;
    }
    assert!(files > 10, "{files} files");
}

#[test]
fn a_primary_leaves_out_what_has_expired() {
    let keyspace = filled(300);
    let file = file_of(&keyspace, Contents::default());
    let again = common::keyspace();
    // Of the keys 0, 3, 6 ... the first fifty have an expiry before this time.
    let loaded = load_with(&mut &file[..], &again, Some(1_000_150), Duplicates::Refuse).unwrap();
    assert_eq!((loaded.keys, loaded.expired), (250, 50));
    let shown = shown(&again);
    assert!(shown.contains_key(&(0, b"key:150".to_vec())), "what expires in this very millisecond is kept");
    assert!(!shown.contains_key(&(0, b"key:147".to_vec())));
}

#[test]
fn a_key_that_is_there_is_an_error_or_replaced() {
    let keyspace = filled(50);
    let file = file_of(&keyspace, Contents::default());
    let error = load_all(&file[..], &keyspace).unwrap_err();
    assert!(matches!(&error, LoadError::Duplicate { key, .. } if key.starts_with("key:")), "{error}");
    put(&keyspace, 0, Entry::string(b"another", b"stays", None));
    let before = shown(&keyspace);
    let loaded = load_with(&mut &file[..], &keyspace, None, Duplicates::Replace).unwrap();
    assert_eq!((loaded.keys, shown(&keyspace)), (50, before));
}

#[test]
fn a_file_cut_short_is_refused_with_the_offset() {
    let file = file_of(&filled(40), Contents::default());
    for end in 0..file.len() {
        let error = load_all(&file[..end], &keyspace()).unwrap_err().to_string();
        assert_eq!(error, format!("data ends too early at offset {end}"));
    }
}

#[test]
fn errors_tell_what_and_where() {
    let check = |bytes: &[u8], text: &str| {
        assert_eq!(load_all(bytes, &keyspace()).unwrap_err().to_string(), text);
    };
    check(
        b"REDIS0010\xfe\x10",
        "database 16 at offset 11 is out of range, there are 16 databases (directive: databases)",
    );
    check(b"REDIS0003\xfe\0\x02\x01s\x02\x01a\x01a\xff", "an element that is there twice at offset 17");
    let file = b"REDIS0003\xfe\0\x00\x01k\x01a\x00\x01k\x01a\xff";
    check(file, "duplicated key 'k' in DB 0 at offset 17");
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is on fire"))
        }
    }
    let error = load_all((&file[..9]).chain(Broken), &keyspace()).unwrap_err();
    assert_eq!(error.to_string(), "reading failed at offset 9: the disk is on fire");
}

#[test]
fn containers_without_elements_are_passed_over() {
    let file = b"REDIS0003\xfe\0\x02\x01s\0\x00\x01k\x01a\xff";
    let loaded = load_all(&file[..], &keyspace()).unwrap();
    assert_eq!((loaded.keys, loaded.empty), (1, 1));
}

fn preamble() -> Preamble<'static> {
    let contents = Contents::default();
    Preamble { contents, aux: &[], compress: false, checksum: true, last_use: &|_| LastUse::Unknown }
}

/// Takes so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.0);
        self.0 -= count;
        if count == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(count) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_ends_a_save_wherever_it_strikes() {
    let keyspace = filled(3000);
    let whole = {
        let mut bytes = Vec::new();
        save(&mut cut(&keyspace), &preamble(), &mut bytes, || ControlFlow::Continue(())).unwrap();
        bytes.len()
    };
    for room in [0, 1, 100, whole / 2, whole - 1] {
        let mut keys = 0;
        let result = save(&mut cut(&keyspace), &preamble(), &mut Full(room), || {
            keys += 1;
            ControlFlow::Continue(())
        });
        assert_eq!(result.map_err(|error| error.kind()), Err(io::ErrorKind::StorageFull), "room for {room}");
        assert!(room > whole / 2 || keys < 3000, "a save goes on with nowhere to go");
    }
}

#[test]
fn a_save_can_be_ended() {
    let mut left = 10;
    let stop = || {
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let result = save(&mut cut(&filled(100)), &preamble(), &mut Vec::new(), stop);
    assert_eq!(result.map_err(|error| error.kind()), Err(io::ErrorKind::Interrupted));
}

fn replace(
    path: &Path,
    temporary: &Path,
    incremental_sync: bool,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), FileError> {
    write(temporary, incremental_sync, content)?;
    place(temporary, path)
}

#[test]
fn a_file_takes_the_place_of_another_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (path, temporary) = (folder.path().join("dump.rdb"), folder.path().join("temp-1.rdb"));
    let names = || {
        let names = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    replace(&path, &temporary, false, |out| out.write_all(b"old")).unwrap();
    let large = vec![7; 9 << 20];
    let error = replace(&path, &temporary, true, |out| {
        out.write_all(&large)?;
        Err(io::Error::from(io::ErrorKind::StorageFull))
    });
    assert_eq!(error.unwrap_err().step, Step::Write);
    assert_eq!((fs::read(&path).unwrap(), names()), (b"old".to_vec(), vec!["dump.rdb".to_owned()]));
    replace(&path, &temporary, true, |out| out.write_all(&large)).unwrap();
    assert_eq!((fs::read(&path).unwrap(), names()), (large, vec!["dump.rdb".to_owned()]));
    // A directory stands where the file is to be.
    let error = replace(folder.path(), &temporary, false, |out| out.write_all(b"new")).unwrap_err();
    assert_eq!((error.step, names()), (Step::Rename, vec!["dump.rdb".to_owned()]));
    let error = replace(&path, &folder.path().join("missing/temp.rdb"), false, |_| Ok(())).unwrap_err();
    assert!(error.to_string().starts_with("Opening ") && error.to_string().contains("missing/temp.rdb: "), "{error}");
}
