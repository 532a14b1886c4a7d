//! Conversion of weights to f32; f16 stays as it is.

use std::num::ParseFloatError;

use logloss::half::{bf16, f16};

use super::{UnrepresentableValues, has_many_digits, interleave};
use crate::number::{Number, Stored};

/// Weights of one part, converted.
#[derive(Debug)]
pub(crate) struct Weights {
    number: Number,
    f32: Vec<f32>,
    f16: Vec<f16>,
    unrepresentable: UnrepresentableValues,
    narrowed: bool,
}

impl Weights {
    /// For weights stored as `number`.
    pub(crate) fn new(number: Number, may_skip: bool) -> Self {
        let unrepresentable = UnrepresentableValues::new(may_skip);
        Self { number, f32: Vec::new(), f16: Vec::new(), unrepresentable, narrowed: false }
    }

    /// Forgets the values.
    pub(crate) fn clear(&mut self) {
        self.f32.clear();
        self.f16.clear();
        self.unrepresentable.clear();
    }

    /// Interleaves columns, row by row.
    pub(crate) fn join(&mut self, columns: &[Self]) {
        self.clear();
        if columns.iter().all(|column| column.number == Number::F16) {
            self.number = Number::F16;
            interleave(columns, |column| &column.f16, &mut self.f16);
        } else {
            self.number = Number::F32;
            let rows = columns.first().map_or(0, Self::len);
            self.f32.extend((0..rows).flat_map(|row| columns.iter().map(move |column| column.widened(row))));
        }
        self.unrepresentable.join(columns.iter().map(|column| &column.unrepresentable));
        columns.iter().for_each(|column| self.note(column));
    }

    /// Takes over the notes on others.
    pub(crate) fn note(&mut self, others: &Self) {
        self.narrowed |= others.narrowed;
    }

    fn widened(&self, row: usize) -> f32 {
        if self.number == Number::F16 { self.f16[row].into() } else { self.f32[row] }
    }

    /// The values converted so far.
    pub(crate) fn view(&self) -> logloss::Weights<'_> {
        match self.number {
            Number::F16 => logloss::Weights::F16(&self.f16),
            _ => logloss::Weights::F32(&self.f32),
        }
    }

    /// The values that have no counterpart in the type they were converted to.
    pub(crate) fn unrepresentable(&self) -> &UnrepresentableValues {
        &self.unrepresentable
    }

    /// The values that are stored as f32.
    pub(crate) fn f32(&mut self) -> &mut Vec<f32> {
        &mut self.f32
    }

    /// The values that are stored as f16.
    pub(crate) fn f16(&mut self) -> &mut Vec<f16> {
        &mut self.f16
    }

    /// Converts values from their bytes in a file.
    pub(crate) fn decode(&mut self, bytes: &[u8], big_endian: bool) {
        match self.number {
            Number::F16 => self.f16.extend(f16::read(bytes, big_endian)),
            Number::F32 => self.f32.extend(f32::read(bytes, big_endian)),
            Number::Bf16 => self.f32.extend(bf16::read(bytes, big_endian).map(f32::from)),
            Number::F64 => self.narrow(f64::read(bytes, big_endian)),
            Number::Bool | Number::U8 => self.narrow(u8::read(bytes, big_endian).map(f64::from)),
            Number::I8 => self.narrow(i8::read(bytes, big_endian).map(f64::from)),
            Number::U16 => self.narrow(u16::read(bytes, big_endian).map(f64::from)),
            Number::I16 => self.narrow(i16::read(bytes, big_endian).map(f64::from)),
            Number::U32 => self.narrow(u32::read(bytes, big_endian).map(f64::from)),
            Number::I32 => self.narrow(i32::read(bytes, big_endian).map(f64::from)),
            Number::U64 => self.narrow(u64::read(bytes, big_endian).map(|value| value as f64)),
            Number::I64 => self.narrow(i64::read(bytes, big_endian).map(|value| value as f64)),
        }
    }

    /// Converts f64 values to f32.
    pub(crate) fn narrow(&mut self, values: impl Iterator<Item = f64>) {
        values.for_each(|value| self.push(value, value as f32, None));
    }

    /// Converts a number that is text, rounded once.
    pub(crate) fn push_text(&mut self, text: &str, line: u64) -> Result<(), ParseFloatError> {
        let narrow: f32 = text.parse()?;
        if narrow > 0.0 && narrow.is_finite() {
            self.narrowed = self.narrowed || has_many_digits(text);
            self.f32.push(narrow);
        } else {
            // Only f64 can tell what these are.
            self.push(text.parse()?, narrow, Some((text, line)));
        }
        Ok(())
    }

    /// Adds a value that is missing in a text file.
    pub(crate) fn push_missing(&mut self, line: u64) {
        self.unrepresentable.add_missing(self.f32.len(), Some(line));
        self.f32.push(f32::NAN);
    }

    /// Notes that the value at an index is missing.
    pub(crate) fn note_missing(&mut self, index: usize) {
        self.unrepresentable.add_missing(index, None);
    }

    /// The number of values converted so far.
    pub(crate) fn len(&self) -> usize {
        self.f16.len() + self.f32.len()
    }

    fn push(&mut self, value: f64, narrow: f32, text: Option<(&str, u64)>) {
        if value >= 0.0 && narrow.is_finite() {
            self.narrowed |= f64::from(narrow) != value;
            self.f32.push(narrow);
        } else {
            let shown = || text.map_or_else(|| short(value), |(text, _)| text.to_owned());
            self.unrepresentable.add(self.f32.len(), shown, text.map(|(_, line)| line));
            self.f32.push(f32::NAN);
        }
    }

    /// Remarks on the conversion, for the reader of the result.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        self.narrowed.then(|| "weights were rounded to f32".to_owned()).into_iter()
    }
}

/// A number as text without a row of zeros.
fn short(value: f64) -> String {
    let ordinary = value == 0.0 || !value.is_finite() || (1e-5..1e16).contains(&value.abs());
    if ordinary { value.to_string() } else { format!("{value:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_f32_would_make_valid() -> Result<(), ParseFloatError> {
        for wrong in [-1e-300, f64::NAN, f64::INFINITY, 1e39] {
            let mut weights = Weights::new(Number::F64, false);
            weights.narrow([0.5, wrong].into_iter());
            weights.push_text(&short(wrong), 4)?;
            assert!(matches!(weights.view(), logloss::Weights::F32([0.5, a, b]) if a.is_nan() && b.is_nan()));
            assert_eq!(weights.unrepresentable().find(1).expect("unrepresentable").text, short(wrong));
        }
        Ok(())
    }
}
