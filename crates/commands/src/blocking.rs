//! Clients that wait for a key.
//!
//! A blocking command that finds nothing returns [`Effect::Block`](crate::effect::Effect::Block); the pipeline then
//! *parks* its client: it registers a [`Waiter`] for each of the command's keys while their guard is still held, so no
//! write can fall between the look and the wait. Tickets are drawn under the guard too, hence the queue of each key is
//! first come, first served, whichever workers the clients are on.
//!
//! **A waiter is claimed once**, by one compare-exchange from waiting to one of its ends; only the claimer answers. A
//! writer claims it when it knows, under the guard, that it can serve it. The end of its time, CLIENT UNBLOCK and the end
//! of its connection claim it likewise. Whoever claims it takes it out of all queues.

mod queues;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

pub use queues::WaitQueues;
use store::entry::Boxed;

use crate::args::{Args, OwnedArgs};
use crate::call::Call;
use crate::client::Client;
use crate::effect::Effect;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::keys::Keys;
use crate::longdouble::LongDouble;
use crate::migrate::Migration;
use crate::reply::Reply;
use crate::table::Command;

/// What a row of the table says of a command that may block.
pub struct Blocking {
    /// Tries to serve a waiter from one of its keys.
    pub serve: Serve,
    /// Which keys it changes besides the one it waits for: they must be held as well when it is served.
    pub further: Option<fn(Args<'_>) -> usize>,
    /// What it answers in a transaction, where it may not wait. When its time is over, all of them answer alike.
    pub nothing: Nothing,
    /// Whether it must be told that its key is gone or holds something else.
    pub on_no_key: bool,
}

impl Blocking {
    /// Waits for a key and changes no other. Without one it answers a null array.
    pub(crate) const fn on(serve: Serve) -> Self {
        Self { serve, further: None, nothing: Nothing::Array, on_no_key: false }
    }

    /// Waits for no key, so that no change of one serves it: the process answers when the time has come.
    pub(crate) const ON_PROCESS: Self =
        Self { serve: |_, _| Ok(Served::No), further: None, nothing: Nothing::Value, on_no_key: false };
}

/// Tries to serve a waiter from a key that has changed. It first finds out whether there is something for it, then
/// claims it, and only then changes anything; the reply goes to [`Serving::out`].
///
/// # Errors
/// What the waiter is answered instead of a value; claimed as well.
pub type Serve = fn(&mut Serving<'_, '_>, &[u8]) -> Result<Served>;

/// What came of it.
pub enum Served {
    /// The waiter has its answer; this is its effect.
    Yes(Effect),
    /// There is nothing for it here, or somebody else has claimed it.
    No,
}

/// How a command says in a transaction that there was nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// A null array.
    Array,
    /// A null.
    Value,
}

/// What a [`Serve`] function is given.
pub struct Serving<'a, 'g> {
    /// The waiter's command.
    pub args: Args<'a>,
    /// Keys, in the waiter's database; held are the changed one and those that [`Blocking::further`] names.
    pub keys: &'a mut Keys<'g>,
    /// The waiter's answer.
    pub out: &'a mut Reply,
    /// The surroundings of the worker that serves it.
    pub env: &'a mut Env,
    pub(crate) waiter: &'a Waiter,
}

impl Serving<'_, '_> {
    /// Claims the waiter; false if it has its answer already.
    pub fn claim(&self) -> bool {
        self.waiter.claim(End::Served)
    }

    /// Claims the waiter if there is a value of this type under the key.
    pub fn claim_from<T: Boxed>(&mut self, key: &[u8]) -> bool {
        let is_there = self.keys.write(key).is_some_and(|entry| entry.get::<T>().is_some());
        is_there && self.claim()
    }
}

/// A wish to wait, as a handler returns it.
#[derive(Debug, Default)]
pub struct Block {
    /// Which arguments are the keys.
    pub keys: Range<usize>,
    /// When the time is over, in milliseconds since 1970.
    pub deadline_ms: Option<i64>,
    /// The command to be served, where it differs from the one that came.
    pub args: Option<OwnedArgs>,
    /// Effects that the command has had already.
    pub before: Vec<OwnedArgs>,
    /// What the host does meanwhile, if that is what it waits for.
    pub migration: Option<Migration>,
    /// What it waits for, if not for keys.
    pub awaited: Option<Awaited>,
}

/// What a client may wait for besides keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// WAIT.
    Replicas {
        /// Up to here the log is to be acknowledged,
        offset: u64,
        /// by so many replicas.
        count: usize,
    },
    /// The end of the process, which waits for replicas itself.
    End,
    /// FLUSHALL, FLUSHDB: that is freed what it has taken out, and what was to be freed before that.
    Freed,
}

impl Block {
    /// To wait, as the command came, before anything was done.
    pub fn effect(keys: Range<usize>, deadline_ms: Option<i64>) -> Effect {
        Effect::Block(Box::new(Self { keys, deadline_ms, ..Self::default() }))
    }

    /// To wait until the host has moved keys.
    pub fn on_host(migration: Migration) -> Effect {
        Effect::Block(Box::new(Self { migration: Some(migration), ..Self::default() }))
    }
}

/// A client that waits.
pub struct Waiter {
    /// The client.
    pub client: Arc<Client>,
    /// Its place in every queue.
    pub ticket: u64,
    /// Its database.
    pub db: u32,
    /// The keys that it waits for.
    pub keys: Vec<Box<[u8]>>,
    /// The command that waits.
    pub command: Command,
    /// Its arguments.
    pub args: OwnedArgs,
    /// Whether it is answered in RESP3.
    pub resp3: bool,
    /// Whether it hears nothing of its answer (CLIENT REPLY).
    pub is_silent: bool,
    /// When its time is over.
    pub deadline_ms: Option<i64>,
    /// What it waits for, if not for keys.
    pub awaited: Option<Awaited>,
    end: AtomicU8,
}

/// How a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum End {
    /// It has not.
    Waiting,
    /// There was something for it.
    Served,
    /// Its time was over.
    TimedOut,
    /// CLIENT UNBLOCK, or a change of roles.
    Unblocked,
    /// The connection has ended.
    Gone,
}

impl Waiter {
    pub(crate) fn new(call: &Call<'_>, command: Command, block: &mut Block, ticket: u64) -> Self {
        Self {
            client: call.session.client.clone(),
            ticket,
            db: call.keys.db,
            keys: block.keys.clone().map(|index| call.arg(index).into()).collect(),
            command,
            args: block.args.take().unwrap_or_else(|| OwnedArgs::copy(call.args)),
            resp3: call.out.resp3(),
            is_silent: call.session.reply_mode.is_silent(),
            deadline_ms: block.deadline_ms,
            awaited: block.awaited,
            end: AtomicU8::new(End::Waiting as u8),
        }
    }

    /// Ends the wait; true for the one caller whose word counts.
    pub fn claim(&self, end: End) -> bool {
        // Acquire and release: what the claimer does next must not be seen before, nor what was done before after.
        self.end.compare_exchange(End::Waiting as u8, end as u8, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether nobody has claimed it yet.
    pub fn is_waiting(&self) -> bool {
        self.end.load(Ordering::Acquire) == End::Waiting as u8
    }

    /// The row's part about blocking.
    pub(crate) fn blocking(&self) -> &'static Blocking {
        self.command.spec.blocking.expect("only commands that may block are parked")
    }

    /// The answer when its time is over: a null array, even for what answers with one element; and as many replicas as
    /// there are, if it is them that it waits for.
    pub fn nothing(&self, host: &dyn Host) -> Reply {
        let mut out = self.reply();
        match self.awaited {
            Some(Awaited::Replicas { offset, .. }) => out.int(host.acknowledged(offset) as i64),
            Some(Awaited::End | Awaited::Freed) | None => out.null_array(),
        }
        out
    }

    /// An empty answer in the client's protocol.
    pub fn reply(&self) -> Reply {
        let mut out = Reply::default();
        out.set_resp3(self.resp3);
        out
    }

    /// Which further keys it changes when it is served.
    pub(crate) fn further(&self) -> Option<&[u8]> {
        let further = self.blocking().further?;
        Some(self.args.args().get(further(self.args.args())))
    }
}

impl Nothing {
    pub(crate) fn write(self, out: &mut Reply) {
        match self {
            Self::Array => out.null_array(),
            Self::Value => out.null(),
        }
    }
}

/// The deadline of a timeout in seconds, with fractions; `None` is for ever.
pub fn deadline(call: &Call<'_>, timeout: &[u8]) -> Result<Option<i64>> {
    let not_a_float = || Error::new("ERR timeout is not a float or out of range");
    let seconds = LongDouble::parse(timeout).ok_or_else(not_a_float)?;
    deadline_ms(call.keys.now_ms, seconds.times(1000).ceil())
}

/// The deadline of a timeout in milliseconds; `None` is for ever.
pub fn deadline_ms(now_ms: i64, timeout_ms: i64) -> Result<Option<i64>> {
    match timeout_ms {
        ..0 => Err(Error::new("ERR timeout is negative")),
        0 => Ok(None),
        _ => timeout_ms.checked_add(now_ms).map(Some).ok_or_else(|| Error::new("ERR timeout is out of range")),
    }
}

#[cfg(test)]
mod tests;
