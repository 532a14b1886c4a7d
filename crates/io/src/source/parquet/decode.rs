//! Values of one column, from its pages into the vector that they are evaluated from.

use logloss::half::f16;
use parquet::{
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{DataType, FixedLenByteArray},
    errors::ParquetError,
};

use super::rows::Field;
use crate::{
    Error, Place, Result,
    convert::{Label, Labels, Predictions, Weights},
    error::malformed,
    number::Number,
};

/// The number of values decoded at a time: they stay in the cache until they are where they belong.
const SLICE: usize = 1 << 14;

pub(super) fn read_predictions(
    reader: &mut ColumnReader,
    rows: usize,
    first: u64,
    field: &mut Field,
    into: &mut Predictions,
) -> Result<()> {
    let start = into.len();
    let missing = match reader {
        ColumnReader::FloatColumnReader(reader) => read(reader, rows, first, field, f32::NAN, into.f32()),
        ColumnReader::DoubleColumnReader(reader) => {
            each_slice(reader, rows, first, field, f64::NAN, |values| into.extend(values.iter().copied()))
        }
        ColumnReader::FixedLenByteArrayColumnReader(reader) => {
            each_slice(reader, rows, first, field, half_nan(), |values| into.f16().extend(values.iter().map(half)))
        }
        _ => unexpected(field),
    }?;
    missing.into_iter().for_each(|row| into.note_missing(start + row));
    Ok(())
}

pub(super) fn read_labels(
    reader: &mut ColumnReader,
    rows: usize,
    first: u64,
    field: &mut Field,
    into: &mut Labels,
) -> Result<()> {
    match (reader, field.number) {
        (ColumnReader::BoolColumnReader(reader), _) => labels(reader, rows, first, field, into, |&v| u8::from(v)),
        // Unsigned values are stored as the signed ones of the same bits.
        (ColumnReader::Int32ColumnReader(reader), Number::U32) => {
            labels(reader, rows, first, field, into, |v| v.cast_unsigned())
        }
        (ColumnReader::Int32ColumnReader(reader), _) => labels(reader, rows, first, field, into, |&v| v),
        (ColumnReader::Int64ColumnReader(reader), Number::U64) => {
            labels(reader, rows, first, field, into, |v| v.cast_unsigned())
        }
        (ColumnReader::Int64ColumnReader(reader), _) => labels(reader, rows, first, field, into, |&v| v),
        (ColumnReader::FloatColumnReader(reader), _) => labels(reader, rows, first, field, into, |&v| f64::from(v)),
        (ColumnReader::DoubleColumnReader(reader), _) => labels(reader, rows, first, field, into, |&v| v),
        (ColumnReader::FixedLenByteArrayColumnReader(reader), _) => {
            labels(reader, rows, first, field, into, |v| f64::from(half(v)))
        }
        _ => unexpected(field),
    }
}

/// Appends the next `rows` labels, the first of which is value `first` of the file.
fn labels<T: DataType, L: Label>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    first: u64,
    field: &mut Field,
    into: &mut Labels,
    label: impl Fn(&T::T) -> L + Copy,
) -> Result<()> {
    let mut values = Vec::with_capacity(rows.min(SLICE));
    for (rows, first) in slices(rows, first) {
        values.clear();
        read_slice(reader, rows, first, field, &mut values)?;
        let mut there = values.iter().map(label);
        if values.len() == rows {
            into.extend(there);
            continue;
        }
        for &level in &field.levels {
            match (level == field.defined).then(|| there.next()).flatten() {
                Some(label) => into.push(label, None),
                None => into.push_missing(None),
            }
        }
    }
    Ok(())
}

pub(super) fn read_weights(
    reader: &mut ColumnReader,
    rows: usize,
    first: u64,
    field: &mut Field,
    into: &mut Weights,
) -> Result<()> {
    let start = into.len();
    let missing = match (reader, field.number) {
        (ColumnReader::FloatColumnReader(reader), _) => read(reader, rows, first, field, f32::NAN, into.f32()),
        (ColumnReader::FixedLenByteArrayColumnReader(reader), _) => {
            each_slice(reader, rows, first, field, half_nan(), |values| into.f16().extend(values.iter().map(half)))
        }
        (ColumnReader::DoubleColumnReader(reader), _) => {
            each_slice(reader, rows, first, field, f64::NAN, |values| into.narrow(values.iter().copied()))
        }
        (ColumnReader::BoolColumnReader(reader), _) => each_slice(reader, rows, first, field, false, |values| {
            into.narrow(values.iter().map(|&value| f64::from(u8::from(value))));
        }),
        (ColumnReader::Int32ColumnReader(reader), Number::U32) => each_slice(reader, rows, first, field, 0, |values| {
            into.narrow(values.iter().map(|value| value.cast_unsigned().into()));
        }),
        (ColumnReader::Int32ColumnReader(reader), _) => {
            each_slice(reader, rows, first, field, 0, |values| into.narrow(values.iter().copied().map(f64::from)))
        }
        (ColumnReader::Int64ColumnReader(reader), Number::U64) => each_slice(reader, rows, first, field, 0, |values| {
            into.narrow(values.iter().map(|value| value.cast_unsigned() as f64));
        }),
        (ColumnReader::Int64ColumnReader(reader), _) => {
            each_slice(reader, rows, first, field, 0, |values| into.narrow(values.iter().map(|&value| value as f64)))
        }
        _ => unexpected(field),
    }?;
    missing.into_iter().for_each(|row| into.note_missing(start + row));
    Ok(())
}

/// Hands over the next `rows` values, the first of which is value `first` of the file. `filler` stands for those that are
/// missing, whose positions are returned.
fn each_slice<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    first: u64,
    field: &mut Field,
    filler: T::T,
    mut take: impl FnMut(&[T::T]),
) -> Result<Vec<usize>> {
    let mut values = Vec::with_capacity(rows.min(SLICE));
    let (mut missing, mut done) = (Vec::new(), 0);
    for (rows, first) in slices(rows, first) {
        values.clear();
        read_slice(reader, rows, first, field, &mut values)?;
        missing.extend(spread(&mut values, 0, rows, field, &filler).into_iter().map(|row| done + row));
        take(&values);
        done += rows;
    }
    Ok(missing)
}

/// Appends the next `rows` values, the first of which is value `first` of the file. `filler` stands for those that are
/// missing, whose positions are returned.
fn read<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    first: u64,
    field: &mut Field,
    filler: T::T,
    into: &mut Vec<T::T>,
) -> Result<Vec<usize>> {
    let (mut missing, mut done) = (Vec::new(), 0);
    for (rows, first) in slices(rows, first) {
        let start = into.len();
        read_slice(reader, rows, first, field, into)?;
        missing.extend(spread(into, start, rows, field, &filler).into_iter().map(|row| done + row));
        done += rows;
    }
    Ok(missing)
}

/// Puts the values from `start` on, those of `rows` that are there, where they belong, and `filler` in the place of the
/// others. The positions of these are returned.
fn spread<V: Clone>(values: &mut Vec<V>, start: usize, rows: usize, field: &Field, filler: &V) -> Vec<usize> {
    let mut there = values.len() - start;
    if there == rows {
        return Vec::new();
    }
    values.resize(start + rows, filler.clone());
    let mut missing = Vec::with_capacity(rows - there);
    // From the end: a value only moves to where none is that still has to move.
    for (row, level) in field.levels.iter().enumerate().take(rows).rev() {
        if *level == field.defined && there > 0 {
            there -= 1;
            values.swap(start + row, start + there);
        } else {
            values[start + row] = filler.clone();
            missing.push(row);
        }
    }
    missing.reverse();
    missing
}

/// Of each slice of `rows` values, the first of which is value `first` of the file: how many, and its first.
fn slices(rows: usize, first: u64) -> impl Iterator<Item = (usize, u64)> {
    (0..rows).step_by(SLICE).map(move |start| (SLICE.min(rows - start), first + start as u64))
}

/// Appends those of `rows` values that are there; the levels say which, if not all are.
fn read_slice<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    first: u64,
    field: &mut Field,
    into: &mut Vec<T::T>,
) -> Result<()> {
    field.levels.clear();
    let (records, values, _) =
        reader.read_records(rows, Some(&mut field.levels), None, into).map_err(|error| damaged(field, first, error))?;
    if values < records && !field.may_be_missing {
        let missing = field.levels.iter().position(|&level| level < field.defined).unwrap_or(0);
        return Err(Error::MissingValue { place: Place::row(&field.column, first + missing as u64) });
    }
    if records < rows {
        return Err(Error::Truncated {
            column: field.column.clone(),
            reason: format!("ends after {} of its values", first + records as u64),
            help: "write or copy the file again",
        });
    }
    Ok(())
}

/// The error for a column whose pages cannot be decoded from value `first` on.
pub(super) fn damaged(field: &Field, first: u64, error: ParquetError) -> Error {
    malformed(
        &field.column,
        format_args!("cannot be read from index {first} on: {}", reason(error)),
        "the file is damaged, or compressed in a way unknown here: write or copy it again",
    )
}

/// The half that stands for one that is missing.
fn half_nan() -> FixedLenByteArray {
    f16::NAN.to_le_bytes().to_vec().into()
}

fn unexpected<T>(field: &Field) -> Result<T> {
    Err(malformed(&field.column, "its row groups disagree with the file's schema", "write the file again"))
}

/// Parquet's half floats are two bytes, little-endian; any other length was refused with the schema.
fn half(value: &FixedLenByteArray) -> f16 {
    value.data().first_chunk().map_or(f16::NAN, |&bytes| f16::from_le_bytes(bytes))
}

/// The message of an error, without its class.
pub(super) fn reason(error: ParquetError) -> String {
    match error {
        ParquetError::General(message) | ParquetError::EOF(message) => message,
        error => error.to_string(),
    }
}
