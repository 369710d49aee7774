//! What threads look up by name: clients by id, and who watches which key.
//!
//! **Lock order.** A shard of these maps is a leaf below the stripes: nothing else is locked while one is held.
//! **Invariant.** `watches` is the number of registered (client, key) pairs. It is counted up before a pair is
//! registered and down after it is removed, so while it reads 0 under a key's guard, nobody watches that key.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use commands::client::{Client, ClientFlags};
use dashmap::DashMap;
use foldhash::fast::RandomState;

/// See the file's head.
#[derive(Default)]
pub struct Registry {
    clients: DashMap<u64, Arc<Client>, RandomState>,
    watchers: DashMap<(u32, Box<[u8]>), Vec<Watcher>, RandomState>,
    watches: AtomicUsize,
}

/// Who watches a key.
struct Watcher {
    client: Arc<Client>,
    /// The key had expired when WATCH was called, so that its removal changes nothing for this watcher.
    expired: bool,
}

impl Registry {
    /// Adds a client.
    pub fn add(&self, client: Arc<Client>) {
        self.clients.insert(client.id, client);
    }

    /// Removes a client.
    pub fn remove(&self, id: u64) {
        self.clients.remove(&id);
    }

    /// Number of clients.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// All clients, the oldest first.
    pub fn clients(&self) -> Vec<Arc<Client>> {
        let mut clients: Vec<_> = self.clients.iter().map(|client| client.value().clone()).collect();
        clients.sort_unstable_by_key(|client| client.id);
        clients
    }

    /// The client of an id.
    pub fn client(&self, id: u64) -> Option<Arc<Client>> {
        self.clients.get(&id).map(|client| client.value().clone())
    }

    /// Whether any key is watched.
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.watches.load(Ordering::Acquire) != 0
    }

    /// Registers a watch; called under the key's guard.
    pub fn watch(&self, db: u32, key: &[u8], client: &Arc<Client>, expired: bool) {
        self.watches.fetch_add(1, Ordering::AcqRel);
        self.watchers.entry((db, key.into())).or_default().push(Watcher { client: client.clone(), expired });
    }

    /// Removes a watch.
    pub fn unwatch(&self, db: u32, key: &[u8], client: &Arc<Client>) {
        let key = (db, Box::from(key));
        if let Some(mut watchers) = self.watchers.get_mut(&key) {
            watchers.retain(|watcher| watcher.client.id != client.id);
        }
        self.watchers.remove_if(&key, |_, watchers| watchers.is_empty());
        self.watches.fetch_sub(1, Ordering::AcqRel);
    }

    /// Marks everybody who watches a key; called under its guard. `expired` says that it changes by being removed after
    /// its time: whoever began to watch it after that time has seen it missing all along.
    pub fn touch(&self, db: u32, key: &[u8], expired: bool) {
        if let Some(watchers) = self.watchers.get(&(db, Box::from(key))) {
            let concerned = watchers.iter().filter(|watcher| !(expired && watcher.expired));
            concerned.for_each(|watcher| watcher.client.set_flags(ClientFlags::DIRTY_CAS, true));
        }
    }

    /// The watched keys of a database.
    pub fn watched_keys(&self, db: u32) -> Vec<Box<[u8]>> {
        let of_db = self.watchers.iter().filter(|watched| watched.key().0 == db);
        of_db.map(|watched| watched.key().1.clone()).collect()
    }
}
