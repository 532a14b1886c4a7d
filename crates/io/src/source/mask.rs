//! Which elements are masked: an array beside the predictions, packed into bits a part at a time.

use std::path::Path;

use super::{mapped::Array, npy};
use crate::{Error, Result, Shape, ShapeOf, number::Number};

/// A mask in a `.npy` file.
pub(crate) struct Mask {
    array: Array,
    /// The number of values handed out.
    at: usize,
    bits: Vec<u8>,
    notes: Vec<String>,
}

impl Mask {
    /// Opens a file of bool or u8.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut notes = Vec::new();
        let array = npy::array(path, &mut notes)?;
        if !matches!(array.number, Number::Bool | Number::U8) {
            return Err(Error::UnsupportedType {
                column: array.column,
                found: array.number.to_string(),
                purpose: "a mask",
                help: "save it as m.astype(bool): true where an element counts".to_owned(),
            });
        }
        Ok(Self { array, at: 0, bits: Vec::new(), notes })
    }

    /// Checks that it goes with predictions of that shape.
    pub(crate) fn check(&self, predictions: Shape) -> Result<()> {
        let shape = self.array.shape;
        let rows_fit = predictions.rows().is_none() || predictions.rows() == shape.rows();
        if rows_fit && predictions.classes() == shape.classes() {
            return Ok(());
        }
        Err(self.mismatch(ShapeOf::Predictions(predictions)))
    }

    fn mismatch(&self, predictions: ShapeOf) -> Error {
        Error::ShapeMismatch {
            column: self.array.column.clone(),
            shape: self.array.shape.dimensions(),
            other: predictions,
            help: "a mask has the shape of the predictions; for a mask by sample, repeat it: \
                   numpy.broadcast_to(m[:, None], (N, C))"
                .into(),
        }
    }

    /// A bit for each of the next `len` values, 1 where the element counts.
    pub(crate) fn next(&mut self, len: usize) -> Result<&[u8]> {
        if len > self.len() - self.at {
            return Err(self.mismatch(ShapeOf::PredictionRows(None)));
        }
        let bytes = self.array.bytes(self.at, len);
        self.bits.clear();
        self.bits.extend(bytes.chunks(8).map(pack));
        self.at += len;
        self.array.release_before(self.at);
        Ok(&self.bits)
    }

    /// Checks that there is no more of it than there were values.
    pub(crate) fn end(&self) -> Result<()> {
        if self.at == self.len() {
            return Ok(());
        }
        let rows = self.at as u64 / self.array.shape.classes().max(1);
        Err(self.mismatch(ShapeOf::PredictionRows(Some(rows))))
    }

    /// Goes back to the first value.
    pub(crate) fn rewind(&mut self) {
        self.at = 0;
        self.array.release_before(0);
    }

    /// Remarks on the file, for the reader of the result.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    fn len(&self) -> usize {
        // The shape was checked against the length of the file.
        self.array.shape.value_count().unwrap_or_default() as usize
    }
}

/// Bit i says whether byte i is not 0.
fn pack(bytes: &[u8]) -> u8 {
    bytes.iter().enumerate().fold(0, |bits, (i, &byte)| bits | u8::from(byte != 0) << i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_zero_counts() {
        assert_eq!(pack(&[1, 0, 255, 0, 0, 0, 0, 2]), 0b1000_0101);
        assert_eq!(pack(&[0, 1]), 0b10);
        assert_eq!(pack(&[]), 0);
    }
}
