//! `.csv` files: a header line, then comma-separated fields; read a record at a time, and twice if its records must be
//! counted first.

use std::{
    fs::File,
    path::{Path, PathBuf},
    str,
};

use csv::{ByteRecord, Position, Reader, ReaderBuilder};
use logloss::{Array, BLOCK, Ignore, WeightShape};

use super::{COPIED_PART, Part, PartUnrepresentable, Source, part_len};
use crate::{
    Column, Error, Observer, Place, ReadOptions, Result, Selection, Shape,
    convert::{Labels, Predictions, Weights},
    error::malformed,
    number::Number,
    observer, place,
};

const BUFFER: usize = 1 << 20;
/// The number of characters of a field that a message shows.
const SHOWN: usize = 40;
/// The number of records that are read before the observer is asked again whether to stop.
const RECORDS_AT_ONCE: u64 = 1 << 16;

struct Csv {
    records: Records,
    /// The position of the first record.
    begin: Position,
    /// One field for each class.
    prediction_fields: Vec<Field>,
    /// One field for each class.
    target_fields: Vec<Field>,
    weight_fields: Vec<Field>,
    weight_shape: Option<WeightShape>,
    unit: usize,
    predictions: Predictions,
    labels: Labels,
    weights: Weights,
    /// Whether values may be missing, because elements may be ignored or masked.
    may_be_missing: bool,
}

/// The records of a file.
struct Records {
    reader: Reader<File>,
    /// The record that was read last.
    record: ByteRecord,
    /// The number of records read.
    read: u64,
    path: PathBuf,
    /// The size of the file in bytes.
    bytes: u64,
}

/// A field of every record.
struct Field {
    column: Column,
    /// Its position in a record.
    at: usize,
    /// Whether every value so far is written as an integer; none before the first. Only predictions are looked at.
    integers: Option<bool>,
}

/// Opens a file that holds the columns.
pub(super) fn open(path: &Path, selection: &Selection, options: &ReadOptions) -> Result<Box<dyn Source>> {
    let unreadable = |error: csv::Error| trouble(path, &error, "write it as UTF-8 text");
    let file = File::open(path).map_err(|error| unreadable(error.into()))?;
    let bytes = file.metadata().map_err(|error| unreadable(error.into()))?.len();
    let mut reader = ReaderBuilder::new().buffer_capacity(BUFFER).from_reader(file);
    let names: Vec<String> = reader.headers().map_err(unreadable)?.iter().map(|name| name.trim().to_owned()).collect();
    if let [name] = names.as_slice() {
        return Err(malformed(
            path,
            format_args!("has a single column, '{name}', and predictions and labels make two"),
            "separate the fields by commas, and name them in the first line",
        ));
    }
    let columns = selection.columns(path, &names, &names)?;
    let field = |name: &&str| -> Result<Field> {
        // Numbers may be names, as pandas gives them; but where others are asked for, they are the first values.
        if !names.iter().any(|there| there == name) && names.iter().all(|name| name.parse::<f64>().is_ok()) {
            return Err(malformed(
                path,
                "its first line holds numbers, and names of columns are read from there",
                "put a line of names before it, such as logit,label",
            ));
        }
        let at = place::find(path, "column", name, &names, &names)?;
        Ok(Field { column: Column::named(path, "column", name), at, integers: None })
    };
    let fields = |names: &[&str]| names.iter().map(field).collect::<Result<Vec<_>>>();
    Ok(Box::new(Csv {
        begin: reader.position().clone(),
        prediction_fields: fields(&columns.predictions)?,
        target_fields: fields(&columns.targets)?,
        weight_fields: fields(&columns.weights)?,
        weight_shape: columns.weight_shape(),
        unit: BLOCK,
        records: Records { reader, record: ByteRecord::new(), read: 0, path: path.to_owned(), bytes },
        predictions: Predictions::of_text(options.form, options.may_skip),
        labels: Labels::new(options, true),
        weights: Weights::new(Number::F32, options.may_skip),
        may_be_missing: options.may_skip,
    }))
}

/// The error for a file that cannot be read as text separated by commas.
fn trouble(path: &Path, error: &csv::Error, help: &'static str) -> Error {
    match error.kind() {
        csv::ErrorKind::Io(io) => {
            Error::Io { path: path.to_owned(), reason: error.to_string(), kind: io.kind(), help: Some(help) }
        }
        _ => malformed(path, error, help),
    }
}

impl Records {
    /// Reads the next record; false at the end.
    fn advance(&mut self, observer: &mut dyn Observer) -> Result<bool> {
        if self.read.is_multiple_of(RECORDS_AT_ONCE) {
            observer::check(observer)?;
        }
        let there = self
            .reader
            .read_byte_record(&mut self.record)
            .map_err(|error| trouble(&self.path, &error, "every record needs as many fields as the header line"))?;
        self.read += u64::from(there);
        Ok(there)
    }

    /// The index of the record.
    fn index(&self) -> u64 {
        self.read - 1
    }

    /// The line that the record begins on.
    fn line(&self) -> u64 {
        self.record.position().map_or(0, Position::line)
    }

    /// A field of the record.
    fn text(&self, field: &Field) -> Result<&str> {
        let bytes = self.bytes(field);
        if bytes.is_empty() {
            return Err(Error::MissingValue { place: self.place(field) });
        }
        str::from_utf8(bytes).map_err(|_| self.not_a_number(field, &String::from_utf8_lossy(bytes)))
    }

    /// The bytes of a field of the record, empty if it is missing.
    fn bytes(&self, field: &Field) -> &[u8] {
        self.record.get(field.at).unwrap_or_default().trim_ascii()
    }

    fn place(&self, field: &Field) -> Place {
        Place::row(&field.column, self.index()).with_line(Some(self.line()))
    }

    fn not_a_number(&self, field: &Field, text: &str) -> Error {
        let text = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
        Error::NotANumber { place: self.place(field), text }
    }
}

impl Csv {
    /// Refuses predictions that are integers throughout the file, as those of any other format whose type says so: they
    /// are labels or class numbers. That is known at the end, because a column of floats may begin with round ones.
    fn check_floats(&self) -> Result<()> {
        if !self.prediction_fields.iter().all(|field| field.integers == Some(true)) {
            return Ok(());
        }
        match self.prediction_fields.first() {
            None => Ok(()),
            Some(field) => Err(Error::UnsupportedType {
                column: field.column.clone(),
                found: "integer".to_owned(),
                purpose: "predictions",
                help: "predictions are floats: are these classes that a model decided for, or are --pred and --target \
                       swapped? (Logits that happen to be whole are written as 2.0)"
                    .to_owned(),
            }),
        }
    }
}

impl Source for Csv {
    fn shape(&self) -> Shape {
        Shape::of_columns(None, self.prediction_fields.len())
    }

    fn ignore(&self) -> Option<Ignore> {
        self.labels.ignore()
    }

    fn weight_shape(&self) -> Option<WeightShape> {
        self.weight_shape
    }

    fn count(&mut self, observer: &mut dyn Observer) -> Result<u64> {
        while self.records.advance(observer)? {}
        let values = self.records.read * self.prediction_fields.len() as u64;
        self.rewind()?;
        Ok(values)
    }

    fn set_unit(&mut self, unit: usize) {
        self.unit = unit;
    }

    fn next_part(&mut self, observer: &mut dyn Observer) -> Result<Option<Part<'_>>> {
        self.predictions.clear();
        self.labels.clear();
        self.weights.clear();
        let len = part_len(COPIED_PART, self.unit);
        let Self { records, predictions, labels, weights, may_be_missing, .. } = self;
        while predictions.len() < len && records.advance(observer)? {
            let is_missing = |field: &Field| *may_be_missing && records.bytes(field).is_empty();
            for field in &mut self.prediction_fields {
                if is_missing(field) {
                    predictions.push_missing(records.line());
                    continue;
                }
                let text = records.text(field)?;
                predictions.push_text(text, records.line()).map_err(|_| records.not_a_number(field, text))?;
                // The first float settles it, nearly always that of the first record.
                field.integers = Some(field.integers != Some(false) && is_integer(text));
            }
            for field in &self.target_fields {
                if is_missing(field) {
                    labels.push_missing(Some(records.line()));
                    continue;
                }
                let text = records.text(field)?;
                labels.push(label(text).ok_or_else(|| records.not_a_number(field, text))?, Some(records.line()));
            }
            for field in &self.weight_fields {
                if is_missing(field) {
                    weights.push_missing(records.line());
                    continue;
                }
                let text = records.text(field)?;
                weights.push_text(text, records.line()).map_err(|_| records.not_a_number(field, text))?;
            }
        }
        if predictions.len() == 0 {
            return self.check_floats().map(|()| None);
        }
        let Self { predictions, labels, weights, .. } = self;
        Ok(Some(Part {
            predictions: predictions.view(),
            targets: labels.view(),
            weights: self.weight_shape.map(|_| weights.view()),
            unrepresentable: PartUnrepresentable {
                predictions: Some(predictions.unrepresentable()),
                targets: Some(labels.unrepresentable()),
                weights: Some(weights.unrepresentable()),
            },
        }))
    }

    fn rewind(&mut self) -> Result<()> {
        let Records { reader, path, read, .. } = &mut self.records;
        reader.seek(self.begin.clone()).map_err(|error| trouble(path, &error, "write it as UTF-8 text"))?;
        *read = 0;
        self.predictions.reset();
        Ok(())
    }

    fn position(&self) -> (u64, u64) {
        (self.records.reader.position().byte(), self.records.bytes)
    }

    fn place(&self, array: Array, index: u64) -> Option<Place> {
        let fields = match array {
            Array::Targets => &self.target_fields,
            Array::Weights => &self.weight_fields,
            _ => &self.prediction_fields,
        };
        let columns: Vec<_> = fields.iter().map(|field| &field.column).collect();
        Place::in_columns(&columns, index, self.prediction_fields.len())
    }

    fn target_names(&self) -> String {
        let columns: Vec<_> = self.target_fields.iter().map(|field| &field.column).collect();
        place::joined_names(&columns)
    }

    fn class_names(&self) -> Vec<String> {
        self.prediction_fields.iter().filter_map(|field| field.column.name()).map(str::to_owned).collect()
    }

    fn notes(&self) -> Vec<String> {
        self.predictions.notes().chain(self.labels.notes()).chain(self.weights.notes()).collect()
    }
}

/// Whether a number is written without a fraction and an exponent.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    digits.bytes().all(|digit| digit.is_ascii_digit())
}

fn label(text: &str) -> Option<f64> {
    match text {
        "0" | "False" | "false" | "FALSE" => Some(0.0),
        "1" | "True" | "true" | "TRUE" => Some(1.0),
        text => text.parse().ok(),
    }
}
