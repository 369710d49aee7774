//! The shapes of COMMAND INFO and COMMAND DOCS.
//!
//! Redis's `history` (what changed in which version, in sentences) is left out on purpose: its sentences are Redis's.

use crate::categories;
use crate::reply::Reply;
use crate::spec::{Arg, ArgKind, Begin, Find, Flags, KeySpec, Spec};

/// One command, as COMMAND INFO answers it: an array of ten.
pub(super) fn info(spec: &'static Spec, out: &mut Reply) {
    let (first, last, step) = range(spec.keys);
    out.array(10);
    out.bulk(spec.full_name.as_bytes());
    out.int(spec.arity.into());
    let flags = Flags::NAMES.into_iter().filter(|(flag, _)| spec.flags.contains(*flag)).map(|(_, name)| name);
    statuses(flags, out);
    out.int(first);
    out.int(last);
    out.int(step);
    statuses(categories::of(spec), out);
    out.set(spec.tips.len());
    spec.tips.iter().for_each(|tip| out.bulk(tip.as_bytes()));
    out.set(spec.keys.len());
    spec.keys.iter().for_each(|key_spec| key_spec_map(key_spec, out));
    if spec.subcommands.is_empty() {
        return out.set(0);
    }
    out.array(spec.subcommands.len());
    spec.subcommands.iter().for_each(|sub| info(sub, out));
}

/// One command, as COMMAND DOCS answers it: a map.
pub(super) fn docs(spec: &Spec, out: &mut Reply) {
    let doc_flags = [(spec.deprecated.is_some(), "deprecated"), (spec.system, "syscmd")];
    let doc_flags: Vec<&str> = doc_flags.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect();
    let (deprecated_since, replaced_by) = spec.deprecated.unwrap_or_default();
    let texts = [("complexity", spec.complexity)];
    let late_texts = [("deprecated_since", deprecated_since), ("replaced_by", replaced_by)];
    let written = |texts: &[(&str, &str)]| texts.iter().filter(|(_, text)| !text.is_empty()).count();
    let parts = [!doc_flags.is_empty(), !spec.args.is_empty(), !spec.subcommands.is_empty()];
    out.map(3 + written(&texts) + written(&late_texts) + parts.into_iter().filter(|part| *part).count());
    pair(out, "summary", spec.summary);
    pair(out, "since", spec.since);
    pair(out, "group", spec.group.name());
    pairs(out, &texts);
    if !doc_flags.is_empty() {
        out.bulk(b"doc_flags");
        statuses(doc_flags, out);
    }
    pairs(out, &late_texts);
    if !spec.args.is_empty() {
        out.bulk(b"arguments");
        arguments(spec.args, out);
    }
    if !spec.subcommands.is_empty() {
        out.bulk(b"subcommands");
        out.map(spec.subcommands.len());
        for sub in spec.subcommands {
            out.bulk(sub.full_name.as_bytes());
            docs(sub, out);
        }
    }
}

/// A set of words.
pub(super) fn statuses(words: impl IntoIterator<Item = &'static str>, out: &mut Reply) {
    let words: Vec<&str> = words.into_iter().collect();
    out.set(words.len());
    words.into_iter().for_each(|word| out.simple(word));
}

fn pair(out: &mut Reply, name: &str, text: &str) {
    out.bulk(name.as_bytes());
    out.bulk(text.as_bytes());
}

/// The pairs whose text is not empty.
fn pairs(out: &mut Reply, pairs: &[(&str, &str)]) {
    pairs.iter().filter(|(_, text)| !text.is_empty()).for_each(|(name, text)| pair(out, name, text));
}

fn arguments(args: &[Arg], out: &mut Reply) {
    out.array(args.len());
    for arg in args {
        argument(arg, out);
    }
}

fn argument(arg: &Arg, out: &mut Reply) {
    let nested = matches!(arg.kind, ArgKind::OneOf | ArgKind::Block);
    let flags = [(arg.optional, "optional"), (arg.multiple, "multiple"), (arg.multiple_token, "multiple_token")];
    let flags: Vec<&str> = flags.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect();
    let texts = [("token", arg.token), ("since", arg.since), ("deprecated_since", arg.deprecated_since)];
    let texts = texts.map(|(name, text)| (name, text.unwrap_or_default()));
    // A token may be the empty string (MIGRATE has one), so it is not told by its text whether it is there.
    let written = [arg.token, arg.since, arg.deprecated_since].iter().flatten().count();
    let key_spec = usize::from(arg.key_spec.is_some());
    out.map(3 + key_spec + written + usize::from(!flags.is_empty()));
    pair(out, "name", arg.name);
    pair(out, "type", arg.kind.name());
    if !nested {
        pair(out, "display_text", arg.display.unwrap_or(arg.name));
    }
    if let Some(index) = arg.key_spec {
        out.bulk(b"key_spec_index");
        out.len(index);
    }
    if arg.token.is_some() {
        pair(out, "token", texts[0].1);
    }
    pairs(out, &texts[1..]);
    if !flags.is_empty() {
        out.bulk(b"flags");
        statuses(flags, out);
    }
    if nested {
        out.bulk(b"arguments");
        arguments(arg.args, out);
    }
}

fn key_spec_map(key_spec: &KeySpec, out: &mut Reply) {
    out.map(3 + usize::from(!key_spec.notes.is_empty()));
    pairs(out, &[("notes", key_spec.notes)]);
    out.bulk(b"flags");
    statuses(key_spec.flags.iter().copied(), out);
    out.bulk(b"begin_search");
    match key_spec.begin {
        Begin::Index(index) => {
            typed(out, "index", 1);
            number(out, "index", index as i64);
        }
        Begin::Keyword(keyword, from) => {
            typed(out, "keyword", 2);
            pair(out, "keyword", keyword);
            number(out, "startfrom", from.into());
        }
        Begin::Unknown => typed(out, "unknown", 0),
    }
    out.bulk(b"find_keys");
    match key_spec.find {
        Find::Range { last, step, limit } => {
            typed(out, "range", 3);
            number(out, "lastkey", last.into());
            number(out, "keystep", step as i64);
            number(out, "limit", limit as i64);
        }
        Find::KeyNum { index, first, step } => {
            typed(out, "keynum", 3);
            number(out, "keynumidx", index as i64);
            number(out, "firstkey", first as i64);
            number(out, "keystep", step as i64);
        }
        Find::Unknown => typed(out, "unknown", 0),
    }
}

/// The head of a search: its type, and how many facts of it follow.
fn typed(out: &mut Reply, name: &str, facts: usize) {
    out.map(2);
    pair(out, "type", name);
    out.bulk(b"spec");
    out.map(facts);
}

fn number(out: &mut Reply, name: &str, number: i64) {
    out.bulk(name.as_bytes());
    out.int(number);
}

/// First key, last key and step, as clients older than key specifications read them. One range is taken as it is; of
/// several specifications only plain ranges that follow each other are joined.
fn range(key_specs: &[KeySpec]) -> (i64, i64, i64) {
    let plain = |key_spec: &KeySpec| match (key_spec.begin, key_spec.find) {
        (Begin::Index(index), Find::Range { last, step, .. }) => {
            let last = if last >= 0 { index as i64 + i64::from(last) } else { last.into() };
            Some((index as i64, last, step as i64))
        }
        _ => None,
    };
    if let [one] = key_specs {
        return plain(one).unwrap_or_default();
    }
    let (mut first, mut last) = (i64::MAX, 0_i64);
    for (from, to, step) in key_specs.iter().filter_map(plain) {
        if step != 1 || (last != 0 && last != from - 1) {
            continue;
        }
        first = first.min(from);
        // Counted from the end is later than counted from the beginning.
        last = if last < 0 || to < 0 { last.min(to) } else { last.max(to) };
    }
    if first == i64::MAX { (0, 0, 0) } else { (first, last, 1) }
}
