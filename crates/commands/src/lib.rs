//! The commands: one table, one row a command, and the pipeline that runs them. See README.md.

pub mod args;
pub mod call;
pub mod categories;
pub mod client;
mod command_command;
mod connection;
mod debug;
mod digest;
pub mod effect;
pub mod env;
pub mod error;
mod expiry;
pub mod finders;
pub mod glob;
mod help;
pub mod histogram;
pub mod host;
pub mod info;
pub mod keys;
pub mod longdouble;
pub mod memory;
pub mod number;
pub mod pipeline;
pub mod reply;
mod server_commands;
pub mod session;
pub mod settings;
pub mod spec;
pub mod stats;
mod string;
pub mod table;
mod transactions;

pub use server_commands::REDIS_VERSION;
pub use transactions::unwatch_all;
