//! Ziplists and zipmaps: the packed forms before listpacks, which Redis wrote up to 6.2. They are only read.
//!
//! A ziplist is its size in bytes (u32), the offset of its last entry (u32), its count (u16, 65535 for "walk"), the
//! entries and `FF`. An entry begins with the size of the one before it (one byte, or `FE` and a u32) and goes on with
//! a byte that is a length or the kind of an integer. All numbers but the lengths are little-endian.
//!
//! A zipmap is a count (one byte, 254 for "walk"), then for each field: its length (one byte, or 254 and a u32), the
//! field, the length of the value, how many unused bytes follow the value (one byte), the value and those; at the end
//! `FF`.

use store::value::listpack::{Item, Listpack};

const HEADER: usize = 10;
const END: u8 = 0xff;
const BIG: u8 = 0xfe;
const COUNT_UNKNOWN: u16 = u16::MAX;
const ZIPMAP_COUNT_UNKNOWN: u8 = 254;

/// The elements of a ziplist as a listpack; `None` if it is malformed anywhere.
pub fn to_listpack(bytes: &[u8]) -> Option<Listpack> {
    let size = u32::from_le_bytes(*bytes.first_chunk()?);
    let tail = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
    let count = u16::from_le_bytes(*bytes.get(8..)?.first_chunk()?);
    let (last, body) = bytes.get(HEADER..)?.split_last()?;
    if size as usize != bytes.len() || *last != END {
        return None;
    }
    let mut listpack = Listpack::new();
    let (mut at, mut previous_size, mut seen) = (0, 0, 0u32);
    while at < body.len() {
        let mut rest = &body[at..];
        let claimed_previous = take_size(&mut rest)?;
        let item = take_item(&mut rest)?;
        if claimed_previous as usize != previous_size || !listpack.fits(item.len()) {
            return None;
        }
        listpack.push_back_item(item);
        previous_size = body.len() - at - rest.len();
        at += previous_size;
        seen += 1;
    }
    // The header's tail is where a reader from the back starts; that of an empty ziplist is its end mark.
    let is_tail_right = tail as usize == HEADER + body.len() - previous_size;
    let is_count_right = count == COUNT_UNKNOWN || u32::from(count) == seen;
    (is_tail_right && is_count_right).then_some(listpack)
}

/// The fields and values of a zipmap; `None` if it is malformed anywhere.
pub fn zipmap_fields(bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let (count, mut rest) = bytes.split_first()?;
    let mut fields = Vec::new();
    loop {
        if rest == [END] {
            let is_count_right = *count >= ZIPMAP_COUNT_UNKNOWN || usize::from(*count) == fields.len();
            return is_count_right.then_some(fields);
        }
        let field_len = take_size(&mut rest)?;
        let field = take(&mut rest, field_len)?;
        let value_len = take_size(&mut rest)?;
        let unused = take(&mut rest, 1)?[0];
        let value = take(&mut rest, value_len)?;
        take(&mut rest, unused.into())?;
        fields.push((field, value));
    }
}

/// One byte, or after `FE` four.
fn take_size(rest: &mut &[u8]) -> Option<u32> {
    match take(rest, 1)?[0] {
        END => None,
        BIG => take(rest, 4)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)),
        size => Some(size.into()),
    }
}

fn take_item<'a>(rest: &mut &'a [u8]) -> Option<Item<'a>> {
    let kind = take(rest, 1)?[0];
    let low = u32::from(kind & 0x3f);
    let len = match kind >> 6 {
        0 => low,
        1 => low << 8 | u32::from(take(rest, 1)?[0]),
        2 if low == 0 => u32::from_be_bytes(*take(rest, 4)?.first_chunk()?),
        2 => return None,
        _ => return take_int(kind, rest).map(Item::Int),
    };
    // A string that an integer would do for becomes one, as if it had been pushed.
    take(rest, len).map(Item::parse)
}

fn take_int(kind: u8, rest: &mut &[u8]) -> Option<i64> {
    Some(match kind {
        0xc0 => i16::from_le_bytes(*take(rest, 2)?.first_chunk()?).into(),
        0xd0 => i32::from_le_bytes(*take(rest, 4)?.first_chunk()?).into(),
        0xe0 => i64::from_le_bytes(*take(rest, 8)?.first_chunk()?),
        0xf0 => {
            let [low, middle, high] = *take(rest, 3)?.first_chunk()?;
            i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8)
        }
        0xfe => i8::from_le_bytes(*take(rest, 1)?.first_chunk()?).into(),
        0xf1..=0xfd => i64::from(kind & 0x0f) - 1,
        _ => return None,
    })
}

fn take<'a>(rest: &mut &'a [u8], len: u32) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len as usize)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ziplist of entries given as kind and content, with the sizes between them filled in.
    fn ziplist(entries: &[&[u8]]) -> Vec<u8> {
        let (mut body, mut previous) = (Vec::new(), 0);
        for entry in entries {
            let start = body.len();
            if previous < 254 {
                body.push(previous as u8);
            } else {
                body.push(BIG);
                body.extend((previous as u32).to_le_bytes());
            }
            body.extend_from_slice(entry);
            previous = body.len() - start;
        }
        let tail = HEADER + body.len() - previous;
        let mut bytes = ((HEADER + body.len() + 1) as u32).to_le_bytes().to_vec();
        bytes.extend((tail as u32).to_le_bytes());
        bytes.extend((entries.len() as u16).to_le_bytes());
        bytes.extend(body);
        bytes.push(END);
        bytes
    }

    #[test]
    fn ziplists_of_all_kinds_of_entries() {
        let long = [&[0x41, 0x2c][..], &[b'x'; 300]].concat();
        let bytes = ziplist(&[
            b"\x03abc",
            &long,
            b"\x80\0\0\0\x01y",
            b"\xc0\xfe\xff",
            b"\xd0\0\0\0\x80",
            b"\xe0\0\0\0\0\0\0\0\x80",
            b"\xf0\0\0\x80",
            b"\xfe\x80",
            b"\xf1",
            b"\xfd",
            b"\x0242",
        ]);
        let listpack = to_listpack(&bytes).expect("a ziplist");
        let found: Vec<_> = listpack.iter().map(|(_, item)| String::from_utf8(item.to_vec()).unwrap()).collect();
        let xs = "x".repeat(300);
        let expected =
            ["abc", &xs, "y", "-2", "-2147483648", "-9223372036854775808", "-8388608", "-128", "0", "12", "42"];
        assert_eq!(found, expected);
        for end in 0..bytes.len() {
            assert!(to_listpack(&bytes[..end]).is_none(), "cut at {end}");
        }
        assert!(to_listpack(&ziplist(&[])).is_some_and(|listpack| listpack.is_empty()));
    }

    #[test]
    fn hostile_ziplists_are_refused() {
        let good = ziplist(&[b"\x03abc", b"\x03def"]);
        assert!(to_listpack(&good).is_some());
        for (at, byte) in
            [(0, 1), (4, 11), (8, 3), (HEADER, 1), (HEADER + 5, 6), (HEADER + 1, 0x3f), (HEADER + 1, 0x85)]
        {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(to_listpack(&bad).is_none(), "{byte} at {at}");
        }
    }

    #[test]
    fn zipmaps() {
        let map = b"\x02\x03foo\x03\0bar\x05hello\x05\x02worldxx\xff";
        let fields = zipmap_fields(map).expect("a zipmap");
        assert_eq!(fields, [(&b"foo"[..], &b"bar"[..]), (b"hello", b"world")]);
        for end in 0..map.len() {
            assert!(zipmap_fields(&map[..end]).is_none(), "cut at {end}");
        }
        assert!(zipmap_fields(b"\x01\xfe\x01\0\0\0a\x01\0b\xff").is_some());
        assert!(zipmap_fields(b"\x02\x01a\x01\0b\xff").is_none(), "the count is wrong");
        assert!(zipmap_fields(b"\x01\xfe\xff\xff\xff\xffa\x01\0b\xff").is_none());
    }
}
