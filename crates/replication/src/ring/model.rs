//! Models for loom, with segments of 4 bytes: all interleavings of a few steps, under the memory model, not the machine's.
//!
//! Segments have a cell for each byte that tells loom of every write and read, so that bytes which are read before they
//! are seen to be written, written while they are lent out, or freed too early, fail the model.

use loom::thread;

use super::{NO_DB, Reader, Ring};

const SEGMENT: usize = 4;

fn model(test: impl Fn() + Send + Sync + 'static) {
    let full = std::env::var("BRINDLE_DEPTH").is_ok_and(|depth| depth == "full");
    let mut model = loom::model::Builder::new();
    // One pre-emption takes seconds; two, at full depth, minutes. Loom says that most faults need no more than that, and
    // more take hours.
    model.preemption_bound = Some(if full { 2 } else { 1 });
    model.check(test);
}

fn drain(reader: &mut Reader, into: &mut Vec<u8>) {
    loop {
        let chunk = reader.chunk();
        let length = chunk.len();
        into.extend_from_slice(chunk);
        reader.advance(length);
        if length == 0 {
            return;
        }
    }
}

/// The reader may see the records in either order, or only what is there yet, but each whole.
fn is_prefix_of_an_order(seen: &[u8], records: [&[u8]; 2]) -> bool {
    let [a, b] = records;
    [[a, b].concat(), [b, a].concat(), a.to_vec(), b.to_vec(), Vec::new()].iter().any(|order| seen == order)
}

#[test]
fn records_appear_whole() {
    model(|| {
        let ring = Ring::with_layout(2, 100, SEGMENT, 8);
        let mut reader = ring.reader(2).unwrap();
        let writers: Vec<_> = [b"aaa", b"bbb"]
            .into_iter()
            .map(|record| {
                let mut appender = ring.appender();
                thread::spawn(move || {
                    appender.append(NO_DB, NO_DB, &[record]);
                })
            })
            .collect();
        let mut seen = Vec::new();
        drain(&mut reader, &mut seen);
        assert!(is_prefix_of_an_order(&seen, [b"aaa", b"bbb"]), "{seen:?}");
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        drain(&mut reader, &mut seen);
        assert_eq!(seen.len(), 6);
        assert!(is_prefix_of_an_order(&seen, [b"aaa", b"bbb"]), "{seen:?}");
    });
}

/// A writer's second record must not show its first one to be there before it is.
#[test]
fn a_second_record_shows_the_first() {
    model(|| {
        let ring = Ring::with_layout(0, 100, SEGMENT, 8);
        let mut reader = ring.reader(0).unwrap();
        let mut appender = ring.appender();
        let writer = thread::spawn(move || {
            appender.append(NO_DB, NO_DB, &[b"a"]);
            appender.append(NO_DB, NO_DB, &[b"b"]);
        });
        let mut seen = Vec::new();
        drain(&mut reader, &mut seen);
        drain(&mut reader, &mut seen);
        assert!(b"ab".starts_with(&seen[..]), "{seen:?}");
        writer.join().unwrap();
    });
}

/// Whoever comes second to a database still gets a SELECT if it is another's.
#[test]
fn each_record_stands_in_its_database() {
    model(|| {
        let ring = Ring::with_layout(0, 1000, 64, 8);
        let writer = {
            let mut appender = ring.appender();
            thread::spawn(move || {
                appender.append(1, 1, &[b"a"]);
            })
        };
        ring.appender().append(2, 2, &[b"b"]);
        writer.join().unwrap();
        let mut seen = Vec::new();
        drain(&mut ring.reader(0).unwrap(), &mut seen);
        let select = |database: u8| [&b"*2\r\n$6\r\nSELECT\r\n$1\r\n"[..], &[database], b"\r\n"].concat();
        let (a, b) = ([select(b'1'), b"a".to_vec()].concat(), [select(b'2'), b"b".to_vec()].concat());
        assert!(seen == [&a[..], &b].concat() || seen == [&b[..], &a].concat());
    });
}

/// A reader that is let in keeps what it was promised, whatever is trimmed at the same time.
#[test]
fn nothing_is_freed_under_a_new_reader() {
    model(|| {
        let ring = Ring::with_layout(0, 0, SEGMENT, 8);
        let mut appender = ring.appender();
        appender.append(NO_DB, NO_DB, &[b"abc"]);
        let writer = thread::spawn(move || {
            // Crosses into the next segment, so it trims: nothing needs to be kept but for readers.
            appender.append(NO_DB, NO_DB, &[b"defg"]);
            // May come by the first segment as a spare.
            appender.append(NO_DB, NO_DB, &[b"hijk"]);
        });
        if let Some(mut reader) = ring.reader(0) {
            let mut seen = Vec::new();
            drain(&mut reader, &mut seen);
            assert!(b"abcdefghijk".starts_with(&seen[..]) && seen.len() >= 3, "{seen:?}");
        }
        writer.join().unwrap();
    });
}

/// A copy of a cursor keeps its place when the first one moves on.
#[test]
fn nothing_is_freed_under_a_cloned_reader() {
    model(|| {
        let ring = Ring::with_layout(0, 0, SEGMENT, 8);
        let mut appender = ring.appender();
        let mut reader = ring.reader(0).unwrap();
        appender.append(NO_DB, NO_DB, &[b"abcdef"]);
        let trimmer = {
            let ring = ring.clone();
            thread::spawn(move || ring.trim())
        };
        let mut copy = reader.clone();
        let length = reader.chunk().len();
        reader.advance(length);
        let length = reader.chunk().len();
        reader.advance(length);
        let mut seen = Vec::new();
        drain(&mut copy, &mut seen);
        assert_eq!(seen, b"abcdef");
        trimmer.join().unwrap();
    });
}

/// What is moved to a file is there for whoever reads it, and is not freed under either.
#[test]
fn a_segment_is_moved_while_it_is_read_and_trimmed() {
    model(|| {
        let ring = Ring::with_layout(0, 0, SEGMENT, 8);
        let mut appender = ring.appender();
        let mut reader = ring.reader(0).unwrap();
        appender.append(NO_DB, NO_DB, &[b"abcdef"]);
        let spiller = {
            let ring = ring.clone();
            thread::spawn(move || {
                ring.spill(tempfile::tempfile).unwrap();
                ring.trim_spilled();
            })
        };
        let mut seen = Vec::new();
        drain(&mut reader, &mut seen);
        // Crosses into the next segment, so it trims, unless something lies in files.
        appender.append(NO_DB, NO_DB, &[b"ghijk"]);
        drain(&mut reader, &mut seen);
        assert_eq!(seen, b"abcdefghijk");
        spiller.join().unwrap();
        assert!(!ring.trim_spilled());
        assert_eq!(ring.footprint().spilled(), 0);
    });
}

/// A spare that a reader has put aside is complete when a writer takes it.
#[test]
fn a_writer_finds_what_was_prepared() {
    model(|| {
        let ring = Ring::with_layout(0, 100, SEGMENT, 8);
        let mut reader = ring.reader(0).unwrap();
        let mut appender = ring.appender();
        let writer = thread::spawn(move || {
            appender.append(NO_DB, NO_DB, &[b"abcdefgh"]);
        });
        ring.prepare();
        writer.join().unwrap();
        let mut seen = Vec::new();
        drain(&mut reader, &mut seen);
        assert_eq!(seen, b"abcdefgh");
    });
}
