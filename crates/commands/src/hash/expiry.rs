//! When fields expire: HEXPIRE, HTTL, HPERSIST and their like.
//!
//! Each answers with one number a field. In the log stand absolute times, and only the fields that were changed.

use store::value::hash::{EXPIRY_MAX, ExpiryCondition, ExpirySet, FieldExpiry, Hash};

use super::delete_if;
use crate::args::{Args, OwnedArgs};
use crate::call::Call;
use crate::effect::{Class, Effect};
use crate::error::{Error, NOT_INTEGER, Result};
use crate::expiry::Unit;
use crate::number;

const NO_FIELD: i64 = -2;
const NO_EXPIRY: i64 = -1;
const REFUSED: i64 = 0;
const DONE: i64 = 1;
const REMOVED: i64 = 2;

/// What a command says when the number of its fields makes no sense; the commands do not agree.
pub(super) enum BadCount {
    /// HEXPIRE and its like.
    NotAboveZero,
    /// The others.
    NotPositive,
}

/// The fields behind `FIELDS count`, which stands at `index` and ends the command.
pub(super) fn fields<'a>(
    args: Args<'a>,
    index: usize,
    bad_count: &BadCount,
) -> Result<impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a>> {
    if !args.opt(index).is_some_and(|word| word.eq_ignore_ascii_case(b"FIELDS")) {
        return Err(Error::new("ERR Mandatory argument FIELDS is missing or not at the right position"));
    }
    let count = args.opt(index + 1).and_then(number::parse_i64).and_then(|count| usize::try_from(count).ok());
    let count = count.filter(|&count| count > 0).ok_or_else(|| {
        Error::new(match bad_count {
            BadCount::NotAboveZero => "ERR Parameter `numFields` should be greater than 0",
            BadCount::NotPositive => "ERR Number of fields must be a positive integer",
        })
    })?;
    if args.len() - (index + 2) != count {
        return Err(Error::new("ERR The `numfields` parameter must match the number of arguments"));
    }
    Ok(args.from(index + 2))
}

/// The time that an argument names for fields to expire at, in milliseconds since 1970. It may have passed.
pub(super) fn deadline(call: &Call<'_>, unit: Unit, amount: &[u8]) -> Result<u64> {
    let amount = number::parse_i64(amount).ok_or(NOT_INTEGER)?;
    if amount < 0 {
        return Err(Error::new("ERR invalid expire time, must be >= 0"));
    }
    let deadline = unit.to_deadline(amount, call.keys.now_ms).and_then(|deadline| u64::try_from(deadline).ok());
    deadline.filter(|&deadline| deadline <= EXPIRY_MAX).ok_or_else(|| Error::expire_time(call.spec.full_name))
}

pub(super) fn hexpire(call: &mut Call<'_>) -> Result<Effect> {
    expire(call, Unit::Seconds)
}

pub(super) fn hpexpire(call: &mut Call<'_>) -> Result<Effect> {
    expire(call, Unit::Milliseconds)
}

pub(super) fn hexpireat(call: &mut Call<'_>) -> Result<Effect> {
    expire(call, Unit::UnixSeconds)
}

pub(super) fn hpexpireat(call: &mut Call<'_>) -> Result<Effect> {
    expire(call, Unit::UnixMilliseconds)
}

fn condition(word: &[u8]) -> Option<ExpiryCondition> {
    const WORDS: [(&[u8], ExpiryCondition); 4] = [
        (b"NX", ExpiryCondition::Absent),
        (b"XX", ExpiryCondition::Present),
        (b"GT", ExpiryCondition::Later),
        (b"LT", ExpiryCondition::Earlier),
    ];
    WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, condition)| *condition)
}

fn expire(call: &mut Call<'_>, unit: Unit) -> Result<Effect> {
    let key = call.arg(1);
    // A key of another type is what Redis complains of first.
    call.keys.value_mut::<Hash>(key)?;
    let at_ms = deadline(call, unit, call.arg(2))?;
    let condition = condition(call.arg(3));
    let fields = fields(call.args, 3 + usize::from(condition.is_some()), &BadCount::NotAboveZero)?;
    call.out.array(fields.len());
    let word = condition.map(|_| call.arg(3));
    let (mut set, mut removed) = (Vec::new(), Vec::new());
    let now_ms = call.keys.now_for_fields();
    let Some(mut hash) = call.keys.hash_mut(key, fields.clone())? else {
        fields.for_each(|_| call.out.int(NO_FIELD));
        return Ok(Effect::None);
    };
    for field in fields {
        let code = match hash.set_expiry(field, at_ms, condition.unwrap_or_default(), now_ms) {
            ExpirySet::NoField => NO_FIELD,
            ExpirySet::Refused => REFUSED,
            ExpirySet::Set => {
                set.push(field);
                DONE
            }
            ExpirySet::Removed => {
                removed.push(field);
                REMOVED
            }
        };
        call.out.int(code);
    }
    let emptied = hash.is_empty();
    drop(hash);
    Ok(tell(call, key, &Changed { set, removed, emptied }, at_ms, word))
}

/// Fields of a hash whose expiry was set.
pub(super) struct Changed<'a> {
    /// Those that have it.
    pub(super) set: Vec<&'a [u8]>,
    /// Those that were removed at once, because the time had passed.
    pub(super) removed: Vec<&'a [u8]>,
    /// Whether no field is left.
    pub(super) emptied: bool,
}

/// Notes what happened to the fields' expiries and says how it is logged; `condition` is the word that was given.
pub(super) fn tell(
    call: &mut Call<'_>,
    key: &[u8],
    changed: &Changed<'_>,
    at_ms: u64,
    condition: Option<&[u8]>,
) -> Effect {
    let mut effect = Vec::new();
    let changes = changed.set.len() + changed.removed.len();
    if changes > 0 {
        call.keys.add_dirty(changes as u64);
    }
    if !changed.set.is_empty() {
        call.keys.changed_too(call.keys.db, key, Class::HASH, "hexpire");
        let (at_ms, count) = (at_ms.to_string(), changed.set.len().to_string());
        let head = [b"HPEXPIREAT", key, at_ms.as_bytes()].into_iter().chain(condition);
        let fields = [b"FIELDS", count.as_bytes()].into_iter().chain(changed.set.iter().copied());
        effect.push(head.chain(fields).collect::<OwnedArgs>());
    }
    if !changed.removed.is_empty() {
        call.keys.changed_too(call.keys.db, key, Class::HASH, "hdel");
        delete_if(changed.emptied, &mut call.keys, key);
        effect.extend(changed.removed.iter().map(|field| [b"HDEL", key, field].into_iter().collect::<OwnedArgs>()));
    }
    if effect.is_empty() { Effect::None } else { Effect::Rewritten(effect) }
}

pub(super) fn httl(call: &mut Call<'_>) -> Result<Effect> {
    let now_ms = call.keys.now_for_fields();
    report(call, |at_ms| (at_ms - now_ms).div_ceil(1000))
}

pub(super) fn hpttl(call: &mut Call<'_>) -> Result<Effect> {
    let now_ms = call.keys.now_for_fields();
    report(call, |at_ms| at_ms - now_ms)
}

pub(super) fn hexpiretime(call: &mut Call<'_>) -> Result<Effect> {
    report(call, |at_ms| at_ms.div_ceil(1000))
}

pub(super) fn hpexpiretime(call: &mut Call<'_>) -> Result<Effect> {
    report(call, |at_ms| at_ms)
}

/// Answers when fields expire, as `show` puts it.
fn report(call: &mut Call<'_>, show: impl Fn(u64) -> u64) -> Result<Effect> {
    let now_ms = call.keys.now_for_fields();
    let hash = call.keys.hash(call.args.get(1))?;
    let fields = fields(call.args, 2, &BadCount::NotPositive)?;
    call.out.array(fields.len());
    for field in fields {
        call.out.int(match hash.map_or(FieldExpiry::NoField, |hash| hash.expiry(field, now_ms)) {
            FieldExpiry::NoField => NO_FIELD,
            FieldExpiry::Never => NO_EXPIRY,
            // Expiries are below 2^46.
            FieldExpiry::At(at_ms) => show(at_ms) as i64,
        });
    }
    Ok(Effect::None)
}

pub(super) fn hpersist(call: &mut Call<'_>) -> Result<Effect> {
    let (key, now_ms) = (call.arg(1), call.keys.now_for_fields());
    call.keys.value_mut::<Hash>(key)?;
    let fields = fields(call.args, 2, &BadCount::NotPositive)?;
    call.out.array(fields.len());
    let Some(mut hash) = call.keys.hash_mut(key, fields.clone())? else {
        fields.for_each(|_| call.out.int(NO_FIELD));
        return Ok(Effect::None);
    };
    let mut persisted = 0;
    for field in fields {
        call.out.int(match hash.persist(field, now_ms) {
            FieldExpiry::NoField => NO_FIELD,
            FieldExpiry::Never => NO_EXPIRY,
            FieldExpiry::At(_) => {
                persisted += 1;
                DONE
            }
        });
    }
    drop(hash);
    if persisted > 0 {
        call.keys.changed(key, Class::HASH, "hpersist");
        call.keys.add_dirty(persisted - 1);
    }
    Ok(Effect::as_is_if(persisted > 0))
}
