//! The evaluation of one part of a batch in host memory: what every backend does.

use std::sync::Arc;

use crate::{Batch, DeviceInfo, Partials, Phases, Result, cpu::Cpu, job::Job, outputs::Views};

/// A device, or several, that evaluate parts of batches in host memory.
pub(crate) trait EvaluatePart: MaybeSync {
    /// Evaluates a part whose first value has index `first` in the whole batch. `rows` has a place for the mean of each of
    /// its rows, where those are wanted.
    ///
    /// An invalid value may end the evaluation early: the partials then name it, and are of no other use.
    fn evaluate(
        &self,
        part: &Batch<'_>,
        job: &Job,
        first: u64,
        outputs: Views<'_>,
        rows: Option<&mut [f64]>,
    ) -> impl Future<Output = Result<PartResult>>;

    /// What to take for a batch of `len` values (a large one, if that is not known), with or without per-element outputs:
    /// this, or one of those that it chooses from.
    fn pick(&self, len: Option<u64>, outputs: bool) -> &Self {
        let _ = (len, outputs);
        self
    }

    /// The device.
    fn info(&self) -> &Arc<DeviceInfo>;

    /// The CPU among the devices.
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
    /// Adds the result of another part.
    pub fn merge(&mut self, other: &Self) {
        self.partials.merge(&other.partials);
        self.phases.add(&other.phases);
        self.chunks += other.chunks;
    }
}

/// What several threads may share. In a browser a GPU belongs to one thread, and parts are evaluated by that thread alone.
#[cfg(not(target_family = "wasm"))]
pub(crate) trait MaybeSync: Sync {}
#[cfg(not(target_family = "wasm"))]
impl<T: Sync> MaybeSync for T {}
#[cfg(target_family = "wasm")]
pub(crate) trait MaybeSync {}
#[cfg(target_family = "wasm")]
impl<T> MaybeSync for T {}
