//! What an evaluation of host memory costs on a device, and from which size on another one is cheaper.

use std::time::Instant;

use crate::{Batch, Engine, Objective, Outputs, Result};

/// The time an evaluation of host memory takes: so much, and so much more for each value.
#[derive(Clone, Copy, Debug, PartialEq)]
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

/// What is measured, in values: one call each.
const SMALL: usize = 1 << 14;
const LARGE: usize = 1 << 22;

/// How often, after once to warm up. The shortest counts: what disturbs only adds.
const RUNS: usize = 3;

impl Engine {
    /// Measures what an evaluation of host memory costs on this engine: the mean and the gradient of f32 logits with
    /// labels of a byte, 2¹⁴ and 2²² of them. Takes some tens of milliseconds on a fast device, and 36 MiB.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if the device failed.
    pub async fn measure_async(&self) -> Result<Cost> {
        let logits: Vec<f32> = (0..LARGE).map(|i| (i % 4099) as f32 / 256.0 - 8.0).collect();
        let labels: Vec<u8> = (0..LARGE).map(|i| (i % 3 == 0).into()).collect();
        let mut gradient = vec![0.0; LARGE];
        let mut seconds = [f64::INFINITY; 2];
        for (len, seconds) in [SMALL, LARGE].into_iter().zip(&mut seconds) {
            let batch = Batch::logits(&logits[..len], &labels[..len])?;
            for run in 0..=RUNS {
                let started = Instant::now();
                let outputs = Outputs::none().with_gradient(&mut gradient[..len]);
                self.evaluate_async(&batch, &Objective::mean(), outputs).await?;
                if run > 0 {
                    *seconds = seconds.min(started.elapsed().as_secs_f64());
                }
            }
        }
        Ok(Cost::through((SMALL as u64, seconds[0]), (LARGE as u64, seconds[1])))
    }

    /// [`Engine::measure_async`], blocking.
    ///
    /// # Errors
    /// As [`Engine::measure_async`].
    pub fn measure(&self) -> Result<Cost> {
        pollster::block_on(self.measure_async())
    }
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
    fn noise_makes_no_nonsense() {
        for (small, large) in [(1.0, 0.5), (0.0, 0.0), (0.0, 1.0)] {
            let cost = Cost::through((100, small), (300, large));
            assert!(cost.per_value > 0.0 && cost.fixed >= 0.0 && cost.of(u64::MAX).is_finite());
        }
    }
}
