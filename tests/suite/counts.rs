//! The counts of predictions on each side of a threshold, on every adapter and in each way in, against a naive count.

use logloss::{
    BLOCK, Batch, Device, DeviceOutputs, DeviceSink, Engine, EngineOptions, Evaluation, Form, Ignore, Metrics,
    NonFinite, Objective, OutputType, Outputs, Reduction, ThresholdCounts,
    half::{bf16, f16},
    wgpu,
};

use crate::{
    common::{FORMS, Random, adapters, assert_same, batch, gpu_engines, open},
    resident::{every_output, fetch},
    scenes::{Labels, Recipe, Stored, Weighing, pick},
};

/// The counts, below and at or above.
fn naive(batch: &Batch<'_>, objective: &Objective) -> (u64, u64) {
    let threshold = f64::from(objective.metrics().threshold().expect("one is named"));
    let (mut below, mut above) = (0, 0);
    for i in 0..batch.len() {
        let target = batch.targets().get(i);
        let masked = batch.mask().is_some_and(|bits| bits[i / 8] >> (i % 8) & 1 == 0);
        let ignored = match objective.ignore() {
            None => false,
            Some(Ignore::Label(label)) => target == label as f64,
            Some(Ignore::Nan) => target.is_nan(),
            Some(other) => panic!("{other:?} is not known here"),
        };
        let prediction = batch.predictions().get(i);
        if !masked && !ignored {
            below += u64::from(prediction < threshold);
            above += u64::from(prediction >= threshold);
        }
    }
    (below, above)
}

fn sides(evaluation: &Evaluation) -> (u64, u64) {
    pair(evaluation.partials.threshold.expect("requested"))
}

fn pair(counts: ThresholdCounts) -> (u64, u64) {
    (counts.below, counts.at_or_above)
}

fn at(objective: &Objective, threshold: f32) -> Objective {
    objective.clone().with_metrics(Metrics::none().with_threshold(threshold).expect("a number"))
}

/// What `threshold_counts` holds on the device.
fn download(engine: &Engine, counts: &wgpu::Buffer) -> (u64, u64) {
    let mut words = vec![0.0f32; counts.size() as usize / 4];
    engine.download(&counts.clone().into(), &mut words).expect("the device works");
    let sum = |at: usize| words.chunks(64).map(|window| u64::from(window[at].to_bits())).sum();
    (sum(0), sum(1))
}

/// Counts from the host.
fn check_host(engine: &Engine, batch: &Batch<'_>, objective: &Objective, what: &str) {
    let host = engine.evaluate(batch, objective, Outputs::none()).expect("valid");
    assert_eq!(sides(&host), naive(batch, objective), "{what}, from the host");
}

/// Counts from the host, of a resident batch and of a recorded one, each twice.
fn check(engine: &Engine, batch: &Batch<'_>, objective: &Objective, what: &str) {
    let wanted = naive(batch, objective);
    if !batch.is_empty() {
        check_host(engine, batch, objective, what);
    }
    let there = engine.upload(batch).expect("it fits");
    let narrow = DeviceOutputs::none().with_gradient(DeviceSink::NewAs(OutputType::F16));
    for outputs in [DeviceOutputs::none(), narrow] {
        let prepared = engine.prepare(&there, objective, outputs).expect("valid");
        let (device, queue) = engine.wgpu().expect("on a GPU");
        for _ in 0..2 {
            assert_eq!(sides(&prepared.evaluate().expect("valid")), wanted, "{what}, resident");
            let mut encoder = device.create_command_encoder(&Default::default());
            prepared.record(&mut encoder);
            prepared.record(&mut encoder);
            queue.submit([encoder.finish()]);
            let counts = prepared.threshold_counts().expect("requested");
            assert_eq!(download(engine, counts), wanted, "{what}, recorded");
        }
    }
}

/// Values about which a comparison may be wrong.
const SPECIAL: [f32; 14] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e-45,
    -1e-45,
    f32::MAX,
    f32::MIN,
    5.960_464_5e-8,
];

#[test]
fn every_type_and_threshold() {
    let mut random = Random(181);
    let objective = Objective::mean().with_non_finite(NonFinite::Propagate);
    for engine in gpu_engines() {
        for form in FORMS {
            let len = 2 * BLOCK + 5;
            let predictions: Vec<f32> = (0..len)
                .map(|_| if random.below(3) == 0 { pick(&mut random, &SPECIAL) } else { random.prediction(form) })
                .collect();
            let labels = random.labels(len);
            let halves: Vec<f16> = predictions.iter().map(|&x| f16::from_f32(x)).collect();
            let brains: Vec<bf16> = predictions.iter().map(|&x| bf16::from_f32(x)).collect();
            for threshold in SPECIAL.into_iter().filter(|t| !t.is_nan()).chain([0.25, predictions[7].min(9.0)]) {
                let objective = at(&objective, threshold);
                let what = format!("{form:?}, {threshold:e}");
                let check = if threshold == 0.25 { check } else { check_host };
                check(engine, &batch(form, &predictions, &labels), &objective, &what);
                check(engine, &batch(form, &halves, &labels), &objective, &format!("{what}, f16"));
                check(engine, &batch(form, &brains, &labels), &objective, &format!("{what}, bfloat16"));
            }
        }
    }
}

#[test]
fn lengths_and_reductions() {
    let mut random = Random(182);
    for engine in gpu_engines() {
        for (reduction, classes) in
            [(Reduction::Sum, 1), (Reduction::WeightedMean, 3), (Reduction::PerClass, 3), (Reduction::PerRow, 5)]
        {
            let recipe = Recipe {
                reduction,
                stored: pick(&mut random, &[Stored::F32, Stored::F16, Stored::Bf16, Stored::F64]),
                labels: pick(&mut random, &[Labels::Soft, Labels::U8]),
                weighing: pick(&mut random, &[Weighing::None, Weighing::Elements, Weighing::Samples]),
                mask: random.below(2) == 0,
                ignore: random.below(2) == 0,
                ..Recipe::plain(pick(&mut random, &FORMS))
            };
            for rows in [0, 1, 255, 257, BLOCK - 1, BLOCK, BLOCK + 1, 9 * BLOCK + 3] {
                let scene = recipe.scene(&mut random, rows, classes);
                check(engine, &scene.batch(), &at(&scene.objective, 0.5), &format!("{recipe:?}, {rows} × {classes}"));
            }
        }
    }
}

/// The passes that count and weigh first see no prediction, and count none.
#[test]
fn counting_first() {
    let mut random = Random(183);
    for engine in gpu_engines() {
        for reduction in [Reduction::Mean, Reduction::WeightedMean] {
            let recipe = Recipe {
                reduction,
                labels: Labels::U8,
                weighing: Weighing::Elements,
                mask: true,
                ignore: true,
                ..Recipe::plain(Form::Logits)
            };
            let scene = recipe.scene(&mut random, 3 * BLOCK + 1, 1);
            check(engine, &scene.batch(), &at(&scene.objective, -0.5), "divided on the device");
        }
    }
}

#[test]
fn several_windows_and_chunks() {
    let mut random = Random(184);
    for &index in adapters() {
        let limits = wgpu::Limits {
            max_storage_buffer_binding_size: 1 << 19,
            max_compute_workgroups_per_dimension: 256,
            ..wgpu::Limits::default()
        };
        let engine = open(EngineOptions::new(Device::Index(index)).with_limits(limits));
        for (reduction, rows, classes) in
            [(Reduction::Mean, 1_000_003, 1), (Reduction::PerClass, 150_001, 2), (Reduction::PerRow, 70_001, 4)]
        {
            let recipe = Recipe { reduction, mask: true, ..Recipe::plain(Form::Logits) };
            let scene = recipe.scene(&mut random, rows, classes);
            let objective = at(&scene.objective, 1.5);
            let there = engine.upload(&scene.batch()).expect("it fits");
            let prepared = engine.prepare(&there, &objective, DeviceOutputs::none()).expect("valid");
            assert!(prepared.evaluate().expect("valid").run.chunks > 1);
            check(&engine, &scene.batch(), &objective, &format!("{reduction:?} in windows"));
        }
    }
}

/// Nothing else changes where predictions are counted, and nothing is counted where that is not requested.
#[test]
fn beside_the_same_bits() {
    let mut random = Random(185);
    for engine in gpu_engines() {
        for reduction in [Reduction::Mean, Reduction::PerClass, Reduction::PerRow] {
            let recipe = Recipe { reduction, weighing: Weighing::Elements, ..Recipe::plain(Form::Probabilities) };
            let scene = recipe.scene(&mut random, 4_000, 3);
            let there = engine.upload(&scene.batch()).expect("it fits");
            let evaluate = |objective: &Objective| {
                let prepared = engine.prepare(&there, objective, every_output()).expect("valid");
                assert_eq!(prepared.threshold_counts().is_some(), objective.metrics().threshold().is_some());
                fetch(engine, &prepared, scene.predictions.len())
            };
            let (plain, counted) = (evaluate(&scene.objective), evaluate(&at(&scene.objective, 0.5)));
            assert_eq!(plain.partials.threshold, None);
            assert_same(&counted, &plain, "with counts");
        }
    }
}

/// Another threshold needs no other kernel: the same staging memory serves it.
#[test]
fn threshold_after_threshold() {
    let logits: Vec<f32> = (0..5_000).map(|i| i as f32).collect();
    let labels = vec![1u8; 5_000];
    let batch = batch(Form::Logits, &logits, &labels);
    for engine in gpu_engines() {
        for threshold in [0.0, 1.0, 4_999.0, 5_000.0, 2_500.5] {
            let objective = at(&Objective::sum(), threshold);
            let found = engine.evaluate(&batch, &objective, Outputs::none()).expect("valid");
            assert_eq!(sides(&found), naive(&batch, &objective));
        }
    }
}
