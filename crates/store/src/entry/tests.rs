use super::*;
use crate::value::list::Side;

fn text(entry: &Entry) -> Vec<u8> {
    entry.as_str().unwrap().to_vec()
}

#[test]
fn strings_take_the_form_that_fits() {
    let check = |value: &[u8], kind, encoding| {
        for expiry in [None, Some(77)] {
            let entry = Entry::string(b"key", value, expiry);
            assert_eq!((entry.kind(), entry.encoding()), (kind, encoding));
            assert_eq!((entry.key(), text(&entry).as_slice(), entry.expiry()), (&b"key"[..], value, expiry));
        }
    };
    check(b"", Kind::Inline, Encoding::Embstr);
    check(b"-9223372036854775808", Kind::Int, Encoding::Int);
    check(b"9223372036854775808", Kind::Inline, Encoding::Embstr);
    check(b"007", Kind::Inline, Encoding::Embstr);
    check(&[b'x'; 44], Kind::Inline, Encoding::Embstr);
    check(&[b'x'; 45], Kind::Inline, Encoding::Raw);
    check(&[b'x'; SHARED_MIN], Kind::Shared, Encoding::Raw);
}

#[test]
fn an_expiry_comes_and_goes() {
    for value in [&b"12"[..], b"some text", &[b'x'; SHARED_MIN + 5]] {
        let mut entry = Entry::string(b"k", value, None);
        entry.set_access(9);
        entry.set_epoch(4);
        for expiry in [None, Some(5), Some(6), None, Some(-1)] {
            entry.set_expiry(expiry);
            assert_eq!((entry.expiry(), text(&entry).as_slice(), entry.key()), (expiry, value, &b"k"[..]));
            assert_eq!((entry.access(), entry.epoch()), (9, 4));
        }
        let entry = entry.rekeyed(b"another key", None);
        assert_eq!((entry.expiry(), text(&entry).as_slice(), entry.key()), (None, value, &b"another key"[..]));
    }
}

#[test]
fn lengths_of_every_size_come_back() {
    let lengths = [0, 1, 16, 254, 255, 256, 300, 5000];
    for (key_len, value_len) in lengths.iter().flat_map(|key| lengths.map(|value| (*key, value))) {
        let (key, value) = (vec![b'k'; key_len], vec![b'v'; value_len]);
        let mut entry = Entry::raw_string(&key, &value, None);
        // All bits that a clock may have: none of them may get into the length beside it.
        entry.set_access(0xff_ffff);
        for expiry in [Some(-1), Some(i64::MAX), None] {
            entry.set_expiry(expiry);
            assert_eq!((entry.key(), text(&entry), entry.expiry()), (&*key, value.clone(), expiry));
            entry.set_access(0xab_cdef);
            assert_eq!((entry.access(), text(&entry).len()), (0xab_cdef, value_len));
        }
        let moved = entry.share().rekeyed(b"short", Some(1));
        assert_eq!((moved.key(), text(&moved), moved.access()), (&b"short"[..], value.clone(), 0xab_cdef));
        let moved = moved.rekeyed(&key, None);
        assert_eq!((moved.key(), text(&moved)), (&*key, value));
    }
}

#[test]
fn small_entries_fill_the_blocks_they_are_given() {
    let bytes = |value: &[u8], expiry| Entry::string(&[b'k'; 16], value, expiry).allocation_bytes();
    assert_eq!((bytes(b"123456", None), bytes(b"123456", Some(1))), (32, 40));
    assert_eq!((bytes(&[b'v'; 16], None), bytes(&[b'v'; 16], Some(1))), (40, 48));
    assert_eq!((bytes(&[b'v'; 255], None), bytes(&[b'v'; 256], None)), (280, 288));
}

#[test]
fn a_kind_is_told_by_its_tag() {
    for kind in
        [Kind::Int, Kind::Inline, Kind::Shared, Kind::List, Kind::Set, Kind::SortedSet, Kind::Hash, Kind::Stream]
    {
        assert_eq!(Kind::of(kind as u8 | !KIND), kind);
    }
}

#[test]
fn strings_grow_across_all_forms() {
    let mut entry = Entry::string(b"k", b"41", Some(3));
    entry.set_int(42);
    entry.string_mut(4).unwrap()[3] = b'!';
    assert_eq!((text(&entry), entry.encoding()), (b"42\0!".to_vec(), Encoding::Raw));
    let len = SHARED_MIN + 1;
    entry.string_mut(len).unwrap()[len - 1] = b'z';
    assert_eq!((entry.kind(), text(&entry).len(), text(&entry)[len - 1]), (Kind::Shared, len, b'z'));
    let Some(Str::Shared(held)) = entry.as_str() else { panic!() };
    let held = held.clone();
    entry.string_mut(len + 1).unwrap()[0] = b'A';
    assert_eq!((held[0], text(&entry)[0], held.len()), (b'4', b'A', len), "a borrowed payload was changed");
    entry.set_string(b"short", Some(8));
    assert_eq!((text(&entry), entry.expiry()), (b"short".to_vec(), Some(8)));
    entry.set_string(b"shore", Some(9));
    assert_eq!((text(&entry), entry.expiry()), (b"shore".to_vec(), Some(9)));
}

#[test]
fn a_shared_entry_keeps_what_it_was_given() {
    let list = |entry: &Entry| entry.get::<List>().unwrap().iter().map(|item| item.to_vec()).collect::<Vec<_>>();
    let limits = crate::value::Limits::default();
    let mut entry = Entry::boxed(b"k", List::from_elements([&b"a"[..]], &limits), Some(7));
    entry.set_epoch(3);
    entry.set_access(9);
    let shared = entry.share();
    assert_eq!((shared.key(), shared.expiry(), shared.epoch(), shared.access()), (&b"k"[..], Some(7), 3, 9));
    let at = |entry: &Entry| entry.value_address().unwrap();
    assert_eq!(at(&entry), at(&shared), "the value itself is not copied");
    let before = at(&entry);
    entry.get_mut::<List>().unwrap().push_all(Side::Right, [&b"b"[..]], &limits);
    assert_eq!((list(&entry), list(&shared)), (vec![b"a".to_vec(), b"b".to_vec()], vec![b"a".to_vec()]));
    assert_eq!(at(&shared), before);
    let own = at(&entry);
    entry.get_mut::<List>().unwrap().push_all(Side::Right, [&b"c"[..]], &limits);
    assert_eq!(at(&entry), own, "what is one's own already is not copied again");
    drop(entry);
    assert_eq!(list(&shared), [b"a"]);

    for value in [&b"12"[..], b"text", &[b'x'; SHARED_MIN]] {
        let mut entry = Entry::string(b"k", value, None);
        let shared = entry.share();
        entry.string_mut(value.len()).unwrap()[0] = b'!';
        assert_eq!((text(&shared), text(&entry)[0]), (value.to_vec(), b'!'));
    }
}

#[test]
fn only_canonical_integers_are_integers() {
    for text in ["0", "-1", "9223372036854775807", "-9223372036854775808", "10"] {
        assert_eq!(parse_canonical(text.as_bytes()), text.parse().ok());
    }
    for text in [
        "",
        "-",
        "-0",
        "+1",
        "01",
        " 1",
        "1 ",
        "9223372036854775808",
        "-9223372036854775809",
        "1a",
        "99999999999999999999",
        "18446744073709551616",
    ] {
        assert_eq!(parse_canonical(text.as_bytes()), None, "{text}");
    }
}
