//! The weight of each element.

use fearless_simd::prelude::*;

use super::TileAccumulator;
use crate::{Partials, cpu::tile::Tile};

/// The weights of a run, as they are summed.
pub(crate) struct WeightValues<'a>(pub &'a mut [f32]);

impl TileAccumulator for WeightValues<'_> {
    #[inline(never)]
    fn add<S: Simd>(&mut self, _: S, tile: &Tile<'_>) {
        let weights = &mut self.0[tile.start..][..tile.len];
        match tile.values.weights {
            Some(values) => weights.copy_from_slice(&values[..tile.len]),
            None => {
                for (i, weight) in weights.iter_mut().enumerate() {
                    *weight = f32::from(u8::from(!tile.values.ignored.contains(i)));
                }
            }
        }
    }

    /// Every weight has been written where it belongs.
    fn finish(self, _: &mut Partials) {}
}
