//! Values that no cache holds: asked for before they are needed, and written without being fetched.
//!
//! What a processor fetches ahead by itself ends with each page of 4 KiB, and falls behind where others use the memory
//! too: a plain sweep then waits for many lines at once, a kernel that computes in between for few. The first line of a
//! page waits for its address to be looked up as well. And an ordinary store fetches the line that it overwrites: a third
//! more bytes than need move, for a gradient.
//!
//! All of this is for x86-64, where it was measured; elsewhere it does nothing, or is an ordinary store.

use fearless_simd::prelude::*;

use super::{
    lanes::{F32s, K},
    tile::TILE,
};
use crate::{Batch, outputs::Slices};

/// Bytes that are taken to be more than a cache holds.
const CACHE: u64 = 32 << 20;
/// Floats of a cache line.
const LINE: usize = 16;
/// How far ahead of their use values are asked for, in tiles: some hundred nanoseconds of work. (Half as far is too late
/// where others use the memory too; a tile more or less makes no difference.)
const AHEAD: usize = 2;
/// Bytes of the smallest page.
const PAGE: usize = 4096;

/// Whether the derivatives of a part, or where none is wanted its values, are more than a cache holds. (What is narrowed
/// from memory of ours is computed in smaller parts.)
pub(crate) fn beyond_cache(part: &Batch<'_>, outputs: &Slices<'_>) -> bool {
    let [_, gradient, hessian] = outputs.wanted();
    let derivatives = (part.len() * size_of::<f32>()) as u64 * (u64::from(gradient) + u64::from(hessian));
    (if derivatives > 0 { derivatives } else { part.bytes() }) > CACHE
}

/// Asks for what lies [`AHEAD`] of `values`, into the second-level cache.
#[inline(always)]
pub(crate) fn ask_ahead(values: &[f32]) {
    for line in (0..values.len()).step_by(LINE) {
        prefetch::<false>(values.as_ptr().wrapping_add(line + AHEAD * TILE).cast());
    }
}

/// Where an array lies that is gone through tile by tile. One that is not there has no bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    start: *const u8,
    /// Bytes of a tile.
    tile: usize,
}

impl Path {
    /// Of `len` values.
    pub(crate) fn new(bytes: &[u8], len: usize) -> Self {
        Self { start: bytes.as_ptr(), tile: (bytes.len() * TILE).checked_div(len).unwrap_or(0) }
    }

    /// Asks for the start of the page that begins in the tile [`AHEAD`] of this one, if one does: so its address is known
    /// when its other lines are asked for, or it is written past the cache.
    #[inline(always)]
    pub(crate) fn ask_for_page(self, tile: usize) {
        let end = self.start.wrapping_add((tile + AHEAD + 1) * self.tile);
        let into_page = end.addr() % PAGE;
        if into_page < self.tile {
            let page = end.wrapping_sub(into_page);
            prefetch::<true>(page);
            prefetch::<true>(page.wrapping_add(LINE * size_of::<f32>()));
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

/// Stores `values` past the cache, where the instruction set can and `to` begins with a cache line. Nobody may read or
/// write what was written so before [`fence`].
#[inline(always)]
pub(crate) fn store_past<S: Simd>(values: F32s<S>, to: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if to.as_ptr().addr().is_multiple_of(LINE * size_of::<f32>()) {
        use core::arch::x86_64::{_mm256_loadu_ps, _mm256_stream_ps, _mm512_loadu_ps, _mm512_stream_ps};
        let (width, level) = (S::f32s::LEN, values.0[0].token().level());
        for i in 0..K {
            let to = &mut to[i * width..(i + 1) * width];
            let mut vector = [0.0f32; 16];
            values.0[i].store_slice(&mut vector[..width]);
            if level.as_avx512().is_some() && width == 16 {
                // SAFETY: the level proves the instructions; both are of 64 bytes, `to` at a multiple of that.
                unsafe { _mm512_stream_ps(to.as_mut_ptr(), _mm512_loadu_ps(vector.as_ptr())) };
            } else if level.as_avx2().is_some() && width == 8 {
                // SAFETY: the level proves the instructions; both are of 32 bytes, `to` at a multiple of that.
                unsafe { _mm256_stream_ps(to.as_mut_ptr(), _mm256_loadu_ps(vector.as_ptr())) };
            } else {
                values.0[i].store_slice(to);
            }
        }
        return;
    }
    values.store(to);
}

/// What [`store_past`] wrote on this thread comes before all that follows.
#[inline(always)]
pub(crate) fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64.
    unsafe {
        core::arch::x86_64::_mm_sfence();
    }
}
