//! What happens to clients from outside their own connection: who is let in, who is closed and what the log says of it,
//! and who has to wait.

use std::io::Write;
use std::sync::atomic::Ordering::Relaxed;

use commands::client::{Client, ClientFlags, ClientType};
use commands::host::Pause;
use commands::session::Session;
use resp_parser::ProtocolError;

use crate::clock;
use crate::net::inbox::{Message, Socket};
use crate::net::listener;
use crate::server::Server;

/// Output beyond its room that a client may cause before it has said who it is, in bytes.
const STRANGER_OUTPUT_BYTES_MAX: usize = 1024;
/// Input that the log repeats, in bytes.
const ECHO_BYTES_MAX: usize = 128;
/// Time between two warnings of the same suspicion.
const SUSPICION_MS: i64 = 60_000;

/// Clients know protected mode by the first words.
const DENIED: &[u8] = b"-DENIED Redis is running in protected mode because no password is set: only clients of the same \
machine are served. To admit others, connect from there and either set a password (CONFIG SET requirepass, or \
'requirepass' in the configuration file) or, where everybody who reaches this port may do anything, turn the protection \
off (CONFIG SET protected-mode no, and CONFIG REWRITE to keep it).\r\n";

impl Server {
    /// Takes a new connection, or answers why not.
    pub fn welcome(&self, mut socket: Socket) -> Option<Socket> {
        self.connections_received.fetch_add(1, Relaxed);
        // Connections are counted where they are accepted, by one thread, so this is exact.
        let connections: usize = self.workers.iter().map(|worker| worker.connections.load(Relaxed)).sum();
        let refusal = if connections >= self.settings.maxclients.load(Relaxed) {
            Some(&b"-ERR max number of clients reached\r\n"[..])
        } else {
            self.is_off_limits(&socket).then_some(DENIED)
        };
        if let Some(refusal) = refusal {
            self.connections_rejected.fetch_add(1, Relaxed);
            // Best effort: whoever is refused may be gone already.
            let _ = socket.write(refusal);
            return None;
        }
        if let Socket::Tcp(stream) = &socket
            && let Err(error) = listener::prepare(stream, self.live.tcp_keepalive.load(Relaxed))
        {
            self.log.verbose(&format!("Accepted connection is gone: {error}"));
            return None;
        }
        Some(socket)
    }

    /// Whether `protected-mode` keeps a connection out: there is no password, and it comes from another machine.
    fn is_off_limits(&self, socket: &Socket) -> bool {
        self.live.protected_mode.load(Relaxed) && !self.settings.password_needed.load(Relaxed) && !socket.is_local()
    }

    /// Whether `timeout` is over for a client that was last heard of so long ago.
    pub fn is_idle_for_too_long(&self, client: &Client, idle_ms: i64) -> bool {
        const PATIENT: ClientFlags = ClientFlags::BLOCKED
            .union(ClientFlags::PUBSUB)
            .union(ClientFlags::MONITOR)
            .union(ClientFlags::REPLICA)
            .union(ClientFlags::MASTER);
        let timeout_secs = self.settings.timeout.load(Relaxed);
        timeout_secs > 0 && idle_ms / 1000 > timeout_secs as i64 && !client.flags().intersects(PATIENT)
    }

    /// At how many bytes of waiting output, beyond its room, a client is closed whatever it was about to be told.
    pub fn output_bytes_max(&self, session: &Session) -> Option<usize> {
        let hard_bytes = self.settings.output_limits[output_class(session)].hard_bytes.load(Relaxed);
        // A client is closed when it reaches the limit, not when it has exceeded it.
        let limit = (hard_bytes > 0).then(|| hard_bytes as usize - 1);
        if self.is_authenticated(session) {
            limit
        } else {
            Some(limit.map_or(STRANGER_OUTPUT_BYTES_MAX, |limit| limit.min(STRANGER_OUTPUT_BYTES_MAX)))
        }
    }

    /// Whether so much waiting output, beyond its room, is too much, at once or for too long.
    pub fn is_over_output_limit(
        &self,
        session: &Session,
        bytes: usize,
        soft_since_ms: &mut Option<i64>,
        now_ms: i64,
    ) -> bool {
        if self.output_bytes_max(session).is_some_and(|max| bytes > max) {
            return true;
        }
        let limit = &self.settings.output_limits[output_class(session)];
        let soft_bytes = limit.soft_bytes.load(Relaxed);
        if soft_bytes == 0 || (bytes as u64) < soft_bytes {
            *soft_since_ms = None;
            return false;
        }
        let since_ms = *soft_since_ms.get_or_insert(now_ms);
        now_ms - since_ms > limit.soft_secs.load(Relaxed) as i64 * 1000
    }

    /// Counts and logs a client that is closed for its output.
    pub fn note_output_limit(&self, session: &Session) {
        self.output_limit_disconnections.fetch_add(1, Relaxed);
        self.log.warning(&format!(
            "Client {} scheduled to be closed ASAP for overcoming of output buffer limits.",
            session.client.line(clock::now_ms(), None)
        ));
    }

    /// Counts and logs a client that is closed for its input.
    pub fn note_query_limit(&self, session: &Session, bytes: &[u8]) {
        self.query_limit_disconnections.fetch_add(1, Relaxed);
        let bytes = &bytes[..bytes.len().min(ECHO_BYTES_MAX / 2)];
        self.log.warning(&format!(
            "Closing client that reached max query buffer length: {} (qbuf initial bytes: \"{}\")",
            session.client.line(clock::now_ms(), None),
            self.for_log(bytes.escape_ascii().to_string())
        ));
    }

    /// Logs a client that does not speak the protocol, and the beginning and end of what it has sent.
    pub fn note_protocol_error(&self, session: &Session, error: &ProtocolError, bytes: &[u8]) {
        if !self.log.is_verbose() {
            return;
        }
        let printed = |bytes: &[u8]| -> String {
            bytes.iter().map(|&byte| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '.' }).collect()
        };
        let sample = match bytes.len().checked_sub(ECHO_BYTES_MAX) {
            None => format!("'{}'", self.for_log(printed(bytes))),
            Some(more) => {
                let (head, tail) = (&bytes[..ECHO_BYTES_MAX / 2], &bytes[bytes.len() - ECHO_BYTES_MAX / 2..]);
                let (head, tail) = (self.for_log(printed(head)), self.for_log(printed(tail)));
                format!("'{head}' (... more {more} bytes ...) '{tail}'")
            }
        };
        let client = session.client.line(clock::now_ms(), None);
        self.log.verbose(&format!(
            "Protocol error ({error}) from client: {client}. Query buffer during protocol error: {sample}"
        ));
    }

    /// What the log may show of a client's data: nothing, if `hide-user-data-from-log` says so.
    fn for_log(&self, text: String) -> String {
        if self.settings.hide_user_data_from_log.load(Relaxed) { "*redacted*".into() } else { text }
    }

    /// Closes a client's connection from whatever thread; see [`commands::host::Host::kill`].
    pub(crate) fn kill_client(&self, client: &Client) {
        client.killed.store(true, Relaxed);
        client.set_flags(ClientFlags::CLOSE_ASAP, true);
        if client.flags().contains(ClientFlags::MASTER) {
            self.replication.following.cut();
            return;
        }
        if client.flags().contains(ClientFlags::REPLICA) {
            self.replication.feeders.look();
        }
        self.workers[client.worker].inbox.post(Message::Close { slot: client.slot, id: client.id });
    }

    /// Warns of a client that sends HTTP.
    pub(crate) fn warn_of(&self, client: &Client) {
        let now_ms = clock::now_ms();
        let last_ms = self.suspected_ms.load(Relaxed);
        let due = now_ms - last_ms > SUSPICION_MS;
        if due && self.suspected_ms.compare_exchange(last_ms, now_ms, Relaxed, Relaxed).is_ok() {
            self.log.warning(&format!(
                "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. \
                 This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis \
                 instance. Connection from {} aborted.",
                client.addr
            ));
        }
    }

    /// Ends a pause whose time has come, and wakes those who wait for that.
    pub fn end_pause_if_over(&self, now_ms: i64) {
        if !self.pausing.is_off() && self.pausing.clear_if_over(now_ms) {
            self.wake_postponed();
        }
    }

    /// Lets all postponed commands be tried again.
    pub(crate) fn wake_postponed(&self) {
        self.workers.iter().for_each(|worker| worker.inbox.post(Message::Retry));
    }

    /// What is paused now.
    pub(crate) fn paused(&self) -> Pause {
        let paused = if self.pausing.is_off() { Pause::No } else { self.pausing.at(clock::now_ms()) };
        let holds_writes = || self.ending.holds_writes() || self.replication.failover.holds_writes();
        if paused == Pause::No && holds_writes() { Pause::Writes } else { paused }
    }
}

/// Which of the three output limits counts for a client.
fn output_class(session: &Session) -> usize {
    match session.client.kind() {
        ClientType::Normal | ClientType::Master => 0,
        ClientType::Replica => 1,
        ClientType::Pubsub => 2,
    }
}
