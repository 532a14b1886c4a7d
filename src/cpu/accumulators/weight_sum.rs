//! The sum of the weights.

use fearless_simd::prelude::*;

use super::{TileAccumulator, lane_sums::LaneSums};
use crate::{Partials, cpu::tile::Tile};

/// The sum of the weights; 0 where every element weighs 1 and no tile has weights: the sum is then their number.
#[derive(Default)]
pub(crate) struct WeightSum(LaneSums);

impl TileAccumulator for WeightSum {
    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, tile: &Tile<'_>) {
        if let Some(weights) = tile.values.weights {
            self.0.add(simd, weights);
        }
    }

    #[inline(always)]
    fn end_block(&mut self) {
        self.0.end_block();
    }

    #[inline(always)]
    fn finish(self, partials: &mut Partials) {
        partials.weight = self.0.finish();
    }
}
