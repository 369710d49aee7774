//! What the targets of this folder share: the payloads and the files that other servers wrote, as seeds.

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

macro_rules! golden {
    ($($name:literal,)*) => {
        [$(&include_bytes!(concat!("../../src/file/tests/golden/", $name, ".rdb"))[..],)*]
    };
}

/// Whole files of other servers; the README beside them tells what they hold.
pub fn files() -> impl Iterator<Item = &'static [u8]> {
    golden![
        "redis-7.0.15-full",
        "redis-7.0.15-lru",
        "redis-7.0.15-lfu",
        "redis-7.0.15-bare",
        "redis-8.0.2-full",
        "redis-8.0.2-lru",
        "redis-8.0.2-lfu",
        "redis-8.0.2-bare",
        "redis-8.0.2-cluster",
        "valkey-8.1-full",
        "valkey-8.1-lfu",
        "valkey-8.1-bare",
        "valkey-8.1-cluster",
    ]
    .into_iter()
}
