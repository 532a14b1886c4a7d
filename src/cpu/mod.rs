//! The SIMD backend.
//!
//! A part is cut in two until what is left is a run of blocks for one thread ([`threads`]); a run goes through
//! its blocks tile by tile ([`blocks`]); a tile is decoded to f32 ([`decode`]), computed on and summed ([`tile`])
//! while it lies in the first-level cache. The arithmetic of one element is in [`element`], on [`lanes`], twin of
//! `shaders/element.wgsl`.
//!
//! # Determinism
//! The result is a function of the values and of whether the instruction set fuses multiply-adds. It does not
//! depend on the width of vectors, the number of threads, or where a batch is cut.

use std::num::NonZeroUsize;

use fearless_simd::{Level, dispatch};

use crate::{Batch, DeviceInfo, DeviceKind, Partials, Result, engine::Work, outputs::Slices};

mod blocks;
mod decode;
mod element;
mod lanes;
#[cfg(test)]
mod tests;
mod threads;
mod tile;

/// A SIMD level and the threads to use it on.
#[derive(Debug)]
pub(crate) struct Cpu {
    level: Level,
    threads: threads::Threads,
}

impl Cpu {
    /// The best level there is, on rayon's global pool.
    pub(crate) fn global() -> Self {
        Self { level: Level::new(), threads: threads::Threads::Global }
    }

    /// The best level there is, on `threads` threads, or rayon's global pool if that is not said.
    pub(crate) fn new(threads: Option<NonZeroUsize>) -> Result<Self> {
        Self::with_level(Level::new(), threads)
    }

    /// As [`Cpu::new`], on a given level.
    pub(crate) fn with_level(level: Level, threads: Option<NonZeroUsize>) -> Result<Self> {
        Ok(Self { level, threads: threads::Threads::new(threads)? })
    }

    /// The instruction set and the number of threads.
    pub(crate) fn info(&self) -> DeviceInfo {
        let threads = self.threads.count();
        DeviceInfo {
            name: level_name(self.level).into(),
            backend: "cpu".into(),
            kind: DeviceKind::Cpu,
            driver: format!("{threads} thread{}", if threads == 1 { "" } else { "s" }),
        }
    }

    /// Evaluates `part`, whose first value has the index `first` (a multiple of [`BLOCK`](crate::BLOCK)) in the
    /// whole batch. Each output wanted is as long as `part`; the loss is not scaled, gradient and hessian are
    /// multiplied by the coefficient. An invalid value has NaN in each of its outputs.
    pub(crate) fn evaluate(&self, part: &Batch<'_>, work: &Work, first: u64, outputs: Slices<'_>) -> Partials {
        let coefficient = work.coefficient;
        self.threads.split(part, first, outputs, &|part, first, outputs| {
            dispatch!(self.level, simd => blocks::evaluate(simd, part, coefficient, first, outputs))
        })
    }
}

fn level_name(level: Level) -> &'static str {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        if level.as_avx512().is_some() {
            return "AVX-512";
        }
        if level.as_avx2().is_some() {
            return "AVX2";
        }
        if level.as_sse4_2().is_some() {
            return "SSE4.2";
        }
        if level.as_sse2().is_some() {
            return "SSE2";
        }
    }
    #[cfg(target_arch = "aarch64")]
    if level.as_neon().is_some() {
        return "NEON";
    }
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    if level.as_wasm_simd128().is_some() {
        return "SIMD128";
    }
    let _ = level;
    "scalar"
}
