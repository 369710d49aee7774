//! The value of one entry.

/// An element as a packed form keeps it: an integer, or bytes.
///
/// Equality is that of the decimal form: `Int(12)` equals `Bytes(b"12")`.
#[derive(Clone, Copy)]
pub enum Item<'a> {
    /// A string that is the decimal form of this integer, exactly as [`canonical_int`] reads it.
    Int(i64),
    /// Any other string.
    Bytes(&'a [u8]),
}

impl<'a> Item<'a> {
    /// What a packed form makes of `bytes`: an integer if they are the decimal form of one.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Self {
        canonical_int(bytes).map_or(Self::Bytes(bytes), Self::Int)
    }
}

impl Item<'_> {
    /// Whether the element is `bytes`.
    #[inline]
    pub fn eq_bytes(&self, bytes: &[u8]) -> bool {
        match *self {
            Item::Int(int) => canonical_int(bytes) == Some(int),
            Item::Bytes(own) => own == bytes,
        }
    }

    /// The integer that the element is, if it is one.
    #[inline]
    pub fn as_int(&self) -> Option<i64> {
        match *self {
            Item::Int(int) => Some(int),
            Item::Bytes(bytes) => canonical_int(bytes),
        }
    }

    /// The element's bytes; an integer is printed into `buffer` first.
    #[inline]
    pub fn bytes<'b>(&'b self, buffer: &'b mut itoa::Buffer) -> &'b [u8] {
        match *self {
            Item::Int(int) => buffer.format(int).as_bytes(),
            Item::Bytes(bytes) => bytes,
        }
    }

    /// Appends the element's bytes to `out`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.bytes(&mut itoa::Buffer::new()));
    }

    /// How many bytes [`Item::write_to`] appends.
    pub fn len(&self) -> usize {
        match *self {
            Item::Int(int) => usize::from(int < 0) + int.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1,
            Item::Bytes(bytes) => bytes.len(),
        }
    }

    /// Whether the element is the empty string.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element's bytes, in an allocation of exactly their size.
    pub fn to_vec(&self) -> Vec<u8> {
        self.bytes(&mut itoa::Buffer::new()).to_vec()
    }
}

impl PartialEq for Item<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (Item::Int(a), Item::Int(b)) => a == b,
            (Item::Bytes(bytes), item) | (item, Item::Bytes(bytes)) => item.eq_bytes(bytes),
        }
    }
}

impl Eq for Item<'_> {}

impl std::fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Item::Int(int) => write!(f, "{int}"),
            Item::Bytes(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
        }
    }
}

/// The integer whose decimal form is exactly `bytes`: no plus sign, no leading zeros or blanks, no `-0`, within 64 bits.
/// Only such strings may be stored as integers, for only they come back as the same bytes.
#[inline]
pub fn canonical_int(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        // Nineteen digits always fit into 64 bits without a sign, and no 64-bit signed integer has more.
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut magnitude = 0u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}
