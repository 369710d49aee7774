//! Commands that cannot simply be sent to both servers and compared.

use crate::words::Words;

/// How a command is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handling {
    /// In a pipeline with its neighbours.
    Plain,
    /// Alone: it closes the connection, or changes what others may do.
    Alone,
    /// SCAN and its kin from cursor 0: the whole iteration, and what it found as a set.
    Iterate,
    /// SPOP: each server takes what it likes; both are then brought in step by removing what the other took.
    Pop,
}

/// How `command` is run when no transaction is open.
#[must_use]
pub(super) fn handling(command: &Words) -> Handling {
    let name = command.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
    let cursor = match name.as_slice() {
        b"SCAN" => command.get(1),
        b"SSCAN" | b"HSCAN" | b"ZSCAN" => command.get(2),
        b"SPOP" => return Handling::Pop,
        b"QUIT" | b"HELLO" | b"RESET" | b"CLIENT" | b"AUTH" | b"CONFIG" | b"DEBUG" => return Handling::Alone,
        _ => return Handling::Plain,
    };
    if cursor.is_some_and(|cursor| cursor == b"0") { Handling::Iterate } else { Handling::Plain }
}

/// Commands that random sequences leave out, each with its reason. A name stands for its subcommands too. Written
/// sequences and other tests cover what matters of them.
pub const NEVER_RANDOM: &[(&str, &str)] = &[
    ("SHUTDOWN", "ends the server"),
    ("DEBUG", "changes the server's inner workings; COMMAND DOCS does not say how"),
    ("MONITOR", "turns the connection into a stream of other clients' commands"),
    ("SYNC", "turns the connection into a replication stream"),
    ("PSYNC", "turns the connection into a replication stream"),
    ("REPLCONF", "replication handshake; has its own tests"),
    ("REPLICAOF", "the server would empty itself and follow another"),
    ("SLAVEOF", "the server would empty itself and follow another"),
    ("FAILOVER", "needs replicas"),
    ("CLUSTER", "needs cluster mode"),
    ("ASKING", "needs cluster mode"),
    ("READONLY", "needs cluster mode"),
    ("READWRITE", "needs cluster mode"),
    ("RESTORE-ASKING", "needs cluster mode"),
    ("MIGRATE", "needs a third server"),
    ("CONFIG SET", "would change the run's conditions on one side if it failed on the other"),
    ("CONFIG REWRITE", "both were started without a file; written sequences have the error"),
    ("CONFIG RESETSTAT", "changes nothing that is compared"),
    ("CLIENT KILL", "random addresses would kill the run's own connections"),
    ("CLIENT PAUSE", "would stall the run"),
    ("CLIENT REPLY", "replies would no longer match commands; written sequences have it"),
    ("CLIENT TRACKING", "invalidations come in between; has its own tests"),
    ("CLIENT CACHING", "only with CLIENT TRACKING"),
    ("QUIT", "ends the connection; written sequences have it"),
    ("OBJECT IDLETIME", "Redis shares small integers, and with them the moment of their last use"),
    ("SAVE", "a snapshot for each call; has its own tests"),
    ("BGSAVE", "the reply depends on whether another one is running"),
    ("BGREWRITEAOF", "the reply depends on whether another one is running"),
    ("MODULE", "no modules here"),
    ("ACL", "random rules would lock the run out"),
    ("LOLWUT", "an ornament of each version"),
    ("PFSELFTEST", "takes seconds and answers OK"),
    ("EVAL", "needs Lua sources; scripting has its own tests"),
    ("EVAL_RO", "needs Lua sources"),
    ("EVALSHA", "needs Lua sources"),
    ("EVALSHA_RO", "needs Lua sources"),
    ("FCALL", "needs Lua sources"),
    ("FCALL_RO", "needs Lua sources"),
    ("FUNCTION", "needs Lua sources"),
    ("SCRIPT", "needs Lua sources"),
];

/// Whether random sequences leave out the command of this name (`CLIENT KILL`).
#[must_use]
pub fn never_random(name: &str) -> bool {
    let container = name.split(' ').next().unwrap_or_default();
    NEVER_RANDOM.iter().any(|(never, _)| *never == name || *never == container)
}

/// Commands whose replies are mostly errors in random sequences, each with the reason why that cannot be otherwise.
pub const MOSTLY_REFUSED: &[(&str, &str)] = &[
    ("AUTH", "no password is set"),
    ("OBJECT FREQ", "answers only under an LFU policy"),
    ("EXEC", "most random ones come without MULTI"),
    ("DISCARD", "most random ones come without MULTI"),
    ("CLIENT UNBLOCK", "no id of a blocked client is known"),
    ("PFDEBUG", "each subcommand wants one of the two encodings"),
    ("XGROUP CREATE", "most names exist already"),
    ("WAITAOF", "refused while appendonly is off and numlocal is set"),
    ("LATENCY GRAPH", "no event was sampled"),
    ("HELLO", "an unknown version is refused"),
];
