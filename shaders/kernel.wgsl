// The pass over a window of a batch. It loads each element, evaluates it, stores the requested outputs, and adds up the
// losses.
//
//   predictions  [len] f32, f16 or bf16        losses, gradients, hessians  [len] f32, f16 or bf16, as requested
//   targets      [len] f32, bytes or bits      window                       its parameters, and its exact sums
//   weights      [len] or [rows] f32 or f16
//   mask         [len] bits
//
// A workgroup takes BLOCKS blocks of 2048 elements, 8 of each a lane. A block's losses become one number in a fixed
// tree: 8 elements a lane and 8 lanes a group in f32, in pairs, so that equal losses add exactly; then 32 groups as
// integers on a common exponent, 48 bits below the largest. From there on everything is integer addition, which no
// order changes: blocks finish in any order, and neither BLOCKS nor the number of windows shows in the result.
//
// An element's loads and stores are the only ones of its values, and a block adds six words to its window's sums. Where
// this would bind more arrays than the device allows, `main` stores no outputs, and a second kernel, `store_alone`,
// stores them. docs/kernels.md says what other forms of this kernel were measured, and why they were dropped.
//
// The files that this one is composed with: element.wgsl, weighted.wgsl, one of sums/ (what a block is, and where its
// sum is added), one of outputs/ (how outputs are written, and so which elements a lane takes), those of accumulators/
// that are requested, and declarations made by src/gpu: the structs and constants of layout.rs, and of bindings.rs the
// arrays and functions such as read_weights(i) and write_losses(i, word). These do nothing, and return 0, where
// an array is not bound.

// What the predictions are, FORM_LOGITS, FORM_PROBABILITIES or FORM_END_DISTANCES, and how they are stored, one of
// PREDICTION_F32 and the like. The codes are declared in element.wgsl, and by src/gpu/codes.rs.
override FORM: u32 = FORM_LOGITS;
override PREDICTION: u32 = PREDICTION_F32;
// How the targets are stored: TARGET_F32, TARGET_U8 (a byte each) or TARGET_BITS (a bit each, least significant first).
override TARGET: u32 = TARGET_F32;
// How outputs are stored: OUTPUT_NONE (not at all), OUTPUT_F32, OUTPUT_F16 or OUTPUT_BF16.
override LOSS: u32 = OUTPUT_NONE;
override GRADIENT: u32 = OUTPUT_NONE;
override HESSIAN: u32 = OUTPUT_NONE;
// Whether losses and gradients are not stored, but in their places what each element adds to the sums.
override ADDENDS: bool = false;
// Whether weights, a mask, ignored targets or parameters of the loss (weighted.wgsl) are in use.
override WEIGHTED: bool = false;
// How the weights are stored, WEIGHT_NONE, WEIGHT_F32 or WEIGHT_F16, and whether there is one for each sample.
override WEIGHT: u32 = WEIGHT_NONE;
override SAMPLE_WEIGHTS: bool = false;
override MASK: bool = false;
// Which targets are ignored: IGNORE_NOTHING, IGNORE_LABEL or IGNORE_NAN.
override IGNORE: u32 = IGNORE_NOTHING;
// Whether class weights and pos_weights differ by class.
override CLASSES: bool = false;
// Whether the pass only counts elements and adds up weights, and evaluates no loss.
override WEIGHTS_ALONE: bool = false;
// The number of sums: 1 for the losses; 2 if WEIGHTED is set, for the losses and the weights.
override SERIES: u32 = 1u;
// The number of blocks that a workgroup sums, at most 8: few to occupy many lanes, many where barriers are expensive.
override BLOCKS: u32 = 1u;

const NAN_BITS: u32 = 0x7fc00000u;

// A block's losses and, where WEIGHTED is set, its weights behind all blocks' losses.
var<workgroup> lane_sums: array<f32, LANES * BLOCKS * SERIES>;
var<workgroup> group_sums: array<f32, GROUPS * BLOCKS * SERIES>;
var<workgroup> lane_invalid: array<u32, LANES>;
var<workgroup> lane_counts: array<u32, LANES>;

// The largest complement seen by this lane: 0 for none.
var<private> invalid: u32;
// Elements this lane has counted.
var<private> count: u32;
// Read once by every lane. (From storage: some drivers compile a uniform's value in, each time it changes.)
var<private> len: u32;
var<private> coefficient: f32;
var<private> parameters: LossParameters;

fn load_prediction(i: u32) -> f32 {
    switch PREDICTION {
        case PREDICTION_F16: {
            return decode_f16(read_predictions(i >> 1u) >> ((i & 1u) << 4u));
        }
        case PREDICTION_BF16: {
            return decode_bf16(read_predictions(i >> 1u) >> ((i & 1u) << 4u));
        }
        default: {
            return bitcast<f32>(read_predictions(i));
        }
    }
}

fn load_target(i: u32) -> f32 {
    switch TARGET {
        case TARGET_U8: {
            return f32((read_targets(i >> 2u) >> ((i & 3u) << 3u)) & 0xffu);
        }
        case TARGET_BITS: {
            return f32((read_targets(i >> 5u) >> (i & 31u)) & 1u);
        }
        default: {
            return bitcast<f32>(read_targets(i));
        }
    }
}

// Whether a value lies in [0, 1], by its bits: a comparison may be compiled as if there were no NaN.
fn in_unit_interval(bits: u32) -> bool {
    return bits <= 0x3f800000u || bits == 0x80000000u;
}

fn load_weight(i: u32) -> f32 {
    switch WEIGHT {
        case WEIGHT_F32: {
            return bitcast<f32>(read_weights(i));
        }
        case WEIGHT_F16: {
            return decode_f16(read_weights(i >> 1u) >> ((i & 1u) << 4u));
        }
        default: {
            return 1.0;
        }
    }
}

// Whether a weight is finite and not negative.
fn is_weight(bits: u32) -> bool {
    return bits < INFINITY_BITS || bits == 0x80000000u;
}

// Which array makes an element invalid, or VALID.
fn invalid_input(x: f32, z: f32, v: f32) -> u32 {
    let bits = bitcast<u32>(x);
    var bad = is_nan(bits);
    if FORM == FORM_PROBABILITIES {
        bad = !in_unit_interval(bits);
    } else if FORM == FORM_END_DISTANCES {
        bad = !is_end_distance(bits);
    }
    if bad && !WEIGHTS_ALONE {
        return BAD_PREDICTION;
    }
    if !in_unit_interval(bitcast<u32>(z)) {
        return BAD_TARGET;
    }
    return select(BAD_WEIGHT, VALID, WEIGHT == WEIGHT_NONE || is_weight(bitcast<u32>(v)));
}

// Whether element i with target z is ignored or masked.
fn is_ignored(i: u32, z: f32) -> bool {
    if MASK && ((read_mask(i >> 5u) >> (i & 31u)) & 1u) == 0u {
        return true;
    }
    switch IGNORE {
        case IGNORE_LABEL: {
            return z == window.parameters.ignored;
        }
        case IGNORE_NAN: {
            return is_nan(bitcast<u32>(z));
        }
        default: {
            return false;
        }
    }
}

// Loss and derivatives of an element and what it weighs.
fn element_at(i: u32, x: f32, z: f32, v: f32) -> Weighted {
    if WEIGHTED {
        let class_index = select(0u, (window.parameters.class_offset + i) % window.parameters.classes, CLASSES);
        let class_weights = window.class_weights[class_index];
        let rounded = rounded_prediction(FORM, x, parameters);
        let negative = element(FORM, rounded, 1.0, 0.0);
        let positive = element(FORM, rounded, 0.0, 1.0);
        return weighted_element(FORM, rounded, z, v, class_weights, negative, positive, parameters);
    }
    return Weighted(element(FORM, x, 1.0 - z, z), 0.0);
}

// A derivative of 0 stays 0, also where a mean of nothing divides by 0.
fn scaled_bits(value: f32) -> u32 {
    return bitcast<u32>(select(value * coefficient, 0.0, WEIGHTED && value == 0.0));
}

// The loss and weight that element i adds to the sums, which are stored where they are asked for.
fn stored_addends(i: u32, addends: vec2<f32>) -> vec2<f32> {
    if ADDENDS {
        write_losses(i, bitcast<u32>(addends.x));
        write_gradients(i, bitcast<u32>(addends.y));
    }
    return addends;
}

// Evaluates element i, stores its requested outputs, and returns its loss and its weight; 0 past the end.
fn evaluate(i: u32) -> vec2<f32> {
    if i >= len {
        return vec2<f32>();
    }
    var x = 0.0;
    if !WEIGHTS_ALONE {
        x = load_prediction(i);
    }
    var z = load_target(i);
    if WEIGHTED {
        if is_ignored(i, z) {
            store(i, Element(), true);
            return stored_addends(i, vec2<f32>());
        }
        z = label(z, parameters);
    }
    let v = load_weight(select(i, (window.parameters.class_offset + i) / window.parameters.classes, SAMPLE_WEIGHTS));
    let bad = invalid_input(x, z, v);
    let weighted = element_at(i, x, z, v);
    store(i, weighted.element, bad == VALID);
    count += 1u;
    accumulate(i, x, z, v);
    if bad != VALID {
        invalid = max(invalid, ~(4u * i + bad));
    }
    // An invalid prediction takes nothing from the weight, which does not depend on it.
    let weighs = in_unit_interval(bitcast<u32>(z)) && (WEIGHT == WEIGHT_NONE || is_weight(bitcast<u32>(v)));
    let adds = bad == VALID && !WEIGHTS_ALONE;
    let addends = vec2<f32>(select(0.0, weighted.element.loss, adds), select(0.0, weighted.weight, weighs));
    return stored_addends(i, addends);
}

// The losses and weights of a lane's 8 elements of a block, added in pairs; each is `step` elements from the next.
//
// Written out: llvmpipe takes a third off a pass over mean and gradient that has no loop here. With loss parameters in use
// it would be long to compile, and gain little.
fn eight(first: u32, step: u32, end: u32) -> vec2<f32> {
    if !WEIGHTED {
        return four(first, step, end) + four(first + 4u * step, step, end);
    }
    var sum = vec2<f32>();
    for (var k = 0u; k < 8u; k += 4u) {
        sum += four(first + k * step, step, end);
    }
    return sum;
}

fn four(i: u32, step: u32, end: u32) -> vec2<f32> {
    return (evaluate(before(i, end)) + evaluate(before(i + step, end)))
        + (evaluate(before(i + 2u * step, end)) + evaluate(before(i + 3u * step, end)));
}

// i, or past every end if it is not before `end`.
fn before(i: u32, end: u32) -> u32 {
    return select(0xffffffffu, i, i < end);
}

// The sum of a group, 8 lanes of a block: lanes g, g + GROUPS, g + 2 GROUPS, ... for group g.
fn group_sum(group: u32) -> f32 {
    let first = (group / GROUPS) * LANES + group % GROUPS;
    return ((lane_sums[first] + lane_sums[first + GROUPS])
        + (lane_sums[first + 2u * GROUPS] + lane_sums[first + 3u * GROUPS]))
        + ((lane_sums[first + 4u * GROUPS] + lane_sums[first + 5u * GROUPS])
        + (lane_sums[first + 6u * GROUPS] + lane_sums[first + 7u * GROUPS]));
}

// Adds up the groups of a block, as integers on the exponent of the largest, to the series' sum, or its class's.
fn add_block(first: u32, series: u32, block: u32) {
    var largest = 0u;
    for (var g = first; g < first + GROUPS; g++) {
        // No loss is negative; a sign bit could only be that of -0.
        largest = max(largest, bitcast<u32>(group_sums[g]) & 0x7fffffffu);
    }
    let exponent = max(largest >> 23u, 1u);
    // The sum in units of 2^(exponent - 174): high · 2^24 + low.
    var high = 0u;
    var low = 0u;
    for (var g = first; g < first + GROUPS; g++) {
        let bits = bitcast<u32>(group_sums[g]) & 0x7fffffffu;
        let biased = bits >> 23u;
        let mantissa = (bits & 0x7fffffu) | select(0x800000u, 0u, biased == 0u);
        // The 24 bits of the mantissa in a window of 48: what falls out below is less than 2^-47 of the largest.
        let shift = min(exponent - max(biased, 1u), 48u);
        high += select(mantissa >> min(shift, 24u), 0u, shift >= 24u);
        low += select((mantissa << (24u - min(shift, 24u))) & 0xffffffu, mantissa >> (max(shift, 24u) - 24u), shift >= 24u);
    }
    // Each of the two has at most 29 bits, which moved by at most 15 span three limbs.
    let infinite = largest >= INFINITY_BITS;
    for (var part = 0u; part < 6u; part++) {
        let bits = select(low, high, part >= 3u);
        let position = exponent - 1u + select(0u, 24u, part >= 3u);
        let shift = position & 15u;
        let moved = array<u32, 3>((bits << shift) & 0xffffu, (bits << shift) >> 16u, (bits >> 16u) >> (16u - shift));
        let value = moved[part % 3u];
        // One instruction serves every limb and the count of infinities: atomics are expensive on some adapters,
        // also where no lane takes part.
        add_limb(series, block, select((position >> 4u) + part % 3u, INFINITE, infinite), select(value, 1u, infinite));
    }
}

// Puts the losses and weights of a lane where `group_sum` looks for them: LANES of a block, one block behind the other.
fn put_sum(place: u32, sum: vec2<f32>) {
    lane_sums[place] = sum.x;
    if WEIGHTED {
        lane_sums[BLOCKS * LANES + place] = sum.y;
    }
}

// Reads the parameters that every lane needs.
fn begin() {
    len = window.parameters.len;
    coefficient = window.parameters.coefficient;
    if WEIGHTED {
        parameters = window.parameters.loss;
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    begin();
    take_blocks(workgroup.x, lane);
    lane_invalid[lane] = invalid;
    if WEIGHTED {
        lane_counts[lane] = count;
    }
    workgroupBarrier();
    for (var group = lane; group < GROUPS * BLOCKS * SERIES; group += LANES) {
        group_sums[group] = group_sum(group);
    }
    workgroupBarrier();
    if lane < BLOCKS * SERIES {
        add_block(lane * GROUPS, lane / BLOCKS, workgroup.x * BLOCKS + lane % BLOCKS);
    }
    if lane < BLOCKS {
        var first_invalid = 0u;
        var counted = 0u;
        for (var other = lane; other < LANES; other += BLOCKS) {
            first_invalid = max(first_invalid, lane_invalid[other]);
            if WEIGHTED {
                counted += lane_counts[other];
            }
        }
        if first_invalid != 0u {
            atomicMax(&window.sums.invalid, first_invalid);
        }
        if WEIGHTED {
            add_count(workgroup.x * BLOCKS + lane, counted);
        }
    }
    end_accumulators(lane);
}
