// Blocks of 256 rows, one a lane, its elements in eights; one block a workgroup. Each row's mean is stored, and the
// losses of all rows are added up.

fn lane_sum(block: u32, lane: u32) -> vec2<f32> {
    let classes = window.parameters.classes;
    let row = block * LANES + lane;
    if row >= len / classes {
        return vec2<f32>();
    }
    let counted = count;
    let invalid_before = invalid;
    var sum = vec2<f32>();
    for (var c = 0u; c < classes; c += 8u) {
        sum += eight(row * classes + c, 1u, (row + 1u) * classes);
    }
    var mean = bitcast<u32>(sum.x / f32(max(count - counted, 1u)));
    if count == counted {
        mean = window.parameters.empty;
    }
    row_means[row] = select(NAN_BITS, mean, invalid == invalid_before);
    return sum;
}

fn add_limb(series: u32, block: u32, limb: u32, addend: u32) {
    atomicAdd(&window.sums.limbs[series * SERIES_LIMBS + limb], addend);
}

fn add_count(block: u32, counted: u32) {
    atomicAdd(&window.sums.count, counted);
}
