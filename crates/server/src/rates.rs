//! INFO's `instantaneous_*`: how fast counters have grown lately, as the mean of sixteen samples.

use parking_lot::Mutex;

/// Nanoseconds between two samples.
const PERIOD_NS: u64 = 100_000_000;
const SAMPLES: usize = 16;

/// What is sampled: the counters as they stand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Commands.
    pub commands: u64,
    /// Bytes read.
    pub net_in: u64,
    /// Bytes written.
    pub net_out: u64,
    /// Turns of the event loops.
    pub cycles: u64,
    /// What these took, in nanoseconds.
    pub cycle_nanos: u64,
}

/// The means.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Commands a second.
    pub commands: u64,
    /// Bytes read a second.
    pub net_in: u64,
    /// Bytes written a second.
    pub net_out: u64,
    /// Turns of the event loops a second.
    pub cycles: u64,
    /// Nanoseconds a turn.
    pub cycle_nanos: u64,
}

/// See the file's head.
#[derive(Default)]
pub struct Sampler(Mutex<State>);

#[derive(Default)]
struct State {
    last: Option<(u64, Counters)>,
    samples: [Rates; SAMPLES],
    next: usize,
}

impl Sampler {
    /// Takes a sample if it is time to; `counters` is only asked then.
    pub fn sample(&self, now_ns: u64, counters: impl FnOnce() -> Counters) {
        let mut state = self.0.lock();
        if state.last.is_some_and(|(then_ns, _)| now_ns < then_ns + PERIOD_NS) {
            return;
        }
        let counters = counters();
        if let Some((then_ns, before)) = state.last {
            let at = state.next;
            state.samples[at] = between(&before, &counters, now_ns - then_ns);
            state.next = (at + 1) % SAMPLES;
        }
        state.last = Some((now_ns, counters));
    }

    /// The means of the last samples.
    pub fn rates(&self) -> Rates {
        let samples = self.0.lock().samples;
        let mean = |of: fn(&Rates) -> u64| samples.iter().map(of).sum::<u64>() / SAMPLES as u64;
        Rates {
            commands: mean(|rates| rates.commands),
            net_in: mean(|rates| rates.net_in),
            net_out: mean(|rates| rates.net_out),
            cycles: mean(|rates| rates.cycles),
            cycle_nanos: mean(|rates| rates.cycle_nanos),
        }
    }

    /// Forgets all samples.
    pub fn reset(&self) {
        *self.0.lock() = State::default();
    }
}

fn between(before: &Counters, after: &Counters, elapsed_ns: u64) -> Rates {
    // A reset of the counters in between makes them smaller: then nothing is known.
    let grown = |of: fn(&Counters) -> u64| of(after).saturating_sub(of(before));
    let a_second = |of| (u128::from(grown(of)) * 1_000_000_000 / u128::from(elapsed_ns.max(1))) as u64;
    Rates {
        commands: a_second(|counters| counters.commands),
        net_in: a_second(|counters| counters.net_in),
        net_out: a_second(|counters| counters.net_out),
        cycles: a_second(|counters| counters.cycles),
        cycle_nanos: grown(|counters| counters.cycle_nanos) / grown(|counters| counters.cycles).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_the_mean_of_sixteen_samples() {
        let sampler = Sampler::default();
        let at = |step: u64| Counters {
            commands: step * 50,
            cycles: step * 2,
            cycle_nanos: step * 200,
            ..Counters::default()
        };
        for step in 0..=8 {
            sampler.sample(step * PERIOD_NS, || at(step));
            // Too early for another one.
            sampler.sample(step * PERIOD_NS + 1, || unreachable!());
        }
        // Half of the samples are still empty.
        assert_eq!(sampler.rates(), Rates { commands: 250, cycles: 10, cycle_nanos: 50, ..Rates::default() });
        (9..=40).for_each(|step| sampler.sample(step * PERIOD_NS, || at(step)));
        assert_eq!(sampler.rates(), Rates { commands: 500, cycles: 20, cycle_nanos: 100, ..Rates::default() });
        sampler.sample(41 * PERIOD_NS, Counters::default);
        assert!(sampler.rates().commands < 500, "counters that were reset do not make a huge rate");
    }
}
