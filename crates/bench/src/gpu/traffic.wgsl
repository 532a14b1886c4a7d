// Kernels that move 16 or 4 bytes per lane and step, and compute nothing: the bandwidth of the memory of a device.
//
//   source, destination            [len] words of 16 bytes, where len is the number that is bound
//   sources, destinations          the same bytes as scalars of 4: faster on software adapters
//
// A workgroup moves 256 · STEPS consecutive words or scalars, lane l those at l, l + 256, ...

override STEPS: u32 = 1u;

@group(0) @binding(0) var<storage, read_write> destination: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(0) var<storage, read_write> destinations: array<u32>;
@group(0) @binding(1) var<storage, read> sources: array<u32>;

const LANES: u32 = 256u;

@compute @workgroup_size(256)
fn copy_words(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = group.x * LANES * STEPS + lane;
    for (var step = 0u; step < STEPS; step++) {
        let i = first + step * LANES;
        if i < arrayLength(&source) {
            destination[i] = source[i];
        }
    }
}

// A compiler removes reads that have no effect: what was read is written if it is a value that `fill_words` never writes.
@compute @workgroup_size(256)
fn read_words(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = group.x * LANES * STEPS + lane;
    var seen = vec4<u32>();
    for (var step = 0u; step < STEPS; step++) {
        let i = first + step * LANES;
        if i < arrayLength(&source) {
            seen |= source[i];
        }
    }
    if all(seen == vec4<u32>(0xffffffffu)) {
        destination[0] = seen;
    }
}

// Writes no value with the highest bit set, and no page of zeros, which some systems share.
@compute @workgroup_size(256)
fn fill_words(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = group.x * LANES * STEPS + lane;
    for (var step = 0u; step < STEPS; step++) {
        let i = first + step * LANES;
        if i < arrayLength(&destination) {
            destination[i] = vec4<u32>(i, i * 0x9e3779b9u, ~i, 0x55555555u) & vec4<u32>(0x7fffffffu);
        }
    }
}

@compute @workgroup_size(256)
fn copy_scalars(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = group.x * LANES * STEPS + lane;
    for (var step = 0u; step < STEPS; step++) {
        let i = first + step * LANES;
        if i < arrayLength(&sources) {
            destinations[i] = sources[i];
        }
    }
}

@compute @workgroup_size(256)
fn read_scalars(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = group.x * LANES * STEPS + lane;
    var seen = 0u;
    for (var step = 0u; step < STEPS; step++) {
        let i = first + step * LANES;
        if i < arrayLength(&sources) {
            seen |= sources[i];
        }
    }
    if seen == 0xffffffffu {
        destinations[0] = seen;
    }
}
