//! Several devices that evaluate a batch together, each its share, at the same time.

use std::sync::Arc;
#[cfg(not(target_family = "wasm"))]
use std::{panic, thread};

#[cfg(not(target_family = "wasm"))]
use super::wait::block_on;
use super::{
    cost::{Cost, Costs},
    part::{EvaluatePart, PartResult},
};
use crate::{
    Batch, DeviceInfo, DeviceKind, Error, Result,
    cpu::Cpu,
    job::Job,
    outputs::{Views, split_off},
    plan,
};

/// Several devices, and the costs of each, by which batches are divided.
#[derive(Debug)]
pub(crate) struct Multi<D> {
    parts: Vec<(D, Costs)>,
    /// Whether the costs were measured. Otherwise they represent shares.
    measured: bool,
    /// The description of all devices together: each value that they have in common once, other values joined.
    info: Arc<DeviceInfo>,
}

impl<D: EvaluatePart> Multi<D> {
    /// These devices with their costs, which were measured or represent shares.
    ///
    /// # Errors
    /// [`Error::Parameter`] if no device has a share.
    pub(super) fn new(parts: Vec<(D, Costs)>, measured: bool) -> Result<Self> {
        if !parts.iter().any(|(_, costs)| costs.gradient.per_value.is_finite()) {
            return Err(Error::Parameter { name: "number of engines with a share", value: 0.0, must: "at least 1" });
        }
        let info = Arc::new(joined(&parts.iter().map(|(device, _)| &**device.info()).collect::<Vec<_>>()));
        Ok(Self { parts, measured, info })
    }

    /// Whether the costs were measured.
    pub(super) fn is_measured(&self) -> bool {
        self.measured
    }

    /// The devices and their costs.
    pub(super) fn parts(&self) -> &[(D, Costs)] {
        &self.parts
    }

    /// The devices and their costs, mutable.
    pub(super) fn parts_mut(&mut self) -> &mut [(D, Costs)] {
        &mut self.parts
    }
}

impl<D: EvaluatePart> EvaluatePart for Multi<D> {
    async fn evaluate(
        &self,
        part: &Batch<'_>,
        job: &Job,
        first: u64,
        mut outputs: Views<'_>,
        mut rows: Option<&mut [f64]>,
    ) -> Result<PartResult> {
        // Batches are always divided by the costs with a gradient, because the bits of sums must not depend on which
        // outputs are requested.
        let costs: Vec<_> = self.parts.iter().map(|(_, costs)| costs.gradient).collect();
        let unit = plan::unit(job.sums, part.classes()) as usize;
        // A part that begins inside a block is cut where the whole has blocks: as if the block's other values came first.
        let mut before = (first % unit as u64) as usize;
        let mut at = 0;
        let mut pieces = Vec::new();
        let mut bits: Vec<_> = self.parts.iter().map(|_| Default::default()).collect();
        let lens = cut(&costs, part.len() + before, unit);
        for (((device, _), mut len), bits) in self.parts.iter().zip(lens).zip(&mut bits) {
            if len == 0 {
                continue;
            }
            len -= std::mem::take(&mut before);
            let (part, outputs) = (part.part_from(at..at + len, bits), outputs.split_off(len));
            let (rows, first) = (split_off(&mut rows, len / part.classes()), first + at as u64);
            at += len;
            pieces.push(Piece { device, part, first, outputs, rows });
        }
        evaluate_all(pieces, job).await
    }

    fn info(&self) -> &Arc<DeviceInfo> {
        &self.info
    }

    /// The first CPU among the devices.
    fn cpu(&self) -> Option<&Cpu> {
        self.parts.iter().find_map(|(device, _)| device.cpu())
    }
}

/// The description of several devices together.
fn joined(infos: &[&DeviceInfo]) -> DeviceInfo {
    let join = |name: fn(&DeviceInfo) -> &str| {
        let mut names: Vec<_> = infos.iter().map(|info| name(info)).collect();
        names.dedup();
        names.join(" + ")
    };
    let kind = infos[0].kind;
    DeviceInfo {
        name: infos.iter().map(|info| info.name.as_str()).collect::<Vec<_>>().join(" + "),
        backend: join(|info| &info.backend),
        kind: if infos.iter().all(|info| info.kind == kind) { kind } else { DeviceKind::Several },
        driver: join(|info| &info.driver),
    }
}

/// The piece of a part that one of the devices evaluates.
struct Piece<'a, D> {
    device: &'a D,
    part: Batch<'a>,
    first: u64,
    outputs: Views<'a>,
    rows: Option<&'a mut [f64]>,
}

impl<D: EvaluatePart> Piece<'_, D> {
    async fn evaluate(self, job: &Job) -> Result<PartResult> {
        let Self { device, part, first, outputs, rows } = self;
        Box::pin(device.evaluate(&part, job, first, outputs, rows)).await.map_err(|error| match error {
            Error::Device(message) => Error::Device(format!("{}: {message}", device.info().name)),
            error => error,
        })
    }
}

/// Evaluates all pieces at the same time: the last one on this thread, the others each on a new thread. Waits for all
/// of them, even if one has failed.
#[cfg(not(target_family = "wasm"))]
async fn evaluate_all<D: EvaluatePart>(mut pieces: Vec<Piece<'_, D>>, job: &Job) -> Result<PartResult> {
    let mut result = PartResult::default();
    let last = pieces.pop();
    thread::scope(|scope| {
        let spawn = |piece| {
            let evaluate = move || block_on(Piece::evaluate(piece, job));
            thread::Builder::new().name("logloss part".into()).spawn_scoped(scope, evaluate)
        };
        let others: Vec<_> = pieces.into_iter().map(spawn).collect();
        let last = last.map(|piece| block_on(piece.evaluate(job)));
        for other in others {
            let other = other.map_err(|error| Error::Threads(error.to_string()))?;
            result.merge(&other.join().unwrap_or_else(|payload| panic::resume_unwind(payload))?)?;
        }
        if let Some(last) = last {
            result.merge(&last?)?;
        }
        Ok(result)
    })
}

/// Evaluates one piece after another, because in a browser no thread may block, and devices belong to the thread that
/// created them.
#[cfg(target_family = "wasm")]
async fn evaluate_all<D: EvaluatePart>(pieces: Vec<Piece<'_, D>>, job: &Job) -> Result<PartResult> {
    let mut result = PartResult::default();
    for piece in pieces {
        result.merge(&piece.evaluate(job).await?)?;
    }
    Ok(result)
}

/// The number of values, of `len`, for each device, such that all devices end at the same time. The numbers are
/// multiples of `unit`, except for the last device that gets values.
fn cut(costs: &[Cost], len: usize, unit: usize) -> Vec<usize> {
    // The end time, if all devices that start before it share the values.
    let (mut speed, mut missed, mut end) = (0.0, 0.0, f64::INFINITY);
    let mut by_start = costs.to_vec();
    by_start.sort_by(|a, b| a.fixed.total_cmp(&b.fixed));
    for cost in by_start.iter().filter(|cost| cost.per_value.is_finite()) {
        if cost.fixed >= end {
            break;
        }
        speed += 1.0 / cost.per_value;
        missed += cost.fixed / cost.per_value;
        end = (len as f64 + missed) / speed;
    }
    let shares: Vec<_> = costs.iter().map(|cost| (end - cost.fixed).max(0.0) / cost.per_value).collect();
    let last = shares.iter().rposition(|share| *share > 0.0);
    let (mut exact, mut done) = (0.0, 0);
    let until = |i, exact: f64| {
        if Some(i) >= last { len } else { ((exact / unit as f64).round() as usize).saturating_mul(unit).min(len) }
    };
    let mut lens = Vec::with_capacity(costs.len());
    for (i, share) in shares.into_iter().enumerate() {
        exact += share;
        let to = until(i, exact);
        lens.push(to - done);
        done = to;
    }
    lens
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::BLOCK;

    fn shares(shares: &[f64]) -> Vec<Cost> {
        shares.iter().map(|share| Cost::of_share(*share)).collect()
    }

    #[test]
    fn in_proportion() {
        assert_eq!(cut(&shares(&[1.0, 3.0]), 8 * BLOCK, BLOCK), [2 * BLOCK, 6 * BLOCK]);
        assert_eq!(cut(&shares(&[1.0, 3.0]), 8 * BLOCK + 5, 4 * BLOCK), [4 * BLOCK, 4 * BLOCK + 5]);
        assert_eq!(cut(&shares(&[0.0, 2.0, 0.0]), 3 * BLOCK + 1, BLOCK), [0, 3 * BLOCK + 1, 0]);
        assert_eq!(cut(&shares(&[1.0, 1.0]), 0, BLOCK), [0, 0]);
        assert_eq!(cut(&shares(&[1.0, 1.0, 1.0]), 1, BLOCK).iter().sum::<usize>(), 1);
    }

    /// A device with a fixed cost of one second gets no values of a batch that another device evaluates in less.
    #[test]
    fn late_devices() {
        let quick = Cost { fixed: 0.0, per_value: 1e-6 };
        let late = Cost { fixed: 1.0, per_value: 1e-7 };
        assert_eq!(cut(&[late, quick], 400 * BLOCK, BLOCK), [0, 400 * BLOCK]);
        // In 2 seconds the devices evaluate 10,000,000 and 2,000,000 values.
        let lens = cut(&[late, quick], 12_000_000, 1);
        assert!(lens[0].abs_diff(10_000_000) <= 1 && lens[0] + lens[1] == 12_000_000, "{lens:?}");
    }

    proptest! {
        #[test]
        fn covers_once_in_whole_units(
            costs in prop::collection::vec((0.0f64..1e-2, prop_oneof![1e-13f64..1e-6, Just(f64::INFINITY)]), 1..6),
            len in 0usize..1 << 30,
            unit in (1usize..40).prop_map(|unit| unit * BLOCK),
        ) {
            let costs: Vec<_> = costs.into_iter().map(|(fixed, per_value)| Cost { fixed, per_value }).collect();
            prop_assume!(costs.iter().any(|cost| cost.per_value.is_finite()));
            let lens = cut(&costs, len, unit);
            prop_assert_eq!(lens.len(), costs.len());
            prop_assert_eq!(lens.iter().sum::<usize>(), len);
            let mut at = 0;
            for (len, cost) in lens.iter().zip(&costs) {
                prop_assert!(*len == 0 || at % unit == 0 && cost.per_value.is_finite());
                at += len;
            }
        }
    }
}
