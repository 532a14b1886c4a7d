// Applies weights, smoothing, the focal factor and another library's conventions to an element. Twin of
// src/cpu/weighted.rs: the same functions and order of statements.
//
// Follows element.wgsl, whose functions it calls.

// The features in use; code for the others is not compiled.
override FOCAL: bool = false;
override CONVENTIONS: bool = false;

// The numbers of `LossParameters` in src/loss_parameters.rs, in its order.
struct LossParameters {
    // w0 and w1: the weights of the two labels.
    label_weights: vec2<f32>,
    // α_t of a negative and of a positive.
    alpha: vec2<f32>,
    smoothing: f32,
    gamma: f32,
    // −log(1 − p) and −log p are kept between these.
    negative_term: vec2<f32>,
    positive_term: vec2<f32>,
    // p·(1 − p) in the derivatives with respect to a probability is at least this.
    denominator: f32,
    // σ(x)·σ(−x) in the hessian is at least this.
    hessian: f32,
    // Which of the flags below are set.
    flags: u32,
}

// The derivatives are 0 where a term is clipped.
const CLIPPED_IS_FLAT: u32 = 1u;
// Targets above 0 become 1, all others 0.
const BINARIZE: u32 = 2u;
// pos_weight weighs the derivatives of elements whose target is 1, and not the loss.
const WEIGH_POSITIVES: u32 = 4u;
// The weights of labels weigh the derivatives, and not the loss.
const UNLABELLED_LOSS: u32 = 8u;
// Probabilities given in f64 are rounded to f32 first.
const ROUNDS: u32 = 16u;

// An element, and what it weighs.
struct Weighted {
    element: Element,
    weight: f32,
}

// a·b, 0 where a is 0: no product of 0 and infinity.
fn product(a: f32, b: f32) -> f32 {
    return select(a * b, 0.0, is_zero(a));
}

// Whether v ≥ 0 is infinite.
fn is_infinite(v: f32) -> bool {
    return bitcast<u32>(v) == INFINITY_BITS;
}

// What an element weighs in loss and mean, in the derivatives, and the weight of its positive term.
struct Weight {
    weight: f32,
    derivative_weight: f32,
    pos_weight: f32,
}

// The target (a reserved word) as the conventions take it: 1 above 0 and 0 below, where they say so. NaN stays, to be
// found invalid.
fn label(target_value: f32, parameters: LossParameters) -> f32 {
    if CONVENTIONS && (parameters.flags & BINARIZE) != 0u {
        // By the bits: a comparison may be compiled as if there were no NaN, or flush subnormals.
        let bits = bitcast<u32>(target_value);
        let kept = select(target_value, 0.0, bits - 0x80000000u <= INFINITY_BITS);
        return select(kept, 1.0, bits - 1u < INFINITY_BITS);
    }
    return target_value;
}

// What an element with the label z and data weight v weighs, in a class of the given class weight and pos_weight.
fn element_weight(z: f32, v: f32, class_weights: vec2<f32>, parameters: LossParameters) -> Weight {
    var q = class_weights.y;
    let unlabelled = v * class_weights.x;
    var w = unlabelled * ((1.0 - z) * parameters.label_weights.x + z * parameters.label_weights.y);
    var derivative_weight = w;
    if CONVENTIONS && (parameters.flags & WEIGH_POSITIVES) != 0u {
        derivative_weight = select(derivative_weight, derivative_weight * q, z == 1.0);
        q = 1.0;
    }
    if CONVENTIONS && (parameters.flags & UNLABELLED_LOSS) != 0u {
        w = unlabelled;
    }
    return Weight(w, derivative_weight, q);
}

// The prediction rounded to f32, where the conventions say so.
fn rounded_prediction(form: u32, x: f32, parameters: LossParameters) -> f32 {
    if CONVENTIONS && form == FORM_END_DISTANCES && (parameters.flags & ROUNDS) != 0u {
        return end_distance_rounded(x);
    }
    return x;
}

// p and 1 − p, if the predictions are probabilities.
fn chances(form: u32, x: f32) -> vec2<f32> {
    if form == FORM_END_DISTANCES {
        return end_distance_chances(x);
    }
    return vec2<f32>(abs(x), 1.0 - abs(x));
}

// base^exponent for base in [0, 1] and exponent ≥ 0; 0^0 is 1.
//
// Its error grows with its logarithm: exponent·|log(base)| times that of the logarithm.
fn power(base: f32, exponent: f32) -> f32 {
    let t = neg_log(log_parts(bitcast<u32>(base))) * exponent;
    let factor = exp_neg(bitcast<u32>(t) & 0x7fffffffu);
    return select(factor.p * factor.scale + factor.scale, select(0.0, 1.0, is_zero(exponent)), is_zero(base));
}

// The factor (1 − p_t)^γ on a loss and its derivatives, with p and r = 1 − p, for smoothed target z and n = 1 − z.
// `flat`: where p_t is to be taken as constant.
fn focal(form: u32, plain: Element, p: f32, r: f32, n: f32, z: f32, flat: bool, gamma: f32) -> Element {
    let m = z * r + n * p;
    let m_zero = is_zero(m);
    // Half of the factor: it is in the normal range where a quotient of the whole and m can be.
    let s = power(m, 0.5 * gamma);
    // The derivative of m over p. Where m is 0 so is the factor; where the loss is infinite it is the plain
    // derivatives that grow without bound, or m's that vanish faster.
    let c = select(n - z, 0.0, m_zero || is_infinite(plain.loss) || flat);
    // With ' for the derivative: u = loss·m'/m, k = s·m'/m, v + 2·loss' = (what m' multiplies in the hessian)/(γ·m^γ).
    var u: f32;
    var k: f32;
    var v: f32;
    if form != FORM_LOGITS {
        u = product(c, plain.loss / m);
        k = product(c, s / m);
        v = u * (gamma - 1.0);
    } else {
        let slope = product(c, p * r / m);
        u = product(slope, plain.loss);
        k = slope * s;
        v = (slope * (gamma - 1.0) + (r - p)) * plain.loss;
    }
    let gradient = s * (u * gamma + plain.gradient);
    // Where the plain hessian is infinite nothing outweighs it.
    let bend = select(product(k, (v + plain.gradient * 2.0) * gamma), 0.0, is_infinite(plain.hessian));
    var hessian = product(s, bend + s * plain.hessian);
    if form != FORM_LOGITS && gamma > 0.0 {
        // The limit where m is 0: γ·(γ + 1)·m^(γ - 1) times the weight of the term, whose hessian is that weight.
        let limit = select(select(0u, 0x40000000u, gamma == 1.0), INFINITY_BITS, gamma < 1.0);
        hessian = select(hessian, product(plain.hessian, bitcast<f32>(limit)), m_zero);
    }
    return Element(product(s, s * plain.loss), product(s, gradient), hessian);
}

// Loss, derivatives and weight of an element with prediction x and the given label, of data weight v, in a class of
// the given class weight and pos_weight. `negative` and `positive` are the plain elements of target 0 and 1; where
// neither clips nor the focal factor are in use, nothing of them is.
fn weighted_element(
    form: u32,
    x: f32,
    label_value: f32,
    v: f32,
    class_weights: vec2<f32>,
    negative: Element,
    positive: Element,
    parameters: LossParameters,
) -> Weighted {
    let weight = element_weight(label_value, v, class_weights, parameters);
    let w = weight.weight;
    var derivative_weight = weight.derivative_weight;
    let q = weight.pos_weight;
    // Smoothed, z and 1 − z each on its own: what 1 − z would lose is most of a small a/2.
    let keep = 1.0 - parameters.smoothing;
    let half = 0.5 * parameters.smoothing;
    let n = (1.0 - label_value) * keep + half;
    let z = label_value * keep + half;
    var total = w;
    if FOCAL {
        let alpha = n * parameters.alpha.x + z * parameters.alpha.y;
        total = w * alpha;
        derivative_weight = derivative_weight * alpha;
    }
    // An element of weight 0 is 0, whatever its loss would be.
    let weightless = is_zero(total);
    let a = select(n, 0.0, weightless);
    let b = select(q * z, 0.0, weightless);
    var flat = false;
    var plain = element(form, x, a, b);
    if CONVENTIONS {
        let low_0 = parameters.negative_term.x;
        let low_1 = parameters.positive_term.x;
        plain.loss = product(a, min(max(negative.loss, low_0), parameters.negative_term.y))
            + product(b, min(max(positive.loss, low_1), parameters.positive_term.y));
        // At each end the term that is small there tells: it resolves every prediction, the other one does not.
        flat = (parameters.flags & CLIPPED_IS_FLAT) != 0u && (negative.loss < low_0 || positive.loss < low_1);
        plain.gradient = select(plain.gradient, 0.0, flat);
        plain.hessian = select(plain.hessian, 0.0, flat);
        if form != FORM_LOGITS {
            let p = chances(form, x);
            if p.x * p.y < parameters.denominator {
                let over_r = p.x * (1.0 / parameters.denominator);
                let over_p = p.y * (1.0 / parameters.denominator);
                plain.gradient = a * over_r - b * over_p;
                plain.hessian = (a * over_r) * over_r + (b * over_p) * over_p;
            }
        } else {
            plain.hessian = max(plain.hessian, (a + b) * parameters.hessian);
        }
    }
    if FOCAL {
        let p = select(vec2<f32>(negative.gradient, -positive.gradient), chances(form, x), form != FORM_LOGITS);
        plain = focal(form, plain, p.x, p.y, n, z, flat, parameters.gamma);
    }
    plain.loss = total * plain.loss;
    if CONVENTIONS {
        // The derivatives may weigh nothing where the loss does, and be infinite.
        plain.gradient = product(derivative_weight, plain.gradient);
        plain.hessian = product(derivative_weight, plain.hessian);
    } else {
        plain.gradient = derivative_weight * plain.gradient;
        plain.hessian = derivative_weight * plain.hessian;
    }
    return Weighted(plain, w);
}
