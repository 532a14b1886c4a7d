// The one pass over a window of a batch: loads, evaluates, stores what is wanted, and adds up the losses.
//
//   predictions  [len] f32, f16 or bf16        losses, gradients, hessians  [len] f32, those that are wanted
//   targets      [len] f32, bytes or bits      window                       its size, and its exact sum
//
// A workgroup takes BLOCKS blocks of 2048 consecutive elements, lane l the elements l, l + 256, l + 512, ... of each.
// A block's losses become one number in a fixed tree: 8 elements a lane and 8 lanes a group in f32, in pairs, so
// that equal losses add exactly; then 32 groups as integers on a common exponent, 48 bits below the largest. From
// there on everything is integer addition, which no order changes: blocks finish in any order, and neither BLOCKS
// nor the number of windows shows in the result.
//
// Follows element.wgsl, whose functions it calls.

// What the predictions are (0 logits, 1 probabilities), and how they are stored (0 f32, 1 f16, 2 bf16).
override FORM: u32 = 0u;
override PREDICTION: u32 = 0u;
// How the targets are stored: 0 f32, 1 a byte each, 2 a bit each (least significant first).
override TARGET: u32 = 0u;
// Which outputs are written.
override LOSS: bool = false;
override GRADIENT: bool = false;
override HESSIAN: bool = false;
// Blocks a workgroup takes, at most 8: few where there are lanes to fill, many where barriers are dear.
override BLOCKS: u32 = 1u;

const LANES: u32 = 256u;
const BLOCK: u32 = 2048u;
const GROUPS: u32 = 32u;
const INFINITE: u32 = 22u;
// Which array made an element invalid; VALID is no array's.
const VALID: u32 = 0u;
const BAD_PREDICTION: u32 = 1u;
const BAD_TARGET: u32 = 2u;
const NAN_BITS: u32 = 0x7fc00000u;

// What belongs to one window. Read from storage: some drivers compile a uniform's value in, each time it changes.
struct Window {
    // The sum in fixed point, exact over the whole range of f32: limb l counts units of 2^(16 l - 173). A block adds
    // 16 bits to a limb twice at most, so the 32,768 blocks of a window cannot overflow one. The last one is no
    // limb: it is not 0 if a block's sum was +inf.
    limbs: array<atomic<u32>, 23>,
    // 0, or the complement of 4·index + array for the first invalid element.
    invalid: atomic<u32>,
    // Elements in this window, at most 2^26.
    len: u32,
    // Multiplies every gradient and hessian.
    coefficient: f32,
}

@group(0) @binding(0) var<storage, read_write> window: Window;
@group(0) @binding(1) var<storage, read> predictions: array<u32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> losses: array<u32>;
@group(0) @binding(4) var<storage, read_write> gradients: array<u32>;
@group(0) @binding(5) var<storage, read_write> hessians: array<u32>;

var<workgroup> lane_sums: array<f32, LANES * BLOCKS>;
var<workgroup> group_sums: array<f32, GROUPS * BLOCKS>;
var<workgroup> lane_invalid: array<u32, LANES>;

// The largest complement seen by this lane: 0 for none.
var<private> invalid: u32;
// Read once by every lane.
var<private> len: u32;
var<private> coefficient: f32;

fn load_prediction(i: u32) -> f32 {
    switch PREDICTION {
        case 1u: {
            return decode_f16(predictions[i >> 1u] >> ((i & 1u) << 4u));
        }
        case 2u: {
            return decode_bf16(predictions[i >> 1u] >> ((i & 1u) << 4u));
        }
        default: {
            return bitcast<f32>(predictions[i]);
        }
    }
}

fn load_target(i: u32) -> f32 {
    switch TARGET {
        case 1u: {
            return f32((targets[i >> 2u] >> ((i & 3u) << 3u)) & 0xffu);
        }
        case 2u: {
            return f32((targets[i >> 5u] >> (i & 31u)) & 1u);
        }
        default: {
            return bitcast<f32>(targets[i]);
        }
    }
}

// Whether a value lies in [0, 1], by its bits: a comparison may be compiled as if there were no NaN.
fn in_unit_interval(bits: u32) -> bool {
    return bits <= 0x3f800000u || bits == 0x80000000u;
}

fn offence(x: f32, z: f32) -> u32 {
    let bits = bitcast<u32>(x);
    let bad = select(is_nan(bits), !in_unit_interval(bits), FORM == 1u);
    if bad {
        return BAD_PREDICTION;
    }
    return select(BAD_TARGET, VALID, in_unit_interval(bitcast<u32>(z)));
}

// Evaluates element i, stores what is wanted of it, and returns its loss; 0 past the end.
fn evaluate(i: u32) -> f32 {
    if i >= len {
        return 0.0;
    }
    let x = load_prediction(i);
    let z = load_target(i);
    let bad = offence(x, z);
    var element: Element;
    if FORM == 1u {
        element = probability_element(x, 1.0 - z, z);
    } else {
        element = logit_element(x, 1.0 - z, z);
    }
    if LOSS {
        losses[i] = select(NAN_BITS, bitcast<u32>(element.loss), bad == VALID);
    }
    if GRADIENT {
        gradients[i] = select(NAN_BITS, bitcast<u32>(element.gradient * coefficient), bad == VALID);
    }
    if HESSIAN {
        hessians[i] = select(NAN_BITS, bitcast<u32>(element.hessian * coefficient), bad == VALID);
    }
    if bad != VALID {
        invalid = max(invalid, ~(4u * i + bad));
        return 0.0;
    }
    return element.loss;
}

// The sum of 8 lanes of a block: lanes g, g + 32, g + 64, ... for group g.
fn group_sum(group: u32) -> f32 {
    let first = (group / GROUPS) * LANES + group % GROUPS;
    return ((lane_sums[first] + lane_sums[first + 32u]) + (lane_sums[first + 64u] + lane_sums[first + 96u]))
        + ((lane_sums[first + 128u] + lane_sums[first + 160u]) + (lane_sums[first + 192u] + lane_sums[first + 224u]));
}

// Adds up the groups of a block, as integers on the exponent of the largest.
fn add_block(first: u32) {
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
        // One instruction serves every limb and the count of infinities: atomics are dear on some adapters, also
        // where no lane takes part.
        atomicAdd(&window.limbs[select((position >> 4u) + part % 3u, INFINITE, infinite)], select(value, 1u, infinite));
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    len = window.len;
    coefficient = window.coefficient;
    for (var block = 0u; block < BLOCKS; block++) {
        let first = (workgroup.x * BLOCKS + block) * BLOCK + lane;
        var sum = 0.0;
        for (var i = first; i < first + BLOCK; i += 4u * LANES) {
            sum += (evaluate(i) + evaluate(i + LANES)) + (evaluate(i + 2u * LANES) + evaluate(i + 3u * LANES));
        }
        lane_sums[block * LANES + lane] = sum;
    }
    lane_invalid[lane] = invalid;
    workgroupBarrier();
    for (var group = lane; group < GROUPS * BLOCKS; group += LANES) {
        group_sums[group] = group_sum(group);
    }
    workgroupBarrier();
    if lane < BLOCKS {
        add_block(lane * GROUPS);
        var first_invalid = 0u;
        for (var other = lane; other < LANES; other += BLOCKS) {
            first_invalid = max(first_invalid, lane_invalid[other]);
        }
        if first_invalid != 0u {
            atomicMax(&window.invalid, first_invalid);
        }
    }
}
