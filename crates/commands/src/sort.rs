//! SORT and SORT_RO.
//!
//! The keys that BY and GET name depend on the elements, so no plan can hold their stripes. A SORT with such a pattern
//! runs with the gate to itself: then nothing changes between its looks, and each of those takes its own short guard.
//! Any other SORT runs beside the others, under the guards of its source and its destination.
//!
//! **What is propagated.** A SORT that stores is the same wherever it runs as long as it looks at its source alone: equal
//! weights are ordered by the elements' bytes, and texts are compared bytewise. So it goes out as it came. One that looked
//! at other keys does not: a replica still sees keys and fields that have expired here, and elements of equal weight
//! stand in an order that each implementation chooses. It goes out as what it stored.
//!
//! **Two differences to Redis.** Elements whose texts under BY are equal keep the order that they came in, with LIMIT
//! too, where Redis's partial sort mixes them. And SORT_RO leaves a small sorted set packed: it holds it for reading only.

mod order;
mod pattern;
#[cfg(test)]
mod tests;

use std::ops::Range;

use smallvec::SmallVec;
use store::entry::Entry;
use store::guard::Plan;
use store::hash::hash_bytes;
use store::stripe::Mode;
use store::value::hash::Hash;
use store::value::list::{Direction, List};
use store::value::set::Set;
use store::value::zset::SortedSet;
use store::value::{Encoding, Str};

use crate::args::{Args, OwnedArgs};
use crate::call::Call;
use crate::effect::{Class, Effect};
use crate::error::{Error, NOT_INTEGER, Result, SYNTAX, WRONG_TYPE};
use crate::number;
use crate::spec::common::{LIMIT, ORDER};
use crate::spec::flag::*;
use crate::spec::{Arg, ArgKind, Begin, Find, Group, KeySpec, Spec};
use order::{Order, Texts, Weights};
use pattern::Pattern;

/// What was typed, after the source's key.
struct Options<'a> {
    descending: bool,
    alpha: bool,
    /// First element and number of elements, as they came.
    limit: (i64, i64),
    by: Option<Pattern<'a>>,
    /// A BY without a `*` was among them: the elements are not sorted, whatever other BYs say.
    unsorted: bool,
    get: SmallVec<[Pattern<'a>; 2]>,
    store: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>, may_store: bool) -> Result<Self> {
        let mut options = Self {
            descending: false,
            alpha: false,
            limit: (0, -1),
            by: None,
            unsorted: false,
            get: SmallVec::new(),
            store: None,
        };
        let mut index = 2;
        while index < args.len() {
            let is = |word| args.is(index, word);
            let integer = |index| number::parse_i64(args.get(index)).ok_or(NOT_INTEGER);
            let values = args.len() - index - 1;
            if is("ASC") {
                options.descending = false;
            } else if is("DESC") {
                options.descending = true;
            } else if is("ALPHA") {
                options.alpha = true;
            } else if is("LIMIT") && values >= 2 {
                options.limit = (integer(index + 1)?, integer(index + 2)?);
                index += 2;
            } else if is("STORE") && may_store && values >= 1 {
                options.store = Some(args.get(index + 1));
                index += 1;
            } else if is("BY") && values >= 1 {
                let by = Pattern::parse(args.get(index + 1));
                options.unsorted |= !by.depends_on_data();
                options.by = Some(by);
                index += 1;
            } else if is("GET") && values >= 1 {
                options.get.push(Pattern::parse(args.get(index + 1)));
                index += 1;
            } else {
                return Err(SYNTAX);
            }
            index += 1;
        }
        Ok(options)
    }

    fn depends_on_data(&self) -> bool {
        self.by.iter().chain(&self.get).any(Pattern::depends_on_data)
    }

    /// The places that LIMIT asks for, of so many elements.
    fn window(&self, len: usize) -> Range<usize> {
        let clamp = |int: i64, min: i64| int.clamp(min, len as i64);
        let start = clamp(self.limit.0, 0) as usize;
        let end = usize::try_from(clamp(self.limit.1, -1)).map_or(len, |count| len.min(start + count));
        start..end.max(start)
    }
}

/// Whether a SORT wants the exclusive gate.
fn alone_if(args: Args<'_>) -> bool {
    Options::parse(args, true).is_ok_and(|options| options.depends_on_data())
}

/// Plans for the destination, which may stand anywhere.
fn plan_destination(args: Args<'_>, db: u32, plan: &mut Plan) {
    if let Ok(Options { store: Some(destination), .. }) = Options::parse(args, true) {
        plan.add(db, hash_bytes(destination), Mode::Exclusive);
    }
}

fn sort(call: &mut Call<'_>) -> Result<Effect> {
    let options = Options::parse(call.args, true)?;
    unpack(call);
    apply(call, options)
}

fn sort_ro(call: &mut Call<'_>) -> Result<Effect> {
    let options = Options::parse(call.args, false)?;
    apply(call, options)
}

/// Sorting turns a small sorted set into the general form, for Redis does so and OBJECT ENCODING shows it.
fn unpack(call: &mut Call<'_>) {
    let key = call.arg(1);
    let zset = call.keys.peek(key).and_then(|entry| entry.get::<SortedSet>());
    if zset.is_some_and(|zset| zset.encoding() == Encoding::Listpack)
        && let Ok(Some(mut zset)) = call.keys.value_mut::<SortedSet>(key)
    {
        zset.prepare(usize::MAX, &call.env.limits);
    }
}

fn apply(call: &mut Call<'_>, mut options: Options<'_>) -> Result<Effect> {
    let key = call.arg(1);
    if options.store.is_some() {
        // It may have expired; then the SORT that is propagated must not find it.
        call.keys.write(key);
    }
    let source = call.keys.read(key);
    let Source { elements, window } =
        source.map_or_else(|| Ok(Source::default()), |entry| load(entry, &mut options))?;
    let weights = weigh(call, &elements, &options)?;
    let binary = options.store.is_some();
    let order = Order { elements: &elements, weights: &weights, descending: options.descending, binary };
    let sorted = order.sorted(window);
    match options.store {
        Some(destination) => store(call, &options, destination, &elements, &sorted),
        None => {
            answer(call, &options, &elements, &sorted);
            Ok(Effect::None)
        }
    }
}

/// The elements to sort, and the places that are wanted of them.
#[derive(Default)]
struct Source {
    elements: Texts,
    window: Range<usize>,
}

/// Copies the elements. Of a list or sorted set that is not to be sorted only those that are wanted.
fn load(entry: &Entry, options: &mut Options<'_>) -> Result<Source> {
    let mut source = Source::default();
    let mut load_all = |len, items: &mut dyn Iterator<Item = store::value::listpack::Item<'_>>| {
        source.elements = Texts::with_capacity(len);
        items.for_each(|item| source.elements.push_item(item));
    };
    if let Some(list) = entry.get::<List>() {
        let window = options.window(list.len());
        if !options.unsorted {
            load_all(list.len(), &mut list.iter());
        } else if options.descending && !window.is_empty() {
            let first = list.len() - 1 - window.start;
            load_all(window.len(), &mut list.iter_from(first, Direction::Backward).take(window.len()));
        } else if !window.is_empty() {
            load_all(window.len(), &mut list.iter_from(window.start, Direction::Forward).take(window.len()));
        }
        source.window = if options.unsorted { 0..window.len() } else { window };
    } else if let Some(zset) = entry.get::<SortedSet>() {
        let window = options.window(zset.len());
        let members = |ranks| zset.range(ranks).map(|(member, _)| member);
        if !options.unsorted {
            load_all(zset.len(), &mut members(0..zset.len()));
        } else if options.descending {
            let ranks = zset.len() - window.end..zset.len() - window.start;
            load_all(window.len(), &mut members(ranks).rev());
        } else {
            load_all(window.len(), &mut members(window.clone()));
        }
        source.window = if options.unsorted { 0..window.len() } else { window };
    } else {
        let set = entry.get::<Set>().ok_or(WRONG_TYPE)?;
        // The order that a set happens to have must not be stored: it is not the same everywhere.
        if options.unsorted && options.store.is_some() {
            (options.unsorted, options.alpha, options.by) = (false, true, None);
        }
        load_all(set.len(), &mut set.iter());
        source.window = options.window(set.len());
    }
    Ok(source)
}

fn weigh(call: &mut Call<'_>, elements: &Texts, options: &Options<'_>) -> Result<Weights> {
    if options.unsorted {
        return Ok(Weights::AsTheyCame);
    }
    let by = options.by.as_ref();
    if options.alpha && by.is_none() {
        return Ok(Weights::Elements);
    }
    if options.alpha {
        let (mut texts, mut present) = (Texts::with_capacity(elements.len()), Vec::with_capacity(elements.len()));
        for element in elements.iter() {
            look_up(call, by, element, |_, found| {
                present.push(found.is_some());
                texts.push_str(found.unwrap_or(Str::Bytes(b"")));
            });
        }
        return Ok(Weights::Texts { texts, present });
    }
    let mut numbers = Vec::with_capacity(elements.len());
    for element in elements.iter() {
        // A weight that is missing counts as 0; one that is no number spoils the whole command.
        let weigh = |found: Str<'_>| match found {
            Str::Int(int) => Some(int as f64),
            text => number::parse_bound(&text.bytes()),
        };
        let number = look_up(call, by, element, |_, found| found.map_or(Some(0.0), weigh));
        numbers.push(number.ok_or_else(|| Error::new("ERR One or more scores can't be converted into double"))?);
    }
    Ok(Weights::Numbers(numbers))
}

/// Shows what a pattern says of an element; without a pattern, the element. The reply is lent, since it may be where the
/// value goes.
fn look_up<R>(
    call: &mut Call<'_>,
    pattern: Option<&Pattern<'_>>,
    element: &[u8],
    show: impl FnOnce(&mut crate::reply::Reply, Option<Str<'_>>) -> R,
) -> R {
    match pattern {
        None | Some(Pattern::Element) => show(call.out, Some(Str::Bytes(element))),
        Some(Pattern::Constant) => show(call.out, None),
        Some(&Pattern::Key { prefix, suffix, field }) => {
            let key = [prefix, element, suffix].concat();
            let (out, now_ms) = (&mut *call.out, call.keys.now_for_fields());
            let (shown, expired) = call.keys.read_unplanned(call.env.keyspace, call.section, &key, |entry| {
                let expired = field
                    .zip(entry.and_then(|entry| entry.get::<Hash>()))
                    .is_some_and(|(field, hash)| hash.has_expired(field, now_ms));
                (show(out, entry.and_then(|entry| pattern::value(entry, field, now_ms))), expired)
            });
            if expired {
                call.keys.hide_fields(&key, field.map(|field| vec![field.into()]));
            }
            shown
        }
    }
}

fn answer(call: &mut Call<'_>, options: &Options<'_>, elements: &Texts, sorted: &[usize]) {
    if options.get.is_empty() {
        call.out.array(sorted.len());
        return sorted.iter().for_each(|&index| call.out.bulk(elements.get(index)));
    }
    call.out.array(sorted.len() * options.get.len());
    for &index in sorted {
        for pattern in &options.get {
            look_up(call, Some(pattern), elements.get(index), |out, found| match found {
                Some(value) => out.string(value),
                None => out.null(),
            });
        }
    }
}

fn store(
    call: &mut Call<'_>,
    options: &Options<'_>,
    destination: &[u8],
    elements: &Texts,
    sorted: &[usize],
) -> Result<Effect> {
    let mut stored = Texts::with_capacity(sorted.len() * options.get.len().max(1));
    for &index in sorted {
        if options.get.is_empty() {
            stored.push(elements.get(index));
        }
        for pattern in &options.get {
            let push = |_: &mut _, found: Option<Str<'_>>| stored.push_str(found.unwrap_or(Str::Bytes(b"")));
            look_up(call, Some(pattern), elements.get(index), push);
        }
    }
    call.out.len(stored.len());
    let existed = call.keys.write(destination).is_some();
    if stored.len() == 0 {
        if existed {
            call.keys.delete(destination);
            call.keys.changed(destination, Class::GENERIC, "del");
        }
    } else {
        let list = List::from_elements(stored.iter(), &call.env.limits);
        call.keys.put(destination, Entry::boxed(destination, list, None));
        call.keys.changed(destination, Class::LIST, "sortstore");
        call.keys.add_dirty(stored.len() as u64 - 1);
    }
    let changed = existed || stored.len() > 0;
    if options.depends_on_data() && changed {
        return Ok(Effect::Rewritten(rewritten(destination, existed, &stored)));
    }
    Ok(Effect::as_is_if(changed))
}

/// The commands that make the destination what it is now: a few of moderate size rather than one that has no bound.
fn rewritten(destination: &[u8], existed: bool, stored: &Texts) -> Vec<OwnedArgs> {
    const ELEMENTS_MAX: usize = 1024;
    const BYTES_MAX: usize = 1 << 20;
    let mut commands = Vec::new();
    if existed {
        commands.push([b"DEL", destination].into_iter().collect());
    }
    let mut elements = stored.iter().peekable();
    while elements.peek().is_some() {
        let mut push: OwnedArgs = [b"RPUSH", destination].into_iter().collect();
        let (mut count, mut bytes) = (0, 0);
        while let Some(element) = elements.next_if(|_| count < ELEMENTS_MAX && bytes < BYTES_MAX) {
            (count, bytes) = (count + 1, bytes + element.len());
            push.push(element);
        }
        commands.push(push);
    }
    commands
}

/// What C sees of a text: it ends at its first NUL.
fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

// What both rows have in common, or what would make them hard to read.
const CATEGORIES: &[&str] = &["@set", "@sortedset", "@list", "@dangerous"];
const COMPLEXITY: &str = "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of returned elements. When the elements are not sorted, complexity is O(N).";
const SOURCE: KeySpec = KeySpec::one(1, &["RO", "access"]);
const NAMED_BY_ELEMENTS: KeySpec = unknown(
    &["RO", "access"],
    "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort",
);
const DESTINATION: KeySpec = unknown(
    &["OW", "update"],
    "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the argument array",
);
const BY: Arg = pattern_arg("by-pattern", "BY").optional();
const GET: Arg = pattern_arg("get-pattern", "GET").multiple_token().optional();
const ALPHA: Arg = Arg::word("sorting", "ALPHA").optional();

const fn unknown(flags: &'static [&'static str], notes: &'static str) -> KeySpec {
    KeySpec { begin: Begin::Unknown, find: Find::Unknown, flags, notes }
}

const fn pattern_arg(name: &'static str, token: &'static str) -> Arg {
    Arg::new(name, ArgKind::Pattern).key_spec(1).token(token).display("pattern")
}

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("sort", -2, WRITE | DENYOOM | MOVABLEKEYS, Group::Generic, sort)
        .docs("Sorts the elements of a list, a set or a sorted set; can answer with or store what other keys say of them.", "1.0.0", COMPLEXITY)
        .categories(CATEGORIES)
        .keys(&[SOURCE, NAMED_BY_ELEMENTS, DESTINATION])
        .planner(plan_destination)
        .finder(crate::finders::sort)
        .alone_if(alone_if)
        .args(&[
            Arg::key("key"),
            BY,
            LIMIT,
            GET,
            ORDER,
            ALPHA,
            Arg::key("destination").key_spec(2).token("STORE").optional(),
        ]),
    Spec::new("sort_ro", -2, READONLY | MOVABLEKEYS, Group::Generic, sort_ro)
        .docs("Sorts the elements of a list, a set or a sorted set without storing anything.", "7.0.0", COMPLEXITY)
        .categories(CATEGORIES)
        .keys(&[SOURCE, NAMED_BY_ELEMENTS])
        .finder(crate::finders::sort_ro)
        .alone_if(alone_if)
        .args(&[Arg::key("key"), BY, LIMIT, GET, ORDER, ALPHA]),
];
