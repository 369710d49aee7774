//! See README.md.

pub mod history;
pub mod ring;
