//! Where this process is in its history, as a file of its data tells: so a restarted one goes on with its primary, or its
//! replicas with it, without a full copy.

use std::fs::File;
use std::io::{Read, Seek};

use persistence::load::Loaded;
use rdb::file::{Item, Splitter};
use replication::history::History;
use replication::id::{Position, ReplicationId};
use replication::ring::NO_DB;

use super::State;
use super::replica::Resume;
use crate::config::keys;
use crate::server::Server;

/// Bytes of a file in which all facts about it stand.
const HEAD_BYTES: u64 = 4096;

const STREAM_DB: &str = "repl-stream-db";
const ID: &str = "repl-id";
const OFFSET: &str = "repl-offset";

impl State {
    /// What a file says of where its data is in the history, if anybody could continue from there. Called under the
    /// exclusive gate.
    pub fn facts(&self) -> Vec<(&'static str, Vec<u8>)> {
        let Some(Resume { position, db }) = self.place() else { return Vec::new() };
        vec![
            (STREAM_DB, db.to_string().into_bytes()),
            (ID, position.id.as_str().into()),
            (OFFSET, position.offset.to_string().into_bytes()),
        ]
    }

    fn place(&self) -> Option<Resume> {
        if self.is_replica() {
            return self.following.place(self.position());
        }
        // Without a log the offset stands still while the data changes.
        let ring = self.stream.ring()?;
        let db = Some(ring.database()).filter(|db| *db != NO_DB).unwrap_or(0);
        Some(Resume { position: self.position(), db })
    }

    /// Goes on from where a file was written, which was loaded as a whole just now. Called under the exclusive gate.
    pub fn restore(&self, server: &Server, loaded: &Loaded) {
        let Some(Resume { position, db }) = told(loaded) else { return };
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
        self.stream.begin(position.offset, server.config.get(keys::REPL_BACKLOG_SIZE));
    }
}

/// Whether a file says where in a history its data is. It is read from its beginning afterwards.
pub fn tells_place(file: &mut File) -> bool {
    let (mut head, mut items) = (Vec::new(), Vec::new());
    let read = file.take(HEAD_BYTES).read_to_end(&mut head).and_then(|_| file.rewind());
    // A file that is no good is found out when it is loaded.
    let _ = Splitter::new(false).feed(&head, &mut items);
    read.is_ok() && items.iter().any(|item| matches!(item, Item::Aux { name, .. } if name == ID.as_bytes()))
}

/// What a loaded file tells.
fn told(loaded: &Loaded) -> Option<Resume> {
    let number = |name| std::str::from_utf8(loaded.aux(name)?).ok()?.parse().ok();
    let id = ReplicationId::parse(loaded.aux(ID)?)?;
    let db = number(STREAM_DB).unwrap_or(0) as u32;
    Some(Resume { position: Position { id, offset: number(OFFSET)? }, db })
}
