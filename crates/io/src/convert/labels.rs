//! Conversion of labels to u8, or to f32 where they are soft.

use logloss::{
    Ignore, Targets,
    half::{bf16, f16},
};

use super::{UnrepresentableValues, interleave};
use crate::{
    IgnoredLabel, ReadOptions,
    number::{Number, Stored},
};

/// Labels of one part, converted.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    hard: Vec<u8>,
    soft: Vec<f32>,
    is_soft: bool,
    ignored: Vec<IgnoredLabel>,
    /// Whether any number is a label: positive above 0, else negative.
    any_number_is_label: bool,
    /// Whether they are soft from the start: floats, and NaN stands for those that are ignored.
    always_soft: bool,
    unrepresentable: UnrepresentableValues,
    narrowed: bool,
}

/// The byte that stands for an integer that is no label.
const NO_LABEL: u8 = 254;
/// The byte that stands for any label that is ignored.
const IGNORED: u8 = 255;
/// The float that stands for one that is no label, where NaN stands for those that are ignored.
const NO_SOFT_LABEL: f32 = 2.0;

/// A number that may be a label.
pub(crate) trait Label: Copy + ToString {
    /// The value as 0 or 1, and whether it equals that.
    fn hard(self) -> (u8, bool);
    /// Its value as a probability, for a type that has any other than 0 and 1.
    fn soft(self) -> Option<f64>;
    /// Whether it is above 0, if it is a number.
    fn positive(self) -> Option<bool>;
    /// Whether it is this label.
    fn is(self, label: IgnoredLabel) -> bool;
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
            fn is(self, label: IgnoredLabel) -> bool {
                label == IgnoredLabel::Integer(self.into())
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
    fn is(self, label: IgnoredLabel) -> bool {
        match label {
            IgnoredLabel::Integer(label) => self == label as f64,
            IgnoredLabel::Nan => self.is_nan(),
        }
    }
}

impl Labels {
    /// No labels yet. `floats` says whether they are floats in any of the columns that make up a part.
    pub(crate) fn new(options: &ReadOptions, floats: bool) -> Self {
        let any_number_is_label = options.any_number_is_label;
        // Where any number is a label, only NaN is invalid: it cannot stand for another label that is ignored.
        let nan_is_free = !any_number_is_label || options.ignores_nan();
        let always_soft = floats && nan_is_free && !options.ignored_labels.is_empty();
        Self {
            ignored: options.ignored_labels.clone(),
            any_number_is_label,
            always_soft,
            is_soft: always_soft,
            unrepresentable: UnrepresentableValues::new(options.may_skip),
            ..Self::default()
        }
    }

    /// A value as 0 or 1, and whether it is that label.
    fn hard<T: Label>(any_number_is_label: bool, value: T) -> (u8, bool) {
        match (any_number_is_label, value.positive()) {
            (false, _) => value.hard(),
            (true, Some(positive)) => (positive.into(), true),
            (true, None) => (NO_LABEL, false),
        }
    }

    /// How labels that are ignored differ from the others.
    pub(crate) fn ignore(&self) -> Option<Ignore> {
        (!self.ignored.is_empty()).then_some(if self.always_soft { Ignore::Nan } else { Ignore::Label(IGNORED.into()) })
    }

    /// Forgets the values.
    pub(crate) fn clear(&mut self) {
        self.hard.clear();
        self.soft.clear();
        self.is_soft = self.always_soft;
        self.unrepresentable.clear();
    }

    /// Interleaves columns, row by row.
    pub(crate) fn join(&mut self, columns: &[Self]) {
        self.clear();
        self.is_soft = columns.iter().any(|column| column.is_soft);
        if self.is_soft {
            let rows = columns.first().map_or(0, Self::len);
            self.soft.extend((0..rows).flat_map(|row| columns.iter().map(move |column| column.softened(row))));
        } else {
            interleave(columns, |column| &column.hard, &mut self.hard);
        }
        self.unrepresentable.join(columns.iter().map(|column| &column.unrepresentable));
        columns.iter().for_each(|column| self.note(column));
    }

    /// Takes over the notes on others.
    pub(crate) fn note(&mut self, others: &Self) {
        self.narrowed |= others.narrowed;
    }

    fn softened(&self, row: usize) -> f32 {
        if self.is_soft { self.soft[row] } else { self.hard[row].into() }
    }

    /// The number of values converted so far.
    pub(crate) fn len(&self) -> usize {
        self.hard.len() + self.soft.len()
    }

    /// The values converted so far.
    pub(crate) fn view(&self) -> Targets<'_> {
        if self.is_soft { Targets::F32(&self.soft) } else { Targets::U8(&self.hard) }
    }

    /// The values that have no counterpart in the type they were converted to.
    pub(crate) fn unrepresentable(&self) -> &UnrepresentableValues {
        &self.unrepresentable
    }

    /// Converts values of type `number` from their bytes in a file.
    pub(crate) fn decode(&mut self, number: Number, bytes: &[u8], big_endian: bool) {
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

    /// Converts values.
    pub(crate) fn extend<T: Label>(&mut self, values: impl Iterator<Item = T> + Clone) {
        if !self.is_soft && self.ignored.is_empty() {
            // Nearly always enough, and without a branch: all are checked, then all are converted.
            let any_number_is_label = self.any_number_is_label;
            let hard = |value| Self::hard(any_number_is_label, value);
            if values.clone().fold(true, |all, value| all & hard(value).1) {
                self.hard.extend(values.map(|value| hard(value).0));
                return;
            }
        }
        values.for_each(|value| self.push(value, None));
    }

    /// Converts one value.
    pub(crate) fn push<T: Label>(&mut self, value: T, line: Option<u64>) {
        let index = self.len();
        if self.ignored.iter().any(|&label| value.is(label)) {
            return self.push_ignored();
        }
        let no_label = if self.always_soft { NO_SOFT_LABEL } else { f32::NAN };
        match (Self::hard(self.any_number_is_label, value), value.soft()) {
            ((byte, true), _) if self.is_soft => self.soft.push(byte.into()),
            ((byte, true), _) => self.hard.push(byte),
            (_, None) => {
                self.unrepresentable.add(index, || value.to_string(), line);
                if self.is_soft { self.soft.push(no_label) } else { self.hard.push(NO_LABEL) }
            }
            (_, Some(soft)) => {
                let valid = (0.0..=1.0).contains(&soft);
                if !valid {
                    self.unrepresentable.add(index, || value.to_string(), line);
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

    /// Adds a label that is missing: it is ignored if NaN is.
    pub(crate) fn push_missing(&mut self, line: Option<u64>) {
        if self.ignored.contains(&IgnoredLabel::Nan) {
            return self.push_ignored();
        }
        self.unrepresentable.add_missing(self.len(), line);
        if self.is_soft { self.soft.push(NO_SOFT_LABEL) } else { self.hard.push(NO_LABEL) }
    }

    /// Adds a label that is ignored.
    fn push_ignored(&mut self) {
        if self.is_soft {
            self.soft.push(if self.always_soft { f32::NAN } else { IGNORED.into() });
        } else {
            self.hard.push(IGNORED);
        }
    }

    /// Remarks on the conversion, for the reader of the result.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        self.narrowed.then(|| "labels were rounded to f32".to_owned()).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use logloss::Form;

    use super::*;

    fn options(ignored: impl IntoIterator<Item = IgnoredLabel>, any_number_is_label: bool) -> ReadOptions {
        let options = ReadOptions::new(Form::Logits).with_any_number_is_label(any_number_is_label).with_may_skip(true);
        ignored.into_iter().fold(options, ReadOptions::with_ignored_label)
    }

    fn converted(values: &[i64]) -> Labels {
        let mut labels = Labels::default();
        labels.extend(values.iter().copied());
        labels
    }

    #[test]
    fn integers_do_not_alias() {
        for wrong in [2, -1, 255, 256, 257, 1 << 32, (1 << 32) + 1, i64::MIN, i64::MAX] {
            let labels = converted(&[0, 1, wrong, 3]);
            assert!(matches!(labels.view(), Targets::U8([0, 1, NO_LABEL, NO_LABEL])));
            assert_eq!(labels.unrepresentable().find(2).expect("unrepresentable").text, wrong.to_string());
        }
        assert!(converted(&[0, 1]).unrepresentable().list.is_empty());
    }

    #[test]
    fn floats_are_hard_until_they_are_not() {
        let mut labels = Labels::default();
        labels.extend([0.0, 1.0, -0.0].into_iter());
        assert!(matches!(labels.view(), Targets::U8([0, 1, 0])));
        labels.extend([1.0, 0.25].into_iter());
        labels.extend([1.0].into_iter());
        assert!(matches!(labels.view(), Targets::F32(soft) if *soft == [0.0, 1.0, 0.0, 1.0, 0.25, 1.0]));
        assert!(labels.unrepresentable().list.is_empty());
        labels.clear();
        labels.extend([1.0].into_iter());
        assert!(matches!(labels.view(), Targets::U8([1])));
    }

    #[test]
    fn the_label_to_ignore_is_told_from_invalid_ones() {
        for label in [-100, 255, 254, 1 << 40] {
            let mut labels = Labels::new(&options(Some(IgnoredLabel::Integer(label.into())), false), false);
            labels.extend([0i64, label, 1, 255, 254, -1].into_iter());
            let Targets::U8(seen) = labels.view() else { panic!("integers stay hard") };
            let expected = [0, label, 1, 255, 254, -1].map(|value| match value {
                0 | 1 => value as u8,
                value if value == label => IGNORED,
                _ => NO_LABEL,
            });
            assert_eq!(seen, expected);
            assert_eq!(labels.unrepresentable().find(5).expect("every one is kept").text, "-1");
        }
        let mut labels = Labels::new(&options(Some(IgnoredLabel::Integer(-1)), false), true);
        labels.extend([0.0, -1.0, f64::NAN, 0.5].into_iter());
        assert_eq!(labels.ignore(), Some(Ignore::Nan));
        assert!(matches!(labels.view(), Targets::F32([0.0, ignored, NO_SOFT_LABEL, 0.5]) if ignored.is_nan()));
    }

    #[test]
    fn several_labels_to_ignore() {
        let ignored = [IgnoredLabel::Integer(-100), IgnoredLabel::Integer(255)];
        let mut labels = Labels::new(&options(ignored, false), false);
        labels.extend([0i64, 255, -100, 1, 7].into_iter());
        labels.push_missing(None);
        assert!(matches!(labels.view(), Targets::U8([0, IGNORED, IGNORED, 1, NO_LABEL, NO_LABEL])));
        assert_eq!(
            (labels.ignore(), labels.unrepresentable().missing()[0].index),
            (Some(Ignore::Label(IGNORED.into())), 5)
        );
        let mut labels = Labels::new(&options([IgnoredLabel::Nan, IgnoredLabel::Integer(-1)], false), true);
        labels.extend([0.0, -1.0, f64::NAN, 0.5, 2.0].into_iter());
        labels.push_missing(None);
        assert_eq!(labels.ignore(), Some(Ignore::Nan));
        let Targets::F32([0.0, minus_one, nan, 0.5, NO_SOFT_LABEL, missing]) = labels.view() else { panic!("soft") };
        assert!([minus_one, nan, missing].into_iter().all(|label| label.is_nan()));
    }

    #[test]
    fn any_number_is_a_label() {
        let integers = [0, 1, -1, 2, i64::MIN, 1 << 32, 256];
        let mut labels = Labels::new(&options(None, true), false);
        labels.extend(integers.into_iter());
        assert!(matches!(labels.view(), Targets::U8([0, 1, 0, 1, 0, 1, 1])));
        assert!(labels.unrepresentable().list.is_empty());
        let mut labels = Labels::new(&options(Some(IgnoredLabel::Integer(2)), true), false);
        labels.extend(integers.into_iter());
        assert!(matches!(labels.view(), Targets::U8([0, 1, 0, IGNORED, 0, 1, 1])));

        let floats = [-0.0, 1e-300, -1e-300, 2.0, f64::NAN, f64::NEG_INFINITY, f64::INFINITY];
        let seen = |ignore: Option<IgnoredLabel>| {
            let mut labels = Labels::new(&options(ignore, true), true);
            labels.extend(floats.into_iter());
            let Targets::F32(seen) = labels.view() else { panic!("NaN is soft") };
            let nan = labels.unrepresentable().find(4).map(|nan| nan.text.clone());
            (seen.iter().map(|z| if z.is_nan() { -1.0 } else { *z }).collect::<Vec<_>>(), labels.ignore(), nan)
        };
        let nan = Some("NaN".to_owned());
        assert_eq!(seen(None), (vec![0.0, 1.0, 0.0, 1.0, -1.0, 0.0, 1.0], None, nan.clone()));
        assert_eq!(
            seen(Some(IgnoredLabel::Integer(2))),
            (vec![0.0, 1.0, 0.0, 255.0, -1.0, 0.0, 1.0], Some(Ignore::Label(IGNORED.into())), nan)
        );
        let ignoring_nan = (vec![0.0, 1.0, 0.0, 1.0, -1.0, 0.0, 1.0], Some(Ignore::Nan), None);
        assert_eq!(seen(Some(IgnoredLabel::Nan)), ignoring_nan);
    }
}
