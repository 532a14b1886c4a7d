//! Which rows are measured, and for how long. Nothing here measures: it is all arithmetic.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::{
    Inputs, Observer, Specification, Work,
    cell::{Cell, FROM_MEMORY},
    sampling::Pace,
    text::size,
};

/// The binary logarithms of the sizes.
const SIZES: &[u32] = &[8, 12, 16, 18, 20, 22, 24, 26];
const QUICK_SIZES: &[u32] = &[16, 20, 24];
const WORKS: &[Work] = &[Work::MEAN, Work::GRADIENT, Work::HESSIAN];
const QUICK_WORKS: &[Work] = &[Work::MEAN, Work::GRADIENT];
const INPUTS: &[Inputs] = &[Inputs::F32, Inputs::F32_U8, Inputs::F32_BITS, Inputs::F16_U8, Inputs::BF16_U8];
const QUICK_INPUTS: &[Inputs] = &[Inputs::F32, Inputs::F32_U8];
/// The time that is spent on a row, in seconds.
const SECONDS: f64 = 0.4;
const QUICK_SECONDS: f64 = 0.06;
/// The time after which no row of a quick run begins.
const QUICK_DEADLINE: Duration = Duration::from_secs(20);
/// The time after which a row of a quick run that is under way is measured once.
const QUICK_END: Duration = Duration::from_secs(22);
/// The largest batch on a software adapter: larger ones take long and tell nothing new.
const SOFTWARE_MAX: usize = 1 << 24;
/// The number of bytes that the batches of a row span where the size of the caches is not known.
const REACH: u64 = 256 << 20;
/// The most bytes that the batches of a row span.
const REACH_MAX: u64 = 2 << 30;

/// A sweep over sizes, outputs and types.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// The numbers of values in a batch, ascending.
    pub sizes: Vec<usize>,
    /// What is computed.
    pub works: Vec<Work>,
    /// The types of the inputs.
    pub inputs: Vec<Inputs>,
    /// Whether the specification names the sizes.
    explicit_sizes: bool,
    /// The time that is spent on a row, in seconds.
    seconds: f64,
    quick: bool,
    /// The number of values in each array.
    pub len: usize,
    /// The number of bytes that the batches of a row span, so that no cache of the CPU holds them.
    pub reach: u64,
    /// Which sizes are skipped, and why.
    pub notes: Vec<String>,
}

impl Plan {
    /// The plan for a machine with `free` bytes of memory and `cache` bytes of last-level cache, if that is known.
    /// `copies` is the number of copies of the arrays that exist at the same time: 2 if a device keeps its own in the
    /// memory of the host, else 1.
    pub(crate) fn new(specification: &Specification, free: u64, cache: Option<u64>, copies: u64) -> Self {
        let Specification { quick, seconds, .. } = *specification;
        let powers: BTreeSet<u32> = choose(&specification.sizes, quick, QUICK_SIZES, SIZES).into_iter().collect();
        let mut plan = Self {
            sizes: powers.into_iter().map(|power| 1 << power).collect(),
            works: choose(&specification.work, quick, QUICK_WORKS, WORKS),
            inputs: choose(&specification.inputs, quick, QUICK_INPUTS, INPUTS),
            explicit_sizes: !specification.sizes.is_empty(),
            seconds: seconds.unwrap_or(if quick { QUICK_SECONDS } else { SECONDS }),
            quick,
            len: 0,
            // Four times the cache: with less, part of each batch would still be cached from the time before.
            reach: cache.map_or(REACH, |bytes| (4 * bytes).clamp(REACH / 4, REACH_MAX)),
            notes: Vec::new(),
        };
        plan.fit(free / 2, copies);
        plan
    }

    /// Removes the sizes whose arrays take more than `budget` bytes, and sets the size of the arrays.
    fn fit(&mut self, budget: u64, copies: u64) {
        let each = self.bytes_per_value() * copies;
        while let Some(&largest) = self.sizes.last() {
            if largest as u64 * each <= budget {
                break;
            }
            self.sizes.pop();
            let (size, mib) = (size(largest as u64), (largest as u64 * each) >> 20);
            self.notes.push(format!("{size} values are left out: they take {mib} MiB, more than half of what is free"));
        }
        let Some(&largest) = self.sizes.last() else { return };
        let narrowest = self.inputs.iter().map(|inputs| inputs.bytes()).fold(f64::INFINITY, f64::min);
        let round = if largest >= FROM_MEMORY { (self.reach as f64 / narrowest).ceil() as u64 } else { 0 };
        self.len = largest.max(round.min(budget / each) as usize);
    }

    /// The number of bytes that all arrays together take for each value.
    fn bytes_per_value(&self) -> u64 {
        // Answers are checked with labels as bytes, the bandwidth of the memory is measured with f32.
        let all: Vec<Inputs> = self.inputs.iter().copied().chain([Inputs::F32, Inputs::F32_U8]).collect();
        let predictions: BTreeSet<_> = all.iter().map(|inputs| (inputs.prediction.name(), inputs.bits()[0])).collect();
        let targets: BTreeSet<_> = all.iter().map(|inputs| (inputs.target.name(), inputs.bits()[1])).collect();
        let bits: u64 = predictions.iter().chain(&targets).map(|(_, bits)| bits).sum();
        let outputs = self.works.iter().map(|work| work.count()).max().unwrap_or_default().max(1) as u64;
        bits.div_ceil(8) + 4 * outputs
    }

    /// The rows of a device. The most telling come first: the last ones are skipped if time runs out.
    pub(crate) fn cells(&self, software: bool) -> Vec<Cell> {
        let sizes = self.sizes.iter().rev().filter(|n| self.explicit_sizes || !software || **n <= SOFTWARE_MAX);
        let sizes: Vec<usize> = sizes.copied().collect();
        let mut cells = Vec::new();
        for &inputs in &self.inputs {
            for &n in &sizes {
                cells.extend(self.works.iter().map(|&work| Cell { n, inputs, work }));
            }
        }
        cells
    }

    /// The note on the sizes that are skipped on software adapters, if there are any.
    #[cfg(feature = "gpu")]
    pub(crate) fn skipped_on_software(&self) -> Option<String> {
        let skipped = self.sizes.iter().any(|n| !self.explicit_sizes && *n > SOFTWARE_MAX);
        skipped.then(|| format!("more than {} values are left out on software adapters", size(SOFTWARE_MAX as u64)))
    }

    /// How long the tasks of a row are timed, all together, in a run that began at `begun`.
    pub(crate) fn pace<'o>(&self, begun: Instant, observer: &'o dyn Observer) -> Pace<'o> {
        Pace {
            budget: Duration::from_secs_f64(self.seconds),
            min_rounds: self.repeats(),
            max_rounds: 1000,
            until: self.quick.then(|| begun + QUICK_END),
            observer,
        }
    }

    /// The least number of samples of a row.
    pub(crate) fn repeats(&self) -> usize {
        if self.quick { 3 } else { 5 }
    }

    /// The number of bytes that are moved at a time where the bandwidth of a device is measured.
    #[cfg(feature = "gpu")]
    pub(crate) fn bulk(&self, software: bool) -> u64 {
        match (self.quick, software) {
            (true, true) => 32 << 20,
            (false, false) => 256 << 20,
            _ => 64 << 20,
        }
    }

    /// The time after which no row of device number `index` of `count` begins, if there is one.
    pub(crate) fn deadline(&self, index: usize, count: usize) -> Option<Duration> {
        self.quick.then(|| QUICK_DEADLINE * (index + 1) as u32 / count as u32)
    }
}

/// What the specification names, or else the selection for a quick or a full run.
fn choose<T: Copy>(named: &[T], quick: bool, few: &[T], many: &[T]) -> Vec<T> {
    match (named, quick) {
        ([], true) => few,
        ([], false) => many,
        (named, _) => named,
    }
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(specification: &Specification, free: u64) -> Plan {
        Plan::new(specification, free, Some(32 << 20), 1)
    }

    #[test]
    fn full_and_quick() {
        let full = plan(&Specification::default(), 1 << 40);
        assert_eq!((full.sizes.last(), full.cells(false).len()), (Some(&(1 << 26)), 8 * 3 * 5));
        assert!(full.notes.is_empty() && full.deadline(0, 2).is_none());
        assert!(full.cells(true).iter().all(|cell| cell.n <= SOFTWARE_MAX));
        let quick = plan(&Specification { quick: true, ..Specification::default() }, 1 << 40);
        assert_eq!(quick.cells(false).len(), 3 * 2 * 2);
        assert_eq!(quick.deadline(1, 2), Some(QUICK_DEADLINE));
        assert!(quick.len as u64 * 5 >= quick.reach && quick.reach == 128 << 20);
    }

    #[test]
    fn memory_is_bounded() {
        let small = plan(&Specification::default(), 512 << 20);
        assert!(small.len as u64 * small.bytes_per_value() <= 256 << 20);
        assert!(small.sizes.last() < Some(&(1 << 26)) && !small.notes.is_empty());
        let none = plan(&Specification { sizes: vec![30], ..Specification::default() }, 1 << 20);
        assert!(none.sizes.is_empty() && none.len == 0);
    }

    #[test]
    fn sizes_are_in_order() {
        let specification = Specification {
            sizes: vec![12, 8, 12],
            work: vec![Work::MEAN],
            inputs: vec!["f16/bits".parse().unwrap()],
            ..Specification::default()
        };
        let plan = plan(&specification, 1 << 40);
        assert_eq!(plan.sizes, [1 << 8, 1 << 12]);
        assert_eq!(plan.len, 1 << 12);
        assert_eq!(plan.cells(true).len(), 2);
    }
}
