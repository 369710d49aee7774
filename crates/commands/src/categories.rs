//! A command's access-control categories. Most follow from its flags and its group; the row names what is left.

use crate::spec::{Flags, Group, Spec};

/// All categories, in the order in which Redis lists them.
pub const ALL: [&str; 21] = [
    "@keyspace",
    "@read",
    "@write",
    "@set",
    "@sortedset",
    "@list",
    "@hash",
    "@string",
    "@bitmap",
    "@hyperloglog",
    "@geo",
    "@stream",
    "@pubsub",
    "@admin",
    "@fast",
    "@slow",
    "@blocking",
    "@dangerous",
    "@connection",
    "@transaction",
    "@scripting",
];

/// A command's categories, in the order of [`ALL`].
pub fn of(spec: &'static Spec) -> impl Iterator<Item = &'static str> {
    ALL.into_iter().filter(|category| belongs(spec, category))
}

/// Whether a command belongs to a category.
pub fn belongs(spec: &Spec, category: &str) -> bool {
    let has = |flag| spec.flags.contains(flag);
    let derived = match category {
        "@write" => has(Flags::WRITE),
        "@read" => has(Flags::READONLY) && spec.group != Group::Scripting,
        "@admin" | "@dangerous" => has(Flags::ADMIN),
        "@pubsub" => has(Flags::PUBSUB),
        "@fast" => has(Flags::FAST),
        "@slow" => !has(Flags::FAST),
        "@blocking" => has(Flags::BLOCKING),
        _ => of_group(spec) == Some(category),
    };
    derived || spec.categories.contains(&category)
}

/// The category of the command's group. A container only leads to its subcommands and has none; and a row that names
/// such a category itself does so instead (SORT is of lists, sets and sorted sets, not of the keyspace).
fn of_group(spec: &Spec) -> Option<&'static str> {
    const GROUPS: [&str; 14] = [
        "@keyspace",
        "@set",
        "@sortedset",
        "@list",
        "@hash",
        "@string",
        "@bitmap",
        "@hyperloglog",
        "@geo",
        "@stream",
        "@connection",
        "@transaction",
        "@scripting",
        "@pubsub",
    ];
    if !spec.subcommands.is_empty() || spec.categories.iter().any(|category| GROUPS.contains(category)) {
        return None;
    }
    match spec.group {
        Group::Generic => Some("@keyspace"),
        Group::String => Some("@string"),
        Group::List => Some("@list"),
        Group::Set => Some("@set"),
        Group::SortedSet => Some("@sortedset"),
        Group::Hash => Some("@hash"),
        Group::Transactions => Some("@transaction"),
        Group::Connection => Some("@connection"),
        Group::Scripting => Some("@scripting"),
        Group::HyperLogLog => Some("@hyperloglog"),
        Group::Geo => Some("@geo"),
        Group::Stream => Some("@stream"),
        Group::Bitmap => Some("@bitmap"),
        Group::PubSub | Group::Server | Group::Cluster | Group::Sentinel => None,
    }
}
