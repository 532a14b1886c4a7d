//! The kernel of the loss with parameters: weights, smoothing, the focal factor, other systems' conventions, and
//! elements that are ignored.

use fearless_simd::prelude::*;

use super::{
    Kernel, Results,
    formula::{EndDistances, Formula, Logits, ONE_BITS, Probabilities},
    staging::{Staged, Staging},
};
use crate::{
    Batch, Partials,
    batch::{is_target, is_weight},
    cpu::{
        accumulators::{self, ClassSums, LossSum, RowMeans, WeightSum, WeightValues},
        ignored::Ignored,
        lanes::{F32s, K},
        run::{self, Run},
        streaming::prefetch,
        tile::{TILE, Values},
        weighted::{label, weighted_element},
    },
    job::{Job, Sums},
    loss_parameters::LossParameters,
    prediction_kind::Encoding,
};

/// What all runs of a part have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings<'a> {
    pub job: &'a Job,
    /// The parameters of the loss: those of the job.
    pub parameters: &'a LossParameters,
    /// Whether every element weighs 1: the sum of the weights is then not taken.
    pub all_ones: bool,
    /// Whether the part [exceeds the cache](crate::cpu::streaming).
    pub exceeds_cache: bool,
}

/// Evaluates a run.
#[inline(always)]
pub(crate) fn evaluate<S: Simd>(simd: S, mut run: Run<'_>, settings: &Settings<'_>) -> Partials {
    let Settings { job, parameters, exceeds_cache, .. } = *settings;
    let [_, gradient, hessian] = run.outputs.wanted();
    let compute = match job.encoding {
        Encoding::Logits => tile_function::<S, Logits>(parameters, gradient, hessian),
        Encoding::Probabilities => tile_function::<S, Probabilities>(parameters, gradient, hessian),
        Encoding::EndDistances => tile_function::<S, EndDistances>(parameters, gradient, hessian),
    };
    let mut kernel = Weighted { settings, compute, staging: Staging::new(parameters), weights: [0.0; TILE] };
    let classes = run.part.classes();
    let accumulator = (
        LossSum::default(),
        WeightSum::default(),
        (job.sums == Sums::PerClass).then(|| ClassSums::new(classes)),
        run.outputs.rows.take().map(|means| RowMeans::new(means, classes, job.empty_mean)),
        run.outputs.weights.take().map(WeightValues),
        accumulators::metrics(job),
    );
    run::evaluate(simd, run, exceeds_cache, &mut kernel, accumulator)
}

/// The kernel, and memory for one tile.
struct Weighted<'s, S: Simd> {
    settings: &'s Settings<'s>,
    compute: TileFunction<S>,
    staging: Staging,
    weights: [f32; TILE],
}

impl<S: Simd> Kernel<S> for Weighted<'_, S> {
    #[inline(always)]
    fn compute<'a>(
        &'a mut self,
        simd: S,
        part: &Batch<'a>,
        start: usize,
        len: usize,
        results: &mut Results<'_>,
    ) -> (Values<'a>, Option<usize>) {
        let Settings { job, parameters, all_ones, .. } = *self.settings;
        let staged = self.staging.stage(simd, part, parameters, start, len, true);
        let suspicious = (self.compute)(simd, &staged, results, &mut self.weights, self.settings);
        if !job.coefficient.is_finite() {
            zero_undefined(results);
        }
        let mut invalid = None;
        if suspicious {
            invalid = recheck(part, parameters, (start, len), staged.ignored, results);
            drop_invalid(part, parameters, start, len, &mut self.weights);
        }
        let weights = (!all_ones).then_some(&self.weights);
        let Staged { x, ignored, counted, .. } = staged;
        (Values { predictions: x, weights, ignored, counted }, invalid)
    }
}

/// Computes the results and the weights of a tile, and prefetches the tiles ahead if the part exceeds the cache. Returns
/// whether any of its values may be invalid.
type TileFunction<S> = fn(S, &Staged<'_>, &mut Results<'_>, &mut [f32; TILE], &Settings<'_>) -> bool;

/// The function for the parameters that are in use. There is one for the losses alone, and for the gradient alone, of
/// what is used most; every other computes all three outputs.
fn tile_function<S: Simd, F: Formula>(parameters: &LossParameters, gradient: bool, hessian: bool) -> TileFunction<S> {
    match (parameters.uses.focal, parameters.uses.conventions, gradient, hessian) {
        (false, false, false, false) => compute::<S, F, false, false, false, false>,
        (false, false, true, false) => compute::<S, F, false, false, true, false>,
        (false, false, _, true) => compute::<S, F, false, false, true, true>,
        (false, true, ..) => compute::<S, F, false, true, true, true>,
        (true, false, ..) => compute::<S, F, true, false, true, true>,
        (true, true, ..) => compute::<S, F, true, true, true, true>,
    }
}

/// The largest bits of a valid weight, but for those of -0.
pub(super) const WEIGHT_MAX_BITS: u32 = f32::MAX.to_bits();

#[inline(never)]
fn compute<
    S: Simd,
    F: Formula,
    const FOCAL: bool,
    const CONVENTIONS: bool,
    const GRADIENT: bool,
    const HESSIAN: bool,
>(
    simd: S,
    staged: &Staged<'_>,
    results: &mut Results<'_>,
    weights: &mut [f32; TILE],
    settings: &Settings<'_>,
) -> bool {
    let Settings { parameters, exceeds_cache, .. } = *settings;
    let coefficient = settings.job.coefficient;
    simd.vectorize(
        #[inline(always)]
        || {
            let width = K * S::f32s::LEN;
            let [mut x_max, mut z_max, mut v_max] = [S::u32s::splat(simd, 0); 3];
            for i in (0..TILE).step_by(width) {
                let lanes = i..i + width;
                let x = F32s::load(simd, &staged.x[lanes.clone()]);
                let z = label::<S, CONVENTIONS>(simd, F32s::load(simd, &staged.z[lanes.clone()]), parameters);
                let v = F32s::load(simd, &staged.v[lanes.clone()]);
                let class_weight = F32s::load(simd, &staged.class_weight[lanes.clone()]);
                let pos_weight = F32s::load(simd, &staged.pos_weight[lanes.clone()]);
                if exceeds_cache {
                    prefetch(&staged.x[lanes.clone()]);
                    prefetch(&staged.z[lanes.clone()]);
                }
                x_max = F::magnitude(x).max_into(x_max);
                z_max = z.bitcast_u32().max_into(z_max);
                v_max = v.bitcast_u32().max_into(v_max);
                let weighted =
                    weighted_element::<S, F, FOCAL, CONVENTIONS>(simd, x, z, v, class_weight, pos_weight, parameters);
                weighted.element.loss.store(&mut results.loss[lanes.clone()]);
                weighted.weight.store(&mut weights[lanes.clone()]);
                if GRADIENT {
                    (weighted.element.gradient * coefficient).store(&mut results.gradient[lanes.clone()]);
                }
                if HESSIAN {
                    (weighted.element.hessian * coefficient).store(&mut results.hessian[lanes]);
                }
            }
            x_max.reduce_max() > F::MAX_BITS || z_max.reduce_max() > ONE_BITS || v_max.reduce_max() > WEIGHT_MAX_BITS
        },
    )
}

/// Makes 0 the derivatives that are NaN because the coefficient is not finite, as in a mean over weights whose sum is
/// next to nothing: what is 0 stays 0, and 0 times infinity is the NaN that is meant (products of weights that overflow
/// aside).
#[cold]
#[inline(never)]
fn zero_undefined(results: &mut Results<'_>) {
    for values in [&mut *results.gradient, &mut *results.hessian] {
        for value in values.iter_mut().filter(|value| value.is_nan()) {
            *value = 0.0;
        }
    }
}

/// Checks the `len` elements from `start` on one by one, but for the ignored ones, and makes the results of those that
/// are invalid NaN. Returns the index in `part` of the first.
#[cold]
#[inline(never)]
fn recheck(
    part: &Batch<'_>,
    parameters: &LossParameters,
    (start, len): (usize, usize),
    ignored: &Ignored,
    results: &mut Results<'_>,
) -> Option<usize> {
    let any_number = parameters.conventions.binarize;
    let invalid = |i: &usize| !ignored.contains(*i) && part.invalid_input(start + i, any_number).is_some();
    let mut first = None;
    for i in (0..len).filter(invalid) {
        first = first.or(Some(start + i));
        results.write_nan(i);
    }
    first
}

/// Makes 0 the weight of every element with an invalid target or weight. (An invalid prediction takes nothing from the
/// weight, which does not depend on it. An ignored element weighs nothing anyway.)
#[cold]
#[inline(never)]
pub(super) fn drop_invalid(
    part: &Batch<'_>,
    parameters: &LossParameters,
    start: usize,
    len: usize,
    weights: &mut [f32; TILE],
) {
    for (i, weight) in weights[..len].iter_mut().enumerate() {
        let (z, v) = (part.targets().get(start + i), part.weight(start + i));
        if !(is_target(z, parameters.conventions.binarize) && is_weight(v)) {
            *weight = 0.0;
        }
    }
}
