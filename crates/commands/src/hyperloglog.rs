//! HyperLogLogs: how many different elements were added, about. The value is a string in Redis's own layout, byte for
//! byte, so that dumps move between the two; see `sketch.rs`.

mod estimate;
mod hash;
mod sketch;
#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering::Relaxed;

use store::entry::Entry;
use store::guard::{EntryMut, Plan};
use store::hash::hash_bytes;
use store::stripe::Mode;
use store::value::Str;

use crate::args::Args;
use crate::call::Call;
use crate::effect::{Class, Effect};
use crate::error::{Error, Result, WRONG_TYPE};
use crate::spec::flag::*;
use crate::spec::{Arg, Group, KeySpec, Spec};
use sketch::{Corrupt, Encoding, Registers};

impl From<Corrupt> for Error {
    fn from(Corrupt: Corrupt) -> Self {
        Self::new("INVALIDOBJ Corrupted HLL object detected")
    }
}

/// The bytes of an entry that is to be a HyperLogLog, and how they are to be read.
fn bytes_of(entry: &Entry) -> Result<(&[u8], Encoding)> {
    let bytes: &[u8] = match entry.as_str().ok_or(WRONG_TYPE)? {
        Str::Int(_) => &[],
        Str::Bytes(bytes) => bytes,
        Str::Shared(bytes) => bytes,
    };
    let invalid = || Error::new("WRONGTYPE Key is not a valid HyperLogLog string value.");
    Ok((bytes, Encoding::of(bytes).ok_or_else(invalid)?))
}

fn sparse_bytes_max(call: &Call<'_>) -> usize {
    call.env.settings.hll_sparse_max_bytes.load(Relaxed)
}

fn pfadd(call: &mut Call<'_>) -> Result<Effect> {
    let (key, args, bytes_max) = (call.arg(1), call.args, sparse_bytes_max(call));
    let elements = args.from(2).map(hash::place);
    let updated = match call.keys.write(key) {
        None => {
            let mut bytes = sketch::empty();
            let raised = raise_all(&mut bytes, elements, bytes_max)?;
            sketch::forget_count(&mut bytes);
            insert(call, key, &bytes);
            raised + 1
        }
        Some(mut entry) => match bytes_of(&entry)? {
            (_, Encoding::Dense) => {
                let bytes = entry.string_mut(0).ok_or(WRONG_TYPE)?;
                let raised = elements.filter(|place| sketch::raise_dense(bytes, *place)).count();
                if raised > 0 {
                    sketch::forget_count(bytes);
                }
                raised
            }
            (bytes, Encoding::Sparse) => {
                let mut bytes = bytes.to_vec();
                let raised = raise_all(&mut bytes, elements, bytes_max)?;
                if raised > 0 {
                    sketch::forget_count(&mut bytes);
                    store(&mut entry, &bytes);
                }
                raised
            }
        },
    };
    if updated > 0 {
        call.keys.changed(key, Class::STRING, "pfadd");
        call.keys.add_dirty(updated as u64 - 1);
    }
    call.out.flag(updated > 0);
    Ok(Effect::as_is_if(updated > 0))
}

/// Raises registers and tells how many changed.
fn raise_all(bytes: &mut Vec<u8>, places: impl Iterator<Item = hash::Place>, bytes_max: usize) -> Result<usize> {
    let mut raised = 0;
    for place in places {
        raised += usize::from(sketch::raise(bytes, place, bytes_max)?);
    }
    Ok(raised)
}

/// Puts new bytes in the place of the old ones; the string counts as grown, as it does in Redis.
fn store(entry: &mut EntryMut<'_>, bytes: &[u8]) {
    if entry.as_str().is_none_or(|old| old.len() != bytes.len()) {
        let expiry = entry.expiry();
        entry.set_string(bytes, expiry);
    }
    if let Some(place) = entry.string_mut(bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

fn insert(call: &mut Call<'_>, key: &[u8], bytes: &[u8]) {
    call.keys.insert(key, Entry::raw_string(key, bytes, None));
    if let Some(mut entry) = call.keys.write(key) {
        store(&mut entry, bytes);
    }
}

fn pfcount(call: &mut Call<'_>) -> Result<Effect> {
    if call.args.len() == 2 {
        return count_one(call);
    }
    let mut union = Registers::new();
    for key in call.args.from(1) {
        if let Some(entry) = call.keys.read(key) {
            union.merge(bytes_of(entry)?.0)?;
        }
    }
    call.out.int(estimate::cardinality(&union.histogram()) as i64);
    Ok(Effect::None)
}

/// The count of one HyperLogLog is kept in it. That changes its bytes, so whoever has a copy of them must count too.
fn count_one(call: &mut Call<'_>) -> Result<Effect> {
    let key = call.arg(1);
    let Some(entry) = call.keys.read(key) else {
        call.out.int(0);
        return Ok(Effect::None);
    };
    let (bytes, _) = bytes_of(entry)?;
    if let Some(count) = sketch::known_count(bytes) {
        call.out.int(count as i64);
        return Ok(Effect::None);
    }
    let count = estimate::cardinality(&sketch::histogram(bytes)?);
    if let Some(bytes) = call.keys.write(key).as_mut().and_then(|entry| entry.string_mut(0)) {
        sketch::know_count(bytes, count);
    }
    call.out.int(count as i64);
    call.keys.changed(key, Class::STRING, "");
    Ok(Effect::AsIs)
}

/// PFCOUNT is a read by its flags, but of one key it writes the count.
fn plan_pfcount(args: Args<'_>, db: u32, plan: &mut Plan) {
    if args.len() == 2 {
        plan.add(db, hash_bytes(args.get(1)), Mode::Exclusive);
    }
}

fn pfmerge(call: &mut Call<'_>) -> Result<Effect> {
    let (key, bytes_max) = (call.arg(1), sparse_bytes_max(call));
    let (mut union, mut dense) = (Registers::new(), false);
    for key in call.args.from(1) {
        if let Some(entry) = call.keys.read(key) {
            let (bytes, encoding) = bytes_of(entry)?;
            dense |= encoding == Encoding::Dense;
            union.merge(bytes)?;
        }
    }
    let mut entry = call.keys.write(key);
    let mut bytes = match &entry {
        Some(entry) => bytes_of(entry)?.0.to_vec(),
        None => sketch::empty(),
    };
    if dense {
        sketch::make_dense(&mut bytes)?;
        union.write_dense(&mut bytes);
    } else {
        for place in union.places() {
            sketch::raise(&mut bytes, place, bytes_max)?;
        }
    }
    sketch::forget_count(&mut bytes);
    match &mut entry {
        Some(entry) => store(entry, &bytes),
        None => insert(call, key, &bytes),
    }
    call.keys.changed(key, Class::STRING, "pfadd");
    call.out.ok();
    Ok(Effect::AsIs)
}

fn pfdebug(call: &mut Call<'_>) -> Result<Effect> {
    let (word, key) = (call.arg(1), call.arg(2));
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    if is("SIMD") {
        return pfdebug_simd(call);
    }
    let missing = || Error::new("ERR The specified key does not exist");
    let mut entry = call.keys.write(key).ok_or_else(missing)?;
    let (bytes, encoding) = bytes_of(&entry)?;
    if is("ENCODING") {
        call.out.simple(encoding.name());
        return Ok(Effect::None);
    }
    if is("DECODE") {
        if encoding == Encoding::Dense {
            return Err(Error::new("ERR HLL encoding is not sparse"));
        }
        call.out.bulk(sketch::decode(bytes).as_bytes());
        return Ok(Effect::None);
    }
    let registers = is("GETREG");
    if !registers && !is("TODENSE") {
        let word = String::from_utf8_lossy(word);
        return Err(Error::new(format!("ERR Unknown PFDEBUG subcommand '{word}'")));
    }
    let converts = encoding == Encoding::Sparse;
    let mut bytes = bytes.to_vec();
    if converts {
        sketch::make_dense(&mut bytes)?;
        store(&mut entry, &bytes);
    }
    if registers {
        let mut all = Registers::new();
        all.merge(&bytes)?;
        call.out.array(all.values().len());
        all.values().iter().for_each(|value| call.out.int(i64::from(*value)));
    } else {
        call.out.flag(converts);
    }
    call.keys.add_dirty(u64::from(converts));
    Ok(Effect::as_is_if(converts))
}

/// Redis has merging written twice, with vector instructions and without, and chooses between them here. We have it once,
/// and leave vector instructions to the compiler; so the choice is confirmed, and no result depends on it.
fn pfdebug_simd(call: &mut Call<'_>) -> Result<Effect> {
    match call.arg(2).to_ascii_lowercase().as_slice() {
        b"on" => call.out.simple("enabled"),
        b"off" => call.out.simple("disabled"),
        _ => return Err(Error::new("ERR Argument must be ON or OFF")),
    }
    Ok(Effect::None)
}

/// Adds many random elements to a sparse and to a dense HyperLogLog, and looks whether they agree and are near.
fn pfselftest(call: &mut Call<'_>) -> Result<Effect> {
    /// A hundredth of Redis's: enough to see a broken build, and over in a moment.
    const ELEMENTS: u64 = 100_000;
    /// Six times the standard error of so many registers.
    const ERROR_MAX: f64 = 6.0 * 1.04 / 128.0;

    let bytes_max = sparse_bytes_max(call);
    let (mut sparse, mut dense) = (sketch::empty(), sketch::empty());
    sketch::make_dense(&mut dense)?;
    let (seed, mut checkpoint) = (call.env.rng.u64(..), 1);
    for element in 1..=ELEMENTS {
        let place = hash::place(&(element ^ seed).to_le_bytes());
        sketch::raise(&mut sparse, place, bytes_max)?;
        sketch::raise_dense(&mut dense, place);
        if element < checkpoint {
            continue;
        }
        let count = estimate::cardinality(&sketch::histogram(&sparse)?);
        if count != estimate::cardinality(&sketch::histogram(&dense)?) {
            return Err(Error::new("ERR TESTFAILED dense/sparse disagree"));
        }
        let (error, allowed) = (count.abs_diff(element), (ERROR_MAX * element as f64).ceil());
        if error as f64 > allowed {
            return Err(Error::new(format!("ERR TESTFAILED Too big error. card:{element} abserr:{error}")));
        }
        checkpoint *= 10;
    }
    call.out.ok();
    Ok(Effect::None)
}

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("pfadd", -2, WRITE | DENYOOM | FAST, Group::HyperLogLog, pfadd)
        .docs("Adds elements to a HyperLogLog, which is created if it is missing.", "2.8.9", "O(1) to add every element.")
        .keys(&[KeySpec::one(1, &["RW", "insert"])])
        .args(&[Arg::key("key"), Arg::string("element").multiple().optional()]),
    Spec::new("pfcount", -2, READONLY | MAY_REPLICATE, Group::HyperLogLog, pfcount)
        .docs("Returns about how many different elements were added to any of several HyperLogLogs.", "2.8.9", "O(1) with a very small average constant time when called with a single key. O(N) with N being the number of keys, and much bigger constant times, when called with multiple keys.")
        .keys(&[KeySpec::range(1, -1, 1, &["RW", "access"]).notes("RW because it may change the internal representation of the key, and propagate to replicas")])
        .planner(plan_pfcount)
        .args(&[Arg::key("key").multiple()]),
    Spec::new("pfmerge", -2, WRITE | DENYOOM, Group::HyperLogLog, pfmerge)
        .docs("Adds to a HyperLogLog all that others have seen.", "2.8.9", "O(N) to merge N HyperLogLogs, but with high constant times.")
        .keys(&[KeySpec::one(1, &["RW", "access", "insert"]), KeySpec::range(2, -1, 1, &["RO", "access"])])
        .args(&[Arg::key("destkey"), Arg::key("sourcekey").key_spec(1).multiple().optional()]),
    Spec::new("pfdebug", 3, WRITE | DENYOOM | ADMIN, Group::HyperLogLog, pfdebug)
        .system()
        .docs("Shows the inside of a HyperLogLog.", "2.8.9", "N/A")
        .keys(&[KeySpec::one(2, &["RW", "access"])])
        .args(&[Arg::string("subcommand"), Arg::key("key")]),
    Spec::new("pfselftest", 1, ADMIN, Group::HyperLogLog, pfselftest)
        .system()
        .docs("Tests HyperLogLogs against their own promises.", "2.8.9", "N/A"),
];
