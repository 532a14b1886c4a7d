//! Values of one column, from its pages into the vector that they are evaluated from.

use anyhow::Result;
use logloss::half::f16;
use parquet::{
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::DataType,
    errors::ParquetError,
};

use super::rows::Field;
use crate::{
    failure::fault,
    source::{
        column,
        gather::{Labels, Predictions, Weights},
        number::Number,
    },
};

pub fn read_predictions(
    reader: &mut ColumnReader,
    rows: usize,
    first: u64,
    field: &mut Field,
    into: &mut Predictions,
) -> Result<()> {
    match reader {
        ColumnReader::FloatColumnReader(reader) => read(reader, rows, first, field, into.f32()),
        ColumnReader::DoubleColumnReader(reader) => {
            into.narrow(read_new(reader, rows, first, field)?.into_iter());
            Ok(())
        }
        ColumnReader::FixedLenByteArrayColumnReader(reader) => {
            let values = read_new(reader, rows, first, field)?;
            into.f16().extend(values.iter().map(|value| half(value.data())));
            Ok(())
        }
        _ => unexpected(field),
    }
}

pub fn read_labels(
    reader: &mut ColumnReader,
    rows: usize,
    first: u64,
    field: &mut Field,
    into: &mut Labels,
) -> Result<()> {
    match (reader, field.number) {
        (ColumnReader::BoolColumnReader(reader), _) => {
            into.extend(read_new(reader, rows, first, field)?.into_iter().map(u8::from));
        }
        // Unsigned values are stored as the signed ones of the same bits.
        (ColumnReader::Int32ColumnReader(reader), Number::U32) => {
            into.extend(read_new(reader, rows, first, field)?.into_iter().map(i32::cast_unsigned));
        }
        (ColumnReader::Int32ColumnReader(reader), _) => into.extend(read_new(reader, rows, first, field)?.into_iter()),
        (ColumnReader::Int64ColumnReader(reader), Number::U64) => {
            into.extend(read_new(reader, rows, first, field)?.into_iter().map(i64::cast_unsigned));
        }
        (ColumnReader::Int64ColumnReader(reader), _) => into.extend(read_new(reader, rows, first, field)?.into_iter()),
        (ColumnReader::FloatColumnReader(reader), _) => {
            into.extend(read_new(reader, rows, first, field)?.into_iter().map(f64::from));
        }
        (ColumnReader::DoubleColumnReader(reader), _) => into.extend(read_new(reader, rows, first, field)?.into_iter()),
        (ColumnReader::FixedLenByteArrayColumnReader(reader), _) => {
            let values = read_new(reader, rows, first, field)?;
            into.extend(values.iter().map(|value| f64::from(half(value.data()))));
        }
        _ => return unexpected(field),
    }
    Ok(())
}

pub fn read_weights(
    reader: &mut ColumnReader,
    rows: usize,
    first: u64,
    field: &mut Field,
    into: &mut Weights,
) -> Result<()> {
    match (reader, field.number) {
        (ColumnReader::FloatColumnReader(reader), _) => return read(reader, rows, first, field, into.f32()),
        (ColumnReader::FixedLenByteArrayColumnReader(reader), _) => {
            let values = read_new(reader, rows, first, field)?;
            into.f16().extend(values.iter().map(|value| half(value.data())));
        }
        (ColumnReader::DoubleColumnReader(reader), _) => into.narrow(read_new(reader, rows, first, field)?.into_iter()),
        (ColumnReader::BoolColumnReader(reader), _) => {
            into.narrow(read_new(reader, rows, first, field)?.into_iter().map(|value| f64::from(u8::from(value))));
        }
        (ColumnReader::Int32ColumnReader(reader), Number::U32) => {
            into.narrow(read_new(reader, rows, first, field)?.into_iter().map(|value| value.cast_unsigned().into()));
        }
        (ColumnReader::Int32ColumnReader(reader), _) => {
            into.narrow(read_new(reader, rows, first, field)?.into_iter().map(f64::from));
        }
        (ColumnReader::Int64ColumnReader(reader), Number::U64) => {
            into.narrow(read_new(reader, rows, first, field)?.into_iter().map(|value| value.cast_unsigned() as f64));
        }
        (ColumnReader::Int64ColumnReader(reader), _) => {
            into.narrow(read_new(reader, rows, first, field)?.into_iter().map(|value| value as f64));
        }
        _ => return unexpected(field),
    }
    Ok(())
}

fn read_new<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    first: u64,
    field: &mut Field,
) -> Result<Vec<T::T>> {
    let mut values = Vec::with_capacity(rows);
    read(reader, rows, first, field, &mut values)?;
    Ok(values)
}

/// Appends the next `rows` values, the first of which is value `first` of the file.
fn read<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    first: u64,
    field: &mut Field,
    into: &mut Vec<T::T>,
) -> Result<()> {
    field.levels.clear();
    let (records, values, _) =
        reader.read_records(rows, Some(&mut field.levels), None, into).map_err(|error| damaged(field, first, error))?;
    if values < records {
        let missing = field.levels.iter().position(|&level| level < field.defined).unwrap_or(0);
        return Err(column::missing(&field.column, first + missing as u64, None));
    }
    if records < rows {
        return Err(fault(
            format_args!("{}: ends after {} of its values", field.column, first + records as u64),
            "write or copy the file again",
        ));
    }
    Ok(())
}

pub fn damaged(field: &Field, first: u64, error: ParquetError) -> anyhow::Error {
    fault(
        format_args!("{}: cannot be read from index {first} on: {}", field.column, reason(error)),
        "the file is damaged, or compressed in a way unknown here: write or copy it again",
    )
}

fn unexpected<T>(field: &Field) -> Result<T> {
    Err(fault(&field.column, "its row groups disagree with the file's schema: write the file again"))
}

/// Parquet's half floats are two bytes, little-endian; any other length was refused with the schema.
fn half(bytes: &[u8]) -> f16 {
    bytes.first_chunk().map_or(f16::NAN, |&bytes| f16::from_le_bytes(bytes))
}

/// A message without its class.
pub fn reason(error: ParquetError) -> String {
    match error {
        ParquetError::General(message) | ParquetError::EOF(message) => message,
        error => error.to_string(),
    }
}
