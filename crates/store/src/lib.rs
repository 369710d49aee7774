//! The keyspace and the value types. See README.md.

pub mod dict;
pub mod hash;
pub mod table;
pub mod value;
