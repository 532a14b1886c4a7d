// Counts the predictions below a threshold, and those at it or above. Ignored and masked elements are on neither side,
// nor is NaN; -0 equals 0. The counts are exact.
//
// An accumulator is a file of this folder with two functions, which begin with its name:
//
//   NAME_accumulate(i, x, z, v)  takes an element that counts, once: its index in the window, its prediction, its target
//                                and its data weight, whether or not they are valid. Adds to variables of the lane
//                                (var<private>), or atomically to `counts`.
//   NAME_end(lane)               is called once by each lane of a workgroup, in uniform control flow, after its last
//                                element. Adds the lanes' counts, first in workgroup memory, to `counts`.
//
// The counts of NAME are the words of the window's array `counts` from the constant NAME_COUNTS on, which is declared in
// front of the file; they are 0 at first. Parameters are fields of `window.parameters`. src/gpu/accumulators.rs
// describes the part in Rust.

// The number of lanes that each add up the counts of 16 lanes.
const THRESHOLD_GROUPS: u32 = 16u;

// The number of elements of this lane below the threshold, and at it or above.
var<private> threshold_sides: vec2<u32>;
var<workgroup> threshold_lanes: array<vec2<u32>, LANES>;

// A number that orders floats as they are ordered. By the bits: a comparison of floats may be compiled as if there were
// no NaN, and flush subnormals.
fn threshold_key(bits: u32) -> u32 {
    if FORM == FORM_END_DISTANCES {
        let magnitude = bits & 0x7fffffffu;
        // (Those that are stored as logarithms are equal to 0.)
        let distance = select(magnitude, 0u, magnitude > HALF_BITS);
        return select(distance, 2u * HALF_BITS - distance, (bits & SIGN_BIT) != 0u);
    }
    let positive = select(bits, 0u, bits == SIGN_BIT);
    return select(positive | SIGN_BIT, ~positive, (positive & SIGN_BIT) != 0u);
}

fn threshold_accumulate(i: u32, x: f32, z: f32, v: f32) {
    let bits = bitcast<u32>(x);
    let above = threshold_key(bits) >= window.parameters.threshold;
    let side = select(vec2<u32>(1u, 0u), vec2<u32>(0u, 1u), above);
    threshold_sides += select(side, vec2<u32>(), is_nan(bits));
}

fn threshold_end(lane: u32) {
    threshold_lanes[lane] = threshold_sides;
    workgroupBarrier();
    if lane < THRESHOLD_GROUPS {
        var sides = threshold_sides;
        for (var other = lane + THRESHOLD_GROUPS; other < LANES; other += THRESHOLD_GROUPS) {
            sides += threshold_lanes[other];
        }
        threshold_lanes[lane] = sides;
    }
    workgroupBarrier();
    if lane == 0u {
        var sides = vec2<u32>();
        for (var group = 0u; group < THRESHOLD_GROUPS; group++) {
            sides += threshold_lanes[group];
        }
        atomicAdd(&counts[THRESHOLD_COUNTS], sides.x);
        atomicAdd(&counts[THRESHOLD_COUNTS + 1u], sides.y);
    }
}
