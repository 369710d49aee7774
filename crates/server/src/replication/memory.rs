//! Where this process is in its history, as a file of its data tells: so a restarted one goes on with its primary, or its
//! replicas with it, without a full copy.

use replication::history::History;
use replication::id::{Position, ReplicationId};
use replication::ring::NO_DB;

use super::State;
use super::replica::Resume;
use crate::config::keys;
use crate::server::Server;

const STREAM_DB: &str = "repl-stream-db";
const ID: &str = "repl-id";
const OFFSET: &str = "repl-offset";

impl Resume {
    /// What a file says of it.
    pub fn facts(self) -> [(&'static str, Vec<u8>); 3] {
        let Self { position, db } = self;
        [
            (STREAM_DB, db.to_string().into_bytes()),
            (ID, position.id.as_str().into()),
            (OFFSET, position.offset.to_string().into_bytes()),
        ]
    }
}

impl State {
    /// Where the data is in the history, if anybody could continue from there. Called under the exclusive gate.
    pub fn place(&self) -> Option<Resume> {
        if self.is_replica() {
            return self.following.place(self.position());
        }
        // Without a log the offset stands still while the data changes.
        let ring = self.stream.ring()?;
        let db = Some(ring.database()).filter(|db| *db != NO_DB).unwrap_or(0);
        Some(Resume { position: self.position(), db })
    }

    /// Goes on from where a file was written that is being loaded, as soon as it has told enough, and once only. Called under
    /// the exclusive gate.
    pub fn restore(&self, server: &Server, facts: &[(Vec<u8>, Vec<u8>)]) {
        // They come in this order.
        if facts.last().is_none_or(|(name, _)| name != OFFSET.as_bytes()) {
            return;
        }
        let Some(Resume { position, db }) = told(facts) else { return };
        if server.config.get(keys::REPLICAOF).is_some() {
            *self.history.lock() = History::new(position.id);
            self.stream.set_offset(position.offset);
            self.following.restored(Resume { position, db });
            return;
        }
        // A history of its own, which is the continuation of what the file is of.
        let mut history = self.history.lock();
        history.second_id = position.id;
        history.second_offset = position.offset as i64 + 1;
        drop(history);
        self.be_alone_from_now();
        self.stream.begin(self.stream.room(), position.offset, server.config.get(keys::REPL_BACKLOG_SIZE));
    }
}

/// What the facts about a file tell, once all of them are there.
fn told(facts: &[(Vec<u8>, Vec<u8>)]) -> Option<Resume> {
    let fact = |name: &str| facts.iter().find(|(known, _)| known == name.as_bytes()).map(|(_, value)| &value[..]);
    let number = |name| std::str::from_utf8(fact(name)?).ok()?.parse().ok();
    let (db, offset) = (number(STREAM_DB)?, number(OFFSET)?);
    let position = Position::told(ReplicationId::parse(fact(ID)?)?, offset)?;
    Some(Resume { position, db: u32::try_from(db).ok()? })
}
