//! The commands: one table, one row a command, and the pipeline that runs them. See README.md.

pub mod args;
mod bitmap;
pub mod call;
pub mod client;
mod connection;
mod databases;
mod dump;
pub mod effect;
pub mod env;
pub mod error;
mod expire;
mod expiry;
mod generic;
pub mod glob;
pub mod host;
pub mod keys;
mod list;
pub mod longdouble;
pub mod number;
mod object;
pub mod pipeline;
pub mod reply;
pub mod session;
pub mod settings;
mod sort;
pub mod spec;
pub mod stats;
mod string;
pub mod table;
#[cfg(test)]
mod testing;
mod transactions;
mod walk;

pub use transactions::unwatch_all;
