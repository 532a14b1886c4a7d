// Blocks of 2048 consecutive elements, lane l the elements l, l + 256, l + 512, ... of each. All are added up.

fn lane_sum(block: u32, lane: u32) -> vec2<f32> {
    return eight(block * BLOCK + lane, LANES, len);
}

fn add_limb(series: u32, block: u32, limb: u32, addend: u32) {
    atomicAdd(&window.sums.limbs[series * SERIES_LIMBS + limb], addend);
}

fn add_count(block: u32, counted: u32) {
    atomicAdd(&window.sums.count, counted);
}
