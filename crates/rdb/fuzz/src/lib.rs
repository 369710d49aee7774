//! What the targets of this folder share: the payloads that other servers wrote, as seeds.

/// `content | hex` a line; see the file's head.
const PAYLOADS: &str = include_str!("../../src/value/tests/payloads.txt");
/// Version and checksum at the end of a payload.
const TRAILER: usize = 10;

/// The type and the value of each payload, one of every type at least.
pub fn values() -> impl Iterator<Item = Vec<u8>> {
    PAYLOADS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
        let (_, hex) = line.rsplit_once(" | ").expect("content and bytes");
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
        (0..hex.len() - 2 * TRAILER).step_by(2).map(byte).collect()
    })
}
