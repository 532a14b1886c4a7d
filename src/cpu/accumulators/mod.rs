//! The accumulators: what is summed or counted over the computed tiles of a run.
//!
//! An accumulator is given each tile once, in order, and is told where a [block](crate::BLOCK) ends; when the run ends,
//! it writes what it has found into the [`Partials`]. Whatever it finds must merge to the same bits in any order, since
//! threads take runs in any order: counts do, and so do exact sums of what was rounded inside one block.
//!
//! For another accumulator, these places change:
//! - A file in this directory holds the type and its [`TileAccumulator`]. If it reads something of a tile that no other
//!   accumulator does, that becomes a field of [`Values`](super::tile::Values), which both kernels fill in.
//! - [`metrics`] makes it if the job requests it. It is then part of every loop: that of the plain loss, whose only other
//!   accumulator is the [`LossSum`], and that of the weighted loss. One that only the weighted loss needs goes into
//!   [`kernels::weighted`](super::kernels::weighted) instead, beside the sums of classes.
//! - [`Metrics`](crate::Metrics) has the setting that requests it and what an empty batch has; [`Job`] hands the request
//!   on, and [`Partials`] holds and merges what it finds.
//! - The shader has a counterpart: `src/gpu/accumulators.rs` lists its steps. Where a caller records evaluations, the
//!   result is read from the buffer of counts, for which `Prepared` has an accessor.
//!
//! An accumulator that is not requested costs a branch for each tile. One that is requested should keep its loop over the
//! elements in a function of its own, so that it is compiled once for each SIMD level, and not once for each kernel.

use fearless_simd::prelude::*;

use super::tile::Tile;
use crate::{Partials, job::Job};

mod class_sums;
pub(crate) mod lane_sums;
mod loss_sum;
mod row_means;
mod threshold_counter;
mod weight_sum;
mod weight_values;

pub(crate) use class_sums::ClassSums;
pub(crate) use loss_sum::LossSum;
pub(crate) use row_means::RowMeans;
pub(crate) use threshold_counter::ThresholdCounter;
pub(crate) use weight_sum::WeightSum;
pub(crate) use weight_values::WeightValues;

/// What is summed or counted over the tiles of a run.
pub(crate) trait TileAccumulator {
    /// Adds the next tile.
    fn add<S: Simd>(&mut self, simd: S, tile: &Tile<'_>);

    /// Ends a block. The last block of a run may be cut short.
    fn end_block(&mut self) {}

    /// Writes what was found into `partials`, at the end of the run.
    fn finish(self, partials: &mut Partials);
}

/// The accumulators of the metrics that `job` requests.
pub(crate) fn metrics(job: &Job) -> impl TileAccumulator {
    job.threshold.map(|threshold| ThresholdCounter::new(threshold, job.encoding))
}

/// An accumulator that may not be requested.
impl<A: TileAccumulator> TileAccumulator for Option<A> {
    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, tile: &Tile<'_>) {
        if let Some(accumulator) = self {
            accumulator.add(simd, tile);
        }
    }

    #[inline(always)]
    fn end_block(&mut self) {
        if let Some(accumulator) = self {
            accumulator.end_block();
        }
    }

    #[inline(always)]
    fn finish(self, partials: &mut Partials) {
        if let Some(accumulator) = self {
            accumulator.finish(partials);
        }
    }
}

/// Several accumulators side by side.
macro_rules! tuples {
    ($(($($name:ident)*))*) => {$(
        impl<$($name: TileAccumulator),*> TileAccumulator for ($($name,)*) {
            #[inline(always)]
            fn add<S: Simd>(&mut self, simd: S, tile: &Tile<'_>) {
                #[expect(non_snake_case, reason = "named by their types")]
                let ($($name,)*) = self;
                $($name.add(simd, tile);)*
            }

            #[inline(always)]
            fn end_block(&mut self) {
                #[expect(non_snake_case, reason = "named by their types")]
                let ($($name,)*) = self;
                $($name.end_block();)*
            }

            #[inline(always)]
            fn finish(self, partials: &mut Partials) {
                #[expect(non_snake_case, reason = "named by their types")]
                let ($($name,)*) = self;
                $($name.finish(partials);)*
            }
        }
    )*};
}
tuples!((A B) (A B C D E F));
