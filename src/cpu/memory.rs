//! Values that lie beyond a core's cache, asked for before they are needed, and beyond any, written without being fetched.
//!
//! What a processor fetches ahead by itself ends with each page of 4 KiB, and falls behind where others use the memory
//! too: a plain sweep then waits for many lines at once, a kernel that computes in between for few. The first line of a
//! page waits for its address to be looked up as well. And an ordinary store fetches the line that it overwrites: a third
//! more bytes than need move, for a gradient.
//!
//! All of this is for x86-64, where it was measured; elsewhere nothing is beyond the cache.

use bytemuck::{Pod, Zeroable};
use fearless_simd::prelude::*;

use super::tile::TILE;
use crate::{Batch, WeightShape, outputs::Slices};

/// Bytes of outputs that are taken to be more than a cache holds.
pub(crate) const CACHE: usize = 32 << 20;
/// Bytes of values that are taken to be more than the cache of one core holds, however many cores share them. (Of those
/// that lie in a shared cache, asking ahead costs a hundredth; of parts of a mapped file, which lie in none, it saves up
/// to four tenths.)
pub(crate) const CORE_CACHE: usize = 1 << 20;
/// How far ahead of their use values are asked for, in tiles: some hundred nanoseconds of work. (Half as far is too late
/// where others use the memory too; a tile more or less makes no difference.)
const AHEAD: usize = 2;
/// Bytes of the smallest page.
const PAGE: usize = 4096;
/// Floats of a cache line.
const FLOATS: usize = 16;

/// A cache line.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; FLOATS]);

/// Whether the outputs of a part are more than a cache holds, or, where none is wanted, its values more than a core's.
/// (Where outputs are written into the cache, reading ahead does not pay: they wait the longer.)
pub(crate) fn beyond_cache(part: &Batch<'_>, outputs: &Slices<'_>) -> bool {
    let wanted = outputs.wanted().into_iter().filter(|wanted| *wanted).count();
    let beyond = match wanted * size_of::<f32>() * part.len() {
        0 => part.bytes() > CORE_CACHE as u64,
        bytes => bytes > CACHE,
    };
    cfg!(target_arch = "x86_64") && beyond
}

/// Asks for what lies [`AHEAD`] of `values`, into the second-level cache. Of use where they are read in place, as f32
/// are: narrower ones, which are decoded elsewhere, come soon enough by themselves.
#[inline(always)]
pub(crate) fn ask_ahead(values: &[f32]) {
    for line in (0..values.len()).step_by(FLOATS) {
        prefetch::<false>(values.as_ptr().wrapping_add(line + AHEAD * TILE).cast());
    }
}

/// What goes through a run of a part that is beyond the cache. What was written by it may be read, and written again,
/// when this is dropped.
#[derive(Debug)]
pub(crate) struct Beyond {
    paths: [Path; 6],
}

/// Where an array lies that is gone through tile by tile.
#[derive(Clone, Copy, Debug)]
struct Path {
    start: *const u8,
    /// Bytes of a tile; 0 of an array that is not there.
    tile: usize,
}

impl Beyond {
    /// Of a run and its outputs.
    pub(crate) fn new(run: &Batch<'_>, outputs: &Slices<'_>) -> Self {
        let path = |bytes: &[u8]| Path { start: bytes.as_ptr(), tile: bytes.len() * TILE / run.len().max(1) };
        let output = |values: &Option<&mut [f32]>| path(bytemuck::cast_slice(values.as_deref().unwrap_or_default()));
        let weights = match run.weights() {
            Some((weights, WeightShape::Elements)) => weights.bytes(),
            // So few that they need no help.
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

    /// Asks for the start of each page that begins in the tile [`AHEAD`] of this one: so its address is known when its
    /// other lines are asked for, or it is written to.
    #[inline(always)]
    pub(crate) fn ask_for_pages(&self, tile: usize) {
        for path in &self.paths {
            let end = path.start.wrapping_add((tile + AHEAD + 1) * path.tile);
            let into_page = end.addr() % PAGE;
            if into_page < path.tile {
                let page = end.wrapping_sub(into_page);
                prefetch::<true>(page);
                prefetch::<true>(page.wrapping_add(size_of::<Line>()));
            }
        }
    }

    /// Writes a tile past the cache; the lines that it shares with its neighbours by ordinary stores.
    #[inline(always)]
    pub(crate) fn write<S: Simd>(&mut self, simd: S, tile: &[f32; TILE], to: &mut [f32; TILE]) {
        let (head, lines, tail) = bytemuck::pod_align_to_mut::<f32, Line>(to);
        let (first, rest) = tile.split_at(head.len());
        let (whole, last) = rest.as_chunks::<FLOATS>();
        for (line, to) in whole.iter().zip(lines) {
            write_line(simd, line, to);
        }
        head.copy_from_slice(first);
        tail.copy_from_slice(last);
    }
}

impl Drop for Beyond {
    fn drop(&mut self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: SSE is part of x86-64.
        unsafe {
            core::arch::x86_64::_mm_sfence();
        }
    }
}

/// Writes a line past the cache.
#[inline(always)]
fn write_line<S: Simd>(simd: S, line: &[f32; FLOATS], to: &mut Line) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{
            _mm_loadu_ps, _mm_stream_ps, _mm256_loadu_ps, _mm256_stream_ps, _mm512_loadu_ps, _mm512_stream_ps,
        };
        let (level, line, to) = (simd.level(), line.as_ptr(), to.0.as_mut_ptr());
        // SAFETY: the level proves the instructions (SSE is part of x86-64); both are a line long, and `to` is aligned to
        // one. The fence that has to follow is in the drop of `Beyond`.
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

/// Asks for the line of an address, which need not be one of anything: into the second-level cache, or `once`, leaving no
/// trace in it.
#[inline(always)]
fn prefetch<const ONCE: bool>(address: *const u8) {
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
