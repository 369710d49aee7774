//! SHUTDOWN: the end of the process, asked for by a client.

use crate::args::Args;
use crate::blocking::{Awaited, Block, Blocking};
use crate::call::Call;
use crate::effect::Effect;
use crate::error::{Result, SYNTAX};
use crate::host::{Ended, Shutdown};
use crate::spec::flag::*;
use crate::spec::{Arg, Group, Spec};

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    Abort,
    End(Shutdown),
}

/// Who asks for the end gets no answer: the connection closes when it has come.
fn shutdown(call: &mut Call<'_>) -> Result<Effect> {
    match parse(call.args)? {
        Request::Abort => {
            call.env.host.abort_shutdown()?;
            call.out.ok();
        }
        Request::End(how) => {
            if call.env.host.shut_down(how, call.section)? == Ended::Later {
                let awaited = Some(Awaited::End);
                return Ok(Effect::Block(Box::new(Block { awaited, ..Block::default() })));
            }
            call.session.close = true;
        }
    }
    Ok(Effect::None)
}

fn parse(args: Args<'_>) -> Result<Request> {
    let (mut how, mut abort) = (Shutdown::default(), false);
    for word in args.from(1) {
        let option = match word {
            word if word.eq_ignore_ascii_case(b"nosave") => &mut how.nosave,
            word if word.eq_ignore_ascii_case(b"save") => &mut how.save,
            word if word.eq_ignore_ascii_case(b"now") => &mut how.now,
            word if word.eq_ignore_ascii_case(b"force") => &mut how.force,
            word if word.eq_ignore_ascii_case(b"abort") => &mut abort,
            _ => return Err(SYNTAX),
        };
        *option = true;
    }
    match abort {
        true if how == Shutdown::default() => Ok(Request::Abort),
        false if !(how.save && how.nosave) => Ok(Request::End(how)),
        _ => Err(SYNTAX),
    }
}

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[Spec::new(
    "shutdown",
    -1,
    ADMIN | NOSCRIPT | LOADING | STALE | NO_MULTI | ALLOW_BUSY | ALONE,
    Group::Server,
    shutdown,
)
.docs(
    "Ends the server.",
    "1.0.0",
    "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)",
)
.args(&[
    Arg::one_of("save-selector", &[Arg::word("nosave", "NOSAVE"), Arg::word("save", "SAVE")]).optional(),
    Arg::word("now", "NOW").optional().since("7.0.0"),
    Arg::word("force", "FORCE").optional().since("7.0.0"),
    Arg::word("abort", "ABORT").optional().since("7.0.0"),
])
.blocking(&Blocking::ON_PROCESS)];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::OwnedArgs;

    #[track_caller]
    fn check(line: &str, expected: &Result<Request>) {
        let owned: OwnedArgs = line.split(' ').collect();
        assert_eq!(parse(owned.args()), *expected, "{line}");
    }

    #[test]
    fn options_that_exclude_each_other_are_refused() {
        let none = Shutdown::default();
        check("shutdown", &Ok(Request::End(none)));
        check(
            "shutdown NoSave now FORCE",
            &Ok(Request::End(Shutdown { nosave: true, now: true, force: true, ..none })),
        );
        check("shutdown save save", &Ok(Request::End(Shutdown { save: true, ..none })));
        check("shutdown abort", &Ok(Request::Abort));
        check("shutdown abort abort", &Ok(Request::Abort));
        for line in ["shutdown save nosave", "shutdown abort now", "shutdown save abort", "shutdown soon"] {
            check(line, &Err(SYNTAX));
        }
    }
}
