//! Each option alone and random combinations of options, on every backend, compared with the oracle.

use std::{fs, path::Path};

use logloss::{Batch, DeviceKind, Engine, Evaluation, Form, Objective, Reduction};

use crate::{
    common::{FORMS, Random, all, each, engines, gpu_engines, seed},
    resident::{every_output, fetch},
    scenes::{Labels, REDUCTIONS, Recipe, Scene, Stored, Weighing, Worst, judge_scene, pick},
};

/// An option, and the change that it makes to a plain evaluation.
type Choice = (&'static str, fn(&mut Recipe));

/// The options, with their names in the documentation.
const OPTIONS: &[Choice] = &[
    ("weights f32, `[N, C]`", |r| r.weighing = Weighing::Elements),
    ("weights f16, `[N, C]`", |r| r.weighing = Weighing::ElementsF16),
    ("weights f32, `[N]`", |r| r.weighing = Weighing::Samples),
    ("weights f16, `[N]`", |r| r.weighing = Weighing::SamplesF16),
    ("class weights, `[C]`", |r| r.class_weights = true),
    ("`pos_weight`, one", |r| r.pos_weight = 1),
    ("`pos_weight`, `[C]`", |r| r.pos_weight = 2),
    ("label weights", |r| r.label_weights = true),
    ("label smoothing 0.1", |r| r.smoothing = 0.1),
    ("label smoothing 0.001, hard targets", |r| (r.smoothing, r.labels) = (1e-3, Labels::Bits)),
    ("ignored label (u8)", |r| (r.labels, r.ignore) = (Labels::U8, true)),
    ("ignored label (i64)", |r| (r.labels, r.ignore) = (Labels::I64, true)),
    ("predictions as f64", |r| r.stored = Stored::F64),
    ("ignored NaN (f32)", |r| r.ignore = true),
    ("mask", |r| r.mask = true),
    ("mask, targets as bits", |r| (r.mask, r.labels) = (true, Labels::Bits)),
    ("focal γ = 0", |r| r.gamma = Some(0.0)),
    ("focal γ = 0.3", |r| r.gamma = Some(0.3)),
    ("focal γ = 0.5", |r| r.gamma = Some(0.5)),
    ("focal γ = 1", |r| r.gamma = Some(1.0)),
    ("focal γ = 2", |r| r.gamma = Some(2.0)),
    ("focal γ = 5", |r| r.gamma = Some(5.0)),
    ("focal α = 0.25", |r| r.alpha = Some(0.25)),
    ("focal γ = 2, α = 0.25", |r| (r.gamma, r.alpha) = (Some(2.0), Some(0.25))),
];

/// The places where an evaluation runs, with their names in the documentation.
const PLACES: [&str; 3] = ["CPU", "GPU, from the host", "GPU, resident"];
const OUTPUTS: [&str; 5] = ["loss", "gradient", "hessian", "value", "Σw, count"];

pub(crate) fn resident(engine: &Engine, batch: &Batch<'_>, objective: &Objective) -> Evaluation {
    let there = engine.upload(batch).expect("it fits");
    let prepared = engine.prepare(&there, objective, every_output()).expect("valid");
    fetch(engine, &prepared, batch.len())
}

/// Compares the evaluation of a scene on an engine with the oracle, from host memory and, on a GPU, of a resident
/// batch. Returns the largest errors of both.
#[expect(clippy::print_stderr, reason = "shown when a test fails")]
pub(crate) fn judge(engine: &Engine, scene: &Scene, scale: f32, what: &str) -> (Worst, Option<Worst>) {
    eprintln!("on {}: {what}", engine.device().name);
    let batch = scene.batch();
    let host = all(engine, &batch, &scene.objective);
    let from_host = judge_scene(engine, &batch, &scene.objective, scale, &host);
    if engine.device().kind == DeviceKind::Cpu {
        return (from_host, None);
    }
    let there = resident(engine, &batch, &scene.objective);
    let worst = judge_scene(engine, &batch, &scene.objective, scale, &there);
    same_as_from_the_host(&there, &host, scene);
    (from_host, Some(worst))
}

/// Asserts that a resident batch has the same bits as one from the host, unless the device has divided the coefficient:
/// the coefficient may then have an error of 2 ULP, and the product with it is rounded once more.
fn same_as_from_the_host(there: &Evaluation, host: &Evaluation, scene: &Scene) {
    let ignores = scene.mask.is_some() || scene.objective.ignore().is_some();
    let divided = match scene.objective.reduction() {
        Reduction::Mean => ignores,
        Reduction::WeightedMean => true,
        _ => false,
    };
    let (mut there, mut host) = (there.clone(), host.clone());
    if divided {
        for (got, wanted) in [(&mut there.gradient, &mut host.gradient), (&mut there.hessian, &mut host.hessian)] {
            let (got, wanted) = (got.take().expect("asked for"), wanted.take().expect("asked for"));
            assert_eq!(got.len(), wanted.len());
            for (i, (got, wanted)) in got.iter().zip(&wanted).enumerate() {
                let off = if got == wanted { 0.0 } else { (got - wanted).abs() };
                assert!(off <= 3.0 * f32::EPSILON * wanted.abs() + f32::MIN_POSITIVE, "{i}: {got}, not {wanted}");
            }
        }
    }
    crate::common::assert_same(&there, &host, "on the device");
}

/// Each option alone, in both forms and with every reduction. The documentation must list what was compared;
/// `LOGLOSS_BLESS=1` writes it.
#[test]
#[expect(clippy::print_stderr, reason = "what a run has measured")]
fn each_alone() {
    let mut random = Random(81);
    let mut worst = vec![[Worst::default(); 2]; OPTIONS.len()];
    // The number of evaluations in which each output was compared, by option and place.
    let mut compared = vec![[[0; 5]; 3]; OPTIONS.len()];
    for form in FORMS {
        for (row, (name, change)) in OPTIONS.iter().enumerate() {
            for reduction in REDUCTIONS {
                let mut recipe = Recipe::plain(form);
                change(&mut recipe);
                recipe.reduction = reduction;
                let scene = recipe.scene(&mut random, 1501, 3);
                each(|engine| {
                    let (host, there) = judge(engine, &scene, 1.0, &format!("{name}, {form:?}, {reduction:?}"));
                    let gpu = usize::from(engine.device().kind != DeviceKind::Cpu);
                    for (place, found) in [(gpu, Some(host)), (2, there)] {
                        let Some(found) = found else { continue };
                        worst[row][gpu].merge(&found);
                        for (evaluations, results) in compared[row][place].iter_mut().zip(found.compared) {
                            *evaluations += usize::from(results > 0);
                        }
                    }
                });
            }
        }
    }
    for ((name, _), [cpu, gpu]) in OPTIONS.iter().zip(&worst) {
        eprintln!(
            "measured: {name}: CPU {:.2?} GPU {:.2?}; of ceiling {:.2?} {:.2?}",
            cpu.elements, gpu.elements, cpu.of_ceiling, gpu.of_ceiling
        );
    }
    document(&compared);
}

/// Asserts that the documentation lists the comparisons that were made, or writes it.
fn document(compared: &[[[usize; 5]; 3]]) {
    let adapters = gpu_engines().len();
    let evaluations = FORMS.len() * REDUCTIONS.len();
    let wanted = [evaluations, evaluations * adapters, evaluations * adapters];
    let mut table = format!("| option | {} |\n|---|{}\n", OUTPUTS.join(" | "), "---|".repeat(OUTPUTS.len()));
    for ((name, _), places) in OPTIONS.iter().zip(compared) {
        table += &format!("| {name} |");
        for output in 0..OUTPUTS.len() {
            for (evaluations, wanted) in places.iter().zip(wanted) {
                table += if evaluations[output] == wanted { " ✓" } else { " –" };
            }
            table += " |";
        }
        table += "\n";
    }
    let text = format!(
        "# Options, backends and outputs tested\n\n\
         The three marks of a cell are for three places, in this order: {}. A ✓ means that the results with this option\n\
         were compared with the f64 oracle and are within the [contract](../crates/verify/src/contract.rs), for logits and\n\
         probabilities, with each of the reductions {},\n\
         and on every adapter that wgpu found; these were Mesa's llvmpipe and SwiftShader on machines without a GPU. A –\n\
         means that not all of these were compared. Combinations of options are tested in `any_together`, and the\n\
         conventions of other systems in `tests/suite/compat.rs`.\n\n\
         This page is written by a test: `LOGLOSS_BLESS=1 cargo test --release --test suite options::each_alone`.\n\n{table}",
        PLACES.join("; "),
        REDUCTIONS.map(|reduction| format!("{reduction:?}")).join(", "),
    );
    if adapters == 0 {
        // The documentation is written on a machine with an adapter.
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/options.md");
    if std::env::var("LOGLOSS_BLESS").is_ok() {
        fs::write(&path, &text).expect("docs can be written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "docs/options.md is not what was tested: LOGLOSS_BLESS=1 writes it");
}

/// Random combinations of options. `LOGLOSS_SEED` repeats a run.
#[test]
#[expect(clippy::print_stderr, reason = "what a run has measured")]
fn any_together() {
    let mut random = Random(seed());
    let mut worst = vec![Worst::default(); engines().len()];
    for round in 0..160 {
        let recipe = Recipe::random(&mut random);
        let classes = pick(&mut random, &[1, 1, 2, 3, 10, 257]);
        let rows = random.below(6000 / classes) + 1;
        let scene = recipe.scene(&mut random, rows, classes);
        for (engine, worst) in engines().iter().zip(&mut worst) {
            // Every combination compiles pipelines on an adapter, so only some run there.
            if round % 8 == 0 || engine.device().kind == DeviceKind::Cpu {
                let (host, there) = judge(engine, &scene, recipe.scale, &format!("{rows} × {classes}, {recipe:?}"));
                worst.merge(&host);
                there.inspect(|there| worst.merge(there));
            }
        }
    }
    for (engine, worst) in engines().iter().zip(&worst) {
        eprintln!("measured: {}: {worst:.2?}", engine.device().name);
    }
}

/// Numbers of values just below and above a block, a chunk, and several chunks, for every reduction.
#[test]
fn large() {
    let mut random = Random(82);
    for (rows, classes, reduction) in [
        (2048, 1, Reduction::Mean),
        (2047, 3, Reduction::PerClass),
        (2049, 10, Reduction::PerRow),
        ((1 << 20) + 9, 1, Reduction::WeightedMean),
        (349_527, 3, Reduction::Mean),
        (349_527, 3, Reduction::PerClass),
        (349_527, 3, Reduction::PerRow),
        (4100, 257, Reduction::PerClass),
        (4100, 257, Reduction::PerRow),
        (4100, 257, Reduction::WeightedMean),
    ] {
        let mut recipe = Recipe::plain(Form::Logits);
        recipe.reduction = reduction;
        (recipe.weighing, recipe.stored) = (Weighing::SamplesF16, Stored::F16);
        (recipe.class_weights, recipe.pos_weight, recipe.smoothing) = (true, 2, 0.1);
        (recipe.mask, recipe.ignore, recipe.labels) = (true, true, Labels::U8);
        let scene = recipe.scene(&mut random, rows, classes);
        each(|engine| {
            judge(engine, &scene, 1.0, &format!("{rows} × {classes}, {reduction:?}"));
        });
    }
}

/// The results at the far ends of the range are accurate or flushed to 0, and never NaN.
#[test]
fn far_out() {
    let mut random = Random(83);
    for form in FORMS {
        for (gamma, alpha) in
            [(None, None), (Some(0.3), None), (Some(1.0), Some(0.25)), (Some(2.0), None), (Some(5.0), Some(0.75))]
        {
            let mut recipe = Recipe::plain(form);
            (recipe.gamma, recipe.alpha) = (gamma, alpha);
            (recipe.weighing, recipe.pos_weight, recipe.labels) = (Weighing::Elements, 1, Labels::Hard);
            recipe.reduction = Reduction::Sum;
            let mut scene = recipe.scene(&mut random, 4000, 1);
            for x in &mut scene.predictions {
                *x = match form {
                    Form::Logits => (200.0 * random.uniform() - 100.0) as f32,
                    Form::Probabilities if random.below(2) == 0 => 0.5f32.powf(140.0 * random.uniform() as f32),
                    _ => 1.0 - 0.5f32.powf(24.0 * random.uniform() as f32),
                };
            }
            let ends = match form {
                Form::Logits => [f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MAX, f32::MIN_POSITIVE],
                _ => [0.0, 1.0, -0.0, 1.0, 0.0, f32::MIN_POSITIVE],
            };
            for (i, x) in ends.iter().enumerate() {
                for z in 0..4 {
                    scene.predictions[4 * i + z] = *x;
                    scene.soft[4 * i + z] = [0.0, 1.0, 0.5, 0.25][z];
                    scene.weights[4 * i + z] = 1.5;
                }
            }
            each(|engine| {
                judge(engine, &scene, 1.0, &format!("{form:?}, γ {gamma:?}, α {alpha:?}"));
            });
        }
    }
}
