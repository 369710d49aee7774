//! What servers send, as a value, and its exact bytes; and how a client spells a request.

use crate::decimal::push_decimal;

/// One reply of RESP2 or RESP3.
///
/// The value keeps what the bytes said and no more: the three nulls differ, a double keeps its text, so that
/// [`Reply::encode`] gives back the bytes that [`crate::ReplyDecoder`] read.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// `+text`: a status line. Must hold neither CR LF nor LF.
    Simple(Vec<u8>),
    /// `-CODE text`: an error line, without the minus. Must hold no LF.
    Error(Vec<u8>),
    /// `:number`
    Integer(i64),
    /// `$len`: a string of any bytes.
    Bulk(Vec<u8>),
    /// `_`: the null of RESP3.
    Null,
    /// `$-1`: the null string of RESP2.
    NullBulk,
    /// `*-1`: the null array of RESP2.
    NullArray,
    /// `*len`
    Array(Vec<Reply>),
    /// `%len`: pairs in the order they were sent; keys may be of any type and may repeat.
    Map(Vec<(Reply, Reply)>),
    /// `~len`: members in the order they were sent.
    Set(Vec<Reply>),
    /// `>len`: out-of-band data, which answers no request.
    Push(Vec<Reply>),
    /// `,text`: a floating-point number, as its text was sent (`1.5`, `inf`, `-inf`, `nan`, `1e+20`).
    Double(Vec<u8>),
    /// `#t` or `#f`
    Boolean(bool),
    /// `(digits`: an integer of any size, as its text was sent.
    BigNumber(Vec<u8>),
    /// `=len`: a string that says how it wants to be shown.
    Verbatim {
        /// Three letters: `txt`, `mkd`.
        format: [u8; 3],
        /// What follows the format and its colon.
        text: Vec<u8>,
    },
    /// `!len`: an error of any bytes.
    BulkError(Vec<u8>),
    /// `|len`: pairs about the reply that follows, and that reply.
    Attribute(Vec<(Reply, Reply)>, Box<Reply>),
}

impl Reply {
    /// Appends the reply's bytes. Line types ([`Simple`](Reply::Simple), [`Error`](Reply::Error), ...) are written as
    /// they are: whoever builds one keeps line feeds out of it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Reply::Simple(text) => push_line(b'+', text, out),
            Reply::Error(text) => push_line(b'-', text, out),
            Reply::Integer(number) => push_header(b':', *number, out),
            Reply::Bulk(text) => push_bulk(b'$', &[text], out),
            Reply::Null => out.extend_from_slice(b"_\r\n"),
            Reply::NullBulk => out.extend_from_slice(b"$-1\r\n"),
            Reply::NullArray => out.extend_from_slice(b"*-1\r\n"),
            Reply::Array(items) => push_items(b'*', items, out),
            Reply::Map(pairs) => push_pairs(b'%', pairs, out),
            Reply::Set(items) => push_items(b'~', items, out),
            Reply::Push(items) => push_items(b'>', items, out),
            Reply::Double(text) => push_line(b',', text, out),
            Reply::Boolean(true) => out.extend_from_slice(b"#t\r\n"),
            Reply::Boolean(false) => out.extend_from_slice(b"#f\r\n"),
            Reply::BigNumber(text) => push_line(b'(', text, out),
            Reply::Verbatim { format, text } => push_bulk(b'=', &[format, b":", text], out),
            Reply::BulkError(text) => push_bulk(b'!', &[text], out),
            Reply::Attribute(pairs, reply) => {
                push_pairs(b'|', pairs, out);
                reply.encode(out);
            }
        }
    }
}

/// Appends a request as a multibulk: `*argc`, then one bulk string an argument.
///
/// Without arguments it writes `*0`, which servers skip.
pub fn encode_request<I, A>(args: I, out: &mut Vec<u8>)
where
    I: IntoIterator<Item = A>,
    A: AsRef<[u8]>,
{
    let start = out.len();
    let mut argc = 0;
    for arg in args {
        push_bulk(b'$', &[arg.as_ref()], out);
        argc += 1;
    }
    // The count stands first but is known last, since not every iterator knows its length.
    let body_end = out.len();
    push_header(b'*', argc, out);
    let header_len = out.len() - body_end;
    out[start..].rotate_right(header_len);
}

fn push_line(marker: u8, text: &[u8], out: &mut Vec<u8>) {
    out.push(marker);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

fn push_header(marker: u8, number: i64, out: &mut Vec<u8>) {
    out.push(marker);
    push_decimal(number, out);
    out.extend_from_slice(b"\r\n");
}

fn push_bulk(marker: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    push_header(marker, len as i64, out);
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
}

fn push_items(marker: u8, items: &[Reply], out: &mut Vec<u8>) {
    push_header(marker, items.len() as i64, out);
    for item in items {
        item.encode(out);
    }
}

fn push_pairs(marker: u8, pairs: &[(Reply, Reply)], out: &mut Vec<u8>) {
    push_header(marker, pairs.len() as i64, out);
    for (key, value) in pairs {
        key.encode(out);
        value.encode(out);
    }
}
