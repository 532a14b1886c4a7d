//! What an evaluation of host memory costs on a device, and from which size on another one is cheaper.

use web_time::Instant;

use super::part::EvaluatePart;
use crate::{Batch, FloatsMut, Objective, Result, Totals, job::Job, outputs::Views};

/// The time an evaluation of host memory takes: so much, and so much more for each value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Cost {
    /// Seconds before the first value.
    pub fixed: f64,
    /// Seconds a value.
    pub per_value: f64,
}

impl Cost {
    /// Seconds that `len` values take.
    pub fn of(&self, len: u64) -> f64 {
        self.fixed + self.per_value * len as f64
    }

    /// The number of values from which on this is cheaper than `other`; none if it never is, however many.
    pub fn crossover(&self, other: &Self) -> Option<u64> {
        let gained = other.per_value - self.per_value;
        let lost = (self.fixed - other.fixed).max(0.0);
        (gained > 0.0).then(|| (lost / gained) as u64 + 1)
    }

    /// The cost of a device that takes this share of a batch, whatever its size.
    pub(crate) fn of_share(share: f64) -> Self {
        Self { fixed: 0.0, per_value: 1.0 / share }
    }

    /// The line through two points; flat at least.
    fn through(small: (u64, f64), large: (u64, f64)) -> Self {
        let slope = (large.1 - small.1) / (large.0 - small.0) as f64;
        // A clock may be coarse, and a machine disturbed.
        let per_value = slope.max(1e-13);
        Self { fixed: (small.1 - per_value * small.0 as f64).max(0.0), per_value }
    }
}

/// What evaluations of host memory cost on a device.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Costs {
    /// Where nothing is written: the sum, the mean.
    pub mean: Cost,
    /// The same, and the gradient of each value; also taken for what any other outputs cost.
    pub gradient: Cost,
}

impl Costs {
    /// As [`Cost::of_share`].
    pub(crate) fn of_share(share: f64) -> Self {
        Self { mean: Cost::of_share(share), gradient: Cost::of_share(share) }
    }
}

/// The numbers of values that are evaluated, one call each.
const SMALL: usize = 1 << 14;
const LARGE: usize = 1 << 22;

/// The number of calls after one that warms up. The shortest counts: a disturbance only adds.
const RUNS: usize = 3;

/// Measures what evaluations of host memory cost on a device: the mean, and the mean with the gradient, of f32 logits with
/// u8 labels, 2¹⁴ and 2²² of them.
pub(crate) async fn measure<D: EvaluatePart>(device: &D) -> Result<Costs> {
    let logits: Vec<f32> = (0..LARGE).map(|i| (i % 4099) as f32 / 256.0 - 8.0).collect();
    let labels: Vec<u8> = (0..LARGE).map(|i| (i % 3 == 0).into()).collect();
    let mut gradient = vec![0.0; LARGE];
    let objective = Objective::mean();
    // Without and with the gradient, in seconds, for the small size and the large one.
    let mut seconds = [[f64::INFINITY; 2]; 2];
    for (s, len) in [SMALL, LARGE].into_iter().enumerate() {
        let batch = Batch::logits(&logits[..len], &labels[..len])?;
        let coefficient = objective.coefficient(&Totals::of_ones(len as u64));
        let job = Job::new(&objective, batch.form(), false, false, coefficient);
        for run in 0..=RUNS {
            for (wanted, seconds) in [false, true].into_iter().zip(&mut seconds) {
                let gradient = wanted.then(|| FloatsMut::F32(&mut gradient[..len]));
                let started = Instant::now();
                let device = device.pick(Some(len as u64), wanted);
                device.evaluate(&batch, &job, 0, Views([None, gradient, None]), None).await?;
                if run > 0 {
                    seconds[s] = seconds[s].min(started.elapsed().as_secs_f64());
                }
            }
        }
    }
    let [mean, gradient] = seconds.map(|[small, large]| Cost::through((SMALL as u64, small), (LARGE as u64, large)));
    Ok(Costs { mean, gradient })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_through_points() {
        let cost = Cost::through((100, 3.0), (300, 5.0));
        assert!((cost.per_value - 0.01).abs() < 1e-12 && (cost.fixed - 2.0).abs() < 1e-12);
        assert!((cost.of(300) - 5.0).abs() < 1e-12);
    }

    #[test]
    fn crossover() {
        let cpu = Cost { fixed: 1e-6, per_value: 2e-9 };
        let gpu = Cost { fixed: 1.001e-3, per_value: 1e-9 };
        let from = gpu.crossover(&cpu).expect("it is faster");
        assert!(from.abs_diff(1_000_000) <= 1 && gpu.of(from + 1) < cpu.of(from + 1), "{from}");
        assert_eq!(cpu.crossover(&gpu), None);
        assert_eq!(cpu.crossover(&cpu), None);
        assert_eq!(Cost { fixed: 0.0, ..gpu }.crossover(&cpu), Some(1));
    }

    #[test]
    fn noise_makes_no_nonsense() {
        for (small, large) in [(1.0, 0.5), (0.0, 0.0), (0.0, 1.0)] {
            let cost = Cost::through((100, small), (300, large));
            assert!(cost.per_value > 0.0 && cost.fixed >= 0.0 && cost.of(u64::MAX).is_finite());
        }
    }
}
