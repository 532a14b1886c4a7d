// Outputs of which some are f16 or bf16, two a word: a lane takes pairs of neighbours, and so writes whole words.
//
// The sums are those of sums/all.wgsl, bit for bit: a lane stands for two of a block's there, and the workgroup takes
// two blocks at a time. Sums by class or row have other neighbours: `store_alone` is a pass for the outputs only.
//
// Follows kernel.wgsl and a file of sums/.

// Loss, gradient and hessian of the element evaluated last, as bits of f32.
var<private> latest: vec3<u32>;

fn store(i: u32, element: Element, valid: bool) {
    let bits = vec3<u32>(bitcast<u32>(element.loss), scaled_bits(element.gradient), scaled_bits(element.hessian));
    latest = select(vec3<u32>(NAN_BITS), bits, valid);
}

// The bits of an f32 as those of the nearest f16, of two the even one; past the largest ±inf, a NaN stays one. In
// integers, as not every driver rounds like that, or keeps subnormals.
fn encode_f16(bits: u32) -> u32 {
    let magnitude = bits & 0x7fffffffu;
    let sign = (bits >> 16u) & 0x8000u;
    if magnitude > INFINITY_BITS {
        return sign | 0x7e00u | ((magnitude >> 13u) & 0x03ffu);
    }
    // With the exponent of f16, and rounded up where more than half, or half of an odd one, is cut off.
    let rebiased = magnitude - ((127u - 15u) << 23u);
    let normal = min((rebiased + 0x0fffu + ((rebiased >> 13u) & 1u)) >> 13u, 0x7c00u);
    // Below 2^-14: the mantissa in units of 2^-24. Values below 2^-26 become 0 whatever their exponent.
    let shift = clamp(126u - min(magnitude >> 23u, 112u), 14u, 25u);
    let mantissa = (magnitude & 0x007fffffu) | 0x00800000u;
    let subnormal = (mantissa + (1u << (shift - 1u)) - 1u + ((mantissa >> shift) & 1u)) >> shift;
    return sign | select(normal, subnormal, magnitude < (113u << 23u));
}

// Likewise as those of a bfloat16, whose range is that of f32.
fn encode_bf16(bits: u32) -> u32 {
    let rounded = (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
    return select(rounded, (bits >> 16u) | 0x0040u, (bits & 0x7fffffffu) > INFINITY_BITS);
}

fn encode(output: u32, bits: u32) -> u32 {
    if output == OUTPUT_BF16 {
        return encode_bf16(bits);
    }
    return encode_f16(bits);
}

// Stores the requested outputs of elements i and i + 1, i even.
fn store_pair(i: u32, low: vec3<u32>, high: vec3<u32>) {
    if LOSS == OUTPUT_F32 {
        write_losses(i, low.x);
        write_losses(i + 1u, high.x);
    } else if LOSS != OUTPUT_NONE {
        write_losses(i >> 1u, encode(LOSS, low.x) | (encode(LOSS, high.x) << 16u));
    }
    if GRADIENT == OUTPUT_F32 {
        write_gradients(i, low.y);
        write_gradients(i + 1u, high.y);
    } else if GRADIENT != OUTPUT_NONE {
        write_gradients(i >> 1u, encode(GRADIENT, low.y) | (encode(GRADIENT, high.y) << 16u));
    }
    if HESSIAN == OUTPUT_F32 {
        write_hessians(i, low.z);
        write_hessians(i + 1u, high.z);
    } else if HESSIAN != OUTPUT_NONE {
        write_hessians(i >> 1u, encode(HESSIAN, low.z) | (encode(HESSIAN, high.z) << 16u));
    }
}

// Stores the requested outputs of the last element, i even. The other half of its word is kept.
fn store_last(i: u32, bits: vec3<u32>) {
    let word = i >> 1u;
    if LOSS == OUTPUT_F32 {
        write_losses(i, bits.x);
    } else if LOSS != OUTPUT_NONE {
        write_losses(word, encode(LOSS, bits.x) | (read_losses(word) & 0xffff0000u));
    }
    if GRADIENT == OUTPUT_F32 {
        write_gradients(i, bits.y);
    } else if GRADIENT != OUTPUT_NONE {
        write_gradients(word, encode(GRADIENT, bits.y) | (read_gradients(word) & 0xffff0000u));
    }
    if HESSIAN == OUTPUT_F32 {
        write_hessians(i, bits.z);
    } else if HESSIAN != OUTPUT_NONE {
        write_hessians(word, encode(HESSIAN, bits.z) | (read_hessians(word) & 0xffff0000u));
    }
}

// Evaluates elements i and i + 1, i even, stores their requested outputs, and returns the loss and weight of each.
fn evaluate_pair(i: u32) -> vec4<f32> {
    let low = evaluate(i);
    let low_bits = latest;
    let high = evaluate(i + 1u);
    if i + 1u < len {
        store_pair(i, low_bits, latest);
    } else if i < len {
        store_last(i, low_bits);
    }
    return vec4<f32>(low, high);
}

// What `eight` of kernel.wgsl returns for lanes of a block that are neighbours, which start at element `first`.
fn eight_pairs(first: u32) -> vec4<f32> {
    var sums = vec4<f32>();
    for (var k = 0u; k < 8u; k += 4u) {
        let i = first + k * LANES;
        sums += (evaluate_pair(i) + evaluate_pair(i + LANES))
            + (evaluate_pair(i + 2u * LANES) + evaluate_pair(i + 3u * LANES));
    }
    return sums;
}

// Takes the blocks of a workgroup, which are an even number.
fn take_blocks(workgroup: u32, lane: u32) {
    for (var b = 0u; b < BLOCKS; b += 2u) {
        let place = b * LANES + 2u * lane;
        let block = workgroup * BLOCKS + place / LANES;
        let sums = eight_pairs(block * BLOCK + place % LANES);
        put_sum(place, sums.xy);
        put_sum(place + 1u, sums.zw);
    }
}

// Only stores: each workgroup takes the 2048 elements from its own first on.
@compute @workgroup_size(LANES)
fn store_alone(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    begin();
    for (var k = 0u; k < 4u; k++) {
        evaluate_pair(workgroup.x * BLOCK + 2u * (k * LANES + lane));
    }
}
