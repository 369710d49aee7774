//! What a directive may hold, how it is read from words, and how it is printed.
//!
//! A directive's text goes through one door each way: [`Kind::parse`] turns the words of a line (or the words of
//! a `CONFIG SET` value) into a [`Value`], [`Kind::print`] gives back what `CONFIG GET` answers. Whatever `print`
//! gives, `parse` accepts and yields the same value; a test holds the whole table to that.
//!
//! Error texts are Redis 8.0's, byte for byte: clients and its test suite look for them.

use commands::number::parse_memory;

use super::number::{self, Form};

/// The highest number of addresses `bind` takes.
pub const BIND_ADDRESSES_MAX: usize = 16;

/// Bytes as the user wrote them; passwords and paths need not be UTF-8.
pub type Text = Vec<u8>;

/// The value of one directive.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `yes` or `no`.
    YesNo(bool),
    /// Every number. Memory sizes are bytes and, like Redis's, unsigned in the same 64 bits; a percentage of
    /// `maxmemory-clients` is stored negated.
    Number(i64),
    /// A string; empty where the directive is not set.
    Text(Text),
    /// One name out of the row's list, in its canonical spelling.
    Choice(&'static str),
    /// Bit `i` stands for name `i` of the row's list; 0 is the first name, which means "none of the others".
    Flags(u32),
    /// The addresses of `bind`, each maybe with the leading `-` that makes it optional.
    Addresses(Vec<Text>),
    /// The points of `save`, in the order given.
    SavePoints(Vec<SavePoint>),
    /// `client-output-buffer-limit` for normal, replica and pubsub clients, in this order.
    OutputLimits([OutputLimit; 3]),
    /// The classes of `notify-keyspace-events`.
    Events(EventClasses),
    /// `oom-score-adj-values` for a primary, a replica and a background child, in this order.
    OomScores([i32; 3]),
    /// The percentiles of `latency-tracking-info-percentiles`.
    Percentiles(Vec<f64>),
    /// The primary to follow, if any.
    ReplicaOf(Option<(Text, u16)>),
}

/// One point of `save`: so many seconds, and at least so many changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// Seconds since the last save, at least 1.
    pub seconds: i64,
    /// Changes since the last save.
    pub changes: i32,
}

/// The points of a server that was told nothing.
const SAVE_POINTS: [SavePoint; 3] = [
    SavePoint { seconds: 3600, changes: 1 },
    SavePoint { seconds: 300, changes: 100 },
    SavePoint { seconds: 60, changes: 10_000 },
];

/// How much output may wait for one class of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes at which the client is closed at once; 0 is no limit.
    pub hard_bytes: u64,
    /// Bytes that may not be exceeded for `soft_seconds`; 0 is no limit.
    pub soft_bytes: u64,
    /// Seconds of grace above the soft limit.
    pub soft_seconds: i32,
}

/// The classes of clients that `client-output-buffer-limit` knows, as `CONFIG GET` prints them.
const OUTPUT_CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

const MIB: u64 = 1024 * 1024;
const OUTPUT_LIMITS: [OutputLimit; 3] = [
    OutputLimit { hard_bytes: 0, soft_bytes: 0, soft_seconds: 0 },
    OutputLimit { hard_bytes: 256 * MIB, soft_bytes: 64 * MIB, soft_seconds: 60 },
    OutputLimit { hard_bytes: 32 * MIB, soft_bytes: 8 * MIB, soft_seconds: 60 },
];

/// Which keyspace events are published: the letters of `notify-keyspace-events` as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventClasses(u16);

impl EventClasses {
    /// In the order they are printed; the first ten are what `A` stands for.
    const LETTERS: &'static [u8] = b"g$lshzxetdnKEm";
    const ALL: u16 = (1 << 10) - 1;
    /// `n`, which Redis does not print beside `A`, though it is on.
    const NEW: u16 = 1 << 10;

    /// Whether the class with this letter (one of `g$lshzxetdnKEm`) is on.
    pub fn has(self, letter: u8) -> bool {
        Self::bit(letter).is_some_and(|bit| self.0 & bit != 0)
    }

    fn bit(letter: u8) -> Option<u16> {
        Self::LETTERS.iter().position(|&known| known == letter).map(|at| 1 << at)
    }

    fn parse(letters: &[u8]) -> Option<Self> {
        letters.iter().try_fold(Self(0), |set, &letter| {
            let bits = if letter == b'A' { Self::ALL } else { Self::bit(letter)? };
            Some(Self(set.0 | bits))
        })
    }

    fn print(self) -> Text {
        let all = self.0 & Self::ALL == Self::ALL;
        let spelled = if all { self.0 & !(Self::ALL | Self::NEW) } else { self.0 };
        let letters = Self::LETTERS.iter().enumerate().filter(|(at, _)| spelled & (1 << at) != 0);
        all.then_some(b'A').into_iter().chain(letters.map(|(_, &letter)| letter)).collect()
    }
}

/// What kind of value a directive takes, with its bounds and its default.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `yes` or `no`.
    YesNo(bool),
    /// A number within bounds.
    Number(number::Range),
    /// A string. When `unset_if_empty`, an empty one counts as not given, and `CONFIG REWRITE` drops its line.
    Text {
        /// The value when nothing is said.
        default: &'static str,
        /// Whether `""` means "not set" rather than "set to nothing".
        unset_if_empty: bool,
    },
    /// The working directory; its value is where the process stands.
    Dir,
    /// One of several names, each with the number it stands for; names with one number are the same choice, and
    /// the first of them is printed. The default is given by name.
    Choice(&'static [(&'static str, u8)], &'static str),
    /// Any of several names, the first of which means none of the others and is the default.
    Flags(&'static [&'static str]),
    /// `bind`.
    Bind,
    /// `save`.
    Save,
    /// `client-output-buffer-limit`.
    OutputLimits,
    /// `notify-keyspace-events`.
    Events,
    /// `oom-score-adj-values`.
    OomScores,
    /// `latency-tracking-info-percentiles`.
    Percentiles,
    /// `replicaof`.
    ReplicaOf,
}

impl Kind {
    /// Whether the directive takes several words, so that one quoted word is split again.
    pub const fn is_many_words(&self) -> bool {
        matches!(
            self,
            Self::Flags(_)
                | Self::Bind
                | Self::Save
                | Self::OutputLimits
                | Self::OomScores
                | Self::Percentiles
                | Self::ReplicaOf
        )
    }

    /// The value a server has when nothing was said.
    pub fn default_value(&self) -> Value {
        match *self {
            Self::YesNo(yes) => Value::YesNo(yes),
            Self::Number(range) => Value::Number(range.default_value()),
            Self::Text { default, .. } => Value::Text(default.into()),
            Self::Dir => Value::Text(Text::new()),
            Self::Choice(_, name) => Value::Choice(name),
            Self::Flags(_) => Value::Flags(0),
            Self::Bind => Value::Addresses(vec![b"*".to_vec(), b"-::*".to_vec()]),
            Self::Save => Value::SavePoints(SAVE_POINTS.to_vec()),
            Self::OutputLimits => Value::OutputLimits(OUTPUT_LIMITS),
            Self::Events => Value::Events(EventClasses::default()),
            Self::OomScores => Value::OomScores([0, 200, 800]),
            Self::Percentiles => Value::Percentiles(vec![50.0, 99.0, 99.9]),
            Self::ReplicaOf => Value::ReplicaOf(None),
        }
    }

    /// Reads `words`; `current` is what holds now, for the directive that changes only the classes it names.
    ///
    /// # Errors
    /// Redis's own text for what is wrong with the words.
    pub fn parse(&self, words: &[Text], current: &Value) -> Result<Value, String> {
        match self {
            Self::YesNo(_) => parse_yes_no(one(words)?),
            Self::Number(range) => range.parse(one(words)?).map(Value::Number),
            Self::Text { .. } | Self::Dir => Ok(Value::Text(one(words)?.clone())),
            Self::Choice(names, _) => parse_choice(names, words),
            Self::Flags(names) => parse_flags(names, words),
            Self::Bind => parse_bind(words),
            Self::Save => parse_save(words),
            Self::OutputLimits => parse_output_limits(words, current),
            Self::Events => EventClasses::parse(one(words)?)
                .map(Value::Events)
                .ok_or_else(|| "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into()),
            Self::OomScores => parse_oom_scores(words),
            Self::Percentiles => parse_percentiles(words),
            Self::ReplicaOf => parse_replica_of(words),
        }
    }

    /// What `CONFIG GET` answers for `value`.
    ///
    /// # Panics
    /// If the value is of another kind, which only a mistake in this module can bring about.
    pub fn print(&self, value: &Value) -> Text {
        match (self, value) {
            (Self::Number(range), Value::Number(number)) => range.print(*number).into_bytes(),
            (Self::Flags(names), Value::Flags(bits)) => print_flags(names, *bits).into_bytes(),
            (_, Value::YesNo(yes)) => if *yes { "yes" } else { "no" }.into(),
            (_, Value::Text(text)) => text.clone(),
            (_, Value::Choice(name)) => (*name).into(),
            (_, Value::Addresses(addresses)) => addresses.join(&b' '),
            (_, Value::SavePoints(points)) => {
                spaced(points.iter().map(|point| format!("{} {}", point.seconds, point.changes)))
            }
            (_, Value::OutputLimits(limits)) => spaced(OUTPUT_CLASSES.iter().zip(limits).map(|(class, limit)| {
                format!("{class} {} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_seconds)
            })),
            (_, Value::Events(classes)) => classes.print(),
            (_, Value::OomScores(scores)) => spaced(scores.iter().map(i32::to_string)),
            (_, Value::Percentiles(percentiles)) => spaced(percentiles.iter().map(|&p| print_percentile(p))),
            (_, Value::ReplicaOf(None)) => Text::new(),
            (_, Value::ReplicaOf(Some((host, port)))) => [host.as_slice(), port.to_string().as_bytes()].join(&b' '),
            (kind, value) => panic!("{value:?} is not a value of {kind:?}"),
        }
    }
}

/// The lines with which a file states `limits`: the class by its modern name, and the limit.
pub fn output_limit_lines(limits: &[OutputLimit; 3]) -> [String; 3] {
    let line = |class: &str, limit: &OutputLimit| {
        let [hard, soft] = [limit.hard_bytes, limit.soft_bytes].map(number::print_with_unit);
        format!("{class} {hard} {soft} {}", limit.soft_seconds)
    };
    [line("normal", &limits[0]), line("replica", &limits[1]), line("pubsub", &limits[2])]
}

fn spaced(words: impl Iterator<Item = String>) -> Text {
    words.collect::<Vec<_>>().join(" ").into_bytes()
}

fn one(words: &[Text]) -> Result<&Text, String> {
    match words {
        [word] => Ok(word),
        _ => Err("wrong number of arguments".into()),
    }
}

fn parse_yes_no(word: &Text) -> Result<Value, String> {
    match word {
        word if word.eq_ignore_ascii_case(b"yes") => Ok(Value::YesNo(true)),
        word if word.eq_ignore_ascii_case(b"no") => Ok(Value::YesNo(false)),
        _ => Err("argument must be 'yes' or 'no'".into()),
    }
}

fn none_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!("argument(s) must be one of the following: {}", names.collect::<Vec<_>>().join(", "))
}

fn parse_choice(names: &'static [(&'static str, u8)], words: &[Text]) -> Result<Value, String> {
    let [word] = words else { return Err(none_of(names.iter().map(|(name, _)| *name))) };
    let meant = names.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
    let canonical = meant.and_then(|(_, meant)| names.iter().find(|(_, number)| number == meant));
    canonical.map(|(name, _)| Value::Choice(name)).ok_or_else(|| none_of(names.iter().map(|(name, _)| *name)))
}

fn parse_flags(names: &'static [&'static str], words: &[Text]) -> Result<Value, String> {
    let bit = |word: &Text| {
        let at = names.iter().position(|name| word.eq_ignore_ascii_case(name.as_bytes()))?;
        Some(if at == 0 { 0 } else { 1 << at })
    };
    let bits = words.iter().try_fold(0, |bits, word| Some(bits | bit(word)?));
    match bits {
        Some(bits) if !words.is_empty() => Ok(Value::Flags(bits)),
        _ => Err(none_of(names.iter().copied())),
    }
}

fn print_flags(names: &[&str], bits: u32) -> String {
    if bits == 0 {
        return names[0].into();
    }
    let set = names.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0);
    set.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
}

fn parse_bind(words: &[Text]) -> Result<Value, String> {
    match words {
        words if words.len() > BIND_ADDRESSES_MAX => Err("Too many bind addresses specified.".into()),
        [word] if word.is_empty() => Ok(Value::Addresses(Vec::new())),
        words => Ok(Value::Addresses(words.to_vec())),
    }
}

fn parse_save(words: &[Text]) -> Result<Value, String> {
    let point = |pair: &[Text]| {
        let [seconds, changes] = pair else { return None };
        let (seconds, changes) = (number::whole(seconds)?, number::whole(changes)?);
        // Redis keeps the changes in an int and cuts the rest off.
        (seconds >= 1 && changes >= 0).then_some(SavePoint { seconds, changes: changes as i32 })
    };
    match words {
        [word] if word.is_empty() => Ok(Value::SavePoints(Vec::new())),
        words => {
            let points: Option<Vec<_>> = words.chunks(2).map(point).collect();
            points.map(Value::SavePoints).ok_or_else(|| "Invalid save parameters".into())
        }
    }
}

fn parse_output_limits(words: &[Text], current: &Value) -> Result<Value, String> {
    if !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    let Value::OutputLimits(mut limits) = *current else { panic!("{current:?} holds no output limits") };
    for limit in words.chunks(4) {
        let class: &[&str] = &["normal", "slave", "pubsub", "replica"];
        let class = class.iter().position(|name| limit[0].eq_ignore_ascii_case(name.as_bytes()));
        let at = match class {
            Some(3) => 1,
            Some(at) => at,
            None => return Err("Invalid client class specified in buffer limit configuration.".into()),
        };
        limits[at] = parse_output_limit(limit)
            .ok_or("Error in hard, soft or soft_seconds setting in buffer limit configuration.")?;
    }
    Ok(Value::OutputLimits(limits))
}

fn parse_output_limit(words: &[Text]) -> Option<OutputLimit> {
    let soft_seconds = number::whole(&words[3])? as i32;
    let (hard_bytes, soft_bytes) = (parse_memory(&words[1])?, parse_memory(&words[2])?);
    (soft_seconds >= 0).then_some(OutputLimit { hard_bytes, soft_bytes, soft_seconds })
}

fn parse_oom_scores(words: &[Text]) -> Result<Value, String> {
    let words: &[Text; 3] = words.try_into().map_err(|_| "wrong number of arguments")?;
    let mut scores = [0; 3];
    for (score, word) in scores.iter_mut().zip(words) {
        *score = number::whole(word)
            .filter(|score| (-2000..=2000).contains(score))
            .ok_or("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")? as i32;
    }
    Ok(Value::OomScores(scores))
}

fn parse_percentiles(words: &[Text]) -> Result<Value, String> {
    let percentile = |word: &Text| {
        let text = std::str::from_utf8(word).ok();
        let number = text.and_then(|text| text.parse::<f64>().ok()).filter(|number| !number.is_nan());
        let number = number.ok_or("Invalid latency-tracking-info-percentiles parameters")?;
        if (0.0..=100.0).contains(&number) {
            Ok(number)
        } else {
            Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".into())
        }
    };
    match words {
        [word] if word.is_empty() => Ok(Value::Percentiles(Vec::new())),
        words => words.iter().map(percentile).collect::<Result<_, String>>().map(Value::Percentiles),
    }
}

fn print_percentile(percentile: f64) -> String {
    let digits = format!("{percentile:.6}");
    digits.trim_end_matches('0').trim_end_matches('.').into()
}

fn parse_replica_of(words: &[Text]) -> Result<Value, String> {
    let [host, port] = words else { return Err("wrong number of arguments".into()) };
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        return Ok(Value::ReplicaOf(None));
    }
    let port = number::whole(port).and_then(|port| u16::try_from(port).ok()).ok_or("Invalid master port")?;
    Ok(Value::ReplicaOf(Some((host.clone(), port))))
}

impl Form {
    /// Whether `CONFIG REWRITE` writes the number with a unit (`64mb`) where one divides it.
    pub const fn has_units(self) -> bool {
        matches!(self, Self::Memory | Self::MemoryOrPercent)
    }
}
