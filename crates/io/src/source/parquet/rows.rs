//! Rows of some columns, read from one row group after another.

use std::sync::Arc;

use bytes::Bytes;
use parquet::{
    column::reader::ColumnReader,
    file::reader::{FileReader, SerializedFileReader},
};
use rayon::prelude::*;

use super::decode::{damaged, read_labels, read_predictions, read_weights};
use crate::{
    Column, ReadOptions, Result,
    convert::{Labels, Predictions, Weights},
    error::malformed,
    number::Number,
};

/// A column, and what is needed to read it.
#[derive(Clone)]
pub(super) struct Field {
    pub column: Column,
    pub number: Number,
    /// Its position among the file's columns.
    pub at: usize,
    /// The definition level of a value that is there.
    pub defined: i16,
    /// Whether values may be missing, because elements may be ignored or masked.
    pub may_be_missing: bool,
    /// The definition levels of the values that were read last.
    pub levels: Vec<i16>,
}

/// The columns of a file that are read. As many of predictions as of targets, one for each class.
#[derive(Clone)]
pub(super) struct Columns {
    pub file: Arc<SerializedFileReader<Bytes>>,
    pub predictions: Vec<Field>,
    pub targets: Vec<Field>,
    pub weights: Vec<Field>,
    pub options: ReadOptions,
}

/// Values decoded from each column.
pub(super) struct DecodedPart {
    pub rows: usize,
    pub predictions: Vec<Predictions>,
    pub labels: Vec<Labels>,
    pub weights: Vec<Weights>,
}

impl Columns {
    /// A part without values.
    pub(super) fn empty_part(&self) -> DecodedPart {
        let ReadOptions { form, may_skip, .. } = self.options;
        let predictions = |field: &Field| Predictions::new(form, field.number, may_skip);
        DecodedPart {
            rows: 0,
            predictions: self.predictions.iter().map(predictions).collect(),
            labels: self.targets.iter().map(|_| self.empty_labels()).collect(),
            weights: self.weights.iter().map(|field| Weights::new(field.number, may_skip)).collect(),
        }
    }

    /// No labels, of any of the columns.
    pub(super) fn empty_labels(&self) -> Labels {
        let floats = self.targets.iter().any(|target| target.number.is_float());
        Labels::new(&self.options, floats)
    }
}

/// A reader of all rows.
pub(super) struct RowReader {
    columns: Columns,
    /// The number of rows read.
    at: u64,
    /// The next row group to open.
    next_group: usize,
    group: Option<Group>,
}

/// The row group being read.
struct Group {
    predictions: Vec<ColumnReader>,
    targets: Vec<ColumnReader>,
    weights: Vec<ColumnReader>,
    /// The number of rows yet to be read.
    left: usize,
}

impl RowReader {
    /// At the first row.
    pub(super) fn new(columns: Columns) -> Self {
        Self { columns, at: 0, next_group: 0, group: None }
    }

    /// The columns that it reads.
    pub(super) fn columns(&self) -> &Columns {
        &self.columns
    }

    /// Reads at most `most` rows into `part`, in place of what it held. After the last there are none.
    pub(super) fn read(&mut self, most: usize, part: &mut DecodedPart) -> Result<()> {
        part.rows = 0;
        part.predictions.iter_mut().for_each(Predictions::clear);
        part.labels.iter_mut().for_each(Labels::clear);
        part.weights.iter_mut().for_each(Weights::clear);
        while part.rows < most && self.open_group()? {
            let Some(Group { predictions, targets, weights, left }) = &mut self.group else { break };
            let rows = (*left).min(most - part.rows);
            let (columns, at) = (&mut self.columns, self.at);
            let (read_predictions, (read_labels, read_weights)) = rayon::join(
                || each(predictions, &mut columns.predictions, &mut part.predictions, rows, at, read_predictions),
                || {
                    rayon::join(
                        || each(targets, &mut columns.targets, &mut part.labels, rows, at, read_labels),
                        || each(weights, &mut columns.weights, &mut part.weights, rows, at, read_weights),
                    )
                },
            );
            read_predictions.and(read_labels).and(read_weights)?;
            *left -= rows;
            self.at += rows as u64;
            part.rows += rows;
        }
        Ok(())
    }

    /// Makes sure that a row group is open that has a row left; false at the end.
    fn open_group(&mut self) -> Result<bool> {
        let Columns { file, predictions, targets, weights, .. } = &self.columns;
        while self.group.as_ref().is_none_or(|group| group.left == 0) {
            if self.next_group == file.num_row_groups() {
                return Ok(false);
            }
            let group =
                file.get_row_group(self.next_group).map_err(|error| damaged(&predictions[0], self.at, error))?;
            self.next_group += 1;
            let readers = |fields: &[Field]| -> Result<Vec<ColumnReader>> {
                let reader =
                    |field: &Field| group.get_column_reader(field.at).map_err(|error| damaged(field, self.at, error));
                fields.iter().map(reader).collect()
            };
            let left = usize::try_from(group.metadata().num_rows())
                .map_err(|error| malformed(predictions[0].column.path(), error, "write or copy the file again"))?;
            let (predictions, targets, weights) = (readers(predictions)?, readers(targets)?, readers(weights)?);
            self.group = Some(Group { predictions, targets, weights, left });
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
