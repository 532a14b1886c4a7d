//! The sum of the losses.

use fearless_simd::prelude::*;

use super::{TileAccumulator, lane_sums::LaneSums};
use crate::{Partials, cpu::tile::Tile};

/// The sum of the losses.
#[derive(Default)]
pub(crate) struct LossSum(LaneSums);

impl TileAccumulator for LossSum {
    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, tile: &Tile<'_>) {
        self.0.add(simd, tile.losses);
    }

    #[inline(always)]
    fn end_block(&mut self) {
        self.0.end_block();
    }

    #[inline(always)]
    fn finish(self, partials: &mut Partials) {
        partials.sum = self.0.finish();
    }
}
