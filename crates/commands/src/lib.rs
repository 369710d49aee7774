//! See README.md.

pub mod glob;
pub mod longdouble;
pub mod number;
