//! Packed forms from bytes of unknown origin: what is taken can be read from both ends and changed anywhere, and stays a
//! packed form. The values that are made of them are changed beside models.
//!
//! The first byte chooses the form, the second the places and kinds of the changes; the rest is the form's bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use store::entry::Entry;
use store::value::hash::{EXPIRY_MAX, Hash};
use store::value::intset::Intset;
use store::value::list::{List, NewNode};
use store::value::listpack::{Item, Listpack};
use store::value::set::Set;
use store::value::zset::SortedSet;
use store_fuzz::{seeds, values};

/// The forms, by the first byte modulo their number.
const FORMS: u8 = 7;
const SMALL_LIMITS: u8 = 0x80;

fuzz_target!(
    init: seeds::write(start()),
    |input: &[u8]| {
        let [form, choice, bytes @ ..] = input else { return };
        let limits = values::limits(form & SMALL_LIMITS != 0);
        let at = usize::from(*choice);
        let entry = match (form & !SMALL_LIMITS) % FORMS {
            0 => return listpack(bytes, at),
            1 => return intset(bytes, at),
            2 => Intset::from_bytes(bytes).ok().map(|ints| Entry::boxed(b"key", Set::from_intset(ints), None)),
            3 => elements(bytes).and_then(Set::from_listpack).map(|set| Entry::boxed(b"key", set, None)),
            4 => elements(bytes).and_then(SortedSet::from_listpack).map(|zset| Entry::boxed(b"key", zset, None)),
            5 => elements(bytes)
                .and_then(|listpack| Hash::from_listpack(listpack, choice & 1 == 1))
                // A dump is refused where a field expires later than any command can say.
                .filter(|hash| hash.iter(0).all(|entry| entry.expiry <= Some(EXPIRY_MAX)))
                .map(|hash| Entry::boxed(b"key", hash, None)),
            _ => elements(bytes).map(|listpack| {
                let nodes = [NewNode::Packed(listpack), NewNode::Plain(b"plain".to_vec())];
                Entry::boxed(b"key", List::from_nodes(nodes, &limits), None)
            }),
        };
        if let Some(mut entry) = entry {
            values::exercise(&mut entry, &limits, (*choice).into());
        }
    }
);

fn elements(bytes: &[u8]) -> Option<Listpack> {
    Listpack::from_bytes(bytes).ok()
}

/// Listpacks with every encoding of an element, and integers of every width.
fn start() -> Vec<Vec<u8>> {
    let ints = [0, 127, -1, 4095, -4096, 32_767, -32_768, 8_388_607, i64::from(i32::MIN), i64::MIN, i64::MAX];
    let mut mixed = Listpack::new();
    ints.iter().for_each(|int| mixed.push_back_int(*int));
    for len in [0, 1, 63, 64, 4095, 4096] {
        mixed.push_back(&vec![b'a' + (len % 7) as u8; len]);
    }
    let of = |elements: &[&[u8]]| {
        let mut listpack = Listpack::new();
        elements.iter().for_each(|element| listpack.push_back(element));
        listpack.as_bytes().to_vec()
    };
    let mut intset = Intset::new();
    let mut forms = vec![
        mixed.as_bytes().to_vec(),
        Listpack::new().as_bytes().to_vec(),
        of(&[b"a", b"7", b"b"]),
        of(&[b"a", b"-inf", b"b", b"1.5", b"c", b"1e300"]),
        of(&[b"f", b"v", b"5", b"g", b"w", b"9", b"h", b"x", b"0"]),
    ];
    for width in [3, 70_000, i64::MAX] {
        intset.add(width);
        intset.add(-width);
        forms.push(intset.as_bytes().to_vec());
    }
    (0..FORMS)
        .flat_map(|form| [form, form + FORMS, form | SMALL_LIMITS])
        .flat_map(|form| forms.iter().map(move |bytes| [&[form, 1], &**bytes].concat()))
        .collect()
}

fn listpack(bytes: &[u8], at: usize) {
    let Ok(mut listpack) = Listpack::from_bytes(bytes) else { return };
    let forwards = listpack.iter().count();
    let mut backwards = 0;
    let mut position = listpack.last();
    while let Some(here) = position {
        backwards += 1;
        position = listpack.prev(here);
    }
    assert_eq!((forwards, backwards), (listpack.len(), listpack.len()));
    if let Some(position) = listpack.seek((at % forwards.max(1)) as isize) {
        let position = listpack.insert_before(position, b"an element");
        listpack.replace(position, b"12345");
        listpack.remove(position);
        let rest = listpack.split_off(position);
        listpack.append(&rest);
    }
    listpack.push_back(b"last");
    listpack.push_front(b"-1");
    assert_eq!(listpack.len(), forwards + 2);
    Listpack::validate(listpack.as_bytes(), true).expect("it is still a listpack");
    // What its owner notes at it stays there, and the room it gives back holds nothing of it.
    listpack.set_mark(3);
    listpack.finish();
    let added: [&[u8]; 3] = [b"", &bytes[..bytes.len().min(at)], b"-32769"];
    listpack.push_back_items(added.map(Item::parse));
    let behind = listpack.iter().skip(forwards + 2);
    assert!(behind.map(|(_, item)| item).eq(added.map(Item::parse)));
    listpack.remove_range(-3, 3);
    assert_eq!((listpack.len(), listpack.room().mark()), (forwards + 2, 3));
    Listpack::validate(listpack.as_bytes(), true).expect("it is still a listpack");
}

fn intset(bytes: &[u8], at: usize) {
    let Ok(mut intset) = Intset::from_bytes(bytes) else { return };
    let values: Vec<i64> = intset.iter().collect();
    assert!(values.is_sorted_by(|left, right| left < right));
    assert!(values.iter().all(|value| intset.contains(*value)));
    intset.add(i64::MIN);
    intset.add(at as i64);
    if let Some(value) = values.get(at % values.len().max(1)) {
        assert!(intset.remove(*value));
    }
    Intset::from_bytes(intset.as_bytes()).expect("it is still a set of integers");
}
