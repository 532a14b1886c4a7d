//! The trees that devices sum blocks by, on the host: from the losses and weights of a block's values, they give the bits
//! that the device gives.

use std::ops::Range;

use super::{BLOCK, kept::Kept};
use crate::{job::Sums, plan};

/// The kind of device that a tree is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum TreeKind {
    /// The CPU: that of `src/cpu/accumulators`.
    Cpu,
    /// Any adapter: that of `shaders/kernel.wgsl`.
    #[cfg_attr(
        not(any(feature = "gpu", feature = "serde", test)),
        expect(dead_code, reason = "partials of a GPU may still be read and merged")
    )]
    Gpu,
}

/// The tree that the values of a block are summed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Tree {
    kind: TreeKind,
    /// What sums are taken over.
    sums: Sums,
    /// The number of classes; 1 where sums do not depend on it.
    classes: u64,
}

/// The sums of the blocks of some values, each rounded as the device rounds it. The sum of a list is exact.
#[derive(Debug, Default)]
pub(crate) struct BlockSums {
    pub losses: Vec<f64>,
    pub weights: Vec<f64>,
    /// Sums of the losses of a class, with the class.
    pub classes: Vec<(usize, f64)>,
}

impl Tree {
    /// The tree of this kind of device for sums of a batch of `classes` classes.
    pub(crate) fn new(kind: TreeKind, sums: Sums, classes: usize) -> Self {
        Self { kind, sums, classes: if sums == Sums::All { 1 } else { classes as u64 } }
    }

    /// The number of values that a block has, or a whole number of blocks and rows where a block may end inside a row
    /// and rows are not cut.
    pub(crate) fn unit(&self) -> u64 {
        let (block, classes) = (BLOCK as u64, self.classes);
        match (self.sums, self.kind) {
            (Sums::All, _) | (Sums::PerClass, TreeKind::Cpu) => block,
            (Sums::PerClass, TreeKind::Gpu) => block.saturating_mul(classes),
            (Sums::PerRow, TreeKind::Cpu) => plan::whole_rows(classes),
            (Sums::PerRow, TreeKind::Gpu) => classes.saturating_mul(gpu::LANES as u64),
        }
    }

    /// The sums of the values kept, each in its place; the values of their blocks that are not there count as 0.
    pub(crate) fn sums(&self, first: u64, kept: &Kept) -> BlockSums {
        let mut sums = BlockSums::default();
        if kept.weights.is_none() {
            sums.weights.push(kept.losses.len() as f64);
        }
        let start = (first % self.unit()) as usize;
        let weights = kept.weights.as_deref();
        match (self.kind, self.sums) {
            (TreeKind::Cpu, _) => {
                let per_class = self.sums == Sums::PerClass;
                for (range, start) in pieces(kept.losses.len(), start, BLOCK) {
                    sums.losses.push(cpu::sum(&kept.losses[range.clone()], start));
                    sums.weights.extend(weights.map(|weights| cpu::sum(&weights[range.clone()], start)));
                    if per_class {
                        let class = ((first + range.start as u64) % self.classes) as usize;
                        cpu::add_classes(&kept.losses[range], class, self.classes as usize, &mut sums.classes);
                    }
                }
            }
            (TreeKind::Gpu, Sums::All) => {
                sums.losses.push(gpu::sum(&kept.losses, start, 1));
                sums.weights.extend(weights.map(|weights| gpu::sum(weights, start, 1)));
            }
            (TreeKind::Gpu, Sums::PerClass) => {
                let classes = self.classes as usize;
                // Where a value is invalid its class is not known: all classes are NaN.
                let invalid = kept.losses.iter().any(|loss| loss.is_nan());
                for class in 0..classes.min(kept.losses.len()) {
                    let sum = gpu::sum(&kept.losses[class..], start / classes, classes);
                    sums.losses.push(sum);
                    sums.classes.push((class, if invalid { f64::NAN } else { sum }));
                    sums.weights.extend(weights.map(|weights| gpu::sum(&weights[class..], start / classes, classes)));
                }
            }
            (TreeKind::Gpu, Sums::PerRow) => {
                let classes = self.classes as usize;
                sums.losses.push(gpu::sum_rows(&kept.losses, start / classes, classes));
                sums.weights.extend(weights.map(|weights| gpu::sum_rows(weights, start / classes, classes)));
            }
        }
        sums
    }
}

#[cfg(feature = "serde")]
impl Tree {
    /// Whether values that begin at index `first` can be a part of a batch: whole rows, where rows are not cut.
    pub(super) fn is_consistent(&self, first: u64, len: u64) -> bool {
        let rows = match (self.kind, self.sums) {
            (TreeKind::Cpu, _) | (_, Sums::All) => 1,
            (TreeKind::Gpu, _) => self.classes,
        };
        self.classes > 0 && first.is_multiple_of(rows) && len.is_multiple_of(rows)
    }
}

/// The pieces of `len` values that lie in one block each, and where in its block each begins; `start` is where the first
/// one does, or a whole number of blocks more.
fn pieces(len: usize, start: usize, block: usize) -> impl Iterator<Item = (Range<usize>, usize)> {
    let (mut at, mut place) = (0, start % block);
    std::iter::from_fn(move || {
        let piece = at..len.min(at + block - place);
        let found = (!piece.is_empty()).then(|| (piece.clone(), place));
        (at, place) = (piece.end, 0);
        found
    })
}

/// The tree of the CPU: sixteen lanes, in each of which eight rows are added in f32, and then in f64.
mod cpu {
    use super::super::BLOCK;
    use crate::cpu::{LANES, ROWS};

    /// The sum of values that begin at place `start` of a block.
    pub(super) fn sum(values: &[f32], start: usize) -> f64 {
        let mut block = [0.0f32; BLOCK];
        block[start..start + values.len()].copy_from_slice(values);
        let mut lanes = [0.0f64; LANES];
        for rows in block.as_chunks::<{ LANES * ROWS }>().0 {
            for (i, lane) in lanes.iter_mut().enumerate() {
                let four = |row: usize| {
                    let at = |row: usize| rows[row * LANES + i];
                    (at(row) + at(row + 1)) + (at(row + 2) + at(row + 3))
                };
                *lane += f64::from(four(0) + four(4));
            }
        }
        let mut half = LANES / 2;
        while half > 0 {
            for i in 0..half {
                lanes[i] += lanes[i + half];
            }
            half /= 2;
        }
        lanes[0]
    }

    /// Adds the sums by class of losses of one block, the first of which is of class `class`: in f64, in order.
    pub(super) fn add_classes(losses: &[f32], class: usize, classes: usize, sums: &mut Vec<(usize, f64)>) {
        for i in 0..classes.min(losses.len()) {
            let sum = losses[i..].iter().step_by(classes).fold(0.0, |sum, loss| sum + f64::from(*loss));
            sums.push(((class + i) % classes, sum));
        }
    }
}

/// The tree of every adapter: eights of a lane and eights of lanes in f32, in pairs, and the groups of lanes as integers
/// on the exponent of the largest.
mod gpu {
    pub(super) const LANES: usize = 256;
    const GROUPS: usize = LANES / 8;
    // (Partials of a GPU are also merged where the feature `gpu` is off.)
    #[cfg(feature = "gpu")]
    const _: () = assert!(LANES == crate::gpu::LANES as usize);

    /// The sum of the values 0, `step`, 2 `step`, … of a block, the first of which is at place `start` of it.
    pub(super) fn sum(values: &[f32], start: usize, step: usize) -> f64 {
        let mut lanes = [[0.0f32; 8]; LANES];
        for (place, value) in (start..).zip(values.iter().step_by(step)) {
            lanes[place % LANES][place / LANES] = *value;
        }
        add_groups(&lanes.map(eight))
    }

    /// The sum of a block of rows, the first of which is row `start` of it.
    pub(super) fn sum_rows(values: &[f32], start: usize, classes: usize) -> f64 {
        let mut lanes = [0.0f32; LANES];
        for (lane, row) in lanes[start..].iter_mut().zip(values.chunks(classes)) {
            for columns in row.chunks(8) {
                let mut eights = [0.0; 8];
                eights[..columns.len()].copy_from_slice(columns);
                *lane += eight(eights);
            }
        }
        add_groups(&lanes)
    }

    fn eight(values: [f32; 8]) -> f32 {
        let [a, b, c, d, e, f, g, h] = values;
        ((a + b) + (c + d)) + ((e + f) + (g + h))
    }

    /// `add_block` of kernel.wgsl: a group is the lanes g, g + 32, g + 64, … . NaN if a value is.
    fn add_groups(lanes: &[f32; LANES]) -> f64 {
        let groups: [f32; GROUPS] =
            std::array::from_fn(|group| eight(std::array::from_fn(|i| lanes[group + i * GROUPS])));
        if groups.iter().any(|sum| sum.is_nan()) {
            return f64::NAN;
        }
        let bits = groups.map(|sum| sum.to_bits() & 0x7fff_ffff);
        let largest = bits.iter().copied().max().unwrap_or_default();
        if largest >= f32::INFINITY.to_bits() {
            return f64::INFINITY;
        }
        let exponent = (largest >> 23).max(1);
        let sum: u64 = bits
            .into_iter()
            .map(|bits| {
                let biased = bits >> 23;
                let mantissa = u64::from(bits & 0x7f_ffff) | if biased == 0 { 0 } else { 1 << 23 };
                (mantissa << 24) >> (exponent - biased.max(1)).min(48)
            })
            .sum();
        // At most 53 bits: the f64 is exact.
        sum as f64 * 2f64.powi(exponent as i32 - 174)
    }
}
