//! Whether a command may run now. Everything that is read here changes only under the exclusive gate, or belongs to the
//! client itself.

use std::sync::atomic::Ordering::Relaxed;

use store::gate::Section;

use super::evict::{self, Room};
use crate::args::{Args, OwnedArgs};
use crate::env::Env;
use crate::error::{DEBUG_NOT_ALLOWED, Error, NO_AUTH, OUT_OF_MEMORY};
use crate::host::Pause;
use crate::pubsub;
use crate::session::{Queued, Session};
use crate::spec::{Flags, Group, Spec};
use crate::table::{self, Command};

/// What is to be done with a command.
pub(super) enum Admission {
    /// Run it.
    Run,
    /// It waits for EXEC.
    Queued,
    /// Not now: ask again when woken.
    Postponed,
    /// Ask again in the next section: room is being made.
    Again,
    /// Answer this instead.
    Refused(Error),
}

/// What a pause of writes holds back.
const MAY_CHANGE: Flags = Flags::WRITE.union(Flags::MAY_REPLICATE);
/// In [`crate::client::Client::last_command`]: none, or an unknown one.
const NO_COMMAND: u16 = u16::MAX;

/// Bytes of an unknown command's name, and of all its arguments together, that the error repeats.
const ECHO_MAX: usize = 128;

/// The command that the arguments name.
pub(super) fn find(env: &Env, session: &mut Session, named: Option<Command>, args: Args<'_>) -> Result<Command, Error> {
    let last_command = |index| session.client.last_command.store(index, Relaxed);
    let Some(command) = named else {
        last_command(NO_COMMAND);
        if is_http(args.get(0)) {
            env.host.suspect(&session.client);
            env.host.kill(&session.client);
        }
        return Err(unknown(args));
    };
    let command = match args.opt(1) {
        Some(name) if !command.spec.subcommands.is_empty() => table::subcommand(command, name)
            .ok_or_else(|| unknown_subcommand(command, name))
            .inspect_err(|_| last_command(NO_COMMAND))?,
        _ => command,
    };
    if matches!(command.spec.group, Group::Connection | Group::Transactions) {
        // CLIENT LIST is to show itself, or the EXEC that it runs in.
        last_command(command.index);
    }
    Ok(command)
}

/// Whether this is no command but the beginning of an HTTP request, which a browser can be made to send us. The lines
/// behind it might be commands, so nothing of it is answered.
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

/// Decides; a command that is to wait for EXEC is queued here.
pub(super) fn admit(
    env: &mut Env,
    section: &Section<'_>,
    session: &mut Session,
    command: Command,
    args: Args<'_>,
) -> Admission {
    let flags = command.spec.flags;
    if !command.spec.arity_fits(args.len()) {
        return Admission::Refused(Error::arity(command.spec.full_name));
    }
    if let Err(error) = permitted(env, session, command.spec) {
        return Admission::Refused(error);
    }
    if evict::is_full(env)
        && let Some(admission) = for_want_of_memory(env, section, session, flags)
    {
        return admission;
    }
    if !env.host.takes_all()
        && let Some(admission) = as_it_stands(env, session, command.spec)
    {
        return admission;
    }
    if session.multi.is_some() && !flags.contains(Flags::SKIP_QUEUE) {
        session.queue(Queued { command, args: OwnedArgs::copy(args) });
        return Admission::Queued;
    }
    Admission::Run
}

/// What is to be done with a command that the state of the process, or a pause, does not let run.
#[cold]
fn as_it_stands(env: &Env, session: &Session, spec: &Spec) -> Option<Admission> {
    let runs = queued(session, spec.flags).map(|queued| queued.command.spec);
    if let Some(error) = env.host.standing().refuses(spec, &runs) {
        return Some(Admission::Refused(error));
    }
    // A paused server does not even queue: a write that is queued now would run, and a client is told so by QUEUED.
    let waits = match env.host.pause() {
        Pause::All => true,
        Pause::Writes => is_or_runs(session, spec.flags, MAY_CHANGE),
        Pause::No => false,
    };
    waits.then_some(Admission::Postponed)
}

fn permitted(env: &Env, session: &Session, spec: &Spec) -> Result<(), Error> {
    let flags = spec.flags;
    let needs_password = env.settings.password_needed.load(Relaxed) && !session.authenticated;
    if needs_password && !flags.contains(Flags::NO_AUTH) {
        return Err(NO_AUTH);
    }
    if flags.contains(Flags::PROTECTED) && !env.host.may_debug(&session.client) {
        return Err(DEBUG_NOT_ALLOWED);
    }
    if session.multi.is_some() && flags.contains(Flags::NO_MULTI) {
        return Err(Error::new("ERR Command not allowed inside a transaction"));
    }
    if !flags.contains(Flags::LISTENING) && pubsub::is_restricted(session) {
        return Err(Error::new(format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this \
             context",
            spec.full_name
        )));
    }
    Ok(())
}

/// Makes room, before whatever command it is, if too much memory is in use; says what is to be done with the command if it
/// cannot run.
fn for_want_of_memory(env: &mut Env, section: &Section<'_>, session: &Session, flags: Flags) -> Option<Admission> {
    match evict::make_room(env, section) {
        Room::Enough => None,
        Room::Again => Some(Admission::Again),
        Room::Never => is_or_runs(session, flags, Flags::DENYOOM).then_some(Admission::Refused(OUT_OF_MEMORY)),
        Room::NotYet => {
            env.host.evict_in_background();
            (evict::is_overfull(env) && is_or_runs(session, flags, Flags::DENYOOM)).then_some(Admission::Postponed)
        }
    }
}

/// Whether a command has one of these flags, or is the EXEC of one that has.
fn is_or_runs(session: &Session, flags: Flags, any: Flags) -> bool {
    flags.intersects(any) || queued(session, flags).any(|queued| queued.command.spec.flags.intersects(any))
}

/// What a command with these flags runs of what is queued: all of it if it is EXEC, else nothing.
fn queued(session: &Session, flags: Flags) -> impl Iterator<Item = &Queued> + Clone {
    let multi = session.multi.as_ref().filter(|_| flags.contains(Flags::EXEC));
    multi.into_iter().flat_map(|multi| &multi.queue)
}

fn unknown(args: Args<'_>) -> Error {
    let name = printable(args.get(0), ECHO_MAX);
    let mut echoed = String::new();
    for arg in args.from(1) {
        if echoed.len() >= ECHO_MAX {
            break;
        }
        echoed += &format!("'{}' ", printable(arg, ECHO_MAX - echoed.len()));
    }
    Error::new(format!("ERR unknown command '{name}', with args beginning with: {echoed}"))
}

fn unknown_subcommand(container: Command, name: &[u8]) -> Error {
    let container = container.spec.name.to_uppercase();
    Error::new(format!("ERR unknown subcommand '{}'. Try {container} HELP.", printable(name, ECHO_MAX)))
}

/// The first bytes as text; what is not UTF-8 is replaced, since the reply is one line of text.
fn printable(bytes: &[u8], max: usize) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(max)]).into_owned()
}
