//! Bitmaps: strings read and written by bits.

mod bits;
mod field;

use store::entry::Entry;

use crate::call::Call;
use crate::effect::{Class, Effect};
use crate::error::{Error, NOT_INTEGER, Result, SYNTAX, WRONG_TYPE};
use crate::keys::Keys;
use crate::number;
use crate::spec::flag::*;
use crate::spec::{Arg, Group, KeySpec, Spec};

use bits::{Combination, Operation};
use field::{bitfield, bitfield_ro};

fn setbit(call: &mut Call<'_>) -> Result<Effect> {
    let key = call.arg(1);
    let offset = bit_offset(call.arg(2), None, call.env.string_len_max())?;
    let bit = match number::parse_i64(call.arg(3)) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(Error::new("ERR bit is not an integer or out of range")),
    };
    let (before, has_changed) = change(&mut call.keys, key, offset / 8 + 1, |bytes, has_grown| {
        let mask = 0x80 >> (offset % 8);
        let byte = &mut bytes[offset / 8];
        let before = *byte & mask != 0;
        if bit {
            *byte |= mask;
        } else {
            *byte &= !mask;
        }
        (before, has_grown || before != bit)
    })?;
    if has_changed {
        call.keys.changed(key, Class::STRING, "setbit");
    }
    call.out.flag(before);
    Ok(Effect::as_is_if(has_changed))
}

fn getbit(call: &mut Call<'_>) -> Result<Effect> {
    let offset = bit_offset(call.arg(2), None, call.env.string_len_max())?;
    let value = call.keys.string(call.args.get(1))?;
    let byte = value.and_then(|value| value.bytes().get(offset / 8).copied()).unwrap_or(0);
    call.out.flag(byte & (0x80 >> (offset % 8)) != 0);
    Ok(Effect::None)
}

/// What the ends of a range count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

impl Unit {
    fn parse(word: &[u8]) -> Result<Self> {
        if word.eq_ignore_ascii_case(b"BIT") {
            Ok(Self::Bit)
        } else if word.eq_ignore_ascii_case(b"BYTE") {
            Ok(Self::Byte)
        } else {
            Err(SYNTAX)
        }
    }
}

/// A part of a string; negative ends count from its end.
struct Range {
    start: i64,
    end: i64,
    unit: Unit,
}

impl Range {
    const ALL: Self = Self { start: 0, end: -1, unit: Unit::Byte };

    /// The first and the last bit of the range in a string of `len` bytes, unless it is empty.
    fn bits(&self, len: usize) -> Option<(usize, usize)> {
        let scale = if self.unit == Unit::Bit { 1 } else { 8 };
        let total = len as i64 * 8 / scale;
        let from_end = |index: i64| if index < 0 { total.saturating_add(index).max(0) } else { index };
        let (start, end) = (from_end(self.start), from_end(self.end).min(total - 1));
        (start <= end).then(|| ((start * scale) as usize, (end * scale + scale - 1) as usize))
    }
}

fn bitcount(call: &mut Call<'_>) -> Result<Effect> {
    let range = match call.args.len() {
        2 => Range::ALL,
        4 => Range { start: call.int(2)?, end: call.int(3)?, unit: Unit::Byte },
        5 => Range { start: call.int(2)?, end: call.int(3)?, unit: Unit::parse(call.arg(4))? },
        _ => return Err(SYNTAX),
    };
    let value = call.keys.string(call.args.get(1))?;
    // Two negative ends the wrong way round are an empty range even where clipping makes one bit of them.
    let is_reversed = range.start < 0 && range.end < 0 && range.start > range.end;
    let count = value.filter(|_| !is_reversed).map_or(0, |value| {
        let bytes = value.bytes();
        range.bits(bytes.len()).map_or(0, |(first, last)| bits::count_between(&bytes, first, last))
    });
    call.out.int(count as i64);
    Ok(Effect::None)
}

fn bitpos(call: &mut Call<'_>) -> Result<Effect> {
    let bit = match call.int(2)? {
        0 => false,
        1 => true,
        _ => return Err(Error::new("ERR The bit argument must be 1 or 0.")),
    };
    let mut range = Range::ALL;
    match call.args.len() {
        3 => {}
        4..=6 => {
            range.start = call.int(3)?;
            if let Some(unit) = call.args.opt(5) {
                range.unit = Unit::parse(unit)?;
            }
            if let Some(end) = call.args.opt(4) {
                range.end = number::parse_i64(end).ok_or(NOT_INTEGER)?;
            }
        }
        _ => return Err(SYNTAX),
    }
    let has_end = call.args.len() > 4;
    let position = match call.keys.string(call.args.get(1))? {
        // A missing string is an endless row of zeroes.
        None => (!bit).then_some(0),
        Some(value) => {
            let bytes = value.bytes();
            range.bits(bytes.len()).and_then(|(first, last)| {
                // So are the bits behind a string, unless the client has said where to stop.
                bits::find(&bytes, bit, first, last).or((!bit && !has_end).then_some(last + 1))
            })
        }
    };
    call.out.int(position.map_or(-1, |position| position as i64));
    Ok(Effect::None)
}

fn bitop(call: &mut Call<'_>) -> Result<Effect> {
    let (operation, destination) = (parse_operation(call)?, call.arg(2));
    let mut combination = Combination::new(operation);
    for key in call.args.from(3) {
        // An expired source has to be gone from the log before this command is in it, or a replica would use it.
        call.keys.write(key);
        combination.add(&call.keys.string(key)?.map(|value| value.bytes()).unwrap_or_default());
    }
    let result = combination.finish();
    call.out.len(result.len());
    if result.is_empty() {
        let is_deleted = call.keys.delete(destination);
        if is_deleted {
            call.keys.changed(destination, Class::GENERIC, "del");
        }
        return Ok(Effect::as_is_if(is_deleted));
    }
    let mut entry = Entry::raw_string(destination, &result, None);
    // However short, a computed string has the encoding of one that was written to.
    entry.string_mut(0);
    call.keys.put(destination, entry);
    call.keys.changed(destination, Class::STRING, "set");
    Ok(Effect::AsIs)
}

fn parse_operation(call: &Call<'_>) -> Result<Operation> {
    const WORDS: [(&str, Operation); 8] = [
        ("AND", Operation::And),
        ("OR", Operation::Or),
        ("XOR", Operation::Xor),
        ("NOT", Operation::Not),
        ("DIFF", Operation::Diff),
        ("DIFF1", Operation::Diff1),
        ("ANDOR", Operation::AndOr),
        ("ONE", Operation::One),
    ];
    let (name, operation) = WORDS.iter().find(|(name, _)| call.args.is(1, name)).ok_or(SYNTAX)?;
    let sources = call.args.len() - 3;
    match operation {
        Operation::Not if sources != 1 => Err(Error::new("ERR BITOP NOT must be called with a single source key.")),
        // As Redis 8.2 has it; 8.0 knows only the first four operations.
        Operation::Diff | Operation::Diff1 | Operation::AndOr if sources < 2 => {
            Err(Error::new(format!("ERR BITOP {name} must be called with at least two source keys.")))
        }
        _ => Ok(*operation),
    }
}

/// A bit's offset within what a string may hold. BITFIELD passes the width of its integers, of which `#` counts.
fn bit_offset(word: &[u8], width: Option<u32>, string_len_max: u64) -> Result<usize> {
    let (digits, unit) = match (word, width) {
        ([b'#', digits @ ..], Some(width)) => (digits, i64::from(width)),
        _ => (word, 1),
    };
    let offset = number::parse_i64(digits).and_then(|offset| offset.checked_mul(unit));
    let offset = offset.and_then(|offset| usize::try_from(offset).ok());
    let in_range = offset.filter(|offset| ((offset / 8) as u64) < string_len_max);
    in_range.ok_or_else(|| Error::new("ERR bit offset is not an integer or out of range"))
}

/// Shows the bytes of the string under a key, made at least `len` bytes long, to `change`, together with whether they
/// had to grow. A missing key is created.
fn change<R>(keys: &mut Keys<'_>, key: &[u8], len: usize, change: impl FnOnce(&mut [u8], bool) -> R) -> Result<R> {
    let before = match keys.write(key) {
        Some(entry) => entry.as_str().ok_or(WRONG_TYPE)?.len(),
        None => {
            keys.insert(key, Entry::raw_string(key, b"", None));
            0
        }
    };
    let mut entry = keys.write(key).ok_or(WRONG_TYPE)?;
    let bytes = entry.string_mut(len).ok_or(WRONG_TYPE)?;
    Ok(change(bytes, before < len))
}

const UNIT: Arg = Arg::one_of("unit", &[Arg::word("byte", "BYTE"), Arg::word("bit", "BIT")]).optional().since("7.0.0");

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("bitcount", -2, READONLY, Group::Bitmap, bitcount)
        .docs("Counts the set bits of a string, or of a part of it.", "2.6.0", "O(N)")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[Arg::key("key"), Arg::block("range", &[Arg::integer("start"), Arg::integer("end"), UNIT]).optional()]),
    Spec::new("bitfield", -2, WRITE | DENYOOM, Group::Bitmap, bitfield)
        .docs(
            "Reads and changes integers of any width at any bit of a string.",
            "3.2.0",
            "O(1) for each subcommand specified",
        )
        .keys(&[KeySpec::one(1, &["RW", "access", "update", "variable_flags"])
            .notes("This command allows both access and modification of the key")])
        .finder(crate::finders::bitfield)
        .args(&[
            Arg::key("key"),
            Arg::one_of(
                "operation",
                &[
                    Arg::block("get-block", &[Arg::string("encoding"), Arg::integer("offset")]).token("GET"),
                    Arg::block(
                        "write",
                        &[
                            Arg::one_of(
                                "overflow-block",
                                &[Arg::word("wrap", "WRAP"), Arg::word("sat", "SAT"), Arg::word("fail", "FAIL")],
                            )
                            .token("OVERFLOW")
                            .optional(),
                            Arg::one_of(
                                "write-operation",
                                &[
                                    Arg::block(
                                        "set-block",
                                        &[Arg::string("encoding"), Arg::integer("offset"), Arg::integer("value")],
                                    )
                                    .token("SET"),
                                    Arg::block(
                                        "incrby-block",
                                        &[Arg::string("encoding"), Arg::integer("offset"), Arg::integer("increment")],
                                    )
                                    .token("INCRBY"),
                                ],
                            ),
                        ],
                    ),
                ],
            )
            .multiple()
            .optional(),
        ]),
    Spec::new("bitfield_ro", -2, READONLY | FAST, Group::Bitmap, bitfield_ro)
        .docs("Reads integers of any width at any bit of a string.", "6.0.0", "O(1) for each subcommand specified")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::block("get-block", &[Arg::string("encoding"), Arg::integer("offset")])
                .token("GET")
                .multiple_token()
                .optional(),
        ]),
    Spec::new("bitop", -4, WRITE | DENYOOM, Group::Bitmap, bitop)
        .docs("Combines strings bit by bit and stores the result.", "2.6.0", "O(N)")
        .keys(&[KeySpec::one(2, &["OW", "update"]), KeySpec::range(3, -1, 1, &["RO", "access"])])
        .args(&[
            Arg::one_of(
                "operation",
                &[
                    Arg::word("and", "AND"),
                    Arg::word("or", "OR"),
                    Arg::word("xor", "XOR"),
                    Arg::word("not", "NOT"),
                    Arg::word("diff", "DIFF").since("8.2.0"),
                    Arg::word("diff1", "DIFF1").since("8.2.0"),
                    Arg::word("andor", "ANDOR").since("8.2.0"),
                    Arg::word("one", "ONE").since("8.2.0"),
                ],
            ),
            Arg::key("destkey"),
            Arg::key("key").key_spec(1).multiple(),
        ]),
    Spec::new("bitpos", -3, READONLY, Group::Bitmap, bitpos)
        .docs("Finds the first bit of a value in a string.", "2.8.7", "O(N)")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::integer("bit"),
            Arg::block(
                "range",
                &[Arg::integer("start"), Arg::block("end-unit-block", &[Arg::integer("end"), UNIT]).optional()],
            )
            .optional(),
        ]),
    Spec::new("getbit", 3, READONLY | FAST, Group::Bitmap, getbit)
        .docs("Returns a bit of a string.", "2.2.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[Arg::key("key"), Arg::integer("offset")]),
    Spec::new("setbit", 4, WRITE | DENYOOM, Group::Bitmap, setbit)
        .docs("Sets or clears a bit of a string, which grows with zeroes as needed.", "2.2.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RW", "access", "update"])])
        .args(&[Arg::key("key"), Arg::integer("offset"), Arg::integer("value")]),
];

#[cfg(test)]
mod tests;
