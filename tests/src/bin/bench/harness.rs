//! Rounds, warm-up, interleaving, medians and ratios: what every group is measured with.
//!
//! A [`Contender`] is anything that can be asked for one sample in a unit that all contenders of a
//! comparison share: a loop in this process, a round trip to another process, a time that another
//! program prints. So a peer from outside fits in like one of our own.

use crate::Result;
use crate::figure::{Figure, Target};
use feedpulse_sim::Rng;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Processor time that one sample of a loop lasts, at least.
const SAMPLE: Duration = Duration::from_millis(4);
/// Fixes the order of contenders.
const SEED: u64 = 0xFEED;

/// Runs comparisons.
#[derive(Debug)]
pub(crate) struct Harness {
    rounds: usize,
    rng: Rng,
}

/// Something to be measured beside others.
pub(crate) struct Contender<'a> {
    name: String,
    sample: Box<dyn FnMut() -> Result<f64> + 'a>,
}

impl<'a> Contender<'a> {
    /// With a function that takes one sample.
    pub(crate) fn new(name: &str, sample: impl FnMut() -> Result<f64> + 'a) -> Self {
        Self { name: name.to_owned(), sample: Box::new(sample) }
    }

    /// A loop of which one turn does `operations`; a sample is nanoseconds of processor time of
    /// this thread for each operation. How many turns a sample takes is found out in the warm-up.
    pub(crate) fn work(name: &str, operations: usize, mut turn: impl FnMut() + 'a) -> Self {
        let mut turns = 0_u32;
        Self::new(name, move || {
            if turns == 0 {
                turns = 1;
                while processor_time(turns, &mut turn) < SAMPLE && turns < 1 << 24 {
                    turns *= 2;
                }
            }
            let spent = processor_time(turns, &mut turn);
            Ok(spent.as_nanos() as f64 / f64::from(turns) / operations as f64)
        })
    }

    /// As [`Contender::work`], with input that `prepare` makes anew for each turn outside of the
    /// measured time.
    pub(crate) fn fed<T>(
        name: &str,
        operations: usize,
        mut prepare: impl FnMut() -> T + 'a,
        mut turn: impl FnMut(T) + 'a,
    ) -> Self {
        Self::new(name, move || {
            let (mut spent, mut turns) = (Duration::ZERO, 0_u32);
            while spent < SAMPLE {
                let input = prepare();
                let before = thread_time();
                turn(input);
                spent += thread_time().saturating_sub(before);
                turns += 1;
            }
            Ok(spent.as_nanos() as f64 / f64::from(turns) / operations as f64)
        })
    }
}

fn processor_time(turns: u32, turn: &mut impl FnMut()) -> Duration {
    let before = thread_time();
    for _ in 0..turns {
        turn();
    }
    thread_time().saturating_sub(before)
}

/// Processor time of this thread: what others take of the machine is not in it.
fn thread_time() -> Duration {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
}

impl Harness {
    /// With a number of rounds.
    pub(crate) fn new(rounds: usize) -> Self {
        Self { rounds, rng: Rng::new(SEED) }
    }

    /// How many samples each contender gives.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds
    }

    /// Warms all contenders up, then samples each once in every round, in an order of its own.
    ///
    /// # Errors
    /// What a contender says, with its name.
    pub(crate) fn compare(&mut self, mut contenders: Vec<Contender<'_>>) -> Result<Measured> {
        let mut samples = vec![Vec::with_capacity(self.rounds); contenders.len()];
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        for round in 0..=self.rounds {
            for last in (1..order.len()).rev() {
                order.swap(last, self.rng.index(last + 1));
            }
            for &index in &order {
                let contender = &mut contenders[index];
                let sample =
                    (contender.sample)().map_err(|e| format!("{}: {e}", contender.name))?;
                // Round 0 is the warm-up.
                if round > 0 {
                    samples[index].push(sample);
                }
            }
        }
        let named = contenders.into_iter().map(|contender| contender.name).zip(samples);
        Ok(Measured { contenders: named.collect() })
    }
}

/// The samples of one comparison, by contender and round.
#[derive(Debug)]
pub(crate) struct Measured {
    contenders: Vec<(String, Vec<f64>)>,
}

impl Measured {
    fn samples(&self, name: &str) -> &[f64] {
        let found = self.contenders.iter().find(|(known, _)| known == name);
        &found.expect("groups name contenders that they have given").1
    }

    /// The median of a contender.
    pub(crate) fn median(&self, name: &str) -> f64 {
        median(self.samples(name).to_vec())
    }

    /// A figure in the contenders' unit. Its ratio is the median of the ratios of each round, since
    /// noise that lasts longer than a sample falls on both of a round.
    pub(crate) fn figure(
        &self,
        group: &'static str,
        figure: &str,
        (ours, peer): (&str, &str),
        target: Option<Target>,
    ) -> Figure {
        let pairs = self.samples(ours).iter().zip(self.samples(peer));
        let ratio = median(pairs.map(|(ours, peer)| ours / peer).collect());
        Figure {
            group,
            figure: figure.to_owned(),
            ours: self.median(ours),
            peer: Some(self.median(peer)),
            peer_name: Some(peer.to_owned()),
            ratio: Some(ratio),
            target,
        }
    }

    /// As [`Measured::figure`], turned from nanoseconds for one into how many in a second.
    pub(crate) fn rate(
        &self,
        group: &'static str,
        figure: &str,
        names: (&str, &str),
        target: Option<Target>,
    ) -> Figure {
        let times = self.figure(group, figure, names, target);
        Figure {
            ours: 1e9 / times.ours,
            peer: times.peer.map(|ns| 1e9 / ns),
            ratio: times.ratio.map(|ratio| 1.0 / ratio),
            ..times
        }
    }
}

/// The middle one, or the mean of the two in the middle. NaN without any, which is shown as absent.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match (values.get(values.len() / 2), values.len() % 2) {
        (Some(upper), 0) => (values[values.len() / 2 - 1] + upper) / 2.0,
        (Some(middle), _) => *middle,
        (None, _) => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn medians_are_of_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn rounds_interleave_and_ratios_pair_the_samples_of_a_round() {
        let log = RefCell::new(Vec::new());
        let (mut a, mut b) = (0.0, 0.0);
        let measured = Harness::new(10)
            .compare(vec![
                Contender::new("a", || {
                    log.borrow_mut().push('a');
                    a += 1.0;
                    Ok(a * 3.0)
                }),
                Contender::new("b", || {
                    log.borrow_mut().push('b');
                    b += 1.0;
                    Ok(b)
                }),
            ])
            .unwrap();
        let log = log.into_inner();
        assert_eq!(log.len(), 22, "a warm-up and ten rounds");
        for round in log.chunks(2) {
            assert!(round == ['a', 'b'] || round == ['b', 'a'], "{round:?}");
        }
        assert!(log.chunks(2).any(|r| r[0] == 'a') && log.chunks(2).any(|r| r[0] == 'b'));
        let figure = measured.figure("g", "f", ("a", "b"), None);
        assert_eq!((figure.ours, figure.ratio), (3.0 * 6.5, Some(3.0)));
    }

    #[test]
    fn a_failing_contender_is_named() {
        let failing = Contender::new("peer", || Err("no answer".into()));
        let error = Harness::new(10).compare(vec![failing]).unwrap_err();
        assert_eq!(error.to_string(), "peer: no answer");
    }
}
