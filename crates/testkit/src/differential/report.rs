//! What a campaign found, in words.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::handling::MOSTLY_REFUSED;
use super::pair::Difference;
use super::steps::Sequence;
use crate::client::Protocol;

/// Below this share of accepted commands the grammar tests little but error texts.
const ACCEPTED_SHARE_MIN: f64 = 0.3;
/// Fewer random commands than this say nothing about a share.
const SHARE_SAMPLE_MIN: usize = 50;

/// A sequence that takes longer than this is named, for whoever writes sequences.
const SLOW_MIN: Duration = Duration::from_secs(1);
/// So many are named.
const SLOW_SHOWN_MAX: usize = 10;

/// One difference, with everything that is needed to see it again.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The smallest sequence that shows it, or the whole one when it did not come back.
    pub sequence: Sequence,
    /// The replies.
    pub difference: Difference,
    /// What the connection spoke.
    pub protocol: Protocol,
    /// The limits it was found under.
    pub condition: &'static str,
    /// How often its signature was seen.
    pub count: usize,
    /// What to know about the sequence: empty when it was made small.
    pub note: &'static str,
}

/// The results of a campaign.
#[derive(Debug, Default)]
pub struct Report {
    /// By signature.
    pub findings: BTreeMap<String, Finding>,
    /// How many random commands were answered, and how many of them without an error, by name.
    pub shares: BTreeMap<String, (usize, usize)>,
    /// What stopped it: a server that ended, for one.
    pub troubles: Vec<String>,
    /// How many sequences ran.
    pub sequences: usize,
    /// How many steps of written sequences were left out, because the server under test lacks the command.
    pub left_out: usize,
    /// How many of their commands were random.
    pub commands: usize,
    /// The seeds: the fixed one and the fresh one.
    pub seeds: (u64, u64),
    /// Every sequence's time; a silence that both servers share shows here.
    pub slowest: Vec<(Duration, String)>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Report {
    /// Adds another part's results.
    pub fn merge(&mut self, other: Self) {
        for (signature, finding) in other.findings {
            self.findings.entry(signature).and_modify(|known| known.count += finding.count).or_insert(finding);
        }
        for (name, (accepted, all)) in other.shares {
            let share = self.shares.entry(name).or_default();
            share.0 += accepted;
            share.1 += all;
        }
        self.slowest.extend(other.slowest);
        self.troubles.extend(other.troubles);
        self.left_out = self.left_out.max(other.left_out);
        self.sequences += other.sequences;
        self.commands += other.commands;
        self.elapsed = self.elapsed.max(other.elapsed);
    }

    /// The commands of which too few were accepted, with their shares; those listed with a reason left out.
    #[must_use]
    pub fn poor(&self) -> Vec<(&str, f64)> {
        self.shares
            .iter()
            .filter(|(_, (_, all))| *all >= SHARE_SAMPLE_MIN)
            .map(|(name, (accepted, all))| (name.as_str(), *accepted as f64 / *all as f64))
            .filter(|(name, share)| {
                *share < ACCEPTED_SHARE_MIN && !MOSTLY_REFUSED.iter().any(|(listed, _)| listed == name)
            })
            .collect()
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings.is_empty() && self.troubles.is_empty() && self.poor().is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "accepted of the random commands, by command:")?;
        for line in self.shares.iter().collect::<Vec<_>>().chunks(4) {
            for (name, (accepted, all)) in line {
                write!(
                    out,
                    "  {:<34}",
                    format!("{name} {accepted}/{all} {:.0}%", 100.0 * *accepted as f64 / *all as f64)
                )?;
            }
            writeln!(out)?;
        }
        for finding in self.findings.values() {
            writeln!(
                out,
                "\nDIFFERENCE ({} times; {:?}, {}{})",
                finding.count, finding.protocol, finding.condition, finding.note
            )?;
            write!(out, "{}", finding.sequence)?;
            writeln!(out, "# at:        {}", finding.difference.what)?;
            writeln!(out, "# reference: {}", finding.difference.reference)?;
            writeln!(out, "# ours:      {}", finding.difference.subject)?;
        }
        for (name, share) in self.poor() {
            writeln!(out, "GRAMMAR TOO POOR: of {name} only {:.0}% are accepted", 100.0 * share)?;
        }
        for trouble in &self.troubles {
            writeln!(out, "TROUBLE: {trouble}")?;
        }
        if self.left_out > 0 {
            writeln!(out, "{} steps of written sequences left out: the command is not there yet", self.left_out)?;
        }
        let mut slowest: Vec<_> = self.slowest.iter().filter(|(time, _)| *time > SLOW_MIN).collect();
        slowest.sort();
        for (time, name) in slowest.iter().rev().take(SLOW_SHOWN_MAX) {
            writeln!(out, "slow: {time:.1?} for {name}")?;
        }
        writeln!(
            out,
            "{} sequences, {} random commands, seeds {} (fixed) and {} (fresh; BRINDLE_DIFF_SEED runs it again), {} differences, {:.1} s",
            self.sequences,
            self.commands,
            self.seeds.0,
            self.seeds.1,
            self.findings.len(),
            self.elapsed.as_secs_f64()
        )
    }
}
