//! The formulas of the encodings of predictions, and the plain loss of a tile by each.

use fearless_simd::prelude::*;

use super::Results;
use crate::cpu::{
    element::{
        Element, end_distance_chances, end_distance_element, end_distance_rounded, exp_neg_rounded, hinge_slope,
        log1p_unit, logit_element, probability_element, sigma_neg, sigma_product,
    },
    lanes::{F32s, K, U32s},
    streaming::prefetch,
    tile::TILE,
};
use crate::end_distance::VALID_MAX_BITS;

/// What is computed from a prediction: one implementation for each [`Encoding`](crate::prediction_kind::Encoding).
pub(crate) trait Formula {
    /// Whether the predictions are probabilities.
    const PROBABILITY: bool;

    /// The largest bits of a valid prediction, as [`Formula::magnitude`] gives them.
    const MAX_BITS: u32;

    /// Loss and derivatives at prediction `x`; `a` weighs the negative class, `b` the positive one.
    fn element<S: Simd>(simd: S, x: F32s<S>, a: F32s<S>, b: F32s<S>) -> Element<S>;

    /// The bits that tell whether a prediction is valid.
    fn magnitude<S: Simd>(x: F32s<S>) -> U32s<S>;
    /// The prediction rounded to f32, which is all that some systems have.
    #[inline(always)]
    fn rounded<S: Simd>(_: S, x: F32s<S>) -> F32s<S> {
        x
    }
    /// p and 1 − p, if the predictions are probabilities.
    fn chances<S: Simd>(simd: S, x: F32s<S>) -> (F32s<S>, F32s<S>);

    /// Computes the plain loss of a tile, and prefetches the tiles ahead if the part exceeds the cache. Returns whether
    /// any of its elements may be invalid or need a recheck; the results of those are unspecified until then.
    /// `scratch` holds intermediate values, of formulas that take two passes; this one takes one.
    ///
    /// Read as an integer, every f32 outside [0, 1] is above 1, NaN and the negative ones included; so is -0, which
    /// the recheck finds valid.
    #[inline(always)]
    fn compute<S: Simd, const EXCEEDS_CACHE: bool, const GRADIENT: bool, const HESSIAN: bool>(
        simd: S,
        predictions: &[f32; TILE],
        targets: &[f32; TILE],
        scratch: &mut [f32; TILE],
        results: &mut Results<'_>,
        coefficient: f32,
    ) -> bool {
        let _ = scratch;
        let width = K * S::f32s::LEN;
        let mut x_max = S::u32s::splat(simd, 0);
        let mut z_max = S::u32s::splat(simd, 0);
        for i in (0..TILE).step_by(width) {
            let x = F32s::load(simd, &predictions[i..i + width]);
            let z = F32s::load(simd, &targets[i..i + width]);
            if EXCEEDS_CACHE {
                prefetch(&predictions[i..i + width]);
                prefetch(&targets[i..i + width]);
            }
            x_max = Self::magnitude(x).max_into(x_max);
            z_max = z.bitcast_u32().max_into(z_max);
            let element = Self::element(simd, x, -z + 1.0, z);
            element.loss.store(&mut results.loss[i..i + width]);
            if GRADIENT {
                (element.gradient * coefficient).store(&mut results.gradient[i..i + width]);
            }
            if HESSIAN {
                (element.hessian * coefficient).store(&mut results.hessian[i..i + width]);
            }
        }
        x_max.reduce_max() > Self::MAX_BITS || z_max.reduce_max() > ONE_BITS
    }
}

/// The formula of logits.
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

    #[inline(always)]
    fn chances<S: Simd>(_: S, x: F32s<S>) -> (F32s<S>, F32s<S>) {
        (x, x)
    }

    /// In two passes over the tile: one element is a long chain of operations that wait for each other, and a processor
    /// does not look far enough ahead to fill its pipes from several of them, unless they are cut into pieces.
    ///
    /// An infinite logit whose term has weight 0 needs a recheck: its loss is NaN here, and should be 0.
    #[inline(always)]
    fn compute<S: Simd, const EXCEEDS_CACHE: bool, const GRADIENT: bool, const HESSIAN: bool>(
        simd: S,
        predictions: &[f32; TILE],
        targets: &[f32; TILE],
        scratch: &mut [f32; TILE],
        results: &mut Results<'_>,
        coefficient: f32,
    ) -> bool {
        let width = K * S::f32s::LEN;
        let mut x_max = S::u32s::splat(simd, 0);
        for i in (0..TILE).step_by(width) {
            let t = F32s::load(simd, &predictions[i..i + width]).abs();
            x_max = t.bitcast_u32().max_into(x_max);
            exp_neg_rounded(simd, t).store(&mut scratch[i..i + width]);
            if EXCEEDS_CACHE {
                prefetch(&predictions[i..i + width]);
            }
        }
        let mut z_max = S::u32s::splat(simd, 0);
        for i in (0..TILE).step_by(width) {
            let x = F32s::load(simd, &predictions[i..i + width]);
            let z = F32s::load(simd, &targets[i..i + width]);
            let e = F32s::load(simd, &scratch[i..i + width]);
            if EXCEEDS_CACHE {
                prefetch(&targets[i..i + width]);
            }
            z_max = z.bitcast_u32().max_into(z_max);
            let slope = hinge_slope(simd, x, z);
            let [log_e, log_lo] = log1p_unit(e);
            (log_e + x.mul_add(slope, log_lo)).store(&mut results.loss[i..i + width]);
            if GRADIENT || HESSIAN {
                let sigma_neg = sigma_neg(e);
                if GRADIENT {
                    ((slope - sigma_neg.copysign(x)) * coefficient).store(&mut results.gradient[i..i + width]);
                }
                if HESSIAN {
                    (sigma_product(sigma_neg) * coefficient).store(&mut results.hessian[i..i + width]);
                }
            }
        }
        x_max.reduce_max() >= Self::MAX_BITS || z_max.reduce_max() > ONE_BITS
    }
}

/// The formula of probabilities.
pub(crate) struct Probabilities;

/// The formula of probabilities as [distances](crate::end_distance) from the nearer end of [0, 1].
pub(crate) struct EndDistances;

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
    fn chances<S: Simd>(_: S, x: F32s<S>) -> (F32s<S>, F32s<S>) {
        (x.abs(), -x.abs() + 1.0)
    }
}

impl Formula for EndDistances {
    const PROBABILITY: bool = true;
    const MAX_BITS: u32 = VALID_MAX_BITS;

    #[inline(always)]
    fn element<S: Simd>(simd: S, x: F32s<S>, a: F32s<S>, b: F32s<S>) -> Element<S> {
        end_distance_element(simd, x, a, b)
    }

    #[inline(always)]
    fn magnitude<S: Simd>(x: F32s<S>) -> U32s<S> {
        x.abs().bitcast_u32()
    }

    #[inline(always)]
    fn rounded<S: Simd>(simd: S, x: F32s<S>) -> F32s<S> {
        end_distance_rounded(simd, x)
    }

    #[inline(always)]
    fn chances<S: Simd>(simd: S, x: F32s<S>) -> (F32s<S>, F32s<S>) {
        end_distance_chances(simd, x)
    }
}

/// The bits of 1.
pub(crate) const ONE_BITS: u32 = 1.0f32.to_bits();
