//! Sums whose bits do not depend on the width of vectors.

use fearless_simd::prelude::*;

use crate::{
    cpu::tile::TILE,
    exact_sum::{Adder, ExactSum},
};

/// The lanes, and the rows that are added in f32, of the tree that sums are taken over. There are more lanes than most
/// vectors have, so that the sum does not depend on their width.
pub(crate) const LANES: usize = 16;
pub(crate) const ROWS: usize = 8;
const _: () = assert!(TILE.is_multiple_of(LANES * ROWS));

/// A sum of tiles of f32: in lanes over a block, then exactly.
#[derive(Default)]
pub(crate) struct LaneSums {
    lanes: [f64; LANES],
    adder: Adder,
}

impl LaneSums {
    /// Adds the values of a tile to the lanes. In each lane, rows are added by eights in f32, as a tree (so that equal
    /// values add exactly), then in f64.
    #[inline(always)]
    pub(crate) fn add<S: Simd>(&mut self, simd: S, values: &[f32; TILE]) {
        let width = S::f32s::LEN;
        for first in (0..LANES).step_by(width) {
            let (low, high) = self.lanes[first..first + width].split_at_mut(S::f64s::LEN);
            let (mut sum_low, mut sum_high) = (S::f64s::from_slice(simd, low), S::f64s::from_slice(simd, high));
            for rows in values.chunks_exact(LANES * ROWS) {
                let (half_0, half_1) = rows.split_at(4 * LANES);
                let (low, high) = (four_rows(simd, half_0, first) + four_rows(simd, half_1, first)).widen();
                sum_low += low;
                sum_high += high;
            }
            sum_low.store_slice(low);
            sum_high.store_slice(high);
        }
    }

    /// Adds the sum over the lanes, as a tree, to the exact sum.
    #[inline(always)]
    pub(crate) fn end_block(&mut self) {
        let mut sums = std::mem::take(&mut self.lanes);
        let mut half = LANES / 2;
        while half > 0 {
            for i in 0..half {
                sums[i] += sums[i + half];
            }
            half /= 2;
        }
        self.adder.add(sums[0]);
    }

    /// The sum of all blocks.
    pub(crate) fn finish(self) -> ExactSum {
        self.adder.finish()
    }
}

/// The sum of four rows, in the lanes from `first` on.
#[inline(always)]
fn four_rows<S: Simd>(simd: S, rows: &[f32], first: usize) -> S::f32s {
    let width = S::f32s::LEN;
    let row_0 = S::f32s::from_slice(simd, &rows[first..first + width]);
    let row_1 = S::f32s::from_slice(simd, &rows[LANES + first..LANES + first + width]);
    let row_2 = S::f32s::from_slice(simd, &rows[2 * LANES + first..2 * LANES + first + width]);
    let row_3 = S::f32s::from_slice(simd, &rows[3 * LANES + first..3 * LANES + first + width]);
    (row_0 + row_1) + (row_2 + row_3)
}
