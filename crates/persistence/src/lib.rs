//! Files on disk. See README.md.

pub mod load;
pub mod save;
pub mod snapshot_file;
