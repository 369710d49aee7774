//! What the log gets of commands that are no effect by themselves.
//!
//! The forms are Redis's, so that its replicas understand them. They are made only while the log is on: an XADD would
//! otherwise copy its arguments for nobody.

use store::value::stream::{Group, Pending, StreamId};

use super::ids::IdText;
use crate::args::OwnedArgs;
use crate::effect::Effect;
use crate::env::Env;

/// Effects of one command, collected while the log is on.
pub(super) struct Collected {
    commands: Option<Vec<OwnedArgs>>,
}

impl Collected {
    /// Nothing so far. Whether the log is on does not change while a guard is held.
    pub(super) fn new(env: &Env) -> Self {
        Self { commands: env.host.log_is_on().then(Vec::new) }
    }

    /// Adds an effect.
    pub(super) fn add(&mut self, command: impl FnOnce() -> OwnedArgs) {
        if let Some(commands) = &mut self.commands {
            commands.push(command());
        }
    }

    /// What there is for the log.
    pub(super) fn finish(self) -> Effect {
        match self.commands {
            Some(commands) if !commands.is_empty() => Effect::Rewritten(commands),
            _ => Effect::None,
        }
    }
}

/// Who is to have an entry of which group.
#[derive(Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) key: &'a [u8],
    pub(super) group: &'a [u8],
    pub(super) consumer: &'a [u8],
}

impl Owner<'_> {
    /// `XCLAIM` that leaves the entry where it is now. It asks for ids only, so nobody reads the entry.
    pub(super) fn claim(self, pending: &Pending<'_>, last_id: StreamId) -> OwnedArgs {
        let (id, last_id) = (IdText::new(pending.id), IdText::new(last_id));
        let (mut time, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
        let args: [&[u8]; 14] = [
            b"XCLAIM",
            self.key,
            self.group,
            self.consumer,
            b"0",
            id.as_ref(),
            b"TIME",
            time.format(pending.delivery_time).as_bytes(),
            b"RETRYCOUNT",
            count.format(pending.delivery_count).as_bytes(),
            b"FORCE",
            b"JUSTID",
            b"LASTID",
            last_id.as_ref(),
        ];
        args.into_iter().collect()
    }

    /// The same for an entry that the stream no longer has: wherever this is applied, it is no longer pending then.
    pub(super) fn claim_gone(self, id: StreamId, now_ms: u64, last_id: StreamId) -> OwnedArgs {
        self.claim(&Pending { id, consumer: self.consumer, delivery_time: now_ms, delivery_count: 0 }, last_id)
    }

    /// `XGROUP CREATECONSUMER`, where no claim would create it.
    pub(super) fn create(self) -> OwnedArgs {
        [b"XGROUP", &b"CREATECONSUMER"[..], self.key, self.group, self.consumer].into_iter().collect()
    }

    /// `XGROUP SETID` to where the group is.
    pub(super) fn set_id(self, group: &Group) -> OwnedArgs {
        let last_id = IdText::new(group.last_id());
        let entries_read = group.entries_read().map_or_else(|| "-1".into(), |read| read.to_string());
        let args: [&[u8]; 7] =
            [b"XGROUP", b"SETID", self.key, self.group, last_id.as_ref(), b"ENTRIESREAD", entries_read.as_bytes()];
        args.into_iter().collect()
    }
}
