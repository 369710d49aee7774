//! One row of the table of directives, and the small vocabulary the rows are written in.
//!
//! A row is a constant built by chaining: `memory("maxmemory", 0, -1, 0).unsigned()`. Everything the server does
//! with a directive follows from its row; no other place compares a directive's name.

use super::number::{Default, Form, Range};
use super::value::{Kind, Value};

/// What the table knows of one directive.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name, in lower case.
    pub name: &'static str,
    /// Its other name, which CONFIG GET lists as well.
    pub alias: Option<&'static str>,
    /// What it holds.
    pub kind: Kind,
    /// Fixed at the start: CONFIG SET refuses it.
    pub immutable: bool,
    /// CONFIG SET needs `enable-protected-configs`.
    pub protected: bool,
    /// CONFIG GET shows it only when asked for by its exact name.
    pub hidden: bool,
    /// CONFIG SET answers LOADING while a file is loaded.
    pub denied_while_loading: bool,
    /// What becomes of it here.
    pub effect: Effect,
    /// What its kind does not check yet.
    pub check: Option<Check>,
}

/// Looks at a value that its kind accepts; what is wrong with it is told in Redis's words.
pub type Check = fn(&Value) -> Result<(), &'static str>;

/// What becomes of a directive here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It does what it does in Redis.
    Effective,
    /// It is accepted and nothing needs doing; the reason says why. `conf/brindle.conf` repeats it.
    Ignored(&'static str),
    /// What it asks for does not exist yet. A value other than the default is never swallowed.
    ToCome {
        /// What is missing, as a sentence without its full stop.
        missing: &'static str,
        /// What a value other than the default meets at the start.
        at_start: Answer,
        /// What it meets in CONFIG SET.
        at_run_time: Answer,
    },
}

/// How a setting that cannot be honoured yet is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The start stops, or CONFIG SET fails, with the reason.
    Refuse,
    /// It is accepted, and a warning is logged each time.
    Warn,
}

impl Row {
    /// The value when nothing is said.
    pub fn default_value(&self) -> Value {
        self.kind.default_value()
    }

    /// Reads `words` and applies the row's own check. See [`Kind::parse`].
    ///
    /// # Errors
    /// Redis's text for what is wrong.
    pub fn parse(&self, words: &[Vec<u8>], current: &Value) -> Result<Value, String> {
        let value = self.kind.parse(words, current)?;
        match self.check {
            Some(check) => check(&value).map(|()| value).map_err(Into::into),
            None => Ok(value),
        }
    }

    const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            alias: None,
            kind,
            immutable: false,
            protected: false,
            hidden: false,
            denied_while_loading: false,
            effect: Effect::Effective,
            check: None,
        }
    }

    pub(super) const fn alias(self, alias: &'static str) -> Self {
        Self { alias: Some(alias), ..self }
    }

    pub(super) const fn immutable(self) -> Self {
        Self { immutable: true, ..self }
    }

    pub(super) const fn protected(self) -> Self {
        Self { protected: true, ..self }
    }

    pub(super) const fn hidden(self) -> Self {
        Self { hidden: true, ..self }
    }

    pub(super) const fn denied_while_loading(self) -> Self {
        Self { denied_while_loading: true, ..self }
    }

    pub(super) const fn check(self, check: Check) -> Self {
        Self { check: Some(check), ..self }
    }

    /// Accepted, with nothing to do, because of `reason`.
    pub(super) const fn no_effect(self, reason: &'static str) -> Self {
        Self { effect: Effect::Ignored(reason), ..self }
    }

    /// A setting other than the default stops the start and fails CONFIG SET.
    pub(super) const fn refused(self, missing: &'static str) -> Self {
        self.to_come(missing, Answer::Refuse, Answer::Refuse)
    }

    /// A setting other than the default is accepted with a warning.
    pub(super) const fn warned(self, missing: &'static str) -> Self {
        self.to_come(missing, Answer::Warn, Answer::Warn)
    }

    /// A setting other than the default is met with a warning at the start and refused by CONFIG SET.
    pub(super) const fn warned_at_start(self, missing: &'static str) -> Self {
        self.to_come(missing, Answer::Warn, Answer::Refuse)
    }

    const fn to_come(self, missing: &'static str, at_start: Answer, at_run_time: Answer) -> Self {
        Self { effect: Effect::ToCome { missing, at_start, at_run_time }, ..self }
    }

    /// The range of a numeric row changed by `change`.
    const fn range(self) -> Range {
        match self.kind {
            Kind::Number(range) => range,
            _ => panic!("only a number has a range"),
        }
    }

    /// Held in an unsigned type by Redis.
    pub(super) const fn unsigned(self) -> Self {
        Self { kind: Kind::Number(Range { unsigned: true, ..self.range() }), ..self }
    }

    /// Accepted within the bounds, but quietly brought between `low` and `high`.
    pub(super) const fn clamped(self, low: i64, high: i64) -> Self {
        Self { kind: Kind::Number(Range { clamp: Some((low, high)), ..self.range() }), ..self }
    }

    /// One for each core unless said otherwise.
    pub(super) const fn default_cores(self) -> Self {
        Self { kind: Kind::Number(Range { default: Default::Cores, ..self.range() }), ..self }
    }
}

pub(super) const fn yes_no(name: &'static str, default: bool) -> Row {
    Row::new(name, Kind::YesNo(default))
}

/// A string for which `""` is a value like any other.
pub(super) const fn text(name: &'static str, default: &'static str) -> Row {
    Row::new(name, Kind::Text { default, unset_if_empty: false })
}

/// A string that is not set by default, and for which `""` means "not set".
pub(super) const fn optional(name: &'static str) -> Row {
    Row::new(name, Kind::Text { default: "", unset_if_empty: true })
}

pub(super) const fn choice(name: &'static str, names: &'static [(&'static str, u8)], default: &'static str) -> Row {
    Row::new(name, Kind::Choice(names, default))
}

pub(super) const fn integer(name: &'static str, min: i64, max: i64, default: i64) -> Row {
    number(name, Form::Integer, min, max, default)
}

pub(super) const fn memory(name: &'static str, min: i64, max: i64, default: i64) -> Row {
    number(name, Form::Memory, min, max, default)
}

pub(super) const fn number(name: &'static str, form: Form, min: i64, max: i64, default: i64) -> Row {
    let default = Default::Fixed(default);
    Row::new(name, Kind::Number(Range { form, unsigned: false, min, max, default, clamp: None }))
}

pub(super) const fn special(name: &'static str, kind: Kind) -> Row {
    Row::new(name, kind)
}
