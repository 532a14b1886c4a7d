//! A batch that comes in parts.

use std::{mem, sync::Arc};

use web_time::Instant;

use super::{
    backend::Backend,
    label_check::Labels,
    part::{EvaluatePart, PartResult},
    wait::block_on,
};
use crate::{
    Batch, Compat, Error, Evaluation, Objective, Outputs, Reduction, Result, Run, Totals, Value,
    job::{Job, Sums},
    outputs::{Made, Views},
    plan,
};

/// A batch that comes in parts, in order. On one device the parts have the same bits as one call on the whole; of
/// several, each takes its share of every part. Where a device is chosen for each batch, that is done when the stream
/// is opened, by the length announced (for a large batch, if there is none) and as if outputs were wanted.
#[derive(Debug)]
pub struct Accumulator<'e> {
    backend: &'e Backend,
    objective: Objective,
    len: Option<u64>,
    /// What the mean divides by; none if nobody has said.
    totals: Option<Totals>,
    /// Whether the totals were counted, rather than taken from the length.
    exact_totals: bool,
    pushed: u64,
    done: PartResult,
    /// The mean of each row, where the reduction asks for it.
    rows: Vec<f64>,
    labels: Labels,
    bytes: u64,
    started: Instant,
}

impl<'e> Accumulator<'e> {
    /// An accumulator on this backend. A batch of `len` values, if that is known, of which a mean divides by `totals`, if
    /// those are known.
    pub(super) fn new(backend: &'e Backend, objective: &Objective, len: Option<u64>, totals: Option<Totals>) -> Self {
        Self {
            backend,
            objective: objective.clone(),
            len,
            totals,
            exact_totals: false,
            pushed: 0,
            done: PartResult::default(),
            rows: Vec::new(),
            labels: Labels::default(),
            bytes: 0,
            started: Instant::now(),
        }
    }

    /// An accumulator whose mean divides by counted totals.
    pub(super) fn with_totals(backend: &'e Backend, objective: &Objective, totals: Totals) -> Self {
        Self { exact_totals: true, ..Self::new(backend, objective, None, Some(totals)) }
    }

    /// Evaluates the next part: a multiple of [`BLOCK`](crate::BLOCK) values, unless it is the last. `outputs` are
    /// those of this part, and are written in the caller's memory: [`Sink::New`](crate::Sink::New) has none to
    /// hand out here, and is an error.
    ///
    /// # Errors
    /// [`Error::Unaligned`] if an earlier part ended inside a block, [`Error::UnknownTotal`] if the gradient or
    /// hessian of a mean is wanted and the stream was not told its length; otherwise as
    /// [`Engine::evaluate_async`], an invalid value's index counted from the start of the stream. After an error
    /// the stream is of no more use.
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
        self.labels.look_at(part, objective, self.pushed);
        let mask = part.mask().is_some();
        let weights = part.weights().is_some();
        let known = self.exact_totals || !objective.needs_totals(mask) || self.len == Some(len);
        let coefficient = match &self.totals {
            Some(totals) if known => objective.coefficient(totals),
            _ if outputs.derivatives()
                && matches!(objective.reduction(), Reduction::Mean | Reduction::WeightedMean) =>
            {
                return Err(Error::UnknownTotal { needs_totals: objective.needs_totals(mask) });
            }
            _ => objective.scale(),
        };
        let job = Job::new(objective, part.form(), weights, mask, coefficient);
        let unit = plan::unit(job.sums, part.classes());
        let first = self.pushed;
        if !first.is_multiple_of(unit) {
            return Err(Error::Unaligned { len, block: unit });
        }
        self.bytes += part.bytes() + outputs.width() * len;
        let rows = (job.sums == Sums::PerRow).then(|| {
            let before = self.rows.len();
            self.rows.resize(before + part.len() / part.classes(), 0.0);
            &mut self.rows[before..]
        });
        let any_number = objective.compat().is_some_and(Compat::binarizes);
        let done = self.backend.evaluate(part, &job, first, outputs, rows).await?;
        if let (true, Some(index)) = (job.stop_at_invalid, done.partials.first_invalid)
            && let Some((array, value)) = part.offence((index - first) as usize, any_number)
        {
            return Err(Error::InvalidValue { array, index, value });
        }
        self.done.merge(&done);
        self.pushed += len;
        Ok(())
    }

    /// How many values were pushed.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// The means of the rows pushed since the last call, with [`Reduction::PerRow`]: a stream holds those that are not
    /// taken until it [ends](Self::finish), which then hands out the rest.
    pub fn take_rows(&mut self) -> Vec<f64> {
        mem::take(&mut self.rows)
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// [`Error::AccumulatedLength`] if another total was announced, [`Error::Unsupported`] for what the system in [`Compat`]
    /// refuses.
    pub fn finish(self) -> Result<Evaluation> {
        if let Some(expected) = self.len
            && expected != self.pushed
        {
            return Err(Error::AccumulatedLength { expected, actual: self.pushed });
        }
        if let Some(refusal) = self.labels.refusal(&self.objective, &self.done.partials) {
            return Err(refusal.into());
        }
        let PartResult { partials, mut phases, chunks } = self.done;
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
