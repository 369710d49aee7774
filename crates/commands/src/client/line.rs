//! A client as CLIENT LIST, CLIENT INFO and the log print it: one line of `field=value`, in Redis 8.0.2's order.

use std::fmt::Write;
use std::mem::size_of;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::Client;
use crate::session::{Queued, Session};
use crate::table;

impl Client {
    /// The line, without an end. `argv_bytes` are the arguments of the command that the client is executing, if it is;
    /// what others know of them is in the record.
    pub fn line(&self, now_ms: i64, argv_bytes: Option<usize>) -> String {
        let names = self.names();
        let command = table::by_index(self.last_command.load(Acquire)).map_or("NULL", |spec| spec.full_name);
        let argv_bytes = argv_bytes.unwrap_or_else(|| self.argv_bytes.load(Relaxed));
        let (obl, omem) = (self.reply_pending.load(Relaxed), self.reply_list_bytes.load(Relaxed));
        let events = if obl + omem > 0 { "rw" } else { "r" };
        let secs_since = |ms: i64| (now_ms / 1000 - ms / 1000).max(0);
        let mut line = String::with_capacity(LINE_BYTES);
        // Writing to a string cannot fail.
        let _ = write!(
            line,
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} \
             watch={} qbuf={} qbuf-free={} argv-mem={argv_bytes} multi-mem={} rbs={} rbp={} obl={obl} oll={} \
             omem={omem} tot-mem={} events={events} cmd={command} user=default redir=-1 resp={} lib-name={} \
             lib-ver={} io-thread={}",
            self.id,
            self.addr,
            self.laddr,
            self.fd,
            names.name,
            secs_since(self.created_ms),
            secs_since(self.last_ms.load(Relaxed)),
            self.flags().letters(),
            self.db.load(Relaxed),
            self.subscriptions.load(Relaxed),
            self.patterns.load(Relaxed),
            self.shard_subscriptions.load(Relaxed),
            self.queued.load(Relaxed),
            self.watched.load(Relaxed),
            self.query_buffer.load(Relaxed),
            self.query_buffer_free.load(Relaxed),
            self.queued_bytes.load(Relaxed),
            self.reply_buffer.load(Relaxed),
            self.reply_buffer_peak.load(Relaxed),
            self.reply_list_len.load(Relaxed),
            self.memory_bytes() + argv_bytes,
            self.resp.load(Relaxed),
            names.lib_name,
            names.lib_ver,
            self.worker,
        );
        line
    }

    /// Memory held for the client, in bytes, apart from the arguments of a command in execution.
    pub fn memory_bytes(&self) -> usize {
        let queued = self.queued.load(Relaxed).max(0) as usize;
        size_of::<Self>()
            + size_of::<Session>()
            + self.query_buffer.load(Relaxed)
            + self.query_buffer_free.load(Relaxed)
            + self.reply_buffer.load(Relaxed)
            + self.reply_list_bytes.load(Relaxed)
            + self.queued_bytes.load(Relaxed)
            + queued * size_of::<Queued>()
    }
}

/// About what a line needs.
const LINE_BYTES: usize = 384;
