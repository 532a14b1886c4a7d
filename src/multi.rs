//! Several engines as one: each takes its share of a batch, all at the same time.

#[cfg(not(target_family = "wasm"))]
use std::{panic, thread};

#[cfg(not(target_family = "wasm"))]
use crate::engine::block_on;
use crate::{
    Batch, Cost, Costs, DeviceInfo, DeviceKind, Engine, Error, Result,
    backend::{Backend, Done},
    cpu::Cpu,
    job::Job,
    outputs::{Views, split_off},
    plan,
};

/// Engines, and what a batch costs on each: by this it is cut.
#[derive(Debug)]
pub(crate) struct Multi {
    pub parts: Vec<(Engine, Costs)>,
    /// Whether the costs were measured, and do not stand for shares.
    pub measured: bool,
}

impl Engine {
    /// An engine of several, the CPU may be one of them: a batch in host memory is cut in proportion to their speed,
    /// and evaluated on all at the same time. The speed of each is [measured](Engine::measure) here, one by one, and
    /// kept until [`Engine::calibrate`]. What takes a device long to begin counts too: a small batch may go to some of
    /// them, or to one. In a browser they take turns, which saves no time.
    ///
    /// # Determinism
    /// The same batch gives the same bits on the same engine, run to run. But devices differ in bits, and where a
    /// batch is cut is measured: another engine, though of the same devices, may give other ones, within the
    /// [contract](crate::contract). So may a stream, each of whose parts is cut on its own. Name the shares to have
    /// the same bits always: [`Engine::multi_with_shares`].
    ///
    /// # Errors
    /// [`Error::Parameter`] if there is no engine, [`Error::Device`] if one fails.
    pub async fn multi_async(engines: impl IntoIterator<Item = Engine>) -> Result<Self> {
        let mut parts = Vec::new();
        for engine in engines {
            let costs = engine.measure_async().await?;
            parts.push((engine, costs));
        }
        Self::of_parts(parts, true)
    }

    /// [`Engine::multi_async`], blocking.
    ///
    /// # Errors
    /// As [`Engine::multi_async`].
    pub fn multi(engines: impl IntoIterator<Item = Engine>) -> Result<Self> {
        pollster::block_on(Self::multi_async(engines))
    }

    /// An engine of several, each of which takes a fixed share of every batch: shares of 1 and 3 are a quarter and
    /// three quarters. Cuts are made at whole [blocks](crate::BLOCK) (of whole rows, where sums are taken by class or
    /// row), the nearest ones, in the order of the engines.
    ///
    /// # Determinism
    /// The bits are a function of the values, the devices and the shares: those of each piece on its device, merged.
    ///
    /// # Errors
    /// [`Error::Parameter`] if a share is negative, NaN or infinite, or none is above 0.
    pub fn multi_with_shares(engines: impl IntoIterator<Item = (Engine, f64)>) -> Result<Self> {
        let parts = engines.into_iter().map(|(engine, share)| match share {
            0.0..f64::INFINITY => Ok((engine, Costs::of_share(share))),
            _ => Err(Error::Parameter { name: "share", value: share, must: "finite and at least 0" }),
        });
        Self::of_parts(parts.collect::<Result<_>>()?, false)
    }

    fn of_parts(parts: Vec<(Engine, Costs)>, measured: bool) -> Result<Self> {
        if !parts.iter().any(|(_, costs)| costs.gradient.per_value.is_finite()) {
            return Err(Error::Parameter { name: "number of engines with a share", value: 0.0, must: "at least 1" });
        }
        Ok(Self::on_backend(Backend::Multi(Multi { parts, measured })))
    }
}

impl Multi {
    /// All devices in one: what they have in common once, what they do not, joined.
    pub fn info(&self) -> DeviceInfo {
        let infos: Vec<_> = self.parts.iter().map(|(engine, _)| engine.device()).collect();
        let join = |name: fn(&DeviceInfo) -> &str| {
            let mut names: Vec<_> = infos.iter().map(name).collect();
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

    /// The first CPU among them.
    pub fn cpu(&self) -> Option<&Cpu> {
        self.parts.iter().find_map(|(engine, _)| engine.backend.cpu())
    }

    /// As [`Backend::evaluate`].
    pub async fn evaluate(
        &self,
        part: &Batch<'_>,
        job: &Job,
        first: u64,
        mut outputs: Views<'_>,
        mut rows: Option<&mut [f64]>,
    ) -> Result<Done> {
        // Those with a gradient, whatever is wanted: outputs change nothing in a sum.
        let costs: Vec<_> = self.parts.iter().map(|(_, costs)| costs.gradient).collect();
        let mut at = 0;
        let mut pieces = Vec::new();
        for ((engine, _), len) in
            self.parts.iter().zip(cut(&costs, part.len(), plan::unit(job.sums, part.classes()) as usize))
        {
            let (part, outputs) = (part.part(at..at + len), outputs.split_off(len));
            let (rows, first) = (split_off(&mut rows, len / part.classes()), first + at as u64);
            at += len;
            if len > 0 {
                pieces.push(Piece { engine, part, first, outputs, rows });
            }
        }
        evaluate_all(pieces, job).await
    }
}

/// What one of the devices takes of a part.
struct Piece<'a> {
    engine: &'a Engine,
    part: Batch<'a>,
    first: u64,
    outputs: Views<'a>,
    rows: Option<&'a mut [f64]>,
}

impl Piece<'_> {
    async fn evaluate(self, job: &Job) -> Result<Done> {
        let Self { engine, part, first, outputs, rows } = self;
        Box::pin(engine.backend.evaluate(&part, job, first, outputs, rows)).await.map_err(|error| match error {
            Error::Device(message) => Error::Device(format!("{}: {message}", engine.device().name)),
            error => error,
        })
    }
}

/// All at the same time: the last one here, the others on threads of their own. Waits for all of them, also where one
/// has failed.
#[cfg(not(target_family = "wasm"))]
async fn evaluate_all(mut pieces: Vec<Piece<'_>>, job: &Job) -> Result<Done> {
    let mut done = Done::default();
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
            done.merge(&other.join().unwrap_or_else(|payload| panic::resume_unwind(payload))?);
        }
        if let Some(last) = last {
            done.merge(&last?);
        }
        Ok(done)
    })
}

/// One after another: in a browser nothing waits on a thread, and devices belong to the one they were made on.
#[cfg(target_family = "wasm")]
async fn evaluate_all(pieces: Vec<Piece<'_>>, job: &Job) -> Result<Done> {
    let mut done = Done::default();
    for piece in pieces {
        done.merge(&piece.evaluate(job).await?);
    }
    Ok(done)
}

/// How many of `len` values each device takes, so that all are done at the same time: multiples of `unit`, but for the
/// last of them.
fn cut(costs: &[Cost], len: usize, unit: usize) -> Vec<usize> {
    // When they are done, if those that begin before then share the values.
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

    /// A device that takes a second to begin gets nothing of what another one does in less.
    #[test]
    fn late_devices() {
        let quick = Cost { fixed: 0.0, per_value: 1e-6 };
        let late = Cost { fixed: 1.0, per_value: 1e-7 };
        assert_eq!(cut(&[late, quick], 400 * BLOCK, BLOCK), [0, 400 * BLOCK]);
        // In 2 seconds 2,000,000 values and 10,000,000.
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
