//! Values that no cache holds: asked for before they are needed, and written without being fetched.
//!
//! What a processor fetches ahead by itself ends with each page of 4 KiB, and falls behind where others use the memory
//! too: a plain sweep then waits for many lines at once, a kernel that computes in between for few. The first line of a
//! page waits for its address to be looked up as well. And an ordinary store fetches the line that it overwrites: a third
//! more bytes than need move, for a gradient.
//!
//! All of this is for x86-64, where it was measured; elsewhere nothing is beyond the cache.

use fearless_simd::prelude::*;

use super::tile::TILE;
use crate::{Batch, outputs::Slices};

/// Bytes that are taken to be more than a cache holds.
const CACHE: u64 = 32 << 20;
/// Floats of a cache line.
const LINE: usize = 16;
/// How far ahead of their use values are asked for, in tiles: some hundred nanoseconds of work. (Half as far is too late
/// where others use the memory too; a tile more or less makes no difference.)
pub(crate) const AHEAD: usize = 2;
/// Bytes of the smallest page.
const PAGE: usize = 4096;

/// Whether the outputs of a part, or where none is wanted its values, are more than a cache holds. (What is narrowed from
/// memory of ours is computed in smaller parts.)
pub(crate) fn beyond_cache(part: &Batch<'_>, outputs: &Slices<'_>) -> bool {
    let wanted = outputs.wanted().into_iter().filter(|wanted| *wanted).count();
    let written = (wanted * part.len() * size_of::<f32>()) as u64;
    cfg!(target_arch = "x86_64") && (if wanted > 0 { written } else { part.bytes() }) > CACHE
}

/// Asks for what lies so many tiles ahead of `values`, into the second-level cache: [`AHEAD`], or 0 for nothing new.
#[inline(always)]
pub(crate) fn ask_ahead(values: &[f32], tiles: usize) {
    for line in (0..values.len()).step_by(LINE) {
        prefetch::<false>(values.as_ptr().wrapping_add(line + tiles * TILE).cast());
    }
}

/// The arrays that a part is read from and written to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paths([Path; 6]);

/// Where an array lies that is gone through tile by tile.
#[derive(Clone, Copy, Debug)]
struct Path {
    start: *const u8,
    /// Bytes of a tile; 0 of an array that is not there.
    tile: usize,
}

impl Paths {
    pub(crate) fn of(part: &Batch<'_>, outputs: &Slices<'_>) -> Self {
        let path = |bytes: &[u8]| {
            let tile = (bytes.len() * TILE).checked_div(part.len()).unwrap_or(0);
            Path { start: bytes.as_ptr(), tile }
        };
        let output = |values: &Option<&mut [f32]>| path(bytemuck::cast_slice(values.as_deref().unwrap_or_default()));
        Self([
            path(part.predictions().bytes()),
            path(part.targets().bytes()),
            path(part.weights().map_or(&[], |(weights, _)| weights.bytes())),
            output(&outputs.loss),
            output(&outputs.gradient),
            output(&outputs.hessian),
        ])
    }

    /// Asks for the start of each page that begins in the tile [`AHEAD`] of this one: so its address is known when its
    /// other lines are asked for, or it is written past the cache.
    #[inline(always)]
    pub(crate) fn ask_for_pages(&self, tile: usize) {
        for path in &self.0 {
            let end = path.start.wrapping_add((tile + AHEAD + 1) * path.tile);
            let into_page = end.addr() % PAGE;
            if into_page < path.tile {
                let page = end.wrapping_sub(into_page);
                prefetch::<true>(page);
                prefetch::<true>(page.wrapping_add(LINE * size_of::<f32>()));
            }
        }
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

/// Writes a tile past the cache; the lines that it shares with its neighbours by ordinary stores. Nobody else may read or
/// write it before [`fence`].
#[inline(always)]
pub(crate) fn write_past<S: Simd>(simd: S, tile: &[f32; TILE], to: &mut [f32; TILE]) {
    let head = to.as_ptr().align_offset(LINE * size_of::<f32>());
    let (lines, rest) = tile[head..].as_chunks::<LINE>();
    let (to_lines, to_rest) = to[head..].as_chunks_mut::<LINE>();
    for (line, to) in lines.iter().zip(to_lines) {
        write_line(simd, line, to);
    }
    to_rest.copy_from_slice(rest);
    to[..head].copy_from_slice(&tile[..head]);
}

/// Writes a whole line, with which `to` begins.
#[inline(always)]
fn write_line<S: Simd>(simd: S, line: &[f32; LINE], to: &mut [f32; LINE]) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{
            _mm_loadu_ps, _mm_stream_ps, _mm256_loadu_ps, _mm256_stream_ps, _mm512_loadu_ps, _mm512_stream_ps,
        };
        let (level, line, to) = (simd.level(), line.as_ptr(), to.as_mut_ptr());
        // SAFETY: the level proves the instructions (SSE is part of x86-64); both arrays are a line long, and `to` is at a
        // multiple of one, as the only caller sees to.
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
        *to = *line;
    }
}

/// What [`write_past`] wrote on this thread comes before all that follows.
#[inline(always)]
pub(crate) fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64.
    unsafe {
        core::arch::x86_64::_mm_sfence();
    }
}
