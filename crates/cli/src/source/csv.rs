//! `.csv` files: a header line, then comma-separated fields; read a record at a time, and twice if its records must be
//! counted first.

use std::{fs::File, path::Path, str};

use anyhow::Result;
use csv::{ByteRecord, Position, Reader, ReaderBuilder};
use logloss::{Array, BLOCK, Ignore, WeightShape};

use super::{
    AllOdds, COPIED_PART, Column, Named, Part, Shape, Source, Wish, column,
    gather::{Labels, Predictions, Weights},
    number::Number,
    part_len,
};
use crate::{args::IgnoreLabel, failure::fault, interrupt};

const BUFFER: usize = 1 << 20;
/// Characters of a field that a message shows.
const SHOWN: usize = 40;
/// Records between two looks at whether Ctrl-C was pressed.
const RECORDS_A_LOOK: u64 = 1 << 16;

struct Csv {
    rows: Rows,
    /// Where the first record begins.
    begin: Position,
    /// As many as there are classes, of both.
    pred: Vec<Field>,
    target: Vec<Field>,
    weight: Vec<Field>,
    weight_shape: Option<WeightShape>,
    unit: usize,
    predictions: Predictions,
    labels: Labels,
    weights: Weights,
    /// Whether labels may be missing: where NaN leaves out.
    may_be_missing: bool,
}

/// The records of a file.
struct Rows {
    reader: Reader<File>,
    /// The one read last.
    record: ByteRecord,
    /// How many were read.
    read: u64,
    file: String,
    bytes: u64,
}

struct Field {
    column: Column,
    /// Its position in a record.
    at: usize,
}

/// Opens a file that holds the columns.
pub fn open(path: &Path, named: Named<'_>, wish: Wish) -> Result<Box<dyn Source>> {
    let shown = path.display().to_string();
    let unreadable = |error: csv::Error| fault(format_args!("{shown}: {error}"), "write it as UTF-8 text");
    let file = File::open(path).map_err(|error| unreadable(error.into()))?;
    let bytes = file.metadata().map_err(|error| unreadable(error.into()))?.len();
    let mut reader = ReaderBuilder::new().buffer_capacity(BUFFER).from_reader(file);
    let names: Vec<String> = reader.headers().map_err(unreadable)?.iter().map(|name| name.trim().to_owned()).collect();
    if let [name] = names.as_slice() {
        return Err(fault(
            format_args!("{shown}: has a single column, '{name}', and predictions and labels make two"),
            "separate the fields by commas, and name them in the first line",
        ));
    }
    let columns = named.columns(path, &names, &names)?;
    let field = |name: &&str| -> Result<Field> {
        // Numbers may be names, as pandas gives them; but where others are asked for, they are the first values.
        if !names.iter().any(|there| there == name) && names.iter().all(|name| name.parse::<f64>().is_ok()) {
            return Err(fault(
                format_args!("{shown}: its first line holds numbers, and names of columns are read from there"),
                "put a line of names before it, such as logit,label",
            ));
        }
        let at = column::find(path, "column", name, &names, &names)?;
        Ok(Field { column: Column::named(path, "column", name), at })
    };
    let fields = |names: &[&str]| names.iter().map(field).collect::<Result<Vec<_>>>();
    Ok(Box::new(Csv {
        begin: reader.position().clone(),
        pred: fields(&columns.pred)?,
        target: fields(&columns.target)?,
        weight: fields(&columns.weight)?,
        weight_shape: columns.weights(),
        unit: BLOCK,
        rows: Rows { reader, record: ByteRecord::new(), read: 0, file: shown, bytes },
        predictions: Predictions::new(wish.form, Number::F32, wish.every_odd),
        labels: Labels::new(wish, true),
        weights: Weights::new(Number::F32, wish.every_odd),
        may_be_missing: wish.ignore == Some(IgnoreLabel::Nan),
    }))
}

impl Rows {
    /// Reads the next record; false at the end.
    fn advance(&mut self) -> Result<bool> {
        if self.read.is_multiple_of(RECORDS_A_LOOK) {
            interrupt::check()?;
        }
        let there = self.reader.read_byte_record(&mut self.record).map_err(|error| {
            fault(format_args!("{}: {error}", self.file), "every record needs as many fields as the header line")
        })?;
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
            return Err(column::missing(&field.column, self.index(), Some(self.line())));
        }
        str::from_utf8(bytes).map_err(|_| self.no_number(field, &String::from_utf8_lossy(bytes)))
    }

    /// The same as it is, empty if it is missing.
    fn bytes(&self, field: &Field) -> &[u8] {
        self.record.get(field.at).unwrap_or_default().trim_ascii()
    }

    fn no_number(&self, field: &Field, text: &str) -> anyhow::Error {
        let shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
        fault(
            format_args!("{}, index {} (line {}): '{shown}' is no number", field.column, self.index(), self.line()),
            "write numbers as 0.5 or 5e-1, labels also as True and False; drop the rows that have none",
        )
    }
}

impl Source for Csv {
    fn shape(&self) -> Shape {
        Shape::of_columns(None, self.pred.len())
    }

    fn ignore(&self) -> Option<Ignore> {
        self.labels.ignore()
    }

    fn weights(&self) -> Option<WeightShape> {
        self.weight_shape
    }

    fn count(&mut self) -> Result<u64> {
        while self.rows.advance()? {}
        let values = self.rows.read * self.pred.len() as u64;
        self.rewind()?;
        Ok(values)
    }

    fn set_unit(&mut self, unit: usize) {
        self.unit = unit;
    }

    fn next_part(&mut self) -> Result<Option<Part<'_>>> {
        self.predictions.clear();
        self.labels.clear();
        self.weights.clear();
        let len = part_len(COPIED_PART, self.unit);
        let Self { rows, pred, target, weight, predictions, labels, weights, may_be_missing, .. } = self;
        while predictions.len() < len && rows.advance()? {
            for field in &*pred {
                let text = rows.text(field)?;
                predictions.push_text(text, rows.line()).map_err(|_| rows.no_number(field, text))?;
            }
            for field in &*target {
                if *may_be_missing && rows.bytes(field).is_empty() {
                    labels.push_ignored();
                    continue;
                }
                let text = rows.text(field)?;
                labels.push(label(text).ok_or_else(|| rows.no_number(field, text))?, Some(rows.line()));
            }
            for field in &*weight {
                let text = rows.text(field)?;
                weights.push_text(text, rows.line()).map_err(|_| rows.no_number(field, text))?;
            }
        }
        Ok((predictions.len() > 0).then(|| Part {
            predictions: predictions.view(),
            targets: labels.view(),
            weights: self.weight_shape.map(|_| weights.view()),
            odds: AllOdds {
                predictions: Some(predictions.odds()),
                targets: Some(labels.odds()),
                weights: Some(weights.odds()),
            },
        }))
    }

    fn rewind(&mut self) -> Result<()> {
        self.rows.reader.seek(self.begin.clone())?;
        self.rows.read = 0;
        self.predictions.reset();
        Ok(())
    }

    fn position(&self) -> (u64, u64) {
        (self.rows.reader.position().byte(), self.rows.bytes)
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
        self.predictions.notes().chain(self.labels.notes()).chain(self.weights.notes()).collect()
    }
}

fn label(text: &str) -> Option<f64> {
    match text {
        "0" | "False" | "false" | "FALSE" => Some(0.0),
        "1" | "True" | "true" | "TRUE" => Some(1.0),
        text => text.parse().ok(),
    }
}
