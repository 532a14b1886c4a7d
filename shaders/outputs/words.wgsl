// Outputs of f32, a word each: a lane writes its elements one by one.
//
// Follows kernel.wgsl and a file of sums/.

fn store(i: u32, element: Element, valid: bool) {
    if LOSS == OUTPUT_F32 {
        losses[i] = select(NAN_BITS, bitcast<u32>(element.loss), valid);
    }
    if GRADIENT == OUTPUT_F32 {
        gradients[i] = select(NAN_BITS, scaled_bits(element.gradient), valid);
    }
    if HESSIAN == OUTPUT_F32 {
        hessians[i] = select(NAN_BITS, scaled_bits(element.hessian), valid);
    }
}

// Takes the blocks of a workgroup.
fn take_blocks(workgroup: u32, lane: u32) {
    for (var b = 0u; b < BLOCKS; b++) {
        put_sum(b * LANES + lane, lane_sum(workgroup * BLOCKS + b, lane));
    }
}
