// Adds up the sums of all windows of a batch, in one lane, writes the result block, and leaves the sums at 0 for the
// next evaluation.
//
//   batch    the parameters of the whole batch
//   windows  [windows] of `stride` words, which begin with the sums of a window
//   result   64 words, laid out as `ResultBlock` in the documentation
//
// Follows declarations made by src/gpu/layout.rs: BatchParameters, the places of a window's words,
// BLOCK_BITS (the logarithm of a block's number of values), and UNIT_EXPONENT (limb l counts units of
// 2^(16 l + UNIT_EXPONENT)).

const NAN_BITS: u32 = 0x7fc00000u;
const INFINITY_BITS: u32 = 0x7f800000u;

struct ResultBlock {
    status: u32,
    infinite: u32,
    first_invalid_low: u32,
    first_invalid_high: u32,
    count_low: u32,
    count_high: u32,
    sum: u32,
    mean: u32,
    weight: f32,
    reserved: array<u32, 7>,
    limbs: array<u32, RESULT_LIMBS>,
    weight_limbs: array<u32, RESULT_LIMBS>,
}

// A number v·2^e with 32 bits in v.
struct Wide {
    v: f32,
    e: i32,
}

@group(0) @binding(0) var<storage, read> batch: BatchParameters;
@group(0) @binding(1) var<storage, read_write> windows: array<u32>;
@group(0) @binding(2) var<storage, read_write> result: ResultBlock;

// The sum of one series over all windows.
var<private> limbs: array<u32, RESULT_LIMBS>;

// 2^e for -126 <= e <= 127.
fn power_of_two(e: i32) -> f32 {
    return bitcast<f32>(u32(e + 127) << 23u);
}

// v · 2^e in steps that a float's exponent can hold; 0 or +inf past its range.
fn scaled(wide: Wide) -> f32 {
    let third = wide.e / 3;
    return wide.v * power_of_two(third) * power_of_two(third) * power_of_two(wide.e - 2 * third);
}

// index = window · first + local, as two halves: a product of 32 by 26 bits.
fn store_first_invalid(first: u32, local: u32) {
    let low = (first & 0xffffu) * (batch.window >> BLOCK_BITS);
    let high = (first >> 16u) * (batch.window >> BLOCK_BITS);
    // (high · 2^16 + low) · BLOCK + local; a window is a multiple of BLOCK where there are several, low and high have at
    // most 31 bits.
    let part = low << BLOCK_BITS;
    let middle = high << (16u + BLOCK_BITS);
    let sum = part + middle;
    let index = sum + local;
    let carry = select(0u, 1u, sum < part) + select(0u, 1u, index < sum);
    result.first_invalid_low = index;
    result.first_invalid_high = (low >> (32u - BLOCK_BITS)) + (high >> (16u - BLOCK_BITS)) + carry;
}

// Adds up a series into `limbs`, leaves it at 0, and says whether an infinity was in it.
fn add_up(series: u32) -> bool {
    limbs = array<u32, RESULT_LIMBS>();
    var infinite = 0u;
    for (var w = 0u; w < batch.windows; w++) {
        let base = w * batch.stride + series * SERIES_LIMBS;
        var carry = 0u;
        for (var l = 0u; l < LIMBS; l++) {
            // A window's limb may use all 32 bits: its upper half belongs to the next limb.
            let limb = windows[base + l];
            let sum = limbs[l] + (limb & 0xffffu) + carry;
            limbs[l] = sum & 0xffffu;
            carry = (sum >> 16u) + (limb >> 16u);
            windows[base + l] = 0u;
        }
        limbs[LIMBS] += carry & 0xffffu;
        limbs[LIMBS + 1u] += carry >> 16u;
        infinite |= windows[base + INFINITE];
        windows[base + INFINITE] = 0u;
    }
    return infinite != 0u;
}

// The number that `limbs` hold.
fn wide() -> Wide {
    var top = 2u;
    for (var l = 2u; l < RESULT_LIMBS; l++) {
        if limbs[l] != 0u {
            top = l;
        }
    }
    // The 32 leading bits, and the power of two that the last of them weighs.
    let leading = (limbs[top] << 16u) | limbs[top - 1u];
    let shift = min(countLeadingZeros(leading), 15u);
    let bits = (leading << shift) | (limbs[top - 2u] >> (16u - shift));
    return Wide(f32(bits), i32(16u * (top - 1u)) - i32(shift) + UNIT_EXPONENT);
}

// The number of elements counted, as two halves; leaves the windows' counts at 0.
fn add_up_count() -> vec2<u32> {
    if batch.counted == 0u {
        return vec2<u32>(batch.count_low, batch.count_high);
    }
    var count = vec2<u32>();
    for (var w = 0u; w < batch.windows; w++) {
        let low = count.x + windows[w * batch.stride + COUNT];
        count.y += select(0u, 1u, low < count.x);
        count.x = low;
        windows[w * batch.stride + COUNT] = 0u;
    }
    return count;
}

fn to_float(count: vec2<u32>) -> f32 {
    return f32(count.y) * 4294967296.0 + f32(count.x);
}

@compute @workgroup_size(1)
fn finish() {
    result.first_invalid_low = 0xffffffffu;
    result.first_invalid_high = 0xffffffffu;
    var status = 0u;
    for (var w = 0u; w < batch.windows; w++) {
        let invalid = ~windows[w * batch.stride + INVALID];
        windows[w * batch.stride + INVALID] = 0u;
        if status == 0u && invalid != 0xffffffffu {
            status = invalid & 3u;
            store_first_invalid(w, invalid >> 2u);
        }
    }
    let count = add_up_count();
    var divisor = Wide(to_float(count), 0);
    if batch.counted != 0u {
        add_up(1u);
        let weight = wide();
        result.weight = scaled(weight);
        result.weight_limbs = limbs;
        if batch.weighted != 0u {
            divisor = weight;
        }
    } else {
        result.weight = to_float(count);
    }
    let infinite = add_up(0u);
    let value = wide();
    result.limbs = limbs;
    result.status = status;
    result.infinite = select(0u, 1u, infinite);
    result.count_low = count.x;
    result.count_high = count.y;
    var sum = bitcast<u32>(scaled(value));
    var mean = bitcast<u32>(scaled(Wide(value.v / max(divisor.v, 1.0), value.e - divisor.e)));
    if infinite {
        sum = INFINITY_BITS;
        mean = INFINITY_BITS;
    }
    if divisor.v == 0.0 {
        mean = batch.empty;
    }
    if status != 0u {
        sum = NAN_BITS;
        mean = NAN_BITS;
    }
    result.sum = sum;
    result.mean = mean;
}

// After a pass that only counts and weighs: divides the scale by what the mean divides by, for every window.
@compute @workgroup_size(1)
fn divide() {
    let count = add_up_count();
    add_up(1u);
    var divisor = Wide(to_float(count), 0);
    if batch.weighted != 0u {
        divisor = wide();
    }
    let coefficient = scaled(Wide(batch.scale / max(divisor.v, 1.0), -divisor.e));
    for (var w = 0u; w < batch.windows; w++) {
        windows[w * batch.stride + COEFFICIENT] = bitcast<u32>(coefficient);
        windows[w * batch.stride + INVALID] = 0u;
    }
}
