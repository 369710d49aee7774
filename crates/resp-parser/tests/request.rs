//! Requests: what Redis 8.0.2 was seen to do with each of these inputs, whole and in pieces.

use proptest::prelude::*;
use resp_parser::{Batch, INLINE_LEN_MAX, Limits, PROTO_MAX_BULK_LEN, ProtocolError, RequestParser, encode_request};

use ProtocolError::*;

const OPEN: Limits = Limits::new(PROTO_MAX_BULK_LEN, true);
const UNAUTHENTICATED: Limits = Limits::new(PROTO_MAX_BULK_LEN, false);
const ALL: usize = usize::MAX;

/// Commands of arguments of bytes.
type Commands = Vec<Vec<Vec<u8>>>;

/// A connection's end of the parser: a buffer that grows at its end and loses what was consumed.
#[derive(Default)]
struct Connection {
    parser: RequestParser,
    buffer: Vec<u8>,
    batch: Batch,
    /// Bytes consumed so far.
    consumed: usize,
    commands: Commands,
    error: Option<ProtocolError>,
}

impl Connection {
    fn feed(&mut self, piece: &[u8], limits: &Limits, max: usize) {
        self.buffer.extend_from_slice(piece);
        while self.error.is_none() {
            self.batch.clear();
            self.error = self.parser.parse(&self.buffer, limits, max, &mut self.batch).err();
            let found = self.batch.len();
            assert!(found <= max);
            let mut behind = 0;
            for command in self.batch.iter() {
                assert!(behind <= command.start && command.start + command.wire_len() == command.end);
                assert!(command.end <= self.parser.consumed());
                behind = command.end;
                self.commands.push(command.iter(&self.buffer).map(<[u8]>::to_vec).collect());
            }
            let consumed = self.parser.consumed();
            self.buffer.drain(..consumed);
            self.parser.discard(consumed);
            self.consumed += consumed;
            if found < max {
                break;
            }
        }
    }
}

fn run<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits, max: usize) -> Connection {
    let mut connection = Connection::default();
    for piece in pieces {
        connection.feed(piece, limits, max);
    }
    connection
}

/// The commands as text, words parted by `,` and commands by `|`; then the error, or what is left over.
fn outcome(connection: &Connection) -> (String, Option<ProtocolError>, usize) {
    let command = |command: &Vec<Vec<u8>>| {
        let words: Vec<_> = command.iter().map(|word| word.escape_ascii().to_string()).collect();
        words.join(",")
    };
    let commands: Vec<_> = connection.commands.iter().map(command).collect();
    (commands.join("|"), connection.error.clone(), connection.consumed)
}

/// Whole, cut at every byte, byte by byte, one command at a time: always the same.
#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "the tables read better without references")]
fn check(input: impl AsRef<[u8]>, limits: &Limits, commands: &str, error: Option<ProtocolError>) {
    let input = input.as_ref();
    let shown = input[..input.len().min(100)].escape_ascii().to_string();
    let whole = outcome(&run([input], limits, ALL));
    assert_eq!((whole.0.as_str(), &whole.1), (commands, &error), "{shown}");
    assert_eq!(outcome(&run([input], limits, 1)), whole, "{shown}, one command at a time");
    assert_eq!(outcome(&run(input.chunks(1), limits, ALL)), whole, "{shown}, byte by byte");
    for cut in 1..input.len().min(300) {
        let (head, tail) = input.split_at(cut);
        for max in [1, ALL] {
            assert_eq!(outcome(&run([head, tail], limits, max)), whole, "{shown}, cut at {cut}, {max} at a time");
        }
    }
}

#[track_caller]
fn accepts(input: impl AsRef<[u8]>, commands: &str) {
    check(input, &OPEN, commands, None);
}

#[track_caller]
fn refuses(input: impl AsRef<[u8]>, commands: &str, error: ProtocolError) {
    check(input, &OPEN, commands, Some(error));
}

#[test]
fn multibulk() {
    accepts("*1\r\n$4\r\nPING\r\n", "PING");
    accepts("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\nb\0\r\n", r"SET,k,a\r\nb\x00");
    accepts("*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", "PING|ECHO,");
    accepts("*1\r\n$0\r\n\r\n", "");
    accepts(format!("*1\r\n$12\r\n{}\r\n", "x".repeat(12)), "xxxxxxxxxxxx");
    accepts(format!("*1\r\n$99\r\n{}\r\n", "x".repeat(99)), &"x".repeat(99));
    accepts(format!("*1\r\n$100\r\n{}\r\n", "x".repeat(100)), &"x".repeat(100));
    for len in [9, 10, 999, 1000, 9_999, 10_000] {
        accepts(format!("*1\r\n${len}\r\n{}\r\nPING\n", "x".repeat(len)), &("x".repeat(len) + "|PING"));
    }
    accepts(format!("*11\r\n{}", "$1\r\nx\r\n".repeat(11)), "x,x,x,x,x,x,x,x,x,x,x");
    accepts(format!("*100\r\n{}", "$1\r\nx\r\n".repeat(100)), &["x"; 100].join(","));
}

#[test]
fn empty_requests_are_skipped() {
    for empty in ["*0\r\n", "*-1\r\n", "*-99999999999\r\n", "\r\n", "\n", "  \r\n", "\t\x0b\x0c\n", "*0\r\n\n*0\r\n"] {
        accepts(empty, "");
        assert_eq!(run([empty.as_bytes()], &OPEN, 1).consumed, empty.len(), "{empty:?}");
        accepts(format!("{empty}*1\r\n$4\r\nPING\r\n{empty}PING\r\n"), "PING|PING");
    }
}

#[test]
fn line_ends_are_skipped_not_verified() {
    accepts("*1\rX$4\r\nPING\r\n", "PING");
    accepts("*1\r\n$4\rXPING\r\n", "PING");
    accepts("*1\r\n$4\r\nPINGXXPING\r\n", "PING|PING");
    accepts("*2\r\n$4\r\nECHO\r\n$1\r\nab\r\n$1\r\n", "ECHO,a|$1");
    refuses("*1\n$4\r\nPING\r\n", "", InvalidMultibulkLength);
}

#[test]
fn counts() {
    let counts = ["", "x", "+1", "01", "-0", "00", " 1", "1 ", "1x", "--1", "0x1"];
    for count in counts.into_iter().chain(["2147483648", "9223372036854775808", "99999999999999999999"]) {
        refuses(format!("*{count}\r\n$4\r\nPING\r\n"), "", InvalidMultibulkLength);
        refuses(format!("PING\r\n*{count}\r\n"), "PING", InvalidMultibulkLength);
    }
    accepts("*2147483647\r\n", "");
}

#[test]
fn lengths() {
    let lengths = ["", "x", "+1", "01", "00", "0001", "00001", "-0", " 1", "1 ", "-1", "-99", "536870913"];
    for len in lengths.into_iter().chain(["9223372036854775807", "9223372036854775808", "99999999999999999999"]) {
        refuses(format!("*2\r\n$4\r\nECHO\r\n${len}\r\nx\r\n"), "", InvalidBulkLength);
        refuses(format!("*1\r\n$4\r\nPING\r\n*1\r\n${len}\r\nx\r\n"), "PING", InvalidBulkLength);
    }
    accepts("*2\r\n$4\r\nECHO\r\n$536870912\r\n", "");
    check("*1\r\n$7\r\n", &Limits::new(6, true), "", Some(InvalidBulkLength));
    check("*1\r\n$7\r\nseven77\r\n", &Limits::new(6, true), "", Some(InvalidBulkLength));
    check("*1\r\n$6\r\nsixsix\r\n", &Limits::new(6, true), "sixsix", None);
    // Positions are 32 bits wide, whatever proto-max-bulk-len is.
    check("*1\r\n$4294967290\r\n", &Limits::new(u64::MAX, true), "", Some(InvalidBulkLength));
}

#[test]
fn an_argument_begins_with_a_dollar() {
    for (line, byte) in [("PING", b'P'), ("", b'\r'), ("\n", b'\n'), ("%s", b'%'), ("+4", b'+'), ("*1", b'*')] {
        refuses(format!("*1\r\n{line}\r\n"), "", ExpectedDollar(byte));
        // It is judged when its line is complete, not before.
        accepts(format!("*1\r\n{line}"), "");
    }
    refuses(b"*1\r\n\xff\r\n", "", ExpectedDollar(0xff));
    refuses("*3\r\n$1\r\na\r\n$1\r\nb\r\nc\r\n", "", ExpectedDollar(b'c'));
}

#[test]
fn before_authentication() {
    let ten = format!("*10\r\n{}", "$1\r\nx\r\n".repeat(10));
    check(&ten, &UNAUTHENTICATED, "x,x,x,x,x,x,x,x,x,x", None);
    check("*11\r\n", &UNAUTHENTICATED, "", Some(UnauthenticatedMultibulkLength));
    check("*100\r\n", &UNAUTHENTICATED, "", Some(UnauthenticatedMultibulkLength));
    check(ten.replace("*10", "*11") + "$1\r\nx\r\n", &UNAUTHENTICATED, "", Some(UnauthenticatedMultibulkLength));
    check("*2147483648\r\n", &UNAUTHENTICATED, "", Some(InvalidMultibulkLength));
    check("*1\r\n$16384\r\n", &UNAUTHENTICATED, "", None);
    check("*1\r\n$16385\r\n", &UNAUTHENTICATED, "", Some(UnauthenticatedBulkLength));
    check("*1\r\n$536870913\r\n", &UNAUTHENTICATED, "", Some(InvalidBulkLength));
    check("*1\r\n$-5\r\n", &UNAUTHENTICATED, "", Some(InvalidBulkLength));
    // A caller that puts the lower limits into the fields itself gets the same.
    let explicit = Limits { multibulk_len_max: 10, bulk_len_max: 16384, ..UNAUTHENTICATED };
    check("*11\r\n", &explicit, "", Some(UnauthenticatedMultibulkLength));
    check("*1\r\n$16385\r\n", &explicit, "", Some(UnauthenticatedBulkLength));
}

#[test]
fn authentication_lifts_the_limits_for_what_is_buffered() {
    let mut connection = Connection::default();
    let eleven = format!("*11\r\n{}", "$1\r\nx\r\n".repeat(11));
    let mut batch = Batch::new();
    connection.buffer = format!("*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n{eleven}").into_bytes();
    connection.parser.parse(&connection.buffer, &UNAUTHENTICATED, 1, &mut batch).unwrap();
    assert_eq!(batch.command(0).arg(&connection.buffer, 0), b"AUTH");
    connection.parser.parse(&connection.buffer, &OPEN, 1, &mut batch).unwrap();
    assert_eq!(batch.command(1).args.len(), 11);
}

#[test]
fn inline_words() {
    accepts("PING\r\n", "PING");
    accepts("PING\n", "PING");
    accepts("PING\r\r\n", "PING");
    accepts("  SET  k\tv  \r\n", "SET,k,v");
    accepts("\x0b\x0cPING\r\n", "PING");
    accepts("ECHO a\x0bb\r\n", r"ECHO,a\x0bb");
    accepts("ECHO a\rb\r\n", "ECHO,a,b");
    accepts("+PING\r\n", "+PING");
    accepts("$4\r\nPING\r\n", "$4|PING");
    accepts(b"ECHO \xff\r\n", r"ECHO,\xff");
    accepts("*1\r\n$4\r\nPING\r\nECHO a\r\n*1\r\n$4\r\nPING\r\n", "PING|ECHO,a|PING");
}

#[test]
fn inline_quotes() {
    accepts("ECHO \"a b\"\r\n", "ECHO,a b");
    accepts("ECHO 'a b'\r\n", "ECHO,a b");
    accepts("'ECHO' \"x\"\r\n", "ECHO,x");
    accepts("ECHO \"\" ''\r\n", "ECHO,,");
    accepts("\"\"\r\n", "");
    accepts("ECHO a\"b c\" a'b c'\r\n", "ECHO,ab c,ab c");
    accepts("ECHO \"a\"\tb\r\n", "ECHO,a,b");
    accepts("ECHO \"a\"\x0b\r\n", "ECHO,a");
    accepts(r#"ECHO "\x41\xfg\n\r\t\b\a\q\"\\""#.to_owned() + "\r\n", r#"ECHO,Axfg\n\r\t\x08\x07q\"\\"#);
    accepts(r#"ECHO "\x4""#.to_owned() + "\n", "ECHO,x4");
    accepts(r#"ECHO "\x00\xfF""#.to_owned() + "\n", r"ECHO,\x00\xff");
    accepts(r"ECHO 'a\'b\n'".to_owned() + "\n", r"ECHO,a\'b\\n");
    accepts(r"ECHO a\'b' a\x41\n".to_owned() + "\n", r"ECHO,a\\b,a\\x41\\n");
    for unbalanced in ["\"a b", "\"a\"b", "'a'b", "'a", "'a\\'", "\"a\\\"", "\"a\"\"b\"", "\"a\"'b'", "\"", "'", "a\""]
    {
        refuses(format!("ECHO {unbalanced}\r\nPING\r\n"), "", UnbalancedQuotes);
        refuses(format!("PING\r\nECHO {unbalanced}\n"), "PING", UnbalancedQuotes);
    }
    // In single quotes the second backslash escapes the quote, so the quote stays open.
    refuses(r"ECHO 'a\'b\n\\'".to_owned() + "\r\n", "", UnbalancedQuotes);
}

/// Redis searches line ends in C strings. Its suite relies on it: a NUL and much text must end in a protocol error.
#[test]
fn a_nul_hides_every_line_end_behind_it() {
    for input in [
        "PI\0NG\r\nPING\r\n",
        "\0PING\n",
        "PING\0\r\n",
        "ECHO \"a\0b\"\n",
        "*\x001\r\n",
        "*1\r\n\0\r\n",
        "*1\r\n$\x004\r\n",
    ] {
        accepts(input, "");
        let error = match input.split_once("*1\r\n") {
            Some(_) => TooBigBulkCount,
            None if input.starts_with('*') => TooBigMbulkCount,
            None => TooBigInline,
        };
        let long = input.to_owned() + &"A\n".repeat(40_000);
        assert_eq!(run([long.as_bytes()], &OPEN, ALL).error, Some(error.clone()), "{input:?}");
        assert_eq!(run(long.as_bytes().chunks(7), &OPEN, ALL).error, Some(error), "{input:?} in pieces");
    }
}

#[test]
fn lines_that_are_too_big() {
    for (before, too_big) in
        [("", TooBigInline), ("*", TooBigMbulkCount), ("*1\r\n$", TooBigBulkCount), ("*1\r\n", TooBigBulkCount)]
    {
        let marker = usize::from(before.ends_with(['*', '$']));
        let line = |len: usize| before.to_owned() + &"1".repeat(len - marker);
        let longest = line(INLINE_LEN_MAX);
        for size in [1, 1000, 1 << 14, ALL] {
            let run = |input: &str| run(input.as_bytes().chunks(size), &OPEN, ALL).error;
            assert_eq!(run(&longest), None, "{before:?}");
            assert_eq!(run(&line(INLINE_LEN_MAX + 1)), Some(too_big.clone()), "{before:?}");
            assert_eq!(run(&(line(INLINE_LEN_MAX + 1) + "\r\n")), Some(too_big.clone()), "{before:?}");
            let fits = match too_big {
                TooBigInline => None,
                TooBigMbulkCount => Some(InvalidMultibulkLength),
                _ if marker == 0 => Some(ExpectedDollar(b'1')),
                _ => Some(InvalidBulkLength),
            };
            assert_eq!(
                run(&(longest.clone() + "\r\n")),
                if fits.is_none() { Some(TooBigInline) } else { fits },
                "{before:?}"
            );
        }
    }
    // The LF is what ends an inline request, so the CR counts.
    let fits = "x".repeat(INLINE_LEN_MAX - 1) + "\r\n";
    assert_eq!(run([fits.as_bytes()], &OPEN, ALL).commands.len(), 1);
}

#[test]
fn error_texts() {
    let table = [
        (TooBigMbulkCount, "too big mbulk count string"),
        (InvalidMultibulkLength, "invalid multibulk length"),
        (UnauthenticatedMultibulkLength, "unauthenticated multibulk length"),
        (TooBigBulkCount, "too big bulk count string"),
        (ExpectedDollar(b'P'), "expected '$', got 'P'"),
        (ExpectedDollar(b'\r'), "expected '$', got ' '"),
        (ExpectedDollar(b'\n'), "expected '$', got ' '"),
        (InvalidBulkLength, "invalid bulk length"),
        (UnauthenticatedBulkLength, "unauthenticated bulk length"),
        (TooBigInline, "too big inline request"),
        (UnbalancedQuotes, "unbalanced quotes in request"),
    ];
    for (error, text) in table {
        assert_eq!(error.to_string(), text);
        assert_eq!(error.wire(), format!("ERR Protocol error: {text}").as_bytes());
    }
    assert_eq!(ExpectedDollar(0xff).wire(), b"ERR Protocol error: expected '$', got '\xff'");
}

#[test]
fn an_error_stays() {
    for input in ["*x\r\n", "*2\r\n$1\r\na\r\n$x\r\n", "*1\r\nx\r\n", "'\n"] {
        let buffer = format!("PING\r\n{input}");
        let (mut parser, mut batch) = (RequestParser::default(), Batch::new());
        let error = parser.parse(buffer.as_bytes(), &OPEN, ALL, &mut batch).unwrap_err();
        assert_eq!(batch.len(), 1);
        parser.discard(parser.consumed());
        batch.clear();
        assert_eq!(parser.parse(input.as_bytes(), &OPEN, ALL, &mut batch), Err(error), "{input:?}");
        assert!(batch.is_empty());
    }
}

#[test]
fn max_is_a_bound_and_the_rest_waits() {
    let buffer = "PING\r\n".repeat(5);
    let (mut parser, mut batch) = (RequestParser::default(), Batch::new());
    for (max, len, consumed) in [(2, 2, 12), (0, 2, 12), (1, 3, 18), (ALL, 5, 30), (ALL, 5, 30)] {
        parser.parse(buffer.as_bytes(), &OPEN, max, &mut batch).unwrap();
        assert_eq!((batch.len(), parser.consumed()), (len, consumed));
    }
    assert!(batch.command(4).is_inline());
    assert_eq!(batch.command(4).arg(buffer.as_bytes(), 0), b"PING");
}

#[test]
fn one_batch_serves_two_connections() {
    let mut batch = Batch::new();
    let (mut first, mut second) = (RequestParser::default(), RequestParser::default());
    let begun = "PING\r\n*2\r\n$4\r\nECHO\r\n$1\r\n";
    first.parse(begun.as_bytes(), &OPEN, ALL, &mut batch).unwrap();
    second.parse(b"*1\r\n$4\r\nQUIT\r\n", &OPEN, ALL, &mut batch).unwrap();
    assert_eq!((batch.len(), batch.command(1).args.len()), (2, 1));
    batch.clear();
    let whole = format!("{begun}a\r\n");
    first.parse(whole.as_bytes(), &OPEN, ALL, &mut batch).unwrap();
    let echo = batch.command(0);
    assert_eq!((echo.start, echo.end, echo.wire_len()), (6, whole.len(), whole.len() - 6));
    assert_eq!(echo.iter(whole.as_bytes()).collect::<Vec<_>>(), [b"ECHO".as_slice(), b"a"]);
}

#[test]
fn what_is_pending_and_wanted() {
    let (mut parser, mut batch) = (RequestParser::default(), Batch::new());
    let input = b"*3\r\n$3\r\nSET\r\n$2\r\nkk\r\n$1000\r\nvvvv";
    let mut facts = |end: usize| {
        parser.parse(&input[..end], &OPEN, ALL, &mut batch).unwrap();
        (parser.pending_args(), parser.pending_args_bytes(), parser.wanted())
    };
    assert_eq!(facts(2), (0, 0, 0));
    assert_eq!(facts(4), (0, 0, 0));
    assert_eq!(facts(8), (0, 0, 5));
    assert_eq!(facts(11), (0, 0, 2));
    assert_eq!(facts(13), (1, 3, 0));
    assert_eq!(facts(21), (2, 5, 0));
    assert_eq!(facts(28), (2, 5, 1002));
    assert_eq!(facts(32), (2, 5, 998));
    let whole = [&input[..28], &[b'v'; 1002]].concat();
    parser.parse(&whole, &OPEN, ALL, &mut batch).unwrap();
    assert_eq!((parser.pending_args(), parser.wanted(), batch.len()), (0, 0, 1));
}

/// Bytes that were understood are scrambled before the next pass; a parser that looked back would notice.
#[test]
fn never_looks_back() {
    let pieces = [
        "*4\r\n",
        "$3\r\n",
        "abc",
        "\r\n",
        "$12\r\n",
        "abcdefghijkl\r\n",
        "$100\r\n",
        &"x".repeat(60),
        &"x".repeat(42),
        "$0\r\n",
        "\r\n",
    ];
    let (mut parser, mut batch, mut buffer) = (RequestParser::default(), Batch::new(), Vec::new());
    for piece in pieces {
        assert!(batch.is_empty());
        buffer.extend_from_slice(piece.as_bytes());
        parser.parse(&buffer, &OPEN, ALL, &mut batch).unwrap();
        buffer.fill(b'?');
    }
    let spans: Vec<_> = batch.command(0).args.iter().map(|span| (span.start, span.len)).collect();
    assert_eq!(spans, [(8, 3), (18, 12), (38, 100), (144, 0)]);
}

#[test]
fn a_million_tiny_arguments() {
    let input = format!("PING\r\n*1000000\r\n{}", "$1\r\nx\r\n".repeat(1_000_000));
    let connection = run(input.as_bytes().chunks(16 << 10), &OPEN, ALL);
    assert_eq!((connection.error, connection.consumed), (None, input.len()));
    assert_eq!(connection.commands[1].len(), 1_000_000);
    assert!(connection.commands[1].iter().all(|arg| arg == b"x"));
}

/// Thousands of connections claim a million arguments or half a gigabyte each and send nothing more.
#[cfg(target_os = "linux")]
#[test]
fn claims_allocate_nothing() {
    use resp_parser::ReplyDecoder;

    // Address space, not resident memory: an allocation counts even while nothing is written to it.
    let address_space = || {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').next().unwrap().parse::<usize>().unwrap() * 4096
    };
    let before = address_space();
    let mut kept = Vec::new();
    for claim in ["*2147483647\r\n", "*1000000\r\n$536870912\r\n", "*2147483647\r\n$536870912\r\nx"] {
        kept.extend((0..1000).map(|_| run(claim.as_bytes().chunks(1), &OPEN, ALL)));
    }
    let mut decoders = Vec::new();
    for claim in ["*4294967296\r\n", "%4294967296\r\n$536870912\r\n", "$536870912\r\nx", &"*4294967296\r\n".repeat(100)]
    {
        for _ in 0..1000 {
            let mut decoder = ReplyDecoder::new();
            decoder.feed(claim.as_bytes());
            assert_eq!(decoder.next(), Ok(None));
            decoders.push(decoder);
        }
    }
    // The other tests of this file run beside it, and together they stay far below this, too.
    assert!(address_space() - before < 2 << 30);
}

fn any_request() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let arg = prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..20),
        1 => prop::collection::vec(any::<u8>(), 90..300),
    ];
    prop_oneof![8 => prop::collection::vec(arg.clone(), 1..6), 1 => prop::collection::vec(arg, 9..120)]
}

/// Spells a request as an inline one that needs every kind of escape.
fn encode_inline(args: &[Vec<u8>], out: &mut Vec<u8>) {
    for arg in args {
        out.extend_from_slice(b" \"");
        for &byte in arg {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                b'\n' => out.extend_from_slice(b"\\n"),
                b' '..=b'~' => out.push(byte),
                _ => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
            }
        }
        out.push(b'"');
    }
    out.extend_from_slice(b"\r\n");
}

proptest! {
    #[test]
    fn what_is_encoded_comes_back(
        requests in prop::collection::vec((any_request(), any::<bool>()), 1..8),
        size in 1usize..200,
        max in 1usize..4,
    ) {
        let mut stream = Vec::new();
        for (args, inline) in &requests {
            if *inline { encode_inline(args, &mut stream) } else { encode_request(args, &mut stream) }
        }
        let requests: Commands = requests.into_iter().map(|(args, _)| args).collect();
        for connection in [run([&stream[..]], &OPEN, ALL), run(stream.chunks(size), &OPEN, max)] {
            prop_assert_eq!(&connection.commands, &requests);
            prop_assert_eq!((connection.error, connection.consumed), (None, stream.len()));
        }
    }

    #[test]
    fn garbage_in_pieces_equals_garbage_in_one(
        stream in prop::collection::vec(prop::sample::select(&b"**$$0112\r\r\n\n\r\n x\"'\\\0"[..]), 0..120),
        size in 1usize..30,
        max in 1usize..4,
        authenticated: bool,
    ) {
        let limits = Limits { inline_len_max: 20, ..Limits::new(11, authenticated) };
        let whole = run([&stream[..]], &limits, ALL);
        let pieces = run(stream.chunks(size), &limits, max);
        prop_assert_eq!(whole.commands, pieces.commands);
        prop_assert_eq!((whole.error, whole.consumed), (pieces.error, pieces.consumed));
    }
}
