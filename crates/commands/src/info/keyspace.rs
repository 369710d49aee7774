//! How many keys each database holds, and how many of them, or of their fields, expire.

use crate::call::Call;
use crate::info_lines;

/// Entries looked at for the average time to live.
const TTL_SAMPLES: usize = 64;

/// `# Keyspace`: the databases that are not empty.
pub(super) fn write(call: &mut Call<'_>, out: &mut String) {
    info_lines!(out; "# Keyspace";);
    let keyspace = call.env.keyspace;
    for db in 0..keyspace.database_count() {
        let Some(database) = keyspace.database(call.section, db) else { continue };
        let (keys, expires) = (database.len(), database.volatile_len());
        if keys == 0 {
            continue;
        }
        let ttl = if expires == 0 { 0 } else { average_ttl_ms(call, db) };
        let timed = database.timed_len();
        info_lines!(out; "db{db}:keys={keys},expires={expires},avg_ttl={ttl},subexpiry={timed}";);
    }
}

/// The average over a few neighbours from a random place on, in milliseconds; 0 if none of them expires.
fn average_ttl_ms(call: &mut Call<'_>, db: u32) -> i64 {
    // Expiries may be as far away as a number can tell, so a few of them together are more than that.
    let (mut sum, mut count) = (0_i128, 0);
    let start = call.env.rng.u64(..) >> 1;
    let now_ms = call.env.now_ms;
    let mut cursor = start;
    // From the random place to the end, and if that was too little, once more from the beginning.
    for _ in 0..2 {
        cursor = call.env.keyspace.scan(call.section, db, cursor, TTL_SAMPLES, |entry| {
            if let Some(left) = entry.expiry().map(|expiry| expiry.saturating_sub(now_ms)).filter(|left| *left > 0) {
                sum += i128::from(left);
                count += 1;
            }
        });
        if count > 0 {
            break;
        }
    }
    if count == 0 { 0 } else { i64::try_from(sum / count).expect("an average is no greater than the greatest") }
}
