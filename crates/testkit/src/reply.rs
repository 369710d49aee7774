//! Looking into replies, whatever the protocol: a map of RESP3 is a flat array in RESP2, a null has three spellings.

use resp_parser::Reply;

/// The text of a string, a status line, a verbatim string, a double or a big number.
#[must_use]
pub fn text(reply: &Reply) -> Option<&[u8]> {
    match reply {
        Reply::Simple(text)
        | Reply::Bulk(text)
        | Reply::Double(text)
        | Reply::BigNumber(text)
        | Reply::Verbatim { text, .. } => Some(text),
        _ => None,
    }
}

/// As [`text`], for names that are known to be UTF-8; empty when it is not a text.
#[must_use]
pub fn name(reply: &Reply) -> String {
    text(reply).map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
}

/// The number of an integer reply.
#[must_use]
pub fn integer(reply: &Reply) -> Option<i64> {
    match reply {
        Reply::Integer(number) => Some(*number),
        _ => None,
    }
}

/// The text of an error reply.
#[must_use]
pub fn error(reply: &Reply) -> Option<&[u8]> {
    match reply {
        Reply::Error(text) | Reply::BulkError(text) => Some(text),
        _ => None,
    }
}

/// Whether it is an error.
#[must_use]
pub fn is_error(reply: &Reply) -> bool {
    error(reply).is_some()
}

/// The elements of an array, a set or a push; none for everything else.
#[must_use]
pub fn items(reply: &Reply) -> &[Reply] {
    match reply {
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => items,
        _ => &[],
    }
}

/// The pairs of a map, or of an array that RESP2 sends in its place.
#[must_use]
pub fn pairs(reply: &Reply) -> Vec<(&Reply, &Reply)> {
    match reply {
        Reply::Map(pairs) => pairs.iter().map(|(key, value)| (key, value)).collect(),
        other => items(other).chunks_exact(2).map(|pair| (&pair[0], &pair[1])).collect(),
    }
}

/// The value that stands under `key` in a map (or its flat form).
#[must_use]
pub fn field<'a>(reply: &'a Reply, key: &str) -> Option<&'a Reply> {
    pairs(reply).into_iter().find(|(name, _)| text(name) == Some(key.as_bytes())).map(|(_, value)| value)
}

/// As `redis-cli` would show it, on one line: for reports.
#[must_use]
pub fn show(reply: &Reply) -> String {
    let mut bytes = Vec::new();
    reply.encode(&mut bytes);
    let mut text = bytes.escape_ascii().to_string();
    const SHOWN_MAX: usize = 1200;
    if text.len() > SHOWN_MAX {
        text.truncate(SHOWN_MAX);
        text.push_str(&format!("... ({} bytes)", bytes.len()));
    }
    text
}
