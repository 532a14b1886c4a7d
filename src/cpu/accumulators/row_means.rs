//! The mean of the losses of each row.

use std::slice::IterMut;

use fearless_simd::prelude::*;

use super::TileAccumulator;
use crate::{Partials, cpu::tile::Tile};

/// The means of rows, each summed in f64 in the order of its columns. The run starts and ends with a row.
pub(crate) struct RowMeans<'a> {
    means: IterMut<'a, f64>,
    /// The number of elements in a row.
    classes: usize,
    /// The mean of a row whose elements are all ignored.
    empty: f64,
    /// The column of the next element.
    column: usize,
    /// The sum over the row so far, and the number of its elements that count.
    sum: f64,
    count: u64,
}

impl<'a> RowMeans<'a> {
    /// Means to be written to `means`, of rows of `classes` elements.
    pub(crate) fn new(means: &'a mut [f64], classes: usize, empty: f64) -> Self {
        Self { means: means.iter_mut(), classes, empty, column: 0, sum: 0.0, count: 0 }
    }
}

impl TileAccumulator for RowMeans<'_> {
    #[inline]
    fn add<S: Simd>(&mut self, _: S, tile: &Tile<'_>) {
        for (i, loss) in tile.losses[..tile.len].iter().enumerate() {
            self.sum += f64::from(*loss);
            self.count += u64::from(!tile.values.ignored.contains(i));
            self.column += 1;
            if self.column == self.classes {
                let mean = if self.count == 0 { self.empty } else { self.sum / self.count as f64 };
                if let Some(slot) = self.means.next() {
                    *slot = mean;
                }
                (self.column, self.sum, self.count) = (0, 0.0, 0);
            }
        }
    }

    /// Every mean has been written where it belongs.
    fn finish(self, _: &mut Partials) {}
}
