//! Resident batches: uploaded ones, and those in the caller's buffers.

use logloss::{
    BLOCK, BufferRegion, Device, DeviceBatch, DeviceOutputs, DeviceSink, Engine, EngineOptions, Error, Evaluation,
    Floats, Form, NonFinite, Objective, PredictionType, Prepared, Reduction, TargetType, Targets, WeightShape,
    WeightType,
    half::{bf16, f16},
    wgpu::{self, BufferUsages, util::DeviceExt},
};

use crate::common::{FORMS, Random, adapters, all, assert_same, batch, engines, gpu_engines, open, pack};

const LEN: usize = 40 * BLOCK + 333;

pub(crate) fn every_output() -> DeviceOutputs {
    let mut outputs = DeviceOutputs::none();
    outputs.loss = DeviceSink::New;
    outputs.gradient = DeviceSink::New;
    outputs.hessian = DeviceSink::New;
    outputs
}

/// Runs a prepared evaluation, and downloads its outputs.
pub(crate) fn fetch(engine: &Engine, prepared: &Prepared, len: usize) -> Evaluation {
    let mut evaluation = prepared.evaluate().unwrap_or_else(|error| panic!("{error}"));
    let outputs = [prepared.loss(), prepared.gradient(), prepared.hessian()].map(|region| {
        let mut values = vec![0.0; len];
        engine.download(region?, &mut values).expect("the device works");
        Some(values)
    });
    [evaluation.loss, evaluation.gradient, evaluation.hessian] = outputs;
    evaluation
}

#[test]
fn uploaded_as_from_the_host() {
    let mut random = Random(51);
    for form in FORMS {
        for len in [1, 2, 3, 5, 31, 33, BLOCK - 1, BLOCK, BLOCK + 1, LEN] {
            let predictions = random.predictions(form, len);
            let halves: Vec<f16> = predictions.iter().map(|&x| f16::from_f32(x)).collect();
            let brains: Vec<bf16> = predictions.iter().map(|&x| bf16::from_f32(x)).collect();
            let (soft, labels) = (random.soft(len), random.labels(len));
            let bools: Vec<bool> = labels.iter().map(|&z| z == 1).collect();
            let bits = pack(&labels);
            for predictions in [Floats::F32(&predictions), Floats::F16(&halves), Floats::Bf16(&brains)] {
                for targets in [Targets::F32(&soft), Targets::U8(&labels), Targets::Bool(&bools), Targets::Bits(&bits)]
                {
                    let batch = batch(form, predictions, targets);
                    for engine in gpu_engines() {
                        let there = engine.upload(&batch).expect("it fits");
                        assert_eq!(there.len(), len as u64);
                        let prepared = engine.prepare(&there, &Objective::mean(), every_output()).expect("valid");
                        let wanted = all(engine, &batch, &Objective::mean());
                        assert_same(&fetch(engine, &prepared, len), &wanted, &format!("{len} on the device"));
                    }
                }
            }
        }
    }
}

#[test]
fn empty() {
    for engine in gpu_engines() {
        let nothing: [f32; 0] = [];
        let there = engine.upload(&batch(Form::Logits, &nothing, &nothing)).expect("it fits");
        assert!(there.is_empty());
        let prepared = engine.prepare(&there, &Objective::mean(), every_output()).expect("valid");
        let evaluation = prepared.evaluate().expect("nothing is invalid");
        assert_eq!((evaluation.sum, evaluation.count), (0.0, 0));
        assert!(evaluation.mean.is_nan());
    }
}

/// An output that is not requested has no buffer; one that is requested is complete, whatever the buffer held before.
#[test]
fn prefilled_buffers() {
    let mut random = Random(52);
    let (predictions, targets) = (random.predictions(Form::Logits, LEN), random.soft(LEN));
    let host = batch(Form::Logits, &predictions, &targets);
    for engine in gpu_engines() {
        let (device, _) = engine.wgpu().expect("on a GPU");
        let there = engine.upload(&host).expect("it fits");
        let wanted = all(engine, &host, &Objective::sum());
        for subset in 1..8u8 {
            let prefilled = |name: &str| -> wgpu::Buffer {
                device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                    label: Some(name),
                    contents: &[0xff; LEN * 4],
                    usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC,
                })
            };
            let sink = |bit: u8| match subset >> bit & 1 {
                1 => DeviceSink::Into(prefilled("prefilled").into()),
                _ => DeviceSink::Skip,
            };
            let mut outputs = DeviceOutputs::none();
            (outputs.loss, outputs.gradient, outputs.hessian) = (sink(0), sink(1), sink(2));
            let prepared = engine.prepare(&there, &Objective::sum(), outputs).expect("valid");
            let got = fetch(engine, &prepared, LEN);
            assert_eq!(got.partials, wanted.partials);
            let asked = [got.loss.is_some(), got.gradient.is_some(), got.hessian.is_some()];
            assert_eq!(asked, [0, 1, 2].map(|bit| subset >> bit & 1 == 1));
            let pairs = [(&got.loss, &wanted.loss), (&got.gradient, &wanted.gradient), (&got.hessian, &wanted.hessian)];
            for (got, wanted) in pairs.into_iter().filter(|(got, _)| got.is_some()) {
                assert_eq!(got, wanted, "subset {subset}");
            }
        }
    }
}

/// Buffers larger than one binding are divided into several windows with one result.
#[test]
fn more_than_one_binding() {
    let mut random = Random(53);
    for &index in adapters() {
        let limits = wgpu::Limits {
            max_storage_buffer_binding_size: 1 << 18,
            max_compute_workgroups_per_dimension: 48,
            ..wgpu::Limits::default()
        };
        let restricted = open(EngineOptions::new(Device::Index(index)).with_limits(limits));
        let engine = &engines()[index + 1];
        for len in [1 << 15, (1 << 15) + 1, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, 1_000_003] {
            let (predictions, soft) = (random.predictions(Form::Logits, len), random.soft(len));
            let halves: Vec<f16> = predictions.iter().map(|&x| f16::from_f32(x)).collect();
            let bits = pack(&random.labels(len));
            for host in [
                batch(Form::Logits, &predictions, &soft),
                batch(Form::Logits, Floats::F16(&halves), Targets::Bits(&bits)),
            ] {
                let there = restricted.upload(&host).expect("it fits");
                let prepared = restricted.prepare(&there, &Objective::mean(), every_output()).expect("valid");
                let got = fetch(&restricted, &prepared, len);
                assert_same(&got, &all(engine, &host, &Objective::mean()), &format!("{len} in windows"));
                assert!(len <= 1 << 16 || got.run.chunks > 1);
            }
            // An index after the first window is counted from the start of the batch.
            let mut invalid = predictions.clone();
            for at in [len - 1, len / 2] {
                invalid[at] = f32::NAN;
                let there = restricted.upload(&batch(Form::Logits, &invalid, &soft)).expect("it fits");
                let prepared = restricted.prepare(&there, &Objective::mean(), DeviceOutputs::none()).expect("valid");
                let error = prepared.evaluate().expect_err("invalid");
                assert!(matches!(error, Error::InvalidValue { index, .. } if index == at as u64), "{error}");
            }
        }
    }
}

/// A batch larger than the largest binding of llvmpipe, with the limits of the adapter itself.
#[test]
fn more_than_the_adapter_binds() {
    for engine in gpu_engines() {
        let len = (1 << 25) + 5;
        let predictions = vec![0.0f32; len];
        let bits = vec![0u8; len.div_ceil(8)];
        let there = engine.upload(&batch(Form::Logits, &predictions, Targets::Bits(&bits))).expect("it fits");
        let prepared = engine.prepare(&there, &Objective::mean(), DeviceOutputs::gradient()).expect("valid");
        let evaluation = prepared.evaluate().expect("valid");
        assert_eq!(evaluation.count, len as u64);
        assert!((evaluation.mean / std::f64::consts::LN_2 - 1.0).abs() <= 2e-7, "{}", evaluation.mean);
        let mut gradient = vec![0.0f32; len];
        engine.download(prepared.gradient().expect("asked for"), &mut gradient).expect("the device works");
        let wanted = (0.5 / len as f64) as f32;
        assert_eq!(gradient.iter().position(|g| (g / wanted - 1.0).abs() > 1e-6), None);
    }
}

/// A training loop writes new logits to the same buffer and evaluates them again.
#[test]
fn evaluated_again_after_a_write() {
    let mut random = Random(54);
    for engine in gpu_engines() {
        let (_, queue) = engine.wgpu().expect("on a GPU");
        let labels = random.labels(LEN);
        let there = engine.upload(&batch(Form::Logits, &vec![0.0f32; LEN], &labels)).expect("it fits");
        let prepared = engine.prepare(&there, &Objective::mean(), every_output()).expect("valid");
        for _ in 0..3 {
            let mut predictions = random.predictions(Form::Logits, LEN);
            queue.write_buffer(&there.predictions().buffer, 0, bytemuck::cast_slice(&predictions));
            let wanted = all(engine, &batch(Form::Logits, &predictions, &labels), &Objective::mean());
            assert_same(&fetch(engine, &prepared, LEN), &wanted, "after a write");
            // An invalid value in between does not affect later evaluations.
            predictions[77] = f32::NAN;
            queue.write_buffer(&there.predictions().buffer, 0, bytemuck::cast_slice(&predictions));
            let error = prepared.evaluate().expect_err("invalid");
            assert!(matches!(error, Error::InvalidValue { index: 77, value, .. } if value.is_nan()), "{error}");
        }
    }
}

#[test]
fn invalid_values_are_read_back() {
    for engine in gpu_engines() {
        let check = |predictions: Floats<'_>, targets: Targets<'_>, form: Form| {
            let host = batch(form, predictions, targets);
            let there = engine.upload(&host).expect("it fits");
            let prepared = engine.prepare(&there, &Objective::mean(), DeviceOutputs::none()).expect("valid");
            let got = prepared.evaluate().expect_err("invalid").to_string();
            let wanted = engine.evaluate(&host, &Objective::mean(), logloss::Outputs::none()).expect_err("invalid");
            assert_eq!(got, wanted.to_string());
            let objective = Objective::mean().with_non_finite(NonFinite::Propagate);
            let prepared = engine.prepare(&there, &objective, DeviceOutputs::none()).expect("valid");
            let evaluation = prepared.evaluate().expect("let through");
            assert!(evaluation.mean.is_nan() && evaluation.partials.first_invalid.is_some());
        };
        for at in 0..9 {
            let mut predictions = [0.5f32; 9];
            predictions[at] = 1.75;
            let halves = predictions.map(f16::from_f32);
            let brains = predictions.map(bf16::from_f32);
            check(Floats::F32(&predictions), Targets::U8(&[1; 9]), Form::Probabilities);
            check(Floats::F16(&halves), Targets::U8(&[1; 9]), Form::Probabilities);
            check(Floats::Bf16(&brains), Targets::U8(&[1; 9]), Form::Probabilities);
            let mut labels = [1u8; 9];
            labels[at] = 200;
            check(Floats::F32(&[0.5; 9]), Targets::U8(&labels), Form::Logits);
            check(Floats::F32(&[0.5; 9]), Targets::F32(&predictions), Form::Logits);
        }
    }
}

#[test]
fn one_prepared_from_several_threads() {
    let mut random = Random(55);
    let (predictions, targets) = (random.predictions(Form::Logits, LEN), random.soft(LEN));
    for engine in gpu_engines() {
        let there = engine.upload(&batch(Form::Logits, &predictions, &targets)).expect("it fits");
        let prepared = engine.prepare(&there, &Objective::mean(), DeviceOutputs::gradient()).expect("valid");
        let wanted = prepared.evaluate().expect("valid");
        std::thread::scope(|scope| {
            let workers: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..10).map(|_| prepared.evaluate()).collect::<Vec<_>>())).collect();
            for result in workers.into_iter().flat_map(|worker| worker.join().expect("no panic")) {
                assert_eq!(result.expect("valid").partials, wanted.partials);
            }
        });
    }
}

#[test]
fn outlives_its_engine() {
    for &index in adapters() {
        let engine = open(EngineOptions::new(Device::Index(index)));
        let there = engine.upload(&batch(Form::Logits, &[0.0f32; 8], &[1u8; 8])).expect("it fits");
        let prepared = engine.prepare(&there, &Objective::sum(), DeviceOutputs::none()).expect("valid");
        drop((engine, there));
        assert_eq!(prepared.evaluate().expect("valid").count, 8);
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
        let storage = BufferUsages::STORAGE;
        let good = || BufferRegion::from(make(400, storage));
        let prepare = |predictions: BufferRegion, targets: BufferRegion, gradient: DeviceSink, loss: DeviceSink| {
            let there = DeviceBatch::from_buffers(
                Form::Logits,
                100,
                (PredictionType::F32, predictions),
                (TargetType::F32, targets),
            );
            let mut outputs = DeviceOutputs::none();
            (outputs.gradient, outputs.loss) = (gradient, loss);
            match engine.prepare(&there, &Objective::mean(), outputs) {
                Ok(_) => String::new(),
                Err(error @ Error::Buffer { .. }) => error.to_string(),
                Err(other) => panic!("{other}"),
            }
        };
        let skip = || DeviceSink::Skip;
        assert_eq!(prepare(good(), good(), DeviceSink::Into(good()), DeviceSink::Into(good())), "");

        let uniform = || BufferRegion::from(make(400, BufferUsages::UNIFORM | BufferUsages::COPY_DST));
        let short = || BufferRegion::from(make(396, storage));
        let alignment = u64::from(device.limits().min_storage_buffer_offset_alignment);
        let oblique = || BufferRegion::new(make(400 + alignment, storage), alignment / 2);
        let beyond = || BufferRegion::new(make(400 + alignment - 4, storage), alignment);
        let far = || BufferRegion::new(make(400, storage), u64::MAX / alignment * alignment);
        assert_eq!(prepare(BufferRegion::new(make(400 + alignment, storage), alignment), good(), skip(), skip()), "");
        for (bad, expected) in [
            (&uniform as &dyn Fn() -> BufferRegion, "STORAGE"),
            (&short, "396"),
            (&oblique, "alignment"),
            (&beyond, "bytes are needed"),
            (&far, "bytes are needed"),
        ] {
            for (message, name) in [
                (prepare(bad(), good(), skip(), skip()), "predictions"),
                (prepare(good(), bad(), skip(), skip()), "targets"),
                (prepare(good(), good(), DeviceSink::Into(bad()), skip()), "gradient"),
                (prepare(good(), good(), skip(), DeviceSink::Into(bad())), "loss"),
            ] {
                assert!(message.starts_with(name) && message.contains(expected), "{message:?}, not {expected}");
            }
        }
        // Aliasing: a buffer is read and written, or written twice.
        let shared = good();
        for message in [
            prepare(shared.clone(), good(), DeviceSink::Into(shared.clone()), skip()),
            prepare(good(), shared.clone(), DeviceSink::Into(shared.clone()), skip()),
            prepare(good(), good(), DeviceSink::Into(shared.clone()), DeviceSink::Into(shared.clone())),
        ] {
            assert!(message.contains("its own"), "{message:?}");
        }
        // A buffer may be read twice: every prediction is its own target.
        assert_eq!(prepare(shared.clone(), shared, skip(), skip()), "");
    }
}

#[test]
fn larger_than_a_buffer() {
    for &index in adapters() {
        let limits = wgpu::Limits {
            max_storage_buffer_binding_size: 1 << 20,
            max_buffer_size: 1 << 20,
            ..wgpu::Limits::default()
        };
        let engine = open(EngineOptions::new(Device::Index(index)).with_limits(limits));
        let len = (1 << 18) + 1;
        let (predictions, labels) = (vec![0.5f32; len], vec![1u8; len]);
        let host = batch(Form::Logits, &predictions, &labels);
        let error = engine.upload(&host).expect_err("1 MiB and 4 bytes");
        assert!(matches!(error, Error::Limit { needed: 1_048_580, limit: 1_048_576, .. }), "{error}");
        assert_eq!(all(&engine, &host, &Objective::mean()).count, len as u64, "but from host memory");
        let halves = vec![f16::ONE; len];
        let there = engine.upload(&batch(Form::Logits, Floats::F16(&halves), &labels)).expect("it fits");
        let error = engine.prepare(&there, &Objective::mean(), DeviceOutputs::gradient()).expect_err("an output");
        assert!(matches!(error, Error::Limit { name: "gradient", .. }), "{error}");
    }
}

#[test]
fn on_a_cpu_it_is_an_error() {
    let cpu = &engines()[0];
    assert!(cpu.wgpu().is_none());
    let error = cpu.upload(&batch(Form::Logits, &[0.0f32; 8], &[1u8; 8])).expect_err("no GPU");
    assert!(matches!(error, Error::NotOnGpu { call: "upload" }), "{error}");
}

#[test]
fn downloads_are_checked() {
    for engine in gpu_engines() {
        let (device, _) = engine.wgpu().expect("on a GPU");
        let make = |usage| {
            device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 32, usage, mapped_at_creation: false })
        };
        let mut values = [0.0f32; 9];
        let error = engine.download(&make(BufferUsages::COPY_SRC).into(), &mut values).expect_err("36 of 32 bytes");
        assert!(matches!(error, Error::Buffer { .. }), "{error}");
        let error = engine.download(&make(BufferUsages::STORAGE).into(), &mut values[..8]).expect_err("no COPY_SRC");
        assert!(matches!(error, Error::Buffer { .. }), "{error}");
        engine.download(&make(BufferUsages::COPY_SRC).into(), &mut values[..8]).expect("fits");
        engine.download(&make(BufferUsages::COPY_SRC).into(), &mut [0.0f32; 0]).expect("nothing");
    }
}

#[test]
fn too_many_classes() {
    for engine in gpu_engines() {
        let empty = engine.upload(&batch(Form::Logits, Floats::F32(&[]), Targets::U8(&[]))).expect("it fits");
        let prepare = |batch: &DeviceBatch, reduction| {
            let objective = Objective::mean().with_reduction(reduction);
            engine.prepare(batch, &objective, DeviceOutputs::none())
        };
        for classes in [(1 << 31) + 1, 1 << 32, 1 << 59, u64::MAX] {
            let batch = empty.clone().with_classes(classes).expect("no value is every number of rows");
            for reduction in [Reduction::Mean, Reduction::PerClass, Reduction::PerRow] {
                let error = prepare(&batch, reduction).unwrap_err();
                let (text, limit) = (error.to_string(), 1u64 << 31);
                assert!(matches!(error, Error::Limit { unit: "classes", needed, .. } if needed == classes), "{text}");
                assert_eq!(text, format!("the batch needs {classes} classes, the device allows {limit}"));
            }
        }
        // Sums by class of so many classes fit no buffer.
        let batch = empty.clone().with_classes(1 << 31).expect("no value is every number of rows");
        let error = prepare(&batch, Reduction::PerClass).unwrap_err();
        assert!(matches!(error, Error::Limit { .. }), "{error}");
        prepare(&batch, Reduction::Mean).expect("classes are not told apart");
        // A window may begin in any of 256 rows of samples' weights, whose values are counted in 32 bits.
        let weights = empty.predictions().clone();
        for (classes, fits) in [(1 << 23, true), ((1 << 23) + 1, false)] {
            let batch = empty.clone().with_classes(classes).expect("no value is every number of rows");
            let batch = batch.with_weights(WeightType::F32, WeightShape::Samples, weights.clone());
            match prepare(&batch, Reduction::Mean) {
                Ok(_) => assert!(fits),
                Err(error) => {
                    assert!(!fits && matches!(error, Error::Limit { needed, .. } if needed == classes), "{error}")
                }
            }
        }
    }
}

#[test]
fn buffers_of_another_device() {
    for (engine, index) in gpu_engines().iter().zip(adapters()) {
        let other = open(EngineOptions::new(Device::Index(*index)));
        let (device, _) = other.wgpu().expect("on a GPU");
        let (own, _) = engine.wgpu().expect("on a GPU");
        let make = |device: &wgpu::Device| {
            let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC;
            let descriptor = wgpu::BufferDescriptor { label: None, size: 400, usage, mapped_at_creation: false };
            BufferRegion::from(device.create_buffer(&descriptor))
        };
        let prepare = |[predictions, targets, gradient]: [&wgpu::Device; 3]| {
            let (predictions, targets) = (make(predictions), make(targets));
            let there = DeviceBatch::from_buffers(
                Form::Logits,
                100,
                (PredictionType::F32, predictions),
                (TargetType::F32, targets),
            );
            let mut outputs = DeviceOutputs::none();
            outputs.gradient = DeviceSink::Into(make(gradient));
            engine.prepare(&there, &Objective::mean(), outputs).map(drop)
        };
        for (devices, expected) in
            [([device, own, own], "predictions"), ([own, device, own], "targets"), ([own, own, device], "gradient")]
        {
            let error = prepare(devices).expect_err("another device");
            assert!(matches!(&error, Error::Buffer { name, .. } if *name == expected), "{error}");
            assert!(error.to_string().contains("another device"), "{error}");
        }
        let uploaded = other.upload(&batch(Form::Logits, &[0.0f32; 8], &[1u8; 8])).expect("it fits");
        let result = engine.prepare(&uploaded, &Objective::mean(), DeviceOutputs::none()).map(drop);
        assert!(matches!(result, Err(Error::Buffer { name: "predictions", .. })), "{result:?}");
        let error = engine.download(&make(device), &mut [0.0f32; 100]).expect_err("another device");
        assert!(matches!(&error, Error::Buffer { .. }), "{error}");
        // The engine is none the worse for it.
        prepare([own; 3]).expect("its own device");
        engine.download(&make(own), &mut [0.0f32; 100]).expect("its own device");
    }
}
