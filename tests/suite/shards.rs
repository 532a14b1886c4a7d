//! Weighted losses in parts: accumulators, threads, windows, and shards on several machines.

use std::num::NonZeroUsize;

use logloss::{
    BLOCK, Device, Engine, EngineOptions, Error, Evaluation, Form, Outputs, Partials, Reduction, Value, wgpu,
};

use crate::{
    common::{Random, adapters, all, assert_same, each, engines, open},
    options::resident,
    scenes::{Labels, REDUCTIONS, Recipe, Scene, Stored, Weighing, judge_scene, pick},
};

/// A batch with all options at the same time, of `classes` classes.
fn scene(reduction: Reduction, rows: usize, classes: usize, seed: u64) -> Scene {
    let mut random = Random(seed);
    let mut recipe = Recipe::plain(Form::Logits);
    (recipe.weighing, recipe.stored) = pick(
        &mut random,
        &[
            (Weighing::Samples, Stored::F32),
            (Weighing::SamplesF16, Stored::F16),
            (Weighing::Elements, Stored::Bf16),
            (Weighing::ElementsF16, Stored::F32),
        ],
    );
    (recipe.class_weights, recipe.pos_weight, recipe.smoothing) = (true, 2, 0.1);
    (recipe.mask, recipe.ignore, recipe.labels, recipe.gamma) = (true, true, Labels::U8, Some(2.0));
    recipe.reduction = reduction;
    recipe.scene(&mut random, rows, classes)
}

/// Pushes the scene in parts that end at `cuts`.
fn in_parts(engine: &Engine, scene: &Scene, cuts: &[usize]) -> Evaluation {
    let len = scene.predictions.len();
    let totals = engine.totals(&scene.batch(), &scene.objective).expect("it fits");
    let mut accumulator = engine.accumulator_with_totals(&scene.objective, totals);
    let mut outputs = [(); 3].map(|()| vec![f32::NAN; len]);
    let mut start = 0;
    for &end in cuts.iter().chain([&len]) {
        let [loss, gradient, hessian] = &mut outputs;
        let sinks = Outputs::none()
            .with_loss(&mut loss[start..end])
            .with_gradient(&mut gradient[start..end])
            .with_hessian(&mut hessian[start..end]);
        accumulator.push(&scene.part(start..end), sinks).expect("valid");
        start = end;
    }
    let mut evaluation = accumulator.finish().expect("all of it");
    [evaluation.loss, evaluation.gradient, evaluation.hessian] = outputs.map(Some);
    evaluation
}

#[test]
fn accumulators() {
    for (seed, reduction) in (121..).zip(REDUCTIONS) {
        for classes in [1, 3, 10] {
            let scene = scene(reduction, 9 * BLOCK + 77, classes, seed);
            each(|engine| {
                let whole = all(engine, &scene.batch(), &scene.objective);
                for step in [1, 2, 5] {
                    let step = step * BLOCK * classes;
                    let cuts: Vec<usize> =
                        (1..).map(|i| i * step).take_while(|&cut| cut < scene.predictions.len()).collect();
                    let parts = in_parts(engine, &scene, &cuts);
                    assert_same(&parts, &whole, &format!("{reduction:?}, {classes} classes, in parts of {step}"));
                }
            });
        }
    }
}

#[test]
fn run_to_run_and_any_threads() {
    for (seed, reduction) in (131..).zip(REDUCTIONS) {
        let scene = scene(reduction, 20_011, 3, seed);
        let whole = all(&engines()[0], &scene.batch(), &scene.objective);
        for threads in [1, 2, 3, 7] {
            let engine = open(EngineOptions::new(Device::Cpu).with_threads(NonZeroUsize::new(threads).expect("not 0")));
            assert_same(&all(&engine, &scene.batch(), &scene.objective), &whole, &format!("{threads} threads"));
        }
        each(|engine| {
            let first = all(engine, &scene.batch(), &scene.objective);
            assert_same(&all(engine, &scene.batch(), &scene.objective), &first, "again");
        });
    }
}

/// A device with small bindings gives the same bits as one with large bindings.
#[test]
fn small_bindings() {
    for (position, &index) in adapters().iter().enumerate() {
        let limits = wgpu::Limits {
            max_storage_buffer_binding_size: 1 << 20,
            max_compute_workgroups_per_dimension: 512,
            max_storage_buffers_per_shader_stage: 9,
            ..wgpu::Limits::default()
        };
        let restricted = open(EngineOptions::new(Device::Index(index)).with_limits(limits));
        let engine = &engines()[position + 1];
        for (seed, reduction) in (141..).zip(REDUCTIONS) {
            for (rows, classes) in [(400_003, 1), (150_001, 3), (33_333, 10)] {
                let scene = scene(reduction, rows, classes, seed);
                let what = format!("{reduction:?}, {rows} × {classes}");
                let whole = all(engine, &scene.batch(), &scene.objective);
                assert_same(&all(&restricted, &scene.batch(), &scene.objective), &whole, &what);
                let there = resident(&restricted, &scene.batch(), &scene.objective);
                assert!(there.run.chunks > 1, "{what}");
                judge_scene(&restricted, &scene.batch(), &scene.objective, 1.0, &there);
                let unrestricted = resident(engine, &scene.batch(), &scene.objective);
                assert_same(&there, &unrestricted, &what);
            }
        }
        // A whole number of blocks and rows may not fit in a binding, which is an error.
        let scene = scene(Reduction::PerClass, 3000, 257, 150);
        let there = restricted.upload(&scene.batch()).expect("it fits");
        let error =
            restricted.prepare(&there, &scene.objective, crate::resident::every_output()).expect_err("too wide");
        assert!(matches!(error, Error::Limit { .. }), "{error}");
    }
}

/// The partials of the shards of a batch.
fn shards(engine: &Engine, scene: &Scene, cuts: &[usize]) -> Vec<Partials> {
    let ends = cuts.iter().copied().chain([scene.predictions.len()]);
    let starts = [0].into_iter().chain(cuts.iter().copied());
    starts
        .zip(ends)
        .map(|(start, end)| {
            let part = scene.part(start..end).with_first_row((start / scene.classes) as u64);
            engine.evaluate(&part, &scene.objective, Outputs::none()).expect("valid").partials
        })
        .collect()
}

const ORDERS: [[usize; 4]; 4] = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]];

#[test]
fn merged_in_any_order() {
    for (seed, reduction) in (151..).zip(REDUCTIONS) {
        let scene = scene(reduction, 10 * BLOCK + 5, 3, seed);
        each(|engine| {
            let whole = all(engine, &scene.batch(), &scene.objective);
            let unit = 3 * BLOCK;
            let parts = shards(engine, &scene, &[unit, 4 * unit, 9 * unit]);
            let alone = &shards(engine, &scene, &[])[0];
            for order in ORDERS {
                let mut merged = Partials::default();
                order.iter().for_each(|&i| merged.merge(&parts[i]).expect("neighbours"));
                assert_eq!(merged, *alone, "{reduction:?}");
                assert_eq!((&merged.sum, &merged.weight), (&whole.partials.sum, &whole.partials.weight));
                assert_eq!(merged.classes, whole.partials.classes);
                assert_eq!(merged.mean().to_bits(), (whole.sum / whole.count as f64).to_bits());
                if let (Reduction::WeightedMean, Value::Scalar(value)) = (reduction, &whole.value) {
                    assert_eq!(merged.weighted_mean().to_bits(), value.to_bits());
                }
            }
        });
    }
}

/// Partials that are serialised and deserialised merge to the same bits.
#[cfg(feature = "serde")]
#[test]
fn merged_after_serialisation() {
    for (seed, reduction) in (161..).zip(REDUCTIONS) {
        let scene = scene(reduction, 10 * BLOCK + 5, 3, seed);
        each(|engine| {
            let whole = shards(engine, &scene, &[]).remove(0);
            let unit = 3 * BLOCK;
            let sent: Vec<String> = shards(engine, &scene, &[unit, 4 * unit, 9 * unit])
                .iter()
                .map(|partials| serde_json::to_string(partials).expect("serialises"))
                .collect();
            for order in ORDERS {
                let mut merged = Partials::default();
                for i in order {
                    merged.merge(&serde_json::from_str(&sent[i]).expect("the same")).expect("neighbours");
                }
                assert_eq!(merged, whole);
                let terms = |partials: &Partials| -> Vec<u64> {
                    let sums =
                        [&partials.sum, &partials.weight].into_iter().chain(partials.classes.iter().map(|c| &c.sum));
                    sums.flat_map(|sum| sum.terms()).map(|term| term.to_bits()).collect()
                };
                assert_eq!(terms(&merged), terms(&whole));
            }
        });
    }
    // Values that JSON cannot represent as numbers, or only with rounding.
    for value in [f64::NAN, f64::INFINITY, 5e-324, 1e300] {
        let mut partials = Partials::default();
        (partials.sum, partials.first_invalid) = (logloss::ExactSum::of([value, 1.0]), Some(u64::MAX));
        let back: Partials =
            serde_json::from_str(&serde_json::to_string(&partials).expect("serialises")).expect("the same");
        assert_eq!(back.sum.value().to_bits(), partials.sum.value().to_bits());
        assert_eq!(back.first_invalid, Some(u64::MAX));
    }
}

/// A gradient whose divisor is not known is an error, whatever makes the divisor differ from the length.
#[test]
fn unknown_totals() {
    let scene = scene(Reduction::Mean, 2 * BLOCK, 1, 171);
    let weighted = scene.objective.clone().with_reduction(Reduction::WeightedMean);
    each(|engine| {
        for (objective, len) in [(&scene.objective, None), (&weighted, None), (&weighted, Some(2 * BLOCK as u64))] {
            let mut gradient = vec![0.0; BLOCK];
            let mut accumulator = engine.accumulator(objective, len);
            let pushed = accumulator.push(&scene.part(0..BLOCK), Outputs::none().with_gradient(&mut gradient));
            assert!(matches!(pushed, Err(Error::UnknownTotal { .. })), "{pushed:?}");
        }
        let mut accumulator = engine.accumulator(&weighted, None);
        for start in [0, BLOCK] {
            accumulator.push(&scene.part(start..start + BLOCK), Outputs::none()).expect("no gradient");
        }
        let value = accumulator.finish().expect("all of it").value;
        assert_eq!(value, all(engine, &scene.batch(), &weighted).value);
    });
}
