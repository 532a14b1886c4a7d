//! The accumulator, which evaluates a batch in parts.

use std::{mem, sync::Arc};

use web_time::Instant;

use super::{
    backend::Backend,
    label_check::Labels,
    part::{EvaluatePart, PartResult},
    wait::block_on,
};
use crate::{
    Batch, Compat, Error, Evaluation, Misfit, Objective, Outputs, Reduction, Result, Run, Totals, Value,
    job::{Job, Sums},
    outputs::{Made, Views},
    partials::Piece,
    plan,
};

/// The evaluation of a batch in parts, which are pushed in order. On one device, the results have the same bits as
/// those of one call on the whole batch. With several devices, each device evaluates its share of every part. An engine
/// that chooses the device for each batch does so when the accumulator is created: by the length given, or as for a
/// large batch without one, and as if outputs were requested.
///
/// ```
/// use logloss::{BLOCK, Batch, Engine, Objective, Outputs};
///
/// let (logits, targets) = (vec![0.5f32; 2 * BLOCK], vec![1u8; 2 * BLOCK]);
/// let engine = Engine::cpu();
/// let mut accumulator = engine.accumulator(&Objective::mean(), Some(2 * BLOCK as u64));
/// let mut gradient = vec![0.0f32; BLOCK];
/// for (logits, targets) in logits.chunks(BLOCK).zip(targets.chunks(BLOCK)) {
///     accumulator.push(&Batch::logits(logits, targets)?, Outputs::none().with_gradient(&mut gradient))?;
/// }
/// assert_eq!(accumulator.finish()?.count, 2 * BLOCK as u64);
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Debug)]
pub struct Accumulator<'e> {
    backend: &'e Backend,
    objective: Objective,
    /// The number of values of the whole batch, if it is known.
    len: Option<u64>,
    /// The divisors of the mean, if they are known.
    totals: Option<Totals>,
    /// Whether the totals were counted, instead of taken from the length.
    exact_totals: bool,
    /// The index in the whole batch of the first value, if the batch is a part of one that says so.
    first: Option<u64>,
    /// The number of values pushed.
    pushed: u64,
    /// The merged result of the parts pushed.
    result: PartResult,
    /// The means of the rows that were not taken yet, if the reduction is per row.
    rows: Vec<f64>,
    labels: Labels,
    /// The number of bytes read and written.
    bytes: u64,
    started: Instant,
}

impl<'e> Accumulator<'e> {
    /// An accumulator on this backend for a batch of `len` values whose mean divides by `totals`, each if it is known.
    pub(super) fn new(backend: &'e Backend, objective: &Objective, len: Option<u64>, totals: Option<Totals>) -> Self {
        Self {
            backend,
            objective: objective.clone(),
            len,
            totals,
            exact_totals: false,
            first: None,
            pushed: 0,
            result: PartResult::default(),
            rows: Vec::new(),
            labels: Labels::default(),
            bytes: 0,
            started: Instant::now(),
        }
    }

    /// An accumulator on this backend whose mean divides by counted totals.
    pub(super) fn with_totals(backend: &'e Backend, objective: &Objective, totals: Totals) -> Self {
        Self { exact_totals: true, ..Self::new(backend, objective, None, Some(totals)) }
    }

    /// Evaluates the next part. `outputs` are those of this part, in the caller's memory. Its number of values must be a
    /// multiple of [`BLOCK`](crate::BLOCK) unless it is the last part; with sums per class or row, its number of rows must
    /// be one.
    ///
    /// If the first part says where it begins ([`Batch::with_first_row`], which may be 0), the accumulated batch begins
    /// there, and parts end anywhere: the values of a block that a part has not all of are evaluated twice. Later parts
    /// follow it; where one says where it begins, it must be there.
    ///
    /// # Errors
    /// [`Error::NewInAccumulator`] for an output in a new vector ([`Sink::New`](crate::Sink::New)), [`Error::Misfit`] if
    /// an earlier part ended inside a block and did not say where it begins, or another device evaluated its end (one of
    /// several), [`Error::UnknownTotal`] if the gradient or hessian of a mean is requested and its divisor is not known;
    /// otherwise as [`Engine::evaluate_async`](crate::Engine::evaluate_async), with the index of an invalid value counted
    /// from the start of the whole batch. After an error the accumulator cannot be used further.
    pub async fn push_async(&mut self, part: &Batch<'_>, outputs: Outputs<'_>) -> Result<()> {
        if outputs.want_new() {
            return Err(Error::NewInAccumulator);
        }
        self.push_views(part, outputs.open(&mut Made::default(), part.len())?).await
    }

    /// [`Accumulator::push_async`], blocking.
    ///
    /// # Errors
    /// As [`Accumulator::push_async`].
    pub fn push(&mut self, part: &Batch<'_>, outputs: Outputs<'_>) -> Result<()> {
        block_on(self.push_async(part, outputs))
    }

    pub(super) async fn push_views(&mut self, part: &Batch<'_>, outputs: Views<'_>) -> Result<()> {
        let len = part.len() as u64;
        let objective = &self.objective;
        objective.check(part.classes(), &part.targets())?;
        if part.is_empty() {
            return Ok(());
        }
        let place = part.first_index()?;
        if self.pushed == 0 {
            self.first = place;
        }
        let first = self.first.unwrap_or_default() + self.pushed;
        if first.checked_add(len).is_none() {
            return Err(Misfit::Count.into());
        }
        if let Some(index) = place.filter(|&index| index != first || self.first.is_none()) {
            return Err(Misfit::Order { index, expected: first }.into());
        }
        self.labels.add(part, objective, first);
        let mask = part.mask().is_some();
        let weights = part.weights().is_some();
        let known = self.exact_totals || !objective.needs_totals(mask) || self.len == Some(len);
        let coefficient = match &self.totals {
            Some(totals) if known => objective.coefficient(totals),
            _ if outputs.derivatives()
                && !objective.has_derivatives_of_sum()
                && matches!(objective.reduction(), Reduction::Mean | Reduction::WeightedMean) =>
            {
                return Err(Error::UnknownTotal { needs_totals: objective.needs_totals(mask) });
            }
            _ => objective.scale(),
        };
        let job = Job::new(objective, part.kind(), weights, mask, coefficient);
        let unit = plan::unit(job.sums, part.classes());
        let job = Job { keeps_ends: self.first.is_some(), ..job };
        if !job.keeps_ends && !first.is_multiple_of(unit) {
            return Err(Misfit::NotKept { index: first }.into());
        }
        self.bytes += part.bytes() + outputs.width() * len;
        let rows = (job.sums == Sums::PerRow).then(|| {
            let before = self.rows.len();
            self.rows.resize(before + part.len() / part.classes(), 0.0);
            &mut self.rows[before..]
        });
        let any_number = objective.compat().is_some_and(Compat::binarizes);
        let result = self.backend.evaluate(part, &job, first, outputs, rows).await?;
        if let (true, Some(index)) = (job.stop_at_invalid, result.partials.first_invalid)
            && let Some((array, value)) = part.invalid_input((index - first) as usize, any_number)
        {
            return Err(Error::InvalidValue { array, index, value });
        }
        if job.keeps_ends {
            self.result.merge(&result)?;
        } else {
            self.result.add(&result);
        }
        self.pushed += len;
        Ok(())
    }

    /// The number of values pushed.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Takes the means of the rows pushed since the last call, in nats, for [`Reduction::PerRow`]; otherwise empty.
    /// Means that are not taken are part of the value that [`finish`](Self::finish) returns.
    pub fn take_rows(&mut self) -> Vec<f64> {
        mem::take(&mut self.rows)
    }

    /// Ends the evaluation and returns its result.
    ///
    /// # Errors
    /// [`Error::AccumulatedLength`] if the number of values pushed differs from the length given at creation,
    /// [`Error::Unsupported`] for what the system in [`Compat`] does not support.
    pub fn finish(self) -> Result<Evaluation> {
        if let Some(expected) = self.len
            && expected != self.pushed
        {
            return Err(Error::AccumulatedLength { expected, actual: self.pushed });
        }
        if let Some(unsupported) = self.labels.unsupported(&self.objective, &self.result.partials) {
            return Err(unsupported.into());
        }
        let PartResult { mut partials, mut phases, chunks } = self.result;
        if self.first.is_none() {
            partials.pieces = Piece::new(0..self.pushed).into();
        }
        self.objective.metrics().add_empty(&mut partials);
        phases.elapsed = self.started.elapsed();
        Ok(Evaluation {
            value: Value::new(&self.objective, &partials, self.rows),
            sum: partials.sum.value(),
            mean: self.objective.mean_of(&partials),
            count: partials.count,
            loss: None,
            gradient: None,
            hessian: None,
            partials,
            run: Run { device: Arc::clone(self.backend.info()), phases, chunks, bytes: self.bytes },
        })
    }
}
