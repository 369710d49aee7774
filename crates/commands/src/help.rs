//! HELP of a container: a head, what its subcommands do, and HELP itself.

use crate::call::Call;

/// Answers HELP. `lines` are pairs of a subcommand with its arguments, and an indented line or more on what it does.
pub(crate) fn answer(call: &mut Call<'_>, lines: &[&str]) {
    let name = call.spec.full_name.split('|').next().unwrap_or_default().to_uppercase();
    call.out.array(lines.len() + 3);
    call.out.simple(&format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    lines.iter().for_each(|line| call.out.simple(line));
    call.out.simple("HELP");
    call.out.simple("    Print this help.");
}
