//! Replies of every type: exact bytes back, cut anywhere, refused when broken.

use proptest::prelude::*;
use resp_parser::{AGGREGATE_LEN_MAX, BULK_LEN_MAX, LINE_LEN_MAX, REPLY_DEPTH_MAX};
use resp_parser::{Reply, ReplyDecoder, ReplyError, encode_request};

fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.into())
}

/// One sample a type and a few that nest, with the value each must decode to.
fn samples() -> Vec<(Vec<u8>, Reply)> {
    use Reply::*;
    let table: Vec<(&[u8], Reply)> = vec![
        (b"+OK\r\n", Simple(b"OK".to_vec())),
        (b"+\r\n", Simple(vec![])),
        (b"+a\rb\r\n", Simple(b"a\rb".to_vec())),
        (b"-ERR unknown command 'x'\r\n", Error(b"ERR unknown command 'x'".to_vec())),
        (b":0\r\n", Integer(0)),
        (b":-9223372036854775808\r\n", Integer(i64::MIN)),
        (b":9223372036854775807\r\n", Integer(i64::MAX)),
        (b"$0\r\n\r\n", bulk("")),
        (b"$5\r\na\r\nb\0\r\n", Bulk(b"a\r\nb\0".to_vec())),
        (b"_\r\n", Null),
        (b"$-1\r\n", NullBulk),
        (b"*-1\r\n", NullArray),
        (b"*0\r\n", Array(vec![])),
        (b"*3\r\n:1\r\n$1\r\na\r\n*-1\r\n", Array(vec![Integer(1), bulk("a"), NullArray])),
        (b"*2\r\n*2\r\n*0\r\n+x\r\n*1\r\n*1\r\n:7\r\n", {
            let seven = Array(vec![Array(vec![Integer(7)])]);
            Array(vec![Array(vec![Array(vec![]), Simple(b"x".to_vec())]), seven])
        }),
        (b"%0\r\n", Map(vec![])),
        (b"%2\r\n+a\r\n:1\r\n*1\r\n+b\r\n%1\r\n_\r\n#t\r\n", {
            let inner = Map(vec![(Null, Boolean(true))]);
            Map(vec![(Simple(b"a".to_vec()), Integer(1)), (Array(vec![Simple(b"b".to_vec())]), inner)])
        }),
        (b"~2\r\n$1\r\nx\r\n$1\r\nx\r\n", Set(vec![bulk("x"), bulk("x")])),
        (b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n", Push(vec![bulk("invalidate"), Array(vec![bulk("k")])])),
        (b",3.25\r\n", Double(b"3.25".to_vec())),
        (b",1e+20\r\n", Double(b"1e+20".to_vec())),
        (b",-inf\r\n", Double(b"-inf".to_vec())),
        (b",nan\r\n", Double(b"nan".to_vec())),
        (b"#t\r\n", Boolean(true)),
        (b"#f\r\n", Boolean(false)),
        (b"(-3492890328409238509324850943850943825024385\r\n", {
            BigNumber(b"-3492890328409238509324850943850943825024385".to_vec())
        }),
        (b"=9\r\ntxt:a\r\nb!\r\n", Verbatim { format: *b"txt", text: b"a\r\nb!".to_vec() }),
        (b"=4\r\nmkd:\r\n", Verbatim { format: *b"mkd", text: vec![] }),
        (b"!6\r\nERR \r\n\r\n", BulkError(b"ERR \r\n".to_vec())),
        (b"|1\r\n+ttl\r\n:9\r\n$1\r\nv\r\n", {
            Attribute(vec![(Simple(b"ttl".to_vec()), Integer(9))], Box::new(bulk("v")))
        }),
        (b"*2\r\n|0\r\n:1\r\n|1\r\n:2\r\n:3\r\n|1\r\n:4\r\n:5\r\n*0\r\n", {
            let inner = Attribute(vec![(Integer(4), Integer(5))], Box::new(Array(vec![])));
            let outer = Attribute(vec![(Integer(2), Integer(3))], Box::new(inner));
            Array(vec![Attribute(vec![], Box::new(Integer(1))), outer])
        }),
    ];
    table.into_iter().map(|(bytes, reply)| (bytes.to_vec(), reply)).collect()
}

/// Everything the decoder makes of `pieces`, and the error that ended it, if one did.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Reply>, Option<ReplyError>) {
    let mut decoder = ReplyDecoder::new();
    let mut replies = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        loop {
            match decoder.next() {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(error) => return (replies, Some(error)),
            }
        }
    }
    (replies, None)
}

fn encoded(reply: &Reply) -> Vec<u8> {
    let mut out = Vec::new();
    reply.encode(&mut out);
    out
}

#[test]
fn every_type_both_ways() {
    for (bytes, reply) in samples() {
        let shown = bytes.escape_ascii().to_string();
        assert_eq!(decode([&bytes[..]]), (vec![reply.clone()], None), "{shown}");
        assert_eq!(encoded(&reply).escape_ascii().to_string(), shown);
    }
}

#[test]
fn cut_at_every_byte() {
    for (bytes, reply) in samples() {
        for cut in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            let (early, _) = decode([head]);
            assert_eq!(early.is_empty(), cut < bytes.len(), "{} at {cut}", bytes.escape_ascii());
            assert_eq!(decode([head, tail]), (vec![reply.clone()], None), "{} at {cut}", bytes.escape_ascii());
        }
        assert_eq!(decode(bytes.chunks(1)), (vec![reply], None), "{} byte by byte", bytes.escape_ascii());
    }
}

#[test]
fn a_stream_of_all_samples_in_pieces_of_every_size() {
    let (stream, replies): (Vec<_>, Vec<_>) = samples().into_iter().unzip();
    let stream = stream.concat();
    for size in 1..=stream.len() {
        assert_eq!(decode(stream.chunks(size)), (replies.clone(), None), "pieces of {size}");
    }
}

#[test]
fn broken_frames_are_refused_and_stay_refused() {
    use ReplyError::*;
    let too_deep = b"*1\r\n".repeat(REPLY_DEPTH_MAX + 1);
    let table: Vec<(&[u8], ReplyError)> = vec![
        (b"x", UnknownMarker(b'x')),
        (b"\r\n", UnknownMarker(b'\r')),
        (b"\n", UnknownMarker(b'\n')),
        (b"*1\r\nx", UnknownMarker(b'x')),
        (b"+OK\n", BadLineEnd),
        (b"+\n", BadLineEnd),
        (b"$1\r\nabc", BadLineEnd),
        (b"$1\r\na\n\n", BadLineEnd),
        (b"$\r\n", BadLength(b'$')),
        (b"$?\r\n", BadLength(b'$')),
        (b"$-2\r\n", BadLength(b'$')),
        (b"$01\r\n", BadLength(b'$')),
        (b"$+1\r\n", BadLength(b'$')),
        (b"$99999999999999999999\r\n", BadLength(b'$')),
        (b"*-2\r\n", BadLength(b'*')),
        (b"%-1\r\n", BadLength(b'%')),
        (b"~a\r\n", BadLength(b'~')),
        (b">9223372036854775807\r\n", BadLength(b'>')),
        (b"=3\r\n", BadLength(b'=')),
        (b"!-1\r\n", BadLength(b'!')),
        (b"=4\r\ntext\r\n", BadText(b'=')),
        (b":\r\n", BadText(b':')),
        (b":1.5\r\n", BadText(b':')),
        (b":9223372036854775808\r\n", BadText(b':')),
        (b"_x\r\n", BadText(b'_')),
        (b",\r\n", BadText(b',')),
        (b",1,5\r\n", BadText(b',')),
        (b"#T\r\n", BadText(b'#')),
        (b"(-\r\n", BadText(b'(')),
        (b"(12a\r\n", BadText(b'(')),
        (&too_deep, TooDeep),
    ];
    for (bytes, error) in table {
        let shown = bytes.escape_ascii().to_string();
        assert_eq!(decode([bytes]), (vec![], Some(error.clone())), "{shown}");
        assert_eq!(decode(bytes.chunks(1)), (vec![], Some(error.clone())), "{shown} byte by byte");
        let mut decoder = ReplyDecoder::new();
        decoder.feed(b"+before\r\n");
        decoder.feed(bytes);
        assert_eq!(decoder.next(), Ok(Some(Reply::Simple(b"before".to_vec()))));
        assert_eq!(decoder.next(), Err(error.clone()), "{shown}");
        decoder.feed(b"+after\r\n");
        assert_eq!(decoder.next(), Err(error), "{shown}");
    }
}

#[test]
fn limits_hold_at_their_edges() {
    let line = |len: usize| [&b"+"[..], &vec![b'x'; len - 2], b"\r\n"].concat();
    assert_eq!(decode([&line(LINE_LEN_MAX)[..]]).1, None);
    assert_eq!(decode([&line(LINE_LEN_MAX + 1)[..]]).1, Some(ReplyError::LineTooLong));
    assert_eq!(decode([&vec![b'+'; LINE_LEN_MAX + 1][..]]).1, Some(ReplyError::LineTooLong));

    let nested = |depth: usize| [&b"*1\r\n".repeat(depth)[..], b":1\r\n"].concat();
    assert_eq!(decode([&nested(REPLY_DEPTH_MAX)[..]]).0.len(), 1);
    assert_eq!(decode([&nested(REPLY_DEPTH_MAX + 1)[..]]), (vec![], Some(ReplyError::TooDeep)));

    for (marker, most) in [('$', BULK_LEN_MAX), ('*', AGGREGATE_LEN_MAX), ('%', AGGREGATE_LEN_MAX)] {
        assert_eq!(decode([format!("{marker}{most}\r\n").as_bytes()]), (vec![], None));
        let error = ReplyError::BadLength(marker as u8);
        assert_eq!(decode([format!("{marker}{}\r\n", most + 1).as_bytes()]), (vec![], Some(error)));
    }
}

#[test]
fn the_rest_is_what_follows_the_reply() {
    let mut decoder = ReplyDecoder::new();
    decoder.feed(b"+FULLRESYNC id 0\r\n$EOF:raw");
    assert_eq!(decoder.next(), Ok(Some(Reply::Simple(b"FULLRESYNC id 0".to_vec()))));
    assert_eq!(decoder.rest(), b"$EOF:raw");
}

#[test]
fn a_request_is_a_multibulk() {
    let mut out = b"before".to_vec();
    encode_request(["SET", "k"].into_iter().chain(["a\r\nb"]), &mut out);
    assert_eq!(out.escape_ascii().to_string(), r"before*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\r\nb\r\n");
    out.clear();
    encode_request(vec![b"x".to_vec(); 12], &mut out);
    assert!(out.starts_with(b"*12\r\n$1\r\nx\r\n") && out.ends_with(b"$1\r\nx\r\n"));
    assert_eq!(out.len(), 5 + 12 * 7);
    out.clear();
    encode_request(<[&[u8]; 0]>::default(), &mut out);
    assert_eq!(out, b"*0\r\n");
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    let line = || bytes().prop_map(|text| text.into_iter().filter(|byte| *byte != b'\n').collect::<Vec<_>>());
    let leaf = prop_oneof![
        line().prop_map(Reply::Simple),
        line().prop_map(Reply::Error),
        any::<i64>().prop_map(Reply::Integer),
        bytes().prop_map(Reply::Bulk),
        Just(Reply::Null),
        Just(Reply::NullBulk),
        Just(Reply::NullArray),
        any::<f64>().prop_map(|number| Reply::Double(number.to_string().into_bytes())),
        any::<bool>().prop_map(Reply::Boolean),
        any::<i128>().prop_map(|number| Reply::BigNumber(number.to_string().into_bytes())),
        (any::<[u8; 3]>(), bytes()).prop_map(|(format, text)| Reply::Verbatim { format, text }),
        bytes().prop_map(Reply::BulkError),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let pairs = prop::collection::vec((inner.clone(), inner.clone()), 0..4);
        let items = prop::collection::vec(inner.clone(), 0..6);
        prop_oneof![
            items.clone().prop_map(Reply::Array),
            items.clone().prop_map(Reply::Set),
            items.prop_map(Reply::Push),
            pairs.clone().prop_map(Reply::Map),
            (pairs, inner).prop_map(|(pairs, about)| Reply::Attribute(pairs, Box::new(about))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_encoded_comes_back(replies in prop::collection::vec(any_reply(), 1..5), size in 1usize..64) {
        let mut stream = Vec::new();
        for reply in &replies {
            reply.encode(&mut stream);
        }
        prop_assert_eq!(decode([&stream[..]]), (replies.clone(), None));
        prop_assert_eq!(decode(stream.chunks(size)), (replies, None));
    }

    #[test]
    fn garbage_in_pieces_equals_garbage_in_one(
        stream in prop::collection::vec(prop::sample::select(&b"+-:$*_%~>,#(=!|0123\r\n\r\n\r\nx"[..]), 0..80),
        size in 1usize..20,
    ) {
        let whole = decode([&stream[..]]);
        prop_assert_eq!(decode(stream.chunks(size)), whole.clone());
        // And what was understood is what stood there.
        let prefix: Vec<u8> = whole.0.iter().flat_map(encoded).collect();
        prop_assert!(stream.starts_with(&prefix));
    }
}
