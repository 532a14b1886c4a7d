//! Conversion of predictions to f32; f16 and bf16 stay as they are.

use std::{mem, num::ParseFloatError};

use logloss::{
    Floats, Form,
    half::{bf16, f16},
};

use super::{UnrepresentableValues, interleave};
use crate::number::{Number, Stored};

/// Predictions of one part, converted.
#[derive(Debug)]
pub(crate) struct Predictions {
    form: Form,
    number: Number,
    f32: Vec<f32>,
    f16: Vec<f16>,
    bf16: Vec<bf16>,
    unrepresentable: UnrepresentableValues,
    /// Whether there are f64 values among them.
    narrowed: bool,
    /// The number of finite values that are beyond the range of f32.
    overflowed: u64,
    /// The number of probabilities between 0 and 1 that are 0 or 1 in f32.
    saturated: u64,
}

impl Predictions {
    /// For predictions of the given form, stored as `number`.
    pub(crate) fn new(form: Form, number: Number, may_skip: bool) -> Self {
        let (f32, f16, bf16) = Default::default();
        let (unrepresentable, narrowed) = (UnrepresentableValues::new(may_skip), number == Number::F64);
        Self { form, number, f32, f16, bf16, unrepresentable, narrowed, overflowed: 0, saturated: 0 }
    }

    /// Forgets the values, and the notes that a second pass would count again.
    pub(crate) fn reset(&mut self) {
        self.clear();
        (self.overflowed, self.saturated) = (0, 0);
    }

    /// Interleaves columns, row by row.
    pub(crate) fn join(&mut self, columns: &mut [Self]) {
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
        columns.iter_mut().for_each(|column| self.note(column));
    }

    /// Takes over the notes on others, and leaves their values.
    pub(crate) fn note(&mut self, others: &mut Self) {
        self.narrowed |= others.narrowed;
        self.overflowed += mem::take(&mut others.overflowed);
        self.saturated += mem::take(&mut others.saturated);
    }

    fn widened(&self, row: usize) -> f32 {
        match self.number {
            Number::F16 => self.f16[row].into(),
            Number::Bf16 => self.bf16[row].into(),
            _ => self.f32[row],
        }
    }

    /// Forgets the values.
    pub(crate) fn clear(&mut self) {
        self.f32.clear();
        self.f16.clear();
        self.bf16.clear();
        self.unrepresentable.clear();
    }

    /// The number of values converted so far.
    pub(crate) fn len(&self) -> usize {
        self.view().len()
    }

    /// The values converted so far.
    pub(crate) fn view(&self) -> Floats<'_> {
        match self.number {
            Number::F16 => Floats::F16(&self.f16),
            Number::Bf16 => Floats::Bf16(&self.bf16),
            _ => Floats::F32(&self.f32),
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
            Number::Bf16 => self.bf16.extend(bf16::read(bytes, big_endian)),
            Number::F32 => self.f32.extend(f32::read(bytes, big_endian)),
            _ => self.narrow(f64::read(bytes, big_endian)),
        }
    }

    /// Converts f64 values to f32.
    pub(crate) fn narrow(&mut self, values: impl Iterator<Item = f64>) {
        match self.form {
            Form::Probabilities => values.for_each(|value| self.push_probability(value, value as f32, None)),
            _ => {
                let overflowed = &mut self.overflowed;
                self.f32.extend(values.map(|value| {
                    let narrow = value as f32;
                    *overflowed += u64::from(narrow.is_infinite() && value.is_finite());
                    narrow
                }));
            }
        }
    }

    /// Converts a number that is text, rounded once.
    pub(crate) fn push_text(&mut self, text: &str, line: u64) -> Result<(), ParseFloatError> {
        let narrow: f32 = text.parse()?;
        let ordinary = if self.form == Form::Probabilities { narrow > 0.0 && narrow < 1.0 } else { narrow.is_finite() };
        if ordinary {
            self.f32.push(narrow);
            return Ok(());
        }
        // Only f64 can tell what these are.
        let value: f64 = text.parse()?;
        match self.form {
            Form::Probabilities => self.push_probability(value, narrow, Some((text, line))),
            _ if value.is_nan() => self.push_unrepresentable(text.to_owned(), Some(line)),
            _ => {
                self.overflowed += u64::from(value.is_finite() && narrow.is_infinite());
                self.f32.push(narrow);
            }
        }
        Ok(())
    }

    fn push_probability(&mut self, value: f64, narrow: f32, text: Option<(&str, u64)>) {
        if (0.0..=1.0).contains(&value) {
            self.saturated += u64::from((narrow == 0.0 && value != 0.0) || (narrow == 1.0 && value != 1.0));
            self.f32.push(narrow);
        } else {
            let shown = text.map_or_else(|| value.to_string(), |(text, _)| text.to_owned());
            self.push_unrepresentable(shown, text.map(|(_, line)| line));
        }
    }

    fn push_unrepresentable(&mut self, text: String, line: Option<u64>) {
        self.unrepresentable.add(self.f32.len(), || text, line);
        self.f32.push(f32::NAN);
    }

    /// Remarks on the conversion, for the reader of the result.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        let narrowed = self.narrowed.then(|| "f64 predictions were narrowed to f32".to_owned());
        let overflowed = (self.overflowed > 0)
            .then(|| format!("{} finite predictions are too large for f32 and became infinite", self.overflowed));
        let saturated = (self.saturated > 0).then(|| {
            format!("{} probabilities between 0 and 1 became 0 or 1 in f32: pass logits instead", self.saturated)
        });
        [narrowed, overflowed, saturated].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_of_range_is_counted() -> Result<(), ParseFloatError> {
        let mut logits = Predictions::new(Form::Logits, Number::F64, false);
        logits.narrow([1e300, f64::INFINITY, 1.0].into_iter());
        logits.push_text("-1e39", 2)?;
        assert_eq!(logits.overflowed, 2);
        let mut probabilities = Predictions::new(Form::Probabilities, Number::F64, false);
        probabilities.narrow([0.0, 1e-300, 1.0 - f64::EPSILON, 1.0].into_iter());
        probabilities.push_text("0.99999999999", 2)?;
        assert_eq!(probabilities.saturated, 3);
        Ok(())
    }
}
