//! The loss of one element and its derivatives, a vector at a time. Twin of `shaders/element.wgsl`: the same
//! functions, constants and order of statements. Where the two must differ, a comment in both says why.
//!
//! `mul_add` may be fused or not; `mul_add_precise` rounds once, on an instruction set without it by emulation.

use fearless_simd::prelude::*;

use super::lanes::{F32s, U32s};

/// Loss, gradient and hessian of one element in each lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<S: Simd> {
    /// The loss, ≥ 0.
    pub loss: F32s<S>,
    /// Its derivative with respect to the prediction.
    pub gradient: F32s<S>,
    /// Its second derivative.
    pub hessian: F32s<S>,
}

/// exp(-t) = scale·(1 + p), scale = 2^-n; 0 where exp(-t) is below the normal range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Power<S: Simd> {
    pub scale: F32s<S>,
    pub p: F32s<S>,
}

/// From here on exp(-t) is 0: n is 127, for which `scale` has the bits of 0.
const T_MAX: f32 = 88.25;
const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 in two parts: the first has nine bits, so that its product with an exponent is exact.
const LN2_HI: f32 = 355.0 / 512.0;
const LN2_LO: f32 = -2.121_944_4e-4;

/// (exp(r) - 1 - r)/r², |r| ≤ ln(2)/2: minimax, 2^-28.2 relative to exp(r).
const EXP_0: f32 = 0.499_999_94;
const EXP_1: f32 = 0.166_665_17;
const EXP_2: f32 = 0.041_668_102;
const EXP_3: f32 = 0.008_369_192_5;
const EXP_4: f32 = 0.001_383_881_2;

/// (f - log1p(f))/f², f in [-331/1024, 362/1024]: minimax, 2^-27.6 relative to log1p(f).
const LOG_0: f32 = 0.5;
const LOG_1: f32 = -0.333_332_27;
const LOG_2: f32 = 0.250_002_03;
const LOG_3: f32 = -0.200_096_86;
const LOG_4: f32 = 0.166_595_85;
const LOG_5: f32 = -0.140_197_99;
const LOG_6: f32 = 0.125_080_32;
const LOG_7: f32 = -0.139_028_56;
const LOG_8: f32 = 0.113_402_79;

/// 2·(atanh(s) - s)/s³ in powers of s², s in [0, 1/3]: minimax, 2^-27.5 relative to 2·atanh(s).
const ATANH_0: f32 = 2.0 * 0.333_332_1;
const ATANH_1: f32 = 2.0 * 0.200_107_63;
const ATANH_2: f32 = 2.0 * 0.140_009_02;
const ATANH_3: f32 = 2.0 * 0.140_059_96;

/// Mantissas are taken from [693/1024, 693/512), so that f = mantissa - 1 lies where `log1p_tail` holds.
const MANTISSA_MIN: i32 = 0x3f2d_4000;
/// 1 - 693/1024.
const SMALL_MAX: f32 = 331.0 / 1024.0;

const TWO_POW_23_AND_HALF: f32 = 12_582_912.0;
const TWO_POW_23: f32 = 8_388_608.0;
const TWO_POW_24: f32 = 16_777_216.0;

/// exp(-t) for t ≥ 0.
///
/// The twin reduces t in integers, since a compiler that may reassociate folds this reduction away. Here
/// rounding is ours: n·LN2_HI - t is exact.
#[inline(always)]
pub(crate) fn exp_neg<S: Simd>(simd: S, t: F32s<S>) -> Power<S> {
    let t = t.min(T_MAX);
    // Adding 1.5·2^23 leaves n, rounded to nearest, in the low bits.
    let shifted = t.mul_add(LOG2_E, TWO_POW_23_AND_HALF);
    let n = shifted - TWO_POW_23_AND_HALF;
    let scale = (U32s::splat(simd, 0x3f80_0000) - (shifted.bitcast_u32() << 23)).bitcast_f32();
    let r_hi = n.mul_add(LN2_HI, -t);
    let r_lo = n * LN2_LO;
    let r = r_hi + r_lo;
    let r2 = r * r;
    let q01 = r.mul_add(EXP_1, EXP_0);
    let q23 = r.mul_add(EXP_3, EXP_2);
    let q24 = r2.mul_add(EXP_4, q23);
    let q = r2.mul_add(q24, q01);
    Power { scale, p: r_hi + r2.mul_add(q, r_lo) }
}

/// log1p(f) - f + lo for f in [-331/1024, 362/1024].
#[inline(always)]
fn log1p_tail<S: Simd>(f: F32s<S>, lo: F32s<S>) -> F32s<S> {
    let f2 = f * f;
    let q01 = f.mul_add(LOG_1, LOG_0);
    let q23 = f.mul_add(LOG_3, LOG_2);
    let q45 = f.mul_add(LOG_5, LOG_4);
    let q67 = f.mul_add(LOG_7, LOG_6);
    let q47 = f2.mul_add(q67, q45);
    let f4 = f2 * f2;
    let q03 = f2.mul_add(q23, q01);
    let q48 = f4.mul_add(LOG_8, q47);
    let q = f4.mul_add(q48, q03);
    (-f2).mul_add(q, lo)
}

/// exp(-t), rounded.
#[inline(always)]
pub(crate) fn exp_neg_rounded<S: Simd>(simd: S, t: F32s<S>) -> F32s<S> {
    let Power { scale, p } = exp_neg(simd, t);
    p.mul_add(scale, scale)
}

/// log1p(e) for e in [0, 1]: the sum of two terms, the second at most 1/20 of the first, so that a caller which adds
/// more rounds one sum less.
///
/// It is 2·atanh(s), s = e/(2 + e) ≤ 1/3, an odd and quickly converging series. What the quotient and its divisor lost
/// to rounding, rest·2/(2 + e) = rest·(1 - s), goes with the second term. (The twin, whose division may be 2.5 ULP off,
/// has no such quotient: there it is k·ln(2) + log1p(f).)
#[inline(always)]
pub(crate) fn log1p_unit<S: Simd>(e: F32s<S>) -> [F32s<S>; 2] {
    let s = e / (e + 2.0);
    let two_s = s + s;
    // e - s·(2 + e), rounded once: e - 2s is exact, for 2s lies in [2e/3, e].
    let rest = (-s).mul_add_precise(e, e - two_s);
    let s2 = s * s;
    let q = s2.mul_add(s2.mul_add(s2.mul_add(ATANH_3, ATANH_2), ATANH_1), ATANH_0);
    [two_s, s.mul_add(s2.mul_add(q, -rest), rest)]
}

/// σ(-t) = e/(1 + e), as e - e·q with q that quotient: what q and its divisor lost to rounding counts e-fold.
///
/// (The twin mends 1/(1 + e) with an integer remainder, for its division may be 2.5 ULP off, and where the adapter has no
/// fused multiply-add the product would be rounded as well.)
#[inline(always)]
pub(crate) fn sigma_neg<S: Simd>(e: F32s<S>) -> F32s<S> {
    let q = e / (e + 1.0);
    (-q).mul_add_precise(e, e)
}

/// σ(t)·σ(-t), given σ(-t).
#[inline(always)]
pub(crate) fn sigma_product<S: Simd>(sigma_neg: F32s<S>) -> F32s<S> {
    (-sigma_neg).mul_add(sigma_neg, sigma_neg)
}

/// The slope of max(x, 0) - x·z, the loss but for log1p(exp(-|x|)): 1 - z or -z.
#[inline(always)]
pub(crate) fn hinge_slope<S: Simd>(simd: S, x: F32s<S>, z: F32s<S>) -> F32s<S> {
    let right_of_zero = F32s::splat(simd, 0.5).copysign(x) + 0.5;
    right_of_zero - z
}

/// Loss and derivatives for the logit x; a weighs softplus(x), b weighs softplus(-x). Where a is 1 - b, rounded,
/// they are the bits of the plain loss of target b.
#[inline(always)]
pub(crate) fn logit_element<S: Simd>(simd: S, x: F32s<S>, a: F32s<S>, b: F32s<S>) -> Element<S> {
    let one = F32s::splat(simd, 1.0);
    let e = exp_neg_rounded(simd, x.abs());
    let ab = a + b;
    let [log_e, log_lo] = log1p_unit(e);

    // As `hinge_slope`, with these weights.
    let slope = one.copysign(x).simd_lt(simd, 0.0).select(-b, a);
    // No product of infinity and 0.
    let linear = slope.simd_ne(simd, 0.0).select(x, 0.0);
    let loss = ab.mul_add(log_e, linear.mul_add(slope, ab * log_lo));

    let sigma_neg = sigma_neg(e);
    let gradient = (-ab).mul_add(sigma_neg.copysign(x), slope);
    Element { loss, gradient, hessian: ab * sigma_product(sigma_neg) }
}

/// log(v) = k·ln(2) + log1p(f).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<S: Simd> {
    k: F32s<S>,
    f: F32s<S>,
}

/// The parts of log(v) for v > 0. The bits of a subnormal are its multiple of 2^-149.
#[inline(always)]
pub(crate) fn log_parts<S: Simd>(simd: S, v: F32s<S>) -> Parts<S> {
    let subnormal = v.simd_lt(simd, f32::MIN_POSITIVE);
    let bits = subnormal.select(v.bitcast_i32().to_float(), v).bitcast_i32();
    let k = (bits - MANTISSA_MIN) >> 23;
    let f = (bits - (k << 23)).bitcast_f32() - 1.0;
    let k = k.to_float();
    Parts { k: subnormal.select(k - 149.0, k), f }
}

/// -(k·ln(2) + log1p(f)).
#[inline(always)]
pub(crate) fn neg_log<S: Simd>(parts: Parts<S>) -> F32s<S> {
    let Parts { k, f } = parts;
    -k.mul_add(LN2_HI, f + log1p_tail(f, k * LN2_LO))
}

/// Loss and derivatives for the probability p; a weighs -log(1 - p), b weighs -log(p).
#[inline(always)]
pub(crate) fn probability_element<S: Simd>(simd: S, p: F32s<S>, a: F32s<S>, b: F32s<S>) -> Element<S> {
    // -0 is 0.
    let p = p.abs();
    let log_p = p.simd_eq(simd, 0.0).select(f32::INFINITY, neg_log(log_parts(simd, p)));
    element_of_log(simd, p, log_p, a, b)
}

/// Loss and derivatives for the probability that `word` stands for as its [distance](crate::end_distance) from the nearer
/// end of [0, 1]; a weighs -log(1 - p), b weighs -log(p).
#[inline(always)]
pub(crate) fn end_distance_element<S: Simd>(simd: S, word: F32s<S>, a: F32s<S>, b: F32s<S>) -> Element<S> {
    let from_one = F32s::splat(simd, 1.0).copysign(word).simd_lt(simd, 0.0);
    let magnitude = word.abs();
    // -log(q) takes the place of a distance that is too small for f32.
    let is_log = (-magnitude).simd_lt(simd, -0.5);
    let q = is_log.select(0.0, magnitude);
    let log_q = q.simd_eq(simd, 0.0).select(f32::INFINITY, neg_log(log_parts(simd, q)));
    let log_q = is_log.select(magnitude, log_q);
    let mut element = element_of_log(simd, q, log_q, from_one.select(b, a), from_one.select(a, b));
    element.gradient = from_one.select(-element.gradient, element.gradient);
    element
}

/// The probability that `word` stands for, and 1 minus it.
#[inline(always)]
pub(crate) fn end_distance_chances<S: Simd>(simd: S, word: F32s<S>) -> (F32s<S>, F32s<S>) {
    let from_one = F32s::splat(simd, 1.0).copysign(word).simd_lt(simd, 0.0);
    let magnitude = word.abs();
    let q = (-magnitude).simd_lt(simd, -0.5).select(0.0, magnitude);
    let rest = -q + 1.0;
    (from_one.select(rest, q), from_one.select(q, rest))
}

/// The word of the probability that `word` stands for after that is rounded to f32.
///
/// In [1/2, 1] f32 has the multiples of 2^-24; below, a distance is rounded already.
#[inline(always)]
pub(crate) fn end_distance_rounded<S: Simd>(simd: S, word: F32s<S>) -> F32s<S> {
    let from_one = F32s::splat(simd, 1.0).copysign(word).simd_lt(simd, 0.0);
    // Adding 2^23 to at most as much rounds to a whole number.
    let rounded = (word.abs() * TWO_POW_24 + TWO_POW_23 - TWO_POW_23) * (1.0 / TWO_POW_24);
    from_one.select(-rounded, word)
}

/// Loss and derivatives for the probability p, given -log(p); a weighs -log(1 - p), b weighs -log(p).
#[inline(always)]
fn element_of_log<S: Simd>(simd: S, p: F32s<S>, log_p: F32s<S>, a: F32s<S>, b: F32s<S>) -> Element<S> {
    let s = -p + 1.0;
    // A term whose weight is 0 is 0: no product of infinity and 0.
    let a_zero = a.simd_eq(simd, 0.0);
    let b_zero = b.simd_eq(simd, 0.0);

    let log_p = b_zero.select(0.0, log_p);

    // -log(1 - p): where 1 - p would be rounded, from p itself.
    let parts = log_parts(simd, s);
    let below_half = p.simd_lt(simd, 0.5);
    let small = p.simd_le(simd, SMALL_MAX);
    let k = small.select(0.0, below_half.select(-1.0, parts.k));
    let f = small.select(-p, below_half.select((-p).mul_add(2.0, 1.0), parts.f));
    let log_s = s.simd_eq(simd, 0.0).select(f32::INFINITY, neg_log(Parts { k, f }));
    let log_s = a_zero.select(0.0, log_s);
    let loss = a.mul_add(log_s, b * log_p);

    // What 1 - p lost is put back into its square. p is divided by twice: p² may be below the normal range.
    // (The twin multiplies by reciprocals mended in integers: its division may be 2.5 ULP off.)
    let s_lo = -((s - 1.0) + p);
    let s2 = s.mul_add(s, (s + s) * s_lo);
    let a_s = a_zero.select(0.0, a / s);
    let b_p = b_zero.select(0.0, b / p);
    let gradient = a_s - b_p;
    let hessian = a_zero.select(0.0, a / s2) + b_zero.select(0.0, b_p / p);
    Element { loss, gradient, hessian }
}
