//! Two arrays in memory-mapped files. Where the library takes a type as it is stored, its kernels read the mapping
//! itself; where not, a part at a time is converted.

use std::{fs::File, io, path::Path, sync::Arc};

use anyhow::{Context, Result};
use logloss::{
    Floats, Targets,
    half::{bf16, f16},
};
use memmap2::Mmap;

use super::{
    COPIED_PART, Column, Part, Shape, Source, Wish,
    gather::{Labels, Predictions},
    number::Number,
};
use crate::failure::fault;

/// Maps a whole file.
pub fn map(path: &Path, file: &File) -> Result<Arc<Mmap>> {
    // SAFETY: the mapping is read-only, and every type that is read from it is valid for any bits. Should another
    // process change the file, the values read are as unspecified as with any read; should it cut the file short,
    // the process dies of SIGBUS: there is no way to read a file through memory without that.
    let map = unsafe { Mmap::map(file) }.with_context(|| format!("{}: cannot be mapped", path.display()))?;
    advise(&map).with_context(|| format!("{}: cannot be mapped", path.display()))?;
    Ok(Arc::new(map))
}

#[cfg(unix)]
fn advise(map: &Mmap) -> io::Result<()> {
    map.advise(memmap2::Advice::Sequential)
}

#[cfg(not(unix))]
fn advise(_: &Mmap) -> io::Result<()> {
    Ok(())
}

/// An array in a mapped file. Its bytes were checked to be there.
pub struct Array {
    pub column: Column,
    pub map: Arc<Mmap>,
    /// Where it starts, in bytes.
    pub start: usize,
    pub number: Number,
    pub big_endian: bool,
    pub shape: Shape,
}

impl Array {
    /// The bytes of some values.
    fn bytes(&self, from: usize, len: usize) -> &[u8] {
        let size = self.number.size();
        &self.map[self.start + from * size..][..len * size]
    }

    /// Lets go of the memory of some values that were read, which would otherwise count as this process's until the
    /// whole file does.
    #[cfg(unix)]
    fn release(&self, from: usize, len: usize) {
        let size = self.number.size();
        let (offset, len) = (self.start + from * size, len * size);
        // SAFETY: the mapping is read-only and of a file: what is dropped is read again from there if need be. That
        // it may fail is no matter: then it is kept.
        let _ = unsafe { self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, offset, len) };
    }

    #[cfg(not(unix))]
    fn release(&self, _: usize, _: usize) {}

    fn is_native(&self) -> bool {
        self.number.size() == 1 || self.big_endian == cfg!(target_endian = "big")
    }

    /// Some values as the library takes them, if it does.
    fn floats(&self, from: usize, len: usize) -> Option<Floats<'_>> {
        let bytes = self.bytes(from, len);
        match self.number {
            _ if !self.is_native() => None,
            Number::F32 => bytemuck::try_cast_slice::<_, f32>(bytes).ok().map(Floats::F32),
            Number::F16 => bytemuck::try_cast_slice::<_, f16>(bytes).ok().map(Floats::F16),
            Number::Bf16 => bytemuck::try_cast_slice::<_, bf16>(bytes).ok().map(Floats::Bf16),
            _ => None,
        }
    }

    /// Some values as the library takes them, if it does.
    fn targets(&self, from: usize, len: usize) -> Option<Targets<'_>> {
        let bytes = self.bytes(from, len);
        match self.number {
            // A byte that is neither 0 nor 1 is no bool for Rust. As an integer it is merely invalid.
            Number::Bool | Number::U8 => Some(Targets::U8(bytes)),
            Number::F32 if self.is_native() => bytemuck::try_cast_slice(bytes).ok().map(Targets::F32),
            _ => None,
        }
    }
}

/// Predictions and targets of the same shape.
pub struct Pair {
    predictions: Array,
    targets: Array,
    /// Number of values.
    len: usize,
    /// How many were handed out.
    at: usize,
    /// How many of them in the last part.
    handed_out: usize,
    mapped_part: usize,
    converted_predictions: Predictions,
    converted_targets: Labels,
    notes: Vec<String>,
}

impl Pair {
    /// Checks that the two go together.
    pub fn new(predictions: Array, targets: Array, wish: Wish) -> Result<Self> {
        if !predictions.number.is_float() {
            let help = if targets.number.is_float() {
                format!("{} holds {}: are the two swapped?", targets.column, targets.number)
            } else {
                "predictions are floats (f16, bf16, f32, f64): save them as such".to_owned()
            };
            let what = format!("{}: {} values cannot be predictions", predictions.column, predictions.number);
            return Err(fault(what, help));
        }
        if !predictions.shape.matches(&targets.shape) {
            return Err(fault(
                format_args!(
                    "{} has shape {:?}, {} has {:?}",
                    predictions.column,
                    predictions.shape.dimensions(),
                    targets.column,
                    targets.shape.dimensions()
                ),
                "every prediction needs one label: make the two the same shape, [N] or [N, C]",
            ));
        }
        // Both shapes were checked against the length of a file, so their values can be counted.
        let len = predictions.shape.len().unwrap_or_default() as usize;
        let converted_predictions = Predictions::new(wish.form, predictions.number);
        let mapped_part = wish.mapped_part;
        let (converted_targets, notes) = Default::default();
        Ok(Self {
            predictions,
            targets,
            len,
            at: 0,
            handed_out: 0,
            mapped_part,
            converted_predictions,
            converted_targets,
            notes,
        })
    }

    /// Adds to what a reader of the result should know.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    fn converts_predictions(&self) -> bool {
        self.predictions.floats(0, self.len).is_none()
    }

    fn converts_targets(&self) -> bool {
        self.targets.targets(0, self.len).is_none()
    }
}

impl Source for Pair {
    fn shape(&self) -> Shape {
        self.predictions.shape
    }

    fn count(&mut self) -> Result<u64> {
        Ok(self.len as u64)
    }

    fn next_part(&mut self) -> Result<Option<Part<'_>>> {
        self.predictions.release(self.at - self.handed_out, self.handed_out);
        self.targets.release(self.at - self.handed_out, self.handed_out);
        if self.at == self.len {
            return Ok(None);
        }
        let (convert_predictions, convert_targets) = (self.converts_predictions(), self.converts_targets());
        let longest = if convert_predictions || convert_targets { COPIED_PART } else { self.mapped_part };
        let (from, len) = (self.at, longest.min(self.len - self.at));
        (self.at, self.handed_out) = (self.at + len, len);

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
        Ok(Some(Part {
            predictions: self.predictions.floats(from, len).unwrap_or_else(|| self.converted_predictions.view()),
            targets: self.targets.targets(from, len).unwrap_or_else(|| self.converted_targets.view()),
            odd_prediction: self.converted_predictions.odd(),
            odd_target: self.converted_targets.odd(),
        }))
    }

    fn position(&self) -> (u64, u64) {
        (self.at as u64, self.len as u64)
    }

    fn predictions(&self) -> &Column {
        &self.predictions.column
    }

    fn targets(&self) -> &Column {
        &self.targets.column
    }

    fn notes(&self) -> Vec<String> {
        let converted = self.converted_predictions.notes().chain(self.converted_targets.notes());
        self.notes.iter().cloned().chain(converted).collect()
    }
}

/// An error for an array whose bytes are not all there.
pub fn too_short(column: &Column, dimensions: &[u64], number: Number, there: u64) -> anyhow::Error {
    let needed = dimensions.iter().fold(number.size() as u128, |bytes, &n| bytes.saturating_mul(n.into()));
    fault(
        format_args!(
            "{column}: is cut short: {number} values of shape {dimensions:?} take {needed} bytes, {there} are there"
        ),
        "write or copy the file again",
    )
}
