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

/// The unrepresentable values of one array in one part.
#[derive(Clone, Debug, Default)]
pub struct UnrepresentableValues {
    list: Vec<Unrepresentable>,
    /// Whether each of them is kept. The first is enough, unless it may be ignored or masked.
    keep_all: bool,
}

impl UnrepresentableValues {
    /// A list that keeps the first value, or every one.
    pub fn new(keep_all: bool) -> Self {
        Self { list: Vec::new(), keep_all }
    }

    /// The one with this index in the part.
    pub fn find(&self, index: usize) -> Option<&Unrepresentable> {
        self.list.iter().find(|value| value.index == index)
    }

    fn add(&mut self, index: usize, text: impl FnOnce() -> String, line: Option<u64>) {
        if self.keep_all || self.list.is_empty() {
            self.list.push(Unrepresentable { index, text: text(), line });
        }
    }

    fn clear(&mut self) {
        self.list.clear();
    }

    /// Adds those of several columns that were interleaved row by row.
    fn join<'a>(&mut self, columns: impl ExactSizeIterator<Item = &'a Self>) {
        let classes = columns.len();
        for (class, column) in columns.enumerate() {
            let joined =
                |value: &Unrepresentable| Unrepresentable { index: value.index * classes + class, ..value.clone() };
            self.list.extend(column.list.iter().map(joined));
        }
    }
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
