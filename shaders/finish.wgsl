// Adds up the sums of all windows of a batch, in one lane, writes the result block, and leaves the sums at 0 for the
// next evaluation.
//
//   windows  [windows] of 64 words, the first 24 the sum of a Window of kernel.wgsl
//   result   32 words, laid out as `ResultBlock` in the documentation

const LIMBS: u32 = 22u;
const STRIDE: u32 = 64u;
const INFINITE: u32 = 22u;
const INVALID: u32 = 23u;
const NAN_BITS: u32 = 0x7fc00000u;
const INFINITY_BITS: u32 = 0x7f800000u;

struct Totals {
    windows: u32,
    // Elements in every window but the last, at most 2^26.
    window: u32,
    // Elements in all, low and high half.
    count_low: u32,
    count_high: u32,
}

struct ResultBlock {
    status: u32,
    infinite: u32,
    first_invalid_low: u32,
    first_invalid_high: u32,
    count_low: u32,
    count_high: u32,
    sum: u32,
    mean: u32,
    limbs: array<u32, 24>,
}

@group(0) @binding(0) var<storage, read> totals: Totals;
@group(0) @binding(1) var<storage, read_write> windows: array<u32>;
@group(0) @binding(2) var<storage, read_write> result: ResultBlock;

// 2^e for -126 <= e <= 127.
fn power_of_two(e: i32) -> f32 {
    return bitcast<f32>(u32(e + 127) << 23u);
}

// v · 2^e in steps that a float's exponent can hold; 0 or +inf past its range.
fn scaled(v: f32, e: i32) -> f32 {
    let third = e / 3;
    return v * power_of_two(third) * power_of_two(third) * power_of_two(e - 2 * third);
}

// index = window · first + local, as two halves: a product of 32 by 26 bits.
fn store_first_invalid(first: u32, local: u32) {
    let low = (first & 0xffffu) * (totals.window >> 11u);
    let high = (first >> 16u) * (totals.window >> 11u);
    // (high · 2^16 + low) · 2^11 + local; a window is a multiple of 2^11, low and high have at most 31 bits.
    let part = low << 11u;
    let middle = high << 27u;
    let sum = part + middle;
    let index = sum + local;
    let carry = select(0u, 1u, sum < part) + select(0u, 1u, index < sum);
    result.first_invalid_low = index;
    result.first_invalid_high = (low >> 21u) + (high >> 5u) + carry;
}

@compute @workgroup_size(1)
fn finish() {
    var limbs: array<u32, 24>;
    var infinite = 0u;
    var status = 0u;
    result.first_invalid_low = 0xffffffffu;
    result.first_invalid_high = 0xffffffffu;
    for (var w = 0u; w < totals.windows; w++) {
        let base = w * STRIDE;
        var carry = 0u;
        for (var l = 0u; l < LIMBS; l++) {
            // A window's limb may use all 32 bits: its upper half belongs to the next limb.
            let limb = windows[base + l];
            let sum = limbs[l] + (limb & 0xffffu) + carry;
            limbs[l] = sum & 0xffffu;
            carry = (sum >> 16u) + (limb >> 16u);
        }
        limbs[LIMBS] += carry & 0xffffu;
        limbs[LIMBS + 1u] += carry >> 16u;
        infinite |= windows[base + INFINITE];
        let invalid = ~windows[base + INVALID];
        for (var word = 0u; word <= INVALID; word++) {
            windows[base + word] = 0u;
        }
        if status == 0u && invalid != 0xffffffffu {
            status = invalid & 3u;
            store_first_invalid(w, invalid >> 2u);
        }
    }
    var top = 0u;
    for (var l = 0u; l < 24u; l++) {
        result.limbs[l] = limbs[l];
        if limbs[l] != 0u {
            top = l;
        }
    }
    top = max(top, 2u);
    // The 32 leading bits, and the power of two that the last of them weighs.
    let leading = (limbs[top] << 16u) | limbs[top - 1u];
    let shift = min(countLeadingZeros(leading), 15u);
    let bits = (leading << shift) | (limbs[top - 2u] >> (16u - shift));
    let exponent = i32(16u * (top - 1u)) - i32(shift) - 173;
    let count = f32(totals.count_high) * 4294967296.0 + f32(totals.count_low);
    result.status = status;
    result.infinite = select(0u, 1u, infinite != 0u);
    result.count_low = totals.count_low;
    result.count_high = totals.count_high;
    var sum = bitcast<u32>(scaled(f32(bits), exponent));
    var mean = bitcast<u32>(scaled(f32(bits) / max(count, 1.0), exponent));
    if infinite != 0u {
        sum = INFINITY_BITS;
        mean = INFINITY_BITS;
    }
    if (totals.count_low | totals.count_high) == 0u {
        mean = NAN_BITS;
    }
    if status != 0u {
        sum = NAN_BITS;
        mean = NAN_BITS;
    }
    result.sum = sum;
    result.mean = mean;
}
