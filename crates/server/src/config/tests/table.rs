//! What holds for every row.

use std::collections::HashSet;

use super::super::{Answer, Asker, Kind, ROWS, Value, row::Effect};
use super::{Scratch, config, set, value};

#[test]
fn names_are_unique_and_in_lower_case() {
    let mut seen = HashSet::new();
    for name in ROWS.iter().flat_map(|row| [Some(row.name), row.alias]).flatten() {
        assert!(seen.insert(name), "{name} stands twice");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || b"-_".contains(&byte)), "{name}");
    }
}

#[test]
fn every_default_is_a_value_its_row_accepts() {
    for row in ROWS.iter().filter(|row| !matches!(row.kind, Kind::ReplicaOf | Kind::Dir)) {
        let default = row.default_value();
        let printed = row.kind.print(&default);
        let words = if row.kind.is_many_words() && !printed.is_empty() {
            printed.split(|&byte| byte == b' ').map(<[u8]>::to_vec).collect()
        } else {
            vec![printed]
        };
        assert_eq!(row.parse(&words, &default), Ok(default), "{}", row.name);
    }
}

#[test]
fn what_config_get_gives_can_be_set_again() {
    // Also when every setting that may be changed has been moved away from its default.
    let scratch = Scratch::new();
    let changed = ["--enable-protected-configs", "yes", "--appendonly", "yes", "--activedefrag", "yes"];
    let [unchanged, changed] = [&changed[..2], &changed].map(|arguments| scratch.load(arguments).unwrap().config);
    for (name, other) in [
        ("bind", "127.0.0.1 -::1"),
        ("save", "900 1 30 5"),
        ("client-output-buffer-limit", "pubsub 1mb 2k 3"),
        ("maxmemory", "18446744073709551615"),
        ("maxmemory-clients", "5%"),
        ("oom-score-adj", "relative"),
        ("oom-score-adj-values", "-1 2 3"),
        ("notify-keyspace-events", "KEA"),
        ("shutdown-on-sigint", "force save"),
        ("latency-tracking-info-percentiles", "1 2.5"),
        ("requirepass", "two words \" and quotes"),
        ("slowlog-log-slower-than", "-1"),
        ("list-max-listpack-size", "-5"),
    ] {
        assert_eq!(set(&changed, &[name, other]), "OK", "{name}");
    }
    for config in [unchanged, changed] {
        let everything = config.matching([b"*".as_slice()]);
        for (name, value) in &everything {
            let row = &ROWS[super::super::index_of(name).unwrap().0];
            if row.immutable {
                continue;
            }
            let again = config.set(&[(name, value)], Asker::default(), &mut |row, _| panic!("{} changed", row.name));
            assert_eq!(again, Ok(Vec::new()), "{}", row.name);
        }
        assert_eq!(config.matching([b"*".as_slice()]), everything);
    }
}

/// A value other than the default, for each row whose effect is to come.
fn another(row: &super::super::Row) -> String {
    match (row.kind, row.default_value()) {
        (_, Value::YesNo(yes)) => if yes { "no" } else { "yes" }.into(),
        (Kind::Number(range), Value::Number(number)) => {
            let next = if number == range.max { number - 1 } else { number + 1 };
            range.print(next)
        }
        (Kind::Choice(names, default), _) => {
            (*names.iter().map(|(name, _)| name).find(|&&name| name != default).unwrap()).into()
        }
        (Kind::Save, _) => "900 1".into(),
        (Kind::Events, _) => "AKE".into(),
        (Kind::Percentiles, _) => "50".into(),
        (Kind::ReplicaOf, _) => "127.0.0.1 6379".into(),
        (Kind::Text { .. }, _) => "else".into(),
        (kind, _) => panic!("a value for {kind:?} is needed"),
    }
}

#[test]
fn a_setting_still_to_come_is_never_swallowed() {
    for row in ROWS {
        let Effect::ToCome { missing, at_start, at_run_time } = row.effect else { continue };
        let (option, other) = (format!("--{}", row.name), another(row));
        let scratch = Scratch::new();
        match (at_start, scratch.load(&[&option, &other])) {
            (Answer::Refuse, Err(error)) => {
                let error = error.to_string();
                assert!(error.contains(missing) && error.contains(&format!(">>> '{}", row.name)), "{error}");
            }
            (Answer::Warn, Ok(loaded)) => {
                assert_eq!(loaded.warnings.len(), 1, "{}", row.name);
                let warning = &loaded.warnings[0];
                assert!(warning.contains(missing) && warning.contains(row.name), "{warning}");
                assert_eq!(value(&loaded.config, row.name), other);
            }
            (_, outcome) => panic!("{}: {:?}", row.name, outcome.map(|loaded| loaded.warnings)),
        }
        if row.immutable {
            continue;
        }
        let config = config(&["--enable-protected-configs", "yes"]);
        let outcome = config.set(&[(row.name.as_bytes(), other.as_bytes())], Asker::default(), &mut |_, _| Ok(()));
        match (at_run_time, outcome) {
            (Answer::Refuse, Err(error)) => assert!(error.to_string().contains(missing), "{error}"),
            (Answer::Warn, Ok(warnings)) => assert_eq!(warnings.len(), 1, "{}", row.name),
            (_, outcome) => panic!("{}: {outcome:?}", row.name),
        }
    }
}

#[test]
fn what_is_taken_back_is_no_reason_to_stop() {
    let scratch = Scratch::new();
    let loaded = scratch.load(&["--tls-port", "6380", "--appendonly", "yes", "--tls-port", "0", "--appendonly", "no"]);
    assert_eq!(loaded.unwrap().warnings, Vec::<String>::new());
}
