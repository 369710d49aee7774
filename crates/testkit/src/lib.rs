//! See README.md.

pub mod client;
pub mod differential;
pub mod golden;
pub mod grammar;
pub mod linearizable;
pub mod process;
pub mod proxy;
pub mod reply;
pub mod surface;
pub mod words;

pub use client::{Client, Protocol};
pub use process::{Program, Server};
pub use proxy::Proxy;
pub use resp_parser::Reply;
pub use words::Words;

/// What a judge needs, or None with a printed line when it is not there; with `CI=true` a judge that cannot run fails.
///
/// # Panics
/// With `CI=true`, when it is not there.
#[must_use]
pub fn found(program: Option<Program>, name: &str) -> Option<Program> {
    if program.is_none() {
        let missing = format!("{name} is not there (scripts/references.sh brings the references)");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        println!("SKIPPED: {missing}");
    }
    program
}
