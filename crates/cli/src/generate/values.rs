//! Synthetic values: each chunk from a stream of random numbers of its own, so that any of them can be made alone.

use logloss::Form;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::args::GenerateArgs;

/// Values a chunk. Part of what a seed means: another number would give other values.
pub(super) const CHUNK: u64 = 1 << 20;

/// A run of values.
pub(super) struct Chunk {
    /// Logits or probabilities, as asked for.
    pub predictions: Vec<f64>,
    pub labels: Vec<bool>,
}

/// Makes values, a chunk at a time.
pub(super) struct Values<'a> {
    args: &'a GenerateArgs,
    /// The mean of the true logits.
    center: f64,
    next_chunk: u64,
}

impl<'a> Values<'a> {
    pub(super) fn new(args: &'a GenerateArgs) -> Self {
        Self { args, center: center(args.base_rate, args.spread), next_chunk: 0 }
    }

    /// The next chunk, if there is any left.
    pub(super) fn next_chunk(&mut self) -> Option<Chunk> {
        let left = self.args.len.checked_sub(self.next_chunk * CHUNK).filter(|&left| left > 0)?;
        let len = left.min(CHUNK) as usize;
        let mut random = ChaCha8Rng::seed_from_u64(self.args.seed);
        random.set_stream(self.next_chunk);
        self.next_chunk += 1;

        let mut chunk = Chunk { predictions: Vec::with_capacity(len), labels: Vec::with_capacity(len) };
        for _ in 0..len {
            let truth = self.center + self.args.spread * random.sample::<f64, _>(StandardNormal);
            let logit = truth + self.args.noise * random.sample::<f64, _>(StandardNormal);
            chunk.labels.push(random.random::<f64>() < sigmoid(truth));
            let is_probability = self.args.form == Form::Probabilities;
            chunk.predictions.push(if is_probability { sigmoid(logit) } else { logit });
        }
        Some(chunk)
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The mean that normally distributed logits need for their probabilities to have the mean `base_rate`.
fn center(base_rate: f64, spread: f64) -> f64 {
    // Halving 100 times leaves nothing of the width.
    let width = 50.0 + 50.0 * spread;
    let (mut low, mut high) = (-width, width);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if mean_probability(middle, spread) < base_rate { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// The mean of sigmoid(center + spread·z) for z from the standard normal distribution, by the trapezoid rule, which
/// converges fast on a function that vanishes at both ends.
fn mean_probability(center: f64, spread: f64) -> f64 {
    const ENDS: f64 = 10.0;
    const STEPS: i32 = 2000;
    let (mut sum, mut weights) = (0.0, 0.0);
    for step in 0..=STEPS {
        let z = ENDS * (2.0 * f64::from(step) / f64::from(STEPS) - 1.0);
        let weight = (-z * z / 2.0).exp();
        sum += weight * sigmoid(center + spread * z);
        weights += weight;
    }
    sum / weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_rate_is_met() {
        for (base_rate, spread) in [(0.25, 1.5), (0.001, 3.0), (0.9, 0.0), (0.5, 100.0)] {
            let found = mean_probability(center(base_rate, spread), spread);
            assert!((found - base_rate).abs() < 1e-9, "{base_rate} {spread} {found}");
        }
    }
}
