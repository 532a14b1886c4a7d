//! The values of a reduction that has more than one, held as far as the report needs them.

use std::mem;

use anyhow::Result;

use crate::{args::EvalArgs, failure::usage, source::Shape};

/// Rows whose values are held at a time: 128 MiB of them.
const MOST_ROWS: usize = 1 << 24;

/// What a reduction gave.
#[derive(Debug)]
pub enum Values {
    /// Nothing was reduced.
    Elements,
    /// One number.
    Scalar(f64),
    /// The mean of each class, and of how many elements.
    Classes(Vec<f64>, Vec<u64>),
    /// The means of the rows.
    Rows(Rows),
}

/// The means of rows, as they come.
#[derive(Debug, Default)]
pub struct Rows {
    /// All of them, while they are not too many.
    held: Vec<f64>,
    /// How many there were.
    count: u64,
    min: Option<f64>,
    max: Option<f64>,
}

impl Rows {
    /// Refuses, if it is known, what would print more rows than can be held.
    pub fn check(args: &EvalArgs, shape: Shape) -> Result<()> {
        match shape.rows() {
            Some(rows) if rows > MOST_ROWS as u64 => too_many(args),
            _ => Ok(()),
        }
    }

    /// Takes in the values of some rows.
    pub fn add(&mut self, args: &EvalArgs, values: &[f64]) -> Result<()> {
        self.count += values.len() as u64;
        for &value in values.iter().filter(|value| !value.is_nan()) {
            self.min = Some(self.min.map_or(value, |min| min.min(value)));
            self.max = Some(self.max.map_or(value, |max| max.max(value)));
        }
        if self.count <= MOST_ROWS as u64 {
            self.held.extend_from_slice(values);
            return Ok(());
        }
        drop(mem::take(&mut self.held));
        too_many(args)
    }

    /// Every value, if they were not too many.
    pub fn all(&self) -> Option<&[f64]> {
        (self.held.len() as u64 == self.count).then_some(&self.held)
    }

    /// The smallest and the largest value, NaN (of rows of which nothing counts) left out.
    pub fn range(&self) -> Option<(f64, f64)> {
        self.min.zip(self.max)
    }

    /// The value in the middle, or the mean of the two there; none if there were too many to be held.
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

fn too_many(args: &EvalArgs) -> Result<()> {
    if args.json && args.value_out.is_none() {
        return Err(usage(
            format_args!("--reduction per-row --json: more than {MOST_ROWS} rows"),
            "pass --value-out F.npy: their values go there, and not into the JSON",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        let median = |values: &[f64]| {
            let count = values.len() as u64;
            Rows { held: values.to_vec(), count, ..Rows::default() }.median()
        };
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[f64::NAN]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[3.0, f64::NAN, 1.0]), Some(2.0));
        assert_eq!(median(&[3.0, 1.0, f64::INFINITY]), Some(3.0));
        assert_eq!(median(&[f64::INFINITY, f64::INFINITY]), Some(f64::INFINITY));
    }
}
