//! The RDB format: values to bytes, and back. See README.md.

pub mod crc64;
pub mod error;
pub mod file;
pub mod lzf;
pub mod payload;
pub mod read;
pub mod value;
pub mod write;
mod ziplist;
