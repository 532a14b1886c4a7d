//! The sum of the losses of each class.

use fearless_simd::prelude::*;

use super::TileAccumulator;
use crate::{ClassPartials, Partials, cpu::tile::Tile, exact_sum::Adder};

/// The sums of each class: over the elements of a block in f64, in the order of their indices, then exactly.
pub(crate) struct ClassSums {
    /// The sums over the block.
    block: Vec<f64>,
    /// The class of the first element of the block.
    first: usize,
    /// The number of elements of the block.
    len: usize,
    adders: Vec<Adder>,
    counts: Vec<u64>,
}

impl ClassSums {
    /// Sums of that many classes.
    pub(crate) fn new(classes: usize) -> Self {
        Self {
            block: vec![0.0; classes],
            first: 0,
            len: 0,
            adders: (0..classes).map(|_| Adder::default()).collect(),
            counts: vec![0; classes],
        }
    }
}

impl TileAccumulator for ClassSums {
    #[inline]
    fn add<S: Simd>(&mut self, _: S, tile: &Tile<'_>) {
        let mut class = tile.class();
        if self.len == 0 {
            self.first = class;
        }
        self.len += tile.len;
        let (block, counts, ignored) = (&mut self.block[..], &mut self.counts[..], *tile.values.ignored);
        for (i, loss) in tile.losses[..tile.len].iter().enumerate() {
            block[class] += f64::from(*loss);
            counts[class] += u64::from(!ignored.contains(i));
            class += 1;
            if class == block.len() {
                class = 0;
            }
        }
    }

    fn end_block(&mut self) {
        let classes = self.block.len();
        for class in (self.first..classes).chain(0..self.first).take(self.len) {
            self.adders[class].add(std::mem::take(&mut self.block[class]));
        }
        self.len = 0;
    }

    fn finish(self, partials: &mut Partials) {
        let adders = self.adders.into_iter().zip(self.counts);
        partials.classes = adders.map(|(adder, count)| ClassPartials { sum: adder.finish(), count }).collect();
    }
}
