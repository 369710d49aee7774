//! GEOSEARCH and its older forms: which places lie within a shape.

use store::value::listpack::Item;
use store::value::zset::{AddFlags, ScoreRange, SortedSet};

use super::hash::{self, Position};
use super::shape::{Outline, Shape};
use super::{position, unit};
use crate::args::Args;
use crate::call::Call;
use crate::effect::Effect;
use crate::error::{Error, NOT_INTEGER, Result, SYNTAX};
use crate::number;
use crate::reply::Reply;
use crate::zset::store;

pub(super) fn georadius(call: &mut Call<'_>) -> Result<Effect> {
    run(call, Form::Radius { by_member: false, may_store: true })
}

pub(super) fn georadius_ro(call: &mut Call<'_>) -> Result<Effect> {
    run(call, Form::Radius { by_member: false, may_store: false })
}

pub(super) fn georadiusbymember(call: &mut Call<'_>) -> Result<Effect> {
    run(call, Form::Radius { by_member: true, may_store: true })
}

pub(super) fn georadiusbymember_ro(call: &mut Call<'_>) -> Result<Effect> {
    run(call, Form::Radius { by_member: true, may_store: false })
}

pub(super) fn geosearch(call: &mut Call<'_>) -> Result<Effect> {
    run(call, Form::Search)
}

pub(super) fn geosearchstore(call: &mut Call<'_>) -> Result<Effect> {
    run(call, Form::SearchStore)
}

/// Which of the commands this is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Radius { by_member: bool, may_store: bool },
    Search,
    SearchStore,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Nearest,
    Farthest,
}

/// Where the places go instead of to the client.
#[derive(Clone, Copy)]
struct Target<'a> {
    key: &'a [u8],
    /// With their distances as scores.
    distances: bool,
}

/// What is asked.
#[derive(Default)]
struct Request<'a> {
    center: Option<Position>,
    /// The outline and its unit in metres.
    outline: Option<(Outline, f64)>,
    order: Option<Order>,
    count: Option<usize>,
    /// Take the first ones found.
    any: bool,
    with_distance: bool,
    with_hash: bool,
    with_position: bool,
    target: Option<Target<'a>>,
}

impl<'a> Request<'a> {
    /// Reads the arguments. A member that the search is around is looked up on the way, since Redis's errors come in the
    /// order of the arguments; without a sorted set it is taken as it is, and so is what follows it in the old forms.
    fn parse(args: Args<'a>, form: Form, zset: Option<&SortedSet>) -> Result<Self> {
        let mut request = Self::default();
        match form {
            Form::Radius { by_member: false, .. } => {
                request.center = Some(position(args.get(2), args.get(3))?);
                request.outline = Some(circle(args.get(4), args.get(5))?);
                request.options(args, 6, form, zset)?;
            }
            Form::Radius { by_member: true, .. } => {
                if let Some(zset) = zset {
                    request.center = Some(place_of(zset, args.get(2))?);
                    request.outline = Some(circle(args.get(3), args.get(4))?);
                }
                request.options(args, 5, form, zset)?;
            }
            Form::Search => request.options(args, 2, form, zset)?,
            Form::SearchStore => {
                request.target = Some(Target { key: args.get(1), distances: false });
                request.options(args, 3, form, zset)?;
            }
        }
        if request.any && request.count.is_none() {
            return Err(Error::new("ERR the ANY argument requires COUNT argument"));
        }
        // The nearest are meant, unless any will do.
        if request.count.is_some() && !request.any {
            request.order = request.order.or(Some(Order::Nearest));
        }
        Ok(request)
    }

    fn options(&mut self, args: Args<'a>, from: usize, form: Form, zset: Option<&SortedSet>) -> Result<()> {
        let searches = matches!(form, Form::Search | Form::SearchStore);
        let may_store = matches!(form, Form::Radius { may_store: true, .. });
        // Whether a member or a place is given, and the words for shapes that exclude each other.
        let (mut around, mut member, mut place) = (false, false, false);
        let (mut in_circle, mut in_box) = (false, false);
        let mut index = from;
        while index < args.len() {
            let (is, rest) = (|word| args.is(index, word), args.len() - index - 1);
            if is("WITHDIST") {
                self.with_distance = true;
            } else if is("WITHHASH") {
                self.with_hash = true;
            } else if is("WITHCOORD") {
                self.with_position = true;
            } else if is("ANY") {
                self.any = true;
            } else if is("ASC") {
                self.order = Some(Order::Nearest);
            } else if is("DESC") {
                self.order = Some(Order::Farthest);
            } else if is("COUNT") && rest >= 1 {
                let count = number::parse_i64(args.get(index + 1)).ok_or(NOT_INTEGER)?;
                let count = usize::try_from(count).ok().filter(|&count| count > 0);
                self.count = Some(count.ok_or_else(|| Error::new("ERR COUNT must be > 0"))?);
                index += 1;
            } else if may_store && rest >= 1 && (is("STORE") || is("STOREDIST")) {
                self.target = Some(Target { key: args.get(index + 1), distances: is("STOREDIST") });
                index += 1;
            } else if searches && is("FROMMEMBER") && rest >= 1 && !place {
                if let Some(zset) = zset {
                    self.center = Some(place_of(zset, args.get(index + 1))?);
                }
                (around, member) = (true, true);
                index += 1;
            } else if searches && is("FROMLONLAT") && rest >= 2 && !member {
                self.center = Some(position(args.get(index + 1), args.get(index + 2))?);
                (around, place) = (true, true);
                index += 2;
            } else if searches && is("BYRADIUS") && rest >= 2 && !in_box {
                self.outline = Some(circle(args.get(index + 1), args.get(index + 2))?);
                in_circle = true;
                index += 2;
            } else if searches && is("BYBOX") && rest >= 3 && !in_circle {
                self.outline = Some(rectangle(args.get(index + 1), args.get(index + 2), args.get(index + 3))?);
                in_box = true;
                index += 3;
            } else if form == Form::SearchStore && is("STOREDIST") {
                self.target = Some(Target { key: args.get(1), distances: true });
            } else {
                return Err(SYNTAX);
            }
            index += 1;
        }
        self.check_target(form)?;
        let typed = || String::from_utf8_lossy(args.get(0)).into_owned();
        if searches && !around {
            let text = format!("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {}", typed());
            return Err(Error::new(text));
        }
        if searches && !in_circle && !in_box {
            return Err(Error::new(format!("ERR exactly one of BYRADIUS and BYBOX can be specified for {}", typed())));
        }
        Ok(())
    }

    fn check_target(&self, form: Form) -> Result<()> {
        if self.target.is_none() || !(self.with_distance || self.with_hash || self.with_position) {
            return Ok(());
        }
        let what = if form == Form::SearchStore { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
        Err(Error::new(format!("ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options")))
    }

    /// The places asked for, in the order asked for.
    fn find<'z>(&self, zset: &'z SortedSet) -> Vec<Found<'z>> {
        let (Some(center), Some((outline, unit))) = (self.center, self.outline) else { return Vec::new() };
        let shape = Shape { center, outline, unit };
        let enough = self.count.filter(|_| self.any).unwrap_or(usize::MAX);
        let scores = |(min, max): (u64, u64)| ScoreRange {
            min: min as f64,
            max: max as f64,
            min_exclusive: false,
            max_exclusive: true,
        };
        let candidates =
            shape.cells().into_iter().flat_map(|cell| zset.range(zset.ranks_by_score(&scores(cell.scores()))));
        let within = |(member, score): (Item<'z>, f64)| {
            let place = hash::decode(score);
            let meters = shape.distance_within(place)?;
            Some(Found { member, score, place, distance: meters / unit, meters })
        };
        let mut found: Vec<_> = candidates.filter_map(within).take(enough).collect();
        match self.order {
            Some(Order::Nearest) => found.sort_by(|a, b| a.meters.total_cmp(&b.meters)),
            Some(Order::Farthest) => found.sort_by(|a, b| b.meters.total_cmp(&a.meters)),
            None => {}
        }
        found.truncate(self.count.unwrap_or(usize::MAX));
        found
    }
}

/// A place that lies within the shape.
struct Found<'z> {
    member: Item<'z>,
    score: f64,
    place: Position,
    /// From the centre, in the unit of the request.
    distance: f64,
    /// The same in metres.
    meters: f64,
}

fn run(call: &mut Call<'_>, form: Form) -> Result<Effect> {
    let (args, limits) = (call.args, &*call.env.limits);
    let writes = matches!(form, Form::SearchStore | Form::Radius { may_store: true, .. });
    let source = args.get(if form == Form::SearchStore { 2 } else { 1 });
    if writes {
        // First as a write, which takes an expired source out; then as the read that it is.
        call.keys.write(source);
    }
    let zset = call.keys.value::<SortedSet>(source)?;
    let request = Request::parse(args, form, zset)?;
    let found = zset.map_or_else(Vec::new, |zset| request.find(zset));
    let Some(Target { key, distances }) = request.target else {
        answer(call.out, &request, &found);
        return Ok(Effect::None);
    };
    let mut text = itoa::Buffer::new();
    let longest = found.iter().map(|found| found.member.len()).max().unwrap_or(0);
    let mut result = SortedSet::with_hint(found.len(), longest, limits);
    for found in &found {
        let score = if distances { found.distance } else { found.score };
        result.add(found.member.bytes(&mut text), score, AddFlags::empty(), limits);
    }
    let further = result.len().saturating_sub(1);
    call.keys.add_dirty(further as u64);
    store(call, key, result, if form == Form::SearchStore { "geosearchstore" } else { "georadiusstore" })
}

fn answer(out: &mut Reply, request: &Request<'_>, found: &[Found<'_>]) {
    let extras =
        [request.with_distance, request.with_hash, request.with_position].map(usize::from).iter().sum::<usize>();
    out.array(found.len());
    for found in found {
        if extras > 0 {
            out.array(1 + extras);
        }
        out.item(found.member);
        if request.with_distance {
            super::distance(out, found.distance);
        }
        if request.with_hash {
            out.int(found.score as i64);
        }
        if request.with_position {
            super::place(out, found.place);
        }
    }
}

fn place_of(zset: &SortedSet, member: &[u8]) -> Result<Position> {
    zset.score(member).map(hash::decode).ok_or_else(|| Error::new("ERR could not decode requested zset member"))
}

fn circle(radius: &[u8], in_unit: &[u8]) -> Result<(Outline, f64)> {
    let radius = number::parse_f64(radius).ok_or_else(|| Error::new("ERR need numeric radius"))?;
    if radius < 0.0 {
        return Err(Error::new("ERR radius cannot be negative"));
    }
    Ok((Outline::Circle { radius }, unit(in_unit)?))
}

fn rectangle(width: &[u8], height: &[u8], in_unit: &[u8]) -> Result<(Outline, f64)> {
    let width = number::parse_f64(width).ok_or_else(|| Error::new("ERR need numeric width"))?;
    let height = number::parse_f64(height).ok_or_else(|| Error::new("ERR need numeric height"))?;
    if width < 0.0 || height < 0.0 {
        return Err(Error::new("ERR height or width cannot be negative"));
    }
    Ok((Outline::Box { width, height }, unit(in_unit)?))
}
