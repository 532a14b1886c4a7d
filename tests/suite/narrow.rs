//! Outputs on the device in f16 and bf16: they have the bits of the f32 results rounded on the host, and memory around
//! them is not changed.

use logloss::{
    BLOCK, Batch, BufferRegion, Device, DeviceOutputs, DeviceSink, Engine, EngineOptions, Error, Evaluation, FloatsMut,
    Form, NonFinite, Objective, OutputType, Outputs, Reduction,
    half::{bf16, f16},
    wgpu::{self, BufferUsages, util::DeviceExt},
};

use crate::{
    common::{FORMS, Random, adapters, all, batch, bits, gpu_engines, open, results},
    resident::{every_output, fetch},
    scenes::{REDUCTIONS, Recipe, pick},
};

const TYPES: [OutputType; 3] = [OutputType::F32, OutputType::F16, OutputType::Bf16];
const NAMES: [&str; 3] = ["loss", "gradient", "hessian"];
/// The byte that fills memory before an evaluation. No evaluation writes it.
const FILLER: u8 = 0xa5;

#[expect(clippy::print_stderr, reason = "shown when a test fails")]
fn random() -> Random {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let seed = std::env::var("LOGLOSS_SEED").map_or(now, |seed| seed.parse().expect("LOGLOSS_SEED is a number"));
    eprintln!("LOGLOSS_SEED={seed}");
    Random(seed)
}

/// The bytes of f32 values that the host has rounded to a type.
fn stored(values: &[f32], ty: OutputType) -> Vec<u8> {
    match ty {
        OutputType::F32 => bytemuck::cast_slice(values).to_vec(),
        OutputType::F16 => values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
        OutputType::Bf16 => values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
        other => panic!("{other} is not known here"),
    }
}

/// The index of the first byte that differs, or the shorter length if the lengths differ.
fn difference(got: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = got.iter().zip(wanted).position(|(a, b)| a != b);
    first.or((got.len() != wanted.len()).then_some(got.len().min(wanted.len())))
}

/// A buffer of filler bytes with a region that starts and ends inside it.
struct Guarded {
    region: BufferRegion,
    len: usize,
}

impl Guarded {
    fn new(device: &wgpu::Device, ty: OutputType, len: usize) -> Self {
        let offset = u64::from(device.limits().min_storage_buffer_offset_alignment);
        let bytes = offset + ty.bytes(len as u64) + 64;
        let buffer = device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: None,
            contents: &vec![FILLER; bytes as usize],
            usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC,
        });
        Self { region: BufferRegion::new(buffer, offset), len: bytes as usize }
    }

    /// The index of the first wrong byte of the whole buffer, if there is one.
    fn difference(&self, engine: &Engine, wanted: &[u8]) -> Option<usize> {
        let mut words = vec![0.0f32; self.len / 4];
        engine.download(&self.region.buffer.clone().into(), &mut words).expect("the device works");
        let mut whole = vec![FILLER; self.region.offset as usize];
        whole.extend_from_slice(wanted);
        whole.resize(self.len, FILLER);
        difference(bytemuck::cast_slice(&words), &whole)
    }
}

/// Evaluates a batch on the device twice, with outputs of the given types in guarded regions. Both times the outputs
/// must be those of `wanted`, rounded to their types, and all other results equal to those of `wanted`.
fn check(
    engine: &Engine,
    batch: &Batch<'_>,
    objective: &Objective,
    types: [Option<OutputType>; 3],
    wanted: &Evaluation,
    what: &str,
) {
    let what = format!("{}, {} values, {types:?}, {what}", engine.device().name, batch.len());
    let (device, _) = engine.wgpu().expect("on a GPU");
    let regions = types.map(|ty| Some((ty?, Guarded::new(device, ty?, batch.len()))));
    let [loss, gradient, hessian] = regions.each_ref().map(|region| match region {
        Some((ty, guarded)) => DeviceSink::IntoAs(*ty, guarded.region.clone()),
        None => DeviceSink::Skip,
    });
    let there = engine.upload(batch).expect("it fits");
    let prepared = engine
        .prepare(&there, objective, DeviceOutputs::none().with_loss(loss).with_gradient(gradient).with_hessian(hessian))
        .expect("valid");
    for _ in 0..2 {
        let mut got = prepared.evaluate().expect("valid");
        [got.loss, got.gradient, got.hessian] = [&wanted.loss, &wanted.gradient, &wanted.hessian].map(Clone::clone);
        assert!(bits(&got) == bits(wanted), "{what}: {got:?}, not {wanted:?}");
        let written: u64 = types.iter().flatten().map(|ty| ty.bytes(batch.len() as u64)).sum();
        assert_eq!(got.run.bytes, there.bytes() + written, "{what}");
        for ((region, wanted), name) in regions.iter().zip(results(wanted)).zip(NAMES) {
            let Some((ty, guarded)) = region else { continue };
            let at = guarded.difference(engine, &stored(wanted, *ty));
            let at = at.map(|at| at as i64 - guarded.region.offset as i64);
            assert_eq!(at, None, "{what}: the first byte that differs in {name}");
        }
    }
}

/// The evaluation with all outputs as f32.
fn plain(engine: &Engine, batch: &Batch<'_>, objective: &Objective) -> Evaluation {
    let there = engine.upload(batch).expect("it fits");
    fetch(engine, &engine.prepare(&there, objective, every_output()).expect("valid"), batch.len())
}

fn types(random: &mut Random) -> [Option<OutputType>; 3] {
    let any = [None, Some(OutputType::F32), Some(OutputType::F16), Some(OutputType::Bf16)];
    [(); 3].map(|()| pick(random, &any))
}

/// Lengths that end inside a word, a vector and a block, with each output in each type.
#[test]
fn lengths() {
    let mut random = random();
    for form in FORMS {
        for len in [
            0,
            1,
            2,
            3,
            255,
            256,
            511,
            513,
            BLOCK - 1,
            BLOCK,
            BLOCK + 1,
            8 * BLOCK - 1,
            8 * BLOCK + 1,
            16 * BLOCK,
            16 * BLOCK + 1,
            51_111,
        ] {
            let (predictions, targets) = (random.predictions(form, len), random.soft(len));
            let batch = batch(form, &predictions, &targets);
            for engine in gpu_engines() {
                let wanted = plain(engine, &batch, &Objective::mean());
                for turn in 0..3 {
                    let types = [0, 1, 2].map(|output| Some(TYPES[(turn + output) % 3]));
                    check(engine, &batch, &Objective::mean(), types, &wanted, "in turn");
                }
            }
        }
    }
}

/// Any subset of the outputs, some of them as f32.
#[test]
fn any_types() {
    let mut random = random();
    let len = 3 * BLOCK + 77;
    let (predictions, targets) = (random.predictions(Form::Logits, len), random.soft(len));
    let batch = batch(Form::Logits, &predictions, &targets);
    for engine in gpu_engines() {
        let wanted = plain(engine, &batch, &Objective::sum());
        for ty in [OutputType::F16, OutputType::Bf16] {
            for subset in 1..8 {
                let types = [0, 1, 2].map(|output| (subset >> output & 1 == 1).then_some(ty));
                check(engine, &batch, &Objective::sum(), types, &wanted, "a subset");
            }
        }
        for _ in 0..4 {
            check(engine, &batch, &Objective::sum(), types(&mut random), &wanted, "any");
        }
    }
}

/// Outputs in new buffers, downloaded in their type, equal those of an evaluation from host memory.
#[test]
fn as_in_host_memory() {
    let mut random = random();
    for len in [1, 2, BLOCK + 1, 20_001] {
        let (predictions, labels) = (random.predictions(Form::Logits, len), random.labels(len));
        let batch = batch(Form::Logits, &predictions, &labels);
        for engine in gpu_engines() {
            let there = engine.upload(&batch).expect("it fits");
            let mut host = (vec![f16::NAN; len], vec![bf16::NAN; len], vec![f32::NAN; len]);
            let sinks = Outputs::none().with_loss(&mut host.0).with_gradient(&mut host.1).with_hessian(&mut host.2);
            let wanted = engine.evaluate(&batch, &Objective::mean(), sinks).expect("valid");
            let outputs = DeviceOutputs::none()
                .with_loss(DeviceSink::NewAs(OutputType::F16))
                .with_gradient(DeviceSink::NewAs(OutputType::Bf16))
                .with_hessian(DeviceSink::NewAs(OutputType::F32));
            let prepared = engine.prepare(&there, &Objective::mean(), outputs).expect("valid");
            assert_eq!(prepared.evaluate().expect("valid").partials, wanted.partials);
            let mut got = (vec![f16::NAN; len], vec![bf16::NAN; len], vec![f32::NAN; len]);
            let download = |region: Option<&BufferRegion>, values: FloatsMut<'_>| {
                engine.download(region.expect("asked for"), values).expect("the device works");
            };
            download(prepared.loss(), (&mut got.0).into());
            download(prepared.gradient(), (&mut got.1).into());
            download(prepared.hessian(), (&mut got.2).into());
            let bytes = |values: &(Vec<f16>, Vec<bf16>, Vec<f32>)| {
                let each: [&[u8]; 3] =
                    [bytemuck::cast_slice(&values.0), bytemuck::cast_slice(&values.1), bytemuck::cast_slice(&values.2)];
                each.concat()
            };
            assert_eq!(difference(&bytes(&got), &bytes(&host)), None, "{}, {len}", engine.device().name);
        }
    }
}

/// Each window starts at a whole word, and the last one may end inside a word.
#[test]
fn windows() {
    let mut random = random();
    for &index in adapters() {
        let limits = wgpu::Limits {
            max_storage_buffer_binding_size: 1 << 19,
            max_compute_workgroups_per_dimension: 256,
            max_storage_buffers_per_shader_stage: 9,
            ..wgpu::Limits::default()
        };
        let engine = open(EngineOptions::new(Device::Index(index)).with_limits(limits));
        for len in [(1 << 17) - 1, 1 << 17, (1 << 17) + 1, 300_003] {
            let (predictions, targets) = (random.predictions(Form::Logits, len), random.soft(len));
            let batch = batch(Form::Logits, &predictions, &targets);
            let wanted = plain(&engine, &batch, &Objective::mean());
            assert_eq!(wanted.run.chunks, (len as u64).div_ceil(1 << 17));
            let types = [Some(OutputType::F16), Some(OutputType::Bf16), Some(OutputType::F32)];
            check(&engine, &batch, &Objective::mean(), types, &wanted, "in windows");
        }
        // The reductions whose outputs have a separate pass.
        for reduction in [Reduction::PerClass, Reduction::PerRow] {
            let objective = Objective::default().with_reduction(reduction);
            let (predictions, targets) = (random.predictions(Form::Logits, 150_003), random.soft(150_003));
            let batch = batch(Form::Logits, &predictions, &targets).with_classes(3).expect("divides");
            let wanted = plain(&engine, &batch, &objective);
            assert!(wanted.run.chunks > 1);
            let types = [Some(OutputType::Bf16), Some(OutputType::F32), Some(OutputType::F16)];
            check(&engine, &batch, &objective, types, &wanted, "in windows");
        }
    }
}

/// Every reduction, with an odd number of classes and random options.
#[test]
fn with_every_option() {
    let mut random = random();
    for reduction in REDUCTIONS {
        let recipe = Recipe { reduction, ..Recipe::random(&mut random) };
        let classes = pick(&mut random, &[1, 3]);
        let rows = 2 * random.below(2000) + 1;
        let scene = recipe.scene(&mut random, rows, classes);
        let batch = scene.batch();
        let types = [(); 3].map(|()| Some(pick(&mut random, &TYPES[1..])));
        for engine in gpu_engines() {
            let wanted = plain(engine, &batch, &scene.objective);
            check(engine, &batch, &scene.objective, types, &wanted, &format!("{recipe:?}"));
        }
    }
}

/// Sums in which neighbouring values belong to different lanes.
#[test]
fn by_class_and_row() {
    let mut random = random();
    let types = types(&mut random);
    for reduction in [Reduction::PerClass, Reduction::PerRow] {
        let recipe = Recipe { reduction, ..Recipe::plain(Form::Logits) };
        for (rows, classes) in [(1, 1), (1, 7), (7, 1), (BLOCK + 1, 3), (257, 5), (3, 2 * BLOCK + 1)] {
            let scene = recipe.scene(&mut random, rows, classes);
            for engine in gpu_engines() {
                let wanted = plain(engine, &scene.batch(), &scene.objective);
                check(engine, &scene.batch(), &scene.objective, types, &wanted, &format!("{reduction:?}"));
            }
        }
    }
}

/// Values beyond the range of f16 and bf16: overflow of a weighted sum, subnormal values, and propagated NaN.
#[test]
fn past_the_ends() {
    let mut random = random();
    let len = 5001;
    let predictions: Vec<f32> = (0..len).map(|_| (60.0 * random.uniform() - 30.0) as f32).collect();
    let labels = random.labels(len);
    let both = [[Some(OutputType::F16); 3], [Some(OutputType::Bf16); 3]];
    for engine in gpu_engines() {
        // Weights with every exponent of f32.
        let weights: Vec<f32> =
            (0..len).map(|_| f32::from_bits((random.next() % (u64::from(f32::MAX.to_bits()) + 1)) as u32)).collect();
        let weighted = batch(Form::Logits, &predictions, &labels).with_weights(&weights).expect("as long");
        let objective = Objective::sum();
        let wanted = plain(engine, &weighted, &objective);
        let [loss, gradient, _] = results(&wanted);
        let count = |values: &[f32], is: fn(f16) -> bool| values.iter().filter(|v| is(f16::from_f32(**v))).count();
        assert!(count(loss, |v| v == f16::INFINITY) > 100, "some overflow");
        assert!(count(gradient, |v| v == f16::NEG_INFINITY) > 100, "to both sides");
        assert!(count(gradient, |v| v != f16::ZERO && v.to_f32().abs() < 6e-5) > 100, "some are subnormal");
        for types in both {
            check(engine, &weighted, &objective, types, &wanted, "weighted");
        }
        // Weights at the end of the range of bfloat16, which round to infinity in bfloat16 but not in f32.
        let weights = vec![f32::MAX; len];
        let weighted = batch(Form::Logits, &predictions, &labels).with_weights(&weights).expect("as long");
        let wanted = plain(engine, &weighted, &objective);
        let gradient = results(&wanted)[1];
        assert!(gradient.iter().any(|v| v.is_finite() && bf16::from_f32(*v).is_infinite()));
        check(engine, &weighted, &objective, both[1], &wanted, "the largest weight");
        // Derivatives down to the smallest f32 and below.
        for scale in [1e-4, 1e-37, -3e-38, 1e-40] {
            let objective = Objective::sum().with_scale(scale).expect("finite");
            let batch = batch(Form::Logits, &predictions, &labels);
            let wanted = plain(engine, &batch, &objective);
            for types in both {
                check(engine, &batch, &objective, types, &wanted, &format!("times {scale:e}"));
            }
        }
        let mut invalid = predictions.clone();
        for at in [0, 1, 77, 2048, len - 1] {
            invalid[at] = f32::NAN;
        }
        for reduction in [Reduction::Mean, Reduction::PerRow] {
            let objective = Objective::default().with_reduction(reduction).with_non_finite(NonFinite::Propagate);
            let batch = batch(Form::Logits, &invalid, &labels);
            let wanted = plain(engine, &batch, &objective);
            assert!(results(&wanted).into_iter().all(|values| values[len - 1].is_nan() && !values[2].is_nan()));
            for types in both {
                check(engine, &batch, &objective, types, &wanted, "with NaN");
            }
        }
    }
}

/// New buffers have exactly the whole words that the values need.
#[test]
fn new_buffers_are_no_larger() {
    for engine in gpu_engines() {
        let there = engine.upload(&batch(Form::Logits, &[0.5f32; 101], &[1u8; 101])).expect("it fits");
        for (ty, bytes) in TYPES.into_iter().zip([404, 204, 204]) {
            let outputs = DeviceOutputs::none().with_gradient(DeviceSink::NewAs(ty));
            let prepared = engine.prepare(&there, &Objective::mean(), outputs).expect("valid");
            assert_eq!(prepared.gradient().expect("asked for").buffer.size(), bytes);
            assert!(prepared.loss().is_none() && prepared.hessian().is_none());
        }
    }
}

/// Each such buffer is an error that names it, before anything is created.
#[test]
fn buffers_that_cannot_be_used() {
    for engine in gpu_engines() {
        let (device, _) = engine.wgpu().expect("on a GPU");
        let make = |size: u64, usage: BufferUsages| {
            device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        };
        let there = engine.upload(&batch(Form::Logits, &[0.5f32; 101], &[1u8; 101])).expect("it fits");
        let prepare = |loss: DeviceSink, gradient: DeviceSink| {
            let outputs = DeviceOutputs::none().with_loss(loss).with_gradient(gradient);
            match engine.prepare(&there, &Objective::mean(), outputs) {
                Ok(_) => String::new(),
                Err(error @ Error::Buffer { .. }) => error.to_string(),
                Err(other) => panic!("{other}"),
            }
        };
        let storage = BufferUsages::STORAGE;
        let alignment = u64::from(device.limits().min_storage_buffer_offset_alignment);
        for ty in [OutputType::F16, OutputType::Bf16] {
            let into = |region: BufferRegion| prepare(DeviceSink::Skip, DeviceSink::IntoAs(ty, region));
            // 101 values of f16 take 51 words.
            assert_eq!(into(make(204, storage).into()), "");
            assert_eq!(into(BufferRegion::new(make(204 + alignment, storage), alignment)), "");
            for (region, expected) in [
                (make(200, storage).into(), "204 bytes are needed"),
                (BufferRegion::new(make(200 + alignment, storage), alignment), "204 bytes are needed"),
                (BufferRegion::new(make(1024, storage), 2), "alignment"),
                (BufferRegion::new(make(1024, storage), alignment / 2), "alignment"),
                (make(204, BufferUsages::UNIFORM).into(), "STORAGE"),
            ] {
                let message = into(region);
                assert!(message.starts_with("gradient") && message.contains(expected), "{message:?}, not {expected}");
            }
            let shared = BufferRegion::from(make(1024, storage));
            let message = prepare(DeviceSink::Into(shared.clone()), DeviceSink::IntoAs(ty, shared));
            assert!(message.contains("its own"), "{message:?}");
            let message = into(there.predictions().clone());
            assert!(message.contains("its own"), "{message:?}");
        }
    }
}

/// Downloads of whole regions and of parts, of odd and even lengths, and of more values than are copied at a time.
#[test]
fn downloads() {
    let mut random = random();
    for engine in gpu_engines() {
        let (device, _) = engine.wgpu().expect("on a GPU");
        let len = (16 << 20) + 6;
        let content: Vec<u16> = (0..len).map(|_| random.next() as u16).collect();
        let buffer = device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: None,
            contents: bytemuck::cast_slice(&content),
            usage: BufferUsages::COPY_SRC,
        });
        for (first, count) in [(0, 0), (0, 1), (2, 2), (4, 7), (0, len), (2, len - 3), (len - 2, 1), (len - 2, 2)] {
            let region = BufferRegion::new(buffer.clone(), 2 * first as u64);
            let wanted = &content[first..first + count];
            let mut halves = vec![f16::ZERO; count];
            engine.download(&region, &mut halves).expect("it is there");
            assert!(halves.iter().map(|v| v.to_bits()).eq(wanted.iter().copied()), "{first}, {count}");
            let mut brains = vec![bf16::ZERO; count];
            engine.download(&region, brains.as_mut_slice()).expect("it is there");
            assert!(brains.iter().map(|v| v.to_bits()).eq(wanted.iter().copied()), "{first}, {count}");
        }
        let region = BufferRegion::new(buffer, 2 * (len - 2) as u64);
        let error = engine.download(&region, &mut [f16::ZERO; 3]).expect_err("beyond the end");
        assert!(matches!(error, Error::Buffer { .. }), "{error}");
    }
}

/// A compute pass that rounds any f32 bits to a narrower type, with the functions of the shader that the kernel uses.
struct Narrower<'e> {
    engine: &'e Engine,
    pipeline: wgpu::ComputePipeline,
}

impl<'e> Narrower<'e> {
    fn new(engine: &'e Engine, change: impl Fn(String) -> String) -> Self {
        let mut modules = crate::shaders::modules(engine, &Objective::mean(), Some(OutputType::F16));
        let source = modules.swap_remove(0)
            + "@group(1) @binding(0) var<storage, read_write> narrowed: array<u32>;
               @compute @workgroup_size(64) fn narrow(@builtin(global_invocation_id) id: vec3<u32>) {
                   let i = id.x + id.y * 64u * 4096u;
                   if i < arrayLength(&narrowed) {
                       let bits = narrowed[i];
                       narrowed[i] = encode(OUTPUT_F16, bits) | (encode(OUTPUT_BF16, bits) << 16u);
                   }
               }";
        let (device, _) = engine.wgpu().expect("on a GPU");
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(change(source).into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: Some("narrow"),
            compilation_options: Default::default(),
            cache: None,
        });
        Self { engine, pipeline }
    }

    /// The first of `bits` that the device rounds differently from the host, with the result of the device.
    fn first_difference(&self, bits: &[u32]) -> Option<(u32, u32)> {
        let (device, queue) = self.engine.wgpu().expect("on a GPU");
        let buffer = device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: None,
            contents: bytemuck::cast_slice(bits),
            usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC,
        });
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &self.pipeline.get_bind_group_layout(1),
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: buffer.as_entire_binding() }],
        });
        let mut encoder = device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(1, &group, &[]);
            pass.dispatch_workgroups(4096, bits.len().div_ceil(64 * 4096) as u32, 1);
        }
        queue.submit([encoder.finish()]);
        let mut got = vec![0.0f32; bits.len()];
        self.engine.download(&buffer.into(), &mut got).expect("the device works");
        let pairs = bits.iter().zip(&got).map(|(bits, got)| (*bits, got.to_bits()));
        pairs.into_iter().find(|&(bits, got)| {
            let value = f32::from_bits(bits);
            let wanted = u32::from(f16::from_f32(value).to_bits()) | u32::from(bf16::from_f32(value).to_bits()) << 16;
            got != wanted
        })
    }
}

/// Every sign, exponent and leading mantissa bits, each with values on both sides of a rounding boundary at any lower
/// place.
fn hard_to_round(random: &mut Random) -> Vec<u32> {
    let mut low = vec![0, 0xffff];
    for bit in 0..16 {
        low.extend([(1 << bit) - 1, 1 << bit, (1 << bit) + 1, 0xffff << bit & 0xffff, random.next() as u32 & 0xffff]);
    }
    low.sort_unstable();
    low.dedup();
    (0..=0xffff_u32).flat_map(|high| low.iter().map(move |low| high << 16 | low)).collect()
}

#[test]
fn every_rounding() {
    let bits = hard_to_round(&mut random());
    for engine in gpu_engines() {
        let fault = Narrower::new(engine, |source| source).first_difference(&bits);
        assert_eq!(fault, None, "{}: bits, and what the device makes of them", engine.device().name);
    }
}

/// All f32 values. This takes minutes.
#[test]
#[ignore = "takes minutes; `every_rounding` has those that are hard"]
fn every_f32() {
    for engine in gpu_engines() {
        let narrower = Narrower::new(engine, |source| source);
        for step in 0..256u32 {
            let bits: Vec<u32> = (step << 24..=step << 24 | 0x00ff_ffff).collect();
            assert_eq!(narrower.first_difference(&bits), None, "{}", engine.device().name);
        }
    }
}

/// The comparisons of this module can fail.
#[test]
fn comparisons_can_fail() {
    assert_eq!(difference(&[1, 2, 3], &[1, 2, 3]), None);
    assert_eq!(difference(&[1, 2, 3], &[1, 2, 4]), Some(2));
    assert_eq!(difference(&[1, 2], &[1, 2, 3]), Some(2));
    let mut random = random();
    let hard = hard_to_round(&mut random);
    let (predictions, labels) = (random.predictions(Form::Logits, 1001), random.labels(1001));
    let batch = batch(Form::Logits, &predictions, &labels);
    for engine in gpu_engines() {
        for (right, wrong) in [
            ("0x0fffu + ((rebiased >> 13u) & 1u)", "0x1000u"),
            ("0x0fffu", "0x0ffeu"),
            ("0x7c00u);", "0x7bffu);"),
            ("14u, 25u", "14u, 24u"),
            ("((mantissa >> shift) & 1u)", "1u"),
            ("0x7e00u", "0x7c00u"),
            ("0x7fffu + ((bits >> 16u) & 1u)", "0x8000u"),
            ("(bits >> 16u) | 0x0040u", "rounded"),
        ] {
            let change = |source: String| {
                assert!(source.contains(right), "{right} is in the shader no more");
                source.replacen(right, wrong, 1)
            };
            assert_ne!(Narrower::new(engine, change).first_difference(&hard), None, "{wrong} for {right}");
        }
        let right = all(engine, &batch, &Objective::mean());
        let fails = |change: &dyn Fn(&mut Evaluation)| {
            let mut wanted = right.clone();
            change(&mut wanted);
            let types = [Some(OutputType::F16), Some(OutputType::Bf16), None];
            let check = || check(engine, &batch, &Objective::mean(), types, &wanted, "changed");
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_err()
        };
        let set = |values: &mut Option<Vec<f32>>, i: usize| values.as_mut().expect("asked for")[i] *= 1.01;
        assert!(!fails(&|_| ()));
        assert!(fails(&|wanted| set(&mut wanted.loss, 1000)));
        assert!(fails(&|wanted| set(&mut wanted.gradient, 0)));
        assert!(fails(&|wanted| wanted.loss.as_mut().expect("asked for").truncate(1000)), "written past its end");
        assert!(fails(&|wanted| wanted.loss.as_mut().expect("asked for").push(0.0)));
        assert!(fails(&|wanted| wanted.sum += 1.0));
    }
}
