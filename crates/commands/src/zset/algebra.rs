//! Unions, intersections and differences of sorted sets, answered, stored or counted. Plain sets may take part; their
//! members have the score 1.
//!
//! A result is gathered as a list and sorted once at the end. Inputs are combined from the smallest on, as Redis does it:
//! sums of doubles depend on the order.

use std::borrow::Cow;
use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, HashSet};

use store::entry::Entry;
use store::value::listpack::Item;
use store::value::set::Set;
use store::value::zset::{AddFlags, Aggregate, SortedSet, weighted};

use super::store;
use crate::args::Args;
use crate::call::Call;
use crate::effect::Effect;
use crate::error::{Error, Result, SYNTAX};
use crate::number;
use crate::reply::Reply;

pub(super) fn zunion(call: &mut Call<'_>) -> Result<Effect> {
    reply(call, Operation::Union)
}

pub(super) fn zinter(call: &mut Call<'_>) -> Result<Effect> {
    reply(call, Operation::Inter)
}

pub(super) fn zdiff(call: &mut Call<'_>) -> Result<Effect> {
    reply(call, Operation::Diff)
}

pub(super) fn zunionstore(call: &mut Call<'_>) -> Result<Effect> {
    keep(call, Operation::Union, "zunionstore")
}

pub(super) fn zinterstore(call: &mut Call<'_>) -> Result<Effect> {
    keep(call, Operation::Inter, "zinterstore")
}

pub(super) fn zdiffstore(call: &mut Call<'_>) -> Result<Effect> {
    keep(call, Operation::Diff, "zdiffstore")
}

pub(super) fn zintercard(call: &mut Call<'_>) -> Result<Effect> {
    let (args, numkeys) = (call.args, numkeys(call, 1)?);
    let entries = call.keys.entries(args.from(2).take(numkeys), false, is_input)?;
    let mut limit = 0;
    let mut index = 2 + numkeys;
    while index < args.len() {
        let amount = args.opt(index + 1).filter(|_| args.is(index, "LIMIT")).ok_or(SYNTAX)?;
        let amount = number::parse_i64(amount).and_then(|amount| usize::try_from(amount).ok());
        limit = amount.ok_or_else(|| Error::new("ERR LIMIT can't be negative"))?;
        index += 2;
    }
    let most = if limit == 0 { usize::MAX } else { limit };
    let inputs = Input::smallest_first(&entries, &[]);
    let found = present(&inputs).map_or(0, |inputs| intersection(inputs, Aggregate::Sum).take(most).count());
    call.out.len(found);
    Ok(Effect::None)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

fn reply(call: &mut Call<'_>, operation: Operation) -> Result<Effect> {
    let (args, numkeys) = (call.args, numkeys(call, 1)?);
    let entries = call.keys.entries(args.from(2).take(numkeys), false, is_input)?;
    let options = Options::parse(args, 2 + numkeys, numkeys, operation, false)?;
    let members = combine(&entries, operation, &options);
    answer(call.out, &members, options.with_scores);
    Ok(Effect::None)
}

fn keep(call: &mut Call<'_>, operation: Operation, event: &'static str) -> Result<Effect> {
    let (args, numkeys, limits) = (call.args, numkeys(call, 2)?, &*call.env.limits);
    let entries = call.keys.entries(args.from(3).take(numkeys), true, is_input)?;
    let options = Options::parse(args, 3 + numkeys, numkeys, operation, true)?;
    let members = combine(&entries, operation, &options);
    let longest = members.iter().map(|(_, member)| member.len()).max().unwrap_or(0);
    let mut result = SortedSet::with_hint(members.len(), longest, limits);
    for (score, member) in members {
        result.add(&member, score, AddFlags::empty(), limits);
    }
    store(call, args.get(1), result, event)
}

/// How many keys follow the argument that says so.
fn numkeys(call: &Call<'_>, at: usize) -> Result<usize> {
    let count = call.int(at)?;
    let few = || Error::new(format!("ERR at least 1 input key is needed for '{}' command", call.spec.full_name));
    let count = usize::try_from(count).ok().filter(|&count| count > 0).ok_or_else(few)?;
    if count > call.args.len() - (at + 1) { Err(SYNTAX) } else { Ok(count) }
}

/// The options behind the keys. Redis reads them after it has looked at the keys, so a wrong type comes first.
#[derive(Default)]
struct Options {
    /// One for each key, or none.
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
}

impl Options {
    fn parse(args: Args<'_>, mut index: usize, numkeys: usize, operation: Operation, stores: bool) -> Result<Self> {
        let mut options = Self::default();
        let combines = operation != Operation::Diff;
        while index < args.len() {
            let (is, rest) = (|word| args.is(index, word), args.len() - index - 1);
            if is("WEIGHTS") && combines && rest >= numkeys {
                let weight =
                    |text| number::parse_f64(text).ok_or_else(|| Error::new("ERR weight value is not a float"));
                options.weights = args.from(index + 1).take(numkeys).map(weight).collect::<Result<_>>()?;
                index += numkeys;
            } else if is("AGGREGATE") && combines && rest >= 1 {
                options.aggregate = aggregate(args.get(index + 1))?;
                index += 1;
            } else if is("WITHSCORES") && !stores {
                options.with_scores = true;
            } else {
                return Err(SYNTAX);
            }
            index += 1;
        }
        Ok(options)
    }
}

fn aggregate(word: &[u8]) -> Result<Aggregate> {
    const WORDS: [(&[u8], Aggregate); 3] =
        [(b"SUM", Aggregate::Sum), (b"MIN", Aggregate::Min), (b"MAX", Aggregate::Max)];
    let found = WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
    found.map(|(_, aggregate)| *aggregate).ok_or(SYNTAX)
}

/// One input of an operation; a missing key is an empty one.
#[derive(Clone, Copy)]
struct Input<'a> {
    value: Value<'a>,
    weight: f64,
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Missing,
    Scored(&'a SortedSet),
    Plain(&'a Set),
}

/// Whether a key can be an input.
fn is_input(entry: &Entry) -> bool {
    entry.get::<SortedSet>().is_some() || entry.get::<Set>().is_some()
}

impl<'a> Input<'a> {
    fn new(entry: Option<&'a Entry>, weight: f64) -> Self {
        let scored = || entry?.get().map(Value::Scored);
        let plain = || entry?.get().map(Value::Plain);
        Self { value: scored().or_else(plain).unwrap_or(Value::Missing), weight }
    }

    fn smallest_first(entries: &[Option<&'a Entry>], weights: &[f64]) -> Vec<Self> {
        let weights = weights.iter().copied().chain(std::iter::repeat(1.0));
        let mut inputs: Vec<_> = entries.iter().zip(weights).map(|(entry, weight)| Self::new(*entry, weight)).collect();
        inputs.sort_by_key(Self::len);
        inputs
    }

    fn len(&self) -> usize {
        match self.value {
            Value::Missing => 0,
            Value::Scored(zset) => zset.len(),
            Value::Plain(set) => set.len(),
        }
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        match self.value {
            Value::Missing => None,
            Value::Scored(zset) => zset.score(member),
            Value::Plain(set) => set.contains(member).then_some(1.0),
        }
    }

    /// The members and their scores, without the weight.
    fn iter(&self) -> impl Iterator<Item = (Cow<'a, [u8]>, f64)> + use<'a> {
        let (scored, plain) = match self.value {
            Value::Missing => (None, None),
            Value::Scored(zset) => (Some(zset), None),
            Value::Plain(set) => (None, Some(set)),
        };
        let scored = scored.into_iter().flat_map(SortedSet::iter);
        let plain = plain.into_iter().flat_map(|set| set.iter().map(|member| (member, 1.0)));
        scored.chain(plain).map(|(member, score)| (bytes(member), score))
    }
}

fn bytes(member: Item<'_>) -> Cow<'_, [u8]> {
    match member {
        Item::Int(_) => Cow::Owned(member.to_vec()),
        Item::Bytes(bytes) => Cow::Borrowed(bytes),
    }
}

/// A member of a result; ordered as in a sorted set.
type Scored<'a> = (f64, Cow<'a, [u8]>);

fn combine<'a>(entries: &[Option<&'a Entry>], operation: Operation, options: &Options) -> Vec<Scored<'a>> {
    let inputs = || Input::smallest_first(entries, &options.weights);
    let mut members: Vec<_> = match operation {
        Operation::Union => union(&inputs(), options.aggregate),
        Operation::Inter => match present(&inputs()) {
            Some(inputs) => intersection(inputs, options.aggregate).collect(),
            None => Vec::new(),
        },
        Operation::Diff => {
            let inputs: Vec<_> = entries.iter().map(|entry| Input::new(*entry, 1.0)).collect();
            difference(&inputs)
        }
    };
    members.sort_unstable_by(|a, b| a.partial_cmp(b).expect("no score is a nan"));
    members
}

fn union<'a>(inputs: &[Input<'a>], aggregate: Aggregate) -> Vec<Scored<'a>> {
    let mut scores = HashMap::with_capacity(inputs.last().map_or(0, Input::len));
    for input in inputs {
        for (member, score) in input.iter() {
            let score = weighted(score, input.weight);
            match scores.entry(member) {
                Slot::Vacant(slot) => {
                    slot.insert(score);
                }
                Slot::Occupied(mut slot) => *slot.get_mut() = aggregate.combine(*slot.get(), score),
            }
        }
    }
    scores.into_iter().map(|(member, score)| (score, member)).collect()
}

/// The inputs, the smallest first, unless one is empty.
fn present<'i, 'a>(inputs: &'i [Input<'a>]) -> Option<&'i [Input<'a>]> {
    inputs.first().is_some_and(|input| input.len() > 0).then_some(inputs)
}

/// The members that all inputs have, in the order of the first.
fn intersection<'i, 'a>(
    inputs: &'i [Input<'a>],
    aggregate: Aggregate,
) -> impl Iterator<Item = Scored<'a>> + use<'i, 'a> {
    let (first, others) = inputs.split_first().expect("an operation has an input");
    first.iter().filter_map(move |(member, score)| {
        let mut sum = weighted(score, first.weight);
        for other in others {
            // Not a number stays what it is here, as in Redis: MIN and MAX then keep what they have.
            sum = aggregate.combine(sum, other.score(&member)? * other.weight);
        }
        Some((sum, member))
    })
}

/// The members of the first input that no other has.
fn difference<'a>(inputs: &[Input<'a>]) -> Vec<Scored<'a>> {
    let (first, others) = inputs.split_first().expect("an operation has an input");
    let lookups = first.len().saturating_mul(others.len());
    let removed_len: usize = others.iter().map(Input::len).sum();
    let members = first.iter().map(|(member, score)| (score, member));
    // Either each member is looked up in all others, or all that others have is gathered and looked up once.
    if lookups <= removed_len {
        return members.filter(|(_, member)| others.iter().all(|other| other.score(member).is_none())).collect();
    }
    let removed: HashSet<_> = others.iter().flat_map(|other| other.iter().map(|(member, _)| member)).collect();
    members.filter(|(_, member)| !removed.contains(member)).collect()
}

fn answer(out: &mut Reply, members: &[Scored<'_>], with_scores: bool) {
    let members = members.iter().map(|(score, member)| (Item::Bytes(member), *score));
    super::answer(out, members, with_scores);
}
