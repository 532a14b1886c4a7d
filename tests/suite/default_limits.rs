//! Devices that have no more than WebGPU promises: every evaluation runs there, with the bits of devices that bind more.

use logloss::{
    Device, DeviceOutputs, DeviceSink, Engine, EngineOptions, Evaluation, Form, Metrics, Objective, OutputType,
    Reduction, wgpu,
};

use crate::{
    common::{Random, adapters, all, assert_same, bits, engines, open, results},
    resident::{every_output, fetch},
    scenes::{Labels, Recipe, Scene, Weighing},
};

/// An engine with 8 storage buffers in a shader stage, and one with as many as the adapter has.
fn pairs() -> impl Iterator<Item = (Engine, &'static Engine)> {
    adapters().iter().enumerate().map(|(position, &index)| {
        let limits = wgpu::Limits::default();
        assert_eq!(limits.max_storage_buffers_per_shader_stage, 8);
        (open(EngineOptions::new(Device::Index(index)).with_limits(limits)), &engines()[position + 1])
    })
}

fn resident(engine: &Engine, scene: &Scene, objective: &Objective) -> (Evaluation, usize) {
    let there = engine.upload(&scene.batch()).expect("it fits");
    let prepared = engine.prepare(&there, objective, every_output()).expect("valid");
    (fetch(engine, &prepared, scene.predictions.len()), prepared.wgsl().len())
}

/// A batch, its evaluation, and what it is.
fn scenes() -> Vec<(Scene, String)> {
    let mut random = Random(171);
    let mut scenes = Vec::new();
    for reduction in [Reduction::Mean, Reduction::WeightedMean, Reduction::PerClass, Reduction::PerRow] {
        for (form, weighing, mask) in [
            (Form::Logits, Weighing::None, false),
            (Form::Probabilities, Weighing::Elements, true),
            (Form::Logits, Weighing::SamplesF16, true),
        ] {
            let recipe = Recipe { weighing, mask, reduction, labels: Labels::U8, ..Recipe::plain(form) };
            let what = format!("{form:?}, {reduction:?}, {weighing:?}, mask {mask}");
            scenes.push((recipe.scene(&mut random, 2_500, 3), what));
        }
    }
    scenes
}

#[test]
fn all_outputs_with_weights_and_mask() {
    let metrics = Metrics::none().with_threshold(0.25).expect("a number");
    for (restricted, engine) in pairs() {
        let (mut split, mut whole) = (0, 0);
        for (scene, what) in scenes() {
            for objective in [scene.objective.clone(), scene.objective.clone().with_metrics(metrics.clone())] {
                let got = all(&restricted, &scene.batch(), &objective);
                let wanted = all(engine, &scene.batch(), &objective);
                assert_same(&got, &wanted, &what);
                assert_eq!(got.partials.threshold, wanted.partials.threshold, "{what}");
                let (got, modules) = resident(&restricted, &scene, &objective);
                let (wanted, fewer) = resident(engine, &scene, &objective);
                assert_same(&got, &wanted, &what);
                assert_eq!(got.partials.threshold, wanted.partials.threshold, "{what}");
                assert_eq!(got.partials.threshold.is_some(), objective.metrics().threshold().is_some());
                assert!(modules >= fewer);
                split += usize::from(modules > fewer);
                whole += usize::from(modules == fewer);
            }
        }
        let (device, _) = engine.wgpu().expect("on a GPU");
        // Where the adapter has more, some ran as two kernels here and as one there.
        assert!(whole > 0 && (split > 0 || device.limits().max_storage_buffers_per_shader_stage < 11));
    }
}

/// Narrow outputs are stored by pairs of neighbours, in whichever kernel they are.
#[test]
fn narrow_outputs() {
    let metrics = Metrics::none().with_threshold(0.25).expect("a number");
    let sink = |ty| DeviceSink::NewAs(ty);
    for (restricted, engine) in pairs() {
        for (scene, what) in scenes().into_iter().skip(1).step_by(3) {
            let objective = scene.objective.clone().with_metrics(metrics.clone());
            let (wanted, _) = resident(engine, &scene, &objective);
            let there = restricted.upload(&scene.batch()).expect("it fits");
            let outputs = DeviceOutputs::none()
                .with_loss(sink(OutputType::F16))
                .with_gradient(sink(OutputType::F32))
                .with_hessian(sink(OutputType::Bf16));
            let prepared = restricted.prepare(&there, &objective, outputs).expect("valid");
            let mut got = prepared.evaluate().expect("valid");
            let mut gradient = vec![0.0f32; scene.predictions.len()];
            restricted.download(prepared.gradient().expect("asked for"), &mut gradient).expect("the device works");
            let mut losses = vec![half(0.0); scene.predictions.len()];
            restricted.download(prepared.loss().expect("asked for"), losses.as_mut_slice()).expect("the device works");
            let [loss, gradients, _] = results(&wanted);
            assert!(gradient.iter().zip(gradients).all(|(a, b)| a.to_bits() == b.to_bits()), "{what}");
            assert!(losses.iter().zip(loss).all(|(a, b)| a.to_bits() == half(*b).to_bits()), "{what}");
            [got.loss, got.gradient, got.hessian] = [&wanted.loss, &wanted.gradient, &wanted.hessian].map(Clone::clone);
            assert!(bits(&got) == bits(&wanted), "{what}");
            assert_eq!(got.partials.threshold, wanted.partials.threshold, "{what}");
        }
    }
}

fn half(value: f32) -> logloss::half::f16 {
    logloss::half::f16::from_f32(value)
}
