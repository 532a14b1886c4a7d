//! A run of whole blocks of the plain loss on one thread.

use fearless_simd::prelude::*;

use super::{
    decode, streaming,
    tile::{Formula, LANES, Logits, Probabilities, TILE, Tile, add_losses, sum_lanes},
};
use crate::{Batch, Form, Partials, batch::invalid, exact_sum::Adder, outputs::Slices, partials::BLOCK};

/// Evaluates `part`, whose first value has the index `first` in the whole batch.
#[inline(always)]
pub(crate) fn evaluate<S: Simd>(
    simd: S,
    part: &Batch<'_>,
    coefficient: f32,
    first: u64,
    outputs: Slices<'_>,
) -> Partials {
    match part.form() {
        Form::Logits => with_outputs::<S, Logits>(simd, part, coefficient, first, outputs),
        Form::Probabilities => with_outputs::<S, Probabilities>(simd, part, coefficient, first, outputs),
    }
}

#[inline(always)]
fn with_outputs<S: Simd, F: Formula>(
    simd: S,
    part: &Batch<'_>,
    coefficient: f32,
    first: u64,
    outputs: Slices<'_>,
) -> Partials {
    match (outputs.gradient.is_some(), outputs.hessian.is_some()) {
        (false, false) => run::<S, F, false, false>(simd, part, coefficient, first, outputs),
        (true, false) => run::<S, F, true, false>(simd, part, coefficient, first, outputs),
        (false, true) => run::<S, F, false, true>(simd, part, coefficient, first, outputs),
        (true, true) => run::<S, F, true, true>(simd, part, coefficient, first, outputs),
    }
}

/// Memory for one tile.
struct Buffers {
    x: [f32; TILE],
    z: [f32; TILE],
    loss: [f32; TILE],
    gradient: [f32; TILE],
    hessian: [f32; TILE],
    e: [f32; TILE],
}

#[inline(always)]
fn run<S: Simd, F: Formula, const GRADIENT: bool, const HESSIAN: bool>(
    simd: S,
    part: &Batch<'_>,
    coefficient: f32,
    first: u64,
    mut outputs: Slices<'_>,
) -> Partials {
    // A function of its own for each level, form and set of outputs.
    simd.vectorize(
        #[inline(always)]
        || {
            let (predictions, targets) = (part.predictions(), part.targets());
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
                let direct = len == TILE && !outputs.streaming;
                let mut tile = Tile {
                    x,
                    z,
                    loss: destination(&mut outputs.loss, start, direct, &mut buffers.loss),
                    gradient: destination(&mut outputs.gradient, start, direct, &mut buffers.gradient),
                    hessian: destination(&mut outputs.hessian, start, direct, &mut buffers.hessian),
                    e: &mut buffers.e,
                };
                if F::compute::<S, GRADIENT, HESSIAN>(simd, &mut tile, coefficient) {
                    let found = settle(part, start, len, &mut tile);
                    first_invalid = first_invalid.or(found.map(|index| first + index as u64));
                }
                if len < TILE {
                    tile.loss[len..].fill(0.0);
                }
                add_losses(simd, tile.loss, &mut lanes);
                if !direct {
                    outputs.hand_out(start, [&buffers.loss, &buffers.gradient, &buffers.hessian]);
                }
                if (start + TILE).is_multiple_of(BLOCK) || start + TILE >= part.len() {
                    adder.add(sum_lanes(&lanes));
                    lanes = [0.0; LANES];
                }
            }
            outputs.settle();
            Partials { sum: adder.finish(), count: part.len() as u64, first_invalid, ..Partials::default() }
        },
    )
}

/// Where a tile of `output` is computed: in the caller's memory if that is to be so, and the output wanted.
#[inline(always)]
pub(crate) fn destination<'a>(
    output: &'a mut Option<&mut [f32]>,
    start: usize,
    direct: bool,
    buffer: &'a mut [f32; TILE],
) -> &'a mut [f32; TILE] {
    match output {
        Some(values) if direct => values[start..].first_chunk_mut().unwrap_or(buffer),
        _ => buffer,
    }
}

impl Slices<'_> {
    /// Hands out the tile at `start`, or as much of it as there is, which was computed elsewhere.
    pub(crate) fn hand_out(&mut self, start: usize, tile: [&[f32; TILE]; 3]) {
        for (output, tile) in [&mut self.loss, &mut self.gradient, &mut self.hessian].into_iter().zip(tile) {
            let Some(values) = output else { continue };
            let rest = &mut values[start..];
            let len = rest.len().min(TILE);
            if self.streaming {
                streaming::copy(&tile[..len], &mut rest[..len]);
            } else {
                rest[..len].copy_from_slice(&tile[..len]);
            }
        }
    }

    /// Ends what was handed out.
    pub(crate) fn settle(&self) {
        if self.streaming {
            streaming::fence();
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
