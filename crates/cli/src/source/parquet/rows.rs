//! Rows of some columns, read from one row group after another.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use parquet::{
    column::reader::ColumnReader,
    file::reader::{FileReader, SerializedFileReader},
};
use rayon::prelude::*;

use super::decode::{damaged, read_labels, read_predictions, read_weights};
use crate::source::{
    Column, Wish,
    gather::{Labels, Predictions, Weights},
    number::Number,
};

/// A column, and what is needed to read it.
#[derive(Clone)]
pub struct Field {
    pub column: Column,
    pub number: Number,
    /// Its position among the file's columns.
    pub at: usize,
    /// The definition level of a value that is there.
    pub defined: i16,
    /// Whether values may be missing: of labels, where NaN leaves out.
    pub may_be_missing: bool,
    pub levels: Vec<i16>,
}

/// The columns of a file that are read. As many of predictions as of targets, one for each class.
#[derive(Clone)]
pub struct Columns {
    pub file: Arc<SerializedFileReader<Bytes>>,
    pub pred: Vec<Field>,
    pub target: Vec<Field>,
    pub weight: Vec<Field>,
    pub wish: Wish,
}

/// What was gathered from each column.
pub struct Gathered {
    pub rows: usize,
    pub predictions: Vec<Predictions>,
    pub labels: Vec<Labels>,
    pub weights: Vec<Weights>,
}

impl Columns {
    /// Room for a part of them.
    pub fn gathered(&self) -> Gathered {
        let every_odd = self.wish.every_odd;
        let predictions = |field: &Field| Predictions::new(self.wish.form, field.number, every_odd);
        Gathered {
            rows: 0,
            predictions: self.pred.iter().map(predictions).collect(),
            labels: self.target.iter().map(|_| self.labels()).collect(),
            weights: self.weight.iter().map(|field| Weights::new(field.number, every_odd)).collect(),
        }
    }

    /// Room for labels of any of them.
    pub fn labels(&self) -> Labels {
        let floats = self.target.iter().any(|target| target.number.is_float());
        Labels::new(self.wish, floats)
    }
}

/// A reader of all rows.
pub struct Rows {
    columns: Columns,
    /// How many rows were read.
    at: u64,
    /// The next row group to open.
    next_group: usize,
    group: Option<Group>,
}

/// The row group being read.
struct Group {
    pred: Vec<ColumnReader>,
    target: Vec<ColumnReader>,
    weight: Vec<ColumnReader>,
    /// Rows yet to be read.
    left: usize,
}

impl Rows {
    /// At the first row.
    pub fn new(columns: Columns) -> Self {
        Self { columns, at: 0, next_group: 0, group: None }
    }

    /// What it reads.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// Reads at most so many rows into `part`, in place of what it held. None after the last.
    pub fn read(&mut self, most: usize, part: &mut Gathered) -> Result<()> {
        part.rows = 0;
        part.predictions.iter_mut().for_each(Predictions::clear);
        part.labels.iter_mut().for_each(Labels::clear);
        part.weights.iter_mut().for_each(Weights::clear);
        while part.rows < most && self.open_group()? {
            let Some(Group { pred, target, weight, left }) = &mut self.group else { break };
            let rows = (*left).min(most - part.rows);
            let (columns, at) = (&mut self.columns, self.at);
            let (predictions, (labels, weights)) = rayon::join(
                || each(pred, &mut columns.pred, &mut part.predictions, rows, at, read_predictions),
                || {
                    rayon::join(
                        || each(target, &mut columns.target, &mut part.labels, rows, at, read_labels),
                        || each(weight, &mut columns.weight, &mut part.weights, rows, at, read_weights),
                    )
                },
            );
            predictions.and(labels).and(weights)?;
            *left -= rows;
            self.at += rows as u64;
            part.rows += rows;
        }
        Ok(())
    }

    /// Makes sure that a row group is open that has a row left; false at the end.
    fn open_group(&mut self) -> Result<bool> {
        let Columns { file, pred, target, weight, .. } = &self.columns;
        while self.group.as_ref().is_none_or(|group| group.left == 0) {
            if self.next_group == file.num_row_groups() {
                return Ok(false);
            }
            let group = file.get_row_group(self.next_group).map_err(|error| damaged(&pred[0], self.at, error))?;
            self.next_group += 1;
            let readers = |fields: &[Field]| -> Result<Vec<ColumnReader>> {
                let reader =
                    |field: &Field| group.get_column_reader(field.at).map_err(|error| damaged(field, self.at, error));
                fields.iter().map(reader).collect()
            };
            let left = usize::try_from(group.metadata().num_rows())?;
            self.group = Some(Group { pred: readers(pred)?, target: readers(target)?, weight: readers(weight)?, left });
        }
        Ok(true)
    }
}

/// Reads the next rows of columns side by side. Of the errors there are, it is the first column's.
fn each<G: Send>(
    readers: &mut [ColumnReader],
    fields: &mut [Field],
    into: &mut [G],
    rows: usize,
    first: u64,
    read: fn(&mut ColumnReader, usize, u64, &mut Field, &mut G) -> Result<()>,
) -> Result<()> {
    let columns = readers.par_iter_mut().zip(fields).zip(into);
    let read: Vec<_> = columns.map(|((reader, field), into)| read(reader, rows, first, field, into)).collect();
    read.into_iter().collect()
}
