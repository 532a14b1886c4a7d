//! A single device: the CPU or one GPU.

use std::{iter, sync::Arc};

use web_time::Instant;

use super::part::{EvaluatePart, PartResult};
#[cfg(feature = "gpu")]
use crate::gpu::Gpu;
use crate::{
    Batch, DeviceInfo, Result,
    cpu::Cpu,
    job::{Job, Sums},
    outputs::{Slices, Views, split_off},
    partials::{Kept, Piece, Tree, TreeKind},
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
        outputs: Views<'_>,
        rows: Option<&mut [f64]>,
    ) -> Result<PartResult> {
        if job.keeps_ends {
            // Apart, so that the future of what is always done stays small.
            Box::pin(self.with_ends(part, job, first, outputs, rows)).await
        } else {
            self.blocks(part, job, first, outputs, rows).await
        }
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
    /// Evaluates a part that begins with a block.
    async fn blocks(
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

    /// Evaluates a part that begins and ends anywhere: its whole blocks, and the values before and after them, which are
    /// also kept.
    async fn with_ends(
        &self,
        part: &Batch<'_>,
        job: &Job,
        first: u64,
        mut outputs: Views<'_>,
        mut rows: Option<&mut [f64]>,
    ) -> Result<PartResult> {
        let kind = match self {
            Processor::Cpu(..) => TreeKind::Cpu,
            #[cfg(feature = "gpu")]
            Processor::Gpu(_) => TreeKind::Gpu,
        };
        let tree = Tree::new(kind, job.sums, part.classes());
        let len = part.len() as u64;
        let [head, tail] = plan::ends(first, len, tree.unit());
        // Bits that do not start with a byte are copied, a step at a time.
        let copies = part.has_bits() && !head.is_multiple_of(8);
        let step = if copies { NARROW_STEP.next_multiple_of(tree.unit()) } else { len };
        let blocks = plan::windows(len - head - tail, step.max(1)).map(|blocks| head + blocks.start..head + blocks.end);
        let ranges = iter::once(0..head).chain(blocks).chain(iter::once(len - tail..len));
        let (mut result, mut piece) = (PartResult::default(), Piece::new(first..first + len));
        let mut bits = Default::default();
        for range in ranges.filter(|range| !range.is_empty()) {
            let is_end = range.start < head || range.end > len - tail;
            let at = first + range.start;
            let part = part.part_from(range.start as usize..range.end as usize, &mut bits);
            let outputs = outputs.split_off(part.len());
            let rows = split_off(&mut rows, part.len() / part.classes());
            let mut found = self.blocks(&part, job, at, outputs, rows).await?;
            if is_end {
                let kept = self.keep(&part, job, tree, at, &mut found).await?;
                piece.keep(at, kept);
            }
            result.add(&found);
            if job.stop_at_invalid && result.partials.first_invalid.is_some() {
                break;
            }
        }
        result.partials.pieces = piece.into();
        Ok(result)
    }

    /// What the values of a part, which lie in one block, add to the sums, and `result` becomes the sum of that.
    async fn keep(&self, part: &Batch<'_>, job: &Job, tree: Tree, first: u64, result: &mut PartResult) -> Result<Kept> {
        let (mut losses, mut weights) = (vec![0.0; part.len()], job.parameters.as_ref().map(|_| vec![0.0; part.len()]));
        let slices = Slices { loss: Some(&mut losses), classes: part.classes(), ..Slices::default() };
        match self {
            Processor::Cpu(cpu, _) => {
                let job = Job { sums: Sums::All, threshold: None, ..job.clone() };
                cpu.evaluate(part, &job, first, Slices { weights: weights.as_deref_mut(), ..slices });
            }
            #[cfg(feature = "gpu")]
            Processor::Gpu(gpu) => {
                let job = Job { sums: Sums::All, threshold: None, stores_addends: true, ..job.clone() };
                let slices = Slices { gradient: weights.as_deref_mut(), ..slices };
                gpu.evaluate(part, &job, first, slices, &mut result.phases).await?;
            }
        }
        if let Some(index) = result.partials.first_invalid {
            losses[(index - first) as usize] = f32::NAN;
        }
        let kept = Kept { tree, losses, weights };
        result.partials.set_sums(&tree.sums(first, &kept));
        Ok(kept)
    }

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
        result.partials.add(&partials);
        result.chunks += chunks;
        Ok(())
    }
}
