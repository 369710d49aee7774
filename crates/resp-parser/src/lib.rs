//! RESP2 and RESP3 without sockets, threads or clocks: bytes in, spans or values out. See README.md.

mod batch;
mod decimal;
mod decoder;
mod inline;
mod protocol_error;
mod reply;
mod request;

pub use batch::{Batch, CommandSpans, Span};
pub use decoder::{AGGREGATE_LEN_MAX, BULK_LEN_MAX, LINE_LEN_MAX, REPLY_DEPTH_MAX, ReplyDecoder, ReplyError};
pub use protocol_error::ProtocolError;
pub use reply::{Reply, encode_request};
pub use request::{
    BUFFER_LEN_MAX, INLINE_LEN_MAX, Limits, MULTIBULK_LEN_MAX, PROTO_MAX_BULK_LEN, RequestParser,
    UNAUTHENTICATED_BULK_LEN_MAX, UNAUTHENTICATED_MULTIBULK_LEN_MAX,
};
