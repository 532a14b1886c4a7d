//! Evaluations of batches in host memory, on any device: how they are checked and timed.

use std::time::Instant;

use logloss::{Batch, Engine, Evaluation, Objective, Outputs, Phases};

use crate::{
    cell::Cell,
    check::{Checker, places},
    data::Data,
    error::{Error, Result},
    sampling::{Sample, Task},
};

/// The slices that loss, gradient and hessian are written to, empty where one is not wanted.
pub(crate) type OutputSlices<'r> = [&'r mut [f32]; 3];

/// Evaluates the first batch and checks its sum and every output. Returns the relative error of the sum.
pub(crate) fn check(
    engine: &Engine,
    checker: &Checker,
    data: &Data,
    cell: Cell,
    arrays: &mut OutputSlices<'_>,
) -> Result<f64> {
    let batch = data.batch(cell.inputs, 0, cell.n)?;
    // The elements of an earlier row must not pass for an answer.
    for array in arrays.iter_mut().filter(|array| !array.is_empty()) {
        places(cell.n).into_iter().for_each(|place| array[place].fill(f32::NAN));
    }
    let got = evaluate(engine, &batch, cell, 0, arrays)?;
    let error = checker.sum(&got, data.sum(cell.inputs.prediction, cell.n)?, cell.n)?;
    for (output, array) in arrays.iter().enumerate().filter(|(_, array)| !array.is_empty()) {
        for place in places(cell.n) {
            checker.elements(output, &array[place.clone()], &batch, place.start)?;
        }
    }
    Ok(error)
}

/// A task that evaluates `sets` batches in turn.
pub(crate) fn task<'a, 'r>(
    engine: &'a Engine,
    data: &'a Data,
    cell: Cell,
    sets: usize,
) -> Result<Task<'a, OutputSlices<'r>>> {
    let batches: Vec<_> = (0..sets).map(|set| data.batch(cell.inputs, set * cell.n, cell.n)).collect::<Result<_>>()?;
    let mut seen = SameBits::new(sets);
    Ok(Box::new(move |arrays, calls| {
        let mut phases = PhaseTotals::default();
        let begun = Instant::now();
        for set in calls.clone().map(|call| call % sets) {
            let got = evaluate(engine, &batches[set], cell, set, arrays)?;
            phases.add(&got.run.phases);
            seen.check(set, got.sum)?;
        }
        Ok(phases.sample(Sample::wall(begun.elapsed(), &calls), calls.len()))
    }))
}

/// Evaluates batch number `set` into its part of the arrays.
fn evaluate(
    engine: &Engine,
    batch: &Batch<'_>,
    cell: Cell,
    set: usize,
    arrays: &mut OutputSlices<'_>,
) -> logloss::Result<Evaluation> {
    let range = set * cell.n..(set + 1) * cell.n;
    let [loss, gradient, hessian] =
        arrays.each_mut().map(|array| if array.is_empty() { None } else { Some(&mut array[range.clone()]) });
    let mut outputs = Outputs::none();
    if let Some(loss) = loss {
        outputs = outputs.with_loss(loss);
    }
    if let Some(gradient) = gradient {
        outputs = outputs.with_gradient(gradient);
    }
    if let Some(hessian) = hessian {
        outputs = outputs.with_hessian(hessian);
    }
    engine.evaluate(batch, &Objective::mean(), outputs)
}

/// The phases of several calls, added up.
#[derive(Default)]
pub(crate) struct PhaseTotals {
    kernel: f64,
    upload: f64,
    readback: f64,
    timestamps: bool,
}

impl PhaseTotals {
    /// Adds the phases of a call.
    pub(crate) fn add(&mut self, phases: &Phases) {
        self.kernel += phases.kernel.as_secs_f64();
        self.upload += phases.upload.as_secs_f64();
        self.readback += phases.readback.as_secs_f64();
        self.timestamps = phases.timestamps;
    }

    /// The sample with the mean phases of the `calls` calls that were added.
    pub(crate) fn sample(&self, sample: Sample, calls: usize) -> Sample {
        let each = |seconds: f64| seconds / calls as f64;
        let Self { kernel, upload, readback, timestamps } = *self;
        Sample { kernel: each(kernel), upload: each(upload), readback: each(readback), timestamps, ..sample }
    }
}

/// The sums of some batches, each of which has the same bits in every evaluation.
pub(crate) struct SameBits(Vec<Option<f64>>);

impl SameBits {
    /// For `sets` batches, none of which was evaluated yet.
    pub(crate) fn new(sets: usize) -> Self {
        Self(vec![None; sets])
    }

    /// Checks a sum of batch number `set`.
    ///
    /// # Errors
    /// If its bits are not those of the first sum.
    pub(crate) fn check(&mut self, set: usize, sum: f64) -> Result<()> {
        let first = *self.0[set].get_or_insert(sum);
        if first.to_bits() != sum.to_bits() {
            return Err(Error::WrongAnswer(format!("the sum of the same batch was {first} before and is {sum} now")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bits_are_noticed() {
        let mut seen = SameBits::new(2);
        seen.check(0, 1.0).unwrap();
        seen.check(1, 2.0).unwrap();
        seen.check(0, 1.0).unwrap();
        assert!(seen.check(1, 2.0 + 1e-15).is_err());
        assert!(seen.check(0, f64::NAN).is_err());
    }
}
