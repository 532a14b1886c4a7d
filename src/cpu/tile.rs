//! One tile of values: decoded, computed on, summed. All of it stays in the first-level cache.

use fearless_simd::prelude::*;

use super::{
    element::{
        Element, exp_neg_rounded, hinge_slope, log1p_unit, logit_element, probability_element, sigma_neg, sigma_product,
    },
    lanes::{F32s, K, U32s},
    memory::ask_ahead,
};
use crate::partials::BLOCK;

/// Values a tile.
pub(crate) const TILE: usize = 512;
const _: () = assert!(BLOCK.is_multiple_of(TILE) && TILE.is_multiple_of(LANES * ROWS));

/// Lanes and rows of the tree that sums are taken over. They are wider than most vectors are, so that the sum does
/// not depend on the vector's width.
pub(crate) const LANES: usize = 16;
const ROWS: usize = 8;

/// The values of a tile, and where its outputs go. An output that is not wanted is not written.
pub(crate) struct Tile<'a> {
    pub x: &'a [f32; TILE],
    pub z: &'a [f32; TILE],
    pub loss: &'a mut [f32; TILE],
    pub gradient: &'a mut [f32; TILE],
    pub hessian: &'a mut [f32; TILE],
    /// Room for what is computed in between.
    pub e: &'a mut [f32; TILE],
}

/// What is computed from a prediction: one implementation for each [`Form`].
pub(crate) trait Formula {
    /// Whether it is the formula of probabilities.
    const PROBABILITY: bool;

    /// The largest bits of a valid prediction, as [`Formula::magnitude`] gives them.
    const MAX_BITS: u32;

    /// Loss and derivatives at prediction `x`; `a` weighs the negative class, `b` the positive one.
    fn element<S: Simd>(simd: S, x: F32s<S>, a: F32s<S>, b: F32s<S>) -> Element<S>;

    /// The bits that tell whether a prediction is valid.
    fn magnitude<S: Simd>(x: F32s<S>) -> U32s<S>;

    /// Computes a tile of the plain loss, asking for those ahead if they are beyond the cache. Returns whether any of
    /// its values may be invalid, or need a closer look; the outputs of those that are mean nothing yet.
    ///
    /// Read as an integer, every f32 outside [0, 1] is above 1, NaN and the negative ones included; so is -0, which
    /// the caller's closer look finds valid.
    fn compute<S: Simd, const BEYOND_CACHE: bool, const GRADIENT: bool, const HESSIAN: bool>(
        simd: S,
        tile: &mut Tile<'_>,
        coefficient: f32,
    ) -> bool;
}

/// Formula of [`Form::Logits`](crate::Form::Logits).
pub(crate) struct Logits;

impl Formula for Logits {
    const PROBABILITY: bool = false;
    const MAX_BITS: u32 = f32::INFINITY.to_bits();

    #[inline(always)]
    fn element<S: Simd>(simd: S, x: F32s<S>, a: F32s<S>, b: F32s<S>) -> Element<S> {
        logit_element(simd, x, a, b)
    }

    #[inline(always)]
    fn magnitude<S: Simd>(x: F32s<S>) -> U32s<S> {
        x.abs().bitcast_u32()
    }

    /// In two passes over the tile: one element is a long chain of operations that wait for each other, and a processor
    /// does not look far enough ahead to fill its pipes from several of them, unless they are cut into pieces.
    ///
    /// An infinite logit whose term has no weight needs a closer look: its loss is NaN here, and should be 0.
    #[inline(always)]
    fn compute<S: Simd, const BEYOND_CACHE: bool, const GRADIENT: bool, const HESSIAN: bool>(
        simd: S,
        tile: &mut Tile<'_>,
        coefficient: f32,
    ) -> bool {
        let width = K * S::f32s::LEN;
        let mut x_max = S::u32s::splat(simd, 0);
        for i in (0..TILE).step_by(width) {
            let t = F32s::load(simd, &tile.x[i..i + width]).abs();
            x_max = t.bitcast_u32().max_into(x_max);
            exp_neg_rounded(simd, t).store(&mut tile.e[i..i + width]);
            if BEYOND_CACHE {
                ask_ahead(&tile.x[i..i + width]);
            }
        }
        let mut z_max = S::u32s::splat(simd, 0);
        for i in (0..TILE).step_by(width) {
            let x = F32s::load(simd, &tile.x[i..i + width]);
            let z = F32s::load(simd, &tile.z[i..i + width]);
            let e = F32s::load(simd, &tile.e[i..i + width]);
            if BEYOND_CACHE {
                ask_ahead(&tile.z[i..i + width]);
            }
            z_max = z.bitcast_u32().max_into(z_max);
            let slope = hinge_slope(simd, x, z);
            let [log_e, log_lo] = log1p_unit(e);
            (log_e + x.mul_add(slope, log_lo)).store(&mut tile.loss[i..i + width]);
            if GRADIENT || HESSIAN {
                let sigma_neg = sigma_neg(e);
                if GRADIENT {
                    ((slope - sigma_neg.copysign(x)) * coefficient).store(&mut tile.gradient[i..i + width]);
                }
                if HESSIAN {
                    (sigma_product(sigma_neg) * coefficient).store(&mut tile.hessian[i..i + width]);
                }
            }
        }
        x_max.reduce_max() >= Self::MAX_BITS || z_max.reduce_max() > ONE_BITS
    }
}

/// Formula of [`Form::Probabilities`](crate::Form::Probabilities).
pub(crate) struct Probabilities;

impl Formula for Probabilities {
    const PROBABILITY: bool = true;
    const MAX_BITS: u32 = ONE_BITS;

    #[inline(always)]
    fn element<S: Simd>(simd: S, x: F32s<S>, a: F32s<S>, b: F32s<S>) -> Element<S> {
        probability_element(simd, x, a, b)
    }

    #[inline(always)]
    fn magnitude<S: Simd>(x: F32s<S>) -> U32s<S> {
        x.bitcast_u32()
    }

    #[inline(always)]
    fn compute<S: Simd, const BEYOND_CACHE: bool, const GRADIENT: bool, const HESSIAN: bool>(
        simd: S,
        tile: &mut Tile<'_>,
        coefficient: f32,
    ) -> bool {
        let width = K * S::f32s::LEN;
        let mut x_max = S::u32s::splat(simd, 0);
        let mut z_max = S::u32s::splat(simd, 0);
        for i in (0..TILE).step_by(width) {
            let x = F32s::load(simd, &tile.x[i..i + width]);
            let z = F32s::load(simd, &tile.z[i..i + width]);
            if BEYOND_CACHE {
                ask_ahead(&tile.x[i..i + width]);
                ask_ahead(&tile.z[i..i + width]);
            }
            x_max = Self::magnitude(x).max_into(x_max);
            z_max = z.bitcast_u32().max_into(z_max);
            let element = probability_element(simd, x, -z + 1.0, z);
            element.loss.store(&mut tile.loss[i..i + width]);
            if GRADIENT {
                (element.gradient * coefficient).store(&mut tile.gradient[i..i + width]);
            }
            if HESSIAN {
                (element.hessian * coefficient).store(&mut tile.hessian[i..i + width]);
            }
        }
        x_max.reduce_max() > Self::MAX_BITS || z_max.reduce_max() > ONE_BITS
    }
}

/// The bits of 1.
pub(crate) const ONE_BITS: u32 = 1.0f32.to_bits();

/// Adds the losses of a tile to `lanes`. In each lane, rows are added by eights in f32, as a tree (so that equal
/// losses add exactly), then in f64.
#[inline(always)]
pub(crate) fn add_losses<S: Simd>(simd: S, loss: &[f32; TILE], lanes: &mut [f64; LANES]) {
    let width = S::f32s::LEN;
    for first in (0..LANES).step_by(width) {
        let (low, high) = lanes[first..first + width].split_at_mut(S::f64s::LEN);
        let (mut sum_low, mut sum_high) = (S::f64s::from_slice(simd, low), S::f64s::from_slice(simd, high));
        for rows in loss.chunks_exact(LANES * ROWS) {
            let (half_0, half_1) = rows.split_at(4 * LANES);
            let (low, high) = (four_rows(simd, half_0, first) + four_rows(simd, half_1, first)).widen();
            sum_low += low;
            sum_high += high;
        }
        sum_low.store_slice(low);
        sum_high.store_slice(high);
    }
}

/// The sum of four rows, in the lanes from `first` on.
#[inline(always)]
fn four_rows<S: Simd>(simd: S, rows: &[f32], first: usize) -> S::f32s {
    let width = S::f32s::LEN;
    let row_0 = S::f32s::from_slice(simd, &rows[first..first + width]);
    let row_1 = S::f32s::from_slice(simd, &rows[LANES + first..LANES + first + width]);
    let row_2 = S::f32s::from_slice(simd, &rows[2 * LANES + first..2 * LANES + first + width]);
    let row_3 = S::f32s::from_slice(simd, &rows[3 * LANES + first..3 * LANES + first + width]);
    (row_0 + row_1) + (row_2 + row_3)
}

/// The sum over the lanes, as a tree.
pub(crate) fn sum_lanes(lanes: &[f64; LANES]) -> f64 {
    let mut sums = *lanes;
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            sums[i] += sums[i + half];
        }
        half /= 2;
    }
    sums[0]
}
