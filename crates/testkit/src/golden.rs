//! How strings stand in the listings beside golden files, for those who write the listings and those who compare with them.

/// Strings up to this length stand in a listing as they are.
const SHOWN_BYTES_MAX: usize = 300;

/// A string as it stands in a listing: a long one by its length and FNV-1a hash.
#[must_use]
pub fn quote(bytes: &[u8]) -> String {
    if bytes.len() <= SHOWN_BYTES_MAX {
        return format!("\"{}\"", bytes.escape_ascii());
    }
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{} bytes {hash:016x}", bytes.len())
}
