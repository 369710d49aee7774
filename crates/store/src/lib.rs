//! The keyspace and the value types. See README.md.

mod bias;
pub mod counter;
pub mod database;
pub mod dict;
pub mod entry;
pub mod gate;
pub mod guard;
pub mod hash;
pub mod keyspace;
pub mod number;
pub mod sample;
pub mod sizes;
pub mod stripe;
pub mod table;
pub mod value;
pub mod walk;
