//! Values and expiries in one command: HGETEX, HSETEX, HGETDEL.

use store::value::hash::{ExpiryCondition, ExpirySet, FieldExpiry, Hash, OldExpiry};

use super::expiry::{BadCount, Changed, deadline, fields, tell};
use super::{change_or_create, delete_if};
use crate::args::Args;
use crate::call::Call;
use crate::effect::{Class, Effect};
use crate::error::{Error, Result};
use crate::expiry::Unit;
use crate::number;
use crate::reply::Reply;

/// Answers with a field's value, and says whether there is one.
fn answer(hash: &Hash, field: &[u8], now_ms: u64, out: &mut Reply) -> bool {
    match hash.get(field, now_ms) {
        Some(value) => out.item(value),
        None => out.null(),
    }
    hash.contains(field, now_ms)
}

pub(super) fn hgetdel(call: &mut Call<'_>) -> Result<Effect> {
    let (key, now_ms) = (call.arg(1), call.keys.now_for_fields());
    // A key of another type is what Redis complains of first.
    call.keys.value_mut::<Hash>(key)?;
    let fields = fields(call.args, 2, &BadCount::NotPositive)?;
    call.out.array(fields.len());
    let Some(mut hash) = call.keys.hash_mut(key, fields.clone())? else {
        fields.for_each(|_| call.out.null());
        return Ok(Effect::None);
    };
    let mut removed = Vec::new();
    for field in fields {
        if answer(&hash, field, now_ms, call.out) {
            hash.remove(field);
            removed.push(field);
        }
    }
    let emptied = hash.is_empty();
    drop(hash);
    if removed.is_empty() {
        return Ok(Effect::None);
    }
    call.keys.changed(key, Class::HASH, "hdel");
    call.keys.add_dirty(removed.len() as u64 - 1);
    delete_if(emptied, &mut call.keys, key);
    Ok(Effect::rewritten([&b"HDEL"[..], key].into_iter().chain(removed)))
}

/// What HGETEX does with the expiries.
#[derive(Clone, Copy)]
enum GetTtl {
    Leave,
    Persist,
    At(u64),
}

pub(super) fn hgetex(call: &mut Call<'_>) -> Result<Effect> {
    let (key, now_ms) = (call.arg(1), call.keys.now_for_fields());
    // A key of another type is what Redis complains of first.
    call.keys.value_mut::<Hash>(key)?;
    let (ttl, index) = match Unit::option(call.arg(2)) {
        Some(unit) => (GetTtl::At(deadline(call, unit, call.arg(3))?), 4),
        None if call.args.is(2, "PERSIST") => (GetTtl::Persist, 3),
        None => (GetTtl::Leave, 2),
    };
    let fields = fields(call.args, index, &BadCount::NotPositive)?;
    call.out.array(fields.len());
    let Some(mut hash) = call.keys.hash_mut(key, fields.clone())? else {
        fields.for_each(|_| call.out.null());
        return Ok(Effect::None);
    };
    if !matches!(ttl, GetTtl::Leave) {
        // OBJECT ENCODING shows it even if no field is changed.
        hash.make_room_for_expiries();
    }
    let (mut set, mut removed) = (Vec::new(), Vec::new());
    for field in fields {
        if !answer(&hash, field, now_ms, call.out) {
            continue;
        }
        match ttl {
            GetTtl::Leave => {}
            GetTtl::Persist => set.extend(matches!(hash.persist(field, now_ms), FieldExpiry::At(_)).then_some(field)),
            GetTtl::At(at_ms) => match hash.set_expiry(field, at_ms, ExpiryCondition::Always, now_ms) {
                ExpirySet::Removed => removed.push(field),
                ExpirySet::Set => set.push(field),
                ExpirySet::NoField | ExpirySet::Refused => {}
            },
        }
    }
    let emptied = hash.is_empty();
    drop(hash);
    match ttl {
        GetTtl::At(at_ms) => Ok(tell(call, key, &Changed { set, removed, emptied }, at_ms, None)),
        GetTtl::Persist if !set.is_empty() => {
            call.keys.changed(key, Class::HASH, "hpersist");
            call.keys.add_dirty(set.len() as u64 - 1);
            let count = set.len().to_string();
            Ok(Effect::rewritten([b"HPERSIST", key, b"FIELDS", count.as_bytes()].into_iter().chain(set)))
        }
        GetTtl::Leave | GetTtl::Persist => Ok(Effect::None),
    }
}

/// Which fields have to be there for HSETEX to set any.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    /// FNX: none.
    NoneThere,
    /// FXX: all.
    AllThere,
}

/// What HSETEX does with the expiries.
#[derive(Clone, Copy)]
enum SetTtl {
    Clear,
    Keep,
    At(u64),
}

struct SetOptions<'a> {
    condition: Condition,
    ttl: SetTtl,
    /// The fields with their values.
    pairs: Args<'a>,
    /// Where the first of them stands.
    first: usize,
}

impl<'a> SetOptions<'a> {
    fn parse(call: &Call<'a>) -> Result<Self> {
        let args = call.args;
        let (mut condition, mut ttl) = (Condition::Always, SetTtl::Clear);
        let mut index = 2;
        while index < args.len() {
            let is = |word| args.is(index, word);
            let unit = Unit::option(args.get(index));
            if is("FIELDS") {
                Self::count_pairs(call, index)?;
                return Ok(Self { condition, ttl, pairs: args, first: index + 2 });
            } else if is("FNX") || is("FXX") {
                if condition != Condition::Always {
                    return Err(Error::new("ERR Only one of FXX or FNX arguments can be specified"));
                }
                condition = if is("FNX") { Condition::NoneThere } else { Condition::AllThere };
            } else if is("KEEPTTL") || unit.is_some() {
                if !matches!(ttl, SetTtl::Clear) {
                    return Err(Error::new("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"));
                }
                ttl = match unit {
                    None => SetTtl::Keep,
                    Some(unit) => {
                        index += 1;
                        let amount = args.opt(index).ok_or_else(|| call.wrong_arity())?;
                        SetTtl::At(deadline(call, unit, amount)?)
                    }
                };
            } else {
                let word = String::from_utf8_lossy(args.get(index));
                return Err(Error::new(format!("ERR unknown argument: {word}")));
            }
            index += 1;
        }
        Err(call.wrong_arity())
    }

    /// Checks that as many pairs follow as the argument behind FIELDS (at `index`) says.
    fn count_pairs(call: &Call<'_>, index: usize) -> Result<()> {
        let Some(count) = call.args.opt(index + 1).filter(|_| call.args.len() > index + 3) else {
            return Err(call.wrong_arity());
        };
        let count = number::parse_i64(count).and_then(|count| i32::try_from(count).ok()).filter(|&count| count > 0);
        let count = count.ok_or_else(|| Error::new("ERR invalid number of fields"))?;
        let given = call.args.len() - (index + 2);
        if given as u64 == u64::from(count.unsigned_abs()) * 2 { Ok(()) } else { Err(call.wrong_arity()) }
    }

    fn fields(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.pairs.from(self.first).step_by(2)
    }

    fn values(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.pairs.from(self.first + 1).step_by(2)
    }

    fn allows(&self, hash: Option<&Hash>, now_ms: u64) -> bool {
        let has = |field: &[u8]| hash.is_some_and(|hash| hash.contains(field, now_ms));
        match self.condition {
            Condition::Always => true,
            Condition::NoneThere => !self.fields().any(has),
            Condition::AllThere => self.fields().all(has),
        }
    }
}

pub(super) fn hsetex(call: &mut Call<'_>) -> Result<Effect> {
    let options = SetOptions::parse(call)?;
    let (key, args, now_ms) = (call.arg(1), call.args, call.keys.now_for_fields());
    let hash = call.keys.hash_mut(key, options.fields())?;
    let allowed = options.allows(hash.as_deref(), now_ms);
    drop(hash);
    call.out.flag(allowed);
    if !allowed {
        return Ok(Effect::None);
    }
    let limits = &*call.env.limits;
    let old = if matches!(options.ttl, SetTtl::Keep) { OldExpiry::Keep } else { OldExpiry::Clear };
    let mut changed = Changed { set: Vec::new(), removed: Vec::new(), emptied: false };
    // Fields whose time has passed are set nonetheless, one after the other, before they go: they may change the hash's form, as in Redis.
    change_or_create(&mut call.keys, key, options.fields(), |hash| {
        let longest = args.from(options.first).map(<[u8]>::len).max().unwrap_or(0);
        hash.prepare(options.fields().len(), longest, limits);
        for (field, value) in options.fields().zip(options.values()) {
            hash.set(field, value, old, limits);
            let SetTtl::At(at_ms) = options.ttl else { continue };
            match hash.set_expiry(field, at_ms, ExpiryCondition::Always, now_ms) {
                ExpirySet::Removed => changed.removed.push(field),
                ExpirySet::Set => changed.set.push(field),
                ExpirySet::NoField | ExpirySet::Refused => {}
            }
        }
        changed.emptied = hash.is_empty();
    })?;
    call.keys.changed(key, Class::HASH, "hset");
    call.keys.add_dirty(options.fields().len() as u64 - 1);
    let SetTtl::At(at_ms) = options.ttl else { return Ok(Effect::AsIs) };
    let all_set = changed.removed.is_empty();
    let effect = tell(call, key, &changed, at_ms, None);
    Ok(if all_set { absolute(&options, key, at_ms) } else { effect })
}

/// The command with its time as an absolute one. Its condition held, so it is left out.
fn absolute(options: &SetOptions<'_>, key: &[u8], at_ms: u64) -> Effect {
    let (at_ms, count) = (at_ms.to_string(), options.fields().len().to_string());
    let head = [b"HSETEX", key, b"PXAT", at_ms.as_bytes(), b"FIELDS", count.as_bytes()];
    Effect::rewritten(head.into_iter().chain(options.pairs.from(options.first)))
}
