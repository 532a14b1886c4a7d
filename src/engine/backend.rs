//! The backend of an engine: one device, several devices at the same time, or one of two devices for each batch.

use std::sync::Arc;

#[cfg(feature = "gpu")]
use super::auto::Auto;
use super::{
    cost::Costs,
    multi::Multi,
    part::{EvaluatePart, PartResult},
    processor::Processor,
};
#[cfg(feature = "gpu")]
use crate::gpu::Gpu;
use crate::{Batch, DeviceInfo, Result, cpu::Cpu, job::Job, outputs::Views};

/// The device or devices that an engine runs on.
#[derive(Debug)]
pub(crate) enum Backend {
    /// One device.
    One(Processor),
    /// Several devices at the same time.
    Multi(Multi<Backend>),
    /// Two devices, one of which is chosen for each batch.
    #[cfg(feature = "gpu")]
    Auto(Box<Auto<Backend>>),
}

impl From<Cpu> for Backend {
    fn from(cpu: Cpu) -> Self {
        Backend::One(cpu.into())
    }
}

#[cfg(feature = "gpu")]
impl From<Gpu> for Backend {
    fn from(gpu: Gpu) -> Self {
        Backend::One(Processor::Gpu(Arc::new(gpu)))
    }
}

impl Backend {
    /// The GPU that holds resident batches.
    #[cfg(feature = "gpu")]
    pub(super) fn gpu(&self) -> Option<&Arc<Gpu>> {
        match self {
            Backend::One(Processor::Cpu(..)) | Backend::Multi(_) => None,
            Backend::One(Processor::Gpu(gpu)) => Some(gpu),
            Backend::Auto(auto) => auto.gpu.0.gpu(),
        }
    }

    /// The devices whose costs were measured, with these costs.
    pub(super) fn measured(&self) -> Vec<&(Backend, Costs)> {
        match self {
            Backend::Multi(multi) if multi.is_measured() => multi.parts().iter().collect(),
            #[cfg(feature = "gpu")]
            Backend::Auto(auto) => vec![&auto.gpu, &auto.cpu],
            _ => Vec::new(),
        }
    }

    /// The devices whose costs were measured, with mutable costs.
    pub(super) fn measured_mut(&mut self) -> Vec<&mut (Backend, Costs)> {
        match self {
            Backend::Multi(multi) if multi.is_measured() => multi.parts_mut().iter_mut().collect(),
            #[cfg(feature = "gpu")]
            Backend::Auto(auto) => vec![&mut auto.gpu, &mut auto.cpu],
            _ => Vec::new(),
        }
    }
}

impl EvaluatePart for Backend {
    async fn evaluate(
        &self,
        part: &Batch<'_>,
        job: &Job,
        first: u64,
        outputs: Views<'_>,
        rows: Option<&mut [f64]>,
    ) -> Result<PartResult> {
        match self {
            Backend::One(processor) => processor.evaluate(part, job, first, outputs, rows).await,
            Backend::Multi(multi) => multi.evaluate(part, job, first, outputs, rows).await,
            // This part is a share of a batch that several devices evaluate. For a whole batch, `pick` has chosen one
            // of the two devices before.
            #[cfg(feature = "gpu")]
            Backend::Auto(auto) => {
                Box::pin(auto.cheaper(part.len() as u64, true).evaluate(part, job, first, outputs, rows)).await
            }
        }
    }

    #[cfg(feature = "gpu")]
    fn pick(&self, len: Option<u64>, outputs: bool) -> &Self {
        match self {
            Backend::Auto(auto) => auto.cheaper(len.unwrap_or(u64::MAX), outputs),
            _ => self,
        }
    }

    /// The description of the device. For a choice between two devices, it is the GPU, which holds resident batches.
    fn info(&self) -> &Arc<DeviceInfo> {
        match self {
            Backend::One(processor) => processor.info(),
            Backend::Multi(multi) => multi.info(),
            #[cfg(feature = "gpu")]
            Backend::Auto(auto) => auto.gpu.0.info(),
        }
    }

    fn cpu(&self) -> Option<&Cpu> {
        match self {
            Backend::One(processor) => processor.cpu(),
            Backend::Multi(multi) => multi.cpu(),
            #[cfg(feature = "gpu")]
            Backend::Auto(auto) => auto.cpu.0.cpu(),
        }
    }
}
