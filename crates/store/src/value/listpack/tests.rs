use super::*;

/// What Redis 8.0 writes for these elements: header, entries, end mark.
fn check_bytes(elements: &[&[u8]], expected: &[u8]) {
    let mut listpack = Listpack::new();
    for element in elements {
        listpack.push_back(element);
    }
    assert_eq!(listpack.as_bytes(), expected, "{listpack:?}");
    assert_eq!(Listpack::from_bytes(expected), Ok(listpack));
}

/// The entry bytes of one element alone.
fn entry_of(element: &[u8]) -> Vec<u8> {
    let mut listpack = Listpack::new();
    listpack.push_back(element);
    let bytes = listpack.as_bytes().to_vec();
    bytes[HEADER..bytes.len() - 1].to_vec()
}

#[test]
fn bytes_are_those_of_redis() {
    check_bytes(&[], &[7, 0, 0, 0, 0, 0, 0xFF]);
    check_bytes(&[b"1", b"a"], &[12, 0, 0, 0, 2, 0, 1, 1, 0x81, b'a', 2, 0xFF]);
    check_bytes(&[b""], &[9, 0, 0, 0, 1, 0, 0x80, 1, 0xFF]);
}

#[test]
fn elements_that_are_known_take_one_allocation() {
    let long = vec![b'x'; 5000];
    let long: &'static [u8] = long.leak();
    let elements: [&'static [u8]; 6] = [b"one", b"12", b"-70000", &long[..70], long, b""];
    let mut one_by_one = Listpack::new();
    elements.iter().for_each(|element| one_by_one.push_back(element));
    let room = one_by_one.memory_bytes();
    for at_once in [0, 2, 4, 6] {
        let (first, later) = elements.split_at(at_once);
        let items = |elements: &[&'static [u8]]| elements.iter().copied().map(Item::Bytes).collect::<Vec<_>>();
        let mut together = Listpack::with_room_for(items(first), items(later));
        // Neither more than is needed, nor less.
        assert_eq!(together.memory_bytes(), room);
        for pair in later.chunks(2) {
            together.push_back_items([Item::Bytes(pair[0]), Item::Bytes(pair[1])]);
        }
        assert_eq!((together.as_bytes(), together.memory_bytes()), (one_by_one.as_bytes(), room));
    }
    let many: Vec<_> = (0..70_000).map(Item::Int).collect();
    assert_eq!(Listpack::of(many.clone()).iter().map(|(_, item)| item).collect::<Vec<_>>(), many);
}

#[test]
fn integers_take_the_shortest_encoding() {
    assert_eq!(entry_of(b"127"), [127, 1]);
    assert_eq!(entry_of(b"128"), [0xC0, 128, 2]);
    assert_eq!(entry_of(b"-1"), [0xDF, 0xFF, 2]);
    assert_eq!(entry_of(b"4095"), [0xCF, 0xFF, 2]);
    assert_eq!(entry_of(b"-4096"), [0xD0, 0, 2]);
    assert_eq!(entry_of(b"4096"), [0xF1, 0, 0x10, 3]);
    assert_eq!(entry_of(b"-32768"), [0xF1, 0, 0x80, 3]);
    assert_eq!(entry_of(b"32768"), [0xF2, 0, 0x80, 0, 4]);
    assert_eq!(entry_of(b"-8388608"), [0xF2, 0, 0, 0x80, 4]);
    assert_eq!(entry_of(b"8388608"), [0xF3, 0, 0, 0x80, 0, 5]);
    assert_eq!(entry_of(b"2147483648"), [0xF4, 0, 0, 0, 0x80, 0, 0, 0, 0, 9]);
    assert_eq!(entry_of(b"-9223372036854775808"), [0xF4, 0, 0, 0, 0, 0, 0, 0, 0x80, 9]);
}

#[test]
fn strings_take_the_shortest_head_and_backlens_their_own_width() {
    let check = |len: usize, head: &[u8], tail: &[u8]| {
        let entry = entry_of(&vec![b'x'; len]);
        assert_eq!(&entry[..head.len()], head, "head of {len}");
        assert_eq!(&entry[head.len() + len..], tail, "backlen of {len}");
    };
    check(63, &[0xBF], &[64]);
    check(64, &[0xE0, 64], &[66]);
    check(125, &[0xE0, 125], &[127]);
    check(126, &[0xE0, 126], &[1, 0x80]);
    check(4095, &[0xEF, 0xFF], &[0x20, 0x81]);
    check(4096, &[0xF0, 0, 0x10, 0, 0], &[0x20, 0x85]);
    check(16_377, &[0xF0, 0xF9, 0x3F, 0, 0], &[0x7F, 0xFE]);
    // 16383 would fit two groups of seven bits; Redis spends a third.
    check(16_378, &[0xF0, 0xFA, 0x3F, 0, 0], &[0, 0xFF, 0xFF]);
    check(2_097_146, &[0xF0, 0xFA, 0xFF, 0x1F, 0], &[0, 0xFF, 0xFF, 0xFF]);
}

#[test]
fn only_canonical_decimals_are_integers() {
    let ints: [&[u8]; 7] = [b"0", b"-1", b"10", b"9223372036854775807", b"-9223372036854775808", b"99", b"-10"];
    for int in ints {
        let printed = canonical_int(int).expect("an integer").to_string();
        assert_eq!(printed.as_bytes(), int);
    }
    let strings: [&[u8]; 14] = [
        b"",
        b"-",
        b"-0",
        b"+1",
        b" 1",
        b"1 ",
        b"01",
        b"-01",
        b"1a",
        b"00",
        b"9223372036854775808",
        b"-9223372036854775809",
        b"18446744073709551616",
        b"99999999999999999999",
    ];
    for string in strings {
        assert_eq!(canonical_int(string), None, "{}", string.escape_ascii());
    }
}

#[test]
fn an_item_knows_the_length_of_its_decimal_form() {
    for int in [0, 9, 10, -1, -10, 99, 100, i64::MAX, i64::MIN] {
        assert_eq!(Item::Int(int).len(), int.to_string().len(), "{int}");
        assert_eq!(Item::Int(int).to_vec(), int.to_string().into_bytes());
        assert_eq!(Item::Int(int), Item::Bytes(int.to_string().as_bytes()));
    }
    assert!(Item::Int(1) != Item::Bytes(b"01"));
}

#[test]
fn a_string_that_looks_like_an_integer_is_found_all_the_same() {
    // Redis accepts such entries from a dump although it would not write them.
    let listpack = Listpack::from_bytes(&[11, 0, 0, 0, 1, 0, 0x82, b'1', b'2', 3, 0xFF]).expect("well-formed");
    assert_eq!(listpack.find(b"12", 0), listpack.first());
}

/// Operations drawn by a seeded generator, on a listpack and on a plain vector.
#[test]
fn it_behaves_like_a_vector() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut listpack = Listpack::new();
        let mut model: Vec<Vec<u8>> = Vec::new();
        for _ in 0..400 {
            step(&mut listpack, &mut model, &mut rng);
            Listpack::validate(listpack.as_bytes(), true).expect("well-formed after every step");
            assert_same(&listpack, &model, &mut rng);
        }
    }
}

fn step(listpack: &mut Listpack, model: &mut Vec<Vec<u8>>, rng: &mut fastrand::Rng) {
    let element = random_element(rng);
    let index = rng.usize(..=model.len());
    let position = listpack.seek(index as isize);
    assert_eq!(position.is_some(), index < model.len());
    match (rng.u8(..10), position) {
        (0 | 1, _) => {
            listpack.push_back(&element);
            model.push(element);
        }
        (2, _) => {
            listpack.push_front(&element);
            model.insert(0, element);
        }
        (3, Some(position)) => {
            let inserted = listpack.insert_before(position, &element);
            assert!(listpack.at(inserted).eq_bytes(&element));
            model.insert(index, element);
        }
        (4, Some(position)) => {
            let inserted = listpack.insert_after(position, &element);
            assert!(listpack.at(inserted).eq_bytes(&element));
            model.insert(index + 1, element);
        }
        (5, Some(position)) => {
            listpack.replace(position, &element);
            model[index] = element;
        }
        (6, Some(position)) => {
            let next = listpack.remove(position);
            model.remove(index);
            assert_eq!(next.map(|next| listpack.at(next).to_vec()), model.get(index).cloned());
        }
        (7, Some(_)) => {
            let count = rng.usize(..4);
            let from = if rng.bool() { index as isize } else { index as isize - model.len() as isize };
            listpack.remove_range(from, count);
            model.drain(index..(index + count).min(model.len()));
        }
        (8, Some(position)) => {
            let tail = listpack.split_off(position);
            Listpack::validate(tail.as_bytes(), true).expect("well-formed tail");
            assert_same(&tail, &model[index..], rng);
            if rng.bool() {
                listpack.append(&tail);
            } else {
                model.truncate(index);
            }
        }
        _ => {
            let int = rng.i64(..) >> rng.u32(..64);
            listpack.push_back_int(int);
            model.push(int.to_string().into_bytes());
        }
    }
}

fn assert_same(listpack: &Listpack, model: &[Vec<u8>], rng: &mut fastrand::Rng) {
    assert_eq!(listpack.len(), model.len());
    assert_eq!(listpack.is_empty(), model.is_empty());
    assert!(listpack.iter().map(|(_, item)| item.to_vec()).eq(model.iter().cloned()));
    assert!(listpack.iter().rev().map(|(_, item)| item.to_vec()).eq(model.iter().rev().cloned()));
    assert!(listpack.memory_bytes() <= listpack.bytes_len() * 2 + 16, "no hidden reserve");

    let index = rng.isize(-(model.len() as isize) - 2..model.len() as isize + 2);
    let at = if index < 0 { model.len().checked_add_signed(index) } else { Some(index as usize) };
    assert_eq!(listpack.get(index).map(|item| item.to_vec()), at.and_then(|at| model.get(at)).cloned());

    let wanted = if model.is_empty() { random_element(rng) } else { model[rng.usize(..model.len())].clone() };
    let skip = rng.usize(..3);
    let expected = model.iter().step_by(skip + 1).position(|element| *element == wanted).map(|nth| nth * (skip + 1));
    assert_eq!(listpack.find(&wanted, skip), expected.and_then(|index| listpack.seek(index as isize)));

    let every_third = (0..model.len()).step_by(3);
    assert!(listpack.positions(every_third.clone()).eq(every_third.filter_map(|index| listpack.seek(index as isize))));
    let random = listpack.random(2, rng).map(|position| listpack.iter().position(|(at, _)| at == position));
    assert!(random.is_none_or(|index| index.is_some_and(|index| index % 2 == 0)));
}

fn random_element(rng: &mut fastrand::Rng) -> Vec<u8> {
    match rng.u8(..8) {
        0..=2 => (rng.i64(..) >> rng.u32(..64)).to_string().into_bytes(),
        3 => format!("0{}", rng.u8(..)).into_bytes(),
        4 => vec![rng.u8(..); rng.usize(..9000)],
        _ => std::iter::repeat_with(|| rng.u8(..)).take(7).collect(),
    }
}

#[test]
fn room_taken_ahead_stays_until_something_goes() {
    let mut listpack = Listpack::with_capacity(5000);
    let ahead = listpack.memory_bytes();
    assert!((5000..5200).contains(&ahead), "{ahead}");
    for n in 0..100 {
        listpack.push_front(b"an element of twenty");
        listpack.push_back_int(n);
        // What is put in the place of something smaller grows as well.
        listpack.replace(listpack.first().expect("just pushed"), b"an element of some thirty bytes");
        assert_eq!(listpack.memory_bytes(), ahead);
    }
    listpack.remove_range(-1, 1);
    assert!(listpack.memory_bytes() > listpack.bytes_len() + 1000, "more than half of it is used");
    listpack.remove_range(0, 50);
    assert!(listpack.memory_bytes() < listpack.bytes_len() + 500, "{}", listpack.memory_bytes());
}

#[test]
fn more_entries_than_the_header_can_count() {
    let mut listpack = Listpack::new();
    for int in 0..65_534 {
        listpack.push_back_int(int % 100);
    }
    assert_eq!((listpack.count_field(), listpack.len()), (65_534, 65_534));
    for more in 1..10 {
        listpack.push_back(b"x");
        assert_eq!((listpack.count_field(), listpack.len()), (COUNT_UNKNOWN, 65_534 + more));
    }
    Listpack::validate(listpack.as_bytes(), true).expect("well-formed");
    assert_eq!(listpack.get(65_540), Some(Item::Bytes(b"x")));
    assert_eq!(listpack.get(65_543), None);
    assert_eq!(listpack.get(-10), Some(Item::Int(33)));
    assert_eq!(listpack.get(-65_544), None);
    listpack.remove_range(0, 65_000);
    assert_eq!(listpack.len(), 543);
    listpack.remove_range(0, 543);
    assert_eq!(listpack, Listpack::new());
}

/// Every byte of a good listpack is changed to every value: what is still accepted can be read without a panic.
#[test]
fn corrupt_bytes_are_refused_or_harmless() {
    let mut good = Listpack::new();
    for element in [&b"7"[..], b"-5", b"300000", b"hello", &[b'x'; 70], b"9223372036854775807"] {
        good.push_back(element);
    }
    let good = good.as_bytes().to_vec();
    let mut refused = 0;
    for at in 0..good.len() {
        for value in 0..=255 {
            let mut bytes = good.clone();
            bytes[at] = value;
            refused += usize::from(survives(&bytes).is_err());
        }
        survives(&good[..at]).expect_err("a listpack cut short");
    }
    assert!(refused > good.len() * 20, "only {refused} refused");
}

#[test]
fn random_bytes_are_refused_or_harmless() {
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let len = rng.usize(..40);
        let mut bytes: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(len).collect();
        if len > 6 {
            // A right header and end, so that the entries are looked at.
            bytes[..4].copy_from_slice(&(len as u32).to_le_bytes());
            bytes[4..6].copy_from_slice(&[rng.u8(..4), 0]);
            bytes[len - 1] = END;
        }
        let _ = survives(&bytes);
    }
}

fn survives(bytes: &[u8]) -> Result<(), Corrupt> {
    let listpack = Listpack::from_bytes(bytes)?;
    let forward: Vec<_> = listpack.iter().map(|(_, item)| item.to_vec()).collect();
    let mut backward: Vec<_> = listpack.iter().rev().map(|(_, item)| item.to_vec()).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    assert_eq!(forward.len(), listpack.len());
    Ok(())
}

#[test]
fn each_kind_of_corruption_has_its_name() {
    let check = |bytes: &[u8], expected| assert_eq!(Listpack::validate(bytes, true), Err(expected));
    check(&[7, 0, 0, 0, 0, 0], Corrupt::Size);
    check(&[8, 0, 0, 0, 0, 0, 0xFF], Corrupt::Size);
    check(&[7, 0, 0, 0, 0, 0, 0xFE], Corrupt::End);
    check(&[8, 0, 0, 0, 0, 0, 0xFF, 0xFF], Corrupt::End);
    check(&[7, 0, 0, 0, 1, 0, 0xFF], Corrupt::Count);
    check(&[9, 0, 0, 0, 1, 0, 0xF5, 1, 0xFF], Corrupt::Entry { offset: 6 });
    check(&[9, 0, 0, 0, 1, 0, 5, 2, 0xFF], Corrupt::Entry { offset: 6 });
    check(&[9, 0, 0, 0, 1, 0, 0xF0, 0xFF, 0xFF], Corrupt::Entry { offset: 6 });
    // Without looking at entries the last three pass.
    assert_eq!(Listpack::validate(&[9, 0, 0, 0, 1, 0, 0xF0, 0xFF, 0xFF], false), Ok(()));
}
