//! What is measured, and for how long: arithmetic alone.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    args::Args,
    model::size,
    rows::{Cell, FROM_MEMORY, Inputs, Work},
    sampling::Pace,
};

const SIZES: &[u32] = &[8, 12, 16, 18, 20, 22, 24, 26];
const QUICK_SIZES: &[u32] = &[16, 20, 24];
const WORKS: &[Work] = &[Work::MEAN, Work::GRADIENT, Work::HESSIAN];
const QUICK_WORKS: &[Work] = &[Work::MEAN, Work::GRADIENT];
const INPUTS: &[Inputs] = &[Inputs::F32, Inputs::F32_U8, Inputs::F32_BITS, Inputs::F16_U8, Inputs::BF16_U8];
const QUICK_INPUTS: &[Inputs] = &[Inputs::F32, Inputs::F32_U8];
/// Seconds a row.
const SECONDS: f64 = 0.4;
const QUICK_SECONDS: f64 = 0.06;
/// No row of a quick run begins after this.
const QUICK_DEADLINE: Duration = Duration::from_secs(20);
/// And from then on what is under way is measured once.
const QUICK_END: Duration = Duration::from_secs(22);
/// Larger batches on an adapter that computes on the CPU take long and tell nothing new.
const SOFTWARE_MAX: usize = 1 << 24;
/// What a round of batches spans where the caches' size is not known.
const REACH: u64 = 256 << 20;
const REACH_MAX: u64 = 2 << 30;

/// A sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Values a batch, ascending.
    pub sizes: Vec<usize>,
    /// Outputs.
    pub works: Vec<Work>,
    /// Types.
    pub inputs: Vec<Inputs>,
    /// Whether the sizes were asked for.
    explicit_sizes: bool,
    /// Seconds a row.
    seconds: f64,
    quick: bool,
    /// Values there are of each type.
    pub len: usize,
    /// Bytes that a round of batches spans, so that no cache of the CPU's holds them.
    pub reach: u64,
    /// What had to be left out.
    pub notes: Vec<String>,
}

impl Plan {
    /// For a machine with `free` bytes of memory and `cache` bytes of last-level cache, if that is known. `copies` is
    /// how often the arrays are held at the same time: once more if a device has the host's memory for its own.
    pub fn new(args: &Args, free: u64, cache: Option<u64>, copies: u64) -> Self {
        let choose = |full: &[u32], quick: &[u32]| if args.quick { quick.to_vec() } else { full.to_vec() };
        let powers = if args.sizes.is_empty() { choose(SIZES, QUICK_SIZES) } else { args.sizes.clone() };
        let powers: BTreeSet<u32> = powers.into_iter().collect();
        let works = match (args.work.is_empty(), args.quick) {
            (false, _) => args.work.clone(),
            (true, true) => QUICK_WORKS.to_vec(),
            (true, false) => WORKS.to_vec(),
        };
        let inputs = match (args.inputs.is_empty(), args.quick) {
            (false, _) => args.inputs.clone(),
            (true, true) => QUICK_INPUTS.to_vec(),
            (true, false) => INPUTS.to_vec(),
        };
        let mut plan = Self {
            sizes: powers.into_iter().map(|power| 1 << power).collect(),
            works,
            inputs,
            explicit_sizes: !args.sizes.is_empty(),
            seconds: args.seconds.unwrap_or(if args.quick { QUICK_SECONDS } else { SECONDS }),
            quick: args.quick,
            len: 0,
            // Four times the cache: with less, part of each round would be there from the round before.
            reach: cache.map_or(REACH, |bytes| (4 * bytes).clamp(REACH / 4, REACH_MAX)),
            notes: Vec::new(),
        };
        plan.fit(free / 2, copies);
        plan
    }

    /// Keeps within `budget` bytes.
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

    /// Bytes of all the arrays there are, for each value.
    fn bytes_per_value(&self) -> u64 {
        // Labels as bytes are what answers are checked with, f32 what the memory's limit is measured with.
        let all: Vec<Inputs> = self.inputs.iter().copied().chain([Inputs::F32, Inputs::F32_U8]).collect();
        let predictions: BTreeSet<_> = all.iter().map(|inputs| (inputs.predictions(), inputs.bits()[0])).collect();
        let targets: BTreeSet<_> = all.iter().map(|inputs| (inputs.targets(), inputs.bits()[1])).collect();
        let bits: u64 = predictions.iter().chain(&targets).map(|(_, bits)| bits).sum();
        let outputs = self.works.iter().map(|work| work.count()).max().unwrap_or_default().max(1) as u64;
        bits.div_ceil(8) + 4 * outputs
    }

    /// The cells for a device, those first that tell most: what is left out for want of time is at the end.
    pub fn cells(&self, software: bool) -> Vec<Cell> {
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

    /// Sizes that a software adapter is spared.
    pub fn spared(&self) -> Option<String> {
        let spared = self.sizes.iter().any(|n| !self.explicit_sizes && *n > SOFTWARE_MAX);
        spared.then(|| format!("more than {} values are left out on software adapters", size(SOFTWARE_MAX as u64)))
    }

    /// How long a row is measured, all that is timed in turn together, in a run that began at `begun`.
    pub fn pace(&self, begun: Instant) -> Pace {
        Pace {
            budget: Duration::from_secs_f64(self.seconds),
            min_rounds: self.repeats(),
            max_rounds: 1000,
            until: self.quick.then(|| begun + QUICK_END),
        }
    }

    /// How often each row is measured at least.
    pub fn repeats(&self) -> usize {
        if self.quick { 3 } else { 5 }
    }

    /// Bytes that are moved at once where a device's bandwidth is measured.
    pub fn bulk(&self, software: bool) -> u64 {
        match (self.quick, software) {
            (true, true) => 32 << 20,
            (false, false) => 256 << 20,
            _ => 64 << 20,
        }
    }

    /// When device `index` of `count` has to be done with its rows.
    pub fn deadline(&self, index: usize, count: usize) -> Option<Duration> {
        self.quick.then(|| QUICK_DEADLINE * (index + 1) as u32 / count as u32)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn plan(line: &[&str], free: u64) -> Plan {
        let args = Line::parse_from(["bench"].iter().chain(line)).args;
        Plan::new(&args, free, Some(32 << 20), 1)
    }

    #[test]
    fn full_and_quick() {
        let full = plan(&[], 1 << 40);
        assert_eq!((full.sizes.last(), full.cells(false).len()), (Some(&(1 << 26)), 8 * 3 * 5));
        assert!(full.notes.is_empty() && full.deadline(0, 2).is_none());
        assert!(full.cells(true).iter().all(|cell| cell.n <= SOFTWARE_MAX));
        let quick = plan(&["--quick"], 1 << 40);
        assert_eq!(quick.cells(false).len(), 3 * 2 * 2);
        assert_eq!(quick.deadline(1, 2), Some(QUICK_DEADLINE));
        assert!(quick.len as u64 * 5 >= quick.reach && quick.reach == 128 << 20);
    }

    #[test]
    fn memory_is_bounded() {
        let small = plan(&[], 512 << 20);
        assert!(small.len as u64 * small.bytes_per_value() <= 256 << 20);
        assert!(small.sizes.last() < Some(&(1 << 26)) && !small.notes.is_empty());
        let none = plan(&["--sizes", "30"], 1 << 20);
        assert!(none.sizes.is_empty() && none.len == 0);
    }

    #[test]
    fn sizes_are_in_order() {
        let plan = plan(&["--sizes", "12,8,12", "--work", "mean", "--inputs", "f16/bits"], 1 << 40);
        assert_eq!(plan.sizes, [1 << 8, 1 << 12]);
        assert_eq!(plan.len, 1 << 12);
        assert_eq!(plan.cells(true).len(), 2);
    }
}
