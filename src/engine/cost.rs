//! The measured time of evaluations of host memory on a device, as a linear function of the number of values.

use web_time::Instant;

use super::part::EvaluatePart;
use crate::{Batch, FloatsMut, Objective, Result, Totals, job::Job, outputs::Views};

/// The time of an evaluation of host memory as a linear function of the number of values, in seconds.
///
/// ```
/// use logloss::Engine;
///
/// let cost = Engine::cpu().measure()?.mean;
/// assert!(cost.of(2_000_000) > cost.of(1_000_000)); // seconds
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Cost {
    /// The time that does not depend on the number of values, in seconds.
    pub fixed: f64,
    /// The time per value, in seconds.
    pub per_value: f64,
}

impl Cost {
    /// The time for `len` values, in seconds.
    pub fn of(&self, len: u64) -> f64 {
        self.fixed + self.per_value * len as f64
    }

    /// The smallest number of values for which this cost is lower than `other`; none if it is lower for no number of
    /// values.
    pub fn crossover(&self, other: &Self) -> Option<u64> {
        let saved_per_value = other.per_value - self.per_value;
        let extra_fixed = (self.fixed - other.fixed).max(0.0);
        (saved_per_value > 0.0).then(|| (extra_fixed / saved_per_value) as u64 + 1)
    }

    /// The cost by which a device receives this share of a batch of any size.
    pub(crate) fn of_share(share: f64) -> Self {
        Self { fixed: 0.0, per_value: 1.0 / share }
    }

    /// The line through two points (number of values, seconds), with a positive slope and a fixed cost of at least 0.
    fn through(small: (u64, f64), large: (u64, f64)) -> Self {
        let slope = (large.1 - small.1) / (large.0 - small.0) as f64;
        // The measured slope may be zero or negative if the clock is coarse or the machine is busy.
        let per_value = slope.max(1e-13);
        Self { fixed: (small.1 - per_value * small.0 as f64).max(0.0), per_value }
    }
}

/// The measured times of evaluations of host memory on a device.
///
/// ```
/// use logloss::Engine;
///
/// let costs = Engine::cpu().measure()?;
/// assert!(costs.gradient.of(1 << 20) > 0.0); // seconds
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Costs {
    /// The cost without outputs: the sum and the mean only.
    pub mean: Cost,
    /// The cost of the mean with the gradient of each value. It is also the estimate for any other outputs.
    pub gradient: Cost,
}

impl Costs {
    /// The costs by which a device receives this share of a batch of any size.
    pub(crate) fn of_share(share: f64) -> Self {
        Self { mean: Cost::of_share(share), gradient: Cost::of_share(share) }
    }
}

/// The number of values of the small measured batch.
const SMALL: usize = 1 << 14;
/// The number of values of the large measured batch.
const LARGE: usize = 1 << 22;

/// The number of measured calls after one warm-up call. The shortest time is used, because disturbances only add time.
const RUNS: usize = 3;

/// Measures the time of evaluations of host memory on a device: the mean, and the mean with the gradient, of 2¹⁴ and of
/// 2²² f32 logits with u8 labels.
pub(crate) async fn measure<D: EvaluatePart>(device: &D) -> Result<Costs> {
    let logits: Vec<f32> = (0..LARGE).map(|i| (i % 4099) as f32 / 256.0 - 8.0).collect();
    let labels: Vec<u8> = (0..LARGE).map(|i| (i % 3 == 0).into()).collect();
    let mut gradient = vec![0.0; LARGE];
    let objective = Objective::mean();
    // The times in seconds, without and with the gradient, for the small and the large batch.
    let mut seconds = [[f64::INFINITY; 2]; 2];
    for (s, len) in [SMALL, LARGE].into_iter().enumerate() {
        let batch = Batch::logits(&logits[..len], &labels[..len])?;
        let coefficient = objective.coefficient(&Totals::of_ones(len as u64));
        let job = Job::new(&objective, batch.kind(), false, false, coefficient);
        for run in 0..=RUNS {
            for (with_gradient, seconds) in [false, true].into_iter().zip(&mut seconds) {
                let gradient = with_gradient.then(|| FloatsMut::F32(&mut gradient[..len]));
                let started = Instant::now();
                let device = device.pick(Some(len as u64), with_gradient);
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
    fn measurement_noise_gives_valid_costs() {
        for (small, large) in [(1.0, 0.5), (0.0, 0.0), (0.0, 1.0)] {
            let cost = Cost::through((100, small), (300, large));
            assert!(cost.per_value > 0.0 && cost.fixed >= 0.0 && cost.of(u64::MAX).is_finite());
        }
    }
}
