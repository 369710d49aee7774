//! SAVE and BGSAVE: the data as a file, before the answer or after it.
//!
//! SAVE has the gate to itself until the file is on the disk, as in Redis: who asks for it (and not for BGSAVE) relies on
//! the file being all there is when the answer comes, to copy it or to end the process. A walk beside the writers could
//! not promise that. BGSAVE needs the gate to itself only for the instant of the cut.

use crate::call::Call;
use crate::effect::Effect;
use crate::error::{Error, Result, SYNTAX};
use crate::spec::flag::*;
use crate::spec::{Arg, Group, Spec};

const IN_PROGRESS: Error = Error(std::borrow::Cow::Borrowed("ERR Background save already in progress"));

fn save(call: &mut Call<'_>) -> Result<Effect> {
    if call.env.host.is_saving() {
        return Err(IN_PROGRESS);
    }
    call.env.host.save(call.section)?;
    call.out.ok();
    Ok(Effect::None)
}

/// In a transaction the save begins when that is over.
fn bgsave(call: &mut Call<'_>) -> Result<Effect> {
    match call.args.len() {
        1 => {}
        2 if call.args.is(1, "schedule") => {}
        _ => return Err(SYNTAX),
    }
    if call.env.host.is_saving() {
        return Err(IN_PROGRESS);
    }
    if call.session.in_exec {
        call.env.host.schedule_save();
        call.out.simple("Background saving scheduled");
        return Ok(Effect::None);
    }
    call.env.host.begin_save(call.section);
    call.out.simple("Background saving started");
    Ok(Effect::None)
}

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("save", 1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI | ALONE, Group::Server, save).docs(
        "Saves the data to the file, and answers when it is there.",
        "1.0.0",
        "O(N) where N is the total number of keys in all databases",
    ),
    Spec::new("bgsave", -1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING | ALONE, Group::Server, bgsave)
        .docs("Begins to save the data to the file.", "1.0.0", "O(1)")
        .args(&[Arg::word("schedule", "SCHEDULE").optional().since("3.2.2")]),
];

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use crate::testing::Server;

    #[test]
    fn a_save_is_begun_scheduled_or_refused() {
        let server = Server::new();
        let mut client = server.client();
        client.check("BGSAVE now", "-ERR syntax error\r\n");
        client.check("SAVE", "+OK\r\n");
        client.all(&["MULTI", "BGSAVE"]);
        client.check("EXEC", "*1\r\n+Background saving scheduled\r\n");
        assert!(server.host.begin_save_later.load(Relaxed) && !server.host.is_saving.load(Relaxed));
        client.check("BGSAVE schedule", "+Background saving started\r\n");
        client.check("SAVE", "-ERR Background save already in progress\r\n");
        client.check("BGSAVE", "-ERR Background save already in progress\r\n");
        client.check("DEBUG RELOAD now", "-ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.\r\n");
        client.all(&["SET a 1"]);
        client.check("DEBUG RELOAD NOFLUSH", "+OK\r\n");
        assert_eq!(server.entries(0), 1);
        client.check("DEBUG RELOAD", "+OK\r\n");
        assert_eq!(server.entries(0), 0, "nothing was loaded");
    }
}
