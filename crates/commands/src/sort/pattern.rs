//! What BY and GET name: a key for each element, or a field of a hash for each, or the element itself.

use store::entry::Entry;
use store::value::Str;
use store::value::hash::Hash;
use store::value::listpack::Item;

/// A pattern, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// Without a `*` it is the same for all elements, and Redis looks nothing up for it.
    Constant,
    /// `prefix*suffix` or `prefix*suffix->field`.
    Key { prefix: &'a [u8], suffix: &'a [u8], field: Option<&'a [u8]> },
}

impl<'a> Pattern<'a> {
    /// Reads a pattern. To find its parts Redis looks no further than to the first NUL.
    pub(super) fn parse(pattern: &'a [u8]) -> Self {
        let visible = super::until_nul(pattern);
        if visible == b"#" {
            return Self::Element;
        }
        let Some(star) = visible.iter().position(|&byte| byte == b'*') else { return Self::Constant };
        let (prefix, rest) = (&pattern[..star], &pattern[star + 1..]);
        let arrow = visible[star + 1..].windows(2).position(|pair| pair == b"->");
        // An arrow that nothing follows belongs to the key's name.
        match arrow.filter(|arrow| visible.len() > star + 1 + arrow + 2) {
            Some(arrow) => Self::Key { prefix, suffix: &rest[..arrow], field: Some(&rest[arrow + 2..]) },
            None => Self::Key { prefix, suffix: rest, field: None },
        }
    }

    /// Whether it names keys that only the data knows.
    pub(super) fn depends_on_data(&self) -> bool {
        matches!(self, Self::Key { .. })
    }
}

/// What a pattern finds in the entry that it names, if that is of the right type.
pub(super) fn value<'e>(entry: &'e Entry, field: Option<&[u8]>, now_ms: u64) -> Option<Str<'e>> {
    let Some(field) = field else { return entry.as_str() };
    Some(match entry.get::<Hash>()?.get(field, now_ms)? {
        Item::Int(int) => Str::Int(int),
        Item::Bytes(bytes) => Str::Bytes(bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &[u8], expected: Pattern<'_>) {
        assert_eq!(Pattern::parse(pattern), expected, "{}", pattern.escape_ascii());
    }

    fn key<'a>(prefix: &'a [u8], suffix: &'a [u8], field: Option<&'a [u8]>) -> Pattern<'a> {
        Pattern::Key { prefix, suffix, field }
    }

    #[test]
    fn patterns_are_taken_apart_as_redis_does() {
        check(b"#", Pattern::Element);
        check(b"#x", Pattern::Constant);
        check(b"nosort", Pattern::Constant);
        check(b"", Pattern::Constant);
        check(b"*", key(b"", b"", None));
        check(b"w_*", key(b"w_", b"", None));
        check(b"w_*_x*", key(b"w_", b"_x*", None));
        check(b"h_*->f", key(b"h_", b"", Some(b"f")));
        check(b"h_*x->f->g", key(b"h_", b"x", Some(b"f->g")));
        check(b"h->*->f", key(b"h->", b"", Some(b"f")));
        check(b"h_*->", key(b"h_", b"->", None));
        check(b"a\0*", Pattern::Constant);
        check(b"*->\0f", key(b"", b"->\0f", None));
        check(b"*->f\0g", key(b"", b"", Some(b"f\0g")));
        check(b"*\0->f", key(b"", b"\0->f", None));
    }
}
