//! Copies are cut at every byte, and lie right before a stream.

use super::*;

const MARK: &str = "45cef4957038d327bfd29b10838fceb32599c804";

/// What came out: the framing, the data, how many bytes were left when it ended, and the keep-alives.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    framing: Option<Framing>,
    data: Vec<u8>,
    after: Vec<u8>,
    keep_alives: usize,
    ended: bool,
}

fn read(pieces: &[&[u8]]) -> Result<Seen, PayloadError> {
    let mut payload = Payload::default();
    let mut seen = Seen::default();
    for mut piece in pieces.iter().copied() {
        while !seen.ended {
            match payload.next(&mut piece)? {
                None => break,
                Some(Part::KeepAlive) => seen.keep_alives += 1,
                Some(Part::Begins(framing)) => seen.framing = Some(framing),
                Some(Part::Data(data)) => seen.data.extend_from_slice(data),
                Some(Part::End) => seen.ended = true,
            }
        }
        seen.after.extend_from_slice(piece);
    }
    Ok(seen)
}

#[track_caller]
fn check(text: &[u8], expected: &Seen) {
    for cut in 0..=text.len() {
        assert_eq!(&read(&[&text[..cut], &text[cut..]]).unwrap(), expected, "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = text.chunks(1).collect();
    assert_eq!(&read(&bytes).unwrap(), expected, "byte by byte");
}

#[test]
fn a_counted_copy_ends_after_its_length() {
    let text = b"\n\n$10\r\n0123456789*1\r\n$4\r\nPING\r\n";
    let seen = Seen {
        framing: Some(Framing::Length(10)),
        data: b"0123456789".to_vec(),
        after: b"*1\r\n$4\r\nPING\r\n".to_vec(),
        keep_alives: 2,
        ended: true,
    };
    check(text, &seen);
}

#[test]
fn a_marked_copy_ends_where_the_mark_appears() {
    // Beginnings of the mark inside and right before it: none may end the copy or get lost.
    let data = format!("REDIS{}x{}4{}45cef4957038d327", &MARK[..39], &MARK[..20], &MARK[..1]);
    let text = format!("$EOF:{MARK}\r\n{data}{MARK}*1\r\n$4\r\nPING\r\n");
    let seen = Seen {
        framing: Some(Framing::Mark(*MARK.as_bytes().first_chunk().unwrap())),
        data: data.into_bytes(),
        after: b"*1\r\n$4\r\nPING\r\n".to_vec(),
        keep_alives: 0,
        ended: true,
    };
    check(text.as_bytes(), &seen);
}

#[test]
fn a_mark_that_repeats_itself_is_found() {
    let mark = "ab".repeat(20);
    for before in ["", "a", "ab", "aba", "b", "abab"] {
        let text = format!("$EOF:{mark}\n{before}{mark}");
        for cut in 0..=text.len() {
            let seen = read(&[&text.as_bytes()[..cut], &text.as_bytes()[cut..]]).unwrap();
            // The first occurrence counts; what is left of a second one belongs to the stream.
            let at = format!("{before}{mark}").find(&mark).unwrap();
            assert_eq!(seen.data, before.as_bytes()[..at], "{before} cut at {cut}");
            assert!(seen.ended);
        }
    }
}

#[test]
fn an_incomplete_copy_does_not_end() {
    let text = format!("$EOF:{MARK}\r\ndata{}", &MARK[..39]);
    assert!(!read(&[text.as_bytes()]).unwrap().ended);
    assert!(!read(&[b"$5\r\n1234"]).unwrap().ended);
    assert!(read(&[b"$0\r\n"]).unwrap().ended);
}

#[test]
fn errors_and_nonsense_are_told_apart() {
    let error = |text: &[u8]| read(&[text]).unwrap_err().to_string();
    assert_eq!(
        error(b"-ERR Unable to perform background save\r\n"),
        "MASTER aborted replication with an error: ERR Unable to perform background save"
    );
    let nonsense = "Bad protocol from MASTER, the first byte is not '$' (we received 'HTTP/1.1 400\\x01'), are you sure \
                    the host and port are right?";
    assert_eq!(error(b"HTTP/1.1 400\x01\r\n"), nonsense);
    for text in [&b"$-5\r\n"[..], b"$x\r\n", b"$\r\n", b"$EOF:short\r\n", b"$99999999999999999999\r\n"] {
        assert!(error(text).starts_with("Bad protocol from MASTER"), "{text:?}");
    }
}
