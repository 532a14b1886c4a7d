//! `.parquet` files. Of all their columns only the two are read, each straight into the vector it is evaluated from.

use std::{fs::File, path::Path};

use anyhow::{Context, Result};
use logloss::half::f16;
use parquet::{
    basic::{ConvertedType, LogicalType, Type},
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::DataType,
    errors::ParquetError,
    file::reader::{FileReader, SerializedFileReader},
    schema::types::ColumnDescriptor,
};

use super::{
    COPIED_PART, Column, Named, Part, Shape, Source, Wish, column,
    gather::{Labels, Predictions},
    number::Number,
};
use crate::failure::fault;

struct Parquet {
    file: SerializedFileReader<File>,
    len: u64,
    /// How many values were read.
    at: u64,
    /// The next row group to open.
    next_group: usize,
    group: Option<Group>,
    pred: Field,
    target: Field,
    predictions: Predictions,
    labels: Labels,
}

/// The row group being read.
struct Group {
    pred: ColumnReader,
    target: ColumnReader,
    /// Rows yet to be read.
    left: usize,
}

/// A column, and what is needed to read it.
struct Field {
    column: Column,
    number: Number,
    /// Its position among the file's columns.
    at: usize,
    /// The definition level of a value that is there.
    defined: i16,
    levels: Vec<i16>,
}

/// Opens a file that holds both columns.
pub fn open(path: &Path, named: Named<'_>, wish: Wish) -> Result<Box<dyn Source>> {
    let shown = path.display();
    let file = File::open(path)
        .map_err(|error| fault(format_args!("{shown}: cannot be read: {error}"), "check its permissions"))?;
    let file = SerializedFileReader::new(file).map_err(|error| {
        fault(
            format_args!("{shown}: is no Parquet file, or is cut short: {}", reason(error)),
            "write or copy the file again",
        )
    })?;
    let metadata = file.metadata().file_metadata();
    let columns = metadata.schema_descr().columns();
    let names: Vec<String> = columns.iter().map(|column| column.path().string()).collect();
    let described: Vec<String> =
        columns.iter().zip(&names).map(|(column, name)| format!("{name} ({})", describe(column))).collect();
    let (pred, target) = named.both(path, "column", &described)?;
    let field = |name: &str| -> Result<Field> {
        let at = column::find(path, "column", name, &names, &described)?;
        let column = Column::named(path, "column", name);
        let Some(number) = number(&columns[at]) else {
            return Err(fault(
                format_args!("{column}: {} values cannot be evaluated", describe(&columns[at])),
                "store predictions as floats, labels as any integer, bool or float type",
            ));
        };
        Ok(Field { column, number, at, defined: columns[at].max_def_level(), levels: Vec::new() })
    };
    let (pred, target) = (field(pred)?, field(target)?);
    if !pred.number.is_float() {
        return Err(fault(
            format_args!("{}: {} values cannot be predictions", pred.column, pred.number),
            "predictions are floats (f16, f32, f64): are --pred and --target swapped?",
        ));
    }
    let len = u64::try_from(metadata.num_rows()).with_context(|| format!("{shown}: has a negative number of rows"))?;
    let predictions = Predictions::new(wish.form, pred.number);
    let labels = Labels::default();
    Ok(Box::new(Parquet { file, len, at: 0, next_group: 0, group: None, pred, target, predictions, labels }))
}

impl Parquet {
    /// The row group to read on from, if there is any row left.
    fn open_group(&mut self) -> Result<Option<&mut Group>> {
        while self.group.as_ref().is_none_or(|group| group.left == 0) {
            if self.next_group == self.file.num_row_groups() {
                return Ok(None);
            }
            let damaged = |error| damaged(&self.pred, self.at, error);
            let group = self.file.get_row_group(self.next_group).map_err(damaged)?;
            self.next_group += 1;
            self.group = Some(Group {
                pred: group.get_column_reader(self.pred.at).map_err(damaged)?,
                target: group.get_column_reader(self.target.at).map_err(damaged)?,
                left: usize::try_from(group.metadata().num_rows())?,
            });
        }
        Ok(self.group.as_mut())
    }

    /// Reads a part; false at the end.
    fn read(&mut self) -> Result<bool> {
        self.predictions.clear();
        self.labels.clear();
        while self.predictions.len() < COPIED_PART {
            let Some(group) = self.open_group()? else { break };
            let rows = group.left.min(COPIED_PART - self.predictions.len());
            // Borrowed anew, for the fields beside it.
            let Some(group) = &mut self.group else { break };
            group.left -= rows;
            read_predictions(&mut group.pred, rows, self.at, &mut self.pred, &mut self.predictions)?;
            read_labels(&mut group.target, rows, self.at, &mut self.target, &mut self.labels)?;
            self.at += rows as u64;
        }
        Ok(self.predictions.len() > 0)
    }
}

impl Source for Parquet {
    fn shape(&self) -> Shape {
        Shape::flat(self.len)
    }

    fn count(&mut self) -> Result<u64> {
        Ok(self.len)
    }

    fn next_part(&mut self) -> Result<Option<Part<'_>>> {
        Ok(self.read()?.then(|| Part {
            predictions: self.predictions.view(),
            targets: self.labels.view(),
            odd_prediction: self.predictions.odd(),
            odd_target: self.labels.odd(),
        }))
    }

    fn position(&self) -> (u64, u64) {
        (self.at, self.len)
    }

    fn predictions(&self) -> &Column {
        &self.pred.column
    }

    fn targets(&self) -> &Column {
        &self.target.column
    }

    fn notes(&self) -> Vec<String> {
        self.predictions.notes().chain(self.labels.notes()).collect()
    }
}

fn read_predictions(
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

fn read_labels(reader: &mut ColumnReader, rows: usize, first: u64, field: &mut Field, into: &mut Labels) -> Result<()> {
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

fn damaged(field: &Field, first: u64, error: ParquetError) -> anyhow::Error {
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

/// The type of a column's values, if they are numbers.
fn number(column: &ColumnDescriptor) -> Option<Number> {
    if column.max_rep_level() > 0 {
        return None;
    }
    let integer = match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::Integer(integer)), _) => Some((integer.bit_width, integer.is_signed)),
        (Some(_), _) => None,
        (None, ConvertedType::UINT_8) => Some((8, false)),
        (None, ConvertedType::UINT_16) => Some((16, false)),
        (None, ConvertedType::UINT_32) => Some((32, false)),
        (None, ConvertedType::UINT_64) => Some((64, false)),
        (None, ConvertedType::INT_8) => Some((8, true)),
        (None, ConvertedType::INT_16) => Some((16, true)),
        (None, ConvertedType::NONE | ConvertedType::INT_32 | ConvertedType::INT_64) => Some((0, true)),
        _ => None,
    };
    Some(match (column.physical_type(), integer) {
        (Type::BOOLEAN, _) => Number::Bool,
        (Type::FLOAT, _) => Number::F32,
        (Type::DOUBLE, _) => Number::F64,
        (Type::INT32, Some((8, false))) => Number::U8,
        (Type::INT32, Some((16, false))) => Number::U16,
        (Type::INT32, Some((32, false))) => Number::U32,
        (Type::INT32, Some((8, true))) => Number::I8,
        (Type::INT32, Some((16, true))) => Number::I16,
        (Type::INT32, Some((_, true))) => Number::I32,
        (Type::INT64, Some((64, false))) => Number::U64,
        (Type::INT64, Some((_, true))) => Number::I64,
        (Type::FIXED_LEN_BYTE_ARRAY, _)
            if column.logical_type_ref() == Some(&LogicalType::Float16) && column.type_length() == 2 =>
        {
            Number::F16
        }
        _ => return None,
    })
}

/// What a column holds, for people.
fn describe(column: &ColumnDescriptor) -> String {
    if column.max_rep_level() > 0 {
        return "list".to_owned();
    }
    match (number(column), column.logical_type_ref()) {
        (Some(number), _) => number.to_string(),
        (None, Some(LogicalType::String)) => "string".to_owned(),
        (None, _) if column.converted_type() != ConvertedType::NONE => {
            column.converted_type().to_string().to_lowercase()
        }
        (None, _) => column.physical_type().to_string().to_lowercase(),
    }
}

/// A message without its class.
fn reason(error: ParquetError) -> String {
    match error {
        ParquetError::General(message) | ParquetError::EOF(message) => message,
        error => error.to_string(),
    }
}
