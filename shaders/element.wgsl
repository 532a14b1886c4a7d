// The loss of one element and its derivatives. Twin of src/cpu/element.rs: the same functions, constants and order
// of statements. Where the two must differ, a comment in both says why.
//
// A driver may reassociate, contract, flush subnormals, divide with an error of 2.5 ULP, and assume that there is no
// infinity and no NaN. So special cases are told by their bits, what must be exact is done in integers, and no
// float operation is there only to recover what another one's rounding lost.

// Loss, gradient and hessian of one element.
struct Element {
    // The loss, ≥ 0.
    loss: f32,
    // Its derivative with respect to the prediction.
    gradient: f32,
    // Its second derivative.
    hessian: f32,
}

// exp(-t) = scale·(1 + p), scale = 2^-n; 0 where exp(-t) is below the normal range.
struct Power {
    n: u32,
    scale: f32,
    p: f32,
}

// From here on exp(-t) is 0: n is 127, for which `scale` has the bits of 0.
const T_MAX_BITS: u32 = 0x42b08000u; // 88.25
const LOG2_E: f32 = 1.4426950408889634;
// ln(2)·2^32
const LN2_FIXED: u32 = 2977044472u;
// ln 2 in two parts: the first has nine bits, so that its product with an exponent is exact.
const LN2_HI: f32 = 0.693359375; // 355/512
const LN2_LO: f32 = -2.1219444e-4;

// (exp(r) - 1 - r)/r², |r| ≤ ln(2)/2: minimax, 2^-28.2 relative to exp(r).
const EXP_0: f32 = 0.49999994;
const EXP_1: f32 = 0.16666517;
const EXP_2: f32 = 0.041668102;
const EXP_3: f32 = 0.0083691925;
const EXP_4: f32 = 0.0013838812;

// (f - log1p(f))/f², f in [-331/1024, 362/1024]: minimax, 2^-27.6 relative to log1p(f).
const LOG_0: f32 = 0.5;
const LOG_1: f32 = -0.33333227;
const LOG_2: f32 = 0.25000203;
const LOG_3: f32 = -0.20009686;
const LOG_4: f32 = 0.16659585;
const LOG_5: f32 = -0.14019799;
const LOG_6: f32 = 0.12508032;
const LOG_7: f32 = -0.13902856;
const LOG_8: f32 = 0.11340279;

// Mantissas are taken from [693/1024, 693/512), so that f = mantissa - 1 lies where `log1p_tail` holds.
const MANTISSA_MIN: i32 = 0x3f2d4000;
// 1 - 693/1024.
const SMALL_MAX: f32 = 0.3232421875;

const ONE_BITS: u32 = 0x3f800000u;
const INFINITY_BITS: u32 = 0x7f800000u;
const MIN_POSITIVE_BITS: u32 = 0x00800000u;
// How a prediction is encoded, as in src/prediction_kind.rs.
const FORM_LOGITS: u32 = 0u;
const FORM_PROBABILITIES: u32 = 1u;
const FORM_END_DISTANCES: u32 = 2u;

const SIGN_BIT: u32 = 0x80000000u;
const HALF_BITS: u32 = 0x3f000000u;
// 87 and 745: -log(q) of a distance that is too small for f32 lies in between.
const LOG_MIN_BITS: u32 = 0x42ae0000u;
const LOG_MAX_BITS: u32 = 0x443a4000u;

const TWO_POW_NEG_52: f32 = 2.220446049250313e-16;
const TWO_POW_NEG_51: f32 = 4.440892098500626e-16;
const TWO_POW_NEG_32: f32 = 2.3283064365386963e-10;
const TWO_POW_NEG_23: f32 = 1.1920928955078125e-7;
const TWO_POW_NEG_24: f32 = 5.9604644775390625e-8;
const TWO_POW_24: f32 = 16777216.0;
const TWO_POW_28: f32 = 268435456.0;
const TWO_POW_29: f32 = 536870912.0;

// exp(-t) for t ≥ 0, given its bits.
//
// The twin reduces t in floats. Here t and n·ln(2) are subtracted in fixed point, 2^-32 the unit, modulo 1 = 2^32:
// of a t that is not below 2^-9 no bit is lost. n = 0 needs no reduction, and keeps what bits a smaller t has below the
// unit. Integers are taken from the bits of floats: many an adapter has no conversion to them in one instruction.
fn exp_neg(t_bits: u32) -> Power {
    let bits = min(t_bits, T_MAX_BITS);
    let t = bitcast<f32>(bits);
    // The sum's unit is 2^-8, so that n is ⌊t/ln(2) + 1/2⌋ but for as much, whichever way the sum is rounded.
    let n = (bitcast<u32>(t * LOG2_E + 32768.5) >> 8u) & 0xffu;
    let scale = bitcast<f32>((127u - n) << 23u);
    let fixed_t = ((bits & 0x7fffffu) | MIN_POSITIVE_BITS) << (max(bits >> 23u, 118u) - 118u);
    let fixed = bitcast<i32>(n * LN2_FIXED - fixed_t);
    let r = select(f32(fixed) * TWO_POW_NEG_32, -t, n == 0u);
    let r2 = r * r;
    let q01 = r * EXP_1 + EXP_0;
    let q23 = r * EXP_3 + EXP_2;
    let q24 = r2 * EXP_4 + q23;
    let q = r2 * q24 + q01;
    return Power(n, scale, r2 * q + r);
}

// log1p(f) - f + lo for f in [-331/1024, 362/1024].
fn log1p_tail(f: f32, lo: f32) -> f32 {
    let f2 = f * f;
    let q01 = f * LOG_1 + LOG_0;
    let q23 = f * LOG_3 + LOG_2;
    let q45 = f * LOG_5 + LOG_4;
    let q67 = f * LOG_7 + LOG_6;
    let q47 = f2 * q67 + q45;
    let f4 = f2 * f2;
    let q03 = f2 * q23 + q01;
    let q48 = f4 * LOG_8 + q47;
    let q = f4 * q48 + q03;
    return lo - f2 * q;
}

// Loss and derivatives for the logit x; a weighs softplus(x), b weighs softplus(-x).
fn logit_element(x: f32, a: f32, b: f32) -> Element {
    let negative = bitcast<i32>(x) < 0;
    let t_bits = bitcast<u32>(x) & 0x7fffffffu;
    let power = exp_neg(t_bits);
    let n = power.n;
    let scale = power.scale;
    let p = power.p;
    let m = 1.0 + p;
    let e = m * scale;
    let ab = a + b;

    // log1p(e) = k·ln(2) + log1p(f), k = 1 where n ≤ 1: there f = (e - 1)/2. p·h is exact, and is added last but
    // one, so that no rounding of e or f is in the sum. (The twin's division is correctly rounded and cheap: it takes
    // log1p(e) from e/(2 + e).)
    let k = n <= 1u;
    let half = scale * 0.5;
    let h = select(scale, half, k);
    let f_0 = select(scale, half - 0.5, k);
    let base = select(f_0, f_0 + LN2_HI, k);
    let lo = select(0.0, LN2_LO, k);
    let tail = log1p_tail(p * h + f_0, lo);
    // (Far out it is e itself: the terms of the sum would be below the normal range, where a driver may flush them.
    // The twin's are not flushed.)
    let log1p_e = select(base + (p * h + tail), e, n > 26u);

    // The slope of the loss, but for log1p(e).
    let slope = select(a, -b, negative);
    // No product of infinity and 0.
    let linear = bitcast<f32>(select(bitcast<u32>(x), 0u, t_bits == INFINITY_BITS && is_zero(slope)));
    let loss = linear * slope + ab * log1p_e;

    // σ(-t) = scale·(1 + p)·y, y = 1/(1 + e). That is mended by its remainder, which is exact but for what e has below
    // 2^-28: y is taken to 23 bits after the point, as a sum in [1, 2] has them, and 1 is 2^51 in units of the product,
    // and so 0 modulo 2^32.
    // (The twin's division is correctly rounded. It takes e - e·q, q = e/(1 + e), which damps what it lost.)
    let quotient = bitcast<u32>(1.0 + 1.0 / (1.0 + e)) - ONE_BITS;
    let y = f32(bitcast<i32>(quotient)) * TWO_POW_NEG_23;
    let divisor = (1u << 28u) + u32(i32(e * TWO_POW_28));
    let rest = f32(bitcast<i32>(divisor * quotient)) * -TWO_POW_NEG_51;
    let sigma_neg = (y * (rest * m + p) + y) * scale;
    let gradient = slope - ab * bitcast<f32>(bitcast<u32>(sigma_neg) | (bitcast<u32>(x) & SIGN_BIT));
    let hessian = ab * (sigma_neg - sigma_neg * sigma_neg);
    return Element(loss, gradient, hessian);
}

// log(v) = k·ln(2) + log1p(f).
struct Parts {
    k: f32,
    f: f32,
}

// The parts of log(v) for v > 0, given its bits: those of a subnormal are its multiple of 2^-149.
fn log_parts(v_bits: u32) -> Parts {
    let subnormal = v_bits < MIN_POSITIVE_BITS;
    let bits = bitcast<i32>(select(v_bits, bitcast<u32>(f32(v_bits)), subnormal));
    let k = (bits - MANTISSA_MIN) >> 23u;
    let f = bitcast<f32>(bits - (k << 23u)) - 1.0;
    return Parts(f32(select(k, k - 149, subnormal)), f);
}

// -(k·ln(2) + log1p(f)).
fn neg_log(parts: Parts) -> f32 {
    let k = parts.k;
    let f = parts.f;
    return -(k * LN2_HI + (f + log1p_tail(f, k * LN2_LO)));
}

// 1/m for m in [1, 2], given that in fixed point too, 2^-28 the unit. The quotient is mended by its remainder: 1 is
// 2^52 in units of the product, and so 0 modulo 2^32. (The twin has a division that is correctly rounded.)
fn reciprocal(m: f32, fixed: u32) -> f32 {
    let quotient = u32(1.0 / m * TWO_POW_24);
    let y = f32(quotient) * TWO_POW_NEG_24;
    let rest = f32(bitcast<i32>(0u - fixed * quotient)) * TWO_POW_NEG_52;
    return rest * y + y;
}

// 1/v for v in (0, 1], given its bits.
fn inverse(v_bits: u32) -> f32 {
    let subnormal = v_bits < MIN_POSITIVE_BITS;
    let bits = select(v_bits, bitcast<u32>(f32(v_bits)), subnormal);
    let mantissa = bits & 0x007fffffu;
    let y = reciprocal(bitcast<f32>(mantissa | ONE_BITS), (mantissa | MIN_POSITIVE_BITS) << 5u);
    // The power of two to multiply by, in one: a driver would fold two constants into infinity.
    let exponent = 254u - (bits >> 23u) + select(0u, 149u, subnormal);
    return y * bitcast<f32>(min(exponent, 255u) << 23u);
}

// Loss and derivatives for the probability p; a weighs -log(1 - p), b weighs -log(p).
fn probability_element(prediction: f32, a: f32, b: f32) -> Element {
    // -0 is 0.
    let p_bits = bitcast<u32>(prediction) & 0x7fffffffu;
    return element_of_log(p_bits, neg_log(log_parts(p_bits)), p_bits == 0u, a, b);
}

// Loss and derivatives for the probability that `word` stands for as its distance from the nearer end of [0, 1]; a weighs
// -log(1 - p), b weighs -log(p). src/end_distance.rs describes these words.
fn end_distance_element(word: f32, a: f32, b: f32) -> Element {
    let from_one = bitcast<i32>(word) < 0;
    let magnitude = bitcast<u32>(word) & 0x7fffffffu;
    // -log(q) takes the place of a distance that is too small for f32.
    let is_log = magnitude > HALF_BITS;
    let q_bits = select(magnitude, 0u, is_log);
    let log_q = select(neg_log(log_parts(q_bits)), bitcast<f32>(magnitude), is_log);
    var element = element_of_log(q_bits, log_q, magnitude == 0u, select(a, b, from_one), select(b, a, from_one));
    element.gradient = select(element.gradient, -element.gradient, from_one);
    return element;
}

// Whether these are the bits of a word that a probability has: NaN stands for an invalid one, and no other is made.
fn is_end_distance(bits: u32) -> bool {
    let magnitude = bits & 0x7fffffffu;
    return magnitude <= HALF_BITS || (bits >= LOG_MIN_BITS && bits <= LOG_MAX_BITS);
}

// The probability that `word` stands for, and 1 minus it.
fn end_distance_chances(word: f32) -> vec2<f32> {
    let from_one = bitcast<i32>(word) < 0;
    let magnitude = bitcast<u32>(word) & 0x7fffffffu;
    let q = bitcast<f32>(select(magnitude, 0u, magnitude > HALF_BITS));
    return select(vec2<f32>(q, 1.0 - q), vec2<f32>(1.0 - q, q), from_one);
}

// The word of the probability that `word` stands for after that is rounded to f32.
//
// In [1/2, 1] f32 has the multiples of 2^-24; below, a distance is rounded already. (The twin adds and subtracts 2^23,
// which a compiler that may reassociate folds away.)
fn end_distance_rounded(word: f32) -> f32 {
    let bits = bitcast<u32>(word);
    let rounded = round(bitcast<f32>(bits & 0x7fffffffu) * TWO_POW_24) * TWO_POW_NEG_24;
    return bitcast<f32>(select(bits, bitcast<u32>(rounded) | SIGN_BIT, (bits & SIGN_BIT) != 0u));
}

// Loss and derivatives for the probability p, given its bits, -log(p), and whether that is infinite; a weighs
// -log(1 - p), b weighs -log(p).
fn element_of_log(p_bits: u32, neg_log_p: f32, infinite: bool, a: f32, b: f32) -> Element {
    let p = bitcast<f32>(p_bits);
    let s = 1.0 - p;
    // A term whose weight is 0 is 0: no product of infinity and 0.
    let a_zero = is_zero(a);
    let b_zero = is_zero(b);

    let log_p = or_infinity(neg_log_p, infinite, b_zero);

    // -log(1 - p): where 1 - p would be rounded, from p itself.
    let parts = log_parts(bitcast<u32>(s));
    let below_half = p < 0.5;
    let small = p <= SMALL_MAX;
    let k = select(select(parts.k, -1.0, below_half), 0.0, small);
    let f = select(select(parts.f, 1.0 - 2.0 * p, below_half), -p, small);
    let log_s = or_infinity(neg_log(Parts(k, f)), p_bits == ONE_BITS, a_zero);
    let loss = a * log_s + b * log_p;

    // 1/p, and 1/(1 - p): where 1 - p would be rounded, its double in fixed point.
    // (The twin divides, and recovers in floats what the rounding of 1 - p lost.)
    let doubled = (1u << 29u) - u32(round(p * TWO_POW_29));
    let inverse_s = select(inverse(bitcast<u32>(s)), 2.0 * reciprocal(2.0 * s, doubled), below_half);
    let u = or_infinity(inverse_s, p_bits == ONE_BITS, a_zero);
    let v = or_infinity(inverse(p_bits), p_bits == 0u, b_zero);
    let a_s = a * u;
    let b_p = b * v;
    let gradient = a_s - b_p;
    let hessian = a_s * u + b_p * v;
    return Element(loss, gradient, hessian);
}

// Loss and derivatives for the prediction x, encoded as `form` says; a weighs the negative class, b the positive one.
fn element(form: u32, x: f32, a: f32, b: f32) -> Element {
    switch form {
        case FORM_PROBABILITIES: {
            return probability_element(x, a, b);
        }
        case FORM_END_DISTANCES: {
            return end_distance_element(x, a, b);
        }
        default: {
            return logit_element(x, a, b);
        }
    }
}

// Infinity where that is so, but 0 in place of any infinity if the weight is 0.
fn or_infinity(value: f32, infinite: bool, weight_zero: bool) -> f32 {
    let bits = select(bitcast<u32>(value), INFINITY_BITS, infinite);
    return bitcast<f32>(select(bits, 0u, weight_zero && bits == INFINITY_BITS));
}

// Whether v is 0, or below the normal range, where a driver may flush it and leave a product of infinity and 0.
// (The twin's arithmetic keeps subnormals.)
fn is_zero(v: f32) -> bool {
    return (bitcast<u32>(v) & INFINITY_BITS) == 0u;
}

// Whether these are the bits of a NaN.
fn is_nan(bits: u32) -> bool {
    return (bits & 0x7fffffffu) > INFINITY_BITS;
}

// IEEE binary16 in the low 16 bits. (The twin multiplies subnormals; a driver may flush them.)
fn decode_f16(bits: u32) -> f32 {
    let sign = (bits & 0x8000u) << 16u;
    let magnitude = (bits & 0x7fffu) << 13u;
    let subnormal = bitcast<u32>(f32(bits & 0x03ffu) * TWO_POW_NEG_24);
    let normal = magnitude + ((127u - 15u) << 23u);
    let special = magnitude | INFINITY_BITS;
    let finite = select(normal, subnormal, magnitude < (0x0400u << 13u));
    return bitcast<f32>(select(finite, special, magnitude >= (0x7c00u << 13u)) | sign);
}

// bfloat16 in the low 16 bits.
fn decode_bf16(bits: u32) -> f32 {
    return bitcast<f32>(bits << 16u);
}
