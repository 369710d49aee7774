//! Packed forms from bytes of unknown origin: what is taken can be read from both ends and changed anywhere, and stays a
//! packed form.
//!
//! The first byte chooses the form and the place of the changes; the rest is the form's bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use store::value::intset::Intset;
use store::value::listpack::Listpack;

fuzz_target!(|input: &[u8]| {
    let [choice, bytes @ ..] = input else { return };
    match choice & 1 {
        0 => listpack(bytes, usize::from(choice >> 1)),
        _ => intset(bytes, usize::from(choice >> 1)),
    }
});

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
