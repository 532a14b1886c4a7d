//! Determinism: the same bits in every run, for any division into parts, storage type and number of threads.

use std::num::NonZeroUsize;

use logloss::{
    Accumulator, BLOCK, Device, Engine, EngineOptions, Error, Evaluation, Floats, Form, Misfit, Objective, Outputs,
    Partials, Reduction, Sink, Targets,
    half::{bf16, f16},
    wgpu,
};

use crate::common::{FORMS, Random, adapters, all, assert_same, batch, bits, each, engines, open, pack};

/// A length of at least three chunks of every possible size, and an incomplete block.
const LEN: usize = 100 * BLOCK + 123;

fn values(form: Form, seed: u64) -> (Vec<f32>, Vec<f32>) {
    let mut random = Random(seed);
    (random.predictions(form, LEN), random.soft(LEN))
}

#[test]
fn run_to_run() {
    for form in FORMS {
        let (predictions, targets) = values(form, 1);
        let batch = batch(form, &predictions, &targets);
        each(|engine| {
            let first = all(engine, &batch, &Objective::mean());
            for _ in 0..5 {
                assert_same(&all(engine, &batch, &Objective::mean()), &first, "again");
            }
        });
    }
}

/// Pushes the values in parts that end at `cuts`, with outputs, and finishes the accumulator.
fn in_parts(
    engine: &Engine,
    objective: &Objective,
    predictions: &[f32],
    targets: &[f32],
    cuts: &[usize],
) -> Evaluation {
    let mut outputs = [(); 3].map(|()| vec![f32::NAN; predictions.len()]);
    let mut accumulator: Accumulator<'_> = engine.accumulator(objective, Some(predictions.len() as u64));
    let mut start = 0;
    for &end in cuts.iter().chain([&predictions.len()]) {
        let [loss, gradient, hessian] = &mut outputs;
        let sinks = Outputs::none()
            .with_loss(&mut loss[start..end])
            .with_gradient(&mut gradient[start..end])
            .with_hessian(&mut hessian[start..end]);
        accumulator.push(&batch(Form::Logits, &predictions[start..end], &targets[start..end]), sinks).expect("valid");
        assert_eq!(accumulator.pushed(), end as u64);
        start = end;
    }
    let mut evaluation = accumulator.finish().expect("all of it");
    [evaluation.loss, evaluation.gradient, evaluation.hessian] = outputs.map(Some);
    evaluation
}

#[test]
fn parts_or_the_whole() {
    let (predictions, targets) = values(Form::Logits, 2);
    each(|engine| {
        for reduction in [Reduction::None, Reduction::Sum, Reduction::Mean] {
            let objective = Objective::default().with_reduction(reduction).with_scale(0.37).expect("finite");
            let whole = all(engine, &batch(Form::Logits, &predictions, &targets), &objective);
            for step in [1, 2, 3, 7, 16, 33, 64, 100] {
                let cuts: Vec<usize> = (step..=100).step_by(step).map(|blocks| blocks * BLOCK).collect();
                let parts = in_parts(engine, &objective, &predictions, &targets, &cuts);
                assert_same(&parts, &whole, &format!("{reduction:?} in parts of {step} blocks"));
                assert_eq!(parts.value, whole.value);
            }
            // Two empty parts in the middle.
            let parts = in_parts(engine, &objective, &predictions, &targets, &[0, 5 * BLOCK, 5 * BLOCK, 5 * BLOCK]);
            assert_same(&parts, &whole, "empty parts");
        }
    });
}

/// The shards of a batch, evaluated separately, for example on several machines, merge in any order.
#[test]
fn shards_merge_in_any_order() {
    let (predictions, targets) = values(Form::Logits, 3);
    each(|engine| {
        let whole = all(engine, &batch(Form::Logits, &predictions, &targets), &Objective::sum());
        let part = |from: usize, to: usize| {
            let batch = batch(Form::Logits, &predictions[from..to], &targets[from..to]).with_first_row(from as u64);
            engine.evaluate(&batch, &Objective::sum(), Outputs::none()).expect("valid").partials
        };
        let parts = [part(0, 16 * BLOCK), part(16 * BLOCK, 50 * BLOCK), part(50 * BLOCK, LEN)];
        let whole_alone = part(0, LEN);
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut merged = Partials::default();
            order.iter().for_each(|&i| merged.merge(&parts[i]).expect("neighbours"));
            assert_eq!(merged, whole_alone);
            assert_eq!(merged.sum, whole.partials.sum);
            assert_eq!(merged.mean().to_bits(), whole.mean.to_bits());
        }
    });
}

#[test]
fn unaligned_parts_are_errors() {
    each(|engine| {
        let (logits, targets) = ([0.5f32; 16], [1u8; 16]);
        let part = |range: std::ops::Range<usize>| batch(Form::Logits, &logits[range.clone()], &targets[range]);
        let mut accumulator = engine.accumulator(&Objective::sum(), None);
        accumulator.push(&part(0..7), Outputs::none()).expect("may be the last");
        let second = accumulator.push(&part(7..16), Outputs::none());
        assert!(matches!(second, Err(Error::Misfit(Misfit::NotKept { index: 7 }))), "{second:?}");
        // Unless the first says where it begins.
        let mut accumulator = engine.accumulator(&Objective::sum(), None);
        accumulator.push(&part(0..7).with_first_row(0), Outputs::none()).expect("valid");
        accumulator.push(&part(7..16), Outputs::none()).expect("valid");
        let whole = engine.evaluate(&part(0..16), &Objective::sum(), Outputs::none()).expect("valid");
        assert_same(&accumulator.finish().expect("all of it"), &whole, "in parts");
    });
}

#[test]
fn a_wrong_total_length_is_an_error() {
    each(|engine| {
        for announced in [0, 6, 8] {
            let mut accumulator = engine.accumulator(&Objective::mean(), Some(announced));
            let pushed = accumulator.push(&batch(Form::Logits, &[0.5f32; 7], &[1u8; 7]), Outputs::none());
            let result = pushed.and_then(|()| accumulator.finish().map(drop));
            let Err(Error::AccumulatedLength { expected, actual }) = result else { panic!("{result:?}") };
            assert_eq!((expected, actual), (announced, 7));
        }
        let mut accumulator = engine.accumulator(&Objective::mean(), Some(7));
        accumulator.push(&batch(Form::Logits, &[0.5f32; 7], &[1u8; 7]), Outputs::none()).expect("valid");
        assert_eq!(accumulator.finish().expect("as announced").count, 7);
    });
}

#[test]
fn threads() {
    for form in FORMS {
        let (predictions, targets) = values(form, 4);
        let batch = batch(form, &predictions, &targets);
        let wanted = all(&Engine::cpu(), &batch, &Objective::mean());
        for threads in [1, 2, 3, 7] {
            let threads = NonZeroUsize::new(threads).expect("not 0");
            let engine = open(EngineOptions::new(Device::Cpu).with_threads(threads));
            assert_same(&all(&engine, &batch, &Objective::mean()), &wanted, &format!("{threads} threads"));
        }
    }
}

#[test]
fn callers_at_once() {
    let (predictions, targets) = values(Form::Logits, 5);
    let batch = batch(Form::Logits, &predictions, &targets);
    each(|engine| {
        let wanted = all(engine, &batch, &Objective::mean());
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..3).map(|_| all(engine, &batch, &Objective::mean())).collect::<Vec<_>>()))
                .collect();
            for worker in workers {
                worker.join().expect("no panic").iter().for_each(|got| assert_same(got, &wanted, "beside others"));
            }
        });
    });
}

#[test]
fn targets_of_any_type() {
    let labels = Random(6).labels(LEN);
    let floats: Vec<f32> = labels.iter().map(|&z| z.into()).collect();
    let bools: Vec<bool> = labels.iter().map(|&z| z == 1).collect();
    let packed = pack(&labels);
    for form in FORMS {
        let (predictions, _) = values(form, 6);
        each(|engine| {
            let wanted = all(engine, &batch(form, &predictions, &floats), &Objective::mean());
            for targets in [Targets::U8(&labels), Targets::Bool(&bools), Targets::Bits(&packed)] {
                let got = all(engine, &batch(form, &predictions, targets), &Objective::mean());
                let name = format!("{targets:.0?}");
                assert_same(&got, &wanted, name.split('(').next().unwrap_or_default());
            }
        });
    }
}

#[test]
fn predictions_of_any_type() {
    let labels = Random(7).labels(LEN);
    for form in FORMS {
        let (predictions, _) = values(form, 7);
        let halves: Vec<f16> = predictions.iter().map(|&x| f16::from_f32(x)).collect();
        let brains: Vec<bf16> = predictions.iter().map(|&x| bf16::from_f32(x)).collect();
        let from_halves: Vec<f32> = halves.iter().map(|x| x.to_f32()).collect();
        let from_brains: Vec<f32> = brains.iter().map(|x| x.to_f32()).collect();
        each(|engine| {
            for (narrow, widened, what) in
                [(Floats::F16(&halves), &from_halves, "f16"), (Floats::Bf16(&brains), &from_brains, "bf16")]
            {
                let got = all(engine, &batch(form, narrow, &labels), &Objective::mean());
                let wanted = all(engine, &batch(form, widened, &labels), &Objective::mean());
                assert_same(&got, &wanted, what);
            }
        });
    }
}

#[test]
fn shape_changes_nothing() {
    let (predictions, targets) = values(Form::Logits, 8);
    let len = LEN - LEN % 12;
    let flat = batch(Form::Logits, &predictions[..len], &targets[..len]);
    each(|engine| {
        let wanted = all(engine, &flat, &Objective::mean());
        for classes in [1, 3, 12, len] {
            let shaped = flat.with_classes(classes).expect("divides");
            assert_same(&all(engine, &shaped, &Objective::mean()), &wanted, "shape");
        }
    });
}

/// The same adapter, restricted to the limits that WebGPU guarantees, and to smaller limits of bindings.
#[test]
fn limits_of_the_device() {
    let small = wgpu::Limits {
        max_storage_buffer_binding_size: 1 << 20,
        max_buffer_size: 1 << 22,
        max_compute_workgroups_per_dimension: 32,
        ..wgpu::Limits::default()
    };
    for &index in adapters() {
        let whole = &engines()[index + 1];
        for limits in [wgpu::Limits::default(), small.clone()] {
            let engine = open(EngineOptions::new(Device::Index(index)).with_limits(limits));
            for form in FORMS {
                let (predictions, targets) = values(form, 9);
                let batch = batch(form, &predictions, &targets);
                let wanted = all(whole, &batch, &Objective::mean());
                assert_same(&all(&engine, &batch, &Objective::mean()), &wanted, "limits");
            }
        }
    }
}

/// An output does not depend on which other outputs are requested.
#[test]
fn any_subset_of_outputs() {
    for form in FORMS {
        let (predictions, targets) = values(form, 10);
        let batch = batch(form, &predictions, &targets);
        each(|engine| {
            let wanted = all(engine, &batch, &Objective::mean());
            for subset in 0..8 {
                let on = |bit: u8| if subset >> bit & 1 == 1 { Sink::New } else { Sink::Skip };
                let outputs = Outputs::none().with_loss(on(0)).with_gradient(on(1)).with_hessian(on(2));
                let got = engine.evaluate(&batch, &Objective::mean(), outputs).expect("valid");
                let (got, wanted) = (bits(&got), bits(&wanted));
                assert_eq!((&got.terms, got.sum, got.count), (&wanted.terms, wanted.sum, wanted.count));
                for (output, (got, wanted)) in got.outputs.iter().zip(&wanted.outputs).enumerate() {
                    assert_eq!(got.is_some(), subset >> output & 1 == 1);
                    assert!(got.is_none() || got == wanted, "{form:?}, subset {subset}, output {output}");
                }
            }
        });
    }
}
