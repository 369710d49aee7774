//! The commands: one table, one row a command, and the pipeline that runs them. See README.md.

pub mod args;
pub mod call;
pub mod client;
mod connection;
pub mod effect;
pub mod env;
pub mod error;
mod expiry;
pub mod glob;
pub mod host;
pub mod keys;
pub mod longdouble;
pub mod number;
pub mod pipeline;
pub mod reply;
pub mod session;
pub mod settings;
pub mod spec;
pub mod stats;
mod stream;
mod string;
pub mod table;
mod transactions;

pub use transactions::unwatch_all;
