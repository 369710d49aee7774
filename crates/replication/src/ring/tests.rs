//! The ring against a plain vector, and under load from many threads: every reader sees every record whole, each writer's
//! records in their order, and each record in its database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use proptest::prelude::*;

use super::{Appender, Footprint, NO_DB, Reader, Ring, Room, SEGMENT_BYTES};

/// All that a reader has before it.
fn read_all(reader: &mut Reader) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let chunk = reader.chunk();
        let length = chunk.len();
        if length == 0 {
            return bytes;
        }
        bytes.extend_from_slice(chunk);
        reader.advance(length);
    }
}

fn select(database: u32) -> Vec<u8> {
    format!("*2\r\n$6\r\nSELECT\r\n${}\r\n{database}\r\n", database.to_string().len()).into_bytes()
}

// --- one thread ------------------------------------------------------------------------------------------------------

#[test]
fn a_select_stands_where_the_database_changes() {
    let ring = Ring::new(100, 1 << 20);
    let mut appender = ring.appender();
    let mut reader = ring.reader(100).unwrap();
    let mut check = |first, last, record: &str, expected: &str| {
        let end = appender.append(first, last, &[record.as_bytes()]);
        assert_eq!(String::from_utf8(read_all(&mut reader)).unwrap(), expected);
        assert_eq!((end, end), (reader.position(), ring.published()));
    };
    check(0, 0, "a", "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\na");
    check(0, 0, "b", "b");
    check(NO_DB, NO_DB, "ping", "ping");
    check(0, 12, "c", "c");
    check(12, 12, "d", "d");
    check(3, 3, "e", "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\ne");
    // An index without room in the tail's word is selected each time.
    check(100_000, 100_000, "f", "*2\r\n$6\r\nSELECT\r\n$6\r\n100000\r\nf");
    check(100_000, 100_000, "g", "*2\r\n$6\r\nSELECT\r\n$6\r\n100000\r\ng");
    check(3, 3, "h", "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\nh");
    ring.forget_database();
    check(3, 3, "i", "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\ni");
    assert_eq!(appender.append_raw(&[b"raw"], 5), ring.tail());
    assert_eq!(ring.database(), 5);
}

#[test]
fn a_select_stands_behind_the_opening() {
    let ring = Ring::new(0, 1 << 20);
    let mut appender = ring.appender();
    let mut reader = ring.reader(0).unwrap();
    let mut check = |database, expected: &str| {
        let end = appender.append_opened(database, database, b"multi", &[b"set", b"exec"]);
        assert_eq!(String::from_utf8(read_all(&mut reader)).unwrap(), expected);
        assert_eq!(end, reader.position());
    };
    check(9, "multi*2\r\n$6\r\nSELECT\r\n$1\r\n9\r\nsetexec");
    check(9, "multisetexec");
}

#[test]
fn offsets_go_on_beyond_what_the_tail_holds() {
    for start in [(1 << 48) - 5, (1 << 63) - 5] {
        let ring = Ring::with_layout(start, 1000, 16, 128);
        let mut appender = ring.appender();
        let mut reader = ring.reader(start).unwrap();
        for n in 1..40 {
            assert_eq!(appender.append(NO_DB, NO_DB, &[b"12345"]), start + 5 * n);
        }
        assert_eq!(read_all(&mut reader), b"12345".repeat(39));
    }
}

#[test]
fn what_is_not_there_is_not_read() {
    let ring = Ring::with_layout(1000, 64, 16, 64);
    let mut appender = ring.appender();
    appender.append(NO_DB, NO_DB, &[&[b'x'; 500]]);
    ring.trim();
    assert_eq!((ring.first_offset(), ring.published()), (1436, 1500));
    for (at, there) in [(0, false), (1435, false), (1436, true), (1500, true), (1501, false)] {
        assert_eq!(ring.reader(at).is_some(), there, "{at}");
    }
    // A writer by itself keeps the memory bounded: what is kept, a segment for each end, and the spares.
    for _ in 0..1000 {
        appender.append(NO_DB, NO_DB, &[&[b'x'; 7]]);
    }
    assert!(ring.footprint().memory() <= 64 + 2 * 16 + 4 * 16, "{}", ring.footprint().memory());
}

#[test]
fn rings_are_counted_together_for_as_long_as_they_are_there() {
    let footprint = Arc::<Footprint>::default();
    let rings = [0, 1 << 40].map(|at| Ring::within(at, 0, Room::new(footprint.clone())));
    for ring in &rings {
        ring.appender().append(NO_DB, NO_DB, &[b"a"]);
    }
    // The first segment of each was made with the room.
    assert_eq!([rings[0].footprint().memory(), footprint.memory()], [2 * SEGMENT_BYTES as u64; 2]);
    let [first, second] = rings;
    drop(first);
    assert_eq!(second.footprint().memory(), SEGMENT_BYTES as u64);
    drop(second);
    assert_eq!(footprint.memory(), 0);
}

#[test]
fn what_is_prepared_is_the_next_segment() {
    let ring = Ring::with_layout(0, 1000, 16, 64);
    let mut appender = ring.appender();
    let segments = |appender: &mut Appender| {
        appender.append(NO_DB, NO_DB, &[&[b'x'; 16]]);
        ring.footprint().memory() / 16
    };
    assert_eq!(segments(&mut appender), 1);
    ring.prepare();
    ring.prepare();
    assert_eq!(ring.footprint().memory() / 16, 2);
    assert_eq!([segments(&mut appender), segments(&mut appender)], [2, 3]);
}

#[test]
fn a_pin_keeps_what_lies_above_it() {
    let ring = Ring::with_layout(0, 0, 16, 1024);
    let mut appender = ring.appender();
    let mut slow = ring.reader(0).unwrap();
    let bytes: Vec<u8> = (0..=255).collect();
    appender.append(NO_DB, NO_DB, &[&bytes]);
    let mut copy = slow.clone();
    ring.trim();
    assert_eq!((ring.first_offset(), ring.lag_max(), slow.lag()), (0, 256, 256));
    assert_eq!(read_all(&mut slow), bytes);
    drop(slow);
    ring.trim();
    assert_eq!(read_all(&mut copy), bytes);
    drop(copy);
    ring.trim();
    assert_eq!((ring.first_offset(), ring.lag_max()), (256, 0));
    assert!(ring.footprint().memory() <= 5 * 16);
}

#[test]
#[should_panic(expected = "outgrown its table")]
fn a_stream_longer_than_its_table_stops() {
    let ring = Ring::with_layout(0, 1 << 20, 16, 4);
    ring.appender().append(NO_DB, NO_DB, &[&[0; 65]]);
}

#[test]
fn what_is_spilled_reads_as_before() {
    let ring = Ring::with_layout(3, 0, 16, 1024);
    let mut appender = ring.appender();
    let (mut slow, mut other) = (ring.reader(3).unwrap(), ring.reader(3).unwrap());
    let bytes: Vec<u8> = (0..100).collect();
    appender.append(NO_DB, NO_DB, &[&bytes]);
    // A slice that was lent out before.
    let lent = slow.chunk();
    // Bytes 0 to 103, so six whole segments and a part, which has to stay.
    assert!((0..6).all(|_| ring.spill(tempfile::tempfile).unwrap()));
    assert!(!ring.spill(|| unreachable!("nothing is left")).unwrap());
    assert_eq!(lent, &bytes[..13]);
    assert_eq!((ring.footprint().spilled(), ring.footprint().memory()), (96, 16));
    assert_eq!(read_all(&mut slow), bytes);
    // Writers and `trim` leave files alone, but say from where on anybody may still read.
    appender.append(NO_DB, NO_DB, &[&bytes]);
    ring.trim();
    assert_eq!((ring.footprint().spilled(), ring.first_offset()), (96, 3));
    assert!(ring.trim_spilled(), "nothing is read yet");
    assert_eq!(read_all(&mut other), [&bytes[..], &bytes].concat());
    ring.trim();
    assert_eq!((ring.footprint().spilled(), ring.first_offset()), (96, 103));
    assert!(!ring.trim_spilled());
    assert_eq!(ring.footprint().spilled(), 0);
    assert_eq!(read_all(&mut slow), bytes);
    assert!(!ring.spill(|| unreachable!("all but the last segment is free")).unwrap());
    drop((slow, other));
    // And from here on as if nothing had been.
    for _ in 0..1000 {
        appender.append(NO_DB, NO_DB, &[&bytes[..7]]);
    }
    assert!(ring.footprint().memory() <= 2 * 16 + 4 * 16, "{:?}", ring.footprint());
}

#[test]
fn what_a_disk_refuses_stays() {
    let ring = Ring::with_layout(0, 0, 16, 1024);
    let mut reader = ring.reader(0).unwrap();
    ring.appender().append(NO_DB, NO_DB, &[&[7; 40]]);
    ring.spill(|| Err(std::io::ErrorKind::StorageFull.into())).unwrap_err();
    // Cannot be written.
    ring.spill(|| std::fs::File::open("/dev/null")).unwrap_err();
    // Can be written, but not mapped.
    ring.spill(|| std::fs::File::options().read(true).write(true).open("/dev/null")).unwrap_err();
    assert_eq!((ring.footprint().spilled(), ring.footprint().memory()), (0, 48));
    assert_eq!(read_all(&mut reader), [7; 40]);
    ring.trim();
    assert_eq!(ring.first_offset(), 40);
}

#[derive(Clone, Debug)]
enum Step {
    Append(u32, u32, Vec<Vec<u8>>),
    Raw(Vec<u8>, u32),
    Forget,
    Open(u64),
    Read(usize, usize),
    Close(usize),
    Trim(u64),
    Prepare,
}

fn step() -> impl Strategy<Value = Step> {
    let database = prop_oneof![3 => 0..4u32, 1 => Just(NO_DB)];
    let bytes = || prop::collection::vec(any::<u8>(), 0..50);
    prop_oneof![
        4 => (database.clone(), 0..4u32, prop::collection::vec(bytes(), 0..4)).prop_map(|(first, last, parts)| {
            Step::Append(first, if first == NO_DB { NO_DB } else { last }, parts)
        }),
        1 => (bytes(), database).prop_map(|(bytes, after)| Step::Raw(bytes, after)),
        1 => Just(Step::Forget),
        1 => (0..600u64).prop_map(Step::Open),
        4 => (0..4usize, 0..40usize).prop_map(|(who, bytes)| Step::Read(who, bytes)),
        1 => (0..4usize).prop_map(Step::Close),
        1 => (0..200u64).prop_map(Step::Trim),
        1 => Just(Step::Prepare),
    ]
}

proptest! {
    /// Any sequence of steps gives every reader the bytes of a plain vector.
    #[test]
    fn it_is_a_vector(steps in prop::collection::vec(step(), 1..80)) {
        let ring = Ring::with_layout(0, 100, 32, 256);
        let mut appender = ring.appender();
        let (mut model, mut database) = (Vec::new(), NO_DB);
        let mut readers: Vec<Reader> = Vec::new();
        for step in steps {
            match step {
                Step::Append(first, last, parts) => {
                    if first != NO_DB && first != database {
                        model.extend(select(first));
                    }
                    if last != NO_DB {
                        database = last;
                    }
                    model.extend(parts.concat());
                    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                    prop_assert_eq!(appender.append(first, last, &parts), model.len() as u64);
                }
                Step::Raw(bytes, after) => {
                    model.extend(&bytes);
                    database = after;
                    appender.append_raw(&[&bytes], after);
                }
                Step::Forget => {
                    ring.forget_database();
                    database = NO_DB;
                }
                Step::Open(back) => {
                    let at = (model.len() as u64).saturating_sub(back);
                    let reader = ring.reader(at);
                    prop_assert_eq!(reader.is_some(), at >= ring.first_offset());
                    readers.extend(reader);
                    readers.truncate(4);
                }
                Step::Read(who, bytes) => if let Some(reader) = readers.get_mut(who) {
                    let at = reader.position() as usize;
                    let chunk = reader.chunk();
                    prop_assert_eq!(chunk, &model[at..at + chunk.len()]);
                    prop_assert_eq!(chunk.is_empty(), at == model.len());
                    let bytes = bytes.min(chunk.len());
                    reader.advance(bytes);
                },
                Step::Close(who) => if who < readers.len() {
                    readers.remove(who);
                },
                Step::Prepare => ring.prepare(),
                Step::Trim(keep) => {
                    let before = ring.first_offset();
                    ring.set_keep(keep);
                    ring.trim();
                    let pins = readers.iter().map(Reader::position).min().unwrap_or(u64::MAX);
                    let wanted = (model.len() as u64).saturating_sub(keep).min(pins);
                    prop_assert_eq!(ring.first_offset(), wanted.max(before));
                }
            }
            prop_assert_eq!((ring.tail(), ring.published(), ring.database()), (model.len() as u64, model.len() as u64, database));
        }
    }
}

// --- many threads ----------------------------------------------------------------------------------------------------

/// A record of the stress test: `#` writer sequence database length, `,` between them, `:`, then filler that follows from them.
fn record(writer: u64, sequence: u64, database: u32, length: usize) -> Vec<u8> {
    let mut record = format!("#{writer},{sequence},{database},{length}:").into_bytes();
    record.extend((0..length).map(|n| filler(writer, sequence, n)));
    record
}

fn filler(writer: u64, sequence: u64, n: usize) -> u8 {
    (writer * 31 + sequence * 7 + n as u64) as u8
}

/// Reads the stream as it comes in arbitrary pieces and judges it.
struct Judge {
    pending: Vec<u8>,
    database: u32,
    /// The next sequence of each writer, once it has been seen.
    next: Vec<Option<u64>>,
    records: u64,
}

impl Judge {
    fn new(writers: u64) -> Self {
        Self { pending: Vec::new(), database: NO_DB, next: vec![None; writers as usize], records: 0 }
    }

    fn take(&mut self, chunk: &[u8]) {
        self.pending.extend_from_slice(chunk);
        let mut used = 0;
        while let Some(length) = self.one(used) {
            used += length;
        }
        self.pending.drain(..used);
    }

    /// Judges the record that begins here, if it is complete, and says how long it is.
    fn one(&mut self, from: usize) -> Option<usize> {
        let rest = &self.pending[from..];
        match rest.first()? {
            b'*' => {
                let mut lines = rest.split(|&byte| byte == b'\n');
                let database = lines.nth(4)?;
                lines.next()?;
                self.database = String::from_utf8_lossy(database).trim().parse().expect("a database");
                let length = select(self.database).len();
                assert_eq!(rest[..length], select(self.database));
                Some(length)
            }
            b'#' => {
                let head = rest.iter().position(|&byte| byte == b':')?;
                let fields: Vec<u64> = std::str::from_utf8(&rest[1..head])
                    .expect("a head")
                    .split(',')
                    .map(|field| field.parse().expect("a number"))
                    .collect();
                let [writer, sequence, database, length] = fields[..] else { panic!("a torn head") };
                let whole = rest.get(..head + 1 + length as usize)?;
                assert_eq!(u64::from(self.database), database, "the record stands in another database");
                let filled = whole[head + 1..].iter().enumerate();
                assert!(filled.clone().all(|(n, &byte)| byte == filler(writer, sequence, n)), "a torn record");
                let next = &mut self.next[writer as usize];
                assert_eq!(next.unwrap_or(sequence), sequence, "writer {writer}'s records are out of order");
                *next = Some(sequence + 1);
                self.records += 1;
                Some(whole.len())
            }
            other => panic!("{other} begins no record"),
        }
    }
}

/// Appends `records` records with lengths and databases that vary.
fn write(appender: &mut Appender, writer: u64, records: u64) {
    let mut rng = fastrand::Rng::with_seed(writer);
    for sequence in 0..records {
        let length = if rng.u8(..) == 0 { rng.usize(..600) } else { rng.usize(..40) };
        let database = rng.u32(..16) / 6;
        let record = record(writer, sequence, database, length);
        let cut = rng.usize(..=record.len());
        appender.append(database, database, &[&record[..cut], &record[cut..]]);
    }
}

/// `writers` threads write, `readers` threads read it all at speeds that vary, and others join in the middle and leave.
fn stress(writers: u64, readers: u64, records: u64, keep: u64) {
    let ring = Ring::with_layout(7, keep, 256, 1 << 20);
    let done = Arc::new(AtomicBool::new(false));
    let joined_late = Arc::new(AtomicU64::new(0));
    let full: Vec<_> = (0..readers)
        .map(|seed| {
            let mut reader = ring.reader(7).unwrap();
            let done = done.clone();
            thread::spawn(move || {
                let mut rng = fastrand::Rng::with_seed(seed);
                let mut judge = Judge::new(writers);
                loop {
                    let over = done.load(Relaxed);
                    let chunk = reader.chunk();
                    let bytes = chunk.len().min(rng.usize(1..400));
                    judge.take(&chunk[..bytes]);
                    reader.advance(bytes);
                    if bytes == 0 && over && reader.lag() == 0 {
                        return judge;
                    }
                    if rng.u8(..) < 20 {
                        thread::yield_now();
                    }
                    reader.ring().prepare();
                }
            })
        })
        .collect();
    let late: Vec<_> = (0..2)
        .map(|seed| {
            let (ring, done, joined) = (ring.clone(), done.clone(), joined_late.clone());
            thread::spawn(move || {
                let mut rng = fastrand::Rng::with_seed(100 + seed);
                while !done.load(Relaxed) {
                    let Some(mut reader) = ring.reader(ring.first_offset() + rng.u64(..64)) else { continue };
                    joined.fetch_add(1, Relaxed);
                    // In the middle of a record, so only that it stays the same is judged.
                    for _ in 0..rng.usize(..20) {
                        let seen = reader.chunk().to_vec();
                        assert_eq!(reader.chunk()[..seen.len()], seen);
                        reader.advance(seen.len());
                    }
                    ring.trim();
                }
            })
        })
        .collect();
    let writing: Vec<_> = (0..writers)
        .map(|writer| {
            let mut appender = ring.appender();
            thread::spawn(move || write(&mut appender, writer, records))
        })
        .collect();
    writing.into_iter().for_each(|writer| writer.join().unwrap());
    done.store(true, Relaxed);
    for reader in full {
        let judge = reader.join().unwrap();
        assert_eq!((judge.records, judge.pending.len()), (writers * records, 0));
    }
    late.into_iter().for_each(|reader| reader.join().unwrap());
    assert!(joined_late.load(Relaxed) > 0, "nobody joined late");
    ring.trim();
    assert!(ring.footprint().memory() <= keep + 2 * 256 + 4 * 256, "{}", ring.footprint().memory());
}

#[test]
fn many_writers_and_many_readers() {
    stress(4, 3, 20_000, 4096);
}

#[test]
fn nothing_is_kept_but_for_readers() {
    stress(3, 2, 10_000, 0);
}

/// Segments go into files while many read them and others trim; every reader sees the same as ever.
#[test]
fn segments_go_into_files_under_their_readers() {
    const SEGMENT: usize = 4096;
    let ring = Ring::with_layout(0, 0, SEGMENT, 1 << 16);
    let done = AtomicBool::new(false);
    let (writers, records) = (2, 30_000);
    thread::scope(|scope| {
        let (ring, done) = (&ring, &done);
        let reading: Vec<_> = (0..3)
            .map(|speed| {
                let mut reader = ring.reader(0).unwrap();
                scope.spawn(move || {
                    let mut judge = Judge::new(writers);
                    loop {
                        let over = done.load(Relaxed);
                        // The slow ones leave much to be moved.
                        let lag = reader.lag();
                        if !over && lag < speed * 16 * SEGMENT as u64 {
                            thread::yield_now();
                            continue;
                        }
                        let bytes = reader.chunk().len().min(1000);
                        judge.take(&reader.chunk()[..bytes]);
                        reader.advance(bytes);
                        if bytes == 0 && over && reader.lag() == 0 {
                            return judge;
                        }
                    }
                })
            })
            .collect();
        let spilling = scope.spawn(move || {
            let mut spilled = 0;
            while !done.load(Relaxed) || ring.trim_spilled() {
                spilled += u64::from(ring.spill(tempfile::tempfile).unwrap());
                ring.trim_spilled();
            }
            spilled
        });
        let writing: Vec<_> = (0..writers)
            .map(|writer| {
                let mut appender = ring.appender();
                scope.spawn(move || write(&mut appender, writer, records))
            })
            .collect();
        writing.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Relaxed);
        for reader in reading {
            let judge = reader.join().unwrap();
            assert_eq!((judge.records, judge.pending.len()), (writers * records, 0));
        }
        let spilled = spilling.join().unwrap();
        assert!(spilled > 50, "only {spilled} segments went into files");
        assert_eq!(ring.footprint().spilled(), 0);
    });
}

#[test]
fn writers_come_and_go() {
    let ring = Ring::with_layout(0, 1 << 30, 1024, 1 << 14);
    for round in 0..20 {
        thread::scope(|scope| {
            for writer in 0..4 {
                let ring = &ring;
                scope.spawn(move || {
                    let mut appender = ring.appender();
                    for sequence in 0..50 {
                        let record = record(writer, round * 50 + sequence, 1, 20);
                        appender.append(1, 1, &[&record]);
                    }
                });
            }
        });
    }
    let mut judge = Judge::new(4);
    judge.take(&read_all(&mut ring.reader(0).unwrap()));
    assert_eq!((judge.records, judge.pending.len()), (4000, 0));
}
