//! The commands: one table, one row a command, and the pipeline that runs them. See README.md.

pub mod args;
mod bitmap;
pub mod blocking;
pub mod call;
pub mod client;
mod client_commands;
mod config_command;
pub mod connection;
mod databases;
mod draw;
mod dump;
pub mod effect;
pub mod env;
pub mod error;
mod expire;
mod expiry;
mod generic;
pub mod glob;
mod hash;
mod help;
pub mod host;
mod hyperloglog;
pub mod keys;
mod list;
pub mod longdouble;
pub mod number;
mod object;
pub mod pipeline;
pub mod reply;
mod scan_options;
pub mod session;
mod set;
pub mod settings;
mod shutdown;
mod sort;
pub mod spec;
pub mod stats;
mod stream;
mod string;
pub mod table;
#[cfg(test)]
mod testing;
mod transactions;
mod walk;

pub use transactions::unwatch_all;
