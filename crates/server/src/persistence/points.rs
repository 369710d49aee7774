//! `save` points: a background save begins by itself when there were enough changes for long enough.

use crate::clock;
use crate::config::SavePoint;
use crate::config::keys;
use crate::server::Server;

use std::sync::atomic::Ordering::Relaxed;

use super::{snapshot, unsaved_changes};

/// After a save that failed the next one waits for so long.
const RETRY_AFTER_S: i64 = 5;

/// Looks whether it is time to save; called several times a second.
pub fn look(server: &Server) {
    let persistence = &server.persistence;
    if persistence.running().is_some() || persistence.loading.is_on() {
        return;
    }
    if persistence.scheduled.load(Relaxed) && may_try(server) {
        return begin(server);
    }
    let points = server.config.get(keys::SAVE);
    if points.is_empty() {
        return;
    }
    let (changes, since_s) = (unsaved_changes(server), clock::now_ms() / 1000 - persistence.last_save_s());
    let due = points.iter().find(|point| is_due(point, changes, since_s));
    if let Some(SavePoint { seconds, changes }) = due
        && may_try(server)
    {
        server.log.notice(&format!("{changes} changes in {seconds} seconds. Saving..."));
        begin(server);
    }
}

fn is_due(point: &SavePoint, changes: u64, since_s: i64) -> bool {
    i64::try_from(changes).is_ok_and(|changes| changes >= i64::from(point.changes)) && since_s > point.seconds
}

fn may_try(server: &Server) -> bool {
    let persistence = &server.persistence;
    let since_try_s = clock::now_ms() / 1000 - persistence.last_try_s.load(Relaxed);
    !persistence.has_failed.load(Relaxed) || since_try_s > RETRY_AFTER_S
}

fn begin(server: &Server) {
    let section = server.keyspace.gate().enter_alone();
    // A client may have been quicker.
    if server.persistence.running().is_none() {
        snapshot::begin(server, &section);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_due_when_both_its_numbers_are_reached() {
        let point = SavePoint { seconds: 60, changes: 100 };
        assert!(is_due(&point, 100, 61));
        assert!(!is_due(&point, 99, 1000));
        assert!(!is_due(&point, 1000, 60), "more than so many seconds, as in Redis");
        assert!(is_due(&SavePoint { seconds: 1, changes: 0 }, 0, 2));
    }
}
