//! Evaluations of batches in host memory, on any device: checked, then timed.

use std::time::Instant;

use anyhow::Result;
use logloss::{Batch, Engine, Evaluation, Objective, Outputs, Phases};

use super::{
    check::{Judge, Wrong, places, wrong},
    data::Data,
    rows::Cell,
    sampling::{Sample, Task},
};

/// Arrays for loss, gradient and hessian, empty where one is not wanted.
pub type Arrays<'r> = [&'r mut [f32]; 3];

/// Evaluates the first batch and checks everything it gives. Returns the relative error of the sum.
pub fn check(engine: &Engine, judge: &Judge, data: &Data, cell: Cell, arrays: &mut Arrays<'_>) -> Result<f64> {
    let batch = data.batch(cell.inputs, 0, cell.n)?;
    // What an earlier row has left must not pass for an answer.
    for array in arrays.iter_mut().filter(|array| !array.is_empty()) {
        places(cell.n).into_iter().for_each(|place| array[place].fill(f32::NAN));
    }
    let got = evaluate(engine, &batch, cell, 0, arrays)?;
    let error = judge.sum(&got, data.sum(cell.inputs.prediction, cell.n)?, cell.n)?;
    for (output, array) in arrays.iter().enumerate().filter(|(_, array)| !array.is_empty()) {
        for place in places(cell.n) {
            judge.elements(output, &array[place.clone()], &batch, place.start)?;
        }
    }
    Ok(error)
}

/// Evaluates `sets` batches in turn.
pub fn task<'a, 'r>(engine: &'a Engine, data: &'a Data, cell: Cell, sets: usize) -> Result<Task<'a, Arrays<'r>>> {
    let batches: Vec<_> = (0..sets).map(|set| data.batch(cell.inputs, set * cell.n, cell.n)).collect::<Result<_>>()?;
    let mut seen = SameBits::new(sets);
    Ok(Box::new(move |arrays, calls| {
        let mut phases = Total::default();
        let begun = Instant::now();
        for set in calls.clone().map(|call| call % sets) {
            let got = evaluate(engine, &batches[set], cell, set, arrays)?;
            phases.add(&got.run.phases);
            seen.check(set, got.sum)?;
        }
        Ok(phases.sample(Sample::wall(begun.elapsed(), &calls), calls.len()))
    }))
}

fn evaluate(
    engine: &Engine,
    batch: &Batch<'_>,
    cell: Cell,
    set: usize,
    arrays: &mut Arrays<'_>,
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

/// Phases, added up over calls.
#[derive(Default)]
pub struct Total {
    kernel: f64,
    upload: f64,
    readback: f64,
    timestamps: bool,
}

impl Total {
    /// Adds those of a call.
    pub fn add(&mut self, phases: &Phases) {
        self.kernel += phases.kernel.as_secs_f64();
        self.upload += phases.upload.as_secs_f64();
        self.readback += phases.readback.as_secs_f64();
        self.timestamps = phases.timestamps;
    }

    /// Adds what is known of `calls` calls to a sample.
    pub fn sample(&self, sample: Sample, calls: usize) -> Sample {
        let each = |seconds: f64| seconds / calls as f64;
        let Self { kernel, upload, readback, timestamps } = *self;
        Sample { kernel: each(kernel), upload: each(upload), readback: each(readback), timestamps, ..sample }
    }
}

/// The sum of a batch has the same bits each time.
pub struct SameBits(Vec<Option<f64>>);

impl SameBits {
    /// Of this many batches.
    pub fn new(sets: usize) -> Self {
        Self(vec![None; sets])
    }

    /// Looks at a sum of batch `set`.
    ///
    /// # Errors
    /// If it was another one before.
    pub fn check(&mut self, set: usize, sum: f64) -> Result<(), Wrong> {
        let first = *self.0[set].get_or_insert(sum);
        if first.to_bits() != sum.to_bits() {
            wrong!("the sum of the same batch was {first} before and is {sum} now");
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
