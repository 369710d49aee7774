//! See README.md.

pub mod handshake;
pub mod id;
mod line;
pub mod units;
