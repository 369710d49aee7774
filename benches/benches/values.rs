//! The value types by themselves, without keys, locks and commands: nanoseconds for each element that is added, looked
//! up, walked over or removed, in every form that a value can have.
//!
//! `cargo bench -p benches --bench values`. A row is `TYPE/FORM/ELEMENTS/OPERATION`. Elements are added in one order and
//! looked up and removed in another, which no cache foresees. An operation is timed over all elements of a value, or of
//! as many small values as there is something to time; making and freeing the values is not. The allocator is the
//! server's.

use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use fastrand::Rng;
use store::entry::{Entry, SHARED_MIN};
use store::value::hash::{Hash, OldExpiry};
use store::value::list::{List, Side};
use store::value::set::Set;
use store::value::stream::{NewId, Stream, StreamId};
use store::value::zset::{AddFlags, Added, SortedSet};
use store::value::{Encoding, Limits};

use Operation::{Add, Change, LookUp, Remove, Walk};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Elements of a value in its small form, and in its general one.
const SMALL: usize = 32;
const LARGE: usize = 100_000;
/// Elements that are timed together at least.
const TIMED_MIN: usize = 2048;

/// What is put into a value.
#[derive(Clone)]
struct Element {
    /// Its place in the order of adding.
    at: usize,
    /// A number of its own; in the order of adding these are shuffled.
    number: usize,
    bytes: Vec<u8>,
}

type Content = fn(usize) -> Vec<u8>;

fn integer(number: usize) -> Vec<u8> {
    (1_000_000 + number).to_string().into_bytes()
}

fn bytes<const LEN: usize>(number: usize) -> Vec<u8> {
    let mut bytes = format!("member:{number:09}").into_bytes();
    bytes.resize(LEN, b'x');
    bytes
}

/// What can be done to a value, all of which has to succeed.
enum Operation<V> {
    /// Puts an element into a value that was empty at first.
    Add(fn(&mut V, &Element, &Limits) -> bool),
    LookUp(fn(&V, &Element) -> bool),
    /// Changes an element in place.
    Change(fn(&mut V, &Element, &Limits) -> bool),
    /// Walks over all elements and counts them.
    Walk(fn(&V) -> usize),
    Remove(fn(&mut V, &Element, &Limits) -> bool),
}

/// A type with its operations, of which adding is the first.
struct Type<V: 'static> {
    name: &'static str,
    new: fn() -> V,
    encoding: fn(&V) -> Encoding,
    operations: &'static [(&'static str, Operation<V>)],
}

const STRING: Type<Vec<Entry>> = Type {
    name: "string",
    new: Vec::new,
    encoding: |strings| strings[0].encoding(),
    operations: &[
        (
            "create",
            Add(|strings, element, _| {
                strings.push(Entry::string(b"key:000000000042", &element.bytes, None));
                true
            }),
        ),
        (
            "read",
            LookUp(|strings, element| {
                strings[element.at].as_str().is_some_and(|value| *value.bytes() == element.bytes)
            }),
        ),
        (
            "overwrite",
            Change(|strings, element, _| {
                strings[element.at].set_string(&element.bytes, None);
                true
            }),
        ),
        ("free", Remove(|strings, _, _| strings.pop().is_some())),
    ],
};

const LIST: Type<List> = Type {
    name: "list",
    new: List::new,
    encoding: List::encoding,
    operations: &[
        (
            "push right",
            Add(|list, element, limits| {
                list.push_all(Side::Right, [element.bytes.as_slice()], limits);
                true
            }),
        ),
        ("index", LookUp(|list, element| list.get(element.at as i64).is_some())),
        ("set at index", Change(|list, element, limits| list.set(element.at as i64, &element.bytes, limits))),
        ("walk", Walk(|list| list.iter().count())),
        ("pop left", Remove(|list, _, limits| list.pop(Side::Left, limits).is_some())),
    ],
};

const SET: Type<Set> = Type {
    name: "set",
    new: Set::new,
    encoding: Set::encoding,
    operations: &[
        ("add", Add(|set, element, limits| set.add(&element.bytes, limits))),
        ("contains", LookUp(|set, element| set.contains(&element.bytes))),
        ("walk", Walk(|set| set.iter().count())),
        ("remove", Remove(|set, element, _| set.remove(&element.bytes))),
    ],
};

const HASH: Type<Hash> = Type {
    name: "hash",
    new: Hash::new,
    encoding: Hash::encoding,
    operations: &[
        ("set new", Add(|hash, element, limits| hash.set(&element.bytes, &element.bytes, OldExpiry::Clear, limits))),
        ("get", LookUp(|hash, element| hash.get(&element.bytes, 0).is_some())),
        ("set", Change(|hash, element, limits| !hash.set(&element.bytes, &element.bytes, OldExpiry::Clear, limits))),
        ("walk", Walk(|hash| hash.iter(0).count())),
        ("remove", Remove(|hash, element, _| hash.remove(&element.bytes))),
    ],
};

const SORTED_SET: Type<SortedSet> = Type {
    name: "zset",
    new: SortedSet::new,
    encoding: SortedSet::encoding,
    operations: &[
        (
            "add",
            Add(|zset, element, limits| {
                let score = element.number as f64;
                zset.add(&element.bytes, score, AddFlags::empty(), limits) == Added::New(score)
            }),
        ),
        ("score", LookUp(|zset, element| zset.score(&element.bytes).is_some())),
        ("rank", LookUp(|zset, element| zset.rank(&element.bytes).is_some_and(|(rank, _)| rank == element.number))),
        (
            "increment",
            Change(|zset, element, limits| {
                matches!(zset.add(&element.bytes, 1000.0, AddFlags::INCR, limits), Added::Updated(_))
            }),
        ),
        ("walk", Walk(|zset| zset.iter().count())),
        ("remove", Remove(|zset, element, _| zset.remove(&element.bytes).is_some())),
    ],
};

/// The entry with this place, as streams name them.
fn id(element: &Element) -> StreamId {
    StreamId { ms: 1 + element.at as u64, seq: 0 }
}

const STREAM: Type<Stream> = Type {
    name: "stream",
    new: Stream::new,
    encoding: Stream::encoding,
    operations: &[
        (
            "append",
            Add(|stream, element, limits| {
                stream
                    .append(NewId::Exact(id(element)), [(b"field".as_slice(), element.bytes.as_slice())], 0, limits)
                    .is_ok()
            }),
        ),
        ("get", LookUp(|stream, element| stream.get(id(element)).is_some())),
        ("walk", Walk(|stream| stream.range(StreamId::MIN, StreamId::MAX).count())),
        ("delete", Remove(|stream, element, _| stream.delete(&[id(element)]) == 1)),
    ],
};

/// Values of one form while an operation is timed on them.
struct Timed<'a, V: 'static> {
    of: &'a Type<V>,
    operation: &'a Operation<V>,
    added: &'a [Element],
    sought: &'a [Element],
    limits: &'a Limits,
}

impl<V> Timed<'_, V> {
    /// Values to begin with: empty ones for what adds.
    fn prepare(&self) -> Vec<V> {
        let full = !matches!(self.operation, Add(_));
        (0..TIMED_MIN.div_ceil(self.added.len()))
            .map(|_| if full { filled(self.of, self.added, self.limits) } else { (self.of.new)() })
            .collect()
    }

    /// Does to a value what can be done with all elements, and tells with how many it succeeded.
    fn run(&self, value: &mut V) -> usize {
        let limits = self.limits;
        match self.operation {
            Add(add) => self.added.iter().filter(|element| add(value, element, limits)).count(),
            LookUp(look_up) => self.sought.iter().filter(|element| look_up(value, element)).count(),
            Change(act) | Remove(act) => self.sought.iter().filter(|element| act(value, element, limits)).count(),
            Walk(walk) => walk(value),
        }
    }

    /// How long so many elements take.
    fn time(&self, values: &mut Vec<V>, elements: u64) -> Duration {
        let (mut done, mut took) = (0, Duration::ZERO);
        while done < elements {
            let began = Instant::now();
            let succeeded: usize = values.iter_mut().map(|value| self.run(value)).sum();
            took += began.elapsed();
            assert_eq!(succeeded, values.len() * self.added.len());
            done += succeeded as u64;
            if matches!(self.operation, Add(_) | Remove(_)) {
                *values = self.prepare();
            }
        }
        took.mul_f64(elements as f64 / done as f64)
    }
}

fn filled<V>(of: &Type<V>, elements: &[Element], limits: &Limits) -> V {
    let mut value = (of.new)();
    let (_, Add(add)) = &of.operations[0] else { panic!("adding is the first operation") };
    elements.iter().for_each(|element| assert!(add(&mut value, element, limits)));
    value
}

/// All operations of a type in each of these forms: what it is called, how many elements, and what they are.
fn rows<V>(group: &mut BenchmarkGroup<'_, WallTime>, of: &Type<V>, forms: &[(Encoding, usize, Content)]) {
    let (limits, mut rng) = (Limits::default(), Rng::with_seed(1));
    for &(encoding, count, content) in forms {
        let mut numbers: Vec<usize> = (0..count).collect();
        rng.shuffle(&mut numbers);
        let element = |(at, number)| Element { at, number, bytes: content(number) };
        let added: Vec<Element> = numbers.into_iter().enumerate().map(element).collect();
        // Copied in the order in which they are sought, so that only the value is reached at random.
        let mut order: Vec<usize> = (0..count).collect();
        rng.shuffle(&mut order);
        let sought: Vec<Element> = order.into_iter().map(|at| added[at].clone()).collect();
        assert_eq!((of.encoding)(&filled(of, &added, &limits)), encoding);
        for (name, operation) in of.operations {
            let timed = Timed { of, operation, added: &added, sought: &sought, limits: &limits };
            let length = added[0].bytes.len();
            let mut values = timed.prepare();
            group.bench_function(
                format!("{}/{} of {length} bytes/{count}/{name}", of.name, encoding.name()),
                |bencher| {
                    bencher.iter_custom(|elements| timed.time(&mut values, elements));
                },
            );
        }
    }
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("values");
    group.sample_size(20).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(500));
    rows(
        &mut group,
        &STRING,
        &[
            (Encoding::Int, LARGE, integer),
            (Encoding::Embstr, LARGE, bytes::<16>),
            (Encoding::Raw, LARGE, bytes::<64>),
            (Encoding::Raw, 1000, bytes::<SHARED_MIN>),
        ],
    );
    rows(&mut group, &LIST, &[(Encoding::Listpack, SMALL, bytes::<16>), (Encoding::Quicklist, LARGE, bytes::<16>)]);
    rows(
        &mut group,
        &SET,
        &[
            (Encoding::Intset, SMALL, integer),
            (Encoding::Intset, 512, integer),
            (Encoding::Listpack, SMALL, bytes::<16>),
            (Encoding::Hashtable, LARGE, bytes::<16>),
        ],
    );
    rows(&mut group, &HASH, &[(Encoding::Listpack, SMALL, bytes::<16>), (Encoding::Hashtable, LARGE, bytes::<16>)]);
    rows(
        &mut group,
        &SORTED_SET,
        &[(Encoding::Listpack, SMALL, bytes::<16>), (Encoding::Skiplist, LARGE, bytes::<16>)],
    );
    rows(&mut group, &STREAM, &[(Encoding::Stream, SMALL, bytes::<16>), (Encoding::Stream, LARGE, bytes::<16>)]);
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
