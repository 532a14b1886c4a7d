//! Memory traffic of parts that exceed the cache: values are prefetched, and outputs written by streaming stores.
//!
//! What a processor prefetches by itself ends with each page of 4 KiB, and falls behind where others use the memory too: a
//! plain sweep then waits for many lines at once, a kernel that computes in between for few. The first line of a page waits
//! for its address to be translated as well. And an ordinary store fetches the line that it overwrites, which moves a third
//! more bytes than necessary where the output is a gradient; a streaming store, which is non-temporal, does not.
//!
//! All of this is for x86-64, where it was measured; elsewhere no part is taken to exceed the cache.

use bytemuck::{Pod, Zeroable};
use fearless_simd::prelude::*;

use super::tile::TILE;
use crate::{Batch, WeightShape, outputs::Slices};

/// Bytes of outputs that are taken to be more than a cache holds.
pub(crate) const CACHE: usize = 32 << 20;
/// Bytes of values that are taken to be more than the cache of one core holds, however many cores share them. (Of those
/// that lie in a shared cache, prefetching costs a hundredth; of parts of a mapped file, which lie in none, it saves up to
/// four tenths.)
pub(crate) const CORE_CACHE: usize = 1 << 20;
/// The distance between a value and what is prefetched for it, in tiles: some hundred nanoseconds of work. (Half as far is
/// too late where others use the memory too; a tile more or less makes no difference.)
const AHEAD: usize = 2;
/// The number of bytes in the smallest page.
const PAGE: usize = 4096;
/// The number of floats in a cache line.
const FLOATS: usize = 16;

/// A cache line.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; FLOATS]);

/// Whether the outputs of a part are more than a cache holds, or, where none is requested, its values more than a core's.
/// (Where outputs are written into the cache, prefetching does not pay: they wait the longer.)
pub(crate) fn exceeds_cache(part: &Batch<'_>, outputs: &Slices<'_>) -> bool {
    let wanted = outputs.wanted().into_iter().filter(|wanted| *wanted).count();
    let exceeds = match wanted * size_of::<f32>() * part.len() {
        0 => part.bytes() > CORE_CACHE as u64,
        bytes => bytes > CACHE,
    };
    cfg!(target_arch = "x86_64") && exceeds
}

/// Prefetches what lies [`AHEAD`] of `values`, into the second-level cache. Of use where they are read in place, as f32
/// are: narrower ones, which are decoded elsewhere, come soon enough by themselves.
#[inline(always)]
pub(crate) fn prefetch(values: &[f32]) {
    for line in (0..values.len()).step_by(FLOATS) {
        prefetch_line::<false>(values.as_ptr().wrapping_add(line + AHEAD * TILE).cast());
    }
}

/// A run of a part that exceeds the cache. What its streaming stores wrote may be read, and written again, after it is
/// dropped.
#[derive(Debug)]
pub(crate) struct StreamingRun {
    paths: [Path; 6],
}

/// An array that is gone through tile by tile.
#[derive(Clone, Copy, Debug)]
struct Path {
    start: *const u8,
    /// The number of bytes in a tile; 0 for an array that is absent.
    tile: usize,
}

impl StreamingRun {
    /// The run `run` with its outputs.
    pub(crate) fn new(run: &Batch<'_>, outputs: &Slices<'_>) -> Self {
        let path = |bytes: &[u8]| Path { start: bytes.as_ptr(), tile: bytes.len() * TILE / run.len().max(1) };
        let output = |values: &Option<&mut [f32]>| path(bytemuck::cast_slice(values.as_deref().unwrap_or_default()));
        let weights = match run.weights() {
            Some((weights, WeightShape::Elements)) => weights.bytes(),
            // They are too few to need it.
            None | Some((_, WeightShape::Samples)) => &[],
        };
        Self {
            paths: [
                path(run.predictions().bytes()),
                path(run.targets().bytes()),
                path(weights),
                output(&outputs.loss),
                output(&outputs.gradient),
                output(&outputs.hessian),
            ],
        }
    }

    /// Prefetches the start of each page that begins in the tile [`AHEAD`] of this one, so that the page's address is
    /// translated by the time its other lines are prefetched or it is written to.
    #[inline(always)]
    pub(crate) fn prefetch_pages(&self, tile: usize) {
        for path in &self.paths {
            let end = path.start.wrapping_add((tile + AHEAD + 1) * path.tile);
            let into_page = end.addr() % PAGE;
            if into_page < path.tile {
                let page = end.wrapping_sub(into_page);
                prefetch_line::<true>(page);
                prefetch_line::<true>(page.wrapping_add(size_of::<Line>()));
            }
        }
    }

    /// Writes a tile by streaming stores; the lines that it shares with its neighbours by ordinary ones.
    #[inline(always)]
    pub(crate) fn store<S: Simd>(&mut self, simd: S, tile: &[f32; TILE], to: &mut [f32; TILE]) {
        let (head, lines, tail) = bytemuck::pod_align_to_mut::<f32, Line>(to);
        let (first, rest) = tile.split_at(head.len());
        let (whole, last) = rest.as_chunks::<FLOATS>();
        for (line, to) in whole.iter().zip(lines) {
            store_line(simd, line, to);
        }
        head.copy_from_slice(first);
        tail.copy_from_slice(last);
    }
}

impl Drop for StreamingRun {
    fn drop(&mut self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: SSE is part of x86-64.
        unsafe {
            core::arch::x86_64::_mm_sfence();
        }
    }
}

/// Writes a line by streaming stores.
#[inline(always)]
fn store_line<S: Simd>(simd: S, line: &[f32; FLOATS], to: &mut Line) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{
            _mm_loadu_ps, _mm_stream_ps, _mm256_loadu_ps, _mm256_stream_ps, _mm512_loadu_ps, _mm512_stream_ps,
        };
        let (level, line, to) = (simd.level(), line.as_ptr(), to.0.as_mut_ptr());
        // SAFETY: the level proves the instructions (SSE is part of x86-64); both are a line long, and `to` is aligned to
        // one. The fence that has to follow is in the drop of `StreamingRun`.
        unsafe {
            if level.as_avx512().is_some() {
                _mm512_stream_ps(to, _mm512_loadu_ps(line));
            } else if level.as_avx2().is_some() {
                for i in [0, 8] {
                    _mm256_stream_ps(to.add(i), _mm256_loadu_ps(line.add(i)));
                }
            } else {
                for i in [0, 4, 8, 12] {
                    _mm_stream_ps(to.add(i), _mm_loadu_ps(line.add(i)));
                }
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = simd;
        to.0 = *line;
    }
}

/// Prefetches the line of an address, which need not be valid: into the second-level cache, or, if it is used `ONCE`,
/// leaving no trace in it.
#[inline(always)]
fn prefetch_line<const ONCE: bool>(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_NTA, _MM_HINT_T1, _mm_prefetch};
        // SAFETY: SSE is part of x86-64, and a prefetch accesses nothing.
        unsafe {
            if ONCE {
                _mm_prefetch::<_MM_HINT_NTA>(address.cast());
            } else {
                _mm_prefetch::<_MM_HINT_T1>(address.cast());
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
