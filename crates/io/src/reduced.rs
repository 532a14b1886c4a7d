//! The values of a reduction, and those of rows as they come.

use std::mem;

use crate::{Error, Result, Shape};

/// The most rows whose values are held: 128 MiB of them.
const MOST_ROWS: u64 = 1 << 24;

/// The result of a reduction.
///
/// ```
/// use logloss::Engine;
/// use logloss_io::{Inputs, ReducedValues, RunSpec, Selection, run};
///
/// # let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
/// let inputs = Inputs::new(data.join("flights_head.csv"));
/// let selection = Selection::default().with_predictions("logit").with_targets("delayed");
/// let spec = RunSpec::new(inputs).with_selection(selection);
/// let summary = run(&spec, &Engine::cpu(), &mut ())?;
/// assert!(matches!(summary.values, ReducedValues::Scalar(mean) if mean == summary.evaluation.mean));
/// # Ok::<(), logloss_io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReducedValues {
    /// Nothing was reduced.
    Elements,
    /// One number.
    Scalar(f64),
    /// One number for each class.
    Classes {
        /// The mean of each class.
        means: Vec<f64>,
        /// The number of elements that each mean is over.
        counts: Vec<u64>,
    },
    /// The means of the rows.
    Rows(RowValues),
}

/// The means of rows.
///
/// ```
/// use logloss::{Engine, Reduction};
/// use logloss_io::{Inputs, ObjectiveSpec, ReducedValues, RunSpec, Selection, run};
///
/// # let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
/// let inputs = Inputs::new(data.join("flights_head.csv"));
/// let selection = Selection::default().with_predictions("logit,logit").with_targets("delayed,delayed");
/// let objective = ObjectiveSpec::default().with_reduction(Reduction::PerRow);
/// let spec = RunSpec::new(inputs).with_selection(selection).with_objective(objective);
/// let ReducedValues::Rows(rows) = run(&spec, &Engine::cpu(), &mut ())?.values else { panic!("per row") };
/// assert_eq!(rows.all().map(<[f64]>::len), Some(20_000));
/// assert!(rows.median() < rows.range().map(|(_, highest)| highest));
/// # Ok::<(), logloss_io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct RowValues {
    /// All of them, while they are not too many.
    held: Vec<f64>,
    /// The number of rows so far.
    count: u64,
    /// Whether more rows than can be held are an error.
    must_hold: bool,
    min: Option<f64>,
    max: Option<f64>,
}

impl RowValues {
    /// No rows yet, of this shape.
    ///
    /// # Errors
    /// [`Error::TooManyRows`], if all values must be held and it is known that they are too many.
    pub(crate) fn new(must_hold: bool, shape: Shape) -> Result<Self> {
        let rows = Self { must_hold, ..Self::default() };
        match shape.rows() {
            Some(count) if count > MOST_ROWS => rows.too_many().map(|()| rows),
            _ => Ok(rows),
        }
    }

    /// Adds the values of the next rows.
    pub(crate) fn add(&mut self, values: &[f64]) -> Result<()> {
        self.count += values.len() as u64;
        for &value in values.iter().filter(|value| !value.is_nan()) {
            self.min = Some(self.min.map_or(value, |min| min.min(value)));
            self.max = Some(self.max.map_or(value, |max| max.max(value)));
        }
        if self.count <= MOST_ROWS {
            self.held.extend_from_slice(values);
            return Ok(());
        }
        drop(mem::take(&mut self.held));
        self.too_many()
    }

    fn too_many(&self) -> Result<()> {
        if self.must_hold { Err(Error::TooManyRows { most: MOST_ROWS }) } else { Ok(()) }
    }

    /// Every value, if they were not too many to be held.
    pub fn all(&self) -> Option<&[f64]> {
        (self.held.len() as u64 == self.count).then_some(&self.held)
    }

    /// The smallest and the largest value. NaN (of rows of which nothing counts) is skipped.
    pub fn range(&self) -> Option<(f64, f64)> {
        self.min.zip(self.max)
    }

    /// The value in the middle, or the mean of the two there; none if there are no values, or too many to be held. NaN is
    /// skipped.
    pub fn median(&self) -> Option<f64> {
        let mut values: Vec<f64> = self.all()?.iter().copied().filter(|value| !value.is_nan()).collect();
        let middle = values.len() / 2;
        if middle == values.len() {
            return None;
        }
        let even = values.len().is_multiple_of(2);
        let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
        let lower = below.iter().copied().max_by(f64::total_cmp).filter(|_| even).unwrap_or(upper);
        Some(if lower == upper { upper } else { lower / 2.0 + upper / 2.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        let median = |values: &[f64]| {
            let count = values.len() as u64;
            RowValues { held: values.to_vec(), count, ..RowValues::default() }.median()
        };
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[f64::NAN]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[3.0, f64::NAN, 1.0]), Some(2.0));
        assert_eq!(median(&[3.0, 1.0, f64::INFINITY]), Some(3.0));
        assert_eq!(median(&[f64::INFINITY, f64::INFINITY]), Some(f64::INFINITY));
    }
}
