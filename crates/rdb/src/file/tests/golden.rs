//! Files that real servers have written; `golden/README.md` tells what they hold and how they were made. Each is read and
//! compared with the answers of its server, cut at every byte, and changed at every byte.

use std::collections::BTreeMap;
use std::fmt::Write;

use store::value::hash::Hash;
use store::value::list::List;
use store::value::set::Set;
use store::value::stream::{Stream, StreamId};
use store::value::zset::SortedSet;
use testkit::golden::quote;

use super::*;

/// A file, and what its server answered about it.
struct Golden {
    name: &'static str,
    file: &'static [u8],
    listing: &'static str,
}

macro_rules! golden {
    ($($name:literal,)*) => {
        /// All of them.
        const FILES: &[Golden] = &[$(Golden {
            name: $name,
            file: include_bytes!(concat!("golden/", $name, ".rdb")),
            listing: include_str!(concat!("golden/", $name, ".txt")),
        },)*];
    };
}

golden! {
    "redis-7.0.15-full",
    "redis-7.0.15-lru",
    "redis-7.0.15-lfu",
    "redis-7.0.15-bare",
    "redis-7.0.15-empty",
    "redis-8.0.2-full",
    "redis-8.0.2-lru",
    "redis-8.0.2-lfu",
    "redis-8.0.2-bare",
    "redis-8.0.2-empty",
    "redis-8.0.2-cluster",
    "valkey-8.1-full",
    "valkey-8.1-lru",
    "valkey-8.1-lfu",
    "valkey-8.1-bare",
    "valkey-8.1-empty",
    "valkey-8.1-cluster",
}

/// Facts about a file that no server answers to.
const UNLISTED: [&str; 3] = ["ctime", "used-mem", "aof-base"];
/// Fields are shown whether they have expired or not.
const NEVER: u64 = 0;

impl Golden {
    fn is_of(&self, server: &str) -> bool {
        self.name.starts_with(server)
    }

    /// The version in its header.
    fn version(&self) -> u16 {
        match self.name {
            name if name.starts_with("redis-7.0") => 10,
            name if name.starts_with("valkey-8.1") => 11,
            _ => 12,
        }
    }

    fn checksum(&self) -> Checksum {
        if self.name.ends_with("bare") { Checksum::Absent } else { Checksum::Right }
    }
}

/// What the servers that made the files were told about general forms.
fn limits() -> Limits {
    Limits {
        hash_max_listpack_entries: 4,
        list_max_listpack_size: 5,
        set_max_intset_entries: 5,
        set_max_listpack_entries: 4,
        zset_max_listpack_entries: 4,
        ..Limits::default()
    }
}

/// The parts of a file as the listing beside it shows them.
fn listing(golden: &Golden, items: &[Item]) -> String {
    let (mut facts, mut functions) = (String::new(), Vec::new());
    // By database: what is said of it, and its keys in order.
    let mut databases: BTreeMap<u32, (String, BTreeMap<Vec<u8>, String>)> = BTreeMap::new();
    let mut db = 0;
    for item in items {
        match item {
            Item::Aux { name, .. } if UNLISTED.iter().any(|known| known.as_bytes() == name) => {}
            // How Valkey tells of a slot.
            Item::Aux { name, value } if name == b"slot-info" => {
                let value = std::str::from_utf8(value).expect("numbers");
                let [slot, keys, volatile] = value.split(',').collect::<Vec<_>>()[..] else { panic!("{value}") };
                let head = &mut databases.entry(db).or_default().0;
                writeln!(head, "slot {slot} keys {keys} volatile {volatile}").unwrap();
            }
            Item::Aux { name, value } => {
                writeln!(facts, "aux {} {}", name.escape_ascii(), value.escape_ascii()).unwrap();
            }
            Item::Function(code) => functions.push(format!("function {}\n", quote(code))),
            Item::SelectDb(number) => db = *number,
            Item::Resize { keys, volatile } => {
                let head = &mut databases.entry(db).or_default().0;
                writeln!(head, "db {db} keys {keys} volatile {volatile}").unwrap();
            }
            Item::SlotInfo { slot, keys, volatile } => {
                let head = &mut databases.entry(db).or_default().0;
                writeln!(head, "slot {slot} keys {keys} volatile {volatile}").unwrap();
            }
            Item::Entry(raw) => {
                assert_eq!(raw.db, db);
                let key = raw.key().expect("a key").into_owned();
                let shown = show_entry(golden, raw);
                assert_eq!(databases.entry(db).or_default().1.insert(key, shown), None, "a key that is there twice");
            }
            Item::End(_) => {}
        }
    }
    functions.sort();
    let databases = databases.into_values().map(|(head, keys)| head + &keys.into_values().collect::<String>());
    facts + &functions.concat() + &databases.collect::<String>()
}

fn show_entry(golden: &Golden, raw: &RawEntry) -> String {
    let entry = raw.build(&limits()).unwrap_or_else(|error| panic!("{raw:?}: {error}"));
    assert_eq!((entry.key(), entry.expiry()), (&raw.key().unwrap()[..], raw.expiry));
    let (kind, lines) = value(&entry, raw.value_type);
    let encoding = match kind {
        // 7.0 had no small form of these.
        "list" if golden.is_of("redis-7.0") => "quicklist",
        "set" if golden.is_of("redis-7.0") && entry.encoding().name() == "listpack" => "hashtable",
        _ => entry.encoding().name(),
    };
    let mut text = format!("key {} {kind} {encoding}", quote(entry.key()));
    raw.expiry.iter().for_each(|expiry| write!(text, " expires {expiry}").unwrap());
    raw.idle_secs.iter().for_each(|idle| write!(text, " idle {idle}").unwrap());
    raw.frequency.iter().for_each(|frequency| write!(text, " frequency {frequency}").unwrap());
    text.push('\n');
    lines.iter().for_each(|line| writeln!(text, "    {line}").unwrap());
    text
}

/// The name of a value's type, and a line for each element.
fn value(entry: &Entry, value_type: Type) -> (&'static str, Vec<String>) {
    let item = |item: store::value::listpack::Item<'_>| quote(&item.to_vec());
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    if let Some(list) = entry.get::<List>() {
        ("list", list.iter().map(item).collect())
    } else if let Some(set) = entry.get::<Set>() {
        ("set", sorted(set.iter().map(item).collect()))
    } else if let Some(zset) = entry.get::<SortedSet>() {
        ("zset", zset.iter().map(|(member, score)| format!("{} {score:?}", item(member))).collect())
    } else if let Some(hash) = entry.get::<Hash>() {
        let lines = hash.iter(NEVER).map(|of| {
            let expiry = of.expiry.map(|expiry| format!(" expires {expiry}")).unwrap_or_default();
            format!("{} {}{expiry}", item(of.field), item(of.value))
        });
        ("hash", sorted(lines.collect()))
    } else if let Some(stream) = entry.get::<Stream>() {
        ("stream", show_stream(stream, value_type))
    } else {
        ("string", vec![quote(&entry.as_str().expect("a string").bytes())])
    }
}

fn show_stream(stream: &Stream, value_type: Type) -> Vec<String> {
    let (last, first, deleted) = (stream.last_id(), stream.first_id(), stream.max_deleted_id());
    let (len, added) = (stream.len(), stream.entries_added());
    let mut lines = vec![format!("length {len} last {last} first {first} deleted {deleted} added {added}")];
    for entry in stream.range(StreamId::MIN, StreamId::MAX) {
        let words = entry.fields().flat_map(|(field, value)| [field, value]);
        let words: Vec<String> = words.map(|word| quote(&word.to_vec())).collect();
        lines.push(format!("entry {} {}", entry.id(), words.join(" ")));
    }
    for (name, group) in stream.groups() {
        let read = group.entries_read().map_or_else(|| "none".into(), |read| read.to_string());
        lines.push(format!("group {} last {} read {read}", quote(name), group.last_id()));
        for pending in group.pending(StreamId::MIN, StreamId::MAX) {
            let (id, consumer) = (pending.id, quote(pending.consumer));
            let (time, count) = (pending.delivery_time, pending.delivery_count);
            lines.push(format!("pending {id} {consumer} at {time} times {count}"));
        }
        for consumer in group.consumers() {
            let mut line = format!("consumer {} seen {}", quote(consumer.name()), consumer.seen_time());
            // 7.0 knows one time only.
            if value_type != Type::StreamV2 {
                let active = consumer.active_time().map_or_else(|| "-1".into(), |time| time.to_string());
                write!(line, " active {active}").unwrap();
            }
            lines.push(line);
        }
    }
    lines
}

#[test]
fn what_their_servers_answered_is_read() {
    for golden in FILES {
        let whole = items(golden.file);
        let shown = listing(golden, &whole);
        // How long a string may be to lie beside its key depends on the key in Valkey; no file tells.
        let comparable = |line: &str| {
            if golden.is_of("valkey") { line.replace(" string raw", " string embstr") } else { line.to_owned() }
        };
        for (number, (ours, theirs)) in shown.lines().zip(golden.listing.lines()).enumerate() {
            assert_eq!(comparable(ours), comparable(theirs), "{}, line {}", golden.name, number + 1);
        }
        assert_eq!(shown.lines().count(), golden.listing.lines().count(), "{}", golden.name);
        assert_eq!(whole.last(), Some(&Item::End(golden.checksum())), "{}", golden.name);
        let unlisted = |item: &&Item| {
            matches!(item, Item::Aux { name, value } if UNLISTED.iter().any(|known| known.as_bytes() == name)
                && value.iter().all(u8::is_ascii_digit))
        };
        assert_eq!(whole.iter().filter(unlisted).count(), UNLISTED.len(), "{}", golden.name);
        let mut splitter = Splitter::new(true);
        splitter.feed(golden.file, &mut Vec::new()).unwrap();
        assert_eq!(splitter.version(), golden.version(), "{}", golden.name);
    }
}

/// What a server writes at all stands in its files, or the test above would be about less than it seems.
#[test]
fn every_type_that_the_servers_write_is_there() {
    use Type as T;
    let all = [T::String, T::Set, T::Hash, T::Zset, T::SetIntset, T::HashListpack, T::ZsetListpack, T::ListQuicklist2];
    let check = |server: &str, more: &[Type]| {
        let mut found = Vec::new();
        for golden in FILES.iter().filter(|golden| golden.is_of(server)) {
            let types = items(golden.file);
            found.extend(
                types.iter().filter_map(|item| if let Item::Entry(e) = item { Some(e.value_type) } else { None }),
            );
        }
        found.sort_by_key(|value_type| value_type.number());
        found.dedup();
        assert_eq!(found, [&all[..], more].concat(), "{server}");
    };
    check("redis-7.0", &[T::StreamV2]);
    check("valkey-8.1", &[T::SetListpack, T::StreamV3]);
    check("redis-8.0", &[T::SetListpack, T::StreamV3, T::HashExpiries, T::HashListpackExpiries]);
}

#[test]
fn pieces_of_any_size_make_the_same_of_them() {
    for golden in FILES {
        let whole = items(golden.file);
        for size in [1, 2, 3, 7, 64, 1000] {
            assert_eq!(split(golden.file.chunks(size)), (whole.clone(), Ok(())), "{}, pieces of {size}", golden.name);
        }
    }
}

#[test]
fn cut_anywhere_they_are_refused_with_the_offset() {
    for Golden { name, file, .. } in FILES {
        for end in 0..file.len() {
            let (items, result) = split([&file[..end]]);
            assert_eq!(result, Err(Error { offset: end as u64, problem: Problem::Truncated }), "{name}");
            assert!(!items.iter().any(|item| matches!(item, Item::End(_))), "{name} cut at {end}");
            // What came before the cut is whole.
            if let Some(Item::Entry(entry)) = items.iter().rfind(|item| matches!(item, Item::Entry(_))) {
                assert!(entry.build(&limits()).is_ok(), "{name} cut at {end}");
            }
        }
    }
}

/// No byte can change unseen while there is a checksum. It is looked at last, so what the change makes of the parts before is
/// seen too: an error that names a place in the file, or some value, whatever it is.
#[test]
fn changed_anywhere_they_do_no_harm() {
    let mut rng = Rng::with_seed(17);
    for Golden { name, file, .. } in FILES {
        let is_sealed = !name.ends_with("bare");
        let whole = items(file);
        for at in 0..file.len() {
            for change in [1 << (at % 8), rng.u8(1..)] {
                let mut bytes = file.to_vec();
                bytes[at] ^= change;
                let (found, result) = split([&bytes[..]]);
                // Below version 5 nothing is sealed, so the version itself may hide that.
                if is_sealed && bytes[5..9] == file[5..9] {
                    assert!(result.is_err(), "{name}, byte {at} changed by {change:#04x}");
                }
                // Entries that stand where they stood are built by the other tests.
                let changed = found.iter().zip(whole.iter().map(Some).chain(std::iter::repeat(None)));
                let changed = changed.filter(|(item, before)| Some(*item) != *before);
                let built = changed.filter_map(|(item, _)| match item {
                    Item::Entry(raw) => Some(raw.build(&limits()).map(|entry| value(&entry, raw.value_type))),
                    _ => None,
                });
                for error in built.filter_map(Result::err).chain(result.err()) {
                    assert!(error.offset <= file.len() as u64, "{name}, byte {at}: {error}");
                }
            }
        }
    }
}
