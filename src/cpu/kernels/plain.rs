//! The kernel of the plain loss: every element counts, with weight 1.

use core::marker::PhantomData;

use fearless_simd::prelude::*;

use super::{
    Kernel, Results,
    formula::{EndDistances, Formula, Logits, Probabilities},
};
use crate::{
    Batch, Partials,
    batch::invalid,
    cpu::{
        accumulators::{self, LossSum},
        decode,
        ignored::Ignored,
        run::{self, Run},
        tile::{TILE, TileBuffers, Values},
    },
    job::Job,
    prediction_kind::Encoding,
};

/// Evaluates a run. `exceeds_cache` says whether the part that it is of [exceeds the cache](crate::cpu::streaming).
#[inline(always)]
pub(crate) fn evaluate<S: Simd>(simd: S, run: Run<'_>, job: &Job, exceeds_cache: bool) -> Partials {
    match (job.encoding, exceeds_cache) {
        (Encoding::Logits, false) => with_outputs::<S, Logits, false>(simd, run, job),
        (Encoding::Logits, true) => with_outputs::<S, Logits, true>(simd, run, job),
        (Encoding::Probabilities, false) => with_outputs::<S, Probabilities, false>(simd, run, job),
        (Encoding::Probabilities, true) => with_outputs::<S, Probabilities, true>(simd, run, job),
        // f64 is decoded into the cache, so that its prefetches would be of no use.
        (Encoding::EndDistances, _) => with_outputs::<S, EndDistances, false>(simd, run, job),
    }
}

#[inline(always)]
fn with_outputs<S: Simd, F: Formula, const EXCEEDS_CACHE: bool>(simd: S, run: Run<'_>, job: &Job) -> Partials {
    match (run.outputs.gradient.is_some(), run.outputs.hessian.is_some()) {
        (false, false) => specialised::<S, F, EXCEEDS_CACHE, false, false>(simd, run, job),
        (true, false) => specialised::<S, F, EXCEEDS_CACHE, true, false>(simd, run, job),
        (false, true) => specialised::<S, F, EXCEEDS_CACHE, false, true>(simd, run, job),
        (true, true) => specialised::<S, F, EXCEEDS_CACHE, true, true>(simd, run, job),
    }
}

#[inline(always)]
fn specialised<S: Simd, F: Formula, const EXCEEDS_CACHE: bool, const GRADIENT: bool, const HESSIAN: bool>(
    simd: S,
    run: Run<'_>,
    job: &Job,
) -> Partials {
    // A function of its own for each level, form and set of outputs.
    simd.vectorize(
        #[inline(always)]
        || {
            let mut kernel = Plain::<F, EXCEEDS_CACHE, GRADIENT, HESSIAN> {
                buffers: TileBuffers::new(),
                ignored: Ignored::NONE,
                coefficient: job.coefficient,
                formula: PhantomData,
            };
            let accumulator = (LossSum::default(), accumulators::metrics(job));
            run::evaluate(simd, run, EXCEEDS_CACHE, &mut kernel, accumulator)
        },
    )
}

/// The kernel, and memory for one tile.
struct Plain<F, const EXCEEDS_CACHE: bool, const GRADIENT: bool, const HESSIAN: bool> {
    /// For predictions, targets and intermediate values.
    buffers: TileBuffers<3>,
    /// The elements past the end of a tile that is cut short.
    ignored: Ignored,
    coefficient: f32,
    formula: PhantomData<F>,
}

impl<S: Simd, F: Formula, const EXCEEDS_CACHE: bool, const GRADIENT: bool, const HESSIAN: bool> Kernel<S>
    for Plain<F, EXCEEDS_CACHE, GRADIENT, HESSIAN>
{
    #[inline(always)]
    fn compute<'a>(
        &'a mut self,
        simd: S,
        part: &Batch<'a>,
        start: usize,
        len: usize,
        results: &mut Results<'_>,
    ) -> (Values<'a>, Option<usize>) {
        let [x, z, scratch] = &mut self.buffers.tiles;
        let x = decode::predictions(simd, part, start, len, x);
        let z = decode::targets(simd, &part.targets(), start, len, z);
        let ignored = if len == TILE {
            &Ignored::NONE
        } else {
            self.ignored = Ignored::past_end(len);
            &self.ignored
        };
        let mut invalid = None;
        if F::compute::<S, EXCEEDS_CACHE, GRADIENT, HESSIAN>(simd, x, z, scratch, results, self.coefficient) {
            invalid = recheck(part, start, len, results);
        }
        (Values { predictions: x, weights: None, ignored, counted: len }, invalid)
    }
}

/// Checks the elements of a tile one by one: makes the results of those that are invalid NaN, and 0 the loss of an
/// infinite logit whose term has weight 0. Returns the index in `part` of the first that is invalid.
#[cold]
#[inline(never)]
fn recheck(part: &Batch<'_>, start: usize, len: usize, results: &mut Results<'_>) -> Option<usize> {
    let mut first = None;
    for i in 0..len {
        // The values as they are stored: a buffer holds them too, but this is the one definition of invalid.
        let (prediction, target) = (part.predictions().get(start + i), part.targets().get(start + i));
        if invalid(part.form(), prediction, target).is_some() {
            first = first.or(Some(start + i));
            results.write_nan(i);
        } else if results.loss[i].is_nan() {
            results.loss[i] = 0.0;
        }
    }
    first
}
