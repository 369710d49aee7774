//! One command in the making: what a handler is given.

use crate::args::Args;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::reply::Reply;
use crate::session::Session;
use crate::spec::Spec;

/// See the file's head. The fields are apart so that a handler can borrow a value from `keys` and write it to `out`.
pub struct Call<'a> {
    /// The command's row.
    pub spec: &'static Spec,
    /// Its arguments, the name first.
    pub args: Args<'a>,
    /// Its keys, locked.
    pub keys: Keys<'a>,
    /// Where the answer goes.
    pub out: &'a mut Reply,
    /// The client's session.
    pub session: &'a mut Session,
    /// The worker's surroundings.
    pub env: &'a mut Env,
    /// The section that the command runs in.
    pub section: &'a store::gate::Section<'a>,
}

impl<'a> Call<'a> {
    /// An argument.
    #[inline]
    pub fn arg(&self, index: usize) -> &'a [u8] {
        self.args.get(index)
    }

    /// An argument that must be an integer.
    pub fn int(&self, index: usize) -> Result<i64> {
        crate::number::parse_i64(self.arg(index)).ok_or(crate::error::NOT_INTEGER)
    }

    /// The error for a wrong number of arguments.
    pub fn wrong_arity(&self) -> Error {
        Error::arity(self.spec.full_name)
    }
}
