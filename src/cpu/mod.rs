//! The SIMD backend.
//!
//! [`threads`] spreads the runs of a part over threads. [`run`] is the loop over the tiles of a run: one of the [`kernels`]
//! decodes a tile to f32 ([`decode`]) and computes it while it lies in the first-level cache, and [`accumulators`] sum and
//! count what it holds. [`streaming`] prefetches parts that exceed the caches, and writes their outputs past them. The
//! arithmetic of one element is in [`element`] and [`weighted`], on [`lanes`], twins of `shaders/element.wgsl` and
//! `shaders/weighted.wgsl`.
//!
//! # Determinism
//! The result is a function of the values and of whether the instruction set fuses multiply-adds. It does not
//! depend on the width of vectors, the number of threads, or where a batch is cut.

use std::num::NonZeroUsize;

use fearless_simd::{Level, dispatch};

use crate::{
    Batch, DeviceInfo, DeviceKind, Partials, Result, Targets, Totals,
    exact_sum::ExactSum,
    job::{Job, Sums},
    loss_parameters::LossParameters,
    outputs::Slices,
    partials::{BLOCK, Kept, Piece, Tree, TreeKind},
    plan,
};

mod accumulators;
mod decode;
mod element;
mod ignored;
mod kernels;
mod lanes;
mod run;
#[cfg(feature = "threads")]
mod scoped_task;
mod streaming;
#[cfg(test)]
mod tests;
#[cfg(feature = "threads")]
mod threads;
#[cfg(not(feature = "threads"))]
#[path = "calling_thread.rs"]
mod threads;
#[cfg(test)]
mod threshold_tests;
mod tile;
mod weighted;
#[cfg(test)]
mod weighted_tests;

pub(crate) use accumulators::lane_sums::{LANES, ROWS};
use kernels::{plain, totals, weighted as weighted_kernel};
use run::Run;
use threads::Threads;

/// The number of values whose weights are added up at a time where a part begins inside a block: bits are then copied.
const TOTALS_STEP: usize = 1 << 24;

/// A SIMD level and the threads to use it on.
#[derive(Debug)]
pub(crate) struct Cpu {
    level: Level,
    threads: Threads,
}

impl Cpu {
    /// The best level of this processor, on rayon's global pool.
    pub(crate) fn global() -> Self {
        Self { level: Level::new(), threads: Threads::global() }
    }

    /// The best level of this processor, on `threads` threads, or on rayon's global pool if no number is given.
    ///
    /// # Errors
    /// [`Error::Threads`](crate::Error::Threads) if the threads cannot be started, or if there is to be more than one and
    /// the crate was built without the feature `threads`.
    pub(crate) fn new(threads: Option<NonZeroUsize>) -> Result<Self> {
        Self::with_level(Level::new(), threads)
    }

    /// As [`Cpu::new`], on a given level.
    ///
    /// # Errors
    /// As [`Cpu::new`].
    pub(crate) fn with_level(level: Level, threads: Option<NonZeroUsize>) -> Result<Self> {
        Ok(Self { level, threads: Threads::new(threads)? })
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
    /// whole batch. Each requested output is as long as `part`; the loss is not scaled, gradient and hessian are
    /// multiplied by the coefficient. An invalid value has NaN in each of its outputs. Where the means of rows are
    /// requested, `part` starts and ends with a row.
    pub(crate) fn evaluate(&self, part: &Batch<'_>, job: &Job, first: u64, outputs: Slices<'_>) -> Partials {
        let exceeds_cache = streaming::exceeds_cache(part, &outputs);
        let whole = Run { part: *part, first, outputs };
        match &job.parameters {
            None => self.plain(whole, job, exceeds_cache),
            Some(parameters) => {
                let all_ones = all_ones(part, parameters);
                self.weighted(whole, &weighted_kernel::Settings { job, parameters, all_ones, exceeds_cache })
            }
        }
    }

    /// The plain loss.
    fn plain(&self, whole: Run<'_>, job: &Job, exceeds_cache: bool) -> Partials {
        let evaluate = |run: Run<'_>| dispatch!(self.level, simd => plain::evaluate(simd, run, job, exceeds_cache));
        count_is_weight(self.threads.split(whole, BLOCK, &evaluate))
    }

    /// The loss with parameters.
    fn weighted(&self, whole: Run<'_>, settings: &weighted_kernel::Settings<'_>) -> Partials {
        let classes = whole.part.classes();
        let unit = match settings.job.sums {
            Sums::All => BLOCK,
            // Runs that are worth the memory for their classes.
            Sums::PerClass => classes.saturating_mul(16).checked_next_multiple_of(BLOCK).unwrap_or(usize::MAX),
            Sums::PerRow => usize::try_from(plan::whole_rows(classes as u64)).unwrap_or(usize::MAX),
        };
        let evaluate = |run: Run<'_>| dispatch!(self.level, simd => weighted_kernel::evaluate(simd, run, settings));
        let partials = self.threads.split(whole, unit, &evaluate);
        if settings.all_ones { count_is_weight(partials) } else { partials }
    }

    /// What a mean of `part` divides by, as [`Cpu::evaluate`] counts it: the number of values that are neither ignored
    /// nor masked, and their weight. Predictions are not read, and nothing is validated: a value with an invalid target
    /// or weight is counted, and weighs nothing.
    pub(crate) fn totals(&self, part: &Batch<'_>, parameters: &LossParameters) -> Totals {
        self.totals_with(part, parameters, Slices::default())
    }

    /// The same of a part whose first value has the index `first` in the whole batch: it has its place, and keeps the
    /// weights of blocks that it has not all of.
    pub(crate) fn totals_from(&self, part: &Batch<'_>, parameters: &LossParameters, first: u64) -> Totals {
        let tree = Tree::new(TreeKind::Cpu, Sums::All, 1);
        let len = part.len();
        let [head, tail] = plan::ends(first, len as u64, tree.unit()).map(|end| end as usize);
        let (mut totals, mut piece) = (Totals::default(), Piece::new(first..first + len as u64));
        let mut bits = Default::default();
        let middle = (head..len - tail).step_by(TOTALS_STEP);
        let middle = middle.map(|start| (start..(start + TOTALS_STEP).min(len - tail), false));
        for (range, is_end) in [(0..head, true)].into_iter().chain(middle).chain([(len - tail..len, true)]) {
            let at = first + range.start as u64;
            let part = part.part_from(range, &mut bits);
            let mut weights = vec![0.0; if is_end { part.len() } else { 0 }];
            let slices = Slices { weights: is_end.then_some(&mut weights[..]), ..Slices::default() };
            let mut found = self.totals_with(&part, parameters, slices);
            if is_end && !part.is_empty() {
                let kept = Kept { tree, losses: weights, weights: None };
                found.weight = ExactSum::of(tree.sums(at, &kept).losses);
                piece.keep(at, kept);
            }
            totals.count += found.count;
            totals.weight.merge(&found.weight);
        }
        totals.pieces = piece.into();
        totals
    }

    fn totals_with(&self, part: &Batch<'_>, parameters: &LossParameters, outputs: Slices<'_>) -> Totals {
        let all_ones = all_ones(part, parameters);
        let whole = Run { part: *part, first: 0, outputs };
        let partials = self.threads.split(whole, BLOCK, &|run| match (all_ones, parameters.ignore) {
            // No value need be looked at.
            (true, None) if run.outputs.weights.is_none() => {
                Partials { count: unmasked(&run.part), ..Partials::default() }
            }
            _ => dispatch!(self.level, simd => totals::evaluate(simd, run, parameters, all_ones)),
        });
        let partials = if all_ones { count_is_weight(partials) } else { partials };
        Totals { count: partials.count, weight: partials.weight, ..Totals::default() }
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

/// The partials of values that each weigh 1.
fn count_is_weight(partials: Partials) -> Partials {
    Partials { weight: ExactSum::of([partials.count as f64]), ..partials }
}

/// The number of values that are not masked.
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
