//! The keyspace and the value types. See README.md.

pub mod value;
