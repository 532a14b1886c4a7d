//! Conversion of predictions to f32. f16, bf16 and probabilities in f64 stay as they are: the engine keeps the digits of
//! both p and 1 − p.

use std::{mem, num::ParseFloatError};

use logloss::{
    Floats, Form,
    half::{bf16, f16},
};

use super::{UnrepresentableValues, has_many_digits, interleave, is_written_in_digits};
use crate::number::{Number, Stored};

/// Predictions of one part, converted.
#[derive(Debug)]
pub(crate) struct Predictions {
    form: Form,
    number: Number,
    f32: Vec<f32>,
    f16: Vec<f16>,
    bf16: Vec<bf16>,
    f64: Vec<f64>,
    unrepresentable: UnrepresentableValues,
    /// Whether f64 values became f32.
    narrowed: bool,
    /// Whether there are values among them that were written with more digits than f32 keeps.
    rounded: bool,
    /// The number of finite values that are beyond the range of f32.
    overflowed: u64,
    /// The number of probabilities as text between 0 and 1 that are 0 or 1 in f64.
    saturated: u64,
}

impl Predictions {
    /// For predictions of the given form, stored as `number`.
    pub(crate) fn new(form: Form, number: Number, may_skip: bool) -> Self {
        let (f32, f16, bf16, f64) = Default::default();
        let unrepresentable = UnrepresentableValues::new(may_skip);
        let narrowed = number == Number::F64 && form != Form::Probabilities;
        Self {
            form,
            number,
            f32,
            f16,
            bf16,
            f64,
            unrepresentable,
            narrowed,
            rounded: false,
            overflowed: 0,
            saturated: 0,
        }
    }

    /// For predictions of the given form, stored as text.
    pub(crate) fn of_text(form: Form, may_skip: bool) -> Self {
        // A logit as text is rounded to f32 once.
        Self::new(form, if form == Form::Probabilities { Number::F64 } else { Number::F32 }, may_skip)
    }

    /// Whether the values are kept as f64.
    fn keeps_f64(&self) -> bool {
        self.number == Number::F64 && self.form == Form::Probabilities
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
            let rows = columns.first().map_or(0, Self::len);
            let values = (0..rows).flat_map(|row| columns.iter().map(move |column| column.view().get(row)));
            if columns.iter().any(Self::keeps_f64) {
                self.number = Number::F64;
                self.f64.extend(values);
            } else {
                self.number = Number::F32;
                // (Every value is an f32, widened.)
                self.f32.extend(values.map(|value| value as f32));
            }
        }
        self.unrepresentable.join(columns.iter().map(|column| &column.unrepresentable));
        columns.iter_mut().for_each(|column| self.note(column));
    }

    /// Takes over the notes on others, and leaves their values.
    pub(crate) fn note(&mut self, others: &mut Self) {
        self.narrowed |= others.narrowed;
        self.rounded |= others.rounded;
        self.overflowed += mem::take(&mut others.overflowed);
        self.saturated += mem::take(&mut others.saturated);
    }

    /// Forgets the values.
    pub(crate) fn clear(&mut self) {
        self.f32.clear();
        self.f16.clear();
        self.bf16.clear();
        self.f64.clear();
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
            Number::F64 if self.keeps_f64() => Floats::F64(&self.f64),
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
            _ => self.extend(f64::read(bytes, big_endian)),
        }
    }

    /// Takes f64 values: probabilities as they are, logits as f32.
    pub(crate) fn extend(&mut self, values: impl Iterator<Item = f64>) {
        if self.keeps_f64() {
            self.f64.extend(values);
            return;
        }
        let overflowed = &mut self.overflowed;
        self.f32.extend(values.map(|value| {
            let narrow = value as f32;
            *overflowed += u64::from(narrow.is_infinite() && value.is_finite());
            narrow
        }));
    }

    /// Converts a number that is text, rounded once.
    pub(crate) fn push_text(&mut self, text: &str, line: u64) -> Result<(), ParseFloatError> {
        if self.keeps_f64() {
            let value: f64 = text.parse()?;
            if !(0.0..=1.0).contains(&value) || leaves_unit_interval(text, value) {
                self.unrepresentable.add(self.f64.len(), || text.to_owned(), Some(line));
                self.f64.push(if (0.0..=1.0).contains(&value) { f64::NAN } else { value });
                return Ok(());
            }
            if value == 0.0 || value == 1.0 {
                self.saturated += u64::from(!is_written_as(text, value));
            }
            self.f64.push(value);
            return Ok(());
        }
        let narrow: f32 = text.parse()?;
        self.rounded = self.rounded || has_many_digits(text);
        if narrow.is_nan() {
            self.unrepresentable.add(self.f32.len(), || text.to_owned(), Some(line));
        }
        // 1e400 is beyond f64 too, but it was not written as infinity.
        self.overflowed += u64::from(narrow.is_infinite() && is_written_in_digits(text));
        self.f32.push(narrow);
        Ok(())
    }

    /// Adds a value that is missing in a text file.
    pub(crate) fn push_missing(&mut self, line: u64) {
        self.unrepresentable.add_missing(self.len(), Some(line));
        if self.keeps_f64() {
            self.f64.push(f64::NAN);
        } else {
            self.f32.push(f32::NAN);
        }
    }

    /// Notes that the value at an index is missing.
    pub(crate) fn note_missing(&mut self, index: usize) {
        self.unrepresentable.add_missing(index, None);
    }

    /// Remarks on the conversion, for the reader of the result.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        let narrowed = self.narrowed.then(|| "f64 predictions were narrowed to f32".to_owned());
        let rounded =
            self.rounded.then(|| "predictions with more digits than f32 keeps were rounded to f32".to_owned());
        let overflowed = (self.overflowed > 0)
            .then(|| format!("{} finite predictions are too large for f32 and became infinite", self.overflowed));
        let saturated = (self.saturated > 0).then(|| {
            format!("{} probabilities between 0 and 1 became 0 or 1 in f64: pass logits instead", self.saturated)
        });
        [narrowed, rounded, overflowed, saturated].into_iter().flatten()
    }
}

/// Whether the text of a number that is 0 or 1 in f64 stands for one that is below 0 or above 1.
fn leaves_unit_interval(text: &str, value: f64) -> bool {
    let is_certain = value == 0.0 || value == 1.0;
    // Digits of a number next to 1 begin with 1 above it, and with 9 below it.
    let begins = text.chars().find(|digit| ('1'..='9').contains(digit));
    is_certain && !is_written_as(text, value) && if value == 1.0 { begins == Some('1') } else { text.starts_with('-') }
}

/// Whether the text of a number that is 0 or 1 in f64 stands for just that number.
fn is_written_as(text: &str, value: f64) -> bool {
    let digits = text.split(['e', 'E']).next().unwrap_or_default();
    let digits = digits.chars().filter(char::is_ascii_digit).skip_while(|&digit| digit == '0');
    let significant = digits.collect::<String>();
    significant.trim_end_matches('0') == if value == 0.0 { "" } else { "1" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_of_range_is_counted() -> Result<(), ParseFloatError> {
        let mut logits = Predictions::new(Form::Logits, Number::F64, false);
        logits.extend([1e300, f64::INFINITY, 1.0].into_iter());
        for text in ["-1e39", "1e400", "inf", "-Infinity", "3"] {
            logits.push_text(text, 2)?;
        }
        assert_eq!(logits.overflowed, 3);
        let mut probabilities = Predictions::of_text(Form::Probabilities, false);
        for text in ["0", "0.000", "-0", "1", "1.00", "10e-1", "0.99999999999", "1e-300", "0e5"] {
            probabilities.push_text(text, 2)?;
        }
        assert_eq!(probabilities.saturated, 0);
        for text in ["1e-400", "0.99999999999999999999", "99999999999999999999e-20"] {
            probabilities.push_text(text, 2)?;
        }
        assert_eq!(probabilities.saturated, 3);
        assert!(matches!(probabilities.view(), Floats::F64([.., 0.0, 1.0, 1.0])));
        for text in ["1.00000000000000000001", "10000000000000000000001e-22", "-1e-400"] {
            let index = probabilities.len();
            probabilities.push_text(text, 7)?;
            assert!(probabilities.view().get(index).is_nan(), "{text}");
        }
        assert_eq!(
            probabilities.unrepresentable().find(12).map(|value| value.text.as_str()),
            Some("1.00000000000000000001")
        );
        Ok(())
    }
}
