//! The elements of a tile that a mask or an ignored label excludes.

use fearless_simd::prelude::*;

use super::tile::TILE;
use crate::{Batch, Ignore};

/// The number of words with a bit for each element of a tile.
pub(crate) const WORDS: usize = TILE / 64;

/// The ignored elements of a tile: a bit each, the lowest first. Those past the end of the tile are among them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ignored(pub [u64; WORDS]);

impl Ignored {
    /// No element of a whole tile.
    pub(crate) const NONE: Self = Self([0; WORDS]);

    /// The elements past the end of a tile of `len`.
    #[inline(always)]
    pub(crate) fn past_end(len: usize) -> Self {
        let mut words = [0; WORDS];
        for (i, word) in words.iter_mut().enumerate() {
            let used = len.saturating_sub(64 * i);
            *word = if used < 64 { u64::MAX << used } else { 0 };
        }
        Self(words)
    }

    /// The ignored ones of the `len` elements from `start` on, whose targets are `z`.
    #[inline(always)]
    pub(crate) fn find<S: Simd>(
        simd: S,
        part: &Batch<'_>,
        ignore: Option<Ignore>,
        start: usize,
        len: usize,
        z: &[f32; TILE],
    ) -> Self {
        let mut words = [0; WORDS];
        if let Some(mask) = part.mask() {
            let mask = &mask[start / 8..(start + len).div_ceil(8)];
            for (word, bytes) in words.iter_mut().zip(mask.chunks(8)) {
                let mut eight = [0; 8];
                eight[..bytes.len()].copy_from_slice(bytes);
                *word = !u64::from_le_bytes(eight);
            }
        }
        if let Some(ignore) = ignore {
            let width = S::f32s::LEN;
            for i in (0..TILE).step_by(width) {
                let z = S::f32s::from_slice(simd, &z[i..i + width]);
                let bits = match ignore {
                    Ignore::Label(label) => z.simd_eq(label as f32).to_bitmask(),
                    // NaN alone differs from itself.
                    Ignore::Nan => !z.simd_eq(z).to_bitmask() & ((1 << width) - 1),
                };
                words[i / 64] |= bits << (i % 64);
            }
        }
        for (word, past_end) in words.iter_mut().zip(Self::past_end(len).0) {
            *word |= past_end;
        }
        Self(words)
    }

    /// Whether element `i` of the tile is ignored.
    pub(crate) fn contains(&self, i: usize) -> bool {
        self.0[i / 64] >> (i % 64) & 1 != 0
    }

    /// The number of ignored elements.
    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }
}
