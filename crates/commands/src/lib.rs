//! The commands: one table, one row a command, and the pipeline that runs them. See README.md.

pub mod args;
pub mod blocking;
pub mod call;
pub mod categories;
pub mod client;
mod client_commands;
mod command_command;
pub mod connection;
mod databases;
mod debug;
mod digest;
pub mod effect;
pub mod env;
pub mod error;
mod expire;
mod expiry;
pub mod finders;
mod generic;
pub mod glob;
mod help;
pub mod histogram;
pub mod host;
pub mod info;
pub mod keys;
mod list;
pub mod longdouble;
pub mod memory;
pub mod number;
mod object;
pub mod pipeline;
pub mod reply;
mod server_commands;
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

pub use server_commands::REDIS_VERSION;
pub use transactions::unwatch_all;
