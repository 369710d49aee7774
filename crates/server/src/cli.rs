//! What can be asked of the program instead of starting a server.
//!
//! As in Redis these words count only when they stand alone: everything else on the command line is configuration,
//! whose grammar (`--directive value ...`, in which a value may start with dashes) is no parser's of options.

use std::process::ExitCode;

use crate::version;

/// Answers what was asked; `None` when a server is to be started.
pub fn answer(program: &str, arguments: &[Vec<u8>]) -> Option<ExitCode> {
    match arguments {
        [only] if only == b"-v" || only == b"--version" => {
            println!("{}", version::line());
            Some(ExitCode::SUCCESS)
        }
        [only] if only == b"-h" || only == b"--help" => {
            print!("{}", usage(program));
            Some(ExitCode::SUCCESS)
        }
        [first, ..] if first == b"--test-memory" => {
            eprintln!("This server has no memory test; memtester and memtest86+ are good ones.");
            Some(ExitCode::FAILURE)
        }
        _ => None,
    }
}

fn usage(program: &str) -> String {
    format!(
        "\
Brindle {}: an in-memory server that speaks the protocol of Redis {} and runs on all cores.

Usage: {program} [FILE] [--DIRECTIVE VALUE ...] [-]

    FILE                  read the configuration from this file
    -                     read more of it from standard input (as the first or last argument)
    --DIRECTIVE VALUE...  set one directive; arguments win over standard input, and that over the file

    -v, --version         print the version, and nothing else
    -h, --help            print this

Examples:
    {program}
    {program} /etc/brindle.conf
    {program} /etc/brindle.conf --port 7777 --loglevel verbose
    {program} --port 7777 --maxclients 500 --unixsocket /run/brindle.sock
    echo 'maxclients 500' | {program} -

Every directive is explained in conf/brindle.conf; CONFIG GET * lists them with their values.
",
        version::BRINDLE,
        version::REDIS
    )
}
