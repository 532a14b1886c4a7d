//! Values on their way from a file's types to the library's: predictions become f32 (or stay f16 or bf16), labels
//! become u8 while they are hard and f32 where they are not.
//!
//! No invalid value becomes a valid one on the way, or the other way round: a label of 256 is not 0, a probability
//! just above 1 is not 1. What would change so is passed on as another invalid value and remembered as it was, and
//! the library finds the first of all invalid values as always.

use std::{mem, num::ParseFloatError};

use logloss::{
    Floats, Form, Ignore, Targets,
    half::{bf16, f16},
};

use super::{
    Wish,
    number::{Number, Stored},
};
use crate::args::IgnoreLabel;

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

/// The invalid values of a part that could not be passed on as they were.
#[derive(Clone, Debug, Default)]
pub struct Odds {
    list: Vec<Odd>,
    /// Whether each of them is kept. The first will do, unless it may be left out of the evaluation.
    every: bool,
}

impl Odds {
    /// Keeps the first, or every one.
    pub fn new(every: bool) -> Self {
        Self { list: Vec::new(), every }
    }

    /// The one at that index of the part.
    pub fn find(&self, index: usize) -> Option<&Odd> {
        self.list.iter().find(|odd| odd.index == index)
    }

    fn add(&mut self, index: usize, shown: impl FnOnce() -> String, line: Option<u64>) {
        if self.every || self.list.is_empty() {
            self.list.push(Odd { index, shown: shown(), line });
        }
    }

    fn clear(&mut self) {
        self.list.clear();
    }

    /// Those of several columns that were put together row by row.
    fn join<'a>(&mut self, columns: impl ExactSizeIterator<Item = &'a Odds>) {
        let classes = columns.len();
        for (class, column) in columns.enumerate() {
            self.list.extend(column.list.iter().map(|odd| Odd { index: odd.index * classes + class, ..odd.clone() }));
        }
    }
}

/// Predictions of one part, gathered.
#[derive(Debug)]
pub struct Predictions {
    form: Form,
    number: Number,
    f32: Vec<f32>,
    f16: Vec<f16>,
    bf16: Vec<bf16>,
    odds: Odds,
    /// Whether there are f64 values among them.
    narrowed: bool,
    /// Finite values that f32 has no room for.
    overflowed: u64,
    /// Probabilities between 0 and 1 that are 0 or 1 in f32.
    saturated: u64,
}

impl Predictions {
    /// For predictions of the given form, stored as `number`.
    pub fn new(form: Form, number: Number, every_odd: bool) -> Self {
        let (f32, f16, bf16) = Default::default();
        let (odds, narrowed) = (Odds::new(every_odd), number == Number::F64);
        Self { form, number, f32, f16, bf16, odds, narrowed, overflowed: 0, saturated: 0 }
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        self.clear();
        (self.overflowed, self.saturated) = (0, 0);
    }

    /// Puts columns together, row by row.
    pub fn join(&mut self, columns: &mut [Self]) {
        self.clear();
        if columns.iter().all(|column| column.number == Number::F16) {
            self.number = Number::F16;
            interleave(columns, |column| &column.f16, &mut self.f16);
        } else {
            self.number = Number::F32;
            let rows = columns.first().map_or(0, Self::len);
            self.f32.extend((0..rows).flat_map(|row| columns.iter().map(move |column| column.widened(row))));
        }
        self.odds.join(columns.iter().map(|column| &column.odds));
        columns.iter_mut().for_each(|column| self.note(column));
    }

    /// Takes over what is to be said of others, and leaves their values.
    pub fn note(&mut self, others: &mut Self) {
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
    pub fn clear(&mut self) {
        self.f32.clear();
        self.f16.clear();
        self.bf16.clear();
        self.odds.clear();
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

    /// The values that could not be passed on as they were.
    pub fn odds(&self) -> &Odds {
        &self.odds
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
        self.odds.add(self.f32.len(), || shown, line);
        self.f32.push(f32::NAN);
    }

    /// What a reader of the result should know.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        let narrowed = self.narrowed.then(|| "f64 predictions were narrowed to f32".to_owned());
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
    ignore: Option<IgnoreLabel>,
    /// Whether any number is a label: positive above 0, else negative.
    any_number: bool,
    /// Whether they are soft from the start: floats, where NaN is what is ignored.
    always_soft: bool,
    odds: Odds,
    narrowed: bool,
}

/// What stands in for an integer that is no label.
const NO_LABEL: u8 = 254;
/// What stands in for the label that is to be ignored.
const IGNORED: u8 = 255;
/// What stands in for a float that is no label, where NaN is what is ignored.
const NO_SOFT_LABEL: f32 = 2.0;

/// A number that may be a label.
pub trait Label: Copy + ToString {
    /// 0 or 1, and whether that is what it is.
    fn hard(self) -> (u8, bool);
    /// Its value as a probability, for a type that has any other than 0 and 1.
    fn soft(self) -> Option<f64>;
    /// Whether it is above 0, if it is a number.
    fn positive(self) -> Option<bool>;
    /// Whether it is the one to be ignored.
    fn is(self, label: IgnoreLabel) -> bool;
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
            fn positive(self) -> Option<bool> {
                Some(self > 0)
            }
            fn is(self, label: IgnoreLabel) -> bool {
                label == IgnoreLabel::Integer(self.into())
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
    fn positive(self) -> Option<bool> {
        (!self.is_nan()).then_some(self > 0.0)
    }
    fn is(self, label: IgnoreLabel) -> bool {
        match label {
            IgnoreLabel::Integer(label) => self == label as f64,
            IgnoreLabel::Nan => self.is_nan(),
        }
    }
}

impl Labels {
    /// For labels that are to be read so. Where some of the columns that make up a part are floats, all are to be.
    pub fn new(wish: Wish, floats: bool) -> Self {
        let Wish { ignore, any_number, every_odd, .. } = wish;
        // Where any number is a label, it is NaN that is none: it cannot stand for another that is ignored.
        let always_soft = floats
            && match ignore {
                None => false,
                Some(IgnoreLabel::Integer(_)) => !any_number,
                Some(IgnoreLabel::Nan) => true,
            };
        let odds = Odds::new(every_odd);
        Self { ignore, any_number, always_soft, is_soft: always_soft, odds, ..Self::default() }
    }

    /// 0 or 1, and whether that is what it is, or is taken for.
    fn hard<T: Label>(any_number: bool, value: T) -> (u8, bool) {
        match (any_number, value.positive()) {
            (false, _) => value.hard(),
            (true, Some(positive)) => (positive.into(), true),
            (true, None) => (NO_LABEL, false),
        }
    }

    /// How those that are to be ignored are told from the others.
    pub fn ignore(&self) -> Option<Ignore> {
        self.ignore.map(|_| if self.always_soft { Ignore::Nan } else { Ignore::Label(IGNORED) })
    }

    /// Forgets the values.
    pub fn clear(&mut self) {
        self.hard.clear();
        self.soft.clear();
        self.is_soft = self.always_soft;
        self.odds.clear();
    }

    /// Puts columns together, row by row.
    pub fn join(&mut self, columns: &[Self]) {
        self.clear();
        self.is_soft = columns.iter().any(|column| column.is_soft);
        if self.is_soft {
            let rows = columns.first().map_or(0, Self::len);
            self.soft.extend((0..rows).flat_map(|row| columns.iter().map(move |column| column.softened(row))));
        } else {
            interleave(columns, |column| &column.hard, &mut self.hard);
        }
        self.odds.join(columns.iter().map(|column| &column.odds));
        columns.iter().for_each(|column| self.note(column));
    }

    /// Takes over what is to be said of others.
    pub fn note(&mut self, others: &Self) {
        self.narrowed |= others.narrowed;
    }

    fn softened(&self, row: usize) -> f32 {
        if self.is_soft { self.soft[row] } else { self.hard[row].into() }
    }

    /// Number of values gathered.
    pub fn len(&self) -> usize {
        self.hard.len() + self.soft.len()
    }

    /// The values gathered.
    pub fn view(&self) -> Targets<'_> {
        if self.is_soft { Targets::F32(&self.soft) } else { Targets::U8(&self.hard) }
    }

    /// The values that could not be passed on as they were.
    pub fn odds(&self) -> &Odds {
        &self.odds
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
        if !self.is_soft && self.ignore.is_none() {
            // Nearly always all there is to do, without a branch: a look at all of them, then all of them.
            let any_number = self.any_number;
            let hard = |value| Self::hard(any_number, value);
            if values.clone().fold(true, |all, value| all & hard(value).1) {
                self.hard.extend(values.map(|value| hard(value).0));
                return;
            }
        }
        values.for_each(|value| self.push(value, None));
    }

    /// Gathers one value.
    pub fn push<T: Label>(&mut self, value: T, line: Option<u64>) {
        let index = self.len();
        if self.ignore.is_some_and(|label| value.is(label)) {
            if self.is_soft {
                self.soft.push(if self.always_soft { f32::NAN } else { IGNORED.into() })
            } else {
                self.hard.push(IGNORED)
            }
            return;
        }
        let no_label = if self.always_soft { NO_SOFT_LABEL } else { f32::NAN };
        match (Self::hard(self.any_number, value), value.soft()) {
            ((byte, true), _) if self.is_soft => self.soft.push(byte.into()),
            ((byte, true), _) => self.hard.push(byte),
            (_, None) => {
                self.odds.add(index, || value.to_string(), line);
                if self.is_soft { self.soft.push(no_label) } else { self.hard.push(NO_LABEL) }
            }
            (_, Some(soft)) => {
                let valid = (0.0..=1.0).contains(&soft);
                if !valid {
                    self.odds.add(index, || value.to_string(), line);
                }
                if !self.is_soft {
                    self.is_soft = true;
                    self.soft.extend(self.hard.drain(..).map(f32::from));
                }
                let narrow = soft as f32;
                self.narrowed |= valid && f64::from(narrow) != soft;
                self.soft.push(if valid { narrow } else { no_label });
            }
        }
    }

    /// What a reader of the result should know.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        self.narrowed.then(|| "labels were rounded to f32".to_owned()).into_iter()
    }
}

/// Weights of one part, gathered.
#[derive(Debug)]
pub struct Weights {
    number: Number,
    f32: Vec<f32>,
    f16: Vec<f16>,
    odds: Odds,
    narrowed: bool,
}

impl Weights {
    /// For weights stored as `number`.
    pub fn new(number: Number, every_odd: bool) -> Self {
        Self { number, f32: Vec::new(), f16: Vec::new(), odds: Odds::new(every_odd), narrowed: false }
    }

    /// Forgets the values.
    pub fn clear(&mut self) {
        self.f32.clear();
        self.f16.clear();
        self.odds.clear();
    }

    /// Puts columns together, row by row.
    pub fn join(&mut self, columns: &[Self]) {
        self.clear();
        if columns.iter().all(|column| column.number == Number::F16) {
            self.number = Number::F16;
            interleave(columns, |column| &column.f16, &mut self.f16);
        } else {
            self.number = Number::F32;
            let rows = columns.first().map_or(0, |column| column.f16.len() + column.f32.len());
            self.f32.extend((0..rows).flat_map(|row| columns.iter().map(move |column| column.widened(row))));
        }
        self.odds.join(columns.iter().map(|column| &column.odds));
        columns.iter().for_each(|column| self.note(column));
    }

    /// Takes over what is to be said of others.
    pub fn note(&mut self, others: &Self) {
        self.narrowed |= others.narrowed;
    }

    fn widened(&self, row: usize) -> f32 {
        if self.number == Number::F16 { self.f16[row].into() } else { self.f32[row] }
    }

    /// The values gathered.
    pub fn view(&self) -> logloss::Weights<'_> {
        match self.number {
            Number::F16 => logloss::Weights::F16(&self.f16),
            _ => logloss::Weights::F32(&self.f32),
        }
    }

    /// The values that could not be passed on as they were.
    pub fn odds(&self) -> &Odds {
        &self.odds
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

    /// Gathers f64 values, as f32.
    pub fn narrow(&mut self, values: impl Iterator<Item = f64>) {
        values.for_each(|value| self.push(value, value as f32, None));
    }

    /// Gathers a number that is text, rounded once.
    pub fn push_text(&mut self, text: &str, line: u64) -> Result<(), ParseFloatError> {
        let narrow: f32 = text.parse()?;
        if narrow > 0.0 && narrow.is_finite() {
            self.f32.push(narrow);
        } else {
            // Only f64 tells what these are.
            self.push(text.parse()?, narrow, Some((text, line)));
        }
        Ok(())
    }

    fn push(&mut self, value: f64, narrow: f32, text: Option<(&str, u64)>) {
        if value >= 0.0 && narrow.is_finite() {
            self.narrowed |= f64::from(narrow) != value;
            self.f32.push(narrow);
        } else {
            let shown = || text.map_or_else(|| short(value), |(text, _)| text.to_owned());
            self.odds.add(self.f32.len(), shown, text.map(|(_, line)| line));
            self.f32.push(f32::NAN);
        }
    }

    /// What a reader of the result should know.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        self.narrowed.then(|| "weights were rounded to f32".to_owned()).into_iter()
    }
}

/// A number without a row of zeros.
fn short(value: f64) -> String {
    let ordinary = value == 0.0 || !value.is_finite() || (1e-5..1e16).contains(&value.abs());
    if ordinary { value.to_string() } else { format!("{value:e}") }
}

/// Puts columns of one type together, row by row.
fn interleave<C, T: Copy>(columns: &[C], values: impl Fn(&C) -> &Vec<T>, into: &mut Vec<T>) {
    let columns: Vec<&[T]> = columns.iter().map(|column| values(column).as_slice()).collect();
    let rows = columns.first().map_or(0, |column| column.len());
    into.reserve(rows * columns.len());
    (0..rows).for_each(|row| into.extend(columns.iter().map(|column| column[row])));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(ignore: Option<IgnoreLabel>, any_number: bool) -> Wish {
        Wish { form: Form::Logits, ignore, any_number, every_odd: true }
    }

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
            assert_eq!(labels.odds().find(2).expect("an odd one").shown, wrong.to_string());
        }
        assert!(gathered(&[0, 1]).odds().list.is_empty());
    }

    #[test]
    fn floats_are_hard_until_they_are_not() {
        let mut labels = Labels::default();
        labels.extend([0.0, 1.0, -0.0].into_iter());
        assert!(matches!(labels.view(), Targets::U8([0, 1, 0])));
        labels.extend([1.0, 0.25].into_iter());
        labels.extend([1.0].into_iter());
        assert!(matches!(labels.view(), Targets::F32(soft) if *soft == [0.0, 1.0, 0.0, 1.0, 0.25, 1.0]));
        assert!(labels.odds().list.is_empty());
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
            assert_eq!(labels.odds().find(1).expect("an odd one").shown, wrong.to_string());

            let mut predictions = Predictions::new(Form::Probabilities, Number::F64, false);
            predictions.narrow([0.5, wrong].into_iter());
            predictions.push_text(&wrong.to_string(), 4)?;
            assert!(matches!(predictions.view(), Floats::F32(p) if p[1].is_nan() && !(0.0..=1.0).contains(&p[2])));
            assert_eq!(predictions.odds().find(1).expect("an odd one").shown, wrong.to_string());
        }
        Ok(())
    }

    #[test]
    fn the_label_to_ignore_is_told_from_invalid_ones() {
        for label in [-100, 255, 254, 1 << 40] {
            let mut labels = Labels::new(wish(Some(IgnoreLabel::Integer(label.into())), false), false);
            labels.extend([0i64, label, 1, 255, 254, -1].into_iter());
            let Targets::U8(seen) = labels.view() else { panic!("integers stay hard") };
            let expected = [0, label, 1, 255, 254, -1].map(|value| match value {
                0 | 1 => value as u8,
                value if value == label => IGNORED,
                _ => NO_LABEL,
            });
            assert_eq!(seen, expected);
            assert_eq!(labels.odds().find(5).expect("every odd one").shown, "-1");
        }
        let mut labels = Labels::new(wish(Some(IgnoreLabel::Integer(-1)), false), true);
        labels.extend([0.0, -1.0, f64::NAN, 0.5].into_iter());
        assert_eq!(labels.ignore(), Some(Ignore::Nan));
        assert!(matches!(labels.view(), Targets::F32([0.0, ignored, NO_SOFT_LABEL, 0.5]) if ignored.is_nan()));
    }

    #[test]
    fn any_number_is_a_label() {
        let integers = [0, 1, -1, 2, i64::MIN, 1 << 32, 256];
        let mut labels = Labels::new(wish(None, true), false);
        labels.extend(integers.into_iter());
        assert!(matches!(labels.view(), Targets::U8([0, 1, 0, 1, 0, 1, 1])));
        assert!(labels.odds().list.is_empty());
        let mut labels = Labels::new(wish(Some(IgnoreLabel::Integer(2)), true), false);
        labels.extend(integers.into_iter());
        assert!(matches!(labels.view(), Targets::U8([0, 1, 0, IGNORED, 0, 1, 1])));

        let floats = [-0.0, 1e-300, -1e-300, 2.0, f64::NAN, f64::NEG_INFINITY, f64::INFINITY];
        let seen = |ignore: Option<IgnoreLabel>| {
            let mut labels = Labels::new(wish(ignore, true), true);
            labels.extend(floats.into_iter());
            let Targets::F32(seen) = labels.view() else { panic!("NaN is soft") };
            let nan = labels.odds().find(4).map(|odd| odd.shown.clone());
            (seen.iter().map(|z| if z.is_nan() { -1.0 } else { *z }).collect::<Vec<_>>(), labels.ignore(), nan)
        };
        let nan = Some("NaN".to_owned());
        assert_eq!(seen(None), (vec![0.0, 1.0, 0.0, 1.0, -1.0, 0.0, 1.0], None, nan.clone()));
        assert_eq!(
            seen(Some(IgnoreLabel::Integer(2))),
            (vec![0.0, 1.0, 0.0, 255.0, -1.0, 0.0, 1.0], Some(Ignore::Label(IGNORED)), nan)
        );
        let ignoring_nan = (vec![0.0, 1.0, 0.0, 1.0, -1.0, 0.0, 1.0], Some(Ignore::Nan), None);
        assert_eq!(seen(Some(IgnoreLabel::Nan)), ignoring_nan);
    }

    #[test]
    fn weights_that_f32_would_make_valid() -> Result<(), ParseFloatError> {
        for wrong in [-1e-300, f64::NAN, f64::INFINITY, 1e39] {
            let mut weights = Weights::new(Number::F64, false);
            weights.narrow([0.5, wrong].into_iter());
            weights.push_text(&short(wrong), 4)?;
            assert!(matches!(weights.view(), logloss::Weights::F32([0.5, a, b]) if a.is_nan() && b.is_nan()));
            assert_eq!(weights.odds().find(1).expect("an odd one").shown, short(wrong));
        }
        Ok(())
    }

    #[test]
    fn columns_are_put_together_by_row() {
        let column = |values: [f64; 2]| {
            let mut column = Predictions::new(Form::Logits, Number::F64, false);
            column.narrow(values.into_iter());
            column
        };
        let mut joined = Predictions::new(Form::Logits, Number::F32, false);
        joined.join(&mut [column([1.0, 2.0]), column([3.0, 4.0])]);
        assert!(matches!(joined.view(), Floats::F32([1.0, 3.0, 2.0, 4.0])));
        let mut labels = Labels::default();
        let mut soft = gathered(&[]);
        soft.extend([0.5, 7.0].into_iter());
        labels.join(&[gathered(&[0, 1]), soft]);
        assert!(matches!(labels.view(), Targets::F32([0.0, 0.5, 1.0, _])));
        assert_eq!(labels.odds().find(3).expect("an odd one").shown, "7");
    }

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
