//! `.parquet` files. Of all their columns only those named are read, each straight into the vector it is evaluated from.

use std::{fs::File, path::Path};

use anyhow::{Context, Result};
use logloss::{Array, BLOCK, Ignore, WeightShape, half::f16};
use parquet::{
    basic::{ConvertedType, LogicalType, Type},
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::DataType,
    errors::ParquetError,
    file::reader::{FileReader, SerializedFileReader},
    schema::types::ColumnDescriptor,
};

use super::{
    AllOdds, COPIED_PART, Column, Named, Part, Shape, Source, Wish, column,
    gather::{Labels, Predictions, Weights},
    mapped::no_nan,
    number::Number,
    part_len,
};
use crate::{args::IgnoreLabel, failure::fault};

struct Parquet {
    file: SerializedFileReader<File>,
    rows: u64,
    /// How many rows were read.
    at: u64,
    /// The next row group to open.
    next_group: usize,
    group: Option<Group>,
    /// As many as there are classes, of both.
    pred: Vec<Field>,
    target: Vec<Field>,
    weight: Vec<Field>,
    weight_shape: Option<WeightShape>,
    unit: usize,
    /// What was gathered from each column.
    predictions: Vec<Predictions>,
    labels: Vec<Labels>,
    weights: Vec<Weights>,
    /// The same put together by row, where there is more than one.
    all_predictions: Predictions,
    all_labels: Labels,
    all_weights: Weights,
}

/// The row group being read.
struct Group {
    pred: Vec<ColumnReader>,
    target: Vec<ColumnReader>,
    weight: Vec<ColumnReader>,
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

/// Opens a file that holds the columns.
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
    let wanted = named.columns(path, &names, &described)?;
    let field = |name: &&str| -> Result<Field> {
        let at = column::find(path, "column", name, &names, &described)?;
        let column = Column::named(path, "column", name);
        let Some(number) = number(&columns[at]) else {
            return Err(fault(
                format_args!("{column}: {} values cannot be evaluated", describe(&columns[at])),
                "store predictions as floats, labels and weights as any integer, bool or float type",
            ));
        };
        Ok(Field { column, number, at, defined: columns[at].max_def_level(), levels: Vec::new() })
    };
    let fields = |names: &[&str]| names.iter().map(field).collect::<Result<Vec<_>>>();
    let (pred, target, weight) = (fields(&wanted.pred)?, fields(&wanted.target)?, fields(&wanted.weight)?);
    if let Some(pred) = pred.iter().find(|pred| !pred.number.is_float()) {
        return Err(fault(
            format_args!("{}: {} values cannot be predictions", pred.column, pred.number),
            "predictions are floats (f16, f32, f64): are --pred and --target swapped?",
        ));
    }
    let integers = target.iter().find(|target| !target.number.is_float());
    if let (Some(IgnoreLabel::Nan), Some(target)) = (wish.ignore, integers) {
        return no_nan(&target.column, target.number);
    }
    let floats = target.iter().any(|target| target.number.is_float());
    let rows = u64::try_from(metadata.num_rows()).with_context(|| format!("{shown}: has a negative number of rows"))?;
    let labels = || Labels::new(wish, floats);
    Ok(Box::new(Parquet {
        predictions: pred.iter().map(|pred| Predictions::new(wish.form, pred.number, wish.every_odd)).collect(),
        labels: target.iter().map(|_| labels()).collect(),
        weights: weight.iter().map(|weight| Weights::new(weight.number, wish.every_odd)).collect(),
        all_predictions: Predictions::new(wish.form, Number::F32, wish.every_odd),
        all_labels: labels(),
        all_weights: Weights::new(Number::F32, wish.every_odd),
        file,
        rows,
        at: 0,
        next_group: 0,
        group: None,
        pred,
        target,
        weight,
        weight_shape: wanted.weights(),
        unit: BLOCK,
    }))
}

impl Parquet {
    /// Makes sure that a row group is open that has a row left; false at the end.
    fn open_group(&mut self) -> Result<bool> {
        while self.group.as_ref().is_none_or(|group| group.left == 0) {
            if self.next_group == self.file.num_row_groups() {
                return Ok(false);
            }
            let group =
                self.file.get_row_group(self.next_group).map_err(|error| damaged(&self.pred[0], self.at, error))?;
            self.next_group += 1;
            let readers = |fields: &[Field]| -> Result<Vec<ColumnReader>> {
                let reader =
                    |field: &Field| group.get_column_reader(field.at).map_err(|error| damaged(field, self.at, error));
                fields.iter().map(reader).collect()
            };
            self.group = Some(Group {
                pred: readers(&self.pred)?,
                target: readers(&self.target)?,
                weight: readers(&self.weight)?,
                left: usize::try_from(group.metadata().num_rows())?,
            });
        }
        Ok(true)
    }

    /// Reads a part: the number of its rows.
    fn read(&mut self) -> Result<usize> {
        self.predictions.iter_mut().for_each(Predictions::clear);
        self.labels.iter_mut().for_each(Labels::clear);
        self.weights.iter_mut().for_each(Weights::clear);
        let most = part_len(COPIED_PART, self.unit) / self.pred.len();
        let mut read = 0;
        while read < most && self.open_group()? {
            let Some(group) = &mut self.group else { break };
            let rows = group.left.min(most - read);
            group.left -= rows;
            let at = self.at;
            for ((reader, field), into) in group.pred.iter_mut().zip(&mut self.pred).zip(&mut self.predictions) {
                read_predictions(reader, rows, at, field, into)?;
            }
            for ((reader, field), into) in group.target.iter_mut().zip(&mut self.target).zip(&mut self.labels) {
                read_labels(reader, rows, at, field, into)?;
            }
            for ((reader, field), into) in group.weight.iter_mut().zip(&mut self.weight).zip(&mut self.weights) {
                read_weights(reader, rows, at, field, into)?;
            }
            self.at += rows as u64;
            read += rows;
        }
        Ok(read)
    }
}

impl Source for Parquet {
    fn shape(&self) -> Shape {
        Shape::of_columns(Some(self.rows), self.pred.len())
    }

    fn ignore(&self) -> Option<Ignore> {
        self.all_labels.ignore()
    }

    fn weights(&self) -> Option<WeightShape> {
        self.weight_shape
    }

    fn count(&mut self) -> Result<u64> {
        Ok(self.rows * self.pred.len() as u64)
    }

    fn set_unit(&mut self, unit: usize) {
        self.unit = unit;
    }

    fn next_part(&mut self) -> Result<Option<Part<'_>>> {
        if self.read()? == 0 {
            return Ok(None);
        }
        let (predictions, labels) = match (self.predictions.as_mut_slice(), self.labels.as_slice()) {
            ([predictions], [labels]) => (&*predictions, labels),
            (predictions, labels) => {
                self.all_predictions.join(predictions);
                self.all_labels.join(labels);
                (&self.all_predictions, &self.all_labels)
            }
        };
        let weights = match self.weights.as_slice() {
            [] => None,
            [weights] => Some(weights),
            weights => {
                self.all_weights.join(weights);
                Some(&self.all_weights)
            }
        };
        Ok(Some(Part {
            predictions: predictions.view(),
            targets: labels.view(),
            weights: weights.map(Weights::view),
            odds: AllOdds {
                predictions: Some(predictions.odds()),
                targets: Some(labels.odds()),
                weights: weights.map(Weights::odds),
            },
        }))
    }

    fn rewind(&mut self) -> Result<()> {
        (self.at, self.next_group, self.group) = (0, 0, None);
        self.predictions.iter_mut().for_each(Predictions::reset);
        self.all_predictions.reset();
        Ok(())
    }

    fn position(&self) -> (u64, u64) {
        (self.at, self.rows)
    }

    fn place(&self, array: Array, index: u64) -> String {
        let fields = match array {
            Array::Predictions | Array::Probabilities => &self.pred,
            Array::Targets => &self.target,
            Array::Weights => &self.weight,
        };
        let columns: Vec<_> = fields.iter().map(|field| &field.column).collect();
        column::place(&columns, index, self.pred.len())
    }

    fn targets(&self) -> String {
        let columns: Vec<_> = self.target.iter().map(|field| &field.column).collect();
        column::all(&columns)
    }

    fn classes(&self) -> Vec<String> {
        self.pred.iter().map(|field| field.column.name().to_owned()).collect()
    }

    fn notes(&self) -> Vec<String> {
        let one = self.pred.len() == 1;
        let (predictions, labels) =
            if one { (&self.predictions[0], &self.labels[0]) } else { (&self.all_predictions, &self.all_labels) };
        let weights = if let [weights] = self.weights.as_slice() { weights } else { &self.all_weights };
        predictions.notes().chain(labels.notes()).chain(weights.notes()).collect()
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

fn read_weights(
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
