//! The cheaper of two devices, for each batch.

use crate::{Costs, DeviceInfo, Engine, Result, backend::Backend};

/// A GPU and the CPU, and what was measured of them.
#[derive(Debug)]
pub(crate) struct Auto {
    pub gpu: (Engine, Costs),
    pub cpu: (Engine, Costs),
}

impl Auto {
    /// The engine to take for `len` values, with or without per-element outputs.
    pub(crate) fn cheaper(&self, len: u64, outputs: bool) -> &Engine {
        let seconds = |costs: &Costs| if outputs { costs.gradient } else { costs.mean }.of(len);
        if seconds(&self.gpu.1) < seconds(&self.cpu.1) { &self.gpu.0 } else { &self.cpu.0 }
    }
}

impl Engine {
    /// An engine that takes the cheaper of both.
    pub(crate) async fn cheaper_of(gpu: Engine, cpu: Engine) -> Result<Self> {
        let costs = [gpu.measure_async().await?, cpu.measure_async().await?];
        let auto = Auto { gpu: (gpu, costs[0]), cpu: (cpu, costs[1]) };
        Ok(Self::on_backend(Backend::Auto(Box::new(auto))))
    }

    /// This engine, or the one of two that is to be taken for `len` values (many, if that is not known).
    pub(crate) fn pick(&self, len: Option<u64>, outputs: bool) -> &Engine {
        match &self.backend {
            Backend::Auto(auto) => auto.cheaper(len.unwrap_or(u64::MAX), outputs),
            _ => self,
        }
    }

    /// The engine that resident batches are on.
    pub(crate) fn resident(&self) -> &Engine {
        match &self.backend {
            Backend::Auto(auto) => &auto.gpu.0,
            _ => self,
        }
    }

    /// What was measured of each device that this engine chooses from ([`Device::Auto`](crate::Device::Auto)) or
    /// cuts batches for ([`Engine::multi`]), in seconds; none for any other engine.
    pub fn costs(&self) -> Vec<(DeviceInfo, Costs)> {
        self.backend.measured().into_iter().map(|(engine, costs)| (engine.device(), *costs)).collect()
    }

    /// Measures again what [`Engine::costs`] tells, one device after the other: the machine may be busier than it was,
    /// or less so. From then on other batches may run on other devices, in other bits.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if a device failed: it and those behind it keep the costs they had.
    pub async fn calibrate_async(&mut self) -> Result<()> {
        for (engine, costs) in self.backend.measured_mut() {
            *costs = engine.measure_async().await?;
        }
        Ok(())
    }

    /// [`Engine::calibrate_async`], blocking.
    ///
    /// # Errors
    /// As [`Engine::calibrate_async`].
    pub fn calibrate(&mut self) -> Result<()> {
        pollster::block_on(self.calibrate_async())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BLOCK, Batch, Cost, Objective, Outputs};

    /// A device whose first value comes late, and whose others come soon.
    #[test]
    fn the_cheaper() {
        let cost = |fixed, per_value| Cost { fixed, per_value };
        let gpu = Costs { mean: cost(1e-3, 2e-9), gradient: cost(1e-3, 1e-9) };
        let cpu = Costs { mean: cost(0.0, 1e-9), gradient: cost(0.0, 2e-9) };
        // What runs on them is not asked.
        let auto = Auto { gpu: (Engine::cpu(), gpu), cpu: (Engine::cpu(), cpu) };
        let engine = Engine::on_backend(Backend::Auto(Box::new(auto)));
        let on_gpu = |len, outputs| std::ptr::eq(engine.pick(len, outputs), engine.resident());
        assert!(!on_gpu(Some(0), true) && !on_gpu(Some(999_000), true));
        assert!(on_gpu(Some(1_001_000), true) && on_gpu(None, true));
        assert!(!on_gpu(Some(1_001_000), false) && !on_gpu(None, false));
        let alone = Engine::cpu();
        assert!(std::ptr::eq(alone.pick(None, true), &alone) && alone.costs().is_empty());
        assert_eq!(engine.costs(), [(engine.device(), gpu), (engine.device(), cpu)]);

        // As one of several.
        let x: Vec<f32> = (0..3 * BLOCK as i32 + 5).map(|i| (i % 17 - 8) as f32).collect();
        let targets: Vec<bool> = x.iter().map(|x| *x > 1.0).collect();
        let batch = Batch::logits(&x, &targets).unwrap();
        let evaluate = |engine: &Engine| engine.evaluate(&batch, &Objective::mean(), Outputs::gradient()).unwrap();
        let several = Engine::multi_with_shares([(engine, 1.0), (Engine::cpu(), 2.0)]).unwrap();
        let [found, expected] = [&several, &alone].map(evaluate);
        assert_eq!(found.partials, expected.partials);
        assert_eq!(found.gradient, expected.gradient);
    }
}
