//! BITFIELD: integers of any width up to 64 bits at any bit of a string.

use super::{bit_offset, change};
use crate::args::Args;
use crate::call::Call;
use crate::effect::{Class, Effect};
use crate::error::{Error, NOT_INTEGER, Result, SYNTAX, WRONG_TYPE};
use crate::number;

/// The type of an integer, such as `i16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Width {
    signed: bool,
    /// 1 to 64; 63 if it is unsigned, since a reply has no room for more.
    bits: u32,
}

/// What becomes of a result that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    /// The low bits stay.
    Wrap,
    /// The nearest value that fits.
    Saturate,
    /// Nothing is written, and the answer is null.
    Fail,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

/// One subcommand of BITFIELD.
struct Operation {
    width: Width,
    /// In bits.
    offset: usize,
    action: Action,
}

pub(super) fn bitfield(call: &mut Call<'_>) -> Result<Effect> {
    let operations = parse(call)?;
    if operations.iter().all(Operation::is_read) { read(call, &operations) } else { write(call, &operations) }
}

pub(super) fn bitfield_ro(call: &mut Call<'_>) -> Result<Effect> {
    let operations = parse(call)?;
    if !operations.iter().all(Operation::is_read) {
        return Err(Error::new("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read(call, &operations)
}

fn parse(call: &Call<'_>) -> Result<Vec<Operation>> {
    let args = call.args;
    let limit = call.env.string_len_max();
    let (mut operations, mut overflow, mut at) = (Vec::new(), Overflow::Wrap, 2);
    while at < args.len() {
        let following = args.len() - at - 1;
        let is = |word| args.is(at, word);
        if is("OVERFLOW") && following >= 1 {
            overflow = Overflow::parse(args.get(at + 1))?;
            at += 2;
            continue;
        }
        let is_get = is("GET") && following >= 2;
        if !is_get && !((is("SET") || is("INCRBY")) && following >= 3) {
            return Err(SYNTAX);
        }
        let width = Width::parse(args.get(at + 1))?;
        let offset = bit_offset(args.get(at + 2), Some(width.bits), limit)?;
        let action = match is_get {
            true => Action::Get,
            false => {
                let operand = number::parse_i64(args.get(at + 3)).ok_or(NOT_INTEGER)?;
                if is("SET") { Action::Set(operand, overflow) } else { Action::Add(operand, overflow) }
            }
        };
        operations.push(Operation { width, offset, action });
        at += if is_get { 3 } else { 4 };
    }
    Ok(operations)
}

fn read(call: &mut Call<'_>, operations: &[Operation]) -> Result<Effect> {
    let value = match call.keys.read(key_of(call.args)) {
        None => None,
        Some(entry) => Some(entry.as_str().ok_or(WRONG_TYPE)?),
    };
    let bytes = value.map(|value| value.bytes()).unwrap_or_default();
    call.out.array(operations.len());
    for operation in operations {
        call.out.int(operation.width.load(&bytes, operation.offset));
    }
    Ok(Effect::None)
}

fn write(call: &mut Call<'_>, operations: &[Operation]) -> Result<Effect> {
    let key = key_of(call.args);
    let writes = operations.iter().filter(|operation| !operation.is_read());
    let last_bit = writes.map(|operation| operation.offset + operation.width.bits as usize - 1).max().unwrap_or(0);
    let out = &mut *call.out;
    let (changes, has_grown) = change(&mut call.keys, key, last_bit / 8 + 1, |bytes, has_grown| {
        out.array(operations.len());
        let mut changes = 0;
        for operation in operations {
            let before = operation.width.load(bytes, operation.offset);
            let (after, answer) = operation.outcome(before);
            match answer {
                Some(answer) => out.int(answer),
                None => out.null(),
            }
            if let Some(after) = after {
                operation.width.store(bytes, operation.offset, after);
                changes += u64::from(has_grown || after != before);
            }
        }
        (changes, has_grown)
    })?;
    if changes > 0 {
        call.keys.changed(key, Class::STRING, "setbit");
        call.keys.add_dirty(changes - 1);
    } else if has_grown {
        // All writes have failed, but the string was made long enough for them. Redis logs nothing then and lets its
        // replicas differ; here the change is a change.
        call.keys.changed(key, Class::STRING, "");
    }
    Ok(Effect::as_is_if(changes > 0 || has_grown))
}

fn key_of(args: Args<'_>) -> &[u8] {
    args.get(1)
}

impl Operation {
    fn is_read(&self) -> bool {
        matches!(self.action, Action::Get)
    }

    /// What is stored, if anything is, and what is answered, given the value before.
    fn outcome(&self, before: i64) -> (Option<i64>, Option<i64>) {
        let (exact, overflow) = match self.action {
            Action::Get => return (None, Some(before)),
            // The operand of an unsigned SET is taken as unsigned, so that -1 is above all values.
            // A signed one that lies so low that its distance from the highest value overflows saturates at that one, in
            // Redis and so here.
            Action::Set(value, Overflow::Saturate) if self.width.signed && self.width.is_beyond(value) => {
                (i128::MAX, Overflow::Saturate)
            }
            Action::Set(value, overflow) if self.width.signed => (i128::from(value), overflow),
            Action::Set(value, overflow) => (i128::from(value as u64), overflow),
            Action::Add(amount, overflow) => (i128::from(before) + i128::from(amount), overflow),
        };
        let Some(after) = self.width.fit(exact, overflow) else { return (None, None) };
        let answer = if matches!(self.action, Action::Set(..)) { before } else { after };
        (Some(after), Some(answer))
    }
}

impl Overflow {
    fn parse(word: &[u8]) -> Result<Self> {
        const WORDS: [(&[u8], Overflow); 3] =
            [(b"WRAP", Overflow::Wrap), (b"SAT", Overflow::Saturate), (b"FAIL", Overflow::Fail)];
        let found = WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        found.map(|(_, overflow)| *overflow).ok_or_else(|| Error::new("ERR Invalid OVERFLOW type specified"))
    }
}

impl Width {
    fn parse(word: &[u8]) -> Result<Self> {
        let (signed, max) = match word.first() {
            Some(b'i') => (true, 64),
            Some(b'u') => (false, 63),
            _ => (false, 0),
        };
        let bits = word.get(1..).and_then(number::parse_i64).filter(|bits| (1..=max).contains(bits));
        bits.map(|bits| Self { signed, bits: bits as u32 }).ok_or_else(|| {
            Error::new(
                "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
            )
        })
    }

    /// The value at a bit; what lies beyond the end is zero.
    fn load(self, bytes: &[u8], offset: usize) -> i64 {
        let raw = window(bytes, offset) << (offset % 8) >> (128 - self.bits);
        if self.signed {
            let unused = 128 - self.bits;
            (((raw as i128) << unused) >> unused) as i64
        } else {
            raw as i64
        }
    }

    /// Stores the low bits of a value at a bit.
    fn store(self, bytes: &mut [u8], offset: usize, value: i64) {
        let unused = 128 - self.bits;
        let mask = (u128::MAX << unused) >> (offset % 8);
        let value = ((value as u128) << unused) >> (offset % 8);
        let window = (window(bytes, offset) & !mask) | value;
        let start = offset / 8;
        let end = (start + 16).min(bytes.len());
        bytes[start..end].copy_from_slice(&window.to_be_bytes()[..end - start]);
    }

    /// Whether the distance of a negative value from the highest signed one of this width does not fit into 64 bits.
    fn is_beyond(self, value: i64) -> bool {
        let max = ((1i128 << (self.bits - 1)) - 1) as i64;
        value < 0 && self.bits < 64 && max.checked_sub(value).is_none()
    }

    /// The value that is kept of an exact one; `None` if it does not fit and must.
    fn fit(self, exact: i128, overflow: Overflow) -> Option<i64> {
        let (min, max) = match self.signed {
            true => (-(1i128 << (self.bits - 1)), (1i128 << (self.bits - 1)) - 1),
            false => (0, (1i128 << self.bits) - 1),
        };
        if (min..=max).contains(&exact) {
            return Some(exact as i64);
        }
        match overflow {
            Overflow::Fail => None,
            Overflow::Saturate => Some(exact.clamp(min, max) as i64),
            Overflow::Wrap => {
                let unused = 128 - self.bits;
                let low = exact << unused;
                Some(if self.signed { (low >> unused) as i64 } else { (low as u128 >> unused) as i64 })
            }
        }
    }
}

/// The sixteen bytes from the one with the bit at `offset` on, big-endian, with zeroes beyond the end: any integer
/// that begins in the first of them lies in them.
fn window(bytes: &[u8], offset: usize) -> u128 {
    let mut window = [0; 16];
    let rest = bytes.get(offset / 8..).unwrap_or_default();
    let len = rest.len().min(16);
    window[..len].copy_from_slice(&rest[..len]);
    u128::from_be_bytes(window)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_loads_again_and_touches_nothing_else() {
        let mut rng = fastrand::Rng::with_seed(9);
        for _ in 0..20_000 {
            let signed = rng.bool();
            let width = Width { signed, bits: rng.u32(1..=if signed { 64 } else { 63 }) };
            let offset = rng.usize(..80);
            let mut bytes = vec![0; (offset + width.bits as usize).div_ceil(8) + rng.usize(..3)];
            rng.fill(&mut bytes);
            let before = bytes.clone();
            let value = width.fit(rng.i64(..).into(), Overflow::Wrap).expect("wrapping fits");
            width.store(&mut bytes, offset, value);
            assert_eq!(width.load(&bytes, offset), value);
            let field = offset..offset + width.bits as usize;
            for at in (0..bytes.len() * 8).filter(|at| !field.contains(at)) {
                let bit = |bytes: &[u8]| bytes[at / 8] & (0x80 >> (at % 8));
                assert_eq!(bit(&bytes), bit(&before), "bit {at} beside {field:?}");
            }
        }
    }

    #[test]
    fn overflow_wraps_saturates_or_fails() {
        let check = |width: &str, exact: i128, wrapped: i64, saturated: i64| {
            let width = Width::parse(width.as_bytes()).expect("a width");
            assert_eq!(width.fit(exact, Overflow::Wrap), Some(wrapped));
            assert_eq!(width.fit(exact, Overflow::Saturate), Some(saturated));
            assert_eq!(width.fit(exact, Overflow::Fail), (wrapped == saturated).then_some(wrapped));
        };
        check("u8", 255, 255, 255);
        check("u8", 256, 0, 255);
        check("u8", -1, 255, 0);
        check("i8", 128, -128, 127);
        check("i8", -129, 127, -128);
        check("i64", i128::from(i64::MAX) + 1, i64::MIN, i64::MAX);
        check("i64", i128::from(i64::MIN) - 1, i64::MAX, i64::MIN);
        check("u63", 1 << 63, 0, i64::MAX);
        check("i1", 1, -1, 0);
    }
}
