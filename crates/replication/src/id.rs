//! The name of a history, and a place in it.

use std::fmt;

/// Letters of a replication id.
pub const ID_LEN: usize = 40;

/// Beyond this no offset is believed: nobody comes so far, and sums with it must not overflow.
pub const OFFSET_MAX: u64 = 1 << 60;

/// Names one history of effects: 40 hexadecimal digits, drawn at random. Whoever shares id and offset has the same data.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplicationId([u8; ID_LEN]);

/// How far somebody has come in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The history.
    pub id: ReplicationId,
    /// Bytes of it so far: the offset of the last byte that was taken in. PSYNC asks for the one behind it.
    pub offset: u64,
}

impl Position {
    /// The place that somebody else tells of, if it can be one: at most [`OFFSET_MAX`].
    pub fn told(id: ReplicationId, offset: u64) -> Option<Self> {
        (offset <= OFFSET_MAX).then_some(Self { id, offset })
    }
}

impl ReplicationId {
    /// What stands in the place of an id that there is none of.
    pub const NONE: Self = Self([b'0'; ID_LEN]);

    /// The id that these random bytes make.
    pub fn from_random(random: [u8; ID_LEN / 2]) -> Self {
        let mut letters = [0; ID_LEN];
        for (pair, byte) in letters.chunks_exact_mut(2).zip(random) {
            let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        Self(letters)
    }

    /// The id that these letters are. Any 40 printable bytes without a space are taken, since it is the primary's to choose.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let letters: [u8; ID_LEN] = text.try_into().ok()?;
        letters.iter().all(u8::is_ascii_graphic).then_some(Self(letters))
    }

    /// The id as it goes over the wire.
    pub fn as_str(&self) -> &str {
        // Only printable ASCII gets into one.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for ReplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ReplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_are_hexadecimal_digits() {
        let mut random = [0; 20];
        random[..3].copy_from_slice(&[0x00, 0x9f, 0xa5]);
        assert_eq!(ReplicationId::from_random(random).to_string(), format!("009fa5{}", "0".repeat(34)));
    }

    #[test]
    fn forty_printable_letters_are_an_id() {
        let letters = [b'a'; ID_LEN];
        assert_eq!(ReplicationId::parse(&letters).unwrap().to_string(), "a".repeat(ID_LEN));
        assert_eq!(ReplicationId::parse(&letters[1..]), None);
        assert_eq!(ReplicationId::parse(&[b'a'; ID_LEN + 1]), None);
        assert_eq!(ReplicationId::parse(&[b' '; ID_LEN]), None);
        assert_eq!(ReplicationId::parse(&[0xff; ID_LEN]), None);
    }
}
