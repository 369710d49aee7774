//! RESP2 and RESP3 without sockets, threads or clocks: bytes in, spans or values out. See README.md.

mod decimal;
mod decoder;
mod reply;

pub use decoder::{AGGREGATE_LEN_MAX, BULK_LEN_MAX, LINE_LEN_MAX, REPLY_DEPTH_MAX, ReplyDecoder, ReplyError};
pub use reply::{Reply, encode_request};
