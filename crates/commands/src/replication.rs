//! REPLICAOF, SLAVEOF and ROLE: whose data this is.

use crate::call::Call;
use crate::client::ClientFlags;
use crate::effect::Effect;
use crate::error::{Error, Result};
use crate::number;
use crate::spec::flag::*;
use crate::spec::{Arg, Group, Spec};

/// What a server is to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It takes writes.
    Primary {
        /// Bytes of its stream so far.
        offset: u64,
        /// Its replicas that are online.
        replicas: Vec<ReplicaInfo>,
    },
    /// It follows another.
    Replica {
        /// The primary.
        host: String,
        /// The primary.
        port: u16,
        /// How far the link is: `connect`, `connecting`, `handshake`, `sync`, `connected`.
        state: &'static str,
        /// Bytes of the primary's stream that were applied; -1 while there is no link.
        offset: i64,
    },
}

/// A replica, as its primary sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaInfo {
    /// Where it says that it is reached.
    pub ip: String,
    /// The port at which it serves.
    pub port: u16,
    /// Up to where it has acknowledged.
    pub offset: u64,
}

/// What came of [`crate::host::Host::replicate_from`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// The process has another role, or another primary, or keeps having none.
    Done,
    /// It follows that primary already.
    Already,
}

fn replicaof(call: &mut Call<'_>) -> Result<Effect> {
    if call.env.host.is_failing_over() {
        return Err(Error::new("ERR REPLICAOF not allowed while failing over."));
    }
    let primary = if call.args.is(1, "no") && call.args.is(2, "one") {
        None
    } else {
        if call.session.client.flags().contains(ClientFlags::REPLICA) {
            return Err(Error::new("ERR Command is not valid when client is a replica."));
        }
        let port = number::parse_i64(call.arg(2)).and_then(|port| u16::try_from(port).ok());
        Some((call.arg(1), port.ok_or(Error::new("ERR Invalid master port"))?))
    };
    match call.env.host.replicate_from(&call.session.client, primary)? {
        Followed::Done => call.out.ok(),
        Followed::Already => call.out.simple("OK Already connected to specified master"),
    }
    Ok(Effect::None)
}

fn role(call: &mut Call<'_>) -> Result<Effect> {
    match call.env.host.role() {
        Role::Primary { offset, replicas } => {
            call.out.array(3);
            call.out.bulk(b"master");
            call.out.int(offset as i64);
            call.out.array(replicas.len());
            for ReplicaInfo { ip, port, offset } in replicas {
                call.out.array(3);
                call.out.bulk(ip.as_bytes());
                call.out.bulk(port.to_string().as_bytes());
                call.out.bulk(offset.to_string().as_bytes());
            }
        }
        Role::Replica { host, port, state, offset } => {
            call.out.array(5);
            call.out.bulk(b"slave");
            call.out.bulk(host.as_bytes());
            call.out.int(i64::from(port));
            call.out.bulk(state.as_bytes());
            call.out.int(offset);
        }
    }
    Ok(Effect::None)
}

const PRIMARY: &[Arg] = &[Arg::one_of(
    "args",
    &[
        Arg::block("host-port", &[Arg::string("host"), Arg::integer("port")]),
        Arg::block("no-one", &[Arg::word("no", "NO"), Arg::word("one", "ONE")]),
    ],
)];

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("replicaof", 3, ADMIN | NOSCRIPT | STALE | NO_ASYNC_LOADING | ALONE, Group::Server, replicaof)
        .docs("Makes the server a replica of another, or a primary again.", "5.0.0", "O(1)")
        .args(PRIMARY),
    Spec::new("slaveof", 3, ADMIN | NOSCRIPT | STALE | NO_ASYNC_LOADING | ALONE, Group::Server, replicaof)
        .docs("Makes the server a replica of another, or a primary again.", "1.0.0", "O(1)")
        .deprecated("5.0.0", "`REPLICAOF`")
        .args(PRIMARY),
    Spec::new("role", 1, NOSCRIPT | LOADING | STALE | FAST, Group::Server, role)
        .docs("Says whether the server is a primary or a replica, and of whom.", "2.8.12", "O(1)")
        .categories(&["@admin", "@dangerous"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Server;

    #[test]
    fn arguments_are_judged_before_anything_changes() {
        let server = Server::new();
        let mut client = server.client();
        for port in ["x", "-1", "65536", "1.5"] {
            client.check(&format!("REPLICAOF host {port}"), "-ERR Invalid master port\r\n");
        }
        client.session.client.set_flags(ClientFlags::REPLICA, true);
        client.check("SLAVEOF host 1", "-ERR Command is not valid when client is a replica.\r\n");
        client.session.client.set_flags(ClientFlags::REPLICA, false);
        assert_eq!(*server.host.primary.lock().unwrap(), None);
        client.check("REPLICAOF host 6380", "+OK\r\n");
        client.check("SLAVEOF HOST 6380", "+OK Already connected to specified master\r\n");
        assert_eq!(*server.host.primary.lock().unwrap(), Some(("host".to_owned(), 6380)));
        client.check("SLAVEOF No oNE", "+OK\r\n");
        assert_eq!(*server.host.primary.lock().unwrap(), None);
    }

    #[test]
    fn role_tells_of_either_side() {
        let server = Server::new();
        let mut client = server.client();
        client.check("ROLE", "*3\r\n$6\r\nmaster\r\n:7\r\n*1\r\n*3\r\n$2\r\nip\r\n$1\r\n5\r\n$1\r\n6\r\n");
        client.check("REPLICAOF host 6380", "+OK\r\n");
        client.check("ROLE", "*5\r\n$5\r\nslave\r\n$4\r\nhost\r\n:6380\r\n$7\r\nconnect\r\n:-1\r\n");
    }
}
