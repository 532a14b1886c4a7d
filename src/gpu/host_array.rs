//! Arrays in host memory on their way to a device, which has no 64-bit types: f64 and i64 become f32.

use std::{borrow::Cow, ops::Range};

use crate::{Batch, Floats, Targets, prediction_kind::Encoding};

/// An array of a batch as a device receives it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HostArray<'a> {
    /// The bytes as they are.
    Bytes(&'a [u8]),
    /// Predictions, which are encoded as f32.
    F64(&'a [f64], Encoding),
    /// Targets, which become f32.
    I64(&'a [i64]),
}

/// The number of values that are converted at a time.
const CONVERTED: usize = 1024;

impl<'a> HostArray<'a> {
    /// The predictions of a batch.
    pub(crate) fn predictions(batch: &Batch<'a>) -> Self {
        match batch.predictions() {
            Floats::F64(values) => HostArray::F64(values, batch.kind().encoding),
            values => HostArray::Bytes(values.bytes()),
        }
    }

    /// The targets of a batch.
    pub(crate) fn targets(batch: &Batch<'a>) -> Self {
        match batch.targets() {
            Targets::I64(values) => HostArray::I64(values),
            values => HostArray::Bytes(values.bytes()),
        }
    }

    /// The number of bytes that the device receives.
    pub(crate) fn len(self) -> usize {
        match self {
            HostArray::Bytes(bytes) => bytes.len(),
            HostArray::F64(values, _) => size_of_val(values) / 2,
            HostArray::I64(values) => size_of_val(values) / 2,
        }
    }

    /// These of the bytes that the device receives, whole values.
    pub(crate) fn part(self, bytes: Range<usize>) -> Self {
        let values = bytes.start / size_of::<f32>()..bytes.end / size_of::<f32>();
        match self {
            HostArray::Bytes(all) => HostArray::Bytes(&all[bytes]),
            HostArray::F64(all, encoding) => HostArray::F64(&all[values], encoding),
            HostArray::I64(all) => HostArray::I64(&all[values]),
        }
    }

    /// The bytes that the device receives.
    pub(crate) fn bytes(self) -> Cow<'a, [u8]> {
        if let HostArray::Bytes(bytes) = self {
            return Cow::Borrowed(bytes);
        }
        let mut bytes = Vec::with_capacity(self.len());
        self.each(|_, piece| bytes.extend_from_slice(piece));
        Cow::Owned(bytes)
    }

    /// Calls `write` with the bytes that the device receives, piece by piece, and the offset of each piece.
    pub(crate) fn each(self, write: impl FnMut(usize, &[u8])) {
        match self {
            HostArray::Bytes(bytes) => {
                let mut write = write;
                write(0, bytes);
            }
            HostArray::F64(values, encoding) => converted(values, |value| encoding.encode(value), write),
            HostArray::I64(values) => converted(values, |value| value as f32, write),
        }
    }
}

/// Calls `write` with the bytes of the converted values, piece by piece, and the offset of each piece.
fn converted<T: Copy>(values: &[T], convert: impl Fn(T) -> f32, mut write: impl FnMut(usize, &[u8])) {
    let mut buffer = [0.0; CONVERTED];
    for (piece, values) in values.chunks(CONVERTED).enumerate() {
        for (slot, &value) in buffer.iter_mut().zip(values) {
            *slot = convert(value);
        }
        write(size_of_val(&buffer) * piece, bytemuck::cast_slice(&buffer[..values.len()]));
    }
}
