//! A run of whole blocks of the plain loss on one thread.

use fearless_simd::prelude::*;

use super::{
    decode,
    memory::Beyond,
    tile::{Formula, LANES, Logits, Probabilities, TILE, Tile, add_losses, sum_lanes},
};
use crate::{Batch, Form, Partials, batch::invalid, exact_sum::Adder, outputs::Slices, partials::BLOCK};

/// How a part is evaluated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    /// What the derivatives are multiplied by.
    pub coefficient: f32,
    /// Whether the part, of which a thread evaluates a run, is [beyond the cache](super::memory).
    pub beyond_cache: bool,
}

/// Evaluates `part`, whose first value has the index `first` in the whole batch.
#[inline(always)]
pub(crate) fn evaluate<S: Simd>(simd: S, part: &Batch<'_>, job: Job, first: u64, outputs: Slices<'_>) -> Partials {
    match (part.form(), job.beyond_cache) {
        (Form::Logits, false) => with_outputs::<S, Logits, false>(simd, part, job, first, outputs),
        (Form::Logits, true) => with_outputs::<S, Logits, true>(simd, part, job, first, outputs),
        (Form::Probabilities, false) => with_outputs::<S, Probabilities, false>(simd, part, job, first, outputs),
        (Form::Probabilities, true) => with_outputs::<S, Probabilities, true>(simd, part, job, first, outputs),
    }
}

#[inline(always)]
fn with_outputs<S: Simd, F: Formula, const BEYOND_CACHE: bool>(
    simd: S,
    part: &Batch<'_>,
    job: Job,
    first: u64,
    outputs: Slices<'_>,
) -> Partials {
    match (outputs.gradient.is_some(), outputs.hessian.is_some()) {
        (false, false) => run::<S, F, BEYOND_CACHE, false, false>(simd, part, job, first, outputs),
        (true, false) => run::<S, F, BEYOND_CACHE, true, false>(simd, part, job, first, outputs),
        (false, true) => run::<S, F, BEYOND_CACHE, false, true>(simd, part, job, first, outputs),
        (true, true) => run::<S, F, BEYOND_CACHE, true, true>(simd, part, job, first, outputs),
    }
}

/// Memory for one tile. (A vector that straddles two cache lines costs twice.)
#[repr(align(64))]
struct Buffers {
    x: [f32; TILE],
    z: [f32; TILE],
    loss: [f32; TILE],
    gradient: [f32; TILE],
    hessian: [f32; TILE],
    e: [f32; TILE],
}

#[inline(always)]
fn run<S: Simd, F: Formula, const BEYOND_CACHE: bool, const GRADIENT: bool, const HESSIAN: bool>(
    simd: S,
    part: &Batch<'_>,
    job: Job,
    first: u64,
    mut outputs: Slices<'_>,
) -> Partials {
    // A function of its own for each level, form and set of outputs.
    simd.vectorize(
        #[inline(always)]
        || {
            let (predictions, targets) = (part.predictions(), part.targets());
            let mut beyond = BEYOND_CACHE.then(|| Beyond::new(part, &outputs));
            let mut buffers = Buffers {
                x: [0.0; TILE],
                z: [0.0; TILE],
                loss: [0.0; TILE],
                gradient: [0.0; TILE],
                hessian: [0.0; TILE],
                e: [0.0; TILE],
            };
            let mut adder = Adder::default();
            let mut first_invalid = None;
            let mut lanes = [0.0; LANES];
            for start in (0..part.len()).step_by(TILE) {
                let len = TILE.min(part.len() - start);
                let (x, z) = if len == TILE {
                    (
                        decode::predictions(simd, &predictions, start, &mut buffers.x),
                        decode::targets(simd, &targets, start, &mut buffers.z),
                    )
                } else {
                    (
                        decode::short(len, |i| predictions.get(start + i), &mut buffers.x),
                        decode::short(len, |i| targets.get(start + i), &mut buffers.z),
                    )
                };
                if let Some(beyond) = &beyond {
                    beyond.ask_for_pages(start / TILE);
                }
                // Straight into the caller's memory, but for what is not wanted, goes past the cache or is cut short.
                let mut tile = Tile {
                    x,
                    z,
                    loss: destination(&mut outputs.loss, start, !BEYOND_CACHE, &mut buffers.loss),
                    gradient: destination(&mut outputs.gradient, start, !BEYOND_CACHE, &mut buffers.gradient),
                    hessian: destination(&mut outputs.hessian, start, !BEYOND_CACHE, &mut buffers.hessian),
                    e: &mut buffers.e,
                };
                if F::compute::<S, BEYOND_CACHE, GRADIENT, HESSIAN>(simd, &mut tile, job.coefficient) {
                    let found = settle(part, start, len, &mut tile);
                    first_invalid = first_invalid.or(found.map(|index| first + index as u64));
                }
                if len < TILE {
                    tile.loss[len..].fill(0.0);
                }
                add_losses(simd, tile.loss, &mut lanes);
                let buffers = [&buffers.loss, &buffers.gradient, &buffers.hessian];
                if len < TILE {
                    copy_back(&mut outputs, start, buffers);
                } else if let Some(beyond) = &mut beyond {
                    write_past(simd, beyond, &mut outputs, start, buffers);
                }
                if (start + TILE).is_multiple_of(BLOCK) || start + TILE >= part.len() {
                    adder.add(sum_lanes(&lanes));
                    lanes = [0.0; LANES];
                }
            }
            Partials { sum: adder.finish(), count: part.len() as u64, first_invalid, ..Partials::default() }
        },
    )
}

/// The whole tile of `output` at `start`, if it may be written `directly`; else `buffer`.
#[inline(always)]
pub(crate) fn destination<'a>(
    output: &'a mut Option<&mut [f32]>,
    start: usize,
    directly: bool,
    buffer: &'a mut [f32; TILE],
) -> &'a mut [f32; TILE] {
    let output = output.as_mut().filter(|_| directly);
    output.and_then(|values| values[start..].first_chunk_mut()).unwrap_or(buffer)
}

/// Hands out what a tile cut short left in its buffers: loss, gradient and hessian.
#[cold]
#[inline(never)]
pub(crate) fn copy_back(outputs: &mut Slices<'_>, start: usize, buffers: [&[f32; TILE]; 3]) {
    for (output, buffer) in outputs.each_mut().into_iter().zip(buffers) {
        if let Some(values) = output {
            let rest = &mut values[start..];
            rest.copy_from_slice(&buffer[..rest.len()]);
        }
    }
}

/// Hands out what a tile left in its buffers, past the cache.
#[inline(always)]
pub(crate) fn write_past<S: Simd>(
    simd: S,
    beyond: &mut Beyond,
    outputs: &mut Slices<'_>,
    start: usize,
    buffers: [&[f32; TILE]; 3],
) {
    for (output, buffer) in outputs.each_mut().into_iter().zip(buffers) {
        if let Some(tile) = output.as_mut().and_then(|values| values[start..].first_chunk_mut()) {
            beyond.write(simd, buffer, tile);
        }
    }
}

/// The closer look: makes the outputs of the invalid values of a tile NaN, and the loss of an infinite logit whose
/// term has no weight 0. Returns the index in `part` of the first that is invalid.
#[cold]
#[inline(never)]
fn settle(part: &Batch<'_>, start: usize, len: usize, tile: &mut Tile<'_>) -> Option<usize> {
    let mut first = None;
    for i in 0..len {
        // The values as they are stored: a buffer holds them too, but this is the one definition of invalid.
        let (prediction, target) = (part.predictions().get(start + i), part.targets().get(start + i));
        if invalid(part.form(), prediction, target).is_some() {
            first = first.or(Some(start + i));
            (tile.loss[i], tile.gradient[i], tile.hessian[i]) = (f32::NAN, f32::NAN, f32::NAN);
        } else if tile.loss[i].is_nan() {
            tile.loss[i] = 0.0;
        }
    }
    first
}
