//! What each command has cost, and how often each error was answered.

use crate::call::Call;
use crate::histogram::Sum;
use crate::info_lines;
use crate::table;

/// `# Commandstats`: commands that were called, or at least asked for.
pub(super) fn commands(call: &Call<'_>, out: &mut String) {
    info_lines!(out; "# Commandstats";);
    let workers = call.env.host.stats();
    for command in table::all() {
        let of_workers = || workers.iter().map(|stats| &stats.commands[command.index as usize]);
        let calls: u64 = of_workers().map(|stats| stats.calls.get()).sum();
        let micros: u64 = of_workers().map(|stats| stats.nanos.get()).sum::<u64>() / 1000;
        let rejected: u64 = of_workers().map(|stats| stats.rejected.get()).sum();
        let failed: u64 = of_workers().map(|stats| stats.failed.get()).sum();
        if calls + rejected + failed == 0 {
            continue;
        }
        let per_call = if calls == 0 { 0.0 } else { micros as f64 / calls as f64 };
        info_lines!(out;
            "cmdstat_{}:calls={calls},usec={micros},usec_per_call={per_call:.2},rejected_calls={rejected},failed_calls={failed}",
                command.spec.full_name;
        );
    }
}

/// `# Errorstats`.
pub(super) fn errors(call: &Call<'_>, out: &mut String) {
    info_lines!(out; "# Errorstats";);
    for (code, count) in call.env.host.error_counts() {
        info_lines!(out; "errorstat_{}:count={count}", safe(&code););
    }
}

/// `# Latencystats`: the percentiles of `latency-tracking-info-percentiles`, in microseconds.
pub(super) fn latencies(call: &Call<'_>, out: &mut String) {
    info_lines!(out; "# Latencystats";);
    if !call.env.settings.latency_tracking.load(std::sync::atomic::Ordering::Relaxed) {
        return;
    }
    let percentiles = call.env.settings.percentiles();
    let workers = call.env.host.stats();
    for command in table::all() {
        let histograms = workers.iter().filter_map(|stats| stats.commands[command.index as usize].latency.get());
        let sum = Sum::of(histograms.map(|histogram| &**histogram));
        if sum.total() == 0 {
            continue;
        }
        let values: Vec<String> = percentiles
            .iter()
            .map(|percent| format!("p{}={:.3}", trimmed(*percent), sum.percentile(*percent) as f64 / 1000.0))
            .collect();
        info_lines!(out; "latency_percentiles_usec_{}:{}", command.spec.full_name, values.join(","););
    }
}

/// Up to six digits after the point, without zeroes at the end.
fn trimmed(number: f64) -> String {
    format!("{number:.6}").trim_end_matches('0').trim_end_matches('.').into()
}

/// An error's code may come from a script; what would break the line or the field becomes an underscore.
fn safe(code: &str) -> String {
    code.replace(['#', ':', '\n', '\r'], "_")
}
