//! What weights, smoothing, the focal factor and another system's conventions make of an element, a vector at a
//! time. Twin of `shaders/weighted.wgsl`: the same functions and order of statements.

use fearless_simd::prelude::*;

use super::{
    element::{Element, Power, exp_neg, log_parts, neg_log},
    kernels::formula::Formula,
    lanes::{F32s, Mask},
};
use crate::loss_parameters::LossParameters;

/// An element, and what it weighs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weighted<S: Simd> {
    pub element: Element<S>,
    pub weight: F32s<S>,
}

/// What an element weighs in loss and mean, in the derivatives, and the weight of its positive term.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weight<S: Simd> {
    pub weight: F32s<S>,
    pub derivative_weight: F32s<S>,
    pub pos_weight: F32s<S>,
}

/// a·b, 0 where a is 0: no product of 0 and infinity.
#[inline(always)]
fn product<S: Simd>(simd: S, a: F32s<S>, b: F32s<S>) -> F32s<S> {
    a.simd_eq(simd, 0.0).select(0.0, a * b)
}

/// The target as the conventions take it: 1 above 0 and 0 below, where they say so. NaN stays, to be found invalid.
#[inline(always)]
pub(crate) fn label<S: Simd, const CONVENTIONS: bool>(
    simd: S,
    target: F32s<S>,
    parameters: &LossParameters,
) -> F32s<S> {
    if CONVENTIONS && parameters.conventions.binarize {
        let kept = target.simd_lt(simd, 0.0).select(0.0, target);
        return (-target).simd_lt(simd, 0.0).select(1.0, kept);
    }
    target
}

/// What an element with the label z and data weight v weighs, in a class of the given class weight and pos_weight.
#[inline(always)]
pub(crate) fn element_weight<S: Simd, const CONVENTIONS: bool>(
    simd: S,
    z: F32s<S>,
    v: F32s<S>,
    class_weight: F32s<S>,
    pos_weight: F32s<S>,
    parameters: &LossParameters,
) -> Weight<S> {
    let mut q = pos_weight;
    let unlabelled = v * class_weight;
    let [label_0, label_1] = parameters.label_weights;
    let mut w = unlabelled * ((-z + 1.0) * label_0 + z * label_1);
    let mut derivative_weight = w;
    if CONVENTIONS && parameters.conventions.weigh_positives {
        derivative_weight = z.simd_eq(simd, 1.0).select(derivative_weight * q, derivative_weight);
        q = F32s::splat(simd, 1.0);
    }
    if CONVENTIONS && parameters.conventions.unlabelled_loss {
        w = unlabelled;
    }
    Weight { weight: w, derivative_weight, pos_weight: q }
}

/// base^exponent for base in [0, 1] and exponent ≥ 0; 0^0 is 1.
///
/// Its error grows with its logarithm: exponent·|log(base)| times that of the logarithm.
#[inline(always)]
fn power<S: Simd>(simd: S, base: F32s<S>, exponent: f32) -> F32s<S> {
    let t = neg_log(log_parts(simd, base)) * exponent;
    let Power { scale, p } = exp_neg(simd, t.abs());
    base.simd_eq(simd, 0.0).select(if exponent == 0.0 { 1.0 } else { 0.0 }, p.mul_add(scale, scale))
}

/// The factor (1 − p_t)^γ on a loss and its derivatives, with p and r = 1 − p, for smoothed target z and n = 1 − z.
/// `flat`: where p_t is to be taken as constant.
#[inline(always)]
fn focal<S: Simd, const PROBABILITY: bool>(
    simd: S,
    plain: Element<S>,
    (p, r): (F32s<S>, F32s<S>),
    (n, z): (F32s<S>, F32s<S>),
    flat: Option<Mask<S>>,
    gamma: f32,
) -> Element<S> {
    let m = z * r + n * p;
    let m_zero = m.simd_eq(simd, 0.0);
    // Half of the factor: it is in the normal range where a quotient of the whole and m can be.
    let s = power(simd, m, 0.5 * gamma);
    // The derivative of m over p. Where m is 0 so is the factor; where the loss is infinite it is the plain
    // derivatives that grow without bound, or m's that vanish faster.
    let infinite = plain.loss.simd_eq(simd, f32::INFINITY);
    let mut c = m_zero.select(0.0, infinite.select(0.0, n - z));
    if let Some(flat) = flat {
        c = flat.select(0.0, c);
    }
    // With ' for the derivative: u = loss·m'/m, k = s·m'/m, v + 2·loss' = (what m' multiplies in the hessian)/(γ·m^γ).
    let (u, k, v);
    if PROBABILITY {
        u = product(simd, c, plain.loss / m);
        // (Finite, for a bracket of 0. The twin's m is not below the normal range.)
        k = product(simd, c, (s / m).min(f32::MAX));
        v = u * (gamma - 1.0);
    } else {
        let slope = product(simd, c, p * r / m);
        u = product(simd, slope, plain.loss);
        k = slope * s;
        v = (slope * (gamma - 1.0) + (r - p)) * plain.loss;
    }
    let gradient = s * (u * gamma + plain.gradient);
    // Where the plain hessian is infinite nothing outweighs it.
    let bend = product(simd, k, (v + plain.gradient * 2.0) * gamma);
    let bend = plain.hessian.simd_eq(simd, f32::INFINITY).select(0.0, bend);
    let mut hessian = product(simd, s, bend + s * plain.hessian);
    if PROBABILITY && gamma > 0.0 {
        // The limit where m is 0: γ·(γ + 1)·m^(γ - 1) times the weight of the term, whose hessian is that weight.
        let limit = if gamma < 1.0 {
            f32::INFINITY
        } else if gamma == 1.0 {
            2.0
        } else {
            0.0
        };
        hessian = m_zero.select(product(simd, plain.hessian, F32s::splat(simd, limit)), hessian);
    }
    Element { loss: product(simd, s, s * plain.loss), gradient: product(simd, s, gradient), hessian }
}

/// Loss, derivatives and weight of an element with prediction x and the given label, of data weight v, in a class of
/// the given class weight and pos_weight.
///
/// (The plain elements of target 0 and 1, which the twin is given, are the inlined function's own to leave out where
/// neither clips nor the focal factor are in use.)
#[inline(always)]
pub(crate) fn weighted_element<S: Simd, F: Formula, const FOCAL: bool, const CONVENTIONS: bool>(
    simd: S,
    x: F32s<S>,
    label: F32s<S>,
    v: F32s<S>,
    class_weight: F32s<S>,
    pos_weight: F32s<S>,
    parameters: &LossParameters,
) -> Weighted<S> {
    let (zero, one) = (F32s::splat(simd, 0.0), F32s::splat(simd, 1.0));
    let x = if CONVENTIONS && parameters.conventions.rounds { F::rounded(simd, x) } else { x };
    let Weight { weight: w, mut derivative_weight, pos_weight: q } =
        element_weight::<S, CONVENTIONS>(simd, label, v, class_weight, pos_weight, parameters);
    // Smoothed, z and 1 − z each on its own: what 1 − z would lose is most of a small a/2.
    let (keep, half) = (1.0 - parameters.smoothing, 0.5 * parameters.smoothing);
    let n = (-label + 1.0) * keep + half;
    let z = label * keep + half;
    let mut total = w;
    if FOCAL {
        let alpha = n * parameters.alpha[0] + z * parameters.alpha[1];
        total = w * alpha;
        derivative_weight = derivative_weight * alpha;
    }
    // An element of weight 0 is 0, whatever its loss would be.
    let weightless = total.simd_eq(simd, 0.0);
    let a = weightless.select(0.0, n);
    let b = weightless.select(0.0, q * z);
    let negative = F::element(simd, x, one, zero);
    let positive = F::element(simd, x, zero, one);
    let mut flat = None;
    let mut element = F::element(simd, x, a, b);
    if CONVENTIONS {
        let conventions = &parameters.conventions;
        let [[low_0, high_0], [low_1, high_1]] = [conventions.negative_term, conventions.positive_term];
        element.loss = product(simd, a, negative.loss.max(low_0).min(high_0))
            + product(simd, b, positive.loss.max(low_1).min(high_1));
        if conventions.clipped_is_flat {
            // At each end the term that is small there tells: it resolves every prediction, the other one does not.
            let below = negative.loss.simd_lt(simd, low_0).select(1.0, zero);
            let outside = positive.loss.simd_lt(simd, low_1).select(1.0, below).simd_ne(simd, 0.0);
            element.gradient = outside.select(0.0, element.gradient);
            element.hessian = outside.select(0.0, element.hessian);
            flat = Some(outside);
        }
        if F::PROBABILITY {
            let (p, r) = F::chances(simd, x);
            let floored = (p * r).simd_lt(simd, conventions.denominator);
            let (over_r, over_p) = (p * (1.0 / conventions.denominator), r * (1.0 / conventions.denominator));
            let gradient = a * over_r - b * over_p;
            let hessian = (a * over_r) * over_r + (b * over_p) * over_p;
            element.gradient = floored.select(gradient, element.gradient);
            element.hessian = floored.select(hessian, element.hessian);
        } else {
            element.hessian = element.hessian.max((a + b) * conventions.hessian);
        }
    }
    if FOCAL {
        let chances = if F::PROBABILITY { F::chances(simd, x) } else { (negative.gradient, -positive.gradient) };
        element = if F::PROBABILITY {
            focal::<S, true>(simd, element, chances, (n, z), flat, parameters.gamma)
        } else {
            focal::<S, false>(simd, element, chances, (n, z), flat, parameters.gamma)
        };
    }
    element.loss = total * element.loss;
    if CONVENTIONS {
        // The derivatives may weigh nothing where the loss does, and be infinite.
        element.gradient = product(simd, derivative_weight, element.gradient);
        element.hessian = product(simd, derivative_weight, element.hessian);
    } else {
        element.gradient = derivative_weight * element.gradient;
        element.hessian = derivative_weight * element.hessian;
    }
    Weighted { element, weight: w }
}
