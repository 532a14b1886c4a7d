//! A tile: the elements that are decoded, computed and summed at a time, few enough for the first-level cache.

use super::ignored::Ignored;
use crate::{Batch, partials::BLOCK};

/// The number of elements in a tile.
pub(crate) const TILE: usize = 512;
const _: () = assert!(BLOCK.is_multiple_of(TILE));

/// Memory for `N` tiles, in whole cache lines, because a vector that straddles two costs twice.
///
/// It is half a tile apart from the tiles of large arrays, which start near a multiple of 4 KiB: a processor delays a load
/// whose address has the lowest 12 bits of a store shortly before it. (Otherwise the place on the stack decides: that of a
/// thread's cost a gradient of 2^24 values on two threads of an EPYC with AVX-512 5 to 8 %.)
#[repr(C, align(2048))]
pub(crate) struct TileBuffers<const N: usize> {
    _half: [f32; TILE / 2],
    pub tiles: [[f32; TILE]; N],
}
const _: () = assert!(align_of::<TileBuffers<0>>() == size_of::<[f32; TILE]>());

impl<const N: usize> TileBuffers<N> {
    /// Buffers that hold 0.
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self { _half: [0.0; TILE / 2], tiles: [[0.0; TILE]; N] }
    }
}

/// A computed tile, as accumulators see it. Its arrays are whole; elements past the end of a tile that the end of the
/// batch cuts short are among the ignored ones.
pub(crate) struct Tile<'a> {
    /// The part that the tile is of.
    pub part: &'a Batch<'a>,
    /// The index of the first element in the part.
    pub start: usize,
    /// The number of elements.
    pub len: usize,
    /// The losses: 0 for an ignored element, NaN for an invalid one.
    pub losses: &'a [f32; TILE],
    /// The values that the losses were computed from.
    pub values: Values<'a>,
}

/// The values of a tile.
pub(crate) struct Values<'a> {
    /// The predictions, widened to f32; unspecified for an ignored element.
    pub predictions: &'a [f32; TILE],
    /// The weights, 0 for an ignored element. Absent where every element weighs 1.
    pub weights: Option<&'a [f32; TILE]>,
    /// The elements that are ignored.
    pub ignored: &'a Ignored,
    /// The number of elements that are not.
    pub counted: usize,
}

impl Tile<'_> {
    /// The class of the first element.
    pub(crate) fn class(&self) -> usize {
        self.part.class(self.start)
    }
}
