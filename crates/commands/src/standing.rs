//! How the process stands, as far as that decides which commands it takes: what it loads, whom it follows, what has
//! failed. It changes only under the exclusive gate, so a command that was admitted runs in the state it was admitted in.

use bitflags::bitflags;

use crate::error::{DISK_ERROR, Error, LOADING, MASTER_DOWN, NOT_ENOUGH_REPLICAS, READ_ONLY};
use crate::spec::{Flags, Spec};

bitflags! {
    /// See the file's head. No flag: everything is taken.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Standing: u32 {
        /// Data is being loaded: only commands with the flag LOADING run.
        const LOADING = 1 << 0;
        /// Data is being loaded beside the old data, which is served meanwhile.
        const ASYNC_LOADING = 1 << 1;
        /// A replica that takes no writes from clients (`replica-read-only`).
        const READ_ONLY = 1 << 2;
        /// A replica without its primary that shall not serve old data (`replica-serve-stale-data no`).
        const STALE = 1 << 3;
        /// The last save failed (`stop-writes-on-bgsave-error`).
        const SAVE_FAILED = 1 << 4;
        /// Fewer good replicas than `min-replicas-to-write`.
        const FEW_REPLICAS = 1 << 5;
    }
}

impl Standing {
    /// Why a client's command is refused, if it is: `queued` are the commands that it runs, if it is EXEC. What they need
    /// is asked for again, since they may have been queued in better times.
    pub fn refuses<'a>(self, spec: &'a Spec, queued: &(impl Iterator<Item = &'a Spec> + Clone)) -> Option<Error> {
        let flags = spec.flags;
        let any = |flag| flags.contains(flag) || queued.clone().any(|spec| spec.flags.contains(flag));
        let all = |flag| flags.contains(flag) && queued.clone().all(|spec| spec.flags.contains(flag));
        let writes = any(Flags::WRITE);
        // PING tells a monitoring client that something is wrong.
        if self.contains(Self::SAVE_FAILED) && (writes || flags.contains(Flags::TELLS_OF_TROUBLE)) {
            return Some(DISK_ERROR);
        }
        if self.contains(Self::FEW_REPLICAS) && writes {
            return Some(NOT_ENOUGH_REPLICAS);
        }
        if self.contains(Self::READ_ONLY) && writes {
            return Some(READ_ONLY);
        }
        if self.contains(Self::STALE) && !all(Flags::STALE) {
            return Some(MASTER_DOWN);
        }
        if self.contains(Self::LOADING) && !all(Flags::LOADING) {
            return Some(LOADING);
        }
        if self.contains(Self::ASYNC_LOADING) && any(Flags::NO_ASYNC_LOADING) {
            return Some(LOADING);
        }
        None
    }
}
