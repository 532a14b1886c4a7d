//! What evaluates a part of a batch that lies in host memory: one device, or several.

use std::sync::Arc;

use web_time::Instant;

use crate::{
    Batch, Costs, DeviceInfo, Engine, Partials, Phases, Result,
    auto::Auto,
    cpu::Cpu,
    gpu::Gpu,
    job::Job,
    multi::Multi,
    outputs::{Slices, Views, split_off},
    plan,
};

/// What an engine runs on.
#[derive(Debug)]
pub(crate) enum Backend {
    One(Processor),
    /// Several at the same time.
    Multi(Multi),
    /// One of two, for each batch.
    Auto(Box<Auto>),
}

/// One device.
#[derive(Debug)]
pub(crate) enum Processor {
    Cpu(Cpu),
    Gpu(Arc<Gpu>),
}

/// What came of a part.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub partials: Partials,
    pub phases: Phases,
    pub chunks: u64,
}

/// Values computed at a time where an output is narrower than f32: 8 MiB of each, to be narrowed from the cache.
const NARROW_STEP: u64 = 1 << 21;

impl Backend {
    /// The device, or the devices.
    pub fn info(&self) -> Arc<DeviceInfo> {
        match self {
            Backend::One(Processor::Cpu(cpu)) => Arc::new(cpu.info()),
            Backend::One(Processor::Gpu(gpu)) => Arc::clone(&gpu.info),
            Backend::Multi(multi) => Arc::new(multi.info()),
            // Where resident batches are.
            Backend::Auto(auto) => Arc::new(auto.gpu.0.device()),
        }
    }

    /// The CPU that is in it.
    pub fn cpu(&self) -> Option<&Cpu> {
        match self {
            Backend::One(Processor::Cpu(cpu)) => Some(cpu),
            Backend::One(Processor::Gpu(_)) => None,
            Backend::Multi(multi) => multi.cpu(),
            Backend::Auto(auto) => auto.cpu.0.backend.cpu(),
        }
    }

    /// The GPU that resident batches are on.
    pub fn gpu(&self) -> Option<&Arc<Gpu>> {
        match self {
            Backend::One(Processor::Cpu(_)) | Backend::Multi(_) => None,
            Backend::One(Processor::Gpu(gpu)) => Some(gpu),
            Backend::Auto(auto) => auto.gpu.0.backend.gpu(),
        }
    }

    /// The engines in it whose cost was measured.
    pub fn measured(&self) -> Vec<&(Engine, Costs)> {
        match self {
            Backend::Multi(multi) if multi.measured => multi.parts.iter().collect(),
            Backend::Auto(auto) => vec![&auto.gpu, &auto.cpu],
            _ => Vec::new(),
        }
    }

    /// As [`Backend::measured`], to be measured again.
    pub fn measured_mut(&mut self) -> Vec<&mut (Engine, Costs)> {
        match self {
            Backend::Multi(multi) if multi.measured => multi.parts.iter_mut().collect(),
            Backend::Auto(auto) => vec![&mut auto.gpu, &mut auto.cpu],
            _ => Vec::new(),
        }
    }

    /// Evaluates a part whose first value has index `first` in the whole. `rows` has a place for the mean of each of
    /// its rows where those are wanted.
    ///
    /// An invalid value may end it early: the partials then name it, and are of no other use.
    pub async fn evaluate(
        &self,
        part: &Batch<'_>,
        job: &Job,
        first: u64,
        outputs: Views<'_>,
        rows: Option<&mut [f64]>,
    ) -> Result<Done> {
        match self {
            Backend::One(processor) => processor.evaluate(part, job, first, outputs, rows).await,
            Backend::Multi(multi) => multi.evaluate(part, job, first, outputs, rows).await,
            // Its share of what several evaluate: a stream of its own took one of the two when it was opened.
            Backend::Auto(auto) => {
                let engine = auto.cheaper(part.len() as u64, true);
                Box::pin(engine.backend.evaluate(part, job, first, outputs, rows)).await
            }
        }
    }
}

impl Processor {
    /// As [`Backend::evaluate`].
    async fn evaluate(
        &self,
        part: &Batch<'_>,
        job: &Job,
        first: u64,
        mut outputs: Views<'_>,
        mut rows: Option<&mut [f64]>,
    ) -> Result<Done> {
        // Outputs narrower than f32 are computed a step at a time, and narrowed from there.
        let len = part.len() as u64;
        let step =
            if outputs.any_narrow() { NARROW_STEP.next_multiple_of(plan::unit(job.sums, part.classes())) } else { len };
        let (mut scratch, mut done) = (Default::default(), Done::default());
        for range in plan::windows(len, step) {
            let step = part.part(range.start as usize..range.end as usize);
            let slices = Slices {
                rows: split_off(&mut rows, step.len() / part.classes()),
                classes: part.classes(),
                ..outputs.slices(&mut scratch, step.len())
            };
            self.step(&step, job, first + range.start, slices, &mut done).await?;
            outputs.advance(&scratch, step.len());
            if job.stop_at_invalid && done.partials.first_invalid.is_some() {
                break;
            }
        }
        Ok(done)
    }

    async fn step(&self, part: &Batch<'_>, job: &Job, first: u64, outputs: Slices<'_>, done: &mut Done) -> Result<()> {
        let (partials, chunks) = match self {
            Processor::Cpu(cpu) => {
                let started = Instant::now();
                let partials = cpu.evaluate(part, job, first, outputs);
                done.phases.kernel += started.elapsed();
                (partials, 1)
            }
            Processor::Gpu(gpu) => gpu.evaluate(part, job, first, outputs, &mut done.phases).await?,
        };
        done.partials.merge(&partials);
        done.chunks += chunks;
        Ok(())
    }
}

impl Done {
    /// Adds what came of another part.
    pub fn merge(&mut self, other: &Self) {
        self.partials.merge(&other.partials);
        self.phases.add(&other.phases);
        self.chunks += other.chunks;
    }
}
