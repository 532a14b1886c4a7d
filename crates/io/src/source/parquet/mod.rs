//! `.parquet` files. Of all their columns only those named are read, each straight into the vector it is evaluated from.

mod ahead;
mod decode;
mod rows;
mod types;

use std::{fs::File, path::Path, sync::Arc};

use ahead::Ahead;
use bytes::Bytes;
use decode::reason;
use logloss::{Array, BLOCK, Ignore, WeightShape};
use parquet::file::reader::{FileReader, SerializedFileReader};
use rows::{Columns, DecodedPart, Field};
use types::{describe, number};

use super::{
    COPIED_PART, Part, PartUnrepresentable, Source,
    mapped::{self, never_nan},
    part_len,
};
use crate::{
    Column, Error, Observer, Place, ReadOptions, Result, Selection, Shape,
    convert::{Labels, Predictions, Weights},
    error::{malformed, unreadable},
    number::Number,
    place,
};

struct Parquet {
    columns: Columns,
    rows: u64,
    /// The number of rows handed out.
    at: u64,
    /// The thread that reads them, once the first are asked for.
    ahead: Option<Ahead>,
    weight_shape: Option<WeightShape>,
    unit: usize,
    /// The part that was handed out last.
    part: Option<DecodedPart>,
    // The same interleaved by row, where there is more than one column; and the notes on all parts.
    all_predictions: Predictions,
    all_labels: Labels,
    all_weights: Weights,
}

/// Opens a file that holds the columns.
pub(super) fn open(path: &Path, selection: &Selection, options: &ReadOptions) -> Result<Box<dyn Source>> {
    let file = File::open(path).map_err(|error| unreadable(path, &error, "check its permissions"))?;
    // Mapped, for threads read columns side by side: the handles of a file have one position together.
    let file = SerializedFileReader::new(Bytes::from_owner(mapped::map(path, &file)?)).map_err(|error| {
        let reason = format!("is not a Parquet file, or is cut short: {}", reason(error));
        malformed(path, reason, "write or copy the file again")
    })?;
    let metadata = file.metadata().file_metadata();
    let columns = metadata.schema_descr().columns();
    let names: Vec<String> = columns.iter().map(|column| column.path().string()).collect();
    let described: Vec<String> =
        columns.iter().zip(&names).map(|(column, name)| format!("{name} ({})", describe(column))).collect();
    let wanted = selection.columns(path, &names, &described)?;
    let field = |name: &&str| -> Result<Field> {
        let at = place::find(path, "column", name, &names, &described)?;
        let column = Column::named(path, "column", name);
        let Some(number) = number(&columns[at]) else {
            return Err(Error::UnsupportedType {
                column,
                found: describe(&columns[at]),
                purpose: "evaluated",
                help: "store predictions as floats, labels and weights as any integer, bool or float type".to_owned(),
            });
        };
        let defined = columns[at].max_def_level();
        Ok(Field { column, number, at, defined, may_be_missing: options.may_skip, levels: Vec::new() })
    };
    let fields = |names: &[&str]| names.iter().map(field).collect::<Result<Vec<_>>>();
    let predictions = fields(&wanted.predictions)?;
    let (targets, weights) = (fields(&wanted.targets)?, fields(&wanted.weights)?);
    if let Some(field) = predictions.iter().find(|field| !field.number.is_float()) {
        return Err(Error::UnsupportedType {
            column: field.column.clone(),
            found: field.number.to_string(),
            purpose: "predictions",
            help: "predictions are floats (f16, f32, f64): are --pred and --target swapped?".to_owned(),
        });
    }
    let never_is = |field: &&Field| !field.number.is_float() && field.defined == 0;
    if let Some(field) = targets.iter().find(never_is).filter(|_| options.ignores_nan()) {
        return never_nan(&field.column, field.number);
    }
    let rows = u64::try_from(metadata.num_rows()).map_err(|error| {
        malformed(path, format_args!("has a negative number of rows: {error}"), "write or copy the file again")
    })?;
    let weight_shape = wanted.weight_shape();
    let columns = Columns { file: Arc::new(file), predictions, targets, weights, options: options.clone() };
    Ok(Box::new(Parquet {
        rows,
        at: 0,
        ahead: None,
        weight_shape,
        unit: BLOCK,
        part: None,
        all_predictions: Predictions::new(options.form, columns.predictions[0].number, options.may_skip),
        all_labels: columns.empty_labels(),
        all_weights: Weights::new(Number::F32, options.may_skip),
        columns,
    }))
}

impl Source for Parquet {
    fn shape(&self) -> Shape {
        Shape::of_columns(Some(self.rows), self.columns.predictions.len())
    }

    fn ignore(&self) -> Option<Ignore> {
        self.all_labels.ignore()
    }

    fn weight_shape(&self) -> Option<WeightShape> {
        self.weight_shape
    }

    fn count(&mut self, _: &mut dyn Observer) -> Result<u64> {
        Ok(self.rows * self.columns.predictions.len() as u64)
    }

    fn set_unit(&mut self, unit: usize) {
        self.unit = unit;
    }

    fn next_part(&mut self, _: &mut dyn Observer) -> Result<Option<Part<'_>>> {
        let ahead = match &mut self.ahead {
            Some(ahead) => ahead,
            None => {
                let most = part_len(COPIED_PART, self.unit) / self.columns.predictions.len();
                self.ahead.insert(Ahead::start(self.columns.clone(), most).map_err(Error::Thread)?)
            }
        };
        let Some(part) = ahead.exchange(self.part.take())? else { return Ok(None) };
        let DecodedPart { rows, predictions, labels, weights } = self.part.insert(part);
        self.at += *rows as u64;
        let (predictions, labels) = match (predictions.as_mut_slice(), labels.as_mut_slice()) {
            ([predictions], [labels]) => {
                self.all_predictions.note(predictions);
                self.all_labels.note(labels);
                (&*predictions, &*labels)
            }
            (predictions, labels) => {
                self.all_predictions.join(predictions);
                self.all_labels.join(labels);
                (&self.all_predictions, &self.all_labels)
            }
        };
        let weights = match weights.as_mut_slice() {
            [] => None,
            [weights] => {
                self.all_weights.note(weights);
                Some(&*weights)
            }
            weights => {
                self.all_weights.join(weights);
                Some(&self.all_weights)
            }
        };
        Ok(Some(Part {
            predictions: predictions.view(),
            targets: labels.view(),
            weights: weights.map(Weights::view),
            unrepresentable: PartUnrepresentable {
                predictions: Some(predictions.unrepresentable()),
                targets: Some(labels.unrepresentable()),
                weights: weights.map(Weights::unrepresentable),
            },
        }))
    }

    fn rewind(&mut self) -> Result<()> {
        (self.at, self.ahead) = (0, None);
        self.all_predictions.reset();
        Ok(())
    }

    fn position(&self) -> (u64, u64) {
        (self.at, self.rows)
    }

    fn place(&self, array: Array, index: u64) -> Option<Place> {
        let fields = match array {
            Array::Targets => &self.columns.targets,
            Array::Weights => &self.columns.weights,
            _ => &self.columns.predictions,
        };
        let columns: Vec<_> = fields.iter().map(|field| &field.column).collect();
        Place::in_columns(&columns, index, self.columns.predictions.len())
    }

    fn target_names(&self) -> String {
        let columns: Vec<_> = self.columns.targets.iter().map(|field| &field.column).collect();
        place::joined_names(&columns)
    }

    fn class_names(&self) -> Vec<String> {
        self.columns.predictions.iter().filter_map(|field| field.column.name()).map(str::to_owned).collect()
    }

    fn notes(&self) -> Vec<String> {
        let Self { all_predictions, all_labels, all_weights, .. } = self;
        all_predictions.notes().chain(all_labels.notes()).chain(all_weights.notes()).collect()
    }
}
