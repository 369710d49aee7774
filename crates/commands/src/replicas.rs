//! What replicas say to their primary, REPLCONF, PSYNC and SYNC, and what clients ask about them: WAIT.

use crate::blocking::{Awaited, Block, Blocking, deadline_ms};
use crate::call::Call;
use crate::client::ClientFlags;
use crate::effect::Effect;
use crate::error::{Error, NOT_INTEGER, Result, SYNTAX};
use crate::number;
use crate::replication::Role;
use crate::spec::flag::*;
use crate::spec::{Arg, Group, Spec};

/// The longest address that a replica may announce, in bytes.
const ADDRESS_BYTES_MAX: usize = 255;

/// What a connection has said of the replica at its other end, before it asks for the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaFacts {
    /// The port at which it serves, 0 if it has not said.
    pub port: u16,
    /// The address that it announces; empty is that of the connection.
    pub address: String,
    /// It understands a copy whose length is not known beforehand.
    pub eof: bool,
    /// It wants to be told the id with which it continues.
    pub psync2: bool,
    /// It can take a full copy over a connection of its own, and the stream over this one meanwhile.
    pub takes_channel: bool,
    /// This is such a connection for the copy.
    pub rdb_channel: bool,
    /// The client of the connection that this one belongs to.
    pub main_channel: Option<u64>,
    /// It wants the copy and nothing behind it.
    pub rdb_only: bool,
    /// It wants no keys in its copy.
    pub without_data: bool,
}

impl ReplicaFacts {
    /// The address that it announces, or that it comes from.
    pub fn ip<'a>(&'a self, from: &'a str) -> &'a str {
        if !self.address.is_empty() {
            return &self.address;
        }
        let host = from.rsplit_once(':').map_or(from, |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// What the log calls a replica that comes from an address.
    pub fn name(&self, from: &str) -> String {
        let (ip, port) = (self.ip(from), self.port);
        match port {
            0 => format!("{ip}:<unknown-replica-port>"),
            _ if ip.contains(':') => format!("[{ip}]:{port}"),
            _ => format!("{ip}:{port}"),
        }
    }
}

/// PSYNC or SYNC, once it is admitted; the connection then leaves its worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncRequest {
    /// PSYNC: the id and the next byte wanted.
    Psync(Vec<u8>, i64),
    /// SYNC: an old replica, which acknowledges nothing, or a tool.
    Sync,
}

fn replconf(call: &mut Call<'_>) -> Result<Effect> {
    if call.args.len().is_multiple_of(2) {
        return Err(SYNTAX);
    }
    for at in (1..call.args.len()).step_by(2) {
        let value = call.arg(at + 1);
        if call.args.is(at, "ack") || call.args.is(at, "getack") {
            // Meant for the two ends of a stream, of which this connection is neither. Not answered, ever.
            return Ok(Effect::None);
        }
        let facts = call.session.replica.get_or_insert_default();
        if call.args.is(at, "listening-port") {
            let port = number::parse_i64(value).ok_or(NOT_INTEGER)?;
            // Whatever is no port is nowhere to be reached.
            facts.port = u16::try_from(port).unwrap_or(0);
        } else if call.args.is(at, "ip-address") {
            if value.len() > ADDRESS_BYTES_MAX {
                let length = value.len();
                let text = format!("ERR REPLCONF ip-address provided by replica instance is too long: {length} bytes");
                return Err(Error::new(text));
            }
            facts.address = String::from_utf8_lossy(value).into_owned();
        } else if call.args.is(at, "capa") {
            // Others are not understood here, and are left unanswered for that.
            facts.eof |= call.args.is(at + 1, "eof");
            facts.psync2 |= call.args.is(at + 1, "psync2");
            facts.takes_channel |= call.args.is(at + 1, "rdb-channel-repl");
        } else if call.args.is(at, "rdb-only") {
            facts.rdb_only = flag(value)?;
        } else if call.args.is(at, "rdb-filter-only") {
            facts.without_data = true;
            for part in value.split(u8::is_ascii_whitespace).filter(|part| !part.is_empty()) {
                if !part.eq_ignore_ascii_case(b"functions") {
                    let part = String::from_utf8_lossy(part);
                    return Err(Error::new(format!("ERR Unsupported rdb-filter-only option: {part}")));
                }
            }
        } else if call.args.is(at, "rdb-channel") {
            facts.rdb_channel = flag(value)?;
            call.session.client.set_flags(ClientFlags::RDB_CHANNEL, facts.rdb_channel);
        } else if call.args.is(at, "main-ch-client-id") {
            let id = number::parse_i64(value).ok_or(NOT_INTEGER)?;
            let main = u64::try_from(id).ok().filter(|id| call.env.host.awaits_rdb_channel(*id));
            let main = main.ok_or_else(|| Error::new(format!("ERR Unrecognized RDB client id: {id}")))?;
            facts.main_channel = Some(main);
        } else {
            let option = String::from_utf8_lossy(call.arg(at));
            return Err(Error::new(format!("ERR Unrecognized REPLCONF option: {option}")));
        }
    }
    call.out.ok();
    Ok(Effect::None)
}

fn flag(value: &[u8]) -> Result<bool> {
    match number::parse_i64(value).ok_or(NOT_INTEGER)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::new("ERR value is out of range, value must between 0 and 1")),
    }
}

fn psync(call: &mut Call<'_>) -> Result<Effect> {
    let monitors = call.session.client.flags().contains(ClientFlags::MONITOR);
    if call.args.len() > 3 && call.args.is(3, "failover") && !monitors {
        call.env.host.take_over(&call.session.client, call.arg(1))?;
    }
    begin(call, |call| {
        let offset = call.int(2).inspect_err(|_| {
            let (client, facts) = (&call.session.client, call.session.replica.as_deref());
            let name =
                facts.map_or_else(|| ReplicaFacts::default().name(&client.addr), |facts| facts.name(&client.addr));
            call.env.host.log_warning(&format!("Replica {name} asks for synchronization but with a wrong offset"));
        })?;
        Ok(SyncRequest::Psync(call.arg(1).to_vec(), offset))
    })
}

fn sync(call: &mut Call<'_>) -> Result<Effect> {
    begin(call, |_| Ok(SyncRequest::Sync))
}

fn begin(call: &mut Call<'_>, request: impl FnOnce(&Call<'_>) -> Result<SyncRequest>) -> Result<Effect> {
    if call.session.client.flags().contains(ClientFlags::MONITOR) {
        return Ok(Effect::None);
    }
    call.env.host.may_sync()?;
    if call.out.pending_bytes() > 0 {
        return Err(Error::new("ERR SYNC and PSYNC are invalid with pending output"));
    }
    let facts = call.session.replica.get_or_insert_default();
    if facts.without_data && !facts.eof {
        return Err(Error::new("ERR Filtered replica requires EOF capability"));
    }
    call.session.departs = Some(request(call)?);
    Ok(Effect::None)
}

fn wait(call: &mut Call<'_>) -> Result<Effect> {
    if matches!(call.env.host.role(), Role::Replica { .. }) {
        return Err(Error::new(
            "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is \
             configured to be writable (which is not the default) writes to replicas are just local and are not \
             propagated.",
        ));
    }
    let wanted = call.int(1)?;
    let timeout_ms =
        number::parse_i64(call.arg(2)).ok_or(Error::new("ERR timeout is not an integer or out of range"))?;
    let deadline_ms = deadline_ms(call.keys.now_ms, timeout_ms)?;
    let offset = call.session.client.write_offset.load(std::sync::atomic::Ordering::Relaxed);
    let there = call.env.host.acknowledged(offset);
    if there as i64 >= wanted || call.session.in_exec {
        call.out.int(there as i64);
        return Ok(Effect::None);
    }
    let awaited = Some(Awaited::Replicas { offset, count: wanted as usize });
    Ok(Effect::Block(Box::new(Block { deadline_ms, awaited, ..Block::default() })))
}

const STREAM: u32 = ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI;

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("replconf", -1, ADMIN | NOSCRIPT | LOADING | STALE | ALLOW_BUSY, Group::Server, replconf)
        .docs("Tells a primary about a replica, before and while it is sent the stream.", "3.0.0", "O(1)")
        .system(),
    // Alone, since the role may change by it.
    Spec::new("psync", -3, STREAM | ALONE, Group::Server, psync)
        .docs("Asks for the stream of changes from an offset on, behind a full copy if need be.", "2.8.0", "")
        .args(&[Arg::string("replicationid"), Arg::integer("offset")]),
    Spec::new("sync", 1, STREAM, Group::Server, sync).docs(
        "Asks for a full copy and the stream of changes behind it.",
        "1.0.0",
        "",
    ),
    Spec::new("wait", 3, BLOCKING, Group::Generic, wait)
        .docs("Waits until so many replicas have what this connection has written.", "3.0.0", "O(1)")
        .categories(&["@connection"])
        .blocking(&Blocking::ON_PROCESS)
        .tips(&["request_policy:all_shards", "response_policy:agg_min"])
        .args(&[Arg::integer("numreplicas"), Arg::integer("timeout")]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Server;

    #[test]
    fn a_replica_says_what_it_is() {
        let server = Server::new();
        let mut client = server.client();
        client.check("REPLCONF", "+OK\r\n");
        client.check("REPLCONF listening-port", "-ERR syntax error\r\n");
        client.check("REPLCONF listening-port x", "-ERR value is not an integer or out of range\r\n");
        client.check("REPLCONF Listening-Port 6380 ip-address host", "+OK\r\n");
        client.check("REPLCONF capa eof capa psync2 capa other", "+OK\r\n");
        client.check("REPLCONF rdb-only 2", "-ERR value is out of range, value must between 0 and 1\r\n");
        client.check("REPLCONF rdb-filter-only functions rdb-only 1", "+OK\r\n");
        client.check("REPLCONF rdb-filter-only data", "-ERR Unsupported rdb-filter-only option: data\r\n");
        client.check("REPLCONF other 1", "-ERR Unrecognized REPLCONF option: other\r\n");
        client.check("REPLCONF capa rdb-channel-repl", "+OK\r\n");
        client.check("REPLCONF rdb-channel 2", "-ERR value is out of range, value must between 0 and 1\r\n");
        client.check("REPLCONF main-ch-client-id x", "-ERR value is not an integer or out of range\r\n");
        client.check("REPLCONF main-ch-client-id 8", "-ERR Unrecognized RDB client id: 8\r\n");
        client.check("REPLCONF main-ch-client-id -7", "-ERR Unrecognized RDB client id: -7\r\n");
        client.check("REPLCONF rdb-channel 1 main-ch-client-id 7", "+OK\r\n");
        assert!(client.session.client.flags().contains(ClientFlags::RDB_CHANNEL));
        client.check("REPLCONF ack 5", "");
        client.check("REPLCONF getack *", "");
        let long = format!("REPLCONF ip-address {}", "x".repeat(256));
        client.check(&long, "-ERR REPLCONF ip-address provided by replica instance is too long: 256 bytes\r\n");
        let expected = ReplicaFacts {
            port: 6380,
            address: "host".into(),
            eof: true,
            psync2: true,
            takes_channel: true,
            rdb_channel: true,
            main_channel: Some(7),
            rdb_only: true,
            without_data: true,
        };
        assert_eq!(client.session.replica.as_deref(), Some(&expected));
    }

    #[test]
    fn whoever_asks_for_the_stream_leaves() {
        let server = Server::new();
        let mut client = server.client();
        client.check("PSYNC ? x", "-ERR value is not an integer or out of range\r\n");
        client.check("REPLCONF rdb-filter-only functions", "+OK\r\n");
        client.check("SYNC", "-ERR Filtered replica requires EOF capability\r\n");
        assert_eq!(client.session.departs, None);
        let mut client = server.client();
        client.check("PSYNC other x failOver", "-ERR PSYNC FAILOVER replid must match my replid.\r\n");
        client.check("PSYNC mine x FAILOVER", "-ERR value is not an integer or out of range\r\n");
        client.check("PSYNC abc 17", "");
        assert_eq!(client.session.departs, Some(SyncRequest::Psync(b"abc".to_vec(), 17)));
    }

    #[test]
    fn wait_counts_or_blocks() {
        let server = Server::new();
        let mut client = server.client();
        client.check("WAIT x 0", "-ERR value is not an integer or out of range\r\n");
        client.check("WAIT 1 x", "-ERR timeout is not an integer or out of range\r\n");
        client.check("WAIT 1 -1", "-ERR timeout is negative\r\n");
        client.check("WAIT 0 0", ":0\r\n");
        client.check("MULTI", "+OK\r\n");
        client.check("WAIT 1 0", "+QUEUED\r\n");
        client.check("EXEC", "*1\r\n:0\r\n");
        client.check("WAIT 1 100", "");
        let waiter = client.session.blocked.clone().expect("it waits");
        assert_eq!(waiter.awaited, Some(Awaited::Replicas { offset: 0, count: 1 }));
        assert_eq!(waiter.nothing(server.host).plain(), Some(&b":0\r\n"[..]));
    }
}
