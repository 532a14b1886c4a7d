//! Two arrays in memory-mapped files. Where the engine takes a type as it is stored, its kernels read the mapping
//! itself; where not, a part at a time is converted.

use std::{borrow::Cow, fs::File, io, path::Path, sync::Arc};

use logloss::{
    Floats, Form, Ignore, Targets, WeightShape, Weights,
    half::{bf16, f16},
};
use memmap2::Mmap;

use super::{COPIED_PART, Part, PartUnrepresentable, Source, part_len};
use crate::{
    Column, Error, IgnoredLabel, Observer, Place, ReadOptions, Result, Shape, ShapeOf,
    contradiction::Contradiction,
    convert::{self, Labels, Predictions},
    mismatch::fitting_labels,
    number::Number,
    shape::weight_shape,
};

/// Maps a whole file.
pub(super) fn map(path: &Path, file: &File) -> Result<Mmap> {
    // SAFETY: the mapping is read-only, and every type that is read from it is valid for any bits. Should another
    // process change the file, the values read are as unspecified as with any read; should it cut the file short,
    // the process dies of SIGBUS: there is no way to read a file through memory without that.
    let map = unsafe { Mmap::map(file) };
    map.and_then(|map| advise(&map).map(|()| map)).map_err(|error| Error::Io {
        path: path.to_owned(),
        reason: format!("cannot be mapped: {error}"),
        kind: error.kind(),
        help: None,
    })
}

#[cfg(unix)]
fn advise(map: &Mmap) -> io::Result<()> {
    map.advise(memmap2::Advice::Sequential)
}

#[cfg(not(unix))]
fn advise(_: &Mmap) -> io::Result<()> {
    Ok(())
}

/// The number of bytes that are released at a time: a multiple of the huge pages of most processors, one of which would be
/// mapped anew if part of it were released; and so many that it rarely happens, because every time the threads lose
/// their cached translations of addresses.
const RELEASED: usize = 32 << 20;

#[cfg(unix)]
fn release(map: &Mmap, from: usize, to: usize) {
    // SAFETY: the mapping is read-only and of a file: what is dropped is read again from there if need be. If
    // it fails, the memory is kept, which does no harm.
    let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, from, to - from) };
}

#[cfg(not(unix))]
fn release(_: &Mmap, _: usize, _: usize) {}

/// An array in a mapped file. Its bytes were checked to be there.
pub(super) struct Array {
    pub column: Column,
    pub number: Number,
    pub big_endian: bool,
    pub shape: Shape,
    map: Arc<Mmap>,
    /// The offset of the first value in the map, in bytes.
    start: usize,
    /// The offset up to which the map was released, in bytes.
    released: usize,
}

impl Array {
    /// The array that starts `start` bytes into the map.
    pub(super) fn new(
        column: Column,
        map: Arc<Mmap>,
        start: usize,
        number: Number,
        big_endian: bool,
        shape: Shape,
    ) -> Self {
        Self { column, number, big_endian, shape, map, start, released: start - start % RELEASED }
    }

    /// The bytes of some values.
    pub(super) fn bytes(&self, from: usize, len: usize) -> &[u8] {
        let size = self.number.size();
        &self.map[self.start + from * size..][..len * size]
    }

    /// Releases the memory before a value, which would otherwise count as this process's until the whole file is closed.
    /// A rest of less than [`RELEASED`] waits for the next time.
    pub(super) fn release_before(&mut self, index: usize) {
        let end = self.start + index * self.number.size();
        let end = end - end % RELEASED;
        if self.released < end {
            release(&self.map, self.released, end);
        }
        // It is less than before when the file is read again.
        self.released = end;
    }

    fn is_native(&self) -> bool {
        self.number.size() == 1 || self.big_endian == cfg!(target_endian = "big")
    }

    /// Some values in the type that the engine takes, if they are stored so.
    fn floats(&self, from: usize, len: usize) -> Option<Floats<'_>> {
        let bytes = self.bytes(from, len);
        match self.number {
            _ if !self.is_native() => None,
            Number::F32 => bytemuck::try_cast_slice::<_, f32>(bytes).ok().map(Floats::F32),
            Number::F16 => bytemuck::try_cast_slice::<_, f16>(bytes).ok().map(Floats::F16),
            Number::Bf16 => bytemuck::try_cast_slice::<_, bf16>(bytes).ok().map(Floats::Bf16),
            Number::F64 => bytemuck::try_cast_slice::<_, f64>(bytes).ok().map(Floats::F64),
            _ => None,
        }
    }

    /// Some values in the type that the engine takes, if they are stored so.
    fn targets(&self, from: usize, len: usize) -> Option<Targets<'_>> {
        let bytes = self.bytes(from, len);
        match self.number {
            // A byte that is neither 0 nor 1 is no bool for Rust. As an integer it is merely invalid.
            Number::Bool | Number::U8 => Some(Targets::U8(bytes)),
            Number::F32 if self.is_native() => bytemuck::try_cast_slice(bytes).ok().map(Targets::F32),
            _ => None,
        }
    }

    /// Some values in the type that the engine takes, if they are stored so.
    fn weights(&self, from: usize, len: usize) -> Option<Weights<'_>> {
        match self.floats(from, len)? {
            Floats::F32(values) => Some(Weights::F32(values)),
            Floats::F16(values) => Some(Weights::F16(values)),
            _ => None,
        }
    }

    fn len(&self) -> usize {
        // The shape was checked against the length of a file, so its values can be counted.
        self.shape.value_count().unwrap_or_default() as usize
    }
}

/// Predictions and targets of the same shape, and perhaps weights.
pub(super) struct Pair {
    form: Form,
    predictions: Array,
    targets: Array,
    weights: Option<(Array, WeightShape)>,
    /// How targets that are ignored differ from the others.
    ignore: Option<Ignore>,
    convert_targets: bool,
    /// The number of values.
    len: usize,
    /// The number of values handed out.
    at: usize,
    mapped_part: usize,
    unit: usize,
    converted_predictions: Predictions,
    converted_targets: Labels,
    converted_weights: convert::Weights,
    notes: Vec<String>,
}

impl Pair {
    /// Checks that they go together.
    pub(super) fn new(
        predictions: Array,
        targets: Array,
        weights: Option<Array>,
        options: &ReadOptions,
    ) -> Result<Self> {
        if !predictions.number.is_float() {
            let help = if targets.number.is_float() {
                format!("{} holds {}: are the two swapped?", targets.column, targets.number)
            } else {
                "predictions are floats (f16, bf16, f32, f64): save them as such".to_owned()
            };
            let found = predictions.number.to_string();
            return Err(Error::UnsupportedType { column: predictions.column, found, purpose: "predictions", help });
        }
        let mismatch = |other: &Array, help: Cow<'static, str>| Error::ShapeMismatch {
            column: predictions.column.clone(),
            shape: predictions.shape.dimensions(),
            other: ShapeOf::Array { column: other.column.clone(), shape: other.shape.dimensions() },
            help,
        };
        if !predictions.shape.matches(&targets.shape) {
            return Err(mismatch(&targets, fitting_labels(options.form, predictions.shape, targets.shape)));
        }
        let weights = match weights {
            None => None,
            Some(weights) => match weight_shape(&weights.shape, &predictions.shape) {
                Some(shape) => Some((weights, shape)),
                None => {
                    let help = "weights have the shape of the predictions, or [N], one for each sample; \
                                one for each class is --class-weight a,b,…";
                    return Err(mismatch(&weights, help.into()));
                }
            },
        };
        let len = predictions.len();
        let converted_targets = Labels::new(options, targets.number.is_float());
        let (ignore, convert_targets) = ignored(&targets, &options.ignored_labels, &converted_targets)?;
        let weight_number = weights.as_ref().map_or(Number::F32, |(weights, _)| weights.number);
        Ok(Self {
            form: options.form,
            converted_predictions: Predictions::new(options.form, predictions.number, options.may_skip),
            converted_targets,
            converted_weights: convert::Weights::new(weight_number, options.may_skip),
            predictions,
            targets,
            weights,
            ignore,
            convert_targets,
            len,
            at: 0,
            mapped_part: COPIED_PART,
            unit: logloss::BLOCK,
            notes: Vec::new(),
        })
    }

    /// Adds to what a reader of the result should know.
    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Some predictions as the engine takes them, if they need no conversion. (f64 logits do, which counts those that are
    /// too large for f32.)
    fn stored_predictions(&self, from: usize, len: usize) -> Option<Floats<'_>> {
        let counted = self.predictions.number == Number::F64 && self.form != Form::Probabilities;
        self.predictions.floats(from, len).filter(|_| !counted)
    }

    fn converts_predictions(&self) -> bool {
        self.stored_predictions(0, self.len).is_none()
    }

    fn converts_weights(&self) -> bool {
        self.weights.as_ref().is_some_and(|(weights, _)| weights.weights(0, weights.len()).is_none())
    }

    /// The index of the first weight of some values, and the number of their weights.
    fn weight_range(&self, from: usize, len: usize) -> (usize, usize) {
        match self.weights {
            Some((_, WeightShape::Samples)) => {
                let classes = self.predictions.shape.classes().max(1) as usize;
                (from / classes, len / classes)
            }
            _ => (from, len),
        }
    }

    /// Releases the memory of what was read.
    fn release(&mut self) {
        self.predictions.release_before(self.at);
        self.targets.release_before(self.at);
        let (first_weight, _) = self.weight_range(self.at, 0);
        if let Some((weights, _)) = &mut self.weights {
            weights.release_before(first_weight);
        }
    }
}

/// How targets that are ignored differ from the others, and whether targets have to be converted, for that or because
/// of their type.
fn ignored(targets: &Array, labels: &[IgnoredLabel], converted: &Labels) -> Result<(Option<Ignore>, bool)> {
    let converts = targets.targets(0, targets.len()).is_none();
    if labels.contains(&IgnoredLabel::Nan) && !targets.number.is_float() {
        return never_nan(&targets.column, targets.number);
    }
    Ok(match targets.number {
        Number::Bool | Number::U8 => {
            let byte = |label: &IgnoredLabel| match label {
                IgnoredLabel::Integer(label) => u8::try_from(*label).ok(),
                IgnoredLabel::Nan => None,
            };
            let mut bytes: Vec<u8> = labels.iter().filter_map(byte).collect();
            bytes.sort_unstable();
            bytes.dedup();
            match *bytes {
                // If no byte can be a label, nothing is ignored.
                [] => (None, converts),
                [label] => (Some(Ignore::Label(label.into())), converts),
                _ => (converted.ignore(), true),
            }
        }
        _ if labels.is_empty() => (None, converts),
        _ if labels.iter().all(|label| *label == IgnoredLabel::Nan) => (Some(Ignore::Nan), converts),
        _ => (converted.ignore(), true),
    })
}

/// The error for NaN to be ignored in labels that cannot hold it.
pub(super) fn never_nan<T>(targets: &Column, number: Number) -> Result<T> {
    Err(Contradiction::NoNan { column: targets.clone(), number }.into())
}

impl Source for Pair {
    fn shape(&self) -> Shape {
        self.predictions.shape
    }

    fn ignore(&self) -> Option<Ignore> {
        self.ignore
    }

    fn weight_shape(&self) -> Option<WeightShape> {
        self.weights.as_ref().map(|(_, shape)| *shape)
    }

    fn count(&mut self, _: &mut dyn Observer) -> Result<u64> {
        Ok(self.len as u64)
    }

    fn set_unit(&mut self, unit: usize) {
        self.unit = unit;
    }

    fn set_mapped_part(&mut self, len: usize) {
        self.mapped_part = len;
    }

    fn next_part(&mut self, _: &mut dyn Observer) -> Result<Option<Part<'_>>> {
        self.release();
        if self.at == self.len {
            return Ok(None);
        }
        let (convert_predictions, convert_targets) = (self.converts_predictions(), self.convert_targets);
        let convert_weights = self.converts_weights();
        let copied = convert_predictions || convert_targets || convert_weights;
        let longest = part_len(if copied { COPIED_PART } else { self.mapped_part }, self.unit);
        let (from, len) = (self.at, longest.min(self.len - self.at));
        self.at += len;

        self.converted_predictions.clear();
        if convert_predictions {
            let array = &self.predictions;
            self.converted_predictions.decode(array.bytes(from, len), array.big_endian);
        }
        self.converted_targets.clear();
        if convert_targets {
            let array = &self.targets;
            self.converted_targets.decode(array.number, array.bytes(from, len), array.big_endian);
        }
        let (first_weight, weights) = self.weight_range(from, len);
        self.converted_weights.clear();
        if convert_weights && let Some((array, _)) = &self.weights {
            self.converted_weights.decode(array.bytes(first_weight, weights), array.big_endian);
        }
        let targets = if convert_targets { None } else { self.targets.targets(from, len) };
        Ok(Some(Part {
            predictions: self.stored_predictions(from, len).unwrap_or_else(|| self.converted_predictions.view()),
            targets: targets.unwrap_or_else(|| self.converted_targets.view()),
            weights: self.weights.as_ref().map(|(array, _)| {
                array.weights(first_weight, weights).unwrap_or_else(|| self.converted_weights.view())
            }),
            unrepresentable: PartUnrepresentable {
                predictions: Some(self.converted_predictions.unrepresentable()),
                targets: Some(self.converted_targets.unrepresentable()),
                weights: Some(self.converted_weights.unrepresentable()),
            },
        }))
    }

    fn rewind(&mut self) -> Result<()> {
        self.at = 0;
        self.release();
        self.converted_predictions.reset();
        Ok(())
    }

    fn position(&self) -> (u64, u64) {
        (self.at as u64, self.len as u64)
    }

    fn place(&self, array: logloss::Array, index: u64) -> Option<Place> {
        let (array, index) = match (array, &self.weights) {
            (logloss::Array::Targets, _) => (&self.targets, index),
            (logloss::Array::Weights, Some((weights, WeightShape::Samples))) => {
                (weights, index / self.predictions.shape.classes().max(1))
            }
            (logloss::Array::Weights, Some((weights, _))) => (weights, index),
            (logloss::Array::Weights, None) => return None,
            _ => (&self.predictions, index),
        };
        let (row, class) = array.shape.row_and_class(index);
        Some(Place { column: array.column.clone(), row, class, line: None })
    }

    fn target_names(&self) -> String {
        self.targets.column.to_string()
    }

    fn notes(&self) -> Vec<String> {
        let converted = self.converted_predictions.notes().chain(self.converted_targets.notes());
        self.notes.iter().cloned().chain(converted).chain(self.converted_weights.notes()).collect()
    }
}

/// The error for an array whose bytes are not all there.
pub(super) fn truncated(column: &Column, dimensions: &[u64], number: Number, there: u64) -> Error {
    let needed = dimensions.iter().fold(number.size() as u128, |bytes, &n| bytes.saturating_mul(n.into()));
    Error::Truncated {
        column: column.clone(),
        reason: format!("is cut short: {number} values of shape {dimensions:?} take {needed} bytes, {there} are there"),
        help: "write or copy the file again",
    }
}
