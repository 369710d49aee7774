//! How many values of each type are how large, by powers of two.

use store::sizes::TYPES;
use store::value::ValueType;

use crate::call::Call;
use crate::info_lines;

/// `# Keysizes`: for each database the types that it holds; an empty bin is not shown.
pub(super) fn write(call: &Call<'_>, out: &mut String) {
    info_lines!(out; "# Keysizes";);
    let keyspace = call.env.keyspace;
    for db in 0..keyspace.database_count() {
        let Some(database) = keyspace.database(call.section, db).filter(|database| !database.is_empty()) else {
            continue;
        };
        for value_type in TYPES {
            let counts = database.sizes().of(value_type).into_iter().enumerate().filter(|(_, count)| *count > 0);
            let bins: Vec<String> = counts.map(|(bin, count)| format!("{}={count}", label(bin))).collect();
            if !bins.is_empty() {
                info_lines!(out; "db{db}_distrib_{}:{}", noun(value_type), bins.join(","););
            }
        }
    }
}

fn noun(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::String => "strings_sizes",
        ValueType::List => "lists_items",
        ValueType::Set => "sets_items",
        ValueType::SortedSet => "zsets_items",
        ValueType::Hash => "hashes_items",
        ValueType::Stream => unreachable!("streams are not counted"),
    }
}

/// The least length in a bin, with a letter for the power of 1024.
fn label(bin: usize) -> String {
    const UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];
    match bin.checked_sub(1) {
        None => "0".into(),
        Some(power) => format!("{}{}", 1 << (power % 10), UNITS[power / 10]),
    }
}

#[cfg(test)]
mod tests {
    use store::sizes::BINS;

    use super::label;

    #[test]
    fn bins_are_called_by_their_least_length() {
        for (bin, text) in
            [(0, "0"), (1, "1"), (2, "2"), (10, "512"), (11, "1K"), (22, "2M"), (31, "1G"), (BINS - 1, "128T")]
        {
            assert_eq!(label(bin), text);
        }
    }
}
