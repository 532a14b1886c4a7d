// Outputs of f32, a word each: a lane writes its elements one by one.
//
// Follows kernel.wgsl and a file of sums/.

fn store(i: u32, element: Element, valid: bool) {
    if LOSS == OUTPUT_F32 {
        write_losses(i, select(NAN_BITS, bitcast<u32>(element.loss), valid));
    }
    if GRADIENT == OUTPUT_F32 {
        write_gradients(i, select(NAN_BITS, scaled_bits(element.gradient), valid));
    }
    if HESSIAN == OUTPUT_F32 {
        write_hessians(i, select(NAN_BITS, scaled_bits(element.hessian), valid));
    }
}

// Takes the blocks of a workgroup.
fn take_blocks(workgroup: u32, lane: u32) {
    for (var b = 0u; b < BLOCKS; b++) {
        put_sum(b * LANES + lane, lane_sum(workgroup * BLOCKS + b, lane));
    }
}

// Only stores: each workgroup takes the 2048 elements from its own first on.
@compute @workgroup_size(LANES)
fn store_alone(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    begin();
    for (var k = 0u; k < 8u; k++) {
        evaluate(workgroup.x * BLOCK + k * LANES + lane);
    }
}
