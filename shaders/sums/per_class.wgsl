// Blocks of 2048 consecutive rows of one class, lane l the rows l, l + 256, l + 512, ... of each; one block a workgroup.
// Each class is added up for itself, and all are.

struct ClassSum {
    limbs: array<atomic<u32>, 23>,
    count: atomic<u32>,
}

@group(0) @binding(8) var<storage, read_write> class_sums: array<ClassSum>;

// Blocks a class has.
fn class_blocks() -> u32 {
    return (len / window.classes + BLOCK - 1u) / BLOCK;
}

fn lane_sum(block: u32, lane: u32) -> vec2<f32> {
    let classes = window.classes;
    let row = (block % class_blocks()) * BLOCK + lane;
    return eight(row * classes + block / class_blocks(), LANES * classes, len);
}

fn add_limb(series: u32, block: u32, limb: u32, addend: u32) {
    atomicAdd(&window.limbs[series * SERIES_LIMBS + limb], addend);
    if series == 0u {
        atomicAdd(&class_sums[block / class_blocks()].limbs[limb], addend);
    }
}

fn add_count(block: u32, counted: u32) {
    atomicAdd(&window.count, counted);
    atomicAdd(&class_sums[block / class_blocks()].count, counted);
}
