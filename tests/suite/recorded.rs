//! Evaluations that are recorded into the caller's encoder, with the caller's device and buffers.

use std::sync::{Arc, Mutex};

use logloss::{
    BLOCK, BufferRegion, DeviceBatch, DeviceOutputs, DeviceSink, Engine, ExactSum, Form, Objective, Outputs,
    PredictionType, Prepared, ResultBlock, TargetType,
    wgpu::{self, BufferUsages, util::DeviceExt},
};

use crate::common::{Random, all, batch, gpu_engines, results};

const LEN: usize = 9 * BLOCK + 101;

/// A caller with its own device, which collects the uncaptured errors.
struct Caller {
    device: wgpu::Device,
    queue: wgpu::Queue,
    engine: Engine,
    uncaptured: Arc<Mutex<Vec<String>>>,
}

impl Drop for Caller {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let uncaptured = self.uncaptured.lock().expect("no panic");
            assert!(uncaptured.is_empty(), "{uncaptured:?}");
        }
    }
}

#[expect(clippy::print_stderr, reason = "shown when a test fails")]
fn callers() -> Vec<Caller> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    assert_eq!(adapters.len(), logloss::devices().adapters.len());
    adapters
        .into_iter()
        .map(|adapter| {
            // Only the limits that every WebGPU device has are requested.
            let (device, queue) =
                pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).expect("a device");
            let uncaptured = Arc::new(Mutex::new(Vec::new()));
            let kept = uncaptured.clone();
            device.on_uncaptured_error(Arc::new(move |error| {
                eprintln!("{error}");
                kept.lock().expect("no panic").push(error.to_string());
            }));
            let engine = Engine::from_wgpu(device.clone(), queue.clone()).expect("WebGPU's defaults are enough");
            Caller { device, queue, engine, uncaptured }
        })
        .collect()
}

impl Caller {
    /// A buffer with these bytes at `offset`, and filler bytes around them.
    fn buffer(&self, offset: u64, content: &[u8]) -> BufferRegion {
        let mut contents = vec![0xff; offset as usize];
        contents.extend_from_slice(content);
        contents.resize(contents.len().next_multiple_of(4) + 64, 0xff);
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let buffer = self.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: None,
            contents: &contents,
            usage,
        });
        BufferRegion::new(buffer, offset)
    }

    /// The content of a whole buffer.
    fn read(&self, buffer: &wgpu::Buffer) -> Vec<u8> {
        let staging = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: buffer.size(),
            usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, buffer.size());
        self.queue.submit([encoder.finish()]);
        staging.slice(..).map_async(wgpu::MapMode::Read, |mapped| mapped.expect("mapped"));
        self.device.poll(wgpu::PollType::wait_indefinitely()).expect("the device works");
        let view = staging.get_mapped_range(..).expect("mapped");
        view.to_vec()
    }

    fn words(&self, buffer: &wgpu::Buffer) -> Vec<u32> {
        let words = self.read(buffer);
        words.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("4 bytes"))).collect()
    }

    fn block(&self, prepared: &Prepared) -> Block {
        let words = self.words(prepared.result());
        assert_eq!(words.len() * 4, ResultBlock::SIZE as usize);
        Block(words)
    }

    fn record(&self, prepared: &[&Prepared]) {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        prepared.iter().for_each(|prepared| prepared.record(&mut encoder));
        self.queue.submit([encoder.finish()]);
    }
}

/// A result block, read as documented.
struct Block(Vec<u32>);

impl Block {
    fn status(&self) -> u32 {
        self.0[0]
    }
    fn first_invalid(&self) -> u64 {
        u64::from(self.0[3]) << 32 | u64::from(self.0[2])
    }
    fn count(&self) -> u64 {
        u64::from(self.0[5]) << 32 | u64::from(self.0[4])
    }
    fn sum(&self) -> f32 {
        f32::from_bits(self.0[6])
    }
    fn mean(&self) -> f32 {
        f32::from_bits(self.0[7])
    }
    fn weight(&self) -> f32 {
        f32::from_bits(self.0[8])
    }
    fn exact(&self) -> ExactSum {
        Self::limbs(&self.0[16..40])
    }
    fn exact_weight(&self) -> ExactSum {
        Self::limbs(&self.0[40..64])
    }
    fn limbs(limbs: &[u32]) -> ExactSum {
        assert!(limbs.len() == 24 && limbs.iter().all(|&limb| limb < 65536), "{limbs:x?}");
        ExactSum::of((0..).zip(limbs).map(|(l, &limb)| f64::from(limb) * 2f64.powi(16 * l - 173)))
    }
}

#[test]
fn callers_buffers_at_offsets() {
    let mut random = Random(61);
    let (predictions, labels) = (random.predictions(Form::Logits, LEN), random.labels(LEN));
    let host = batch(Form::Logits, &predictions, &labels);
    for caller in callers() {
        let wanted = all(&caller.engine, &host, &Objective::mean());
        for offset in [0, 256, 512, 4096] {
            let there = DeviceBatch::from_buffers(
                Form::Logits,
                LEN as u64,
                (PredictionType::F32, caller.buffer(offset, bytemuck::cast_slice(&predictions))),
                (TargetType::U8, caller.buffer(4096 - offset, &labels)),
            );
            let gradient = caller.buffer(offset, &[0xff; LEN * 4]);
            let hessian = caller.buffer(0, &[0xff; LEN * 4]);
            let mut outputs = DeviceOutputs::none();
            outputs.gradient = DeviceSink::Into(gradient.clone());
            outputs.hessian = DeviceSink::Into(hessian.clone());
            let prepared = caller.engine.prepare(&there, &Objective::mean(), outputs).expect("valid");
            assert_eq!(prepared.gradient(), Some(&gradient));
            assert!(prepared.loss().is_none());
            // Neither preparing nor recording writes to the buffers.
            assert!(caller.words(&gradient.buffer).iter().all(|&word| word == u32::MAX));
            let mut encoder = caller.device.create_command_encoder(&Default::default());
            prepared.record(&mut encoder);
            assert!(caller.words(&gradient.buffer).iter().all(|&word| word == u32::MAX));
            caller.queue.submit([encoder.finish()]);

            for (region, wanted) in [(&gradient, results(&wanted)[1]), (&hessian, results(&wanted)[2])] {
                let words = caller.words(&region.buffer);
                let (before, rest) = words.split_at(region.offset as usize / 4);
                let (got, after) = rest.split_at(LEN);
                assert!(before.iter().chain(after).all(|&word| word == u32::MAX), "written outside");
                assert!(got.iter().zip(wanted).all(|(got, wanted)| *got == wanted.to_bits()), "offset {offset}");
            }
            let block = caller.block(&prepared);
            assert_eq!((block.status(), block.first_invalid(), block.count()), (0, u64::MAX, LEN as u64));
            assert_eq!(block.exact(), wanted.partials.sum);
            assert!((f64::from(block.sum()) / wanted.sum - 1.0).abs() <= 2f64.powi(-23));
            assert!((f64::from(block.mean()) / wanted.mean - 1.0).abs() <= 2f64.powi(-21));
        }
    }
}

/// Several evaluations in one encoder, and the same evaluation several times, with new logits in between.
#[test]
fn several_in_one_encoder() {
    let mut random = Random(62);
    for caller in callers() {
        let labels = random.labels(LEN);
        let logits = [(); 3].map(|()| random.predictions(Form::Logits, LEN));
        let there = logits
            .each_ref()
            .map(|logits| caller.engine.upload(&batch(Form::Logits, logits, &labels)).expect("it fits"));
        let prepared = there
            .each_ref()
            .map(|there| caller.engine.prepare(there, &Objective::mean(), DeviceOutputs::gradient()).expect("valid"));
        let wanted = logits.each_ref().map(|logits| {
            let host = batch(Form::Logits, logits, &labels);
            caller.engine.evaluate(&host, &Objective::mean(), Outputs::gradient()).expect("valid")
        });
        caller.record(&[&prepared[0], &prepared[1], &prepared[2], &prepared[1]]);
        for (prepared, wanted) in prepared.iter().zip(&wanted) {
            assert_eq!(caller.block(prepared).exact(), wanted.partials.sum);
            let gradient = caller.words(&prepared.gradient().expect("asked for").buffer);
            assert!(gradient.iter().zip(results_of(wanted)).all(|(got, wanted)| *got == wanted.to_bits()));
        }

        // The logits of the second batch are copied to the buffer of the first one between two evaluations of it.
        let kept = caller.buffer(0, &[0; ResultBlock::SIZE as usize]);
        let mut encoder = caller.device.create_command_encoder(&Default::default());
        prepared[0].record(&mut encoder);
        encoder.copy_buffer_to_buffer(prepared[0].result(), 0, &kept.buffer, 0, ResultBlock::SIZE);
        let [from, to] = [&there[1], &there[0]].map(|there| &there.predictions().buffer);
        encoder.copy_buffer_to_buffer(from, 0, to, 0, LEN as u64 * 4);
        prepared[0].record(&mut encoder);
        caller.queue.submit([encoder.finish()]);
        let first = Block(caller.words(&kept.buffer));
        assert_eq!(first.exact(), wanted[0].partials.sum);
        assert_eq!(caller.block(&prepared[0]).exact(), wanted[1].partials.sum);
    }
}

fn results_of(evaluation: &logloss::Evaluation) -> &[f32] {
    evaluation.gradient.as_deref().expect("asked for")
}

/// A recorded evaluation reports invalid values in the status word, because no call returns an error.
#[test]
fn invalid_values_in_the_status_word() {
    let mut random = Random(63);
    for caller in callers() {
        for (at, in_targets) in [(0, false), (LEN - 1, false), (BLOCK, true), (LEN - 1, true)] {
            let (mut predictions, mut targets) = (random.predictions(Form::Logits, LEN), random.soft(LEN));
            if in_targets {
                targets[at] = -1.0
            } else {
                predictions[at] = f32::NAN
            }
            let there = caller.engine.upload(&batch(Form::Logits, &predictions, &targets)).expect("it fits");
            let prepared = caller.engine.prepare(&there, &Objective::mean(), DeviceOutputs::gradient()).expect("valid");
            caller.record(&[&prepared]);
            let block = caller.block(&prepared);
            assert_eq!((block.status(), block.first_invalid()), (1 + u32::from(in_targets), at as u64));
            assert!(block.sum().is_nan() && block.mean().is_nan());
            assert_eq!(block.count(), LEN as u64);
            let gradient = caller.words(&prepared.gradient().expect("asked for").buffer);
            let nans: Vec<_> = (0..LEN).filter(|&i| f32::from_bits(gradient[i]).is_nan()).collect();
            assert_eq!(nans, [at]);
            // With the value corrected, the next evaluation is not affected.
            predictions[at] = 0.0;
            targets[at] = 0.0;
            caller.queue.write_buffer(&there.predictions().buffer, 0, bytemuck::cast_slice(&predictions));
            caller.queue.write_buffer(&there.targets().buffer, 0, bytemuck::cast_slice(&targets));
            caller.record(&[&prepared]);
            assert_eq!(caller.block(&prepared).status(), 0);
        }
    }
}

#[test]
fn infinite_and_empty() {
    for caller in callers() {
        let infinite = caller.engine.upload(&batch(Form::Logits, &[1.0, f32::INFINITY], &[0u8, 0])).expect("it fits");
        let nothing: [f32; 0] = [];
        let empty = caller.engine.upload(&batch(Form::Logits, &nothing, &nothing)).expect("it fits");
        let [infinite, empty] = [infinite, empty]
            .map(|there| caller.engine.prepare(&there, &Objective::mean(), DeviceOutputs::none()).expect("valid"));
        caller.record(&[&infinite, &empty]);
        let block = caller.block(&infinite);
        assert_eq!((block.status(), block.sum(), block.mean(), block.0[1]), (0, f32::INFINITY, f32::INFINITY, 1));
        let block = caller.block(&empty);
        assert_eq!((block.status(), block.sum(), block.count()), (0, 0.0, 0));
        assert!(block.mean().is_nan());
    }
}

/// A shader of the caller reads the block with the declaration in the documentation.
#[test]
fn read_by_a_shader() {
    let documentation = include_str!("../../src/gpu/result.rs");
    let declaration: String = documentation
        .lines()
        .skip_while(|line| !line.starts_with("/// ```wgsl"))
        .skip(1)
        .take_while(|line| !line.starts_with("/// ```"))
        .map(|line| line.trim_start_matches("///").to_owned() + "\n")
        .collect();
    let source = declaration
        + "@group(0) @binding(0) var<storage, read> block: ResultBlock;
           @group(0) @binding(1) var<storage, read_write> seen: array<u32>;
           @compute @workgroup_size(1) fn main() {
               seen[0] = block.status;
               seen[1] = block.count_low;
               seen[2] = bitcast<u32>(block.sum);
               seen[3] = bitcast<u32>(block.mean);
               seen[4] = block.limbs[11];
           }";
    for caller in callers() {
        let (logits, labels) = (vec![0.25f32; LEN], vec![1u8; LEN]);
        let there = caller.engine.upload(&batch(Form::Logits, &logits, &labels)).expect("it fits");
        let prepared = caller.engine.prepare(&there, &Objective::mean(), DeviceOutputs::none()).expect("valid");
        let seen = caller.buffer(0, &[0xff; 20]);
        let pipeline = pipeline(&caller.device, &source, "main");
        let mut encoder = caller.device.create_command_encoder(&Default::default());
        prepared.record(&mut encoder);
        dispatch(&caller.device, &mut encoder, &pipeline, &[prepared.result(), &seen.buffer]);
        caller.queue.submit([encoder.finish()]);
        let (seen, block) = (caller.words(&seen.buffer), caller.block(&prepared));
        assert_eq!(seen[..5], [0, LEN as u32, block.0[6], block.0[7], block.0[16 + 11]]);
        assert!((block.mean() - 0.575_939_5).abs() < 1e-5);
    }
}

fn pipeline(device: &wgpu::Device, source: &str, entry: &str) -> wgpu::ComputePipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(source.into()),
    });
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: Some(entry),
        compilation_options: Default::default(),
        cache: None,
    })
}

fn dispatch(
    device: &wgpu::Device,
    encoder: &mut wgpu::CommandEncoder,
    pipeline: &wgpu::ComputePipeline,
    buffers: &[&wgpu::Buffer],
) {
    let entries: Vec<_> = (0..)
        .zip(buffers)
        .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
        .collect();
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &entries,
    });
    let mut pass = encoder.begin_compute_pass(&Default::default());
    pass.set_pipeline(pipeline);
    pass.set_bind_group(0, &group, &[]);
    pass.dispatch_workgroups(1, 1, 1);
}

/// finish.wgsl with sums and indices of batches of terabytes.
#[test]
fn large_offsets_and_full_limbs() {
    const STRIDE: usize = 64;
    const WINDOW: u64 = 1 << 26;
    let mut random = Random(64);
    for caller in callers() {
        let modules = crate::shaders::modules(&caller.engine, &Objective::mean(), None);
        let pipeline = pipeline(&caller.device, modules.last().expect("the one that adds up windows"), "finish");
        let run_as = |accumulators: &[u32], windows: u64, count: u64, [counted, weighted]: [u32; 2]| {
            let [count_low, count_high] = [count as u32, (count >> 32) as u32];
            let (empty, scale) = (f32::NAN.to_bits(), 1f32.to_bits());
            let (windows, window, stride) = (windows as u32, WINDOW as u32, STRIDE as u32);
            let totals = [windows, window, count_low, count_high, stride, counted, weighted, empty, scale];
            let uniform = caller.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: None,
                contents: &totals.map(u32::to_le_bytes).concat(),
                usage: BufferUsages::UNIFORM | BufferUsages::STORAGE,
            });
            let words: Vec<u8> = accumulators.iter().flat_map(|word| word.to_le_bytes()).collect();
            let accumulators = caller.buffer(0, &words);
            let result = caller.buffer(0, &[0xff; ResultBlock::SIZE as usize]);
            let mut encoder = caller.device.create_command_encoder(&Default::default());
            dispatch(&caller.device, &mut encoder, &pipeline, &[&uniform, &accumulators.buffer, &result.buffer]);
            caller.queue.submit([encoder.finish()]);
            Block(caller.words(&result.buffer))
        };
        let run = |accumulators: &[u32], windows: u64, count: u64| run_as(accumulators, windows, count, [0, 0]);
        // Limbs of any content, with carries through all of them.
        for windows in [1, 2, 7, 3000] {
            for fill in 0..3 {
                let mut accumulators = vec![0u32; windows * STRIDE];
                for limbs in accumulators.chunks_mut(STRIDE) {
                    let used = if fill == 0 { 20 } else { 1 + random.below(20) };
                    limbs[..used].fill_with(|| if fill == 0 { u32::MAX } else { random.next() as u32 });
                }
                let wanted = ExactSum::of(accumulators.chunks(STRIDE).flat_map(|limbs| {
                    (0..).zip(&limbs[..22]).map(|(l, &limb)| f64::from(limb) * 2f64.powi(16 * l - 173))
                }));
                let block = run(&accumulators, windows as u64, 1000);
                assert_eq!(block.exact(), wanted, "{windows} windows");
                let sum = wanted.value();
                let (got, mean) = (f64::from(block.sum()), f64::from(block.mean()));
                let overflows = sum >= 2f64.powi(128);
                assert!(
                    if overflows { got == f64::INFINITY } else { (got / sum - 1.0).abs() <= 2f64.powi(-23) },
                    "{got:e} for {sum:e}"
                );
                let mean_overflows = sum / 1000.0 >= 2f64.powi(128);
                assert!(mean_overflows || overflows || (mean * 1000.0 / sum - 1.0).abs() <= 2f64.powi(-21), "{mean:e}");
            }
        }
        // Weights and counts of windows, with total counts beyond 32 bits.
        for windows in [1, 3, 3000] {
            let mut accumulators = vec![0u32; windows * STRIDE];
            for window in accumulators.chunks_mut(STRIDE) {
                // Each value is below 2^108, so that no sum of 3000 exceeds the largest f32.
                window[..17].fill_with(|| (random.next() >> 40) as u32);
                window[23..40].fill_with(|| (random.next() >> 40) as u32);
                window[47] = 1 << 26;
            }
            let wanted = |first: usize| {
                ExactSum::of(accumulators.chunks(STRIDE).flat_map(|window| {
                    (0..).zip(&window[first..first + 22]).map(|(l, &limb)| f64::from(limb) * 2f64.powi(16 * l - 173))
                }))
            };
            for weighted in [0, 1] {
                let block = run_as(&accumulators, windows as u64, 7, [1, weighted]);
                assert_eq!((block.exact(), block.exact_weight()), (wanted(0), wanted(23)), "{windows} windows");
                assert_eq!(block.count(), windows as u64 * (1 << 26));
                let weight = wanted(23).value();
                assert!((f64::from(block.weight()) / weight - 1.0).abs() <= 2f64.powi(-23));
                let divisor = if weighted == 1 { weight } else { block.count() as f64 };
                let mean = f64::from(block.mean()) / (wanted(0).value() / divisor);
                assert!((mean - 1.0).abs() <= 2f64.powi(-21), "{mean}");
            }
        }
        // One small sum, in the lowest limbs and across each boundary of two limbs.
        for position in 0..200 {
            let mut accumulators = vec![0u32; STRIDE];
            for (bit, value) in [(position, 1u32), (position + 23, 1)] {
                accumulators[bit / 16] += value << (bit % 16);
            }
            let block = run(&accumulators, 1, 3);
            let wanted = 2f64.powi(position as i32 - 173) + 2f64.powi(position as i32 - 150);
            assert_eq!(block.exact().value(), wanted);
            if wanted > f64::from(f32::MIN_POSITIVE) * 4.0 {
                assert_eq!(f64::from(block.sum()), wanted, "bit {position}");
                assert!((f64::from(block.mean()) * 3.0 / wanted - 1.0).abs() <= 2f64.powi(-21));
            }
        }
        // The first invalid element of all windows, with an index beyond 32 bits.
        for (window, local) in
            [(0, 0), (0, 5), (1, 0), (63, WINDOW - 1), (64, 0), (65, 7), (2047, 3), (2999, WINDOW - 1)]
        {
            for array in [1, 2] {
                let mut accumulators = vec![0u32; 3000 * STRIDE];
                accumulators[window as usize * STRIDE + 46] = !(4 * local as u32 + array);
                accumulators[2999 * STRIDE + 46] = accumulators[2999 * STRIDE + 46].max(!(4 * (WINDOW as u32 - 1) + 1));
                let array = if window == 2999 { 1 } else { array };
                let block = run(&accumulators, 3000, u64::MAX);
                assert_eq!((block.status(), block.first_invalid()), (array, window * WINDOW + local));
                assert_eq!(block.count(), u64::MAX);
            }
        }
    }
}

/// The callers cover every adapter.
#[test]
fn callers_are_the_adapters() {
    assert_eq!(callers().len(), gpu_engines().len());
}
