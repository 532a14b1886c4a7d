//! Records an evaluation into the application's command encoder, between its own passes and with its own buffers.
//!
//! The library evaluates logits, and a shader of the application moves the logits along the gradient, ten times in one
//! submission. Only the result block at the end is copied to the host.

#![expect(clippy::print_stdout, reason = "an example prints its results")]

use logloss::{
    BufferRegion, DeviceBatch, DeviceOutputs, DeviceSink, Engine, Form, Objective, PredictionType, ResultBlock,
    TargetType,
    wgpu::{self, BufferUsages as Usage, util::DeviceExt},
};

const N: u64 = 100_000;

const SHADER: &str = "
@group(0) @binding(0) var<storage, read_write> logits: array<f32>;
@group(0) @binding(1) var<storage, read> gradients: array<f32>;

@compute @workgroup_size(64)
fn step(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < arrayLength(&logits) {
        logits[id.x] -= 50000.0 * gradients[id.x];
    }
}
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The device and queue of the application. A software adapter is sufficient.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default()))?;
    let (device, queue) = pollster::block_on(adapter.request_device(&Default::default()))?;

    // The buffers of the application. The gradient is a region of a larger buffer, at an offset.
    let logits = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("logits"),
        size: N * 4,
        usage: Usage::STORAGE,
        mapped_at_creation: false,
    });
    let labels: Vec<u8> = (0..N).map(|i| u8::from(i % 4 == 0)).collect();
    let labels = device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
        label: Some("labels"),
        contents: &labels,
        usage: Usage::STORAGE,
    });
    let scratch = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("scratch"),
        size: 1024 + N * 4,
        usage: Usage::STORAGE,
        mapped_at_creation: false,
    });
    let gradient = BufferRegion::new(scratch.clone(), 1024);

    // The evaluation is prepared once. All checks are made here, none while recording.
    let engine = Engine::from_wgpu(device.clone(), queue.clone())?;
    let batch = DeviceBatch::from_buffers(
        Form::Logits,
        N,
        (PredictionType::F32, logits.clone().into()),
        (TargetType::U8, labels.into()),
    );
    let outputs = DeviceOutputs::none().with_gradient(DeviceSink::Into(gradient));
    let evaluation = engine.prepare(&batch, &Objective::mean(), outputs)?;

    // The pass of the application.
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("step"),
        source: wgpu::ShaderSource::Wgsl(SHADER.into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("step"),
        layout: None,
        module: &module,
        entry_point: Some("step"),
        compilation_options: Default::default(),
        cache: None,
    });
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("step"),
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[
            wgpu::BindGroupEntry { binding: 0, resource: logits.as_entire_binding() },
            wgpu::BindGroupEntry {
                binding: 1,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &scratch,
                    offset: 1024,
                    size: wgpu::BufferSize::new(N * 4),
                }),
            },
        ],
    });

    // Ten steps in one encoder, and a copy of the last result.
    let readback = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("readback"),
        size: ResultBlock::SIZE,
        usage: Usage::COPY_DST | Usage::MAP_READ,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    for _ in 0..10 {
        evaluation.record(&mut encoder);
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(N.div_ceil(64) as u32, 1, 1);
    }
    evaluation.record(&mut encoder);
    encoder.copy_buffer_to_buffer(evaluation.result(), 0, &readback, 0, ResultBlock::SIZE);
    queue.submit([encoder.finish()]);

    readback.slice(..).map_async(wgpu::MapMode::Read, |mapped| mapped.expect("the device was lost"));
    device.poll(wgpu::PollType::wait_indefinitely())?;
    let block: ResultBlock = *bytemuck::from_bytes(&readback.slice(..).get_mapped_range()?);
    println!(
        "after 10 steps: status {}, mean loss {:.6} (exactly {})",
        block.status,
        block.mean,
        block.partials().mean()
    );
    Ok(())
}
