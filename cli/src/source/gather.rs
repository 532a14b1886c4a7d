//! Values on their way from a file's types to the library's: predictions become f32 (or stay f16 or bf16), labels
//! become u8 while they are hard and f32 where they are not.
//!
//! No invalid value becomes a valid one on the way, or the other way round: a label of 256 is not 0, a probability
//! just above 1 is not 1. What would change so is passed on as another invalid value and remembered as it was, and
//! the library finds the first of all invalid values as always.

use std::num::ParseFloatError;

use logloss::{
    Floats, Form, Targets,
    half::{bf16, f16},
};

use super::number::{Number, Stored};

/// An invalid value that could not be passed on as it was.
#[derive(Clone, Debug)]
pub struct Odd {
    /// Its index in the part.
    pub index: usize,
    /// How the file has it.
    pub shown: String,
    /// The line it is on, in a text file.
    pub line: Option<u64>,
}

/// Predictions of one part, gathered.
#[derive(Debug)]
pub struct Predictions {
    form: Form,
    number: Number,
    f32: Vec<f32>,
    f16: Vec<f16>,
    bf16: Vec<bf16>,
    odd: Option<Odd>,
    /// Finite values that f32 has no room for.
    overflowed: u64,
    /// Probabilities between 0 and 1 that are 0 or 1 in f32.
    saturated: u64,
}

impl Predictions {
    /// For predictions of the given form, stored as `number`.
    pub fn new(form: Form, number: Number) -> Self {
        let (f32, f16, bf16) = Default::default();
        Self { form, number, f32, f16, bf16, odd: None, overflowed: 0, saturated: 0 }
    }

    /// Forgets the values.
    pub fn clear(&mut self) {
        self.f32.clear();
        self.f16.clear();
        self.bf16.clear();
        self.odd = None;
    }

    /// Number of values gathered.
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// The values gathered.
    pub fn view(&self) -> Floats<'_> {
        match self.number {
            Number::F16 => Floats::F16(&self.f16),
            Number::Bf16 => Floats::Bf16(&self.bf16),
            _ => Floats::F32(&self.f32),
        }
    }

    /// The first value that could not be passed on as it was.
    pub fn odd(&self) -> Option<&Odd> {
        self.odd.as_ref()
    }

    /// Where f32 values go.
    pub fn f32(&mut self) -> &mut Vec<f32> {
        &mut self.f32
    }

    /// Where f16 values go.
    pub fn f16(&mut self) -> &mut Vec<f16> {
        &mut self.f16
    }

    /// Gathers values as they lie in a file.
    pub fn decode(&mut self, bytes: &[u8], big_endian: bool) {
        match self.number {
            Number::F16 => self.f16.extend(f16::read(bytes, big_endian)),
            Number::Bf16 => self.bf16.extend(bf16::read(bytes, big_endian)),
            Number::F32 => self.f32.extend(f32::read(bytes, big_endian)),
            _ => self.narrow(f64::read(bytes, big_endian)),
        }
    }

    /// Gathers f64 values, as f32.
    pub fn narrow(&mut self, values: impl Iterator<Item = f64>) {
        match self.form {
            Form::Logits => {
                let overflowed = &mut self.overflowed;
                self.f32.extend(values.map(|value| {
                    let narrow = value as f32;
                    *overflowed += u64::from(narrow.is_infinite() && value.is_finite());
                    narrow
                }));
            }
            Form::Probabilities => values.for_each(|value| self.push_probability(value, value as f32, None)),
        }
    }

    /// Gathers a number that is text, rounded once.
    pub fn push_text(&mut self, text: &str, line: u64) -> Result<(), ParseFloatError> {
        let narrow: f32 = text.parse()?;
        let ordinary = match self.form {
            Form::Logits => narrow.is_finite(),
            Form::Probabilities => narrow > 0.0 && narrow < 1.0,
        };
        if ordinary {
            self.f32.push(narrow);
            return Ok(());
        }
        // Only f64 tells what these are.
        let value: f64 = text.parse()?;
        match self.form {
            Form::Probabilities => self.push_probability(value, narrow, Some((text, line))),
            Form::Logits if value.is_nan() => self.push_odd(text.to_owned(), Some(line)),
            Form::Logits => {
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
            self.push_odd(shown, text.map(|(_, line)| line));
        }
    }

    fn push_odd(&mut self, shown: String, line: Option<u64>) {
        let index = self.f32.len();
        self.odd.get_or_insert(Odd { index, shown, line });
        self.f32.push(f32::NAN);
    }

    /// What a reader of the result should know.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        let narrowed = (self.number == Number::F64).then(|| "f64 predictions were narrowed to f32".to_owned());
        let overflowed = (self.overflowed > 0)
            .then(|| format!("{} finite predictions are too large for f32 and became infinite", self.overflowed));
        let saturated = (self.saturated > 0).then(|| {
            format!("{} probabilities between 0 and 1 became 0 or 1 in f32: pass logits instead", self.saturated)
        });
        [narrowed, overflowed, saturated].into_iter().flatten()
    }
}

/// Labels of one part, gathered.
#[derive(Debug, Default)]
pub struct Labels {
    hard: Vec<u8>,
    soft: Vec<f32>,
    is_soft: bool,
    odd: Option<Odd>,
    narrowed: bool,
}

/// What stands in for an integer that is no label.
const NO_LABEL: u8 = u8::MAX;

/// A number that may be a label.
pub trait Label: Copy + ToString {
    /// 0 or 1, and whether that is what it is.
    fn hard(self) -> (u8, bool);
    /// Its value as a probability, for a type that has any other than 0 and 1.
    fn soft(self) -> Option<f64>;
}

macro_rules! integers {
    ($($number:ty),*) => {$(
        impl Label for $number {
            fn hard(self) -> (u8, bool) {
                (self as u8, self == 0 || self == 1)
            }
            fn soft(self) -> Option<f64> {
                None
            }
        }
    )*};
}
integers!(u8, i8, u16, i16, u32, i32, u64, i64);

impl Label for f64 {
    fn hard(self) -> (u8, bool) {
        (u8::from(self == 1.0), self == 0.0 || self == 1.0)
    }
    fn soft(self) -> Option<f64> {
        Some(self)
    }
}

impl Labels {
    /// Forgets the values.
    pub fn clear(&mut self) {
        self.hard.clear();
        self.soft.clear();
        self.is_soft = false;
        self.odd = None;
    }

    /// Number of values gathered.
    pub fn len(&self) -> usize {
        self.hard.len() + self.soft.len()
    }

    /// The values gathered.
    pub fn view(&self) -> Targets<'_> {
        if self.is_soft { Targets::F32(&self.soft) } else { Targets::U8(&self.hard) }
    }

    /// The first value that could not be passed on as it was.
    pub fn odd(&self) -> Option<&Odd> {
        self.odd.as_ref()
    }

    /// Gathers values of type `number` as they lie in a file.
    pub fn decode(&mut self, number: Number, bytes: &[u8], big_endian: bool) {
        match number {
            Number::Bool | Number::U8 => self.extend(u8::read(bytes, big_endian)),
            Number::I8 => self.extend(i8::read(bytes, big_endian)),
            Number::U16 => self.extend(u16::read(bytes, big_endian)),
            Number::I16 => self.extend(i16::read(bytes, big_endian)),
            Number::U32 => self.extend(u32::read(bytes, big_endian)),
            Number::I32 => self.extend(i32::read(bytes, big_endian)),
            Number::U64 => self.extend(u64::read(bytes, big_endian)),
            Number::I64 => self.extend(i64::read(bytes, big_endian)),
            Number::F16 => self.extend(f16::read(bytes, big_endian).map(f64::from)),
            Number::Bf16 => self.extend(bf16::read(bytes, big_endian).map(f64::from)),
            Number::F32 => self.extend(f32::read(bytes, big_endian).map(f64::from)),
            Number::F64 => self.extend(f64::read(bytes, big_endian)),
        }
    }

    /// Gathers values.
    pub fn extend<T: Label>(&mut self, values: impl Iterator<Item = T> + Clone) {
        if !self.is_soft {
            // Nearly always all there is to do, without a branch.
            let before = self.hard.len();
            let mut all_hard = true;
            self.hard.extend(values.clone().map(|value| {
                let (byte, is_hard) = value.hard();
                all_hard &= is_hard;
                byte
            }));
            if all_hard {
                return;
            }
            self.hard.truncate(before);
        }
        values.for_each(|value| self.push(value, None));
    }

    /// Gathers one value.
    pub fn push<T: Label>(&mut self, value: T, line: Option<u64>) {
        let index = self.len();
        let mut odd = || {
            self.odd.get_or_insert_with(|| Odd { index, shown: value.to_string(), line });
        };
        match (value.hard(), value.soft()) {
            ((byte, true), _) if self.is_soft => self.soft.push(byte.into()),
            ((byte, true), _) => self.hard.push(byte),
            (_, None) => {
                odd();
                self.hard.push(NO_LABEL);
            }
            (_, Some(value)) => {
                let valid = (0.0..=1.0).contains(&value);
                if !valid {
                    odd();
                }
                if !self.is_soft {
                    self.is_soft = true;
                    self.soft.extend(self.hard.drain(..).map(f32::from));
                }
                let narrow = value as f32;
                self.narrowed |= valid && f64::from(narrow) != value;
                self.soft.push(if valid { narrow } else { f32::NAN });
            }
        }
    }

    /// What a reader of the result should know.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        self.narrowed.then(|| "labels were rounded to f32".to_owned()).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(values: &[i64]) -> Labels {
        let mut labels = Labels::default();
        labels.extend(values.iter().copied());
        labels
    }

    #[test]
    fn integers_do_not_alias() {
        for wrong in [2, -1, 255, 256, 257, 1 << 32, (1 << 32) + 1, i64::MIN, i64::MAX] {
            let labels = gathered(&[0, 1, wrong, 3]);
            assert!(matches!(labels.view(), Targets::U8([0, 1, NO_LABEL, NO_LABEL])));
            let odd = labels.odd().expect("an odd one");
            assert_eq!((odd.index, &odd.shown), (2, &wrong.to_string()));
        }
        assert!(gathered(&[0, 1]).odd().is_none());
    }

    #[test]
    fn floats_are_hard_until_they_are_not() {
        let mut labels = Labels::default();
        labels.extend([0.0, 1.0, -0.0].into_iter());
        assert!(matches!(labels.view(), Targets::U8([0, 1, 0])));
        labels.extend([1.0, 0.25].into_iter());
        labels.extend([1.0].into_iter());
        assert!(matches!(labels.view(), Targets::F32(soft) if *soft == [0.0, 1.0, 0.0, 1.0, 0.25, 1.0]));
        assert!(labels.odd().is_none());
        labels.clear();
        labels.extend([1.0].into_iter());
        assert!(matches!(labels.view(), Targets::U8([1])));
    }

    #[test]
    fn out_of_range_by_less_than_f32_sees() -> Result<(), ParseFloatError> {
        let above = 1.0 + f64::EPSILON;
        for wrong in [above, -1e-300, f64::NAN, f64::INFINITY] {
            let mut labels = Labels::default();
            labels.extend([0.5, wrong].into_iter());
            assert!(matches!(labels.view(), Targets::F32(soft) if soft[1].is_nan()), "{wrong}");
            assert_eq!(labels.odd().expect("an odd one").shown, wrong.to_string());

            let mut predictions = Predictions::new(Form::Probabilities, Number::F64);
            predictions.narrow([0.5, wrong].into_iter());
            predictions.push_text(&wrong.to_string(), 4)?;
            assert!(matches!(predictions.view(), Floats::F32(p) if p[1].is_nan() && !(0.0..=1.0).contains(&p[2])));
            assert_eq!(predictions.odd().expect("an odd one").index, 1);
        }
        Ok(())
    }

    #[test]
    fn loss_of_range_is_counted() -> Result<(), ParseFloatError> {
        let mut logits = Predictions::new(Form::Logits, Number::F64);
        logits.narrow([1e300, f64::INFINITY, 1.0].into_iter());
        logits.push_text("-1e39", 2)?;
        assert_eq!(logits.overflowed, 2);
        let mut probabilities = Predictions::new(Form::Probabilities, Number::F64);
        probabilities.narrow([0.0, 1e-300, 1.0 - f64::EPSILON, 1.0].into_iter());
        probabilities.push_text("0.99999999999", 2)?;
        assert_eq!(probabilities.saturated, 3);
        Ok(())
    }
}
