//! The server binary.
#[expect(dead_code, reason = "the server that uses it is being written")]
mod config;

fn main() {}
