//! The trait that every backend implements: the evaluation of one part of a batch in host memory.

use std::sync::Arc;

use crate::{Batch, DeviceInfo, Partials, Phases, Result, cpu::Cpu, job::Job, outputs::Views};

/// One or several devices that evaluate parts of batches in host memory.
pub(crate) trait EvaluatePart: MaybeSync {
    /// Evaluates a part whose first value has index `first` in the whole batch. `rows` has one value for the mean of
    /// each row of the part, if these are requested.
    ///
    /// An invalid value may end the evaluation early. The partials then contain its index, and the sums are
    /// unspecified. If the job keeps the ends of parts, the part begins anywhere, and its partials have its place;
    /// otherwise it begins with a block, and they have none.
    fn evaluate(
        &self,
        part: &Batch<'_>,
        job: &Job,
        first: u64,
        outputs: Views<'_>,
        rows: Option<&mut [f64]>,
    ) -> impl Future<Output = Result<PartResult>>;

    /// The device for a batch of `len` values, with or without per-element outputs: `self`, or one of the devices that
    /// it chooses from. If `len` is not known, the batch counts as large.
    fn pick(&self, len: Option<u64>, outputs: bool) -> &Self {
        let _ = (len, outputs);
        self
    }

    /// The description of the device.
    fn info(&self) -> &Arc<DeviceInfo>;

    /// The CPU among the devices, if there is one.
    fn cpu(&self) -> Option<&Cpu>;
}

/// The result of the evaluation of a part.
#[derive(Debug, Default)]
pub(crate) struct PartResult {
    /// The sums.
    pub partials: Partials,
    /// The time that each phase took.
    pub phases: Phases,
    /// The number of chunks that the part was cut into.
    pub chunks: u64,
}

impl PartResult {
    /// Adds the result of another piece of the same part, which has no place.
    pub(super) fn add(&mut self, other: &Self) {
        self.partials.add(&other.partials);
        self.phases.add(&other.phases);
        self.chunks += other.chunks;
    }

    /// Adds the result of another part.
    ///
    /// # Errors
    /// [`Error::Misfit`](crate::Error::Misfit) if it does not follow, or was evaluated on another device than a block
    /// that it completes.
    pub(super) fn merge(&mut self, other: &Self) -> Result<()> {
        self.partials.merge(&other.partials)?;
        self.phases.add(&other.phases);
        self.chunks += other.chunks;
        Ok(())
    }
}

/// `Sync`, except in a browser: there a GPU belongs to one thread, and parts are evaluated by that thread only.
#[cfg(not(target_family = "wasm"))]
pub(crate) trait MaybeSync: Sync {}
#[cfg(not(target_family = "wasm"))]
impl<T: Sync> MaybeSync for T {}
#[cfg(target_family = "wasm")]
pub(crate) trait MaybeSync {}
#[cfg(target_family = "wasm")]
impl<T> MaybeSync for T {}
