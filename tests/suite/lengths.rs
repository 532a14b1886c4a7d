//! Lengths on both sides of every boundary.

use logloss::{BLOCK, Device, EngineOptions, Form, Objective, Outputs, Partials, Targets, wgpu};

use crate::common::{FORMS, Random, adapters, all, batch, each, engines, judge, judge_sum, none, open, pack, results};

/// Lengths around a byte of bits, a word of bytes and of bits, a group of lanes, a block, the step of a window, and a
/// chunk.
fn lengths() -> impl Iterator<Item = usize> {
    let near = [8, 32, 256, BLOCK, 2 * BLOCK, 16 * BLOCK];
    (1..=5).chain(near.into_iter().flat_map(|n| [n - 1, n, n + 1]))
}

#[test]
fn empty() {
    each(|engine| {
        for form in FORMS {
            let none: [f32; 0] = [];
            for targets in [Targets::F32(&none), Targets::U8(&[]), Targets::Bool(&[]), Targets::Bits(&[])] {
                let evaluation = all(engine, &batch(form, &none, targets), &Objective::mean());
                assert_eq!((evaluation.sum, evaluation.count), (0.0, 0));
                assert!(evaluation.mean.is_nan(), "as PyTorch");
                assert_eq!(evaluation.partials, Partials::default());
                assert!(results(&evaluation).iter().all(|output| output.is_empty()));
            }
        }
        let nothing = engine.accumulator(&Objective::sum(), Some(0)).finish().expect("as announced");
        assert_eq!((nothing.sum, nothing.count, nothing.value.scalar()), (0.0, 0, Some(0.0)));
    });
}

/// All elements meet the contract, and nothing is written before or after an output.
#[test]
fn one_before_and_one_past() {
    let mut random = Random(11);
    for len in lengths().chain([(1 << 20) - 1, 1 << 20, (1 << 20) + 1]) {
        for form in FORMS {
            // The oracle is slow for long batches.
            if len > 1 << 18 && form == Form::Probabilities {
                continue;
            }
            let predictions = random.predictions(form, len);
            let labels = random.labels(len);
            let packed = pack(&labels);
            let hard = batch(form, &predictions, Targets::Bits(&packed));
            each(|engine| {
                const MARGIN: usize = 64;
                let mut memory = [(); 3].map(|()| vec![f32::NAN; len + 2 * MARGIN]);
                let [loss, gradient, hessian] = memory.each_mut().map(|output| &mut output[MARGIN..MARGIN + len]);
                let outputs = Outputs::none().with_loss(loss).with_gradient(gradient).with_hessian(hessian);
                let evaluation = engine.evaluate(&hard, &none(), outputs).expect("valid");
                assert_eq!(evaluation.count, len as u64);
                for output in &memory {
                    assert!(output[..MARGIN].iter().chain(&output[MARGIN + len..]).all(|v| v.is_nan()), "{len}");
                }
                judge(engine, &hard, memory.each_ref().map(|output| &output[MARGIN..MARGIN + len]));
                // The errors of a few losses do not average out, so their sum is only as accurate as they are.
                if len >= BLOCK - 1 {
                    judge_sum(engine, &hard, evaluation.sum);
                }
            });
        }
    }
}

/// A short piece that is repeated many times: the exact sum is a multiple of that of the piece, to the last bit, and
/// every element has the result of the piece.
#[test]
fn more_than_one_binding() {
    const PIECE: usize = 1 << 18;
    let mut random = Random(12);
    let piece = random.predictions(Form::Logits, PIECE);
    let labels = random.labels(PIECE);
    let check = |engine: &logloss::Engine, times: usize, rest: usize| {
        let gradient = |evaluation: &logloss::Evaluation| evaluation.gradient.clone().expect("asked for");
        let mut once =
            engine.evaluate(&batch(Form::Logits, &piece, &labels), &none(), Outputs::gradient()).expect("valid");
        let last = batch(Form::Logits, &piece[..rest], &labels[..rest]);
        let mut last = engine.evaluate(&last, &none(), Outputs::none()).expect("valid");
        // The same sums many times: without a place, they are added.
        once.partials.close();
        last.partials.close();
        let mut wanted = Partials::default();
        (0..times).for_each(|_| wanted.merge(&once.partials).expect("without a place"));
        wanted.merge(&last.partials).expect("without a place");

        let repeated = |i: usize| i % PIECE;
        let len = times * PIECE + rest;
        let predictions: Vec<f32> = (0..len).map(|i| piece[repeated(i)]).collect();
        let targets: Vec<u8> = (0..len).map(|i| labels[repeated(i)]).collect();
        let batch = batch(Form::Logits, &predictions, &targets);
        let mut got = engine.evaluate(&batch, &none(), Outputs::gradient()).expect("valid");
        got.partials.close();
        assert_eq!(got.partials, wanted);
        assert_eq!(got.count, len as u64);
        let once = gradient(&once);
        let wrong = gradient(&got).iter().enumerate().position(|(i, g)| g.to_bits() != once[repeated(i)].to_bits());
        assert_eq!(wrong, None, "{len}");
    };
    // The largest binding of llvmpipe is 2^25 values of f32.
    each(|engine| check(engine, 128, 12_345));
    for &index in adapters() {
        let limits = wgpu::Limits {
            max_storage_buffer_binding_size: 1 << 19,
            max_buffer_size: 1 << 20,
            max_compute_workgroups_per_dimension: 48,
            ..wgpu::Limits::default()
        };
        check(&open(EngineOptions::new(Device::Index(index)).with_limits(limits)), 5, 12_345);
    }
}

/// The caller's memory need not be aligned, although the memory that a device reads is.
#[test]
fn unaligned_memory() {
    let mut random = Random(13);
    let len = 2 * BLOCK + 5;
    let predictions = random.predictions(Form::Logits, len + 8);
    let labels = random.labels(len + 8);
    let halves: Vec<logloss::half::f16> = predictions.iter().map(|&x| logloss::half::f16::from_f32(x)).collect();
    each(|engine| {
        for skip in [0, 1, 2, 3, 5] {
            let hard = batch(Form::Logits, &predictions[skip..skip + len], &labels[skip..skip + len]);
            judge(engine, &hard, results(&all(engine, &hard, &none())));
            let narrow = batch(Form::Logits, &halves[skip..skip + len], &labels[skip..skip + len]);
            judge(engine, &narrow, results(&all(engine, &narrow, &none())));
        }
    });
}

/// Limits that are too small for the kernels are an error, not a panic.
#[test]
fn limits_that_are_too_small() {
    for &index in adapters() {
        let few = wgpu::Limits { max_storage_buffers_per_shader_stage: 4, ..wgpu::Limits::default() };
        let result = logloss::Engine::new(EngineOptions::new(Device::Index(index)).with_limits(few));
        let error = result.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains('4') && error.contains("storage buffers"), "{error}");
        let huge = wgpu::Limits { max_compute_workgroup_size_x: u32::MAX, ..wgpu::Limits::default() };
        let result = logloss::Engine::new(EngineOptions::new(Device::Index(index)).with_limits(huge));
        assert!(matches!(result, Err(logloss::Error::Device(_))), "more than the adapter has");
    }
    assert_eq!(engines().len(), adapters().len() + 1);
}
