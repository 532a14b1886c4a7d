//! The kernel of the weights alone: what a mean divides by, before anything is evaluated.

use fearless_simd::prelude::*;

use super::{
    Kernel, Results,
    formula::ONE_BITS,
    staging::{Staged, Staging},
    weighted::{WEIGHT_MAX_BITS, drop_invalid},
};
use crate::{
    Batch, Partials,
    cpu::{
        accumulators::{WeightSum, WeightValues},
        lanes::{F32s, K},
        run::{self, Run},
        tile::{TILE, Values},
        weighted::{Weight, element_weight, label},
    },
    loss_parameters::LossParameters,
};

/// The count and the weight of a run, whose values are not validated. `all_ones` says whether every element weighs 1:
/// the sum of the weights is then not taken.
#[inline(always)]
pub(crate) fn evaluate<S: Simd>(simd: S, mut run: Run<'_>, parameters: &LossParameters, all_ones: bool) -> Partials {
    let mut kernel = Totals { parameters, all_ones, staging: Staging::new(parameters), weights: [0.0; TILE] };
    let accumulator = (WeightSum::default(), run.outputs.weights.take().map(WeightValues));
    run::evaluate(simd, run, false, &mut kernel, accumulator)
}

/// The kernel, and memory for one tile.
struct Totals<'p> {
    parameters: &'p LossParameters,
    all_ones: bool,
    staging: Staging,
    weights: [f32; TILE],
}

impl<S: Simd> Kernel<S> for Totals<'_> {
    #[inline(always)]
    fn compute<'a>(
        &'a mut self,
        simd: S,
        part: &Batch<'a>,
        start: usize,
        len: usize,
        _: &mut Results<'_>,
    ) -> (Values<'a>, Option<usize>) {
        let parameters = self.parameters;
        let staged = self.staging.stage(simd, part, parameters, start, len, false);
        if !self.all_ones {
            let suspicious = if parameters.uses.conventions {
                tile_weights::<S, true>(simd, &staged, &mut self.weights, parameters)
            } else {
                tile_weights::<S, false>(simd, &staged, &mut self.weights, parameters)
            };
            if suspicious {
                drop_invalid(part, parameters, start, len, &mut self.weights);
            }
        }
        let weights = (!self.all_ones).then_some(&self.weights);
        let Staged { x, ignored, counted, .. } = staged;
        (Values { predictions: x, weights, ignored, counted }, None)
    }
}

/// The weights of a tile. Returns whether a target or a weight may be invalid.
#[inline(always)]
fn tile_weights<S: Simd, const CONVENTIONS: bool>(
    simd: S,
    staged: &Staged<'_>,
    weights: &mut [f32; TILE],
    parameters: &LossParameters,
) -> bool {
    let width = K * S::f32s::LEN;
    let [mut z_max, mut v_max] = [S::u32s::splat(simd, 0); 2];
    for i in (0..TILE).step_by(width) {
        let lanes = i..i + width;
        let z = label::<S, CONVENTIONS>(simd, F32s::load(simd, &staged.z[lanes.clone()]), parameters);
        let v = F32s::load(simd, &staged.v[lanes.clone()]);
        let class_weight = F32s::load(simd, &staged.class_weight[lanes.clone()]);
        let pos_weight = F32s::load(simd, &staged.pos_weight[lanes.clone()]);
        z_max = z.bitcast_u32().max_into(z_max);
        v_max = v.bitcast_u32().max_into(v_max);
        let Weight { weight, .. } = element_weight::<S, CONVENTIONS>(simd, z, v, class_weight, pos_weight, parameters);
        weight.store(&mut weights[lanes]);
    }
    z_max.reduce_max() > ONE_BITS || v_max.reduce_max() > WEIGHT_MAX_BITS
}
