//! The SIMD backend.
//!
//! Threads take runs of blocks off a part until none is left ([`threads`]); a run goes through its blocks tile by tile
//! ([`blocks`]; [`general`] where more than the plain loss is in use); a tile is decoded to f32 ([`decode`]), computed
//! on and summed ([`tile`]) while it lies in the first-level cache. What lies beyond the caches is asked for ahead and
//! written past them ([`memory`]). The arithmetic of one element is in [`element`] and [`weighted`], on [`lanes`], twins of
//! `shaders/element.wgsl` and `shaders/weighted.wgsl`.
//!
//! # Determinism
//! The result is a function of the values and of whether the instruction set fuses multiply-adds. It does not
//! depend on the width of vectors, the number of threads, or where a batch is cut.

use std::num::NonZeroUsize;

use fearless_simd::{Level, dispatch};

use crate::{
    Batch, DeviceInfo, DeviceKind, Partials, Result, Targets,
    exact_sum::ExactSum,
    job::{Job, Sums},
    loss_parameters::LossParameters,
    outputs::Slices,
    partials::BLOCK,
};

mod blocks;
mod decode;
mod element;
mod general;
mod help;
mod lanes;
mod memory;
#[cfg(test)]
mod tests;
mod threads;
mod tile;
mod weighted;
#[cfg(test)]
mod weighted_tests;

/// A SIMD level and the threads to use it on.
#[derive(Debug)]
pub(crate) struct Cpu {
    level: Level,
    threads: threads::Threads,
}

impl Cpu {
    /// The best level there is, on rayon's global pool.
    pub(crate) fn global() -> Self {
        Self { level: Level::new(), threads: threads::Threads::global() }
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
    /// multiplied by the coefficient. An invalid value has NaN in each of its outputs. Where the means of rows are
    /// wanted, `part` starts and ends with a row.
    pub(crate) fn evaluate(&self, part: &Batch<'_>, job: &Job, first: u64, outputs: Slices<'_>) -> Partials {
        match &job.parameters {
            None => self.plain(part, job.coefficient, first, outputs),
            Some(parameters) => self.general(part, job, parameters, first, outputs),
        }
    }

    /// The plain loss.
    fn plain(&self, part: &Batch<'_>, coefficient: f32, first: u64, outputs: Slices<'_>) -> Partials {
        let job = blocks::Job { coefficient, beyond_cache: memory::beyond_cache(part, &outputs) };
        let partials = self.threads.split(
            part,
            first,
            outputs,
            BLOCK,
            &|part, first, outputs| dispatch!(self.level, simd => blocks::evaluate(simd, part, job, first, outputs)),
        );
        count_is_weight(partials)
    }

    /// Whatever is in use.
    fn general(
        &self,
        part: &Batch<'_>,
        job: &Job,
        parameters: &LossParameters,
        first: u64,
        outputs: Slices<'_>,
    ) -> Partials {
        let classes = part.classes();
        let unit = match job.sums {
            Sums::All => BLOCK,
            // Runs that are worth the memory for their classes.
            Sums::PerClass => classes.saturating_mul(16).checked_next_multiple_of(BLOCK).unwrap_or(usize::MAX),
            // The least common multiple: whole blocks and whole rows.
            Sums::PerRow => classes.saturating_mul(BLOCK >> classes.trailing_zeros().min(BLOCK.trailing_zeros())),
        };
        let run = general::Job {
            job,
            parameters,
            all_ones: all_ones(part, parameters),
            beyond_cache: memory::beyond_cache(part, &outputs),
        };
        let partials = self.threads.split(
            part,
            first,
            outputs,
            unit,
            &|part, first, outputs| dispatch!(self.level, simd => general::evaluate(simd, part, &run, first, outputs)),
        );
        if run.all_ones { count_is_weight(partials) } else { partials }
    }

    /// What a mean of `part` divides by, as [`Cpu::evaluate`] counts it: the number of values that are not left out,
    /// and their weight. Predictions are not read, and nothing is validated: a value with an invalid target or weight
    /// is counted, and weighs nothing.
    pub(crate) fn totals(&self, part: &Batch<'_>, parameters: &LossParameters) -> (u64, ExactSum) {
        let all_ones = all_ones(part, parameters);
        let partials = self.threads.split(part, 0, Slices::default(), BLOCK, &|part, _, _| {
            match (all_ones, parameters.ignore) {
                // No value need be looked at.
                (true, None) => Partials { count: unmasked(part), ..Partials::default() },
                _ => dispatch!(self.level, simd => general::totals(simd, part, parameters, all_ones)),
            }
        });
        let partials = if all_ones { count_is_weight(partials) } else { partials };
        (partials.count, partials.weight)
    }
}

/// Whether every value that counts weighs 1.
fn all_ones(part: &Batch<'_>, parameters: &LossParameters) -> bool {
    let valid = !parameters.propagate || matches!(part.targets(), Targets::Bool(_) | Targets::Bits(_));
    valid
        && part.weights().is_none()
        && (parameters.conventions.unlabelled_loss || parameters.label_weights == [1.0, 1.0])
        && parameters.classes.iter().all(|[class_weight, _]| *class_weight == 1.0)
}

/// Where every value weighs 1.
fn count_is_weight(partials: Partials) -> Partials {
    Partials { weight: ExactSum::of([partials.count as f64]), ..partials }
}

/// How many values the mask leaves in.
fn unmasked(part: &Batch<'_>) -> u64 {
    let Some(mask) = part.mask() else {
        return part.len() as u64;
    };
    let (whole, rest) = mask.split_at(part.len() / 8);
    let (eights, ones) = whole.as_chunks::<8>();
    let count = |eight: &[u8; 8]| u64::from(u64::from_le_bytes(*eight).count_ones());
    let last = rest.first().map_or(0, |byte| byte & ((1 << (part.len() % 8)) - 1));
    eights.iter().map(count).sum::<u64>()
        + ones.iter().chain([&last]).map(|byte| u64::from(byte.count_ones())).sum::<u64>()
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
