// Blocks of 2048 consecutive rows of one class, lane l the rows l, l + 256, l + 512, ... of each; one block a workgroup.
// There is a sum for each class, and one over all.

// The number of blocks of a class.
fn class_blocks() -> u32 {
    return (len / window.parameters.classes + BLOCK - 1u) / BLOCK;
}

fn lane_sum(block: u32, lane: u32) -> vec2<f32> {
    let classes = window.parameters.classes;
    let row = (block % class_blocks()) * BLOCK + lane;
    return eight(row * classes + block / class_blocks(), LANES * classes, len);
}

fn add_limb(series: u32, block: u32, limb: u32, addend: u32) {
    atomicAdd(&window.sums.limbs[series * SERIES_LIMBS + limb], addend);
    if series == 0u {
        atomicAdd(&class_sums[block / class_blocks()].limbs[limb], addend);
    }
}

fn add_count(block: u32, counted: u32) {
    atomicAdd(&window.sums.count, counted);
    atomicAdd(&class_sums[block / class_blocks()].count, counted);
}
