//! Whether an answer is right: a wrong one is not worth timing.
//!
//! The sum is compared with a plain loop in f64 over all values, elements at both ends and in the middle with the oracle;
//! the contract says how far each may be off.

use std::{iter, ops::Range};

use logloss::{Batch, DeviceInfo, Evaluation, Form};
use logloss_verify::{
    contract::{self, DeviceClass, Kind, Output},
    oracle::{Element, Truth},
};

use crate::{
    Spoil,
    error::{Error, Result},
};

/// The number of elements that are checked at each place.
const RUN: usize = 4096;
const OUTPUTS: [(&str, Output); 3] =
    [("loss", Output::Loss), ("gradient", Output::Gradient), ("hessian", Output::Hessian)];

/// Checks the answers of one device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checker {
    class: DeviceClass,
    /// What is made wrong before it is checked.
    spoil: Option<Spoil>,
}

impl Checker {
    /// The checker of a device.
    pub(crate) fn new(device: &DeviceInfo, spoil: Option<Spoil>) -> Self {
        Self { class: DeviceClass::of(device), spoil }
    }

    /// Checks the sum and the mean of `n` values whose true sum is `truth`. Returns the relative error of the sum.
    ///
    /// # Errors
    /// If the error is too large, or the mean or the count is wrong.
    pub(crate) fn sum(&self, got: &Evaluation, truth: f64, n: usize) -> Result<f64> {
        let spoiled = if self.spoil == Some(Spoil::Sum) { 1.0 + 1e-5 } else { 1.0 };
        self.numbers(got.sum * spoiled, got.mean * spoiled, got.count, truth, n)
    }

    fn numbers(&self, sum: f64, mean: f64, count: u64, truth: f64, n: usize) -> Result<f64> {
        if count != n as u64 {
            return Err(Error::WrongAnswer(format!("{count} values were counted, there are {n}")));
        }
        let error = contract::relative(sum, truth, count);
        let ceiling =
            self.ceiling(Output::Sum) + self.ceiling(Output::Loss) * f64::from(f32::EPSILON) / (n as f64).sqrt();
        // This is false for a NaN, which is wrong.
        let within = error <= ceiling;
        if !within {
            return Err(Error::WrongAnswer(format!(
                "the sum is {sum}, not {truth}: a relative error of {error:.1e}, allowed are {ceiling:.1e}"
            )));
        }
        let within = (mean - sum / n as f64).abs() <= 1e-12 * mean.abs();
        if !within {
            return Err(Error::WrongAnswer(format!("the mean is {mean}, not {sum} / {n}")));
        }
        Ok(error)
    }

    /// The largest error that the contract allows for hard targets, in the unit of its row; 0 where it has no row.
    fn ceiling(&self, output: Output) -> f64 {
        contract::find(self.class, Form::Logits, Kind::Hard, output).map_or(0.0, |row| row.ceiling)
    }

    /// Checks elements of one output, from number `first` of the batch on.
    ///
    /// # Errors
    /// If one is further off than the contract allows; the error names the first.
    pub(crate) fn elements(&self, output: usize, got: &[f32], batch: &Batch<'_>, first: usize) -> Result<()> {
        let (name, kind) = OUTPUTS[output];
        // The loss of an element is not divided by their number.
        let coefficient = if output == 0 { 1.0 } else { f64::from((1.0 / batch.len() as f64) as f32) };
        let (x, z) = (batch.predictions(), batch.targets());
        for (i, got) in got.iter().enumerate() {
            let (x, z) = (x.get(first + i), z.get(first + i));
            let truth = Element::new(Form::Logits, x, z).truth();
            let terms = |terms: [f64; 2]| terms.map(|term| term * coefficient);
            let truth =
                Truth { loss: terms(truth.loss), gradient: terms(truth.gradient), hessian: terms(truth.hessian) };
            let Some(row) = contract::find(self.class, Form::Logits, Kind::of(z), kind) else {
                return Err(Error::WrongAnswer(format!("nothing is promised for {name} at target {z}")));
            };
            let ceiling = if output == 0 {
                row.ceiling
            } else {
                contract::COEFFICIENT_FACTOR * row.ceiling + contract::COEFFICIENT_ULP
            };
            let got = if self.spoil == Some(Spoil::Element) && i == 0 { got * 1.0001 } else { *got };
            let error = row.error(got, &truth);
            let within = error <= ceiling;
            if !within {
                let right = [truth.loss(), truth.gradient(), truth.hessian()][output];
                let (at, unit) = (first + i, row.unit);
                return Err(Error::WrongAnswer(format!(
                    "{name}[{at}] is {got:e}, not {right:e} (logit {x}, target {z}): {error:.1} {unit}, \
                     allowed are {ceiling}"
                )));
            }
        }
        Ok(())
    }
}

/// The ranges of elements that are checked: both ends and the middle.
pub(crate) fn places(n: usize) -> Vec<Range<usize>> {
    if n <= 3 * RUN {
        return iter::once(0..n).collect();
    }
    let middle = n / 2 - RUN / 2;
    vec![0..RUN, middle..middle + RUN, n - RUN..n]
}

#[cfg(test)]
mod tests {
    use logloss::{Engine, Objective, Outputs};

    use super::*;

    const X: [f32; 5] = [-3.0, 0.0, 0.5, 8.0, 1e-3];
    const Z: [u8; 5] = [0, 1, 1, 0, 1];

    fn checker(spoil: Option<Spoil>) -> Checker {
        Checker::new(&Engine::cpu().device(), spoil)
    }

    fn truth() -> f64 {
        X.iter().zip(Z).map(|(&x, z)| Element::new(Form::Logits, x.into(), z.into()).truth().loss()).sum()
    }

    #[test]
    fn right_answers_pass_and_spoiled_ones_do_not() {
        let batch = Batch::logits(&X, &Z).unwrap();
        let got = Engine::cpu().evaluate(&batch, &Objective::mean(), Outputs::all()).unwrap();
        assert!(checker(None).sum(&got, truth(), 5).unwrap() < 1e-6);
        assert!(checker(Some(Spoil::Sum)).sum(&got, truth(), 5).is_err());
        for (output, values) in [got.loss, got.gradient, got.hessian].into_iter().enumerate() {
            let values = values.unwrap();
            checker(None).elements(output, &values, &batch, 0).unwrap();
            assert!(checker(Some(Spoil::Element)).elements(output, &values, &batch, 0).is_err());
        }
    }

    #[test]
    fn wrong_sums() {
        let (sum, n) = (truth(), 5);
        let look = |sum: f64, mean, count| checker(None).numbers(sum, mean, count, truth(), n);
        assert!(look(sum, sum / 5.0, 5).is_ok());
        for wrong in [f64::NAN, f64::INFINITY, 0.0, -sum, sum * (1.0 + 1e-5)] {
            assert!(look(wrong, wrong / 5.0, 5).is_err(), "{wrong}");
        }
        assert!(look(sum, sum, 5).is_err(), "a mean that is not the sum over the count");
        assert!(look(sum, sum / 5.0, 4).is_err(), "a wrong count");
        assert!(look(sum, f64::NAN, 5).is_err());
    }

    #[test]
    fn wrong_elements() {
        let batch = Batch::logits(&X, &Z).unwrap();
        let right: Vec<f32> = X
            .iter()
            .zip(Z)
            .map(|(&x, z)| (Element::new(Form::Logits, x.into(), z.into()).truth().gradient() / 5.0) as f32)
            .collect();
        let look = |values: &[f32]| checker(None).elements(1, values, &batch, 0);
        look(&right).unwrap();
        for wrong in [f32::NAN, 0.0, f32::INFINITY, -right[3], right[3] * 1.00001] {
            let mut values = right.clone();
            values[3] = wrong;
            let message = look(&values).unwrap_err().to_string();
            assert!(message.starts_with("gradient[3]"), "{message}");
        }
    }

    #[test]
    fn places_are_in_the_batch() {
        assert_eq!(places(10), Vec::from_iter(iter::once(0..10)));
        let n = 1 << 20;
        let places = places(n);
        assert_eq!((places[0].start, places[2].end, places.len()), (0, n, 3));
    }
}
