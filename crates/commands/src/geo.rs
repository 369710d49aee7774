//! Places on the globe, kept as the scores of sorted sets. What a score means is in `geo/hash.rs`, what a search covers in
//! `geo/shape.rs`, the searches themselves in `geo/search.rs`.

use store::guard::Plan;
use store::hash::hash_bytes;
use store::stripe::Mode;
use store::value::zset::{AddFlags, SortedSet};

use crate::args::{Args, OwnedArgs};
use crate::call::Call;
use crate::effect::Effect;
use crate::error::{Error, NOT_FLOAT, Result, SYNTAX};
use crate::number;
use crate::reply::Reply;
use crate::spec::common::ORDER;
use crate::spec::flag::*;
use crate::spec::{Arg, Begin, Find, Group, KeySpec, Spec};
use crate::zset::{self, Addition};

mod hash;
mod search;
mod shape;

use hash::{LATITUDES, LONGITUDES, Position};
use search::{georadius, georadius_ro, georadiusbymember, georadiusbymember_ro, geosearch, geosearchstore};

/// Digits of a distance behind the point.
const DISTANCE_DIGITS: usize = 4;

fn geoadd(call: &mut Call<'_>) -> Result<Effect> {
    let args = call.args;
    let (mut flags, mut count_changes, mut first) = (AddFlags::empty(), false, 2);
    while first < args.len() {
        if args.is(first, "NX") {
            flags |= AddFlags::NX;
        } else if args.is(first, "XX") {
            flags |= AddFlags::XX;
        } else if args.is(first, "CH") {
            count_changes = true;
        } else {
            break;
        }
        first += 1;
    }
    let rest = args.len() - first;
    if rest == 0 || !rest.is_multiple_of(3) || flags.contains(AddFlags::NX | AddFlags::XX) {
        return Err(SYNTAX);
    }
    let places = (first..args.len()).step_by(3);
    let pair = |at: usize| {
        let score = hash::encode(position(args.get(at), args.get(at + 1))?);
        // 52 bits, or one more at the very edge: exact.
        Ok((score as f64, args.get(at + 2)))
    };
    let pairs = places.map(pair).collect::<Result<_>>()?;
    let addition = Addition { flags, count_changes, pairs };
    if !zset::add(call, &addition)? {
        return Ok(Effect::None);
    }
    let mut zadd: OwnedArgs = [&b"ZADD"[..]].into_iter().chain(args.from(1).take(first - 1)).collect();
    for (score, member) in &addition.pairs {
        zadd.push((*score as u64).to_string().as_bytes());
        zadd.push(member);
    }
    Ok(Effect::Rewritten(vec![zadd]))
}

fn geodist(call: &mut Call<'_>) -> Result<Effect> {
    let in_unit = match call.args.len() {
        4 => 1.0,
        5 => unit(call.arg(4))?,
        _ => return Err(SYNTAX),
    };
    let (from, to) = (call.arg(2), call.arg(3));
    let zset = call.keys.value::<SortedSet>(call.args.get(1))?;
    match zset.and_then(|zset| zset.score(from).zip(zset.score(to))) {
        Some((from, to)) => distance(call.out, shape::distance(hash::decode(from), hash::decode(to)) / in_unit),
        None => call.out.null(),
    }
    Ok(Effect::None)
}

fn geohash(call: &mut Call<'_>) -> Result<Effect> {
    places(call, |out, found| match found {
        Some(place) => out.bulk(&hash::letters(place)),
        None => out.null(),
    })
}

fn geopos(call: &mut Call<'_>) -> Result<Effect> {
    places(call, |out, found| match found {
        Some(found) => place(out, found),
        None => out.null_array(),
    })
}

/// Answers for each member with what `show` makes of its place.
fn places(call: &mut Call<'_>, show: impl Fn(&mut Reply, Option<Position>)) -> Result<Effect> {
    let members = call.args.from(2);
    let zset = call.keys.value::<SortedSet>(call.args.get(1))?;
    call.out.array(members.len());
    members.for_each(|member| show(call.out, zset.and_then(|zset| zset.score(member)).map(hash::decode)));
    Ok(Effect::None)
}

/// Reads a longitude and a latitude.
fn position(longitude: &[u8], latitude: &[u8]) -> Result<Position> {
    let degrees = |text| number::parse_f64(text).ok_or(NOT_FLOAT);
    let (longitude, latitude) = (degrees(longitude)?, degrees(latitude)?);
    if !LONGITUDES.contains(longitude) || !LATITUDES.contains(latitude) {
        return Err(Error::new(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}")));
    }
    Ok(Position { longitude, latitude })
}

/// The metres of a unit.
fn unit(word: &[u8]) -> Result<f64> {
    const UNITS: [(&[u8], f64); 4] = [(b"M", 1.0), (b"KM", 1000.0), (b"FT", 0.3048), (b"MI", 1609.34)];
    let found = UNITS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
    let unknown = || Error::new("ERR unsupported unit provided. please use M, KM, FT, MI");
    found.map(|(_, meters)| *meters).ok_or_else(unknown)
}

/// Answers with a distance: text in either protocol.
fn distance(out: &mut Reply, distance: f64) {
    let mut text = Vec::with_capacity(32);
    number::write_fixed(distance, DISTANCE_DIGITS, &mut text);
    out.bulk(&text);
}

/// Answers with a longitude and a latitude.
fn place(out: &mut Reply, place: Position) {
    out.array(2);
    out.double(place.longitude);
    out.double(place.latitude);
}

/// The key behind STORE or STOREDIST.
const fn target(word: &'static str, from: i32) -> KeySpec {
    let find = Find::Range { last: 0, step: 1, limit: 0 };
    KeySpec { begin: Begin::Keyword(word, from), find, flags: &["OW", "update"], notes: "" }
}

/// GEORADIUS stores under the last of several keys, where the key specifications find the first.
fn plan_target(args: Args<'_>, db: u32, plan: &mut Plan) {
    for index in 5..args.len() - 1 {
        if args.is(index, "STORE") || args.is(index, "STOREDIST") {
            plan.add(db, hash_bytes(args.get(index + 1)), Mode::Exclusive);
        }
    }
}

// What several rows have in common.
const RADIUS_COMPLEXITY: &str = "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.";
const SEARCH_COMPLEXITY: &str = "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and M is the number of items inside the shape";
const UNIT: Arg =
    Arg::one_of("unit", &[Arg::word("m", "M"), Arg::word("km", "KM"), Arg::word("ft", "FT"), Arg::word("mi", "MI")]);
const COUNT: Arg = Arg::integer("count").token("COUNT");
const ANY: Arg = Arg::word("any", "ANY").optional();
const COUNT_ANY: Arg = Arg::block("count-block", &[COUNT, ANY]).optional();
const COUNT_ANY_SINCE_6_2: Arg = Arg::block("count-block", &[COUNT, ANY.since("6.2.0")]).optional();
const WITH_COORD: Arg = Arg::word("withcoord", "WITHCOORD").optional();
const WITH_DIST: Arg = Arg::word("withdist", "WITHDIST").optional();
const WITH_HASH: Arg = Arg::word("withhash", "WITHHASH").optional();
const FROM: Arg = Arg::one_of(
    "from",
    &[
        Arg::string("member").token("FROMMEMBER"),
        Arg::block("fromlonlat", &[Arg::double("longitude"), Arg::double("latitude")]).token("FROMLONLAT"),
    ],
);
const BY: Arg = Arg::one_of(
    "by",
    &[
        Arg::block("circle", &[Arg::double("radius").token("BYRADIUS"), UNIT]),
        Arg::block("box", &[Arg::double("width").token("BYBOX"), Arg::double("height"), UNIT]),
    ],
);
const STORE: Arg = Arg::one_of(
    "store",
    &[
        Arg::key("storekey").key_spec(1).token("STORE").display("key"),
        Arg::key("storedistkey").key_spec(2).token("STOREDIST").display("key"),
    ],
)
.optional();

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("geoadd", -5, WRITE | DENYOOM, Group::Geo, geoadd)
        .docs(
            "Adds places to a sorted set, or moves them.",
            "3.2.0",
            "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
        )
        .keys(&[KeySpec::one(1, &["RW", "update"])])
        .args(&[
            Arg::key("key"),
            Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")]).optional().since("6.2.0"),
            Arg::word("change", "CH").optional().since("6.2.0"),
            Arg::block("data", &[Arg::double("longitude"), Arg::double("latitude"), Arg::string("member")]).multiple(),
        ]),
    Spec::new("geodist", -4, READONLY, Group::Geo, geodist)
        .docs("Returns the distance between two places.", "3.2.0", "O(1)")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[Arg::key("key"), Arg::string("member1"), Arg::string("member2"), UNIT.optional()]),
    Spec::new("geohash", -2, READONLY, Group::Geo, geohash)
        .docs("Returns places as geohashes of eleven letters.", "3.2.0", "O(1) for each member requested.")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[Arg::key("key"), Arg::string("member").multiple().optional()]),
    Spec::new("geopos", -2, READONLY, Group::Geo, geopos)
        .docs("Returns the longitudes and latitudes of places.", "3.2.0", "O(1) for each member requested.")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[Arg::key("key"), Arg::string("member").multiple().optional()]),
    Spec::new("georadius", -6, WRITE | DENYOOM | MOVABLEKEYS, Group::Geo, georadius)
        .docs(
            "Finds the places within a distance from a point, and answers or stores them.",
            "3.2.0",
            RADIUS_COMPLEXITY,
        )
        .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument")
        .keys(&[KeySpec::one(1, &["RO", "access"]), target("STORE", 6), target("STOREDIST", 6)])
        .planner(plan_target)
        .args(&[
            Arg::key("key"),
            Arg::double("longitude"),
            Arg::double("latitude"),
            Arg::double("radius"),
            UNIT,
            WITH_COORD,
            WITH_DIST,
            WITH_HASH,
            COUNT_ANY_SINCE_6_2,
            ORDER,
            STORE,
        ]),
    Spec::new("georadius_ro", -6, READONLY, Group::Geo, georadius_ro)
        .docs("Finds the places within a distance from a point.", "3.2.10", RADIUS_COMPLEXITY)
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::double("longitude"),
            Arg::double("latitude"),
            Arg::double("radius"),
            UNIT,
            WITH_COORD,
            WITH_DIST,
            WITH_HASH,
            COUNT_ANY_SINCE_6_2,
            ORDER,
        ]),
    Spec::new("georadiusbymember", -5, WRITE | DENYOOM | MOVABLEKEYS, Group::Geo, georadiusbymember)
        .docs(
            "Finds the places within a distance from one of them, and answers or stores them.",
            "3.2.0",
            RADIUS_COMPLEXITY,
        )
        .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments")
        .keys(&[KeySpec::one(1, &["RO", "access"]), target("STORE", 5), target("STOREDIST", 5)])
        .planner(plan_target)
        .args(&[
            Arg::key("key"),
            Arg::string("member"),
            Arg::double("radius"),
            UNIT,
            WITH_COORD,
            WITH_DIST,
            WITH_HASH,
            COUNT_ANY,
            ORDER,
            STORE,
        ]),
    Spec::new("georadiusbymember_ro", -5, READONLY, Group::Geo, georadiusbymember_ro)
        .docs("Finds the places within a distance from one of them.", "3.2.10", RADIUS_COMPLEXITY)
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments")
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[
            Arg::key("key"),
            Arg::string("member"),
            Arg::double("radius"),
            UNIT,
            WITH_COORD,
            WITH_DIST,
            WITH_HASH,
            COUNT_ANY,
            ORDER,
        ]),
    Spec::new("geosearch", -7, READONLY, Group::Geo, geosearch)
        .docs("Finds the places within a circle or a box.", "6.2.0", SEARCH_COMPLEXITY)
        .keys(&[KeySpec::one(1, &["RO", "access"])])
        .args(&[Arg::key("key"), FROM, BY, ORDER, COUNT_ANY, WITH_COORD, WITH_DIST, WITH_HASH]),
    Spec::new("geosearchstore", -8, WRITE | DENYOOM, Group::Geo, geosearchstore)
        .docs("Stores the places within a circle or a box.", "6.2.0", SEARCH_COMPLEXITY)
        .keys(&[KeySpec::one(1, &["OW", "update"]), KeySpec::one(2, &["RO", "access"])])
        .args(&[
            Arg::key("destination"),
            Arg::key("source").key_spec(1),
            FROM,
            BY,
            ORDER,
            COUNT_ANY,
            Arg::word("storedist", "STOREDIST").optional(),
        ]),
];
