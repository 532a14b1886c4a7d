//! The number of predictions on each side of a threshold.

use fearless_simd::prelude::*;

use super::TileAccumulator;
use crate::{
    Partials, ThresholdCounts,
    cpu::{
        ignored::Ignored,
        tile::{TILE, Tile, Values},
    },
    end_distance,
    prediction_kind::Encoding,
};

/// Counts the predictions below a threshold, and those at it or above.
pub(crate) struct ThresholdCounter {
    threshold: f32,
    encoding: Encoding,
    counts: ThresholdCounts,
}

impl ThresholdCounter {
    /// A counter of the predictions on each side of `threshold`.
    pub(crate) fn new(threshold: f32, encoding: Encoding) -> Self {
        Self { threshold, encoding, counts: ThresholdCounts::default() }
    }
}

impl TileAccumulator for ThresholdCounter {
    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, tile: &Tile<'_>) {
        let Values { predictions, ignored, .. } = tile.values;
        self.counts.merge(&match self.encoding {
            Encoding::Logits | Encoding::Probabilities => count(simd, predictions, ignored, self.threshold),
            Encoding::EndDistances => count_end_distances(predictions, ignored, self.threshold),
        });
    }

    #[inline(always)]
    fn finish(self, partials: &mut Partials) {
        partials.threshold = Some(self.counts);
    }
}

/// The counts of a tile. A prediction that is NaN compares as neither.
#[inline(never)]
fn count<S: Simd>(simd: S, x: &[f32; TILE], ignored: &Ignored, threshold: f32) -> ThresholdCounts {
    simd.vectorize(
        #[inline(always)]
        || {
            let width = S::f32s::LEN;
            let mut counts = ThresholdCounts::default();
            for (x, ignored) in x.as_chunks::<64>().0.iter().zip(&ignored.0) {
                let [mut below, mut at_or_above] = [0, 0];
                for i in (0..64).step_by(width) {
                    let x = S::f32s::from_slice(simd, &x[i..i + width]);
                    below |= x.simd_lt(threshold).to_bitmask() << i;
                    at_or_above |= x.simd_ge(threshold).to_bitmask() << i;
                }
                let ones = |sides: u64| u64::from((sides & !ignored).count_ones());
                counts.merge(&ThresholdCounts::new(ones(below), ones(at_or_above)));
            }
            counts
        },
    )
}

/// The counts of a tile of [distances](end_distance) from the nearer end.
#[inline(never)]
fn count_end_distances(words: &[f32; TILE], ignored: &Ignored, threshold: f32) -> ThresholdCounts {
    let threshold = end_distance::threshold_key(threshold);
    let mut counts = ThresholdCounts::default();
    for (words, ignored) in words.as_chunks::<64>().0.iter().zip(&ignored.0) {
        let [mut below, mut at_or_above] = [0, 0];
        for (i, word) in words.iter().enumerate() {
            let above = end_distance::key(*word) >= threshold;
            below |= u64::from(!above && !word.is_nan()) << i;
            at_or_above |= u64::from(above && !word.is_nan()) << i;
        }
        let ones = |sides: u64| u64::from((sides & !ignored).count_ones());
        counts.merge(&ThresholdCounts::new(ones(below), ones(at_or_above)));
    }
    counts
}
