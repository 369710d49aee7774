//! FAILOVER: the role of the primary goes over to a replica, and nothing that was acknowledged is lost.

use crate::call::Call;
use crate::effect::Effect;
use crate::error::{Error, Result, SYNTAX};
use crate::spec::flag::*;
use crate::spec::{Arg, Group, Spec};

/// What FAILOVER is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failover {
    /// The replica that is to become the primary; without one, the first that has everything.
    pub target: Option<(String, i64)>,
    /// How long to wait for it, in milliseconds; without that, until somebody gives up.
    pub timeout_ms: Option<i64>,
    /// After that time it becomes the primary with what it has.
    pub force: bool,
}

fn failover(call: &mut Call<'_>) -> Result<Effect> {
    if call.args.len() == 2 && call.args.is(1, "abort") {
        call.env.host.abort_failover()?;
    } else {
        let wanted = parse(call)?;
        call.env.host.fail_over(wanted)?;
    }
    call.out.ok();
    Ok(Effect::None)
}

fn parse(call: &Call<'_>) -> Result<Failover> {
    let mut wanted = Failover::default();
    let mut at = 1;
    while at < call.args.len() {
        let behind = call.args.len() - at - 1;
        if call.args.is(at, "timeout") && behind >= 1 && wanted.timeout_ms.is_none() {
            let timeout_ms = call.int(at + 1)?;
            if timeout_ms <= 0 {
                return Err(Error::new("ERR FAILOVER timeout must be greater than 0"));
            }
            wanted.timeout_ms = Some(timeout_ms);
            at += 1;
        } else if call.args.is(at, "to") && behind >= 2 && wanted.target.is_none() {
            let port = call.int(at + 2)?;
            wanted.target = Some((String::from_utf8_lossy(call.arg(at + 1)).into_owned(), port));
            at += 2;
        } else if call.args.is(at, "force") && !wanted.force {
            wanted.force = true;
        } else {
            return Err(SYNTAX);
        }
        at += 1;
    }
    Ok(wanted)
}

const TARGET: &[Arg] = &[Arg::string("host"), Arg::integer("port"), Arg::word("force", "FORCE").optional()];

/// The family's row.
pub(crate) static COMMANDS: &[Spec] =
    &[Spec::new("failover", -1, ADMIN | NOSCRIPT | STALE | ALONE, Group::Server, failover)
        .docs("Hands the role of the primary over to one of its replicas.", "6.2.0", "O(1)")
        .args(&[
            Arg::block("target", TARGET).token("TO").optional(),
            Arg::word("abort", "ABORT").optional(),
            Arg::integer("milliseconds").token("TIMEOUT").optional(),
        ])];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Server;

    #[test]
    fn arguments_are_judged_before_anything_happens() {
        let server = Server::new();
        let mut client = server.client();
        for line in ["x", "TO a", "TO", "TIMEOUT", "FORCE FORCE", "TIMEOUT 5 TIMEOUT 6", "TO a 1 TO a 1", "ABORT FORCE"]
        {
            client.check(&format!("FAILOVER {line}"), "-ERR syntax error\r\n");
        }
        for line in ["TO a b", "TIMEOUT x", "TO a 99999999999999999999"] {
            client.check(&format!("FAILOVER {line}"), "-ERR value is not an integer or out of range\r\n");
        }
        for timeout in [0, -1] {
            let line = format!("FAILOVER TIMEOUT {timeout}");
            client.check(&line, "-ERR FAILOVER timeout must be greater than 0\r\n");
        }
        client.check("FAILOVER ABORT", "-ERR No failover in progress.\r\n");
        assert_eq!(*server.host.failover.lock().unwrap(), None);
    }

    #[test]
    fn what_was_asked_for_arrives_and_keeps_others_away() {
        let server = Server::new();
        let mut client = server.client();
        client.check("FAILOVER timeout 100 to host 6380 force", "+OK\r\n");
        let wanted = Failover { target: Some(("host".into(), 6380)), timeout_ms: Some(100), force: true };
        assert_eq!(*server.host.failover.lock().unwrap(), Some(wanted));
        client.check("REPLICAOF host x", "-ERR REPLICAOF not allowed while failing over.\r\n");
        client.check("FAILOVER abort", "+OK\r\n");
        client.check("REPLICAOF host 6380", "+OK\r\n");
        client.check("FAILOVER", "+OK\r\n");
        assert_eq!(*server.host.failover.lock().unwrap(), Some(Failover::default()));
    }
}
