//! See README.md.

pub mod handshake;
pub mod history;
pub mod id;
mod line;
pub mod ring;
pub mod units;
