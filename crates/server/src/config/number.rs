//! Numbers as Redis reads them: plain integers, memory sizes with units, percentages and octal modes.
//!
//! The readers differ on purpose. A plain directive takes only the canonical spelling of an integer (no `+`, no
//! leading zero, no blank), while the composite directives go through C's lenient `strtoll`, and memory sizes wrap
//! around when digits times unit exceed 64 bits. Each is kept as it is, for a file that Redis takes must load here.

use commands::number::parse_memory;

/// How a number is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A decimal integer.
    Integer,
    /// Digits and a unit: none or `b`, `k`, `kb`, `m`, `mb`, `g`, `gb`; with the `b` in powers of 1024.
    Memory,
    /// A memory size, or `N%`, which is stored negated.
    MemoryOrPercent,
    /// Octal digits.
    Octal,
}

/// A form, the bounds, and the default of a numeric directive.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// How it is spelled.
    pub form: Form,
    /// Whether Redis holds it in an unsigned type: bounds are then compared and printed unsigned.
    pub unsigned: bool,
    /// The lowest value; for percentages the negated highest one.
    pub min: i64,
    /// The highest value; -1 of an unsigned one is 2^64-1.
    pub max: i64,
    /// The value when nothing is said.
    pub default: Default,
    /// What an accepted value is quietly brought into, if that is narrower than the bounds.
    pub clamp: Option<(i64, i64)>,
}

/// Where a number's default comes from.
#[derive(Clone, Copy, Debug)]
pub enum Default {
    /// The same everywhere.
    Fixed(i64),
    /// One for each core that this process may use, within the bounds.
    Cores,
}

impl Range {
    /// The value when nothing is said.
    pub fn default_value(&self) -> i64 {
        match self.default {
            Default::Fixed(value) => value,
            Default::Cores => {
                let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
                i64::try_from(cores).map_or(self.max, |cores| cores.clamp(self.min, self.max))
            }
        }
    }

    /// Reads one word.
    ///
    /// # Errors
    /// Redis's text: not a number of this form, or out of bounds.
    pub fn parse(&self, word: &[u8]) -> Result<i64, String> {
        let value = self.spelled(word).ok_or(match self.form {
            Form::Integer => "argument couldn't be parsed into an integer",
            Form::Memory => "argument must be a memory value",
            Form::MemoryOrPercent => "argument must be a memory or percent value",
            Form::Octal => "argument couldn't be parsed as an octal number",
        })?;
        self.check(value)?;
        Ok(self.clamp.map_or(value, |(low, high)| value.clamp(low, high)))
    }

    /// What `CONFIG GET` answers.
    pub fn print(&self, value: i64) -> String {
        match self.form {
            Form::MemoryOrPercent if value < 0 => format!("{}%", value.unsigned_abs()),
            Form::Memory | Form::MemoryOrPercent => (value as u64).to_string(),
            Form::Octal => format!("{value:o}"),
            Form::Integer => value.to_string(),
        }
    }

    fn spelled(&self, word: &[u8]) -> Option<i64> {
        match self.form {
            Form::Integer => integer(word),
            Form::Memory => parse_memory(word).map(|bytes| bytes as i64),
            Form::MemoryOrPercent => parse_memory(word).map(|bytes| bytes as i64).or_else(|| percent(word)),
            Form::Octal => octal(word),
        }
    }

    fn check(&self, value: i64) -> Result<(), String> {
        if self.unsigned {
            let (low, high) = (self.min as u64, self.max as u64);
            return if (low..=high).contains(&(value as u64)) {
                Ok(())
            } else if self.form == Form::Octal {
                Err(format!("argument must be between {low:o} and {high:o} inclusive"))
            } else {
                Err(format!("argument must be between {low} and {high} inclusive"))
            };
        }
        if self.form == Form::MemoryOrPercent && value < 0 {
            return if value >= self.min {
                Ok(())
            } else {
                Err(format!("percentage argument must be less or equal to {}", self.min.unsigned_abs()))
            };
        }
        if (self.min..=self.max).contains(&value) {
            Ok(())
        } else {
            Err(format!("argument must be between {} and {} inclusive", self.min, self.max))
        }
    }
}

/// An integer in its one canonical spelling.
pub fn integer(word: &[u8]) -> Option<i64> {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    let canonical = match digits {
        [b'0'] => word.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    canonical.then(|| std::str::from_utf8(word).ok()?.parse().ok()).flatten()
}

/// An integer as C's `strtoll` takes it: blanks and a sign before, saturating, nothing at all is 0; but the whole
/// word must be used up.
pub fn whole(word: &[u8]) -> Option<i64> {
    let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let start = word.iter().position(|byte| !blank(byte)).unwrap_or(word.len());
    let (negative, digits) = match &word[start..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() {
        // Without a digit nothing is used up, so only the empty word passes.
        return word.is_empty().then_some(0);
    }
    digits.iter().try_fold(0i64, |value, byte| {
        let digit = i64::from(byte.is_ascii_digit().then(|| byte - b'0')?);
        let value = value.saturating_mul(10);
        Some(if negative { value.saturating_sub(digit) } else { value.saturating_add(digit) })
    })
}

/// `bytes` with the largest unit that divides it, as `CONFIG REWRITE` writes sizes.
pub fn print_with_unit(bytes: u64) -> String {
    let units = [(1u64 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")];
    let unit = units.into_iter().find(|(size, _)| bytes != 0 && bytes.is_multiple_of(*size));
    unit.map_or_else(|| bytes.to_string(), |(size, name)| format!("{}{name}", bytes / size))
}

fn percent(word: &[u8]) -> Option<i64> {
    let percent = integer(word.strip_suffix(b"%")?)?;
    (percent >= 0).then_some(-percent)
}

fn octal(word: &[u8]) -> Option<i64> {
    if word.is_empty() {
        return Some(0);
    }
    i64::from_str_radix(std::str::from_utf8(word).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_integers_have_one_spelling() {
        let check = |word: &str, value| assert_eq!(integer(word.as_bytes()), value, "{word}");
        check("0", Some(0));
        check("-1", Some(-1));
        check("9223372036854775807", Some(i64::MAX));
        check("-9223372036854775808", Some(i64::MIN));
        for word in ["", "-", "+1", "01", "-0", " 1", "1 ", "1x", "9223372036854775808"] {
            check(word, None);
        }
    }

    #[test]
    fn composite_directives_read_like_strtoll() {
        let check = |word: &str, value| assert_eq!(whole(word.as_bytes()), value, "{word}");
        check("", Some(0));
        check(" +07", Some(7));
        check("-3", Some(-3));
        check("99999999999999999999", Some(i64::MAX));
        for word in ["x", "1x", "1 ", "-", " "] {
            check(word, None);
        }
    }

    #[test]
    fn rewriting_takes_the_largest_unit_that_divides() {
        let check = |bytes, text: &str| assert_eq!(print_with_unit(bytes), text);
        check(0, "0");
        check(1, "1");
        check(1024, "1kb");
        check(1500, "1500");
        check(64 << 20, "64mb");
        check(3 << 30, "3gb");
        check((3 << 30) + 1024, "3145729kb");
    }
}
