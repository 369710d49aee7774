//! A connection's side of the conversation: what commands of the same client leave for each other.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::args::OwnedArgs;
use crate::blocking::Waiter;
use crate::client::{Client, ClientFlags};
use crate::pubsub::subscriptions::Subscriptions;
use crate::replicas::{ReplicaFacts, SyncRequest};
use crate::table::Command;

/// See the file's head. Owned by the connection.
pub struct Session {
    /// What other threads may know.
    pub client: Arc<Client>,
    /// The selected database.
    pub db: u32,
    /// Whether it has given the password, or needed none when it came.
    pub authenticated: bool,
    /// The open transaction.
    pub multi: Option<Box<Multi>>,
    /// Keys of WATCH.
    pub watched: Vec<Watched>,
    /// What it waits for; no further command runs before that has ended.
    pub blocked: Option<Arc<Waiter>>,
    /// What it listens to; there from the first SUBSCRIBE on.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// What it has said of the replica at its other end.
    pub replica: Option<Box<ReplicaFacts>>,
    /// PSYNC was admitted: the connection belongs to the log from now on. No command runs on it any more.
    pub departs: Option<SyncRequest>,
    /// EXEC is running its commands.
    pub in_exec: bool,
    /// This is the stream of our primary; see [`crate::pipeline::apply`].
    pub applies: bool,
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// What the connection does once the reply is sent.
    pub close: bool,
}

/// An open transaction.
#[derive(Default)]
pub struct Multi {
    /// The commands so far.
    pub queue: Vec<Queued>,
    /// A command was refused, so EXEC will be.
    pub aborted: bool,
    /// Bytes of all queued arguments, the commands' names among them.
    pub bytes: usize,
}

/// A command that waits for EXEC.
pub struct Queued {
    /// The command, looked up already.
    pub command: Command,
    /// Its arguments.
    pub args: OwnedArgs,
}

/// A key under WATCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Its database.
    pub db: u32,
    /// Its name.
    pub key: Box<[u8]>,
    /// Whether it had expired already when WATCH was called: then its expiry is no change.
    pub expired: bool,
}

/// What CLIENT REPLY has chosen. These are independent: `SKIP` said twice in a row skips two commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplyMode {
    /// Answer nothing until told otherwise.
    pub off: bool,
    /// Do not answer this command.
    pub skip: bool,
    /// Do not answer the next command.
    pub skip_next: bool,
}

impl ReplyMode {
    /// Whether what is answered now is dropped.
    #[inline]
    pub fn is_silent(self) -> bool {
        self.off || self.skip
    }

    /// A command is over.
    #[inline]
    pub fn advance(&mut self) {
        self.skip = std::mem::take(&mut self.skip_next);
    }
}

impl Session {
    /// A fresh session for a client.
    pub fn new(client: Arc<Client>, authenticated: bool) -> Self {
        let mut session = Self {
            client,
            db: 0,
            authenticated: false,
            multi: None,
            watched: Vec::new(),
            blocked: None,
            subscriptions: None,
            replica: None,
            departs: None,
            in_exec: false,
            applies: false,
            reply_mode: ReplyMode::default(),
            close: false,
        };
        session.client.queued.store(-1, Relaxed);
        session.client.resp.store(2, Relaxed);
        session.client.last_command.store(u16::MAX, Relaxed);
        session.set_authenticated(authenticated);
        session
    }

    /// A session for the stream of our primary, which begins in a database.
    pub fn of_primary(client: Arc<Client>, db: u32) -> Self {
        client.set_flags(ClientFlags::MASTER, true);
        let mut session = Self { applies: true, ..Self::new(client, true) };
        session.select(db);
        session
    }

    /// Notes that the password was right (or wrong).
    pub fn set_authenticated(&mut self, authenticated: bool) {
        self.authenticated = authenticated;
        self.client.authenticated.store(authenticated, Relaxed);
    }

    /// Lets the connection close once the reply is sent; commands behind this one are not executed.
    pub fn close_after_reply(&mut self) {
        self.close = true;
        self.client.set_flags(ClientFlags::CLOSE_AFTER_REPLY, true);
    }

    /// Chooses a database.
    pub fn select(&mut self, db: u32) {
        self.db = db;
        self.client.db.store(db, Relaxed);
    }

    /// Opens a transaction.
    pub fn begin(&mut self) {
        self.multi = Some(Box::default());
        self.client.queued.store(0, Relaxed);
        self.client.set_flags(ClientFlags::MULTI, true);
    }

    /// Closes the transaction, if one is open, and returns it.
    pub fn end(&mut self) -> Option<Box<Multi>> {
        let multi = self.multi.take();
        if multi.is_some() {
            self.client.queued.store(-1, Relaxed);
            self.client.queued_bytes.store(0, Relaxed);
            self.client.set_flags(ClientFlags::MULTI, false);
        }
        multi
    }

    /// Opens a transaction again that was closed for its execution, and must wait for it.
    pub fn reopen(&mut self, multi: Box<Multi>) {
        self.client.queued.store(multi.queue.len() as i64, Relaxed);
        self.client.queued_bytes.store(multi.bytes, Relaxed);
        self.client.set_flags(ClientFlags::MULTI, true);
        self.multi = Some(multi);
    }

    /// Queues a command in the open transaction.
    pub fn queue(&mut self, queued: Queued) {
        let Some(multi) = &mut self.multi else { return };
        multi.bytes += queued.args.args().byte_len();
        multi.queue.push(queued);
        self.client.queued.store(multi.queue.len() as i64, Relaxed);
        self.client.queued_bytes.store(multi.bytes, Relaxed);
    }

    /// Whether a watched key has changed. Only exact while the guards of all watched keys are held.
    pub fn is_dirty(&self) -> bool {
        self.client.flags().contains(ClientFlags::DIRTY_CAS)
    }
}
