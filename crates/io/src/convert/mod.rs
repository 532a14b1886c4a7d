//! Conversion from the types of a file to those of the engine: predictions become f32 (or stay f16, bf16, or
//! probabilities in f64), labels become u8 while they are hard and f32 where they are not.
//!
//! No invalid value becomes a valid one by conversion, or the other way round: a label of 256 is not 0, a probability
//! just above 1 is not 1. A value that would change so is [`Unrepresentable`]: another invalid value stands for it and
//! its text is kept, so that the engine finds the first of all invalid values and messages show what the file has.

mod labels;
mod predictions;
mod weights;

pub(crate) use labels::{Label, Labels};
pub(crate) use predictions::Predictions;
pub(crate) use weights::Weights;

/// An invalid value that has no counterpart in the type it is converted to.
///
/// ```
/// use logloss::Engine;
/// use logloss_io::{Error, Inputs, RunSpec, Selection, run};
///
/// let path = std::env::temp_dir().join(format!("text-{}.csv", std::process::id()));
/// std::fs::write(&path, "p,y\n0.5,1\n0.25,7\n").unwrap();
/// let selection = Selection::default().with_predictions("p").with_targets("y");
/// let spec = RunSpec::new(Inputs::new(&path)).with_selection(selection);
/// let error = run(&spec, &Engine::cpu(), &mut ()).unwrap_err();
/// # std::fs::remove_file(&path).unwrap();
/// // 7 is kept as its text: the engine takes labels as bytes or f32.
/// assert!(matches!(error, Error::InvalidValue { value, .. } if value == "7"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unrepresentable {
    /// Its index in the part.
    pub index: usize,
    /// The value as its file has it.
    pub text: String,
    /// Its line in a text file. The first line is 1.
    pub line: Option<u64>,
}

/// A value that is not there: a null, or an empty field.
///
/// ```
/// use logloss_io::UnrepresentableValues;
///
/// assert!(UnrepresentableValues::new(true).missing().is_empty());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// Its index in the part.
    pub index: usize,
    /// Its line in a text file. The first line is 1.
    pub line: Option<u64>,
}

/// The unrepresentable values of one array in one part, and those that are missing.
///
/// ```
/// use logloss_io::UnrepresentableValues;
///
/// let values = UnrepresentableValues::new(false);
/// assert!(values.find(0).is_none());
/// ```
#[derive(Clone, Debug, Default)]
pub struct UnrepresentableValues {
    list: Vec<Unrepresentable>,
    missing: Vec<Missing>,
    /// Whether each of them is kept. The first is enough, unless it may be ignored or masked.
    keep_all: bool,
}

impl UnrepresentableValues {
    /// A list that keeps the first value, or every one.
    pub fn new(keep_all: bool) -> Self {
        Self { keep_all, ..Self::default() }
    }

    /// The one with this index in the part.
    pub fn find(&self, index: usize) -> Option<&Unrepresentable> {
        self.list.iter().find(|value| value.index == index)
    }

    /// The values that are missing. There are none, unless values may be ignored or masked: then it depends on their
    /// element whether that is an error.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    fn add_missing(&mut self, index: usize, line: Option<u64>) {
        self.missing.push(Missing { index, line });
    }

    fn add(&mut self, index: usize, text: impl FnOnce() -> String, line: Option<u64>) {
        if self.keep_all || self.list.is_empty() {
            self.list.push(Unrepresentable { index, text: text(), line });
        }
    }

    fn clear(&mut self) {
        self.list.clear();
        self.missing.clear();
    }

    /// Adds those of several columns that were interleaved row by row.
    fn join<'a>(&mut self, columns: impl ExactSizeIterator<Item = &'a Self>) {
        let classes = columns.len();
        for (class, column) in columns.enumerate() {
            let joined =
                |value: &Unrepresentable| Unrepresentable { index: value.index * classes + class, ..value.clone() };
            self.list.extend(column.list.iter().map(joined));
            let joined = |value: &Missing| Missing { index: value.index * classes + class, ..*value };
            self.missing.extend(column.missing.iter().map(joined));
        }
    }
}

/// Whether a number is written with digits, and not as infinity or NaN.
fn is_written_in_digits(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
}

/// Whether a number is written with more digits than every f32 is told from others by: then some are lost.
fn has_many_digits(text: &str) -> bool {
    const ENOUGH: usize = 9;
    if text.len() <= ENOUGH {
        return false;
    }
    let number = text.split(['e', 'E']).next().unwrap_or_default();
    let digits = number.bytes().filter(u8::is_ascii_digit).skip_while(|&digit| digit == b'0');
    // Zeros at the end say nothing, as in 0.50000000000.
    let (mut count, mut significant) = (0, 0);
    for digit in digits {
        count += 1;
        if digit != b'0' {
            significant = count;
        }
    }
    significant > ENOUGH
}

/// Interleaves columns of one type, row by row.
fn interleave<C, T: Copy>(columns: &[C], values: impl Fn(&C) -> &Vec<T>, into: &mut Vec<T>) {
    let columns: Vec<&[T]> = columns.iter().map(|column| values(column).as_slice()).collect();
    let rows = columns.first().map_or(0, |column| column.len());
    into.reserve(rows * columns.len());
    (0..rows).for_each(|row| into.extend(columns.iter().map(|column| column[row])));
}

#[cfg(test)]
mod tests {
    use std::num::ParseFloatError;

    use logloss::{Floats, Form, Targets};

    use super::*;
    use crate::number::Number;

    #[test]
    fn out_of_range_by_less_than_f32_sees() -> Result<(), ParseFloatError> {
        let above = 1.0 + f64::EPSILON;
        for wrong in [above, -1e-300, f64::NAN, f64::INFINITY] {
            let mut labels = Labels::default();
            labels.extend([0.5, wrong].into_iter());
            assert!(matches!(labels.view(), Targets::F32(soft) if soft[1].is_nan()), "{wrong}");
            assert_eq!(labels.unrepresentable().find(1).expect("unrepresentable").text, wrong.to_string());

            let mut predictions = Predictions::new(Form::Probabilities, Number::F64, false);
            predictions.extend([0.5, wrong].into_iter());
            predictions.push_text(&wrong.to_string(), 4)?;
            assert!(matches!(predictions.view(), Floats::F64(p) if p[1..].iter().all(|p| !(0.0..=1.0).contains(p))));
            assert_eq!(predictions.unrepresentable().find(2).expect("unrepresentable").text, wrong.to_string());
        }
        Ok(())
    }

    #[test]
    fn digits_that_f32_loses() {
        for few in
            ["0.1", "-1.23456789", "123456789", "0.000000123456789", "0.50000000000", "1e-30", "inf", "100000000000"]
        {
            assert!(!has_many_digits(few), "{few}");
        }
        for many in ["0.1234567891", "-12345.678901", "0.30000000000000004", "1234567891e-3"] {
            assert!(has_many_digits(many), "{many}");
        }
        assert!(is_written_in_digits("1e400") && !is_written_in_digits("-Infinity"));
    }

    #[test]
    fn columns_are_put_together_by_row() {
        let column = |values: [f64; 2]| {
            let mut column = Predictions::new(Form::Logits, Number::F64, false);
            column.extend(values.into_iter());
            column
        };
        let mut joined = Predictions::new(Form::Logits, Number::F32, false);
        joined.join(&mut [column([1.0, 2.0]), column([3.0, 4.0])]);
        assert!(matches!(joined.view(), Floats::F32([1.0, 3.0, 2.0, 4.0])));
        let [mut labels, mut hard, mut soft] = [(); 3].map(|()| Labels::default());
        hard.extend([0i64, 1].into_iter());
        soft.extend([0.5, 7.0].into_iter());
        labels.join(&[hard, soft]);
        assert!(matches!(labels.view(), Targets::F32([0.0, 0.5, 1.0, _])));
        assert_eq!(labels.unrepresentable().find(3).expect("unrepresentable").text, "7");
    }
}
