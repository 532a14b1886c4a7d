//! A single device: the CPU or one GPU.

use std::sync::Arc;

use web_time::Instant;

use super::part::{EvaluatePart, PartResult};
#[cfg(feature = "gpu")]
use crate::gpu::Gpu;
use crate::{
    Batch, DeviceInfo, Result,
    cpu::Cpu,
    job::Job,
    outputs::{Slices, Views, split_off},
    plan,
};

/// The number of values per step if an output is narrower than f32. The results of a step are 8 MiB of f32 values per
/// output, which are converted to the narrower type while they are in the cache.
const NARROW_STEP: u64 = 1 << 21;

/// A single device.
#[derive(Debug)]
pub(crate) enum Processor {
    /// The SIMD backend and its description.
    Cpu(Cpu, Arc<DeviceInfo>),
    /// An adapter of wgpu.
    #[cfg(feature = "gpu")]
    Gpu(Arc<Gpu>),
}

impl From<Cpu> for Processor {
    fn from(cpu: Cpu) -> Self {
        let info = Arc::new(cpu.info());
        Processor::Cpu(cpu, info)
    }
}

impl EvaluatePart for Processor {
    async fn evaluate(
        &self,
        part: &Batch<'_>,
        job: &Job,
        first: u64,
        mut outputs: Views<'_>,
        mut rows: Option<&mut [f64]>,
    ) -> Result<PartResult> {
        let len = part.len() as u64;
        let unit = plan::unit(job.sums, part.classes());
        let step = if outputs.any_narrow() { NARROW_STEP.next_multiple_of(unit) } else { len };
        let (mut scratch, mut result) = (Default::default(), PartResult::default());
        for range in plan::windows(len, step) {
            let step = part.part(range.start as usize..range.end as usize);
            let slices = Slices {
                rows: split_off(&mut rows, step.len() / part.classes()),
                classes: part.classes(),
                ..outputs.slices(&mut scratch, step.len())
            };
            self.step(&step, job, first + range.start, slices, &mut result).await?;
            outputs.advance(&scratch, step.len());
            if job.stop_at_invalid && result.partials.first_invalid.is_some() {
                break;
            }
        }
        Ok(result)
    }

    fn info(&self) -> &Arc<DeviceInfo> {
        match self {
            Processor::Cpu(_, info) => info,
            #[cfg(feature = "gpu")]
            Processor::Gpu(gpu) => &gpu.info,
        }
    }

    fn cpu(&self) -> Option<&Cpu> {
        match self {
            Processor::Cpu(cpu, _) => Some(cpu),
            #[cfg(feature = "gpu")]
            Processor::Gpu(_) => None,
        }
    }
}

impl Processor {
    /// Evaluates a part whose outputs are all f32, and adds to `result`.
    async fn step(
        &self,
        part: &Batch<'_>,
        job: &Job,
        first: u64,
        outputs: Slices<'_>,
        result: &mut PartResult,
    ) -> Result<()> {
        let (partials, chunks) = match self {
            Processor::Cpu(cpu, _) => {
                let started = Instant::now();
                let partials = cpu.evaluate(part, job, first, outputs);
                result.phases.kernel += started.elapsed();
                (partials, 1)
            }
            #[cfg(feature = "gpu")]
            Processor::Gpu(gpu) => gpu.evaluate(part, job, first, outputs, &mut result.phases).await?,
        };
        result.partials.merge(&partials);
        result.chunks += chunks;
        Ok(())
    }
}
