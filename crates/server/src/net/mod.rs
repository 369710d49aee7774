//! Sockets and event loops: one worker a core, each with its own poll, connections and buffers.

mod connection;
pub mod feeder;
pub mod inbox;
pub mod listener;
mod mailbox;
mod query;
mod room;
pub mod worker;
