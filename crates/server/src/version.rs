//! What this server is, and which Redis it behaves like.

/// The Redis whose behaviour this is.
pub const REDIS: &str = "8.0.2";
/// Our own version.
pub const BRINDLE: &str = env!("CARGO_PKG_VERSION");

/// The line of `--version`. It begins as Redis's does, for scripts that take it apart.
pub fn line() -> String {
    let bits = usize::BITS;
    let allocator = crate::alloc::name();
    format!("Redis server v={REDIS} sha=00000000:0 malloc={allocator} bits={bits} build={BRINDLE} (Brindle {BRINDLE})")
}
