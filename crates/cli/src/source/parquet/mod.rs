//! `.parquet` files. Of all their columns only those named are read, each straight into the vector it is evaluated from.

mod ahead;
mod decode;
mod rows;
mod types;

use std::{fs::File, path::Path, sync::Arc};

use ahead::Ahead;
use anyhow::{Context, Result};
use bytes::Bytes;
use decode::reason;
use logloss::{Array, BLOCK, Ignore, WeightShape};
use parquet::file::reader::{FileReader, SerializedFileReader};
use rows::{Columns, Field, Gathered};
use types::{describe, number};

use super::{
    AllOdds, COPIED_PART, Column, Named, Part, Shape, Source, Wish, column,
    gather::{Labels, Predictions, Weights},
    mapped::{self, no_nan},
    number::Number,
    part_len,
};
use crate::{args::IgnoreLabel, failure::fault};

struct Parquet {
    columns: Columns,
    rows: u64,
    /// How many rows were handed out.
    at: u64,
    /// Who reads them, once the first are asked for.
    ahead: Option<Ahead>,
    weight_shape: Option<WeightShape>,
    unit: usize,
    /// The part that was handed out last.
    part: Option<Gathered>,
    /// The same put together by row, where there is more than one column; and what is to be said of all parts.
    all_predictions: Predictions,
    all_labels: Labels,
    all_weights: Weights,
}

/// Opens a file that holds the columns.
pub fn open(path: &Path, named: Named<'_>, wish: Wish) -> Result<Box<dyn Source>> {
    let shown = path.display();
    let file = File::open(path)
        .map_err(|error| fault(format_args!("{shown}: cannot be read: {error}"), "check its permissions"))?;
    // Mapped, for threads read columns side by side: the handles of a file have one position together.
    let file = SerializedFileReader::new(Bytes::from_owner(mapped::map(path, &file)?)).map_err(|error| {
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
        let defined = columns[at].max_def_level();
        Ok(Field { column, number, at, defined, may_be_missing: false, levels: Vec::new() })
    };
    let fields = |names: &[&str]| names.iter().map(field).collect::<Result<Vec<_>>>();
    let (pred, mut target, weight) = (fields(&wanted.pred)?, fields(&wanted.target)?, fields(&wanted.weight)?);
    if let Some(pred) = pred.iter().find(|pred| !pred.number.is_float()) {
        return Err(fault(
            format_args!("{}: {} values cannot be predictions", pred.column, pred.number),
            "predictions are floats (f16, f32, f64): are --pred and --target swapped?",
        ));
    }
    if wish.ignore == Some(IgnoreLabel::Nan) {
        if let Some(target) = target.iter().find(|target| !target.number.is_float() && target.defined == 0) {
            return no_nan(&target.column, target.number);
        }
        target.iter_mut().for_each(|target| target.may_be_missing = true);
    }
    let rows = u64::try_from(metadata.num_rows()).with_context(|| format!("{shown}: has a negative number of rows"))?;
    let weight_shape = wanted.weights();
    let columns = Columns { file: Arc::new(file), pred, target, weight, wish };
    Ok(Box::new(Parquet {
        rows,
        at: 0,
        ahead: None,
        weight_shape,
        unit: BLOCK,
        part: None,
        all_predictions: Predictions::new(wish.form, columns.pred[0].number, wish.every_odd),
        all_labels: columns.labels(),
        all_weights: Weights::new(Number::F32, wish.every_odd),
        columns,
    }))
}

impl Source for Parquet {
    fn shape(&self) -> Shape {
        Shape::of_columns(Some(self.rows), self.columns.pred.len())
    }

    fn ignore(&self) -> Option<Ignore> {
        self.all_labels.ignore()
    }

    fn weights(&self) -> Option<WeightShape> {
        self.weight_shape
    }

    fn count(&mut self) -> Result<u64> {
        Ok(self.rows * self.columns.pred.len() as u64)
    }

    fn set_unit(&mut self, unit: usize) {
        self.unit = unit;
    }

    fn next_part(&mut self) -> Result<Option<Part<'_>>> {
        let ahead = match &mut self.ahead {
            Some(ahead) => ahead,
            None => {
                let most = part_len(COPIED_PART, self.unit) / self.columns.pred.len();
                let ahead = Ahead::start(self.columns.clone(), most).context("no thread could be started")?;
                self.ahead.insert(ahead)
            }
        };
        let Some(part) = ahead.exchange(self.part.take())? else { return Ok(None) };
        let Gathered { rows, predictions, labels, weights } = self.part.insert(part);
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
            odds: AllOdds {
                predictions: Some(predictions.odds()),
                targets: Some(labels.odds()),
                weights: weights.map(Weights::odds),
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

    fn place(&self, array: Array, index: u64) -> String {
        let fields = match array {
            Array::Predictions | Array::Probabilities => &self.columns.pred,
            Array::Targets => &self.columns.target,
            Array::Weights => &self.columns.weight,
        };
        let columns: Vec<_> = fields.iter().map(|field| &field.column).collect();
        column::place(&columns, index, self.columns.pred.len())
    }

    fn targets(&self) -> String {
        let columns: Vec<_> = self.columns.target.iter().map(|field| &field.column).collect();
        column::all(&columns)
    }

    fn classes(&self) -> Vec<String> {
        self.columns.pred.iter().map(|field| field.column.name().to_owned()).collect()
    }

    fn notes(&self) -> Vec<String> {
        let Self { all_predictions, all_labels, all_weights, .. } = self;
        all_predictions.notes().chain(all_labels.notes()).chain(all_weights.notes()).collect()
    }
}
