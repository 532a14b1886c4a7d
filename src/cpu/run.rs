//! The loop over the tiles of a run, one for every kernel and every accumulator.

use fearless_simd::prelude::*;

use super::{
    accumulators::TileAccumulator,
    kernels::{Kernel, Results},
    streaming::StreamingRun,
    tile::{TILE, Tile, TileBuffers},
};
use crate::{Batch, Partials, outputs::Slices, partials::BLOCK};

/// A run: the consecutive elements that one thread evaluates at a time.
pub(crate) struct Run<'a> {
    /// The elements.
    pub part: Batch<'a>,
    /// The index of the first of them in the whole batch. Where losses are summed by blocks it is a multiple of [`BLOCK`].
    pub first: u64,
    /// The memory of the requested outputs, each as long as the run.
    pub outputs: Slices<'a>,
}

/// Evaluates `run`: each tile is computed by `kernel` and added to `accumulator`. `exceeds_cache` says whether the part
/// that the run is of [exceeds the cache](super::streaming).
///
/// It is inlined into its callers, which vectorize it for their level and make a constant of `exceeds_cache` where that
/// pays.
#[inline(always)]
pub(crate) fn evaluate<S: Simd>(
    simd: S,
    run: Run<'_>,
    exceeds_cache: bool,
    kernel: &mut impl Kernel<S>,
    mut accumulator: impl TileAccumulator,
) -> Partials {
    let Run { part, first, mut outputs } = run;
    let mut streaming = exceeds_cache.then(|| StreamingRun::new(&part, &outputs));
    // For the loss, the gradient and the hessian of one tile.
    let mut buffers = TileBuffers::<3>::new();
    let mut count = 0;
    let mut first_invalid = None;
    for start in (0..part.len()).step_by(TILE) {
        let len = TILE.min(part.len() - start);
        if let Some(streaming) = &streaming {
            streaming.prefetch_pages(start / TILE);
        }
        // Results go straight into the caller's memory, unless they are not requested, are cut short or are streamed.
        let [loss, gradient, hessian] = &mut buffers.tiles;
        let mut results = Results {
            loss: destination(&mut outputs.loss, start, !exceeds_cache, loss),
            gradient: destination(&mut outputs.gradient, start, !exceeds_cache, gradient),
            hessian: destination(&mut outputs.hessian, start, !exceeds_cache, hessian),
        };
        let (values, invalid) = kernel.compute(simd, &part, start, len, &mut results);
        first_invalid = first_invalid.or(invalid.map(|index| first + index as u64));
        count += values.counted as u64;
        if len < TILE {
            results.loss[len..].fill(0.0);
        }
        accumulator.add(simd, &Tile { part: &part, start, len, losses: results.loss, values });
        if len < TILE {
            copy_back(&mut outputs, start, &buffers.tiles);
        } else if let Some(streaming) = &mut streaming {
            streaming_store(simd, streaming, &mut outputs, start, &buffers.tiles);
        }
        if (start + TILE).is_multiple_of(BLOCK) || start + TILE >= part.len() {
            accumulator.end_block();
        }
    }
    let mut partials = Partials { count, first_invalid, ..Partials::default() };
    accumulator.finish(&mut partials);
    partials
}

/// The whole tile of `output` at `start`, if it may be written `directly`; else `buffer`.
#[inline(always)]
fn destination<'a>(
    output: &'a mut Option<&mut [f32]>,
    start: usize,
    directly: bool,
    buffer: &'a mut [f32; TILE],
) -> &'a mut [f32; TILE] {
    let output = output.as_mut().filter(|_| directly);
    output.and_then(|values| values[start..].first_chunk_mut()).unwrap_or(buffer)
}

/// Copies the results of a tile that is cut short from `buffers`, which hold loss, gradient and hessian.
#[cold]
#[inline(never)]
fn copy_back(outputs: &mut Slices<'_>, start: usize, buffers: &[[f32; TILE]; 3]) {
    for (output, buffer) in outputs.each_mut().into_iter().zip(buffers) {
        if let Some(values) = output {
            let rest = &mut values[start..];
            rest.copy_from_slice(&buffer[..rest.len()]);
        }
    }
}

/// Writes the results of a whole tile from `buffers`, by streaming stores.
#[inline(always)]
fn streaming_store<S: Simd>(
    simd: S,
    streaming: &mut StreamingRun,
    outputs: &mut Slices<'_>,
    start: usize,
    buffers: &[[f32; TILE]; 3],
) {
    for (output, buffer) in outputs.each_mut().into_iter().zip(buffers) {
        if let Some(tile) = output.as_mut().and_then(|values| values[start..].first_chunk_mut()) {
            streaming.store(simd, buffer, tile);
        }
    }
}
