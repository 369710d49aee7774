//! Which clients CLIENT KILL and CLIENT LIST mean.

use crate::args::Args;
use crate::client::{Client, ClientType};
use crate::error::{Error, Result, SYNTAX};
use crate::number;

/// What a client to be killed must be; what is `None` is not asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Victims<'a> {
    id: Option<u64>,
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    kind: Option<ClientType>,
    age_secs_min: Option<i64>,
    /// Whether the killer may be among them.
    pub(super) skip_me: bool,
}

impl<'a> Victims<'a> {
    /// `CLIENT KILL <addr>`.
    pub(super) fn at(addr: &'a [u8]) -> Self {
        Self { addr: Some(addr), ..Self::default() }
    }

    /// `CLIENT KILL <filter> <value> ...`; of a filter that is named twice the last word counts.
    pub(super) fn parse(args: Args<'a>) -> Result<Self> {
        let mut victims = Self { skip_me: true, ..Self::default() };
        let mut at = 2;
        while at < args.len() {
            let value = args.opt(at + 1).ok_or(SYNTAX)?;
            if args.is(at, "id") {
                let id = number::parse_i64(value).filter(|&id| id > 0);
                victims.id = Some(id.ok_or_else(|| Error::new("ERR client-id should be greater than 0"))? as u64);
            } else if args.is(at, "maxage") {
                victims.age_secs_min = Some(age(value)?);
            } else if args.is(at, "type") {
                victims.kind = Some(kind(value)?);
            } else if args.is(at, "addr") {
                victims.addr = Some(value);
            } else if args.is(at, "laddr") {
                victims.laddr = Some(value);
            } else if args.is(at, "user") {
                // Everybody is the default user.
                if value != b"default" {
                    return Err(quoting("ERR No such user", value));
                }
            } else if args.is(at, "skipme") {
                victims.skip_me = match value {
                    yes if yes.eq_ignore_ascii_case(b"yes") => true,
                    no if no.eq_ignore_ascii_case(b"no") => false,
                    _ => return Err(SYNTAX),
                };
            } else {
                return Err(SYNTAX);
            }
            at += 2;
        }
        Ok(victims)
    }

    /// Whether a client is meant, by everything but [`Self::skip_me`].
    pub(super) fn include(&self, client: &Client, now_ms: i64) -> bool {
        let is = |wanted: Option<&[u8]>, what: &str| wanted.is_none_or(|wanted| wanted == what.as_bytes());
        let age_secs = now_ms / 1000 - client.created_ms / 1000;
        self.id.is_none_or(|id| id == client.id)
            && is(self.addr, &client.addr)
            && is(self.laddr, &client.laddr)
            && self.kind.is_none_or(|kind| kind == client.kind())
            && self.age_secs_min.is_none_or(|min| age_secs >= min)
    }
}

fn age(value: &[u8]) -> Result<i64> {
    match number::parse_i64(value) {
        None => Err(Error::new("ERR maxage is not an integer or out of range")),
        Some(..=0) => Err(Error::new("ERR maxage should be greater than 0")),
        Some(age) => Ok(age),
    }
}

/// Which clients CLIENT LIST shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Listed {
    All,
    Kind(ClientType),
    Ids(Vec<u64>),
}

impl Listed {
    pub(super) fn parse(args: Args<'_>) -> Result<Self> {
        match args.len() {
            2 => Ok(Self::All),
            4 if args.is(2, "type") => kind(args.get(3)).map(Self::Kind),
            4.. if args.is(2, "id") => {
                let id = |arg| number::parse_i64(arg).ok_or_else(|| Error::new("ERR Invalid client ID"));
                // No client has the id 0, so negative ones may as well be that.
                args.from(3)
                    .map(|arg| id(arg).map(|id| id.try_into().unwrap_or(0)))
                    .collect::<Result<_>>()
                    .map(Self::Ids)
            }
            _ => Err(SYNTAX),
        }
    }
}

fn kind(name: &[u8]) -> Result<ClientType> {
    ClientType::named(name).ok_or_else(|| quoting("ERR Unknown client type", name))
}

fn quoting(text: &str, arg: &[u8]) -> Error {
    Error::new(format!("{text} '{}'", String::from_utf8_lossy(arg)))
}
