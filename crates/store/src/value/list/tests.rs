use super::*;

fn limits(list_max_listpack_size: i64) -> Limits {
    Limits { list_max_listpack_size, ..Limits::default() }
}

fn list_of(count: usize, limits: &Limits) -> List {
    let mut list = List::new();
    for n in 0..count {
        list.push_all(Side::Right, [n.to_string().as_bytes()], limits);
    }
    list
}

fn strings<'a>(items: impl IntoIterator<Item = Item<'a>>) -> Vec<String> {
    items.into_iter().map(|item| String::from_utf8_lossy(&item.to_vec()).into_owned()).collect()
}

#[test]
fn elements_count_for_positive_limits() {
    let limits = limits(4);
    let mut list = list_of(4, &limits);
    assert_eq!(list.encoding(), Encoding::Listpack);
    list.push_all(Side::Left, [b"x".as_slice()], &limits);
    assert_eq!(list.encoding(), Encoding::Quicklist);
    // The full node made the new element begin one of its own: two nodes, until that one goes.
    list.trim(0, 1, &limits);
    assert_eq!(list.encoding(), Encoding::Quicklist);
    list.pop(Side::Left, &limits);
    assert_eq!(list.encoding(), Encoding::Listpack);

    let mut list = list_of(8, &limits);
    for expected in [Encoding::Quicklist; 5].into_iter().chain([Encoding::Listpack]) {
        list.pop(Side::Right, &limits);
        assert_eq!(list.encoding(), expected, "{list:?}");
    }
    assert_eq!(strings(&list), ["0", "1"]);
}

#[test]
fn bytes_count_for_negative_limits() {
    let limits = limits(-1);
    let big = [b'x'; 2000];
    let mut list = List::new();
    list.push_all(Side::Right, [&big[..], &big[..]], &limits);
    assert_eq!(list.encoding(), Encoding::Listpack);
    list.push_all(Side::Right, [&[b'y'; 85][..]], &limits);
    // Two heads and backlens and the frame: 4019 bytes, and 85 more are too many by eight.
    assert_eq!(list.encoding(), Encoding::Quicklist);
    list.pop(Side::Right, &limits);
    assert_eq!(list.encoding(), Encoding::Quicklist);
    list.pop(Side::Right, &limits);
    assert_eq!(list.encoding(), Encoding::Listpack);
}

#[test]
fn what_fits_as_a_whole_is_built_small() {
    let three: [&[u8]; 3] = [b"a", b"b", b"3"];
    assert_eq!(List::from_elements(three, &limits(3)).encoding(), Encoding::Listpack);
    assert_eq!(List::from_elements(three, &limits(2)).encoding(), Encoding::Quicklist);
    let list = List::from_nodes([NewNode::Plain(vec![b'x'; 5])], &limits(2));
    assert_eq!(list.encoding(), Encoding::Quicklist);
    let list = List::from_nodes([NewNode::Packed(Listpack::new())], &limits(2));
    assert!(list.is_empty());
    assert_eq!(list.encoding(), Encoding::Listpack);
}

#[test]
fn a_large_element_stands_by_itself() {
    let limits = limits(-1);
    let large = vec![b'L'; 5000];
    let mut list = List::new();
    list.push_all(Side::Right, [&b"a"[..], &large, b"b"], &limits);
    let plain: Vec<_> = list.nodes().map(|node| matches!(node, NodeRef::Plain(_))).collect();
    assert_eq!(plain, [false, true, false]);
    assert!(list.get(1).is_some_and(|item| item.eq_bytes(&large)));
    assert_eq!(list.remove(0, &large, &limits), 1);
    assert_eq!(strings(&list), ["a", "b"]);
}

#[test]
fn a_moved_integer_counts_no_bytes() {
    // Redis hands a popped integer over as a number, and adds up string lengths only.
    let limits = limits(-1);
    let fill = [b'x'; 4080];
    let mut list = List::new();
    list.push_all(Side::Right, [&fill[..]], &limits);
    let mut moved = list.clone();
    moved.push(Side::Left, Item::parse(b"12345678"), &limits);
    assert_eq!(moved.encoding(), Encoding::Listpack);
    list.push_all(Side::Left, [&b"12345678"[..]], &limits);
    assert_eq!(list.encoding(), Encoding::Quicklist);
}

#[test]
fn positions_follow_rank_count_and_maxlen() {
    let elements: [&[u8]; 7] = [b"a", b"b", b"a", b"c", b"a", b"a", b"b"];
    for size in [1, 3, 100] {
        let list = List::from_elements(elements, &limits(size));
        let check = |rank, count, maxlen, expected: &[usize]| {
            assert_eq!(list.positions(b"a", Search { rank, count, maxlen }), expected, "{rank} {count} {maxlen}");
        };
        check(1, 1, 0, &[0]);
        check(1, 0, 0, &[0, 2, 4, 5]);
        check(2, 2, 0, &[2, 4]);
        check(-1, 0, 0, &[5, 4, 2, 0]);
        check(-2, 1, 0, &[4]);
        check(1, 0, 3, &[0, 2]);
        check(-1, 0, 2, &[5]);
        check(5, 0, 0, &[]);
        check(i64::MIN, 0, 0, &[]);
        check(i64::MAX, 0, 0, &[]);
    }
    assert!(List::new().positions(b"a", Search { rank: -1, count: 0, maxlen: 0 }).is_empty());
}

#[test]
fn ranges_are_clamped() {
    let list = list_of(5, &limits(2));
    let check = |start, stop, expected: &[&str]| assert_eq!(strings(list.range(start, stop)), expected);
    check(0, -1, &["0", "1", "2", "3", "4"]);
    check(-2, 100, &["3", "4"]);
    check(-100, 0, &["0"]);
    check(i64::MIN, i64::MAX, &["0", "1", "2", "3", "4"]);
    check(i64::MAX, i64::MAX, &[]);
    check(3, 2, &[]);
    check(0, i64::MIN, &[]);
    assert_eq!(list.range(1, 3).len(), 3);
}

/// The same operations on a list and on a vector, at limits where all forms and their changes occur.
#[test]
fn it_behaves_like_a_vector() {
    let mut chains = 0;
    for seed in 0..120 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let limits = limits(*rng.choice(&[0, 1, 2, 5, 64, -1, -2, -5, -9]).expect("not empty"));
        let mut list = List::new();
        let mut model = Vec::new();
        for _ in 0..250 {
            step(&mut list, &mut model, &limits, &mut rng);
            assert_same(&list, &model, &limits, &mut rng);
            chains += usize::from(list.encoding() == Encoding::Quicklist);
        }
    }
    assert!((5_000..25_000).contains(&chains), "both forms occur: {chains} of 30000");
}

fn step(list: &mut List, model: &mut Vec<Vec<u8>>, limits: &Limits, rng: &mut fastrand::Rng) {
    let element = random_element(limits, rng);
    let other = random_element(limits, rng);
    let side = if rng.bool() { Side::Left } else { Side::Right };
    let index = rng.i64(-(model.len() as i64) - 2..model.len() as i64 + 2);
    let known = rng.choice(&*model).cloned().unwrap_or_else(|| element.clone());
    match rng.u8(..13) {
        0..=2 => {
            list.push_all(side, [&element[..], &other], limits);
            push(model, side, element);
            push(model, side, other);
        }
        3 => {
            list.push(side, Item::parse(&element), limits);
            push(model, side, element);
        }
        4 => assert_eq!(list.pop(side, limits), pop(model, side)),
        5 | 6 => {
            let at = usize::try_from(if index < 0 { index + model.len() as i64 } else { index });
            let slot = at.ok().and_then(|at| model.get_mut(at));
            assert_eq!(list.set(index, &element, limits), slot.is_some());
            slot.into_iter().for_each(|slot| slot.clone_from(&element));
        }
        7 | 8 => {
            let pivot = if rng.u8(..8) == 0 { other } else { known };
            let at = model.iter().position(|own| *own == pivot);
            assert_eq!(list.insert(side, &pivot, &element, limits), at.is_some());
            at.into_iter().for_each(|at| model.insert(at + usize::from(side == Side::Right), element.clone()));
        }
        9 => {
            let count = rng.i64(-2..3);
            assert_eq!(list.remove(count, &known, limits), remove(model, count, &known));
        }
        10 => {
            let rotated = list.rotate(side, Side::Right, limits);
            let expected = pop(model, side);
            model.extend(expected.clone());
            assert_eq!(rotated, expected);
        }
        11 => {
            let start = rng.usize(..=model.len());
            let count = rng.usize(..4);
            list.remove_range(start, count, limits);
            model.drain(start..(start + count).min(model.len()));
        }
        _ => {
            let (start, stop) = (rng.i64(-40..3), rng.i64(-3..40));
            let kept = resolve_range(start, stop, model.len());
            assert_eq!(list.trim(start, stop, limits), model.len() - kept.len());
            *model = model[kept].to_vec();
        }
    }
}

fn assert_same(list: &List, model: &[Vec<u8>], limits: &Limits, rng: &mut fastrand::Rng) {
    if let View::Large(chain) = list.form.view() {
        chain.assert_sound();
    }
    assert_eq!((list.len(), list.is_empty()), (model.len(), model.is_empty()));
    assert!(list.iter().map(|item| item.to_vec()).eq(model.iter().cloned()));
    let index = rng.usize(..=model.len());
    assert_eq!(list.get(index as i64).map(|item| item.to_vec()), model.get(index).cloned());
    let forward = list.iter_from(index, Direction::Forward);
    assert!(forward.map(|item| item.to_vec()).eq(model[index..].iter().cloned()));
    if index < model.len() {
        let backward = list.iter_from(index, Direction::Backward);
        assert!(backward.map(|item| item.to_vec()).eq(model[..=index].iter().rev().cloned()));
    }
    let content: usize = model.iter().map(Vec::len).sum();
    // Both ends of a chain may have room that was taken ahead.
    let ahead = if list.encoding() == Encoding::Quicklist { 2 * 8192 } else { 0 };
    let memory_max = 400 + 150 * model.len() + 2 * content + ahead;
    assert!(list.memory_bytes() <= memory_max, "{} for {content}", list.memory_bytes());
    if rng.u8(..20) == 0 {
        let nodes = list.nodes().map(|node| match node {
            NodeRef::Packed(listpack) => NewNode::Packed(listpack.clone()),
            NodeRef::Plain(element) => NewNode::Plain(element.to_vec()),
        });
        let copy = List::from_nodes(nodes, limits);
        assert!(copy.iter().eq(list.iter()));
    }
}

fn push(model: &mut Vec<Vec<u8>>, side: Side, element: Vec<u8>) {
    model.insert(if side == Side::Left { 0 } else { model.len() }, element);
}

fn pop(model: &mut Vec<Vec<u8>>, side: Side) -> Option<Vec<u8>> {
    let last = model.len().checked_sub(1)?;
    Some(model.remove(if side == Side::Left { 0 } else { last }))
}

fn remove(model: &mut Vec<Vec<u8>>, count: i64, element: &[u8]) -> usize {
    let mut matches: Vec<_> = (0..model.len()).filter(|&at| model[at] == element).collect();
    if count < 0 {
        matches.reverse();
    }
    if count != 0 {
        matches.truncate(count.unsigned_abs() as usize);
    }
    matches.sort_unstable();
    matches.iter().rev().for_each(|&at| drop(model.remove(at)));
    matches.len()
}

fn random_element(limits: &Limits, rng: &mut fastrand::Rng) -> Vec<u8> {
    match rng.u8(..10) {
        0..=4 => rng.u8(..8).to_string().into_bytes(),
        5 => (rng.i64(..) >> rng.u32(..64)).to_string().into_bytes(),
        6 | 7 => vec![b'x'; rng.usize(..1500)],
        // Above the limit of a node now and then, where that is not too slow to test.
        8 if limits.list_max_listpack_size > -3 => vec![b'L'; rng.usize(3000..9000)],
        _ => vec![b'y'; rng.usize(..100)],
    }
}

#[test]
fn a_million_elements_stay_compact_and_quick() {
    let limits = limits(-2);
    let mut list = list_of(1_000_000, &limits);
    assert_eq!(list.len(), 1_000_000);
    // Seven bytes at most for a number below a million, and what the nodes cost.
    assert!(list.memory_bytes() < 5_500_000, "{}", list.memory_bytes());
    for index in (0..1_000_000).step_by(9_973) {
        assert_eq!(list.get(index), Some(Item::Int(index)));
    }
    for expected in 0..500_000 {
        assert_eq!(list.pop(Side::Left, &limits), Some(i32::to_string(&expected).into_bytes()));
    }
    assert_eq!(list.trim(0, 9, &limits), 499_990);
    assert_eq!(list.encoding(), Encoding::Listpack);
    assert!(list.memory_bytes() < 128, "{}", list.memory_bytes());
}

/// A node that begins a chain's end has room for as much as its neighbour, once the chain is so long that this is little
/// beside the rest; and no other node has room to spare.
#[test]
fn the_ends_of_a_long_chain_have_their_room_at_once() {
    let limits = limits(-2);
    let rooms = |list: &List| -> Vec<(usize, usize)> {
        let room = |node| match node {
            NodeRef::Packed(listpack) => (listpack.bytes_len(), listpack.memory_bytes()),
            NodeRef::Plain(_) => unreachable!("no element is large"),
        };
        list.nodes().map(room).collect()
    };
    // Blocks come in four sizes for each doubling, so this is as near as a listpack may fit.
    let fits = |(len, room): (usize, usize)| room <= 32 + len * 5 / 4;
    for side in [Side::Left, Side::Right] {
        let mut list = List::new();
        let mut ahead = 0;
        for n in 0..8_000 {
            list.push(side, Item::Bytes(format!("element {n:08}").as_bytes()), &limits);
            let mut rooms = rooms(&list);
            if side == Side::Left {
                rooms.reverse();
            }
            let (end, inner) = rooms.split_last().expect("it has elements");
            assert!(inner.iter().all(|node| fits(*node)), "{inner:?}");
            if inner.len() >= 16 {
                assert_eq!(end.1, inner[inner.len() - 1].1);
                ahead += 1;
            } else {
                assert!(fits(*end), "{end:?} after {} nodes", inner.len());
            }
            let content: usize = rooms.iter().map(|node| node.0).sum();
            assert!(list.memory_bytes() < 1200 + content * 5 / 4, "{} for {content}", list.memory_bytes());
        }
        assert!(ahead > 500, "{ahead}");
        // A stack whose top goes up and down there takes no room again that it has given back.
        for _ in 0..300 {
            list.pop(side, &limits);
        }
        let before = list.memory_bytes();
        list.push(side, Item::Bytes(b"one more"), &limits);
        assert!(list.memory_bytes() <= before + 2048, "{} after {before}", list.memory_bytes());
    }
}

#[test]
fn no_room_is_taken_ahead_for_what_a_dump_brought() {
    let huge = || {
        let mut listpack = Listpack::new();
        listpack.push_back(&[b'h'; 1 << 20]);
        NewNode::Packed(listpack)
    };
    let limits = limits(-2);
    let mut list = List::from_nodes((0..20).map(|_| huge()), &limits);
    let before = list.memory_bytes();
    list.push(Side::Right, Item::Int(1), &limits);
    assert!(list.memory_bytes() < before + 9_000, "{} after {before}", list.memory_bytes());
}

/// Node sizes as the dumps of Redis 8.0.2 show them after the same commands.
#[test]
fn nodes_split_and_join_as_in_redis() {
    let limits = limits(4);
    let check = |list: &List, expected: &[usize]| {
        let sizes = list.nodes().map(|node| if let NodeRef::Packed(packed) = node { packed.len() } else { 0 });
        assert_eq!(sizes.collect::<Vec<_>>(), expected, "{list:?}");
    };
    let mut list = list_of(16, &limits);
    check(&list, &[4, 4, 4, 4]);
    list.insert(Side::Right, b"5", b"x", &limits);
    check(&list, &[4, 2, 3, 4, 4]);
    list.insert(Side::Left, b"10", b"y", &limits);
    check(&list, &[4, 2, 3, 3, 2, 4]);
    list.insert(Side::Left, b"12", b"z", &limits);
    check(&list, &[4, 2, 3, 3, 3, 4]);

    let mut list = list_of(12, &limits);
    list.trim(0, 8, &limits);
    list.insert(Side::Right, b"6", b"x", &limits);
    check(&list, &[4, 3, 3]);
    list.trim(3, -1, &limits);
    list.insert(Side::Left, b"5", b"y", &limits);
    list.insert(Side::Left, b"5", b"z", &limits);
    check(&list, &[4, 2, 3]);
}
